# %% [markdown]
# # 11. A VAE: many answers to one question
#
# Why the mean of all answers is blurred, how latent variables choose one answer, and what samples tell of what nobody can know.
#
# **You will be able to**
#
# - explain why one best answer is blurred, and why a sharp sample costs 3 dB of PSNR;
# - write the loss of a conditional VAE: the reparameterization trick and the KL divergence, in a line each;
# - train a VAE, and recognize a collapse in its numbers;
# - sample HR images, map where they differ, and check that map against the true error;
# - test whether a sample still agrees with the photo it was made of.
#
# **You need** lesson 1 (degradation, PSNR) and lesson 5 (networks that enlarge at the end). What a normal distribution is should be familiar.
#
# **Time:** 3 minutes of computing on two CPU cores (measured), 1.5 minutes on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/11_vae.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/11_vae.py) · Previous: [10. GANs: a network that judges](10_gans.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/10_gans.ipynb)) · Next: [12. Measuring quality](12_quality.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/12_quality.ipynb)) · [All lessons](README.md)

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
    world_steps=(300, 600, 1000),
    mixed_steps=(300, 800, 1500),
    trial_steps=(40, 400, 400),
    samples=(4, 16, 32),
    raises=(0, 4, 8),
)

# %% [markdown]
# ## Many HR patches, one LR patch
#
# Lesson 1 counted how many HR images share one LR image. Most of them are noise. Are there several in real photos? We collect all windows
# of 3 x 3 LR pixels from six photos, each with its 12 x 12 HR pixels.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from sr_keras.training.vae import VAE, kl_divergence, spread

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
# Brightness should not matter: a brighter HR window has a brighter LR window, and nothing else changes. So we take the mean of the LR
# window from both. Then we look for the 40 windows most like one of them, an edge that was chosen by hand.

# %%
level = small.mean(axis=(1, 2), keepdims=True)
small, large = small - level, large - level
edge = 230_932
distance = np.abs(small - small[edge]).max(axis=(1, 2))
alike = distance.argsort()[:40]


def deviation(windows):
    return 255 * np.sqrt(windows.var(axis=0).mean())


print(f"from dark to bright, in LR: {255 * np.ptp(small[edge]):.0f} of 255 grey levels")
print(f"largest difference to any of the 40: {255 * distance[alike[-1]]:.0f}")
print(
    f"deviation in LR {deviation(small[alike]):.1f}, in HR {deviation(large[alike]):.1f}"
)

# %% [markdown]
# **Predict:** the LR windows in the upper row are nearly equal. Will the HR windows below them be nearly equal too? And what will the
# mean of all 40 look like?


# %%
def rows_of_windows(top, bottom, titles):
    fig, axes = plt.subplots(2, len(titles), figsize=(9, 2.9), layout="constrained")
    for column, title in zip(axes.T, titles, strict=True):
        column[0].set_title(title, fontsize=10)
    span = np.abs(bottom).max()
    for ax, window in zip(axes.flat, [*top, *bottom], strict=True):
        ax.imshow(window, cmap="gray", vmin=-span, vmax=span)
        ax.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("LR")
    axes[1, 0].set_ylabel("HR")
    plt.show()


shown = [0, 5, 10, 15, 20, 25, 30]
rows_of_windows(
    [*small[alike[shown]], small[alike].mean(axis=0)],
    [*large[alike[shown]], large[alike].mean(axis=0)],
    [f"no. {i + 1}" for i in shown] + ["mean of 40"],
)

# %% [markdown]
# Above, one edge many times: its pixels scatter by 4 of 255 grey levels. Below, by 15: stripes, soft edges, an oblique one, dark blots.
# Their mean has the coarse shape they share. What they do not share is gone: it is blurred.
#
# ## The best answer is blurred, and the sharp ones lose 3 dB
#
# A network that sees such an LR window must answer something. **Predict:** which answer has the smallest squared error, over all 40: the
# mean, or one of the 40 themselves?

# %%
answers = large[alike]
mean_answer = answers.mean(axis=0)
error_of_mean = np.mean((answers - mean_answer) ** 2)
others = [np.delete(answers, i, axis=0) for i in range(40)]  # all but the answer
errors = [np.mean((o - answer) ** 2) for o, answer in zip(others, answers, strict=True)]
print(f"the mean: {-10 * np.log10(error_of_mean):.2f} dB")
print(f"one of the 40: {-10 * np.log10(np.mean(errors)):.2f} dB", end=", ")
print(f"the best of them: {-10 * np.log10(min(errors)):.2f} dB")
assert error_of_mean < min(errors)

