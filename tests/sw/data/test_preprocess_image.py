"""Images as inputs: decoding, resizing and normalizing, against arithmetic written out here."""

from __future__ import annotations

import io
import math
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kaniwa.errors import InputError
from kaniwa.importers import load_model
from kaniwa.preprocess import (
    NORMALIZATIONS,
    default_normalization,
    image_size,
    load_image,
    normalize,
)

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


def tensor(shape: tuple[int, ...], scale: float | None = 1 / 255, zero_point: int | None = -128,
           dtype: str = "int8") -> SimpleNamespace:
    return SimpleNamespace(name="image", shape=shape, dtype=dtype, scale=scale,
                           zero_point=zero_point)


def save(path: Path, pixels: np.ndarray = PIXELS) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def quantized(real: Fraction, scale: float, zero_point: int, low: int, high: int) -> int:
    """By exact arithmetic: halves away from zero."""
    ratio = real / Fraction(scale)
    rounded = math.floor(abs(ratio) + Fraction(1, 2)) * (1 if ratio >= 0 else -1)
    return min(max(rounded + zero_point, low), high)


@pytest.mark.parametrize("name, real", [
    ("0..255", lambda u, c: Fraction(u)),
    ("0..1", lambda u, c: Fraction(u, 255)),
    ("-1..1", lambda u, c: Fraction(2 * u, 255) - 1),
    ("mean128", lambda u, c: Fraction(u - 128, 128)),
    ("imagenet", lambda u, c: (Fraction(u, 255) - Fraction(["0.485", "0.456", "0.406"][c]))
     / Fraction(["0.229", "0.224", "0.225"][c])),
    ("caffe", lambda u, c: u - Fraction(["123.68", "116.779", "103.939"][c])),
])
def test_each_normalization_is_its_formula(name: str, real: object) -> None:
    assert callable(real)
    low, high = NORMALIZATIONS[name].range
    # A scale without ties, where the order of floating-point operations would decide.
    scale, zero_point = (high - low) / 241.3, round(-128 - low / ((high - low) / 241.3))
    pixels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    got = normalize(pixels, tensor((1, 16, 16, 3), scale, zero_point), name)
    expected = np.array([[[quantized(real(int(pixels[y, x, c]), c), scale, zero_point, -128, 127)
                           for c in range(3)] for x in range(16)] for y in range(16)])
    assert np.array_equal(got, expected[:, :, ::-1] if name == "caffe" else expected)


def test_float_inputs_take_the_real_values() -> None:
    got = normalize(PIXELS, tensor((1, 4, 6, 3), None, None, "float32"), "0..1")
    assert got.dtype == np.float32
    assert np.array_equal(got, (PIXELS.astype(np.float64) / 255).astype(np.float32))


def test_bytes_are_the_integers_of_the_tensor() -> None:
    assert np.array_equal(normalize(PIXELS, tensor((1, 4, 6, 3)), "bytes"),
                          PIXELS.astype(np.int16) - 128)
    assert np.array_equal(normalize(PIXELS, tensor((1, 4, 6, 3), dtype="uint8"), "bytes"), PIXELS)


@pytest.mark.parametrize("model, name", [
    ("mlperf_ic_resnet8", "0..255"), ("mlperf_vww_mbv1_96", "0..1"), ("cfu_mbv2_160_035", "0..1"),
    ("coral_mbv1_025_128_u8", "mean128"), ("tflm_mnist_lstm", "0..1")])
def test_default_is_what_the_shipped_models_take_and_moves_no_byte(
        model: str, name: str, models: Path) -> None:
    graph = load_model(models / f"{model}.tflite")
    found = graph.tensors[graph.inputs[0]]
    assert found.quantization is not None
    item = tensor(found.shape, found.quantization.scale, found.quantization.zero_point,
                  found.dtype)
    assert default_normalization(item) == name
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert np.array_equal(normalize(pixels, item), normalize(pixels, item, "bytes"))


