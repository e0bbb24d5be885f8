"""Features of VGG networks, which losses and metrics compare instead of pixels.

A layer is named like "vgg19/block5_conv4": the network, "vgg16" or "vgg19", followed
by the name of the layer in `keras.applications`, `blockB_convC` or `blockB_pool`. The
features of a convolution are taken after its ReLU;
"vgg19/block5_conv4/before_relu" takes them before it. `ALIASES` holds the names that
papers use; "/before_relu" can be appended to these as well. Johnson et al. use VGG16,
whose weights are a separate file. If you only have VGG19, "vgg19/block3_conv3" can
replace "relu3_3".

Nothing here is a Keras layer, so a model never saves these networks as part of itself.
"""

import contextlib
import os
import pathlib

import h5py
import keras
import numpy as np
from keras import ops

from sr_keras import files
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

# Whether extractors create their variables when they are constructed.
_built_at_once = False


@contextlib.contextmanager
def built_at_once(active=True):
    """Within this context, extractors load their weights when they are constructed.

    Under a `tf.distribute` strategy with several replicas, variables must be created
    in the scope of the strategy. The first call usually happens inside a training
    step, where every replica would try to create them.

    Args:
        active: False leaves the extractors as they are, loading at the first call.
    """
    global _built_at_once
    before, _built_at_once = _built_at_once, active
    try:
        yield
    finally:
        _built_at_once = before


class FeatureExtractor:
    """Computes the features of layers of VGG16 or VGG19 in one forward pass.

    The weights are loaded at the first call; weights of layers deeper than those asked
    for are dropped. Features are float32. They are computed in float32 too, unless
    Keras's dtype policy is "mixed_bfloat16" when the extractor is constructed, as it is
    while a recipe builds such a model; then the convolutions compute in bfloat16.
    float16 is never used, because features exceed its range.

    Args:
        layers: Name of a layer, or names of layers of one network, see the module's
            docstring.
        weights: "imagenet", the path of a file, or None for random weights, which
            are always the same. "imagenet" is the first of these that exists: the
            file that the environment variable `SR_KERAS_VGG19` (or `SR_KERAS_VGG16`)
            names; the file of `keras.applications` in Keras's home; the file
            `vgg19/vgg19_imagenet_notop.weights.h5` in the folder that `SR_KERAS_DATA`
            names; a download into Keras's home.

    Raises:
        ValueError: If a layer does not exist, or the layers belong to two networks.

    Reference:
        [Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)
    """

    def __init__(self, layers, weights="imagenet"):
        layers = [layers] if isinstance(layers, str) else list(layers)
        parsed = [_parse(layer) for layer in layers]
        if len({network for network, _ in parsed}) != 1:
            raise ValueError(
                "`layers` must be one or more layers of one network."
                f" Received: layers={layers}"
            )
        self.weights = weights
        policy = keras.config.dtype_policy().compute_dtype
        self.compute_dtype = "bfloat16" if policy == "bfloat16" else "float32"
        self._network = parsed[0][0]
        self._names = [name for _, name in parsed]
        steps = _steps(self._network)
        last = max(steps.index(name.split("/")[0]) for name in self._names)
        self._steps = steps[: last + 1]
        self._arrays = self._variables = None
        if _built_at_once:
            self.build()

    def build(self):
        """Loads the weights into variables; raises the errors of a call.

        On TensorFlow the first call does this as well, even inside a
        `tf.function`. On the other backends, a call before `build` uses NumPy arrays,
        because a compiled function cannot create variables there. Call `build` first
        if you call the extractor many times outside a compiled function.
        """
        if self._variables is None:
            # The initializers are functions because the first call usually happens
            # while a graph is built.
            self._variables = [
                keras.Variable(
                    lambda shape, dtype, array=array: ops.convert_to_tensor(
                        array, dtype
                    ),
                    shape=array.shape,
                    dtype="float32",
                    trainable=False,
                    autocast=False,
                )
                for array in self._load()
            ]

    def __call__(self, images):
        """Computes the features.

        Args:
            images: `(batch, height, width, channels)`, RGB, or grey, which is
                repeated; float in [0, 1], uint8 or uint16.

        Returns:
            A list with the features of each layer, `(batch, height / n, width / n,
            filters)`, float32. n is 1, 2, 4, 8 and 16 in the five blocks, and twice
            that for the pooling at the end of a block. Sizes are rounded down.

        Raises:
            ValueError: If the images have another shape or are smaller than n, or a
                file holds other weights.
            FileNotFoundError: If a given file does not exist.
            OSError: If the weights cannot be downloaded. The message says where to
                put them.
        """
        x = ops.cast(_preprocess(images), self.compute_dtype)
        weights = (ops.cast(value, self.compute_dtype) for value in self._weights())
        features = {}
        for name in self._steps:
            if "pool" in name:
                _check_size(x, name, images)
                x = ops.max_pool(x, 2, strides=2, data_format="channels_last")
            else:
                x = ops.conv(
                    x, next(weights), padding="same", data_format="channels_last"
                )
                x = x + next(weights)
                features[f"{name}/before_relu"] = x
                x = ops.relu(x)
            features[name] = x
        return [ops.cast(features[name], "float32") for name in self._names]

    def get_weights(self):
        """Loads the weights of the convolutions in use.

        Returns:
            A list of NumPy arrays, kernel, bias, kernel, bias, ..., as a Keras model of
            the same convolutions takes them in `set_weights`.

        Raises:
            OSError: As for a call, if the weights cannot be found or downloaded.
        """
        return [np.asarray(array) for array in self._load()]

    def _weights(self):
        """Returns kernel, bias, kernel, bias, ... of the convolutions in use."""
        if self._variables is None and keras.backend.backend() == "tensorflow":
            self.build()  # arrays would become constants of the graph
        return self._load() if self._variables is None else self._variables

    def _load(self):
        if self._arrays is None:
            count = 2 * sum("conv" in name for name in self._steps)
            self._arrays = _arrays(self._network, self.weights, count)
        return self._arrays


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
            'A layer must have a name like "vgg19/block5_conv4" or'
            f' "vgg19/block5_conv4/before_relu", or be one of {", ".join(ALIASES)}.'
            f" Received: {layer!r}"
        )
    return network, name


