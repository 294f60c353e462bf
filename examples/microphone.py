"""A microphone at the accelerator: words of a recording, each second of it fed as samples.

    make setup
    .venv/bin/python examples/microphone.py

The simulated accelerator has ports for sensors (`kaniwa generate --sensor`). What hears the
microphone computes the spectrum of each second, 49 frames of 10 MFCC, as int8; these bytes are the
samples. They come while the accelerator computes, into a buffer of the ports, and 490 of them start
the program. The processor looks at nothing in between.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _needs  # noqa: F401
import numpy as np
from parts.sensing import Sensing

from kaniwa.preprocess import load_wav, read_wav

MODELS = Path(__file__).resolve().parents[1] / "models"
WORDS = "down go left no off on right stop up yes silence unknown".split()
RATE = 16_000
STEP = 0.2                # seconds from one window to the next
CERTAIN = 0.8
MOST_CYCLES = 200_000     # a window


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path, default=MODELS / "inputs" / "six_words.wav")
    args = parser.parse_args()

    seconds = len(read_wav(args.recording)) / RATE
    starts = np.arange(0, seconds - 1, STEP)
    sensing = Sensing(str(MODELS / "mlperf_kws_dscnn.tflite"), meanwhile=True)
    spectrum, = sensing.program.inputs
    frames = [load_wav(args.recording, spectrum, start=start).tobytes() for start in starts]
    found, cycles = sensing.answers(frames, MOST_CYCLES)
    last = ""
    for start, row in zip(starts, found, strict=True):
        word = WORDS[row.argmax()]
        if row.max() >= CERTAIN and word not in ("silence", "unknown", last):
            print(f"{start + 0.5:4.1f} s  {word}")
            last = word
    print(f"{len(starts)} windows, {cycles / len(starts):,.0f} cycles each")


if __name__ == "__main__":
    main()
