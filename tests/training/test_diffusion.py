import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import preloaded
import pytest

from sr_keras import images, metrics, upscale
from sr_keras.datasets import Pairs
from sr_keras.models import Network, denoiser
from sr_keras.pipeline import training_batches
from sr_keras.training import Diffusion, TrainingRun
from sr_keras.training.diffusion import mix, rates

SMALL = {"filters": 8, "num_levels": 2}


def compiled(optimizer=None, kind=Diffusion, **kwargs):
    model = kind(denoiser(2, **SMALL))
    options = {"run_eagerly": True, **kwargs}  # graphs of single steps take long
    model.compile(optimizer or keras.optimizers.SGD(0.1), **options)
    return model


def batch():
    hr = np.random.default_rng(0).integers(0, 256, (2, 10, 14, 3), dtype=np.uint8)
    return hr[:, ::2, ::2], hr


class Oracle(keras.layers.Layer):
    """The exact denoiser of images that are known, or of pixels of two values.

    Args:
        white: The probability with which a pixel is white, otherwise black, whatever
            the LR image is. None if HR is the LR image with every pixel repeated.
    """

    def __init__(self, white=None, **kwargs):
        super().__init__(**kwargs)
        self.white = white

    def call(self, inputs):
        noisy, time, lr = inputs
        signal, rate = rates(keras.ops.reshape(time, (-1, 1, 1, 1)))
        if self.white is None:
            image = 2 * keras.ops.repeat(keras.ops.repeat(lr, 2, axis=1), 2, axis=2) - 1
        else:
            prior = 0.5 * np.log(self.white / (1 - self.white))
            # half of the logarithm of the odds of white
            image = keras.ops.tanh(signal * noisy / rate**2 + prior)
        return (signal * noisy - image) / rate

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def with_oracle(white=None):
    noisy, lr = (keras.Input((None, None, 1)) for _ in range(2))
    time = keras.Input(())
    outputs = Oracle(white)([noisy, time, lr])
    return Diffusion(Network([noisy, time, lr], outputs, scale=2))


def test_rates_by_hand():
    signal, noise = rates(np.array([0, 1 / 3, 0.5, 1], "float32"))
    root = np.sqrt(0.5)
    np.testing.assert_allclose(signal, [1, np.sqrt(0.75), root, 0], atol=1e-6)
    np.testing.assert_allclose(noise, [0, 0.5, root, 1], atol=1e-6)
    # 1 / 3 of the way the variance of the signal is three times that of the noise
    assert float(signal[1] ** 2 / noise[1] ** 2) == pytest.approx(3, rel=1e-5)


def test_mix_by_hand():
    image, noise = np.full((2, 1, 1, 1), 0.5), np.full((2, 1, 1, 1), -2.0)
    noisy, velocity = mix(image, noise, np.array([1 / 3, 1.0], "float32"))
    root = np.sqrt(0.75)
    np.testing.assert_allclose(np.ravel(noisy), [root / 2 - 1, -2], atol=1e-6)
    np.testing.assert_allclose(np.ravel(velocity), [-2 * root - 0.25, -0.5], atol=1e-6)


@pytest.mark.parametrize("num_steps", [1, 2, 7, 50])
def test_ddim_with_an_exact_denoiser_recovers_the_image(num_steps):
    lr = np.random.default_rng(1).random((1, 3, 5, 1), "float32")
    found = with_oracle().sample(lr, num_steps, seed=0)[0]
    np.testing.assert_allclose(found, lr.repeat(2, axis=1).repeat(2, axis=2), atol=1e-5)


def test_ddim_draws_from_the_distribution():
    lr = np.zeros((1, 50, 50, 1), "float32")
    model = with_oracle(0.7)
    pixels = model.sample(lr, 200, seed=1)
    assert np.mean((pixels > 0.02) & (pixels < 0.98)) < 0.02  # black or white
    # 10,000 independent pixels, with a standard error of 0.005
    assert np.mean(pixels > 0.5) == pytest.approx(0.7, abs=0.02)
    np.testing.assert_allclose(model.sample(lr, 1, seed=1), 0.7, atol=1e-4)


