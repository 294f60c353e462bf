"""Independent items of work, done in this process, in others, or on workers of a Dask scheduler."""

from typing import TYPE_CHECKING

from kaniwa.lazy import exports

if TYPE_CHECKING:
    from kaniwa.parallel.option import scheduler
    from kaniwa.parallel.workers import Workers

__all__ = ["Workers", "scheduler"]

if not TYPE_CHECKING:
    __getattr__ = exports("kaniwa.parallel", {
        "Workers": "kaniwa.parallel.workers", "scheduler": "kaniwa.parallel.option"})
