"""The benchmark sets that papers measure on: for measuring only."""

import os
import pathlib

from sr_keras.datasets.folder import folder

SETS = ("Set5", "Set14", "BSD100", "Urban100")


def benchmark(name, scale, path=None):
    """Makes a dataset of a benchmark set, with its LR files where they are there.

    Never train on these photos, nor choose a checkpoint by them.

    Args:
        name: "Set5", "Set14", "BSD100", "Urban100", or another folder in `path`.
        scale: Upscaling factor.
        path: Folder of the sets, each with `HR` and, as a rule, `LR_bicubic/X2` and
            so on in it. None means `benchmark` in the folder that the environment
            variable `SR_KERAS_DATA` names, or else `data/benchmark`.

    Returns:
        A `Pairs`. Where there are no LR files, MATLAB's bicubic makes them.

    Raises:
        FileNotFoundError: If the set is not there.
    """
    if path is None:
        path = pathlib.Path(os.environ.get("SR_KERAS_DATA", "data")) / "benchmark"
    path = pathlib.Path(path) / name
    if not path.is_dir():
        raise FileNotFoundError(
            f"There is no folder {path}. Put the set there, with its photos in"
            f" {path / 'HR'}; data/README.md says where it comes from."
        )
    return folder(path, scale)
