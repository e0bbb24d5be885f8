# %% [markdown]
# # 2. Data: photos, pairs and patches
#
# What makes a good HR photo, how it is turned into pairs, patches and degraded images, and how to build a data pipeline that keeps
# up with the network.
#
# ![An eye with two strengths of blur, noise and JPEG compression](figures/02_goal.jpg)
#
# *Three of the degradations of this lesson, each in two strengths.*
#
# **You will be able to**
#
# - tell a good training photo from a bad one, by eye and by number;
# - make aligned pairs and patches, and augment them without breaking the alignment;
# - write blur, noise, quantization and lost pixels by hand, and apply these and JPEG with the package;
# - measure how fast a pipeline is and how fast it has to be, find its bottleneck, and remove it.
#
# **You need** [lesson 1](01_pixels.ipynb): LR and HR, bicubic downscaling, luma, PSNR.
#
# **Time:** about 55 minutes to read the core, 55 for the exercises; 2 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
#
# **Optional** section, 5 minutes more: *prefetching*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/02_data.ipynb) · [Student edition](student/02_data.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/02_data.py) · Previous: [1. Pixels, degradation and interpolation](01_pixels.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/01_pixels.ipynb)) · Next: [3. SRCNN: interpolate first, then correct](03_srcnn.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/03_srcnn.ipynb)) · [All lessons](README.md)

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
    minutes=(1, 2, 1), seconds=(0.3, 2.0, 2.0), timed=(1, 4, 20), steps=(10, 50, 50)
)

# %% [markdown]
# ## What a good HR photo is
#
# A network learns to reproduce what is in its HR photos, including their faults. The photos should therefore be sharp, free of
# noise, and stored without loss. What happens to an astronaut's face when it is saved as a JPEG file? JPEG has a quality setting
# from 1 (smallest file) to 100 (least loss). **Predict:** at which quality do the artefacts become visible?

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from skimage import data

astronaut = data.astronaut()
saved = {f"quality {q}": sr.degradations.JPEG(q)(astronaut) for q in (90, 50, 10)}


# %%
def psnr_y(image, reference):
    pair = sr.images.to_float(reference)[None], sr.images.to_float(image)[None]
    return float(sr.metrics.psnr(*pair, luma=True)[0])


# %%
sr.plotting.comparison(
    {**saved, "lossless": astronaut},
    scores={name: psnr_y(image, astronaut) for name, image in saved.items()},
    crop=(20, 160, 140, 140),  # the face
    title="JPEG: PSNR on luma (dB) against the lossless file, no border cut",
    whole=False,
)

# %% [markdown]
# At quality 10, the face consists of blocks: JPEG processes the brightness in blocks of 8 x 8 pixels, and the colours, which it
# usually stores at half the resolution, in blocks that cover 16 x 16. At 50, the skin is patchy. At 90, the damage is invisible,
# but a number can detect the blocks: are the brightness steps across block borders larger than those elsewhere?


# %%
def blockiness(image, block=8):
    """Returns the mean step at the borders of blocks divided by that elsewhere."""
    luma = sr.images.luma(sr.images.to_float(image))[..., 0]
    ratios = []
    for rows in (luma, luma.T):
        steps = np.abs(np.diff(rows, axis=0)).mean(axis=1)
        by_position = [steps[i::block].mean() for i in range(block)]
        ratios.append(by_position[-1] / np.mean(by_position[:-1]))  # -1: the border
    return np.mean(ratios)


for name, image in {**saved, "lossless": astronaut}.items():
    print(f"{name}: {blockiness(image):.3f}")

# %% [markdown]
# The ratio is close to 1 for the lossless photo, and it rises as the quality falls. It finds only blocks of 8 x 8 that start at
# the upper left corner, so a JPEG file that was cropped or resized afterwards may escape it.
#
# The second fault is missing detail. A photo that was enlarged, or is out of focus, has many pixels but nothing fine in them. A
# Fourier transform writes an image as a sum of waves, from coarse to fine. We call waves fine detail if they repeat in fewer than
# 4 pixels, vertically or horizontally (that is, above half of the highest frequency in at least one direction), and compute their
# share of the energy (the squared amplitudes). `np.hanning` fades out the borders of the image, which would otherwise count as
# edges.


# %%
def fine_detail(image):
    """Returns the share of the energy above half the highest frequency."""
    luma = sr.images.luma(sr.images.to_float(image))[..., 0]
    luma = luma - luma.mean()
    luma = luma * np.hanning(luma.shape[0])[:, None] * np.hanning(luma.shape[1])
    energy = np.abs(np.fft.fft2(luma)) ** 2
    y, x = (np.abs(np.fft.fftfreq(side)) for side in luma.shape)  # at most 0.5
    return energy[np.maximum(y[:, None], x) > 0.25].sum() / energy.sum()


half = sr.degradations.Downscale(2)(astronaut)
enlarged = sr.upscale(sr.models.bicubic(2), half)
for name, image in {"astronaut": astronaut, "halved, then enlarged": enlarged}.items():
    print(f"{name}: {fine_detail(image):.2%} of the energy is fine detail")

# %% [markdown]
# The lessons train on six photos that come with scikit-image. Here they are, each beside its centre, enlarged:

