"""How long the first result and the first training step take.

    python benchmarks/start.py [--photos 10000] [NAME ...]

The first table is about Python's start: the seconds of a processor that TensorFlow and
Keras take to be imported, and those of the package and of its command line, which
include them. Python is started five times, of which the median is shown.

The second is about upscaling in tiles: each network (the name of a builder, with
random weights at x4, or of shipped weights) upscales an image of 512x512 pixels twice.
The first time, the receptive field is determined as well, and the network is compiled.
The field comes from the graph if all layers are known, as those of every builder are.
Of a network with a layer of the user's own it is measured by running it; "measured" is
what that would take.

The third is about training: small PNG files are opened, decoded into the cache and
cropped into a first batch, first without a cache, then with the cache of the first run.
"""

import argparse
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from machine import describe

STARTS = {
    "TensorFlow and Keras": ("-c", "import tensorflow, keras"),
    "`import sr_keras`": ("-c", "import sr_keras"),
    "`python -m sr_keras --version`": ("-m", "sr_keras", "--version"),
    "`python -m sr_keras --help`": ("-m", "sr_keras", "--help"),
}
NETWORKS = ("fsrcnn", "espcn", "span", "rlfn", "edsr-x4-bsds")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--photos", type=int, default=10_000)
    arguments = parser.parse_args()
    print(f"{describe()}; seconds\n")
    print("| start | of a processor |")
    print("|---|---:|")
    for name, command in STARTS.items():
        print(f"| {name} | {starting(command):.1f} |", flush=True)
    print("\n| network | field from the graph | measured | first run | second run |")
    print("|---|---:|---:|---:|---:|")
    for name in arguments.networks:
        seconds = " | ".join(f"{x:.2f}" for x in upscaling(name))
        print(f"| {name} | {seconds} |", flush=True)
    print(f"\n| {arguments.photos:,} photos | open | first batch |")
    print("|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        make_photos(folder / "photos", arguments.photos)
        for kind in ("no cache", "with the cache"):
            seconds = " | ".join(f"{x:.1f}" for x in training(folder))
            print(f"| {kind} | {seconds} |", flush=True)


def starting(command):
    """Returns the seconds of a processor that Python takes, the median of five."""
    times = [processor_time()]
    for _ in range(5):
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(processor_time())
    return statistics.median(np.diff(times))


def processor_time():
    """Returns the seconds that all child processes have taken together."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def upscaling(name):
    """Returns four times: field from the graph, field measured, first run, second."""
    import sr_keras as sr
    from sr_keras import receptive_field

    is_builder = name in sr.models.NETWORKS
    network = sr.models.NETWORKS[name](4) if is_builder else sr.models.load(name)
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype="uint8")
    times = [time.perf_counter()]
    receptive_field.from_graph(network)
    times.append(time.perf_counter())
    receptive_field.measure(network)
    times.append(time.perf_counter())
    sr.upscale(network, image)
    times.append(time.perf_counter())
    sr.upscale(network, image)
    times.append(time.perf_counter())
    return np.diff(times)


def make_photos(folder, count):
    """Writes PNG files of 64x64 pixels, parts of a photo of scikit-image."""
    from skimage import data

    from sr_keras import images

    source = data.astronaut()
    rng = np.random.default_rng(0)
    for i in range(count):
        y, x = rng.integers(0, 512 - 64, 2)
        images.write(folder / f"{i:05}.png", source[y : y + 64, x : x + 64])


def training(folder):
    """Returns the seconds until a dataset is open, and until the first batch."""
    import sr_keras as sr

    start = time.perf_counter()
    photos = sr.datasets.folder(folder / "photos", 4)
    opened = time.perf_counter()
    batches = sr.pipeline.training_batches(photos, 12, 16, cache=folder / "cache")
    next(iter(batches))
    return opened - start, time.perf_counter() - opened


if __name__ == "__main__":
    main()
