# %% [markdown]
# # 14. No training set
#
# Super-resolution learned from the one photo itself, and when that beats a network that saw hundreds of others.
#
# **You will be able to**
#
# - show by hand that photos repeat themselves, within a scale and across scales;
# - make a training set of a single LR image, and train a network on it in a minute, without a GPU;
# - say when such a network beats one that was trained on many photos, and when neither helps;
# - check a result against its LR image, where there is no HR image to compare with.
#
# **You need** lesson 1 (LR images and their kernels, PSNR), the pixel shuffle of lesson 5, the self-ensemble of lesson 8, and `compile` and `fit` of Keras.
#
# **Time:** 2.5 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/14_zero_shot.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/14_zero_shot.py) · Previous: [13. What it makes up: hallucination and bias](13_hallucination.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/13_hallucination.ipynb)) · Next: [15. Into the world: tiles, folders, video, export](15_into_the_world.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/15_into_the_world.ipynb)) · [All lessons](README.md)

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
# ## Photos repeat themselves
#
# Our first photo is a brick wall. Its file is soft, with fewer details than pixels, so we halve it and call that HR. Another halving
# makes LR, and a third makes what this lesson lives on: the LR of the LR image.

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
# Cut a square of 5 x 5 pixels out of LR, and look for its like everywhere else. The distance is the root mean squared difference.
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
near = rms(patches(lr, size) - patch)
found = []
while len(found) < 7:  # the first one found is the patch itself
    top, left = np.unravel_index(near.argmin(), near.shape)
    found.append((top, left, near[top, left]))
    near[max(top - 4, 0) : top + 5, max(left - 4, 0) : left + 5] = np.inf  # no overlap
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
# At other corners of the mortar, all over the wall: six squares that differ from ours by 4 to 7 of 255 grey levels.
#
# That is recurrence *within* a scale. Recurrence *across* scales is worth more. Suppose the patch is found in the son, the smaller
# image. There we know what it looks like twice as large: its *parent* stands in the father, at twice the coordinates.

# %%
near = rms(patches(son, size) - patch)
top, left = np.unravel_index(near.argmin(), near.shape)
smooth = sr.upscale(sr.models.bicubic(2, channels=1), lr)
parents, bicubics, truths = (patches(image, 2 * size) for image in (lr, smooth, wall))
parent, bicubic = parents[2 * top, 2 * left], bicubics[2 * y, 2 * x]
truth = truths[2 * y, 2 * x]
print(f"nearest in the son: ({top}, {left}), {255 * near.min():.0f} of 255 away")

# %% [markdown]
# **Predict:** the parent is a piece of another place of the wall. Will it look more like the truth than bicubic does?

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
# It does: 4 grey levels off instead of 14, with the mortar as crisp as in HR. The wall is seen at a slant, so that the same corner comes in
# many sizes. But this patch was picked because it works. **Predict:** for what share of all textured patches does the parent win?

# %%
wins, total = 0, 0
candidates = patches(son, size)
for row in range(0, len(lr) - size, 3):
    for column in range(0, len(lr) - size, 3):
        wanted = patches(lr, size)[row, column]
        if wanted.std() < 0.05:
            continue  # flat
        near = rms(candidates - wanted)
        top, left = np.unravel_index(near.argmin(), near.shape)
        truth = truths[2 * row, 2 * column]
        error = rms(parents[2 * top, 2 * left] - truth)
        wins += error < rms(bicubics[2 * row, 2 * column] - truth)
        total += 1
print(f"the parent beats bicubic for {wins} of {total} textured patches of the wall")

# %% [markdown]
# For fewer than one in five. Copying the single nearest patch is a gamble; the evidence of many patches has to be combined. That is
# what we shall leave to a network.
#
# Is it special to bricks? Here are three photos: the wall, a cup of coffee, and a scanned page. For 300 patches of each LR
# image we look for the nearest in the son of each photo, among equally many. Flat patches fit everything, so we take textured ones.

