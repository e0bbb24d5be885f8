"""Training by a recipe, in a folder from which it can be resumed."""

import collections
import contextlib
import dataclasses
import os
import pathlib
import warnings

import filelock

from sr_keras import datasets, files, weights
from sr_keras.pipeline import training_batches
from sr_keras.training import distribution
from sr_keras.training.callbacks import TrainingRun, averaged_weights
from sr_keras.training.recipe import WEIGHTS_FILE, from_json

# Held while a process trains in a folder, and left there: if it were deleted, another
# process might be about to lock it.
LOCK_FILE = ".lock"

# Fields that a run may change when it is resumed: they alter neither the weights and
# optimizer variables that a state holds, nor the batches.
CHANGEABLE = (
    "steps",
    "learning_rate",
    "schedule",
    "warmup_steps",
    "global_clipnorm",
    "discriminator_learning_rate",
    "name",
)


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
    steps_per_execution=1,
    dataset=None,
    validation=None,
):
    """Trains a network by a recipe, in a folder that keeps everything.

    Args:
        recipe: A `Recipe`. With `resume` also None, for the one in the folder.
        folder: Folder of the run, see `TrainingRun`.
        evaluate_every: Steps between two evaluations.
        save_every: Steps between two saves; None for `evaluate_every`.
        resume: Whether to resume the run in `folder`. The fields of `CHANGEABLE` may
            differ from those that it was started with. A schedule is then that of the
            new number of steps and the new rate, from the step of the run on.
        cache: See `pipeline.training_batches`.
        tensorboard: Whether to write logs for TensorBoard.
        progress: See `datasets.decode`.
        console: A `rich.console.Console`.
        distribute: None, "mirrored" or "multi_worker", see
            `distribution.open_strategy`.
        steps_per_execution: Number of steps that run as one call, which is faster for
            small networks. It must divide the number of steps and the distances
            between evaluations and saves.
        dataset: None, or a `datasets.Pairs` to train on, in place of the photos that
            the recipe names.
        validation: None, or a `datasets.Pairs` to score on. Only with `dataset`. Both
            must have the recipe's scale.

    Returns:
        `(model, run)`: what was trained and its `TrainingRun`. In addition to the
        files of the run, `final.weights.h5` holds the network's last weights as
        shipped files have them, and `final_encoder.weights.h5` those of a VAE's
        encoder.

    Raises:
        FileExistsError: If there is a run in `folder` and `resume` is False.
        ValueError: If the recipe or the photos do not fit the run in `folder`, the
            recipe names something that does not exist, or `dataset` and `validation`
            do not fit each other or the recipe.
        OSError: If the folder cannot be written to, or another process trains in it.
    """
    folder = pathlib.Path(folder)
    if validation is not None and dataset is None:
        raise ValueError(
            "`validation` needs `dataset`. The photos to score on beside those that a"
            " recipe names are its field `validation`. Received: dataset=None,"
            f" validation={validation}"
        )
    with locked(folder, distribute):
        recipe = _check_folder(folder, recipe, resume)
        for name, pairs in (("dataset", dataset), ("validation", validation)):
            if pairs is not None and pairs.scale != recipe.scale:
                raise ValueError(
                    f"`{name}` must have the recipe's scale of {recipe.scale}."
                    f" Received: {name}.scale={pairs.scale}"
                )
        strategy = distribution.open_strategy(distribute, recipe)
        recipe = recipe.resolved()
        with distribution.scope(strategy):
            model = recipe.build()
        if dataset is None:
            dataset, validation = open_datasets(recipe)
        photos = _names_of(dataset, validation)
        _check_photos(folder, photos)
        network = recipe.upscaler(model)
        model.steps_per_execution = steps_per_execution
        run = TrainingRun(
            folder,
            recipe.steps,
            evaluate_every,
            validation,
            upscaler=network,
            monitor=recipe.monitor,
            save_every=save_every,
            tensorboard=tensorboard,
            console=console,
        )

        def batches(start_step):
            made = training_batches(
                dataset,
                recipe.lr_patch_size,
                recipe.batch_size,
                channels=network.input_shape[-1],
                seed=recipe.seed,
                start_step=start_step,
                cache=cache,
                skip_bad=recipe.skip_bad,
                min_contrast=recipe.min_contrast,
                progress=progress,
            )
            if distribution.is_first_process():
                files.write_json(folder / "recipe.json", recipe.as_json())
                files.write_json(folder / "photos.json", photos)
            return recipe.with_targets(made, model)

        run.fit(model, batches)
        is_done = run.step >= recipe.steps and run.stopped is None
        if is_done:
            # All processes must assign the averages together; only one writes.
            with averaged_weights(model), distribution.local():
                is_first = distribution.is_first_process()
                if is_first:  # it may have been ended early, by fewer steps
                    files.write_json(folder / "recipe.json", recipe.as_json())
                parts = recipe.weights_files(model) if is_first else {}
                for name, part in parts.items():
                    weights.save(
                        part, folder / name, half=True, history=_history(recipe, run)
                    )
        return model, run


