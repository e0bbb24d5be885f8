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

    with pytest.raises(ValueError, match="functional or sequential.*Subclassed"):
        plotting.diagram(Subclassed())
