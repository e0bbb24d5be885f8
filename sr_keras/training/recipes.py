"""Recipes: all that decides what a training ends in, in one place."""

import collections
import dataclasses
import functools
import json
import os
import pathlib
import warnings

import keras

from sr_keras import datasets, degradations, losses, models, pretrained
from sr_keras.evaluation import evaluate
from sr_keras.models.arguments import check_counts
from sr_keras.pipeline import training_batches
from sr_keras.training import distribution
from sr_keras.training.adversarial import GAN, RelativisticGAN, srfeat_discriminator
from sr_keras.training.callbacks import TrainingRun, write_text
from sr_keras.training.precision import choose_precision
from sr_keras.training.soap import SOAP
from sr_keras.training.vae import VAE

# What `train` adds to the files of `TrainingRun`: weights, as they are shipped.
WEIGHTS_FILE = "final.weights.h5"
ENCODER_FILE = "final_encoder.weights.h5"  # of a VAE

DISCRIMINATORS = {
    "srgan_discriminator": models.srgan_discriminator,
    "patchgan": models.patchgan,
    "unet_discriminator": models.unet_discriminator,
    "srfeat_discriminator": srfeat_discriminator,
}

# Eigenvectors that are brought up to date every 5 steps made no better networks than
# every 20, and take longer.
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "soap": functools.partial(SOAP, precondition_frequency=20),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a network is trained with. Two runs of one recipe end equal on a CPU.

    A network with several outputs (`lapsrn(all_levels=True)`) is trained on all of
    them, with the HR image in the size of each.

    Args:
        network: A name of `models.NETWORKS`.
        scale: Upscaling factor.
        data: Names or folders of HR photos to train on, see `datasets.open_data`; or
            a single one.
        options: Arguments of the network's builder.
        validation: Name or folder of the photos to score on, or None to hold out
            some of `data`.
        hold_out: How many photos of `data` to hold out; 0 for none. Not used with
            `validation`, and where `data` is "samples" or "div2k", which have a
            validation part.
        degradation: See `degradations.get`; None for LR files where a folder has
            them, and bicubic elsewhere.
        skip_bad: Whether photos that are corrupt or smaller than a patch are left
            out with a warning, instead of an error.
        steps: Number of training steps.
        batch_size: Patches in a batch.
        lr_size: Side of the LR patches in pixels.
        loss: See `losses.get`.
        optimizer: "adam"; or "soap", with which a network learns more from each of
            its first thousands of steps, see `SOAP`.
        learning_rate: The highest one.
        schedule: "constant"; "cosine", down to zero; or "halving", four times at
            even distances.
        warmup_steps: Steps in which the learning rate rises to its highest, before a
            "cosine".
        beta_2: The optimizer's decay of the squared gradients.
        clip_norm: None, or the largest norm of the gradient.
        ema: None, or the momentum of a moving average of the weights, which is then
            what is scored and kept.
        precision: See `choose_precision`; "auto" depends on the machine.
        rounded: Whether the weights of `final.weights.h5` are rounded as the layers of
            a mixed precision round them. What learned long with rounded weights may
            depend on it: SRCNN's first kernels add up 81 bright pixels.
        weights: None, or what to start from, see the builder.
        transfer: None, or weights of the same network for another scale or size,
            a file or `NETWORK-xSCALE-NAME` of a shipped set, of which `transfer`
            takes over what fits. LapSRN's curriculum is this: the lower levels
            first, then all.
        seed: An integer.

    Raises:
        ValueError: If `data` names something twice, or a number is out of range.
    """

    network: str
    scale: int
    data: tuple
    options: dict = dataclasses.field(default_factory=dict)
    validation: str | None = None
    hold_out: int = 10
    degradation: str | None = None
    skip_bad: bool = False
    steps: int = 10_000
    batch_size: int = 16
    lr_size: int = 48
    loss: str | keras.losses.Loss = "l1"
    optimizer: str = "adam"
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    warmup_steps: int = 0
    beta_2: float = 0.999
    clip_norm: float | None = None
    ema: float | None = None
    precision: str = "auto"
    rounded: bool = False
    weights: str | None = None
    transfer: str | None = None
    seed: int = 0

    def __post_init__(self):
        data = (self.data,) if isinstance(self.data, (str, os.PathLike)) else self.data
        data = tuple(map(str, data))
        if len({*map(os.path.realpath, data)}) < len(data):  # held out, and trained on
            raise ValueError(f"`data` names something twice. Received: {data}")
        if "scale" in self.options:
            raise ValueError(
                f"`scale` is no option. Received: {self.options['scale']} beside"
                f" {self.scale}"
            )
        check_counts(steps=self.steps, batch_size=self.batch_size, lr_size=self.lr_size)
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be above 0. Received: {value}")
        if self.validation is not None:
            object.__setattr__(self, "validation", str(self.validation))
        object.__setattr__(self, "data", data)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdversarialRecipe(Recipe):
    """A recipe for a `GAN`; what `Recipe` says of the network is the generator's.

    Its losses are `terms`, not `loss`, and what is kept is the last network, not the
    one with the best PSNR.

    Args:
        discriminator: A name of `DISCRIMINATORS`.
        discriminator_options: Arguments of its builder.
        terms: See `GAN.compile`.
        adversarial_weight: See `GAN.compile`.
        relativistic: Whether it is a `RelativisticGAN`.
        generator_waits_above: See `GAN.compile`.
        discriminator_waits_below: See `GAN.compile`.
    """

    discriminator: str
    discriminator_options: dict = dataclasses.field(default_factory=dict)
    terms: tuple
    adversarial_weight: float = 1e-3
    relativistic: bool = False
    generator_waits_above: float | None = None
    discriminator_waits_below: float | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.loss != Recipe.loss:
            raise ValueError(
                f"A GAN has no `loss` but `terms`. Received: loss={self.loss!r}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAERecipe(Recipe):
    """A recipe for a `VAE`; `network` is "vae" and its options the decoder's.

    Args:
        encoder_options: Arguments of `models.vae_encoder`.
        kl_weight: See `VAE.compile`.
        mean_weight: See `VAE.compile`.
        annealing_steps: See `VAE.compile`.
    """

    encoder_options: dict = dataclasses.field(default_factory=dict)
    kl_weight: float = 1e-3
    mean_weight: float = 0.5
    annealing_steps: int = 0


# 491 photos: the train and test parts of BSDS500 and the 91 images of Yang et al.
PHOTOS = ("bsds500/train", "bsds500/test", "t91")

ADAM = {"optimizer": "adam", "learning_rate": 1e-3, "warmup_steps": 0}


def _photos(network, scale=4, make=Recipe, **settings):
    """A recipe for the photos above, with what most of them have in common.

    With Adam in place of SOAP, the sets called "small" were 0.2 to 0.8 dB worse on
    the photos held out.
    """
    common = {
        "data": PHOTOS,
        "hold_out": 20,
        "skip_bad": True,  # some of the 91 are smaller than a patch
        "steps": 2_000,
        "batch_size": 8,
        "lr_size": 24,
        "optimizer": "soap",
        "learning_rate": 3e-3,
        "warmup_steps": 100,
        "beta_2": 0.99,
        "precision": "float32",
    }
    return make(network=network, scale=scale, **{**common, **settings})


def _srcnn(scale, **settings):
    """A recipe for the paper's 9-5-5."""
    common = {
        "batch_size": 4,
        "lr_size": 96 // scale,
        "warmup_steps": 500,
        "precision": "mixed_bfloat16",
    }
    return _photos("srcnn", scale, **{**common, **settings})


