# %% [markdown]
# # 6. U-Net: restore a damaged photo
#
# A photo has all its pixels, but they are blurred, noisy and compressed. A U-Net repairs them, its skips carry the detail, and its
# loss keeps the result blurry.
#
# ![The engine of a motorcycle, damaged and restored](figures/06_goal.jpg)
#
# *A photo with blur, noise and compression, and what a trained U-Net makes of it.*
#
# **You will be able to**
#
# - build a U-Net by hand, and say how large its receptive field is and what each level costs;
# - train it on damaged photos until the damage visibly recedes, and say which damage it has learned to repair;
# - show what its skips carry;
# - explain, by hand and on a photo, why a pixel loss produces blurry pictures.
#
# **You need** lessons 1 and 2 (PSNR, SSIM, degradations), lesson 3 (convolutions, residual learning) and lesson 4 (transposed
# convolution).
#
# **Time:** about 55 minutes to read the core, 55 for the exercises; 3 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/06_unet.ipynb) · [Student edition](student/06_unet.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/06_unet.py) · Previous: [5. Autoencoders and losses](05_autoencoders.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/05_autoencoders.ipynb)) · Next: [7. Perceptual loss: compare features, not pixels](07_perceptual.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/07_perceptual.ipynb)) · [All lessons](README.md)

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
    minutes=(0.5, 3, 2),
    filters=(4, 16, 16),
    num_levels=(2, 3, 4),
    num_batches=(2, 100, 1000),
    fitted=(2, 20, 20),
    steps=(6, 400, 4000),
    rounds=(3, 4, 5),
    deepest=(3, 5, 5),
)

# %% [markdown]
# ## Damage
#
# So far, pixels were missing. Old scans, cheap cameras and messaging apps damage photos in a different way: all the pixels are
# there, and all of them are slightly wrong. Here are four kinds of damage, applied one after the other. **Predict:** if you knew
# the four steps and all their settings, which of them could you undo exactly?

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
    "2. noise": d.GaussianNoise(0.06),
    "3. 24 levels": d.Quantize(24),
    "4. JPEG": d.JPEG(40),
}
stages, photo = {}, motorcycle
for name, step in steps.items():
    photo = step(photo, seed=1)
    stages[name] = photo
sr.plotting.degradations(motorcycle, stages, crop=engine)

# %% [markdown]
# None of them can be undone. The noise is random, rounding merges values for good, and JPEG rounds again. Even the blur, whose
# kernel is known, has pushed fine detail below the level of the noise. Restoration is ill-posed, like enlarging.
#
# The degradation `"crappify"` from lesson 2 draws the strengths and the order of the steps anew for each photo. At scale 1, it
# keeps the size. The name comes from fast.ai's course; our steps differ.

# %%
crappify = d.get("crappify", scale=1)
draws = {f"draw {seed}": crappify(motorcycle, seed=seed) for seed in range(5)}
sr.plotting.degradations(motorcycle, draws, crop=engine)

# %% [markdown]
# These are our test images: crops of two photos that are not used for training in this lesson, three times each, every time with
# another random draw. (The draws 0 to 2 are not those of the figure above.) The baseline is the score of the damaged photo itself.