# %%
pairs = sr.datasets.samples(scale=4)
photos = {name: pairs.hr(i) for i, name in enumerate(pairs.names)}
fig, axes = plt.subplots(3, 4, figsize=(11, 8.4), layout="constrained")
panels = axes.reshape(6, 2)  # a photo and its centre
for (whole, part), (name, photo) in zip(panels, photos.items(), strict=True):
    height, width = photo.shape[:2]
    whole.imshow(photo)
    whole.set_title(f"{name}, {width} x {height}", fontsize=9)
    centre = photo[height // 2 - 64 :, width // 2 - 64 :][:128, :128]
    part.imshow(centre, interpolation="nearest")
    part.set_title("its centre, 128 x 128", fontsize=9)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Predict:** which of them is the best training photo, and which is the worst? Is the largest one the best?

# %%
for name, photo in photos.items():
    print(
        f"{name:21} blockiness {blockiness(photo):.3f}"
        f"  fine detail {fine_detail(photo):.2%}"
    )

# %% [markdown]
# The largest photo, `retina`, is the worst by both numbers: it has blocks, and the lowest share of fine detail. (Its centre says
# little: this part of the eye has almost no fine structure.) No photo is the best by both: `rocket` and `hubble_deep_field` have
# the most fine detail, but `coffee` shows no trace of blocks. `immunohistochemistry` seems to be clean as well, but only because
# its blocks do not begin in the corner: it was a JPEG file before it was cropped, and `blockiness(photo[3:, 5:])` is about 1.2.
#
# The share of `retina` is so low partly because its black background adds coarse energy, so we now measure a square inside the
# disc. **Predict:** what happens to both numbers at a quarter of the height and width?

# %%
retina = photos["retina"]
smaller = sr.degradations.Downscale(4)(retina)
disc = {"retina": retina[304:1104, 304:1104], "retina / 4": smaller[76:276, 76:276]}
for name, image in disc.items():
    print(f"{name}, inside the disc: fine detail {fine_detail(image):.2%}")
print(f"retina / 4: blockiness {blockiness(smaller, block=2):.3f}, of 2 x 2 blocks")

crops = {"retina": retina[310:400, 680:800], "retina / 4": smaller[43:133, 125:245]}
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.9), layout="constrained")
for ax, (name, image) in zip(axes, crops.items(), strict=True):
    ax.imshow(sr.images.luma(image)[..., 0], cmap="gray", interpolation="nearest")
    ax.set(title=f"{name}: 120 x 90 pixels, contrast stretched", xticks=[], yticks=[])
box = plt.Rectangle((44.5, 34), 30, 22.5, fill=False, color="white")  # the left crop
axes[1].add_patch(box)
plt.show()

# %% [markdown]
# The box marks the place of the left crop. At full size, the vessels are blurred. At a quarter of it, they are sharp, and the
# share of fine detail is almost nine times as high. The blocks of `retina` are too faint to see, but the number finds them. In
# the smaller photo, each block is 2 x 2 pixels, and the ratio is 1.009 instead of 1.229. Downscaling is the cheapest repair of
# large photos, and `sr.datasets.folder(path, scale, shrink=4)` does it for a whole folder.
#
# Three of the photos come as JPEG files: `retina`, which shows it clearly, `rocket`, which shows it weakly, and
# `hubble_deep_field`, whose number is below that of `astronaut`, which was never compressed. A value near 1 proves nothing. And
# `immunohistochemistry` was a JPEG before it was cropped. For serious training, use better photos.
#
# One caution: the share depends on what a photo shows, and noise counts as fine detail. A very low share is a reason to look
# closely, but a high one does not prove that a photo is good.
#
# ## Pairs
#
# In `sr_keras`, a dataset is a sequence of pairs `(lr, hr)`. Both are 8-bit arrays, and HR is exactly `scale` times as large as LR.
#
# ![From photos to batches of LR and HR patches](figures/02_pipeline.svg)
#
# *Upper row: a fixed degradation is applied once, to whole photos. Lower row: a random one is applied anew to every patch.*

# %%
print(len(pairs), "pairs:", ", ".join(pairs.names))
lr, hr = pairs[0]
print(lr.shape, lr.dtype, "and", hr.shape, hr.dtype)
np.testing.assert_array_equal(lr, sr.degradations.Downscale(4)(hr))

# %% [markdown]
# The two images of a pair must be aligned. **Predict:** we shift HR by one pixel, which is a quarter of an LR pixel. By how much
# does the score of bicubic interpolation fall?

# %%
cat_lr, cat_hr = sr.datasets.samples(scale=4, split="validation")[0]
bicubic = sr.upscale(sr.models.bicubic(4), cat_lr)
for shift in (0, 1, 2, 4):
    shifted = np.roll(cat_hr, shift, axis=1)[:, 4:-4]
    print(f"shifted by {shift}: {psnr_y(bicubic[:, 4:-4], shifted):.2f} dB")
print("chelsea, a cat, bicubic x4, PSNR on luma, 4 columns cut at each side, 8 bits")

# %% [markdown]
# One pixel costs almost a decibel, which is more than the 0.87 dB between two published networks, SRCNN and VDSR, that lesson 1
# quotes. Yet a misaligned dataset causes no error message, because the sizes still fit. If all photos are shifted in the same
# way, the network learns the shift. If each photo is shifted differently, a network that minimizes pixel errors learns to blur,
# because it cannot know where an edge will be. Where the package makes LR images itself, one function therefore makes all of
# them. (DIV2K and the benchmark sets come with LR files of their own.)
#
# You can also use a folder of your own photos. Here we write two as PNG files, which are lossless:

