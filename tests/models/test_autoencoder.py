import keras
import numpy as np
import pytest

from sr_keras.models.autoencoder import autoencoder


def photo(height, width):
    return np.random.default_rng(0).random((1, height, width, 3), "float32")


@pytest.mark.parametrize("skips", [False, True])
def test_takes_any_size(skips):
    model = autoencoder(3, filters=(4, 4, 2), skips=skips)
    for height, width in [(5, 7), (1, 1), (8, 9)]:
        assert model(photo(height, width)).shape == (1, height * 3, width * 3, 3)


def test_pads_by_repeating_the_border():
    model = autoencoder(1, filters=(4, 4, 2))
    image = photo(5, 7)
    padded = np.pad(image, [(0, 0), (0, 3), (0, 1), (0, 0)], mode="edge")  # 8x8
    np.testing.assert_array_equal(model(image), model(padded)[:, :5, :7])


@pytest.mark.parametrize("skips", [False, True])
def test_only_skip_connections_bypass_the_code(skips):
    model = autoencoder(1, filters=(4, 4, 2), skips=skips)
    code = model.get_layer("code_0")
    assert code.output.shape == (None, None, None, 2)
    code.set_weights([np.zeros_like(w) for w in code.get_weights()])
    images = photo(8, 8), photo(8, 8) / 2
    same = np.array_equal(model(images[0]), model(images[1]))
    assert same == (not skips)


def test_the_code_is_an_eighth_of_the_size_and_a_sixth_of_the_values():
    model = autoencoder(1)
    encoder = keras.Model(model.input, model.get_layer("code_0").output)
    image = photo(16, 24)
    code = encoder(image)
    assert code.shape == (1, 2, 3, 32)
    assert np.size(code) * 6 == image.size


@pytest.mark.parametrize("dilations, reach", [((1,), 1), ((1, 2, 4), 7), ((3,), 3)])
def test_dilations_widen_the_receptive_field(dilations, reach):
    model = autoencoder(1, filters=(2,), dilations=dilations)
    first = model.get_layer("code_0")
    last = model.get_layer(f"code_{len(dilations) - 1}")
    part = keras.Model(first.input, last.output)
    for weight in part.trainable_weights:
        weight.assign(np.ones(weight.shape))
    code = np.zeros((1, 21, 21, 2), "float32")
    seen = part(code).numpy()
    code[0, 10, 10] = 1
    rows = np.flatnonzero((part(code).numpy() != seen)[0, :, 10, 0])
    assert (rows.min(), rows.max()) == (10 - reach, 10 + reach)
