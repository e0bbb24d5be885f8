# %% [markdown]
# # 17. Attention and efficient networks
#
# Attention, from a weighted mean to shifted windows, its cost and its effect in trained networks,
# and how to fold a wide network into a fast one.
#
# ![A noisy brick wall, averaged over neighbours and over pixels that look alike](figures/17_goal.jpg)
#
# *A noisy brick wall, the mean of neighbours, and the mean of pixels that look alike.*
#
# **You will be able to**
#
# - write self-attention in three lines, and say what queries, keys and values are;
# - say why attention is expensive, and what windows, shifts and position biases are for;
# - show a task on which attention is better than a convolution, and measure when it does nothing;
# - fold a chain of convolutions into a single one, and say where the two may differ;
# - compare networks by measured time instead of parameters.
#
# **You need** lesson 4 (the sub-pixel layer, Mult-Adds) and lesson 8 (residual blocks). Lesson 9
# has more on receptive fields. A good place for a break is before *Attention over channels*.
#
# **Time:** about 65 minutes to read the core, 40 for the exercises; 4 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# **Optional** section, 5 minutes more: *networks that others published*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/17_efficient.ipynb) · [Student edition](student/17_efficient.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/17_efficient.py) · Previous: [16. Real photos](16_real_photos.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/16_real_photos.ipynb)) · Next: [18. Diffusion: denoise step by step](18_diffusion.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/18_diffusion.ipynb)) · [All lessons](README.md)

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
    draws=(100, 1000, 1000),
    steps=(150, 700, 3000),
    steps_of_span=(4, 1000, 4000),
    rates=((3e-3,), (3e-3, 1e-2), (3e-3, 1e-2)),
    seeds=(1, 2, 2),
    fitted=(8, 120, 120),
    compared=(3, 6, 6),
    sides=((8, 16), (8, 16, 32, 48), (8, 16, 32, 64)),
)

# %% [markdown]
# ## A mean over pixels that look alike
#
# We add noise to a photo of a brick wall. Averaging neighbours removes the noise, but blurs the
# edges as well. A wall repeats itself, so why not average pixels that *look alike*, wherever they
# are?

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers, ops
from scipy import ndimage
from skimage import data, transform

from sr_keras.evaluation import score

brick = transform.downscale_local_mean(data.brick() / 255.0, (4, 4))
clean = brick[20:84, 40:104].astype("float32")
side = clean.shape[0]
rng = np.random.default_rng(0)
noisy = clean + rng.normal(scale=0.08, size=clean.shape).astype("float32")

# %% [markdown]
# Two pixels look alike if the 7 x 7 pixels around them do. We cut out the patch around every
# pixel, compare it with all others, and turn the distances into weights that sum to 1. This is
# *non-local means* (Buades, Coll and Morel, 2005):
#
# $$\hat x_i = \sum_j w_{ij}\, x_j, \qquad w_{ij} = \frac{e^{-\lVert p_i - p_j \rVert^2 / 2 h^2}}{\sum_k e^{-\lVert p_i - p_k \rVert^2 / 2 h^2}}$$


# %%
def patches_of(image, width=7):
    """Returns the patch around each pixel: (pixels, width * width)."""
    padded = np.pad(image, width // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width))
    return windows.reshape(image.size, -1)


patches = patches_of(noisy)
squares = (patches**2).sum(axis=1)
distances = squares[:, None] + squares - 2 * patches @ patches.T


def similarity(h):
    """Returns the weights of all pixels for each pixel: (4096, 4096)."""
    weights = np.exp(-distances / (2 * h**2))
    return weights / weights.sum(axis=1, keepdims=True)


h = 0.28
similar = similarity(h)
averaged = (similar @ noisy.ravel()).reshape(clean.shape)

# %% [markdown]
# **Predict:** in the next figure a pixel in the middle of a joint is marked. Where are the pixels
# that it averages: around it, in the whole wall, or along the joints? (The 20 largest weights are
# drawn in the same colour.)

# %%
marked = (31, 32)
weights = similar[marked[0] * side + marked[1]].reshape(clean.shape)
fig, axes = plt.subplots(1, 2, figsize=(9, 4.7), layout="constrained")
axes[0].imshow(noisy, cmap="gray")
axes[0].plot(marked[1], marked[0], "o", ms=14, mfc="none", mec="#D55E00", mew=2)
axes[0].set_title("noisy, and a pixel")
axes[1].imshow(np.minimum(weights, np.sort(weights.ravel())[-20]), cmap="magma")
axes[1].set_title("its weights for all pixels")
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()


# %%
def psnr(image):
    return -10 * np.log10(np.mean((image - clean) ** 2))


print(f"noisy: {psnr(noisy):.2f} dB (brick wall, 64 x 64, all pixels)")
for sigma in (0.4, 0.6, 0.8, 1.0):
    blurred = ndimage.gaussian_filter(noisy, sigma)
    print(f"Gaussian blur, standard deviation {sigma}: {psnr(blurred):.2f} dB")
for tried in (0.24, 0.28, 0.32, 0.36):
    alike = (similarity(tried) @ noisy.ravel()).reshape(clean.shape)
    print(f"pixels alike, h = {tried}: {psnr(alike):.2f} dB")
results = {"noisy": noisy, "Gaussian blur, 0.6": ndimage.gaussian_filter(noisy, 0.6)}
results["pixels alike, 0.28"] = averaged
fig, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
for ax, (name, image) in zip(axes, results.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=clean.min(), vmax=clean.max())
    ax.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The weights follow the vertical joints, near and far. The pixel itself has by far the largest
# weight, 7%, because its patch is compared with itself (the picture cuts this off). Each pixel of
# a brick gets little weight, but together they have a large share. So the joints stay narrow but
# become darker, and some of the short horizontal ones fade, because few pixels look like them.
# Each method has a width to choose. With the best of those tried, averaging pixels that look
# alike leaves a smaller error than averaging neighbours (27.24 dB against 26.07), but a badly
# chosen width costs more than that.
#
# ## Queries, keys, values
#
# Non-local means has three steps: compare, normalize and average. We expand the square: $-\lVert
# p_i - p_j \rVert^2 = 2\, p_i \cdot p_j - \lVert p_j \rVert^2 - \lVert p_i \rVert^2$. The last
# term is the same for all $j$, so the normalization removes it. What is left is a dot product and
# a term that depends on $p_j$ only. *Scaled dot-product attention* is the general form: pixel $i$
# has a *query* $q_i$ (what it looks for), and pixel $j$ has a *key* $k_j$ (what it can be found
# by) and a *value* $v_j$ (what it contributes). They are the rows of $Q$, $K$ and $V$, and $d$ is
# the number of components of a query:
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt d}\right) V$$
#
# ![From features to queries, keys and values, to weights, and to a weighted mean](figures/17_attention.svg)


# %%
def attention(query, key, value):
    """Self-attention: (..., pixels, d), (..., pixels, d), (..., pixels, channels)."""
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    return ops.matmul(ops.softmax(scores, axis=-1), value)


q, k, v = rng.normal(size=(3, 2, 30, 16)).astype("float32")
package = ops.dot_product_attention(q[:, :, None], k[:, :, None], v[:, :, None])
np.testing.assert_allclose(attention(q, k, v), package[:, :, 0], atol=1e-5)

# %% [markdown]
# With the right queries and keys, this *is* non-local means. We append one component: 1 to each
# query, and $-\tfrac12 \lVert p_j \rVert^2$ to each key, so that their product is minus half of
# the squared distance, up to a term that is the same for all keys.

