"""Scores of a model on a dataset, by the protocol of the papers."""

import csv
import io
import os
import pathlib
import re
import time

import keras
import numpy as np

from sr_keras import (
    datasets,
    files,
    images,
    losses,
    lpips,
    metrics,
    models,
    quality,
    tiles,
)
from sr_keras.checks import check_name, check_scale
from sr_keras.inference import upscale
from sr_keras.precision import on_cpu

# Share of values at 0 or the maximum from which the range of outputs is checked.
_SATURATED = 0.9
# What may follow the name of a photo in the name of a result: "x4", "_SwinIR", ...
_ENDING = re.compile(r"x\d|[_.\-+ (\[]")


def evaluate(
    model,
    data,
    rgb=False,
    tile=None,
    self_ensemble=False,
    on_image=None,
    extra=(),
    scale=None,
):
    """Upscales every LR image of a dataset and compares the result with the HR image.

    PSNR and SSIM are computed on luma (BT.601, 16-235) of outputs rounded to
    integers, without the outermost `scale` pixels, and averaged over the
    images, which is the protocol of the papers. A grey image is scored on its own
    values.

        result = sr.evaluate("edsr-x4-bsds", "data/benchmark/Set5")
        sr.evaluation.write_csv("scores.csv", result)

    Args:
        model: A name or path that `models.load` accepts, a `keras.Model`, or any
            callable that `inference.upscale` accepts.
        data: A `datasets.Pairs`, or a name or folder that `datasets.open_data` accepts
            (of the named datasets, the validation split is used).
        rgb: Whether to score the RGB values as well. These scores are lower; papers
            on perceptual quality and NTIRE challenges report them.
        tile: See `inference.upscale`.
        self_ensemble: See `inference.upscale`.
        on_image: None, or a function that is called with the
            `(index, lr, sr, hr, scores)` of each image.
        extra: Name or names of additional scores: "ms_ssim", "hfenn", "vif", "ifc",
            "niqe", "lr_psnr", "lpips" (or "lpips:squeeze"), and "vgg", or "vgg:LAYER"
            for another layer than that of `metrics.VGGDistance`. The conditions say
            how each is measured.
        scale: Upscaling factor. None takes that of `data` if it is a `Pairs`, and that
            of the model otherwise.

    Returns:
        A dict: "model", "scale", "conditions" (a sentence), "images" (a list of
        {"name", "psnr_y", "ssim_y", "seconds"}, with `rgb` also "psnr_rgb" and
        "ssim_rgb", and the `extra` scores under their names), and "mean" of all these.

        "seconds" is the wall time of `inference.upscale` without compilation: of a
        `keras.Model` or a `tf.function`, a call during which it was traced is repeated
        and only the repetition is timed. On backends that do not tell, this is done
        for the first image of each size. Of any other callable, every call is timed,
        also the first.

    Raises:
        FileNotFoundError: If there is no such model or folder.
        ValueError: If the output of the model is not `scale` times larger than its
            input or is not in [0, 1] (such as uint8, or floats in [0, 255]), there is
            no such `extra` score, or an image is too small or too flat for a score.
    """
    if scale is not None:
        check_scale(scale)
    name = getattr(model, "name", None) or getattr(model, "__name__", "model")
    if isinstance(model, (str, os.PathLike)):
        name = str(model)
        model = models.load(model, getattr(data, "scale", None) or scale)
    dataset = _open(data, model, scale)

    def make(index, lr):
        sr, seconds = timer(lr)
        expected = tuple(dataset.scale * side for side in lr.shape[:2])
        if sr.shape[:2] != expected:
            raise ValueError(
                f"{dataset.names[index]}: the model upscales {_size(lr)} pixels to"
                f" {_size(sr)}. At scale {dataset.scale} the result must be"
                f" {expected[0]}x{expected[1]}."
            )
        _check_range(model, lr, sr, dataset, index, tile)
        return sr, seconds

    timer = _Timer(model, tile=tile, self_ensemble=self_ensemble)
    result = _evaluate(make, dataset, rgb, on_image, extra)
    text = conditions(dataset, rgb, self_ensemble, extra)
    return {"model": name, "scale": dataset.scale, "conditions": text, **result}


