import errno
import subprocess
import sys
import tracemalloc
import warnings

import keras
import numpy as np
import preloaded
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image, ImageCms

from sr_keras import image_files, images, models, weights
from sr_keras.inference import upscale, upscale_files
from sr_keras.layers import CropLike
from sr_keras.precision import with_precision
from sr_keras.receptive_field import ReceptiveField, measure


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


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), *((5, 7, n) for n in (1, 2, 3, 4))])
@pytest.mark.parametrize("channels", [1, 3])
def test_upscale_returns_the_kind_of_image_that_it_was_given(channels, shape, dtype):
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


def test_rgb_through_a_callable_of_one_channel_is_upscaled_on_luma():
    keras.utils.set_random_seed(0)
    core = randomized(models.espcn(3, filters=(4, 4)))

    def function(x):
        assert x.shape[-1] == 1
        return core.predict_on_batch(x)

    function.input_shape = (None, None, None, 1)
    image = noise(9, 11, 3)
    expected = upscale(core, image)
    np.testing.assert_allclose(upscale(function, image), expected, atol=1e-6)
    np.testing.assert_allclose(upscale(function, image, tile=5), expected, atol=1e-6)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(12, 3, padding="same")

    def call(self, inputs):
        return keras.ops.depth_to_space(self.conv(inputs), 2)


def same_size():
    return keras.Sequential([layers.Conv2D(3, 3, padding="same")])


@pytest.mark.parametrize(("build", "scale"), [(Subclassed, 2), (same_size, 1)])
def test_takes_models_without_a_graph(build, scale):
    keras.utils.set_random_seed(0)
    network, image = build(), noise(40, 25, 3)
    whole = upscale(network, image, tile=None)
    assert whole.shape == (40 * scale, 25 * scale, 3)
    network = build()  # not yet called when it is measured
    np.testing.assert_array_equal(upscale(network, image, tile=13).shape, whole.shape)
    np.testing.assert_allclose(
        upscale(network, image, tile=13), upscale(network, image, None), atol=5e-6
    )


def test_takes_names_and_files(tmp_path):
    image = noise(7, 9, 3)
    name = "espcn-x3-bsds"
    expected = upscale(models.load(name), image)
    np.testing.assert_array_equal(upscale(name, image), expected)
    path = tmp_path / "network.keras"
    models.load(name).save(path)
    np.testing.assert_array_equal(upscale(path, image), expected)
    with pytest.raises(ValueError, match="Did you mean 'espcn-x3-bsds'"):
        upscale("espcn-x3-bsd", image)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "P", "1", "LA", "CMYK"])
def test_a_pillow_image_gives_a_pillow_image(mode):
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(array[..., 0].astype("uint16") * 257)
    else:
        image = Image.fromarray(array).convert(mode)
    expected_mode = {"P": "RGB", "1": "L", "CMYK": "RGB"}.get(mode, mode)
    pixels = np.asarray(image if mode == "I;16" else image.convert(expected_mode))
    result = upscale(models.nearest(2), image, tile=3)
    assert isinstance(result, Image.Image) and result.mode == expected_mode
    expected = pixels.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(np.asarray(result), expected)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_the_transparent_colour_of_a_pillow_image_becomes_alpha(mode):
    colours = np.uint8([[[0] * 3, [255] * 3], [[255] * 3, [255] * 3]])
    image = Image.fromarray(colours).convert(mode)
    image.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
    if mode == "P":
        image.info["transparency"] = image.getpixel((0, 0))
    result = upscale(models.nearest(1), image)
    assert result.mode == ("LA" if mode in ("1", "L") else "RGBA")
    np.testing.assert_array_equal(np.asarray(result)[..., -1], colours[..., 0])


def test_a_16_bit_pillow_image_with_a_transparent_colour_is_refused():
    image = Image.fromarray(np.zeros((4, 5), np.uint16))
    image.info["transparency"] = 7
    with pytest.raises(ValueError, match=r"I;16 .*Received: .*'transparency'\]=7"):
        upscale(models.nearest(2), image)


