import json
import os
import pathlib
import subprocess
import sys
import threading
import urllib.request

import numpy as np
import pytest
import skimage.data
from chromium import start_chromium
from PIL import Image

from sr_keras import image_files, images, inference, models, serve
from sr_keras.serve import BEST, CancelledError, Page


@pytest.fixture
def page():
    with Page(max_megapixels=0.1) as page:
        yield page


@pytest.fixture
def photo(tmp_path):
    """A photo of 60x90 pixels, and its HR photo of 180x270."""
    hr = np.asarray(skimage.data.astronaut()[:180, 100:370])
    images.write(tmp_path / "hr.png", hr)
    images.write(tmp_path / "photo.png", images.resize(hr, (60, 90)))
    return tmp_path / "photo.png"


def shape(path):
    return images.read(path).shape[:2]


def test_a_photo_comes_back_with_pictures_and_scores(page, photo):
    steps = []
    result = page.enlarge(
        photo,
        "espcn-x3-bsds",
        scale=3,
        tile=32,
        hr=photo.with_name("hr.png"),
        progress=lambda *step: steps.append(step),
    )
    assert result.file.name == "photo.png" and shape(result.file) == (180, 270)
    assert shape(result.before) == shape(result.after) == (180, 270)
    np.testing.assert_array_equal(images.read(result.after), images.read(result.file))
    bicubic = images.resize(images.read(photo), (180, 270))
    np.testing.assert_array_equal(images.read(result.before), bicubic)
    assert steps == [(i, 6) for i in range(1, 7)]
    assert "90 x 60 to 270 x 180 pixels" in result.text
    rows = [line.split("|")[2] for line in result.text.splitlines() if "dB" in line]
    network, interpolation = (float(row.removesuffix(" dB ")) for row in rows)
    assert network > interpolation > 20
    assert "BT.601, 16-235), 3 border pixels cut" in result.text


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({"scale": 2.5}, (150, 225)),
        ({"width": 100}, (67, 100)),
        ({"height": 120, "scale": None}, (120, 180)),
        ({"width": 100, "height": 50}, (50, 100)),
        ({"width": 0, "height": None, "scale": 2}, (120, 180)),
    ],
)
def test_the_result_has_the_size_of_the_form(page, photo, asked, expected):
    result = page.enlarge(photo, "bicubic", **asked)
    assert shape(result.file) == expected


def test_the_slider_shows_the_middle_of_a_large_result(page, photo, monkeypatch):
    monkeypatch.setattr(serve, "_SHOWN", 90)
    result = page.enlarge(photo, "nearest", scale=3)
    whole = images.read(result.file)
    np.testing.assert_array_equal(images.read(result.after), whole[45:135, 90:180])
    assert shape(result.before) == (90, 90)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"photo": None}, "Choose a photo first"),
        ({"network": "/etc/passwd"}, "'/etc/passwd' is not the name of a network of"),
        ({"scale": 0}, "The scale must be a number up to 16. Received: 0"),
        ({"scale": None}, "Received: None"),
        ({"scale": 17}, "Received: 17"),
        ({"width": 3000}, "factors of up to 16. Received: .* factor of 33.3"),
        ({"width": -5}, "The width must be a positive integer. Received: -5"),
    ],
)
def test_wrong_fields_are_explained(page, photo, fields, message):
    fields = {"photo": photo, "network": "bicubic", **fields}
    with pytest.raises(ValueError, match=message):
        page.enlarge(**fields)
    assert list(page.folder.iterdir()) == []


