"""The real path, with tiny zips of the official names, from a server on loopback."""

import dataclasses
import hashlib
import http.server
import io
import shutil
import socket
import threading
import time
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from sr_keras import files, images
from sr_keras.datasets import decode, div2k, open_data

builder = tfds.builder_cls("div2k")

HR, LR = "DIV2K_train_HR.zip", "DIV2K_train_LR_bicubic_X4.zip"


def noise(seed, height, width):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def official_zips():
    """Two photos of 24x48 to train on and one to validate on, in DIV2K's layout."""
    zips = {}
    for split, names in (("train", ("0001", "0002")), ("valid", ("0801",))):
        folder = f"DIV2K_{split}_HR"
        zips[f"{folder}.zip"] = zipped(
            {f"{folder}/{name}.png": png(noise(int(name), 24, 48)) for name in names}
        )
        versions = ("w1", "w2", "w3", "w4") if split == "train" else ("w",)
        for zip_name, folder, scale, endings in [
            *((f"bicubic_X{s}", f"bicubic/X{s}", s, ("",)) for s in (2, 3, 4)),
            *((f"unknown_X{s}", f"unknown/X{s}", s, ("",)) for s in (2, 3, 4)),
            ("x8", "x8", 8, ("",)),
            ("mild", "mild", 4, ("m",)),
            ("difficult", "difficult", 4, ("d",)),
            ("wild", "wild", 4, versions),
        ]:
            zips[f"DIV2K_{split}_LR_{zip_name}.zip"] = zipped(
                {
                    f"DIV2K_{split}_LR_{folder}/{name}x{scale}{ending}.png": png(
                        noise(int(name) + i, 24 // scale, 48 // scale)
                    )
                    for name in names
                    for i, ending in enumerate(endings)
                }
            )
    return zips


ZIPS = official_zips()


class Server(http.server.ThreadingHTTPServer):
    """Serves `zips`; `requests` has (name, first byte) of each answer.

    Attributes:
        breaks: For a name, at which byte each of the next answers breaks off.
        ranges: Whether it can begin in the middle of a file.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.zips = dict(ZIPS)
        self.requests, self.breaks, self.ranges = [], {}, True


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path[1:]
        content = self.server.zips[name]
        requested = self.headers.get("Range", "bytes=0-")
        first = int(requested.removeprefix("bytes=").removesuffix("-"))
        if not self.server.ranges:
            first = 0
        self.server.requests.append((name, first))
        is_part = self.server.ranges and "Range" in self.headers
        self.send_response(206 if is_part else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        breaks = self.server.breaks.get(name)
        self.wfile.write(content[first : breaks.pop(0) if breaks else None])

    def log_message(self, *args):
        pass


def register(monkeypatch, port, zips=ZIPS):
    """Makes the builder take the tiny zips at this port for the official ones."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    infos = {}
    for config in builder.BUILDER_CONFIGS:
        urls = {}
        for key, url in config.download_urls.items():
            name = url.rpartition("/")[2]
            info = next(i for i in builder.url_infos.values() if i.filename == name)
            urls[key] = f"http://127.0.0.1:{port}/{name}"
            infos[urls[key]] = dataclasses.replace(
                info,
                size=type(info.size)(len(zips[name])),
                checksum=hashlib.sha256(zips[name]).hexdigest(),
            )
        monkeypatch.setattr(config, "download_urls", urls)
    monkeypatch.setattr(builder, "url_infos", infos)


@pytest.fixture
def server(monkeypatch):
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        register(monkeypatch, server.server_port)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        register(monkeypatch, free.getsockname()[1])


def put(path, *names):
    (path / "div2k").mkdir(exist_ok=True)
    for name in names:
        (path / "div2k" / name).write_bytes(ZIPS[name])


def check(dataset):
    """Whether it is the train split at scale 4."""
    assert dataset.names == ["0001", "0002"]
    for i, name in enumerate((1, 2)):
        lr, hr = dataset[i]
        np.testing.assert_array_equal(hr, noise(name, 24, 48))
        np.testing.assert_array_equal(lr, noise(name, 6, 12))


def test_zip_files_of_the_split_are_downloaded_once(
    server, tmp_path, capsys, monkeypatch
):
    dataset = div2k(4, path=tmp_path)
    check(dataset)
    assert sorted(server.requests) == [(HR, 0), (LR, 0)]
    assert f"Downloading {HR} (0 MB) to {tmp_path / 'div2k'}" in capsys.readouterr().out
    decode(dataset, tmp_path / "cache")

    def fail(*args):
        raise AssertionError("this is done already")

    for file in (tmp_path / "div2k").glob("*.zip"):
        file.unlink()  # they are of no more use
    monkeypatch.setattr(files, "check_digest", fail)
    monkeypatch.setattr(images, "read", fail)
    check(decode(div2k(4, path=tmp_path), tmp_path / "cache"))
    assert len(server.requests) == 2
    assert capsys.readouterr().out == ""


def test_it_is_stored_in_the_data_folder(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(tmp_path))
    check(open_data("div2k", 4))
    assert (tmp_path / "div2k" / HR).is_file()
    monkeypatch.delenv("SR_KERAS_DATA")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "div2k").rename("data/div2k")
    check(div2k(4))
    assert len(server.requests) == 2


