# %% [markdown]
# # 4. ESPCN and FSRCNN: enlarge at the end
#
# Post-upsampling: sub-pixel convolution and deconvolution by hand, checkerboards and ICNR, and how much computing at low resolution
# saves.
#
# ![The engine of a motorcycle: bicubic interpolation, a linear filter, ESPCN and HR](figures/04_goal.jpg)
#
# *Bicubic interpolation, the best linear filter, the network that you will train in this lesson, and the package's ESPCN, which
# was trained on hundreds of photos. Both networks compute at LR size and enlarge at the end.*
#
# **You will be able to**
#
# - write the pixel shuffle, and say which channel becomes which pixel;
# - write a transposed convolution, and convert a sub-pixel convolution into one;
# - explain why networks start with a checkerboard, and initialize one without it;
# - count the multiplications of SRCNN, ESPCN and FSRCNN, and know what the count leaves out;
# - train an ESPCN that beats bicubic interpolation and the best linear filter.
#
# **You need** lesson 1 (interpolation, PSNR) and lesson 3 (SRCNN, residual learning).
#
# **Time:** about 75 minutes to read the core, 50 for the exercises; 4 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# **Optional** section, 5 minutes more: *why SOAP?*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/04_espcn.ipynb) · [Student edition](student/04_espcn.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/04_espcn.py) · Previous: [3. SRCNN: interpolate first, then correct](03_srcnn.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/03_srcnn.ipynb)) · Next: [5. Autoencoders and losses](05_autoencoders.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/05_autoencoders.ipynb)) · [All lessons](README.md)

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
    minutes=(0.5, 4, 2),
    steps=(200, 1000, 10000),
    rounds=(4, 5, 10),
    short=(30, 150, 150),
    fitted=(20, 60, 60),
)

# %% [markdown]
# ## First or last?
#
# SRCNN enlarges first: bicubic interpolation makes nine pixels out of one (at x3), and every convolution then has to process all
# nine. But the interpolation added no information.
#
# ![Enlarging first, and enlarging last](figures/04_upsampling.svg)
#
# The upper row is *pre-upsampling*, as in SRCNN. The lower row is *post-upsampling*, as in ESPCN and FSRCNN.

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

scale = 3
pairs = sr.datasets.samples(scale, split="validation")
lr_file, hr_file = pairs[0]  # the cat
lr, hr = sr.images.to_float(lr_file), sr.images.to_float(hr_file)
print("LR", lr.shape, "HR", hr.shape)

# %% [markdown]
# *Post-upsampling* applies its convolutions to the LR image and enlarges at the very end. How can a trainable layer enlarge an
# image? An ordinary convolution keeps the height and width, but it can have any number of output channels:

# %%
features = keras.layers.Conv2D(27, 3, padding="same")(lr[None])
print(lr[None].shape, "->", features.shape)
print("numbers in the features:", np.prod(features.shape), "in HR:", hr.size)

# %% [markdown]
# With 27 channels, the features have exactly as many numbers as HR: 3 colours for each of 3 x 3 pixels. They only have to be
# rearranged.
#
# ## From depth to size
#
# The *pixel shuffle* trades depth for size: every `scale**2` channels of a pixel become a tile of `scale x scale` pixels. It is the
# inverse of the reshape into tiles in lesson 1.
#
# For a scale $s$ and $C$ colours, where $0 \le i, j < s$ are the row and the column in the tile and $c$ is the colour:
#
# $$y_{s m + i,\; s n + j,\; c} = x_{m,\; n,\; (s i + j)\, C + c}$$


# %%
def shuffle(x, scale):
    height, width, depth = x.shape
    channels = depth // scale**2
    x = x.reshape(height, width, scale, scale, channels)
    x = x.transpose(0, 2, 1, 3, 4)  # row, row in the tile, column, column in the tile
    return x.reshape(height * scale, width * scale, channels)


# %% [markdown]
# We take 2 x 2 pixels with four channels, in which each value is the number of its channel. **Predict:** where in each 2 x 2 tile
# will channel 1 land, to the right of channel 0 or below it?

# %%
small = np.tile(np.arange(4.0), (2, 2, 1))  # channel k holds the value k
tiles = shuffle(small, 2)
package = sr.layers.PixelShuffle(2)(small[None])[0]
np.testing.assert_allclose(tiles, package)

fig, axes = plt.subplots(1, 5, figsize=(9, 2.2), layout="constrained")
pictures = [small[..., k] for k in range(4)] + [tiles[..., 0]]
for ax, picture in zip(axes, pictures, strict=True):
    ax.imshow(picture, cmap="tab10", vmin=0, vmax=9)
    for (down, right), value in np.ndenumerate(picture):
        ax.text(right, down, f"{value:.0f}", ha="center", va="center", color="white")
    ax.set(xticks=[], yticks=[])
for k, ax in enumerate(axes[:4]):
    ax.set_title(f"channel {k}", fontsize=10)
axes[4].set_title("shuffled", fontsize=10)
plt.show()

# %% [markdown]
# It lands to the right: a tile is filled row by row, like a page of text. With colours, the first three channels are the red, green
# and blue of the first pixel, and the next three belong to its right neighbour.
#
# The inverse operation takes an image apart. **Predict:** unshuffle HR and look at nine of the 27 channels, the green ones. What do
# they show?


