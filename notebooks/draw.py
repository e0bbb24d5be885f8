"""Makes the figures that the lessons show in their text, in `figures/`.

    python notebooks/draw.py            all of them
    python notebooks/draw.py 04 09      those of these lessons

`NN_goal.jpg`, on the first screen of a lesson, is a picture taken from its executed
notebook: draw it again after executing the lesson. The diagrams are written twice, as
SVG for pages and slides, and as PNG for the student edition.
"""

import argparse
import base64
import io
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import nbformat
from matplotlib import patches
from PIL import Image

import sr_keras as sr
from sr_keras.plotting.panels import figure

FOLDER = pathlib.Path(__file__).resolve().parent
FIGURES = FOLDER / "figures"
_LARGEST = (900, 800)  # width and height of a goal
_SHOWN = 900  # width of a drawing on a slide, in pixels
_LETTER = 12  # least size of its letters, in pixels

# The picture that shows what a lesson is about: a text in the cell that makes it, and
# the part that is cut out, (left, top, right, bottom) in pixels, or None for all of it.
GOALS = {
    "00_quickstart": ("sr.plotting.comparison(goal", None),
    "01_pixels": ('"shuffled HR": shuffled', None),
    "02_data": ('"lost pixels": {', (0, 0, 1120, 642)),
    "03_srcnn": ("show(1, front)", None),
    "04_espcn": ("motorcycle x3: the engine;", None),
    "05_autoencoders": ('squeezed["LR (12), bicubic"]', None),
    "06_unet": ('"shipped U-Net": restored', None),
    "07_perceptual": ("painted by the texture loss", None),
    "08_edsr": ("motorcycle x4: the fork", None),
    "09_designs": ("designs.items()", None),
    "10_gans": ('order = ("bicubic", "L1, sharpened"', (0, 440, 1093, 853)),
    "11_vae": ("draws = sample_glyphs(glyph_decoder", None),
    "12_quality": ('{"HR": photo, **degraded}', None),
    "13_hallucination": ('"LR": cat_lr, **cats', None),
    "14_zero_shot": ("name: images_of_kernels[name]", None),
    "15_into_the_world": ("without_halo = tiled", None),
    "16_real_photos": ("goal = {name: sr.upscale", None),
    "17_efficient": ("zip(axes, results.items()", None),
    "18_diffusion": ("the network's estimate", None),
    "19_capstone": ("the entries of this lesson", None),
}


def networks():
    """Returns (network, size, blocks that are drawn as one box), by name of figure."""
    models = sr.models
    dbpn = models.dbpn(4, num_stages=1)
    rrdb = models.rrdb(4, num_blocks=1)
    swinir = models.swinir(4, 60, depths=(2,), variant="lightweight")
    span = models.span(4, num_blocks=1)
    hourglass = models.stacked_hourglass(4, num_stacks=1, depth=2)
    return {
        "03_srcnn": (models.srcnn(3, channels=1), 96, {}),
        "03_vdsr": (models.vdsr(3), 96, {}),
        "04_espcn": (models.espcn(3), 96, {}),
        "04_fsrcnn": (models.fsrcnn(3), 96, {}),
        "05_autoencoder": (models.autoencoder(4, filters=(64, 32)), 96, {}),
        "06_unet": (models.unet(1, num_levels=3), 96, {}),
        "08_srresnet": (models.srresnet(4), 96, {}),
        "08_edsr": (models.edsr(4), 96, {}),
        "09_dbpn": (_part(dbpn, "up_0_sum", x="squeeze_prelu"), 24, {}),
        "09_hourglass": (
            _part(hourglass, "stack_0_join_0", x="head"),
            96,
            {
                "stack_0_branch_0": "Residual block",
                "stack_0_branch_1": "Residual block",
                "stack_0_down_0": "Residual block",
                "stack_0_(down_1|bottom|up_1)": "3 residual blocks",
                "stack_0_up_0": "Residual block",
            },
        ),
        "10_rrdb": (_part(rrdb, "block_0_skip", x="head"), 96, {}),
        "10_patchgan": (models.patchgan(), 256, {}),
        "10_unet": (
            models.unet_discriminator(),
            256,
            {f"(nearest|up)_{i}": "Nearest ↑2\nconv 3×3" for i in range(3)},
        ),
        "11_encoder": (
            models.vae_encoder(4),
            {"lr": 24, "hr": 96},
            {"block_": "2 residual blocks"},
        ),
        "11_decoder": (
            models.vae_decoder(4),
            24,
            {
                "head|block_|body|global_skip": "8 residual blocks",
                "late_block_": "2 residual blocks",
                "upsampling_|shuffle_": "Upsampling\n2 steps",
            },
        ),
        "17_swinir": (_part(swinir, "group_0_block_0_skip2", x="embed_norm"), 48, {}),
        "17_span": (_part(span, "block_0_gated", x="head"), 48, {}),
        "18_block": (
            _part(
                models.denoiser(4, filters=24, channels=1),
                "encoder_0_add",
                x="head",
                time="time_dense",
            ),
            48,
            {"encoder_0_time": "Dense"},
        ),
        "18_unet": (
            models.denoiser(4, filters=24, channels=1, num_levels=2),
            {"noisy": 96, "lr": 24},
            {
                "patches|head": "Unshuffle\nconv 3×3",
                "encoder_0_": "Residual block",
                "bottom_": "2 residual blocks",
                "decoder_0_": "Residual block",
                "tail": "Normalize\nconv 3×3",
            },
        ),
    }


