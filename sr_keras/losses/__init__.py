"""Losses for images in [0, 1], one value per image.

Every function returns `(batch,)`, the mean over the pixels of each image, where the
functions of Keras return `(batch, height, width)`. The mean over a batch is the same,
and `sample_weight` in `fit` is one number per image. Predictions are never clipped,
because a clipped pixel has no gradient. Everything is computed in float32, whatever
the precision policy. `sr_keras.metrics` has the scores to report.

`get` returns a loss by its name, and builds weighted sums from plain data.
"""

from sr_keras.losses.base import to_float32
from sr_keras.losses.combined import NAMES, FunctionLoss, LossTerm, WeightedSum, get
from sr_keras.losses.patterns import Frequency, Grid, frequency
from sr_keras.losses.perceptual import LPIPS, Content, Perceptual, Texture
from sr_keras.losses.pixels import (
    L1,
    L2,
    Charbonnier,
    Huber,
    TotalVariation,
    charbonnier,
    huber,
    l1,
    l2,
    total_variation,
)
from sr_keras.losses.similarity import (
    HFENN,
    MSSSIM,
    PSNR,
    SSIM,
    hfenn,
    ms_ssim,
    psnr,
    ssim,
)

__all__ = [
    "Charbonnier",
    "Content",
    "Frequency",
    "FunctionLoss",
    "Grid",
    "HFENN",
    "Huber",
    "L1",
    "L2",
    "LPIPS",
    "LossTerm",
    "MSSSIM",
    "NAMES",
    "PSNR",
    "Perceptual",
    "SSIM",
    "Texture",
    "TotalVariation",
    "WeightedSum",
    "charbonnier",
    "frequency",
    "get",
    "hfenn",
    "huber",
    "l1",
    "l2",
    "ms_ssim",
    "psnr",
    "ssim",
    "to_float32",
    "total_variation",
]
