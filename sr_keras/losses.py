"""Losses for images in [0, 1], one value per image.

Every function returns `(batch,)`: the mean over an image's pixels, not Keras's
`(batch, height, width)`. The mean over a batch is the same, and the
`sample_weight` of `fit`, one number per image, works. Predictions are never
clipped (a clipped pixel has no gradient), and everything is computed in
float32, whatever the precision policy. `sr_keras.metrics` has the scores to
report.
"""

import keras
import numpy as np
from keras import ops

from sr_keras.features import FeatureExtractor

# 11 x 11 Gaussian window of SSIM, as its factor for one axis.
_WINDOW_SIZE = 11
_SIGMA = 1.5
# (K1 L)^2 and (K2 L)^2 for K1 = 0.01, K2 = 0.03 and the data range L = 1.
_C1 = 0.01**2
_C2 = 0.03**2
# Exponents of MS-SSIM, from the finest scale to the coarsest.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# 15 x 15 Laplacian of Gaussian of HFENN, with the same sigma.
_LOG_SIZE = 15


def to_float32(y_true, y_pred, rank=None):
    """Checks a pair of image batches and returns it as float32 tensors.

    Args:
        y_true: Float array or tensor.
        y_pred: Float array or tensor of the same shape.
        rank: The number of axes that both must have; None takes any.

    Raises:
        ValueError: If one is not of a float dtype, or if the shapes differ.
            Sizes that are unknown while a graph is built are not compared.
    """
    tensors = []
    for name, images in (("y_true", y_true), ("y_pred", y_pred)):
        images = ops.convert_to_tensor(images)
        if not keras.backend.is_float_dtype(images.dtype):
            dtype = keras.backend.standardize_dtype(images.dtype)
            raise ValueError(
                f"`{name}` must be float images in [0, 1], which"
                f" `sr_keras.images.to_float` makes of integers. Received: {dtype}"
            )
        tensors.append(ops.cast(images, "float32"))

    true_shape, pred_shape = (tuple(images.shape) for images in tensors)
    same = len(true_shape) == len(pred_shape) and all(
        a is None or b is None or a == b
        for a, b in zip(true_shape, pred_shape, strict=True)
    )
    if not same:
        raise ValueError(
            "`y_true` and `y_pred` must have the same shape."
            f" Received: {true_shape} and {pred_shape}"
        )
    if rank is not None and len(true_shape) != rank:
        raise ValueError(
            "Images must come as a batch, (batch, height, width, channels)."
            f" Received: {true_shape}"
        )
    return tensors


def _mean(values, axes):
    """Averages over one axis after the other.

    Summed up at once in float32, a million pixels can be wrong in the third
    digit: most addends are rounded away against the sum.
    """
    for axis in axes:
        values = ops.mean(values, axis=axis)
    return values


def _mean_per_image(values):
    return _mean(values, range(len(values.shape) - 1, 0, -1))


def l1(y_true, y_pred):
    """Computes the mean absolute error of each image.

    Args:
        y_true: `(batch, ...)`, float, in [0, 1].
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ or the values are integers. So do all
            losses here.
    """
    y_true, y_pred = to_float32(y_true, y_pred)
    return _mean_per_image(keras.losses.mean_absolute_error(y_true, y_pred))


def l2(y_true, y_pred):
    """Computes the mean squared error of each image; shapes as in `l1`."""
    y_true, y_pred = to_float32(y_true, y_pred)
    return _mean_per_image(keras.losses.mean_squared_error(y_true, y_pred))


def huber(y_true, y_pred, delta=0.01):
    """Computes the Huber loss of each image; shapes as in `l1`.

    An error `e` counts `e**2 / 2` up to `delta`, and `delta * (|e| - delta / 2)`
    above. Keras's default, `delta=1`, is half the squared error on images in
    [0, 1], where no error is larger.
    """
    y_true, y_pred = to_float32(y_true, y_pred)
    return _mean_per_image(keras.losses.huber(y_true, y_pred, delta))


def charbonnier(y_true, y_pred, epsilon=1e-3):
    """Computes `sqrt((y_true - y_pred)**2 + epsilon**2)`; shapes as in `l1`."""
    y_true, y_pred = to_float32(y_true, y_pred)
    return _mean_per_image(ops.sqrt((y_true - y_pred) ** 2 + epsilon**2))


