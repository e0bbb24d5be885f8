import functools
import json
import math

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from keras import ops

from sr_keras import losses
from sr_keras.losses import (
    HFENN,
    L1,
    L2,
    MSSSIM,
    PSNR,
    SSIM,
    Charbonnier,
    Frequency,
    FunctionLoss,
    Huber,
    TotalVariation,
    WeightedSum,
)

FUNCTIONS = {
    "l1": losses.l1,
    "l2": losses.l2,
    "huber": losses.huber,
    "charbonnier": losses.charbonnier,
    "ssim": losses.ssim,
    "ms_ssim": losses.ms_ssim,
    "psnr": losses.psnr,
    "hfenn": losses.hfenn,
    "frequency": losses.frequency,
}
CLASSES = {
    "l1": L1,
    "l2": L2,
    "huber": Huber,
    "charbonnier": Charbonnier,
    "ssim": SSIM,
    "ms_ssim": MSSSIM,
    "psnr": PSNR,
    "hfenn": HFENN,
    "frequency": Frequency,
}


def smooth_pair(name="ssim", batch=2, channels=1):
    """Returns smooth images and noisy copies, as small as the loss allows."""
    rng = np.random.default_rng(0)
    height, width = {"ms_ssim": (161, 163), "hfenn": (17, 21)}.get(name, (13, 17))
    y, x = np.mgrid[:height, :width]
    waves = 0.5 + 0.4 * np.sin(y / 3) * np.cos(x / 5)
    y_true = np.broadcast_to(waves[..., None], (batch, height, width, channels))
    noise = rng.normal(0, 0.1, y_true.shape)
    noise[1:] *= 2
    return y_true.astype("float32"), (y_true + noise).astype("float32")


def gradient(loss, y_true, y_pred):
    y_pred = tf.convert_to_tensor(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = tf.reduce_sum(loss(y_true, y_pred))
    return tape.gradient(value, y_pred).numpy()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("l1", [0.1, 0.1]),
        ("l2", [0.01, 0.02]),
        ("huber", [0.01 * (0.1 - 0.005), 0.01 * (0.2 - 0.005) / 2]),
        ("charbonnier", [math.sqrt(0.010001), (math.sqrt(0.040001) + 0.001) / 2]),
        ("psnr", [-20.0, -10 * math.log10(50)]),
    ],
)
def test_pixel_losses_by_hand(name, expected):
    y_true = np.full((2, 2, 3, 1), 0.5, "float32")
    y_pred = y_true.copy()
    y_pred[0] += 0.1
    y_pred[1, 0] -= 0.2  # half of the pixels
    np.testing.assert_allclose(FUNCTIONS[name](y_true, y_pred), expected, rtol=1e-5)


def test_huber_is_quadratic_below_delta():
    y_true = np.full((1, 3, 5, 3), 0.5, "float32")
    np.testing.assert_allclose(
        losses.huber(y_true, y_true + 0.004), [0.004**2 / 2], rtol=1e-4
    )
    np.testing.assert_allclose(
        Huber(delta=1.0)(y_true, y_true + 0.4), 0.5 * losses.l2(y_true, y_true + 0.4)[0]
    )


def test_ssim_of_flat_images_is_their_luminance_term():
    y_true = np.stack([np.full((11, 13, 3), 0.2), np.full((11, 13, 3), 0.9)])
    y_pred = np.stack([np.full((11, 13, 3), 0.6), np.full((11, 13, 3), 0.1)])
    expected = [(0.24 + 1e-4) / (0.40 + 1e-4), (0.18 + 1e-4) / (0.82 + 1e-4)]
    # Of all images, these lose most digits in float32.
    np.testing.assert_allclose(1 - losses.ssim(y_true, y_pred), expected, atol=1e-4)


