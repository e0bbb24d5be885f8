"""Training of the conditional variational autoencoder, and sampling from it."""

import types

import keras
import numpy as np
from keras import ops

from sr_keras import losses, metrics, plotting
from sr_keras.checks import check_counts, check_numbers, is_count
from sr_keras.images import to_float
from sr_keras.models.network import scale_of
from sr_keras.models.vae import vae_upscaler
from sr_keras.training import distribution, gan_steps, noise

_TRAINED = ("reconstruction_loss", "mean_loss", "kl")
_TESTED = ("kl", "psnr_mean", "psnr_sample", "sample_std")


@keras.saving.register_keras_serializable(package="sr_keras")
class VAE(keras.Model):
    """Learns the distribution of HR images for an LR image, and samples from it.

    A network trained on pixels predicts the mean of all HR images that match the LR
    image, which is blurred. In a conditional variational autoencoder, latent variables
    `z` describe how these images differ. The encoder computes the posterior
    `q(z | lr, hr)`, the decoder the image from `lr` and `z`. The prior of `z` is a
    standard normal distribution, from which `z` is drawn when there is no `hr`.

    Training maximizes the ELBO, the evidence lower bound: it minimizes the error of the
    reconstruction plus `kl_weight` times the Kullback-Leibler divergence of the
    posterior from the prior. With a weight other than 1 this is a beta-VAE.

    The weight decides what is learned. If it is too low, `z` contains the whole image
    and samples from the prior are noise. If it is too high, the decoder ignores `z` and
    all samples are equal: the posterior has collapsed, and `kl` is 0. With a good
    weight, the samples are as far from the mean as `hr` is, so their PSNR is 3 dB lower
    than that of the mean.

    The decoder is also trained on the mean of the prior, `z = 0`, which is
    temperature 0. Calling the model, `predict`, `evaluate` and `sr_keras.upscale` use
    it, and `upscaler` is a plain network for it that can be saved to `.keras`.

        vae = VAE(vae_encoder(4), vae_decoder(4))
        vae.compile(keras.optimizers.Adam(1e-3), annealing_steps=2_000)
        vae.fit(batches, steps_per_epoch=10_000)
        images = vae.sample(lr, temperature=0.8, num_samples=5)

    Args:
        encoder: A `vae_encoder`.
        decoder: A `vae_decoder` with the same number of latent channels.
        seed: An integer. The noise of a step depends only on the seed and the number
            of the step.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`. Batches are `(lr, hr)`, integers or floats
        in [0, 1].

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If Keras runs on another backend than TensorFlow or JAX.

    References:
        [Kingma and Welling, 2013](https://arxiv.org/abs/1312.6114),
        [Sohn et al., 2015](https://papers.nips.cc/paper/5775),
        [Higgins et al., 2017](https://openreview.net/forum?id=Sy2fzU9gl)
    """

    def __init__(self, encoder, decoder, seed=0, name="vae"):
        # The policy of the decoder, so that `compile` scales the loss in float16. No
        # autocast, because it would round the inputs to 16 bits.
        super().__init__(name=name, dtype=decoder.dtype_policy, autocast=False)
        distribution.check_backend(self)
        self.encoder = encoder
        self.decoder = decoder
        self.upscaler = vae_upscaler(decoder)
        self.seed = seed
        self.latent_channels = decoder.input_shape[1][-1]
        self.trackers = types.MappingProxyType({})
        self.step = self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="step",
        )
        self.built = True  # All variables exist, so that weights can be loaded.

    @property
    def scale(self):
        """The upscaling factor."""
        return scale_of(self.upscaler)

    def compile(
        self,
        optimizer,
        loss="l1",
        kl_weight=1e-3,
        mean_weight=0.5,
        annealing_steps=0,
        **kwargs,
    ):
        """Configures the training.

        Args:
            optimizer: A Keras optimizer or its name.
            loss: Compares `hr` with the image of the decoder; anything that
                `losses.get` takes.
            kl_weight: Weight of the Kullback-Leibler divergence, in nats per LR pixel:
                the beta of the beta-VAE. The default suits "l1". If samples are more
                than 3 dB worse than the mean, it is too low.
            mean_weight: Weight of the same loss at temperature 0.
            annealing_steps: Number of steps over which `kl_weight` grows from 0, so
                that the decoder learns to use `z` before the divergence matters.
            **kwargs: Arguments of `keras.Model.compile`, such as `metrics`, which are
                computed at temperature 0.

        Raises:
            ValueError: If there is no such loss, or a number is negative or not finite.
        """
        check_numbers(
            kl_weight=kl_weight,
            mean_weight=mean_weight,
            annealing_steps=annealing_steps,
        )
        for name, value in (
            ("kl_weight", kl_weight),
            ("mean_weight", mean_weight),
            ("annealing_steps", annealing_steps),
        ):
            if value < 0:
                raise ValueError(
                    f"`{name}` must be 0 or more. Received: {name}={value}"
                )
        super().compile(optimizer=optimizer, **kwargs)
        # Without variables the state of the optimizer could not be loaded.
        self.optimizer.build(self.trainable_variables)
        self.compare = losses.get(loss)
        self.kl_weight = kl_weight
        self.mean_weight = mean_weight
        self.annealing_steps = annealing_steps
        strategy = getattr(self, "distribute_strategy", None)  # TensorFlow only
        self.num_replicas = strategy.num_replicas_in_sync if strategy else 1
        # Read-only, because Keras refuses to track new metrics in a dict after the
        # model was called.
        self.trackers = types.MappingProxyType(
            {
                name: keras.metrics.Mean(name)
                for name in dict.fromkeys(_TRAINED + _TESTED)
            }
        )

    def get_compile_config(self):
        if not self.compiled:
            return {}
        config = super().get_compile_config()
        config.pop("loss_weights", None)
        return {
            **config,
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "loss": keras.losses.serialize(self.compare),
            "kl_weight": self.kl_weight,
            "mean_weight": self.mean_weight,
            "annealing_steps": self.annealing_steps,
        }

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self):
        return [*super().metrics, *self.trackers.values()]

    # Training

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        # Before the first step, Keras builds the metrics on a batch as it was given.
        return super().compute_metrics(x, to_float(y), y_pred, sample_weight)

    def train_step(self, *args):
        """Trains both networks on a batch.

        The logs contain `reconstruction_loss` (the error of the image for a `z` from
        the posterior), `mean_loss` (the error at temperature 0), and `kl`, the
        information in `z` in nats per LR pixel. If the first two are equal and `kl` is
        0, the posterior has collapsed.
        """
        # TensorFlow calls it with `data`, and JAX with `state` and `data`.
        *state, data = args
        result = super().train_step(*state, gan_steps.float_pair(data))
        if keras.backend.backend() == "jax":
            logs, state = result
            return self._without(logs, _TRAINED), state
        return self._without(result, _TRAINED)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Computes the negative ELBO of a batch, and the error at temperature 0.

        Args:
            x: `lr`, `(batch, height, width, channels)`, in [0, 1].
            y: `hr`, `(batch, scale * height, scale * width, channels)`, in [0, 1].
            y_pred: The output of `upscaler`.
            sample_weight: Not used.
            training: Whether the networks run in training mode.

        Returns:
            A scalar.
        """
        mean, log_variance = self.encoder([x, y], training=training)
        z = mean + ops.exp(0.5 * log_variance) * self.noise(ops.shape(mean), self.step)
        reconstruction = self.compare(y, self.decoder([x, z], training=training))
        average = self.compare(y, y_pred)
        # A `keras.losses.Loss` is divided by the number of replicas, a mean is not.
        kl = ops.mean(kl_divergence(mean, log_variance)) / self.num_replicas
        for name, value in zip(_TRAINED, (reconstruction, average, kl), strict=True):
            self.trackers[name].update_state(value * self.num_replicas)
        kl_weight = self.annealed_kl_weight()
        self.step.assign(self.step + 1)
        return reconstruction + self.mean_weight * average + kl_weight * kl

    def annealed_kl_weight(self):
        """Returns the weight of the divergence in the next step."""
        if self.annealing_steps == 0:
            return self.kl_weight
        step = ops.cast(self.step, "float32") + 1.0
        return self.kl_weight * ops.minimum(1.0, step / self.annealing_steps)

    def test_step(self, *args):
        """Reports how much the latent variables contain, and the quality of samples.

        The logs contain `kl` as in training; `psnr_mean` at temperature 0 and
        `psnr_sample` at temperature 1 (RGB, averaged over images, in dB);
        `sample_std`, the standard deviation of samples, where white is 1; and the
        compiled metrics.
        """
        if keras.backend.backend() == "jax":
            return gan_steps.test_on_jax(self, *args)
        return self.scores(*gan_steps.float_pair(*args))

    def scores(self, lr, hr):
        """Updates and returns the logs of a `test_step`."""
        mean, log_variance = self.encoder([lr, hr], training=False)
        sr = self(lr, training=False)
        first, second = (
            self.decoder([lr, self.noise(ops.shape(mean), k)], training=False)
            for k in (0, 1)
        )
        # The difference of two samples has twice the variance of one.
        variance = ops.mean((first - second) ** 2, axis=(1, 2, 3)) / 2
        for name, values in (
            ("kl", kl_divergence(mean, log_variance)),
            ("psnr_mean", metrics.psnr(hr, sr)),
            ("psnr_sample", metrics.psnr(hr, first)),
            ("sample_std", ops.sqrt(variance)),
        ):
            self.trackers[name].update_state(values)
        return self._without(self.compute_metrics(lr, hr, sr), _TESTED, "loss")

    def noise(self, shape, step):
        """Draws from the prior: the noise of a training step.

        Args:
            shape: Shape of the noise.
            step: Number of the step. Every step has different noise, and so has every
                replica of a `tf.distribute` strategy.

        Returns:
            A float32 tensor.
        """
        return noise.normal(shape, self.seed, step)

    def _without(self, logs, names, *others):
        """Removes the trackers that a kind of step does not update."""
        unused = {*self.trackers, *others} - {*names}
        return {name: value for name, value in logs.items() if name not in unused}

    # Sampling

    def sample(self, lr, temperature=1.0, num_samples=1, seed=None):
        """Samples HR images for LR images.

        Args:
            lr: `(batch, height, width, channels)`, integers or floats in [0, 1].
            temperature: Factor for the latent variables. 1 samples from the prior,
                smaller values give more probable images, and 0 always gives the same.
            num_samples: Number of samples for each LR image.
            seed: None, or an integer, to obtain the same samples again.

        Returns:
            A float32 array `(num_samples, batch, scale * height, scale * width,
            channels)`, not clipped.

        Raises:
            ValueError: If `lr` is not a batch or a number is out of range.
        """
        if len(lr.shape) != 4:
            raise ValueError(
                "`lr` must have the shape (batch, height, width, channels). Received:"
                f" shape={tuple(lr.shape)}"
            )
        if temperature < 0:
            raise ValueError(
                f"`temperature` must be 0 or more. Received: temperature={temperature}"
            )
        check_counts(num_samples=num_samples)
        lr = np.asarray(to_float(lr))
        rng = np.random.default_rng(seed)
        shape = (*lr.shape[:3], self.latent_channels)
        samples = []
        for _ in range(num_samples):
            z = temperature * rng.standard_normal(shape, "float32")
            samples.append(self.decoder.predict_on_batch([lr, z]))
        return np.stack(samples)

    # The model in place of its upscaler

    def call(self, lr, training=None):
        return self.upscaler(lr, training=training)

    @property
    def input(self):
        return self.upscaler.input

    @property
    def output(self):
        return self.upscaler.output

    @property
    def input_shape(self):
        return self.upscaler.input_shape

    @property
    def output_shape(self):
        return self.upscaler.output_shape

    def get_config(self):
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        networks = {
            key: keras.saving.deserialize_keras_object(config[key])
            for key in ("encoder", "decoder")
        }
        return cls(**{**config, **networks})


def kl_divergence(mean, log_variance):
    """Computes the KL divergence of normal distributions from the standard normal one.

    Args:
        mean: `(batch, height, width, latent_channels)`
        log_variance: The same shape.

    Returns:
        `(batch, height, width)`, in nats, summed over the latent channels.
    """
    terms = mean**2 + ops.exp(log_variance) - 1.0 - log_variance
    return 0.5 * ops.sum(terms, axis=-1)


def sample_std(samples):
    """Computes the standard deviation of samples at each pixel.

    Args:
        samples: `(num_samples, batch, height, width, channels)`, at least two.

    Returns:
        `(batch, height, width)`, the root of the mean variance of the channels.

    Raises:
        ValueError: If there are fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError(
            f"`samples` must hold at least two samples. Received: {len(samples)}"
        )
    return np.sqrt(np.var(samples, axis=0, ddof=1).mean(axis=-1))


