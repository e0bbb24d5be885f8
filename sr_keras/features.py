"""Features of VGG networks, which losses and metrics compare instead of pixels.

A layer is named "vgg19/block5_conv4": a network, "vgg16" or "vgg19", and a layer by
its name in `keras.applications`, `blockB_convC` or `blockB_pool`. A convolution's
features come after its ReLU; "vgg19/block5_conv4/before_relu" has those before it.
`ALIASES` has the papers' names, to which "/before_relu" may be added as well. Johnson
et al. take VGG16, whose weights are a file of their own: where there is only VGG19,
"vgg19/block3_conv3" stands in for "relu3_3".

Nothing here is a Keras layer, so that no model saves these networks as a part of
itself.
"""

import hashlib
import http.client
import os
import pathlib
import shutil
import sys
import urllib.request
import uuid
import weakref

import h5py
import keras
import numpy as np
from keras import ops

from sr_keras import images as pixels

ALIASES = {
    # SRGAN: the jth convolution before the ith pooling of VGG19
    "VGG22": "vgg19/block2_conv2",
    "VGG54": "vgg19/block5_conv4",
    # Johnson et al., of VGG16
    "relu1_2": "vgg16/block1_conv2",
    "relu2_2": "vgg16/block2_conv2",
    "relu3_3": "vgg16/block3_conv3",
    "relu4_3": "vgg16/block4_conv3",
}

_NUM_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_FILTERS = (64, 128, 256, 512, 512)  # of each block
_MEAN_BGR = np.array([103.939, 116.779, 123.68], "float32")

_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
_FILE = "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
_MD5 = {
    "vgg16": "6d6bbae143d832006294945121d1f1fc",
    "vgg19": "253f8cb515780f3b799900260a226db6",
}
_TIMEOUT = 10  # seconds

# extractors without variables yet, in the order they were made
_waiting = weakref.WeakValueDictionary()


def waiting():
    """Returns the extractors that have no variables yet, in the order they were made.

    Under a `tf.distribute` strategy `build` must be called in its scope; the first call
    is mostly inside of a step, where each replica would make the variables.
    """
    return list(_waiting.values())


class FeatureExtractor:
    """Computes the features of layers of VGG16 or VGG19 in one forward pass.

    The weights are found at the first call, and those of deeper layers than are asked
    for are dropped. All is computed in float32, whatever the precision policy.

    Args:
        layers: Names of layers of one network, see above.
        weights: "imagenet", the path of a file, or None for random weights, always
            the same. "imagenet" is the first of these that exists: the file that the
            environment variable `SR_KERAS_VGG19` (or `SR_KERAS_VGG16`) names; the
            file of `keras.applications` in Keras's home; the file
            `vgg19/vgg19_imagenet_notop.weights.h5` in the folder that `SR_KERAS_DATA`
            names; a download into Keras's home.

    Raises:
        ValueError: If there is no such layer, or the layers are of two networks.

    Reference:
        [Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)
    """

    def __init__(self, layers, weights="imagenet"):
        parsed = [_parse(layer) for layer in layers]
        if len({network for network, _ in parsed}) != 1:
            raise ValueError(
                "`layers` must be one or more layers of one network."
                f" Received: {list(layers)}"
            )
        self.weights = weights
        self._network = parsed[0][0]
        self._names = [name for _, name in parsed]
        steps = _steps(self._network)
        last = max(steps.index(name.split("/")[0]) for name in self._names)
        self._steps = steps[: last + 1]
        self._variables = None
        _waiting[id(self)] = self

    def build(self):
        """Makes the variables, which the first call does else; raises as that does."""
        if self._variables is None:
            self._variables = self._make_variables()
            _waiting.pop(id(self), None)

    def __call__(self, images):
        """Computes the features.

        Args:
            images: `(batch, height, width, channels)`, RGB, or grey, which is
                repeated; float in [0, 1], uint8 or uint16.

        Returns:
            A list with the features of each layer, `(batch, height / n, width / n,
            filters)`, float32, where n is 1 in the first block, 2 in the second, 4, 8
            and 16, twice that for its pooling, and sizes are rounded down.

        Raises:
            ValueError: If the images have another shape or are smaller than n, or a
                file has other weights than these.
            FileNotFoundError: If a file that was named does not exist.
            OSError: If the weights cannot be downloaded; the message says where to
                put them.
        """
        x = _preprocess(images)
        self.build()
        weights = iter(self._variables)
        features = {}
        for name in self._steps:
            if "pool" in name:
                _check_size(x, name, images)
                x = ops.max_pool(x, 2, strides=2, data_format="channels_last")
            else:
                x = ops.conv(
                    x, next(weights), padding="same", data_format="channels_last"
                )
                x = x + ops.convert_to_tensor(next(weights))
                features[f"{name}/before_relu"] = x
                x = ops.relu(x)
            features[name] = x
        return [features[name] for name in self._names]

    def _make_variables(self):
        """Returns kernel, bias, kernel, bias, ... of the convolutions in use."""
        count = 2 * sum("conv" in name for name in self._steps)
        # Variables, because a compiled step would hold arrays as constants; made by
        # functions, because the first call is mostly inside of a step.
        return [
            keras.Variable(
                lambda shape, dtype, array=array: ops.convert_to_tensor(array, dtype),
                shape=array.shape,
                dtype="float32",
                trainable=False,
                autocast=False,
            )
            for array in _arrays(self._network, self.weights, count)
        ]


