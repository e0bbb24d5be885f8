"""Images as they are drawn: checks, sizes on the screen, and panels side by side."""

import math
import textwrap

import numpy as np

DPI = 100
# Lengths in screen pixels.
GAP = 10
NARROWEST = 350  # width of a panel that shows a crop
_LINE = 17  # height of a line of text
_LETTER = 8  # mean width of a letter
_TALLEST = 700


def named(images):
    """Returns `images` as a list of (title, uint8 image)."""
    pairs = list(images.items() if isinstance(images, dict) else images)
    if not pairs or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in pairs
    ):
        raise ValueError(
            "`images` must be a dict of title to image or a list of (title, "
            f"image), and must not be empty. Received: {type(images).__name__} of "
            f"length {len(pairs)}"
        )
    return [(title, to_uint8(title, image)) for title, image in pairs]


def to_uint8(title, image):
    """Converts an image for the screen: uint8, `(height, width, 3 or 4)`."""
    image = np.asarray(image)
    grey = image.ndim == 2 or image.shape[2:] == (1,)
    if not image.size or not (grey or image.shape[2:] in ((3,), (4,))):
        raise ValueError(
            "An image must be (height, width) or (height, width, channels) with "
            f"1, 3 or 4 channels. Received: '{title}' of shape {image.shape}"
        )
    if np.issubdtype(image.dtype, np.floating):
        # Networks overshoot a little; values of 255, infinity or NaN are mistakes.
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


def largest(images):
    """Returns the last of the largest of (title, image) pairs."""
    return max(reversed(images), key=lambda item: item[1][..., 0].size)


def scale_to(title, image, full_title, full):
    """Returns how many times smaller than `full` an image is."""
    sizes = list(zip(full.shape[:2], image.shape[:2], strict=True))
    for scale in range(1, max(full.shape) + 1):
        if all(abs(large - scale * small) < scale for large, small in sizes):
            return scale
    raise ValueError(
        f"Images must have the size of '{full_title}', {full.shape[:2]}, or be "
        f"smaller by an integer factor. Received: '{title}' of {image.shape[:2]}; "
        "crop or resize one of them"
    )


def checked_crop(crop, photo):
    """Returns a crop as a tuple of four ints of Python."""
    full_height, full_width = photo.shape[:2]
    values = np.asarray(crop)
    valid = values.shape == (4,) and values.dtype.kind in "iu"
    if valid:
        top, left, height, width = values.tolist()
        valid = top >= 0 and 0 < height <= full_height - top
        valid = valid and left >= 0 and 0 < width <= full_width - left
    if not valid:
        raise ValueError(
            "`crop` must be (top, left, height, width) in pixels, inside the photo "
            f"of height {full_height} and width {full_width}. Received: {crop}"
        )
    return top, left, height, width


def crop_zoom(height, width):
    """Returns how many screen pixels are drawn for each pixel of a crop."""
    return max(2, min(math.ceil(NARROWEST / width), _TALLEST // height))


def balanced_columns(count, most):
    """Returns the number of columns that fills rows of at most `most` evenly."""
    return math.ceil(count / math.ceil(count / most))


def wrap(text, width):
    """Breaks lines longer than `width` pixels."""
    letters = int(width // _LETTER)
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def text_height(text):
    return _LINE * (text.count("\n") + 1) + 6 if text else 0


def figure(width, height, **kwargs):
    """Creates a figure, in inches, through pyplot, so that notebooks show it."""
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(width, height), dpi=DPI, **kwargs)
    plt.close(fig)
    return fig


def draw(panels, title):
    """Draws images side by side, placed to the pixel.

    A panel is (box, caption, image, scale, crop). A box is (centre, top, width,
    height), and the caption stands above it.
    """
    boxes = [panel[0] for panel in panels]
    right = max(centre + max(width, NARROWEST) / 2 for centre, _, width, _ in boxes)
    fig_width = math.ceil(right) + 2 * GAP
    title = wrap(title or "", fig_width - 2 * GAP)
    head = GAP + text_height(title)
    fig_height = head + max(top + height for _, top, _, height in boxes) + GAP
    fig = figure(fig_width / DPI, fig_height / DPI)
    fig.suptitle(title, y=1 - GAP / fig_height, va="top", fontsize=11)
    for (centre, top, width, height), caption, image, scale, crop in panels:
        x = round(GAP + centre - width / 2)
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
    # The pixels of the image that the crop touches; the limits of the axes cut them.
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
