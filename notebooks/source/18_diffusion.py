# %% [markdown]
# # 18. Diffusion: denoise step by step
#
# How a network that removes a little noise can draw sharp images, one for each answer that the LR
# image allows, and whether it draws them with the right probabilities.
#
# ![From noise to a character: the noisy image and the network's estimate at six times](figures/18_goal.jpg)
#
# *Upper row: noise becomes a character, here an 8. Lower row: the network's
# estimate at that moment. You will write this loop, and compare its answers with the exact ones.*
#
# **You will be able to**
#
# - add noise to an image by a schedule, and say how much of each is left at any time;
# - show that a denoiser is enough to draw samples, and say what it returns for pure noise;
# - write a conditional U-Net and its `train_step`, and train it;
# - sample with DDIM in 50, 20, 5 or 1 steps, and say what is lost with few steps;
# - test whether the samples have the probabilities of the true posterior.
#
# **You need** lesson 11 (many answers, posterior, VAE) and lesson 6 (the U-Net). Lesson 10 shows
# how to write a `train_step`.
#
# **Time:** about 50 minutes to read the core, 50 for the exercises; 2 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/18_diffusion.ipynb) · [Student edition](student/18_diffusion.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/18_diffusion.py) · Previous: [17. Attention and efficient networks](17_efficient.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/17_efficient.ipynb)) · Next: [19. Capstone: the class challenge](19_capstone.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/19_capstone.ipynb)) · [All lessons](README.md)

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
    minutes=(0.9, 2, 2),
    first_steps=(1, 30, 100),
    more_steps=(2, 70, 900),
    eager=(True, False, False),  # a few steps take less time than tracing a graph
    photos=(4, 12, 32),
    draws=(8, 16, 64),
)

# %% [markdown]
# ## Digits that cannot be read with certainty
#
# Lesson 11 compared the samples of a VAE with exact probabilities, for six images and a single
# choice, 8 or B. Now the problem is harder, but every possible HR image is still known:
# hexadecimal digits in three fonts, at 25 positions each.

# %%
import time as clock

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from sr_keras.models.denoiser import TimeEmbedding
from sr_keras.training.diffusion import Diffusion, mix, rates

# %%
names = np.array(list("0123456789ABCDEF"))
drawings, characters = [], []
for font_name in ("DejaVu Sans Mono:bold", "DejaVu Sans:bold", "DejaVu Serif:bold"):
    font = ImageFont.truetype(font_manager.findfont(font_name), 22)
    for digit in names:
        for dx, dy in np.ndindex(5, 5):
            canvas = Image.new("L", (32, 32))
            place = (14 + dx, 14 + dy)
            ImageDraw.Draw(canvas).text(place, digit, 255, font, anchor="mm")
            drawings.append(np.asarray(canvas))
            characters.append(digit)
known = sr.images.to_float(np.stack(drawings))[..., None]  # (1200, 32, 32, 1)
digits = np.array(characters)
print(known.shape, "images,", len(names), "digits")

# %% [markdown]
# The LR images are the HR images scaled down by 4, with noise of standard deviation 0.2 added
# (white is 1). All HR images are equally probable.

# %%
scale, noise_level = 4, 0.2
small = sr.degradations.Downscale(scale)(known)  # (1200, 8, 8, 1)


def photograph(chosen, rng):
    """Returns noisy LR images of the images with these numbers."""
    clean = small[chosen]
    return clean + noise_level * rng.standard_normal(clean.shape, "float32")


