"""AcceleratorConfig: the parameters of one accelerator, their legal ranges, and the presets.

Imported by the compiler, the gateware and the simulator alike, so it imports none of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path

from kaniwa.errors import ConfigError
from kaniwa.isa.table import FIELDS, OUTSIDE, WEIGHT_FORMATS

__all__ = ["AcceleratorConfig", "PRESETS", "LEGAL_RANGES", "SWITCHES", "WEIGHT_FORMATS",
           "load_target"]

KIB = 1024
LEAST_OUTSIDE_BITS = 12     # a page; less is no memory of its own
LEAST_STEPS = 16    # of a list; it holds their number, too
MODE_GROUP = 8      # weights that have a mode
MODE_WEIGHTS = 32   # that a byte of modes is for: it has 4, of 2 bits

# name -> (smallest, largest, must be a power of two, what it is)
LEGAL_RANGES: dict[str, tuple[int, int, bool, str]] = {
    "out_lanes": (1, 64, False, "M, output channels computed at once; a multiple of requant_lanes"),
    "dot_width": (4, 64, True, "N, products summed for each output channel in a cycle"),
    "product_cycles": (1, 8, False, "cycles of a product; multiplier blocks with registers need 3"),
    "requant_lanes": (1, 64, False, "results requantized at once"),
    "requant_cycles": (1, 32, True, "cycles a requantizer lane takes for a result (1 = pipelined)"),
    "read_bytes": (8, 128, True, "bytes of a memory read, and of a decoded weight chunk"),
    "weight_chunks": (1, 2, False, "chunks of weights that are decoded in a cycle"),
    "codebook_entries": (0, 64, True, "weights of a codebook, for which codes stand; 0 = none"),
    "step_entries": (0, 16384, True, "steps of lists that leave blocks of zeros out, on chip; "
                                     "0 = none"),
    "write_bytes": (2, 128, True, "bytes of a write to device memory; at least requant_lanes"),
    "ring_bytes": (256, 4096 * KIB, True, "size of the weight ring"),
    "line_bytes": (256, 1024 * KIB, True, "size of the line buffer"),
    "patch_bytes": (0, 1024, False, "size of the patch buffer, two patches; 0 = none"),
    "parameter_records": (16, 65536, True, "channels whose requantization parameters fit on chip"),
    "memory_bytes": (0, 1 << 30, False, "on-chip device memory; 0 = outside memory only"),
    "outside_bits": (0, 24, False, "address bits of a compact core's outside memory; 0 = no way "
                                   "there; other cores have them all"),
    "multiplier_bits": (28, 31, False, "width of the requantizer's multiplier"),
    "instruction_queue": (0, 16, False, "instructions a unit may be ahead of the next one"),
    "result_slots": (1, 64, True, "accumulator sets between array and requantizer"),
    "count_bits": (8, 16, False, "bits of rows, columns, blocks and chunks in an instruction"),
}

# name -> what it is, of the fields that are true or false
SWITCHES: dict[str, str] = {
    "packed_multipliers": "two products from each multiplier, of two output channels",
    "shared_channel": "reads and writes of device memory share one channel",
    "elementwise": "ADD and SUB of two tensors, and tables, behind the requantizer",
    "elementwise_multiply": "MUL of two tensors too; counts only with elementwise",
    "max_pool": "MAX_POOL_2D on the array",
    "depthwise": "depthwise convolutions read a column of the window, not a tap, a cycle",
    "phase_windows": "depthwise kernels of up to 8 rows and N / 2 columns read a column once a row "
                     "of results; needs depthwise and a dot_width of 16 or more",
    "counters": "cycles and their losses are counted for each layer",
    "compact": "the serial core of few logic cells, one instruction at a time",
    "vector_unit": "programs of integer arithmetic on requant_lanes lanes, as for SOFTMAX",
    "cell_unit": "whole sequences of an integer LSTM as one instruction; needs vector_unit",
}

# What a compact core has, by field: the one value that is legal, and those of any other core.
COMPACT: dict[str, tuple[object, str]] = {
    "dot_width": (4, ""), "packed_multipliers": (False, ""), "requant_lanes": (1, ""),
    "read_bytes": (8, ""), "shared_channel": (True, ""), "patch_bytes": (0, ""),
    "instruction_queue": (0, "at least 1"), "result_slots": (1, "at least 2"),
    "weight_formats": (("raw",), ""), "weight_chunks": (1, ""), "codebook_entries": (0, ""),
    "step_entries": (0, ""),
    "elementwise": (True, ""), "elementwise_multiply": (False, ""), "max_pool": (False, ""),
    "depthwise": (False, ""), "phase_windows": (False, ""), "counters": (False, ""),
    "units": ((), ""),
}


@dataclass(frozen=True)
class AcceleratorConfig:
    """Parameters of one accelerator; checks itself, raising ``ConfigError`` naming the bad value.

    ``LEGAL_RANGES`` lists what each number means and may be. R, the results requantized a cycle,
    is ``requant_lanes / requant_cycles``. ``elementwise_multiply``, products of two tensors, counts
    only with ``elementwise``. ``vector_unit``: programs of integer arithmetic on requant_lanes
    lanes, not in a compact core. ``cell_unit``: sequences of an integer LSTM, beside a vector unit.
    ``units``: names of further units of the registers (see ``kaniwa.units``), in lower case.
    """

    out_lanes: int = 8
    dot_width: int = 16
    packed_multipliers: bool = False
    product_cycles: int = 3
    requant_lanes: int = 8
    requant_cycles: int = 1
    read_bytes: int = 16
    weight_chunks: int = 1
    codebook_entries: int = 0
    step_entries: int = 0
    write_bytes: int = 16
    shared_channel: bool = False
    ring_bytes: int = 64 * KIB
    line_bytes: int = 32 * KIB
    patch_bytes: int = 256
    parameter_records: int = 512
    memory_bytes: int = 256 * KIB
    outside_bits: int = 0
    multiplier_bits: int = 31
    instruction_queue: int = 4
    result_slots: int = 16
    weight_formats: tuple[str, ...] = ("raw", "packed")
    elementwise: bool = True
    elementwise_multiply: bool = True
    max_pool: bool = True
    depthwise: bool = True
    phase_windows: bool = False
    counters: bool = True
    compact: bool = False
    count_bits: int = 16
    vector_unit: bool = False
    cell_unit: bool = False
    units: tuple[str, ...] = ()
    name: str = dataclasses.field(default="custom", compare=False)

    def __post_init__(self) -> None:
        for field_name, (low, high, power, _) in LEGAL_RANGES.items():
            value = getattr(self, field_name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"{field_name} must be {low}..{high}, not {value!r}")
            if power and value & (value - 1):
                raise ConfigError(f"{field_name} must be a power of two, not {value}")
        for field_name in SWITCHES:
            if not isinstance(getattr(self, field_name), bool):
                raise ConfigError(
                    f"{field_name} must be true or false, not {getattr(self, field_name)!r}")
        self._check_names()
        self._leave_modes_out()
        self._check_relations()
        self._check_compact()

    def _check_names(self) -> None:
        """The name is a text, and lists are lists of names. The same formats are one config, in
        whatever order they are given."""
        if not isinstance(self.name, str):
            raise ConfigError(f"name must be a text, not {self.name!r}")
        for field_name in ("weight_formats", "units"):
            names = getattr(self, field_name)
            if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
                raise ConfigError(f"{field_name} must be a list of names, not {names!r}")
        unknown = [f for f in self.weight_formats if f not in WEIGHT_FORMATS]
        if unknown:
            raise ConfigError(f"weight_formats may name {', '.join(WEIGHT_FORMATS)}, "
                              f"not {unknown[0]!r}")
        object.__setattr__(self, "weight_formats", tuple(
            f for f in WEIGHT_FORMATS if f in self.weight_formats))
        object.__setattr__(self, "units", tuple(self.units))
        if len(set(self.units)) < len(self.units):
            raise ConfigError(f"units must be names, each once, not {list(self.units)!r}")

    def _leave_modes_out(self) -> None:
        """A decoder of fewer or more weights a cycle has no modes, whatever ``weight_formats`` of
        the config that this one was made from says."""
        if self.decoded_bytes != MODE_WEIGHTS:
            object.__setattr__(self, "weight_formats", tuple(
                name for name in self.weight_formats if name != "modes"))

    def _check_compact(self) -> None:
        """One instruction at a time, serially: a core of few logic cells, and what that needs."""
        for name, (value, others) in COMPACT.items():
            if self.compact and getattr(self, name) != value:
                raise ConfigError(f"{name} must be {value} in a compact core, "
                                  f"not {getattr(self, name)!r}")
            if others and not self.compact and getattr(self, name) == value:
                raise ConfigError(f"{name} must be {others} unless the core is compact, "
                                  f"not {value}")
        if self.compact and self.requant_cycles < 8:
            raise ConfigError(f"requant_cycles must be 8, 16 or 32 in a compact core, "
                              f"not {self.requant_cycles}")
        if not self.compact and self.count_bits != 16:
            raise ConfigError(f"count_bits must be 16 unless the core is compact, "
                              f"not {self.count_bits}")
        if self.compact and not 0 < self.memory_bytes <= 1 << 23:
            raise ConfigError(f"memory_bytes must be 8..{1 << 23} in a compact core, "
                              f"not {self.memory_bytes}")
        if self.outside_bits and not (self.compact and self.outside_bits >= LEAST_OUTSIDE_BITS):
            legal = f"0, or {LEAST_OUTSIDE_BITS} to 24" if self.compact else "0"
            raise ConfigError(f"outside_bits must be {legal} {'in' if self.compact else 'without'} "
                              f"a compact core, not {self.outside_bits}")

    def _check_relations(self) -> None:
        if "raw" not in self.weight_formats:
            raise ConfigError("weight_formats must contain 'raw', the escape of every other format")
        if self.out_lanes % self.requant_lanes:
            raise ConfigError(f"out_lanes must be a multiple of requant_lanes "
                              f"({self.requant_lanes}), not {self.out_lanes}")
        if self.out_lanes % self.multiplier_rows:
            raise ConfigError(f"out_lanes must be even where packed_multipliers is true, "
                              f"not {self.out_lanes}")
        if self.requant_cycles > 1 and self.requant_lanes > 1:
            raise ConfigError(f"requant_lanes must be 1 where requant_cycles is "
                              f"{self.requant_cycles}, not {self.requant_lanes}")
        if self.vector_unit and (self.requant_cycles > 1
                                 or self.requant_lanes not in (2, 4, 8, 16, 32, 64)):
            raise ConfigError(f"requant_lanes must be 2, 4, 8, 16, 32 or 64, and requant_cycles 1, "
                              f"where vector_unit is true, not {self.requant_lanes} and "
                              f"{self.requant_cycles}")
        if self.cell_unit and not (self.vector_unit and self.requant_lanes >= 8
                                   and self.read_bytes == 16):
            raise ConfigError(f"vector_unit must be true, requant_lanes at least 8, and read_bytes "
                              f"16, where cell_unit is true, not {self.vector_unit}, "
                              f"{self.requant_lanes} and {self.read_bytes}")
        if self.phase_windows and not (self.depthwise and self.column_window[0] > 1):
            raise ConfigError(f"depthwise must be true, and dot_width at least 16, where "
                              f"phase_windows is true, not {self.depthwise} and {self.dot_width}")
        if self.requant_lanes > self.write_bytes or self.requant_lanes > self.read_bytes:
            raise ConfigError(f"requant_lanes must be at most read_bytes ({self.read_bytes}) and "
                              f"write_bytes ({self.write_bytes}), not {self.requant_lanes}")
        if self.tile_bytes % self.read_bytes:
            raise ConfigError(f"out_lanes * dot_width must be a multiple of read_bytes "
                              f"({self.read_bytes}), not {self.tile_bytes}")
        if self.tile_bytes % self.decoded_bytes:
            raise ConfigError(f"out_lanes * dot_width must be a multiple of weight_chunks * "
                              f"read_bytes ({self.decoded_bytes}), not {self.tile_bytes}")
        if "modes" in self.weight_formats and "packed" not in self.weight_formats:
            raise ConfigError("weight_formats must contain 'packed' where it contains 'modes'")
        if self.codebook_entries == 1:
            raise ConfigError("codebook_entries must be 0, or 2 to 64, not 1")
        if self.codebook_entries and not self.compact and "packed" not in self.weight_formats:
            raise ConfigError(f"weight_formats must contain 'packed' where codebook_entries is "
                              f"{self.codebook_entries}: its codes are packed weights")
        if 0 < self.step_entries < LEAST_STEPS:
            raise ConfigError(f"step_entries must be 0 or at least {LEAST_STEPS}, "
                              f"not {self.step_entries}")
        if self.ring_bytes < 2 * self.tile_bytes:
            raise ConfigError(f"ring_bytes must hold 2 words of {self.tile_bytes} bytes, "
                              f"not {self.ring_bytes}")
        if self.line_bytes < 4 * self.line_width:
            raise ConfigError(f"line_bytes must be at least {4 * self.line_width}, "
                              f"not {self.line_bytes}")
        if self.patch_bytes & (self.patch_bytes - 1) or 0 < self.patch_bytes < 4 * self.dot_width:
            raise ConfigError(f"patch_bytes must be 0 or a power of two of at least "
                              f"{4 * self.dot_width}, not {self.patch_bytes}")
        if self.parameter_records < self.out_lanes:
            raise ConfigError(f"parameter_records must be at least out_lanes ({self.out_lanes}), "
                              f"not {self.parameter_records}")
        if self.memory_bytes % max(self.read_bytes, self.write_bytes):
            raise ConfigError(f"memory_bytes must be a multiple of "
                              f"{max(self.read_bytes, self.write_bytes)}, not {self.memory_bytes}")

    @property
    def multipliers(self) -> int:
        """Products a cycle."""
        return self.out_lanes * self.dot_width

    @property
    def multiplier_rows(self) -> int:
        """Output channels whose products come from the same multipliers, and share activations."""
        return 2 if self.packed_multipliers else 1

    @property
    def activation_lanes(self) -> int:
        """Lanes with activations of their own; lane m + activation_lanes has those of lane m."""
        return self.out_lanes // self.multiplier_rows

    @property
    def dot_latency(self) -> int:
        """Cycles from operands to a sum of dot_width products, whatever makes the products.

        A cycle for each level of the adder tree, and two to tell packed products apart.
        """
        return (self.product_cycles + self.dot_width.bit_length() - 1
                + 2 * self.packed_multipliers)

    @property
    def array_latency(self) -> int:
        """Cycles from the last operands of a block to its accumulators."""
        return self.dot_latency + 1

    @property
    def memory_latency(self) -> int:
        """Cycles from a request to on-chip memory to its word.

        Its blocks lie all over a device, so the address and the word each get a register, except
        where reads share the channel with writes.
        """
        return 1 if self.shared_channel else 3

    @property
    def tile_bytes(self) -> int:
        """Bytes of one word of the weight ring: a weight for each multiplier."""
        return self.out_lanes * self.dot_width

    @property
    def decoded_bytes(self) -> int:
        """Weights that leave the weight decoder at once, at most a cycle."""
        return self.weight_chunks * self.read_bytes

    @property
    def plane_weights(self) -> int:
        """Weights of a plane of packed ones: a chunk, or 8 where groups of 8 have modes."""
        return MODE_GROUP if "modes" in self.weight_formats else self.read_bytes

    @property
    def ring_words(self) -> int:
        """Words of the weight ring: the largest power of two that ring_bytes holds."""
        return 1 << ((self.ring_bytes // self.tile_bytes).bit_length() - 1)

    @property
    def line_width(self) -> int:
        """Bytes of a line of the line buffer: two dot_width reads, or one memory read."""
        return max(2 * self.dot_width, self.read_bytes)

    @property
    def spread(self) -> int:
        """Channels that a lane's sum makes in a wide block: with a vector unit the bytes of an
        int32, where a block may have so many channels."""
        return 4 if self.vector_unit and 4 * self.out_lanes <= 64 else 1

    @property
    def block_lanes(self) -> int:
        """Channels that a DENSE block may have."""
        return self.spread * self.out_lanes

    @property
    def depthwise_lanes(self) -> int:
        """Channels a depthwise (or max pool) block computes: one byte of a read each."""
        return min(self.activation_lanes, self.dot_width)

    @property
    def pool_blocks(self) -> int:
        """Blocks of which a step of MAX_POOL takes the bytes: two where its read has them.

        Only from reads of 16 bytes on: smaller targets are made for few cells. The results of
        both need a slot each.
        """
        both = self.dot_width >= max(16, 2 * self.depthwise_lanes)
        return 2 if self.max_pool and both and self.result_slots > 1 else 1

    @property
    def pool_lanes(self) -> int:
        """Maxima that the max pool unit keeps."""
        return self.pool_blocks * self.depthwise_lanes

    @property
    def lane_bytes(self) -> int:
        """Bytes of a lane of the line buffer; each lane has an address of its own."""
        return min(self.dot_width, 8)

    @property
    def column_lanes(self) -> int:
        """Channels that a COLUMN block computes: a lane of the line buffer's bytes at most."""
        return min(self.activation_lanes, self.lane_bytes)

    @property
    def column_window(self) -> tuple[int, int]:
        """Rows and columns of the window of a depthwise channel; (1, N) always works too.

        Four rows need a line buffer of four lanes at least, to be read in one cycle.
        """
        rows = 4 if self.dot_width >= 16 else 1
        return rows, self.dot_width // rows

    @property
    def requant_rate(self) -> Fraction:
        """R, results requantized a cycle."""
        return Fraction(self.requant_lanes, self.requant_cycles)

    @property
    def parameter_words(self) -> int:
        """Words of the parameter buffer, each of requant_lanes records (a power of two)."""
        return 1 << ((self.parameter_records // self.requant_lanes).bit_length() - 1)

    @property
    def shared_records(self) -> int:
        """Records with shared multiplier and shift that leave the weight decoder at once.

        Also what the parameter buffer takes at once. As many as a read has biases, if they divide
        a parameter word.
        """
        return math.gcd(self.requant_lanes, self.read_bytes // 4)

    @property
    def own_records(self) -> int:
        """Records of 9 bytes that the weight decoder takes apart at once: within two reads."""
        return math.gcd(self.requant_lanes, self.read_bytes // 8)

    @property
    def runs_units(self) -> bool:
        """Units beside the array, which run while nothing else does."""
        return self.vector_unit or bool(self.units)

    @property
    def table_banks(self) -> int:
        """Banks of tables: with two, one is loaded while an earlier instruction uses the other."""
        return 1 if self.compact else 2

    @property
    def pairs_tables(self) -> bool:
        """Whether both tables of a bank may come together, an entry of each in a cycle."""
        return not self.compact and self.shared_records > 1

    def field_limit(self, name: str, high: int) -> int:
        """The largest value of an instruction field, given the largest that the field can hold."""
        if not self.compact:
            return high
        sizes = {"count": self.count_bits, "line": self.line_bytes.bit_length(),
                 "memory": self.span_bits}
        for word in FIELDS[name].compact:
            bits = sizes.get(word) or (int(word) if word.isdigit() else None)
            if bits is not None:
                outside = OUTSIDE * bool(self.outside_bits and name.endswith("_address"))
                return min(high, outside + (1 << bits) - 1)
        return high

    @property
    def span_bits(self) -> int:
        """Bits of an address in the larger one of a compact core's two memories."""
        return max((self.memory_bytes - 1).bit_length(), self.outside_bits)

    @property
    def outside_limit(self) -> int:
        """Bytes of outside memory that addresses reach; 0 = no way there."""
        return (1 << self.outside_bits) * bool(self.outside_bits) if self.compact else OUTSIDE

    def as_dict(self) -> dict[str, object]:
        """All fields but the name, as plain values; an optional block that came later only if the
        config has it, so that the hashes of others stay what they were."""
        values = dataclasses.asdict(self)
        del values["name"]
        for name in ("phase_windows", "codebook_entries", "step_entries", "outside_bits",
                     "vector_unit", "cell_unit", "units"):
            if not values[name]:
                del values[name]
        if self.weight_chunks == 1:
            del values["weight_chunks"]
        for name in values.keys() & {"weight_formats", "units"}:
            values[name] = list(getattr(self, name))
        return values

    @property
    def plain_name(self) -> str:
        """The name in characters that are fit for files, comments and strings of any language."""
        return re.sub(r"[^A-Za-z0-9_.+-]", "_", self.name)

    @property
    def hash(self) -> str:
        """16 hex digits that name this config; the name does not count."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


PRESETS: dict[str, AcceleratorConfig] = {
    config.name: config for config in (
        AcceleratorConfig(
            name="nano", compact=True, out_lanes=4, dot_width=4, product_cycles=1,
            requant_lanes=1, requant_cycles=8, read_bytes=8, write_bytes=2, shared_channel=True,
            ring_bytes=4 * KIB, line_bytes=4 * KIB, patch_bytes=0, parameter_records=256,
            memory_bytes=128 * KIB, instruction_queue=0, result_slots=1, weight_formats=("raw",),
            elementwise_multiply=False, max_pool=False, depthwise=False, counters=False,
            count_bits=11),
        AcceleratorConfig(
            name="small", out_lanes=4, dot_width=8, packed_multipliers=True, requant_lanes=2,
            read_bytes=8, write_bytes=4, ring_bytes=16 * KIB, line_bytes=8 * KIB,
            parameter_records=512, memory_bytes=64 * KIB, instruction_queue=2, result_slots=8),
        AcceleratorConfig(name="base", phase_windows=True, weight_chunks=2,
                          weight_formats=("raw", "packed", "modes")),
        # The vector unit has block RAMs that are device memory in base.
        AcceleratorConfig(name="base_vector", phase_windows=True, vector_unit=True,
                          memory_bytes=192 * KIB),
        # Recurrent networks have no depthwise layers, and the cell unit needs the room.
        AcceleratorConfig(name="base_recurrent", vector_unit=True, cell_unit=True,
                          memory_bytes=192 * KIB),
        AcceleratorConfig(
            name="large", out_lanes=16, packed_multipliers=True, phase_windows=True,
            patch_bytes=512, ring_bytes=128 * KIB, memory_bytes=160 * KIB),
        AcceleratorConfig(
            name="xl", out_lanes=32, dot_width=32, requant_lanes=32, read_bytes=128,
            write_bytes=32, ring_bytes=1024 * KIB, line_bytes=256 * KIB, patch_bytes=512,
            parameter_records=4096,
            memory_bytes=0),
    )
}


def load_target(target: str | Path | AcceleratorConfig) -> AcceleratorConfig:
    """The config that ``target`` names: a preset, a TOML file of fields, or a config itself.

    Raises ConfigError for an unknown name, an unreadable file or an illegal field.
    """
    if isinstance(target, AcceleratorConfig):
        return target
    if not isinstance(target, str | PathLike):
        raise ConfigError("target: expected the name of a preset, a .toml file or an "
                          f"AcceleratorConfig, found {type(target).__name__}")
    if str(target) in PRESETS:
        return PRESETS[str(target)]
    path = Path(target)
    if path.suffix != ".toml":
        raise ConfigError(f"unknown target '{target}': give one of {', '.join(PRESETS)} "
                          "or a .toml file")
    return _load_toml(path)


def _load_toml(path: Path) -> AcceleratorConfig:
    import tomllib

    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file ({error})") from None
    base = values.pop("base", None)
    if base is not None and (not isinstance(base, str) or base not in PRESETS):
        raise ConfigError(f"{path}: base must be one of {', '.join(PRESETS)}, not {base!r}")
    fields = {f.name for f in dataclasses.fields(AcceleratorConfig)}
    for key in values:
        if key not in fields:
            raise ConfigError(f"{path}: unknown field '{key}'; `kaniwa describe base` lists them")
    name = values.setdefault("name", path.stem)
    if isinstance(name, str) and not (name.strip() and name.isprintable()):
        raise ConfigError(f"{path}: name must be a text of one line, not {name!r}")
    try:
        if base is not None:
            return dataclasses.replace(PRESETS[base], **values)
        return AcceleratorConfig(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except TypeError as error:
        raise ConfigError(f"{path}: a field has a wrong type ({error})") from None
