"""The command line: `python -m sr_keras`, or `sr-keras`."""

import dataclasses
import json
import os
import pathlib
import sys
import tempfile
import warnings
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

import sr_keras as sr  # lazy: `--help` does not wait for TensorFlow

app = typer.Typer(
    help="Image super-resolution: train networks, measure them, upscale photos.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)

Scale = Annotated[int, typer.Option(help="Upscaling factor.")]
Out = Annotated[pathlib.Path, typer.Option(help="Folder for the results.")]
Tile = Annotated[
    int, typer.Option(help="Side of the tiles in LR pixels; 0 for the whole image.")
]
SelfEnsemble = Annotated[
    bool, typer.Option("--self-ensemble", help="Mean over 8 flips and rotations.")
]
Precision = Annotated[
    str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")
]


@app.callback()
def start():
    """Imports TensorFlow without what it says about GPUs that are not there."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            tf.get_logger().setLevel("ERROR")
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    sr._register()


@app.command()
def demo(out: Out = pathlib.Path("runs/demo")):
    """Trains ESPCN x3 on photos that come with scikit-image, in minutes on a CPU."""
    _move_former(out)
    recipe = sr.training.RECIPES["demo"]
    console.print(
        f"Training {recipe.network} x{recipe.scale} for {recipe.steps} steps of"
        f" {recipe.batch_size} patches on {', '.join(_demo_names('train'))}."
    )
    model, run = sr.training.train(recipe, out, evaluate_every=1000, console=console)
    _raise_if_stopped(run, f"train --recipe demo --out {out} --resume")
    network = _load(out, recipe.scale)
    dataset = sr.datasets.samples(recipe.scale, "validation")

    shown = [{} for _ in dataset.names]
    results = []
    candidates = [build(recipe.scale) for build in sr.models.INTERPOLATIONS.values()]
    for candidate in [*candidates, network]:

        def keep(i, lr, upscaled, hr, scores, name=candidate.name):
            shown[i].update({"LR": (lr, None), "HR": (hr, None)})
            shown[i][name] = (upscaled, (scores["psnr_y"], scores["ssim_y"]))

        result = sr.evaluate(candidate, dataset, on_image=keep)
        results.append({**result, "data": "samples, validation"})
    _print_table(results)

    for name, images in zip(dataset.names, shown, strict=True):
        order = ("LR", "bicubic", network.name, "HR")
        figure = sr.plotting.comparison(
            {title: images[title][0] for title in order},
            scores={title: images[title][1] for title in order[1:3]},
            crop=_DEMO_CROPS[name],
            title=f"{name}, x{recipe.scale}: PSNR (dB) and SSIM on luma,"
            f" {recipe.scale} border pixels cut",
        )
        figure.savefig(out / f"{name}.png", dpi=120)
    _write_json(out / "metrics.json", {"models": results})

    gain = results[-1]["mean"]["psnr_y"] - results[-2]["mean"]["psnr_y"]
    console.print(
        f"Gain over bicubic: {gain:+.2f} dB, the mean over {len(dataset)} photos that"
        f" were not trained on, after {run.seconds:.0f} s of training."
    )
    console.print(
        f"In {out}: best.keras (the network), metrics.json, curves.png, strip.png"
        f" and {', '.join(f'{name}.png' for name in dataset.names)}."
    )
    if gain <= 0:
        _fail("The network does not beat bicubic: something is wrong here.", 1)


# (top, left, height, width): an eye, and the gauges
_DEMO_CROPS = {"chelsea": (78, 126, 75, 99), "motorcycle": (111, 474, 84, 111)}


def _demo_names(split):
    return sr.datasets.samples(3, split).names


def _move_former(out):
    """Keeps a former run: `demo` becomes `demo-1`, or the next free number."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "recipe.json").is_file():
        raise FileExistsError(f"{out} has other things in it: choose another --out.")
    number = 1
    while (former := out.with_name(f"{out.name}-{number}")).exists():
        number += 1
    os.rename(out, former)
    console.print(f"The former run is kept in {former}.")


@app.command()
def train(
    out: Out,
    model: Annotated[
        str, typer.Argument(help="A network, see `models`; left out with --recipe.")
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Name of a recipe, which says all but where.")
    ] = None,
    scale: Scale = None,
    data: Annotated[
        list[str],
        typer.Option(
            help="samples, div2k, or a folder of photos; more than one if repeated."
        ),
    ] = None,
    validation: Annotated[
        str, typer.Option(help="Photos to score on; else some are held out.")
    ] = None,
    hold_out: Annotated[
        int,
        typer.Option(
            help="How many photos of folders are held out, without --validation."
        ),
    ] = None,
    degradation: Annotated[
        str,
        typer.Option(help="What makes LR images: a name of sr.degradations.NAMES."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Number of training steps.")] = None,
    batch_size: Annotated[int, typer.Option(help="Patches in a batch.")] = None,
    lr_size: Annotated[int, typer.Option(help="Side of the LR patches.")] = None,
    loss: Annotated[str, typer.Option(help="l1, l2, charbonnier, ssim, ...")] = None,
    optimizer: Annotated[str, typer.Option(help="adam or soap.")] = None,
    learning_rate: Annotated[float, typer.Option(help="The highest one.")] = None,
    schedule: Annotated[str, typer.Option(help="constant, cosine or halving.")] = None,
    warmup_steps: Annotated[
        int, typer.Option(help="Steps in which the learning rate rises, before cosine.")
    ] = None,
    clip_norm: Annotated[
        float, typer.Option(help="Largest norm of the gradient.")
    ] = None,
    ema: Annotated[
        float, typer.Option(help="Momentum of a moving average of the weights.")
    ] = None,
    precision: Precision = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = None,
    weights: Annotated[
        str, typer.Option(help="Weights to start from: a name or a file.")
    ] = None,
    option: Annotated[
        list[str],
        typer.Option(help="Argument of the network, such as filters=32; repeatable."),
    ] = None,
    evaluate_every: Annotated[
        int, typer.Option(help="Steps between two evaluations.")
    ] = 1000,
    save_every: Annotated[
        int, typer.Option(help="Steps between two saves; as evaluations if not given.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out.")
    ] = False,
    cache: Annotated[
        pathlib.Path, typer.Option(help="Folder for decoded images.")
    ] = pathlib.Path("data/cache"),
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out images that cannot be used.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard too.")
    ] = False,
    distribute: Annotated[
        str, typer.Option(help="mirrored (several GPUs) or multi_worker (machines).")
    ] = None,
):
    """Trains a network; stop it when you like, and go on with --resume."""
    given = {
        "network": model,
        "scale": scale,
        "data": tuple(data) if data else None,
        "validation": validation,
        "hold_out": hold_out,
        "degradation": degradation,
        "skip_bad": skip_bad or None,
        "steps": steps,
        "batch_size": batch_size,
        "lr_size": lr_size,
        "loss": loss,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "warmup_steps": warmup_steps,
        "clip_norm": clip_norm,
        "ema": ema,
        "precision": precision,
        "seed": seed,
        "weights": weights,
        "options": _parse_options(option) if option else None,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if recipe is not None:
        if recipe not in sr.training.RECIPES:
            raise ValueError(
                f"There is no recipe {recipe!r}. There are:"
                f" {', '.join(sr.training.RECIPES)}"
            )
        base = sr.training.RECIPES[recipe]
        given["options"] = {**base.options, **given.get("options", {})}
        settings = dataclasses.replace(base, **given)
    else:
        missing = {"network": "MODEL", "scale": "--scale", "data": "--data"}
        missing = [name for key, name in missing.items() if key not in given]
        if missing:
            raise ValueError(f"Needed, unless --recipe is: {', '.join(missing)}")
        settings = sr.training.Recipe(**given)

    if resume and not sr.training.recipes.has_state(out):
        console.print(f"There is no run in {out} yet: a new one begins.")
    network, run = sr.training.train(
        settings,
        out,
        evaluate_every=evaluate_every,
        save_every=save_every,
        resume=resume,
        cache=cache,
        tensorboard=tensorboard,
        progress=_progress,
        console=console,
        distribute=distribute,
    )
    _raise_if_stopped(run)
    names = ("best.keras", "last.keras", "final.weights.h5", "log.json", "curves.png")
    console.print(
        f"Trained {network.name} x{settings.scale} for {run.step} steps in"
        f" {run.seconds:.0f} s. In {out}:"
        f" {', '.join(name for name in names if (out / name).is_file())}."
    )


def _parse_options(texts):
    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--option must be NAME=VALUE. Received: {text}")
        try:
            options[key] = json.loads(value)
        except json.JSONDecodeError:
            options[key] = value
    return options


def _progress(items):
    return track(items, description="decoding", console=console)


def _raise_if_stopped(run, going_on="--resume"):
    if run.stopped == "nan":
        _fail(
            f"The loss became NaN or infinite at step {run.step}. The last good state"
            f" is kept in {run.folder}; a lower learning rate or --clip-norm helps.",
            1,
        )
    if run.stopped == "signal":
        _fail(f"Stopped and saved at step {run.step}; go on with {going_on}.", 130)


@app.command()
def evaluate(
    data: Annotated[
        str, typer.Option(help="Folder of photos, or with HR and LR_bicubic in it.")
    ],
    model: Annotated[
        str,
        typer.Argument(help="A network, an interpolation, a run, a file, a set."),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Score every set of shipped weights (of --scale, if given), on the"
            " photos or on each folder of a benchmark set in --data.",
        ),
    ] = False,
    leaderboard: Annotated[
        pathlib.Path,
        typer.Option(
            help="Score images instead: a folder with a folder of upscaled images for"
            " each participant, where leaderboard.png is drawn."
        ),
    ] = None,
    scale: Scale = None,
    degradation: Annotated[str, typer.Option(help="What makes the LR images.")] = None,
    rgb: Annotated[bool, typer.Option("--rgb", help="Score RGB values too.")] = False,
    extra: Annotated[
        list[str],
        typer.Option(
            help="A further score: ms_ssim, hfenn, vif, ifc, niqe, lr_psnr or vgg;"
            " repeatable."
        ),
    ] = None,
    tile: Tile = 0,
    self_ensemble: SelfEnsemble = False,
    json_file: Annotated[
        pathlib.Path, typer.Option("--json", help="Where to write the scores.")
    ] = None,
):
    """Scores a model on photos by the papers' protocol."""
    if [model is not None, all_, leaderboard is not None].count(True) != 1:
        raise ValueError("Give either a model, or --all, or --leaderboard.")
    if json_file is not None and json_file.is_dir():
        raise ValueError(f"--json must be a file. Received: the folder {json_file}")
    if leaderboard is not None:
        if tile or self_ensemble:
            raise ValueError("--leaderboard upscales nothing: no --tile, no ensemble.")
        dataset = sr.datasets.open_data(data, scale or 4, "validation", degradation)
        rows, failed = _score_participants(leaderboard, dataset, rgb, extra or ())
        if json_file is not None:
            _write_json(json_file, {"models": rows})
        if failed:
            _fail(f"{failed} of the folders could not be scored; see above.", 1)
        return

    def score(name, data):
        network = _load(name, scale)
        dataset = sr.datasets.open_data(
            data, sr.models.scale_of(network), "validation", degradation
        )
        sr.datasets.named.check_degraded(dataset)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(f"evaluating {name}", total=len(dataset))
            result = sr.evaluate(
                network,
                dataset,
                rgb=rgb,
                tile=tile,
                self_ensemble=self_ensemble,
                on_image=lambda *_: progress.advance(task),
                extra=extra or (),
            )
        parameters = getattr(network, "count_params", int)()
        return {**result, "model": name, "data": data, "parameters": parameters}

    if not all_:
        content = score(model, data)
        _print_table([content])
    else:
        results = []
        for folder in sr.datasets.named.sets_in(data):
            for wanted in sorted({s for s, _ in _shipped(scale)}):
                names = [name for s, name in _shipped(scale) if s == wanted]
                rows = [score(name, folder) for name in names]
                _print_means(folder, rows)
                results += rows
        content = {"models": results}
    if json_file is not None:
        _write_json(json_file, content)


def _score_participants(folder, dataset, rgb, extra):
    """Prints and draws the scores of each folder in a folder, and of bicubic.

    Returns:
        `(results, failed)`: those of `evaluation.evaluate_images`, and how many folders
        could not be scored.
    """
    from sr_keras import evaluation

    extra = list(dict.fromkeys(["niqe", "lr_psnr", *extra]))
    results, failed = [], 0
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            result = evaluation.evaluate_images(path, dataset, rgb, extra=extra)
        except (ValueError, OSError) as error:
            failed += 1
            print(f"failed: {path.name}: {error}", file=sys.stderr)
        else:
            results.append(result)
    if not results:
        raise ValueError(f"{folder} has no folder of images that could be scored.")
    baseline = sr.models.bicubic(dataset.scale)
    result = sr.evaluate(baseline, dataset, rgb=rgb, extra=extra)
    del result["mean"]["seconds"]
    results.append({**result, "model": "bicubic"})
    results.sort(key=lambda result: -result["mean"]["psnr_y"])
    _print_means(str(folder), results)
    rows = [{"model": r["model"], **r["mean"]} for r in results]
    figure = sr.plotting.quality_against_perception(rows)
    path = folder / "leaderboard.png"
    figure.savefig(path, dpi=120)
    console.print(f"PSNR against NIQE: {path}", soft_wrap=True)
    return results, failed


def _shipped(scale):
    """Returns pairs of the scale and the name of each set, x1 left out if not asked."""
    found = []
    for name in sr.pretrained.all_names():
        stored = sr.pretrained.describe(sr.pretrained.find(name))
        found.append((stored["config"]["scale"], name))
    return [
        pair for pair in found if pair[0] == scale or (scale is None and pair[0] > 1)
    ]


@app.command()
def upscale(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] PATH...",
            help="A network, a run, a file, or a set of shipped weights; without one,"
            " the best that is shipped for --scale (4). Then image files and folders.",
        ),
    ],
    out: Out,
    scale: Scale = None,
    tile: Tile = 256,
    self_ensemble: SelfEnsemble = False,
    precision: Precision = "float32",
):
    """Enlarges photos, and goes on past files that cannot be read."""
    model, paths = None, arguments
    if not _is_image_or_folder(arguments[0]):
        model, *paths = arguments
    if not paths:
        path = pathlib.Path(model)
        is_model = _network_of_run(path) or path.suffix in (".keras", ".h5")
        if path.suffix and not is_model:
            raise ValueError(
                f"{model} is no image that can be read: {', '.join(sr.images.SUFFIXES)}"
            )
        _load(model, scale)  # which says what is wrong with it
        raise ValueError(f"Give images to upscale by {model}.")
    if model is None:
        model = sr.pretrained.best(scale or 4)
        console.print(f"by {model}, the best that is shipped")
    network = _load(model, scale)
    precision = sr.training.choose_precision(precision)
    if precision != "float32":
        network = sr.inference.with_precision(network, precision)
    failed = 0
    with Progress(console=console) as progress:
        task = progress.add_task("")

        def show(path, done, total):
            progress.update(task, description=path.name, completed=done, total=total)

        for path, target, error in sr.inference.upscale_files(
            network, paths, out, tile=tile, self_ensemble=self_ensemble, progress=show
        ):
            if error is None:
                console.print(f"{path} -> {target}", soft_wrap=True)
            else:
                failed += 1
                print(f"failed: {error}", file=sys.stderr)
    if failed:
        _fail(f"{failed} of the images could not be upscaled; see above.", 1)