def show(rows, left=(), above=(), size=1.15):
    """Draws rows of grey images in [0, 1]; whole rows may be LR images."""
    shape = len(rows), len(rows[0])
    figsize = (size * shape[1] + 0.6, size * shape[0] + 0.2)
    fig, axes = plt.subplots(*shape, figsize=figsize, layout="constrained")
    axes = np.reshape(axes, shape)
    for ax, image in zip(axes.flat, [x for row in rows for x in row], strict=True):
        ax.imshow(np.clip(image, 0, 1).squeeze(), cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    for ax, text in zip(axes[:, 0], left, strict=False):
        ax.set_ylabel(text, fontsize=9)
    for ax, text in zip(axes[0], above, strict=False):
        ax.set_title(text, fontsize=9)
    plt.show()


# %% [markdown]
# **Predict:** the upper row has eight digits, and the lower row their LR images. Which of them
# could you read from the lower row alone?

# %%
rng = np.random.default_rng(0)
chosen = rng.integers(0, len(known), 8)
show([known[chosen], photograph(chosen, rng)], left=["HR", "LR"])

# %% [markdown]
# Because there are only 1,200 HR images, the question has an exact answer. By Bayes' rule, the
# probability of the HR image $x_i$ after the LR image $y$ was seen is
#
# $$p(x_i \mid y) = \frac{w_i}{\sum_j w_j}, \qquad w_i = \exp\left(-\frac{\lVert y - \downarrow x_i \rVert^2}{2 \cdot 0.2^2}\right)$$
#
# because the noise is normal and all HR images are equally probable. The probability of a digit
# is the sum over its 75 images.


# %%
def normalized(log_weights):
    """Returns weights that sum to 1 in each row."""
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def log_likelihood(lr):
    """Returns the logarithm of `w` for all images, `(n, 1200)`."""
    difference = lr.reshape(len(lr), 1, -1) - small.reshape(1, len(small), -1)
    return -(difference**2).sum(axis=-1) / (2 * noise_level**2)


def of_digits(weights):
    """Sums the weights of the images of each digit, `(n, 16)`."""
    return np.stack([weights[:, digits == d].sum(axis=1) for d in names], axis=1)


# %% [markdown]
# We make two hundred LR images of the digit 8, and keep the one in which the smaller of the
# probabilities of 8 and B is largest.

# %%
eights = np.flatnonzero(digits == "8")
candidates = photograph(rng.choice(eights, 200), rng)
posterior = of_digits(normalized(log_likelihood(candidates)))
eight, b = (list(names).index(d) for d in "8B")
hardest = np.minimum(posterior[:, eight], posterior[:, b]).argmax()
lr = candidates[hardest : hardest + 1]  # (1, 8, 8, 1)
weights = normalized(log_likelihood(lr))
exact = of_digits(weights)[0]
mean = np.tensordot(weights[0], known, axes=1)  # of all HR images
print(
    {str(d): round(float(p), 2) for d, p in zip(names, exact, strict=True) if p > 0.02}
)

# %% [markdown]
# **Predict:** the network that minimizes the squared error returns the mean of the posterior.
# What does it look like here?

# %%
drawn = known[np.random.default_rng(1).choice(len(known), 6, p=weights[0])]
titles = ["LR", "mean", *(f"sample {i + 1}" for i in range(6))]
show([[lr[0], mean, *drawn]], above=titles)
error = ((known - mean) ** 2).mean(axis=(1, 2, 3)) @ weights[0]
print(f"expected squared error of the mean {error:.4f}, of a sample {2 * error:.4f}")

# %% [markdown]
# The mean looks like a soft 8, in which the straight edge of the B is only faintly visible. The
# samples are sharp, and each could be the truth. Here we can draw them from a table of all
# images. Can a network learn to draw them without the table?
#
# ## From an image to noise
#
# A VAE makes a sample in one step. Diffusion destroys the image with noise, a little at a time,
# and learns to reverse this. Images are now in [-1, 1]. At time $t$ from 0 to 1 the noisy image
# is
#
# $$x_t = \alpha_t\, x_0 + \sigma_t\, \varepsilon, \qquad \alpha_t = \cos\frac{\pi t}{2}, \quad \sigma_t = \sin\frac{\pi t}{2}, \quad \varepsilon \sim N(0, 1)$$
#
# This is the *cosine schedule*, without the small offset of its authors. Since
# $\alpha_t^2 + \sigma_t^2 = 1$ and most pixels are near -1 or 1, the mean square of the pixels
# remains near 1 at all times.


# %%
def schedule(time):
    """Returns how much image and how much noise there is at a time."""
    return np.cos(np.pi / 2 * time), np.sin(np.pi / 2 * time)


times = np.linspace(0, 1, 51)
signal, rate = schedule(times)
np.testing.assert_allclose(rates(times.astype("float32")), [signal, rate], atol=1e-6)
fig, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
ax.plot(times, signal, label="image: α")
ax.plot(times, rate, label="noise: σ")
ax.set(xlabel="time t", ylim=(0, 1.05))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# **Predict:** at which of these times can you still see which digit it is?

# %%
shown_times = (0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1)
image = 2 * known[chosen[2]] - 1
epsilon = np.random.default_rng(2).standard_normal(image.shape)
noisy = []
for time in shown_times:
    signal, rate = schedule(time)
    noisy.append(signal * image + rate * epsilon)
show([[(x + 1) / 2 for x in noisy]], above=[f"t = {t}" for t in shown_times])

# %% [markdown]
# The digit can be recognized until about 0.6 or 0.7, and at time 1 nothing is left of it. Adding
# noise needs no network, but removing it does.
#
# ## A denoiser is all that is needed
#
# Suppose that we had, for any noisy image $x_t$, the best estimate of the clean one: the mean of
# $x_0$ given $x_t$ and the LR image. Then a step back is simple. We estimate the image, compute
# the noise that this implies, and mix the two again for an earlier time $s < t$:
#
# $$\hat{x}_0 = \mathrm{denoise}(x_t, t, y), \qquad \hat{\varepsilon} = \frac{x_t - \alpha_t\, \hat{x}_0}{\sigma_t}, \qquad x_s = \alpha_s\, \hat{x}_0 + \sigma_s\, \hat{\varepsilon}$$
#
# This method is called *DDIM* (denoising diffusion implicit models). It begins with noise at time
# 1 and repeats the step until time 0. The estimate is a mean, but we move towards it only a
# little before we estimate again. By then the noisy image is closer to some answers than to
# others, and the next mean is taken over fewer of them. That this draws from the posterior can be
# proved for infinitely many small steps (Song and others, 2021), and we will test it.


# %%
def ddim(denoise, x, num_steps):
    """Removes noise step by step; returns the result and what was on the way."""
    times, path = np.linspace(1, 0, num_steps + 1), []
    for now, then in zip(times[:-1], times[1:], strict=True):
        signal, rate = schedule(now)
        image = denoise(x, now)
        noise = (x - signal * image) / rate
        path.append((x, image))
        signal, rate = schedule(then)
        x = signal * image + rate * noise
    return x, path


# %% [markdown]
# Here the best estimate can be computed. It is again a weighted mean of the known images, but the
# weights contain a second factor, the likelihood of the noisy image:
# $\exp(-\lVert x_t - \alpha_t x_i \rVert^2 / 2\sigma_t^2)$.

# %%
flat = 2 * known.reshape(len(known), -1) - 1  # in [-1, 1]


def exact_denoiser(lr):
    """Returns the function that knows all 1,200 images and one LR image."""
    from_lr = log_likelihood(lr)

    def denoise(x, time):
        signal, rate = schedule(time)
        noisy = x.reshape(len(x), -1)
        fit = 2 * signal * noisy @ flat.T - signal**2 * (flat**2).sum(axis=1)
        weights = normalized(fit / (2 * rate**2) + from_lr)
        return (weights @ flat).reshape(x.shape)

    return denoise


# %% [markdown]
# **Predict:** we start from 200 different noise images, always with the same LR image, and draw
# twelve of the results. Will they be equal?

# %%
start = np.random.default_rng(3).standard_normal((200, 32, 32, 1))
results, path = ddim(exact_denoiser(lr), start, num_steps=50)
show([(results[:12] + 1) / 2], size=0.8)

# %%
steps = (0, 4, 8, 12, 25, 49)
rows = [[(path[i][part][3] + 1) / 2 for i in steps] for part in (0, 1)]
above = [f"t = {1 - i / 50:.2f}" for i in steps]
show(rows, left=["noisy image", "best estimate"], above=above, size=1.4)

# %% [markdown]
# Every start ends in a sharp digit, although the denoiser itself returns blurred means. At time 1
# its estimate is the mean of the posterior. Then the estimate moves towards the digit that the
# noise happens to resemble, and each step makes the image more similar to it. So the noise at the
# start determines which digit comes out.
#
# Are the digits drawn with the right probabilities? We read each result as the digit of the most
# similar known image. **Predict:** how many of 200 results are an 8 with 50 steps, and how many
# with one step?


# %%
def read(images):
    """Returns the number of the most similar known image; images in [0, 1]."""
    pixels = 2 * np.reshape(images, (len(images), -1)) - 1
    distance = (flat**2).sum(axis=1) - 2 * pixels @ flat.T
    return distance.argmin(axis=1)


def shares(images):
    """Returns which share of the images shows each of the 16 digits."""
    return (digits[read(images)][:, None] == names).mean(axis=0)


for num_steps in (50, 20, 5, 1):
    results, _ = ddim(exact_denoiser(lr), start, num_steps)
    found = shares((results + 1) / 2)
    print(f"{num_steps:2} steps: 8 {found[eight]:.0%}, B {found[b]:.0%}")
print(f"exact:    8 {exact[eight]:.0%}, B {exact[b]:.0%}")

# %% [markdown]
# With 20 steps or more, the shares agree with the posterior up to the chance of 200 draws (about
# 4%). With 5 steps there are too many 8s. With one step all results are the mean, which is read
# as an 8. So a sampler only needs a denoiser, and a network can learn to denoise by regression,
# without a table of images. (The exact denoiser returns training images only. On photos, one
# hopes that the network generalizes.)
#
# ## What the network should predict
#
# The network could predict the image $x_0$ or the noise $\varepsilon$, since each can be computed
# from the other and $x_t$. DDPM (denoising diffusion probabilistic models, 2020) predicts the
# noise. **Predict:** if the noise is wrong by 0.1 per pixel, how wrong is the image at times 0.1,
# 0.5, 0.9 and 0.99?

# %%
for time in (0.1, 0.5, 0.9, 0.99):
    signal, rate = schedule(time)
    wrong = (noisy[0] - rate * 0.1) / signal - noisy[0] / signal
    print(f"t = {time}: the image is wrong by {np.abs(wrong).max():.3f}")

# %% [markdown]
# From $x_0 = (x_t - \sigma_t \varepsilon) / \alpha_t$, the error grows as $\sigma_t / \alpha_t$,
# and at time 1 the image cannot be computed from the noise at all. If the network predicts the
# image, the noise has the same problem near time 0. The *velocity* avoids both (Salimans and Ho,
# 2022):
#
# $$v = \alpha_t\, \varepsilon - \sigma_t\, x_0, \qquad x_0 = \alpha_t\, x_t - \sigma_t\, v, \qquad \varepsilon = \sigma_t\, x_t + \alpha_t\, v$$
#
# An error of 0.1 in $v$ is never more than 0.1 in the image or in the noise. The squared errors
# of $v$ and $\varepsilon$ differ only by the factor $\alpha_t^2$, so the two trainings differ
# only in the weight of each time.

# %%
time = 0.6
signal, rate = schedule(time)
x_t = signal * image + rate * epsilon
velocity = signal * epsilon - rate * image
np.testing.assert_allclose(signal * x_t - rate * velocity, image, atol=1e-6)
np.testing.assert_allclose(rate * x_t + signal * velocity, epsilon, atol=1e-6)
mixed = mix(image[None], epsilon[None].astype("float32"), np.float32([time]))
np.testing.assert_allclose(mixed[0][0], x_t, atol=1e-5)
np.testing.assert_allclose(mixed[1][0], velocity, atol=1e-5)

# %% [markdown]
# ## The network
#
# The denoiser is a U-Net with three inputs: the noisy image, the time, and the LR image, which is
# interpolated and concatenated with the noisy one, as in SR3.
#
# ![Training and sampling of a conditional diffusion model](figures/18_diffusion.svg)
#
# The time is a single number. As in a transformer, it is turned into many by sines and cosines,
# here with frequencies from 1000 down to 0.1, so that the network can distinguish times that are
# close to each other:

# %%
frequencies = 1000 * np.exp(-np.log(10_000) * np.arange(12) / 11)
angles = 0.6 * frequencies
by_hand = np.concatenate([np.sin(angles), np.cos(angles)])
np.testing.assert_allclose(TimeEmbedding(24)(np.float32([0.6]))[0], by_hand, atol=1e-4)

# %% [markdown]
# The residual block is that of DDPM: group normalization (over groups of channels of each image),
# Swish ($x \cdot \mathrm{sigmoid}(x)$, a smooth ReLU) and a convolution, twice. The embedded time
# is added in between, so it can switch features on and off.
#
# ![The residual block](figures/18_block.svg)
#
# *The residual block, drawn from the network by `sr.plotting.diagram`. Keras also calls Swish silu.*


# %%
def normalize(x):
    return layers.Activation("swish")(layers.GroupNormalization(8)(x))


def conv(filters, size=3, **options):
    return layers.Conv2D(filters, size, padding="same", **options)


def residual_block(x, embedding, filters):
    skip = x if x.shape[-1] == filters else conv(filters, 1)(x)
    x = conv(filters)(normalize(x))
    time = layers.Reshape((1, 1, filters))(layers.Dense(filters)(embedding))
    x = layers.Add()([x, time])
    x = conv(filters, kernel_initializer="zeros")(normalize(x))
    return layers.Add()([x, skip])


# %% [markdown]
# Three levels follow, with 24, 48 and 96 channels. To be fast on a CPU, the network treats each
# patch of 2 x 2 pixels as one pixel with four times the channels ("unshuffle").
#
# ![The conditional U-Net](figures/18_unet.svg)
#
# *The conditional U-Net with two of its three levels, drawn from the network. The embedded time
# reaches every residual block. C concatenates channels: first the noisy image and the interpolated
# LR image, later the features of both sides of the U.*

# %%
noisy_input = keras.Input((None, None, 1))
time_input, lr_input = keras.Input(()), keras.Input((None, None, 1))
embedding = layers.Dense(96, activation="swish")(TimeEmbedding(24)(time_input))
interpolated = sr.layers.BicubicUpsampling(scale)(lr_input)
condition = layers.Rescaling(2.0, -1.0)(interpolated)  # in [-1, 1] like the noisy one
x = layers.Concatenate()([noisy_input, condition])
x = conv(24)(sr.layers.PixelUnshuffle(2)(x))
skips = []
for filters in (24, 48):
    x = residual_block(x, embedding, filters)
    skips.append(x)
    x = conv(2 * filters, strides=2)(x)
for _ in range(2):
    x = residual_block(x, embedding, 96)
for filters in (48, 24):
    x = sr.layers.NearestUpsampling(2)(conv(filters, 1)(x))
    x = layers.Concatenate()([x, skips.pop()])
    x = residual_block(x, embedding, filters)
x = conv(4, kernel_initializer="zeros")(normalize(x))
outputs = sr.layers.PixelShuffle(2)(x)
by_hand = keras.Model([noisy_input, time_input, lr_input], outputs)

# %%
options = {"filters": 24, "channels": 1}
shipped = sr.models.denoiser(scale, **options, weights="glyphs-diffusion")
by_hand.set_weights(shipped.get_weights())
inputs = [noisy[4][None].astype("float32"), np.float32([0.7]), lr]
np.testing.assert_allclose(by_hand(inputs), shipped(inputs), atol=1e-4)
print(f"{shipped.count_params():,} weights")

# %% [markdown]
# Both networks give the same result with the shipped weights, which we use later. The package's
# network also pads images of other sizes.
#
# ## The training step
#
# A training step is a regression on synthetic inputs. It draws a time, uniformly from 0 to 1, and
# noise for each image, mixes them, predicts the velocity, and reduces the squared error.


# %%
class ByHand(keras.Model):
    def __init__(self, denoiser, draw):
        super().__init__()
        self.denoiser = denoiser
        self.draw = draw  # returns times and noise

    def train_step(self, data):
        lr, hr = (tf.convert_to_tensor(images) for images in data[:2])
        time, noise = self.draw(hr.shape)
        angle = np.pi / 2 * tf.reshape(time, (-1, 1, 1, 1))
        signal, rate = tf.cos(angle), tf.sin(angle)
        image = 2 * hr - 1
        noisy = signal * image + rate * noise
        velocity = signal * noise - rate * image
        with tf.GradientTape() as tape:
            predicted = self.denoiser([noisy, time, lr], training=True)
            loss = tf.reduce_mean((velocity - predicted) ** 2)
        gradients = tape.gradient(loss, self.denoiser.trainable_variables)
        self.optimizer.apply(gradients, self.denoiser.trainable_variables)
        return {"loss": loss}


# %% [markdown]
# Is this the package's training step? We give both the same weights, times and noise, and compare
# the loss and the weights afterwards.

# %%
model = Diffusion(sr.models.denoiser(scale, **options))


def draw_of_first_step(shape):
    return model.draw(shape, 0)


own = ByHand(by_hand, draw_of_first_step)
by_hand.set_weights(model.denoiser.get_weights())
own.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
batch = photograph(chosen, rng), known[chosen]
losses = [m.train_on_batch(*batch, return_dict=True)["loss"] for m in (own, model)]
np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
pairs = zip(by_hand.get_weights(), model.denoiser.get_weights(), strict=True)
for ours, theirs in pairs:
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
print("loss of both:", np.round(losses, 4))

# %% [markdown]
# ## Training
#
# Now we train the package's model from its random weights, and sample from the same noise after
# some steps. **Predict:** what does the network learn first, the shape of the digits or the
# removal of noise?


# %%
def batches(seed, size=32):
    """Yields `(lr, hr)` without end."""
    rng = np.random.default_rng(seed)
    while True:
        chosen = rng.integers(0, len(known), size)
        yield photograph(chosen, rng), known[chosen]


model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=1.0), run_eagerly=here.eager)
data = batches(seed=4)
test = np.random.default_rng(5).integers(0, len(known), 8)
test_lr = photograph(test, np.random.default_rng(6))
strip, labels = [], []
for more in (0, here.first_steps, here.more_steps):
    if more:
        logs = model.fit(data, steps_per_epoch=more, verbose=0).history
        print(f"{more} steps more: loss {logs['loss'][0]:.3f}")
    strip.append(model.sample(test_lr, num_steps=20, seed=7)[0])
    labels.append(f"{int(model.step) - 1} steps")

