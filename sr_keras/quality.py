"""Scores of whole images that the human eye agrees with: VIF, IFC, NIQE; LR-PSNR.

All take single images, not batches: `(height, width)`, or `(height, width, 1 or 3)`;
uint8, uint16 or float in [0, 1]. They are computed in float64 with numpy and scipy; no
network can be trained with them. `sr_keras.metrics` has the scores for `compile`.

VIF, IFC and NIQE are of the luma (BT.601, 16-235); a grey image is its own luma.
"""

import functools
import math
import pathlib

import numpy as np
from scipy import ndimage, special

from sr_keras import images
from sr_keras.layers import cubic

_NUM_LEVELS = 4  # of the steerable pyramid of VIF and IFC, each half as large
_BLOCK = 3  # side of the neighbourhoods of VIF and IFC
_PATCH = 96  # side of NIQE's patches, at its first scale


def vif(hr, sr, border=0):
    """Computes the visual information fidelity, 0 and above; 1 for equal images.

    How much of the information that the eye would draw from `hr` it can draw from
    `sr`. Natural images are modelled in the bands of a wavelet transform, as vectors of
    3 x 3 coefficients `s * u` with a Gaussian `u` of covariance `C` and a local strength
    `s`; the distortion of `sr`, as a local gain `g` and noise of variance `v`; the eye,
    as noise of variance `n = 0.4` (of values in 0-255). With the eigenvalues `e` of `C`

        VIF = sum(log2(1 + g**2 * s**2 * e / (v + n))) / sum(log2(1 + s**2 * e / n))

    over bands, blocks and eigenvalues. More contrast without noise scores above 1.

    As in the authors' program, there are the horizontal and the vertical bands of a
    steerable pyramid with four levels and six orientations. It is computed by Fourier
    transforms, not by the short filters of that program, which changes scores by about
    0.01.

    Args:
        hr: The original, at least 72 x 72 pixels after the border is cut.
        sr: An image of the same shape.
        border: Pixels to cut from every side first, as a rule the scale.

    Raises:
        ValueError: If the images are too small, or their shapes differ.

    Reference:
        [Sheikh and Bovik, 2006](https://doi.org/10.1109/TIP.2005.859378)
    """
    seen = total = 0.0
    for signal, gain, noise in _channels(hr, sr, border):
        seen += np.log2(1 + gain**2 * signal / (noise + 0.4)).sum()
        total += np.log2(1 + signal / 0.4).sum()
    return float(seen / total) if total else math.nan


def ifc(hr, sr, border=0):
    """Computes the information fidelity criterion, in bits per pixel.

    The information that `sr` has about `hr`, in the model of `vif` but without an eye:

        IFC = sum(log2(1 + g**2 * s**2 * e / v)) / pixels

    0 and above; there is no upper limit, and equal images score about 30. Papers report
    2 to 3 for super-resolution by 4.

    Args:
        hr: As in `vif`.
        sr: As in `vif`.
        border: As in `vif`.

    Raises:
        ValueError: As in `vif`.

    Reference:
        [Sheikh et al., 2005](https://doi.org/10.1109/TIP.2005.859389)
    """
    height, width = (side - 2 * border for side in np.shape(hr)[:2])
    bits = sum(
        np.log2(1 + gain**2 * signal / (noise + 1e-10)).sum()
        for signal, gain, noise in _channels(hr, sr, border)
    )
    return float(bits / (height * width))


