"""Commands that train, and that fetch data to train on."""

import functools
import os
import pathlib
import shlex
from typing import Annotated

import typer
from rich.progress import track

import sr_keras as sr
from sr_keras import checks, files, plotting, processor
from sr_keras.cli import Import, app, console, fail, import_module
from sr_keras.cli.tables import print_scores
from sr_keras.training import recipe as recipes
from sr_keras.training import run as runs
from sr_keras.training.recipes import find

Out = Annotated[pathlib.Path, typer.Option(help="Folder for the results.")]

# (top, left, height, width) of what the demo shows: an eye, and the gauges
_DEMO_CROPS = {"chelsea": (78, 126, 75, 99), "motorcycle": (111, 474, 84, 111)}


@app.command()
def demo(out: Out = pathlib.Path("runs/demo")):
    """Trains ESPCN x3 on photos that come with scikit-image, in minutes on a CPU."""
    _keep_former(out)
    recipe = sr.training.RECIPES["demo"]
    console.print(
        f"Training {recipe.network} x{recipe.scale} for {recipe.steps} steps of"
        f" {recipe.batch_size} patches."
    )
    _, run = sr.training.train(recipe, out, console=console)
    _raise_if_stopped(run, out)

    photos = sr.datasets.samples(recipe.scale, "validation")
    network = sr.models.load(out)
    builders = sr.models.INTERPOLATIONS.values()
    interpolations = [build(recipe.scale) for build in builders]
    shown = [{} for _ in photos.names]
    results = []
    for model in [*interpolations, network]:

        def keep(i, lr, upscaled, hr, scores, name=model.name):
            shown[i].update({"LR": (lr, None), "HR": (hr, None)})
            shown[i][name] = (upscaled, (scores["psnr_y"], scores["ssim_y"]))

        result = sr.evaluate(model, photos, on_image=keep)
        results.append({**result, "data": "samples, validation"})
    print_scores(results)
    files.write_json(out / "metrics.json", {"models": results})
    for name, images in zip(photos.names, shown, strict=True):
        order = ("LR", "bicubic", network.name, "HR")
        figure = plotting.comparison(
            {title: images[title][0] for title in order},
            scores={title: images[title][1] for title in order[1:3]},
            crop=_DEMO_CROPS[name],
            title=f"{name}, x{recipe.scale}: PSNR (dB) and SSIM on luma,"
            f" {recipe.scale} border pixels cut",
        )
        with files.replacing(out / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=120)

    gain = results[-1]["mean"]["psnr_y"] - results[-2]["mean"]["psnr_y"]
    console.print(
        f"Gain over bicubic: {gain:+.2f} dB, the mean over {len(photos)} photos that"
        f" were not trained on, after {run.seconds:.0f} s of training."
    )
    console.print(
        f"In {out}: best.keras (the network), metrics.json, curves.png, strip.png"
        f" and {', '.join(f'{name}.png' for name in photos.names)}."
    )
    if gain <= 0:
        fail("The network does not beat bicubic interpolation.", 1)


def _keep_former(out):
    """Renames the folder of a previous demo to `demo-1`, or the next free number."""
    if not out.exists():
        return
    # a demo that failed at once leaves nothing but the lock
    if out.is_dir() and not {path.name for path in out.iterdir()} - {runs.LOCK_FILE}:
        return
    if not (out / "recipe.json").is_file():
        raise FileExistsError(f"{out} holds other files. Choose another --out.")
    number = 1
    while (former := out.with_name(f"{out.name}-{number}")).exists():
        number += 1
    os.rename(out, former)
    console.print(f"The previous run is kept in {former}.")