def test_samples():
    model = compiled()
    tail = model.denoiser.get_layer("tail")
    tail.set_weights([w + 0.1 for w in tail.get_weights()])
    lr = batch()[0]
    samples = model.sample(lr, num_steps=3, num_samples=2, seed=5)
    assert samples.shape == (2, 2, 10, 14, 3)
    assert samples.dtype == "float32"
    assert samples.min() >= 0 and samples.max() <= 1
    again = model.sample(lr, num_steps=3, num_samples=2, seed=5)
    np.testing.assert_array_equal(samples, again)
    assert np.abs(samples[0] - samples[1]).max() > 0.1
    assert np.abs(samples - model.sample(lr, 3, 2)).max() > 0.1
    floats = model.sample(images.to_float(lr), 3, 2, seed=5)
    np.testing.assert_allclose(floats, samples, atol=1e-6)


def test_what_is_minimized():
    model = compiled(keras.optimizers.SGD(0.0))
    tail = model.denoiser.get_layer("tail")
    tail.set_weights([w + 0.1 for w in tail.get_weights()])
    lr, hr = (keras.ops.convert_to_tensor(images.to_float(x)) for x in batch())
    losses = []
    for step in range(2):
        time, noise = model.draw(hr.shape, step)
        signal, rate = (np.reshape(x, (2, 1, 1, 1)) for x in rates(time))
        image = 2 * hr - 1
        found = model.denoiser([signal * image + rate * noise, time, lr])
        velocity = signal * noise - rate * image
        losses.append(np.mean((velocity - found) ** 2))
        model.reset_metrics()
        logs = model.train_on_batch(*batch(), return_dict=True)
        assert logs == {"loss": pytest.approx(losses[-1], rel=1e-5)}
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
    assert int(model.step) == 2


