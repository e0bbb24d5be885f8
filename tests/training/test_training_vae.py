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
from sr_keras.models.vae import vae_decoder, vae_encoder
from sr_keras.pipeline import training_batches
from sr_keras.training import TrainingRun
from sr_keras.training.vae import VAE, kl_divergence, plot_sample_std, sample_std

SMALL = {"filters": 4, "num_blocks": 1, "latent_channels": 2}


@pytest.fixture
def float16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def compiled(optimizer=None, kind=VAE, **kwargs):
    vae = kind(vae_encoder(2, **SMALL), vae_decoder(2, **SMALL))
    # eagerly, because graphs of single steps take long to make
    options = {"run_eagerly": True, **kwargs}
    vae.compile(optimizer or keras.optimizers.SGD(0.1), **options)
    return vae


def batch():
    hr = np.random.default_rng(0).integers(0, 256, (2, 10, 14, 3), dtype=np.uint8)
    return hr[:, ::2, ::2], hr


def make_the_posterior_constant(vae):
    """Gives the posterior of all images the mean 2 and the variance 1."""
    for name, bias in (("mean", 2.0), ("log_variance", 0.0)):
        layer = vae.encoder.get_layer(name)
        kernel, old = layer.get_weights()
        layer.set_weights([np.zeros_like(kernel), np.full_like(old, bias)])


def test_kl_divergence_by_hand():
    mean = np.array([[[[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]]]], "float32")
    log_variance = np.log([[[[1.0, 1.0], [1.0, 1.0], [4.0, 1.0]]]]).astype("float32")
    # 0, 2**2 / 2, (4 - 1 - log 4) / 2 + 1 / 2
    expected = [[[0.0, 2.0, 2.0 - np.log(2.0)]]]
    np.testing.assert_allclose(
        kl_divergence(mean, log_variance), expected, rtol=1e-5, atol=1e-6
    )


