# %% [markdown]
# # 6. U-Net: restore a damaged photo
#
# A photo has all its pixels, but they are blurred, noisy and compressed: a U-Net repairs them, its skips carry the detail, and its loss keeps it blurry.
#
# **You will be able to**
#
# - build a U-Net by hand, and say how far it sees and what each level costs;
# - train it on damaged photos, and show what flows through its skips;
# - explain, by hand and on a photo, why a pixel loss makes blurry pictures;
# - compare two ways to send a photo in few bytes, and say which wins where.
#
# **You need** lessons 1 and 2 (PSNR, SSIM, degradations), lesson 4 (a network that learns a correction) and lesson 5 (transposed convolution). Convolutions are in lesson 3.
#
# **Time:** 4.5 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/06_unet.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/06_unet.py) · Previous: [5. ESPCN and FSRCNN: enlarge at the end](05_espcn.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/05_espcn.ipynb)) · Next: [7. Perceptual loss: compare features, not pixels](07_perceptual.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/07_perceptual.ipynb)) · [All lessons](README.md)

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
    minutes=(1, 4.5, 2),
    filters=(8, 16, 16),
    num_batches=(6, 60, 1000),
    steps=(20, 200, 4000),
    rounds=(1, 4, 10),
    tuning=(10, 200, 2000),
    num_qualities=(3, 7, 9),
)

# %% [markdown]
# ## Damage
#
# So far, pixels were missing. Old scans, cheap cameras and messengers do other harm: all the pixels are there, and all are a little
# wrong. Four kinds of damage, one after the other:

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from skimage import data

motorcycle = data.stereo_motorcycle()[0][:496, :736]
engine = (231, 330, 90, 150)  # top, left, height, width
d = sr.degradations
steps = {
    "1. blur": d.GaussianBlur(1.2),
    "2. noise": d.GaussianNoise(0.04),
    "3. 24 levels": d.Quantize(24),
    "4. JPEG": d.JPEG(40),
}
stages, photo = {}, motorcycle
for name, step in steps.items():
    photo = step(photo, seed=1)
    stages[name] = photo
sr.plotting.degradations(motorcycle, stages, crop=engine)

# %% [markdown]
# **Predict:** if you knew the four steps and all their settings, which of them could you undo exactly?
#
# None. The noise was drawn by chance, rounding merged values for good, and JPEG rounds again. Even the blur, alone a known kernel, has sunk fine detail
# below that noise. Restoration is as ill-posed as enlarging.
#
# `"crappify"` of lesson 2 draws strengths and order anew for each photo. At scale 1 it keeps the size. The name is of fast.ai's
# course; ours is another mixture.

# %%
crappify = d.get("crappify", scale=1)
draws = {f"draw {seed}": crappify(motorcycle, seed=seed) for seed in range(5)}
sr.plotting.degradations(motorcycle, draws, crop=engine)

# %% [markdown]
# These are our tests: crops of two photos that are in no training of this lesson, three draws each. The score to beat is that of
# doing nothing.

# %%
crops = {
    "cat": data.chelsea()[30:270, 80:336],
    "motorcycle": motorcycle[180:420, 330:586],
}
names = [f"{name}, draw {i}" for i in range(3) for name in crops]
tests = sr.datasets.Pairs(
    names, 1, lambda i: list(crops.values())[i % 2], degradation="crappify"
)


def nothing(images):
    return images


untouched = sr.evaluate(nothing, tests)
for row in untouched["images"]:
    print(f"{row['name']:19} {row['psnr_y']:.2f} dB / {row['ssim_y']:.3f}")
print(untouched["conditions"])

# %% [markdown]
# ## The U
#
# Noise and blocks are told from detail by looking around: is this dark spot alone, or a part of a line? A U-Net goes down to
# coarse maps, each half as large, to see far, and comes up again to draw.
#
# On each level of the way up it gets the map of the way down that has the same size: a *skip*. By hand:


# %%
def two_convs(x, filters):
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return x


def by_hand(filters, num_levels):
    image = keras.Input((None, None, 3))
    x, skips = image, []
    for level in range(num_levels - 1):
        x = two_convs(x, filters * 2**level)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)  # half as high, half as wide
    x = two_convs(x, filters * 2 ** (num_levels - 1))  # the bottom
    for level in reversed(range(num_levels - 1)):
        x = layers.Conv2DTranspose(filters * 2**level, 2, strides=2)(x)
        x = layers.Concatenate()([skips[level], x])
        x = two_convs(x, filters * 2**level)
    return keras.Model(image, image + layers.Conv2D(3, 1)(x))


# %% [markdown]
# The last line adds the damaged photo: the network learns only a correction, as in lesson 4. The original U-Net, made to outline cells,
# does not do so. The package's has the same layers:

# %%
package = sr.models.unet(1, filters=8, num_levels=3)
mine = by_hand(filters=8, num_levels=3)
mine.set_weights(package.get_weights())
damaged, hr = tests[1]
batch = sr.images.to_float(damaged)[None]
np.testing.assert_allclose(mine(batch), package(batch), atol=1e-5)
print(f"{mine.count_params():,} weights, in {batch.shape}, out {mine(batch).shape}")