# %% [markdown]
# The mean wins against each. No accident: the mean's error is the variance of the answers. A second answer, drawn like the true one, is
# off by *its* variance as well. Twice the error is `10 log10(2)`, or 3.01 dB (a little more here, since the mean saw all 40).
#
# So a network trained on squared error answers with the mean, and is blurred *because* it is good at its task. To see single answers, we
# need a network that can give more than one.
#
# ## A world with two answers
#
# To check what a network learns, we want to know the truth. In this world each LR pixel is grey, and stands for a tile of 4 x 4 pixels
# that is bright either on its left or on its right.


# %%
def world(generator, count, size):
    """Returns `count` HR images of `size x size` tiles, in one channel."""
    left = np.where(np.arange(4) < 2, 0.75, 0.25) * np.ones((4, 1))
    kinds = np.stack([left, 1 - left])
    which = generator.integers(2, size=(count, size, size))
    tiles = kinds[which].transpose(0, 1, 3, 2, 4)  # tile row, row in it, ...
    return tiles.reshape(count, 4 * size, 4 * size, 1).astype("float32")


generator = np.random.default_rng(0)
hr_world = world(generator, 3, 6)
lr_world = sr.degradations.Downscale(4, "area")(hr_world)
print("LR", lr_world.shape, "from", lr_world.min(), "to", lr_world.max())

# %%
fig, axes = plt.subplots(1, 4, figsize=(9, 2.5), layout="constrained")
pictures = [*hr_world, lr_world[0]]
titles = ["HR 1", "HR 2", "HR 3", "LR of each of them"]
for ax, picture, title in zip(axes, pictures, titles, strict=True):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# LR says nothing, and one bit per LR pixel is missing: left or right. **Predict:** what is the PSNR of the mean of all answers, a grey
# image? And of an image with random tiles?

# %%
other = world(generator, 400, 6)
truth = world(generator, 400, 6)
for name, answer in (("grey", np.full_like(truth, 0.5)), ("random tiles", other)):
    error = np.mean((truth - answer) ** 2)
    print(f"{name}: squared error {error:.4f}, PSNR {-10 * np.log10(error):.2f} dB")

# %% [markdown]
# Grey is always off by 0.25. Random tiles are right half of the time and off by 0.5 else: twice the squared error. The 3 dB again, and
# here everyone can see which of the two looks like the world.
#
# ## A variable for what LR does not say
#
# Give the network a second input, `z`: numbers that choose the answer. In training an *encoder* reads them from HR; later they are drawn
# at random. That is a *conditional variational autoencoder* (VAE).
#
#     training:  (lr, hr) -> encoder -> mean, variance -> z -> decoder(lr, z) -> compare with hr
#     use:            random numbers, normal (0, 1)    -> z -> decoder(lr, z) -> one answer

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
# One `z` for each LR pixel (for photos the package takes 8). The encoder does not say `z` itself, but a normal distribution for it: a
# mean and the logarithm of a variance, which may be any number.
#
# ## Learning through a random number
#
# `z` is drawn from that distribution. But a drawn number has no gradient:

# %%
mean, log_variance = tf.Variable(0.5), tf.Variable(-1.0)
with tf.GradientTape() as tape:
    deviation = np.exp(0.5 * log_variance.numpy())
    z = np.random.default_rng(0).normal(mean.numpy(), deviation, 100_000)
    loss = tf.reduce_mean((z - 3.0) ** 2)
print("gradients:", tape.gradient(loss, [mean, log_variance]))

# %% [markdown]
# None: numpy's generator is a box without a way back. The *reparameterization trick* draws the noise outside, from a distribution that
# never changes, and computes `z` of it. **Predict:** the mean of `(z - 3)**2` is `(mean - 3)**2 + variance`; what are its
# gradients, for the mean and for the log variance?

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
# Equal, up to chance. One line, and encoder and decoder can be trained together.
#
# ## What z costs
#
# If `z` could say anything, the encoder would pack the whole image into it, and random numbers would decode to noise. So what `z` says
# has a price: how far its distribution is from the one we will draw from. That is the *Kullback-Leibler divergence* (KL).

# %%
mean, variance = 1.0, 0.25
by_hand = 0.5 * (mean**2 + variance - 1 - np.log(variance))

z = mean + np.sqrt(variance) * noise.numpy()  # draws from the encoder's
log_q = -0.5 * ((z - mean) ** 2 / variance + np.log(variance))
log_p = -0.5 * z**2  # both without log(2 pi) / 2
drawn = np.mean(log_q - log_p)

