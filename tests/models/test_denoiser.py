import keras
import numpy as np
import pytest

from sr_keras import weights as weight_files
from sr_keras.models import bicubic, denoiser, denoiser_upscaler
from sr_keras.models.denoiser import OnlyNoise, TimeEmbedding

SMALL = {"filters": 8, "num_levels": 2, "channels": 1}


def inputs(height, width, scale=2, channels=1):
    rng = np.random.default_rng(1)
    noisy = rng.standard_normal((2, scale * height, scale * width, channels), "float32")
    lr = rng.random((2, height, width, channels), "float32")
    return [noisy, np.array([0.25, 0.75], "float32"), lr]


def trained(network):
    """Gives every kernel of a network values, because some start as zeros."""
    rng = np.random.default_rng(2)
    for w in network.weights:
        if not np.any(w.numpy()) and len(w.shape) > 1:
            w.assign(0.05 * rng.standard_normal(w.shape))
    return network


def test_number_of_parameters():
    def conv(size, before, after):
        return size**2 * before * after + after

    def block(before, after):
        project = conv(1, before, after) if before != after else 0
        norms = 2 * before + 2 * after
        time = 4 * 8 * after + after
        return project + norms + conv(3, before, after) + time + conv(3, after, after)

    # 2x2 patches of the noisy and the upscaled image; 8 and 16 channels
    expected = (8 * 32 + 32) + conv(3, 2 * 4, 8) + block(8, 8) + conv(3, 8, 16)
    expected += 2 * block(16, 16) + conv(1, 16, 8) + block(16, 8)
    expected += 2 * 8 + conv(3, 8, 4)
    assert denoiser(2, **SMALL).count_params() == expected
    assert denoiser(4, channels=1).count_params() == 1_001_700
    assert denoiser(4).count_params() < 2_000_000


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_output_has_the_size_of_the_noisy_image(scale):
    network = trained(denoiser(scale, **SMALL))
    for height, width in [(5, 7), (1, 1)]:
        noisy, time, lr = inputs(height, width, scale)
        assert network([noisy, time, lr]).shape == noisy.shape
    assert network.scale == scale


def test_starts_with_a_velocity_of_zero():
    assert not np.any(denoiser(2, **SMALL)(inputs(5, 7)))


def test_depends_on_each_input_and_not_on_the_rest_of_the_batch():
    network = trained(denoiser(2, **SMALL))
    noisy, time, lr = inputs(5, 7)
    before = network([noisy, time, lr])
    for changed in ([-noisy, time, lr], [noisy, 1 - time, lr], [noisy, time, 1 - lr]):
        assert np.abs(before - network(changed)).max() > 1e-3
    alone = network([noisy[:1], time[:1], lr[:1]])
    np.testing.assert_allclose(alone, before[:1], atol=1e-5)


def test_time_embedding_by_hand():
    embedding = TimeEmbedding(4)
    # frequencies of 1000 and 1000 / 10000
    expected = [
        [0.0, 0.0, 1.0, 1.0],
        [np.sin(500.0), np.sin(0.05), np.cos(500.0), np.cos(0.05)],
    ]
    found = embedding(np.array([0.0, 0.5], "float32"))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(ValueError, match="`size` must be even. Received: size=3"):
        TimeEmbedding(3)


def test_upscaler_is_the_denoiser_at_time_1():
    network = trained(denoiser(2, **SMALL))
    noisy, _, lr = inputs(5, 7)
    velocity = network([0 * noisy, np.ones(2, "float32"), lr])
    upscaler = denoiser_upscaler(network)
    np.testing.assert_allclose(upscaler(lr), (1 - velocity) / 2, atol=1e-6)
    assert len(upscaler.weights) == len(network.weights)


def test_only_noise():
    noisy, time = OnlyNoise(3)(np.ones((2, 4, 5, 1), "float32"))
    np.testing.assert_array_equal(noisy, np.zeros((2, 12, 15, 1)))
    np.testing.assert_array_equal(time, np.ones(2))


def test_networks_survive_a_round_trip_in_safe_mode(tmp_path):
    network = trained(denoiser(2, **SMALL))
    for model, x in (
        (network, inputs(5, 7)),
        (denoiser_upscaler(network), inputs(5, 7)[2]),
    ):
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_array_equal(loaded(x), model(x))
        assert (loaded.scale, loaded.identity) == (2, model.identity)


def test_loads_its_weights(tmp_path):
    network = trained(denoiser(2, **SMALL))
    path = tmp_path / "denoiser.weights.h5"
    weight_files.save(network, path)
    loaded = denoiser(2, **SMALL, weights=path)
    np.testing.assert_array_equal(loaded(inputs(5, 7)), network(inputs(5, 7)))
    with pytest.raises(ValueError, match="which do not fit denoiser.*filters=16"):
        denoiser(2, **{**SMALL, "filters": 16}, weights=path)


def test_sees_the_interpolated_image():
    network = trained(denoiser(2, **SMALL))
    *_, lr = inputs(5, 7)
    seen = keras.Model(network.input, network.get_layer("signed").output)(inputs(5, 7))
    np.testing.assert_allclose(seen, 2 * bicubic(2, channels=1)(lr) - 1, atol=1e-5)


def test_output_is_float32_under_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = denoiser(2, **SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    assert trained(network)(inputs(5, 7)).dtype == "float32"


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="a multiple of 8. Received: filters=12"):
        denoiser(4, filters=12)
    for name in ("filters", "num_levels", "patch_size", "channels"):
        with pytest.raises(ValueError, match=f"`{name}` must be a positive integer"):
            denoiser(4, **{name: 0})
    with pytest.raises(ValueError, match="`scale` must be a positive integer"):
        denoiser(0)
