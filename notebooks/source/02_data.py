# %% [markdown]
# # 2. Data: photos, pairs and patches
#
# What a good HR photo is, how pairs, patches and degradations are made of it, and a pipeline that keeps the processor busy.
#
# **You will be able to**
#
# - tell a good training photo from a bad one, by eye and by number;
# - make aligned pairs and patches, and augment them without breaking the pair;
# - degrade photos by blur, noise, JPEG, quantization and lost pixels, by hand and with the package;
# - measure how fast a pipeline is, find what holds it up, and make it faster.
#
# **You need** [lesson 1](01_pixels.ipynb): LR and HR, bicubic downscaling, luma, PSNR.
#
# **Time:** 2 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/02_data.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/02_data.py) · Previous: [1. Pixels, degradation and interpolation](01_pixels.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/01_pixels.ipynb)) · Next: [3. Autoencoders and losses](03_autoencoders.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/03_autoencoders.ipynb)) · [All lessons](README.md)

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

here = sr.course.start(minutes=(1, 2, 1), seconds=(0.3, 2.0, 2.0), steps=(10, 50, 50))

# %% [markdown]
# ## What a good HR photo is
#
# A network learns to draw what is in its HR photos, faults included. So they should be sharp, free of noise, and stored without
# loss. What happens to an astronaut's face as a JPEG file? **Predict:** which quality starts to show?

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from skimage import data

photo = data.astronaut()
saved = {f"quality {q}": sr.degradations.JPEG(q)(photo) for q in (90, 50, 10)}


# %%
def psnr_y(image, reference):
    pair = sr.images.to_float(reference)[None], sr.images.to_float(image)[None]
    return float(sr.metrics.psnr(*pair, luma=True)[0])


# %%
face = (60, 180, 88, 88)
sr.plotting.comparison(
    {**saved, "lossless": photo},
    scores={name: psnr_y(image, photo) for name, image in saved.items()},
    crop=face,
    columns=4,
    title="JPEG: PSNR on luma (dB) against the lossless file, no border cut",
    whole=False,
)

# %% [markdown]
# At 10 the face has blocks of 8 x 8 pixels, which is how JPEG cuts a photo; at 50 the skin is patchy. At 90 the eye finds nothing, yet the
# blocks are there. A number finds them: are brightness steps across block borders larger than elsewhere?


# %%
def blockiness(image):
    """Compares steps at the borders of 8 x 8 blocks with all others; 1 if equal."""
    luma = sr.images.luma(sr.images.to_float(image))[..., 0]
    ratios = []
    for rows in (luma, luma.T):
        steps = np.abs(np.diff(rows, axis=0)).mean(axis=1)
        by_place = [steps[i::8].mean() for i in range(8)]  # place 7 is a border
        ratios.append(by_place[7] / np.mean(by_place[:7]))
    return np.mean(ratios)


for name, image in {**saved, "lossless": photo}.items():
    print(f"{name}: {blockiness(image):.3f}")

# %% [markdown]
# A second fault is invisible in the number of pixels: photos that were enlarged, or out of focus. They have many pixels and no fine
# detail. A Fourier transform writes a picture as a sum of waves, from coarse to fine. Fine detail is the finer half, waves shorter than 4
# pixels: which share of the energy (the squared strengths) has it? `np.hanning` fades out the borders, which would count as edges.


# %%
def fine_detail(image):
    """Returns the share of the energy above half the highest frequency."""
    luma = sr.images.luma(sr.images.to_float(image))[..., 0]
    luma = luma - luma.mean()
    luma = luma * np.hanning(luma.shape[0])[:, None] * np.hanning(luma.shape[1])
    energy = np.abs(np.fft.fft2(luma)) ** 2
    y, x = (np.abs(np.fft.fftfreq(side)) for side in luma.shape)  # 0.5 is highest
    return energy[np.maximum(y[:, None], x) > 0.25].sum() / energy.sum()


