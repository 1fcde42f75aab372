"""The architecture, enforced: imports go down only, and heavy packages have one door each."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gluon_enhance"
FLOORS = [
    {"errors", "framework", "forms", "atomic", "imaging", "small_files"},
    {"models", "photos", "weights", "engines", "web"},
    {"zoo", "losses", "data", "whole_image"},
    {"exporting", "scoring", "gluoncv"},
    {"inference", "training"},
    {"rasters", "cluster", "serving", "study"},
    {"commands"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
#: Package -> the modules that may import it.
DOORS = {
    "mxnet": {"framework"},
    "gluoncv": {"gluoncv"},
    "onnx": {"exporting", "whole_image"},
    "safetensors": {"exporting", "weights"},
    "torch": {"exporting"},
    "openvino": {"engines"},
    "onnxruntime": {"engines"},
    "click": {"commands"},
    "pillow_heif": {"photos"},
    "rasterio": {"rasters"},
    "rioxarray": {"rasters"},
    "xarray": {"rasters"},  # for type checkers alone: who has an array of it has imported it
    "distributed": {"cluster"},
    "starlette": {"web", "serving", "study"},
    "python_multipart": {"serving"},
    "uvicorn": {"web"},
    "sqlalchemy": {"study"},
    "choix": {"study"},
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def unit(path):
    return path.relative_to(PACKAGE).parts[0].replace(".py", "")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_table_for_contributors_is_this_one():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (.*?) \|", text, re.MULTILINE)
    table = {int(floor): set(re.findall(r"`(\w+)`", rooms)) for floor, rooms in rows}
    assert table == dict(enumerate(FLOORS))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_imports_only_from_its_own_unit_and_lower_layers(path):
    own = unit(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "gluon_enhance" or parts[1:] == ["__version__"]:
            continue
        other = parts[1]
        assert (
            other == own or LEVEL[other] < LEVEL[own] or (other == "errors" and LEVEL[own] == 0)
        ), f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_enter_by_one_door(path):
    for name in imported(path):
        doors = DOORS.get(name.split(".")[0])
        assert doors is None or unit(path) in doors, f"{unit(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_package_never_prints(path):
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print"
    ]
    assert not calls
