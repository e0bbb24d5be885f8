"""From pairs of whole images to training batches of patches.

Images are decoded once. A batch is then cropped, flipped and turned as
integers, in one function that numpy and OpenCV run; `tf.data` calls it in
parallel, ahead of the training step, and ends with the conversion to [0, 1].
"""

import functools
import warnings

import cv2
import numpy as np
import tensorflow as tf

from sr_keras import images
from sr_keras.datasets.pairs import decode


def training_batches(
    dataset,
    lr_size=48,
    batch_size=16,
    channels=3,
    augment=True,
    seed=0,
    start_step=0,
    cache=None,
    skip_bad=False,
    progress=None,
):
    """Makes endless batches of aligned random patches.

    Batch k depends on `seed` and k alone, so that a training that starts again
    with `start_step=k` goes on with the very batches it would have seen. Every
    image gives one patch before any gives the next.

    A random degradation is applied to each HR patch anew, with a margin around
    it that is then cut, so that the patch looks as if cut from the whole image. So
    is one that treats directions differently, if patches are flipped and turned.

    Args:
        dataset: A `datasets.Pairs`.
        lr_size: Height and width of the LR patches; those of the HR patches
            are `dataset.scale` times that.
        batch_size: Patches in a batch.
        channels: 3 for RGB, 1 for luma.
        augment: Whether each patch is flipped and turned at random (the eight
            symmetries of a square).
        seed: An integer, not negative.
        start_step: Number of the first batch.
        cache: None to keep all decoded images in memory, or a folder for
            memory-mapped arrays on disk (see `datasets.decode`), for datasets
            that are too large for that.
        skip_bad: Whether an image that is corrupt or smaller than a patch is
            left out with a warning, instead of an error.
        progress: None, or a function that wraps an iterable, to show how far
            the decoding is.

    Returns:
        An infinite `tf.data.Dataset` of `(lr, hr)`: float32 in [0, 1], of the
        shapes `(batch_size, lr_size, lr_size, channels)` and `(batch_size,
        scale * lr_size, scale * lr_size, channels)`.

    Raises:
        ValueError: If an image is corrupt or smaller than a patch; it is named,
            before any training starts. Also if `channels` or `seed` is none of
            these.
    """
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: {channels}")
    if seed < 0:
        raise ValueError(f"`seed` must not be negative. Received: {seed}")
    sampler = PatchSampler(
        dataset, lr_size, batch_size, augment, seed, cache, skip_bad, progress
    )
    degradation = sampler.degradation
    margin, scale = sampler.margin, dataset.scale
    hr_size = lr_size * scale

    def finish(k, *patches):
        if degradation is None:
            lr, hr = patches
        else:
            hr = patches[0]
            hr.set_shape((batch_size, None, None, sampler.channels))
            lr = degradation(hr, seed=(seed, k))
            near = margin // scale
            lr = lr[:, near : near + lr_size, near : near + lr_size]
            hr = hr[:, margin : margin + hr_size, margin : margin + hr_size]
        lr.set_shape((batch_size, lr_size, lr_size, sampler.channels))
        hr.set_shape((batch_size, hr_size, hr_size, sampler.channels))
        lr, hr = _to_float(lr), _to_float(hr)
        if channels == 1:
            lr, hr = images.luma(lr), images.luma(hr)
        elif sampler.channels == 1:
            lr, hr = tf.repeat(lr, 3, -1), tf.repeat(hr, 3, -1)
        return lr, hr

    def sample(k):
        types = [sampler.dtype] * (1 if degradation else 2)
        return k, *tf.numpy_function(sampler.batch, [k], types, stateful=False)

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    batches = steps.map(sample, num_parallel_calls=2, deterministic=True)
    batches = batches.map(
        finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    # there is nothing to tune, and the thread that would ends up to a minute late
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(4).with_options(options)


def _to_float(patches):
    """Does as `images.to_float`, which on another backend takes no tf.Tensor."""
    peak = patches.dtype.max if patches.dtype.is_integer else 1
    return tf.cast(patches, tf.float32) / peak


class PatchSampler:
    """Crops integer patches from decoded images; `batch(k)` is batch k.

    Arguments as `training_batches`, which is what to use.
    """

    def __init__(
        self, dataset, lr_size, batch_size, augment, seed, cache, skip_bad, progress
    ):
        self.lr_size = lr_size
        self.batch_size = batch_size
        self.augment = augment
        self.seed = seed
        self.scale = dataset.scale

        self.degradation = dataset.degradation
        if self.degradation is not None and not (
            self.degradation.is_random or (augment and self.degradation.is_directed)
        ):
            self.degradation = None  # its results are decoded with the images
        self.margin = 0
        if self.degradation is not None:
            self.margin = -(-self.degradation.margin // self.scale) * self.scale

        if cache is not None:
            dataset = decode(dataset, cache, skip_bad, progress)
            progress = None
        self.lr, self.hr = _load(
            dataset, self.degradation is None, lr_size, skip_bad, progress
        )
        self.channels = max(hr.shape[2] for hr in self.hr)
        dtypes = [image.dtype for image in self.lr + self.hr]
        self.dtype = max(dtypes, key=lambda dtype: dtype.itemsize)

    def batch(self, k):
        """Returns `[lr, hr]` of batch k, or `[hr]` with a margin, to be degraded."""
        rng = np.random.default_rng([self.seed, 1, k])
        first = int(k) * self.batch_size
        sizes = [(self.hr, self.scale * self.lr_size + 2 * self.margin)]
        if self.lr:
            sizes.insert(0, (self.lr, self.lr_size))
        patches = [
            np.empty((self.batch_size, size, size, self.channels), self.dtype)
            for _, size in sizes
        ]
        for j in range(self.batch_size):
            i = self._image(first + j)
            height, width = (side // self.scale for side in self.hr[i].shape[:2])
            top = rng.integers(height - self.lr_size + 1)
            left = rng.integers(width - self.lr_size + 1)
            symmetry = rng.integers(8) if self.augment else 0
            for (source, size), target in zip(sizes, patches, strict=True):
                factor = self.scale if source is self.hr else 1
                margin = self.margin if source is self.hr else 0
                patch = _window(
                    source[i], top * factor - margin, left * factor - margin, size
                )
                if patch.dtype != self.dtype:
                    patch = patch.astype(self.dtype) * 257  # 8 to 16 bits
                _transform(patch, symmetry, target[j])
        return patches

    def _image(self, position):
        epoch, place = divmod(position, len(self.hr))
        return _permutation(self.seed, epoch, len(self.hr))[place]


@functools.lru_cache(maxsize=4)
def _permutation(seed, epoch, count):
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _load(dataset, with_lr, lr_size, skip_bad, progress):
    """Returns lists of LR (maybe empty) and HR arrays, all large enough."""
    lrs, hrs = [], []
    indices = range(len(dataset))
    for i in indices if progress is None else progress(indices):
        try:
            lr, hr = dataset[i] if with_lr else (None, dataset.hr(i))
            if min(hr.shape[:2]) < lr_size * dataset.scale:
                raise ValueError(
                    f"{dataset.names[i]}: an HR image of {hr.shape[0]}x{hr.shape[1]} is"
                    f" smaller than a patch of {lr_size * dataset.scale} pixels"
                    " (`lr_size` times `scale`)."
                )
        except ValueError as error:
            if not skip_bad:
                raise
            warnings.warn(f"Left out: {error}", stacklevel=2)
            continue
        hrs.append(hr)
        if with_lr:
            lrs.append(lr)
    if not hrs:
        raise ValueError("None of the images can be used.")
    return lrs, hrs


def _window(image, top, left, size):
    """Cuts a square; what lies beyond the image repeats its border."""
    height, width = image.shape[:2]
    inner = image[max(top, 0) : top + size, max(left, 0) : left + size]
    if inner.shape[:2] == (size, size):
        return inner
    before = max(-top, 0), max(-left, 0)
    after = max(top + size - height, 0), max(left + size - width, 0)
    padding = ((before[0], after[0]), (before[1], after[1]), (0, 0))
    return np.pad(inner, padding, mode="edge")


def _transform(patch, symmetry, target):
    """Writes one of the eight views of a square patch into `target`.

    OpenCV does it three times as fast as strided numpy views.
    """
    if patch.shape[2] != target.shape[2]:
        patch = np.repeat(patch, target.shape[2], axis=2)
    shape = target.shape if target.shape[2] > 1 else target.shape[:2]
    patch, target = patch.reshape(shape), target.reshape(shape)
    if symmetry & 4:
        patch = cv2.transpose(patch)
    if symmetry & 3:
        cv2.flip(patch, {1: 0, 2: 1, 3: -1}[symmetry & 3], target)
    else:
        target[...] = patch