# Half as many steps more make FSRCNN x3 and ESPCN x4 no better on the held-out photos.
def _fsrcnn(scale, **settings):
    common = {
        "steps": 40_000,
        "lr_size": 32,
        "learning_rate": 1e-2,
        "warmup_steps": 500,
    }
    return _photos("fsrcnn", scale, **{**common, **settings})


def _espcn(scale, **settings):
    common = {
        "steps": 30_000,
        "lr_size": 32,
        "learning_rate": 5e-3,
        "warmup_steps": 500,
    }
    # with SOAP, the paper's tanh stays at what a linear filter can do
    options = {"bicubic_skip": True, "activation": "leaky_relu"}
    return _photos("espcn", scale, options=options, **{**common, **settings})


def _edsr(scale, **settings):
    """A recipe for the paper's baseline, with its patches."""
    common = {
        **ADAM,
        "batch_size": 16,
        "lr_size": 48,
        "learning_rate": 4e-4,
        "ema": 0.999,
        "precision": "mixed_bfloat16",
    }
    return _photos("edsr", scale, **{**common, **settings})


def _adversarial(network, scale=4, **settings):
    """A recipe for a GAN that starts from a generator trained on pixels."""
    common = {
        **ADAM,
        "weights": "bsds-small",
        "batch_size": 4,
        "schedule": "constant",
    }
    return _photos(network, scale, AdversarialRecipe, **{**common, **settings})


