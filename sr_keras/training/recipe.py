"""What a recipe is: everything that decides how a training ends, as plain data."""

import dataclasses
import functools
import inspect
import json
import math
import os
import typing

import keras

from sr_keras import degradations, losses, models, weights
from sr_keras.checks import (
    check_counts,
    check_flags,
    check_name,
    find_imported,
    is_count,
    is_reference,
)
from sr_keras.models.discriminators import DISCRIMINATORS
from sr_keras.models.network import find_builder
from sr_keras.optimizers import SOAP
from sr_keras.precision import choose_precision
from sr_keras.training.diffusion import Diffusion
from sr_keras.training.gan import GAN, RelativisticGAN
from sr_keras.training.vae import VAE

# Weights as they are shipped, which a finished run leaves in its folder.
WEIGHTS_FILE = "final.weights.h5"
ENCODER_FILE = "final_encoder.weights.h5"  # of a VAE

# What a setting may be besides JSON, in lower case
_CONSTANTS = {"none": None, "true": True, "false": False}
# Fields that name things: a folder may be called 2024
_NAME_FIELDS = ("name", "data", "lr_data", "validation", "weights", "init_from")

_SCHEDULES = ("constant", "cosine", "halving")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained. Two runs of one recipe end equal on a CPU.

    A recipe holds strings, numbers, booleans, None, and lists and dicts of these, so
    that it can be written to JSON and read again. `build` makes the model that it
    describes. A name may also be `"module:function"` of a module that has been
    imported: a builder for `network` (with or without `models.register`), a loss, a
    degradation.

    A network with several outputs, such as `lapsrn(all_levels=True)`, is trained on
    all of them, each compared with the HR image in its size.

    Args:
        network: A name of `models.NETWORKS`.
        scale: Upscaling factor.
        data: Names or folders of HR photos to train on, see `datasets.open_data`; a
            list, or a single one.
        lr_data: None, or the folder of the LR files for each of `data`; None in the
            list for one without LR files.
        name: Name of the recipe in `RECIPES`, or None.
        options: Arguments of the network's builder.
        validation: Name or folder of the photos to score on. None for the validation
            split of `data` if it has one, or otherwise for photos held out of `data`.
        num_validation: Number of photos of `data` that are held out; 0 for none.
        degradation: See `degradations.get`. None for the LR files of a folder if
            there are any, or bicubic otherwise.
        skip_bad: Whether photos that are corrupt or smaller than a patch are left
            out with a warning, instead of an error.
        min_contrast: None, or the standard deviation (white is 1) below which an HR
            patch is drawn again, see `pipeline.training_batches`.
        steps: Number of training steps.
        batch_size: Number of patches in a batch.
        lr_patch_size: Side of the LR patches in pixels.
        loss: See `losses.get`.
        optimizer: "soap" (see `optimizers.SOAP`), or the name of an optimizer of
            Keras, such as "adam".
        optimizer_options: Further arguments of the optimizer.
        learning_rate: The highest learning rate.
        schedule: "constant"; "cosine", down to 0; "halving", four times at equal
            distances; or the name of a schedule of Keras, alone or in a pair with its
            arguments, such as `("PolynomialDecay", {"decay_steps": 1000})`.
        warmup_steps: Number of steps in which the learning rate rises linearly to its
            highest, before a "cosine".
        global_clipnorm: None, or the largest global norm of the gradients.
        ema_momentum: None, or the momentum of an exponential moving average of the
            weights, which is then what is scored and kept.
        precision: See `choose_precision`. A run stores what "auto" resolved to.
        weights: None, or the weights to start from, see the builder.
        init_from: None, or weights of the same network for another scale or size, of
            which `weights.copy_matching` takes over what fits.
        seed: An integer from 0 to 2**32 - 1.

    Raises:
        ValueError: If a value is out of range, of the wrong type or not plain data, or
            `data` names something twice.
    """

    kind: typing.ClassVar[str] = "regression"
    # The score that decides which network is the best; None if no score shows which
    # network is best.
    monitor: typing.ClassVar[str | None] = "psnr_y"

    network: str
    scale: int
    data: tuple
    lr_data: tuple | None = None
    name: str | None = None
    options: dict = dataclasses.field(default_factory=dict)
    validation: str | None = None
    num_validation: int = 10
    degradation: str | dict | None = None
    skip_bad: bool = False
    min_contrast: float | None = None
    steps: int = 10_000
    batch_size: int = 16
    lr_patch_size: int = 48
    loss: str | tuple = "l1"
    optimizer: str = "adam"
    optimizer_options: dict = dataclasses.field(default_factory=dict)
    learning_rate: float = 1e-4
    schedule: str | tuple = "cosine"
    warmup_steps: int = 0
    global_clipnorm: float | None = None
    ema_momentum: float | None = None
    precision: str = "auto"
    weights: str | None = None
    init_from: str | None = None
    seed: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = _plain(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        self._check_types()
        data = (self.data,) if isinstance(self.data, str) else self.data
        object.__setattr__(self, "data", data)
        if isinstance(self.lr_data, str):
            object.__setattr__(self, "lr_data", (self.lr_data,))
        if self.lr_data is not None and len(self.lr_data) != len(data):
            raise ValueError(
                "`lr_data` must have one entry for each of `data`. Received:"
                f" data={data}, lr_data={self.lr_data}"
            )
        # A photo that is both trained on and held out would spoil the scores.
        if len({*map(os.path.realpath, data)}) < len(data):
            raise ValueError(f"`data` names something twice. Received: data={data}")
        if not data:
            raise ValueError("`data` must name at least one dataset or folder.")
        if "scale" in self.options:
            raise ValueError(
                "`scale` is a field of its own, not one of `options`. Received:"
                f" options={self.options}"
            )
        check_counts(
            steps=self.steps,
            batch_size=self.batch_size,
            lr_patch_size=self.lr_patch_size,
        )
        _check_positive("learning_rate", self.learning_rate)
        if self.global_clipnorm is not None:
            _check_positive("global_clipnorm", self.global_clipnorm)
        momentum = self.ema_momentum
        if momentum is not None and not (_is_number(momentum) and 0 <= momentum < 1):
            raise ValueError(
                "`ema_momentum` must be None or in [0, 1). Received:"
                f" ema_momentum={momentum!r}"
            )
        for name in ("num_validation", "warmup_steps", "seed"):
            value = getattr(self, name)
            if not is_count(value) and (isinstance(value, bool) or value != 0):
                raise ValueError(
                    f"`{name}` must be an integer of at least 0. Received:"
                    f" {name}={value!r}"
                )
        if self.seed >= 2**32:
            raise ValueError(
                f"`seed` must be less than 2**32. Received: seed={self.seed}"
            )

    def _check_types(self):
        """Raises a ValueError for a value of a type that its field cannot have."""
        for name in ("data", "lr_data"):
            value = getattr(self, name)
            items = value if isinstance(value, tuple) else (value,)
            kinds = (str, type(None)) if name == "lr_data" else str
            if not all(isinstance(item, kinds) for item in items):
                raise ValueError(
                    f"`{name}` must be a name or folder, or a list of these. Received:"
                    f" {name}={value!r}"
                )
        for name in ("name", "validation", "weights", "init_from"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ValueError(
                    f"`{name}` must be None or a string. Received: {name}={value!r}"
                )
        for name in (field.name for field in dataclasses.fields(self)):
            value = getattr(self, name)
            if name.endswith("options") and not isinstance(value, dict):
                raise ValueError(
                    f"`{name}` must be a dict of arguments. Received: {name}={value!r}"
                )
        check_flags(skip_bad=self.skip_bad)

    # Data

    def as_json(self):
        """Returns the fields as `json.dumps` takes them, with the recipe's kind."""
        return json.loads(json.dumps({"kind": self.kind, **dataclasses.asdict(self)}))

    def replace(self, **changes):
        """Returns a copy with other values. It has no name if a value differs.

        Args:
            **changes: New values of fields. `"options.filters"` changes one entry of
                a field that is a dict.

        Raises:
            ValueError: If there is no such field; the message suggests the nearest.
        """
        values = {}
        for name, value in changes.items():
            field, dot, entry = name.partition(".")
            check_name(
                f"a field of a {type(self).__name__}",
                field,
                [f.name for f in dataclasses.fields(self)],
            )
            if dot:
                former = values.get(field, getattr(self, field))
                if not isinstance(former, dict):
                    raise ValueError(f"`{field}` has no entries. Received: {name}")
                value = {**former, entry: value}
            values[field] = value
        changed = dataclasses.replace(self, **values)
        if changed != self and "name" not in values:
            changed = dataclasses.replace(changed, name=None)
        return changed

    def resolved(self):
        """Returns the recipe with the precision that "auto" means on this machine."""
        return dataclasses.replace(self, precision=choose_precision(self.precision))

    # What is trained

    def build(self):
        """Returns the compiled, untrained model.

        Sets Keras's random seed and, while it builds, its dtype policy.

        Raises:
            ValueError: If there is no such network, discriminator, loss, optimizer or
                schedule, or the options do not fit.
        """
        keras.utils.set_random_seed(self.seed)
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(choose_precision(self.precision))
        try:
            network = self._build_network()
            if self.init_from is not None:
                weights.copy_matching(models.load(self.init_from), network)
            return self._compiled(network)
        finally:
            keras.config.set_dtype_policy(policy)

    def _build_network(self):
        options = {"scale": self.scale, "weights": self.weights, **self.options}
        return _call_function(find_builder(self.network), self.network, options)

    def _compiled(self, network):
        loss = losses.get(self._resolved_loss(self.loss))
        if isinstance(network.output, dict):
            loss = dict.fromkeys(network.output, loss)
        network.compile(self._build_optimizer(), loss)
        # Built here, outside of the graph, the first step is up to twice as fast.
        network.optimizer.build(network.trainable_variables)
        return network

    def upscaler(self, model):
        """Returns the network from LR to SR inside the model that is trained.

        Args:
            model: What `build` returned.

        Returns:
            A functional `keras.Model` with one output, which shares the weights of
            `model`. Of several outputs it is the last.
        """
        if isinstance(model.output, dict):
            *_, last = model.output.values()
            return models.Network(model.input, last, name=model.name)
        return model

    def weights_files(self, model):
        """Returns the networks whose weights a finished run leaves, by file name."""
        return {WEIGHTS_FILE: models.fold(model)}

    def with_targets(self, batches, model):
        """Returns batches that give each output of a model the HR image in its size."""
        if not isinstance(model.output, dict):
            return batches
        lr_shape = (1, 12, 12, model.input_shape[-1])
        shapes = model.compute_output_shape(lr_shape)
        sizes = {name: shape[1] for name, shape in shapes.items()}
        largest = max(sizes.values())
        shrink = {
            name: degradations.get("bicubic", largest // size)
            for name, size in sizes.items()
        }

        def targets(lr, hr):
            return lr, {name: function(hr) for name, function in shrink.items()}

        return batches.map(targets, num_parallel_calls=2, deterministic=True)

    def build_degradation(self):
        """Returns the `Degradation`, or None for what the datasets have."""
        found = self.degradation
        if is_reference(found):
            found = find_imported("a degradation", found)
        return None if found is None else degradations.get(found, self.scale)

    def _resolved_loss(self, loss):
        if is_reference(loss):
            return find_imported("a loss", loss)
        if isinstance(loss, tuple) and not (loss and isinstance(loss[0], str)):
            _check_terms("loss", loss)
            return [(weight, self._resolved_loss(term)) for weight, term in loss]
        return loss

    def _build_optimizer(self, learning_rate=None, averaged=True):
        """Returns an optimizer.

        Args:
            learning_rate: None for the recipe's.
            averaged: Whether it keeps the moving average that the recipe asks for.
        """
        momentum = self.ema_momentum if averaged else None
        options = {
            "learning_rate": self._build_schedule(
                self.learning_rate if learning_rate is None else learning_rate
            ),
            "global_clipnorm": self.global_clipnorm,
            "use_ema": momentum is not None,
            "ema_momentum": 0.99 if momentum is None else momentum,
            **self.optimizer_options,
        }
        return _call("an optimizer", optimizers(), self.optimizer, options)

    def _build_schedule(self, rate):
        """Returns a schedule, also for a constant rate.

        An optimizer keeps a plain number among its variables, and a run that is
        resumed with another rate would get the former back with its state.
        """
        steps, warmup = self.steps, self.warmup_steps
        schedules = keras.optimizers.schedules
        if warmup and self.schedule != "cosine":
            raise ValueError(
                "`warmup_steps` needs the schedule 'cosine'. Received:"
                f" warmup_steps={warmup}, schedule={self.schedule!r}"
            )
        if warmup >= steps:
            raise ValueError(
                f"`warmup_steps` must be less than the {steps} steps. Received:"
                f" warmup_steps={warmup}"
            )
        if self.schedule == "constant":
            return schedules.ExponentialDecay(rate, steps, 1.0)
        if self.schedule == "cosine":
            return schedules.CosineDecay(
                0.0 if warmup else rate,
                steps - warmup,
                warmup_target=rate if warmup else None,
                warmup_steps=warmup,
            )
        if self.schedule == "halving":
            # rounded up: the rate must not be halved a fifth time in the last steps
            return schedules.ExponentialDecay(
                rate, math.ceil(steps / 5), 0.5, staircase=True
            )
        known = _classes_of(schedules, schedules.LearningRateSchedule)
        name, options = self.schedule, {}
        if isinstance(self.schedule, tuple):
            if len(self.schedule) != 2 or not isinstance(self.schedule[1], dict):
                raise ValueError(
                    "`schedule` must be a name, or a pair of a name and a dict of"
                    f" arguments. Received: schedule={self.schedule!r}"
                )
            name, options = self.schedule
            if name in _SCHEDULES:
                raise ValueError(
                    f"{name!r} takes no arguments. Received: schedule={self.schedule!r}"
                )
        check_name("a schedule", name, [*_SCHEDULES, *known])
        defaults = {"initial_learning_rate": rate, "decay_steps": steps}
        accepted = inspect.signature(known[name]).parameters
        defaults = {k: v for k, v in defaults.items() if k in accepted}
        return _call("a schedule", known, name, {**defaults, **options})


@dataclasses.dataclass(frozen=True, kw_only=True)
class GANRecipe(Recipe):
    """A recipe for a `GAN`; what `Recipe` says of the network is the generator's.

    The generator minimizes `losses` in place of `loss`. The last network is kept, not
    the one with the highest PSNR.

    Args:
        discriminator: A name of `models.discriminators.DISCRIMINATORS`.
        discriminator_options: Arguments of its builder.
        losses: List of `(weight, loss)`, see `GAN.compile`.
        adversarial_weight: See `GAN.compile`.
        relativistic: Whether the model is a `RelativisticGAN`.
        discriminator_warmup_loss: See `GAN.compile`.
        discriminator_min_loss: See `GAN.compile`.
        discriminator_learning_rate: None for `learning_rate`, or the highest learning
            rate of the discriminator.
    """

    kind: typing.ClassVar[str] = "gan"
    monitor: typing.ClassVar[str | None] = None

    discriminator: str
    discriminator_options: dict = dataclasses.field(default_factory=dict)
    losses: tuple
    adversarial_weight: float = 1e-3
    relativistic: bool = False
    discriminator_warmup_loss: float | None = None
    discriminator_min_loss: float | None = None
    discriminator_learning_rate: float | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.loss != Recipe.loss:
            raise ValueError(
                "A GANRecipe has `losses` in place of `loss`. Received:"
                f" loss={self.loss!r}"
            )
        _check_terms("losses", self.losses)
        check_flags(relativistic=self.relativistic)
        if self.discriminator_learning_rate is not None:
            _check_positive(
                "discriminator_learning_rate", self.discriminator_learning_rate
            )

    def _compiled(self, network):
        discriminator = _call(
            "a discriminator",
            DISCRIMINATORS,
            self.discriminator,
            self.discriminator_options,
        )
        model = (RelativisticGAN if self.relativistic else GAN)(network, discriminator)
        rate = self.discriminator_learning_rate
        model.compile(
            self._build_optimizer(),
            self._build_optimizer(rate, averaged=False),
            [
                (weight, losses.get(self._resolved_loss(loss)))
                for weight, loss in self.losses
            ],
            self.adversarial_weight,
            discriminator_warmup_loss=self.discriminator_warmup_loss,
            discriminator_min_loss=self.discriminator_min_loss,
        )
        return model

    def upscaler(self, model):
        return model.generator

    def weights_files(self, model):
        return {WEIGHTS_FILE: model.generator}

    def with_targets(self, batches, model):
        return batches


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAERecipe(Recipe):
    """A recipe for a `VAE`; `network` is "vae" and its options are the decoder's.

    Args:
        encoder_options: Arguments of `models.vae_encoder`.
        kl_weight: See `VAE.compile`.
        mean_weight: See `VAE.compile`.
        annealing_steps: See `VAE.compile`.
    """

    kind: typing.ClassVar[str] = "vae"

    encoder_options: dict = dataclasses.field(default_factory=dict)
    kl_weight: float = 1e-3
    mean_weight: float = 0.5
    annealing_steps: int = 0

    def _build_network(self):
        return _call(
            "a network for a VAERecipe",
            {"vae": models.vae_decoder},
            self.network,
            {"scale": self.scale, "weights": self.weights, **self.options},
        )

    def _compiled(self, network):
        encoder = _call(
            "an encoder",
            {"vae_encoder": models.vae_encoder},
            "vae_encoder",
            {"scale": self.scale, **self.encoder_options},
        )
        model = VAE(encoder, network, seed=self.seed)
        model.compile(
            self._build_optimizer(),
            losses.get(self._resolved_loss(self.loss)),
            self.kl_weight,
            self.mean_weight,
            self.annealing_steps,
        )
        return model

    def upscaler(self, model):
        return model.upscaler

    def weights_files(self, model):
        return {WEIGHTS_FILE: model.decoder, ENCODER_FILE: model.encoder}

    def with_targets(self, batches, model):
        return batches


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiffusionRecipe(Recipe):
    """A recipe for a `Diffusion`; `network` is "denoiser".

    The last network is kept, because the PSNR of its upscaler says nothing about the
    samples. `final.weights.h5` holds the denoiser; load it with
    `models.denoiser(..., weights=path)`.

    Args:
        loss: Compares velocities, see `Diffusion.compile`.
    """

    kind: typing.ClassVar[str] = "diffusion"
    monitor: typing.ClassVar[str | None] = None

    loss: str | tuple = "l2"

    def _build_network(self):
        return _call(
            "a network for a DiffusionRecipe",
            {"denoiser": models.denoiser},
            self.network,
            {"scale": self.scale, "weights": self.weights, **self.options},
        )

    def _compiled(self, network):
        model = Diffusion(network, seed=self.seed)
        model.compile(
            self._build_optimizer(), losses.get(self._resolved_loss(self.loss))
        )
        return model

    def upscaler(self, model):
        return model.upscaler

    def weights_files(self, model):
        return {WEIGHTS_FILE: model.denoiser}


KINDS = {kind.kind: kind for kind in (Recipe, GANRecipe, VAERecipe, DiffusionRecipe)}


def from_json(values):
    """Returns the recipe whose `as_json` gave `values`.

    Fields that are missing, because the recipe was written before they existed, get
    their defaults.

    Args:
        values: A dict.

    Raises:
        ValueError: If the kind or a field is not known, or a value does not fit.
    """
    if not isinstance(values, dict):
        raise ValueError(f"A recipe must be a dict of fields. Received: {values!r}")
    values = dict(values)
    kind = values.pop("kind", Recipe.kind)
    check_name("a kind of recipe", kind, KINDS)
    known = [field.name for field in dataclasses.fields(KINDS[kind])]
    for name in values:
        check_name(f"a field of a {KINDS[kind].__name__}", name, known)
    try:
        return KINDS[kind](**values)
    except TypeError as error:
        raise ValueError(f"The recipe is not complete: {error}") from error


def parse_setting(text):
    """Returns `(field, value)` of a field that is given as the text "FIELD=VALUE".

    The value is JSON, a constant of Python (None, True or False), or a string.

    Raises:
        ValueError: If the text has another form.
    """
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise ValueError(f"--set must be FIELD=VALUE. Received: {text}")
    if value.lower() in _CONSTANTS:
        parsed = _CONSTANTS[value.lower()]
    else:
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
    if field in _NAME_FIELDS and isinstance(parsed, (bool, int, float)):
        parsed = value
    return field, parsed


def optimizers():
    """Returns the optimizers that a recipe can name: SOAP's and Keras's."""
    known = _classes_of(keras.optimizers, keras.optimizers.Optimizer)
    known = {name.lower(): kind for name, kind in known.items()}
    # Eigenvectors updated every 5 steps made no better networks than every 20.
    known["soap"] = functools.partial(SOAP, precondition_frequency=20)
    return known


def _classes_of(module, base):
    classes = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, base) and value is not base
    }
    return dict(sorted(classes.items()))


