"""The page in the browser: `python -m sr_keras serve`.

`Page` does the work and knows nothing of the browser; `build` puts Gradio around it
(`pip install "gradio>=6"`). Nothing is sent anywhere, and files are deleted.
"""

import contextlib
import math
import os
import pathlib
import shutil
import tempfile
import threading
import time
import typing
import uuid

import numpy as np

from sr_keras import evaluation, image_files, images, inference, models, weights
from sr_keras.checks import check_name, check_numbers

BEST = "the best for the size"

_SHOWN = 2048  # the longest side of what the slider shows
_LARGEST_FACTOR = 16
_KEPT_SECONDS = 900  # how long Gradio keeps uploads and results


class CancelledError(Exception):
    """The user does not want the result any more."""


class Result(typing.NamedTuple):
    """What the page shows.

    Attributes:
        before: Path of a PNG file: the photo, or its middle, by bicubic interpolation.
        after: Path of a PNG file: the same part of the result, of the same size.
        file: Path of the result.
        text: Sizes, seconds, and scores if there was an HR photo.
    """

    before: pathlib.Path
    after: pathlib.Path
    file: pathlib.Path
    text: str


class Page:
    """What the page does.

    Use it as a context manager, which deletes all files at the end.

    Args:
        files: Models besides the shipped ones: what `models.load` takes. They are
            loaded at once, so that a wrong one is an error here.
        max_megapixels: Largest photo that is taken; the frames of an animation count
            together.

    Attributes:
        names: The networks to choose from.
        folder: Where files are while they are needed.

    Raises:
        ValueError: If a model cannot be loaded, or `max_megapixels` is not positive.
    """

    def __init__(self, files=(), max_megapixels=16):
        check_numbers(max_megapixels=max_megapixels)
        if max_megapixels <= 0:
            raise ValueError(
                "`max_megapixels` must be positive. Received:"
                f" max_megapixels={max_megapixels}"
            )
        self.max_megapixels = max_megapixels
        self._networks = {BEST: inference.Networks(None)}
        for name in [*weights.all_names(), *models.INTERPOLATIONS]:
            self._networks[name] = inference.Networks(name)
        for file in files:
            self._networks[str(file)] = inference.Networks(models.load(file))
        self.names = list(self._networks)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sr_keras-"))
        self._lock = threading.Lock()
        self._jobs = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Cancels what is being computed, and deletes all files."""
        for session in list(self._jobs):
            self.cancel(session)
        shutil.rmtree(self.folder, ignore_errors=True)

    def enlarge(
        self,
        photo,
        network=BEST,
        scale=4,
        width=None,
        height=None,
        tile=256,
        self_ensemble=False,
        hr=None,
        detail=1.0,
        progress=None,
        session="",
    ):
        """Upscales a photo as the form says.

        Args:
            photo: Path of an image file.
            network: One of `names`.
            scale: Factor of the result. It does not count if there is a width or a
                height.
            width: None, 0, or the width of the result in pixels.
            height: None, 0, or its height. One alone keeps the proportions.
            tile: Side of the tiles in pixels; 0 for the whole image.
            self_ensemble: Whether to take the mean over eight flips and rotations.
            hr: None, or the path of the HR photo, to compare the result with.
            detail: How much a GAN may invent, from 0 to 1, see `models.load`.
            progress: None, or a function that is called as `progress(done, total)`.
            session: Identifier to pass to `cancel` and `forget`.

        Returns:
            A `Result`. Its files stay until `forget` is called.

        Raises:
            ValueError: If a field is empty or wrong, or the photo cannot be read or
                is too large.
            CancelledError: If `cancel` was called.
        """
        if not photo:
            raise ValueError("Choose a photo first.")
        check_name("a network of this page", network, self.names)
        size = (_count("height", height), _count("width", width))
        size = None if size == (None, None) else size
        scale = None if size else scale
        if size is None and not (scale and 0 < scale <= _LARGEST_FACTOR):
            raise ValueError(
                f"The scale must be a number up to {_LARGEST_FACTOR}."
                f" Received: {scale!r}"
            )
        tile = _count("tile", tile) or 0
        networks = self._networks[network]
        if detail != 1:
            if network == BEST:
                raise ValueError("For less detail than 1, choose the network of a GAN.")
            networks = inference.Networks(models.load(network, detail=detail))
        with self._job(session) as (folder, is_cancelled):

            def report(_, done, total):
                if is_cancelled.is_set():
                    raise CancelledError
                if progress:
                    progress(done, total)

            lr = self._read(photo, scale, size)
            start = time.perf_counter()
            ((_, target, error),) = inference.upscale_files(
                networks,
                photo,
                folder / "result",
                tile=tile,
                self_ensemble=bool(self_ensemble),
                progress=report,
                scale=scale,
                size=size,
                max_pixels=round(self.max_megapixels * 1e6),
            )
            if error is not None:
                raise ValueError(_without_folder(error, photo)) from error
            seconds = time.perf_counter() - start
            result = images.read(target, max_pixels=0)
            text = (
                f"{lr.shape[1]} x {lr.shape[0]} to {result.shape[1]} x"
                f" {result.shape[0]} pixels in {seconds:.1f} s."
            )
            if hr:
                text += "\n\n" + self._compare(hr, lr, result)
            before, after = _middle(lr, result)
            images.write(folder / "before.png", before)
            images.write(folder / "after.png", after)
            return Result(folder / "before.png", folder / "after.png", target, text)

    def cancel(self, session):
        """Ends the work for a session after its current tile."""
        for _, is_cancelled in self._jobs.get(session, ()):
            is_cancelled.set()

    def forget(self, session):
        """Deletes the files of a session, and ends its work."""
        self.cancel(session)
        with self._lock:
            jobs = self._jobs.pop(session, ())
        for folder, _ in jobs:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _job(self, session):
        folder, is_cancelled = self.folder / uuid.uuid4().hex, threading.Event()
        with self._lock:
            self._jobs.setdefault(session, []).append((folder, is_cancelled))
        folder.mkdir()
        try:
            yield folder, is_cancelled
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _read(self, photo, scale, size):
        """Reads the photo, or the first frame, and checks the sizes."""
        try:
            with image_files.ImageFile(photo, self.max_megapixels * 1e6) as file:
                lr, count = file.read(), len(file)
        except (OSError, ValueError) as error:
            raise ValueError(_without_folder(error, photo)) from error
        height, width = lr.shape[:2]
        if size:
            scale = max((size[0] or 0) / height, (size[1] or 0) / width)
        megapixels = count * height * width / 1e6
        if megapixels > self.max_megapixels or scale > _LARGEST_FACTOR:
            raise ValueError(
                f"This page accepts photos of up to {self.max_megapixels:g} megapixels"
                f" and factors of up to {_LARGEST_FACTOR}. Received: {megapixels:.2f}"
                f" megapixels and a factor of {scale:.3g}."
            )
        return images.to_integer(images.to_float(lr)) if lr.dtype != np.uint8 else lr

    def _compare(self, hr, lr, result):
        try:
            hr = _rgb(images.read(hr, round(_LARGEST_FACTOR**2 * 1e6)))
        except (OSError, ValueError) as error:
            return _without_folder(error, hr)
        if hr.shape[:2] != result.shape[:2]:
            return (
                f"No scores: the HR photo has {hr.shape[1]} x {hr.shape[0]} pixels. It"
                " must be as large as the result."
            )
        border = math.ceil(hr.shape[0] / lr.shape[0])
        if min(hr.shape[:2]) < 2 * border + 11:
            return "No scores: the photo is too small for them."
        bicubic = images.resize(_rgb(lr), hr.shape[:2])
        rows = [("this result", _rgb(result)), ("bicubic", bicubic)]
        lines = ["| | PSNR | SSIM |", "|---|---|---|"]
        for name, sr in rows:
            scores = evaluation.score(hr, sr, border)
            lines.append(
                f"| {name} | {scores['psnr_y']:.2f} dB | {scores['ssim_y']:.4f} |"
            )
        conditions = f"On luma (BT.601, 16-235), {border} border pixels cut."
        return "\n".join(lines) + "\n\n" + conditions


def _count(name, value):
    """Returns the integer of a field, or None if it is empty or 0."""
    if value in (None, "", 0):
        return None
    if value != int(value) or value < 0:
        raise ValueError(f"The {name} must be a positive integer. Received: {value}")
    return int(value)


def _without_folder(error, path):
    """Returns the text of an error with the name of a file instead of its path."""
    return str(error).replace(str(path), pathlib.Path(path).name)


def _rgb(image):
    """Returns 8-bit RGB of any image, without alpha."""
    if image.dtype != np.uint8:
        image = images.to_integer(images.to_float(image))
    if image.ndim == 2 or image.shape[2] <= 2:
        grey = image if image.ndim == 2 else image[..., 0]
        return np.repeat(grey[..., None], 3, axis=-1)
    return image[..., :3]


def _middle(lr, result):
    """Returns the photo by bicubic interpolation, and the result, or their middle."""
    lr, parts = _rgb(lr), []
    for axis in (0, 1):
        factor = result.shape[axis] / lr.shape[axis]
        length = min(max(int(_SHOWN / factor), 1), lr.shape[axis])
        start = (lr.shape[axis] - length) // 2
        stop = start + length
        parts.append(
            (slice(start, stop), slice(*(round(x * factor) for x in (start, stop))))
        )
    (rows, large_rows), (columns, large_columns) = parts
    after = _rgb(result[large_rows, large_columns])
    return images.resize(lr[rows, columns], after.shape[:2]), after


def build(page):
    """Returns the page as `gradio.Blocks`.

    Args:
        page: A `Page`.

    Raises:
        ImportError: If Gradio is not installed.
    """
    # Read by Gradio when it is imported, and when its components are made.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(page.folder / "gradio")
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio as gr
    except ImportError as error:
        raise ImportError('The page needs Gradio: pip install "gradio>=6"') from error

    def run(*fields, progress, request):
        def show(done, total):
            progress((done, total), unit="tiles")

        progress(0, desc="Reading")
        try:
            result = page.enlarge(*fields, progress=show, session=request.session_hash)
        except CancelledError:
            raise gr.Error("Cancelled.", print_exception=False) from None
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            if inference.is_out_of_memory(error):
                raise gr.Error("Out of memory: choose smaller tiles.") from error
            raise
        before, after, file, text = result
        return (str(before), str(after)), str(file), text

    def enlarge(
        photo, network, scale, width, height, tile, self_ensemble, hr, detail,
        request: gr.Request, progress=gr.Progress()  # noqa: B008
    ):  # fmt: skip
        fields = photo, network, scale, width, height, tile, self_ensemble, hr, detail
        return run(*fields, progress=progress, request=request)

    def cancel(request: gr.Request):
        page.cancel(request.session_hash)

    def forget(request: gr.Request):
        page.forget(request.session_hash)

    with gr.Blocks(
        title="sr_keras", analytics_enabled=False, delete_cache=(60, _KEPT_SECONDS)
    ) as blocks:
        gr.Markdown(
            "# Image super-resolution\n"
            "Photos are neither kept nor sent to other services."
        )
        with gr.Row():
            with gr.Column(scale=1):
                photo = gr.File(
                    label="Photo", file_types=["image"], elem_id="photo", height=110
                )
                network = gr.Dropdown(
                    page.names,
                    value=BEST,
                    label="Network",
                    info=weights.advice() or None,
                )
                detail = gr.Slider(
                    0,
                    1,
                    1,
                    step=0.05,
                    label="Detail",
                    info="Less than 1 makes a GAN invent less.",
                    elem_id="detail",
                )
                scale = gr.Number(4, label="Scale", minimum=0.1, elem_id="scale")
                with gr.Row():
                    width = gr.Number(None, label="or width", precision=0, min_width=80)
                    height = gr.Number(
                        None, label="or height", precision=0, min_width=80
                    )
                with gr.Accordion("More", open=False):
                    tile = gr.Slider(
                        0, 1024, 256, step=32, label="Tile (0: none)", elem_id="tile"
                    )
                    self_ensemble = gr.Checkbox(
                        label="Self-ensemble: a little better, 8 times as long"
                    )
                    hr = gr.File(
                        label="HR photo, to compare with",
                        file_types=["image"],
                        elem_id="hr",
                        height=110,
                    )
                with gr.Row():
                    button = gr.Button("Enlarge", variant="primary", elem_id="run")
                    stop = gr.Button("Cancel", elem_id="cancel")
            with gr.Column(scale=3):
                slider = gr.ImageSlider(
                    label="Bicubic (left) and result (right)",
                    format="png",
                    interactive=False,
                    max_height=700,
                    elem_id="slider",
                )
                text = gr.Markdown(elem_id="text")
                file = gr.File(label="Download", interactive=False, elem_id="file")
        inputs = [photo, network, scale, width, height, tile, self_ensemble, hr, detail]
        job = button.click(
            enlarge, inputs, [slider, file, text], concurrency_limit=1, api_name=False
        )
        # Gradio has copies by then, which it deletes by itself.
        job.then(forget, api_name=False)
        stop.click(cancel, queue=False, cancels=[job], api_name=False)
        blocks.unload(forget)
    return blocks


@contextlib.contextmanager
def serving(page, host="127.0.0.1", port=None, open_browser=False):
    """Shows the page within a `with` block, whose target is the address.

    Args:
        page: A `Page`.
        host: Address to listen on. "127.0.0.1" is for this computer alone, "0.0.0.0"
            for all that can reach it.
        port: None for the first free one from 7860 on, or a number.
        open_browser: Whether to open it in the browser of this computer.

    Raises:
        ImportError: If Gradio is not installed.
        OSError: If the port is in use.
    """
    blocks = build(page)
    import gradio as gr

    theme = gr.themes.Base(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    blocks.queue(max_size=16)
    _, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=open_browser,
        prevent_thread_lock=True,
        quiet=True,
        theme=theme,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=f"{max(round(8 * page.max_megapixels), 1)}mb",
    )
    try:
        yield address
    finally:
        blocks.close(verbose=False)
