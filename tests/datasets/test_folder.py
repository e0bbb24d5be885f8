import re

import numpy as np
import pytest

from sr_keras import images
from sr_keras.datasets import arrays, concatenate, folder, open_data
from sr_keras.datasets.folder import find_lr, image_files
from sr_keras.degradations import Downscale


def noise(seed, *shape, dtype="uint8"):
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def write(path, *names, size=(8, 12)):
    for i, name in enumerate(names):
        images.write(path / name, noise(i, *size, 3))


def test_photos_of_every_kind(tmp_path):
    images.write(tmp_path / "b.png", noise(0, 9, 14, 3))
    images.write(tmp_path / "a.TIF", noise(1, 6, 8, 3, dtype="uint16"))
    images.write(tmp_path / "deeper" / "c.v2.png", noise(2, 5, 7))
    images.write(tmp_path / ".hidden" / "d.png", noise(3, 5, 7))
    images.write(tmp_path / "._b.png", noise(4, 5, 7))
    (tmp_path / "notes.txt").write_text("no image")
    dataset = folder(tmp_path, 2)
    assert dataset.names == ["a", "b", "deeper/c.v2"]
    np.testing.assert_array_equal(dataset.hr(0), noise(1, 6, 8, 3, dtype="uint16"))
    assert [lr.shape for lr, _ in dataset] == [(3, 4, 3), (4, 7, 3), (2, 3, 1)]


