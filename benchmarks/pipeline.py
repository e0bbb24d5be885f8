"""Patches per second of the training pipeline, compared with common alternatives.

    python benchmarks/pipeline.py [--photos 40] [--seconds 20]

The photos are made from scikit-image's and have the size of DIV2K's: 2040x1356 pixels.
Each way makes batches of 16 aligned and augmented pairs (HR 192, LR 48). It runs in a
process of its own, whose private memory is measured: what is not a mapped file.
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SCALE, LR, BATCH = 4, 48, 16
HR = SCALE * LR


def make_photos(folder, count):
    """Writes HR and LR PNG files: sample photos, enlarged and shifted."""
    import numpy as np
    from skimage import data, transform

    from sr_keras import degradations, images

    sources = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    large = [transform.resize(photo, (1500, 2200), order=3) for photo in sources]
    for i in range(count):
        photo = np.roll(large[i % len(large)], 37 * i, axis=(0, 1))[:1356, :2040]
        hr = images.to_integer(photo)
        images.write(folder / f"HR/{i:04}.png", hr)
        lr = degradations.Downscale(SCALE)(hr)
        images.write(folder / f"LR/{i:04}x4.png", lr)


def pairs_of_paths(folder):
    hr = sorted(str(path) for path in (folder / "HR").iterdir())
    lr = sorted(str(path) for path in (folder / "LR").iterdir())
    return lr, hr


def decoded(folder):
    """Returns a tf.data.Dataset of whole pairs, decoded anew in each pass."""
    import tensorflow as tf

    def decode(lr, hr):
        return tuple(tf.io.decode_png(tf.io.read_file(p), 3) for p in (lr, hr))

    dataset = tf.data.Dataset.from_tensor_slices(pairs_of_paths(folder))
    return dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def patch(lr, hr):
    """Crops and augments one pair, as tutorials do it."""
    import tensorflow as tf

    size = tf.shape(lr)
    y = tf.random.uniform((), 0, size[0] - LR + 1, tf.int32)
    x = tf.random.uniform((), 0, size[1] - LR + 1, tf.int32)
    lr = lr[y : y + LR, x : x + LR]
    hr = hr[SCALE * y : SCALE * y + HR, SCALE * x : SCALE * x + HR]
    turns = tf.random.uniform((), 0, 4, tf.int32)
    flip = tf.random.uniform(()) < 0.5
    pair = []
    for image, side in ((lr, LR), (hr, HR)):
        image = tf.image.rot90(image, turns)
        image = tf.cond(
            flip, lambda i=image: tf.image.flip_left_right(i), lambda i=image: i
        )
        pair.append(tf.ensure_shape(image, (side, side, 3)))
    return tuple(pair)


def decode_for_each_patch(folder):
    """decode the whole PNG for each patch"""
    return decoded(folder).repeat().map(patch, num_parallel_calls=2).batch(BATCH)


def cache_in_file(folder):
    """cache(file) of decoded images, one patch of each per pass"""
    cached = decoded(folder).cache(str(folder / "cache"))
    return cached.repeat().map(patch, num_parallel_calls=2).batch(BATCH)


def cache_in_memory(folder):
    """cache() of decoded images in memory, shuffled"""
    cached = decoded(folder).cache().shuffle(1000).repeat()
    return cached.map(patch, num_parallel_calls=2).batch(BATCH)


def mapped_integers(folder):
    """sr_keras: memory-mapped arrays, integer batches"""
    from sr_keras import datasets
    from sr_keras.pipeline import PatchSampler

    dataset = datasets.folder(folder / "HR", SCALE, folder / "LR")
    sampler = PatchSampler(dataset, LR, BATCH, cache=folder / "arrays")
    return map(sampler.batch, itertools.count())


def mapped_floats(folder):
    """sr_keras: `training_batches`, float32 in [0, 1]"""
    from sr_keras import datasets, pipeline

    dataset = datasets.folder(folder / "HR", SCALE, folder / "LR")
    return pipeline.training_batches(dataset, LR, BATCH, cache=folder / "arrays")


def degraded(folder, degradation):
    """Batches whose LR patches are made anew by a random degradation."""
    from sr_keras import datasets, pipeline

    dataset = datasets.folder(folder / "HR", SCALE, degradation=degradation)
    return pipeline.training_batches(dataset, LR, BATCH, cache=folder / "arrays")


def random_blur(folder):
    """sr_keras: random anisotropic blur and bicubic downscaling of each patch"""
    from sr_keras import degradations as d

    blur = d.GaussianBlur((0.2, 2.0), (0.2, 2.0), (0, 180))
    return degraded(folder, d.Compose([blur, d.Downscale(SCALE)]))


def random_jpeg(folder):
    """sr_keras: bicubic downscaling and JPEG of each patch (`jpeg`)"""
    return degraded(folder, "jpeg")


def crappify(folder):
    """sr_keras: blur, downscaling, noise, quantization, JPEG (`crappify`)"""
    return degraded(folder, "crappify")


def second_order(folder):
    """sr_keras: the degradation of Real-ESRGAN (`second_order`)"""
    return degraded(folder, "second_order")


def shuffled(folder):
    """sr_keras: the degradation of BSRGAN (`shuffled`)"""
    return degraded(folder, "shuffled")


WAYS = {
    way.__name__: way
    for way in (
        decode_for_each_patch,
        cache_in_file,
        cache_in_memory,
        mapped_integers,
        mapped_floats,
        random_blur,
        random_jpeg,
        crappify,
        second_order,
        shuffled,
    )
}


def private_mib():
    with open("/proc/self/smaps_rollup") as file:
        for line in file:
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) / 1024
    raise OSError("This benchmark reads /proc/self/smaps_rollup and needs Linux.")


def measure(way, folder, seconds):
    import tensorflow  # noqa: F401  in the memory of every way

    before = private_mib()
    batches = iter(WAYS[way](folder))
    count = len(list((folder / "HR").iterdir()))
    for _ in range(-(-2 * count // BATCH)):  # fill the caches
        next(batches)
    done, most, start = 0, 0.0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        next(batches)
        done += BATCH
        if done % (64 * BATCH) == 0:
            most = max(most, private_mib())
    rate = done / (time.perf_counter() - start)
    return {"rate": rate, "memory": max(most, private_mib()) - before}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        way, folder = arguments.measure
        print(json.dumps(measure(way, pathlib.Path(folder), arguments.seconds)))
        return

    with tempfile.TemporaryDirectory() as folder:
        make_photos(pathlib.Path(folder), arguments.photos)
        print(
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start;"
            f" {arguments.photos} photos of 2040x1356, batches of {BATCH} augmented"
            f" pairs (HR {HR}, LR {LR}), {arguments.seconds:g} s each\n"
        )
        print("| way | patches/s | batches/s | private memory |")
        print("|---|---:|---:|---:|")
        for name, way in WAYS.items():
            done = subprocess.run(
                [sys.executable, __file__, "--measure", name, folder]
                + ["--seconds", str(arguments.seconds)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            result = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {way.__doc__} | {result['rate']:,.0f} |"
                f" {result['rate'] / BATCH:,.1f} | {result['memory']:,.0f} MiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
