# %% [markdown]
# # 14. No training set
#
# Super-resolution learned from the photo itself, and when this beats a network that was trained on hundreds of others.
#
# ![A spoon, upscaled by EDSR and by four networks that know only this photo](figures/14_goal.jpg)
#
# *The same LR photo of a spoon, taken through a slanted lens. EDSR was trained on hundreds of photos, and expects bicubic
# downscaling. The zero-shot networks were trained on this LR photo alone, and differ only in what they assume about the lens. For
# one of them, the lens was estimated from the photo.*
#
# **You will be able to**
#
# - show by hand that patches of a photo recur, within a scale and across scales;
# - make a training set from a single LR image, and train a network on it in seconds, without a GPU;
# - say when such a network beats an EDSR that was trained on hundreds of photos, and why;
# - measure the kernel of a camera by least squares, and estimate it from an LR image alone;
# - fit an untrained network to one LR image (*deep image prior*), and say what its architecture contributes;
# - check a result against its LR image where there is no HR image to compare with.
#
# **You need** lesson 1 (LR images and their kernels, PSNR), the pixel shuffle of lesson 4, the self-ensemble of lesson 8, and
# `compile` and `fit` of Keras.
#
# **Time:** about 65 minutes to read the core, 55 for the exercises; 3 minutes of computing on two CPU cores (measured), 1.5 minutes on a GPU in Colab (an estimate).
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/14_zero_shot.ipynb) · [Student edition](student/14_zero_shot.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/14_zero_shot.py) · Previous: [13. Hallucination and bias](13_hallucination.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/13_hallucination.ipynb)) · Next: [15. Deployment: tiles, folders, video and export](15_into_the_world.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/15_into_the_world.ipynb)) · [All lessons](README.md)

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
    minutes=(0.9, 3, 1.5),
    steps=(50, 800, 2000),
    widths=((0.9, 1.7), (0.5, 0.9, 1.3, 1.7, 2.1), (0.5, 0.9, 1.3, 1.7, 2.1)),
    shown=((5, 20), (100, 800), (100, 1500)),
)

# %% [markdown]
# ## Patches of a photo recur
#
# Our first photo shows a brick wall. Its file is soft: it has less detail than its number of pixels allows. So we scale it down
# by 2 and call the result HR. Scaling HR down by 2 gives LR. A third time gives the image that this lesson is about, the LR image
# of the LR image. The zero-shot paper calls the two *father* and *son*.

# %%
import itertools

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from skimage import data

halve = sr.degradations.Downscale(2)  # antialiased bicubic, lesson 1
wall = halve(data.brick()[..., None])
lr = halve(wall)
son = halve(lr)
print("HR", wall.shape, "LR, the father", lr.shape, "its LR, the son", son.shape)

# %% [markdown]
# We take a patch of 5 x 5 pixels of LR and look for similar patches everywhere else. The distance between two patches is the root
# mean square of their difference. **Predict:** where will the six nearest patches be?


# %%
def patches(image, size):
    """Returns all patches, (rows, columns, size, size), of a grey image as floats."""
    plane = sr.images.to_float(image)[..., 0]
    return np.lib.stride_tricks.sliding_window_view(plane, (size, size))


def rms(difference):
    """Returns the root of the mean square of each patch."""
    return np.sqrt(np.mean(difference**2, axis=(-2, -1)))


# %%
y, x, size = 10, 55, 5
patch = patches(lr, size)[y, x]
distances = rms(patches(lr, size) - patch)
found = []
while len(found) < 7:  # the first one found is the patch itself
    top, left = np.unravel_index(distances.argmin(), distances.shape)
    found.append((top, left, distances[top, left]))
    rows = slice(max(top - 4, 0), top + 5)
    distances[rows, max(left - 4, 0) : left + 5] = np.inf  # no overlap
assert found[0] == (y, x, 0)

# %%
fig, axes = plt.subplots(
    1, 8, figsize=(10, 2.8), width_ratios=[3] + [1] * 7, layout="constrained"
)
axes[0].imshow(lr, cmap="gray", vmin=50, vmax=200)
for i, (top, left, distance) in enumerate(found):
    color = "#D55E00" if i else "#56B4E9"
    frame = plt.Rectangle(
        (left - 0.5, top - 0.5), size, size, fill=False, edgecolor=color, lw=1.5
    )
    axes[0].add_patch(frame)
    crop = lr[top : top + size, left : left + size]
    axes[i + 1].imshow(crop, cmap="gray", vmin=50, vmax=200)
    axes[i + 1].set_title(f"{255 * distance:.0f} of 255" if i else "patch", fontsize=8)
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# They are at other corners of the mortar, all over the wall. These six patches differ from ours by 4 to 7 of 255 grey levels.
#
# This is recurrence *within* a scale. Recurrence *across* scales is more useful. Suppose that we find the patch in the son, which
# is the smaller image. Then we have an example of what it may look like at twice the size: its *parent* in the father, at twice
# the coordinates.

# %%
distances = rms(patches(son, size) - patch)
top, left = np.unravel_index(distances.argmin(), distances.shape)
smooth = sr.upscale(sr.models.bicubic(2, channels=1), lr)
parents, bicubics, truths = (patches(image, 2 * size) for image in (lr, smooth, wall))
parent, bicubic = parents[2 * top, 2 * left], bicubics[2 * y, 2 * x]
truth = truths[2 * y, 2 * x]
print(f"nearest in the son: ({top}, {left}), {255 * distances.min():.0f} of 255 away")

# %% [markdown]
# **Predict:** the parent comes from another place on the wall. Will it resemble the truth more than bicubic interpolation does?

# %%
panels = {
    "the patch, in LR": patch,
    "found in the son": patches(son, size)[top, left],
    f"its parent, {255 * rms(parent - truth):.0f} off": parent,
    f"bicubic, {255 * rms(bicubic - truth):.0f} off": bicubic,
    "truth, in HR": truth,
}
fig, axes = plt.subplots(1, 5, figsize=(10, 2.3), layout="constrained")
for ax, (name, image) in zip(axes, panels.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=0.2, vmax=0.8)
    ax.set(xticks=[], yticks=[])
    ax.set_title(name, fontsize=9)
plt.show()

