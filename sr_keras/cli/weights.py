"""Commands for files of weights."""

import pathlib
from typing import Annotated

import typer

import sr_keras as sr
from sr_keras import published
from sr_keras.cli import Import, app, console

weights = typer.Typer(help="Files of weights.", no_args_is_help=True)
app.add_typer(weights, name="weights")


@weights.callback()
def group():
    """Files of weights."""


@weights.command()
def export(
    model: Annotated[
        str, typer.Argument(help="A shipped set, a run or a file; or a network.")
    ],
    out: Annotated[
        pathlib.Path,
        typer.Argument(metavar="OUT.safetensors", help="File to write."),
    ],
    scale: Annotated[
        int, typer.Option(help="Upscaling factor, if MODEL is the name of a network.")
    ] = None,
    import_: Import = None,
):
    """Writes a network as the original PyTorch code of its paper reads it."""
    network = sr.models.load(model, scale)
    published.save(network, out)
    console.print(f"{model} -> {out}", soft_wrap=True)