def psnr(y_true, y_pred):
    """Computes the negative PSNR of each image, in dB; shapes as in `l1`.

    The PSNR is `-10 log10(mse)` for a peak of 1. It ends at 100 dB: the mean
    squared error counts as 1e-10 at least, so that equal images have a finite
    loss, and the gradient 0.
    """
    mse = ops.maximum(l2(y_true, y_pred), 1e-10)
    return 10.0 * ops.log10(mse)


def ssim(y_true, y_pred):
    """Computes `1 - SSIM` of each image, in [0, 2].

    SSIM as published: a Gaussian window of 11 x 11 pixels with sigma 1.5, only
    where it fits into the image, K1 = 0.01, K2 = 0.03, data range 1, and the
    mean over channels.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1], at least
            11 x 11 pixels.
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ, the images are too small, or the
            values are integers.

    Reference:
        [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861)
    """
    y_true, y_pred = to_float32(y_true, y_pred, rank=4)
    _check_size(y_true, _WINDOW_SIZE, "SSIM")
    similarity, _ = _similarity_and_contrast(y_true, y_pred)
    return 1.0 - ops.mean(similarity, axis=-1)


def ms_ssim(y_true, y_pred):
    """Computes `1 - MS-SSIM` of each image, in [0, 1].

    The contrast term of SSIM at five scales, halved by 2 x 2 averages (an odd
    last row or column is averaged by itself), and SSIM at the coarsest, each to
    the power of its published weight, multiplied. A term below 0 has no such
    power and counts as 0: an image with one scores 1 and has no gradient, so
    start training with another loss or beside one.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1], at least
            161 x 161 pixels: the window must fit into the coarsest scale.
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ, the images are too small, or the
            values are integers.

    Reference:
        [Wang et al., 2003](https://doi.org/10.1109/ACSSC.2003.1292216)
    """
    y_true, y_pred = to_float32(y_true, y_pred, rank=4)
    num_halvings = len(_SCALE_WEIGHTS) - 1
    _check_size(y_true, (_WINDOW_SIZE - 1) * 2**num_halvings + 1, "MS-SSIM")

    result = 1.0
    for i, weight in enumerate(_SCALE_WEIGHTS):
        similarity, contrast = _similarity_and_contrast(y_true, y_pred)
        term = contrast if i < num_halvings else similarity  # (batch, channels)
        # Two `where`: the gradient of 0**weight would be infinite. NaN stays.
        negative = term <= 0.0
        power = ops.where(negative, 1.0, term) ** weight
        result = result * ops.where(negative, 0.0, power)
        if i < num_halvings:
            y_true, y_pred = _halve(y_true), _halve(y_pred)
    return 1.0 - ops.mean(result, axis=-1)


def hfenn(y_true, y_pred):
    """Computes the normalized high-frequency error norm of each image.

    `|LoG(y_true) - LoG(y_pred)| / |LoG(y_true)|`, where LoG is the Laplacian of a
    Gaussian of sigma 1.5 in a window of 15 x 15 pixels, which answers to edges, and
    `|x|` the root of the sum of squares over pixels and channels: 0 for equal images,
    1 if all edges are missing. The paper does not divide; and unlike there, the window
    counts only where it fits into the image, because a border that is continued by
    zeros is an edge.

    Args:
        y_true: `(batch, height, width, channels)`, float, in [0, 1], at least
            15 x 15 pixels.
        y_pred: The same shape, not clipped.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ, the images are too small, or the
            values are integers.

    Reference:
        [Ravishankar and Bresler, 2011](https://doi.org/10.1109/TMI.2010.2090538)
    """
    y_true, y_pred = to_float32(y_true, y_pred, rank=4)
    _check_size(y_true, _LOG_SIZE, "HFENN")
    error, edges = (_edges(images) for images in (y_true - y_pred, y_true))
    # 1e-5 is far below what 8 bits can show: an image without edges divides by it
    return _root_mean_square(error) / ops.maximum(_root_mean_square(edges), 1e-5)