# %%
photos = {"wall": wall, "coffee": data.coffee(), "page": data.page()[..., None]}
lrs = {name: halve(photo) for name, photo in photos.items()}
grey = {name: sr.images.luma(image) for name, image in lrs.items()}
generator = np.random.default_rng(0)


def some(image, count):
    """Returns the most textured of `3 * count` random 5 x 5 patches, as rows."""
    every = patches(image, 5).reshape(-1, 25)
    chosen = every[generator.choice(len(every), 3 * count, replace=False)]
    return chosen[np.argsort(chosen.std(axis=1))[-count:]]


# %%
asked = {name: some(image, 300) for name, image in grey.items()}
library = {name: some(halve(image), 1000) for name, image in grey.items()}
print("median distance to the nearest, of 255; rows: patches of, columns: son of")
print(" " * 8, *(f"{name:>8}" for name in library))
for name, rows in asked.items():
    medians = []
    for others in library.values():
        square = np.mean((rows[:, None] - others[None]) ** 2, axis=2)
        medians.append(255 * np.median(np.sqrt(square.min(axis=1))))
    print(f"{name:8}", *(f"{value:8.1f}" for value in medians))

# %% [markdown]
# In every row the smallest number stands on the diagonal: these photos know themselves better than they know each other. The page is the
# hardest to match, by itself too: the cup's son serves it nearly as well as its own.
#
# ## Father and son
#
# Glasner, Bagon and Irani (2009) combined many such parents. Shocher, Cohen and Irani (2018) train a network instead, and call it *zero-shot*: the
# son is its input, the father its target. Then it is applied to the father itself. It never sees another photo, nor HR.

# %%
cup = lrs["coffee"]
cup_son = halve(cup)
pair = sr.datasets.Pairs(["coffee"], 2, lambda i: cup, degradation="bicubic")
np.testing.assert_array_equal(pair[0][0], cup_son)
np.testing.assert_array_equal(pair[0][1], cup)
sr.plotting.comparison(
    {"son (input)": cup_son, "father (target)": cup},
    crop=(60, 130, 60, 90),
    title="The training set: one pair",
)

# %% [markdown]
# One pair is little. Turning and mirroring makes eight. But in which order: first turn, then downscale, or the other way round? For
# our bicubic kernel it makes no difference.


# %%
def eight(image):
    """Returns the eight symmetries of a square, applied to an image."""
    turned = [np.rot90(image, turns) for turns in range(4)]
    views = turned + [view[:, ::-1] for view in turned]
    return [np.ascontiguousarray(view) for view in views]


exact = sr.images.to_float(cup)  # integers would be rounded after every step
for first, last in zip(eight(halve(exact)), map(halve, eight(exact)), strict=True):
    np.testing.assert_allclose(first, last, atol=1e-5)

# %% [markdown]
# Later it will. So we do what is right for every kernel: eight fathers, each with the son that the kernel makes of *it*. That is an
# ordinary data set of eight photos. `augment=False`, since we did it ourselves.


# %%
def family(lr, degradation):
    """Makes a dataset of the eight views of one image, with their sons."""
    fathers = eight(lr)
    names = [f"view {i}" for i in range(8)]
    return sr.datasets.Pairs(names, 2, fathers.__getitem__, degradation=degradation)


batches = sr.pipeline.training_batches(
    family(cup, halve), lr_size=24, batch_size=8, channels=1, augment=False
)
for inputs, targets in batches.take(1):
    print("a batch: sons", inputs.shape, "fathers", targets.shape, "of luma")

# %% [markdown]
# ## A network for one photo
#
# What it has to know is small: how *this* photo gets sharper. Four convolutions will do, three of them with 24 filters. A bicubic skip
# leaves only the difference to learn. The paper takes eight layers of 64 on the enlarged image, and more fathers, smaller copies of the first; we
# enlarge last, as in lesson 5, where the convolutions see a quarter of the pixels.


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
# The last convolution starts at zero, so that an untrained network is bicubic interpolation. This is worth an assertion: a
# skip that is off by half a pixel would have to be repaired by the convolutions, everywhere.

