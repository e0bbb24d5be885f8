# %% [markdown]
# # 3. SRCNN: interpolate first, then correct
#
# The first convolutional network for super-resolution, built by hand: what a convolution computes, why the network processes luma
# only, its three steps, and what it must achieve to beat the best linear filter.
#
# ![The front of a motorcycle: bicubic interpolation, a linear filter, SRCNN and HR](figures/03_goal.jpg)
#
# *Bicubic interpolation, the best linear filter, a network of 3,553 weights that you will train in this lesson ("residual"), and
# the package's SRCNN with 57,281 weights.*
#
# **You will be able to**
#
# - compute a convolution by hand, with several channels, a bias and ReLU;
# - convert RGB to YCbCr and back, and explain why SRCNN is usually applied to luma only;
# - compute SRCNN's three steps in NumPy, write the network in Keras, and count its weights and multiplications;
# - find the best linear filter by least squares, and use it as a baseline;
# - train SRCNN with `compile` and `fit`, and compare it with both baselines under stated conditions;
# - explain what a residual connection changes, and (optional section) how VDSR can use a high learning rate.
#
# **You need** [lesson 1](01_pixels.ipynb): bicubic interpolation, luma, PSNR; and [lesson 2](02_data.ipynb): pairs and patches.
# You should have trained a network with Keras before (`compile` and `fit`).
#
# **Time:** about 65 minutes to read the core, 55 for the exercises; 4 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
#
# **Optional** section, 5 minutes more: *bounded steps*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/03_srcnn.ipynb) · [Student edition](student/03_srcnn.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/03_srcnn.py) · Previous: [2. Data: photos, pairs and patches](02_data.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/02_data.ipynb)) · Next: [4. ESPCN and FSRCNN: enlarge at the end](04_espcn.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/04_espcn.ipynb)) · [All lessons](README.md)

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
    minutes=(0.7, 4, 1),
    fitted=(20, 100, 100),
    steps=(160, 1000, 4000),
    epochs=(4, 10, 20),
    passes=(2, 6, 10),
)

# %% [markdown]
# ## Interpolate first
#
# The pictures show a photo, its LR image at x3 (with a ninth of the pixels), and the bicubic interpolation of the LR image.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

scale = 3
pairs = sr.datasets.samples(scale)
validation = sr.datasets.samples(scale, split="validation")
lr, hr = (sr.images.to_float(image) for image in validation[1])  # the motorcycle
bicubic = sr.models.bicubic(scale).predict_on_batch(lr[None])[0]
bicubic = np.clip(bicubic, 0, 1)

front = (105, 375, 130, 180)  # top, left, height, width: the front of the motorcycle
sr.plotting.comparison({"LR, x3": lr, "bicubic": bicubic, "HR": hr}, crop=front)

# %% [markdown]
# The picture in the middle has the size of the one on the right, but not its sharpness. A network could take it as input and
# *correct* it: an image goes in, and an image of the same size comes out.
#
# ```
# LR ──> bicubic x3 ──> conv 9 x 9, ReLU ──> conv 1 x 1, ReLU ──> conv 5 x 5 ──> SR
#        (fixed)        patch extraction     non-linear mapping    reconstruction
# ```
#
# This is SRCNN (2014). The framework is called *pre-upsampling*: the image is enlarged first and processed afterwards. Before we
# build the network, we have to decide which numbers it should see.
#
# ## YCbCr by hand
#
# Y is luma, the brightness. Cb and Cr say how much bluer and how much redder a pixel is than grey. All three are weighted sums of
# red, green and blue plus an offset.

# %%
matrix = np.array(
    [
        [65.481, 128.553, 24.966],  # Y
        [-37.797, -74.203, 112.0],  # Cb
        [112.0, -93.786, -18.214],  # Cr
    ]
)
offset = np.array([16, 128, 128])


# %% [markdown]
# **Predict:** a grey pixel has equal red, green and blue values. What are its Cb and Cr? Add up the rows of the matrix in your
# head, then run the cell.


# %%
def to_ycbcr(rgb):
    return (rgb @ matrix.T + offset) / 255


for grey in (0, 0.5, 1):
    print(f"grey {grey}: Y, Cb, Cr =", 255 * to_ycbcr(np.full(3, grey)))
np.testing.assert_allclose(to_ycbcr(hr), sr.images.rgb_to_ycbcr(hr), atol=1e-6)

# %% [markdown]
# Both are always 128, the offset, because the weights of Cb and those of Cr sum to 0. Y ranges from 16 to 235 out of 255, which
# is a television standard (BT.601). To convert back, we subtract the offset and multiply by the inverse matrix.


# %%
def to_rgb(ycbcr):
    return (255 * ycbcr - offset) @ np.linalg.inv(matrix).T


np.testing.assert_allclose(to_rgb(to_ycbcr(hr)), hr, atol=1e-6)
package = sr.images.ycbcr_to_rgb(sr.images.rgb_to_ycbcr(hr))
np.testing.assert_allclose(to_rgb(to_ycbcr(hr)), package, atol=1e-5)

# %% [markdown]
# **Predict:** in which of the three channels will you see the spokes of the wheels?

# %%
ycbcr = to_ycbcr(hr)
fig, axes = plt.subplots(1, 3, figsize=(10, 2.5), layout="constrained")
for ax, name, channel in zip(
    axes, ("Y", "Cb", "Cr"), np.moveaxis(ycbcr, -1, 0), strict=True
):
    ax.imshow(channel, cmap="gray", vmin=16 / 255, vmax=240 / 255)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# They are clearest in Y. The colour channels consist of flat areas with few edges, and interpolation is accurate in flat areas.
# How large is the error of bicubic interpolation in each channel?

# %%
missed = ycbcr - to_ycbcr(bicubic)
for name, error in zip(("Y", "Cb", "Cr"), np.moveaxis(missed, -1, 0), strict=True):
    print(f"{name}: bicubic x3 is off by {255 * np.sqrt(np.mean(error**2)):.2f} of 255")
print("(root mean square over the motorcycle)")

# %% [markdown]
# Suppose that one network is perfect on Y and leaves the colours to bicubic interpolation, and that another is perfect on the
# colours and leaves Y. **Predict:** what do the two pictures look like?


