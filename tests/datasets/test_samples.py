import numpy as np
import pytest
from skimage import data

from sr_keras.datasets import samples


def test_train_and_validation_photos():
    train, validation = samples(4), samples(4, "validation")
    assert train.names == [
        "astronaut",
        "coffee",
        "hubble_deep_field",
        "immunohistochemistry",
        "retina",
        "rocket",
    ]
    assert validation.names == ["chelsea", "motorcycle"]
    for dataset in (train, validation):
        for i in range(len(dataset)):
            hr = dataset.hr(i)
            assert hr.dtype == np.uint8
            assert hr.shape[2] == 3
            assert hr.std() > 10
    np.testing.assert_array_equal(train.hr(5), data.rocket()[:424, :640])


def test_degradation():
    lr, hr = samples(3, "validation", degradation="nearest")[0]
    np.testing.assert_array_equal(hr, data.chelsea()[:300, :450])
    np.testing.assert_array_equal(lr, hr[1::3, 1::3])


def test_rejects_another_split():
    with pytest.raises(ValueError, match="'test' is not the name of a split"):
        samples(4, "test")
