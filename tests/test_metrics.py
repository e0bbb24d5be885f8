import csv

import keras
import numpy as np
import pytest
import skimage.data
import skimage.metrics
import tensorflow as tf
from keras import ops
from scipy import ndimage

from sr_keras import degradations, images, losses, metrics
from sr_keras.metrics import HFENN, MSSSIM, PSNR, SSIM, VGGDistance

FUNCTIONS = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "ms_ssim": metrics.ms_ssim,
    "hfenn": metrics.hfenn,
}
CLASSES = {"psnr": PSNR, "ssim": SSIM, "ms_ssim": MSSSIM, "hfenn": HFENN}


def photos(height, width, sigmas=(0.02, 0.1)):
    """Crops of two photos, and noisy copies which stay in [0, 1]."""
    rng = np.random.default_rng(0)
    y_true = np.stack(
        [
            photo[90 : 90 + height, 120 : 120 + width]
            for photo in (skimage.data.astronaut(), skimage.data.coffee())
        ]
    )
    y_true = y_true.astype("float32") / 255
    noise = rng.normal(0, 1, y_true.shape) * np.reshape(sigmas, (2, 1, 1, 1))
    return y_true, np.clip(y_true + noise, 0, 1).astype("float32")


def reference_ssim(y_true, y_pred):
    return [
        skimage.metrics.structural_similarity(
            a.astype("float64"),
            b.astype("float64"),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=-1,
        )
        for a, b in zip(y_true, y_pred, strict=True)
    ]


