"""Plain ``import mxnet`` works where gluon-enhance is installed: by a hook where Python starts."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gluon_enhance.framework import is_mxnet_installed

CHECKOUT = Path(__file__).resolve().parents[1]
HOOK = ("gluon_enhance_mxnet.pth", "gluon_enhance_mxnet.py")


def run(code, site, **environment):
    """Run a program that adds a folder as Python does those of its packages."""
    start = f"import site; site.addsitedir({str(site)!r})\n"
    return subprocess.run(
        [sys.executable, "-c", start + code],
        capture_output=True,
        text=True,
        env={**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **environment},
        cwd=site,
    )


@pytest.fixture
def site(tmp_path):
    """A folder of packages with the hook alone."""
    for name in HOOK:
        shutil.copy(CHECKOUT / name, tmp_path)
    return tmp_path


@pytest.mark.skipif(not is_mxnet_installed(), reason="MXNet is not installed")
def test_plain_import_of_mxnet_works(site):
    result = run("import mxnet; print(mxnet.nd.ones(3).sum().asscalar())", site)
    assert (result.returncode, result.stdout) == (0, "3.0\n"), result.stderr


def test_nothing_is_imported_or_changed_before_mxnet_is(site):
    """Nor where there is no MXNet."""
    code = """
import sys, importlib.util
assert not {"numpy", "mxnet", "gluon_enhance", "setuptools"} & set(sys.modules)
import numpy
had = "bool" in vars(numpy)
sys.path = [path for path in sys.path if "site-packages" not in path]
sys.path_importer_cache.clear()
try:
    import mxnet
except ModuleNotFoundError:
    assert ("bool" in vars(numpy)) == had
    print("as it was")
"""
    result = run(code, site)
    assert result.stdout == "as it was\n", result.stderr


def test_a_hook_whose_module_is_gone_is_silent(site):
    (site / HOOK[1]).unlink()
    result = run("print('started')", site)
    assert (result.stdout, result.stderr) == ("started\n", "")


@pytest.mark.parametrize("kind", ["bdist_wheel", "editable_wheel"])
def test_wheels_hold_the_hook_beside_the_packages(kind, tmp_path):
    pytest.importorskip("setuptools", minversion="70.1")  # which builds wheels by itself
    for name in (*HOOK, "setup.py", "pyproject.toml", "README.md", "MANIFEST.in"):
        shutil.copy(CHECKOUT / name, tmp_path)
    (tmp_path / "gluon_enhance").mkdir()
    shutil.copy(CHECKOUT / "gluon_enhance" / "__init__.py", tmp_path / "gluon_enhance")
    for folder in ("model_zoo", "train_scripts"):
        (tmp_path / folder).mkdir()
    command = [sys.executable, "setup.py", "-q", kind, "--dist-dir", "dist"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert HOOK[0] in archive.namelist()
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        assert f"{HOOK[0]},sha256=" in archive.read(record).decode()  # so that pip removes it
        finds = HOOK[1] in archive.namelist() or any(
            b"gluon_enhance_mxnet" in archive.read(name)
            for name in archive.namelist()
            if name.startswith("__editable__")
        )
        assert finds
