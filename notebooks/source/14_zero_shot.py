# %% [markdown]
# # 14. No training set
#
# Super-resolution learned from the photo itself, and when this beats a network that was trained on hundreds of others.
#
# ![Printed text, upscaled by four methods](figures/14_goal.jpg)
#
# A page, upscaled by 2. The network called *zero-shot* has seen no other image than the LR image of this page.
#
# **You will be able to**
#
# - show by hand that patches of a photo recur, within a scale and across scales;
# - make a training set from a single LR image, and train a network on it in a minute, without a GPU;
# - say when such a network beats one that was trained on many photos, and when neither helps;
# - check a result against its LR image where there is no HR image to compare with.
#
# **You need** lesson 1 (LR images and their kernels, PSNR), the pixel shuffle of lesson 4, the self-ensemble of lesson 8, and `compile` and `fit` of Keras.
#
# **Time:** about 45 minutes to read the core, 40 for the exercises; 2.5 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
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

here = sr.course.start(minutes=(0.8, 2.5, 1), steps=(100, 800, 2000))

# %% [markdown]
# ## Patches of a photo recur
#
# Our first photo is a brick wall. Its file is soft, with less detail than its pixels could hold, so we halve it and call that HR. Halving it again
# gives LR, and a third time gives what this lesson is about: the LR image of the LR image. The zero-shot paper calls the two *father* and *son*.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from skimage import data

halve = sr.degradations.Downscale(2)  # antialiased bicubic, lesson 1
wall = halve(data.brick()[..., None])
lr = halve(wall)
son = halve(lr)
print("HR", wall.shape, "LR, the father", lr.shape, "its LR, the son", son.shape)

# %% [markdown]
# We take a patch of 5 x 5 pixels of LR and look for similar patches everywhere else. The distance is the root mean squared difference.
# **Predict:** where will the nearest six be?


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
# They are at other corners of the mortar, all over the wall: six patches that differ from ours by 4 to 7 of 255 grey levels.
#
# This is recurrence *within* a scale. Recurrence *across* scales is more useful. Suppose that the patch is found in the son, the smaller
# image. There we know what it looks like at twice the size: its *parent* is in the father, at twice the coordinates.

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
# It does: it is off by 4 grey levels instead of 14, and the mortar is as sharp as in HR. The wall is seen at an angle, so that the same corner appears in
# many sizes. But we chose this patch because it works. Glasner, Bagon and Irani (2009) do not paste a single parent. They combine several, and a good way is to add to the bicubic image only the *detail* of the parents, which is what bicubic interpolation of the son misses in the father.
# **Predict:** for what share of all textured patches does the nearest parent beat bicubic, and for what share the mean detail of the nearest nine?

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
# The nearest parent wins for fewer than one patch in five, and the mean detail of nine parents for more than three in four. So the evidence of many patches has to be combined, and we
# shall leave this to a network.
#
# Is this special to bricks? Here are three photos: the wall, a cup of coffee, and a scanned page. For 300 patches of each LR
# image we search for the nearest in the son of each photo, among equally many candidates. Flat patches match anything, so we take textured ones.

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
# In every row the smallest number is on the diagonal: each photo matches itself better than the others. The page is the
# hardest to match, even with its own patches: the son of the cup serves it nearly as well as its own.
#
# ## Father and son
#
# Shocher, Cohen and Irani (2018) train a network instead of searching, and call it *zero-shot*. The
# son is its input and the father its target. Then it is applied to the father itself. It never sees another photo, nor HR.
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
# One pair is little. Rotating and flipping makes eight of it. But in which order: first rotate, then downscale, or the reverse? For
# our bicubic kernel it makes no difference.


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
# For other kernels it will. So we do what is right for every kernel: eight fathers, each with the son that the kernel makes of *it*. This is an
# ordinary dataset of eight photos. We pass `augment=False`, because the augmentation is already done.


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
# The network only has to learn how *this* photo is sharpened, so a small one is enough: four convolutions, three of them with 24 filters. A bicubic skip connection
# leaves only the difference to learn. The paper uses eight layers with 64 filters on the interpolated image, and more fathers, smaller copies of the first. We
# upscale at the end, as in lesson 4, so that the convolutions process a quarter of the pixels.


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
# The last convolution is initialized with zeros, so an untrained network is bicubic interpolation. We assert this, because a
# skip connection that is shifted by half a pixel would have to be corrected by the convolutions everywhere.

# %%
model = network()
print(f"{model.count_params():,} parameters")
np.testing.assert_allclose(
    model(inputs), sr.models.bicubic(2, channels=1)(inputs), atol=1e-5
)