# Sizes at which a network of each family learns in minutes on a CPU. Their weights
# are called "bsds-small".
SRRESNET_SMALL = {"filters": 32, "num_blocks": 6}
RRDB_SMALL = {"filters": 24, "num_blocks": 2, "growth": 12}
EDSR_SMALL = {"filters": 32, "num_blocks": 8}
UNET_SMALL = {"filters": 16}
# Unlike in the papers of SRGAN and ESRGAN, pixels and shallower layers count too: in a
# few hundred steps VGG54 alone loses the colours, and a network that is trained on one
# layer pleases it with patterns that the others take for errors. Each layer's part is
# 0.1 to 0.5 at the start.
GAN_TERMS = (
    (1.0, "l1"),
    (
        1.0,
        losses.Perceptual(
            content={
                "vgg19/block3_conv4": 1e-6,
                "vgg19/block4_conv2": 2e-6,
                "VGG54": 1e-2,
            }
        ),
    ),
)

RECIPES = {
    "demo": Recipe(
        network="espcn",
        scale=3,
        data=("samples",),
        options={"channels": 3, "bicubic_skip": True, "activation": "leaky_relu"},
        steps=4_000,
        lr_size=32,
        optimizer="soap",
        learning_rate=3e-3,
        warmup_steps=100,
        precision="float32",
    ),
    # with Adam on a GPU, a minute
    "srcnn-x2": _photos("srcnn", 2, **ADAM, steps=50_000, batch_size=16, lr_size=48),
    # not from x2, half of whose filters answer no photo
    "srcnn-x3": _srcnn(3, steps=32_000),
    # not rounded it is 0.13 dB worse, and x3 rounded 0.03 dB
    "srcnn-x4": _srcnn(4, steps=36_000, transfer="srcnn-x3-bsds", rounded=True),
    "fsrcnn-x2": _fsrcnn(2, steps=60_000),
    "fsrcnn-x3": _fsrcnn(3, transfer="fsrcnn-x2-bsds"),
    "fsrcnn-x4": _fsrcnn(4, transfer="fsrcnn-x2-bsds"),
    "espcn-x2": _espcn(2, steps=40_000),
    "espcn-x3": _espcn(3, transfer="espcn-x2-bsds"),
    "espcn-x4": _espcn(4, transfer="espcn-x2-bsds"),
    # on a GPU two minutes, see examples/train_on_jax.py; its body starts the others
    "edsr-x2": _edsr(2, steps=40_000),
    "edsr-x3": _edsr(3, steps=21_000, transfer="edsr-x2-bsds"),
    # on a CPU an hour and a half. More of x3's patches is worse: after 37,000 steps the
    # held-out photos were at 28.14 dB, now 28.37
    "edsr-x4": _edsr(
        4,
        steps=8_000,
        batch_size=8,
        lr_size=32,
        learning_rate=3e-4,
        transfer="edsr-x2-bsds",
    ),
    "srresnet-x4-small": _photos(
        "srresnet", options=SRRESNET_SMALL, loss="l2", batch_size=4
    ),
    "rrdb-x4-small": _photos("rrdb", options=RRDB_SMALL, steps=1_500),
    "edsr-x4-small": _photos("edsr", options=EDSR_SMALL),
    "wdsr-x4-small": _photos("wdsr", options={"filters": 16, "num_blocks": 8}),
    "rdn-x4-small": _photos(
        "rdn",
        options={"filters": 32, "num_blocks": 4, "num_convs": 4, "growth": 16},
    ),
    "rcan-x4-small": _photos(
        "rcan",
        options={"filters": 32, "num_groups": 3, "num_blocks": 4, "reduction": 8},
        steps=1_500,
    ),
    "dbpn-x4-small": _photos(
        "dbpn",
        options={"filters": 16, "num_features": 32, "num_stages": 2},
        steps=1_000,
        batch_size=4,
    ),
    "stacked_hourglass-x4-small": _photos(
        "stacked_hourglass",
        options={"filters": 48, "depth": 3, "all_outputs": True},
        steps=2_000,
    ),
    # LapSRN's curriculum: the level of x2 first, then both
    "lapsrn-x2-small": _photos(
        "lapsrn",
        2,
        options={"filters": 32, "num_convs": 5},
        loss="charbonnier",
        steps=2_000,
    ),
    "lapsrn-x4-small": _photos(
        "lapsrn",
        options={"filters": 32, "num_convs": 5, "all_levels": True},
        loss="charbonnier",
        steps=2_000,
        transfer="lapsrn-x2-bsds-small",
    ),
    "srcnn-x4-small": _photos(
        "srcnn",
        options={"kernel_sizes": (9, 1, 5)},
        lr_size=16,
        loss="l2",
        learning_rate=1e-2,
    ),
    "vdsr-x4-small": _photos(
        "vdsr", options={"filters": 16}, lr_size=16, loss="l2", clip_norm=0.1
    ),
    "autoencoder-x4-small": _photos(
        "autoencoder", options={"filters": (32, 32, 16)}, lr_size=16, steps=700
    ),
    "autoencoder-x4-bottleneck": _photos(
        "autoencoder",
        options={"filters": (32, 32, 16), "skips": False},
        lr_size=16,
        steps=700,
    ),
    "unet-x1-small": _photos(
        "unet",
        1,
        options=UNET_SMALL,
        degradation="crappify",
        lr_size=96,
        steps=1_200,
    ),
    # texture by less than pixels, on the network above: with three times as much of the
    # perceptual terms it draws a stronger grid, which raises NIQE by 1
    "unet-x1-perceptual": _photos(
        "unet",
        1,
        options=UNET_SMALL,
        weights="bsds-small",
        degradation="crappify",
        loss=losses.WeightedSum(
            [
                (1.0, "l1"),
                (
                    1.0,
                    losses.Perceptual(
                        content={"vgg19/block3_conv3": 1e-6},
                        texture={
                            "vgg19/block1_conv1": 0.03,
                            "vgg19/block2_conv1": 0.03,
                            "vgg19/block3_conv1": 0.03,
                        },
                    ),
                ),
            ]
        ),
        lr_size=64,
        batch_size=4,
        steps=400,
        optimizer="adam",
        learning_rate=2e-4,
        warmup_steps=0,
        ema=0.99,
    ),
    # a U-Net criticized by a U-Net, pixel by pixel, taking turns by their losses
    "unet-x1-critic": _adversarial(
        "unet",
        1,
        options=UNET_SMALL,
        degradation="crappify",
        discriminator="unet_discriminator",
        discriminator_options={"filters": 16},
        terms=((1.0, "l1"), (3e-6, losses.Content("vgg19/block3_conv3"))),
        adversarial_weight=1e-2,
        generator_waits_above=1.38,
        lr_size=64,
        steps=400,
        learning_rate=2e-4,
        ema=0.99,
    ),
    "unet-x1-patchgan": _adversarial(
        "unet",
        1,
        options=UNET_SMALL,
        degradation="crappify",
        discriminator="patchgan",
        discriminator_options={"filters": 32},
        terms=((1.0, "l1"), (3e-6, losses.Content("vgg19/block3_conv3"))),
        adversarial_weight=1e-2,
        lr_size=64,
        steps=200,
        learning_rate=2e-4,
        ema=0.99,
    ),
    "edsr-x4-srgan": _adversarial(
        "edsr",
        options=EDSR_SMALL,
        discriminator="srgan_discriminator",
        discriminator_options={"size": 64, "filters": 32},
        terms=GAN_TERMS,
        adversarial_weight=1e-3,
        lr_size=16,
        steps=1_000,
        learning_rate=1e-4,
        schedule="cosine",
        ema=0.998,
    ),
    "edsr-x4-srfeat": _adversarial(
        "edsr",
        options=EDSR_SMALL,
        discriminator="srfeat_discriminator",
        discriminator_options={"size": 64, "filters": 32},
        terms=GAN_TERMS,
        adversarial_weight=2e-3,
        lr_size=16,
        steps=400,
        learning_rate=1e-4,
        schedule="cosine",
        ema=0.995,
    ),
    "rrdb-x4-esrgan": _adversarial(
        "rrdb",
        options=RRDB_SMALL,
        discriminator="srgan_discriminator",
        discriminator_options={"size": 64, "filters": 32},
        relativistic=True,
        terms=GAN_TERMS,
        adversarial_weight=5e-4,
        lr_size=16,
        steps=800,
        learning_rate=2e-4,
        schedule="cosine",
        ema=0.998,
    ),
    # with SOAP its mean is better, and its samples differ more than they should
    "vae-x4-small": _photos(
        "vae",
        make=VAERecipe,
        **ADAM,
        options={"filters": 32, "num_blocks": 4},
        encoder_options={"filters": 32},
        kl_weight=5e-4,
        annealing_steps=1_500,
        steps=3_000,
    ),
}


