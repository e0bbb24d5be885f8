# %% [markdown]
# # 4. SRCNN: interpolate first, then correct
#
# The first convolutional network of the field by hand: its three steps, why it sees only luma, and what changes when it learns only what interpolation missed.
#
# **You will be able to**
#
# - convert RGB to YCbCr and back, and say why luma alone goes through the network;
# - compute SRCNN's three steps in NumPy, and count its weights and multiplications;
# - train it with `compile` and `fit`, and compare it with bicubic interpolation under stated conditions;
# - say what a residual connection changes, and how VDSR survives a high learning rate.
#
# **You need** [lesson 1](01_pixels.ipynb): bicubic interpolation, luma, PSNR; and [lesson 2](02_data.ipynb): pairs and patches. What a convolution does is
# computed here once more.
#
# **Time:** 3 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/04_srcnn.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/04_srcnn.py) · Previous: [3. Autoencoders and losses](03_autoencoders.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/03_autoencoders.ipynb)) · Next: [5. ESPCN and FSRCNN: enlarge at the end](05_espcn.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/05_espcn.ipynb)) · [All lessons](README.md)

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
    minutes=(0.7, 3, 1), steps=(150, 900, 4000), epochs=(3, 18, 20), passes=(2, 6, 10)
)

# %% [markdown]
# ## Interpolate first
#
# A photo, its LR image at x3 (a ninth of the pixels), and what bicubic interpolation makes of that.

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

tank = (180, 388, 40, 68)  # top, left, height, width
sr.plotting.comparison({"LR, x3": lr, "bicubic": bicubic, "HR": hr}, crop=tank)

# %% [markdown]
# The middle picture has the size of the right one and lacks its sharpness. So a network could take it as input and *correct* it: an
# image in, an image of the same size out.
#
# That is SRCNN (2014), and the framework is called *pre-upsampling*: first enlarge, then compute. Before we build it: which numbers shall it
# see?
#
# ## YCbCr by hand
#
# Y is luma, the brightness. Cb and Cr say how much bluer and redder a pixel is than grey. All three are weighted sums of red, green and blue, plus an offset.

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
# **Predict:** a grey pixel has equal red, green and blue. What are its Cb and Cr? Add up the rows in your head, then run the cell.


# %%
def to_ycbcr(rgb):
    return (rgb @ matrix.T + offset) / 255


for grey in (0, 0.5, 1):
    print(f"grey {grey}: Y, Cb, Cr =", 255 * to_ycbcr(np.full(3, grey)))
np.testing.assert_allclose(to_ycbcr(hr), sr.images.rgb_to_ycbcr(hr), atol=1e-6)

# %% [markdown]
# Always 128 and 128: grey has no colour, whatever its brightness. Y goes from 16 to 235 of 255, a standard from television (BT.601). The way
# back: subtract the offset, multiply with the inverse matrix.


# %%
def to_rgb(ycbcr):
    return (255 * ycbcr - offset) @ np.linalg.inv(matrix).T


np.testing.assert_allclose(to_rgb(to_ycbcr(hr)), hr, atol=1e-6)
package = sr.images.ycbcr_to_rgb(sr.images.rgb_to_ycbcr(hr))
np.testing.assert_allclose(to_rgb(to_ycbcr(hr)), package, atol=1e-5)

# %% [markdown]
# **Predict:** in which of the three will you see the spokes of the wheels?

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
# In Y. The colour channels are flat areas with few edges. What is flat, interpolation gets right. In numbers: how much does bicubic miss in
# each?

# %%
missed = ycbcr - to_ycbcr(bicubic)
for name, error in zip(("Y", "Cb", "Cr"), np.moveaxis(missed, -1, 0), strict=True):
    print(f"{name}: bicubic x3 misses {255 * np.sqrt(np.mean(error**2)):.2f} of 255")
print("root mean square over the motorcycle")

# %% [markdown]
# Suppose a network were perfect on Y and left the colours to bicubic; or the other way round. **Predict:** how do the two pictures
# look?


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
    crop=tank,
    title="x3, PSNR on RGB (dB), 3 pixels cut, not rounded",
    whole=False,
)