# %% [markdown]
# Sides that 4 divides, here. The package also takes others: it pads them and cuts the result.
#
# Now a trained one, which is shipped: five levels, from 16 maps on top to 256 at the bottom. Let us look inside. On each level, the
# mean of its maps on the way down, and on the way up:

# %%
shipped = sr.models.load("unet-x1-bsds-small")
kinds = [f"{way}_{i}_relu2" for i in range(4) for way in ("encoder", "decoder")]
kinds.append("bottom_relu2")
inside = keras.Model(shipped.input, [shipped.get_layer(kind).output for kind in kinds])
maps = dict(zip(kinds, inside.predict_on_batch(batch), strict=True))

# %%
fig, axes = plt.subplots(5, 2, figsize=(6.6, 11), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
for level in range(5):
    for column, way in enumerate(("encoder", "decoder")):
        kind = f"{way}_{level}_relu2" if level < 4 else "bottom_relu2"
        if level == 4 and column == 1:
            continue
        picture = maps[kind][0]
        high, wide, depth = picture.shape
        axes[level, column].imshow(picture.mean(axis=-1), cmap="gray")
        axes[level, column].set_title(f"{kind}: {depth} of {high} x {wide}", fontsize=9)
plt.show()

# %% [markdown]
# Read it as a U: down the left column, up the right one. Near the top there are lines and edges, further down only blots that say
# roughly what is where. The small squares low in the right column are lesson 5's checkerboard: each step up is a transposed convolution.
#
# ## How far it sees
#
# Which pixels have an influence on one output pixel? Walk back through the network. A 3 x 3 convolution looks one pixel further to each
# side, an upward step halves positions, pooling doubles them:


# %%
def field(num_levels, pixel):
    """Returns the first and the last pixel, along one side, that `pixel` depends on."""
    first = last = pixel
    for _ in range(num_levels - 1):  # the decoder, from its end
        first, last = (first - 2) // 2, (last + 2) // 2
    first, last = first - 2, last + 2  # the bottom
    for _ in range(num_levels - 1):  # the encoder
        first, last = 2 * first - 2, 2 * last + 1 + 2
    return first, last


# %% [markdown]
# **Predict:** the five levels have 18 convolutions of 3 x 3. Stacked at full size, 18 of them see 37 pixels. How many does the U-Net see?

# %%
print("levels  sees  weights     multiplications at 1280x720")
for num_levels in range(1, 6):
    model = sr.models.unet(1, filters=16, num_levels=num_levels)
    first, last = field(num_levels, 1000)
    cost = sr.models.mult_adds(model, 1) / 1e9
    print(
        f"{num_levels:6} {last - first + 1:5} {model.count_params():9,} {cost:9.1f} G"
    )

# %% [markdown]
# About 200 pixels. And the bottom is a bargain: each new level about quadruples the weights, but adds nearly the same computation,
# since a map with twice the channels has a quarter of the pixels.
#
# *Can* see is not *does* see. The gradient of one output pixel says how strongly each input pixel acts on it. **Predict:** is the
# square filled evenly?

# %%
large = sr.images.to_float(crappify(motorcycle, seed=1))[None, 96:400, 256:560]
large = tf.convert_to_tensor(large)  # 304 x 304 pixels
with tf.GradientTape() as tape:
    tape.watch(large)
    value = tf.reduce_sum(shipped(large)[0, 152, 152])
influence = np.abs(tape.gradient(value, large)[0]).sum(axis=-1)

first, last = field(5, 152)
outside = influence.copy()
outside[first : last + 1, first : last + 1] = 0
assert outside.max() == 0
near = influence[152 - 8 : 152 + 9, 152 - 8 : 152 + 9].sum() / influence.sum()
print(f"the nearest 17 x 17 pixels have {near:.0%} of the influence")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3.9), layout="constrained")
axes[0].imshow(large[0])
axes[1].imshow(np.log10(influence + 1e-7), cmap="magma", vmin=-6)
for ax, title in zip(axes, ("input", "influence on the middle (log)"), strict=True):
    side = last - first + 1
    frame = plt.Rectangle((first - 0.5, first - 0.5), side, side, fill=False)
    frame.set(edgecolor="#56B4E9", lw=1.5)
    ax.add_patch(frame)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Nothing outside the square that we computed, as the assertion says. Inside, a bright middle with a faint glow around it:
# the network can see far, and mostly looks near.
#
# ## Training
#
# Patches of six photos. To damage a patch takes about as long as a step of training, so we make a limited number of batches and go over them again. The loss is the mean absolute error of the pixels, and the learning rate falls
# along a cosine (lesson 5).
#
# Two tricks: the last convolution starts a tenth as large, so that the first corrections are small. And the learning rate rises before it
# falls, since the first steps of a deep network are the riskiest.

