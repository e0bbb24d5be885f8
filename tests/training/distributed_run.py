"""Runs the command line with two logical CPUs, and may send a signal to itself.

python distributed_run.py STEP train ... sends SIGTERM after the evaluation at STEP.
"""

import os
import signal
import sys
import time

import keras
import tensorflow as tf

from sr_keras import __main__ as command_line
from sr_keras.training import TrainingRun


def main(step, *arguments):
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, devices)
    evaluate = TrainingRun._evaluate

    def evaluate_and_stop(run, logs):
        evaluate(run, logs)
        if run.step == int(step):
            os.kill(os.getpid(), signal.SIGTERM)
            if keras.backend.backend() == "jax":
                # JAX looks for a signal once a second, and tells the other process
                # while it works: the few steps left would be over by then
                time.sleep(10)

    TrainingRun._evaluate = evaluate_and_stop
    sys.argv = ["sr_keras", *arguments]
    command_line.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
