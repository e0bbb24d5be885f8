"""Figures for notebooks, lectures and READMEs.

Every function returns a matplotlib Figure. A notebook shows it if it is the
last expression of a cell; `fig.savefig("name.png")` writes it. The figures
are closed for pyplot: else a notebook would show them twice, and a callback
that draws one per epoch would fill the memory.
"""

import base64
import hashlib
import html
import io
import math
import numbers
import string
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects, ticker
from PIL import Image

# Okabe and Ito's colours, which colour-blind readers tell apart.
_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_MARKERS = ["o", "s", "^", "D", "v"]
_FRAME = "#D55E00"

_DPI = 100
# Lengths in figures of images, in screen pixels.
_GAP = 10
_LINE = 17  # height of a line of text
_LETTER = 8  # mean width of a letter
_NARROWEST = 140  # a caption's room: "28.42 dB / 0.810" fits
_MIN_ZOOM = 3  # screen pixels to an HR pixel of a crop

# What a score is called on an axis, and whether more of it is better.
_SCORES = {
    "psnr": ("PSNR", True),
    "ssim": ("SSIM", True),
    "mos": ("mean opinion score", True),
    "niqe": ("NIQE", False),
    "lpips": ("LPIPS", False),
    "perceptual_index": ("perceptual index", False),
}