# %%
train = sr.datasets.samples(1, degradation="crappify")
print("training photos:", ", ".join(train.names))
batches = sr.pipeline.training_batches(train, lr_size=64, batch_size=4)
batches = batches.take(here.num_batches).cache().repeat()
ours = sr.models.unet(1, filters=here.filters)
kernel = ours.get_layer("tail").kernel
kernel.assign(0.1 * kernel)
schedule = keras.optimizers.schedules.CosineDecay(
    1e-4, here.steps, warmup_target=1e-3, warmup_steps=here.steps // 10
)
ours.compile(keras.optimizers.Adam(schedule, beta_2=0.99), loss="mae")

# %%
lr_batch, hr_batch = next(iter(batches))
fig, axes = plt.subplots(2, 4, figsize=(7.4, 3.9), layout="constrained")
for column in range(4):
    axes[0, column].imshow(lr_batch[column])
    axes[1, column].imshow(hr_batch[column])
axes[0, 0].set_ylabel("input")
axes[1, 0].set_ylabel("target")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
log = [{"step": 0, "psnr_y": sr.evaluate(ours, tests)["mean"]["psnr_y"]}]


def measure(epoch, logs):
    step = (epoch + 1) * (here.steps // here.rounds)
    mean = sr.evaluate(ours, tests)["mean"]
    log.append({"step": step, "loss": logs["loss"], "psnr_y": mean["psnr_y"]})


start = time.perf_counter()
ours.fit(
    batches,
    steps_per_epoch=here.steps // here.rounds,
    epochs=here.rounds,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=measure)],
    verbose=0,
)
print(f"{log[-1]['step']} steps in {time.perf_counter() - start:.0f} s")

# %%
sr.plotting.history(
    log,
    baselines={"nothing": untouched["mean"]["psnr_y"]},
    title="U-Net x1, PSNR on luma, 1 pixel cut, mean over six damaged crops",
)

# %% [markdown]
# Where does the curve end, above the line or below? Short trainings of deep networks earn little. The shipped network has the same
# layers, saw several hundred photos, and had more time:

# %%
story = sr.pretrained.training_of(sr.pretrained.find("unet-x1-bsds-small"))
recipe = story["recipe"]
size = f"{recipe['lr_size']} x {recipe['lr_size']}"
print(f"{recipe['steps']} steps of {recipe['batch_size']} patches of {size},")
print(f"{story['seconds'] / 60:.0f} minutes on one core; photos of {recipe['data']}")
results = {"ours": sr.evaluate(ours, tests), "shipped": sr.evaluate(shipped, tests)}
print(f"{'':19} nothing   ours   shipped   PSNR on luma (dB), 1 pixel cut")
for i, name in enumerate(tests.names):
    row = [untouched["images"][i], *(r["images"][i] for r in results.values())]
    print(f"{name:19}", "   ".join(f"{scores['psnr_y']:.2f}" for scores in row))
assert results["shipped"]["mean"]["psnr_y"] > untouched["mean"]["psnr_y"] + 0.5

# %%
from sr_keras.evaluation import score


def scores_of(images, hr, border=1):
    found = {name: score(hr, image, border) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in found.items()}


# %%
damaged, hr = tests[1]
restored = {
    "damaged": damaged,
    "ours": sr.upscale(ours, damaged),
    "shipped": sr.upscale(shipped, damaged),
}
sr.plotting.comparison(
    {**restored, "HR": hr},
    scores=scores_of(restored, hr),
    crop=(60, 30, 60, 90),
    columns=2,
    whole=False,
    title="motorcycle, draw 0: PSNR (dB) / SSIM on luma, 1 pixel cut, 8 bits",
)

# %%
sr.plotting.slider(
    {"damaged": damaged, "shipped U-Net": restored["shipped"]},
    crop=(50, 10, 90, 130),
    zoom=4,
    title="motorcycle, draw 0",
)

# %% [markdown]
# The shipped network raises the PSNR of five crops; the cat of draw 0, the least damaged, loses a little. In the picture edges are firmer, with faint fringes of colour; the fins of the engine, which the blur merged, do not come back. Ours, after a few hundred steps, is hard to tell from the damaged photo.
#
# ## Cut the skips
#
# What goes through a skip? Send zeros instead, and see what is missing. The first convolution after `Concatenate` weights the skip's
# channels first, so it is enough to set half of its weights to zero.


