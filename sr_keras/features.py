"""Features of VGG networks, which losses and metrics compare instead of pixels.

A layer is named "vgg19/block5_conv4": a network, "vgg16" or "vgg19", and a layer by
its name in `keras.applications`, `blockB_convC` or `blockB_pool`. A convolution's
features come after its ReLU; "vgg19/block5_conv4/before_relu" has those before it.
`ALIASES` has the papers' names, to which "/before_relu" may be added as well.

Nothing here is a Keras layer, so that no model saves these networks as a part of
itself.
"""

import hashlib
import http.client
import os
import pathlib
import re
import shutil
import sys
import urllib.request
import uuid

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


class FeatureExtractor:
    """Computes the features of layers of VGG16 or VGG19 in one forward pass.

    The weights are found at the first call, and only those that the deepest layer
    needs are kept. All is computed in float32, whatever the precision policy.

    Args:
        layers: Names of layers of one network, see above.
        weights: "imagenet", the path of a file, or None for random weights, always
            the same. "imagenet" is, in this order, the file that the environment
            variable `SR_KERAS_VGG19` (or `SR_KERAS_VGG16`) names; the file of
            `keras.applications` in Keras's home, if its MD5 is the published one;
            `vgg19/vgg19_imagenet_notop.weights.h5` in the folder that `SR_KERAS_DATA`
            names; or a download into Keras's home.

    Raises:
        ValueError: If a layer has no such name, or the layers are of two networks.

    Reference:
        [Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)
    """

    def __init__(self, layers, weights="imagenet"):
        self.layers = list(layers)
        self.weights = weights
        self._names = [_parse(layer) for layer in self.layers]
        networks = {network for network, _ in self._names}
        if len(networks) != 1:
            raise ValueError(
                "`layers` must be one or more layers of one network."
                f" Received: {self.layers}"
            )
        self._network = networks.pop()
        self._variables = None

    def __call__(self, images):
        """Computes the features.

        Args:
            images: `(batch, height, width, channels)`, RGB or grey, which is
                repeated; float in [0, 1], or uint8 or uint16.

        Returns:
            A list with a float32 tensor for each layer, `(batch, height / n, width /
            n, filters)`, rounded down; n is 1 in the first block, 2 in the second, 4,
            8 and 16.

        Raises:
            ValueError: If the images have another shape, or are smaller than n; if a
                file of weights is damaged or of another network.
            OSError: If there are no weights and they cannot be downloaded. The
                message says where to put them.
        """
        x = _preprocess(images)
        if self._variables is None:
            self._variables = self._build()
        wanted = [name for _, name in self._names]
        features = {}
        weights = iter(self._variables)
        for name in _layers(self._network):
            if name.endswith("pool"):
                self._check_size(x, name)
                x = ops.max_pool(x, 2, strides=2, data_format="channels_last")
            else:
                kernel, bias = next(weights)
                x = ops.conv(x, kernel, padding="same", data_format="channels_last")
                x = x + bias
                features[f"{name}/before_relu"] = x
                x = ops.relu(x)
            features[name] = x
            if features.keys() >= set(wanted):
                return [features[name] for name in wanted]

    def _build(self):
        names = [name for name in _layers(self._network) if "conv" in name]
        last = max(_layers(self._network).index(_base(name)) for _, name in self._names)
        needed = [n for n in names if _layers(self._network).index(n) <= last]
        arrays = _read_weights(self._network, self.weights)[: len(needed)]
        # Variables, because a traced step would carry arrays around as constants; from
        # functions, because JAX makes variables in a traced step from nothing else.
        return [
            [
                keras.Variable(
                    lambda shape, dtype, array=array: ops.convert_to_tensor(array),
                    shape=array.shape,
                    dtype="float32",
                    trainable=False,
                    autocast=False,
                )
                for array in pair
            ]
            for pair in arrays
        ]