# %%
ones = np.ones((len(patches), 1), "float32")
scale_of_scores = 50**0.5 / h**2  # undoes 1 / sqrt(d), d = 7 * 7 + 1
query = np.concatenate([patches, ones], axis=1) * scale_of_scores
key = np.concatenate([patches, -squares[:, None] / 2], axis=1)
by_attention = attention(query, key, noisy.reshape(-1, 1))
np.testing.assert_allclose(by_attention[:, 0], averaged.ravel(), atol=1e-3)
print("non-local means is attention with fixed queries and keys")

# %% [markdown]
# In a network, queries, keys and values are learned: each comes from a dense layer that is
# applied to the features of a pixel. Nothing in the formula depends on where a pixel is. Why does
# it divide by $\sqrt d$? **Predict:** the components of $q$ and $k$ have variance 1. How does the
# largest weight of 64 pixels change as $d$ grows?

# %%
for d in (4, 64, 1024):
    q, k = rng.normal(size=(2, here.draws, 64, d))
    products = (q[:, :1] * k).sum(axis=-1)  # one query, 64 keys
    for name, values in (("q k", products), ("q k / sqrt(d)", products / d**0.5)):
        largest = ops.convert_to_numpy(ops.softmax(values)).max(axis=-1).mean()
        print(f"d = {d:4}, {name:13}: std {values.std():5.2f},", end=" ")
        print(f"largest weight {largest:.2f} (mean of {here.draws})")

# %% [markdown]
# Without the square root, the standard deviation of the products is $\sqrt d$. With 1024
# components, one of the 64 pixels, chosen by chance, takes nearly all of the weight, and the
# saturated softmax passes almost no gradient. With the root, no pixel dominates, for any $d$.
#
# ## A task for attention
#
# When does it help to look far? We construct a task that requires it. Each example is a line of
# 64 random grey values that repeat after 12 to 19 pixels, with a period that differs from line to
# line. Four holes of three pixels are cut into it. The values in a hole cannot be guessed from
# their neighbours, but they occur elsewhere in the line.


# %%
length = 64


def lines(count, seed):
    """Returns lines with holes and a map of what is known, and the whole lines."""
    rng = np.random.default_rng(seed)
    whole = np.empty((count, length, 1), "float32")
    known = np.ones_like(whole)
    for line, mask in zip(whole, known, strict=True):
        line[:, 0] = np.resize(rng.uniform(size=rng.integers(12, 20)), length)
        for start in rng.integers(0, length - 2, size=4):
            mask[start : start + 3] = 0
    return np.concatenate([(whole - 0.5) * known, known - 0.5], axis=-1), whole


test_lines, test_whole = lines(256, seed=1)
hole = test_lines[..., 1] < 0
guess = np.mean((test_whole[..., 0][hole] - 0.5) ** 2)
print(f"pixels in holes: {hole.mean():.0%}; squared error of grey: {guess:.4f}")

# %% [markdown]
# The network computes queries and keys from the nine pixels around each position. The two
# convolutions start with equal kernels, so that a pixel first looks for those that look like
# itself. The rest is learned.