# %%
def psnr_rgb(image):
    image = np.clip(image, 0, 1).astype("float32")
    return float(sr.metrics.psnr(hr[None], image[None], border=scale)[0])


y, coarse_y = ycbcr[..., :1], to_ycbcr(bicubic)[..., :1]
cbcr, coarse_cbcr = ycbcr[..., 1:], to_ycbcr(bicubic)[..., 1:]
mixed = {
    "bicubic": bicubic,
    "perfect Cb, Cr": to_rgb(np.concatenate([coarse_y, cbcr], axis=-1)),
    "perfect Y": to_rgb(np.concatenate([y, coarse_cbcr], axis=-1)),
}

# %%
sr.plotting.comparison(
    {**mixed, "HR": hr},
    scores={name: psnr_rgb(image) for name, image in mixed.items()},
    crop=front,
    columns=2,
    title="x3, PSNR on RGB (dB), 3 pixels cut, not rounded",
    whole=False,
)

# %% [markdown]
# Perfect colours gain a quarter of a decibel, and perfect luma more than eleven. SRCNN is therefore usually trained on luma
# alone, which also makes its first layer three times cheaper, and the colours are interpolated. This is a convention, not a
# property of the network: the paper also trained SRCNN on RGB, and `sr.models.srcnn(3, channels=3)` builds that version.
#
# ## What a convolution computes
#
# SRCNN consists of convolutions. A *kernel* of 3 x 3 weights $w$ slides over the image $x$. At each position, the nine pixels under
# the kernel are multiplied by the nine weights and summed:
#
# $$y_{m,n} = \sum_{i=0}^{2} \sum_{j=0}^{2} w_{i,j}\, x_{m+i-1,\,n+j-1}$$
#
# Pixels beyond the border count as zero. (Mathematicians flip the kernel first and call the version without the flip a
# cross-correlation. Neural networks do not flip.)


# %%
def convolve(image, kernel):
    height, width = image.shape
    padded = np.pad(image, 1)
    return sum(
        kernel[i, j] * padded[i : i + height, j : j + width]
        for i in range(3)
        for j in range(3)
    )


# %% [markdown]
# **Predict:** what will these three kernels do to a photo? As a hint, add up the weights of each kernel. What happens in an area
# where all pixels are equal? And what does "left to right" give at a vertical edge between 0.3 (left) and 0.7 (right)?

# %%
examples = {
    "mean": np.full((3, 3), 1 / 9),
    "left to right": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,
    "centre minus neighbours": np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]),
}
luma = ycbcr[..., 0]
filtered = {name: convolve(luma, kernel) for name, kernel in examples.items()}
for name, kernel in examples.items():
    package = keras.ops.conv(
        luma[None, ..., None].astype("float32"),
        kernel[..., None, None].astype("float32"),
        padding="same",
    )
    np.testing.assert_allclose(filtered[name], package[0, ..., 0], atol=1e-5)

# %%
top, left, height, width = front
window = np.s_[top : top + height, left : left + width]
fig, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
axes[0, 0].imshow(luma[window], cmap="gray", vmin=0, vmax=1)
axes[0, 0].set_title("luma", fontsize=10)
for ax, (name, result) in zip(axes.flat[1:], filtered.items(), strict=True):
    low, high = (0, 1) if name == "mean" else (-0.4, 0.4)  # mid-grey is 0
    ax.imshow(result[window], cmap="gray", vmin=low, vmax=high)
    ax.set_title(name, fontsize=10)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The weights of the mean kernel sum to 1, and it blurs the photo. The weights of the other two sum to 0, so flat areas become 0
# (drawn as mid-grey) and edges do not. "Left to right" responds only to changes in that direction, and its sign says which side
# is brighter. At the edge, it gives (1 + 2 + 1) / 4 x 0.4 = 0.4.
#
# A Keras layer has one such kernel for each pair of an input channel and an output channel. For each output channel, it sums the
# results of all input channels and adds a bias. The activation *ReLU* then sets negative values to 0.

# %%
layer = keras.layers.Conv2D(8, 3, padding="same", activation="relu")
outputs_of_layer = keras.ops.convert_to_numpy(layer(hr[None]))[0]
kernel, bias = layer.get_weights()
print("kernel", kernel.shape, "bias", bias.shape, "weights:", layer.count_params())

k = 5  # one of the eight output channels
total = sum(convolve(hr[..., c], kernel[:, :, c, k]) for c in range(3))
total = np.maximum(total + bias[k], 0)
np.testing.assert_allclose(total, outputs_of_layer[..., k], atol=1e-5)

# %% [markdown]
# ## Three steps
#
# SRCNN consists of three convolutions. With the interpolated luma $Y$, weights $W_i$ and biases $b_i$, and $*$ for convolution, it
# computes
#
# $$F_1 = \max(0,\ W_1 * Y + b_1), \qquad F_2 = \max(0,\ W_2 * F_1 + b_2), \qquad F_3 = W_3 * F_2 + b_3$$
#
# ![SRCNN](figures/03_srcnn.svg)
#
# *The SRCNN of the package, drawn by `sr.plotting.diagram(sr.models.srcnn(3, channels=1))`. Boxes drawn higher up work on larger
# feature maps. This is the default, with kernels of 9-5-5 and with 64 and 32 filters. Ours is 9-1-5 with 32 and 16: the kernel in
# the middle is 1 x 1.*
#
# The paper names the steps after their purpose: *patch extraction*, *non-linear mapping* and *reconstruction*. In Keras, the
# network is a few lines. We use half of the paper's filters:

# %%
inputs = keras.Input((None, None, 1))
x = sr.layers.BicubicUpsampling(scale)(inputs)
x = keras.layers.Conv2D(32, 9, padding="same", activation="relu")(x)  # extraction
x = keras.layers.Conv2D(16, 1, padding="same", activation="relu")(x)  # mapping
outputs = keras.layers.Conv2D(1, 5, padding="same")(x)  # reconstruction
in_keras = keras.Model(inputs, outputs)

options = {"kernel_sizes": (9, 1, 5), "filters": (32, 16)}
keras.utils.set_random_seed(0)
plain = sr.models.srcnn(scale, **options)
start = plain.get_weights()
in_keras.set_weights(start)
lr_y = sr.images.luma(lr)[None]
np.testing.assert_allclose(in_keras(lr_y), plain(lr_y), atol=1e-5)
for layer in plain.layers:
    print(f"{layer.name:15} output {layer.output.shape}")

