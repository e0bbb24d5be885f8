"""The benchmark sets of the papers, for evaluation only."""

import os
import pathlib

from sr_keras.checks import check_name
from sr_keras.datasets.folder import folder

SETS = ("Set5", "Set14", "BSD100", "Urban100")


def benchmark(name, scale, path=None, degradation=None):
    """Makes a dataset of a benchmark set.

    Never train on these photos or select a checkpoint by them.

    Args:
        name: "Set5", "Set14", "BSD100", "Urban100", or another folder in `path`.
        scale: Upscaling factor.
        path: Folder of the sets, each of which contains `HR` and usually
            `LR_bicubic/X2` and so on. None for `benchmark` in the folder that the
            environment variable `SR_KERAS_DATA` names (`data` if it is not set).
        degradation: What makes the LR images, see `degradations.get`. None for the LR
            files of the set, and for bicubic if it has none.

    Returns:
        A `Pairs`.

    Raises:
        ValueError: If the name is neither one of the four nor a folder.
        FileNotFoundError: If the set is missing.
    """
    if path is None:
        path = pathlib.Path(os.environ.get("SR_KERAS_DATA", "data")) / "benchmark"
    path = pathlib.Path(path)
    if not (path / name).is_dir():
        check_name("a benchmark set", name, {**dict.fromkeys(SETS), **_sets(path)})
        raise FileNotFoundError(
            f"There is no folder {path / name}. Put the photos of the set into"
            f" {path / name / 'HR'}; data/README.md says where to get them."
        )
    return folder(path / name, scale, degradation=degradation)


def _sets(path):
    return {file.name: file for file in sorted(path.glob("*")) if file.is_dir()}
