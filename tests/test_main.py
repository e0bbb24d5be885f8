import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import skimage.data

from sr_keras import __main__ as command_line
from sr_keras import images, models, pretrained, training


@pytest.fixture
def call(capsys, monkeypatch):
    """Calls the command line in this process: `code, out, err = call(*arguments)`."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sr_keras", *map(str, arguments)])
        monkeypatch.setattr(command_line, "start", lambda: None)
        try:
            command_line.main()
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
    "--batch-size",
    2,
    "--hold-out",
    1,
    "--lr-size",
    8,
    "--option",
    "channels=3",
    "--precision",
    "float32",
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
    code, _, err = call(*arguments, "--resume", "--learning-rate", 1)
    assert code == 2
    assert "learning_rate was 0.0001 and is 1.0" in last_line(err)
    code, _, err = call(*arguments, "--resume")
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

    (photos / "broken.png").write_bytes(b"not an image")
    code, out, err = call("upscale", run, photos, "--out", tmp_path / "large")
    assert code == 1
    assert "broken.png is no image" in err
    assert last_line(err) == "error: 1 of the images could not be upscaled; see above."
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
            "Needed, unless --recipe is: --scale",
        ),
        (("train", "--recipe", "none", "--out", "x"), "There is no recipe 'none'"),
        ((*TRAIN, "--data", "nowhere", "--out", "x"), "There is no dataset 'nowhere'"),
        (
            ("train", "nonet", "--scale", 2, "--data", "samples", "--out", "x"),
            "There is no network 'nonet'",
        ),
        ((*TRAIN, "--data", "samples", "--out", "x", "--option", "depth=3"), "depth"),
        ((*TRAIN, "--data", "samples", "--out", "x", "--option", "d"), "NAME=VALUE"),
        (
            (*TRAIN, "--data", "samples", "--out", "x", "--schedule", "up"),
            "`schedule`",
        ),
        (("evaluate", "bicubic", "--data", "samples"), "bicubic needs --scale"),
        (("evaluate", "nothing", "--data", "samples"), "There is no model 'nothing'"),
        (
            ("evaluate", "no.keras", "--data", "samples"),
            "no model file no.keras",
        ),
        (("upscale", "bicubic", "no.png", "--scale", 2, "--out", "x"), "could not be"),
        (("download", "imagenet"), "Only div2k can be downloaded"),
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


def test_a_file_that_is_no_model_is_named(call, tmp_path):
    (tmp_path / "bad.keras").write_bytes(b"zip?")
    code, _, err = call("upscale", tmp_path / "bad.keras", "x.png", "--out", tmp_path)
    assert code == 2
    assert "bad.keras is not a model of Keras" in last_line(err)


def test_nan_is_reported(call, photos, tmp_path):
    code, _, err = call(
        *TRAIN,
        "--data",
        photos,
        "--out",
        tmp_path / "run",
        "--learning-rate",
        1e38,
        "--cache",
        tmp_path / "cache",
    )
    assert code == 1
    assert "became NaN or infinite" in last_line(err)


def test_demo_leaves_what_it_promises(call, tmp_path, monkeypatch):
    recipe = dataclasses.replace(training.RECIPES["demo"], steps=150)
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

    code, printed, err = call("demo", "--out", out)
    assert (tmp_path / "demo-1/metrics.json").is_file()


def test_demo_moves_no_folder_of_other_things(call, photos):
    code, _, err = call("demo", "--out", photos)
    assert code == 2
    assert "photos has other things in it: choose another --out" in last_line(err)
    assert len(list(photos.iterdir())) == 3


def test_an_option_changes_one_of_a_recipes_options(call, monkeypatch, tmp_path):
    recipe = dataclasses.replace(training.RECIPES["demo"], steps=1, warmup_steps=0)
    monkeypatch.setitem(training.RECIPES, "demo", recipe)
    arguments = "--recipe", "demo", "--option", "filters=[4, 4]", "--out", tmp_path
    code, _, err = call("train", *arguments)
    assert code == 0, err
    kept = json.loads((tmp_path / "recipe.json").read_text())
    assert kept["options"] == {**recipe.options, "filters": [4, 4]}


def test_a_run_without_photos_to_score_on_has_its_last_network(call, photos, tmp_path):
    run = tmp_path / "run"
    arguments = [0 if a == 1 else a for a in TRAIN]  # --hold-out 0
    arguments += ["--data", photos, "--out", run, "--cache", tmp_path / "cache"]
    code, out, err = call(*arguments)
    assert code == 0, err
    assert "last.keras" in out and "best.keras" not in out
    code, out, err = call("upscale", run, photos / "a.png", "--out", tmp_path / "large")
    assert code == 0, err
    assert [p.name for p in (tmp_path / "large").iterdir()] == ["a.png"]


def test_out_of_memory_is_said_in_a_line(call, monkeypatch, tmp_path):
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


def test_as_a_program_it_is_quiet_and_fails_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "sr_keras", "evaluate", "bicubic", "--data", "nowhere"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "error: bicubic needs --scale.\n"


def test_what_was_trained_loads_in_a_new_process(tmp_path):
    models.espcn(2, filters=(4, 4), channels=3).save(tmp_path / "network.keras")
    images.write(tmp_path / "photo.png", np.zeros((8, 9, 3), np.uint8))
    commands = [
        ["-c", "import keras, sr_keras; keras.models.load_model('network.keras')"],
        ["-m", "sr_keras", "upscale", "network.keras", "photo.png", "--out", "large"],
        ["-m", "mine.load"],
    ]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").write_text("import sr_keras")
    (tmp_path / "mine/load.py").write_text(
        "import keras; keras.models.load_model('network.keras')"
    )
    for command in commands:
        subprocess.run([sys.executable, *command], check=True, cwd=tmp_path)
    assert images.read(tmp_path / "large/photo.png").shape == (16, 18, 3)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Two tiny sets for x2, of which "good" scored better, and one for x3."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    for scale, name, psnr in [(2, "good", 30.0), (2, "poor", 20.0), (3, "good", 25.0)]:
        model = models.espcn(scale, filters=(4, 4))
        pretrained.save(
            model,
            folder / f"espcn-x{scale}-{name}.weights.h5",
            **pretrained.description(model),
            training={"validation": {"psnr_y": psnr}},
        )


def test_upscale_takes_the_best_shipped_weights(call, photos, shipped, tmp_path):
    out = tmp_path / "large"
    code, text, err = call("upscale", photos, "--scale", 2, "--out", out)
    assert code == 0, err
    assert "by espcn-x2-good" in text
    assert images.read(out / "a.png").shape == (120, 144, 3)
    code, text, err = call("upscale", "espcn-x2-poor", photos / "b.png", "--out", out)
    assert code == 0, err
    code, _, err = call("upscale", photos / "a.png", "--out", out)
    assert code == 2
    assert "There are no shipped weights for x4: name a model." in last_line(err)
    code, _, err = call("evaluate", "espcn-x2-poor", "--scale", 3, "--data", photos)
    assert code == 2
    assert "espcn-x2-poor enlarges by 2, not by 3." in last_line(err)
    code, _, err = call("upscale", "espcn-x2-poor", "--out", out)
    assert code == 2
    assert "Give images to upscale by espcn-x2-poor" in last_line(err)


def test_all_shipped_weights_are_scored_on_every_set(call, photos, shipped, tmp_path):
    for name in ("one", "two"):
        for photo in photos.iterdir():
            target = tmp_path / "sets" / name / "HR" / photo.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(photo.read_bytes())
    scores = tmp_path / "scores.json"
    code, out, err = call(
        "evaluate", "--all", "--data", tmp_path / "sets", "--json", scores
    )
    assert code == 0, err
    rows = json.loads(scores.read_text())["models"]
    assert [(pathlib.Path(r["data"]).name, r["model"]) for r in rows] == [
        (folder, model)
        for folder in ("one", "two")
        for model in ("espcn-x2-good", "espcn-x2-poor", "espcn-x3-good")
    ]
    assert f"{rows[1]['mean']['psnr_y']:.2f}" in out
    code, _, err = call("evaluate", "--all", "--scale", 3, "--data", photos)
    assert code == 0, err
    code, _, err = call("evaluate", "bicubic", "--all", "--data", photos)
    assert code == 2
    assert "Give either a model, or --all" in last_line(err)


def test_leaderboard(call, tmp_path):
    photo = np.asarray(skimage.data.astronaut()[:200, :304])
    images.write(tmp_path / "hr" / "astronaut.png", photo)
    results = tmp_path / "results"
    images.write(results / "Ann" / "astronaut.png", photo // 2)
    images.write(results / "Bob" / "astronautx4.png", photo)
    images.write(results / "Cem" / "rocket.png", photo)
    scores = tmp_path / "scores.json"
    arguments = "--data", tmp_path / "hr", "--leaderboard", results, "--json", scores
    code, out, err = call("evaluate", *arguments)
    assert code == 1
    assert "failed: Cem: " in err and "has no image for astronaut" in err
    rows = json.loads(scores.read_text())["models"]
    assert [row["model"] for row in rows] == ["Bob", "bicubic", "Ann"]
    assert list(rows[0]["mean"]) == ["psnr_y", "ssim_y", "niqe", "lr_psnr"]
    assert f"{rows[1]['mean']['psnr_y']:.2f}" in out
    assert images.read(results / "leaderboard.png").ndim == 3

    code, _, err = call("evaluate", "bicubic", *arguments)
    assert code == 2
    assert "Give either a model, or --all, or --leaderboard" in last_line(err)
    code, _, err = call("evaluate", *arguments, "--tile", 64)
    assert code == 2
    assert "--leaderboard upscales nothing" in last_line(err)
    code, _, err = call("evaluate", "--data", tmp_path, "--leaderboard", tmp_path / "x")
    assert code == 2


def test_a_networks_name_means_its_best_shipped_weights(call, photos):
    code, out, err = call("evaluate", "rrdb", "--scale", 4, "--data", photos)
    assert code == 0, err
    assert "rrdb: rrdb-x4-bsds-small, its best shipped weights" in out
    code, _, err = call("evaluate", "rrdb", "--scale", 8, "--data", photos)
    assert "There are no shipped weights of rrdb x8: train it" in last_line(err)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("upscale photo.heic --out o", "photo.heic is no image that can be read: .png"),
        ("upscale none --out o", "There is no model 'none'"),
        ("evaluate bicubic --scale 1 --data photos", "name one, such as crappify"),
        (
            "evaluate bicubic --scale 2 --data photos --json .",
            "--json must be a file. Received: the folder .",
        ),
    ],
)
def test_what_is_missing_is_said(call, photos, arguments, message, monkeypatch):
    monkeypatch.chdir(photos.parent)
    code, _, err = call(*arguments.split())
    assert code == 2 and message in last_line(err)
