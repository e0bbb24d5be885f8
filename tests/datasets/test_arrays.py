import numpy as np
import pytest

from sr_keras.datasets import arrays, decode
from sr_keras.degradations import Downscale


def noise(seed, *shape, dtype="uint8"):
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def test_lr_images_are_made_or_given():
    hr = [noise(0, 9, 14, 3), noise(1, 6, 8), noise(2, 8, 8, 3, dtype="uint16")]
    dataset = arrays(hr, scale=2)
    assert dataset.names == ["0", "1", "2"]
    assert [lr.shape for lr, _ in dataset] == [(4, 7, 3), (3, 4, 1), (4, 4, 3)]
    np.testing.assert_array_equal(dataset[2][0], Downscale(2)(hr[2]))
    lr = [noise(3, 4, 7, 3), noise(4, 3, 4), noise(5, 4, 4, 3)]
    dataset = arrays(hr, lr, scale=2, names="abc")
    assert dataset.names == ["a", "b", "c"]
    np.testing.assert_array_equal(dataset[0][0], lr[0])
    assert arrays(hr, scale=2, degradation="drop").degradation.method == "drop"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_become_8_bits(dtype):
    batch = noise(0, 2, 8, 10, 3)
    floats = (batch / 255).astype(dtype)
    np.testing.assert_array_equal(arrays(floats, scale=2).hr(1), batch[1])


def test_a_cache_knows_the_pixels(tmp_path):
    for seed in (0, 1):
        dataset = arrays(noise(seed, 1, 8, 8, 3), scale=2)
        np.testing.assert_array_equal(decode(dataset, tmp_path)[0][1], dataset[0][1])


@pytest.mark.parametrize(
    "hr, options, message",
    [
        (np.full((1, 8, 8, 3), 200.0), {}, r"`hr\[0\]` must be in \[0, 1\] .* 200"),
        (np.full((1, 8, 8, 3), np.nan), {}, r"`hr\[0\]` must be in \[0, 1\] .* nan"),
        (np.zeros((1, 8, 8, 3), int), {}, r"must be uint8, .* Received: dtype=int64"),
        (np.zeros((8, 8, 3, 1, 1)), {}, r"`hr\[0\]` must have .*shape=\(8, 3, 1, 1\)"),
        (np.zeros((2, 8, 8)), {"lr": np.zeros((1, 4, 4))}, "Received: 1 and 2"),
        (np.zeros((2, 8, 8)), {"names": ["a"]}, "each of 2 images. Received: 1 names"),
        (
            np.zeros((1, 8, 8)),
            {"lr": np.zeros((1, 4, 4)), "degradation": "blur"},
            "cannot be combined",
        ),
    ],
)
def test_wrong_arrays_are_refused(hr, options, message):
    with pytest.raises(ValueError, match=message):
        arrays(hr, scale=2, **options)
