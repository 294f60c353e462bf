"""The integer front end of speech models of TensorFlow Lite Micro: 40 channels a frame of 30 ms.

Follows TensorFlow's library ``microfrontend`` (tensorflow/lite/experimental/microfrontend/lib) with
the settings of TFLM's example micro_speech, to the bit: Hann window, FFT, mel filters, square root,
noise reduction, per-channel gain (PCAN) and logarithm, all in integers. The FFT is that of KISS FFT
with 16-bit fixed point. Sums that wrap there, wrap here.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

__all__ = ["microfrontend", "CHANNELS", "WINDOW", "STEP"]

CHANNELS = 40
WINDOW = 480                # samples a frame: 30 ms at 16 kHz
STEP = 320                  # samples from a frame to the next: 20 ms
RATE = 16000
FFT_SIZE = 512
LOW_HERTZ, HIGH_HERTZ = 125.0, 7500.0

WINDOW_BITS = 12            # fraction bits of the window's coefficients
FILTER_BITS = 12            # ... of the mel filters' weights
NOISE_BITS = 14             # ... of the smoothing factors
SMOOTHING_BITS = 10         # ... of the noise estimate
GAIN_BITS = 21              # ... of PCAN's gain
SNR_BITS = 12               # ... of signal over noise
OUTPUT_BITS = 6             # ... of PCAN's result, and of the logarithm
LOG_BITS = 16               # ... inside the logarithm
# The FFT divides by its size, the filters' weights are squared magnitudes: half of their bits.
CORRECTION_BITS = FFT_SIZE.bit_length() - 1 - FILTER_BITS // 2

# Smoothing factors of even and odd channels, the part of a signal that always remains.
EVEN_SMOOTHING, ODD_SMOOTHING, REMAINING = (int(f * (1 << NOISE_BITS)) for f in (0.025, 0.06, 0.05))
PCAN_STRENGTH, PCAN_OFFSET = 0.95, 80.0
LOG_OF_2 = 45426            # round(ln 2 · 2¹⁶)
WORD = 0xFFFFFFFF


def microfrontend(samples: np.ndarray, step: int = STEP) -> np.ndarray:
    """int16 ``samples`` at 16 kHz to logarithms of 40 channels: uint16 [frames, 40], 0..about 670.

    A frame for each 480 samples that begin at a multiple of ``step``; the noise estimate begins at
    zero and goes from one frame to the next.
    """
    starts = range(0, len(samples) - WINDOW + 1, step)
    frames = np.array([samples[at:at + WINDOW] for at in starts], np.int32).reshape(-1, WINDOW)
    windowed = (frames * _window()) >> WINDOW_BITS
    # As 16 bits: -32768 has no absolute value there and counts as less than any.
    peaks = np.abs(windowed.astype(np.int16)).max(axis=1, initial=0)
    shifts = np.array([15 - int(peak).bit_length() for peak in peaks], np.int32)
    spectrum = np.zeros((len(frames), FFT_SIZE), np.int16)
    spectrum[:, :WINDOW] = windowed << shifts[:, None]
    real, imaginary = (part.astype(np.int64) for part in _real_fft(spectrum))
    channels = (real * real + imaginary * imaginary) @ _filters()
    estimate = [0] * CHANNELS
    rows = []
    for energies, shift in zip(channels.tolist(), shifts.tolist(), strict=True):
        row = []
        for channel, energy in enumerate(energies):
            signal, estimate[channel] = _less_noise(
                _rounded_root(energy) >> shift, estimate[channel],
                ODD_SMOOTHING if channel & 1 else EVEN_SMOOTHING)
            row.append(_log(_shrunk((signal * _gain(estimate[channel]))
                                    >> (GAIN_BITS - CORRECTION_BITS - SNR_BITS) & WORD)))
        rows.append(row)
    return np.array(rows, np.uint16).reshape(-1, CHANNELS)


@cache
def _window() -> np.ndarray:
    step = float(np.float32(2 * np.pi / WINDOW))
    value = (0.5 - 0.5 * np.cos(step * (np.arange(WINDOW) + 0.5))).astype(np.float32)
    return np.array([_fixed(float(v), WINDOW_BITS) for v in value], np.int32)


def _fixed(value: float, bits: int) -> int:
    """``value`` with ``bits`` fraction bits, half up."""
    return math.floor(value * (1 << bits) + 0.5)


def _twiddles(phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine in 1/32767."""
    return (np.floor(0.5 + 32767 * np.cos(phases)).astype(np.int32),
            np.floor(0.5 + 32767 * np.sin(phases)).astype(np.int32))


