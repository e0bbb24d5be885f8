"""Training steps a second, beside what this machine multiplies matrices at.

    python benchmarks/train.py [--steps 20] [NETWORK ...]

Each network trains by `fit` on batches from the input pipeline. Its GFLOP/s count
two operations for each multiplication of its convolutions (`models.mult_adds`),
forward, and twice that backward. The product of two matrices of 2048x2048 in the
same precision is measured before and after each network.
"""

import argparse
import os
import statistics
import time

import keras
import tensorflow as tf

import sr_keras as sr

# network: scale, LR side
CASES = {
    "espcn": (3, 32),
    "fsrcnn": (4, 24),
    "srcnn": (3, 32),
    "edsr": (4, 48),
}
BATCH = 16


def product_rate(dtype, size=2048):
    """GFLOP/s of a matrix product."""
    a = tf.cast(tf.random.normal((size, size)), dtype)

    @tf.function
    def product():
        return tf.matmul(a, a)

    product()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        product().numpy()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times) / 1e9


class StepTimes(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.times = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())


def step_seconds(name, policy, steps):
    scale, lr_size = CASES[name]
    keras.config.set_dtype_policy(policy)
    model = sr.models.NETWORKS[name](scale)
    keras.config.set_dtype_policy("float32")
    model.compile("adam", sr.losses.L1())
    batches = sr.pipeline.training_batches(
        sr.datasets.samples(scale), lr_size, BATCH, channels=model.input_shape[-1]
    )
    timer = StepTimes()
    model.fit(
        batches,
        steps_per_epoch=steps + 5,
        shuffle=False,
        callbacks=[timer],
        verbose=0,
    )
    times = timer.times[4:]
    steps = [after - before for before, after in zip(times, times[1:], strict=False)]
    cost = sr.models.mult_adds(model, scale, lr_size * scale, lr_size * scale)
    return statistics.median(steps), 3 * 2 * cost * BATCH / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(CASES))
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; batches"
        f" of {BATCH} from the input pipeline, Adam, L1, median of"
        f" {arguments.steps} steps\n"
    )
    print(
        "| network | LR patch | precision | ms/step | steps/s | GFLOP/s | of product |"
    )
    print("|---|---|---|---:|---:|---:|---:|")
    for name in arguments.networks:
        for policy, dtype in (("float32", "float32"), ("mixed_bfloat16", "bfloat16")):
            before = product_rate(dtype)
            seconds, gflop = step_seconds(name, policy, arguments.steps)
            product = statistics.mean((before, product_rate(dtype)))
            scale, side = CASES[name]
            print(
                f"| {name} x{scale} | {side}x{side} | {policy} | {1000 * seconds:.1f} |"
                f" {1 / seconds:.1f} | {gflop / seconds:.0f} |"
                f" {gflop / seconds / product:.2f} of {product:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
