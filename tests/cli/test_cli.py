import json
import pathlib
import re
import subprocess
import sys
import types

import numpy as np
import preloaded
import pytest
import skimage.data

import sr_keras as sr
from sr_keras import cli, files, images, inference, models, training, weights


@pytest.fixture
def call(capsys, monkeypatch):
    """Calls the command line in this process: `code, out, err = call(*arguments)`."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sr_keras", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def photos(tmp_path):
    """A folder of three photos of 60x72 pixels."""
    rng = np.random.default_rng(0)
    for name in "abc":
        coarse = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        images.write(
            tmp_path / f"photos/{name}.png",
            np.kron(coarse, np.ones((6, 6, 1), np.uint8)),
        )
    return tmp_path / "photos"


TRAIN = (
    "train",
    "espcn",
    "--scale",
    2,
    "--steps",
    4,
    "--precision",
    "float32",
    "--set",
    "batch_size=2",
    "--set",
    "num_validation=1",
    "--set",
    "lr_patch_size=8",
    "--set",
    "options.channels=3",
)


def last_line(err):
    return err.strip().splitlines()[-1]


def test_train_resume_evaluate_upscale_export(call, photos, tmp_path):
    run = tmp_path / "run"
    arguments = (*TRAIN, "--data", photos, "--out", run, "--cache", tmp_path / "cache")
    code, out, err = call(*arguments)
    assert code == 0, err
    assert "Trained espcn x2 for 4 steps" in out

    code, _, err = call(*arguments)
    assert code == 2
    assert "There is a run in" in last_line(err)
    code, _, err = call(*arguments, "--resume", "--set", "seed=1")
    assert code == 2
    assert "seed was 0 and is 1" in last_line(err)
    code, _, err = call("train", "--resume", "--out", run)
    assert code == 0, err

    scores = tmp_path / "scores.json"
    code, out, err = call(
        "evaluate",
        run,
        "--data",
        photos,
        "--json",
        scores,
        "--rgb",
        "--extra",
        "lr_psnr",
    )
    assert code == 0, err
    result = json.loads(scores.read_text())
    assert result.keys() >= {"model", "data", "scale", "conditions", "images", "mean"}
    assert result["scale"] == 2
    assert [row["name"] for row in result["images"]] == ["a", "b", "c"]
    expected = {"psnr_y", "ssim_y", "psnr_rgb", "lr_psnr", "seconds"}
    assert result["images"][0].keys() >= expected
    mean = np.mean([row["psnr_y"] for row in result["images"]])
    assert result["mean"]["psnr_y"] == pytest.approx(mean)
    assert f"{mean:.2f}" in out
    assert "2 border pixels cut, mean over images" in " ".join(out.split())
    assert "seconds: wall time" not in out  # which this table does not have

    (photos / "broken.png").write_bytes(b"not an image")
    code, out, err = call(
        "upscale", photos, "--model", run, "--out", tmp_path / "large"
    )
    assert code == 1
    assert "broken.png" in err
    assert last_line(err) == "error: 1 of the files could not be upscaled; see above."
    assert images.read(tmp_path / "large/a.png").shape == (120, 144, 3)

    code, out, err = call(
        "export", run / "best.keras", "--format", "saved_model", "--out", tmp_path / "e"
    )
    assert code == 0, err
    assert (tmp_path / "e/saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("train", "espcn", "--out", "x"),
            "Needed without --recipe and --resume",
        ),
        (("train", "--recipe", "demos", "--out", "x"), "Did you mean 'demo'"),
        (("train", "--resume", "--out", "x"), "There is no run to resume in x"),
        (("train", "--recipe", "a.json", "--out", "x"), "There is no recipe file a.js"),
        ((*TRAIN, "--data", "nowhere", "--out", "x"), "'nowhere'"),
        (
            ("train", "edrs", "--scale", 2, "--data", "samples", "--out", "x"),
            "'edrs' is not the name of a network. Did you mean 'edsr'",
        ),
        (
            ("train", "no_module:net", "--scale", 2, "--data", "samples", "--out", "x"),
            "There is no Python module no_module",
        ),
        (
            (*TRAIN, "--data", "samples", "--out", "x", "--import", "sr_keras.typo"),
            "There is no Python module sr_keras.typo",
        ),
        (
            (*TRAIN, "--data", "samples", "--out", "x", "--set", "seed=abc"),
            "`seed` must be an integer of at least 0. Received: seed='abc'",
        ),
        (
            (*TRAIN, "--data", "samples", "--out", "x", "--set", "options.depth=3"),
            "depth",
        ),
        (
            (*TRAIN, "--data", "samples", "--out", "x", "--set", "d"),
            "--set must be FIELD=VALUE. Received: d",
        ),
        (
            (*TRAIN, "--data", "samples", "--out", "x", "--set", "learning_rat=1"),
            "Did you mean 'learning_rate'",
        ),
        (
            (*TRAIN, "--data", "samples", "--out", "x", "--set", "schedule=up"),
            "'up' is not the name of a schedule",
        ),
        (("evaluate", "bicubic", "--data", "samples"), "so `scale` is needed"),
        (
            ("evaluate", "edsr-x4-bsd", "--data", "samples"),
            "Did you mean 'edsr-x4-bsds'",
        ),
        (("evaluate", "no.keras", "--data", "samples"), "no model file no.keras"),
        (
            ("upscale", "no.png", "--model", "bicubic", "--scale", 2, "--out", "x"),
            "could not be",
        ),
        (("download", "imagenet"), "Available: div2k"),
        (("evaluate", "bicubic", "--scale", "two"), "--scale"),
        (("fly",), "No such command 'fly'"),
    ],
)
def test_errors_end_with_a_line_that_says_what_is_wrong(
    call, arguments, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, _, err = call(*arguments)
    assert code == (1 if arguments[0] == "upscale" else 2)
    assert message in last_line(err)
    assert "Traceback" not in err


def test_settings_are_read_as_the_field_needs_them(call, tmp_path, monkeypatch):
    def keep(recipe, *_, **__):
        kept.append(recipe)
        raise OSError("not trained")

    kept = []
    monkeypatch.setattr(training, "train", keep)
    arguments = [*TRAIN, "--data", "samples", "--out", tmp_path / "run"]
    for value in ("False", "false"):
        call(*arguments, "--set", f"skip_bad={value}")
    call(*arguments, "--set", "skip_bad=True", "--set", "validation=None")
    assert [recipe.skip_bad for recipe in kept] == [False, False, True]
    assert kept[-1].validation is None
    call(*arguments, "--set", "data=2024", "--set", "validation=2025")
    assert (kept[-1].data, kept[-1].validation) == (("2024",), "2025")
    call(*arguments, "--set", 'data=["a", "b"]')
    assert kept[-1].data == ("a", "b")


def test_the_command_that_resumes_a_stopped_run_can_be_pasted(
    call, tmp_path, monkeypatch
):
    def stop(recipe, out, **_):
        return None, types.SimpleNamespace(stopped="signal", step=3, folder=out)

    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain_module.py").write_text("")
    monkeypatch.setattr(training, "train", stop)
    arguments = ("plain_module:net", *TRAIN[2:], "--import", "json", "--out", "my run")
    code, _, err = call("train", *arguments, "--data", "samples")
    assert code == 130
    assert last_line(err).endswith(
        "python -m sr_keras train --resume --out 'my run' --import json"
        " --import plain_module"
    )


def test_a_file_that_is_not_a_model_is_named(call, tmp_path):
    (tmp_path / "bad.keras").write_bytes(b"zip?")
    code, _, err = call(
        "upscale", "x.png", "--model", tmp_path / "bad.keras", "--out", tmp_path
    )
    assert code == 2
    assert (
        "bad.keras is not a readable Keras model: it is not a zip archive"
        in last_line(err)
    )


def test_nan_is_reported_and_the_advice_can_be_followed(call, photos, tmp_path):
    run = tmp_path / "run"
    arguments = (*TRAIN, "--data", photos, "--out", run, "--cache", tmp_path / "cache")
    code, _, err = call(*arguments, "--set", "learning_rate=1e38")
    assert code == 1
    assert "became NaN or infinite" in last_line(err)
    assert "No state had been saved yet. Start again with a lower rate" in err
    assert f"python -m sr_keras train --resume --out {run} --set" in last_line(err)
    arguments = ("train", "--resume", "--out", run, "--cache", tmp_path / "cache")
    code, _, err = call(*arguments, "--set", "learning_rate=1e-4")
    assert code == 0, err
    # from here on there is a state to resume
    more = ("--steps", 8, "--save-every", 4)
    code, _, err = call(*arguments, *more, "--set", "learning_rate=1e38")
    assert code == 1
    assert "The last good state is kept. Resume with a lower rate" in last_line(err)
    assert f"python -m sr_keras train --resume --out {run} --set" in last_line(err)
    again = ("--steps", 8, "--set", "learning_rate=1e-5", "--set", "global_clipnorm=1")
    code, _, err = call(*arguments, *again)
    assert code == 0, err
    code, _, err = call(*arguments, *again, "--set", "global_clipnorm=null")
    assert code == 2
    assert "global_clipnorm was 1 and is None" in last_line(err)
    again = ("--steps", 9, "--set", "global_clipnorm=null")
    code, _, err = call(*arguments, *again)
    assert code == 0, err


def test_networks_and_losses_of_a_module_are_imported(
    call, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        """