# %%
def unshuffle(image, scale):
    height, width, channels = image.shape
    x = image.reshape(height // scale, scale, width // scale, scale, channels)
    x = x.transpose(0, 2, 1, 3, 4)
    return x.reshape(height // scale, width // scale, scale**2 * channels)


deep = unshuffle(hr, scale)
np.testing.assert_array_equal(shuffle(deep, scale), hr)

# %%
fig, axes = plt.subplots(3, 3, figsize=(11, 8), layout="constrained")
for k, ax in enumerate(axes.flat):
    ax.imshow(deep[20:60, 30:90, 3 * k + 1], cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"row {k // 3}, column {k % 3} in the tile", fontsize=9)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# They show nine nearly identical eyes, each shifted by a third of an LR pixel, much like the many shifted photos in lesson 1. This
# is the task of a sub-pixel network: given one coarse photo, predict the nine that make up the large one.
#
# The simplest prediction is that all nine are equal to LR. **Predict:** which interpolation method is that?

# %%
nine_copies = shuffle(np.tile(lr, 9), scale)
nearest = sr.models.nearest(scale)(lr[None])[0]
np.testing.assert_allclose(nine_copies, nearest, atol=1e-6)

# %% [markdown]
# It is nearest-neighbour interpolation, as the assertion confirms. Below, this helps to remove an artefact.
#
# ## ESPCN
#
# The network of Shi and others has three convolutions, all at low resolution, followed by the pixel shuffle. The authors found tanh
# better than ReLU as the activation. Their network enlarges luma; ours takes RGB.
#
# ![ESPCN](figures/04_espcn.svg)
#
# *Drawn from the network by `sr.plotting.diagram(sr.models.espcn(3))`. Boxes drawn higher up work on larger feature maps. This is
# the default for luma, with 9 channels before the shuffle; ours takes RGB and has 27.*


# %%
def network(initializer):
    conv = keras.layers.Conv2D
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            conv(64, 5, padding="same", activation="tanh"),
            conv(32, 3, padding="same", activation="tanh"),
            conv(3 * scale**2, 3, padding="same", kernel_initializer=initializer),
            sr.layers.PixelShuffle(scale),
        ]
    )


# %%
untrained = network("glorot_uniform")
package = sr.models.espcn(scale, channels=3)
package.set_weights(untrained.get_weights())
np.testing.assert_allclose(untrained(lr[None]), package(lr[None]), atol=1e-5)
print("parameters:", untrained.count_params())

# %% [markdown]
# The same weights give the same picture, so the package's `espcn` consists of these four layers. Only the initialization of its
# last convolution differs, and that is the next topic.
#
# ## A checkerboard before training
#
# `untrained` has random weights. **Predict:** we give it a flat grey image with all pixels at 0.5. Will the output be flat?

# %%
grey = np.full((1, 16, 16, 3), 0.5, "float32")
output = keras.ops.convert_to_numpy(untrained(grey))[0]
middle = output[15:33, 15:33]  # far from the border
print("one tile, green:\n", middle[:3, :3, 1].round(2))

# %% [markdown]
# For each colour, the nine filters of a tile were initialized independently, so they respond to the same grey with nine different
# values, and these repeat in every tile. The next figure shows the output as pictures, stretched from the darkest to the brightest
# value:


# %%
def stretched(image):
    return (image - image.min()) / (image.max() - image.min() + 1e-6)


