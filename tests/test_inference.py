import tracemalloc
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import ImageCms

from sr_keras import images, inference, models
from sr_keras.inference import upscale, upscale_files, with_precision
from sr_keras.layers import CropLike


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def randomized(model, seed=0):
    """The model with weights that are nowhere 0, as after training."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(weight + rng.uniform(-0.02, 0.02, weight.shape))
    return model


def convolutions(count=3, activation="relu"):
    """`count` 3x3 convolutions: each output sees `count` pixels to every side."""
    inputs = x = keras.Input((None, None, 3))
    for _ in range(count - 1):
        x = layers.Conv2D(4, 3, padding="same", activation=activation)(x)
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x))


def strided(pool=False, skip=1, last="glorot_uniform"):
    """Reduces twice by 2, enlarges twice, and adds a convolution of the input."""
    inputs = x = keras.Input((None, None, 3))
    for _ in range(2):
        x = layers.Conv2D(4, 3, 1 if pool else 2, padding="same", activation="relu")(x)
        if pool:
            x = layers.MaxPooling2D(2, padding="same")(x)
    for kernel in ("glorot_uniform", last):
        x = layers.Conv2DTranspose(3, 3, 2, padding="same", kernel_initializer=kernel)(
            x
        )
    x = CropLike()([x, inputs])
    return keras.Model(inputs, x + layers.Conv2D(3, skip, padding="same")(inputs))


def global_pooling():
    inputs = keras.Input((None, None, 3))
    mean = layers.GlobalAveragePooling2D(keepdims=True)(inputs)
    return keras.Model(inputs, layers.Multiply()([inputs, mean]), name="attention")


def dead():
    """Two 3x3 convolutions; the ReLU between them lets nothing through at first."""
    bias = keras.initializers.Constant(-9)
    first = layers.Conv2D(
        4, 3, padding="same", activation="relu", bias_initializer=bias
    )
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(first(inputs)))


def maximum():
    """The largest of 9x9 pixels."""
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, layers.MaxPooling2D(9, 1, padding="same")(inputs))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_returns_the_kind_of_image_that_came(channels, shape, dtype):
    image = np.full(shape, 0.4)
    if dtype.startswith("uint"):
        image = np.round(image * np.iinfo(dtype).max)
    image = image.astype(dtype)
    result = upscale(models.bicubic(2, channels=channels), image)
    assert result.dtype == dtype
    assert result.shape == (10, 14, *shape[2:])
    np.testing.assert_allclose(result, image.ravel()[0], rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_every_pixel_is_at_its_place(shape):
    image = np.random.default_rng(0).integers(0, 2**16, shape, np.uint16)
    expected = image.repeat(3, axis=0).repeat(3, axis=1)
    for tile in (None, 0, 2, 4, 256):
        result = upscale(models.nearest(3), image, tile)
        np.testing.assert_array_equal(result, expected)


def test_results_are_clipped():
    image = np.zeros((4, 6, 3), "float32")
    image[:, 3:] = 1  # an edge, at which bicubic interpolation overshoots
    result = upscale(models.bicubic(4), image)
    assert result.min() == 0 and result.max() == 1
    assert upscale(models.bicubic(4), (image * 255).astype("uint8")).max() == 255


def test_grey_through_rgb_is_the_mean_of_the_channels():
    network = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(3, 1, use_bias=False)]
    )
    network.set_weights([np.diag([0.1, 0.2, 0.6])[None, None]])
    result = upscale(network, np.full((3, 4), 0.5))
    np.testing.assert_allclose(result, 0.5 * (0.1 + 0.2 + 0.6) / 3, rtol=1e-6)


def test_rgb_through_one_channel_is_upscaled_on_luma():
    keras.utils.set_random_seed(0)
    core = randomized(models.espcn(3, filters=(4, 4)))
    image = noise(9, 11, 3)
    expected = models.on_luma(core).predict_on_batch(image[None])[0].clip(0, 1)
    np.testing.assert_allclose(upscale(core, image), expected, atol=1e-6)
    np.testing.assert_allclose(upscale(core, image, tile=5), expected, atol=1e-6)


def test_takes_callables():
    def double(x):
        assert x.shape == (1, 4, 6, 3) and x.dtype == np.float32
        return x.repeat(2, axis=1).repeat(2, axis=2)

    image = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
    expected = image.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(upscale(double, image), expected)


NETWORKS = {
    "edsr": lambda: models.edsr(2, filters=4, num_blocks=2),
    "espcn": lambda: models.espcn(3, filters=(4, 4), bicubic_skip=True, channels=3),
    "fsrcnn on luma": lambda: models.fsrcnn(3, 8, 4, 1),
    "unet": lambda: models.unet(1, filters=2, num_levels=3),
    "strides": strided,
    "pools": lambda: strided(pool=True),
    "pools beside a wide convolution": lambda: strided(pool=True, skip=37),
    "mixed_bfloat16": lambda: with_precision(convolutions(), "mixed_bfloat16"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_equal_the_whole_image(name):
    keras.utils.set_random_seed(0)
    network = randomized(NETWORKS[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for height, width, tile in [(81, 54, 26), (78, 91, 40)]:
            image = noise(height, width, 3)
            whole = upscale(network, image, tile=None)
            assert whole.std() > 0.01
            np.testing.assert_allclose(upscale(network, image, tile), whole, atol=5e-6)
            image = (image * 255).astype("uint8")
            whole = upscale(network, image, tile=None).astype(int)
            change = np.abs(upscale(network, image, tile) - whole)
            # where float32 rounds to either side of a half
            assert change.max() <= 1 and change.mean() < 1e-4


@pytest.mark.parametrize(
    ("network", "halo"),
    [
        (convolutions(3), 3),
        (convolutions(3, activation="tanh"), 3),
        (dead(), 2),
        (maximum(), 4),
        # 4 and 2 pixels of the enlarged image, and 2 of bicubic interpolation
        (models.srcnn(2, (9, 1, 5), (2, 2), channels=3), 2 + 1 + 2),
        # head, 2 blocks of 2, body, upsampling, and half a pixel of the tail
        (models.edsr(2, filters=4, num_blocks=2), 1 + 4 + 1 + 1 + 1),
    ],
)
def test_windows_are_no_larger_than_needed(network, halo, monkeypatch):
    sizes = []

    def watch(window):
        sizes.append(window.shape[1:3])
        return network(window)

    monkeypatch.setattr(network, "predict_on_batch", watch)
    upscale(network, noise(60, 30, 3), tile=20)
    assert sizes == [
        (20 + halo, 15 + halo),
        (20 + halo, 15 + halo),
        (20 + 2 * halo, 15 + halo),
        (20 + 2 * halo, 15 + halo),
        (20 + halo, 15 + halo),
        (20 + halo, 15 + halo),
    ]


def test_the_receptive_field_does_not_depend_on_the_weights():
    keras.utils.set_random_seed(0)
    network = strided(pool=True, skip=37, last="zeros")
    image = noise(50, 42, 3)
    upscale(network, image, tile=20)  # measures, where one branch has no effect yet
    randomized(network)
    np.testing.assert_allclose(
        upscale(network, image, tile=20), upscale(network, image, None), atol=5e-6
    )


def test_tiles_of_a_callable_equal_the_whole_image():
    keras.utils.set_random_seed(0)
    network = randomized(strided(pool=True))
    compiled = network.predict_on_batch
    image = noise(75, 62, 3)
    np.testing.assert_allclose(
        upscale(compiled, image, tile=20), upscale(compiled, image, None), atol=5e-6
    )


def test_warns_if_tiles_cannot_equal_the_whole_image():
    network, image = global_pooling(), noise(50, 40, 3)
    with pytest.warns(UserWarning, match="'attention' looks at the whole image"):
        upscale(network, image, tile=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        upscale(network, image, tile=50)


def test_the_receptive_field_is_measured_once(monkeypatch):
    measured = []
    monkeypatch.setattr(
        inference, "_receptive_field", lambda network, _: measured.append(1) or (1, 1)
    )
    network = convolutions(1)
    upscale(network, noise(5, 6, 3), tile=6)
    assert not measured
    for _ in range(2):
        upscale(network, noise(5, 6, 3), tile=4)
    assert measured == [1]


def test_all_window_sizes_share_one_graph():
    network = convolutions(2)
    for size in range(20, 29):
        upscale(network, noise(size, 31, 3), tile=11)
    assert network.predict_function.experimental_get_tracing_count() <= 3


def test_no_float_copy_of_the_image_is_made():
    image = np.zeros((600, 800, 3), "uint8")
    tracemalloc.start()
    result = upscale(models.nearest(2), image, tile=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - result.nbytes < 1.5e6  # as float32 the image has 5.8e6


def test_self_ensemble_is_the_mean_over_flips_and_turns():
    keras.utils.set_random_seed(0)
    network = randomized(convolutions(2))
    image = noise(9, 14, 3) / 2 + 0.25

    def run(x):
        return network.predict_on_batch(x[None])[0]

    results = []
    for turns in range(4):
        turned = np.rot90(image, turns)
        results.append(np.rot90(run(turned), -turns))
        results.append(np.rot90(np.flipud(run(np.flipud(turned))), -turns))
    expected = np.mean(results, axis=0).clip(0, 1)
    result = upscale(network, image, self_ensemble=True)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert np.abs(result - upscale(network, image)).max() > 1e-3


@pytest.mark.parametrize("build", [convolutions, strided])
def test_self_ensemble_by_tiles_equals_that_of_the_whole_image(build):
    keras.utils.set_random_seed(0)
    network = randomized(build())
    image = noise(51, 38, 3)
    np.testing.assert_allclose(
        upscale(network, image, tile=20, self_ensemble=True),
        upscale(network, image, tile=None, self_ensemble=True),
        atol=5e-6,
    )


def test_a_red_disc_on_transparent_black_stays_red():
    y, x = np.mgrid[:40, :50]
    alpha = np.clip(12.5 - np.hypot(y - 20, x - 24), 0, 1)
    image = np.zeros((40, 50, 4), "uint8")
    image[alpha > 0, 0] = 255
    image[..., 3] = np.round(alpha * 255)

    result = upscale(models.bicubic(4), image, tile=None)
    np.testing.assert_array_equal(result[result[..., 3] > 0][:, :3].max(0), [255, 0, 0])
    np.testing.assert_array_equal(result[result[..., 3] > 0][:, :3].min(0), [255, 0, 0])
    np.testing.assert_array_equal(
        result[..., 3], upscale(models.bicubic(4), image[..., 3])
    )
    np.testing.assert_array_equal(upscale(models.bicubic(4), image, tile=13), result)


def test_progress_is_called_after_each_tile():
    calls = []
    upscale(
        models.nearest(2),
        noise(5, 7),
        tile=4,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5), "int32"), "uint8, uint16 or float. Received: int32"),
        (np.zeros((4, 5, 2)), r"must have the shape .* Received: \(4, 5, 2\)"),
        (np.zeros((1, 4, 5, 3)), r"Received: \(1, 4, 5, 3\)"),
        (np.zeros((0, 5)), r"must have pixels. Received: \(0, 5\)"),
        (np.full((4, 5), 255.0), r"must be in \[0, 1\]. Received: \[255, 255\]"),
        (np.full((4, 5), np.nan), r"must be in \[0, 1\]. Received: \[nan, nan\]"),
    ],
)
def test_refuses_what_is_no_image(image, message):
    with pytest.raises(ValueError, match=message):
        upscale(models.nearest(2), image)


@pytest.mark.parametrize("tile", [-1, 2.5])
def test_refuses_tiles_without_pixels(tile):
    with pytest.raises(ValueError, match=f"number of pixels or None. Received: {tile}"):
        upscale(models.nearest(2), noise(4, 5), tile)


def test_refuses_networks_that_do_not_fit():
    def conv(channels, **kwargs):
        inputs = keras.Input((None, None, channels))
        return keras.Model(inputs, layers.Conv2D(channels, 3, **kwargs)(inputs))

    inputs = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="channels. Its input: .None, None, None, 2"):
        upscale(conv(2), noise(4, 5))
    with pytest.raises(
        ValueError, match="whole number of times .* It made .1, 2, 3, 3"
    ):
        upscale(conv(3), noise(4, 5))
    with pytest.raises(ValueError, match="must have one output"):
        upscale(keras.Model(inputs, [inputs, inputs * 2]), noise(4, 5))


def policies(model):
    return {
        layer.name: policies(layer)
        if isinstance(layer, keras.Model)
        else layer.dtype_policy.name
        for layer in model.layers
        if not isinstance(layer, layers.InputLayer)
    }


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.edsr(3, filters=4, num_blocks=1),
        lambda: models.espcn(3, bicubic_skip=True),
        lambda: models.fsrcnn(2),
        lambda: models.lapsrn(4, filters=4),
        lambda: models.on_luma(models.srcnn(2)),
    ],
)
def test_with_precision_is_what_the_builder_makes_under_that_policy(build):
    model = build()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        expected = build()
    finally:
        keras.config.set_dtype_policy("float32")
    expected.set_weights(model.get_weights())

    copied = with_precision(model, "mixed_bfloat16")
    assert policies(copied) == policies(expected)
    assert "mixed_bfloat16" in str(policies(copied))
    lr = noise(1, 9, 8, model.input_shape[-1])
    assert copied(lr).dtype == "float32"
    np.testing.assert_array_equal(copied(lr), expected(lr))
    assert np.abs(copied(lr) - model(lr)).max() > 0
    np.testing.assert_array_equal(with_precision(copied, "float32")(lr), model(lr))


def test_with_precision_leaves_the_model_alone():
    model = models.edsr(2, filters=4, num_blocks=1)
    model.compile("adam", lambda y_true, y_pred: y_true - y_pred)
    copied = with_precision(model, "mixed_bfloat16")
    assert set(policies(model).values()) == {"float32"}
    copied.layers[1].kernel.assign(copied.layers[1].kernel * 0)
    assert np.abs(model.layers[1].kernel).max() > 0


def test_upscales_files_and_folders(tmp_path):
    grey = np.arange(35, dtype="uint16").reshape(5, 7) * 1000
    color = np.arange(105, dtype="uint8").reshape(5, 7, 3)
    folder = tmp_path / "in"
    images.write(folder / "a.bmp", color)
    images.write(folder / "b.png", grey)
    images.write(folder / ".hidden.png", color)
    images.write(folder / "below" / "c.png", color)
    (folder / "notes.txt").write_text("no image")
    (folder / "z.png").write_text("broken")
    images.write(tmp_path / "single.JPG", color)
    (tmp_path / "empty").mkdir()

    steps = []
    paths = [
        tmp_path / "empty",
        folder,
        tmp_path / "none.png",
        str(tmp_path / "single.JPG"),
    ]
    results = list(
        upscale_files(
            models.nearest(2),
            paths,
            tmp_path / "out",
            progress=lambda path, done, total: steps.append((path.name, done, total)),
        )
    )
    done = [(path.name, target.name) for path, target, error in results if not error]
    assert done == [
        ("a.bmp", "a.png"),
        ("b.png", "b.png"),
        ("single.JPG", "single.png"),
    ]
    assert steps == [("a.bmp", 1, 1), ("b.png", 1, 1), ("single.JPG", 1, 1)]
    failed = [(path.name, str(error)) for path, target, error in results if not target]
    assert [name for name, _ in failed] == ["empty", "z.png", "none.png"]
    assert "no images in" in failed[0][1]
    assert "z.png" in failed[1][1]
    assert "none.png" in failed[2][1]

    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [t for _, t in done]
    result = images.read(tmp_path / "out" / "b.png")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, grey.repeat(2, axis=0).repeat(2, axis=1))


def test_no_file_overwrites_another(tmp_path):
    color = np.zeros((3, 4, 3), "uint8")
    for name in ("a.png", "b.png", "b.bmp", "c.bmp"):
        images.write(tmp_path / "in" / name, color)
    before = (tmp_path / "in" / "a.png").read_bytes()

    results = list(upscale_files(models.nearest(2), [tmp_path / "in"], tmp_path / "in"))
    assert [(p.name, target and target.name) for p, target, _ in results] == [
        ("a.png", None),
        ("b.bmp", None),
        ("b.png", None),
        ("c.bmp", "c.png"),
    ]
    for path, _, error in results[:3]:
        assert f"The result of {path} would overwrite the image" in str(error)
    assert (tmp_path / "in" / "a.png").read_bytes() == before

    (tmp_path / "in" / "b.png").rename(tmp_path / "in" / "c.png")
    path = tmp_path / "in" / "c.bmp"  # beside a c.png that was not given
    ((_, target, error),) = upscale_files(models.nearest(2), [path], path.parent)
    assert target is None and "c.png, in a folder of images" in str(error)
    (tmp_path / "in" / "c.png").rename(tmp_path / "in" / "b.png")

    paths = [tmp_path / "in" / "b.png", tmp_path / "in" / "b.bmp"]
    (_, first, _), (_, second, error) = upscale_files(
        models.nearest(2), paths, tmp_path / "out"
    )
    assert first == tmp_path / "out" / "b.png" and second is None
    assert f"would overwrite that of {paths[0]}" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 80 GiB"),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
    ],
)
def test_a_photo_too_large_for_the_memory_does_not_stop_the_others(tmp_path, error):
    for name, width in (("a.png", 8), ("b.png", 9), ("c.png", 8)):
        images.write(tmp_path / name, np.zeros((8, width, 3), np.uint8))

    def network(lr):
        if lr.shape[2] == 9:
            raise error
        return lr

    results = upscale_files(network, [tmp_path], tmp_path / "out", tile=0)
    errors = {path.name: error for path, _, error in results}
    assert errors["a.png"] is None and errors["c.png"] is None
    assert "b.png: no memory for the whole image at once" in str(errors["b.png"])


def test_other_errors_of_a_network_are_raised(tmp_path):
    images.write(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ZeroDivisionError):
        list(upscale_files(lambda lr: 1 / 0, [tmp_path], tmp_path / "out"))


def test_results_have_the_colour_profile_of_their_photos(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    images.write(tmp_path / "a.jpg", np.zeros((8, 8, 3), np.uint8), profile)
    ((_, target, _),) = upscale_files(models.nearest(2), [tmp_path], tmp_path / "out")
    assert images.color_profile(target) == profile


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_values_that_are_no_pixels_are_refused(value, dtype):
    image = np.zeros((4, 4, 3), dtype)
    with pytest.raises(ValueError, match="NaN or infinite values .* needs float32"):
        upscale(lambda lr: lr * 0 + value, image)
