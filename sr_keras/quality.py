"""Scores of whole images: VIF, IFC, NIQE, LR-PSNR, and the energy of a grid.

All functions take single images, not batches: `(height, width)` or `(height, width, 1
or 3)`; uint8, uint16 or (except for LR-PSNR) float in [0, 1]. They are computed in
float64 with NumPy and SciPy, so that networks cannot be trained with them.
`sr_keras.metrics` has the scores for `compile`.

VIF, IFC and NIQE are computed from the luma (BT.601, 16-235). A grey image is its own
luma.
"""

import functools
import math
import pathlib

import numpy as np
from scipy import ndimage, special

from sr_keras import images
from sr_keras.checks import check_count_lists

_NUM_LEVELS = 4  # of the steerable pyramid of VIF and IFC, each half as large
_BLOCK = 3  # side of the neighbourhoods of VIF and IFC
_EYE = 0.4  # variance of the noise of the eye in VIF
_FLAT = 1e-3  # bits per pixel; photos have 1 to 5, a faint gradient 0.08
_PATCH = 96  # side of NIQE's patches, at its first scale


def vif(hr, sr, border=0):
    """Computes the visual information fidelity: 0 or more, 1 for equal images.

    VIF is the share of the information in `hr` that the eye can still extract from
    `sr`. Natural images are modelled in the bands of a wavelet transform, as vectors of
    3 x 3 coefficients `s * u`, where `u` is Gaussian with covariance `C` and `s` is a
    local strength. The distortion of `sr` is a local gain `g` and noise of variance
    `v`, and the eye is noise of variance `n = 0.4` (for values in 0-255). With the
    eigenvalues `e` of `C`,

        VIF = sum(log2(1 + g**2 * s**2 * e / (v + n))) / sum(log2(1 + s**2 * e / n))

    over bands, blocks and eigenvalues. More contrast without noise scores above 1.

    An `hr` with less than 0.001 bits per pixel is flat, and the ratio is undefined or
    meaningless. The score is then 1 if `sr` is flat as well, and 0 otherwise.

    As in the authors' program, the bands are the horizontal and the vertical ones of a
    steerable pyramid with four levels and six orientations. The scores equal those of
    that program if the images are the same. It takes grey images in 0-255, and papers
    often convert colours by MATLAB's `rgb2gray` to get them; here, RGB images are
    scored on the BT.601 luma in 16-235, whose contrast is lower by 219 / 255.

    Args:
        hr: The original, at least 72 x 72 pixels after the border is cut.
        sr: An image of the same shape.
        border: Number of pixels to cut from every side first, usually the scale.

    Returns:
        A float, which is finite.

    Raises:
        ValueError: If the images are too small, their shapes differ, or a float image
            has values that are not finite.

    Reference:
        [Sheikh and Bovik, 2006](https://doi.org/10.1109/TIP.2005.859378)
    """
    seen = total = 0.0
    for signal, gain, noise in _channels(hr, sr, border):
        seen += np.log2(1 + gain**2 * signal / (noise + _EYE)).sum()
        total += np.log2(1 + signal / _EYE).sum()
    flat = _FLAT * _num_pixels(hr, border)
    if total < flat:
        own = (np.log2(1 + s / _EYE).sum() for s, _, _ in _channels(sr, sr, border))
        return float(sum(own) < flat)
    return float(seen / total)


def _num_pixels(image, border):
    height, width = np.shape(image)[:2]
    return (height - 2 * border) * (width - 2 * border)


