import numpy as np

from sr_keras.models.srvgg import srvgg


def test_has_the_parameters_of_the_released_networks():
    assert srvgg(4).count_params() == 621_424
    # head, convolutions with their slopes, and the last one
    general = (9 * 3 * 64 + 2 * 64) + 32 * (9 * 64 * 64 + 2 * 64) + (9 * 64 * 48 + 48)
    assert srvgg(4, num_convs=32).count_params() == general == 1_213_296


def test_the_nearest_interpolation_is_added():
    model = srvgg(3, filters=4, num_convs=1)
    last = model.get_layer("subpixels")
    last.set_weights([np.zeros_like(value) for value in last.get_weights()])
    lr = np.random.default_rng(0).random((1, 3, 5, 3), "float32")
    np.testing.assert_array_equal(model(lr), lr.repeat(3, axis=1).repeat(3, axis=2))


def test_all_convolutions_but_the_last_have_a_slope_per_channel():
    model = srvgg(2, filters=4, num_convs=2)
    slopes = [w for w in model.weights if w.path.endswith("alpha")]
    assert [w.shape for w in slopes] == [(1, 1, 4)] * 3
    np.testing.assert_array_equal(slopes[0], np.full((1, 1, 4), 0.25))
