"""How good networks are on photos as they come: compressed, noisy, blurred.

    python benchmarks/real.py [--model FILE ...] [--picture]

Networks are scored on degradations that none of them was trained on, applied to
scikit-image's photos, and, where the folder that `SR_KERAS_DATA` names has it, on
City100: pairs of photos of one scene that a camera took with a long and with a short
focal length. The table is printed and put between marks in `benchmarks/README.md`.
`--picture` draws `assets/real_photos.jpg`. `--model` adds a file of your own, or one
that others published, such as RealESRGAN_x4plus, to both. LPIPS reads its weights from
the folder that `SR_KERAS_DATA` names. Upscaled images are kept in `build/real`.
"""

import argparse
import io
import os
import pathlib

import cv2
import keras
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

import sr_keras as sr
from sr_keras import files

HERE = pathlib.Path(__file__).parent
KEPT = HERE.parent / "build" / "real"
PICTURE = HERE.parent / "assets" / "real_photos.jpg"
NETWORKS = (
    "edsr-x4-bsds",
    "span-x4-photos-real",
    "span-x4-photos-distilled",
    "rrdb-x4-photos-distilled",
    "rrdb-x4-photos-gan",
)
NOT_DRAWN = ("span-x4-photos-real", "rrdb-x4-photos-distilled")
SCALE, BORDER = 4, 4
SIZE = (200, 400)  # of an HR photo: 2 x 4 patches of NIQE within the border
CAMERA_SIZE = (296, 296)
PHOTOS = ("astronaut", "chelsea", "coffee", "motorcycle", "rocket")

# What the picture shows: a photo, its degradation, and the middle of the crop in it.
CROPS = (
    ("astronaut", "JPEG", (120, 225)),
    ("chelsea", "WebP", (120, 225)),
    ("coffee", "JPEG twice", (190, 330)),
    ("motorcycle", "motion", (270, 370)),
    ("City100 003", "camera", (210, 480)),
    ("City100 058", "camera", (420, 420)),
)
SHOWN = 2  # half of the size of scikit-image's photos, so that enough can be seen
SIDE, MARGIN = 96, 8  # LR pixels: of a crop that is shown, and what is upscaled around


def photo(name):
    """Returns one of scikit-image's photos, uint8 RGB."""
    if name == "motorcycle":
        return skimage.data.stereo_motorcycle()[0]
    return getattr(skimage.data, name)()


