import itertools

import numpy as np
import pytest
from matplotlib import transforms
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sr_keras import plotting


def photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), "uint8")


def pixels(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())


def titles(fig):
    return [ax.get_title() for ax in fig.axes]


def assert_apart(boxes):
    for a, b in itertools.combinations(boxes, 2):
        both = transforms.Bbox.intersection(a, b)
        assert both is None or both.width * both.height < 1, (a, b)


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
    assert 31 * zoom >= 350 and zoom == pytest.approx(round(zoom), abs=1e-6)
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
    blurred[44:76, 64:96] = 128  # the weaker of two textures is lost
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


def test_scores_are_below_the_titles():
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
def test_crops_are_below_a_wide_photo_and_beside_a_tall_one(shape, beside):
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
        ({}, "must not be empty. Received: dict of length 0"),
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
def test_error_names_the_image_that_does_not_fit(images, message):
    with pytest.raises(ValueError, match=message):
        plotting.comparison(images)


@pytest.mark.parametrize("shape", [(37, 53), (53, 37)])
def test_comparison_without_the_whole_photo(shape):
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


def test_comparison_rejects_unknown_scores_and_zero_columns():
    with pytest.raises(ValueError, match=r"must be among \['HR'\]. Received: 'SR'"):
        plotting.comparison({"HR": photo(6, 9)}, scores={"SR": 30.0})
    with pytest.raises(ValueError, match=r"pair \(PSNR, SSIM\).* for 'HR'"):
        plotting.comparison({"HR": photo(6, 9)}, scores={"HR": {"psnr_y": 30.0}})
    with pytest.raises(
        ValueError, match="`columns` must be a positive integer. Received: columns=0"
    ):
        plotting.comparison({"HR": photo(6, 9)}, columns=0)


def test_each_degradation_has_a_row_of_increasing_strength():
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
def test_degradations_rejects_images_that_do_not_fit(variants, crop, message):
    with pytest.raises(ValueError, match=message):
        plotting.degradations(photo(6, 9), variants, crop)


@pytest.mark.parametrize(
    "crop, zoom",
    [((0, 0, 100, 100), 4), ((10, 20, 120, 180), 2), ((5, 5, 60, 60), 6)],
)
@pytest.mark.parametrize("count", [2, 6])
def test_crops_are_at_least_350_pixels_wide(crop, zoom, count):
    images = {str(i): photo(200, 300, i) for i in range(count)}
    fig = plotting.comparison(images, crop=np.array(crop))
    for ax in fig.axes[1:]:
        assert ax.get_window_extent().width == pytest.approx(zoom * crop[3])
    assert fig.get_size_inches()[0] * fig.dpi < 1300
    fig = plotting.degradations(images["0"], {"a": images["1"]}, crop=np.array(crop))
    for ax in fig.axes:
        assert ax.get_window_extent().width == pytest.approx(zoom * crop[3])


def test_columns_may_be_an_integer_of_numpy():
    images = {str(i): photo(40, 60) for i in range(4)}
    sizes = [
        plotting.comparison(images, columns=columns).get_size_inches().tolist()
        for columns in (2, np.int64(2))
    ]
    assert sizes[0] == sizes[1]
