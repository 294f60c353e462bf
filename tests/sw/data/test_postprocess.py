"""Labels and the largest classes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kaniwa.data.labels import Answer, class_count, dequantize, load_label_names, top_classes
from kaniwa.errors import InputError


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [
    b"cat\ndog\nold ship\n", b"cat\r\ndog\r\nold ship", b"\xef\xbb\xbf cat \ndog\nold ship\n\n"])
def test_labels_are_lines(content: bytes, tmp_path: Path) -> None:
    assert load_label_names(write(tmp_path / "a.txt", content), 3) == ["cat", "dog", "old ship"]


@pytest.mark.parametrize("content, message", [
    (b"cat\ndog\n", "a.txt: 2 labels, but the model has 3 classes"),
    (b"cat\n\ndog\n", "a.txt: line 2 is empty: expected one label a line"),
    (b"", "a.txt: line 1 is empty"),
    (b"cat\n\xff\xfe\n", "a.txt: not UTF-8 text: expected one label a line"),
])
def test_other_label_files_are_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_label_names(write(tmp_path / "a.txt", content), 3)
    assert "\n" not in str(caught.value)


def test_missing_and_huge_label_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.txt: no such file"):
        load_label_names(tmp_path / "none.txt")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(InputError, match="huge.txt: larger than 16 MiB"):
        load_label_names(tmp_path / "huge.txt")


def test_the_largest_come_first_and_the_first_of_equals() -> None:
    values = np.array([[-128, 5, 127, 5, -128]], np.int8)
    assert top_classes(values, 4) == [Answer(2, None, 127), Answer(1, None, 5), Answer(3, None, 5),
                                      Answer(0, None, -128)]
    assert top_classes(values, 9, list("abcde"))[0] == Answer(2, "c", 127)
    assert len(top_classes(values, 9)) == 5


@pytest.mark.parametrize("shape, classes", [
    ((1, 10), 10), ((1, 1, 1, 3), 3), ((7,), 7), ((1, 1), 1)])
def test_classes_are_the_one_dimension(shape: tuple[int, ...], classes: int) -> None:
    assert class_count(SimpleNamespace(name="y", shape=shape)) == classes


def test_an_output_of_more_dimensions_has_no_classes() -> None:
    with pytest.raises(InputError, match=r"output 'y' has shape \[1, 4, 4\]: expected one value"):
        class_count(SimpleNamespace(name="y", shape=(1, 4, 4)))


def test_dequantized_values_are_steps_times_the_scale() -> None:
    item = SimpleNamespace(name="y", dtype="int8", scale=0.25, zero_point=-128)
    got = dequantize(np.array([-128, 127], np.int8), item)
    assert got.dtype == np.float32 and got.tolist() == [0.0, 63.75]
    real = np.array([0.1], np.float32)
    assert dequantize(real, SimpleNamespace(name="y", dtype="float32")) is real
    with pytest.raises(InputError, match="output 'y' is int32 without a scale"):
        dequantize(np.zeros(1, np.int32), SimpleNamespace(name="y", dtype="int32", scale=None))