one = np.ones((1, 1, 1, 1), "float32")  # one image, one pixel, one channel
package = kl_divergence(mean * one, np.log(variance) * one)
np.testing.assert_allclose(by_hand, package[0, 0, 0], atol=1e-6)
np.testing.assert_allclose(by_hand, drawn, atol=0.02)
print(f"formula {by_hand:.4f}, as a mean over draws {drawn:.4f} nats")

# %% [markdown]
# With `q` for the encoder's distribution and `p` for the one we will draw from, KL is the mean of `log q - log p` over draws of `q`; for
# normal distributions the mean has a formula. Its unit is the nat: 1 bit is `ln 2`, about 0.693 nats.
#
# In our world the encoder can tell left from right by two distributions, of opposite means. **Predict:** which of these three choices is
# expensive, and which makes random draws useless?

# %%
x = np.linspace(-3.5, 3.5, 400)
fig, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained", sharey=True)
for ax, (m, s) in zip(axes, ((0, 1), (0.8, 0.6), (2, 0.1)), strict=True):
    cost = 0.5 * (m**2 + s**2 - 1 - np.log(s**2))
    for sign, color in ((-1, "#0072B2"), (1, "#D55E00")):
        density = np.exp(-0.5 * ((x - sign * m) / s) ** 2) / s / np.sqrt(2 * np.pi)
        ax.plot(x, density, color=color, label="left" if sign < 0 else "right")
    prior = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    ax.plot(x, prior, "k--", linewidth=1, label="what we draw from")
    ax.set_title(f"mean ±{m}, deviation {s}\nKL {cost:.2f} nats", fontsize=10)
    ax.set(xlabel="z", ylim=(0, 1.5))
axes[0].set_ylabel("density")
axes[0].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# The first costs nothing and says nothing. The third says it very surely (its peaks leave the picture), but a random draw almost never
# falls where the decoder has learned anything. The one in the middle tells most of it, cheaply, and together the two curves fill the
# dashed one.
#
# ## One step by hand
#
# The loss has three terms: the error with `z` from the encoder, a price for each nat, and, with half the weight, the error with `z = 0`,
# so that the decoder also learns the mean of all answers. The package's `VAE` computes the same:

# %%
price = 0.01
world_vae = VAE(encoder, decoder)  # its noise of step 0 has the seed (0, 0)
world_vae.compile(keras.optimizers.Adam(3e-3), loss="l2", kl_weight=price)

mean, log_variance = encoder([lr_world, hr_world])
noise = tf.random.stateless_normal(mean.shape, seed=(0, 0))
z = mean + tf.exp(0.5 * log_variance) * noise
reconstruction = tf.reduce_mean((hr_world - decoder([lr_world, z])) ** 2)
average = tf.reduce_mean((hr_world - decoder([lr_world, 0 * z])) ** 2)
kl = 0.5 * tf.reduce_mean(mean**2 + tf.exp(log_variance) - 1 - log_variance)
by_hand = reconstruction + 0.5 * average + price * kl

logs = world_vae.train_on_batch(lr_world, hr_world, return_dict=True)
np.testing.assert_allclose(by_hand, logs["loss"], rtol=1e-4)
print({name: round(float(value), 4) for name, value in logs.items()})

# %% [markdown]
# Equal. `mean_loss` is the error with `z = 0`, `reconstruction_loss` that with `z` from the encoder. Now it trains. **Predict:** where
# will `kl` end, in nats per LR pixel, if `z` is to tell left from right?


# %%
def batches_of_the_world():
    generator = np.random.default_rng(1)
    while True:
        yield np.full((16, 6, 6, 1), 0.5, "float32"), world(generator, 16, 6)


signature = tf.TensorSpec((16, 6, 6, 1)), tf.TensorSpec((16, 24, 24, 1))
batches = tf.data.Dataset.from_generator(
    batches_of_the_world, output_signature=signature
)
rounds = here.world_steps // 10
history = world_vae.fit(batches, steps_per_epoch=10, epochs=rounds, verbose=0).history

# %%
steps = 10 * np.arange(1, rounds + 1)
fig, axes = plt.subplots(1, 2, figsize=(9, 2.7), layout="constrained")
axes[0].plot(steps, history["mean_loss"], label="with z = 0")
axes[0].plot(steps, history["reconstruction_loss"], label="with z from the encoder")
axes[0].axhline(0.0625, color="0.4", linestyle="--", label="grey: 0.0625")
axes[0].set(xlabel="steps", ylabel="squared error", ylim=(0, 0.15))
axes[1].plot(steps, history["kl"], color="#009E73", label="KL")
axes[1].axhline(np.log(2), color="0.4", linestyle="--", label="one bit: ln 2")
axes[1].set(xlabel="steps", ylabel="nats per LR pixel", ylim=(0, None))
for ax in axes:
    ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# With `z = 0` the error stays at that of grey: nobody can do better. With `z` it falls far below. Early on KL drops nearly to 0,