def train(
    recipe,
    folder,
    evaluate_every=1000,
    save_every=None,
    resume=False,
    cache=None,
    tensorboard=False,
    progress=None,
    console=None,
    distribute=None,
):
    """Trains a network by a recipe, in a folder that keeps all of it.

    Args:
        recipe: A `Recipe`.
        folder: Where the run is kept, see `TrainingRun`.
        evaluate_every: Steps between two evaluations.
        save_every: Steps between two saves; None for `evaluate_every`.
        resume: Whether to go on with the run in `folder`.
        cache: See `pipeline.training_batches`.
        tensorboard: Whether to write logs for TensorBoard.
        progress: See `datasets.decode`.
        console: A `rich.console.Console`.
        distribute: None, "mirrored" or "multi_worker", see
            `distribution.open_strategy`.

    Returns:
        `(model, run)`: what was trained and its `TrainingRun`. Beside the files of
        that, `final.weights.h5` holds the network's last weights as shipped files
        have them, and `final_encoder.weights.h5` those of a VAE's encoder.

    Raises:
        FileExistsError: If there is a run in `folder` and `resume` is False.
        ValueError: If the recipe or the photos are others than those of the run in
            `folder`, or the recipe names something that does not exist.
    """
    folder = pathlib.Path(folder)
    _check_run_in(folder, recipe, resume)
    strategy = distribution.open_strategy(distribute, recipe)
    with distribution.scope(strategy):
        model = build(recipe)
    dataset, validation = open_datasets(recipe)
    photos = _names_of(dataset, validation)
    _check_photos_of(folder, photos)
    network = upscaler(model)
    run = TrainingRun(
        folder,
        recipe.steps,
        evaluate_every,
        validation,
        upscaler=network,
        monitor=None if isinstance(model, GAN) else "psnr_y",
        save_every=save_every,
        tensorboard=tensorboard,
        console=console,
    )
    step = run.restore(model)
    if step < recipe.steps:
        _fit(model, run, recipe, dataset, photos, cache, progress)
    elif not isinstance(model, GAN):  # as `fit` ends, which a GAN's does not
        model.optimizer.finalize_variable_values(model.trainable_variables)
    is_done = run.step >= recipe.steps and run.stopped is None
    if is_done and distribution.is_first_process():
        scores = {k: v for k, v in run.log[-1].items() if k in ("psnr_y", "ssim_y")}
        # the log's seconds are the same when a finished run is resumed
        training = {"recipe": as_json(recipe), "seconds": round(run.log[-1]["seconds"])}
        training["validation"] = scores
        with distribution.local():
            _save_weights(model, folder, recipe, validation, training)
    return model, run


