"""Upscales a video, and says how long the rest will take.

    python examples/upscale_video.py IN OUT.mp4 [MODEL]

MODEL is anything that `sr_keras.models.load` takes. PyAV is needed: pip install av

`python -m sr_keras upscale IN --out FOLDER` does the same.
"""

import sys
import time

import sr_keras as sr


def main(source, target, model="edsr-x4-bsds-small"):
    start = time.perf_counter()

    def show(done, total):
        seconds = (time.perf_counter() - start) / done * (total - done)
        print(f"\r{done} of {total} frames, {seconds:.0f} s left ", end="", flush=True)

    count = sr.inference.upscale_video(model, source, target, progress=show)
    print(f"\n{count} frames -> {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
