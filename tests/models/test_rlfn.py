import keras
import numpy as np
import pytest

from sr_keras import models
from sr_keras.models.rlfn import ResizeLike, rlfn


def bilinear_by_hand(image, height, width):
    """Resizes `(height, width)` by bilinear interpolation, as a plain loop."""
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            # pixel centres are at halves
            row = np.clip((y + 0.5) * image.shape[0] / height - 0.5, 0, None)
            column = np.clip((x + 0.5) * image.shape[1] / width - 0.5, 0, None)
            top, left = int(row), int(column)
            bottom = min(top + 1, image.shape[0] - 1)
            right = min(left + 1, image.shape[1] - 1)
            dy, dx = row - top, column - left
            result[y, x] = (1 - dy) * (
                (1 - dx) * image[top, left] + dx * image[top, right]
            ) + dy * ((1 - dx) * image[bottom, left] + dx * image[bottom, right])
    return result


@pytest.mark.parametrize(
    "scale, filters, count",
    # of the released RLFN-S, of the paper's RLFN
    [(2, 48, 454_620), (4, 48, 470_208), (4, 52, 543_740)],
)
def test_has_the_parameters_of_the_paper(scale, filters, count):
    assert rlfn(scale, filters=filters).count_params() == count


@pytest.mark.parametrize("height, width", [(13, 29), (3, 4), (1, 1)])
@pytest.mark.parametrize("old_height, old_width", [(2, 5), (1, 1), (3, 4)])
def test_resizing_equals_the_plain_loop(height, width, old_height, old_width):
    rng = np.random.default_rng(0)
    x = rng.random((2, old_height, old_width, 3), "float32")
    like = np.zeros((2, height, width, 1), "float32")
    resized = ResizeLike()([x, like])
    assert resized.shape == (2, height, width, 3)
    expected = bilinear_by_hand(x[1, ..., 2], height, width)
    np.testing.assert_allclose(resized[1, ..., 2], expected, atol=1e-6)


def test_resizing_knows_its_shape():
    shapes = [(None, 4, 4, 5), (None, 17, None, 3)]
    assert ResizeLike().compute_output_shape(shapes) == (None, 17, None, 5)


def test_attention_masks_features():
    model = rlfn(2, filters=4, num_blocks=1, attention_filters=2)
    excite = model.get_layer("block_0_esa_excite")
    kernel, _ = excite.get_weights()
    # sigmoid(-30) = 0 and sigmoid(0) = 1/2, whatever the image
    excite.set_weights([kernel * 0, np.array([-30, 0, -30, 0], "float32")])
    mask = model.get_layer("block_0_esa_mask")
    block = keras.Model(model.input, [mask.input[0], mask.output])
    x, masked = block(np.random.default_rng(0).random((1, 17, 20, 3), "float32"))
    assert np.abs(x).max() > 0.01
    np.testing.assert_allclose(masked, x * np.array([0, 0.5, 0, 0.5]), atol=1e-6)


def test_attention_pads_small_images():
    model = rlfn(2, filters=4, num_blocks=1, attention_filters=2)
    coarse = keras.Model(model.input, model.get_layer("block_0_esa_conv").output)
    shapes = [(1, 1), (15, 15), (16, 20), (33, 45)]
    sizes = [coarse(np.zeros((1, *shape, 3), "float32")).shape[1:3] for shape in shapes]
    # 33 and 45 pixels become 16 and 22, and 4 and 6 by pooling
    assert sizes == [(1, 1), (1, 1), (1, 1), (4, 6)]


def test_equals_the_released_network(data_dir):
    """The expected values are those of the authors' PyTorch code on a ramp."""
    model = models.load_published(data_dir / "official" / "rlfn_s_x4.pth")
    assert (model.scale, model.name) == (4, "rlfn")
    y, x, c = np.meshgrid(*map(np.arange, (31, 45, 3)), indexing="ij")
    lr = ((7 * y + 3 * x + 50 * c) % 256 / 255)[None].astype("float32")
    sr = np.asarray(model(lr))[0]
    expected = [
        [[0.00248, 0.19111, 0.37891], [0.3377, 0.53172, 0.73114]],
        [[0.26215, 0.45757, 0.65551], [0.62714, 0.77062, 0.28457]],
        [[0.52443, 0.7231, 0.93721], [0.88753, 0.07591, 0.27224]],
        [[0.8991, 0.54951, 0.28467], [0.16319, 0.35768, 0.55384]],
    ]
    np.testing.assert_allclose(sr[::40, ::120], expected, atol=2e-5)