def plot_sample_std(vae, lr, hr=None, temperature=1.0, num_samples=8, seed=0, gain=10):
    """Draws samples of a VAE, and where they differ.

    Args:
        vae: A `VAE`.
        lr: `(height, width, channels)`, integers or floats in [0, 1].
        hr: None, or the HR image.
        temperature: As in `VAE.sample`.
        num_samples: Number of samples that the standard deviation is computed from, at
            least two.
        seed: As in `VAE.sample`.
        gain: Factor by which the standard deviation is brightened.

    Returns:
        A matplotlib Figure, see `plotting.comparison`: two samples, their standard
        deviation (white where they differ most), the image at temperature 0, and `hr`.

    Raises:
        ValueError: If `num_samples` is not an integer of at least 2.
    """
    if not is_count(num_samples) or num_samples < 2:
        raise ValueError(
            "`num_samples` must be an integer of at least 2. Received:"
            f" num_samples={num_samples!r}"
        )
    samples = vae.sample(lr[None], temperature, num_samples, seed)
    panels = {
        "sample 1": samples[0, 0],
        "sample 2": samples[1, 0],
        f"std x {gain}": np.minimum(gain * sample_std(samples)[0], 1.0),
        "temperature 0": vae.sample(lr[None], temperature=0.0)[0, 0],
    }
    if hr is not None:
        panels["HR"] = hr
    return plotting.comparison(panels)
