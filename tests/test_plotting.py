import base64
import io
import itertools
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import transforms
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from sr_keras import plotting

matplotlib.use("Agg")


def photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), "uint8")


def pixels(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())


def titles(fig):
    return [ax.get_title() for ax in fig.axes]


def texts(ax):
    return {text.get_text(): text for text in ax.texts}


def assert_apart(boxes):
    for a, b in itertools.combinations(boxes, 2):
        both = transforms.Bbox.intersection(a, b)
        assert both is None or both.width * both.height < 1, (a, b)


@pytest.fixture(autouse=True)
def pyplot_is_left_alone():
    backend = matplotlib.get_backend()
    yield
    assert matplotlib.get_backend() == backend
    assert plt.get_fignums() == []


# comparison


def test_comparison_shows_the_whole_photo_then_the_same_crop_of_each():
    hr, bicubic = photo(37, 53), photo(37, 53, seed=1)
    fig = plotting.comparison({"bicubic": bicubic, "HR": hr}, crop=(5, 7, 11, 13))
    assert titles(fig) == ["HR, 53 x 37", "bicubic", "HR"]
    for ax, image in zip(
        fig.axes, [hr, bicubic[5:16, 7:20], hr[5:16, 7:20]], strict=True
    ):
        np.testing.assert_array_equal(pixels(ax), image)
    (frame,) = fig.axes[0].patches
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((7, 5), 13, 11)


@pytest.mark.parametrize("lr_shape", [(9, 13), (10, 14)])  # rounded down, up
def test_comparison_enlarges_lr_to_the_same_extent(lr_shape):
    lr, hr = photo(*lr_shape), photo(37, 53, seed=1)
    fig = plotting.comparison([("LR", lr), ("HR", hr)], crop=(5, 7, 11, 13))
    ax = fig.axes[1]
    # x4: HR rows 5 to 16 lie in LR rows 1 to 4, columns 7 to 20 in 1 to 5.
    np.testing.assert_array_equal(pixels(ax), lr[1:4, 1:5])
    np.testing.assert_array_equal(ax.images[0].get_extent(), (4, 20, 16, 4))
    assert ax.get_xlim() == (7, 20)
    assert ax.get_ylim() == (16, 5)


@pytest.mark.parametrize("shape", [(37, 53), (53, 37)])
def test_every_pixel_of_a_crop_is_a_square_of_screen_pixels(shape):
    image = photo(*shape)
    fig = plotting.comparison({"HR": image}, crop=(3, 4, 22, 31))
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    screen = np.asarray(canvas.buffer_rgba())[..., :3]
    box = fig.axes[1].get_window_extent()
    assert fig.axes[1].images[0].get_interpolation() == "nearest"
    zoom = box.width / 31
    assert zoom >= 3 and zoom == pytest.approx(round(zoom), abs=1e-6)
    zoom = round(zoom)
    top, left = screen.shape[0] - round(box.y1), round(box.x0)
    shown = screen[top : top + 22 * zoom, left : left + 31 * zoom]
    expected = np.kron(image[3:25, 4:35], np.ones((zoom, zoom, 1), "uint8"))
    np.testing.assert_array_equal(shown[3:-3, 3:-3], expected[3:-3, 3:-3])  # no frame


@pytest.mark.parametrize(
    "image, expected",
    [
        (np.full((3, 5), 7, "uint8"), (7, 7, 7)),
        (np.full((3, 5, 1), 7, "uint8"), (7, 7, 7)),
        (np.full((3, 5), 257 * 100, "uint16"), (100, 100, 100)),
        (np.full((3, 5), 65535, "uint16"), (255, 255, 255)),
        (np.full((3, 5, 3), [0.2, -0.1, 1.1], "float32"), (51, 0, 255)),
        (np.full((3, 5, 4), [1, 2, 3, 4], "uint8"), (1, 2, 3, 4)),
    ],
)
def test_any_kind_of_image_is_shown_as_8_bits(image, expected):
    fig = plotting.comparison({"image": image}, crop=(0, 0, 3, 5))
    np.testing.assert_array_equal(pixels(fig.axes[1])[2, 4], expected)