# %%
crops = {
    "cat": data.chelsea()[30:270, 80:336],
    "motorcycle": motorcycle[180:420, 330:586],
}
names = [f"{name}, draw {i}" for i in range(3) for name in crops]
tests = sr.datasets.arrays(
    [*crops.values()] * 3, scale=1, degradation="crappify", names=names
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
# To tell noise and JPEG blocks from detail, a network has to look at the surroundings: is this dark spot isolated, or part of a line?
# On its way down (the *encoder*), a U-Net computes coarser and coarser maps, each half as large as the one before, to see farther. On
# its way up (the *decoder*), it returns to full size.
#
# At each level on the way up, the network also receives the map of the same size from the way down. This is a *skip connection*, or
# skip for short.
#
# ![The U-Net of the package](figures/06_unet.svg)
#
# *The U-Net of the package, drawn by `sr.plotting.diagram(sr.models.unet(1, num_levels=3))`; by default, it has five levels. C joins the
# channels of both maps. The uppermost line adds the image to the output. "Bicubic" does nothing at scale 1. Our networks have 8 or 16
# channels at the top.*
#
# The same by hand, for any number of levels:


# %%
def two_convs(x, filters):
    options = {"padding": "same", "activation": "relu"}
    options["kernel_initializer"] = "he_normal"  # suits ReLU
    for _ in range(2):
        x = layers.Conv2D(filters, 3, **options)(x)
    return x


def unet_by_hand(filters, num_levels):
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
    correction = layers.Conv2D(3, 1, kernel_initializer="zeros")(x)
    return keras.Model(image, image + correction)


# %% [markdown]
# With $f$ for everything between the photo $x$ and the last convolution, the output is
#
# $$y = x + f(x)$$
#
# The network learns only a correction, as in lesson 3. The original U-Net, which was designed to segment cells, does not add its
# input. The last convolution starts at zero, so that the first output is the damaged photo itself. The package's `unet` has the same
# layers, and with its weights our network gives the same output:

# %%
package = sr.models.unet(1, filters=8, num_levels=3)
by_hand = unet_by_hand(filters=8, num_levels=3)
by_hand.set_weights(package.get_weights())
damaged, hr = tests[1]
batch = sr.images.to_float(damaged)[None]
output = by_hand(batch)
np.testing.assert_allclose(output, package(batch), atol=1e-5)
print(f"{by_hand.count_params():,} weights, in {batch.shape}, out {output.shape}")

# %% [markdown]
# The network by hand needs sides that are multiples of 4. The package also accepts other sizes: it pads the image and crops the
# result.
#
# Next we look inside a trained U-Net that comes with the package. It has five levels, from 16 channels at the top to 256 at the
# bottom. The figure shows the mean over the channels at each level:

# %%
shipped = sr.models.load("unet-x1-bsds-small")
relus = [f"{side}_{i}_relu2" for i in range(4) for side in ("encoder", "decoder")]
relus.append("bottom_relu2")
inner = keras.Model(
    shipped.input, {name: shipped.get_layer(name).output for name in relus}
)
maps = inner.predict_on_batch(batch)

# %%
fig, axes = plt.subplots(2, 5, figsize=(13, 5.6), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
for level in range(5):
    for row, side in enumerate(("encoder", "decoder")):
        name = f"{side}_{level}_relu2" if level < 4 else "bottom_relu2"
        if level == 4 and row == 1:
            continue
        features = maps[name][0]
        height, width, depth = features.shape
        axes[row, level].imshow(features.mean(axis=-1), cmap="gray")
        title = f"{name}:\n{depth} channels of {height} x {width}"
        axes[row, level].set_title(title, fontsize=10)
plt.show()

# %% [markdown]
# Read the figure as a U: along the upper row from left to right, and back along the lower row. At the top left, the photo is still
# recognizable. In the next map, and in the last two on the way up (`decoder_1` and `decoder_0`), there are lines and edges. Farther
# to the right there are only blobs that roughly say what is where. The small squares on the right of the lower row are the
# checkerboard from lesson 4: each step up is a transposed convolution, whose 2 x 2 stamps do not overlap but have independent
# weights.
#
# ## Its receptive field
#
# The *receptive field* of an output pixel is the set of input pixels that influence it. We go backwards through the network. Each
# pair of 3 x 3 convolutions adds two pixels on each side. An enlarged pixel `p` comes from pixel `p // 2`, and a pooled pixel `p`
# comes from pixels `2 p` and `2 p + 1`:


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
# **Predict:** the five levels have 18 convolutions of 3 x 3. Stacked at full size, 18 such convolutions would see 37 pixels. How
# many does the U-Net see?

# %%
print("levels  sees  weights     multiplications at 1280x720")
for num_levels in range(1, here.deepest + 1):
    model = sr.models.unet(1, filters=16, num_levels=num_levels)
    first, last = field(num_levels, 1000)
    cost = sr.models.mult_adds(model, 1) / 1e9
    print(
        f"{num_levels:6} {last - first + 1:5} {model.count_params():9,} {cost:9.1f} G"
    )

# %% [markdown]
# It sees about 200 pixels. (The number depends a little on where the pixel lies in its block of 16 x 16: 204 for three of four, 188
# for the others. The table is for pixel 1000.) The second level multiplies the number of weights by nine. From the third on, each new
# level roughly quadruples it but adds only about the same number of multiplications, because a map with twice as many channels has a
# quarter of the pixels.
#
# That a network *can* see a pixel does not mean that it uses it. The gradient of one output pixel says how strongly each input
# pixel acts on it. We use the gradient of the correction, without the damaged photo that is added at the end. **Predict:** is the
# square filled evenly?

# %%
large = sr.images.to_float(crappify(motorcycle, seed=1))[None, 96:400, 256:560]
large = tf.convert_to_tensor(large)  # 304 x 304 pixels
with tf.GradientTape() as tape:
    tape.watch(large)
    correction = shipped(large) - large
    value = tf.reduce_sum(correction[0, 152, 152])
influence = np.abs(tape.gradient(value, large)[0]).sum(axis=-1)

first, last = field(5, 152)
outside = influence.copy()
outside[first : last + 1, first : last + 1] = 0
assert outside.max() == 0
near = influence[152 - 8 : 152 + 9, 152 - 8 : 152 + 9].sum() / influence.sum()
print(f"The nearest 17 x 17 pixels have {near:.0%} of the influence.")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3.9), layout="constrained")
axes[0].imshow(large[0])
axes[1].imshow(np.log10(influence + 1e-7), cmap="magma", vmin=-6)
axes[0].set_title("input", fontsize=10)
axes[1].set_title("influence on the centre pixel (log)", fontsize=10)
for ax in axes:
    side = last - first + 1
    frame = plt.Rectangle((first - 0.5, first - 0.5), side, side, fill=False)
    frame.set(edgecolor="#56B4E9", lw=1.5)
    ax.add_patch(frame)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Nothing outside the computed square has any influence, as the assertion confirms. Inside, there is a bright centre with a faint