def test_a_pillow_image_is_turned_upright_and_keeps_its_profile():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(np.arange(105, dtype="uint8").reshape(5, 7, 3))
    image.getexif()[0x0112] = 6  # to be turned by 90 degrees clockwise
    image.info["icc_profile"] = profile
    result = upscale(models.nearest(1), image)
    np.testing.assert_array_equal(np.asarray(result), np.rot90(np.asarray(image), -1))
    assert result.info["icc_profile"] == profile
    with pytest.raises(ValueError, match="8 bits.*Received: image.mode=F"):
        upscale(models.nearest(1), Image.fromarray(noise(4, 5)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_batch_gives_a_batch(channels):
    batch = np.random.default_rng(0).integers(0, 256, (3, 5, 7, channels), np.uint8)
    calls = []
    result = upscale(
        models.bicubic(2), batch, tile=5, progress=lambda *call: calls.append(call)
    )
    assert result.dtype == np.uint8
    expected = np.stack([upscale(models.bicubic(2), image) for image in batch])
    np.testing.assert_array_equal(result, expected)
    assert calls == [(i, 6) for i in range(1, 7)]


def test_a_network_that_returns_integers_is_refused():
    def eight_bits(x):
        return (x * 255).astype("uint8")

    with pytest.raises(ValueError, match=r"floats in \[0, 1\]. Received: uint8"):
        upscale(eight_bits, noise(4, 5, 3))


def test_warns_of_values_up_to_255():
    image = np.full((4, 5, 3), 0.5)
    with pytest.warns(UserWarning, match="values of up to 127.5: it is untrained, or"):
        upscale(lambda x: x * 255, image)


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({"scale": 2.5}, (23, 33)),
        ({"scale": np.float32(3)}, (27, 39)),
        ({"scale": 0.01}, (1, 1)),
        ({"size": (20, None)}, (20, 29)),
        ({"size": (None, 26)}, (18, 26)),
        ({"size": (31, 17)}, (31, 17)),
        ({}, (36, 52)),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_result_has_the_requested_size(asked, expected, dtype):
    image = noise(9, 13, 3)
    image = (image * 255).astype(dtype) if dtype == "uint8" else image
    result = upscale(models.nearest(4), image, **asked)
    assert result.shape == (*expected, 3) and result.dtype == dtype
    large = image.repeat(4, axis=0).repeat(4, axis=1)
    resized = images.resize(large, expected)
    np.testing.assert_allclose(
        result, np.clip(resized, 0, 1 if dtype != "uint8" else 255), atol=1e-6
    )
    batch = upscale(models.nearest(4), image[None], **asked)
    np.testing.assert_array_equal(batch[0], result)
    if dtype == "uint8":
        pillow = upscale(models.nearest(4), Image.fromarray(image), **asked)
        np.testing.assert_array_equal(np.asarray(pillow), result)


def test_large_images_are_resized_in_strips_without_seams():
    image = noise(700, 610, 3)
    result = upscale(models.nearest(1), image, scale=0.9)
    expected = images.resize(image, (630, 549)).clip(0, 1)
    np.testing.assert_array_equal(result, expected)


def test_networks_are_applied_one_after_another_until_the_size_is_reached():
    calls = []

    def network(scale):
        def call(x):
            calls.append((scale, x.shape[1:3]))
            return x.repeat(scale, axis=1).repeat(scale, axis=2)

        return call

    image = noise(5, 7, 3)
    chain = [network(4), network(2), network(3)]
    steps = []
    result = upscale(
        chain, image, scale=8, progress=lambda *step: steps.append(step), tile=0
    )
    np.testing.assert_array_equal(result, image.repeat(8, axis=0).repeat(8, axis=1))
    assert calls == [(4, (5, 7)), (2, (20, 28))]
    assert steps == [(1, 3), (2, 3)]
    assert upscale(chain, image, tile=0).shape == (120, 168, 3)
    with pytest.raises(ValueError, match=r"must not be empty. Received: model=\[\]"):
        upscale([], image)


def test_warns_if_the_networks_do_not_reach_the_size():
    with pytest.warns(UserWarning, match="reach 14x10 pixels; bicubic .* 21x15"):
        result = upscale(models.nearest(2), noise(5, 7), scale=3)
    assert result.shape == (15, 21)


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"scale": 0}, "positive number. Received: scale=0"),
        ({"scale": np.nan}, "positive number. Received: scale=nan"),
        ({"scale": "2"}, "positive number. Received: scale='2'"),
        ({"size": 100}, r"must be \(height, width\).* Received: size=100"),
        ({"size": (None, None)}, r"Received: size=\(None, None\)"),
        ({"size": (0, 5)}, r"Received: size=\(0, 5\)"),
        ({"scale": 2, "size": (4, 4)}, "exclude each other"),
    ],
)
def test_invalid_sizes_are_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        upscale(models.nearest(2), noise(5, 7), **asked)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Tiny sets for x2, x3 and x4, and two for x4 of which "good" scored better."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(weights, "FOLDER", folder)
    for scale, name, psnr in [(1, "a", 9), (2, "a", 1), (3, "a", 1), (4, "b", 1)]:
        model = models.espcn(scale, filters=(4, 4), channels=3)
        path = folder / f"espcn-x{scale}-{name}.weights.h5"
        weights.save(model, path, history={"validation": {"psnr_y": psnr}})