# %% [markdown]
# It does. The parent is off by 4 grey levels and bicubic interpolation by 14, and the mortar is as sharp as in HR. The wall was
# photographed at an angle, so the same corner appears in many sizes.
#
# But we chose this patch because it works. Glasner, Bagon and Irani (2009) do not paste a single parent; they combine several. We
# combine them by adding only their *detail* to the bicubic image, where the detail of a parent is the difference between the
# father and the bicubically upscaled son. **Predict:** for what share of all textured patches does the nearest parent beat
# bicubic interpolation? And the mean detail of the nine nearest?

# %%
wins, total = np.zeros(2, int), 0
candidates, wanted = patches(son, size), patches(lr, size)
smooth_father = sr.upscale(sr.models.bicubic(2, channels=1), son)
details = parents - patches(smooth_father, 2 * size)
for row in range(0, len(lr) - size, 3):
    for column in range(0, len(lr) - size, 3):
        patch = wanted[row, column]
        if patch.std() < 0.05:
            continue  # flat
        distances = rms(candidates - patch)
        nearest = distances.ravel().argsort()[:9]
        tops, lefts = np.unravel_index(nearest, distances.shape)
        truth = truths[2 * row, 2 * column]
        bicubic = bicubics[2 * row, 2 * column]
        with_detail = bicubic + details[2 * tops, 2 * lefts].mean(axis=0)
        limit = rms(bicubic - truth)
        wins[0] += rms(parents[2 * tops[0], 2 * lefts[0]] - truth) < limit
        wins[1] += rms(with_detail - truth) < limit
        total += 1
print(f"the nearest parent beats bicubic for {wins[0]} of {total} textured patches,")
print(f"the mean detail of nine parents for {wins[1]}")

# %% [markdown]
# The nearest parent wins for fewer than one patch in five, but the mean detail of nine parents wins for more than three in four.
# (Two things differ: we add only the detail, and we average.) We will leave combining patches to a network.
#
# Is this special to bricks? We compare three photos: the wall, a cup of coffee, and a scanned page. For 300 patches of each LR
# image, we search for the nearest patch in the son of each photo. All three sons offer the same number of candidates. Flat
# patches match anything, so we only take textured ones.

# %%
photos = {"wall": wall, "coffee": data.coffee(), "page": data.page()[..., None]}
lrs = {name: halve(photo) for name, photo in photos.items()}
grey = {name: sr.images.luma(image) for name, image in lrs.items()}
rng = np.random.default_rng(0)


def textured(image, count):
    """Returns the most textured of `3 * count` random 5 x 5 patches, as rows."""
    all_patches = patches(image, 5).reshape(-1, 25)
    chosen = all_patches[rng.choice(len(all_patches), 3 * count, replace=False)]
    return chosen[np.argsort(chosen.std(axis=1))[-count:]]


# %%
queries = {name: textured(image, 300) for name, image in grey.items()}
library = {name: textured(halve(image), 1000) for name, image in grey.items()}
print("median distance to the nearest, of 255; rows: patches of, columns: son of")
print(" " * 8, *(f"{name:>8}" for name in library))
for name, rows in queries.items():
    medians = []
    for others in library.values():
        square = np.mean((rows[:, None] - others[None]) ** 2, axis=2)
        medians.append(255 * np.median(np.sqrt(square.min(axis=1))))
    print(f"{name:8}", *(f"{value:8.1f}" for value in medians))

# %% [markdown]
# In every row the smallest number is on the diagonal: each photo matches itself better than it matches the others. The page is
# the hardest to match. Its own patches serve it hardly better than those of the cup, and that difference may be chance.
#
# ## Father and son
#
# Shocher, Cohen and Irani (2018) train a network instead of searching for patches, and call the method *zero-shot
# super-resolution*. The son is the input of the network and the father its target. After training, the father becomes the input.
# The network never sees another photo, and it never sees HR.
#
# ![The photo is the target, and its downscaled version the input](figures/14_zero_shot.svg)
#
# $$\hat{\theta} = \arg\min_\theta \lVert f_\theta(\downarrow \mathrm{LR}) - \mathrm{LR} \rVert, \qquad \mathrm{SR} = f_{\hat{\theta}}(\mathrm{LR})$$

# %%
cup = lrs["coffee"]
cup_son = halve(cup)
pair = sr.datasets.arrays([cup], scale=2, degradation="bicubic")
np.testing.assert_array_equal(pair[0][0], cup_son)
np.testing.assert_array_equal(pair[0][1], cup)
sr.plotting.comparison(
    {"son (input)": cup_son, "father (target)": cup},
    crop=(60, 130, 60, 90),
    title="The training set: one pair",
)

# %% [markdown]
# A single pair is little. With rotations and flips it becomes eight. But in which order: rotate first and then downscale, or the
# reverse? For our bicubic kernel, the order makes no difference.


# %%
def eight_views(image):
    """Returns the eight flips and rotations of an image."""
    rotated = [np.rot90(image, turns) for turns in range(4)]
    views = rotated + [view[:, ::-1] for view in rotated]
    return [np.ascontiguousarray(view) for view in views]


exact = sr.images.to_float(cup)  # integers would be rounded after every step
downscaled_first = eight_views(halve(exact))
downscaled_last = [halve(view) for view in eight_views(exact)]
for first, last in zip(downscaled_first, downscaled_last, strict=True):
    np.testing.assert_allclose(first, last, atol=1e-5)

# %% [markdown]
# For other kernels it does. So we use the order that is right for every kernel: we make eight fathers, and the son of each of
# them with the kernel. This is an ordinary dataset of eight photos. We pass `augment=False`, because the augmentation is already
# done.


# %%
def pairs_of_views(lr, degradation):
    """Makes a dataset of the eight views of one image, with their sons."""
    return sr.datasets.arrays(eight_views(lr), scale=2, degradation=degradation)


batches = sr.pipeline.training_batches(
    pairs_of_views(cup, halve),
    lr_patch_size=24,
    batch_size=8,
    channels=1,
    augment=False,
)
for inputs, targets in batches.take(1):
    print("a batch: sons", inputs.shape, "fathers", targets.shape, "of luma")

