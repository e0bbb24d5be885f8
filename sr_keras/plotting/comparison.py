"""Photos, and the same crop of several versions of a photo, side by side."""

import math
import numbers

import numpy as np

from sr_keras.checks import check_counts
from sr_keras.plotting.panels import (
    GAP,
    NARROWEST,
    balanced_columns,
    checked_crop,
    crop_zoom,
    draw,
    largest,
    named,
    scale_to,
    text_height,
    to_uint8,
    wrap,
)

_FRAME = "#D55E00"
_MOST_COLUMNS = 3  # a notebook shows about 1,100 pixels side by side
_PHOTO_SIDE = 360  # of the whole photos of `degradations`, in screen pixels


def comparison(images, scores=None, crop=None, columns=None, title=None, whole=True):
    """Draws one photo whole, and the same enlarged crop of every image.

    The last of the largest images is the one shown whole, with a rectangle
    around the crop, so put HR last. Crops are drawn without interpolation, with a
    whole number of screen pixels, at least two, for each HR pixel, and at least 350
    screen pixels wide unless that made them taller than 700.

    Args:
        images: Dict of title to image, or list of (title, image). An image
            is `(height, width)` or `(height, width, channels)` with 1, 3 or
            4 channels, uint8, uint16 or float in [0, 1]. Floats are clipped.
            An LR image, smaller than the largest image by an integer factor
            (rounded up or down), is drawn at the same size with larger pixels.
        scores: Dict of title to a PSNR in dB, a pair (PSNR in dB, SSIM) or a
            text, written below the title. Say in `title` how it was measured.
        crop: (top, left, height, width) in HR pixels. None chooses the square
            with the most detail where the full-size images differ most.
        columns: Number of crops in a row. None chooses.
        title: Text above the figure.
        whole: Whether to draw the whole photo as well.

    Returns:
        A matplotlib Figure. Its first axes show the whole photo (with `whole`),
        the others the crops, in the order of `images`.

    Raises:
        ValueError: If there are no images, if one of them is not an image or does
            not fit the largest, if the crop is not inside the photo, if a score
            belongs to no image, or if `columns` is not a positive integer.
    """
    images = named(images)
    name, photo = largest(images)
    scales = [scale_to(label, image, name, photo) for label, image in images]
    if crop is None:
        crop = _telling_window(images, scales)
    top, left, height, width = crop = checked_crop(crop, photo)
    full_height, full_width = photo.shape[:2]
    captions = _captions([label for label, _ in images], scores or {})

    # A wide photo stands above its crops, a tall or square one beside them.
    wide = full_width > 1.2 * full_height or not whole
    if columns is None:
        most = _MOST_COLUMNS if wide else _MOST_COLUMNS - 1
        columns = balanced_columns(len(images), most)
    check_counts(columns=columns)
    columns = min(int(columns), len(images))
    zoom = crop_zoom(height, width)
    cell = max(zoom * width, NARROWEST)
    captions = [wrap(caption, cell) for caption in captions]
    room = max(text_height(caption) for caption in captions)
    row_height = room + zoom * height + GAP

    if wide:
        photo_cell = columns * (cell + GAP) - GAP
        photo_width = min(photo_cell, 540 * full_width // full_height)
        photo_height = photo_width * full_height // full_width
    else:
        rows = math.ceil(len(images) / columns)
        photo_height = min(640, rows * row_height - GAP - room)
        photo_width = photo_height * full_width // full_height
        photo_cell = max(photo_width, NARROWEST)
    caption = wrap(f"{name}, {full_width} x {full_height}", photo_cell)
    if not whole:
        grid_left, grid_top = 0, 0
    elif wide:
        photo_top = text_height(caption)
        grid_left, grid_top = 0, photo_top + photo_height + GAP
    else:
        photo_top = max(room, text_height(caption))
        grid_left, grid_top = photo_cell + 2 * GAP, photo_top - room
    panels = []
    if whole:
        box = (photo_cell / 2, photo_top, photo_width, photo_height)
        panels = [(box, caption, photo, 1, (0, 0, full_height, full_width))]
    for i, (_, image) in enumerate(images):
        row, column = divmod(i, columns)
        centre = grid_left + column * (cell + GAP) + cell / 2
        box = (centre, grid_top + row * row_height + room, zoom * width, zoom * height)
        panels.append((box, captions[i], image, scales[i], crop))
    fig = draw(panels, title)
    if whole:
        # A pixel of the photo is not an integer number of screen pixels.
        fig.axes[0].images[0].set_interpolation("antialiased")
        _frame(fig.axes[0], (left, top), width, height)
        for ax in fig.axes[1:]:
            ax.spines[:].set(color=_FRAME, linewidth=1.8)
    return fig


def _frame(ax, corner, width, height):
    from matplotlib import patches, patheffects

    frame = patches.Rectangle(corner, width, height, fill=False)
    frame.set(edgecolor=_FRAME, linewidth=1.8)
    frame.set_path_effects([patheffects.withStroke(linewidth=4, foreground="white")])
    ax.add_patch(frame)


def degradations(hr, variants, crop=None, title=None):
    """Draws a photo beside what degradations of increasing strength make of it.

    Args:
        hr: The photo, an image as in `comparison`.
        variants: Dict of a degradation's name to an image, to a list of
            images, or to a dict of strength ("sigma 5") to image. With a list
            or a dict, every degradation starts a new row, whose first panel is `hr`.
            Images may be smaller than `hr` by an integer factor.
        crop: (top, left, height, width) in pixels of `hr`. None draws whole photos,
            which hide noise and JPEG blocks if they are large.
        title: Text above the figure.

    Returns:
        A matplotlib Figure with one axes for each image, row by row.

    Raises:
        ValueError: If there are no variants, if one is empty, not an image or
            does not fit `hr`, or if the crop is not inside `hr`.
    """
    rows = [_row(name, images) for name, images in variants.items()]
    if not rows:
        raise ValueError(
            "`variants` must contain at least one degradation. Received: "
            f"variants={variants}"
        )
    hr = to_uint8("HR", hr)
    is_cropped = crop is not None
    crop = checked_crop(crop if is_cropped else (0, 0, *hr.shape[:2]), hr)
    _, _, height, width = crop
    if max(len(row) for row in rows) > 1:
        rows = [[("HR", hr), *row] for row in rows]
    else:
        rows = [[("HR", hr)] + [row[0] for row in rows]]
    rows = [part for row in rows for part in _parts(row)]

    if is_cropped:
        zoom = crop_zoom(height, width)
    else:
        zoom = _PHOTO_SIDE / max(height, width)
        zoom = int(zoom) if zoom > 1 else zoom
    box_width, box_height = round(zoom * width), round(zoom * height)
    cell = max(box_width, NARROWEST)
    room = max(text_height(wrap(name, cell)) for row in rows for name, _ in row)
    panels = []
    for i, row in enumerate(rows):
        for j, (name, image) in enumerate(row):
            centre = j * (cell + GAP) + cell / 2
            box = (centre, i * (room + box_height + GAP) + room, box_width, box_height)
            image = to_uint8(name, image)
            scale = scale_to(name, image, "HR", hr)
            panels.append((box, wrap(name, cell), image, scale, crop))
    return draw(panels, title)


def _row(name, images):
    """Returns the (title, image) pairs of one degradation."""
    if isinstance(images, dict):
        row = [(f"{name}, {strength}", image) for strength, image in images.items()]
    elif isinstance(images, list | tuple):
        row = [
            (f"{name} {i} of {len(images)}", image) for i, image in enumerate(images, 1)
        ]
    else:
        row = [(name, images)]
    if not row:
        raise ValueError(f"`variants` has no image for '{name}'. Received: {images}")
    return row


def _parts(row):
    """Breaks a row into shorter ones that fit on a page."""
    columns = balanced_columns(len(row), _MOST_COLUMNS)
    return [row[i : i + columns] for i in range(0, len(row), columns)]


def _telling_window(images, scales):
    """Returns the square crop with the most detail where the images differ most."""
    lumas = [
        image[..., :3] @ np.array([0.299, 0.587, 0.114])
        for (_, image), scale in zip(images, scales, strict=True)
        if scale == 1
    ]
    photo = lumas[-1]
    detail = np.abs(np.diff(photo, axis=0, prepend=photo[:1]))
    detail += np.abs(np.diff(photo, axis=1, prepend=photo[:, :1]))
    difference = np.std(lumas, axis=0) + 1  # not 0 everywhere if images are equal

    # Whole LR pixels: the side and the position are multiples of the scale.
    scale = max(scales)
    side = min(min(photo.shape), max(32, min(120, min(photo.shape) // 3)))
    if side > scale:
        side -= side % scale
    worth = _window_sums(detail, side) * _window_sums(difference, side)
    worth = worth[::scale, ::scale]
    row, column = np.unravel_index(worth.argmax(), worth.shape)
    return int(row) * scale, int(column) * scale, side, side


def _window_sums(values, side):
    """Returns the sums over all `side` x `side` windows."""
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    rows = sums[side:] - sums[:-side]
    return rows[:, side:] - rows[:, :-side]


def _captions(titles, scores):
    """Returns each title, with its score, if it has one, on a second line."""
    for title in scores:
        if title not in titles:
            raise ValueError(
                f"The keys of `scores` must be among {titles}. Received: '{title}'"
            )
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
