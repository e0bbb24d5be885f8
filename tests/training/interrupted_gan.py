"""Trains a GAN for 6 steps: python interrupted_gan.py FOLDER [STEP TO BE KILLED IN]."""

import os
import signal
import sys

import keras
import numpy as np

from sr_keras import models
from sr_keras.datasets import Pairs
from sr_keras.pipeline import training_batches
from sr_keras.training import TrainingRun
from sr_keras.training.gan import RelativisticGAN

NUM_STEPS = 6


def main(folder, last_step=NUM_STEPS):
    keras.utils.set_random_seed(1)
    generator = models.srresnet(2, filters=4, num_blocks=1)
    discriminator = models.patchgan(filters=2, num_layers=1)
    gan = RelativisticGAN(generator, discriminator)
    rate = keras.optimizers.schedules.CosineDecay(1e-2, NUM_STEPS)
    gan.compile(
        keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.9),
        keras.optimizers.Adam(1e-2),
        losses=[(1.0, "l1")],
        adversarial_weight=0.1,
        discriminator_steps=2,  # the state must contain whose turn it is
    )
    photos = np.random.default_rng(0).integers(0, 256, (3, 40, 44, 3), dtype=np.uint8)
    dataset = Pairs("abc", 2, photos.__getitem__)
    run = TrainingRun(
        folder, NUM_STEPS, 3, save_every=1, validation=dataset, upscaler=generator
    )
    start = run.restore(gan)

    def die(batch, logs):
        if start + batch == int(last_step):
            os.kill(os.getpid(), signal.SIGKILL)

    gan.fit(
        training_batches(dataset, 8, 2, seed=3, start_step=start),
        steps_per_epoch=NUM_STEPS - start,
        callbacks=[run, keras.callbacks.LambdaCallback(on_train_batch_begin=die)],
        shuffle=False,
        verbose=0,
    )
    print(f"step={run.step} from={start}")


if __name__ == "__main__":
    main(*sys.argv[1:])
