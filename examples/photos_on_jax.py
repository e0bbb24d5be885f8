"""Photos in the memory of the device, and in one file: for `train_on_jax.py`."""

import concurrent.futures
import functools
import io
import os
import pathlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import sr_keras as sr
from sr_keras import files
from sr_keras.datasets.folder import find_lr, image_files

TRIES = 10  # places for a patch of enough contrast, as in `training_batches`


class Photos:
    """Photos in the memory of the device, which cuts patches of them.

    A degradation that is random, or not equivariant, is applied to the eight views of
    each photo in advance, so there are eight LR images of it. (`training_batches` draws
    a random degradation anew for each patch.)

    Args:
        dataset: A `datasets.Pairs` of 8-bit images.
        recipe: A `Recipe`, for the size of patches and what to do with bad photos.
        channels: Channels of the patches: 3 for RGB, 1 for luma.

    Raises:
        ValueError: If a photo cannot be used and `recipe.skip_bad` is False, or none
            can, or there are too many.
    """

    def __init__(self, dataset, recipe, channels):
        self.scale = dataset.scale
        self.lr_patch_size = recipe.lr_patch_size
        self.min_contrast = recipe.min_contrast
        self.channels = channels

        def load(index):
            try:
                return _load(dataset, index, recipe)
            except ValueError as error:
                if not recipe.skip_bad:
                    raise
                warnings.warn(f"Skipping {error}", stacklevel=2)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            photos = [photo for photo in pool.map(load, range(len(dataset))) if photo]
        if not photos:
            raise ValueError("None of the photos can be used.")
        lr = [image for lrs, _ in photos for image in lrs]
        hr = [hr for _, hr in photos]
        stored = max(image.shape[2] for image in hr)
        self.sizes = jnp.array([lrs[0].shape[:2] for lrs, _ in photos])
        self.lr, lr_starts = _joined(lr, stored)
        self.hr, self.hr_starts = _joined(hr, stored)
        self.lr_starts = lr_starts.reshape(len(photos), -1)

    @property
    def arrays(self):
        """What `patches` reads, to be passed to a compiled function."""
        return self.lr, self.hr, self.lr_starts, self.hr_starts, self.sizes

    def patches(self, arrays, key, batch_size):
        """Returns random `(lr, hr)` in [0, 1], flipped and rotated at random."""
        lr, hr, lr_starts, hr_starts, sizes = arrays
        keys = jax.random.split(key, 3)
        photo = jax.random.randint(keys[0], (batch_size,), 0, len(sizes))
        symmetry = jax.random.randint(keys[1], (batch_size,), 0, 8)
        room = sizes[photo] - self.lr_patch_size + 1
        width = sizes[photo, 1]

        def cut(pixels, starts, factor, corner, symmetry):
            places = functools.partial(_places, factor * self.lr_patch_size)
            scaled = (starts, factor * width, factor * corner, symmetry)
            return pixels[jax.vmap(places)(*scaled)].astype("float32") / 255

        if self.min_contrast is None:
            corner = jax.random.randint(keys[2], (batch_size, 2), 0, room)
        else:
            corners = jax.random.randint(keys[2], (TRIES, batch_size, 2), 0, room)

            def contrast(corner):
                start = hr_starts[photo]
                patch = cut(hr, start, self.scale, corner, jnp.zeros_like(photo))
                return patch.std(axis=(1, 2)).mean(axis=-1)

            corner = _first_good(corners, jax.vmap(contrast)(corners), self)
        lr_start = lr_starts[photo, symmetry % lr_starts.shape[1]]
        lr = cut(lr, lr_start, 1, corner, symmetry)
        hr = cut(hr, hr_starts[photo], self.scale, corner, symmetry)
        if self.channels == 1:
            return sr.images.luma(lr), sr.images.luma(hr)
        if hr.shape[-1] == 1:
            return jnp.repeat(lr, 3, axis=-1), jnp.repeat(hr, 3, axis=-1)
        return lr, hr


