import csv
import functools
import hashlib
import http.server
import threading

import keras
import numpy as np
import pytest
import skimage.data
import tensorflow as tf

from sr_keras import images, losses, lpips, metrics, published
from sr_keras.degradations import GaussianBlur


def calibration_pair(folder, name):
    return [
        images.read(folder / f"{name}_{kind}.png")[None] for kind in ("ref", "dist")
    ]


def photos(height=64, width=71):
    photo = skimage.data.astronaut()[40 : 40 + height, 180 : 180 + width]
    return photo[None], GaussianBlur(1.5)(photo)[None]


def test_alexnet_gives_the_official_values(data_dir):
    folder = data_dir / "iqa_calibration"
    distance = lpips.Distance("alex", data_dir / "lpips" / "alex.npz")
    with open(folder / "official.csv") as file:
        official = {row.pop("method"): row for row in csv.DictReader(file)}
    for name, expected in official["lpips_alex"].items():
        found = distance(*calibration_pair(folder, name))
        np.testing.assert_allclose(found, [float(expected)], atol=1e-4)


def test_squeezenet_gives_the_values_measured_before(data_dir):
    # There are no official values. These were measured once with the same weights.
    expected = {"I03": 0.730241, "I06": 0.048450}
    distance = lpips.Distance("squeeze", data_dir / "lpips" / "squeeze.npz")
    for name, value in expected.items():
        found = distance(*calibration_pair(data_dir / "iqa_calibration", name))
        np.testing.assert_allclose(found, [value], atol=1e-4)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_extreme_images(data_dir, net, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    distance = lpips.Distance(net)
    for image in (
        np.zeros((2, 31, 34, 3), "float32"),
        np.ones((1, 35, 31, 1), "float32"),
    ):
        np.testing.assert_array_equal(distance(image, image), np.zeros(len(image)))
        assert np.all(np.isfinite(distance(image, 1 - image)))
    grey = photos()[0][..., :1]
    np.testing.assert_array_equal(
        distance(grey, 255 - grey),
        distance(np.repeat(grey, 3, -1), np.repeat(255 - grey, 3, -1)),
    )


def test_metric_is_the_mean_over_images_without_the_border(data_dir):
    path = data_dir / "lpips" / "alex.npz"
    hr, sr = (images.to_float(np.repeat(image, 2, 0)) for image in photos())
    sr[1] = hr[1]
    metric = metrics.LPIPS(weights=path, border=4)
    framed = sr.copy()
    framed[:, :4] = framed[:, :, -4:] = 0
    metric.update_state(hr, framed)
    inner = lpips.Distance("alex", path)(hr[:, 4:-4, 4:-4], sr[:, 4:-4, 4:-4])
    assert inner[0] > 0.1 and inner[1] == 0
    assert float(metric.result()) == pytest.approx(float(inner[0]) / 2, rel=1e-5)

    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert copy.get_config() == metric.get_config()
    assert copy.get_config()["weights"] == str(path)
    copy.update_state(hr, framed)
    assert float(copy.result()) == pytest.approx(float(metric.result()))


def test_the_loss_is_the_distance_and_has_a_gradient(data_dir, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(data_dir))
    hr, sr = (images.to_float(image) for image in photos())
    # black halves, whose features are 0 in many channels
    hr, sr = (np.concatenate([x, np.zeros_like(x)], axis=2) for x in (hr, sr))
    loss = losses.get(("lpips", {"net": "squeeze"}))
    expected = lpips.Distance("squeeze")(hr, sr)
    np.testing.assert_allclose(loss(hr, sr), expected[0], rtol=1e-6)
    assert losses.get("lpips").name == "lpips_loss"

    pixels = tf.Variable(sr)
    with tf.GradientTape() as tape:
        value = loss(hr, pixels)
    gradient = tape.gradient(value, pixels).numpy()
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    better = loss(hr, sr - 0.05 * gradient / np.abs(gradient).max())
    assert float(better) < float(value)

    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    with pytest.raises(ValueError, match="must hold floats in"):
        loss(photos()[0], photos()[1])


def test_weights_that_are_not_the_published_ones(data_dir, tmp_path, monkeypatch):
    with np.load(data_dir / "lpips" / "squeeze.npz") as file:
        arrays = dict(file)
    arrays["lin3"] = arrays["lin3"] * 1.5
    (tmp_path / "lpips").mkdir()
    path = tmp_path / "lpips" / "squeeze.npz"
    np.savez(path, **arrays)
    monkeypatch.setenv("SR_KERAS_DATA", str(tmp_path))
    hr, sr = photos()
    message = "does not contain the published weights .* SHA-256 90c1.* Received: "
    with pytest.raises(ValueError, match=message):
        lpips.Distance("squeeze")(hr, sr)
    with pytest.warns(UserWarning, match=message):
        lpips.Distance("squeeze", path)(hr, sr)


def write_published(data_dir, folder, net, factor=1.0):
    """Writes the two published files from which the arrays of a network come."""
    numbers = {"conv1": 0}
    if net == "alex":
        numbers |= {"conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}
    else:
        numbers |= {"fire1": 3, "fire2": 4, "fire3": 6, "fire4": 7}
        numbers |= {"fire5": 9, "fire6": 10, "fire7": 11, "fire8": 12}
    features, heads = {"classifier.1.bias": np.zeros(3, "float32")}, {}
    with np.load(data_dir / "lpips" / f"{net}.npz") as file:
        for name, array in file.items():
            if name.startswith("lin"):
                heads[f"{name}.model.1.weight"] = factor * array[None, :, None, None]
                continue
            layer, *part, kind = name.split("/")
            key = ".".join(["features", str(numbers[layer]), *part])
            if kind == "kernel":
                array = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
            features[f"{key}.{'weight' if kind == 'kernel' else 'bias'}"] = array
    paths = folder / f"{net}net.safetensors", folder / f"{net}.safetensors"
    published.write_checkpoint(features, paths[0])
    published.write_checkpoint(heads, paths[1])
    return paths


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_the_file_is_made_of_the_published_ones(data_dir, tmp_path, monkeypatch, net):
    paths = write_published(data_dir, tmp_path, net)
    monkeypatch.setenv("SR_KERAS_DATA", str(tmp_path / "data"))
    path = lpips.convert(net, *paths)
    assert path == tmp_path / "data" / "lpips" / f"{net}.npz"
    with np.load(path) as file, np.load(data_dir / "lpips" / path.name) as expected:
        assert sorted(file.files) == sorted(expected.files)
        for name in file.files:
            np.testing.assert_array_equal(file[name], expected[name])
    assert lpips.Distance(net)(*photos()) > 0

    (tmp_path / "other").mkdir()
    other = write_published(data_dir, tmp_path / "other", net, factor=2.0)
    with pytest.raises(ValueError, match="do not hold the published .* Received: "):
        lpips.convert(net, *other, tmp_path / "mine.npz")
    with pytest.raises(ValueError, match="tensor 'features.0.weight' is missing"):
        lpips.convert(net, paths[1], paths[0], tmp_path / "mine.npz")
    assert not (tmp_path / "mine.npz").exists()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_the_published_files_are_downloaded_and_checked(
    data_dir, tmp_path, monkeypatch
):
    site = tmp_path / "site"
    site.mkdir()
    features, heads = write_published(data_dir, site, "squeeze")
    digest = hashlib.sha256(features.read_bytes()).hexdigest()[:8]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{server.server_port}"
        sources = [(f"{url}/{features.name}", digest), (f"{url}/{heads.name}", None)]
        monkeypatch.setitem(lpips._SOURCES, "squeeze", sources)
        path = lpips.download("squeeze", tmp_path / "squeeze.npz")
        sources[0] = (sources[0][0], "0123abcd")
        message = "SHA256 must begin with 0123abcd. Received: "
        with pytest.raises(ValueError, match=message):
            lpips.download("squeeze", tmp_path / "other.npz")
        server.shutdown()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["site", "squeeze.npz"]
    assert lpips.Distance("squeeze", path)(*photos()) > 0


def test_the_digits_in_the_names_of_the_published_files_are_checked():
    for (features, digest), _ in lpips._SOURCES.values():
        assert f"-{digest}.pth" in features and len(digest) == 8


def test_metric_in_a_graph_of_unknown_size(data_dir):
    hr, sr = (images.to_float(image) for image in photos())
    for net in ("alex", "squeeze"):
        distance = lpips.Distance(net, data_dir / "lpips" / f"{net}.npz")
        spec = tf.TensorSpec((None, None, None, 3))
        graph = tf.function(distance, input_signature=(spec, spec))
        np.testing.assert_allclose(graph(hr, sr), distance(hr, sr), rtol=1e-4)


def test_missing_and_wrong_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("SR_KERAS_DATA", str(tmp_path))
    hr = np.zeros((1, 40, 40, 3), "float32")
    metric = metrics.LPIPS("squeeze")
    message = (
        r"weights .*lpips.squeeze.npz. Put squeeze.npz there: .*download\('squeeze'\)"
        "` does, .*SR_KERAS_DATA"
    )
    with pytest.raises(FileNotFoundError, match=message):
        metric.update_state(hr, hr)
    path = tmp_path / "mine.npz"
    np.savez(path, lin0=np.zeros(64))
    with pytest.raises(ValueError, match="LPIPS for 'alex'. Received the arrays: lin0"):
        lpips.Distance("alex", path)(hr, hr)
    path.write_text("no archive")
    with pytest.raises(ValueError, match="mine.npz is not a readable .npz file"):
        lpips.Distance("alex", path)(hr, hr)
    with pytest.raises(ValueError, match="'vgg' is not the name of a network of LPIPS"):
        metrics.LPIPS("vgg")


def test_images_that_do_not_fit():
    distance = lpips.Distance()
    with pytest.raises(ValueError, match="at least 31x31 .*: 30x64"):
        distance(
            np.zeros((1, 30, 64, 3), "float32"), np.zeros((1, 30, 64, 3), "float32")
        )
    with pytest.raises(ValueError, match=r"1 or 3\). Received: \(40, 64, 3\)"):
        distance(np.zeros((40, 64, 3), "float32"), np.zeros((40, 64, 3), "float32"))


@pytest.mark.parametrize("other", [(1, 64, 65, 3), (3, 64, 64, 3), (1, 64, 64, 1)])
def test_pairs_of_different_shapes_are_refused(other):
    message = r"same shape. Received: shapes \(1, 64, 64, 3\) and \("
    with pytest.raises(ValueError, match=message):
        lpips.Distance()(np.zeros((1, 64, 64, 3)), np.zeros(other))
