import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from sr_keras import features, images, losses
from sr_keras.training import Recipe, TrainingRun, adversarial, distribution, recipes

SCRIPT = pathlib.Path(__file__).with_name("distributed_run.py")
NEVER = 0

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None,
    reason="JAX is not installed: pip install jax",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in "abcd":
        coarse = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        pixels = np.kron(coarse, np.ones((4, 4, 1), np.uint8))
        images.write(folder / f"{name}.png", pixels)
    return folder


class TwoReplicas:
    num_replicas_in_sync = 2
    scope = staticmethod(contextlib.nullcontext)


def test_a_scope_provides_for_the_losses_made_in_it_alone(tmp_path):
    others = losses.Content("VGG22", vgg_weights=tmp_path / "missing.h5")
    waiting = features.waiting()
    assert waiting  # such as those of the recipes: nothing may be downloaded for them
    content = losses.Content("VGG22", vgg_weights=None)
    recipe = Recipe("espcn", 2, ("samples",), loss=content)
    with distribution.scope(TwoReplicas()):
        network = recipes.build(recipe)
        assert len(features.waiting()) == len(waiting) + 2  # content, and its copy
    assert features.waiting()[: len(waiting)] == waiting
    assert len(features.waiting()) == len(waiting) + 1
    assert network.loss.get_config() == content.get_config()
    assert network.loss is not content and others.vgg_weights


def start(photos, run, *options, stop_after=NEVER, **environment):
    """Starts the command line in a process of its own: eight steps."""
    arguments = (
        "train espcn --scale 2 --lr-size 8 --batch-size 4 --steps 8 --hold-out 1"
        " --evaluate-every 4 --learning-rate 1e-2 --ema 0.9 --precision float32"
        " --option filters=[4,4] --option channels=3"
    )
    return subprocess.Popen(
        [sys.executable, SCRIPT, str(stop_after), *arguments.split()]
        + ["--data", photos, "--out", run, "--cache", f"{run}.cache", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )


def start_two(photos, runs, *options, stop_after=(NEVER, NEVER)):
    """Starts two processes that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        start(
            photos,
            runs[i],
            "--distribute",
            "multi_worker",
            *options,
            stop_after=stop_after[i],
            KERAS_BACKEND="jax",
            KERAS_DISTRIBUTION_JOB_ADDRESSES=f"127.0.0.1:{port}",
            KERAS_DISTRIBUTION_NUM_PROCESSES="2",
            KERAS_DISTRIBUTION_PROCESS_ID=str(i),
        )
        for i in range(2)
    ]


def finish(*processes):
    """Waits, and returns the exit codes and what was printed."""
    try:
        printed = [process.communicate(timeout=900)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()  # if one has failed, another may wait for it
    return [process.returncode for process in processes], "\n".join(printed)


def state(run):
    """Returns the weights and the optimizer's variables that a run has saved."""
    found = {}
    (path,) = (run / "state").glob("*/model.weights.h5")
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if hasattr(item, "dtype") else None
            )
        )
    return found


def check_equal(run, other):
    """Compares two runs; the other was interrupted after step 4 or 5."""
    expected, found = state(run), state(other)
    assert expected.keys() == found.keys()
    assert any("optimizer" in name for name in found)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5, err_msg=name)
    logs = [json.loads((folder / "log.json").read_text()) for folder in (run, other)]
    assert [entry["step"] for entry in logs[1]] == [4, 8]
    for old, new in zip(*logs, strict=True):
        assert new["psnr_y"] == pytest.approx(old["psnr_y"], rel=1e-4)
    # afterwards it may be the mean of the steps since the resumption
    assert logs[1][0]["loss"] == pytest.approx(logs[0][0]["loss"], rel=1e-5)


