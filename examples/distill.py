"""Makes pairs of photos from which a small network learns to do what a large one does.

    python examples/distill.py RealESRGAN_x4plus.pth --data photos --out pairs

The large network (the teacher) upscales degraded patches of photos. Its outputs are
stored as HR photos beside the LR patches, so that any network can be trained on them:

    python -m sr_keras train span --scale 4 --data pairs --out runs/small

A teacher for clean photos, such as `rlfn_s_x4.pth`, takes whole photos, downscaled by
bicubic interpolation:

    python examples/distill.py rlfn_s_x4.pth --data photos --out pairs --whole

The output of a teacher is a function of the LR image. So a small network that learns it
with a pixel loss need not blur, as it must when many HR images are possible. This is
knowledge distillation ([Hinton et al., 2015](https://arxiv.org/abs/1503.02531)).

An interrupted run goes on where it ended, if the batch size is the same. The teacher is
any network that `sr.models.load` reads. Patches are degraded as for the shipped
`span-x4-photos-real`. 20 of the photos are held out, as by the recipes, and stored as
they are in the folder `validation` of the pairs.
"""

import argparse
import pathlib

import numpy as np
from rich.progress import track

import sr_keras as sr
from sr_keras import precision
from sr_keras.checks import check_counts
from sr_keras.training.recipes import AS_THEY_COME


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("teacher", help="what `sr.models.load` takes")
    parser.add_argument("--data", nargs="+", required=True, help="folders of photos")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument(
        "--count",
        type=int,
        default=1000,
        help="number of pairs, rounded up to whole batches",
    )
    parser.add_argument("--size", type=int, default=64, help="side of the LR patches")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument(
        "--whole",
        action="store_true",
        help="take each photo once and whole, with bicubic LR, instead of patches",
    )
    parser.add_argument(
        "--self-ensemble",
        action="store_true",
        help="store the mean of what the teacher makes of eight flips and turns",
    )
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", *precision.POLICIES),
        help="of the teacher; by default what this machine computes fastest",
    )
    arguments = parser.parse_args()
    check_counts(count=arguments.count, batch_size=arguments.batch_size)

    teacher = sr.models.load(arguments.teacher)
    scale = teacher.scale
    teacher = precision.with_precision(teacher, arguments.precision)
    degradation = AS_THEY_COME if scale == 4 else "second_order"
    if arguments.whole:
        degradation = "bicubic"
    photos = sr.datasets.concatenate(
        [
            sr.datasets.open_data(name, scale, degradation=degradation)
            for name in arguments.data
        ]
    )
    photos, held_out = photos.split(20)
    for i in range(len(held_out)):
        path = arguments.out / "validation" / f"{i:05}.png"
        if not path.exists():
            sr.images.write(path, held_out.hr(i))

    def enlarge(lr):
        tile = 256 if arguments.whole else None
        return sr.upscale(teacher, lr, tile, self_ensemble=arguments.self_ensemble)

    # HR images are written last, because they are counted.
    hr_folder = arguments.out / "HR"
    lr_folder = arguments.out / "LR_bicubic" / f"X{scale}"
    done = len(list(hr_folder.glob("*.png")))
    if arguments.whole:
        for i in track(range(done, len(photos))):
            lr, _ = photos[i]
            sr.images.write(lr_folder / f"{i:05}x{scale}.png", lr)
            sr.images.write(hr_folder / f"{i:05}.png", enlarge(lr))
        return
    size = arguments.batch_size
    num_batches = -(-arguments.count // size)
    done //= size
    batches = sr.pipeline.training_batches(
        photos, arguments.size, size, start_step=done, skip_bad=True, min_contrast=0.04
    ).take(max(num_batches - done, 0))
    progress = track(batches.as_numpy_iterator(), total=num_batches - done)
    for batch, (patches, _) in enumerate(progress, start=done):
        patches = sr.images.to_integer(patches, np.uint8)
        outputs = enlarge(patches)
        pairs = zip(patches, outputs, strict=True)
        for i, (lr, hr) in enumerate(pairs, start=batch * size):
            sr.images.write(lr_folder / f"{i:05}x{scale}.png", lr)
            sr.images.write(hr_folder / f"{i:05}.png", hr)


if __name__ == "__main__":
    main()