import keras
import sr_keras as sr


@sr.models.register
def my_network(scale, filters=4, name="my_network"):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(filters, 3, padding="same")(inputs)
    x = keras.layers.Conv2D(3 * scale**2, 3, padding="same")(x)
    return keras.Model(inputs, sr.layers.PixelShuffle(scale)(x), name=name)


def my_loss(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=(1, 2, 3))
"""
    )
    arguments = (
        "--scale",
        2,
        "--data",
        photos,
        "--steps",
        2,
        "--set",
        "lr_patch_size=8",
    )
    arguments += ("--set", "loss=mine:my_loss", "--set", "num_validation=1")
    code, _, err = call("train", "mine:my_network", *arguments, "--out", "run")
    assert code == 0, err
    code, _, err = call(
        "train", "my_network", "--import", "mine", *arguments, "--out", "run-2"
    )
    assert code == 0, err
    code, _, err = call("upscale", photos / "a.png", "--model", "run", "--out", "large")
    assert code == 0, err
    loaded = models.load(tmp_path / "run-2/final.weights.h5")
    assert loaded.identity["network"] == "my_network"
    models.NETWORKS.pop("my_network")


LAYERS = """
import keras
import sr_keras as sr


@keras.saving.register_keras_serializable(package="layers_of_mine")
class Half(keras.layers.Layer):
    def call(self, inputs):
        return inputs / 2


