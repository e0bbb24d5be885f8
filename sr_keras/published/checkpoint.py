"""Checkpoint files of PyTorch projects, read without executing anything in them."""

import collections
import dataclasses
import io
import math
import pathlib
import pickle
import struct
import zipfile

import numpy as np

from sr_keras import files

_WRAPPERS = ("params_ema", "params", "state_dict", "model")
# Storage classes of PyTorch, and how their values lie in the file.
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read_checkpoint(path):
    """Reads the tensors of a checkpoint without executing anything in it.

    `.pth` files are read by `torch.load` in its safe mode if PyTorch is installed, and
    otherwise by an unpickler that only accepts dictionaries and tensors.

    Args:
        path: Path of a `.safetensors`, `.pth`, `.pt` or `.ckpt` file.

    Returns:
        A dictionary from names to arrays, floats as float32. If the checkpoint holds
        the weights under "params_ema", "params", "state_dict" or "model", these are
        returned. The prefix "module." of `torch.nn.DataParallel` is removed.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has another suffix, cannot be read, or holds anything
            but tensors, dictionaries and plain values.
        ImportError: If a package is missing that the format needs.
    """
    path = pathlib.Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"A checkpoint must be a file of type {', '.join(SUFFIXES)}. Received:"
            f" path={path}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}")
    try:
        read = _read_safetensors if path.suffix == ".safetensors" else _read_pth
        content = read(path)
    except ImportError:
        raise
    except Exception as error:  # a corrupt file raises anything
        raise ValueError(f"{path} cannot be read as a checkpoint: {error}") from error
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    is_weights = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, np.ndarray)
        for name, value in content.items()
    )
    if not content or not is_weights:
        raise ValueError(f"{path} does not hold the weights of a network.")
    return {
        name.removeprefix("module."): _as_float32(value)
        for name, value in content.items()
    }


def _as_float32(value):
    is_float = np.issubdtype(value.dtype, np.floating) or value.dtype.kind == "V"
    return value.astype("float32") if is_float else value


def write_checkpoint(tensors, path):
    """Writes tensors to a `.safetensors` file.

    Args:
        tensors: Dictionary from names to arrays.
        path: Where to write; must end in `.safetensors`.

    Raises:
        ValueError: If the path ends otherwise.
        ImportError: If the package safetensors is missing.
    """
    path = pathlib.Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"`path` must end in .safetensors. Received: path={path}")
    save_file = _safetensors().save_file
    with files.replacing(path) as temporary:
        # the format does not store strides
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, temporary)


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "The package safetensors is needed: pip install safetensors"
        ) from error
    return safetensors.numpy


def _read_safetensors(path):
    return _safetensors().load_file(path)


def _read_pth(path):
    try:
        import torch
    except ImportError:
        return _read_without_torch(path)

    def convert(value):
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        if isinstance(value, torch.Tensor):
            value = value.detach()
            return (value.float() if value.is_floating_point() else value).numpy()
        return value

    return convert(torch.load(path, map_location="cpu", weights_only=True))


@dataclasses.dataclass
class _Storage:
    """Numbers that tensors refer to. In old files they follow after the tensors."""

    dtype: np.dtype
    size: int
    values: np.ndarray | None = None


@dataclasses.dataclass
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple

    def resolve(self):
        """Returns the array, after checking that it lies inside its storage."""
        values = self.storage.values
        numbers = (self.offset, *self.shape, *self.strides)
        is_valid = (
            isinstance(values, np.ndarray)
            and all(isinstance(number, int) and number >= 0 for number in numbers)
            and len(self.shape) == len(self.strides)
            and math.prod(self.shape) <= values.size
        )
        pairs = zip(self.shape, self.strides, strict=False)
        last = self.offset + sum((length - 1) * step for length, step in pairs)
        if not is_valid or (0 not in self.shape and last >= values.size):
            raise ValueError("a tensor does not fit the numbers that it refers to")
        strides = [step * values.itemsize for step in self.strides]
        values = values[self.offset :]
        return np.lib.stride_tricks.as_strided(values, self.shape, strides).copy()


class _Unpickler(pickle.Unpickler):
    """Makes dictionaries, plain values and `_Tensor`s; refuses everything else."""

    def __init__(self, file, storage):
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # made anew, so that a file cannot change what the next one gets
            return lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, shape, strides
            )
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in it")

    def persistent_load(self, pid):
        kind, storage_type, key, _, size, *_ = pid
        if kind != "storage" or not isinstance(size, int):
            raise pickle.UnpicklingError(f"it refers to {kind!r}")
        return self._storage(str(key), np.dtype(_STORAGES[storage_type]), size)


def _read_without_torch(path):
    if zipfile.is_zipfile(path):
        content = _read_zip(path)
    else:
        with open(path, "rb") as file:
            content = _read_legacy(file)

    def resolve(value, depth=0):
        if depth > 100:
            raise ValueError("its dictionaries are nested too deeply")
        if isinstance(value, dict):
            return {key: resolve(item, depth + 1) for key, item in value.items()}
        return value.resolve() if isinstance(value, _Tensor) else value

    return resolve(content)


def _read_zip(path):
    """Reads the format of PyTorch since 1.6: a pickle and a file for each storage."""
    with zipfile.ZipFile(path) as archive:
        files = {info.filename: info for info in archive.infolist()}
        # PyTorch does not compress; a compressed member could be a zip bomb
        if any(info.compress_type != zipfile.ZIP_STORED for info in files.values()):
            raise ValueError("its archive is compressed")
        (main,) = [name for name in files if name.endswith("/data.pkl")]
        folder = main.removesuffix("data.pkl")
        if f"{folder}byteorder" in files:
            if archive.read(f"{folder}byteorder") != b"little":
                raise ValueError("its numbers are big-endian")
        storages = {}

        def storage(key, dtype, size):
            if key not in storages:
                values = np.frombuffer(archive.read(f"{folder}data/{key}"), dtype)
                storages[key] = _Storage(dtype, size, values[:size])
            return storages[key]

        return _Unpickler(io.BytesIO(archive.read(main)), storage).load()


def _read_legacy(file):
    """Reads the format of PyTorch before 1.6: five pickles, then all storages."""
    storages = {}

    def storage(key, dtype, size):
        return storages.setdefault(key, _Storage(dtype, size))

    def load():
        return _Unpickler(file, storage).load()

    if load() != _LEGACY_MAGIC:
        raise ValueError("it is not a file of PyTorch")
    load()  # version of the format
    load()  # properties of the machine that wrote it
    content = load()
    for key in load():
        known = storages[str(key)]
        (size,) = struct.unpack("<q", file.read(8))
        if size != known.size:
            raise ValueError("a storage has another size than its tensors expect")
        known.values = np.frombuffer(
            file.read(size * known.dtype.itemsize), known.dtype
        )
    return content
