"""Run pickles that hold data only, calling nothing but the functions given.

The stack machine here knows the opcodes that build dicts, lists, tuples and scalars, and a table of
functions. `pickle.Unpickler` with a `find_class` of its own would call no others either, but cannot
be bounded: ten bytes that put something under number 10**8 of its memo make it take 1.6 GB.

References
----------
.. [1] https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Optional, TypeVar, Union

Kind = TypeVar("Kind")
SCALARS = (str, bytes, int, float, type(None))
MAX_BITS = 128
"""Of whole numbers: arithmetic on longer ones takes time without end."""
MAX_ARGUMENTS = 16
"""Of a call, which copies them; PyTorch gives a tensor up to seven."""
DAMAGE = (ValueError, TypeError, KeyError, IndexError, OverflowError)
"""What `load` and functions fed by it raise on a damaged pickle."""


class ForbiddenError(Exception):
    """A pickle asks for a function or class that it has no need of."""


@dataclass(frozen=True)
class Name:
    """A ``module.name`` that the pickle asked for; never the thing itself."""

    name: str


def load(
    stream: BinaryIO,
    functions: Optional[Mapping[str, Callable]] = None,
    names: Container[str] = (),
    persistent: Optional[Callable] = None,
) -> object:
    """Run the pickle at the stream's position and return what it builds.

    Parameters
    ----------
    stream : binary file
        Left just after the pickle.
    functions : mapping of str to callable, optional
        What the pickle may call, by ``module.name``. They must check their arguments.
    names : container of str
        What it may name besides; they come to functions and to ``persistent`` as `Name`.
    persistent : callable, optional
        Turns a persistent id into an object.

    Raises
    ------
    ForbiddenError
        If the pickle names anything else.
    ValueError, TypeError, KeyError, IndexError, OverflowError
        If the pickle is damaged or uses other opcodes (`DAMAGE`).
    """
    machine = _Machine(functions or {}, names, persistent)
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in _PUSHED:
            if isinstance(argument, int) and argument.bit_length() > MAX_BITS:
                raise ValueError(f"a number of {argument.bit_length()} bits has no place in it")
            machine.stack.append(argument)
        elif opcode.name in _STEPS:
            _STEPS[opcode.name](machine, argument)
        elif opcode.name != "STOP":
            raise ValueError(f"pickle opcode {opcode.name} has no place in plain data")
    return machine.stack.pop()


def expect(value: object, kinds: Union[type[Kind], tuple[type[Kind], ...]]) -> Kind:
    """Return the value if it is of one of the kinds, else raise TypeError."""
    if not isinstance(value, kinds):
        raise TypeError(f"a {type(value).__name__} is out of place")
    return value


class _Machine:
    def __init__(self, functions, names, persistent):
        self.stack, self.below_mark, self.memo = [], [], {}
        self.functions, self.names, self.persistent = functions, names, persistent

    def mark(self, _):
        self.below_mark.append(self.stack)
        self.stack = []

    def pop_mark(self):
        items, self.stack = self.stack, self.below_mark.pop()
        return items

    def put(self, index):
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def get(self, index):
        self.stack.append(self.memo[index])

    def marked_tuple(self, _):
        items = tuple(self.pop_mark())
        self.stack.append(items)

    def short_tuple(self, length):
        items = tuple(self.stack.pop() for _ in range(length))
        self.stack.append(items[::-1])

    def extend(self, items):
        expect(self.stack[-1], list).extend(items)

    def set_items(self, items):
        target = expect(self.stack[-1], dict)
        for key, value in zip(items[::2], items[1::2]):
            target[expect(key, SCALARS)] = value

    def look_up(self, name):
        if name not in self.functions and name not in self.names:
            raise ForbiddenError(name)
        self.stack.append(Name(name))

    def look_up_popped(self, _):
        name, module = expect(self.stack.pop(), str), expect(self.stack.pop(), str)
        self.look_up(f"{module}.{name}")

    def reduce(self, _):
        arguments, function = expect(self.stack.pop(), tuple), expect(self.stack.pop(), Name)
        if len(arguments) > MAX_ARGUMENTS:
            raise ValueError(f"{function.name} is called with {len(arguments):,} arguments")
        self.stack.append(self.functions[function.name](*arguments))

    def build(self, _):
        # Attributes of a dict: PyTorch keeps the versions of its layers there. Not needed.
        self.stack.pop()
        expect(self.stack[-1], dict)

    def load_persistent(self, _):
        if self.persistent is None:
            raise ValueError("a persistent id is out of place")
        self.stack.append(self.persistent(self.stack.pop()))


_PUSHED = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "LONG4",
    "BINFLOAT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "SHORT_BINSTRING",
    "BINSTRING",
    "SHORT_BINBYTES",
    "BINBYTES",
}
_STEPS = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "MARK": _Machine.mark,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.marked_tuple,
    "TUPLE1": lambda machine, _: machine.short_tuple(1),
    "TUPLE2": lambda machine, _: machine.short_tuple(2),
    "TUPLE3": lambda machine, _: machine.short_tuple(3),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "GLOBAL": lambda machine, name: machine.look_up(name.replace(" ", ".")),
    "STACK_GLOBAL": _Machine.look_up_popped,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.load_persistent,
}