# %% [markdown]
# Perfect colours gain a quarter of a decibel, perfect luma more than eleven. So SRCNN sees one channel instead of three, which makes its first layer
# three times cheaper, and the colours stay bicubic.
#
# ## Three steps
#
# SRCNN is three convolutions. The paper names them by what they are for: *patch extraction*, *non-linear mapping* and *reconstruction*. Here is a
# small one, with half of the paper's filters:

# %%
options = {"kernel_sizes": (9, 1, 5), "filters": (32, 16)}
keras.utils.set_random_seed(0)
plain = sr.models.srcnn(scale, **options)
start = plain.get_weights()
for layer in plain.layers:
    print(f"{layer.name:15} output {layer.output.shape}")

# %% [markdown]
# **Predict:** how many weights does each convolution have? A filter has one for each pixel and channel that it looks at, and one bias.

# %%
by_hand = {
    "extraction": 32 * (9 * 9 * 1 + 1),
    "mapping": 16 * (1 * 1 * 32 + 1),
    "reconstruction": 1 * (5 * 5 * 16 + 1),
}
for name, count in by_hand.items():
    assert count == plain.get_layer(name).count_params()
print(by_hand, "together", plain.count_params())
print(
    "the paper's, with 64 and 32 filters:", sr.models.srcnn(3, (9, 1, 5)).count_params()
)

# %% [markdown]
# None of these numbers depends on the scale: the convolutions map an image to one of the same size. `srcnn(1)` does not enlarge, takes the
# same weights, and we can feed it a piece of the interpolated luma.

# %%
same_size = sr.models.srcnn(1, **options)
same_size.set_weights(start)
top, left, height, width = tank
piece = coarse_y[top : top + height, left : left + width, 0]
print("luma of the tank:", piece.shape)

# %% [markdown]
# **Step 1: patch extraction.** Around every pixel lie 9 x 9 = 81 values. A matrix turns them into 32 numbers, which describe the
# patch; a ReLU sets the negative ones to zero. That is a convolution, nothing more.

# %%
from numpy.lib.stride_tricks import sliding_window_view

kernel, bias = same_size.get_layer("extraction").get_weights()
patches = sliding_window_view(np.pad(piece, 4), (9, 9))  # zeros beyond the border
print("patches", patches.shape, "kernel", kernel.shape)
features = patches.reshape(-1, 81) @ kernel.reshape(81, 32) + bias
features = np.maximum(features, 0)  # ReLU
print("a description of each pixel's patch:", features.shape)

# %% [markdown]
# **Step 2: non-linear mapping.** A 1 x 1 convolution looks at one pixel only: the same small dense layer everywhere. From the description
# of a blurred patch it makes that of a sharp one.

# %%
kernel, bias = same_size.get_layer("mapping").get_weights()
mapped = np.maximum(features @ kernel.reshape(32, 16) + bias, 0)
mapped = mapped.reshape(height, width, 16)
print(mapped.shape)

# %% [markdown]
# **Step 3: reconstruction.** Each new pixel is a weighted sum over the descriptions of the 5 x 5 pixels around it: what neighbouring
# patches say of it is averaged. There is no ReLU at the end.

# %%
kernel, bias = same_size.get_layer("reconstruction").get_weights()
windows = np.pad(mapped, ((2, 2), (2, 2), (0, 0)))
windows = sliding_window_view(windows, (5, 5), axis=(0, 1))  # (40, 68, 16, 5, 5)
by_hand = np.einsum("yxcij,ijc->yx", windows, kernel[..., 0]) + bias

package = same_size.predict_on_batch(piece[None, ..., None])[0, ..., 0]
np.testing.assert_allclose(by_hand, package, atol=1e-5)
print("equal to sr.models.srcnn:", package.shape)

# %% [markdown]
# The whole network in a dozen lines of NumPy. The older method of *sparse coding* had the same three steps, each optimized by
# itself. The paper's idea was to train all of them together, towards the image that is wanted.
#
# ## What it learns from
#
# Batches of luma patches from six photos, cropped at random, flipped and turned. LR goes in, and HR is the answer. Not every patch has something to teach: which ones?