@pytest.mark.parametrize(
    "model, scale, expected",
    [
        (None, None, ["x4-b"]),
        (None, 0.5, ["x2-a"]),
        (None, 2, ["x2-a"]),
        (None, 2.5, ["x3-a"]),
        ("espcn", 4, ["x4-b"]),
        (None, 8, ["x4-b", "x2-a"]),
        (None, 9, ["x4-b", "x3-a"]),
        (None, 50, ["x4-b", "x4-b", "x4-b"]),
    ],
)
def test_chooses_among_the_shipped_networks(
    shipped, monkeypatch, model, scale, expected
):
    load, loaded = models.load, []

    def watch(source, scale=None, detail=None):
        loaded.append(source.removeprefix("espcn-"))
        return models.nearest(load(source, scale).scale)

    monkeypatch.setattr(models, "load", watch)
    image = noise(2, 3, 3)
    result = upscale(model, image, scale=scale)
    assert loaded == list(dict.fromkeys(expected))  # each once
    factor = scale or 4
    assert result.shape == (round(2 * factor), int(3 * factor + 0.5), 3)


def test_an_interpolation_has_the_next_whole_scale():
    image = noise(5, 7, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert upscale("bicubic", image, scale=4.2).shape == (21, 29, 3)
        assert upscale("nearest", image, size=(None, 7)).shape == (5, 7, 3)
    with pytest.raises(ValueError, match="so `scale` is needed"):
        upscale("bicubic", image)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [None, 2.5])
def test_a_tileable_texture_stays_tileable(channels, scale):
    keras.utils.set_random_seed(0)
    network = randomized(models.espcn(3, filters=(4, 4), channels=3))
    texture = noise(21, 34, channels) / 2 + 0.3
    result = upscale(network, texture, tile=16, scale=scale, tileable=True)
    nine = upscale(network, np.tile(texture, (3, 3, 1)), tile=None)
    middle = nine[63:-63, 102:-102]
    if scale is not None:
        size = [3 * n for n in result.shape[:2]]
        nine = images.resize(np.tile(middle, (3, 3, 1)), size)
        height, width = result.shape[:2]
        middle = nine[height:-height, width:-width]
    assert result.shape == middle.shape
    np.testing.assert_allclose(result, middle.clip(0, 1), atol=1e-5)
    plain = upscale(network, texture, scale=scale)
    assert np.abs(plain - result).max() > 0.01  # at the borders


