# %% [markdown]
# # 0. Quickstart: enlarge a photo
#
# A trained network enlarges a photo four times. What it got right, what it left out, and what it made up.
#
# **You will be able to**
#
# - enlarge a photo of your own with a network that comes with the package;
# - say by eye and by number what it gains over interpolation;
# - tell recovered detail from invented detail, and know when not to trust it.
#
# **You need** to run Python cells. Nothing else is assumed; the lessons after this one explain what happens inside.
#
# **Time:** 1 minute of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/00_quickstart.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/00_quickstart.py) · Next: [1. Pixels, degradation and interpolation](01_pixels.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/01_pixels.ipynb)) · [All lessons](README.md)

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

here = sr.course.start(minutes=(0.5, 1, 1))

# %% [markdown]
# ## A small photo
#
# To judge an enlargement we need to know what is true. So we take a large photo, HR (high resolution), and make it small: LR (low
# resolution). The network sees the small one alone.

# %%
import numpy as np
from skimage import data

hr = data.stereo_motorcycle()[0][:400, 100:500]  # rows, columns
shrink = sr.degradations.get("bicubic", scale=4)
lr = shrink(hr)
print("HR", hr.shape, "-> LR", lr.shape)

# %% [markdown]
# **Predict:** of the numbers in the HR photo, how many are left in LR? Half, a quarter, a sixteenth?

# %%
print(f"1 in {hr.size // lr.size}")
window = (150, 30, 90, 120)  # of the zoom: top, left, height, width
sr.plotting.comparison({"LR": lr, "HR": hr}, crop=window)

# %% [markdown]
# ## A network enlarges it
#
# The package brings trained weights. Their names say the network, the scale, and what they were trained on: `bsds` is a set of 491
# ordinary photos, none of which is in this lesson.

# %%
print(*sr.pretrained.all_names(), sep="\n")

# %% [markdown]
# We take the one that scored best on photos held out of its training. `upscale` cuts large photos into tiles, so that
# memory is never a problem, and gives back what it got: bytes for bytes.

# %%
name = sr.pretrained.best(4)
network = sr.models.load(name)
result = sr.upscale(network, lr)
print(
    name,
    "with",
    f"{network.count_params():,}",
    "weights:",
    lr.shape,
    "->",
    result.shape,
)

# %% [markdown]
# What would we have without a network? Bicubic interpolation is what most programs do when they enlarge: each new pixel is a
# weighted mean of sixteen old ones. The number above a picture is its PSNR: how close its luma (brightness) comes to that of HR.
# Lesson 1 builds both by hand.

# %%
interpolated = sr.upscale(sr.models.bicubic(4), lr)
pictures = {"LR": lr, "bicubic": interpolated, "network": result, "HR": hr}


def psnr(image):
    return sr.evaluation.score(hr, image, border=4)["psnr_y"]


scores = {title: f"{psnr(pictures[title]):.2f} dB" for title in ("bicubic", "network")}
conditions = "x4, PSNR on luma, 4 border pixels cut"
sr.plotting.comparison(pictures, scores, window, title=conditions, whole=False)

# %% [markdown]
# More decibels (dB) mean smaller errors: one more is a fifth less squared error. Look at the edges: bicubic blurs them, the network draws
# them sharper. Move the pointer over the picture to compare, turn the wheel to zoom. (Where scripts do not run, the two stand side by
# side.)

# %%
larger = (120, 0, 160, 240)
sr.plotting.slider({"bicubic": interpolated, "network": result}, crop=larger)

# %% [markdown]
# ## What it got right
#
# A number for each pixel says more than one for the photo. Where did the network come closer to the truth than bicubic (blue-green), and
# where did it move away from it (red)?


# %%
def error(image):
    difference = sr.images.to_float(image) - sr.images.to_float(hr)
    return np.abs(difference).mean(axis=-1)


