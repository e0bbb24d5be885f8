import io
import itertools
import json
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from skimage import data

from sr_keras import degradations
from sr_keras.degradations import (
    JPEG,
    Compose,
    CorrelatedNoise,
    Downscale,
    DropPixels,
    Function,
    GaussianBlur,
    GaussianNoise,
    KernelBlur,
    OneOf,
    PoissonNoise,
    Quantize,
    RandomResize,
    SecondOrder,
    ShotNoise,
    Shuffled,
    Sinc,
    Sometimes,
)

METHODS = Downscale.METHODS
FIXED = {
    "bicubic": Downscale(2),
    "bilinear": Downscale(3, "bilinear"),
    "symmetric": Downscale(2, border="symmetric"),
    "blur": GaussianBlur(1.2),
    "anisotropic": GaussianBlur(2.0, 0.7, 30),
    "jpeg": JPEG(60),
    "quantize": Quantize(9),
    "chain": Compose([GaussianBlur(0.8), Downscale(2), JPEG(80)]),
}
RANDOM = {
    "blur": GaussianBlur((0.5, 2.0)),
    "anisotropic": GaussianBlur((0.5, 2.0), (0.5, 2.0), (0, 180)),
    "noise": GaussianNoise(0.1),
    "grey noise": GaussianNoise((0.05, 0.2), grey=True),
    "poisson": PoissonNoise((20, 80)),
    "jpeg": JPEG((20, 90)),
    "quantize": Quantize((2, 30)),
    "drop": DropPixels((0.1, 0.5)),
    "chain": Compose([GaussianNoise(0.05), Downscale(2), JPEG((20, 90))]),
    "resize": RandomResize(2, (0.4, 1.2)),
    "shuffled": Compose(
        [GaussianBlur((0.5, 2.0)), Downscale(2), GaussianNoise(0.1)], shuffle=True
    ),
    "kernel": KernelBlur(),
    "sinc": Sinc((0.5, 2.5)),
    "shot noise": ShotNoise((0.5, 2.0)),
    "grey shot noise": ShotNoise((0.5, 2.0), grey=True),
    "correlated noise": CorrelatedNoise(0.1),
    "one of two": OneOf((GaussianNoise(0.1), JPEG((20, 90))), (1, 2)),
    "second order": SecondOrder(2),
    "shuffled of BSRGAN": Shuffled(2),
}
ALL = [*FIXED.values(), *RANDOM.values()]

every_fixed = pytest.mark.parametrize("degradation", FIXED.values(), ids=FIXED)
every_random = pytest.mark.parametrize("degradation", RANDOM.values(), ids=RANDOM)
every = pytest.mark.parametrize(
    "degradation", ALL, ids=[*(f"fixed {name}" for name in FIXED), *RANDOM]
)


@pytest.fixture(scope="module")
def photo():
    return data.astronaut()[40:88, 180:252]  # a face, 48 x 72


def line(values, dtype="float32"):
    """Makes a row of pixels, 8 of them high, whose rows are alike."""
    return np.tile(np.array(values, dtype)[None, :, None], (8, 1, 1))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name, count", [("Set5", 5), ("Set14", 14)])
def test_bicubic_makes_the_files_of_the_benchmark_sets(data_dir, name, count, scale):
    folder = data_dir / "benchmark" / name
    files = sorted((folder / "HR").glob("*.png"))
    assert len(files) == count
    for file in files:
        lr_file = folder / "LR_bicubic" / f"X{scale}" / f"{file.stem}x{scale}.png"
        hr, lr = np.array(Image.open(file)), np.array(Image.open(lr_file))
        hr = hr.reshape(*hr.shape[:2], -1)[: scale * len(lr), : scale * len(lr[0])]
        made = Downscale(scale)(hr)
        assert made.dtype == np.uint8
        wrong = np.count_nonzero(made != lr.reshape(made.shape))
        assert wrong == 0, f"{file.name}: {wrong} of {lr.size} values differ"


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_floats_are_downscaled_like_integers_except_for_rounding(photo, scale):
    exact = Downscale(scale)(photo).astype("float32")
    graph = tf.function(Downscale(scale))
    fast = graph(tf.constant(photo / 255, tf.float32)).numpy() * 255
    difference = np.clip(fast, 0, 255) - exact
    assert np.abs(difference).max() < 1.5
    assert np.abs(difference).mean() < 0.35


