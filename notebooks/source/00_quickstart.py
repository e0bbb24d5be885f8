# %% [markdown]
# # 0. Quickstart: enlarge a photo
#
# A trained network enlarges a photo to four times its height and width. You will see what it recovers, what it leaves out, and
# what it invents.
#
# ![A portrait, enlarged by bicubic interpolation and by two networks](figures/00_goal.jpg)
#
# *A small photo, enlarged by a factor of 4: by bicubic interpolation, by a network trained to keep errors small, and by a network of the same design trained to look natural.*
#
# **You will be able to**
#
# - enlarge a photo of your own with a network that comes with the package;
# - say, by eye and by number, what the network gains over interpolation;
# - tell recovered detail from invented detail, and know when not to trust the result.
#
# **You need** to know how to run Python cells, and a little Python for the exercises. The next lessons explain what happens
# inside.
#
# **Time:** about 25 minutes to read the core, 50 for the exercises; 1 minute of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/00_quickstart.ipynb) · [Student edition](student/00_quickstart.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/00_quickstart.py) · Next: [1. Pixels, degradation and interpolation](01_pixels.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/01_pixels.ipynb)) · [All lessons](README.md)

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
    minutes=(0.5, 1, 1),
    network=("edsr-x4-bsds-small", "edsr-x4-bsds", "edsr-x4-bsds"),
    adversarial=("edsr-x4-bsds-srgan", "edsr-x4-photos-srgan", "edsr-x4-photos-srgan"),
)

# %% [markdown]
# ## What we want
#
# A small photo is enlarged by a factor of 4: on the left by interpolation, in the middle and on the right by two trained
# networks.

# %%
from skimage import data

face = data.astronaut()[:200, 125:325]
goal = {
    "bicubic interpolation": sr.upscale(sr.models.bicubic(4), face),
    "trained for small errors": sr.upscale(sr.models.load(here.network), face),
    "trained to look natural": sr.upscale(sr.models.load(here.adversarial), face),
}
sr.plotting.comparison(goal, crop=(230, 240, 300, 300), columns=3, whole=False)

# %% [markdown]
# Both networks draw sharper eyes and lashes. The first one draws the hair as smooth bands, and puts speckles on the skin, because
# it also sharpens the faint noise of the photo. The second one draws single strands of hair, and covers the skin with fine grain.
# It looks like a larger photo, but from close up the grain is as regular as woven cloth. Which of these details are true? This
# photo alone cannot tell us.
#
# ## A small photo
#
# To judge an enlargement, we need the right answer. We therefore take a large photo, called HR (high resolution), and scale it
# down to get LR (low resolution). The network sees only LR.

# %%
import numpy as np

hr = data.stereo_motorcycle()[0][:400, 100:500]  # rows, columns
downscale = sr.degradations.get("bicubic", scale=4)
lr = downscale(hr)
print("HR", hr.shape, "-> LR", lr.shape)

# %% [markdown]
# **Predict:** of all the numbers in the HR photo, how many are left in LR: half, a quarter, or a sixteenth?

# %%
print(f"1 in {hr.size // lr.size}")
window = (150, 30, 90, 120)  # the zoomed part: top, left, height, width
sr.plotting.comparison({"LR": lr, "HR": hr}, crop=window)

# %% [markdown]
# ## Enlarging it with a network
#
# The package comes with trained weights. The name of each file gives the network, the scale, the training data, and sometimes a
# variant, such as `small`. `bsds` stands for 491 ordinary photos (20 of them were held out), and `photos` for a larger collection.
# These are the EDSRs for x4; the package has other networks and scales, too. None of these photos appears in this lesson.

# %%
print(*(name for name in sr.weights.all_names() if "edsr-x4" in name), sep="\n")

# %% [markdown]
# We take the network with the highest score on photos that were held out of its training, which is also the one in the middle above.
# `upscale` cuts large photos into tiles to keep memory use low, and returns the data type it was given: bytes in, bytes out.

