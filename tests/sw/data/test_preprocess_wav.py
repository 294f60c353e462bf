"""Recordings as inputs: WAV files and front ends, against their formulas written out here."""

from __future__ import annotations

import hashlib
import io
import math
import wave
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kaniwa.errors import InputError
from kaniwa.importers import load_model
from kaniwa.preprocess import FEATURES, default_features, lfbe, load_wav, mfcc, read_wav
from kaniwa.preprocess.features import mel_weights
from kaniwa.preprocess.microfrontend import microfrontend


def noise(count: int = 16000) -> np.ndarray:
    """The same on every machine and NumPy: a linear congruential generator's upper bits."""
    values, x = [], 1
    for _ in range(count):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        values.append((x >> 15) - 32768)
    return np.array(values)


AT = np.arange(16000)
CLIPS = {
    "noise": noise().astype(np.int16),
    "quiet": (noise() >> 12).astype(np.int16),
    "steps": (noise() * (AT // 1600 % 4) // 8).astype(np.int16),
    "square": np.where(AT % 37 < 18, 32767, -32768).astype(np.int16),
}


def tensor(shape: tuple[int, ...], scale: float | None = 0.5847029089927673,
           zero_point: int | None = 83, dtype: str = "int8") -> SimpleNamespace:
    return SimpleNamespace(name="x", shape=shape, dtype=dtype, scale=scale, zero_point=zero_point)


KWS = tensor((1, 49, 10, 1))


def wav_bytes(samples: np.ndarray, channels: int = 1, rate: int = 16000, width: int = 2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def save(path: Path, samples: np.ndarray, **format: int) -> Path:
    path.write_bytes(wav_bytes(samples, **format))
    return path


def test_samples_are_read_as_they_are(tmp_path: Path) -> None:
    assert np.array_equal(read_wav(save(tmp_path / "a.wav", CLIPS["noise"])), CLIPS["noise"])


@pytest.mark.parametrize("format, found", [
    ({"channels": 2}, "found 2 channels, 16 bits, 16000 Hz: convert it"),
    ({"rate": 44100}, "found 1 channel, 16 bits, 44100 Hz: convert it"),
    ({"width": 1}, "found 1 channel, 8 bits, 16000 Hz: convert it"),
    ({"width": 4}, "found 1 channel, 32 bits, 16000 Hz: convert it")])
def test_other_formats_are_refused_by_name(format: dict[str, int], found: str,
                                           tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", CLIPS["quiet"], **format)
    with pytest.raises(InputError) as caught:
        read_wav(path)
    assert str(caught.value) == f"a.wav: expected 1 channel, 16 bits, 16000 Hz, {found}"


@pytest.mark.parametrize("content, message", [
    (b"", "a.wav: not a sound WAV file of PCM: "),
    (b"hello", "a.wav: not a sound WAV file of PCM: "),
    (b"RIFF\0\0\0\0AVI LIST", "a.wav: not a sound WAV file of PCM: not a WAVE file"),
    (wav_bytes(CLIPS["quiet"])[:1044], "a.wav: cut off: its header says 16000 samples, found 500"),
    (wav_bytes(CLIPS["quiet"][:0]), "a.wav: no samples"),
    (wav_bytes(np.zeros(601 * 16000, np.int16)), "a.wav: longer than 600 s")])
def test_damaged_files_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_wav(tmp_path / "a.wav")
    assert "\n" not in str(caught.value)


def test_flipped_bits_of_the_header_are_one_line(tmp_path: Path) -> None:
    good = wav_bytes(CLIPS["quiet"])
    path = tmp_path / "a.wav"
    for bit in range(44 * 8):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            read_wav(path)
        except InputError as error:
            assert str(error).startswith("a.wav: ") and "\n" not in str(error)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.wav: no such file"):
        read_wav(tmp_path / "none.wav")


def test_short_clips_are_filled_up_and_long_ones_need_a_start(tmp_path: Path) -> None:
    whole = np.concatenate([CLIPS["noise"], CLIPS["steps"]])
    path = save(tmp_path / "a.wav", whole)
    with pytest.raises(InputError, match=r"a.wav: 2.000 s long, one second is taken: say from "
                                         "where with --start"):
        load_wav(path, KWS)
    second = load_wav(save(tmp_path / "b.wav", CLIPS["steps"]), KWS)
    assert np.array_equal(load_wav(path, KWS, start=1.0), second)
    filled = np.concatenate([CLIPS["steps"][8000:], np.zeros(8000, np.int16)])
    assert np.array_equal(load_wav(path, KWS, start=1.5),
                          load_wav(save(tmp_path / "c.wav", filled), KWS))
    with pytest.raises(InputError, match="a.wav: 2.000 s long, it has no second 2.0"):
        load_wav(path, KWS, start=2.0)


def test_silence_cannot_be_divided_by_its_peak(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", np.zeros(16000, np.int16))
    with pytest.raises(InputError, match="a.wav: no sample is above 0"):
        load_wav(path, KWS)
    assert load_wav(path, tensor((1, 1960), 0.1, -128)).max() == -128


@pytest.mark.parametrize("model, features", [
    ("mlperf_kws_dscnn", "mfcc"), ("mlperf_sww_1d", "lfbe"),
    ("tflm_micro_speech", "microfrontend")])
def test_default_is_told_by_the_shape_of_the_shipped_models(model: str, features: str,
                                                            models: Path) -> None:
    graph = load_model(models / f"{model}.tflite")
    assert default_features(graph.tensors[graph.inputs[0]]) == features


def test_other_inputs_are_refused_by_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", CLIPS["noise"])
    with pytest.raises(InputError, match=r"input 'x' has shape \[1, 640\], which no front end "
                                         r"makes: mfcc \[49, 10\], lfbe \[30, 40\], microfrontend"):
        load_wav(path, tensor((1, 640)))
    with pytest.raises(InputError, match="no front end 'lpc': give one of mfcc, lfbe, micro"):
        load_wav(path, KWS, "lpc")
    with pytest.raises(InputError, match=r"\[1, 49, 10, 1\]: lfbe makes \[30, 40\]"):
        load_wav(path, KWS, "lfbe")


@pytest.mark.parametrize("name", list(FEATURES))
def test_features_are_quantized_with_the_scale_of_the_input(name: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", CLIPS["steps"])
    front_end = FEATURES[name]
    real = front_end.compute(CLIPS["steps"])
    assert real.shape == front_end.shape
    taken = load_wav(path, tensor((1, *front_end.shape), None, None, "float32"), name)
    assert taken.dtype == np.float32 and np.array_equal(taken[0], real.astype(np.float32))
    scale = float(np.ptp(real)) / 200
    got = load_wav(path, tensor((1, *front_end.shape), scale, -100), name)
    steps = got.astype(int)[0] + 100 - real / scale
    inside = (got[0] > -128) & (got[0] < 127)
    assert got.dtype == np.int8 and inside.any() and np.abs(steps[inside]).max() <= 0.5 + 1e-9


def spectrum(frame: np.ndarray, size: int) -> np.ndarray:
    """Bins 0..size/2 of the discrete Fourier transform, by its sum."""
    turns = np.outer(np.arange(size // 2 + 1), np.arange(len(frame))) % size
    return np.exp(-2j * np.pi / size * turns) @ frame


def mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def bands(values: np.ndarray, count: int, low: float, high: float) -> list[float]:
    """Sums under triangles whose corners lie evenly on the mel scale; bin 0 counts for none."""
    corners = [mel(low) + (mel(high) - mel(low)) * i / (count + 1) for i in range(count + 2)]
    at = [mel(8000 * i / (len(values) - 1)) for i in range(len(values))]
    return [float(np.dot(np.interp(at, corners[i:i + 3], [0, 1, 0])[1:], values[1:]))
            for i in range(count)]


@pytest.mark.parametrize("clip", list(CLIPS))
def test_mfcc_is_its_formula(clip: str) -> None:
    samples = CLIPS[clip]
    signal = samples / samples.max()
    got = mfcc(samples)
    assert got.shape == (49, 10)
    for frame in (0, 20, 48):
        windowed = [signal[320 * frame + i] * math.sin(math.pi * i / 480) ** 2 for i in range(480)]
        logs = [math.log(v + 1e-6) for v in
                bands(np.abs(spectrum(np.array(windowed), 512)), 40, 20, 4000)]
        for k in range(10):
            # The orthogonal DCT-II, but for its first row, which is not divided by the root of 2.
            value = math.sqrt(2 / 40) * sum(v * math.cos(math.pi * k * (2 * i + 1) / 80)
                                            for i, v in enumerate(logs))
            assert got[frame, k] == pytest.approx(value, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("clip", list(CLIPS))
def test_lfbe_is_its_formula(clip: str) -> None:
    samples = CLIPS[clip]
    signal = [x / samples.max() for x in samples.tolist()]
    got = lfbe(samples)
    assert got.shape == (30, 40)
    for frame in (0, 13, 29):
        emphasized = [signal[n] - (31 / 32 * signal[n - 1] if n else 0)
                      for n in range(512 * frame, 512 * frame + 1024)]
        windowed = [v * (0.54 - 0.46 * math.cos(2 * math.pi * i / 1023))
                    for i, v in enumerate(emphasized)]
        power = np.abs(spectrum(np.array(windowed), 1024)) ** 2 / 1024
        for k, energy in enumerate(bands(power, 40, 0, 8000)):
            value = min(max((10 * math.log10(max(energy, 1e-30)) + 52) / 64, 0), 1)
            assert got[frame, k] == pytest.approx(value, abs=1e-6)


def test_mel_triangles_overlap_to_one_between_their_centres() -> None:
    weights = mel_weights(40, 513, 0.0, 8000.0)
    sums = weights.sum(axis=1)
    assert weights.shape == (513, 40) and weights[0].max() == 0
    assert np.allclose(sums[10:470], 1) and weights.max() <= 1


# sha256 of the features (little-endian uint16), begun, from TensorFlow's C library compiled here.
RECORDED = {"noise": "6dd3afd30355dc46", "quiet": "0b415db468dcc2e6",
            "steps": "18e51dfd1c72def3", "square": "7ffc532d1fde97b3"}


@pytest.mark.parametrize("clip", list(CLIPS))
def test_microfrontend_equals_the_library_to_the_bit(clip: str) -> None:
    features = microfrontend(CLIPS[clip])
    assert features.shape == (49, 40) and features.dtype == np.uint16
    digest = hashlib.sha256(features.astype("<u2").tobytes()).hexdigest()
    assert digest.startswith(RECORDED[clip])


@pytest.mark.parametrize("clip", ["noise", "steps"])
def test_microfrontend_is_near_its_formula_in_real_numbers(clip: str) -> None:
    got, expected = microfrontend(CLIPS[clip]).astype(float), real_microfrontend(CLIPS[clip])
    # Small values have few bits before the logarithm: there the integers are coarse.
    large = expected > 400
    assert large.mean() > 0.3
    assert np.abs(got - expected)[large].max() <= 10
    assert np.abs(got - expected)[large].mean() <= 2


def real_microfrontend(samples: np.ndarray) -> np.ndarray:
    """The chain without fixed point: filters, noise subtraction, PCAN, logarithm."""
    def mel_natural(hertz: np.ndarray | float) -> np.ndarray:
        return np.asarray(1127 * np.log1p(np.asarray(hertz) / 700))

    corners = np.linspace(mel_natural(125.0), mel_natural(7500.0), 42)
    at = mel_natural(31.25 * np.arange(257))
    window = np.sin(np.pi * (np.arange(480) + 0.5) / 480) ** 2
    estimate = np.zeros(40)
    smoothing = np.where(np.arange(40) % 2, 0.06, 0.025)
    rows = []
    for frame in range(49):
        energy = np.abs(np.fft.rfft(samples[320 * frame:320 * frame + 480] * window, 512)) ** 2
        weights = np.array([np.interp(at, corners[i:i + 3], [0, 1, 0]) for i in range(40)])
        signal = 64 / 512 * np.sqrt(weights @ energy)
        estimate += smoothing * (signal - estimate)
        left = np.maximum(signal - estimate, 0.05 * signal)
        ratio = 8 * left * (8 * estimate + 80) ** -0.95
        gained = np.where(ratio < 2, ratio ** 2 / 4, ratio - 1)
        rows.append(64 * np.log(np.maximum(8 * 64 * gained, 1)))
    return np.array(rows)


def test_a_clip_shorter_than_a_window_has_no_frame() -> None:
    assert microfrontend(np.zeros(479, np.int16)).shape == (0, 40)


@pytest.mark.parametrize("of", [mfcc, lfbe, microfrontend])
def test_features_do_not_depend_on_what_was_computed_before(
        of: Callable[[np.ndarray], np.ndarray]) -> None:
    first = of(CLIPS["noise"])
    of(CLIPS["steps"])
    assert np.array_equal(of(CLIPS["noise"]), first)
