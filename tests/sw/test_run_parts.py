"""The runner of `make test`: no part passes by running nothing or by dying."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def parts(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_parts", root / "tests" / "run_parts.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_parts"] = module   # dataclasses look their module up here
    spec.loader.exec_module(module)
    return module


def test_a_part_that_ran_nothing_fails(parts: ModuleType) -> None:
    assert parts.settle(parts.Counts(skipped=3), 0, "x") == parts.Counts(failed=1, skipped=3)


def test_a_part_that_died_after_passing_fails(parts: ModuleType) -> None:
    assert parts.settle(parts.Counts(passed=3), -9, "x") == parts.Counts(passed=3, failed=1)


def test_a_part_that_passed_is_left_alone(parts: ModuleType) -> None:
    assert parts.settle(parts.Counts(passed=3), 0, "x") == parts.Counts(passed=3)


def test_failures_errors_and_skips_are_told_apart(parts: ModuleType, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>'
    )
    assert parts.read_junit(report) == parts.Counts(passed=3, failed=3, skipped=3)


def test_a_missing_report_is_a_failure(parts: ModuleType, tmp_path: Path) -> None:
    assert parts.read_junit(tmp_path / "none.xml") == parts.Counts(failed=1)


def test_the_last_closing_line_counts(parts: ModuleType) -> None:
    output = "bench a\n1 passed, 0 failed\nbench b\n12 passed, 2 failed\n"
    assert parts.read_closing_line(output) == parts.Counts(passed=12, failed=2)


def test_output_without_a_closing_line_counts_nothing(parts: ModuleType) -> None:
    assert parts.read_closing_line("all 12 passed, 0 failed, I think\n") == parts.Counts()


def test_mutation_is_named_as_not_run(parts: ModuleType) -> None:
    assert any(text.startswith("make mutate (") for text in parts.other_targets())
    assert not any(text.startswith("make test") for text in parts.other_targets())