def _fit(model, run, recipe, dataset, photos, cache, progress):
    """Trains from the step that a run is at."""
    batches = training_batches(
        dataset,
        recipe.lr_size,
        recipe.batch_size,
        channels=upscaler(model).input_shape[-1],
        seed=recipe.seed,
        start_step=run.step,
        cache=cache,
        skip_bad=recipe.skip_bad,
        progress=progress,
    )
    if distribution.is_first_process():
        run.folder.mkdir(parents=True, exist_ok=True)
        write_text(run.folder / "recipe.json", json.dumps(as_json(recipe), indent=1))
        write_text(run.folder / "photos.json", json.dumps(photos, indent=1))
    try:
        model.fit(
            _with_targets(batches, model),
            steps_per_epoch=recipe.steps - run.step,
            shuffle=False,
            callbacks=[run],
            verbose=0,
        )
    finally:
        run.release()


def _save_weights(model, folder, recipe, validation, training):
    """Writes the last weights as shipped files have them: with the moving average."""
    last = keras.models.load_model(folder / "last.keras", compile=False)
    if recipe.rounded:  # the log's scores are of the network as it was trained
        round_weights(last, upscaler(model))
        scores = evaluate(last, validation)["mean"] if validation else {}
        training["validation"] = {k: scores[k] for k in training["validation"]}

    def save(weights, network, file):
        description = pretrained.description(network)
        path = folder / file
        pretrained.save(weights, path, **description, half=True, training=training)

    if isinstance(model, VAE):
        save(model.encoder, model.encoder, ENCODER_FILE)
        save(last.get_layer(model.decoder.name), model.decoder, WEIGHTS_FILE)
    else:
        save(last, upscaler(model), WEIGHTS_FILE)


