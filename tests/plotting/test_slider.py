import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from sr_keras import plotting


def photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), "uint8")


def test_slider_contains_both_images_once_and_a_still_picture():
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


def test_slider_rejects_bad_arguments():
    with pytest.raises(ValueError, match="two images. Received: 1"):
        plotting.slider({"HR": photo(6, 9)})
    with pytest.raises(ValueError, match="zoom=1.5"):
        plotting.slider({"a": photo(6, 9), "b": photo(6, 9)}, zoom=1.5)
    with pytest.raises(
        ValueError, match="`zoom` must be a positive integer. Received: zoom=0"
    ):
        plotting.slider({"a": photo(6, 9), "b": photo(6, 9)}, zoom=0)
    with pytest.raises(ValueError, match="height 6 and width 9"):
        plotting.slider({"a": photo(6, 9), "b": photo(6, 9)}, crop=(0, 0, 7, 7))


def test_zoom_may_be_an_integer_of_numpy():
    images = {"a": photo(6, 9), "b": photo(6, 9, 1)}
    shown = plotting.slider(images, zoom=np.int64(4))
    assert shown.html() == plotting.slider(images, zoom=4).html()
    assert 'width="36" height="24"' in shown.html()


def test_small_images_are_enlarged_to_350_pixels():
    images = {"a": photo(60, 100), "b": photo(60, 100, 1)}
    assert 'width="400" height="240"' in plotting.slider(images).html()
    assert (
        'width="800" height="1200"'
        in plotting.slider({"a": photo(600, 400), "b": photo(600, 400)}).html()
    )