def test_takes_callables():
    def double(x):
        assert x.shape == (1, 4, 6, 3) and x.dtype == np.float32
        return x.repeat(2, axis=1).repeat(2, axis=2)

    image = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
    expected = image.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(upscale(double, image), expected)


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.espcn(3, filters=(4, 4), bicubic_skip=True, channels=3),
        lambda: models.fsrcnn(3, 8, 4, 1),
        lambda: models.unet(1, filters=2, num_levels=3),
        lambda: with_precision(convolutions(), "mixed_bfloat16"),
    ],
)
def test_tiles_equal_the_whole_image(build):
    keras.utils.set_random_seed(0)
    network = randomized(build())
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


def test_windows_are_larger_than_tiles_by_the_receptive_field(monkeypatch):
    sizes = []

    def watch(window):
        sizes.append(window.shape[1:3])
        return network(window)

    network = convolutions(3)
    monkeypatch.setattr(network, "predict_on_batch", watch)
    upscale(network, noise(60, 30, 3), tile=20)
    assert sizes == [(23, 18), (23, 18), (26, 18), (26, 18), (23, 18), (23, 18)]


def test_an_explicit_halo_is_used_without_measuring():
    shapes = []

    def double(x):
        shapes.append(x.shape[1:3])
        return x.repeat(2, axis=1).repeat(2, axis=2)

    image = noise(60, 20, 3)
    for halo in (5, np.int64(5), ReceptiveField(5, 1)):
        upscale(double, image, tile=20, halo=halo)
        assert shapes == [(25, 20), (30, 20), (25, 20)]
        shapes.clear()
    upscale(double, image, tile=20, halo=ReceptiveField(5, 8))
    # from 20 - 5 down to a multiple of 8, and so from the end of the image
    assert shapes == [(28, 20), (44, 20), (28, 20)]


def test_an_explicit_halo_keeps_to_the_steps_of_a_graph():
    keras.utils.set_random_seed(0)
    network = randomized(strided(pool=True))
    image = noise(62, 54, 3)
    np.testing.assert_allclose(
        upscale(network, image, tile=21, halo=30),
        upscale(network, image, tile=None),
        atol=5e-6,
    )


@pytest.mark.parametrize("halo", [-1, 2.5, True, ReceptiveField(-1, 1)])
def test_an_invalid_halo_is_refused(halo):
    with pytest.raises(ValueError, match="`halo` must be a non-negative integer"):
        upscale(lambda x: x, noise(9, 9), tile=4, halo=halo)
    with pytest.raises(ValueError, match=r"\(halo, step\). Received: halo=\(1, 2, 3\)"):
        upscale(lambda x: x, noise(9, 9), tile=4, halo=(1, 2, 3))
    with pytest.raises(ValueError, match="step must be a positive .* Received: 0"):
        upscale(lambda x: x, noise(9, 9), tile=4, halo=ReceptiveField(1, 0))


@pytest.mark.parametrize("model", [[None, lambda x: x], 4, [4]])
def test_objects_that_are_not_models_are_refused(model):
    with pytest.raises(ValueError, match="must be a name, a path, .* Received: model="):
        upscale(model, noise(9, 9))


def test_warns_if_an_exact_halo_would_be_very_large():
    inputs = keras.Input((None, None, 3))
    network = keras.Model(
        inputs,
        layers.Conv2D(3, 3, padding="same", dilation_rate=200)(inputs),
        name="far",
    )
    image = noise(300, 20, 3)
    whole = upscale(network, image, tile=None)
    with pytest.warns(UserWarning, match="'far' looks 200 pixels far.*Pass halo=200"):
        assert np.abs(upscale(network, image, tile=30) - whole).max() > 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = upscale(network, image, tile=30, halo=200)
    np.testing.assert_allclose(result, whole, atol=5e-6)


def test_a_measurement_does_not_depend_on_the_weights():
    keras.utils.set_random_seed(0)
    network = strided(pool=True, skip=37, last="zeros")
    before = measure(network)  # where one branch has no effect yet
    field = measure(keras.models.clone_model(randomized(network)))
    assert before == field and field.halo >= 18