# %%
batches = sr.pipeline.training_batches(pairs, lr_size=16, batch_size=8, channels=1)
lr_batch, hr_batch = (np.asarray(images) for images in next(iter(batches)))
print("LR", lr_batch.shape, "HR", hr_batch.shape)

fig, axes = plt.subplots(2, 8, figsize=(10, 2.6), layout="constrained")
for ax, image in zip(axes.flat, [*lr_batch, *hr_batch], strict=True):
    ax.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("LR")
axes[1, 0].set_ylabel("HR")
plt.show()

# %% [markdown]
# The flat dark patches teach nothing, the one with the lattice a lot: its lines have almost gone from LR. What counts is measured on photos that are not among the six: chelsea, a cat, and the motorcycle. Bicubic sets the bar.


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


# %%
bar = psnr_y(sr.models.bicubic(scale, channels=1))
untrained = psnr_y(plain)
for name, low, high in zip(validation.names, untrained, bar, strict=True):
    print(f"{name}: untrained network {low:.2f} dB, bicubic {high:.2f} dB")
print("x3, luma, 3 pixels cut, not rounded")

# %% [markdown]
# Untrained, the network destroys the interpolated image that it was given. It will have to learn first what bicubic had done already. A callback notes the scores after each
# epoch, which is here a number of steps:


# %%
class Watch(keras.callbacks.Callback):
    """Keeps the scores before the training and after each epoch."""

    def on_train_begin(self, logs=None):
        self.scores = [psnr_y(self.model)]

    def on_epoch_end(self, epoch, logs=None):
        self.scores.append(psnr_y(self.model))


def train(model, steps=here.steps):
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)  # down to zero
    model.compile(keras.optimizers.Adam(rate), loss="mse")
    watch = Watch()
    count = steps // here.epochs
    model.fit(
        batches, epochs=here.epochs, steps_per_epoch=count, verbose=0, callbacks=[watch]
    )
    return np.array(watch.scores)  # (epochs + 1, photos)


# %% [markdown]
# Plain `compile` and `fit`. The loss is the mean squared error, as in the paper: the smaller it is, the higher the PSNR of the
# patches.

# %%
curves = {"plain": train(plain)}
for name, score, high in zip(validation.names, curves["plain"][-1], bar, strict=True):
    print(f"{name}: {score:.2f} dB, bicubic {high:.2f} dB")
print(f"x3, after {here.steps} steps; luma, 3 pixels cut, not rounded")

# %% [markdown]
# Better than at the start by 19 dB and more, and still *below* bicubic on both photos. The network is rebuilding the very image that it was given. The paper had
# the patience: it trained for days, and then the network won.
#
# ## Learn only what is missing
#
# Look again at the task. Most of HR is in the bicubic image already. **Predict:** which spreads wider, the values of HR or those of HR
# minus bicubic, and by how much?

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
axes[2].set(xlabel="value", ylabel="density", title="how often")
axes[2].legend(frameon=False)
plt.show()
print(f"standard deviation: HR {y.std():.3f}, HR minus bicubic {difference.std():.3f}")

# %% [markdown]
# The difference is almost everywhere almost zero. Only edges and texture are left. Why should a network carry the whole picture through three layers, only to
# hand it over unchanged?
#
# VDSR (2016) adds the interpolated image to the output, so that the network learns the rest, the *residual*. One `Add` does it:


# %%
def with_skip(network):
    image = network.get_layer("interpolation").output
    return keras.Model(network.input, keras.layers.Add()([image, network.output]))


keras.utils.set_random_seed(0)
residual = with_skip(sr.models.srcnn(scale, **options))
for a, b in zip(start, residual.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)
print("weights:", residual.count_params(), "as before, and they start equal")

# %% [markdown]
# The package's `vdsr` has the same connection. We check that with the smallest one, of two layers: take its layers one by one, and
# add.

# %%
small = sr.models.vdsr(scale, filters=4, num_layers=2)
image = sr.layers.BicubicUpsampling(scale)(lr_batch)
by_hand = image + small.get_layer("residual")(small.get_layer("conv_0")(image))
np.testing.assert_allclose(by_hand, small(lr_batch), atol=1e-6)
print([layer.name for layer in small.layers])

