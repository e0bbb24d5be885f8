# %% [markdown]
# # 15. Into the world: tiles, folders, video, export
#
# What stands between a trained network and its use: memory, borders of tiles, odd files, flicker, other runtimes, several GPUs.
#
# **You will be able to**
#
# - enlarge a photo of any size in tiles, and prove that no seam is left;
# - measure how far a network looks, and what a tile costs in memory and time;
# - enlarge a folder or a video, and measure whether the video flickers;
# - export a network, check that it still computes the same, and name the mistakes that no check finds;
# - say what several GPUs do with a batch.
#
# **You need** lesson 1 (PSNR, degradation) and lesson 5 (the pixel shuffle). The networks come trained; nothing is trained here but a toy.
#
# **Time:** 2 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/15_into_the_world.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/15_into_the_world.py) · Previous: [14. No training set](14_zero_shot.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/14_zero_shot.ipynb)) · [All lessons](README.md)

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
    side=(96, 320, 512),
    frames=(5, 24, 24),
    repeats=(2, 9, 9),
)

# %% [markdown]
# ## A photo that is too large
#
# We take a small EDSR that comes with the package, trained for x4. How much memory does it need? The largest array inside decides: the
# features after the last pixel shuffle, at full size.

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
# 32 channels of float32 for each HR pixel. **Predict:** a phone takes photos of 3000 x 4000 pixels. How many gigabytes are these
# features, for one such photo enlarged four times?


# %%
def gigabytes(height, width, channels=32):
    return scale * height * scale * width * channels * 4 / 1e9  # 4 bytes a number


for height, width in ((125, 185), (480, 640), (1080, 1920), (3000, 4000)):
    print(f"LR {height:4} x {width:4}: {gigabytes(height, width):6.2f} GB")

# %% [markdown]
# That is one array of many, in a network with less than a hundredth of the 43 million parameters of the paper's EDSR. The photo has to be
# cut.
#
# ## Cut, enlarge, paste
#
# Here is a photo small enough to be enlarged whole, so that we know the right answer. All that follows is compared with `whole`.

# %%
pairs = sr.datasets.samples(scale, split="validation")
lr_file, hr_file = pairs[1]  # the motorcycle
lr = sr.images.to_float(lr_file)
whole = network.predict_on_batch(lr[None])[0]
print("LR", lr.shape, "->", whole.shape)

# %% [markdown]
# The obvious way: cut into tiles, enlarge each, put them side by side. We write it with a `halo` at once: pixels around the tile that
# the network may see, and whose output is thrown away. For now it is 0.


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
# **Predict:** tiles of 48 pixels, halo 0. Where will the result differ from `whole`: everywhere, along the cuts, or nowhere? And how
# wide is the strip?

# %%
butted = tiled(network, lr, tile=48, halo=0)
error = 255 * np.abs(butted - whole).max(axis=-1)
print(f"largest difference: {error.max():.0f} of 255")

fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
axes[0].imshow(np.clip(butted, 0, 1))
axes[0].set_title("tiles of 48 x 48 LR pixels, side by side", fontsize=10)
shown = axes[1].imshow(np.log10(error + 1e-3), cmap="magma", vmin=-2, vmax=2)
bar = fig.colorbar(shown, ax=axes[1], ticks=[-2, -1, 0, 1, 2])
bar.ax.set_yticklabels(["0.01", "0.1", "1", "10", "100"])
axes[1].set_title("difference from the whole, grey levels of 255", fontsize=10)
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Along the cuts. There the network misses its neighbours and takes zeros instead, since its convolutions pad with zeros. The right picture
# has a logarithmic scale: some ten LR pixels from the cuts hardly anything differs. Now enlarged:

# %%
seam = (336, 156, 72, 84)  # top, left, height, width in HR pixels
sr.plotting.slider(
    {"tiles, no halo": np.clip(butted, 0, 1), "whole": np.clip(whole, 0, 1)},
    crop=seam,
    zoom=5,
    title="A place where four tiles meet",
)

# %% [markdown]
# ## How far does the network look?
#
# So a tile must see more than itself. How much more? Poison one pixel with NaN, "not a number". Whatever is computed from it becomes
# NaN, too, and shows the *receptive field*.

