import keras
import numpy as np
import pytest

from sr_keras.models.dbpn import dbpn


def test_has_the_parameters_of_the_released_networks():
    assert dbpn(2).count_params() == 5_953_526
    model = dbpn(4)
    assert model.count_params() == 10_426_358
    assert model(np.zeros((1, 1, 2, 3), "float32")).shape == (1, 4, 8, 3)


@pytest.mark.parametrize("num_stages", [1, 2, 4])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_output_is_scale_times_larger(scale, num_stages):
    model = dbpn(scale, filters=4, num_features=4, num_stages=num_stages)
    sr = model(np.zeros((1, 3, 5, 3), "float32"))
    assert sr.shape == (1, 3 * scale, 5 * scale, 3)


def test_projections_see_all_previous_ones():
    model = dbpn(2, filters=4, num_features=4, num_stages=4)
    names = {layer.name: layer for layer in model.layers}
    seen = {n: x.kernel.shape[2] for n, x in names.items() if n.endswith("fusion")}
    assert seen == {
        "down_1_fusion": 8,
        "up_2_fusion": 8,
        "down_2_fusion": 12,
        "up_3_fusion": 12,
    }
    assert names["tail"].kernel.shape[2] == 16


def test_up_projection_is_corrected_by_the_upscaled_error():
    model = dbpn(2, filters=4, num_features=4, num_stages=1)
    up = model.get_layer("up_0_project"), model.get_layer("up_0_sum")
    # with projections of zero, the error is minus the input
    zero = model.get_layer("up_0_project")
    zero.set_weights([np.zeros_like(w) for w in zero.get_weights()])
    zero = model.get_layer("up_0_back")
    zero.set_weights([np.zeros_like(w) for w in zero.get_weights()])
    part = keras.Model(
        up[0].input, [model.get_layer("up_0_error").output, up[1].output]
    )
    x = np.random.default_rng(0).random((1, 3, 5, 4), "float32")
    error, enlarged = part(x)
    np.testing.assert_array_equal(error, -x)
    correct = model.get_layer("up_0_correct")
    expected = model.get_layer("up_0_correct_prelu")(correct(-x))
    np.testing.assert_allclose(enlarged, expected, atol=1e-6)


def test_scale_error_lists_the_scales():
    with pytest.raises(ValueError, match="must be 2, 4 or 8. Received: scale=3"):
        dbpn(3)


def test_zero_stages_are_refused():
    with pytest.raises(ValueError, match="`num_stages` must be a positive integer"):
        dbpn(2, num_stages=0)