# %% [markdown]
# Now the same start, the same batches, the same number of steps. **Predict:** sketch the two learning curves. Where do they begin, does either cross
# bicubic, and do they meet?

# %%
curves["with residual"] = train(residual)
steps = np.linspace(0, here.steps, here.epochs + 1)
fig, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for i, (ax, name) in enumerate(zip(axes, validation.names, strict=True)):
    for label, scores in curves.items():
        ax.plot(steps, scores[:, i], "o-", markersize=3, label=label)
    ax.axhline(bar[i], color="0.4", linestyle="--", label="bicubic")
    ax.set(title=name, xlabel="step", ylim=(bar[i] - 8, bar[i] + 2))
axes[0].set_ylabel("PSNR (dB), x3, luma,\n3 pixels cut, not rounded")
axes[1].legend(frameon=False)
plt.show()

# %%
print("step  " + "".join(f"{label:>24}" for label in curves))
for i in sorted({0, 1, here.epochs // 2, here.epochs}):
    row = [f"{scores[i][0]:.2f}, {scores[i][1]:.2f}" for scores in curves.values()]
    print(f"{steps[i]:5.0f} " + "".join(f"{text:>24}" for text in row))
print(f"bicubic {bar[0]:.2f}, {bar[1]:.2f} (chelsea, motorcycle; conditions as above)")
assert all(curves["with residual"][-1] > bar), "the residual network beats bicubic"

# %% [markdown]
# The residual network starts 16 to 19 dB higher, because a disturbed bicubic image is still an image. After 50 steps it is about level with bicubic, and ends 0.4 to 0.6 dB
# above. The plain one comes nearer and nearer, and in 900 steps does not arrive.
#
# One start and one rate were tried here, so the size of the gap is not a law. Its reason is: with the `Add`, doing nothing already scores like bicubic.
#
# ## What did the first layer learn?
#
# Each filter is a picture of 9 x 9 weights. Here are the 16 of the residual network that changed most. **Predict:** after so short a training, does a filter look like
# an edge, or like the noise that it started from?

# %%
before = start[0][:, :, 0]  # (9, 9, 32)
after = residual.get_layer("extraction").get_weights()[0][:, :, 0]
order = np.argsort(-np.linalg.norm(after - before, axis=(0, 1)))
rows = {"before": before, "after": after, "change": after - before}
fig, axes = plt.subplots(3, 16, figsize=(10, 2.2), layout="constrained")
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
# Like noise, except for the first few. The bottom row is what training added: smooth blobs and bars, sensitive to brightness or to edges; to many filters it added next to
# nothing. The noise is that of the start, and nothing here removes it. The paper shows much clearer filters, after a much longer training.
#
# More telling is what the filters answer to: their *feature maps*. Here is the front wheel, with the four filters whose answers vary most. A filter whose ReLU gives zero
# everywhere is called dead; are there any?

# %%
look = keras.Model(residual.input, residual.get_layer("extraction").output)
maps = look.predict_on_batch(photos[1][0])[0]
strength = maps.std(axis=(0, 1))
print(f"filters that answer nowhere on the motorcycle: {(strength == 0).sum()} of 32")

wheel = (slice(300, 420), slice(480, 620))
fig, axes = plt.subplots(1, 5, figsize=(10, 2.1), layout="constrained")
axes[0].imshow(y[..., 0][wheel], cmap="gray")
axes[0].set_title("Y of HR", fontsize=9)
for ax, i in zip(axes[1:], np.argsort(-strength), strict=False):
    ax.imshow(maps[..., i][wheel], cmap="gray")
    ax.set_title(f"filter {i}", fontsize=9)
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Nearly half of the filters never answer on this photo. Luma is positive everywhere, so a filter whose weights sum to a negative number tends to be cut to zero; and what is zero
# everywhere gets no gradient to recover by. The living ones see blurred brightness, stripes and edges.
#
# ## The colours come back
#
# The network made a new Y. Cb and Cr are enlarged by bicubic interpolation; then the three are put together and converted to RGB. By hand, and with
# `sr.models.on_luma`:

# %%
lr_ycbcr = to_ycbcr(lr).astype("float32")
new_y = residual.predict_on_batch(lr_ycbcr[None, ..., :1])[0]
enlarge = sr.models.bicubic(scale, channels=2)
new_cbcr = enlarge.predict_on_batch(lr_ycbcr[None, ..., 1:])[0]
by_hand = to_rgb(np.concatenate([new_y, new_cbcr], axis=-1))

in_colour = sr.models.on_luma(residual, name="residual")
np.testing.assert_allclose(by_hand, in_colour.predict_on_batch(lr[None])[0], atol=1e-5)
print(in_colour.input_shape, "->", in_colour.output_shape)

# %% [markdown]
# Now the papers' protocol, on the finished 8-bit pictures. `sr.evaluate` would take the one-channel network too, and wrap it itself.

# %%
models = {
    "bicubic": sr.models.bicubic(scale),
    "plain": sr.models.on_luma(plain),
    "residual": in_colour,
}
results, pictures = {}, {name: {} for name in validation.names}
for name, model in models.items():
    results[name] = sr.evaluate(
        model,
        validation,
        on_image=lambda i, lr, sr, hr, row, name=name: pictures[row["name"]].update(
            {name: sr}
        ),
    )
    for row in results[name]["images"]:
        print(f"{name:9} {row['name']:11} {row['psnr_y']:.2f} dB / {row['ssim_y']:.4f}")
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
        photo, scores, crop, columns=4, title=title, whole=False
    )


show(1, tank)

# %%
show(0, (90, 130, 60, 80))

# %% [markdown]
# Look at the rim of the eye and at the border of the name plate: the residual network draws them sharper than bicubic. The letters do not come back. Plain and
# bicubic are hard to tell apart, as their scores say. In motion the difference is easier to see:

# %%
sr.plotting.slider(
    {
        "bicubic": pictures["motorcycle"]["bicubic"],
        "residual": pictures["motorcycle"]["residual"],
    },
    crop=(100, 380, 130, 160),
    zoom=3,
    title="motorcycle x3",
)

# %% [markdown]
# ## What it costs
#
# All convolutions run on the enlarged image. Papers count the multiplications for an output of 1280 x 720 pixels. **Predict:** at which scale, 2,
# 3 or 4, are there most?

# %%
for factor in (2, 3, 4):
    network = sr.models.srcnn(factor, **options)
    count = sr.models.mult_adds(network, factor)
    print(f"x{factor}: {count / 1e9:.2f} billion multiplications")
kernels = 9 * 9 * 32 + 32 * 16 + 5 * 5 * 16
assert count == kernels * 1280 * 720

# %% [markdown]
# The same for all: every kernel value meets every output pixel once. At x4 the network computes on sixteen times as many pixels as it was given, and
# all of them are interpolated, hence say nothing new. Lesson 5 enlarges at the end instead.
#
# ## Deeper and faster: VDSR
#
# With the residual connection VDSR went from 3 layers to 20, all of them 3 x 3. Here are the two as their papers have them:

# %%
for name in ("srcnn", "vdsr"):
    entry = sr.models.CATALOGUE[name]
    print(
        f"{name}: {entry.paper}, {entry.parameters:,} parameters,"
        f" {entry.giga_mult_adds} billion multiplications for 1280 x 720"
    )

# %% [markdown]
# So many layers would learn slowly at a low rate. VDSR used a rate of 0.1, with plain gradient descent and momentum; at
# such a rate one large gradient throws the weights far away.
#
# The remedy is *gradient clipping*: each component is limited to plus or minus theta / rate. The rate times the gradient is then at most theta, whatever the rate.

# %%
rate, theta = 0.1, 0.001
gradient = np.array([3.0, -0.002, -40.0], "float32")
step = rate * np.clip(gradient, -theta / rate, theta / rate)

weights = keras.Variable(np.zeros(3, "float32"))
optimizer = keras.optimizers.SGD(rate, clipvalue=theta / rate)
optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weights])
np.testing.assert_allclose(-step, weights, rtol=1e-5)
print("steps:", step)

