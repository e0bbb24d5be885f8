# %% [markdown]
# # 11. A VAE: many answers to one question
#
# Why the mean of all possible HR images is blurred, how latent variables select a single one, and what samples say about the
# uncertainty of the result.
#
# ![Noisy LR images of an 8 or a B, the mean of all answers, and samples](figures/11_goal.jpg)
#
# *Each row starts with an LR image that may be an 8 or a B. The mean of all answers is a mixture of both. Most samples of the VAE
# that you will train in this lesson are clearly one or the other.*
#
# **You will be able to**
#
# - explain why the best single answer is blurred, and why a sharp sample costs 3 dB of PSNR;
# - write the loss of a conditional VAE, the negative ELBO: the reparameterization trick and the KL divergence, in a line each;
# - write the encoder, the decoder and the `train_step` of a β-VAE in plain Keras, and recognize posterior collapse in its
#   numbers;
# - check whether samples have the probabilities of the true posterior, where it can be computed;
# - map where samples differ, and compare that map with the true error;
# - test whether a sample still agrees with the LR image that it was made from.
#
# **You need** lesson 1 (degradation, PSNR), lesson 4 (networks that upscale at the end) and lesson 8 (EDSR and its residual
# blocks). You should know what a normal distribution is.
#
# **Time:** about 75 minutes to read the core, 50 for the exercises; 4 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# **Optional** section, 5 minutes more: *raise β*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/11_vae.ipynb) · [Student edition](student/11_vae.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/11_vae.py) · Previous: [10. GANs: training against a discriminator](10_gans.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/10_gans.ipynb)) · Next: [12. Measuring quality](12_quality.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/12_quality.ipynb)) · [All lessons](README.md)

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
    minutes=(0.9, 4, 2),
    world_steps=(300, 600, 1000),
    mixed_steps=(150, 800, 1500),
    trials=(1, 4, 4),
    trial_steps=(120, 400, 400),
    glyph_steps=(60, 3000, 3000),
    local_steps=(20, 500, 1000),
    samples=(4, 16, 32),
    temperatures=(3, 6, 6),
    raises=(1, 4, 8),
)

# %% [markdown]
# ## Many HR patches for one LR patch
#
# Lesson 1 counted how many HR images have the same LR image. Most of them are noise. Are there several among real photos? We
# collect all windows of 3 x 3 LR pixels from six photos, each with its 12 x 12 HR pixels.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.lib.stride_tricks import sliding_window_view

from sr_keras.training.vae import VAE, kl_divergence, sample_std

scale = 4
photos = sr.datasets.samples(scale)
small, large = [], []
for pair in photos:
    lr, hr = (sr.images.to_float(image).mean(axis=-1) for image in pair)  # grey
    windows = sliding_window_view(lr, (3, 3))
    small.append(windows.reshape(-1, 3, 3))
    windows = sliding_window_view(hr, (12, 12))[::scale, ::scale]
    large.append(windows.reshape(-1, 12, 12))
small, large = np.concatenate(small), np.concatenate(large)
print(len(small), "pairs of windows from", ", ".join(photos.names))

# %% [markdown]
# Brightness should not matter, so we subtract the mean of the LR window from both. Then we take one LR window that shows an edge,
# and look for the 40 windows that are most similar to it.

# %%
level = small.mean(axis=(1, 2), keepdims=True)
small, large = small - level, large - level
edge = 230_932
distance = np.abs(small - small[edge]).max(axis=(1, 2))
nearest = distance.argsort()[:40]


def grey_levels(windows):
    """Returns the standard deviation over the windows, in grey levels."""
    return 255 * np.sqrt(windows.var(axis=0).mean())


print(f"range of the LR window: {255 * np.ptp(small[edge]):.0f} of 255 grey levels")
print(f"largest difference to any of the 40: {255 * distance[nearest[-1]]:.0f}")
print(
    f"standard deviation over the 40: LR {grey_levels(small[nearest]):.1f},"
    f" HR {grey_levels(large[nearest]):.1f}"
)

# %% [markdown]
# **Predict:** the LR windows in the upper row are nearly equal. Will the HR windows below them be nearly equal too? And what will
# the mean of all 40 look like?


# %%
def rows_of_windows(top, bottom, titles):
    fig, axes = plt.subplots(2, len(titles), figsize=(9, 2.9), layout="constrained")
    limit = np.abs(bottom).max()
    for i, title in enumerate(titles):
        axes[0, i].set_title(title, fontsize=10)
        axes[0, i].imshow(top[i], cmap="gray", vmin=-limit, vmax=limit)
        axes[1, i].imshow(bottom[i], cmap="gray", vmin=-limit, vmax=limit)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("LR")
    axes[1, 0].set_ylabel("HR")
    plt.show()


shown = [0, 5, 10, 15, 20, 25, 30]
rows_of_windows(
    [*small[nearest[shown]], small[nearest].mean(axis=0)],
    [*large[nearest[shown]], large[nearest].mean(axis=0)],
    [f"no. {i + 1}" for i in shown] + ["mean of 40"],
)

# %% [markdown]
# The upper row shows nearly the same edge every time. Its pixels have a standard deviation of 4 of 255 grey levels, and those of
# the lower row have one of 15: there are stripes, soft edges, an oblique edge and dark spots. The mean keeps the coarse shape
# that they share. The rest averages out, so the mean is blurred.
#
# ## The best answer is blurred, and a sharp one costs 3 dB
#
# A network that receives such an LR window has to give one answer. **Predict:** which answer has the smallest squared error over
# all 40, their mean or one of the 40 themselves?

# %%
answers = large[nearest]
mean_answer = answers.mean(axis=0)
error_of_mean = np.mean((answers - mean_answer) ** 2)
errors = []
for i in range(40):
    others = np.delete(answers, i, axis=0)
    errors.append(np.mean((others - answers[i]) ** 2))
print(f"the mean: {-10 * np.log10(error_of_mean):.2f} dB")
print(f"one of the 40: {-10 * np.log10(np.mean(errors)):.2f} dB", end=", ")
print(f"the best of them: {-10 * np.log10(min(errors)):.2f} dB")
assert error_of_mean < min(errors)

# %% [markdown]
# The mean is better than each of them, and this is not a coincidence. The error of the mean is the variance of the answers. An
# answer that is drawn from the same distribution as the true one adds *its own* variance to that. The squared error doubles,
# which is a loss of `10 log10(2)`, or 3.01 dB. (Here it is a little more, because the mean was computed from all 40.)
#
# So a network that is trained on the squared error learns the mean, and its output is blurred *because* it minimizes that error
# well. To see single answers, we need a network that can give more than one.
#
# ## A world with two answers
#
# To check what a network learns, we need to know the true distribution. In this synthetic world each LR pixel is grey, and stands
# for a tile of 4 x 4 pixels that is bright either on its left or on its right.


# %%
def world(rng, count, size):
    """Returns `count` HR images of `size x size` tiles, in one channel."""
    left = np.where(np.arange(4) < 2, 0.75, 0.25) * np.ones((4, 1))
    kinds = np.stack([left, 1 - left])
    choice = rng.integers(2, size=(count, size, size))
    tiles = kinds[choice].transpose(0, 1, 3, 2, 4)  # tile row, row in it, ...
    return tiles.reshape(count, 4 * size, 4 * size, 1).astype("float32")


hr_world = world(np.random.default_rng(0), 3, 6)
lr_world = sr.degradations.Downscale(4, "area")(hr_world)
print("LR", lr_world.shape, "from", lr_world.min(), "to", lr_world.max())

# %%
fig, axes = plt.subplots(1, 4, figsize=(9, 2.5), layout="constrained")
shown_images = [*hr_world, lr_world[0]]
titles = ["HR 1", "HR 2", "HR 3", "LR of each of them"]
for ax, picture, title in zip(axes, shown_images, titles, strict=True):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The LR image contains no information about the tiles. For each LR pixel one bit is missing, left or right. **Predict:** what is
# the PSNR of the mean of all answers, a grey image? And that of an image with random tiles?

