"""The photos that come with scikit-image: training without any download."""

import skimage
from skimage import data

from sr_keras.datasets.pairs import Pairs

# The two motorcycle images show one scene from two points of view, so that one
# of them is left out rather than put on the other side of the split.
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


def samples(scale, split="train", degradation="bicubic"):
    """Makes a dataset of the colour photos that scikit-image's wheel carries.

    Args:
        scale: Upscaling factor.
        split: "train" (astronaut, coffee, a deep field of the Hubble telescope, a
            stained tissue, a retina, a rocket) or "validation" (a cat, a
            motorcycle).
        degradation: What makes the LR images, see `degradations.get`.

    Returns:
        A `Pairs`.

    Raises:
        ValueError: If there is no such split.
    """
    if split not in _SPLITS:
        raise ValueError(
            f"`split` must be one of {', '.join(_SPLITS)}. Received: {split}"
        )
    readers = list(_SPLITS[split].values())
    return Pairs(
        _SPLITS[split],
        scale,
        lambda index: readers[index](),
        degradation=degradation,
        key=f"scikit-image {skimage.__version__}",
    )
