import keras
import numpy as np
import pytest
from keras import layers

import sr_keras as sr
from sr_keras import plotting


def boxes(fig):
    """Returns the words of all elements, from left to right."""
    (ax,) = fig.axes
    elements = [text for text in ax.texts if text.get_color() == "black"]
    return [
        words(text)
        for text in sorted(elements, key=lambda text: text.get_position()[0])
        if text.get_text()
    ]


def words(text):
    """Returns a text in one line, without commas: where it breaks does not matter."""
    return " ".join(text.get_text().replace(",", " ").split())


def counts(fig):
    """Returns the numbers at the frames of repeated blocks."""
    (ax,) = fig.axes
    texts = [text.get_text() for text in ax.texts if text.get_color() == "#d95f02"]
    return [int(text.removeprefix("\N{MULTIPLICATION SIGN} ")) for text in texts]


def position(fig, text):
    (ax,) = fig.axes
    (found,) = [t for t in ax.texts if words(t) == text]
    return found.get_position()


def check_layout(fig):
    """Checks that boxes are inside the figure, and neither touch nor lie on a line."""
    (ax,) = fig.axes
    found = [p for p in ax.patches if p.get_facecolor()[3] and p.get_zorder() == 3]
    extents = [p.get_window_extent() for p in found]
    for i, one in enumerate(extents):
        assert 0 < one.x0 < one.x1 < fig.bbox.x1 and 0 < one.y0 < one.y1 < fig.bbox.y1
        assert not any(one.overlaps(other) for other in extents[:i])
    lines = [line for line in ax.lines if line.get_zorder() > 0]
    assert len(lines) >= len(found)
    for line in lines:
        points = ax.transData.transform(np.transpose(line.get_data()))
        for ends in zip(points, points[1:], strict=False):
            (left, low), (right, high) = np.min(ends, axis=0), np.max(ends, axis=0)
            for one in extents:
                beside = right < one.x0 + 1 or one.x1 - 1 < left
                assert beside or high < one.y0 + 1 or one.y1 - 1 < low


def test_edsr_is_drawn_with_one_residual_block():
    fig = plotting.diagram(sr.models.edsr(4, num_blocks=5))
    assert boxes(fig) == [
        "lr", "Conv 3×3 64", "Conv 3×3 64 ReLU", "Conv 3×3 64", "+",
        "Conv 3×3 64", "+", "Conv 3×3 256", "Pixel shuffle ↑2",
        "Conv 3×3 256", "Pixel shuffle ↑2", "Conv 3×3 3",
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
        position(fig, text)[1] for text in ("Bicubic", "Conv 3×3 16 ReLU", "Conv 1×1 3")
    ]
    assert heights[0] == heights[2] > heights[1]
    sizes = [t.get_text() for t in fig.axes[0].texts if "size" in t.get_text()]
    assert sizes == ["size 1/4", "size 1/2", "size ×1"]
    assert sorted(counts(fig)) == [2] * 5  # two convolutions on each level


def test_sequential_model_and_what_is_written_into_a_layer():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
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
        "Conv 3×5 2 ↓2 BN LeakyReLU",
        "Max pooling ↓2",
        "Global mean",
        "Dense 1 sigmoid",
    ]


def test_an_activation_that_follows_a_branch_is_drawn_by_itself():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    y = layers.Concatenate()([layers.ReLU()(x), x])
    assert boxes(plotting.diagram(keras.Model(inputs, y)))[1:] == [
        "Conv 3×3 4",
        "ReLU",
        "C",
    ]


def test_inputs_of_different_sizes():
    model = sr.models.vae_encoder(4, filters=4, num_blocks=2)
    fig = plotting.diagram(model, size={"lr": 24, "hr": 96})
    assert position(fig, "hr")[1] > position(fig, "lr")[1]
    assert "−" in boxes(fig) and counts(fig) == [2]


