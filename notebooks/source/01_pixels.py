# %% [markdown]
# # 1. Pixels, degradation and interpolation
#
# What makes an LR image, what interpolation gets back, how the difference is measured, and why many photos beat one.
#
# **You will be able to**
#
# - make an LR image of an HR one by hand, and say what was lost on the way;
# - write nearest, bilinear and bicubic interpolation, and explain antialiasing;
# - compute PSNR and SSIM, on luma as papers do, and say what each of them is blind to;
# - combine sixteen shifted photos into one that shows more than any of them.
#
# **You need** Python and NumPy arrays. No machine learning: there is no network in this lesson.
#
# **Time:** 1 minute of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/01_pixels.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/01_pixels.py) · Previous: [0. Quickstart: enlarge a photo](00_quickstart.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/00_quickstart.ipynb)) · Next: [2. Data: photos, pairs and patches](02_data.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/02_data.ipynb)) · [All lessons](README.md)

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
# One number for each row, column and colour: red, green, blue. Files store whole numbers from 0 to 255. Rows count from the top, so
# that `photo[0, 0]` is the upper left pixel.

# %%
import matplotlib.pyplot as plt
import numpy as np
from skimage import data

photo = data.stereo_motorcycle()[0][:500, :740]  # sides that 4 divides
print(photo.shape, photo.dtype, "upper left pixel:", photo[0, 0])

# %% [markdown]
# For arithmetic we want real numbers, black as 0 and white as 1. All of `sr_keras` computes with such floats. Integers appear only in
# files and data sets.

# %%
hr = photo.astype("float32") / 255
np.testing.assert_array_equal(hr, sr.images.to_float(photo))
print("from", hr.min(), "to", hr.max())

# %%
tank = (180, 388, 40, 68)  # the name on the tank: top, left, height, width
sr.plotting.comparison({"HR": hr}, crop=tank, title="High resolution (HR)")

# %% [markdown]
# ## LR = degradation(HR)
#
# LR is for low resolution. A camera with a quarter of the pixels on each side collects, in one of its pixels, the light of 4 x 4 of ours. The simplest model of that
# is their mean. We reshape, so that the rows and columns inside a tile get axes of their own.

# %%
scale = 4
height, width = hr.shape[0] // scale, hr.shape[1] // scale
tiles = hr.reshape(
    height, scale, width, scale, 3
)  # tile row, row in it, tile column, column in it, colour
lr_mean = tiles.mean(axis=(1, 3))

downscale = sr.degradations.Downscale(scale, "area")
np.testing.assert_allclose(lr_mean, downscale(hr), atol=1e-6)
print(hr.shape, "->", lr_mean.shape)

# %% [markdown]
# **Predict:** the name on the tank has letters about ten pixels high. How many LR pixels is a letter high, and can you still read it?

# %%
sr.plotting.comparison({"LR, x4": lr_mean, "HR": hr}, crop=tank, whole=False)

# %% [markdown]
# Two or three pixels. A row of dark and bright blots is left. Reading it needs knowledge from elsewhere: what brands there are, what
# letters look like.
#
# ## It cannot be undone
#
# Sixteen numbers went in and one came out. Let us shuffle the sixteen pixels of every tile. **Predict:** what will the LR image of
# the shuffled photo be?

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
# Two different photos, one LR image (up to the rounding of float32). No method can tell from the LR image which of the two was
# there. How many were possible? Count the ways to make a mid-grey pixel out of eight black and eight white ones:

# %%
import math

print(f"one LR pixel: {math.comb(16, 8)} ways")
digits = int(math.log10(math.comb(16, 8)) * height * width) + 1
print(f"a mid-grey LR image of this size: a number of {digits} digits")

# %% [markdown]
# Super-resolution is *ill-posed*: the data admit many answers. Every method chooses one of them, by what it assumes. Interpolation
# assumes that pictures are smooth. A network assumes that they look like its training photos.
#
# ## Interpolation by hand
#
# First: where are the pixels? A pixel is a small square, and its position is the centre. Along one side, the centre of HR
# pixel `i`, measured in LR pixels, is at `(i + 0.5) / scale - 0.5`.

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
# No HR centre coincides with an LR centre here. Implementations that take `i / scale` instead shift the whole picture, by 1.5 HR pixels
# at scale 4.
#
# Interpolation sets each new pixel to a weighted sum of its LR neighbours. Along each side the weight depends on the distance only; that
# function is the *kernel*. (A pixel's weight is the product of the two.) Here are three kernels.


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