# %% [markdown]
# ## A network for one photo
#
# The network only has to learn how *this* photo is sharpened, so a small one is enough: four convolutions, three of which have 24
# filters. With a bicubic skip connection, only the difference from bicubic interpolation remains to be learned.
#
# The paper uses eight layers with 64 filters on the interpolated image, and additional fathers, which are smaller copies of the
# first. It also corrects the result by back-projection (exercise 3), and adds noise to the sons of imperfect photos (exercise 4).
# We upscale at the end, as in lesson 4, so that the convolutions process a quarter of the pixels.


# %%
def network():
    inputs = keras.Input((None, None, 1), name="lr")
    x = inputs
    for _ in range(3):
        x = layers.Conv2D(24, 3, padding="same", activation="leaky_relu")(x)
    x = layers.Conv2D(
        4, 3, padding="same", kernel_initializer="zeros", name="residual"
    )(x)
    x = sr.layers.PixelShuffle(2)(x)  # four channels become 2 x 2 pixels
    interpolated = sr.layers.BicubicUpsampling(2)(inputs)
    return keras.Model(inputs, layers.Add()([interpolated, x]), name="zero_shot")


# %% [markdown]
# The weights of the last convolution start at zero, so the untrained network is bicubic interpolation. The following cell asserts
# this.

# %%
model = network()
print(f"{model.count_params():,} parameters")
np.testing.assert_allclose(
    model(inputs), sr.models.bicubic(2, channels=1)(inputs), atol=1e-5
)

# %% [markdown]
# Training is the usual `compile` and `fit`. The inputs are an LR image and the degradation that we assume. The cell prints the
# CPU time, which does not include other programs on the machine.

# %%
import time


