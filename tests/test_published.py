"""Checkpoints of others: read without executing them, and converted exactly."""

import collections
import io
import os
import pickle
import sys
import zipfile

import keras
import numpy as np
import pytest

from sr_keras import models, published


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


class FakeStorage:
    def __init__(self, kind, key, size):
        self.pid = ("storage", kind, key, "cpu", size)


class Global:
    """Pickles as a reference to something in another module."""

    def __init__(self, name):
        self.name = name


class Pickler(pickle._Pickler):
    """Writes `torch` classes by name, without PyTorch."""

    def persistent_id(self, value):
        return value.pid if isinstance(value, FakeStorage) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Global):
            module, name = value.name.rsplit(".", 1)
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        else:
            super().save(value, save_persistent_id)


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, {})


def _save_tensor(pickler, tensor):
    pickler.save(Global("torch._utils._rebuild_tensor_v2"))
    pickler.save(tensor.arguments)
    pickler.write(pickle.REDUCE)


Pickler.dispatch = {**pickle._Pickler.dispatch, Tensor: _save_tensor}


def pickled(value):
    file = io.BytesIO()
    Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def write(path, content, storages=(), compression=zipfile.ZIP_STORED):
    """Writes the format of PyTorch since 1.6; `content` may be bytes."""
    data = content if isinstance(content, bytes) else pickled(content)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for key, values in enumerate(storages):
            archive.writestr(f"archive/data/{key}", values.tobytes())


def storage(size=6, kind="FloatStorage", key="0"):
    return FakeStorage(Global(f"torch.{kind}"), key, size)


NUMBERS = np.arange(6, dtype="float32")


def test_reads_tensors_with_offsets_and_strides(tmp_path, without_torch):
    tensors = collections.OrderedDict(
        a=Tensor(storage(), 0, (2, 3), (3, 1)),
        transposed=Tensor(storage(), 0, (3, 2), (1, 3)),
        part=Tensor(storage(), 4, (2,), (1,)),
        scalar=Tensor(storage(), 5, (), ()),
        half=Tensor(storage(2, "HalfStorage", "1"), 0, (2,), (1,)),
        count=Tensor(storage(1, "LongStorage", "2"), 0, (1,), (1,)),
    )
    half, count = np.array([0.5, -2], "float16"), np.array([7])
    write(tmp_path / "a.pth", tensors, [NUMBERS, half, count])
    found = published.read_checkpoint(tmp_path / "a.pth")
    assert list(found) == list(tensors)
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["transposed"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["part"], [4, 5])
    np.testing.assert_array_equal(found["scalar"], 5)
    np.testing.assert_array_equal(found["half"], [0.5, -2])
    np.testing.assert_array_equal(found["count"], [7])
    assert found["half"].dtype == "float32"
    assert found["count"].dtype == "int64"


def test_finds_the_weights_and_removes_the_prefix(tmp_path, without_torch):
    weights = {"module.conv.weight": Tensor(storage(), 0, (6,), (1,))}
    for wrapper in ("params", "params_ema", "state_dict"):
        write(tmp_path / "a.pth", {wrapper: weights, "epoch": 3}, [NUMBERS])
        assert list(published.read_checkpoint(tmp_path / "a.pth")) == ["conv.weight"]


def test_reads_the_old_format(tmp_path, without_torch):
    weights = {"a": Tensor(storage(), 0, (2, 3), (3, 1))}
    weights["a"].arguments[0].pid += (None,)
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, weights, ["0"]]
    data = b"".join(map(pickled, parts))
    data += np.int64(6).tobytes() + NUMBERS.tobytes()
    (tmp_path / "old.pth").write_bytes(data)
    found = published.read_checkpoint(tmp_path / "old.pth")
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    (tmp_path / "old.pth").write_bytes(data[:-3])
    with pytest.raises(ValueError, match="old.pth cannot be read as a checkpoint"):
        published.read_checkpoint(tmp_path / "old.pth")


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(marker):
    """Pickles that would write the file `marker`, or change what is read later."""
    touch = f"open({str(marker)!r}, 'w').close()"
    yield "eval", pickle.dumps({"a": Evil(eval, touch)})
    yield "exec", pickle.dumps({"a": Evil(exec, touch)}, protocol=4)
    yield "system", pickle.dumps({"a": Evil(os.system, f"touch {marker}")})
    yield "open", pickle.dumps({"a": Evil(open, str(marker), "w")})
    yield "attribute", b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    yield "load", b"ctorch\nload\n(S'b.pth'\ntR."
    yield "getattr", pickle.dumps({"a": Evil(getattr, {}, "keys")})
    yield "numpy", pickle.dumps({"a": np.ones(3)})
    # dotted names reach into modules that are allowed
    dotted = b"\x8c\x0bcollections\x8c\x0cabc.sys.exit\x93)R."
    yield "dotted", b"\x80\x04" + dotted


