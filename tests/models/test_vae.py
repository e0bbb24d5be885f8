import keras
import numpy as np
import pytest

from sr_keras import weights as weight_files
from sr_keras.models.interpolation import bicubic
from sr_keras.models.vae import NoLatents, vae, vae_decoder, vae_encoder, vae_upscaler

SMALL = {"filters": 4, "num_blocks": 1, "latent_channels": 2}


def noise(*shape):
    return np.random.default_rng(1).random(shape, "float32")


def latents(height, width):
    return np.random.default_rng(2).standard_normal((1, height, width, 2), "float32")


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_latents_have_the_size_of_lr_and_the_output_that_of_hr(scale):
    encoder, decoder = vae_encoder(scale, **SMALL), vae_decoder(scale, **SMALL)
    for height, width in [(5, 7), (1, 1)]:
        lr = noise(1, height, width, 3)
        hr = noise(1, scale * height, scale * width, 3)
        mean, log_variance = encoder([lr, hr])
        assert mean.shape == log_variance.shape == (1, height, width, 2)
        assert decoder([lr, np.asarray(mean)]).shape == hr.shape
        assert vae_upscaler(decoder)(lr).shape == hr.shape


def test_works_on_luma():
    encoder = vae_encoder(2, **SMALL, channels=1)
    decoder = vae_decoder(2, **SMALL, channels=1)
    z, _ = encoder([noise(1, 5, 7, 1), noise(1, 10, 14, 1)])
    assert decoder([noise(1, 5, 7, 1), np.asarray(z)]).shape == (1, 10, 14, 1)
    assert vae_upscaler(decoder).output_shape == (None, None, None, 1)


def test_encoder_sees_the_difference_from_interpolation():
    encoder = vae_encoder(2, **SMALL)
    lr = noise(1, 5, 7, 3)
    detail = noise(1, 10, 14, 3) - 0.5
    image = np.asarray(bicubic(2)(lr))
    before, _ = encoder([lr, image])
    after, _ = encoder([lr, image + detail])
    assert np.abs(after - before).max() > 1e-3
    # the LR image itself reaches the result through `head` only
    head = encoder.get_layer("head")
    head.set_weights([np.zeros_like(w) for w in head.get_weights()])
    others = noise(1, 5, 7, 3)[:, ::-1]
    np.testing.assert_allclose(
        encoder([lr, image + detail])[0],
        encoder([others, np.asarray(bicubic(2)(others)) + detail])[0],
        atol=1e-5,
    )


def test_decoder_uses_its_latents():
    decoder = vae_decoder(2, **SMALL)
    lr, z = noise(1, 5, 7, 3), latents(5, 7)
    difference = np.abs(decoder([lr, z]) - decoder([lr, -z]))
    assert difference.max() > 1e-3


def test_gate_sets_the_effect_of_the_latents_from_the_lr_image():
    decoder = vae_decoder(2, **SMALL)
    gate = decoder.get_layer("gate")
    kernel, bias = gate.get_weights()
    lr, z = noise(1, 5, 7, 3), latents(5, 7)
    # no effect
    gate.set_weights([0 * kernel, 0 * bias])
    np.testing.assert_array_equal(decoder([lr, z]), decoder([lr, -z]))
    # a gate twice as large has the effect of latents twice as large
    gate.set_weights([0 * kernel, bias + 1])
    expected = decoder([lr, 2 * z])
    gate.set_weights([0 * kernel, bias + 2])
    np.testing.assert_allclose(decoder([lr, z]), expected, atol=1e-5)
    # otherwise, the gate depends on the LR image and not on the latents
    gate.set_weights([kernel, bias])
    strength = keras.Model(decoder.input, gate.output)
    assert np.abs(strength([lr, z]) - strength([1 - lr, z])).max() > 1e-3
    np.testing.assert_array_equal(strength([lr, z]), strength([lr, -z]))


def test_decoder_adds_to_the_interpolated_image():
    decoder = vae_decoder(2, **SMALL)
    tail = decoder.get_layer("tail")
    tail.set_weights([np.zeros_like(w) for w in tail.get_weights()])
    lr = noise(1, 5, 7, 3)
    np.testing.assert_array_equal(decoder([lr, latents(5, 7)]), bicubic(2)(lr))


def test_upscaler_is_the_decoder_for_latents_of_0():
    decoder = vae_decoder(2, **SMALL)
    lr, z = noise(1, 5, 7, 3), latents(5, 7)
    upscaler = vae_upscaler(decoder)
    np.testing.assert_array_equal(upscaler(lr), decoder([lr, 0 * z]))
    assert len(upscaler.weights) == len(decoder.weights)


def test_upscaler_survives_a_round_trip_in_safe_mode(tmp_path):
    upscaler = vae_upscaler(vae_decoder(2, **SMALL))
    upscaler.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras", safe_mode=True)
    lr = noise(1, 5, 7, 3)
    np.testing.assert_array_equal(loaded(lr), upscaler(lr))
    assert (loaded.scale, loaded.identity) == (2, None)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_outputs_are_float32_under_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        encoder, decoder = vae_encoder(2, **SMALL), vae_decoder(2, **SMALL)
        upscaler = vae_upscaler(decoder)
    finally:
        keras.config.set_dtype_policy(before)
    low = policy.removeprefix("mixed_")
    lr = noise(1, 5, 7, 3)
    mean, log_variance = encoder([lr, noise(1, 10, 14, 3)])
    sr = decoder([lr, np.asarray(mean)])
    for x in (mean, log_variance, sr, upscaler(lr)):
        assert x.dtype == "float32"
        assert np.any(keras.ops.cast(keras.ops.cast(x, low), "float32") != x)


@pytest.mark.parametrize("builder", [vae_encoder, vae_decoder])
def test_scale_error_lists_the_scales(builder):
    with pytest.raises(ValueError, match="must be 2, 3, 4 or 8. Received: scale=5"):
        builder(5)


def test_upscaler_loads_the_weights_of_the_decoder(tmp_path):
    decoder = vae_decoder(2, **SMALL)
    path = tmp_path / "decoder.weights.h5"
    weight_files.save(decoder, path)
    lr = noise(1, 5, 7, 3)
    np.testing.assert_array_equal(
        vae(2, **SMALL, weights=path)(lr), vae_upscaler(decoder)(lr)
    )
    loaded = vae_decoder(2, **SMALL, weights=path)
    z = latents(5, 7)
    np.testing.assert_array_equal(loaded([lr, z]), decoder([lr, z]))


def test_encoder_loads_its_weights(tmp_path):
    encoder = vae_encoder(2, **SMALL)
    path = tmp_path / "encoder.weights.h5"
    weight_files.save(encoder, path)
    images = [noise(1, 5, 7, 3), noise(1, 10, 14, 3)]
    loaded = vae_encoder(2, **SMALL, weights=path)
    for a, b in zip(loaded(images), encoder(images), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="for this network: none"):
        vae_encoder(2, **SMALL, weights="bsds-small")


def test_wrong_number_of_latent_channels_is_refused():
    message = "`latent_channels` must be a positive integer. .* latent_channels=0"
    for builder in (vae_encoder, vae_decoder, vae):
        with pytest.raises(ValueError, match=message):
            builder(2, latent_channels=0)
    with pytest.raises(ValueError, match=message):
        NoLatents(0)