def _load(dataset, index, recipe):
    """Returns `(lrs, hr)`: the LR images of a photo, one or eight, and the HR image."""
    degradation = dataset.degradation
    if degradation is None or not (
        degradation.is_random or not degradation.is_equivariant
    ):
        lr, hr = dataset[index]
        lrs = [lr]
    else:
        hr, lrs = dataset.hr(index), []
        for symmetry in range(8):
            view = _view(hr, symmetry)
            lr = degradation(view, seed=(recipe.seed, 8 * index + symmetry))
            lrs.append(_unview(lr, symmetry))
    name, size = dataset.names[index], recipe.lr_patch_size
    if hr.dtype != np.uint8 or lrs[0].dtype != np.uint8:
        raise ValueError(f"{name}: only images of 8 bits can be used here.")
    if min(lrs[0].shape[:2]) < size:
        raise ValueError(
            f"{name}: the LR image of {lrs[0].shape[0]}x{lrs[0].shape[1]} is smaller"
            f" than an LR patch. Received: lr_patch_size={size}"
        )
    return lrs, hr


def _joined(images, channels):
    """Returns the pixels of all images, `(count, channels)`, and where each starts."""
    counts = [image.shape[0] * image.shape[1] for image in images]
    if sum(counts) >= 2**31:
        raise ValueError(
            "The photos must have fewer than 2,147,483,648 pixels together. Received:"
            f" {sum(counts):,}"
        )
    pixels = np.empty((sum(counts), channels), "uint8")
    starts = np.cumsum([0, *counts])
    for image, start, end in zip(images, starts, starts[1:], strict=False):
        pixels[start:end] = image.reshape(end - start, -1)
    return jnp.asarray(pixels), jnp.asarray(starts[:-1])


def _view(image, symmetry):
    """Returns one of the eight views of an image."""
    if symmetry & 4:
        image = image.transpose(1, 0, 2)
    return np.ascontiguousarray(_flipped(image, symmetry))


def _unview(image, symmetry):
    image = _flipped(image, symmetry)
    return image.transpose(1, 0, 2) if symmetry & 4 else image


def _flipped(image, symmetry):
    image = image[::-1] if symmetry & 1 else image
    return image[:, ::-1] if symmetry & 2 else image


def _places(size, start, width, corner, symmetry):
    """Returns the places of the pixels of a square in one of its views."""
    y, x = jnp.meshgrid(jnp.arange(size), jnp.arange(size), indexing="ij")
    y = jnp.where(symmetry & 1, size - 1 - y, y)
    x = jnp.where(symmetry & 2, size - 1 - x, x)
    y, x = jnp.where(symmetry & 4, x, y), jnp.where(symmetry & 4, y, x)
    return start + (corner[0] + y) * width + corner[1] + x


def _first_good(corners, contrasts, photos):
    """Returns the first corner of enough contrast, or the one of the most."""
    good = contrasts >= photos.min_contrast
    chosen = jnp.where(good.any(axis=0), good.argmax(axis=0), contrasts.argmax(axis=0))
    return corners[chosen, jnp.arange(len(chosen))]


# Photos in one file


