import sys

import keras
import numpy as np
import pytest
from keras import layers, ops
from tiny_networks import NETWORKS, tiny

from sr_keras import exporting, models
from sr_keras.exporting import check, export
from sr_keras.layers import BilinearUpsampling, NearestUpsampling
from sr_keras.precision import with_precision

PACKAGES = {"onnx": ["tf2onnx", "onnxruntime"], "litert": ["ai_edge_litert"]}
# Networks that are exported in every run of the tests, the others only in full ones.
MARKS = dict.fromkeys(["espcn", "fsrcnn", "lapsrn", "unet"], ())


def require(format):
    for package in PACKAGES.get(format, []):
        pytest.importorskip(package)


def network(*parts, name=None):
    x = inputs = keras.Input((None, None, 4))
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x, name=name)


@pytest.mark.parametrize("format", ["onnx", "litert"])
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=MARKS.get(name, pytest.mark.slow)) for name in NETWORKS],
)
def test_every_network_runs_elsewhere_on_images_of_any_size(name, format, tmp_path):
    require(format)
    keras.utils.set_random_seed(0)
    model = tiny(name)
    path = tmp_path / "folder" / "network.any"
    assert export(model, path, format) < 1e-5
    assert [p.name for p in path.parent.iterdir()] == ["network.any"]


def test_a_file_that_the_converter_got_wrong_is_written_again(tmp_path, monkeypatch):
    require("onnx")
    results = [ValueError("another shape"), ValueError("another shape"), 0.0]

    def check(*args):
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(exporting, "_check_or_warn", check)
    assert export(tiny("espcn"), tmp_path / "a.onnx") == 0.0 and results == []
    results += [ValueError("another shape")] * 3
    with pytest.raises(ValueError, match="another shape"):
        export(tiny("espcn"), tmp_path / "b.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("build", "format"),
    [
        (lambda: models.on_luma(models.espcn(2, filters=(4, 4))), "onnx"),
        (lambda: models.on_luma(models.espcn(2, filters=(4, 4))), "litert"),
        (lambda: tiny("rrdb", unshuffle=2), "onnx"),
        (lambda: tiny("rrdb", unshuffle=2), "litert"),
        (lambda: tiny("swinir", variant="real", bottleneck=True), "saved_model"),
        (lambda: models.bicubic(3), "onnx"),
        (lambda: tiny("unet", scale=3), "saved_model"),
    ],
)
def test_other_networks_run_elsewhere(build, format, tmp_path):
    require(format)
    assert export(build(), tmp_path / "network", format) < 1e-5


def test_a_network_is_exported_by_its_name(tmp_path):
    assert export("espcn-x2-bsds", tmp_path / "network", "saved_model") < 1e-5
    with pytest.raises(ValueError, match="='onxn'. Did you mean 'onnx'"):
        export("espcn-x2-bsds", tmp_path / "network", "onxn")


