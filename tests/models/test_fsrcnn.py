import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from sr_keras import models
from sr_keras.models.fsrcnn import Conv2DTranspose, fsrcnn
from sr_keras.receptive_field import from_graph, measure


@pytest.mark.parametrize("d, s, m, count", [(56, 12, 4, 12_464), (32, 5, 1, 3_937)])
@pytest.mark.parametrize("scale", [2, 4])
def test_has_the_parameters_of_the_paper(d, s, m, count, scale):
    assert count == 25 * d + s * d + 9 * m * s**2 + d * s + 81 * d
    model = fsrcnn(scale, num_features=d, num_shrunk=s, num_mappings=m)
    kernels = [w for w in model.weights if w.path.endswith("kernel")]
    assert sum(w.numpy().size for w in kernels) == count
    slopes = biases = d + s + m * s + d
    assert model.count_params() == count + biases + 1 + slopes


def test_defaults_are_the_papers_network_for_luma():
    assert fsrcnn(3).count_params() == fsrcnn(3, 56, 12, 4).count_params() == 12_809
    assert fsrcnn(3).input_shape == (None, None, None, 1)


def test_each_channel_has_a_slope_initialized_to_a_quarter():
    model = fsrcnn(2, num_features=3, num_shrunk=2, num_mappings=1)
    slopes = [w.numpy() for w in model.weights if w.path.endswith("alpha")]
    assert [slope.shape[-1] for slope in slopes] == [3, 2, 2, 3]
    assert {value for slope in slopes for value in slope.flat} == {0.25}


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_upscales_only_at_the_end(scale):
    model = fsrcnn(scale, num_features=3, num_shrunk=2, num_mappings=1)
    *features, last, _ = model.layers
    shape = (1, 5, 7, 1)
    assert last.name == "deconvolution"
    assert features[-1].compute_output_shape((1, 5, 7, 3)) == (1, 5, 7, 3)
    assert model.compute_output_shape(shape) == (1, 5 * scale, 7 * scale, 1)


def test_first_outputs_are_near_zero():
    lr = np.random.default_rng(0).random((1, 5, 7, 1), "float32")
    assert np.abs(fsrcnn(3)(lr)).max() < 0.1


BOTH = (Conv2DTranspose, layers.Conv2DTranspose)
# Kernel and stride: those of the paper, kernels that are no whole number of tiles or
# end earlier on one side, without gaps and with gaps between the stamps.
KERNELS = [(9, stride) for stride in (1, 2, 3, 4, 5, 8)]
KERNELS += [(3, 2), (4, 2), (8, 4), (2, 2), (1, 3)]


def transposed_pair(kernel, stride, **kwargs):
    """The layer of this package and that of Keras, with the same random weights."""
    pair = [kind(2, kernel, stride, "same", **kwargs) for kind in BOTH]
    for layer in pair:
        layer.build((None, None, None, 3))
    rng = np.random.default_rng(1)
    values = [rng.normal(size=w.shape) for w in pair[0].weights]
    for layer in pair:
        layer.set_weights(values)
    return pair


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_outputs_and_gradients_are_those_of_keras(kernel, stride):
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")
    shape = (2, 5 * stride, 7 * stride, 2)
    weight = np.random.default_rng(2).normal(size=shape).astype("float32")
    results = []
    for layer in transposed_pair(kernel, stride, activation="tanh"):
        assert tuple(layer.compute_output_shape(x.shape)) == shape
        with tf.GradientTape() as tape:
            inputs = tf.constant(x)
            tape.watch(inputs)
            y = layer(inputs)
            loss = tf.reduce_sum(weight * y)
        assert y.shape == shape
        results.append([y, *tape.gradient(loss, [inputs, *layer.trainable_weights])])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_a_single_pixel_becomes_the_kernel():
    layer = Conv2DTranspose(1, 9, 4, use_bias=False)
    layer.build((None, None, None, 1))
    kernel = np.arange(81, dtype="float32").reshape(9, 9)
    layer.set_weights([kernel[..., None, None]])
    impulse = np.zeros((1, 5, 5, 1), "float32")
    impulse[0, 2, 2] = 1
    expected = np.zeros((20, 20), "float32")
    # the kernel hangs over the 4 x 4 pixels by 2 before them and by 3 after them
    expected[8 - 2 : 12 + 3, 8 - 2 : 12 + 3] = kernel
    np.testing.assert_array_equal(layer(impulse)[0, ..., 0], expected)


def test_one_graph_takes_all_sizes():
    ours, theirs = transposed_pair(9, 3)
    graph = tf.function(ours, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for shape in ((1, 5, 7, 3), (2, 1, 1, 3), (0, 4, 2, 3)):
        x = np.random.default_rng(0).random(shape, "float32")
        np.testing.assert_allclose(graph(x), theirs(x), atol=1e-5)


def test_mixed_precision_multiplies_in_bfloat16():
    ours, theirs = transposed_pair(9, 4, dtype="mixed_bfloat16")
    x = np.random.default_rng(0).random((1, 5, 7, 3), "float32")
    y = ours(x)
    assert (y.dtype, ours.kernel.dtype) == ("bfloat16", "float32")
    expected = tf.cast(theirs(x), "float32")
    np.testing.assert_allclose(tf.cast(y, "float32"), expected, rtol=0.02, atol=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": (9, 7), "strides": 2},
        {"kernel_size": 9, "strides": (2, 3)},
        {"kernel_size": 9, "strides": 2, "padding": "valid"},
        {"kernel_size": 9, "strides": 2, "output_padding": 1},
        {"kernel_size": 9, "dilation_rate": 2},
        {"kernel_size": 9, "strides": 2, "data_format": "channels_first"},
    ],
)
def test_other_options_are_refused(options):
    with pytest.raises(ValueError, match="must be square, .* Received: {.*'filters'"):
        Conv2DTranspose(1, **options)


@pytest.fixture(params=[2, 3, 4])
def both(request):
    """FSRCNN with shipped weights, and the same network with the layer of Keras."""
    name = f"fsrcnn-x{request.param}-bsds"
    model = models.load(name)

    def with_keras(layer):
        if type(layer) is not Conv2DTranspose:
            return type(layer).from_config(layer.get_config())
        return layers.Conv2DTranspose.from_config(layer.get_config())

    other = keras.models.clone_model(model, clone_function=with_keras)
    assert type(other.get_layer("deconvolution")) is layers.Conv2DTranspose
    return model, other, name


def test_files_of_weights_fit_the_layer_of_keras(both, tmp_path):
    model, other, name = both
    other.load_weights(models.weights.find(name))
    lr = np.random.default_rng(0).random((1, 7, 10, 1), "float32")
    np.testing.assert_allclose(model(lr), other(lr), atol=1e-5)
    other.set_weights([w + 0.01 for w in other.get_weights()])
    other.save_weights(tmp_path / "of_keras.weights.h5")
    model.load_weights(tmp_path / "of_keras.weights.h5")
    np.testing.assert_allclose(model(lr), other(lr), atol=1e-5)


def test_the_layer_survives_a_keras_file(both, tmp_path):
    model, other, _ = both
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.get_layer("deconvolution")) is Conv2DTranspose
    lr = np.random.default_rng(0).random((1, 7, 10, 1), "float32")
    np.testing.assert_array_equal(loaded(lr), model(lr))


def test_the_receptive_field_is_that_of_the_layer_of_keras(both):
    model, other, _ = both
    assert from_graph(model) == from_graph(other) == measure(other)
    assert measure(model) == measure(other)