# %% [markdown]
# The shipped weights were trained separately, for more steps, with a falling learning rate and an
# exponential moving average of the weights (EMA, which most diffusion models use for sampling),
# by [this script](https://github.com/OWNER/sr_keras/blob/main/examples/glyphs.py).

# %%
trained = Diffusion(shipped)
history = sr.weights.history(sr.weights.find("denoiser-x4-glyphs-diffusion"))
strip.append(trained.sample(test_lr, num_steps=20, seed=7)[0])
labels.append(f"{history['steps']:,} steps")
show([test_lr, *strip, known[test]], left=["LR", *labels, "HR"])

# %% [markdown]
# Without training, the samples are noise. After 30 steps they are brighter where the LR image is
# bright. After 100 steps most of the noise is gone, and the strokes are rough. After 10,000 steps
# the background is black and the strokes are sharp and mostly whole. Six digits are those of HR,
# the 0 became an 8 and the E a C. Both are errors: the exact posterior gives them less than 2%.
# The network first learns roughly where the digit is, then to remove the noise, and last the
# exact strokes. (All 1,200 images were in its training. Only the noise is new.)
#
# ## Fewer steps
#
# The package's `sample` is the loop from above, with the network in place of the exact denoiser.
# It clips the estimate of the image to [-1, 1], so that errors do not grow from step to step.

