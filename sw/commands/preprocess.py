"""Options of ``kaniwa run`` for images, recordings and labels, and what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import numpy as np

from kaniwa.commands.options import apply_options
from kaniwa.commands.tables import show_table
from kaniwa.commands.values import FiniteRange
from kaniwa.errors import InputError

__all__ = ["preprocess_options", "Preprocessing", "answer_options", "Answers", "show_answers"]

DEFAULT_TOP = 5

preprocess_options = apply_options([
    click.option("--image", "images", type=click.Path(path_type=Path), multiple=True,
                 metavar="FILE", help="An image as input; give it again for more inferences."),
    click.option("--resize", type=click.Choice(["crop", "stretch"]), default="crop",
                 show_default=True, help="Take the centred part of the input's shape, or all."),
    click.option("--filter", "filter", default="bilinear", show_default=True,
                 type=click.Choice(["bilinear", "nearest", "bicubic", "lanczos"]),
                 help="Filter of the resizing (Pillow's)."),
    click.option("--normalize", default=None, metavar="NAME",
                 help="0..255, 0..1, -1..1, mean128, imagenet, caffe, or bytes (as integers); "
                      "default: what the input's quantization tells."),
    click.option("--wav", "wavs", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
                 help="A recording as input (mono, 16 bits, 16 kHz); give it again for more."),
    click.option("--features", default=None, metavar="NAME",
                 help="mfcc, lfbe or microfrontend; default: what the input's shape tells."),
    click.option("--start", type=FiniteRange(min=0), default=None, metavar="SECONDS",
                 help="Take the second that begins there from a longer recording."),
])

answer_options = apply_options([
    click.option("--labels", "label_file", type=click.Path(path_type=Path), default=None,
                 metavar="FILE", help="Names of the classes, one a line; prints the largest."),
    click.option("--top", type=click.IntRange(min=1), default=None, metavar="N",
                 help=f"Print the N largest classes of each inference  [{DEFAULT_TOP} with "
                      "--labels]."),
])


@dataclass(frozen=True)
class Preprocessing:
    """Values of the options of ``preprocess_options``."""

    images: tuple[Path, ...]
    resize: str
    filter: str
    normalize: str | None
    wavs: tuple[Path, ...]
    features: str | None
    start: float | None

    @classmethod
    def take(cls, ctx: click.Context, options: dict[str, Any]) -> Preprocessing:
        """From ``options``, which then no longer have them.

        Raises click.UsageError for options that do not go together.
        """
        taken = cls(**{field.name: options.pop(field.name) for field in fields(cls)})
        if taken.images and taken.wavs:
            raise click.UsageError("give --image or --wav, not both", ctx)
        if taken.files and any(_given(ctx, name) for name in ("source", "uint8", "random_seed")):
            raise click.UsageError("--image and --wav are instead of --input, --random and --uint8",
                                   ctx)
        if _given(ctx, "source") and _given(ctx, "random_seed"):
            raise click.UsageError("give --input or --random, not both", ctx)
        for option, files, names in (("--image", taken.images, ("resize", "filter", "normalize")),
                                     ("--wav", taken.wavs, ("features", "start"))):
            for name in names:
                if _given(ctx, name) and not files:
                    raise click.UsageError(f"--{name} is for {option}", ctx)
        return taken

    @property
    def files(self) -> tuple[Path, ...]:
        """The files to take inputs from; none: the inputs are arrays."""
        return self.images or self.wavs

    def inputs(self, tensors: Sequence[Any]) -> tuple[list[dict[str, np.ndarray]], dict[str, Any]]:
        """An inference for each file, and a description of what was done for the report."""
        if len(tensors) != 1:
            raise InputError(f"the model has {len(tensors)} inputs: give arrays with --input")
        arrays, done = (self._from_images if self.images else self._from_wavs)(tensors[0])
        done = {"files": [str(path) for path in self.files], **done}
        return [{tensors[0].name: array} for array in arrays], done

    def _from_images(self, tensor: Any) -> tuple[list[np.ndarray], dict[str, Any]]:
        from kaniwa.preprocess import default_normalization, load_image

        normalize = self.normalize or default_normalization(tensor)
        arrays = [load_image(path, tensor, normalize, self.resize, self.filter)
                  for path in self.images]
        return arrays, {"resize": self.resize, "filter": self.filter, "normalize": normalize,
                        "normalize_from": "option" if self.normalize else "quantization"}

    def _from_wavs(self, tensor: Any) -> tuple[list[np.ndarray], dict[str, Any]]:
        from kaniwa.preprocess import default_features, load_wav

        features = self.features or default_features(tensor)
        arrays = [load_wav(path, tensor, features, self.start) for path in self.wavs]
        return arrays, {"features": features, "start": self.start or 0.0,
                        "features_from": "option" if self.features else "shape"}


@dataclass(frozen=True)
class Answers:
    """Number of classes to name for each inference, and their labels."""

    top: int
    labels: list[str] | None
    tensor: Any

    @classmethod
    def of(cls, program: Any, label_file: Path | None, top: int | None) -> Answers | None:
        """From the options; None where they ask for none. Labels are checked here."""
        if label_file is None and top is None:
            return None
        from kaniwa.data.labels import class_count, load_label_names

        tensor = program.outputs[0]
        classes = class_count(tensor)
        labels = load_label_names(label_file, classes) if label_file else None
        return cls(top or DEFAULT_TOP, labels, tensor)

    def name(self, results: Sequence[dict[str, np.ndarray]],
             files: Sequence[Path]) -> list[dict[str, Any]]:
        """The largest classes of the first output of each inference, for the report.

        ``value`` is the real number that ``quantized`` stands for; that is None in float32.
        """
        from kaniwa.data.labels import real_values, top_classes

        rows = []
        for number, result in enumerate(results):
            values = result[self.tensor.name]
            real = real_values(values, self.tensor).ravel()
            rows.append({"inference": number, "file": str(files[number]) if files else None,
                         "top": [{"class": answer.number, "label": answer.label,
                                  "value": real[answer.number].item(),
                                  "quantized": None if self.tensor.dtype == "float32"
                                  else answer.value}
                                 for answer in top_classes(values, self.top, self.labels)]})
        return rows


def show_answers(values: dict[str, Any]) -> None:
    """Print what was done to make the inputs, and the classes, as far as the report has them."""
    done = values.get("preprocessing")
    if done and "normalize" in done:
        told = "told by the input's quantization" if done["normalize_from"] == "quantization" \
            else "as given"
        click.echo(f"images: {done['resize']}, {done['filter']}, normalized {done['normalize']} "
                   f"({told})")
    if done and "features" in done:
        told = "told by the input's shape" if done["features_from"] == "shape" else "as given"
        click.echo(f"recordings: one second from {done['start']:g} s, {done['features']} ({told})")
    if "answers" not in values:
        return
    # Columns that say nothing are left out.
    rows = [{"inference": answer["inference"], "file": answer["file"] and Path(answer["file"]).name,
             **row} for answer in values["answers"] for row in answer["top"]]
    columns = [name for name in rows[0] if rows[0][name] is not None]
    titles = {"value": values["unit"]}
    show_table("", [titles.get(name, name) for name in columns],
               [[row[name] for name in columns] for row in rows])


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
