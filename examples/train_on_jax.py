"""Trains a recipe on a GPU in minutes, where nothing but the GPU is at work.

KERAS_BACKEND=jax python examples/train_on_jax.py edsr-x2 --out runs/edsr-x2

`python -m sr_keras train` sends each batch to the device and starts each step from
Python, and a fast GPU waits for both. Here all photos are in the device's memory,
where the patches are cut, and one call trains hundreds of steps. The recipe is the
same; the patches are other ones, because the random numbers are JAX's.

The files are those of `train`: `final.weights.h5`, and in `state.npz` what `--resume`
goes on from.
"""

import argparse
import functools
import json
import os
import pathlib
import time

import jax
import jax.numpy as jnp
import keras
import numpy as np

import sr_keras as sr
from sr_keras.training import recipes

CHUNK = 500  # steps in one call


class Photos:
    """Pairs of images in the device's memory, of which it cuts patches.

    Args:
        pairs: A sequence of `(lr, hr)`, uint8 arrays `(height, width, 1 or 3)`. Those
            that are smaller than a patch are left out.
        lr_size: Side of the LR patches in pixels.
        channels: Of the patches: 3 for RGB, 1 for luma.

    Raises:
        ValueError: If an image is not uint8, or all are too small.
    """

    def __init__(self, pairs, lr_size, channels):
        self.lr_size = lr_size
        self.channels = channels
        pairs = [pair for pair in pairs if min(pair[0].shape[:2]) >= lr_size]
        if not pairs:
            raise ValueError(f"No photo is as large as a patch of {lr_size} LR pixels.")
        self.scale = pairs[0][1].shape[0] // pairs[0][0].shape[0]
        self.sizes = jnp.array([lr.shape[:2] for lr, _ in pairs])
        self.lr, self.lr_starts = _joined([lr for lr, _ in pairs])
        self.hr, self.hr_starts = _joined([hr for _, hr in pairs])

    @property
    def arrays(self):
        """What `patches` reads, to be handed to a compiled function."""
        return self.lr, self.hr, self.lr_starts, self.hr_starts, self.sizes

    def patches(self, arrays, key, batch_size):
        """Returns random `(lr, hr)` in [0, 1], flipped and turned at random."""
        lr, hr, lr_starts, hr_starts, sizes = arrays
        keys = jax.random.split(key, 3)
        photo = jax.random.randint(keys[0], (batch_size,), 0, len(sizes))
        room = sizes[photo] - self.lr_size + 1
        corner = jax.random.randint(keys[1], (batch_size, 2), 0, room)
        symmetry = jax.random.randint(keys[2], (batch_size,), 0, 8)
        patches = []
        for pixels, starts, factor in ((lr, lr_starts, 1), (hr, hr_starts, self.scale)):
            size = factor * self.lr_size
            cut = jax.vmap(functools.partial(_places, size))
            width = factor * sizes[photo, 1]
            places = cut(starts[photo], width, factor * corner, symmetry)
            x = pixels[places].astype("float32") / 255
            patches.append(sr.images.luma(x) if self.channels == 1 else x)
        return patches


def _joined(images):
    """Returns the pixels of all images, `(count, 3)`, and where each image starts."""
    if any(image.dtype != np.uint8 for image in images):
        raise ValueError("This example takes images of 8 bits only.")
    starts = np.cumsum([0] + [image[..., 0].size for image in images[:-1]])
    rgb = [np.broadcast_to(x, (*x.shape[:2], 3)).reshape(-1, 3) for x in images]
    return jnp.asarray(np.concatenate(rgb)), jnp.asarray(starts)


def _places(size, start, width, corner, symmetry):
    """Returns the places of a patch's pixels: one of the eight views of a square."""
    y, x = jnp.meshgrid(jnp.arange(size), jnp.arange(size), indexing="ij")
    y = jnp.where(symmetry & 1, size - 1 - y, y)
    x = jnp.where(symmetry & 2, size - 1 - x, x)
    y, x = jnp.where(symmetry & 4, x, y), jnp.where(symmetry & 4, y, x)
    return start + (corner[0] + y) * width + corner[1] + x


def training_function(network, photos, batch_size, seed):
    """Returns a function that trains `count` steps: `(state, step) -> (state, loss)`.

    `state` is the values of the trainable variables, of the others, and of the
    optimizer; the batch of a step depends on `seed` and its number alone.
    """
    optimizer, loss_function = network.optimizer, network.loss

    def loss_of(trainable, others, lr, hr):
        sr_images, others = network.stateless_call(trainable, others, lr, training=True)
        return loss_function(hr, sr_images), others

    gradient = jax.value_and_grad(loss_of, has_aux=True)

    @functools.partial(jax.jit, static_argnames="count")
    def advance(state, arrays, first, count):
        def one(state, step):
            trainable, others, optimizing = state
            key = jax.random.fold_in(jax.random.key(seed), step)
            lr, hr = photos.patches(arrays, key, batch_size)
            (loss, others), gradients = gradient(trainable, others, lr, hr)
            trainable, optimizing = optimizer.stateless_apply(
                optimizing, gradients, trainable
            )
            return (trainable, others, optimizing), loss

        state, losses = jax.lax.scan(one, state, first + jnp.arange(count))
        return state, jnp.mean(losses)

    return advance