def ifc(hr, sr, border=0):
    """Computes the information fidelity criterion, in bits per pixel.

    The information that `sr` has about `hr`, in the model of `vif` but without an eye:

        IFC = sum(log2(1 + g**2 * s**2 * e / v)) / pixels

    The score is 0 or more, without an upper limit. Equal images score about 70, and
    papers report 2 to 3 for super-resolution by 4. A flat image has no information: if
    `hr` or `sr` is flat, the score is 0.

    Args:
        hr: As in `vif`.
        sr: As in `vif`.
        border: As in `vif`.

    Returns:
        A float, which is finite.

    Raises:
        ValueError: As in `vif`.

    Reference:
        [Sheikh et al., 2005](https://doi.org/10.1109/TIP.2005.859389)
    """
    bits = sum(
        np.log2(1 + gain**2 * signal / (noise + 1e-10)).sum()
        for signal, gain, noise in _channels(hr, sr, border)
    )
    return float(bits / _num_pixels(hr, border))


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
        # Gain and noise are those of a window, larger where the pixels are finer.
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
        # Windows that extend beyond the border are left out.
        cut = math.ceil((window // 2) / _BLOCK)
        inner = (..., slice(cut, -cut), slice(cut, -cut))
        signal = strength * eigenvalues[:, None, None]
        yield signal[inner], gain[inner], noise[inner]


def _luma(image, border=0):
    """Returns the luma as float64 in 0-255, rounded as in MATLAB if it was integer."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(
            "An image must have the shape (height, width[, 1 or 3])."
            f" Received: {image.shape}"
        )
    image = image[..., None] if image.ndim == 2 else image
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError("An image must be finite. Received: NaN or infinite values")
    image = images.to_float(images.luma(images.crop_border(image, border)))
    return image[..., 0].astype("float64") * 255


def _bands(image):
    """Yields the horizontal and vertical bands of a steerable pyramid, finest first.

    The filters are `sp5Filters` of matlabPyrTools (MIT licence), which the authors of
    VIF use: six directions per level, of which two are needed, and half the size of
    the previous level, rounded up.

    Reference:
        [Simoncelli and Freeman, 1995](https://doi.org/10.1109/ICIP.1995.537667)
    """
    filters = _read_npz("sp5_filters.npz")
    image = _filter(image, filters["before"])
    for level in range(_NUM_LEVELS):
        for name in ("first", "second"):
            yield _filter(image, filters[name])
        if level < _NUM_LEVELS - 1:
            image = _filter(image, filters["down"])[::2, ::2]


def _filter(image, kernel):
    """Correlates an image, continued by its mirror image, with a square kernel."""
    from scipy.signal import oaconvolve  # takes half a second

    padded = np.pad(image, len(kernel) // 2, "reflect")
    return oaconvolve(padded, kernel[::-1, ::-1], "valid")


@functools.cache
def _read_npz(name):
    with np.load(pathlib.Path(__file__).parent / name) as file:
        return dict(file)


def lr_psnr(lr, sr):
    """Computes the PSNR between `lr` and `sr` scaled down again, in dB.

    `sr` is scaled down by MATLAB's antialiased bicubic, and the PSNR is computed from
    all channels and pixels, in the bit depth of `lr`. A network may invent detail, but
    it should not change what was seen: the NTIRE challenges require 45 dB. If `lr` was
    not made by bicubic downscaling, that limits the score.

    Args:
        lr: `(height, width)` or `(height, width, 1 or 3)`, uint8 or uint16.
        sr: `scale` times as large, of the same dtype.

    Returns:
        A float, at most 100, which is the score of equal images.

    Raises:
        ValueError: If the size of `sr` is not a multiple of that of `lr`, or the dtypes
            differ or are not supported.

    Reference:
        [Lugmayr et al., 2020](https://arxiv.org/abs/2006.14200)
    """
    lr, sr = np.asarray(lr), np.asarray(sr)
    if lr.dtype not in (np.uint8, np.uint16) or sr.dtype != lr.dtype:
        raise ValueError(
            "`lr` and `sr` must both be uint8 or both be uint16."
            f" Received: {lr.dtype} and {sr.dtype}"
        )
    if lr.size == 0:
        raise ValueError(f"`lr` must have pixels. Received: {lr.shape}")
    scale = sr.shape[0] // lr.shape[0]
    if sr.shape != (scale * lr.shape[0], scale * lr.shape[1], *lr.shape[2:]):
        raise ValueError(
            "The sides of `sr` must be an integer multiple of those of `lr`."
            f" Received: {lr.shape} and {sr.shape}"
        )
    difference = images.resize(sr, lr.shape[:2]).astype("float64") - lr
    mse = np.mean(difference**2) / np.iinfo(lr.dtype).max ** 2
    return float(-10 * np.log10(max(mse, 1e-10)))


def grid_energy(difference, periods=(2, 4)):
    """Computes the share of the variance of a difference that is a fixed grid.

    Networks that upscale by pixel shuffle or transposed convolution can add a pattern
    that repeats with the period of their upscaling, whatever the image shows. To
    measure it, subtract the result of a control without the pattern: the same network
    before its adversarial training, or the original. For the period `p`, the mean is
    taken over all pixels at the same position in the cells of `p` x `p` pixels, and
    the variance of these `p * p` means is divided by the variance of all pixels. A
    pattern of period 2 also counts for the period 4. Of white noise, the share is
    about `p * p` divided by the number of pixels.

    Args:
        difference: `(height, width)` or `(height, width, channels)`, float or signed
            integers. Rows and columns at the bottom and the right that fill no
            cell are ignored.
        periods: Periods of the grid in pixels.

    Returns:
        A dict of period to share, each in [0, 1], over all channels. A difference
        without variance has the share 0.

    Raises:
        ValueError: If the difference has another shape, an unsigned dtype (in which
            negative differences wrap around) or values that are not finite, or is
            smaller than a cell.
    """
    check_count_lists(periods=tuple(periods))
    difference = np.asarray(difference)
    if difference.ndim not in (2, 3):
        raise ValueError(
            "`difference` must have the shape (height, width[, channels])."
            f" Received: {difference.shape}"
        )
    if difference.dtype.kind not in "fi":
        raise ValueError(
            "`difference` must be float or signed integers."
            f" Received: {difference.dtype}"
        )
    if not np.isfinite(difference).all():
        raise ValueError(
            "`difference` must be finite. Received: NaN or infinite values"
        )
    if min(difference.shape[:2]) < max(periods):
        raise ValueError(
            f"`difference` must have at least {max(periods)}x{max(periods)} pixels."
            f" Received: {difference.shape}"
        )
    difference = difference.reshape(*difference.shape[:2], -1).astype("float64")
    shares = {}
    for period in map(int, periods):
        pixels = images.crop_to_multiple(difference, period)
        rows, columns = (side // period for side in pixels.shape[:2])
        cells = pixels.reshape(rows, period, columns, period, -1)
        variance = pixels.var(axis=(0, 1)).sum()
        repeated = cells.mean(axis=(0, 2)).var(axis=(0, 1)).sum()
        is_flat = variance <= 1e-20 * np.mean(pixels**2)  # up to float rounding
        shares[period] = 0.0 if is_flat else float(repeated / variance)
    return shares


def niqe(image, border=0, model=None):
    """Computes NIQE: how unnatural an image is, without an original. Lower is better.

    Natural photos, divided by their local contrast, are nearly Gaussian noise whose
    neighbours depend slightly on each other. Each patch of 96 x 96 pixels is described
    by 36 numbers, which are the parameters of the distributions of its pixels and of
    products of neighbours at two scales. With the mean `m` and covariance `C` of these
    numbers over the patches of the image (except flat ones), and `m0` and `C0` over
    those of good photos,

        NIQE = sqrt((m - m0)' pinv((C + C0) / 2) (m - m0))

    Scores that were measured here can be compared with each other, but not with those
    that papers print. The features are those of the paper, and what differs is the
    model of good photos. The authors fitted theirs to 125 photos that are not ours to
    distribute; this one is fitted to the 200 training photos of BSDS500. Which patches
    are fitted matters most. For five photos with distortions of TID2013 (I03, I04,
    I06, I08 and I19), where MATLAB's `niqe` gives

        7.20  2.99  3.17  3.71  7.69

    the scores of models of BSDS500 on MATLAB's `rgb2gray` are

        17.69  3.76  2.99  3.31  9.33    sharp patches, as in the paper: the default
        13.19  3.35  2.83  3.26  8.65    `fit_niqe(photos, sharpness=0.5)`
         6.69  3.04  2.77  3.46  7.53    all patches, `sharpness=0`, as in `fitniqe`

    The first model has seen no blurred patch and puts one, such as all of I03, far
    away. The luma matters less: on the BT.601 luma in 16-235, which is used here for
    RGB images, the default gives 17.11, 3.76, 2.99, 3.22 and 9.58.

    Args:
        image: At least two patches of 96 x 96 pixels after the border is cut. Pixels at
            the bottom and the right that fill no patch are ignored. Floats are rounded
            to 8 bits.
        border: Number of pixels to cut from every side first, usually the scale.
        model: What `fit_niqe` returned. None for BSDS500.

    Returns:
        A float, which is finite.

    Raises:
        ValueError: If fewer than two patches are left that are not flat (NIQE is not
            defined for a flat image), or if the image has another shape or values that
            are not finite.

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
    model = _read_npz("niqe_bsds500.npz") if model is None else model
    difference = features.mean(0) - model["mean"]
    covariance = (np.cov(features, rowvar=False) + model["covariance"]) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))


def fit_niqe(photos, sharpness=0.75):
    """Fits the model of natural photos that `niqe` compares with.

    The file that comes with the package was made by

        photos = sr.datasets.folder("data/bsds500/train", scale=1)
        model = sr.quality.fit_niqe(photos.hr(i) for i in range(len(photos)))
        numpy.savez("sr_keras/niqe_bsds500.npz", **model)

    Args:
        photos: Iterable of images.
        sharpness: Only those patches of a photo are used whose mean local standard
            deviation is at least this share of that of its sharpest patch: a number in
            [0, 1]. The default is the paper's; 0 uses all patches, as MATLAB's
            `fitniqe` does by default, and then scores are near those of MATLAB's
            `niqe`, see `niqe`.

    Returns:
        {"mean": `(36,)`, "covariance": `(36, 36)`}, float64 arrays.

    Raises:
        ValueError: If there are fewer than 37 such patches, too few for a covariance,
            or `sharpness` is not in [0, 1].
    """
    if not 0 <= sharpness <= 1:
        raise ValueError(
            f"`sharpness` must be in [0, 1]. Received: sharpness={sharpness!r}"
        )
    chosen = []
    for photo in photos:
        features, found = _patch_features(_luma(photo))
        if len(features):
            chosen.append(features[found >= sharpness * found.max()])
    features = np.concatenate(chosen) if chosen else np.empty((0, 36))
    if len(features) < 37:
        raise ValueError(
            "NIQE needs at least 37 sharp patches of 96x96 pixels."
            f" Received: {len(features)}"
        )
    return {"mean": features.mean(0), "covariance": np.cov(features, rowvar=False)}


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
        luma = images.resize(luma, (len(luma) // 2, luma.shape[1] // 2))
    features = np.concatenate(scales, axis=1)
    is_known = np.isfinite(features).all(1)
    return features[is_known], sharpness[is_known]


def _blur(image):
    # A window of 7 x 7 pixels.
    return ndimage.gaussian_filter(image, 7 / 6, mode="nearest", radius=3)


def _patches(image, size):
    rows, columns = (side // size for side in image.shape)
    tiles = image.reshape(rows, size, columns, size).swapaxes(1, 2)
    return tiles.reshape(-1, size, size)


def _describe(patch):
    """Returns 18 parameters of the distributions of pixels and of their products."""
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

    The density is `exp(-(|x| / width)**shape)`, with a different width on each side.

    Returns:
        The shape, the width on the left, and the width on the right. All are NaN if
        there are no values on one side.
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