def _edges(images):
    """Convolves each channel with the Laplacian of Gaussian."""
    offsets = np.arange(_LOG_SIZE) - _LOG_SIZE // 2
    square = offsets[:, None] ** 2 + offsets**2
    gaussian = np.exp(-0.5 * square / _SIGMA**2)
    kernel = gaussian / gaussian.sum() * (square - 2 * _SIGMA**2) / _SIGMA**4
    kernel = (kernel - kernel.mean()).astype("float32")[..., None, None]
    kernel = np.tile(kernel, (1, 1, images.shape[-1], 1))
    return ops.depthwise_conv(
        images, kernel, padding="valid", data_format="channels_last"
    )


def _root_mean_square(images):
    # the gradient of a root is infinite at 0
    return ops.sqrt(ops.maximum(_mean_per_image(images**2), 1e-24))


def total_variation(y_true, y_pred):
    """Computes how much neighbouring pixels of `y_pred` differ.

    The mean of `|y_pred[i + 1, j] - y_pred[i, j]|` plus that of `|y_pred[i, j + 1] -
    y_pred[i, j]|`, over pixels and channels. It asks for flat images, and knows
    nothing of `y_true`: a small weight beside another loss removes noise. Unlike the
    paper's, which takes the length of the gradient, it adds the two directions.

    Args:
        y_true: `(batch, height, width, channels)`, float; only its shape is looked at.
        y_pred: The same shape, at least 2 x 2 pixels.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If the shapes differ, the images are too small, or the
            values are integers.

    Reference:
        [Rudin et al., 1992](https://doi.org/10.1016/0167-2789(92)90242-F)
    """
    _, y_pred = to_float32(y_true, y_pred, rank=4)
    _check_size(y_pred, 2, "Total variation")
    down = ops.abs(y_pred[:, 1:] - y_pred[:, :-1])
    across = ops.abs(y_pred[:, :, 1:] - y_pred[:, :, :-1])
    return _mean_per_image(down) + _mean_per_image(across)


def _check_size(images, smallest, name):
    height, width = images.shape[1:3]
    if any(side is not None and side < smallest for side in (height, width)):
        raise ValueError(
            f"{name} needs images of at least {smallest}x{smallest} pixels (after"
            f" borders are cut). Received: {height}x{width}"
        )


