"""Draws what networks make of photos, such as one network at steps of its training.

    python notebooks/film.py figures/10_film.jpg "L1=edsr-x4-bsds" \\
        "500 steps=runs/a/500.keras" "2,000 steps=runs/a/2000.keras"

A panel is CAPTION=MODEL, where a model is anything that `sr.models.load` takes. Each
photo has a row of such panels.
"""

import argparse
import pathlib

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import sr_keras as sr

# Photos that no network was trained on, and the crops that are shown: top, left, height
# and width in HR pixels.
MOTIFS = {
    "fur": (data.chelsea()[:300, :448], (150, 60, 120, 150)),
    "hair": (data.astronaut()[:240, 100:340], (10, 80, 120, 150)),
    "gravel": (
        np.repeat(data.gravel()[:256, :256, None], 3, axis=-1),
        (60, 90, 120, 150),
    ),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", help="JPEG, relative to the folder of the notebooks")
    parser.add_argument("panels", nargs="+", metavar="CAPTION=MODEL")
    parser.add_argument("--scale", type=int, default=4)
    arguments = parser.parse_args()

    distance = sr.lpips.Distance()
    shape = (len(MOTIFS), len(arguments.panels))
    fig, axes = plt.subplots(
        *shape,
        figsize=(3.3 * shape[1], 3 * shape[0]),
        layout="constrained",
        squeeze=False,
    )
    cut = slice(arguments.scale, -arguments.scale)
    for column, panel in enumerate(arguments.panels):
        caption, _, name = panel.partition("=")
        model = sr.models.load(name)
        for row, (motif, (hr, crop)) in enumerate(MOTIFS.items()):
            lr = sr.degradations.Downscale(arguments.scale)(hr)
            image = sr.upscale(model, lr, tile=None)
            pair = [sr.images.to_float(x[cut, cut])[None] for x in (hr, image)]
            psnr = sr.evaluation.score(hr, image, arguments.scale)["psnr_y"]
            scores = f"{psnr:.2f} dB, LPIPS {float(distance(*pair)[0]):.3f}"
            print(f"{motif}, {caption}: {scores}", flush=True)
            top, left, height, width = crop
            ax = axes[row, column]
            ax.imshow(image[top : top + height, left : left + width])
            ax.set_title(f"{caption}\n{scores}", fontsize=11)
            ax.set_axis_off()
    out = pathlib.Path(__file__).parent / arguments.out
    fig.savefig(out, dpi=110, pil_kwargs={"quality": 90})
    print(out)


if __name__ == "__main__":
    main()