def _history(recipe, run):
    """Returns what a weights file says of its training."""
    last = run.log[-1]
    return {
        "name": recipe.name,
        "recipe": recipe.as_json(),
        # The seconds in the log stay the same when a finished run is resumed.
        "seconds": round(last["seconds"]),
        "validation": {k: last[k] for k in ("psnr_y", "ssim_y") if k in last},
    }


@contextlib.contextmanager
def locked(folder, distribute=None):
    """Keeps other processes out of a run's folder, and checks that it is writable."""
    if not distribution.is_first_process(distribute):
        yield  # the first of several processes holds the lock
        return
    files.check_writable(folder)
    lock = filelock.FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise OSError(
            f"Another process is training in {folder}. Stop it, or choose another"
            " folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_recipe(folder):
    """Returns the recipe of the run in a folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its file cannot be read.
    """
    path = pathlib.Path(folder) / "recipe.json"
    values = files.read_json(path)
    if values is None:
        raise FileNotFoundError(f"There is no run in {folder}: {path} is missing.")
    try:
        return from_json(values)
    except ValueError as error:
        raise ValueError(f"{path} is not the recipe of a run: {error}") from error


def has_state(folder):
    """Returns True if a folder holds a run that can be resumed."""
    return _steps_done(pathlib.Path(folder)) > 0


def _steps_done(folder):
    """Returns the step of the last state in a folder, or 0 without any."""
    states = list(folder.glob("state/step_*[0-9]"))
    return max((int(path.name.removeprefix("step_")) for path in states), default=0)


def _check_folder(folder, recipe, resume):
    """Returns the recipe to train by, if what is in the folder allows it."""
    results = ("best.keras", "last.keras", WEIGHTS_FILE)
    found = [name for name in results if (folder / name).is_file()]
    if not has_state(folder):
        # A run that was stopped before its first save starts again.
        is_begun = (folder / "recipe.json").is_file() and WEIGHTS_FILE not in found
        if found and not (resume and is_begun):
            raise FileExistsError(
                f"{folder} has {found[0]} but no state to resume from. Choose another"
                " folder."
            )
        return read_recipe(folder) if recipe is None else recipe
    if not resume:
        raise FileExistsError(
            f"There is a run in {folder}. Resume it, or choose another folder."
        )
    if recipe is None:
        return read_recipe(folder)
    if not (folder / "recipe.json").is_file():
        return recipe
    recipe, changes = resumed(recipe, read_recipe(folder), folder)
    done = _steps_done(folder)
    if recipe.steps < done:
        raise ValueError(
            f"The run in {folder} has already done {done} steps. `steps` must be at"
            f" least as many. Received: steps={recipe.steps}"
        )
    texts = _texts(changes)
    useless = [text for name, text in texts.items() if name not in ("name", "steps")]
    if recipe.steps == done and useless:
        raise ValueError(
            f"The run in {folder} has already done all {done} steps, so other settings"
            f" would have no effect: {'; '.join(useless)}. Leave them as they were, or"
            " train for more `steps`."
        )
    for name, (old, new) in changes.items():
        if name != "name":
            warnings.warn(
                f"The run is resumed with {name} {new!r} in place of {old!r}. The"
                " schedule is that of the new settings, from the run's step on.",
                stacklevel=3,
            )
    return recipe


def resumed(recipe, former, folder):
    """Compares a recipe with that of the run that it shall resume.

    Args:
        recipe: A `Recipe`.
        former: The `Recipe` that the run was started with.
        folder: Folder of the run, for the message.

    Returns:
        `(recipe, changes)`: the recipe, in the precision that "auto" resolved to when
        the run was started, and a dict of `(old, new)` by the names of fields.

    Raises:
        ValueError: If a field differs that is not in `CHANGEABLE`.
    """
    if recipe.precision == "auto":
        recipe = dataclasses.replace(recipe, precision=former.precision)
    then, now = former.as_json(), recipe.as_json()
    changes = {k: (then.get(k), v) for k, v in now.items() if then.get(k) != v}
    refused = [text for k, text in _texts(changes).items() if k not in CHANGEABLE]
    if refused:
        raise ValueError(
            f"The run in {folder} cannot be resumed with other settings:"
            f" {'; '.join(refused)}. Start another run from its weights instead"
            f" (`weights`: {folder})."
        )
    return recipe, changes


def _texts(changes):
    return {
        name: f"{name} was {old!r} and is {new!r}"
        for name, (old, new) in changes.items()
    }


def _names_of(dataset, validation):
    """Returns the names of the photos to train on, and of those to score on."""
    return {
        "training": [str(name) for name in dataset.names],
        "validation": [str(name) for name in validation.names] if validation else [],
    }


def _check_photos(folder, photos):
    """Raises a ValueError if a run that is resumed was started with other photos."""
    former = files.read_json(folder / "photos.json") if has_state(folder) else None
    for kind, names in photos.items() if former else ():
        now, then = collections.Counter(names), collections.Counter(former[kind])
        other = sorted((now - then) + (then - now))
        if other:  # one that was trained on might be scored, and the other way round
            raise ValueError(
                f"The run in {folder} cannot be resumed with other photos. Of those"
                f" for {kind}, these were added or are missing:"
                f" {', '.join(other[:3])}{' ...' if other[3:] else ''}."
            )


def open_datasets(recipe):
    """Returns the training and the validation dataset of a recipe.

    All photos to score on are read here, because an error after the first thousand
    steps would come late. With `skip_bad` those that cannot be scored are left out.

    Returns:
        `(train_set, validation)`; `validation` is None without any.

    Raises:
        FileNotFoundError: If there is no such dataset.
        ValueError: If a photo to score on is corrupt or too small, LR and HR images are
            the same, or an HR file is in two of the folders to train on, or is both
            trained on and scored.
    """
    degradation = recipe.build_degradation()
    lr_data = recipe.lr_data or [None] * len(recipe.data)
    parts = [
        datasets.open_data(name, recipe.scale, "train", degradation, lr_path)
        for name, lr_path in zip(recipe.data, lr_data, strict=True)
    ]
    _check_disjoint(
        parts,
        "`data` must name folders that have no files in common. Received:"
        f" data={recipe.data}",
    )
    train_set = datasets.concatenate(parts)
    datasets.named.check_degraded(train_set)
    if recipe.validation is not None:
        names = (recipe.validation,)
    elif all(map(datasets.has_validation, recipe.data)):
        names = recipe.data
    else:
        names = ()
    if names:
        validation = datasets.concatenate(
            [
                datasets.open_data(name, recipe.scale, "validation", degradation)
                for name in names
            ]
        )
        _check_disjoint(
            [train_set, validation],
            "`validation` must not have files of `data`. Received:"
            f" validation={recipe.validation!r}, data={recipe.data}",
        )
    elif recipe.num_validation:
        train_set, validation = train_set.split(recipe.num_validation)
        _check_disjoint(
            [train_set, validation],
            "Photos with several LR files cannot be held out of `data`. Name other"
            " photos as `validation`, or use num_validation=0. Received:"
            f" num_validation={recipe.num_validation}, data={recipe.data}",
        )
    else:
        return train_set, None
    return train_set, _scorable(validation, recipe.skip_bad)


def _check_disjoint(parts, message):
    """Raises a ValueError that names the HR files that several datasets have."""
    # Within one dataset, a photo with several LR files occurs several times.
    files_of = [{os.path.realpath(f) for f in part.hr_files if f} for part in parts]
    counts = collections.Counter(file for found in files_of for file in found)
    shared = sorted(file for file, count in counts.items() if count > 1)
    if shared:
        raise ValueError(
            f"{message}. Files in common: {', '.join(shared[:3])}"
            f"{' ...' if shared[3:] else ''}"
        )


def _scorable(dataset, skip_bad):
    """Returns the dataset of those images that `evaluate` can score."""
    smallest = 2 * dataset.scale + 11  # SSIM's window, inside the border
    good = []
    for i, name in enumerate(dataset.names):
        try:
            _, hr = dataset[i]
            if min(hr.shape[:2]) < smallest:
                raise ValueError(
                    f"{name}: an HR image of {hr.shape[0]}x{hr.shape[1]} cannot be"
                    f" scored. At scale {dataset.scale} it must have at least"
                    f" {smallest}x{smallest} pixels."
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