# %%
start = np.random.default_rng(7).standard_normal((8, 32, 32, 1), "float32")


def denoise(x, time):
    signal, rate = schedule(time)
    inputs = [x.astype("float32"), np.full(len(x), time, "float32"), test_lr]
    return np.clip(signal * x - rate * shipped.predict_on_batch(inputs), -1, 1)


result, path = ddim(denoise, start, num_steps=20)
np.testing.assert_allclose((result + 1) / 2, strip[-1], atol=1e-3)

# %%
steps = (0, 2, 4, 6, 12, 19)
rows = [[(path[i][part][0] + 1) / 2 for i in steps] for part in (0, 1)]
above = [f"t = {1 - i / 20:.2f}" for i in steps]
show(rows, left=["noisy image", "the network's estimate"], above=above, size=1.5)

# %% [markdown]
# Each step calls the network once, so the cost is proportional to the number of steps. (The time
# is for one image in a batch of eight; the batch takes eight times as long.) **Predict:** what is
# lost with 5 steps, and what is left with one?

# %%
rows = [test_lr]
for num_steps in (50, 20, 5, 1):
    rows.append(trained.sample(test_lr, num_steps, seed=7)[0])
left = ["LR", "50 steps", "20 steps", "5 steps", "1 step", "HR"]
show([*rows, known[test]], left=left)