def test_default_crop_is_detailed_and_differs():
    hr = np.full((96, 120, 3), 128, "uint8")
    hr[:32, :32] = photo(32, 32)
    hr[44:76, 64:96] = 64 + photo(32, 32, seed=1) // 2
    blurred = hr.copy()
    blurred[44:76, 64:96] = 128  # the weaker of two textures got lost
    lr = hr[::4, ::4]
    fig = plotting.comparison({"LR": lr, "blurred": blurred, "HR": hr})
    assert fig.axes[1].get_xlim() == (64, 96)
    assert fig.axes[1].get_ylim() == (76, 44)


def test_default_crop_of_equal_images_is_detailed():
    hr = np.full((96, 120), 128, "uint8")
    hr[44:76, 64:96] = photo(32, 32)[..., 0]
    fig = plotting.comparison({"LR": hr[::4, ::4], "SR": hr, "HR": hr})
    assert fig.axes[1].get_xlim() == (64, 96)
    assert fig.axes[1].get_ylim() == (76, 44)


def test_scores_stand_under_the_titles():
    images = {name: photo(6, 9) for name in ("LR", "bicubic", "network", "HR")}
    scores = {"bicubic": (28.4249, 0.8104), "network": 30.5, "HR": "the truth"}
    fig = plotting.comparison(images, scores, title="PSNR-Y / SSIM-Y, 4 px cut")
    assert titles(fig)[1:] == [
        "LR",
        "bicubic\n28.42 dB / 0.810",
        "network\n30.50 dB",
        "HR\nthe truth",
    ]
    assert fig.get_suptitle() == "PSNR-Y / SSIM-Y, 4 px cut"


@pytest.mark.parametrize("shape", [(90, 135), (40, 200), (100, 100), (200, 60)])
@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_panels_and_texts_stay_apart_and_inside(shape, count):
    images = {
        f"{i}: network with a rather long name": photo(*shape, i) for i in range(count)
    }
    fig = plotting.comparison(images, title="A long sentence on the conditions. " * 5)
    boxes = [ax.get_tightbbox() for ax in fig.axes]
    boxes += [text.get_window_extent() for text in fig.texts]
    assert len(boxes) == count + 2
    assert_apart(boxes)
    for box in boxes:
        assert fig.bbox.x0 <= box.x0 and box.x1 <= fig.bbox.x1
        assert fig.bbox.y0 <= box.y0 and box.y1 <= fig.bbox.y1


@pytest.mark.parametrize("shape, beside", [((40, 60), False), ((60, 40), True)])
def test_crops_stand_below_a_wide_photo_and_beside_a_tall_one(shape, beside):
    fig = plotting.comparison({"SR": photo(*shape), "HR": photo(*shape)})
    whole, first, _ = (ax.get_position() for ax in fig.axes)
    assert (first.x0 > whole.x1) == beside
    assert (first.y1 < whole.y0) == (not beside)


def test_columns_of_crops():
    images = {str(i): photo(40, 60) for i in range(5)}
    fig = plotting.comparison(images, columns=2)
    lefts = [round(ax.get_position().x0, 6) for ax in fig.axes[1:]]
    assert lefts == [lefts[0], lefts[1], lefts[0], lefts[1], lefts[0]]
    assert lefts[0] < lefts[1]


@pytest.mark.parametrize(
    "images, message",
    [
        ({}, "not empty. Received: dict of length 0"),
        ([photo(4, 5)], "list of .title, image."),
        ({"SR": photo(4, 5)[None]}, r"'SR' of shape \(1, 4, 5, 3\)"),
        ({"SR": photo(4, 5)[..., :2]}, r"'SR' of shape \(4, 5, 2\)"),
        ({"SR": photo(4, 5).astype("int64")}, "'SR' of int64"),
        ({"SR": photo(4, 5).astype("float32")}, r"in \[0, 1\]. Received: 'SR'"),
        ({"SR": np.full((4, 5), np.nan)}, "'SR' from nan to nan"),
        (
            {"LR": photo(10, 16), "HR": photo(40, 60)},
            r"size of 'HR', \(40, 60\).* 'LR' of \(10, 16\)",
        ),
        (
            {"SR": photo(40, 60), "HR": photo(40, 61)},
            r"size of 'HR', \(40, 61\).* 'SR' of \(40, 60\)",
        ),
    ],
)
def test_comparison_says_which_image_is_wrong(images, message):
    with pytest.raises(ValueError, match=message):
        plotting.comparison(images)


