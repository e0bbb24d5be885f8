import json
import pathlib
import signal
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from sr_keras import images, models
from sr_keras.datasets import Pairs
from sr_keras.pipeline import training_batches
from sr_keras.training import TrainingRun, callbacks

SCRIPT = pathlib.Path(__file__).with_name("interrupted_run.py")


def run_script(folder, when="never"):
    return subprocess.run(
        [sys.executable, SCRIPT, folder, when],
        capture_output=True,
        text=True,
        timeout=300,
    )


def arrays(path):
    """All arrays of an HDF5 file, by name: weights and optimizer state."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if hasattr(item, "dtype") else None
            )
        )
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    done = run_script(folder)
    assert "step=12 from=0" in done.stdout, done.stderr
    return folder


@pytest.mark.parametrize(
    ("when", "resumed_from"),
    [
        ("in_a_batch", 6),
        ("while_saving", 4),
        ("after_an_evaluation", 6),
        ("at_ctrl_c", 5),
    ],
)
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    uninterrupted, tmp_path, when, resumed_from
):
    killed = run_script(tmp_path, when)
    if when == "at_ctrl_c":
        assert "stopped=signal step=5" in killed.stdout, killed.stderr
    else:
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = run_script(tmp_path)
    assert f"stopped=None step=12 from={resumed_from}" in resumed.stdout, resumed.stderr

    state = "state/step_000000012/model.weights.h5"
    expected, found = arrays(uninterrupted / state), arrays(tmp_path / state)
    assert expected.keys() == found.keys()
    assert any("optimizer" in name for name in found)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)

    logs = [json.loads((f / "log.json").read_text()) for f in (uninterrupted, tmp_path)]
    assert [entry["step"] for entry in logs[1]] == [4, 8, 12]
    assert [e["psnr_y"] for e in logs[0]] == [e["psnr_y"] for e in logs[1]]
    strips = [images.read(f / "strip.png") for f in (uninterrupted, tmp_path)]
    np.testing.assert_array_equal(strips[0], strips[1])
    best = [
        keras.models.load_model(f / "best.keras").get_weights()
        for f in (uninterrupted, tmp_path)
    ]
    np.testing.assert_array_equal(best[0][0], best[1][0])


def dataset():
    photos = np.random.default_rng(0).integers(0, 256, (3, 40, 44, 3), dtype=np.uint8)
    return Pairs("abc", 2, photos.__getitem__)


def fit(model, run):
    batches = training_batches(dataset(), 8, 2, start_step=run.step)
    num_steps = run.num_steps - run.step
    model.fit(
        batches, steps_per_epoch=num_steps, callbacks=[run], shuffle=False, verbose=0
    )


def tiny():
    keras.utils.set_random_seed(0)
    model = models.espcn(2, filters=(4, 4), channels=3)
    model.compile("adam", "mae")
    return model


def test_a_loss_that_becomes_nan_stops_and_keeps_the_last_good_state(tmp_path):
    model = tiny()
    run = TrainingRun(tmp_path, 10, evaluate_every=4, save_every=2)

    def poison(batch, logs):
        if batch == 5:  # after the save at step 4
            weights = model.get_weights()
            model.set_weights([weights[0] * np.nan, *weights[1:]])

    callback = keras.callbacks.LambdaCallback(on_train_batch_begin=poison)
    batches = training_batches(dataset(), 8, 2)
    model.fit(
        batches, steps_per_epoch=10, callbacks=[run, callback], shuffle=False, verbose=0
    )
    assert run.stopped == "nan"
    assert run.step == 6
    fresh = tiny()
    assert TrainingRun(tmp_path, 10).restore(fresh) == 4
    assert all(np.isfinite(w).all() for w in fresh.get_weights())


def test_large_photos_are_scored_in_tiles(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(callbacks, "_TILE", 16)
    monkeypatch.setattr(
        callbacks, "evaluate", lambda *_, tile, **__: sizes.append(tile) or {"mean": {}}
    )
    fit(tiny(), TrainingRun(tmp_path, 1, validation=dataset()))
    assert sizes == [8]


def test_images_that_are_no_numbers_are_not_scored_but_saved(tmp_path):
    model = tiny()
    outputs = keras.layers.Rescaling(1e39)(model.output)  # infinity in float32
    upscaler = keras.Model(model.input, outputs)
    run = TrainingRun(tmp_path, 1, validation=dataset(), upscaler=upscaler)
    fit(model, run)
    assert run.stopped is None and "psnr_y" not in run.log[0]
    assert (tmp_path / "last.keras").is_file()


@pytest.mark.parametrize("fault", ["second signal", "full disk"])
def test_after_a_fault_the_signals_are_those_of_before(tmp_path, monkeypatch, fault):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGINT, interrupt)
    run = TrainingRun(tmp_path, 4, evaluate_every=1)

    def fail(logs):
        if fault == "full disk":
            raise OSError(fault)
        signal.raise_signal(signal.SIGINT)  # is noted
        signal.raise_signal(signal.SIGINT)  # is obeyed

    monkeypatch.setattr(run, "_evaluate", fail)
    with pytest.raises(KeyboardInterrupt if fault == "second signal" else OSError):
        fit(tiny(), run)
    assert signal.signal(signal.SIGINT, former) is interrupt
    assert not run._progress.live.is_started


@pytest.mark.parametrize("is_scored", [False, True])
def test_infinite_weights_are_never_saved_nor_scored(tmp_path, is_scored):
    model = tiny()
    model.optimizer.learning_rate = np.inf
    validation = dataset() if is_scored else None
    run = TrainingRun(tmp_path, 4, evaluate_every=1, validation=validation)
    fit(model, run)
    assert run.stopped == "nan" and not run.log
    assert not list((tmp_path / "state").glob("*"))


def test_what_a_run_leaves(tmp_path):
    model = tiny()
    run = TrainingRun(tmp_path, 5, evaluate_every=2, validation=dataset())
    fit(model, run)
    assert [entry["step"] for entry in run.log] == [2, 4, 5]
    assert run.log[-1].keys() >= {"loss", "learning_rate", "psnr_y", "ssim_y"}
    assert len(list((tmp_path / "state").iterdir())) == 1
    assert images.read(tmp_path / "strip.png").shape == (40, 3 * 44, 3)
    last = keras.models.load_model(tmp_path / "last.keras")
    assert getattr(last, "optimizer", None) is None
    lr = np.random.default_rng(1).random((1, 5, 7, 3), "float32")
    np.testing.assert_allclose(last(lr), model(lr), atol=1e-6)


def test_a_moving_average_is_what_is_scored_and_kept(tmp_path):
    model = tiny()
    model.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9), "mae")
    run = TrainingRun(tmp_path, 6, evaluate_every=6)
    fit(model, run)
    kept = keras.models.load_model(tmp_path / "last.keras").get_weights()
    # `fit` ends with the average in the model; the state has what is trained on
    np.testing.assert_array_equal(kept[0], model.get_weights()[0])
    fresh = tiny()
    fresh.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9), "mae")
    assert TrainingRun(tmp_path, 6).restore(fresh) == 6
    assert np.abs(kept[0] - fresh.get_weights()[0]).max() > 1e-2


def test_another_model_does_not_fit_the_state(tmp_path):
    model = tiny()
    fit(model, TrainingRun(tmp_path, 2))
    other = models.espcn(2, filters=(5, 4), channels=3)
    other.compile("adam", "mae")
    with pytest.raises(ValueError, match="does not fit this model"):
        TrainingRun(tmp_path, 2).restore(other)


def test_numbers_out_of_range():
    with pytest.raises(ValueError, match="`num_steps` must be at least 1"):
        TrainingRun("nowhere", 0)
    with pytest.raises(ValueError, match="`save_every` must be at least 1"):
        TrainingRun("nowhere", 1, save_every=0)


def test_several_steps_in_one_call_cannot_be_counted(tmp_path):
    model = tiny()
    model.compile("adam", "mae", steps_per_execution=2)
    with pytest.raises(ValueError, match="steps_per_execution=1`. Received: 2"):
        fit(model, TrainingRun(tmp_path, 4))


def test_a_run_that_was_stopped_goes_on_with_another_fit(tmp_path):
    model = tiny()
    run = TrainingRun(tmp_path, 6, evaluate_every=10)
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: signal.raise_signal(signal.SIGINT)
    )
    batches = training_batches(dataset(), 8, 2)
    options = dict(steps_per_epoch=6, shuffle=False, verbose=0)
    model.fit(batches, callbacks=[run, stop], **options)
    assert (run.step, run.stopped) == (1, "signal")
    batches = training_batches(dataset(), 8, 2, start_step=1)
    model.fit(batches, callbacks=[run], **{**options, "steps_per_epoch": 5})
    assert (run.step, run.stopped) == (6, None)


def test_without_a_monitor_no_network_is_the_best(tmp_path, capsys):
    run = TrainingRun(tmp_path, 2, validation=dataset(), monitor=None)
    fit(tiny(), run)
    assert "psnr_y" in run.log[-1]
    assert (tmp_path / "last.keras").is_file()
    assert not (tmp_path / "best.keras").exists()
    assert "2 border pixels cut" in " ".join(capsys.readouterr().out.split())


def test_logs_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing import event_accumulator

    model = tiny()
    run = TrainingRun(
        tmp_path, 4, evaluate_every=2, validation=dataset(), tensorboard=True
    )
    fit(model, run)
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss", "psnr_y"} <= set(events.Tags()["tensors"])
    assert [event.step for event in events.Tensors("psnr_y")] == [2, 4]