def test_tiles_of_a_callable_equal_the_whole_image():
    keras.utils.set_random_seed(0)
    network = randomized(strided(pool=True))
    compiled = network.predict_on_batch
    image = noise(75, 62, 3)
    np.testing.assert_allclose(
        upscale(compiled, image, tile=20), upscale(compiled, image, None), atol=5e-6
    )


def test_many_networks_and_sizes_cause_no_warning_about_retracing():
    # in a process of its own, for TensorFlow warns twice at most
    program = """
import keras
import numpy as np
import sr_keras as sr

for _ in range(6):
    for width in (8, 9):
        network = keras.Sequential([keras.layers.UpSampling2D(2)])
        sr.upscale(network, np.zeros((6, width, 3), "uint8"))
"""
    command = [*preloaded.python(), "-c", program]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "retracing" not in result.stderr


def test_warns_if_tiles_cannot_equal_the_whole_image():
    network, image = global_pooling(), noise(50, 40, 3)
    with pytest.warns(UserWarning, match="'attention' looks at the whole image"):
        upscale(network, image, tile=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        upscale(network, image, tile=50)


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
        (np.zeros((4, 5, 5)), r"must have the shape .* Received: \(4, 5, 5\)"),
        (np.zeros((1, 4, 5, 5)), r"Received: \(4, 5, 5\)"),
        (np.zeros((0, 4, 5, 3)), r"Received: \(0, 4, 5, 3\)"),
        (np.zeros((1, 1, 4, 5, 3)), r"Received: \(1, 1, 4, 5, 3\)"),
        (np.zeros((0, 5)), r"must have pixels. Received: \(0, 5\)"),
        (np.full((4, 5), 255.0), r"must be in \[0, 1\]. Received: \[255, 255\]"),
        (np.full((4, 5), np.nan), r"must be in \[0, 1\]. Received: \[nan, nan\]"),
    ],
)
def test_arrays_that_are_not_images_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        upscale(models.nearest(2), image)


@pytest.mark.parametrize("tile", [-1, 2.5, True])
def test_an_invalid_tile_is_refused(tile):
    message = f"positive integer, 0, None or .auto.. Received: tile={tile}"
    with pytest.raises(ValueError, match=message):
        upscale(models.nearest(2), noise(4, 5), tile)


@pytest.mark.parametrize(
    ("window", "halo", "tile", "num_tiles"),
    [
        (None, 5, "auto", 4),  # 300 = 2 x 150
        (336, 5, "auto", 4),
        (150, 5, "auto", 9),  # 300 / (150 - 2 * 5) is more than 2
        (150, 60, "auto", 9),  # at least 128
        (150, 5, 256, 4),  # asked for
        (150, 5, None, 1),
    ],
)
def test_tiles_are_smaller_where_an_engine_needs_it(window, halo, tile, num_tiles):
    class Engine:
        largest_window = window

        def __call__(self, image):
            return image

    calls = []
    image = noise(300, 300, 3)
    upscale(Engine(), image, tile, progress=lambda *call: calls.append(call), halo=halo)
    assert calls[-1] == (num_tiles, num_tiles)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_tiles_may_be_integers_of_numpy(dtype):
    image = noise(9, 7, 3)
    tile = np.array(4, dtype)[()]
    result = upscale(models.nearest(2), image, tile)
    np.testing.assert_array_equal(result, image.repeat(2, axis=0).repeat(2, axis=1))


