"""Pairs of LR and HR images: the one type of all datasets."""

import collections.abc
import hashlib
import json
import os
import pathlib
import shutil
import time
import warnings

import cv2
import numpy as np

from sr_keras import degradations, images
from sr_keras.checks import check_scale, is_count

# To be raised when images are read or stored differently than before.
_FORMAT = 2
_SYNC_SECONDS = 1.0  # how much decoding a killed process loses


class Pairs(collections.abc.Sequence):
    """A dataset of LR and HR images, which are read when they are asked for.

    `pairs[i]` is `(lr, hr)`: uint8 or uint16 arrays `(height, width, channels)` of 1 or
    3 channels, where `hr` is exactly `scale` times larger than `lr`. HR images are cut
    at the bottom and the right if their sides are not multiples of `scale`, and an
    alpha channel is dropped. `pairs[2:5]` is the dataset of some of the images, see
    `subset`.

    Args:
        names: A name for each image.
        scale: Upscaling factor from `lr` to `hr`.
        read_hr: Function from an index to an HR image, a uint8 or uint16 array
            `(height, width[, channels])` of at most 4 channels.
        read_lr: Function from an index to an LR image, or None if a degradation makes
            the LR images.
        degradation: What makes the LR images, see `degradations.get`; None for bicubic
            if there is no `read_lr`. A random degradation is seeded by the index.
        key: A text that changes when the images do, by which `decode` identifies the
            dataset, together with the names. None for a dataset that is not decoded.
        hr_files: The path of each HR image, or None if they are not files.

    Attributes:
        names: List of names.
        scale: Upscaling factor.
        degradation: The `Degradation`, or None if the LR images are read.
        hr_files: List of the absolute path of each HR image; None in the list for one
            that is not a file.

    Raises:
        ValueError: If both `read_lr` and `degradation` are given.
    """

    def __init__(
        self,
        names,
        scale,
        read_hr,
        read_lr=None,
        degradation=None,
        key=None,
        hr_files=None,
    ):
        self.names = list(names)
        self.hr_files = [None] * len(self.names)
        if hr_files is not None:
            self.hr_files = [file and os.path.abspath(file) for file in hr_files]
        self.scale = check_scale(scale)
        if read_lr is not None and degradation is not None:
            raise ValueError(
                "`read_lr` and `degradation` cannot be combined. Received:"
                f" degradation={degradation!r}"
            )
        self.degradation = None
        if read_lr is None:
            self.degradation = degradations.get(degradation, self.scale)
        self.key = key
        self._read_hr = read_hr
        self._read_lr = read_lr

    def __repr__(self):
        lr = "LR images of their own" if self._read_lr else f"LR by {self.degradation}"
        return f"<Pairs: {len(self)} images, x{self.scale}, {lr}>"

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        """Returns `(lr, hr)` of one image, or the dataset of a slice.

        Raises:
            IndexError: If there is no such image.
            ValueError: If a file is corrupt, an image has the wrong dtype, or the sizes
                of a pair do not fit `scale`. The message names the image.
        """
        index = range(len(self))[index]
        if isinstance(index, range):
            return self.subset(index)
        hr = self.hr(index)
        if self._read_lr is None:
            try:
                return self.degradation(hr, seed=index), hr
            except (ValueError, cv2.error) as error:
                raise ValueError(f"{self.names[index]}: {error}") from error
        lr = _pixels(self._read_lr(index), self.names[index])
        height, width = (self.scale * side for side in lr.shape[:2])
        spare = hr.shape[0] - height, hr.shape[1] - width
        if not (0 <= spare[0] < 2 * self.scale and 0 <= spare[1] < 2 * self.scale):
            raise ValueError(
                f"{self.names[index]}: the LR image of {lr.shape[0]}x{lr.shape[1]} does"
                f" not fit the HR image of {hr.shape[0]}x{hr.shape[1]} at scale"
                f" {self.scale}."
            )
        if lr.shape[2] != hr.shape[2]:
            lr, hr = _as_rgb(lr), _as_rgb(hr)
        return lr, hr[:height, :width]

    def hr(self, index):
        """Returns one HR image, cut to a multiple of `scale`."""
        hr = _pixels(self._read_hr(index), self.names[index])
        if min(hr.shape[:2]) < self.scale:
            raise ValueError(
                f"{self.names[index]}: an image of {hr.shape[0]}x{hr.shape[1]} is"
                f" smaller than one LR pixel at scale {self.scale}."
            )
        return images.crop_to_multiple(hr, self.scale)

    def as_dataset(self):
        """Returns a `tf.data.Dataset` of `(lr, hr)`, whole images in order.

        Both are integer tensors `(height, width, channels)` whose sizes (and number of
        channels, if grey and colour images are mixed) vary. All images must have the
        same dtype; iterating raises an error that names the first one that differs.
        """
        import tensorflow as tf  # not needed for training on JAX

        dtypes = [image.dtype for image in self[0]]

        def pairs():
            for name, pair in zip(self.names, self, strict=True):
                if [image.dtype for image in pair] != dtypes:
                    raise ValueError(
                        f"{name}: the LR and HR images are"
                        f" {' and '.join(image.dtype.name for image in pair)}, but the"
                        f" first ones are {' and '.join(d.name for d in dtypes)}."
                    )
                yield pair

        signature = tuple(tf.TensorSpec((None, None, None), d) for d in dtypes)
        dataset = tf.data.Dataset.from_generator(pairs, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self)))

    def subset(self, indices):
        """Returns the dataset of some of the images, in the order of `indices`."""
        indices = list(indices)
        return Pairs(
            [self.names[i] for i in indices],
            self.scale,
            lambda i: self._read_hr(indices[i]),
            self._read_lr and (lambda i: self._read_lr(indices[i])),
            self.degradation,
            key=None if self.key is None else f"{self.key} {indices}",
            hr_files=[self.hr_files[i] for i in indices],
        )

    def split(self, num_validation):
        """Splits the dataset into training and validation images.

        The validation images are taken at even intervals.

        Args:
            num_validation: Number of validation images.

        Returns:
            `(train, validation)`, two datasets.

        Raises:
            ValueError: If no image would be left on one side.
        """
        count = len(self)
        if count < 2:
            raise ValueError(
                f"A dataset of {count} image cannot be split into training and"
                " validation images: add photos, name other photos for validation, or"
                f" use num_validation=0. Received: num_validation={num_validation!r}"
            )
        if not is_count(num_validation) or num_validation >= count:
            raise ValueError(
                f"`num_validation` must be an integer from 1 to {count - 1}, because"
                f" there are {count} images. Received:"
                f" num_validation={num_validation!r}"
            )
        chosen = {
            (2 * i + 1) * count // (2 * num_validation) for i in range(num_validation)
        }
        rest = [i for i in range(count) if i not in chosen]
        return self.subset(rest), self.subset(sorted(chosen))