# %%
def cut(model, levels):
    """Copies the shipped U-Net, with zeros through the skips of these levels."""
    copy = sr.models.unet(1, filters=16)
    copy.set_weights(model.get_weights())
    for level in levels:
        conv = copy.get_layer(f"decoder_{level}_conv1")
        kernel, bias = conv.get_weights()
        kernel[:, :, : kernel.shape[2] // 2] = 0  # height, width, channels in, out
        conv.set_weights([kernel, bias])
    return copy


# %% [markdown]
# The output is the damaged photo plus a correction, and hides a missing correction well. Look at the correction itself, four times
# stronger, with grey for zero. **Predict:** how fine will it be without the top skip? Without any?

# %%
surgery = {
    "all skips": [],
    "without the top one": [0],
    "without the top two": [0, 1],
    "without any": [0, 1, 2, 3],
}
batch = sr.images.to_float(damaged)[None]
outputs = {}
for name, levels in surgery.items():
    outputs[name] = keras.ops.convert_to_numpy(cut(shipped, levels)(batch))[0]
corrections = {name: output - batch[0] for name, output in outputs.items()}
pictures = {k: np.clip(0.5 + 4 * v, 0, 1) for k, v in corrections.items()}
needed = np.clip(0.5 + 4 * (sr.images.to_float(hr) - batch[0]), 0, 1)
sr.plotting.comparison(
    {**pictures, "what was needed": needed},
    crop=(60, 30, 60, 90),
    columns=3,
    whole=False,
    title="Corrections, x4, grey is zero",
)

# %% [markdown]
# With the top skip cut, all that the last level knows has passed a pooling: it has maps of half the size, made larger again. Below,
# it is maps of a quarter, and so on down to the bottom. Without the top skip the lines keep their places, but are weaker and speckled by the enlarging of the maps;
# without the top two this network corrects nothing at all. It does its work with the fine maps, as the influence above said.

# %%
cut_results = {k: sr.images.to_integer(output) for k, output in outputs.items()}
sr.plotting.comparison(
    {"damaged": damaged, **cut_results, "HR": hr},
    scores=scores_of({"damaged": damaged, **cut_results}, hr),
    crop=(60, 30, 60, 90),
    columns=3,
    whole=False,
    title="The results: PSNR (dB) / SSIM on luma, 1 pixel cut, 8 bits",
)

# %% [markdown]
# All four still show the motorcycle, since the damaged photo itself is added at the end: it is a skip as well, the longest one.
#
# One warning: this shows what *this* network, trained with skips, sends through them. A network trained without them would arrange itself otherwise.
# Exercise 5 trains one.
#
# ## Why it is blurry
#
# Take a photo of a fence, one bright pixel in four, so badly damaged that nobody can tell where the bright ones are. Four answers are
# possible, each sharp. An edge may be at five places. **Predict:** which one line of pixels is, on average, closest to all of them?

# %%
fence = np.array([[float(x % 4 == k) for x in range(16)] for k in range(4)])
edge = np.array([[float(x >= k) for x in range(16)] for k in (4, 6, 8, 10, 12)])


def best(answers, error):
    """Tries all values for each pixel, and keeps the one of least mean error."""
    values = np.linspace(0, 1, 101)
    mean_error = error(values[:, None, None] - answers).mean(axis=1)
    return values[mean_error.argmin(axis=0)]


for answers in (fence, edge):
    np.testing.assert_allclose(best(answers, np.square), answers.mean(axis=0))
    np.testing.assert_allclose(best(answers, np.abs), np.median(answers, axis=0))

# %%
fig, axes = plt.subplots(3, 2, figsize=(9, 3.6), layout="constrained")
for column, answers in enumerate((fence, edge)):
    rows = {
        "possible": answers,
        "best L2": best(answers, np.square)[None],
        "best L1": best(answers, np.abs)[None],
    }
    for ax, (name, picture) in zip(axes[:, column], rows.items(), strict=True):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="auto")
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
axes[0, 0].set_title("fence: four answers, one to a row", fontsize=10)
axes[0, 1].set_title("edge: five answers", fontsize=10)
plt.show()

# %% [markdown]
# The squared error (L2) asks for the **mean**: the fence is a grey haze, the edge a ramp. The absolute error (L1) asks for the **median**: a
# sharp edge in the middle, but no fence at all. A pixel is dark in three answers of four.
#
# Only L1's edge is a possible photo; ramp, haze and empty fence are none. That is the blur of pixel losses: not a lack of training, but what the loss asks for.
#
# ## The same on a photo
#
# Real pictures have many answers, too. Grass: the upper half of a photo shows us what grass can look like, and the lower half was
# damaged, by means of 4 x 4 pixels.

# %%
grass = data.grass()
known, secret = grass[:256], grass[300:428, 100:292]
shrink = d.Downscale(4, "area")
size = 8  # pixels of a patch, of which 2 x 2 means are left