def _is_image_or_folder(argument):
    path = pathlib.Path(argument)
    if path.is_dir():
        return _network_of_run(path) is None
    return path.suffix.lower() in sr.images.SUFFIXES


@app.command()
def models():
    """Lists the networks, what they are, and the weights that are shipped."""
    table = Table(box=None, pad_edge=False)
    for column in ("name", "framework", "paper", "scales"):
        table.add_column(column)
    table.add_column("parameters", justify="right")
    table.add_column("Mult-Adds", justify="right")
    table.add_column("shipped weights")
    for name, entry in sr.models.CATALOGUE.items():
        table.add_row(
            name,
            entry.framework,
            entry.paper,
            ", ".join(map(str, entry.scales)),
            f"{entry.parameters:,}",
            f"{entry.giga_mult_adds:,.1f} G",
            ", ".join(
                f"x{s} {weights}"
                for s in entry.scales
                for weights in sr.pretrained.names(name, scale=s)
            ),
        )
    console.print(table)
    console.print("Parameters and Mult-Adds: at x4, for an output of 1280x720 pixels.")


@app.command()
def download(
    dataset: Annotated[str, typer.Argument(help="div2k")],
    scale: Scale = 4,
    track_: Annotated[
        str, typer.Option("--track", help="bicubic, unknown, realistic_mild, ...")
    ] = "bicubic",
    path: Annotated[
        pathlib.Path,
        typer.Option(
            help="Where it goes, instead of the folder that SR_KERAS_DATA names, or"
            " data. `--data div2k` looks only there."
        ),
    ] = None,
):
    """Downloads a dataset and checks it."""
    if dataset != "div2k":
        raise ValueError(f"Only div2k can be downloaded. Received: {dataset}")
    for split in ("train", "validation"):
        pairs = sr.datasets.div2k(scale, split, track_, path=path, progress=_progress)
        console.print(f"{len(pairs)} pairs of DIV2K {track_} x{scale}, {split}")


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="A network, a run, or a file.")],
    out: Annotated[pathlib.Path, typer.Option(help="File (or folder) to write.")],
    format: Annotated[str, typer.Option(help="onnx, litert or saved_model.")] = "onnx",
    scale: Scale = None,
):
    """Exports a network for other runtimes, and checks that they agree."""
    from sr_keras import exporting

    network = _load(model, scale)
    exporting.export(network, out, format)
    console.print(f"{model} -> {out}", soft_wrap=True)
    try:
        difference = exporting.check(network, out, format)
    except ImportError as error:
        console.print(f"Not checked: {error}")
    else:
        console.print(f"Checked: outputs differ by {difference:.1g} at most.")