x = np.linspace(-2.5, 2.5, 501)
np.testing.assert_allclose(keys(np.abs(x)), sr.layers.cubic(x), atol=1e-12)

# %% [markdown]
# **Predict:** which of them ever becomes negative, and what could a negative weight do to a picture?

# %%
fig, ax = plt.subplots(figsize=(8, 2.8))
for name, kernel in (("nearest", box), ("bilinear", triangle), ("bicubic", keys)):
    ax.plot(x, kernel(np.abs(x)), label=name)
ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
ax.set(xlabel="distance in LR pixels", ylabel="weight")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Bicubic does, between distances 1 and 2. Now one pixel by hand, in row 9 and column 6. HR row 9 is at position 1.875: LR row 1 is 0.875
# away and row 2 is 0.125 away. Bilinear takes both, in both directions: **4 neighbours**.
#
# The package takes batches of images, as networks do: `[None]` adds that axis, and `[0]` takes it off.

# %%
y, x = (9 + 0.5) / scale - 0.5, (6 + 0.5) / scale - 0.5
rows, columns = np.arange(1, 3), np.arange(1, 3)
down, across = triangle(np.abs(rows - y)), triangle(np.abs(columns - x))
plane = np.outer(down, across)
print(f"position ({y}, {x}), weights\n{plane}, sum {plane.sum()}")
by_hand = sum(plane[i, j] * lr_mean[1 + i, 1 + j] for i in (0, 1) for j in (0, 1))

bilinear = sr.models.bilinear(scale)(lr_mean[None])[0].numpy()
np.testing.assert_allclose(by_hand, bilinear[9, 6], atol=1e-6)

# %% [markdown]
# Bicubic takes four rows and four columns: **16 neighbours**. Look at the signs: the nearest pixel gets most, and most of those
# farther away get a little less than nothing.

# %%
rows, columns = np.arange(0, 4), np.arange(0, 4)
plane = np.outer(keys(np.abs(rows - y)), keys(np.abs(columns - x)))
print(plane.round(3), "sum", plane.sum().round(6))
by_hand = np.einsum("ij,ijc->c", plane, lr_mean[0:4, 0:4])

bicubic = sr.models.bicubic(scale)(lr_mean[None])[0].numpy()
np.testing.assert_allclose(by_hand, bicubic[9, 6], atol=1e-6)

# %% [markdown]
# All pixels at once: the weights of one direction form a matrix, one row for each new pixel. Beyond the border the picture goes on
# with its last pixel, so that the weights out there are added to the last pixel's.


# %%
def weights(size, scale, kernel):
    """Returns a matrix (scale * size, size): row i makes pixel i of the old ones."""
    position = (np.arange(scale * size) + 0.5) / scale - 0.5
    neighbours = np.arange(-3, size + 3)  # three more on each side
    matrix = kernel(np.abs(position[:, None] - neighbours[None, :]))
    inside = np.clip(neighbours, 0, size - 1)
    return matrix @ np.eye(size)[inside]


# %%
def enlarge(image, scale, kernel):
    """Multiplies with the weights of the rows, then with those of the columns."""
    rows = weights(image.shape[0], scale, kernel)
    columns = weights(image.shape[1], scale, kernel)
    return np.einsum("Yy,yxc,Xx->YXc", rows, image, columns, optimize=True)


# %%
for name, kernel in (("nearest", box), ("bilinear", triangle), ("bicubic", keys)):
    package = sr.models.INTERPOLATIONS[name](scale)(lr_mean[None])[0]
    np.testing.assert_allclose(enlarge(lr_mean, scale, kernel), package, atol=1e-5)
    used = (weights(50, scale, kernel)[100] != 0).sum() ** 2
    print(f"{name}: equals sr.models.{name}, neighbours of a pixel: {used}")

