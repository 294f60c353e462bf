"""Handwritten digits of 8x8 pixels, for the scripts that learn them.

scikit-learn carries 1,797: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, CC
BY 4.0.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

TRAINING = 1437     # the digits before are to learn from


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [n, 8, 8, 1] in 0..1, and what they show, int64 [n]."""
    images, labels = load_digits(return_X_y=True)
    return (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32), labels


def varied_digits(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The digits to learn from, each in ten forms, and their classes float32 [n, 10]."""
    rng = np.random.default_rng(0)
    learned = [x[:TRAINING], *(varied(x[:TRAINING], rng) for _ in range(9))]
    targets = np.eye(10, dtype=np.float32)[np.tile(labels[:TRAINING], 10)]
    return np.concatenate(learned), targets


def varied(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image float32 [n, 8, 8, 1] turned, sheared, scaled and moved, with a little noise."""
    made = np.empty_like(x)
    for image, result in zip(x[..., 0], made[..., 0], strict=True):
        turn, shear, scale = rng.normal(0, 0.12), rng.normal(0, 0.12), rng.normal(1, 0.08, 2)
        matrix = np.array([[np.cos(turn), shear - np.sin(turn)],
                           [np.sin(turn), np.cos(turn)]]) / scale
        offset = 3.5 - matrix @ (3.5, 3.5) + rng.normal(0, 0.4, 2)
        affine_transform(image, matrix, offset, output=result, order=1)
    made *= rng.uniform(0.85, 1.15, (len(x), 1, 1, 1))
    return np.clip(made + rng.normal(0, 0.03, x.shape), 0, 1).astype(np.float32)
