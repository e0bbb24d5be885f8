"""Training of the conditional variational autoencoder, and sampling from it."""

import types

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from sr_keras import losses, metrics, plotting
from sr_keras.images import to_float
from sr_keras.models.vae import vae_upscaler
from sr_keras.training import distribution
from sr_keras.training.adversarial import float_pair


@keras.saving.register_keras_serializable(package="sr_keras")
class VAE(keras.Model):
    """Learns which HR images are plausible for an LR image, and samples them.

    A network trained on pixels answers with the mean of all HR images that fit, which
    is blurred. Here the encoder puts what tells them apart into latent variables,
    `z`, the decoder makes the image of `lr` and `z`, and a price on what `z` says,
    the Kullback-Leibler divergence from a standard normal distribution, keeps `z`
    such that it can be drawn at random where there is no `hr`.

    The price decides: with none, `z` holds the whole image, and a random one makes
    noise; with too high a one, the decoder learns to do without `z`, and all samples
    are equal (a collapse: `kl` is 0). Where it is right, samples lie around the mean
    as `hr` does, and as far from it, so that their PSNR is 3 dB lower than that of
    the mean.

    The decoder also learns to make the mean of `z = 0`. That is temperature 0, which
    calling the model, `predict`, `evaluate` and `sr_keras.upscale` use, and
    `upscaler`, a plain network that saves to `.keras`.

        vae = VAE(vae_encoder(4), vae_decoder(4))
        vae.compile(keras.optimizers.Adam(1e-3), annealing_steps=2_000)
        vae.fit(batches, steps_per_epoch=10_000)
        images = vae.sample(lr, temperature=0.8, num_samples=5)

    Args:
        encoder: A `vae_encoder`.
        decoder: A `vae_decoder` with as many latent channels.
        seed: An integer. The noise of step k depends on it and k alone.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`; batches are `(lr, hr)`, integers or
        floats in [0, 1].

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    References:
        [Kingma and Welling, 2013](https://arxiv.org/abs/1312.6114),
        [Sohn et al., 2015](https://papers.nips.cc/paper/5775)
    """

    def __init__(self, encoder, decoder, seed=0, name="vae"):
        # of the decoder's policy, so that in float16 `compile` scales the loss; no
        # autocast, which would round the inputs to 16 bits
        super().__init__(name=name, dtype=decoder.dtype_policy, autocast=False)
        distribution.check_tensorflow(self)
        self.encoder = encoder
        self.decoder = decoder
        self.upscaler = vae_upscaler(decoder)
        self.seed = seed
        self.latent_channels = decoder.input_shape[1][-1]
        self.trackers = types.MappingProxyType({})
        self.built = True  # nothing is left to make, so that weights can be loaded

    def compile(
        self,
        optimizer,
        loss="l1",
        kl_weight=1e-3,
        mean_weight=0.5,
        annealing_steps=0,
        **kwargs,
    ):
        """Sets how the two networks are trained.

        Args:
            optimizer: A Keras optimizer or its name.
            loss: Compares `hr` with what the decoder makes: a name that
                `losses.get` knows or a `keras.losses.Loss`.
            kl_weight: The price of a nat (1.44 bits) of `z`, averaged over LR
                pixels. The default suits "l1"; where samples are more than 3 dB
                worse than the mean, it is too low.
            mean_weight: Weight of the same loss at temperature 0.
            annealing_steps: Steps in which `kl_weight` grows from 0, so that the
                decoder comes to use `z` before it costs much.
            **kwargs: Arguments of `keras.Model.compile`, such as `metrics`, which
                are computed at temperature 0.

        Raises:
            ValueError: If there is no such loss or a number is negative.
        """
        for name, value in (
            ("kl_weight", kl_weight),
            ("mean_weight", mean_weight),
            ("annealing_steps", annealing_steps),
        ):
            if value < 0:
                raise ValueError(f"`{name}` must not be negative. Received: {value}")
        super().compile(optimizer=optimizer, **kwargs)
        # else loading would skip the variables it does not have yet
        self.optimizer.build(self.trainable_variables)
        self.compare = losses.get(loss)
        self.kl_weight = kl_weight
        self.mean_weight = mean_weight
        self.annealing_steps = annealing_steps
        self.num_replicas = self.distribute_strategy.num_replicas_in_sync
        # a proxy, because Keras refuses to track metrics once the model was called
        names = ("reconstruction_loss", "mean_loss", "kl", "loss")
        names += ("psnr_mean", "psnr_sample", "spread")
        self.trackers = types.MappingProxyType(
            {name: keras.metrics.Mean(name) for name in names}
        )

    @property
    def metrics(self):
        return [*super().metrics, *self.trackers.values()]

    # Training

    def train_step(self, data):
        """Trains both networks on a batch.

        Logs `reconstruction_loss` (the decoder knows `z` from `hr`), `mean_loss` (it
        does not), and `kl`, how many nats `z` tells for each LR pixel. If the first
        two are equal and the last is 0, the latent variables have collapsed.
        """
        lr, hr = float_pair(data)
        with tf.GradientTape() as tape:
            mean, log_variance = self.encoder([lr, hr], training=True)
            noise = self._noise(mean, self.optimizer.iterations)
            z = mean + ops.exp(0.5 * log_variance) * noise
            reconstruction = self.compare(hr, self.decoder([lr, z], training=True))
            average = self.compare(hr, self.upscaler(lr, training=True))
            # a `keras.losses.Loss` is divided by the number of replicas, a mean not
            kl = ops.mean(kl_divergence(mean, log_variance)) / self.num_replicas
            loss = (
                reconstruction
                + self.mean_weight * average
                + self.annealed_kl_weight() * kl
            )
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for name, value in (
            ("reconstruction_loss", reconstruction),
            ("mean_loss", average),
            ("kl", kl),
            ("loss", loss),
        ):
            self.trackers[name].update_state(value * self.num_replicas)
        return self._results("reconstruction_loss", "mean_loss", "kl", "loss")

    def annealed_kl_weight(self):
        """Returns the price of the step that comes next."""
        if self.annealing_steps == 0:
            return self.kl_weight
        step = ops.cast(self.optimizer.iterations, "float32") + 1.0
        return self.kl_weight * ops.minimum(1.0, step / self.annealing_steps)

    def test_step(self, data):
        """Reports whether the latent variables say something, and what it costs.

        `kl` as in training; `psnr_mean` at temperature 0 and `psnr_sample` at
        temperature 1 (RGB, means over images, in dB); `spread`, the standard
        deviation of samples, where 1 is white; and the compiled metrics.
        """
        lr, hr = float_pair(data)
        mean, log_variance = self.encoder([lr, hr], training=False)
        sr = self(lr, training=False)
        first, second = (
            self.decoder([lr, self._noise(mean, k)], training=False) for k in (0, 1)
        )
        # the difference of two samples has twice the variance of one
        variance = ops.mean((first - second) ** 2, axis=(1, 2, 3)) / 2
        for name, values in (
            ("kl", kl_divergence(mean, log_variance)),
            ("psnr_mean", metrics.psnr(hr, sr)),
            ("psnr_sample", metrics.psnr(hr, first)),
            ("spread", ops.sqrt(variance)),
        ):
            self.trackers[name].update_state(values)
        self.compute_metrics(lr, hr, sr)
        return self._results("kl", "psnr_mean", "psnr_sample", "spread")

    def _noise(self, like, step):
        seed = ops.stack([self.seed, ops.cast(step, "int32")])
        return tf.random.stateless_normal(ops.shape(like), seed)

    def _results(self, *names):
        """What was logged, without the trackers that this kind of step leaves alone."""
        others = set(self.trackers) - set(names)
        logs = self.get_metrics_result()
        return {name: value for name, value in logs.items() if name not in others}

    # Sampling

    def sample(self, lr, temperature=1.0, num_samples=1, seed=None):
        """Samples HR images for LR images.

        Args:
            lr: `(batch, height, width, channels)`, integers or floats in [0, 1].
            temperature: Factor on the latent variables. 1 samples as was learned;
                less gives more probable images, and 0 always the same.
            num_samples: How many for each LR image.
            seed: None, or an integer, for the same samples again.

        Returns:
            A float32 array `(num_samples, batch, scale * height, scale * width,
            channels)`, not clipped.

        Raises:
            ValueError: If the images are no batch or a number is out of range.
        """
        if len(lr.shape) != 4:
            raise ValueError(
                "`lr` must be a batch, (batch, height, width, channels)."
                f" Received: {tuple(lr.shape)}"
            )
        if temperature < 0:
            raise ValueError(
                f"`temperature` must be 0 or more. Received: {temperature}"
            )
        if num_samples < 1:
            raise ValueError(
                f"`num_samples` must be 1 or more. Received: {num_samples}"
            )
        lr = np.asarray(to_float(lr))
        rng = np.random.default_rng(seed)
        shape = (*lr.shape[:3], self.latent_channels)
        samples = []
        for _ in range(num_samples):
            z = temperature * rng.standard_normal(shape, "float32")
            samples.append(self.decoder.predict_on_batch([lr, z]))
        return np.stack(samples)

    # The upscaler's place

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
    """Computes how far normal distributions are from standard normal ones.

    Args:
        mean: `(batch, height, width, latent_channels)`
        log_variance: The same shape.

    Returns:
        `(batch, height, width)`, in nats, summed over the latent channels.
    """
    terms = mean**2 + ops.exp(log_variance) - 1.0 - log_variance
    return 0.5 * ops.sum(terms, axis=-1)


