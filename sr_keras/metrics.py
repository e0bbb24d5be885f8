"""PSNR, SSIM, MS-SSIM, HFENN, VGG distance and LPIPS per image, and their means.

A score says little without its conditions. Papers score the luma (`luma=True`)
without `scale` pixels at every side (`border=scale`) of images rounded to 8 bits,
and take the mean over images. Everything but the rounding is done here;
`sr_keras.evaluate` rounds as well. `sr_keras.quality` has scores that need whole
images.

All scores are finite if the images are. PSNR is capped at 100 dB, equal images (black
and flat ones included) have the best score, and images that are too small raise an
error.

The official programs of SSIM and MS-SSIM take grey images in 0-255, which papers often
make by MATLAB's `rgb2gray`. Here, RGB images are scored on the BT.601 luma in 16-235
(`luma=True`) or on all three channels. Of grey images, the PSNR and the SSIM equal
those of the official programs. The MS-SSIM is the product of the paper's formula. The
official values that are often quoted, such as those of TID2013's I03 and I19, are of
the weighted mean that the same program offers: 0.6733 and 0.8462 instead of 0.6700 and
0.8418. Where the distortion is small, both are the same to 0.0001. The later program of
SSIM first averages images over windows so that the shorter side has about 256 pixels;
papers on super-resolution do not, and neither does this module.
"""

import keras
from keras import ops

from sr_keras import images, losses
from sr_keras.losses.base import one_per_image
from sr_keras.lpips import Distance

# Layer of `VGGDistance`. Neither SRGAN nor Johnson et al. use it for training.
VGG_LAYER = "vgg19/block4_conv4"


def psnr(y_true, y_pred, luma=False, border=0):
    """Computes the PSNR of each image, in dB, for a peak of 1.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1].
        y_pred: The same shape; clipped to [0, 1] here.
        luma: True scores the BT.601 luma of RGB images, in [16/255, 235/255];
            one-channel images are scored as they are. False scores all channels
            together.
        border: Number of pixels to cut from every side first, usually `scale`.

    Returns:
        `(batch,)`, float32. Papers report the mean of these over images; pooling the
        error over images first gives a different, lower number. Equal images score
        100, because a mean squared error below 1e-10 counts as 1e-10.

    Raises:
        ValueError: If the shapes differ, the values are integers, there are no pixels,
            `border` is negative or leaves nothing, or `luma` is True and the images
            have neither 1 nor 3 channels.
    """
    y_true, y_pred = _prepare(y_true, y_pred, luma, border)
    return -losses.psnr(y_true, y_pred)


def ssim(y_true, y_pred, luma=False, border=0):
    """Computes the SSIM of each image, in [-1, 1]; 1 for equal images.

    The window is Gaussian, 11 x 11 pixels with sigma 1.5, and is used only where it
    fits into the image. K1 = 0.01, K2 = 0.03, and the score is the mean over channels.

    Args:
        y_true: As in `psnr`; at least 11 x 11 pixels after the border is cut.
        y_pred: As in `psnr`.
        luma: As in `psnr`.
        border: As in `psnr`.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: As in `psnr`, or if the images are too small.

    Reference:
        [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861)
    """
    y_true, y_pred = _prepare(y_true, y_pred, luma, border)
    return 1.0 - losses.ssim(y_true, y_pred)


def ms_ssim(y_true, y_pred, luma=False, border=0):
    """Computes the MS-SSIM of each image, in [0, 1]; 1 for equal images.

    There are five scales, each half as large by 2 x 2 averages, with the published
    weights. A negative contrast term, which has no real power, makes the score 0.

    Args:
        y_true: As in `psnr`; at least 161 x 161 pixels after the border is cut.
        y_pred: As in `psnr`.
        luma: As in `psnr`.
        border: As in `psnr`.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: As in `psnr`, or if the images are too small.

    Reference:
        [Wang et al., 2003](https://doi.org/10.1109/ACSSC.2003.1292216)
    """
    y_true, y_pred = _prepare(y_true, y_pred, luma, border)
    return 1.0 - losses.ms_ssim(y_true, y_pred)


def hfenn(y_true, y_pred, luma=False, border=0):
    """Computes the normalized high-frequency error norm of each image.

    `|LoG(y_true) - LoG(y_pred)| / |LoG(y_true)|` with a Laplacian of Gaussian of sigma
    1.5 in 15 x 15 pixels, used only where it fits into the image. The score is 0 for
    equal images and 1 if all edges are missing. A `y_true` without edges is divided by
    1e-5, so that the score can be in the thousands: leave flat images out of a mean.

    Args:
        y_true: As in `psnr`; at least 15 x 15 pixels after the border is cut.
        y_pred: As in `psnr`.
        luma: As in `psnr`.
        border: As in `psnr`.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: As in `psnr`, or if the images are too small.

    Reference:
        [Ravishankar and Bresler, 2011](https://doi.org/10.1109/TMI.2010.2090538)
    """
    y_true, y_pred = _prepare(y_true, y_pred, luma, border)
    return losses.hfenn(y_true, y_pred)