def _steps(network):
    """Returns the names of all layers of a network, in order."""
    return [
        f"block{block}_{step}"
        for block, count in enumerate(_NUM_CONVOLUTIONS[network], 1)
        for step in (*(f"conv{i}" for i in range(1, count + 1)), "pool")
    ]


def _parse(layer):
    """Splits the name of a layer into the network and the rest."""
    alias, slash, rest = str(layer).partition("/")
    network, _, name = (ALIASES.get(alias, alias) + slash + rest).partition("/")
    base, _, suffix = name.partition("/")
    if (
        network not in _NUM_CONVOLUTIONS
        or base not in _steps(network)
        or suffix not in ("", "before_relu")
        or (suffix and "pool" in base)
    ):
        raise ValueError(
            'A layer must be named as "vgg19/block5_conv4" or'
            f' "vgg19/block5_conv4/before_relu", or be one of {", ".join(ALIASES)}.'
            f" Received: {layer!r}"
        )
    return network, name


def _preprocess(images):
    """Makes what VGG was trained on: BGR in 0-255, minus the mean colour."""
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[-1] not in (1, 3):
        raise ValueError(
            "Images must come as (batch, height, width, channels) with 1 or 3 channels."
            f" Received: {shape}"
        )
    x = ops.convert_to_tensor(pixels.to_float(images))
    if shape[-1] == 1:
        x = ops.repeat(x, 3, axis=-1)
    return 255.0 * ops.flip(x, axis=-1) - ops.convert_to_tensor(_MEAN_BGR)


def _check_size(x, name, images):
    if any(side is not None and side < 2 for side in x.shape[1:3]):
        height, width = images.shape[1:3]
        raise ValueError(
            f"Images of {height}x{width} pixels are too small for VGG's {name}."
        )


def _arrays(network, weights, count):
    """Returns kernel, bias, kernel, bias, ..., `count` in all."""
    shapes, channels = [], 3
    for filters, repeats in zip(_FILTERS, _NUM_CONVOLUTIONS[network], strict=True):
        for _ in range(repeats):
            shapes += [(3, 3, channels, filters), (filters,)]
            channels = filters
    if weights is None:
        rng = np.random.default_rng(0)
        return [  # variance 2 / fan_in, as for a network that starts to train
            rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype("float32")
            if len(shape) == 4
            else np.zeros(shape, "float32")
            for shape in shapes[:count]
        ]
    path = _find(network) if weights == "imagenet" else pathlib.Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of VGG weights {path}")
    try:
        arrays = _read(path, network)
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as Keras weights: {error}") from error
    if [array.shape for array in arrays] != shapes:
        raise ValueError(
            f"{path} does not hold the weights of {network.upper()} without its top."
        )
    return arrays[:count]


def _read(path, network):
    """Reads all kernels and biases from a file of Keras 3 or of an older Keras."""
    names = [name for name in _steps(network) if "conv" in name]
    arrays = []
    with h5py.File(path) as file:
        if "layers" in file:  # Keras 3 counts the layers of a class
            count = len(names)
            names = ["layers/conv2d", *(f"layers/conv2d_{i}" for i in range(1, count))]
        for name in names:
            items = []
            file[name].visititems(lambda _, item, items=items: items.append(item))
            found = [np.array(item) for item in items if isinstance(item, h5py.Dataset)]
            arrays += sorted(found, key=np.ndim, reverse=True)  # the kernel first
    return arrays


def _find(network):
    """Returns the file of the ImageNet weights, downloaded if need be."""
    variable = f"SR_KERAS_{network.upper()}"
    if os.environ.get(variable):
        return pathlib.Path(os.environ[variable])
    home = pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    path = home / "models" / _FILE.format(network)
    if path.is_file():
        _check_md5(path, network)
        return path
    if os.environ.get("SR_KERAS_DATA"):
        folder = pathlib.Path(os.environ["SR_KERAS_DATA"])
        shipped = folder / network / f"{network}_imagenet_notop.weights.h5"
        if shipped.is_file():
            return shipped
    url = f"{_URL}/{network}/{_FILE.format(network)}"
    try:
        _download(url, path, network)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise OSError(
            f"The weights of {network.upper()} could not be downloaded: {error}. Put"
            f" {url} at {path}, or say in the environment variable {variable} where"
            " they are."
        ) from error
    return path


def _check_md5(path, network):
    with open(path, "rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    if md5 != _MD5[network]:
        raise ValueError(
            f"{path} has the MD5 {md5}, not {_MD5[network]}: it is damaged, incomplete"
            " or another file. Delete it, and it will be downloaded again."
        )


def _download(url, path, network):
    """Downloads to another name first: a file that was there stays until the end."""
    print(f"Downloading {url} to {path}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT) as response,
            open(partial, "wb") as file,
        ):
            shutil.copyfileobj(response, file)
        _check_md5(partial, network)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