# %%
import pathlib
import tempfile

folder = pathlib.Path(tempfile.mkdtemp())
for name, image in (("coffee", data.coffee()), ("astronaut", astronaut)):
    sr.images.write(folder / f"{name}.png", image)
mine = sr.datasets.folder(folder, scale=4)
np.testing.assert_array_equal(mine[0][0], pairs[0][0])
print(mine.names, "degraded by", mine.degradation)

# %% [markdown]
# ## Datasets of the field
#
# Most papers train on DIV2K: 800 photos of about 2000 pixels on the longer side, plus 100 for validation. They are stored without
# loss, and may be used for academic research only. Many papers add the 2,650 photos of Flickr2K, and call the two together DF2K.
#
# Results are compared on smaller sets that must never be used for training:
#
# | set | photos | licence |
# |---|---|---|
# | Set5 | 5 | none stated |
# | Set14 | 14 | none stated |
# | BSD100 | 100: the test photos of BSDS300, which are the validation photos of BSDS500 | non-commercial research and education |
# | Urban100 | 100 of buildings, with many regular patterns | photos from Flickr under Creative Commons licences |
#
# (A fifth set has one page from each of the 109 comic books of Manga109, for academic use on request.) `sr.datasets.benchmark`
# reads the four sets, and [data/README.md](../data/README.md) says where to get them. The files of DIV2K are large.
# `tensorflow_datasets` knows their sizes:

# %%
import tensorflow_datasets as tfds

builder = tfds.builder_cls("div2k")
for url in builder.builder_configs["bicubic_x4"].download_urls.values():
    print(url.rsplit("/", 1)[1], builder.url_infos[url].size)

# %% [markdown]
# `sr.datasets.div2k` downloads DIV2K once, verifies it, and can resume an interrupted download. Set `FETCH_DIV2K = True` if you
# have the time and 8 GB of disk space. The lesson continues without it.

# %%
FETCH_DIV2K = False

some_pairs = sr.datasets.div2k(scale=4, split="train") if FETCH_DIV2K else pairs
print(len(some_pairs), "pairs; as a tf.data.Dataset:")
print(some_pairs.as_dataset().element_spec)

# %% [markdown]
# We need three sets: one for training, one for making choices (validation), and one for the final result (test). In this course,
# these are six photos, two photos, and the benchmark sets above. No photo and no near duplicate of it may be in two of them.
# Could we train on one of these two photos and test on the other?

# %%
left, right, _ = data.stereo_motorcycle()
twins = {"left": left, "right": right}
sr.plotting.comparison(twins, crop=(150, 320, 110, 160), columns=2, whole=False)

# %% [markdown]
# No, because both show the same scene from slightly different positions. A network that was trained on the left photo has already
# seen these letters. `sr.datasets.samples` therefore contains only one of the two, among the validation photos.
#
# ## Patches
#
# Photos differ in size, but all images of a batch must have the same shape. Training therefore uses small square patches. The LR
# patch at `(y, x)` belongs to the HR patch at `(4 y, 4 x)`:


# %%
def cut(lr, hr, y, x, size, scale):
    """Returns the patch of `size` LR pixels at (y, x), and its HR patch."""
    top, left, side = scale * y, scale * x, scale * size
    return lr[y : y + size, x : x + size], hr[top : top + side, left : left + side]


generator = np.random.default_rng(0)
patches = []
for _ in range(6):
    y, x = generator.integers(0, np.array(lr.shape[:2]) - 24 + 1)
    patches.append(cut(lr, hr, y, x, size=24, scale=4))

# %%
fig, axes = plt.subplots(2, 6, figsize=(11, 3.8), layout="constrained")
for column, pair in zip(axes.T, patches, strict=True):
    for ax, image in zip(column, pair, strict=True):
        ax.imshow(image)
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("LR, 24 x 24")
axes[1, 0].set_ylabel("HR, 96 x 96")
plt.show()

# %% [markdown]
# Why not cut the HR patch first and downscale it? Then we would not need an LR image. **Predict:** where will the result differ
# from the patch that was cut out of the LR image?

# %%
lr_patch, hr_patch = patches[0]
downscaled = sr.degradations.Downscale(4)(hr_patch)
difference = np.abs(downscaled.astype(int) - lr_patch).max(axis=2)
plt.figure(figsize=(6, 5))
plt.imshow(np.where(difference > 0, difference, np.nan), cmap="viridis_r")
plt.colorbar(label="difference in grey levels (of 255); white: none")
plt.show()
np.testing.assert_array_equal(difference[2:-2, 2:-2], 0)

# %% [markdown]
# It differs only in the two outermost rows and columns on each side, where the bicubic kernel needs pixels outside the patch. We
# therefore degrade whole images and cut the patches afterwards. Where this is not possible, `sr_keras` degrades the patch with a
# margin around it and then cuts the margin off.
#
# A flat patch teaches a network almost nothing about upscaling: black stays black with every method. (For removing noise or JPEG
# blocks, flat patches are useful.) We measure the contrast of a patch by the standard deviation of its pixels, averaged over the
# three colours. **Predict:** in which of the six photos do you expect flat patches?