# %%
rng = np.random.default_rng(1)
random_tiles = world(rng, 400, 6)
truth = world(rng, 400, 6)
grey_images = np.full_like(truth, 0.5)
for name, answer in (("grey", grey_images), ("random tiles", random_tiles)):
    error = np.mean((truth - answer) ** 2)
    print(f"{name}: squared error {error:.4f}, PSNR {-10 * np.log10(error):.2f} dB")

# %% [markdown]
# Grey is wrong by 0.25 everywhere. Random tiles are right half of the time and wrong by 0.5 otherwise, which gives twice the
# squared error, the 3 dB again. But only they look like the world.
#
# ## Latent variables for what the LR image does not contain
#
# We give the network a second input, the *latent variables* `z`, which select one of the answers. During training, an *encoder*
# computes them from the HR image. Later they are drawn at random. This is a *conditional variational autoencoder* (VAE).
#
# ![A conditional VAE in training](figures/11_vae.svg)
#
#     training:  (lr, hr) -> encoder -> mean, variance -> z -> decoder(lr, z) -> compare with hr
#     sampling:       random numbers, normal (0, 1)    -> z -> decoder(lr, z) -> one answer
#
# The distribution that the encoder computes, `q(z | lr, hr)`, is the *approximate posterior*. The distribution from which `z` is
# drawn later is the *prior* `p(z)`. Here it is the standard normal distribution.

# %%
options = {"filters": 16, "num_blocks": 1, "latent_channels": 1, "channels": 1}
encoder = sr.models.vae_encoder(4, **options)
decoder = sr.models.vae_decoder(4, **options)
lr_world, hr_world = tf.constant(lr_world), tf.constant(hr_world)
mean, log_variance = encoder([lr_world, hr_world])
image = decoder([lr_world, mean])
for name, x in (("mean", mean), ("log variance", log_variance), ("image", image)):
    print(f"{name}: {tuple(x.shape)}")

# %% [markdown]
# Both are small convolutional networks. The decoder is EDSR with a second input. The latent variables are multiplied by a *gate*,
# which is computed from the LR image, and the product is added to the features. So the network can switch them off in smooth
# areas, and give them a strong effect in fur. Here is the decoder, layer by layer, and the check that it is the package's:


# %%
def conv(filters, size=3, **options):
    return layers.Conv2D(filters, size, padding="same", **options)


def residual_block(x):
    return layers.Add()([x, conv(16)(conv(16, activation="relu")(x))])


lr_input, z_input = keras.Input((None, None, 1)), keras.Input((None, None, 1))
head = conv(16)(lr_input)
x = conv(16)(residual_block(head))
x = layers.Add()([x, head])
gate = conv(16)(x)
latents = conv(16, use_bias=False)(z_input)
x = layers.Add()([x, layers.Multiply()([latents, gate])])
x = residual_block(residual_block(x))
for _ in range(2):
    x = sr.layers.PixelShuffle(2)(conv(4 * 16)(x))  # twice as high and wide
interpolated = sr.layers.BicubicUpsampling(4)(lr_input)
outputs = layers.Add()([conv(1)(x), interpolated])
by_hand = keras.Model([lr_input, z_input], outputs)
by_hand.set_weights(decoder.get_weights())
np.testing.assert_allclose(by_hand([lr_world, mean]), image, atol=1e-5)

# %% [markdown]
# The encoder receives both images. It takes what bicubic interpolation misses, and reduces it to the size of the LR image with
# strided convolutions:

# %%
lr_input, hr_input = keras.Input((None, None, 1)), keras.Input((None, None, 1))
interpolated = sr.layers.BicubicUpsampling(4)(lr_input)
x = layers.Subtract()([hr_input, interpolated])
for _ in range(2):
    x = conv(16, size=4, strides=2, activation="relu")(x)  # half as high and wide
x = layers.Concatenate()([x, conv(16)(lr_input)])
x = layers.ReLU()(residual_block(conv(16)(x)))
outputs = [conv(1, size=1)(x), conv(1, size=1)(x)]  # mean and log variance
by_hand = keras.Model([lr_input, hr_input], outputs)
by_hand.set_weights(encoder.get_weights())
ours, package = by_hand([lr_world, hr_world]), encoder([lr_world, hr_world])
np.testing.assert_allclose(ours[0], package[0], atol=1e-5)
np.testing.assert_allclose(ours[1], package[1], atol=1e-5)

# %% [markdown]
# There is one `z` for each LR pixel. (The package uses 8 for photos.) The encoder does not return `z` itself but a normal
# distribution: its mean and the logarithm of its variance, which may be any real number.
#
# ## Learning through a random number
#
# `z` is drawn from this distribution. But a draw from a random generator has no gradient:

# %%
mean, log_variance = tf.Variable(0.5), tf.Variable(-1.0)
with tf.GradientTape() as tape:
    std = np.exp(0.5 * log_variance.numpy())
    z = np.random.default_rng(0).normal(mean.numpy(), std, 100_000)
    loss = tf.reduce_mean((z - 3.0) ** 2)
print("gradients:", tape.gradient(loss, [mean, log_variance]))

# %% [markdown]
# Both gradients are None, because for the tape, numbers that NumPy has drawn are constants. The *reparameterization trick* draws
# noise from a fixed distribution, and computes `z` from the noise, the mean and the variance. **Predict:** the mean of `(z -
# 3)**2` is `(mean - 3)**2 + variance`. What are its gradients with respect to the mean and to the log variance?

# %%
noise = tf.random.stateless_normal((100_000,), seed=(0, 0))
with tf.GradientTape() as tape:
    z = mean + tf.exp(0.5 * log_variance) * noise
    loss = tf.reduce_mean((z - 3.0) ** 2)
found = np.array(tape.gradient(loss, [mean, log_variance]))
exact = np.array([2 * (0.5 - 3), np.exp(-1.0)])
np.testing.assert_allclose(found, exact, atol=0.1)
print("found", found.round(3), "exact", exact.round(3))

# %% [markdown]
# They are equal up to sampling noise. (`tf.random.normal(shape, mean, std)` has these gradients, too, because it computes `mean +
# std * noise` itself: it is the same trick.) With this one line, encoder and decoder can be trained together.
#
# ## The cost of information in z
#
# If `z` could contain anything, the encoder would store the whole image in it, and random numbers would decode to noise. So the
# loss includes the distance of the posterior from the prior, the *Kullback-Leibler divergence* (KL):
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb{E}_{z \sim q}\left[\log q(z) - \log p(z)\right] = \tfrac{1}{2}\left(\mu^2 + \sigma^2 - 1 - \log \sigma^2\right)$$
#
# The second form holds for a normal distribution with mean μ and variance σ². We compute both.

# %%
mean, variance = 1.0, 0.25
by_hand = 0.5 * (mean**2 + variance - 1 - np.log(variance))

z = mean + np.sqrt(variance) * noise.numpy()  # draws from the posterior
log_q = -0.5 * ((z - mean) ** 2 / variance + np.log(variance))
log_p = -0.5 * z**2  # both without log(2 pi) / 2
estimate = np.mean(log_q - log_p)

one = np.ones((1, 1, 1, 1), "float32")  # one image, one pixel, one channel
package = kl_divergence(mean * one, np.log(variance) * one)
np.testing.assert_allclose(by_hand, package[0, 0, 0], atol=1e-6)
np.testing.assert_allclose(by_hand, estimate, atol=0.02)
print(f"formula {by_hand:.4f}, as a mean over draws {estimate:.4f} nats")

# %% [markdown]
# The unit is the nat: 1 bit is `ln 2`, about 0.693 nats.
#
# In our world, the encoder can distinguish left from right with two distributions of opposite means. We compare the means ±0,
# ±0.8 and ±2, with standard deviations of 1, 0.6 and 0.1. **Predict:** which choice is expensive, and which makes random draws
# useless?

