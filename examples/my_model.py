"""Trains a network and a loss of your own, measures it, and stores its weights.

    python examples/my_model.py [STEPS]

Stop it with Ctrl-C; the same command resumes the run in runs/my_model.
"""

import functools
import sys

import keras
from keras import layers, ops

import sr_keras as sr


@sr.models.register
def my_network(scale, filters=24, num_blocks=3, name="my_network"):
    """Separable convolutions with skips, which add details to a bicubic upscaling."""
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(filters, 3, padding="same")(inputs)
    for _ in range(num_blocks):
        skip = x
        x = layers.SeparableConv2D(filters, 5, padding="same", activation="relu")(x)
        x = layers.Add()([layers.Conv2D(filters, 1)(x), skip])
    x = layers.Conv2D(3 * scale**2, 3, padding="same", kernel_initializer="zeros")(x)
    x = sr.layers.PixelShuffle(scale)(x)
    outputs = layers.Add()([x, sr.layers.BicubicUpsampling(scale)(inputs)])
    return keras.Model(inputs, outputs, name=name)


def edges(hr, sr_images):
    """Mean absolute error of the vertical differences, one value per image."""
    error = hr - sr_images
    return ops.mean(ops.abs(error[:, 1:] - error[:, :-1]), axis=(1, 2, 3))


def main(steps=2000, folder="runs/my_model", scale=3):
    train_set = sr.datasets.samples(scale)
    validation = sr.datasets.samples(scale, "validation")

    keras.utils.set_random_seed(0)
    network = my_network(scale)
    loss = sr.losses.get([(1.0, "l1"), (0.5, edges)])
    network.compile(keras.optimizers.Adam(1e-3), loss)
    run = sr.training.TrainingRun(folder, steps, 500, validation=validation)
    batches = functools.partial(
        sr.pipeline.training_batches, train_set, lr_patch_size=24
    )
    run.fit(network, batches)

    for model in (sr.models.bicubic(scale), network):
        scores = sr.evaluate(model, validation)
        print(f"{model.name:12} {scores['mean']['psnr_y']:.2f} dB")
    print(scores["conditions"])
    sr.weights.save(network, run.folder / "my_network.weights.h5", half=True)
    return network


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