def _part(model, last, **first):
    """Returns the layers after those in `first`, whose keys name the inputs."""
    starts = [model.get_layer(name).output for name in first.values()]
    part = keras.Model(starts, model.get_layer(last).output)
    inputs = [
        keras.Input(start.shape[1:], name=name)
        for name, start in zip(first, starts, strict=True)
    ]
    return keras.models.clone_model(part, inputs)


# Sketches: rows of boxes that are joined by arrows. A box is (name, text, kind), and an
# arrow is (from, to, text). A box stands at (column, row).
SKETCHES = {
    "01_degradation": {
        "boxes": {
            "hr": (0, 0, "HR", "image"),
            "blur": (1, 0, "blur, against\naliases", "step"),
            "down": (2, 0, "keep 1 of\ns × s pixels", "step"),
            "lr": (3, 0, "LR", "image"),
            "up": (4, 0, "interpolation\nor network", "step"),
            "sr": (5, 0, "SR", "image"),
            "score": (5, 1, "PSNR, SSIM", "loss"),
        },
        "arrows": ["hr blur", "blur down", "down lr", "lr up", "up sr", "sr score"],
        "bends": [("hr", "score", 1)],
    },
    "02_pipeline": {
        "boxes": {
            "files": (0, 0, "photos", "image"),
            "degrade": (1, 0, "degrade\nwhole photos", "step"),
            "crop": (2, 0, "cut patches\nof LR and HR", "step"),
            "augment": (3, 0, "flip, rotate\nboth", "step"),
            "batch": (4, 0, "batch of\n(LR, HR)", "image"),
            "fit": (5, 0, "model.fit", "step"),
            "crop2": (1, 1, "cut HR patch\nwith a margin", "step"),
            "augment2": (2, 1, "flip, rotate", "step"),
            "degrade2": (3, 1, "degrade, cut\nthe margin off", "step"),
        },
        "arrows": [
            "files degrade",
            "degrade crop",
            "crop augment",
            "augment batch",
            "batch fit",
            "files crop2",
            "crop2 augment2",
            "augment2 degrade2",
            "degrade2 batch",
        ],
    },
    "04_upsampling": {
        "boxes": {
            "lr": (0, 0, "LR", "image"),
            "up": (1, 0, "interpolate ↑", "up"),
            "convs": (2, 0, "convolutions\nat HR size", "step"),
            "sr": (3, 0, "SR", "image"),
            "lr2": (0, 1, "LR", "image"),
            "convs2": (1, 1, "convolutions\nat LR size", "step"),
            "up2": (2, 1, "pixel shuffle\nor deconv. ↑", "up"),
            "sr2": (3, 1, "SR", "image"),
        },
        "arrows": [
            "lr up",
            "up convs",
            "convs sr",
            "lr2 convs2",
            "convs2 up2",
            "up2 sr2",
        ],
    },
    "07_losses": {
        "boxes": {
            "sr": (0, 0, "output", "image"),
            "hr": (0, 2, "target", "image"),
            "vgg": (1, 0, "VGG19, fixed", "step"),
            "vgg2": (1, 2, "VGG19, fixed", "step"),
            "features": (2, 0, "features φ", "image"),
            "features2": (2, 2, "features φ", "image"),
            "content": (3, 0, "content loss:\ndifference", "loss"),
            "texture": (3, 2, "texture loss:\nGram matrices", "loss"),
            "pixels": (0, 1, "pixel loss", "loss"),
        },
        "arrows": [
            "sr vgg",
            "hr vgg2",
            "vgg features",
            "vgg2 features2",
            "features content",
            "features2 texture",
            "features2 content",
            "features texture",
            "sr pixels",
            "hr pixels",
        ],
    },
    "09_lapsrn": {
        "boxes": {
            "convs": (0, 0, "convolutions\nat LR size", "step"),
            "up": (1, 0, "transposed\n3 × 3, ↑2", "up"),
            "convs2": (2, 0, "convolutions\nat 2 × LR", "step"),
            "up2": (3, 0, "transposed\n3 × 3, ↑2", "up"),
            "residual": (2, 1, "conv. 3 × 3:\nresidual of x2", "step"),
            "residual2": (4, 1, "conv. 3 × 3:\nresidual of x4", "step"),
            "lr": (0, 2, "LR", "image"),
            "image": (1, 2, "transposed\n4 × 4, ↑2", "up"),
            "sum": (2, 2, "+", "image"),
            "image2": (3, 2, "transposed\n4 × 4, ↑2", "up"),
            "sum2": (4, 2, "+", "image"),
            "x2": (2, 3, "output of x2", "image"),
            "x4": (4, 3, "output of x4", "image"),
        },
        "arrows": [
            "lr convs",
            "convs up",
            "up convs2",
            "convs2 up2",
            "up residual",
            "up2 residual2",
            "residual sum",
            "residual2 sum2",
            "lr image",
            "image sum",
            "sum image2",
            "image2 sum2",
            "sum x2",
            "sum2 x4",
        ],
    },
    "10_gan": {
        "boxes": {
            "lr": (0, 0, "LR", "image"),
            "g": (1, 0, "generator", "up"),
            "sr": (2, 0, "SR", "image"),
            "hr": (2, 2, "HR", "image"),
            "d": (3, 1, "discriminator", "step"),
            "logit": (4, 1, "logit: a photo?", "image"),
            "gl": (5, 0, "generator:\nSR looks real", "loss"),
            "dl": (5, 2, "discriminator:\nHR real, SR fake", "loss"),
            "pixel": (2, 1, "pixel and\nfeature loss", "loss"),
        },
        "arrows": [
            "lr g",
            "g sr",
            "sr d",
            "hr d",
            "d logit",
            "logit gl",
            "logit dl",
            "sr pixel",
            "hr pixel",
        ],
    },
    "11_vae": {
        "boxes": {
            "hr": (0, 0, "HR", "image"),
            "lr": (0, 1, "LR", "image"),
            "e": (1, 0, "encoder", "step"),
            "q": (2, 0, "μ, log σ²", "image"),
            "z": (3, 0, "z = μ + σ ε", "image"),
            "d": (4, 1, "decoder", "up"),
            "sr": (5, 1, "SR", "image"),
            "kl": (4, 0, "KL to N(0, 1)", "loss"),
            "rec": (5, 0, "squared error", "loss"),
        },
        "arrows": ["hr e", "lr e", "e q", "q z", "z d", "lr d", "d sr", "sr rec"],
        "bends": [("q", "kl", -0.75), ("hr", "rec", -1.0)],
    },
    "16_second_order": {
        "boxes": {
            "hr": (0, 0, "HR", "image"),
            "blur": (1, 0, "blur", "step"),
            "resize": (2, 0, "resize", "step"),
            "noise": (3, 0, "noise", "step"),
            "jpeg": (4, 0, "JPEG", "step"),
            "once": (5, 0, "degraded\nonce", "image"),
            "blur2": (1, 1, "blur", "step"),
            "resize2": (2, 1, "resize", "step"),
            "noise2": (3, 1, "noise", "step"),
            "jpeg2": (4, 1, "JPEG and\nsinc filter", "step"),
            "lr": (5, 1, "LR", "image"),
        },
        "arrows": [
            "hr blur",
            "blur resize",
            "resize noise",
            "noise jpeg",
            "jpeg once",
            "blur2 resize2",
            "resize2 noise2",
            "noise2 jpeg2",
            "jpeg2 lr",
            "once blur2",
        ],
    },
    "14_zero_shot": {
        "boxes": {
            "lr": (0, 0, "the photo:\nLR", "image"),
            "down": (1, 0, "downscale", "step"),
            "son": (2, 0, "its son", "image"),
            "train": (3, 0, "train: son\nto photo", "up"),
            "net": (4, 0, "network of\nthis photo", "step"),
            "sr": (5, 0, "SR", "image"),
        },
        "arrows": ["lr down", "down son", "son train", "train net", "net sr"],
        "bends": [("lr", "train", 0.8), ("lr", "net", 1.0)],
    },
    "18_diffusion": {
        "boxes": {
            "noise": (0, 0, "noise ε", "image"),
            "hr": (0, 1, "HR: x₀", "image"),
            "time": (0, 2, "time t", "image"),
            "lr": (0, 3, "LR", "image"),
            "true": (1, 0, "true velocity:\nα ε - σ x₀", "step"),
            "mix": (1, 1, "mix:\nα x₀ + σ ε", "step"),
            "net": (2, 2, "U-Net", "up"),
            "v": (3, 2, "velocity v", "image"),
            "loss": (4, 0, "training:\nsquared error", "loss"),
            "parts": (4, 2, "sampling:\nx₀ and ε", "step"),
            "next": (5, 2, "mix for an\nearlier time", "step"),
        },
        "arrows": [
            "hr true",
            "noise true",
            "hr mix",
            "noise mix",
            "true loss",
            "time net",
            "mix net",
            "lr net",
            "net v",
            "v loss",
            "v parts",
            "parts next",
        ],
        "bends": [("next", "net", 0.9)],
    },
    "15_tiles": {
        "boxes": {
            "lr": (0, 0, "large LR", "image"),
            "cut": (1, 0, "tiles\nwith a halo", "step"),
            "net": (2, 0, "network,\ntile by tile", "up"),
            "trim": (3, 0, "cut the\nhalo off", "step"),
            "join": (4, 0, "paste", "step"),
            "sr": (5, 0, "large SR", "image"),
        },
        "arrows": ["lr cut", "cut net", "net trim", "trim join", "join sr"],
    },
    "17_attention": {
        "boxes": {
            "x": (0, 1, "features\nof all pixels", "image"),
            "q": (1, 0, "queries Q", "step"),
            "k": (1, 1, "keys K", "step"),
            "v": (1, 2, "values V", "step"),
            "s": (2, 0, "scores\nQ Kᵀ / √d", "step"),
            "w": (3, 0, "weights:\nsoftmax", "up"),
            "m": (4, 1, "weighted\nmean of V", "up"),
            "y": (5, 1, "features", "image"),
        },
        "arrows": ["x q", "x k", "x v", "q s", "k s", "s w", "w m", "v m", "m y"],
    },
    "17_folding": {
        "boxes": {
            "x": (0, 0, "in training:\nfeatures", "image"),
            "widen": (1, 0, "1 × 1,\nwider", "step"),
            "work": (2, 0, "3 × 3", "step"),
            "narrow": (3, 0, "1 × 1,\nnarrower", "step"),
            "skip": (3, 1, "1 × 1", "step"),
            "sum": (4, 0, "+", "image"),
            "y": (5, 0, "features", "image"),
            "x2": (0, 2, "in use:\nfeatures", "image"),
            "folded": (2, 2, "3 × 3,\nfolded", "up"),
            "y2": (5, 2, "the same\nfeatures", "image"),
        },
        "arrows": [
            "x widen",
            "widen work",
            "work narrow",
            "narrow sum",
            "skip sum",
            "sum y",
            "x2 folded",
            "folded y2",
        ],
        "bends": [("x", "skip", 1)],
    },
}
_FILL = {"image": "white", "step": "#9ecae1", "up": "#fdae6b", "loss": "#fcbba1"}
_CELL = (1.65, 1.05)  # inches from box to box
_SIZE = (1.25, 0.58)