# %% [markdown]
# **Predict** before you look: which of the three is the sharpest, and which the smoothest? Where will the staircases be?

# %%
enlarged = {
    "nearest": enlarge(lr_mean, scale, box),
    "bilinear": enlarge(lr_mean, scale, triangle),
    "bicubic": enlarge(lr_mean, scale, keys),
}
sr.plotting.comparison({**enlarged, "HR": hr}, crop=tank, columns=2, whole=False)

# %% [markdown]
# Nearest keeps hard edges, in the wrong places. Bilinear is smooth and washed out, bicubic a little crisper. None of them brings
# the letters back: they arrange what is in the LR image, and add nothing.
#
# The negative weights show at edges. **Predict:** the step goes from 0.2 to 0.8. Will every curve stay between?

# %%
step = np.where(np.arange(10) < 5, 0.2, 0.8)[:, None, None]
fig, ax = plt.subplots(figsize=(8, 2.8))
for name, kernel in (("nearest", box), ("bilinear", triangle), ("bicubic", keys)):
    line = (weights(10, 16, kernel) @ step[:, 0, 0])[32:-32]
    ax.plot(line, label=f"{name}: {line.min():.3f} to {line.max():.3f}")
ax.set(xlabel="pixel, 16 to an LR pixel", ylabel="brightness")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Bicubic overshoots on both sides: that makes edges look crisp, and leaves faint halos. It is also why outputs have to be clipped to
# [0, 1] before they become a file.
#
# ## Downscaling again, with care
#
# Cameras aside, files get smaller by the same kernels. The obvious way is to interpolate at the centres of the new pixels, from
# the 16 HR pixels around each. What goes wrong is seen best on rings that get finer outwards.