# %%
class LineAttention(layers.Layer):
    """Attention among all pixels of a line: (batch, pixels, channels) to the same."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        options = {"kernel_size": 9, "padding": "same"}
        start = keras.initializers.Orthogonal(4.0, seed=0)
        self.query = layers.Conv1D(filters, kernel_initializer=start, **options)
        same = keras.initializers.Orthogonal(4.0, seed=0)
        self.key = layers.Conv1D(filters, kernel_initializer=same, **options)
        self.value = layers.Dense(filters)

    def scores(self, x):
        query, key = self.query(x), self.key(x)
        return ops.matmul(query, ops.swapaxes(key, 1, 2)) / query.shape[-1] ** 0.5

    def call(self, x):
        return ops.matmul(ops.softmax(self.scores(x)), self.value(x))


# %% [markdown]
# We compare it with two convolutions. (They work on the features. Attention works on the line
# itself, and its result is appended to the features.) With a kernel of width 3, the network sees
# 11 pixels in all. With one of width 41, it has many more parameters and sees 49 pixels, 24 to
# each side, enough for the nearest repetition on both sides. **Predict:** which network fills the
# holes?


# %%
def line_network(middle):
    inputs = keras.Input((length, 2))
    x = layers.Conv1D(32, 9, padding="same", activation="relu")(inputs)
    x = layers.Conv1D(32, 1, activation="relu")(x)
    if isinstance(middle, LineAttention):
        x = layers.Concatenate()([x, middle(inputs)])
    else:
        x = middle(x)
    x = layers.Conv1D(32, 1, activation="relu")(x)
    return keras.Model(inputs, layers.Conv1D(1, 1)(x))


options = {"padding": "same", "activation": "relu"}
fillers = {
    "convolution of 3": line_network(layers.Conv1D(32, 3, **options)),
    "convolution of 41": line_network(layers.Conv1D(32, 41, **options)),
    "attention": line_network(LineAttention(32, name="attention")),
}

# %%
train_lines, train_whole = lines(16 * here.steps, seed=0)
filled, errors = {}, {}
for name, model in fillers.items():
    model.compile(keras.optimizers.Adam(3e-3), loss="mse")
    start = time.perf_counter()
    model.fit(train_lines, train_whole, batch_size=16, verbose=0)
    seconds = time.perf_counter() - start
    filled[name] = model.predict_on_batch(test_lines)[..., 0]
    errors[name] = np.mean((filled[name] - test_whole[..., 0])[hole] ** 2)
    print(f"{name:17} {model.count_params():6,} parameters, {seconds:4.0f} s:", end=" ")
    print(f"squared error in the holes {errors[name]:.4f}")
print(f"grey: {guess:.4f} ({here.steps} steps of 16 lines, 256 test lines)")

# %%
picture = np.repeat(test_whole, 3, axis=-1)
picture[hole] = (0.84, 0.37, 0)  # orange
fig, axes = plt.subplots(4, 1, figsize=(9.5, 7), layout="constrained")
axes[0].imshow(picture[:12], aspect="auto", interpolation="nearest")
axes[0].set_title("twelve lines with holes", fontsize=10)
for ax, (name, image) in zip(axes[1:], filled.items(), strict=True):
    missed = np.where(hole, np.abs(image - test_whole[..., 0]), np.nan)
    style = {"cmap": "magma", "vmin": 0, "vmax": 0.6, "interpolation": "nearest"}
    drawn = ax.imshow(missed[:12], aspect="auto", **style)
    ax.set_title(f"error in the holes: {name}", fontsize=10)
for ax in axes:
    ax.set(xticks=[], yticks=[])
fig.colorbar(drawn, ax=axes[1:], label="absolute error")
plt.show()

# %% [markdown]
# The dark places of the lower panels are filled well. The small convolution learns only to
# predict grey, because what it needs lies outside of its receptive field. The large one has nine
# times the parameters of attention, but removes only a fifth of the error: its weights belong to
# fixed distances, and the period differs from line to line. Attention first compares and then
# copies from any distance, and removes more than half of the error. (This is one run at one
# learning rate; a deeper network might do better.) **Predict:** for a pixel in a hole, how many
# pixels get a large weight in the trained network, and where are they?

# %%
model = fillers["attention"]
learned = model.get_layer("attention")
table = ops.softmax(learned.scores(test_lines[:8]))
pixel = int(np.flatnonzero(hole[1])[1])
weight = ops.convert_to_numpy(table)[1, pixel]
values = test_whole[1, :, 0]
fig, axes = plt.subplots(2, 1, figsize=(9, 4), layout="constrained", sharex=True)
axes[0].step(range(length), values, where="mid", color="0.4")
axes[0].bar(np.flatnonzero(hole[1]), 1, width=1, color="#D55E00", alpha=0.4)
axes[0].set(ylabel="grey value", title="a line; its holes are orange")
axes[1].bar(range(length), weight, color="#0072B2")
axes[1].axvline(pixel, color="#D55E00", linestyle="--")
axes[1].set(xlabel="pixel", ylabel="weight", title=f"where pixel {pixel} looks")
plt.show()
best = np.argsort(weight)[::-1][:3]
distances_of_best = [int(abs(j - pixel)) for j in best]
print(f"largest weights {weight[best].round(2)} at distances {distances_of_best}")

# %% [markdown]
# Two pixels get nearly all of the weight: the pixel itself, whose grey value is missing, and the
# pixel with the same surroundings one period away. Later layers have to undo the share of the
# missing pixel, for which the map of known pixels helps. The network was not told what a period
# is, but its start (equal kernels) makes it look for similar surroundings.
#
# ## The cost
#
# $n$ pixels form $n^2$ pairs, and every pair costs $2d$ multiplications: $d$ for the score and
# $d$ for the mean. **Predict:** if the side of an image doubles, what happens to the time of a
# convolution, and to that of attention? (We measure *processor time*, the sum over all cores,
# which hardly depends on other programs. It leaves out the work of a GPU: in Colab, use a CPU
# runtime to compare times in this lesson.)


# %%
def milliseconds(function, *arguments, repeats=10):
    """Returns the least processor time of a call, after one for compilation."""
    function(*arguments)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        ops.convert_to_numpy(function(*arguments))
        times.append(time.process_time() - start)
    return 1000 * min(times)


conv = tf.function(layers.Conv2D(32, 3, padding="same"))
attend = tf.function(lambda x: attention(x, x, x))
for pixels in here.sides:
    x = rng.normal(size=(1, pixels, pixels, 32)).astype("float32")
    flat = x.reshape(1, -1, 32)
    both = milliseconds(conv, x), milliseconds(attend, flat)
    print(f"{pixels:2} x {pixels:2} pixels: convolution {both[0]:6.2f} ms,", end=" ")
    print(f"attention {both[1]:7.2f} ms, {4 * pixels**4 / 1e6:6.2f} MB of weights")

# %% [markdown]
# By count, twice the side means 4 times the work for the convolution and 16 times the work for
# attention. The convolution needs about 1 ms at all these sizes, most of it overhead. At 48 x 48
# there are five times as many pairs as at 32 x 32, and attention takes six times as long, 22 ms
# against 1 ms for the convolution. The weights of an LR photo of 320 x 180 pixels would fill 13
# GB. FlashAttention (2022) computes them block by block without storing them, but its time still
# grows with the square. So networks for photos avoid attention among all pixels. We look at three
# ways: attention in windows, weights of channels, and gates computed from single pixels.
#
# ## Windows
#
# In SwinIR (2021), a pixel attends only to its own window of 8 x 8 pixels. The cost is then
# linear in the number of pixels: each has 64 pairs, however large the image is. Reshaping and
# transposing cut the image into windows, as in the pixel shuffle of lesson 4:


# %%
def to_windows(x, window):
    """(batch, height, width, channels) to (batch * windows, window**2, channels)."""
    _, height, width, channels = x.shape
    shape = (-1, height // window, window, width // window, window, channels)
    x = ops.transpose(ops.reshape(x, shape), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, window**2, channels))


def from_windows(x, window, height, width):
    channels = x.shape[-1]
    shape = (-1, height // window, width // window, window, window, channels)
    x = ops.transpose(ops.reshape(x, shape), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height, width, channels))


x = rng.normal(size=(2, 16, 24, 5)).astype("float32")
windows = to_windows(x, 8)
print(x.shape, "->", windows.shape)
np.testing.assert_array_equal(from_windows(windows, 8, 16, 24), x)
np.testing.assert_array_equal(windows[1, :8], x[0, 0, 8:16])  # the second window

# %% [markdown]
# ### Where is a neighbour?
#
# Attention has no sense of position: if the pixels of a window are shuffled, each of them gets
# the same result as before. SwinIR therefore adds a learned number to each score, the *relative
# position bias*, which depends on how far two pixels are apart, vertically and horizontally. In a
# window of 2 x 2 the distances are -1, 0 and 1, so there are 3 x 3 numbers:

# %%
from sr_keras.models.swinir import ShiftedWindowAttention, relative_positions


def positions(window):
    """Returns the row of the table of biases for each pair of pixels."""
    row, column = np.divmod(np.arange(window**2), window)
    down = row[:, None] - row + window - 1
    right = column[:, None] - column + window - 1
    return down * (2 * window - 1) + right


np.testing.assert_array_equal(positions(8), relative_positions(8))
print(positions(2))
print("a window of 8 x 8:", positions(8).shape, "pairs,", 15 * 15, "distances")

# %% [markdown]
# Entry $(i, j)$ is the row of the table for pixels $i$ and $j$: 4 stands for no distance (each
# head has a table of its own), and 3 for "$j$ is one pixel to the right of $i$".
#
# ### Shifted windows
#
# No information crosses the borders of the windows, so every second layer moves them by half a
# window. To do this, it rolls the image: what leaves at the top comes back at the bottom. Pixels
# from opposite sides of the image then share a window, and a *mask* adds -100 to their scores, so
# that their weights vanish.

# %%
height, width, window, shift = 24, 24, 8, 4
row_is_rolled = np.arange(height) >= height - shift
column_is_rolled = np.arange(width) >= width - shift
part_of = 2 * row_is_rolled[:, None] + column_is_rolled  # 0 to 3
fig, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
corners = data.chelsea()[100:244, 140:284]
rolled_cat = np.roll(corners, (-24, -24), (0, 1))
axes[0].imshow(corners, extent=(0, 24, 24, 0))
axes[1].imshow(rolled_cat, extent=(0, 24, 24, 0))
axes[2].imshow(part_of, cmap="viridis", extent=(0, 24, 24, 0))
titles = ("borders, shifted by 4", "the same, rolled", "who may attend to whom")
for ax, title, first in zip(axes, titles, (4, 0, 0), strict=True):
    ax.set_title(title, fontsize=11)
    ax.set(xticks=[], yticks=[], xlim=(0, 24), ylim=(24, 0))
    for line in range(first, 25, 8):
        ax.axhline(line, color="white", lw=2), ax.axvline(line, color="white", lw=2)
plt.show()

# %% [markdown]
# In the third panel, pixels of a window with different colours do not attend to each other. We
# now put everything into one layer, with several *heads* (*multi-head attention*): the channels
# are divided among them, and each head computes its own weights, so that a pixel can look for
# several things at once. (In `shape`, the axes are windows, pixels, q/k/v, heads and channels of
# a head. `add_mask` follows in the next cell.)


# %%
class WindowAttention(layers.Layer):
    """Attention in windows: queries, keys and values in, (b, h, w, channels) out."""

    def __init__(self, heads, window, shift, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.window, self.shift = heads, window, shift

    def build(self, shape):
        count = (2 * self.window - 1) ** 2
        self.table = self.add_weight(shape=(count, self.heads), name="table")

    def call(self, x):
        (_, height, width, depth), n = x.shape, self.window**2
        x = ops.roll(x, (-self.shift, -self.shift), axis=(1, 2))
        shape = (-1, n, 3, self.heads, depth // 3 // self.heads)  # 3: q, k and v
        x = ops.reshape(to_windows(x, self.window), shape)
        q, k, v = ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)))  # (..., heads, n, d)
        scores = ops.matmul(q, ops.swapaxes(k, -1, -2)) / q.shape[-1] ** 0.5
        bias = ops.take(self.table, positions(self.window), axis=0)
        scores = scores + ops.transpose(bias, (2, 0, 1))  # (windows, heads, n, n)
        scores = add_mask(scores, height, width, self.window, self.shift)
        x = ops.matmul(ops.softmax(scores), v)
        x = ops.reshape(ops.swapaxes(x, 1, 2), (-1, n, depth // 3))
        x = from_windows(x, self.window, height, width)
        return ops.roll(x, (self.shift, self.shift), axis=(1, 2))


# %%
def add_mask(scores, height, width, window, shift):
    """Adds -100 to the scores of pixels that are not neighbours in the image."""
    rows = np.arange(height) >= height - shift
    columns = np.arange(width) >= width - shift
    parts = (2 * rows[:, None] + columns).astype("float32")[None, ..., None]
    parts = to_windows(parts, window)[..., 0]  # (windows, n)
    mask = -100 * ops.cast(parts[:, :, None] != parts[:, None], "float32")
    (count, pixels), heads = parts.shape, scores.shape[1]
    scores = ops.reshape(scores, (-1, count, heads, pixels, pixels))
    return ops.reshape(scores + mask[:, None], (-1, heads, pixels, pixels))


qkv = rng.normal(size=(2, 24, 16, 3 * 12)).astype("float32")
for shift in (0, 4):
    by_hand = WindowAttention(3, window=8, shift=shift)
    package_layer = ShiftedWindowAttention(3, window=8, shift=shift)
    package_layer.build(qkv.shape)
    package_layer.set_weights([rng.normal(size=(15 * 15, 3))])
    by_hand.build(qkv.shape)
    by_hand.set_weights(package_layer.get_weights())
    np.testing.assert_allclose(by_hand(qkv), package_layer(qkv), atol=1e-5)
print("equal to sr_keras's layer, with and without a shift")

# %% [markdown]
# ### A network of windows
#
# A SwinIR block has two parts: layer normalization and attention with a skip, then layer
# normalization and two dense layers with a skip:
#
# ![A SwinIR block](figures/17_swinir.svg)
#
# *A block of the lightweight SwinIR, drawn from the network by `sr.plotting.diagram`. The first dense
# layer computes Q, K and V, with 60 channels each.*
#
# We build the lightweight network with one group of two blocks:


# %%
def dense(x, units, name):
    return layers.Dense(units, name=name)(x)


def normalized(x, name):
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def block(x, filters, heads, window, shift, name):
    y = dense(normalized(x, f"{name}_norm1"), 3 * filters, f"{name}_qkv")
    y = WindowAttention(heads, window, shift, name=f"{name}_attention")(y)
    x = x + dense(y, filters, f"{name}_proj")
    y = dense(normalized(x, f"{name}_norm2"), 2 * filters, f"{name}_fc1")
    y = layers.Activation("gelu")(y)
    return x + dense(y, filters, f"{name}_fc2")


# %%
def small_swinir(size, scale, filters=12, heads=3, window=8):
    def conv(x, filters, name):
        return layers.Conv2D(filters, 3, padding="same", name=name)(x)

    colour = [0.4488, 0.4371, 0.4040]  # the mean of the photos of DIV2K
    inputs = keras.Input((*size, 3))
    head = conv(inputs - np.array(colour, "float32"), filters, "head")
    x = skip = normalized(head, "embed_norm")
    x = block(x, filters, heads, window, 0, "group_0_block_0")
    x = block(x, filters, heads, window, window // 2, "group_0_block_1")
    x = skip + conv(x, filters, "group_0_conv")
    x = head + conv(normalized(x, "norm"), filters, "body")
    x = conv(x, 3 * scale**2, "subpixels")
    x = sr.layers.PixelShuffle(scale)(x)
    return keras.Model(inputs, x + np.array(colour, "float32"))


# %%
swinir = sr.models.swinir(4, 12, depths=(2,), num_heads=3, variant="lightweight")
mine = small_swinir((24, 32), 4)
for layer in mine.layers:
    if layer.weights:
        layer.set_weights(swinir.get_layer(layer.name).get_weights())
pairs = sr.datasets.samples(4, split="validation")
lr_file, hr_file = pairs[1]  # the motorcycle
lr = sr.images.to_float(lr_file)[None]
part = lr[:, 40:64, 60:92]
np.testing.assert_allclose(mine(part), swinir(part), atol=1e-4)
print(f"{mine.count_params():,} parameters, the same output")

# %% [markdown]
# **Predict:** the windows are 8 pixels wide. How large is the region that the central pixel of
# the output depends on after one block, and after two?


# %%
def reach(blocks, size=48):
    """Returns where the central pixel of a stack of blocks looks (by gradient)."""
    inputs = keras.Input((size, size, 12))
    x = inputs
    for i in range(blocks):
        x = block(x, 12, 3, 8, 4 * (i % 2), f"block_{i}")
    model = keras.Model(inputs, x)
    images = tf.constant(rng.normal(size=(1, size, size, 12)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(images)
        centre = tf.reduce_sum(model(images)[:, size // 2, size // 2])
    return np.abs(tape.gradient(centre, images)[0]).sum(axis=-1)


fig, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
for ax, blocks in zip(axes, (1, 2, 3), strict=True):
    seen = reach(blocks)
    rows, columns = np.nonzero(seen)
    extent = np.ptp(rows) + 1, np.ptp(columns) + 1
    shares = np.log10(np.where(seen > 0, seen / seen.max(), np.nan))
    drawn = ax.imshow(shares, vmin=-6, vmax=0)
    ax.set(title=f"blocks: {blocks}, sees {extent[0]} x {extent[1]}", xticks=[])
    ax.set(yticks=[], facecolor="0.85")
fig.colorbar(drawn, ax=axes, label="log10 (gradient / largest)", shrink=0.8)
plt.show()

# %% [markdown]
# After one block the central pixel depends on its own window, in whose corner it lies. The
# shifted windows of the second block reach into four windows, and the third block adds another
# eight pixels to the width. The largest gradient is that of the pixel itself, which the skips
# pass on. All other pixels of a window count about equally, near or far, because nothing has been
# trained, so that all scores are nearly equal.
#
# Is it worth its cost? SwinIR's paper reports 32.44 dB on Set5 at x4 for the lightweight network
# (897,000 parameters), and 32.21 dB for IMDN, a convolutional network (715,000). But parameters
# are not time. In our [benchmarks](../benchmarks/README.md), on two cores with bfloat16 units and
# in float32, the lightweight SwinIR takes 2.3 s for an LR image of 240 x 160 pixels, EDSR 0.9 s,
# and a SPAN with 48 filters, which comes below, 0.18 s: its windows make many small products.
#
# ## Attention over channels
#
# The second way uses means. RCAN's *channel attention* (from squeeze-and-excitation networks,
# 2018) takes the mean $\bar x$ of each channel, passes the means through two small layers (1 x 1
# convolutions, called `squeeze` and `excite` in the package), and multiplies each channel by the
# result:
#
# $$y_c = x_c\, s_c, \qquad s = \sigma\left(W_2\,\mathrm{relu}(W_1 \bar x + b_1) + b_2\right)$$
#
# There are no pairs and no softmax, and the cost is negligible. **Predict:** the weights $s$ lie
# between 0 and 1. By how much do those of the cat and the motorcycle differ in a shipped network?

# %%
rcan = sr.models.load("rcan-x4-bsds-small")
excited = [layer.name for layer in rcan.layers if layer.name.endswith("_excite")]
probe = keras.Model(rcan.input, [rcan.get_layer(name).output for name in excited])
factors = np.array(
    [np.array(probe(sr.images.to_float(low)[None])).squeeze() for low, _ in pairs]
)  # (photos, blocks, channels)
cat, motorcycle = factors
panels = {"weights of the cat": (cat, 0.5), "motorcycle - cat": (motorcycle - cat, 0)}
fig, axes = plt.subplots(1, 2, figsize=(13, 3.8), layout="constrained")
for ax, (name, (values, middle)) in zip(axes, panels.items(), strict=True):
    limits = {"vmin": middle - 0.06, "vmax": middle + 0.06}
    drawn = ax.imshow(values, cmap="RdBu", aspect="auto", **limits)
    fig.colorbar(drawn, ax=ax)
    ax.set(xlabel="channel", ylabel="block", title=name)
plt.show()
between = np.abs(motorcycle - cat).max()
print(f"weights from {factors.min():.3f} to {factors.max():.3f};", end=" ")
print(f"the cat and the motorcycle differ by at most {between:.4f}")

# %% [markdown]
# The weights differ between channels, but hardly between photos. **Predict:** how much PSNR is
# lost if the attention is replaced by constants, first by one number for each channel, then by
# one half for all channels?


# %%
def with_constants(model, values):
    """Returns a copy whose channel attention always gives `values`."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for name, constant in zip(excited, values, strict=True):
        kernel, _ = copy.get_layer(name).get_weights()
        logit = np.log(constant / (1 - constant))  # sigmoid(logit) = constant
        copy.get_layer(name).set_weights([0 * kernel, logit])
    return copy