def test_ssim_of_a_bright_pixel_has_the_gaussian_window_of_the_paper():
    y_true = np.zeros((1, 11, 11, 1))  # the window fits at one place
    y_pred = y_true.copy()
    y_pred[0, 5, 5] = 1.0
    weight = 1 / sum(math.exp(-(i**2) / (2 * 1.5**2)) for i in range(-5, 6)) ** 2
    luminance = 0.01**2 / (weight**2 + 0.01**2)
    contrast = 0.03**2 / (weight - weight**2 + 0.03**2)
    np.testing.assert_allclose(
        1 - losses.ssim(y_true, y_pred), [luminance * contrast], rtol=1e-3
    )


def test_ms_ssim_of_flat_images_is_the_luminance_of_the_coarsest_scale():
    y_true, y_pred = np.full((1, 161, 165, 1), 0.2), np.full((1, 161, 165, 1), 0.6)
    expected = [((0.24 + 1e-4) / (0.04 + 0.36 + 1e-4)) ** 0.1333]
    np.testing.assert_allclose(1 - losses.ms_ssim(y_true, y_pred), expected, rtol=1e-4)


def test_ms_ssim_of_a_negative_is_zero_with_a_finite_gradient():
    y_true, _ = smooth_pair("ms_ssim", batch=1)
    np.testing.assert_array_equal(losses.ms_ssim(y_true, 1 - y_true), [1.0])
    assert np.isfinite(gradient(losses.ms_ssim, y_true, 1 - y_true)).all()


def test_hfenn_by_hand():
    # the window fits at one place, and y_pred lacks a third of what is there
    y_true = np.zeros((1, 15, 15, 1), "float32")
    y_true[0, 7, 7] = 0.9
    np.testing.assert_allclose(losses.hfenn(y_true, y_true / 1.5), [1 / 3], rtol=1e-5)
    # where the true image has one bright pixel in the middle and the other one at
    # (7, 7 + d), the ratio is that of the Laplacian of Gaussian at d and at 0
    for d in (1, 3, 5):
        y_pred = y_true.copy()
        y_pred[0, 7, 7 + d] = 0.9
        r = d**2 / (2 * 1.5**2)
        expected = abs(1 - r) * math.exp(-r)
        np.testing.assert_allclose(losses.hfenn(y_true, y_pred), [expected], atol=3e-3)


def test_hfenn_equals_scipy():
    y_true, y_pred = smooth_pair("hfenn", channels=3)

    def size_of_edges(image):
        edges = [
            scipy.ndimage.gaussian_laplace(channel.astype("float64"), 1.5)[7:-7, 7:-7]
            for channel in np.moveaxis(image, -1, 0)
        ]
        return np.linalg.norm(edges)

    expected = [
        size_of_edges(a - b) / size_of_edges(a)
        for a, b in zip(y_true, y_pred, strict=True)
    ]
    # the window of SciPy is slightly smaller
    np.testing.assert_allclose(losses.hfenn(y_true, y_pred), expected, rtol=0.02)


def test_hfenn_of_images_without_edges():
    flat = np.full((1, 17, 15, 3), 0.3, "float32")
    np.testing.assert_allclose(losses.hfenn(flat, flat), [0.0], atol=1e-6)
    assert np.isfinite(gradient(losses.hfenn, flat, flat)).all()
    y_true, _ = smooth_pair("hfenn", batch=1)
    np.testing.assert_allclose(losses.hfenn(y_true, 0 * y_true), [1.0], rtol=1e-5)
    brighter = losses.hfenn(y_true, y_true + 0.3)
    np.testing.assert_allclose(brighter, [0.0], atol=1e-5)
    with pytest.raises(ValueError, match="^HFENN .*15x15 .*: 14x15"):
        losses.hfenn(flat[:, :14], flat[:, :14])