def cut_patches(image, step):
    """Returns all patches (number, 8, 8) at every `step`-th place."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return sr.images.to_float(windows[::step, ::step].reshape(-1, size, size))


def means(patches):
    """Returns the 2 x 2 means of each patch, in a line."""
    return patches.reshape(-1, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(-1, 4)


# %% [markdown]
# For each 8 x 8 patch of the secret we look up the 24 patches of known grass with nearly the same four means. Each of them is a plausible, sharp
# answer.

# %%
examples, truth = cut_patches(known, 2), cut_patches(secret, size)
a, b = means(truth), means(examples)
distance = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
nearest = np.argsort(distance, axis=1)[:, :24]
answers = examples[nearest]  # (patches, 24, 8, 8)
off = np.abs(means(answers.reshape(-1, size, size)) - np.repeat(a, 24, axis=0))
print(f"{len(examples)} examples; the means differ by {255 * off.mean():.1f} of 255")

# %%
patch = int(np.argmax(truth.std(axis=(1, 2))))  # one with much contrast
row = [truth[patch], *answers[patch, :6]]
row += [answers[patch].mean(axis=0), np.median(answers[patch], axis=0)]
titles = ["truth", *[f"answer {i}" for i in range(1, 7)], "mean", "median"]
fig, axes = plt.subplots(1, 9, figsize=(10, 1.5), layout="constrained")
for ax, picture, title in zip(axes, row, titles, strict=True):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Predict:** now we fill the whole picture, once with the first answers, once with the means. Which of them has the higher PSNR, and by about how
# much?


# %%
def assemble(patches):
    """Lays patches side by side, as they were cut from `secret`."""
    high, wide = (side // size for side in secret.shape)
    tiles = patches.reshape(high, wide, size, size).transpose(0, 2, 1, 3)
    return sr.images.to_integer(tiles.reshape(secret.shape))


# %%
filled = {
    "LR": shrink(secret[..., None]),
    "one answer": assemble(answers[:, 0]),
    "mean of 24": assemble(answers.mean(axis=1)),
    "median of 24": assemble(np.median(answers, axis=1)),
}
scores = {
    name: score(secret[..., None], image[..., None], 0)["psnr_y"]
    for name, image in filled.items()
    if name != "LR"
}
sr.plotting.comparison(
    {**filled, "truth": secret},
    scores=scores,
    crop=(0, 0, 96, 128),
    columns=3,
    whole=False,
    title="Grass, known by its 4 x 4 means; PSNR (dB), no border cut",
)

# %% [markdown]
# PSNR prefers the fog. Why by some 3 dB? If truth and answer are two draws from the same lot, their squared difference is on average *twice* the
# variance; to the mean of the lot it is once. And 10 log10(2) is 3.01.

# %%
one = np.mean((answers[:, 0] - truth) ** 2)
mean = np.mean((answers.mean(axis=1) - truth) ** 2)
print(f"squared error: one answer {one:.4f}, mean {mean:.4f}, ratio {one / mean:.2f}")
print(f"in theory, with a mean of 24: {2 / (1 + 1 / 24):.2f}")
assert one > 1.4 * mean

# %% [markdown]
# Remember it when scores are compared: a method that gives one honest, sharp answer loses up to 3 dB to the blur. Whoever optimizes PSNR, trains a
# network to be vague.
#
# Is our U-Net? Spectra tell. How much contrast is there in structures of each fineness, in HR and in the result? Beside it, a network that was then trained
# on with a *perceptual* loss, the subject of lesson 7.

# %%
perceptual = sr.models.load("unet-x1-bsds-perceptual")
rough = d.Compose([d.GaussianBlur(1.5), d.GaussianNoise(0.03), d.JPEG(50)])
high, wide = (240, 320) if here.fast else motorcycle.shape[:2]
original = motorcycle[-high:, -wide:]
damaged = rough(original, seed=3)
versions = {
    "damaged": damaged,
    "pixel loss": sr.upscale(shipped, damaged, tile=None),
    "perceptual loss": sr.upscale(perceptual, damaged, tile=None),
    "HR": original,
}


# %%
def spectrum(image):
    """Returns the mean amplitude of the luma at each frequency."""
    luma = 255 * sr.images.luma(sr.images.to_float(image))[..., 0]
    window = np.outer(*(np.hanning(side) for side in luma.shape))
    amplitude = np.abs(np.fft.fft2((luma - luma.mean()) * window))
    y, x = np.meshgrid(*(np.fft.fftfreq(side) for side in luma.shape), indexing="ij")
    ring = (np.hypot(y, x) * 50).round().astype(int).ravel()  # of width 0.02
    sums = np.bincount(ring, amplitude.ravel())
    return (sums / np.bincount(ring))[:26] / np.sqrt(luma.size)


fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
for name, image in versions.items():
    ax.semilogy(np.arange(26) / 50, spectrum(image), label=name)
ax.set(xlabel="frequency (periods per pixel)", ylabel="amplitude (grey levels)")
ax.legend(frameon=False)
plt.show()

# %%
sr.plotting.comparison(
    versions,
    scores=scores_of({k: v for k, v in versions.items() if k != "HR"}, original),
    crop=(high - 180, wide - 240, 90, 130),
    columns=2,
    whole=False,
    title="PSNR (dB) / SSIM on luma, 1 pixel cut, 8 bits",
)

# %% [markdown]
# Compare the curves on the right half, where the fine structures are, and then the pictures: what is missing there is what the eye
# calls blur. The pixel loss ends even below the damaged photo, whose finest "structures" are noise. Not all that the perceptual loss adds is detail, either: see the fine grid on
# the brake disc. Which picture do you prefer, and which does PSNR? Lesson 7 begins with that.
#
# ## Sending a photo in few bytes
#
# A use for restoration: the line is slow, the receiver can compute. Either send the full photo as a strong JPEG. Or send it half as
# large, as a gentler JPEG, and let a network enlarge it. Which is better?


# %%
import io

from PIL import Image


def jpeg(image, quality):
    """Returns the number of bytes of a JPEG file, and what is decoded from it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return len(file.getvalue()), np.asarray(Image.open(file))