variants = {
    "as trained": rcan,
    "constants of the cat": with_constants(rcan, cat),
    "one half": with_constants(rcan, np.full_like(cat, 0.5)),
}

# %%
trained_output = rcan.predict_on_batch(lr)
for name, model in variants.items():
    mean = sr.evaluate(model, pairs.subset([1]))["mean"]
    change = 255 * np.abs(model.predict_on_batch(lr) - trained_output).max()
    print(f"{name:21} {mean['psnr_y']:.3f} dB / {mean['ssim_y']:.4f},", end=" ")
    print(f"largest change {change:.3f} grey levels")
print("motorcycle x4, PSNR / SSIM on luma, 4 pixels cut, 8 bits")

# %% [markdown]
# The output changes by up to 2.2 grey levels, but nothing is lost on this photo, to three
# decimals. So here the attention is a constant factor, which could be folded into the convolution
# before it. One half is the sigmoid of zero, from
# which the training starts; it has hardly moved the weights. This says nothing against RCAN,
# because ours is small and was trained for seven minutes. But an attention layer in a diagram
# does not show that the network makes use of it.
#
# ## Attention without parameters, and a network that is folded
#
# SPAN (2023) takes the third way. Its attention has no weights, no means and no pairs: the output
# of three convolutions determines by itself how strongly it is kept. With the input $x$ of a
# block and its features $f$:
#
# $$y = (f + x) \cdot \left(\sigma(f) - \tfrac12\right)$$
#
# We call $\sigma(f) - \tfrac12$ the *gate*.