@pytest.mark.parametrize("shape", [(37, 53), (53, 37)])
def test_comparison_can_leave_the_whole_photo_out(shape):
    hr = photo(*shape)
    fig = plotting.comparison({"a": hr, "HR": hr}, crop=(5, 7, 11, 13), whole=False)
    assert titles(fig) == ["a", "HR"]
    np.testing.assert_array_equal(pixels(fig.axes[0]), hr[5:16, 7:20])
    assert_apart([ax.get_tightbbox() for ax in fig.axes])
    assert all(fig.bbox.contains(*box) for ax in fig.axes for box in ax.bbox.corners())


@pytest.mark.parametrize(
    "crop",
    [
        (2, 0, 5, 1),
        (0, 1, 1, 9),
        (-1, 0, 2, 2),
        (0, -1, 2, 2),
        (0, 0, 0, 3),
        (0, 0, 3, 0),
        (0, 0, 1.5, 1),
        (1, 2, 3),
    ],
)
def test_crop_must_be_inside(crop):
    with pytest.raises(ValueError, match="height 6 and width 9. Received: "):
        plotting.comparison({"HR": photo(6, 9)}, crop=crop)


def test_comparison_rejects_stray_scores_and_columns():
    with pytest.raises(ValueError, match=r"must be of \['HR'\]. Received: 'SR'"):
        plotting.comparison({"HR": photo(6, 9)}, scores={"SR": 30.0})
    with pytest.raises(ValueError, match=r"pair \(PSNR, SSIM\).* for 'HR'"):
        plotting.comparison({"HR": photo(6, 9)}, scores={"HR": {"psnr_y": 30.0}})
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        plotting.comparison({"HR": photo(6, 9)}, columns=0)


# degradations


def test_degradations_of_growing_strength_stand_in_rows():
    hr, weak, strong, lr = (
        photo(36, 52),
        photo(36, 52, 1),
        photo(36, 52, 2),
        photo(9, 13),
    )
    fig = plotting.degradations(
        hr,
        {
            "noise": {"sigma 5": weak, "sigma 50": strong},
            "blur": [weak, strong],
            "x4": lr,
        },
        title="Three ways down",
    )
    assert titles(fig) == [
        *("HR", "noise, sigma 5", "noise, sigma 50"),
        *("HR", "blur 1 of 2", "blur 2 of 2"),
        *("HR", "x4"),
    ]
    shown = [hr, weak, strong, hr, weak, strong, hr, lr]
    for ax, image in zip(fig.axes, shown, strict=True):
        np.testing.assert_array_equal(pixels(ax), image)
        assert ax.get_xlim() == (0, 52) and ax.get_ylim() == (36, 0)
    tops = [round(ax.get_position().y1, 6) for ax in fig.axes]
    assert tops == sorted(tops, reverse=True) and len(set(tops)) == 3
    assert fig.get_suptitle() == "Three ways down"
    assert_apart([ax.get_tightbbox() for ax in fig.axes])


def test_single_degradations_share_one_photo_and_crop():
    hr, noisy = photo(36, 52), photo(36, 52, 1)
    fig = plotting.degradations(
        hr, {"noise": noisy, "x4": photo(9, 13)}, crop=(8, 4, 16, 20)
    )
    assert titles(fig) == ["HR", "noise", "x4"]
    np.testing.assert_array_equal(pixels(fig.axes[1]), noisy[8:24, 4:24])
    np.testing.assert_array_equal(pixels(fig.axes[2]), photo(9, 13)[2:6, 1:6])


@pytest.mark.parametrize(
    "variants, crop, message",
    [
        ({}, None, "at least one degradation"),
        ({"noise": []}, None, "no image for 'noise'"),
        ({"noise": photo(6, 8)}, None, r"'HR', \(6, 9\).* 'noise' of \(6, 8\)"),
        ({"noise": photo(12, 18)}, None, r"'HR', \(6, 9\).* 'noise' of \(12, 18\)"),
        ({"noise": photo(6, 9)}, (0, 0, 7, 7), "height 6 and width 9"),
    ],
)
def test_degradations_say_what_is_wrong(variants, crop, message):
    with pytest.raises(ValueError, match=message):
        plotting.degradations(photo(6, 9), variants, crop)