# %% [markdown]
# Training is the usual `compile` and `fit`. The inputs are an image and the degradation that we assume. We measure process time,
# which does not include the time of other programs.

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
# This took well under a minute. Its opponents come with the package: a small LapSRN (lesson 9) and an EDSR-baseline (lesson 8), both trained on some 470 photos and their bicubic LR
# images ([how](../sr_keras/pretrained/README.md)).

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
# The zero-shot network and LapSRN work on luma, and the colours are upscaled by bicubic interpolation. The scores follow the papers' protocol: luma, two border pixels cut, 8 bits.


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
# **Predict:** the cup of coffee resembles the photos that the two networks were trained on. What is the order of bicubic, the network that knows only this cup,
# and the two that were trained on hundreds of other photos?

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
# The zero-shot network is well over 1.5 dB above bicubic. It is only 0.3 dB below the small LapSRN, and EDSR is 1.2 dB ahead of it. This agrees with the
# table of the zero-shot paper, where EDSR leads on bicubic LR images too.
#
# Now a photo unlike those of the training set: a scanned page, on which the same letters recur. **Predict:** does the order change?

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
# It does, but only in part. The zero-shot network is almost 0.5 dB above LapSRN, whose letters have pale halos: ink on paper has other edges than most photos, and the
# son of the page has edges of this kind. EDSR, with 24 times the weights of LapSRN and 20 times the steps, is more than 2 dB above both. A large network generalizes to the page. But none of the three draws every letter correctly: compare the "e" with HR.
#
# ## When the degradation is another one
#
# So far LR was made with the same kernel that the trained networks saw. A real camera has a kernel of its own. Here is one: a lens that blurs
# along a slanted direction, and a sensor whose pixels take means.

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
# The flipped kernel is a different kernel. This is why the order mattered above: a flipped pair of father and son would teach the network to undo a
# lens that does not exist. **Predict:** how much does "flip, then degrade" differ from the opposite order, for bicubic and for this camera?

# %%
cup_lr = camera(photos["coffee"])  # what this camera saw
for name, degrade in (("bicubic", halve), ("camera", camera)):
    difference = degrade(cup_lr)[:, ::-1].astype(int) - degrade(cup_lr[:, ::-1])
    print(f"{name}: mean difference {np.abs(difference).mean():.2f} of 255")

# %% [markdown]
# For bicubic not at all, and for the camera by more than a grey level on average.
#
# We train two networks on the camera's photo. The first assumes that LR was made by bicubic downscaling, as all networks did so far. The second uses the
# true degradation: its sons are made by the camera.

# %%
assumes_bicubic = zero_shot(cup_lr, halve)
assumes_camera = zero_shot(cup_lr, camera)

# %% [markdown]
# **Predict** the order of the five. If a result is blurred, is it because of the network, or of its training pairs?

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
# The three networks that assume bicubic are within 0.5 dB of each other, EDSR included, and all are blurred: they are 0.8 to 1.3 dB above
# interpolation. The one that knows the camera is 2.1 dB above EDSR, and sharp. It has the layers and the steps of the
# other zero-shot network, which is 2.6 dB below it, so the training pairs made the difference.
#
# This is the main point of the paper. A trained network is bound to the degradation of its training set. A zero-shot network adapts to a
# new one in seconds, but it has to know which.
#
# ## A test without HR: consistency
#
# In practice there is no HR image to compare with. But one property can be checked: scaled down again, the result should be the LR image
# (*LR-PSNR*). Here it is by hand, with bicubic, on the first result. The package's function does the same.

# %%
downscaled = sr.images.to_float(halve(images["bicubic"]))
by_hand = -10 * np.log10(np.mean((downscaled - sr.images.to_float(cup_lr)) ** 2))
np.testing.assert_allclose(
    by_hand, sr.quality.lr_psnr(cup_lr, images["bicubic"]), atol=1e-3
)
print(f"bicubic, scaled down by bicubic: {by_hand:.2f} dB")

# %% [markdown]
# The package's function uses bicubic downscaling. By hand, any degradation can be used. **Predict:** which of the five images, photographed again with our camera,
# is closest to what the camera saw?


# %%
def consistency(lr, result, degradation):
    """Returns the PSNR of the degraded result, all channels and pixels of LR."""
    degraded = sr.images.to_float(degradation(result))
    return -10 * np.log10(np.mean((degraded - sr.images.to_float(lr)) ** 2))


for name, image in images.items():
    print(f"{name:22} LR-PSNR {consistency(cup_lr, image, camera):.2f} dB, camera")

# %% [markdown]
# The result of the network that knows the camera, by several dB. No HR image was needed to see that the others do not fit. This is no proof of quality, because many
# images fit one LR image (lesson 1). The test can refute a result, but not confirm it.
#
# ## Self-ensemble
#
# The eight views are useful once more at the end: upscale each of them, undo the flips and rotations, and take the mean. Here it is by hand for the first
# network, and with the package:


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
# **Predict:** it helps where the network was trained for bicubic. Should it also be used with the network that knows the camera? Think of
# what a flipped photo of the cup implies about the lens.

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
# With bicubic it gains about 0.1 dB. With the camera it *loses* 1.6 dB, because a flipped photo was taken with a flipped lens, which this network
# has never seen. The self-ensemble is said to help always, but it has a condition too.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** How large is the training set really? Count the different pairs of patches (24 x 24 in the son) that `pairs_of_views(cup, halve)`
# contains. A patch may be at every position, in each of the eight views.

