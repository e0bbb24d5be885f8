import json
import math
import pathlib
import signal
import subprocess
import sys
import warnings

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from sr_keras import images, metrics, models, upscale
from sr_keras.features import FeatureExtractor
from sr_keras.training.adversarial import (
    GAN,
    RelativisticGAN,
    interpolate_weights,
    srfeat_discriminator,
)

FOLDER = pathlib.Path(__file__).parent
LOG_2 = math.log(2)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def float16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def small_generator(scale=2):
    return models.espcn(scale, filters=(4, 4), channels=3)


def small_discriminator():
    return models.patchgan(filters=2, num_layers=1)


def verdict(value, name="verdict"):
    """A discriminator that returns one logit, whatever it sees."""
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(inputs)
    constant = keras.initializers.Constant(value)
    outputs = layers.Dense(1, kernel_initializer="zeros", bias_initializer=constant)(x)
    return keras.Model(inputs, outputs, name=name)


def sgd(rate=0.1, **kwargs):
    return keras.optimizers.SGD(rate, **kwargs)


def batch(size=2, height=8, width=12, scale=2):
    hr = np.random.default_rng(0).integers(
        0, 256, (size, scale * height, scale * width, 3), dtype=np.uint8
    )
    return hr[:, ::scale, ::scale], hr


def compiled(generator=None, discriminator=None, kind=GAN, **kwargs):
    gan = kind(generator or small_generator(), discriminator or small_discriminator())
    # eagerly, because graphs of single steps take long to make
    options = {"terms": [(1.0, "l1")], "run_eagerly": True, **kwargs}
    gan.compile(
        options.pop("generator_optimizer", sgd()),
        options.pop("discriminator_optimizer", sgd()),
        **options,
    )
    return gan


def step(gan, **kwargs):
    return gan.train_on_batch(*batch(**kwargs), return_dict=True)


def changed(network, before):
    return any(
        not np.array_equal(a, b)
        for a, b in zip(network.get_weights(), before, strict=True)
    )


# What is minimized


@pytest.mark.parametrize(
    ("value", "adversarial", "discriminator"),
    [
        (0.0, LOG_2, 2 * LOG_2),
        # sigmoid(log 3) = 3/4
        (math.log(3), -math.log(3 / 4), -math.log(3 / 4) - math.log(1 / 4)),
    ],
)
def test_losses_of_a_fixed_verdict(value, adversarial, discriminator):
    gan = compiled(
        discriminator=verdict(value),
        terms=[(0.5, "l1"), (2.0, "l2")],
        adversarial_weight=10.0,
    )
    lr, hr = (images.to_float(x) for x in batch())
    sr = gan.generator(lr).numpy()
    logs = step(gan)
    l1, l2 = np.mean(np.abs(hr - sr)), np.mean((hr - sr) ** 2)
    assert logs["l1"] == pytest.approx(l1, rel=1e-5)
    assert logs["l2"] == pytest.approx(l2, rel=1e-5)
    assert logs["adversarial_loss"] == pytest.approx(adversarial, rel=1e-5)
    assert logs["discriminator_loss"] == pytest.approx(discriminator, rel=1e-5)
    expected = 0.5 * l1 + 2.0 * l2 + 10.0 * adversarial
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_relativistic_losses_compare_with_the_mean_of_the_other_kind():
    gan = compiled(kind=RelativisticGAN)
    real, fake = ops.array([[1.0], [3.0]]), ops.array([[0.0], [-2.0]])
    # real - mean(fake) = 2, 4; fake - mean(real) = -2, -4
    softplus = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-4))) / 2
    assert float(gan.discriminator_loss(real, fake)) == pytest.approx(
        2 * softplus, rel=1e-5
    )
    # for the generator the roles are exchanged: -2, -4 should be positive
    gan.judge = lambda x, lr: [x]
    wrong = softplus + 3
    assert float(gan.adversarial_loss(None, real, fake)) == pytest.approx(
        2 * wrong, rel=1e-5
    )