def _preprocess(images):
    """Converts to what VGG was trained on: BGR in 0-255, minus the mean colour."""
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[-1] not in (1, 3):
        raise ValueError(
            "Images must have the shape (batch, height, width, channels) with 1 or 3"
            f" channels. Received: shape={shape}"
        )
    x = ops.convert_to_tensor(pixels.to_float(images))
    if shape[-1] == 1:
        x = ops.repeat(x, 3, axis=-1)
    return 255.0 * ops.flip(x, axis=-1) - ops.convert_to_tensor(_MEAN_BGR)


def _check_size(x, name, images):
    if any(side is not None and side < 2 for side in x.shape[1:3]):
        height, width = images.shape[1:3]
        raise ValueError(
            f"Images of {height}x{width} pixels are too small for the layer {name} of"
            " VGG."
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
        raise FileNotFoundError(f"The file of VGG weights {path} does not exist.")
    try:
        arrays = _read(path, network)
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as Keras weights: {error}") from error
    if [array.shape for array in arrays] != shapes:
        raise ValueError(
            f"{path} does not hold the weights of {network.upper()} without its dense"
            " layers."
        )
    return arrays[:count]


def _read(path, network):
    """Reads all kernels and biases from a file of Keras 3 or an older Keras."""
    names = [name for name in _steps(network) if "conv" in name]
    arrays = []
    with h5py.File(path) as file:
        if "layers" in file:  # Keras 3 numbers the layers of each class
            count = len(names)
            names = ["layers/conv2d", *(f"layers/conv2d_{i}" for i in range(1, count))]
        for name in names:
            items = []
            file[name].visititems(lambda _, item, items=items: items.append(item))
            found = [np.array(item) for item in items if isinstance(item, h5py.Dataset)]
            arrays += sorted(found, key=np.ndim, reverse=True)  # the kernel first
    return arrays


def _find(network):
    """Returns the file of the ImageNet weights, which is downloaded if needed."""
    variable = f"SR_KERAS_{network.upper()}"
    if os.environ.get(variable):
        return pathlib.Path(os.environ[variable])
    path = files.keras_home() / "models" / _FILE.format(network)
    if path.is_file():
        files.check_digest(path, _MD5[network], "md5")
        return path
    if os.environ.get("SR_KERAS_DATA"):
        folder = pathlib.Path(os.environ["SR_KERAS_DATA"])
        shipped = folder / network / f"{network}_imagenet_notop.weights.h5"
        if shipped.is_file():
            return shipped
    url = f"{_URL}/{network}/{_FILE.format(network)}"
    try:
        files.download(url, path, _MD5[network], "md5")
    except (OSError, ValueError) as error:
        raise OSError(
            f"The weights of {network.upper()} could not be downloaded: {error}. Put"
            f" {url} at {path}, or set the environment variable {variable} to their"
            " path."
        ) from error
    return path
