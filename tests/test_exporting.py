import sys

import keras
import numpy as np
import pytest

from sr_keras import models
from sr_keras.exporting import check, export
from sr_keras.inference import with_precision

PACKAGES = {"onnx": ["tf2onnx", "onnxruntime"], "litert": ["ai_edge_litert"]}

NETWORKS = {
    "srcnn": lambda: models.srcnn(2, filters=(4, 4)),
    "fsrcnn": lambda: models.fsrcnn(3, 8, 4, 1),
    "espcn": lambda: models.espcn(4, filters=(4, 4), bicubic_skip=True),
    "edsr": lambda: models.edsr(3, filters=4, num_blocks=1),
    "unet": lambda: models.unet(1, filters=2, num_levels=2),
    "on_luma": lambda: models.on_luma(models.espcn(2, filters=(4, 4))),
    "bicubic": lambda: models.bicubic(3),
}


@pytest.mark.parametrize(
    ("name", "format"),
    [(name, "onnx") for name in NETWORKS if name != "unet"]
    + [("srcnn", "saved_model"), ("unet", "saved_model")]
    + [("edsr", "litert"), ("fsrcnn", "litert"), ("unet", "litert")],
)
def test_runs_elsewhere_on_images_of_any_size(name, format, tmp_path):
    for package in PACKAGES.get(format, []):
        pytest.importorskip(package)
    model = NETWORKS[name]()
    path = tmp_path / "folder" / "network.any"
    export(model, path, format)
    assert check(model, path, format) < 1e-5
    assert [p.name for p in path.parent.iterdir()] == ["network.any"]


def test_networks_of_lower_precision_are_exported_in_float32(tmp_path):
    model = with_precision(models.edsr(2, filters=4, num_blocks=1), "mixed_bfloat16")
    export(model, tmp_path / "network", "saved_model")
    exact = with_precision(model, "float32")
    assert check(exact, tmp_path / "network", "saved_model") < 1e-6


def test_check_says_how_far_off_the_file_is(tmp_path):
    model = models.bicubic(2)
    export(model, tmp_path / "network", "saved_model")
    inputs = keras.Input((None, None, 3))
    other = keras.Model(inputs, model(inputs) + 0.25, name="other")
    with pytest.raises(ValueError, match="differs from 'other' by up to 0.25; at most"):
        check(other, tmp_path / "network", "saved_model")
    assert check(other, tmp_path / "network", "saved_model", 0.3) == pytest.approx(0.25)


@pytest.mark.parametrize("format", ["onnx", "saved_model"])
def test_check_says_that_a_file_does_not_run(format, tmp_path):
    if format == "onnx":
        pytest.importorskip("onnxruntime")
    (tmp_path / "network").write_text("no network")
    with pytest.raises(RuntimeError, match=f"network does not run as {format}: "):
        check(models.nearest(2), tmp_path / "network", format)


def test_a_failed_export_leaves_what_was_there(tmp_path, monkeypatch):
    model = models.nearest(2)
    path = tmp_path / "network"
    path.write_text("former")

    def fail(temporary, **kwargs):
        temporary.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(model, "export", fail)
    with pytest.raises(OSError, match="disk full"):
        export(model, path, "saved_model")
    assert [p.name for p in tmp_path.iterdir()] == ["network"]
    assert path.read_text() == "former"


def test_no_folder_is_overwritten(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(FileExistsError, match="photos is a folder that exists"):
        export(models.nearest(2), tmp_path / "photos", "saved_model")


@pytest.mark.parametrize("call", [export, check])
def test_unknown_formats_are_refused(call, tmp_path):
    with pytest.raises(
        ValueError, match="one of onnx, saved_model, litert. Received: h5"
    ):
        call(models.nearest(2), tmp_path / "network", "h5")


@pytest.mark.parametrize(
    ("call", "package"), [(export, "tf2onnx"), (check, "onnxruntime")]
)
def test_says_which_extra_is_missing(call, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=rf"{package} .* pip install sr_keras\[export\]"
    ):
        call(models.nearest(2), tmp_path / "network", "onnx")
    assert not list(tmp_path.iterdir())


def test_the_default_is_onnx(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    export(models.nearest(2), tmp_path / "network")
    shape = onnx.load(tmp_path / "network").graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [0, 0, 0, 3]  # 0: any size
    np.testing.assert_equal(len(shape.dim), 4)


def test_a_network_of_two_inputs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one input and one output. Received: 2 and 1"):
        export(models.vae_decoder(2, filters=4, num_blocks=1), tmp_path / "x.onnx")