# %%
generator = np.random.default_rng(0)
poisoned = generator.random((1, 65, 65, 3), "float32")
poisoned[0, 32, 32] = np.nan
with keras.device("cpu"):  # the tricks of GPUs spread NaN further
    output = keras.ops.convert_to_numpy(network(poisoned, training=False))
reached = np.isnan(output).any(axis=(0, 2, 3))  # rows
rows = np.flatnonzero(reached) // scale
reach = max(32 - rows[0], rows[-1] - 32)
print(f"LR pixel 32 changes what is enlarged of rows {rows[0]} to {rows[-1]}")

# %% [markdown]
# **Predict** it from the layers: a 3 x 3 convolution looks one pixel further. But after a pixel shuffle its pixels are only half as
# large.

# %%
by_layers, size = 0.0, 1  # in LR pixels; pixels along an LR pixel
for layer in network.layers:
    if isinstance(layer, keras.layers.Conv2D):
        by_layers += (layer.kernel_size[0] // 2) / size
    if isinstance(layer, sr.layers.PixelShuffle):
        size *= layer.scale
print("by counting:", by_layers, " measured in whole pixels:", reach)
assert reach == np.ceil(by_layers)

# %% [markdown]
# A pixel can matter as far as 20 pixels away. Does it, much? The gradient of one output pixel says how strongly each LR pixel
# moves it. **Predict:** will the whole square be bright?

# %%
noise = tf.constant(generator.random((1, 65, 65, 3), "float32"))
with tf.GradientTape() as tape:
    tape.watch(noise)
    middle = network(noise, training=False)[0, 130, 130, 1]  # green
strength = np.abs(tape.gradient(middle, noise)[0]).sum(axis=-1)
share = strength / strength.sum()
near = share[32 - 4 : 32 + 5, 32 - 4 : 32 + 5].sum()
print(f"of all influence, {near:.1%} comes from the nearest 9 x 9 pixels")

fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
axes[0].imshow(np.isnan(output[0]).any(axis=-1), cmap="gray")
axes[0].set_title("HR pixels that a bad LR pixel spoils", fontsize=10)
shown = axes[1].imshow(np.log10(share + 1e-12), cmap="magma", vmin=-9, vmax=0)
axes[1].set_title("influence on one output pixel, log10", fontsize=10)
fig.colorbar(shown, ax=axes[1])
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Nearly all of it comes from a few pixels around; the rest of the square counts, but little. So a small halo gives small seams, and only
# the full one gives none. Let us see it:

# %%
piece = lr[30:78, 40:136]
right = network.predict_on_batch(piece[None])[0]
halos = [0, 1, 2, 4, 8, 12, 16, 19, 20, 22]
errors = [255 * np.abs(tiled(network, piece, 48, h) - right).max() for h in halos]

fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
ax.semilogy(halos, np.maximum(errors, 1e-5), "o-")
ax.axhline(0.5, color="0.5", linestyle="--", label="half a grey level: may be rounded")
ax.axvline(reach, color="#D55E00", linestyle=":", label="receptive field")
ax.set(xlabel="halo in LR pixels", ylabel="largest difference,\ngrey levels of 255")
ax.legend(frameon=False)
plt.show()
print(f"halo {halos[-2]}: {errors[-2]:.1e} grey levels, only float32 rounding")
assert errors[-2] < 0.01 < errors[0]

# %% [markdown]
# On this photo a halo of 8 is enough for the eye, and beyond 16 only the rounding of float32 is left. That depends on photo and weights;
# from the receptive field on it is certain. The package measures the same radius, by the same trick, and does the rest in `sr.upscale`:

# %%
by_hand = tiled(network, lr, tile=64, halo=int(reach))
package = sr.upscale(network, lr, tile=64)
np.testing.assert_allclose(np.clip(by_hand, 0, 1), package, atol=1e-5)
np.testing.assert_allclose(np.clip(whole, 0, 1), package, atol=1e-5)
print("tiles by hand = tiles of the package = the whole")

# %% [markdown]
# Where the photo ends, the window ends: no halo there. A window padded with zeros would not do, for the deeper layers pad again, with
# their own zeros. Watch the windows that the package asks for. **Predict** the size of a window in the middle of the upper row, for tiles of
# 63 x 62.

# %%
windows = []


def watched(window):
    windows.append(window.shape[1:3])
    return network.predict_on_batch(window)


sr.upscale(watched, lr, tile=64)
print(f"{lr.shape[:2]} in tiles of at most 64:", windows[-6:])  # before: measuring

# %% [markdown]
# 62 + 2 x 20 columns wide, but only 63 + 20 rows high: above it is no photo.
#
# Not every network has a radius. RCAN weights its channels by their means over the *whole image*. **Predict:** what will tiles do to it?

# %%
import warnings

rcan = sr.models.load("rcan-x4-bsds-small")
strip = lr[30:78]
right = rcan.predict_on_batch(strip[None])[0]
for halo in (0, 20, 40):
    error = 255 * np.abs(tiled(rcan, strip, 64, halo) - right)
    print(f"RCAN, halo {halo:2}: {error.max():.2g} of 255, mean {error.mean():.1g}")
assert error.max() > 0.01  # at the largest halo

if not here.fast:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sr.upscale(rcan, strip, tile=64)
    print(next(w.message for w in caught if "tile" in str(w.message)))

# %% [markdown]
# From a halo of 20 on the difference is far too small to be seen, but no halo ends it: a tile has other means than the photo. The attention of
# these weights is weak; where it is strong, tiles can differ visibly. `sr.upscale` warns in any case.
#
# ## What a tile costs
#
# Large tiles need memory. Small ones compute halos again and again: for a tile of 40 with a halo of 20 the window is 80 wide. We
# measure both. The memory is that of this process, sampled while the network works.

# %%
import threading

import psutil  # comes with Jupyter


def used():
    """Bytes in use now; of the GPU's memory, which is scarcer, the peak so far."""
    if here.gpu:
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return psutil.Process().memory_info().rss


# %%
def measured(function):
    """Returns the seconds that a function takes, and how far memory grows, in MB."""
    if here.gpu:
        tf.config.experimental.reset_memory_stats("GPU:0")
    before, ended, seen = used(), threading.Event(), []

    def watch():
        while not ended.wait(0.002):
            seen.append(used())

    thread = threading.Thread(target=watch)
    thread.start()
    start = time.perf_counter()
    function()
    seconds = time.perf_counter() - start
    ended.set()
    thread.join()
    return seconds, (max([*seen, used()]) - before) / 1e6


# %% [markdown]
# **Predict** for the whole photo: the features above, twice, since a shuffle needs its input and its output at once. And by which factor
# are small tiles slower?

# %%
large = data.astronaut()[: here.side, : here.side]  # as if it were an LR photo
sizes = [here.side // n for n in (8, 4, 2, 1)]
costs = {}
for size in sizes:
    costs[size] = measured(lambda size=size: sr.upscale(network, large, tile=size))
    work = ((min(size + 2 * reach, here.side)) / size) ** 2
    print(
        f"tile {size:3}: {costs[size][1]:5.0f} MB more, {costs[size][0]:5.1f} s,"
        f" up to {work:.1f} times the pixels"
    )
features = 1000 * gigabytes(here.side, here.side)
print(f"whole: features {features:.0f} MB, twice {2 * features:.0f} MB")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
labels = [f"{size}" for size in sizes[:-1]] + ["whole"]
for ax, values, label in (
    (axes[0], [megabytes for _, megabytes in costs.values()], "more memory (MB)"),
    (axes[1], [seconds for seconds, _ in costs.values()], "seconds"),
):
    ax.bar(labels, values, color="#0072B2", width=0.6)
    ax.set(xlabel="side of the tiles, LR pixels", ylabel=label)
fig.suptitle(f"LR {here.side} x {here.side}, x4, on this machine", fontsize=10)
plt.show()

# %% [markdown]
# Memory grows with the window, here to about what was predicted for the whole, or somewhat more (a 0 says that the process had enough already). Time
# falls at first: the smallest tiles take several times as long as those of 160, and from there on little is gained. The default of 256 is a
# compromise. The result itself needs memory as well, but as 8 bits with 3 channels, not as 32 floats.
#
# ## A whole folder
#
# Real folders are not tidy. Ours has a colour PNG, a grey one of 16 bits, one with transparency, a JPEG, a text, and a file that only
# claims to be an image.

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
# The package has a command line. In a terminal it is `sr-keras upscale edsr-x4-bsds-small photos --out large`; from Python, a
# process. **Predict:** how many files will it write, and what should it do about `broken.png`?


# %%
def command(*arguments):
    """Runs the command line in `folder`; prints which files came of which."""
    done = subprocess.run(
        [sys.executable, "-m", "sr_keras", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=plain,
    )
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    print("\n".join(line for line in lines if "->" in line or "failed" in line))
    return done.returncode


plain = {key: value for key, value in os.environ.items() if "COLOR" not in key}
plain["TF_CPP_MIN_LOG_LEVEL"] = "3"

# %%
code = command("upscale", "edsr-x4-bsds-small", "photos", "--out", "large")
print("exit code:", code)
assert code == 1

# %% [markdown]
# One bad file does not stop the others, and the exit code tells a script that something went wrong. Inputs are never
# overwritten. What came out?

# %%
found = sorted((folder / "large").iterdir())
for path in found:
    image = sr.images.read(path)
    print(f"{path.name:11} {image.shape!s:14} {image.dtype}")
assert len(found) == 4

# %% [markdown]
# Four PNG files; 16 bits stay 16 bits, and transparency stays. Depth and alpha are where home-made scripts fail first. On a chessboard:

# %%
results = {path.stem: sr.images.read(path) for path in found}
board = np.where((np.indices((224, 256)) // 16).sum(axis=0) % 2, 235, 190)[..., None]
opacity = results["cutout"][..., 3:] / 255
over_board = results["cutout"][..., :3] * opacity + board * (1 - opacity)

fig, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
panels = {"colour": results["colour"], "grey16": results["grey16"] / 65535}
panels |= {"cutout": over_board.astype("uint8"), "web": results["web"]}
for ax, (name, image) in zip(axes, panels.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_title(name, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Look at the last one again. `web.jpg` is the same photo, stored with quality 30. **Predict:** will the network hide the damage, keep it,
# or make it worse?

# %%
hr = data.coffee()[80:304, 160:416]
trio = {"of the PNG": results["colour"], "of the JPEG": results["web"]}
jpeg = np.asarray(Image.open(photos / "web.jpg"))


def luma_scores(images, hr, border=scale):
    found = {name: sr.evaluation.score(hr, im, border) for name, im in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in found.items()}


trio["bicubic of the JPEG"] = sr.upscale(sr.models.bicubic(scale), jpeg)
sr.plotting.comparison(
    {"LR, JPEG 30": jpeg, **trio, "HR": hr},
    scores=luma_scores(trio, hr),
    crop=(60, 100, 96, 112),
    columns=3,
    whole=False,
    title="EDSR x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
)

# %% [markdown]
# The blocks of the JPEG are enlarged like anything else, and the scores hardly differ from bicubic's. The network has never seen a JPEG:
# what it learned was to undo one particular degradation. Lesson 2's degradations exist to train for the files that will really come.
#
# ## Video, frame by frame
#
# A film is a folder of frames, one might think. We make one whose truth is known: a camera that pans over a photo, 3 HR pixels to
# the right and 1 down for each frame.

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
# Three methods: bicubic interpolation, our EDSR, and a network trained as a GAN, for sharpness rather than for PSNR. Each frame on its
# own.

# %%
methods = {
    "bicubic": sr.models.bicubic(scale),
    "EDSR": network,
    "GAN": sr.models.load("edsr-x4-bsds-srgan"),
}
clips = {}
for name, model in methods.items():
    start = time.perf_counter()
    clips[name] = [sr.upscale(model, frame, tile=None) for frame in lr_clip]
    seconds = (time.perf_counter() - start) / here.frames
    print(f"{name:8} {seconds:.2f} s a frame (x4 to 256 x 192, on this machine)")
    if name == "EDSR":
        seconds_a_frame = seconds

# %% [markdown]
# Is it a good *film*? Let us hold the camera still: cut from every frame the part of the scene that all of them show. In the true film
# nothing moves then, not even by one grey level.


# %%
def held(clip):
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
    return np.abs(np.diff(held(clip).astype(float), axis=0)).mean()


assert flicker(hr_clip) == 0

# %% [markdown]
# **Predict** the order of the three: which flickers most? Is a sharper frame a calmer film?

# %%
for name, clip in clips.items():
    values = [
        sr.evaluation.score(hr, frame, scale)["psnr_y"]
        for hr, frame in zip(hr_clip, clip, strict=True)
    ]
    print(
        f"{name:8} {np.mean(values):.2f} dB, flicker {flicker(clip):.2f} of 255"
        f"   (x4, PSNR on luma, 4 pixels cut, mean of {here.frames} frames)"
    )
assert flicker(clips["bicubic"]) < min(flicker(clips["EDSR"]), flicker(clips["GAN"]))

# %% [markdown]
# A number for flicker, and a picture: one row of the scene, frame below frame. In the held film every column should have one colour, from
# top to bottom.

# %%
films = {**clips, "HR": hr_clip}
changes = np.abs(np.diff(held(hr_clip)[0].astype(float), axis=1))
row = changes.sum(axis=(1, 2)).argmax()  # the one with most detail
fig, axes = plt.subplots(len(films), 1, figsize=(9, 6), layout="constrained")
for ax, (name, clip) in zip(axes, films.items(), strict=True):
    ax.imshow(held(clip)[:, row, :110], aspect="auto", interpolation="nearest")
    ax.set_ylabel("frame")
    ax.set_title(f"{name}: row {row} of the held scene", fontsize=10)
    ax.set(xticks=[], yticks=[0, here.frames - 1])
plt.show()

# %% [markdown]
# Bicubic, the most blurred, is the calmest. A network decides anew in every frame what an edge or a texture may have been, from samples that lie elsewhere
# each time, and its answers differ. No score of single frames shows it.

# %% [markdown]
# ### Files
#
# Frames come from files and go into files. `imageio` reads and writes them with PyAV (`pip install av`). One frame is in memory at a
# time: `imiter` yields them, `write_frame` takes them.

# %%
has_av = importlib.util.find_spec("av") is not None
if has_av:
    import imageio.v3 as iio
else:
    print("No PyAV here: %pip install av, and run again from this cell on.")


def write(path, frames, rate=12):
    with iio.imopen(path, "w", plugin="pyav") as file:
        file.init_video_stream("libx264", fps=rate)  # H.264, which all players know
        for frame in frames:
            file.write_frame(frame)


def enlarged_frames(path):
    for frame in iio.imiter(path, plugin="pyav"):
        yield sr.upscale(network, frame, tile=None)


# %% [markdown]
# **Predict:** the LR film is written as H.264, read, enlarged, and written. Will the result be worse than the film that never was a
# file?

# %%
if has_av:
    write(folder / "lr.mp4", lr_clip)
    write(folder / "large.mp4", enlarged_frames(folder / "lr.mp4"))
    decoded = list(iio.imiter(folder / "lr.mp4", plugin="pyav"))
    final = list(iio.imiter(folder / "large.mp4", plugin="pyav"))
    stages = {
        "EDSR of the frames": clips["EDSR"][2],
        "EDSR of lr.mp4": sr.upscale(network, decoded[2], tile=None),
        "large.mp4": final[2],
    }
    for name, (psnr, _) in luma_scores(stages, hr_clip[2]).items():
        print(f"{name:19} {psnr:.2f} dB (frame 2, x4, luma, 4 pixels cut, 8 bits)")
    size = (folder / "lr.mp4").stat().st_size
    print(f"lr.mp4: {size} bytes, {np.stack(lr_clip).nbytes / size:.0f} times smaller")

# %%
if has_av:
    figure = sr.plotting.comparison(
        {"LR": lr_clip[2], "LR of lr.mp4": decoded[2], **stages, "HR": hr_clip[2]},
        crop=(40, 60, 72, 96),
        columns=3,
        whole=False,
        scores=luma_scores(stages, hr_clip[2]),
        title="frame 2, x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    )
else:
    figure = None
figure

# %% [markdown]
# Every file on the way is lossy. What H.264 threw away in the LR frames is missing before the network sees them, and it takes what the codec
# added for part of the scene.
#
# Here is the film itself: bicubic, EDSR, GAN and HR. Look at the edges while it moves.

# %%
if has_av:
    from IPython.display import Video, display

    views = [np.hstack(frames) for frames in zip(*films.values(), strict=True)]
    write(folder / "views.mp4", views)
    form = "loop autoplay muted controls width=1024"
    display(Video(folder / "views.mp4", embed=True, html_attributes=form))

# %% [markdown]
# For real films, [examples/upscale_video.py](../examples/upscale_video.py) is the same loop as a script.
#
# ## To other runtimes
#
# A phone, a browser, a C++ program: none of them has Keras. *Export* writes the graph of operations and its weights into one file
# for another runtime. TensorFlow's own format first:

# %%
sr.export(network, folder / "edsr", "saved_model")
loaded = tf.saved_model.load(str(folder / "edsr"))
served = loaded.serve
print(sorted(path.name for path in (folder / "edsr").iterdir()))

for image in (piece, lr[:31, :45]):  # of two sizes, one of them odd
    expected = network.predict_on_batch(image[None])
    np.testing.assert_allclose(served(image[None]), expected, atol=1e-5)
    print(image.shape, "->", tuple(served(image[None]).shape), "equal")

# %% [markdown]
# Height and width stayed free: the same file takes images of any size. `sr_keras.exporting.check` does such a comparison for every format, in
# the format's own runtime. **Predict:** equal to the last bit, or only nearly?

# %%
from sr_keras import exporting

ready = []
kinds = ("saved_model",) if here.fast else ("saved_model", "litert", "onnx")
for kind in kinds:
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
if "onnx" not in ready:
    print("For ONNX: %pip install onnx onnxruntime tf2onnx")
assert "saved_model" in ready

# %% [markdown]
# TensorFlow's own format to the last bit here, the others nearly: another runtime adds the same numbers in another order, and float32
# rounds. A ten thousandth of a grey level is 4e-7; what matters is that no pixel changes visibly. `sr-keras export` does both steps from
# the command line.
#
# By hand, what an app would do. LiteRT wants to be told the size before it runs:

# %%
runners = {"Keras": network.predict_on_batch, "SavedModel": lambda x: served(x).numpy()}
if "litert" in ready:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter  # the same, under its former name
    lite = Interpreter(model_path=str(folder / "edsr.litert"))

    def run_lite(x):
        lite.resize_tensor_input(lite.get_input_details()[0]["index"], x.shape)
        lite.allocate_tensors()
        lite.set_tensor(lite.get_input_details()[0]["index"], x)
        lite.invoke()
        return lite.get_tensor(lite.get_output_details()[0]["index"])

    runners["LiteRT"] = run_lite

# %%
if "onnx" in ready:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        folder / "edsr.onnx", providers=["CPUExecutionProvider"]
    )
    (slot,) = [node.name for node in session.get_inputs()]
    runners["ONNX Runtime"] = lambda x: session.run(None, {slot: x})[0]

for run in runners.values():
    found = run(lr[None, :31, :45])
    expected = network.predict_on_batch(lr[None, :31, :45])
    np.testing.assert_allclose(found, expected, atol=1e-4)
print(", ".join(runners), "agree")

# %% [markdown]
# They agree; are they equally fast? **Predict** which one wins on your machine.


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
spent = {name: milliseconds(run, image) for name, run in runners.items()}
fig, ax = plt.subplots(figsize=(8, 0.5 + 0.4 * len(spent)), layout="constrained")
bars = ax.barh(list(spent), list(spent.values()), color="#0072B2")
ax.bar_label(bars, fmt=" %.0f", padding=2)
ax.invert_yaxis()
ax.set(xlabel=f"ms, median of {here.repeats}, LR 48 x 96, x4, on this machine")
ax.margins(x=0.1)
plt.show()

# %% [markdown]
# The order depends on processor, threads and network: measure where it will run.
#
# ### What no check finds
#
# The file computes what the network computes. But what do you feed it? Three mistakes that raise no error. **Predict:** which of them would
# you notice in the picture?


# %%
def to_file(output):
    return sr.images.to_integer(np.clip(output[0], 0, 1))


right = to_file(served(lr[None]).numpy())
bgr = to_file(served(lr[None, ..., ::-1]).numpy())[..., ::-1]  # OpenCV's order
bytes_in = to_file(served(255 * lr[None]).numpy() / 255)  # 0 to 255, back again
wrapped = (255 * served(lr[None]).numpy()[0]).astype("int32").astype("uint8")
fed = {"right": right, "BGR in, BGR out": bgr, "0-255 in and out": bytes_in}
fed["not clipped"] = wrapped

# %%
sr.plotting.comparison(
    {**fed, "HR": hr_file},
    scores=luma_scores(fed, hr_file),
    crop=(312, 512, 84, 112),
    columns=3,
    whole=False,
    title="EDSR x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
)

# %% [markdown]
# Without clipping, what overshoots white wraps around to black, and the other way round, in each channel: coloured speckles. The other
# two mistakes leave a picture that everybody would take for right, and scores that hardly differ. Only a comparison with the network's
# own output finds them. Write range, channel order and clipping beside the file, or put them into it (exercise 4).
#
# ## Several GPUs
#
# Training on several GPUs of one machine means: each gets a share of the batch, computes gradients, and all take the mean. Is that
# the same? By hand, on a toy and a batch of 8:

# %%
toy = sr.models.espcn(2, filters=(8, 4), channels=3)
lr_batch = tf.constant(generator.random((8, 12, 12, 3), "float32"))
hr_batch = tf.constant(generator.random((8, 24, 24, 3), "float32"))


def gradients(lr, hr):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(hr - toy(lr, training=True)))
    return tape.gradient(loss, toy.trainable_variables)


# %%
whole_batch = gradients(lr_batch, hr_batch)
first = gradients(lr_batch[:4], hr_batch[:4])
second = gradients(lr_batch[4:], hr_batch[4:])
for together, a, b in zip(whole_batch, first, second, strict=True):
    np.testing.assert_allclose(together, (a + b) / 2, atol=1e-6)
print("mean of the halves = gradient of the whole batch")

# %% [markdown]
# The mean of means is the mean, if the shares are equally large. So two devices must end with the weights of one. TensorFlow calls
# it `MirroredStrategy`; in the package it is one word:
#
#     sr-keras train edsr --scale 4 --data photos --out runs/mine --distribute mirrored
#
# We have no two GPUs. But TensorFlow can split a CPU into two *logical* devices, if it is told so before anything else: in a process of its
# own.

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
    "espcn", 2, ("training",), options={"filters": (8, 4), "channels": 3},
    hold_out=0, steps=16, batch_size=8, lr_size=12, learning_rate=3e-3,
    precision="float32")
result, weights = {}, []
for word in (None, "mirrored"):
    model, run = sr.training.train(recipe, f"run {word}", 8, distribute=word)
    result[f"--distribute {word}"] = [row["loss"] for row in run.log]
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
    env={**plain, "CUDA_VISIBLE_DEVICES": "-1"},
)
assert done.returncode == 0, done.stderr[-3000:]
result = json.loads((folder / "result.json").read_text())
difference = result.pop("difference")
for word, losses in result.items():
    print(f"{word:22} L1 loss", " then ".join(f"{loss:.6f}" for loss in losses))
print(f"largest difference of a weight after 16 steps: {difference:.0e}")
assert difference < 1e-3

# %% [markdown]
# Two devices train the network of one device. That is the promise, and all of it: it says nothing on speed, which here
# cannot be gained, and batch normalization breaks it, since each device takes the statistics of its share.
#
# Upscaling needs no such strategy. Photos do not depend on each other: give each GPU a folder, and a process of its own.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** A huge photo, tiles of 64, halo 20: how many times the pixels of the photo does the network compute, far from the
# borders? And with tiles of 256?

# %%
answer = None  # two numbers

overhead = [((tile + 2 * 20) / tile) ** 2 for tile in (64, 256)]
sr.course.check(answer, overhead, tolerance=0.01)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
answer = [(104 / 64) ** 2, (296 / 256) ** 2]
sr.course.check(answer, overhead, tolerance=0.01)
print([f"{value:.2f}" for value in answer])

# %% [markdown]
# **Exercise 2.** A film of 90 minutes, 24 frames a second, LR 480 x 270. With `seconds_a_frame` measured above for 64 x 48, how
# many hours does this machine need with EDSR? How large a network would be fast enough to watch it live?

# %%
answer = None  # hours

hours = 90 * 60 * 24 * seconds_a_frame * (480 * 270) / (64 * 48) / 3600
sr.course.check(answer, hours, tolerance=0.01 * hours)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
frames, larger = 90 * 60 * 24, (480 * 270) / (64 * 48)
answer = frames * larger * seconds_a_frame / 3600
sr.course.check(answer, hours, tolerance=0.01 * hours)
live = seconds_a_frame * larger * 24
print(f"{answer:.0f} hours; for live, {live:.0f} times fewer multiplications")

# %% [markdown]
# **Exercise 3.** Many programs *blend* overlapping tiles: near its edges a tile fades out, and its neighbour fades in. Write `blended(network,
# lr, tile, halo)` with weights that rise linearly from the window's edge. With a halo of 2: is the seam weaker than in `tiled`? Is the
# result nearer to the whole?


# %%
def blended(network, lr, tile, halo): ...  # your code


# %% cellView="form" jupyter={"source_hidden": true}
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


right = network.predict_on_batch(piece[None])[0]
for way in (tiled, blended):
    error = 255 * (way(network, piece, 48, 2) - right)
    jump = np.abs(np.diff(error, axis=1)[:, 48 * scale - 1]).max()  # at the cut
    most = np.abs(error).max()
    print(f"{way.__name__:8} step at the cut {jump:.2f}, largest error {most:.2f}")

# %% [markdown]
# What we saw (read it after your try): the step at the cut shrinks, the largest error does not. Blending hides a seam; a halo removes its cause.
#
# **Exercise 4.** An app has 8-bit pixels and no NumPy. Put all three conventions into the graph: a model that takes uint8, divides, enlarges,
# clips, rounds, and returns uint8. Export it with `model.export(path, format="tf_saved_model")`, and compare it with `sr.upscale`.

# %%
app = None  # your keras.Model

# %% cellView="form" jupyter={"source_hidden": true}
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
# **Exercise 5.** Calm the film: mix each enlarged frame with the one before it, moved by the known `step`, half and half, and go on with
# the mixture. Does EDSR's flicker fall? What does PSNR do, and which lesson explains it? What would you need for a real film?

# %%
calm = None  # your frames

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
down, right = step
calm = [clips["EDSR"][0].astype(float)]
for frame in clips["EDSR"][1:]:
    before = np.roll(calm[-1], (-down, -right), axis=(0, 1))
    mixed = (frame + before) / 2
    mixed[-down:], mixed[:, -right:] = frame[-down:], frame[:, -right:]  # new there
    calm.append(mixed)
calm = [sr.images.to_integer(frame / 255) for frame in calm]
for name, clip in (("single frames", clips["EDSR"]), ("mixed", calm)):
    psnr = sr.evaluation.score(hr_clip[-1], clip[-1], scale)["psnr_y"]
    print(f"{name:13} flicker {flicker(clip):.2f}, last frame {psnr:.2f} dB")
print("x4, PSNR on luma, 4 pixels cut, 8 bits")

# %% [markdown]
# What we saw (read it after your try): flicker about halves, and PSNR rises a little. That is lesson 1 again, many photos against one: every
# frame samples the scene at other places. In a real film the motion has to be found first, and where it is wrong, the mixture shows ghosts.
#
# ## Summary
#
# - Tiles equal the whole image if each is computed from a window larger by the receptive field. NaN measures it; networks with global
#   means have none.
# - Large tiles cost memory, small ones time. The largest array is at HR size, with all channels.
# - Folders hold grey, deep, transparent and broken files. Networks know one degradation; JPEG's blocks they enlarge.
# - In film, errors that change from frame to frame become flicker, which no score of single frames shows.
# - Export, then compare, then think of range, channel order, clipping and rounding: they are not in the file.
# - Several devices average the gradients of equal shares: the training of one device, but for batch normalization.
#
# ## Further reading
#
# - Luo and others, [Understanding the effective receptive field in deep convolutional neural networks](https://arxiv.org/abs/1701.04128),
#   2016: how little the outer pixels count.
# - Chu and others, [Improving image restoration by revisiting global information aggregation](https://arxiv.org/abs/2112.04491), 2022: what
#   tiles do to networks that take means over the image.
# - Sajjadi, Vemulapalli and Brown, [Frame-recurrent video super-resolution](https://arxiv.org/abs/1801.04590), 2018: each frame with the help
#   of the one before.
# - Chan and others, [BasicVSR](https://arxiv.org/abs/2012.02181), 2021: what networks for video are made of.
# - Chu and others, [Learning temporal coherence via self-supervision for GAN-based video
#   generation](https://arxiv.org/abs/1811.09393), 2020: sharp films that do not flicker.
# - Goyal and others, [Accurate, large minibatch SGD](https://arxiv.org/abs/1706.02677), 2017: what to do with the learning rate when many GPUs make the
#   batch large.