# since the decoder has no use for `z` yet. Then it rises above one bit, as it must: whoever tells left from right has told a bit.

# %%
grey = np.full((1, 6, 6, 1), 0.5, "float32")
answers = world_vae.sample(grey, num_samples=3, seed=1)[:, 0]
pictures = {"temperature 0": world_vae.sample(grey, temperature=0.0)[0, 0]}
pictures.update({f"sample {i + 1}": image for i, image in enumerate(answers)})
sr.plotting.comparison(
    pictures,
    crop=(0, 0, 24, 24),
    whole=False,
    columns=4,
    title="From one grey LR image",
)

# %% [markdown]
# Temperature is a factor on the random `z`: 0 makes the mean, 1 draws as the price foresees. The mean is grey; the samples are three
# different images, whose tiles are bright on one side. Not all tiles are pure: `z` is continuous, and between left and right lies grey.
# Do the scores behave as predicted?

# %%
test_hr = world(np.random.default_rng(2), 8, 16)
test_lr = np.full((8, 16, 16, 1), 0.5, "float32")
scores = world_vae.evaluate(test_lr, test_hr, verbose=0, return_dict=True)
for name in ("psnr_mean", "psnr_sample"):
    print(f"{name}: {scores[name]:.2f} dB")
print(f"spread: {scores['spread']:.3f}, KL: {scores['kl']:.2f} nats per LR pixel")
samples = world_vae.sample(test_lr, seed=3)[0]
again = sr.degradations.Downscale(4, "area")(samples)
print(f"LR of the samples: off by {np.abs(again - 0.5).mean():.3f} (mean)")
assert scores["psnr_mean"] > scores["psnr_sample"] + 1

# %% [markdown]
# *Spread* is the standard deviation of the samples at a pixel; in the true world it is 0.25, and here nearly so. A sample loses not quite
# 3 dB to the mean, since samples vary a little less than the truth. And each sample, scaled down, is nearly the grey LR image again: they
# agree with the input.
#
# ## Where the network is unsure
#
# Now a world that is not unsure everywhere. Dark LR pixels stand for plain dark tiles; grey ones for left or right, as before. The same
# VAE trains on, on random mixtures of both.


# %%
def mixed(generator, unsure):
    """Returns LR and HR images that are unsure where `unsure` is True."""
    hr = world(generator, len(unsure), unsure.shape[1])
    lr = np.where(unsure, 0.5, 0.1).astype("float32")[..., None]
    sure = ~unsure.repeat(4, axis=1).repeat(4, axis=2)[..., None]
    return lr, np.where(sure, np.float32(0.1), hr)


def mixed_batches():
    generator = np.random.default_rng(4)
    while True:
        yield mixed(generator, generator.integers(2, size=(16, 6, 6)) == 1)


more = tf.data.Dataset.from_generator(mixed_batches, output_signature=signature)
history_mixed = world_vae.fit(more, steps_per_epoch=here.mixed_steps, verbose=0)

# %% [markdown]
# **Predict:** an LR image with a grey disc on dark ground. What do two samples have in common? Where is their spread large, and where
# does the encoder spend its nats?

# %%
y, x = np.mgrid[:14, :14] - 6.5
lr_disc, hr_disc = mixed(np.random.default_rng(5), (y**2 + x**2 < 25)[None])
draws = world_vae.sample(lr_disc, num_samples=32, seed=6)
told = kl_divergence(*encoder([lr_disc, hr_disc]))[0].numpy()
map_of_spread = spread(draws)[0]

fig, axes = plt.subplots(2, 3, figsize=(8, 5.2), layout="constrained")
pictures = {"LR": lr_disc[0], "HR": hr_disc[0], "sample 1": draws[0, 0]}
pictures.update({"sample 2": draws[1, 0], "spread": map_of_spread, "KL (nats)": told})
for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=True):
    is_map = picture.ndim == 2
    if is_map:
        fig.colorbar(ax.imshow(picture, cmap="magma", vmin=0), ax=ax, shrink=0.8)
    else:
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
in_disc = lr_disc[0, ..., 0] > 0.4
spread_in_disc = map_of_spread[np.kron(in_disc, np.ones((4, 4))) > 0]
spread_outside = map_of_spread[np.kron(in_disc, np.ones((4, 4))) == 0]
inside, outside = spread_in_disc.mean(), spread_outside.mean()
print(f"spread: {inside:.3f} in the disc, {outside:.3f} outside")
inside, outside = told[in_disc].mean(), told[~in_disc].mean()
print(f"KL: {inside:.2f} nats in the disc, {outside:.2f} outside")
assert spread_in_disc.mean() > 1.2 * spread_outside.mean()

