"""Print the oldest versions of the base install's packages that setup.py allows, for pip's -c.

python tests/oldest.py > constraints.txt
"""

import importlib.metadata
import re
import sys

from packaging.requirements import Requirement


def oldest(requirements, python=None):
    """List ``name==version`` of those that an install without extras takes, by their ``>=``."""
    environment = {"extra": "", **({"python_version": python} if python else {})}
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (bound,) = re.findall(r">=([\d.]+)", str(requirement.specifier))
            yield f"{requirement.name}=={bound}"


if __name__ == "__main__":
    sys.stdout.writelines(
        f"{line}\n" for line in oldest(importlib.metadata.requires("gluon-enhance"))
    )