# glow around it: the receptive field is large, but the network mostly uses nearby pixels.
#
# ## Training
#
# We train the network of this page on the four kinds of damage of the first figure, always at the same strengths. The training
# patches come from six photos. `min_contrast` rejects flat ones, such as the black sky, because they teach nothing about edges.
# Damaging a patch takes time, so we prepare a limited number of batches and go over them repeatedly. The loss is the mean absolute
# error of the pixels:
#
# $$L_1(y, \mathrm{HR}) = \mathrm{mean}\,|y - \mathrm{HR}|$$
#
# The learning rate rises during the first tenth of the steps (warm-up), because the first steps of a deep network are the least
# stable, and then falls along a cosine. The optimizer is SOAP, as in lesson 4.

# %%
known = d.Compose(list(steps.values()))  # blur, noise, 24 levels, JPEG
train = sr.datasets.samples(1, degradation=known)
print("training photos:", ", ".join(train.names))
batches = sr.pipeline.training_batches(
    train, lr_patch_size=64, batch_size=8, min_contrast=0.05
)
batches = batches.take(here.num_batches).cache().repeat()

# %%
lr_batch, hr_batch = next(iter(batches))
fig, axes = plt.subplots(2, 4, figsize=(11, 5.8), layout="constrained")
for column in range(4):
    axes[0, column].imshow(lr_batch[column])
    axes[1, column].imshow(hr_batch[column])
axes[0, 0].set_ylabel("input")
axes[1, 0].set_ylabel("target")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# We score on the cat and the motorcycle with the same damage. How far does one get without a network? As in lessons 3 and 4, the
# best linear filter is found by least squares on the training patches. `sr.course.linear_filter` does what you did by hand there.
# Each output pixel is a weighted sum of the 7 x 7 pixels around it, with the same weights everywhere. **Predict:** what can one
# filter do against noise and blur at the same time?

# %%
known_tests = sr.datasets.arrays(
    list(crops.values()), scale=1, degradation=known, names=list(crops)
)
linear = sr.course.linear_filter(batches.take(here.fitted), scale=1)
known_start, known_linear = (
    sr.evaluate(method, known_tests)["mean"]["psnr_y"] for method in (nothing, linear)
)
print(f"nothing {known_start:.2f} dB, the best linear filter {known_linear:.2f} dB")

# %% [markdown]
# After each part of the training, we keep the output of the network for the motorcycle.

# %%
known_damaged, known_hr = known_tests[1]
log = [{"step": 0, "psnr_y": known_start}]
snapshots = {"step 0": known_damaged}


