"""Pairs of LR and HR images: what every dataset is."""

import collections.abc
import hashlib
import json
import os
import pathlib
import shutil
import warnings

import numpy as np
import tensorflow as tf

from sr_keras import degradations, images


class Pairs(collections.abc.Sequence):
    """A dataset: LR and HR images, read when they are asked for.

    `pairs[i]` is `(lr, hr)`: integer arrays `(height, width, channels)` of 1
    or 3 channels, where `hr` is exactly `scale` times larger. An HR image whose
    sides are no multiple of `scale` is cut at its bottom and right.

    Args:
        names: A name for each image.
        scale: Upscaling factor from `lr` to `hr`.
        read_hr: Function from an index to an HR image.
        read_lr: Function from an index to an LR image, or None, if
            `degradation` makes the LR images.
        degradation: A name of `degradations.NAMES`, or a
            `degradations.Degradation`. A random one is seeded by the index.
        key: Text that changes when the images do: `decode` takes images of equal
            key and names from its cache.

    Attributes:
        names: List of names.
        scale: Upscaling factor.
        degradation: The `Degradation`, or None if LR images are read.
    """

    def __init__(
        self, names, scale, read_hr, read_lr=None, degradation="bicubic", key=""
    ):
        self.names = list(names)
        self.scale = scale
        self.degradation = None
        if read_lr is None:
            self.degradation = degradations.get(degradation, scale)
        self.key = key
        self._read_hr = read_hr
        self._read_lr = read_lr

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        """Returns `(lr, hr)` of one image.

        Raises:
            IndexError: If there is no such image.
            ValueError: If a file is corrupt, or the sizes of a pair do not fit
                `scale`. The message names it.
        """
        index = range(len(self))[index]
        hr = self.hr(index)
        if self._read_lr is None:
            try:
                return self.degradation(hr, seed=index), hr
            except (ValueError, tf.errors.OpError) as error:
                raise ValueError(f"{self.names[index]}: {error}") from error
        lr = _pixels(self._read_lr(index))
        height, width = (self.scale * side for side in lr.shape[:2])
        spare = hr.shape[0] - height, hr.shape[1] - width
        if not (0 <= spare[0] < 2 * self.scale and 0 <= spare[1] < 2 * self.scale):
            raise ValueError(
                f"{self.names[index]}: an LR image of {lr.shape[0]}x{lr.shape[1]} does"
                f" not fit an HR image of {hr.shape[0]}x{hr.shape[1]} at scale"
                f" {self.scale}."
            )
        if lr.shape[2] != hr.shape[2]:
            lr, hr = _as_rgb(lr), _as_rgb(hr)
        return lr, hr[:height, :width]

    def hr(self, index):
        """Returns one HR image, cut to a multiple of `scale`."""
        hr = _pixels(self._read_hr(index))
        if min(hr.shape[:2]) < self.scale:
            raise ValueError(
                f"{self.names[index]}: an image of {hr.shape[0]}x{hr.shape[1]} is"
                f" smaller than one LR pixel at scale {self.scale}."
            )
        return images.crop_to_multiple(hr, self.scale)

    def as_dataset(self):
        """Returns a `tf.data.Dataset` of `(lr, hr)`, whole images in order.

        Both are integer tensors `(height, width, channels)`, whose sizes (and
        channels, where grey and colour images are mixed) differ from image to
        image. Images of 8 and of 16 bits cannot be mixed here; iterating raises
        an error that names the first which differs.
        """
        dtypes = [image.dtype for image in self[0]]

        def pairs():
            for name, pair in zip(self.names, self, strict=True):
                if [image.dtype for image in pair] != dtypes:
                    raise ValueError(
                        f"{name}: LR and HR images are"
                        f" {' and '.join(image.dtype.name for image in pair)}, where"
                        f" the first ones are {' and '.join(d.name for d in dtypes)}."
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
            key=f"{self.key} {indices}",
        )

    def hold_out(self, count):
        """Splits off images for validation, spread evenly over the dataset.

        Args:
            count: How many images to hold out.

        Returns:
            `(rest, held_out)`, two datasets.

        Raises:
            ValueError: If `count` leaves nothing to train on.
        """
        if not 0 < count < len(self):
            raise ValueError(
                f"`hold_out` must be from 1 to {len(self) - 1} of {len(self)} images."
                f" Received: {count}"
            )
        held = {(2 * i + 1) * len(self) // (2 * count) for i in range(count)}
        rest = [i for i in range(len(self)) if i not in held]
        return self.subset(rest), self.subset(sorted(held))


def _pixels(image):
    """Makes `(height, width, 1 or 3)` of any image; alpha is dropped."""
    if image.ndim == 2:
        return image[..., None]
    return image[..., :3]


def _as_rgb(image):
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def concatenate(datasets):
    """Joins datasets of one scale and one degradation into one.

    Raises:
        ValueError: If their scales or degradations differ, or some read their
            LR images and others make them, or if there are none.
    """
    if not datasets:
        raise ValueError("There are no datasets to be joined.")
    first = datasets[0]
    for other in datasets[1:]:
        if (other.scale, other.degradation) != (first.scale, first.degradation):
            raise ValueError(
                "Datasets to be joined must have one scale and one degradation."
                f" Received: {first.scale}, {first.degradation} and"
                f" {other.scale}, {other.degradation}"
            )
    places = [(d, i) for d in datasets for i in range(len(d))]

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
        key=" ".join(d.key for d in datasets),
    )