# slider


def test_slider_holds_both_images_once_and_a_still_picture():
    small, large = photo(5, 6), photo(20, 24, 1)
    shown = plotting.slider(
        {"LR <x4>": small, "HR": large}, crop=(4, 8, 12, 16), zoom=3, title="a & b"
    )
    text = shown.html()
    assert text == shown.html()  # no random id: a rebuild changes nothing
    codes = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    before, after = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in codes
    )
    np.testing.assert_array_equal(after, large[4:16, 8:24])
    np.testing.assert_array_equal(before[::4, ::4], small[1:4, 2:6])
    np.testing.assert_array_equal(before[3::4, 3::4], small[1:4, 2:6])
    assert 'alt="LR &lt;x4&gt;"' in text and "a &amp; b" in text
    assert 'width="48" height="36"' in text
    assert "$" not in text.replace("${", "")  # nothing is left to fill in

    bundle = shown._repr_mimebundle_()
    still = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert still.width >= 2 * 48
    assert bundle["text/plain"] == "LR <x4> | HR"


def test_slider_says_what_is_wrong():
    with pytest.raises(ValueError, match="two images. Received: 1"):
        plotting.slider({"HR": photo(6, 9)})
    with pytest.raises(ValueError, match="`zoom`.* Received: 0"):
        plotting.slider({"a": photo(6, 9), "b": photo(6, 9)}, zoom=0)
    with pytest.raises(ValueError, match="height 6 and width 9"):
        plotting.slider({"a": photo(6, 9), "b": photo(6, 9)}, crop=(0, 0, 7, 7))


# history


def test_history_draws_losses_and_the_score_over_steps():
    logs = [
        {"step": 100, "loss": 0.5, "psnr_y": None, "seconds": 9.0},
        {"step": 200, "loss": 0.04, "psnr_y": 27.0},
        {"step": 300, "loss": 0.03},
        {"step": 400, "loss": 0.02, "psnr_y": 29.0},
    ]
    fig = plotting.history(logs, baselines={"bicubic": 28.42}, title="x4, Set5")
    loss, score = fig.axes
    (curve,) = loss.lines
    np.testing.assert_array_equal(
        curve.get_xydata(), [(100, 0.5), (200, 0.04), (300, 0.03), (400, 0.02)]
    )
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("step", "loss")
    assert loss.get_yscale() == "log"
    curve, baseline = score.lines
    np.testing.assert_array_equal(curve.get_xydata(), [(200, 27), (400, 29)])
    assert score.get_ylabel() == "PSNR on luma (dB)"
    assert score.get_yscale() == "linear"
    assert set(baseline.get_ydata()) == {28.42}
    assert list(texts(score)) == ["bicubic 28.42"]
    assert fig.get_suptitle() == "x4, Set5"


def test_history_of_keras_is_drawn_over_epochs():
    fig = plotting.history(
        {
            "loss": [0.3, 0.2],
            "val_loss": [0.4, 0.25],
            "ssim_y": [0.5, 0.7],
            "val_ssim_y": [0.4, 0.6],
        },
        score="ssim_y",
    )
    loss, score = fig.axes
    assert loss.get_xlabel() == "epoch"
    assert loss.get_yscale() == "linear"  # 0.2 to 0.4 is no decade
    assert score.get_ylabel() == "SSIM on luma"
    names = [[line.get_label() for line in ax.lines] for ax in fig.axes]
    assert names == [["loss", "val_loss"], ["ssim_y", "val_ssim_y"]]
    np.testing.assert_array_equal(score.lines[1].get_xydata(), [(1, 0.4), (2, 0.6)])
    for ax in fig.axes:
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        assert legend == [line.get_label() for line in ax.lines]


def test_history_survives_a_diverged_loss():
    logs = [{"step": i, "loss": value} for i, value in enumerate([1.0, 0.01, np.nan])]
    (ax,) = plotting.history(logs).axes
    assert ax.get_yscale() == "log"


