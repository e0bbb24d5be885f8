import keras
import numpy as np
import pytest

from sr_keras.models.interpolation import bicubic
from sr_keras.models.stacked_hourglass import stacked_hourglass

SMALL = {"filters": 4, "depth": 2}
LR = np.random.default_rng(0).random((1, 5, 7, 3), "float32")


def test_takes_any_size():
    model = stacked_hourglass(3, **SMALL)
    for height, width in [(5, 7), (1, 1), (8, 9)]:
        sr = model(np.zeros((1, height, width, 3), "float32"))
        assert sr.shape == (1, height * 3, width * 3, 3)


def test_default_has_two_hourglasses_of_four_levels():
    model = stacked_hourglass(2)
    for name in ("down", "up", "branch", "pool"):
        found = [x for x in model.layers if f"_{name}_" in x.name]
        count = sum(x.name.endswith(("skip", "pool_0", "pool_1")) for x in found)
        assert count == (4 if name == "pool" else 8), name
    assert model(LR).shape == (1, 10, 14, 3)


def test_all_outputs_has_one_for_each_hourglass(tmp_path):
    training = stacked_hourglass(2, num_stacks=3, all_outputs=True, **SMALL)
    outputs = training(LR)
    assert list(outputs) == ["stack_0", "stack_1", "stack_2"]
    assert {tuple(sr.shape) for sr in outputs.values()} == {(1, 10, 14, 3)}
    path = tmp_path / "run.weights.h5"
    training.save_weights(path)
    final = stacked_hourglass(2, num_stacks=3, weights=path, **SMALL)
    np.testing.assert_array_equal(final(LR), outputs["stack_2"])


def test_predictions_are_added_to_bicubic_and_given_to_the_next_stack():
    model = stacked_hourglass(2, all_outputs=True, **SMALL)
    before = model(LR)
    subpixels = model.get_layer("stack_0_subpixels")
    subpixels.set_weights([np.zeros_like(w) for w in subpixels.get_weights()])
    after = model(LR)
    np.testing.assert_array_equal(after["stack_0"], bicubic(2)(LR))
    assert not np.array_equal(after["stack_1"], before["stack_1"])


def test_first_outputs_are_near_interpolation():
    keras.utils.set_random_seed(0)
    lr = np.random.default_rng(0).random((1, 24, 24, 3), "float32")
    difference = stacked_hourglass(2, filters=48, depth=3)(lr) - bicubic(2)(lr)
    assert 0 < np.abs(difference).max() < 0.2


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`num_stacks` must be a positive integer"):
        stacked_hourglass(2, num_stacks=0)
    with pytest.raises(ValueError, match="`filters` must be even. Received: filters=5"):
        stacked_hourglass(2, filters=5)
