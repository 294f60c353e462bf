"""An LSTM that reads handwritten digits row by row, with cells removed, on the simulated core.

    pip install '.[sim,quantize,compress]'
    python examples/compress_lstm.py --output lstm_small.onnx
    python examples/compress_lstm.py --device emulator --json steps.json

`nn.LSTM` of 64 cells and a dense layer learn the first 1,437 of scikit-learn's 1,797 digits
(Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0), each in ten forms.
Then cells are removed, those first that the others can stand in for, and what is left learns from
the answers of the 64. Both signs of its weights are made to reach equally far, which saves a ninth
bit. The last 360 digits are held back: accuracy is theirs, through the quantised model.
--validation measures on the last 237 of the 1,437 in place of them, and learns the rest. With
--checkpoint FILE a run that was stopped goes on where it was.
"""

from __future__ import annotations

import sys
import time

import _needs  # noqa: F401
import torch
from parts.cells import BalancedWeights, CellPruning, Rows
from parts.compressing import Steps, options_of, run, save
from parts.digits import TRAINING, digits, varied_digits
from torch import nn

from kaniwa.commands.progress import progress
from kaniwa.compression.pytorch.measure import Bench
from kaniwa.compression.pytorch.recipe import Recipe, compress
from kaniwa.compression.pytorch.steps import Step, Training
from kaniwa.compression.pytorch.training import Data, Settings, accuracy

TARGET = "base_recurrent"
VALIDATION = 237
FORMS = 10
CELLS, KEPT = 64, 32
FLOAT = Recipe((Training(epochs=12),), Settings(rate=6e-3, distillation=0.0))
DISTILLED = Settings(rate=3e-3, distillation=0.9, temperature=2.0)
EPOCHS = 16


def samples(validation: bool) -> tuple[Data, Data]:
    """Those to learn from, and those to measure with, [n, 1, 8, 8]."""
    x, labels = digits()
    many, wanted = varied_digits(x, labels)
    many, x = many.transpose(0, 3, 1, 2), x.transpose(0, 3, 1, 2)
    classes = wanted.argmax(1)
    if not validation:
        return Data(many, classes), Data(x[TRAINING:], labels[TRAINING:])
    count = TRAINING - VALIDATION
    learned = [i for i in range(FORMS * TRAINING) if i % TRAINING < count]
    return (Data(many[learned], classes[learned]),
            Data(x[count:TRAINING], labels[count:TRAINING]))


def main() -> int:
    parser = options_of(__doc__.splitlines()[0])
    parser.add_argument("--validation", action="store_true", help="measure without the held back")
    parser.add_argument("--cells", type=int, default=KEPT, help="that stay")
    options = parser.parse_args()
    began = time.monotonic()
    torch.set_num_threads(1)      # the same weights every time
    torch.manual_seed(0)
    learned, held_back = samples(options.validation)
    first = options.checkpoint and options.checkpoint.with_suffix(".float")
    with progress("compressing") as update:
        steps = Steps(Bench(learned, held_back, TARGET))

        def after(module: nn.Module, number: int, step: Step) -> None:
            steps.take(module, type(step).__name__, 8)

        module = compress(Rows(CELLS), FLOAT, learned, checkpoint=first, progress=update)
        in_float = accuracy(module, held_back)
        steps.take(module, "float, int8", 8)
        compress(module, Recipe((
            CellPruning(kept=options.cells, samples=learned.x, epochs=EPOCHS),
            BalancedWeights()), DISTILLED), learned,
            checkpoint=options.checkpoint, progress=update, after=after)
        update(f"running on {options.device}")
        ran = run(steps.model, held_back, TARGET, options.device)
    large, small = steps.rows[0], steps.rows[-1]
    steps.show("the program of all cells has", large["bytes"])
    print(f"float32: {in_float:.1%} right; {options.cells} cells of int8: {small['accuracy']:.1%}, "
          f"{large['cycles'] / small['cycles']:.2f} times fewer cycles")
    print(f"{ran['device']}: {ran['inferences']} digits, {ran['right']} right, "
          f"{ran['different']} different from golden, {ran['cycles']:,} cycles each")
    print(f"done in {time.monotonic() - began:.0f} s")
    save(options, steps, {
        "target": TARGET, "float_bytes": 4 * large["weights"], "float_accuracy": in_float,
        "steps": steps.rows, "run": ran})
    return 1 if ran["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
