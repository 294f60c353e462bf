"""Input files: what is taken, and one line with expected and found for what is not."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kaniwa.data.inputs import load_inputs, load_labels, recorded_inputs, seeded_inputs
from kaniwa.errors import InputError

IMAGE = SimpleNamespace(name="image", shape=(1, 2, 3), dtype="int8", scale=0.5, zero_point=0)
PAIR = SimpleNamespace(name="pair", shape=(2, 3), dtype="int16", scale=0.5, zero_point=0)
FOUR = np.arange(24, dtype=np.int8).reshape(4, 2, 3)


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("name", ["image", "x", "arr_0"])
@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 1, 2, 3)])
def test_one_input_is_taken_by_name_or_unnamed(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    path = save(tmp_path / "a.npz", **{name: FOUR.reshape(shape), "labels": np.zeros(4)})
    samples = load_inputs(path, [IMAGE])
    assert len(samples) == 4
    assert samples[3]["image"].shape == (1, 2, 3)
    np.testing.assert_array_equal(samples[3]["image"][0], FOUR[3])


def test_an_npy_file_is_taken_for_the_only_input(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FOUR)
    assert len(load_inputs(tmp_path / "a.npy", [IMAGE], limit=3)) == 3
    with pytest.raises(
        InputError, match=r"expected arrays \['image', 'pair'\], found one unnamed array"
    ):
        load_inputs(tmp_path / "a.npy", [IMAGE, PAIR])


def test_two_inputs_are_taken_by_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", image=FOUR, pair=np.ones((4, 2, 3), np.int16))
    assert [set(s) for s in load_inputs(path, [IMAGE, PAIR])] == [{"image", "pair"}] * 4
    path = save(tmp_path / "b.npz", image=FOUR, pair=np.ones((3, 2, 3), np.int16))
    with pytest.raises(InputError, match="expected as many inferences for each input, found "):
        load_inputs(path, [IMAGE, PAIR])


def test_uint8_is_x_minus_128_when_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x=np.array([[[0, 1, 127], [128, 200, 255]]], np.uint8))
    values = load_inputs(path, [IMAGE], uint8=True)[0]["image"]
    assert values.dtype == np.int8 and values.ravel().tolist() == [-128, -127, -1, 0, 72, 127]
    with pytest.raises(InputError, match="a.npz: 'image': expected int8, found uint8"):
        load_inputs(path, [IMAGE])


def test_the_other_byte_order_is_the_same_dtype(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", pair=np.arange(6).reshape(1, 2, 3).astype(">i2"))
    values = load_inputs(path, [PAIR])[0]["pair"]
    assert values.dtype == np.dtype("int16") and values.ravel().tolist() == list(range(6))


@pytest.mark.parametrize(
    "arrays",
    [
        {"picture": FOUR},
        {"picture": FOUR, "y": np.arange(4)},
        {"x": FOUR, "other": FOUR},
        {"picture": FOUR, "expected": np.zeros((4, 10), np.int8)},
    ],
)
def test_one_input_takes_an_array_of_any_name(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    items = load_inputs(save(tmp_path / "a.npz", **arrays), [IMAGE])
    assert [item["image"].tolist() for item in items] == [[image.tolist()] for image in FOUR]


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"\x89PNG\r\n\x1a\n", "an image, .* takes it with --image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "an image, .* takes it with --image"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "an image, .* takes it with --image"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a recording, .* takes it with --wav"),
    ],
)
def test_a_file_of_another_kind_names_its_option(tmp_path: Path, start: bytes, says: str) -> None:
    (tmp_path / "a.bin").write_bytes(start + bytes(40))
    with pytest.raises(InputError, match=f"^a.bin: {says}$"):
        load_inputs(tmp_path / "a.bin", [IMAGE])


@pytest.mark.parametrize(
    "arrays, message",
    [
        (
            {"picture": FOUR, "other": FOUR},
            "a.npz: expected array 'image', or one of any name, found 'picture', 'other'",
        ),
        ({}, "a.npz: expected array 'image', or one of any name, found no arrays"),
        ({"image": FOUR.astype(np.float32)}, "a.npz: 'image': expected int8, found float32"),
        (
            {"image": FOUR[:, :, :2]},
            "a.npz: 'image': expected shape [n, 2, 3] or [n, 1, 2, 3], found [4, 2, 2]",
        ),
        (
            {"image": np.int8(3)},
            "a.npz: 'image': expected shape [n, 2, 3] or [n, 1, 2, 3], found []",
        ),
        ({"image": FOUR[:0]}, "a.npz: expected at least one inference, found none"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError) as error:
        load_inputs(save(tmp_path / "a.npz", **arrays), [IMAGE])
    assert str(error.value) == message


def test_uint8_wants_uint8(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected uint8 \(taken as x - 128\), found int8"):
        load_inputs(save(tmp_path / "a.npz", x=FOUR), [IMAGE], uint8=True)


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    content = save(tmp_path / "good.npz", image=np.zeros((50, 2, 3), np.int8)).read_bytes()
    np.save(tmp_path / "good.npy", FOUR)
    array = (tmp_path / "good.npy").read_bytes()
    pickled = np.array([{}], dtype=object)
    np.save(tmp_path / "pickle.npy", pickled, allow_pickle=True)
    huge = array.replace(b"(4, 2, 3)", b"(9999999999999, 2, 3)")
    files = {
        "empty.npz": b"",
        "text.npz": b"hello",
        "cut.npz": content[: len(content) // 2],
        "cut.npy": array[:-1],
        "raw.npy": pickle.dumps([1]),
        "huge.npy": huge,
        "pickle.npy": (tmp_path / "pickle.npy").read_bytes(),
    }
    for at in range(30, len(content), 11):
        files[f"flip{at}.npz"] = content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
    for name, damaged in files.items():
        (tmp_path / name).write_bytes(damaged)
        try:
            load_inputs(tmp_path / name, [IMAGE])
        except InputError as error:
            assert name in str(error) and "\n" not in str(error)
        else:
            assert name.startswith("flip")  # A flip in a field that nobody reads.
    with pytest.raises(InputError, match="missing.npz: no such file"):
        load_inputs(tmp_path / "missing.npz", [IMAGE])
    with pytest.raises(InputError, match="limit must be at least 1, not 0"):
        load_inputs(tmp_path / "good.npz", [IMAGE], limit=0)


def test_labels_are_integers_by_name(tmp_path: Path) -> None:
    for name in ("y", "labels"):
        path = save(tmp_path / "a.npz", x=FOUR, **{name: np.array([3, 1, 2, 0], np.uint8)})
        assert load_labels(path, 3).tolist() == [3, 1, 2]
    for arrays, message in (
        ({"x": FOUR}, "a.npz: expected array 'y' of labels, found 'x'"),
        ({"y": FOUR}, "a.npz: labels: expected a vector of integers, found int8[4, 2, 3]"),
        ({"y": np.ones(3)}, "a.npz: labels: expected a vector of integers, found float64[3]"),
    ):
        with pytest.raises(InputError) as error:
            load_labels(save(tmp_path / "a.npz", **arrays))
        assert str(error.value) == message


def test_recorded_inputs_are_the_samples(models: Path) -> None:
    samples = recorded_inputs(models / "mlperf_ic_resnet8.tflite")
    assert len(samples) == 9
    assert {k: (v.shape, str(v.dtype)) for k, v in samples[0].items()} == {
        "input_1_int8": ((1, 32, 32, 3), "int8")
    }


def test_a_model_without_recorded_vectors_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        recorded_inputs(tmp_path / "net.tflite", [IMAGE])
    assert str(error.value) == "net.tflite: no recorded vectors (refs/net.npz is missing)"


def test_seeded_inputs_are_the_same_each_time() -> None:
    first, second = seeded_inputs([IMAGE], 3), seeded_inputs([IMAGE], 3)
    assert len(first) == 3 and first[0]["image"].dtype == np.int8
    assert all((a["image"] == b["image"]).all() for a, b in zip(first, second, strict=True))