# %%
def contrast(patch):
    return patch.std(axis=(0, 1)).mean() / 255


ranked = {}  # patches of each photo, sorted by contrast
for name, photo in photos.items():
    corners = generator.integers(0, np.array(photo.shape[:2]) - 96 + 1, (200, 2))
    ranked[name] = sorted(
        (photo[y : y + 96, x : x + 96] for y, x in corners), key=contrast
    )
    flat = np.mean([contrast(patch) < 0.03 for patch in ranked[name]])
    print(f"{name:21} {flat:4.0%} of 200 patches have a contrast below 0.03")

# %%
fig, axes = plt.subplots(2, 6, figsize=(11, 4.2), layout="constrained")
for column, (name, sorted_patches) in zip(axes.T, ranked.items(), strict=True):
    for ax, patch in zip(column, (sorted_patches[0], sorted_patches[-1]), strict=True):
        ax.imshow(patch)
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{name.split('_')[0]}\n{contrast(patch):.3f}", fontsize=9)
axes[0, 0].set_ylabel("lowest contrast")
axes[1, 0].set_ylabel("highest contrast")
plt.show()

# %% [markdown]
# More than half of the patches of `retina` are flat, and a quarter of those of `rocket`: the black corners, the smooth parts of
# the eye, and the sky. With `min_contrast=0.03`, the package's pipeline draws such a patch again, from the same photo, up to ten
# times. Lessons 3 to 9 use this option.
#
# ## Augmentation
#
# A flipped or rotated patch is an additional training patch, and it costs little time compared with training, as we will measure.
# A square has eight symmetries: four rotations, each with or without a flip.


# %%
def symmetry(image, k):
    """Returns symmetry k of 8: rotated by k times 90 degrees, flipped from 4 on."""
    image = np.rot90(image, k % 4)
    return image[:, ::-1] if k >= 4 else image


fig, axes = plt.subplots(2, 4, figsize=(9, 4.8), layout="constrained")
for k, ax in enumerate(axes.flat):
    ax.imshow(symmetry(hr[50:150, 150:250], k))
    ax.set(xticks=[], yticks=[], title=f"{k}")
plt.show()

# %% [markdown]
# Can we rotate both patches, instead of rotating HR and degrading it again? This is correct only if it makes no difference
# whether we rotate or degrade first, and likewise for flips. Such a degradation is called *equivariant*. **Predict:** is bicubic
# downscaling equivariant? And what about a blur that smears sideways?

# %%
square = sr.images.to_float(hr[:128, 192:320])
downscale = sr.degradations.Downscale(4)
smear = sr.degradations.GaussianBlur(sigma=4, sigma_across=0.5, angle=0)
for name, degrade in (("bicubic", downscale), ("smear", smear)):
    error = [
        np.abs(degrade(symmetry(square, k)) - symmetry(degrade(square), k)).max()
        for k in range(8)
    ]
    print(name, np.round(error, 3))

# %% [markdown]
# Bicubic downscaling is equivariant under all eight symmetries if the sides of the image are multiples of the factor, as here.
# The horizontal smear is equivariant under only half of them, because a rotation by 90 degrees turns it into a vertical smear. If
# your camera always smears sideways, such augmented pairs would be wrong.
#
# ## Crappifying
#
# To make pairs for restoration, we damage good photos on purpose. (The fast.ai course calls this *crappifying*.) In one line, with
# a blur kernel $k$, subsampling by $s$, and noise $n$:
#
# $$\mathrm{LR} = \mathrm{JPEG}\big((\mathrm{HR} * k)\downarrow_s + n\big)$$
#
# Three kinds of damage are a line of NumPy each:

# %%
clean = sr.images.to_float(data.chelsea()[:300, :448])  # the cat
noisy = clean + generator.normal(0, 0.1, clean.shape)  # Gaussian, not clipped
quantized = np.round(clean * 7) / 7  # 8 levels: 0, 1/7, ..., 1
lost = clean * (generator.random(clean.shape[:2]) >= 0.3)[..., None]  # black pixels

package = np.asarray(sr.degradations.Quantize(8)(clean))
np.testing.assert_allclose(quantized, package, atol=1e-6)

# %% [markdown]
# A blur is a weighted mean of neighbouring pixels. A Gaussian kernel is the product of a vertical and a horizontal factor, so it
# can be applied in two one-dimensional passes.


# %%
def gaussian_blur(image, sigma):
    """Blurs vertically, then horizontally; repeats the last pixel beyond the border."""
    radius = int(np.ceil(3 * sigma))
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    line /= line.sum()
    for _ in range(2):
        padded = np.pad(image, [(radius, radius), (0, 0), (0, 0)], "edge")
        image = sum(w * padded[i : i + len(image)] for i, w in enumerate(line))
        image = image.swapaxes(0, 1)
    return image


blurred = gaussian_blur(clean, sigma=2)
package = np.asarray(sr.degradations.GaussianBlur(2.0)(clean))
np.testing.assert_allclose(blurred, package, atol=1e-4)

# %% [markdown]
# The package has all of them, with the same interface: `Degradation(strength)(image, seed=...)`. Each row of the next figure shows
# one of them at two strengths. **Predict:** which would be the hardest to undo?

