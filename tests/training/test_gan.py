import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import warnings

import h5py
import keras
import numpy as np
import preloaded
import pytest
import tensorflow as tf
from keras import layers, ops

from sr_keras import images, metrics, models, upscale
from sr_keras.training.gan import GAN, RelativisticGAN

FOLDER = pathlib.Path(__file__).parent
LOG_2 = math.log(2)


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


def constant_discriminator(value, name="constant"):
    """A discriminator that returns the same logit for all images."""
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
    options = {"losses": [(1.0, "l1")], "run_eagerly": True, **kwargs}
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
def test_losses_of_a_constant_discriminator(value, adversarial, discriminator):
    gan = compiled(
        discriminator=constant_discriminator(value),
        losses=[(0.5, "l1"), (2.0, "l2")],
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
    wrong = softplus + 3
    assert float(gan.adversarial_loss(real, fake)) == pytest.approx(2 * wrong, rel=1e-5)


def test_relativistic_losses_of_equal_logits_are_those_of_guessing():
    logs = step(
        compiled(discriminator=constant_discriminator(5.0), kind=RelativisticGAN)
    )
    assert logs["adversarial_loss"] == pytest.approx(2 * LOG_2, rel=1e-5)
    assert logs["discriminator_loss"] == pytest.approx(2 * LOG_2, rel=1e-5)


def test_outputs_of_a_discriminator_are_added_up():
    inputs = keras.Input((None, None, 3))
    both = [
        constant_discriminator(0.0, "pixels")(inputs),
        constant_discriminator(0.0, "features")(inputs),
    ]
    logs = step(compiled(discriminator=keras.Model(inputs, both)))
    assert logs["adversarial_loss"] == pytest.approx(2 * LOG_2, rel=1e-5)
    assert logs["discriminator_loss"] == pytest.approx(4 * LOG_2, rel=1e-5)


def test_a_discriminator_with_two_inputs_sees_the_lr_image():
    image, lr = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    x = layers.Concatenate()([image, layers.UpSampling2D(2)(lr)])
    outputs = models.patchgan(filters=2, num_layers=1, channels=6)(x)
    gan = compiled(discriminator=keras.Model([image, lr], outputs))
    lr, hr = (ops.convert_to_tensor(images.to_float(x)) for x in batch())
    (fits,), (other,) = gan.discriminate(hr, lr), gan.discriminate(hr, 1 - lr)
    assert fits.shape == (2, 8, 12, 1)
    assert np.abs(fits - other).max() > 1e-3
    step(gan)


def test_objectives_can_be_overridden():
    class Hinge(GAN):
        def discriminator_loss(self, real, fake):
            return keras.losses.Hinge()(ops.ones_like(real), real) + (
                keras.losses.Hinge()(-ops.ones_like(fake), fake)
            )

        def generator_losses(self, lr, hr, sr, real, fake):
            self.track("brightness", ops.mean(sr) * 0.0 + 7.0)
            return {"constant": (2.0, 0.0 * ops.mean(sr) + 1.5)}

    logs = step(compiled(discriminator=constant_discriminator(0.25), kind=Hinge))
    assert logs["discriminator_loss"] == pytest.approx(0.75 + 1.25, rel=1e-5)
    assert logs["loss"] == 3.0
    assert (logs["constant"], logs["brightness"]) == (1.5, 7.0)
    assert "l1" not in logs


# The step


class ThreePasses(GAN):
    """A GAN whose step runs the discriminator anew for every loss, as a reference."""

    def train_step(self, data):
        lr, hr = (images.to_float(x) for x in data[:2])
        with tf.GradientTape() as one:
            sr = self.generator(lr, training=True)
            (fake,) = self.discriminate(sr, lr)
            (real,) = self.discriminate(hr, lr)
            loss = self.adversarial_weight * self.adversarial_loss(real, fake)
            for weight, function in self.image_losses.values():
                loss += weight * function(hr, sr)
        with tf.GradientTape() as other:
            (real,), (fake,) = self.discriminate(hr, lr), self.discriminate(sr, lr)
            discriminator_loss = self.discriminator_loss(real, fake)
        for tape, value, (optimizer, network) in (
            (one, loss, self.optimizers()[0]),
            (other, discriminator_loss, self.optimizers()[1]),
        ):
            weights = network.trainable_variables
            optimizer.apply(tape.gradient(value, weights), weights)
        return {"loss": loss, "discriminator_loss": discriminator_loss}


class RelativisticThreePasses(ThreePasses, RelativisticGAN):
    pass


@pytest.mark.parametrize(
    "kinds", [(GAN, ThreePasses), (RelativisticGAN, RelativisticThreePasses)]
)
def test_two_passes_of_the_discriminator_train_as_a_pass_for_every_loss(kinds):
    passes = []
    found = []
    for kind in kinds:
        keras.utils.set_random_seed(0)
        gan = compiled(
            discriminator=models.patchgan(filters=2, num_layers=2),
            kind=kind,
            losses=[(1.0, "l1"), (0.5, "l2")],
            adversarial_weight=0.1,
            generator_optimizer=keras.optimizers.Adam(1e-2),
            discriminator_optimizer=keras.optimizers.Adam(1e-2),
        )
        call = gan.discriminator.call

        def counted(*args, call=call, **kwargs):
            passes.append(1)
            return call(*args, **kwargs)

        gan.discriminator.call = counted
        logs = [step(gan) for _ in range(3)]
        found.append((len(passes), logs, [w.numpy() for w in gan.trainable_variables]))
        passes.clear()
    (count, logs, weights), (_, old_logs, old_weights) = found
    assert count == 3 * 2
    for new, old in zip(logs, old_logs, strict=True):
        for name in ("loss", "discriminator_loss"):
            assert new[name] == pytest.approx(float(old[name]), rel=1e-4)
    for new, old in zip(weights, old_weights, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)


class Quadratic:
    """A discriminator whose logit is the sum of `weight * x**2` over an image."""

    @staticmethod
    def build(weight):
        inputs = keras.Input((None, None, 3))
        x = layers.Activation("relu")(inputs)  # images are not negative
        x = layers.Multiply()([x, x])
        constant = keras.initializers.Constant(weight)
        x = layers.Conv2D(1, 1, use_bias=False, kernel_initializer=constant)(x)
        outputs = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, outputs)


