import numpy as np
import pytest

from sr_keras.models.lapsrn import Bilinear, lapsrn


def test_has_the_parameters_of_the_paper():
    model = lapsrn(4)
    kernels = [w for w in model.trainable_weights if w.path.endswith("kernel")]
    # per level: ten convolutions and the transposed one
    assert [w.numpy().size for w in kernels].count(3 * 3 * 64 * 64) == 2 * 11
    assert sum(w.numpy().size for w in kernels) == 812_768  # 813K


def test_depth_is_that_of_the_paper():
    def depth(scale):
        return sum("_conv_" in layer.name for layer in lapsrn(scale).layers) / 2

    assert [depth(2), depth(4), depth(8)] == [10, 20, 15]  # with the activations


@pytest.mark.parametrize("channels", [1, 3])
def test_levels_are_initialized_as_bilinear_interpolation(channels):
    model = lapsrn(4, filters=4, num_convs=1, channels=channels)
    for layer in model.layers:
        if layer.name.endswith("residual"):
            layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    rows = np.arange(8, dtype="float32")[None, :, None, None]
    slopes = np.arange(1, channels + 1)
    sr = model(np.broadcast_to(rows * slopes, (1, 8, 8, channels))).numpy()
    # pixel i of 32 is at (i + 0.5) / 4 - 0.5 of 8; the border is affected by padding
    inside = slice(8, 24)
    expected = (np.arange(32) + 0.5)[inside, None] / 4 - 0.5
    np.testing.assert_allclose(sr[0, inside, 16], expected * slopes, rtol=1e-5)


def test_bilinear_needs_a_4x4_kernel():
    with pytest.raises(ValueError, match=r"4x4.*\(3, 3, 1, 1\)"):
        Bilinear()((3, 3, 1, 1))


def test_all_levels_has_an_output_for_each(tmp_path):
    lr = np.random.default_rng(0).random((1, 3, 5, 1), "float32")
    training = lapsrn(8, filters=4, num_convs=1, all_levels=True)
    outputs = training(lr)
    shapes = {name: tuple(sr.shape) for name, sr in outputs.items()}
    assert shapes == {"x2": (1, 6, 10, 1), "x4": (1, 12, 20, 1), "x8": (1, 24, 40, 1)}
    path = tmp_path / "run.weights.h5"
    training.save_weights(path)
    final = lapsrn(8, filters=4, num_convs=1, weights=path)
    np.testing.assert_array_equal(final(lr), outputs["x8"])


def test_every_level_is_trained():
    model = lapsrn(4, filters=4, num_convs=1, all_levels=True)
    model.compile("adam", {"x2": "mae", "x4": "mae"}, run_eagerly=True)
    before = model.get_weights()
    targets = {f"x{n}": np.ones((1, 3 * n, 5 * n, 1)) for n in (2, 4)}
    model.train_on_batch(np.random.default_rng(0).random((1, 3, 5, 1)), targets)
    for weight, old in zip(model.weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path


def test_scale_error_lists_the_scales():
    with pytest.raises(ValueError, match="must be 2, 4 or 8. Received: scale=3"):
        lapsrn(3)
