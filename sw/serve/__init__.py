"""Models on devices behind an HTTP server that speaks the Open Inference Protocol, version 2."""

from typing import TYPE_CHECKING

from kaniwa.lazy import exports

if TYPE_CHECKING:
    from kaniwa.serve.limits import Limits
    from kaniwa.serve.server import Server

__all__ = ["Limits", "Server"]

if not TYPE_CHECKING:
    __getattr__ = exports("kaniwa.serve", {
        "Limits": "kaniwa.serve.limits",
        "Server": "kaniwa.serve.server",
    })