class R1GAN(GAN):
    def discriminator_penalty(self, lr, hr, sr):
        gradient = self.image_gradient(hr, lr)
        squared_norm = ops.sum(gradient**2, axis=(1, 2, 3))
        penalty = 5.0 * ops.mean(squared_norm) / self.num_replicas
        self.track("r1", penalty)
        return penalty


def test_the_discriminator_can_be_penalized():
    discriminator = Quadratic.build(0.5)
    gan = compiled(
        discriminator=discriminator,
        kind=R1GAN,
        generator_optimizer=sgd(0.0),
        discriminator_optimizer=sgd(1.0),
    )
    lr, hr = batch()
    pixels = images.to_float(hr)
    # D(x) = w mean(x**2), so its gradient is 2 w x / n
    size = pixels[0].size / 3
    norms = np.sum((2 * 0.5 * pixels / size) ** 2, axis=(1, 2, 3))
    plain = compiled(
        discriminator=Quadratic.build(0.5),
        generator=gan.generator,
        discriminator_optimizer=sgd(1.0),
    )
    logs, plain_logs = step(gan), step(plain)
    assert logs["r1"] == pytest.approx(5 * norms.mean(), rel=1e-4)
    assert logs["discriminator_loss"] == pytest.approx(
        plain_logs["discriminator_loss"], rel=1e-5
    )
    # The penalty is quadratic in w, so its derivative is the penalty times 2 / w.
    (kernel,), (other,) = (x.discriminator.trainable_variables for x in (gan, plain))
    np.testing.assert_allclose(
        np.sum(other - kernel), 2 * 5 * norms.mean() / 0.5, rtol=1e-3
    )


def test_norms_of_gradients_are_those_at_the_image():
    # the logit is 3 times the mean of all values
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(inputs)
    discriminator = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(x))
    gan = compiled(
        discriminator=discriminator,
        losses=[(7.0, "l1"), (0.0, "l2")],
        log_gradient_norms=True,
    )
    lr, hr = batch()
    sr = gan.generator(images.to_float(lr)).numpy()
    error = images.to_float(hr) - sr
    n = error.size
    fake = discriminator(sr).numpy()[:, 0]
    # d/dx of softplus(-logit) is -(1 - sigmoid(logit)) * 3 / n, averaged over images
    slopes = (1 - 1 / (1 + np.exp(-fake))) * 3 / (n / 2) / 2
    expected = {
        "l1": math.sqrt(n) / n,
        "l2": np.linalg.norm(2 * error / n),
        "adversarial_loss": math.sqrt(np.sum(slopes**2) * n / 2),
    }
    before = gan.get_weights()
    found = gan.gradient_norms(lr, hr)
    for old, new in zip(before, gan.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    logs = step(gan)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4)
        assert logs[f"gradient_norm_{name}"] == pytest.approx(value, rel=1e-4)


