import subprocess

import keras
import numpy as np
import preloaded
import pytest
import tensorflow as tf

from sr_keras import datasets, optimizers
from sr_keras.optimizers import SOAP
from sr_keras.training import Recipe, TrainingRun, run, train


def dense(optimizer, inputs=6, outputs=4):
    """Returns a linear layer that is compiled with the squared error."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs)])
    model.compile(optimizer, "mse")
    return model


def mixed(inputs=6, outputs=4, count=32):
    """Inputs that vary 100 times more along one combination than along another."""
    rng = np.random.default_rng(0)
    directions, _ = np.linalg.qr(rng.normal(size=(inputs, inputs)))
    x = rng.normal(size=(count, inputs)) * np.geomspace(1, 0.01, inputs) @ directions.T
    return x.astype("float32"), (x @ rng.normal(size=(inputs, outputs))).astype(
        "float32"
    )


def fit(model, x, y, steps):
    """Trains on the same batch several times, in one epoch: every epoch costs time."""
    x, y = (np.tile(array, (steps, 1)) for array in (x, y))
    model.fit(x, y, batch_size=len(x) // steps, shuffle=False, verbose=0)


def last_loss(optimizer, steps):
    x, y = mixed()
    model = dense(optimizer)
    fit(model, x, y, steps)
    return model.evaluate(x, y, verbose=0)


def test_it_follows_valleys_that_are_not_aligned_with_the_weights():
    rate = keras.optimizers.schedules.CosineDecay(0.1, 300)
    ours = last_loss(SOAP(rate), 300)
    adam = last_loss(keras.optimizers.Adam(rate, 0.95, 0.95), 300)
    assert ours < adam / 10


def test_biases_are_updated_by_adam():
    x = np.random.default_rng(0).normal(size=(8, 1, 1, 3)).astype("float32")

    def slopes_after(optimizer):
        layer = keras.layers.PReLU(shared_axes=[1, 2])
        model = keras.Sequential([keras.Input((1, 1, 3)), layer])
        model.compile(optimizer, "mse")
        model.fit(x, 0.5 * x, batch_size=4, epochs=10, shuffle=False, verbose=0)
        return np.array(layer.alpha)

    ours = slopes_after(SOAP(0.01, 0.9, 0.99, precondition_frequency=1))
    adam = slopes_after(keras.optimizers.Adam(0.01, 0.9, 0.99))
    assert np.abs(adam).min() > 0.05  # ten steps of 0.01, from 0
    np.testing.assert_allclose(ours, adam, atol=1e-5)


@pytest.mark.parametrize("max_precond_dim", [3, 6])
def test_the_bases_are_eigenvectors_up_to_the_largest_size(max_precond_dim):
    optimizer = SOAP(0.01, precondition_frequency=2, max_precond_dim=max_precond_dim)
    model = dense(optimizer, inputs=6, outputs=3)
    x, y = mixed(outputs=3)
    fit(model, x, y, 101)
    assert (optimizer._bases[0][0] is None) == (max_precond_dim == 3)
    assert optimizer._bases[0][1] is not None
    assert optimizer._bases[1] == [None, None]  # of the bias
    for basis, product in zip(optimizer._bases[0], optimizer._products[0], strict=True):
        if basis is None:
            continue
        basis, product = np.array(basis), np.array(product)
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-5)
        rotated = basis.T @ product @ basis
        values = np.diag(rotated)
        assert np.all(np.diff(values) <= 1e-6 * values[0])
        assert np.abs(rotated - np.diag(values)).max() < 0.02 * values[0]


@pytest.mark.parametrize("axis", [0, 1])
def test_the_squares_follow_their_eigenvectors(axis):
    product = np.diag([1.0, 4.0, 2.0]).astype("float32")
    square = np.arange(9, dtype="float32").reshape(3, 3)
    basis, moved = optimizers._update_basis(
        product, np.eye(3, dtype="float32"), square, axis
    )
    order = [1, 2, 0]  # the largest eigenvalue first
    np.testing.assert_allclose(np.abs(basis), np.eye(3)[:, order], atol=1e-6)
    np.testing.assert_array_equal(moved, np.take(square, order, axis))


def test_a_step_has_one_condition_for_each_kernel():
    model = dense(SOAP())
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.optimizer.apply)
    gradients = [tf.ones_like(variable) for variable in model.trainable_variables]
    graph = step.get_concrete_function(gradients).graph
    conditions = [op.name for op in graph.get_operations() if op.type.endswith("If")]
    assert len(conditions) == 1  # of two variables, one is a bias


def test_serialization_round_trip():
    optimizer = SOAP(0.1, 0.8, 0.7, 1e-5, 3, 17, ema_momentum=0.5)
    config = keras.optimizers.serialize(optimizer)
    again = keras.optimizers.deserialize(config)
    assert type(again) is SOAP
    assert again.get_config() == optimizer.get_config()
    assert (again.precondition_frequency, again.max_precond_dim) == (3, 17)


def test_errors():
    with pytest.raises(ValueError, match="`precondition_frequency` must be a positive"):
        SOAP(precondition_frequency=0)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_resumed_run_ends_as_an_uninterrupted_one(precision, tmp_path, monkeypatch):
    recipe = Recipe(
        network="fsrcnn",
        scale=2,
        data=("samples",),
        options={"num_features": 6, "num_shrunk": 4, "num_mappings": 1},
        optimizer="soap",
        learning_rate=1e-2,
        warmup_steps=5,
        steps=50,
        batch_size=2,
        lr_patch_size=12,
        precision=precision,
    )
    hr = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    photos = datasets.Pairs(["a", "b"], 2, lambda i: hr)
    monkeypatch.setattr(run, "open_datasets", lambda _: (photos, None))
    whole, state = train(recipe, tmp_path / "whole", evaluate_every=50)
    assert state.log[-1]["loss"] < 0.3

    class Stopped(Exception):
        pass

    on_end = TrainingRun.on_train_batch_end

    def stop_at_30(self, batch, logs=None):
        on_end(self, batch, logs)
        if self.step == 30:
            raise Stopped

    parted = tmp_path / "parted"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(TrainingRun, "on_train_batch_end", stop_at_30)
        train(recipe, parted, evaluate_every=25)
    again, state = train(recipe, parted, evaluate_every=25, resume=True)
    assert [entry["step"] for entry in state.log] == [25, 50]
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


REPLICAS = """
import keras, numpy as np, tensorflow as tf
from sr_keras.optimizers import SOAP
from sr_keras.training import distribution

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(2, 40, 3)).astype("float32")

def train(strategy):
    keras.utils.set_random_seed(0)
    with distribution.scope(strategy):
        # The kernel is square, so that every direction has a gradient. Otherwise an
        # eigenvector would be determined by rounding errors.
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
        model.compile(SOAP(0.1, precondition_frequency=2, use_ema=True), "mse")
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return [np.array(v) for v in (*model.variables, *model.optimizer.variables)]

one = train(tf.distribute.get_strategy())
two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
assert np.abs(one[-1] - np.eye(3)).max() > 0.1  # a basis
for a, b in zip(one, two, strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4)
print("equal")
"""


@pytest.mark.slow
def test_two_replicas_train_as_one_device():
    done = subprocess.run(
        [*preloaded.python(), "-c", REPLICAS],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert "equal" in done.stdout, done.stderr[-2000:]
