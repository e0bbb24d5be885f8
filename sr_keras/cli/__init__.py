"""The command line: `python -m sr_keras`, or `sr-keras`."""

import importlib
import os
import sys
import traceback
import warnings
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Image super-resolution: train networks, measure them, upscale photos.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)
# Without markup, because names of files may have brackets in them.
console = Console(
    highlight=False, markup=False, width=None if sys.stdout.isatty() else 120
)


def _print_version(is_asked):
    if is_asked:
        import sr_keras

        print(f"sr_keras {sr_keras.__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")
    ] = False,
):
    """Sets what holds for all commands."""
    console.quiet = quiet


def fail(message, code):
    """Ends the program with a line on stderr."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def import_module(name):
    """Imports a module of the user's, also from the current folder."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # a module that this one imports may be missing: that is a fault of its own
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"There is no Python module {name}.") from error


def _import_modules(names):
    for name in names or ():
        import_module(name)
    return names


# Of every command that loads networks: they may have layers of the user's.
Import = Annotated[
    list[str],
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Python module to import first, which registers networks, layers or"
        " losses. Repeat it for several.",
        callback=_import_modules,
    ),
]


def is_about_input(error):
    """Returns True if an exception tells the user what was wrong with their input.

    The package raises such an exception itself, by a `raise` with a message. An
    exception that an expression or another library raised is a fault of the program.
    """
    if isinstance(error, OSError):
        return True
    if not isinstance(error, (ValueError, ImportError)):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    is_ours = os.path.abspath(last.filename).startswith(package + os.sep)
    return is_ours and (last.line or "").startswith("raise")


def main():
    """Runs the command line.

    Exit code 0 only if everything was done, 2 for wrong input, 1 for a failure.
    Errors about the user's input end with one line; all others keep their traceback.
    """
    from sr_keras.cli import (  # noqa: F401
        evaluate,
        serve,
        tables,
        train,
        upscale,
        weights,
    )
    from sr_keras.inference import is_out_of_memory

    warnings.showwarning = lambda message, *_: print(
        f"warning: {message}", file=sys.stderr
    )
    try:
        app()
    except Exception as error:
        if is_out_of_memory(error):
            fail("Out of memory: smaller batches, patches or tiles need less.", 1)
        if not is_about_input(error):
            raise
        is_usage = isinstance(
            error, (ValueError, ImportError, FileNotFoundError, FileExistsError)
        )
        fail(error, 2 if is_usage else 1)