def test_relativistic_verdicts_that_are_all_equal_are_a_guess():
    logs = step(compiled(discriminator=verdict(5.0), kind=RelativisticGAN))
    assert logs["adversarial_loss"] == pytest.approx(2 * LOG_2, rel=1e-5)
    assert logs["discriminator_loss"] == pytest.approx(2 * LOG_2, rel=1e-5)


def test_outputs_of_a_discriminator_are_added_up():
    inputs = keras.Input((None, None, 3))
    both = [verdict(0.0, "pixels")(inputs), verdict(0.0, "features")(inputs)]
    logs = step(compiled(discriminator=keras.Model(inputs, both)))
    assert logs["adversarial_loss"] == pytest.approx(2 * LOG_2, rel=1e-5)
    assert logs["discriminator_loss"] == pytest.approx(4 * LOG_2, rel=1e-5)


def test_srfeat_judges_pixels_and_features(data_dir, tmp_path):
    discriminator = srfeat_discriminator(32, filters=2)
    gan = compiled(discriminator=discriminator)
    before = [w.numpy() for w in discriminator.trainable_variables]
    lr, hr = batch(height=16, width=16)
    features = FeatureExtractor(["VGG54"])(hr)[0] / 12.75
    on_features = discriminator.get_layer("feature_discriminator")(features)
    np.testing.assert_allclose(
        discriminator(images.to_float(hr))[1], on_features, rtol=1e-4, atol=1e-6
    )
    gan.train_on_batch(lr, hr)
    after = discriminator.trainable_variables
    assert all(np.any(w != old) for w, old in zip(after, before, strict=True))
    gan.save_weights(tmp_path / "gan.weights.h5")
    assert (tmp_path / "gan.weights.h5").stat().st_size < 1e6  # without VGG19


def test_a_discriminator_with_two_inputs_sees_the_lr_image():
    image, lr = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    x = layers.Concatenate()([image, layers.UpSampling2D(2)(lr)])
    outputs = models.patchgan(filters=2, num_layers=1, channels=6)(x)
    gan = compiled(discriminator=keras.Model([image, lr], outputs))
    lr, hr = (ops.convert_to_tensor(images.to_float(x)) for x in batch())
    (fits,), (other,) = gan.judge(hr, lr), gan.judge(hr, 1 - lr)
    assert fits.shape == (2, 8, 12, 1)
    assert np.abs(fits - other).max() > 1e-3
    step(gan)


def test_objectives_can_be_overridden():
    class Hinge(GAN):
        def discriminator_loss(self, real, fake):
            return keras.losses.Hinge()(ops.ones_like(real), real) + (
                keras.losses.Hinge()(-ops.ones_like(fake), fake)
            )

        def generator_loss(self, lr, hr, sr):
            self.track("adversarial_loss", 7.0)
            return super().generator_loss(lr, hr, sr) * 0.0 + 3.0

    logs = step(compiled(discriminator=verdict(0.25), kind=Hinge))
    assert logs["discriminator_loss"] == pytest.approx(0.75 + 1.25, rel=1e-5)
    assert logs["loss"] == 3.0


# The networks of the papers


@pytest.mark.parametrize(
    ("generator", "discriminator", "kind"),
    [
        (
            lambda: models.srresnet(2, filters=4, num_blocks=1),
            lambda: models.srgan_discriminator(16, filters=2),
            GAN,
        ),
        (
            lambda: models.rrdb(2, filters=4, num_blocks=1, growth=2),
            lambda: models.srgan_discriminator(16, filters=2, spectral_norm=True),
            RelativisticGAN,
        ),
        (
            lambda: models.unet(1, filters=2, num_levels=2),
            lambda: models.patchgan(filters=2, num_layers=1, spectral_norm=True),
            GAN,
        ),
        (
            lambda: models.unet(1, filters=2, num_levels=2, batch_norm=True),
            lambda: models.unet_discriminator(filters=2),
            GAN,
        ),
    ],
    ids=["srgan", "esrgan", "patchgan", "unet-critic"],
)
def test_a_step_trains_all_weights_of_both(generator, discriminator, kind):
    generator, discriminator = generator(), discriminator()
    adam = keras.optimizers.Adam
    gan = compiled(
        generator,
        discriminator,
        kind,
        generator_optimizer=adam(1e-2),
        discriminator_optimizer=adam(1e-2),
        terms=[(1.0, "l2")],
    )
    before = {w.path: w.numpy() for w in gan.trainable_variables}
    step(gan, width=8, scale=models.scale_of(generator))
    same = [w.path for w in gan.trainable_variables if np.all(w == before[w.path])]
    # the same bias on photos and fakes does not change how they compare
    assert same == (["logits/bias"] if kind is RelativisticGAN else [])