def _rounded(product: np.ndarray) -> np.ndarray:
    """32-bit product with 15 fraction bits to 16 bits, half up."""
    return ((product + (1 << 14)) >> 15).astype(np.int16)


def _divided(value: np.ndarray, divisor: int) -> np.ndarray:
    return _rounded(value.astype(np.int32) * (32767 // divisor)).astype(np.int32)


def _times(real: np.ndarray, imaginary: np.ndarray,
           twiddle: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = twiddle
    return (_rounded(real * cosine - imaginary * sine).astype(np.int32),
            _rounded(real * sine + imaginary * cosine).astype(np.int32))


def _complex_fft(real: np.ndarray, imaginary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of int16 [frames, a power of 4], divided by the size: decimation in time, radix 4."""
    size = real.shape[1]
    if size == 1:
        return real, imaginary
    quarter = size // 4
    parts = [_complex_fft(real[:, i::4], imaginary[:, i::4]) for i in range(4)]
    # Each stage divides by 4, so that its sums fit.
    divided = [(_divided(re, 4), _divided(im, 4)) for re, im in parts]
    turn = -2 * np.pi * np.arange(quarter) / size
    (r0, i0), *turned = [divided[0], *(_times(*divided[k], _twiddles(turn * k)) for k in (1, 2, 3))]
    (r1, i1), (r2, i2), (r3, i3) = turned
    # The sums are kept in 16 bits where the library stores them.
    even_r, even_i = _short(r0 + r2), _short(i0 + i2)
    gap_r, gap_i = _short(r0 - r2), _short(i0 - i2)
    odd_r, odd_i = _short(r1 + r3), _short(i1 + i3)
    skew_r, skew_i = _short(r1 - r3), _short(i1 - i3)
    out_r = (even_r + odd_r, gap_r + skew_i, even_r - odd_r, gap_r - skew_i)
    out_i = (even_i + odd_i, gap_i - skew_r, even_i - odd_i, gap_i + skew_r)
    return (_short(np.concatenate(out_r, axis=1)), _short(np.concatenate(out_i, axis=1)))


def _short(value: np.ndarray) -> np.ndarray:
    """Wrapped to 16 bits."""
    return value.astype(np.int16).astype(np.int32)


def _real_fft(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of int16 [frames, FFT_SIZE], divided by the size: bins 0..FFT_SIZE/2, real and imaginary.

    Even samples are the real part and odd ones the imaginary part of a transform of half the size,
    whose bins k and half − k are then taken apart.
    """
    half = samples.shape[1] // 2
    real, imaginary = _complex_fft(samples[:, 0::2].astype(np.int32),
                                   samples[:, 1::2].astype(np.int32))
    real, imaginary = _divided(real, 2), _divided(imaginary, 2)
    out_r = np.zeros((len(samples), half + 1), np.int32)
    out_i = np.zeros_like(out_r)
    out_r[:, 0], out_r[:, half] = real[:, 0] + imaginary[:, 0], real[:, 0] - imaginary[:, 0]
    bins = np.arange(1, half // 2 + 1)
    mirror = half - bins
    sum_r, sum_i = real[:, bins] + real[:, mirror], imaginary[:, bins] - imaginary[:, mirror]
    gap_r, gap_i = real[:, bins] - real[:, mirror], imaginary[:, bins] + imaginary[:, mirror]
    sum_r, sum_i, gap_r, gap_i = (_short(value) for value in (sum_r, sum_i, gap_r, gap_i))
    turned_r, turned_i = _times(gap_r, gap_i, _twiddles(-np.pi * (bins / half + 0.5)))
    out_r[:, bins], out_i[:, bins] = (sum_r + turned_r) >> 1, (sum_i + turned_i) >> 1
    out_r[:, mirror], out_i[:, mirror] = (sum_r - turned_r) >> 1, (turned_i - sum_i) >> 1
    return _short(out_r), _short(out_i)


@cache
def _filters() -> np.ndarray:
    """Weights of the mel channels: int64 [bins, channels], triangles in steps of 1/4096.

    The library rounds to float32 what it keeps, so that is done here too. (Newer copies of it call
    log1pf, whose last bit depends on the C library; that moves three weights by 1/4096.)
    """
    low, high = _mel(LOW_HERTZ), _mel(HIGH_HERTZ)
    spacing = np.float32((high - low) / np.float32(CHANNELS + 1))
    centres = [np.float32(low + np.float32(spacing * np.float32(i + 1)))
               for i in range(CHANNELS + 1)]
    hertz = RATE / FFT_SIZE
    weights = np.zeros((FFT_SIZE // 2 + 1, CHANNELS), np.int64)
    at = int(1.5 + LOW_HERTZ / hertz)
    for channel, centre in enumerate(centres):
        below = centres[channel - 1] if channel else low
        while _mel(at * hertz) <= centre:
            part = np.float32((centre - _mel(at * hertz)) / np.float32(centre - below))
            # The falling side of the channel before, the rising one of this.
            if channel:
                weights[at, channel - 1] = _fixed(float(part), FILTER_BITS)
            if channel < CHANNELS:
                weights[at, channel] = _fixed(1.0 - float(part), FILTER_BITS)
            at += 1
    return weights


def _mel(hertz: float) -> np.float32:
    return np.float32(1127.0 * np.log1p(hertz / 700.0))


def _rounded_root(value: int) -> int:
    """The integer nearest to the square root; below 2³² at most 65,535."""
    root = math.isqrt(value)
    up = value - root * root > root and (root != 0xFFFF or value >> 32)
    return root + 1 if up else root


def _less_noise(signal: int, estimate: int, smoothing: int) -> tuple[int, int]:
    """The signal less the estimate of its noise, and the new estimate."""
    scaled = signal << SMOOTHING_BITS & WORD
    estimate = (scaled * smoothing + estimate * ((1 << NOISE_BITS) - smoothing)) >> NOISE_BITS
    left = (scaled - min(estimate, scaled)) >> SMOOTHING_BITS
    return max(left, signal * REMAINING >> NOISE_BITS), estimate


@cache
def _gain_at(noise: int) -> int:
    """PCAN's gain at a knot of its table: ``(noise + offset) ** -strength``, at most 32,767."""
    level = np.float32(noise) / np.float32(1 << (SMOOTHING_BITS - CORRECTION_BITS))
    power = np.float32(float(level + np.float32(PCAN_OFFSET)) ** float(np.float32(-PCAN_STRENGTH)))
    return min(int(np.float32(1 << GAIN_BITS) * power + np.float32(0.5)), 0x7FFF)


def _gain(noise: int) -> int:
    """PCAN's gain: a parabola between the powers of two and the middle between them."""
    if noise <= 2:
        return _gain_at(noise)
    bits = noise.bit_length()
    start = 1 << (bits - 1)
    end = 2 * start if bits < 32 else 2 * start - 1
    first = _gain_at(start)
    middle, last = _gain_at(start + start // 2) - first, _gain_at(end) - first
    slope = 4 * middle - last
    bend = last - slope
    fraction = (noise << (11 - bits) if bits < 11 else noise >> (bits - 11)) & 0x3FF
    return first + ((((bend * fraction >> 5) + (slope << 5)) * fraction + (1 << 14)) >> 15)


def _shrunk(ratio: int) -> int:
    """Signal over noise to PCAN's result: a square at first, then a line."""
    if ratio < 2 << SNR_BITS:
        return ratio * ratio >> (2 + 2 * SNR_BITS - OUTPUT_BITS)
    return (ratio >> (SNR_BITS - OUTPUT_BITS)) - (1 << OUTPUT_BITS)


@cache
def _log_knots() -> tuple[int, ...]:
    """``log2(1 + x) - x`` in 1/65536 at x = i/128; the slope behind the last one is not used."""
    x = np.arange(129) / 128
    return tuple(int(v) for v in np.rint((np.log2(1 + x) - x) * (1 << LOG_BITS)))


def _log(value: int) -> int:
    """Natural logarithm of ``value`` with 6 fraction bits, from log2 with linear pieces."""
    value = value << CORRECTION_BITS & WORD
    if value <= 1:
        return 0
    whole = value.bit_length() - 1
    fraction = value - (1 << whole)
    fraction = (fraction << (LOG_BITS - whole) if whole < LOG_BITS
                else fraction >> (whole - LOG_BITS))
    segment = fraction >> (LOG_BITS - 7)
    knots = _log_knots()
    low, high = knots[segment], knots[segment + 1]
    piece = ((high - low) * (fraction - (segment << (LOG_BITS - 7)))) >> LOG_BITS
    log2 = (whole << LOG_BITS) + fraction + low + piece
    half = 1 << (LOG_BITS - 1)
    natural = (LOG_OF_2 * log2 + half) >> LOG_BITS
    return min(((natural << OUTPUT_BITS) + half) >> LOG_BITS, 0xFFFF)
