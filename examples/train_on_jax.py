"""Trains recipes on one GPU in minutes: networks, GANs and VAEs.

    KERAS_BACKEND=jax python examples/train_on_jax.py edsr-x4-srgan --out runs/srgan

`python -m sr_keras train` makes batches on the CPU and starts every step from Python,
and a fast GPU waits for both. Here the photos are in the memory of the GPU, patches are
cut there, and one call trains hundreds of steps. The recipe is the same, but its random
numbers are those of JAX, so the patches differ.

Ctrl-C saves and stops. `--resume` continues from the last saved step and ends with the
weights of an uninterrupted training; the recipe need not be named again.
`--seconds 500` stops after that time; the weights are written in any case. Like that of
other trainings, the folder is a model: `sr_keras.models.load("runs/srgan")`.

To train on another machine, pack the photos into one file here, and copy it there. It
replaces all folders, and the program needs neither them nor TensorFlow:

    ... train_on_jax.py edsr-x4-srgan --pack photos.npz
    ... train_on_jax.py edsr-x4-srgan --photos photos.npz --out runs/srgan

Losses on features of VGG19 read the file that SR_KERAS_VGG19 names.
"""

import argparse
import functools
import json
import math
import pathlib
import signal
import time

import jax
import jax.numpy as jnp
import keras
import numpy as np
from photos_on_jax import Photos, pack, unpack

import sr_keras as sr
from sr_keras import files
from sr_keras.training import recipe as recipes
from sr_keras.training import run as runs
from sr_keras.training.callbacks import averaged_weights
from sr_keras.training.recipes import find

FIRST_STEPS = 10  # in the first call, which finds out how long a step takes
KINDS = ("regression", "gan", "vae")  # of recipes; the denoiser needs TensorFlow
CALL_SECONDS = 10  # how long the later calls take, and what Ctrl-C loses at most
SAVE_SECONDS = 60  # what a killed process loses at most


