"""Scores of a model on a dataset, by the protocol of the papers."""

import time

import numpy as np

from sr_keras import images, losses, metrics, quality
from sr_keras.inference import upscale


def evaluate(
    model,
    dataset,
    rgb=False,
    tile=None,
    self_ensemble=False,
    on_image=None,
    extra=(),
):
    """Upscales every LR image of a dataset and compares with the HR image.

    PSNR and SSIM are computed on luma (BT.601, 16-235) of outputs rounded to
    integers, without the outermost `scale` pixels, and averaged over the
    images: the papers' protocol. A grey image is scored on its own values.

    Args:
        model: A `keras.Model`, or any callable that `inference.upscale` takes.
        dataset: A `datasets.Pairs`.
        rgb: Whether to score the RGB values too, which gives lower numbers; papers
            on perceptual quality and NTIRE challenges report those.
        tile: See `inference.upscale`.
        self_ensemble: See `inference.upscale`.
        on_image: None, or a function that is called with each image's
            `(index, lr, sr, hr, scores)`.
        extra: Names of further scores: "ms_ssim", "hfenn", "vif", "ifc", "niqe",
            "lr_psnr" and "vgg", or "vgg:LAYER" for another layer than that of
            `metrics.VGGDistance`. The conditions say how each is measured.

    Returns:
        A dict: "model", "scale", "conditions" (a sentence), "images" (a list of
        {"name", "psnr_y", "ssim_y", "seconds"}, with `rgb` also "psnr_rgb" and
        "ssim_rgb", and the `extra` scores under their names), and "mean" of all these.

    Raises:
        ValueError: If the model does not enlarge by `dataset.scale`, there is no such
            `extra` score, or an image is too small for it.
    """
    scale = dataset.scale
    further = {name: _extra(name)[1] for name in extra}
    rows = []
    for i, name in enumerate(dataset.names):
        lr, hr = dataset[i]
        start = time.perf_counter()
        sr = upscale(model, lr, tile=tile, self_ensemble=self_ensemble)
        seconds = time.perf_counter() - start
        if sr.shape != hr.shape:
            raise ValueError(
                f"{name}: from {lr.shape[0]}x{lr.shape[1]} pixels the model makes"
                f" {sr.shape[0]}x{sr.shape[1]}; at scale {scale} that should be"
                f" {hr.shape[0]}x{hr.shape[1]}."
            )
        row = {"name": name, **score(hr, sr, scale, rgb), "seconds": seconds}
        try:
            row.update({k: float(f(lr, hr, sr, scale)) for k, f in further.items()})
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        rows.append(row)
        if on_image is not None:
            on_image(i, lr, sr, hr, row)
    return {
        "model": getattr(model, "name", None) or getattr(model, "__name__", "model"),
        "scale": scale,
        "conditions": conditions(dataset, rgb, self_ensemble, extra),
        "images": rows,
        "mean": {
            key: float(np.mean([row[key] for row in rows]))
            for key in rows[0]
            if key != "name"
        },
    }


def score(hr, sr, border, rgb=False):
    """Compares two integer images.

    Args:
        hr: `(height, width, channels)`, 1 or 3 channels, uint8 or uint16.
        sr: The same.
        border: Pixels to cut from every side, as a rule the scale.
        rgb: Whether to score the RGB values too.

    Returns:
        {"psnr_y", "ssim_y"}, in dB and in [-1, 1]; with `rgb` also "psnr_rgb" and
        "ssim_rgb".
    """
    hr, sr = images.to_float(hr)[None], images.to_float(sr)[None]
    scores = {}
    for suffix, luma in (("y", True), ("rgb", False))[: 1 + rgb]:
        for name, metric in (("psnr", metrics.psnr), ("ssim", metrics.ssim)):
            scores[f"{name}_{suffix}"] = float(
                metric(hr, sr, luma=luma, border=border)[0]
            )
    return scores


def _floats(hr, sr):
    return images.to_float(hr)[None], images.to_float(sr)[None]


# What `conditions` says of a further score, and its function.
_EXTRA = {
    "ms_ssim": (
        "MS-SSIM on luma",
        lambda lr, hr, sr, border: metrics.ms_ssim(*_floats(hr, sr), True, border)[0],
    ),
    "hfenn": (
        "HFENN on luma",
        lambda lr, hr, sr, border: metrics.hfenn(*_floats(hr, sr), True, border)[0],
    ),
    "vif": ("VIF on luma", lambda lr, hr, sr, border: quality.vif(hr, sr, border)),
    "ifc": (
        "IFC (bits per pixel) on luma",
        lambda lr, hr, sr, border: quality.ifc(hr, sr, border),
    ),
    "niqe": (
        "NIQE on luma, fitted to the training photos of BSDS500",
        lambda lr, hr, sr, border: quality.niqe(sr, border),
    ),
    "lr_psnr": (
        "LR-PSNR (dB) after bicubic downscaling, all channels, no border cut",
        lambda lr, hr, sr, border: quality.lr_psnr(lr, sr),
    ),
}


def _extra(name):
    """Returns what `conditions` says of a further score, and its function."""
    if name in _EXTRA:
        return _EXTRA[name]
    kind, _, layer = name.partition(":")
    if kind != "vgg":
        raise ValueError(
            f'An extra score must be one of {", ".join(_EXTRA)}, "vgg" or "vgg:LAYER".'
            f" Received: {name!r}"
        )
    layer = layer or metrics.VGG_LAYER
    distance = losses.Content(layer)
    return (
        f"mean squared error of the features of {layer}",
        lambda lr, hr, sr, border: distance(
            *(images.crop_border(image, border) for image in _floats(hr, sr))
        ),
    )


def conditions(dataset, rgb=False, self_ensemble=False, extra=()):
    """Says in a sentence how `evaluate` measures; every printed score needs it."""
    lr = "read from files"
    if dataset.degradation is not None:
        lr = f"made by {dataset.degradation}"
    text = (
        "PSNR (dB) and SSIM on luma (BT.601, 16-235)"
        f"{' and on RGB' if rgb else ''}, {dataset.scale} border pixels cut, mean over"
        f" images, outputs rounded to integers, LR images {lr}"
    )
    text += ", x8 self-ensemble" if self_ensemble else ""
    return "; ".join([text, *(_extra(name)[0] for name in extra)])
