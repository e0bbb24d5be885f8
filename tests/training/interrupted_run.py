"""Trains for 12 steps, and may kill itself: python interrupted_run.py FOLDER WHEN."""

import functools
import os
import signal
import sys

import keras
import numpy as np

from sr_keras import models
from sr_keras.datasets import Pairs
from sr_keras.pipeline import training_batches
from sr_keras.training import TrainingRun

NUM_STEPS = 12


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class KillInBatch(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 6:
            die()


class Interrupt(keras.callbacks.Callback):
    def __init__(self, times):
        super().__init__()
        self.times = times

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 4:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


def main(folder, when):
    # a shell without job control lets what it starts in the background ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    keras.utils.set_random_seed(1)
    model = models.edsr(2, filters=4, num_blocks=1)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, NUM_STEPS)
    model.compile(keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.9), "mae")

    photos = np.random.default_rng(0).integers(0, 256, (3, 40, 44, 3), dtype=np.uint8)
    dataset = Pairs("abc", 2, photos.__getitem__)
    run = TrainingRun(
        folder, NUM_STEPS, evaluate_every=4, save_every=2, validation=dataset
    )
    step = run.restore(model)
    callbacks = []
    if when == "in_a_batch":
        callbacks.append(KillInBatch())
    elif when == "while_saving":
        save_weights = model.save_weights

        def save_half(path):
            save_weights(path)
            if run.step == 6:
                os.truncate(path, 1000)
                die()

        model.save_weights = save_half
    elif when == "after_an_evaluation":
        evaluate = run._evaluate
        run._evaluate = lambda logs: (evaluate(logs), run.step == 8 and die())
    elif when in ("at_ctrl_c", "at_ctrl_c_twice"):
        callbacks.append(Interrupt(1 if when == "at_ctrl_c" else 2))
    fit = model.fit
    model.fit = lambda *args, **options: fit(
        *args, **{**options, "callbacks": [*options["callbacks"], *callbacks]}
    )
    try:
        run.fit(model, functools.partial(training_batches, dataset, 8, 2, seed=3))
    finally:
        print(f"stopped={run.stopped} step={run.step} from={step}")
        restored = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        print(f"restored={restored} bar={run._progress.live.is_started}")


if __name__ == "__main__":
    main(*sys.argv[1:])