def test_total_variation_by_hand():
    y_pred = np.float32([[0, 1, 1], [0.5, 0.5, 0.5]]).reshape(1, 2, 3, 1)
    expected = 3 * 0.5 / 3 + 1 / 4  # 3 pairs down, 4 across
    for y_true in (y_pred, 1 - y_pred):
        found = losses.total_variation(y_true, y_pred)
        np.testing.assert_allclose(found, [expected], rtol=1e-6)
    images = np.random.default_rng(0).random((2, 5, 7, 3)).astype("float32")
    transposed = images.swapaxes(1, 2)
    np.testing.assert_allclose(
        losses.total_variation(images, images),
        losses.total_variation(transposed, transposed),
        rtol=1e-5,
    )
    downhill = gradient(losses.TotalVariation(), y_pred, y_pred)
    np.testing.assert_allclose(
        downhill[0, :, :, 0],
        [[-7 / 12, 7 / 12, 1 / 3], [1 / 3, -1 / 3, -1 / 3]],
        rtol=1e-5,
    )
    with pytest.raises(ValueError, match="Total variation .*2x2 .*: 1x3"):
        losses.total_variation(y_pred[:, :1], y_pred[:, :1])


@pytest.mark.parametrize("shape", [(2, 7, 9, 3), (1, 8, 5, 1)])
def test_frequency_equals_numpy(shape):
    y_true, y_pred = np.random.default_rng(0).random((2, *shape))
    error = np.fft.fft2(y_pred, axes=(1, 2)) - np.fft.fft2(y_true, axes=(1, 2))
    parts = np.stack([error.real, error.imag])
    expected = np.abs(parts).mean(axis=(0, 2, 3, 4))
    np.testing.assert_allclose(losses.frequency(y_true, y_pred), expected, rtol=1e-5)


