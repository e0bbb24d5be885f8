"""Adversarial training: a generator against a discriminator."""

import math
import types
import warnings

import keras
from keras import ops

from sr_keras.checks import check_counts, check_numbers
from sr_keras.images import to_float
from sr_keras.losses import WeightedSum
from sr_keras.models.network import scale_of
from sr_keras.training import distribution, gan_steps


@keras.saving.register_keras_serializable(package="sr_keras")
class GAN(keras.Model):
    """Trains a generator to produce images that a discriminator takes for photos.

    Any network from `lr` to `sr` can be the generator, and any network from images to
    logits the discriminator, whether it returns one logit for an image, for a patch or
    for a pixel. A network with several outputs acts as several discriminators, whose
    losses are added, such as `srfeat_discriminator`. A network with two inputs receives
    `[images, lr]` and decides whether the images match `lr`, as in pix2pix.

    SRGAN, starting from a generator that was trained on the squared error:

        gan = GAN(srresnet(4, weights="srresnet.weights.h5"), srgan_discriminator())
        gan.compile(
            keras.optimizers.Adam(1e-4),
            keras.optimizers.Adam(1e-4),
            losses=[(0.006, "content")],
            adversarial_weight=1e-3,
        )
        gan.fit(batches, steps_per_epoch=100_000)

    Calling the model calls the generator, so `predict`, `evaluate` and
    `sr_keras.upscale` can use the model in its place. Losses are scaled for networks
    that compute in float16.

    A step runs the generator once and the discriminator twice, on `hr` and on `sr`.
    Both networks are updated from the weights before the step. It is the same on
    TensorFlow and JAX. On JAX `train_step(state, data)` is a pure function that returns
    `(logs, state)`, as in every Keras model, so a training loop of your own can compile
    it with `jax.jit`.

    To change the objective, override any of these methods. They use `keras.ops`, so
    they work on both backends.

    - `adversarial_loss(real, fake)` and `discriminator_loss(real, fake)`: what the two
      networks minimize for one output of the discriminator.
    - `discriminator_penalty(lr, hr, sr)`: a regularization of the discriminator.
    - `generator_losses(lr, hr, sr, real, fake)`: all terms of the generator.
    - `discriminate(images, lr)`: what the discriminator sees.
    - `turns(discriminator_loss)`: which network is trained in a step.

    In these methods, `track(name, value)` adds a value to the logs. Reduce losses with
    a `keras.losses.Loss`, or divide means of `keras.ops` by `self.num_replicas`: under
    a `tf.distribute` strategy gradients are summed over the replicas.

    Args:
        generator: A functional `keras.Model` from `lr` to `sr`.
        discriminator: A functional `keras.Model` from images to logits, positive for
            photos.
        name: Model name.

    Input shape:
        That of the generator. Batches are `(lr, hr)`, integers or floats in [0, 1].

    Output shape:
        That of the generator.

    Raises:
        ValueError: If Keras runs on another backend than TensorFlow or JAX.

    References:
        [Ledig et al., 2017](https://arxiv.org/abs/1609.04802),
        [Isola et al., 2017](https://arxiv.org/abs/1611.07004),
        [Park et al., 2018](https://doi.org/10.1007/978-3-030-01270-0_27)
    """

    # A discriminator with a loss of 0.01 is right and 99.5 % sure.
    OVERPOWERED_LOSS = 0.01
    OVERPOWERED_STEPS = 500

    def __init__(self, generator, discriminator, name="gan"):
        # float32, because a mixed policy would round the inputs to 16 bits
        super().__init__(name=name, dtype="float32")
        distribution.check_backend(self)
        self.generator = generator
        self.discriminator = discriminator
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.image_losses = self.trackers = types.MappingProxyType({})
        self.step = self._counter("step")
        self.overpowered_steps = self._counter("overpowered_steps")
        self.built = True  # All variables exist, so that weights can be loaded.

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
        losses,
        adversarial_weight=1e-3,
        discriminator_steps=1,
        discriminator_warmup_loss=None,
        discriminator_min_loss=None,
        log_gradient_norms=False,
        **kwargs,
    ):
        """Configures the training.

        Learning rate schedules, gradient clipping and moving averages are arguments of
        the optimizers (`learning_rate`, `global_clipnorm`, `use_ema`). `TrainingRun`
        scores and keeps the moving average; `fit` does not change the weights at its
        end.

        To train only one network for a fixed time, set `trainable` of the other to
        False before `compile`.

        Args:
            generator_optimizer: A Keras optimizer or its name.
            discriminator_optimizer: Another Keras optimizer or its name.
            losses: List of `(weight, loss)`: what the generator minimizes in addition
                to the adversarial loss, such as content, texture, pixel losses and
                total variation. A loss is anything that `losses.get` takes. Each is
                logged under its name, without the weight.
            adversarial_weight: Weight of the adversarial loss.
            discriminator_steps: Number of steps of the discriminator for each step of
                the generator.
            discriminator_warmup_loss: The generator is trained only in steps in which
                the discriminator loss is at most this value; None to train it always.
                A discriminator that guesses has a loss of 2 log 2 = 1.39. With 1.3 a
                new discriminator is trained alone at first, and later whenever the
                generator fools it.
            discriminator_min_loss: The discriminator is trained only in steps in which
                its loss is at least this value; None to train it always.
            log_gradient_norms: Whether to log, for every term of the generator loss,
                the norm of its gradient with respect to `sr`, as
                `gradient_norm_<name>`, without the weight. Choose the weights so that
                weight times norm has the intended proportions. It costs one more
                backward pass through the discriminator or the loss for every term. See
                also `gradient_norms`.
            **kwargs: Arguments of `keras.Model.compile`, such as `metrics`.

        Raises:
            ValueError: If `losses` is not such a list, a number is out of range, both
                optimizers are the same object, or the networks cannot take turns
                because a `tf.distribute` strategy has several replicas.
        """
        check_counts(discriminator_steps=discriminator_steps)
        check_numbers(adversarial_weight=adversarial_weight)
        if adversarial_weight < 0:
            raise ValueError(
                "`adversarial_weight` must be 0 or more. Received:"
                f" adversarial_weight={adversarial_weight}"
            )
        for name, value in (
            ("discriminator_warmup_loss", discriminator_warmup_loss),
            ("discriminator_min_loss", discriminator_min_loss),
        ):
            if value is not None:
                check_numbers(**{name: value})
        if generator_optimizer is discriminator_optimizer and not isinstance(
            generator_optimizer, str
        ):
            raise ValueError(
                "Generator and discriminator need an optimizer each. Received the same"
                f" object for both: {generator_optimizer}"
            )
        super().compile(optimizer=None, **kwargs)
        strategy = getattr(self, "distribute_strategy", None)  # TensorFlow only
        self.num_replicas = strategy.num_replicas_in_sync if strategy else 1
        turns = (discriminator_steps, discriminator_warmup_loss, discriminator_min_loss)
        if self.num_replicas > 1 and turns != (1, None, None):
            raise ValueError(
                "Under a `tf.distribute` strategy with several replicas both networks"
                " must be trained in every step: `discriminator_steps` must be 1, and"
                " `discriminator_warmup_loss` and `discriminator_min_loss` None."
                f" Received: {turns}"
            )
        self.generator_optimizer = self._built(generator_optimizer, self.generator)
        self.discriminator_optimizer = self._built(
            discriminator_optimizer, self.discriminator
        )
        # `fit` on JAX passes the variables of `optimizer` to the training step.
        self.optimizer = _BothOptimizers(
            self.generator_optimizer, self.discriminator_optimizer
        )
        self.adversarial_weight = adversarial_weight
        self.discriminator_steps = discriminator_steps
        self.discriminator_warmup_loss = discriminator_warmup_loss
        self.discriminator_min_loss = discriminator_min_loss
        self.log_gradient_norms = log_gradient_norms
        # Read-only mappings, because Keras would save the networks of the losses with
        # the weights if they were in a dict, and refuses to track new metrics in one
        # after the model was called.
        self.image_losses = types.MappingProxyType(
            {loss.name: (weight, loss) for weight, loss in WeightedSum(losses).losses}
        )
        self.trackers = types.MappingProxyType({})
        for name in (*self.image_losses, "adversarial_loss"):
            self.add_tracker(name)
            if log_gradient_norms:
                self.add_tracker(f"gradient_norm_{name}")
        self.add_tracker("discriminator_loss")
        self.add_tracker("loss")

    def _built(self, optimizer, network):
        """Returns an optimizer with all its variables, so that they can be loaded."""
        optimizer = keras.optimizers.get(optimizer)
        # The gradient of the generator passes through both networks, so one of them in
        # float16 is enough to need scaling.
        layers = [*self.generator.layers, *self.discriminator.layers]
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if not scaled and any(layer.compute_dtype == "float16" for layer in layers):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        if not optimizer.built:
            optimizer.build(network.trainable_variables)
        return optimizer

    def get_compile_config(self):
        if not self.compiled:
            return {}
        config = super().get_compile_config()
        for name in ("optimizer", "loss", "loss_weights"):
            config.pop(name, None)
        optimizers = (self.generator_optimizer, self.discriminator_optimizer)
        generator, discriminator = map(keras.optimizers.serialize, optimizers)
        return {
            **config,
            "generator_optimizer": generator,
            "discriminator_optimizer": discriminator,
            "losses": [
                [weight, keras.losses.serialize(loss)]
                for weight, loss in self.image_losses.values()
            ],
            "adversarial_weight": self.adversarial_weight,
            "discriminator_steps": self.discriminator_steps,
            "discriminator_warmup_loss": self.discriminator_warmup_loss,
            "discriminator_min_loss": self.discriminator_min_loss,
            "log_gradient_norms": self.log_gradient_norms,
        }

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def optimizers(self):
        """Returns pairs of an optimizer and the network that it trains."""
        return [
            (self.generator_optimizer, self.generator),
            (self.discriminator_optimizer, self.discriminator),
        ]

    @property
    def metrics(self):
        return [*super().metrics, *self.trackers.values()]

    @property
    def scale(self):
        """The upscaling factor of the generator."""
        return scale_of(self.generator)

    # Objectives

    def discriminate(self, images, lr):
        """Returns the outputs of the discriminator for images, a list of logits."""
        conditional = len(self.discriminator.inputs) == 2
        inputs = [images, lr] if conditional else images
        return keras.tree.flatten(self.discriminator(inputs, training=True))

    def adversarial_loss(self, real, fake):
        """Computes how far `sr` is from passing for photos, for one output.

        The loss is `-log D(sr)`: log 2 = 0.69 if the discriminator guesses, more if it
        is right, less if it is fooled.

        Args:
            real: Logits for `hr`.
            fake: Logits for `sr`.

        Returns:
            A scalar.
        """
        return self.cross_entropy(ops.ones_like(fake), fake)

    def discriminator_loss(self, real, fake):
        """Computes the loss of the discriminator for one of its outputs.

        The loss is `-log D(hr) - log(1 - D(sr))`: 2 log 2 = 1.39 if the discriminator
        guesses, and 0 if it is right and certain.

        Args:
            real: Logits for `hr`.
            fake: Logits for `sr`.

        Returns:
            A scalar.
        """
        return self.cross_entropy(ops.ones_like(real), real) + self.cross_entropy(
            ops.zeros_like(fake), fake
        )

    def discriminator_penalty(self, lr, hr, sr):
        """Returns what the discriminator minimizes in addition to its loss: 0.

        Override it to regularize the discriminator. It is not part of the logged
        `discriminator_loss`. For example, R1
        ([Mescheder et al., 2018](https://arxiv.org/abs/1801.04406)):

            class R1GAN(GAN):
                def discriminator_penalty(self, lr, hr, sr):
                    gradient = self.image_gradient(hr, lr)
                    squared_norm = ops.sum(gradient**2, axis=(1, 2, 3))
                    penalty = 5.0 * ops.mean(squared_norm) / self.num_replicas
                    self.track("r1", penalty)
                    return penalty

        Args:
            lr: `(batch, height, width, channels)`, in [0, 1].
            hr: `(batch, scale * height, scale * width, channels)`, in [0, 1].
            sr: The output of the generator, not clipped.

        Returns:
            A scalar.
        """
        return 0.0

    def image_gradient(self, images, lr):
        """Returns the gradient of the sum of all logits with respect to the images.

        Args:
            images: `(batch, height, width, channels)`
            lr: Input of the generator, for a conditional discriminator.

        Returns:
            A tensor of the shape of `images`.
        """

        def total(images):
            # Statistics of normalizations must not be updated once more.
            values = [(v, v.value) for v in self.discriminator.variables]
            with keras.StatelessScope(values):
                logits = self.discriminate(images, lr)
            return {"": sum(map(ops.sum, logits))}

        return gan_steps.gradients(total, images)[""]

    def generator_losses(self, lr, hr, sr, real, fake):
        """Computes the terms that the generator minimizes.

        Args:
            lr: `(batch, height, width, channels)`, in [0, 1].
            hr: `(batch, scale * height, scale * width, channels)`, in [0, 1].
            sr: The output of the generator, not clipped.
            real: List of the logits for `hr`.
            fake: List of the logits for `sr`.

        Returns:
            A dict of names and `(weight, scalar)`. Every term is logged under its name,
            without the weight.
        """
        adversarial = sum(map(self.adversarial_loss, real, fake))
        return {
            **{
                name: (weight, loss(hr, sr))
                for name, (weight, loss) in self.image_losses.items()
            },
            "adversarial_loss": (self.adversarial_weight, adversarial),
        }

    def turns(self, discriminator_loss):
        """Decides which networks are trained in a step.

        Args:
            discriminator_loss: A scalar.

        Returns:
            `(generator, discriminator)`, each True or a boolean tensor.
        """
        generator = discriminator = True
        if self.discriminator_steps > 1:
            generator = ops.equal(self.step % self.discriminator_steps, 0)
        if self.discriminator_warmup_loss is not None:
            good = discriminator_loss <= self.discriminator_warmup_loss
            generator = ops.logical_and(generator, good)
        if self.discriminator_min_loss is not None:
            discriminator = discriminator_loss >= self.discriminator_min_loss
        return generator, discriminator

    def track(self, name, value):
        """Logs the mean of a value over the steps, within one of the methods above.

        The tracker of a new name is created automatically. Under a `tf.distribute`
        strategy with several replicas, call `add_tracker` after `compile` instead.

        Args:
            name: Name in the logs.
            value: A scalar, divided by the number of replicas as losses are.
        """
        gan_steps.record(name, value)

    def add_tracker(self, name):
        """Creates the metric that `track` updates, if there is none of this name."""
        if name not in self.trackers:
            tracker = keras.metrics.Mean(name)
            self.trackers = types.MappingProxyType({**self.trackers, name: tracker})

    def gradient_norms(self, lr, hr):
        """Computes the norm of each generator term's gradient with respect to `sr`.

        The weights of the terms are best chosen by these norms: the sizes of losses say
        little about their influence. No variables are changed.

        Args:
            lr: `(batch, height, width, channels)`, integers or floats in [0, 1].
            hr: `(batch, scale * height, scale * width, channels)`, the same.

        Returns:
            A dict of the names of the terms and floats, without the weights.
        """
        lr, hr = gan_steps.float_pair((lr, hr))
        with keras.StatelessScope():
            sr = self.generator(lr, training=True)
            real = self.discriminate(hr, lr)

        def terms(sr):
            with keras.StatelessScope():
                fake = self.discriminate(sr, lr)
                values = self.generator_losses(lr, hr, sr, real, fake)
            return {name: value for name, (_, value) in values.items()}

        with gan_steps.recording():  # not for the logs
            gradients = gan_steps.gradients(terms, sr)
        norms = {name: gan_steps.norm(gradient) for name, gradient in gradients.items()}
        return {name: float(norm) for name, norm in norms.items()}

    # Training

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        # Before the first step, Keras builds the metrics on a batch as it was given.
        return super().compute_metrics(x, to_float(y), y_pred, sample_weight)

    def train_step(self, *args):
        # TensorFlow calls it with `data`, and JAX with `state` and `data`.
        if keras.backend.backend() == "jax":
            return gan_steps.train_on_jax(self, *args)
        return gan_steps.train_on_tensorflow(self, *args)

    def finish_step(self, lr, hr, sr, discriminator_loss, recorded):
        """Counts a step and updates the logs, at the end of `train_step`.

        Args:
            lr: `(batch, height, width, channels)`, in [0, 1].
            hr: `(batch, scale * height, scale * width, channels)`, in [0, 1].
            sr: The output of the generator, not clipped.
            discriminator_loss: A scalar.
            recorded: Dict of what was given to `track`.

        Returns:
            The logs, a dict of names and scalars.
        """
        low = discriminator_loss * self.num_replicas < self.OVERPOWERED_LOSS
        self.overpowered_steps.assign(ops.where(low, self.overpowered_steps + 1, 0))
        self.step.assign(self.step + 1)
        logs = self._updated_logs(lr, hr, sr, recorded)
        logs["overpowered_steps"] = ops.convert_to_tensor(self.overpowered_steps)
        return logs

    def _updated_logs(self, lr, hr, sr, recorded):
        for name, value in recorded.items():
            self.add_tracker(name)
            self.trackers[name].update_state(value * self.num_replicas)
        logs = self.compute_metrics(lr, hr, sr)
        unused = {*self.trackers, "loss"} - recorded.keys()
        return {name: value for name, value in logs.items() if name not in unused}

    def test_step(self, *args):
        """Reports the scores of the generator: its losses and the compiled metrics."""
        if keras.backend.backend() == "jax":
            return gan_steps.test_on_jax(self, *args)
        return self.scores(*gan_steps.float_pair(*args))

    def scores(self, lr, hr):
        """Updates and returns the logs of a `test_step`."""
        sr = self(lr, training=False)
        recorded = {name: loss(hr, sr) for name, (_, loss) in self.image_losses.items()}
        return self._updated_logs(lr, hr, sr, recorded)

    def fit(self, *args, callbacks=None, **kwargs):
        """Trains like `keras.Model.fit`, and warns if the training goes wrong.

        Warns:
            UserWarning: If a loss is NaN, if the discriminator overpowers the
                generator, so that its loss has been near 0 for `OVERPOWERED_STEPS`
                steps, or if the generator was never trained.
        """
        callbacks = [*keras.tree.flatten(callbacks or []), FailureWarning()]
        return super().fit(*args, callbacks=callbacks, **kwargs)

    # The model in place of its generator

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
    """A GAN whose discriminator decides whether photos look more real than fakes.

    This is the relativistic average GAN of ESRGAN. From each logit, the mean logit of
    the other kind over the batch is subtracted, so the generator also learns from
    photos. Both losses are 2 log 2 = 1.39 if the discriminator guesses. Under a
    `tf.distribute` strategy each replica uses the mean over its own part of the batch.

    ESRGAN is an `rrdb` that was first trained on L1, with
    `losses=[(0.05, ("content", {"layers": "VGG54/before_relu", "distance": "l1"})),
    (0.01, "l1")]` and `adversarial_weight=5e-3`. The paper's weight of 1 corresponds to
    0.05 here, see `losses.Content`.

    References:
        [Wang et al., 2018](https://arxiv.org/abs/1809.00219),
        [Jolicoeur-Martineau, 2018](https://arxiv.org/abs/1807.00734)
    """

    def adversarial_loss(self, real, fake):
        # the loss of the discriminator with exchanged roles
        return self.discriminator_loss(fake, real)

    def discriminator_loss(self, real, fake):
        return super().discriminator_loss(real - ops.mean(fake), fake - ops.mean(real))


