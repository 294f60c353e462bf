"""Generated folders that several files of tests look at: each is made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from builders.generated_designs import design_of

from kaniwa.generate.design import BUSES
from kaniwa.generate.files import generated_files

Files = Mapping[str, bytes]


@pytest.fixture(scope="session")
def generated() -> Callable[[str], Files]:
    """A function from a kind of design (``KINDS``) to its files."""
    made: dict[str, Files] = {}

    def of(kind: str) -> Files:
        if kind not in made:
            pytest.importorskip("amaranth")
            made[kind] = generated_files(design_of(kind))
        return made[kind]

    assert set(BUSES) == {"axi4", "wishbone", "stream"}
    return of