# %%
seconds = []
for _ in range(10):
    began = clock.perf_counter()
    denoise(start, 0.5)
    seconds.append(clock.perf_counter() - began)
call = min(seconds)
print(f"one call of the network for 8 images: {1000 * call:.0f} ms")
print(f"one sample of one image in 50 steps: {1000 * 50 / 8 * call:.0f} ms")

# %% [markdown]
# For this network and these eight starts, 50, 20 and even 5 steps lead to the same digits, with
# one exception: the C of 50 and 20 steps becomes an E with 5. (With the exact denoiser, 5 steps
# gave too many 8s.) One step gives the network's estimate of the mean. It is not always right: in
# the row *1 step*, the D looks like a soft 8, although the exact posterior gives D 90%.
#
# ## Is it the right distribution?
#
# We return to the LR image that could be an 8 or a B, draw many samples from the network, and
# compare the shares of the digits with the exact probabilities. **Predict:** these are 51% and
# 48%. What will the network's shares be?

# %%
count = 6 * here.draws
many = trained.sample(np.repeat(lr, count, axis=0), num_steps=20, seed=8)[0]
found = shares(many)
likely = np.flatnonzero((exact > 0.01) | (found > 0.01))
fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.bar(likely - 0.2, exact[likely], 0.4, label="exact posterior")
ax.bar(likely + 0.2, found[likely], 0.4, label=f"{count} samples of the network")
ax.set(xticks=likely, xticklabels=names[likely], ylabel="probability")
ax.legend(frameon=False)
plt.show()
show([[lr[0], *many[:9]]], size=0.9)
print(f"8: exact {exact[eight]:.0%}, network {found[eight]:.0%}", end="; ")
print(f"B: exact {exact[b]:.0%}, network {found[b]:.0%}")

