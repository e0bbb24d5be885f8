# %% [markdown]
# # 16. Real photos
#
# Why a photo from a phone is not an LR image made by bicubic downscaling, how to imitate what
# happened to it, and how to choose how much a network may invent.
#
# ![A face from a JPEG photo: bicubic interpolation and two networks](figures/16_goal.jpg)
#
# *A compressed photo, enlarged four times: bicubic interpolation, EDSR, and the network of this
# lesson. EDSR enlarges the damage too; the third was trained on damaged photos.*
#
# **You will be able to**
#
# - measure the noise and the JPEG blocks of a photo, and compare its spectrum with that of a
#   clean one;
# - explain why a network trained on bicubic LR images enlarges the damage of a photo like detail;
# - write a second-order degradation step by step, and read from a weights file which degradations
#   a network was trained on;
# - blend two networks for damaged photos weight by weight, and judge what each amount invents;
# - say why LR-PSNR does not help when the LR image is itself damaged.
#
# **You need** lesson 1 (LR images, PSNR), lesson 2 (degradations), lesson 7 (LPIPS) and lesson 10
# (GANs, NIQE, LR-PSNR, blending). Lesson 13 explains priors.
#
# **Time:** about 50 minutes to read the core, 65 for the exercises; 1 minute of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
#
# **Optional** sections, 10 minutes more: *a published network, and a small one that learned from it*; *pairs from a camera*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/16_real_photos.ipynb) · [Student edition](student/16_real_photos.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/16_real_photos.py) · Previous: [15. Deployment: tiles, folders, video and export](15_into_the_world.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/15_into_the_world.ipynb)) · Next: [17. Attention and efficient networks](17_efficient.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/17_efficient.ipynb)) · [All lessons](README.md)

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

here = sr.course.start(minutes=(0.6, 1, 1), side=(240, 400, 400), num_blends=(3, 5, 5))

# %% [markdown]
# ## What happened to a phone photo
#
# The LR images of the earlier lessons were made by bicubic downscaling, which no camera does. A
# photo from a phone was blurred by a lens, sampled by a noisy sensor, and compressed to a JPEG
# file, and perhaps resized and compressed again by a website.
#
# We make two LR images of one photo: a clean one, as in the benchmarks, and one like a phone's
# after a messenger has compressed it: a mean over 4 x 4 pixels, noise, and JPEG. (A real camera
# averages light rather than file values, measures one colour in each pixel, and removes noise.)

# %%
import io

import cv2
import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from skimage import data

from sr_keras.evaluation import score

scale = 4
hr = data.astronaut()[:384, 64:448]
rng = np.random.default_rng(0)