def test_networks_that_do_not_fit_are_refused():
    def conv(channels, **kwargs):
        inputs = keras.Input((None, None, channels))
        return keras.Model(inputs, layers.Conv2D(channels, 3, **kwargs)(inputs))

    inputs = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="1 or 3 channels. Received: input shape"):
        upscale(conv(2), noise(4, 5))
    with pytest.raises(
        ValueError, match="integer multiple .* Received: .1, 2, 3, 3. for .*1, 4, 5, 3"
    ):
        upscale(conv(3), noise(4, 5))
    with pytest.raises(ValueError, match="must have one output"):
        upscale(keras.Model(inputs, [inputs, inputs * 2]), noise(4, 5))


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
        ("b.png", "b.png.png"),
        ("c.bmp", "c.png"),
    ]
    for path, _, error in results[:2]:
        assert f"The result of {path} would overwrite the image" in str(error)
    assert (tmp_path / "in" / "a.png").read_bytes() == before

    path = tmp_path / "in" / "c.bmp"  # beside a c.png that was not given
    ((_, target, error),) = upscale_files(models.nearest(2), [path], path.parent)
    assert target is None and "c.png, in a folder of images" in str(error)


def test_images_of_the_same_name_have_results_of_their_own(tmp_path):
    paths = []
    for i, name in enumerate(["a/cat.png", "a/cat.bmp", "b/cat.bmp", "c/cat.bmp"]):
        paths.append(tmp_path / name)
        images.write(paths[-1], np.full((3, 4, 3), 50 * i, "uint8"))
    results = list(upscale_files(models.nearest(1), paths, tmp_path / "out"))
    assert [(target.name, images.read(target).max()) for _, target, _ in results] == [
        ("cat.png", 0),
        ("cat.bmp.png", 50),
        ("cat.bmp.2.png", 100),
        ("cat.bmp.3.png", 150),
    ]


def test_existing_results_are_skipped_on_request(tmp_path):
    out = tmp_path / "out"
    for name in ("a.png", "b.png"):
        images.write(tmp_path / "in" / name, np.zeros((3, 4, 3), "uint8"))
    images.write(out / "a.png", np.ones((3, 4, 3), "uint8"))
    calls = []

    def network(x):
        calls.append(x.shape)
        return x

    results = list(upscale_files(network, tmp_path / "in", out, skip_existing=True))
    assert [(p.name, t.name, e) for p, t, e in results] == [
        ("a.png", "a.png", None),
        ("b.png", "b.png", None),
    ]
    assert len(calls) == 1 and images.read(out / "a.png").max() == 1
    assert len(list(upscale_files(network, tmp_path / "in", out))) == 2
    assert len(calls) == 3 and images.read(out / "a.png").max() == 0


def test_images_of_a_folder_that_are_left_out_are_reported(tmp_path):
    photo = Image.fromarray(np.zeros((3, 4, 3), np.uint8))
    photo.save(tmp_path / "a.jfif", "JPEG")
    photo.save(tmp_path / "b.gif")
    expected = {"a.jfif": True, "b.gif": True, "c.HEIC": False, "d.dng": False}
    if "AVIF" in Image.registered_extensions().values():
        photo.save(tmp_path / "e.avif")
        expected["e.avif"] = True
    for name in ("c.HEIC", "d.dng", "notes.txt", "f.mp4", "g.svg"):
        (tmp_path / name).write_bytes(b"anything")
    results = list(upscale_files(models.nearest(2), tmp_path, tmp_path / "out"))
    assert {path.name: error is None for path, _, error in results} == expected
    assert "d.dng is a raw file" in str(results[3][2])


def test_the_folder_is_checked_before_anything_is_computed(tmp_path):
    images.write(tmp_path / "a.png", np.zeros((3, 4, 3), "uint8"))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="Cannot write to the folder .*file"):
        upscale_files(lambda x: 1 / 0, tmp_path, tmp_path / "file")


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    images.write(tmp_path / "a.png", np.zeros((3, 4, 3), "uint8"))
    monkeypatch.setattr(image_files, "_encode", write)
    ((_, target, error),) = upscale_files(models.nearest(2), tmp_path, tmp_path / "out")
    assert target is None and isinstance(error, OSError)
    assert error.filename == str(tmp_path / "out" / "a.png")
    assert "[Errno 28] No space left on device" in str(error)


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
def test_nan_and_infinite_values_are_refused(value, dtype):
    image = np.zeros((4, 4, 3), dtype)
    with pytest.raises(ValueError, match="NaN or infinite values: .* needs float32"):
        upscale(lambda lr: lr * 0 + value, image)


