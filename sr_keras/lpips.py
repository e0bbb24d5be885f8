"""LPIPS: the distance of images in the features of a classification network.

The weights are not part of the package. `download` fetches them once, and `convert`
makes them of files that are on the machine. A file `alex.npz` or `squeeze.npz` contains
the convolutions of torchvision's AlexNet or SqueezeNet 1.1, with kernels transposed to
`(height, width, in, out)`, and the linear heads of LPIPS v0.1 as vectors:

    conv1/kernel, conv1/bias, ..., conv5/kernel, conv5/bias, lin0, ..., lin4

or, for SqueezeNet, `conv1`, `fire1/squeeze`, `fire1/expand1x1`, `fire1/expand3x3`, ...,
`fire8/expand3x3`, each with kernel and bias, and lin0, ..., lin6.
"""

import functools
import hashlib
import os
import pathlib
import tempfile
import warnings
import zipfile

import numpy as np
from keras import ops

from sr_keras import files, published
from sr_keras import images as pixels
from sr_keras.checks import check_name

SMALLEST = 31  # side of an image from which pooling leaves at least one pixel

_MEAN = np.array([-0.030, -0.088, -0.188], "float32")
_DEVIATION = np.array([0.458, 0.448, 0.450], "float32")

# Shape of the first kernel and filters of the last layer, which tell files apart.
_NETS = {"alex": ((11, 11, 3, 64), 5, 256), "squeeze": ((3, 3, 3, 64), 7, 512)}


# SHA-256 of the names and the float32 values of all arrays, in the order of the names.
_SHA256 = {
    "alex": "449301e4a90aee97ab00f55f7d038db0c2e63a54e09bd51b95325a235838cdd6",
    "squeeze": "90c1895a30111c2182c8bcecdf3b6d23ed49a9202861cfbce6bdee6313f9c362",
}

# Where torchvision's features and the heads are published, with the first digits of the
# SHA-256. Those of the heads are not published; `_SHA256` covers their values.
_TORCHVISION = "https://download.pytorch.org/models"
_HEADS = (
    "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/"
    "weights/v0.1"
)
_SOURCES = {
    "alex": [
        (f"{_TORCHVISION}/alexnet-owt-7be5be79.pth", "7be5be79"),
        (f"{_HEADS}/alex.pth", None),
    ],
    "squeeze": [
        (f"{_TORCHVISION}/squeezenet1_1-b8a52dc0.pth", "b8a52dc0"),
        (f"{_HEADS}/squeeze.pth", None),
    ],
}
# Names of the layers here, and the numbers that torchvision's `features` have.
_ALEX_LAYERS = {f"conv{i}": n for i, n in enumerate((0, 3, 6, 8, 10), 1)}
_FIRES = {f"fire{i}": n for i, n in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 1)}


