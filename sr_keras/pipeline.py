"""From pairs of whole images to training batches of patches.

Images are decoded once. NumPy and OpenCV then crop, flip, rotate and degrade the
integer patches of a batch in one function. `tf.data` calls it in parallel, ahead of the
training step, and converts the result to [0, 1].
"""

import atexit
import functools
import numbers
import os
import threading
import time
import warnings

import cv2
import numpy as np

from sr_keras import images
from sr_keras.checks import check_counts
from sr_keras.datasets.pairs import decode

_TRIES = 10  # places for a patch of enough contrast


def training_batches(
    dataset,
    lr_patch_size=48,
    batch_size=16,
    channels=3,
    augment=True,
    seed=0,
    start_step=0,
    cache=None,
    skip_bad=False,
    progress=None,
    min_contrast=None,
):
    """Makes endless batches of aligned random patches.

    Batch k depends only on `seed` and k, so training that resumes with `start_step=k`
    gets the same batches as without the interruption. Every image provides one patch
    before any image provides the next.

    A random degradation is applied anew to each HR patch. The patch has a margin that
    is cut off afterwards, so that it looks as if it were cut from a degraded image. The
    same is done for a degradation that is not equivariant if patches are flipped and
    rotated.

    Args:
        dataset: A `datasets.Pairs`.
        lr_patch_size: Height and width of the LR patches; HR patches are
            `dataset.scale` times larger.
        batch_size: Number of patches in a batch.
        channels: 3 for RGB, 1 for luma.
        augment: Whether to flip and rotate each patch at random (the eight symmetries
            of a square).
        seed: A non-negative integer.
        start_step: Number of the first batch.
        cache: None to keep all decoded images in memory, or a folder for memory-mapped
            arrays on disk (see `datasets.decode`), for large datasets.
        skip_bad: Whether to leave out images that are corrupt or smaller than a patch
            with a warning, instead of raising an error.
        progress: None, or a function that wraps an iterable to show the progress of
            decoding.
        min_contrast: None, or the smallest standard deviation of an HR patch, where
            white is 1 (0.02 rejects sky and black borders). A patch below it is drawn
            again from the same image, up to 10 times, and the one with the highest
            contrast is used if none is above it.

    Returns:
        An infinite `tf.data.Dataset` of `(lr, hr)`, float32 in [0, 1], of the shapes
        `(batch_size, lr_patch_size, lr_patch_size, channels)` and `(batch_size, scale *
        lr_patch_size, scale * lr_patch_size, channels)`.

    Raises:
        ValueError: If an argument is not supported, or an image is corrupt or smaller
            than a patch. The message names the image.
    """
    import tensorflow as tf  # not needed for training on JAX

    check_counts(lr_patch_size=lr_patch_size, batch_size=batch_size)
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels!r}")
    if seed < 0:
        raise ValueError(f"`seed` must not be negative. Received: seed={seed!r}")
    sampler = PatchSampler(
        dataset,
        lr_patch_size,
        batch_size,
        augment,
        seed,
        cache,
        skip_bad,
        progress,
        min_contrast,
    )
    hr_size = lr_patch_size * dataset.scale

    def sample(k):
        dtypes = [sampler.dtype] * 2
        make = functools.partial(_running.call, sampler)
        lr, hr = tf.numpy_function(make, [k], dtypes, stateful=False)
        lr.set_shape((batch_size, lr_patch_size, lr_patch_size, sampler.channels))
        hr.set_shape((batch_size, hr_size, hr_size, sampler.channels))
        lr, hr = _to_float(lr), _to_float(hr)
        if channels == 1:
            lr, hr = images.luma(lr), images.luma(hr)
        elif sampler.channels == 1:
            lr, hr = tf.repeat(lr, 3, -1), tf.repeat(hr, 3, -1)
        return lr, hr

    # OpenCV and NumPy mostly run in parallel; cropping alone is too fast to need it.
    calls = 2 if sampler.degradation is None else min(os.cpu_count() or 2, 16)
    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    batches = steps.map(sample, num_parallel_calls=calls, deterministic=True)
    # Nothing needs tuning, and the tuning thread delays the end of a program.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(4).with_options(options)


def _to_float(patches):
    """As `images.to_float`, which refuses a tf.Tensor on other backends of Keras."""
    import tensorflow as tf

    peak = patches.dtype.max if patches.dtype.is_integer else 1
    return tf.cast(patches, tf.float32) / peak