def middle(image, size, centre=None):
    """Returns a window of a size around a pixel, or around the middle."""
    centre = centre or [side // 2 for side in image.shape[:2]]
    if np.any(np.less(image.shape[:2], size)):
        raise ValueError(f"The photo is smaller than {size}. Received: {image.shape}")
    corner = [
        min(max(c - side // 2, 0), whole - side)
        for c, side, whole in zip(centre, size, image.shape[:2], strict=True)
    ]
    return image[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]


# Degradations: functions of an HR photo, a random generator and a factor that return
# (lr, hr).


def shrunk(hr, factor):
    """Means of factor x factor pixels, as no recipe of the networks has them."""
    size = (hr.shape[1] // factor, hr.shape[0] // factor)
    return cv2.resize(hr, size, interpolation=cv2.INTER_AREA)


def stored(image, kind, **options):
    """Encodes an image and decodes it again, with Pillow's encoders."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return np.asarray(Image.open(file).convert("RGB"))


def as_jpeg(hr, rng, factor):
    return stored(shrunk(hr, factor), "JPEG", quality=35, subsampling="4:2:0"), hr


def as_webp(hr, rng, factor):
    x = shrunk(cv2.GaussianBlur(hr, (0, 0), 0.6 * factor), factor) / 255
    photons = 300  # of a white pixel
    noisy = np.clip(rng.poisson(photons * x) / photons, 0, 1)
    return stored(sr.images.to_integer(noisy), "WEBP", quality=50), hr


def as_jpeg_twice(hr, rng, factor):
    """Compressed, cropped by 3 x 5 pixels, and compressed again on another grid."""
    lr = stored(shrunk(hr, factor), "JPEG", quality=60)[3:, 5:]
    return stored(lr, "JPEG", quality=45), hr[3 * factor :, 5 * factor :]


def in_motion(hr, rng, factor):
    """Moved by 2 LR pixels along a line while the shutter was open."""
    kernel = np.zeros((2 * factor + 1, 2 * factor + 1), "float32")
    angle = rng.uniform(0, np.pi)
    for t in np.linspace(-factor, factor, 65):
        y, x = factor + t * np.sin(angle), factor + t * np.cos(angle)
        kernel[round(y), round(x)] += 1
    blurred = cv2.filter2D(hr, -1, kernel / kernel.sum())
    return stored(shrunk(blurred, factor), "JPEG", quality=75), hr


DEGRADATIONS = {
    "JPEG": as_jpeg,
    "WebP": as_webp,
    "JPEG twice": as_jpeg_twice,
    "motion": in_motion,
}


def degraded(name, kind, factor):
    """Returns the LR and the HR photo."""
    rng = np.random.default_rng(len(name))
    return DEGRADATIONS[kind](photo(name), rng, factor)


def pairs_of(kind):
    """Yields (lr, hr) of all photos for a degradation, or for the camera."""
    if kind != "camera":
        for name in PHOTOS:
            lr, hr = degraded(name, kind, SCALE)
            size = [side // SCALE for side in SIZE]
            centre = [side // 2 for side in lr.shape[:2]]
            yield middle(lr, size, centre), middle(hr, SIZE, [4 * c for c in centre])
    else:
        for path in sorted((city100() / "HR").glob("*.png")):
            hr, lr = read(path), read(city100() / "LR" / path.name)
            # The wide photo was enlarged to the size of the other: it has next to
            # nothing above half of the highest frequency, so half of its size is enough
            half = cv2.resize(lr, (400, 300), interpolation=cv2.INTER_AREA)
            size = [side // 2 for side in CAMERA_SIZE]
            yield middle(half, size), middle(hr, CAMERA_SIZE)


def city100():
    return pathlib.Path(os.environ.get("SR_KERAS_DATA") or "data") / "city100"


def read(path):
    return sr.images.read(path)[..., :3]


def networks(arguments):
    """Returns functions without arguments that load the networks, by name."""
    found = {"bicubic": lambda: sr.models.bicubic(SCALE)}
    for name in NETWORKS:
        found[name] = lambda name=name: sr.models.load(name)
    for path in arguments.model or ():
        found[pathlib.Path(path).stem] = lambda path=path: sr.models.fold(
            sr.models.load(path)
        )
    return found


class Upscaler:
    """A network that keeps what it has upscaled."""

    def __init__(self, load):
        self.network = load()
        self.digest = files.digest(
            map(np.ascontiguousarray, self.network.get_weights())
        )

    def __call__(self, lr):
        lr = np.ascontiguousarray(lr)
        name = files.digest([self.digest.encode(), str(lr.shape).encode(), lr])
        path = KEPT / f"{name[:32]}.png"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            sr.images.write(path, sr.upscale(self.network, lr, tile=None))
        return read(path)


def scores_of(upscale, kind, distance):
    """Returns the mean PSNR, LPIPS and NIQE of a network."""
    rows = []
    for lr, hr in pairs_of(kind):
        image = upscale(lr)
        if image.shape != hr.shape:  # of the camera: twice as large
            image = cv2.resize(image, hr.shape[1::-1], interpolation=cv2.INTER_AREA)
        rows.append(scores(hr, image, distance))
    return np.mean(rows, axis=0)


def scores(hr, image, distance):
    pair = [sr.images.crop_border(sr.images.to_float(x), BORDER) for x in (hr, image)]
    lpips = keras.ops.convert_to_numpy(distance(*(x[None] for x in pair)))[0]
    psnr = sr.evaluation.score(hr, image, BORDER)["psnr_y"]
    return psnr, lpips, sr.quality.niqe(image, BORDER)


def table(found, kinds):
    """Scores all networks, and returns the Markdown table."""
    distance = sr.lpips.Distance("alex")
    lines = [f"| | {' | '.join(kinds)} |", "|---|" + "---|" * len(kinds)]
    for name, load in found.items():
        upscale = Upscaler(load)
        cells = []
        for kind in kinds:
            psnr, lpips, niqe = scores_of(upscale, kind, distance)
            cells.append(f"{psnr:.2f} / {lpips:.3f} / {niqe:.1f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    niqe = [
        np.mean([sr.quality.niqe(hr, BORDER) for _, hr in pairs_of(kind)])
        for kind in kinds
    ]
    lines.append(f"| the HR photos | {' | '.join(f'- / - / {x:.1f}' for x in niqe)} |")
    conditions = (
        f"PSNR (dB, luma, BT.601, 16-235), LPIPS v0.1 (AlexNet, RGB) and NIQE (luma),"
        f" {BORDER} border pixels cut, mean over {len(PHOTOS)} photos of scikit-image,"
        f" the middle {SIZE[1]}x{SIZE[0]} pixels of each, outputs rounded to 8 bits."
    )
    return "\n".join([*lines, "", conditions])


def draw(found):
    """Draws the crops by every network, a row for each photo."""
    shown = {
        name: Upscaler(load) for name, load in found.items() if name not in NOT_DRAWN
    }
    side, head = SCALE * SIDE, 30
    sheet = Image.new("RGB", (len(shown) * (side + 8) - 8, len(CROPS) * (side + head)))
    sheet.paste("white", (0, 0, *sheet.size))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for row, (name, kind, centre) in enumerate(CROPS):
        if kind == "camera":
            path = city100() / "LR" / f"{name.split()[1]}.png"
            lr = cv2.resize(read(path), (400, 300), interpolation=cv2.INTER_AREA)
        else:
            lr, _ = degraded(name, kind, SHOWN)
        window = middle(lr, (SIDE + 2 * MARGIN,) * 2, [c // SHOWN for c in centre])
        for column, (network, upscale) in enumerate(shown.items()):
            image = sr.images.crop_border(upscale(window), SCALE * MARGIN)
            corner = column * (side + 8), row * (side + head) + head
            sheet.paste(Image.fromarray(image), corner)
            text = f"{name}, {kind}: {network}" if column == 0 else network
            pen.text((corner[0], corner[1] - head + 4), text, fill="black", font=font)
    with files.replacing(PICTURE) as path:
        sheet.save(path, quality=88)
    print(f"{PICTURE}: {sheet.width} x {sheet.height}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help="a published file to add")
    parser.add_argument("--picture", action="store_true", help="draw the picture only")
    arguments = parser.parse_args()
    found = networks(arguments)
    if arguments.picture:
        draw(found)
        return
    kinds = [*DEGRADATIONS, *(["camera"] if city100().is_dir() else [])]
    text = table(found, kinds)
    start, end = "<!-- real: begin -->", "<!-- real: end -->"
    page = HERE / "README.md"
    before, _, rest = page.read_text().partition(start)
    _, _, after = rest.partition(end)
    files.write_text(page, f"{before}{start}\n{text}\n{end}{after}")
    print(text)


if __name__ == "__main__":
    main()