eye = (60, 80, 105, 150)  # the cat's eye: top, left, height, width
print(f"output for flat grey: values from {middle.min():.2f} to {middle.max():.2f}")
photo = keras.ops.convert_to_numpy(untrained(lr[None]))[0]
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
axes[0].imshow(stretched(middle), interpolation="nearest")
axes[1].imshow(stretched(photo)[60:150, 90:225], interpolation="nearest")
for ax, title in zip(axes, ("flat grey", "the cat"), strict=True):
    ax.set_title(f"untrained network, {title}", fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The pattern repeats every three pixels in both directions. It is called a *checkerboard artefact*, and training has to remove it.
# We can avoid it by giving the nine filters of each colour the same initial weights. This initialization is called ICNR
# (initialized to convolution with nearest-neighbour resize), and by hand it is one line, `np.tile`.

# %%
glorot = keras.initializers.GlorotUniform(seed=7)
one = keras.ops.convert_to_numpy(glorot((3, 3, 32, 3)))  # a filter for each colour
nine = np.tile(one, 9)

package = sr.layers.ICNR(scale, keras.initializers.GlorotUniform(seed=7))
np.testing.assert_array_equal(nine, package((3, 3, 32, 27)))
print(one.shape, "->", nine.shape)

# %% [markdown]
# **Predict:** we take the same network, but initialize its last convolution with ICNR. What will the output be for flat grey, and
# what for the cat?

# %%
with_icnr = network(sr.layers.ICNR(scale))
with_icnr.layers[0].set_weights(untrained.layers[0].get_weights())
with_icnr.layers[1].set_weights(untrained.layers[1].get_weights())
output = keras.ops.convert_to_numpy(with_icnr(grey))[0, 15:33, 15:33]
print("flat grey: largest difference of two pixels:", np.ptp(output, axis=(0, 1)))

# %%
candidates = {"independent filters": untrained, "ICNR": with_icnr}
outputs = {}
for name, candidate in candidates.items():
    outputs[name] = keras.ops.convert_to_numpy(candidate(lr[None]))[0]
shown = {name: stretched(output) for name, output in outputs.items()}
sr.plotting.comparison(
    {"LR": lr, **shown, "HR": hr},
    crop=eye,
    columns=2,
    whole=False,
    title="Before any training",
)

# %% [markdown]
# Flat grey stays flat. The cat has wrong colours because nothing is trained yet, but its blocks are the LR pixels, as in the
# nearest-neighbour interpolation above.
#
# Does the pattern disappear during training? We measure it by the standard deviation of the nine means, one for each position in
# the tile.


# %%
def checkers(image):
    """Returns the standard deviation of the nine means, in grey levels.

    It is computed for each colour and averaged.
    """
    height, width, channels = image.shape
    tiles = image.reshape(height // scale, scale, width // scale, scale, channels)
    return 255 * tiles.mean(axis=(0, 2)).std(axis=(0, 1)).mean()


print(f"HR: {checkers(hr):.2f}")
for name, output in outputs.items():
    print(f"{name}: {checkers(output):.2f}")

# %% [markdown]
# Now both networks are trained on the same patches, from photos that do not include the cat. Every few steps, we measure the
# pattern on the cat. **Predict:** will the two curves meet?

# %%
train_pairs = sr.datasets.samples(scale)
print("training photos:", ", ".join(train_pairs.names))
patches = sr.pipeline.training_batches(
    train_pairs, lr_patch_size=24, batch_size=8, min_contrast=0.03
)


def train_briefly(model):
    """Trains for a short time; returns the strength of the pattern every 5 steps."""
    model.compile(keras.optimizers.Adam(1e-3), loss="mae")
    curve = [checkers(model.predict_on_batch(lr[None])[0])]
    stream = iter(patches)
    for step in range(1, here.short + 1):
        model.train_on_batch(*next(stream))
        if step % 5 == 0:
            curve.append(checkers(model.predict_on_batch(lr[None])[0]))
    return curve


# %%
curves = {name: train_briefly(candidate) for name, candidate in candidates.items()}
fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
for name, curve in curves.items():
    ax.plot(5 * np.arange(len(curve)), curve, "o-", markersize=3, label=name)
    print(f"{name}: from {curve[0]:.2f} to {curve[-1]:.2f} grey levels")
ax.axhline(checkers(hr), color="0.4", linestyle="--", label="HR")
ax.set(xlabel="steps", ylabel="pattern (grey levels)", yscale="log", ylim=(0.03, 60))
ax.legend(frameon=False)
plt.show()

# %%
from sr_keras.evaluation import score


def scores_of(images, hr, border=scale):
    found = {name: score(hr, image, border) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in found.items()}


# %%
enlarged = {
    name: sr.upscale(candidate, lr_file) for name, candidate in candidates.items()
}
sr.plotting.comparison(
    {"LR": lr_file, **enlarged, "HR": hr_file},
    scores=scores_of(enlarged, hr_file),
    crop=eye,
    columns=2,
    title=f"After {here.short} steps; x3, PSNR (dB) / SSIM on luma, 3 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# Within these steps, the curves do not meet. For most of the training, the pattern without ICNR is several times as strong as with
# it. At the last step, it is still twice as strong, and it is visible, most clearly in dark areas such as around the eye. (Our
# measure averages over the photo, where patterns of bright and dark areas partly cancel.) PSNR and SSIM agree with what we see.
# But both results are still below bicubic interpolation (32.89 dB), so the scores show which network started closer, not what they
# will reach. So early in training, both pictures differ from HR in many other ways, too.
#
# ## The baseline: the best linear filter
#
# In lesson 3, the best linear filter was a better opponent than bicubic interpolation. Here we fit its counterpart at low
# resolution, which is an ESPCN without hidden layers. For each of the nine positions in a tile, it has its own weighted sum of the
# surrounding 7 x 7 LR pixels. (ESPCN sees 9 x 9.) The best weights for position $p$ again minimize a squared error over the
# patches of the training photos. Here, $y$ is LR, and $x^{(p)}$ holds all HR pixels at position $p$, like the unshuffled HR above:
#
# $$\min_{w^{(p)}}\ \sum_{m,n} \Big( x^{(p)}_{m,n} - \sum_{i=-3}^{3} \sum_{j=-3}^{3} w^{(p)}_{i,j}\, y_{m+i,\,n+j} \Big)^2$$
#
# Red, green and blue share the filters, so we fit them to all three, by least squares as in lesson 3 (`gram` and `moments` are the
# two sides of the *normal equations*).

# %%
from numpy.lib.stride_tricks import sliding_window_view

batches = sr.pipeline.training_batches(
    train_pairs, lr_patch_size=24, batch_size=8, min_contrast=0.03
)
gram, moments = np.zeros((49, 49)), np.zeros((49, 9))  # of the normal equations
for lr_patches, hr_patches in batches.take(here.fitted):
    rows = sliding_window_view(np.asarray(lr_patches, "float64"), (7, 7), axis=(1, 2))
    rows = rows.reshape(-1, 49)  # one row for each pixel and colour
    places = np.stack([unshuffle(image, scale) for image in np.asarray(hr_patches)])
    places = places[:, 3:-3, 3:-3].reshape(*places[:, 3:-3, 3:-3].shape[:3], 9, 3)
    gram += rows.T @ rows
    moments += rows.T @ np.moveaxis(places, -1, 3).reshape(-1, 9)
nine_filters = np.linalg.lstsq(gram, moments, rcond=None)[0]  # (49, 9)
print("sum of the weights of each filter:", nine_filters.sum(axis=0).round(3))

# %% [markdown]
# As a network, this is one convolution for each colour and the pixel shuffle:


# %%
def filter_model(filters):
    """Makes a network that applies the filters to each colour."""
    inputs = keras.Input((None, None, 3))
    padded = keras.ops.pad(inputs, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="symmetric")
    convolution = keras.layers.DepthwiseConv2D(7, depth_multiplier=9, use_bias=False)
    x = convolution(padded)  # channels: red at nine places, green, blue
    order = np.arange(27).reshape(3, 9).T.ravel()
    x = keras.ops.take(x, order, axis=-1)  # place by place, as the shuffle expects
    model = keras.Model(inputs, sr.layers.PixelShuffle(scale)(x), name="linear_filter")
    kernel = np.tile(filters.reshape(7, 7, 1, 9), (1, 1, 3, 1))
    convolution.set_weights([kernel])
    return model


linear = filter_model(nine_filters)
fig, axes = plt.subplots(3, 3, figsize=(6, 6), layout="constrained")
for k, ax in enumerate(axes.flat):
    ax.imshow(nine_filters[:, k].reshape(7, 7), cmap="RdBu", vmin=-0.8, vmax=0.8)
    ax.set(xticks=[], yticks=[])
fig.suptitle("The nine filters, at their place in the tile", fontsize=10)
plt.show()

# %%
baselines = {"bicubic": sr.models.bicubic(scale), "linear filter": linear}
scores = {name: sr.evaluate(model, pairs) for name, model in baselines.items()}
for name, found in scores.items():
    print(
        f"{name:14} {found['mean']['psnr_y']:.2f} dB, mean of {', '.join(pairs.names)}"
    )
print(scores["bicubic"]["conditions"])

# %% [markdown]
# The weights of each filter add up to 1, so a flat area keeps its grey level. The filter in the middle is symmetric. The others
# lean towards their side of the tile, where the new pixel lies. All have negative weights (red) around the centre, which sharpen.
#
# ## Training an ESPCN
#
# The network learns only the difference to bicubic interpolation (lesson 3), the loss is the mean absolute error, and the
# optimizer is SOAP, a relative of Adam that the optional section at the end explains. The learning rate rises and then falls along
# a cosine. Instead of tanh we take *leaky* ReLU, as in the weights of the package: it multiplies negative values by 0.2. With
# hundreds of photos, it learned more there than tanh; this page does not compare the two. (A plain ReLU whose input is negative
# everywhere has no gradient and never recovers.)


# %%
class Progress(keras.callbacks.Callback):
    """Scores the network after every epoch, and keeps a picture."""

    def __init__(self):
        super().__init__()
        self.scores, self.pictures = [], []

    def on_train_begin(self, logs=None):
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch, logs=None):
        found = sr.evaluate(self.model, pairs)
        self.scores.append(found["mean"]["psnr_y"])
        self.pictures.append(sr.upscale(self.model, lr_moto))


# %%
def train(model, steps=here.steps):
    progress = Progress()
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=5e-3, warmup_steps=steps // 10
    )
    model.compile(sr.optimizers.SOAP(rate), loss="mae")
    model.fit(
        batches,
        steps_per_epoch=steps // here.rounds,
        epochs=here.rounds,
        callbacks=[progress],
        verbose=0,
    )
    return progress


# %% [markdown]
# **Predict:** where does an untrained network with a bicubic skip start, above the baselines or below them?

# %%
lr_moto, hr_moto = pairs[1]
keras.utils.set_random_seed(0)
model = sr.models.espcn(scale, channels=3, activation="leaky_relu", bicubic_skip=True)
start = time.perf_counter()
progress = train(model)
print(f"{here.steps} steps in {time.perf_counter() - start:.0f} s")

# %%
steps = np.linspace(0, here.steps, here.rounds + 1).round().astype(int)
fig, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
ax.plot(steps, progress.scores, "o-", markersize=4, label="ESPCN")
print("ESPCN:", " ".join(f"{value:.2f}" for value in progress.scores))
for (name, found), line in zip(scores.items(), ("--", ":"), strict=True):
    ax.axhline(found["mean"]["psnr_y"], color="0.3", linestyle=line, label=name)
    print(f"{name:14} {found['mean']['psnr_y']:.2f}")
low = scores["bicubic"]["mean"]["psnr_y"]
ax.set(xlabel="step", ylabel="PSNR (dB)", ylim=(low - 0.5, low + 1.6))
ax.set_title(
    "ESPCN x3, luma, 3 pixels cut, 8 bits, mean over cat and motorcycle", fontsize=10
)
ax.legend(frameon=False)
plt.show()
assert progress.scores[-1] > scores["bicubic"]["mean"]["psnr_y"]

# %% [markdown]
# It starts far below bicubic, because the last convolution has random weights and adds wrong colours to the interpolated photo.
# (Set to zero, as in exercise 3 of lesson 3, it would start exactly at bicubic. We keep the random start to show what has to be
# unlearned.) After the first 200 steps, the network is level with the linear filter, and it ends 0.3 dB above it.
#
# ## Watch it learn
#
# The same part of the motorcycle at four moments, and the linear filter. **Predict:** after how many steps will you be able to tell
# the network from the linear filter?

# %%
engine = (222, 320, 110, 160)  # top, left, height, width
moments_shown = (0, 1, here.rounds // 2, here.rounds)
strip = {f"{steps[i]} steps": progress.pictures[i] for i in moments_shown}
strip["linear filter"] = sr.upscale(linear, lr_moto)
strip["HR"] = hr_moto
sr.plotting.comparison(
    strip,
    scores=scores_of({k: v for k, v in strip.items() if k != "HR"}, hr_moto),
    crop=engine,
    columns=3,
    title="motorcycle x3 as it learns; PSNR (dB) / SSIM on luma, 3 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# At the start, wrong colours lie over the interpolated picture. After 200 steps they are gone, and the network looks and scores
# like the linear filter. Then it learns what a linear filter cannot do: after 1,000 steps, the edges of the engine are cleaner, and
# the score of this photo is 0.6 dB higher.
#
# ## What has improved?
#
# A fourth method joins the comparison: an ESPCN of the package. It has the same hidden layers but enlarges luma only, as in the
# paper, and it was trained for 30,000 steps on hundreds of photos. **Predict:** where will you see the difference, in the fur, at
# edges, or in smooth areas?

# %%
shipped = sr.models.load("espcn-x3-bsds")
compared = {**baselines, "ESPCN": model, "espcn-x3-bsds": shipped}
cat, motorcycle = (
    {name: sr.upscale(candidate, file) for name, candidate in compared.items()}
    for file in (lr_file, lr_moto)
)
sr.plotting.comparison(
    {"LR": lr_file, **cat, "HR": hr_file},
    scores=scores_of(cat, hr_file),
    crop=eye,
    columns=3,
    title="chelsea x3, PSNR (dB) / SSIM on luma, 3 pixels cut, 8 bits",
    whole=False,
)

# %%
sr.plotting.comparison(
    {"LR": lr_moto, **motorcycle, "HR": hr_moto},
    scores=scores_of(motorcycle, hr_moto),
    crop=engine,
    columns=3,
    title="motorcycle x3: the engine; PSNR (dB) / SSIM on luma, 3 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# We measure where the error became smaller. The pixels of each photo are divided into three equal groups, by the strength of the
# gradient of HR: smooth areas, texture, and edges. The maps below show the engine.

# %%
for title, hr_photo, images in (
    ("cat", hr_file, cat),
    ("motorcycle", hr_moto, motorcycle),
):
    truth = 255 * sr.images.luma(sr.images.to_float(hr_photo))[..., 0]
    strength = np.hypot(*np.gradient(truth))
    limits = np.quantile(strength, (1 / 3, 2 / 3))
    group = np.digitize(strength, limits)  # 0 smooth, 1 texture, 2 edges
    for name, image in images.items():
        error = (255 * sr.images.luma(sr.images.to_float(image))[..., 0] - truth) ** 2
        values = [np.sqrt(error[group == k].mean()) for k in range(3)]
        print(
            f"{title:11}{name:14} smooth {values[0]:5.2f}, texture {values[1]:5.2f},",
            f"edges {values[2]:5.2f} grey levels",
        )

# %%
top, left, height, width = engine
part = np.s_[top : top + height, left : left + width]
truth = sr.images.luma(sr.images.to_float(hr_moto))[..., 0]
errors = {
    name: 255 * np.abs(sr.images.luma(sr.images.to_float(image))[..., 0] - truth)[part]
    for name, image in motorcycle.items()
}
fig, axes = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
drawn = axes[0].imshow(errors["bicubic"], cmap="inferno", vmin=0, vmax=50)
axes[0].set_title(f"bicubic: mean error {errors['bicubic'].mean():.2f}", fontsize=10)
fig.colorbar(drawn, ax=axes[0], label="error (grey levels)")
for ax, name in zip(axes[1:], ("linear filter", "ESPCN"), strict=True):
    change = errors[name] - errors["bicubic"]
    drawn = ax.imshow(change, cmap="RdBu_r", vmin=-20, vmax=20)
    ax.set_title(f"{name}: mean error {errors[name].mean():.2f}", fontsize=10)
fig.colorbar(drawn, ax=axes[1:], label="change (blue: smaller error)")
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
sr.plotting.slider(
    {"linear filter": motorcycle["linear filter"], "ESPCN": motorcycle["ESPCN"]},
    crop=engine,
    zoom=4,
    title="motorcycle x3: the linear filter and ESPCN",
)

# %% [markdown]
# In grey levels, most is gained at edges: on the motorcycle, the error there falls from 17.8 with bicubic interpolation to 16.0
# with the linear filter and 15.1 with ESPCN. In the smooth areas of the motorcycle, but not of the cat, the filter is *worse* than
# bicubic interpolation, probably because ringing spreads from the strong edges (the pale red lines in its map). The network is
# better than the filter in all groups, but hardly so on the cat: the hairs are not in LR, and a network with this loss does not
# invent them. The weights of the package gain another 0.4 dB on the motorcycle, and are 0.03 dB lower on the cat.
#
# What about the checkerboard? This is the strength of the pattern for the trained network, whose last convolution was initialized
# with ICNR:

# %%
for name in ("bicubic", "ESPCN"):
    print(f"{name}: {checkers(sr.images.to_float(motorcycle[name])):.2f} grey levels")
print(f"HR: {checkers(sr.images.to_float(hr_moto)):.2f} grey levels (motorcycle)")

# %% [markdown]
# There is no pattern: the value for ESPCN is not above that of the real photo.
#
# ## Deconvolution
#
# FSRCNN enlarges with a different layer, the *transposed convolution*, often called deconvolution. Think of the kernel as a stamp:
# for each LR pixel, the kernel is multiplied by the value of the pixel and added to the large grid, `stride` pixels farther than
# for the previous one. Where stamps overlap, they are summed.


# %%
def stamp(x, kernel, stride):
    """Computes the transposed convolution of a one-dimensional array."""
    large = np.zeros((len(x) - 1) * stride + len(kernel))
    for i, value in enumerate(x):
        large[i * stride : i * stride + len(kernel)] += value * kernel
    return large


# %%
row = np.array([1.0, 2, 0, 1])
three = np.array([1.0, 3, 1])
stamped = stamp(row, three, 2)
package = keras.ops.conv_transpose(
    row[None, :, None], three[:, None, None], strides=2, padding="valid"
)[0, :, 0]
np.testing.assert_allclose(stamped, package)
print(stamped)

# %% [markdown]
# Why is it called *transposed*? A convolution can be written as a matrix with one row for each output. With stride 2, this matrix
# maps 9 numbers to 4. Its transpose maps 4 numbers to 9, and it does the same as our stamping:

# %%
matrix = np.zeros((4, 9))
for i in range(4):
    matrix[i, 2 * i : 2 * i + 3] = three  # one output of a convolution of stride 2
np.testing.assert_allclose(matrix.T @ row, stamped)
print(matrix.astype(int))
print("convolved again:", matrix @ stamped, "but it was", row)

# %% [markdown]
# The last line shows that the transpose has the shape of an inverse but does not invert, so the name "deconvolution" is misleading.
#
# **Predict:** take a line of equal values, a kernel of ones, and stride 2. For which of the kernel sizes 3, 4 and 5 is the result
# flat, away from its ends?

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 2), sharey=True, layout="constrained")
for ax, size in zip(axes, (3, 4, 5), strict=True):
    large = stamp(np.ones(6), np.ones(size), 2)
    ax.bar(np.arange(len(large)), large, width=1, edgecolor="white")
    ax.set_title(f"kernel size {size}, stride 2", fontsize=10)
plt.show()

# %% [markdown]
# Only for 4, a multiple of the stride. Otherwise, some pixels receive more stamps than others. The stamps of FSRCNN have 9 x 9
# pixels. How many of them overlap in each pixel at its three scales?

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained")
for ax, stride in zip(axes, (2, 3, 4), strict=True):
    line = stamp(np.ones(12), np.ones(9), stride)[9:21]  # away from the ends
    count = np.outer(line, line)
    ax.imshow(count, cmap="viridis", vmin=0)
    ax.set_title(
        f"x{stride}: {count.min():.0f} to {count.max():.0f} stamps", fontsize=10
    )
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The number is the same everywhere only at x3. At x2 and x4, it forms a checkerboard. With random weights there is a checkerboard
# at x3 too, because each position in the tile receives other kernel values. Training has to compensate for both.
#
# ## A sub-pixel convolution is a transposed convolution
#
# Stamp a kernel of 6 values with stride 2. Even output pixels receive only the kernel values 0, 2 and 4, and odd ones only 1, 3 and
# 5. These are two interleaved convolutions of size 3, and this *is* a pixel shuffle.

# %%
generator = np.random.default_rng(0)
six, values = generator.normal(size=6), generator.normal(size=8)
even = np.convolve(values, six[0::2])
odd = np.convolve(values, six[1::2])
interleaved = np.stack([even, odd], axis=1).ravel()
np.testing.assert_allclose(interleaved, stamp(values, six, 2))

# %% [markdown]
# The same holds for images. A convolution layer computes $y_m = \sum_i w_i\, x_{m + i - 1}$, so an input value reaches positions
# further to the *left* the larger $i$ is. A stamp puts the weights with larger $i$ further to the *right*. So we have to flip the
# 3 x 3 kernels of ESPCN's last convolution, `subpixels`. (`np.convolve` flips its kernel itself.) Then we apply the shuffle to the
# *kernel*. **Predict** its new size. (Keras expects it as height, width, output channels, input channels.)

# %%
subpixels = keras.ops.convert_to_numpy(model.get_layer("subpixels").kernel)
bias = keras.ops.convert_to_numpy(model.get_layer("subpixels").bias)
flipped = subpixels[::-1, ::-1].reshape(3, 3, 32, scale, scale, 3)
stamps = flipped.transpose(0, 3, 1, 4, 5, 2)  # row, row in the tile, column, ...
stamps = stamps.reshape(3 * scale, 3 * scale, 3, 32)
print(subpixels.shape, "->", stamps.shape)

# %%
until_mapping = keras.Model(model.input, model.get_layer("mapping").output)
features = until_mapping(lr[None])
deconvolved = keras.ops.conv_transpose(features, stamps, scale, padding="same")
convolved = keras.ops.conv(features, subpixels, padding="same") + bias
shuffled = shuffle(np.asarray(convolved - bias)[0], scale)
np.testing.assert_allclose(deconvolved[0], shuffled, atol=1e-5)
print("stamped", deconvolved.shape[1:], "equals shuffled", shuffled.shape)

# %% [markdown]
# A sub-pixel convolution with 3 x 3 kernels is a transposed convolution with 9 x 9 kernels, stride 3 and the same weights. Both
# need the same number of multiplications. If the stride does not divide the kernel size, the kernel can be padded with zeros to a
# multiple of it.
#
# ## FSRCNN
#
# Dong and others made their SRCNN fast. FSRCNN extracts features at low resolution, *shrinks* them to few channels, maps them with
# thin layers, expands the channels again, and enlarges with a deconvolution. The number of channels forms an hourglass.
#
# ![FSRCNN](figures/04_fsrcnn.svg)
#
# From left to right: extraction, shrinking, mapping (four times), expanding, and the deconvolution. In Keras (a PReLU is a ReLU with
# a learned slope for negative values):


# %%
def conv(filters, size):
    slope = keras.layers.PReLU(
        shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.25)
    )
    return [keras.layers.Conv2D(filters, size, padding="same"), slope]


fsrcnn_by_hand = keras.Sequential(
    [
        keras.Input((None, None, 1)),
        *conv(56, 5),  # extraction
        *conv(12, 1),  # shrinking
        *(layer for _ in range(4) for layer in conv(12, 3)),  # mapping
        *conv(56, 1),  # expanding
        keras.layers.Conv2DTranspose(1, 9, strides=4, padding="same"),
    ]
)
fsrcnn = sr.models.fsrcnn(4)
fsrcnn_by_hand.set_weights(fsrcnn.get_weights())
luma = sr.images.luma(lr)[None]
np.testing.assert_allclose(fsrcnn_by_hand(luma), fsrcnn(luma), atol=1e-5)

# %%
for layer in fsrcnn.layers:
    if hasattr(layer, "kernel"):
        shape = tuple(layer.kernel.shape)
        print(f"{layer.name:14} {shape}: {np.prod(shape):5} weights")

# %% [markdown]
# All layers, the deconvolution included, use each weight once per LR pixel. **Predict:** which layer has the most multiplications,
# and why did the authors shrink the features before mapping them?

# %%
weights = {
    layer.name: np.prod(layer.kernel.shape)
    for layer in fsrcnn.layers
    if hasattr(layer, "kernel")
}
print("FSRCNN, all weights except biases:", sum(weights.values()))
print("four mapping layers:", 4 * 9 * 12 * 12, "without shrinking:", 4 * 9 * 56 * 56)
for name in ("extraction", "deconvolution"):
    print(f"{name}: {weights[name] / sum(weights.values()):.0%}")

# %% [markdown]
# The deconvolution has the most, with more than a third of all weights in one layer. Without shrinking, the four mapping layers
# would have 22 times as many weights, nine times as many as all of FSRCNN. Only the last layer depends on the scale, so the authors
# trained it alone for new scales. (As in the paper, the count leaves out biases and the slopes of the PReLUs.)
#
# ## What it costs
#
# Papers count *Mult-Adds* for an output of 1280 x 720 pixels. A convolution uses each weight once for each pixel of its output, and
# a deconvolution uses it once for each pixel of its input. For SRCNN these are HR pixels, and for the other two they are LR pixels.

# %%
hr_pixels = 720 * 1280
lr_pixels = (720 // 4) * (1280 // 4)  # at x4
srcnn_weights = 9 * 9 * 64 + 5 * 5 * 64 * 32 + 5 * 5 * 32
espcn_weights = 5 * 5 * 64 + 3 * 3 * 64 * 32 + 3 * 3 * 32 * 16
print("weights: SRCNN", srcnn_weights, " ESPCN", espcn_weights)

# %% [markdown]
# As in the papers, we count for luma: one input channel, and sixteen output values of ESPCN for each LR pixel. **Predict:** by what
# factor do the Mult-Adds differ? How much of it is due to the resolution at which they are computed?

# %%
mult_adds = {
    "srcnn": hr_pixels * srcnn_weights,
    "espcn": lr_pixels * espcn_weights,
    "fsrcnn": lr_pixels * sum(weights.values()),
}
networks = {
    "srcnn": sr.models.srcnn(4),
    "espcn": sr.models.espcn(4),
    "fsrcnn": fsrcnn,
}
for name, model_x4 in networks.items():
    assert mult_adds[name] == sr.models.mult_adds(model_x4, 4)
    print(f"{name:7}{mult_adds[name] / 1e9:6.2f} G Mult-Adds, x4 to 1280 x 720")
print(f"SRCNN / ESPCN: {mult_adds['srcnn'] / mult_adds['espcn']:.1f} = 16 *", end=" ")
print(f"{srcnn_weights / espcn_weights:.1f}")

# %% [markdown]
# Sixteen is the square of the scale: each weight is used once per LR pixel instead of once per HR pixel. The remaining factor of
# 2.3 comes from the smaller network. Its receptive field is nevertheless about the same: 2 + 1 + 1 = 4 LR pixels to each side.
# SRCNN sees 4 + 2 + 2 = 8 HR pixels, which are two LR pixels, and the bicubic interpolation sees two more.
#
# Does the count predict the time? **Predict** the order of the three, and whether 37 times fewer multiplications are 37 times
# faster.


# %%
def milliseconds(model, image):
    model.predict_on_batch(image)  # the first call compiles
    times = []
    for _ in range(7):
        start = time.perf_counter()
        model.predict_on_batch(image)
        times.append(1000 * (time.perf_counter() - start))
    return np.median(times)


# %%
noise = generator.uniform(size=(1, 45, 80, 1)).astype("float32")
spent = {name: milliseconds(m, noise) for name, m in networks.items()}
counts = {
    name: sr.models.mult_adds(m, 4, 180, 320) / 1e6 for name, m in networks.items()
}
for name in networks:
    rate = counts[name] / spent[name]
    print(
        f"{name:7}{counts[name]:8.0f} M Mult-Adds {spent[name]:7.1f} ms"
        f"  = {rate:5.1f} M per ms   (x4 to 320 x 180, this machine)"
    )

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 2.4), layout="constrained")
for ax, bars, label in (
    (axes[0], counts, "M Mult-Adds"),
    (axes[1], spent, "ms, median of 7, on this machine"),
):
    drawn = ax.barh(list(bars), list(bars.values()), color="#0072B2")
    ax.bar_label(drawn, fmt="%.0f", padding=3)
    ax.margins(x=0.15)
    ax.invert_yaxis()
    ax.set_xlabel(f"{label}, x4 to 320 x 180")