# %%
print("highest score at x4:", sr.weights.best(4))
network = sr.models.load(here.network)
result = sr.upscale(network, lr)
print(here.network, "has", f"{network.count_params():,}", "weights")
print(lr.shape, "->", result.shape)

# %% [markdown]
# Without a network, most programs enlarge by bicubic interpolation, where each new pixel is a weighted mean of sixteen old ones.
# The number above a picture is the PSNR, which measures how close the luma (brightness) of the whole photo, not only of the part
# shown, is to that of HR. Lesson 1 builds interpolation and PSNR by hand.

# %%
interpolated = sr.upscale(sr.models.bicubic(4), lr)
pictures = {"LR": lr, "bicubic": interpolated, "network": result, "HR": hr}


def psnr(image):
    return sr.evaluation.score(hr, image, border=4)["psnr_y"]


scores = {title: f"{psnr(pictures[title]):.2f} dB" for title in ("bicubic", "network")}
conditions = "x4, PSNR on luma of the whole photo, 4 border pixels cut"
sr.plotting.comparison(pictures, scores, window, title=conditions, whole=False)

# %% [markdown]
# More decibels (dB) mean smaller errors: an increase of 1 dB means about a fifth less squared error. Look at the edges, which the
# network draws more sharply. Move the pointer over the picture below to compare the two, and turn the mouse wheel to zoom. (Where
# scripts do not run, the two pictures are shown side by side.)

# %%
larger = (120, 0, 160, 240)
sr.plotting.slider({"bicubic": interpolated, "network": result}, crop=larger)

# %% [markdown]
# ## What it got right
#
# One number for the whole photo hides where the errors are, so we now compare them pixel by pixel. Where is the network closer to
# HR than bicubic interpolation (blue-green), and where is it farther away (red)?


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
    {
        "change of the error, x 8: blue-green closer, red farther": np.minimum(
            8 * colored, 1
        ),
        "HR": hr,
    },
    crop=window,
    whole=False,
)

# %% [markdown]
# Blue-green dominates along the edges, with some red in between. This is what a network learns from many photos: what edges
# usually look like. Flat regions are dark because the error hardly changes there. (The percentages are of the whole photo, the
# picture shows a part.) (In the other 8% of the pixels, both errors are equal.)
#
# ## What it left out
#
# **Predict:** the bright seams of the seat are one pixel wide in HR. Will the network bring them back?

# %%
fine = sr.images.to_float(hr) - sr.images.to_float(interpolated)
added = sr.images.to_float(result) - sr.images.to_float(interpolated)
share = 1 - np.mean((fine - added) ** 2) / np.mean(fine**2)
print(f"The network removes {share:.0%} of bicubic's squared error (RGB).")
detail = {
    "missing after bicubic": 0.5 + 2 * fine,
    "added by the network": 0.5 + 2 * added,
}
detail = {title: np.clip(image, 0, 1) for title, image in detail.items()}
sr.plotting.comparison(detail, crop=window, whole=False)

# %% [markdown]
# Mid-grey means zero. The strong edges appear in both, but the seams and the fine texture appear only on the left. Where many
# details would fit, a network trained to keep errors small gives a compromise between them, which is often almost no detail.
#
# ## What it made up
#
# If we scale the result down again, we should get the LR photo back. This check needs no HR, but we must know how LR was made.
# *LR-PSNR* is the PSNR between the two small photos.

# %%
again = downscale(result)
largest = np.abs(again.astype(int) - lr).max()
print(f"LR-PSNR {sr.quality.lr_psnr(lr, result):.1f} dB (RGB, no border cut)")
print("largest difference to the LR photo:", largest, "of 255")

