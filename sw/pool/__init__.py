"""Several devices as one: inferences shared out among them, or a model cut into stages."""

from typing import TYPE_CHECKING

from kaniwa.lazy import exports

if TYPE_CHECKING:
    from kaniwa.pool.pipeline import Pipeline
    from kaniwa.pool.pool import Pool
    from kaniwa.pool.stages import split

__all__ = ["Pipeline", "Pool", "split"]

if not TYPE_CHECKING:
    __getattr__ = exports("kaniwa.pool", {
        "Pipeline": "kaniwa.pool.pipeline",
        "Pool": "kaniwa.pool.pool",
        "split": "kaniwa.pool.stages",
    })