@pytest.mark.parametrize("scale, zero_point, name", [
    (2 / 255, -1, "-1..1"), (4.757840 / 255, -14, "imagenet"), (274.741 / 255, -13, "caffe"),
    (1.0, -128, "0..255")])
def test_default_is_the_range_of_the_quantization(scale: float, zero_point: int,
                                                  name: str) -> None:
    assert default_normalization(tensor((1, 4, 6, 3), scale, zero_point)) == name


@pytest.mark.parametrize("scale, zero_point, dtype, message", [
    (None, None, "float32", "without a quantization"), (0.0371, 5, "int8", "none of the usual"),
    (1 / 127, 0, "int8", "symmetrically"), (None, None, "int8", "without a quantization")])
def test_a_quantization_that_tells_nothing_is_an_error(
        scale: float | None, zero_point: int | None, dtype: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        default_normalization(tensor((1, 4, 6, 3), scale, zero_point, dtype))
    assert "give --normalize: 0..255, 0..1, -1..1, mean128, imagenet, caffe or bytes" \
        in str(caught.value)


@pytest.mark.parametrize("item, name, message", [
    (tensor((1, 4, 6, 3)), "0-1", "no normalization '0-1': give one of 0..255"),
    (tensor((1, 4, 6, 3), dtype="int16"), "bytes", "'bytes' is for int8 and uint8"),
    (tensor((1, 4, 6, 3), None, None), "0..1", "without a scale"),
])
def test_normalization_that_does_not_fit_is_an_error(
        item: SimpleNamespace, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        normalize(PIXELS, item, name)


def test_colors_of_one_channel_are_an_error() -> None:
    with pytest.raises(InputError, match="has 1 channel: normalization 'imagenet' is for 3"):
        normalize(PIXELS[:, :, :1], tensor((1, 4, 6, 1)), "imagenet")


@pytest.mark.parametrize("shape, size", [
    ((1, 4, 6, 3), (4, 6, 3, False)), ((1, 4, 6, 1), (4, 6, 1, False)),
    ((1, 3, 4, 6), (4, 6, 3, True)), ((1, 1, 4, 6), (4, 6, 1, True)),
    ((1, 4, 6), (4, 6, 1, False))])
def test_sizes_and_layouts(shape: tuple[int, ...], size: tuple[int, int, int, bool]) -> None:
    assert image_size(tensor(shape)) == size


@pytest.mark.parametrize("shape", [(1, 30, 1, 40), (1, 640), (2, 4, 6, 3), (4, 6, 3), (1, 4, 6, 4)])
def test_inputs_that_are_no_images_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"input 'image' has shape \[.*which is not an image's"):
        image_size(tensor(shape))


def test_image_of_the_size_of_the_input_keeps_its_pixels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    for resize in ("crop", "stretch"):
        got = load_image(path, tensor((1, 4, 6, 3)), "bytes", resize, "lanczos")
        assert got.dtype == np.int8 and got.flags.c_contiguous
        assert np.array_equal(got[0], PIXELS.astype(np.int16) - 128)


def test_channels_come_first_where_the_input_has_them_first(tmp_path: Path) -> None:
    got = load_image(save(tmp_path / "a.png"), tensor((1, 3, 4, 6), dtype="uint8"), "bytes")
    assert np.array_equal(got[0], np.moveaxis(PIXELS, 2, 0))


def test_crop_takes_the_centre_and_stretch_all(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    item = tensor((1, 4, 4, 3), dtype="uint8")
    assert np.array_equal(load_image(path, item, "bytes")[0], PIXELS[:, 1:5])
    stretched = load_image(path, item, "bytes", "stretch", "nearest")
    assert np.array_equal(stretched[0], PIXELS[:, [0, 2, 3, 5]])     # (i + 1/2) · 6/4


def test_halving_with_bilinear_is_the_triangle_filter(tmp_path: Path) -> None:
    row = np.array([[0, 0, 100, 200, 60, 40, 8, 0]], np.uint8)
    path = save(tmp_path / "a.png", np.repeat(row, 2, axis=0))
    got = load_image(path, tensor((1, 1, 4), dtype="uint8"), "bytes", "stretch")
    # Weights 1, 3, 3, 1 over the pixels around; those beyond the edge are left out.
    expected = []
    for i in range(4):
        taps = [(x, w) for x, w in zip(range(2 * i - 1, 2 * i + 3), (1, 3, 3, 1), strict=True)
                if 0 <= x < 8]
        expected.append(sum(int(row[0, x]) * w for x, w in taps) / sum(w for _, w in taps))
    assert np.abs(got[0, 0] - np.array(expected)).max() <= 1


def test_one_channel_is_luma_and_transparency_is_dropped(tmp_path: Path) -> None:
    rgba = np.dstack([PIXELS, np.full((4, 6), 7, np.uint8)])
    path = save(tmp_path / "a.png", rgba)
    assert np.array_equal(load_image(path, tensor((1, 4, 6, 3), dtype="uint8"), "bytes")[0], PIXELS)
    gray = load_image(path, tensor((1, 4, 6), dtype="uint8"), "bytes")
    luma = PIXELS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray[0] - luma).max() <= 0.51     # Pillow's luma is in 1/65536


def test_exif_turns_the_image_upright(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = 6     # to be turned clockwise
    image.save(tmp_path / "a.png", exif=exif)
    got = load_image(tmp_path / "a.png", tensor((1, 6, 4, 3), dtype="uint8"), "bytes")
    assert np.array_equal(got[0], np.rot90(PIXELS, -1))


def test_unknown_ways_are_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    with pytest.raises(InputError, match="no way to resize 'pad': give one of crop, stretch"):
        load_image(path, tensor((1, 4, 6, 3)), resize="pad")
    with pytest.raises(InputError, match="no filter 'box': give one of bilinear, nearest"):
        load_image(path, tensor((1, 4, 6, 3)), filter="box")


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    item = tensor((1, 4, 6, 3))
    generator = np.random.default_rng(2)
    for ending in ("png", "jpg", "bmp", "webp", "ppm"):
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, {"jpg": "JPEG"}.get(ending, ending.upper()))
        data = buffer.getvalue()
        damaged = [data[:n] for n in (0, 1, 20, len(data) // 2)]
        for _ in range(50):
            flipped = bytearray(data)
            for at in generator.integers(0, min(len(data), 200), 3):
                flipped[at] ^= 1 << int(generator.integers(8))
            damaged.append(bytes(flipped))
        for number, content in enumerate(damaged):
            path = tmp_path / f"a{number}.{ending}"
            path.write_bytes(content)
            try:
                load_image(path, item)
            except InputError as error:
                assert str(error).startswith(f"{path.name}: ") and "\n" not in str(error)
            else:
                assert number >= 4, f"{path.name}: {len(content)} bytes of an image were taken"


@pytest.mark.parametrize("content, message", [
    (b"", "a.png: not an image in one of the formats BMP, JPEG, PNG, PPM, WEBP"),
    (b"GIF89a" + bytes(50), "a.png: not an image in one of the formats")])
def test_other_files_are_no_images(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_image(tmp_path / "a.png", tensor((1, 4, 6, 3)))


def test_missing_pillow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)     # an import of it then fails
    with pytest.raises(InputError, match=r"needs pillow: pip install .*\[image\]'"):
        load_image(path, tensor((1, 4, 6, 3)))


def test_missing_file_deep_pixels_and_bombs_are_named(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = tensor((1, 4, 6, 3))
    with pytest.raises(InputError, match="none.png: no such file"):
        load_image(tmp_path / "none.png", item)
    deep = save(tmp_path / "deep.png", np.zeros((4, 6), np.uint16))
    with pytest.raises(InputError, match="deep.png: expected 8 bits a channel, found mode I;16"):
        load_image(deep, item)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(InputError, match="not a sound image: Image size"):
        load_image(save(tmp_path / "a.png"), item)