class Progress(keras.callbacks.Callback):
    """Scores the network after every epoch, and keeps its output for one photo."""

    def on_epoch_end(self, epoch, logs):
        step = (epoch + 1) * (here.steps // here.rounds)
        mean = sr.evaluate(self.model, known_tests)["mean"]
        log.append({"step": step, "loss": logs["loss"], "psnr_y": mean["psnr_y"]})
        snapshots[f"step {step}"] = sr.upscale(self.model, known_damaged)


# %%
keras.utils.set_random_seed(0)
ours = unet_by_hand(here.filters, here.num_levels)
schedule = keras.optimizers.schedules.CosineDecay(
    3e-4, here.steps, warmup_target=3e-3, warmup_steps=here.steps // 10
)
soap = sr.optimizers.SOAP(schedule, beta_2=0.99, precondition_frequency=20)
ours.compile(soap, loss="mae")
start = time.perf_counter()
ours.fit(
    batches,
    steps_per_epoch=here.steps // here.rounds,
    epochs=here.rounds,
    callbacks=[Progress()],
    verbose=0,
)
print(f"{log[-1]['step']} steps in {time.perf_counter() - start:.0f} s")
print(f"PSNR from {log[0]['psnr_y']:.2f} to {log[-1]['psnr_y']:.2f} dB")

# %%
sr.plotting.history(
    log,
    baselines={"nothing": known_start, "linear filter": known_linear},
    title="U-Net x1, PSNR on luma, 1 pixel cut, cat and motorcycle, known damage",
)

# %% [markdown]
# **Predict:** which damage disappears first, the noise, the blocks or the blur?

# %%
from sr_keras.evaluation import score


def scores_of(images, hr, border=1):
    found = {name: score(hr, image, border) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in found.items()}


strip = {"damaged (step 0)": known_damaged}
strip["the best linear filter"] = sr.upscale(linear, known_damaged)
strip |= {name: snapshots[name] for name in (list(snapshots)[1], list(snapshots)[-1])}
sr.plotting.comparison(
    {**strip, "HR": known_hr},
    scores=scores_of(strip, known_hr),
    crop=(60, 10, 130, 170),
    columns=2,
    whole=False,
    title="The network as it learns: PSNR (dB) / SSIM on luma, 1 pixel cut, 8 bits",
)

# %% [markdown]
# The linear filter must compromise: what removes noise also blurs edges, and what sharpens edges amplifies noise. It gains 0.8 dB on
# average (0.5 dB on this photo), and leaves a coarser grain in flat areas, such as the floor. The network can treat an edge
# differently from a flat area. After a quarter of the steps, the noise and the blocks are almost gone, and it has passed the filter.
# At the end, edges are sharper, and it is 0.5 dB above the filter on average. Blotches of wrong colour remain. The fins of the engine,
# which the blur merged, do not come back.
#
# ## Damage that the network does not know
#
# How does it do on the six test crops, which `crappify` has damaged with random strengths? For comparison, we take the shipped
# network. It has the same kind of layers and five levels, and was trained on this damage, on several hundred photos:

# %%
history = sr.weights.history(sr.weights.find("unet-x1-bsds-small"))
recipe = history["recipe"]
patch_size = f"{recipe['lr_patch_size']} x {recipe['lr_patch_size']}"
print(f"{recipe['steps']} steps of {recipe['batch_size']} patches of {patch_size},")
print(f"{history['seconds'] / 60:.0f} minutes on one core; photos of {recipe['data']}")
compared = {"linear filter": linear, "ours": ours, "shipped": shipped}
results = {name: sr.evaluate(method, tests) for name, method in compared.items()}
print(f"{'':19} nothing linear   ours   shipped   PSNR on luma (dB), 1 pixel cut")
for i, name in enumerate(tests.names):
    row = [untouched["images"][i], *(r["images"][i] for r in results.values())]
    print(f"{name:19}", "   ".join(f"{scores['psnr_y']:.2f}" for scores in row))
assert results["shipped"]["mean"]["psnr_y"] > untouched["mean"]["psnr_y"] + 0.3
known_shipped = sr.evaluate(shipped, known_tests)["mean"]["psnr_y"]
print(f"known damage: shipped {known_shipped:.2f} dB, ours {log[-1]['psnr_y']:.2f} dB")

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
    crop=(60, 10, 130, 170),
    columns=2,
    whole=False,
    title="motorcycle, draw 0: PSNR (dB) / SSIM on luma, 1 pixel cut, 8 bits",
)

# %%
sr.plotting.slider(
    {"damaged": damaged, "shipped U-Net": restored["shipped"]},
    crop=(50, 10, 130, 180),
    zoom=3,
    title="motorcycle, draw 0",
)

