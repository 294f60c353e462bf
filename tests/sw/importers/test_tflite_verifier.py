"""Damaged TFLite files end in a kaniwa error or a clean import, in time, and in one line."""

import cProfile
import pstats
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite
from builders.files import tflite_layers as layers
from builders.files.malformed import damage
from builders.operator_cases import DRAWS, Cases

from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.errors import Error, ModelError
from kaniwa.graph import check
from kaniwa.importers import OPERATORS
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.importers.tflite.schema import OPTIONS
from kaniwa.importers.tflite.verifier import verify

VARIANTS = 500


def small_files() -> list[bytes]:
    return [
        layers.random_conv(np.random.default_rng(5), depthwise=False)[0],
        layers.random_conv(np.random.default_rng(6), depthwise=True)[0],
        layers.random_fully_connected(np.random.default_rng(2))[0],
        layers.random_elementwise(np.random.default_rng(1), "ADD")[0],
        layers.random_pool(np.random.default_rng(3), "MAX_POOL_2D")[0],
        layers.random_softmax(np.random.default_rng(2))[0],
    ]


def one_of_each() -> list[bytes]:
    """A file of one small case of every operator."""
    files = []
    for kind in DRAWS:
        cases = Cases()
        DRAWS[kind](cases, np.random.default_rng(1), kind)
        files.append(cases.builder.build(cases.inputs, cases.outputs))
    return files


def import_or_refuse(content: bytes) -> bool:
    """True for a clean import, False for an error in one line; both in so many calls at most."""
    profile = cProfile.Profile()
    try:
        check(profile.runcall(import_tflite, content, "damaged.tflite"))
    except Error as error:
        assert str(error).startswith("damaged.tflite: ") and "\n" not in str(error)
        return False
    finally:
        assert pstats.Stats(profile).total_calls < 8_000_000
    return True


def test_the_tables_that_the_importer_reads_are_verified() -> None:
    for info in OPERATORS.values():
        if info.options:
            number = getattr(tflite.BuiltinOptions, info.options)
            assert OPTIONS[number][0] == info.options


def test_damaged_small_files_end_in_an_error_or_an_import() -> None:
    files = small_files() + one_of_each()
    refused = sum(
        not import_or_refuse(damage(files[seed % len(files)], np.random.default_rng(seed)))
        for seed in range(VARIANTS)
    )
    assert refused > VARIANTS // 2


def test_a_damaged_real_model_ends_in_an_error_or_an_import(models: Path) -> None:
    content = (models / "tflm_micro_speech.tflite").read_bytes()
    for seed in range(VARIANTS):
        rng = np.random.default_rng(seed)
        # Weights cannot be wrong; the tables lie at both ends.
        at = int(rng.choice([0, len(content) - 4096]))
        import_or_refuse(content[:at] + damage(content[at : at + 4096], rng) + content[at + 4096 :])


def test_every_truncation_is_refused() -> None:
    content = small_files()[2]
    for size in range(0, len(content), 7):
        assert not import_or_refuse(content[:size])


@pytest.mark.parametrize("word", [0, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_every_word_may_be_any_number(word: int) -> None:
    content = small_files()[5]
    for at in range(0, len(content) - 3, 4):
        import_or_refuse(content[:at] + struct.pack("<I", word) + content[at + 4 :])


@pytest.mark.parametrize("name, scales", [("n" * 1_000_000, 1), ("n", 500_000)])
def test_tables_that_share_a_long_vector_cost_no_more_than_the_file(
    monkeypatch: pytest.MonkeyPatch, name: str, scales: int
) -> None:
    """8,000 offsets to one tensor: what it holds, read in full for each, would be gigabytes."""
    write, written = ModelBuilder._tensor, []

    def shared(b: Any, tensor: Any, first_buffer: int) -> int:
        if not written:
            written.append(write(b, tensor, first_buffer))
        return written[0]

    monkeypatch.setattr(ModelBuilder, "_tensor", staticmethod(shared))
    b, vector = ModelBuilder(), [0.5] * scales
    b.tensor(name, [scales], scale=vector, zero_point=[0] * scales)
    b.tensors *= 8_000
    b.op("ADD", [0, 1], [2])
    content = b.build([0, 1], [2])
    tracemalloc.start()
    import_or_refuse(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 29


def test_a_sound_file_passes(models: Path) -> None:
    verify((models / "mlperf_ic_resnet8.tflite").read_bytes(), "resnet8.tflite")


def test_a_foreign_file_is_refused_by_its_identifier() -> None:
    with pytest.raises(ModelError) as error:
        verify(b"GIF89a" + bytes(100), "x.tflite")
    assert str(error.value) == "x.tflite: not a TFLite file (no 'TFL3' identifier)"


def test_an_offset_outside_the_file_is_named() -> None:
    with pytest.raises(ModelError) as error:
        verify(struct.pack("<I", 1000) + b"TFL3" + bytes(8), "x.tflite")
    assert str(error.value) == (
        "x.tflite: damaged TFLite file: table Model at byte 1000 is outside the file of 16 bytes"
    )
