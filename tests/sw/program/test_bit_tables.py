"""The tables of bit fields: LAYER, the vector unit's instruction, the cell unit's descriptor."""

import random

import pytest

from kaniwa.errors import ProgramError
from kaniwa.isa import LAYER
from kaniwa.isa.bit_table import BitTable, Field, in_order
from kaniwa.units.cell.isa import DESCRIPTOR
from kaniwa.units.vector.isa import INSTRUCTION

TABLES = [LAYER, INSTRUCTION, DESCRIPTOR]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.what)
def test_fields_neither_overlap_nor_cross_a_word(table: BitTable) -> None:
    taken: set[int] = set()
    for field in table.fields.values():
        bits = set(range(field.bit, field.bit + field.width))
        assert field.lsb + field.width <= 32
        assert not bits & taken, field.name
        taken |= bits
    assert max(taken) < 8 * table.size


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.what)
def test_every_limit_of_every_field_survives_packing(table: BitTable) -> None:
    for name, field in table.fields.items():
        for value in (field.low, field.high, field.default):
            assert table.decode(table.pack({name: value}))[name] == value


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.what)
def test_random_legal_values_survive_packing_together(table: BitTable) -> None:
    rng = random.Random(5)
    values = {name: rng.randint(field.low, field.high) for name, field in table.fields.items()}
    assert table.decode(table.pack(values)) == values


def test_messages_name_the_field_the_table_and_the_range() -> None:
    table = BitTable("a box", 4, in_order([
        Field.of("side", 4, "", low=1), Field.of("place", 8, "", multiple=4)]),
        lambda values: "side is 7" if values["side"] == 7 else None)
    assert table.illegal({"side": 0, "place": 0}) == "side of a box must be 1..15, not 0"
    assert table.illegal({"side": 1, "place": 6}) == "place of a box must be a multiple of 4, not 6"
    assert table.illegal({"side": 7, "place": 4}) == "side is 7"
    for values, message in (({"edge": 1}, "unknown field 'edge' of a box"),
                            ({"side": 7}, "side is 7")):
        with pytest.raises(ProgramError, match=f"^{message}$"):
            table.encode(values)
    with pytest.raises(ProgramError, match="^side of a box does not hold 16$"):
        table.pack({"side": 16})
    with pytest.raises(ProgramError, match="^a box has 4 bytes, not 3$"):
        table.decode(bytes(3))
    assert table.encode({"place": 12}) == bytes([0xC1, 0, 0, 0])


def test_fields_that_are_too_many_are_refused() -> None:
    with pytest.raises(AssertionError, match="the fields of a byte do not fit 1 bytes"):
        BitTable("a byte", 1, in_order([Field.of("a", 5, ""), Field.of("b", 5, "")]))


def test_a_compact_core_keeps_a_field_in_one_place_or_refuses_it() -> None:
    for field in LAYER.fields.values():
        roles = [word for word in field.compact if word in ("kept", "start", "unused")]
        sizes = [word for word in field.compact
                 if word in ("count", "line", "memory") or word.isdigit()]
        assert len(roles) <= 1 and len(sizes) <= 1, field.name
        assert {*field.compact} == {*roles, *sizes} | ({"words"} & {*field.compact}), field.name
        assert not sizes or roles, field.name