# %% [markdown]
# The result and the true photo have nearly the same LR photo. An LR-PSNR of 40 dB would correspond to a typical error of 1% of
# white. Here, the error is a third of that, although a few pixels are farther off. The result explains LR nearly as well as the
# true photo does, so a small LR error does not show that its detail is true. Where the two differ, the network is guessing, and
# its guess comes from other photos.
#
# Some networks guess boldly. The second network of the first picture has the same layers as ours, and started from its weights.
# It was then trained adversarially, on the larger collection of photos: it learned to fool another network, the discriminator,
# that tries to tell its output from real photos (lesson 10). It invents texture because the texture looks natural, not because it
# was there.
#
# **Predict:** what will it draw on the engine? Will its PSNR be higher or lower?

# %%
invented = sr.upscale(sr.models.load(here.adversarial), lr)
print(f"LR-PSNR of the result below: {sr.quality.lr_psnr(lr, invented):.1f} dB")
versions = {
    "bicubic": interpolated,
    "small errors": result,
    "natural look": invented,
    "HR": hr,
}
scores = {title: f"{psnr(versions[title]):.2f} dB" for title in list(versions)[:3]}
engine = (225, 225, 130, 170)
sr.plotting.comparison(
    versions, scores, engine, title=conditions, columns=2, whole=False
)

# %% [markdown]
# In HR, the cylinders in the middle have horizontal cooling fins, which have left almost no trace in LR. The network that was
# trained for small errors leaves smooth metal there. The adversarial network covers it with grain and small dents, like rough cast
# iron. Without HR, you would believe it, but it is wrong. LR does not contradict it either: its LR-PSNR is 45 dB. On the round
# cover in front, the manufacturer's name is missing in both results. The PSNR of the adversarial network is lower by about 1 dB:
# false detail adds to the error.
#
# Do not draw conclusions from such detail, whether it is a number plate, a face or a medical image. Lesson 13 is about this
# problem. (The fine regular pattern, here along some bright edges and in the first picture on the skin, is not a guess but an
# artefact of how these networks enlarge, which lesson 4 explains.)
#
# ## What it was not trained for
#
# Now we add noise to LR, with a standard deviation of 6% of white, or save LR as a JPEG file of quality 20. **Predict:** will the
# network remove the noise and the JPEG blocks, keep them, or amplify them?

# %%
noisy = sr.degradations.GaussianNoise(0.06)(lr, seed=1)
jpeg = sr.degradations.JPEG(20)(lr)
spoiled = {
    "LR with noise, sigma 0.06": noisy,
    "enlarged": sr.upscale(network, noisy),
    "LR as JPEG, quality 20": jpeg,
    "enlarged ": sr.upscale(network, jpeg),
}
sr.plotting.comparison(spoiled, crop=window, columns=2, whole=False)

# %% [markdown]
# It removes neither. It redraws the noise as strokes and coloured specks that look like detail, and it keeps the blocks and false
# colours of the JPEG, because it cannot know that they are not part of the scene. A network for such photos must be trained on
# such photos (lessons 6 and 16).
#
# ## Your own photo
#
# Put a photo next to this notebook and write its name below. In Colab, click the folder symbol on the left and upload it. If you
# give no name, the cell enlarges a cat. Begin with a part of the photo, by a line `photo = photo[:400, :400]` after the one that
# reads it: a photo of 12 megapixels takes minutes. Most photos are JPEG files, so expect amplified blocks. (Lesson 16 has a
# network for them.)

# %%
path = None  # such as "holiday.jpg"