def targets_of(model, recipe):
    """Returns the function from HR patches to what the model is compared with."""
    if recipe.kind != "regression" or not isinstance(model.output, dict):
        return lambda hr: hr
    shapes = model.compute_output_shape((1, 12, 12, model.input_shape[-1]))
    hr_size = recipe.scale * recipe.lr_patch_size
    pixels = np.eye(hr_size, dtype="float32")
    # Bicubic downscaling multiplies by a matrix from the left and from the right.
    matrices = {
        name: sr.images.resize(pixels, (recipe.lr_patch_size * shape[1] // 12, hr_size))
        for name, shape in shapes.items()
    }

    def targets(hr):
        shrink = functools.partial(jnp.einsum, "ij,bjkc,lk->bilc", precision="highest")
        return {
            name: hr if len(matrix) == hr_size else shrink(matrix, hr, matrix)
            for name, matrix in matrices.items()
        }

    return targets


# Training


def state_of(model):
    """Returns the variables that a training step of Keras on JAX reads and returns."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def training_function(model, photos, recipe):
    """Returns `advance(state, arrays, first, last)`, which trains several steps.

    It returns the state after them and the logs, of which losses are the mean since the
    metrics in `state` were reset. A batch depends on the seed and its step alone.
    """
    targets = targets_of(model, recipe)

    def train_step(state, arrays, step):
        key = jax.random.fold_in(jax.random.key(recipe.seed), step)
        lr, hr = photos.patches(arrays, key, recipe.batch_size)
        logs, new = model.train_step(state, (lr, targets(hr)))
        return jax.tree.map(lambda x, old: x.astype(old.dtype), tuple(new), state), logs

    @jax.jit
    def advance(state, arrays, first, last):
        _, logs = jax.eval_shape(train_step, state, arrays, first)
        logs = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), logs)
        # not a scan, because the number of steps would be part of the program
        return jax.lax.fori_loop(
            first, last, lambda i, carry: train_step(carry[0], arrays, i), (state, logs)
        )

    return advance


def build_losses(model, photos, recipe):
    """Creates the metrics of a loss, which a compiled function cannot."""
    if model.loss is not None:  # a GAN or VAE has created them in `compile`
        size, channels = recipe.scale * recipe.lr_patch_size, photos.channels
        images = targets_of(model, recipe)(jnp.zeros((1, size, size, channels)))
        model.compute_loss(y=images, y_pred=images)


def train(model, photos, recipe, folder, names=(), resume=False, seconds=math.inf):
    """Trains a model in place and keeps its state in a folder.

    Args:
        model: What `Recipe.build` returned.
        photos: A `Photos`.
        recipe: The `Recipe`.
        folder: Where `state.npz` goes.
        names: The names of the photos, which must be the same after `resume`.
        resume: Whether to continue from the state in `folder`.
        seconds: The training stops before it takes longer than this.

    Returns:
        `(step, seconds)`: the steps done, and how long all of them took.

    Raises:
        FileNotFoundError: If there is nothing to resume.
        ValueError: If the state is of another recipe or of other photos.
        FloatingPointError: If the loss becomes NaN or infinite. The state of the last
            save is kept.
    """
    build_losses(model, photos, recipe)
    variables = state_of(model)
    # Copies, because weights and their moving averages may be the same arrays.
    *state, metrics = ([jnp.array(v.value) for v in group] for group in variables)
    step, duration = 0, 0.0
    path = pathlib.Path(folder) / "state.npz"
    if resume:
        step, duration, state = _read_state(path, recipe, names, state)
    if step < recipe.steps:
        start = time.monotonic()
        deadline = start + seconds
        arguments = [(*state, metrics), photos.arrays, np.int32(step), np.int32(step)]
        advance = training_function(model, photos, recipe).lower(*arguments).compile()
        print(f"compiled in {time.monotonic() - start:.0f} s", flush=True)
        saved, seconds_per_step = start, None
        try:
            while step < recipe.steps:
                last = _last_step(step, recipe.steps, seconds_per_step, deadline)
                if last == step:
                    break
                began = time.monotonic()
                arguments = (*state, metrics), photos.arrays, np.int32(step)
                (*new, _), logs = advance(*arguments, np.int32(last))
                logs = {name: float(value) for name, value in logs.items()}  # waits
                seconds_per_step = (time.monotonic() - began) / (last - step)
                if not math.isfinite(logs["loss"]):
                    raise FloatingPointError(
                        "The loss became NaN or infinite between the steps"
                        f" {step:,} and {last:,}. Use a lower learning rate or"
                        " `global_clipnorm`."
                    )
                step, state = last, new
                _report(step, recipe.steps, logs, seconds_per_step)
                if time.monotonic() - saved > SAVE_SECONDS:
                    saved = time.monotonic()
                    spent = duration + saved - start
                    _write_state(path, recipe, names, step, spent, state)
        except KeyboardInterrupt:
            pass
        duration += time.monotonic() - start
        _write_state(path, recipe, names, step, duration, state)
        if step < recipe.steps:
            print(f"stopped at step {step:,} of {recipe.steps:,}; see --resume")
    for group, values in zip(variables, state, strict=False):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    return step, duration


def _last_step(step, steps, seconds_per_step, deadline):
    """Returns the step to which the next call trains; `step` if no time is left."""
    if seconds_per_step is None:
        return min(step + FIRST_STEPS, steps)
    left = deadline - time.monotonic()
    if left < seconds_per_step:
        return step
    return min(step + max(1, int(min(left, CALL_SECONDS) / seconds_per_step)), steps)


def _report(step, steps, logs, seconds_per_step):
    values = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
    left = (steps - step) * seconds_per_step
    left = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
    milliseconds = 1000 * seconds_per_step
    print(
        f"step {step:,} of {steps:,}: {values}; {milliseconds:.3g} ms a step, {left}"
        " left",
        flush=True,
    )


def _write_state(path, recipe, names, step, seconds, state):
    about = {"recipe": recipe.as_json(), "photos": list(names)}
    with files.replacing(path) as temporary:
        np.savez(
            temporary,
            *jax.tree.leaves(state),
            about=json.dumps(about),
            step=step,
            seconds=seconds,
        )


def _read_state(path, recipe, names, state):
    """Returns the step, the seconds and the variables of a state of this recipe."""
    about = _read_about(path)
    runs.resumed(recipe, recipes.from_json(about["recipe"]), path.parent)
    if about["photos"] != list(names):
        raise ValueError(f"{path} cannot be resumed with other photos.")
    leaves, structure = jax.tree.flatten(state)
    with np.load(path) as file:
        step, seconds = int(file["step"]), float(file["seconds"])
        stored = [jnp.asarray(file[f"arr_{i}"], x.dtype) for i, x in enumerate(leaves)]
    return step, seconds, jax.tree.unflatten(structure, stored)


def _read_about(path):
    if not path.is_file():
        raise FileNotFoundError(f"There is no training to resume: {path} is missing.")
    with np.load(path) as file:
        return json.loads(str(file["about"]))


# Command line


def find_recipe(name, settings, state=None):
    """Returns the recipe to train by.

    Args:
        name: Name of a recipe, its JSON file, or None for that of the state.
        settings: Texts "FIELD=VALUE", other values of some fields.
        state: File of the state to resume, or None.
    """
    former = state and recipes.from_json(_read_about(state)["recipe"])
    recipe = find(name) if name else former
    if recipe.kind not in KINDS:
        raise ValueError(
            f"The kind of the recipe must be one of {', '.join(KINDS)}; `python -m"
            f" sr_keras train` trains all. Received: kind={recipe.kind!r}"
        )
    recipe = recipe.replace(**dict(map(recipes.parse_setting, settings)))
    return recipe if former is None else runs.resumed(recipe, former, state.parent)[0]


def save_weights(model, recipe, folder, validation, step, seconds):
    """Writes the network and the weights files of a recipe, and prints the scores."""
    history = {"name": recipe.name, "recipe": recipe.as_json(), "step": step}
    history |= {"seconds": round(seconds), "device": jax.devices()[0].device_kind}
    history |= {"made_by": "examples/train_on_jax.py", "validation": {}}
    with averaged_weights(model):
        network = sr.precision.with_precision(recipe.upscaler(model), "float32")
        with files.replacing(folder / "last.keras") as temporary:
            network.save(temporary)
        if validation is not None:
            scores = sr.evaluate(network, validation)
            mean = scores["mean"]
            history["validation"] = {k: mean[k] for k in ("psnr_y", "ssim_y")}
            print(
                f"photos held out: {mean['psnr_y']:.2f} dB, SSIM {mean['ssim_y']:.4f}"
                f" ({scores['conditions']})"
            )
        for name, network in recipe.weights_files(model).items():
            sr.weights.save(network, folder / name, half=True, history=history)
            print(f"wrote {folder / name}")


def run(arguments):
    state = arguments.out / "state.npz"
    taken = (state, arguments.out / recipes.WEIGHTS_FILE)
    if not arguments.resume and any(path.exists() for path in taken):
        raise ValueError(
            f"There is a training in {arguments.out}. Use --resume, or another folder."
        )
    state_to_resume = state if arguments.resume else None
    recipe = find_recipe(arguments.recipe, arguments.set, state_to_resume).resolved()
    with sr.features.built_at_once():  # not as constants of the compiled program
        model = recipe.build()
    if arguments.photos:
        train_set, validation = unpack(arguments.photos, recipe)
    else:
        train_set, validation = runs.open_datasets(recipe)
    photos = Photos(train_set, recipe, model.input_shape[-1])
    step, seconds = train(
        model,
        photos,
        recipe,
        arguments.out,
        train_set.names,
        arguments.resume,
        arguments.seconds,
    )
    save_weights(model, recipe, arguments.out, validation, step, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "recipe",
        nargs="?",
        help="name of a recipe, or its JSON file; not needed with --resume",
    )
    parser.add_argument("--out", type=pathlib.Path, help="folder of the training")
    parser.add_argument("--resume", action="store_true", help="continue in --out")
    parser.add_argument("--seconds", type=float, default=math.inf, help="time to stop")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="of the recipe",
    )
    parser.add_argument("--photos", type=pathlib.Path, help="a file made by --pack")
    parser.add_argument("--pack", type=pathlib.Path, help="write the photos, and stop")
    parser.add_argument("--limit-mib", type=float, default=64, help="size of --pack")
    arguments = parser.parse_args()
    if keras.backend.backend() != "jax":
        parser.error("set the environment variable KERAS_BACKEND=jax")
    if (arguments.out is None) == (arguments.pack is None):
        parser.error("one of --out and --pack is needed")
    if arguments.recipe is None and (arguments.pack or not arguments.resume):
        parser.error("a recipe is needed without --resume")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        if arguments.pack:
            recipe = find_recipe(arguments.recipe, arguments.set)
            limit = arguments.limit_mib * 2**20
            pack(arguments.pack, recipe, *runs.open_datasets(recipe), limit)
        else:
            with runs.locked(arguments.out):
                run(arguments)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except FloatingPointError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