# %% [markdown]
# For enlarging we take a shipped LapSRN (Lai and others, 2017), a network of lesson 9. Its LR photos were never compressed. So we also train a copy of it a little
# further, on LR photos that are JPEG files of all qualities.

# %%
lapsrn = sr.models.load("lapsrn-x2-bsds-small")
tuned = sr.models.load("lapsrn-x2-bsds-small")
sent_photos = d.Compose([d.Downscale(2), d.JPEG((5, 95))])
pairs = sr.datasets.samples(2, degradation=sent_photos)
lumas = sr.pipeline.training_batches(pairs, lr_size=24, batch_size=8, channels=1)
lumas = lumas.take(here.num_batches).cache().repeat()
schedule = keras.optimizers.schedules.CosineDecay(5e-4, here.tuning)
tuned.compile(keras.optimizers.Adam(schedule), loss="mae")
start = time.perf_counter()
tuned.fit(lumas, steps_per_epoch=here.tuning, verbose=0)
print(f"{here.tuning} steps in {time.perf_counter() - start:.0f} s")

# %% [markdown]
# Five ways: the photo as it is, the same after the shipped U-Net, and half as large (antialiased bicubic) with three ways back. Beside PSNR we take MS-SSIM: SSIM at five sizes, each half of the one
# before, combined into one number; coarse structure counts, too.

# %%
ways = {  # the factor, and what the receiver does
    "HR": (1, nothing),
    "HR, U-Net": (1, shipped),
    "LR, bicubic": (2, sr.models.bicubic(2)),
    "LR, LapSRN": (2, lapsrn),
    "LR, LapSRN tuned": (2, tuned),
}
subjects = {
    "motorcycle": motorcycle[96:480, 320:736],
    "cat": data.chelsea()[:288, :448],
}
place = (145, 30, 60, 100)  # the engine
if here.fast:
    subjects = {"motorcycle": motorcycle[180:436, 320:640]}
    place = (61, 30, 60, 100)


def receive(photo, way, quality):
    factor, network = ways[way]
    sent = d.Downscale(factor)(photo)
    num_bytes, decoded = jpeg(sent, quality)
    return num_bytes, sr.upscale(network, decoded, tile=None)


# %%
def quality_of(photo, image):
    """Returns PSNR and MS-SSIM on luma, 2 pixels cut."""
    pair = sr.images.to_float(photo)[None], sr.images.to_float(image)[None]
    metrics = sr.metrics.psnr, sr.metrics.ms_ssim
    return [float(metric(*pair, luma=True, border=2)[0]) for metric in metrics]


qualities = np.unique(np.geomspace(3, 97, here.num_qualities).round()).astype(int)
curves = {}
for subject, photo in subjects.items():
    for way in ways:
        points = []
        for quality in qualities.tolist():
            num_bytes, image = receive(photo, way, quality)
            points.append((num_bytes, *quality_of(photo, image)))
        curves[subject, way] = np.array(points)
print("JPEG qualities:", qualities)

# %% [markdown]
# **Predict:** at few bytes, who wins? And at many? There is one thing that no JPEG of the small photo can bring, however many bytes it has.

# %%
fig, axes = plt.subplots(
    len(subjects), 2, figsize=(10, 3.9 * len(subjects)), layout="constrained"
)
for row, subject in zip(np.atleast_2d(axes), subjects, strict=True):
    for way in ways:
        points = curves[subject, way]
        line = "--" if way.startswith("LR") else "-"
        for ax, column in zip(row, (1, 2), strict=True):
            ax.semilogx(points[:, 0] / 1000, points[:, column], line, marker="o", ms=3)
    for ax, label in zip(row, ("PSNR (dB)", "MS-SSIM"), strict=True):
        ax.set(title=f"{subject}: {label} on luma", xlabel="kB", ylabel=label)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(plt.NullFormatter())
        ax.grid(alpha=0.3)
axes.flat[0].legend(list(ways), frameon=False)
plt.show()

# %% [markdown]
# On the left, LR wins, even with plain bicubic: a JPEG of so few bytes breaks into blocks. On the right HR wins, and LR levels off: fine
# detail was thrown away before the JPEG.
#
# The two shipped networks are no help on the left: both sharpen blocks, of a kind that they never met in training. On the right the U-Net does harm: it corrects for blur and noise
# that are not there. The tuned LapSRN has met blocks: how does it do?
#
# Curves of two scores are not the eye. Let us give all the same budget of bytes, which a whole-number quality seldom uses up, and look.


# %%
def within(photo, way, budget):
    """Returns the highest JPEG quality that fits, and what is received then."""
    sent = d.Downscale(ways[way][0])(photo)
    fitting = [q for q in range(2, 98) if jpeg(sent, q)[0] <= budget]
    quality = max(fitting, default=2)
    return quality, *receive(photo, way, quality)