def graph(scale, name="own"):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(3 * scale**2, 3, padding="same")(Half()(inputs))
    return keras.Model(inputs, sr.layers.PixelShuffle(scale)(x), name=name)
"""


@pytest.mark.parametrize("is_registered", [True, False])
def test_a_network_with_own_layers_is_used_in_a_new_process(
    photos, tmp_path, is_registered
):
    start = *preloaded.python(), "-c", "import sr_keras.cli; sr_keras.cli.main()"

    def run(*arguments):
        done = subprocess.run(
            [*start, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        return done.returncode, done.stderr

    text = LAYERS
    if is_registered:
        text += "\n\ngraph = sr.models.register(graph)\n"
    (tmp_path / "layers_of_mine.py").write_text(text)
    options = "--scale 2 --steps 2 --set lr_patch_size=8 --set num_validation=1".split()
    options += ["--set", "batch_size=2", "--precision", "float32"]
    options += ["--data", photos, "--out", "run"]
    code, err = run("train", "layers_of_mine:graph", *options)
    assert code == 0, err
    photo = photos / "a.png"
    commands = [
        ("upscale", photo, "--out", "large", "--model", "run"),
        ("upscale", photo, "--out", "larger", "--model", "run/final.weights.h5"),
        ("evaluate", "run", "--data", photos),
        ("export", "run", "--out", "network", "--format", "saved_model"),
    ]
    for command in commands:
        code, err = run(*command, "--import", "layers_of_mine")
        assert code == 0, err
    code, err = run("weights", "export", "run", "a.safetensors", "--import", "json")
    assert code == 2
    assert err == (
        f"error: {pathlib.Path('run/best.keras')} needs the class 'Half' of the module"
        " layers_of_mine, which has not been imported. Import it first (on the command"
        " line: --import layers_of_mine).\n"
    )
    code, err = run("evaluate", "run/final.weights.h5", "--data", photos)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert ("'graph'" if is_registered else "'layers_of_mine:graph'") in err
    assert "Import " in err and "(on the command line: --import " in err
    images_of = [images.read(tmp_path / f / "a.png") for f in ("large", "larger")]
    assert np.abs(np.subtract(*images_of, dtype=int)).max() <= 1  # float16 weights


def test_a_recipe_comes_from_a_file(call, tmp_path):
    recipe = training.RECIPES["demo"].replace(
        steps=1, warmup_steps=0, **{"options.filters": [4, 4]}
    )
    (tmp_path / "mine.json").write_text(json.dumps(recipe.as_json()))
    run = tmp_path / "run"
    code, _, err = call("train", "--recipe", tmp_path / "mine.json", "--out", run)
    assert code == 0, err
    assert json.loads((run / "recipe.json").read_text()) == recipe.as_json()


def test_faults_of_the_program_keep_their_traceback(
    call, photos, monkeypatch, tmp_path
):
    def fail(*_, **__):
        a, b = [1]
        return a, b

    monkeypatch.setattr(training, "train", fail)
    with pytest.raises(ValueError, match="not enough values to unpack"):
        call(*TRAIN, "--data", photos, "--out", tmp_path / "run")


def test_names_with_brackets_are_printed_whole(call, photos, tmp_path):
    (photos / "a.png").rename(photos / "a[bold].png")
    arguments = ("--model", "nearest", "--scale", 2, "--out", tmp_path / "large")
    code, out, err = call("upscale", photos / "a[bold].png", *arguments)
    assert code == 0, err
    assert out.count("a[bold].png") == 3  # its path, that of the result, and the bar


def test_help_begins_with_what_most_runs_need(call):
    text = call("train", "--help")[1]
    options = re.findall(r"^  --([a-z-]+)", text, re.M)
    common = "out", "scale", "data", "steps", "recipe", "set", "resume"
    assert tuple(options[: len(common)]) == common
    assert "The first seven options are enough for most runs." in " ".join(text.split())


def test_upscale_takes_a_halo(call, photos, tmp_path, monkeypatch):
    def keep(*_, **options):
        kept.append(options["halo"])
        return iter(())

    kept = []
    monkeypatch.setattr(inference, "upscale_files", keep)
    arguments = "upscale", photos, "--model", "nearest", "--scale", 2, "--out", tmp_path
    assert call(*arguments)[0] == call(*arguments, "--halo", 5)[0] == 0
    assert kept == [None, 5]


def test_version_and_quiet(call, photos, tmp_path):
    import sr_keras

    code, out, _ = call("--version")
    assert (code, out) == (0, f"sr_keras {sr_keras.__version__}\n")
    arguments = ("--model", "nearest", "--scale", 2, "--out", tmp_path / "large")
    code, out, err = call("-q", "upscale", photos / "a.png", *arguments)
    assert (code, out) == (0, "")
    assert (tmp_path / "large/a.png").is_file()


def test_demo_leaves_what_it_promises(call, tmp_path, monkeypatch):
    recipe = training.RECIPES["demo"].replace(steps=150)
    monkeypatch.setitem(training.RECIPES, "demo", recipe)
    out = tmp_path / "demo"
    code, printed, err = call("demo", "--out", out)
    assert code == 0, err
    assert "Gain over bicubic: +" in printed
    names = {
        "best.keras",
        "metrics.json",
        "curves.png",
        "chelsea.png",
        "motorcycle.png",
    }
    assert names <= {path.name for path in out.iterdir()}
    metrics = json.loads((out / "metrics.json").read_text())
    means = {m["model"]: m["mean"]["psnr_y"] for m in metrics["models"]}
    assert list(means) == ["nearest", "bilinear", "bicubic", "espcn"]
    assert means["nearest"] < means["bilinear"] < means["bicubic"] < means["espcn"]

    monkeypatch.setitem(training.RECIPES, "demo", recipe.replace(steps=1))
    code, printed, err = call("demo", "--out", out)
    assert (tmp_path / "demo-1/metrics.json").is_file()


def test_demo_moves_no_folder_of_other_things(call, photos):
    code, _, err = call("demo", "--out", photos)
    assert code == 2
    assert "photos holds other files. Choose another --out" in last_line(err)
    assert len(list(photos.iterdir())) == 3


def test_a_demo_that_failed_at_once_can_be_repeated(call, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("trained")

    monkeypatch.setattr(training, "train", fail)
    (tmp_path / ".lock").touch()
    code, _, err = call("demo", "--out", tmp_path)
    assert last_line(err) == "error: trained"


def test_a_run_without_photos_to_score_on_has_its_last_network(call, photos, tmp_path):
    run = tmp_path / "run"
    arguments = ["num_validation=0" if a == "num_validation=1" else a for a in TRAIN]
    arguments += ["--data", photos, "--out", run, "--cache", tmp_path / "cache"]
    code, out, err = call(*arguments)
    assert code == 0, err
    assert "last.keras" in out and "best.keras" not in out
    code, out, err = call(
        "upscale", photos / "a.png", "--model", run, "--out", tmp_path / "large"
    )
    assert code == 0, err
    assert [p.name for p in (tmp_path / "large").iterdir()] == ["a.png"]


def test_out_of_memory_is_reported_in_one_line(call, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise MemoryError("Unable to allocate 80 GiB")

    monkeypatch.setattr(training, "train", fail)
    code, _, err = call(*TRAIN, "--data", "samples", "--out", tmp_path)
    assert code == 1
    assert "Out of memory: smaller batches" in last_line(err)


def test_models_lists_every_network(call):
    code, out, _ = call("models")
    assert code == 0
    assert "edsr" in out and "1,517,571" in out and "post-upsampling" in out


def test_as_a_program_it_fails_without_a_traceback():
    options = ("--data", "nowhere")
    done = subprocess.run(
        [*preloaded.python(), "-m", "sr_keras", "evaluate", "bicubic", *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert last_line(done.stderr).startswith("error: 'bicubic' is available for sev")
    assert "Traceback" not in done.stderr


def test_what_was_trained_loads_in_a_new_process(tmp_path):
    # test_packaging.py tests the programs of users, which import the package
    models.espcn(2, filters=(4, 4), channels=3).save(tmp_path / "network.keras")
    images.write(tmp_path / "photo.png", np.zeros((8, 9, 3), np.uint8))
    command = "-m sr_keras upscale photo.png --model network.keras --out large"
    subprocess.run([sys.executable, *command.split()], check=True, cwd=tmp_path)
    assert images.read(tmp_path / "large/photo.png").shape == (16, 18, 3)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Two tiny sets for x2, of which "good" scored better, and one for x3."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(weights, "FOLDER", folder)
    for scale, name, psnr in [(2, "good", 30.0), (2, "poor", 20.0), (3, "good", 25.0)]:
        model = models.espcn(scale, filters=(4, 4))
        weights.save(
            model,
            folder / f"espcn-x{scale}-{name}.weights.h5",
            history={"validation": {"psnr_y": psnr}},
        )


def test_upscale_takes_the_best_shipped_weights(call, photos, shipped, tmp_path):
    out = tmp_path / "large"
    code, text, err = call("upscale", photos, "--scale", 2, "--out", out)
    assert code == 0, err
    assert "Using espcn-x2-good" in text
    assert images.read(out / "a.png").shape == (120, 144, 3)
    poor = ("--model", "espcn-x2-poor")
    code, text, err = call("upscale", photos / "b.png", *poor, "--out", out)
    assert code == 0, err
    code, text, err = call("upscale", photos / "a.png", "--out", tmp_path / "x4")
    assert code == 0, err
    assert "Using espcn-x3-good, then espcn-x2-good" in text
    assert images.read(tmp_path / "x4/a.png").shape == (240, 288, 3)
    code, text, err = call(
        "upscale", photos / "a.png", "--width", 100, "--out", tmp_path / "w"
    )
    assert code == 0, err
    assert images.read(tmp_path / "w/a.png").shape == (83, 100, 3)
    code, _, err = call("evaluate", *poor[1:], "--scale", 3, "--data", photos)
    assert code == 2
    assert "espcn-x2-poor is a network for x2. Received: scale=3" in last_line(err)


def test_all_shipped_weights_are_scored_on_every_set(call, photos, shipped, tmp_path):
    for name in ("one", "two"):
        for photo in photos.iterdir():
            target = tmp_path / "sets" / name / "HR" / photo.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(photo.read_bytes())
    scores = tmp_path / "scores.json"
    code, out, err = call("benchmark", "--data", tmp_path / "sets", "--json", scores)
    assert code == 0, err
    rows = json.loads(scores.read_text())["models"]
    assert [(pathlib.Path(r["data"]).name, r["model"]) for r in rows] == [
        (folder, model)
        for folder in ("one", "two")
        for model in ("espcn-x2-good", "espcn-x2-poor", "espcn-x3-good")
    ]
    assert f"{rows[1]['mean']['psnr_y']:.2f}" in out
    assert "seconds: wall time for one image on this machine" in out
    code, _, err = call("benchmark", "--scale", 3, "--data", photos)
    assert code == 0, err
    code, _, err = call("benchmark", "--scale", 7, "--data", photos)
    assert code == 2
    assert last_line(err) == "error: No weights are shipped for x7."


def test_leaderboard(call, tmp_path, monkeypatch):
    photo = np.asarray(skimage.data.astronaut()[:200, :304])
    images.write(tmp_path / "hr" / "astronaut.png", photo)
    results = tmp_path / "results"
    images.write(results / "Ann" / "astronaut.png", photo // 2)
    images.write(results / "Bob" / "astronautx4.png", photo)
    images.write(results / "Cem" / "rocket.png", photo)
    (results / ".ipynb_checkpoints").mkdir()
    scores = tmp_path / "scores.json"
    arguments = results, "--data", tmp_path / "hr", "--json", scores
    code, out, err = call("leaderboard", *arguments)
    assert code == 1
    assert "failed: Cem: " in err and "astronaut" in err
    assert "ipynb_checkpoints" not in err
    rows = json.loads(scores.read_text())["models"]
    assert [row["model"] for row in rows] == ["Bob", "bicubic", "Ann"]
    assert list(rows[0]["mean"]) == ["psnr_y", "ssim_y", "niqe", "lr_psnr"]
    assert f"{rows[1]['mean']['psnr_y']:.2f}" in out
    assert images.read(results / "leaderboard.png").ndim == 3

    lr = np.asarray(sr.degradations.get("blur", 4)(photo))
    images.write(tmp_path / "small" / "astronautx4.png", lr)
    call("leaderboard", *arguments, "--lr-data", tmp_path / "small")
    again = json.loads(scores.read_text())["models"]
    means = [{r["model"]: r["mean"] for r in found} for found in (rows, again)]
    assert means[0]["Bob"]["psnr_y"] == means[1]["Bob"]["psnr_y"]
    assert means[0]["bicubic"]["psnr_y"] > means[1]["bicubic"]["psnr_y"] + 0.1

    code, _, err = call("leaderboard", *arguments, "--extra", "vfi")
    assert code == 2
    assert "'vfi' is not the name of an extra score" in last_line(err)
    assert "failed: " not in err
    with monkeypatch.context() as patch:

        def refuse(folder):
            raise OSError(f"Cannot write to {folder}")

        patch.setattr(files, "check_writable", refuse)
        code, out, err = call("leaderboard", results, "--data", tmp_path / "hr")
    assert (code, out) == (1, "")
    assert last_line(err) == f"error: Cannot write to {results}"
    code, _, err = call("leaderboard", tmp_path / "x", "--data", tmp_path / "hr")
    assert code == 2
    assert "There is no folder" in last_line(err)


def test_evaluate_on_lr_files(call, photos, tmp_path):
    dataset = sr.datasets.folder(photos, 2, degradation="blur")
    for name, (lr, _) in zip(dataset.names, dataset, strict=True):
        images.write(tmp_path / "small" / f"{name}x2.png", lr)
    arguments = ("evaluate", "bicubic", "--scale", 2, "--data", photos)
    json_file = tmp_path / "scores.json"
    for options in (("--lr-data", tmp_path / "small"), ("--degradation", "blur")):
        code, _, err = call(*arguments, *options, "--json", json_file)
        assert code == 0, err
        found = json.loads(json_file.read_text())["mean"]["psnr_y"]
        expected = sr.evaluate("bicubic", dataset)["mean"]["psnr_y"]
        assert found == pytest.approx(expected, abs=1e-4)
    both = ("--lr-data", tmp_path / "small", "--degradation", "blur")
    code, _, err = call(*arguments, *both)
    assert code == 2
    assert "cannot be combined" in last_line(err)


def test_evaluate_on_degradations_by_name_and_of_a_module(
    call, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spoiling.py").write_text("def drop(hr):\n    return hr[::2, ::2]\n")
    options = "--scale", 2, "--data", photos, "--json", "scores.json"
    for degradation, said in (
        ("second_order", "SecondOrder(scale=2)"),
        ("shuffled", "Shuffled(scale=2)"),
        ("spoiling:drop", "Function(spoiling.drop, scale=2)"),
    ):
        code, _, err = call(
            "evaluate", "bicubic", *options, "--degradation", degradation
        )
        assert code == 0, err
        conditions = json.loads((tmp_path / "scores.json").read_text())["conditions"]
        assert said in conditions
    for wrong, message in (
        ("spoiling:x", "The module spoiling has no 'x'"),
        ("absent:x", "There is no Python module absent"),
    ):
        code, _, err = call("evaluate", "bicubic", *options, "--degradation", wrong)
        assert code == 2
        assert message in last_line(err)


def test_detail_blends_a_gan_with_its_start(call, photos, tmp_path):
    command = ["upscale", photos / "a.png", "--out", tmp_path / "out"]
    results = []
    for detail in (0, 1):
        options = "--model", "edsr-x4-bsds-srgan", "--detail", detail
        code, out, err = call(*command, *options)
        assert code == 0, err
        results.append(images.read(tmp_path / "out" / "a.png"))
    photo = images.read(photos / "a.png")
    for name, result in zip(("small", "srgan"), results, strict=True):
        expected = inference.upscale(f"edsr-x4-bsds-{name}", photo)
        np.testing.assert_array_equal(result, expected)
    code, _, err = call(*command, "--model", "edsr-x4-bsds", "--detail", 0.5)
    assert code == 2
    assert "as those of edsr-x4-bsds-srgan, " in err
    assert err.endswith("edsr-x4-bsds names none.\n") and err.count("\n") == 1


def test_help_names_the_network_for_ordinary_photos(call, monkeypatch):
    assert weights.advice() in " ".join(call("upscale", "--help")[1].split())
    assert weights.advice() == (
        "For photos that are noisy or strongly compressed: rrdb-x4-photos-gan, or"
        " span-x4-photos-distilled, which is ten times as fast and invents nothing."
    )
    monkeypatch.setattr(weights, "all_names", lambda: ["edsr-x4-bsds"])
    assert weights.advice() == ""


def test_lpips_is_scored_on_request(call, photos, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    scores = tmp_path / "scores.json"
    options = "--scale", 1, "--data", photos, "--degradation", "jpeg", "--lpips"
    code, out, err = call("evaluate", "bicubic", *options, "--json", scores)
    assert code == 0, err
    result = json.loads(scores.read_text())
    assert 0 < result["mean"]["lpips"] < 1
    assert "LPIPS v0.1 (alex) on RGB" in result["conditions"]
    monkeypatch.setenv("SR_KERAS_DATA", str(tmp_path))
    code, _, err = call("evaluate", "bicubic", *options)
    assert code == 2
    assert "alex.npz. Put alex.npz there" in last_line(err)


def test_a_networks_name_means_its_best_shipped_weights(call, photos):
    code, out, err = call("evaluate", "rrdb", "--scale", 4, "--data", photos)
    assert code == 0, err
    assert "psnr_y" in out
    code, _, err = call("evaluate", "rrdb", "--scale", 8, "--data", photos)
    assert "No weights are shipped for rrdb x8. Train it" in last_line(err)


def test_upscale_takes_any_size_and_format(call, photos, tmp_path):
    arguments = ("upscale", photos / "a.png", "--model", "bicubic")
    code, _, err = call(*arguments, "--scale", 2.5, "--out", tmp_path / "1")
    assert code == 0, err
    assert images.read(tmp_path / "1/a.png").shape == (150, 180, 3)
    more = ("--height", 90, "--format", "webp", "--quality", 80, "--tileable")
    code, _, err = call(*arguments, *more, "--out", tmp_path / "2")
    assert code == 0, err
    assert images.read(tmp_path / "2/a.webp").shape == (90, 108, 3)
    chain = ("--model", "espcn-x2-bsds", "--model", "espcn-x3-bsds")
    code, _, err = call("upscale", photos / "a.png", *chain, "--out", tmp_path / "3")
    assert code == 0, err
    assert images.read(tmp_path / "3/a.png").shape == (360, 432, 3)
    for wrong, message in (
        (("--scale", -1), "must be a positive number. Received: scale=-1.0"),
        (("--scale", 2, "--width", 5), "exclude each other"),
        (("--scale", 2, "--format", "bmp"), "Received: format='bmp'"),
        (("--scale", 2, "--quality", 0), "Received: quality=0"),
        (("--scale", 2, "--crf", 99), "Received: crf=99"),
    ):
        code, _, err = call(*arguments, *wrong, "--out", tmp_path / "4")
        assert code == 2 and message in last_line(err)
    code, _, err = call(
        *arguments, "--scale", 2, "--max-megapixels", 0.001, "--out", tmp_path / "5"
    )
    assert code == 1 and "a.png is too large" in err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("evaluate bicubic --scale 1 --data photos", "Name one, such as crappify"),
        (
            "evaluate bicubic --scale 2 --data photos --json .",
            "--json must be a file. Received: the folder .",
        ),
    ],
)
def test_missing_models_files_and_options_are_reported(
    call, photos, arguments, message, monkeypatch
):
    monkeypatch.chdir(photos.parent)
    code, _, err = call(*arguments.split())
    assert code == 2 and message in last_line(err)


def test_weights_are_exported_and_published_files_are_used(call, photos, tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "edsr.safetensors"
    code, out, err = call("weights", "export", "edsr-x4-bsds-small", path)
    assert code == 0, err
    assert f"edsr-x4-bsds-small -> {path}" in out
    for model, folder in (("edsr-x4-bsds-small", "ours"), (path, "theirs")):
        code, _, err = call(
            "upscale", photos / "a.png", "--out", tmp_path / folder, "--model", model
        )
        assert code == 0, err
    (ours,), (theirs,) = (tuple((tmp_path / f).iterdir()) for f in ("ours", "theirs"))
    difference = images.read(ours).astype(int) - images.read(theirs)
    assert np.abs(difference).max() <= 1  # scaled to 255 and back
    code, out, err = call("evaluate", path, "--data", photos)
    assert code == 0, err
    assert "psnr_y" in out

    code, _, err = call("evaluate", path, "--data", photos, "--scale", 2)
    assert code == 2
    assert "is a network for x4. Received: scale=2" in last_line(err)
    code, _, err = call(
        "weights", "export", "espcn-x2-bsds", tmp_path / "a.safetensors"
    )
    assert code == 2
    assert "There is no published format for espcn" in last_line(err)
    (tmp_path / "bad.pth").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    code, _, err = call("evaluate", tmp_path / "bad.pth", "--data", photos)
    assert code == 2
    assert "bad.pth cannot be read as a checkpoint" in last_line(err)
