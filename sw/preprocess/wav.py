"""WAV files as model inputs: mono 16-bit PCM at 16 kHz through a named front end."""

from __future__ import annotations

import math
import wave
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.data.inputs import quantize
from kaniwa.errors import InputError
from kaniwa.files import check_readable
from kaniwa.preprocess.features import RATE, lfbe, mfcc
from kaniwa.preprocess.microfrontend import microfrontend

__all__ = ["read_wav", "load_wav", "default_features", "FrontEnd", "FEATURES"]

CLIP = RATE                # samples that a front end takes: one second
LONGEST = 600 * RATE       # of a file, so that a header cannot ask for all memory


@dataclass(frozen=True)
class FrontEnd:
    """int16 samples of one second to float64 features of ``shape``: frames and coefficients."""

    shape: tuple[int, int]
    compute: Callable[[np.ndarray], np.ndarray]


FEATURES = {
    "mfcc": FrontEnd((49, 10), mfcc),
    "lfbe": FrontEnd((30, 40), lfbe),
    # The training of micro_speech divides the logarithms by 25.6.
    "microfrontend": FrontEnd((49, 40), lambda samples: microfrontend(samples) / 25.6),
}


def load_wav(path: str | PathLike[str], tensor: Any, features: str | None = None,
             start: float | None = None) -> np.ndarray:
    """Features of the recording at ``path`` as ``tensor`` takes them: its shape and dtype.

    ``tensor`` has name, shape, dtype, scale and zero_point; the features are quantized with its
    scale as LiteRT's QUANTIZE does. ``features`` is one of FEATURES, None what
    ``default_features`` says. One second is taken from second ``start``, filled up with zeros at
    its end; without ``start`` a longer file is an error.

    Raises InputError for a file that is no sound recording of the only format taken, and for a
    front end that does not fit the tensor.
    """
    path = Path(path)
    name = default_features(tensor) if features is None else features
    if name not in FEATURES:
        raise InputError(f"no front end '{name}': give one of {', '.join(FEATURES)}")
    front_end = FEATURES[name]
    if math.prod(tensor.shape) != math.prod(front_end.shape):
        raise InputError(f"input '{tensor.name}' has shape {list(tensor.shape)}: {name} makes "
                         f"{list(front_end.shape)}")
    samples = _clip(path, read_wav(path), start)
    try:
        values = front_end.compute(samples)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None
    return quantize(values.reshape(tensor.shape), tensor)


def default_features(tensor: Any) -> str:
    """The front end that makes features of ``tensor``'s shape, dimensions of 1 aside.

    Raises InputError where none does.
    """
    sizes = tuple(size for size in tensor.shape if size != 1)
    for name, front_end in FEATURES.items():
        if sizes in (front_end.shape, (math.prod(front_end.shape),)):
            return name
    known = ", ".join(f"{name} {list(known.shape)}" for name, known in FEATURES.items())
    raise InputError(f"input '{tensor.name}' has shape {list(tensor.shape)}, which no front end "
                     f"makes: {known}")


def read_wav(path: str | PathLike[str]) -> np.ndarray:
    """The samples of the WAV file at ``path``: int16 [samples].

    Raises InputError for a damaged file and for anything but mono 16-bit PCM at 16 kHz: what
    another rate or mixed channels sound like to a model depends on the filter that converts them.
    """
    path = Path(path)
    check_readable(path)
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, count = file.getparams()[:4]
            if (channels, width, rate) != (1, 2, RATE):
                raise InputError(
                    f"{path.name}: expected 1 channel, 16 bits, {RATE} Hz, found {channels} "
                    f"channel{'s' * (channels != 1)}, {8 * width} bits, {rate} Hz: convert it")
            if count > LONGEST:
                raise InputError(f"{path.name}: longer than {LONGEST // RATE} s")
            data = file.readframes(count)
    except InputError:
        raise
    # The module raises its own error, EOFError and others for damaged headers.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path.name}: not a sound WAV file of PCM: {reason}") from None
    if len(data) != 2 * count:
        raise InputError(f"{path.name}: cut off: its header says {count} samples, found "
                         f"{len(data) // 2}")
    if not count:
        raise InputError(f"{path.name}: no samples")
    return np.frombuffer(data, np.int16)


def _clip(path: Path, samples: np.ndarray, start: float | None) -> np.ndarray:
    """One second of the samples."""
    if start is None and len(samples) > CLIP:
        raise InputError(f"{path.name}: {len(samples) / RATE:.3f} s long, one second is taken: "
                         "say from where with --start")
    first = round((start or 0.0) * RATE)
    if not 0 <= first < len(samples):
        raise InputError(f"{path.name}: {len(samples) / RATE:.3f} s long, it has no second {start}")
    clip = samples[first:first + CLIP]
    return np.concatenate([clip, np.zeros(CLIP - len(clip), np.int16)])
