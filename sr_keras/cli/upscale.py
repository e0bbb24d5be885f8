"""Commands that use a network: upscale photos, and export it."""

import pathlib
import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

import sr_keras as sr
from sr_keras import exporting, inference, weights
from sr_keras.cli import Import, app, console, fail
from sr_keras.precision import choose_precision


@app.command()
def upscale(
    paths: Annotated[
        list[pathlib.Path],
        typer.Argument(
            metavar="IMAGE_OR_FOLDER...",
            help="Images, folders of images, and videos.",
        ),
    ],
    out: Annotated[pathlib.Path, typer.Option(help="Folder for the results.")],
    model: Annotated[
        list[str],
        typer.Option(
            help="A shipped set, a run or a file; or a network or an interpolation"
            " with a size. Without it, the best that is shipped for the size. If it is"
            " given twice, the networks run one after the other."
            f" {weights.advice()}".rstrip()
        ),
    ] = None,
    detail: Annotated[
        float,
        typer.Option(
            help="How much a GAN may invent, from 0 to 1. Less than 1 blends it with"
            " the network from which its training began."
        ),
    ] = None,
    scale: Annotated[
        float,
        typer.Option(help="Factor of the result, such as 2.5; the network's if none."),
    ] = None,
    width: Annotated[int, typer.Option(help="Width of the result in pixels.")] = None,
    height: Annotated[
        int,
        typer.Option(help="Its height. Width or height alone keeps the proportions."),
    ] = None,
    tile: Annotated[
        int,
        typer.Option(
            help="Side of the tiles in LR pixels; 0 for the whole image. Without it,"
            " 256, or less where an engine needs much memory."
        ),
    ] = None,
    halo: Annotated[
        int,
        typer.Option(
            help="LR pixels around a tile that are computed too. Without it, as many as"
            " the network looks at."
        ),
    ] = None,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Mean over 8 flips and rotations.")
    ] = False,
    tileable: Annotated[
        bool, typer.Option("--tileable", help="Textures that repeat without seams.")
    ] = False,
    format: Annotated[
        str,
        typer.Option(
            help="png, jpeg, webp, tiff or gif. Without it, PNG, and for animations"
            " and several pages the format that they have."
        ),
    ] = None,
    quality: Annotated[
        int,
        typer.Option(
            help="1 to 100 for JPEG (95 if not given) and WebP (lossless if not given)."
        ),
    ] = None,
    crf: Annotated[
        int, typer.Option(help="Quality of videos: 0 (lossless) to 51 (worst).")
    ] = 16,
    max_megapixels: Annotated[
        float,
        typer.Option(help="Largest image that is read; 179 if not given, 0 for any."),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")
    ] = "float32",
    engine: Annotated[
        str,
        typer.Option(
            help="keras, openvino, onnxruntime or litert; auto for the fastest here."
        ),
    ] = "keras",
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Keep results that are there.")
    ] = False,
    import_: Import = None,
):
    """Enlarges photos and videos, and continues after files that cannot be read."""
    size = None if width is None and height is None else (height, width)
    if not model and size is None:
        names = weights.reaching(scale if scale and scale > 0 else 4)
        console.print(f"Using {', then '.join(names)}, the best that is shipped.")
    failed = 0
    with Progress(console=console) as progress:
        task = progress.add_task("")

        def show(path, done, total):
            name = escape(path.name)
            progress.update(task, description=name, completed=done, total=total)

        for path, target, error in inference.upscale_files(
            model or None,
            paths,
            out,
            tile="auto" if tile is None else tile,
            halo=halo,
            self_ensemble=self_ensemble,
            progress=show,
            skip_existing=skip_existing,
            scale=scale,
            size=size,
            tileable=tileable,
            format=format,
            quality=quality,
            max_pixels=None if max_megapixels is None else round(max_megapixels * 1e6),
            precision=choose_precision(precision),
            engine=engine,
            crf=crf,
            detail=detail,
        ):
            if error is None:
                console.print(f"{path} -> {target}", soft_wrap=True)
            else:
                failed += 1
                print(f"failed: {error}", file=sys.stderr)
    if failed:
        fail(f"{failed} of the files could not be upscaled; see above.", 1)


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="A shipped set, a run or a file; or a network.")
    ],
    out: Annotated[pathlib.Path, typer.Option(help="File (or folder) to write.")],
    format: Annotated[str, typer.Option(help="onnx, litert or saved_model.")] = "onnx",
    scale: Annotated[int, typer.Option(help="Upscaling factor.")] = None,
    import_: Import = None,
):
    """Exports a network for other runtimes, and checks that they agree."""
    network = sr.models.load(model, scale)
    difference = exporting.export(network, out, format)
    console.print(f"{model} -> {out}", soft_wrap=True)
    if difference is not None:  # otherwise a warning says what is missing
        console.print(f"Checked: outputs differ by {difference:.1g} at most.")