def variables_of(network):
    return (
        network.trainable_variables,
        network.non_trainable_variables,
        network.optimizer.variables,
    )


def train(network, pairs, recipe, folder, resume=False):
    """Trains a compiled network in place, and keeps its state in a folder.

    Args:
        network: What `recipes.build` returns.
        pairs: A sequence of `(lr, hr)`, see `Photos`.
        recipe: The `Recipe`.
        folder: Where `state.npz` goes.
        resume: Whether to go on from there.

    Returns:
        The seconds that the training took.

    Raises:
        FileNotFoundError: If there is nothing to resume.
        ValueError: If what is there is of another recipe, or see `Photos`.
    """
    state_file = pathlib.Path(folder) / "state.npz"
    about = json.dumps(recipes.as_json(recipe))
    variables = variables_of(network)
    state = tuple([v.value for v in group] for group in variables)
    step, seconds = 0, 0.0
    if resume:
        step, seconds, state = _read_state(state_file, about, state)
    photos = Photos(pairs, recipe.lr_size, network.input_shape[-1])
    advance = training_function(network, photos, recipe.batch_size, recipe.seed)
    while step < recipe.steps:
        start, count = time.monotonic(), min(CHUNK, recipe.steps - step)
        state, loss = advance(state, photos.arrays, step, count)
        loss = float(loss)  # waits for the device
        took = time.monotonic() - start
        step, seconds = step + count, seconds + took
        _write_state(state_file, about, step, seconds, state)
        print(
            f"step {step:,} of {recipe.steps:,}, loss {loss:.5f},"
            f" {1000 * took / count:.2f} ms a step",
            flush=True,
        )
    for group, values in zip(variables, state, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    if recipe.ema is not None:
        network.optimizer.finalize_variable_values(network.trainable_variables)
        for variable in network.trainable_variables:
            # a copy, because Keras gives the arrays of the network away in `predict`,
            # which the optimizer's averages would share
            variable.assign(np.array(variable))
    return seconds


def _write_state(path, about, step, seconds, state):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    leaves = jax.tree.leaves(state)
    np.savez(temporary, *leaves, recipe=about, step=step, seconds=seconds)
    os.replace(temporary, path)


def _read_state(path, about, state):
    if not path.is_file():
        raise FileNotFoundError(f"There is no training to resume in {path.parent}")
    with np.load(path) as file:
        if str(file["recipe"]) != about:
            raise ValueError(f"The training in {path.parent} is one of another recipe.")
        structure = jax.tree.structure(state)
        leaves = [jnp.asarray(file[f"arr_{i}"]) for i in range(structure.num_leaves)]
        step, seconds = int(file["step"]), float(file["seconds"])
    return step, seconds, jax.tree.unflatten(structure, leaves)


def check(recipe):
    """Raises a ValueError if a recipe is none that is trained here."""
    kind = type(recipe).__name__
    outputs = {"all_levels", "all_outputs"} & set(recipe.options)
    if kind != "Recipe" or outputs:
        what = f"a network with {outputs.pop()}" if outputs else f"the kind {kind}"
        raise ValueError(f"This example trains networks of one output, not {what}.")
    degradation = sr.degradations.get(recipe.degradation or "bicubic", recipe.scale)
    if degradation.is_random:
        raise ValueError(f"This example has no random degradation: {degradation}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=recipes.RECIPES, metavar="RECIPE")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    if keras.backend.backend() != "jax":
        parser.error("set the environment variable KERAS_BACKEND=jax")
    if not arguments.resume and (arguments.out / "state.npz").exists():
        parser.error(f"there is a training in {arguments.out}: --resume, or another")
    recipe = recipes.RECIPES[arguments.recipe]
    try:
        check(recipe)
        photos, validation = recipes.open_datasets(recipe)
        network = recipes.build(recipe)
        seconds = train(network, photos, recipe, arguments.out, arguments.resume)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if recipe.rounded:
        recipes.round_weights(network, network)
    training = {"recipe": recipes.as_json(recipe), "seconds": round(seconds)}
    training["made_by"] = f"examples/train_on_jax.py {arguments.recipe}"
    training["device"] = jax.devices()[0].device_kind
    if validation is not None:
        scores = sr.evaluate(network, validation)
        mean = scores["mean"]
        training["validation"] = {k: mean[k] for k in ("psnr_y", "ssim_y")}
        print(f"held-out photos: {mean['psnr_y']:.2f} dB ({scores['conditions']})")
    sr.pretrained.save(
        network,
        arguments.out / "final.weights.h5",
        **sr.pretrained.description(network),
        half=True,
        training=training,
    )


if __name__ == "__main__":
    main()