# %% [markdown]
# The samples share what LR says, the disc, and differ where it says nothing. The spread is a map of what cannot be known. The nats are
# spent in the same places.
#
# ## The price decides
#
# In this world, a `z` that tells left from right saves 0.0625 of squared error, and costs at least `ln 2` nats. **Predict:** from which
# price (`kl_weight`) on does that no longer pay? What will the network do then?

# %%
# prices, and the steps in which they grow from 0
tried = [(0.003, 0), (0.03, 0), (0.03, 300), (0.2, 100)]
if here.fast:
    tried = [(0.2, 0)]
trials = [{"price": 0.01, "annealing": 0, **scores, "curve": history["kl"]}]
for price, annealing in tried:
    keras.utils.set_random_seed(1)
    trial = VAE(
        sr.models.vae_encoder(4, **options), sr.models.vae_decoder(4, **options)
    )
    trial.compile(keras.optimizers.Adam(3e-3), "l2", price, annealing_steps=annealing)
    rounds = here.trial_steps // 10
    logs = trial.fit(batches, steps_per_epoch=10, epochs=rounds, verbose=0).history
    end = trial.evaluate(test_lr, test_hr, verbose=0, return_dict=True)
    row = {"price": price, "annealing": annealing, **end, "curve": logs["kl"]}
    trials.append(row)

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for row in sorted(trials, key=lambda row: (row["price"], row["annealing"])):
    label = f"price {row['price']}" + (", annealed" if row["annealing"] else "")
    line = "--" if row["annealing"] else "-"
    ax.plot(10 * np.arange(1, len(row["curve"]) + 1), row["curve"], line, label=label)
    print(
        f"{label:21} KL {row['kl']:.2f} nats, spread {row['spread']:.3f}, PSNR of the"
        f" mean {row['psnr_mean']:.2f} dB, of a sample {row['psnr_sample']:.2f} dB"
    )
ax.set(xlabel="steps", xlim=(0, here.trial_steps))
ax.set(ylabel="KL, nats per LR pixel", ylim=(0, 3))
ax.legend(frameon=False, fontsize=8)
plt.show()
assert trials[-1]["kl"] < 0.1 < trials[0]["kl"]  # the highest price collapses

# %% [markdown]
# With 0.003 and 0.01, `z` tells its bit (0.01 is the network from above, scored after all its steps; the others trained only as long as
# the curves show). With 0.2 KL ends at 0, and all samples are equal and grey: the *collapse*. No error message
# tells of it, and the PSNR of the mean does not see it either. Look at KL and spread.
#
# At 0.03 `z` should pay, far below 0.0625 / ln 2, or 0.09. And yet it fell silent: at first the decoder cannot use `z`, so that the
# encoder pays for nothing. *Annealing* lets the price grow from 0 (dashed): the decoder learns to use `z`
# while it is cheap. Where the price is too high for good, annealing does not help either.
#
# ## A VAE on photos
#
# Photos miss far more than a bit per LR pixel. The package ships a decoder and its encoder, trained on other photos than those below. How
# long were they trained, and at what price?

