# %% [markdown]
# # 15. Deployment: tiles, folders, video and export
#
# What it takes to use a trained network in practice: memory, tiles without seams, unusual files, video that flickers, other runtimes,
# 8-bit weights, and several GPUs.
#
# ![A photo upscaled in tiles, and the error along their borders](figures/15_goal.jpg)
#
# *A photo that was upscaled in tiles, and how much it differs from the same photo upscaled as a whole. You will make the seams
# disappear.*
#
# **You will be able to**
#
# - upscale a photo of any size in tiles, and prove that there are no seams;
# - measure the receptive field of a network, and what a tile costs in memory and time;
# - upscale a folder or a video, and measure whether the video flickers;
# - export a network, check that it still computes the same, and run it in ONNX Runtime or with 8-bit weights;
# - name the mistakes that no such check finds;
# - in the optional sections: say why training in float16 scales the loss, and what several GPUs do with a batch.
#
# **You need** lesson 1 (PSNR, degradation) and lesson 4 (the pixel shuffle). Lessons 8 to 10 (EDSR, RCAN, GANs) help with single
# sections. The networks are already trained.
#
# **Time:** about 70 minutes to read the core, 55 for the exercises; 2 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# **Optional** sections, 10 minutes more: *training in float16*; *several GPUs*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/15_into_the_world.ipynb) · [Student edition](student/15_into_the_world.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/15_into_the_world.py) · Previous: [14. No training set](14_zero_shot.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/14_zero_shot.ipynb)) · Next: [16. Real photos](16_real_photos.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/16_real_photos.ipynb)) · [All lessons](README.md)

# %%
# Installs the package where it is missing, as in Colab; a TensorFlow that fits stays.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("sr_keras") is None:
    local = os.path.exists("../sr_keras/__init__.py")  # a copy of the repository
    package = ".." if local else "git+https://github.com/OWNER/sr_keras"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)

import sr_keras as sr

here = sr.course.start(
    minutes=(0.7, 2, 2),
    side=(96, 320, 320),
    num_tile_sizes=(1, 4, 4),
    frames=(5, 12, 12),
    repeats=(2, 9, 9),
    formats=(
        ("saved_model",),
        ("saved_model", "litert", "onnx"),
        ("saved_model", "litert", "onnx"),
    ),
)

# %% [markdown]
# ## A photo that is too large
#
# We take a small EDSR for x4 that comes with the package. How much memory does it need? That depends on its largest array, which is
# the output of the last pixel shuffle: features at the full size of the result.

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from skimage import data

scale = 4
network = sr.models.load("edsr-x4-bsds-small")
last = network.get_layer("shuffle_1")
print("parameters:", network.count_params(), " last shuffle:", last.output.shape)

# %% [markdown]
# For each HR pixel, this array has 32 channels of float32. **Predict:** a phone takes photos of 3000 x 4000 pixels. How many
# gigabytes does the array have for one such photo at x4?


# %%
def gigabytes(height, width, channels=32):
    return scale * height * scale * width * channels * 4 / 1e9  # 4 bytes each


for height, width in ((125, 185), (480, 640), (1080, 1920), (3000, 4000)):
    print(f"LR {height:4} x {width:4}: {gigabytes(height, width):6.2f} GB")

# %% [markdown]
# Few laptops and few GPUs have that much memory for one array, and the network needs several such arrays at a time. The large EDSR
# of the paper has 256 channels instead of 32. So the photo has to be cut into tiles.
#
# ## Cut, upscale, paste
#
# We take a photo that is small enough to be upscaled as a whole, so that we know the correct result. Everything that follows is
# compared with `whole`.
#
# ![Tiles with a halo](figures/15_tiles.svg)

# %%
pairs = sr.datasets.samples(scale, split="validation")
lr_file, hr_file = pairs[1]  # the motorcycle
lr = sr.images.to_float(lr_file)
whole = network.predict_on_batch(lr[None])[0]
print("LR", lr.shape, "->", whole.shape)

# %% [markdown]
# We cut the photo into tiles, upscale each of them, and place the results side by side. Our function already has a `halo`: the
# number of pixels around a tile that the network receives in addition. The output for them is discarded. At first, the halo is 0.


# %%
def tiled(network, lr, tile, halo):
    height, width, channels = lr.shape
    result = np.empty((scale * height, scale * width, channels), "float32")
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            top, left = max(y - halo, 0), max(x - halo, 0)
            window = lr[top : y + tile + halo, left : x + tile + halo]
            large = network.predict_on_batch(window[None])[0]
            large = large[scale * (y - top) :, scale * (x - left) :]  # halo off
            rows, columns = slice(y, y + tile), slice(x, x + tile)
            large = large[: scale * tile, : scale * tile]
            result[scaled(rows), scaled(columns)] = large
    return result


def scaled(pixels):
    return slice(scale * pixels.start, scale * pixels.stop)


# %% [markdown]
# **Predict:** with tiles of 48 pixels and halo 0, where will the result differ from `whole`: everywhere, along the cuts, or
# nowhere?

# %%
without_halo = tiled(network, lr, tile=48, halo=0)
error = 255 * np.abs(without_halo - whole).max(axis=-1)
print(f"largest difference: {error.max():.0f} of 255")

fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
axes[0].imshow(np.clip(without_halo, 0, 1))
axes[0].set_title("tiles of 48 x 48 LR pixels, side by side", fontsize=10)
shown = axes[1].imshow(np.log10(error + 1e-3), cmap="magma", vmin=-2, vmax=2)
bar = fig.colorbar(shown, ax=axes[1], ticks=[-2, -1, 0, 1, 2])
bar.ax.set_yticklabels(["0.01", "0.1", "1", "10", "100"])
axes[1].set_title("difference from the whole, grey levels of 255", fontsize=10)
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The two differ along the cuts. There the network receives zeros instead of the neighbouring pixels, because its convolutions pad
# with zeros. The picture on the right has a logarithmic scale: more than about ten LR pixels from the cuts, there is hardly any
# difference. Here is a detail:

# %%
seam = (336, 156, 72, 84)  # top, left, height, width in HR pixels
sr.plotting.slider(
    {"tiles, no halo": np.clip(without_halo, 0, 1), "whole": np.clip(whole, 0, 1)},
    crop=seam,
    zoom=5,
    title="A place where four tiles meet",
)

# %% [markdown]
# ## How far does the network look?
#
# So a tile must be computed from a larger window. How much larger? We set one pixel to NaN ("not a number"). Everything that is
# computed from a NaN becomes NaN as well, so the output shows the *receptive field*. Our network has 19 convolutions of 3 x 3
# before its first pixel shuffle, one between the two, and one after them. **Predict** the radius: each convolution extends it by
# one pixel, but after a pixel shuffle the pixels are only half as large.