def zero_shot(lr, degradation, steps=here.steps):
    """Trains a network on one LR image and its assumed degradation."""
    keras.utils.set_random_seed(0)
    model = network()
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(schedule), loss="mean_absolute_error")
    batches = sr.pipeline.training_batches(
        pairs_of_views(lr, degradation),
        lr_patch_size=24,
        batch_size=8,
        channels=1,
        augment=False,
    )
    start = time.process_time()
    history = model.fit(batches, steps_per_epoch=steps // 10, epochs=10, verbose=0)
    loss = 255 * np.array(history.history["loss"])
    print(f"{steps} steps, {time.process_time() - start:.0f} seconds of the CPU;")
    print(f"mean absolute error from {loss[0]:.2f} to {loss[-1]:.2f} of 255")
    return model


# %%
of_coffee = zero_shot(cup, halve)

# %% [markdown]
# ## Against networks that were trained on hundreds of photos
#
# The opponents come with the package: a small LapSRN (lesson 9) and an EDSR-baseline (lesson 8). Both were trained on some 470
# photos and their bicubic LR images ([how](../sr_keras/pretrained/README.md)).

# %%
names = {"LapSRN": "lapsrn-x2-bsds-small", "EDSR": "edsr-x2-bsds"}
trained = {}
for name, weights in names.items():
    trained[name] = sr.models.load(weights)
    history = sr.weights.history(sr.weights.find(weights))
    print(
        f"{weights}: {trained[name].count_params():,} parameters,"
        f" {history['recipe']['steps']:,} steps on {history['recipe']['data']}"
    )

# %% [markdown]
# The zero-shot network and LapSRN process luma, and the colours are upscaled by bicubic interpolation. The scores follow the
# protocol of the papers: luma, two border pixels cut, 8 bits. `evaluate` calls `on_image` for each image, and we keep the results
# there.


# %%
def compare(photo, degradation, models):
    """Scores models on one photo; returns their images and (PSNR, SSIM)."""
    dataset = sr.datasets.arrays([photo], scale=2, degradation=degradation)
    images, scores = {}, {}
    for name, model in models.items():

        def keep(index, lr, upscaled, hr, row, name=name):
            images[name] = upscaled

        mean = sr.evaluate(model, dataset, on_image=keep)["mean"]
        scores[name] = mean["psnr_y"], mean["ssim_y"]
        print(f"{name:22} {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
    return images, scores


interpolation = {"bicubic": sr.models.bicubic(2, channels=1)}
CONDITIONS = "x2, PSNR (dB) / SSIM on luma, 2 pixels cut, 8 bits"

# %% [markdown]
# **Predict:** the cup of coffee resembles the photos that the two networks were trained on. What is the order of bicubic
# interpolation, the network that knows only this cup, and the two that were trained on hundreds of other photos?

# %%
models = {**interpolation, "zero-shot": of_coffee, **trained}
images, scores = compare(photos["coffee"], halve, models)
assert scores["zero-shot"] > scores["bicubic"]
sr.plotting.comparison(
    {**images, "HR": photos["coffee"]},
    scores=scores,
    crop=(235, 325, 60, 90),
    title=CONDITIONS + ", LR by bicubic",
)

# %% [markdown]
# The zero-shot network is 1.7 dB above bicubic interpolation and only 0.4 dB below the small LapSRN. EDSR is 1.3 dB ahead of the
# zero-shot network. This agrees with the table in the zero-shot paper, where EDSR also leads on bicubic LR images.
#
# Now we take a photo that is unlike the training sets: a scanned page. Its letters recur within the scale, but the table above
# found little recurrence across scales. **Predict:** does the order change?

# %%
of_page = zero_shot(lrs["page"], halve)
models = {**interpolation, "zero-shot": of_page, **trained}
images, scores = compare(photos["page"], halve, models)
assert scores["zero-shot"] > scores["bicubic"]
sr.plotting.comparison(
    {**images, "HR": photos["page"][:190]},
    scores=scores,
    crop=(60, 150, 40, 70),
    columns=2,
    title=CONDITIONS + ", LR by bicubic",
)

# %% [markdown]
# The order changes in one place: the zero-shot network is now almost 0.5 dB above LapSRN, whose letters have pale halos. A likely
# reason, which we do not test: ink on paper has other edges than most photos, and the son of the page contains edges of this
# kind.
#
# EDSR has 24 times as many weights as LapSRN and was trained for 20 times as many steps. It is more than 2 dB above both, so this
# large network also generalizes to the page. But none of the three draws every letter correctly: compare the "e" with HR.
#
# ## When the degradation is another one
#
# So far, LR was made with the kernel that the trained networks had seen. A real camera has a kernel of its own. Here we simulate
# one: a lens that blurs along a slanted direction, and a sensor whose pixels average the light that falls on them.

# %%
lens = sr.degradations.GaussianBlur(1.6, 0.8, angle=30)
camera = sr.degradations.Compose([lens, sr.degradations.Downscale(2, "area")])
point = np.zeros((15, 15, 1), "float32")
point[7, 7] = 1
fig, axes = plt.subplots(1, 2, figsize=(8, 4))
axes[0].imshow(lens(point), cmap="gray")
axes[0].set_title("a point, through the lens", fontsize=9)
axes[1].imshow(np.flip(lens(point), axis=1), cmap="gray")
axes[1].set_title("the same, flipped", fontsize=9)
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The flipped kernel is a different kernel. This is why the order matters for other kernels than the bicubic one: a flipped pair
# of father and son would teach the network to undo a lens that does not exist. **Predict:** how much does "flip, then degrade"
# differ from the opposite order, for bicubic downscaling and for this camera?

# %%
cup_lr = camera(photos["coffee"])  # what this camera saw
for name, degrade in (("bicubic", halve), ("camera", camera)):
    difference = degrade(cup_lr)[:, ::-1].astype(int) - degrade(cup_lr[:, ::-1])
    print(f"{name}: mean difference {np.abs(difference).mean():.2f} of 255")

# %% [markdown]
# For bicubic downscaling they do not differ at all. For the camera they differ by 1.65 grey levels on average.
#
# We train two networks on the camera's photo. The first assumes that LR was made by bicubic downscaling, as all networks did so
# far. The second uses the true degradation, so its sons are made by the camera.

# %%
assumes_bicubic = zero_shot(cup_lr, halve)
assumes_camera = zero_shot(cup_lr, camera)

# %% [markdown]
# **Predict** the order of the five.

# %%
models = {
    **interpolation,
    **trained,
    "zero-shot, bicubic": assumes_bicubic,
    "zero-shot, camera": assumes_camera,
}
images, scores = compare(photos["coffee"], camera, models)
assert scores["zero-shot, camera"] > scores["bicubic"]
sr.plotting.comparison(
    {"LR": cup_lr, **images, "HR": photos["coffee"]},
    scores=scores,
    crop=(235, 325, 60, 90),
    columns=3,
    title=CONDITIONS + ", LR by the camera",
)

# %% [markdown]
# Is a blurred result due to the network or to its training pairs? The three networks that assume bicubic downscaling are within
# 0.5 dB of each other, including EDSR, and all of their results are blurred. They are 0.8 to 1.3 dB above interpolation. The
# network that knows the camera is 2.1 dB above EDSR, and clearly sharper. The other zero-shot network has the same layers and the
# same number of steps, and is 2.6 dB lower. So the difference comes from the training pairs.
#
# This is the main result of the paper. A trained network is tied to the degradation of its training set. A zero-shot network
# adapts to a new degradation in seconds, but somebody has to know which one it is. (With the same knowledge, the result of EDSR
# can be corrected too: in exercise 3, ten steps without any training take it from 29.84 to 32.16 dB, slightly above this
# network.)
#
# ## A test without HR: consistency
#
# In practice there is no HR image to compare with. But one property can be checked: if the result is scaled down again, it should
# be equal to the LR image. The PSNR between the two is called *LR-PSNR*. Here it is by hand for the first result, with bicubic
# downscaling, and compared with the package's function.

# %%
downscaled = sr.images.to_float(halve(images["bicubic"]))
by_hand = -10 * np.log10(np.mean((downscaled - sr.images.to_float(cup_lr)) ** 2))
np.testing.assert_allclose(
    by_hand, sr.quality.lr_psnr(cup_lr, images["bicubic"]), atol=1e-3
)
print(f"bicubic, scaled down by bicubic: {by_hand:.2f} dB")

# %% [markdown]
# The package's function uses bicubic downscaling. By hand, we can use any degradation. **Predict:** which of the five images,
# photographed again with our camera, is closest to what the camera saw?


# %%
def consistency(lr, result, degradation):
    """Returns the PSNR of the degraded result, all channels and pixels of LR."""
    degraded = sr.images.to_float(degradation(result))
    return -10 * np.log10(np.mean((degraded - sr.images.to_float(lr)) ** 2))


for name, image in images.items():
    print(f"{name:22} LR-PSNR {consistency(cup_lr, image, camera):.2f} dB, camera")

# %% [markdown]
# The result of the network that knows the camera is the closest by several dB. We did not need an HR image to see that the others
# do not fit, but we needed the camera: scaled down by bicubic, even the blurred bicubic image reached 46 dB. A good fit is no
# proof of quality, because many images fit one LR image (lesson 1). The test can refute a result, but it cannot confirm one.
#
# ## Measure the kernel
#
# So far we were told what the camera does. How can we find out? If we own the camera, we can photograph something whose HR image
# is known, such as a test chart. Our chart is the scanned page.
#
# Blurring and averaging are both linear, and they are the same at every pixel. So each LR pixel $y$ is a weighted sum of the HR
# pixels $x$ around it, and the weights $k$ are the kernel:
#
# $$y_{m,n} = \sum_{i=-6}^{7} \sum_{j=-6}^{7} k_{i,j}\, x_{2m+i,\,2n+j}$$
#
# Every LR pixel gives one equation for the 196 unknown weights. The page has many more LR pixels than that.

# %%
SIDE, BEFORE = 14, 6  # the kernel has 14 x 14 weights, 6 before the LR pixel


def windows_of(plane):
    """Returns the HR pixels around each LR pixel, (rows, columns, 14, 14)."""
    padded = np.pad(plane, BEFORE, mode="edge")
    shape = (SIDE, SIDE)
    return np.lib.stride_tricks.sliding_window_view(padded, shape)[::2, ::2]


chart = photos["page"][:190]
chart_hr = sr.images.to_float(chart)[..., 0]
chart_lr = sr.images.to_float(camera(chart))[..., 0]  # rounded to 8 bits
inner = slice(4, -4)  # away from the border
equations = windows_of(chart_hr)[inner, inner].reshape(-1, SIDE**2)
print(f"{equations.shape[0]} equations for {equations.shape[1]} unknown weights")

# %% [markdown]
# We solve the equations by least squares. To know how good the result is, we also compute the true kernel: the camera takes 196
# photos, each of a single white pixel. **Predict:** LR was rounded to 8 bits. Will the estimate still be good?

# %%
values = chart_lr[inner, inner].ravel()
measured_kernel = np.linalg.lstsq(equations, values, rcond=None)[0].reshape(SIDE, SIDE)


def kernel_of(degradation):
    """Returns the true kernel, from photos of single white pixels."""
    points = np.eye(SIDE**2, dtype="float32").reshape(-1, SIDE, SIDE, 1)
    points = np.pad(points, ((0, 0), (6, 8), (6, 8), (0, 0)))
    return degradation(points)[:, 6, 6, 0].reshape(SIDE, SIDE)


def kernel_error(kernel):
    """Returns half of the sum of the absolute errors: 0 is perfect, 1 is useless."""
    return np.abs(kernel - kernel_of(camera)).sum() / 2


for name, kernel in (("bicubic", kernel_of(halve)), ("measured", measured_kernel)):
    print(f"{name}: sum {kernel.sum():.3f}, error {kernel_error(kernel):.3f}")

# %% [markdown]
# The measured kernel is nearly exact: about 3% of its weight is in the wrong place, compared with 51% of the bicubic kernel.
# Exercise 5 shows when this fails.
#
# ## Estimate the kernel from the photo alone
#
# Without a chart, the recurrence of patches helps (Michaeli and Irani, 2013). Suppose that the scene contains a pattern twice,
# once at twice the size. The small copy in the father is the pattern, seen by the camera. The large copy in the father looks
# about like the small copy in HR. So the *same* camera, applied to the large copy, gives about the small copy, which the father
# already contains. (Only about, because the large copy went through the lens once, too.) With a lens that is too sharp, too soft
# or of the wrong direction, the two match worse.
#
# So we try many lenses, and choose the one for which the patches of the father recur best in the son. For simplicity, we assume
# that the lens is a Gaussian with two widths and an angle, and that the pixels of the sensor average. The true camera is of this
# kind.


# %%
def camera_with(along, across, angle):
    """Returns a camera whose lens is a Gaussian of these widths and this angle."""
    blur = sr.degradations.GaussianBlur(along, across, angle=angle)
    return sr.degradations.Compose([blur, sr.degradations.Downscale(2, "area")])


cup_luma = sr.images.luma(sr.images.to_float(cup_lr))
wanted = textured(cup_luma, 1500)


def recurrence(degradation):
    """Returns the median distance of patches of the father to the nearest in the son."""
    library = patches(degradation(cup_luma), 5).reshape(-1, 25)
    square = (library**2).sum(axis=1) - 2 * wanted @ library.T
    nearest = square.min(axis=1) + (wanted**2).sum(axis=1)
    return 255 * np.median(np.sqrt(np.maximum(nearest, 0) / 25))


# %% [markdown]
# The true lens has the widths 1.6 and 0.8 and an angle of 30 degrees. It is not among the candidates. **Predict:** how close will
# the best candidate be?

# %%
candidates = [(width, width, 0) for width in here.widths]
for across, along in itertools.combinations(here.widths, 2):
    candidates += [(along, across, angle) for angle in range(0, 180, 20)]
distance_of = {shape: recurrence(camera_with(*shape)) for shape in candidates}
ranking = sorted(distance_of, key=distance_of.get)
print(f"{len(candidates)} lenses; the best, with the median distance of 255:")
for shape in ranking[:5]:
    print(
        f"widths {shape[0]} and {shape[1]}, angle {shape[2]:3}: {distance_of[shape]:.2f}"
    )
estimated_camera = camera_with(*ranking[0])

# %%
best = ranking[0]
round_ones = [shape for shape in candidates if shape[0] == shape[1]]
turned = [shape for shape in candidates if shape[:2] == best[:2]]
fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained", sharey=True)
for ax, shapes, part in ((axes[0], round_ones, 0), (axes[1], turned, 2)):
    ax.plot([s[part] for s in shapes], [distance_of[s] for s in shapes], "o-")
axes[0].set(xlabel="width of a round lens (pixels)", ylabel="distance (of 255)")
axes[1].set(xlabel=f"angle of a lens with widths {best[0]} and {best[1]} (degrees)")
axes[1].axvline(30, color="0.4", linestyle="--", label="true angle")
axes[1].legend(frameon=False)
plt.show()

# %%
kernels = {
    "true": kernel_of(camera),
    "measured with the chart": measured_kernel,
    "estimated from the photo": kernel_of(estimated_camera),
    "bicubic": kernel_of(halve),
}
fig, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for ax, (name, kernel) in zip(axes, kernels.items(), strict=True):
    ax.imshow(kernel, cmap="gray", vmin=0, vmax=kernels["true"].max())
    ax.set_title(f"{name}\nerror {kernel_error(kernel):.2f}", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The best candidate has the widths 1.7 and 0.9 and an angle of 40 degrees, and about 9% of its weight is in the wrong place. The
# curves are flat near their minimum, and the next best lens is worse by only 0.02 grey levels. So for this photo, the method
# finds the size and roughly the direction of the lens, but not its exact shape. (This is one random draw of 1,500 patches. With
# another, the best of the candidates can be a different one.)
#
# Is the estimate good enough to train with? We train three more networks on the same LR photo. One uses the kernel that was
# measured with the chart, one the estimate from the photo, and one a wrong kernel on purpose, the mirror image of the true one.
# **Predict** where each lies, relative to the network that assumes bicubic downscaling and the one that knows the true camera.


# %%
def measured_camera(image):
    """Takes a photo with the measured kernel."""
    planes = np.moveaxis(sr.images.to_float(image), -1, 0)
    sums = [
        np.tensordot(windows_of(plane), measured_kernel, axes=2) for plane in planes
    ]
    result = np.stack(sums, axis=-1).astype("float32")
    return sr.images.to_integer(result) if image.dtype == np.uint8 else result


zero_shots = {
    "wrong kernel, mirrored": zero_shot(cup_lr, camera_with(1.6, 0.8, -30)),
    "zero-shot, bicubic": assumes_bicubic,
    "kernel from the photo": zero_shot(cup_lr, estimated_camera),
    "kernel from the chart": zero_shot(cup_lr, measured_camera),
    "true kernel": assumes_camera,
}

# %%
models = {"EDSR": trained["EDSR"], **zero_shots}
images_of_kernels, scores = compare(photos["coffee"], camera, models)
assert scores["kernel from the photo"] > scores["zero-shot, bicubic"]
shown = {name: images_of_kernels[name] for name in models if "chart" not in name}
sr.plotting.comparison(
    {**shown, "HR": photos["coffee"]},
    scores={name: scores[name] for name in shown},
    crop=(222, 300, 90, 130),
    columns=3,
    title=CONDITIONS + ", LR by the camera",
    whole=False,
)

# %% [markdown]
# The network with the kernel from the photo is 2.0 dB above EDSR, and only 0.14 dB below the network that was told the true
# kernel. The measured kernel costs 0.06 dB. With the mirrored kernel the PSNR is 28.49 dB, which is below bicubic interpolation
# (28.57 dB, see above), and the image has false stripes. So an estimate need not be exact, but a kernel that is very wrong is
# worse than the assumption of bicubic downscaling. (The training error does not reveal a wrong kernel, because each network
# solves a task of its own.)
#
# ## Self-ensemble
#
# The eight views can be used once more at the end: upscale each of them, undo the flips and rotations, and take the mean. Here it
# is by hand for the first network, and compared with the package:


# %%
def undo(index, image):
    """Inverts view number `index` of `eight_views`."""
    if index >= 4:
        image = image[:, ::-1]
    return np.rot90(image, -(index % 4))


luma = sr.images.luma(sr.images.to_float(cup))
total = 0
for i, view in enumerate(eight_views(luma)):
    total = total + undo(i, np.asarray(of_coffee(view[None]))[0])
by_hand = np.clip(total / 8, 0, 1)

package = sr.upscale(of_coffee, luma, self_ensemble=True)
np.testing.assert_allclose(by_hand, package, atol=1e-4)

# %% [markdown]
# **Predict:** the self-ensemble helps where the network was trained for bicubic downscaling. Should it also be used with the
# network that knows the camera? Think of what a flipped photo of the cup implies about the lens.

# %%
for name, model, degradation in (
    ("coffee, bicubic", of_coffee, halve),
    ("page, bicubic", of_page, halve),
    ("coffee, camera", assumes_camera, camera),
):
    photo = photos[name.partition(",")[0]]
    dataset = sr.datasets.arrays([photo], scale=2, degradation=degradation)
    single = sr.evaluate(model, dataset)["mean"]["psnr_y"]
    ensemble = sr.evaluate(model, dataset, self_ensemble=True)["mean"]["psnr_y"]
    print(f"{name:16} {single:.2f} dB, self-ensemble {ensemble:.2f} dB")
print(CONDITIONS)

# %% [markdown]
# With bicubic downscaling the self-ensemble gains about 0.1 dB. With the camera it *loses* 1.6 dB, because a flipped photo was
# taken with a flipped lens, and this network has never seen one. The self-ensemble helps only if the degradation is the same
# after a flip or a rotation.
#
# ## Deep image prior: an untrained network
#
# Ulyanov, Vedaldi and Lempitsky (2018) do not even make a son. They take a network with random weights and a fixed input of
# random numbers, and adjust the weights until the output, scaled down, is equal to LR:
#
# $$\hat{\theta} = \arg\min_\theta \lVert \downarrow f_\theta(\mathrm{noise}) - \mathrm{LR} \rVert^2, \qquad \mathrm{SR} = f_{\hat{\theta}}(\mathrm{noise})$$
#
# There is no training set at all, so the network can only contribute its architecture. To see what this contributes, we minimize
# the same error three times: once over the weights of a network, and twice over the HR pixels themselves, which start at random
# or uniformly grey. The photo is a part of the cup, seen by the camera, and the kernel is the one that was measured with the
# chart. Here it is as a convolution with stride 2:

# %%
top, left, side = 100, 150, 64  # the spoon
target = cup_luma[top : top + side, left : left + side][None]
hr_spoon = sr.images.luma(sr.images.to_float(photos["coffee"]))
hr_spoon = hr_spoon[2 * top : 2 * (top + side), 2 * left : 2 * (left + side)]


def take_photo(image):
    """Takes a photo with the measured kernel, in a graph of TensorFlow."""
    around = ((0, 0), (BEFORE, BEFORE), (BEFORE, BEFORE), (0, 0))
    weights = measured_kernel.reshape(SIDE, SIDE, 1, 1).astype("float32")
    padded = tf.pad(image, around, "SYMMETRIC")
    return tf.nn.conv2d(padded, weights, strides=2, padding="VALID")


ours = take_photo(hr_spoon[None])[0, 4:-4, 4:-4]
np.testing.assert_allclose(ours, measured_camera(hr_spoon)[4:-4, 4:-4], atol=1e-4)

# %% [markdown]
# The network is an hourglass with skip connections, as in the paper but smaller: four levels down and four up, with 24 channels.


# %%
def block(x, filters, strides=1):
    x = layers.Conv2D(filters, 3, strides, padding="same")(x)
    x = layers.BatchNormalization()(x, training=True)  # a batch of one image
    return layers.LeakyReLU(0.2)(x)


def hourglass():
    inputs = keras.Input((2 * side, 2 * side, 16))
    x, skips = inputs, []
    for _ in range(4):
        skips.append(block(x, 4))
        x = block(block(x, 24, strides=2), 24)
    for skip in reversed(skips):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = layers.Concatenate()([x, skip])
        x = block(block(x, 24), 24)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


# %%
def fit_to_target(make_image, variables):
    """Minimizes the error in the LR image; returns the images after some steps."""
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            image = make_image()
            loss = tf.reduce_mean((take_photo(image) - target) ** 2)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return image

    fitted = {}
    for i in range(1, here.shown[-1] + 1):
        image = step()
        if i in here.shown:
            fitted[i] = np.clip(image[0], 0, 1)
    return fitted


# %% [markdown]
# **Predict:** all of them will fit the LR image. What will the three HR images look like?

# %%
keras.utils.set_random_seed(0)
untrained = hourglass()
noise_input = tf.random.stateless_uniform((1, 2 * side, 2 * side, 16), (0, 0), 0, 0.1)
logits = tf.Variable(tf.random.stateless_normal((1, 2 * side, 2 * side, 1), (1, 1)))


def output_of_network():
    return untrained(noise_input)


def pixels():
    return tf.sigmoid(logits)  # in [0, 1], like the output of the network


start = time.process_time()
by_network = fit_to_target(output_of_network, untrained.trainable_variables)
print(f"the network: {time.process_time() - start:.0f} seconds of the CPU")
by_pixels = fit_to_target(pixels, [logits])
logits.assign(tf.zeros_like(logits))  # uniform grey
from_grey = fit_to_target(pixels, [logits])

# %%
last = here.shown[-1]
part = slice(2 * top, 2 * (top + side)), slice(2 * left, 2 * (left + side))
of_chart = sr.images.luma(
    sr.images.to_float(images_of_kernels["kernel from the chart"])
)
parts = {f"network, {i} steps": image for i, image in by_network.items()}
parts[f"random pixels, {last} steps"] = by_pixels[last]
parts[f"grey pixels, {last} steps"] = from_grey[last]
parts["zero-shot, same kernel"] = of_chart[part]
parts["bicubic"] = sr.models.bicubic(2, channels=1)(target)[0].numpy()
captions = {}
for name, image in parts.items():
    psnr = float(sr.metrics.psnr(hr_spoon[None], image[None], border=8)[0])
    missing = (take_photo(image[None]) - target)[:, 4:-4, 4:-4]
    lr_psnr = -10 * np.log10(np.mean(missing**2))
    captions[name] = f"{psnr:.1f} dB / LR {lr_psnr:.1f} dB"
    print(f"{name:22} PSNR {psnr:.2f} dB, LR-PSNR {lr_psnr:.2f} dB")

# %%
sr.plotting.comparison(
    {**parts, "HR": hr_spoon},
    scores=captions,
    crop=(0, 0, 2 * side, 2 * side),
    columns=3,
    title="x2, the spoon, luma: PSNR with 8 pixels cut / LR-PSNR with 4 pixels cut",
    whole=False,
)

# %% [markdown]
# All of them fit the LR image well after 800 steps (43 to 46 dB). But the LR image determines only a quarter of the numbers in
# the HR image. In the rest, the fitted pixels keep their start: those that started at random are full of noise, and those that
# started grey are smooth, except for jagged edges and fine dots around the highlights. The network started at random, too, and
# yet its result is a photo with a faint grain. Convolutions produce smooth and coherent structures more easily than noise, so the
# architecture is a prior that no photo was needed to learn. But a smooth start of the pixels is a prior as well: by PSNR, it is
# as good (27.0 against 26.6 dB).
#
# After 800 steps, the PSNR of the network is 1.8 dB above bicubic interpolation, which does not know the kernel. The zero-shot
# network with the same kernel is 1.6 dB higher. It was trained on the whole photo, in about 20 seconds of CPU time instead of 98.
# The paper takes a larger network and more steps. It also uses the method to remove noise and to fill in missing pixels. For
# noise, the number of steps matters: fitted for too long, the network reproduces the noise as well.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** How large is the training set really? Count the different pairs of patches (24 x 24 in the son) that
# `pairs_of_views(cup, halve)` contains. A patch may be at every position, in each of the eight views.

# %%
answer = None  # your number

sr.course.check(answer, "14.1")

# %% tags=["solution"]
# @title Solution 1
# The father has 200 x 300 pixels, so its son has 100 x 150.
answer = 8 * (100 - 24 + 1) * (150 - 24 + 1)
sr.course.check(answer, "14.1")
sons = [sr.images.luma(halve(view)) for view in eight_views(cup)]
assert answer == sum(patches(son, 24)[..., 0, 0].size for son in sons)
print(f"{answer:,}, nearly all of which overlap: far fewer are independent")

# %% [markdown]
# **Exercise 2.** Which of the eight views leave the camera's slanted lens unchanged? The self-ensemble would be valid for these,
# and only for these. Answer with a list of their numbers in `eight_views`, in ascending order, such as `[0, 1]`. Look at
# `eight_views(lens(point))`.

# %%
answer = None  # your list

sr.course.check(answer, "14.2")

# %% tags=["solution"]
# @title Solution 2
# A slanted ellipse equals itself after half a rotation, and after no other.
kernel = lens(point)
views = enumerate(eight_views(kernel))
answer = [i for i, view in views if np.allclose(view, kernel, atol=1e-6)]
sr.course.check(answer, "14.2")

first = np.asarray(sr.upscale(assumes_camera, sr.images.to_float(cup_lr)))
rotated_lr = np.rot90(sr.images.to_float(cup_lr), 2).copy()
second = np.rot90(sr.upscale(assumes_camera, rotated_lr), 2)
mean = sr.images.to_integer((first + second) / 2)
hr = sr.images.to_float(photos["coffee"])[None]
for name, image in (("one view", first), ("two views", sr.images.to_float(mean))):
    psnr = float(sr.metrics.psnr(hr, image[None], luma=True, border=2)[0])
    print(f"{name}: {psnr:.2f} dB (coffee x2, camera, luma, 2 pixels cut)")

# %% [markdown]
# **Exercise 3.** Back-projection corrects a result that is not consistent. Degrade it with the camera, upscale the difference
# from LR by bicubic interpolation, add it, and repeat. Start from each of the five `images` of the camera's photo. How far do
# LR-PSNR and PSNR rise? Which is best then? Which knowledge does this use?

# %%
corrected = None  # your image, float, after 10 steps

# %% tags=["solution"]
# @title Solution 3
upscale = sr.models.bicubic(2)
target = sr.images.to_float(cup_lr)
hr = sr.images.to_float(photos["coffee"])[None]
print("coffee x2, camera; PSNR on luma, 2 pixels cut, 8 bits")
for name in images:
    corrected = sr.images.to_float(images[name])
    for step in range(11):
        if step in (0, 10):
            image = sr.images.to_integer(corrected)
            fit = consistency(cup_lr, image, camera)
            pair = hr, sr.images.to_float(image)[None]
            psnr = float(sr.metrics.psnr(*pair, luma=True, border=2)[0])
            print(f"{name}, {step:2} steps: LR-PSNR {fit:.2f}, PSNR {psnr:.2f} dB")
        missing = target - camera(corrected)
        corrected = corrected + np.asarray(upscale(missing[None])[0])

# %% [markdown] tags=["solution"]
# Each result comes within a decibel of the network that knows the camera, and EDSR passes it (32.16 dB against 31.94, or 32.04
# after the same correction). So what EDSR lacked was the kernel. A measured or estimated kernel can be used as well.

# %% [markdown]
# **Exercise 4.** Take a photo with noise. Its sons are cleaner than the photo itself, because downscaling averages noise away.
# What will a network do that was trained on clean sons and is applied to the noisy father? Train a second network with noise on
# the sons too (`Compose`, `GaussianNoise`), and compare the two. (`compare` degrades the photo with seed 0.)

# %%
noisy = sr.degradations.Compose([halve, sr.degradations.GaussianNoise(0.03)])
answer = None  # your two networks, for noisy(photos["coffee"], seed=0)

# %% tags=["solution"]
# @title Solution 4
seen = noisy(photos["coffee"], seed=0)  # as `compare` degrades it: index 0
models = {
    **interpolation,
    **trained,
    "clean sons": zero_shot(seen, halve, here.steps // 2),
    "noisy sons": zero_shot(seen, noisy, here.steps // 2),
}
images_noisy, scores = compare(photos["coffee"], noisy, models)
sr.plotting.comparison(
    {**images_noisy, "HR": photos["coffee"]},
    scores=scores,
    crop=(235, 325, 60, 90),
    columns=3,
    title=CONDITIONS + ", LR by bicubic, then noise of 3%",
    whole=False,
)

# %% [markdown] tags=["solution"]
# The network that was trained on clean sons takes noise for detail and amplifies it, and EDSR does the same. Like LapSRN, both
# end below bicubic interpolation. With noise on the sons, the small network is the only one that is above it.

# %% [markdown]
# **Exercise 5.** Measure the kernel with two other charts: a photo of grass, `data.grass()`, and one of the moon, `data.moon()`.
# Compare `kernel_error` with that of the page. Which property must a chart have?

# %%
kernels_of_charts = {}  # your kernels, (14, 14), by the name of the chart


# %% tags=["solution"]
# @title Solution 5
def measure_kernel(chart):
    hr, lr = sr.images.to_float(chart), sr.images.to_float(camera(chart))
    equations = windows_of(hr[..., 0])[inner, inner].reshape(-1, SIDE**2)
    solution = np.linalg.lstsq(equations, lr[inner, inner].ravel(), rcond=None)[0]
    return solution.reshape(SIDE, SIDE)


charts = {
    "page": chart,
    "grass": data.grass()[..., None],
    "moon": data.moon()[..., None],
}
for name, image in charts.items():
    step = np.abs(np.diff(image.astype(int), axis=1)).mean()
    error = kernel_error(measure_kernel(image))
    print(f"{name:5}: neighbours differ by {step:4.1f} of 255, error {error:.3f}")

# %% [markdown] tags=["solution"]
# In the photo of the moon, neighbouring pixels are nearly equal, so many kernels give nearly the same LR image, and the rounding
# of LR decides between them. In the photo of grass they differ strongly, everywhere and in every direction. A chart needs such
# fine detail. (Grass also has four times as many equations as the page. Their number is not enough: the moon has as many, and
# fails.)

# %% [markdown]
# ## Summary
#
# - Small patches of a photo recur in it, within and across scales. A patch that is found in a smaller copy has a parent, which
#   shows how it may look at twice the size. A single parent is worse than bicubic interpolation more often than not, and the mean
#   detail of several is better.
# - In zero-shot super-resolution, LR is scaled down once more, and a small network learns the inverse, from son to father. Then
#   it upscales the father. There is no training set.
# - With bicubic LR images, twenty seconds of CPU time came within 0.4 dB of LapSRN, a small network that was trained on hundreds
#   of photos, on the cup, and beat it on a scanned page. EDSR was better on both.
# - A network learns the degradation of its training pairs. Where LR was made in another way, a small network that knew the kernel
#   was 2.1 dB ahead of EDSR, which did not. Ten steps of back-projection with the kernel put EDSR ahead again (exercise 3).
# - The kernel can be measured by least squares with a chart, or, if the family of lenses is known, estimated from the photo
#   alone, because patches recur best if the son is made with the right kernel. On our photo, this was sufficient to beat EDSR by
#   2 dB.
# - An untrained network that is fitted to one LR image gives a photo, and pixels that start at random and are fitted to it stay
#   noisy: the architecture is a prior. Pixels that start uniformly grey give a photo, too.
# - LR-PSNR shows, without HR, that a result does not fit. It does not show that a result is right.
# - Flips and rotations change a slanted kernel. The self-ensemble is valid only where the kernel has the same symmetry.
# - Whatever else was done to the photo has to be included too. In exercise 4, noise that was missing in the sons put the network
#   below bicubic interpolation.
#
# ## Further reading
#
# - Glasner, Bagon and Irani, [Super-resolution from a single image](https://doi.org/10.1109/ICCV.2009.5459271), 2009: patches
#   recur within and across scales, and their parents are combined.
# - Zontak and Irani, [Internal statistics of a single natural image](https://doi.org/10.1109/CVPR.2011.5995401), 2011: how often
#   they recur, compared with patches of other photos.
# - Michaeli and Irani, [Nonparametric blind super-resolution](https://doi.org/10.1109/ICCV.2013.121), 2013: recurrence reveals
#   the kernel. They solve for all its weights instead of trying Gaussians.
# - Shocher, Cohen and Irani, ["Zero-shot" super-resolution using deep internal learning](https://arxiv.org/abs/1712.06087), 2018:
#   the method of this lesson.
# - Bell-Kligler, Shocher and Irani, [Blind super-resolution kernel estimation using an
#   internal-GAN](https://arxiv.org/abs/1909.06581), 2019: a discriminator compares the patches of son and father.
# - Ulyanov, Vedaldi and Lempitsky, [Deep image prior](https://arxiv.org/abs/1711.10925), 2018.
# - Soh, Cho and Cho, [Meta-transfer learning for zero-shot super-resolution](https://arxiv.org/abs/2002.12213), 2020: training on
#   many photos prepares the network for a few steps on one.
