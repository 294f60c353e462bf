"""Delegates and kernels of LiteRT, which have no part in an inference here."""

from __future__ import annotations

import enum
from typing import Any, NoReturn

from kaniwa.compat.errors import OptionError

__all__ = ["OpResolverType", "load_delegate"]


@enum.unique
class OpResolverType(enum.Enum):
    """Sets of LiteRT's kernels; every one gives the answers of BUILTIN_REF here."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


def load_delegate(library: object, options: dict[Any, Any] | None = None) -> NoReturn:
    """Raise OptionError, a ValueError, as LiteRT does where a delegate cannot be loaded."""
    raise OptionError(f"failed to load delegate from {library}: the accelerator takes no delegate; "
                      "give the Interpreter device= instead")
