"""What editors and mypy read of the package's names is what Python gives, and has types."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import gluon_enhance as ge

SOURCE = Path(ge.__file__)


def names_for_type_checkers():
    """Map each name imported under ``if TYPE_CHECKING`` to its module."""
    (block,) = (
        node
        for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {alias.name: node.module for node in block.body for alias in node.names}


def public_functions():
    """Yield the functions among the public names, and the public methods of the classes."""
    for name in ge.__all__:
        public = getattr(ge, name)
        if inspect.isfunction(public):
            yield name, public
        elif inspect.isclass(public):
            for method, function in inspect.getmembers(public, inspect.isfunction):
                own = function.__module__.startswith("gluon_enhance")
                if own and (not method.startswith("_") or method in ("__init__", "__call__")):
                    yield f"{name}.{method}", function


def test_type_checkers_see_every_public_name_and_no_other():
    assert sorted(names_for_type_checkers()) == sorted(ge.__all__)


def test_a_public_name_is_to_type_checkers_what_it_is_at_run_time():
    for name, module in names_for_type_checkers().items():
        given = getattr(ge, name)
        if inspect.ismodule(given):
            assert given is importlib.import_module(f"{module}.{name}")
        else:
            assert given is getattr(importlib.import_module(module), name)


def test_public_functions_have_types_for_all_that_they_take_and_give():
    for name, function in public_functions():
        signature = inspect.signature(function)
        taken = [p for p in signature.parameters.values() if p.name != "self"]
        untyped = [p.name for p in taken if p.annotation is p.empty]
        assert not untyped, f"{name} takes {untyped} without types"
        assert signature.return_annotation is not signature.empty, f"{name} returns no type"


def test_the_options_of_enhance_raster_that_type_checkers_see_are_those_it_takes():
    pytest.importorskip("rasterio", reason="rasterio is not installed")
    from gluon_enhance.rasters.enhance import RasterOptions

    parameters = inspect.signature(ge.enhance_raster).parameters.values()
    taken = {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}
    seen = {name: kind.__forward_arg__ for name, kind in RasterOptions.__annotations__.items()}
    assert seen == taken


def test_a_misspelled_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="enhancr"):
        _ = ge.enhancr
