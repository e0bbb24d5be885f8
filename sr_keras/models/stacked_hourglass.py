"""Stacked hourglasses: predict, look again, predict better."""

import keras
from keras import layers

from sr_keras import pretrained
from sr_keras.layers import (
    ICNR,
    BicubicUpsampling,
    CropLike,
    PadToMultiple,
    PixelShuffle,
)
from sr_keras.models.arguments import check_counts, check_scale


def stacked_hourglass(
    scale,
    filters=256,
    depth=4,
    num_stacks=2,
    all_outputs=False,
    channels=3,
    weights=None,
    name="stacked_hourglass",
):
    """Builds hourglasses in series, each of which predicts the image.

    An hourglass halves its maps `depth` times and doubles them again, with a
    branch across at every size. The next one starts from the features and the
    prediction of the one before. Widths and blocks are the paper's, which
    stacks eight hourglasses to find joints of the human body.

    Unlike in the paper, the image is not reduced before the first hourglass,
    there is no batch normalization, as in super-resolution since EDSR, and a
    prediction is what bicubic interpolation misses, laid out by a pixel shuffle.

    The `all_outputs` form has the same weights; train it with one loss for each
    output, then load its file without.

    Args:
        scale: Upscaling factor, a whole number from 1; 1 restores an image of
            the same size.
        filters: Channels of the feature maps; even.
        depth: How many times each hourglass halves its maps.
        num_stacks: Number of hourglasses.
        all_outputs: Whether the output is a dictionary of all predictions,
            `{"stack_0": ..., "stack_1": ...}`, instead of the last one.
        channels: 3 for RGB, 1 for luma.
        weights: None, the name of a shipped set, or the path of a file.
        name: Model name.

    Input shape:
        `(batch, height, width, channels)`, in [0, 1], any size.

    Output shape:
        `(batch, scale * height, scale * width, channels)`, float32, not
        clipped; with `all_outputs` one such map for each hourglass.

    Raises:
        ValueError: If `scale` is not a whole number from 1, or another number is out
            of range.

    Reference:
        [Newell et al., 2016](https://arxiv.org/abs/1603.06937)
    """
    scale = check_scale(scale)
    check_counts(filters=filters, depth=depth, num_stacks=num_stacks, channels=channels)
    if filters % 2:
        raise ValueError(f"`filters` must be even. Received: {filters}")

    # Without batch normalization features start large. Of predictions as large, the
    # first steps would overshoot until the ReLUs before them are dead.
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
    model = keras.Model(inputs, outputs if all_outputs else outputs[stack], name=name)
    config = {
        "scale": scale,
        "filters": filters,
        "depth": depth,
        "num_stacks": num_stacks,
        "channels": channels,
    }
    return pretrained.load(model, weights, "stacked_hourglass", config)


def _hourglass(x, filters, depth, name):
    branches = []
    for i in range(depth):
        branches.append(_block(x, filters, name=f"{name}_branch_{i}"))
        x = layers.MaxPooling2D(2, name=f"{name}_pool_{i}")(x)
        x = _block(x, filters, name=f"{name}_down_{i}")
    x = _block(x, filters, name=f"{name}_bottom")
    for i in reversed(range(depth)):
        x = _block(x, filters, name=f"{name}_up_{i}")
        x = layers.UpSampling2D(2, name=f"{name}_nearest_{i}")(x)
        x = layers.Add(name=f"{name}_join_{i}")([branches[i], x])
    return x


def _block(x, filters, name):
    skip = x
    half = filters // 2
    for i, (width, size) in enumerate([(half, 1), (half, 3), (filters, 1)]):
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
        x = layers.Conv2D(width, size, padding="same", name=f"{name}_conv{i}")(x)
    return layers.Add(name=f"{name}_skip")([skip, x])