# %% [markdown]
# Each network is good at the damage of its training. On the known damage, ours is about half a decibel better than the shipped one,
# which has many times the weights and was trained for much longer, and which is only level with the linear filter here. On the random
# draws it is the other way round. Ours gains on the motorcycles of draws 0 and 1, which are damaged about as strongly as its training
# data, and loses up to 3.1 dB on photos that were hardly damaged, because it removes blur and noise that are not there. The linear
# filter, fitted to the same damage, changes a photo less: on the other four crops it is closer to HR than our network. The shipped
# network has seen all strengths. It raises the PSNR of four crops by up to 2 dB, but the cats of draws 1 and 2 lose 0.8 and 1.0 dB
# with it, too.
#
# ## Cut the skips
#
# What does a skip carry? We replace it with zeros and see what is missing. The first convolution after `Concatenate` has the
# weights for the channels of the skip first, so it is enough to set half of its weights to zero.


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
# The output is the damaged photo plus a correction, which makes a missing correction hard to see. We therefore look at the
# correction itself, amplified four times, with grey for zero. **Predict:** how fine will it be without the top skip? And without
# any skips?

# %%
experiments = {
    "all skips": [],
    "without the top skip": [0],
    "without the top two": [0, 1],
    "without any skips": [0, 1, 2, 3],
}
batch = sr.images.to_float(damaged)[None]
outputs = {}
for name, levels in experiments.items():
    outputs[name] = keras.ops.convert_to_numpy(cut(shipped, levels)(batch))[0]
corrections = {name: output - batch[0] for name, output in outputs.items()}
pictures = {k: np.clip(0.5 + 4 * v, 0, 1) for k, v in corrections.items()}
needed = np.clip(0.5 + 4 * (sr.images.to_float(hr) - batch[0]), 0, 1)
sr.plotting.comparison(
    {**pictures, "HR minus damaged": needed},
    crop=(60, 10, 110, 120),
    columns=3,
    whole=False,
    title="Corrections, amplified four times; grey is zero",
)

# %% [markdown]
# Without the top skip, everything that the last level receives has passed through pooling: its maps are half-size maps enlarged again.
# One level further down they are quarter-size maps, and so on. In the picture, the lines then keep their places but are weaker, and
# the fine grain that removes the noise is gone. Without the top two skips, only an even, greenish tint is left. This network works
# mostly with the fine maps. (The test does not measure what the deep levels add to the fine maps. For that, one would train networks
# of different depth.) (Part of this may be because zeros are unusual values here: after a ReLU, the maps are positive on average.)

# %%
cut_results = {k: sr.images.to_integer(output) for k, output in outputs.items()}
sr.plotting.comparison(
    {"damaged": damaged, **cut_results, "HR": hr},
    scores=scores_of({"damaged": damaged, **cut_results}, hr),
    crop=(60, 10, 110, 120),
    columns=3,
    whole=False,
    title="The results: PSNR (dB) / SSIM on luma, 1 pixel cut, 8 bits",
)

# %% [markdown]
# All four outputs still show the motorcycle, because the damaged photo itself is added at the end, which is the longest skip.
#
# Note that *this* network was trained with skips. One trained without them would have to learn a different solution (exercise 4 shows
# its first steps).
#
# ## Why it is blurry
#
# Take a photo of a fence in which every fourth pixel is bright, and suppose it is so badly damaged that nobody can tell where the
# bright pixels are. Four answers are possible, and each is sharp. As a second example, an edge may be at any of five positions.
# **Predict:** which single row of pixels is, on average, closest to all possible answers?

# %%
fence = np.array([[float(x % 4 == k) for x in range(16)] for k in range(4)])
edge = np.array([[float(x >= k) for x in range(16)] for k in (4, 6, 8, 10, 12)])


def best(answers, error):
    """Tries 101 values for each pixel and returns the one with the least mean error."""
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
axes[0, 0].set_title("fence: four answers, one per row", fontsize=10)
axes[0, 1].set_title("edge: five answers", fontsize=10)
plt.show()

# %% [markdown]
# The squared error (L2) is minimized by the **mean**: the fence becomes uniform grey and the edge a ramp. The absolute error (L1)
# is minimized by the **median**: the edge is sharp and in the middle, but the fence disappears, because each pixel is dark in three
# answers out of four.
#
# $$\arg\min_a \mathbb{E}\,(x - a)^2 = \text{mean of } x, \qquad \arg\min_a \mathbb{E}\,|x - a| = \text{median of } x$$
#
# Of these four results, only L1's edge is a possible photo. This is the blur of pixel losses: it is not caused by too little
# training but by the loss itself.
#
# ## The mean and the median on a photo
#
# Real photos also have many possible answers. Our example is grass. The upper half of a photo shows what grass can look like. In
# the lower half, we know only the means of blocks of 4 x 4 pixels.