def spread(samples):
    """Computes where samples differ: their standard deviation at each pixel.

    Args:
        samples: `(num_samples, batch, height, width, channels)`, at least two.

    Returns:
        `(batch, height, width)`, the root of the mean variance of the channels.

    Raises:
        ValueError: If there are less than two.
    """
    if len(samples) < 2:
        raise ValueError(f"It takes two samples to differ. Received: {len(samples)}")
    return np.sqrt(np.var(samples, axis=0, ddof=1).mean(axis=-1))


def plot_spread(vae, lr, hr=None, temperature=1.0, num_samples=8, seed=0, gain=10):
    """Draws a picture of what a VAE is sure of, and what it makes up.

    Args:
        vae: A `VAE`.
        lr: `(height, width, channels)`, integers or floats in [0, 1].
        hr: None, or the HR image.
        temperature: As in `VAE.sample`.
        num_samples: How many the spread is computed from.
        seed: As in `VAE.sample`.
        gain: How many times brighter the spread is drawn than it is.

    Returns:
        A matplotlib Figure, see `plotting.comparison`: two samples, the spread (white
        where they differ most), the image at temperature 0, and `hr`.
    """
    samples = vae.sample(lr[None], temperature, num_samples, seed)
    panels = {
        "sample 1": samples[0, 0],
        "sample 2": samples[1, 0],
        f"spread x {gain}": np.minimum(gain * spread(samples)[0], 1.0),
        "temperature 0": vae.sample(lr[None], temperature=0.0)[0, 0],
    }
    if hr is not None:
        panels["HR"] = hr
    return plotting.comparison(panels)