def round_weights(network, trained):
    """Rounds weights as the layers of a network of mixed precision round them."""
    for layer, other in zip(network.layers, trained.layers, strict=True):
        dtype = other.compute_dtype
        if layer.weights and dtype != "float32":
            rounded = [keras.ops.cast(w, dtype) for w in layer.get_weights()]
            layer.set_weights([keras.ops.cast(w, "float32") for w in rounded])


def _check_run_in(folder, recipe, resume):
    """Raises an error if what is in a folder is not to be resumed, or not by this."""
    results = ("best.keras", "last.keras", WEIGHTS_FILE)
    found = [name for name in results if (folder / name).is_file()]
    if not has_state(folder):
        # one of ours, if it was stopped before its first save, begins again
        is_begun = (folder / "recipe.json").is_file() and WEIGHTS_FILE not in found
        if found and not (resume and is_begun):
            raise FileExistsError(
                f"{folder} has {found[0]}, and no state to go on from: choose another"
                " folder."
            )
        return
    if not resume:
        raise FileExistsError(
            f"There is a run in {folder}: resume it, or choose another folder."
        )
    former = _read_json(folder / "recipe.json")
    if former is None:
        return
    former, wanted = completed(former), as_json(recipe)
    changes = [
        f"{key} was {former.get(key)!r} and is {value!r}"
        for key, value in wanted.items()
        if former.get(key) != value
    ]
    if changes:
        raise ValueError(
            f"The run in {folder} cannot be resumed with other settings:"
            f" {'; '.join(changes)}."
        )


def _names_of(dataset, validation):
    """Returns the names of the photos to train on, and of those to score on."""
    return {
        "training": [str(name) for name in dataset.names],
        "validation": [str(name) for name in validation.names] if validation else [],
    }


def _check_photos_of(folder, photos):
    """Raises an error if a run that is resumed began with other photos."""
    former = _read_json(folder / "photos.json") if has_state(folder) else None
    for kind, names in photos.items() if former else ():
        now, then = collections.Counter(names), collections.Counter(former[kind])
        other = sorted((now - then) + (then - now))
        if other:  # one that was trained on would be scored, and the other way round
            raise ValueError(
                f"The run in {folder} cannot be resumed with other photos: of those for"
                f" {kind}, {', '.join(other[:3])}{' ...' if other[3:] else ''} came or"
                " went."
            )


def has_state(folder):
    """Tells whether there is a run in a folder that can be resumed."""
    states = pathlib.Path(folder).glob("state/step_*")
    return any(state.suffix != ".partial" for state in states)


def _read_json(path):
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def as_json(recipe):
    """Returns the fields of a recipe as JSON keeps them, losses as configurations."""
    values = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
    text = json.dumps(values, default=keras.saving.serialize_keras_object)
    return json.loads(text)


def completed(values):
    """Adds to kept fields those that recipes had not yet, which have their defaults.

    Args:
        values: What `as_json` returned, maybe of a former version.

    Returns:
        What it returns of the same recipe now.
    """
    fields = dataclasses.fields(Recipe)
    has_default = [f for f in fields if f.default is not dataclasses.MISSING]
    return {**{f.name: f.default for f in has_default}, **values}