def test_losses_are_those_of_the_package():
    lr, hr = (images.to_float(x) for x in batch())
    found = [
        compiled(loss=loss).evaluate(lr, hr, verbose=0)
        for loss in ("l2", keras.losses.MeanSquaredError())
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert compiled(loss="charbonnier").evaluate(lr, hr, verbose=0) > 0
    with pytest.raises(ValueError, match="'l3' is not the name of a loss"):
        compiled(loss="l3")


def test_times_and_noise():
    model = compiled()
    time, noise = model.draw((4000, 1, 1, 1), 0)
    # uniform and normal, and independent of each other and of other steps
    np.testing.assert_allclose(np.histogram(time, 4, (0, 1))[0], 1000, atol=120)
    assert np.std(noise) == pytest.approx(1.0, abs=0.05)
    others = [*model.draw((4000, 1, 1, 1), 1), noise]
    for other in others:
        assert abs(np.corrcoef(time, np.ravel(other))[0, 1]) < 0.05
    np.testing.assert_array_equal(model.draw((4000, 1, 1, 1), 0)[0], time)


def test_training_changes_all_weights_within_three_steps():
    # kernels of zeros stop the gradient at first
    model = compiled(keras.optimizers.Adam(1e-2), run_eagerly=False)
    before = [w.numpy() for w in model.trainable_variables]
    for _ in range(3):
        model.train_on_batch(*batch())
    pairs = zip(model.trainable_variables, before, strict=True)
    assert [w.path for w, old in pairs if np.all(w.numpy() == old)] == []
    assert len(before) == len(model.denoiser.weights)


def test_evaluate_scores_the_upscaler_and_counts_no_step():
    model = compiled(metrics=[metrics.PSNR()])
    scores = model.evaluate(*batch(), verbose=0, return_dict=True)
    assert scores == model.evaluate(*batch(), verbose=0, return_dict=True)
    assert scores.keys() == {"loss", "psnr"}
    lr, hr = map(images.to_float, batch())
    expected = metrics.psnr(hr, model(lr)).numpy().mean()
    assert scores["psnr"] == pytest.approx(expected, rel=1e-5)
    assert int(model.step) == 0


def test_the_model_upscales_like_its_upscaler():
    model = compiled()
    lr = images.to_float(batch()[0])
    np.testing.assert_array_equal(model(lr), model.upscaler(lr))
    photo = np.random.default_rng(1).integers(0, 256, (11, 13, 3), dtype=np.uint8)
    assert upscale(model, photo).shape == (22, 26, 3)


def test_a_loaded_model_continues_its_training(tmp_path):
    model = compiled(keras.optimizers.Adam(1e-2), loss="l1", metrics=[metrics.PSNR()])
    model.train_on_batch(*batch())
    model.save(tmp_path / "diffusion.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = keras.saving.load_model(tmp_path / "diffusion.keras", safe_mode=True)
    lr = images.to_float(batch()[0])
    np.testing.assert_array_equal(loaded(lr), model(lr))
    np.testing.assert_array_equal(
        loaded.sample(lr, 2, seed=1), model.sample(lr, 2, seed=1)
    )
    for _ in range(2):
        logs = model.train_on_batch(*batch(), return_dict=True)
        found = loaded.train_on_batch(*batch(), return_dict=True)
        assert found["loss"] == pytest.approx(logs["loss"], rel=1e-5)


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path):
    photos = np.random.default_rng(0).integers(0, 256, (3, 40, 44, 3), dtype=np.uint8)
    dataset = Pairs("abc", 2, photos.__getitem__)

    def train(folder, last_step=4):
        keras.utils.set_random_seed(1)
        rate = keras.optimizers.schedules.CosineDecay(1e-2, 4)
        model = compiled(keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.5))
        keras.utils.set_random_seed(last_step)  # The noise must not depend on it.
        run = TrainingRun(folder, 4, 4, upscaler=model.upscaler, save_every=2)
        start = run.restore(model)

        def interrupt(batch, logs):
            if start + batch == last_step:
                raise KeyboardInterrupt

        interruption = keras.callbacks.LambdaCallback(on_train_batch_begin=interrupt)
        try:
            model.fit(
                training_batches(dataset, 8, 2, start_step=start),
                steps_per_epoch=4 - start,
                callbacks=[run, interruption],
                shuffle=False,
                verbose=0,
            )
        except KeyboardInterrupt:
            run.on_train_end()
        return start, model

    _, model = train(tmp_path / "whole")
    train(tmp_path / "parts", last_step=3)
    start, same = train(tmp_path / "parts")
    assert start == 2
    for a, b in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(model.optimizer.variables, same.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


ON_JAX = """
import sys
import keras, numpy as np
from tests.training.test_diffusion import batch, compiled

assert keras.backend.backend() == "jax"
model = compiled(keras.optimizers.SGD(0.0), run_eagerly=False)
model.load_weights(f"{sys.argv[1]}/first.weights.h5")
log = model.fit(*batch(), epochs=2, verbose=0).history
assert int(model.step) == 2 and log["loss"][0] != log["loss"][1]
score = model.evaluate(*batch(), verbose=0)
samples = model.sample(batch()[0], 3, seed=1)
first, second = (model.draw((40, 50, 1, 1), step) for step in (0, 1))
assert abs(np.std(first[1]) - 1) < 0.1
assert abs(np.mean(first[1] * second[1])) < 0.1
assert np.isfinite(score) and 0.2 < np.mean(first[0]) < 0.8
np.savez(f"{sys.argv[1]}/jax.npz", samples=samples)
print("done")
"""


@pytest.mark.slow
def test_trains_and_samples_on_jax_as_on_tensorflow(tmp_path):
    pytest.importorskip("jax")
    # The file also contains the learning rate: 0 there too, so that training on JAX
    # leaves the weights as they are.
    model = compiled(keras.optimizers.SGD(0.0))
    tail = model.denoiser.get_layer("tail")
    tail.set_weights([w + 0.1 for w in tail.get_weights()])
    model.save_weights(tmp_path / "first.weights.h5")
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
    with np.load(tmp_path / "jax.npz") as found:
        # noise to start from is NumPy's on both
        expected = model.sample(batch()[0], 3, seed=1)
        np.testing.assert_allclose(found["samples"], expected, atol=1e-3)


def test_invalid_arguments_of_sample():
    model = compiled()
    lr = images.to_float(batch()[0])
    with pytest.raises(ValueError, match=r"\(batch, height, .*\(5, 7, 3\)"):
        model.sample(lr[0])
    for name in ("num_steps", "num_samples"):
        with pytest.raises(ValueError, match=f"`{name}` must be a positive integer"):
            model.sample(lr, **{name: 0})