@app.command()
def train(
    out: Annotated[pathlib.Path, typer.Option(help="Folder of the run.")],
    network: Annotated[
        str,
        typer.Argument(
            help="Name of a network, see `models`, or MODULE:FUNCTION. Leave it out"
            " with --recipe or --resume."
        ),
    ] = None,
    scale: Annotated[int, typer.Option(help="Upscaling factor.")] = None,
    data: Annotated[
        list[str],
        typer.Option(
            help="samples, div2k, or a folder of photos. Repeat it for several."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Number of training steps.")] = None,
    recipe: Annotated[
        str, typer.Option(help="Name of a recipe, or a JSON file with one.")
    ] = None,
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Any other field of the recipe, such as batch_size=8,"
            " loss=charbonnier, options.filters=32 or global_clipnorm=null. Repeat it"
            " for several.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in --out.")
    ] = False,
    lr_data: Annotated[
        list[str], typer.Option(help="Folder of the LR files, one for each --data.")
    ] = None,
    degradation: Annotated[
        str,
        typer.Option(
            help="What makes the LR images: a name of sr.degradations.NAMES, or"
            " MODULE:FUNCTION."
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")
    ] = None,
    import_: Import = None,
    evaluate_every: Annotated[
        int, typer.Option(help="Steps between two evaluations.")
    ] = 1000,
    save_every: Annotated[
        int, typer.Option(help="Steps between two saves; as evaluations if not given.")
    ] = None,
    steps_per_execution: Annotated[
        int, typer.Option(help="Steps that run as one call; faster for small networks.")
    ] = 1,
    cache: Annotated[
        pathlib.Path, typer.Option(help="Folder for decoded images.")
    ] = pathlib.Path("data/cache"),
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard too.")
    ] = False,
    distribute: Annotated[
        str, typer.Option(help="mirrored (several GPUs) or multi_worker (machines).")
    ] = None,
):
    """Trains a network. Stop it when you like, and continue with --resume.

    The first seven options are enough for most runs.
    """
    modules = list(import_ or ())
    for reference in (network, degradation):
        if reference and ":" in reference:
            modules.append(reference.partition(":")[0])
            import_module(modules[-1])
    modules = list(dict.fromkeys(modules))
    given = {
        "network": network,
        "scale": scale,
        "data": data or None,
        "lr_data": lr_data or None,
        "steps": steps,
        "degradation": degradation,
        "precision": precision,
    }
    given = {name: value for name, value in given.items() if value is not None}
    given.update(map(recipes.parse_setting, set_ or ()))
    settings = _recipe(recipe, given, out, resume)
    if resume and not runs.has_state(out):
        console.print(f"No previous run in {out}; starting a new one.")
    console.print(f"This machine: {processor.describe()}.")
    model, run = sr.training.train(
        settings,
        out,
        evaluate_every=evaluate_every,
        save_every=save_every,
        resume=resume,
        cache=cache,
        tensorboard=tensorboard,
        progress=show_progress,
        console=console,
        distribute=distribute,
        steps_per_execution=steps_per_execution,
    )
    _raise_if_stopped(run, out, modules)
    names = ("best.keras", "last.keras", "final.weights.h5", "log.json", "curves.png")
    console.print(
        f"Trained {model.name} x{settings.scale} for {run.step} steps in"
        f" {run.seconds:.0f} s. In {out}:"
        f" {', '.join(name for name in names if (out / name).is_file())}."
    )


def _recipe(name, given, out, resume):
    """Returns the recipe that the options of `train` describe."""
    if name is not None:
        return find(name).replace(**given)
    if resume and (out / "recipe.json").is_file():
        return runs.read_recipe(out).replace(**given)
    if resume and not given:
        raise FileNotFoundError(f"There is no run to resume in {out}")
    missing = {"network": "NETWORK", "scale": "--scale", "data": "--data"}
    missing = [option for field, option in missing.items() if field not in given]
    if missing:
        raise ValueError(f"Needed without --recipe and --resume: {', '.join(missing)}")
    first = {k: given.pop(k) for k in ("network", "scale", "data")}
    return sr.training.Recipe(**first).replace(**given)


def show_progress(items, description="decoding"):
    """Shows a bar while a dataset is decoded or downloaded."""
    return track(items, description=description, console=console)


def _raise_if_stopped(run, out, modules=()):
    """Ends the program if a run was stopped, and says how to resume it.

    Args:
        run: The `TrainingRun`.
        out: Its folder, as it was given.
        modules: Modules that must be imported first.
    """
    words = ["python", "-m", "sr_keras", "train", "--resume", "--out", str(out)]
    for module in modules:
        words += ["--import", module]
    command = shlex.join(words)
    if run.stopped == "nan":
        kept = "No state had been saved yet. Start again"
        if runs.has_state(run.folder):
            kept = "The last good state is kept. Resume"
        fail(
            f"The loss became NaN or infinite at step {run.step}. {kept} with a lower"
            f" rate or clipped gradients: {command} --set learning_rate=RATE --set"
            " global_clipnorm=NORM.",
            1,
        )
    if run.stopped == "signal":
        fail(f"Stopped and saved at step {run.step}. Resume with: {command}", 130)


@app.command()
def download(
    dataset: Annotated[str, typer.Argument(help="div2k")],
    scale: Annotated[int, typer.Option(help="Upscaling factor.")] = 4,
    track_: Annotated[
        str, typer.Option("--track", help="bicubic, unknown, realistic_mild, ...")
    ] = "bicubic",
    path: Annotated[
        pathlib.Path,
        typer.Option(
            help="Download folder; by default the one that SR_KERAS_DATA names, or"
            " data. `train --data div2k` looks only in that default folder."
        ),
    ] = None,
):
    """Downloads a dataset and checks it."""
    checks.check_name("a dataset that can be downloaded", dataset, ["div2k"])
    for split in ("train", "validation"):
        progress = functools.partial(show_progress, description=f"{dataset} {split}")
        pairs = sr.datasets.div2k(scale, split, track_, path=path, progress=progress)
        console.print(f"{len(pairs)} pairs of DIV2K {track_} x{scale}, {split}")
