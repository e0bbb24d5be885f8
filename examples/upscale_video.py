"""Enlarges a video, frame by frame: one frame at a time is in memory.

python examples/upscale_video.py IN OUT.mp4 [MODEL]        needs: pip install av

Each frame is enlarged on its own, and there is no sound in the result.
"""

import sys

import imageio.v3 as iio

import sr_keras as sr


def upscale_video(network, source, target, tile=256):
    """Writes `source`, enlarged, to `target`, and returns the number of frames."""
    rate = iio.immeta(source, plugin="pyav")["fps"]
    count = 0
    with iio.imopen(target, "w", plugin="pyav") as file:
        file.init_video_stream("libx264", fps=rate)
        for frame in iio.imiter(source, plugin="pyav"):
            large = sr.upscale(network, frame, tile)
            height, width = large.shape[0] // 2 * 2, large.shape[1] // 2 * 2
            file.write_frame(large[:height, :width])  # H.264 wants even sides
            count += 1
    return count


def main(source, target, model="edsr-x4-bsds-small"):
    count = upscale_video(sr.models.load(model), source, target)
    print(f"{count} frames -> {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
