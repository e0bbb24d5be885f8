"""Degradations: functions that make an LR image from an HR image.

A degradation is called with images and returns images of the same dtype:
`(height, width, channels)` or a batch `(batch, height, width, channels)`, uint8, uint16
or float in [0, 1]. It returns a NumPy array for an array and a tensor for a tensor, and
it also works in a graph, such as `tf.data`, although the computation is done by NumPy
and OpenCV on the CPU. Integer images are rounded after every step, as files are. A
random degradation needs a seed and gives the same result for the same seed.

    Downscale(4)(hr)                                        # MATLAB's bicubic
    GaussianNoise((0.0, 0.1))(images, seed=1)               # a random strength
    Compose([GaussianBlur((0.5, 3.0)), Downscale(4), JPEG((30, 95))])(hr, seed=1)
    get("crappify", scale=4)(hr, seed=1)                    # by name
    get([darken, "blur"], scale=4)(hr)                      # after a function of yours
    SecondOrder(4)(hr, seed=1)                              # like photos online

On two cores, the pipeline makes 48 (`crappify`), 27 (`second_order`) or 42 (`shuffled`)
batches of 16 patches (HR 192, LR 48) a second (`benchmarks/README.md`), so that there
is no need for a pool of degraded patches.

To look at results, pass a list of them to `sr_keras.plotting.degradations`.
`KernelBlur` and `Sinc` have a method `draw_kernel` to look at their kernels.

To write a new one, either subclass `Degradation` and define `apply`, or pass a plain
function wherever a degradation is expected (see `Function`).
"""

from sr_keras.degradations.base import Degradation, deserialize, serialize
from sr_keras.degradations.blur import (
    GaussianBlur,
    KernelBlur,
    Sinc,
    gaussian_kernel,
    sinc_kernel,
)
from sr_keras.degradations.composition import Compose, OneOf, Sometimes
from sr_keras.degradations.compression import JPEG, Quantize
from sr_keras.degradations.function import Function
from sr_keras.degradations.named import NAMES, get
from sr_keras.degradations.noise import (
    CorrelatedNoise,
    DropPixels,
    GaussianNoise,
    PoissonNoise,
    ShotNoise,
)
from sr_keras.degradations.real import SecondOrder, Shuffled
from sr_keras.degradations.resizing import Downscale, RandomResize

__all__ = [
    "Compose",
    "CorrelatedNoise",
    "Degradation",
    "Downscale",
    "DropPixels",
    "Function",
    "GaussianBlur",
    "GaussianNoise",
    "JPEG",
    "KernelBlur",
    "NAMES",
    "OneOf",
    "PoissonNoise",
    "Quantize",
    "RandomResize",
    "SecondOrder",
    "ShotNoise",
    "Shuffled",
    "Sinc",
    "Sometimes",
    "deserialize",
    "gaussian_kernel",
    "get",
    "serialize",
    "sinc_kernel",
]
