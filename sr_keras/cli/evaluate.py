"""Commands that measure models and images."""

import pathlib
import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

import sr_keras as sr
from sr_keras import evaluation, files, plotting
from sr_keras.cli import Import, app, console, fail, import_module
from sr_keras.cli.tables import print_means, print_scores

Data = Annotated[
    str, typer.Option(help="Folder of photos, name of a benchmark set, or samples.")
]
Scale = Annotated[int, typer.Option(help="Upscaling factor.")]
Degradation = Annotated[
    str,
    typer.Option(
        help="What makes the LR images: a name of sr.degradations.NAMES, or"
        " MODULE:FUNCTION."
    ),
]
LrData = Annotated[
    pathlib.Path, typer.Option(help="Folder of the LR files of the photos in --data.")
]
Rgb = Annotated[bool, typer.Option("--rgb", help="Score RGB values too.")]
Extra = Annotated[
    list[str],
    typer.Option(
        help="A further score: ms_ssim, hfenn, vif, ifc, niqe, lr_psnr, vgg or lpips."
        " Repeat it for several."
    ),
]
Lpips = Annotated[
    bool,
    typer.Option(
        "--lpips", help="Score LPIPS (AlexNet) too; needs a file, see sr.lpips."
    ),
]
Json = Annotated[
    pathlib.Path, typer.Option("--json", help="Where to write the scores.")
]


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A shipped set, a run, a file; or a network or an interpolation with"
            " --scale."
        ),
    ],
    data: Data,
    scale: Scale = None,
    lr_data: LrData = None,
    degradation: Degradation = None,
    rgb: Rgb = False,
    extra: Extra = None,
    lpips: Lpips = False,
    tile: Annotated[
        int, typer.Option(help="Side of the tiles in LR pixels; 0 for whole images.")
    ] = 0,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Mean over 8 flips and rotations.")
    ] = False,
    json_file: Json = None,
    import_: Import = None,
):
    """Scores a model on photos by the papers' protocol."""
    _check_file(json_file)
    options = {"tile": tile, "self_ensemble": self_ensemble}
    extra = _with_lpips(extra, lpips)
    result = _score(model, data, scale, degradation, rgb, extra, lr_data, **options)
    print_scores([result])
    if json_file is not None:
        files.write_json(json_file, result)


@app.command()
def benchmark(
    data: Annotated[str, typer.Option(help="Folder of photos, or of benchmark sets.")],
    scale: Scale = None,
    rgb: Rgb = False,
    extra: Extra = None,
    lpips: Lpips = False,
    json_file: Json = None,
):
    """Scores every set of shipped weights on every benchmark set in a folder."""
    _check_file(json_file)
    extra = _with_lpips(extra, lpips)
    shipped = _shipped(scale)
    if not shipped:
        raise ValueError(f"No weights are shipped for x{scale}.")
    results = []
    for folder in sr.datasets.named.sets_in(data):
        for wanted in sorted(set(shipped.values())):
            names = [name for name, found in shipped.items() if found == wanted]
            rows = [_score(name, folder, None, None, rgb, extra) for name in names]
            print_means(folder, rows)
            results += rows
    if json_file is not None:
        files.write_json(json_file, {"models": results})


@app.command()
def leaderboard(
    folder: Annotated[
        pathlib.Path,
        typer.Argument(help="Folder with a folder of images for each participant."),
    ],
    data: Data,
    scale: Scale = 4,
    lr_data: LrData = None,
    degradation: Degradation = None,
    rgb: Rgb = False,
    extra: Extra = None,
    lpips: Lpips = False,
    json_file: Json = None,
):
    """Scores images that were upscaled elsewhere, and draws leaderboard.png."""
    _check_file(json_file)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}")
    files.check_writable(folder)
    dataset = sr.datasets.open_data(
        data, scale, "validation", _degradation(degradation), lr_data
    )
    extra = _with_lpips(["niqe", "lr_psnr", *(extra or ())], lpips)
    evaluation.conditions(dataset, rgb, extra=extra)  # refuses unknown scores
    results, failed = [], 0
    participants = [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".")
    ]
    for path in participants:
        try:
            result = evaluation.evaluate_images(path, dataset, rgb, extra=extra)
        except (ValueError, OSError) as error:
            failed += 1
            print(f"failed: {path.name}: {error}", file=sys.stderr)
        else:
            results.append(result)
    if not results:
        raise ValueError(f"{folder} has no folder of images that could be scored.")
    result = sr.evaluate(sr.models.bicubic(scale), dataset, rgb=rgb, extra=extra)
    del result["mean"]["seconds"]
    results.append({**result, "model": "bicubic"})
    results.sort(key=lambda result: -result["mean"]["psnr_y"])
    print_means(str(folder), results)
    rows = [{"model": r["model"], **r["mean"]} for r in results]
    figure = plotting.quality_against_perception(rows)
    with files.replacing(folder / "leaderboard.png") as temporary:
        figure.savefig(temporary, dpi=120)
    console.print(f"PSNR against NIQE: {folder / 'leaderboard.png'}", soft_wrap=True)
    if json_file is not None:
        files.write_json(json_file, {"models": results})
    if failed:
        fail(f"{failed} of the folders could not be scored; see above.", 1)


def _score(name, data, scale, degradation, rgb, extra, lr_data=None, **options):
    network = sr.models.load(name, scale)
    scale = sr.models.scale_of(network)
    dataset = sr.datasets.open_data(
        data, scale, "validation", _degradation(degradation), lr_data
    )
    sr.datasets.named.check_degraded(dataset)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"evaluating {escape(name)}", total=len(dataset))
        result = sr.evaluate(
            network,
            dataset,
            rgb=rgb,
            on_image=lambda *_: progress.advance(task),
            extra=extra,
            **options,
        )
    parameters = network.count_params()
    return {**result, "model": name, "data": data, "parameters": parameters}


def _with_lpips(extra, lpips):
    """Returns the names of further scores, each once."""
    return list(dict.fromkeys([*(extra or ()), *(["lpips"] if lpips else [])]))


def _degradation(name):
    """Returns a name as it is, and the function for MODULE:FUNCTION."""
    if name is None or ":" not in name:
        return name
    module, _, function = name.partition(":")
    found = getattr(import_module(module), function, None)
    if found is None:
        raise ValueError(f"The module {module} has no {function!r}.")
    return found


def _shipped(scale):
    """Returns the scale of each shipped set, by name; x1 only if it is asked for."""
    scales = {
        name: sr.weights.identity(sr.weights.find(name))["config"]["scale"]
        for name in sr.weights.all_names()
    }
    return {
        name: found
        for name, found in scales.items()
        if found == scale or (scale is None and found > 1)
    }


def _check_file(path):
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"--json must be a file. Received: the folder {path}")
    files.check_writable(path.parent)