plt.show()

# %% [markdown]
# ESPCN is much faster than SRCNN, but by a smaller factor than the count suggests (divide the two times). FSRCNN has half of
# ESPCN's multiplications, but on the machine of this page it takes longer. The last column shows that the rate falls from SRCNN to
# ESPCN to FSRCNN. The image is small, so part of the 2 to 3 ms is probably the fixed cost of a call, and FSRCNN also has more and
# thinner layers. Expect other ratios for larger images. Use the count to compare designs, and measure the time to choose one for a
# particular machine.
#
# ## With more training
#
# How do ESPCN and FSRCNN compare after longer training, on hundreds of photos? The package has such weights for x4. (This ESPCN has
# leaky ReLU and the bicubic skip. Both networks were trained with SOAP on the same photos, ESPCN for 30,000 steps and FSRCNN for
# 40,000.)

# %%
pairs_x4 = sr.datasets.samples(4, split="validation")
models_x4 = {"bicubic": sr.models.bicubic(4)}
for name in ("espcn-x4-bsds", "fsrcnn-x4-bsds"):
    models_x4[name] = sr.models.load(name)
for name, model_x4 in models_x4.items():
    result_x4 = sr.evaluate(model_x4, pairs_x4)
    mean = result_x4["mean"]
    print(f"{name:16} {mean['psnr_y']:.2f} dB / {mean['ssim_y']:.4f}")