def test_photos_that_cannot_be_taken_are_named_without_their_folder(page, tmp_path):
    (tmp_path / "text.png").write_text("text")
    images.write(tmp_path / "large.png", np.zeros((300, 400), np.uint8))
    frames = [np.full((150, 200), 9 * i, np.uint8) for i in range(5)]
    image_files.write(tmp_path / "long.gif", frames, durations=[100] * 5)
    for name, message in (
        ("text.png", "text.png is not a readable image"),
        ("large.png", "large.png is too large"),
        ("long.gif", "up to 0.1 megapixels .* Received: 0.15 megapixels"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            page.enlarge(tmp_path / name, "bicubic")
        assert str(tmp_path) not in str(error.value)


def test_an_hr_photo_of_another_size_is_reported(page, photo):
    result = page.enlarge(photo, "bicubic", scale=2, hr=photo.with_name("hr.png"))
    assert "No scores: the HR photo has 270 x 180 pixels" in result.text


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16"])
def test_other_kinds_of_photos_are_shown(page, photo, mode):
    image = Image.open(photo)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(photo)
    result = page.enlarge(photo, "bicubic", scale=3, hr=photo.with_name("hr.png"))
    assert images.read(result.after).shape == images.read(result.before).shape
    assert "dB" in result.text


def test_work_is_cancelled_after_a_tile(page, photo):
    done = []

    def progress(*step):
        done.append(step)
        page.cancel("another")
        if len(done) == 2:
            page.cancel("mine")

    with pytest.raises(CancelledError):
        page.enlarge(photo, "bicubic", tile=16, progress=progress, session="mine")
    assert len(done) == 2
    assert list(page.folder.iterdir()) == []


def test_files_are_deleted(photo):
    with Page() as page:
        folder = page.folder
        result = page.enlarge(photo, "bicubic", session="a")
        other = page.enlarge(photo, "bicubic", session="b")
        page.forget("a")
        assert not result.file.exists() and other.file.exists()
        page.forget("unknown")
    assert not folder.exists() and photo.exists()


def test_own_models_are_offered(tmp_path, photo):
    network = models.espcn(2, filters=(4, 4), channels=3)
    network.save(tmp_path / "mine.keras")
    with Page([tmp_path / "mine.keras"]) as page:
        assert page.names[0] == BEST and "edsr-x4-bsds" in page.names
        name = str(tmp_path / "mine.keras")
        assert page.names[-1] == name
        assert shape(page.enlarge(photo, name, scale=2).file) == (120, 180)
    with pytest.raises(FileNotFoundError, match="no.keras"):
        Page(["no.keras"])
    with pytest.raises(ValueError, match="`max_megapixels` must be positive"):
        Page(max_megapixels=0)


def test_less_detail_is_the_blend_with_the_start_of_a_gan(page, photo):
    less = page.enlarge(photo, "edsr-x4-bsds-srgan", detail=0.5)
    network = models.load("edsr-x4-bsds-srgan", detail=0.5)
    expected = inference.upscale(network, images.read(photo))
    np.testing.assert_array_equal(images.read(less.file), expected)
    with pytest.raises(ValueError, match="bicubic names none"):
        page.enlarge(photo, "bicubic", detail=0.5)
    with pytest.raises(ValueError, match="choose the network of a GAN"):
        page.enlarge(photo, detail=0.5)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The command `serve` in a process of its own; its address and its files."""
    pytest.importorskip("gradio", reason='Gradio is missing: pip install "gradio>=6"')
    folder = tmp_path_factory.mktemp("temporary")
    env = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "sr_keras", "serve", "--max-megapixels", "1"]
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines, address = [], None
    timer = threading.Timer(240, process.kill)
    timer.start()
    for line in process.stdout:
        lines.append(line)
        if "The page is at" in line:
            address = line.split()[4]
            break
    assert address, "".join(lines)
    timer.cancel()
    yield address, folder
    process.terminate()
    assert process.wait(60) == 0
    assert [path for path in folder.rglob("*.png")] == []
    assert [p for p in folder.iterdir() if p.name.startswith("sr_keras-")] == []


@pytest.mark.slow
def test_it_listens_on_this_computer_only(server):
    address, _ = server
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{address}config", timeout=60) as response:
        config = json.load(response)
    assert config["analytics_enabled"] is False
    assert not config.get("run_history")
    port = address.rstrip("/").split(":")[-1]
    sockets = pathlib.Path("/proc/net/tcp")
    if sockets.exists():
        rows = [line.split() for line in sockets.read_text().splitlines()[1:]]
        hosts = {
            row[1].split(":")[0] for row in rows if row[1].endswith(f":{int(port):04X}")
        }
        assert hosts == {"0100007F"}


@pytest.mark.slow
def test_a_photo_goes_in_and_comes_out_of_a_browser(server, photo):
    address, _ = server
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is missing: pip install playwright"
    )
    asked = []
    with sync_api.sync_playwright() as playwright:
        browser = start_chromium(playwright)
        tab = browser.new_page(viewport={"width": 1280, "height": 860})
        tab.set_default_timeout(240_000)
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(address)
        tab.locator("#photo input[type=file]").set_input_files(photo)
        tab.locator("#photo").get_by_text("photo", exact=False).first.wait_for()
        tab.get_by_role("button", name="More").click()
        tab.locator("#hr input[type=file]").set_input_files(photo.with_name("hr.png"))
        tab.locator("#hr").get_by_text("hr", exact=False).first.wait_for()
        tab.locator("#scale input").fill("3")
        tab.wait_for_timeout(1000)
        tab.locator("#run").click()
        tab.locator("#text").get_by_text("dB").first.wait_for()
        tab.locator("#slider img").first.wait_for()
        if "SR_KERAS_SCREENSHOT" in os.environ:
            tab.wait_for_timeout(3000)
            tab.screenshot(path=os.environ["SR_KERAS_SCREENSHOT"], full_page=True)
        with tab.expect_download() as download:
            tab.locator("#file a").first.click()
        assert shape(download.value.path()) == (180, 270)
        text = tab.locator("#text").inner_text()
        assert "90 x 60 to 270 x 180 pixels" in text

        # what is wrong is said, and the page goes on
        tab.locator("#scale input").fill("99")
        tab.wait_for_timeout(1000)
        tab.locator("#run").click()
        tab.get_by_text("The scale must be a number up to 16").first.wait_for()

        # work that takes long can be cancelled, and the next one begins at once
        long = photo.with_name("long.png")
        images.write(long, np.asarray(skimage.data.astronaut()))
        tab.locator("#photo button[aria-label='Clear']").click()
        tab.locator("#photo input[type=file]").set_input_files(long)
        tab.locator("#photo").get_by_text("long", exact=False).first.wait_for()
        tab.locator("#tile input[type=number]").fill("32")
        tab.locator("#scale input").fill("4")
        tab.wait_for_timeout(1000)
        tab.locator("#run").click()
        tab.get_by_text("256 tiles", exact=False).first.wait_for()
        tab.locator("#cancel").click()
        tab.wait_for_timeout(1000)
        tab.locator("#scale input").fill("98")
        tab.wait_for_timeout(1000)
        tab.locator("#run").click()
        tab.get_by_text("Received: 98").first.wait_for()
        browser.close()
    elsewhere = [
        url for url in asked if not url.startswith((address, "data:", "blob:"))
    ]
    assert elsewhere == []