# %%
f = np.linspace(-6, 6, 200)
gate = 1 / (1 + np.exp(-f)) - 0.5
fig, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
axes[0].plot(f, gate, color="#0072B2")
axes[0].set(xlabel="feature f", title="attention: sigmoid(f) - 1/2")
axes[1].plot(f, f * gate, color="#0072B2", label="x = 0")
axes[1].plot(f, (f + 2) * gate, "--", color="#D55E00", label="x = 2")
axes[1].set(xlabel="feature f", title="output (f + x) (sigmoid(f) - 1/2)")
axes[1].legend(frameon=False)
plt.show()

# %% [markdown]
# The gate is an odd function of $f$, so for $x = 0$ the output is even: a strong feature of
# either sign becomes a positive one of half its size, and a weak one fades like a square. With
# $x = 2$, the two signs give different outputs. SPAN's second idea concerns its convolutions,
# which are trained *wide* and used *narrow*:
#
# ![A wide block of convolutions and the convolution into which it is folded](figures/17_folding.svg)
#
# There is no activation between these convolutions. So the block is linear, and equals a single
# 3 x 3 convolution. Replacing it by this convolution is called *structural re-parameterization*.
# We do it by hand.
#
# ### A 1 x 1 convolution beside a 3 x 3 one
#
# **Predict:** both are applied to the same input, and their results are added. Which entries of
# the 3 x 3 kernel does the 1 x 1 kernel change?

# %%
x = rng.normal(size=(1, 12, 12, 4)).astype("float32")
three = layers.Conv2D(4, 3, padding="same", bias_initializer="random_normal")
one = layers.Conv2D(4, 1, bias_initializer="random_normal")
two_branches = three(x) + one(x)

kernel, bias = three.get_weights()
kernel_of_one, bias_of_one = one.get_weights()
kernel[1, 1] += kernel_of_one[0, 0]  # the middle of the nine
folded = layers.Conv2D(4, 3, padding="same")
folded.build(x.shape)
folded.set_weights([kernel, bias + bias_of_one])
np.testing.assert_allclose(folded(x), two_branches, atol=1e-5)
print("two branches = one convolution, with the middle of the kernel changed")

# %% [markdown]
# ### 1 x 1, then 3 x 3, then 1 x 1
#
# A 1 x 1 convolution multiplies each pixel by a matrix, and a 3 x 3 convolution has nine
# matrices, one for each position. So the folded kernel consists of nine products of three
# matrices:


# %%
def fold_chain(widen, work, narrow):
    """Folds (kernel, bias) of a 1x1, a 3x3 and a 1x1 convolution into one."""
    (k1, b1), (k2, b2), (k3, b3) = widen, work, narrow
    kernel = k1[0, 0] @ k2 @ k3[0, 0]  # (3, 3, inputs, outputs)
    bias = (b1 @ k2.sum(axis=(0, 1)) + b2) @ k3[0, 0] + b3
    return kernel, bias


chain = [
    layers.Conv2D(8, 1, bias_initializer="random_normal"),
    layers.Conv2D(8, 3, padding="same", bias_initializer="random_normal"),
    layers.Conv2D(4, 1, bias_initializer="random_normal"),
]
wide = x
for layer in chain:
    wide = layer(wide)
folded.set_weights(fold_chain(*(layer.get_weights() for layer in chain)))
difference = np.abs(folded(x) - wide).max(axis=(0, -1))
print("largest difference inside:", f"{difference[1:-1, 1:-1].max():.1e}")
print("largest difference at the border:", f"{difference[0].max():.3f}")

# %% [markdown]
# **Why do they differ at the border?** In the chain, the 3 x 3 convolution pads the *widened*
# features with zeros. The folded convolution pads the input with zeros, whose widened features
# would be $b_1$. SPAN's authors therefore pad the input, before the first 1 x 1 convolution. The
# package's layer folds first and convolves afterwards, in training too, so that there is only one
# function.

# %%
from sr_keras.models.span import FoldableConv2D

layer = FoldableConv2D(4, gain=2)
layer(x)
names = ("widen", "work", "narrow")
parts = {name: [np.array(w) for w in getattr(layer, name)] for name in names}
for name in ("widen", "narrow"):
    parts[name][0] = parts[name][0][None, None]  # a matrix as a 1x1 kernel
