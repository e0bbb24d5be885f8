import numpy as np
import pytest

from sr_keras import images
from sr_keras.datasets import has_validation, named, open_data
from sr_keras.degradations import Downscale


def photo(seed=0, size=(8, 12)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_samples():
    assert open_data("samples", 4).names[0] == "astronaut"
    assert open_data("samples", 4, "validation", "drop").degradation.method == "drop"
    assert has_validation("samples") and not has_validation("t91")


def test_benchmark_sets_are_found_by_name(root):
    images.write(root / "benchmark" / "Set5" / "HR" / "a.png", photo())
    images.write(
        root / "benchmark" / "Set5" / "LR_bicubic" / "X4" / "ax4.png", photo(1, (2, 3))
    )
    for name in ("Set5", "benchmark/Set5"):
        dataset = open_data(name, 4, "validation")
        assert dataset.names == ["a"]
        np.testing.assert_array_equal(dataset[0][0], photo(1, (2, 3)))
        made = open_data(name, 4, "validation", "bicubic")
        np.testing.assert_array_equal(made[0][0], Downscale(4)(photo()))
        with pytest.warns(UserWarning, match="Set5 is a benchmark set: a network"):
            open_data(name, 4)


def test_folders_are_found_here_and_in_the_data_folder(root):
    images.write(root / "photos" / "a.png", photo())
    images.write(root / "lr" / "a.png", photo(1, (4, 6)))
    assert open_data("photos", 2).degradation == Downscale(2)
    dataset = open_data("photos", 2, lr_path=root / "lr")
    np.testing.assert_array_equal(dataset[0][0], photo(1, (4, 6)))
    assert open_data("photos", 2, shrink=2).hr(0).shape == (4, 6, 3)


@pytest.mark.parametrize(
    "arguments, options, error, message",
    [
        (("sampels", 4), {}, ValueError, "'sampels' .* Did you mean 'samples'"),
        (("Set15", 4), {}, ValueError, "Did you mean 'Set14' or 'Set5'|'Set5' or"),
        (("photo", 4), {}, ValueError, "Did you mean 'photos'"),
        (("./photo", 4), {}, FileNotFoundError, "There is no folder ./photo, here or"),
        (("Set14", 4), {}, FileNotFoundError, "Set14 is not in .*benchmark"),
        (("samples", 4, "valid"), {}, ValueError, "'valid' is not the name of a split"),
        (("samples", 4), {"shrink": 2}, ValueError, "are for folders only"),
        (
            ("photos", 4, "train", "bicubik"),
            {},
            ValueError,
            "'bicubik' is not .* Did you mean 'bicubic'",
        ),
    ],
)
def test_mistakes_are_explained(root, arguments, options, error, message):
    images.write(root / "photos" / "a.png", photo())
    with pytest.raises(error, match=message):
        open_data(*arguments, **options)


def test_scale_1_needs_a_degradation():
    with pytest.raises(ValueError, match="LR images equal the HR images"):
        named.check_degraded(open_data("samples", 1))
    named.check_degraded(open_data("samples", 1, degradation="crappify"))