def test_a_degradation_needs_the_hr_photos_only(server, tmp_path):
    dataset = div2k(3, path=tmp_path, degradation="drop")
    assert server.requests == [(HR, 0)]
    np.testing.assert_array_equal(dataset[1][0], noise(2, 24, 48)[::3, ::3])
    with pytest.raises(ValueError, match="`track` and `degradation` cannot be comb"):
        div2k(4, track="unknown", path=tmp_path, degradation="drop")


def test_another_scale_downloads_its_lr_zip_only(server, tmp_path):
    div2k(4, path=tmp_path)
    assert div2k(8, path=tmp_path)[1][0].shape == (3, 6, 3)
    assert server.requests[2:] == [("DIV2K_train_LR_x8.zip", 0)]


@pytest.mark.parametrize(
    "track, scale",
    [
        *(("bicubic", scale) for scale in (2, 3, 4, 8)),
        *(("unknown", scale) for scale in (2, 3, 4)),
        *((f"realistic_{name}", 4) for name in ("mild", "difficult", "wild")),
    ],
)
def test_every_track_is_found_if_downloaded_by_hand(track, scale, no_network, tmp_path):
    put(tmp_path, *ZIPS)
    lr, hr = div2k(scale, "validation", track, tmp_path)[0]
    np.testing.assert_array_equal(hr, noise(801, 24, 48))
    np.testing.assert_array_equal(lr, noise(801, 24 // scale, 48 // scale))
    assert len(list((tmp_path / "div2k" / "extracted").iterdir())) == 2


def test_wild_track_has_four_lr_images_of_each_photo(no_network, tmp_path):
    put(tmp_path, HR, "DIV2K_train_LR_wild.zip")
    dataset = div2k(4, track="realistic_wild", path=tmp_path)
    assert dataset.names == [f"000{i}x4w{j}" for i in (1, 2) for j in (1, 2, 3, 4)]
    lr, hr = dataset[6]
    np.testing.assert_array_equal(hr, noise(2, 24, 48))
    np.testing.assert_array_equal(lr, noise(4, 6, 12))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            (3, "train", "realistic_wild"),
            "'realistic_wild_x3' is not .* Did you mean 'realistic_wild_x4'",
        ),
        ((8, "train", "unknown"), "'unknown_x8' is not the name of a track"),
        ((4, "test"), "'test' is not the name of a split"),
    ],
)
def test_unknown_tracks_and_splits_are_refused(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        div2k(*arguments, path=tmp_path)


def test_a_broken_connection_is_resumed(server, tmp_path):
    half = len(ZIPS[HR]) // 2
    server.breaks[HR] = [half]
    check(div2k(4, path=tmp_path))
    assert server.requests == [(HR, 0), (HR, half), (LR, 0)]


def test_a_partial_download_is_kept(server, tmp_path):
    server.breaks[LR] = [100, 100]
    with pytest.raises(ConnectionError, match=f"{LR} cannot be downloaded") as error:
        div2k(4, path=tmp_path)
    assert HR not in str(error.value)
    assert server.requests == [(HR, 0), (LR, 0), (LR, 100)]
    assert not (tmp_path / "div2k" / LR).exists()

    check(div2k(4, path=tmp_path))
    assert server.requests[3:] == [(LR, 100)]


def test_a_server_without_ranges_starts_from_the_beginning(server, tmp_path):
    server.ranges = False
    server.breaks[HR] = [100]
    (tmp_path / "div2k").mkdir()
    part = tmp_path / "div2k" / f"{HR}.part"
    part.write_bytes(b"x" * 200)
    with pytest.raises(ConnectionError, match="the connection broke"):
        div2k(4, path=tmp_path)
    assert part.read_bytes() == ZIPS[HR][:100]
    check(div2k(4, path=tmp_path))


def test_an_interrupted_download_loses_nothing(server, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", 100)
    seen = []

    def interrupt(steps):
        seen.append(len(steps))
        for i in steps:
            if i == 300:
                raise KeyboardInterrupt
            yield i

    with pytest.raises(KeyboardInterrupt):
        div2k(4, path=tmp_path, progress=interrupt)
    assert seen == [-(-len(ZIPS[HR]) // 100)]
    check(div2k(4, path=tmp_path))
    assert server.requests == [(HR, 0), (HR, 300), (LR, 0)]


def test_an_interrupted_extraction_is_repeated(no_network, tmp_path, monkeypatch):
    put(tmp_path, HR, LR)
    extract = zipfile.ZipFile.extract

    def interrupt(self, member, path):
        if member.filename.endswith("0002x4.png"):
            raise KeyboardInterrupt
        return extract(self, member, path)

    with monkeypatch.context() as context:
        context.setattr(zipfile.ZipFile, "extract", interrupt)
        with pytest.raises(KeyboardInterrupt):
            div2k(4, path=tmp_path)
    check(div2k(4, path=tmp_path))


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_corrupt_zip_file_is_named(by_hand, server, tmp_path):
    corrupt = ZIPS[LR][:-1] + b"?"
    put(tmp_path, HR)
    if by_hand:
        (tmp_path / "div2k" / LR).write_bytes(corrupt)
    else:
        server.zips[LR] = corrupt
    with pytest.raises(ValueError, match=f"{LR} is corrupt: ") as error:
        div2k(4, path=tmp_path)
    assert hashlib.sha256(ZIPS[LR]).hexdigest() in str(error.value)
    assert ("Delete it to download it again" in str(error.value)) is by_hand

    (tmp_path / "div2k" / LR).unlink(missing_ok=by_hand is False)
    server.zips[LR] = ZIPS[LR]
    check(div2k(4, path=tmp_path))


def test_a_corrupt_image_is_named(tmp_path, monkeypatch):
    files = {
        "DIV2K_train_HR/0001.png": png(noise(1, 24, 48)),
        "DIV2K_train_HR/0002.png": png(noise(2, 24, 48))[:-200],
    }
    zips = {**ZIPS, HR: zipped(files)}
    register(monkeypatch, 1, zips)
    put(tmp_path, LR)
    (tmp_path / "div2k" / HR).write_bytes(zips[HR])
    dataset = div2k(4, path=tmp_path)
    with pytest.raises(ValueError, match="0002.png"):
        decode(dataset, tmp_path / "cache")
    with pytest.warns(UserWarning, match="Skipping .*0002.png"):
        dataset = decode(dataset, tmp_path / "cache", skip_bad=True)
    assert dataset.names == ["0001"]


def test_without_network_the_error_says_what_to_do_by_hand(no_network, tmp_path):
    started = time.perf_counter()
    with pytest.raises(ConnectionError, match=f"{HR} cannot be downloaded") as error:
        div2k(4, path=tmp_path)
    assert time.perf_counter() - started < 5
    message = str(error.value)
    assert f"put into {tmp_path / 'div2k'}:" in message
    for name in (HR, LR):
        sha256 = hashlib.sha256(ZIPS[name]).hexdigest()
        assert f"{name}, {len(ZIPS[name])} bytes, SHA-256 {sha256}, http" in message

    put(tmp_path, HR)
    with pytest.raises(ConnectionError, match=f"{LR} cannot be downloaded") as error:
        div2k(4, path=tmp_path)
    assert HR not in str(error.value)


def test_a_silent_server_times_out(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        register(monkeypatch, silent.getsockname()[1])
        started = time.perf_counter()
        with pytest.raises(ConnectionError, match="timed out"):
            div2k(4, path=tmp_path)
        assert time.perf_counter() - started < 3


def test_disk_space_is_checked_first(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    needed = 2 * (len(ZIPS[HR]) + len(ZIPS[LR]))
    monkeypatch.setattr(shutil, "disk_usage", lambda p: usage._replace(free=needed - 1))
    with pytest.raises(OSError, match="DIV2K takes 0 MB more in"):
        div2k(4, path=tmp_path)
    assert server.requests == []
    (tmp_path / "div2k" / f"{HR}.part").write_bytes(ZIPS[HR][:1])
    check(div2k(4, path=tmp_path))


def test_official_zip_files():
    info = builder.url_infos[f"https://data.vision.ee.ethz.ch/cvl/DIV2K/{HR}"]
    assert (info.size, info.filename) == (3_530_603_713, HR)
    assert info.checksum.startswith("9d0b9c463f6e35b6")
    assert len(builder.BUILDER_CONFIGS) == 10