half = sr.degradations.Downscale(2)(photo)
enlarged = sr.upscale(sr.models.bicubic(2), half)
for name, image in {"astronaut": photo, "halved, then enlarged": enlarged}.items():
    print(f"{name}: {fine_detail(image):.2%} of the energy is fine detail")

# %% [markdown]
# Now all training photos that come with scikit-image, by both numbers. **Predict:** will the largest photo be the best one?

# %%
pairs = sr.datasets.samples(scale=4)
photos = {name: pairs.hr(i) for i, name in enumerate(pairs.names)}
for name, hr in photos.items():
    size = f"{hr.shape[1]} x {hr.shape[0]}"
    print(
        f"{name:21} {size:12} blockiness {blockiness(hr):.3f}"
        f"  fine detail {fine_detail(hr):.2%}"
    )

# %%
smaller = sr.degradations.Downscale(4)(photos["retina"])
print(
    f"retina / 4: blocks {blockiness(smaller):.3f}, detail {fine_detail(smaller):.2%}"
)
both = {
    "retina": photos["retina"][330:378, 700:764],
    "retina / 4": smaller[160:208, 200:264],
}
fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for ax, (name, image) in zip(axes, both.items(), strict=True):
    luma = sr.images.luma(image)
    ax.imshow(
        luma[..., 0], cmap="gray", interpolation="nearest"
    )  # from darkest to brightest
    ax.set(title=f"{name}: 64 x 48 pixels, contrast stretched", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The largest photo is the worst: blocks, and hardly any detail. Reduced to a quarter of its sides it has lost the blocks, and the share of
# fine detail is many times higher. Downscaling is the cheapest repair there is, if the photo is large enough.
#
# A caution: noise is fine detail as well. A high share is no praise; a very low one is a warning.
#
# ## Pairs
#
# A data set here is a sequence of `(lr, hr)`: 8-bit arrays, HR exactly `scale` times larger.

# %%
print(len(pairs), "pairs:", ", ".join(pairs.names))
lr, hr = pairs[0]
print(lr.shape, lr.dtype, "and", hr.shape, hr.dtype)
np.testing.assert_array_equal(lr, sr.degradations.Downscale(4)(hr))

# %%
fig, axes = plt.subplots(1, 6, figsize=(10, 2), layout="constrained")
for ax, (name, hr) in zip(axes, photos.items(), strict=True):
    ax.imshow(hr[::4, ::4])
    ax.set_title(name.split("_")[0], fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The pair must be aligned. **Predict:** HR is moved by one pixel, which is a quarter of an LR pixel. By how much does the score of bicubic
# interpolation fall?

# %%
lr, hr = sr.datasets.samples(scale=4, split="validation")[0]  # chelsea, a cat
bicubic = sr.upscale(sr.models.bicubic(4), lr)
for shift in (0, 1, 2, 4):
    moved = np.roll(hr, shift, axis=1)[:, 4:-4]
    print(f"moved by {shift}: {psnr_y(bicubic[:, 4:-4], moved):.2f} dB")
print("chelsea, bicubic x4, PSNR on luma, 4 columns cut at the sides, 8 bits")

# %% [markdown]
# A misaligned set raises no error. If all of it is shifted alike, it teaches the shift; if each photo is shifted otherwise, it teaches blur:
# the network hedges between the places where an edge may be. Hence `Pairs` checks sizes, and one function makes all LR images.
#
# Your own photos: any folder will do. Here are two, written as PNG, which is lossless:

# %%
import pathlib
import tempfile

folder = pathlib.Path(tempfile.mkdtemp())
for name, image in (("coffee", data.coffee()), ("astronaut", data.astronaut())):
    sr.images.write(folder / f"{name}.png", image)
mine = sr.datasets.folder(folder, scale=4)
np.testing.assert_array_equal(mine[0][0], pairs[0][0])
print(mine.names, "degraded by", mine.degradation)

# %% [markdown]
# ## DIV2K
#
# The field trains on DIV2K: 800 photos of about 2000 pixels on the longer side, 100 more to validate on, stored without loss, for academic
# research only. The files are large, so we do not fetch them here; `tensorflow_datasets` knows how large.

# %%
import tensorflow_datasets as tfds

builder = tfds.builder_cls("div2k")
(config,) = (c for c in builder.BUILDER_CONFIGS if c.name == "bicubic_x4")
for url in config.download_urls.values():
    print(url.rsplit("/", 1)[1], builder.url_infos[url].size)

# %% [markdown]
# `sr.datasets.div2k` fetches them (once, verified, resumable), and gives pairs like all others. Set `FETCH_DIV2K = True` if you have the
# time, and 8 GB of disk. The lesson goes on with scikit-image's photos.

# %%
FETCH_DIV2K = False

some_pairs = sr.datasets.div2k(scale=4, split="train") if FETCH_DIV2K else pairs
print(len(some_pairs), "pairs; as a tf.data.Dataset:")
print(some_pairs.as_dataset().element_spec)

# %% [markdown]
# Three sets are needed: one to train on, one to choose by (validation), one to report (test). No photo may be in two of them, nor a
# near twin. May one of these two photos be trained on, and the other one tested on?

# %%
left, right, _ = data.stereo_motorcycle()
twins = {"left": left, "right": right}
sr.plotting.comparison(twins, crop=(160, 330, 80, 120), columns=2, whole=False)

# %% [markdown]
# No: it is one scene from two places. A network that was trained on the left one has seen these letters already. Hence
# `sr.datasets.samples` has only one of the two, among the validation photos.
#
# ## Patches
#
# Photos differ in size, and a batch needs one shape. So training takes small squares. An LR patch at `(y, x)` belongs to the HR patch
# at `(4 y, 4 x)`:


# %%
def cut(lr, hr, y, x, size, scale):
    """Returns the patch of `size` LR pixels at (y, x), and its HR patch."""
    top, left, side = scale * y, scale * x, scale * size
    return lr[y : y + size, x : x + size], hr[top : top + side, left : left + side]


generator = np.random.default_rng(0)
lr, hr = pairs[0]
patches = []
for _ in range(6):
    y, x = generator.integers(0, np.array(lr.shape[:2]) - 24 + 1)
    patches.append(cut(lr, hr, y, x, size=24, scale=4))

# %%
fig, axes = plt.subplots(2, 6, figsize=(10, 3.4), layout="constrained")
for column, pair in zip(axes.T, patches, strict=True):
    for ax, image in zip(column, pair, strict=True):
        ax.imshow(image)
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("LR, 24 x 24")
axes[1, 0].set_ylabel("HR, 96 x 96")
plt.show()

# %% [markdown]
# Why not cut HR first and shrink the patch? That needs no LR image. **Predict:** where will the result differ from the patch cut
# out of the LR image?

# %%
lr_patch, hr_patch = patches[0]
shrunk = sr.degradations.Downscale(4)(hr_patch)
difference = np.abs(shrunk.astype(int) - lr_patch).max(axis=2)
plt.figure(figsize=(4, 3.2))
plt.imshow(difference, cmap="magma")
plt.colorbar(label="difference in grey levels of 255")
plt.show()
np.testing.assert_array_equal(difference[2:-2, 2:-2], 0)

# %% [markdown]
# At the border only, in two rows of pixels: there the bicubic kernel looks beyond the patch. Whole images are degraded, then
# cut. Where that cannot be, `sr_keras` takes a margin around the patch and cuts it afterwards.
#
# ## Augmentation
#
# A flipped photo is as good a photo, and costs nothing. A square has eight symmetries: four turns, each flipped or not.


# %%
def symmetry(image, k):
    """Returns view k of 8: turned by k quarters, from 4 on also flipped."""
    image = np.rot90(image, k % 4)
    return image[:, ::-1] if k >= 4 else image


fig, axes = plt.subplots(1, 8, figsize=(10, 1.6), layout="constrained")
for k, ax in enumerate(axes):
    ax.imshow(symmetry(hr[50:150, 150:250], k))
    ax.set(xticks=[], yticks=[], title=f"{k}")
plt.show()

# %% [markdown]
# May we turn both patches instead of turning HR and degrading again? Only if the degradation does not care for direction. **Predict:**
# does bicubic downscaling? And a blur that smears sideways?

# %%
image = sr.images.to_float(hr[:128, 192:320])
downscale = sr.degradations.Downscale(4)
smear = sr.degradations.GaussianBlur(sigma=4, sigma_across=0.5, angle=0)
for name, degrade in (("bicubic", downscale), ("smear", smear)):
    error = [
        np.abs(degrade(symmetry(image, k)) - symmetry(degrade(image), k)).max()
        for k in range(8)
    ]
    print(name, np.round(error, 3))

# %% [markdown]
# Bicubic commutes with all eight. The horizontal smear does so with half of them: a quarter turn makes a vertical smear of it. If your camera
# always smears sideways, such pairs would teach something false.
#
# ## Crappifying
#
# Pairs for restoration are made by spoiling good photos on purpose. Each fault is a line or two of NumPy:

# %%
image = sr.images.to_float(data.chelsea()[:300, :448])
noisy = image + generator.normal(0, 0.1, image.shape)  # a sensor's noise
quantized = np.round(image * 7) / 7  # 8 levels: 0, 1/7, ..., 1
lost = image * (generator.random(image.shape[:2]) >= 0.3)[..., None]  # black pixels

package = np.asarray(sr.degradations.Quantize(8)(image))
np.testing.assert_allclose(quantized, package, atol=1e-6)

# %% [markdown]
# A blur is a weighted mean of neighbours. A Gaussian is a product of one factor down and one across, so that two passes along lines do.


# %%
def gaussian_blur(image, sigma):
    """Blurs rows, then columns; beyond the border the last pixel goes on."""
    radius = int(np.ceil(3 * sigma))
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    line /= line.sum()
    for _ in range(2):
        padded = np.pad(image, [(radius, radius), (0, 0), (0, 0)], "edge")
        image = sum(w * padded[i : i + len(image)] for i, w in enumerate(line))
        image = image.swapaxes(0, 1)
    return image


blurred = gaussian_blur(image, sigma=2)
package = np.asarray(sr.degradations.GaussianBlur(2.0)(image))
np.testing.assert_allclose(blurred, package, atol=1e-4)

# %% [markdown]
# The package has them all, with one manner of use: `Degradation(strength)(image, seed=...)`. Below: the sigma of blur (in pixels) and noise, the
# quality of JPEG, levels, the share of lost pixels. Which would you rather have to undo?

# %%
d = sr.degradations
kinds = {
    "blur": [d.GaussianBlur(s) for s in (1.0, 3.0)],
    "noise": [d.GaussianNoise(s) for s in (0.05, 0.2)],
    "JPEG": [d.JPEG(q) for q in (30, 5)],
    "levels": [d.Quantize(n) for n in (16, 4)],
    "lost": [d.DropPixels(f) for f in (0.1, 0.5)],
}
cat = data.chelsea()[70:150, 125:245]
rows = {}
for name, steps in kinds.items():
    strengths = [next(iter(vars(step).values())) for step in steps]
    spoiled = [step(cat, seed=1) for step in steps]
    rows[name] = {f"{s}": x for s, x in zip(strengths, spoiled, strict=True)}
sr.plotting.degradations(cat, rows)

# %% [markdown]
# Noise and lost pixels are random. The seed decides, so that an experiment can be repeated: the same seed gives the same fault,
# another seed another one.

# %%
noise = sr.degradations.GaussianNoise((0.0, 0.2))  # the strength is drawn, too
np.testing.assert_array_equal(noise(cat, seed=1), noise(cat, seed=1))
for seed in range(4):
    error = sr.images.to_float(noise(cat, seed=seed)) - sr.images.to_float(cat)
    print(f"seed {seed}: standard deviation of the noise {error.std():.3f}")

# %% [markdown]
# Does the order matter? **Predict:** noise of 0.1 is added before downscaling by 4, or after it. Which LR image is noisier, and
# by about what factor?

# %%
clean = downscale(image)
noise = sr.degradations.GaussianNoise(0.1)
before = sr.degradations.Compose([noise, downscale])(image, seed=1)
after = sr.degradations.Compose([downscale, noise])(image, seed=1)
for name, lr in (("noise, then downscale", before), ("downscale, then noise", after)):
    print(f"{name}: {np.std(np.asarray(lr) - clean):.3f}")

# %% [markdown]
# Downscaling averages, and noise averages out: a fifth is left. (The mean of 16 pixels would leave a quarter; bicubic takes in more.)
#
# So a random order makes more varied photos than a fixed one. `"crappify"` does that: blur, downscaling, noise, quantization and JPEG of
# random strength in random order. Four draws for one photo:

# %%
crappify = sr.degradations.get("crappify", scale=2)
large = data.chelsea()[:300, :448]
draws = {f"seed {seed}": crappify(large, seed=seed) for seed in (2, 5, 6, 8)}
sr.plotting.degradations(large, draws, crop=(60, 120, 120, 160))

# %% [markdown]
# A network trained on such pairs meets many faults, and has to guess which ones it sees. Trained on bicubic alone it knows only one. Which is
# better depends on what it will be used for: train on what you will meet.
#
# ## A pipeline, measured
#
# A processor that waits for data is wasted. Let us build three pipelines of the same patches, and measure patches per second. First, our photos as
# PNG files, as they would lie on a disk:

# %%
lr_files, hr_files = [], []
for name, (lr, hr) in zip(pairs.names, pairs, strict=True):
    lr_files.append(str(folder / "lr" / f"{name}.png"))
    hr_files.append(str(folder / "hr" / f"{name}.png"))
    sr.images.write(lr_files[-1], lr)
    sr.images.write(hr_files[-1], hr)
print(len(lr_files), "pairs of files")

# %% [markdown]
# The obvious pipeline in `tf.data`: read and decode a pair, cut a patch, repeat.


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
lr, hr = next(iter(decoding))
print(lr.shape, hr.shape, lr.dtype)


# %%
def rate(dataset, seconds=here.seconds):
    """Returns how many patches a second a dataset of batches gives."""
    batches = iter(dataset)
    next(batches)  # the first one starts everything
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += len(next(batches)[0])
    return count / (time.perf_counter() - start)


rates = {"decode for each patch": rate(decoding)}
print(f"{rates['decode for each patch']:.0f} patches/s")

# %% [markdown]
# For each patch a whole PNG is decoded, and most of it thrown away. **Predict:** how much do we gain if the decoded photos stay in memory
# (`cache`)? And if several threads cut patches (`num_parallel_calls`)?

# %%
decoded = files.map(read).cache().shuffle(6).repeat()
cached = decoded.map(random_patch).batch(16)
parallel = decoded.map(random_patch, num_parallel_calls=tf.data.AUTOTUNE)
parallel = parallel.batch(16).prefetch(tf.data.AUTOTUNE)
rates["cache in memory"] = rate(cached)
rates["cache, threads, prefetch"] = rate(parallel)
print({name: round(value) for name, value in rates.items()})

# %% [markdown]
# The package crops a whole batch in one NumPy call, from decoded arrays, as integers; it becomes floats at the very end. With `cache=` these arrays
# lie on disk, memory-mapped, so that DIV2K needs no 7 GB of memory.

# %%
batches = sr.pipeline.training_batches(pairs, lr_size=48, batch_size=16, augment=False)
rates["sr.pipeline"] = rate(batches)
batches = sr.pipeline.training_batches(pairs, lr_size=48, batch_size=16, seed=0)
rates["sr.pipeline, augmented"] = rate(batches)

# %%
fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
bars = ax.barh(list(rates), list(rates.values()), color="#0072B2")
ax.bar_label(bars, fmt="%.0f", padding=3)
ax.invert_yaxis()
ax.margins(x=0.12)
ax.set_xlabel("patches per second, 48 x 48 LR and 192 x 192 HR, on this machine")
plt.show()

# %% [markdown]
# To decode only once is what counts most. The rest differ by little beside that, here with six small photos, and the package's pipeline need
# not be the fastest. With 40 large photos it was: see [benchmarks/README.md](../benchmarks/README.md).
#
# How many are enough? As many as the network eats. Here is a pretended training step of 50 ms and a pretended disk that needs 30 ms a batch.
# **Predict:** how long does a step take, and how long with `prefetch`, which gets the next batches while the step runs?


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


options = tf.data.Options()
options.experimental_optimization.inject_prefetch = False  # which tf.data adds unasked
slow = tf.data.Dataset.from_generator(slow_batches, output_types=tf.int32)
slow = slow.with_options(options)
for name, dataset in (("without", slow), ("with", slow.prefetch(2))):
    print(f"a step takes {1000 * seconds_per_step(dataset):.0f} ms {name} prefetch")

# %% [markdown]
# Without it, a step takes the time of both, one after the other; with it, they overlap. A pipeline that is faster than the network costs
# nothing, and faster still gains nothing.
#
# Last, a property worth having: batch `k` depends on the seed and on `k` alone. A training that was interrupted goes on with the very batches it would have seen.

# %%
from itertools import islice

whole = sr.pipeline.training_batches(pairs, lr_size=16, batch_size=4, seed=7)
resumed = sr.pipeline.training_batches(
    pairs, lr_size=16, batch_size=4, seed=7, start_step=5
)
for a, b in islice(zip(whole.skip(5), resumed, strict=False), 3):
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
print("batches 5, 6 and 7 are the same")

# %% [markdown]
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** A photo of DIV2K has 2040 x 1356 pixels, its LR image at x4 has 510 x 339. How many different patches of 48 x 48 LR pixels
# can be cut from it, not counting augmentation?

# %%
answer = None  # your number

count = sum(
    1 for y in range(339) for x in range(510) if y + 48 <= 339 and x + 48 <= 510
)
sr.course.check(answer, count)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
answer = (510 - 48 + 1) * (339 - 48 + 1)
sr.course.check(answer, count)
print(answer)

# %% [markdown]
# **Exercise 2.** How many GB (of 10^9 bytes) do the 800 training photos take in memory, decoded to 8 bits, if each has 2040 x 1356 pixels?
# And as float32? Give the first number, to 0.1 GB.

# %%
answer = None  # your number

sr.course.check(answer, 800 * np.zeros((1356, 2040, 3), "uint8").nbytes / 1e9, 0.06)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
answer = 800 * 2040 * 1356 * 3 / 1e9
sr.course.check(answer, 800 * np.zeros((1356, 2040, 3), "uint8").nbytes / 1e9, 0.06)
print(f"{answer:.1f} GB as integers, {4 * answer:.1f} GB as float32")

# %% [markdown]
# **Exercise 3.** Someone mixed up the training folder. Six crops of one photo, some honest, some saved as JPEG first, some enlarged.
# Say for each which it is, with `blockiness` and `fine_detail` only. Then look.

# %%
source = data.immunohistochemistry()
places = [source[y : y + 256, x : x + 256] for y in (0, 256) for x in (0, 256)]
suspects = [
    places[0],
    sr.degradations.JPEG(60)(places[1]),
    sr.upscale(sr.models.bicubic(2), sr.degradations.Downscale(2)(places[2])),
    places[3],
    sr.degradations.JPEG(85)(places[2]),
    sr.upscale(sr.models.bilinear(4), sr.degradations.Downscale(4)(places[1])),
]

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
titles = []
for image in suspects:
    blocks, detail = blockiness(image), fine_detail(image)
    # detail first: enlarging by 2 or 4 leaves a rhythm that looks like blocks
    verdict = "enlarged" if detail < 2e-3 else "JPEG" if blocks > 1.03 else "honest"
    titles.append(f"{verdict}: {blocks:.3f}, {detail:.2%}")
fig, axes = plt.subplots(2, 3, figsize=(8, 5.6), layout="constrained")
for ax, image, title in zip(axes.flat, suspects, titles, strict=True):
    ax.imshow(image[100:180, 100:180])
    ax.set_title(title, fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Exercise 4.** Write a degradation of your own: salt and pepper, which makes a share of the pixels black or white. Subclass
# `sr.degradations.Degradation` with `is_random = True` and `_apply(self, image, seed)`, which gets a float image in [0, 1] and a seed for TensorFlow's
# `stateless` functions. It then works with batches, integers and `Compose` by itself.


# %%
class SaltAndPepper(sr.degradations.Degradation):
    is_random = True

    def _apply(self, image, seed):
        return image  # your code


# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
class SaltAndPepper(sr.degradations.Degradation):
    is_random = True

    def __init__(self, share):
        self.share = share

    def _apply(self, image, seed):
        shape = tf.concat([tf.shape(image)[:2], [1]], 0)
        draw = tf.random.stateless_uniform(shape, seed)
        image = tf.where(draw < self.share / 2, tf.zeros_like(image), image)
        return tf.where(draw > 1 - self.share / 2, tf.ones_like(image), image)


salted = SaltAndPepper(0.2)(cat, seed=1)
chain = sr.degradations.Compose(
    [sr.degradations.GaussianBlur(1.5), SaltAndPepper(0.05)]
)
pictures = {"salt and pepper, 20%": salted, "blur, then 5%": chain(cat, seed=1)}
sr.plotting.degradations(cat, pictures)

# %% [markdown]
# **Exercise 5.** `shuffle(6)` shuffles photos. Suppose that you take 64 patches of each decoded photo before you go on to the next, to save decoding. What is wrong
# with the batches of 16, and what does a buffer of `shuffle(n)` patches do for them? Count how many photos a batch has.

# %%
per_photo = 64  # patches of one photo in a row

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
numbers = tf.data.Dataset.range(6).repeat()  # photos, as numbers
numbers = numbers.flat_map(lambda i: tf.data.Dataset.from_tensors(i).repeat(per_photo))
for buffer in (1, 64, 256, 1024):
    batches = numbers.shuffle(buffer, seed=0).batch(16).take(200)
    photos = [len(np.unique(batch)) for batch in batches]
    print(f"shuffle({buffer}): {np.mean(photos):.1f} of 6 photos in a batch of 16")

# %% [markdown]
# ## Summary
#
# - A good HR photo is sharp, clean and lossless. Blocks and missing detail can be measured; downscaling repairs both.
# - Pairs must be aligned to a fraction of a pixel. Degrade whole images, then cut patches.
# - The eight symmetries are free, as long as the degradation does not care for direction.
# - Degradations have strengths, orders and seeds. Train on the faults that you will meet.
# - Measure a pipeline in patches per second. Decode once; cut, and convert to floats as late as possible; prefetch.
#
# ## Further reading
#
# - Agustsson and Timofte, [NTIRE 2017 challenge on single image super-resolution: dataset and study](https://doi.org/10.1109/CVPRW.2017.150),
#   2017: DIV2K.
# - Wang, Xie, Dong and Shan, [Real-ESRGAN](https://arxiv.org/abs/2107.10833), 2021: degradations applied twice, for photos of
#   unknown origin.
# - Zhang, Liang, Van Gool and Timofte,
#   [Designing a practical degradation model for deep blind image super-resolution](https://arxiv.org/abs/2103.14006), 2021: the random order.
# - Cai, Zeng, Yong, Cao and Zhang, [Toward real-world single image super-resolution](https://arxiv.org/abs/1904.00523), 2019: pairs taken
#   with several focal lengths instead of being made.
# - [Better performance with the tf.data API](https://www.tensorflow.org/guide/data_performance), TensorFlow's guide.