@pytest.fixture
def animation(tmp_path):
    """Three frames, as a function that writes them as a GIF, WebP or APNG."""

    def save(name):
        frames = [np.full((5, 7, 3), 80 * i, np.uint8) for i in range(3)]
        durations = [50, 100, 200]
        image_files.write(tmp_path / "in" / name, frames, durations=durations, loop=2)
        return tmp_path / "in" / name

    return save


@pytest.mark.parametrize(
    "name, format, expected",
    [
        ("a.gif", None, "a.gif"),
        ("a.webp", None, "a.webp"),
        ("a.png", None, "a.png"),
        ("a.gif", "webp", "a.webp"),
        ("a.webp", "png", "a.png"),
    ],
)
def test_animations_stay_animations(tmp_path, animation, name, format, expected):
    steps = []
    ((_, target, error),) = upscale_files(
        models.nearest(2),
        animation(name),
        tmp_path / "out",
        format=format,
        progress=lambda path, done, total: steps.append((path.name, done, total)),
    )
    assert error is None and target.name == expected
    with image_files.ImageFile(target) as file:
        levels = [np.unique(file.read(i)).tolist() for i in range(3)]
        assert levels == [[0], [80], [160]]
        assert file.durations == [50, 100, 200] and file.loop == 2
        assert file.read().shape == (10, 14, 3)
    assert steps == [(name, i, 3) for i in (1, 2, 3)]


def test_what_a_format_cannot_hold_is_reported_before_anything_is_computed(
    tmp_path, animation
):
    pages = [np.zeros((5, 7, 3), np.uint8), np.zeros((4, 6), np.uint8)]
    image_files.write(tmp_path / "in/b.tif", pages, num_frames=2)
    images.write(tmp_path / "in/c.png", np.zeros((5, 7, 4), np.uint8))
    animation("a.gif")
    results = upscale_files(
        lambda x: 1 / 0, tmp_path / "in", tmp_path / "out", format="jpeg"
    )
    errors = [str(error) for _, _, error in results]
    assert "a.gif has 3 frames, which only files of the format png or web" in errors[0]
    assert "b.tif has 2 pages, which only files of the format tiff can" in errors[1]
    assert "c.jpg: images with alpha need the suffix" in errors[2]
    with pytest.raises(ValueError, match="`format` must be \"png\", .*'bmp'"):
        upscale_files(models.nearest(2), [], tmp_path, format="bmp")


class Function:
    """A function that knows its scale, and must not be called."""

    scale = 4

    def __call__(self, x):
        raise AssertionError("The size was not checked.")


@pytest.mark.parametrize(
    ("networks", "options"),
    [
        (Function(), {}),
        ([Function(), Function()], {"scale": 4}),
        (Function(), {"size": (None, 16800)}),
        (None, {}),
    ],
)
def test_a_result_too_large_for_its_format_is_refused_before_it_is_computed(
    tmp_path, monkeypatch, networks, options
):
    monkeypatch.setattr(weights, "reaching", lambda *_: ["espcn-x3-bsds"])
    monkeypatch.setattr(models, "load", lambda *_: Function())
    images.write(tmp_path / "a.png", np.zeros((2, 4200), np.uint8))
    ((_, _, error),) = upscale_files(
        networks, tmp_path / "a.png", tmp_path / "out", format="webp", **options
    )
    assert "at most 16383 pixels in .webp files. Received: 16800x8" in str(error)
    assert list((tmp_path / "out").iterdir()) == []


def test_functions_that_do_not_know_their_scale_write_every_format(tmp_path):
    images.write(tmp_path / "a.png", np.zeros((3, 4), np.uint8))
    ((_, target, error),) = upscale_files(
        lambda x: x, tmp_path / "a.png", tmp_path / "out", format="webp"
    )
    assert error is None and images.read(target).shape == (3, 4, 3)


