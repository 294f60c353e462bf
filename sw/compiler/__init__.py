"""The compiler: a model to a program, one pass after the other."""

from typing import TYPE_CHECKING

from kaniwa.lazy import exports

if TYPE_CHECKING:
    from kaniwa.compiler.pipeline import PIPELINE, compile, plan_model

__all__ = ["PIPELINE", "compile", "plan_model"]

if not TYPE_CHECKING:
    __getattr__ = exports("kaniwa.compiler", {
        "PIPELINE": "kaniwa.compiler.pipeline",
        "compile": "kaniwa.compiler.pipeline",
        "plan_model": "kaniwa.compiler.pipeline",
    })
