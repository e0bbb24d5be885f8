import numpy as np
import pytest

from sr_keras import images
from sr_keras.datasets import benchmark
from sr_keras.degradations import Downscale


def test_set5(data_dir):
    dataset = benchmark("Set5", 4, data_dir / "benchmark")
    assert dataset.names == ["baby", "bird", "butterfly", "head", "woman"]
    assert dataset.degradation is None
    lr, hr = dataset[3]
    assert (lr.shape, hr.shape) == ((70, 70, 3), (280, 280, 3))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_pair_of_set14_fits(scale, data_dir, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    dataset = benchmark("Set14", scale)  # found through the variable
    assert len(dataset) == 14
    for name, (lr, hr) in zip(dataset.names, dataset, strict=True):
        assert hr.shape == (scale * lr.shape[0], scale * lr.shape[1], lr.shape[2])
        assert hr.shape[2] == (1 if name == "bridge" else 3)


def test_lr_files_are_what_matlab_made(data_dir):
    lr, hr = benchmark("Set5", 3, data_dir / "benchmark")[2]
    np.testing.assert_array_equal(lr, Downscale(3)(hr))


def test_a_set_without_lr_files_is_degraded(tmp_path):
    hr = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    images.write(tmp_path / "Mine" / "HR" / "photo.png", hr)
    dataset = benchmark("Mine", 2, tmp_path)
    assert dataset.degradation == Downscale(2)
    np.testing.assert_array_equal(dataset[0][1], hr[:8])


def test_missing_set_says_where_to_put_it(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="Urban100. Put the photos of the set"):
        benchmark("Urban100", 4, tmp_path)
    monkeypatch.delenv("SR_KERAS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="no folder data.benchmark.Urban100"):
        benchmark("Urban100", 4)


def test_the_nearest_name_is_suggested(tmp_path):
    with pytest.raises(ValueError, match="'Set55' .* Did you mean 'Set5'"):
        benchmark("Set55", 4, tmp_path)


def test_another_degradation(tmp_path):
    images.write(tmp_path / "Set5" / "HR" / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert benchmark("Set5", 2, tmp_path, "drop").degradation == Downscale(2, "drop")
