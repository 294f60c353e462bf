"""Samples to calibrate with: what fits the inputs, and what is refused in one line."""

import numpy as np
import pytest

from kaniwa.errors import InputError
from kaniwa.quantization.calibration import FloatInput, load_samples

IMAGE = FloatInput("image", (1, 4, 4, 3))
STATE = FloatInput("state", (None, 7))


@pytest.fixture
def saved(tmp_path):
    def save(**arrays):
        path = tmp_path / "samples.npz"
        np.savez(path, **arrays)
        return path

    return save


@pytest.mark.parametrize("shape", [(5, 4, 4, 3), (5, 1, 4, 4, 3)])
@pytest.mark.parametrize("name", ["image", "x"])
def test_a_sample_has_the_shape_of_the_input(saved, shape, name):
    values = np.arange(np.prod(shape)).reshape(shape)
    samples = load_samples(saved(**{name: values, "labels": np.zeros(5)}), [IMAGE])
    assert len(samples) == 5
    assert samples[0]["image"].shape == (1, 4, 4, 3) and samples[0]["image"].dtype == np.float32
    assert np.array_equal(samples[3]["image"].ravel(), values[3].ravel())


def test_several_inputs_and_a_limit(saved):
    path = saved(image=np.zeros((6, 4, 4, 3)), state=np.ones((6, 2, 7)))
    samples = load_samples(path, [IMAGE, STATE], limit=4)
    assert len(samples) == 4 and samples[0]["state"].shape == (2, 7)


@pytest.mark.parametrize("arrays, why", [
    ({"image": np.zeros((5, 4, 3)), "state": np.zeros((5, 7))},
     r"'image' is \[5, 4, 3\], and the model's input is \[1, 4, 4"),
    ({"image": np.zeros((5, 4, 4, 2)), "state": np.zeros((5, 7))}, "samples come first"),
    ({"image": np.zeros((5, 4, 4, 3)), "state": np.zeros((4, 7))}, "image 5, state 4"),
    ({"image": np.zeros((0, 4, 4, 3)), "state": np.zeros((0, 7))}, "no samples"),
    ({"image": np.full((5, 4, 4, 3), np.nan), "state": np.zeros((5, 7))}, "not finite"),
    ({"image": np.full((5, 4, 4, 3), "a"), "state": np.zeros((5, 7))}, "no numbers"),
    ({"picture": np.zeros((5, 4, 4, 3)), "state": np.zeros((5, 7))}, "no array for input 'image'"),
])
def test_what_does_not_fit_is_refused(saved, arrays, why):
    with pytest.raises(InputError, match=why):
        load_samples(saved(**arrays), [IMAGE, STATE])


def test_files_that_cannot_be_read(saved, tmp_path):
    whole = saved(image=np.zeros((5, 4, 4, 3)))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole.read_bytes()[:200])
    single = tmp_path / "one.npy"
    np.save(single, np.zeros((5, 4, 4, 3)))
    for path, why in ((cut, "cannot be read"), (single, "named arrays"),
                      (tmp_path / "none.npz", "no such file")):
        with pytest.raises(InputError, match=why):
            load_samples(path, [IMAGE])