class Distance:
    """Computes the LPIPS v0.1 of pairs of images.

    The features of five layers of AlexNet (or seven of SqueezeNet) are divided by their
    norm over channels. Their squared differences are weighted by learned heads,
    averaged over space, and added. Everything is computed in float32, whatever the
    precision policy. The weights are read at the first call.

    Args:
        net: "alex" or "squeeze".
        weights: Path of an `.npz` file. None takes `lpips/alex.npz` (or
            `lpips/squeeze.npz`) in the folder that the environment variable
            `SR_KERAS_DATA` names, or in `data` if it is not set.

    Raises:
        ValueError: If there is no such network.

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1801.03924)
    """

    def __init__(self, net="alex", weights=None):
        check_name("a network of LPIPS", net, _NETS)
        self.net = net
        self.weights = None if weights is None else str(weights)

    @property
    def path(self):
        """Path of the file of weights."""
        if self.weights is not None:
            return pathlib.Path(self.weights)
        root = pathlib.Path(os.environ.get("SR_KERAS_DATA") or "data")
        return root / "lpips" / f"{self.net}.npz"

    @functools.cached_property
    def arrays(self):
        """Dict of the arrays in the file of weights.

        Raises:
            FileNotFoundError: If there is no file. The message says where to put it.
            ValueError: If the file is not readable or belongs to another network, or
                if one that was found by its name differs from the published weights.

        Warns:
            UserWarning: If a file that was named by `weights` differs from them.
        """
        path = self.path
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no file of LPIPS weights {path}. Put {self.net}.npz there:"
                f" `sr_keras.lpips.download({self.net!r})` does, and without internet"
                " `sr_keras.lpips.convert` of the published files. Or set the"
                " environment variable SR_KERAS_DATA to the folder with"
                f" lpips/{self.net}.npz in it, or pass the path of the file as"
                " `weights`."
            )
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a readable .npz file: {error}") from error
        kernel, num_heads, filters = _NETS[self.net]
        first = arrays.get("conv1/kernel", np.empty(0))
        last = arrays.get(f"lin{num_heads - 1}", np.empty(0))
        if first.shape != kernel or last.shape != (filters,):
            raise ValueError(
                f"{path} does not contain the weights of LPIPS for {self.net!r}."
                f" Received the arrays: {', '.join(sorted(arrays)) or 'none'}"
            )
        received = _sha256(arrays)
        if received != _SHA256[self.net]:
            message = (
                f"{path} does not contain the published weights of LPIPS v0.1, whose"
                f" arrays have the SHA-256 {_SHA256[self.net]}. Received: {received}"
            )
            if self.weights is None:
                raise ValueError(message)
            warnings.warn(message, stacklevel=2)
        return arrays

    def __call__(self, y_true, y_pred):
        """Computes the distance of each pair of images.

        Args:
            y_true: `(batch, height, width, 1 or 3)`, float in [0, 1], uint8 or uint16;
                at least 31 x 31 pixels. Grey images are repeated as RGB.
            y_pred: The same shape.

        Returns:
            `(batch,)`, float32; 0 for equal images, also for black and flat ones.

        Raises:
            ValueError: If the images have another shape, differ in shape or are too
                small, or the file of weights is not that of the network.
            FileNotFoundError: If there is no file of weights.
        """
        _check_same_shape(y_true, y_pred)
        forward = self._alex if self.net == "alex" else self._squeeze
        total = 0.0
        features = zip(
            forward(_preprocess(y_true)), forward(_preprocess(y_pred)), strict=True
        )
        for i, (a, b) in enumerate(features):
            difference = (_normalize(a) - _normalize(b)) ** 2
            weighted = ops.sum(difference * self._tensor(f"lin{i}"), axis=-1)
            total += ops.mean(ops.mean(weighted, axis=-1), axis=-1)
        return total

    def _tensor(self, name):
        return ops.convert_to_tensor(self.arrays[name], "float32")

    def _conv(self, x, name, strides=1, padding=0):
        if padding:
            x = ops.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
        kernel, bias = self._tensor(f"{name}/kernel"), self._tensor(f"{name}/bias")
        x = ops.conv(x, kernel, strides, "valid", data_format="channels_last")
        return ops.relu(x + bias)

    def _alex(self, x):
        x = self._conv(x, "conv1", strides=4, padding=2)
        yield x
        x = self._conv(_max_pool(x), "conv2", padding=2)
        yield x
        x = self._conv(_max_pool(x), "conv3", padding=1)
        yield x
        for name in ("conv4", "conv5"):
            x = self._conv(x, name, padding=1)
            yield x

    def _squeeze(self, x):
        x = self._conv(x, "conv1", strides=2)
        yield x
        for first, second in ((1, 2), (3, 4)):
            x = self._fire(_max_pool_ceil(x), f"fire{first}")
            x = self._fire(x, f"fire{second}")
            yield x
        x = _max_pool_ceil(x)
        for i in (5, 6, 7, 8):
            x = self._fire(x, f"fire{i}")
            yield x

    def _fire(self, x, name):
        x = self._conv(x, f"{name}/squeeze")
        expanded = [
            self._conv(x, f"{name}/expand1x1"),
            self._conv(x, f"{name}/expand3x3", padding=1),
        ]
        return ops.concatenate(expanded, axis=-1)


def download(net="alex", path=None):
    """Downloads the published weights of LPIPS v0.1 and writes the file of a network.

    Torchvision's file (233 MiB for AlexNet, 5 MiB for SqueezeNet) and that of the heads
    are checked, converted and deleted.

    Args:
        net: "alex" or "squeeze".
        path: Where to write the `.npz` file. None for where `Distance` finds it.

    Returns:
        The path.

    Raises:
        OSError: If a file cannot be downloaded.
        ValueError: If there is no such network, or a file is not the published one.
    """
    check_name("a network of LPIPS", net, _NETS)
    with tempfile.TemporaryDirectory(prefix="sr_keras-") as folder:
        found = []
        for url, digest in _SOURCES[net]:
            found.append(pathlib.Path(folder) / url.rsplit("/", 1)[1])
            files.download(url, found[-1], digest)
        return convert(net, *found, path=path)