def test_labels_of_close_baselines_stay_apart():
    logs = [{"step": i, "psnr_y": 25 + i} for i in range(5)]
    fig = plotting.history(logs, baselines={"bicubic": 26.9, "SRCNN": 27.1})
    boxes = [text.get_window_extent() for text in fig.axes[0].texts]
    assert len(boxes) == 2
    assert_apart(boxes)


@pytest.mark.parametrize(
    "logs, options, message",
    [
        ([], {}, "must hold a loss"),
        ([{"step": 1, "seconds": 2.0}], {}, r"Received: \['seconds', 'step'\]"),
        ([{"loss": 1.0}], {}, "needs a 'step'"),
        ({"loss": [1, 2], "val_loss": [1]}, {}, "'loss': 2, 'val_loss': 1"),
        ({"loss": [1, 2]}, {"score": "ssim_y"}, "No score 'ssim_y'"),
        ({"loss": [1, 2]}, {"baselines": {"bicubic": 28}}, "No score 'psnr_y'"),
    ],
)
def test_history_says_what_is_missing(logs, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.history(logs, **options)


# quality_against_cost and quality_against_perception

MODELS = [
    {"model": "FSRCNN", "parameters": 12_464, "psnr_y": 30.72, "by": "Caffe"},
    {"model": "VDSR", "parameters": 664_704, "psnr_y": 31.35, "by": "Caffe"},
    {"model": "LapSRN", "parameters": 813_000, "psnr_y": 31.54, "by": "Keras"},
    {"model": "RDN", "parameters": 22_000_000, "psnr_y": 32.47, "by": "Torch"},
    {"model": "EDSR", "parameters": 43_089_923, "psnr_y": 32.46, "by": "Torch"},
]


def test_quality_against_cost_draws_every_group():
    fig = plotting.quality_against_cost(
        MODELS, group="by", baselines={"bicubic": 28.42}, title="Set5 x4, 4 px cut"
    )
    (ax,) = fig.axes
    caffe, keras, torch = ax.collections
    np.testing.assert_array_equal(
        caffe.get_offsets(), [(12_464, 30.72), (664_704, 31.35)]
    )
    np.testing.assert_array_equal(keras.get_offsets(), [(813_000, 31.54)])
    assert len({tuple(points.get_facecolor()[0]) for points in ax.collections}) == 3
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "Caffe",
        "Keras",
        "Torch",
    ]
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("parameters", "PSNR on luma (dB)")
    assert ax.get_title("left") == "↖ better"
    assert set(ax.lines[0].get_ydata()) == {28.42}
    assert fig.get_suptitle() == "Set5 x4, 4 px cut"


def assert_readable(ax, rows):
    """Names cover neither each other nor points nor lines, and are inside."""
    ax.figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert_apart(boxes)
    points = ax.transData.transform(
        [(row["parameters"], row["psnr_y"]) for row in rows]
    )
    for box in boxes:
        assert not box.count_contains(points)
        assert ax.bbox.containsx(box.x0) and ax.bbox.containsx(box.x1)
        assert ax.bbox.containsy(box.y0) and ax.bbox.containsy(box.y1)
        for line in ax.lines:
            _, y = ax.transData.transform((1, line.get_ydata()[0]))
            assert not box.containsy(y)
    for name in ax.texts:
        if name.arrow_patch:
            line = name.arrow_patch.get_path().transformed(
                name.arrow_patch.get_transform()
            )
            others = [
                box
                for text, box in zip(ax.texts, boxes, strict=True)
                if text is not name
            ]
            assert not any(line.intersects_bbox(box, filled=False) for box in others)


def test_names_are_readable_beside_twins_and_a_baseline():
    rows = MODELS + [dict(row, model="my " + row["model"]) for row in MODELS]
    fig = plotting.quality_against_cost(rows, baselines={"bicubic": 30.72})
    (ax,) = fig.axes
    assert set(texts(ax)) == {row["model"] for row in rows} | {"bicubic 30.72"}
    assert_readable(ax, rows)


def test_the_line_from_a_name_to_its_point_crosses_no_name():
    rng = np.random.default_rng(2)  # a crowd with no room for all names beside it
    costs, scores = 10 ** rng.normal(5.5, 0.35, 20), rng.normal(30, 0.5, 20)
    rows = [
        {"model": f"network {i}-small", "parameters": cost, "psnr_y": score}
        for i, (cost, score) in enumerate(zip(costs, scores, strict=True))
    ]
    (ax,) = plotting.quality_against_cost(rows).axes
    assert_readable(ax, rows)
    assert any(name.arrow_patch for name in ax.texts)


