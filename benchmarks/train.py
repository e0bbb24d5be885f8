"""Training steps a second, beside what this machine multiplies matrices at.

    python benchmarks/train.py [--steps 20] [--steps-per-execution 1 8 32]
                               [--bfloat16] [NETWORK ...]

Each network trains by `fit` on batches from the input pipeline. Its GFLOP/s count two
operations for each multiplication of its convolutions (`models.mult_adds`) in the
forward pass, and twice as many in the backward pass. The product of two matrices of
2048x2048 in the same precision is measured before and after each network. The CPU time
is that of all threads of the process, which depends less on what else the machine
computes. bfloat16 is measured as well where the processor has units for it, or with
`--bfloat16`.
"""

import argparse
import itertools
import statistics
import time

import keras
import numpy as np
from machine import describe, product_rate

import sr_keras as sr
from sr_keras import processor

# network: scale, side of the LR patches
CASES = {
    "espcn": (3, 32),
    "fsrcnn": (4, 24),
    "srcnn": (3, 32),
    "edsr": (4, 48),
}
BATCH = 16
WARMUP_CALLS = 5


class StepTimes(keras.callbacks.Callback):
    """Collects the wall-clock and the CPU time after every call of `fit`."""

    def __init__(self):
        super().__init__()
        self.times = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append((time.perf_counter(), time.process_time()))


def step_seconds(name, policy, steps, steps_per_execution):
    """Returns seconds, CPU seconds and GFLOP of a step, medians over the calls."""
    scale, lr_patch_size = CASES[name]
    keras.config.set_dtype_policy(policy)
    model = sr.models.NETWORKS[name](scale)
    keras.config.set_dtype_policy("float32")
    model.compile("adam", sr.losses.L1(), steps_per_execution=steps_per_execution)
    batches = sr.pipeline.training_batches(
        sr.datasets.samples(scale), lr_patch_size, BATCH, channels=model.input_shape[-1]
    )
    calls = -(-steps // steps_per_execution)
    timer = StepTimes()
    model.fit(
        batches,
        steps_per_epoch=(calls + WARMUP_CALLS) * steps_per_execution,
        shuffle=False,
        callbacks=[timer],
        verbose=0,
    )
    times = np.diff(timer.times[WARMUP_CALLS - 1 :], axis=0) / steps_per_execution
    seconds, cpu_seconds = np.median(times, axis=0)
    size = lr_patch_size * scale
    cost = sr.models.mult_adds(model, scale, size, size)
    return seconds, cpu_seconds, 3 * 2 * cost * BATCH / 1e9


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=list(CASES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--steps-per-execution", type=int, nargs="+", default=[1])
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args()
    print(
        f"{describe()}; batches of {BATCH} from the input pipeline, Adam, L1, medians"
        f" over at least {arguments.steps} steps\n"
    )
    print(
        "| network | LR patch | precision | steps per execution | ms/step | CPU ms/step"
        " | steps/s | GFLOP/s | of product |"
    )
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    precisions = [("float32", "float32")]
    if arguments.bfloat16 or processor.has_bfloat16():
        precisions.append(("mixed_bfloat16", "bfloat16"))
    for name, (policy, dtype), size in itertools.product(
        arguments.networks,
        precisions,
        arguments.steps_per_execution,
    ):
        before = product_rate(dtype)
        seconds, cpu_seconds, gflop = step_seconds(name, policy, arguments.steps, size)
        product = statistics.mean((before, product_rate(dtype)))
        scale, side = CASES[name]
        print(
            f"| {name} x{scale} | {side}x{side} | {policy} | {size} |"
            f" {1000 * seconds:.1f} | {1000 * cpu_seconds:.1f} | {1 / seconds:.1f} |"
            f" {gflop / seconds:.0f} | {gflop / seconds / product:.2f} of"
            f" {product:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
