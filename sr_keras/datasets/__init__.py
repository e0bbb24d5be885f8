"""Where pairs of LR and HR images come from."""

from sr_keras.datasets.arrays import arrays
from sr_keras.datasets.benchmark import benchmark
from sr_keras.datasets.div2k import div2k
from sr_keras.datasets.folder import folder
from sr_keras.datasets.named import has_validation, open_data
from sr_keras.datasets.pairs import Pairs, concatenate, decode
from sr_keras.datasets.samples import samples

__all__ = [
    "Pairs",
    "arrays",
    "benchmark",
    "concatenate",
    "decode",
    "div2k",
    "folder",
    "has_validation",
    "open_data",
    "samples",
]