def convert(net, features, heads, path=None):
    """Writes the file of a network from the two files that were published.

    Both are read without executing anything in them. The SHA-256 of all values must be
    that of LPIPS v0.1.

    Args:
        net: "alex" or "squeeze".
        features: Path of torchvision's weights for ImageNet,
            `alexnet-owt-7be5be79.pth` or `squeezenet1_1-b8a52dc0.pth`.
        heads: Path of the heads, `alex.pth` or `squeeze.pth` in the folder
            `lpips/weights/v0.1` of the authors' repository.
        path: Where to write the `.npz` file. None for where `Distance` finds it.

    Returns:
        The path.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such network, or a file does not hold the weights of
            LPIPS v0.1 for it.
    """
    path = Distance(net, path).path
    tensors = published.read_checkpoint(features), published.read_checkpoint(heads)
    try:
        arrays = _converted(net, *tensors)
    except KeyError as error:
        raise ValueError(
            f"{features} and {heads} are not the two files of LPIPS for {net!r}: the"
            f" tensor {error} is missing."
        ) from error
    received = _sha256(arrays)
    if received != _SHA256[net]:
        raise ValueError(
            f"{features} and {heads} do not hold the published weights of LPIPS v0.1"
            f" for {net!r}, whose arrays have the SHA-256 {_SHA256[net]}. Received:"
            f" {received}"
        )
    with files.replacing(path) as target, open(target, "wb") as file:
        np.savez(file, **arrays)
    return path


def _converted(net, features, heads):
    """Returns the arrays of a network, for the tensors of the two files."""
    if net == "alex":
        layers = _ALEX_LAYERS
    else:
        parts = ("squeeze", "expand1x1", "expand3x3")
        layers = {"conv1": 0}
        layers |= {f"{k}/{x}": f"{n}.{x}" for k, n in _FIRES.items() for x in parts}
    arrays = {}
    for name, number in layers.items():
        kernel = features[f"features.{number}.weight"]
        arrays[f"{name}/kernel"] = kernel.transpose(2, 3, 1, 0)
        arrays[f"{name}/bias"] = features[f"features.{number}.bias"]
    for i in range(_NETS[net][1]):
        arrays[f"lin{i}"] = heads[f"lin{i}.model.1.weight"].ravel()
    return arrays


def _sha256(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name], "<f4").tobytes())
    return digest.hexdigest()


def _max_pool(x):
    return ops.max_pool(x, 3, 2, "valid", data_format="channels_last")


def _max_pool_ceil(x):
    """Pools like PyTorch's `ceil_mode=True`.

    A last window that is incomplete by one row or column counts. What is padded is
    never larger than a feature, because these come after a ReLU.
    """
    return _max_pool(ops.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)]))


def _normalize(features):
    squares = ops.sum(features**2, axis=-1, keepdims=True)
    norm = ops.sqrt(ops.maximum(squares, 1e-30))  # the gradient of a root is inf at 0
    return features / (norm + 1e-10)


def _check_same_shape(y_true, y_pred):
    """Raises a ValueError if two shapes differ in a side that is known."""
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    is_same = len(shapes[0]) == len(shapes[1]) and all(
        a is None or b is None or a == b for a, b in zip(*shapes, strict=True)
    )
    if not is_same:
        raise ValueError(
            "`y_true` and `y_pred` must have the same shape. Received: shapes"
            f" {shapes[0]} and {shapes[1]}"
        )


def _preprocess(images):
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[-1] not in (1, 3):
        raise ValueError(
            "Images must have the shape (batch, height, width, 1 or 3)."
            f" Received: {shape}"
        )
    if any(side is not None and side < SMALLEST for side in shape[1:3]):
        raise ValueError(
            f"LPIPS needs images of at least {SMALLEST}x{SMALLEST} pixels (after"
            f" borders are cut). Received: {shape[1]}x{shape[2]}"
        )
    x = ops.convert_to_tensor(pixels.to_float(images))
    if shape[-1] == 1:
        x = ops.repeat(x, 3, axis=-1)
    return (2.0 * x - 1.0 - _MEAN) / _DEVIATION
