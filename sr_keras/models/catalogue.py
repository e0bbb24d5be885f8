"""Papers, designs and costs of the networks."""

import dataclasses
import math

import keras
from keras import layers

from sr_keras.checks import check_counts
from sr_keras.precision import graph_of

FRAMEWORKS = (
    "pre-upsampling",
    "post-upsampling",
    "progressive",
    "iterative up-and-down",
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A network in `CATALOGUE`.

    Args:
        paper: Authors and year of the paper.
        framework: Where the network upscales: one of `FRAMEWORKS`.
        scales: Scales in common use that the builder supports.
        parameters: Number of parameters with the builder's defaults at x4, of the
            folded network if it can be folded, see `fold`.
        giga_mult_adds: Number of multiply-adds of the same network for an output of
            1280x720 pixels, in 10^9, see `mult_adds`. Building the large networks takes
            seconds each, so these two numbers are stored, and tests verify them.
    """

    paper: str
    framework: str
    scales: tuple
    parameters: int
    giga_mult_adds: float


_COUNTED = (
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.Dense,
)
_PRE, _POST, _PROGRESSIVE, _ITERATIVE = FRAMEWORKS

CATALOGUE = {
    "srcnn": Entry("Dong et al., 2014", _PRE, (2, 3, 4), 57_281, 52.7),
    "fsrcnn": Entry("Dong et al., 2016", _POST, (2, 3, 4), 12_809, 0.7),
    "espcn": Entry("Shi et al., 2016", _POST, (2, 3, 4), 24_752, 1.4),
    "vdsr": Entry("Kim et al., 2016", _PRE, (2, 3, 4), 665_921, 612.6),
    "lapsrn": Entry("Lai et al., 2017", _PROGRESSIVE, (2, 4, 8), 814_242, 117.5),
    "autoencoder": Entry("Mao et al., 2016", _PRE, (2, 3, 4), 463_011, 88.9),
    "unet": Entry("Ronneberger et al., 2015", _PRE, (1, 2, 3, 4), 31_031_875, 677.5),
    "srresnet": Entry("Ledig et al., 2017", _POST, (2, 3, 4, 8), 1_552_771, 127.8),
    "edsr": Entry("Lim et al., 2017", _POST, (2, 3, 4, 8), 1_517_571, 114.2),
    "wdsr": Entry("Yu et al., 2018", _POST, (2, 3, 4), 1_203_312, 69.0),
    "rdn": Entry("Zhang et al., 2018", _POST, (2, 3, 4, 8), 22_271_107, 1309.2),
    "rcan": Entry("Zhang et al., 2018", _POST, (2, 3, 4, 8), 15_592_355, 916.9),
    "rrdb": Entry("Wang et al., 2018", _POST, (2, 3, 4, 8), 16_697_987, 1032.6),
    "dbpn": Entry("Haris et al., 2018", _ITERATIVE, (2, 4, 8), 10_426_358, 681.6),
    "stacked_hourglass": Entry(
        "Newell et al., 2016", _ITERATIVE, (2, 3, 4), 6_416_480, 105.3
    ),
    "srvgg": Entry("Wang et al., 2021", _POST, (1, 2, 3, 4), 621_424, 35.7),
    "swinir": Entry("Liang et al., 2021", _POST, (2, 3, 4, 8), 11_900_199, 721.0),
    "rlfn": Entry("Kong et al., 2022", _POST, (2, 3, 4), 543_740, 29.8),
    "span": Entry("Wan et al., 2023", _POST, (2, 3, 4), 498_208, 28.6),
    "vae": Entry("Sohn et al., 2015", _POST, (2, 3, 4, 8), 1_115_971, 91.1),
}


def mult_adds(model, scale, height=720, width=1280):
    """Counts the multiply-adds of a network's convolutions and dense layers.

    The convolutions are `Conv2D`, `Conv2DTranspose`, `DepthwiseConv2D` and
    `SeparableConv2D`. Papers compare networks by this count for an output of 1280x720
    pixels, and leave out interpolation, normalization and activations.

    Args:
        model: A functional `keras.Model` from LR to SR.
        scale: Upscaling factor of the model.
        height: Height of the output in pixels.
        width: Width of the output in pixels.

    Returns:
        The number of multiply-adds, an integer.

    Raises:
        ValueError: If `scale`, `height` or `width` is not a positive integer, or the
            network has another kind of layer with a kernel, such as one that `fold`
            replaces, or contains a model.
    """
    check_counts(scale=scale, height=height, width=width)
    counts = []

    def count(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        if isinstance(layer, keras.Model):
            raise ValueError(
                "`model` must not contain other models. Received: a model with the"
                f" model '{layer.name}' among its layers"
            )
        for kernel in _kernels(layer):
            # every kernel value is used once per pixel of the smaller side
            enlarges = isinstance(layer, layers.Conv2DTranspose)
            area = math.prod((args[0] if enlarges else outputs).shape[1:-1])
            counts.append(area * math.prod(kernel.shape))
        return outputs

    channels = model.input_shape[-1]
    inputs = keras.Input((-(-height // scale), -(-width // scale), channels))
    keras.models.clone_model(graph_of(model), inputs, call_function=count)
    return sum(counts)


def _kernels(layer):
    """Returns the kernels of a convolution or dense layer."""
    weights = getattr(layer, "weights", [])  # functions of `keras.ops` have none
    kernels = [weight for weight in weights if weight.name.endswith("kernel")]
    if kernels and not isinstance(layer, _COUNTED):
        is_foldable = hasattr(layer, "folded")
        raise ValueError(
            f"The multiply-adds of '{layer.name}', a {type(layer).__name__}, cannot be"
            " counted."
            + (" Fold the network first, see `models.fold`." if is_foldable else "")
        )
    return kernels