def _prepare(y_true, y_pred, luma, border):
    if border < 0:
        raise ValueError(f"`border` must be 0 or more. Received: border={border}")
    y_true, y_pred = losses.to_float32(y_true, y_pred, rank=4)
    if 0 in y_true.shape[1:]:
        raise ValueError(f"Images must have pixels. Received: {tuple(y_true.shape)}")
    pair = y_true, ops.clip(y_pred, 0.0, 1.0)
    pair = [images.crop_border(image, border) for image in pair]
    return [images.luma(image) for image in pair] if luma else pair


class _MeanOverImages(keras.metrics.Mean):
    def __init__(self, luma, border, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.luma = luma
        self.border = border

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = self._score(y_true, y_pred, self.luma, self.border)
        super().update_state(values, one_per_image(sample_weight, values))

    def get_config(self):
        return {**super().get_config(), "luma": self.luma, "border": self.border}


@keras.saving.register_keras_serializable(package="sr_keras")
class PSNR(_MeanOverImages):
    """Reports the mean over images of `psnr`, in dB.

    Args:
        luma: As in `psnr`.
        border: As in `psnr`.
        name: Metric name.
        dtype: Metric dtype.
    """

    _score = staticmethod(psnr)

    def __init__(self, luma=False, border=0, name="psnr", dtype=None):
        super().__init__(luma, border, name, dtype)


@keras.saving.register_keras_serializable(package="sr_keras")
class SSIM(_MeanOverImages):
    """Reports the mean over images of `ssim`; arguments as in `PSNR`."""

    _score = staticmethod(ssim)

    def __init__(self, luma=False, border=0, name="ssim", dtype=None):
        super().__init__(luma, border, name, dtype)


@keras.saving.register_keras_serializable(package="sr_keras")
class MSSSIM(_MeanOverImages):
    """Reports the mean over images of `ms_ssim`; arguments as in `PSNR`."""

    _score = staticmethod(ms_ssim)

    def __init__(self, luma=False, border=0, name="ms_ssim", dtype=None):
        super().__init__(luma, border, name, dtype)


@keras.saving.register_keras_serializable(package="sr_keras")
class HFENN(_MeanOverImages):
    """Reports the mean over images of `hfenn`; arguments as in `PSNR`."""

    _score = staticmethod(hfenn)

    def __init__(self, luma=False, border=0, name="hfenn", dtype=None):
        super().__init__(luma, border, name, dtype)


@keras.saving.register_keras_serializable(package="sr_keras")
class VGGDistance(keras.metrics.Mean):
    """Reports the mean over images of the squared error of VGG features.

    This is `losses.Content` of RGB images. It says little about a network that was
    trained with the same loss, so choose other layers than those of the loss.

    Args:
        layers: Name of a layer (see `sr_keras.features`), list of names, or dict of
            names and weights.
        border: As in `psnr`.
        vgg_weights: The `weights` of `features.FeatureExtractor`.
        name: Metric name.
        dtype: Metric dtype.
    """

    def __init__(
        self,
        layers=VGG_LAYER,
        border=0,
        vgg_weights="imagenet",
        name="vgg_distance",
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.border = border
        self.loss = losses.Content(layers, vgg_weights=vgg_weights)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = _prepare(y_true, y_pred, luma=False, border=self.border)
        values = self.loss.call(y_true, y_pred)
        super().update_state(values, one_per_image(sample_weight, values))

    def get_config(self):
        return {
            **super().get_config(),
            "layers": self.loss.content,
            "border": self.border,
            "vgg_weights": self.loss.vgg_weights,
        }


@keras.saving.register_keras_serializable(package="sr_keras")
class LPIPS(keras.metrics.Mean):
    """Reports the mean over images of LPIPS v0.1, a perceptual distance.

    It compares RGB images, or grey ones, in the features of a classification network.
    0 for equal images; 0.1 is a slight and 0.5 a severe degradation. See
    `sr_keras.lpips.Distance`.

    Args:
        net: "alex" (which papers report) or "squeeze".
        weights: Path of an `.npz` file of weights, see `sr_keras.lpips`. None takes
            `lpips/alex.npz` (or `lpips/squeeze.npz`) in the folder that the environment
            variable `SR_KERAS_DATA` names, or in `data` if it is not set.
        border: As in `psnr`. At least 31 x 31 pixels must be left.
        name: Metric name.
        dtype: Metric dtype.

    Raises:
        ValueError: If there is no such network.
        FileNotFoundError: At the first update, if there is no file of weights. The
            message says where to put it.

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1801.03924)
    """

    def __init__(self, net="alex", weights=None, border=0, name="lpips", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.border = border
        self.distance = Distance(net, weights)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = _prepare(y_true, y_pred, luma=False, border=self.border)
        values = self.distance(y_true, y_pred)
        super().update_state(values, one_per_image(sample_weight, values))

    def get_config(self):
        return {
            **super().get_config(),
            "net": self.distance.net,
            "weights": self.distance.weights,
            "border": self.border,
        }