# %%
rng = np.random.default_rng(0)
with_nan = rng.random((1, 65, 65, 3), "float32")
with_nan[0, 32, 32] = np.nan
with keras.device("cpu"):  # fast algorithms of GPUs spread NaN further
    output = keras.ops.convert_to_numpy(network(with_nan, training=False))
is_nan = np.isnan(output[0]).any(axis=-1)
rows = np.flatnonzero(is_nan.any(axis=1)) // scale
radius = max(32 - rows[0], rows[-1] - 32)
print(f"LR pixel 32 changes the output for LR rows {rows[0]} to {rows[-1]}")

# %% [markdown]
# That is a radius of 20. We compute it from the layers as well:

# %%
by_layers, size = 0.0, 1  # in LR pixels; pixels per LR pixel
for layer in network.layers:
    if isinstance(layer, keras.layers.Conv2D):
        by_layers += (layer.kernel_size[0] // 2) / size
    if isinstance(layer, sr.layers.PixelShuffle):
        size *= layer.scale
print("from the layers:", by_layers, " measured in whole pixels:", radius)
assert radius == np.ceil(by_layers)

# %% [markdown]
# A pixel can have an effect at a distance of up to 20 pixels. Is the effect large? The gradient of one output pixel tells how
# strongly each LR pixel changes it. **Predict:** will the whole square be bright?

# %%
noise = tf.constant(rng.random((1, 65, 65, 3), "float32"))
with tf.GradientTape() as tape:
    tape.watch(noise)
    center = network(noise, training=False)[0, 130, 130, 1]  # green
strength = np.abs(tape.gradient(center, noise)[0]).sum(axis=-1)
share = strength / strength.sum()
near = share[32 - 4 : 32 + 5, 32 - 4 : 32 + 5].sum()
print(f"{near:.1%} of the gradient comes from the nearest 9 x 9 pixels")

fig, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
axes[0].imshow(is_nan, cmap="gray")
axes[0].set_title("HR pixels that one LR pixel can change", fontsize=10)
shown = axes[1].imshow(np.log10(share + 1e-12), cmap="magma", vmin=-9, vmax=0)
axes[1].set_title("share of the gradient of one output pixel, log10", fontsize=10)
fig.colorbar(shown, ax=axes[1])
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Most of the gradient comes from a few pixels around the centre, and the rest of the square contributes little. So a small halo
# leaves small seams, and only a halo of the full radius leaves none:

# %%
piece = lr[30:78, 40:136]
expected = network.predict_on_batch(piece[None])[0]
halos = [0, 1, 2, 4, 8, 12, 16, 19, 20, 22]
errors = [255 * np.abs(tiled(network, piece, 48, h) - expected).max() for h in halos]

fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
ax.semilogy(halos, np.maximum(errors, 1e-5), "o-")
ax.axhline(
    0.5, color="0.5", linestyle="--", label="half a grey level: lost in rounding"
)
ax.axvline(radius, color="#D55E00", linestyle=":", label="receptive field")
ax.set(xlabel="halo in LR pixels", ylabel="largest difference,\ngrey levels of 255")
ax.legend(frameon=False)
plt.show()
print(f"halo {halos[-2]}: largest difference {errors[-2]:.1e} grey levels")
assert errors[-2] < 0.01 < errors[0]

# %% [markdown]
# On this part of the photo, a halo of 8 leaves no visible difference. (The plot shows 0 as 0.00001.) How small a halo may be
# depends on the photo and on the weights, but with the radius of the receptive field the result is guaranteed to be that of the
# whole, up to rounding. (In a network with strides, the windows must also begin at multiples of them.) The package determines the
# same radius, and `sr.upscale` does everything else:

# %%
by_hand = tiled(network, lr, tile=64, halo=int(radius))
package = sr.upscale(network, lr, tile=64)
np.testing.assert_allclose(np.clip(by_hand, 0, 1), package, atol=1e-5)
np.testing.assert_allclose(np.clip(whole, 0, 1), package, atol=1e-5)
print("tiles by hand = tiles of the package = the whole")

# %% [markdown]
# At the border of the photo, the window ends there and has no halo. Padding the window with zeros would be wrong, because the
# zeros would become features after the first layer, whereas in the whole photo every layer pads with zeros. We print the windows
# that the package computes. (It first measures the radius; we skip these windows.) It cuts the 125 x 185 pixels into 2 x 3 nearly
# equal tiles. **Predict** the size of the window in the middle of the upper row, whose tile has 63 x 62 pixels.

# %%
windows = []


def recorded(window):
    windows.append(window.shape[1:3])
    return network.predict_on_batch(window)


sr.upscale(recorded, lr, tile=64)
print(f"{lr.shape[:2]} in tiles of at most 64:", windows[-6:])  # after the measurement

# %% [markdown]
# It is 62 + 2 x 20 columns wide, but only 63 + 20 rows high, because there are no rows above it.
#
# Not every network has a finite radius. RCAN multiplies its channels by weights that it computes from their means over the *whole
# image*. **Predict:** how does this affect tiles?

# %%
import warnings

rcan = sr.models.load("rcan-x4-bsds-small")
strip = lr[30:78]
expected = rcan.predict_on_batch(strip[None])[0]
for halo in (0, 20, 40):
    error = 255 * np.abs(tiled(rcan, strip, 64, halo) - expected)
    print(f"RCAN, halo {halo:2}: {error.max():.2g} of 255, mean {error.mean():.1g}")
assert error.max() > 0.01  # at the largest halo

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    sr.upscale(rcan, strip, tile=64)
print(next(w.message for w in caught if "tile" in str(w.message)))

# %% [markdown]
# With a halo of 20, the difference is far too small to be visible, but no halo removes it, because a tile has other means than the
# photo. The attention of this network is weak (lesson 9). In a network that relies on it, tiles can differ visibly, so `sr.upscale`
# warns.
#
# ## What a tile costs
#
# Large tiles need memory. Small tiles need time, because each of them computes its halo as well: for a tile of 40 with a halo of
# 20, the window is 80 pixels wide. We measure both. Each size runs in a process of its own, whose peak memory the operating
# system records.

# %%
script = """
import sys, time
import sr_keras as sr
from skimage import data

def peak_megabytes():
    if sys.platform == "win32":
        import psutil
        return psutil.Process().memory_info().peak_wset / 1e6
    if sys.platform == "linux":  # where `ru_maxrss` begins at the parent's memory
        with open("/proc/self/status") as file:
            (line,) = [line for line in file if line.startswith("VmHWM")]
        return 1024 * int(line.split()[1]) / 1e6
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

tile, side = int(sys.argv[1]), int(sys.argv[2])
network = sr.models.load("edsr-x4-bsds-small")
lr = data.astronaut()[:side, :side]  # as if it were an LR photo
sr.upscale(network, lr[:16, :16], tile=16)  # the first call prepares
before, start = peak_megabytes(), time.perf_counter()
sr.upscale(network, lr, tile=tile)
print(peak_megabytes() - before, time.perf_counter() - start)
"""


# %%
def measured(tile, side):
    """Returns by how many MB memory grows on the CPU, and the seconds."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tile), str(side)],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [float(word) for word in done.stdout.split()[-2:]]


# %% [markdown]
# **Predict** the memory for the whole photo: the features above exist at least twice, because a pixel shuffle has an input and an
# output of that size. And by what factor are the smallest tiles slower than the fastest?

# %%
sizes = [here.side // 2**i for i in reversed(range(here.num_tile_sizes))]
costs = {}
for size in sizes:
    costs[size] = megabytes, seconds = measured(size, here.side)
    work = (min(size + 2 * radius, here.side) / size) ** 2
    print(
        f"tile {size:3}: {megabytes:5.0f} MB more, {seconds:5.1f} s,"
        f" up to {work:.1f} times the pixels"
    )
features = 1000 * gigabytes(here.side, here.side)
print(f"whole: features {features:.0f} MB, twice {2 * features:.0f} MB")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
labels = [f"{size}" for size in sizes[:-1]] + ["whole"]
for ax, values, label in (
    (axes[0], [megabytes for megabytes, _ in costs.values()], "more memory (MB)"),
    (axes[1], [seconds for _, seconds in costs.values()], "seconds"),
):
    ax.bar(labels, values, color="#0072B2", width=0.6)
    ax.set(xlabel="side of the tiles, LR pixels", ylabel=label)
fig.suptitle(f"LR {here.side} x {here.side}, x4, CPU of this machine", fontsize=10)
plt.show()

# %% [markdown]
# Memory grows with the area of the window. For the whole photo it is about three times the features: the input and the output of
# the last pixel shuffle, and work space. In our run (one measurement each), the smallest tiles took more than twice as long as
# those of 160, because most of their pixels are computed several times. (The factors printed above are for tiles far from the
# border of the photo.) The package's default of 256 is a compromise.
#
# ## A whole folder
#
# Real folders are not tidy. Ours contains a colour PNG, a grey PNG with 16 bits, a PNG with transparency, a JPEG, a text file, and a
# file whose name ends in `.png` although it is not an image.

# %%
import pathlib
import tempfile

from PIL import Image

temporary = tempfile.TemporaryDirectory()  # goes when the notebook ends
folder = pathlib.Path(temporary.name)
coffee = sr.degradations.Downscale(scale)(data.coffee())
small = coffee[20:76, 40:104]
grey = sr.images.to_integer(sr.images.luma(small / 255), "uint16")[..., 0]
y, x = np.mgrid[:56, :64]
alpha = 255 * ((y - 28) ** 2 + (x - 32) ** 2 < 26**2)

# %%
photos = folder / "photos"
sr.images.write(photos / "colour.png", small)
sr.images.write(photos / "grey16.png", grey)
cutout = np.dstack([small, alpha.astype("uint8")])
sr.images.write(photos / "cutout.png", cutout)
Image.fromarray(small).save(photos / "web.jpg", quality=30)
(photos / "notes.txt").write_text("not an image")
(photos / "broken.png").write_bytes(b"not an image either")
print(sorted(path.name for path in photos.iterdir()))

# %% [markdown]
# The package has a command for this. In a terminal, you would type `sr-keras upscale photos --model edsr-x4-bsds-small --out large`.
# Here we start it from Python as a process. **Predict:** how many files will it write, and what should it do about `broken.png`?


# %%
def command(*arguments):
    """Runs the command line in `folder`; prints its lines about single files."""
    done = subprocess.run(
        [sys.executable, "-m", "sr_keras", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    print("\n".join(line for line in lines if "->" in line or "failed" in line))
    return done.returncode


environment = {key: value for key, value in os.environ.items() if "COLOR" not in key}
environment["TF_CPP_MIN_LOG_LEVEL"] = "3"

# %%
code = command("upscale", "photos", "--model", "edsr-x4-bsds-small", "--out", "large")
print("exit code:", code)
assert code == 1

# %% [markdown]
# The broken file does not stop the others, and the exit code of 1 tells a script that something went wrong. What was written?

# %%
written = sorted((folder / "large").iterdir())
for path in written:
    image = sr.images.read(path)
    print(f"{path.name:11} {image.shape!s:14} {image.dtype}")
assert len(written) == 4

# %% [markdown]
# There are four PNG files. 16 bits remain 16 bits, and the transparency is kept. We show the transparent image on a chessboard
# (its mask has only the values 0 and 255, so the enlarged edge shows the LR pixels):

# %%
results = {path.stem: sr.images.read(path) for path in written}
board = np.where((np.indices((224, 256)) // 16).sum(axis=0) % 2, 235, 190)[..., None]
opacity = results["cutout"][..., 3:] / 255
over_board = results["cutout"][..., :3] * opacity + board * (1 - opacity)

fig, axes = plt.subplots(2, 2, figsize=(8, 7.4), layout="constrained")
panels = {"colour": results["colour"], "grey16": results["grey16"] / 65535}
panels |= {"cutout": over_board.astype("uint8"), "web": results["web"]}
for ax, (name, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_title(name, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Look at the last one again. `web.jpg` is the same photo, stored with JPEG quality 30. **Predict:** will the network hide the damage,
# keep it, or make it worse?

# %%
hr = data.coffee()[80:304, 160:416]
from_files = {"of the PNG": results["colour"], "of the JPEG": results["web"]}
jpeg = np.asarray(Image.open(photos / "web.jpg"))
from_files["bicubic of the JPEG"] = sr.upscale(sr.models.bicubic(scale), jpeg)


def luma_scores(images, hr, border=scale):
    rows = {name: sr.evaluation.score(hr, im, border) for name, im in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in rows.items()}


sr.plotting.comparison(
    {"LR, JPEG 30": jpeg, **from_files, "HR": hr},
    scores=luma_scores(from_files, hr),
    crop=(60, 100, 96, 112),
    columns=3,
    whole=False,
    title="EDSR x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
)

# %% [markdown]
# The blocks of the JPEG are upscaled like everything else, and EDSR's PSNR on the JPEG (25.03 dB) is even below that of bicubic
# interpolation (25.22 dB). The network has learned to invert one degradation, bicubic downscaling, and has never seen an LR image
# that was stored as JPEG. Lesson 16 trains for such files.
#
# ## Video, frame by frame
#
# A video can be treated as a folder of frames. We make one whose HR frames are known: a camera moves over a photo, by 3 HR pixels
# to the right and 1 down in each frame.

# %%
step = (1, 3)  # rows and columns that the camera moves per frame
scene = data.stereo_motorcycle()[0][150:, 300:]
downscale = sr.degradations.Downscale(scale)
hr_clip = [
    scene[i * step[0] : i * step[0] + 192, i * step[1] : i * step[1] + 256]
    for i in range(here.frames)
]
lr_clip = [downscale(frame) for frame in hr_clip]
print(len(lr_clip), "frames,", lr_clip[0].shape, "->", hr_clip[0].shape)

# %% [markdown]
# We compare three methods: bicubic interpolation, the paper's EDSR baseline (lesson 8), and the GAN that was trained from it, on
# more photos (lesson 10). Each frame is upscaled independently of the others.

# %%
methods = {
    "bicubic": sr.models.bicubic(scale),
    "EDSR": sr.models.load("edsr-x4-bsds"),
    "GAN": sr.models.load("edsr-x4-photos-srgan"),
}
clips, seconds_per_frame = {}, {}
for name, model in methods.items():
    sr.upscale(model, lr_clip[0], tile=None)  # the first call prepares
    start = time.perf_counter()
    clips[name] = [sr.upscale(model, frame, tile=None) for frame in lr_clip]
    seconds_per_frame[name] = (time.perf_counter() - start) / here.frames
    print(f"{name:8} {seconds_per_frame[name]:.2f} s per frame (x4 to 256 x 192)")

# %% [markdown]
# We write the four videos into one animated image (WebP), which a notebook can play.

# %%
import base64
import io

from IPython.display import HTML
from PIL import ImageDraw


def named(frame, name):
    """Returns a copy of a frame with the name of its video in the corner."""
    picture = Image.fromarray(frame)
    outline = {"stroke_width": 1, "stroke_fill": "black"}
    ImageDraw.Draw(picture).text((3, 2), name, fill="white", **outline)
    return np.asarray(picture)


# %%
def play(videos, zoom=2):
    """Shows four videos in two rows, as an animation that repeats."""
    pictures = []
    for frames in zip(*videos.values(), strict=True):
        a, b, c, d = (named(*pair) for pair in zip(frames, videos, strict=True))
        rows = np.hstack([a, b]), np.hstack([c, d])
        pictures.append(Image.fromarray(np.vstack(rows)))
    file = io.BytesIO()
    options = {"save_all": True, "append_images": pictures[1:], "loop": 0}
    pictures[0].save(file, "webp", duration=120, quality=60, **options)  # ms a frame
    code = base64.b64encode(file.getvalue()).decode()
    names = " | ".join(videos)
    width = zoom * pictures[0].width
    image = f'<img alt="{names}" width="{width}" src="data:image/webp;base64,{code}">'
    return HTML(f"<p>From the upper left to the lower right: {names}</p>{image}")


# %% [markdown]
# **Predict:** which of the three videos will look best, and will you see anything in motion that no single frame shows?

# %%
videos = {**clips, "HR": hr_clip}
play({name: [f[32:160, 40:216] for f in clip] for name, clip in videos.items()})

# %% [markdown]
# Look at the edges: in the videos of the networks they are sharper than in the bicubic one, but they crawl and shimmer while the
# camera moves. To see only the errors, we remove the motion of the camera: from every frame we cut the part of the scene that is
# visible in all frames. In the HR video nothing moves then, not even by one grey level.


# %%
def stabilized(clip):
    """Moves every frame back, and keeps what all of them show, less a border."""
    height, width = clip[0].shape[:2]
    down, right = (step[0] * (len(clip) - 1), step[1] * (len(clip) - 1))
    still = []
    for i, frame in enumerate(clip):
        y, x = down - step[0] * i, right - step[1] * i
        still.append(frame[y : y + height - down, x : x + width - right])
    return np.stack(still)[:, 16:-16, 16:-16]


def flicker(clip):
    """Mean change from frame to frame at the same place of the scene, of 255."""
    return np.abs(np.diff(stabilized(clip).astype(float), axis=0)).mean()


assert flicker(hr_clip) == 0
play({name: stabilized(clip) for name, clip in videos.items()})

# %% [markdown]
# Everything that moves in this animation is an error, and HR is a still image. **Predict** the order of the three: which one has the
# strongest flicker?

# %%
for name, clip in clips.items():
    psnrs = []
    for hr_frame, frame in zip(hr_clip, clip, strict=True):
        psnrs.append(sr.evaluation.score(hr_frame, frame, scale)["psnr_y"])
    print(
        f"{name:8} {np.mean(psnrs):.2f} dB, flicker {flicker(clip):.2f} of 255"
        f"   (x4, PSNR on luma, 4 pixels cut, mean of {here.frames} frames)"
    )
assert flicker(clips["bicubic"]) < min(flicker(clips["EDSR"]), flicker(clips["GAN"]))

# %% [markdown]
# Of these three, the sharper one flickers more: bicubic interpolation least, and the GAN most. (This is no law: HR is sharper than
# all of them and does not flicker.) Here is one row of the scene, with the frames below each other. In a stabilized video without
# flicker, every column has one colour from top to bottom.

# %%
changes = np.abs(np.diff(stabilized(hr_clip)[0].astype(float), axis=1))
row = changes.sum(axis=(1, 2)).argmax()  # the one with most detail
fig, axes = plt.subplots(len(videos), 1, figsize=(9, 6), layout="constrained")
for ax, (name, clip) in zip(axes, videos.items(), strict=True):
    ax.imshow(stabilized(clip)[:, row, :110], aspect="auto", interpolation="nearest")
    ax.set_ylabel("frame")
    ax.set_title(f"{name}: row {row} of the stabilized scene", fontsize=10)
    ax.set(xticks=[], yticks=[0, here.frames - 1])
plt.show()

# %% [markdown]
# LR samples the scene at four positions in turn, so the pattern repeats every four frames, and at each position the network
# decides differently what an edge or a texture may have been. No score of single frames shows this.
#
# But is the comparison fair? A blurred video has little contrast, so it cannot change much. We add a control: we sharpen the
# bicubic video, with unsharp masking, until its neighbouring pixels differ as much as those of EDSR, and sharpen EDSR's until it
# equals the GAN. **Predict:** at equal sharpness, which of each two flickers more?


# %%
from scipy import ndimage


def sharpness(clip):
    """Mean difference of neighbouring pixels, of 255."""
    x = np.stack(clip).astype(float)
    return (np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean()) / 2


def sharpened(clip, target):
    """Adds detail to all frames until the clip has the sharpness `target`."""
    low, high = 0.0, 16.0
    x = np.stack(clip) / 255
    detail = x - ndimage.gaussian_filter(x, (0, 1.5, 1.5, 0))
    for _ in range(12):  # bisection
        amount = (low + high) / 2
        result = list(sr.images.to_integer(x + amount * detail))
        low, high = (amount, high) if sharpness(result) < target else (low, amount)
    return result


# %%
controls = {
    "bicubic, sharpened": sharpened(clips["bicubic"], sharpness(clips["EDSR"])),
    "EDSR": clips["EDSR"],
    "EDSR, sharpened": sharpened(clips["EDSR"], sharpness(clips["GAN"])),
    "GAN": clips["GAN"],
}
for name, clip in controls.items():
    print(f"{name:18} sharpness {sharpness(clip):5.2f}, flicker {flicker(clip):5.2f}")

# %% [markdown]
# At equal sharpness, EDSR flickers less than the sharpened bicubic video: its larger flicker in the first comparison can be
# explained by its larger contrast. The GAN flickers more than a sharpened EDSR. This suggests that a part of its flicker comes
# from detail that it invents differently at each position.
#
# ### Files
#
# Frames are read from files and written to files, one at a time, so that a long film needs no more memory than a short one. OpenCV
# does both. It stores the channels in the order blue, green, red, so we convert them.


# %%
import cv2


def write(path, frames, rate=12):
    writer = None
    for frame in frames:
        if writer is None:  # the size is known from the first frame on
            codec, size = cv2.VideoWriter_fourcc(*"mp4v"), frame.shape[1::-1]
            writer = cv2.VideoWriter(str(path), codec, rate, size)
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def read(path):
    file = cv2.VideoCapture(str(path))
    while True:
        found, frame = file.read()
        if not found:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


# %% [markdown]
# **Predict:** the LR video is written, read, upscaled, and written again. Will the result be worse than from frames that were never
# in a file?

# %%
write(folder / "lr.mp4", lr_clip)
large_frames = (
    sr.upscale(methods["EDSR"], frame, tile=None) for frame in read(folder / "lr.mp4")
)
write(folder / "large.mp4", large_frames)
decoded, final = (list(read(folder / name)) for name in ("lr.mp4", "large.mp4"))
stages = {
    "EDSR of the frames": clips["EDSR"][2],
    "EDSR of lr.mp4": sr.upscale(methods["EDSR"], decoded[2], tile=None),
    "large.mp4": final[2],
}
for name, (psnr, _) in luma_scores(stages, hr_clip[2]).items():
    print(f"{name:19} {psnr:.2f} dB (frame 2, x4, luma, 4 pixels cut, 8 bits)")
size = (folder / "lr.mp4").stat().st_size
print(f"lr.mp4: {size} bytes, {np.stack(lr_clip).nbytes / size:.0f} times smaller")

# %%
sr.plotting.comparison(
    {"LR": lr_clip[2], "LR of lr.mp4": decoded[2], **stages, "HR": hr_clip[2]},
    crop=(40, 60, 120, 160),
    columns=3,
    whole=False,
    scores=luma_scores(stages, hr_clip[2]),
    title="frame 2, x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
)

# %% [markdown]
# With this codec, every file on the way is lossy. The network takes its artefacts for part of the scene. The codec also stores
# colour at half the resolution (look at the tank), which PSNR on luma does not measure. For intermediate results, use a lossless
# format.
#
# For films, use `sr-keras upscale film.mp4 --out large`, or [examples/upscale_video.py](../examples/upscale_video.py). They keep the
# sound and the time of each frame, continue after an interruption, and need the package PyAV.
#
# ## Export to other runtimes
#
# A phone, a browser or a C++ program has no Keras. An *export* writes the graph of operations and its weights into a file for
# another *runtime*, a program that executes it. LiteRT (formerly TensorFlow Lite) runs on phones, and ONNX Runtime on many
# systems. We begin with TensorFlow's own format, SavedModel, which is a folder:

# %%
sr.export(network, folder / "edsr", "saved_model")
loaded = tf.saved_model.load(str(folder / "edsr"))
serve = loaded.serve
print(sorted(path.name for path in (folder / "edsr").iterdir()))

for image in (piece, lr[:31, :45]):  # of two sizes, one of them odd
    expected = network.predict_on_batch(image[None])
    np.testing.assert_allclose(serve(image[None]), expected, atol=1e-5)
    print(image.shape, "->", tuple(serve(image[None]).shape), "equal")

# %% [markdown]
# The height and the width are not fixed, so the same export takes images of any size. `sr_keras.exporting.check` makes this
# comparison for every format, in the runtime of the format. **Predict:** are the results equal to the last bit, or only nearly?

# %%
from sr_keras import exporting

ready = []
for kind in here.formats:
    try:
        if kind != "saved_model":
            sr.export(network, folder / f"edsr.{kind}", kind)
        path = folder / ("edsr" if kind == "saved_model" else f"edsr.{kind}")
        difference = exporting.check(network, path, kind)
    except ImportError as error:
        print(f"{kind}: left out. {error}")
        continue
    ready.append(kind)
    print(f"{kind:12} differs by at most {difference:.1e}, white being 1")
assert "saved_model" in ready

# %% [markdown]
# With TensorFlow's own format, the results are equal to the last bit here. With the others, they are nearly equal: another runtime
# adds the same numbers in another order, and float32 rounds. A grey level is 0.004, so no pixel changes visibly. On the command line,
# `sr-keras export` does both steps.
#
# Next we do by hand what an app does. LiteRT has to know the size before it runs:

# %%
runners = {"Keras": network.predict_on_batch, "SavedModel": lambda x: serve(x).numpy()}
if "litert" in ready:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter  # the same, under its former name
    threads = os.cpu_count()  # as the other runtimes; the default is 1
    lite = Interpreter(str(folder / "edsr.litert"), num_threads=threads)

    def run_lite(x):
        details = lite.get_input_details()[0]
        if tuple(details["shape"]) != x.shape:
            lite.resize_tensor_input(details["index"], x.shape)
            lite.allocate_tensors()
        lite.set_tensor(details["index"], x)
        lite.invoke()
        return lite.get_tensor(lite.get_output_details()[0]["index"])

    runners["LiteRT"] = run_lite

# %%
if "onnx" in ready:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        folder / "edsr.onnx", providers=["CPUExecutionProvider"]
    )
    (input_name,) = [node.name for node in session.get_inputs()]
    runners["ONNX Runtime"] = lambda x: session.run(None, {input_name: x})[0]

odd_size = lr[None, :31, :45]
expected = network.predict_on_batch(odd_size)
for run in runners.values():
    np.testing.assert_allclose(run(odd_size), expected, atol=1e-4)
print(", ".join(runners), "agree")

# %% [markdown]
# All of them agree, but are they equally fast? **Predict** which one is fastest on your machine.


# %%
def milliseconds(run, image):
    run(image)  # the first call prepares
    times = []
    for _ in range(here.repeats):
        start = time.perf_counter()
        run(image)
        times.append(1000 * (time.perf_counter() - start))
    return np.median(times)


# %%
image = piece[None]
times = {name: milliseconds(run, image) for name, run in runners.items()}
fig, ax = plt.subplots(figsize=(8, 0.5 + 0.4 * len(times)), layout="constrained")
bars = ax.barh(list(times), list(times.values()), color="#0072B2")
ax.bar_label(bars, fmt=" %.0f", padding=2)
ax.invert_yaxis()
ax.set(xlabel=f"ms, median of {here.repeats}, LR 48 x 96, x4, on this machine")
ax.margins(x=0.1)
plt.show()

# %% [markdown]
# The order depends on the processor, the number of threads and the network, so measure on the machine on which the network will
# run.
#
# ### Weights of 8 bits
#
# A file can be made smaller, and on many processors faster, if the network computes in 8-bit integers. A weight $w$ is then stored as
# an integer $q$, and all weights of a filter share a step $s$:
#
# $$q = \mathrm{round}(w / s), \qquad s = \frac{\max \lvert w \rvert}{127}, \qquad w \approx s\, q$$
#
# We round the weights of all convolutions by hand. **Predict:** with how many bits per weight has the PSNR dropped by 0.1 dB, and
# how does the picture look with 4 bits?


# %%
def rounded(kernel, bits):
    """Rounds the weights of each filter to integers of `bits` bits, times a step."""
    largest = 2 ** (bits - 1) - 1
    steps = np.abs(kernel).max(axis=(0, 1, 2)) / largest
    return np.round(kernel / steps) * steps


def with_bits(bits):
    """Returns a copy of the network with rounded weights."""
    copy = keras.models.clone_model(network)
    weights = network.get_weights()
    copy.set_weights([rounded(w, bits) if w.ndim == 4 else w for w in weights])
    return copy


# %%
few_bits = {f"{b} bits": sr.upscale(with_bits(b), lr_file) for b in (8, 6, 5, 4, 3)}
few_bits = {"32 bits": sr.upscale(network, lr_file), **few_bits}
for name, (psnr, _) in luma_scores(few_bits, hr_file).items():
    print(f"{name:8} {psnr:.2f} dB (x4, luma, 4 pixels cut, 8 bits)")
sr.plotting.comparison(
    {name: few_bits[name] for name in ("32 bits", "8 bits", "4 bits")},
    crop=(222, 320, 110, 160),
    columns=3,
    whole=False,
    title="EDSR x4 with weights of 32, 8 and 4 bits",
)

# %% [markdown]
# Eight bits cost nothing here, and between six and five bits the loss exceeds 0.1 dB. With 4 bits, a grid appears and the colours
# shift: the pixel shuffle takes neighbouring pixels from different filters, and each filter has its own rounding error.
#
# For integer arithmetic, the features have to be integers as well. Their range is not known in advance, so it is measured on a
# few LR images; this is called *calibration*. (On GPUs, 16-bit floats, which need no calibration, are the usual first step.) The
# package does it with ONNX Runtime:

# %%
if "onnx" in ready:
    examples = [downscale(photo()) for photo in (data.astronaut, data.coffee)]
    cache = folder / "engines"
    engines = {
        "float32": sr.engines.Engine(network, "onnxruntime", cache=cache),
        "int8": sr.engines.Engine(network, "onnxruntime", examples, cache),
    }
    for name, engine in engines.items():
        psnr = luma_scores({name: sr.upscale(engine, lr_file)}, hr_file)[name][0]
        size, spent = engine.path.stat().st_size, milliseconds(engine, lr[None])
        print(f"{name:8} {size / 1e3:4.0f} kB, {spent:4.0f} ms, {psnr:.2f} dB")

# %% [markdown]
# The file is a third as large, the network was faster in our run, and it lost 0.02 dB. Measure both where the network will be
# used, because they depend on the processor, the network and the photos.

# %% [markdown]
# ### Optional: training in float16
#
# So far a finished network was rounded. Training can use 16 bits as well: lesson 8 does so with bfloat16. Older GPUs are fast in
# float16 only, whose smallest positive number is about 6e-8. **Predict:** a loss has a gradient of about 1e-9. What is left of it
# after it has passed through a layer in float16?

# %%
weight = tf.Variable(1.0)


def gradient_of_weight(loss_scale):
    with tf.GradientTape() as tape:
        activation = tf.cast(weight, "float16") * tf.constant(1e-4, "float16")
        loss = 1e-5 * tf.cast(activation, "float32") * loss_scale
    return float(tape.gradient(loss, weight)) / loss_scale


print("without loss scaling:", gradient_of_weight(1.0))
print(f"loss times 2**15:     {gradient_of_weight(2.0**15):.2e}")
assert gradient_of_weight(1.0) == 0 and gradient_of_weight(2.0**15) > 0

# %% [markdown]
# The first gradient underflows to 0 without an error. Keras's `LossScaleOptimizer` multiplies the loss by a scale, divides the
# gradients by it again, and halves the scale whenever a gradient overflows. A GAN (lesson 10) has two losses of different ranges,
# so each of its optimizers needs a scale of its own. Keras wraps only the optimizer that is passed to its own `compile`. The
# package wraps both:

# %%
from sr_keras.training.gan import GAN

keras.config.set_dtype_policy("mixed_float16")
gan = GAN(sr.models.edsr(4, filters=4, num_blocks=1), sr.models.patchgan(filters=4))
keras.config.set_dtype_policy("float32")
gan.compile("adam", "adam", losses=[(1.0, "l1")])
for optimizer, part in gan.optimizers():
    print(f"{part.name:10}{type(optimizer).__name__}")

# %% [markdown]
# float16 is not faster on a CPU, so we do not train with it here. bfloat16 has the range of float32 and needs no loss scaling.

# %% [markdown]
# ### What no check finds
#
# The file computes what the network computes. But is its input right? Here are three mistakes that raise no error. **Predict:** which
# of them would you notice in the picture?


# %%
def to_file(output):
    return sr.images.to_integer(np.clip(output[0], 0, 1))


correct = to_file(serve(lr[None]).numpy())
bgr = to_file(serve(lr[None, ..., ::-1]).numpy())[..., ::-1]  # OpenCV's order
bytes_in = to_file(serve(255 * lr[None]).numpy() / 255)  # 0 to 255, back again
wrapped = (255 * serve(lr[None]).numpy()[0]).astype("int32").astype("uint8")
variants = {"correct": correct, "BGR in, BGR out": bgr, "0-255 in and out": bytes_in}
variants["not clipped"] = wrapped

# %%
sr.plotting.comparison(
    {**variants, "HR": hr_file},
    scores=luma_scores(variants, hr_file),
    crop=(176, 328, 84, 112),
    columns=3,
    whole=False,
    title="EDSR x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
)

# %% [markdown]
# Without clipping, values above white wrap around to black and values below black to white, in each channel, which gives patches
# of false colours, dark ones on the bright red of the tank. The other two mistakes give a picture that looks correct, with scores
# that are less than 0.1 dB lower (BGR) and about 0.6 dB lower (0 to 255). (A wrong range changes little here, because only the
# biases do not scale with the input.) In use there is no HR, so only a comparison with the output of the network itself reveals
# these mistakes. Document the range, the channel order and the clipping together with the file, or make them part of it (exercise
# 4).

# %% [markdown]
# ## Optional: several GPUs
#
# If one machine has several GPUs, each of them computes the gradients of a share of every batch, which are then averaged. Is this
# the same as training on one GPU? We check it by hand, with a toy network and a batch of 8:

# %%
toy = sr.models.espcn(2, filters=(8, 4), channels=3)
lr_batch = tf.constant(rng.random((8, 12, 12, 3), "float32"))
hr_batch = tf.constant(rng.random((8, 24, 24, 3), "float32"))


def gradients(lr, hr):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(hr - toy(lr, training=True)))
    return tape.gradient(loss, toy.trainable_variables)


# %%
whole_batch = gradients(lr_batch, hr_batch)
first = gradients(lr_batch[:4], hr_batch[:4])
second = gradients(lr_batch[4:], hr_batch[4:])
for gradient, a, b in zip(whole_batch, first, second, strict=True):
    np.testing.assert_allclose(gradient, (a + b) / 2, atol=1e-6)
print("mean over the halves = gradient of the whole batch")

# %% [markdown]
# If the shares are equally large, the mean of their means is the mean of the batch. So two devices must end with the same weights as
# one. TensorFlow calls this `MirroredStrategy`. In the package it is an option:
#
#     sr-keras train edsr --scale 4 --data photos --out runs/mine --distribute mirrored
#
# We do not have two GPUs here. But TensorFlow can split a CPU into two *logical* devices if a program asks for this before anything
# else, so we use a separate process.

# %%
for i, (top, left) in enumerate(((0, 120), (60, 200), (250, 60), (300, 330))):
    patch = data.astronaut()[top : top + 96, left : left + 120]
    sr.images.write(folder / "training" / f"{i}.png", patch)

script = """
import json, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, halves)
import sr_keras as sr
recipe = sr.training.Recipe(
    network="espcn", scale=2, data="training", num_validation=0, steps=16,
    options={"filters": (8, 4), "channels": 3}, batch_size=8, lr_patch_size=12,
    learning_rate=3e-3, precision="float32")