kernel, bias = fold_chain(*(parts[name] for name in names))
kernel_of_skip, bias_of_skip = (np.array(w) for w in layer.skip)
kernel[1, 1] += kernel_of_skip
folded.set_weights([kernel, bias + bias_of_skip])
np.testing.assert_allclose(folded(x), layer(x), atol=1e-5)
print(f"{layer.count_params()} parameters in training, {folded.count_params()} after")

# %% [markdown]
# ### The whole block on a page
#
# With this layer, a block of SPAN takes a few lines:
#
# ![A SPAN block](figures/17_span.svg)
#
# *A block of SPAN, drawn from the network. The features $f$ of the third convolution take two
# paths: they are added to $x$, and they make the gate that multiplies the sum.*
#
# Around the blocks there is little. A 3 x 3 convolution comes first; after six blocks and another
# 3 x 3 convolution, the result is joined with the output of the first convolution, of the first
# block, and of the first convolution inside the last block. A 1 x 1 convolution, a 3 x 3 one and
# a pixel shuffle make the image.
#
# We compare our block with the first one of the package's network:

# %%
span = sr.models.span(4, filters=16, num_blocks=2)


def span_block(x, name):
    f = span.get_layer(f"{name}_conv1")(x)
    f = keras.activations.silu(f)
    f = keras.activations.silu(span.get_layer(f"{name}_conv2")(f))
    f = span.get_layer(f"{name}_conv3")(f)
    return (f + x) * (keras.activations.sigmoid(f) - 0.5)


ends = [span.get_layer(name).output for name in ("head", "block_0_gated")]
before, after = keras.Model(span.input, ends)(part)
np.testing.assert_allclose(span_block(before, "block_0"), after, atol=1e-5)
print("equal")

# %% [markdown]
# `sr.models.fold` folds all layers of a network. How much faster is the result? The package's
# network always convolves with folded kernels, so for a fair comparison we compute the chain
# layer by layer:


# %%
def as_chain(filters, gain, depth):
    """A stack of wide blocks whose convolutions are all computed."""
    inputs = keras.Input((None, None, filters))
    x = inputs
    for _ in range(depth):
        y = layers.Conv2D(gain * filters, 1)(x)
        y = layers.Conv2D(gain * filters, 3, padding="same")(y)
        x = layers.Add()([layers.Conv2D(filters, 1)(y), layers.Conv2D(filters, 1)(x)])
    return keras.Model(inputs, x)


def as_folded(filters, depth):
    inputs = x = keras.Input((None, None, filters))
    for _ in range(depth):
        x = layers.Conv2D(filters, 3, padding="same")(x)
    return keras.Model(inputs, x)


features = rng.normal(size=(1, 96, 96, 28)).astype("float32")
for name, stack in (("wide", as_chain(28, 2, 4)), ("folded", as_folded(28, 4))):
    cost = sr.models.mult_adds(stack, 1, 96, 96)
    spent = milliseconds(stack.predict_on_batch, features, repeats=15)
    print(f"{name:6} {stack.count_params():7,} parameters,", end=" ")
    print(f"{cost / 1e6:6.0f} M Mult-Adds, {spent:6.1f} ms (96 x 96 pixels)")

# %%
folded_span = sr.models.fold(span)
np.testing.assert_allclose(folded_span(part), span(part), atol=1e-5)
for name, model in (("span", span), ("folded", folded_span)):
    spent = milliseconds(model.predict_on_batch, lr, repeats=15)
    print(f"{name:6} {model.count_params():7,} parameters, {spent:6.1f} ms", end=" ")
    print("(motorcycle x4)")

# %% [markdown]
# The folded stack has less than a quarter of the Mult-Adds and takes less than a quarter of the
# time. (Here the two stacks have independent random weights.) The package's network saves only
# the folding itself.

# %% [markdown]
# ### Is training wide worth it?
#
# The wide and the narrow network can compute the same functions, but their training takes
# different paths: a step changes the factors, and their product changes in another direction than
# a single kernel would. We compare the two from the same start: the narrow network is the wide
# one, folded before the first step. Both see the same batches, at two learning rates and with two
# seeds. After 1,000 steps, neither can be good: what we test is how easily such a comparison
# misleads. For comparison, we add the best linear filter (lesson 4), fitted to the same photos.
# **Predict:** which one scores higher?


# %%
def train(network, rate):
    """Trains a network, while the learning rate decays to 0; returns its PSNR."""
    schedule = keras.optimizers.schedules.CosineDecay(rate, here.steps_of_span)
    network.compile(keras.optimizers.Adam(schedule), loss="mae")
    network.fit(batches, steps_per_epoch=here.steps_of_span, verbose=0)
    return sr.evaluate(network, pairs)["mean"]["psnr_y"]


train_pairs = sr.datasets.samples(4).subset([0, 1])  # astronaut and coffee
batches = sr.pipeline.training_batches(train_pairs, lr_patch_size=16, batch_size=8)
trained, psnrs = {}, {}
for rate in here.rates:
    for seed in range(here.seeds):
        keras.utils.set_random_seed(seed)
        trained["wide", rate, seed] = sr.models.span(4, 16, num_blocks=2)
        trained["narrow", rate, seed] = sr.models.fold(trained["wide", rate, seed])
        for kind in ("wide", "narrow"):
            psnrs[kind, rate, seed] = train(trained[kind, rate, seed], rate)

# %%
for rate in here.rates:
    for kind in ("wide", "narrow"):
        scores = [f"{psnrs[kind, rate, seed]:.2f}" for seed in range(here.seeds)]
        print(f"learning rate {rate:5}, {kind:6}: {' and '.join(scores)} dB")
linear = sr.course.linear_filter(batches.take(here.fitted), 4)  # as in lesson 4
baselines = {"bicubic": sr.models.bicubic(4), "linear filter": linear}
baselines = {
    name: sr.evaluate(model, pairs)["mean"]["psnr_y"]
    for name, model in baselines.items()
}
print(", ".join(f"{name} {value:.2f} dB" for name, value in baselines.items()), end="")
print("; cat and motorcycle x4, luma, 4 pixels cut, 8 bits;")
print(f"seeds: {here.seeds}, steps: {here.steps_of_span}")

# %% [markdown]
# It depends on the learning rate. At 0.003, the wide network is ahead with both seeds; at 0.01,
# the narrow one is ahead with one, and they are equal with the other. If each has its better rate
# (chosen on these two photos), the means are 28.67 dB (wide) and 28.76 dB (narrow). Two seeds,
# which change only the initial weights, differ by up to 0.28 dB. A comparison at 0.003 alone would
# have shown a gain from training wide: a product of factors takes other steps than a single kernel,
# so each of them needs its own rate.
#
# But all eight networks end below the linear filter, which has no hidden layer at all, and one of
# them even below bicubic interpolation. After 1,000 steps they have not yet learned what only a
# network can do, so this page cannot tell which way leads further. The papers on RepVGG and on
# edge-oriented blocks report gains after training that is many times longer.

# %% [markdown]
# ### What the gates see
#
# For a SPAN that was trained for long, we take `span-x4-photos` of the package: six blocks of 48
# filters, stored folded. It did not learn from HR photos alone: its targets are what a published
# network, RLFN-S, makes of the LR images, averaged over eight flips and rotations. We draw the mean
# absolute value of the gates over the channels, for three of its blocks. **Predict:** where will it
# be large?