def pack(path, recipe, train_set, validation, limit):
    """Writes the photos of a recipe into one file, without loss.

    A photo is stored as the bytes of its file if that is a file of a folder that the
    recipe names, or otherwise as WebP or PNG. LR images are stored only if they were
    read, as a degradation makes them again. If the file would be too large, training
    photos are left out: those of the most pixels first, equal ones at random.

    Args:
        path: File to write, `.npz`.
        recipe: The `Recipe`.
        train_set: A `datasets.Pairs`.
        validation: Another one, or None.
        limit: Largest size of the file in bytes.

    Raises:
        ValueError: If the validation photos alone are larger, or a photo is bad.
    """
    sources = _source_files(recipe)
    entries, order = {"train": [], "validation": []}, []
    rng = np.random.default_rng(0)
    for split, dataset in (("train", train_set), ("validation", validation)):
        for index in range(len(dataset or ())):
            name = dataset.names[index]
            try:
                pair = (
                    dataset[index]
                    if dataset.degradation is None
                    else (dataset.hr(index),)
                )
                images = [_encoded(pair[-1], sources.get(name))]
                images += [_encoded(image) for image in pair[:-1]]
            except ValueError as error:
                if not recipe.skip_bad:
                    raise
                warnings.warn(f"Skipping {error}", stacklevel=2)
                continue
            if split == "train":
                order.append((pair[-1].size, rng.random(), len(entries[split])))
            entries[split].append((name, images))

    def size(found):  # each array has a header, twice
        return sum(len(image) + 1000 for _, images in found for image in images)

    total = size(entries["train"]) + size(entries["validation"])
    dropped, count = set(), len(order)
    for *_, index in sorted(order, reverse=True):
        if total <= limit:
            break
        total -= size([entries["train"][index]])
        dropped.add(index)
    if len(dropped) == count:
        raise ValueError(
            f"No training photo fits into a file of {limit / 2**20:.3g} MiB. Raise the"
            " limit (--limit-mib)."
        )
    entries["train"] = [e for i, e in enumerate(entries["train"]) if i not in dropped]
    arrays = {}
    for split, found in entries.items():
        arrays[f"{split}_names"] = np.array([name for name, _ in found], "str")
        for i, (_, images) in enumerate(found):
            for kind, image in zip(("hr", "lr"), images, strict=False):
                arrays[f"{split}_{kind}_{i}"] = np.frombuffer(image, "uint8")
    with files.replacing(path) as temporary:
        np.savez(temporary, **arrays)
    print(
        f"{path}: {count - len(dropped)} training photos, {len(entries['validation'])}"
        f" to score on, {pathlib.Path(path).stat().st_size / 2**20:.1f} MiB"
    )
    if dropped:
        print(f"photos left out, because of the limit of size: {len(dropped)}")


def unpack(path, recipe):
    """Returns the training and the validation dataset of a file that `pack` wrote."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
        datasets = [_unpacked(arrays, s, recipe) for s in ("train", "validation")]
    except (KeyError, ValueError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path} cannot be used as packed photos: {error}") from error
    return datasets


def _unpacked(arrays, split, recipe):
    names = [str(name) for name in arrays[f"{split}_names"]]
    if not names:
        return None

    def images(kind):
        return [_decoded(arrays[f"{split}_{kind}_{i}"]) for i in range(len(names))]

    has_lr = f"{split}_lr_0" in arrays and recipe.degradation is None
    return sr.datasets.arrays(
        images("hr"),
        images("lr") if has_lr else None,
        scale=recipe.scale,
        degradation=None if has_lr else recipe.build_degradation(),
        names=names,
    )


def _source_files(recipe):
    """Returns the files in the folders that a recipe names, by the photos' names."""
    root, found = pathlib.Path(os.environ.get("SR_KERAS_DATA", "data")), {}
    for name in (*recipe.data, recipe.validation or ""):
        for folder in (pathlib.Path(name), root / name) if name else ():
            if folder.is_dir():
                folder, _ = find_lr(folder, recipe.scale, search=False)
                for file in image_files(folder):
                    found[file.relative_to(folder).with_suffix("").as_posix()] = file
                break
    return found


def _encoded(image, source=None):
    """Returns the bytes of an image file with these pixels."""
    if image.dtype != np.uint8:
        raise ValueError("Only images of 8 bits can be packed.")
    if source is not None:
        content = source.read_bytes()
        decoded = _decoded(content)[: image.shape[0], : image.shape[1]]
        # The photo was cut to a multiple of the scale. Other photos have equal names.
        if np.array_equal(decoded, image):
            return content
    buffer = io.BytesIO()
    if image.shape[2] == 1 or max(image.shape) > 16383:  # more than WebP can hold
        Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image).save(
            buffer, "PNG", optimize=True
        )
    else:
        Image.fromarray(image).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def _decoded(content):
    with Image.open(io.BytesIO(bytes(content))) as image:
        return np.array(image.convert("L" if image.mode == "L" else "RGB"))
