"""Execution providers: names by which ONNX Runtime's scripts choose what runs a model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

from kaniwa.compat.errors import OptionError
from kaniwa.driver.runner import OpenOptions

__all__ = ["CPU", "KANIWA", "Providers", "chosen", "get_available_providers", "get_device"]

KANIWA, CPU = "KaniwaExecutionProvider", "CPUExecutionProvider"
OPTIONS = ("device", "target", "outside")
Providers = Sequence[str | tuple[str, Mapping[str, Any]]]


def get_available_providers() -> list[str]:
    """The execution providers: kaniwa's devices, and the CPU, which runs the golden kernels."""
    return [KANIWA, CPU]


def get_device() -> str:
    """The kind of device that runs models unless another is asked for."""
    return "KANIWA"


def chosen(providers: Providers | None,
           provider_options: Sequence[Mapping[str, Any]] | None) -> OpenOptions:
    """Device and target that the first known one of ``providers`` asks for.

    Providers that are not there are passed over with a warning, as ONNX Runtime does. Raises
    OptionError, a ValueError, for lists of a wrong form and for an unknown option.
    """
    for name, options in _pairs(providers, provider_options):
        if name == CPU:
            return {"device": "golden"}      # its options are of memory and threads
        if name == KANIWA:
            unknown = [key for key in options if key not in OPTIONS]
            if unknown:
                raise OptionError(f"{KANIWA} has no option '{unknown[0]}': it has "
                                  f"{', '.join(OPTIONS)}")
            return cast(OpenOptions, dict(options))
        warnings.warn(f"there is no provider '{name}' here: there are {KANIWA} and {CPU}",
                      stacklevel=4)
    return {}


def _pairs(providers: Any, options: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Each provider with its options."""
    if providers is None:
        return []
    if not isinstance(providers, Sequence) or isinstance(providers, str):
        raise OptionError(f"providers must be a list of names, not {providers!r}")
    if options is None:
        pairs = [(each, {}) if isinstance(each, str) else each for each in providers]
    elif isinstance(options, Sequence) and len(options) == len(providers):
        pairs = list(zip(providers, options, strict=True))
    else:
        raise OptionError(f"provider_options must be a list of {len(providers)} dicts, one a "
                          "provider")
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
                and isinstance(pair[1], Mapping)):
            raise OptionError(f"a provider must be a name or (name, dict of options), not {pair!r}")
    return pairs
