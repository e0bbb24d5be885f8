"""Tables on the terminal, and the list of networks."""

import fnmatch
from typing import Annotated

import typer
from rich.table import Table

from sr_keras import models as networks
from sr_keras import weights
from sr_keras.cli import app, console


@app.command()
def models(
    pattern: Annotated[
        str, typer.Argument(help="Names to list, such as 'edsr*'.")
    ] = "*",
):
    """Lists the networks, what they are, and the weights that are shipped."""
    table = Table(box=None, pad_edge=False)
    for column in ("name", "framework", "paper", "scales"):
        table.add_column(column)
    table.add_column("parameters", justify="right")
    table.add_column("Mult-Adds", justify="right")
    table.add_column("shipped weights")
    shipped = set(weights.all_names())
    for name, entry in networks.CATALOGUE.items():
        if not fnmatch.fnmatch(name, pattern):
            continue
        table.add_row(
            name,
            entry.framework,
            entry.paper,
            ", ".join(map(str, entry.scales)),
            f"{entry.parameters:,}",
            f"{entry.giga_mult_adds:,.1f} G",
            ", ".join(
                f"x{scale} {short}"
                for scale in entry.scales
                for short in weights.names(name, scale=scale)
                if f"{name}-x{scale}-{short}" in shipped
            ),
        )
    console.print(table)
    console.print("Parameters and Mult-Adds: at x4, for an output of 1280x720 pixels.")


def print_scores(results):
    """Prints the scores of one or more models for each photo and on average."""
    keys = [key for key in results[0]["mean"] if key != "seconds"]
    table = Table(box=None, pad_edge=False)
    table.add_column("image")
    for result in results:
        for key in keys:
            table.add_column(f"{result['model']}\n{key}", justify="right")

    def cells(rows):
        return [_cell(key, row[key]) for row in rows for key in keys]

    for i, row in enumerate(results[0]["images"]):
        table.add_row(row["name"], *cells(r["images"][i] for r in results))
    table.add_section()
    table.add_row("mean", *cells(r["mean"] for r in results))
    console.print(table)
    _print_conditions(results)


def print_means(title, results):
    """Prints a line for each model: its mean scores on the same photos."""
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("model")
    keys = list(results[0]["mean"])
    counted = ["parameters"] if "parameters" in results[0] else []
    for key in [*keys, *counted]:
        table.add_column(key, justify="right")
    for result in results:
        cells = [_cell(key, result["mean"][key]) for key in keys]
        cells += [f"{result[key]:,}" for key in counted]
        table.add_row(result["model"], *cells)
    console.print(table)
    _print_conditions(results)
    if "seconds" in keys:
        console.print(
            "seconds: wall time for one image on this machine, without compilation."
        )


def _print_conditions(results):
    console.print(f"x{results[0]['scale']}: {results[0]['conditions']}.")


def _cell(key, value):
    return f"{value:.2f}" if "psnr" in key or key == "seconds" else f"{value:.4f}"