def test_the_generator_learns_from_the_discriminator_alone():
    # the verdict is the mean brightness, so a brighter image is more real
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(inputs)
    discriminator = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(x))
    discriminator.trainable = False
    gan = compiled(
        discriminator=discriminator, terms=[(0.0, "l1")], adversarial_weight=1.0
    )
    lr, hr = batch()
    before = gan.predict(lr / 255.0, verbose=0).mean()
    for _ in range(5):
        gan.train_on_batch(lr, hr)
    assert gan.predict(lr / 255.0, verbose=0).mean() > before + 0.05


def test_a_frozen_network_stays_as_it_is():
    generator = small_generator()
    generator.trainable = False
    gan = compiled(generator)
    before = generator.get_weights(), gan.discriminator.get_weights()
    step(gan)
    assert not changed(generator, before[0])
    assert changed(gan.discriminator, before[1])


# Rhythm and optimizers


def updates(gan, num_steps):
    """How often each network was trained after each step."""
    found = []
    for _ in range(num_steps):
        step(gan)
        found.append([int(optimizer.iterations) for optimizer, _ in gan.optimizers()])
    return found


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_discriminator_steps_for_one_of_the_generator(run_eagerly):
    gan = compiled(discriminator_steps=3, run_eagerly=run_eagerly)
    assert updates(gan, 4) == [[1, 1], [1, 2], [1, 3], [2, 4]]


def test_the_generator_waits_for_a_better_discriminator():
    # guessing costs 1.386
    options = {"discriminator": verdict(0.0), "discriminator_optimizer": sgd(0.0)}
    gan = compiled(**options, generator_waits_above=1.38)
    assert updates(gan, 2) == [[0, 1], [0, 2]]
    options["discriminator_optimizer"] = sgd(0.0)
    gan = compiled(**options, generator_waits_above=1.39)
    assert updates(gan, 2) == [[1, 1], [2, 2]]


def test_the_discriminator_waits_for_a_better_generator():
    gan = compiled(
        discriminator=verdict(0.0),
        discriminator_waits_below=1.39,
        discriminator_steps=2,
    )
    assert updates(gan, 3) == [[1, 0], [1, 0], [2, 0]]


def test_a_gradient_is_clipped_by_its_own_optimizer():
    gan = compiled(generator_optimizer=sgd(1.0, global_clipnorm=1e-3))
    networks = [gan.generator, gan.discriminator]
    before = [[w.numpy() for w in n.trainable_variables] for n in networks]
    step(gan)
    lengths = [
        math.sqrt(
            sum(
                np.sum((w.numpy() - old) ** 2)
                for w, old in zip(n.trainable_variables, weights, strict=True)
            )
        )
        for n, weights in zip(networks, before, strict=True)
    ]
    assert lengths[0] == pytest.approx(1e-3, rel=1e-3)
    assert lengths[1] > 2e-3


class Faint(GAN):
    """A GAN with gradients of about 1e-8, which float16 rounds to 0."""

    def generator_loss(self, lr, hr, sr):
        return 1e-5 * super().generator_loss(lr, hr, sr)

    def discriminator_loss(self, real, fake):
        return 1e-5 * super().discriminator_loss(real, fake)


