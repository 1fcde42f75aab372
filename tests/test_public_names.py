"""What editors and mypy read of the package's names is what Python gives."""

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


def test_type_checkers_see_every_public_name_and_no_other():
    assert sorted(names_for_type_checkers()) == sorted(ge.__all__)


def test_a_public_name_is_to_type_checkers_what_it_is_at_run_time():
    for name, module in names_for_type_checkers().items():
        given = getattr(ge, name)
        if inspect.ismodule(given):
            assert given is importlib.import_module(f"{module}.{name}")
        else:
            assert given is getattr(importlib.import_module(module), name)


def test_a_misspelled_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="enhancr"):
        _ = ge.enhancr
