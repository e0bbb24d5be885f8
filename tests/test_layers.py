import keras
import numpy as np
import pytest
import tensorflow as tf

from sr_keras import exporting
from sr_keras.layers import (
    ICNR,
    BicubicUpsampling,
    BilinearUpsampling,
    NearestUpsampling,
    PixelShuffle,
    PixelUnshuffle,
    cubic,
    relative_positions,
)


def upscale_by_hand(image, scale):
    """Upscales `(height, width)` by Keys's cubic convolution, as a plain loop."""

    def kernel(x):
        x = abs(x)
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        if x < 2:
            return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return 0

    height, width = image.shape
    result = np.zeros((height * scale, width * scale))
    for y in range(height * scale):
        for x in range(width * scale):
            source_y, source_x = (y + 0.5) / scale - 0.5, (x + 0.5) / scale - 0.5
            for i in range(int(np.floor(source_y)) - 1, int(np.floor(source_y)) + 3):
                for j in range(
                    int(np.floor(source_x)) - 1, int(np.floor(source_x)) + 3
                ):
                    pixel = image[np.clip(i, 0, height - 1), np.clip(j, 0, width - 1)]
                    result[y, x] += kernel(source_y - i) * kernel(source_x - j) * pixel
    return result


def round_trip(layer):
    return keras.layers.deserialize(keras.layers.serialize(layer))


def test_four_channels_become_a_tile():
    x = np.array([[[0, 1, 2, 3], [4, 5, 6, 7]]], "float32")[None]
    expected = [[0, 1, 4, 5], [2, 3, 6, 7]]
    np.testing.assert_array_equal(PixelShuffle(2)(x)[0, ..., 0], expected)