# %% [markdown]
# The network draws 8 in 43% and B in 51% of its samples, where the posterior has 51% and 48%. So
# it has learned that both are possible, with about equal probability. The remaining 6% are read
# as 0, 6 or D, to which the posterior gives about 1% together. (A sample with a broken stroke
# counts as the most similar digit.) With 96 samples, chance alone moves the shares of 8 and B by
# about 5%. The 6%, however, are errors of the network and not of the number of steps, as the
# exact denoiser showed. (Some samples lie between an 8 and a B, and are read as one of the two,
# so shares alone do not prove that every sample is a possible image. The column *from a glyph*
# below measures that.)
#
# ## Comparison with regression and a VAE
#
# Two other networks solve the same task. Their weights are shipped, too, and were trained by the
# same script. The first is a regression network: the same U-Net at time 1, with zeros as the noisy
# image, trained with the L1 loss. The second is a VAE as in lesson 11, with four latent variables
# per LR pixel.

# %%
zeros_to_image = sr.models.denoiser(scale, **options, weights="glyphs-l1")
regression = sr.models.denoiser_upscaler(zeros_to_image)
sizes = {"filters": 32, "num_blocks": 2, "latent_channels": 4, "channels": 1}
encoder = sr.models.vae_encoder(scale, **sizes, weights="glyphs-vae")
decoder = sr.models.vae_decoder(scale, **sizes, weights="glyphs-vae")
vae = sr.training.VAE(encoder, decoder)

# %% [markdown]
# For several LR images, we draw samples from the diffusion model, the VAE and the table (*exact*),
# and compute the one answer of the regression network.

# %%
rng = np.random.default_rng(11)
photos = rng.integers(0, len(known), here.photos)
lr_set = photograph(photos, rng)
weights = normalized(log_likelihood(lr_set))
table = [known[rng.choice(len(known), here.draws, p=w)] for w in weights]
answers = {
    "exact": np.stack(table, axis=1),
    "diffusion": trained.sample(lr_set, 20, here.draws, seed=12),
    "VAE": vae.sample(lr_set, num_samples=here.draws, seed=13),
    "L1": regression.predict(lr_set, verbose=0)[None],
}
for name, images in answers.items():
    print(f"{name:9} {images.shape}")

# %%
rows, left = [lr_set[:6]], ["LR"]
for name, images in answers.items():
    for i in range(min(2, len(images))):
        rows.append(images[i, :6])
        left.append(name if len(images) == 1 else f"{name} {i + 1}")
show([*rows, known[photos[:6]]], left=[*left, "HR"])

# %% [markdown]
# All networks were trained on batches of 32 images. The table below also has their steps, the
# minutes that these took on two CPU cores, and the calls of the network for one answer.

# %%
files = {
    "diffusion": "denoiser-x4-glyphs-diffusion",
    "VAE": "vae-x4-glyphs-vae",
    "L1": "denoiser-x4-glyphs-l1",
}
budgets = {"exact": ("-", "-", "-")}
for name, file in files.items():
    known_of = sr.weights.history(sr.weights.find(file))
    minutes = f"{known_of['seconds'] / 60:.0f}"
    calls = "20" if name == "diffusion" else "1"
    budgets[name] = f"{known_of['steps']:,}", minutes, calls