# %%
x = np.linspace(-3.5, 3.5, 400)
fig, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained", sharey=True)
for ax, (m, s) in zip(axes, ((0, 1), (0.8, 0.6), (2, 0.1)), strict=True):
    kl = 0.5 * (m**2 + s**2 - 1 - np.log(s**2))
    for sign, color in ((-1, "#0072B2"), (1, "#D55E00")):
        density = np.exp(-0.5 * ((x - sign * m) / s) ** 2) / s / np.sqrt(2 * np.pi)
        ax.plot(x, density, color=color, label="left" if sign < 0 else "right")
    prior = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    ax.plot(x, prior, "k--", linewidth=1, label="prior")
    ax.set_title(f"mean ±{m}, standard deviation {s}\nKL {kl:.2f} nats", fontsize=10)
    ax.set(xlabel="z", ylim=(0, 1.5))
axes[0].set_ylabel("density")
axes[0].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# The first choice costs nothing and contains no information. The third identifies the side with near certainty (its peaks exceed
# the plot), but it is expensive, and a random draw from the prior almost never falls where the decoder has learned anything. The
# second contains most of the information at a low cost, and the two curves together approximate the prior.
#
# ## One training step by hand
#
# A VAE maximizes the *evidence lower bound* (ELBO), a lower bound of the log-likelihood of HR given LR: $\log p(\mathrm{HR} \mid
# \mathrm{LR}) = \mathrm{ELBO} + \mathrm{KL}\big(q(z \mid \mathrm{HR}, \mathrm{LR}) \,\|\, p(z \mid \mathrm{HR},
# \mathrm{LR})\big)$, and the last term is not negative. So its loss is the negative ELBO: the reconstruction error with `z` from
# the posterior, plus the KL divergence. With a factor β on the divergence it is a *β-VAE*. Up to constant factors, with $d$ for
# the decoder:
#
# $$-\mathrm{ELBO}_\beta = \mathbb{E}_{z \sim q(z \mid \mathrm{HR}, \mathrm{LR})} \lVert \mathrm{HR} - d(\mathrm{LR}, z) \rVert^2 + \beta\, \mathrm{KL}\big(q(z \mid \mathrm{HR}, \mathrm{LR}) \,\|\, p(z)\big)$$
#
# The package calls β `kl_weight`. (With a squared error it includes the assumed noise variance $\sigma^2$, so 1 is not a special
# value. The package takes the mean of the error over the 16 HR pixels of an LR pixel and counts KL for each LR pixel, so here β
# is $\sigma^2 / 8$, and 0.01 assumes $\sigma = 0.28$.) It adds a third term that is not part of a standard VAE: the error with `z
# = 0`, with half the weight, so that the decoder also learns the mean of all answers. (In the next cell, KL is a mean over one
# channel. With more channels, sum over them before you take the mean.)

# %%
world_vae = VAE(encoder, decoder)  # its noise of step 0 has the seed (0, 0)
world_vae.compile(keras.optimizers.Adam(3e-3), loss="l2", kl_weight=0.01)

mean, log_variance = encoder([lr_world, hr_world])
noise = tf.random.stateless_normal(mean.shape, seed=(0, 0))
z = mean + tf.exp(0.5 * log_variance) * noise
reconstruction = tf.reduce_mean((hr_world - decoder([lr_world, z])) ** 2)
error_at_zero = tf.reduce_mean((hr_world - decoder([lr_world, 0 * z])) ** 2)
kl = 0.5 * tf.reduce_mean(mean**2 + tf.exp(log_variance) - 1 - log_variance)
by_hand = reconstruction + 0.5 * error_at_zero + 0.01 * kl

logs = world_vae.train_on_batch(lr_world, hr_world, return_dict=True)
np.testing.assert_allclose(by_hand, logs["loss"], rtol=1e-4)
print({name: round(float(value), 4) for name, value in logs.items()})

# %% [markdown]
# The losses are equal. `mean_loss` is the error with `z = 0`, and `reconstruction_loss` the error with `z` from the posterior.
# Now we train the VAE. **Predict:** where will `kl` end, in nats per LR pixel, if `z` has to distinguish left from right?


# %%
def batches_of_the_world():
    rng = np.random.default_rng(1)
    while True:
        yield np.full((16, 6, 6, 1), 0.5, "float32"), world(rng, 16, 6)


signature = tf.TensorSpec((16, 6, 6, 1)), tf.TensorSpec((16, 24, 24, 1))
batches = tf.data.Dataset.from_generator(
    batches_of_the_world, output_signature=signature
)
epochs = here.world_steps // 10
history = world_vae.fit(batches, steps_per_epoch=10, epochs=epochs, verbose=0).history

# %%
steps = 10 * np.arange(1, epochs + 1)
fig, axes = plt.subplots(1, 2, figsize=(9, 2.7), layout="constrained")
axes[0].plot(steps, history["mean_loss"], label="z = 0")
axes[0].plot(steps, history["reconstruction_loss"], label="z from the posterior")
axes[0].axhline(0.0625, color="0.4", linestyle="--", label="grey: 0.0625")
axes[0].set(xlabel="steps", ylabel="squared error", ylim=(0, 0.15))
axes[1].plot(steps, history["kl"], color="#009E73", label="KL")
axes[1].axhline(np.log(2), color="0.4", linestyle="--", label="one bit: ln 2")
axes[1].set(xlabel="steps", ylabel="nats per LR pixel", ylim=(0, None))
for ax in axes:
    ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# With `z = 0`, the error stays at that of grey, which is the best possible value. With `z` from the posterior it falls far below.
# Early in training, KL drops nearly to 0, because the decoder does not use `z` yet. Later it rises above one bit, which is
# necessary to distinguish left from right.

# %%
grey = np.full((1, 6, 6, 1), 0.5, "float32")
answers = world_vae.sample(grey, num_samples=3, seed=1)[:, 0]
pictures = {"temperature 0": world_vae.sample(grey, temperature=0.0)[0, 0]}
pictures.update({f"sample {i + 1}": image for i, image in enumerate(answers)})
sr.plotting.comparison(
    pictures,
    crop=(0, 0, 24, 24),
    whole=False,
    title="From one grey LR image",
)

# %% [markdown]
# The *temperature* is a factor for the random `z`: 0 gives the mean, and 1 draws from the prior. The mean is grey. The samples
# are three different images whose tiles are brighter on one side. But most tiles are greyer than those of the world, and a few
# have more contrast, because the decoder is nearly linear in `z`. Do the scores behave as predicted?

# %%
test_hr = world(np.random.default_rng(2), 8, 16)
test_lr = np.full((8, 16, 16, 1), 0.5, "float32")
scores = world_vae.evaluate(test_lr, test_hr, verbose=0, return_dict=True)
for name in ("psnr_mean", "psnr_sample"):
    print(f"{name}: {scores[name]:.2f} dB")
print(f"sample std: {scores['sample_std']:.3f}")
print(f"KL: {scores['kl']:.2f} nats per LR pixel")
samples = world_vae.sample(test_lr, seed=3)[0]
downscaled = sr.degradations.Downscale(4, "area")(samples)
print(f"LR of the samples: off by {np.abs(downscaled - 0.5).mean():.3f} (mean)")
assert scores["psnr_mean"] > scores["psnr_sample"] + 1

# %% [markdown]
# The *sample standard deviation* (std) is that of the samples at each pixel. In the true world it is 0.25, and the network nearly
# reaches this value. A sample scores 2.5 dB below the mean. The smaller standard deviation alone would give 2.9 dB. PSNR is also
# computed after clipping to [0, 1], which removes the strongest contrasts. Scaled down, each sample is nearly the grey LR image
# again, so the samples agree with the input.
#
# ## Where is the network uncertain?
#
# Next we build a world that is uncertain only in some places. Dark LR pixels stand for plain dark tiles, and grey ones for left
# or right, as before. The same VAE continues its training on random mixtures of both.


# %%
def mixed(rng, is_uncertain):
    """Returns LR and HR images, uncertain where `is_uncertain` is True."""
    hr = world(rng, len(is_uncertain), is_uncertain.shape[1])
    lr = np.where(is_uncertain, 0.5, 0.1).astype("float32")[..., None]
    is_dark = ~is_uncertain.repeat(4, axis=1).repeat(4, axis=2)[..., None]
    return lr, np.where(is_dark, np.float32(0.1), hr)