result, weights = {}, []
for option in (None, "mirrored"):
    model, run = sr.training.train(recipe, f"run {option}", 8, distribute=option)
    result[f"--distribute {option}"] = [row["loss"] for row in run.log]
    weights.append(model.get_weights())
result["difference"] = max(float(np.abs(a - b).max()) for a, b in zip(*weights))
open("result.json", "w").write(json.dumps(result))
"""

# %% [markdown]
# **Predict:** will the two losses agree? To how many digits?

# %%
import json

done = subprocess.run(
    [sys.executable, "-c", script],
    cwd=folder,
    capture_output=True,
    text=True,
    env={**environment, "CUDA_VISIBLE_DEVICES": "-1"},
)
assert done.returncode == 0, done.stderr[-3000:]
result = json.loads((folder / "result.json").read_text())
difference = result.pop("difference")
for option, losses in result.items():
    print(f"{option:22} L1 loss", " then ".join(f"{loss:.6f}" for loss in losses))
print(f"largest difference of a weight after 16 steps: {difference:.0e}")
assert difference < 1e-3

# %% [markdown]
# Two devices train the same network as one. (Batch normalization is an exception, because each device uses the statistics of its own
# share.) This says nothing about speed, because the two devices here are one processor.
#
# Upscaling needs no such strategy, because photos do not depend on each other: give each GPU its own folder and its own process.

# %% [markdown]
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** A very large photo is upscaled in tiles of 64 x 64 pixels with a halo of 20. By what factor is the number of pixels
# that the network computes larger than that of the photo, far from the borders? And with tiles of 256 x 256?

# %%
answer = None  # two numbers

sr.course.check(answer, "15.1")

# %% tags=["solution"]
# @title Solution 1
answer = [(104 / 64) ** 2, (296 / 256) ** 2]
sr.course.check(answer, "15.1")
print([f"{value:.2f}" for value in answer])

# %% [markdown]
# **Exercise 2.** A video of 90 minutes has 24 frames a second and LR frames of 480 x 270. Suppose that a network takes 0.05
# seconds for an LR frame of 64 x 48, and that the time is proportional to the number of pixels. How many hours does it need for
# the video? By what factor would it have to be faster to play the video live? Compare with the `seconds_per_frame` of your
# machine.

# %%
answer = None  # hours

sr.course.check(answer, "15.2")

# %% tags=["solution"]
# @title Solution 2
frames, area = 90 * 60 * 24, (480 * 270) / (64 * 48)
answer = frames * area * 0.05 / 3600
sr.course.check(answer, "15.2")
for name, seconds in (("0.05 s", 0.05), ("this machine", seconds_per_frame["EDSR"])):
    hours, factor = frames * area * seconds / 3600, 24 * area * seconds
    print(f"{name}: {hours:.0f} hours; {factor:.0f} times too slow for live video")

# %% [markdown]
# **Exercise 3.** Many programs *blend* overlapping tiles: near its edges, a tile fades out while its neighbour fades in. Write
# `blended(network, lr, tile, halo)` with weights that rise linearly over the 2 x `halo` LR pixels that two windows share and are
# constant inside, and divide the weighted sum by the sum of the weights. With a halo of 2, is the seam (the largest jump of the
# error at the cut) weaker than in `tiled`? Is the result closer to `whole`? Test it on `piece`, as in the plot of halos.


# %%
def blended(network, lr, tile, halo): ...  # your code


# %% tags=["solution"]
# @title Solution 3
def blended(network, lr, tile, halo):
    height, width, channels = lr.shape
    total = np.zeros((scale * height, scale * width, channels))
    weight = np.zeros((scale * height, scale * width, 1))
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            rows = slice(max(y - halo, 0), min(y + tile + halo, height))
            columns = slice(max(x - halo, 0), min(x + tile + halo, width))
            large = network.predict_on_batch(lr[None, rows, columns])[0]
            ramps = [np.arange(1, n + 1) for n in large.shape[:2]]
            ramps = [np.minimum(r, r[::-1]).clip(max=2 * halo * scale) for r in ramps]
            fade = np.outer(*ramps)[..., None]
            total[scaled(rows), scaled(columns)] += fade * large
            weight[scaled(rows), scaled(columns)] += fade
    return total / weight


expected = network.predict_on_batch(piece[None])[0]
for function in (tiled, blended):
    error = 255 * (function(network, piece, 48, 2) - expected)
    jump = np.abs(np.diff(error, axis=1)[:, 48 * scale - 1]).max()  # at the cut
    print(f"{function.__name__:8} step at the cut {jump:.2f}", end=", ")
    print(f"largest error {np.abs(error).max():.2f}")

# %% [markdown] tags=["solution"]
# The step at the cut shrinks by a quarter, and the largest error even grows. Blending makes a seam less visible. Only a
# sufficient halo removes its cause.

# %% [markdown]
# **Exercise 4.** An app has 8-bit pixels and no NumPy. Put the conventions into the graph: build a model that takes uint8, divides by
# 255, upscales, clips, rounds, and returns uint8. Export it with `model.export(path, format="tf_saved_model")`, and compare it with
# `sr.upscale`.

# %%
app = None  # your keras.Model

# %% tags=["solution"]
# @title Solution 4
pixels = keras.Input((None, None, 3), dtype="uint8")
x = network(keras.ops.cast(pixels, "float32") / 255)
x = keras.ops.round(255 * keras.ops.clip(x, 0, 1))
app = keras.Model(pixels, keras.ops.cast(x, "uint8"))
app.export(folder / "app", format="tf_saved_model", verbose=False)

reloaded = tf.saved_model.load(str(folder / "app"))  # keep it: it has the weights
from_app = reloaded.serve(lr_file[None]).numpy()[0]
expected = sr.upscale(network, lr_file, tile=None)
print(from_app.dtype, from_app.shape)
print(f"pixels that differ: {(from_app != expected).mean():.4%}")
assert np.abs(from_app.astype(int) - expected).max() <= 1

# %% [markdown]
# **Exercise 5.** Reduce the flicker: average each upscaled frame with the previous result, shifted by the known `step`, and
# continue with the average. (The camera moves down and right, so the scene moves up and left.) Does EDSR's flicker decrease? How
# does the PSNR of the last frame change, and which lesson explains it? What would a real video require?

# %%
smoothed = None  # your frames

# %% tags=["solution"]
# @title Solution 5
down, right = step
smoothed = [clips["EDSR"][0].astype(float)]
for frame in clips["EDSR"][1:]:
    previous = np.roll(smoothed[-1], (-down, -right), axis=(0, 1))
    average = (frame + previous) / 2
    average[-down:], average[:, -right:] = frame[-down:], frame[:, -right:]  # new
    smoothed.append(average)
smoothed = [sr.images.to_integer(frame / 255) for frame in smoothed]
for name, clip in (("single frames", clips["EDSR"]), ("averaged", smoothed)):
    psnr = sr.evaluation.score(hr_clip[-1], clip[-1], scale)["psnr_y"]
    print(f"{name:13} flicker {flicker(clip):.2f}, last frame {psnr:.2f} dB")
print("x4, PSNR on luma, 4 pixels cut, 8 bits")

# %% [markdown] tags=["solution"]
# The flicker is about halved, and the PSNR rises a little. The reason is in the optional section of lesson 1, where many photos
# were merged: every frame samples the scene at other positions. In a real video, the motion has to be estimated first, and where
# the estimate is wrong, the average shows ghosts.

# %% [markdown]
# ## Summary
#
# - Tiles equal the whole image if each of them is computed from a window that is larger by the radius of the receptive field,
#   which NaN measures. Networks with global means have no finite receptive field.
# - Large tiles cost memory, and small tiles cost time. The largest array has the size of the result, with all channels.
# - Folders contain grey, 16-bit, transparent and broken files. A network has learned one degradation, and upscales the blocks of a
#   JPEG like everything else.
# - In a video, errors that change from frame to frame become flicker, which no score of single frames shows. Compare the flicker of
#   videos that are equally sharp.
# - After an export, compare the results with those of Keras. With 8-bit integers, compare the PSNR too. Then check range, channel
#   order, clipping and rounding, which are not in the file.
# - (Optional sections) In float16 small gradients become zero, so the loss is scaled for training. Several devices average the
#   gradients of equal shares, and the training equals that on one device, except for batch normalization.
#
# ## Further reading
#
# - Luo and others, [Understanding the effective receptive field in deep convolutional neural
#   networks](https://arxiv.org/abs/1701.04128), 2016: how little the outer pixels count.
# - Chu and others, [Improving image restoration by revisiting global information aggregation](https://arxiv.org/abs/2112.04491),
#   2022: the effect of tiles on networks that take means over the image.
# - Sajjadi, Vemulapalli and Brown, [Frame-recurrent video super-resolution](https://arxiv.org/abs/1801.04590), 2018: each frame with
#   the help of the previous one.
# - Chan and others, [BasicVSR](https://arxiv.org/abs/2012.02181), 2021: the components of networks for video.
# - Chu and others, [Learning temporal coherence via self-supervision for GAN-based video
#   generation](https://arxiv.org/abs/1811.09393), 2020: sharp videos that do not flicker.
# - Jacob and others, [Quantization and training of neural networks for efficient integer-arithmetic-only
#   inference](https://arxiv.org/abs/1712.05877), 2018: how networks compute in 8 bits.
# - Micikevicius and others, [Mixed precision training](https://arxiv.org/abs/1710.03740), 2018: why the loss is scaled in float16.
# - Goyal and others, [Accurate, large minibatch SGD](https://arxiv.org/abs/1706.02677), 2017: how to adapt the learning rate when
#   many GPUs make the batch large.
