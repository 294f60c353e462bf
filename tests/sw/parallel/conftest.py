"""A scheduler of this machine, which is like one elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kaniwa.parallel import Workers, scheduler
from kaniwa.parallel.owners import SIMULATOR


@pytest.fixture(scope="module")
def dask_cluster() -> Iterator[Any]:
    """Two worker processes of two threads each, which own a simulator each."""
    import dask
    from distributed import LocalCluster

    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}), LocalCluster(
            n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0",
            memory_limit=0, silence_logs=60, resources={SIMULATOR: 1}) as found:
        yield found


@pytest.fixture
def address(dask_cluster: Any) -> str:
    found: str = dask_cluster.scheduler_address
    return found


@pytest.fixture
def workers(address: str) -> Iterator[Workers]:
    with scheduler(address) as opened:
        yield opened