# %% [markdown]
# **Predict:** how many weights does each convolution have? Each filter has one weight for each pixel and channel that it looks at,
# and one bias.

# %%
counts = {
    "extraction": 32 * (9 * 9 * 1 + 1),
    "mapping": 16 * (1 * 1 * 32 + 1),
    "reconstruction": 1 * (5 * 5 * 16 + 1),
}
for name, count in counts.items():
    assert count == plain.get_layer(name).count_params()
print(counts, "in total", plain.count_params())
paper = sr.models.srcnn(3, kernel_sizes=(9, 1, 5))
print("the paper's 9-1-5 network, with 64 and 32 filters:", paper.count_params())

# %% [markdown]
# None of these numbers depends on the scale, because the convolutions map an image to one of the same size. `srcnn(1)` does not
# enlarge and takes the same weights, so we can feed it a part of the interpolated luma. We now compute its three steps in NumPy.

# %%
same_size = sr.models.srcnn(1, **options)
same_size.set_weights(start)
piece = coarse_y[window][..., 0]
print("luma of the front:", piece.shape)

# %% [markdown]
# **Step 1: patch extraction.** The patch around each pixel has 9 x 9 = 81 values. A matrix turns them into 32 features that
# describe the patch, and a ReLU sets negative features to zero. This is exactly what a convolution computes.

# %%
from numpy.lib.stride_tricks import sliding_window_view

kernel, bias = same_size.get_layer("extraction").get_weights()
patches = sliding_window_view(np.pad(piece, 4), (9, 9))  # zeros beyond the border
print("patches", patches.shape, "kernel", kernel.shape)
features = patches.reshape(-1, 81) @ kernel.reshape(81, 32) + bias
features = np.maximum(features, 0)  # ReLU
print("features of the patch around each pixel:", features.shape)

# %% [markdown]
# **Step 2: non-linear mapping.** A 1 x 1 convolution looks at one pixel only, so it is the same small dense layer at every
# position. It maps the features of a blurred patch to those of a sharp patch.

# %%
kernel, bias = same_size.get_layer("mapping").get_weights()
mapped = np.maximum(features @ kernel.reshape(32, 16) + bias, 0)
mapped = mapped.reshape(height, width, 16)
print(mapped.shape)

# %% [markdown]
# **Step 3: reconstruction.** Each new pixel is a weighted sum over the features of the 5 x 5 pixels around it, which averages the
# predictions of neighbouring patches. There is no ReLU at the end.

# %%
kernel, bias = same_size.get_layer("reconstruction").get_weights()
windows = np.pad(mapped, ((2, 2), (2, 2), (0, 0)))
windows = sliding_window_view(windows, (5, 5), axis=(0, 1))  # (130, 180, 16, 5, 5)
output = np.einsum("yxcij,ijc->yx", windows, kernel[..., 0]) + bias

package = same_size.predict_on_batch(piece[None, ..., None])[0, ..., 0]
np.testing.assert_allclose(output, package, atol=1e-5)
print("equal to sr.models.srcnn:", package.shape)

# %% [markdown]
# This is the whole network in a dozen lines of NumPy. The older method of *sparse coding*, which writes each patch as a sum of a
# few entries of a dictionary, has the same three steps, but optimizes each of them separately. The idea of the paper was to train
# all three together to produce the desired image.
#
# ## What it learns from
#
# We train on batches of luma patches from six photos, randomly cropped, flipped and rotated. The LR patch is the input and the HR
# patch is the target. Two of the photos, the sky and the retina, are mostly black, and a black patch teaches nothing.
# `min_contrast` draws a patch again, up to ten times, if the standard deviation of its HR pixels is below 0.03 (white is 1).

# %%
options_of_patches = {"lr_patch_size": 16, "batch_size": 8, "channels": 1}
batches = sr.pipeline.training_batches(pairs, min_contrast=0.03, **options_of_patches)
any_batches = sr.pipeline.training_batches(pairs, **options_of_patches)
for label, source in (("all patches", any_batches), ("min_contrast", batches)):
    contrast = np.array([np.std(hr, axis=(1, 2, 3)) for _, hr in source.take(20)])
    print(f"{label}: {np.mean(contrast < 0.03):.0%} of 160 HR patches are flat")
lr_batch, hr_batch = (np.asarray(images) for images in next(iter(batches)))
print("LR", lr_batch.shape, "HR", hr_batch.shape)

fig, axes = plt.subplots(2, 6, figsize=(11, 4), layout="constrained")
for ax, image in zip(axes.flat, [*lr_batch[:6], *hr_batch[:6]], strict=True):
    ax.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("LR")
axes[1, 0].set_ylabel("HR")
plt.show()

# %% [markdown]
# Most patches now show an edge or some texture. (If ten draws are all flat, the one of highest contrast is kept.) What counts is
# the score on photos that are not among the six: chelsea (a cat) and the motorcycle.


# %%
def luma_of(image):
    return sr.images.luma(sr.images.to_float(image))[None]


photos = [(luma_of(lr), luma_of(hr)) for lr, hr in validation]


def psnr_y(model):
    """Returns the PSNR of each photo, in dB: luma, 3 pixels cut, not rounded."""
    return [
        float(sr.metrics.psnr(hr, model.predict_on_batch(lr), border=scale)[0])
        for lr, hr in photos
    ]


# %% [markdown]
# ## The baseline: the best linear filter
#
# Bicubic interpolation is a weak opponent, because its weights are fixed and were never adapted to photos. What is the best that
# *one* convolution can do? A 9-1-5 network sees 13 x 13 pixels of the interpolated image $b$ (4 + 0 + 2 to each side). The linear
# filter $w$ of this size with the least squared error over the patches solves
#
# $$\min_w\ \sum_{m,n} \Big( x_{m,n} - \sum_{i=-6}^{6} \sum_{j=-6}^{6} w_{i,j}\, b_{m+i,\,n+j} \Big)^2$$
#
# This is *least squares* with 169 unknowns. (Lesson 4 fits one filter for each of the nine positions within an LR pixel. It
# scores about the same.) With one row of $B$ for each pixel, its solution satisfies $B^\top B\, w = B^\top x$.

# %%
enlarge_y = sr.models.bicubic(scale, channels=1)


