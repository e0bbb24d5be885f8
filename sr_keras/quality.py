"""Scores of whole images that the human eye agrees with: VIF, IFC, NIQE; LR-PSNR.

All take single images, not batches: `(height, width)`, or `(height, width, 1 or 3)`;
uint8, uint16 or (but for LR-PSNR) float in [0, 1]. They are computed in float64 with
numpy and scipy; no network can be trained with them. `sr_keras.metrics` has the scores
for `compile`.

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

    NaN if `hr` is flat, and so has no information.

    How much of the information that the eye would draw from `hr` it can draw from
    `sr`. Natural images are modelled in the bands of a wavelet transform, as vectors of
    3 x 3 coefficients `s * u`, `u` a Gaussian of covariance `C` and `s` a local
    strength; the distortion of `sr`, as a local gain `g` and noise of variance `v`; the
    eye, as noise of variance `n = 0.4` (of values in 0-255). With the eigenvalues `e`
    of `C`

        VIF = sum(log2(1 + g**2 * s**2 * e / (v + n))) / sum(log2(1 + s**2 * e / n))

    over bands, blocks and eigenvalues. More contrast without noise scores above 1.

    As in the authors' program, there are the horizontal and the vertical bands of a
    steerable pyramid with four levels and six orientations. It is computed by Fourier
    transforms, not by the short filters of that program, which changes a set's mean
    by 2 %.

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

    0 and above; there is no upper limit, and equal images score about 70. Papers report
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

    Each level has a band-pass filter in six directions, the angle's cosine to the
    power of 5, and half the size of the level before, rounded up. The exponents of
    the radial filters bring them near to the `sp5Filters` of the program of the
    authors of VIF.

    Reference:
        [Simoncelli and Freeman, 1995](https://doi.org/10.1109/ICIP.1995.537667)
    """

    def low_pass(radius):
        return (1 + np.cos(np.pi * np.minimum(radius, 1) ** 1.65)) / 2

    # Fourier transforms are periodic: the image goes on as its mirror image
    margin, unit = 64, 2**_NUM_LEVELS
    padding = [(margin, margin + -side % unit) for side in image.shape]
    spectrum = np.fft.fft2(np.pad(image, padding, "symmetric"))
    # the squares of the six directions add up to 1
    scale = math.sqrt(2**10 * math.factorial(5) ** 2 / (6 * math.factorial(10)))
    for level in range(_NUM_LEVELS):
        y, x = (np.fft.fftfreq(side) * 2 for side in spectrum.shape)
        radius = np.maximum(np.hypot(y[:, None], x), 1e-9)  # 1: the highest frequency
        if level == 0:
            spectrum *= low_pass(radius)
        band_pass = scale * np.sin(np.pi * np.minimum(radius, 1)) ** 1.35
        height, width = (-(-side // 2**level) for side in image.shape)
        first = margin // 2**level
        for cosine in (x / radius, y[:, None] / radius):
            band = np.fft.ifft2(-1j * band_pass * cosine**5 * spectrum).real
            yield band[first : first + height, first : first + width]
        spectrum *= low_pass(2 * radius)
        rows, columns = (np.r_[: n // 4, -(n // 4) : 0] for n in spectrum.shape)
        spectrum = spectrum[np.ix_(rows, columns)] / 2  # the energy stays


def lr_psnr(lr, sr):
    """Computes how far `sr`, made small again, is from the image it was made of, in dB.

    `sr` is scaled down by MATLAB's antialiased bicubic, and the PSNR is that of all
    channels and pixels of `lr`, in its bit depth. A network that invents detail may
    not change what was seen: NTIRE's challenges ask for 45 dB. An `lr` that was made
    in another way than by bicubic limits the score.

    Args:
        lr: `(height, width)` or `(height, width, 1 or 3)`, uint8 or uint16.
        sr: `scale` times as large, of the same dtype.

    Returns:
        A float; 100 for equal images.

    Raises:
        ValueError: If the size is no multiple, or a dtype is another one.

    Reference:
        [Lugmayr et al., 2020](https://arxiv.org/abs/2006.14200)
    """
    lr, sr = np.asarray(lr), np.asarray(sr)
    if lr.dtype not in (np.uint8, np.uint16) or sr.dtype != lr.dtype:
        raise ValueError(
            "`lr` and `sr` must both be uint8 or both be uint16."
            f" Received: {lr.dtype} and {sr.dtype}"
        )
    scale = sr.shape[0] // lr.shape[0]
    if sr.shape != (scale * lr.shape[0], scale * lr.shape[1], *lr.shape[2:]):
        raise ValueError(
            "`sr` must be a whole number of times as large as `lr`."
            f" Received: {lr.shape} and {sr.shape}"
        )
    peak = np.iinfo(lr.dtype).max
    for axis in (0, 1):  # rounded after each, as MATLAB does
        sr = np.floor(np.clip(_shrink(sr, scale, axis), 0, peak) + 0.5)
    mse = np.mean((sr - lr) ** 2) / peak**2
    return float(-10 * np.log10(max(mse, 1e-10)))


def _shrink(image, scale, axis):
    """Scales one axis, a multiple of `scale`, down by antialiased bicubic."""
    offsets = np.arange(-2 * scale, 3 * scale)
    weights = cubic((offsets - (scale - 1) / 2) / scale)
    size = image.shape[axis]
    first = np.arange(0, size, scale)
    return sum(
        weight * np.take(image, np.clip(first + offset, 0, size - 1), axis)
        for offset, weight in zip(offsets, weights / weights.sum(), strict=True)
    )


def niqe(image, border=0, model=None):
    """Computes NIQE: how unnatural an image is, without an original; lower is better.

    Natural photos, divided by their local contrast, are nearly Gaussian noise, with a
    slight dependence of neighbours. Each patch of 96 x 96 pixels is described by 36
    numbers, the distributions of its pixels and of products of neighbours at two
    scales. With the mean `m` and covariance `C` of these over the patches of the image
    (flat ones are left out), and `m0` and `C0` over those of good photos,

        NIQE = sqrt((m - m0)' pinv((C + C0) / 2) (m - m0))

    Unlike with the authors' program, the good photos are the 200 training photos of
    BSDS500, and the luma is in 16-235: scores are not those that papers print.

    Args:
        image: At least two patches of 96 x 96 pixels after the border is cut; what is
            left at the bottom and the right is ignored. Floats are rounded to 8 bits.
        border: Pixels to cut from every side first, as a rule the scale.
        model: What `fit_niqe` returned; None for BSDS500.

    Raises:
        ValueError: If the image is too small or flat, or has another shape.

    Reference:
        [Mittal et al., 2013](https://doi.org/10.1109/LSP.2012.2227726)
    """
    features, _ = _patch_features(_luma(image, border))
    if len(features) < 2:
        raise ValueError(
            "NIQE needs at least two patches of 96x96 pixels (after borders are cut)"
            " that are not flat."
            f" Received: {np.shape(image)} and a border of {border}"
        )
    model = _bsds500() if model is None else model
    difference = features.mean(0) - model["mean"]
    covariance = (np.cov(features, rowvar=False) + model["covariance"]) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))


def fit_niqe(photos):
    """Learns from good photos what `niqe` holds for natural.

    The file that comes with the package was made by

        photos = sr.datasets.folder("data/bsds500/train", scale=1)
        model = sr.quality.fit_niqe(photos.hr(i) for i in range(len(photos)))
        numpy.savez("sr_keras/niqe_bsds500.npz", **model)

    Args:
        photos: Iterable of images. Of each, patches count that are at least 0.75 times
            as sharp as its sharpest, in the mean local standard deviation.

    Returns:
        {"mean": `(36,)`, "covariance": `(36, 36)`}, float64 arrays.

    Raises:
        ValueError: If there are less than 37 such patches, too few for a covariance.
    """
    chosen = []
    for photo in photos:
        features, sharpness = _patch_features(_luma(photo))
        if len(features):
            chosen.append(features[sharpness >= 0.75 * sharpness.max()])
    features = np.concatenate(chosen) if chosen else np.empty((0, 36))
    if len(features) < 37:
        raise ValueError(
            "NIQE needs at least 37 sharp patches of 96x96 pixels."
            f" Received: {len(features)}"
        )
    return {"mean": features.mean(0), "covariance": np.cov(features, rowvar=False)}


@functools.cache
def _bsds500():
    with np.load(pathlib.Path(__file__).parent / "niqe_bsds500.npz") as file:
        return dict(file)


def _patch_features(luma):
    """Returns the features of patches, `(patches, 36)`, and their sharpness."""
    rows, columns = (side // _PATCH for side in luma.shape)
    if rows * columns == 0:
        return np.empty((0, 36)), np.empty(0)
    luma = np.floor(luma[: rows * _PATCH, : columns * _PATCH] + 0.5)
    scales = []
    for size in (_PATCH, _PATCH // 2):
        mean = _blur(luma)
        deviation = np.sqrt(np.abs(_blur(luma**2) - mean**2))
        normalized = (luma - mean) / (deviation + 1)
        scales.append([_describe(patch) for patch in _patches(normalized, size)])
        if size == _PATCH:
            sharpness = _patches(deviation, size).mean((1, 2))
        luma = _shrink(_shrink(luma, 2, 0), 2, 1)
    features = np.concatenate(scales, axis=1)
    is_known = np.isfinite(features).all(1)
    return features[is_known], sharpness[is_known]


def _blur(image):
    # a window of 7 x 7 pixels
    return ndimage.gaussian_filter(image, 7 / 6, mode="nearest", radius=3)


def _patches(image, size):
    rows, columns = (side // size for side in image.shape)
    tiles = image.reshape(rows, size, columns, size).swapaxes(1, 2)
    return tiles.reshape(-1, size, size)


def _describe(patch):
    """Returns 18 parameters of the distributions of pixels and their products."""
    shape, left, right = _fit_asymmetric(patch)
    numbers = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = _fit_asymmetric(patch * np.roll(patch, shift, (0, 1)))
        mean = (right - left) * special.gamma(2 / shape) / special.gamma(1 / shape)
        numbers += [shape, mean, left, right]
    return numbers


_SHAPES = np.arange(0.2, 10.001, 0.001)
_RATIOS = special.gamma(2 / _SHAPES) ** 2 / (
    special.gamma(1 / _SHAPES) * special.gamma(3 / _SHAPES)
)


def _fit_asymmetric(values):
    """Fits an asymmetric generalized Gaussian by its moments.

    Its density is `exp(-(|x| / width)**shape)`, with another width on either side.

    Returns:
        The shape, the width on the left, and the width on the right; NaN if there
        are no values on one side.
    """
    negative, positive = values[values < 0], values[values > 0]
    if negative.size == 0 or positive.size == 0:
        return np.nan, np.nan, np.nan
    left, right = np.sqrt(np.mean(negative**2)), np.sqrt(np.mean(positive**2))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = _SHAPES[np.argmin((_RATIOS - ratio) ** 2)]
    width = np.sqrt(special.gamma(1 / shape) / special.gamma(3 / shape))
    return shape, left * width, right * width