gain = error(interpolated) - error(result)
better, worse = np.maximum(gain, 0), np.maximum(-gain, 0)
colored = np.stack([worse, better, better], axis=-1)
closer, farther = np.mean(gain > 0), np.mean(gain < 0)
print(f"closer in {closer:.0%} of the pixels, farther in {farther:.0%}")
sr.plotting.comparison(
    {"change of the error, x 8": np.minimum(8 * colored, 1), "HR": hr},
    crop=window,
    whole=False,
)

# %% [markdown]
# Blue-green lies along the edges, with less red between. That is what a network learns from many photos: how edges usually look. Flat
# regions are dark: closer or farther, the change is next to nothing there.
#
# ## What it left out
#
# **Predict:** the finest lines of the HR photo are one pixel wide. Will the network bring them back?

# %%
fine = sr.images.to_float(hr) - sr.images.to_float(interpolated)
mine = sr.images.to_float(result) - sr.images.to_float(interpolated)
share = 1 - np.mean((fine - mine) ** 2) / np.mean(fine**2)
print(f"of what bicubic misses, the network restores {share:.0%} (squared error, RGB)")
detail = {
    "missing after bicubic": 0.5 + 2 * fine,
    "added by the network": 0.5 + 2 * mine,
}
detail = {title: np.clip(image, 0, 1) for title, image in detail.items()}
sr.plotting.comparison(detail, crop=window, whole=False)

# %% [markdown]
# The left picture is what was lost, the right one what the network adds; mid-grey is nothing. The strong edges are in both; the fine
# texture is only on the left. A network that is trained for small errors stays silent where it cannot know.
#
# ## What it made up
#
# Scale the result down again: it should give the LR photo back. That is all that the data can confirm. *LR-PSNR* is the PSNR between
# the two.

# %%
again = shrink(result)
largest = np.abs(again.astype(int) - lr).max()
print(f"LR-PSNR {sr.quality.lr_psnr(lr, result):.1f} dB (RGB, no border cut)")
print("largest difference to the LR photo:", largest, "of 255")

# %% [markdown]
# The network's photo and the true one have nearly the same LR photo: 40 dB are a typical error of 1% of white, though a few pixels are
# farther off. So LR can hardly say which of the two is right: what they differ in is a guess, made from other photos.
#
# Some networks guess boldly. Trained adversarially, to fool a second network that knows real photos (lesson 10), they invent texture,
# because it looks natural, not because it was there.

# %%
bold = [n for n in sr.pretrained.all_names() if n.endswith(("srgan", "esrgan"))]
bold = [n for n in bold if "-x4-" in n][:1]
for n in bold:
    pictures[n] = sr.upscale(sr.models.load(n), lr)
    scores[n] = f"{psnr(pictures[n]):.2f} dB"
ordered = ["bicubic", "network", *bold, "HR"]
ordered = {title: pictures[title] for title in ordered}
sr.plotting.comparison(ordered, scores, window, title=conditions, whole=False)

# %% [markdown]
# Compare the adversarial network, with its long name, with HR: texture that is not in HR, such as the fine grid on the red metal, is an
# invention. Nothing may be concluded from it: not a number plate, not a face, not a diagnosis. Lesson 13 is about that.
#
# ## A photo that is not clean
#
# The network learned from LR photos without noise. **Predict:** what will it do with a noisy one, or with a strongly compressed JPEG?

# %%
noisy = sr.degradations.GaussianNoise(0.06)(lr, seed=1)
jpeg = sr.degradations.JPEG(20)(lr)
spoiled = {
    "LR with noise": noisy,
    "enlarged": sr.upscale(network, noisy),
    "LR as JPEG": jpeg,
    "enlarged ": sr.upscale(network, jpeg),
}
sr.plotting.comparison(spoiled, crop=window, columns=2, whole=False)

# %% [markdown]
# Noise becomes larger, and hardens into strokes that look like detail. JPEG's blocks and false colours stay. The network has no reason to
# doubt them. For photos like these a network must be trained on photos like these (lesson 6).
#
# ## Your own photo
#
# Put a photo beside this notebook and write its name below. In Colab: the folder symbol on the left, then upload. Without a
# name, the astronaut is enlarged.

# %%
path = None  # such as "holiday.jpg"