# %%
def shrink_weights(size, scale, kernel, antialias):
    """Returns a matrix (size // scale, size): row i makes LR pixel i of HR pixels."""
    stretch = scale if antialias else 1  # the kernel covers `scale` times as much
    position = (np.arange(size // scale) + 0.5) * scale - 0.5
    neighbours = np.arange(-2 * scale, size + 2 * scale)
    matrix = kernel(np.abs(position[:, None] - neighbours[None, :]) / stretch)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return matrix @ np.eye(size)[np.clip(neighbours, 0, size - 1)]


# %%
def shrink(image, scale, kernel, antialias):
    """Multiplies with the weights of the rows, then with those of the columns."""
    rows = shrink_weights(image.shape[0], scale, kernel, antialias)
    columns = shrink_weights(image.shape[1], scale, kernel, antialias)
    return np.einsum("yY,YXc,xX->yxc", rows, image, columns, optimize=True)


# %%
y, x = np.mgrid[:320, :320] / 320
rings = 0.5 + 0.5 * np.cos(200 * (x**2 + y**2))[..., None]
sr.plotting.degradations(
    rings,
    {
        "x4, without antialiasing": shrink(rings, 4, keys, antialias=False),
        "x4, with antialiasing": shrink(rings, 4, keys, antialias=True),
    },
)

# %% [markdown]
# Without antialiasing, rings appear that are not in the picture. Waves too fine for the LR grid do not vanish: they come back as
# coarse ones, as *aliases*. The cure is to average over all HR pixels first, with a kernel stretched by the scale; then what
# is too fine turns grey, as it should.
#
# Bicubic with antialiasing is what MATLAB's `imresize` does, and what nearly all papers call "the LR image". So does `sr_keras`:

# %%
lr = shrink(hr, scale, keys, antialias=True)
package = np.asarray(sr.degradations.Downscale(scale)(hr))
np.testing.assert_allclose(lr, package, atol=1e-5)

lr_file = sr.degradations.Downscale(scale)(photo)  # integers, as files have them
difference = np.abs(sr.images.to_integer(lr).astype(int) - lr_file)
for levels in range(3):
    print(
        f"pixels that differ by more than {levels}: {(difference > levels).mean():.3%}"
    )

# %% [markdown]
# The file is nearly, but not exactly, our result rounded: like MATLAB, `Downscale` rounds integers and clips overshoots after the
# rows already, then again after the columns. From here on `lr_file` is our LR image.
#
# Many libraries antialias only when told to. **Predict:** how many grey levels do their LR images differ from ours in the mean?

# %%
import tensorflow as tf

for antialias in (True, False):
    other = tf.image.resize(hr, (height, width), "bicubic", antialias=antialias)
    error = 255 * np.abs(np.asarray(other) - sr.images.to_float(lr_file)).mean()
    print(f"tf.image.resize, antialias={antialias}: mean difference {error:.2f} of 255")

# %% [markdown]
# TensorFlow's default is the second line. A network trained on LR images of one kind and used on the other sees a different
# world. Let us look at what the photo itself suffers:

# %%
aliased = shrink(hr, scale, keys, antialias=False)
sr.plotting.slider(
    {"without antialiasing": aliased, "with": lr_file},
    crop=(70, 126, 44, 46),  # the front wheel, in LR pixels
    zoom=9,
    title="The LR image, x4",
)

# %% [markdown]
# Without antialiasing the bright edges of fork and rim break up into single pixels; with it they stay lines.
#
# ## A number for it: PSNR
#
# The mean squared error (MSE), in decibels: `-10 log10(mse)` where white is 1. A tenth of the squared error is 10 dB more. Equal
# images would have infinitely many.


# %%
def psnr(a, b):
    return -10 * np.log10(np.mean((a - b) ** 2))


# %% [markdown]
# The package's metrics take batches as well, and give one value to an image.

# %%
bicubic = np.clip(enlarge(sr.images.to_float(lr_file), scale, keys), 0, 1)
by_hand = psnr(hr, bicubic)
package = sr.metrics.psnr(hr[None], bicubic[None])[0]
np.testing.assert_allclose(by_hand, package, atol=1e-3)
print(f"bicubic x4 of the motorcycle, RGB, no border cut: {by_hand:.2f} dB")

# %% [markdown]
# Papers measure it on *luma*, the brightness, since the eye resolves brightness far better than colour. Do you believe that? Below,
# first the colours are replaced by those of the LR image, then the brightness. **Predict** which one hurts.

# %%
ycbcr = sr.images.rgb_to_ycbcr(hr)  # brightness Y, colour differences Cb and Cr
blurred = sr.images.rgb_to_ycbcr(bicubic)
coarse_colour = np.concatenate([ycbcr[..., :1], blurred[..., 1:]], axis=-1)
coarse_luma = np.concatenate([blurred[..., :1], ycbcr[..., 1:]], axis=-1)
sr.plotting.comparison(
    {
        "colour x4 coarser": sr.images.ycbcr_to_rgb(coarse_colour),
        "luma x4 coarser": sr.images.ycbcr_to_rgb(coarse_luma),
        "HR": hr,
    },
    crop=tank,
    whole=False,
)

# %% [markdown]
# With colours from a sixteenth of the pixels the letters stay, only their yellow fades. Coarse luma ruins them. Hence JPEG usually
# stores colour coarsely, and the networks of lesson 4 enlarge luma only.
#
# Luma is a weighted sum of red, green and blue. Green counts most. The standard (BT.601) maps black to 16 and white to 235 of 255.

# %%
red, green, blue = np.moveaxis(hr, -1, 0)
luma = (65.481 * red + 128.553 * green + 24.966 * blue + 16) / 255
np.testing.assert_allclose(luma[..., None], sr.images.luma(hr), atol=1e-6)
print(f"luma from {luma.min():.3f} to {luma.max():.3f}")

# %% [markdown]
# One more convention: methods differ in what they do at the border, so `scale` pixels are cut from every side. And files have 8 bits, so
# outputs are rounded first. **Predict:** by how many dB can such choices change the score of one and the same picture?

# %%
rounded = sr.images.to_float(sr.images.to_integer(bicubic))
for channels, border in (("RGB", 0), ("RGB", 4), ("luma", 0), ("luma", 4)):
    score = sr.metrics.psnr(
        hr[None], rounded[None], luma=channels == "luma", border=border
    )[0]
    print(f"bicubic x4, 8 bits, {channels}, {border} pixels cut: {score:.2f} dB")

# %% [markdown]
# More than a decibel between the first and the last line, and the picture is the same. For comparison: two well-known networks, SRCNN and
# VDSR (lesson 4), are 0.87 dB apart in the papers, on five test photos called Set5, at x4. A PSNR without its conditions says nothing; in
# this course every score carries them.
#
# ## What PSNR does not see: SSIM
#
# Here are three ways to spoil the luma, each scaled to the same squared error. **Predict:** which will you like best?

# %%
flat = sr.images.luma(hr)
directions = {
    "brighter": np.ones_like(flat),
    "noise": generator.normal(size=flat.shape),
    "blur": sr.images.luma(bicubic) - flat,
}
spoiled = {}
for name, direction in directions.items():
    strength = np.sqrt(1e-3 / np.mean(direction**2))  # mse 0.001, which is 30 dB
    spoiled[name] = np.clip(flat + strength * direction, 0, 1).astype("float32")


# %%
def score(image):
    pair = flat[None], image[None]
    return float(sr.metrics.psnr(*pair)[0]), float(sr.metrics.ssim(*pair)[0])


# %%
sr.plotting.comparison(
    {**spoiled, "HR": flat},
    scores={name: score(image) for name, image in spoiled.items()},
    crop=tank,
    title="PSNR (dB) / SSIM of the luma, no border cut",
    whole=False,
)

# %% [markdown]
# All have 30 dB, and yet one is a perfect picture that is a little brighter. SSIM, the second number, tells them apart. It compares small
# windows by three properties: mean brightness, contrast, and whether the two go up and down together. (The last two are one fraction in
# the code.)
#
# By hand, for one window of 11 x 11 pixels, in which the middle counts most:

# %%
offset = np.arange(11) - 5
line = np.exp(-0.5 * (offset / 1.5) ** 2)
window = np.outer(line, line) / line.sum() ** 2
c1, c2 = 0.01**2, 0.03**2  # keep dark or flat windows from dividing by zero


# %%
def ssim_of_window(a, b):
    mean_a, mean_b = (window * a).sum(), (window * b).sum()
    variance_a = (window * (a - mean_a) ** 2).sum()
    variance_b = (window * (b - mean_b) ** 2).sum()
    together = (window * (a - mean_a) * (b - mean_b)).sum()
    brightness = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return brightness * (2 * together + c2) / (variance_a + variance_b + c2)


# %% [markdown]
# SSIM of an image is the mean over all windows. On a small crop the loop is fast enough; the package does the same with
# convolutions.

# %%
top, left, tall, wide = tank
a = flat[top : top + tall, left : left + wide, 0]
for name, image in spoiled.items():
    b = image[top : top + tall, left : left + wide, 0]
    values = [
        ssim_of_window(a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11])
        for y in range(tall - 10)
        for x in range(wide - 10)
    ]
    package = sr.metrics.ssim(a[None, ..., None], b[None, ..., None])[0]
    np.testing.assert_allclose(np.mean(values), package, atol=1e-4)
    print(f"{name}: SSIM {np.mean(values):.4f} on the luma of the tank's crop")

# %% [markdown]
# SSIM forgives the brightening, and punishes noise more than blur. Would you? Neither score is the eye; the lessons on perceptual
# losses, GANs and measuring come back to that.
#
# Now the interpolations by the papers' protocol. `sr.evaluate` does all of it, on a whole set of photos, here the motorcycle and a cat:

# %%
pairs = sr.datasets.samples(scale=4, split="validation")
for name, builder in sr.models.INTERPOLATIONS.items():
    result = sr.evaluate(builder(4), pairs)
    mean = result["mean"]
    print(f"{name:8} {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
print(f"{', '.join(pairs.names)}: {result['conditions']}")

# %% [markdown]
# Bicubic leads, as the eye said. This is the bar: a network that is trained for small errors and does not beat bicubic under the same
# conditions is not worth its electricity.
#
# And forgetting the antialiasing? The same interpolation, of the LR image with aliases:

# %%
enlarged = {}
for name, image in (("aliased LR", sr.images.to_integer(aliased)), ("LR", lr_file)):
    enlarged[f"bicubic of {name}"] = sr.upscale(sr.models.bicubic(4), image)
scores = {}
for name, image in enlarged.items():
    pair = hr[None], sr.images.to_float(image)[None]
    scores[name] = [
        float(f(*pair, luma=True, border=4)[0])
        for f in (sr.metrics.psnr, sr.metrics.ssim)
    ]
sr.plotting.comparison(
    {**enlarged, "HR": photo},
    scores=scores,
    crop=(320, 530, 60, 90),
    title="x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# The aliases stay in the picture: the fork has become a string of beads. PSNR falls. SSIM *rises*, probably because the beads have
# contrast about where HR has it, false as they are. Two scores, two opinions: look at the picture.
#
# ## Many photos against one
#
# Super-resolution first meant something else: many photos of one scene, each shifted by a fraction of a pixel by a trembling
# hand. Each of them samples the scene at other places. Here are 16 such photos, one for each shift by whole HR pixels:


# %%
def photograph(scene, dy, dx):
    """Returns what a coarse camera sees, moved by (dy, dx) pixels of the scene."""
    moved = np.roll(scene, (-dy, -dx), axis=(0, 1))  # goes on at the other side
    tiles = moved.reshape(height, scale, width, scale, -1)
    return tiles.mean(axis=(1, 3))


# %%
shifts = [(dy, dx) for dy in range(scale) for dx in range(scale)]
photos = [photograph(hr, dy, dx) for dy, dx in shifts]
np.testing.assert_array_equal(photos[0], lr_mean)
print(len(photos), "photos of", photos[0].shape)

# %%
fig, axes = plt.subplots(2, 4, figsize=(9, 2.9), layout="constrained")
for ax, i in zip(axes.flat, range(0, 16, 2), strict=True):
    ax.imshow(photos[i][45:55, 97:114])
    ax.set_title(f"shift {shifts[i][0]}/4, {shifts[i][1]}/4", fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Not one of them can be read. But they differ, and that is information. *Shift-and-add* lays every sample on the HR grid
# at the place where it was taken. **Predict:** does a hole remain on the grid? Will the result be as sharp as HR?

# %%
added = np.zeros_like(hr)
for (dy, dx), image in zip(shifts, photos, strict=True):
    added[dy::scale, dx::scale] = image  # every HR pixel gets exactly one sample


# %%
def blur(image):
    """Puts into each pixel the mean of the 4 x 4 pixels right of and below it."""
    for axis in (0, 1):
        image = sum(np.roll(image, -i, axis) for i in range(scale)) / scale
    return image


np.testing.assert_allclose(added, blur(hr), atol=1e-6)

# %% [markdown]
# No hole, since 16 photos with a sixteenth of the pixels are as many numbers as HR has. And the assertion says what the result is: HR
# under a blur, nothing else. No aliases; what is missing is sharpness, and stripes that repeat every 2 or 4 pixels: their means are all
# equal.
#
# A blur that is known can be taken back step by step: blur the guess, compare with the data, spread the difference. This is
# *iterative back-projection*, and it will return as a network in lesson 9.


# %%
def spread(error):
    """Gives each error back to the 4 x 4 pixels whose mean was wrong."""
    for axis in (0, 1):
        error = sum(np.roll(error, i, axis) for i in range(scale)) / scale
    return error


# %%
estimate = np.roll(added, (1, 1), axis=(0, 1))  # a tile's centre is not its corner
shift_and_add = estimate
for _ in range(here.steps):
    estimate = estimate + spread(added - blur(estimate))


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
    {"one of 16": photos[0], **fused, "HR": hr},
    scores={name: luma_score(image) for name, image in fused.items()},
    crop=tank,
    title="x4, PSNR (dB) / SSIM on luma, 8 pixels cut, LR by 4 x 4 means, not rounded",
    whole=False,
)

# %% [markdown]
# The name is back, and it is not invented: it was computed from measurements of this very scene. That is the difference to what follows
# in this course. A network sees one photo, and what it adds comes from other photos, on which it was trained.
#
# Why then networks? Here the scene stood still, the shifts were known exactly, and there was no noise. **Predict:** with a little noise in
# the photos, 1% of white, do 100 steps still help?

# %%
noisy = blur(hr)  # what the 16 photos add up to, each sample with noise of its own
noisy += generator.normal(0, 0.01, hr.shape).astype("float32")
estimate = np.roll(noisy, (1, 1), axis=(0, 1))
curve = [luma_score(estimate)[0]]
for _ in range(here.steps // 5):
    for _ in range(5):
        estimate = estimate + spread(noisy - blur(estimate))
    curve.append(luma_score(estimate)[0])

fig, ax = plt.subplots(figsize=(8, 2.8))
ax.plot(5 * np.arange(len(curve)), curve, "o-", markersize=4)
ax.set(xlabel="steps of back-projection", ylabel="PSNR on luma (dB)")
ax.set_title("16 photos with noise (sigma 0.01), x4, 8 pixels cut", fontsize=10)
plt.show()
print(
    f"from {curve[0]:.2f} dB to at most {max(curve):.2f} dB, at the end {curve[-1]:.2f}"
)

# %% [markdown]
# Up, then down. The first steps restore detail. Later ones restore what is almost lost in the blur, and with it they amplify the noise.
# When to stop is prior knowledge too: no method is free of it.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** Every error is halved. By how many dB does the PSNR rise? Compute it in your head or with `math`.

# %%
answer = None  # your number

sr.course.check(answer, psnr(0.0, 0.1) - psnr(0.0, 0.2), tolerance=0.05)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
# The squared error is a quarter: -10 log10(1/4) = 20 log10(2).
answer = 20 * math.log10(2)
sr.course.check(answer, psnr(0.0, 0.1) - psnr(0.0, 0.2), tolerance=0.05)
print(f"{answer:.2f} dB")

# %% [markdown]
# **Exercise 2.** Four neighbours are 10 and 20 in the upper row, 30 and 60 in the lower. What does bilinear interpolation give a quarter
# of the way down and half of the way to the right? Pencil and paper will do.

# %%
answer = None  # your number

corners = np.array([[10, 20], [30, 60]])[..., None]
four = enlarge(corners, 2, triangle)  # its pixels are a quarter of the way apart
halfway = (four[1, 1] + four[1, 2]) / 2
sr.course.check(answer, halfway[0])

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
upper, lower = (10 + 20) / 2, (30 + 60) / 2
answer = 0.75 * upper + 0.25 * lower
sr.course.check(answer, halfway[0])
print(answer)

# %% [markdown]
# **Exercise 3.** The Lanczos kernel is `sinc(x) * sinc(x / 3)` up to distance 3 and 0 beyond (`np.sinc` is what you need). How many
# neighbours does it take? Enlarge `lr_file` with it. Does it beat bicubic? Its weights do not sum to exactly 1: what will you do?


# %%
def lanczos(distance): ...  # your kernel


# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
def lanczos(distance):
    return np.where(distance < 3, np.sinc(distance) * np.sinc(distance / 3), 0)


def enlarge_normalized(image, scale, kernel):
    ones = np.ones_like(image)
    return enlarge(image, scale, kernel) / enlarge(ones, scale, kernel)


used = (weights(50, scale, lanczos)[100] != 0).sum() ** 2
print("neighbours:", used)
for name, kernel in (("bicubic", keys), ("lanczos", lanczos)):
    image = enlarge_normalized(sr.images.to_float(lr_file), scale, kernel)
    image = sr.images.to_float(sr.images.to_integer(image))
    value = sr.metrics.psnr(hr[None], image[None], luma=True, border=4)[0]
    print(f"{name}: {value:.2f} dB (motorcycle x4, luma, 4 pixels cut, 8 bits)")

# %% [markdown]
# **Exercise 4.** Real photos come without their shifts. Find those of our 16 `photos` relative to the first, with
# `skimage.registration.phase_cross_correlation(reference, moved, upsample_factor=20)`, whose unit is the LR pixel. How far are they from
# the truth in `shifts`, and why not exact? What does a wrong shift do to the result of shift-and-add?

# %%
from skimage.registration import phase_cross_correlation

found = None  # your 16 pairs (dy, dx), in HR pixels

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
grey = [sr.images.luma(image)[..., 0] for image in photos]
found = [
    scale * phase_cross_correlation(grey[0], image, upsample_factor=20)[0]
    for image in grey
]
# not exact: it is found in steps of 0.2 HR pixels, and aliases move unlike the scene
error = np.abs(np.array(found) - shifts)
print(f"error in HR pixels: mean {error.mean():.2f}, largest {error.max():.2f}")

rounded = np.round(found).astype(int)
print("shifts right after rounding:", (error < 0.5).all(axis=1).sum(), "of 16")

wrong = rounded + (np.arange(16) == 5)[:, None]  # one photo, one pixel off
for name, moves in (("as found", rounded), ("one wrong", wrong)):
    placed = np.zeros_like(hr)
    for (dy, dx), image in zip(moves % scale, photos, strict=True):
        placed[dy::scale, dx::scale] = image  # where two meet, the later one stays
    print(f"{name}: {(placed.sum(axis=2) == 0).mean():.1%} of the pixels are holes")

# %% [markdown]
# **Exercise 5.** Hide a message: make an HR image that looks different from `hr`, but has the same *bicubic* LR image. Shuffling tiles
# does not do it, since bicubic looks beyond them. Hint: with `A = shrink_weights(...)`, what can the LR image see of
# `x - np.linalg.pinv(A) @ A @ x`?

# %%
message = np.zeros(hr.shape[:2])  # draw something fine into it, for instance stripes

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
from PIL import Image, ImageDraw, ImageFont

canvas = Image.new("L", (740, 500))
font = ImageFont.load_default(size=64)
ImageDraw.Draw(canvas).text((165, 75), "SECRET", fill=255, font=font)
checkers = np.indices(hr.shape[:2]).sum(axis=0) % 2 * 2.0 - 1
message = np.asarray(canvas) / 255 * checkers

a_rows, a_columns = (shrink_weights(n, 4, keys, True) for n in hr.shape[:2])
visible = np.linalg.pinv(a_rows) @ a_rows @ message
visible = visible @ np.linalg.pinv(a_columns) @ a_columns
hidden = 0.1 * (message - visible)[..., None]

cover = 0.15 + 0.7 * hr  # leaves room above and below
for name, image in (("message", message[..., None]), ("hidden", hidden)):
    print(name, "in the LR image:", np.abs(shrink(image, 4, keys, True)).max())
pictures = {"HR": cover, "HR with a message": cover + hidden}
pictures["LR of it"] = shrink(cover + hidden, 4, keys, True)
sr.plotting.comparison(pictures, crop=(72, 152, 80, 256), columns=1, whole=False)

# %% [markdown]
# ## Summary
#
# - An LR image is an HR image after a degradation. Here: a weighted mean, then rounding. Many HR images share one LR image, so
#   every method adds an assumption.
# - Interpolation makes each pixel a weighted sum of neighbours: 1 (nearest), 4 (bilinear), 16 (bicubic). It adds no detail.
# - Downscaling needs a kernel stretched by the scale. Without it, aliases stay in the picture.
# - PSNR measures squared errors, SSIM structure in small windows. Both need their conditions: channel, border, rounding, degradation.
# - Many shifted photos do contain more than one. A single photo does not: what is added has to come from elsewhere.
#
# ## Further reading
#
# - Keys, [Cubic convolution interpolation for digital image processing](https://doi.org/10.1109/TASSP.1981.1163711), 1981: where bicubic
#   comes from.
# - Wang, Bovik, Sheikh and Simoncelli,
#   [Image quality assessment: from error visibility to structural similarity](https://doi.org/10.1109/TIP.2003.819861), 2004: SSIM.
# - Irani and Peleg, [Improving resolution by image registration](https://doi.org/10.1016/1049-9652(91)90045-L), 1991: many photos and
#   back-projection.
# - Park, Park and Kang, [Super-resolution image reconstruction: a technical overview](https://doi.org/10.1109/MSP.2003.1203207), 2003:
#   the methods before networks.
# - Baker and Kanade, [Limits on super-resolution and how to break them](https://doi.org/10.1109/TPAMI.2002.1033210), 2002: why more
#   photos stop helping, and what knowledge can add.