# %%
model = network()
print(f"{model.count_params():,} parameters")
np.testing.assert_allclose(
    model(inputs), sr.models.bicubic(2, channels=1)(inputs), atol=1e-5
)

# %% [markdown]
# Training is the usual `compile` and `fit`. What it is told is an image, and what we believe made it. We measure the time that the processor
# works, which other programs do not lengthen.

# %%
import time


def zero_shot(lr, degradation, steps=here.steps):
    """Trains a network on one LR image, and on what made it."""
    keras.utils.set_random_seed(0)
    model = network()
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate), loss="mean_absolute_error")
    batches = sr.pipeline.training_batches(
        family(lr, degradation), lr_size=24, batch_size=8, channels=1, augment=False
    )
    start = time.process_time()
    history = model.fit(batches, steps_per_epoch=steps // 10, epochs=10, verbose=0)
    loss = history.history["loss"]
    print(f"{steps} steps, {time.process_time() - start:.0f} seconds of the CPU;")
    print(
        f"mean absolute error from {255 * loss[0]:.2f} to {255 * loss[-1]:.2f} of 255"
    )
    return model


# %%
of_coffee = zero_shot(cup, halve)

# %% [markdown]
# ## Against a network that saw hundreds of photos
#
# Well under a minute. The opponent comes with the package: a small LapSRN (lesson 9), trained on some 470 photos and their bicubic LR
# images ([how](../sr_keras/pretrained/README.md)). Where its weights are not installed, the lesson goes on without it.

# %%
shipped = "lapsrn-x2-bsds-small"
trained = {}
if shipped in sr.pretrained.all_names():
    trained["trained"] = sr.models.load(shipped)
    facts = sr.pretrained.training_of(sr.pretrained.find(shipped))
    recipe = facts["recipe"]
    print(f"{shipped}: {trained['trained'].count_params():,} parameters")
    print(f"{facts['seconds']} seconds on {recipe['data']}, {recipe['steps']} steps")
else:
    print(f"{shipped} is not here: the comparisons do without a trained network.")

# %% [markdown]
# Both work on luma; colour is enlarged by bicubic. The scores are the papers': luma, two pixels cut, 8 bits.


# %%
def compare(photo, degradation, models):
    """Scores models on one photo; returns their images and (PSNR, SSIM)."""
    truth = sr.datasets.Pairs(["photo"], 2, lambda i: photo, degradation=degradation)
    images, scores = {}, {}
    for name, model in models.items():

        def keep(index, lr, out, hr, row, name=name):
            images[name] = out

        mean = sr.evaluate(model, truth, on_image=keep)["mean"]
        scores[name] = mean["psnr_y"], mean["ssim_y"]
        print(f"{name:22} {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
    return images, scores


interpolation = {"bicubic": sr.models.bicubic(2, channels=1)}
CONDITIONS = "x2, PSNR (dB) / SSIM on luma, 2 pixels cut, 8 bits"

# %% [markdown]
# **Predict:** the cup of coffee is a photo like those the LapSRN was trained on. Who wins: bicubic, the network that knows nothing but this cup,
# or the one that knows hundreds of other photos?

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
# Both are well over 1.5 dB above bicubic, and 0.3 dB apart: the network that saw one photo comes close to this one, which saw hundreds, but stays
# behind, as it does against large networks with days of training: in the table of the zero-shot paper, EDSR is ahead on bicubic LR images.
#
# Now a photo unlike theirs: a scanned page, which repeats itself letter by letter. **Predict:** does the order change?

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
# It does: zero-shot is almost 0.5 dB above the trained network, whose letters have pale halos. Ink on paper has other edges than most photos; the page's
# own son has edges of its kind. Neither draws every letter rightly: compare the "e" with HR.
#
# ## When the downscaler is another one
#
# So far LR was made by the very kernel on which the LapSRN was trained. A real camera has a kernel of its own. Here is one: a lens that smears
# light at a slant, and a sensor whose pixels take means.

# %%
lens = sr.degradations.GaussianBlur(1.6, 0.8, angle=30)
camera = sr.degradations.Compose([lens, sr.degradations.Downscale(2, "area")])
point = np.zeros((15, 15, 1), "float32")
point[7, 7] = 1
fig, axes = plt.subplots(1, 2, figsize=(5, 2.4))
axes[0].imshow(lens(point), cmap="gray")
axes[0].set_title("a point, through the lens", fontsize=9)
axes[1].imshow(np.flip(lens(point), axis=1), cmap="gray")
axes[1].set_title("the same, mirrored", fontsize=9)
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The mirrored kernel is another kernel. That is why the order mattered above: a mirrored pair of father and son would teach how to undo a
# lens that nobody has. **Predict:** how far is "mirror, then degrade" from the opposite order, for bicubic and for this camera?

# %%
cup_lr = camera(photos["coffee"])  # what this camera saw
for name, degrade in (("bicubic", halve), ("camera", camera)):
    difference = degrade(cup_lr)[:, ::-1].astype(int) - degrade(cup_lr[:, ::-1])
    print(f"{name}: mean difference {np.abs(difference).mean():.2f} of 255")

# %% [markdown]
# Not at all, and by more than a grey level in the mean.
#
# We train two networks on the camera's photo. The first believes that bicubic made it, as everybody did until here. The second is told the
# truth: its sons are made by the camera.

# %%
believes_bicubic = zero_shot(cup_lr, halve)
knows_camera = zero_shot(cup_lr, camera)

# %% [markdown]
# **Predict** the order of the four. Whose fault would a blurred result be: the network's, or its training pairs'?

# %%
models = {
    **interpolation,
    **trained,
    "zero-shot, bicubic": believes_bicubic,
    "zero-shot, camera": knows_camera,
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
# The two that believe in bicubic differ by 0.2 dB, one of them trained on hundreds of photos, the other on this one: 1.0 and 0.8 dB above
# interpolation, and blurred. The one that knows the camera is 2.4 dB above the better of them, and sharp. It has the layers and the steps of the
# other zero-shot network, which is 2.6 dB below: the pairs made the difference.
#
# This is the main point of the paper. A trained network is bound to the degradation of its training set. A zero-shot network takes a
# new one in seconds; but it has to be told which.
#
# ## A test without HR: consistency
#
# At home there is no HR image to compare with. But one thing can be checked: made small again, the result should be the LR image
# (*LR-PSNR*). By hand, with bicubic, on the first result; the package's function does the same.

# %%
again = sr.images.to_float(halve(images["bicubic"]))
by_hand = -10 * np.log10(np.mean((again - sr.images.to_float(cup_lr)) ** 2))
np.testing.assert_allclose(
    by_hand, sr.quality.lr_psnr(cup_lr, images["bicubic"]), atol=1e-3
)
print(f"bicubic, made small by bicubic again: {by_hand:.2f} dB")

# %% [markdown]
# The package knows bicubic only; by hand any degradation goes. **Predict:** which of the four images, photographed again with our camera,
# comes nearest to what the camera saw?


# %%
def consistency(lr, result, degradation):
    """Returns the PSNR of the degraded result, all channels and pixels of LR."""
    again = sr.images.to_float(degradation(result))
    return -10 * np.log10(np.mean((again - sr.images.to_float(lr)) ** 2))


for name, image in images.items():
    print(f"{name:22} LR-PSNR {consistency(cup_lr, image, camera):.2f} dB, camera")

# %% [markdown]
# The network that knows the camera, by more than 7 dB. No HR image was needed to see that the others do not fit. It is no proof of quality, though: by
# lesson 1, many images fit one LR image. It can refute a result, not confirm it.
#
# ## Self-ensemble
#
# The eight views serve once more, at the end: enlarge each of them, turn the results back, take the mean. By hand for the first
# network, and by the package:

# %%
back = [lambda v, k=k: np.rot90(v, -k) for k in range(4)]
undo = back + [lambda v, k=k: np.rot90(v[:, ::-1], -k) for k in range(4)]
total = 0
luma = sr.images.luma(sr.images.to_float(cup))
for view, inverse in zip(eight(luma), undo, strict=True):
    total = total + inverse(np.asarray(of_coffee(view[None]))[0])
by_hand = np.clip(total / 8, 0, 1)

package = sr.upscale(of_coffee, luma, self_ensemble=True)
np.testing.assert_allclose(by_hand, package, atol=1e-4)

# %% [markdown]
# **Predict:** it helps where the network was trained for bicubic. Should it also be used with the network that knows the camera? Think of
# what a mirrored photo of the cup says about the lens.

# %%
for name, model, degradation in (
    ("coffee, bicubic", of_coffee, halve),
    ("page, bicubic", of_page, halve),
    ("coffee, camera", knows_camera, camera),
):
    photo = photos[name.partition(",")[0]]
    truth = sr.datasets.Pairs([name], 2, lambda i, p=photo: p, degradation=degradation)
    one = sr.evaluate(model, truth)["mean"]["psnr_y"]
    eight_views = sr.evaluate(model, truth, self_ensemble=True)["mean"]["psnr_y"]
    print(f"{name:16} {one:.2f} dB, self-ensemble {eight_views:.2f} dB")
print(CONDITIONS)

# %% [markdown]
# With bicubic it gains about 0.1 dB. With the camera it *loses* 1.6 dB. A mirrored photo was taken by a mirrored lens, and of that this network
# knows nothing. A trick that "always helps" has conditions too.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** How large is the training set really? Count the different pairs of patches (24 x 24 in the son) that `family(cup, halve)`
# holds. A patch may lie at every position, in each of the eight views.

# %%
answer = None  # your number

sons = [sr.images.luma(halve(view)) for view in eight(cup)]
expected = sum(patches(son, 24)[..., 0, 0].size for son in sons)
sr.course.check(answer, expected)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
# 200 x 300 pixels are the father's; its son has 100 x 150.
answer = 8 * (100 - 24 + 1) * (150 - 24 + 1)
sr.course.check(answer, expected)
print(f"{answer:,}, nearly all of which overlap: far fewer are independent")

# %% [markdown]
# **Exercise 2.** Which of the eight views leave the camera's slanted lens as it is? For those, and only those, self-ensemble would be in order. Answer by
# a list of their numbers in `eight`, such as `[0, 1]`; look at `eight(lens(point))`.

# %%
answer = None  # your list

kernel = lens(point)
same = [
    i for i, view in enumerate(eight(kernel)) if np.allclose(view, kernel, atol=1e-6)
]
sr.course.check(answer and sorted(answer), same)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
# An ellipse at a slant is itself after half a turn, and after no other move.
answer = [0, 2]
sr.course.check(answer, same)

first = np.asarray(sr.upscale(knows_camera, sr.images.to_float(cup_lr)))
turned = sr.upscale(knows_camera, np.rot90(sr.images.to_float(cup_lr), 2).copy())
mean = sr.images.to_integer((first + np.rot90(turned, 2)) / 2)
hr = sr.images.to_float(photos["coffee"])[None]
for name, image in (("one", first), ("two views", sr.images.to_float(mean))):
    value = float(sr.metrics.psnr(hr, image[None], luma=True, border=2)[0])
    print(f"{name}: {value:.2f} dB (coffee x2, camera, luma, 2 pixels cut)")

# %% [markdown]
# **Exercise 3.** Back-projection: a result that is not consistent can be corrected. Degrade it with the camera, enlarge what is
# missing to LR by bicubic, add it, and repeat. Start from each of the four `images`. How far do LR-PSNR and PSNR go? Whose knowledge is used?

# %%
corrected = None  # your image, float, after 10 steps

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
enlarge = sr.models.bicubic(2)
target = sr.images.to_float(cup_lr)
hr = sr.images.to_float(photos["coffee"])[None]
print("coffee x2, camera; PSNR on luma, 2 pixels cut, 8 bits")
for name in images:
    corrected = sr.images.to_float(images[name])
    for step in range(11):
        if step in (0, 10):
            image = sr.images.to_integer(corrected)
            fits = consistency(cup_lr, image, camera)
            pair = hr, sr.images.to_float(image)[None]
            value = float(sr.metrics.psnr(*pair, luma=True, border=2)[0])
            print(f"{name}, {step:2} steps: LR-PSNR {fits:.2f}, PSNR {value:.2f} dB")
        missing = target - camera(corrected)
        corrected = corrected + np.asarray(enlarge(missing[None])[0])

# %% [markdown]
# What we saw (read it after your try): each result comes within a decibel of the network that knows the camera. The knowledge is the same, the kernel, and
# both times we gave it.
#
# **Exercise 4.** A photo with noise. Its sons are cleaner than it is, since downscaling averages noise away. What will a
# network do that was trained on clean sons, and meets the noisy father? Train one with noise on the sons too (`Compose`,
# `GaussianNoise`), and compare.

# %%
noisy = sr.degradations.Compose([halve, sr.degradations.GaussianNoise(0.03)])
answer = None  # your two networks, for noisy(photos["coffee"], seed=0)

# %% cellView="form" jupyter={"source_hidden": true}
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
# - Small patches of a photo recur in it, within and across scales. A patch found in a smaller copy has a parent: an example of what it looks
#   like enlarged. One parent alone loses to bicubic more often than not.
# - LR is made smaller once more, and a small network learns the way back: son to father. Then it enlarges the father. There is no training set.
# - On bicubic LR images, some ten seconds of the processor stayed 0.3 dB behind a small network trained on hundreds of photos where the
#   photo was like those, and won on a scanned page. Large trained networks are another matter.
# - A network knows the degradation of its training pairs. When LR is made otherwise, what counts is to know how: a network that knew was 2.4 dB ahead. In exercise 3
#   back-projection with the known kernel repairs most of that afterwards, whatever it starts from.
# - LR-PSNR shows, without HR, that a result does not fit. It does not show that a result is right.
# - Flips and turns change a slanted kernel. They are harmless only where the kernel has the same symmetry.
# - What else was done to the photo has to be told too: in exercise 4, noise that the sons lacked put the network below bicubic.
#
# ## Further reading
#
# - Glasner, Bagon and Irani, [Super-resolution from a single image](https://doi.org/10.1109/ICCV.2009.5459271), 2009: patches recur
#   within and across scales, and their parents are combined.
# - Zontak and Irani, [Internal statistics of a single natural image](https://doi.org/10.1109/CVPR.2011.5995401), 2011: how often, and
#   against patches of other photos.
# - Michaeli and Irani, [Nonparametric blind super-resolution](https://doi.org/10.1109/ICCV.2013.121), 2013: recurrence tells the kernel.
# - Shocher, Cohen and Irani, ["Zero-shot" super-resolution using deep internal learning](https://arxiv.org/abs/1712.06087), 2018: this
#   lesson's method.
# - Bell-Kligler, Shocher and Irani, [Blind super-resolution kernel estimation using an internal-GAN](https://arxiv.org/abs/1909.06581),
#   2019: the kernel from the photo itself.
# - Ulyanov, Vedaldi and Lempitsky, [Deep image prior](https://arxiv.org/abs/1711.10925), 2018: one photo, and not even a pair.
# - Soh, Cho and Cho, [Meta-transfer learning for zero-shot super-resolution](https://arxiv.org/abs/2002.12213), 2020: both kinds of
#   knowledge at once, in a few steps.
