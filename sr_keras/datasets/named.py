"""Datasets by name, for the command line and recipes."""

import os
import pathlib

from sr_keras import degradations
from sr_keras.datasets.div2k import div2k
from sr_keras.datasets.folder import find_lr, find_sets, folder
from sr_keras.datasets.pairs import Pairs
from sr_keras.datasets.samples import samples


def open_data(name, scale, split="train", degradation=None):
    """Opens a dataset by its name, or a folder.

    Args:
        name: "samples", "div2k", or a folder of photos, which is looked for here and
            in the folder that the environment variable `SR_KERAS_DATA` names; DIV2K
            only there.
        scale: Upscaling factor.
        split: "train" or "validation", of the named datasets.
        degradation: None for LR files where a folder has them (in the layouts that
            `datasets.folder` knows), and bicubic elsewhere.

    Returns:
        A `datasets.Pairs`.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if name == "samples":
        return samples(scale, split, degradation or "bicubic")
    if name == "div2k":
        dataset = div2k(scale, split)
        if degradation is None:
            return dataset
        return Pairs(dataset.names, scale, dataset.hr, None, degradation, dataset.key)
    path = _find_folder(name)
    if path is None:
        raise FileNotFoundError(
            f"There is no dataset {name!r}: it is neither samples nor div2k, nor a"
            f" folder here or in {_root()}."
        )
    hr_path, lr_path = find_lr(path, scale)
    if degradation is not None:  # an object, beside which no LR files are looked for
        lr_path, degradation = None, degradations.get(degradation, scale)
    return folder(hr_path, scale, lr_path, degradation or "bicubic")


def check_degraded(dataset):
    """Raises a ValueError if the LR images are the HR images."""
    is_downscaled = isinstance(dataset.degradation, degradations.Downscale)
    if is_downscaled and dataset.scale == 1:
        raise ValueError(
            "At scale 1, LR and HR images are the same without a degradation: name one,"
            f" such as crappify, of {', '.join(degradations.NAMES)}."
        )


def sets_in(name):
    """Returns the folders of benchmark sets in a folder, or the name if it has none."""
    path = _find_folder(name)
    sets = [] if path is None else find_sets(path)
    return [str(found) for found in sets] or [name]


def _find_folder(name):
    """Returns a folder that is here, or in `SR_KERAS_DATA`; None if it is nowhere."""
    for path in (pathlib.Path(name), _root() / name):
        if path.is_dir():
            return path
    return None


def _root():
    return pathlib.Path(os.environ.get("SR_KERAS_DATA", "data"))