# %%
answer = None  # your number

sr.course.check(answer, 78_232)

# %% tags=["solution"]
# @title Solution 1
# The father has 200 x 300 pixels, so its son has 100 x 150.
answer = 8 * (100 - 24 + 1) * (150 - 24 + 1)
sr.course.check(answer, 78_232)
sons = [sr.images.luma(halve(view)) for view in eight_views(cup)]
assert answer == sum(patches(son, 24)[..., 0, 0].size for son in sons)
print(f"{answer:,}, nearly all of which overlap: far fewer are independent")

# %% [markdown]
# **Exercise 2.** Which of the eight views leave the camera's slanted lens unchanged? For those, and only those, the self-ensemble would be valid. Answer with
# a list of their numbers in `eight_views`, such as `[0, 1]`. Look at `eight_views(lens(point))`.

# %%
answer = None  # your list

sr.course.check(answer, [0, 2])

# %% tags=["solution"]
# @title Solution 2
# A slanted ellipse equals itself after half a rotation, and after no other.
kernel = lens(point)
views = enumerate(eight_views(kernel))
answer = [i for i, view in views if np.allclose(view, kernel, atol=1e-6)]
sr.course.check(answer, [0, 2])

first = np.asarray(sr.upscale(assumes_camera, sr.images.to_float(cup_lr)))
rotated_lr = np.rot90(sr.images.to_float(cup_lr), 2).copy()
second = np.rot90(sr.upscale(assumes_camera, rotated_lr), 2)
mean = sr.images.to_integer((first + second) / 2)
hr = sr.images.to_float(photos["coffee"])[None]
for name, image in (("one view", first), ("two views", sr.images.to_float(mean))):
    psnr = float(sr.metrics.psnr(hr, image[None], luma=True, border=2)[0])
    print(f"{name}: {psnr:.2f} dB (coffee x2, camera, luma, 2 pixels cut)")

# %% [markdown]
# **Exercise 3.** Back-projection: a result that is not consistent can be corrected. Degrade it with the camera, upscale the difference
# from LR by bicubic, add it, and repeat. Start from each of the `images`. How far do LR-PSNR and PSNR rise? Which knowledge does this use?

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

# %% [markdown]
# What we saw (read this after you have tried): each result comes within a decibel of the network that knows the camera. Both use the same knowledge, the kernel, and
# both times we provided it.
#
# **Exercise 4.** Take a photo with noise. Its sons are cleaner than it is, because downscaling averages noise away. What will a
# network do that was trained on clean sons and is applied to the noisy father? Train one with noise on the sons too (`Compose`,
# `GaussianNoise`), and compare.

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

# %% [markdown]
# ## Summary
#
# - Small patches of a photo recur in it, within and across scales. A patch found in a smaller copy has a parent, an example of how it looks
#   at twice the size. One parent alone is worse than bicubic more often than not, and the mean detail of several is better.
# - LR is scaled down once more, and a small network learns the inverse, from son to father. Then it upscales the father. There is no training set.
# - On bicubic LR images, some ten seconds of processor time came within 0.4 dB of a small network trained on hundreds of photos where the
#   photo resembled those, and beat it on a scanned page. A large trained network was better on both.
# - A network learns the degradation of its training pairs. If LR was made in another way, it is decisive to know how: a small network that knew was 2.1 dB ahead of a large one that did not. In exercise 3
#   back-projection with the known kernel repairs most of this afterwards, from every starting point.
# - LR-PSNR shows, without HR, that a result does not fit. It does not show that a result is right.
# - Flips and rotations change a slanted kernel. They are harmless only where the kernel has the same symmetry.
# - Whatever else was done to the photo has to be included too. In exercise 4, noise that was missing in the sons put the network below bicubic.
#
# ## Further reading
#
# - Glasner, Bagon and Irani, [Super-resolution from a single image](https://doi.org/10.1109/ICCV.2009.5459271), 2009: patches recur
#   within and across scales, and their parents are combined.
# - Zontak and Irani, [Internal statistics of a single natural image](https://doi.org/10.1109/CVPR.2011.5995401), 2011: how often, and
#   compared with patches of other photos.
# - Michaeli and Irani, [Nonparametric blind super-resolution](https://doi.org/10.1109/ICCV.2013.121), 2013: recurrence reveals the kernel.
# - Shocher, Cohen and Irani, ["Zero-shot" super-resolution using deep internal learning](https://arxiv.org/abs/1712.06087), 2018: the method of this
#   lesson.
# - Bell-Kligler, Shocher and Irani, [Blind super-resolution kernel estimation using an internal-GAN](https://arxiv.org/abs/1909.06581),
#   2019: the kernel from the photo itself.
# - Ulyanov, Vedaldi and Lempitsky, [Deep image prior](https://arxiv.org/abs/1711.10925), 2018: one photo, without even a pair.
# - Soh, Cho and Cho, [Meta-transfer learning for zero-shot super-resolution](https://arxiv.org/abs/2002.12213), 2020: both kinds of
#   knowledge at once, in a few steps.
