"""A slider between two images, as HTML for notebooks."""

import base64
import hashlib
import html
import io
import pathlib
import string

import numpy as np
from PIL import Image

from sr_keras.checks import check_counts
from sr_keras.plotting.panels import (
    GAP,
    NARROWEST,
    checked_crop,
    crop_zoom,
    draw,
    largest,
    named,
    scale_to,
    text_height,
    wrap,
)


def slider(images, crop=None, zoom=None, title=None):
    """Makes a before/after slider: a line to drag over two images of one size.

    The images lie on top of each other and share zoom and position. The pointer moves
    the line, the wheel zooms, and dragging moves both images. The slider is
    self-contained HTML with a script, which works in Jupyter and Colab. Where scripts
    do not run, the two images stand side by side.

    Args:
        images: Dict of title to image, or list of (title, image), of two images as
            in `comparison`. One may be smaller by an integer factor and is then
            drawn with larger pixels.
        crop: (top, left, height, width) in pixels of the larger image. None takes
            all of it. The images become part of the notebook, and crops keep it small.
        zoom: Number of screen pixels per pixel, at the start and at least. None
            chooses 2, or more for a width of at least 350 screen pixels.
        title: Text above the images.

    Returns:
        An object that a notebook shows if it is the last expression of a cell.

    Raises:
        ValueError: If there are not exactly two images, if they or the crop do not
            fit, or if `zoom` is not a positive integer.
    """
    images = named(images)
    if len(images) != 2:
        raise ValueError(f"A slider needs two images. Received: {len(images)}")
    if zoom is not None:
        check_counts(zoom=zoom)
    name, photo = largest(images)
    crop = (0, 0, *photo.shape[:2]) if crop is None else crop
    top, left, height, width = checked_crop(crop, photo)
    pairs = []
    for label, image in images:
        scale = scale_to(label, image, name, photo)
        rows = np.minimum(np.arange(top, top + height) // scale, len(image) - 1)
        columns = np.arange(left, left + width) // scale
        columns = np.minimum(columns, image.shape[1] - 1)
        pairs.append((label, image[rows][:, columns]))
    return _Slider(pairs, int(zoom or crop_zoom(height, width)), title)


class _Slider:
    """Displays itself in a notebook as HTML, or as PNG where HTML is not shown."""

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
        height, width = self.pairs[0][1].shape[:2]
        cell = max(self.zoom * width, NARROWEST)
        captions = [wrap(label, cell) for label, _ in self.pairs]
        room = max(text_height(caption) for caption in captions)
        panels = []
        for i, (caption, (_, image)) in enumerate(
            zip(captions, self.pairs, strict=True)
        ):
            box = (i * (cell + GAP) + cell / 2, room)
            box += (self.zoom * width, self.zoom * height)
            panels.append((box, caption, image, 1, (0, 0, height, width)))
        file = io.BytesIO()
        draw(panels, self.title).savefig(file, format="png")
        return file.getvalue()

    def html(self):
        """Returns self-contained HTML."""
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
            script=_SCRIPT,
        )


def _png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    return file.getvalue()


_SCRIPT = pathlib.Path(__file__).with_suffix(".js").read_text()
# Without its script: two images side by side, in elements that pages do not strip.
_SLIDER = string.Template("""<div class="$id">
<p><b>$title</b></p>
<p class="still">$before | $after<br>
<img alt="$before" width="$width" height="$height"
  src="data:image/png;base64,$before_png">
<img alt="$after" width="$width" height="$height"
  src="data:image/png;base64,$after_png"></p>
</div>
<script>
$script</script>""")