# %% [markdown]
# An experiment: a small VDSR of 8 layers, at three rates without clipping, and at the highest with two values of theta. The loss is the paper's: half
# the squared error, *summed* over the patch. **Predict:** which of the five learn?


# %%
class HalfSquaredError(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return 0.5 * keras.ops.sum((y_true - y_pred) ** 2, axis=(1, 2, 3))


few = sr.pipeline.training_batches(pairs, lr_size=8, batch_size=8, channels=1, seed=1)
few = few.take(20).cache()  # the same 160 patches again and again
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
# The careful rate learns slowly: after six passes it is not at bicubic's loss yet. Ten times that rate is already too much, and the loss is no longer a number. Clipped
# with theta 0.001 even 0.1 learns, and is level with bicubic at the end. With theta 0.01 it survives, but its large steps threw it far off in pass 1, and it stays behind.
#
# So clipping makes a high rate possible, and leaves a new number to choose. Adam, which divides each gradient by its usual size, bounds the steps in
# another way; that is why we could train the networks above without clipping.
#
# ## Longer training
#
# A lesson's training is short. Where the package carries weights of SRCNN or VDSR that were trained on more photos, the next cell scores them at x4.

# %%
names = [n for n in sr.pretrained.all_names() if n.startswith(("srcnn-x4", "vdsr-x4"))]
if names:
    pairs_x4 = sr.datasets.samples(4, split="validation")
    longer = {"bicubic": sr.models.bicubic(4)} | {n: sr.models.load(n) for n in names}
    for name, model in longer.items():
        result = sr.evaluate(model, pairs_x4)
        print(f"{name:20} {result['mean']['psnr_y']:.2f} dB, mean of 2 photos")
    print(result["conditions"])
else:
    print("No weights of SRCNN or VDSR at x4 come with this installation.")

# %% [markdown]
# And with the papers' data and patience? Published results at x3 on Set5, PSNR on luma, 3 pixels cut: bicubic 30.39 dB, SRCNN 32.75 dB, VDSR
# 33.66 dB. They are other photos than ours: do not compare across.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** VDSR has 20 convolutions of 3 x 3: from 1 channel to 64, eighteen from 64 to 64, and from 64 to 1, all with biases. How many
# weights are that?

# %%
answer = None  # your number

sr.course.check(answer, sr.models.CATALOGUE["vdsr"].parameters)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
answer = 64 * (9 + 1) + 18 * 64 * (9 * 64 + 1) + (9 * 64 + 1)
sr.course.check(answer, sr.models.CATALOGUE["vdsr"].parameters)
print(f"{answer:,}")

# %% [markdown]
# **Exercise 2.** How many pixels wide is the window of the interpolated image that one output pixel depends on, its *receptive field*: for our
# 9-1-5, and for VDSR? The cell measures it: it counts the output pixels that one
# input pixel changes, in networks whose kernels are all 1.

# %%
answer = None  # your two numbers


def receptive_field(network):
    network.set_weights([np.ones_like(w) * (w.ndim > 1) for w in network.get_weights()])
    spot = np.zeros((1, 63, 63, 1), "float32")
    spot[0, 31, 31] = 1  # how many output pixels of its row notice?
    return np.count_nonzero(network.predict_on_batch(spot)[0, 31])


fields = [
    receptive_field(sr.models.srcnn(1, **options)),
    receptive_field(sr.models.vdsr(1, filters=1)),
]
sr.course.check(answer, fields)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
# each convolution adds its size less 1
answer = [1 + 8 + 0 + 4, 1 + 20 * 2]
sr.course.check(answer, fields)
print(answer)

# %% [markdown]
# **Exercise 3.** At step 0 the residual network was far below bicubic. Set some of its weights to zero, so that it starts exactly as bicubic. Why not all of
# them? Train it for 50 steps: is it above bicubic then?

# %%
fresh = with_skip(sr.models.srcnn(scale, **options))
# your line here

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
last = fresh.get_layer("reconstruction")
last.set_weights([np.zeros_like(w) for w in last.get_weights()])
np.testing.assert_allclose(psnr_y(fresh), bar, atol=1e-3)
# were all zero, every feature would be 0 and no kernel would get a gradient
fresh.compile(keras.optimizers.Adam(1e-3), loss="mse")
fresh.fit(batches, steps_per_epoch=50, verbose=0)
for name, score, high in zip(validation.names, psnr_y(fresh), bar, strict=True):
    print(f"{name}: {score:.2f} dB after 50 steps, bicubic {high:.2f} dB")
print("x3, luma, 3 pixels cut, not rounded")

# %% [markdown]
# **Exercise 4.** The weights do not know the scale. VDSR used that: one network for x2, x3 and x4. Put the weights of `residual`, trained at x3, into networks
# for x2 and x4 and evaluate them. Does it work in both directions?

# %%
# your code: with_skip(sr.models.srcnn(2, **options)), sr.datasets.samples(2, split="validation")

# %% cellView="form" jupyter={"source_hidden": true}
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
# VDSR is trained on patches of all three scales

# %% [markdown]
# (Exercise 4, read it after your try:) at x4 it still helps, at x2 it does harm, probably since it sharpens what is sharper already than anything it was trained on.
#
# **Exercise 5.** Without its ReLUs the network would be one linear filter of 13 x 13 on the interpolated image. The best such filter needs no training: it
# solves a least-squares problem. Find it from the first 40 `batches` and compare: what do the ReLUs buy?

# %%
# your code: sliding_window_view, then np.linalg.solve of the normal equations

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
from scipy.ndimage import correlate

enlarge = sr.layers.BicubicUpsampling(scale)
left_side, right_side = np.zeros((169, 169)), np.zeros(169)
for lr_patches, hr_patches in batches.take(40):
    image = np.asarray(enlarge(lr_patches), "float64")[..., 0]
    windows = sliding_window_view(image, (13, 13), axis=(1, 2)).reshape(-1, 169)
    wanted = np.asarray(hr_patches)[:, 6:-6, 6:-6, 0].ravel()
    left_side += windows.T @ windows
    right_side += windows.T @ wanted
best = np.linalg.solve(left_side, right_side).reshape(13, 13)

for i, name in enumerate(validation.names):
    small, large = photos[i]
    image = correlate(np.asarray(enlarge(small))[0, ..., 0], best, mode="nearest")
    score = sr.metrics.psnr(large, image[None, ..., None], border=scale)[0]
    network = curves["with residual"][-1][i]
    print(f"{name}: bicubic {bar[i]:.2f}, linear {score:.2f}, network {network:.2f} dB")
print("x3, luma, 3 pixels cut, not rounded")

# %% [markdown]
# ## Summary
#
# - Pre-upsampling: interpolate to the full size, then correct. The convolutions do not depend on the scale, and pay for every pixel of the large image.
# - SRCNN: a 9 x 9 convolution describes patches, a 1 x 1 convolution maps descriptions, a 5 x 5 convolution puts the image together.
# - Luma goes through the network, since bicubic misses most there. Cb and Cr are interpolated, and merged at the end.
# - A residual connection spares the network from learning the identity: it starts nearer, and learns what interpolation missed. Here it beat bicubic, and
#   the plain network did not.
# - Bicubic is a low bar: the best linear filter of exercise 5 beats our shortly trained network. A network has to be trained long enough to use its ReLUs.
# - High learning rates need bounded steps. VDSR clips the gradient to theta / rate.
#
# ## Further reading
#
# - Dong, Loy, He and Tang, [Image super-resolution using deep convolutional networks](https://arxiv.org/abs/1501.00092), 2014: SRCNN.
# - Kim, Lee and Lee, [Accurate image super-resolution using very deep convolutional networks](https://arxiv.org/abs/1511.04587), 2016: VDSR.
# - Yang, Wright, Huang and Ma, [Image super-resolution via sparse representation](https://doi.org/10.1109/TIP.2010.2050625), 2010: the
#   method whose steps SRCNN took over.
# - He, Zhang, Ren and Sun, [Deep residual learning for image recognition](https://arxiv.org/abs/1512.03385), 2015: residual connections inside a network.
# - Pascanu, Mikolov and Bengio, [On the difficulty of training recurrent neural networks](https://arxiv.org/abs/1211.5063), 2012: why
#   gradients explode, and clipping.