def test_names_are_readable_in_the_room_that_title_and_legend_leave():
    rows = [
        {
            "model": f"network {i}",
            "parameters": 10_000 * 2**i,
            "psnr_y": 30 + 0.3 * (i % 4) + 0.01 * i,
            "by": "x",
        }
        for i in range(12)
    ]
    fig = plotting.quality_against_cost(rows, group="by", title="Conditions. " * 40)
    assert_readable(fig.axes[0], rows)


@pytest.mark.parametrize(
    "y, label, corner",
    [
        ("ssim_rgb", "SSIM on RGB", "↖ better"),
        ("niqe", "NIQE", "↙ better"),
        ("my_score", "my score", ""),
    ],
)
def test_direction_of_better_follows_the_score(y, label, corner):
    rows = [{"model": "a", "ms_per_megapixel": 30.0, y: 0.5}]
    (ax,) = plotting.quality_against_cost(rows, "ms_per_megapixel", y).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("ms per megapixel", label)
    assert ax.get_title("left") == corner


def test_ticks_of_a_cost_are_short():
    (ax,) = plotting.quality_against_cost(MODELS).axes
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert {"10K", "1M", "10M"} <= set(ticks)


def test_perception_distortion_plane_is_best_at_the_lower_left():
    rows = [
        {"model": "SRResNet", "psnr_y": 27.58, "perceptual_index": 5.217},
        {"model": "SRGAN", "psnr_y": 25.16, "perceptual_index": 2.351},
    ]
    fig = plotting.quality_against_perception(
        rows, y="perceptual_index", baselines={"HR": 2.2}
    )
    (ax,) = fig.axes
    fig.draw_without_rendering()
    (srresnet, srgan) = ax.transData.transform(ax.collections[0].get_offsets())
    assert srresnet[0] < srgan[0]  # less distortion
    assert srresnet[1] > srgan[1]  # worse looks
    assert ax.get_xlabel() == "← less distortion: PSNR on luma (dB), axis reversed"
    assert ax.get_ylabel() == "← looks more natural: perceptual index"
    assert ax.get_title("left") == "↙ better"
    assert set(texts(ax)) == {"SRResNet", "SRGAN", "HR 2.2"}


def test_perception_axis_is_reversed_for_opinion_scores():
    rows = [{"model": "SRGAN", "lpips": 0.1, "mos": 3.56}]
    (ax,) = plotting.quality_against_perception(rows, "lpips", "mos").axes
    assert ax.yaxis.get_inverted() and not ax.xaxis.get_inverted()


@pytest.mark.parametrize(
    "plot", [plotting.quality_against_cost, plotting.quality_against_perception]
)
@pytest.mark.parametrize(
    "rows, options, message",
    [
        ([], {}, "at least one model"),
        ([{"model": "a", "b": 1.0}], {}, r"needs \['model', 'b', 'psnr_y'\]"),
        ([{"model": "a", "b": 1.0, "psnr_y": np.inf}], {}, "finite.* inf for 'a'"),
        ([{"model": "a", "b": None, "psnr_y": 1.0}], {}, "finite.* None for 'a'"),
        ([{"model": "a", "b": 1.0, "psnr_y": 1.0}], {"group": "by"}, "needs .*'by'"),
    ],
)
def test_rows_must_be_complete(plot, rows, options, message):
    with pytest.raises(ValueError, match=message):
        plot(rows, "b", "psnr_y", **options)


def test_a_cost_must_be_positive():
    rows = [{"model": "bicubic", "parameters": 0, "psnr_y": 28.42}]
    with pytest.raises(ValueError, match="positive.* 0 for 'bicubic'"):
        plotting.quality_against_cost(rows)


def test_perception_needs_scores_it_knows():
    rows = [{"model": "a", "psnr_y": 28.0, "beauty": 1.0}]
    with pytest.raises(ValueError, match="'niqe'.* Received: 'beauty'"):
        plotting.quality_against_perception(rows, y="beauty")
