import keras
import pytest
from keras import layers

import sr_keras as sr
from sr_keras import plotting


def boxes(fig):
    """Returns the texts of all elements, from left to right."""
    (ax,) = fig.axes
    elements = [text for text in ax.texts if text.get_color() == "black"]
    return [
        text.get_text().replace("\n", ", ")
        for text in sorted(elements, key=lambda text: text.get_position()[0])
        if text.get_text()
    ]


def counts(fig):
    """Returns the numbers at the frames of repeated blocks."""
    (ax,) = fig.axes
    texts = [text.get_text() for text in ax.texts if text.get_color() == "#d95f02"]
    return [int(text.removeprefix("\N{MULTIPLICATION SIGN} ")) for text in texts]


def position(fig, text):
    (ax,) = fig.axes
    (found,) = [t for t in ax.texts if t.get_text().replace("\n", ", ") == text]
    return found.get_position()


def test_edsr_is_drawn_with_one_residual_block():
    fig = plotting.diagram(sr.models.edsr(4, num_blocks=5))
    assert boxes(fig) == [
        "lr", "Conv 3×3, 64", "Conv 3×3, 64, ReLU", "Conv 3×3, 64", "+",
        "Conv 3×3, 64", "+", "Conv 3×3, 256", "Pixel shuffle ↑2",
        "Conv 3×3, 256", "Pixel shuffle ↑2", "Conv 3×3, 3",
    ]  # fmt: skip
    assert counts(fig) == [5]
    titled = plotting.diagram(sr.models.edsr(4, num_blocks=5), title="EDSR")
    assert set(boxes(titled)) - set(boxes(fig)) == {"EDSR"}


def test_blocks_of_blocks_are_nested():
    fig = plotting.diagram(sr.models.rcan(2, filters=16, num_groups=3, num_blocks=4))
    assert sorted(counts(fig)) == [3, 4]
    outer, inner = sorted(
        (p for p in fig.axes[0].patches if p.get_linestyle() == "--"),
        key=lambda patch: -patch.get_width(),
    )
    assert outer.get_x() < inner.get_x() and outer.get_y() < inner.get_y()
    assert outer.get_x() + outer.get_width() > inner.get_x() + inner.get_width()


def test_levels_show_the_size_of_feature_maps():
    fig = plotting.diagram(sr.models.unet(1, filters=4, num_levels=3))
    heights = [
        position(fig, text)[1]
        for text in ("Bicubic", "Conv 3×3, 16, ReLU", "Conv 1×1, 3")
    ]
    assert heights[0] == heights[2] > heights[1]
    sizes = [t.get_text() for t in fig.axes[0].texts if "size" in t.get_text()]
    assert sizes == ["size 1/4", "size 1/2", "size ×1"]
    assert sorted(counts(fig)) == [2] * 5  # two convolutions on each level


