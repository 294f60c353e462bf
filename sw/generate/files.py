"""All files of a generated folder, by their paths in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kaniwa._version import __version__
from kaniwa.driver.frames import REGISTERS
from kaniwa.generate.design import BUSES, Design
from kaniwa.generate.projects import has_projects, project_templates, selftest_values
from kaniwa.generate.registers import words_of
from kaniwa.generate.template import render
from kaniwa.generate.vectors import MEMORY_MODEL_BYTES, Vectors, vectors_of
from kaniwa.generate.verilog import LINE_PACE, Port, design_verilog
from kaniwa.isa import MAGIC, OUTSIDE
from kaniwa.isa.bus import memory_offset, window_bytes

__all__ = ["BUILD_FOLDERS", "file_names", "generated_files"]

# What builds leave in the folder: the testbench's Makefile, FuseSoC, and the projects.
BUILD_FOLDERS = ("tb/build", "build", "projects/arty_a7/build", "projects/de10_nano/build")

# Rules of `verilator -Wall` that lines by Amaranth and Yosys break, each with its reason.
WAIVERS = {
    "UNUSEDSIGNAL": "A block has all fields of what comes in, and reads those it needs.",
    "PROCASSINIT": "A flip-flop has its value at power-up in its declaration.",
    "CASEINCOMPLETE": "A register keeps its value in the cases that are not named.",
    "WIDTHEXPAND": "Sums of several widths: the shorter operand is extended, as intended.",
    "WIDTHTRUNC": "Sums and shifts that are one bit longer than what keeps them.",
    "DECLFILENAME": "One file has all modules.",
    "ASCRANGE": "Fields without bits in a small target are declared as [-1:0].",
    "CMPCONST": "Limits that all values of a small target are within.",
    "UNSIGNED": "The same, for limits of 0.",
    "VARHIDDEN": "Loops that set memories to zero have a variable i; so may a port have that name.",
}
_USED_IN_TESTBENCH = ("MAGIC", "CONTROL", "STATUS", "PROGRAM_ADDRESS", "WATCHDOG", "CYCLES",
                      "IRQ_STATUS", "IRQ_ENABLE")
_USED_WITH_A_SENSOR = ("SENSOR_CONTROL", "SENSOR_EVENTS", "SENSOR_INPUT_ADDRESS",
                       "SENSOR_INPUT_LENGTH", "SENSOR_OUTPUT_ADDRESS", "SENSOR_OUTPUT_LENGTH",
                       "SENSOR_TABLE", "SENSOR_FRAMES", "SENSOR_DROPPED", "SENSOR_EARLY")


def generated_files(design: Design, progress: Callable[[str], None] = lambda text: None) -> dict[
        str, bytes]:
    """The bytes of each file, the same for the same design.

    ``progress`` hears of what takes long. Raises ConfigError for a design that there is no gateware
    or no testbench of, and BuildError without the extra ``sim``.
    """
    progress("testbench")
    vectors = vectors_of(design)     # first: it finds in a second what does not fit
    progress("gateware")
    verilog, ports, first_line = design_verilog(design)
    progress("files")
    name, last_line, sensor = design.name, verilog.count("\n"), vectors.sensor
    values = _values(design, ports) | {
        "first_line": first_line, "last_line": last_line, "networks": vectors.networks,
        "runs": len(vectors.runs), "writes": vectors.text("writes").count("\n"),
        "checks": vectors.text("checks").count("\n"), "sensor": sensor}
    if has_projects(design):
        values |= selftest_values(design, vectors.runs[0])
    texts = {path: render(template, **values) for path, template in _templates(design).items()}
    texts |= {f"{name}.v": verilog, "tb/writes.hex": vectors.text("writes"),
              "tb/checks.hex": vectors.text("checks"), "tb/runs.hex": vectors.index}
    if sensor:
        texts |= {"tb/samples.hex": sensor.samples, "tb/results.hex": sensor.bytes_offered}
    if has_projects(design):
        first = Vectors(vectors.runs[:1], ())
        texts |= {f"projects/{part}.hex": first.text(part) for part in ("writes", "checks")}
    return {path: texts[path].encode() for path in file_names(design)}


def file_names(design: Design) -> list[str]:
    """The paths of ``generated_files``, without making them; those in folders are last."""
    names = [*_templates(design), f"{design.name}.v", "tb/writes.hex", "tb/checks.hex",
             "tb/runs.hex"]
    if design.sensor:
        names += ["tb/samples.hex", "tb/results.hex"]
    if has_projects(design):
        names += ["projects/writes.hex", "projects/checks.hex"]
    return sorted(names, key=lambda name: ("/" in name, name))


def _templates(design: Design) -> dict[str, str]:
    """The template of each file that has one."""
    name, stream = design.name, design.bus == "stream"
    return {
        f"{name}.core": "fusesoc.core", f"{name}.h": "registers.h", f"{name}.md": "page.md",
        f"{name}.vlt": "waivers.vlt", "tb/Makefile": "Makefile",
        f"tb/{name}_tb.sv": "tb_stream.sv" if stream else "tb_bus.sv",
        **({} if stream else {f"{name}.svd": "registers.svd"}),
        **(project_templates(name) if has_projects(design) else {}),
    }


def _values(design: Design, ports: list[Port]) -> dict[str, Any]:
    """What the templates name, but for the sizes of this very Verilog and testbench."""
    words = words_of(design)
    used = [word for word in words if word.name in _USED_IN_TESTBENCH
            or design.outside and word.name.startswith("OUTSIDE_BASE")
            or word.name in _USED_WITH_A_SENSOR]
    return {
        "design": design, "name": design.name, "version": __version__, "words": words,
        "has_projects": has_projects(design),
        "used": used, "ports": ports, "prefix": design.name.upper(),
        "constants": _constants(design), "description": _title(design),
        "memory_bytes": design.config.memory_bytes, **_window(design), "waivers": WAIVERS,
        "slave": {"axi4": "s_axi", "wishbone": "s_wb", "stream": "s_axis"}[design.bus],
        "offsets_from": _offsets_from(design), "magic": MAGIC, "model_bytes": MEMORY_MODEL_BYTES,
        **_master(ports), "sides": _sides(ports), "bus": BUSES[design.bus],
        "outside_address": OUTSIDE, "registers_address": REGISTERS, "pace": LINE_PACE,
    }


def _title(design: Design) -> str:
    config = design.config
    return (f"kaniwa accelerator, target {design.target}: {config.multipliers} multiplications a "
            f"cycle, {BUSES[design.bus]}")


def _offsets_from(design: Design) -> str:
    if design.bus == "stream":
        return f"A READ finds the registers from address 0x{REGISTERS:08X} on."
    return "They count from the first byte of the window on the bus."


def _window(design: Design) -> dict[str, int]:
    """Sizes of the window on the bus, in bytes."""
    size = design.config.memory_bytes
    window, offset = window_bytes(size), memory_offset(size)
    return {"window_bytes": window, "memory_offset": offset,
            "register_bytes": offset or window,
            "window_bits": (window - 1).bit_length()}


def _constants(design: Design) -> list[tuple[str, str, str]]:
    """Name, C constant and meaning of what a driver must know of the accelerator."""
    config, number = design.config, int(design.config.hash, 16)
    rows = [
        ("TARGET", f'"{design.target}"', "name of the target"),
        ("CONFIG_HASH", f"UINT64_C(0x{number:016X})", "its hash; include stdint.h to use it"),
        ("MEMORY_BYTES", f"{config.memory_bytes}u", "device memory on chip"),
        ("OUT_LANES", f"{config.out_lanes}u", "output channels computed at once"),
        ("DOT_WIDTH", f"{config.dot_width}u", "products summed for each channel in a cycle"),
        ("PROGRAM_ALIGNMENT", f"{config.read_bytes}u", "of a program's address, in bytes"),
        ("OUTSIDE", f"{int(design.outside)}", "1: there is a master port for memory outside"),
    ]
    if design.sensor:
        rows.append(("SENSOR_BUFFER", f"{design.sensor_buffer}u",
                     "bytes of samples that are taken during a run"))
    if design.bus == "stream":
        rows.append(("REGISTERS", f"0x{REGISTERS:08X}u", "address of register 0 in a READ"))
    else:
        window = _window(design)
        rows += [
            ("WINDOW_BYTES", f"0x{window['window_bytes']:X}u", "size of the window on the bus"),
            ("MEMORY_OFFSET", f"0x{window['memory_offset']:X}u",
             "byte offset of device memory in the window; 0: there is none on chip")]
    if design.outside:
        rows.append(("OUTSIDE_ADDRESS", f"0x{OUTSIDE:08X}u",
                     "device address of the first byte outside"))
    return rows


def _master(ports: list[Port]) -> dict[str, int]:
    """Widths of the master port's byte address and data, in bits; 0 where there is none."""
    widths = {port.name: port.width for port in ports}
    data = widths.get("m_axi_wdata", widths.get("m_wb_dat_w", 0))
    size = (data // 8 - 1).bit_length() if "m_wb_adr" in widths else 0
    address = widths.get("m_axi_awaddr", widths.get("m_wb_adr", 0) + size)
    return {"data_bits": data, "address_bits": address, "size_bits": size}


def _sides(ports: list[Port]) -> dict[str, list[Port]]:
    """The ports by the bus port that they are of, such as s_axi; irq is of none."""
    sides: dict[str, list[Port]] = {}
    for port in ports:
        sides.setdefault(port.side, []).append(port)
    return sides