def mixed_batches():
    rng = np.random.default_rng(4)
    while True:
        yield mixed(rng, rng.integers(2, size=(16, 6, 6)) == 1)


mixtures = tf.data.Dataset.from_generator(mixed_batches, output_signature=signature)
world_vae.fit(mixtures, steps_per_epoch=here.mixed_steps, verbose=0)

# %% [markdown]
# **Predict:** the LR image shows a grey disc on a dark background. What do two samples have in common? Where is their standard
# deviation large, and where is the KL divergence large?

# %%
y, x = np.mgrid[:14, :14] - 6.5
lr_disc, hr_disc = mixed(np.random.default_rng(5), (y**2 + x**2 < 25)[None])
draws = world_vae.sample(lr_disc, num_samples=32, seed=6)
kl_map = kl_divergence(*encoder([lr_disc, hr_disc]))[0].numpy()
std_map = sample_std(draws)[0]

fig, axes = plt.subplots(2, 3, figsize=(8, 5.2), layout="constrained")
pictures = {"LR": lr_disc[0], "HR": hr_disc[0], "sample 1": draws[0, 0]}
pictures.update({"sample 2": draws[1, 0], "sample std": std_map, "KL (nats)": kl_map})
for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=True):
    if picture.ndim == 2:
        fig.colorbar(ax.imshow(picture, cmap="magma", vmin=0), ax=ax, shrink=0.8)
    else:
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
in_disc = lr_disc[0, ..., 0] > 0.4
in_disc_hr = in_disc.repeat(4, axis=0).repeat(4, axis=1)
inside, outside = std_map[in_disc_hr].mean(), std_map[~in_disc_hr].mean()
print(f"sample std: {inside:.3f} in the disc, {outside:.3f} outside")
assert inside > 1.2 * outside
inside, outside = kl_map[in_disc].mean(), kl_map[~in_disc].mean()
print(f"KL: {inside:.2f} nats in the disc, {outside:.2f} outside")

# %% [markdown]
# The samples share what the LR image contains, the disc, and differ where it contains nothing. The map of their standard
# deviation shows what cannot be known, and the KL divergence is large in the same places.
#
# ## How to choose β
#
# In this world, a `z` that distinguishes left from right reduces the squared error by 0.0625 and costs at least `ln 2` nats.
# **Predict:** from which β on is this no longer worthwhile? What will the network do then?

# %%
# pairs of `kl_weight` and the steps over which it grows from 0
tried = [(0.003, 0), (0.03, 0), (0.03, 300), (0.2, 100)]
trials = [{"kl_weight": 0.01, "annealing": 0, **scores, "curve": history["kl"]}]
for kl_weight, steps in tried[-here.trials :]:
    keras.utils.set_random_seed(1)
    trial = VAE(
        sr.models.vae_encoder(4, **options), sr.models.vae_decoder(4, **options)
    )
    trial.compile(keras.optimizers.Adam(3e-3), "l2", kl_weight, annealing_steps=steps)
    epochs = here.trial_steps // 10
    logs = trial.fit(batches, steps_per_epoch=10, epochs=epochs, verbose=0).history
    end = trial.evaluate(test_lr, test_hr, verbose=0, return_dict=True)
    row = {"kl_weight": kl_weight, "annealing": steps, **end, "curve": logs["kl"]}
    trials.append(row)

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for row in sorted(trials, key=lambda row: (row["kl_weight"], row["annealing"])):
    label = f"β = {row['kl_weight']}" + (", annealed" if row["annealing"] else "")
    line = "--" if row["annealing"] else "-"
    ax.plot(10 * np.arange(1, len(row["curve"]) + 1), row["curve"], line, label=label)
    print(
        f"{label:19} KL {row['kl']:.2f} nats, sample std {row['sample_std']:.3f},"
        f" PSNR of the mean {row['psnr_mean']:.2f} dB,"
        f" of a sample {row['psnr_sample']:.2f} dB"
    )
ax.set(xlabel="steps", xlim=(0, here.trial_steps))
ax.set(ylabel="KL, nats per LR pixel", ylim=(0, 3))
ax.legend(frameon=False, fontsize=8)
plt.show()
assert trials[-1]["kl"] < 0.1 < trials[0]["kl"]  # the highest weight collapses

# %% [markdown]
# With β = 0.003 and 0.01, `z` contains its bit. (For a perfectly trained network, exercise 5 leads to a KL of $-\tfrac12
# \ln(8\beta)$: 1.86 nats for 0.003 and 1.26 for 0.01. We measured 1.98 and 1.16.) At 0.003 the samples vary too much (0.321
# instead of 0.25), which training, and not β, is to blame for: the best network would have 0.247. (0.01 is the network from
# above, scored after all its steps. The curves are of training images of 6 x 6 LR pixels, and the numbers of 16 x 16, so the two
# differ.) With β = 0.2, KL ends at 0, and all samples are equal and grey. This is *posterior collapse*: the posterior equals the
# prior, and the decoder ignores `z`. The PSNR of the mean does not reveal the collapse. Look at KL and at the sample standard
# deviation.
#
# At β = 0.03 using `z` should be worthwhile, because this is far below 0.0625 / ln 2, or 0.09. Nevertheless KL is 0 after 400
# steps. (With β = 0.01 it began to rise after 200.) At first the decoder cannot use `z`, so the encoder pays for information that
# reduces no error. *KL annealing* raises the weight from 0 (dashed), so that the decoder learns to use `z` while it costs little.
# Where the final weight is too high, annealing does not help either.
#
# ## 8 or B: one z for the whole image
#
# So far every LR pixel was ambiguous on its own, and had a `z` of its own. In real images, the answers are larger than a pixel.
# Here the LR image has 6 x 6 noisy pixels and shows an 8 or a B, as in [lesson 13](13_hallucination.ipynb). All its pixels have
# to agree on one of the two. If each of them drew its own `z`, the decoder would have to derive one common decision from 36
# independent numbers, which is hard to learn. So this VAE has a `z` of two numbers for the whole image.
#
# There are only six HR images: two characters at three positions.

# %%
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

font_file = font_manager.findfont("DejaVu Sans Mono:bold")  # it comes with matplotlib
font = ImageFont.truetype(font_file, 26)
drawings = []
for letter in "8B":
    for shift in (-1, 0, 1):
        canvas = Image.new("L", (24, 24), 255)
        place = (12 + shift, 12)
        ImageDraw.Draw(canvas).text(place, letter, 0, font, anchor="mm")
        drawings.append(np.asarray(canvas))
known = sr.images.to_float(np.stack(drawings))[..., None]  # (6, 24, 24, 1)
known_lr = sr.degradations.Downscale(scale)(known)  # (6, 6, 6, 1)
is_b = np.arange(6) >= 3

# %% [markdown]
# The camera adds noise with a standard deviation of 0.25 to the LR image. As all HR images are known, the exact posterior can be
# computed by Bayes' rule. The probability of the HR image $x_i$, given the LR image $y$, is
#
# $$p(x_i \mid y) = \frac{w_i}{\sum_j w_j}, \qquad w_i = \exp\left(-\frac{\lVert y - \downarrow x_i \rVert^2}{2 \cdot 0.25^2}\right)$$

# %%
noise_level = 0.25


def photograph(numbers, rng):
    """Returns noisy LR images of the HR images with these numbers."""
    clean = known_lr[numbers]
    return clean + noise_level * rng.standard_normal(clean.shape, "float32")


def exact_posterior(photographs):
    """Returns the probability of each of the six HR images, `(n, 6)`."""
    difference = photographs.reshape(-1, 1, 36) - known_lr.reshape(1, 6, 36)
    distance = (difference**2).sum(axis=2)
    distance -= distance.min(axis=1, keepdims=True)
    weights = np.exp(-distance / (2 * noise_level**2))
    return weights / weights.sum(axis=1, keepdims=True)


rng = np.random.default_rng(7)
numbers = rng.integers(6, size=400)
glyph_lr, glyph_hr = photograph(numbers, rng), known[numbers]
posterior = exact_posterior(glyph_lr)
chance_of_b = posterior[:, is_b].sum(axis=1)


