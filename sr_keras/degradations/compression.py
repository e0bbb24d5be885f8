"""What is lost when an image is stored with few bits."""

import dataclasses

import cv2
import numpy as np

from sr_keras.degradations.base import (
    PEAKS,
    Degradation,
    cast,
    check_strength,
    draw,
    register,
)


@register
@dataclasses.dataclass(frozen=True)
class JPEG(Degradation):
    """Compresses images as JPEG files and decodes them again.

    Args:
        quality: An integer from 1 to 100, or a pair (low, high) to draw from.

    Raises:
        ValueError: If `quality` is out of range, or an image has neither 1 nor 3
            channels.
    """

    quality: int | tuple = 75
    margin = 16  # chroma is stored in blocks of 16x16 pixels

    def __post_init__(self):
        check_strength("quality", self.quality, 1, 100)

    @property
    def is_random(self):
        return isinstance(self.quality, tuple)

    def _degrade(self, image, rng):
        channels = image.shape[-1]
        if channels not in (1, 3):
            raise ValueError(
                "JPEG needs images of 1 or 3 channels. Received:"
                f" shape={tuple(image.shape)}"
            )
        quality = round(draw(self.quality, rng))
        x = image
        if image.dtype != np.uint8:
            peak = PEAKS.get(image.dtype.name, 1)
            x = cast(np.float32(image) * np.float32(255 / peak), np.dtype("uint8"))
        x = x[..., 0] if channels == 1 else cv2.cvtColor(x, cv2.COLOR_RGB2BGR)
        _, file = cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if channels == 1:
            x = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)[..., None]
        else:
            x = cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        if image.dtype == np.uint8:
            return x
        if image.dtype == np.uint16:
            return x.astype("uint16") * 257
        return (x / np.float32(255)).astype(image.dtype)


@register
@dataclasses.dataclass(frozen=True)
class Quantize(Degradation):
    """Reduces every channel to a few levels of brightness.

    Args:
        levels: Number of levels: an integer from 2 to 65536, or a pair (low, high) to
            draw from.

    Raises:
        ValueError: If `levels` is out of range.
    """

    levels: int | tuple = 16

    def __post_init__(self):
        check_strength("levels", self.levels, 2, 65536)

    @property
    def is_random(self):
        return isinstance(self.levels, tuple)

    def _degrade(self, image, rng):
        steps = round(draw(self.levels, rng)) - 1
        peak = PEAKS.get(image.dtype.name)
        if peak is None:
            return (np.rint(image * steps) / steps).astype(image.dtype)
        table = np.rint(np.arange(peak + 1, dtype="float32") / peak * steps) / steps
        table = cast(table * peak, image.dtype)
        if peak == 255:
            return cv2.LUT(image, table).reshape(image.shape)
        return table[image]