def first_kernels_change(optimizer):
    def conv(filters, **kwargs):
        return layers.Conv2D(filters, 3, padding="same", **kwargs)

    inputs = keras.Input((None, None, 3))
    tail = conv(3, dtype="float32")
    generator = keras.Model(inputs, layers.UpSampling2D(2)(tail(conv(4)(inputs))))
    inputs = keras.Input((None, None, 3))
    discriminator = keras.Model(inputs, conv(1, dtype="float32")(conv(4)(inputs)))
    gan = compiled(
        generator,
        discriminator,
        Faint,
        generator_optimizer=optimizer(),
        discriminator_optimizer=optimizer(),
    )
    kernels = [network.layers[1].kernel for network in (generator, discriminator)]
    before = [kernel.numpy() for kernel in kernels]
    step(gan)
    return [
        np.abs(kernel.numpy() - old).max()
        for kernel, old in zip(kernels, before, strict=True)
    ]


def test_losses_are_scaled_in_float16(float16):
    def unscaled():
        return keras.optimizers.LossScaleOptimizer(sgd(1e3), initial_scale=1.0)

    assert first_kernels_change(unscaled) == [0, 0]
    scaled = first_kernels_change(lambda: sgd(1e3))
    assert min(scaled) > 1e-5


def test_scaled_gradients_are_those_of_float32(float16):
    scaled = first_kernels_change(lambda: sgd(1e3))
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    np.testing.assert_allclose(
        scaled, first_kernels_change(lambda: sgd(1e3)), rtol=0.02
    )


def test_float32_losses_are_not_scaled():
    gan = compiled()
    for optimizer, _ in gan.optimizers():
        assert not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def test_one_network_in_float16_is_enough_for_scaling(float16):
    discriminator = small_discriminator()
    keras.config.set_dtype_policy("float32")
    gan = compiled(discriminator=discriminator)
    for optimizer, _ in gan.optimizers():
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


# The generator's place


def test_the_model_stands_for_its_generator():
    gan = compiled()
    lr, _ = batch()
    expected = gan.generator(images.to_float(lr))
    np.testing.assert_array_equal(gan(images.to_float(lr)), expected)
    np.testing.assert_allclose(gan.predict(lr / 255.0, verbose=0), expected, atol=1e-6)
    photo = np.random.default_rng(1).integers(0, 256, (41, 67, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        upscale(gan, photo, tile=24), upscale(gan.generator, photo, tile=None)
    )


def test_inputs_are_not_rounded_under_a_mixed_policy(float16):
    inputs = keras.Input((None, None, 3))
    outputs = layers.UpSampling2D(2, dtype="float32")(inputs)
    gan = GAN(keras.Model(inputs, outputs), small_discriminator())
    lr = np.full((1, 3, 5, 3), 0.3, "float32")
    assert np.all(gan(lr) == np.float32(0.3))


def test_evaluate_reports_the_scores_of_the_generator():
    gan = compiled(metrics=[metrics.PSNR()])
    lr, hr = batch()
    scores = gan.evaluate(lr, hr, verbose=0, return_dict=True)
    sr = gan.generator(images.to_float(lr))
    assert scores.keys() == {"l1", "psnr"}
    expected = metrics.psnr(images.to_float(hr), sr).numpy().mean()
    assert scores["psnr"] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(gan.generator(images.to_float(lr)), sr)


def test_survives_a_round_trip_in_safe_mode(tmp_path):
    gan = RelativisticGAN(small_generator(), small_discriminator())
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras", safe_mode=True)
    assert type(loaded) is RelativisticGAN
    lr, hr = (images.to_float(x) for x in batch())
    np.testing.assert_array_equal(loaded(lr), gan(lr))
    np.testing.assert_array_equal(loaded.discriminator(hr), gan.discriminator(hr))


# Collapse


def test_a_discriminator_that_is_always_right_is_reported(monkeypatch):
    monkeypatch.setattr(GAN, "COLLAPSED_STEPS", 3)

    class Right(GAN):
        def discriminator_loss(self, real, fake):
            return super().discriminator_loss(real, fake) * 0.0 + 0.009

    lr, hr = batch(size=4)
    gan = compiled(kind=Right)
    with pytest.warns(UserWarning, match="Collapse at step 3: .* below 0.01 for 3"):
        gan.fit(lr, hr, batch_size=1, epochs=1, verbose=0)
    assert int(gan.collapsed_steps) == 4


def test_a_loss_that_is_nan_is_reported_at_once():
    class Broken(GAN):
        def discriminator_loss(self, real, fake):
            return super().discriminator_loss(real, fake) * np.nan

    with pytest.warns(UserWarning, match="step 1: discriminator_loss became NaN"):
        compiled(kind=Broken).fit(*batch(), batch_size=1, verbose=0)


def test_a_good_step_ends_the_count_and_nothing_is_reported(monkeypatch):
    monkeypatch.setattr(GAN, "COLLAPSED_STEPS", 2)

    class Wavering(GAN):
        def discriminator_loss(self, real, fake):
            sure = ops.equal(self.step % 2, 0)
            loss = super().discriminator_loss(real, fake)
            return ops.where(sure, 0.0 * loss, loss)

    gan = compiled(kind=Wavering)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gan.fit(*batch(size=4), batch_size=1, verbose=0)
    assert int(gan.collapsed_steps) == 0


# Saving and resuming


def run_script(folder, *args):
    return subprocess.run(
        [sys.executable, FOLDER / "interrupted_gan.py", folder, *args],
        capture_output=True,
        text=True,
        timeout=300,
    )


def arrays(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if hasattr(item, "dtype") else None
            )
        )
    return found