class _Running:
    """Calls of samplers in the threads of `tf.data`.

    A thread that is in a call, or starts one, while Python shuts down never gets the
    interpreter again, and TensorFlow waits for it forever. `stop` therefore lets the
    calls end and the buffers of `tf.data` fill up before that.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._count, self._last, self._is_stopped = 0, 0.0, False

    def call(self, sampler, k):
        with self._lock:
            self._count += 1
        try:
            return sampler.empty() if self._is_stopped else sampler.batch(k)
        finally:
            with self._lock:
                self._count -= 1
                self._last = time.monotonic()

    def stop(self):
        self._is_stopped = True
        while self._count or time.monotonic() - self._last < 0.3:
            time.sleep(0.01)


_running = _Running()
atexit.register(_running.stop)


class PatchSampler:
    """Makes integer patches from decoded images; `batch(k)` is batch k.

    The arguments are those of `training_batches`, which uses this class.

    Attributes:
        degradation: What is applied to each patch, or None if LR images are decoded.
        margin: How many more pixels on each side an HR patch needs for that.
        channels: Number of channels of all patches.
        dtype: Dtype of all patches.
    """

    def __init__(
        self,
        dataset,
        lr_patch_size,
        batch_size,
        augment=True,
        seed=0,
        cache=None,
        skip_bad=False,
        progress=None,
        min_contrast=None,
    ):
        if min_contrast is not None and not (
            isinstance(min_contrast, numbers.Real) and 0 <= min_contrast < 0.5
        ):
            raise ValueError(
                "`min_contrast` must be None or a number in [0, 0.5). Received:"
                f" min_contrast={min_contrast!r}"
            )
        self.lr_patch_size = lr_patch_size
        self.batch_size = batch_size
        self.augment = augment
        self.seed = seed
        self.min_contrast = min_contrast
        self.scale = dataset.scale

        self.degradation = dataset.degradation
        if self.degradation is not None and not (
            self.degradation.is_random
            or (augment and not self.degradation.is_equivariant)
        ):
            self.degradation = None  # its results are decoded together with the images
        self.margin = 0
        if self.degradation is not None:
            self.margin = -(-self.degradation.margin // self.scale) * self.scale

        if cache is not None:
            dataset = decode(dataset, cache, skip_bad, progress)
            progress = None
        self._lr, self._hr = _load(
            dataset, self.degradation is None, lr_patch_size, skip_bad, progress
        )
        self.channels = max(hr.shape[2] for hr in self._hr)
        dtypes = [image.dtype for image in self._lr + self._hr]
        self.dtype = max(dtypes, key=lambda dtype: dtype.itemsize)

    def batch(self, k):
        """Returns `(lr, hr)` of batch k."""
        rng = np.random.default_rng([self.seed, 1, k])
        first = int(k) * self.batch_size
        lr, hr = self.empty()
        lr_size, hr_size, margin = lr.shape[1], hr.shape[1], self.margin
        window = self._empty(1, hr_size + 2 * margin)[0]
        for j in range(self.batch_size):
            i = self._image(first + j)
            top, left = self._place(i, rng)
            symmetry = rng.integers(8) if self.augment else 0
            y, x = top * self.scale - margin, left * self.scale - margin
            patch = _window(self._hr[i], y, x, len(window))
            if self.degradation is None:
                _transform(patch, symmetry, hr[j])
                patch = _window(self._lr[i], top, left, lr_size)
                _transform(patch, symmetry, lr[j])
            else:
                _transform(patch, symmetry, window)
                seed = (self.seed, 2, k, j)
                lr[j] = self.degradation.degrade_patch(window, margin, seed)
                hr[j] = window[margin : margin + hr_size, margin : margin + hr_size]
        return lr, hr

    def empty(self):
        """Returns arrays of the shape and dtype of a batch."""
        sizes = self.lr_patch_size, self.lr_patch_size * self.scale
        return tuple(self._empty(self.batch_size, size) for size in sizes)

    def _empty(self, count, size):
        return np.empty((count, size, size, self.channels), self.dtype)

    def _image(self, position):
        epoch, place = divmod(position, len(self._hr))
        return _permutation(self.seed, epoch, len(self._hr))[place]

    def _place(self, i, rng):
        """Draws the top left corner of an LR patch in image i."""
        hr = self._hr[i]
        height, width = (side // self.scale for side in hr.shape[:2])
        best, highest = None, -1.0
        for _ in range(1 if self.min_contrast is None else _TRIES):
            top = rng.integers(height - self.lr_patch_size + 1)
            left = rng.integers(width - self.lr_patch_size + 1)
            if self.min_contrast is None:
                return top, left
            size = self.lr_patch_size * self.scale
            patch = _window(hr, top * self.scale, left * self.scale, size)
            contrast = np.mean(cv2.meanStdDev(patch)[1]) / np.iinfo(hr.dtype).max
            if contrast > highest:
                best, highest = (top, left), contrast
            if contrast >= self.min_contrast:
                break
        return best


@functools.lru_cache(maxsize=4)
def _permutation(seed, epoch, count):
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _load(dataset, with_lr, lr_patch_size, skip_bad, progress):
    """Returns lists of LR (possibly empty) and HR arrays that are large enough."""
    lrs, hrs = [], []
    indices = range(len(dataset))
    for i in indices if progress is None else progress(indices):
        try:
            lr, hr = dataset[i] if with_lr else (None, dataset.hr(i))
            if min(hr.shape[:2]) < lr_patch_size * dataset.scale:
                raise ValueError(
                    f"{dataset.names[i]}: the HR image of {hr.shape[0]}x{hr.shape[1]}"
                    " is smaller than an HR patch of"
                    f" {lr_patch_size * dataset.scale} pixels (`lr_patch_size` times"
                    " `scale`)."
                )
        except ValueError as error:
            if not skip_bad:
                raise
            warnings.warn(f"Skipping {error}", stacklevel=2)
            continue
        hrs.append(hr)
        if with_lr:
            lrs.append(lr)
    if not hrs:
        raise ValueError("None of the images can be used.")
    return lrs, hrs


def _window(image, top, left, size):
    """Cuts out a square; the pixels of the border are repeated beyond the image."""
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

    Grey becomes RGB and 8 bits become 16 if `target` has more. OpenCV flips three times
    as fast as strided NumPy views.
    """
    if patch.dtype != target.dtype:
        patch = patch.astype(target.dtype) * 257  # 255 * 257 = 65535
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