def _similarity_and_contrast(x, y):
    """Returns the means of SSIM and of its contrast term, `(batch, channels)`."""
    # Variances are small differences of second moments. Values around 0
    # instead of 0.5 keep the float32 rounding of these small.
    x, y = x - 0.5, y - 0.5
    moments = ops.concatenate([x, y, x**2 + y**2, x * y], axis=-1)
    mean_x, mean_y, squares, product = ops.split(_blur(moments), 4, axis=-1)

    variances = squares - (mean_x**2 + mean_y**2)
    covariance = product - mean_x * mean_y
    contrast = (2.0 * covariance + _C2) / (variances + _C2)

    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    luminance = (2.0 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return _mean(luminance * contrast, (2, 1)), _mean(contrast, (2, 1))


def _blur(images):
    """Averages each channel under the Gaussian window, first down, then across."""
    offsets = np.arange(_WINDOW_SIZE) - _WINDOW_SIZE // 2
    window = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    kernel = np.tile(window / window.sum(), (images.shape[-1], 1)).T
    kernel = kernel.astype("float32")[..., None]  # (11, channels, 1)
    for kernel_2d in (kernel[:, None], kernel[None]):
        images = ops.depthwise_conv(
            images, kernel_2d, padding="valid", data_format="channels_last"
        )
    return images


def _halve(images):
    return ops.average_pool(
        images, 2, strides=2, padding="same", data_format="channels_last"
    )


class _ImageLoss(keras.losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        # Here, because Keras would silently cast integers before `call`.
        to_float32(y_true, y_pred)
        return super().__call__(y_true, y_pred, sample_weight)


@keras.saving.register_keras_serializable(package="sr_keras")
class L1(_ImageLoss):
    """Computes the mean absolute error, see `l1`."""

    def __init__(self, name="l1", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return l1(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras")
class L2(_ImageLoss):
    """Computes the mean squared error, see `l2`."""

    def __init__(self, name="l2", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return l2(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras")
class Huber(_ImageLoss):
    """Computes the Huber loss, see `huber`.

    Unlike `keras.losses.Huber` it has a `delta` for images, and saves it.
    """

    def __init__(self, delta=0.01, name="huber", **kwargs):
        super().__init__(name=name, **kwargs)
        self.delta = delta

    def call(self, y_true, y_pred):
        return huber(y_true, y_pred, self.delta)

    def get_config(self):
        return {**super().get_config(), "delta": self.delta}


@keras.saving.register_keras_serializable(package="sr_keras")
class Charbonnier(_ImageLoss):
    """Computes `sqrt((y_true - y_pred)**2 + epsilon**2)`, a smooth L1.

    Unlike the squared error it does not make one badly missed edge outweigh
    a thousand good pixels, which is what blurs L2-trained networks. The default
    `epsilon` is LapSRN's.

    Reference:
        [Lai et al., 2017](https://arxiv.org/abs/1704.03915)
    """

    def __init__(self, epsilon=1e-3, name="charbonnier", **kwargs):
        super().__init__(name=name, **kwargs)
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        return charbonnier(y_true, y_pred, self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="sr_keras", name="PSNRLoss")
class PSNR(_ImageLoss):
    """Computes the negative PSNR in dB, see `psnr`.

    Its name is "psnr_loss" and it is saved as "PSNRLoss", because `metrics.PSNR`
    may stand beside it; so it is with `SSIM` and `MSSSIM`.
    """

    def __init__(self, name="psnr_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return psnr(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras", name="SSIMLoss")
class SSIM(_ImageLoss):
    """Computes `1 - SSIM`, see `ssim`."""

    def __init__(self, name="ssim_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return ssim(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras", name="MSSSIMLoss")
class MSSSIM(_ImageLoss):
    """Computes `1 - MS-SSIM`, see `ms_ssim`; patches need 161 x 161 pixels."""

    def __init__(self, name="ms_ssim_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return ms_ssim(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras", name="HFENNLoss")
class HFENN(_ImageLoss):
    """Computes the normalized high-frequency error norm, see `hfenn`."""

    def __init__(self, name="hfenn_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return hfenn(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras")
class TotalVariation(_ImageLoss):
    """Computes the total variation of `y_pred`, see `total_variation`."""

    def __init__(self, name="tv", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return total_variation(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sr_keras")
class Perceptual(_ImageLoss):
    """Compares the features that VGG finds in two images, not their pixels.

    Adds up two parts, for which VGG runs once. Content: the mean error of a layer's
    features. Texture: `|G(y_true) - G(y_pred)|**2 / |G(y_true)|**2`, where the Gram
    matrix G holds, for each two channels of a layer, the sum over all positions of
    their product; it knows which features come together, but not where. Each layer's
    term is multiplied by its weight.

        Perceptual(content="VGG54", texture={"relu1_2": 0.5, "relu2_2": 0.5})

    The weights of VGG are read at the first call and never saved: the loss is saved as
    its arguments.

    Args:
        content: The name of a layer, see `sr_keras.features`, a list of names, or a
            dict of names and weights; None for no content.
        texture: The same.
        distance: The error of the content: "l2", squared, or "l1".
        vgg_weights: The `weights` of `features.FeatureExtractor`.
        name: Loss name.

    Raises:
        ValueError: If there are no layers or no such layers, or `distance` is another.
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
            raise ValueError(f'`distance` must be "l1" or "l2". Received: {distance!r}')
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
            size = _mean_per_image(gram_true**2)
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
    """Computes the content part of `Perceptual` alone: the perceptual loss.

    The default is SRGAN's, whose weight of 1/12.75 on the features is one of 0.006
    here, on their squared error. ESRGAN's is `Content("VGG54/before_relu", "l1")`. Its
    weight of 1 belongs to another training of VGG19, on inputs of unit variance; about
    0.05 is as much here, where the mean error of these features is some 20 times as
    large.

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
    """Computes the texture part of `Perceptual` alone: the style loss.

    The layers are EnhanceNet's. Unlike there, the Gram matrices are those of whole
    images, not of patches of 16 x 16 pixels, and errors are relative, so that weights
    do not depend on how large the features of a layer are.

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


@keras.saving.register_keras_serializable(package="sr_keras")
class WeightedSum(_ImageLoss):
    """Adds several losses, each times its weight, into one for `compile`.

    Of a list of losses on one output Keras trains the first alone, silently.

        loss = WeightedSum([(1.0, "l1"), (0.1, "ssim")])
        model.compile("adam", loss=loss, metrics=loss.metrics())

    Args:
        terms: List of `(weight, loss)`; a loss is a name that `get` knows or a
            `keras.losses.Loss`. Its `call` is used, averaged over each image:
            a `reduction` is given to the sum, not to its terms.
        name: Loss name.

    Raises:
        ValueError: If there are no terms, two have the same name, one is not a
            loss, or one has a `reduction` of its own.
    """

    def __init__(self, terms, name="weighted_sum", **kwargs):
        super().__init__(name=name, **kwargs)
        self.terms = [(float(weight), get(loss)) for weight, loss in terms]
        for _, loss in self.terms:
            if not isinstance(loss, keras.losses.Loss):
                raise ValueError(
                    "A term must be (weight, loss), the loss a name or a"
                    f" `keras.losses.Loss`. Received: {loss!r}"
                )
            if loss.reduction != "sum_over_batch_size":
                raise ValueError(
                    f"Give `reduction` to the sum. The term {loss.name!r} has"
                    f" its own: {loss.reduction!r}"
                )
        names = [loss.name for _, loss in self.terms]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "`terms` must be one or more (weight, loss), each loss with"
                f" another name. Received the names: {names}"
            )

    def call(self, y_true, y_pred):
        return sum(
            weight * _mean_per_image(loss.call(y_true, y_pred))
            for weight, loss in self.terms
        )

    def metrics(self):
        """Returns one new metric per term, for `compile(metrics=...)`.

        Each reports its loss without the weight, under the name of the loss,
        and computes it a second time.
        """
        return [LossTerm(loss) for _, loss in self.terms]

    def get_config(self):
        terms = [[weight, keras.losses.serialize(loss)] for weight, loss in self.terms]
        return {**super().get_config(), "terms": terms}

    @classmethod
    def from_config(cls, config):
        terms = [
            (weight, keras.losses.deserialize(loss)) for weight, loss in config["terms"]
        ]
        return cls(**{**config, "terms": terms})


@keras.saving.register_keras_serializable(package="sr_keras")
class LossTerm(keras.metrics.Mean):
    """Reports the mean of a loss over images, see `WeightedSum.metrics`.

    Args:
        loss: A `keras.losses.Loss`.
        name: Metric name; None takes that of the loss.
        dtype: Metric dtype.
    """

    def __init__(self, loss, name=None, dtype=None):
        super().__init__(name=name or loss.name, dtype=dtype)
        self.loss = loss

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = to_float32(y_true, y_pred)
        values = _mean_per_image(self.loss.call(y_true, y_pred))
        super().update_state(values, sample_weight)

    def get_config(self):
        return {**super().get_config(), "loss": keras.losses.serialize(self.loss)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "loss": keras.losses.deserialize(config["loss"])})


_LOSSES = {
    "l1": L1,
    "l2": L2,
    "huber": Huber,
    "charbonnier": Charbonnier,
    "ssim": SSIM,
    "ms_ssim": MSSSIM,
    "psnr": PSNR,
    "hfenn": HFENN,
    "tv": TotalVariation,
    "content": Content,
    "texture": Texture,
}


def get(loss):
    """Returns a loss by its name; a loss or another callable comes back as it is.

    Args:
        loss: "l1", "l2", "huber", "charbonnier", "ssim", "ms_ssim", "psnr", "hfenn",
            "tv", "content" or "texture" (each with its defaults), or a callable.

    Raises:
        ValueError: If there is no such loss. The message lists the names.
    """
    if callable(loss):
        return loss
    if not isinstance(loss, str) or loss not in _LOSSES:
        raise ValueError(
            f"A loss must be a callable or one of {', '.join(_LOSSES)}."
            f" Received: {loss!r}"
        )
    return _LOSSES[loss]()