def test_a_killed_and_resumed_run_ends_as_an_uninterrupted_one(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = run_script(whole)
    assert "step=6 from=0" in done.stdout, done.stderr
    killed = run_script(parts, "3")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = run_script(parts)
    assert "step=6 from=3" in resumed.stdout, resumed.stderr

    state = "state/step_000000006/model.weights.h5"
    expected, found = arrays(whole / state), arrays(parts / state)
    assert expected.keys() == found.keys()
    for part in (
        "generator/",
        "discriminator/",
        "generator_optimizer/",
        "discriminator_optimizer/",
    ):
        assert any(name.startswith(part) for name in found), part
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)

    logs = [json.loads((f / "log.json").read_text()) for f in (whole, parts)]
    assert [e["psnr_y"] for e in logs[0]] == [e["psnr_y"] for e in logs[1]]
    last = logs[0][-1]
    assert last["srresnet_learning_rate"] < 0.01
    assert last["patchgan_learning_rate"] == pytest.approx(0.01)

    # the file of the generator has the moving average of its weights
    kept = keras.models.load_model(whole / "last.keras").get_weights()
    raw = expected["generator/layers/conv2d/vars/0"]
    assert kept[0].shape == raw.shape
    assert 1e-4 < np.abs(kept[0] - raw).max() < 0.1


def test_weights_of_a_new_model_bring_the_state_of_both_optimizers(tmp_path):
    adam = keras.optimizers.Adam
    gans = [
        compiled(generator_optimizer=adam(), discriminator_optimizer=adam())
        for _ in range(2)
    ]
    step(gans[0])
    gans[0].save_weights(tmp_path / "gan.weights.h5")
    gans[1].load_weights(tmp_path / "gan.weights.h5")
    for (first, _), (second, _) in zip(*(g.optimizers() for g in gans), strict=True):
        assert int(second.iterations) == 1
        for a, b in zip(first.variables, second.variables, strict=True):
            np.testing.assert_array_equal(a, b)


def test_weights_of_the_losses_are_not_saved(tmp_path):
    class Content(keras.losses.Loss):
        def __init__(self):
            super().__init__(name="content")
            self.network = layers.Dense(5)
            self.network.build((None, 3))

        def call(self, y_true, y_pred):
            error = self.network(y_true) - self.network(y_pred)
            return ops.mean(error**2, axis=(1, 2, 3))

    gan = compiled(terms=[(1.0, Content())])
    step(gan)
    gan.save_weights(tmp_path / "gan.weights.h5")
    shapes = [array.shape for array in arrays(tmp_path / "gan.weights.h5").values()]
    assert (3, 5) not in shapes