photo = data.chelsea()[30:180, 70:250] if path is None else sr.images.read(path)
large = sr.upscale(network, photo)
sr.images.write("large.png", large)
print(photo.shape, "->", large.shape, "in large.png")
side = min(240, *large.shape[:2])
middle = [(length - side) // 2 for length in large.shape[:2]]
enlarged = {"bicubic": sr.upscale(sr.models.bicubic(4), photo), "network": large}
sr.plotting.comparison(enlarged, crop=(*middle, side, side), columns=2, whole=False)

# %% [markdown]
# Look for details that became sharper, and for details that may be invented.
#
# You can do the same from a terminal, for whole folders as well: `python -m sr_keras upscale holiday.jpg scans/ --out large`.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** At x4, the result has more numbers than LR. By counting alone, what fraction of them does LR leave undetermined?
# Answer with a number between 0 and 1, to four decimals.

# %%
answer = None  # your number

sr.course.check(answer, "00.1")

# %% tags=["solution"]
# @title Solution 1
# LR gives one equation for every sixteen unknown numbers, which leaves 15 of 16 open.
# (No single HR pixel is known exactly: an LR pixel is a rounded mean of many of them.)
answer = 15 / 16
sr.course.check(answer, "00.1")

# %% [markdown]
# **Exercise 2.** `sr.upscale(network, lr, self_ensemble=True)` averages the results for the eight flipped and rotated versions of
# the photo. By how much does the PSNR increase, and how much longer does it take? (Use `time.perf_counter()`, and time the second
# call: the first one compiles.)

# %%
gained = None  # the new PSNR minus psnr(result)

# %% tags=["solution"]
# @title Solution 2
# Eight versions take about eight times as long, less where one does not fill the cores.
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
print(f"It takes {times[True] / times[False]:.1f} times as long.")

# %% [markdown]
# **Exercise 3.** Enlarge `hr` itself by a factor of 4. There is no ground truth. Look at a part of the result: what would pass
# for a real photo of 1600 x 1600 pixels, and what looks painted?

# %%
huge = None  # 1600 x 1600 pixels

# %% tags=["solution"]
# @title Solution 3
# The long edges would pass for real. Grain, chrome and reflections look painted.
huge = sr.upscale(network, hr)
crops = {"photo": hr, "enlarged": huge}
sr.plotting.comparison(crops, crop=(680, 200, 200, 260), columns=2, whole=False)

# %% [markdown]
# **Exercise 4.** A network for x4 expects an LR photo made by *bicubic* downscaling. Make one with `"nearest"` instead, which keeps
# one pixel of each 4 x 4 block. Is the network still better than bicubic interpolation?

# %%
other = None  # sr.degradations.get(..., scale=4)(hr)

# %% tags=["solution"]
# @title Solution 4
other = sr.degradations.get("nearest", scale=4)(hr)
for title, model in (("bicubic", sr.models.bicubic(4)), ("network", network)):
    value = psnr(sr.upscale(model, other))
    print(f"{title}: {value:.2f} dB ({conditions}, LR by nearest)")

# %% [markdown] tags=["solution"]
# No, it is worse by 3.5 dB. Two things are wrong with this LR photo. It is shifted by half an HR pixel, and one pixel of 16 leaves
# jagged edges and coarse grain (aliasing), most of which bicubic downscaling averages away. The network has never seen them, and
# sharpens them as if they were true detail.

# %% [markdown]
# ## Summary
#
# - A network learns from other photos what edges look like, and draws them more sharply than interpolation can.
# - At x4, LR has one pixel for every sixteen in HR, and the rest must be guessed. Where the detail is unknown, a network trained to
#   keep errors small stays smooth, and a network trained to look natural invents detail.
# - A network works for LR photos like those it was trained on. Noise and compression artefacts are enlarged along with the photo,
#   and a different downscaling method can make the network worse than interpolation.
#
# ## Further reading
#
# - Dong, Loy, He and Tang, [Image super-resolution using deep convolutional networks](https://arxiv.org/abs/1501.00092), 2014:
#   the first convolutional network for super-resolution that was trained end to end.
# - Lim and others, [Enhanced deep residual networks for single image super-resolution](https://arxiv.org/abs/1707.02921), 2017:
#   EDSR.
# - Ledig and others, [Photo-realistic single image super-resolution using a generative adversarial
#   network](https://arxiv.org/abs/1609.04802), 2017: SRGAN.
# - Anwar, Khan and Barnes, [A deep journey into super-resolution: a survey](https://arxiv.org/abs/1904.07523), 2020.
