"""Keyword spotting, its recorded words, and what golden makes of them."""

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.importers import load_model


class Words:
    """Keyword spotting for `base`, and ``inputs`` with golden's ``answers``."""

    def __init__(self, models):
        self.graph = load_model(models / "mlperf_kws_dscnn.tflite")
        self.program = compile(self.graph, target="base")
        self.inputs = np.load(models / "inputs" / "kws01_1000.npz")["x"][:25, None]
        (output,) = self.graph.outputs
        self.answers = np.stack([golden.run(self.graph, [word])[output] for word in self.inputs])


@pytest.fixture(scope="session")
def words(models):
    return Words(models)


@pytest.fixture(scope="session")
def recurrent(models):
    return compile(load_model(models / "tflm_mnist_lstm.tflite"), target="base")