@pytest.mark.parametrize("name", [name for name, _ in hostile("x")])
@pytest.mark.parametrize("legacy", [False, True])
def test_hostile_pickles_are_refused(name, legacy, tmp_path, without_torch):
    marker = tmp_path / "executed"
    data = dict(hostile(marker))[name]
    path = tmp_path / "evil.pth"
    if legacy:
        path.write_bytes(data)
    else:
        write(path, data, [NUMBERS])
    for read in (published.read_checkpoint, models.load):
        with pytest.raises(ValueError, match="evil.pth cannot be read.* not allowed"):
            read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(storage(), 0, (7,), (1,)),
        Tensor(storage(), 4, (3,), (1,)),
        Tensor(storage(), -1, (3,), (1,)),
        Tensor(storage(), 0, (2,), (-1,)),
        Tensor(storage(), 0, (2, 3), (100, 1)),
        Tensor(storage(), 0, (10**9, 10**9), (0, 0)),
        Tensor(storage(), 0, (2, 3), (1,)),
        Tensor(storage(), 0.5, (2,), (1,)),
        Tensor(storage(10**12), 0, (10**12,), (1,)),
    ],
)
def test_tensors_outside_their_storage_are_refused(tensor, tmp_path, without_torch):
    write(tmp_path / "a.pth", {"a": tensor}, [NUMBERS])
    with pytest.raises(ValueError, match="does not fit the numbers"):
        published.read_checkpoint(tmp_path / "a.pth")


def test_compressed_archives_are_refused(tmp_path, without_torch):
    numbers = np.zeros(10**6, "float32")
    tensor = Tensor(storage(10**6), 0, (10**6,), (1,))
    write(tmp_path / "a.pth", {"a": tensor}, [numbers], zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="its archive is compressed"):
        published.read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [{}, [1], 5, {"a": "text"}, {1: 2}])
def test_other_content_is_refused(content, tmp_path, without_torch):
    write(tmp_path / "a.pth", content)
    with pytest.raises(ValueError, match="a.pth does not hold the weights of a net"):
        published.read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("data", [b"", b"text", b"\x80\x02.", b"PK\x03\x04"])
def test_corrupt_files_are_refused(suffix, data, tmp_path, without_torch):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="broken.* cannot be read as a checkpoint"):
        published.read_checkpoint(path)


def test_wrong_paths_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no checkpoint .*a.pth"):
        published.read_checkpoint(tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"\.safetensors, .pth.* path=.*a.onnx"):
        published.read_checkpoint(tmp_path / "a.onnx")


def test_reads_safetensors(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "a.safetensors"
    numpy.save_file({"a": NUMBERS.astype("float16"), "b": np.arange(3)}, path)
    found = published.read_checkpoint(path)
    np.testing.assert_array_equal(found["a"], NUMBERS)
    assert (found["a"].dtype, found["b"].dtype) == ("float32", "int64")


def test_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match="pip install safetensors"):
        published.read_checkpoint(tmp_path / "a.safetensors")