# %%
d = sr.degradations
kinds = {
    "blur": {
        "sigma 1 pixel": d.GaussianBlur(1.0),
        "sigma 3 pixels": d.GaussianBlur(3.0),
    },
    "noise": {"sigma 0.05": d.GaussianNoise(0.05), "sigma 0.2": d.GaussianNoise(0.2)},
    "JPEG": {"quality 30": d.JPEG(30), "quality 5": d.JPEG(5)},
    "quantization": {"16 levels": d.Quantize(16), "4 levels": d.Quantize(4)},
    "lost pixels": {"10%": d.DropPixels(0.1), "50%": d.DropPixels(0.5)},
}
eye = data.chelsea()[84:144, 125:245]
rows = {}
for name, strengths in kinds.items():
    rows[name] = {
        strength: degrade(eye, seed=1) for strength, degrade in strengths.items()
    }
sr.plotting.degradations(eye, rows)

# %% [markdown]
# How hard a degradation is to undo depends on what it leaves of the photo. If half of the pixels are lost, they can be estimated
# from the neighbours that remain. A strong blur and JPEG at quality 5 destroy fine detail everywhere, so there is nothing nearby
# to estimate it from. Noise and coarse quantization probably lie between: what they destroy in a pixel can be averaged from its
# neighbours.
#
# Noise and lost pixels are random. A seed makes experiments repeatable: the same seed gives the same damage.

# %%
random_noise = d.GaussianNoise((0.0, 0.2))  # the strength is random, too
np.testing.assert_array_equal(random_noise(eye, seed=1), random_noise(eye, seed=1))
for seed in range(4):
    error = sr.images.to_float(random_noise(eye, seed=seed)) - sr.images.to_float(eye)
    print(f"seed {seed}: standard deviation of the noise {error.std():.3f}")

# %% [markdown]
# Does the order matter? **Predict:** noise of 0.1 is added before downscaling by 4, or after it. Which LR image is noisier, and by
# what factor?

# %%
noise = d.GaussianNoise(0.1)
orders = {
    "noise, then downscale": d.Compose([noise, downscale]),
    "downscale, then noise": d.Compose([downscale, noise]),
}
for name, degrade in orders.items():
    error = np.asarray(degrade(clean, seed=1)) - downscale(clean)
    print(f"{name}: {np.std(error):.3f}")

# %% [markdown]
# Downscaling averages pixels, and averaging reduces noise: a fifth of it is left. (Independent noise shrinks by the root of the
# sum of the squared weights. This is a quarter for the mean of 16 values, and a fifth for the bicubic kernel, which covers more
# pixels.)
#
# The order matters, so a random order gives more varied images than a fixed one. `"crappify"` applies blur, downscaling, noise,
# quantization and JPEG with random strengths in random order. Here are five results for one photo, with seeds that we chose
# because they differ. Which kind of damage dominates in each?

# %%
crappify = d.get("crappify", scale=2)
cat = data.chelsea()[:300, :448]
draws = {f"seed {seed}": crappify(cat, seed=seed) for seed in (4, 8, 12, 18, 20)}
sr.plotting.degradations(cat, draws, crop=(50, 110, 120, 176))

# %% [markdown]
# JPEG blocks dominate with seed 8, blur with 12, and noise with 20. Seed 4 is only slightly soft, and seed 18 has coloured
# patches of JPEG. A network that is trained on such pairs sees many kinds of damage, and has to infer which ones are present in
# its input. A network trained on bicubic downscaling alone knows only one kind. Train on the damage that you expect in the photos
# that you want to restore.
#
# Photos from the internet have often been resized and compressed more than once. Real-ESRGAN therefore applies a chain of random
# strengths, in a nearly fixed order, twice. This is called *second-order degradation*. `Compose` can chain any two degradations;
# ours keep their random order. What does the second pass do to the damage of the first?

# %%
first_pass = d.get("crappify", scale=1)
second_order = d.Compose([first_pass, crappify])
passes = {}
for seed in (20, 25, 28):  # the same seed gives the same first pass
    once, twice = first_pass(cat, seed=seed), second_order(cat, seed=seed)
    passes[f"seed {seed}"] = {"first pass": once, "both passes": twice}
sr.plotting.degradations(cat, passes, crop=(50, 110, 120, 176))

# %% [markdown]
# With seed 20, the second pass blurs the noise of the first. (It also halves the size, which alone averages noise.) With 25, it
# adds noise to faint blocks, and with 28, it adds noise to a blurred image and compresses the result. Lesson 16 builds the
# degradation of Real-ESRGAN in full and trains on it.
#
# ## A pipeline, measured
#
# While a network waits for data, its processor is idle. We build several pipelines that deliver patches of the same size, and
# measure their speed in patches per second. First, we write our photos to PNG files, as they would be stored on disk:

# %%
lr_files, hr_files = [], []
for name, (lr_image, hr_image) in zip(pairs.names, pairs, strict=True):
    lr_files.append(str(folder / "lr" / f"{name}.png"))
    hr_files.append(str(folder / "hr" / f"{name}.png"))
    sr.images.write(lr_files[-1], lr_image)
    sr.images.write(hr_files[-1], hr_image)
print(len(lr_files), "pairs of files")

