"""`make test-oldest` installs what setup.py allows at the least: every bound is safe."""

import pytest

pytest.importorskip("packaging")

from oldest import oldest, requirements  # noqa: E402
from packaging.version import Version  # noqa: E402

SAFE = {
    "Pillow": "10.3",  # CVE-2024-28219, CVE-2023-50447 and CVE-2023-4863
    "opencv-python-headless": "4.8.1.78",  # CVE-2023-4863
    "rasterio": "1.3.8.post1",  # CVE-2023-4863
    "tqdm": "4.66.3",  # CVE-2024-34062
}
"""The first versions without the known holes."""


def test_the_oldest_versions_are_the_lower_bounds_that_apply():
    rows = [
        "Pillow>=10.3",
        "filelock>=3.20.3; python_version >= '3.10'",
        "filelock>=3.12; python_version < '3.10'",
        "onnx<1.18,>=1.17",
    ]
    assert oldest(rows, "3.9") == {"Pillow": "10.3", "filelock": "3.12", "onnx": "1.17"}
    assert oldest(rows, "3.12")["filelock"] == "3.20.3"


@pytest.mark.parametrize("python, filelock", [("3.9", "3.12"), ("3.10", "3.20.3")])
def test_lower_bounds_of_the_base_install_have_no_known_holes(python, filelock):
    versions = oldest(requirements(), python)
    for name, safe in {**SAFE, "filelock": filelock}.items():
        assert Version(versions[name]) >= Version(safe)
