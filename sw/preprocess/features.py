"""Front ends in floating point: MFCC and log filter-bank energies, as MLPerf Tiny computes them.

Computed in float64. TensorFlow computes the same in float32, so that a feature next to a tie may
be quantized to the integer beside that of TensorFlow.
"""

from __future__ import annotations

import numpy as np

from kaniwa.errors import InputError

__all__ = ["mfcc", "lfbe", "mel_weights", "RATE"]

RATE = 16000     # samples a second, of all front ends here


def mfcc(samples: np.ndarray) -> np.ndarray:
    """int16 ``samples`` of one second to 10 mel-frequency cepstral coefficients: float64 [49, 10].

    After mlcommons/tiny, benchmark/training/keyword_spotting/get_dataset.py with its defaults: the
    clip divided by its largest sample; frames of 30 ms every 20 ms, periodic Hann window, magnitude
    of the FFT of 512; 40 mel bands from 20 to 4,000 Hz; ``log(x + 1e-6)``; the first 10 of the
    orthogonal DCT-II as tf.signal.mfccs_from_log_mel_spectrograms scales it.
    """
    bands, count = 40, 10
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    magnitudes = np.abs(np.fft.rfft(_frames(_by_peak(samples), 480, 320) * window, 512))
    logarithms = np.log(magnitudes @ mel_weights(bands, 257, 20.0, 4000.0) + 1e-6)
    angles = np.pi / bands * np.outer(np.arange(bands) + 0.5, np.arange(count))
    return np.asarray(logarithms @ (2 * np.cos(angles)) / np.sqrt(2 * bands))


def lfbe(samples: np.ndarray) -> np.ndarray:
    """int16 ``samples`` of one second to 40 log filter-bank energies: float64 [30, 40], 0..1.

    After mlcommons/tiny, benchmark/training/streaming_wakeword/get_dataset.py with its defaults:
    the clip divided by its largest sample; pre-emphasis of 31/32; frames of 64 ms every 32 ms,
    symmetric Hamming window, power of the FFT of 1024 divided by 1024; 40 mel bands from 0 to
    8,000 Hz; ``(10 · log10(x) + 52) / 64``, clipped to 0..1.
    """
    signal = _by_peak(samples)
    signal = signal - (1 - 2.0 ** -5) * np.concatenate([[0.0], signal[:-1]])
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(1024) / 1023)
    power = np.abs(np.fft.rfft(_frames(signal, 1024, 512) * window, 1024)) ** 2 / 1024
    energies = np.maximum(power, 1e-30) @ mel_weights(40, 513, 0.0, 8000.0)
    return np.clip((10 * np.log10(energies) + 52) / 64, 0.0, 1.0)


def mel_weights(bands: int, bins: int, low: float, high: float) -> np.ndarray:
    """Triangles of equal width on the mel scale: float64 [bins, bands], bin 0 in none.

    As tf.signal.linear_to_mel_weight_matrix (mel = 1127 · ln(1 + hertz / 700), as in HTK), for bins
    from 0 to 8,000 Hz, edges in hertz.
    """
    first, last, *at_bins = 1127 * np.log1p(
        np.array([low, high, *np.linspace(0, RATE / 2, bins)]) / 700)
    edges = np.linspace(first, last, bands + 2)
    at = np.array(at_bins)[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    weights = np.maximum(np.minimum(rising, falling), 0)
    weights[0] = 0
    return np.asarray(weights)


def _by_peak(samples: np.ndarray) -> np.ndarray:
    """Divided by the largest sample, which is 1 then."""
    peak = int(samples.max())
    if peak <= 0:
        raise InputError("no sample is above 0, so the clip cannot be divided by its largest: it "
                         "is silent")
    return samples.astype(np.float64) / peak


def _frames(signal: np.ndarray, size: int, step: int) -> np.ndarray:
    """[frames, size], as many as fit."""
    return np.lib.stride_tricks.sliding_window_view(signal, size)[::step]