def test_compiling_again_after_a_call_is_possible():
    gan = GAN(small_generator(), small_discriminator())
    gan(images.to_float(batch()[0]))
    for term in ("l1", "l2"):
        gan.compile(sgd(), sgd(), terms=[(1.0, term)])
        assert step(gan).keys() == {
            term,
            "loss",
            "adversarial_loss",
            "discriminator_loss",
            "collapsed_steps",
        }


REPLICAS = """
import sys
import keras, numpy as np, tensorflow as tf
from keras import layers
from sr_keras.training.adversarial import GAN

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
hr = np.random.default_rng(0).random((4, 8, 12, 3), "float32")

def train(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        def network(filters, x):
            x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
            return layers.Conv2D(filters, 3, padding="same")(x)

        inputs = keras.Input((None, None, 3))
        gan = GAN(
            keras.Model(inputs, network(3, layers.UpSampling2D(2)(inputs))),
            keras.Model(inputs, network(1, inputs)),
        )
        gan.compile(
            keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1),
            terms=[(1.0, "l1")], adversarial_weight=0.1,
        )
    log = gan.fit(hr[:, ::2, ::2], hr, batch_size=4, epochs=3, verbose=0).history
    return log, gan.get_weights()

one = train(tf.distribute.get_strategy())
two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for name in one[0]:
    np.testing.assert_allclose(one[0][name], two[0][name], rtol=1e-4, err_msg=name)
for a, b in zip(one[1], two[1], strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6)
print("equal")
"""


def test_two_replicas_train_as_one():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=300
    )
    assert "equal" in done.stdout, done.stderr[-2000:]


# Blending


def test_weights_are_interpolated():
    first, second = small_generator(), small_generator()
    first.compile("adam", "mae")
    blend = interpolate_weights(first, second, 0.25)
    assert blend.name == first.name
    for a, b, c in zip(
        first.get_weights(), second.get_weights(), blend.get_weights(), strict=True
    ):
        np.testing.assert_allclose(c, 0.75 * a + 0.25 * b, rtol=1e-6)
    lr = images.to_float(batch()[0])
    np.testing.assert_array_equal(interpolate_weights(first, second, 1)(lr), second(lr))


def test_interpolation_errors():
    network = small_generator()
    with pytest.raises(ValueError, match="`amount` must be from 0 to 1. Received: 1.5"):
        interpolate_weights(network, network, 1.5)
    with pytest.raises(ValueError, match="must have the same weights"):
        interpolate_weights(network, small_generator(scale=3), 0.5)


# Errors


def test_errors_say_what_came():
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        compiled(discriminator_steps=0)
    one = sgd()
    with pytest.raises(ValueError, match="need an optimizer each"):
        compiled(generator_optimizer=one, discriminator_optimizer=one)
    with pytest.raises(ValueError, match="A loss must be a callable or one of"):
        compiled(terms=[(1.0, "beauty")])
    gan = compiled()
    lr, hr = batch()
    with pytest.raises(ValueError, match="must be .lr, hr.. Received: sample weights"):
        gan.train_on_batch(lr, hr, np.ones(len(lr)))
    with pytest.raises(ValueError, match="must be .lr, hr.. Received: lr alone"):
        gan.train_on_batch(lr)


def test_nobody_waits_under_several_replicas(monkeypatch):
    gan = GAN(small_generator(), small_discriminator())
    strategy = tf.distribute.get_strategy()
    monkeypatch.setattr(type(strategy), "num_replicas_in_sync", 2)
    with pytest.raises(ValueError, match="`discriminator_steps` must be 1"):
        gan.compile(sgd(), sgd(), terms=[(1.0, "l1")], discriminator_steps=2)