# %%
trained_span = sr.models.load("span-x4-photos")
gate_layers = [la for la in trained_span.layers if la.name.endswith("_attention")]
gates = keras.Model(trained_span.input, [la.output for la in gate_layers])(lr)
fig, axes = plt.subplots(2, 2, figsize=(11, 7.4), layout="constrained")
axes[0, 0].imshow(lr_file)
axes[0, 0].set_title("LR")
for ax, i in zip(axes.flat[1:], (0, 3, 5), strict=True):
    drawn = ax.imshow(np.abs(gates[i][0]).mean(axis=-1), cmap="magma")
    ax.set_title(f"mean |gate| of block {i}")
    fig.colorbar(drawn, ax=ax, shrink=0.8)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# In all three blocks, the gates are largest at edges and in the engine. A gate can reach 0.5: in
# block 3 they come to 0.3, and in blocks 0 and 5 all of them are below 0.1. (Each panel has its
# own scale.) **Predict:** we replace each gate by its mean over the photo, one number for each
# channel. Will this change as little as in RCAN?


# %%
def without_gates(model, low):
    """Returns a copy of a SPAN with the mean of each gate, one for each channel."""
    gates_of = [la for la in model.layers if la.name.endswith("_attention")]
    outputs = keras.Model(model.input, [la.output for la in gates_of])(low)
    means = {
        la.name: ops.mean(output, axis=(1, 2), keepdims=True)
        for la, output in zip(gates_of, outputs, strict=True)
    }

    def call(layer, *inputs, **kwargs):
        result = layer(*inputs, **kwargs)
        return 0 * result + means[layer.name] if layer.name in means else result

    copy = keras.models.clone_model(model, call_function=call)
    copy.set_weights(model.get_weights())
    return copy


# %%
versions = {"as shipped": trained_span, "means": without_gates(trained_span, lr)}
panels = {name: sr.upscale(model, lr_file) for name, model in versions.items()}
measures = {name: score(hr_file, image, border=4) for name, image in panels.items()}
sr.plotting.comparison(
    {**panels, "HR": hr_file},
    scores={name: (row["psnr_y"], row["ssim_y"]) for name, row in measures.items()},
    crop=(312, 510, 84, 114),
    columns=3,
    title="SPAN x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# No: with the means, the network loses 1.5 dB, and the fork breaks up into steps as in bicubic
# interpolation. So these gates matter, unlike RCAN's. The test does not show why, and does not
# prove that the network attends to what matters. The mean of a gate can be near zero in a channel
# whose features change sign, and there the constant removes the channel. The gate also makes a
# block non-linear after its last convolution, and a constant does not. A control experiment would
# put another non-linearity in its place.
#
# ## Quality against time
#
# Parameters and Mult-Adds are easy to count, but they predict the time only roughly. The time
# also depends on the machine, on how well a layer uses it, and on memory. We again measure
# processor time; for a product, measure wall-clock time on the target device. **Predict:** the
# shipped networks have 24,752 (ESPCN), 12,809 (FSRCNN), 232,963 (EDSR small), 338,195 (RCAN
# small), 426,288 (SPAN) and 1,517,571 parameters (EDSR). Sort them by their time.


# %%
def measured(models):
    """Returns parameters, time on the motorcycle and mean PSNR of each model."""
    height, width, _ = hr_file.shape
    rows = []
    for name, model in models.items():
        result = sr.evaluate(model, pairs)
        spent = milliseconds(sr.upscale, model, lr_file, repeats=2)
        row = {"model": name, "parameters": model.count_params()}
        row["milliseconds"] = spent
        row["psnr_y"] = result["mean"]["psnr_y"]
        rows.append({**row, "source": "shipped"})
        cost = sr.models.mult_adds(model, 4, height, width) / 1e9
        print(f"{name:18} {row['parameters']:9,} parameters,", end=" ")
        print(f"{cost:5.2f} G Mult-Adds, {row['milliseconds']:4.0f} ms,", end=" ")
        print(f"{row['psnr_y']:.2f} dB")
    return rows


# %%
shipped_names = ("espcn-x4-bsds", "fsrcnn-x4-bsds", "edsr-x4-bsds-small")
shipped_names += ("rcan-x4-bsds-small", "edsr-x4-bsds", "span-x4-photos")
rows = measured({name: sr.models.load(name) for name in shipped_names[: here.compared]})
print(
    "processor time: motorcycle x4; PSNR: cat and motorcycle, luma, 4 pixels cut, 8 bits"
)

# %%
sr.plotting.quality_against_cost(
    rows,
    x="milliseconds",
    baselines=baselines,
    title="Processor time of the motorcycle x4 here, PSNR of two photos",
)

# %% [markdown]
# The order is that of neither column. FSRCNN has half as many parameters as ESPCN, and half of
# the Mult-Adds, because both use each weight once for each LR pixel. It still takes a third
# longer, probably because it has more layers, and thinner ones. The small EDSR has 14 times the
# Mult-Adds of ESPCN, but takes only five times as long, probably because a fixed cost of about 30
# ms a call weighs on the small networks. EDSR gains another 0.3 dB in three and a half to five
# times the time. SPAN reaches the same in the time of the small networks, but it learned from a
# network that was trained on thousands of photos. (The networks called small were trained for
# minutes, see the [cards](../sr_keras/pretrained/README.md), so the plot compares trainings as
# well as designs.)

# %% [markdown]
# ## Optional: networks that others published
#
# The organizers of the NTIRE 2026 challenge have published a small SPAN, their baseline
# ([code](https://github.com/Amazingren/NTIRE2026_ESR)), and the authors of RLFN [their network
# RLFN-S](https://github.com/bytedance/RLFN/blob/main/model_zoo/rlfn_s_x4.pth). To run these
# cells, put the files into the folder `official` of your data (`SR_KERAS_DATA`, otherwise
# `../data`), under the names below. Without them, read on: SPAN (150,688 parameters) takes 91 ms
# and reaches 30.00 dB, RLFN-S (470,208) 220 ms and 30.20 dB. Both were trained for much longer,
# on thousands of photos, so not only their design differs from ours.

# %%
folder = os.path.join(os.environ.get("SR_KERAS_DATA") or "../data", "official")
files = {"SPAN": "span_x4_ntire2026.pth", "RLFN-S": "rlfn_s_x4.pth"}
published = {
    name: sr.models.load(os.path.join(folder, file), 4)
    for name, file in files.items()
    if os.path.exists(os.path.join(folder, file))
}
more = [{**row, "source": "published"} for row in measured(published)]
sr.plotting.quality_against_cost(
    rows + more, x="milliseconds", group="source", title="The same, with published"
)

# %% [markdown]
# For the time they take, both are better than the networks that learned from a few hundred photos
# alone. `span-x4-photos` has nearly three times the parameters of the published SPAN, and scores
# lower.

# %% [markdown]
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** An LR photo of 320 x 200 pixels goes through one attention layer with 60
# channels. How many multiplications do the scores and the means take, at $2d$ for each pair, for
# attention among all pixels, and for windows of 8 x 8? Give both numbers in units of 10⁹, with
# two decimals. Then, on paper: after how many layers can the first column affect the last one, if
# every second layer shifts its windows by 4, and if none does?

# %%
answer = None  # two numbers

sr.course.check(answer, "17.1")

# %% tags=["solution"]
# @title Solution 1
pixels = 320 * 200
answer = [pixels**2 * 2 * 60 / 1e9, pixels * 64 * 2 * 60 / 1e9]
sr.course.check(answer, "17.1")
print(answer, "- a factor of 1000, the number of windows")

# %% [markdown] tags=["solution"]
# The first layer spreads a column over 8, and each further one over 4 more, so $8 + 4(k - 1) \ge
# 320$ needs $k = 79$ layers. (In the picture above the region grows by 8, by 4 on each side; here
# only one direction counts.) Without shifts, no number is enough.

# %% [markdown]
# **Exercise 2.** Three pixels have the keys 0, 1 and 2 and the values 1, 0 and 4, each a single
# number. What is the output of attention for a pixel whose query is 0, and for one whose query is
# $\log 2$? ($d = 1$; give three decimals.) What changes if the three trade places, without and
# with a position bias?

# %%
answer = None  # two numbers

sr.course.check(answer, "17.2")

# %% tags=["solution"]
# @title Solution 2
keys, numbers = np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [0.0], [4.0]])
queries = np.array([[0.0], [np.log(2)]])
answer = ops.convert_to_numpy(attention(queries, keys, numbers))[:, 0]
sr.course.check(answer, "17.2")
print("the mean of all, and (1 x 1 + 2 x 0 + 4 x 4) / 7:", answer.round(3))

