"""Draws what a network makes of two photos at several steps of its training.

    python notebooks/film.py figures/10_film.jpg \\
        --row "SRGAN" 0=edsr-x4-bsds 500=runs/a/500.keras 3,600=edsr-x4-photos-srgan \\
        --row "without the discriminator" 0=edsr-x4-bsds 500=runs/b/500.keras

Each row is a training: STEP=MODEL, where a model is anything that `sr.models.load`
takes. The first photo is shown for all rows, then the second.
"""

import argparse
import pathlib

import matplotlib.pyplot as plt
from skimage import data

import sr_keras as sr

# Photos that no network was trained on, and the crops that are shown: top, left, height
# and width in HR pixels.
MOTIFS = {
    "fur": (data.chelsea()[:300, :448], (150, 60, 120, 150)),
    "hair": (data.astronaut()[:240, 100:340], (10, 80, 120, 150)),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", help="JPEG, relative to the folder of the notebooks")
    parser.add_argument(
        "--row", nargs="+", action="append", required=True, metavar="STEP=MODEL"
    )
    parser.add_argument("--scale", type=int, default=4)
    arguments = parser.parse_args()

    rows = [(title, *series) for title, *series in arguments.row]
    columns = max(len(series) for _, *series in rows)
    shape = (len(MOTIFS) * len(rows), columns)
    fig, axes = plt.subplots(
        *shape, figsize=(3.3 * shape[1], 2.95 * shape[0]), layout="constrained"
    )
    distance = sr.lpips.Distance()
    for ax in axes.flat:
        ax.set_axis_off()
    for number, (title, *series) in enumerate(rows):
        for column, item in enumerate(series):
            step, _, name = item.partition("=")
            model = sr.models.load(name)
            for k, (motif, (hr, crop)) in enumerate(MOTIFS.items()):
                lr = sr.degradations.Downscale(arguments.scale)(hr)
                image = sr.upscale(model, lr, tile=None)
                border = arguments.scale
                cut = slice(border, -border)
                pair = [sr.images.to_float(x[cut, cut])[None] for x in (hr, image)]
                psnr = sr.evaluation.score(hr, image, border)["psnr_y"]
                scores = f"{psnr:.2f} dB, LPIPS {float(distance(*pair)[0]):.3f}"
                print(f"{title}, step {step}, {motif}: {scores}", flush=True)
                ax = axes[k * len(rows) + number, column]
                top, left, height, width = crop
                ax.imshow(image[top : top + height, left : left + width])
                ax.set_title(f"{title}, step {step}\n{scores}", fontsize=10)
    out = pathlib.Path(__file__).parent / arguments.out
    fig.savefig(out, dpi=110, pil_kwargs={"quality": 90})
    print(out)


if __name__ == "__main__":
    main()