# %%
def show_rows(rows, left, above=()):
    """Draws rows of grey images in [0, 1]."""
    shape = len(rows), len(rows[0])
    figsize = (1.2 * shape[1] + 0.5, 1.2 * shape[0] + 0.3)
    fig, axes = plt.subplots(*shape, figsize=figsize, layout="constrained")
    for ax, image in zip(axes.flat, [x for row in rows for x in row], strict=True):
        ax.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    for ax, text in zip(axes[:, 0], left, strict=True):
        ax.set_ylabel(text, fontsize=9)
    for ax, text in zip(axes[0], above, strict=False):
        ax.set_title(text, fontsize=9)
    plt.show()


order = chance_of_b.argsort()[:: len(chance_of_b) // 7]  # from certain 8s to Bs
titles = [f"P(B) = {chance_of_b[i]:.2f}" for i in order]
show_rows([glyph_lr[order], glyph_hr[order]], ["LR", "HR"], titles)

# %% [markdown]
# The exact probability of a B stands above each LR image. Some can be read, and others cannot. The images are so small that dense
# layers are sufficient. The encoder receives both images, and the decoder LR and `z`:


# %%
def hidden(x):
    for _ in range(2):
        x = layers.Dense(256, activation="relu")(x)
    return x


lr_input, hr_input = keras.Input((6, 6, 1)), keras.Input((24, 24, 1))
x = layers.Concatenate()([layers.Flatten()(lr_input), layers.Flatten()(hr_input)])
x = hidden(x)
outputs = [layers.Dense(2)(x), layers.Dense(2)(x)]  # mean and log variance
glyph_encoder = keras.Model([lr_input, hr_input], outputs)

lr_input, z_input = keras.Input((6, 6, 1)), keras.Input((2,))
x = hidden(layers.Concatenate()([layers.Flatten()(lr_input), z_input]))
x = layers.Dense(24 * 24, activation="sigmoid")(x)
glyph_decoder = keras.Model([lr_input, z_input], layers.Reshape((24, 24, 1))(x))

# %% [markdown]
# The whole VAE is one `train_step`. As the pixels are nearly black or white, the reconstruction error is the binary
# cross-entropy, summed over the pixels. Both terms are now in nats per image, and with β = 1 the loss would be the negative ELBO,
# if all pixels were exactly black or white.


# %%
class GlyphVAE(keras.Model):
    def __init__(self, encoder, decoder, beta):
        super().__init__()
        self.encoder, self.decoder, self.beta = encoder, decoder, beta

    def train_step(self, data):
        lr, hr = data
        with tf.GradientTape() as tape:
            mean, log_variance = self.encoder([lr, hr], training=True)
            noise = tf.random.normal(tf.shape(mean))
            z = mean + tf.exp(0.5 * log_variance) * noise
            image = self.decoder([lr, z], training=True)
            error = keras.losses.binary_crossentropy(hr, image)  # mean of one channel
            error = tf.reduce_mean(tf.reduce_sum(error, axis=(1, 2)))
            terms = mean**2 + tf.exp(log_variance) - 1 - log_variance
            kl = tf.reduce_mean(0.5 * tf.reduce_sum(terms, axis=1))
            loss = error + self.beta(self.optimizer.iterations) * kl
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"error": error, "kl": kl}


# %% [markdown]
# What should β be? The sums over pixels are large, so β = 1 is small here: in a training of this length, `z` would contain
# everything, including what the LR image already says. We want `z` to contain only what the LR image does not, which is the mean
# entropy of the exact posterior, 0.5 nats (printed below). We found β = 18 by trying: the KL divergence ends at 0.36 nats.  But
# if β is 18 from the beginning, the posterior collapses, as above, so we use KL annealing again. Exercise 4 tries both without
# it.


# %%
def glyph_batches(seed):
    """Yields batches of 64 pairs, without end."""
    rng = np.random.default_rng(seed)
    while True:
        numbers = rng.integers(6, size=64)
        yield photograph(numbers, rng), known[numbers]


def beta(step):
    """Returns a value that rises from 0 to 18 in the first 60% of the steps."""
    progress = tf.cast(step, "float32") / here.glyph_steps
    return 18.0 * tf.minimum(progress / 0.6, 1.0)


