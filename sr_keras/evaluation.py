"""Scores of a model on a dataset, by the protocol of the papers."""

import pathlib
import time

import numpy as np

from sr_keras import images, losses, metrics, quality
from sr_keras.inference import on_cpu, upscale


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

    def make(index, lr):
        sr = upscale(model, lr, tile=tile, self_ensemble=self_ensemble)
        expected = tuple(dataset.scale * side for side in lr.shape[:2])
        if sr.shape[:2] != expected:
            raise ValueError(
                f"{dataset.names[index]}: from {_size(lr)} pixels the model makes"
                f" {_size(sr)}; at scale {dataset.scale} that should be"
                f" {expected[0]}x{expected[1]}."
            )
        return sr

    name = getattr(model, "name", None) or getattr(model, "__name__", "model")
    result = _evaluate(make, dataset, rgb, on_image, extra)
    said = conditions(dataset, rgb, self_ensemble, extra)
    return {"model": name, "scale": dataset.scale, "conditions": said, **result}


def evaluate_images(folder, dataset, rgb=False, on_image=None, extra=()):
    """Scores images that were upscaled elsewhere as `evaluate` does a model.

    Args:
        folder: Folder with one image for each of the dataset, of the same name. Its
            format may be another, and the scale may follow the name: "baby.png" or
            "babyx4.png". Lossy formats cost quality.
        dataset: A `datasets.Pairs`.
        rgb: As in `evaluate`.
        on_image: As in `evaluate`.
        extra: As in `evaluate`.

    Returns:
        As `evaluate`, "model" the folder's name, and without "seconds".

    Raises:
        FileNotFoundError: If the folder lacks an image.
        ValueError: If there are two images for one, or one is corrupt, or its size,
            its colours or its bit depth are not those of the HR image.
    """
    folder = pathlib.Path(folder)
    files = _files_of(folder, dataset)

    def make(index, lr):
        sr, hr = images.read(files[index]), dataset.hr(index)
        sr = sr[..., None] if sr.ndim == 2 else sr[..., :3]
        expected = (*(dataset.scale * side for side in lr.shape[:2]), lr.shape[2])
        if sr.shape[2] == 3 and expected[2] == 1 and (sr == sr[..., :1]).all():
            sr = sr[..., :1]  # a grey image that was saved in colours
        if sr.shape != expected or sr.dtype != hr.dtype:
            raise ValueError(
                f"{files[index]}: is {_size(sr)} with {sr.shape[2]} channels of"
                f" {sr.dtype}, and should be {expected[0]}x{expected[1]} with"
                f" {expected[2]} of {hr.dtype}."
            )
        return sr

    result = _evaluate(make, dataset, rgb, on_image, extra)
    for row in (*result["images"], result["mean"]):
        del row["seconds"]
    said = conditions(dataset, rgb, extra=extra)
    return {"model": folder.name, "scale": dataset.scale, "conditions": said, **result}


def _files_of(folder, dataset):
    """Returns the file in a folder for each image of a dataset."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in images.SUFFIXES:
            stem = path.stem.removesuffix(f"x{dataset.scale}")
            if stem in found:
                raise ValueError(
                    f"There are two images for {stem}: {found[stem]} and {path}"
                )
            found[stem] = path
    stems = [str(name) for name in dataset.names]
    missing = [stem for stem in stems if stem not in found]
    if missing:
        raise FileNotFoundError(
            f"{folder} has no image for {', '.join(missing[:5])}"
            f"{' and others' if len(missing) > 5 else ''}; it needs one for each of"
            f" the {len(stems)} photos, of the same name."
        )
    return [found[stem] for stem in stems]


def _size(image):
    return f"{image.shape[0]}x{image.shape[1]}"


def _evaluate(make, dataset, rgb, on_image, extra):
    """Scores what a function makes of each index and LR image."""
    if not len(dataset):
        raise ValueError("There are no images to score.")
    further = {name: _extra(name)[1] for name in extra}
    rows = []
    for i, name in enumerate(dataset.names):
        lr, hr = dataset[i]
        start = time.perf_counter()
        sr = make(i, lr)
        seconds = time.perf_counter() - start
        row = {"name": name}
        try:
            row.update(score(hr, sr, dataset.scale, rgb), seconds=seconds)
            row.update(
                {k: float(f(lr, hr, sr, dataset.scale)) for k, f in further.items()}
            )
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        rows.append(row)
        if on_image is not None:
            on_image(i, lr, sr, hr, row)
    keys = [key for key in rows[0] if key != "name"]
    mean = {key: float(np.mean([row[key] for row in rows])) for key in keys}
    return {"images": rows, "mean": mean}


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
            with on_cpu():
                value = metric(hr, sr, luma=luma, border=border)[0]
            scores[f"{name}_{suffix}"] = float(value)
    return scores


def _floats(hr, sr):
    return images.to_float(hr)[None], images.to_float(sr)[None]


def _on_luma(metric):
    def score_luma(lr, hr, sr, border):
        with on_cpu():
            return metric(*_floats(hr, sr), luma=True, border=border)[0]

    return score_luma


# What `conditions` says of a further score, and its function.
_EXTRA = {
    "ms_ssim": ("MS-SSIM on luma", _on_luma(metrics.ms_ssim)),
    "hfenn": ("HFENN on luma", _on_luma(metrics.hfenn)),
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
