import importlib.util
import time

import keras
import numpy as np
import pytest
import skimage.data

import sr_keras as sr
from sr_keras import engines, exporting, models, processor
from sr_keras.engines import Engine

RUNTIMES = [name for name in engines.ENGINES if name != "keras"]


def need(name):
    package, format = engines._RUNTIMES[name]
    pytest.importorskip(package)
    if format == "onnx":
        pytest.importorskip("tf2onnx")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return models.edsr(2, filters=8, num_blocks=1)


@pytest.mark.parametrize("name", engines.ENGINES)
def test_tiles_of_every_engine_equal_the_whole_image_of_keras(name, network, tmp_path):
    if name != "keras":
        need(name)
    engine = Engine(network, name, cache=tmp_path)
    assert engine.engine == name
    photo = skimage.data.astronaut()[100:153, 200:241] / 255
    expected = sr.upscale(network, photo, tile=None)
    np.testing.assert_allclose(
        sr.upscale(engine, photo, tile=24), expected, atol=1e-3 / 255
    )
    assert sr.receptive_field.receptive_field(
        engine
    ) == sr.receptive_field.receptive_field(network)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_network_is_exported_once_for_its_weights(
    name, network, tmp_path, monkeypatch
):
    need(name)
    first = Engine(network, name, cache=tmp_path)
    monkeypatch.setattr(exporting, "export", None)  # not called again
    lr = np.random.default_rng(0).random((2, 9, 7, 3), "float32")
    np.testing.assert_array_equal(Engine(network, name, cache=tmp_path)(lr), first(lr))
    keras.utils.set_random_seed(1)
    other = keras.models.clone_model(network)  # new weights
    with pytest.raises(TypeError):
        Engine(other, name, cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [first.path.suffix]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_int8_is_near_the_network_and_kept_for_its_photos(name, tmp_path):
    need(name)
    network = models.load("espcn-x3-bsds")
    photo = sr.images.luma(sr.images.to_float(skimage.data.astronaut()))
    photos = [photo[y : y + 96, y : y + 96] for y in (0, 100, 200, 300)]
    engine = Engine(network, name, photos, cache=tmp_path)
    exact = Engine(network, name, cache=tmp_path)
    assert len({*tmp_path.iterdir()}) == 2 and engine.path != exact.path
    lr = np.asarray(photo[None, 50:178, 150:278])
    error = np.mean((engine(lr) - exact(lr)) ** 2)
    assert 1e-9 < error < 1e-4  # 40 dB
    with pytest.raises(ValueError, match=r"\(96 or more, 96 or more, 1\)"):
        Engine(network, name, [photo[:95]], cache=tmp_path)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_weights_have_7_bits_where_onnxruntime_would_overflow(
    name, tmp_path, monkeypatch
):
    need(name)
    onnx = pytest.importorskip("onnx")
    monkeypatch.setattr(processor, "saturates_int8", lambda: True)
    photos = [np.random.default_rng(0).random((96, 96, 1), "float32")]
    engine = Engine(models.load("espcn-x3-bsds"), name, photos, cache=tmp_path)
    arrays = map(onnx.numpy_helper.to_array, onnx.load(engine.path).graph.initializer)
    kernels = [x.astype(int) for x in arrays if x.dtype == np.int8 and x.ndim > 1]
    largest = max(np.abs(x).max() for x in kernels)
    assert largest <= 64 if name == "onnxruntime" else largest > 100


def test_auto_is_the_fastest_and_is_measured_once(network, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "available", lambda: ["keras", "litert"])
    made = []

    class Fake(Engine):
        def __init__(self, model, name, cache):
            made.append(name)
            self.delay = {"keras": 0.02, "litert": 0.0}[name]

        def __call__(self, images):
            time.sleep(self.delay)

    with monkeypatch.context() as patch:
        patch.setattr(engines, "Engine", Fake)
        name, seconds = engines.fastest(network, tmp_path)
        assert name == "litert" and seconds["keras"] >= 0.02
        assert engines.fastest(network, tmp_path) == (name, seconds)
    assert made == ["keras", "litert"]


def test_engines_that_cannot_run_a_network_are_not_chosen(
    network, tmp_path, monkeypatch
):
    monkeypatch.setattr(engines, "available", lambda: ["keras", "litert"])

    def refuse(*args):
        raise RuntimeError

    monkeypatch.setattr(engines, "_exported", refuse)
    assert Engine(network, cache=tmp_path).engine == "keras"


def test_engines_that_are_missing(network, monkeypatch):
    with pytest.raises(ValueError, match="openvino"):
        Engine(network, "openvin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert engines.available() == ["keras"]
    with pytest.raises(ImportError, match=r"sr_keras\[engines\]"):
        Engine(network, "openvino")


def test_an_engine_takes_the_name_of_a_network():
    assert Engine("espcn-x2-bsds", "keras").scale == 2


def test_keras_does_not_quantize(network):
    with pytest.raises(ValueError, match="onnxruntime or openvino"):
        Engine(network, "keras", [np.zeros((96, 96, 3))])


def test_files_are_upscaled_by_an_engine(network, tmp_path, monkeypatch):
    need("litert")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    photo = skimage.data.astronaut()[:24, :30]
    sr.images.write(tmp_path / "photo.png", photo)
    sr.weights.save(network, tmp_path / "tiny.weights.h5")
    model, out = str(tmp_path / "tiny.weights.h5"), tmp_path / "out"
    ((_, target, error),) = sr.inference.upscale_files(
        model, tmp_path / "photo.png", out, engine="litert"
    )
    assert error is None
    expected = sr.upscale(model, photo)
    assert np.abs(sr.images.read(target).astype(int) - expected).max() <= 1
    assert list((tmp_path / "home").rglob("*.tflite"))
    with pytest.raises(ValueError, match="computes in float32"):
        sr.inference.upscale_files(
            model, photo, out, engine="litert", precision="mixed_bfloat16"
        )


def test_an_engine_that_was_uninstalled_is_not_chosen(network, tmp_path, monkeypatch):
    names = ["keras", "litert"]
    monkeypatch.setattr(engines, "available", lambda: names)
    monkeypatch.setattr(engines, "_missing", lambda name: [])
    monkeypatch.setattr(engines, "_exported", lambda *args: tmp_path)
    monkeypatch.setattr(exporting, "open_runtime", lambda *args: lambda lr: lr)
    assert engines.fastest(network, tmp_path)[0] == "litert"
    names.remove("litert")
    name, seconds = engines.fastest(network, tmp_path)
    assert (name, list(seconds)) == ("keras", ["keras"])


def test_auto_with_calibration_is_an_engine_that_computes_in_integers(
    network, tmp_path, monkeypatch
):
    photos = [np.zeros((96, 96, 3))]
    seconds = {"keras": 0.1, "onnxruntime": 0.3, "openvino": 0.2}
    monkeypatch.setattr(engines, "fastest", lambda *args: ("keras", seconds))
    monkeypatch.setattr(engines, "_missing", lambda name: [])
    monkeypatch.setattr(engines, "_exported", lambda *args: tmp_path)
    monkeypatch.setattr(engines, "_open_openvino", lambda path: None)
    assert Engine(network, "auto", photos).engine == "openvino"
    assert Engine(network, "auto").engine == "keras"
    del seconds["onnxruntime"], seconds["openvino"]
    monkeypatch.setattr(engines, "_missing", lambda name: [name])
    with pytest.raises(ImportError, match="The engine onnxruntime needs"):
        Engine(network, "auto", photos)


def test_photos_for_calibration_may_be_rotated(network, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(engines, "_missing", lambda name: [])
    monkeypatch.setattr(engines, "_quantize", lambda *args: seen.append(args[2]))
    monkeypatch.setattr(engines, "_open_openvino", lambda path: None)
    monkeypatch.setattr(exporting, "export", lambda *args: None)
    photo = np.rot90(skimage.data.astronaut()[:100, :110])
    Engine(network, "openvino", [photo], cache=tmp_path)
    ((patch,),) = seen
    np.testing.assert_allclose(patch[0], photo[7:103, 2:98] / 255, atol=1e-6)


def test_an_engine_has_the_scale_of_its_network(network):
    assert models.scale_of(Engine(network, "keras")) == 2
