"""SwinIR: attention inside shifted windows."""

import keras
import numpy as np
from keras import layers, ops

from sr_keras.checks import (
    check_count_lists,
    check_counts,
    check_flags,
    check_option,
    check_scale,
    is_count,
)
from sr_keras.layers import (
    ICNR,
    CropLike,
    NearestUpsampling,
    PadToMultiple,
    PixelShuffle,
)
from sr_keras.models.network import register

# Mean colour of DIV2K in RGB, as EDSR's authors measured it.
_MEAN = (0.4488, 0.4371, 0.4040)
# Channels around the pixel shuffle, whatever the width of the blocks.
_TAIL_FILTERS = 64


@keras.saving.register_keras_serializable(package="sr_keras")
class ShiftedWindowAttention(layers.Layer):
    """Multi-head attention among the pixels of a window.

    The map is divided into windows of `window x window` pixels, and every pixel
    attends to the pixels of its own. A learned bias depends on the distance of two
    pixels. With a shift, the borders of the windows are moved to the bottom and right
    by rolling the map, and pixels from opposite sides of the image, which meet in one
    window then, do not attend to each other. The borders and this mask are
    computed for the size of each input.

    The softmax is computed in float32 under every precision policy.

    Args:
        num_heads: Number of heads.
        window: Side of the windows in pixels.
        shift: How many pixels the windows are shifted, from 0 to `window - 1`.

    Input shape:
        `(batch, height, width, 3 * channels)`: queries, keys and values. Height and
        width are multiples of `window`, and `channels` is one of `num_heads`.

    Output shape:
        `(batch, height, width, channels)`

    Raises:
        ValueError: If `num_heads` or `window` is not a positive integer, or `shift` is
            out of range. When the layer is built, if the input does not have three
            times a multiple of `num_heads` channels.

    Reference:
        [Liu et al., 2021](https://arxiv.org/abs/2103.14030)
    """

    def __init__(self, num_heads, window=8, shift=0, **kwargs):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads, window=window)
        if shift != 0 and not (is_count(shift) and shift < window):
            raise ValueError(
                "`shift` must be an integer from 0 to `window - 1`. Received:"
                f" shift={shift!r}, window={window}"
            )
        self.num_heads = num_heads
        self.window = window
        self.shift = shift

    def build(self, input_shape):
        if input_shape[-1] % (3 * self.num_heads):
            raise ValueError(
                "The input must have 3 * `channels` channels, where `channels` is a"
                f" multiple of `num_heads`. Received: {input_shape[-1]} channels,"
                f" num_heads={self.num_heads}"
            )
        side = 2 * self.window - 1
        self.bias_table = self.add_weight(
            shape=(side**2, self.num_heads),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="bias_table",
        )
        super().build(input_shape)

    def call(self, inputs):
        x = _roll(inputs, -self.shift)
        _, height, width, depth = ops.shape(x)
        rows, columns = height // self.window, width // self.window
        area, size = self.window**2, depth // 3 // self.num_heads
        x = ops.reshape(x, (-1, rows, self.window, columns, self.window, depth))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, area, 3, self.num_heads, size))
        x = ops.transpose(x, (2, 0, 3, 1, 4))
        query, key, value = x[0], x[1], x[2]  # (windows, heads, area, size)
        scores = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2)))
        scores = ops.cast(scores, "float32") + self._bias()
        if self.shift:
            # (batch, windows, heads, area, area)
            count = rows * columns
            scores = ops.reshape(scores, (-1, count, self.num_heads, area, area))
            scores = scores + self._mask(height, width)[:, None]
            scores = ops.reshape(scores, (-1, self.num_heads, area, area))
        weights = ops.cast(ops.softmax(scores, axis=-1), value.dtype)
        x = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        shape = (-1, rows, columns, self.window, self.window, depth // 3)
        x = ops.transpose(ops.reshape(x, shape), (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, height, width, depth // 3))
        return _roll(x, self.shift)

    def _bias(self):
        """Returns the bias for each head and pair of pixels: (heads, area, area)."""
        area = self.window**2
        indices = relative_positions(self.window).ravel()
        table = ops.take(ops.cast(self.bias_table, "float32"), indices, axis=0)
        return ops.transpose(ops.reshape(table, (area, area, -1)), (2, 0, 1))

    def _mask(self, height, width):
        """Returns -100 for pixels that are not neighbours: (windows, area, area)."""
        rows, columns = (
            # Of a rolled axis, the last pixels come from the other side.
            ops.cast(ops.arange(n) >= n - self.shift, "float32")
            for n in (height, width)
        )
        side = 2 * rows[:, None] + columns[None]
        side = ops.reshape(side, (height // self.window, self.window, -1, self.window))
        side = ops.transpose(side, (0, 2, 1, 3))
        side = ops.reshape(side, (-1, self.window**2))
        differs = ops.abs(side[:, None] - side[:, :, None])
        return -100.0 * ops.minimum(differs, 1.0)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 3)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "window": self.window,
            "shift": self.shift,
        }


def relative_positions(window):
    """Returns which row of the table of biases belongs to each pair of pixels.

    Args:
        window: Side of the windows in pixels.

    Returns:
        An integer array `(window**2, window**2)` with values below
        `(2 * window - 1)**2`: the vertical distance of the first pixel from the second
        and the horizontal one, each from `-(window - 1)` to `window - 1`.
    """
    rows, columns = np.divmod(np.arange(window**2), window)
    down = rows[:, None] - rows + window - 1
    right = columns[:, None] - columns + window - 1
    return down * (2 * window - 1) + right


def _roll(x, shift):
    if not shift:
        return x
    # not `ops.roll`, which LiteRT does not have
    x = ops.concatenate([x[:, -shift:], x[:, :-shift]], axis=1)
    return ops.concatenate([x[:, :, -shift:], x[:, :, :-shift]], axis=2)


@keras.saving.register_keras_serializable(package="sr_keras")
class GELU(layers.Layer):
    """The exact Gaussian error linear unit, which runs in ONNX and LiteRT too.

    Both lack the function that Keras's own exact GELU is made of. Here the error
    function is a polynomial times an exponential, with errors below 2e-7.

    Input shape:
        Any.

    Output shape:
        As the input.

    Reference:
        Abramowitz & Stegun, 1964, formula 7.1.26.
    """

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        z = ops.abs(x) * 0.5**0.5
        t = 1.0 / (1.0 + 0.3275911 * z)
        factor = 1.061405429
        for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
            factor = factor * t + coefficient
        tail = 0.5 * factor * t * ops.exp(-z * z)  # of the normal distribution
        return ops.cast(ops.relu(x) - ops.abs(x) * tail, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@register
def swinir(
    scale,
    filters=180,
    depths=(6, 6, 6, 6, 6, 6),
    num_heads=6,
    window=8,
    expansion=2,
    variant="classical",
    bottleneck=False,
    channels=3,
    name="swinir",
):
    """Builds SwinIR: residual groups of attention inside shifted windows.

    The defaults are the paper's network for bicubic downscaling, with 11.9 million
    parameters for x4. Its lightweight network is `filters=60, depths=(6, 6, 6, 6),
    variant="lightweight"`, the one for real photos `variant="real"`, and the large one
    for real photos `filters=240, depths=(6,) * 9, num_heads=8, variant="real",
    bottleneck=True`. The variants differ in how they upscale:

    - "classical": convolutions and pixel shuffles, and a last convolution.
    - "lightweight": one convolution and one pixel shuffle.
    - "real": nearest-neighbour steps, each followed by a convolution.

    Unlike in the authors' code, there is no stochastic depth in training, and the
    convolutions before a pixel shuffle are initialized with ICNR, which avoids
    checkerboard artifacts. Images whose sides are not a multiple of the window are
    reflected at the bottom and the right.

    The attention moves on by a window with every pair of layers, so that a pixel of
    the output depends on most of the image, and the grid of the windows begins at its
    top left. The output for a tile therefore differs slightly from the same region of
    the output for the whole image.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8 for "classical"; 2, 4 or 8 for "real"; any
            positive integer for "lightweight".
        filters: Number of channels of the blocks, a multiple of `num_heads`.
        depths: Number of attention layers of each group. Every second is shifted by
            half a window.
        num_heads: Number of heads of the attention.
        window: Side of the windows in pixels.
        expansion: Factor by which the dense layers after the attention widen.
        variant: "classical", "lightweight" or "real".
        bottleneck: Whether each group ends in three convolutions with a quarter of the
            channels between them, instead of one.
        channels: 3 for RGB, 1 for luma. The mean colour of DIV2K is subtracted from RGB
            images only.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped.

    Raises:
        ValueError: If `scale` does not fit the variant, `filters` is not a multiple of
            `num_heads`, or another argument is not valid.

    Reference:
        [Liang et al., 2021](https://arxiv.org/abs/2108.10257)
    """
    check_option("variant", variant, ("classical", "lightweight", "real"))
    scales = {"classical": (2, 3, 4, 8), "real": (2, 4, 8), "lightweight": None}
    scale = check_scale(scale, scales[variant])
    check_counts(
        filters=filters,
        num_heads=num_heads,
        window=window,
        expansion=expansion,
        channels=channels,
    )
    check_count_lists(depths=depths)
    check_flags(bottleneck=bottleneck)
    if filters % num_heads:
        raise ValueError(
            "`filters` must be a multiple of `num_heads`. Received:"
            f" filters={filters}, num_heads={num_heads}"
        )

    inputs = keras.Input((None, None, channels), name="lr")
    x = PadToMultiple(window, mode="reflect", name="padding")(inputs)
    if channels == 3:
        x = layers.Rescaling(1.0, [-m for m in _MEAN], name="sub_mean")(x)
    head = _conv(filters, name="head")(x)
    x = _norm("embed_norm")(head)
    for i, depth in enumerate(depths):
        skip = x
        for j in range(depth):
            shift = window // 2 if j % 2 else 0
            options = (filters, num_heads, window, shift, expansion)
            x = _attention_block(x, *options, name=f"group_{i}_block_{j}")
        x = _group_end(x, filters, bottleneck, name=f"group_{i}_conv")
        x = layers.Add(name=f"group_{i}_skip")([skip, x])
    x = _norm("norm")(x)
    x = _group_end(x, filters, bottleneck, name="body")
    x = layers.Add(name="global_skip")([head, x])
    x = _upscale(x, scale, variant, channels)
    if channels == 3:
        x = layers.Rescaling(1.0, _MEAN, dtype="float32", name="add_mean")(x)
    like = NearestUpsampling(scale, dtype="float32", name="size")(inputs)
    outputs = CropLike(dtype="float32", name="crop")([x, like])
    return keras.Model(inputs, outputs, name=name)


def _attention_block(x, filters, num_heads, window, shift, expansion, name):
    skip = x
    x = _norm(f"{name}_norm1")(x)
    x = _dense(3 * filters, name=f"{name}_qkv")(x)
    x = ShiftedWindowAttention(num_heads, window, shift, name=f"{name}_attention")(x)
    x = _dense(filters, name=f"{name}_proj")(x)
    skip = x = layers.Add(name=f"{name}_skip1")([skip, x])
    x = _norm(f"{name}_norm2")(x)
    x = _dense(expansion * filters, name=f"{name}_fc1")(x)
    x = GELU(name=f"{name}_gelu")(x)
    x = _dense(filters, name=f"{name}_fc2")(x)
    return layers.Add(name=f"{name}_skip2")([skip, x])


def _group_end(x, filters, bottleneck, name):
    if not bottleneck:
        return _conv(filters, name=name)(x)
    inner = max(filters // 4, 1)
    for i, (width, size) in enumerate([(inner, 3), (inner, 1), (filters, 3)]):
        x = _conv(width, size, name=f"{name}_{i}")(x)
        if i < 2:
            x = layers.LeakyReLU(0.2, name=f"{name}_{i}_relu")(x)
    return x


def _upscale(x, scale, variant, channels):
    if variant == "lightweight":
        x = _conv(
            channels * scale**2,
            kernel_initializer=ICNR(scale, _initializer()),
            dtype="float32",
            name="subpixels",
        )(x)
        return PixelShuffle(scale, dtype="float32", name="shuffle")(x)
    x = _conv(_TAIL_FILTERS, name="before_upsampling")(x)
    x = layers.LeakyReLU(0.01, name="before_upsampling_relu")(x)
    for i, factor in enumerate({2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]):
        if variant == "classical":
            x = _conv(
                _TAIL_FILTERS * factor**2,
                kernel_initializer=ICNR(factor, _initializer()),
                name=f"upsampling_{i}",
            )(x)
            x = PixelShuffle(factor, name=f"shuffle_{i}")(x)
        else:
            x = NearestUpsampling(factor, name=f"nearest_{i}")(x)
            x = _conv(_TAIL_FILTERS, name=f"upsampling_{i}")(x)
            x = layers.LeakyReLU(0.2, name=f"upsampling_{i}_relu")(x)
    if variant == "real":
        x = _conv(_TAIL_FILTERS, name="reconstruction")(x)
        x = layers.LeakyReLU(0.2, name="reconstruction_relu")(x)
    return _conv(channels, dtype="float32", name="tail")(x)


def _conv(filters, size=3, kernel_initializer=None, **kwargs):
    return layers.Conv2D(
        filters,
        size,
        padding="same",
        kernel_initializer=kernel_initializer or _initializer(),
        **kwargs,
    )


def _initializer():
    # PyTorch's default, as in the authors' code
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _dense(units, name):
    start = keras.initializers.TruncatedNormal(stddev=0.02)
    return layers.Dense(units, kernel_initializer=start, name=name)


def _norm(name):
    return layers.LayerNormalization(epsilon=1e-5, name=name)