def test_pytorch_and_the_unpickler_agree(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    weights = {
        "a": torch.arange(6.0).reshape(2, 3).T,
        "half": torch.tensor([0.5, -2]).half(),
        "count": torch.tensor(7),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    for new in (True, False):
        path = tmp_path / "a.pth"
        torch.save({"params": weights}, path, _use_new_zipfile_serialization=new)
        expected = published.read_checkpoint(path)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", None)
            found = published.read_checkpoint(path)
        assert list(found) == list(expected) == list(weights)
        for name in weights:
            np.testing.assert_array_equal(found[name], expected[name])


def checkpoint_of(network):
    """Makes the tensors that the authors' code would save, from a network."""
    config = network.identity["config"]
    layout_keys = {
        "head": "conv_1",
        "body": "conv_2",
        "subpixels": "upsampler.0",
        "block_0_conv1": "block_1.c1_r",
        "block_0_conv2": "block_1.c2_r",
        "block_0_conv3": "block_1.c3_r",
        "block_0_fusion": "block_1.c5",
        "block_0_esa_squeeze": "block_1.esa.conv1",
        "block_0_esa_fine": "block_1.esa.conv_f",
        "block_0_esa_down": "block_1.esa.conv2",
        "block_0_esa_conv": "block_1.esa.conv3",
        "block_0_esa_excite": "block_1.esa.conv4",
    }
    tensors = {}
    for layer, key in layout_keys.items():
        kernel, bias = network.get_layer(layer).get_weights()
        if layer == "head":
            kernel = kernel / 255
        if layer == "subpixels":
            kernel, bias = kernel * 255, bias * 255
            # (..., row, column, channel) to (..., channel, row, column)
            tile = (config["scale"], config["scale"], config["channels"])
            kernel = np.moveaxis(kernel.reshape(*kernel.shape[:3], *tile), 5, 3)
            kernel = kernel.reshape(*kernel.shape[:3], -1)
            bias = np.moveaxis(bias.reshape(tile), 2, 0).ravel()
        tensors[f"{key}.weight"] = kernel.transpose(3, 2, 0, 1)
        tensors[f"{key}.bias"] = bias
    return tensors


def save(path, tensors):
    arrays = [np.ascontiguousarray(value, "float32") for value in tensors.values()]
    content = {}
    for key, (name, array) in enumerate(zip(tensors, arrays, strict=True)):
        strides = [step // 4 for step in array.strides]
        part = storage(array.size, key=str(key))
        content[name] = Tensor(part, 0, array.shape, tuple(strides))
    write(path, content, arrays)


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    model = models.rlfn(3, filters=5, num_blocks=1, attention_filters=4)
    for weight in model.weights:  # biases are 0 at first
        weight.assign_add(keras.random.normal(weight.shape, stddev=0.01))
    return model


def test_rlfn_is_recognized_and_converted(network, tmp_path, without_torch):
    save(tmp_path / "rlfn.pth", checkpoint_of(network))
    loaded = models.load_published(tmp_path / "rlfn.pth")
    assert loaded.identity == network.identity
    lr = np.random.default_rng(0).random((1, 17, 20, 3), "float32")
    np.testing.assert_allclose(loaded(lr), network(lr), atol=1e-6)


def test_a_builder_takes_a_published_file(network, tmp_path, without_torch):
    path = tmp_path / "rlfn.pth"
    save(path, checkpoint_of(network))
    config = {"filters": 5, "num_blocks": 1, "attention_filters": 4}
    loaded = models.rlfn(3, **config, weights=path)
    for ours, theirs in zip(loaded.weights, network.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    with pytest.raises(ValueError, match=r"do not fit rlfn\(scale=3, .*num_blocks=2"):
        models.rlfn(3, **{**config, "num_blocks": 2}, weights=path)
    with pytest.raises(FileNotFoundError, match="absent.pth"):
        models.rlfn(3, weights="absent.pth")


def test_misfits_are_named(network, tmp_path, without_torch):
    path = tmp_path / "rlfn.pth"
    tensors = checkpoint_of(network)
    save(path, {**tensors, "extra.weight": np.ones(1)})
    with pytest.raises(ValueError, match="not fit rlfn: .* such as extra.weight"):
        models.load_published(path)
    save(path, {**tensors, "conv_2.bias": np.ones(3)})
    with pytest.raises(ValueError, match=r"conv_2.bias has the shape \(3,\)"):
        models.load_published(path)
    save(path, {k: v for k, v in tensors.items() if k != "block_1.c5.bias"})
    with pytest.raises(ValueError, match="it has no tensor block_1.c5.bias"):
        models.load_published(path)


def test_unknown_architectures_are_refused(tmp_path, without_torch):
    save(tmp_path / "a.pth", {"conv.weight": np.ones((2, 2, 3, 3))})
    message = (
        "a.pth is not a network that can be loaded. The architecture is not known."
        " Supported are EDSR, .* and SwinIR. Received: 1 tensors, conv.weight"
    )
    with pytest.raises(ValueError, match=message):
        models.load_published(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["rlfn_s_x4", "carn_m", "smfanet_x4_df2k"])
def test_released_files_are_read(name, data_dir, without_torch):
    tensors = published.read_checkpoint(data_dir / "official" / f"{name}.pth")
    count = sum(value.size for value in tensors.values())
    assert count == {"rlfn_s_x4": 470_208}.get(name, count) > 190_000
    assert all(np.isfinite(value).all() for value in tensors.values())
