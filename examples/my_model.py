"""A network and a loss of your own, trained, measured and compared.

python examples/my_model.py [STEPS]
"""

import sys

import keras
from keras import layers, ops

import sr_keras as sr


def my_network(scale, filters=24, num_blocks=3):
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(filters, 3, padding="same")(inputs)
    for _ in range(num_blocks):
        skip = x
        x = layers.SeparableConv2D(filters, 5, padding="same", activation="gelu")(x)
        x = layers.Add()([layers.Conv2D(filters, 1)(x), skip])
    x = layers.Conv2D(3 * scale**2, 3, padding="same", kernel_initializer="zeros")(x)
    x = sr.layers.PixelShuffle(scale)(x)
    outputs = layers.Add()([x, sr.layers.BicubicUpsampling(scale)(inputs)])
    return keras.Model(inputs, outputs, name="my_network")


def my_loss(hr, sr):
    """An L1 loss that looks at edges too."""
    error = hr - sr
    edges = ops.abs(error[:, 1:] - error[:, :-1])
    return ops.mean(ops.abs(error)) + 0.5 * ops.mean(edges)


def main(steps=2000, scale=3):
    keras.utils.set_random_seed(0)
    model = my_network(scale)
    model.compile(keras.optimizers.Adam(1e-3), my_loss, metrics=[sr.metrics.PSNR()])
    batches = sr.pipeline.training_batches(sr.datasets.samples(scale), lr_size=24)
    model.fit(batches, steps_per_epoch=steps, shuffle=False)

    photos = sr.datasets.samples(scale, "validation")
    for rival in (sr.models.bicubic(scale), model):
        result = sr.evaluate(rival, photos)
        print(f"{rival.name:12} {result['mean']['psnr_y']:.2f} dB")
    print(result["conditions"])
    return model


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