# %% [markdown]
# **Predict:** which has the highest PSNR, and which fits the LR image best? A perfect sample
# differs from the noisy LR image by the noise, 0.2, which is an LR-PSNR of 14 dB.


# %%
def decibels(error):
    return -10 * np.log10(np.mean(np.square(error)))


posterior = of_digits(weights)
downscale = sr.degradations.Downscale(scale)
print("           steps  min  calls   PSNR   LR-PSNR  from a glyph  digits wrong by")
for name, images in answers.items():
    pixels = np.clip(images, 0, 1).reshape(-1, 32, 32, 1)
    down = downscale(pixels).reshape(-1, len(photos), 8, 8, 1)
    to_glyph = np.sqrt(np.mean((pixels - known[read(pixels)]) ** 2))
    found = np.stack([shares(images[:, i]) for i in range(len(photos))])
    distance = 0.5 * np.abs(found - posterior).sum(axis=1).mean()
    scores = decibels(images - known[photos]), decibels(down - lr_set)
    print(
        "{:9} {:>6}  {:>3}  {:>5}".format(name, *budgets[name])
        + f"  {scores[0]:5.2f} dB {scores[1]:4.1f} dB {to_glyph:13.3f} {distance:16.2f}"
    )
print(f"{len(photos)} LR images, {here.draws} samples of each; grey, all pixels")

# %% [markdown]
# *From a glyph* is the root mean square distance to the most similar of the 1,200 images, which
# is 0 for an exact sample. *Digits wrong by* is half of the sum of the absolute differences
# between shares and probabilities. Exact samples have 0.11 because there are only 16 of them.
#
# The L1 network has the highest PSNR in this table, although it is not the best possible answer:
# the mean of 16 samples of the diffusion model has more (exercise 4). (PSNR and LR-PSNR are
# computed from the error of all images together, and are lower than a mean over images.) Its
# LR-PSNR of 14.5 dB means that it fits the noise of the LR image a little better than the truth
# does. It gives only one answer, which is soft and may be a mixture of digits, as in the first
# column. The samples of the diffusion model are closer to a real digit (0.098 against 0.124), and
# its shares are closer to the posterior: 0.22, where exact samples have 0.11 and the L1 network's
# single answer 0.33.
#
# The strokes of the VAE's samples are soft and broken, and its shares are no better than a single
# answer. It was trained for as long as the L1 network, and for a third of the time of the diffusion
# model, so this table does not tell how much of the difference is due to the method. One difficulty
# does not depend on the training: its latent variables are drawn independently for each LR pixel,
# so only the decoder can make them agree on one digit.
#
# As in lesson 11, a sharp sample costs PSNR: a sample of the diffusion model has 1.6 dB less than
# the result of the L1 network, and takes 20 calls of the network instead of one. Exact samples are
# 1.4 dB below the L1 network as well, so the errors of the diffusion network cost only 0.3 dB.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** At which time is the squared factor of the image, $\alpha_t^2$, three times that
# of the noise, $\sigma_t^2$?

# %%
answer = None  # a time from 0 to 1

sr.course.check(answer, "18.1")

# %% tags=["solution"]
# @title Solution 1
answer = np.arctan(np.sqrt(1 / 3)) * 2 / np.pi  # the tangent is noise / image
sr.course.check(answer, "18.1")
print(f"{answer:.4f}: 30 of 90 degrees")

# %% [markdown]
# **Exercise 2.** A network predicts the noise at time 0.8 with an error of 0.1 per pixel. How
# large is the error of the image that is computed from it? How large would it be if the velocity
# had this error?

# %%
answer = None  # two numbers

sr.course.check(answer, "18.2")

# %% tags=["solution"]
# @title Solution 2
signal, rate = schedule(0.8)
answer = 0.1 * rate / signal, 0.1 * rate
sr.course.check(answer, "18.2")
print("from the noise {:.3f}, from the velocity {:.3f}".format(*answer))

# %% [markdown]
# **Exercise 3.** DDIM adds no noise after the start, but DDPM adds new noise in every step. With
# $\eta = \frac{\sigma_s}{\sigma_t}\sqrt{1 - \alpha_t^2 / \alpha_s^2}$, its step is
# $x_s = \alpha_s \hat{x}_0 + \sqrt{\sigma_s^2 - \eta^2}\, \hat{\varepsilon} + \eta\, z$ with new
# noise $z$. (In the DDIM paper, $\eta$ is a factor in front of this number: 0 for DDIM, 1 for
# DDPM.) Write it for the exact denoiser, and compare the shares of 8 and B for 50 and 5 steps
# with those of DDIM.

# %%
results = None  # your samples


