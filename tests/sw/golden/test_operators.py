"""Every supported operator equals LiteRT's reference kernel, to the bit, on random cases."""

import numpy as np
import pytest
from builders.operator_cases import DRAWS, differences

from kaniwa.documents.operators import operator_table
from kaniwa.importers import OPERATORS

pytest.importorskip("ai_edge_litert")


@pytest.mark.parametrize("kind", OPERATORS)
def test_random_cases_equal_litert(kind: str) -> None:
    wrong, outputs = differences(kind, OPERATORS[kind].cases)
    assert wrong == 0
    # A comparison of saturated outputs alone would prove little.
    varied = [y for y in outputs if np.unique(y).size > (1 if y.dtype == bool else 2)]
    assert len(varied) > len(outputs) // 8


def test_every_operator_has_cases() -> None:
    assert set(DRAWS) == set(OPERATORS)
    rows = {row["operator"]: row for row in operator_table()}
    for kind, info in OPERATORS.items():
        assert info.cases >= 20
        assert rows[kind]["cases"] == info.cases and rows[kind]["rules"] == info.rules