# %%
name = "vae-x4-bsds-small"
path = sr.pretrained.find(name)
config = sr.pretrained.describe(path)["config"]
training = sr.pretrained.training_of(path)
recipe = training["recipe"]
print(config)
print(
    f"{recipe['steps']} steps of {recipe['batch_size']} LR patches of {recipe['lr_size']}"
    f" x {recipe['lr_size']}, in {training['seconds'] / 60:.0f} minutes;"
    f" price {recipe['kl_weight']}, annealed over {recipe['annealing_steps']} steps"
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
# **Predict:** a sample should look like a sharp photo of a cat, and score 3 dB less than the mean. Will it? LR-PSNR tells how well an
# answer, scaled down, agrees with the LR image; a competition on such networks asked for 45 dB.


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
    "another one": samples[1],
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
# Temperature 0 is soft, as a mean is (a median, strictly: this one learned with absolute errors). A sample is no sharp cat either: it
# adds a grain, coarser and stronger in the fur than on smooth ground, but no hairs; and the next one has other grain. At half the temperature
# the eye may well like it better than the mean. Move the line with the pointer:

# %%
sr.plotting.slider(
    {"temperature 0": mean, "temperature 1": samples[0]},
    crop=(60, 90, 120, 180),
    zoom=3,
)

# %% [markdown]
# The same in numbers, from temperature 0 to 1:

# %%
temperatures = (0, 0.5, 1) if here.fast else (0, 0.2, 0.4, 0.6, 0.8, 1)
rows = []
for temperature in temperatures:
    few = vae.sample(lr[None], temperature, num_samples=3, seed=1)[:, 0]
    psnr, lr_psnr = np.mean([measured(image) for image in few], axis=0)
    rows.append((psnr, lr_psnr, spread(few[:, None]).mean()))
rows = np.array(rows)
loss = rows[0, 0] - rows[:, 0]
fair = np.interp(10 * np.log10(2), loss, temperatures)
print("PSNR lost to the mean, in dB:", loss.round(1))
print(f"3.01 dB are lost at a temperature of about {fair:.1f}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
names = ("PSNR of a sample (dB)", "LR-PSNR of a sample (dB)", "spread")
for ax, values, label in zip(axes, rows.T, names, strict=True):
    ax.plot(temperatures, values, "o-")
    ax.set(xlabel="temperature", ylabel=label)
axes[0].axhline(
    rows[0, 0] - 10 * np.log10(2), color="0.4", ls="--", label="mean - 3.01"
)
axes[1].axhline(45, color="0.4", ls="--", label="asked for: 45")
axes[1].axhline(measured(bicubic)[1], color="0.7", ls=":", label="bicubic")
error = np.sqrt(np.mean((mean - hr) ** 2))
axes[2].axhline(error, color="0.4", ls="--", label="true error of the mean")
for ax in axes:
    ax.legend(frameon=False, fontsize=8)
plt.show()
assert (np.diff(rows[:, 0]) < 0).all()

# %% [markdown]
# Each step of temperature costs PSNR. Did samples vary as photos do, then at temperature 1 the loss would be 3 dB, and the spread would
# equal the true error of the mean. Here both happen at a somewhat lower temperature: two tests, nearly one verdict. At temperature 1
# this network varies too much, for this photo.
#
# LR-PSNR falls with temperature, but stays far above what was asked for, and above bicubic interpolation: what `z` adds is gone when the
# sample is scaled down again. Each sample is an answer to the question that the LR image asks.
#
# ## Where is it unsure?
#
# The standard deviation of samples is a map: bright where the network says "it could be otherwise". **Predict:** where will that be, and
# where was the mean really wrong?


# %%
def blocks(values):
    """Returns the root mean square in blocks of 8 x 8 pixels."""
    height, width = values.shape[0] // 8, values.shape[1] // 8
    values = values[: 8 * height, : 8 * width].reshape(height, 8, width, 8)
    return np.sqrt((values**2).mean(axis=(1, 3)))


unsure = blocks(spread(samples[:, None])[0])
wrong = blocks(np.sqrt(((mean - hr) ** 2).mean(axis=-1)))
fig, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
axes[0].imshow(hr)
for ax, values in zip(axes[1:], (unsure, wrong), strict=True):
    fig.colorbar(ax.imshow(values, cmap="magma", vmin=0), ax=ax, shrink=0.8)
titles = ("HR", "spread of the samples", "true error of the mean")
for ax, title in zip(axes, titles, strict=True):
    ax.set_title(title, fontsize=10)
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Is the map worth anything? We sort the blocks by their spread into five groups. If the map were true, the points would lie on the
# diagonal: where the samples differ by 0.05, the mean is wrong by 0.05.


# %%
def calibration(unsure, wrong):
    groups = np.array_split(unsure.ravel().argsort(), 5)
    rms = [
        [np.sqrt(np.mean(v.ravel()[g] ** 2)) for g in groups] for v in (unsure, wrong)
    ]
    return rms, np.corrcoef(unsure.ravel(), wrong.ravel())[0, 1]


(told, found), correlation = calibration(unsure, wrong)
fig, ax = plt.subplots(figsize=(4.2, 3), layout="constrained")
ax.plot(told, found, "o-", label=name)
ax.plot([0, 0.09], [0, 0.09], "k--", linewidth=1, label="a true map")
ax.set(xlabel="spread told", ylabel="error found")
ax.legend(frameon=False, fontsize=8)
plt.show()
print(f"correlation of the two maps: {correlation:.2f}")

# %% [markdown]
# The error is large in whiskers and fur, and small in the blurred background, and the map knows it: groups that differ more are wrong by
# more, in the right order. But the line is steeper than the diagonal. Where the mean is nearly right, the samples still differ: that is
# grain on smooth ground. And the whiskers, the largest errors, do not stand out. So one may read from this map where *rather* to doubt,
# and not by how much. In the world of the disc the same method drew a true one.
#
# ## What z tells, and what it should not
#
# How many nats does `z` tell here? The encoder knows. With its `z` the decoder shows what it could do if somebody told it which of all
# answers is the true one.


# %%
def report(label):
    """Prints what `z` tells, and what the samples and their map are worth."""
    lr_batch, hr_batch = tf.constant(lr[None]), tf.constant(hr[None])
    z, log_variance = encoder([lr_batch, hr_batch])
    kl = float(tf.reduce_mean(kl_divergence(z, log_variance)))
    known = measured(decoder([lr_batch, z])[0].numpy())[0]
    draws = vae.sample(lr[None], num_samples=4, seed=0)[:, 0]
    middle = vae.sample(lr[None], temperature=0.0)[0, 0]
    lost = measured(middle)[0] - np.mean([measured(draw)[0] for draw in draws])
    maps = [spread(draws[:, None])[0], np.sqrt(((middle - hr) ** 2).mean(axis=-1))]
    correlation = calibration(*map(blocks, maps))[1]
    print(
        f"{label}: KL {kl:.1f} nats, z of the encoder {known:.1f} dB, z = 0"
        f" {measured(middle)[0]:.1f} dB; a sample loses {lost:.1f} dB, spread"
        f" {maps[0].mean():.3f}, correlation {correlation:.2f}"
    )
    return kl, lost


before = report("as shipped")

# %% [markdown]
# A nat is 1.44 bits: for each LR pixel `z` tells several bits, not one as in our world. They are not idle: with the encoder's `z` the
# decoder is several dB better than with `z = 0`. But nobody will tell it that `z`; a random one loses more than 3 dB.
#
# A gap of more than 3 dB says that samples vary too much: for this photo the price was too low. We make it four times as high, and train both
# networks on, on the six photos (not in FAST mode). **Predict:** what will happen to KL, to the gap, and to the map?

# %%
patches = sr.pipeline.training_batches(photos, lr_size=16, batch_size=4)
vae.compile(keras.optimizers.Adam(5e-4), kl_weight=4 * recipe["kl_weight"])
for i in range(here.raises):
    vae.fit(patches, steps_per_epoch=25, verbose=0)
    after = report(f"{25 * (i + 1):3} steps")
if here.raises:
    assert after[0] < before[0] and after[1] < before[1]

# %% [markdown]
# KL, spread and gap fall together, within 25 steps: at this price `z` tells only what pays most. Now the gap is below 3 dB, and samples vary too
# little. The correlation does not follow: the gap tells how *much* samples vary, the correlation whether they do so in the right places.
#
# So the right price lies between. No single number finds it: look at KL (is `z` used?), the gap (as much as photos vary?), LR-PSNR (still an
# answer to the same question?) and the map (in the right places?). And at no price did this small network draw hairs: what a VAE of its
# size can say of them is their grain.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** The encoder says: mean 2, standard deviation 0.1. How many *bits* does this `z` cost? Hint: the formula is in nats and
# wants the variance.

# %%
answer = None  # in bits

nats = kl_divergence(2 * one, np.log(0.01) * one)
sr.course.check(answer, float(nats[0, 0, 0]) / np.log(2), tolerance=0.01)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
answer = 0.5 * (2**2 + 0.01 - 1 - np.log(0.01)) / np.log(2)
sr.course.check(answer, float(nats[0, 0, 0]) / np.log(2), tolerance=0.01)
print(f"{answer:.2f} bits, to tell one: far too dear")

# %% [markdown]
# **Exercise 2.** The true answers have a standard deviation of 0.06 around their mean, and a network's samples one of 0.03 around the
# same mean, independent of the truth. How many dB is a sample worse than the mean?

# %%
answer = None  # in dB

generator = np.random.default_rng(0)
truths, drawn = 0.06 * generator.normal(size=10**6), 0.03 * generator.normal(size=10**6)
expected = 10 * np.log10(np.mean((truths - drawn) ** 2) / np.mean(truths**2))
sr.course.check(answer, expected, tolerance=0.02)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
# The errors are 0.06**2 for the mean, and 0.06**2 + 0.03**2 for a sample.
answer = 10 * np.log10((0.06**2 + 0.03**2) / 0.06**2)
sr.course.check(answer, expected, tolerance=0.02)
print(f"{answer:.2f} dB. With 0.06 it would be 3.01 dB: gaps tell of the spread.")

# %% [markdown]
# **Exercise 3.** The mean of `n` samples: what should its PSNR be in the world of two answers, from `n = 1` to 64? Predict it by a
# formula, then measure it with `world_vae` on `test_lr` and `test_hr`.
#
# Hint: the mean of `n` independent samples has 1/n of their variance.

# %%
counts = (1, 2, 4, 16, 64)
predicted = None  # five numbers, in dB

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
truth_variance = 0.25**2
predicted = [-10 * np.log10(truth_variance * (1 + 1 / n)) for n in counts]
drawn = world_vae.sample(test_lr, num_samples=64, seed=5)
# measured is higher as long as these samples vary less than the truth
for n, value in zip(counts, predicted, strict=True):
    error = np.mean((drawn[:n].mean(axis=0) - test_hr) ** 2)
    found = -10 * np.log10(error)
    print(f"n = {n:2}: predicted {value:.2f} dB, measured {found:.2f} dB")

# %% [markdown]
# **Exercise 4.** Make a sample agree still better with its LR image, without another network. *Back-projection*: scale it down, and add the bicubic
# enlargement of what is missing in LR. Repeat this a few times. What happens to LR-PSNR, to PSNR, and to the spread?

# %%
projected = None  # your consistent sample

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
down, up = sr.degradations.Downscale(scale), sr.models.bicubic(scale)


def back_project(image, rounds=10):
    for _ in range(rounds):
        image = image + up(lr[None] - down(image)[None])[0].numpy()
    return image


for label, image in (("sample", samples[0]), ("projected", back_project(samples[0]))):
    psnr, lr_psnr = measured(image)
    print(f"{label:9} PSNR {psnr:.2f} dB, LR-PSNR {lr_psnr:.1f} dB")
projected = np.stack([back_project(image) for image in samples[:4]])
# it agrees with LR better, and the grain is still there: LR says nothing of it
before, after = (spread(x[:, None]).mean() for x in (samples[:4], projected))
print(f"spread {before:.4f} -> {after:.4f}")

# %% [markdown]
# **Exercise 5.** Where exactly does the collapse begin? Let `z` tell only a little: mean `a` for a bright left side, `-a` for a dark one,
# variance `1 - a**2`. The best linear decoder then saves `a**2` of the error 0.0625. Find the price above which `a = 0` is best. It is
# *not* 0.0625 / ln 2: why?

# %%
answer = None  # a price

a = np.linspace(0.001, 0.999, 999)
saved, told = 0.0625 * a**2, -0.5 * np.log(1 - a**2)
sr.course.check(answer, np.max(saved / told), tolerance=1e-3)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
# KL = -log(1 - a**2) / 2, about a**2 / 2 for a small a. So a little information costs
# price * a**2 / 2 and saves 0.0625 * a**2: it pays below a price of 2 * 0.0625.
answer = 2 * 0.0625
sr.course.check(answer, np.max(saved / told), tolerance=1e-3)
for price in (0.02, 0.08, 0.1, 0.12, 0.13):
    loss = 0.0625 - saved + price * told
    print(f"price {price}: best a = {a[loss.argmin()]:.2f}")

# %% [markdown]
# So 0.0625 / ln 2, about 0.09, answers whether a *whole* bit pays. A small part of it pays up to 0.125, since the first hundredth of a nat
# saves more than the last.
#
# ## Summary
#
# - Many HR images fit one LR image. In squared error their mean is the best answer, and it is blurred.
# - A sample that is distributed like the truth has twice the error of the mean: 3 dB. A larger gap says that samples differ too much.
# - A conditional VAE puts what LR does not say into `z`. The reparameterization trick lets it learn; KL is the price, in nats.
# - Too high a price: collapse, KL 0, all samples equal. Too low a price: `z` tells more than random draws can replace, and samples are noise.
# - Samples are guesses. Check their spread against true errors, and their agreement with LR, before believing either.
#
# ## Further reading
#
# - Kingma and Welling, [Auto-encoding variational Bayes](https://arxiv.org/abs/1312.6114), 2013: the VAE and the reparameterization trick.
# - Sohn, Lee and Yan, [Learning structured output representation using deep conditional generative
#   models](https://papers.nips.cc/paper/5775), 2015: the conditional VAE.
# - Bowman and others, [Generating sentences from a continuous space](https://arxiv.org/abs/1511.06349), 2015: collapse, and annealing
#   against it.
# - Alemi and others, [Fixing a broken ELBO](https://arxiv.org/abs/1711.00464), 2017: the price as a choice between rate and error.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why better-looking answers score
#   less, and why at most 3 dB are needed.
# - Lugmayr and others, [SRFlow: learning the super-resolution space with normalizing flow](https://arxiv.org/abs/2006.14200), 2020:
#   sampling with another kind of network, and LR-PSNR.