def evaluate_images(folder, data, rgb=False, on_image=None, extra=(), scale=None):
    """Scores images that were upscaled elsewhere, in the same way as `evaluate`.

    Args:
        folder: Folder with one image for each of the dataset. The name of a file is
            that of the HR image, or begins with it, as in "baby.png", "babyx4.png",
            "baby_SwinIR.png" and "babyx4_out.png". Its format may differ from that of
            the HR image. Lossy formats lower the scores.
        data: A `datasets.Pairs`, or a name or folder that `datasets.open_data` accepts.
        rgb: As in `evaluate`.
        on_image: As in `evaluate`.
        extra: As in `evaluate`.
        scale: Upscaling factor. It is required if `data` is not a `Pairs`.

    Returns:
        As for `evaluate`, where "model" is the name of the folder, and without
        "seconds".

    Raises:
        FileNotFoundError: If the folder does not exist, or lacks images. The message
            names them.
        ValueError: If several images match one name (the message names them), or an
            image is corrupt or differs from the HR image in size, colours or bit depth.
    """
    folder = pathlib.Path(folder)
    dataset = _open(data, None, scale)
    paths = _match(folder, [str(name) for name in dataset.names], dataset.scale)

    def make(index, lr):
        sr, hr = images.read(paths[index]), dataset.hr(index)
        sr = sr[..., None] if sr.ndim == 2 else sr[..., :3]
        expected = (*(dataset.scale * side for side in lr.shape[:2]), lr.shape[2])
        if sr.shape[2] == 3 and expected[2] == 1 and (sr == sr[..., :1]).all():
            sr = sr[..., :1]  # a grey image that was saved in colour
        if sr.shape != expected or sr.dtype != hr.dtype:
            raise ValueError(
                f"{paths[index]} must be {expected[0]}x{expected[1]} with"
                f" {expected[2]} channels of {hr.dtype}. Received: {_size(sr)} with"
                f" {sr.shape[2]} channels of {sr.dtype}"
            )
        return sr, None

    result = _evaluate(make, dataset, rgb, on_image, extra)
    text = conditions(dataset, rgb, extra=extra)
    return {"model": folder.name, "scale": dataset.scale, "conditions": text, **result}


def write_csv(path, *results):
    """Writes scores as a table with a row for each image and each mean.

    Args:
        path: File to write. Its columns are "model", "scale", "name" and the scores.
            The name of a mean is "mean".
        *results: What `evaluate` or `evaluate_images` returned. A score that some of
            them lack is left empty there.
    """
    rows = [
        {"model": result["model"], "scale": result["scale"], **scores}
        for result in results
        for scores in (*result["images"], {"name": "mean", **result["mean"]})
    ]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, text.getvalue())


def _open(data, model, scale):
    """Returns the dataset that `data` is or names."""
    if isinstance(data, (str, os.PathLike)):
        if scale is None:
            if model is None:
                raise ValueError(
                    "`scale` is required if `data` is not a `datasets.Pairs`."
                    f" Received: data={str(data)!r}, scale=None"
                )
            scale = models.scale_of(model)
        return datasets.open_data(str(data), scale, "validation")
    if not hasattr(data, "names") or not hasattr(data, "scale"):
        raise ValueError(
            "`data` must be a `datasets.Pairs`, the name of a dataset or the path of a"
            f" folder. Received: {type(data).__name__}"
        )
    if scale is not None and scale != data.scale:
        raise ValueError(
            f"`scale` must be that of `data`, {data.scale}. Received: scale={scale}"
        )
    return data


class _Timer:
    """Upscales images and measures the time, without that of compilation."""

    def __init__(self, model, **options):
        self.model = model
        self.options = options
        self.sizes = set()

    def __call__(self, lr):
        before = _num_traces(self.model)
        sr, seconds = self._timed(lr)
        after = _num_traces(self.model)
        if after is not None:
            was_compiled = after != before
        else:
            was_compiled = isinstance(self.model, keras.Model)
            was_compiled = was_compiled and lr.shape not in self.sizes
        self.sizes.add(lr.shape)
        return self._timed(lr) if was_compiled else (sr, seconds)

    def _timed(self, lr):
        start = time.perf_counter()
        sr = upscale(self.model, lr, **self.options)
        return sr, time.perf_counter() - start


def _num_traces(model):
    """Returns how often TensorFlow traced a model, or None if that is not known."""
    function = getattr(model, "predict_function", None) or model
    count = getattr(function, "experimental_get_tracing_count", None)
    return None if count is None else count()


def _check_range(model, lr, sr, dataset, index, tile):
    """Raises a ValueError if a model returns values in [0, 255].

    `upscale` clips outputs to [0, 1], so that such a model gives images that are nearly
    black and white. Then the model is called again, without clipping.
    """
    is_extreme = (sr == 0) | (sr == np.iinfo(sr.dtype).max)
    if np.mean(is_extreme) < _SATURATED:
        return
    part = images.to_float(lr if not tile else lr[:tile, :tile])[None]
    shape = getattr(model, "input_shape", None)
    if shape is not None and shape[-1] == 1:
        part = images.luma(part)
    elif part.shape[-1] == 1:
        part = np.repeat(part, 3, axis=-1)
    raw = keras.ops.convert_to_numpy(model(part))
    if raw.dtype.kind in "biu":
        received = raw.dtype.name
    else:
        raw = raw.astype("float32")
        height, width = raw.shape[1:3]
        hr = dataset.hr(index)[:height, :width]
        grey = images.to_float(hr).mean(axis=-1)
        error = np.mean((raw[0].mean(axis=-1) / 255 - grey) ** 2)
        # The image is recognizable if its values are divided by 255.
        if not (raw.max() > tiles.IMPLAUSIBLE and error < np.var(grey) + 0.01):
            return
        received = f"floats from {raw.min():g} to {raw.max():g}"
    raise ValueError(
        f"{dataset.names[index]}: the model must return floats in [0, 1]."
        f" Received: {received}"
    )