# %% [markdown] tags=["solution"]
# Without a bias nothing changes, because a sum has no order. With one the outputs change, because
# biases belong to distances, not to pixels.

# %% [markdown]
# **Exercise 3.** A block of RepVGG adds three branches: a 3 x 3 convolution, a 1 x 1 convolution,
# and the input itself. (We leave out the batch normalization at the end of each branch.) Its
# 3 x 3 kernel is all 0.1, its 1 x 1 kernel is 0.5, for one channel without bias. What is the
# middle of the folded kernel, and what is the sum of its nine entries?

# %%
answer = None  # two numbers

sr.course.check(answer, "17.3")

# %% tags=["solution"]
# @title Solution 3
kernel = np.full((3, 3), 0.1)
kernel[1, 1] += 0.5 + 1  # the input itself is a 1x1 convolution with 1
answer = [kernel[1, 1], kernel.sum()]
sr.course.check(answer, "17.3")

# %% [markdown]
# **Exercise 4.** A `FoldableConv2D` from 52 to 52 channels with gain 2 is trained with four
# kernels and four biases. How many parameters does it have in training, and after folding? And
# from the table in *Quality against time*: how many milliseconds does each network take for 10⁹
# Mult-Adds?

# %%
answer = None  # two integers

sr.course.check(answer, "17.4")

# %% tags=["solution"]
# @title Solution 4
widen = 52 * 104 + 104
work = 9 * 104 * 104 + 104
narrow, skip_weights = 104 * 52 + 52, 52 * 52 + 52
answer = [widen + work + narrow + skip_weights, 9 * 52 * 52 + 52]
sr.course.check(answer, "17.4")
layer = FoldableConv2D(52)
layer.build((None, None, None, 52))
print(answer, layer.count_params())

# %% [markdown] tags=["solution"]
# About 65 (ESPCN), 170 (FSRCNN), 23 (EDSR small), 25 (RCAN small), 20 (EDSR) and 21 (SPAN): much
# of ESPCN's number is probably the fixed cost of a call, which hardly matters for large networks.
# FSRCNN is slower even than that predicts: its layers have few channels.

# %% [markdown]
# **Exercise 5.** For each pixel in a hole, find the *other* pixel to which the trained layer
# `learned` gives the largest weight. For which share of them does that pixel have exactly the
# missing value, and for which share does it lie outside all holes? Use the first 64 test lines.
# Then find out whether the network needs its attention: set the weights of `learned.query` to
# zero, so that all pixels count equally, and measure the error in the holes.

# %%
share_right, share_known = None, None  # yours

# %% tags=["solution"]
# @title Solution 5
scores = ops.convert_to_numpy(learned.scores(test_lines[:64]))
scores = np.where(np.eye(length), -np.inf, scores)
place = scores.argmax(axis=-1)  # (lines, pixels)
true_values = test_whole[:64, :, 0]
found_values = np.take_along_axis(true_values, place, axis=1)
right = found_values[hole[:64]] == true_values[hole[:64]]
visible = ~np.take_along_axis(hole[:64], place, axis=1)[hole[:64]]
print(f"right: {right.mean():.0%}, known: {visible.mean():.0%}", end=" ")
print(f"of {len(right)} pixels in holes")

kept = learned.query.get_weights()
learned.query.set_weights([0 * values for values in kept])
equal = fillers["attention"].predict_on_batch(test_lines)[..., 0]
learned.query.set_weights(kept)
errors["equal weights"] = np.mean((equal - test_whole[..., 0])[hole] ** 2)
for name in ("attention", "equal weights"):
    print(f"{name}: squared error in the holes {errors[name]:.4f}")

# %% [markdown] tags=["solution"]
# For seven of ten pixels, the place has the right value. But 15% of the places are in a hole
# themselves, some of the right ones among them, and there is nothing to copy there. With equal
# weights, the error is nearly that of grey, so this network does depend on its attention.

# %% [markdown]
# ## Summary
#
# - Attention is a weighted mean. The weights come from the product of a query and a key, and a
#   softmax. Non-local means is a special case.
# - It can copy from wherever a similar pixel is. A convolution weights fixed places, so a
#   changing period is difficult for it.
# - Among all pixels, its cost grows with the square of their number. Windows make it linear,
#   shifted windows connect them, and a table of biases tells how far apart two pixels are.
# - What attention *can* do says nothing about what it *does* in a trained network. Replace it by
#   a constant, and measure.
# - Convolutions without an activation between them equal a single one. Fold them after training,
#   and take care of the padding. Compare a wide and a narrow network each at its better learning
#   rate, and train until both beat a linear filter.
# - Measure the time, because parameters and Mult-Adds predict it only roughly.
#
# ## Further reading
#
# - Buades, Coll and Morel, [A non-local algorithm for image
#   denoising](https://doi.org/10.1109/CVPR.2005.38), 2005: non-local means.
# - Vaswani and others, [Attention is all you need](https://arxiv.org/abs/1706.03762), 2017: the
#   formula, its scale, and heads.
# - Wang and others, [Non-local neural networks](https://arxiv.org/abs/1711.07971), 2018: how
#   attention and non-local means are related.
# - Dao and others, [FlashAttention](https://arxiv.org/abs/2205.14135), 2022.
# - Liu and others, [Swin transformer](https://arxiv.org/abs/2103.14030), 2021: shifted windows
#   and the table of biases.
# - Liang and others, [SwinIR: image restoration using Swin
#   transformer](https://arxiv.org/abs/2108.10257), 2021.
# - Hu, Shen and Sun, [Squeeze-and-excitation networks](https://arxiv.org/abs/1709.01507), 2018:
#   channel attention.
# - Zhang and others, [Image super-resolution using very deep residual channel attention
#   networks](https://arxiv.org/abs/1807.02758), 2018: RCAN.
# - Ding and others, [RepVGG: making VGG-style ConvNets great
#   again](https://arxiv.org/abs/2101.03697), 2021: branches that are folded.
# - Zhang, Zeng and Zhang, [Edge-oriented convolution block for real-time super resolution on
#   mobile devices](https://doi.org/10.1145/3474085.3475291), 2021: folded blocks for SR.
# - Kong and others, [Residual local feature network for efficient
#   super-resolution](https://arxiv.org/abs/2205.07514), 2022: RLFN.
# - Wan and others, [Swift parameter-free attention network for efficient
#   super-resolution](https://arxiv.org/abs/2311.12770), 2023: SPAN.