# %% [markdown]
# The most obvious pipeline in `tf.data` reads and decodes a pair, cuts one patch, and repeats. `from_tensor_slices` makes a dataset
# of the file names. `shuffle(n)` holds the next `n` elements in a buffer and returns a random one of them each time, `map` applies
# a function to every element, `repeat` starts again at the end, and `batch` joins elements.


# %%
def read(lr_file, hr_file):
    files = tf.io.read_file(lr_file), tf.io.read_file(hr_file)
    return tuple(tf.io.decode_png(file, channels=3) for file in files)


def random_patch(lr, hr, size=48, scale=4):
    limit = tf.shape(lr)[:2] - size + 1
    y = tf.random.uniform((), 0, limit[0], tf.int32)
    x = tf.random.uniform((), 0, limit[1], tf.int32)
    lr = lr[y : y + size, x : x + size]
    hr = hr[scale * y : scale * (y + size), scale * x : scale * (x + size)]
    return sr.images.to_float(lr), sr.images.to_float(hr)


# %%
files = tf.data.Dataset.from_tensor_slices((lr_files, hr_files))
decoding = files.shuffle(6).repeat().map(read).map(random_patch).batch(16)
lr_batch, hr_batch = next(iter(decoding))
print(lr_batch.shape, hr_batch.shape, lr_batch.dtype)


# %%
def rate(dataset, seconds=here.seconds):
    """Returns how many patches per second a dataset of batches delivers."""
    batches = iter(dataset)
    next(batches)  # the first batch starts threads and fills buffers
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += len(next(batches)[0])
    return count / (time.perf_counter() - start)


rates = {"decode for each patch": rate(decoding)}
print(f"{rates['decode for each patch']:.0f} patches/s")

# %% [markdown]
# For each patch, a whole PNG file is decoded and most of it is discarded. **Predict:** how much faster will it be if the decoded
# photos stay in memory (`cache`)? And if several threads cut patches (`num_parallel_calls`) while the network uses earlier ones
# (`prefetch`)? `AUTOTUNE` lets TensorFlow choose the numbers.

# %%
decoded = files.map(read).cache().shuffle(6).repeat()
cached = decoded.map(random_patch).batch(16)
parallel = decoded.map(random_patch, num_parallel_calls=tf.data.AUTOTUNE)
parallel = parallel.batch(16).prefetch(tf.data.AUTOTUNE)
rates["cache in memory"] = rate(cached)
rates["cache, threads, prefetch"] = rate(parallel)
print({name: round(value) for name, value in rates.items()})

# %% [markdown]
# The package crops a whole batch in one NumPy call from decoded arrays of integers, and converts it to floats at the very end.
# With `cache=`, these arrays stay in files on disk, of which only the parts in use are read (*memory mapping*).

# %%
training_batches = sr.pipeline.training_batches
plain = training_batches(pairs, lr_patch_size=48, batch_size=16, augment=False)
augmented = training_batches(pairs, lr_patch_size=48, batch_size=16)
rates["sr.pipeline"] = rate(plain)
rates["sr.pipeline, augmented"] = rate(augmented)

# %%
fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
bars = ax.barh(list(rates), list(rates.values()), color="#0072B2")
ax.bar_label(bars, fmt="%.0f", padding=3)
ax.invert_yaxis()
ax.margins(x=0.12)
ax.set_xlabel("patches per second, 48 x 48 LR and 192 x 192 HR, on this machine")
plt.show()

# %% [markdown]
# Decoding each photo only once makes by far the largest difference. The other variants differ by about a factor of two on these
# six small photos, and their order may change from run to run. [benchmarks/README.md](../benchmarks/README.md) has a comparison
# with 40 large photos, in which the package's pipeline is the fastest.
#
# How many patches per second are enough? As many as the network consumes. We measure a small ESPCN (lesson 4; three convolutions
# with 37,200 parameters) and a small EDSR (lesson 8; 21 convolutions with 232,963). **Predict:** which of the pipelines can keep
# up with them on this machine?

# %%
batch = next(iter(plain))
networks = {
    "ESPCN": sr.models.espcn(4, channels=3),
    "EDSR, 8 blocks of 32": sr.models.edsr(4, filters=32, num_blocks=8),
}
for name, network in networks.items():
    network.compile(keras.optimizers.Adam(1e-3), loss="mae")
    network.train_on_batch(*batch)  # the first call compiles
    start = time.perf_counter()
    for _ in range(here.timed):
        network.train_on_batch(*batch)
    consumed = 16 * here.timed / (time.perf_counter() - start)
    print(f"{name}: trains on {consumed:.0f} patches/s")

# %% [markdown]
# On this machine, the network is the bottleneck: the cached pipelines deliver many times more patches than either network
# consumes. Decoding for each patch is enough for EDSR, but not for ESPCN. (We measured both rates separately. In training,
# pipeline and network share the cores.) A GPU trains much faster, and the pipeline has to keep up with it.
#
# The package's pipeline has another useful property: its batch `k` depends only on the seed and on `k`. If training is
# interrupted and resumed, it continues with exactly the batches that it would have seen.


# %%
settings = {"lr_patch_size": 16, "batch_size": 4, "seed": 7}
uninterrupted = iter(training_batches(pairs, **settings).skip(5))
resumed = iter(training_batches(pairs, **settings, start_step=5))
for _ in range(3):
    (lr_a, hr_a), (lr_b, hr_b) = next(uninterrupted), next(resumed)
    np.testing.assert_array_equal(lr_a, lr_b)
    np.testing.assert_array_equal(hr_a, hr_b)
