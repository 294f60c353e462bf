"""Resource variables: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE."""

from __future__ import annotations

from typing import Any

from kaniwa.graph import Tensor
from kaniwa.importers import consistency
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, shape_of

__all__ = ["OPERATORS"]


def _handle(options: Any, op: Operands) -> dict[str, object]:
    parts = [part or b"" for part in (options.Container(), options.SharedName())]
    text = "/".join(part[:1000].decode("utf-8", "replace") for part in parts)
    return {"name": "".join(c if c.isprintable() else "?" for c in text)}


def _once(options: Any, op: Operands) -> dict[str, object]:
    return {"subgraph": int(options.InitSubgraphIndex())}


def has_name(op: Operands) -> str | None:
    """A variable has a name."""
    return None if op.attributes.get("name") != "/" else "the variable has no name"


def has_value(op: Operands) -> str | None:
    """A variable is assigned, by CALL_ONCE or by the model, before it is read."""
    if "before" not in op.attributes or op.attributes["before"] is not None:
        return None
    return ("reads a variable that has no value yet; assign it in a subgraph that CALL_ONCE names, "
            "or before")


def keeps_form(op: Operands) -> str | None:
    """A variable keeps its dtype and shape."""
    before, after = op.attributes.get("before"), op.attributes.get("after")
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return None
    if (before.dtype, before.shape) == (after.dtype, after.shape):
        return None
    return (f"{shape_of(after)} of {after.dtype} is another form than the variable's "
            f"{list(before.shape)} of {before.dtype}")


def assigns_constants(op: Operands) -> str | None:
    """The subgraph of CALL_ONCE does nothing but assign constants to variables."""
    wrong = op.attributes.get("wrong")
    return f"its subgraph has {wrong}; only constants can be assigned" if wrong else None


_RULES = dict.fromkeys(
    ("int8", "uint8", "int16", "int32", "int64", "float32", "bool"), "exact")

OPERATORS = (
    OperatorInfo(
        "VAR_HANDLE", _RULES, "VarHandleOptions", True, _handle,
        (consistency.operand_count(0, 0, 0),), (has_name,),
    ),
    OperatorInfo(
        "READ_VARIABLE", _RULES,
        consistency=(consistency.operand_count(1, 1),), limits=(has_value, keeps_form),
    ),
    OperatorInfo(
        "ASSIGN_VARIABLE", _RULES,
        consistency=(consistency.operand_count(2, 2, outputs=0),), limits=(keeps_form,),
    ),
    OperatorInfo(
        "CALL_ONCE", _RULES, "CallOnceOptions", True, _once,
        (consistency.operand_count(0, 0, 0, 0),), (assigns_constants,),
    ),
)