def train_glyph_vae(model, steps):
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(schedule))
    batches = glyph_batches(seed=0)
    return model.fit(batches, steps_per_epoch=20, epochs=steps // 20, verbose=0).history


# %%
glyph_vae = GlyphVAE(glyph_encoder, glyph_decoder, beta)
curves = train_glyph_vae(glyph_vae, here.glyph_steps)
fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
labels = ("reconstruction error (nats)", "KL (nats per image)")
for ax, name, label in zip(axes, ("error", "kl"), labels, strict=True):
    ax.plot(20 * np.arange(1, len(curves[name]) + 1), curves[name])
    ax.set(xlabel="steps", ylabel=label)
plt.show()
entropy = -np.sum(posterior * np.log(posterior + 1e-12), axis=1).mean()
print(f"KL at the end: {curves['kl'][-1]:.2f} nats per image")
print(f"missing in the LR images: {entropy:.2f} nats; in all: ln 6 = {np.log(6):.2f}")

# %% [markdown]
# At first β is small, and `z` contains up to 12 nats. The choice of one of six images is only worth ln 6 = 1.79 nats, so `z`
# contains everything. As β rises, KL falls to about 0.4 nats (the last value is that of a single batch), a little below the 0.49
# nats that are missing in the LR images. The reconstruction error rises only slightly in this time.
#
# **Predict:** for an LR image that may be an 8 or a B, what does the mean of all answers look like? And what do the samples look
# like?


# %%
def sample_glyphs(decoder, photographs, count, seed=0):
    """Returns samples, `(count, n, 24, 24, 1)`."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((count, len(photographs), 2), "float32")
    draws = [decoder.predict_on_batch([photographs, draw]) for draw in z]
    return np.stack(draws)


unsure = np.abs(chance_of_b - 0.5).argsort()[:4]
exact_mean = np.tensordot(posterior, known, axes=1)
draws = sample_glyphs(glyph_decoder, glyph_lr, 64)
rows = [
    [glyph_lr[i], exact_mean[i], draws[:, i].mean(axis=0), *draws[:6, i]]
    for i in unsure
]
above = ["LR", "exact mean", "mean of samples", *(f"sample {k + 1}" for k in range(6))]
show_rows(rows, [f"P(B) = {chance_of_b[i]:.2f}" for i in unsure], above)

# %% [markdown]
# The mean of all answers is a mixture of an 8 and a B, and the mean of the samples is nearly the same picture. But most samples
# are clearly an 8 or a B. They are plausible alternatives, not grain, because one `z` determines all pixels. A few lie between
# the two characters, because `z` is continuous.
#
# Are they drawn with the right probabilities? A program reads each sample: which of the six images is closest to it, by the root
# mean square (RMS)? Then we compare the share of Bs in 64 samples with the exact probability. If they agree, the network is
# *calibrated*. **Predict:** where will the points lie?


# %%
def read(images):
    """Returns the number of the closest HR image, and the distance to it (RMS)."""
    flat, patterns = images.reshape(-1, 576), known.reshape(6, 576)
    square = (patterns**2).sum(axis=1) - 2 * flat @ patterns.T
    nearest = square.min(axis=1) + (flat**2).sum(axis=1)
    distance = np.sqrt(np.maximum(nearest, 0) / 576)
    shape = images.shape[:-3]
    return square.argmin(axis=1).reshape(shape), distance.reshape(shape)


found, to_nearest = read(draws)
share_of_b = is_b[found].mean(axis=0)
print(f"distance of a sample to the closest HR image: {to_nearest.mean():.3f} (RMS)")
exact_share = np.random.default_rng(8).binomial(64, chance_of_b) / 64
for label, share in (("the VAE", share_of_b), ("the exact posterior", exact_share)):
    off = np.abs(share - chance_of_b).mean()
    print(f"64 samples of {label}: share of Bs off by {off:.3f} on average")

# %%
groups = np.array_split(chance_of_b.argsort(), 8)
fig, ax = plt.subplots(figsize=(4.5, 3.6), layout="constrained")
ax.plot(chance_of_b, share_of_b, ".", color="0.7", label="an LR image")
means = [
    [values[group].mean() for group in groups] for values in (chance_of_b, share_of_b)
]
ax.plot(*means, "o-", label="mean of 50")
ax.plot([0, 1], [0, 1], "k--", linewidth=1, label="calibrated")
ax.set(xlabel="exact probability of B", ylabel="share of B in 64 samples")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# On average the shares agree well with the probabilities: the blue points lie near the diagonal. The network is a little too
# cautious: where a B has a probability of 0.80, only 0.71 of the samples are Bs. For a single LR image the share is off by 0.06
# on average. With exact draws it would be off by 0.02, because there are only 64 of them. Where the LR image is ambiguous, single
# shares are off by up to 0.5 (the grey points).
#
# And the scores? **Predict:** by how much is the PSNR of a sample below that of the mean?


# %%
def glyph_psnr(images):
    return -10 * np.log10(np.mean((images - glyph_hr) ** 2))


rng = np.random.default_rng(9)
exact_draws = [known[rng.choice(6, size=64, p=weights)] for weights in posterior]
for label, answer in (
    ("mean of the exact posterior", exact_mean),
    ("a sample of the exact posterior", np.stack(exact_draws, axis=1)),
    ("mean of 64 samples of the VAE", draws.mean(axis=0)),
    ("a sample of the VAE", draws),
):
    print(f"{label:31} {glyph_psnr(answer):.2f} dB")
print("of the mean squared error: 400 images, 64 samples of each, all pixels")

# %% [markdown]
# A sample of the exact posterior is 2.8 dB below the mean, close to the 3 dB that we expect. A sample of the VAE is only 1.6 dB
# below the mean of its samples, so they vary less than the truth. This does not contradict the shares above: samples that lie
# between the characters are closer to the mean than any true image is.
#
# What would a `z` for each LR pixel do here? The package's VAE is of this kind. We train it on the same pairs:

# %%
sizes = {**options, "filters": 24, "latent_channels": 2}
local_vae = VAE(sr.models.vae_encoder(4, **sizes), sr.models.vae_decoder(4, **sizes))
local_vae.compile(keras.optimizers.Adam(2e-3), loss="l2", kl_weight=0.003)
logs = local_vae.fit(glyph_batches(1), steps_per_epoch=here.local_steps, verbose=0)
print({name: round(values[-1], 3) for name, values in logs.history.items()})
local_draws = local_vae.sample(glyph_lr[unsure], num_samples=6, seed=9)
show_rows(
    [[*local_draws[:, k], *draws[:3, i]] for k, i in enumerate(unsure[:2])],
    [f"P(B) = {chance_of_b[i]:.2f}" for i in unsure[:2]],
    [*["z for each pixel"] * 6, *["one z"] * 3],
)
print(f"distance to the closest HR image: {read(local_draws)[1].mean():.3f}", end=", ")
print(f"with one z {to_nearest[:, unsure].mean():.3f}")

# %% [markdown]
# With a `z` for each LR pixel, the samples have a grain, and many are grey where the two characters differ. Its samples are twice as
# far from the closest HR image, 0.12, which is the distance of an even mixture of both characters: no closer than a blur. (This VAE
# was trained for 500 steps only, and with another loss, so the comparison is not controlled.) Each pixel draws its own `z`, and this
# decoder has not learned to derive one decision from them.
#
# ## A VAE on photos
#
# In photos, far more than one bit per LR pixel is missing. The package ships a decoder and its encoder, which were trained on
# other photos than those below. They are the networks that we wrote layer by layer, with more blocks, and 8 latent variables for
# each LR pixel:
#
# ![The encoder](figures/11_encoder.svg)
#
# ![The decoder](figures/11_decoder.svg)
#
# *Drawn by `sr.plotting.diagram` from networks of the package's default sizes; the shipped ones have 32 filters, and their decoder 4
# blocks before `z`. Each yellow box stands for several layers. The encoder has two outputs, μ (the arrow downwards) and log σ². In
# the decoder, a convolution of the LR features is the gate that multiplies the latent variables.*
#
# How long were they trained, and with which β?

# %%
name = "vae-x4-bsds-small"
path = sr.weights.find(name)
config = sr.weights.identity(path)["config"]
training = sr.weights.history(path)
recipe = training["recipe"]
side = recipe["lr_patch_size"]
print(config)
print(
    f"{recipe['steps']} steps of {recipe['batch_size']} LR patches of {side} x {side},"
    f" in {training['seconds'] / 60:.0f} minutes; kl_weight {recipe['kl_weight']},"
    f" annealed over {recipe['annealing_steps']} steps"
)

# %%
from sr_keras.evaluation import score

decoder = sr.models.vae_decoder(**config, weights="bsds-small")
encoder = sr.models.vae_encoder(4, **recipe["encoder_options"], weights="bsds-small")
vae = VAE(encoder, decoder)

pairs = sr.datasets.samples(4, split="validation")
lr_file, hr_file = pairs[0]  # the cat
lr, hr = sr.images.to_float(lr_file), sr.images.to_float(hr_file)
mean = vae.sample(lr[None], temperature=0.0)[0, 0]
samples = vae.sample(lr[None], num_samples=here.samples, seed=0)[:, 0]
print(len(samples), "samples", samples.shape[1:])

# %% [markdown]
# **Predict:** a sample should look like a sharp photo of a cat and score 3 dB less than the mean. Will it? LR-PSNR measures how
# well an image, scaled down, agrees with the LR image. The NTIRE challenges on the super-resolution space (2021, 2022) asked for
# 45 dB.


# %%
def measured(image):
    """Returns PSNR (luma, 4 pixels cut) and LR-PSNR, both of 8 bits."""
    file = sr.images.to_integer(image)
    return score(hr_file, file, 4)["psnr_y"], sr.quality.lr_psnr(lr_file, file)


# %%
half = vae.sample(lr[None], temperature=0.5, seed=0)[0, 0]
bicubic = sr.models.bicubic(4)(lr[None])[0].numpy()
pictures = {
    "bicubic": bicubic,
    "temperature 0": mean,
    "temperature 0.5": half,
    "temperature 1": samples[0],
    "another sample": samples[1],
}
captions = {
    name: "{:.1f} dB / LR {:.1f} dB".format(*measured(image))
    for name, image in pictures.items()
}
eye = (60, 90, 90, 135)
sr.plotting.comparison(
    {**pictures, "HR": hr},
    scores=captions,
    crop=eye,
    columns=3,
    title="cat x4: PSNR on luma, 4 pixels cut, 8 bits / LR-PSNR",
    whole=False,
)

# %% [markdown]
# Temperature 0 is soft, as a mean is. (Strictly it is a median, because this network was trained on absolute errors, `loss="l1"`.
# For the same reason, its β cannot be compared with the values above.) A sample does not look like a sharp photo of a cat either.
# It has grain, which is stronger in the fur than on smooth areas, but no hairs, and the next sample has different grain.
#
# A hair crosses many LR pixels, and each of them draws its own `z`. Our small decoder has not learned to combine them into one
# hair, as it did not for a whole character.  A diffusion model draws its samples in many steps, and in each step every pixel sees
# what its neighbours have become so far ([lesson 18](18_diffusion.ipynb)).
#
# Compare the mean with a sample. Move the line with the pointer:

# %%
sr.plotting.slider(
    {"temperature 0": mean, "temperature 1": samples[0]},
    crop=(60, 90, 120, 180),
    zoom=3,
)

# %% [markdown]
# Here is the same comparison in numbers, from temperature 0 to 1:

# %%
temperatures = np.linspace(0, 1, here.temperatures)
rows = []
for temperature in temperatures:
    few = vae.sample(lr[None], temperature, num_samples=3, seed=1)[:, 0]
    psnr, lr_psnr = np.mean([measured(image) for image in few], axis=0)
    rows.append((psnr, lr_psnr, sample_std(few[:, None]).mean()))
rows = np.array(rows)
loss = rows[0, 0] - rows[:, 0]
matching = np.interp(10 * np.log10(2), loss, temperatures)
print("PSNR below that of the mean, in dB:", loss.round(1))
print(f"3.01 dB are lost at a temperature of about {matching:.1f}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
names = ("PSNR of a sample (dB)", "LR-PSNR of a sample (dB)", "sample std")
for ax, values, label in zip(axes, rows.T, names, strict=True):
    ax.plot(temperatures, values, "o-")
    ax.set(xlabel="temperature", ylabel=label)
axes[0].axhline(
    rows[0, 0] - 10 * np.log10(2), color="0.4", ls="--", label="mean - 3.01"
)
axes[1].axhline(45, color="0.4", ls="--", label="competition: 45")
axes[1].axhline(measured(bicubic)[1], color="0.7", ls=":", label="bicubic")
error = np.sqrt(np.mean((mean - hr) ** 2))
axes[2].axhline(error, color="0.4", ls="--", label="true error of the mean")
for ax in axes:
    ax.legend(frameon=False, fontsize=8)
plt.show()
assert (np.diff(rows[:, 0]) < 0).all()

# %% [markdown]
# Every increase of the temperature costs PSNR. If samples varied as photos do, then at temperature 1 the loss would be 3 dB, and
# the sample standard deviation would equal the true error of the mean. Both happen at a somewhat lower temperature, so at
# temperature 1 this network varies too much for this photo. (They cross at different temperatures because the third panel is in
# RGB and averages the standard deviation, not its square.) These are not two independent tests: the squared error of a sample is
# that of the mean plus the variance of the samples.
#
# LR-PSNR falls with the temperature, but stays far above the 45 dB, and above bicubic interpolation. What `z` adds disappears
# when the sample is scaled down again. So each sample is consistent with its LR image, which does not make it probable.
#
# ## How reliable is the map of uncertainty?
#
# The standard deviation of the samples is a map that is bright where the network is uncertain. **Predict:** where will it be
# bright, and where was the mean really wrong?


# %%
def blocks(values):
    """Returns the root mean square in blocks of 8 x 8 pixels."""
    height, width = values.shape[0] // 8, values.shape[1] // 8
    values = values[: 8 * height, : 8 * width].reshape(height, 8, width, 8)
    return np.sqrt((values**2).mean(axis=(1, 3)))


predicted_error = blocks(sample_std(samples[:, None])[0])
true_error = blocks(np.sqrt(((mean - hr) ** 2).mean(axis=-1)))
fig, axes = plt.subplots(3, 1, figsize=(6, 11), layout="constrained")
axes[0].imshow(hr)
for ax, values in zip(axes[1:], (predicted_error, true_error), strict=True):
    fig.colorbar(ax.imshow(values, cmap="magma", vmin=0), ax=ax, shrink=0.8)
titles = ["HR", "standard deviation of the samples", "true error of the mean"]
for ax, title in zip(axes, titles, strict=True):
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Can the map be trusted? We sort the blocks by their standard deviation into five groups. For a calibrated map, the points lie on
# the diagonal: where the samples have a standard deviation of 0.05, the mean is wrong by 0.05.


# %%
def calibration(predicted, true):
    groups = np.array_split(predicted.ravel().argsort(), 5)
    predicted_rms = [np.sqrt(np.mean(predicted.ravel()[g] ** 2)) for g in groups]
    true_rms = [np.sqrt(np.mean(true.ravel()[g] ** 2)) for g in groups]
    correlation = np.corrcoef(predicted.ravel(), true.ravel())[0, 1]
    return predicted_rms, true_rms, correlation


predicted_rms, true_rms, correlation = calibration(predicted_error, true_error)
fig, ax = plt.subplots(figsize=(4.2, 3), layout="constrained")
ax.plot(predicted_rms, true_rms, "o-", label=name)
ax.plot([0, 0.09], [0, 0.09], "k--", linewidth=1, label="calibrated")
ax.set(xlabel="standard deviation of the samples", ylabel="true error of the mean")
ax.legend(frameon=False, fontsize=8)
plt.show()
print(f"correlation of the two maps: {correlation:.2f}")

# %% [markdown]
# On average the order is right: groups of blocks whose samples differ more have larger errors. (The two maps above have different
# colour scales.) The predicted size of the errors is wrong, because the line is steeper than the diagonal. Where the mean is
# nearly right, the samples still differ by the grain that they have on smooth areas. Single blocks can be misjudged as well: the
# whiskers and the highlight of the eye have some of the largest errors and do not stand out in the map.
#
# So this map shows in which regions to be more careful, but not how large an error is. In the synthetic world of the disc, the
# same method gave a nearly correct map.

# %% [markdown]
# ## Optional: raise β
#
# How many nats does `z` contain for this photo? The encoder tells us. With the `z` of the encoder, the decoder shows what it
# could do if it knew which of all answers is the true one.


# %%
def report(label):
    """Prints how much `z` contains, and what the samples and their map are worth."""
    lr_batch, hr_batch = tf.constant(lr[None]), tf.constant(hr[None])
    z, log_variance = encoder([lr_batch, hr_batch])
    kl = float(tf.reduce_mean(kl_divergence(z, log_variance)))
    with_posterior = measured(decoder([lr_batch, z])[0].numpy())[0]
    draws = vae.sample(lr[None], num_samples=4, seed=0)[:, 0]
    at_zero = vae.sample(lr[None], temperature=0.0)[0, 0]
    gap = measured(at_zero)[0] - np.mean([measured(draw)[0] for draw in draws])
    std = sample_std(draws[:, None])[0]
    error = np.sqrt(((at_zero - hr) ** 2).mean(axis=-1))
    *_, correlation = calibration(blocks(std), blocks(error))
    print(
        f"{label}: KL {kl:.1f} nats, z of the encoder {with_posterior:.1f} dB, z = 0"
        f" {measured(at_zero)[0]:.1f} dB; a sample loses {gap:.1f} dB, sample std"
        f" {std.mean():.3f}, correlation {correlation:.2f}"
    )
    return kl, gap


before = report("as shipped")

# %% [markdown]
# A nat is 1.44 bits, so for each LR pixel `z` contains almost ten bits, not one as in our synthetic world. They are useful: with
# the encoder's `z`, the decoder is 6 dB better than with `z = 0`. But without the HR image nobody knows that `z`, and a random
# one loses more than 3 dB. (The correlation is lower than above, because it is computed from 4 samples only.)
#
# A gap of more than 3 dB means that the samples vary too much. For this photo, β was too low. We multiply it by four, and
# continue the training of both networks on the six photos. **Predict:** what will happen to KL, to the gap and to the map?

# %%
patches = sr.pipeline.training_batches(photos, lr_patch_size=16, batch_size=4)
vae.compile(keras.optimizers.Adam(5e-4), kl_weight=4 * recipe["kl_weight"])
for i in range(here.raises):
    vae.fit(patches, steps_per_epoch=25, verbose=0)
    after = report(f"{25 * (i + 1):3} steps")
assert after[0] < before[0] and after[1] < before[1]

# %% [markdown]
# KL, the sample standard deviation and the gap fall together within 25 steps. With this β, `z` keeps only the information that
# reduces the error most. Now the gap is below 3 dB, and the samples vary too little. The correlation rises only slightly, because
# the gap measures how *much* samples vary, and the correlation whether they do so in the right places.
#
# The right β lies between the two values. No single number finds it. Look at KL (is `z` used?), the gap (do samples vary as much
# as photos?), LR-PSNR (do samples agree with the LR image?) and the map (do they vary in the right places?).

# %% [markdown]
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** The encoder returns the mean 2 and the standard deviation 0.1. How many *bits* does this `z` cost? Hint: the
# formula is in nats and uses the variance.

# %%
answer = None  # in bits

sr.course.check(answer, "11.1")

# %% tags=["solution"]
# @title Solution 1
answer = 0.5 * (2**2 + 0.01 - 1 - np.log(0.01)) / np.log(2)
nats = float(kl_divergence(2 * one, np.log(0.01) * one)[0, 0, 0])
np.testing.assert_allclose(nats / np.log(2), answer, rtol=1e-4)
sr.course.check(answer, "11.1")
print(f"{answer:.2f} bits, to convey one bit: far too expensive")

# %% [markdown]
# **Exercise 2.** The true answers have a standard deviation of 0.06 around their mean. The samples of a network have one of 0.03
# around the same mean, and they are independent of the truth. By how many dB is a sample worse than the mean?

# %%
answer = None  # in dB

sr.course.check(answer, "11.2")

# %% tags=["solution"]
# @title Solution 2
# The errors are 0.06**2 for the mean, and 0.06**2 + 0.03**2 for a sample.
answer = 10 * np.log10((0.06**2 + 0.03**2) / 0.06**2)
sr.course.check(answer, "11.2")
print(f"{answer:.2f} dB. With a standard deviation of 0.06 it would be 3.01 dB.")

rng = np.random.default_rng(0)  # the same by simulation
truths, draws = 0.06 * rng.normal(size=10**6), 0.03 * rng.normal(size=10**6)
simulated = 10 * np.log10(np.mean((truths - draws) ** 2) / np.mean(truths**2))
np.testing.assert_allclose(answer, simulated, atol=0.02)

# %% [markdown]
# **Exercise 3.** What should the PSNR of the mean of `n` samples be in the world of two answers, for `n` from 1 to 64? Predict it
# with a formula, then measure it with `world_vae`, which was trained on the mixtures in the meantime, on `test_lr` and `test_hr`.
#
# Hint: the mean of `n` independent samples has 1/n of their variance.

# %%
counts = (1, 2, 4, 16, 64)
predicted = None  # five numbers, in dB

# %% tags=["solution"]
# @title Solution 3
truth_variance = 0.25**2
predicted = [-10 * np.log10(truth_variance * (1 + 1 / n)) for n in counts]
draws = world_vae.sample(test_lr, num_samples=64, seed=5)
# the measured PSNR is higher as long as these samples vary less than the truth
for n, value in zip(counts, predicted, strict=True):
    error = np.mean((draws[:n].mean(axis=0) - test_hr) ** 2)
    psnr = -10 * np.log10(error)
    print(f"n = {n:2}: predicted {value:.2f} dB, measured {psnr:.2f} dB")

# %% [markdown]
# **Exercise 4.** Train two more `GlyphVAE`s without annealing, with β = 1 and with β = 18 from the first step to the last, for
# half as many steps. How many nats do their `z` contain? How far is the share of Bs in their samples from the exact probability?
# Explain both. Hint: `keras.models.clone_model` copies a network with new weights, and `beta` is a function of the step.

# %%
own = None  # your samples, for each value of β


# %% tags=["solution"]
# @title Solution 4
def train_with_constant(value):
    copies = [keras.models.clone_model(net) for net in (glyph_encoder, glyph_decoder)]
    model = GlyphVAE(*copies, beta=lambda step: value)
    logs = train_glyph_vae(model, here.glyph_steps // 2)
    images = sample_glyphs(model.decoder, glyph_lr, 64)
    share = is_b[read(images)[0]].mean(axis=0)
    off = np.abs(share - chance_of_b).mean()
    print(f"β = {value}: KL {logs['kl'][-1]:.2f} nats, share of Bs off by {off:.2f}")
    return images


off = np.abs(share_of_b - chance_of_b).mean()
print(f"annealed: KL {curves['kl'][-1]:.2f} nats, share of Bs off by {off:.2f}")
own = {value: train_with_constant(value) for value in (1.0, 18.0)}
rows, left = [], []
for value, images in own.items():
    for i in (order[-1], unsure[0]):
        rows.append([glyph_lr[i], glyph_hr[i], *images[:5, i]])
        left.append(f"β = {value:.0f}\nP(B) = {chance_of_b[i]:.2f}")
show_rows(rows, left, ["LR", "HR", *[f"sample {k + 1}" for k in range(5)]])

# %% [markdown] tags=["solution"]
# With β = 1, `z` contains 2.95 nats, more than ln 6. It identifies the image on its own, so the decoder relies less on the LR
# image, and a random `z` may decode to the wrong character even where the LR image is clear. With β = 18 from the beginning, KL
# is 0. This is posterior collapse: all samples are equal, and show the mean. Its share of Bs is off by only 0.10, because most LR
# images are clear and the program counts the one answer as an 8 or a B. The share does not reveal the collapse. KL does.

# %% [markdown]
# **Exercise 5.** Above which β is a collapsed posterior the best solution in the world of two answers, even for a perfectly
# trained network? Let `z` contain only a little information: the posterior has the mean `a` for a bright left side and `-a` for a
# dark one, and the variance `1 - a**2`. The best linear decoder then reduces the error of 0.0625 by `0.0625 * a**2`. Find the β
# above which `a = 0` is best. It is *not* 0.0625 / ln 2. Why?

# %%
answer = None  # the largest useful kl_weight

sr.course.check(answer, "11.5")

# %% tags=["solution"]
# @title Solution 5
# KL = -log(1 - a**2) / 2, about a**2 / 2 for a small a. So a little information costs
# beta * a**2 / 2 and saves 0.0625 * a**2: worthwhile for beta below 2 * 0.0625.
answer = 2 * 0.0625
sr.course.check(answer, "11.5")
a = np.linspace(0.001, 0.999, 999)
saved, kl = 0.0625 * a**2, -0.5 * np.log(1 - a**2)
for kl_weight in (0.02, 0.08, 0.1, 0.12, 0.13):
    loss = 0.0625 - saved + kl_weight * kl
    print(f"kl_weight {kl_weight}: best a = {a[loss.argmin()]:.2f}")

# %% [markdown] tags=["solution"]
# So 0.0625 / ln 2, about 0.09, answers whether a *whole* bit is worthwhile. A small part of it is worthwhile up to 0.125, because
# the first hundredth of a nat reduces the error more than the last. (KL is convex in `a**2`, so a small `a` decides.)

# %% [markdown]
# ## Summary
#
# - Many HR images fit one LR image. Under the squared error their mean is the best answer, and it is blurred.
# - A sample from the true distribution has twice the squared error of the mean, which is 3 dB, because the variances of sample
#   and truth add up. A larger gap means that the samples differ too much.
# - A conditional VAE puts what the LR image does not contain into `z`. The reparameterization trick makes it trainable, and the
#   loss is the negative ELBO: reconstruction error plus β times KL.
# - If β is too high, the posterior collapses: KL is 0, and all samples are equal. If β is too low, `z` contains more than draws
#   from the prior can replace, and samples are noise or ignore the LR image.
# - Where the exact posterior is known, compare the probabilities. Here the shares of 8s and Bs agreed with them on average, but
#   not for each single image.
# - With one `z` per image, most samples were an 8 or a B. With one `z` per LR pixel, our decoders often made no common decision,
#   and the samples of photos differ in their grain.
# - Samples are guesses. Compare their standard deviation with true errors, and check their agreement with the LR image, before
#   you rely on either.
#
# ## Further reading
#
# - Kingma and Welling, [Auto-encoding variational Bayes](https://arxiv.org/abs/1312.6114), 2013: the VAE and the
#   reparameterization trick.
# - Sohn, Lee and Yan, [Learning structured output representation using deep conditional generative
#   models](https://papers.nips.cc/paper/5775), 2015: the conditional VAE.
# - Higgins and others, [beta-VAE](https://openreview.net/forum?id=Sy2fzU9gl), 2017.
# - Bowman and others, [Generating sentences from a continuous space](https://arxiv.org/abs/1511.06349), 2015: posterior collapse,
#   and annealing against it.
# - Alemi and others, [Fixing a broken ELBO](https://arxiv.org/abs/1711.00464), 2017: β as a trade-off between rate and
#   distortion.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why better-looking answers
#   score lower, and why at most 3 dB have to be given up.
# - Lugmayr and others, [SRFlow: learning the super-resolution space with normalizing flow](https://arxiv.org/abs/2006.14200),
#   2020: sampling with another kind of network, and LR-PSNR.
# - Saharia and others, [Image super-resolution via iterative refinement](https://arxiv.org/abs/2104.07636), 2021: sampling with a
#   diffusion model (SR3).
