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
     r"'image': expected shape \[n, 4, 4, 3\] or \[n, 1, 4, 4, 3\], found \[5, 4, 3\]"),
    ({"image": np.zeros((5, 4, 4, 2)), "state": np.zeros((5, 7))}, "expected shape"),
    ({"image": np.zeros((5, 4, 4, 3)), "state": np.zeros((4, 7))},
     "as many inferences for each input, found .*5.*4"),
    ({"image": np.zeros((0, 4, 4, 3)), "state": np.zeros((0, 7))}, "at least one inference"),
    ({"image": np.full((5, 4, 4, 3), np.nan), "state": np.zeros((5, 7))},
     "expected finite numbers, found float64"),
    ({"image": np.full((5, 4, 4, 3), "a"), "state": np.zeros((5, 7))},
     "expected finite numbers, found <U1"),
    ({"picture": np.zeros((5, 4, 4, 3)), "state": np.zeros((5, 7))},
     "expected array 'image', found 'picture', 'state'"),
])
def test_what_does_not_fit_is_refused(saved, arrays, why):
    with pytest.raises(InputError, match=why):
        load_samples(saved(**arrays), [IMAGE, STATE])


def test_a_single_array_is_of_the_only_input(tmp_path):
    path = tmp_path / "one.npy"
    np.save(path, np.zeros((5, 4, 4, 3)))
    assert len(load_samples(path, [IMAGE])) == 5
    with pytest.raises(InputError, match="found one unnamed array"):
        load_samples(path, [IMAGE, STATE])


def test_files_that_cannot_be_read(saved, tmp_path):
    whole = saved(image=np.zeros((5, 4, 4, 3)))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole.read_bytes()[:200])
    (tmp_path / "a.png").write_bytes(b"\x89PNG and more")
    for path, why in ((cut, "not a sound"), (tmp_path / "a.png", "an image, not"),
                      (tmp_path / "none.npz", "no such file")):
        with pytest.raises(InputError, match=why):
            load_samples(path, [IMAGE])


@pytest.mark.parametrize("value, why", [
    (np.array(1.0), "expected samples, found one number"),
    (np.full((2, 4, 4, 3), 1e300), "has values beyond float32")])
def test_what_is_no_sample_of_float32(saved, value, why):
    with pytest.raises(InputError, match=f"'image': {why}$"):
        load_samples(saved(image=value), [IMAGE])
