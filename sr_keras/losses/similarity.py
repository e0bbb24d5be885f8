"""Losses that are measures of quality too: PSNR, SSIM, MS-SSIM and HFENN."""

import keras
import numpy as np
from keras import ops

from sr_keras.losses.base import ImageLoss, check_size, mean, mean_per_image, to_float32
from sr_keras.losses.pixels import l2

# The Gaussian window of SSIM has 11 x 11 pixels.
_WINDOW_SIZE = 11
_SIGMA = 1.5
# (K1 L)^2 and (K2 L)^2 for K1 = 0.01, K2 = 0.03 and the data range L = 1.
_C1 = 0.01**2
_C2 = 0.03**2
# Exponents of MS-SSIM, from the finest scale to the coarsest.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# HFENN's Laplacian of Gaussian has 15 x 15 pixels and the same sigma.
_LOG_SIZE = 15


def psnr(y_true, y_pred):
    """Computes the negative PSNR of each image, in dB; shapes as in `l1`.

    The PSNR is `-10 log10(mse)` for a peak of 1. It is limited to 100 dB (a mean
    squared error of 1e-10), so that identical images have a finite loss and a gradient
    of 0.
    """
    mse = ops.maximum(l2(y_true, y_pred), 1e-10)
    return 10.0 * ops.log10(mse)


def ssim(y_true, y_pred):
    """Computes `1 - SSIM` of each image, in [0, 2].

    SSIM is computed as published: a Gaussian window of 11 x 11 pixels with sigma 1.5,
    only at positions where it fits into the image, with K1 = 0.01, K2 = 0.03 and data
    range 1, averaged over channels.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1], at least
            11 x 11 pixels.
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ, the images are too small, or the
            values are integers.

    Reference:
        [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861)
    """
    y_true, y_pred = to_float32(y_true, y_pred, rank=4)
    check_size(y_true, _WINDOW_SIZE, "SSIM")
    similarity, _ = _similarity_and_contrast(y_true, y_pred)
    return 1.0 - ops.mean(similarity, axis=-1)


def ms_ssim(y_true, y_pred):
    """Computes `1 - MS-SSIM` of each image, in [0, 1].

    MS-SSIM is the product of the contrast term of SSIM at four scales and of SSIM at
    the fifth, the coarsest, each raised to its published exponent. Every scale is half
    the size of the previous one, by averages of 2 x 2 pixels (an odd last row or
    column is averaged by itself). A negative term cannot be raised to such an exponent
    and counts as 0: the loss of such an image is 1 and it has no gradient, so use
    another loss first, or add one.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1], at least
            161 x 161 pixels: the window must fit into the coarsest scale.
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ, the images are too small, or the
            values are integers.

    Reference:
        [Wang et al., 2003](https://doi.org/10.1109/ACSSC.2003.1292216)
    """
    y_true, y_pred = to_float32(y_true, y_pred, rank=4)
    num_halvings = len(_SCALE_WEIGHTS) - 1
    check_size(y_true, (_WINDOW_SIZE - 1) * 2**num_halvings + 1, "MS-SSIM")

    result = 1.0
    for i, weight in enumerate(_SCALE_WEIGHTS):
        similarity, contrast = _similarity_and_contrast(y_true, y_pred)
        term = contrast if i < num_halvings else similarity  # (batch, channels)
        # Two `where`, because the gradient of 0**weight is infinite. NaN stays NaN.
        negative = term <= 0.0
        power = ops.where(negative, 1.0, term) ** weight
        result = result * ops.where(negative, 0.0, power)
        if i < num_halvings:
            y_true, y_pred = _halve(y_true), _halve(y_pred)
    return 1.0 - ops.mean(result, axis=-1)