mine = data.astronaut()[:200, 125:325] if path is None else sr.images.read(path)
large = sr.upscale(network, mine)
sr.images.write("large.png", large)
print(mine.shape, "->", large.shape, "in large.png")
side = min(240, *large.shape[:2])
middle = [(length - side) // 2 for length in large.shape[:2]]
crops = {"the middle of yours": mine, "enlarged": large}
sr.plotting.comparison(crops, crop=(*middle, side, side), columns=2, whole=False)

# %% [markdown]
# The same from a terminal, for whole folders: `python -m sr_keras upscale holiday.jpg scans/ --out large`.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** At x4, the result has more pixels than LR. By counting alone, which share of them cannot come from LR? A number between 0
# and 1.

# %%
answer = None  # your number

sr.course.check(answer, 1 - lr.size / result.size)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
# LR has one pixel for sixteen: a mean of many, rounded, so that not one is known.
answer = 15 / 16
sr.course.check(answer, 1 - lr.size / result.size)

# %% [markdown]
# **Exercise 2.** `sr.upscale(network, lr, self_ensemble=True)` takes the mean over eight flips and rotations of the photo. How much does
# the PSNR gain, and how much longer does it take?

# %%
gained = None  # the result's PSNR less that of `result`, by `psnr`

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
# Eight views are eight times the work, give or take what else the machine does.
import time

times = {}
for ensemble in (False, True):
    sr.upscale(network, lr, self_ensemble=ensemble)  # the first call compiles
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        image = sr.upscale(network, lr, self_ensemble=ensemble)
        seconds.append(time.perf_counter() - start)
    times[ensemble] = min(seconds)
print(f"{psnr(image) - psnr(result):+.2f} dB ({conditions})")
print(f"{times[True] / times[False]:.1f} times as long")

# %% [markdown]
# **Exercise 3.** Enlarge `hr` itself, four times. There is no truth to compare with. Look at a part of it: what would pass in a photo of
# 1600 x 1600 pixels, and what looks painted?

# %%
huge = None  # 1600 x 1600 pixels

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
# The long edges would pass. Grain, chrome and reflections look painted.
huge = sr.upscale(network, hr)
crops = {"photo": hr, "enlarged": huge}
sr.plotting.comparison(crops, crop=(680, 200, 200, 260), columns=2, whole=False)

# %% [markdown]
# **Exercise 4.** A network for x4 expects an LR photo made by *bicubic* downscaling. Make one with `"nearest"` instead, which keeps one
# pixel of each 4 x 4. Is the network still better than bicubic interpolation?

# %%
other = None  # sr.degradations.get(..., scale=4)(hr)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
other = sr.degradations.get("nearest", scale=4)(hr)
for title, model in (("bicubic", sr.models.bicubic(4)), ("network", network)):
    value = psnr(sr.upscale(model, other))
    print(f"{title}: {value:.2f} dB ({conditions}, LR by nearest)")

# %% [markdown]
# ## Summary
#
# - A network learns from other photos how edges look, and draws them sharper than interpolation can.
# - At x4, LR has one pixel for sixteen; the rest is a guess. Where it cannot know, a network trained for small errors stays smooth, and one
#   trained to look natural invents.
# - It works for LR photos like those it was trained on. Noise, compression and another way of downscaling are enlarged too.
#
# ## Further reading
#
# - Dong, Loy, He and Tang, [Image super-resolution using deep convolutional networks](https://arxiv.org/abs/1501.00092), 2014: the first
#   convolutional network for it.
# - Lim and others, [Enhanced deep residual networks for single image super-resolution](https://arxiv.org/abs/1707.02921), 2017: EDSR.
# - Lai, Huang, Ahuja and Yang, [Deep Laplacian pyramid networks for fast and accurate super-resolution](https://arxiv.org/abs/1704.03915),
#   2017: LapSRN.
# - Ledig and others,
#   [Photo-realistic single image super-resolution using a generative adversarial network](https://arxiv.org/abs/1609.04802), 2017: SRGAN.
# - Anwar, Khan and Barnes, [A deep journey into super-resolution: a survey](https://arxiv.org/abs/1904.07523), 2020.