def test_frequency_by_hand():
    # A constant error of 0.5 on 3 x 5 pixels has one frequency, of 15 * 0.5. A single
    # wrong pixel in the corner has the same real part at every frequency.
    y_true = np.zeros((2, 3, 5, 1), "float32")
    y_pred = y_true.copy()
    y_pred[0] += 0.5
    y_pred[1, 0, 0] = 0.5
    expected = [7.5 / 15 / 2, 0.5 / 2]
    np.testing.assert_allclose(losses.frequency(y_true, y_pred), expected, rtol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_is_not_hidden(name):
    y_true, y_pred = smooth_pair(name)
    y_pred[0, 6, 6] = np.nan
    np.testing.assert_array_equal(
        np.isnan(FUNCTIONS[name](y_true, y_pred)), [True, False]
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_is_finite_at_the_target_and_points_towards_it(name):
    y_true, y_pred = smooth_pair(name, batch=1)
    at_target = gradient(FUNCTIONS[name], y_true, y_true)
    assert np.isfinite(at_target).all()
    np.testing.assert_allclose(at_target, 0.0, atol=1e-4)
    uphill = gradient(FUNCTIONS[name], y_true, y_pred)
    assert np.sum(uphill * (y_pred - y_true)) > 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_predictions_are_not_clipped(name):
    y_true, _ = smooth_pair(name, batch=1)
    slope = gradient(FUNCTIONS[name], y_true, 1.2 * y_true + 0.4)
    above_one = y_true > 0.5
    assert above_one.any() and np.abs(slope[above_one]).min() > 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_class_is_the_function_with_weights_and_reduction(name):
    y_true, y_pred = smooth_pair(name)
    expected = np.array(FUNCTIONS[name](y_true, y_pred))
    assert expected.shape == (2,) and abs(expected[0] - expected[1]) > 1e-4

    loss = CLASSES[name]()
    np.testing.assert_allclose(loss(y_true, y_pred), expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(
        loss(y_true, y_pred, sample_weight=np.array([1.0, 0.0])),
        expected[0] / 2,
        rtol=1e-6,
    )
    for reduction, value in ((None, expected), ("sum", expected.sum())):
        loss = CLASSES[name](reduction=reduction)
        np.testing.assert_allclose(loss(y_true, y_pred), value, rtol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bfloat16_predictions_are_computed_in_float32(name):
    y_true, y_pred = smooth_pair(name)
    half = ops.cast(y_pred, "bfloat16")
    expected = FUNCTIONS[name](y_true, np.array(ops.cast(half, "float32")))
    for value in (
        FUNCTIONS[name](y_true, half),
        CLASSES[name](reduction=None)(y_true, half),
    ):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sizes_may_be_unknown_in_a_graph(name):
    y_true, y_pred = smooth_pair(name, channels=3)
    spec = tf.TensorSpec((None, None, None, 3))
    in_graph = tf.function(FUNCTIONS[name], input_signature=[spec, spec])
    np.testing.assert_allclose(
        in_graph(y_true, y_pred), FUNCTIONS[name](y_true, y_pred), rtol=1e-5
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_accepted_and_integers_are_not(name):
    y_true, y_pred = smooth_pair(name)
    np.testing.assert_allclose(
        CLASSES[name]()(y_true.astype("float64"), y_pred.astype("float64")),
        CLASSES[name]()(y_true, y_pred),
    )
    pixels = np.uint8(255 * y_true)
    for loss in (FUNCTIONS[name], CLASSES[name]()):
        with pytest.raises(ValueError, match=r"`y_true` .*\[0, 1\].*: dtype=uint8"):
            loss(pixels, y_pred)
        with pytest.raises(ValueError, match=r"`y_pred` .*\[0, 1\].*: dtype=uint8"):
            loss(y_true, pixels)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_must_be_equal(name):
    y_true, y_pred = smooth_pair(name, channels=3)
    for loss in (FUNCTIONS[name], CLASSES[name]()):
        with pytest.raises(ValueError, match=r"same shape.* 3\) and .* 1\)"):
            loss(y_true, y_pred[..., :1])
        with pytest.raises(ValueError, match="same shape"):
            loss(y_true, y_pred[0])


def test_ssim_needs_a_batch_of_images_as_large_as_its_window():
    image = np.zeros((1, 11, 11, 3))
    assert losses.ssim(image, image).shape == (1,)
    with pytest.raises(ValueError, match=r"batch.*: shape=\(11, 11, 3\)"):
        losses.ssim(image[0], image[0])
    with pytest.raises(ValueError, match="^SSIM .*11x11 .*: 10x11"):
        losses.ssim(image[:, 1:], image[:, 1:])
    with pytest.raises(ValueError, match="^SSIM .*11x11 .*: 11x10"):
        losses.ssim(image[:, :, 1:], image[:, :, 1:])


def test_ms_ssim_needs_161_pixels():
    image = np.zeros((1, 161, 161, 1))
    assert losses.ms_ssim(image, image).shape == (1,)
    with pytest.raises(ValueError, match="^MS-SSIM .*161x161 .*: 160x161"):
        losses.ms_ssim(image[:, 1:], image[:, 1:])


@keras.saving.register_keras_serializable(package="tests")
def doubled_error(y_true, y_pred):
    return 2.0 * ops.abs(y_true - y_pred)


@pytest.mark.parametrize(
    "loss",
    [
        L1(reduction="sum", name="mine"),
        L2(),
        Huber(delta=0.02),
        Charbonnier(epsilon=0.1),
        SSIM(),
        PSNR(),
        TotalVariation(),
        Frequency(),
        FunctionLoss(doubled_error),
        WeightedSum([(1, "l1"), (2, doubled_error)]),
        WeightedSum([(1, Charbonnier(0.2)), (0.5, "ssim")], name="s", reduction="sum"),
        WeightedSum([(1, keras.losses.LogCosh()), (2, WeightedSum([(3, "l2")]))]),
    ],
    ids=lambda loss: loss.name,
)
def test_serialization_round_trip(loss):
    config = keras.losses.serialize(loss)
    copy = keras.losses.deserialize(config)
    assert type(copy) is type(loss) and copy.name == loss.name
    assert keras.losses.serialize(copy) == config
    y_true, y_pred = smooth_pair()
    np.testing.assert_array_equal(copy(y_true, y_pred), loss(y_true, y_pred))


def test_weighted_sum_by_hand():
    y_true = np.zeros((2, 1, 3, 1))
    y_pred = np.array([0.1, 0.2]).reshape(2, 1, 1, 1) * np.ones_like(y_true)
    terms = [(2.0, "l1"), (10.0, keras.losses.MeanSquaredError())]
    loss = WeightedSum(terms, reduction=None)
    np.testing.assert_allclose(loss(y_true, y_pred), [0.3, 0.8], rtol=1e-6)


def test_functions_are_terms():
    y_true = np.zeros((2, 2, 3, 1))
    y_pred = np.array([0.1, 0.2]).reshape(2, 1, 1, 1) * np.ones_like(y_true)

    def brightness(y_true, y_pred):
        return ops.mean(y_pred)

    terms = [(0.5, losses.l1), (1.0, doubled_error), (10.0, brightness)]
    loss = WeightedSum(terms, reduction=None)
    assert [term.name for _, term in loss.losses] == [
        "l1",
        "doubled_error",
        "brightness",
    ]
    expected = [0.05 + 0.2 + 1.5, 0.1 + 0.4 + 1.5]
    np.testing.assert_allclose(loss(y_true, y_pred), expected, rtol=1e-5)


def error_of_pixels(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def test_sample_weights_of_a_function_with_a_loss_per_pixel():
    y_true = np.zeros((2, 5, 2, 1))
    y_pred = np.array([0.1, 0.2]).reshape(2, 1, 1, 1) * np.ones_like(y_true)
    loss = FunctionLoss(error_of_pixels, reduction=None)
    np.testing.assert_allclose(loss(y_true, y_pred), [0.1, 0.2], rtol=1e-6)
    weighted = loss(y_true, y_pred, sample_weight=np.array([1.0, 10.0]))
    np.testing.assert_allclose(weighted, [0.1, 2.0], rtol=1e-6)
    scalar = FunctionLoss(lambda y_true, y_pred: 3.0, name="scalar", reduction=None)
    assert float(scalar(y_true, y_pred)) == 3.0


def test_the_name_of_a_callable_is_that_of_its_class_if_it_has_none():
    function = functools.partial(doubled_error)
    assert WeightedSum([(1.0, function)]).losses[0][1].name == "partial"


@pytest.mark.parametrize("shape", [(3, 1), (3, 13, 17), (3, 13, 17, 1)])
def test_sample_weights_are_one_per_image(shape):
    y_true, y_pred = smooth_pair(batch=3)
    weights = np.ones(shape, "float32")
    received = r"shape \(batch,\).* Received: shape=\(3, "
    for loss in (L1(), WeightedSum([(1.0, "ssim")]), losses.get(losses.l1)):
        with pytest.raises(ValueError, match=received):
            loss(y_true, y_pred, sample_weight=weights)
    (metric,) = WeightedSum([(1.0, "l1")]).metrics()
    with pytest.raises(ValueError, match=received):
        metric.update_state(y_true, y_pred, sample_weight=weights)


@pytest.mark.parametrize("batch", [13, 1])
@pytest.mark.parametrize("first", [True, False])
def test_sample_weights_of_pixels_are_refused_in_fit(first, batch):
    y_true, x = smooth_pair(batch=batch, channels=3)
    model = identity_model()
    model.compile(keras.optimizers.SGD(0.0), L1())
    message = "one weight per image"
    if not first:  # then TensorFlow no longer knows the rank
        weights = 2.0 + np.arange(batch)
        logs = model.fit(x, y_true, batch, verbose=0, sample_weight=weights).history
        expected = np.mean(weights * losses.l1(y_true, x))
        np.testing.assert_allclose(logs["loss"], [expected], rtol=1e-5)
        message = None
    with pytest.raises(Exception, match=message):
        model.fit(x, y_true, batch, verbose=0, sample_weight=np.ones((batch, 13)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_term_contributes_its_gradient(name):
    y_true, y_pred = smooth_pair(name, batch=1)
    both = gradient(
        WeightedSum([(3.0, keras.losses.MeanSquaredError()), (0.5, name)]),
        y_true,
        y_pred,
    )
    term = 0.5 * gradient(CLASSES[name](), y_true, y_pred)
    assert np.abs(term).max() > 1e-6
    np.testing.assert_allclose(
        both, 6 * (y_pred - y_true) / y_true.size + term, rtol=1e-3, atol=1e-7
    )


@pytest.mark.parametrize(
    "weights",
    [
        (1, 0, 0, 0),
        (1, 0.1, 0, 0),
        (100, 0, 0.01, 0),
        (1, 0, 0, 0.1),
        (1, 0.1, 0.01, 0.1),
    ],
)
def test_combinations_of_mse_ssim_psnr_and_hfenn(weights):
    y_true, y_pred = smooth_pair("hfenn")
    names = ["l2", "ssim", "psnr", "hfenn"]
    loss = WeightedSum(list(zip(weights, names, strict=True)))
    terms = [np.mean(FUNCTIONS[name](y_true, y_pred)) for name in names]
    np.testing.assert_allclose(loss(y_true, y_pred), np.dot(weights, terms), rtol=1e-5)
    assert np.abs(gradient(loss, y_true, y_pred)).max() > 1e-6
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_array_equal(copy(y_true, y_pred), loss(y_true, y_pred))


def identity_model(dtype=None):
    identity = keras.layers.Dense(3, kernel_initializer="identity", dtype=dtype)
    return keras.Sequential([keras.Input((None, None, 3)), identity])


def test_weighted_sum_in_fit_reports_its_terms_and_is_saved(tmp_path):
    y_true, x = smooth_pair(batch=3, channels=3)  # the last batch is smaller
    loss = WeightedSum([(1.0, L1()), (0.1, SSIM())])
    model = identity_model()
    model.compile(keras.optimizers.SGD(0.0), loss=loss, metrics=loss.metrics())
    logs = model.fit(x, y_true, batch_size=2, verbose=0).history
    assert set(logs) == {"loss", "l1", "ssim_loss"}
    l1, ssim = (np.mean(f(y_true, x)) for f in (losses.l1, losses.ssim))
    np.testing.assert_allclose(logs["l1"], [l1], rtol=1e-5)
    np.testing.assert_allclose(logs["ssim_loss"], [ssim], rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], [l1 + 0.1 * ssim], rtol=1e-5)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = loaded.evaluate(x, y_true, batch_size=2, verbose=0, return_dict=True)
    assert {name: pytest.approx(value[0]) for name, value in logs.items()} == again


def test_weighted_sum_in_fit_trains_on_every_term():
    y_true, x = smooth_pair(batch=2, channels=3)
    kernels = {}
    for weight in (0.0, 1.0):
        model = identity_model("mixed_bfloat16")
        loss = WeightedSum([(0.0, "l1"), (weight, "ssim")])
        model.compile(keras.optimizers.SGD(0.1), loss=loss, metrics=loss.metrics())
        model.fit(x, y_true, verbose=0)
        kernels[weight] = model.layers[0].kernel.numpy()
    np.testing.assert_array_equal(kernels[0.0], np.eye(3))
    assert np.abs(kernels[1.0] - np.eye(3)).max() > 1e-4


def test_term_metric_accepts_sample_weights():
    y_true, y_pred = smooth_pair()
    (metric,) = WeightedSum([(7.0, "l1")]).metrics()
    metric.update_state(y_true, y_pred, sample_weight=np.array([0.0, 2.0]))
    expected = losses.l1(y_true, y_pred)[1]
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "terms, message",
    [
        ([], "one or more"),
        ([(1.0, "l1"), (0.1, L1())], r"different names.*\['l1', 'l1'\]"),
        ([(1.0, L1(reduction="sum"))], "Only the sum .*='sum' for the loss 'l1'"),
        ([(1.0, "mae")], "'mae' is not the name of a loss"),
        (["l1", "l2"], r"pairs \(weight, loss\). Received: 'l1'"),
        ([("l1", 1.0)], "weight of a loss must be a number. Received: weight='l1'"),
        ([(1.0, None)], "A loss must be a name, .*Received: None"),
    ],
)
def test_invalid_terms_of_a_weighted_sum(terms, message):
    with pytest.raises(ValueError, match=message):
        WeightedSum(terms)


@pytest.mark.parametrize("name", CLASSES)
def test_get_by_name(name):
    loss = losses.get(name)
    assert type(loss) is CLASSES[name]
    assert losses.get(loss) is loss
    of_function = losses.get(FUNCTIONS[name])
    assert isinstance(of_function, FunctionLoss)
    assert of_function.function is FUNCTIONS[name]


def test_get_finds_losses_without_a_function():
    assert type(losses.get("tv")) is TotalVariation
    assert type(losses.get("content")) is losses.Content
    assert type(losses.get("texture")) is losses.Texture


@pytest.mark.parametrize("convert", [lambda x: x, lambda x: json.loads(json.dumps(x))])
def test_get_builds_losses_from_plain_data(convert):
    huber = losses.get(convert(("huber", {"delta": 0.02})))
    assert type(huber) is Huber and huber.delta == 0.02
    content = {"vgg19/block1_conv2": 0.5, "VGG54": 2.0}
    pairs = [
        (1.0, "l1"),
        (0.5, ("perceptual", {"content": content, "distance": "l1"})),
        (2, [(3.0, "l2"), (0.1, "tv")]),
    ]
    loss = losses.get(convert(pairs))
    assert type(loss) is WeightedSum
    (_, first), (weight, perceptual), (_, nested) = loss.losses
    assert type(first) is L1
    assert weight == 0.5 and type(perceptual) is losses.Perceptual
    assert perceptual.content == content and perceptual.distance == "l1"
    assert [(w, type(x)) for w, x in nested.losses] == [
        (3.0, L2),
        (0.1, TotalVariation),
    ]


@pytest.mark.parametrize(
    "loss, message",
    [
        ("SSIM", "'SSIM' is not the name of a loss"),
        ("charbonier", "Did you mean 'charbonnier'"),
        (("hubr", {"delta": 0.02}), "Did you mean 'huber'"),
        (("huber", {"beta": 0.02}), "Invalid arguments for the loss 'huber'.*'beta'"),
        (None, "A loss must be a name, .*Received: None"),
        ([], r"A loss must be a name, .*Received: \[\]"),
        (["l1"], r"pairs \(weight, loss\). Received: 'l1'"),
    ],
)
def test_get_says_what_is_wrong(loss, message):
    with pytest.raises(ValueError, match=message):
        losses.get(loss)


def test_grid_is_the_mean_square_of_what_repeats():
    rng = np.random.default_rng(0)
    photo = rng.random((2, 50, 49, 3), "float32")  # two windows, and a rest
    cell = rng.normal(0, 0.1, (4, 4, 1)).astype("float32")
    pattern = np.tile(cell, (13, 13, 3))[:50, :49]
    weights = np.array([1.0, 2.0], "float32").reshape(2, 1, 1, 1)
    found = losses.Grid(reduction=None)(photo, photo + weights * pattern + 0.3)
    expected = np.var(cell) * weights.ravel() ** 2  # not of the constant
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    noise = rng.normal(0, 0.1, photo.shape).astype("float32")
    found = losses.Grid(reduction=None)(photo, photo + noise)
    np.testing.assert_allclose(found, 0.01 / 6**2, rtol=0.3)
    # of a window of its own, also a pattern whose sign changes
    pattern[:, 24:] *= -1
    found = losses.Grid(reduction=None)(photo, photo + weights * pattern)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_grid_within_a_graph_and_with_other_numbers():
    x = np.zeros((1, 8, 12, 1), "float32")
    y = x.copy()
    y[:, ::2] = 1.0  # rows of a period of 2
    loss = losses.get(("grid", {"period": 2, "window": 2}))
    unknown = tf.TensorSpec((None, None, None, 1), "float32")
    compiled = tf.function(loss, input_signature=[unknown, unknown])
    assert float(loss(x, y)) == float(compiled(x, y)) == 0.25
    assert losses.Grid.from_config(loss.get_config()).window == 2
    with pytest.raises(ValueError, match="24 pixels.*Received: 8x12"):
        losses.Grid()(x, y)
    with pytest.raises(ValueError, match="`period` must be a positive integer"):
        losses.Grid(period=0)
