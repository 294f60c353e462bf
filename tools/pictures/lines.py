"""The line buffer in the middle of a layer, from the fields of a compiled instruction."""

from __future__ import annotations

from pathlib import Path

import kaniwa
from kaniwa.commands.tables import layer_labels
from pictures.svg import Picture

__all__ = ["line_buffer"]

ROOT = Path(__file__).resolve().parents[2]
OUTPUT_ROW = 10
STATES = {"freed": "grey", "under the kernel": "orange", "loaded ahead": "sky", "room": ""}


def line_buffer() -> str:
    """The rows of ResNet-8's second layer on ``small``, while output row 10 is computed."""
    program = kaniwa.compile(ROOT / "models" / "mlperf_ic_resnet8.tflite", target="small",
                             outside="ideal")
    layer = program.layers[1]
    fields = program.instructions[layer.instructions[0]]
    pitch, size = fields["line_pitch"], program.config.line_bytes
    first = OUTPUT_ROW * fields["stride_rows"] - fields["pad_top"]
    last = first + fields["kernel_rows"] - 1
    held = size // pitch
    label = layer_labels([each.name for each in program.layers])[1]
    picture = Picture(900, 250, f"Line buffer: rows {first} to {last} are under the kernel, "
                      f"{held} rows fit")
    picture.text(20, 28, f"Line buffer of small ({size:,} bytes) at output row {OUTPUT_ROW} of "
                 f"{label}: rows of {pitch:,} bytes", name="strong")
    shown = range(first - 3, first + held + 3)
    width = 860 / len(shown)
    for number, row in enumerate(shown):
        x = 20 + width * number
        if row < first:
            state = "freed"
        elif row <= last:
            state = "under the kernel"
        elif row < first + held:
            state = "loaded ahead"
        else:
            state = "room"
        picture.box(x, 76, width - 3, 56, STATES[state], hint=f"row {row}: {state}")
        picture.text(x + width / 2 - 1, 109, str(row), name="on" if STATES[state] else "",
                     anchor="middle")
    start, end = 20 + 3 * width, 20 + (3 + held) * width
    picture.text((start + end) / 2, 62, f"{held} rows fit the ring", name="small",
                 anchor="middle")
    picture.rule((start, 68), (end - 3, 68))
    picture.wire([(start, 172), (start, 138)])
    picture.text(start, 190, "freed: no later output row needs the rows before", name="small")
    picture.wire([(end, 160), (end, 138)])
    picture.text(end, 176, "loaded: the load unit waits here until a row is freed",
                 name="small", anchor="end")
    picture.legend(20, 230, [("freed", "grey"), (f"under the {fields['kernel_rows']} kernel rows",
                                                 "orange"),
                             ("loaded ahead", "sky"), ("not loaded yet", "")])
    return picture.svg()