def compare(photo, bits, crop):
    """Draws all ways with at most this number of bits to an HR pixel."""
    budget = bits * photo.shape[0] * photo.shape[1] / 8
    images, scores = {}, {}
    for way in ways:
        quality, num_bytes, image = within(photo, way, budget)
        psnr, ms_ssim = quality_of(photo, image)
        images[way] = image
        scores[way] = (
            f"q {quality}, {num_bytes / 1000:.1f} kB\n{psnr:.2f} / {ms_ssim:.3f}"
        )
    title = f"{bits} bits a pixel: quality, size, PSNR (dB) / MS-SSIM, 2 pixels cut"
    return images, sr.plotting.comparison(
        {**images, "HR, not compressed": photo},
        scores, crop, columns=3, whole=False, title=title,
    )  # fmt: skip


# %%
photo = subjects["motorcycle"]
small, figure = compare(photo, 0.3, place)
figure

# %%
larger, figure = compare(photo, 1.0, place)
figure

# %%
sr.plotting.slider(
    {"HR JPEG": small["HR"], "LR JPEG, LapSRN tuned": small["LR, LapSRN tuned"]},
    crop=place,
    zoom=4,
    title="The same budget of bytes: at most 0.3 bits a pixel",
)

# %% [markdown]
# Two kinds of harm: at few bytes HR has blocks and false colours, LR has soft edges, and of the three ways back the tuned one scores best. At many bytes HR is
# nearly perfect and LR is soft; and the tuned network, careful with blocks that are no longer there, falls behind the untuned one.
#
# A second opinion, nearer to the eye: the distance of VGG19's features (lesson 12). It needs that network's weights, and is left out
# where they are missing.

# %%
top, left, _, _ = place
window = np.s_[max(top - 60, 0) :, max(left - 60, 0) :]
vgg = sr.metrics.VGGDistance("vgg19/block3_conv3")


def vgg_distance(image):
    vgg.reset_state()
    parts = [sr.images.to_float(x[window][:176, :208])[None] for x in (photo, image)]
    vgg.update_state(*parts)
    return float(vgg.result())


try:
    # takes its time, and in FAST mode is left out
    for bits, images in [] if here.fast else [(0.3, small), (1.0, larger)]:
        for way, image in images.items():
            print(f"{bits:4} bits, {way:17} VGG distance {vgg_distance(image):6.0f}")
except OSError:
    print("Left out: the weights of VGG19 are not here and cannot be downloaded.")

# %% [markdown]
# Less is better. At few bytes the features of HR are further off than those of the enlarged photos, at many bytes nearer: the same verdict as
# above.
#
# And the network itself? It must be at the receiver, too: sent once, or part of the program. After how many photos is it worth its bytes?

# %%
way = curves["motorcycle", "LR, LapSRN tuned"]
hr_way = curves["motorcycle", "HR"]
same_psnr = np.interp(way[:, 1], hr_way[:, 1], hr_way[:, 0])  # bytes of an HR JPEG
savings = np.where(way[:, 1] > hr_way[0, 1], same_psnr - way[:, 0], 0)
most = savings.argmax()
file = sr.pretrained.find("lapsrn-x2-bsds-small")
print(f"at {way[most, 1]:.1f} dB: LR {way[most, 0]:,.0f} bytes", end=", ")
print(f"HR {same_psnr[most]:,.0f} bytes")
print(f"network: {file.stat().st_size:,} bytes", end=", ")
print(f"earned back after {file.stat().st_size / savings[most]:.0f} photos like this")

# %% [markdown]
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** How many convolutions of 3 x 3, one after the other at full size, see at least as many pixels as the five levels
# of the U-Net do for pixel 1000?

# %%
answer = None  # your number

first, last = field(5, 1000)
sr.course.check(answer, np.ceil((last - first) / 2))

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
# n convolutions see 2 n + 1 pixels; the U-Net sees last - first + 1 with its 18
answer = np.ceil((last - first) / 2)
sr.course.check(answer, np.ceil((last - first) / 2))
print(f"{answer:.0f}, where the U-Net has 18")

# %% [markdown]
# **Exercise 2.** For one pixel, five sharp answers are equally likely: 0.1, 0.2, 0.2, 0.7 and 0.8. What does a network learn that minimizes L2, and what
# with L1?

# %%
answer = None  # your pair (L2, L1)

sr.course.check(answer, (0.4, 0.2))

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
likely = np.array([0.1, 0.2, 0.2, 0.7, 0.8])
answer = likely.mean(), np.median(likely)
sr.course.check(answer, (0.4, 0.2))
print("the mean", round(answer[0], 3), "and the median", answer[1])

# %% [markdown]
# **Exercise 3.** Below the median: what do `fence` and `edge` become with the error `abs(e) ** 0.3`? For one pixel, where is the least mean error, at one of
# the answers or between them? Does that save the fence?

