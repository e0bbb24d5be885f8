"""Stacked hourglasses: repeated prediction, each improving the previous one."""

import keras
from keras import layers

from sr_keras.checks import check_counts, check_flags, check_scale
from sr_keras.layers import (
    ICNR,
    BicubicUpsampling,
    CropLike,
    NearestUpsampling,
    PadToMultiple,
    PixelShuffle,
)
from sr_keras.models.network import register


@register(free=("all_outputs",))
def stacked_hourglass(
    scale,
    filters=256,
    depth=4,
    num_stacks=2,
    all_outputs=False,
    channels=3,
    name="stacked_hourglass",
):
    """Builds hourglasses in series, each of which predicts the image.

    An hourglass halves its feature maps `depth` times and doubles them again, with a
    skip connection at every size. The next hourglass receives the features and the
    prediction of the previous one. Widths and blocks are those of the paper, which
    stacks eight hourglasses to find the joints of the human body.

    Unlike in the paper, the image is not downscaled before the first hourglass, and
    there is no batch normalization. Each prediction is the difference from bicubic
    interpolation, and is upscaled by a pixel shuffle.

    With `all_outputs` the network has the same weights. Train it that way with one loss
    per output, then load its weights into a network without `all_outputs`.

    Args:
        scale: Upscaling factor, a positive integer. 1 restores an image of the same
            size.
        filters: Number of channels of the feature maps, an even number.
        depth: Number of times that each hourglass halves its feature maps.
        num_stacks: Number of hourglasses.
        all_outputs: Whether to return a dictionary of all predictions, `{"stack_0":
            ..., "stack_1": ...}`, instead of the last one.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, a weights file, or the folder of a
            training run.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not clipped. With
        `all_outputs`, one such tensor for each hourglass.

    Raises:
        ValueError: If `scale` is not a positive integer, or another argument is not
            valid.

    Reference:
        [Newell et al., 2016](https://arxiv.org/abs/1603.06937)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, depth=depth, num_stacks=num_stacks, channels=channels)
    if filters % 2:
        raise ValueError(f"`filters` must be even. Received: filters={filters}")
    check_flags(all_outputs=all_outputs)

    # Without batch normalization the features are large at first. With predictions as
    # large, the first steps of training would overshoot and kill the ReLUs before them.
    small = keras.initializers.VarianceScaling(1e-4, "fan_in", "uniform")
    inputs = keras.Input((None, None, channels), name="lr")
    image = BicubicUpsampling(scale, name="bicubic")(inputs)
    x = PadToMultiple(2**depth, name="padding")(inputs)
    x = layers.Conv2D(filters, 3, padding="same", name="head")(x)
    outputs = {}
    for i in range(num_stacks):
        stack = f"stack_{i}"
        features = _hourglass(x, filters, depth, name=stack)
        features = _block(features, filters, name=f"{stack}_features")
        features = layers.Conv2D(filters, 1, activation="relu", name=f"{stack}_linear")(
            features
        )
        prediction = layers.Conv2D(
            channels * scale**2,
            3,
            padding="same",
            kernel_initializer=ICNR(scale, small),
            dtype="float32",
            name=f"{stack}_subpixels",
        )(features)
        sr = PixelShuffle(scale, dtype="float32", name=f"{stack}_shuffle")(prediction)
        sr = CropLike(dtype="float32", name=f"{stack}_crop")([sr, image])
        outputs[stack] = layers.Add(dtype="float32", name=stack)([sr, image])
        if i < num_stacks - 1:
            features = layers.Conv2D(filters, 1, name=f"{stack}_pass")(features)
            prediction = layers.Conv2D(filters, 1, name=f"{stack}_return")(prediction)
            x = layers.Add(name=f"{stack}_merge")([x, features, prediction])
    return keras.Model(inputs, outputs if all_outputs else outputs[stack], name=name)


def _hourglass(x, filters, depth, name):
    branches = []
    for i in range(depth):
        branches.append(_block(x, filters, name=f"{name}_branch_{i}"))
        x = layers.MaxPooling2D(2, name=f"{name}_pool_{i}")(x)
        x = _block(x, filters, name=f"{name}_down_{i}")
    x = _block(x, filters, name=f"{name}_bottom")
    for i in reversed(range(depth)):
        x = _block(x, filters, name=f"{name}_up_{i}")
        x = NearestUpsampling(2, name=f"{name}_nearest_{i}")(x)
        x = layers.Add(name=f"{name}_join_{i}")([branches[i], x])
    return x


def _block(x, filters, name):
    skip = x
    half = filters // 2
    for i, (width, size) in enumerate([(half, 1), (half, 3), (filters, 1)]):
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
        x = layers.Conv2D(width, size, padding="same", name=f"{name}_conv{i}")(x)
    return layers.Add(name=f"{name}_skip")([skip, x])