def test_a_tracked_value_gets_its_tracker_in_a_graph():
    class Bright(GAN):
        def generator_losses(self, lr, hr, sr, real, fake):
            self.track("brightness", ops.mean(sr))
            return super().generator_losses(lr, hr, sr, real, fake)

    gan = compiled(kind=Bright, run_eagerly=False, generator_optimizer=sgd(0.0))
    lr, hr = batch()
    bright = gan.generator(images.to_float(lr)).numpy().mean()
    history = gan.fit(lr, hr, batch_size=1, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["brightness"], [bright] * 2, rtol=1e-4)


ON_JAX = """
import sys
import jax, keras, numpy as np
from sr_keras import metrics
from tests.training.test_gan import gan_for_every_backend, photos

folder = sys.argv[1]
assert keras.backend.backend() == "jax"
lr, hr = photos()
gan = gan_for_every_backend()
gan.load_weights(f"{folder}/first.weights.h5")
logs = gan.fit(lr, hr, batch_size=2, shuffle=False, epochs=2, verbose=0).history
scores = gan.evaluate(lr, hr, batch_size=2, verbose=0, return_dict=True)
norms = gan.gradient_norms(lr, hr)
gan.save_weights(f"{folder}/jax.weights.h5")
np.savez(f"{folder}/jax.npz", **{name: value for name, value in logs.items()},
         **{f"score_{k}": v for k, v in scores.items()},
         **{f"norm_{k}": v for k, v in norms.items()})

# in a loop of one's own: the state is complete and the step is pure
gan = gan_for_every_backend()
gan.load_weights(f"{folder}/first.weights.h5")
step = jax.jit(gan.train_step)
groups = [gan.trainable_variables, gan.non_trainable_variables,
          gan.optimizer.variables, gan.metrics_variables]
state = tuple([v.value for v in group] for group in groups)
for i in (0, 2, 0, 2):
    last, state = step(state, (lr[i : i + 2], hr[i : i + 2]))
found = [np.array(x) for x in state[0]]
expected = [np.array(v.value) for v in gan.trainable_variables]
assert max(np.abs(a - b).max() for a, b in zip(found, expected)) > 1e-3  # untouched
again = gan_for_every_backend()
again.load_weights(f"{folder}/jax.weights.h5")
for a, b in zip(found, again.trainable_variables, strict=True):
    np.testing.assert_allclose(a, np.array(b.value), atol=1e-6)
print("done")
"""


def photos():
    hr = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    return hr[:, ::2, ::2], hr


class TrackingGAN(R1GAN, RelativisticGAN):
    def generator_losses(self, lr, hr, sr, real, fake):
        self.track("brightness", ops.mean(sr))
        return super().generator_losses(lr, hr, sr, real, fake)


def gan_for_every_backend():
    """A GAN with normalizations of both kinds, turns, a penalty and scaled losses."""
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(3, 3, padding="same")(layers.UpSampling2D(2)(x))
    gan = TrackingGAN(
        keras.Model(inputs, x),
        models.patchgan(filters=2, num_layers=1, spectral_norm=True),
    )
    gan.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True),
        # with a higher rate, R1 makes the kernels explode
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3)),
        losses=[
            (1.0, "l1"),
            (1e-5, ("content", {"layers": "vgg19/block1_conv1", "vgg_weights": None})),
        ],
        adversarial_weight=0.1,
        discriminator_steps=2,
        log_gradient_norms=True,
        metrics=[metrics.PSNR()],
    )
    return gan


@pytest.mark.slow
def test_a_gan_trains_on_jax_as_on_tensorflow(tmp_path):
    pytest.importorskip("jax")
    gan = gan_for_every_backend()
    gan.save_weights(tmp_path / "first.weights.h5")
    done = subprocess.run(
        [*preloaded.python("jax"), "-c", ON_JAX, tmp_path],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "done" in done.stdout, done.stderr[-3000:]
    lr, hr = photos()
    logs = gan.fit(lr, hr, batch_size=2, shuffle=False, epochs=2, verbose=0).history
    scores = gan.evaluate(lr, hr, batch_size=2, verbose=0, return_dict=True)
    norms = gan.gradient_norms(lr, hr)
    expected = {
        **logs,
        **{f"score_{name}": value for name, value in scores.items()},
        **{f"norm_{name}": value for name, value in norms.items()},
    }
    with np.load(tmp_path / "jax.npz") as found:
        assert set(found) == set(expected)
        assert {"r1", "brightness", "gradient_norm_content", "psnr"} < set(found)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=2e-3, err_msg=name)
    jax = gan_for_every_backend()
    jax.load_weights(tmp_path / "jax.weights.h5")
    assert int(jax.step) == 4
    for new, old in zip(jax.variables, gan.variables, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4, err_msg=new.path)
    assert max(np.abs(v).max() for v in gan.discriminator.trainable_variables) < 2
    for (new, _), (old, _) in zip(jax.optimizers(), gan.optimizers(), strict=True):
        for a, b in zip(new.variables, old.variables, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3, err_msg=a.path)


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
    ids=["srgan", "esrgan", "patchgan", "unet"],
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
        losses=[(1.0, "l2")],
    )
    before = {w.path: w.numpy() for w in gan.trainable_variables}
    step(gan, width=8, scale=models.scale_of(generator))
    same = [w.path for w in gan.trainable_variables if np.all(w == before[w.path])]
    # the same bias on photos and fakes does not change how they compare
    assert same == (["logits/bias"] if kind is RelativisticGAN else [])