def test_psnr_is_the_mean_over_images():
    y_true = np.full((2, 3, 5, 3), 0.5, "float32")
    y_pred = y_true + np.float32([0.1, 0.01]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(metrics.psnr(y_true, y_pred), [20, 40], atol=1e-3)
    metric = PSNR()
    metric.update_state(y_true, y_pred)
    np.testing.assert_allclose(metric.result(), 30, atol=1e-3)  # 22.97 if pooled


def test_images_have_equal_weights_in_batches_of_any_size():
    y_true = np.full((3, 4, 4, 1), 0.5, "float32")
    y_pred = y_true + np.float32([0.1, 0.1, 0.01]).reshape(3, 1, 1, 1)
    metric = PSNR()
    metric.update_state(y_true[:2], y_pred[:2])
    metric.update_state(y_true[2:, :3], y_pred[2:, :3])
    np.testing.assert_allclose(metric.result(), (20 + 20 + 40) / 3, atol=1e-3)
    metric.reset_state()
    metric.update_state(y_true, y_pred, sample_weight=np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(metric.result(), 30, atol=1e-3)


@pytest.mark.parametrize(
    "name, best", [("psnr", 100), ("ssim", 1), ("ms_ssim", 1), ("hfenn", 0)]
)
def test_equal_images_after_clipping_have_the_best_score(name, best):
    y_true = np.zeros((1, 161, 163, 3), "float32")
    y_true[:, 80:] = 1.0
    y_pred = 3 * y_true - 1  # -1 and 2
    for luma in (False, True):
        score = FUNCTIONS[name](y_true, y_pred, luma=luma)
        np.testing.assert_allclose(score, [best], rtol=1e-6, atol=1e-9)


def test_psnr_of_luma_by_hand():
    y_true = np.full((1, 3, 5, 3), 0.5, "float32")
    y_pred = y_true + np.float32([0.1, 0.0, 0.0])
    np.testing.assert_allclose(
        metrics.psnr(y_true, y_pred, luma=True),
        [-20 * np.log10(0.1 * 65.481 / 255)],
        atol=1e-3,
    )
    grey = y_pred[..., :1]  # one channel is scored as it is
    np.testing.assert_allclose(
        metrics.psnr(grey - 0.1, grey, luma=True), [20], atol=1e-3
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_border_is_cut_from_every_side(name):
    y_true, y_pred = photos(169, 171)
    inner = FUNCTIONS[name](y_true[:, 4:-4, 4:-4], y_pred[:, 4:-4, 4:-4], luma=True)
    for side in ((0, 3), (0, -3), (slice(None), 3), (slice(None), -3)):
        y_pred[(slice(None), *side)] = 0.0
    np.testing.assert_array_equal(
        FUNCTIONS[name](y_true, y_pred, luma=True, border=4), inner
    )
    worse = np.array(FUNCTIONS[name](y_true, y_pred, luma=True))
    assert np.all(worse > inner if name == "hfenn" else worse < inner)


@pytest.mark.parametrize("luma", [False, True])
def test_ssim_equals_scikit_image(luma):
    y_true, y_pred = photos(61, 83)
    score = metrics.ssim(y_true, y_pred, luma=luma)
    if luma:
        y_true, y_pred = images.luma(y_true), images.luma(y_pred)
    expected = reference_ssim(y_true, y_pred)
    assert expected[1] < expected[0] < 0.99
    np.testing.assert_allclose(score, expected, atol=2e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("level", [0.01, 0.98])
def test_ssim_of_faint_texture_survives_float32(level, jit_compile):
    # variances of 1e-6, a thousandth of the constant that they are added to
    rng = np.random.default_rng(1)
    y_true, y_pred = (level + rng.normal(0, 1e-3, (2, 1, 41, 57, 1))).astype("float32")
    score = tf.function(metrics.ssim, jit_compile=jit_compile)(y_true, y_pred)
    np.testing.assert_allclose(score, reference_ssim(y_true, y_pred), atol=5e-6)


def test_ssim_of_many_pixels_survives_float32():
    # tf.image.ssim, which sums up all pixels at once, is wrong by 1e-3 here
    rng = np.random.default_rng(2)
    y_true = 0.05 * skimage.data.astronaut()[None] / 255
    y_pred = np.clip(y_true + rng.normal(0, 1e-3, y_true.shape), 0, 1)
    np.testing.assert_allclose(
        metrics.ssim(y_true, y_pred), reference_ssim(y_true, y_pred), atol=2e-6
    )


@pytest.mark.parametrize("size", [(161, 200), (176, 189)])
def test_ms_ssim_equals_tensorflow(size):
    y_true, y_pred = photos(*size)
    expected = tf.image.ssim_multiscale(y_true, y_pred, 1.0).numpy()
    assert expected[1] < expected[0] < 0.995
    np.testing.assert_allclose(metrics.ms_ssim(y_true, y_pred), expected, atol=1e-5)


def test_ms_ssim_of_a_negative_is_zero():
    y_true, _ = photos(161, 163)
    np.testing.assert_array_equal(metrics.ms_ssim(y_true, 1 - y_true), [0.0, 0.0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loss_and_metric_agree(name):
    y_true, y_pred = photos(161, 163)
    loss = getattr(losses, name)(y_true, y_pred)
    expected = {"psnr": -loss, "hfenn": loss}.get(name, 1 - loss)
    np.testing.assert_array_equal(FUNCTIONS[name](y_true, y_pred), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_metric_is_the_weighted_mean_of_the_function(name):
    y_true, y_pred = photos(169, 171)
    y_pred = ops.cast(y_pred + 0.1, "bfloat16")  # as mixed precision would
    metric = CLASSES[name](luma=True, border=3)
    metric.update_state(y_true, y_pred, sample_weight=np.array([1.0, 3.0]))
    rounded = np.array(ops.cast(y_pred, "float32")).astype("float64")
    first, second = FUNCTIONS[name](y_true, rounded, luma=True, border=3)
    np.testing.assert_allclose(metric.result(), (first + 3 * second) / 4, rtol=1e-6)


@pytest.mark.parametrize("name", CLASSES)
def test_serialization_round_trip(name):
    metric = CLASSES[name](luma=True, border=3, name="mine")
    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(copy) is CLASSES[name]
    assert copy.get_config() == metric.get_config()
    y_true, y_pred = photos(169, 171)
    for m in (metric, copy):
        m.update_state(y_true, y_pred)
    np.testing.assert_array_equal(copy.result(), metric.result())


def test_metrics_in_fit_with_images_of_unknown_size():
    y_true, x = photos(21, 23)
    spec = tf.TensorSpec((None, None, None, 3))
    data = tf.data.Dataset.from_generator(
        lambda: [(x[:1], y_true[:1]), (x[1:, 2:], y_true[1:, 2:])],
        output_signature=(spec, spec),
    ).apply(tf.data.experimental.assert_cardinality(2))
    identity = keras.layers.Dense(3, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((None, None, 3)), identity])
    scores = [PSNR(), SSIM(), PSNR(luma=True, border=2, name="psnr_y")]
    model.compile(keras.optimizers.SGD(0.0), loss="mse", metrics=scores)
    logs = model.fit(data, shuffle=False, verbose=0).history
    for name, function, arguments in (
        ("psnr", metrics.psnr, {}),
        ("ssim", metrics.ssim, {}),
        ("psnr_y", metrics.psnr, {"luma": True, "border": 2}),
    ):
        first = function(y_true[:1], x[:1], **arguments)[0]
        second = function(y_true[1:, 2:], x[1:, 2:], **arguments)[0]
        np.testing.assert_allclose(logs[name], [(first + second) / 2], rtol=1e-5)


@pytest.mark.parametrize("name", CLASSES)
def test_integers_and_other_shapes_are_errors(name):
    y_true, y_pred = photos(161, 163)
    pixels = np.uint8(255 * y_true)
    for score in (FUNCTIONS[name], CLASSES[name]().update_state):
        with pytest.raises(ValueError, match=r"`y_true` .*\[0, 1\].*uint8"):
            score(pixels, y_pred)
        with pytest.raises(ValueError, match=r"`y_pred` .*\[0, 1\].*uint8"):
            score(y_true, pixels)
        with pytest.raises(ValueError, match=r"same shape.* 3\) and .* 1\)"):
            score(y_true, y_pred[..., :1])
        with pytest.raises(ValueError, match=r"batch.*shape=\(161, 163, 3\)"):
            score(y_true[0], y_pred[0])


def test_too_small_images_are_errors():
    y_true, y_pred = photos(168, 170)
    with pytest.raises(ValueError, match="161x161 .*: 160x162"):
        metrics.ms_ssim(y_true, y_pred, border=4)
    small = y_true[:, :18, :40], y_pred[:, :18, :40]
    assert metrics.ssim(*small, border=3).shape == (2,)
    with pytest.raises(ValueError, match="11x11 .*: 10x32"):
        metrics.ssim(*small, border=4)
    with pytest.raises(ValueError, match="smaller than half .*border=9"):
        metrics.psnr(*small, border=9)
    with pytest.raises(ValueError, match="0 or more. Received: border=-1"):
        metrics.psnr(*small, border=-1)


@pytest.mark.parametrize("name", ["ssim", "ms_ssim", "hfenn"])
@pytest.mark.parametrize(
    "series",
    [
        [degradations.GaussianBlur(sigma) for sigma in (0.8, 1.2, 1.8, 3.0)],
        [degradations.GaussianNoise(sigma) for sigma in (0.02, 0.05, 0.1, 0.2)],
        [degradations.JPEG(quality) for quality in (60, 30, 15, 5)],
    ],
    ids=["blur", "noise", "jpeg"],
)
def test_scores_get_worse_as_the_images_do(name, series):
    y_true, _ = photos(161, 173)
    scores = np.array(
        [FUNCTIONS[name](y_true, step(y_true, seed=1)) for step in series]
    )
    steps = np.diff(scores, axis=0)
    assert np.all(steps > 0 if name == "hfenn" else steps < 0)


def test_vgg_distance_is_the_mean_over_images_of_the_content_loss():
    y_true, y_pred = photos(24, 27)
    layers = {"vgg19/block2_conv1": 2.0}
    metric = VGGDistance(layers, border=2, vgg_weights=None)
    # Clipped values and the border must not change the result.
    too_bright = np.where(y_pred == 1, 1.5, y_pred)
    assert (too_bright > 1).any()
    too_bright[:, :2] = too_bright[:, :, -2:] = 0.0
    metric.update_state(y_true, too_bright, sample_weight=np.array([1.0, 3.0]))
    loss = losses.Content(layers, vgg_weights=None, reduction=None)
    first, second = loss(y_true[:, 2:-2, 2:-2], y_pred[:, 2:-2, 2:-2])
    np.testing.assert_allclose(metric.result(), (first + 3 * second) / 4, rtol=1e-5)
    assert metric.variables and len(metric.variables) == 2  # a sum and a count

    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert copy.get_config() == metric.get_config()
    copy.update_state(y_true, too_bright, sample_weight=np.array([1.0, 3.0]))
    np.testing.assert_array_equal(copy.result(), metric.result())


def test_vgg_distance_rejects_unknown_layers():
    assert VGGDistance().get_config()["layers"] == {"vgg19/block4_conv4": 1.0}
    with pytest.raises(ValueError, match="must have a name like.*'conv4'"):
        VGGDistance("conv4")


@pytest.mark.slow
def test_vgg_distance_grows_as_the_images_get_worse(data_dir):
    y_true, _ = photos(64, 64)
    for layer in ("vgg19/block4_conv4", "vgg19/block2_conv2"):
        metric = VGGDistance(layer)
        for step, strengths in (
            (degradations.GaussianBlur, (0.8, 1.2, 1.8, 3.0)),
            (degradations.GaussianNoise, (0.02, 0.05, 0.1, 0.2)),
            (degradations.JPEG, (60, 30, 15, 5)),
        ):
            scores = []
            for strength in strengths:
                metric.reset_state()
                scores.append(float(metric(y_true, step(strength)(y_true, seed=1))))
            assert np.all(np.diff(scores) > 0), (layer, step, scores)


def test_luma_of_two_channels_is_an_error():
    image = np.zeros((1, 12, 12, 2))
    with pytest.raises(ValueError, match="3 channels"):
        metrics.psnr(image, image, luma=True)


FLAT = {
    name: np.full((1, 161, 163, 3), v, "float32")
    for name, v in {"black": 0.0, "white": 1.0, "grey": 0.4}.items()
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("luma", [False, True])
def test_scores_of_flat_images_are_finite(name, luma):
    best = {"psnr": 100, "hfenn": 0}.get(name, 1)
    for a in FLAT.values():
        np.testing.assert_allclose(
            FUNCTIONS[name](a, a, luma=luma), [best], rtol=1e-6, atol=1e-6
        )
        for b in FLAT.values():
            assert np.all(np.isfinite(FUNCTIONS[name](a, b, luma=luma)))


def test_psnr_of_black_and_white_and_of_one_pixel():
    np.testing.assert_allclose(metrics.psnr(FLAT["black"], FLAT["white"]), [0.0])
    pixel = np.full((1, 1, 1, 3), 0.5, "float32")
    np.testing.assert_allclose(metrics.psnr(pixel, pixel - 0.1), [20], atol=1e-3)
    with pytest.raises(ValueError, match=r"must have pixels. Received: \(1, 0, 5, 3\)"):
        metrics.psnr(np.zeros((1, 0, 5, 3)), np.zeros((1, 0, 5, 3)))


def test_ms_ssim_is_a_product_where_the_official_values_are_a_mean(data_dir):
    """The terms are computed by SciPy; the official program offers both."""
    folder = data_dir / "iqa_calibration"
    with open(folder / "official.csv") as file:
        official = {row.pop("method"): row for row in csv.DictReader(file)}
    to_grey = [0.298936021293775, 0.587043074451121, 0.114020904255103]
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]

    def mean(image):
        image = ndimage.gaussian_filter(image, 1.5, radius=5)
        return image[5:-5, 5:-5]

    for name, expected in official["ms_ssim"].items():
        x, y = pair = [
            np.floor(images.read(folder / f"{name}_{kind}.png") @ to_grey + 0.5)
            for kind in ("ref", "dist")
        ]
        terms = []
        for level in range(5):
            mean_x, mean_y = mean(x), mean(y)
            variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
            covariance = mean(x * y) - mean_x * mean_y
            term = (2 * covariance + 7.65**2) / (variances + 7.65**2)
            if level == 4:
                term *= 2 * mean_x * mean_y + 2.55**2
                term /= mean_x**2 + mean_y**2 + 2.55**2
            terms.append(term.mean())
            height, width = x.shape
            x, y = (
                z.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) for z in (x, y)
            )
        weighted = np.dot(weights, terms) / np.sum(weights)
        assert weighted == pytest.approx(float(expected), abs=1e-4), name
        product = np.prod(np.array(terms) ** weights)
        batches = [z[None, ..., None].astype("float32") / 255 for z in pair]
        found = float(metrics.ms_ssim(*batches)[0])
        assert found == pytest.approx(product, abs=2e-4), name


def test_scores_of_grey_images_are_the_official_ones(data_dir):
    folder = data_dir / "iqa_calibration"
    with open(folder / "official.csv") as file:
        official = {row.pop("method"): row for row in csv.DictReader(file)}
    # The official PSNR is that of RGB, the others take MATLAB's `rgb2gray`.
    weights = [0.298936021293775, 0.587043074451121, 0.114020904255103]
    for name in official["psnr"]:
        rgb = [images.read(folder / f"{name}_{kind}.png") for kind in ("ref", "dist")]
        grey = [np.floor(image @ weights + 0.5)[..., None] / 255 for image in rgb]
        rgb, grey = ([image[None] for image in pair] for pair in (rgb, grey))
        rgb = [images.to_float(image) for image in rgb]
        for metric, pair, tolerance in (
            ("psnr", rgb, 0.005),
            ("ssim", grey, 1e-4),
            ("ms_ssim", grey, 0.005),
        ):
            found = float(FUNCTIONS[metric](*pair)[0])
            expected = float(official[metric][name])
            assert found == pytest.approx(expected, abs=tolerance), (metric, name)


@pytest.mark.parametrize("shape", [(2, 1), (2, 4, 4)])
@pytest.mark.parametrize("name", [*CLASSES, "vgg_distance", "lpips"])
def test_sample_weights_are_one_per_image(name, shape, monkeypatch):
    metric = {**CLASSES, "vgg_distance": VGGDistance, "lpips": metrics.LPIPS}[name]()
    values = np.ones(2, "float32")
    if name == "vgg_distance":
        monkeypatch.setattr(metric.loss, "call", lambda *pair: values)
    elif name == "lpips":
        metric.distance = lambda *pair: values
    else:
        monkeypatch.setattr(metric, "_score", lambda *args: values)
    y = np.full((2, 4, 4, 3), 0.5, "float32")
    metric.update_state(y, y, sample_weight=np.ones(2))
    with pytest.raises(ValueError, match=r"shape \(batch,\).* Received: shape=\(2, "):
        metric.update_state(y, y, sample_weight=np.ones(shape))