def comparison(images, scores=None, crop=None, columns=None, title=None, whole=True):
    """Draws one photo whole, and the same zoomed crop of every image.

    The last of the largest images is the one shown whole, with a rectangle
    where the crop is: put HR last. Crops are drawn with a whole number of
    screen pixels to an HR pixel, at least three, and no interpolation.

    Args:
        images: Dict of title to image, or list of (title, image). An image
            is `(height, width)` or `(height, width, channels)` with 1, 3 or
            4 channels, uint8, uint16 or float in [0, 1]; floats are clipped.
            The LR image is a whole number of times smaller than the largest
            (rounded up or down), and drawn as large with larger pixels.
        scores: Dict of title to a PSNR in dB, a pair (PSNR in dB, SSIM) or a
            text, written below the title. Say in `title` how it was measured.
        crop: (top, left, height, width) in HR pixels. None takes the square
            with the most detail where the full-size images differ most.
        columns: Crops in a row. None chooses.
        title: Text above the figure.
        whole: Whether to draw the whole photo, too.

    Returns:
        A matplotlib Figure. Its first axes show the whole photo (with `whole`),
        the others the crops, in the order of `images`.

    Raises:
        ValueError: If there is no image, if one is not an image or does not
            fit the largest, if the crop is not inside, if a score belongs to
            no image, or if `columns` is below 1.
    """
    images = _named(images)
    name, photo = max(reversed(images), key=lambda item: item[1][..., 0].size)
    scales = [_scale(label, image, name, photo) for label, image in images]
    if crop is None:
        crop = _telling_window(images, scales)
    top, left, height, width = crop = _checked_crop(crop, photo)
    full_height, full_width = photo.shape[:2]
    captions = _captions([label for label, _ in images], scores or {})

    # A wide photo stands above its crops, a tall or square one beside them.
    wide = full_width > 1.2 * full_height or not whole
    if columns is None:
        columns = len(images) if wide else round(math.sqrt(len(images)))
        columns = min(columns, max(1, 900 // (_MIN_ZOOM * width)))
        columns = math.ceil(len(images) / math.ceil(len(images) / columns))
    elif columns < 1:
        raise ValueError(f"`columns` must be at least 1. Received: {columns}")
    columns = min(columns, len(images))
    target = min(360, 800 // columns) if wide else min(240, 400 // columns)
    zoom = max(_MIN_ZOOM, target // max(height, width))
    cell = max(zoom * width, _NARROWEST)
    captions = [_wrap(caption, cell) for caption in captions]
    room = max(_text_height(caption) for caption in captions)
    row_height = room + zoom * height + _GAP

    if wide:
        photo_cell = columns * (cell + _GAP) - _GAP
        photo_width = min(photo_cell, 540 * full_width // full_height)
        photo_height = photo_width * full_height // full_width
    else:
        rows = math.ceil(len(images) / columns)
        photo_height = min(640, rows * row_height - _GAP - room)
        photo_width = photo_height * full_width // full_height
        photo_cell = max(photo_width, _NARROWEST)
    caption = _wrap(f"{name}, {full_width} x {full_height}", photo_cell)
    if not whole:
        grid_left, grid_top = 0, 0
    elif wide:
        photo_top = _text_height(caption)
        grid_left, grid_top = 0, photo_top + photo_height + _GAP
    else:
        photo_top = max(room, _text_height(caption))
        grid_left, grid_top = photo_cell + 2 * _GAP, photo_top - room
    panels = []
    if whole:
        box = (photo_cell / 2, photo_top, photo_width, photo_height)
        panels = [(box, caption, photo, 1, (0, 0, full_height, full_width))]
    for i, (_, image) in enumerate(images):
        row, column = divmod(i, columns)
        centre = grid_left + column * (cell + _GAP) + cell / 2
        box = (centre, grid_top + row * row_height + room, zoom * width, zoom * height)
        panels.append((box, captions[i], image, scales[i], crop))
    fig = _draw(panels, title)
    if not whole:
        return fig

    # No whole number of screen pixels to a pixel here: smooth beats uneven.
    fig.axes[0].images[0].set_interpolation("antialiased")
    frame = plt.Rectangle((left, top), width, height, fill=False)
    frame.set(edgecolor=_FRAME, linewidth=1.8)
    frame.set_path_effects([patheffects.withStroke(linewidth=4, foreground="white")])
    fig.axes[0].add_patch(frame)
    for ax in fig.axes[1:]:
        ax.spines[:].set(color=_FRAME, linewidth=1.8)
    return fig


def degradations(hr, variants, crop=None, title=None):
    """Draws a photo beside what degradations of growing strength make of it.

    Args:
        hr: The photo, an image as in `comparison`.
        variants: Dict of a degradation's name to an image, to a list of
            images, or to a dict of strength ("sigma 5") to image. With a list
            or a dict every degradation gets a row, which begins with `hr`.
            Images may be a whole number of times smaller than `hr`.
        crop: (top, left, height, width) of `hr`; None draws whole photos,
            which hide noise and JPEG's blocks if they are large.
        title: Text above the figure.

    Returns:
        A matplotlib Figure with one axes to an image, row by row.

    Raises:
        ValueError: If there is no variant, if one is empty, not an image or
            does not fit `hr`, or if the crop is not inside `hr`.
    """
    rows = []
    for name, images in variants.items():
        if isinstance(images, dict):
            row = [(f"{name}, {strength}", image) for strength, image in images.items()]
        elif isinstance(images, list | tuple):
            total = len(images)
            row = [
                (f"{name} {i + 1} of {total}", image) for i, image in enumerate(images)
            ]
        else:
            row = [(name, images)]
        if not row:
            raise ValueError(f"`variants` has no image for '{name}'")
        rows.append(row)
    if not rows:
        raise ValueError("`variants` must hold at least one degradation")
    hr = _to_uint8("HR", hr)
    if crop is None:
        crop = (0, 0, *hr.shape[:2])
    _, _, height, width = crop = _checked_crop(crop, hr)
    if max(len(row) for row in rows) > 1:
        rows = [[("HR", hr), *row] for row in rows]
        columns = max(len(row) for row in rows)
    else:
        flat = [("HR", hr)] + [row[0] for row in rows]
        columns = min(len(flat), 3 if width > 1.2 * height else 4)
        columns = math.ceil(len(flat) / math.ceil(len(flat) / columns))
        rows = [flat[i : i + columns] for i in range(0, len(flat), columns)]

    zoom = min(min(360, 1000 // columns - _GAP) / width, 360 / height)
    if zoom > 1:
        zoom = int(zoom)
    box_width, box_height = round(zoom * width), round(zoom * height)
    cell = max(box_width, _NARROWEST)
    room = max(_text_height(_wrap(name, cell)) for row in rows for name, _ in row)
    panels = []
    for i, row in enumerate(rows):
        for j, (name, image) in enumerate(row):
            centre = j * (cell + _GAP) + cell / 2
            box = (centre, i * (room + box_height + _GAP) + room, box_width, box_height)
            image = _to_uint8(name, image)
            scale = _scale(name, image, "HR", hr)
            panels.append((box, _wrap(name, cell), image, scale, crop))
    return _draw(panels, title)


def slider(images, crop=None, zoom=2, title=None):
    """Makes a before/after slider: a line to drag over two images of one size.

    The images lie on each other and share one zoom and one place: the pointer moves
    the line, the wheel zooms, dragging moves both. It is HTML with a script of its
    own, which works in Jupyter and Colab; where scripts do not run, the two images
    stand side by side.

    Args:
        images: Dict of title to image, or list of (title, image), of two images as
            in `comparison`; one may be a whole number of times smaller, and is then
            drawn with larger pixels.
        crop: (top, left, height, width) in pixels of the larger image; None takes
            all of it. The images are part of the notebook: crops keep it small.
        zoom: Screen pixels to a pixel, at the start and at least.
        title: Text above the images.

    Returns:
        An object that a notebook shows if it is the last expression of a cell.

    Raises:
        ValueError: If there are not two images, or if they or the crop do not fit.
    """
    images = _named(images)
    if len(images) != 2:
        raise ValueError(f"A slider needs two images. Received: {len(images)}")
    if not isinstance(zoom, int) or zoom < 1:
        raise ValueError(f"`zoom` must be a whole number from 1. Received: {zoom}")
    name, photo = max(reversed(images), key=lambda item: item[1][..., 0].size)
    crop = (0, 0, *photo.shape[:2]) if crop is None else crop
    top, left, height, width = _checked_crop(crop, photo)
    pairs = []
    for label, image in images:
        scale = _scale(label, image, name, photo)
        rows = np.minimum(np.arange(top, top + height) // scale, len(image) - 1)
        columns = np.arange(left, left + width) // scale
        columns = np.minimum(columns, image.shape[1] - 1)
        pairs.append((label, image[rows][:, columns]))
    return _Slider(pairs, zoom, title)


class _Slider:
    """Shows itself in a notebook, as HTML or, where that is not shown, as PNG."""

    def __init__(self, pairs, zoom, title):
        self.pairs = pairs
        self.zoom = zoom
        self.title = title

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {
            "text/html": self.html(),
            "image/png": base64.b64encode(self.still()).decode(),
            "text/plain": " | ".join(label for label, _ in self.pairs),
        }

    def still(self):
        """Returns both images side by side, as the bytes of a PNG file."""
        (before, a), (after, b) = self.pairs
        height, width = a.shape[:2]
        cell, caption = max(self.zoom * width, _NARROWEST), (before, after)
        room = max(_text_height(_wrap(text, cell)) for text in caption)
        panels = []
        for i, (text, image) in enumerate(zip(caption, (a, b), strict=True)):
            box = (i * (cell + _GAP) + cell / 2, room)
            box += (self.zoom * width, self.zoom * height)
            panels.append((box, _wrap(text, cell), image, 1, (0, 0, height, width)))
        file = io.BytesIO()
        _draw(panels, self.title).savefig(file, format="png")
        return file.getvalue()

    def html(self):
        """Returns the HTML, which needs nothing but itself."""
        (before, a), (after, b) = self.pairs
        files = [_png(a), _png(b)]
        height, width = a.shape[:2]
        return _SLIDER.substitute(
            id="slider-" + hashlib.sha256(b"".join(files)).hexdigest()[:12],
            title=html.escape(self.title or ""),
            before=html.escape(before, quote=True),
            after=html.escape(after, quote=True),
            before_png=base64.b64encode(files[0]).decode(),
            after_png=base64.b64encode(files[1]).decode(),
            width=width * self.zoom,
            height=height * self.zoom,
        )


def _png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    return file.getvalue()


# Without its script: two images side by side, in elements that pages leave alone.
_SLIDER = string.Template("""<div class="$id">
<p><b>$title</b></p>
<p class="still">$before | $after<br>
<img alt="$before" width="$width" height="$height"
  src="data:image/png;base64,$before_png">
<img alt="$after" width="$width" height="$height"
  src="data:image/png;base64,$after_png"></p>
</div>
<script>
for (const root of document.querySelectorAll(".$id")) {
  const still = root.querySelector(".still");
  if (!still) continue;  // this one is a slider already
  const images = [...still.querySelectorAll("img")];
  const stage = document.createElement("div");
  stage.style.cssText = "position:relative;overflow:hidden;touch-action:none;" +
    "cursor:ew-resize;max-width:100%;width:${width}px;height:${height}px";
  const line = document.createElement("div");
  line.style.cssText = "position:absolute;top:0;bottom:0;width:2px;" +
    "background:#fff;box-shadow:0 0 2px #000;pointer-events:none";
  const labels = images.map((image, i) => {
    image.style.cssText = "position:absolute;top:0;left:0;max-width:none;" +
      "transform-origin:0 0;image-rendering:pixelated;pointer-events:none";
    const label = document.createElement("span");
    label.textContent = image.alt;
    label.style.cssText = "position:absolute;bottom:4px;padding:1px 5px;color:#fff;" +
      "background:#0009;font:12px sans-serif;pointer-events:none;" +
      (i ? "right:4px" : "left:4px");
    return label;
  });
  const hint = document.createElement("small");
  hint.textContent = "Move the pointer: compare. Wheel: zoom. Drag: move.";
  stage.append(images[1], images[0], line, ...labels);
  still.replaceWith(stage);
  stage.after(hint);
  let zoom = 1, x = 0, y = 0, split = ${width} / 2;
  const draw = () => {
    x = Math.min(0, Math.max(x, ${width} * (1 - zoom)));
    y = Math.min(0, Math.max(y, ${height} * (1 - zoom)));
    for (const image of images)
      image.style.transform = `translate($${x}px, $${y}px) scale($${zoom})`;
    const cut = ${width} - (split - x) / zoom;
    images[0].style.clipPath = `inset(0 $${cut}px 0 0)`;
    line.style.left = `$${split - 1}px`;
  };
  stage.addEventListener("pointermove", event => {
    if (event.buttons) { x += event.movementX; y += event.movementY; }
    if (!event.buttons || event.pointerType === "touch")
      split = event.clientX - stage.getBoundingClientRect().left;
    draw();
  });
  stage.addEventListener("wheel", event => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const next = Math.min(16, Math.max(1, zoom * (event.deltaY < 0 ? 1.25 : 0.8)));
    x = px - (px - x) * next / zoom;
    y = py - (py - y) * next / zoom;
    zoom = next;
    draw();
  }, {passive: false});
  draw();
}
</script>""")


def history(logs, score=None, baselines=None, title=None):
    """Draws training curves: every loss, and one score beside them.

    The losses' axis is logarithmic if they span more than a decade.

    Args:
        logs: List of dicts, each with "step" and some of the curves, or the
            dict of a Keras History, whose lists are drawn over epochs. Curves
            whose name ends in "loss" are losses.
        score: Name of the score; a curve of the same name after "val_" is
            drawn with it. None takes "psnr_y", if it was logged.
        baselines: Dict of label to a score, drawn as horizontal lines.
        title: Text above the figure.

    Returns:
        A matplotlib Figure: axes for the losses, axes for the score.

    Raises:
        ValueError: If there is nothing to draw, if an entry has no step, if the
            lists of a History differ in length, if `score` was not logged, or
            if there are baselines without a score.
    """
    unit = "epoch" if isinstance(logs, dict) else "step"
    curves = _curves(logs, unit)
    losses = [name for name in curves if name.endswith("loss")]
    wanted = score or "psnr_y"
    scores = [name for name in (wanted, f"val_{wanted}") if name in curves]
    if not scores and (score or baselines):
        raise ValueError(f"No score '{wanted}' in `logs`. Received: {sorted(curves)}")
    if not losses and not scores:
        raise ValueError(
            "`logs` must hold a loss (a name that ends in 'loss') or a score. "
            f"Received: {sorted(curves)}"
        )

    panels = [names for names in (losses, scores) if names]
    fig = _chart(4.2 * len(panels), 3.3, title)
    axes = fig.subplots(1, len(panels), squeeze=False)[0]
    for names, ax in zip(panels, axes, strict=True):
        for i, name in enumerate(names):
            x, y = curves[name]
            marker = "o" if len(x) <= 30 else None
            color = _COLORS[i % len(_COLORS)]
            ax.plot(x, y, color=color, marker=marker, markersize=4, label=name)
        if len(names) > 1:
            ax.legend(frameon=False)
        ax.set_xlabel(unit)
        ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
        ax.xaxis.set_major_formatter(_short)
        _tidy(ax)
        if names is losses:
            ax.set_ylabel(losses[0] if len(losses) == 1 else "loss")
            values = np.concatenate([curves[name][1] for name in losses])
            values = values[np.isfinite(values)]
            if values.size and 0 < 10 * values.min() < values.max():
                ax.set_yscale("log")
                _log_ticks(ax.yaxis)
        else:
            ax.set_ylabel(_score_label(wanted)[0])
    if baselines:
        _draw_baselines(ax, baselines)
        fig.draw_without_rendering()
        legend = ax.get_legend()
        taken = [[legend.get_window_extent().extents]] if legend else []
        for name in scores:
            x, y = curves[name]
            between = np.linspace(x[0], x[-1], 200)
            line = np.transpose([between, np.interp(between, x, y)])
            taken.append(_squares(ax, ax.transData.transform(line), 3))
        _write_names(ax, [], baselines, np.concatenate(taken))
    return fig


def quality_against_cost(
    rows, x="parameters", y="psnr_y", group=None, baselines=None, title=None
):
    """Draws how good models are over what they cost, on a logarithmic axis.

    Args:
        rows: List of dicts, one to a model, each with "model" (its label) and
            the columns that `x`, `y` and `group` name.
        x: Column of the cost, such as "parameters", "mult_adds" or
            "ms_per_megapixel"; less is better.
        y: Column of the score.
        group: Column by which the points get colours and a legend.
        baselines: Dict of label to a score, drawn as horizontal lines: for
            bicubic, which has no parameters.
        title: Text above the figure.

    Returns:
        A matplotlib Figure with one axes. Its corner says which direction is
        better, if `y` is a score known here.

    Raises:
        ValueError: If there is no row, if one lacks a column or has no finite
            number in it, or if a cost is not positive.
    """
    _check_rows(rows, x, y, group)
    for row in rows:
        if row[x] <= 0:
            raise ValueError(
                f"'{x}' must be positive on a logarithmic axis. "
                f"Received: {row[x]} for '{row['model']}'; use `baselines`"
            )
    fig, ax = _scatter(rows, x, y, group, baselines, title)
    ax.set_xscale("log")
    _log_ticks(ax.xaxis)
    ax.set_xlabel({"mult_adds": "Mult-Adds"}.get(x, x.replace("_", " ")))
    label, more_is_better = _score_label(y)
    ax.set_ylabel(label)
    if more_is_better is not None:
        arrow = "\N{NORTH WEST ARROW}" if more_is_better else "\N{SOUTH WEST ARROW}"
        ax.set_title(f"{arrow} better", loc="left", fontsize=11)
    _name_points(ax, rows, x, y, baselines)
    return fig


def quality_against_perception(
    rows, x="psnr_y", y="niqe", group=None, baselines=None, title=None
):
    """Draws the perception-distortion plane.

    As in the paper, distortion grows to the right and perceptual quality
    falls upwards, so that better is to the lower left and no method gets
    beyond some curve there. Axes of scores of which more is better (PSNR) are
    reversed for that, and say so.

    Args:
        rows: List of dicts, one to a model, each with "model" (its label) and
            the columns that `x`, `y` and `group` name.
        x: Column of the score against the true image: "psnr_y", "ssim_y", ...
        y: Column of the score of looks: "niqe", "lpips", "perceptual_index"
            or "mos".
        group: Column by which the points get colours and a legend.
        baselines: Dict of label to a `y`, drawn as horizontal lines: for HR
            itself, whose PSNR is infinite.
        title: Text above the figure.

    Returns:
        A matplotlib Figure with one axes.

    Raises:
        ValueError: If there is no row, if one lacks a column or has no finite
            number in it, or if `x` or `y` is no score known here.

    Reference:
        [Blau and Michaeli, 2018](https://arxiv.org/abs/1711.06077)
    """
    _check_rows(rows, x, y, group)
    fig, ax = _scatter(rows, x, y, group, baselines, title)
    for axis, column, praise in (
        (ax.xaxis, x, "less distortion"),
        (ax.yaxis, y, "looks more natural"),
    ):
        label, more_is_better = _score_label(column)
        if more_is_better is None:
            raise ValueError(
                f"`x` and `y` must be scores of {sorted(_SCORES)}, with '_y' or "
                f"'_rgb' after it or not. Received: '{column}'"
            )
        axis.set_inverted(more_is_better)
        label += ", axis reversed" if more_is_better else ""
        axis.set_label_text(f"\N{LEFTWARDS ARROW} {praise}: {label}")
    ax.set_title("\N{SOUTH WEST ARROW} better", loc="left", fontsize=11)
    _name_points(ax, rows, x, y, baselines)
    return fig


def _named(images):
    """Returns `images` as a list of (title, uint8 image)."""
    pairs = list(images.items() if isinstance(images, dict) else images)
    if not pairs or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in pairs
    ):
        raise ValueError(
            "`images` must be a dict of title to image or a list of (title, "
            f"image), and not empty. Received: {type(images).__name__} of "
            f"length {len(pairs)}"
        )
    return [(title, _to_uint8(title, image)) for title, image in pairs]


def _to_uint8(title, image):
    """Returns an image as screens show it: uint8, `(height, width, 3 or 4)`."""
    image = np.asarray(image)
    grey = image.ndim == 2 or image.shape[2:] == (1,)
    if not image.size or not (grey or image.shape[2:] in ((3,), (4,))):
        raise ValueError(
            "An image must be (height, width) or (height, width, channels) with "
            f"1, 3 or 4 channels. Received: '{title}' of shape {image.shape}"
        )
    if np.issubdtype(image.dtype, np.floating):
        # Networks overshoot a little. 255, infinity and NaN are mistakes.
        if not np.abs(image).max() < 10:
            raise ValueError(
                f"Float images must be in [0, 1]. Received: '{title}' from "
                f"{image.min()} to {image.max()}"
            )
        image = np.round(255 * np.clip(image, 0, 1)).astype("uint8")
    elif image.dtype == np.uint16:
        image = np.round(image / 257).astype("uint8")
    elif image.dtype != np.uint8:
        raise ValueError(
            f"Images must be uint8, uint16 or float. Received: '{title}' of "
            f"{image.dtype}"
        )
    return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2) if grey else image


def _scale(title, image, full_title, full):
    """Returns how many times smaller than `full` an image is."""
    sizes = list(zip(full.shape[:2], image.shape[:2], strict=True))
    for scale in range(1, max(full.shape) + 1):
        if all(abs(large - scale * small) < scale for large, small in sizes):
            return scale
    raise ValueError(
        f"Images must have the size of '{full_title}', {full.shape[:2]}, or be a "
        f"whole number of times smaller. Received: '{title}' of {image.shape[:2]}; "
        "cut or resize one of them"
    )


def _checked_crop(crop, photo):
    full_height, full_width = photo.shape[:2]
    values = np.asarray(crop)
    valid = values.shape == (4,) and values.dtype.kind in "iu"
    if valid:
        top, left, height, width = values.tolist()
        valid = top >= 0 and 0 < height <= full_height - top
        valid = valid and left >= 0 and 0 < width <= full_width - left
    if not valid:
        raise ValueError(
            "`crop` must be (top, left, height, width), whole pixels inside the photo "
            f"of height {full_height} and width {full_width}. Received: {crop}"
        )
    return top, left, height, width


def _telling_window(images, scales):
    """Returns the square crop with most detail where the images differ most."""
    lumas = [
        image[..., :3] @ np.array([0.299, 0.587, 0.114])
        for (_, image), scale in zip(images, scales, strict=True)
        if scale == 1
    ]
    photo = lumas[-1]
    detail = np.abs(np.diff(photo, axis=0, prepend=photo[:1]))
    detail += np.abs(np.diff(photo, axis=1, prepend=photo[:, :1]))
    spread = np.std(lumas, axis=0) + 1  # equal images differ in no window

    # Whole LR pixels: the side and the place are multiples of the scale.
    scale = max(scales)
    side = min(min(photo.shape), max(32, min(60, min(photo.shape) // 6)))
    if side > scale:
        side -= side % scale
    worth = _window_sums(detail, side) * _window_sums(spread, side)
    worth = worth[::scale, ::scale]
    row, column = np.unravel_index(worth.argmax(), worth.shape)
    return int(row) * scale, int(column) * scale, side, side


def _window_sums(values, side):
    """Returns the sums over all `side` x `side` windows."""
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    rows = sums[side:] - sums[:-side]
    return rows[:, side:] - rows[:, :-side]


def _captions(titles, scores):
    """Returns each title with its score, if it has one, on a second line."""
    for title in scores:
        if title not in titles:
            raise ValueError(f"`scores` must be of {titles}. Received: '{title}'")
    captions = []
    for title in titles:
        score = scores.get(title, "")
        if np.shape(score) == (2,):
            score = f"{score[0]:.2f} dB / {score[1]:.3f}"
        elif isinstance(score, numbers.Real):
            score = f"{score:.2f} dB"
        elif not isinstance(score, str):
            raise ValueError(
                "A score must be a PSNR, a pair (PSNR, SSIM) or a text. "
                f"Received: {score} for '{title}'"
            )
        captions.append(f"{title}\n{score}".strip())
    return captions


def _wrap(text, width):
    """Breaks lines longer than `width` pixels."""
    letters = int(width // _LETTER)
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def _text_height(text):
    return _LINE * (text.count("\n") + 1) + 6 if text else 0


def _draw(panels, title):
    """Draws images side by side, placed to the pixel.

    A panel is (box, caption, image, scale, crop); a box is (centre, top,
    width, height), and the caption stands above it.
    """
    boxes = [panel[0] for panel in panels]
    right = max(centre + max(width, _NARROWEST) / 2 for centre, _, width, _ in boxes)
    fig_width = math.ceil(right) + 2 * _GAP
    title = _wrap(title or "", fig_width - 2 * _GAP)
    head = _GAP + _text_height(title)
    fig_height = head + max(top + height for _, top, _, height in boxes) + _GAP
    fig = _figure(fig_width / _DPI, fig_height / _DPI)
    fig.suptitle(title, y=1 - _GAP / fig_height, va="top", fontsize=11)
    for (centre, top, width, height), caption, image, scale, crop in panels:
        x = round(_GAP + centre - width / 2)
        y = fig_height - head - top - height
        ax = fig.add_axes(
            (x / fig_width, y / fig_height, width / fig_width, height / fig_height)
        )
        _show(ax, image, scale, crop, width / crop[3])
        ax.set_title(caption, fontsize=10, pad=4)
    return fig


def _show(ax, image, scale, crop, zoom):
    """Draws the crop of an image, on axes in pixels of the largest image."""
    top, left, height, width = crop
    # The image's pixels that the crop touches; the limits cut them to size.
    y, x = top // scale, left // scale
    part = image[
        y : math.ceil((top + height) / scale), x : math.ceil((left + width) / scale)
    ]
    extent = np.array([x, x + part.shape[1], y + part.shape[0], y])
    interpolation = "nearest" if zoom * scale >= 1 else "antialiased"
    if part.size:  # an LR image that was rounded down can end before the crop
        ax.imshow(
            part, extent=scale * extent, aspect="auto", interpolation=interpolation
        )
    ax.set(xlim=(left, left + width), ylim=(top + height, top), xticks=[], yticks=[])


def _curves(logs, unit):
    """Returns every logged name's (x, y); values may be missing or None."""
    if isinstance(logs, dict):
        if len({len(values) for values in logs.values()}) > 1:
            raise ValueError(
                "The lists of a Keras History must have one length. Received: "
                f"{ {name: len(values) for name, values in logs.items()} }"
            )
        names = list(logs)
        logs = [
            {"epoch": i + 1, **dict(zip(names, values, strict=True))}
            for i, values in enumerate(zip(*logs.values(), strict=True))
        ]
    curves = {}
    for entry in logs:
        if unit not in entry:
            raise ValueError(
                f"Every entry of `logs` needs a '{unit}'. Received: {entry}"
            )
        for name, value in entry.items():
            if value is not None:
                x, y = curves.setdefault(name, ([], []))
                x.append(entry[unit])
                y.append(value)
    return curves


def _check_rows(rows, x, y, group):
    if not rows:
        raise ValueError("`rows` must hold at least one model")
    columns = ["model", x, y] + ([group] if group else [])
    for row in rows:
        if not row.keys() >= set(columns):
            raise ValueError(f"Every row needs {columns}. Received: {row}")
        for column in (x, y):
            if row[column] is None or not math.isfinite(row[column]):
                raise ValueError(
                    f"'{column}' must be a finite number. Received: {row[column]} "
                    f"for '{row['model']}'"
                )


def _scatter(rows, x, y, group, baselines, title):
    """Draws the points, their legend and the baselines, without any name."""
    fig = _chart(7.2, 4.8, title)
    ax = fig.subplots()
    ax.margins(0.12)
    names = list(dict.fromkeys(row[group] for row in rows)) if group else [None]
    for i, name in enumerate(names):
        members = [row for row in rows if not group or row[group] == name]
        ax.scatter(
            [row[x] for row in members],
            [row[y] for row in members],
            s=60,
            color=_COLORS[i % len(_COLORS)],
            marker=_MARKERS[i % len(_MARKERS)],
            edgecolor="white",
            label=name,
            zorder=3,
        )
    if group:
        fig.legend(loc="outside lower center", ncols=min(len(names), 3), frameon=False)
    _draw_baselines(ax, baselines or {})
    _tidy(ax)
    return fig, ax


def _name_points(ax, rows, x, y, baselines):
    """Writes the models' and baselines' names where they cover nothing, or least."""
    ax.figure.draw_without_rendering()  # settles where the axes are
    points = ax.transData.transform([(row[x], row[y]) for row in rows])
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    crowded_first = np.argsort(np.sort(apart, axis=1)[:, :3].sum(axis=1))
    names = [
        _places_beside(ax, rows[i]["model"], (rows[i][x], rows[i][y]), points)
        for i in crowded_first
    ]
    _write_names(ax, names, baselines or {}, _squares(ax, points, 6))


def _draw_baselines(ax, baselines):
    for value in baselines.values():
        ax.axhline(value, color="0.4", linestyle="--", linewidth=1)


def _write_names(ax, names, baselines, taken):
    """Writes names, and those of baselines, where they cover least.

    `names` are lists of places, dicts with `style` for `annotate`, the boxes on the
    screen of text and line, and a cost in square pixels, as what is covered.
    """
    names = [
        *(_places_along(ax, f"{name} {y:.4g}", y) for name, y in baselines.items()),
        *names,
    ]
    left, _, right, _ = ax.bbox.extents
    for value in baselines.values():
        y = ax.transData.transform((1, value))[1]
        taken = np.concatenate([taken, [[left, y - 1, right, y + 1]]])

    # each goes where it is best beside the others, until none moves
    chosen = {}
    for _ in range(20):
        former = dict(chosen)
        for i, places in enumerate(names):
            others = [place["boxes"] for j, place in chosen.items() if j != i]
            others = np.concatenate([taken, *others])
            chosen[i] = min(
                places,
                key=lambda place: place["cost"] + _shared_area(place["boxes"], others),
            )
        if all(former.get(i) is place for i, place in chosen.items()):
            break
    for place in chosen.values():
        ax.annotate(**place["style"]).set_in_layout(False)


def _places_along(ax, name, value):
    """Returns the places of a baseline's name: above or below it, at an end."""
    size = _text_size(ax, name)
    places = []
    for end, ha in ((0.99, "right"), (0.01, "left"), (0.5, "center")):
        for va, up in (("bottom", 3), ("top", -3)):
            style = {
                "text": name,
                "xy": (end, value),
                "xycoords": ax.get_yaxis_transform(),
                "color": "0.3",
            }
            places.append(_place(ax, style, size, (0, up), ha, va, len(places)))
    return places


def _places_beside(ax, name, xy, points):
    """Returns the places of a point's name: beside it, or away with a line to it."""
    straight = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    diagonal = [(1, 1), (-1, 1), (1, -1), (-1, -1)]
    between = [(2 * x, y) for x, y in diagonal] + [(x, 2 * y) for x, y in diagonal]

    size = _text_size(ax, name)
    point = ax.transData.transform(xy)
    places = []
    for distance in (8, 20, 34, 50):
        directions = straight + diagonal + (between if distance > 8 else [])
        for right, up in directions:
            style = {"text": name, "xy": xy}
            ha = ("right", "center", "left")[np.sign(right) + 1]
            va = ("top", "center", "bottom")[np.sign(up) + 1]
            offset = (distance * right, distance * up)
            place = _place(ax, style, size, offset, ha, va, len(places))
            text = place["boxes"][0]
            if distance == 8:
                # it must not seem to be the name of another point
                nearer = _gaps(text, point[None]) - _gaps(text, points)
                place["cost"] += 5 * nearer.max()
            else:
                style["arrowprops"] = {"arrowstyle": "-", "color": "0.6"}
                place["boxes"] = np.concatenate([[text], _line_boxes(text, point)])
                place["cost"] += 50 + distance
            places.append(place)
    return places


def _place(ax, style, size, offset, ha, va, rank):
    """Completes `style`; earlier ranks are better. `offset` is in points."""
    style |= {"xytext": offset, "textcoords": "offset points", "ha": ha, "va": va}
    xycoords = style.get("xycoords", ax.transData)
    corner = xycoords.transform(style["xy"]) + np.array(offset) * ax.figure.dpi / 72
    corner -= size * (
        {"left": 0, "center": 0.5, "right": 1}[ha],
        {"bottom": 0, "center": 0.5, "top": 1}[va],
    )
    boxes = np.array([[*corner, *(corner + size)]])
    outside = size.prod() - _shared_area(boxes, np.array([ax.bbox.extents]))
    return {"style": style, "boxes": boxes, "cost": outside + rank / 10}


def _text_size(ax, text):
    note = ax.annotate(text, (0, 0), xycoords="axes fraction")
    size = note.get_window_extent().size
    note.remove()
    return size


def _line_boxes(text, point, side=4):
    """Returns small squares along the line from a text's centre to near its point."""
    centre = (text[:2] + text[2:]) / 2
    length = np.linalg.norm(point - centre)
    along = np.arange(0, length - 3 * side, side) / max(length, 1)
    squares = centre + along[:, None] * (point - centre)
    outside = ((squares < text[:2]) | (squares > text[2:])).any(axis=1)
    return np.concatenate([squares - side / 2, squares + side / 2], axis=1)[outside]


def _gaps(box, points):
    """Returns how far points are from a box."""
    return np.linalg.norm(points - np.clip(points, box[:2], box[2:]), axis=1)


def _shared_area(boxes, others):
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    return np.clip(high - low, 0, None).prod(axis=2).sum()


def _squares(ax, centres, radius):
    """Returns squares on the screen, `radius` points around centres in pixels."""
    radius *= ax.figure.dpi / 72
    return np.concatenate([centres - radius, centres + radius], axis=1)


def _score_label(column):
    """Returns a score's axis label, and whether more is better (None: unknown)."""
    base = column.removesuffix("_y").removesuffix("_rgb")
    label, more_is_better = _SCORES.get(base, (column.replace("_", " "), None))
    if more_is_better is not None:
        label += {"_y": " on luma", "_rgb": " on RGB"}.get(column[len(base) :], "")
    return label + (" (dB)" if base == "psnr" else ""), more_is_better


def _log_ticks(axis):
    """Gives a logarithmic axis plain numbers, more of them if it is short."""
    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if high < 1000 * low else (1,)
    axis.set_major_locator(ticker.LogLocator(subs=subs))
    axis.set_major_formatter(_short)
    axis.set_minor_formatter(ticker.NullFormatter())


def _short(value, _=None):
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= factor:
            return f"{value / factor:g}{letter}"
    return f"{value:g}"


def _tidy(ax):
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def _chart(width, height, title):
    fig = _figure(width, height, layout="constrained")
    if title:
        fig.suptitle(_wrap(title, width * _DPI), fontsize=11)
    return fig


def _figure(width, height, **kwargs):
    # Through pyplot, which tells a notebook how to show figures.
    fig = plt.figure(figsize=(width, height), dpi=_DPI, **kwargs)
    plt.close(fig)
    return fig
