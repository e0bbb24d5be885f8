# %% [markdown]
# # 1. Pixels, degradation and interpolation
#
# How a low-resolution (LR) image is made from a high-resolution (HR) one, what interpolation can recover, how the difference is
# measured, and what several shifted photos add to one.
#
# ![A name plate and a shuffled version of it, with their LR images](figures/01_goal.jpg)
#
# *Two different photos have the same LR image. In the second one, the sixteen pixels of every 4 x 4 tile are shuffled.*
#
# **You will be able to**
#
# - make an LR image from an HR image by hand, and say what was lost on the way;
# - write nearest, bilinear and bicubic interpolation, and explain aliases (false patterns from downscaling) and how to avoid
#   them;
# - compute PSNR and SSIM on luma (brightness), as papers do, and say what each of them cannot see;
# - (optional section) combine sixteen shifted photos into one that shows more than any of them.
#
# **You need** Python and NumPy arrays. No machine learning is required: there is no network in this lesson.
#
# **Time:** about 60 minutes to read the core, 55 for the exercises; 1 minute of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
#
# **Optional** section, 15 minutes more: *many photos against one*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/01_pixels.ipynb) · [Student edition](student/01_pixels.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/01_pixels.py) · Previous: [0. Quickstart: enlarge a photo](00_quickstart.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/00_quickstart.ipynb)) · Next: [2. Data: photos, pairs and patches](02_data.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/02_data.ipynb)) · [All lessons](README.md)

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

here = sr.course.start(minutes=(0.5, 1, 1), steps=(20, 100, 100))

# %% [markdown]
# ## A photo is an array
#
# A photo has one number for each row, column and colour (red, green, blue). Files store these numbers as integers from 0 to 255.
# Rows are counted from the top, so `photo[0, 0]` is the upper left pixel.

# %%
import matplotlib.pyplot as plt
import numpy as np
from skimage import data

photo = data.stereo_motorcycle()[0][:500, :740]  # height and width divisible by 4
print(photo.shape, photo.dtype, "upper left pixel:", photo[0, 0])

# %% [markdown]
# For computing, we convert them to real numbers, with black as 0 and white as 1. Networks and metrics compute with such floats.
# Files, datasets and their degradations use integers of 8 bits.

# %%
hr = photo.astype("float32") / 255
np.testing.assert_array_equal(hr, sr.images.to_float(photo))
print("from", hr.min(), "to", hr.max())

# %%
tank = (150, 352, 80, 120)  # the name on the tank: top, left, height, width
sr.plotting.comparison({"HR": hr}, crop=tank, title="High resolution (HR)")

# %% [markdown]
# ## LR = degradation(HR)
#
# LR stands for low resolution. A camera with a quarter of the pixels on each side collects, in each of its pixels, the light of
# 4 x 4 of our pixels. The simplest model of this is the mean of the 16 values. To compute it, we reshape the array so that the rows
# and the columns inside a tile get axes of their own.
#
# ![HR is filtered and subsampled to LR, upscaled to SR, and compared with HR](figures/01_degradation.svg)
#
# *The path of this lesson: from HR to LR, back to an image of the original size (SR, super-resolution), and to a score.*

# %%
scale = 4
height, width = hr.shape[0] // scale, hr.shape[1] // scale
# axes: row of tiles, row in the tile, column of tiles, column in the tile, colour
tiles = hr.reshape(height, scale, width, scale, 3)
lr_mean = tiles.mean(axis=(1, 3))

downscale = sr.degradations.Downscale(scale, "area")
np.testing.assert_allclose(lr_mean, downscale(hr), atol=1e-6)
print(hr.shape, "->", lr_mean.shape)

# %% [markdown]
# **Predict:** the letters on the tank are about ten pixels high. How many LR pixels high is a letter, and can you still read the
# name?

# %%
sr.plotting.comparison({"LR, x4": lr_mean, "HR": hr}, crop=tank, whole=False)

# %% [markdown]
# A letter is two or three LR pixels high, and all that remains of the name is a row of dark and bright blots. Reading it requires
# knowledge from elsewhere: which brands exist, and what letters look like.
#
# ### Light and file values
#
# The mean is only a model, for a reason that is easy to overlook. Files do not store the amount of light. They store a
# *gamma-encoded* value, which has more levels for dark tones because the eye distinguishes them better. A camera averages light, so
# the correct order is to decode, average, and encode again. **Predict:** half of the pixels of a tile are black and half are white.
# The mean of the file values is 0.5. Which file value does the camera store?


