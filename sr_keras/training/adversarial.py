"""Adversarial training: a generator against a discriminator."""

import math
import types
import warnings

import keras
import tensorflow as tf
from keras import ops

from sr_keras.features import FeatureExtractor
from sr_keras.images import to_float
from sr_keras.losses import WeightedSum
from sr_keras.models import feature_discriminator, srgan_discriminator
from sr_keras.training import distribution


@keras.saving.register_keras_serializable(package="sr_keras")
class GAN(keras.Model):
    """Trains a generator to make images that a discriminator takes for photos.

    Any network from `lr` to `sr` is a generator, and any from images to logits a
    discriminator; what it returns besides (one verdict, one for each patch or
    pixel) does not matter. One with several outputs is several discriminators,
    whose losses are added up, such as `srfeat_discriminator`. One with two inputs
    gets `[images, lr]`, and judges whether the images fit `lr`, as in pix2pix.

    SRGAN, from a generator that was trained on the squared error before:

        gan = GAN(srresnet(4, weights="srresnet.weights.h5"), srgan_discriminator())
        gan.compile(
            keras.optimizers.Adam(1e-4),
            keras.optimizers.Adam(1e-4),
            terms=[(0.006, "content")],
            adversarial_weight=1e-3,
        )
        gan.fit(batches, steps_per_epoch=100_000)

    Calling the model calls the generator, so `predict`, `evaluate` and
    `sr_keras.upscale` take it as one. Networks that compute in float16 get both
    losses scaled.

    To try another objective, override `generator_loss`, `adversarial_loss` or
    `discriminator_loss`, and to try another rhythm, `turns`; they are `keras.ops`
    throughout. Every term should be a `keras.losses.Loss`: under a
    `tf.distribute` strategy these are divided by the number of replicas, and a
    mean of `ops` is not, so that mixing the two shifts the balance.

    Args:
        generator: A functional `keras.Model` from `lr` to `sr`.
        discriminator: A functional `keras.Model` from images to logits, positive
            for photos.
        name: Model name.

    Input shape:
        That of the generator; batches are `(lr, hr)`, integers or floats in
        [0, 1].

    Output shape:
        That of the generator.

    References:
        [Ledig et al., 2017](https://arxiv.org/abs/1609.04802),
        [Isola et al., 2017](https://arxiv.org/abs/1611.07004),
        [Park et al., 2018](https://doi.org/10.1007/978-3-030-01270-0_27)
    """

    # A loss of 0.01 is that of a discriminator which is 99.5 % sure, and right.
    COLLAPSED_LOSS = 0.01
    COLLAPSED_STEPS = 500

    def __init__(self, generator, discriminator, name="gan"):
        # else the inputs would be rounded to 16 bits under a mixed policy
        super().__init__(name=name, dtype="float32")
        distribution.check_tensorflow(self)
        self.generator = generator
        self.discriminator = discriminator
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.terms = self.trackers = types.MappingProxyType({})
        self.step = self._counter("step")
        self.collapsed_steps = self._counter("collapsed_steps")
        self.built = True  # nothing is left to make, so that weights can be loaded

    def _counter(self, name):
        return self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name=name,
        )

    def compile(
        self,
        generator_optimizer,
        discriminator_optimizer,
        terms,
        adversarial_weight=1e-3,
        discriminator_steps=1,
        generator_waits_above=None,
        discriminator_waits_below=None,
        **kwargs,
    ):
        """Sets how the two are trained.

        Schedules, gradient clipping and moving averages are the optimizers' own
        (`learning_rate`, `global_clipnorm`, `use_ema`). The average is what
        `TrainingRun` scores and keeps; `fit` leaves the weights as they are.

        With `generator_waits_above=1.3` a new discriminator is first trained
        alone, until it is better than guessing (1.39), and then the two take
        turns: whenever the generator has fooled it, it waits. To train one of
        the two alone for a fixed time, set `trainable` of the other to False
        before `compile`.

        Args:
            generator_optimizer: A Keras optimizer or its name.
            discriminator_optimizer: The same, another object.
            terms: List of `(weight, loss)`: what the generator minimizes besides,
                such as content, texture, pixel and total variation; a loss is a
                name that `losses.get` knows or a `keras.losses.Loss`. Each is
                logged, without its weight, under its name.
            adversarial_weight: Weight of the adversarial loss.
            discriminator_steps: Steps of the discriminator for one of the
                generator.
            generator_waits_above: None, or the discriminator loss above which the
                generator is not trained.
            discriminator_waits_below: None, or the discriminator loss below which
                the discriminator is not trained.
            **kwargs: Arguments of `keras.Model.compile`, such as `metrics`.

        Raises:
            ValueError: If the terms are no such list, a number is out of range,
                the optimizers are one object, or turns are asked for under a
                `tf.distribute` strategy with several replicas.
        """
        if discriminator_steps < 1:
            raise ValueError(
                "`discriminator_steps` must be at least 1."
                f" Received: {discriminator_steps}"
            )
        if generator_optimizer is discriminator_optimizer and not isinstance(
            generator_optimizer, str
        ):
            raise ValueError(
                "Generator and discriminator need an optimizer each."
                f" Received one for both: {generator_optimizer}"
            )
        super().compile(optimizer=None, **kwargs)
        self.generator_optimizer = self._prepared(generator_optimizer, self.generator)
        self.discriminator_optimizer = self._prepared(
            discriminator_optimizer, self.discriminator
        )
        self.adversarial_weight = adversarial_weight
        self.discriminator_steps = discriminator_steps
        self.generator_waits_above = generator_waits_above
        self.discriminator_waits_below = discriminator_waits_below
        self.num_replicas = self.distribute_strategy.num_replicas_in_sync
        turns = (discriminator_steps, generator_waits_above, discriminator_waits_below)
        if self.num_replicas > 1 and turns != (1, None, None):
            raise ValueError(
                "Under a `tf.distribute` strategy both are trained in every step;"
                " `discriminator_steps` must be 1, and nobody can wait."
            )
        # Proxies: of dicts Keras would save the losses' networks with the weights,
        # and refuse to track the metrics once the model was called.
        self.terms = types.MappingProxyType(
            {loss.name: (weight, loss) for weight, loss in WeightedSum(terms).terms}
        )
        names = [*self.terms, "adversarial_loss", "discriminator_loss", "loss"]
        self.trackers = types.MappingProxyType(
            {name: keras.metrics.Mean(name) for name in names}
        )

    def _prepared(self, optimizer, network):
        """An optimizer with all its variables, which loading would else skip."""
        optimizer = keras.optimizers.get(optimizer)
        # one network in float16 is enough: the generator's gradient goes through both
        layers = [*self.generator.layers, *self.discriminator.layers]
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if not scaled and any(layer.compute_dtype == "float16" for layer in layers):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        if not optimizer.built:
            optimizer.build(network.trainable_variables)
        return optimizer

    def optimizers(self):
        """Returns the pairs of optimizer and network that it trains."""
        return [
            (self.generator_optimizer, self.generator),
            (self.discriminator_optimizer, self.discriminator),
        ]

    @property
    def metrics(self):
        return [*super().metrics, *self.trackers.values()]

    # What is minimized

    def generator_loss(self, lr, hr, sr):
        """Computes what the generator minimizes.

        Args:
            lr: `(batch, height, width, channels)`, in [0, 1].
            hr: `(batch, scale * height, scale * width, channels)`, in [0, 1].
            sr: What the generator made of `lr`, not clipped.

        Returns:
            A scalar.
        """
        adversarial = self.adversarial_loss(lr, hr, sr)
        self.track("adversarial_loss", adversarial)
        return self._fidelity(hr, sr) + self.adversarial_weight * adversarial

    def _fidelity(self, hr, sr):
        total = 0.0
        for name, (weight, loss) in self.terms.items():
            value = loss(hr, sr)
            self.track(name, value)
            total = total + weight * value
        return total

    def adversarial_loss(self, lr, hr, sr):
        """Computes how far `sr` is from passing for photos.

        `-log D(sr)`, for every output of the discriminator: log 2 = 0.69 if it
        guesses, more if it is right, less if it is fooled.
        """
        return sum(
            self.cross_entropy(ops.ones_like(fake), fake) for fake in self.judge(sr, lr)
        )

    def discriminator_loss(self, real, fake):
        """Computes what one output of the discriminator minimizes.

        `-log D(real) - log(1 - D(fake))`: a discriminator that guesses scores
        2 log 2 = 1.39, one that knows 0.

        Args:
            real: Logits of photos.
            fake: Logits of what the generator made.

        Returns:
            A scalar.
        """
        return self.cross_entropy(ops.ones_like(real), real) + self.cross_entropy(
            ops.zeros_like(fake), fake
        )

    def judge(self, images, lr):
        """Returns the list of the discriminator's outputs: logits."""
        conditional = len(self.discriminator.inputs) == 2
        inputs = [images, lr] if conditional else images
        return keras.tree.flatten(self.discriminator(inputs, training=True))

    def turns(self, discriminator_loss):
        """Decides who is trained in a step: `(generator, discriminator)`.

        Each is True, or a boolean tensor.
        """
        generator = discriminator = True
        if self.discriminator_steps > 1:
            generator = ops.equal(self.step % self.discriminator_steps, 0)
        if self.generator_waits_above is not None:
            good = discriminator_loss <= self.generator_waits_above
            generator = ops.logical_and(generator, good)
        if self.discriminator_waits_below is not None:
            discriminator = discriminator_loss >= self.discriminator_waits_below
        return generator, discriminator

    def track(self, name, loss):
        """Logs the mean of a loss; `name` must be a key of `trackers`."""
        # losses come divided by the number of replicas
        self.trackers[name].update_state(loss * self.num_replicas)

    # Training

    def train_step(self, data):
        # As in pix2pix's tutorial, both losses come from one pass of the generator
        # and from the weights before the step.
        lr, hr = float_pair(data)
        with tf.GradientTape() as generator_tape:
            sr = self.generator(lr, training=True)
            generator_loss = self.generator_loss(lr, hr, sr)
            scaled_generator_loss = self.generator_optimizer.scale_loss(generator_loss)
        with tf.GradientTape() as discriminator_tape:
            pairs = zip(self.judge(hr, lr), self.judge(sr, lr), strict=True)
            discriminator_loss = sum(self.discriminator_loss(*pair) for pair in pairs)
            scaled_discriminator_loss = self.discriminator_optimizer.scale_loss(
                discriminator_loss
            )

        generator_turn, discriminator_turn = self.turns(discriminator_loss)
        _train(
            self.generator,
            self.generator_optimizer,
            generator_tape,
            scaled_generator_loss,
            generator_turn,
        )
        _train(
            self.discriminator,
            self.discriminator_optimizer,
            discriminator_tape,
            scaled_discriminator_loss,
            discriminator_turn,
        )

        self.track("loss", generator_loss)
        self.track("discriminator_loss", discriminator_loss)
        low = discriminator_loss * self.num_replicas < self.COLLAPSED_LOSS
        self.collapsed_steps.assign(ops.where(low, self.collapsed_steps + 1, 0))
        self.step.assign_add(1)
        logs = self.compute_metrics(lr, hr, sr)
        return {**logs, "collapsed_steps": ops.convert_to_tensor(self.collapsed_steps)}

    def test_step(self, data):
        """Reports the generator's scores: the terms and the compiled metrics."""
        lr, hr = float_pair(data)
        sr = self(lr, training=False)
        self._fidelity(hr, sr)
        logs = self.compute_metrics(lr, hr, sr)
        for name in ("loss", "adversarial_loss", "discriminator_loss"):
            del logs[name]
        return logs

    def fit(self, *args, callbacks=None, **kwargs):
        """Trains as `keras.Model.fit`, and warns of a collapse.

        Warns:
            UserWarning: If a loss is NaN, or the discriminator's has been near 0
                for `COLLAPSED_STEPS` steps: then it leaves the generator nothing
                to learn from.
        """
        callbacks = [*(callbacks or []), CollapseWarning()]
        return super().fit(*args, callbacks=callbacks, **kwargs)

    # The generator's place

    def call(self, lr, training=None):
        return self.generator(lr, training=training)

    @property
    def input(self):
        return self.generator.input

    @property
    def output(self):
        return self.generator.output

    @property
    def input_shape(self):
        return self.generator.input_shape

    @property
    def output_shape(self):
        return self.generator.output_shape

    def get_config(self):
        return {
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        networks = {
            key: keras.saving.deserialize_keras_object(config[key])
            for key in ("generator", "discriminator")
        }
        return cls(**{**config, **networks})


@keras.saving.register_keras_serializable(package="sr_keras")
class RelativisticGAN(GAN):
    """A GAN whose discriminator compares: is a photo more real than the fakes?

    The relativistic average GAN of ESRGAN. The mean logit of the other kind, over
    the batch, is subtracted from each logit, so that the generator learns from
    photos too, and its loss, as that of the discriminator, is 2 log 2 = 1.39 when
    the discriminator guesses. Under a `tf.distribute` strategy the mean is that
    of each replica's part of the batch.

    ESRGAN is an `rrdb` that was trained on L1 before, with
    `terms=[(1.0, Content("VGG54/before_relu", "l1")), (0.01, "l1")]` and
    `adversarial_weight=5e-3`; see `losses.Content` for that weight of 1.

    References:
        [Wang et al., 2018](https://arxiv.org/abs/1809.00219),
        [Jolicoeur-Martineau, 2018](https://arxiv.org/abs/1807.00734)
    """

    def adversarial_loss(self, lr, hr, sr):
        # the discriminator's own loss, with the roles exchanged
        pairs = zip(self.judge(sr, lr), self.judge(hr, lr), strict=True)
        return sum(self.discriminator_loss(fake, real) for fake, real in pairs)

    def discriminator_loss(self, real, fake):
        return super().discriminator_loss(real - ops.mean(fake), fake - ops.mean(real))


class CollapseWarning(keras.callbacks.Callback):
    """Warns once if a GAN has collapsed; `GAN.fit` adds it by itself."""

    def on_train_begin(self, logs=None):
        self._warned = False

    def on_train_batch_end(self, batch, logs=None):
        if self._warned:
            return
        names = ("loss", "discriminator_loss")
        broken = [name for name in names if not math.isfinite(logs[name])]
        if broken:
            self._warn(f"{' and '.join(broken)} became NaN or infinite.")
        elif logs["collapsed_steps"] >= self.model.COLLAPSED_STEPS:
            self._warn(
                f"the discriminator loss has been below {self.model.COLLAPSED_LOSS}"
                f" for {self.model.COLLAPSED_STEPS} steps, so the generator learns"
                " nothing from it. Let the discriminator wait, slow it down, or"
                " normalize it (`spectral_norm`)."
            )

    def _warn(self, text):
        self._warned = True
        step = int(self.model.step.numpy())
        warnings.warn(f"Collapse at step {step}: {text}", stacklevel=2)


def srfeat_discriminator(
    size=96, filters=64, spectral_norm=False, name="srfeat_discriminator"
):
    """Builds SRFeat's pair: one verdict on the pixels, one on their VGG54 features.

    Args:
        size: Height and width of the patches, a multiple of 16.
        filters: Channels of the first convolution of both.
        spectral_norm: Whether spectral normalization takes the place of batch
            normalization.
        name: Model name.

    Input shape:
        `(batch, size, size, 3)`, in [0, 1].

    Output shape:
        A list of two `(batch, 1)`, float32 logits: positive means a photo.

    Reference:
        [Park et al., 2018](https://doi.org/10.1007/978-3-030-01270-0_27)
    """
    inputs = keras.Input((size, size, 3), name="image")
    of_pixels = srgan_discriminator(size, filters, spectral_norm=spectral_norm)
    of_features = feature_discriminator(
        size // 16, filters=filters, spectral_norm=spectral_norm
    )
    outputs = [of_pixels(inputs), of_features(VGG54(name="vgg54")(inputs))]
    return keras.Model(inputs, outputs, name=name)


@keras.saving.register_keras_serializable(package="sr_keras")
class VGG54(keras.layers.Layer):
    """Computes the features of VGG19's last convolution, divided by 12.75.

    The weights of VGG19 are no weights of the layer: they are neither trained nor
    saved, see `features.FeatureExtractor`.

    Input shape:
        `(batch, height, width, 3)`, in [0, 1].

    Output shape:
        `(batch, height / 16, width / 16, 512)`, rounded down, float32.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.extractor = FeatureExtractor(["VGG54"])

    def call(self, inputs):
        return self.extractor(inputs)[0] / 12.75

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, height // 16, width // 16, 512)


def interpolate_weights(first, second, amount):
    """Blends two networks of one architecture, weight by weight.

    Between a generator trained on pixels and the same one after adversarial
    training lies a choice of how much texture is invented, without new training.

    Args:
        first: A functional `keras.Model`.
        second: A functional `keras.Model` of the same architecture.
        amount: 0 for `first`, 1 for `second`.

    Returns:
        A new `keras.Model`.

    Raises:
        ValueError: If `amount` is out of range or the weights do not fit.

    Reference:
        [Wang et al., 2018](https://arxiv.org/abs/1811.10515)
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"`amount` must be from 0 to 1. Received: {amount}")
    pairs = list(zip(first.get_weights(), second.get_weights(), strict=False))
    if len(first.weights) != len(second.weights) or any(
        a.shape != b.shape for a, b in pairs
    ):
        raise ValueError(
            "Both networks must have the same weights. Received:"
            f" '{first.name}' with {first.count_params()} parameters and"
            f" '{second.name}' with {second.count_params()}"
        )
    bare = keras.Model(first.input, first.output, name=first.name)
    blend = keras.models.clone_model(bare)
    blend.set_weights([(1 - amount) * a + amount * b for a, b in pairs])
    return blend


def float_pair(data):
    """Returns a batch that came to a `train_step` as float tensors `(lr, hr)`.

    Raises:
        ValueError: If it is no pair.
    """
    lr, hr, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if hr is None or sample_weight is not None:
        received = "lr alone" if hr is None else "sample weights too"
        raise ValueError(f"Batches must be (lr, hr). Received: {received}")
    return to_float(ops.convert_to_tensor(lr)), to_float(ops.convert_to_tensor(hr))


def _train(network, optimizer, tape, loss, is_turn):
    """Applies the gradient of a loss, if it is the network's turn."""
    variables = network.trainable_variables
    if not variables:  # frozen
        return

    def update():
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    if is_turn is True:
        update()
    else:
        tf.cond(is_turn, update, lambda: None)