def test_the_generator_learns_from_the_discriminator_alone():
    # The logit is the mean brightness, so a brighter image looks more real.
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(inputs)
    discriminator = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(x))
    discriminator.trainable = False
    gan = compiled(
        discriminator=discriminator, losses=[(0.0, "l1")], adversarial_weight=1.0
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


# Turns and optimizers


def updates(gan, num_steps):
    """Returns how often each network was trained after each step."""
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
    options = {
        "discriminator": constant_discriminator(0.0),
        "discriminator_optimizer": sgd(0.0),
    }
    gan = compiled(**options, discriminator_warmup_loss=1.38)
    assert updates(gan, 2) == [[0, 1], [0, 2]]
    options["discriminator_optimizer"] = sgd(0.0)
    gan = compiled(**options, discriminator_warmup_loss=1.39)
    assert updates(gan, 2) == [[1, 1], [2, 2]]


def test_the_discriminator_waits_for_a_better_generator():
    gan = compiled(
        discriminator=constant_discriminator(0.0),
        discriminator_min_loss=1.39,
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
    """A GAN with gradients of about 1e-8, which are 0 in float16."""

    def generator_losses(self, *args):
        terms = super().generator_losses(*args)
        return {name: (1e-5 * weight, loss) for name, (weight, loss) in terms.items()}

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


# The model in place of its generator


def test_the_model_can_be_used_in_place_of_its_generator():
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


def test_a_loaded_gan_continues_its_training(tmp_path):
    gan = compiled(
        kind=RelativisticGAN,
        losses=[(1.0, "l1"), (0.5, keras.losses.LogCosh())],
        generator_optimizer=keras.optimizers.Adam(1e-2),
        discriminator_optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(1e-2, 10)
        ),
        discriminator_steps=2,
        discriminator_warmup_loss=20.0,
        discriminator_min_loss=0.001,
        log_gradient_norms=True,
        metrics=[metrics.PSNR()],
    )
    step(gan)
    gan.save(tmp_path / "gan.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = keras.saving.load_model(tmp_path / "gan.keras", safe_mode=True)
    config = gan.get_compile_config()
    assert loaded.get_compile_config() == config
    assert config["discriminator_warmup_loss"] == 20.0
    for _ in range(2):
        assert step(loaded) == pytest.approx(step(gan), rel=1e-5)
    for a, b in zip(gan.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_gan_that_was_not_compiled_says_so_when_loaded(tmp_path):
    gan = GAN(small_generator(), small_discriminator())
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    with pytest.raises(ValueError, match=r"must call `compile\(\)`"):
        loaded.fit(*batch(), verbose=0)


def test_survives_a_round_trip_in_safe_mode(tmp_path):
    gan = RelativisticGAN(small_generator(), small_discriminator())
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras", safe_mode=True)
    assert type(loaded) is RelativisticGAN
    lr, hr = (images.to_float(x) for x in batch())
    np.testing.assert_array_equal(loaded(lr), gan(lr))
    np.testing.assert_array_equal(loaded.discriminator(hr), gan.discriminator(hr))


# Training that fails


def test_a_discriminator_that_is_always_right_is_reported(monkeypatch):
    monkeypatch.setattr(GAN, "OVERPOWERED_STEPS", 3)

    class Right(GAN):
        def discriminator_loss(self, real, fake):
            return super().discriminator_loss(real, fake) * 0.0 + 0.009

    lr, hr = batch(size=4)
    gan = compiled(kind=Right)
    with pytest.warns(UserWarning, match="Step 3: .* overpowers .* below 0.01 for 3"):
        gan.fit(lr, hr, batch_size=1, epochs=1, verbose=0)
    assert int(gan.overpowered_steps) == 4


def test_a_generator_that_was_never_trained_is_reported():
    gan = compiled(
        discriminator=constant_discriminator(5.0), discriminator_warmup_loss=0.1
    )
    with pytest.warns(UserWarning, match="never trained, .*_warmup_loss=0.1 in every"):
        gan.fit(*batch(), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(discriminator_warmup_loss=9.0).fit(*batch(), verbose=0)


def test_a_loss_that_is_nan_is_reported_at_once():
    class Broken(GAN):
        def discriminator_loss(self, real, fake):
            return super().discriminator_loss(real, fake) * np.nan

    with pytest.warns(UserWarning, match="Step 1: discriminator_loss became NaN"):
        compiled(kind=Broken).fit(*batch(), batch_size=1, verbose=0)


def test_a_good_step_ends_the_count_and_nothing_is_reported(monkeypatch):
    monkeypatch.setattr(GAN, "OVERPOWERED_STEPS", 2)

    class Wavering(GAN):
        def discriminator_loss(self, real, fake):
            sure = ops.equal(self.step % 2, 0)
            loss = super().discriminator_loss(real, fake)
            return ops.where(sure, 0.0 * loss, loss)

    gan, ends = compiled(kind=Wavering), []
    single = keras.callbacks.LambdaCallback(on_train_end=ends.append)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gan.fit(*batch(size=4), batch_size=1, verbose=0, callbacks=single)
    assert len(ends) == 1
    assert int(gan.overpowered_steps) == 0


# Saving and resuming


def run_script(folder, *args):
    return subprocess.run(
        [*preloaded.python(), FOLDER / "interrupted_gan.py", folder, *args],
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


@pytest.mark.slow
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

    gan = compiled(losses=[(1.0, Content())])
    step(gan)
    gan.save_weights(tmp_path / "gan.weights.h5")
    shapes = [array.shape for array in arrays(tmp_path / "gan.weights.h5").values()]
    assert (3, 5) not in shapes


def test_compiling_again_after_a_call_is_possible():
    gan = GAN(small_generator(), small_discriminator())
    gan(images.to_float(batch()[0]))
    for term in ("l1", "l2"):
        gan.compile(sgd(), sgd(), losses=[(1.0, term)])
        assert step(gan).keys() == {
            term,
            "loss",
            "adversarial_loss",
            "discriminator_loss",
            "overpowered_steps",
        }


REPLICAS = """
import sys
import keras, numpy as np, tensorflow as tf
from keras import layers
from sr_keras.training.gan import GAN

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
            losses=[(1.0, "l1")], adversarial_weight=0.1,
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


@pytest.mark.slow
def test_two_replicas_train_as_one():
    done = subprocess.run(
        [*preloaded.python(), "-c", REPLICAS],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "equal" in done.stdout, done.stderr[-2000:]


# Errors


def test_invalid_arguments():
    with pytest.raises(
        ValueError,
        match="`discriminator_steps` must be a positive integer",
    ):
        compiled(discriminator_steps=0)
    for weight in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="`adversarial_weight` must be"):
            compiled(adversarial_weight=weight)
    for name in ("discriminator_warmup_loss", "discriminator_min_loss"):
        with pytest.raises(ValueError, match=f"`{name}` must be a finite number"):
            compiled(**{name: "high"})
    one = sgd()
    with pytest.raises(ValueError, match="need an optimizer each"):
        compiled(generator_optimizer=one, discriminator_optimizer=one)
    with pytest.raises(ValueError, match="'beauty' is not the name of a loss"):
        compiled(losses=[(1.0, "beauty")])
    gan = compiled()
    lr, hr = batch()
    with pytest.raises(
        ValueError, match=r"must be \(lr, hr\). Received: \(lr, hr, sample_weight\)"
    ):
        gan.train_on_batch(lr, hr, np.ones(len(lr)))
    with pytest.raises(ValueError, match=r"must be \(lr, hr\). Received: only lr"):
        gan.train_on_batch(lr)


def test_both_networks_are_trained_under_several_replicas(monkeypatch):
    gan = GAN(small_generator(), small_discriminator())
    strategy = tf.distribute.get_strategy()
    monkeypatch.setattr(type(strategy), "num_replicas_in_sync", 2)
    with pytest.raises(
        ValueError, match="`discriminator_steps` must be 1.*Received: .2, None, None."
    ):
        gan.compile(sgd(), sgd(), losses=[(1.0, "l1")], discriminator_steps=2)