def best_filter(side, num_batches):
    """Fits a linear filter of side x side to patches by least squares."""
    edge = side // 2
    gram, moments = np.zeros((side**2, side**2)), np.zeros(side**2)  # B^T B, B^T x
    for lr_patches, hr_patches in batches.take(num_batches):
        images = np.asarray(enlarge_y(lr_patches), "float64")[..., 0]
        rows = sliding_window_view(images, (side, side), axis=(1, 2))
        rows = rows.reshape(-1, side**2)
        targets = np.asarray(hr_patches)[:, edge:-edge, edge:-edge, 0].ravel()
        gram += rows.T @ rows
        moments += rows.T @ targets
    return np.linalg.lstsq(gram, moments, rcond=None)[0].reshape(side, side)


best = best_filter(13, here.fitted)
print("sum of the weights:", best.sum().round(3), " centre:", best[6, 6].round(2))

# %% [markdown]
# As a Keras model it is a single convolution without a bias. (The image is continued by reflection at its border, because the
# filter would mix in black if we padded with zeros, as the networks do.) **Predict:** what does the filter do to a blurred edge?


# %%
def filter_model(kernel):
    """Makes a network of bicubic interpolation and one linear filter."""
    inputs = keras.Input((None, None, 1))
    image = sr.layers.BicubicUpsampling(scale)(inputs)
    edge = (len(kernel) // 2,) * 2
    padded = keras.ops.pad(image, ((0, 0), edge, edge, (0, 0)), mode="symmetric")
    convolution = keras.layers.Conv2D(1, len(kernel), use_bias=False)
    model = keras.Model(inputs, convolution(padded), name="linear_filter")
    convolution.set_weights([kernel[..., None, None]])
    return model


linear = filter_model(best)

# %%
edge = np.repeat([0.3, 0.7], 8)[None, None, :, None].repeat(16, axis=1)  # LR
before_filter = np.asarray(enlarge_y(edge.astype("float32")))[0, 24, :, 0]
after_filter = linear.predict_on_batch(edge.astype("float32"))[0, 24, :, 0]
fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
limit = np.abs(best).max()
shown = axes[0].imshow(best, cmap="RdBu", vmin=-limit, vmax=limit)
fig.colorbar(shown, label="weight")
axes[0].set(xticks=[], yticks=[], title="the best linear filter, 13 x 13")
axes[1].plot(before_filter, "o-", label="bicubic")
axes[1].plot(after_filter, "o-", label="after the filter")
axes[1].set(xlabel="HR pixel", ylabel="brightness", title="an edge", xlim=(14, 33))
axes[1].legend(frameon=False)
plt.show()

# %%
baselines = {"bicubic": psnr_y(enlarge_y), "linear filter": psnr_y(linear)}
for label, scores in {**baselines, "untrained network": psnr_y(plain)}.items():
    print(f"{label:18} {scores[0]:.2f}, {scores[1]:.2f} dB")
print(f"{', '.join(validation.names)}; x3, luma, 3 pixels cut, not rounded")

# %% [markdown]
# Positive and negative weights alternate, and they are large. (An interpolated image has almost no patterns as fine as these, so
# very different weights give almost the same result, and single weights mean little.) What the filter does is simple: it makes
# edges steeper, and overshoots on both sides. Beyond each overshoot is a smaller ripple in the other direction: this is
# *ringing*. It gains more than half a decibel over bicubic interpolation without gradient descent, so *this* is the baseline that
# a network has to beat. All comparisons below include it.
#
# An untrained network destroys the interpolated image, and it must first learn to reproduce it.
#
# ## Training
#
# The callback records the scores after each epoch, which here is a fixed number of steps, and keeps the picture of one part of the
# motorcycle.


# %%
class Progress(keras.callbacks.Callback):
    """Records scores and a picture before training and after each epoch."""

    def on_train_begin(self, logs=None):
        self.scores, self.pictures = [], []
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch, logs=None):
        self.scores.append(psnr_y(self.model))
        picture = self.model.predict_on_batch(photos[1][0])[0, ..., 0]
        self.pictures.append(picture[window])


# %%
def train(model, steps=here.steps):
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=3e-3, warmup_steps=steps // 10
    )
    model.compile(sr.optimizers.SOAP(rate), loss="mse")
    progress = Progress()
    per_epoch = steps // here.epochs
    model.fit(
        batches,
        epochs=here.epochs,
        steps_per_epoch=per_epoch,
        verbose=0,
        callbacks=[progress],
    )
    return progress


# %% [markdown]
# Training uses plain `compile` and `fit`. As in the paper, the loss is the mean squared error: the smaller it is, the higher the
# PSNR of the patches. The authors trained for days with gradient descent. We have minutes, so we use *SOAP*, which is Adam in a
# rotated basis of the weights, and needs fewer steps for small networks (lesson 4 shows why). The learning rate rises at first
# and then falls along a cosine.

