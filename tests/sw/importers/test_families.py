"""Importer, golden kernels and random cases have one vocabulary of operator families."""

from __future__ import annotations

import pytest
from builders.operator_cases import DRAWS

from kaniwa import golden
from kaniwa.golden.registry import KERNELS
from kaniwa.importers.operators import FAMILIES, OPERATORS

assert golden      # it registers the kernels
# What the importer makes state of: no operator is left to execute.
WITHOUT_KERNEL = {"VAR_HANDLE", "ASSIGN_VARIABLE", "CALL_ONCE"}


def name(module: str) -> str:
    return module.rpartition(".")[2]


FAMILY = {info.kind: name(family.__name__) for family in FAMILIES for info in family.OPERATORS}


@pytest.mark.parametrize("kind", OPERATORS)
def test_an_operator_is_in_files_of_one_name(kind: str) -> None:
    assert name(DRAWS[kind].__module__) == FAMILY[kind]
    if kind not in WITHOUT_KERNEL:
        assert name(KERNELS[kind].__module__) == FAMILY[kind]


def test_only_variables_are_without_a_kernel() -> None:
    assert set(OPERATORS) - set(KERNELS) == WITHOUT_KERNEL
