import errno
import io
import json
import pathlib
import signal
import subprocess
import sys

import h5py
import keras
import numpy as np
import preloaded
import pytest
import rich.console

from sr_keras import images, models
from sr_keras import layers as sr_layers
from sr_keras.datasets import Pairs
from sr_keras.pipeline import training_batches
from sr_keras.training import TrainingRun, callbacks

SCRIPT = pathlib.Path(__file__).with_name("interrupted_run.py")


def run_script(folder, when="never"):
    return subprocess.run(
        [*preloaded.python(), SCRIPT, folder, when],
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


@pytest.mark.slow
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


def test_infinite_images_are_saved_but_not_scored(tmp_path):
    model = tiny()
    outputs = keras.layers.Rescaling(1e39)(model.output)  # infinity in float32
    upscaler = keras.Model(model.input, outputs)
    run = TrainingRun(tmp_path, 1, validation=dataset(), upscaler=upscaler)
    fit(model, run)
    assert run.stopped is None and "psnr_y" not in run.log[0]
    assert (tmp_path / "last.keras").is_file()


def test_a_second_signal_ends_the_program_at_once(tmp_path):
    done = run_script(tmp_path, "at_ctrl_c_twice")
    assert done.returncode == -signal.SIGINT, done.stderr
    assert "KeyboardInterrupt" in done.stderr
    assert "stopped=None step=4 from=0\nrestored=True bar=False" in done.stdout


def test_signal_handlers_are_restored_after_an_error(tmp_path, monkeypatch):
    former = signal.getsignal(signal.SIGINT)
    run = TrainingRun(tmp_path, 4, evaluate_every=1)

    def fail(logs, *_):
        assert signal.getsignal(signal.SIGINT) == run._on_signal
        raise OSError("full disk")

    monkeypatch.setattr(run, "_evaluate", fail)
    with pytest.raises(OSError, match="full disk"):
        fit(tiny(), run)
    assert signal.getsignal(signal.SIGINT) is former
    assert not run._progress.live.is_started


def test_a_full_disk_names_the_state_and_keeps_the_former(tmp_path, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, "write failed")

    model, run = tiny(), TrainingRun(tmp_path, 2, save_every=1)
    states = tmp_path / "state"
    (states / ".killed-step_000000001").mkdir(parents=True)
    save = model.save_weights
    monkeypatch.setattr(
        model, "save_weights", lambda path: fill() if run.step > 1 else save(path)
    )
    with pytest.raises(OSError) as error:
        fit(model, run)
    assert error.value.filename == str(states / "step_000000002")
    assert [path.name for path in states.iterdir()] == ["step_000000001"]


@pytest.mark.parametrize("is_scored", [False, True])
def test_infinite_weights_are_never_saved_nor_scored(tmp_path, is_scored):
    model = tiny()
    model.optimizer.learning_rate = np.inf
    validation = dataset() if is_scored else None
    run = TrainingRun(tmp_path, 4, evaluate_every=1, validation=validation)
    fit(model, run)
    assert run.stopped == "nan" and not run.log
    assert not list((tmp_path / "state").glob("*"))


def test_files_of_a_run(tmp_path):
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


def test_moving_averages_are_scored_and_saved(tmp_path):
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
    with pytest.raises(ValueError, match="`num_steps` must be a positive integer"):
        TrainingRun("nowhere", 0)
    with pytest.raises(ValueError, match="`save_every` must be a positive integer"):
        TrainingRun("nowhere", 1, save_every=0)
    with pytest.raises(ValueError, match="\"ssim_y\" or None. Received: .*='psnr'"):
        TrainingRun("nowhere", 1, monitor="psnr")


def test_steps_are_counted_when_several_run_as_one_call(tmp_path):
    model = tiny()
    model.compile("adam", "mae", steps_per_execution=2)
    run = TrainingRun(tmp_path, 8, evaluate_every=4)
    fit(model, run)
    assert [entry["step"] for entry in run.log] == [4, 8]
    assert (tmp_path / "state/step_000000008").is_dir()


def batches(start_step):
    return training_batches(dataset(), 8, 2, start_step=start_step)


def test_fit_trains_the_steps_that_are_left(tmp_path):
    first = tiny()
    run = TrainingRun(tmp_path / "whole", 6, evaluate_every=3)
    run.fit(first, batches)
    assert run.step == 6
    second = tiny()
    stop = TrainingRun(tmp_path / "parts", 6, evaluate_every=3)
    original = stop._evaluate_and_save

    def interrupt(logs, before):
        if stop.step == 3:
            signal.raise_signal(signal.SIGINT)
        original(logs, before)

    stop._evaluate_and_save = interrupt
    stop.fit(second, batches)
    assert (stop.step, stop.stopped) == (3, "signal")
    third = tiny()
    rest = TrainingRun(tmp_path / "parts", 6, evaluate_every=3)
    rest.fit(third, batches)
    for a, b in zip(first.get_weights(), third.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_notebook_without_ipywidgets_gets_no_bar_and_no_warning(
    tmp_path, monkeypatch, recwarn
):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if not installed
    console = rich.console.Console(force_jupyter=True, file=io.StringIO())
    run = TrainingRun(tmp_path / "run", 3, evaluate_every=3, console=console)
    run.fit(tiny(), batches)
    assert run.step == 3
    assert not [w for w in recwarn if "ipywidgets" in str(w.message)]


def test_fit_leaves_a_complete_run_as_it_is(tmp_path):
    run = TrainingRun(tmp_path, 2, validation=dataset())
    run.fit(tiny(), batches)
    best = (tmp_path / "best.keras").read_bytes()

    def fail(start_step):
        raise AssertionError("A complete run needs no batches.")

    again = TrainingRun(tmp_path, 2, validation=dataset())
    again.fit(tiny(), fail)
    assert again.step == 2
    assert (tmp_path / "best.keras").read_bytes() == best


@pytest.mark.parametrize("is_scored", [True, False])
def test_a_stopped_run_that_is_ended_early_is_scored_once(tmp_path, is_scored):
    validation = dataset() if is_scored else None
    options = {"evaluate_every": 10, "save_every": 2, "validation": validation}
    run = TrainingRun(tmp_path, 10, **options)
    original = run._evaluate_and_save

    def interrupt(logs, before):
        signal.raise_signal(signal.SIGINT)
        original(logs, before)

    run._evaluate_and_save = interrupt
    run.fit(tiny(), batches)
    assert (run.step, run.stopped, run.log) == (1, "signal", [])
    ended = TrainingRun(tmp_path, 1, **options)
    ended.fit(tiny(), batches)
    assert [entry["step"] for entry in ended.log] == [1]
    assert ("psnr_y" in ended.log[0]) == is_scored
    assert (tmp_path / "best.keras").is_file() == is_scored
    again = TrainingRun(tmp_path, 1, **options)
    again.fit(tiny(), batches)
    assert again.log == ended.log


def test_sequential_models_can_be_trained(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(12, 3, padding="same"),
            sr_layers.PixelShuffle(2),
        ]
    )
    model.compile("adam", "mae")
    run = TrainingRun(tmp_path, 2, validation=dataset())
    run.fit(model, batches)
    assert "psnr_y" in run.log[-1]
    keras.models.load_model(tmp_path / "last.keras")


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = keras.layers.Conv2D(12, 3, padding="same")
        self.shuffle = sr_layers.PixelShuffle(2)

    def call(self, lr):
        return self.shuffle(self.conv(lr))


def with_lambda():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Lambda(lambda x: 2 * x)(inputs)
    x = sr_layers.PixelShuffle(2)(keras.layers.Conv2D(12, 3, padding="same")(x))
    return keras.Model(inputs, x)


@pytest.mark.parametrize("make", [Subclassed, with_lambda])
def test_models_that_cannot_be_kept_are_refused_at_the_start(tmp_path, make):
    model = make()
    model.compile("adam", "mae")

    def fail(start_step):
        raise AssertionError("The model must be refused before the first batch.")

    with pytest.raises(ValueError, match="cannot be copied and saved, so a run cannot"):
        TrainingRun(tmp_path, 2, validation=dataset()).fit(model, fail)


def test_an_average_without_a_step_is_not_used(tmp_path):
    model = tiny()
    model.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9), "mae")
    model.optimizer.build(model.trainable_variables)
    before = model.get_weights()
    with callbacks.averaged_weights(model):
        np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert np.any(before[0])


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