def _load(model, scale):
    """Loads a model by name, from a run, or from a file."""
    path = _network_of_run(pathlib.Path(model)) or pathlib.Path(model)
    if path.suffix == ".keras":
        if not path.is_file():
            raise FileNotFoundError(f"There is no model file {path}")
        import keras

        try:
            network = keras.models.load_model(path, compile=False)
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise ValueError(f"{path} is not a model of Keras: {error}") from error
    elif path.name.endswith(".weights.h5"):
        network = sr.models.load(path)
    elif model in sr.pretrained.all_names():
        network = sr.models.load(model)
    elif model in sr.models.INTERPOLATIONS:
        if scale is None:
            raise ValueError(f"{model} needs --scale.")
        return sr.models.INTERPOLATIONS[model](scale)
    elif model in sr.models.NETWORKS:
        if scale is None:
            raise ValueError(f"{model} needs --scale.")
        best = sr.pretrained.best(scale, model)
        console.print(f"{model}: {best}, its best shipped weights", highlight=False)
        network = sr.models.load(best)
    else:
        raise ValueError(
            f"There is no model {model!r}: it is no file, no run, no shipped set, and"
            f" none of {', '.join([*sr.models.INTERPOLATIONS, *sr.models.NETWORKS])}."
        )
    found = sr.models.scale_of(network)
    if scale is not None and scale != found:
        raise ValueError(f"{model} enlarges by {found}, not by {scale}.")
    return network


