"""Datasets of images in memory."""

import hashlib

import numpy as np

from sr_keras import images
from sr_keras.datasets.pairs import Pairs


def arrays(hr, lr=None, *, scale, degradation=None, names=None):
    """Makes a dataset from images in memory.

    Floats are converted to 8 bits, as if they had been stored in files. To keep more,
    convert them first: `images.to_integer(x, "uint16")`.

    Args:
        hr: A list of HR images, which may differ in size, or an array `(count, height,
            width[, channels])`: uint8, uint16 or float in [0, 1]. An alpha channel is
            dropped.
        lr: The LR images in the same order, or None to make them.
        scale: Upscaling factor.
        degradation: What makes the LR images, see `degradations.get`; None for bicubic.
        names: A name for each image; None for "0", "1" and so on.

    Returns:
        A `Pairs`.

    Raises:
        ValueError: If the images have an unsupported dtype, floats are not in [0, 1],
            the numbers of images differ, or both `lr` and `degradation` are given.
    """
    hr = [_to_integer("hr", i, image) for i, image in enumerate(hr)]
    names = [str(i) for i in range(len(hr))] if names is None else list(names)
    if len(names) != len(hr):
        raise ValueError(
            f"`names` must have one name for each of {len(hr)} images."
            f" Received: {len(names)} names"
        )
    everything = hr
    if lr is not None:
        lr = [_to_integer("lr", i, image) for i, image in enumerate(lr)]
        if len(lr) != len(hr):
            raise ValueError(
                "`lr` and `hr` must have the same number of images. Received:"
                f" {len(lr)} and {len(hr)}"
            )
        everything = hr + lr
    digest = hashlib.sha256()
    for image in everything:
        digest.update(f"{image.shape} {image.dtype}".encode())
        digest.update(np.ascontiguousarray(image).data)
    return Pairs(
        names,
        scale,
        hr.__getitem__,
        lr and lr.__getitem__,
        degradation,
        key=f"arrays {digest.hexdigest()}",
    )


def _to_integer(argument, index, image):
    image = np.asarray(image)
    if image.ndim not in (2, 3):
        raise ValueError(
            f"`{argument}[{index}]` must have the shape (height, width[, channels])."
            f" Received: shape={image.shape}"
        )
    if image.dtype.kind == "f":
        if not (image.size and 0 <= image.min() and image.max() <= 1):
            low, high = (image.min(), image.max()) if image.size else ("none", "none")
            raise ValueError(
                f"`{argument}[{index}]` must be in [0, 1] if it is float. Received:"
                f" values from {low} to {high}"
            )
        return images.to_integer(image)
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"`{argument}[{index}]` must be uint8, uint16 or float in [0, 1]."
            f" Received: dtype={image.dtype}"
        )
    return image