print("batches 5, 6 and 7 are the same")

# %% [markdown]
# ## Optional: prefetching
#
# A pipeline can be fast enough and still cost time, if the network waits while the next batch is loaded. To see this without a slow
# disk and a GPU, we simulate both: loading a batch takes 30 ms, and a training step takes 50 ms. **Predict:** how long does a step
# take, and how long with `prefetch`, which loads the next batches while the step runs?


# %%
def seconds_per_step(dataset, steps=here.steps):
    batches = iter(dataset)
    next(batches)
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        next(batches)
        time.sleep(0.05)  # the network computes, on another device
        seconds.append(time.perf_counter() - start)
    return np.median(seconds)


# %%
def slow_batches():
    while True:
        time.sleep(0.03)  # a slow disk
        yield 0


options = tf.data.Options()  # tf.data would add a prefetch of its own
options.experimental_optimization.inject_prefetch = False
slow = tf.data.Dataset.from_generator(slow_batches, output_types=tf.int32)
slow = slow.with_options(options)
for name, dataset in (("without", slow), ("with", slow.prefetch(2))):
    print(f"a step takes {1000 * seconds_per_step(dataset):.0f} ms {name} prefetch")

# %% [markdown]
# Without prefetching, a step takes the sum of both times. With prefetching, they overlap, and a step takes as long as the network
# alone. A pipeline that is even faster would gain nothing.

# %% [markdown]
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** A photo of DIV2K has 2040 x 1356 pixels, and its LR image at x4 has 510 x 339. How many different patches of
# 48 x 48 LR pixels can be cut from it, not counting augmentation?
#
# The next cell also cuts a patch out of the *flipped* LR image of `retina`. Cut the HR patch that belongs to it out of
# `retina_hr`, which is not flipped, and flip it afterwards.


# %%
def is_aligned(lr_patch, hr_patch):
    inside = slice(2, -2), slice(2, -2)  # without the border, as above
    downscaled = sr.degradations.Downscale(4)(hr_patch)
    return np.array_equal(downscaled[inside], lr_patch[inside])


answer = None  # your number
sr.course.check(answer, "02.1")

retina_lr, retina_hr = pairs[pairs.names.index("retina")]
flipped_lr_patch = retina_lr[:, ::-1][100:148, 200:248]
flipped_hr_patch = np.zeros((192, 192, 3), "uint8")  # your code
print("aligned:", is_aligned(flipped_lr_patch, flipped_hr_patch))

# %% tags=["solution"]
# @title Solution 1
answer = (510 - 48 + 1) * (339 - 48 + 1)
sr.course.check(answer, "02.1")
print(answer)

# the image has 352 columns: column x becomes column 351 - x, so 200-247 were 104-151
flipped_hr_patch = retina_hr[4 * 100 : 4 * 148, 4 * 104 : 4 * 152][:, ::-1]
print("aligned:", is_aligned(flipped_lr_patch, flipped_hr_patch))
assert is_aligned(flipped_lr_patch, flipped_hr_patch)

# %% [markdown]
# **Exercise 2.** How many GB (of 10^9 bytes) do the 800 training photos take in memory, decoded to 8 bits, if each has 2040 x
# 1356 pixels? And how many as float32? Give the first number, to 0.1 GB. Then look at the chart of the lesson again: which
# pipelines could feed a GPU that trains on 6,000 patches per second, and what is the bottleneck otherwise?

# %%
answer = None  # your number

sr.course.check(answer, "02.2")

# %% tags=["solution"]
# @title Solution 2
answer = 800 * 2040 * 1356 * 3 / 1e9
sr.course.check(answer, "02.2")
print(f"{answer:.1f} GB as integers, {4 * answer:.1f} GB as float32")

# %% [markdown] tags=["solution"]
# In our run, the threads with prefetching and the package's pipelines would keep up. With the cache alone, preparing the patches
# (cutting, conversion to floats, batching) in one thread is the bottleneck, and without it, decoding.

# %% [markdown]
# **Exercise 3.** The next cell makes six crops of one photo: some are untouched here, some were saved as JPEG first, and some
# were enlarged. (The photo was compressed once before, see above, but its old blocks do not begin in the corners of these crops.)
# Write one rule, with a threshold for `blockiness` and one for `fine_detail`, that sorts all six correctly. Then look at them.

# %%
source = data.immunohistochemistry()
quarters = [source[y : y + 256, x : x + 256] for y in (0, 256) for x in (0, 256)]
suspects = [
    quarters[0],
    sr.degradations.JPEG(60)(quarters[1]),
    sr.upscale(sr.models.bicubic(2), sr.degradations.Downscale(2)(quarters[2])),
    quarters[3],
    sr.degradations.JPEG(85)(quarters[2]),
    sr.upscale(sr.models.bilinear(4), sr.degradations.Downscale(4)(quarters[1])),
]
truth = ["original", "JPEG", "enlarged", "original", "JPEG", "enlarged"]


def sort(image):
    return "original"  # your rule


correct = np.array([sort(image) for image in suspects]) == truth
print(correct.sum(), "of 6 are right")