class _BothOptimizers:
    """The variables of both optimizers of a GAN."""

    built = True

    def __init__(self, *optimizers):
        self._optimizers = optimizers

    @property
    def variables(self):
        return [v for optimizer in self._optimizers for v in optimizer.variables]


class FailureWarning(keras.callbacks.Callback):
    """Warns once if the training of a GAN goes wrong; `GAN.fit` adds this callback."""

    def on_train_begin(self, logs=None):
        self._warned = False
        self._loss = self.model.OVERPOWERED_LOSS
        self._steps = self.model.OVERPOWERED_STEPS

    def on_train_batch_end(self, batch, logs=None):
        if self._warned:
            return
        names = ("loss", "discriminator_loss")
        broken = [name for name in names if not math.isfinite(logs[name])]
        if broken:
            self._warn(f"{' and '.join(broken)} became NaN or infinite.")
        elif logs["overpowered_steps"] >= self._steps:
            self._warn(
                "the discriminator overpowers the generator: its loss has been below"
                f" {self._loss} for {self._steps} steps. Set `discriminator_min_loss`,"
                " lower the discriminator's learning rate, or normalize it"
                " (`spectral_norm`)."
            )

    def on_train_end(self, logs=None):
        gan = self.model
        waits = gan.discriminator_warmup_loss is not None
        if waits and int(gan.generator_optimizer.iterations) == 0:
            warnings.warn(
                "The generator was never trained, because the discriminator loss was"
                f" above discriminator_warmup_loss={gan.discriminator_warmup_loss} in"
                " every step.",
                stacklevel=2,
            )

    def _warn(self, text):
        self._warned = True
        step = int(ops.convert_to_numpy(self.model.step))
        warnings.warn(f"Step {step}: {text}", stacklevel=2)
