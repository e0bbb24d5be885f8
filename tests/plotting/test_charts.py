import itertools

import numpy as np
import pytest
from matplotlib import transforms
from matplotlib.text import Text

from sr_keras import plotting
from sr_keras.plotting.charts import LEADER


def texts(ax):
    return {text.get_text(): text for text in ax.texts}


def assert_apart(boxes):
    for a, b in itertools.combinations(boxes, 2):
        both = transforms.Bbox.intersection(a, b)
        assert both is None or both.width * both.height < 1, (a, b)


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


def test_names_of_close_baselines_cover_neither_each_other_nor_a_curve():
    logs = [{"step": i, "psnr_y": 27.3 - 0.5 * 0.5**i} for i in range(5)]
    fig = plotting.history(logs, baselines={"bicubic": 26.9, "SRCNN": 27.1})
    (ax,) = fig.axes
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert len(boxes) == 2
    assert_apart(boxes)
    for line in ax.lines:
        path = line.get_path().transformed(line.get_transform())
        assert not any(path.intersects_bbox(box, filled=False) for box in boxes)


@pytest.mark.parametrize(
    "logs, options, message",
    [
        ([], {}, "must contain a loss"),
        ([{"step": 1, "seconds": 2.0}], {}, r"Received: \['seconds', 'step'\]"),
        ([{"loss": 1.0}], {}, "must have a 'step'"),
        ({"loss": [1, 2], "val_loss": [1]}, {}, "'loss': 2, 'val_loss': 1"),
        ({"loss": [1, 2]}, {"score": "ssim_y"}, "not contain the score 'ssim_y'"),
        (
            {"loss": [1, 2]},
            {"baselines": {"bicubic": 28}},
            "not contain the score 'psnr_y'",
        ),
    ],
)
def test_history_names_what_is_missing(logs, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.history(logs, **options)


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
    colors = {text.get_text(): text.get_color() for text in ax.texts}
    assert colors["FSRCNN"] == colors["VDSR"] != colors["LapSRN"]
    np.testing.assert_allclose(
        colors["LapSRN"], 0.7 * keras.get_facecolor()[0, :3], rtol=1e-6
    )
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


def leaders(ax):
    return [line for line in ax.lines if line.get_gid() == LEADER]


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
            if line not in leaders(ax):
                _, y = ax.transData.transform((1, line.get_ydata()[0]))
                assert not box.containsy(y)
    for leader in leaders(ax):
        path = leader.get_path().transformed(leader.get_transform())
        crossed = [box for box in boxes if path.intersects_bbox(box.padded(-1), False)]
        assert crossed == []


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
    assert leaders(ax)


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
        ([{"model": "a", "b": 1.0}], {}, r"must have \['model', 'b', 'psnr_y'\]"),
        ([{"model": "a", "b": 1.0, "psnr_y": np.inf}], {}, "finite.* inf for 'a'"),
        ([{"model": "a", "b": None, "psnr_y": 1.0}], {}, "finite.* None for 'a'"),
        (
            [{"model": "a", "b": 1.0, "psnr_y": 1.0}],
            {"group": "by"},
            "must have .*'by'",
        ),
    ],
)
def test_rows_must_be_complete(plot, rows, options, message):
    with pytest.raises(ValueError, match=message):
        plot(rows, "b", "psnr_y", **options)


def test_a_cost_must_be_positive():
    rows = [{"model": "bicubic", "parameters": 0, "psnr_y": 28.42}]
    with pytest.raises(ValueError, match="positive.* 0 for 'bicubic'"):
        plotting.quality_against_cost(rows)


def test_perception_plane_requires_known_scores():
    rows = [{"model": "a", "psnr_y": 28.0, "beauty": 1.0}]
    with pytest.raises(ValueError, match="among the scores .*'niqe'.*: 'beauty'"):
        plotting.quality_against_perception(rows, y="beauty")
