"""Generated folders that several files of tests look at: each is made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from kaniwa.config import PRESETS
from kaniwa.generate.design import BUSES, Design
from kaniwa.generate.files import generated_files

Files = Mapping[str, bytes]


@pytest.fixture(scope="session")
def generated() -> Callable[[str], Files]:
    """A function from a bus to the files of target nano behind it, with the name `tiny`."""
    made: dict[str, Files] = {}

    def of(bus: str) -> Files:
        if bus not in made:
            pytest.importorskip("amaranth")
            made[bus] = generated_files(Design(PRESETS["nano"], bus, name="tiny"))
        return made[bus]

    assert set(BUSES) == {"axi4", "wishbone", "stream"}
    return of
