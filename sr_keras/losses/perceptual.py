"""Losses that compare the features of trained networks."""

import keras
from keras import ops

from sr_keras.features import FeatureExtractor
from sr_keras.losses.base import ImageLoss, mean_per_image, to_float32
from sr_keras.losses.pixels import l1, l2
from sr_keras.lpips import Distance


@keras.saving.register_keras_serializable(package="sr_keras")
class Perceptual(ImageLoss):
    """Compares the VGG features of two images instead of their pixels.

    The loss is the sum of two parts, for which VGG runs once. The content part is the
    mean error of the features of a layer. The texture part is
    `|G(y_true) - G(y_pred)|**2 / |G(y_true)|**2`. The Gram matrix G holds, for every
    pair of channels of a layer, the sum of their product over all positions: which
    features occur together, but not where. The term of each layer is multiplied by its
    weight.

        Perceptual(content="VGG54", texture={"relu1_2": 0.5, "relu2_2": 0.5})

    The weights of VGG are loaded at the first call. They are never saved; the saved
    loss consists of its arguments.

    Args:
        content: The name of a layer, see `sr_keras.features`, a list of names, or a
            dict of names and weights; None for no content part.
        texture: The same for the texture part.
        distance: The error of the content part: "l2" (squared) or "l1".
        vgg_weights: The `weights` of `features.FeatureExtractor`.
        name: Loss name.

    Raises:
        ValueError: If no layers are given, a layer does not exist, or `distance` is
            neither "l1" nor "l2".
    """

    def __init__(
        self,
        content=None,
        texture=None,
        distance="l2",
        vgg_weights="imagenet",
        name="perceptual",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if distance not in ("l1", "l2"):
            raise ValueError(
                f'`distance` must be "l1" or "l2". Received: distance={distance!r}'
            )
        self.content = _layer_weights(content)
        self.texture = _layer_weights(texture)
        self.distance = distance
        self.vgg_weights = None if vgg_weights is None else str(vgg_weights)
        self._layers = list({**self.content, **self.texture})
        self._extract = FeatureExtractor(self._layers, self.vgg_weights)

    def call(self, y_true, y_pred):
        true, pred = (
            dict(zip(self._layers, self._extract(images), strict=True))
            for images in to_float32(y_true, y_pred, rank=4)
        )
        distance = l1 if self.distance == "l1" else l2
        loss = 0.0
        for layer, weight in self.content.items():
            loss += weight * distance(true[layer], pred[layer])
        for layer, weight in self.texture.items():
            gram_true, gram_pred = (
                ops.einsum("bijk,bijl->bkl", x, x) for x in (true[layer], pred[layer])
            )
            size = mean_per_image(gram_true**2)
            loss += weight * l2(gram_true, gram_pred) / ops.maximum(size, 1e-6)
        return loss

    def get_config(self):
        return {
            **super().get_config(),
            "content": self.content,
            "texture": self.texture,
            "distance": self.distance,
            "vgg_weights": self.vgg_weights,
        }


def _layer_weights(layers):
    if isinstance(layers, dict):
        return dict(layers)
    if isinstance(layers, str):
        layers = [layers]
    return dict.fromkeys(layers or [], 1.0)


@keras.saving.register_keras_serializable(package="sr_keras")
class Content(Perceptual):
    """Computes only the content part of `Perceptual`: the perceptual loss.

    The default is the loss of SRGAN. SRGAN divides the features by 12.75; here that
    corresponds to a weight of 0.006 on their squared error. The loss of ESRGAN is
    `Content("VGG54/before_relu", "l1")`. ESRGAN's weight of 1 belongs to a VGG19 that
    was trained on inputs of unit variance. The mean error of the features of this
    VGG19 is about 20 times larger, so a weight of 0.05 corresponds to it.

    Args:
        layers: As `content` in `Perceptual`.
        distance: As in `Perceptual`.
        vgg_weights: As in `Perceptual`.
        name: Loss name.

    Reference:
        [Johnson et al., 2016](https://arxiv.org/abs/1603.08155),
        [Ledig et al., 2017](https://arxiv.org/abs/1609.04802),
        [Wang et al., 2018](https://arxiv.org/abs/1809.00219)
    """

    def __init__(
        self,
        layers="VGG54",
        distance="l2",
        vgg_weights="imagenet",
        name="content",
        **kwargs,
    ):
        super().__init__(layers, None, distance, vgg_weights, name, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["texture"]
        config["layers"] = config.pop("content")
        return config


@keras.saving.register_keras_serializable(package="sr_keras")
class Texture(Perceptual):
    """Computes only the texture part of `Perceptual`: the style loss.

    The default layers are those of EnhanceNet. The loss differs from EnhanceNet in two
    ways: the Gram matrices are computed from whole images, not from patches of 16 x 16
    pixels, and errors are relative, so that the weights do not depend on the magnitude
    of the features of a layer.

    Args:
        layers: As `texture` in `Perceptual`.
        vgg_weights: As in `Perceptual`.
        name: Loss name.

    Reference:
        [Gatys et al., 2015](https://arxiv.org/abs/1505.07376),
        [Sajjadi et al., 2017](https://arxiv.org/abs/1612.07919)
    """

    def __init__(
        self,
        layers=("vgg19/block1_conv1", "vgg19/block2_conv1", "vgg19/block3_conv1"),
        vgg_weights="imagenet",
        name="texture",
        **kwargs,
    ):
        super().__init__(None, layers, "l2", vgg_weights, name, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["content"], config["distance"]
        config["layers"] = config.pop("texture")
        return config


@keras.saving.register_keras_serializable(package="sr_keras", name="LPIPSLoss")
class LPIPS(ImageLoss):
    """Computes LPIPS v0.1, a distance in the features of a classification network.

    It is saved as "LPIPSLoss", so that it can be used together with `metrics.LPIPS`.
    A network that is trained with it should be judged by another score: LPIPS then no
    longer says how its images look. Combine it with a loss on pixels, because the
    features ignore small errors of colour.

    Args:
        net: "alex" or "squeeze", see `lpips.Distance`.
        weights: Path of an `.npz` file of weights, see `sr_keras.lpips`. None takes
            `lpips/alex.npz` (or `lpips/squeeze.npz`) in the folder that the environment
            variable `SR_KERAS_DATA` names, or in `data` if it is not set.
        name: Loss name.

    Raises:
        ValueError: If there is no such network.
        FileNotFoundError: At the first call, if there is no file of weights. The
            message says where to put it.

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1801.03924)
    """

    def __init__(self, net="alex", weights=None, name="lpips_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.distance = Distance(net, weights)

    def call(self, y_true, y_pred):
        return self.distance(*to_float32(y_true, y_pred, rank=4))

    def get_config(self):
        return {
            **super().get_config(),
            "net": self.distance.net,
            "weights": self.distance.weights,
        }