def _pixels(image, name):
    """Returns an image as `(height, width, 1 or 3)`; alpha is dropped."""
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{name}: images must be uint8 or uint16. Received: dtype={image.dtype},"
            f" values from {image.min():g} to {image.max():g}."
            " `datasets.arrays` accepts floats in [0, 1]."
        )
    if image.ndim == 2:
        return image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 2, 3, 4):
        raise ValueError(
            f"{name}: images must have the shape (height, width[, channels]) with at"
            f" most 4 channels. Received: shape={image.shape}"
        )
    return image[..., : 1 if image.shape[2] == 2 else 3]


def _as_rgb(image):
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def concatenate(datasets):
    """Joins datasets of the same scale and degradation into one.

    Raises:
        ValueError: If there are no datasets, their scales or degradations differ, or
            only some of them have LR images of their own.
    """
    if not datasets:
        raise ValueError("`datasets` must not be empty. Received: datasets=[]")
    first = datasets[0]
    for other in datasets[1:]:
        if (other.scale, other.degradation) != (first.scale, first.degradation):
            raise ValueError(
                "`datasets` must have the same scale and degradation."
                f" Received: {first} and {other}"
            )
    places = [(d, i) for d in datasets for i in range(len(d))]
    keys = [d.key for d in datasets]

    def read_lr(index):
        dataset, i = places[index]
        return dataset._read_lr(i)

    def read_hr(index):
        dataset, i = places[index]
        return dataset._read_hr(i)

    return Pairs(
        [d.names[i] for d, i in places],
        first.scale,
        read_hr,
        read_lr if first.degradation is None else None,
        first.degradation,
        key=None if None in keys else " ".join(keys),
        hr_files=[d.hr_files[i] for d, i in places],
    )