# What the docstring of `export` says, and what it recommends instead.
REFUSED = {
    "exact gelu": (lambda x: ops.gelu(x, approximate=False), "onnx", "Erfc"),
    "groups": (layers.Conv2D(4, 3, padding="same", groups=4), "onnx", "INVALID_GRAPH"),
    "roll": (lambda x: ops.roll(x, 1, axis=1), "litert", "cannot: Roll"),
    "upsampling": (
        lambda x: layers.Conv2D(4, 3)(layers.UpSampling2D(2)(x)),
        "litert",
        "cannot: Conv2D",
    ),
}
ACCEPTED = {
    "approximate gelu": lambda x: keras.activations.gelu(x, approximate=True),
    "a roll of slices": lambda x: ops.concatenate([x[:, -1:], x[:, :-1]], axis=1),
    "nearest": lambda x: layers.Conv2D(4, 3)(NearestUpsampling(2)(x)),
    "bilinear": BilinearUpsampling(2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_no_runtime_loads_is_not_left_behind(name, tmp_path):
    part, format, message = REFUSED[name]
    require(format)
    (tmp_path / "network").write_text("previous")
    with pytest.raises(RuntimeError, match=f"'mine' cannot be exported.*{message}"):
        export(network(part, name="mine"), tmp_path / "network", format)
    assert [p.name for p in tmp_path.iterdir()] == ["network"]
    assert (tmp_path / "network").read_text() == "previous"


@pytest.mark.parametrize("format", ["onnx", "litert"])
@pytest.mark.parametrize("name", ACCEPTED)
def test_the_recommended_layers_are_exported(name, format, tmp_path):
    require(format)
    assert export(network(ACCEPTED[name]), tmp_path / "network", format) < 1e-5


def test_flex_operations_are_found_without_a_runtime(tmp_path, monkeypatch):
    monkeypatch.setitem(exporting._OPENERS, "litert", lambda path: 1 / 0)
    model = network(lambda x: ops.roll(x, 1, axis=1))
    with pytest.raises(RuntimeError, match="The file has operations that only Tensor"):
        export(model, tmp_path / "network", "litert")
    assert not list(tmp_path.iterdir())


def test_without_a_runtime_a_warning_says_that_the_file_was_not_run(
    tmp_path, monkeypatch
):
    pytest.importorskip("tf2onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.warns(UserWarning, match="was not run.*onnxruntime is needed"):
        assert export(models.nearest(2), tmp_path / "network", "onnx") is None
    assert (tmp_path / "network").is_file()


def test_a_file_with_other_outputs_is_not_left_behind(tmp_path, monkeypatch):
    def halve(path):
        return lambda lr: lr * 0.5

    monkeypatch.setitem(exporting._OPENERS, "saved_model", halve)
    with pytest.raises(
        ValueError, match="'bicubic' cannot be.*differs .* by up to 0.5"
    ):
        export(models.bicubic(1), tmp_path / "network", "saved_model")
    assert not list(tmp_path.iterdir())


def test_the_tolerance_grows_with_the_outputs(tmp_path):
    model = models.bicubic(2)
    export(model, tmp_path / "network", "saved_model")
    inputs = keras.Input((None, None, 3))
    large = keras.Model(inputs, model(inputs) * 1e4)
    other = keras.Model(inputs, model(inputs) * 1e4 + 0.25)
    export(large, tmp_path / "large", "saved_model")
    assert 0.2 < check(other, tmp_path / "large", "saved_model") < 0.3


class Trained(keras.Model):
    def __init__(self, attribute, upscaler):
        super().__init__()
        setattr(self, attribute, upscaler)


@pytest.mark.parametrize("attribute", ["generator", "upscaler"])
def test_the_upscaler_of_a_gan_or_vae_is_exported(attribute, tmp_path):
    model = Trained(attribute, models.bicubic(2))
    export(model, tmp_path / "network", "saved_model")
    assert check(model, tmp_path / "network", "saved_model") < 1e-6
    assert check(models.bicubic(2), tmp_path / "network", "saved_model") < 1e-6


def test_a_model_that_is_not_a_graph_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a functional or built sequential"):
        export(Trained("other", models.bicubic(2)), tmp_path / "network")


def test_networks_of_lower_precision_are_exported_in_float32(tmp_path):
    model = with_precision(models.edsr(2, filters=4, num_blocks=1), "mixed_bfloat16")
    export(model, tmp_path / "network", "saved_model")
    exact = with_precision(model, "float32")
    assert check(exact, tmp_path / "network", "saved_model") < 1e-6


def test_check_reports_the_largest_difference(tmp_path):
    model = models.bicubic(2)
    export(model, tmp_path / "network", "saved_model")
    inputs = keras.Input((None, None, 3))
    other = keras.Model(inputs, model(inputs) + 0.25, name="other")
    with pytest.raises(ValueError, match="differs from 'other' by up to 0.25; at most"):
        check(other, tmp_path / "network", "saved_model")
    assert check(other, tmp_path / "network", "saved_model", 0.3) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sr: sr * np.nan, "network or 'nearest' returns NaN or infinite values"),
        (
            lambda sr: sr[:, :1],
            r"same shape.* shapes \(1, 1, 90, 3\) and \(1, 62, 90, 3\)",
        ),
    ],
    ids=["NaN", "another shape"],
)
def test_check_refuses_outputs_that_cannot_be_compared(
    change, message, tmp_path, monkeypatch
):
    def open_runtime(path, format):
        return lambda lr: change(lr.repeat(2, axis=1).repeat(2, axis=2))

    monkeypatch.setattr(exporting, "open_runtime", open_runtime)
    with pytest.raises(ValueError, match=message):
        check(models.nearest(2), tmp_path / "network", "saved_model")


@pytest.mark.parametrize("format", ["onnx", "saved_model"])
def test_check_reports_a_file_that_does_not_run(format, tmp_path):
    if format == "onnx":
        pytest.importorskip("onnxruntime")
    (tmp_path / "network").write_text("not a network")
    with pytest.raises(RuntimeError, match=f"network does not run as {format}: "):
        check(models.nearest(2), tmp_path / "network", format)


def test_a_failed_export_leaves_what_was_there(tmp_path, monkeypatch):
    model = models.nearest(2)
    path = tmp_path / "network"
    path.write_text("previous")

    def fail(temporary, **kwargs):
        temporary.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(model, "export", fail)
    with pytest.raises(OSError, match="disk full"):
        export(model, path, "litert")
    assert [p.name for p in tmp_path.iterdir()] == ["network"]
    assert path.read_text() == "previous"


def test_a_saved_model_needs_the_path_of_a_new_folder(tmp_path, monkeypatch):
    model = models.nearest(2)
    (tmp_path / "network").write_text("previous")
    monkeypatch.setattr(model, "export", None)  # not called
    with pytest.raises(FileExistsError, match="network exists; .* a new folder"):
        export(model, tmp_path / "network", "saved_model")
    assert (tmp_path / "network").read_text() == "previous"


def test_an_existing_folder_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(FileExistsError, match="photos is an existing folder"):
        export(models.nearest(2), tmp_path / "photos", "saved_model")


@pytest.mark.parametrize("call", [export, check])
def test_unknown_formats_are_refused(call, tmp_path):
    with pytest.raises(
        ValueError, match='"saved_model" or "litert". Received: format=\'h5\''
    ):
        call(models.nearest(2), tmp_path / "network", "h5")


@pytest.mark.parametrize(
    ("call", "package"), [(export, "tf2onnx"), (check, "onnxruntime")]
)
def test_a_missing_package_is_named(call, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=rf"{package} .* pip install sr_keras\[export\]"
    ):
        call(models.nearest(2), tmp_path / "network", "onnx")
    assert not list(tmp_path.iterdir())


def test_the_default_format_is_onnx(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    export(models.nearest(2), tmp_path / "network")
    shape = onnx.load(tmp_path / "network").graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [0, 0, 0, 3]  # 0: any size


def test_a_network_of_two_inputs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one input and one output. Received: 2 and 1"):
        export(models.vae_decoder(2, filters=4, num_blocks=1), tmp_path / "x.onnx")