def decode(dataset, folder, skip_bad=False, progress=None):
    """Decodes every image once, into one file on disk that is memory-mapped.

    Cropping a patch from it reads a few kilobytes, where a PNG would have to be
    decoded whole. An interrupted call goes on where it was.

    Args:
        dataset: A dataset.
        folder: Where the files go; each dataset, and each state of its images,
            has a folder of its own in there.
        skip_bad: Whether a corrupt image gives a warning and is left out,
            instead of an error.
        progress: None, or a function that wraps an iterable, to show how far it
            is.

    Returns:
        A `Pairs` whose images are mapped arrays. If the degradation is random,
        it still makes the LR images when they are asked for.

    Raises:
        ValueError: If an image is corrupt or does not fit; it is named.
        OSError: If the disk has too little space, by a sample of the images.
    """
    folder = pathlib.Path(folder) / _digest(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    pixels_file, index_file = folder / "pixels.bin", folder / "index.jsonl"
    pixels_file.touch()
    index_file.touch()
    is_fixed = dataset.degradation is None or not dataset.degradation.is_random

    index = _read_index(index_file, pixels_file.stat().st_size)
    todo = range(len(index), len(dataset))
    if todo:
        _check_space(dataset, todo, folder)
        with open(pixels_file, "r+b") as pixels, open(index_file, "a") as lines:
            lines.write("\n")  # ends a line that was cut short
            pixels.seek(index[-1]["end"] if index else 0)
            for i in todo if progress is None else progress(todo):
                record = {"image": i, "error": None, "arrays": []}
                try:
                    arrays = dataset[i] if is_fixed else (dataset.hr(i),)
                except ValueError as error:
                    if not skip_bad:
                        raise
                    arrays, record["error"] = (), str(error)
                for array in arrays:
                    place = pixels.tell(), array.shape, array.dtype.name
                    record["arrays"].append(place)
                    pixels.write(array.tobytes())
                record["end"] = pixels.tell()
                pixels.flush()
                os.fsync(pixels.fileno())  # the index must not be ahead of them
                lines.write(json.dumps(record) + "\n")
                lines.flush()
                index.append(record)

    used = [i for i, record in enumerate(index) if record["error"] is None]
    for record in index:
        if record["error"] is not None:
            if not skip_bad:
                raise ValueError(record["error"])
            warnings.warn(f"Left out: {record['error']}", stacklevel=2)
    if not used:
        raise ValueError("None of the images can be used.")
    pixels = np.memmap(pixels_file, np.uint8, "r")

    def mapped(position, part):
        offset, shape, dtype = index[used[position]]["arrays"][part]
        return np.ndarray(shape, dtype, pixels, offset)

    return Pairs(
        [dataset.names[i] for i in used],
        dataset.scale,
        lambda position: mapped(position, -1),
        (lambda position: mapped(position, 0)) if is_fixed else None,
        dataset.degradation,
        key=f"{dataset.key} {used}",
    )


def _digest(dataset):
    text = f"{dataset.key} {dataset.scale} {dataset.degradation} {dataset.names}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_index(index_file, size):
    """Returns the records of the images 0, 1, 2, ... that are wholly on disk.

    Two processes that decode the same images write the same bytes to the same
    places, and lines twice.
    """
    index = []
    for line in index_file.read_text().splitlines():
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
            continue  # it is named when its turn comes
    needed = np.mean(sizes or 0) * len(todo) * (1 + 1 / dataset.scale**2)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"Decoding {len(todo)} images takes about {needed / 1e9:.1f} GB, and the"
            f" disk of {folder} has {free / 1e9:.1f} GB left."
        )