def _network_of_run(folder):
    """Returns the file of a run's best network, else of its last; None if no run."""
    files = [folder / name for name in ("best.keras", "last.keras")]
    return next((file for file in files if file.is_file()), None)


def _print_table(results):
    """Prints the scores of one or more models on the same photos."""
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
    console.print(f"x{results[0]['scale']}: {results[0]['conditions']}.")


def _print_means(data, results):
    """Prints a line for each model: its mean scores on the same photos."""
    table = Table(box=None, pad_edge=False, title=data, title_justify="left")
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
    console.print(f"x{results[0]['scale']}: {results[0]['conditions']}.\n")


def _cell(key, value):
    return f"{value:.2f}" if "psnr" in key or key == "seconds" else f"{value:.4f}"


def _write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    sr.training.callbacks.write_text(path, json.dumps(content, indent=1))


def _fail(message, code):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def main():
    """Runs the command line; errors of use end without a traceback."""
    warnings.showwarning = lambda message, *_: print(
        f"warning: {message}", file=sys.stderr
    )
    try:
        app()
    except (ValueError, FileNotFoundError, FileExistsError, ImportError) as error:
        _fail(error, 2)
    except Exception as error:
        if sr.inference.is_out_of_memory(error):
            _fail("Out of memory: smaller batches, patches or tiles need less.", 1)
        if not isinstance(error, (OSError, RuntimeError)):
            raise
        _fail(error, 1)


if __name__ == "__main__":
    main()