@pytest.mark.parametrize(
    "model, size",
    [
        (sr.models.rdn(2, filters=8, num_blocks=3, num_convs=2), 96),
        (sr.models.unet_discriminator(filters=4), 96),
        (sr.models.lapsrn(4, filters=4, num_convs=2), 96),
        (sr.models.dbpn(2, filters=4, num_features=4, num_stages=2), 96),
        (sr.models.rlfn(2, filters=4, num_blocks=2), 96),
        (sr.models.denoiser(4, filters=8, num_levels=2), {"noisy": 96, "lr": 24}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_boxes_are_inside_the_figure_and_neither_touch_nor_lie_on_a_line(model, size):
    fig = plotting.diagram(model, size)
    check_layout(fig)


def test_text_is_level_large_and_inside_its_box():
    fig = plotting.diagram(sr.models.srgan_discriminator(filters=64))
    (ax,) = fig.axes
    found = [p.get_window_extent() for p in ax.patches if p.get_facecolor()[3]]
    for text in ax.texts:
        assert text.get_rotation() == 0 and (not text.get_text() or text.get_size() > 9)
    inside = [t for t in ax.texts if "Conv" in t.get_text() or "Dense" in t.get_text()]
    assert len(inside) == 10
    for text in inside:
        extent = text.get_window_extent()
        corners = [(extent.x0, extent.y0), (extent.x1, extent.y1)]
        assert any(
            box.contains(*a) and box.contains(*b) for a, b in [corners] for box in found
        )


def test_layers_that_change_the_size_stand_above_or_below_their_source():
    fig = plotting.diagram(sr.models.edsr(2, num_blocks=2))
    conv, shuffle = position(fig, "Conv 3×3 256"), position(fig, "Pixel shuffle ↑2")
    assert conv[0] == shuffle[0] and conv[1] < shuffle[1]
    fig = plotting.diagram(sr.models.patchgan(filters=4, spectral_norm=True))
    ends = [position(fig, f"Conv 4×4 {n} ↓2 LeakyReLU") for n in (4, 16)]
    assert ends[0][0] == ends[1][0] and ends[0][1] > ends[1][1]


def test_a_column_does_not_turn_back():
    inputs = keras.Input((8, 8, 4), name="x")
    down = layers.Conv2D(5, 2, strides=2)(inputs)
    down = layers.Conv2D(6, 2, strides=2)(down)
    up = layers.Conv2DTranspose(7, 2, strides=2)(down)
    fig = plotting.diagram(keras.Model(inputs, up))
    first, second, third = (
        position(fig, text)[0]
        for text in ("Conv 2×2 5 ↓2", "Conv 2×2 6 ↓2", "Transp. conv 2×2 7 ↑2")
    )
    assert first < second == third


def test_a_layer_after_a_frame_stands_beside_it():
    inputs = x = keras.Input((8, 8, 4), name="x")
    for _ in range(2):
        x = layers.UpSampling2D()(layers.MaxPooling2D()(x))
        x = layers.Conv2D(4, 1)(x)
    outputs = layers.Conv2D(5, 2, strides=2)(x)
    fig = plotting.diagram(keras.Model(inputs, outputs))
    assert counts(fig) == [2]
    (frame,) = [p for p in fig.axes[0].patches if p.get_linestyle() == "--"]
    right = frame.get_x() + frame.get_width()
    assert position(fig, "Conv 1×1 4")[0] < right < position(fig, "Conv 2×2 5 ↓2")[0]


def test_lines_of_different_layers_do_not_overlap():
    inputs = keras.Input((8, 8, 4), name="x")
    down = layers.MaxPooling2D()(inputs)
    branch = inputs
    for filters in (2, 3):
        down = layers.Conv2D(filters, 3, padding="same")(down)
        branch = layers.Conv2D(filters, 1)(branch)
    up = layers.UpSampling2D()(down)
    fig = plotting.diagram(keras.Model(inputs, layers.Concatenate()([branch, up])))
    check_layout(fig)
    # the layers of a row stand in their order
    assert position(fig, "Conv 1×1 3")[0] < position(fig, "Nearest ↑2")[0]
    upright = {}  # x of a vertical part: where the lines with such a part begin
    for line in fig.axes[0].lines:
        points = list(zip(*line.get_data(), strict=True))
        for (x, y), (end, top) in zip(points, points[1:], strict=False):
            if x == end and y != top:
                upright.setdefault(round(x, 3), set()).add(points[0])
    assert len(upright) == 2 and all(len(starts) == 1 for starts in upright.values())


def test_lines_from_one_layer_to_several_are_one_line_with_branches():
    inputs = keras.Input((8, 8, 4), name="x")
    maps = [inputs]
    for filters in (1, 2, 3):
        x = layers.Concatenate()(maps) if len(maps) > 1 else inputs
        maps.append(layers.Conv2D(filters, 1)(x))
    fig = plotting.diagram(keras.Model(inputs, layers.Concatenate()(maps)))
    dots = [
        tuple(line.get_xdata())
        for line in fig.axes[0].lines
        if line.get_marker() == "o"
    ]
    circles = [t.get_position()[0] for t in fig.axes[0].texts if t.get_text() == "C"]
    # the input reaches all three circles, and the first map the last two
    assert sorted(dots) == [(circles[0],), (circles[1],), (circles[1],)]


def test_values_without_an_image_have_a_row_of_their_own():
    model = sr.models.denoiser(4, filters=8, num_levels=2)
    fig = plotting.diagram(model, {"noisy": 96, "lr": 24})
    highest = max(t.get_position()[1] for t in fig.axes[0].texts if t.get_text())
    time, image = position(fig, "time"), position(fig, "noisy")
    assert time[1] == position(fig, "Time embedding")[1] == highest > image[1]
    sizes = [t.get_text() for t in fig.axes[0].texts if "size" in t.get_text()]
    assert sizes == ["size 1/4", "size 1/2", "size ×1"]


def test_a_repeat_of_values_without_an_image_has_a_frame_around_it():
    image = keras.Input((8, 8, 4), name="image")
    vector = x = keras.Input((4,), name="vector")
    for _ in range(3):
        x = layers.Dense(4)(x)
    scaled = keras.Model([image, vector], layers.Multiply()([image, x]))
    for model in (scaled, keras.Model(vector, x)):
        fig = plotting.diagram(model)
        assert counts(fig) == [3]
        framed = [p for p in fig.axes[0].patches if p.get_linestyle() == "--"]
        (frame,) = [p.get_window_extent() for p in framed]
        (dense,) = [t for t in fig.axes[0].texts if words(t) == "Dense 4"]
        extent = dense.get_window_extent()
        assert frame.x0 < extent.x0 < extent.x1 < frame.x1 < fig.bbox.x1
        assert frame.y0 < extent.y0 < extent.y1 < frame.y1


def test_layers_that_only_measure_a_size_are_not_drawn():
    swinir = sr.models.swinir(2, 12, depths=(1,), num_heads=2, variant="lightweight")
    assert "Nearest" not in " ".join(boxes(plotting.diagram(swinir)))


def test_an_activation_is_written_below_a_merge():
    fig = plotting.diagram(sr.models.autoencoder(2, filters=(4, 4)))
    relus = [t.get_position() for t in fig.axes[0].texts if t.get_text() == "ReLU"]
    merges = [t.get_position() for t in fig.axes[0].texts if t.get_text() == "+"]
    assert len(relus) == 2 and len(merges) == 3
    for (x, y), (merge_x, merge_y) in zip(relus, merges, strict=False):
        assert x == merge_x and y < merge_y


def test_a_layer_that_is_used_elsewhere_is_not_counted_as_repeated():
    inputs = keras.Input((8, 8, 4), name="x")
    first = layers.Conv2D(4, 1)(inputs)
    second = layers.Conv2D(4, 1)(first)
    add = layers.Add()([layers.Conv2D(4, 1)(second), first])
    fig = plotting.diagram(keras.Model(inputs, add))
    assert boxes(fig) == ["x", *["Conv 1×1 4"] * 2, "+"] and counts(fig) == [2]
    assert position(fig, "x")[0] < min(p.get_x() for p in fig.axes[0].patches[:1])


def test_blocks_are_drawn_as_one_box():
    model = sr.models.edsr(2, filters=8, num_blocks=3)
    fig = plotting.diagram(
        model,
        blocks={
            "block_0": "First block",
            "block_[12]": "2 residual blocks",
            "body|global_skip": "End",
        },
    )
    assert boxes(fig) == [
        "lr", "Conv 3×3 8", "First block 8", "2 residual blocks 8", "End 8",
        "Conv 3×3 32", "Pixel shuffle ↑2", "Conv 3×3 3",
    ]  # fmt: skip
    repeated = plotting.diagram(model, blocks={f"block_{i}": "Block" for i in range(3)})
    assert counts(repeated) == [3] and "Block 8" in boxes(repeated)
    with pytest.raises(ValueError, match="`blocks` must be .*Received: 'blok'"):
        plotting.diagram(model, blocks={"blok": "Block"})


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
        "image", "Conv 3×3 4 ReLU", "+", "Conv 1×1 4 × 0.5", "C", "1 − x",
    ]  # fmt: skip


def test_models_and_layers_with_several_outputs():
    on_luma = sr.models.on_luma(sr.models.espcn(2))
    assert boxes(plotting.diagram(on_luma)) == [
        "lr", "RGBToYCbCr", "espcn ↑2", "Bicubic ↑2", "YCbCrToRGB",
    ]  # fmt: skip
    denoiser = sr.models.denoiser(2, filters=8)
    assert boxes(plotting.diagram(sr.models.denoiser_upscaler(denoiser))) == [
        "lr", "OnlyNoise ↑2", "denoiser × −0.5 + 0.5",
    ]  # fmt: skip


def test_a_layer_that_is_called_twice_is_drawn_where_it_is_called():
    shared = layers.Conv2D(4, 3, padding="same")
    inputs = keras.Input((8, 8, 4), name="image")
    outputs = shared(layers.MaxPooling2D()(shared(inputs)))
    assert boxes(plotting.diagram(keras.Model(inputs, outputs))) == [
        "image", "Conv 3×3 4", "Max pooling ↓2", "Conv 3×3 4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "scale, offset, text",
    [
        (0.1, 0.0, "× 0.1"),
        (1.0, -0.5, "− 0.5"),
        (2.0, 1.0, "× 2 + 1"),
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
    assert "Conv 5×5 12" in boxes(plotting.diagram(wdsr))
    span = sr.models.span(2, filters=4, num_blocks=2)
    folded = sr.models.fold(span)
    assert boxes(plotting.diagram(span)) == boxes(plotting.diagram(folded))
    assert {"mean shift", "sigmoid − 0.5"} < set(boxes(plotting.diagram(span)))
    patchgan = sr.models.patchgan(filters=4, spectral_norm=True)
    assert "Conv 4×4 4 ↓2 LeakyReLU" in boxes(plotting.diagram(patchgan))


def test_a_compiled_model_with_a_loss_of_the_users_own_is_drawn():
    class Loss(keras.losses.Loss):
        def __init__(self, weight):
            super().__init__()

    model = sr.models.espcn(2)
    model.compile(loss=Loss(1.0))
    assert "Pixel shuffle ↑2" in boxes(plotting.diagram(model))
