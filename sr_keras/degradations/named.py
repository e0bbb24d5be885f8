"""Degradations by name."""

from sr_keras.checks import check_name, check_scale
from sr_keras.degradations.base import Degradation, deserialize
from sr_keras.degradations.blur import GaussianBlur
from sr_keras.degradations.composition import Compose
from sr_keras.degradations.compression import JPEG, Quantize
from sr_keras.degradations.function import Function
from sr_keras.degradations.noise import GaussianNoise
from sr_keras.degradations.real import SecondOrder, Shuffled
from sr_keras.degradations.resizing import Downscale

_NAMED = {
    # the benchmark degradations of the field: BI, BD and DN
    **{name: lambda s, name=name: Downscale(s, name) for name in Downscale.METHODS},
    "blur": lambda s: Compose([GaussianBlur(1.6, radius=3), Downscale(s, "nearest")]),
    "noise": lambda s: Compose([Downscale(s), GaussianNoise(30 / 255)]),
    "jpeg": lambda s: Compose([Downscale(s), JPEG((30, 90))]),
    "crappify": lambda s: Compose(
        [
            GaussianBlur((0.2, 2.0), (0.2, 2.0), (0, 180)),
            Downscale(s),
            GaussianNoise((0.0, 0.06)),
            Quantize((16, 256)),
            JPEG((20, 90)),
        ],
        shuffle=True,
    ),
    "second_order": SecondOrder,
    "shuffled": Shuffled,
}


NAMES = tuple(_NAMED)


def get(degradation, scale):
    """Returns a degradation from its name, its configuration, or a function.

    "bicubic" (the field's BI), "bilinear", "area", "nearest" and "drop" only downscale.
    "blur" is BD: a Gaussian of 7x7 pixels and sigma 1.6, then every `scale`-th pixel.
    (Papers use it at x3. At even scales these pixels are half a pixel off the centre.)
    "noise" is DN: bicubic, then Gaussian noise of sigma 30/255. "jpeg" is bicubic, then
    JPEG of a random quality from 30 to 90. "crappify" applies anisotropic blur,
    downscaling, Gaussian noise, quantization and JPEG, each with a random strength, in
    random order. "second_order" is that of Real-ESRGAN and "shuffled" that of BSRGAN,
    for networks that are meant for photos from the internet.

    Args:
        degradation: None for "bicubic", one of `NAMES`, a dict for `deserialize`, a
            function for `Function`, a `Degradation`, or a list of these for `Compose`.
            In a list, functions keep the size of the image and names shrink it by
            `scale`.
        scale: Factor by which images shrink; 1 keeps their size.

    Raises:
        ValueError: If the name is not known, or the degradation has another scale.
    """
    if degradation is None:
        degradation = "bicubic"
    if isinstance(degradation, (list, tuple)):
        degradation = Compose([_step(step, scale) for step in degradation])
    if isinstance(degradation, dict):
        degradation = deserialize(degradation)
    if isinstance(degradation, Degradation):
        if degradation.scale != scale:
            raise ValueError(
                f"`degradation` must shrink images by scale={scale}. Received:"
                f" degradation={degradation}, which shrinks them by {degradation.scale}"
            )
        return degradation
    if callable(degradation):
        return Function(degradation, check_scale(scale))
    check_name("a degradation", degradation, NAMES)
    return _NAMED[degradation](check_scale(scale))


def _step(step, scale):
    """Returns a degradation of a list, of which only some change the size."""
    if isinstance(step, dict):
        step = deserialize(step)
    if isinstance(step, Degradation):
        return step
    return get(step, 1 if callable(step) else scale)