@pytest.mark.parametrize(
    "method, weights, first",
    [
        ("bicubic", np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256, -3),
        ("bilinear", np.array([1, 3, 3, 1]) / 8, -1),
        ("area", [0.5, 0.5], 0),
        ("nearest", [1], 1),
        ("drop", [1], 0),
    ],
)
def test_halving_weighs_pixels_as_computed_by_hand(method, weights, first):
    row = np.random.default_rng(0).random(16)
    half = Downscale(2, method)(line(row))
    assert half.shape == (4, 8, 1)
    middle = [
        np.dot(weights, row[2 * i + first : 2 * i + first + len(weights)])
        for i in range(2, 6)
    ]
    np.testing.assert_allclose(half[0, 2:6, 0], middle, atol=1e-6)


def test_nearest_drop_and_area_at_scale_3():
    row = line([1, 2, 6, 3, 4, 8], "uint8")
    assert Downscale(3, "nearest")(row)[0, :, 0].tolist() == [2, 4]
    assert Downscale(3, "drop")(row)[0, :, 0].tolist() == [1, 3]
    assert Downscale(3, "area")(row)[0, :, 0].tolist() == [3, 5]


def test_images_continue_beyond_their_border():
    row = np.random.default_rng(0).random(8)
    weights = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
    for border, indices in {
        "replicate": [0, 0, 0, 0, 1, 2, 3, 4],
        "symmetric": [2, 1, 0, 0, 1, 2, 3, 4],
    }.items():
        half = Downscale(2, border=border)(line(row))
        assert half[0, 0, 0] == pytest.approx(np.dot(weights, row[indices]))
        half = Downscale(2, border=border)(line(row[::-1]))
        assert half[0, -1, 0] == pytest.approx(np.dot(weights, row[indices]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_pixels_that_do_not_fill_an_lr_pixel_are_ignored(photo, scale, method):
    odd = photo[:43, :70]
    lr = Downscale(scale, method)(odd)
    assert lr.shape == (43 // scale, 70 // scale, 3)
    whole = odd[: 43 // scale * scale, : 70 // scale * scale]
    np.testing.assert_array_equal(lr, Downscale(scale, method)(whole))


@pytest.mark.parametrize("method", METHODS)
def test_tiny_and_constant_images_stay_constant(method):
    for height, width in [(2, 2), (3, 7), (8, 2)]:
        image = np.full((height, width, 1), 77, np.uint8)
        assert np.unique(Downscale(2, method)(image)).tolist() == [77]


def moments(image):
    """Returns sum, variances along x and y, and covariance (y upwards)."""
    radius = image.shape[0] // 2
    y, x = np.mgrid[radius : -radius - 1 : -1, -radius : radius + 1]
    assert np.sum(x * image) == pytest.approx(0, abs=1e-4)
    assert np.sum(y * image) == pytest.approx(0, abs=1e-4)
    return [np.sum(image), *(np.sum(m * image) for m in (x * x, y * y, x * y))]


@pytest.mark.parametrize(
    "blur, variances",
    [
        (GaussianBlur(2.0), (4, 4, 0)),
        (GaussianBlur(3.0, 1.5), (9, 2.25, 0)),
        (GaussianBlur(3.0, 1.5, 90), (2.25, 9, 0)),
        # turned by 30 degrees: 9 * 3/4 + 2.25 / 4, 9 / 4 + 2.25 * 3/4, and
        # (9 - 2.25) * sin 30 * cos 30
        (GaussianBlur(3.0, 1.5, 30), (7.3125, 3.9375, 2.9228)),
        (GaussianBlur(3.0, 1.5, -30), (7.3125, 3.9375, -2.9228)),
    ],
)
def test_a_blurred_point_has_the_moments_of_the_gaussian(blur, variances):
    point = np.zeros((41, 41, 1), "float32")
    point[20, 20] = 1
    total, *measured = moments(blur(point)[..., 0].astype("float64"))
    assert total == pytest.approx(1)
    # cut at 3 sigma, a Gaussian loses 2.7 % of its variance
    np.testing.assert_allclose(measured, variances, rtol=0.04, atol=1e-4)


def test_blurring_keeps_constant_images():
    image = np.full((7, 5, 3), [10, 20, 30], np.uint8)
    np.testing.assert_array_equal(GaussianBlur(2.0, 1.0, 45)(image), image)


def test_blurring_repeats_the_pixels_of_the_border(photo):
    blur = GaussianBlur(2.0, 1.0, 45)
    larger = np.pad(photo, ((9, 9), (9, 9), (0, 0)), mode="edge")
    np.testing.assert_array_equal(blur(photo), blur(larger)[9:-9, 9:-9])


@pytest.mark.parametrize("level", [0.3, 0.6])
def test_gaussian_noise_has_its_standard_deviation(level):
    image = np.full((100, 101, 3), level, "float32")
    noise = GaussianNoise(0.08)(image, seed=0) - image
    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert noise.std() == pytest.approx(0.08, rel=0.02)
    assert np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1] < 0.05


def test_grey_noise_is_the_same_in_all_channels():
    image = np.full((50, 50, 3), 0.5, "float32")
    noise = GaussianNoise(0.1, grey=True)(image, seed=0) - image
    np.testing.assert_array_equal(noise[..., 0], noise[..., 2])
    assert noise.std() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("level", [0.2, 0.8])
def test_poisson_noise_grows_with_brightness(level):
    image = np.full((100, 101, 3), level, "float32")
    noisy = PoissonNoise(100)(image, seed=0)
    assert noisy.mean() == pytest.approx(level, rel=0.01)
    assert noisy.var() == pytest.approx(level / 100, rel=0.05)
    assert not PoissonNoise(100)(np.zeros((9, 9, 3), "float32"), seed=0).any()


def test_noise_is_equally_strong_for_integers_and_floats():
    for dtype, peak in [("uint8", 255), ("uint16", 65535)]:
        image = np.full((100, 100, 1), peak // 2, dtype)
        noisy = GaussianNoise(0.1)(image, seed=0)
        assert noisy.dtype == dtype
        assert noisy.std() / peak == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize("quality", [10, 50, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_equals_a_jpeg_file(photo, quality, channels):
    image = photo if channels == 3 else photo[..., :1]
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
    expected = np.array(Image.open(file)).reshape(image.shape)
    np.testing.assert_allclose(JPEG(quality)(image).astype(int), expected, atol=1)


def test_quantization_levels():
    image = np.array([[0, 60, 70, 128, 190, 192, 255]], np.uint8)[..., None]
    assert Quantize(2)(image)[0, :, 0].tolist() == [0, 0, 0, 255, 255, 255, 255]
    assert Quantize(3)(image)[0, :, 0].tolist() == [0, 0, 128, 128, 128, 255, 255]
    np.testing.assert_array_equal(Quantize(256)(image), image)


def test_dropped_pixels_are_black_in_all_channels(photo):
    image = np.maximum(photo, 1)
    dropped = DropPixels(0.3)(image, seed=0)
    black = (dropped == 0).all(axis=-1)
    assert black.mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(dropped[~black], image[~black])


@every_random
def test_the_same_seed_gives_the_same_result(photo, degradation):
    first = degradation(photo, seed=7)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(degradation(photo, seed=7), first)
    np.testing.assert_array_equal(degradation(photo, seed=(7, 0)), first)
    for other in (8, (7, 1)):
        assert (degradation(photo, seed=other) != first).any()


@every_random
def test_images_of_a_batch_are_degraded_independently(photo, degradation):
    results = degradation(np.stack([photo] * 3), seed=7)
    assert results.shape[0] == 3
    for a, b in itertools.combinations(results, 2):
        assert (a != b).any()


@every
def test_a_dataset_of_batches_gives_what_eager_calls_give(photo, degradation):
    batch = np.stack([photo[:20, :24], photo[20:40, 8:32]])
    dataset = tf.data.Dataset.from_tensors(batch).repeat(2).enumerate()
    dataset = dataset.map(lambda i, images: degradation(images, seed=(3, i)))
    for i, result in enumerate(dataset):
        expected = degradation(batch, seed=(3, i))
        np.testing.assert_allclose(result.numpy().astype(int), expected, atol=1)


@every_fixed
def test_a_batch_gives_what_single_images_give(photo, degradation):
    results = degradation(np.stack([photo, photo[:, ::-1]]))
    np.testing.assert_array_equal(results[0], degradation(photo))
    np.testing.assert_array_equal(results[1], degradation(photo[:, ::-1]))


@every
@pytest.mark.parametrize(
    "dtype, channels", [("uint8", 1), ("uint16", 3), ("float32", 3), ("float64", 1)]
)
def test_dtype_and_channels_are_kept(degradation, dtype, channels):
    peak = 1 if dtype.startswith("float") else np.iinfo(dtype).max
    image = (np.random.default_rng(0).random((13, 18, channels)) * peak).astype(dtype)
    result = degradation(image, seed=0)
    assert isinstance(result, np.ndarray)
    assert result.dtype == dtype
    scale = degradation.scale
    assert result.shape == (13 // scale, 18 // scale, channels)


@every
def test_a_graph_for_all_sizes_gives_what_eager_calls_give(photo, degradation):
    unknown = tf.TensorSpec((None, None, None), tf.uint8)
    graph = tf.function(lambda x: degradation(x, seed=3), input_signature=[unknown])
    expected = degradation(photo, seed=3)
    np.testing.assert_allclose(graph(photo).numpy().astype(int), expected, atol=1)


def test_a_tensor_becomes_a_tensor(photo):
    lr = Downscale(2)(tf.constant(photo))
    assert isinstance(lr, tf.Tensor)
    np.testing.assert_array_equal(lr, Downscale(2)(photo))


def test_16_bits_give_the_result_of_8_bits(photo):
    for degradation in (Downscale(2), GaussianBlur(1.5), Compose([Downscale(3)])):
        fine = degradation(photo.astype("uint16") * 257) / 257
        np.testing.assert_allclose(fine, degradation(photo), atol=1.2)


def test_strengths_are_drawn_from_their_range():
    images = np.full((20, 50, 50, 1), 0.5, "float32")
    noise = GaussianNoise((0.02, 0.2))(images, seed=0) - images
    deviations = noise.std(axis=(1, 2, 3))
    assert 0.019 < deviations.min() < 0.06
    assert 0.16 < deviations.max() < 0.21

    lost = (DropPixels((0.1, 0.6))(images, seed=0) == 0).mean(axis=(1, 2, 3))
    assert 0.08 < lost.min() < 0.2
    assert 0.5 < lost.max() < 0.62

    point = np.zeros((20, 25, 25, 1), "float32")
    point[:, 12, 12] = 1
    peaks = GaussianBlur((1.0, 3.0))(point, seed=0).max(axis=(1, 2, 3))
    # of 1 / (2 pi sigma^2), a little more as the kernel is cut
    assert 0.017 < peaks.min() < 0.03
    assert 0.09 < peaks.max() < 0.165


def test_steps_are_applied_in_order(photo):
    blur, down, jpeg = GaussianBlur(1.5), Downscale(3), JPEG(50)
    result = Compose([blur, down, jpeg])(photo)
    np.testing.assert_array_equal(result, jpeg(down(blur(photo))))
    assert (result != jpeg(blur(down(photo)))).any()
    assert Compose([down, jpeg, Downscale(2)]).scale == 6
    assert not Compose([down, jpeg]).is_random
    assert Compose([down, JPEG((1, 5))]).is_random


def test_steps_are_applied_in_random_order(photo):
    blur, down, jpeg = GaussianBlur(1.5), Downscale(2), JPEG(30)
    orders = {}
    for order in itertools.permutations((blur, down, jpeg)):
        orders[Compose(order)(photo).tobytes()] = order
    assert len(orders) == 6
    shuffled = tf.function(Compose([blur, down, jpeg], shuffle=True))
    results = shuffled(np.stack([photo] * 60), seed=1).numpy()
    assert {result.tobytes() for result in results} == set(orders)


@pytest.mark.parametrize(
    "degradation",
    [
        *(Downscale(scale, method) for scale in (2, 3, 4) for method in METHODS),
        GaussianBlur(1.2),
        GaussianBlur(2.5, 0.8, 70),
        Quantize(10),
        Compose([GaussianBlur(1.2), Downscale(2)]),
        Compose([Downscale(2), GaussianBlur(1.2), Downscale(2)]),
    ],
    ids=str,
)
def test_the_margin_is_enough(degradation):
    image = np.random.default_rng(0).integers(0, 256, (60, 72, 1), np.uint8)
    scale = degradation.scale
    margin = -(-degradation.margin // scale) * scale
    lr = degradation(image)
    window = image[24 - margin : 36 + margin, 24 - margin : 48 + margin]
    patch = degradation(window)
    inner = patch[margin // scale :, margin // scale :][: 12 // scale, : 24 // scale]
    expected = lr[24 // scale : 36 // scale, 24 // scale : 48 // scale]
    np.testing.assert_array_equal(inner, expected)


def test_the_margin_is_enough_in_every_order():
    steps = GaussianBlur(1.0), Downscale(2), GaussianBlur(0.6)
    margin = Compose(steps, shuffle=True).margin
    orders = [Compose(order).margin for order in itertools.permutations(steps)]
    assert margin == max(orders) == 2 * 3 + 4 + 2 * 2
    assert Compose(steps).margin == 3 + 4 + 2 * 2


def test_a_pixel_changes_a_jpeg_file_within_the_margin():
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    changed = image.copy()
    changed[47, 32] = [255, 0, 0]
    rows, columns, _ = np.nonzero(JPEG(50)(image) != JPEG(50)(changed))
    reach = max(np.abs(rows - 47).max(), np.abs(columns - 32).max())
    assert 8 < reach <= JPEG().margin


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("name", degradations.NAMES)
def test_degradations_have_names(photo, name, scale):
    degradation = degradations.get(name, scale)
    assert degradation.scale == scale
    lr = degradation(photo, seed=0)
    assert lr.shape == (48 // scale, 72 // scale, 3)
    assert degradations.get(degradation, scale) is degradation
    mean = np.abs(lr.mean() - photo.mean())
    assert mean < 25, "the photo should still be seen"


def test_what_the_names_mean(photo):
    assert degradations.get("bicubic", 4) == Downscale(4)
    blurred = GaussianBlur(1.6, radius=3)(photo)
    np.testing.assert_array_equal(
        degradations.get("blur", 3)(photo), blurred[1::3, 1::3]
    )
    assert {"bicubic", "blur", "noise", "jpeg", "crappify"} < set(degradations.NAMES)


def test_get_applies_a_list_in_order():
    def negative(hr):
        return 255 - hr

    photo = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    blur = GaussianBlur(1.0)
    steps = [negative, blur, degradations.serialize(blur), "bicubic"]
    found = degradations.get(steps, 4)
    expected = Downscale(4)(blur(blur(negative(photo))))
    np.testing.assert_array_equal(found(photo), expected)
    assert degradations.get(tuple(steps[1:]), 4) == Compose([blur, blur, Downscale(4)])
    with pytest.raises(ValueError, match="shrinks them by 16"):
        degradations.get(["bicubic", "bicubic"], 4)
    with pytest.raises(ValueError, match="shrinks them by 1"):
        degradations.get([], 4)


def test_unknown_names_and_other_scales_are_refused():
    with pytest.raises(ValueError, match="'blurry' is not the name of .* 'blur'"):
        degradations.get("blurry", 2)
    with pytest.raises(ValueError, match="by scale=2. Received: .* shrinks them by 3"):
        degradations.get(Downscale(3), 2)


def test_invalid_calls_are_refused(photo):
    with pytest.raises(ValueError, match=r"GaussianNoise\(.* is random: pass `seed`"):
        GaussianNoise(0.1)(photo)
    with pytest.raises(
        ValueError, match="uint8, uint16 or float. Received: dtype=int32"
    ):
        Downscale(2)(photo.astype("int32"))
    with pytest.raises(
        ValueError, match=r"must have the shape .* Received: shape=\(48, 72\)"
    ):
        Downscale(2)(photo[..., 0])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Downscale(0), "`scale` must be a positive integer. Received: scale=0"),
        (
            lambda: Downscale(2.5),
            "`scale` must be a positive integer. Received: scale=2.5",
        ),
        (
            lambda: Downscale(2, "cubic"),
            "`method` must be one of .* Received: method='cubic'",
        ),
        (
            lambda: Downscale(2, border="zero"),
            "`border` must be .* Received: border='zero'",
        ),
        (lambda: GaussianBlur(0), "`sigma` must be between 0.001 and 100"),
        (lambda: GaussianBlur(1, (2, 1)), "`sigma_across` must be a number or a pair"),
        (lambda: GaussianBlur(1, 1, 400), "`angle` must be between -360 and 360"),
        (lambda: GaussianNoise(-0.1), "`sigma` must be between 0 and 10.*: sigma=-0.1"),
        (
            lambda: GaussianNoise("0.1"),
            "`sigma` must be a number or a pair .*: sigma='0.1'",
        ),
        (lambda: GaussianNoise([0, 1]), r"`sigma` must be .*pair .*: sigma=\[0, 1\]"),
        (lambda: GaussianNoise((0, 1, 2)), "`sigma` must be a number or a pair"),
        (lambda: PoissonNoise(0), "`peak` must be between 1 and"),
        (lambda: JPEG(0), "`quality` must be between 1 and 100. Received: quality=0"),
        (lambda: JPEG((50, 101)), r"`quality` must be between .*: quality=\(50, 101\)"),
        (lambda: Quantize(1), "`levels` must be between 2 and"),
        (lambda: DropPixels(1.1), "`fraction` must be between 0 and 1"),
    ],
)
def test_invalid_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_jpeg_has_one_or_three_channels():
    with pytest.raises(
        ValueError, match=r"1 or 3 channels. Received: shape=\(8, 8, 4\)"
    ):
        JPEG(50)(np.zeros((8, 8, 4), np.uint8))


def test_scale_may_be_a_numpy_integer_but_not_a_bool():
    assert repr(Downscale(np.int64(2))) == repr(Downscale(2))
    with pytest.raises(ValueError, match="positive integer. Received: scale=True"):
        Downscale(True)


def test_a_downscaler_needs_a_scale():
    with pytest.raises(TypeError, match="scale"):
        Downscale()


@pytest.mark.parametrize(
    "degradation, expected",
    [
        *((Downscale(scale), True) for scale in (1, 2, 3, 4)),
        (Downscale(3, "area"), True),
        (Downscale(4, "bilinear"), True),
        (Downscale(3, "nearest"), True),
        (Downscale(2, "nearest"), False),
        (Downscale(3, "drop"), False),
        (Downscale(1, "drop"), True),
        (GaussianBlur(2.0), True),
        (GaussianBlur(2.0, 1.0, 30), False),
        (Compose([GaussianBlur(2.0), Downscale(2, "drop")]), False),
        (Compose([GaussianBlur(2.0), Downscale(2)]), True),
    ],
)
def test_is_equivariant(degradation, expected):
    assert degradation.is_equivariant is expected
    image = np.random.default_rng(0).random((48, 48, 1), "float32")
    turned = np.rot90(degradation(np.rot90(image).copy()), -1)
    assert np.allclose(turned, degradation(image), atol=1e-5) is expected


def test_blur_is_the_bd_of_the_papers(photo):
    photo = photo[:60, :60]
    line = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.6**2))
    kernel = np.outer(line, line) / line.sum() ** 2
    padded = np.pad(photo.astype("float64"), ((3, 3), (3, 3), (0, 0)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), axis=(0, 1))
    blurred = np.floor(np.einsum("yxcij,ij->yxc", windows, kernel) + 0.5)
    lr = degradations.get("blur", 3)(photo)
    assert np.abs(lr - blurred[1::3, 1::3]).max() <= 1  # a half may round either way
    assert np.mean(lr != blurred[1::3, 1::3]) < 1e-3


def test_repr_of_a_custom_degradation():
    class SaltAndPepper(degradations.Degradation):
        def __init__(self, share):
            self.share = share

    assert repr(SaltAndPepper(0.1)) == "SaltAndPepper(share=0.1)"
    assert str(SaltAndPepper(0.1)) in str(Compose([SaltAndPepper(0.1), Downscale(2)]))


def test_a_function_receives_the_pixels_as_they_are(photo):
    seen = []

    def half(hr):
        seen.append((hr.shape, hr.dtype))
        return hr[::2, ::2]

    degradation = degradations.get(half, 2)
    np.testing.assert_array_equal(degradation(photo), photo[::2, ::2])
    np.testing.assert_array_equal(degradation(photo[..., :1]), photo[::2, ::2, :1])
    assert seen == [((48, 72, 3), np.uint8), ((48, 72, 1), np.uint8)]
    assert not degradation.is_random
    assert repr(degradation).startswith("Function(test_degradations.")


def test_a_function_with_a_seed_is_random(photo):
    def noisy(hr, seed):
        rng = np.random.default_rng(seed)
        return rng.integers(0, 256, hr.shape, np.uint8)

    degradation = Function(noisy)
    assert degradation.is_random
    with pytest.raises(ValueError, match="is random: pass `seed`"):
        degradation(photo)
    first = degradation(photo, seed=1)
    np.testing.assert_array_equal(degradation(photo, seed=1), first)
    assert (degradation(photo, seed=2) != first).any()


@pytest.mark.parametrize("function", [lambda hr: hr, lambda hr: hr[::2, ::2] / 255])
def test_the_result_of_a_function_is_checked(photo, function):
    message = (
        r"must return an array of the shape \(24, 36, 3\) and the dtype uint8\."
        r" Received: shape="
    )
    with pytest.raises(ValueError, match=message):
        Function(function, scale=2)(photo)


def test_sometimes(photo):
    inverse = Function(lambda hr: 255 - hr)
    results = Sometimes(0.3, inverse)(np.stack([photo] * 200), seed=0)
    changed = [(result == 255 - photo).all() for result in results]
    kept = [(result == photo).all() for result in results]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.08)
    assert np.mean(kept) == pytest.approx(1 - np.mean(changed))


def test_random_resize_does_not_shift_images(photo):
    exact = Downscale(2)(photo).astype(float)
    degradation = RandomResize(2, (0.3, 1.5))
    results = degradation(np.stack([photo] * 8), seed=0)
    assert results.shape == (8, 24, 36, 3)
    assert len({result.tobytes() for result in results}) == 8
    for result in results:
        errors = {
            shift: np.abs(np.roll(exact, shift, 1) - result)[4:-4, 4:-4].mean()
            for shift in (-1, 0, 1)
        }
        assert min(errors, key=errors.get) == 0
    # with a factor of 1 only the final resize is left
    same = RandomResize(2, 1.0, methods=("bicubic",))(photo, seed=0)
    np.testing.assert_array_equal(same, exact)


def test_the_margin_of_random_resize_is_enough():
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 1), np.uint8)
    degradation = RandomResize(2, 0.5, (GaussianBlur(0.6),), ("bicubic",))
    margin = -(-degradation.margin // 4) * 4
    assert margin <= 20
    whole = degradation(image, seed=0)
    window = image[32 - margin : 64 + margin, 32 - margin : 64 + margin]
    patch = degradation.degrade_patch(window, margin, seed=0)
    np.testing.assert_array_equal(patch, whole[16:32, 16:32])


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_degraded_patch_equals_a_crop_of_the_degraded_image(shuffle):
    image = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    degradation = Compose(
        [GaussianBlur(1.2, 0.6, 20), Downscale(2), Quantize(9)], shuffle=shuffle
    )
    margin = 20
    window = image[40 - margin : 80 + margin, 40 - margin : 80 + margin]
    for seed in range(6):
        patch = degradation.degrade_patch(window, margin, seed)
        np.testing.assert_array_equal(
            patch, degradation(image, seed=seed)[20:40, 20:40]
        )


@keras.saving.register_keras_serializable(package="test_degradations")
def negative(hr):
    return 255 - hr


@every
def test_degradations_are_stored_as_json(photo, degradation):
    config = json.loads(json.dumps(degradations.serialize(degradation)))
    revived = degradations.deserialize(config)
    assert revived == degradation
    np.testing.assert_array_equal(revived(photo, seed=3), degradation(photo, seed=3))
    assert degradations.get(config, degradation.scale) == degradation


def test_nested_and_registered_degradations_are_stored_as_json(photo):
    degradation = Compose(
        [
            Sometimes(0.5, Function(negative)),
            RandomResize(2, (0.4, 0.9), (JPEG((30, 60)),), ("area",)),
        ]
    )
    config = json.loads(json.dumps(degradations.serialize(degradation)))
    assert degradations.deserialize(config) == degradation
    tuples = {**config, "config": {**config["config"]}}
    tuples["config"]["steps"] = tuple(tuples["config"]["steps"])  # as in a recipe
    assert degradations.deserialize(tuples) == degradation
    written = {"class_name": "Downscale", "config": {"scale": 3, "method": "area"}}
    assert degradations.deserialize(written) == Downscale(3, "area")


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: degradations.serialize(Function(lambda hr: hr)),
            "cannot be stored by name: decorate it",
        ),
        (
            lambda: degradations.deserialize({"class_name": "GausianBlur"}),
            "'GausianBlur' is not the name of .*Did you mean 'GaussianBlur'",
        ),
        (
            lambda: degradations.deserialize(
                {"class_name": "JPEG", "config": {"q": 1}}
            ),
            "JPEG cannot be made of .*unexpected keyword argument 'q'",
        ),
        (lambda: Sometimes(1.5, JPEG()), r"in \[0, 1\]. Received: probability=1.5"),
        (lambda: Sometimes(0.5, Downscale(2)), "`degradation` must keep the size"),
        (lambda: Sometimes(0.5, "jpeg"), "`degradation` must be a Degradation"),
        (lambda: Compose(["jpeg"]), "`steps` must be a Degradation"),
        (lambda: RandomResize(2, 0), "`factor` must be between 0.05 and 4"),
        (lambda: RandomResize(2, steps=(Downscale(2),)), "`steps` must keep the size"),
        (lambda: RandomResize(2, methods=("cubic",)), "`methods` must be one of"),
        (lambda: degradations.get("bicubic", 0), "`scale` must be a positive integer"),
    ],
)
def test_invalid_configurations_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_named_degradations_take_milliseconds_for_a_patch():
    """A graph of TensorFlow operations took 200 times as long."""
    degradation = degradations.get("crappify", 4)
    window = np.random.default_rng(0).integers(0, 256, (384, 384, 3), np.uint8)
    degradation.degrade_patch(window, 96, 0)
    start = time.thread_time()
    for seed in range(10):
        degradation.degrade_patch(window, 96, seed)
    assert (time.thread_time() - start) / 10 < 0.05
