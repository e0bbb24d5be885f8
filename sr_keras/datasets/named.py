"""Datasets by name, for the command line and recipes."""

import os
import pathlib
import warnings

from sr_keras import degradations
from sr_keras.checks import check_name
from sr_keras.datasets.benchmark import SETS
from sr_keras.datasets.div2k import div2k
from sr_keras.datasets.folder import find_sets, folder
from sr_keras.datasets.samples import samples

SPLITS = ("train", "validation")
_WITH_VALIDATION = ("samples", "div2k")


def open_data(
    name, scale, split="train", degradation=None, lr_path=None, shrink=1, progress=None
):
    """Opens a dataset by its name, or a folder.

    Args:
        name: "samples", "div2k", a benchmark set such as "Set5", or a folder of photos.
            Folders are looked up in the current folder and in the one that the
            environment variable `SR_KERAS_DATA` names (`data` if it is not set), and
            benchmark sets in `benchmark` in the latter.
        scale: Upscaling factor.
        split: "train" or "validation". Only "samples" and "div2k" have two splits; a
            folder is the same in both.
        degradation: What makes the LR images, see `degradations.get`. None for LR files
            where there are any (see `datasets.folder`), and for bicubic elsewhere.
        lr_path: Folder of LR files, for folders only.
        shrink: See `datasets.folder`; for folders only.
        progress: See `datasets.div2k`.

    Returns:
        A `Pairs`.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the name is not known, or an option does not apply to it.

    Warns:
        UserWarning: If a benchmark set is opened for training.
    """
    check_name("a split", split, SPLITS)
    if name in _WITH_VALIDATION:
        if lr_path is not None or shrink != 1:
            raise ValueError(
                f"`lr_path` and `shrink` are for folders only, not for {name!r}."
                f" Received: lr_path={lr_path!r}, shrink={shrink!r}"
            )
        if name == "samples":
            return samples(scale, split, degradation)
        return div2k(scale, split, degradation=degradation, progress=progress)
    path = _find_folder(name)
    if path is None:
        if any(separator in str(name) for separator in ("/", os.sep)):
            raise FileNotFoundError(f"There is no folder {name}, here or in {_root()}.")
        check_name("a dataset, or of a folder here", name, _names())
        raise FileNotFoundError(
            f"{name} is not in {_root() / 'benchmark'}; data/README.md says where to"
            " get it."
        )
    if split == "train" and _is_benchmark(path):
        warnings.warn(
            f"{path} is a benchmark set: a network trained on its photos must not be"
            " evaluated on them.",
            stacklevel=2,
        )
    return folder(path, scale, lr_path, degradation, shrink)


def has_validation(name):
    """Returns True if a named dataset has a validation split of its own."""
    return name in _WITH_VALIDATION


def check_degraded(dataset):
    """Raises a ValueError if the LR images are the HR images."""
    is_downscaled = isinstance(dataset.degradation, degradations.Downscale)
    if is_downscaled and dataset.scale == 1:
        raise ValueError(
            "At scale 1, the LR images equal the HR images without a degradation. Name"
            f" one, such as crappify: {', '.join(degradations.NAMES)}."
        )


def sets_in(name):
    """Returns the folders of benchmark sets in a folder, or [name] if it has none."""
    path = _find_folder(name)
    sets = [] if path is None else find_sets(path)
    return [str(found) for found in sets] or [name]


def _find_folder(name):
    """Returns an existing folder, or None."""
    for path in (pathlib.Path(name), _root() / name, _root() / "benchmark" / name):
        if path.is_dir():
            return path
    return None


def _is_benchmark(path):
    names = [part.lower() for part in path.resolve().parts[-3:]]  # Set5, or Set5/HR
    return "benchmark" in names or any(name.lower() in names for name in SETS)


def _names():
    """Returns all names that `open_data` knows, with the folders in the data folder."""
    root = _root()
    folders = [path.name for path in sorted(root.glob("*")) if path.is_dir()]
    sets = [path.name for path in find_sets(root / "benchmark")]
    return list(dict.fromkeys([*_WITH_VALIDATION, *SETS, *sets, *folders]))


def _root():
    return pathlib.Path(os.environ.get("SR_KERAS_DATA", "data"))