def test_shuffle_in_the_order_of_tensorflow():
    x = np.arange(8, dtype="float32").reshape(1, 1, 1, 8)
    expected = [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    np.testing.assert_array_equal(PixelShuffle(2)(x)[0], expected)
    np.testing.assert_array_equal(tf.nn.depth_to_space(x, 2)[0], expected)


def test_shuffle_in_the_order_of_torch():
    x = np.arange(8, dtype="float32").reshape(1, 1, 1, 8)
    shuffled = PixelShuffle(2, order="torch")(x)[0].numpy()
    np.testing.assert_array_equal(shuffled[..., 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(shuffled[..., 1], [[4, 5], [6, 7]])


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_shuffle_equals_that_of_torch(scale, channels):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).random((2, 3, 5, channels * scale**2), "float32")
    shuffle = torch.nn.PixelShuffle(scale)
    expected = shuffle(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(PixelShuffle(scale, order="torch")(x), expected)


def test_orders_are_equal_for_one_output_channel():
    x = np.random.default_rng(0).random((2, 3, 5, 9), "float32")
    in_torch = PixelShuffle(3, order="torch")(x)
    np.testing.assert_array_equal(in_torch, PixelShuffle(3)(x))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_shuffle_of_an_odd_image(scale):
    x = np.zeros((2, 5, 7, 2 * scale**2), "float32")
    layer = PixelShuffle(scale)
    assert layer(x).shape == (2, 5 * scale, 7 * scale, 2)
    known = layer.compute_output_shape((None, None, 7, 2 * scale**2))
    assert known == (None, None, 7 * scale, 2)
    layer = round_trip(PixelShuffle(scale, order="torch"))
    assert (layer.scale, layer.order) == (scale, "torch")


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_unshuffle_undoes_the_shuffle(scale):
    x = np.random.default_rng(0).random((2, 5, 7, 2 * scale**2), "float32")
    layer = round_trip(PixelUnshuffle(scale))
    np.testing.assert_array_equal(layer(PixelShuffle(scale)(x)), x)
    shape = layer.compute_output_shape((None, 6 * scale, None, 2))
    assert shape == (None, 6, None, 2 * scale**2)


def test_shuffle_refuses_wrong_numbers_of_channels():
    with pytest.raises(ValueError, match=r"multiple of scale\*\*2 = 9.*5, 7, 8"):
        PixelShuffle(3)(np.zeros((1, 5, 7, 8), "float32"))


@pytest.mark.parametrize("layer", [PixelShuffle, ICNR])
def test_unknown_orders_are_refused(layer):
    message = '`order` must be "tensorflow" or "torch". Received: order=\'pytorch\''
    with pytest.raises(ValueError, match=message):
        layer(2, order="pytorch")


@pytest.mark.parametrize(
    "layer",
    [PixelShuffle, ICNR, BicubicUpsampling, BilinearUpsampling, NearestUpsampling],
)
@pytest.mark.parametrize("scale", [0, -1, 2.5, 2.0, True, "2", None])
def test_wrong_scales_are_refused(layer, scale):
    message = f"`scale` must be a positive integer. Received: scale={scale!r}"
    with pytest.raises(ValueError, match=message):
        layer(scale)


@pytest.mark.parametrize("order", ["tensorflow", "torch"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_icnr_starts_as_nearest_neighbour_interpolation(scale, order):
    keras.utils.set_random_seed(0)
    initializer = ICNR(scale, "he_normal", order=order)
    conv = keras.layers.Conv2D(
        5 * scale**2, 3, padding="same", kernel_initializer=initializer
    )
    x = np.random.default_rng(0).random((1, 5, 7, 2), "float32")
    y = PixelShuffle(scale, order=order)(conv(x)).numpy()
    pixels = y[:, ::scale, ::scale]
    nearest = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    np.testing.assert_allclose(y, nearest, atol=1e-6)
    # the output channels and the pixels still differ from each other
    assert len(np.unique(pixels)) == 5 * 7 * 5


def test_icnr_keeps_the_initializer_and_its_dtype():
    initializer = ICNR(2, keras.initializers.Constant(0.25), order="torch")
    kernel = initializer((3, 3, 1, 4), dtype="float16")
    assert kernel.dtype == "float16"
    np.testing.assert_array_equal(kernel, np.full((3, 3, 1, 4), 0.25))
    copy = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    assert (copy.scale, copy.order) == (2, "torch")
    np.testing.assert_array_equal(copy((1, 1, 1, 4)), np.full((1, 1, 1, 4), 0.25))


def test_icnr_refuses_wrong_numbers_of_filters():
    with pytest.raises(ValueError, match=r"multiple of scale\*\*2 = 4. .* 1, 6\)"):
        ICNR(2)((3, 3, 1, 6))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("height, width", [(5, 7), (1, 1), (2, 3)])
def test_bicubic_upsampling_equals_the_plain_loop(scale, height, width):
    image = np.random.default_rng(0).random((height, width, 2), "float32")
    result = BicubicUpsampling(scale)(image[None])[0].numpy()
    expected = [upscale_by_hand(image[..., c], scale) for c in range(2)]
    np.testing.assert_allclose(result, np.stack(expected, -1), atol=2e-6)


@pytest.mark.parametrize("scale", [2, 3, 8])
def test_bicubic_upsampling_keeps_a_constant_image(scale):
    image = np.full((1, 3, 5, 3), 0.7, "float32")
    np.testing.assert_allclose(BicubicUpsampling(scale)(image), 0.7, rtol=1e-6)


def test_bicubic_upsampling_is_not_clipped():
    edge = np.array([[0, 0, 0, 1, 1, 1]], "float32")[None, ..., None]
    result = BicubicUpsampling(4)(edge).numpy()
    assert result.min() < -0.05
    assert result.max() > 1.05


def test_bicubic_upsampling_computes_in_float32_under_every_policy():
    image = np.random.default_rng(0).random((1, 5, 7, 3), "float32")
    expected = BicubicUpsampling(3)(image)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = BicubicUpsampling(3)(image)
    finally:
        keras.config.set_dtype_policy(before)
    assert result.dtype == "float32"
    np.testing.assert_array_equal(result, expected)


def test_bicubic_upsampling_has_no_weights_and_knows_its_shape():
    layer = round_trip(BicubicUpsampling(3, name="skip"))
    assert layer.name == "skip"
    assert layer.compute_output_shape((None, 5, None, 3)) == (None, 15, None, 3)
    layer.build((None, None, None, 3))
    assert layer.weights == []


@pytest.mark.parametrize(
    "interpolation", [BicubicUpsampling, BilinearUpsampling, NearestUpsampling]
)
def test_one_graph_of_an_interpolation_takes_all_sizes(interpolation):
    layer = interpolation(2)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 1))])
    for height, width in [(5, 7), (1, 1), (4, 2)]:
        image = np.random.default_rng(0).random((1, height, width, 1), "float32")
        np.testing.assert_allclose(graph(image), layer(image), atol=1e-6)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_nearest_upsampling_repeats_pixels_of_feature_maps(scale, policy):
    layer = round_trip(NearestUpsampling(scale, dtype=policy))
    x = np.random.default_rng(0).random((2, 5, 7, 33), "float32")
    x = keras.ops.cast(x, layer.compute_dtype)
    upscaled = layer(x)
    assert upscaled.dtype == x.dtype
    expected = keras.layers.UpSampling2D(scale, dtype=policy)(x)
    np.testing.assert_array_equal(upscaled, expected)
    assert layer.compute_output_shape((None, 5, None, 3)) == (None, 5 * scale, None, 3)


@pytest.mark.parametrize("format", ["litert", "onnx"])
def test_convolution_after_nearest_upsampling_runs_elsewhere(format, tmp_path):
    pytest.importorskip({"litert": "ai_edge_litert", "onnx": "tf2onnx"}[format])
    inputs = keras.Input((None, None, 3))
    x = NearestUpsampling(2)(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(3, 3, padding="same")(x))
    exporting.export(model, tmp_path / "model", format)
    assert exporting.check(model, tmp_path / "model", format) < 1e-6


@pytest.mark.parametrize("order", ["tensorflow", "torch"])
def test_layers_ignore_the_image_data_format(order):
    x = np.random.default_rng(0).random((1, 5, 7, 12), "float32")
    made = [PixelShuffle(2, order=order), BicubicUpsampling(2), NearestUpsampling(2)]
    expected = [layer(x) for layer in made]
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        found = [round_trip(layer)(x) for layer in made]
    finally:
        keras.config.set_image_data_format(before)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_cubic_kernel_has_its_known_values():
    x = [-2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5]
    expected = [0, 0, -1, 0, 9, 16, 9, 0, -1, 0, 0]
    np.testing.assert_allclose(cubic(x), np.array(expected) / 16, atol=1e-15)


@pytest.mark.parametrize("shift", [0, 0.1, 0.5, 0.9])
def test_cubic_weights_keep_constants_and_slopes(shift):
    offsets = np.arange(-3, 4) - shift
    assert np.sum(cubic(offsets)) == pytest.approx(1)
    assert np.sum(cubic(offsets) * offsets) == pytest.approx(0, abs=1e-12)


def test_relative_positions_of_two_by_two_pixels():
    # 3x3 distances, from top left to bottom right; no distance is in the middle
    expected = [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    np.testing.assert_array_equal(relative_positions(2), expected)