# %% tags=["solution"]
# @title Solution 3
def sort(image):
    # test for detail first: enlarging by 2 or 4 leaves a period that looks like blocks
    if fine_detail(image) < 5e-3:
        return "enlarged"
    return "JPEG" if blockiness(image) > 1.06 else "original"


assert [sort(image) for image in suspects] == truth
fig, axes = plt.subplots(2, 3, figsize=(11, 7.8), layout="constrained")
for ax, image in zip(axes.flat, suspects, strict=True):
    ax.imshow(image[80:200, 80:200])
    numbers = f"blockiness {blockiness(image):.3f}, detail {fine_detail(image):.2%}"
    ax.set_title(f"{sort(image)}: {numbers}", fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown] tags=["solution"]
# All six are right. (The thresholds lie between the numbers of these six crops; other photos need others.) Blockiness alone is
# not enough: enlarging by 2 or 4 leaves a pattern whose period divides 8, so the enlarged crops have a raised blockiness as well.
# Their lack of fine detail gives them away.

# %% [markdown]
# **Exercise 4.** Write your own degradation: salt and pepper, which makes a fraction of the pixels black or white. Subclass
# `sr.degradations.Degradation` with `is_random = True` and `apply(self, image, rng)`, which receives a float image in [0, 1] and a
# NumPy random generator. The base class takes care of batches, integers and `Compose`.


# %%
class SaltAndPepper(sr.degradations.Degradation):
    is_random = True

    def __init__(self, fraction):
        self.fraction = fraction

    def apply(self, image, rng):
        return image  # your code


changed = np.any(SaltAndPepper(0.2)(eye, seed=1) != eye, axis=-1)
print(f"{changed.mean():.0%} of the pixels have changed, of 20%")


# %% tags=["solution"]
# @title Solution 4
class SaltAndPepper(sr.degradations.Degradation):
    is_random = True

    def __init__(self, fraction):
        self.fraction = fraction

    def apply(self, image, rng):
        draw = rng.random((*image.shape[:2], 1))
        image = np.where(draw < self.fraction / 2, 0, image)
        return np.where(draw > 1 - self.fraction / 2, 1, image)


salted = SaltAndPepper(0.2)(eye, seed=1)
chain = sr.degradations.Compose(
    [sr.degradations.GaussianBlur(1.5), SaltAndPepper(0.05)]
)
pictures = {"salt and pepper, 20%": salted, "blur, then 5%": chain(eye, seed=1)}
sr.plotting.degradations(eye, pictures)

# %% [markdown]
# **Exercise 5.** `shuffle(6)` shuffles photos. Suppose that you cut 64 patches from each decoded photo before going on to the
# next, to save decoding. What is wrong with the batches of 16, and what does `shuffle(n)` change if it shuffles the patches?
# Count how many different photos a batch contains. The next cell makes a dataset of the patches in this order, each represented
# by the number of its photo.

# %%
per_photo = 64  # patches of one photo in a row
numbers = tf.data.Dataset.range(6).repeat()  # photos, as numbers
numbers = numbers.flat_map(lambda i: tf.data.Dataset.from_tensors(i).repeat(per_photo))
# your code: shuffle and batch the numbers, and count the different ones in a batch

# %% tags=["solution"]
# @title Solution 5
for buffer in (1, 64, 256, 1024):
    batches = numbers.shuffle(buffer, seed=0).batch(16).take(200)
    num_photos = [len(np.unique(batch)) for batch in batches]
    print(f"shuffle({buffer}): {np.mean(num_photos):.1f} of 6 photos in a batch of 16")

# %% [markdown] tags=["solution"]
# Without a buffer, all patches of a batch come from one photo, so each step fits the network to that photo alone. A buffer mixes
# well if it is several times as large as the run of patches from one photo, but it needs memory. (Perfect mixing would give 5.7
# photos, too.)

# %% [markdown]
# ## Summary
#
# - A good HR photo is sharp, clean and lossless. Blocks and missing detail can be measured, and downscaling repairs both in part.
# - Pairs must be aligned to a fraction of a pixel. Degrade whole images first, then cut patches, and leave out flat ones.
# - The eight symmetries give more training patches at little cost, as long as the degradation is equivariant.
# - Degradations have strengths, an order and seeds. Train on the damage that you expect.
# - Measure a pipeline in patches per second, and compare it with what the network consumes. Decode once, prepare patches in several
#   threads, and prefetch.
#
# ## Further reading
#
# - Agustsson and Timofte, [NTIRE 2017 challenge on single image super-resolution: dataset and
#   study](https://doi.org/10.1109/CVPRW.2017.150), 2017: DIV2K.
# - Wang, Xie, Dong and Shan, [Real-ESRGAN](https://arxiv.org/abs/2107.10833), 2021: degradations applied twice, for photos of
#   unknown origin.
# - Zhang, Liang, Van Gool and Timofte, [Designing a practical degradation model for deep blind image
#   super-resolution](https://arxiv.org/abs/2103.14006), 2021: the random order.
# - Cai, Zeng, Yong, Cao and Zhang, [Toward real-world single image super-resolution](https://arxiv.org/abs/1904.00523), 2019: pairs
#   taken with several focal lengths instead of synthetic ones.
# - [Better performance with the tf.data API](https://www.tensorflow.org/guide/data_performance), TensorFlow's guide.