def _channels(hr, sr, border):
    """Fits the model of `vif` to each band.

    Yields:
        `s**2 * e`, `g` and `v` at each block, the first `(9, height, width)`.
    """
    if np.shape(hr) != np.shape(sr):
        raise ValueError(
            "`hr` and `sr` must have the same shape."
            f" Received: {np.shape(hr)} and {np.shape(sr)}"
        )
    hr, sr = (_luma(image, border) for image in (hr, sr))
    if min(hr.shape) < 72:
        raise ValueError(
            "VIF and IFC need images of at least 72x72 pixels (after borders are cut)."
            f" Received: {hr.shape[0]}x{hr.shape[1]}"
        )
    for i, (x, y) in enumerate(zip(_bands(hr), _bands(sr), strict=True)):
        level = i // 2
        # gain and noise are those of a window, larger where the pixels are finer
        window = 2 ** (_NUM_LEVELS - level) + 1
        height, width = (side // _BLOCK * _BLOCK for side in x.shape)
        x, y = x[:height, :width], y[:height, :width]
        mean_x, mean_y, xx, yy, xy = (
            ndimage.uniform_filter(band, window, mode="mirror")[1::_BLOCK, 1::_BLOCK]
            for band in (x, y, x * x, y * y, x * y)
        )
        xx, yy = np.maximum(xx - mean_x**2, 0), np.maximum(yy - mean_y**2, 0)
        xy = xy - mean_x * mean_y
        gain = np.where(xx > 1e-15, np.maximum(xy, 0) / np.maximum(xx, 1e-15), 0)
        noise = np.maximum(yy - gain * xy, 0)

        vectors = np.lib.stride_tricks.sliding_window_view(x, (_BLOCK, _BLOCK))
        covariance = np.cov(vectors.reshape(-1, _BLOCK**2), rowvar=False, bias=True)
        eigenvalues = np.maximum(np.linalg.eigvalsh(covariance), 0)
        blocks = vectors[::_BLOCK, ::_BLOCK].reshape(*gain.shape, _BLOCK**2)
        inverse = np.linalg.pinv(covariance, hermitian=True)
        strength = np.einsum("ijk,kl,ijl->ij", blocks, inverse, blocks) / _BLOCK**2
        # windows that reach over the border are left out
        cut = math.ceil((window // 2) / _BLOCK)
        inner = (..., slice(cut, -cut), slice(cut, -cut))
        signal = strength * eigenvalues[:, None, None]
        yield signal[inner], gain[inner], noise[inner]


def _luma(image, border=0):
    """Returns the luma as float64 in 0-255; of integers, rounded as MATLAB does."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(
            "An image must have the shape (height, width[, 1 or 3])."
            f" Received: {image.shape}"
        )
    image = image[..., None] if image.ndim == 2 else image
    image = images.to_float(images.luma(images.crop_border(image, border)))
    return image[..., 0].astype("float64") * 255


def _bands(image):
    """Yields the horizontal and vertical bands of a steerable pyramid, finest first.

    The frequencies are divided into octaves by smooth radial masks, and each octave
    into six directions by `cos(angle)**5`. Every level has half the size of the one
    before, rounded up, and twice its gain, so that no energy is lost.

    Reference:
        [Portilla and Simoncelli, 2000](https://doi.org/10.1023/A:1026553619983)
    """
    # A margin that mirrors the image, because Fourier transforms are periodic, up to
    # a multiple of what the coarsest band is smaller
    margin, unit = 64, 2**_NUM_LEVELS
    padding = [(margin, margin + -side % unit) for side in image.shape]
    spectrum = np.fft.fft2(np.pad(image, padding, "symmetric"))
    directions = math.sqrt(2**10 * math.factorial(5) ** 2 / 6 / math.factorial(10))
    for level in range(_NUM_LEVELS):
        y, x = (np.fft.fftfreq(side) * 2 for side in spectrum.shape)
        radius = np.maximum(np.hypot(y[:, None], x), 1e-9)  # 1 where a side ends
        octave = np.pi / 2 * np.clip(np.log2(radius) + [[[2]], [[1]]], 0, 1)
        spectrum = spectrum * np.cos(octave[1])
        height, width = (-(-side // 2**level) for side in image.shape)
        first = margin // 2**level
        for cosine in (x / radius, y[:, None] / radius):
            mask = directions * np.sin(octave[0]) * cosine**5
            band = np.fft.ifft2(-1j * mask * spectrum).real
            yield band[first : first + height, first : first + width]
        rows, columns = (np.r_[: n // 4, -(n // 4) : 0] for n in spectrum.shape)
        spectrum = spectrum[np.ix_(rows, columns)] / 2