# %%
def to_light(value):
    """Decodes the file values of sRGB, the standard for photos."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def to_value(light):
    """Encodes an amount of light from 0 to 1 as a file value."""
    return np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )


black_and_white = np.array([0.0, 1.0])
print(f"half black, half white: {to_value(to_light(black_and_white).mean()):.3f}")
lr_light = to_value(to_light(tiles).mean(axis=(1, 3)))
brighter = 255 * (lr_light - lr_mean)
print(
    f"motorcycle: brighter by {brighter.mean():.1f} grey levels on average,"
    f" by {brighter.max():.0f} at most"
)

# %% [markdown]
# The camera stores a much brighter value. In photos, neighbouring pixels are usually similar, so the average difference is small, but
# it is large where fine bright and dark details meet. Nearly all papers average file values, and the scores of their test sets are
# defined that way. We do the same from here on.
#
# ## It cannot be undone
#
# Sixteen numbers went in, and one came out. Next, we shuffle the sixteen pixels of every tile. **Predict:** what will the LR image
# of the shuffled photo be?

# %%
generator = np.random.default_rng(0)
order = generator.permuted(np.tile(np.arange(16), (height, width, 1)), axis=2)
cells = tiles.transpose(0, 2, 1, 3, 4).reshape(height, width, 16, 3)
cells = np.take_along_axis(cells, order[..., None], axis=2)
cells = cells.reshape(height, width, scale, scale, 3)
shuffled = cells.transpose(0, 2, 1, 3, 4).reshape(hr.shape)

lr_shuffled = np.asarray(downscale(shuffled))
print("largest difference of the HR images:", np.abs(shuffled - hr).max())
print("largest difference of the LR images:", np.abs(lr_shuffled - lr_mean).max())

# %%
sr.plotting.comparison(
    {"HR": hr, "its LR": lr_mean, "shuffled HR": shuffled, "its LR ": lr_shuffled},
    crop=tank,
    whole=False,
)

# %% [markdown]
# Two different photos have the same LR image, apart from the rounding of float32. No method can tell from the LR image alone which
# of the two it came from. How many photos are possible? For a lower bound, we count the ways to make a mid-grey pixel out of eight
# black and eight white ones:

# %%
import math

print(f"one LR pixel: {math.comb(16, 8)} ways")
digits = int(math.log10(math.comb(16, 8)) * height * width) + 1
print(f"a mid-grey LR image of this size: a number of {digits} digits")

# %% [markdown]
# Super-resolution is *ill-posed*: many answers are consistent with the data, and every method chooses one of them according to its
# assumptions. Interpolation assumes that images are smooth. A network assumes that they look like its training photos.
#
# ## Interpolation by hand
#
# First we need the positions of the pixels. A pixel is a small square, and its position is the centre of that square. In one
# dimension, the centre of HR pixel `i`, measured in LR pixels, is at `(i + 0.5) / scale - 0.5`.

# %%
position = (np.arange(12) + 0.5) / scale - 0.5
fig, ax = plt.subplots(figsize=(8, 1.6))
ax.plot(position, np.full(12, 0.4), "s", color="#0072B2", label="HR pixels")
ax.plot(np.arange(3), np.zeros(3), "s", ms=12, color="#D55E00", label="LR pixels")
ax.set(yticks=[], ylim=(-0.4, 0.8), xlabel="position in LR pixels, scale 4")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
print("HR pixels 0 to 5 are at", position[:6])
plt.show()

# %% [markdown]
# At this scale, no HR centre coincides with an LR centre. Implementations that use `i / scale` instead shift the whole image by
# 1.5 HR pixels at scale 4.
#
# Interpolation computes each new pixel as a weighted sum of its LR neighbours. In each direction, the weight depends only on the
# distance, and the function that maps the distance to the weight is called the *kernel*. In two dimensions, the weight of a
# neighbour is the product of the vertical and the horizontal weight. Here are three kernels.


# %%
def box(distance):  # nearest neighbour
    return (distance < 0.5).astype(float)


def triangle(distance):  # bilinear
    return np.maximum(1 - distance, 0)


# %%
def keys(distance, a=-0.5):  # bicubic
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


offsets = np.linspace(-2.5, 2.5, 501)
np.testing.assert_allclose(keys(np.abs(offsets)), sr.layers.cubic(offsets), atol=1e-12)

# %% [markdown]
# **Predict:** which of them has negative values, and what could a negative weight do to an image?

# %%
fig, ax = plt.subplots(figsize=(8, 2.8))
for name, kernel in (("nearest", box), ("bilinear", triangle), ("bicubic", keys)):
    ax.plot(offsets, kernel(np.abs(offsets)), label=name)
ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="distance in LR pixels", ylabel="weight")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Only the bicubic kernel has negative values, at distances between 1 and 2.
#
# Now we compute one pixel by hand, the one in row 9 and column 6. HR row 9 is at position 1.875, which is 0.875 away from LR row 1
# and 0.125 away from LR row 2. Bilinear interpolation uses both rows, and likewise two columns, so the pixel has **4 neighbours**.
#
# The package works on batches of images, as networks do. The index `[None]` adds the batch axis, and `[0]` removes it.

# %%
y, x = (9 + 0.5) / scale - 0.5, (6 + 0.5) / scale - 0.5
two_rows, two_columns = np.arange(1, 3), np.arange(1, 3)
four = np.outer(triangle(np.abs(two_rows - y)), triangle(np.abs(two_columns - x)))
print(f"position ({y}, {x}), weights\n{four}, sum {four.sum()}")
pixel = sum(four[i, j] * lr_mean[1 + i, 1 + j] for i in (0, 1) for j in (0, 1))

bilinear = sr.models.bilinear(scale)(lr_mean[None])[0].numpy()
np.testing.assert_allclose(pixel, bilinear[9, 6], atol=1e-6)

# %% [markdown]
# Bicubic interpolation uses four rows and four columns, so the pixel has **16 neighbours**. Look at the signs: the nearest neighbour
# has the largest weight, and most of the more distant ones have a small negative weight.

# %%
indices = np.arange(4)  # of rows and of columns
sixteen = np.outer(keys(np.abs(indices - y)), keys(np.abs(indices - x)))
print(sixteen.round(3), "sum", sixteen.sum().round(6))
pixel = np.einsum("ij,ijc->c", sixteen, lr_mean[0:4, 0:4])

from_package = sr.models.bicubic(scale)(lr_mean[None])[0].numpy()
np.testing.assert_allclose(pixel, from_package[9, 6], atol=1e-6)

# %% [markdown]
# To compute all pixels at once, we write the weights of one direction as a matrix with one row for each new pixel. Beyond the
# border, the image continues with its last pixel, so the weights that fall outside are added to the weight of the last pixel.


# %%
def weights(size, scale, kernel):
    """Returns a matrix (scale * size, size): row i has the weights of new pixel i."""
    position = (np.arange(scale * size) + 0.5) / scale - 0.5
    neighbours = np.arange(-3, size + 3)  # three more on each side
    matrix = kernel(np.abs(position[:, None] - neighbours[None, :]))
    inside = np.clip(neighbours, 0, size - 1)
    return matrix @ np.eye(size)[inside]


# %%
def enlarge(image, scale, kernel):
    """Multiplies by the weights of the rows and by those of the columns."""
    rows = weights(image.shape[0], scale, kernel)
    columns = weights(image.shape[1], scale, kernel)
    return np.einsum("Yy,yxc,Xx->YXc", rows, image, columns, optimize=True)


# %%
for name, kernel in (("nearest", box), ("bilinear", triangle), ("bicubic", keys)):
    package = sr.models.INTERPOLATIONS[name](scale)(lr_mean[None])[0]
    np.testing.assert_allclose(enlarge(lr_mean, scale, kernel), package, atol=1e-5)
    used = (weights(50, scale, kernel)[100] != 0).sum() ** 2
    print(f"{name}: equals sr.models.{name}, neighbours per pixel: {used}")

# %% [markdown]
# **Predict** before you look: which of the three is the sharpest, and which is the smoothest? Where will you see staircase
# artefacts?

# %%
enlarged = {
    "nearest": enlarge(lr_mean, scale, box),
    "bilinear": enlarge(lr_mean, scale, triangle),
    "bicubic": enlarge(lr_mean, scale, keys),
}
engine = (222, 320, 110, 160)
sr.plotting.comparison({**enlarged, "HR": hr}, crop=engine, columns=2, whole=False)

# %% [markdown]
# Nearest has hard edges, but in the wrong places: slanted edges become staircases. Bilinear is smooth and washed out, and bicubic
# is slightly crisper. None of them brings back the fins of the engine: they rearrange what is in the LR image and add nothing.
#
# Where do these pictures differ from HR? **Predict:** is the error large in the smooth areas or at the edges, and which of the three
# has the smallest error?

# %%
for name, image in enlarged.items():
    print(f"{name:8} mean absolute error {255 * np.abs(image - hr).mean():.2f} of 255")
error = np.abs(enlarged["bicubic"] - hr).mean(axis=2)
sr.plotting.comparison(
    {"absolute error of bicubic, x5": 5 * error, "HR": hr},
    crop=engine,
    whole=False,
)

# %% [markdown]
# The error follows the edges, and the smooth areas of the tank are almost free of it. Bicubic has the smallest error on this photo.
#
# The effect of the negative weights shows at edges as well. **Predict:** the step goes from 0.2 to 0.8. Will every curve stay within
# this range?

# %%
step = np.where(np.arange(10) < 5, 0.2, 0.8)
fig, ax = plt.subplots(figsize=(8, 2.8))
for name, kernel in (("nearest", box), ("bilinear", triangle), ("bicubic", keys)):
    profile = (weights(10, 16, kernel) @ step)[32:-32]
    ax.plot(profile, label=f"{name}: {profile.min():.3f} to {profile.max():.3f}")
ax.set(xlabel="pixel (16 per LR pixel)", ylabel="brightness")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The bicubic curve overshoots on both sides. This makes edges look crisp and leaves faint halos. It is also why outputs have to
# be clipped to [0, 1] before they are saved.
#
# ## Downscaling again, with care
#
# Images can be downscaled with the same kernels. The obvious way is to interpolate at the centres of the new pixels, from the 16 HR
# pixels around each. Its flaw shows best on rings that become finer towards the outside.


# %%
def downscale_weights(size, scale, kernel, antialias):
    """Returns a matrix (size // scale, size): row i has the weights of LR pixel i."""
    stretch = scale if antialias else 1  # the kernel becomes `scale` times as wide
    position = (np.arange(size // scale) + 0.5) * scale - 0.5
    neighbours = np.arange(-2 * scale, size + 2 * scale)
    matrix = kernel(np.abs(position[:, None] - neighbours[None, :]) / stretch)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return matrix @ np.eye(size)[np.clip(neighbours, 0, size - 1)]


# %%
def downscaled(image, scale, kernel, antialias):
    """Multiplies by the weights of the rows and by those of the columns."""
    rows = downscale_weights(image.shape[0], scale, kernel, antialias)
    columns = downscale_weights(image.shape[1], scale, kernel, antialias)
    return np.einsum("yY,YXc,xX->yxc", rows, image, columns, optimize=True)


# %%
down, across = np.mgrid[:320, :320] / 320
rings = 0.5 + 0.5 * np.cos(200 * (down**2 + across**2))[..., None]
sr.plotting.degradations(
    rings,
    {
        "x4, without antialiasing": downscaled(rings, 4, keys, antialias=False),
        "x4, with antialiasing": downscaled(rings, 4, keys, antialias=True),
    },
)

# %% [markdown]
# Without antialiasing, arcs appear in the corners that are not in the image. (The faint pattern in the middle, in both pictures,
# is where the rings reach the limit.) By the sampling theorem (Nyquist), a grid can represent only waves with a period of more
# than two of its pixels, which is 8 HR pixels at x4. Finer waves do not disappear. They return as coarser waves, called *aliases*.
#
# A single wave shows where they go. It has a period of 5 HR pixels, which is a frequency of 0.2 cycles per pixel, and the limit of
# the LR grid is 1/8 = 0.125. **Predict:** mark the values of the wave at the positions 0, 4, 8, 12, 16 and 20. (The pixels of LR
# lie at 1.5, 5.5 and so on. This changes the phase of the result, but not its frequency.) Which frequency will the LR image show?


# %%
def wave(x):
    return 0.5 + 0.5 * np.cos(2 * np.pi * x / 5)  # x in HR pixels


row = wave(np.arange(320))  # a row of an HR image
lines = {"HR": (row, 1)}  # and the size of a pixel
for name, antialias in (("without antialiasing", False), ("with antialiasing", True)):
    matrix = downscale_weights(320, scale, keys, antialias)
    lines[f"LR, {name}"] = (matrix @ row, scale)

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
axes[0].plot(np.arange(0, 60, 0.1), wave(np.arange(0, 60, 0.1)), color="0.8")
for (name, (values, size)), style in zip(lines.items(), (".", "o-", "s-"), strict=True):
    place = (np.arange(len(values)) + 0.5) * size - 0.5
    axes[0].plot(place, values, style, markersize=5, label=name)
    amplitude = 2 * np.abs(np.fft.rfft(values - values.mean())) / len(values)
    frequency = np.fft.rfftfreq(len(values), d=size)
    axes[1].plot(frequency, amplitude, label=name)
    print(f"{name}: frequency {frequency[amplitude.argmax()]:.3f},", end=" ")
    print(f"amplitude {amplitude.max():.3f}")
axes[0].set(xlim=(0, 60), xlabel="position in HR pixels", ylabel="brightness")
axes[1].axvline(1 / 8, color="0.4", linestyle="--", label="limit of the LR grid")
axes[1].set(xlabel="cycles per HR pixel", ylabel="amplitude")
axes[1].legend(frameon=False)
plt.show()

# %% [markdown]
# The LR grid takes 0.25 samples per HR pixel, and on such a grid a wave of frequency 0.2 has, apart from its phase, the same
# samples as one of 0.25 - 0.2 = 0.05. The spectrum is folded at the limit: whatever lies beyond it is mirrored to the other side.
# The alias is nearly as strong as the wave, and nothing in the LR image tells it from a real wave with a period of 20 pixels.
#
# The solution is to filter before sampling: each LR pixel becomes a weighted mean under a kernel that is stretched by the scale,
# here over 16 HR pixels in each direction instead of 4. Waves well beyond the limit then become nearly grey, as they should. Just
# beyond it, this kernel still passes a part, a third of a wave with a period of 7. The mean of 4 x 4 pixels is a filter, too, but
# a weak one: its LR images contain more aliases.
#
# Bicubic with antialiasing is what MATLAB's `imresize` does, and what nearly all papers mean by "the LR image". `sr_keras` does
# the same. (Beyond the border we repeat the last pixel, `border='replicate'`, as did the MATLAB that made the benchmark sets.
# Newer versions reflect the image.)

# %%
lr = downscaled(hr, scale, keys, antialias=True)
package = np.asarray(sr.degradations.Downscale(scale)(hr))
np.testing.assert_allclose(lr, package, atol=1e-5)

lr_file = sr.degradations.Downscale(scale)(photo)  # integers, as files have them
difference = np.abs(sr.images.to_integer(lr).astype(int) - lr_file)
for levels in range(3):
    share = (difference > levels).mean()
    print(f"channel values that differ by more than {levels}: {share:.3%}")

# %% [markdown]
# The file is nearly our rounded result, but not exactly. Like MATLAB, `Downscale` rounds integers and clips overshoots twice: after
# resizing the rows, and again after resizing the columns. From here on, `lr_file` is our LR image.
#
# Many libraries apply antialiasing only on request. **Predict:** by how many grey levels do their LR images differ from ours on
# average?

# %%
import tensorflow as tf

for antialias in (True, False):
    other = tf.image.resize(hr, (height, width), "bicubic", antialias=antialias)
    error = 255 * np.abs(np.asarray(other) - sr.images.to_float(lr_file)).mean()
    print(f"tf.image.resize, antialias={antialias}: mean difference {error:.2f} of 255")

# %% [markdown]
# TensorFlow's default is the second line. (Libraries also differ in the parameter `a` of the kernel: MATLAB, Pillow and
# TensorFlow use -0.5, OpenCV uses -0.75.) A network that was trained on LR images of one kind and is applied to the other kind
# receives input unlike its training data. The effect on the photo itself:

# %%
aliased = downscaled(hr, scale, keys, antialias=False)
sr.plotting.slider(
    {"without antialiasing": aliased, "with": lr_file},
    crop=(70, 126, 44, 46),  # the front wheel, in LR pixels
    zoom=9,
    title="The LR image, x4",
)

# %% [markdown]
# Without antialiasing, the bright edges of the fork and the rim break up into single pixels. With antialiasing, they remain lines.
#
# ## A number for it: PSNR
#
# The peak signal-to-noise ratio (PSNR) compares the mean squared error (MSE) with the square of the highest value, in decibels.
# If that value, white, is 1:
#
# $$\mathrm{MSE} = \mathrm{mean}\,(x - y)^2, \qquad \mathrm{PSNR} = -10 \log_{10} \mathrm{MSE}\ \text{dB}$$
#
# A tenth of the squared error means 10 dB more. For identical images, the PSNR is infinite (the package limits it to 100 dB).


# %%
def psnr(image, reference):
    return -10 * np.log10(np.mean((image - reference) ** 2))


# %% [markdown]
# The package's metrics also work on batches, and return one value per image.

# %%
bicubic = np.clip(enlarge(sr.images.to_float(lr_file), scale, keys), 0, 1)
value = psnr(bicubic, hr)
package = sr.metrics.psnr(hr[None], bicubic[None])[0]
np.testing.assert_allclose(value, package, atol=1e-3)
print(f"bicubic x4 of the motorcycle, RGB, no border cut: {value:.2f} dB")

# %% [markdown]
# On the classical benchmarks, papers measure PSNR on *luma*, the brightness, because the eye resolves brightness much better than
# colour. (Others, such as the NTIRE challenges, use RGB.) You can check this yourself. In the first picture below, the colours
# are replaced by those of the interpolated LR image. In the second, the brightness is. **Predict** which replacement is worse.

# %%
ycbcr = sr.images.rgb_to_ycbcr(hr)  # brightness Y, colour differences Cb and Cr
coarse = sr.images.rgb_to_ycbcr(bicubic)
coarse_colour = np.concatenate([ycbcr[..., :1], coarse[..., 1:]], axis=-1)
coarse_luma = np.concatenate([coarse[..., :1], ycbcr[..., 1:]], axis=-1)
sr.plotting.comparison(
    {
        "coarse colour (from LR)": sr.images.ycbcr_to_rgb(coarse_colour),
        "coarse luma (from LR)": sr.images.ycbcr_to_rgb(coarse_luma),
        "HR": hr,
    },
    crop=(30, 330, 110, 176),  # a shelf
    whole=False,
)

# %% [markdown]
# With colours from a sixteenth of the pixels, the photo looks almost unchanged. With coarse luma, it is blurred. For the same reason,
# JPEG usually stores colour at a lower resolution, and the networks of lesson 3 enlarge only luma.
#
# Luma is a weighted sum of red, green and blue, in which green has the largest weight. The standard (BT.601) maps black to 16 and
# white to 235 out of 255.

# %%
red, green, blue = np.moveaxis(hr, -1, 0)
luma = (65.481 * red + 128.553 * green + 24.966 * blue + 16) / 255
np.testing.assert_allclose(luma[..., None], sr.images.luma(hr), atol=1e-6)
print(f"luma from {luma.min():.3f} to {luma.max():.3f}")

# %% [markdown]
# There are two more conventions. Methods differ in how they handle the border, so `scale` pixels are cut off on every side. And
# files have 8 bits, so outputs are rounded first. **Predict:** by how many dB can such choices change the score of the same
# picture?

# %%
rounded = sr.images.to_float(sr.images.to_integer(bicubic))
for channels, border in (("RGB", 0), ("RGB", 4), ("luma", 0), ("luma", 4)):
    value = sr.metrics.psnr(
        hr[None], rounded[None], luma=channels == "luma", border=border
    )[0]
    print(f"bicubic x4, 8 bits, {channels}, {border} pixels cut: {value:.2f} dB")

# %% [markdown]
# Rounding changes nothing here, but the first and the last line differ by 1.5 dB, for the same picture. Most of this is a matter
# of range: luma uses 219 of the 255 levels, which alone adds 20 log10(255/219) = 1.32 dB. For comparison, SRCNN and VDSR
# (lesson 3) differ by 0.87 dB in the papers, on the five test photos of Set5, at x4. PSNR values can be compared only under the
# same conditions, so every score in this course comes with them.
#
# ## What PSNR does not see: SSIM
#
# Here are three ways to damage the luma, each scaled to the same squared error. **Predict:** which will you like best?

# %%
hr_luma = sr.images.luma(hr)
directions = {
    "brighter": np.ones_like(hr_luma),
    "noise": generator.normal(size=hr_luma.shape),
    "blur": sr.images.luma(bicubic) - hr_luma,
}
damaged = {}
for name, direction in directions.items():
    strength = np.sqrt(1e-3 / np.mean(direction**2))  # MSE 0.001, which is 30 dB
    damaged[name] = np.clip(hr_luma + strength * direction, 0, 1).astype("float32")


# %%
def score(image):
    pair = hr_luma[None], image[None]
    return float(sr.metrics.psnr(*pair)[0]), float(sr.metrics.ssim(*pair)[0])


# %%
tyre = (200, 120, 90, 140)
sr.plotting.comparison(
    {**damaged, "HR": hr_luma},
    scores={name: score(image) for name, image in damaged.items()},
    crop=tyre,
    columns=2,
    title="PSNR (dB) / SSIM of the luma, no border cut",
    whole=False,
)

# %% [markdown]
# All three have 30 dB, although one of them is a perfect picture that is only slightly brighter. SSIM (structural similarity), the
# second number, distinguishes them. It compares small windows of two images by their means $\mu$, variances $\sigma^2$ and
# covariance $\sigma_{ab}$:
#
# $$\mathrm{SSIM} = \frac{2 \mu_a \mu_b + c_1}{\mu_a^2 + \mu_b^2 + c_1} \cdot \frac{2 \sigma_{ab} + c_2}{\sigma_a^2 + \sigma_b^2 + c_2}$$
#
# The first factor compares the brightness. The second compares contrast and structure, that is, whether the two windows get brighter
# and darker in the same places. We compute it for one window of 11 x 11 pixels with Gaussian weights, so that the centre counts most:

# %%
offset = np.arange(11) - 5
gaussian = np.exp(-0.5 * (offset / 1.5) ** 2)
window = np.outer(gaussian, gaussian) / gaussian.sum() ** 2
c1, c2 = 0.01**2, 0.03**2  # avoid a division by zero in dark or flat windows


# %%
def ssim_of_window(a, b):
    mean_a, mean_b = (window * a).sum(), (window * b).sum()
    variance_a = (window * (a - mean_a) ** 2).sum()
    variance_b = (window * (b - mean_b) ** 2).sum()
    covariance = (window * (a - mean_a) * (b - mean_b)).sum()
    brightness = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return brightness * (2 * covariance + c2) / (variance_a + variance_b + c2)


# %% [markdown]
# The SSIM of an image is the mean over all windows. On a small crop, a loop is fast enough. The package does the same with
# convolutions.

# %%
top, left, crop_height, crop_width = tyre
part = np.s_[top : top + crop_height, left : left + crop_width, 0]
reference = hr_luma[part]
for name, image in damaged.items():
    values = [
        ssim_of_window(
            reference[i : i + 11, j : j + 11], image[part][i : i + 11, j : j + 11]
        )
        for i in range(crop_height - 10)
        for j in range(crop_width - 10)
    ]
    package = sr.metrics.ssim(reference[None, ..., None], image[part][None, ..., None])
    np.testing.assert_allclose(np.mean(values), package[0], atol=1e-4)
    print(f"{name}: SSIM {np.mean(values):.4f} on the luma of the crop shown above")

# %% [markdown]
# SSIM hardly penalizes the brightening, and it penalizes noise more than blur. Compare this with your own ranking: neither score
# agrees with human perception in all cases. Lesson 12 returns to this.
#
# Now we score the interpolation methods by the protocol of the papers. `sr.evaluate` does all of this for a whole set of photos,
# here a cat and the motorcycle:

# %%
pairs = sr.datasets.samples(scale=4, split="validation")
for name, builder in sr.models.INTERPOLATIONS.items():
    result = sr.evaluate(builder(4), pairs)
    mean = result["mean"]
    print(f"{name:8} {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
print(f"{', '.join(pairs.names)}: {result['conditions']}")

# %% [markdown]
# Bicubic scores highest, in agreement with what we saw. This is the first baseline of the course: a network that is trained for small
# errors should at least beat bicubic interpolation under the same conditions.
#
# Here is the same interpolation, applied to the LR image with aliases:

# %%
lr_files = {"aliased LR": sr.images.to_integer(aliased), "LR": lr_file}
from_lr, scores = {}, {}
for name, image in lr_files.items():
    output = sr.upscale(sr.models.bicubic(4), image)
    pair = hr[None], sr.images.to_float(output)[None]
    from_lr[f"bicubic of {name}"] = output
    scores[f"bicubic of {name}"] = [
        float(metric(*pair, luma=True, border=4)[0])
        for metric in (sr.metrics.psnr, sr.metrics.ssim)
    ]
sr.plotting.comparison(
    {**from_lr, "HR": photo},
    scores=scores,
    crop=(290, 505, 120, 176),  # the front wheel
    title="x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# The aliases stay in the picture: the fork has become a string of beads. PSNR falls. SSIM *rises*, probably because the beads,
# although wrong, have contrast in roughly the same places as HR. The two scores disagree, so look at the picture.

# %% [markdown]
# ## Optional: many photos against one
#
# In image processing, super-resolution first meant something else (Tsai and Huang, 1984): combining many photos of one scene,
# each shifted by a fraction of a pixel, for instance by an unsteady hand. Each photo samples the scene at different positions. We
# make 16 such photos, one for each shift by whole HR pixels. (This section is optional. Lessons 9 and 13 explain back-projection
# again where they use it.)


# %%
def photograph(scene, dy, dx):
    """Returns the photo of a coarse camera, shifted by (dy, dx) pixels of the scene."""
    moved = np.roll(scene, (-dy, -dx), axis=(0, 1))  # wraps around at the border
    return moved.reshape(height, scale, width, scale, -1).mean(axis=(1, 3))


# %%
shifts = [(dy, dx) for dy in range(scale) for dx in range(scale)]
photos = [photograph(hr, dy, dx) for dy, dx in shifts]
np.testing.assert_array_equal(photos[0], lr_mean)
print(len(photos), "photos of", photos[0].shape)

# %%
fig, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
for ax, i in zip(axes.flat, (0, 2, 8, 10), strict=True):
    ax.imshow(photos[i][42:56, 95:116])
    ax.set_title(f"shift {shifts[i][0]}/4, {shifts[i][1]}/4", fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The name is not readable in any of them. But the photos differ, and these differences carry information. *Shift-and-add* places
# every sample on the HR grid at the position where it was taken. **Predict:** will there be holes in the grid? Will the result be as
# sharp as HR?

# %%
added = np.zeros_like(hr)
for (dy, dx), image in zip(shifts, photos, strict=True):
    added[dy::scale, dx::scale] = image  # every HR pixel gets exactly one sample


# %%
def blur(image):
    """Returns, for each pixel, the mean of the 4 x 4 pixels to its right and below."""
    for axis in (0, 1):
        image = sum(np.roll(image, -i, axis) for i in range(scale)) / scale
    return image


np.testing.assert_allclose(added, blur(hr), atol=1e-6)

# %% [markdown]
# There are no holes, because the 16 shifts are all different, and the samples of each photo fill a sixteenth of the grid. The
# assertion shows what the result is: HR after a blur, without any aliases. What is missing is sharpness. Stripes that repeat
# every 2 or 4 pixels are missing completely, because their means over 4 pixels are all equal.
#
# What a known blur has only weakened can be restored step by step: we blur the estimate, compare it with the data, and distribute
# the difference over the pixels. This is *iterative back-projection*, which returns as a network in lesson 9.


# %%
def back_project(error):
    """Distributes each error over the 4 x 4 pixels whose mean it is the error of."""
    for axis in (0, 1):
        error = sum(np.roll(error, i, axis) for i in range(scale)) / scale
    return error


# %%
shift_and_add = np.roll(added, (1, 1), axis=(0, 1))  # towards the centres of the tiles
estimate = shift_and_add
for _ in range(here.steps):
    estimate = estimate + back_project(added - blur(estimate))


# %%
def luma_score(image):
    pair = hr[None], np.clip(image, 0, 1)[None].astype("float32")
    return [
        float(metric(*pair, luma=True, border=8)[0])
        for metric in (sr.metrics.psnr, sr.metrics.ssim)
    ]


# %%
fused = {
    "one photo, bicubic": enlarge(photos[0], scale, keys),
    "16 photos, added": shift_and_add,
    "16 photos, back-projected": estimate,
}
sr.plotting.comparison(
    {**fused, "HR": hr},
    scores={name: luma_score(image) for name, image in fused.items()},
    crop=tank,
    columns=2,
    title="x4, PSNR (dB) / SSIM on luma, 8 pixels cut, LR by 4 x 4 means, not rounded",
    whole=False,
)

# %% [markdown]
# The name is back, and it is not invented: it was computed from measurements of this very scene. (The faint stripes on the tank
# are ringing: the frequencies that the blur removed are still missing.) This is the difference from what follows in this course:
# a network sees one photo, and the detail that it adds comes from other photos, those it was trained on.
#
# Why, then, do we need networks? In this experiment, the scene did not move, the shifts were known exactly, and there was no noise.
# **Predict:** with a little noise in the photos, 1% of white, do 100 steps still help?

# %%
noisy = blur(hr)  # the result of shift-and-add, with independent noise in each sample
noisy += generator.normal(0, 0.01, hr.shape).astype("float32")
from_noisy = np.roll(noisy, (1, 1), axis=(0, 1))
curve = [luma_score(from_noisy)[0]]
for _ in range(here.steps // 5):
    for _ in range(5):
        from_noisy = from_noisy + back_project(noisy - blur(from_noisy))
    curve.append(luma_score(from_noisy)[0])

fig, ax = plt.subplots(figsize=(8, 2.8))
ax.plot(5 * np.arange(len(curve)), curve, "o-", markersize=4)
ax.set(xlabel="steps of back-projection", ylabel="PSNR on luma (dB)")
ax.set_title("16 photos with noise (sigma 0.01), x4, 8 pixels cut", fontsize=10)
plt.show()
print(f"start {curve[0]:.2f} dB, best {max(curve):.2f} dB, end {curve[-1]:.2f} dB")

# %% [markdown]
# They do help, because the end is still far above the start, but fewer steps would have helped more. The first steps restore
# detail. Later steps restore what the blur has almost removed, and they amplify the noise in the same frequencies. Knowing when
# to stop requires knowledge of the scene or the noise.

# %% [markdown]
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** Every error is halved. By how many dB does the PSNR rise? Compute it in your head or with `math`. Two more
# questions, on paper: a wave with a period of 6 HR pixels is downscaled by 4 without antialiasing. What is the period of its
# alias? And which factor of SSIM changes if a constant is added to an image?

# %%
answer = None  # your number

sr.course.check(answer, "01.1")

# %% tags=["solution"]
# @title Solution 1
# The squared error falls to a quarter: -10 log10(1/4) = 20 log10(2).
answer = 20 * math.log10(2)
sr.course.check(answer, "01.1")
print(f"{answer:.2f} dB")

# %% [markdown] tags=["solution"]
# The alias has a frequency of 1/4 - 1/6 = 1/12, which is a period of 12 HR pixels. A constant changes the means, but not the variances
# or the covariance, so only the first factor of SSIM changes.

# %% [markdown]
# **Exercise 2.** Four neighbouring pixels are 10 and 20 in the upper row, and 30 and 60 in the lower row. What does bilinear
# interpolation return at a quarter of the way from the centres of the upper row to those of the lower row, and half of the way
# from left to right? You can do this with pencil and paper.

# %%
answer = None  # your number

sr.course.check(answer, "01.2")

# %% tags=["solution"]
# @title Solution 2
upper, lower = (10 + 20) / 2, (30 + 60) / 2
answer = 0.75 * upper + 0.25 * lower
sr.course.check(answer, "01.2")
print(answer)

# %% [markdown]
# **Exercise 3.** The Lanczos kernel is `sinc(x) * sinc(x / 3)` up to distance 3 and 0 beyond (use `np.sinc`). How many neighbours
# does it use? Enlarge `lr_file` with it. Does it beat bicubic? Its weights do not sum to exactly 1: how do you handle this?


# %%
def lanczos(distance): ...  # your kernel


# %% tags=["solution"]
# @title Solution 3
def lanczos(distance):
    return np.where(distance < 3, np.sinc(distance) * np.sinc(distance / 3), 0)


def enlarge_normalized(image, scale, kernel):
    ones = np.ones_like(image)  # enlarged, they are the sums of the weights
    return enlarge(image, scale, kernel) / enlarge(ones, scale, kernel)


used = (weights(50, scale, lanczos)[100] != 0).sum() ** 2
print("neighbours:", used)
for name, kernel in (("bicubic", keys), ("lanczos", lanczos)):
    image = enlarge_normalized(sr.images.to_float(lr_file), scale, kernel)
    image = sr.images.to_float(sr.images.to_integer(image))
    value = sr.metrics.psnr(hr[None], image[None], luma=True, border=4)[0]
    print(f"{name}: {value:.2f} dB (motorcycle x4, luma, 4 pixels cut, 8 bits)")

# %% [markdown] tags=["solution"]
# Lanczos uses 6 x 6 neighbours and beats bicubic interpolation on this photo by about a quarter of a decibel. Dividing by the sum of
# the weights keeps flat areas flat.

# %% [markdown]
# **Exercise 4** (needs the optional section). Real photos come without known shifts. Find the shifts of our 16 `photos` relative to
# the first with `skimage.registration.phase_cross_correlation(reference, moved, upsample_factor=20)`, whose unit is the LR pixel. How
# far are they from the true values in `shifts`, and why are they not exact? What does a wrong shift do to the result of
# shift-and-add?

# %%
from skimage.registration import phase_cross_correlation

found = None  # your 16 pairs (dy, dx), in HR pixels

# %% tags=["solution"]
# @title Solution 4
grey = [sr.images.luma(image)[..., 0] for image in photos]
found = [
    scale * phase_cross_correlation(grey[0], image, upsample_factor=20)[0]
    for image in grey
]
error = np.abs(np.array(found) - shifts)
print(f"error in HR pixels: mean {error.mean():.2f}, largest {error.max():.2f}")

rounded_shifts = np.round(found).astype(int)
correct = (error < 0.5).all(axis=1).sum()
print("correct after rounding:", correct, "of 16 shifts")

wrong = rounded_shifts + (np.arange(16) == 5)[:, None]  # one photo, one pixel off
for name, moves in (("as found", rounded_shifts), ("one wrong", wrong)):
    placed = np.zeros_like(hr)
    for (dy, dx), image in zip(moves % scale, photos, strict=True):
        placed[dy::scale, dx::scale] = image  # a later photo overwrites an earlier one
    print(f"{name}: {(placed.sum(axis=2) == 0).mean():.1%} of the pixels are holes")

# %% [markdown] tags=["solution"]
# The shifts are not exact, because the aliases in the photos do not move with the scene. (The step of a twentieth of an LR pixel
# is not the reason: a quarter is exactly five steps.) After rounding, all 16 are correct. A wrong shift leaves one sixteenth of
# the pixels without a sample. Here, a later photo with the correct shift overwrites the misplaced samples. In another order, they
# would replace correct ones.

# %% [markdown]
# **Exercise 5.** Hide a message: make an HR image that looks different from `cover = 0.15 + 0.7 * hr` (which leaves room, so that
# nothing is clipped), but has the same *bicubic* LR image. Shuffling tiles does not work, because bicubic downscaling looks
# beyond them. Hint: with `A = downscale_weights(...)`, what does the LR image show of `x - np.linalg.pinv(A) @ A @ x`?

# %%
message = np.zeros(hr.shape[:2])  # draw something fine into it, for instance stripes

# %% tags=["solution"]
# @title Solution 5
from PIL import Image, ImageDraw, ImageFont

canvas = Image.new("L", (740, 500))
font = ImageFont.load_default(size=64)
ImageDraw.Draw(canvas).text((165, 75), "SECRET", fill=255, font=font)
checkers = np.indices(hr.shape[:2]).sum(axis=0) % 2 * 2.0 - 1
message = np.asarray(canvas) / 255 * checkers

a_rows, a_columns = (downscale_weights(n, 4, keys, True) for n in hr.shape[:2])
visible = np.linalg.pinv(a_rows) @ a_rows @ message
visible = visible @ np.linalg.pinv(a_columns) @ a_columns
hidden = 0.1 * (message - visible)[..., None]

cover = 0.15 + 0.7 * hr  # leaves room for the message, so that nothing is clipped
for name, image in (("message", message[..., None]), ("hidden", hidden)):
    print(name, "in the LR image:", np.abs(downscaled(image, 4, keys, True)).max())
pictures = {"HR": cover, "HR with a message": cover + hidden}
pictures["LR of the second"] = downscaled(cover + hidden, 4, keys, True)
sr.plotting.comparison(pictures, crop=(72, 152, 80, 256), columns=1, whole=False)

# %% [markdown] tags=["solution"]
# `np.linalg.pinv(A) @ A` keeps exactly the part of an image that the LR image can see. What is left after subtracting it is
# invisible at low resolution, so it can be added to any photo, as long as no value is clipped or rounded.

# %% [markdown]
# ## Summary
#
# - An LR image is an HR image after a degradation, here a weighted mean followed by rounding. Many HR images share one LR image, so
#   every method has to add an assumption.
# - Interpolation computes each pixel as a weighted sum of neighbours: 1 (nearest), 4 (bilinear) or 16 (bicubic). It adds no detail.
# - An LR grid represents only waves longer than two of its pixels. Downscaling needs a kernel stretched by the scale. Without it,
#   finer waves return as aliases.
# - PSNR measures squared errors, and SSIM compares structure in small windows. Both need their conditions: channel, border,
#   rounding and degradation.
# - Many shifted photos contain more information than one. If there is only one photo, additional detail has to come from elsewhere.
#
# ## Further reading
#
# - Keys, [Cubic convolution interpolation for digital image processing](https://doi.org/10.1109/TASSP.1981.1163711), 1981: the
#   origin of bicubic interpolation.
# - Wang, Bovik, Sheikh and Simoncelli, [Image quality assessment: from error visibility to structural
#   similarity](https://doi.org/10.1109/TIP.2003.819861), 2004: SSIM.
# - Irani and Peleg, [Improving resolution by image registration](https://doi.org/10.1016/1049-9652(91)90045-L), 1991: many photos
#   and back-projection.
# - Park, Park and Kang, [Super-resolution image reconstruction: a technical overview](https://doi.org/10.1109/MSP.2003.1203207),
#   2003: the methods before networks.
# - Baker and Kanade, [Limits on super-resolution and how to break them](https://doi.org/10.1109/TPAMI.2002.1033210), 2002: why more
#   photos stop helping, and what knowledge can add.