def _match(folder, names, scale):
    """Returns the file in a folder that belongs to each name."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}")
    matches = {name: [] for name in names}
    exact = {name: [] for name in names}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in relative.parts)
        if is_hidden or path.suffix.lower() not in images.SUFFIXES:
            continue
        stem = relative.with_suffix("").as_posix()
        # The longest name wins: "a_b_out" belongs to "a_b", not to "a".
        owners = [name for name in names if _begins(stem, name)]
        if owners:
            owner = max(owners, key=len)
            is_exact = stem in (owner, f"{owner}x{scale}")
            (exact if is_exact else matches)[owner].append(path)
    found = {name: exact[name] or matches[name] for name in names}

    several = [name for name in names if len(found[name]) > 1]
    if several:
        lines = "; ".join(
            f"{name}: {', '.join(path.name for path in found[name])}"
            for name in several[:5]
        )
        raise ValueError(
            f"{folder} must contain one image for each of {len(names)} photos."
            f" Received several for {lines}{_and_more(several)}"
        )
    missing = [name for name in names if not found[name]]
    if missing:
        raise FileNotFoundError(
            f"{folder} has no image for {', '.join(missing[:5])}{_and_more(missing)}."
            f" It must contain one image for each of {len(names)} photos, whose name is"
            " that of the photo or begins with it, such as"
            f" {missing[0]}.png or {missing[0]}_mine.png."
        )
    return [found[name][0] for name in names]


def _begins(stem, name):
    return stem == name or (
        stem.startswith(name) and _ENDING.match(stem[len(name) :]) is not None
    )


def _and_more(names):
    return f" and {len(names) - 5} more" if len(names) > 5 else ""


def _size(image):
    return f"{image.shape[0]}x{image.shape[1]}"


def _evaluate(make, dataset, rgb, on_image, extra):
    """Scores the `(sr, seconds)` that a function makes of each index and LR image."""
    if not len(dataset):
        raise ValueError("The dataset must contain images. Received: none")
    additional = {name: function for name, (_, function) in _extras(extra).items()}
    rows = []
    for i, name in enumerate(dataset.names):
        lr, hr = dataset[i]
        sr, seconds = make(i, lr)
        row = {"name": name}
        try:
            row.update(score(hr, sr, dataset.scale, rgb))
            if seconds is not None:
                row["seconds"] = seconds
            for key, function in additional.items():
                row[key] = float(function(lr, hr, sr, dataset.scale))
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
        border: Number of pixels to cut from every side, usually the scale.
        rgb: Whether to score the RGB values as well.

    Returns:
        {"psnr_y", "ssim_y"}, in dB and in [-1, 1]; with `rgb` also "psnr_rgb" and
        "ssim_rgb".

    Raises:
        ValueError: If the shapes differ, there are neither 1 nor 3 channels, or fewer
            than 11 x 11 pixels are left after `border` is cut.
    """
    hr, sr = _floats(hr, sr)
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
    def measure(lr, hr, sr, border):
        with on_cpu():
            return metric(*_floats(hr, sr), luma=True, border=border)[0]

    return measure


def _on_rgb(distance):
    def measure(lr, hr, sr, border):
        pair = (images.crop_border(image, border) for image in _floats(hr, sr))
        return np.mean(keras.ops.convert_to_numpy(distance(*pair)))

    return measure


# What `conditions` says about an additional score, and its function.
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


def _extras(names):
    """Returns what `_extra` returns for each name; a string is a single name."""
    names = [names] if isinstance(names, str) else names
    return {name: _extra(name) for name in names}


def _extra(name):
    """Returns what `conditions` says about an additional score, and its function."""
    if name in _EXTRA:
        return _EXTRA[name]
    kind, _, detail = str(name).partition(":")
    if kind == "lpips":
        net = detail or "alex"
        return f"LPIPS v0.1 ({net}) on RGB", _on_rgb(lpips.Distance(net))
    if kind == "vgg":
        layer = detail or metrics.VGG_LAYER
        text = f"mean squared error of the features of {layer}"
        return text, _on_rgb(losses.Content(layer))
    check_name("an extra score", name, [*_EXTRA, "lpips", "vgg", "vgg:LAYER"])


def conditions(dataset, rgb=False, self_ensemble=False, extra=()):
    """Describes in a sentence how `evaluate` measures.

    Every score that is printed needs it.

    Args:
        dataset: The `datasets.Pairs` that is scored.
        rgb: As in `evaluate`.
        self_ensemble: As in `evaluate`.
        extra: As in `evaluate`.

    Returns:
        The sentence, without a full stop.

    Raises:
        ValueError: If there is no such `extra` score.
    """
    lr = "read from files"
    if dataset.degradation is not None:
        lr = f"made by {dataset.degradation}"
    text = (
        "PSNR (dB) and SSIM on luma (BT.601, 16-235)"
        f"{' and on RGB' if rgb else ''}, {dataset.scale} border pixels cut, mean over"
        f" images, outputs rounded to integers, LR images {lr}"
    )
    text += ", x8 self-ensemble" if self_ensemble else ""
    return "; ".join([text, *(each for each, _ in _extras(extra).values())])
