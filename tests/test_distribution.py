"""What is handed out: the source distribution, and what the package says of itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gluon_enhance

CHECKOUT = Path(__file__).resolve().parents[1]


def test_source_distribution_has_every_file_of_the_repository(tmp_path):
    if not (CHECKOUT / ".git").exists():
        pytest.skip("this is a source distribution: there is no list of files to compare with")
    listed = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, check=True)
    # What would be packed is listed here without packing it.
    command = [sys.executable, "-W", "ignore", "setup.py", "-q", "egg_info", "-e", str(tmp_path)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    (sources,) = tmp_path.glob("*.egg-info/SOURCES.txt")
    missing = set(listed.stdout.decode().splitlines()) - set(sources.read_text().splitlines())
    assert not missing


def test_version_is_the_same_everywhere():
    cited = re.search(r"^version: (.+)$", (CHECKOUT / "CITATION.cff").read_text(), re.MULTILINE)
    changes = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    told = re.search(r"^## \[(\d.+?)\]", changes, re.MULTILINE)
    assert cited[1] == told[1] == gluon_enhance.__version__
