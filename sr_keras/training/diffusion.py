"""Training of a conditional diffusion model, and sampling from it."""

import keras
import numpy as np
from keras import ops

from sr_keras import losses
from sr_keras.checks import check_counts
from sr_keras.images import to_float
from sr_keras.models.denoiser import denoiser_upscaler
from sr_keras.models.network import scale_of
from sr_keras.training import distribution, gan_steps, noise


@keras.saving.register_keras_serializable(package="sr_keras")
class Diffusion(keras.Model):
    """Learns to remove noise, and samples HR images by removing it step by step.

    The noisy image at time t in [0, 1] is `signal * image + noise_rate * noise`, with
    an image in [-1, 1], normal noise, and the rates of `rates(t)`. At time 0 it is the
    image, at time 1 it is noise and nothing else. A network learns to tell the two
    parts apart, given the LR image. Sampling begins with noise at time 1 and goes back
    to time 0 in a few steps: in each, the network estimates image and noise, and they
    are mixed again with the rates of the next time.

    Each step of the training is a regression: the network sees the noisy image and
    minimizes the error of the velocity `signal * noise - noise_rate * image` of
    Salimans and Ho. Image and noise both follow from the velocity and the noisy image.
    DDPM and SR3 predict the noise. For a single time, the two squared errors differ by
    a constant factor, but an image cannot be computed from the noise at time 1.

    Other differences from the papers: time is continuous, while DDPM has 1000 steps;
    the schedule is the cosine of Nichol and Dhariwal without their offset; sampling is
    DDIM, which adds no new noise.

    At time 1 the best prediction is the mean of all HR images that match the LR
    image. Calling the model, `predict`, `evaluate` and `sr_keras.upscale` use it, and
    `upscaler` is a plain network for it that can be saved to `.keras`.

        diffusion = Diffusion(denoiser(4))
        diffusion.compile(keras.optimizers.Adam(1e-3))
        diffusion.fit(batches, steps_per_epoch=10_000)
        images = diffusion.sample(lr, num_steps=20, num_samples=5)

    Args:
        denoiser: A `denoiser`, or another model with its inputs and output that knows
            its scale (`models.Network`).
        seed: An integer. The times and the noise of a step depend only on the seed and
            the number of the step.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`. Batches are `(lr, hr)`, integers or floats
        in [0, 1].

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If Keras runs on another backend than TensorFlow or JAX.

    References:
        [Ho et al., 2020](https://arxiv.org/abs/2006.11239),
        [Song et al., 2021](https://arxiv.org/abs/2010.02502),
        [Nichol and Dhariwal, 2021](https://arxiv.org/abs/2102.09672),
        [Saharia et al., 2021](https://arxiv.org/abs/2104.07636),
        [Salimans and Ho, 2022](https://arxiv.org/abs/2202.00512)
    """

    def __init__(self, denoiser, seed=0, name="diffusion"):
        # The policy of the denoiser, so that `compile` scales the loss in float16. No
        # autocast, because it would round the inputs to 16 bits.
        super().__init__(name=name, dtype=denoiser.dtype_policy, autocast=False)
        distribution.check_backend(self)
        self.denoiser = denoiser
        self.upscaler = denoiser_upscaler(denoiser)
        self.seed = seed
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
        return scale_of(self.denoiser)

    def compile(self, optimizer, loss="l2", **kwargs):
        """Configures the training.

        Args:
            optimizer: A Keras optimizer or its name.
            loss: Compares the true velocity with the predicted one; anything that
                `losses.get` takes. The squared error makes the upscaler the mean of
                all answers.
            **kwargs: Arguments of `keras.Model.compile`, such as `metrics`, which
                compare `hr` with the output of the upscaler.

        Raises:
            ValueError: If there is no such loss.
        """
        super().compile(optimizer=optimizer, loss=losses.get(loss), **kwargs)
        # Without variables the state of the optimizer could not be loaded.
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    # Training

    def train_step(self, *args):
        """Trains the denoiser on a batch, with new times and noise."""
        # TensorFlow calls it with `data`, and JAX with `state` and `data`.
        *state, data = args
        return super().train_step(*state, gan_steps.float_pair(data))

    def test_step(self, *args):
        """Scores a batch; its times and noise are always those of the first step."""
        *state, data = args
        return super().test_step(*state, gan_steps.float_pair(data))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        # Before the first step, Keras builds the metrics on a batch as it was given.
        return super().compute_metrics(x, to_float(y), y_pred, sample_weight)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Computes the error of the velocity at one random time for each image.

        Args:
            x: `lr`, `(batch, height, width, channels)`, in [0, 1].
            y: `hr`, `(batch, scale * height, scale * width, channels)`, in [0, 1].
            y_pred: Not used.
            sample_weight: Not used.
            training: Whether the networks run in training mode.

        Returns:
            A scalar.
        """
        x, y = to_float(x), to_float(y)
        step = self.step if training else 0
        time, added = self.draw(ops.shape(y), step)
        noisy, velocity = mix(2.0 * y - 1.0, added, time)
        predicted = self.denoiser([noisy, time, x], training=training)
        if training:
            self.step.assign(self.step + 1)
        return super().compute_loss(x, velocity, predicted, training=training)

    def draw(self, shape, step):
        """Draws the times and the noise of a training step.

        Args:
            shape: Shape of the HR images.
            step: Number of the step.

        Returns:
            `(time, noise)`: float32 tensors of the shapes `(batch,)` and `shape`.
        """
        # different numbers, because equal ones would make the two depend on each other
        time = noise.uniform((shape[0],), self.seed, 2 * step)
        return time, noise.normal(shape, self.seed, 2 * step + 1)

    # Sampling

    def sample(self, lr, num_steps=50, num_samples=1, seed=None):
        """Samples HR images for LR images with DDIM.

        Args:
            lr: `(batch, height, width, channels)`, integers or floats in [0, 1].
            num_steps: Number of times that the denoiser is called, at equal distances
                of the time. With 1, the result is the mean of all answers.
            num_samples: Number of samples for each LR image.
            seed: None, or an integer, to obtain the same samples again.

        Returns:
            A float32 array `(num_samples, batch, scale * height, scale * width,
            channels)`, in [0, 1].

        Raises:
            ValueError: If `lr` is not a batch or a number is not a positive integer.
        """
        if len(lr.shape) != 4:
            raise ValueError(
                "`lr` must have the shape (batch, height, width, channels). Received:"
                f" shape={tuple(lr.shape)}"
            )
        check_counts(num_steps=num_steps, num_samples=num_samples)
        lr = np.asarray(to_float(lr))
        batch, height, width, channels = lr.shape
        scale = self.denoiser.scale
        rng = np.random.default_rng(seed)
        samples = []
        for _ in range(num_samples):
            start = rng.standard_normal(
                (batch, scale * height, scale * width, channels), "float32"
            )
            samples.append(self._ddim(start, lr, num_steps))
        return (np.stack(samples) + 1) / 2

    def _ddim(self, x, lr, num_steps):
        """Returns an image in [-1, 1] for the noise `x`."""
        times = np.linspace(1, 0, num_steps + 1, dtype="float32")
        for i in range(num_steps):
            time = np.full(len(lr), times[i])
            velocity = self.denoiser.predict_on_batch([x, time, lr])
            signal, rate = (np.asarray(value) for value in rates(times[i]))
            # clipped as in DDPM, so that errors do not grow from step to step
            image = np.clip(signal * x - rate * velocity, -1, 1)
            found = (x - signal * image) / rate
            signal, rate = (np.asarray(value) for value in rates(times[i + 1]))
            x = signal * image + rate * found
        return image

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
            "denoiser": keras.saving.serialize_keras_object(self.denoiser),
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        denoiser = keras.saving.deserialize_keras_object(config["denoiser"])
        return cls(**{**config, "denoiser": denoiser})


def rates(time):
    """Returns how much image and how much noise there is at a time.

    The cosine schedule: `cos(pi / 2 * time)` and `sin(pi / 2 * time)`, whose squares
    sum to 1. If image and noise both have a variance of 1, so has their mixture.

    Args:
        time: Number or tensor in [0, 1].

    Returns:
        `(signal, noise_rate)`, tensors of the shape of `time`. DDPM calls their squares
        alpha bar and 1 - alpha bar.

    Reference:
        [Nichol and Dhariwal, 2021](https://arxiv.org/abs/2102.09672)
    """
    angle = ops.multiply(time, np.float32(np.pi / 2))
    return ops.cos(angle), ops.sin(angle)


def mix(image, noise, time):
    """Adds noise to images, as it is at the given times.

    Args:
        image: `(batch, height, width, channels)`, in [-1, 1].
        noise: The same shape.
        time: `(batch,)`, in [0, 1].

    Returns:
        `(noisy, velocity)`: `signal * image + noise_rate * noise`, and what the
        denoiser learns to predict from it, `signal * noise - noise_rate * image`.
    """
    signal, rate = rates(ops.reshape(time, (-1, 1, 1, 1)))
    return signal * image + rate * noise, signal * noise - rate * image
