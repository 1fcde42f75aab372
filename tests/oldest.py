"""Print the oldest versions of the base install's packages that setup.py allows, for pip's -c.

python tests/oldest.py > constraints.txt
"""

import ast
import re
import sys
from pathlib import Path

from packaging.requirements import Requirement

SETUP = Path(__file__).resolve().parents[1] / "setup.py"


def requirements():
    """List what setup.py installs without extras, as it stands there."""
    for node in ast.walk(ast.parse(SETUP.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            return ast.literal_eval(node.value)
    raise LookupError(f"{SETUP} has no install_requires")


def oldest(rows, python=None):
    """Map names to the versions after ``>=`` of the rows that hold for this, or that, Python."""
    environment = {"python_version": python} if python else None
    versions = {}
    for row in map(Requirement, rows):
        if row.marker is None or row.marker.evaluate(environment):
            (versions[row.name],) = re.findall(r">=([\d.]+)", str(row.specifier))
    return versions


if __name__ == "__main__":
    for name, version in oldest(requirements()).items():
        sys.stdout.write(f"{name}=={version}\n")
