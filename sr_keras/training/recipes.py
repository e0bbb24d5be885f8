"""Recipes: all that decides what a training ends in, in one place."""

import dataclasses
import json
import pathlib

import keras

from sr_keras import datasets, losses, models
from sr_keras.pipeline import training_batches
from sr_keras.training import distribution
from sr_keras.training.callbacks import TrainingRun
from sr_keras.training.precision import choose_precision


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a network is trained with. Two runs of one recipe end equal on a CPU.

    Args:
        network: A name of `models.NETWORKS`.
        scale: Upscaling factor.
        data: Names or folders of HR photos to train on, see `datasets.open_data`.
        options: Arguments of the network's builder.
        validation: Name or folder of the photos to score on, or None to hold out
            some of `data`.
        hold_out: How many photos of `data` to hold out; 0 for none.
        degradation: See `degradations.get`; None for LR files where a folder has
            them, and bicubic elsewhere.
        skip_bad: Whether photos that are corrupt or smaller than a patch are left
            out with a warning, instead of an error.
        steps: Number of training steps.
        batch_size: Patches in a batch.
        lr_size: Side of the LR patches in pixels.
        loss: See `losses.get`.
        learning_rate: At the start.
        schedule: "constant"; "cosine", down to zero; or "halving", four times at
            even distances.
        beta_2: Adam's decay of the squared gradients.
        clip_norm: None, or the largest norm of the gradient.
        ema: None, or the momentum of a moving average of the weights, which is then
            what is scored and kept.
        precision: See `choose_precision`; "auto" depends on the machine.
        weights: None, or what to start from, see the builder.
        seed: An integer.
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
    loss: str = "l1"
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    beta_2: float = 0.999
    clip_norm: float | None = None
    ema: float | None = None
    precision: str = "auto"
    weights: str | None = None
    seed: int = 0


# 491 photos: the train and test parts of BSDS500 and the 91 images of Yang et al.
PHOTOS = ("bsds500/train", "bsds500/test", "t91")


def _espcn(scale):
    return Recipe(
        network="espcn",
        scale=scale,
        data=PHOTOS,
        hold_out=20,
        skip_bad=True,
        steps=60_000,
        lr_size=128 // scale,
        loss="l2",
        learning_rate=2e-3,
        beta_2=0.99,
        ema=0.999,
        precision="float32",
    )


RECIPES = {
    "demo": Recipe(
        network="espcn",
        scale=3,
        data=("samples",),
        options={"channels": 3, "bicubic_skip": True},
        steps=5_000,
        lr_size=32,
        learning_rate=2e-3,
        precision="float32",
    ),
    "espcn-x2": _espcn(2),
    "espcn-x3": _espcn(3),
    "espcn-x4": _espcn(4),
    "edsr-x4": Recipe(
        network="edsr",
        scale=4,
        data=PHOTOS,
        hold_out=20,
        skip_bad=True,  # seven of the 91 are smaller than a patch
        steps=10_000,
        lr_size=32,
        learning_rate=4e-4,
        beta_2=0.99,
        ema=0.999,
        precision="mixed_bfloat16",
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
        `(model, run)`: the trained network and its `TrainingRun`.

    Raises:
        FileExistsError: If there is a run in `folder` and `resume` is False.
        ValueError: If the recipe is another one than that of the run in `folder`,
            or names something that does not exist.
    """
    folder = pathlib.Path(folder)
    _check_recipe_of(folder, recipe, resume)
    strategy = distribution.open_strategy(distribute, recipe)
    with distribution.scope(strategy):
        model = build(recipe)
    dataset, validation = open_datasets(recipe)
    run = TrainingRun(
        folder,
        recipe.steps,
        evaluate_every,
        validation,
        save_every=save_every,
        tensorboard=tensorboard,
        console=console,
    )
    step = run.restore(model)
    if step >= recipe.steps:
        return model, run
    batches = training_batches(
        dataset,
        recipe.lr_size,
        recipe.batch_size,
        channels=model.input_shape[-1],
        seed=recipe.seed,
        start_step=step,
        cache=cache,
        skip_bad=recipe.skip_bad,
        progress=progress,
    )
    if distribution.is_first_process():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.json").write_text(json.dumps(_as_json(recipe), indent=1))
    model.fit(
        batches,
        steps_per_epoch=recipe.steps - step,
        shuffle=False,
        callbacks=[run],
        verbose=0,
    )
    return model, run


def _check_recipe_of(folder, recipe, resume):
    path = folder / "recipe.json"
    if not path.is_file():
        return
    if not resume:
        raise FileExistsError(
            f"There is a run in {folder}: resume it, or choose another folder."
        )
    former, wanted = json.loads(path.read_text()), _as_json(recipe)
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


def _as_json(recipe):
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def build(recipe):
    """Returns the compiled, untrained network of a recipe.

    Sets Keras's seed and, while it builds, its dtype policy.

    Raises:
        ValueError: If there is no such network or schedule, or the options do not
            fit the network.
    """
    if recipe.network not in models.NETWORKS:
        raise ValueError(
            f"There is no network {recipe.network!r}. There are:"
            f" {', '.join(models.NETWORKS)}"
        )
    loss = losses.get(recipe.loss)
    optimizer = _optimizer(recipe)
    keras.utils.set_random_seed(recipe.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(choose_precision(recipe.precision))
    try:
        model = models.NETWORKS[recipe.network](
            recipe.scale, weights=recipe.weights, **recipe.options
        )
    except TypeError as error:
        raise ValueError(f"The options do not fit {recipe.network}: {error}") from error
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(optimizer, loss)
    # made here, outside of the graph, the first step is up to twice as fast
    model.optimizer.build(model.trainable_variables)
    return model


def _optimizer(recipe):
    rate, steps = recipe.learning_rate, recipe.steps
    schedules = {
        "constant": rate,
        "cosine": keras.optimizers.schedules.CosineDecay(rate, steps),
        "halving": keras.optimizers.schedules.ExponentialDecay(
            rate, max(1, steps // 5), 0.5, staircase=True
        ),
    }
    if recipe.schedule not in schedules:
        raise ValueError(
            f"`schedule` must be one of {', '.join(schedules)}."
            f" Received: {recipe.schedule}"
        )
    return keras.optimizers.Adam(
        schedules[recipe.schedule],
        beta_2=recipe.beta_2,
        global_clipnorm=recipe.clip_norm,
        use_ema=recipe.ema is not None,
        ema_momentum=recipe.ema or 0.99,
    )


def open_datasets(recipe):
    """Returns the training and the validation dataset of a recipe (or None)."""
    train_set = datasets.concatenate(
        [
            datasets.open_data(name, recipe.scale, "train", recipe.degradation)
            for name in recipe.data
        ]
    )
    validation = recipe.validation
    if validation is None and recipe.data in (("samples",), ("div2k",)):
        validation = recipe.data[0]
    if validation is not None:
        return train_set, datasets.open_data(
            validation, recipe.scale, "validation", recipe.degradation
        )
    if recipe.hold_out:
        return train_set.hold_out(recipe.hold_out)
    return train_set, None
