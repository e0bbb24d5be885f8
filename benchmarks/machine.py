"""What the measurements say of the machine they ran on."""

import os
import statistics
import time

from sr_keras import processor


def describe():
    """Returns the features of the processor, the number of cores, and the load."""
    return f"{processor.describe()}, load {os.getloadavg()[0]:.1f} at the start"


def product_rate(dtype="float32", size=2048):
    """Returns the GFLOP/s of a matrix product of TensorFlow, median of seven."""
    import tensorflow as tf

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
