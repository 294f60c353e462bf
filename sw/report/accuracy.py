"""Accuracy of a program over labelled data, for a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from kaniwa.data.inputs import load_inputs, load_labels
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import InputError
from kaniwa.program.program import Program

__all__ = ["Watch", "accuracy"]

# (results, their number, text, device) to the same results, shown while they come.
Watch = Callable[[Iterable[Any], int, str, Any], Iterator[Any]]
MOST_CLASSES = 100       # of which a table is kept


def accuracy(program: Program, device: str, data: str, uint8: bool, limit: int | None,
             watch: Watch) -> dict[str, Any]:
    """Answers of ``program`` on ``device`` for the labelled data in the file ``data``.

    The answer is the first largest value of the first output. ``classes``: of each label, how
    often each class was the answer; None where there are too many classes.
    """
    inputs = load_inputs(data, program.inputs, uint8=uint8, limit=limit)
    labels = [int(label) for label in load_labels(data, limit)]
    if len(labels) < len(inputs):
        raise InputError(f"{data}: {len(inputs)} inferences but {len(labels)} labels")
    output = program.outputs[0]
    with devices.open(device, target=program.config, outside=program.outside) as opened:
        session = Session(program, opened)
        found = watch((_answer(session, item, output.name) for item in inputs), len(inputs),
                      f"running on {device}", opened)
        answers = list(found)
    pairs = list(zip(labels, answers, strict=False))
    correct = sum(label == answer for label, answer in pairs)
    count = 1 + max((max(pair) for pair in pairs), default=0)
    table = None
    if min((min(pair) for pair in pairs), default=0) >= 0 and count <= MOST_CLASSES:
        table = np.zeros((count, count), np.int64)
        for label, answer in pairs:
            table[label, answer] += 1
    return {"device": device, "data": data, "inferences": len(pairs), "correct": correct,
            "accuracy": correct / len(pairs), "classes": None if table is None else table.tolist()}


def _answer(session: Session, item: Any, output: str) -> int:
    session.reset()
    return int(np.argmax(session.run(item)[output]))