def test_what_is_logged_and_minimized():
    vae = compiled(kl_weight=0.01, mean_weight=0.25)
    make_the_posterior_constant(vae)
    lr, hr = batch()
    average = np.mean(np.abs(images.to_float(hr) - vae(images.to_float(lr))))
    logs = vae.train_on_batch(lr, hr, return_dict=True)
    assert logs.keys() == {"loss", "reconstruction_loss", "mean_loss", "kl"}
    assert logs["kl"] == pytest.approx(2 * 2**2 / 2, rel=1e-5)  # two latent channels
    assert logs["mean_loss"] == pytest.approx(average, rel=1e-5)
    assert logs["reconstruction_loss"] != pytest.approx(average, rel=1e-3)
    expected = logs["reconstruction_loss"] + 0.25 * average + 0.01 * logs["kl"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_latents_are_drawn_from_the_posterior(monkeypatch):
    seen = []

    class Spy(VAE):
        def noise(self, shape, step):
            seen.append(super().noise(shape, step))
            return seen[-1]

    vae = compiled(keras.optimizers.SGD(0.0), Spy)
    lr, hr = batch()
    mean, log_variance = vae.encoder([images.to_float(x) for x in (lr, hr)])
    logs = vae.train_on_batch(lr, hr, return_dict=True)
    vae.train_on_batch(lr, hr)
    z = np.asarray(mean + np.sqrt(np.exp(log_variance)) * seen[0])
    sr = vae.decoder([images.to_float(lr), z])
    error = np.mean(np.abs(images.to_float(hr) - sr))
    assert logs["reconstruction_loss"] == pytest.approx(error, rel=1e-5)
    assert np.abs(seen[0] - seen[1]).max() > 0.1  # every step has different noise
    assert np.std(seen) == pytest.approx(1.0, abs=0.15)


def test_a_step_trains_all_weights():
    vae = compiled(keras.optimizers.Adam(1e-2), run_eagerly=False)
    before = [w.numpy() for w in vae.trainable_variables]
    vae.train_on_batch(*batch())
    pairs = zip(vae.trainable_variables, before, strict=True)
    assert [w.path for w, old in pairs if np.all(w.numpy() == old)] == []
    assert len(before) == len(vae.encoder.weights) + len(vae.decoder.weights)


def test_the_weight_of_the_divergence_grows_with_the_steps():
    vae = compiled(kl_weight=8.0, annealing_steps=4)
    weights = []
    for _ in range(5):
        weights.append(float(vae.annealed_kl_weight()))
        vae.train_on_batch(*batch())
    assert weights == [2, 4, 6, 8, 8]
    assert compiled(kl_weight=8.0).annealed_kl_weight() == 8.0


def test_the_divergence_is_minimized():
    # With this weight hardly anything else is minimized.
    vae = compiled(kl_weight=1e3, mean_weight=0.0)
    make_the_posterior_constant(vae)
    vae.optimizer.learning_rate = 1e-4
    kls = [vae.train_on_batch(*batch(), return_dict=True)["kl"] for _ in range(4)]
    vae.reset_metrics()
    assert vae.train_on_batch(*batch(), return_dict=True)["kl"] < 0.9 * kls[0]


def test_evaluate_reports_a_collapsed_posterior():
    vae = compiled(metrics=[metrics.SSIM()])
    latents = vae.decoder.get_layer("latents")
    latents.set_weights([0 * w for w in latents.get_weights()])
    make_the_posterior_constant(vae)
    layer = vae.encoder.get_layer("mean")
    layer.set_weights([0 * w for w in layer.get_weights()])
    hr = np.random.default_rng(0).random((2, 22, 24, 3), "float32")
    lr = hr[:, ::2, ::2]
    scores = vae.evaluate(lr, hr, verbose=0, return_dict=True)
    assert scores.keys() == {"kl", "psnr_mean", "psnr_sample", "sample_std", "ssim"}
    assert scores["kl"] == scores["sample_std"] == 0
    assert scores["psnr_sample"] == scores["psnr_mean"]
    expected = metrics.psnr(hr, vae(lr)).numpy().mean()
    assert scores["psnr_mean"] == pytest.approx(expected, rel=1e-5)


def test_evaluate_reports_samples_that_differ():
    vae = compiled()
    # large enough for one pair of samples, which evaluation uses
    hr = np.random.default_rng(0).random((2, 80, 96, 3), "float32")
    lr = hr[:, ::2, ::2]
    scores = vae.evaluate(lr, hr, verbose=0, return_dict=True)
    again = vae.evaluate(lr, hr, verbose=0, return_dict=True)
    assert scores == again
    samples = vae.sample(lr, num_samples=20, seed=0)
    expected = np.sqrt(np.var(samples, axis=0, ddof=1).mean())
    assert scores["sample_std"] == pytest.approx(expected, rel=0.1)
    psnr = np.mean([metrics.psnr(hr, sr) for sr in samples])
    assert scores["psnr_sample"] == pytest.approx(psnr, abs=0.5)


def test_samples():
    vae = compiled()
    lr = batch()[0]
    samples = vae.sample(lr, num_samples=3, seed=5)
    assert samples.shape == (3, 2, 10, 14, 3)
    assert samples.dtype == "float32"
    np.testing.assert_array_equal(samples, vae.sample(lr, num_samples=3, seed=5))
    assert np.abs(samples[0] - samples[1]).max() > 1e-3
    assert np.abs(samples - vae.sample(lr, num_samples=3)).max() > 1e-3
    z = np.random.default_rng(5).standard_normal((2, 5, 7, 2), "float32")
    expected = vae.decoder([images.to_float(lr), 0.5 * z])
    np.testing.assert_allclose(
        vae.sample(lr, temperature=0.5, seed=5)[0], expected, atol=1e-5
    )


def test_temperature_0_is_used_for_upscaling():
    vae = compiled()
    lr = batch()[0]
    samples = vae.sample(lr, temperature=0.0, num_samples=2)
    expected = vae(images.to_float(lr))
    for sample in samples:
        np.testing.assert_allclose(sample, expected, atol=1e-6)
    photo = np.random.default_rng(1).integers(0, 256, (41, 67, 3), dtype=np.uint8)
    whole = upscale(vae.upscaler, photo, tile=None)
    np.testing.assert_array_equal(upscale(vae, photo, tile=24), whole)


def test_sample_std_by_hand():
    samples = np.zeros((2, 1, 1, 2, 3), "float32")
    samples[1, 0, 0, 1] = [0.3, 0.0, 0.6]
    # variances 0.045, 0 and 0.18; their mean is 0.075
    np.testing.assert_allclose(
        sample_std(samples), [[[0.0, np.sqrt(0.075)]]], rtol=1e-6
    )
    with pytest.raises(ValueError, match="at least two samples. Received: 1"):
        sample_std(samples[:1])


def test_plot_of_the_sample_std():
    vae = compiled()
    lr, hr = batch()
    lr, hr = lr[0, :, :5], hr[0, :, :10]  # square, so that the crop shows all of it
    figure = plot_sample_std(vae, lr, hr, num_samples=3, gain=0.1)
    titles = [axes.get_title() for axes in figure.axes][1:]
    assert titles == ["sample 1", "sample 2", "std x 0.1", "temperature 0", "HR"]
    samples = vae.sample(lr[None], num_samples=3, seed=0)
    drawn = figure.axes[3].get_images()[0].get_array()[..., 0]
    expected = np.minimum(0.1 * sample_std(samples)[0], 1.0) * 255
    assert 0 < expected.min() < 255
    np.testing.assert_allclose(drawn, expected, atol=0.51)
    with pytest.raises(ValueError, match="of at least 2. Received: num_samples=1"):
        plot_sample_std(vae, lr, num_samples=1)


class Faint(VAE):
    """A VAE with gradients below 1e-8, which are 0 in float16."""

    def annealed_kl_weight(self):
        return 0.0


def change_of_the_body(optimizer):
    vae = compiled(optimizer, Faint, loss=keras.losses.MeanAbsoluteError())
    vae.compare = lambda hr, sr: 2e-6 * keras.losses.MeanAbsoluteError()(hr, sr)
    kernel = vae.decoder.get_layer("body").kernel
    before = kernel.numpy()
    vae.train_on_batch(*batch())
    return np.abs(kernel.numpy() - before).max()


def test_the_loss_is_scaled_in_float16(float16):
    unscaled = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(1e3), initial_scale=1.0
    )
    assert change_of_the_body(unscaled) == 0
    assert change_of_the_body(keras.optimizers.SGD(1e3)) > 2e-5


