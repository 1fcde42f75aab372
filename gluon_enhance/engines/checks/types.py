"""The types of what operators of ONNX take and give; engines do not check all of them.

A rule such as ``TL>T`` names the types of the inputs in turn, of which the last is that of all
others, too, and of the result:

- T any type, N one of numbers, F one of real numbers: the same wherever the letter stands
- M some numbers, R some real ones, I whole ones of 32 or 64 bits, L of 64 bits, B truth values,
  Q bytes
- ? as an attribute, or a zero point, says
"""

from __future__ import annotations

from gluon_enhance.engines.checks.calls import Call
from gluon_enhance.engines.checks.onnx_file import (
    BFLOAT16,
    BOOL,
    DTYPES,
    INT64,
    REAL,
    UINT8,
)

FLOAT64 = 11
REALS = {*REAL, BFLOAT16}
ALLOWED = {
    "T": set(DTYPES),
    "N": set(DTYPES) - {BOOL},
    "F": REALS,
    "M": set(DTYPES) - {BOOL},
    "R": REALS,
    "I": {6, INT64},
    "L": {INT64},
    "B": {BOOL},
    "Q": {2, 3, 6},
}
SHARED = "TNF"


def type_of(call: Call, rule: str) -> int:
    """Return the type of a node's outputs, by its rule.

    Raises
    ------
    ValueError
        If an input is of another type than the rule says.
    """
    letters, _, result = rule.partition(">")
    shared = 0
    for k, one in enumerate(call.inputs):
        if one is None:
            continue
        letter = letters[min(k, len(letters) - 1)]
        if letter in SHARED:
            shared = shared or one.kind
        if one.kind not in ALLOWED[letter] or (letter in SHARED and one.kind != shared):
            raise ValueError(f"its input {k} is of a type that does not fit")
        if one.kind == FLOAT64 and one.value is None and call.node.op != "Cast":
            raise ValueError(f"its input {k} is float64, which is no type of maps; cast it first")
    if result == "?":
        return _asked_for(call)
    return {"B": BOOL, "L": INT64}.get(result, shared)


def _asked_for(call):
    """Return the type that an attribute or a zero point says."""
    if call.node.op == "Cast":
        if "to" not in call.attributes:
            raise ValueError("attribute 'to' is missing")
        return call.attributes["to"]
    if call.node.op == "QuantizeLinear":
        return call.inputs[2].kind if call.given(2) else UINT8
    for name, value in call.attributes.items():
        if name == "value":
            return value.kind
        return 1 if "float" in name else INT64
    return 1