# %%
runs = {"plain": train(plain)}
steps = np.linspace(0, here.steps, here.epochs + 1).round().astype(int)
for i in (0, 1, here.epochs // 2, here.epochs):
    scores = runs["plain"].scores[i]
    print(f"after {steps[i]:5} steps: {scores[0]:.2f}, {scores[1]:.2f} dB")
for label, scores in baselines.items():
    print(f"{label:17}: {scores[0]:.2f}, {scores[1]:.2f} dB")

# %% [markdown]
# The scores have risen by more than 20 dB, and after 1,000 steps the network is above bicubic interpolation on both photos. It is
# about level with the linear filter. After the first 100 steps it was still far below bicubic: the network has to learn to
# reproduce its own input before it can improve it.
#
# ## Learn only what is missing
#
# With $b$ for the interpolated image and $f$ for the network, the result is
#
# $$\mathrm{SR} = b + f(b)$$
#
# Most of the HR image is already in the bicubic image. **Predict:** which has the larger standard deviation, HR or the difference
# between HR and bicubic, and by what factor?

# %%
difference = (y - coarse_y)[..., 0]
fig, axes = plt.subplots(1, 3, figsize=(10, 2.6), layout="constrained")
axes[0].imshow(y[..., 0], cmap="gray", vmin=0, vmax=1)
axes[1].imshow(difference, cmap="gray", vmin=-0.2, vmax=0.2)
for ax, title in zip(
    axes, ("Y of HR", "Y of HR minus bicubic (grey is 0)"), strict=False
):
    ax.set(title=title, xticks=[], yticks=[])
bins = np.linspace(-0.3, 1, 66)
for values, label in ((y, "HR"), (difference, "HR minus bicubic")):
    axes[2].hist(values.ravel(), bins, density=True, alpha=0.7, label=label)
axes[2].set(xlabel="value", ylabel="density", title="histogram")
axes[2].legend(frameon=False)
plt.show()
print(f"standard deviation: HR {y.std():.3f}, HR minus bicubic {difference.std():.3f}")

# %% [markdown]
# The difference is close to zero almost everywhere. Only edges and texture remain. There is no need to pass the whole picture
# through three layers only to return it unchanged.
#
# VDSR (2016) adds the interpolated image to the output, so that the network learns only the difference, the *residual*. A single
# `Add` layer does this:


# %%
def with_skip(network):
    image = network.get_layer("interpolation").output
    return keras.Model(network.input, keras.layers.Add()([image, network.output]))


keras.utils.set_random_seed(0)
residual = with_skip(sr.models.srcnn(scale, **options))
for a, b in zip(start, residual.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)
print(residual.count_params(), "weights as before, with the same initial values")

# %% [markdown]
# Both networks now start from the same weights and see the same batches for the same number of steps. **Predict:** sketch the two
# learning curves. Where do they begin, does either cross the bicubic line, and do they meet?

# %%
runs["residual"] = train(residual)
fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for i, (ax, name) in enumerate(zip(axes, validation.names, strict=True)):
    for label, run in runs.items():
        ax.plot(steps, np.array(run.scores)[:, i], "o-", markersize=3, label=label)
    for (label, scores), line in zip(baselines.items(), ("--", ":"), strict=True):
        ax.axhline(scores[i], color="0.3", linestyle=line, label=label)
    low = baselines["bicubic"][i]
    ax.set(title=name, xlabel="step", ylim=(low - 2, low + 1.2))
axes[0].set_ylabel("PSNR (dB), x3, luma,\n3 pixels cut, not rounded")
axes[1].legend(frameon=False)
plt.show()

# %%
everything = {**baselines, **{label: run.scores[-1] for label, run in runs.items()}}
for label, scores in everything.items():
    print(f"{label:14} {scores[0]:.2f}, {scores[1]:.2f} dB")
first = runs["residual"].scores[0]
print(f"residual, at step 0: {first[0]:.2f}, {first[1]:.2f} dB")
gains = np.subtract(everything["residual"], everything["linear filter"])
print("residual above the linear filter:", gains.round(2), "dB")

# %% [markdown]
# Both networks start below the range of the plot. The initial output of the residual network is the bicubic image plus the output
# of random weights, and the network crosses the bicubic line within the first 100 steps. The plain network needs about twice as
# many. At the end, both have arrived at nearly the same score, so the skip saves time here, and does not make the result better.
# We tried one random seed.
#
# Compared with the linear filter, the residual network gains 0.16 dB on the motorcycle and loses 0.06 dB on the cat. So after
# 1,000 steps on six photos, our 3,553 weights have not clearly beaten the best linear filter of the same size. (The comparison
# slightly favours the filter: the networks pad with zeros, which disturbs the outermost six pixels, 44% of a training patch.) The
# full network of the package, which we compare below, has more weights and saw more photos.
#
# ## Watch it learn
#
# The next figure shows one part of the motorcycle at several moments of both trainings. **Predict:** what does the plain network
# learn first?

# %%
strip = {
    "plain, 0 steps": runs["plain"].pictures[0],
    f"plain, {steps[1]} steps": runs["plain"].pictures[1],
    f"residual, {steps[1]} steps": runs["residual"].pictures[1],
    f"residual, {here.steps} steps": runs["residual"].pictures[-1],
    "linear filter": linear.predict_on_batch(photos[1][0])[0, ..., 0][window],
    "HR": photos[1][1][0, ..., 0][window],
}
sr.plotting.comparison(
    strip,
    crop=(0, 0, height, width),
    columns=3,
    whole=False,
    title="motorcycle x3, luma, as the networks learn",
)

# %%
fig, axes = plt.subplots(1, 3, figsize=(11.5, 3.2), layout="constrained")
for ax, label in zip(axes, list(strip)[2:5], strict=True):
    error = 255 * np.abs(strip[label] - strip["HR"])
    shown = ax.imshow(error, cmap="inferno", vmin=0, vmax=50)
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"{label}: mean error {error.mean():.2f}", fontsize=10)
fig.colorbar(shown, label="absolute error (grey levels)")
plt.show()

# %% [markdown]
# The untrained plain network shows hardly anything. After 100 steps it has learned to pass the picture on, with its contrast and
# with blurred edges, while the residual network is already sharper than that. At the end, the residual network and the linear
# filter look much alike. The error maps look alike, too; only the mean error is smaller for the network.
# %% [markdown]
#
# ## What did the first layer learn?
#
# Each filter is a picture of 9 x 9 weights. The figure shows the 8 filters of the residual network that changed most. **Predict:**
# after such a short training, does a filter look like an edge, or like the noise it was initialized with?