def test_sequential_model_and_what_is_written_into_a_layer():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(2, (3, 5), strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.MaxPooling2D(),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    assert boxes(plotting.diagram(model))[1:] == [
        "Conv 3×5, 2, ↓2, BN, LeakyReLU",
        "Max pooling ↓2",
        "Global mean",
        "Dense 1, sigmoid",
    ]


def test_an_activation_that_follows_a_branch_is_drawn_by_itself():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    y = layers.Concatenate()([layers.ReLU()(x), x])
    assert boxes(plotting.diagram(keras.Model(inputs, y)))[1:] == [
        "Conv 3×3, 4",
        "ReLU",
        "C",
    ]


def test_inputs_of_different_sizes():
    model = sr.models.vae_encoder(4, filters=4, num_blocks=2)
    fig = plotting.diagram(model, size={"lr": 24, "hr": 96})
    assert position(fig, "hr")[1] > position(fig, "lr")[1]
    assert "−" in boxes(fig) and counts(fig) == [2]


def test_every_box_is_inside_the_figure_and_none_touches_another():
    fig = plotting.diagram(sr.models.rdn(2, filters=8, num_blocks=3, num_convs=2))
    (ax,) = fig.axes
    found = [p for p in ax.patches if p.get_facecolor()[3] and p.get_zorder() == 3]
    spans = sorted((p.get_window_extent().x0, p.get_window_extent().x1) for p in found)
    assert spans[0][0] > 0 and spans[-1][1] < fig.bbox.x1
    for (_, right), (left, _) in zip(spans, spans[1:], strict=False):
        assert right < left


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    class WithArguments(Subclassed):
        def __init__(self, factor):
            super().__init__()

    for model in (Subclassed(), WithArguments(2), keras.Sequential([layers.ReLU()])):
        with pytest.raises(
            ValueError, match="functional or built sequential.*Received"
        ):
            plotting.diagram(model)


def test_functions_of_keras_ops_are_drawn_like_layers():
    inputs = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.ops.relu(x) + inputs
    x = layers.Conv2D(4, 1)(x) * 0.5
    outputs = 1 - keras.ops.concatenate([x, inputs])
    fig = plotting.diagram(keras.Model(inputs, outputs))
    assert boxes(fig) == [
        "image", "Conv 3×3, 4, ReLU", "+", "Conv 1×1, 4, × 0.5", "C", "1 − x",
    ]  # fmt: skip


def test_models_and_layers_with_several_outputs():
    on_luma = sr.models.on_luma(sr.models.espcn(2))
    assert boxes(plotting.diagram(on_luma)) == [
        "lr", "RGBToYCbCr", "espcn ↑2", "Bicubic ↑2", "YCbCrToRGB",
    ]  # fmt: skip
    denoiser = sr.models.denoiser(2, filters=8)
    assert boxes(plotting.diagram(sr.models.denoiser_upscaler(denoiser))) == [
        "lr", "OnlyNoise ↑2", "denoiser", "× −0.5, + 0.5",
    ]  # fmt: skip


def test_a_layer_that_is_called_twice_is_drawn_where_it_is_called():
    shared = layers.Conv2D(4, 3, padding="same")
    inputs = keras.Input((8, 8, 4), name="image")
    outputs = shared(layers.MaxPooling2D()(shared(inputs)))
    assert boxes(plotting.diagram(keras.Model(inputs, outputs))) == [
        "image", "Conv 3×3, 4", "Max pooling ↓2", "Conv 3×3, 4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "scale, offset, text",
    [
        (0.1, 0.0, "× 0.1"),
        (1.0, -0.5, "− 0.5"),
        (2.0, 1.0, "× 2, + 1"),
        (1.0, [-0.4, -0.5], "mean shift"),
        ([2.0, 3.0], 0.0, "× per channel"),
        (1.0, 0.0, "Rescaling"),
    ],
)
def test_rescaling_shows_what_it_changes(scale, offset, text):
    inputs = keras.Input((8, 8, 2), name="image")
    model = keras.Model(inputs, layers.Rescaling(scale, offset)(inputs))
    assert boxes(plotting.diagram(model)) == ["image", text]


def test_every_kind_of_convolution_is_drawn_as_one():
    wdsr = sr.models.wdsr(2, filters=4, num_blocks=2)
    assert "Conv 5×5, 12" in boxes(plotting.diagram(wdsr))
    span = sr.models.span(2, filters=4, num_blocks=2)
    folded = sr.models.fold(span)
    assert boxes(plotting.diagram(span)) == boxes(plotting.diagram(folded))
    assert {"mean shift", "− 0.5"} < set(boxes(plotting.diagram(span)))
    patchgan = sr.models.patchgan(filters=4, spectral_norm=True)
    assert "Conv 4×4, 4, ↓2, LeakyReLU" in boxes(plotting.diagram(patchgan))


def test_a_compiled_model_with_a_loss_of_the_users_own_is_drawn():
    class Loss(keras.losses.Loss):
        def __init__(self, weight):
            super().__init__()

    model = sr.models.espcn(2)
    model.compile(loss=Loss(1.0))
    assert "Pixel shuffle ↑2" in boxes(plotting.diagram(model))
