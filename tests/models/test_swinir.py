import math

import keras
import numpy as np
import pytest

from sr_keras import inference
from sr_keras.models.swinir import (
    GELU,
    ShiftedWindowAttention,
    relative_positions,
    swinir,
)


@pytest.mark.parametrize(
    "config, count",
    [
        ({"filters": 60, "depths": (6,) * 4, "variant": "lightweight"}, 929_628),
        # a group has 2 layers of 2 norms, 4 dense layers, and a table; a convolution
        (
            {"filters": 6, "depths": (2,), "num_heads": 2, "variant": "lightweight"},
            (9 * 3 * 6 + 6)
            + 2 * (4 * 6 + (18 + 6 + 12) * 6 + 72 + 18 + 6 + 12 + 6 + 225 * 2)
            + 2 * (9 * 6 * 6 + 6)
            + 2 * 12
            + (9 * 6 * 48 + 48),
        ),
    ],
)
def test_has_the_parameters_of_the_released_network(config, count):
    assert swinir(4, **config).count_params() == count


def attention_by_hand(qkv, table, heads, window, shift):
    """The layer as a loop over pixels: `(height, width, 3 * channels)`."""
    height, width, depth = qkv.shape
    channels = depth // 3
    size = channels // heads
    query, key, value = (
        part.reshape(height, width, heads, size) for part in np.split(qkv, 3, axis=-1)
    )

    def window_of(y, x):
        # the windows begin `shift` pixels after multiples of their size
        return (y - shift) // window, (x - shift) // window

    result = np.zeros((height, width, heads, size))
    for y, x, h in np.ndindex(height, width, heads):
        near = [
            (v, u)
            for v, u in np.ndindex(height, width)
            if window_of(v, u) == window_of(y, x)
        ]
        scores = [
            query[y, x, h] @ key[v, u, h] / math.sqrt(size)
            + table[(y - v + window - 1) * (2 * window - 1) + x - u + window - 1, h]
            for v, u in near
        ]
        weights = np.exp(scores - np.max(scores))
        weights /= weights.sum()
        result[y, x, h] = sum(
            w * value[v, u, h] for w, (v, u) in zip(weights, near, strict=True)
        )
    return result.reshape(height, width, channels)


@pytest.mark.parametrize("window, shift", [(4, 0), (4, 2), (3, 1)])
@pytest.mark.parametrize("height, width", [(12, 12), (12, 24)])
def test_attention_equals_the_plain_loop(window, shift, height, width):
    rng = np.random.default_rng(0)
    qkv = rng.standard_normal((2, height, width, 3 * 4)).astype("float32")
    layer = ShiftedWindowAttention(2, window, shift)
    assert layer.compute_output_shape(qkv.shape) == (2, height, width, 4)
    layer.build(qkv.shape)
    table = rng.standard_normal(((2 * window - 1) ** 2, 2)).astype("float32")
    layer.set_weights([table])
    expected = attention_by_hand(qkv[1], table, 2, window, shift)
    np.testing.assert_allclose(layer(qkv)[1], expected, atol=1e-5)


def test_relative_positions_of_two_by_two_pixels():
    # 3x3 distances, from top left to bottom right; no distance is in the middle
    expected = [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    np.testing.assert_array_equal(relative_positions(2), expected)


def test_gelu_is_exact():
    x = np.concatenate([np.linspace(-30, 30, 10_001), [0.0]]).astype("float32")
    normal = [0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.astype(float)]
    np.testing.assert_allclose(GELU()(x), x * normal, atol=1e-6)


def test_layers_survive_a_round_trip():
    layer = ShiftedWindowAttention(3, window=5, shift=2)
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (copy.num_heads, copy.window, copy.shift) == (3, 5, 2)


@pytest.mark.parametrize("variant", ["classical", "lightweight", "real"])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_variants_upscale(variant, bottleneck):
    model = swinir(4, 8, (2, 1), 2, window=4, variant=variant, bottleneck=bottleneck)
    assert model(np.zeros((1, 5, 9, 3), "float32")).shape == (1, 20, 36, 3)
    ends = [layer.name for layer in model.layers if "_conv" in layer.name]
    assert ("group_1_conv_2" in ends) == bottleneck
    assert ("group_1_conv" in ends) != bottleneck


def test_sides_are_reflected_to_whole_windows():
    model = swinir(2, 8, (2,), 2, window=8, variant="lightweight")
    lr = np.random.default_rng(0).random((1, 5, 8, 3), "float32")
    # rows 0 1 2 3 4, and back: 3 2 1
    padded = lr[:, [0, 1, 2, 3, 4, 3, 2, 1]]
    np.testing.assert_allclose(model(lr), model(padded)[:, :10], atol=1e-6)


def test_tiles_are_close_but_not_exact():
    keras.utils.set_random_seed(0)
    model = swinir(2, 8, (2,), 2, window=4, variant="lightweight")
    lr = np.random.default_rng(0).random((70, 80, 3), "float32")
    whole = inference.upscale(model, lr, tile=None)
    tiled = inference.upscale(model, lr, tile=48)
    assert whole.shape == tiled.shape == (140, 160, 3)
    np.testing.assert_allclose(tiled, whole, atol=0.02)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"scale": 5}, "`scale` must be 2, 3, 4 or 8. Received: scale=5"),
        ({"scale": 3, "variant": "real"}, "`scale` must be 2, 4 or 8. .*: scale=3"),
        ({"scale": 2, "filters": 9, "num_heads": 2}, "`filters` must be a multiple of"),
        ({"scale": 2, "variant": "denoising"}, '"lightweight" or "real". Received'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        swinir(**arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_heads": 0}, "`num_heads` must be a positive integer"),
        ({"num_heads": 2, "window": 0}, "`window` must be a positive integer"),
        ({"num_heads": 2, "shift": 8}, "from 0 to .* Received: shift=8, window=8"),
        ({"num_heads": 2, "shift": -1}, "from 0 to .* Received: shift=-1, window=8"),
        (
            {"num_heads": 3},
            "multiple of `num_heads`. Received: 12 channels, num_heads=3",
        ),
    ],
)
def test_attention_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShiftedWindowAttention(**arguments)(np.zeros((1, 8, 8, 12), "float32"))
