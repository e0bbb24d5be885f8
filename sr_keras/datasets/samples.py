"""The photos that come with scikit-image: training without a download."""

import skimage
from skimage import data

from sr_keras.checks import check_name
from sr_keras.datasets.pairs import Pairs

# The two motorcycle photos show one scene from two points of view. Only one of them is
# used, because the other one must not be in the other split.
_SPLITS = {
    "train": {
        "astronaut": data.astronaut,
        "coffee": data.coffee,
        "hubble_deep_field": data.hubble_deep_field,
        "immunohistochemistry": data.immunohistochemistry,
        "retina": data.retina,
        "rocket": data.rocket,
    },
    "validation": {
        "chelsea": data.chelsea,
        "motorcycle": lambda: data.stereo_motorcycle()[0],
    },
}


def samples(scale, split="train", degradation=None):
    """Makes a dataset of the colour photos that are part of scikit-image's wheel.

    Args:
        scale: Upscaling factor.
        split: "train" (astronaut, coffee, a deep field of the Hubble telescope, a
            stained tissue, a retina, a rocket) or "validation" (a cat, a motorcycle).
        degradation: What makes the LR images, see `degradations.get`; None for
            bicubic.

    Returns:
        A `Pairs`.

    Raises:
        ValueError: If there is no such split.
    """
    check_name("a split", split, _SPLITS)
    readers = list(_SPLITS[split].values())
    return Pairs(
        _SPLITS[split],
        scale,
        lambda index: readers[index](),
        degradation=degradation,
        key=f"scikit-image {skimage.__version__}",
    )