def decode(dataset, folder, skip_bad=False, progress=None):
    """Decodes every image once, into one memory-mapped file.

    Cropping a patch from this file reads a few kilobytes, while a PNG file would have
    to be decoded as a whole. An interrupted call is resumed by the next one. The images
    are decoded anew if the files, the degradation or its results change.

    Args:
        dataset: A `Pairs`.
        folder: Cache folder. Every dataset gets a subfolder of its own.
        skip_bad: Whether to leave out corrupt images with a warning instead of raising
            an error.
        progress: None, or a function that wraps an iterable to show progress.

    Returns:
        A `Pairs` whose images are memory-mapped arrays. If the degradation is random,
        it still makes the LR images when they are asked for.

    Raises:
        ValueError: If `dataset` has no key, or an image is corrupt or does not fit; the
            message names it.
        OSError: If the disk has too little space, estimated from some of the images.
    """
    if dataset.key is None:
        raise ValueError("`dataset` needs a `key` to be cached. Received: key=None")
    folder = pathlib.Path(folder) / _digest(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    pixels_file, index_file = folder / "pixels.bin", folder / "index.jsonl"
    pixels_file.touch()
    index_file.touch()

    index = _read_index(index_file, pixels_file.stat().st_size)
    todo = range(len(index), len(dataset))
    if todo:
        _check_space(dataset, todo, folder)
        with (
            open(pixels_file, "r+b") as pixels,
            open(index_file, "a", encoding="utf-8") as lines,
        ):
            lines.write("\n")  # in case the last line was cut short
            pixels.seek(index[-1]["end"] if index else 0)
            _decode_into(
                pixels,
                lines,
                index,
                dataset,
                todo if progress is None else progress(todo),
                skip_bad,
            )

    used = [i for i, record in enumerate(index) if record["error"] is None]
    for record in index:
        if record["error"] is not None:
            if not skip_bad:
                raise ValueError(record["error"])
            warnings.warn(f"Skipping {record['error']}", stacklevel=2)
    if not used:
        raise ValueError("None of the images can be used.")
    pixels = np.memmap(pixels_file, np.uint8, "r")

    def mapped(position, part):
        offset, shape, dtype = index[used[position]]["arrays"][part]
        return np.ndarray(shape, dtype, pixels, offset)

    has_lr = _has_fixed_lr(dataset)
    return Pairs(
        [dataset.names[i] for i in used],
        dataset.scale,
        lambda position: mapped(position, -1),
        (lambda position: mapped(position, 0)) if has_lr else None,
        None if has_lr else dataset.degradation,
        key=f"{dataset.key} {used}",
        hr_files=[dataset.hr_files[i] for i in used],
    )


def _has_fixed_lr(dataset):
    return dataset.degradation is None or not dataset.degradation.is_random


def _decode_into(pixels, lines, index, dataset, todo, skip_bad):
    """Appends images to the file `pixels`, and their records to `lines` and `index`.

    A record is written only after its pixels are on disk. Waiting for the disk takes
    longer than decoding a small photo, so records are written once a second.
    """
    pending, synced = [], time.monotonic()
    with_lr = _has_fixed_lr(dataset)

    def sync():
        pixels.flush()
        os.fsync(pixels.fileno())
        lines.write("".join(json.dumps(record) + "\n" for record in pending))
        lines.flush()
        pending.clear()

    try:
        for i in todo:
            record = {"image": i, "error": None, "arrays": []}
            try:
                arrays = dataset[i] if with_lr else (dataset.hr(i),)
            except ValueError as error:
                if not skip_bad:
                    raise
                arrays, record["error"] = (), str(error)
            for array in arrays:
                place = pixels.tell(), array.shape, array.dtype.name
                record["arrays"].append(place)
                pixels.write(array.tobytes())
            record["end"] = pixels.tell()
            pending.append(record)
            index.append(record)
            if time.monotonic() - synced > _SYNC_SECONDS:
                sync()
                synced = time.monotonic()
    finally:
        sync()


def _digest(dataset):
    text = f"{_FORMAT} {dataset.key} {dataset.scale} {dataset.names}"
    if dataset.degradation is not None and _has_fixed_lr(dataset):
        text += f" {dataset.degradation} {_behaviour(dataset.degradation)}"
    elif dataset.degradation is not None:
        text += " HR only"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _behaviour(degradation):
    """Returns a digest of what a degradation makes of an image.

    It changes with the code of the degradation, so that a cache that was made by other
    code is not used.
    """
    side = 24 * degradation.scale
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    try:
        result = degradation(image, seed=0)
    except (ValueError, cv2.error):  # a function that accepts only some images
        return ""
    return hashlib.sha256(result.tobytes()).hexdigest()[:16]


def _read_index(index_file, size):
    """Returns the records of the images 0, 1, 2, ... that are complete on disk.

    Two processes that decode the same images write the same bytes to the same places,
    and every record twice.
    """
    index = []
    for line in index_file.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # cut short by an interruption
            continue
        if record["image"] == len(index) and record["end"] <= size:
            index.append(record)
    return index


def _check_space(dataset, todo, folder):
    sizes = []
    for i in todo[:: -(-len(todo) // 8)]:
        try:
            sizes.append(dataset.hr(i).nbytes)
        except ValueError:
            continue  # reported when its turn comes
    needed = np.mean(sizes or 0) * len(todo) * (1 + 1 / dataset.scale**2)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"Decoding {len(todo)} images takes about {needed / 1e9:.1f} GB, but the"
            f" disk of {folder} has only {free / 1e9:.1f} GB left."
        )