# %%
before = start[0][:, :, 0]  # (9, 9, 32)
after = residual.get_layer("extraction").get_weights()[0][:, :, 0]
order = np.argsort(-np.linalg.norm(after - before, axis=(0, 1)))
rows = {"before": before, "after": after, "change": after - before}
fig, axes = plt.subplots(3, 8, figsize=(11, 4.4), layout="constrained")
for line, (label, weights) in zip(axes, rows.items(), strict=True):
    limit = np.abs(weights).max()
    line[0].set_ylabel(label)
    for ax, i in zip(line, order, strict=False):
        ax.imshow(weights[..., i], cmap="gray", vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
plt.show()
for label, weights in rows.items():
    print(f"{label}: root mean square {np.sqrt(np.mean(weights**2)):.3f}")

# %% [markdown]
# The filters that changed most have changed completely, but they still look like noise. An interpolated image has almost no fine
# patterns, so training leaves many of these weights undetermined.
#
# The *feature maps*, which show where each filter responds, tell us more. The next figure shows the front wheel and the five
# filters whose responses vary most. A filter whose ReLU gives zero everywhere is called dead. How many dead filters are there
# before and after training?


# %%
def feature_maps(network):
    extraction = network.get_layer("extraction").output
    return keras.Model(network.input, extraction).predict_on_batch(photos[1][0])[0]


untrained_network = sr.models.srcnn(scale, **options)
untrained_network.set_weights(start)
maps = feature_maps(residual)
for label, values in (("before", feature_maps(untrained_network)), ("after", maps)):
    dead = (values == 0).all(axis=(0, 1)).sum()
    print(f"{label} training: {dead} of 32 filters are dead on the motorcycle")

# %%
strength = maps.std(axis=(0, 1))

wheel = (slice(300, 420), slice(480, 620))
fig, axes = plt.subplots(2, 3, figsize=(11, 6.6), layout="constrained")
axes[0, 0].imshow(y[..., 0][wheel], cmap="gray")
axes[0, 0].set_title("Y of HR", fontsize=10)
for ax, i in zip(axes.flat[1:], np.argsort(-strength), strict=False):
    ax.imshow(maps[..., i][wheel], cmap="gray")
    ax.set_title(f"filter {i}", fontsize=10)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Some filters are dead on this photo even before training, because of their initial weights: luma is positive everywhere, so a
# filter whose weights sum to a negative number tends to give negative values, which ReLU sets to zero. Training has added a few.
# A filter that is zero on all training patches has no gradient and does not recover; we have checked only this photo. The five
# shown mostly pass the picture on: smoothed, sharpened, or only its bright parts.
#
# ## The colours come back
#
# The network produces a new Y. Cb and Cr are enlarged by bicubic interpolation, and the three channels are then combined and
# converted to RGB. We do this by hand, and with `sr.models.on_luma`:

# %%
lr_ycbcr = to_ycbcr(lr).astype("float32")
new_y = residual.predict_on_batch(lr_ycbcr[None, ..., :1])[0]
enlarge = sr.models.bicubic(scale, channels=2)
new_cbcr = enlarge.predict_on_batch(lr_ycbcr[None, ..., 1:])[0]
new_rgb = to_rgb(np.concatenate([new_y, new_cbcr], axis=-1))

in_colour = sr.models.on_luma(residual, name="residual")
np.testing.assert_allclose(new_rgb, in_colour.predict_on_batch(lr[None])[0], atol=1e-5)
print(in_colour.input_shape, "->", in_colour.output_shape)

# %% [markdown]
# Next we measure by the protocol that papers use, on the final 8-bit pictures. A fourth model joins the comparison: the SRCNN
# that comes with the package. It has kernels of 9-5-5, the largest variant of the paper, with 57,281 weights, and it was trained
# on hundreds of photos.

# %%
models = {
    "bicubic": sr.models.bicubic(scale),
    "linear filter": sr.models.on_luma(linear),
    "residual": in_colour,
    "srcnn-x3-bsds": sr.models.on_luma(sr.models.load("srcnn-x3-bsds")),
}
results, pictures = {}, {name: {} for name in validation.names}
for name, model in models.items():
    results[name] = sr.evaluate(model, validation)
    for i, row in enumerate(results[name]["images"]):
        pictures[row["name"]][name] = sr.upscale(model, validation[i][0])
        print(
            f"{name:14} {row['name']:11} {row['psnr_y']:.2f} dB / {row['ssim_y']:.4f}"
        )
print(results["bicubic"]["conditions"])


# %%
def show(index, crop):
    scores = {
        name: (result["images"][index]["psnr_y"], result["images"][index]["ssim_y"])
        for name, result in results.items()
    }
    photo = {**pictures[validation.names[index]], "HR": validation[index][1]}
    title = (
        f"{validation.names[index]} x3, PSNR (dB) / SSIM on luma, 3 pixels cut, 8 bits"
    )
    return sr.plotting.comparison(
        photo, scores, crop, columns=3, title=title, whole=False
    )


show(1, front)

# %%
show(0, (55, 90, 105, 140))

# %% [markdown]
# On the motorcycle, the linear filter is sharper than bicubic interpolation but leaves steps along slanted edges. Our network
# looks almost the same. The package's network draws the brake lever and the rim of the lamp as clean lines. On the fork below the
# lamp, all of them leave steps. On the cat, the linear filter is as good as both networks: fur at this scale offers few long
# edges. The difference is easier to see when you switch between the pictures:

# %%
sr.plotting.slider(
    {
        "linear filter": pictures["motorcycle"]["linear filter"],
        "srcnn-x3-bsds": pictures["motorcycle"]["srcnn-x3-bsds"],
    },
    crop=(100, 380, 130, 160),
    zoom=3,
    title="motorcycle x3",
)

# %% [markdown]
# ## What it costs
#
# All convolutions run on the enlarged image. Papers count the multiplications for an output of 1280 x 720 pixels. **Predict:** is
# the count highest at scale 2, 3 or 4?

# %%
for factor in (2, 3, 4):
    network = sr.models.srcnn(factor, **options)
    count = sr.models.mult_adds(network, factor)
    print(f"x{factor}: {count / 1e9:.2f} billion multiplications")
per_pixel = 9 * 9 * 32 + 32 * 16 + 5 * 5 * 16
assert count == per_pixel * 1280 * 720

# %% [markdown]
# The count is the same for all three, because every weight of a kernel is applied once per output pixel. At x4, the network
# computes on sixteen times as many pixels as LR has. They are all interpolated, so they carry no new information. The networks of
# lesson 4 enlarge at the end instead.
#
# ## VDSR: the same idea with 20 layers
#
# ![VDSR](figures/03_vdsr.svg)
#
# With the residual connection, VDSR went from 3 layers to 20, all of them 3 x 3. In Keras it is a loop:

# %%
inputs = keras.Input((None, None, 1))
image = sr.layers.BicubicUpsampling(scale)(inputs)
x = image
for _ in range(19):
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
x = keras.layers.Conv2D(1, 3, padding="same")(x)
vdsr_by_hand = keras.Model(inputs, keras.layers.Add()([x, image]))

vdsr = sr.models.vdsr(scale)
vdsr_by_hand.set_weights(vdsr.get_weights())
np.testing.assert_allclose(vdsr_by_hand(lr_batch), vdsr(lr_batch), atol=1e-5)
print(f"{vdsr_by_hand.count_params():,} parameters")

# %% [markdown]
# These are the two networks as described in their papers:

# %%
for name in ("srcnn", "vdsr"):
    entry = sr.models.CATALOGUE[name]
    print(
        f"{name}: {entry.paper}, {entry.parameters:,} parameters,"
        f" {entry.giga_mult_adds} billion multiplications for 1280 x 720"
    )

# %% [markdown]
# ## Optional: bounded steps
#
# With a low learning rate, so many layers would learn slowly. VDSR used a rate of 0.1, with stochastic gradient descent and
# momentum. At this rate, a single large gradient would move the weights far away.
#
# The remedy is *gradient clipping*: each component of the gradient is limited to $\pm\theta / r$ at learning rate $r$. The
# product of rate and gradient is then at most $\theta$, whatever the rate. (With a momentum of 0.9, steps can add up to ten times
# as much.)

# %%
sgd_rate, theta = 0.1, 0.001
gradient = np.array([3.0, -0.002, -40.0], "float32")
moved = sgd_rate * np.clip(gradient, -theta / sgd_rate, theta / sgd_rate)

three = keras.Variable(np.zeros(3, "float32"))
optimizer = keras.optimizers.SGD(sgd_rate, clipvalue=theta / sgd_rate)
optimizer.apply([keras.ops.convert_to_tensor(gradient)], [three])
np.testing.assert_allclose(-moved, three, rtol=1e-5)
print("steps:", moved)

# %% [markdown]
# As an experiment, we train a small VDSR with 8 layers: at three rates without clipping, and at the highest rate with two values of
# $\theta$. The loss is that of the paper, half the squared error, *summed* over the patch. **Predict:** which of the five runs
# learn?


# %%
class HalfSquaredError(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return 0.5 * keras.ops.sum((y_true - y_pred) ** 2, axis=(1, 2, 3))


few = sr.pipeline.training_batches(
    pairs, lr_patch_size=8, batch_size=8, channels=1, seed=1, min_contrast=0.03
)
few = few.take(20).cache()  # the same 160 patches in every pass
settings = {
    "rate 0.0001": {"learning_rate": 1e-4},
    "rate 0.001": {"learning_rate": 1e-3},
    "rate 0.1": {"learning_rate": 0.1},
    "rate 0.1, theta 0.01": {"learning_rate": 0.1, "clipvalue": 0.01 / 0.1},
    "rate 0.1, theta 0.001": {"learning_rate": 0.1, "clipvalue": 0.001 / 0.1},
}

# %%
for name, setting in settings.items():
    keras.utils.set_random_seed(0)
    deep = sr.models.vdsr(scale, filters=16, num_layers=8)
    deep.compile(keras.optimizers.SGD(momentum=0.9, **setting), HalfSquaredError())
    history = deep.fit(few, epochs=here.passes, verbose=0).history["loss"]
    print(f"{name:22} loss in pass 1: {history[0]:.3g}, in the last: {history[-1]:.3g}")

interpolation = sr.models.bicubic(scale, channels=1)
interpolation.compile(loss=HalfSquaredError())
print(f"{'bicubic':22} loss {interpolation.evaluate(few, verbose=0):.3g}")
print(f"{here.passes} passes over 160 patches of 24 x 24; loss on these patches")

# %% [markdown]
# Without clipping, only the lowest rate is stable. A rate ten times as high is already too much, and the loss becomes `nan`: a
# sum over 24 x 24 pixels has gradients 576 times as large as a mean. With clipping and $\theta$ = 0.001, even a rate of 0.1 is
# stable. Both stable runs end near the loss of bicubic interpolation, so in so few passes they have hardly learned more than to
# add a residual close to zero. With $\theta$ = 0.01 the loss stays finite, but the large steps moved the weights far away in the
# first pass, and it ends higher.
#
# Clipping therefore makes a high learning rate possible, at the cost of another parameter to choose. Adam divides each component
# of the gradient by its typical magnitude, and SOAP does the same in a rotated basis. This limits the steps in another way, so
# clipping is rarely needed with them.

# %% [markdown]
# ## Published numbers
#
# Set5 is the benchmark of the papers. These are PSNR values on luma at x3, with 3 pixels cut: bicubic 30.39 dB, SRCNN 32.75 dB,
# VDSR 33.66 dB. The next cell prints what the networks that come with the package reach on our two photos at x4. Set5 has other
# photos, so do not compare the numbers. `-small` marks a reduced network that was trained for minutes.

# %%
photos_x4 = sr.datasets.samples(4, split="validation")
shipped = {"bicubic": sr.models.bicubic(4)}
for name in ("srcnn-x4-bsds-small", "srcnn-x4-bsds", "vdsr-x4-bsds-small"):
    shipped[name] = sr.models.load(name)
for name, model in shipped.items():
    result = sr.evaluate(model, photos_x4)
    print(f"{name:20} {model.count_params():7,} weights", end=" ")
    print(f"{result['mean']['psnr_y']:.2f} dB / {result['mean']['ssim_y']:.4f}")
print(f"mean of {', '.join(photos_x4.names)}; {result['conditions']}")

# %% [markdown]
# All three are above bicubic interpolation. The reduced VDSR has fewer weights than the full SRCNN, was trained for a shorter
# time, and scores about the same. Different sizes, training times and two photos do not rank the designs. The published numbers
# compare two systems as their authors trained them, which also differ in size and in training data.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** A smaller VDSR has 10 convolutions of 3 x 3: one from 1 channel to 32, eight from 32 to 32, and one from 32 to
# 1, all with biases. How many weights does it have?

# %%
answer = None  # your number

sr.course.check(answer, "03.1")

# %% tags=["solution"]
# @title Solution 1
answer = 32 * (9 + 1) + 8 * 32 * (9 * 32 + 1) + (9 * 32 + 1)
sr.course.check(answer, "03.1")
assert answer == sr.models.vdsr(3, filters=32, num_layers=10).count_params()
print(f"{answer:,}")

# %% [markdown]
# **Exercise 2.** The *receptive field* is the area of the interpolated image that one output pixel depends on. How many pixels
# wide is it for the 9-5-5 network of the package, and for VDSR with its 20 layers?

# %%
answer = None  # your two numbers

sr.course.check(answer, "03.2")

# %% tags=["solution"]
# @title Solution 2
# each convolution adds its kernel size minus 1
answer = [1 + 8 + 4 + 4, 1 + 20 * 2]
sr.course.check(answer, "03.2")


def measured_field(network):
    """Counts the output pixels in a row that one input pixel changes."""
    network.set_weights([np.ones_like(w) * (w.ndim > 1) for w in network.get_weights()])
    spot = np.zeros((1, 63, 63, 1), "float32")
    spot[0, 31, 31] = 1
    return np.count_nonzero(network.predict_on_batch(spot)[0, 31])


assert answer[0] == measured_field(sr.models.srcnn(1))
assert answer[1] == measured_field(sr.models.vdsr(1, filters=1))
print(answer)

# %% [markdown]
# **Exercise 3.** At step 0, the residual network was far below bicubic. Set some of its weights to zero, so that it starts
# exactly at bicubic. Why not all of them? (If every kernel is zero, every feature is zero. Which kernels then get a gradient?)
# Train it for 50 steps with `keras.optimizers.Adam(1e-3)`: is it above bicubic then? You should find about 33.1 and 27.4 dB.

# %%
fresh = with_skip(sr.models.srcnn(scale, **options))
# your line here

# %% tags=["solution"]
# @title Solution 3
last = fresh.get_layer("reconstruction")
last.set_weights([np.zeros_like(w) for w in last.get_weights()])
np.testing.assert_allclose(psnr_y(fresh), baselines["bicubic"], atol=1e-3)
# if all weights were zero, all features would be 0 and no kernel would get a gradient
fresh.compile(keras.optimizers.Adam(1e-3), loss="mse")
fresh.fit(batches, steps_per_epoch=50, verbose=0)
for label, scores in {**baselines, "50 steps of Adam": psnr_y(fresh)}.items():
    print(f"{label:17} {scores[0]:.2f}, {scores[1]:.2f} dB")
print("x3, luma, 3 pixels cut, not rounded")

# %% [markdown]
# **Exercise 4.** The weights do not depend on the scale. VDSR made use of this with one network for x2, x3 and x4. Put the
# weights of `residual`, which was trained at x3, into networks for x2 and x4 and evaluate them. Does it work in both directions?
# You should find a gain over bicubic interpolation at one of these scales and a loss at the other. Explain it.

# %%
# your code: with_skip(sr.models.srcnn(2, **options)), sr.datasets.samples(2, split="validation")

# %% tags=["solution"]
# @title Solution 4
for factor in (2, 3, 4):
    network = with_skip(sr.models.srcnn(factor, **options))
    network.set_weights(residual.get_weights())
    photos_there = sr.datasets.samples(factor, split="validation")
    means = [
        sr.evaluate(model, photos_there)["mean"]["psnr_y"]
        for model in (sr.models.bicubic(factor), network)
    ]
    print(f"x{factor}: bicubic {means[0]:.2f} dB, trained at x3 {means[1]:.2f} dB")
print("mean of 2 photos, luma, scale pixels cut, 8 bits")
# VDSR was trained on patches of all three scales

# %% [markdown] tags=["solution"]
# At x4 the weights still help, and at x2 they do harm. The probable reason is that the
# network sharpens by a fixed amount, and the interpolated images at x2 are sharper than anything it was trained on.

# %% [markdown]
# **Exercise 5.** How large does the linear filter have to be? Fit filters of 3 x 3, 5 x 5, 9 x 9 and 17 x 17 with `best_filter`,
# and score them with `filter_model` and `psnr_y`. Twenty batches are enough, and your 5 x 5 filter should reach about 33.3 and
# 27.6 dB. What does that say about how far a network needs to see?

# %%
# your code: filter_model(best_filter(5, 20))

# %% tags=["solution"]
# @title Solution 5
for side in (3, 5, 9, 13, 17):
    scores = psnr_y(filter_model(best_filter(side, 20)))
    print(f"{side:2} x {side:2}: {scores[0]:.2f}, {scores[1]:.2f} dB")
print(f"{', '.join(validation.names)}; x3, luma, 3 pixels cut, not rounded")

# %% [markdown] tags=["solution"]
# A 3 x 3 filter has half of the gain already, 9 x 9 has nearly all of it, and beyond 13 x 13 nothing is gained. A linear filter
# finds all that it can use close by. If a network gains from a larger receptive field, the gain must come from its nonlinearity.
# (With 20 batches instead of 100, the 13 x 13 filter is 0.02 to 0.03 dB below the one of the lesson.)

# %% [markdown]
# ## Summary
#
# - A convolution is a weighted sum of neighbouring pixels, with the same weights everywhere. A layer sums over input channels, adds a
#   bias and, with ReLU, sets negative values to 0.
# - In pre-upsampling, we interpolate to the full size and then correct. The convolutions do not depend on the scale, and their cost
#   is proportional to the number of pixels of the large image.
# - SRCNN: a 9 x 9 convolution extracts features of patches, a 1 x 1 convolution maps them, and a 5 x 5 convolution reconstructs the
#   image.
# - Usually only luma goes through the network, because it has the largest interpolation error. Cb and Cr are interpolated and merged
#   at the end.
# - With a residual connection, a network does not have to learn the identity. It starts much closer to the target and learns only
#   what interpolation missed.
# - Bicubic interpolation is a weak baseline. The best linear filter after it needs one least-squares fit and no gradient descent,
#   and a network that does not beat it has not shown that it needs its ReLUs.
#
# ## Further reading
#
# - Dong, Loy, He and Tang, [Image super-resolution using deep convolutional networks](https://arxiv.org/abs/1501.00092), 2014:
#   SRCNN.
# - Kim, Lee and Lee, [Accurate image super-resolution using very deep convolutional networks](https://arxiv.org/abs/1511.04587),
#   2016: VDSR.
# - Yang, Wright, Huang and Ma, [Image super-resolution via sparse representation](https://doi.org/10.1109/TIP.2010.2050625), 2010:
#   the method whose steps SRCNN adopted.
# - He, Zhang, Ren and Sun, [Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385), 2015: residual
#   connections inside a network.
# - Pascanu, Mikolov and Bengio, [On the difficulty of training recurrent neural networks](https://arxiv.org/abs/1211.5063), 2012:
#   why gradients explode, and clipping as a remedy.