def hfenn(y_true, y_pred):
    """Computes the normalized high-frequency error norm of each image.

    The norm is `|LoG(y_true) - LoG(y_pred)| / |LoG(y_true)|`. LoG, the Laplacian of a
    Gaussian with sigma 1.5 in a window of 15 x 15 pixels, responds to edges, and `|x|`
    is the root of the sum of squares over pixels and channels. The loss is 0 for
    identical images and 1 if all edges are missing. It differs from the paper in two
    ways: the paper does not normalize, and here only positions where the window fits
    into the image are used, because zero padding would create an edge at the border.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1], at least
            15 x 15 pixels.
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ, the images are too small, or the
            values are integers.

    Reference:
        [Ravishankar and Bresler, 2011](https://doi.org/10.1109/TMI.2010.2090538)
    """
    y_true, y_pred = to_float32(y_true, y_pred, rank=4)
    check_size(y_true, _LOG_SIZE, "HFENN")
    error, edges = (_edges(images) for images in (y_true - y_pred, y_true))
    # For an image without edges. 1e-5 is far below what 8 bits can represent.
    return _root_mean_square(error) / ops.maximum(_root_mean_square(edges), 1e-5)


def _edges(images):
    """Convolves each channel with the Laplacian of Gaussian."""
    offsets = np.arange(_LOG_SIZE) - _LOG_SIZE // 2
    square = offsets[:, None] ** 2 + offsets**2
    gaussian = np.exp(-0.5 * square / _SIGMA**2)
    kernel = gaussian / gaussian.sum() * (square - 2 * _SIGMA**2) / _SIGMA**4
    kernel = (kernel - kernel.mean()).astype("float32")[..., None, None]
    kernel = np.tile(kernel, (1, 1, images.shape[-1], 1))
    return ops.depthwise_conv(
        images, kernel, padding="valid", data_format="channels_last"
    )


def _root_mean_square(images):
    # the gradient of a root is infinite at 0
    return ops.sqrt(ops.maximum(mean_per_image(images**2), 1e-24))


def _similarity_and_contrast(x, y):
    """Returns the means of SSIM and of its contrast term, `(batch, channels)`."""
    # Variances are small differences of large moments. Values around 0 instead of 0.5
    # keep the rounding errors small.
    x, y = x - 0.5, y - 0.5
    moments = ops.concatenate([x, y, x**2 + y**2, x * y], axis=-1)
    mean_x, mean_y, squares, product = ops.split(_blur(moments), 4, axis=-1)

    variances = squares - (mean_x**2 + mean_y**2)
    covariance = product - mean_x * mean_y
    contrast = (2.0 * covariance + _C2) / (variances + _C2)

    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    luminance = (2.0 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return mean(luminance * contrast, (2, 1)), mean(contrast, (2, 1))


def _blur(images):
    """Convolves each channel with the Gaussian window, first rows, then columns."""
    offsets = np.arange(_WINDOW_SIZE) - _WINDOW_SIZE // 2
    window = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    kernel = np.tile(window / window.sum(), (images.shape[-1], 1)).T
    kernel = kernel.astype("float32")[..., None]  # (11, channels, 1)
    for kernel_2d in (kernel[:, None], kernel[None]):
        images = ops.depthwise_conv(
            images, kernel_2d, padding="valid", data_format="channels_last"
        )
    return images


def _halve(images):
    return ops.average_pool(
        images, 2, strides=2, padding="same", data_format="channels_last"
    )


@keras.saving.register_keras_serializable(package="sr_keras", name="PSNRLoss")
class PSNR(ImageLoss):
    """Computes the negative PSNR in dB, see `psnr`.

    It is named "psnr_loss" and saved as "PSNRLoss" so that it can be used together
    with `metrics.PSNR`. The same holds for `SSIM` and `MSSSIM`.
    """

    def __init__(self, name="psnr_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return psnr(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras", name="SSIMLoss")
class SSIM(ImageLoss):
    """Computes `1 - SSIM`, see `ssim`."""

    def __init__(self, name="ssim_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return ssim(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras", name="MSSSIMLoss")
class MSSSIM(ImageLoss):
    """Computes `1 - MS-SSIM`, see `ms_ssim`; patches need 161 x 161 pixels."""

    def __init__(self, name="ms_ssim_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return ms_ssim(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras", name="HFENNLoss")
class HFENN(ImageLoss):
    """Computes the normalized high-frequency error norm, see `hfenn`."""

    def __init__(self, name="hfenn_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return hfenn(y_true, y_pred)