def test_two_replicas_train_as_one_device_and_resume(photos, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    options = ("--distribute", "mirrored")
    codes, printed = finish(
        start(photos, one), start(photos, two, *options, stop_after=4)
    )
    assert codes == [0, 130], printed
    codes, printed = finish(start(photos, two, *options, "--resume"))
    assert codes == [0], printed
    check_equal(one, two)


@needs_jax
def test_two_processes_train_as_one_and_resume(photos, tmp_path):
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    alone = start(photos, one, KERAS_BACKEND="jax")
    # a signal to one of them ends both, at the same step
    pair = start_two(photos, (two, other), stop_after=(NEVER, 4))
    codes, printed = finish(alone, *pair)
    assert codes == [0, 130, 130], printed
    assert not other.exists()  # the first process writes all
    codes, printed = finish(*start_two(photos, (two, two), "--resume"))
    assert codes == [0, 0], printed
    check_equal(one, two)


GAN = """
import sys
import keras, numpy as np, tensorflow as tf
from keras import layers
from sr_keras import losses, models
from sr_keras.datasets import Pairs
from sr_keras.pipeline import training_batches
from sr_keras.training import TrainingRun, distribution
from sr_keras.training.adversarial import GAN

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
photos = np.random.default_rng(0).integers(0, 256, (3, 40, 44, 3), dtype=np.uint8)
dataset = Pairs("abc", 2, photos.__getitem__)

def train(strategy, folder):
    keras.utils.set_random_seed(0)
    with distribution.scope(strategy):
        content = losses.Content("VGG22", vgg_weights=None)
        generator = models.espcn(2, filters=(4, 4), channels=3)
        photo = keras.Input((None, None, 3))
        x = layers.Conv2D(4, 3, activation="tanh")(photo)
        gan = GAN(generator, keras.Model(photo, layers.Conv2D(1, 3)(x), name="critic"))
        gan.compile(
            keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9),
            keras.optimizers.Adam(1e-2),
            terms=[(1.0, "l1"), (1e-4, content)],
            adversarial_weight=0.1,
        )
    run = TrainingRun(folder, 4, 2, validation=dataset, upscaler=generator)
    gan.fit(training_batches(dataset, 8, 4), steps_per_epoch=4, callbacks=[run],
            shuffle=False, verbose=0)
    return run.log, gan.get_weights()

one = train(tf.distribute.get_strategy(), sys.argv[1])
two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), sys.argv[2])
for old, new in zip(one[0], two[0], strict=True):
    assert {"l1", "content", "adversarial_loss", "discriminator_loss"} <= old.keys()
    for name in old.keys() - {"seconds"}:
        np.testing.assert_allclose(new[name], old[name], rtol=1e-4, err_msg=name)
for a, b in zip(one[1], two[1], strict=True):
    np.testing.assert_allclose(b, a, atol=1e-4)
print("equal")
"""


def test_a_gan_with_a_feature_network_trains_on_two_replicas_as_on_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", GAN, tmp_path / "one", tmp_path / "two"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert "equal" in done.stdout, done.stderr[-2000:]


RECIPE = Recipe("espcn", 2, ("samples",), batch_size=3, precision="float32")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("both", {}, "`distribute` must be mirrored or multi_worker. Received: both"),
        ("mirrored", {}, "mirrored needs several GPUs. There is: "),
        ("mirrored", {"clip_norm": 1.0}, "cannot limit the norm of the gradient"),
        ("multi_worker", {}, "needs the environment variable KERAS_BACKEND=jax. Keras"),
    ],
)
def test_errors(name, change, message, tmp_path, monkeypatch):
    one = [SimpleNamespace(name="/device:CPU:0")]
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: one if kind == "CPU" else []
    )
    with pytest.raises(ValueError, match=message):
        recipes.train(
            dataclasses.replace(RECIPE, **change), tmp_path / "run", distribute=name
        )
    assert not (tmp_path / "run").exists()


def test_a_batch_that_cannot_be_divided(monkeypatch):
    cpus = [SimpleNamespace(name="CPU:0"), SimpleNamespace(name="CPU:1")]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: cpus)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: None)
    with pytest.raises(ValueError, match="multiple of the 2 devices. Received: 3"):
        distribution.open_strategy("mirrored", RECIPE)


@needs_jax
def test_errors_of_several_processes(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    names = "JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"
    for name in names:
        monkeypatch.delenv(f"KERAS_DISTRIBUTION_{name}", raising=False)
    with pytest.raises(ValueError, match="Missing: KERAS_DISTRIBUTION_JOB_ADDR.*, K"):
        distribution.open_strategy("multi_worker", RECIPE)
    for name in names:
        monkeypatch.setenv(f"KERAS_DISTRIBUTION_{name}", "1")
    auto = dataclasses.replace(RECIPE, precision="auto")
    with pytest.raises(ValueError, match="needs a precision, the same on every"):
        distribution.open_strategy("multi_worker", auto)
    with pytest.raises(ValueError, match="A GAN is trained by TensorFlow alone"):
        adversarial.GAN(keras.Sequential(), keras.Sequential())


@needs_jax
def test_processes_must_find_the_same_state(tmp_path, monkeypatch):
    from jax.experimental import multihost_utils

    monkeypatch.setattr(distribution, "num_processes", lambda: 2)
    monkeypatch.setattr(
        multihost_utils, "process_allgather", lambda step: np.stack([step + 4, step])
    )
    with pytest.raises(ValueError, match="different steps, in their order: 4, 0. Copy"):
        TrainingRun(tmp_path, 8).restore(None)