def test_pages_stay_pages(tmp_path):
    pages = [
        np.random.default_rng(0).integers(0, 65536, (5, 7, 3), np.uint16),
        np.random.default_rng(1).integers(0, 256, (4, 6), np.uint8),
    ]
    image_files.write(tmp_path / "a.tif", pages, num_frames=2)
    ((_, target, error),) = upscale_files(
        models.nearest(2), tmp_path / "a.tif", tmp_path / "out"
    )
    assert error is None and target.name == "a.tif"
    with image_files.ImageFile(target) as file:
        for i, page in enumerate(pages):
            expected = page.repeat(2, axis=0).repeat(2, axis=1)
            np.testing.assert_array_equal(file.read(i), expected)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_16_bits_become_8_in_formats_without_them(tmp_path, format):
    images.write(tmp_path / "a.png", np.full((5, 7, 3), 128 * 257, np.uint16))
    ((_, target, error),) = upscale_files(
        models.nearest(2), tmp_path / "a.png", tmp_path / "out", format=format
    )
    assert error is None
    np.testing.assert_array_equal(images.read(target), np.full((10, 14, 3), 128))


def test_grey_with_alpha_and_exif_are_kept_in_files(tmp_path):
    pixels = np.zeros((5, 7, 2), np.uint8)
    pixels[:, 3:, 1] = 255
    exif = Image.Exif()
    exif[0x8298], exif[0x0112] = "Ann", 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif, dpi=(300, 300))
    ((_, target, _),) = upscale_files(
        models.nearest(2), tmp_path / "a.png", tmp_path / "out", scale=1.5
    )
    result = Image.open(target)
    assert (result.mode, result.size) == ("LA", (8, 11))
    assert dict(result.getexif()) == {0x8298: "Ann"}
    np.testing.assert_allclose(result.info["dpi"], 300, atol=0.01)


def test_the_limit_of_pixels_holds_for_files(tmp_path):
    images.write(tmp_path / "a.png", np.zeros((5, 7, 3), np.uint8))
    for limit, is_fine in ((34, False), (35, True), (0, True)):
        ((_, _, error),) = upscale_files(
            models.nearest(1), tmp_path, tmp_path / "out", max_pixels=limit
        )
        assert (error is None) == is_fine


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("options", [{}, {"tileable": True}, {"scale": 1.5}])
def test_a_large_image_is_written_while_it_is_computed(
    suffix, options, tmp_path, monkeypatch
):
    image = np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8)
    images.write(tmp_path / "a.png", image)
    monkeypatch.setattr("sr_keras.inference._STREAM_ABOVE", 3_000)
    network = models.bicubic(2)
    calls = []
    ((_, target, error),) = upscale_files(
        network,
        tmp_path / "a.png",
        tmp_path / "out",
        tile=16,
        format=suffix,
        progress=lambda path, *counts: calls.append(counts),
        **options,
    )
    assert error is None
    expected = upscale(network, image, tile=16, **options)
    np.testing.assert_array_equal(images.read(target), expected)
    assert calls[-1][0] == calls[-1][1] == len(calls)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux counts")
def test_memory_does_not_hold_the_result_of_a_large_image(tmp_path):
    """5000x5000 pixels become 10000x10000: 300 MB, and as much for an encoder."""
    image = np.zeros((5000, 5000, 3), np.uint8)
    image[::64] = 200
    images.write(tmp_path / "a.png", image)
    code = f"""
import resource
from sr_keras import inference, models, upscale
network = models.nearest(2)
upscale(network, inference.np.zeros((1024, 1024, 3), "uint8"), 1024)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
((_, _, error),) = inference.upscale_files(
    network, {str(tmp_path / "a.png")!r}, {str(tmp_path / "out")!r}, tile=1024)
assert error is None, error
print(peak() - before)
"""
    run = [sys.executable, "-c", code]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert float(printed) < 350  # the image needs 75 MB as an array, 100 in Pillow
    with Image.open(tmp_path / "out" / "a.png") as result:
        assert result.size == (10_000, 10_000)