def pictures(name):
    """Returns (source of the cell, image) for each picture in an executed lesson."""
    found = []
    for cell in nbformat.read(FOLDER / f"{name}.ipynb", 4).cells:
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}):
                    code = base64.b64decode(output.data[kind])
                    image = Image.open(io.BytesIO(code)).convert("RGB")
                    found.append((cell.source, image))
    return found


def write_goal(name):
    """Cuts the goal of a lesson out of its executed notebook."""
    text, part = GOALS[name]
    image = next(image for source, image in pictures(name) if text in source)
    image = image.crop(part) if part else image
    image.thumbnail(_LARGEST, Image.Resampling.LANCZOS)
    path = FIGURES / f"{name[:2]}_goal.jpg"
    image.save(path, quality=85, optimize=True)
    return path


def sketch(boxes, arrows, bends=()):
    """Draws boxes and arrows."""
    columns = max(column for column, *_ in boxes.values()) + 1
    rows = max(row for _, row, *_ in boxes.values()) + 1
    above = max([0, *(-offset for *_, offset in bends)])
    below = max([0, *(boxes[a][1] + offset - rows + 1 for a, _, offset in bends)])
    width = columns * _CELL[0]
    height = (rows + 0.6 * (above + below)) * _CELL[1]
    fig = figure(width, height)
    ax = fig.add_axes((0, 0, 1, 1))
    top = -0.5 - 0.6 * above
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(top + height / _CELL[1], top))
    ax.axis("off")
    half = _SIZE[0] / _CELL[0] / 2, _SIZE[1] / _CELL[1] / 2
    style = {"arrowstyle": "-|>", "color": "0.25", "linewidth": 1.2, "shrinkA": 0}
    style["shrinkB"] = 0
    for arrow in arrows:
        a, b = (boxes[name] for name in arrow.split())
        if a[1] == b[1]:
            start, stop = (a[0] + half[0], a[1]), (b[0] - half[0], b[1])
        elif a[0] == b[0]:
            sign = 1 if b[1] > a[1] else -1
            start, stop = (a[0], a[1] + sign * half[1]), (b[0], b[1] - sign * half[1])
        elif b[0] < a[0] and b[1] == a[1] + 1:  # back, between two rows
            y = (a[1] + b[1]) / 2
            ax.plot([a[0], a[0], b[0]], [a[1] + half[1], y, y], color="0.25", lw=1.2)
            start, stop = (b[0], y), (b[0], b[1] - half[1])
        else:
            start, stop = (a[0] + half[0], a[1]), (b[0] - half[0], b[1])
        ax.annotate("", stop, start, arrowprops=style)
    for first, last, offset in bends:
        a, b = boxes[first], boxes[last]
        y = a[1] + 0.6 * offset if abs(offset) != 1 or b[1] == a[1] else b[1]
        if b[1] != a[1]:  # along the row of the second box
            ax.plot([a[0], a[0]], [a[1] + half[1], y], color="0.25", linewidth=1.2)
            ax.annotate("", (b[0] - half[0], y), (a[0], y), arrowprops=style)
            continue
        sign = 1 if offset > 0 else -1
        edge = a[1] + sign * half[1]
        ax.plot([a[0], a[0], b[0]], [edge, y, y], color="0.25", linewidth=1.2)
        ax.annotate("", (b[0], edge), (b[0], y), arrowprops=style)
    for column, row, text, kind in boxes.values():
        ax.add_patch(
            patches.FancyBboxPatch(
                (column - half[0], row - half[1]),
                2 * half[0],
                2 * half[1],
                boxstyle="round,pad=0,rounding_size=0.06",
                fc=_FILL[kind],
                ec="0.2",
                zorder=3,
            )
        )
        ax.text(column, row, text, ha="center", va="center", size=10, zorder=4)
    return fig


