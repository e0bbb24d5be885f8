"""PSNR, SSIM, MS-SSIM, HFENN and VGG distance of each image, and their means.

A score says little without its conditions. Papers score the luma (`luma=True`)
without `scale` pixels at every side (`border=scale`), of images rounded to 8 bits,
and take the mean over images. All but the rounding is done here; the evaluation of
whole files rounds. `sr_keras.quality` has scores that need whole images.
"""

import keras
from keras import ops

from sr_keras import images, losses

# of `VGGDistance`: neither SRGAN nor Johnson et al. train on it
VGG_LAYER = "vgg19/block4_conv4"


def psnr(y_true, y_pred, luma=False, border=0):
    """Computes the PSNR of each image, in dB, for a peak of 1.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1].
        y_pred: The same shape; clipped to [0, 1] here.
        luma: True scores the BT.601 luma of RGB images, in [16/255, 235/255];
            one-channel images are scored as they are. False scores all channels
            together.
        border: Number of pixels to cut from every side first, as a rule `scale`.

    Returns:
        `(batch,)`, float32. The mean over images is the mean of these: papers do
        not pool the error over images, which gives another, lower number. Equal
        images score 100: a mean squared error counts as 1e-10 at least.

    Raises:
        ValueError: If the shapes differ, the values are integers, `border` is
            negative or leaves nothing, or `luma` is asked of other than 1 or 3
            channels.
    """
    y_true, y_pred = _prepare(y_true, y_pred, luma, border)
    return -losses.psnr(y_true, y_pred)


def ssim(y_true, y_pred, luma=False, border=0):
    """Computes the SSIM of each image, in [-1, 1]; 1 for equal images.

    A Gaussian window of 11 x 11 pixels with sigma 1.5, only where it fits into
    the image, K1 = 0.01, K2 = 0.03, and the mean over channels.

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

    Five scales, halved by 2 x 2 averages, with the published weights. A negative
    contrast term, which has no real power, counts as 0, and so does the score.

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
    1.5 in 15 x 15 pixels, only where they fit into the image: 0 for equal images, 1 if
    all edges are missing.

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
        raise ValueError(f"`border` must be 0 or more pixels. Received: {border}")
    y_true, y_pred = losses.to_float32(y_true, y_pred, rank=4)
    pair = y_true, ops.clip(y_pred, 0.0, 1.0)
    pair = [images.crop_border(image, border) for image in pair]
    return [images.luma(image) for image in pair] if luma else pair


class _MeanOverImages(keras.metrics.Mean):
    def __init__(self, luma, border, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.luma = luma
        self.border = border

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

    def __init__(self, luma=False, border=0, name="psnr", dtype=None):
        super().__init__(luma, border, name, dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = psnr(y_true, y_pred, self.luma, self.border)
        super().update_state(values, sample_weight)


@keras.saving.register_keras_serializable(package="sr_keras")
class SSIM(_MeanOverImages):
    """Reports the mean over images of `ssim`; arguments as in `PSNR`."""

    def __init__(self, luma=False, border=0, name="ssim", dtype=None):
        super().__init__(luma, border, name, dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = ssim(y_true, y_pred, self.luma, self.border)
        super().update_state(values, sample_weight)


@keras.saving.register_keras_serializable(package="sr_keras")
class MSSSIM(_MeanOverImages):
    """Reports the mean over images of `ms_ssim`; arguments as in `PSNR`."""

    def __init__(self, luma=False, border=0, name="ms_ssim", dtype=None):
        super().__init__(luma, border, name, dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = ms_ssim(y_true, y_pred, self.luma, self.border)
        super().update_state(values, sample_weight)


@keras.saving.register_keras_serializable(package="sr_keras")
class HFENN(_MeanOverImages):
    """Reports the mean over images of `hfenn`; arguments as in `PSNR`."""

    def __init__(self, luma=False, border=0, name="hfenn", dtype=None):
        super().__init__(luma, border, name, dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = hfenn(y_true, y_pred, self.luma, self.border)
        super().update_state(values, sample_weight)


@keras.saving.register_keras_serializable(package="sr_keras")
class VGGDistance(keras.metrics.Mean):
    """Reports the mean over images of the squared error of VGG features.

    It is `losses.Content` of RGB images, and says little of a network that was trained
    with just that: choose other layers than the loss has.

    Args:
        layers: The name of a layer, see `sr_keras.features`, a list of names, or a
            dict of names and weights.
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
        super().update_state(self.loss.call(y_true, y_pred), sample_weight)

    def get_config(self):
        return {
            **super().get_config(),
            "layers": self.loss.content,
            "border": self.border,
            "vgg_weights": self.loss.vgg_weights,
        }