def test_inputs_are_not_rounded_under_a_mixed_policy(float16):
    vae = compiled()
    tail = vae.decoder.get_layer("tail")
    tail.set_weights([np.zeros_like(w) for w in tail.get_weights()])
    lr = np.full((1, 3, 5, 3), 0.3, "float32")
    np.testing.assert_allclose(vae(lr), 0.3, rtol=1e-6)


def test_a_loaded_vae_continues_its_training(tmp_path):
    vae = compiled(
        keras.optimizers.Adam(1e-2),
        loss="charbonnier",
        kl_weight=0.01,
        mean_weight=0.25,
        annealing_steps=5,
        metrics=[metrics.PSNR()],
    )
    vae.train_on_batch(*batch())
    vae.save(tmp_path / "vae.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = keras.saving.load_model(tmp_path / "vae.keras", safe_mode=True)
    lr, hr = (images.to_float(x) for x in batch())
    np.testing.assert_array_equal(loaded(lr), vae(lr))
    np.testing.assert_array_equal(loaded.encoder([lr, hr])[0], vae.encoder([lr, hr])[0])
    assert loaded.get_compile_config() == vae.get_compile_config()
    for _ in range(2):
        logs = vae.train_on_batch(*batch(), return_dict=True)
        found = loaded.train_on_batch(*batch(), return_dict=True)
        assert found == pytest.approx(logs, rel=1e-5)


def test_a_vae_that_was_not_compiled_says_so_when_loaded(tmp_path):
    VAE(vae_encoder(2, **SMALL), vae_decoder(2, **SMALL)).save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    with pytest.raises(ValueError, match=r"must call `compile\(\)`"):
        loaded.fit(*batch(), verbose=0)


REPLICAS = """
import keras, numpy as np, tensorflow as tf
from sr_keras.models.vae import vae_decoder, vae_encoder
from sr_keras.training.vae import VAE

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
small = {"filters": 4, "num_blocks": 1, "latent_channels": 2}
hr = np.random.default_rng(0).random((4, 8, 12, 3), "float32")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    vae = VAE(vae_encoder(2, **small), vae_decoder(2, **small))
    vae.compile(keras.optimizers.SGD(0.1), kl_weight=0.1)
log = vae.fit(hr[:, ::2, ::2], hr, batch_size=4, epochs=2, verbose=0).history
assert np.isfinite(log["loss"]).all()
np.testing.assert_allclose(log["loss"], np.add(
    np.add(log["reconstruction_loss"], np.multiply(0.5, log["mean_loss"])),
    np.multiply(0.1, log["kl"])), rtol=1e-5)
assert int(keras.ops.convert_to_numpy(vae.step)) == 2
draw = lambda step: strategy.experimental_local_results(
    strategy.run(lambda: vae.noise((5, 7), step))
)
drawn = [*draw(0), *draw(1)]
for i, a in enumerate(drawn):
    for b in drawn[:i]:
        assert np.abs(a - b).max() > 0.1
print("different")
"""


@pytest.mark.slow
def test_every_replica_has_different_noise():
    done = subprocess.run(
        [*preloaded.python(), "-c", REPLICAS],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "different" in done.stdout, done.stderr[-2000:]


ON_JAX = """
import sys
import keras, numpy as np
from tests.training.test_training_vae import batch, compiled

assert keras.backend.backend() == "jax"
vae = compiled(run_eagerly=False, kl_weight=0.1, annealing_steps=3)
vae.load_weights(f"{sys.argv[1]}/first.weights.h5")
decoder = vae.decoder.get_layer("latents")
decoder.set_weights([0 * w for w in decoder.get_weights()])  # ignores the noise
log = vae.fit(*batch(), epochs=2, verbose=0).history
assert int(vae.step) == 2
scores = vae.evaluate(*batch(), verbose=0, return_dict=True)
samples = vae.sample(batch()[0], num_samples=2, seed=1)
np.savez(f"{sys.argv[1]}/jax.npz", kl=log["kl"], mean_loss=log["mean_loss"],
         loss=log["loss"], score=scores["psnr_mean"], samples=samples)
first, second = (np.array(vae.noise((40, 50), step)) for step in (0, 1))
assert abs(first.std() - 1) < 0.1 and abs(np.mean(first * second)) < 0.1
print("done")
"""


@pytest.mark.slow
def test_a_vae_trains_on_jax_as_on_tensorflow(tmp_path):
    pytest.importorskip("jax")
    vae = compiled(kl_weight=0.1, annealing_steps=3)
    vae.save_weights(tmp_path / "first.weights.h5")
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
    decoder = vae.decoder.get_layer("latents")
    decoder.set_weights([0 * w for w in decoder.get_weights()])
    log = vae.fit(*batch(), epochs=2, verbose=0).history
    scores = vae.evaluate(*batch(), verbose=0, return_dict=True)
    with np.load(tmp_path / "jax.npz") as found:
        # The backends draw different noise, which the decoder ignores at first.
        np.testing.assert_allclose(found["kl"][0], log["kl"][0], rtol=1e-3)
        np.testing.assert_allclose(found["loss"], log["loss"], rtol=1e-2)
        np.testing.assert_allclose(found["mean_loss"], log["mean_loss"], rtol=1e-2)
        np.testing.assert_allclose(found["score"], scores["psnr_mean"], atol=0.1)
        assert found["samples"].shape == (2, 2, 10, 14, 3)


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path):
    photos = np.random.default_rng(0).integers(0, 256, (3, 40, 44, 3), dtype=np.uint8)
    dataset = Pairs("abc", 2, photos.__getitem__)

    def train(folder, last_step=4):
        keras.utils.set_random_seed(1)
        rate = keras.optimizers.schedules.CosineDecay(1e-2, 4)
        vae = compiled(
            keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.5),
            annealing_steps=3,
        )
        keras.utils.set_random_seed(last_step)  # The noise must not depend on it.
        run = TrainingRun(folder, 4, 4, upscaler=vae.upscaler, save_every=2)
        start = run.restore(vae)

        def interrupt(batch, logs):
            if start + batch == last_step:
                raise KeyboardInterrupt

        interruption = keras.callbacks.LambdaCallback(on_train_batch_begin=interrupt)
        try:
            vae.fit(
                training_batches(dataset, 8, 2, start_step=start),
                steps_per_epoch=4 - start,
                callbacks=[run, interruption],
                shuffle=False,
                verbose=0,
            )
        except KeyboardInterrupt:
            run.on_train_end()
        return start, vae

    _, vae = train(tmp_path / "whole")
    train(tmp_path / "parts", last_step=3)
    start, same = train(tmp_path / "parts")
    assert start == 2
    for a, b in zip(vae.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(vae.optimizer.variables, same.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    kept = keras.models.load_model(tmp_path / "whole" / "last.keras")
    lr = images.to_float(batch()[0])
    np.testing.assert_allclose(kept(lr), vae(lr), atol=1e-5)  # the average


@pytest.mark.parametrize("name", ["kl_weight", "mean_weight", "annealing_steps"])
def test_numbers_out_of_range(name):
    with pytest.raises(
        ValueError, match=f"`{name}` must be 0 or more. Received: {name}=-1"
    ):
        compiled(**{name: -1})
    with pytest.raises(ValueError, match=f"`{name}` must be a finite number"):
        compiled(**{name: "abc"})


def test_invalid_arguments_of_sample():
    vae = compiled()
    lr = images.to_float(batch()[0])
    with pytest.raises(ValueError, match=r"\(batch, height, .*\(5, 7, 3\)"):
        vae.sample(lr[0])
    with pytest.raises(ValueError, match="0 or more. .*temperature=-0.5"):
        vae.sample(lr, temperature=-0.5)
    with pytest.raises(ValueError, match="`num_samples` must be a positive integer"):
        vae.sample(lr, num_samples=0)
