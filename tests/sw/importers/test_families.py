"""Importer, golden kernels, compiler and random cases have one vocabulary of operator families."""

from __future__ import annotations

import pytest
from builders.operator_cases import DRAWS

from kaniwa import golden
from kaniwa.compiler.operators import table
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


@pytest.mark.parametrize("kind", sorted(table.OPERATORS))
def test_the_compiler_has_an_operator_in_the_file_of_that_name(kind: str) -> None:
    (family,) = (name(family.__name__) for family in table.FAMILIES
                 if kind in (operator.kind for operator in family.OPERATORS))
    assert FAMILY.get(kind, family) == family


def test_only_variables_are_without_a_kernel() -> None:
    assert set(OPERATORS) - set(KERNELS) == WITHOUT_KERNEL
