"""A camera at the accelerator: is there a person in the picture, and no processor asks.

    make setup
    .venv/bin/python examples/camera.py

The simulated accelerator has ports for sensors (`kaniwa generate --sensor`). It is set up once;
then pixels come as a camera sends them, bytes of red, green and blue, row by row. A table makes
them the model's int8, the last pixel of a frame starts the program, and its answer leaves by the
port of results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _needs  # noqa: F401
import numpy as np
from parts.sensing import Sensing, from_uint8

from kaniwa.preprocess import load_image

MODELS = Path(__file__).resolve().parents[1] / "models"
CLOCK_HZ = 100e6
MOST_CYCLES = 500_000     # a frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=MODELS / "inputs" / "pictures")
    args = parser.parse_args()
    paths = sorted(args.pictures.glob("*.jpg"))
    if not paths:
        parser.error(f"no .jpg in {args.pictures}")

    sensing = Sensing(str(MODELS / "mlperf_vww_mbv1_96.tflite"), table=from_uint8())
    picture, = sensing.program.inputs
    pixels = [(load_image(path, picture)[0].astype(np.int16) + 128).astype(np.uint8)
              for path in paths]
    found, cycles = sensing.answers([frame.tobytes() for frame in pixels], MOST_CYCLES)
    for path, (_, person) in zip(paths, found, strict=True):
        print(f"{path.stem:<14} {'a person' if person > 0.5 else 'nobody':<9} {person:.2f}")
    each = cycles / len(paths)
    print(f"{each:,.0f} cycles a frame, its pixels included: "
          f"{CLOCK_HZ / each:,.0f} frames a second at {CLOCK_HZ / 1e6:.0f} MHz")


if __name__ == "__main__":
    main()
