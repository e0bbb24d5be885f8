import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import preloaded
import pytest
import tensorflow as tf

from sr_keras import images, losses
from sr_keras.training import GAN, Recipe, TrainingRun, distribution

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


def test_losses_create_their_networks_in_the_scope(tmp_path):
    missing = losses.Content("VGG22", vgg_weights=tmp_path / "missing.h5")
    recipe = Recipe(
        network="espcn",
        scale=2,
        data=("samples",),
        loss=("content", {"layers": "VGG22", "vgg_weights": None}),
        precision="float32",
    )
    with distribution.scope(TwoReplicas()):
        model = recipe.build()
    assert model.loss._extract._variables is not None
    assert missing._extract._variables is None
    assert recipe.build().loss._extract._variables is None  # at the first call


def start(photos, run, *options, stop_after=NEVER, **environment):
    """Starts the command line in a new process: eight steps of training."""
    arguments = (
        "train espcn --scale 2 --steps 8 --evaluate-every 4 --set lr_patch_size=8"
        " --set batch_size=4 --set num_validation=1 --set learning_rate=1e-2"
        " --set ema_momentum=0.9 --set precision=float32"
        ' --set options={"filters":[4,4],"channels":3}'
    )
    backend = environment.get("KERAS_BACKEND", "tensorflow")
    return subprocess.Popen(
        [*preloaded.python(backend), SCRIPT, str(stop_after), *arguments.split()]
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
    """Waits, and returns the exit codes and the output."""
    try:
        printed = [process.communicate(timeout=900)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()  # one may be waiting for another that failed
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


@pytest.mark.slow
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


@pytest.mark.slow
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


TRAIN_GAN = """
import sys
import keras, numpy as np, tensorflow as tf
from keras import layers
from sr_keras import losses, models
from sr_keras.datasets import Pairs
from sr_keras.pipeline import training_batches
from sr_keras.training import TrainingRun, distribution
from sr_keras.training.gan import GAN

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
        discriminator = keras.Model(photo, layers.Conv2D(1, 3)(x), name="discriminator")
        gan = GAN(generator, discriminator)
        gan.compile(
            keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9),
            keras.optimizers.Adam(1e-2),
            losses=[(1.0, "l1"), (1e-4, content)],
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
    for name in old.keys() - {"seconds"}:  # scores are of outputs rounded to integers
        np.testing.assert_allclose(new[name], old[name], rtol=1e-3, err_msg=name)
for a, b in zip(one[1], two[1], strict=True):
    np.testing.assert_allclose(b, a, atol=1e-4)
print("equal")
"""


@pytest.mark.slow
def test_a_gan_with_a_feature_network_trains_on_two_replicas_as_on_one(tmp_path):
    done = subprocess.run(
        [*preloaded.python(), "-c", TRAIN_GAN, tmp_path / "one", tmp_path / "two"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert "equal" in done.stdout, done.stderr[-2000:]


RECIPE = Recipe(
    network="espcn", scale=2, data=("samples",), batch_size=3, precision="float32"
)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "miror",
            {},
            "\"mirrored\" or \"multi_worker\". .*='miror'. Did you mean 'mirrored'",
        ),
        ("mirrored", {}, "mirrored needs several GPUs. Found only: "),
        ("mirrored", {"global_clipnorm": 1.0}, "`global_clipnorm` must be None.*=1.0"),
        ("multi_worker", {}, "needs the environment variable KERAS_BACKEND=jax. Rec"),
    ],
)
def test_errors(name, change, message, monkeypatch):
    one = [SimpleNamespace(name="/device:CPU:0")]
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: one if kind == "CPU" else []
    )
    with pytest.raises(ValueError, match=message):
        distribution.open_strategy(name, dataclasses.replace(RECIPE, **change))


def test_a_batch_that_cannot_be_divided(monkeypatch):
    cpus = [SimpleNamespace(name="CPU:0"), SimpleNamespace(name="CPU:1")]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: cpus)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: None)
    with pytest.raises(ValueError, match="multiple of the 2 devices. .*=3"):
        distribution.open_strategy("mirrored", RECIPE)


@needs_jax
def test_errors_of_several_processes(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    names = "JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"
    for name in names:
        monkeypatch.delenv(f"KERAS_DISTRIBUTION_{name}", raising=False)
    with pytest.raises(ValueError, match="Missing: KERAS_DISTRIBUTION_JOB_ADDR.*, K"):
        distribution.open_strategy("multi_worker", RECIPE)
    assert distribution.is_first_process("multi_worker")
    for name in names:
        monkeypatch.setenv(f"KERAS_DISTRIBUTION_{name}", "1")
    assert not distribution.is_first_process("multi_worker")
    assert distribution.is_first_process() and distribution.num_processes() == 1
    auto = dataclasses.replace(RECIPE, precision="auto")
    with pytest.raises(ValueError, match="`precision` must be the same on every"):
        distribution.open_strategy("multi_worker", auto)


@needs_jax
def test_processes_must_find_the_same_state(tmp_path, monkeypatch):
    from jax.experimental import multihost_utils

    monkeypatch.setattr(distribution, "num_processes", lambda: 2)
    monkeypatch.setattr(
        multihost_utils, "process_allgather", lambda step: np.stack([step + 4, step])
    )
    with pytest.raises(ValueError, match="same step. .*processes: 4, 0. Copy"):
        TrainingRun(tmp_path, 8).restore(None)


def test_gans_and_vaes_need_tensorflow_or_jax(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    message = (
        "A GAN can be trained on TensorFlow and JAX. Received: KERAS_BACKEND=torch"
    )
    with pytest.raises(ValueError, match=message):
        GAN(keras.Sequential(), keras.Sequential())