# %%
answer = None  # use `best`

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
fig, axes = plt.subplots(1, 3, figsize=(9, 2.2), layout="constrained")
values = np.linspace(0, 1, 201)
pixel = np.array([0.1, 0.2, 0.2, 0.7, 0.8])
for power in (2, 1, 0.3):
    error = np.mean(np.abs(values[:, None] - pixel) ** power, axis=1)
    axes[0].plot(values, error / error.min(), label=f"power {power}")
axes[0].set(xlabel="value", ylim=(0.95, 2), title="mean error of the pixel above")
axes[0].legend(frameon=False, fontsize=8)
for ax, name, answers in zip(axes[1:], ("fence", "edge"), (fence, edge), strict=True):
    found = best(answers, lambda e: np.abs(e) ** 0.3)
    ax.imshow(found[None], cmap="gray", vmin=0, vmax=1, aspect="auto")
    ax.set(xticks=[], yticks=[], title=f"{name}, power 0.3")
plt.show()
print("It is at an answer, so each pixel is sharp. But each pixel chooses alone, and")
print("a dark one is likelier: still no fence. A loss must look at pixels together.")

# %% [markdown]
# **Exercise 4.** Send the motorcycle four times smaller on each side, and enlarge it with `lapsrn-x4-bsds-small`. Draw the curve
# beside that of the tuned LapSRN x2. Below how many bytes is it the better one?

# %%
answer = None  # add a way to `ways`, and use `receive` and `quality_of`

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
ways["LR x4, LapSRN"] = 4, sr.models.load("lapsrn-x4-bsds-small")
photo, points = subjects["motorcycle"], []
for quality in qualities.tolist():
    num_bytes, image = receive(photo, "LR x4, LapSRN", quality)
    points.append((num_bytes, *quality_of(photo, image)))
curves["motorcycle", "LR x4, LapSRN"] = np.array(points)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for way in ("LR, LapSRN tuned", "LR x4, LapSRN"):
    points = curves["motorcycle", way]
    for ax, column in zip(axes, (1, 2), strict=True):
        ax.semilogx(points[:, 0] / 1000, points[:, column], marker="o", ms=3, label=way)
for ax, label in zip(axes, ("PSNR (dB)", "MS-SSIM"), strict=True):
    ax.set(xlabel="kB", ylabel=label, title=f"motorcycle: {label} on luma")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(plt.NullFormatter())
    ax.grid(alpha=0.3)
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# (Exercise 4, read it after your try:) left of the point where the curves cross, at two to three kilobytes, half the size again is better: the same trade, one step further down.
#
# **Exercise 5.** Train a network without any skip, not even that of the image: `sr.models.autoencoder(1, skips=False)`, and the same with skips.
# Look at a test photo. What can pass through the narrow code, and what cannot?

# %%
answer = None  # your networks; they can be fitted on `batches`, too

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
damaged, hr = tests[1]
pictures = {"damaged": damaged}
for skips in (False,) if here.fast else (False, True):
    model = sr.models.autoencoder(1, skips=skips)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, here.steps)
    model.compile(keras.optimizers.Adam(schedule), loss="mae")
    model.fit(batches, steps_per_epoch=here.steps, verbose=0)
    pictures["skips" if skips else "no skips"] = sr.upscale(model, damaged)
# 8 x 8 pixels of 3 colours become 32 numbers. After so few steps hardly more than one
# colour comes out; fine lines never would
sr.plotting.comparison(
    {**pictures, "HR": hr},
    scores=scores_of(pictures, hr),
    crop=(60, 30, 60, 90),
    columns=2,
    whole=False,
    title=f"After {here.steps} steps; PSNR (dB) / SSIM on luma, 1 pixel cut, 8 bits",
)

# %% [markdown]
# ## Summary
#
# - Restoration is super-resolution without enlarging: many clean photos fit one damaged photo.
# - A U-Net sees far at low cost, since each level has a quarter of the pixels. Its skips carry where things are exactly.
# - L2 asks for the mean of all plausible answers, L1 for the median of each pixel. Both can be something that never occurs.
# - An honest sharp answer costs up to 3 dB against the blurry mean.
# - At few bytes, a small JPEG that is enlarged beats a strong JPEG; at many bytes, HR wins. A network helps with the damage
#   that it was trained on, and can do harm elsewhere.
#
# ## Further reading
#
# - Ronneberger, Fischer and Brox, [U-Net](https://arxiv.org/abs/1505.04597), 2015: the network, for outlining cells.
# - Mao, Shen and Yang, [Image restoration using very deep convolutional encoder-decoder networks with symmetric skip
#   connections](https://arxiv.org/abs/1603.09056), 2016: the same idea for noise, blur and JPEG.
# - Zhao et al., [Loss functions for neural networks for image processing](https://arxiv.org/abs/1511.08861), 2015: L1, L2 and SSIM as losses.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why sharp answers cost PSNR, whatever
#   the method, and that 3 dB are enough to pay for it.
# - Bruckstein, Elad and Kimmel, Down-scaling for better transform compression, IEEE Transactions on Image Processing 12(9), 2003: why the
#   small photo wins at few bytes, before there were networks for it.