def write_drawing(fig, name):
    """Writes a drawing as SVG and, for the student edition, as a small PNG."""
    texts = [text for text in fig.axes[0].texts if text.get_text()]
    smallest = min(text.get_size() for text in texts) / 72  # in inches
    if smallest * _SHOWN / fig.get_figwidth() < _LETTER:
        raise ValueError(
            f"{name} has letters of less than {_LETTER} pixels on a slide: draw fewer "
            "layers, or several as one box"
        )
    path = FIGURES / f"{name}.svg"
    style = {"svg.fonttype": "none", "svg.hashsalt": "sr_keras"}
    with matplotlib.rc_context(style):
        fig.savefig(path, metadata={"Date": None, "Creator": None})
    text = path.read_text().replace(
        "'DejaVu Sans', ", "'DejaVu Sans', Verdana, Arial, "
    )
    path.write_text("".join(line.rstrip() + "\n" for line in text.splitlines()))
    file = io.BytesIO()
    fig.savefig(file, dpi=min(110, 1300 / fig.get_figwidth()))
    image = Image.open(file).convert("RGB").quantize(32)
    image.save(path.with_suffix(".png"), optimize=True)
    return path


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lessons", nargs="*", metavar="NN", help="numbers of lessons")
    wanted = tuple(parser.parse_args().lessons) or ("",)
    FIGURES.mkdir(exist_ok=True)
    for name in GOALS:
        if name.startswith(wanted):
            print(write_goal(name).name)
    for name, parts in SKETCHES.items():
        if name.startswith(wanted):
            print(write_drawing(sketch(**parts), name).name)
    for name, (model, size, blocks) in networks().items():
        if name.startswith(wanted):
            print(
                write_drawing(
                    sr.plotting.diagram(model, size, blocks=blocks), name
                ).name
            )


if __name__ == "__main__":
    main()