def build(recipe):
    """Returns the compiled, untrained model of a recipe: a network, `GAN` or `VAE`.

    Sets Keras's seed and, while it builds, its dtype policy.

    Raises:
        ValueError: If there is no such network, discriminator or schedule, or the
            options do not fit.
    """
    keras.utils.set_random_seed(recipe.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(choose_precision(recipe.precision))
    try:
        return _build(recipe)
    finally:
        keras.config.set_dtype_policy(policy)


def _build(recipe):
    network = _network(recipe)
    if recipe.transfer is not None:
        transfer(models.load(recipe.transfer), network)
    if isinstance(recipe, AdversarialRecipe):
        discriminator = _call(
            DISCRIMINATORS, recipe.discriminator, recipe.discriminator_options
        )
        model = (RelativisticGAN if recipe.relativistic else GAN)(
            network, discriminator
        )
        model.compile(
            _optimizer(recipe),
            _optimizer(dataclasses.replace(recipe, ema=None)),
            [(weight, _copy(loss)) for weight, loss in recipe.terms],
            recipe.adversarial_weight,
            generator_waits_above=recipe.generator_waits_above,
            discriminator_waits_below=recipe.discriminator_waits_below,
        )
        return model
    loss = losses.get(_copy(recipe.loss))
    if isinstance(recipe, VAERecipe):
        options = {"scale": recipe.scale, **recipe.encoder_options}
        encoder = _call({"vae_encoder": models.vae_encoder}, "vae_encoder", options)
        model = VAE(encoder, network, seed=recipe.seed)
        model.compile(
            _optimizer(recipe),
            loss,
            recipe.kl_weight,
            recipe.mean_weight,
            recipe.annealing_steps,
        )
        return model
    if isinstance(network.output, dict):
        loss = dict.fromkeys(network.output, loss)
    network.compile(_optimizer(recipe), loss)
    # made here, outside of the graph, the first step is up to twice as fast
    network.optimizer.build(network.trainable_variables)
    return network


def _copy(loss):
    """Makes a loss again: `distribution.scope` provides for what is made in it."""
    if isinstance(loss, str):
        return loss
    serialized = keras.saving.serialize_keras_object(loss)
    return keras.saving.deserialize_keras_object(serialized)


def _network(recipe):
    builders = models.NETWORKS
    if isinstance(recipe, VAERecipe):
        builders = {"vae": models.vae_decoder}
    options = {"scale": recipe.scale, "weights": recipe.weights, **recipe.options}
    return _call(builders, recipe.network, options)


def _call(builders, name, options):
    if name not in builders:
        raise ValueError(
            f"There is no network {name!r}. There are: {', '.join(builders)}"
        )
    try:
        return builders[name](**options)
    except TypeError as error:
        raise ValueError(f"The options do not fit {name}: {error}") from error


def upscaler(model):
    """Returns the network from LR to SR inside what a recipe trains.

    Args:
        model: What `build` returns.

    Returns:
        A functional `keras.Model` with one output, which shares the weights of
        `model`: a GAN's generator, a VAE's upscaler, of several outputs the last
        one, else `model` itself.
    """
    if isinstance(model, GAN):
        return model.generator
    if isinstance(model, VAE):
        return model.upscaler
    if isinstance(model.output, dict):
        *_, last = model.output.values()
        network = keras.Model(model.input, last, name=model.name)
        pretrained.describe_as(network, **pretrained.description(model))
        return network
    return model


def _with_targets(batches, model):
    """Gives each output of a model the HR image in its size."""
    if isinstance(model, (GAN, VAE)) or not isinstance(model.output, dict):
        return batches
    scales = {
        name: models.scale_of(keras.Model(model.input, output))
        for name, output in model.output.items()
    }
    largest = max(scales.values())
    shrink = {
        name: degradations.get("bicubic", largest // scale)
        for name, scale in scales.items()
    }

    def targets(lr, hr):
        return lr, {name: function(hr) for name, function in shrink.items()}

    return batches.map(targets, num_parallel_calls=2, deterministic=True)


def transfer(source, target):
    """Starts a network from one for another scale, or of another size.

    The weights of every layer that has the same name and shapes in both are
    copied; the others stay as they are. EDSR's body, for one, does not depend on
    the scale: x4 learns faster from x2's.

    Args:
        source: A functional `keras.Model`.
        target: A functional `keras.Model`, which is changed.

    Returns:
        The names of the layers whose weights were copied.

    Raises:
        ValueError: If there is no such layer.
    """
    layers = {layer.name: layer for layer in source.layers if layer.weights}
    copied = []
    for layer in target.layers:
        other = layers.get(layer.name)
        if other is None or not layer.weights:
            continue
        shapes = [[tuple(w.shape) for w in x.weights] for x in (layer, other)]
        if shapes[0] == shapes[1]:
            layer.set_weights(other.get_weights())
            copied.append(layer.name)
    if not copied:
        raise ValueError(
            f"'{source.name}' and '{target.name}' have no layer in common: none has"
            " the same name and the same shapes in both."
        )
    return copied


def _optimizer(recipe):
    if recipe.optimizer not in OPTIMIZERS:
        raise ValueError(
            f"`optimizer` must be one of {', '.join(OPTIMIZERS)}."
            f" Received: {recipe.optimizer}"
        )
    return OPTIMIZERS[recipe.optimizer](
        _learning_rate(recipe),
        beta_2=recipe.beta_2,
        global_clipnorm=recipe.clip_norm,
        use_ema=recipe.ema is not None,
        ema_momentum=0.99 if recipe.ema is None else recipe.ema,
    )


def _learning_rate(recipe):
    rate, steps, warmup = recipe.learning_rate, recipe.steps, recipe.warmup_steps
    if warmup and recipe.schedule != "cosine":
        raise ValueError(
            f"`warmup_steps` are for the schedule cosine, not for {recipe.schedule}."
        )
    if not 0 <= warmup < steps:
        raise ValueError(
            f"`warmup_steps` must be from 0 to below the {steps} steps."
            f" Received: {warmup}"
        )
    schedules = {
        "constant": rate,
        "cosine": keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            steps - warmup,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        ),
        "halving": keras.optimizers.schedules.ExponentialDecay(
            rate, max(1, steps // 5), 0.5, staircase=True
        ),
    }
    if recipe.schedule not in schedules:
        raise ValueError(
            f"`schedule` must be one of {', '.join(schedules)}."
            f" Received: {recipe.schedule}"
        )
    return schedules[recipe.schedule]


def open_datasets(recipe):
    """Returns the training and the validation dataset of a recipe (or None).

    The photos to score on are all read here: after the first thousand steps is late
    for an error. With `skip_bad` those that cannot be scored are left out.

    Raises:
        FileNotFoundError: If there is no such dataset.
        ValueError: If a photo to score on is corrupt or too small, or LR and HR images
            are the same.
    """
    train_set = datasets.concatenate(
        [
            datasets.open_data(name, recipe.scale, "train", recipe.degradation)
            for name in recipe.data
        ]
    )
    datasets.named.check_degraded(train_set)
    validation = recipe.validation
    if validation is None and recipe.data in (("samples",), ("div2k",)):
        validation = recipe.data[0]
    if validation is not None:
        validation = datasets.open_data(
            validation, recipe.scale, "validation", recipe.degradation
        )
    elif recipe.hold_out:
        train_set, validation = train_set.hold_out(recipe.hold_out)
    else:
        return train_set, None
    return train_set, _scorable(validation, recipe.skip_bad)


def _scorable(dataset, skip_bad):
    """Returns the dataset of those images that `evaluate` can score."""
    smallest = 2 * dataset.scale + 11  # SSIM's window, within the border
    good = []
    for i, name in enumerate(dataset.names):
        try:
            _, hr = dataset[i]
            if min(hr.shape[:2]) < smallest:
                raise ValueError(
                    f"{name}: an HR image of {hr.shape[0]}x{hr.shape[1]} cannot be"
                    f" scored: at scale {dataset.scale}, {smallest} pixels are needed."
                )
        except ValueError as error:
            if not skip_bad:
                raise
            warnings.warn(f"Left out: {error}", stacklevel=2)
        else:
            good.append(i)
    if not good:
        raise ValueError("None of the images to score on can be used.")
    return dataset if len(good) == len(dataset) else dataset.subset(good)