# %%
grass = data.grass()
known, unknown = grass[:256], grass[300:428, 100:292]
downscale = d.Downscale(4, "area")
size = 8  # pixels of a patch; 2 x 2 means of it are known


def cut_patches(image, step):
    """Returns all patches (number, 8, 8) at every `step`-th place."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return sr.images.to_float(windows[::step, ::step].reshape(-1, size, size))


def means(patches):
    """Returns the 2 x 2 means of each patch as four numbers."""
    return patches.reshape(-1, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(-1, 4)


# %% [markdown]
# For each 8 x 8 patch of the unknown half, we look up the 24 patches of known grass whose four means are closest. Each of them is a
# plausible, sharp answer.

# %%
examples, truth = cut_patches(known, 2), cut_patches(unknown, size)
a, b = means(truth), means(examples)
distance = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
nearest = np.argsort(distance, axis=1)[:, :24]
answers = examples[nearest]  # (patches, 24, 8, 8)
error = np.abs(means(answers.reshape(-1, size, size)) - np.repeat(a, 24, axis=0))
print(f"{len(examples)} examples; the means differ by {255 * error.mean():.1f} of 255")

# %%
patch = int(np.argsort(truth.std(axis=(1, 2)))[len(truth) // 2])  # of median contrast
row = [truth[patch], *answers[patch, :7]]
row += [answers[patch].mean(axis=0), np.median(answers[patch], axis=0)]
titles = ["truth", *[f"answer {i}" for i in range(1, 8)], "mean", "median"]
fig, axes = plt.subplots(2, 5, figsize=(10, 4.4), layout="constrained")
for ax, picture, title in zip(axes.flat, row, titles, strict=True):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Predict:** we now fill the whole picture, once with the best-matching patches and once with the means of the 24 patches. Which
# of the two has the higher PSNR, and by roughly how much?


# %%
def assemble(patches):
    """Puts patches back where they were cut from `unknown`."""
    rows, columns = (side // size for side in unknown.shape)
    tiles = patches.reshape(rows, columns, size, size).transpose(0, 2, 1, 3)
    return sr.images.to_integer(tiles.reshape(unknown.shape))


# %%
filled = {
    "LR": downscale(unknown[..., None]),
    "one answer": assemble(answers[:, 0]),
    "mean of 24": assemble(answers.mean(axis=1)),
    "median of 24": assemble(np.median(answers, axis=1)),
}
scores = {
    name: score(unknown[..., None], image[..., None], 0)["psnr_y"]
    for name, image in filled.items()
    if name != "LR"
}
sr.plotting.comparison(
    {**filled, "truth": unknown},
    scores=scores,
    crop=(0, 0, 96, 128),
    columns=3,
    whole=False,
    title="Grass from its 4 x 4 means; PSNR (dB), no border cut",
)

# %% [markdown]
# PSNR prefers the blurry picture, by 2.8 dB. If the true patch and the answer are two independent draws from the same distribution,
# their expected squared difference is *twice* the variance. The expected squared difference from the mean is the variance once. The
# ratio of 2 corresponds to $10 \log_{10} 2 = 3.01$ dB. With only 24 patches, it is smaller:

# %%
one = np.mean((answers[:, 0] - truth) ** 2)
mean = np.mean((answers.mean(axis=1) - truth) ** 2)
print(f"squared error: one answer {one:.4f}, mean {mean:.4f}, ratio {one / mean:.2f}")
print(f"in theory, with a mean of 24: {2 / (1 + 1 / 24):.2f}")
assert one > 1.4 * mean

# %% [markdown]
# Therefore, a method that draws one of the plausible answers at random loses 3 dB to their blurry mean. A network trained for PSNR
# learns to blur whatever it is unsure of. (Our U-Nets minimize L1, so they tend to the median. On the grass, it is as blurry as the
# mean.)
#
# Does a U-Net do this? We look at the spectrum of the shipped one, for a motorcycle with blur, noise and JPEG: how much contrast is
# there at each spatial frequency, in HR and in the result? For comparison we add the same network after further training with a
# *perceptual* loss, the subject of lesson 7. (It has also seen more steps and more photos, with Adam and a moving average of its
# weights, so the loss is not the only difference.)

# %%
perceptual = sr.models.load("unet-x1-photos-perceptual")
damage = d.Compose([d.GaussianBlur(1.5), d.GaussianNoise(0.03), d.JPEG(50)])
damaged = damage(motorcycle, seed=3)
versions = {
    "damaged": damaged,
    "pixel loss": sr.upscale(shipped, damaged, tile=None),
    "perceptual loss": sr.upscale(perceptual, damaged, tile=None),
    "HR": motorcycle,
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
    scores=scores_of({k: v for k, v in versions.items() if k != "HR"}, motorcycle),
    crop=(316, 496, 90, 130),
    columns=2,
    whole=False,
    title="PSNR (dB) / SSIM on luma, 1 pixel cut, 8 bits",
)

# %% [markdown]
# Compare the curves in the right half, where the fine structures are, and then the pictures. What is missing there is what we see as
# blur. The pixel loss even ends below the damaged photo, whose finest "structures" are noise. Above about 0.15 periods per pixel, the
# perceptual loss keeps more than the pixel loss, which looks a little rougher, and is still far below HR. Which picture do you prefer,
# and which one does PSNR prefer? Lesson 7 starts with this question.

# %% [markdown]
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** How many convolutions of 3 x 3, one after the other at full size, see at least as many pixels as the five levels
# of the U-Net do for pixel 1000?

# %%
answer = None  # your number

sr.course.check(answer, "06.1")

# %% tags=["solution"]
# @title Solution 1
# n convolutions see 2 n + 1 pixels; the U-Net sees last - first + 1 with its 18
first, last = field(5, 1000)
answer = np.ceil((last - first) / 2)
sr.course.check(answer, "06.1")
print(f"{answer:.0f}, and the U-Net has 18")

# %% [markdown]
# **Exercise 2.** For one pixel, five sharp answers are equally likely: 0.1, 0.2, 0.2, 0.7 and 0.8. What value does a network learn
# if it minimizes L2, and what value with L1?

# %%
answer = None  # your pair (L2, L1)

sr.course.check(answer, "06.2")

# %% tags=["solution"]
# @title Solution 2
likely = np.array([0.1, 0.2, 0.2, 0.7, 0.8])
answer = likely.mean(), np.median(likely)
sr.course.check(answer, "06.2")
print("the mean", round(answer[0], 3), "and the median", answer[1])

# %% [markdown]
# **Exercise 3.** What do `fence` and `edge` become with the error `abs(e) ** 0.3`, whose power is below that of L1? For the pixel
# of exercise 2, is the mean error smallest at one of the five answers or between them? Does this bring back the fence?

# %%
answer = None  # use `best`

# %% tags=["solution"]
# @title Solution 3
fig, axes = plt.subplots(1, 3, figsize=(9, 2.2), layout="constrained")
values = np.linspace(0, 1, 201)
pixel = np.array([0.1, 0.2, 0.2, 0.7, 0.8])
for power in (2, 1, 0.3):
    error = np.mean(np.abs(values[:, None] - pixel) ** power, axis=1)
    axes[0].plot(values, error / error.min(), label=f"power {power}")
axes[0].set(xlabel="value", ylim=(0.95, 2), title="mean error of the pixel above")
axes[0].legend(frameon=False, fontsize=8)
for ax, (name, possible) in zip(
    axes[1:], {"fence": fence, "edge": edge}.items(), strict=True
):
    found = best(possible, lambda e: np.abs(e) ** 0.3)
    ax.imshow(found[None], cmap="gray", vmin=0, vmax=1, aspect="auto")
    ax.set(xticks=[], yticks=[], title=f"{name}, power 0.3")
plt.show()
print("The minimum is at one of the answers, so each pixel is sharp. But each pixel is")
print("chosen independently, and dark is likelier, so there is still no fence.")
print("A loss has to look at several pixels together.")

# %% [markdown]
# **Exercise 4.** Write the network of this page without any skips, not even the one that adds the image. With
# `keras.optimizers.Adam(2e-3)` and `loss="mae"`, train both for a quarter of the steps on `batches`, and compare them on a test photo.
# What passes through the coarse middle in so few steps, and what does not?

# %%
answer = None  # your networks


# %% tags=["solution"]
# @title Solution 4
def without_skips(filters, num_levels):
    image = x = keras.Input((None, None, 3))
    for level in range(num_levels - 1):
        x = layers.MaxPooling2D(2)(two_convs(x, filters * 2**level))
    x = two_convs(x, filters * 2 ** (num_levels - 1))
    for level in reversed(range(num_levels - 1)):
        x = layers.Conv2DTranspose(filters * 2**level, 2, strides=2)(x)
        x = two_convs(x, filters * 2**level)
    return keras.Model(image, layers.Conv2D(3, 1)(x))


# %% tags=["solution"]
pictures = {"damaged": known_damaged}
for name, build in (("no skips", without_skips), ("skips", unet_by_hand)):
    keras.utils.set_random_seed(0)
    model = build(here.filters, here.num_levels)
    model.compile(keras.optimizers.Adam(2e-3), loss="mae")
    model.fit(batches, steps_per_epoch=max(here.steps // 4, 1), verbose=0)
    pictures[name] = sr.upscale(model, known_damaged)
sr.plotting.comparison(
    {**pictures, "HR": known_hr},
    scores=scores_of(pictures, known_hr),
    crop=(60, 10, 130, 170),
    columns=2,
    whole=False,
    title=f"After {here.steps // 4} steps; PSNR (dB) / SSIM on luma, 1 pixel cut",
)

# %% [markdown] tags=["solution"]
# Without skips, blurred shapes with rough colours come out, far below the damaged photo in PSNR, with the checkerboard of the
# transposed convolutions. The middle has room for everything (64 channels for 4 x 4 x 3 = 48 numbers), but without the added image
# the network starts from nothing, and in so few steps the decoder learns neither the exact colours nor the lines. With skips, the
# network starts from the damaged photo and has already removed much of the noise.

# %% [markdown]
# **Exercise 5.** A photo has to be sent over a slow connection, and the receiver can compute. Is it better to send a strongly
# compressed JPEG of full size, or a less compressed one of half the size that is enlarged afterwards? Draw PSNR against kilobytes
# for a part of the motorcycle, with bicubic interpolation and with `lapsrn-x2-bsds-small`, a network of lesson 9.

# %%
answer = None  # three curves; `PIL.Image.save` writes a JPEG into an `io.BytesIO`

# %% tags=["solution"]
# @title Solution 5
import io

from PIL import Image

part = motorcycle[96:480, 320:736]
for name, factor, network in (
    ("HR", 1, nothing),
    ("LR, bicubic", 2, sr.models.bicubic(2)),
    ("LR, LapSRN", 2, sr.models.load("lapsrn-x2-bsds-small")),
):
    points = []
    for quality in (3, 8, 20, 45, 75, 95):
        file = io.BytesIO()
        sent = Image.fromarray(d.Downscale(factor)(part))
        sent.save(file, "JPEG", quality=quality)
        received = sr.upscale(network, np.asarray(Image.open(file)), tile=None)
        kilobytes = len(file.getvalue()) / 1000
        points.append((kilobytes, score(part, received, 2)["psnr_y"]))
    plt.semilogx(*np.transpose(points), "o-", label=name)
plt.gca().set(xlabel="kB", ylabel="PSNR on luma (dB), 2 pixels cut")
plt.xticks((2, 5, 10, 20, 50), (2, 5, 10, 20, 50))
plt.minorticks_off()
plt.legend(frameon=False)
plt.show()

# %% [markdown] tags=["solution"]
# At few bytes, the small photo wins, because a full-size JPEG of so few bytes breaks into blocks. At many bytes, the full-size JPEG
# wins: the small photo has lost its fine detail before it was compressed. At few bytes, LapSRN is slightly worse than bicubic
# interpolation, because it also sharpens the blocks.

# %% [markdown]
# ## Summary
#
# - Restoration is ill-posed, like super-resolution: many clean photos are consistent with one damaged photo.
# - A U-Net has a large receptive field at low cost, because each level has a quarter of the pixels of the one above. Its skips
#   carry the fine maps, and with them most of the correction.
# - L2 is minimized by the mean of all plausible answers, and L1 by the median of each pixel. Both can be impossible images.
# - A sharp answer drawn at random from the plausible ones costs 3 dB of PSNR compared with their mean.
# - A network repairs the damage that it was trained on, and can make other images worse.
#
# ## Further reading
#
# - Ronneberger, Fischer and Brox, [U-Net](https://arxiv.org/abs/1505.04597), 2015: the network, for segmenting cells.
# - Zhang and others, [Beyond a Gaussian denoiser](https://arxiv.org/abs/1608.03981), 2016: DnCNN.
# - Mao, Shen and Yang, [Image restoration using very deep convolutional encoder-decoder networks with symmetric skip
#   connections](https://arxiv.org/abs/1603.09056), 2016: the same idea for noise, blur and JPEG.
# - Zhao et al., [Loss functions for neural networks for image processing](https://arxiv.org/abs/1511.08861), 2015: L1, L2 and SSIM
#   as losses.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why the best PSNR and the most
#   realistic pictures exclude each other, and that perfect realism need not cost more than 3 dB.