def _call(kind, known, name, options):
    """Calls what a name stands for, and reports options that it does not take."""
    if is_reference(name):
        function = find_imported(kind, name)
    else:
        check_name(kind, name, known)
        function = known[name]
    return _call_function(function, name, options)


def _call_function(function, name, options):
    parameters = inspect.signature(function).parameters
    kinds = [parameter.kind for parameter in parameters.values()]
    try:
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            for option in options:
                check_name("an argument", option, parameters)
    except ValueError as error:
        raise ValueError(f"The options do not fit {name}: {error}") from None
    try:
        return function(**options)
    except (TypeError, ValueError) as error:
        # Optimizers of Keras refuse an unknown argument with a ValueError.
        if isinstance(error, ValueError) and "not recognized" not in str(error):
            raise
        raise ValueError(f"The options do not fit {name}: {error}") from error


def _plain(name, value):
    """Returns a value as plain data, lists as tuples."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return tuple(_plain(name, item) for item in value)
    if isinstance(value, dict):
        return {str(key): _plain(name, item) for key, item in value.items()}
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # of NumPy
        return value.item()
    raise ValueError(
        "A recipe holds strings, numbers, booleans, None, and lists and dicts of"
        f" these. Received: {name}={value!r}"
    )


def _check_terms(name, terms):
    """Raises a ValueError unless the terms are pairs of a weight and a loss."""
    if not isinstance(terms, tuple) or not all(
        isinstance(term, tuple) and len(term) == 2 and _is_number(term[0])
        for term in terms
    ):
        raise ValueError(
            f"`{name}` must be a list of pairs (weight, loss). Received:"
            f" {name}={terms!r}"
        )


def _check_positive(name, value):
    if not _is_number(value) or value <= 0:
        raise ValueError(
            f"`{name}` must be a positive number. Received: {name}={value!r}"
        )


def _is_number(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