def test_corrupt_file_among_good_ones_is_named(tmp_path):
    write(tmp_path, "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    dataset = folder(tmp_path, 2)
    assert dataset[1][0].shape == (4, 6, 3)
    with pytest.raises(ValueError, match="bad.png"):
        dataset[0]


def test_missing_folders_and_images_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder .*nowhere"):
        folder(tmp_path / "nowhere", 2)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(FileNotFoundError, match="There are no images in"):
        image_files(tmp_path)


@pytest.mark.parametrize("ending", ["", "x4", "x4m", "x4d", "x4w", "x4w1"])
def test_lr_files_are_found_by_name(ending, tmp_path):
    write(tmp_path / "hr", "0001.png", "0002.jpg")
    write(tmp_path / "lr", f"0001{ending}.png", f"0002{ending}.png", size=(2, 3))
    dataset = folder(tmp_path / "hr", 4, tmp_path / "lr")
    assert dataset.names == ["0001", "0002"]
    assert dataset.degradation is None
    np.testing.assert_array_equal(dataset[1][0], noise(1, 2, 3, 3))
    np.testing.assert_array_equal(dataset[0][1], noise(0, 8, 12, 3))


def test_equal_names_that_end_like_lr_files(tmp_path):
    write(tmp_path / "hr", "box.png", "boxx4.png")
    write(tmp_path / "lr", "box.png", "boxx4.png", size=(2, 3))
    dataset = folder(tmp_path / "hr", 4, tmp_path / "lr")
    assert dataset.names == ["box", "boxx4"]
    np.testing.assert_array_equal(dataset[0][0], noise(0, 2, 3, 3))


def test_several_lr_files_make_as_many_pairs(tmp_path):
    write(tmp_path / "hr", "0001.png", "0002.png")
    write(tmp_path / "lr", "0001x4w1.png", "0001x4w2.png", "0002x4w1.png", size=(2, 3))
    dataset = folder(tmp_path / "hr", 4, tmp_path / "lr")
    assert dataset.names == ["0001x4w1", "0001x4w2", "0002"]
    np.testing.assert_array_equal(dataset[1][0], noise(1, 2, 3, 3))
    np.testing.assert_array_equal(dataset[1][1], noise(0, 8, 12, 3))


def test_a_photo_without_lr_file_is_named(tmp_path):
    write(tmp_path / "hr", "0001.png", "0002.png")
    write(tmp_path / "lr", "0001x4.png", "0002x2.png", size=(2, 3))
    message = "0002.png has no LR file: .*contain 0002x4 or 0002. Found there: 0001x4"
    with pytest.raises(ValueError, match=message):
        folder(tmp_path / "hr", 4, tmp_path / "lr")


def test_a_pair_of_wrong_sizes_is_named(tmp_path):
    write(tmp_path / "hr", "0001.png")
    write(tmp_path / "lr", "0001x4.png", size=(3, 2))
    with pytest.raises(ValueError, match="0001: the LR image of 3x2 does not fit"):
        folder(tmp_path / "hr", 4, tmp_path / "lr")[0]


def test_lr_files_and_a_degradation_exclude_each_other(tmp_path):
    with pytest.raises(
        ValueError, match="`lr_path` and `degradation` cannot be combined"
    ):
        folder(tmp_path, 4, tmp_path, degradation="blur")


@pytest.mark.parametrize(
    "path, hr, lr",
    [
        ("Set5", "Set5/HR", "Set5/LR_bicubic/X4"),
        ("DIV2K_train_HR", "DIV2K_train_HR", "DIV2K_train_LR_bicubic/x4"),
    ],
)
def test_common_layouts(path, hr, lr, tmp_path):
    write(tmp_path / hr, "0001.png")
    assert find_lr(tmp_path / path, 4) == (tmp_path / hr, None)
    assert len(folder(tmp_path / path, 4)) == 1

    write(tmp_path / lr, "0001x4.png", size=(2, 3))
    assert find_lr(tmp_path / path, 4)[1].is_dir()
    assert find_lr(tmp_path / path, 2) == (tmp_path / hr, None)
    dataset = folder(tmp_path / path, 4)
    np.testing.assert_array_equal(dataset[0][0], noise(0, 2, 3, 3))
    blurred = folder(tmp_path / path, 4, degradation="blur")
    assert blurred.names == ["0001"]
    assert (blurred[0][0] != dataset[0][0]).any()
    made = open_data(tmp_path / path, 4, "validation", degradation="bicubic")
    np.testing.assert_array_equal(made[0][0], Downscale(4)(made[0][1]))
    assert (made[0][0] != dataset[0][0]).any()


def test_a_plain_folder_has_no_lr_folder(tmp_path):
    assert find_lr(tmp_path, 4) == (tmp_path, None)


def test_a_folder_of_sets_is_refused(tmp_path):
    for name in ("Set5", "Set14"):
        images.write(tmp_path / name / "HR" / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert folder(tmp_path, 2).names == ["Set14/HR/a", "Set5/HR/a"]
    for name in ("Set5", "Set14"):
        (tmp_path / name / "LR_bicubic").mkdir()
    first = re.escape(str(tmp_path / "Set14"))
    message = f"several sets with LR files: name one of {first}, "
    with pytest.raises(ValueError, match=message):
        folder(tmp_path, 2)
    assert folder(tmp_path / "Set5", 2).names == ["a"]


@pytest.mark.parametrize(
    "hr, lr",
    [
        ("hr", "lr"),
        ("HR", "LR"),
        ("HR", "LR/X4"),
        ("hr", "LR_x4"),
        ("hr", "lrx4"),
        ("HR", "LR_bicubic_x4"),
        ("HR", "X4"),
        ("train_HR", "train_LR"),
        ("train_hr", "train_lr_bicubic/x4"),
    ],
)
def test_hr_and_lr_folders_are_paired(hr, lr, tmp_path):
    write(tmp_path / "set" / hr, "0001.png", "0002.png")
    write(tmp_path / "set" / lr, "0001.png", "0002.png", size=(2, 3))
    paths = [tmp_path / "set" / hr]
    if "train" not in hr:
        paths.append(tmp_path / "set")
    for path in paths:
        dataset = folder(path, 4)
        assert dataset.names == ["0001", "0002"]
        assert dataset.degradation is None
        np.testing.assert_array_equal(dataset[1][0], noise(1, 2, 3, 3))
        made = folder(path, 4, degradation="bicubic")
        assert made.names == dataset.names
        np.testing.assert_array_equal(made[1][0], Downscale(4)(made[1][1]))
        np.testing.assert_array_equal(open_data(path, 4)[1][0], dataset[1][0])


@pytest.mark.parametrize(
    "hr, lr",
    [
        ("p", "p_LR"),
        ("p", "px4"),
        ("p", "p_bicLRx4"),
        ("p", "p_LRBI_x4"),
        ("p", "p-lr"),
        ("p_HR", "p_LR"),
        ("p_SRF_4_HR", "p_SRF_4_LR"),
        ("wasabi", "wasabix4"),
        ("wasabi", "wasabi_LRx4"),
        ("wasa_bi", "wasa_bi_LR"),
        ("collr", "collr-x4"),
        ("aerobic_HR", "aerobicx4"),
        ("hr_p", "lr_p"),
        ("sub/hr_p", "sub/lr_px4"),
    ],
)
def test_suffixes_of_lr_files(hr, lr, tmp_path):
    write(tmp_path / "hr", f"{hr}.png")
    write(tmp_path / "lr", f"{lr}.png", size=(2, 3))
    dataset = folder(tmp_path / "hr", 4, tmp_path / "lr")
    assert dataset.names == [hr]
    assert dataset[0][0].shape == (2, 3, 3)


def test_paths_of_the_hr_files(tmp_path, monkeypatch):
    write(tmp_path / "hr", "a.png", "b.png")
    write(tmp_path / "small", "ax4w1.png", "ax4w2.png", "b.png", size=(2, 3))
    monkeypatch.chdir(tmp_path)
    a, b = (str(tmp_path / "hr" / name) for name in ("a.png", "b.png"))
    assert folder("hr", 4).hr_files == [a, b]
    paired = folder("hr", 4, "small")
    assert paired.hr_files == [a, a, b]
    assert paired.subset([2, 0]).hr_files == [b, a]
    both = concatenate([folder("hr", 4), arrays(noise(0, 1, 8, 8, 3), scale=4)])
    assert both.hr_files == [a, b, None]


@pytest.mark.filterwarnings("ignore:.* contains ")
@pytest.mark.parametrize(
    "files, message",
    [
        (("HR/a.png", "LR/X2/a.png"), r"none .* scale 4: .*LR\. Name it by `lr_path`"),
        (("HR/a.png", "LR_phone/a.png"), "none .* scale 4: .*LR_phone"),
        (("lr/a.png", "photos/a.png"), "contains lr but no HR folder. .*lr, photos"),
        (("a_HR.png", "a_LR.png"), "both HR and LR files, such as a_LR"),
        (("a.png", "a_LRx4.png"), "both HR and LR files, such as a_LRx4"),
        (("a.png", "ax4.png"), "both HR and LR files, such as ax4"),
        (("a.png", "ax2m.png"), "both HR and LR files, such as ax2m"),
        (("a.png", "b.png", "b_bicLRx4.png"), "both HR .*, such as b_bicLRx4"),
        (("a_hr.png", "a_lr.png"), "both HR and LR files, such as a_lr"),
        (("sub/a.png", "sub/lr_a.png"), "both HR and LR files, such as sub/lr_a"),
        (("HR/a.png", "X2/a.png"), "none .* scale 4: .*X2"),
        (("a_HR/b.png", "a_LR_bicubic/X4/bx4.png"), "LR files in a_LR_bicubic beside"),
        (("train/hr/a.png", "train/lr/a.png"), "LR files in train/lr beside"),
        (("train_HR/a.png", "train_LR/a.png"), "LR files in train_LR beside"),
        (("hr_train/a.png", "lr_train/a.png"), "LR files in lr_train beside"),
        (("GT/a.png", "LQ/a.png"), "LR files in LQ beside the HR photos in GT"),
        (("y/GT/a.png", "y/X4/a.png"), "LR files in y/X4 beside the HR .* in y/GT"),
        (("a.png", "LR_x4/a.png"), "LR files in LR_x4 beside the HR photos in"),
    ],
)
def test_what_looks_like_lr_files_is_not_ignored(files, message, tmp_path):
    write(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        folder(tmp_path, 4)
    folder(tmp_path, 4, degradation="bicubic")


def test_lr_files_among_photos_that_are_degraded_are_mentioned(tmp_path):
    write(tmp_path, "GT/a.png", "LQ/a.png")
    with pytest.warns(UserWarning, match="LQ beside .* in GT.* as HR photos"):
        assert len(folder(tmp_path, 4, degradation="blur")) == 2


@pytest.mark.parametrize(
    "files",
    [
        ("a.png", "box4.png", "collr.png", "x4.png"),
        ("left/a.png", "left/b_lr.png", "left/b_ll.png"),
        ("GT/a.png", "chlorine/a.png", "hrx4/a.png"),
        ("x2/a.png", "x4/a.png"),
    ],
)
def test_names_that_only_resemble_those_of_lr_files(files, tmp_path):
    write(tmp_path / "all", *files)
    assert len(folder(tmp_path / "all", 4)) == len(files)


def test_shrunk_photos(tmp_path):
    write(tmp_path / "photos", "0001.png", size=(26, 39))
    images.write(tmp_path / "photos" / "grey.png", noise(7, 12, 13))
    dataset = folder(tmp_path / "photos", 2, shrink=3)
    np.testing.assert_array_equal(
        dataset.hr(0), Downscale(3)(noise(0, 26, 39, 3))[:8, :12]
    )
    assert dataset.hr(1).shape == (4, 4, 1)
    assert dataset.key != folder(tmp_path / "photos", 2).key
    write(tmp_path / "lr", "0001.png", size=(4, 6))
    with pytest.raises(ValueError, match="`shrink` changes the HR photos"):
        folder(tmp_path / "photos", 2, tmp_path / "lr", shrink=3)
    with pytest.raises(ValueError, match="`shrink` must be a positive integer"):
        folder(tmp_path / "photos", 2, shrink=0)
