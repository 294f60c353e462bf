"""The registers of a bus are the same in the page, in the C driver and in the code."""

import re

from kaniwa.export.c_source import driver_file
from kaniwa.isa import MAGIC, OUTSIDE, Command, Register, Status
from kaniwa.isa.bus import BUS_VERSION, BusError, BusRegister, Feature, Interrupt
from kaniwa.isa.sensor import OFFERING, SensorControl, SensorEvent, SensorRegister, SensorState


def test_the_page_has_the_registers(root):
    rows = re.findall(r"^\| (\d{3}) \| ([A-Z_]+) \|", (root / "docs" / "bus.md").read_text(),
                      re.MULTILINE)
    assert [(int(index), name) for index, name in rows] == [
        (r.value, r.name) for r in (*BusRegister, *SensorRegister)]


def test_the_page_has_the_bits_and_states_of_the_sensor(root):
    text = (root / "docs" / "bus.md").read_text().partition("## Sensors and results")[2]
    rows = re.findall(r"^\| (\d) \| ([A-Z]+)[^|]*\| ([A-Z]+)", text, re.MULTILINE)
    for column, names in ((1, SensorControl), (2, SensorEvent)):
        assert [(1 << int(row[0]), row[column]) for row in rows] == [
            (flag.value, flag.name) for flag in names]
    states = re.findall(r"^\| (\d) ([A-Z]+) \|", text, re.MULTILINE)
    assert [(int(number), name) for number, name in states] == [
        (state.value, state.name) for state in SensorState]
    assert f"bit {OFFERING}: a result" in text


def test_the_driver_in_c_has_the_registers_and_their_bits():
    header = driver_file("kaniwa.h").decode()
    enums = re.findall(r"enum(?: kaniwa_register)? \{\n(.*?)\n\};", header, re.DOTALL)[:3]
    registers, bits, sensor = ({name: int(value) for name, value in re.findall(
        r"KANIWA_(\w+) = (\d+)", text)} for text in enums)
    assert registers.keys() >= {r.name for r in (*BusRegister, *SensorRegister)}
    assert sensor == {**{f"SENSOR_CONTROL_{c.name}": c.value for c in SensorControl},
                      **{f"SENSOR_EVENT_{e.name}": e.value for e in SensorEvent}}
    known = {r.name: r.value for r in (*Register, *BusRegister, *SensorRegister)}
    assert all(known[name] == value for name, value in registers.items())
    assert bits == {
        **{f"CONTROL_{c.name}": c.value for c in Command},
        **{f"STATUS_{s.name}": s.value for s in Status},
        "IRQ_END": Interrupt.RUN_ENDED, "IRQ_BUS_ERROR": Interrupt.BUS_ERROR,
        "BUS_ERROR_HELD": BusError.HELD, "FEATURE_OUTSIDE": Feature.OUTSIDE}
    for name, value in (("MAGIC_VALUE", MAGIC), ("BUS_VERSION_VALUE", BUS_VERSION),
                        ("OUTSIDE", OUTSIDE)):
        (text,) = re.findall(rf"#define KANIWA_{name} UINT32_C\((\w+)\)", header)
        assert int(text, 0) == value