# %% tags=["solution"]
# @title Solution 3
def ddpm(denoise, x, num_steps, rng):
    times = np.linspace(1, 0, num_steps + 1)
    for now, then in zip(times[:-1], times[1:], strict=True):
        (a_t, s_t), (a_s, s_s) = schedule(now), schedule(then)
        image = denoise(x, now)
        noise = (x - a_t * image) / s_t
        eta = s_s / s_t * np.sqrt(1 - a_t**2 / a_s**2)
        x = a_s * image + np.sqrt(s_s**2 - eta**2) * noise
        x = x + eta * rng.standard_normal(x.shape)
    return x


rng = np.random.default_rng(14)
start = rng.standard_normal((200, 32, 32, 1))
for num_steps in (50, 5):
    results = ddpm(exact_denoiser(lr), start, num_steps, rng)
    found = shares((results + 1) / 2)
    print(f"DDPM, {num_steps:2} steps: 8 {found[eight]:.0%}, B {found[b]:.0%}")
print(f"exact:          8 {exact[eight]:.0%}, B {exact[b]:.0%}")

# %% [markdown] tags=["solution"]
# With 50 steps the shares agree with the exact ones, up to the chance of 200 draws. With 5 steps
# there are too many 8s, as with DDIM.

# %% [markdown]
# **Exercise 4.** A sample from the exact posterior has twice the squared error of the posterior's
# mean (lesson 11). By how many dB is its PSNR lower, and by how many dB does the mean of 4
# samples exceed a single sample?

# %%
answer = None  # two numbers, in dB

sr.course.check(answer, "18.4")

# %% tags=["solution"]
# @title Solution 4
# The error of the mean of n samples is that of the posterior's mean times 1 + 1 / n.
answer = 10 * np.log10(2), 10 * np.log10(2 / (1 + 1 / 4))
sr.course.check(answer, "18.4")
samples = answers["diffusion"]
for n in (1, 4, len(samples)):
    groups = samples.reshape(-1, n, *samples.shape[1:]).mean(axis=1)
    error = groups - known[photos]
    print(f"mean of {n:2} samples of the network: {decibels(error):.2f} dB")

# %% [markdown] tags=["solution"]
# The mean of 4 samples gains 1.85 dB, a little less than the 2.0 dB of exact samples, because the
# network's samples share a small part of their errors.

# %% [markdown]
# **Exercise 5.** Start the network's DDIM from noise with half the standard deviation, and from
# zeros. What happens to the digits? How much can two results for the same LR image still differ?
# Explain it with what the network has seen in training.

# %%
calmer = None  # your samples

# %% tags=["solution"]
# @title Solution 5
start = np.random.default_rng(7).standard_normal((8, 32, 32, 1), "float32")
rows = []
for factor in (1, 0.5, 0):
    calmer, _ = ddim(denoise, factor * start, num_steps=20)
    rows.append((calmer + 1) / 2)
show(rows, left=["noise", "half", "zeros"])
# At time 1 it has only seen a standard deviation of 1: anything else is new to it.

# %% [markdown] tags=["solution"]
# Most digits become cleaner, but not all: with half the noise the second one breaks, and from zeros
# the E becomes a 6. The start decides which answer is drawn. With less noise in it, the answers for
# one LR image differ less, and from zeros there is only one. The probabilities of the posterior are
# lost.

# %% [markdown]
# ## Summary
#
# - Diffusion mixes an image with noise by a schedule, and learns to estimate the image, given the
#   time and the LR image.
# - A denoiser is enough to draw samples: estimate the image, mix it with a little less noise, and
#   repeat. With an exact denoiser the samples have the probabilities of the posterior.
# - Training is a regression on synthetic inputs, without a second network. Noise, image and
#   velocity contain the same information, and errors of the velocity are never amplified.
# - At time 1 the estimate is the mean of all answers. One step therefore gives a blurred image,
#   and many steps give a sharp one.
# - Every step is a call of the network. A few DDIM steps give sharp images, but the right
#   probabilities take tens of them. Each sample is one of many possible answers.
#
# ## Further reading
#
# - Ho, Jain and Abbeel, [Denoising diffusion probabilistic
#   models](https://arxiv.org/abs/2006.11239), 2020: DDPM.
# - Song, Meng and Ermon, [Denoising diffusion implicit models](https://arxiv.org/abs/2010.02502),
#   2021: DDIM.
# - Nichol and Dhariwal, [Improved denoising diffusion probabilistic
#   models](https://arxiv.org/abs/2102.09672), 2021: the cosine schedule.
# - Saharia and others, [Image super-resolution via iterative
#   refinement](https://arxiv.org/abs/2104.07636), 2021: SR3, on photos.
# - Song and others, [Score-based generative modeling through stochastic differential
#   equations](https://arxiv.org/abs/2011.13456), 2021: why a denoiser is enough.
# - Salimans and Ho, [Progressive distillation](https://arxiv.org/abs/2202.00512), 2022: the
#   velocity, and sampling with few steps.
# - Rombach and others, [Latent diffusion models](https://arxiv.org/abs/2112.10752), 2022: the
#   same loop on the latent variables of an autoencoder.
# - Kingma and others, [Variational diffusion models](https://arxiv.org/abs/2107.00630), 2021: why
#   this is a VAE with very many layers.