print(f"{', '.join(pairs_x4.names)}: {result_x4['conditions']}")

# %%
lr_x4, hr_x4 = pairs_x4[1]
enlarged_x4 = {name: sr.upscale(m, lr_x4) for name, m in models_x4.items()}
sr.plotting.comparison(
    {"LR": lr_x4, **enlarged_x4, "HR": hr_x4},
    scores=scores_of(enlarged_x4, hr_x4, border=4),
    crop=(222, 320, 110, 160),
    columns=3,
    title="motorcycle x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# Both are sharper than bicubic interpolation, and they look and score much alike, although FSRCNN has half of the multiplications.
# We see no checkerboard in its picture, so the deconvolution has probably learned to compensate for the uneven overlaps. The fins
# of the engine are gone: at x4 they are not in LR.

# %% [markdown]
# ## Optional: why SOAP?
#
# Why did we not use Adam? Two weights are enough to see what slows it down. We take the weights of two neighbouring pixels, which have
# nearly equal values. The *sum* of the two weights then matters a lot, and their *difference* matters little.

# %%
pixel = generator.normal(size=(200, 1))
neighbours = np.concatenate([pixel, pixel + 0.2 * generator.normal(size=(200, 1))], 1)
targets = neighbours @ [[1.0], [-1.0]]


def path_of(optimizer, steps=100):
    """Returns the two weights at every step, starting from (-1, -1)."""
    layer = keras.layers.Dense(1, use_bias=False)
    line = keras.Sequential([keras.Input((2,)), layer])
    line.compile(optimizer, loss="mse")
    layer.set_weights([np.array([[-1.0], [-1.0]])])
    path = [layer.get_weights()[0][:, 0]]
    for _ in range(steps):
        line.train_on_batch(neighbours, targets)
        path.append(layer.get_weights()[0][:, 0])
    return np.array(path)


# %% [markdown]
# The loss has its minimum at (1, -1), in a valley that runs from there to the upper left. *Adam* gives each weight its own step
# size, so it can rescale the axes of this picture, but it cannot rotate them. *SOAP* (Vyas and others) rotates first: it averages
# the products of each kernel's gradients, uses their eigenvectors as axes, and then proceeds like Adam. **Predict** the two paths.

# %%
SOAP = sr.optimizers.SOAP
paths = {
    "Adam": path_of(keras.optimizers.Adam(0.1, beta_2=0.95)),
    "SOAP": path_of(SOAP(0.1, beta_1=0.9, beta_2=0.95, precondition_frequency=1)),
}
a, b = np.meshgrid(np.linspace(-1.5, 1.5, 61), np.linspace(-1.5, 1.5, 61))
losses = neighbours[:, :1, None] * (a - 1) + neighbours[:, 1:, None] * (b + 1)
fig, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
ax.contour(
    a, b, (losses**2).mean(axis=0), levels=np.geomspace(0.005, 5, 8), cmap="gray"
)
for name, path in paths.items():
    ax.plot(*path.T, ".-", markersize=4, linewidth=1, label=name)
    distance = np.hypot(*(path - [1, -1]).T)
    print(f"{name}: {distance[30]:.2f} from the minimum after 30 steps,", end=" ")
    print(f"{distance[-1]:.3f} after {len(path) - 1}")
ax.plot(1, -1, "k*", markersize=10)
ax.set(xlabel="weight of the pixel", ylabel="weight of its neighbour", aspect="equal")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Both first move down the slope to the bottom of the valley, where only the difference is left to learn. There Adam becomes slow,
# because both weights had large gradients on the slope, and both step sizes are small. SOAP has one axis across the valley and one
# along it, with a step size for each.
#
# In a convolution, every pixel has such neighbours. Before you make a network larger, check whether another optimizer brings the
# small one further. Exercise 5 is a test of this on our ESPCN.

# %% [markdown]
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** At x3 in RGB, `PixelShuffle` receives 27 channels. Where does channel 17 land: in which row and column of the
# tile, counted from 0, and in which colour (0 red, 1 green, 2 blue)?

# %%
answer = None  # (row, column, colour)

sr.course.check(answer, "04.1")

# %% tags=["solution"]
# @title Solution 1
# 17 = 5 * 3 + 2: blue at position 5; and 5 = 1 * 3 + 2: row 1, column 2.
answer = (17 // 3 // 3, 17 // 3 % 3, 17 % 3)
sr.course.check(answer, "04.1")
one_hot = (np.arange(27.0) == 17)[None, None]
np.testing.assert_array_equal(np.argwhere(shuffle(one_hot, 3))[0], answer)
print(answer)

# %% [markdown]
# **Exercise 2.** SRCNN's paper also has a small network, with kernels of 9, 1 and 5 pixels and 64 and 32 channels in between. How
# many billions of Mult-Adds does it need for 1280 x 720? How many times as many as ESPCN at x4? Leave out biases, as in the
# lesson. `answer` is the first number; the second is about five.

# %%
answer = None  # in 10**9

sr.course.check(answer, "04.2")

# %% tags=["solution"]
# @title Solution 2
answer = 720 * 1280 * (9 * 9 * 64 + 64 * 32 + 5 * 5 * 32) / 1e9
sr.course.check(answer, "04.2")
assert answer == sr.models.mult_adds(sr.models.srcnn(4, (9, 1, 5)), 4) / 1e9
print(f"{answer:.2f} G, {answer * 1e9 / mult_adds['espcn']:.1f} times ESPCN's")

# %% [markdown]
# **Exercise 3.** PyTorch's `PixelShuffle` expects the colour first: its channel is `9 * colour + 3 * row + column`. `from_torch` is
# a part of the cat in this order. Find the 27 indices for which `from_torch[..., answer]` is in our order.

# %%
answer = None  # 27 indices

ours = unshuffle(hr[60:150, 90:225], 3)
from_torch = np.concatenate([ours[..., colour::3] for colour in range(3)], axis=-1)
if answer is not None:
    np.testing.assert_array_equal(from_torch[..., answer], ours)
    print("Right!")

# %% tags=["solution"]
# @title Solution 3
# PyTorch counts (colour, row, column), we count (row, column, colour).
answer = np.arange(27).reshape(3, 3, 3).transpose(1, 2, 0).ravel()
np.testing.assert_array_equal(from_torch[..., answer], ours)
print(answer)

# %% [markdown]
# **Exercise 4.** Bilinear interpolation x2 is a transposed convolution too. Which kernel of four numbers must `stamp` use with
# stride 2? Hint: in lesson 1, the centres of the HR pixels are a quarter and three quarters of a pixel away from their LR
# neighbours.

# %%
answer = None  # four numbers

sr.course.check(answer, "04.4")

# %% tags=["solution"]
# @title Solution 4
# A pixel adds 3/4 of its value to the two new pixels inside it, 1/4 to the next ones.
answer = (0.25, 0.75, 0.75, 0.25)
sr.course.check(answer, "04.4")
nine = generator.uniform(size=9).astype("float32")
expected = sr.models.bilinear(2)(np.tile(nine[None, None, :, None], 3))[0, 0, :, 0]
stamped = stamp(nine, np.array(answer), 2)[1:-1]
np.testing.assert_allclose(stamped[1:-1], expected[1:-1], atol=1e-5)
# at the two ends a stamp is missing: the line would have to be padded first
print("error at the ends:", np.abs(stamped - expected)[[0, -1]].round(3))

# %% [markdown]
# **Exercise 5.** Train two fresh networks for `here.short` steps, one with SOAP as above and one with Adam: the same network as in
# the lesson (leaky ReLU, `bicubic_skip=True`, seed 0), the same batches, the same shape of the schedule. (Copy `train` and make
# the optimizer an argument. The peak rates are 5e-3 for SOAP and 2e-3 for Adam.) Score both with `sr.evaluate(model, pairs)`. How
# far has each one come?

# %%
with_soap, with_adam = None, None  # your models


# %% tags=["solution"]
# @title Solution 5
def peak(value, steps=here.short):
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=value, warmup_steps=steps // 10
    )


optimizers = {
    "Adam": keras.optimizers.Adam(peak(2e-3)),
    "SOAP": sr.optimizers.SOAP(peak(5e-3)),
}
everything = dict(baselines)
for name, optimizer in optimizers.items():
    keras.utils.set_random_seed(0)
    everything[name] = sr.models.espcn(
        scale, channels=3, activation="leaky_relu", bicubic_skip=True
    )
    everything[name].compile(optimizer, loss="mae")
    everything[name].fit(batches, steps_per_epoch=here.short, verbose=0)
for name, candidate in everything.items():
    print(f"{name:14} {sr.evaluate(candidate, pairs)['mean']['psnr_y']:.2f} dB")

# %% [markdown] tags=["solution"]
# After 150 steps, Adam has just reached bicubic interpolation, and SOAP is half a decibel above it, on the way to the linear
# filter. This is one run of each, with one learning rate: try others before you rank the two.

# %% [markdown]
# ## Summary
#
# - Post-upsampling computes at low resolution and enlarges at the end. The same layers then cost `scale**2` times less.
# - The pixel shuffle turns `scale**2` channels into a tile, row by row. An unshuffled photo is `scale**2` small photos, shifted
#   against each other.
# - If the filters of a tile are initialized independently, the network starts with a checkerboard. ICNR gives them the same initial
#   weights, which amounts to nearest-neighbour interpolation.
# - A transposed convolution stamps its kernel onto the output. A sub-pixel convolution is a transposed convolution with a kernel
#   `scale` times as wide.
# - The best linear filter of a given size is a post-upsampling network without hidden layers, found by least squares. It is the
#   baseline to beat.
# - FSRCNN shrinks the features before it maps them. It has half of ESPCN's Mult-Adds and about the same PSNR.
# - In our single run, SOAP came further than Adam in the same number of steps. We did not compare the time of a step.
# - Mult-Adds can be counted by hand in one line, but they do not predict the time.
#
# ## Further reading
#
# - Shi and others, [Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
#   network](https://arxiv.org/abs/1609.05158), 2016: ESPCN.
# - Dong, Loy and Tang, [Accelerating the super-resolution convolutional neural network](https://arxiv.org/abs/1608.00367), 2016:
#   FSRCNN.
# - Shi and others, [Is the deconvolution layer the same as a convolutional layer?](https://arxiv.org/abs/1609.07009), 2016: the
#   proof in pictures.
# - Odena, Dumoulin and Olah, [Deconvolution and checkerboard artifacts](https://doi.org/10.23915/distill.00003), 2016: with
#   interactive figures.
# - Vyas and others, [SOAP: improving and stabilizing Shampoo using Adam](https://arxiv.org/abs/2409.11321), 2024: the optimizer
#   above.
# - Aitken and others, [Checkerboard artifact free sub-pixel convolution](https://arxiv.org/abs/1707.02937), 2017: ICNR.