def jpeg(image, quality):
    """Writes an image as a JPEG file, and reads it again."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


# %%
clean = sr.degradations.Downscale(scale)(hr)
sensor = sr.images.to_float(hr).reshape(96, 4, 96, 4, 3).mean(axis=(1, 3))
noisy = np.clip(sensor + rng.normal(0, 0.02, sensor.shape), 0, 1)
phone = jpeg(sr.images.to_integer(noisy), quality=60)
sr.plotting.comparison(
    {"clean": clean, "phone": phone, "HR": hr},
    crop=(40, 88, 160, 160),
    whole=False,
    title="Two LR images of one photo",
)

# %% [markdown]
# The phone's photo has blocks and false colours. **Predict:** EDSR was trained on clean LR images
# only, and enlarges the clean one better than bicubic interpolation. Will it be better, equal or
# worse on the phone's photo?

# %%
CONDITIONS = "x4, PSNR (dB) / SSIM on luma, 4 pixels cut, 8 bits"
bicubic = sr.models.bicubic(scale)
edsr = sr.models.load("edsr-x4-bsds")


def scores_of(images, target=hr):
    found = {name: score(target, image, scale) for name, image in images.items()}
    return {name: (row["psnr_y"], row["ssim_y"]) for name, row in found.items()}


first = {
    f"{lr_name}: {name}": sr.upscale(model, lr)
    for lr_name, lr in (("clean", clean), ("phone", phone))
    for name, model in (("bicubic", bicubic), ("EDSR", edsr))
}
sr.plotting.comparison(
    first,
    scores_of(first),
    (40, 88, 160, 160),
    columns=2,
    whole=False,
    title=CONDITIONS,
)

# %% [markdown]
# On the clean image EDSR gains almost three decibels over bicubic interpolation. On the phone's
# photo it is 0.4 dB worse, and it sharpens the damage like edges of the scene: the borders of the
# JPEG blocks, and inside the blocks the ripples that JPEG leaves beside strong edges (*ringing*).
# The dots and curls in the background beside the neck are such ripples.
#
# ## Measuring the damage
#
# ### Blocks
#
# JPEG compresses each block of 8 x 8 pixels independently, so neighbouring pixels differ more where
# two blocks meet. (Blocks of colour cover 16 x 16.) We compute the difference of neighbouring
# columns, take the median over the rows, so that edges of the scene count little, and average it
# for each of the eight positions. Rows are treated alike.
#
# **Predict:** by how much is the difference larger at the border of a block? Will this ratio rise
# or fall when bicubic interpolation enlarges the image, and when EDSR does?


# %%
def steps_by_position(image):
    """Returns the typical difference of neighbours at each position in a block."""
    luma = 255 * sr.images.luma(sr.images.to_float(image))[..., 0]
    steps = []
    for rows in (luma, luma.T):
        differences = np.median(np.abs(np.diff(rows, axis=1)), axis=0)
        steps.append(differences[: len(differences) // 8 * 8].reshape(-1, 8))
    return np.concatenate(steps).mean(axis=0)


fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True)
for ax, name, lr in zip(axes, ("clean", "phone"), (clean, phone), strict=True):
    ax.bar(range(8), steps_by_position(lr))
    ax.set(title=name, xlabel="position in a block (7: its border)")
axes[0].set_ylabel("step, grey levels")
plt.show()

# %% [markdown]
# Position 6 is high in both images by chance, as each bar is the mean of only 22 columns and rows.
# One number gives a hint of how strong the blocks are: the step at the border, divided by the mean
# of the others. If the image was enlarged, its blocks were, too, so we take every fourth row and
# column of an image at x4. (This ratio is not the `blockiness` of lesson 2.)


# %%
def block_ratio(image, enlarged_by=1):
    """Returns how much larger the step is at the border of a block than elsewhere."""
    middle = (enlarged_by - 1) // 2
    steps = steps_by_position(image[middle::enlarged_by, middle::enlarged_by])
    return steps[7] / steps[:7].mean()


for name, image in {"clean": clean, "phone": phone}.items():
    print(f"{name:16} {block_ratio(image):.2f}")
for name, image in {"HR": hr, **first}.items():
    print(f"{name:16} {block_ratio(image, enlarged_by=scale):.2f}")

# %% [markdown]
# Without blocks the ratio is about 1, but the scene changes it too (at position 6 of the clean
# image it would be 1.2, by chance), so compare only ratios of the same scene, and do not take a
# single one for a measurement. In the phone's photo it is 1.29. Bicubic interpolation weakens the
# blocks only slightly (1.24), and EDSR makes them *stronger* than they were (1.50).
#
# ### Noise
#
# Noise can be estimated from the photo alone. The kernel $k$ below gives zero on flat areas,
# slopes, and straight edges along rows and columns, so mostly noise is left. Independent noise of
# standard deviation $\sigma$ is multiplied by 6, because the squared weights of the kernel sum to
# 36 (Immerkær, 1996). Other edges change the median of the absolute values less than their mean.
# For normal noise, this median is 0.6745 standard deviations:
#
# $$\hat{\sigma} = \frac{1}{6}\cdot\frac{\mathrm{median}\,\lvert x * k \rvert}{0.6745}, \qquad k = \begin{pmatrix}1&-2&1\\-2&4&-2\\1&-2&1\end{pmatrix}$$


# %%
def noise_of(image):
    """Returns the estimated standard deviation of the noise, for pixels in [0, 1]."""
    line = np.array([1.0, -2.0, 1.0])
    luma = sr.images.luma(sr.images.to_float(image))[..., 0]
    rest = cv2.filter2D(luma.astype("float32"), -1, np.outer(line, line))
    deviation = np.median(np.abs(rest)) / 0.6745 / 6
    return deviation * 255 / 219  # luma spans 219 of 255 levels (lesson 1)


flat = np.full((200, 200, 1), 0.5) + rng.normal(0, 0.02, (200, 200, 1))
print(f"a flat area with noise of 0.02: {noise_of(flat.repeat(3, axis=2)):.4f}")
alone = noisy - sensor + 0.5  # the noise on a grey area
for name, lr in {
    "clean": clean,
    "noise alone": alone,
    "before JPEG": noisy,
    "phone": phone,
}.items():
    print(f"{name:12} {noise_of(lr):.4f}")

# %% [markdown]
# The estimate for the flat area is right. In the photo, luma is a weighted sum of three independent
# channels, which multiplies the standard deviation by $\sqrt{0.299^2 + 0.587^2 + 0.114^2} = 0.67$.
# This and clipping lower it from 0.02 to 0.013. The estimate before JPEG is higher, because the
# finest texture of a photo counts as noise. (That it is close to 0.02 is a coincidence.) JPEG
# rounds the weak frequencies of a block to zero. In smooth areas, which decide the median, this
# removes most of the noise and of the fine texture.
#
# ### Frequencies
#
# A spectrum is the usual first check of an image. Here it will not find the damage, and it is worth
# seeing why. A spectrum is the power of the image at each frequency, averaged over all directions. One more
# image is compressed with blocks that begin three pixels further to the right and below.


# %%
def spectrum(image):
    """Returns the mean power at 40 frequencies up to the highest, in dB."""
    luma = sr.images.luma(sr.images.to_float(image))[..., 0]
    side = min(luma.shape)
    window = np.hanning(side)
    luma = (luma[:side, :side] - luma.mean()) * np.outer(window, window)
    power = np.abs(np.fft.fftshift(np.fft.fft2(luma))) ** 2
    y, x = np.indices(power.shape) - side // 2
    ring = (np.hypot(y, x) / (side / 2) * 40).astype(int).ravel()
    sums, counts = np.bincount(ring, power.ravel()), np.bincount(ring)
    return 10 * np.log10(sums[:40] / counts[:40])


frequencies = (np.arange(40) + 0.5) / 40
rolled = np.roll(sr.images.to_integer(noisy), (-3, -3), axis=(0, 1))
moved = np.roll(jpeg(rolled, quality=60), (3, 3), axis=(0, 1))
photos = {"mean of 4 x 4": sensor, "with noise": noisy, "phone": phone}
photos["phone, other blocks"] = moved
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, lr in photos.items():
    ax.plot(frequencies, spectrum(lr) - spectrum(clean), label=name)
ax.set(xlabel="frequency (1: the highest of an LR image)")
ax.set(ylabel="power relative to the clean LR image (dB)")
ax.legend()
plt.show()

# %% [markdown]
# The clean LR image lies at 0 dB, and EDSR was trained only on such images. All differences of
# total power are small, at most about 2 dB. The mean over 4 x 4 pixels has a little less power in
# the middle, so the image is softer, and more at the end, because a mean suppresses aliasing less
# well. Noise raises the end a little further. JPEG lowers the very highest frequencies, which it
# often rounds to zero, and changes others by up to about 1 dB. Where its peaks lie depends on where
# the blocks begin.
#
# So the curves do not show why EDSR fails. Where JPEG replaces detail by errors of similar power,
# the total hardly changes. Nor does a spectrum show that the damage forms lines.
#
# ## Damage, step by step
#
# A network can be trained on damaged photos if the damage can be imitated. Real-ESRGAN (Wang and
# others, 2021) applies a chain of four steps twice, each time with new random settings, because
# photos on the internet have often been resized and compressed several times. This is a
# *second-order degradation*:
#
# ![Blur, resizing, noise and JPEG, twice](figures/16_second_order.svg)
#
# We write the four steps by hand. The chain in the figure also has a sinc filter, which our chain
# leaves out; it is explained below. The first step is a blur with a Gaussian kernel, which is
# normalized so that the brightness stays the same.


# %%
def gaussian(sigma, radius=10):
    """Returns a kernel of (2 * radius + 1) x (2 * radius + 1) numbers with sum 1."""
    r = np.arange(-radius, radius + 1)
    kernel = np.exp(-(r[:, None] ** 2 + r**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def blur(image, sigma):
    return cv2.filter2D(image, -1, gaussian(sigma), borderType=cv2.BORDER_REPLICATE)


by_hand = blur(hr, 2.0)
package = sr.degradations.GaussianBlur(2.0, radius=10)(hr)
np.testing.assert_allclose(by_hand.astype(int), package.astype(int), atol=1)


# %% [markdown]
# The second step resizes by a random factor, the third adds noise. Photons arrive independently,
# so their number in a pixel has a Poisson distribution, whose variance equals its mean. Bright
# areas therefore have more noise than dark ones, but less relative to their brightness. The
# fourth step is the JPEG compression from above.
#
# Like Real-ESRGAN, `photon_noise` treats file values as amounts of light. A camera counts photons
# first and gamma-encodes their number (lesson 1). **Predict:** is white still noisier in its file?


# %%
def resize(image, factor):
    height, width = (round(side * factor) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def photon_noise(image, photons):
    """Draws as if white pixels received `photons` photons on average."""
    counts = rng.poisson(sr.images.to_float(image) * photons)
    return sr.images.to_integer(np.clip(counts / photons, 0, 1))


white = np.full((100, 100, 3), 255, np.uint8)
grey = np.full((100, 100, 3), 64, np.uint8)
for name, image in (("white", white), ("grey", grey)):
    value = sr.images.to_float(image)
    noise = rng.poisson(value * 400) / 400
    encoded = (rng.poisson(value**2.2 * 400) / 400) ** (1 / 2.2)
    print(f"{name}: standard deviation {noise.std():.4f}, encoded {encoded.std():.4f}")

# %% [markdown]
# At a quarter of the value, the noise is half as strong. In the file of a camera, white is no
# longer noisier (0.023 against 0.026), because gamma encoding enlarges the differences of dark
# tones. (The printed numbers leave out clipping: in a file white is cut at 1, which lowers its
# noise further.) Now we apply our chain twice. **Predict:** after which of the eight steps will the
# pupils of the eyes be gone?

# %%
chain = {"HR": hr}
chain["1. blur"] = blur(hr, 1.5)
chain["1. resize"] = resize(chain["1. blur"], 0.5)
chain["1. noise"] = photon_noise(chain["1. resize"], 200)
chain["1. JPEG"] = jpeg(chain["1. noise"], 60)
chain["2. blur"] = blur(chain["1. JPEG"], 0.7)
chain["2. resize"] = resize(chain["2. blur"], 0.5)
chain["2. noise"] = photon_noise(chain["2. resize"], 400)
chain["2. JPEG"] = jpeg(chain["2. noise"], 50)
damaged = chain["2. JPEG"]
sr.plotting.comparison(chain, crop=(40, 88, 120, 120), columns=3, whole=False)

# %% [markdown]
# Until the second resizing, dark spots show where the pupils are. After it, only the shadows of
# the eyes are left. The second blur smears the blocks of the first JPEG, the second resizing
# averages its noise, and the second JPEG has a grid of its own. So two passes produce mixtures of
# damage that a single pass cannot.
#
# The package's `SecondOrder` applies the whole chain of the figure with random settings: blur
# kernels that are round, elongated or flat-topped, resizing up and down by three methods, and
# Gaussian or photon noise, coloured or grey. A *sinc filter* removes all frequencies above a limit.
# This leaves ringing, as sharpening in a camera does. The defaults follow Real-ESRGAN's: blurs of
# 0.2 to 3 pixels, then 0.2 to 1.5; resizing by 0.15 to 1.5, then by 0.3 to 1.2; JPEG of quality 30
# to 95, twice.

# %%
second_order = sr.degradations.SecondOrder(scale)
draws = {f"seed {seed}": second_order(hr, seed=seed) for seed in (1, 2, 3, 4, 5)}
sr.plotting.degradations(hr, draws, crop=(40, 88, 160, 160))

# %% [markdown]
# The five LR images have little in common. A network that is trained on such images has to infer
# the damage from the image itself, and its answers for the worst of them are guesses. The network
# of this lesson therefore saw milder damage in half of its training, as the history in its
# weights file records:

# %%
file = sr.weights.find("span-x4-photos-real")
trained = sr.weights.history(file)["recipe"]
seen = sr.degradations.deserialize(trained["degradation"])
for odds, choice in zip(seen.odds, seen.choices, strict=True):
    print(f"{odds:.0%}: {choice}\n")

# %% [markdown]
# ## A network that expects damage
#
# The network is a SPAN (2023), a fast design that lesson 17 explains: each block adds its input to
# the output of three convolutions, and multiplies the sum by a fixed function of that output. How
# many weights does it have, compared with EDSR?

# %%
real = sr.models.load("span-x4-photos-real")
for name, model in (("EDSR", edsr), ("SPAN", real)):
    print(f"{name}: {model.count_params():,} weights")

# %% [markdown]
# **Predict:** will the small network beat the large one on the phone's photo? And on the clean LR
# image, for which EDSR was trained? A second cell adds two photos: clean, compressed, and with
# motion blur and WebP.

# %%
second = {
    f"{lr_name}: {name}": sr.upscale(model, lr)
    for lr_name, lr in (("clean", clean), ("phone", phone), ("damaged", damaged))
    for name, model in (("bicubic", bicubic), ("EDSR", edsr), ("real", real))
}
sr.plotting.comparison(
    second, scores_of(second), (40, 88, 120, 120), 3, whole=False, title=CONDITIONS
)


# %%
def unseen(image):
    """Degrades with two steps that no training used: motion blur and WebP."""
    shaken = cv2.blur(image, (9, 1))
    small = cv2.resize(shaken, None, fx=1 / 4, fy=1 / 4, interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(small).save(file, "WEBP", quality=50)
    return np.asarray(Image.open(file))


by_photo = {}
for photo_name, whole in (("chelsea", data.chelsea()), ("coffee", data.coffee())):
    target = whole[:256, 96:352]
    small = cv2.resize(target, (64, 64), interpolation=cv2.INTER_AREA)
    for lr_name, lr in (
        ("clean", sr.degradations.Downscale(scale)(target)),
        ("JPEG 40", jpeg(small, 40)),
        ("unseen", unseen(target)),
    ):
        for name, model in (("bicubic", bicubic), ("EDSR", edsr), ("real", real)):
            psnr = score(target, sr.upscale(model, lr), scale)["psnr_y"]
            by_photo.setdefault(f"{photo_name}, {lr_name}", {})[name] = psnr
for row, values in by_photo.items():
    print(f"{row:17}", "  ".join(f"{n} {v:.2f} dB" for n, v in values.items()))

# %% [markdown]
# On damaged images the small network is ahead of EDSR by 0.2 to 1.4 dB, with less than a third of
# the weights. Its gain over bicubic interpolation is 1.1 dB on the coffee, but 0.1 dB on the cat.
# EDSR is below bicubic interpolation on four of these six images, and above it on two. On clean
# images the small network is behind EDSR, and on the clean cat even behind bicubic interpolation.
# It smooths fine texture, as in the hair of the portrait. A weak detail may be texture or noise,
# and in its training it was often noise. So the degradations of the training set probably act as a
# prior, just as its photos do. (The networks also differ in design, size, photos and number of
# steps.)
#
# Motion blur and WebP were not part of its training, although elongated blurs and JPEG, which
# resemble them, were. On these "unseen" images its lead over EDSR is 0.2 and 0.8 dB. The
# [benchmarks](../benchmarks/README.md) confirm this for four degradations that no network was
# trained on, but on pairs from a camera they show no gain in PSNR.
#
# **Predict:** are the blocks weaker, too, in its results?

# %%
for name, image in second.items():
    print(f"{name:16} blocks {block_ratio(image, enlarged_by=scale):.2f}")

# %% [markdown]
# They are much weaker than EDSR's. Compared with bicubic interpolation, they are clearly weaker
# on the damaged image (1.18 against 1.38), but hardly on the phone's photo (1.22 against 1.24).
#
# ## A larger portrait
#
# A more typical case is the same portrait at half of its size, compressed, and enlarged to twice
# the size of the original. There is no HR image of that size, so we judge by eye. (The optional
# section halves such results to score them.)

# %%
portrait = jpeg(resize(data.astronaut()[:256, 96:352], 0.5), 50)
everyone = {"bicubic": bicubic, "EDSR": edsr, "real": real}
results = {name: sr.upscale(model, phone) for name, model in everyone.items()}
goal = {name: sr.upscale(model, portrait) for name, model in everyone.items()}
sr.plotting.comparison(goal, crop=(90, 100, 200, 220), columns=3, whole=False)

# %%
sr.plotting.slider(
    {"EDSR": goal["EDSR"], "real": goal["real"]}, crop=(60, 80, 320, 350), zoom=2
)

# %% [markdown]
# EDSR turns the ripples inside the JPEG blocks into a white line beside the hair and dark strokes
# below the eye. In its training, such lines belonged to the scene. The other network has weakened
# most of them, but has not replaced them by detail. It was trained on the absolute error, so it
# returns something like the median of all photos that fit (lessons 11 and 13), which is smooth.
#
# Try a photo of your own, such as one that a messenger has compressed, and compare the results with
# those of `edsr-x4-bsds`. In a terminal:
#
# `python -m sr_keras upscale photo.jpg --out large --model span-x4-photos-real`
#
# `python -m sr_keras train --recipe span-x4-photos-real --out run --data photos` trains this
# network on a folder of photos of yours, which are degraded anew for every batch (4,000 steps,
# about an hour on two CPU cores).
#
# ## How much may be invented?
#
# A network that is trained against a discriminator (lesson 10) invents detail. How much of it is
# wanted depends on the use. Lesson 10 blended SRGAN with the network that it started from, on clean
# gravel (*network interpolation*). Here both networks expect damage, and there are two new
# questions: is the blend better than the mean of the two pictures, and does the amount 0 invent
# nothing? Again, we average the weights of a network and of the GAN that was trained from it.
#
# $$\theta = (1 - d)\,\theta_{L_1} + d\,\theta_\mathrm{GAN}, \qquad 0 \le d \le 1$$
#
# We blend two networks for damaged photos. Both have ESRGAN's design (RRDB, lesson 10).
# `rrdb-x4-photos-distilled` was trained with L1 and a small loss on frequencies, and
# `rrdb-x4-photos-gan` continued from it with L1, a perceptual loss and a discriminator. The photo
# shows gravel, and was compressed like the phone's. In Keras the blend takes three lines:

# %%
start = sr.models.load("rrdb-x4-photos-distilled")
gan = sr.models.load("rrdb-x4-photos-gan")
between = keras.models.clone_model(start)
pairs = zip(start.get_weights(), gan.get_weights(), strict=True)
between.set_weights([0.5 * a + 0.5 * b for a, b in pairs])

package_blend = sr.models.blend(start, gan, 0.5)
gravel = np.repeat(data.gravel()[: here.side, : here.side, None], 3, axis=2)
gravel_lr = jpeg(resize(gravel, 1 / scale), quality=60)
x = sr.images.to_float(gravel_lr)[None]
of_blend = between(x)
np.testing.assert_allclose(of_blend, package_blend(x), atol=1e-5)

# %% [markdown]
# The package finds the partner in the history of the GAN's file, which names the weights that its
# training began from. `sr.models.load(name, detail=0.5)` returns the same blend, and
# `upscale --detail 0.5` uses it on the command line.
#
# **Predict:** is this the same as averaging the two *pictures*?

# %%
loaded = sr.models.load("rrdb-x4-photos-gan", detail=0.5)
np.testing.assert_allclose(loaded(x), of_blend, atol=1e-5)
of_start, of_gan = start(x), gan(x)
mean_picture = (of_start + of_gan) / 2
difference = 255 * np.abs(np.asarray(of_blend - mean_picture))
apart = 255 * np.abs(np.asarray(of_start - of_gan))
print(f"both networks differ by {apart.mean():.2f} grey levels on average,")
print(f"the blend from the mean of their pictures by {difference.mean():.2f}")

# %% [markdown]
# It is not the same, because the network is not linear in its weights. The blend is also cheaper: it
# runs one network instead of two.
#
# **Predict:** at the amount 0, will everything in the picture be in HR, too?

# %%
amounts = np.linspace(0, 1, here.num_blends)
blends = {d: sr.models.blend(start, gan, d) for d in amounts}
strip = {f"detail {d:g}": sr.upscale(blends[d], gravel_lr) for d in amounts}
sr.plotting.comparison(
    {**strip, "HR": gravel}, crop=(100, 100, 120, 120), columns=3, whole=False
)

# %% [markdown]
# No. At every amount many outlines are dark, smooth and wrong: stones are merged, and dark lines
# run where HR has none. The amount sets only what the training against the discriminator has
# added, here grain with specks of colour. It does not remove what the first network invents.
#
# We add NIQE, which needs no HR, and LPIPS, which compares features with those of HR (both in
# lessons 10 and 12; lower is better). The weights of LPIPS are a separate file; where it is absent,
# the score is `nan`. **Predict:** will half of the detail cost half of what the GAN loses in PSNR?
# Will the blend be better than the mean of the two pictures?

# %%
lpips_distance = sr.lpips.Distance()


def lpips_of(target, image):
    """Returns LPIPS, 4 pixels cut."""
    pair = [sr.images.to_float(x[4:-4, 4:-4])[None] for x in (target, image)]
    try:
        return float(lpips_distance(*pair)[0])
    except FileNotFoundError:
        return np.nan


# %%
scored = {**strip, "bicubic": sr.upscale(bicubic, gravel_lr)}
scored["mean picture"] = sr.images.to_integer(np.clip(mean_picture[0], 0, 1))
niqe_of = {name: sr.quality.niqe(image, border=4) for name, image in scored.items()}
psnr_of = {name: values[0] for name, values in scores_of(scored, gravel).items()}
distances = {name: lpips_of(gravel, image) for name, image in scored.items()}
for name in scored:
    line = f"PSNR {psnr_of[name]:.2f} dB, LPIPS {distances[name]:.3f}"
    print(f"{name:12} {line}, NIQE {niqe_of[name]:.2f}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, values in zip(axes, (distances, niqe_of), strict=True):
    ax.plot([psnr_of[n] for n in strip], [values[n] for n in strip], "o-")
    for d, name in zip(amounts, strip, strict=True):
        point = psnr_of[name], values[name]
        ax.annotate(f"{d:g}", point, (7, 3), textcoords="offset points")
    ax.plot(psnr_of["mean picture"], values["mean picture"], "s", label="mean picture")
    ax.margins(0.1)
    ax.set(xlabel="PSNR (dB): closer to HR")
axes[0].set(ylabel="LPIPS: lower looks more like HR")
axes[1].set(ylabel="NIQE: lower looks more natural")
axes[0].legend()
plt.show()

# %% [markdown]
# The GAN loses 0.9 dB, and lowers LPIPS from 0.49 to 0.30 and NIQE by 5.5 (on 16 patches of 96 x 96
# pixels, so small differences of NIQE mean nothing). Half of the detail costs a quarter of this
# loss, and achieves about a quarter of both gains. The mean of the pictures costs a third, and
# brings three quarters of the gain in LPIPS and two thirds of that in NIQE. So on this photo, by
# these numbers, the mean is the better compromise, and blending only the cheaper one. But NIQE also
# rewards a little plain noise (lesson 12), and ESRGAN's authors, who judged by eye, found the mean
# of the pictures too blurry or noisy.
#
# All amounts, even 0, are below bicubic interpolation in PSNR, perhaps because both networks learned
# from the outputs of a GAN (next section). In LPIPS, all of them are better.
#
# One network was trained from the other, so their filters correspond. Exercise 4 shows how blending
# fails if they do not.

# %% [markdown]
# ## Optional: a published network, and a small one that learned from it
#
# Real-ESRGAN's own network has 16.7 million weights, and was trained on many more photos for much
# longer. It is not part of the package. If its file `RealESRGAN_x4plus.pth` is beside this
# notebook, or in the folder `official` of your data, `sr.models.load` reads it without executing
# anything in it.
#
# A small network can learn from a large one (*knowledge distillation*; Hinton and others, 2015):
# the outputs of the large network, the *teacher*, for damaged patches take the place of the HR
# patches. `span-x4-photos-distilled` learned in this way from 2,388 outputs of Real-ESRGAN's
# network (`examples/distill.py`), and began from the weights of the small network above.
# `rrdb-x4-photos-distilled` is ten times as large: it began from the teacher's first 6 of 23 blocks
# and its other layers, and learned from 1,256 outputs. `rrdb-x4-photos-gan` continued with the
# teacher's outputs as its photos. The teacher is a GAN. **Predict:** the teacher's output is fully
# determined by the LR patch. Which of the three will draw the teacher's texture? Two of them were
# trained without a discriminator, mainly with L1.

# %%
import pathlib

data_folder = pathlib.Path(os.environ.get("SR_KERAS_DATA") or "../data")
published = [
    *pathlib.Path().glob("RealESRGAN_x4plus.*"),
    *(data_folder / "official").glob("RealESRGAN_x4plus.*"),
]
others = {
    "real": real,
    "distilled": sr.models.load("span-x4-photos-distilled"),
    "larger, distilled": start,
    "larger, GAN": gan,
}
if published:
    others[published[0].stem] = sr.models.load(published[0])
for name, model in others.items():
    print(f"{name}: {model.count_params():,} weights")

# %%
cat = data.chelsea()[60:220, 90:250]
cat_lr = jpeg(resize(cat, 0.5), 50)
cats = {name: sr.upscale(model, cat_lr, tile=None) for name, model in others.items()}
halved = {name: lpips_of(cat, resize(image, 0.5)) for name, image in cats.items()}
sr.plotting.comparison(
    {"JPEG": cat_lr, **cats},
    {name: f"halved: LPIPS {distance:.3f}" for name, distance in halved.items()},
    crop=(60, 40, 200, 200),
    columns=3,
    whole=False,
    title="Chelsea at half of the size, then x4",
)

# %% [markdown]
# The small distilled network looks almost the same as before. The outlines of the larger one are
# crisp and smooth. Neither draws the teacher's fur, probably because L1 favours a smooth result
# where a network cannot predict the teacher's. The GAN draws fine grain and short lines, but after
# 1,500 steps not yet fur. All three draw the short lines that JPEG left in the fur as if they were
# part of the cat, and only the teacher replaces them. Its hairs are invented, too: a low LPIPS says
# that the fur resembles the photo's, not that each hair is where it was. Halved again, the results
# have the size of the photo and can be compared with it: LPIPS is 0.33 to 0.35 for the networks
# without a discriminator, 0.29 for the GAN, and 0.11 for the teacher.

# %% [markdown]
# ## Optional: pairs from a camera
#
# All degradations on this page were made by programs. For City100 (Chen and others, 2019) each
# scene, a printed postcard, was photographed twice, with a long and a short focal length. The
# authors enlarged the wide photo to the size of the other one and aligned both. If your data
# folder has `city100`, we compare the spectra, as above; otherwise the next cells show nothing.

# %%
found = sorted(path.name for path in (data_folder / "city100" / "HR").glob("*.png"))
names = found[3:6][::-1]
cameras = {
    name: [
        sr.images.read(data_folder / "city100" / kind / name) for kind in ("LR", "HR")
    ]
    for name in names
}
for name, (wide, long) in cameras.items():
    lost = spectrum(wide) - spectrum(long)
    print(name, wide.shape, [f"{x:.0f} dB" for x in lost[::8]])

# %% [markdown]
# The printed numbers are the power of the wide photo relative to the long one at 0, 0.2, 0.4, 0.6
# and 0.8 of the highest frequency. Above half of it little is left, so the wide photo can be halved
# at almost no loss. Even then it is soft: at 0.4 its power is already 14 to 16 dB lower. We enlarge
# it by 4, halve the result, and compare it with the long photo.

# %%
for name, (wide, long) in cameras.items():
    half = cv2.resize(wide, (400, 300), interpolation=cv2.INTER_AREA)[80:220, 130:270]
    target = long[160:440, 260:540]
    by_network = {}
    for model_name, model in everyone.items():
        large = sr.upscale(model, half)
        by_network[model_name] = cv2.resize(
            large, (280, 280), interpolation=cv2.INTER_AREA
        )
    psnrs = {k: f"{v[0]:.2f} dB" for k, v in scores_of(by_network, target).items()}
    print(name, psnrs)


# %%
def camera_figure():
    images = {**by_network, "HR": target}
    return sr.plotting.comparison(
        images, None, (60, 60, 160, 160), 2, whole=False, title=f"{name}, a crop"
    )


camera_figure() if cameras else None

# %% [markdown]
# The network trained on imitated damage is ahead of EDSR on one photo (0.3 dB, in the picture),
# level on one, and behind on one (0.4 dB). These LR images are soft rather than compressed, and
# neither network was trained for them. Chen and others report that training on such pairs helps for
# their camera.

# %% [markdown]
# ## What can we conclude?
#
# Lesson 13 used LR-PSNR: a result that does not become the LR image again when it is scaled down
# has changed what was seen. **Predict:** which of the three results for the phone's photo has the
# highest LR-PSNR, and is it the best one?

# %%
for name, image in results.items():
    fit, psnr = sr.quality.lr_psnr(phone, image), scores_of({name: image})[name][0]
    print(f"{name:10} LR-PSNR {fit:.1f} dB, PSNR against HR {psnr:.2f} dB")
print(f"{'HR itself':10} LR-PSNR {sr.quality.lr_psnr(phone, hr):.1f} dB")

# %% [markdown]
# EDSR has by far the highest LR-PSNR, and the lowest PSNR of the three. It was trained on bicubic
# LR images, so its result becomes the LR image again, with all of the damage. The HR photo itself
# reaches only 27.7 dB: a network that removes noise and blocks *must* disagree with a damaged LR
# image. So a high LR-PSNR is no longer a good sign. Only a value far below that of HR would refute
# a result, and for a real photo that value is unknown.
#
# If the damage is known, as the rounding in a JPEG file is, one can test whether a result could
# have led to this file. But many results would pass, so the test does not tell a repaired detail
# from an invented one.
#
# Text shows this best, because we can read it.

# %%
page = data.page()[20:180, 100:340]
page_hr = np.repeat(page[..., None], 3, axis=2)
page_lr = jpeg(resize(page_hr, 0.5), 30)
letters = {
    "LR": page_lr,
    "real": sr.upscale(real, page_lr),
    "original, enlarged by 2": resize(page_hr, 2),
}
sr.plotting.comparison(letters, crop=(100, 100, 140, 220), columns=2, whole=False)

# %% [markdown]
# Compare letter by letter. *two* and *or* can be read, but the damage has turned *at* into a bar
# and *es:* into something like *m*. The network has given both smoother outlines, as if they had
# been printed. Such a picture is an illustration, and must not be used as evidence.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** A photo with independent noise of standard deviation 0.04 in every pixel is
# resized to half of its size by averaging each 2 x 2 pixels. What is the standard deviation of
# its noise then?

# %%
answer = None  # your number

sr.course.check(answer, "16.1")

# %% tags=["solution"]
# @title Solution 1
answer = 0.04 / np.sqrt(4)  # the mean of 4 independent values
many = rng.normal(0, 0.04, (500, 2, 500, 2)).mean(axis=(1, 3))
print(f"by trying: {many.std():.4f}")
sr.course.check(answer, "16.1")

# %% [markdown]
# **Exercise 2.** Take `cup = data.coffee()[:256, 96:352]`, resize it to a quarter with `resize`,
# compress the result with quality 40, and upscale it with the three networks of `everyone`. The PSNR
# of each is in the table above ("coffee, JPEG 40"). Predict the order by LR-PSNR, and where `cup`
# itself will be. Then print PSNR and LR-PSNR. Why do the two scores disagree?

# %%
cups = None  # your three images

# %% tags=["solution"]
# @title Solution 2
cup = data.coffee()[:256, 96:352]
cup_lr = jpeg(resize(cup, 1 / scale), 40)
cups = {name: sr.upscale(model, cup_lr) for name, model in everyone.items()}
for name, (psnr, _) in scores_of(cups, cup).items():
    fit = sr.quality.lr_psnr(cup_lr, cups[name])
    print(f"{name:10} LR-PSNR {fit:.1f} dB, PSNR against HR {psnr:.2f} dB")
print(f"{'HR itself':10} LR-PSNR {sr.quality.lr_psnr(cup_lr, cup):.1f} dB")

# %% [markdown] tags=["solution"]
# By PSNR `real` is the best, by LR-PSNR EDSR. That of HR is the lowest of all, because LR-PSNR
# measures agreement with an LR image that contains the damage.

# %% [markdown]
# **Exercise 3.** In which order do blur and noise damage a photo more? Apply `blur(..., 1.5)` and
# `photon_noise(..., 100)` to `hr` in both orders, and measure PSNR and `noise_of`. Which order is
# that of a camera?

# %%
orders = None  # your two images

# %% tags=["solution"]
# @title Solution 3
# The blur after the noise averages it away. In a camera the lens comes first, so that
# the noise stays; a phone that removes noise blurs once more.
orders = {
    "blur, then noise": photon_noise(blur(hr, 1.5), 100),
    "noise, then blur": blur(photon_noise(hr, 100), 1.5),
}
for name, image in orders.items():
    psnr = score(hr, image, scale)["psnr_y"]
    print(f"{name}: {psnr:.2f} dB, noise {noise_of(image):.4f}")

# %% [markdown]
# **Exercise 4.** Load `edsr-x4-bsds-small` twice. In one of them, reverse the order of the 32
# filters of the layer `block_0_conv1` and of their biases, and reverse the input channels of
# `block_0_conv2`. (A kernel has the shape height, width, inputs, outputs.) Do this in all 8 blocks
# (`block_0` to `block_7`), with `get_layer`, `get_weights` and `set_weights`. Show that the
# network computes the same as before. What does the blend of both networks, half and half,
# compute?

# %%
shuffled = None  # your network

# %% tags=["solution"]
# @title Solution 4
original = sr.models.load("edsr-x4-bsds-small")
shuffled = sr.models.load("edsr-x4-bsds-small")
for i in range(8):
    first_conv = shuffled.get_layer(f"block_{i}_conv1")
    second_conv = shuffled.get_layer(f"block_{i}_conv2")
    kernel, bias = first_conv.get_weights()
    first_conv.set_weights([kernel[..., ::-1], bias[::-1]])
    kernel, bias = second_conv.get_weights()
    second_conv.set_weights([kernel[:, :, ::-1], bias])

networks = {"original": original, "shuffled": shuffled}
networks["half and half"] = sr.models.blend(original, shuffled, 0.5)
for name, model in networks.items():
    psnr = score(hr, sr.upscale(model, clean), scale)["psnr_y"]
    print(f"{name}: {psnr:.2f} dB")

# %% [markdown] tags=["solution"]
# Both networks compute the same function, but the blend is far worse, because filters at the same
# place do different things. It is only about as good as bicubic interpolation (26.74 dB). Networks
# that were trained independently cannot be blended either, as a rule. Entezari and others
# conjecture that they usually can after a suitable reordering of filters.

# %% [markdown]
# **Exercise 5.** Which amount of detail, if any, would you choose for a face in the news, for a
# texture in a game, and for an old family photo? Compress a face and a texture, and compare the
# amounts 0, 0.5 and 1 with the original. Give your reason in one sentence for each.

# %%
panels = None  # your pictures

# %% tags=["solution"]
# @title Solution 5
grass = np.repeat(data.grass()[:160, :160, None], 3, axis=2)
panels = {}
for name, photo in {"face": data.astronaut()[30:190, 150:310], "grass": grass}.items():
    small_photo = jpeg(resize(photo, 0.5), 60)
    panels[f"{name}: original, enlarged by 2"] = resize(photo, 2)
    for d in (0, 0.5, 1):
        panels[f"{name}: {d}"] = sr.upscale(blends[d], small_photo)
sr.plotting.comparison(panels, crop=(90, 70, 180, 180), columns=4, whole=False)

# %% [markdown] tags=["solution"]
# There is no single answer. In the news nothing should be invented, but the eyes are wrong at every
# amount, even at 0, so none is suitable. A texture only has to look plausible (1, except for the
# specks of colour). For a family photo it is a question of taste, if the viewers know that it is an
# illustration.

# %% [markdown]
# ## Summary
#
# - An LR image from a camera is blurred, noisy and compressed. Blocks and noise can be estimated
#   without the original, but the scene changes both numbers, and JPEG hides the noise.
# - A network trained on bicubic LR images enlarges damage like detail. A network trained on
#   imitated damage removes a part of it. Ours is worse than EDSR on clean images, probably because
#   the degradations of its training act as a prior.
# - Second-order degradation applies blur, resizing, noise and JPEG twice, with new random settings
#   each time.
# - The weights of a network and of a GAN that was trained from it can be averaged, so that the user
#   chooses how much the GAN adds. At the amount 0, the first network may invent detail, too.
# - For damaged images, a high LR-PSNR is no sign of a good result. Repaired and invented detail
#   cannot be told apart without the original.
#
# ## Further reading
#
# - Wang, Xie, Dong and Shan, [Real-ESRGAN](https://arxiv.org/abs/2107.10833), 2021: second-order
#   degradation.
# - Zhang, Liang, Van Gool and Timofte, [Designing a practical degradation
#   model](https://arxiv.org/abs/2103.14006), 2021 (BSRGAN): a random order instead.
# - Wang and others, [ESRGAN](https://arxiv.org/abs/1809.00219), 2018, and [Deep network
#   interpolation](https://arxiv.org/abs/1811.10515), 2019: blending weights.
# - Hinton, Vinyals and Dean, [Distilling the knowledge in a neural
#   network](https://arxiv.org/abs/1503.02531), 2015.
# - Wan and others, [Swift parameter-free attention network](https://arxiv.org/abs/2311.12770),
#   2023: SPAN.
# - Chen and others, [Camera lens super-resolution](https://arxiv.org/abs/1904.03378), 2019:
#   City100.
# - Immerkær, [Fast noise variance estimation](https://doi.org/10.1006/cviu.1996.0060), 1996: with
#   the mean instead of the median.
# - Entezari and others, [The role of permutation invariance in linear mode
#   connectivity](https://arxiv.org/abs/2110.06296), 2022: when networks can be blended.
