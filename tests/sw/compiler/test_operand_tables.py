"""Tables that layers share: the common one of sums, and what stays in the banks."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.networks.random_sums import kept_tables, random_sums, tables_brought

from kaniwa import golden
from kaniwa.compiler.merge.operand_tables import OPERAND
from kaniwa.compiler.pipeline import compile, plan_model
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.plan import Options
from kaniwa.compiler.plan.rescale import affine
from kaniwa.compiler.schedule.table_banks import TableUse, table_uses
from kaniwa.config import PRESETS
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.outside import parse_outside
from kaniwa.sim.worlds.random_graphs import random_compact_config, random_config, random_input
from kaniwa.verify.diff import diff

FIRST, SECOND = (a.astype(np.int8).reshape(1, 256, 256, 1) for a in
                 np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij"))


def has_common_table(layer: ArrayLayer) -> bool:
    assert layer.add is not None
    return np.array_equal(np.abs(layer.add.tables[1].astype(np.int64)), OPERAND)


def random_sum(kind: str, rule: str, seed: int) -> Graph:
    """Of two inputs, with scales that differ by up to 64."""
    b = GraphBuilder(seed)
    scales = [float(np.float32(s)) for s in 2.0 ** b.rng.uniform(-6, 0, 2)]
    zeros = [int(z) for z in b.rng.integers(-128, 128, 3)]
    x, y = (b.tensor((1, 256, 256, 1), s, z) for s, z in zip(scales, zeros, strict=False))
    scale = float(np.float32(max(scales) * 2.0 ** b.rng.uniform(-1, 2)))
    activation = str(b.rng.choice(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))
    graph = b.graph((x, y), (b.elementwise(kind, x, y, activation, scale, zeros[2]),))
    if rule == "qdq":
        op = replace(graph.ops[0], rule=rule,
                     attributes={"activation": "NONE", "bounds": (-128, 127)})
        graph = replace(graph, ops=(op,))
    return graph


@pytest.mark.parametrize("bits", [28, 31])
@pytest.mark.parametrize("rule", ["litert", "qdq"])
@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_the_common_table_changes_no_result(kind: str, rule: str, bits: int) -> None:
    config = replace(PRESETS["base"], multiplier_bits=bits)
    found = 0
    for seed in range(25):
        graph = random_sum(kind, rule, seed)
        (layer,) = plan_model(graph, config, Options(outside=parse_outside("ideal"))).layers
        assert isinstance(layer, ArrayLayer) and layer.add is not None
        found += has_common_table(layer)
        tables, rescale = layer.add.tables.astype(np.int64), layer.add.rescale
        sums = tables[0][FIRST.astype(np.int64) + 128] + tables[1][SECOND.astype(np.int64) + 128]
        assert np.abs(sums).max() < 1 << 31
        got = affine(sums, rescale.multiplier, rescale.shift, rescale.rounding, bits)
        expected = golden.run(graph, [FIRST, SECOND])[graph.outputs[0]]
        assert np.array_equal(
            np.clip(got + rescale.zero_point, rescale.act_min, rescale.act_max), expected), seed
    assert found >= 24      # scales that differ by more than 30 keep their tables


def chain(kinds: str) -> Graph:
    """Convolutions, each with an ADD (a), SUB (s) or MUL (m) of the input behind it."""
    b = GraphBuilder(3)
    x = last = b.tensor((1, 6, 6, 8), 0.5, 3)
    for number, letter in enumerate(kinds):
        kind = {"a": "ADD", "s": "SUB", "m": "MUL"}[letter]
        made = b.requantized(b.conv(last, 8), 2.0 + number, 3)
        last = b.elementwise(kind, made, x, scale=20.0 + number, zero_point=number)
    return b.graph((x,), (last,))


@pytest.mark.parametrize(("target", "kinds", "loads"), [
    ("base", "aaaaa", ["01", "01", "0", "0", "0"]),      # once for each bank
    ("small", "aasa", ["01", "01", "01", "0"]),      # SUB has its negative
    ("small", "asasa", ["01", "01", "0", "0", "0"]),
    ("base", "amaa", ["01", "01", "0", "01"]),
    ("nano", "aaa", ["01", "0", "0"])])
def test_a_table_that_is_there_is_not_loaded(target: str, kinds: str, loads: list[str]) -> None:
    graph = chain(kinds)
    program = compile(graph, target)
    assert [numbers for numbers in tables_brought(program) if numbers] == loads
    assert diff(program, ["golden", "emulator"], random_input(graph, 1))[
        "first_difference"] is None


def use(letters: str, banks: int = 2, carries: bool = False) -> list[TableUse]:
    """Of instructions divided by spaces, with a table for each letter; a dash has none.

    ``carries``: each can bring tables of the next one.
    """
    words = letters.split()
    return table_uses([[np.full(256, ord(letter), np.int32) for letter in word if letter != "-"]
                       for word in words], banks, [carries] * len(words))


def test_banks_alternate_where_nothing_stays() -> None:
    assert use("ab cd - ef g") == [TableUse(0, (0, 1)), TableUse(1, (0, 1)), TableUse(1),
                                   TableUse(0, (0, 1)), TableUse(1, (0,))]
    assert use("ab cd ab", banks=1) == [TableUse(0, (0, 1))] * 3


def test_a_table_in_use_is_not_replaced() -> None:
    assert use("ab ab cb cb") == [TableUse(0, (0, 1)), TableUse(0), TableUse(1, (0, 1)),
                                  TableUse(1)]
    assert use("ab - cb")[2] == TableUse(0, (0,))      # which is not in use any more
    assert use("ab cb", banks=1)[1] == TableUse(0, (0,))      # such a core ends the one before


def test_what_is_wanted_most_stays() -> None:
    assert use("ab - cd - ef - ab - ab")[4] == TableUse(1, (0, 1))
    assert use("ab - cd - ef - ab - ab")[6] == TableUse(0)


def test_tables_come_early_where_they_replace_none_in_use() -> None:
    assert use("- ab", carries=True)[1] == TableUse(0, (0, 1), early=True)
    assert use("ab - - cd", carries=True)[3] == TableUse(1, (0, 1), early=True)
    assert use("ab - cd", carries=True)[2] == TableUse(1, (0, 1), early=True)      # another bank
    assert not use("ab cd ef", carries=True)[2].early      # both are in use
    assert not use("ab", carries=True)[0].early and not use("- ab", 1, carries=True)[1].early
    assert not use("ab ab", carries=True)[1].early         # nothing is to be loaded


@pytest.mark.parametrize("carries", [False, True])
def test_random_uses_have_their_tables(carries: bool) -> None:
    """What an instruction uses is in its bank, and the one before does not use what is loaded; nor
    do the two before, if it comes early."""
    rng = np.random.default_rng(5)
    for banks in (1, 2):
        kept = 0
        for _ in range(200):
            words = ["".join(rng.choice(list("abc"), rng.integers(1, 3))) if rng.random() < 0.8
                     else "-" for _ in range(12)]
            held: dict[tuple[int, int], str] = {}
            before: list[set[tuple[int, int]]] = [set(), set()]
            for word, made in zip(words, use(" ".join(words), banks, carries), strict=True):
                for used in before if made.early else before[1:]:
                    assert banks == 1 or used.isdisjoint((made.bank, n) for n in made.loads)
                held.update({(made.bank, n): word[n] for n in made.loads})
                letters = word.strip("-")
                before = [before[1], {(made.bank, n) for n in range(len(letters))}]
                assert [held[made.bank, n] for n in range(len(letters))] == list(letters)
                kept += len(letters) - len(made.loads)
        assert kept > 200


def test_random_networks_are_exact() -> None:
    """On random configs; tables stay, and functions go behind broadcasts, on every kind of core."""
    found: Counter[str] = Counter()
    for seed in range(100):
        rng, graph = random.Random(seed), random_sums(seed)
        config = (random_compact_config if seed % 3 == 0 else random_config)(rng)
        try:
            program = compile(graph, replace(config, memory_bytes=1 << 17))
        except CompileError:      # a bound of the config
            continue
        difference = diff(program, ["golden", "emulator"], random_input(graph, seed))
        assert difference["first_difference"] is None, seed
        kind = "compact" if config.compact else "large"
        for layer in program.layers:
            found[kind] += 1
            found["behind"] += layer.op.startswith("BROADCAST+") and layer.op.count("+") > 1
            found["fused"] += "+" in layer.op
        found[f"{kind} stays"] += kept_tables(program)
    assert min(found.values()) > 10 and len(found) == 6, found
