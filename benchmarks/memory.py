"""Peak memory while a large photo is upscaled from file to file.

    python benchmarks/memory.py [--photo 4000x3000] [--engine keras] [--tile auto]
                                [--seconds 60] [NAME ...]

Each network (a name of shipped weights, or a builder, with random weights at x4) has a
process of its own, whose peak resident memory is shown, TensorFlow included. Work ends
after the given time, 0 for never: from the second row of tiles on the memory does not
grow, because the result is written while it is computed. Linux only.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from machine import describe

ROOT = pathlib.Path(__file__).resolve().parents[1]
NETWORKS = ("edsr-x4-bsds", "rrdb", "span", "srvgg", "fsrcnn-x4-bsds")


class TimeIsUpError(Exception):
    """Ends a measurement."""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--photo", default="4000x3000", help="width x height")
    parser.add_argument("--engine", default="keras")
    parser.add_argument("--tile", default="auto", help="auto, or a number of pixels")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(**json.loads(arguments.worker))
        return
    print(f"{describe()}; photo of {arguments.photo}, tiles: {arguments.tile}\n")
    print("| network | engine | seconds | done | peak memory |")
    print("|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        photo = make_photo(pathlib.Path(folder), arguments.photo)
        for name in arguments.networks:
            options = {
                "name": name,
                "photo": str(photo),
                "engine": arguments.engine,
                "tile": arguments.tile,
                "limit": arguments.seconds,
            }
            run = [sys.executable, __file__, "--worker", json.dumps(options)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            reply = subprocess.run(
                run, env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            found = json.loads(reply.stdout.splitlines()[-1])
            print(
                f"| {name} | {arguments.engine} | {found['seconds']:.0f} |"
                f" {100 * found['done']:.0f} % | {found['bytes'] / 2**30:.2f} GiB |",
                flush=True,
            )


def make_photo(folder, size):
    """Writes a photo of the given size, repeated from one of scikit-image's."""
    import numpy as np
    from PIL import Image
    from skimage import data

    width, height = map(int, size.split("x"))
    image = data.astronaut()
    repeats = (-(-height // len(image)), -(-width // image.shape[1]), 1)
    Image.fromarray(np.tile(image, repeats)[:height, :width]).save(folder / "photo.jpg")
    return folder / "photo.jpg"


def work(name, photo, engine, tile, limit):
    from sr_keras import inference, models

    is_shipped = name not in models.NETWORKS
    network = models.load(name) if is_shipped else models.NETWORKS[name](4)
    if engine != "keras":
        from sr_keras import engines

        network = engines.Engine(network, engine)
    tile = tile if tile == "auto" else int(tile)
    start = time.perf_counter()
    share = 0.0

    def progress(path, done, total):
        nonlocal share
        share = done / total
        if limit and time.perf_counter() - start > limit:
            raise TimeIsUpError

    with tempfile.TemporaryDirectory() as out:
        results = inference.upscale_files(
            network, photo, out, tile=tile, progress=progress, max_pixels=0
        )
        try:
            ((_, _, error),) = results
            if error is not None:
                raise error
        except TimeIsUpError:
            pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "done": share, "bytes": peak}))


if __name__ == "__main__":
    main()
