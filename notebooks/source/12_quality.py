# %% [markdown]
# # 12. Measuring quality
#
# What PSNR, SSIM, MS-SSIM, HFENN, IFC, VIF, NIQE and VGG distance answer, what fools each of them, and how one asks machines and people instead.
#
# **You will be able to**
#
# - say what each of eight measures answers, and show a picture that fools it;
# - write MS-SSIM, HFENN, the heart of NIQE, VGG distance and Gram matrices in a few lines;
# - measure by a task, and collect opinions blindly, with a confidence interval;
# - draw the perception-distortion plane, and explain why nobody gets to its corner.
#
# **You need** lesson 1 (PSNR, SSIM, luma). Convolutions and VGG are explained as far as they are needed here; lesson 7 trains with them.
#
# **Time:** 1.5 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate); reading and exercises take longer.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/12_quality.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/12_quality.py) · Previous: [11. A VAE: many answers to one question](11_vae.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/11_vae.ipynb)) · Next: [13. What it makes up: hallucination and bias](13_hallucination.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/13_hallucination.ipynb)) · [All lessons](README.md)

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

here = sr.course.start(minutes=(0.7, 1.5, 1), side=(192, 384, 384), photos=(1, 2, 2))

# %% [markdown]
# ## Equal PSNR, unequal looks
#
# A measure is a question put to a picture. We begin with a photo and spoil it in eight ways. All scores of this part are of a
# square of this photo, without a border cut.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage
from skimage import data

photo = data.astronaut()[: here.side, 100 : 100 + here.side]
hr = sr.images.to_float(photo)
luma = sr.images.luma(hr)[..., 0]
face = (60, 66, 104, 104)
print(photo.shape, photo.dtype)

# %% [markdown]
# PSNR sees nothing but the length of the error: the root of its mean square, in decibels. The direction of the error, which pixel
# and which sign, does not enter.


# %%
def psnr(image):
    error = sr.images.luma(image)[..., 0] - luma
    return -10 * np.log10(np.mean(error**2))


moved = np.roll(hr, 1, axis=1)
package = sr.metrics.psnr(hr[None], moved[None], luma=True)[0]
np.testing.assert_allclose(psnr(moved), package, atol=1e-3)
print(f"moved by one pixel: {psnr(moved):.2f} dB (luma, no border cut)")

# %% [markdown]
# A photo moved by one pixel is as good as the photo. Its PSNR sets the mark: seven other errors, each a direction, get the
# length with which they have the same PSNR.

# %%
generator = np.random.default_rng(0)
soft = ndimage.gaussian_filter(hr, (2.4, 2.4, 0))
spot = np.zeros_like(hr)
spot[100:140, 100:140] = -1
directions = {
    "moved": moved - hr,
    "brighter": np.ones_like(hr),
    "contrast": hr - hr.mean(),
    "noise": generator.normal(size=(*luma.shape, 1)),
    "JPEG": sr.images.to_float(sr.degradations.JPEG(3)(photo)) - hr,
    "spot": spot,
    "blur": soft - hr,
    "sharpened": hr - soft,
}

# %% [markdown]
# The last two are the same error with the opposite sign. Lengths are found by halving an interval, since values end at black and
# white, and are rounded to 8 bits as in files.


# %%
def with_psnr(target, direction):
    low, high = 0.0, 8.0
    for _ in range(16):
        middle = (low + high) / 2
        image = sr.images.to_integer(hr + middle * direction)
        too_good = psnr(sr.images.to_float(image)) > target
        low, high = (middle, high) if too_good else (low, middle)
    return image


target = psnr(moved)
spoiled = {name: with_psnr(target, e) for name, e in directions.items()}

# %% [markdown]
# **Predict:** which of the eight would you call the best picture, and which the worst? Write down an order before you go on.

# %%
sr.plotting.comparison(
    {"HR": photo, **spoiled},
    scores={
        name: f"{psnr(sr.images.to_float(image)):.2f} dB"
        for name, image in spoiled.items()
    },
    crop=face,
    columns=3,
    title="PSNR on luma, no border cut, 8 bits",
    whole=False,
)

# %%
sr.plotting.slider(
    {"HR": photo, "moved": spoiled["moved"]},
    crop=face,
    zoom=3,
    title=f"HR, and moved by one pixel: {target:.2f} dB (luma, no border cut)",
)

# %% [markdown]
# One number (the brightening misses it by 0.2 dB, since 8 bits brighten in whole levels), eight pictures. The moved photo needs the
# slider to be told from HR; under JPEG the face is a mosaic. PSNR punishes what nobody sees, and does not know what everybody sees.
#
# ## SSIM, and SSIM from afar
#
# SSIM looks at small windows. We write it with a Gaussian filter: where the window fits, a luminance term and a contrast term, the
# second saying whether both images go up and down together.


# %%
def window_mean(x):
    return ndimage.gaussian_filter(x, 1.5, radius=5)[5:-5, 5:-5]


def terms(a, b):
    mean_a, mean_b = window_mean(a), window_mean(b)
    variances = window_mean(a * a) + window_mean(b * b) - mean_a**2 - mean_b**2
    together = window_mean(a * b) - mean_a * mean_b
    squares = mean_a**2 + mean_b**2
    luminance = (2 * mean_a * mean_b + 0.01**2) / (squares + 0.01**2)
    return luminance, (2 * together + 0.03**2) / (variances + 0.03**2)


# %%
def as_luma(image):
    return sr.images.luma(sr.images.to_float(image))[..., 0].astype("float64")


ssim_maps = {}
for name, image in spoiled.items():
    luminance, contrast = terms(as_luma(photo), as_luma(image))
    ssim_maps[name] = luminance * contrast
    pair = hr[None], sr.images.to_float(image)[None]
    package = sr.metrics.ssim(*pair, luma=True)[0]
    np.testing.assert_allclose(ssim_maps[name].mean(), package, atol=1e-4)

# %% [markdown]
# The mean of the map is the score. **Predict:** where will the map of the noise be darkest, on the hair, in the face, or on the smooth
# background?

# %%
fig, axes = plt.subplots(2, 4, figsize=(9, 5), layout="constrained")
for ax, (name, values) in zip(axes.flat, ssim_maps.items(), strict=True):
    ax.imshow(values, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{name}: {values.mean():.3f}", fontsize=10)
    ax.set(xticks=[], yticks=[])
fig.suptitle("SSIM on luma, all windows: white is 1, black 0 or less", fontsize=11)
plt.show()

# %% [markdown]
# The noise is darkest on the smooth background, where nothing hides it; on edges it passes. The dark spot in the face, which everybody
# sees first, is one small stain in a white map: averaged, it has the best SSIM of the eight.
#
# *MS-SSIM* asks the same from five distances: the contrast term, again after each halving of the size, and at the end the whole SSIM. The
# five means are multiplied, each to a power that was found with human observers.

# %%
powers = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def five_distances(a, b):
    values = []
    for _ in powers:
        luminance, contrast = terms(a, b)
        values.append(contrast.mean())
        a, b = (
            x.reshape(len(x) // 2, 2, -1, 2).mean(axis=(1, 3)) if len(x) % 2 == 0 else x
            for x in (a, b)
        )
    values[-1] = (luminance * contrast).mean()
    return np.array(values)


# %%
curves = {n: five_distances(as_luma(photo), as_luma(s)) for n, s in spoiled.items()}
for name, values in curves.items():
    pair = hr[None], sr.images.to_float(spoiled[name])[None]
    package = sr.metrics.ms_ssim(*pair, luma=True)[0]
    np.testing.assert_allclose(np.prod(values**powers), package, atol=1e-3)

# %%
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for i, (name, values) in enumerate(curves.items()):
    total = np.prod(values**powers)
    style = "-" if i < 4 else "--"
    ax.plot(range(5), values, "o" + style, ms=4, label=f"{name}: MS-SSIM {total:.3f}")
ax.set_xticks(range(5), ["full size", "1/2", "1/4", "1/8", "1/16"])
ax.set(ylabel="mean term of SSIM", title="on luma, no border cut")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# From afar noise averages out: its term climbs from 0.55 to nearly 1. The spot's falls: it is large enough to be seen from afar. The
# product forgives all but the spot more than SSIM does; noise and JPEG stay last.
#
# ## HFENN: are the edges right?
#
# The *high-frequency error norm* compares edges only. A Laplacian of a Gaussian answers with zero to flat and evenly rising areas, and
# strongly to edges. The kernel by hand, 15 x 15 pixels:

# %%
offset = np.arange(15) - 7
square = offset[:, None] ** 2 + offset**2
gaussian = np.exp(-0.5 * square / 1.5**2)
kernel = gaussian / gaussian.sum() * (square - 2 * 1.5**2) / 1.5**4
kernel -= kernel.mean()  # so that flat areas give exactly zero

# %%
from scipy import signal


def edges(image):
    return signal.fftconvolve(as_luma(image), kernel, mode="valid")


for name, image in spoiled.items():
    by_hand = np.linalg.norm(edges(image) - edges(photo))
    by_hand /= np.linalg.norm(edges(photo))
    pair = hr[None], sr.images.to_float(image)[None]
    package = sr.metrics.hfenn(*pair, luma=True)[0]
    np.testing.assert_allclose(by_hand, package, atol=1e-3)
    print(f"{name:10} HFENN {by_hand:.3f} (luma, no border cut; 0 is best)")

# %%
shown = {"HR": photo, **{n: spoiled[n] for n in ("brighter", "blur", "noise")}}
fig, axes = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
for ax, (name, image) in zip(axes, shown.items(), strict=True):
    ax.imshow(edges(image), cmap="gray", vmin=-0.15, vmax=0.15)
    ax.set(title=name, xticks=[], yticks=[])
fig.suptitle("Luma after the kernel: grey is 0", fontsize=11)
plt.show()

# %% [markdown]
# Brightening costs 0.03, and only where it was cut at white: HFENN does not see brightness. It is hard on blur and on its opposite alike,
# and prefers noise to both: whoever trains for edges should know that.
#
# ## IFC and VIF: how much can still be learned?
#
# Both treat spoiling as a radio channel: in every small window of every band of a wavelet transform (which splits it
# by size and direction of detail), the picture arrives as `gain * original + noise`. Gain and noise come from a straight-line fit. Here on
# plain pixels, to see the idea:


# %%
def channel(a, b):
    """Fits b = gain * a + noise in each window of 11 x 11 pixels."""
    mean_a, mean_b = window_mean(a), window_mean(b)
    variance = np.maximum(window_mean(a * a) - mean_a**2, 1e-6)
    gain = (window_mean(a * b) - mean_a * mean_b) / variance
    noise = window_mean(b * b) - mean_b**2 - gain**2 * variance
    return gain, np.sqrt(np.maximum(noise, 0))


# %%
busy = window_mean(as_luma(photo) ** 2) - window_mean(as_luma(photo)) ** 2 > 0.03**2
for name, image in spoiled.items():
    gain, noise = channel(as_luma(photo), as_luma(image))
    gain, noise = np.median(gain[busy]), np.median(noise[busy])
    print(f"{name:10} gain {gain:.2f}, noise {255 * noise:4.1f} grey levels")
print("(medians over windows with detail, luma, no border cut)")

# %% [markdown]
# The fit tells what was done. Blur: less than half of the gain. Sharpening: too much of it. Noise: the full gain, and 12.6 levels of
# noise. Moving a photo looks like a mixture of blur and noise.
#
# A channel of signal variance `s`, gain `g` and noise variance `v` carries `log2(1 + g**2 * s / v) / 2` bits a number. IFC adds up such
# bits, by custom without the half. VIF first lets an eye with noise of its own look at both pictures, and takes the ratio: 1 is "all of it".

# %%
for name, image in {"HR itself": photo, **spoiled}.items():
    ifc, vif = sr.quality.ifc(photo, image), sr.quality.vif(photo, image)
    print(f"{name:10} IFC {ifc:5.2f} bits a pixel, VIF {vif:.3f}")
print("(luma, no border cut; more is better)")
np.testing.assert_allclose(sr.quality.vif(photo, photo), 1)

# %% [markdown]
# Of blur and sharpening, equally far from HR, VIF much prefers the second: gain counts as information. IFC has no ceiling, so that a
# pixel left alone is worth dozens of bits: the spot gets eleven times the IFC of the moved photo. Neither forgives moving by a pixel.
#
# ## NIQE: does it look like a photo?
#
# So far every measure needed HR. NIQE needs none. Divide a photo, minus its local mean, by its local contrast: what remains has nearly
# the same bell-shaped histogram in every good photo.


# %%
def normalized(image):
    x = 255 * as_luma(image)
    mean = ndimage.gaussian_filter(x, 7 / 6, radius=3)
    deviation = np.sqrt(
        np.abs(ndimage.gaussian_filter(x**2, 7 / 6, radius=3) - mean**2)
    )
    return (x - mean) / (deviation + 1)


# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2.9), layout="constrained")
others = {"astronaut": photo, "cat": data.chelsea(), "coffee": data.coffee()}
changed = {"HR": photo, **{n: spoiled[n] for n in ("noise", "blur", "sharpened")}}
for ax, pictures in zip(axes, (others, changed), strict=True):
    for name, image in pictures.items():
        values = normalized(image).ravel()
        ax.hist(
            values, np.linspace(-3, 3, 61), histtype="step", density=True, label=name
        )
    ax.legend(frameon=False, fontsize=8)
    ax.set(xlabel="normalized luma", yticks=[])
axes[0].set_title("three photos", fontsize=10)
axes[1].set_title("one photo, spoiled", fontsize=10)
plt.show()

# %% [markdown]
# Three photos, three bells of about one width. Noise makes the bell wide and flat, blur narrow and high. That of the sharpened photo is
# near to HR's: remember it when NIQE judges sharpening.
#
# NIQE describes patches of 96 x 96 pixels by 36 numbers on such distributions, then asks how far their mean is from that of good
# photos. The distance by hand, with two sets of pictures as "good" and "other":

# %%
photos = sr.datasets.samples(scale=4)  # the scale is of no matter here
good = sr.quality.fit_niqe(photos.hr(i) for i in range(len(photos)))
gravel = np.hstack([data.gravel()[:480, :480]] * 2)  # 50 patches, all of them sharp
other = sr.quality.fit_niqe([gravel])
difference = other["mean"] - good["mean"]
inverse = np.linalg.pinv((other["covariance"] + good["covariance"]) / 2)
by_hand = np.sqrt(difference @ inverse @ difference)
np.testing.assert_allclose(by_hand, sr.quality.niqe(gravel, model=good), rtol=1e-6)
print(f"gravel, measured by six photos: {by_hand:.2f}")

# %% [markdown]
# The package comes with "good" fitted to the training photos of BSDS500. From here on that is NIQE. **Predict:** what does sharpening do to the
# score of a bicubic enlargement, and what a pinch of noise?

# %%
whole = data.astronaut()
lr = sr.degradations.Downscale(4)(whole)
bicubic = sr.images.to_float(sr.upscale(sr.models.bicubic(4), lr))
softer = ndimage.gaussian_filter(bicubic, (3, 3, 0))
grain = generator.normal(size=(*whole.shape[:2], 1))
tricks = {f"sharpened by {a}": bicubic + a * (bicubic - softer) for a in (1, 2, 5)}
tricks |= {f"noise {s:.0%}": bicubic + s * grain for s in (0.01, 0.02, 0.05)}
tricks = {"bicubic": bicubic, **tricks}
tricks = {name: sr.images.to_integer(image) for name, image in tricks.items()}
tricks["HR"] = whole

# %%
captions = {}
for name, image in tricks.items():
    pair = sr.images.to_float(whole)[None], sr.images.to_float(image)[None]
    value = sr.metrics.psnr(*pair, luma=True, border=4)[0]
    niqe = sr.quality.niqe(image, border=4)
    captions[name] = f"NIQE {niqe:.2f}" + ("" if name == "HR" else f", {value:.2f} dB")
sr.plotting.comparison(
    tricks,
    scores=captions,
    crop=(60, 166, 104, 104),
    columns=4,
    title="Astronaut x4: NIQE (less is better) and PSNR on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# The more sharpening, the better NIQE, down to a mask at 19.75 dB, which it rates better than plain bicubic by 1.5. One percent of
# noise helps too, more harms. NIQE is fooled, but not entirely: no trick comes near the 3.76 of HR.
#
# ## VGG distance: are the features right?
#
# VGG19 was trained to name what is in photos. On the way it computes *features*: maps that answer to edges, then textures, then parts of
# things. Two pictures are close if their features are.

# %%
layers = ["vgg19/block3_conv1", "vgg19/block4_conv4"]
extract = sr.features.FeatureExtractor(layers)
try:
    extract(hr[None, :32, :32])
    has_vgg = True
except OSError:
    has_vgg = False
    print(
        "Skipped, what needs VGG19: its weights are not here and cannot be downloaded."
    )

# %% [markdown]
# By hand it is the mean squared difference. A Gram matrix instead sums, over all places, the product of each two features: it knows which
# features come together, but not where.


# %%
def vgg_distance(a, b):
    return np.mean((a - b) ** 2)


def gram(features):
    return np.einsum("ijk,ijl->kl", features, features)


def gram_distance(a, b):
    return np.sum((gram(a) - gram(b)) ** 2) / np.sum(gram(a) ** 2)


def features_of(image):
    batch = sr.images.to_float(image)[None]
    return [np.asarray(x)[0].astype("float64") for x in extract(batch)]


# %%
if has_vgg:
    hr_part, spoiled_part = photo[60:124, 66:130], spoiled["JPEG"][60:124, 66:130]
    a, b = features_of(hr_part), features_of(spoiled_part)
    pair = [sr.images.to_float(image)[None] for image in (hr_part, spoiled_part)]
    content, texture = sr.losses.Content(layers[1]), sr.losses.Texture(layers[:1])
    np.testing.assert_allclose(vgg_distance(a[1], b[1]), content(*pair), rtol=1e-3)
    np.testing.assert_allclose(gram_distance(a[0], b[0]), texture(*pair), rtol=1e-3)
    print("equal to sr.losses.Content and sr.losses.Texture")

# %% [markdown]
# **Predict:** the last picture is the photo, cut in the middle, its halves exchanged. Which of the two distances notices?

# %%
vgg_scores = {}
if has_vgg:
    original = features_of(photo)
    halves = np.roll(photo, here.side // 2, axis=1)
    for name, image in {**spoiled, "exchanged": halves}.items():
        found = features_of(image)
        vgg_scores[name] = vgg_distance(original[1], found[1])
        texture = gram_distance(original[0], found[0])
        print(f"{name:10} VGG {vgg_scores[name]:8.0f}, Gram {texture:.4f}")
    print(f"({layers[1]} and {layers[0]}, RGB, no border cut; 0 is best)")

# %% [markdown]
# VGG distance finds the exchanged halves worse than anything. To the Gram matrix they are nearly the same picture: it knows the
# texture, and no places. It is most disturbed by sharpening. VGG distance is mild with brighter and moved photos, and with the spot in
# the face.
#
# ## Eight judges at one table
#
# PSNR, the eighth judge, calls the eight pictures equal. Here are the verdicts of the seven others. NIQE sees each picture alone; all others see HR too.

# %%
judges = {  # a function of two files, and whether more is better
    "SSIM": (lambda a, b: float_score(sr.metrics.ssim, a, b), True),
    "MS-SSIM": (lambda a, b: float_score(sr.metrics.ms_ssim, a, b), True),
    "HFENN": (lambda a, b: float_score(sr.metrics.hfenn, a, b), False),
    "IFC": (sr.quality.ifc, True),
    "VIF": (sr.quality.vif, True),
    "NIQE": (lambda a, b: sr.quality.niqe(b), False),
}


def float_score(metric, a, b):
    a, b = (sr.images.to_float(image)[None] for image in (a, b))
    return float(metric(a, b, luma=True)[0])


# %%
verdicts = {
    judge: [f(photo, image) for image in spoiled.values()]
    for judge, (f, _) in judges.items()
}
if has_vgg:
    verdicts["VGG"] = [vgg_scores[name] for name in spoiled]

# %%
ranks = {}
for judge, values in verdicts.items():
    more_is_better = judge in judges and judges[judge][1]
    order = np.argsort(values)[::-1] if more_is_better else np.argsort(values)
    ranks[judge] = np.argsort(order) + 1
table = np.array(list(ranks.values()))

fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
ax.imshow(table, cmap="RdYlBu_r", aspect="auto", alpha=0.7)
for i, judge in enumerate(verdicts):
    for j, value in enumerate(verdicts[judge]):
        number = f"{value:.0f}" if value > 100 else f"{value:.3g}"
        ax.text(j, i, f"{number}\n#{table[i, j]}", ha="center", va="center", fontsize=9)
ax.set_xticks(range(len(spoiled)), spoiled)
ax.set_yticks(range(len(verdicts)), verdicts)
ax.set_title(
    f"all near {target:.1f} dB; luma (VGG: RGB), no border cut; #1: best", fontsize=10
)
plt.show()

# %% [markdown]
# No two rows are equal. All put brightening among the best three, and blur among the worst three. About noise they disagree from 4th to
# last, about the moved photo from 2nd to 6th. The spot, which ruins the face, is never worse than 3rd: all average over the picture.
# So: choose the question first, then the measure.
#
# ## Ask a machine: task-based evaluation
#
# Whoever enlarges photos to find things in them should measure the finding. Our task: recognize points of the left photo of a stereo
# pair in the right one. For these two photos the true shift of almost every pixel was measured, too.

# %%
from skimage import feature

left, right, disparity = data.stereo_motorcycle()  # pixels to the left, in `right`
rows, columns = (
    (slice(100, 300), slice(200, 500)) if here.fast else (slice(500), slice(740))
)
left, disparity = left[rows, columns], disparity[rows, columns]
right = right[rows, columns]
print(left.shape, f"shift known for {np.isfinite(disparity).mean():.0%} of the pixels")

# %% [markdown]
# ORB finds corners and describes each by 256 bits. Two points match if each is the other's nearest. A match is right if it is
# within 3 pixels of the truth.


# %%
def describe(image):
    orb = feature.ORB(n_keypoints=500, fast_threshold=0.05)
    orb.detect_and_extract(as_luma(image))
    return orb.keypoints, orb.descriptors


def matches(image, points, bits):
    """Returns how many matches can be checked, and how many of them are right."""
    found, found_bits = describe(image)
    pairs = feature.match_descriptors(found_bits, bits, cross_check=True)
    places, there = found[pairs[:, 0]], points[pairs[:, 1]]
    shift = disparity[tuple(places.astype(int).T)]
    error = np.hypot(places[:, 0] - there[:, 0], places[:, 1] - shift - there[:, 1])
    return np.isfinite(shift).sum(), (error < 3).sum()


# %% [markdown]
# The left photo is taken from its LR image, the right stays HR. **Predict:** which interpolation serves the machine best? It
# was bicubic that had the highest PSNR in lesson 1.

# %%
lr = sr.degradations.Downscale(4)(left)
enlarged = {
    name: sr.upscale(builder(4), lr)
    for name, builder in sr.models.INTERPOLATIONS.items()
}
x = sr.images.to_float(enlarged["bicubic"])
sharp = x + 2 * (x - ndimage.gaussian_filter(x, (3, 3, 0)))
enlarged["bicubic, sharpened"] = sr.images.to_integer(sharp)

# %%
points, bits = describe(right)
rights = {}
for name, image in {**enlarged, "HR": left}.items():
    checked, rights[name] = matches(image, points, bits)
    pair = sr.images.to_float(left)[None], sr.images.to_float(image)[None]
    value = sr.metrics.psnr(*pair, luma=True, border=4)[0]
    decibel = "" if name == "HR" else f", {value:.2f} dB"
    print(f"{name:18} {rights[name]:3} of {checked} matches right{decibel}")
print("(motorcycle x4, PSNR on luma, 4 pixels cut, 8 bits; right: within 3 pixels)")

# %% [markdown]
# Nearest, with staircases and less PSNR than the two others, leads bilinear and bicubic, and sharpening, at the lowest PSNR of all,
# helps most: corners need contrast. PSNR did not predict the task. But this is one pair of photos, one detector, some dozens of
# matches: a difference of five means little.
#
# A classifier is another machine to ask. The next cell downloads one of 14 MB, trained on ImageNet, and names what it sees; without a network it
# says so and goes on.

# %%
import contextlib
import io

import keras


def best_guesses(classifier, image):
    x = keras.ops.image.resize(sr.images.to_float(image), (224, 224), antialias=True)
    scores = classifier.predict(2 * x[None] - 1, verbose=0)
    return keras.applications.imagenet_utils.decode_predictions(scores, top=2)[0]


try:
    with contextlib.redirect_stdout(io.StringIO()):  # no bars, one line if it fails
        classifier = keras.applications.MobileNetV2(weights="imagenet")
    cat = data.chelsea()[:, 75:375][:296, :296]
    for scale in (1, 4, 8):
        lr = sr.degradations.Downscale(scale)(cat)
        image = cat if scale == 1 else sr.upscale(sr.models.bicubic(scale), lr)
        for _, name, share in best_guesses(classifier, image):
            print(f"cat, bicubic x{scale}: {name} {share:.0%}")
except Exception as error:  # Keras raises a bare Exception for a failed download
    print(f"Skipped: the classifier could not be downloaded. {str(error)[:60]}...")

# %% [markdown]
# ## Ask people: mean opinion scores
#
# In the end pictures are for people. A *mean opinion score* (MOS) is the mean grade from 1 (bad) to 5 (excellent). It is worth something only
# if raters do not know what they look at: names hidden, order shuffled.

# %%
cat = data.chelsea()[40:232, 100:292]
lr = sr.degradations.Downscale(4)(cat)
candidates = {n: sr.upscale(b(4), lr) for n, b in sr.models.INTERPOLATIONS.items()}
x = sr.images.to_float(candidates["bicubic"])
sharp = x + 2 * (x - ndimage.gaussian_filter(x, (3, 3, 0)))
candidates["sharpened"] = sr.images.to_integer(sharp)
candidates["HR"] = cat

# %%
order = generator.permutation(list(candidates))
letters = dict(zip("ABCDE", order, strict=True))
sr.plotting.comparison(
    {letter: candidates[name] for letter, name in letters.items()},
    crop=(32, 60, 96, 96),
    columns=3,
    title="Give each a grade from 1 (bad) to 5 (excellent)",
    whole=False,
)

# %% [markdown]
# Write your five grades down. The widget below does it properly: one picture at a time, shuffled for each rater, and each grade goes into a file.
# It needs `ipywidgets`, which Colab has; this page was made without it.


# %%
from PIL import Image


def as_png(image):
    file = io.BytesIO()
    Image.fromarray(image).resize((384, 384), Image.Resampling.NEAREST).save(
        file, "png"
    )
    return file.getvalue()


# %%
def rating_widget(pictures, file, rater, widgets):
    order = list(np.random.default_rng().permutation(list(pictures)))  # every time anew
    view = widgets.Image(width=384, height=384)
    buttons = widgets.ToggleButtons(options=[1, 2, 3, 4, 5], value=None)

    def show():
        view.value = as_png(pictures[order[0]])

    def keep(change):
        if change["new"] is None or not order:
            return
        with open(file, "a") as table:
            table.write(f"{rater},{order.pop(0)},{change['new']}\n")
        buttons.value = None
        if order:
            show()
        else:
            view.layout.display = buttons.layout.display = "none"

    buttons.observe(keep, "value")
    show()
    return widgets.VBox([view, buttons])


# %%
from IPython.display import display

try:
    import ipywidgets

    display(rating_widget(candidates, "ratings.csv", "rater-1", ipywidgets))
except ImportError:
    print("No widget: `pip install ipywidgets` and restart. The rest runs without it.")

# %% [markdown]
# Rate first: the next cell tells which letter was which, and the means of what the file holds. For another rater, run the cell above with
# another name.

# %%
import csv
import os

print("Which was which:", ", ".join(f"{k}: {n}" for k, n in letters.items()))
if os.path.exists("ratings.csv"):
    with open("ratings.csv") as file:
        table = list(csv.reader(file))
    for name in candidates:
        grades = [int(grade) for _, other, grade in table if other == name]
        print(
            f"{name:10} {len(grades)} grades, mean {np.mean(grades):.2f}"
            if grades
            else name
        )
else:
    print("No ratings were collected yet: there is no file ratings.csv.")

# %% [markdown]
# No person rated these pictures for this page, so there is no MOS to report. How many raters one needs can be learned from **simulated** ones.
# Their grades say nothing about any picture: we invent what they think.


# %%
def simulated_grades(raters, rng):
    """Grades of raters who do not exist, for three versions that do not exist."""
    opinion = np.array([2.6, 3.0, 3.5])  # invented
    mood = rng.normal(0, 0.8, (raters, 1))  # some are strict, some are kind
    chance = rng.normal(0, 0.5, (raters, 3))
    return np.clip(np.round(opinion + mood + chance), 1, 5)


crowd = np.random.default_rng(1)
grades = simulated_grades(26, crowd)
print("SIMULATED grades of the first four raters:\n", grades[:4].astype(int))

# %% [markdown]
# The mean of 26 grades (SRGAN's paper asked 26 people) is not the mean of all people. With the standard deviation `s`, the true mean lies
# within `t * s / sqrt(n)` in 95% of such studies, `t` from Student's distribution.

# %%
from scipy import stats


def interval(values):
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return values.mean(), half


for version in range(3):
    mean, half = interval(grades[:, version])
    values = grades[:, version]
    expected = stats.t.interval(0.95, 25, values.mean(), stats.sem(values))
    np.testing.assert_allclose((mean - half, mean + half), expected)
    print(
        f"SIMULATED version {version + 1}: MOS {mean:.2f} +- {half:.2f} (95%, 26 raters)"
    )

# %% [markdown]
# Is it true that 95% of the intervals hold the true mean? With people one cannot check that; with simulated raters one can ask a hundred
# thousand for the truth, and repeat the study.

# %%
truth = simulated_grades(100_000, crowd)[:, 0].mean()
means, halves = np.transpose(
    [interval(simulated_grades(26, crowd)[:, 0]) for _ in range(1000)]
)
inside = np.abs(means - truth) <= halves
print(
    f"SIMULATED: {inside.mean():.1%} of 1000 intervals hold the true mean {truth:.2f}"
)

fig, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
colors = np.where(inside[:60], "#0072B2", "#D55E00")
ax.errorbar(range(60), means[:60], halves[:60], fmt="none", ecolor=colors, lw=2)
ax.axhline(truth, color="0.4", ls="--", lw=1)
ax.set(xlabel="study", ylabel="MOS", title="SIMULATED: 60 studies of 26 raters each")
plt.show()

# %% [markdown]
# Four of the 60 intervals (orange) miss, and of the thousand 5 to 6%. That is what 95% means. And an interval of 26 raters is wide:
# two methods 0.3 apart can hardly be told apart by it.
#
# **Predict:** are versions 2 and 3 different? Compare the intervals of the two, and then the interval of each rater's difference, in
# which moods cancel.

# %%
for version in (1, 2):
    mean, half = interval(grades[:, version])
    print(f"SIMULATED version {version + 1}: {mean - half:.2f} to {mean + half:.2f}")
mean, half = interval(grades[:, 2] - grades[:, 1])
print(f"SIMULATED difference, rater by rater: {mean - half:.2f} to {mean + half:.2f}")

# %% [markdown]
# The two intervals overlap, and prove nothing. The interval of the differences does not contain 0: this crowd likes version 3 better. Let every rater
# grade every version, and compare rater by rater.
#
# ## The perception-distortion plane
#
# Two questions, then: how near to the truth, and how natural? Blau and Michaeli proved that beyond some point one is only had for the other.
# The smallest case is a single number `x`, seen with noise as large as itself.

# %%
x = generator.normal(size=200_000)
y = x + generator.normal(size=x.size)
best = y / 2  # the mean of all x that fit y: the least squared error
sample = best + np.sqrt(0.5) * generator.normal(size=x.size)  # one x that fits y
for name, guess in (("best guess", best), ("one that fits", sample)):
    mse = np.mean((guess - x) ** 2)
    print(
        f"{name}: squared error {mse:.3f}, spread {guess.std():.3f} (x: {x.std():.3f})"
    )

# %% [markdown]
# The best guess is too timid: its spread is too small, as a blurred picture has too little contrast. A random answer that fits has the right spread,
# at twice the squared error: 3 dB. In between, multiply the best guess by more than 1:

# %%
factors = np.linspace(1, np.sqrt(2), 20)
curve = [(np.mean((f * best - x) ** 2), abs((f * best).std() - 1)) for f in factors]
distortion, unnatural = np.transpose(curve)
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(distortion, unnatural, "o-", ms=3, label="best guess times 1 to 1.41")
ax.plot(np.mean((sample - x) ** 2), abs(sample.std() - 1), "s", label="one that fits")
ax.plot(np.mean((y - x) ** 2), abs(y.std() - 1), "^", label="what was seen")
ax.set(xlabel="distortion: squared error", ylabel="how unnatural: spread off by")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The best guess can be given the right spread, 0 at the lower end of the curve, for an error of about 0.59 instead of 0.5. No guess is
# left of the curve's start. Answers that are bad in both ways, as what was seen, are easy.
#
# Now pictures. The PIRM challenge of 2018 drew the root mean squared error of luma, in grey levels, to the right, and a *perceptual index* upwards: the
# mean of NIQE and of 10 minus the score of Ma and others, neither of which needs HR. We take NIQE alone.


# %%
def versions(lr, rng):
    result = {n: sr.upscale(b(4), lr) for n, b in sr.models.INTERPOLATIONS.items()}
    x = sr.images.to_float(result["bicubic"])
    detail = x - ndimage.gaussian_filter(x, (3, 3, 0))
    noise = rng.normal(size=(*x.shape[:2], 1))
    for amount in (0.5, 1, 2):
        result[f"sharpened {amount}"] = sr.images.to_integer(x + amount * detail)
    for sigma in (0.01, 0.02):
        result[f"noise {sigma:.0%}"] = sr.images.to_integer(x + sigma * noise)
    for name, network in networks.items():
        result[name] = sr.upscale(network, lr)
    return result


# %% [markdown]
# Four networks whose weights come with the package join in. SRCNN (lesson 4) and EDSR (lesson 8) were trained for small errors, the other two
# adversarially, against a network that judges (lesson 10):

# %%
files = {
    "SRCNN": "srcnn-x4-bsds-small",
    "EDSR": "edsr-x4-bsds-small",
    "SRGAN": "edsr-x4-bsds-srgan",
    "SRFeat": "edsr-x4-bsds-srfeat",
}
networks = {name: sr.models.load(file) for name, file in files.items()}

# %%
pairs = sr.datasets.samples(scale=4, split="validation")
mses, niqes = {}, {}
for i in range(here.photos):
    lr, true = pairs[i]
    for name, image in {**versions(lr, generator), "HR": true}.items():
        error = (as_luma(image) - as_luma(true))[4:-4, 4:-4]
        mses.setdefault(name, []).append(np.mean((255 * error) ** 2))
        niqes.setdefault(name, []).append(sr.quality.niqe(image, border=4))
rmse = {name: np.sqrt(np.mean(values)) for name, values in mses.items()}
niqe = {name: np.mean(values) for name, values in niqes.items()}
conditions = f"x4, {', '.join(pairs.names[: here.photos])}, luma, 4 pixels cut, 8 bits"

# %%
fig, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
across = ax.get_xaxis_transform()  # y from 0 to 1
left_end = min(10, min(rmse[n] for n in rmse if n != "HR")) - 1
for low, high, region in ((0, 11.5, 1), (11.5, 12.5, 2), (12.5, 16, 3)):
    ax.axvspan(low, high, color=("0.96", "0.92", "0.88")[region - 1], zorder=0)
    middle = (max(low, left_end) + high) / 2
    ax.text(middle, 0.2, f"region {region}", ha="center", transform=across)
for family in ("sharpened", "noise"):
    path = ["bicubic"] + [name for name in rmse if name.startswith(family)]
    ax.plot([rmse[n] for n in path], [niqe[n] for n in path], "-", color="0.7", lw=1)
for name in rmse:
    if name != "HR":
        point = rmse[name], niqe[name]
        to_the_left = name in networks and name != "SRGAN"
        offset, side = ((-7, -4), "right") if to_the_left else ((7, 1), "left")
        ax.plot(*point, "o", color="#D55E00" if name in networks else "#0072B2")
        ax.annotate(name, point, offset, textcoords="offset points", ha=side)
ax.axhline(niqe["HR"], color="0.4", ls="--", lw=1)
ax.text(16.4, niqe["HR"], "HR", ha="right", va="bottom")
ax.set_xlim(left_end, 16.5)
ax.margins(y=0.1)
ax.set(xlabel="RMSE in grey levels", ylabel="NIQE", title=conditions)
plt.show()

# %% [markdown]
# A little sharpening improves on bicubic in both ways. From there on RMSE is paid for NIQE, and a little noise is as good at that. Networks
# (orange) get further to the left than any of this. The two adversarial ones lie lowest, and to the right of EDSR, whose RMSE is the least:
# the trade of Blau and Michaeli. HR's line stays far below all. The regions, in which entries competed, were drawn for the challenge's
# photos: here they only show how.
#
# The package draws the plane with PSNR, reversed, so that better is again to the lower left:

# %%
rows = [
    {"model": name, "psnr_y": 20 * np.log10(255 / rmse[name]), "niqe": niqe[name]}
    for name in rmse
    if name != "HR"
]
sr.plotting.quality_against_perception(
    rows, baselines={"HR": niqe["HR"]}, title=f"{conditions}; PSNR of the mean error"
)

# %% [markdown]
# A plane is as honest as its axes. NIQE was fooled by sharpening above, and so would be a ranking by it. PIRM asked people as well.
#
# ## Exercises
#
# Each has a solution below it, folded. Try first.
#
# **Exercise 1.** Every value of an RGB picture is 10 of 255 levels too high. What is its PSNR on RGB? Pencil, paper and a logarithm will do.

# %%
answer = None  # your number, in dB

grey = np.full((1, 16, 16, 3), 0.5, "float32")
expected = float(sr.metrics.psnr(grey, grey + 10 / 255)[0])
sr.course.check(answer, expected, tolerance=0.05)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 1
answer = 20 * np.log10(255 / 10)
sr.course.check(answer, expected, tolerance=0.05)
on_luma = float(sr.metrics.psnr(grey, grey + 10 / 255, luma=True)[0])
print(f"{answer:.2f} dB on RGB; on luma, which has 219 levels, {on_luma:.2f} dB")

# %% [markdown]
# **Exercise 2.** Grades scatter with a standard deviation of 0.9. How many raters make the 95% interval `+- 0.2`, if `t` is taken as 2?

# %%
answer = None  # your number of raters

sr.course.check(answer, (10 * 0.9) ** 2, tolerance=0.5)

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 2
# t * s / sqrt(n) = 0.2, so n = (2 * 0.9 / 0.2)**2; half the width costs four times as many
answer = (2 * 0.9 / 0.2) ** 2
sr.course.check(answer, (10 * 0.9) ** 2, tolerance=0.5)
print(f"{answer:.0f} raters")

# %% [markdown]
# **Exercise 3.** Fool PSNR the other way: change `photo` so that everybody sees at once that it is spoiled, at more than 30 dB on luma. Does the mean
# of the SSIM map notice? Does its minimum?

# %%
prank = photo.copy()  # paint into it

value = sr.metrics.psnr(hr[None], sr.images.to_float(prank)[None], luma=True)[0]
print(f"{value:.1f} dB on luma (100: nothing was changed)")

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 3
y, x = np.indices(luma.shape)
prank = photo.copy()
prank[(y - 127) ** 2 + (x - 122) ** 2 < 36] = (220, 0, 0)  # a nose of radius 6
luminance, contrast = terms(as_luma(photo), as_luma(prank))
similarity = luminance * contrast
score = f"{psnr(sr.images.to_float(prank)):.1f} dB (luma)"
print(f"SSIM: mean {similarity.mean():.3f}, minimum {similarity.min():.3f} (luma)")
sr.plotting.comparison(
    {"prank": prank, "HR": photo}, scores={"prank": score}, crop=face, whole=False
)

# %% [markdown]
# **Exercise 4.** Another task: scikit-image's face detector, `detector.detect_multi_scale(img=..., scale_factor=1.2, step_ratio=1,
# min_size=(60, 60), max_size=(160, 160))`. Shrink `data.astronaut()` by 2, 4, 6, 8, 10 and 12, enlarge it with nearest and bicubic. Until
# when is the face found, near row 66, column 174? Are there false alarms?

# %%
detector = feature.Cascade(data.lbp_frontal_face_cascade_filename())

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 4
for scale in (2, 4, 6, 8, 10, 12):
    side = 512 // scale * scale
    lr = sr.degradations.Downscale(scale)(data.astronaut()[:side, :side])
    results = []
    for name in ("nearest", "bicubic"):
        image = sr.upscale(sr.models.INTERPOLATIONS[name](scale), lr)
        boxes = detector.detect_multi_scale(
            img=image,
            scale_factor=1.2,
            step_ratio=1,
            min_size=(60, 60),
            max_size=(160, 160),
        )
        right_ones = [b for b in boxes if abs(b["r"] - 66) + abs(b["c"] - 174) < 40]
        false = len(boxes) - len(right_ones)  # a detector is no smooth measure
        results.append(f"{name} {'found' if right_ones else 'lost'}, {false} false")
    print(f"x{scale}: {'; '.join(results)}")

# %% [markdown]
# **Exercise 5.** Natural for whom? Fit NIQE with `sr.quality.fit_niqe` to bricks, grass and gravel (`data.brick()` and so on, the upper 384 rows). How does
# this judge rate the rest of the gravel, and the astronaut? Compare with the judge of the package.

# %%
stones = None  # your model

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution 5
stones = sr.quality.fit_niqe(
    picture()[:384] for picture in (data.brick, data.grass, data.gravel)
)
for name, image in (("gravel", data.gravel()[384:]), ("astronaut", data.astronaut())):
    own, package = sr.quality.niqe(image, model=stones), sr.quality.niqe(image)
    print(f"{name:10} NIQE by stones and grass {own:6.2f}, by BSDS500 {package:5.2f}")
print("(luma, no border cut; gravel: the lower 128 rows)")

# %% [markdown]
# ## Summary
#
# - PSNR is the length of the error and nothing else: blur, noise, a spot and a move of one pixel can share it.
# - SSIM, MS-SSIM, HFENN, IFC and VIF ask for structure, from afar, for edges and for information. All want each pixel in its place, and all are
#   means: a ruined detail in a good picture costs them little.
# - NIQE needs no HR, and rewards sharpening that invents nothing. What it calls natural depends on the photos that it was fitted to.
# - VGG distance compares features, Gram matrices compare texture without places.
# - If pictures serve a task, measure the task. If they serve people, ask people, blindly, each about every version, and give the interval.
# - Beyond some point, less distortion and a more natural look are paid for with each other. Report both, with their conditions.
#
# ## Further reading
#
# - Wang, Simoncelli and Bovik, [Multiscale structural similarity for image quality assessment](https://doi.org/10.1109/ACSSC.2003.1292216), 2003: MS-SSIM.
# - Ravishankar and Bresler, [MR image reconstruction from highly undersampled k-space data by dictionary
#   learning](https://doi.org/10.1109/TMI.2010.2090538), 2011: where HFENN comes from.
# - Sheikh, Bovik and de Veciana, [An information fidelity criterion](https://doi.org/10.1109/TIP.2005.859389), 2005, and Sheikh and Bovik,
#   [Image information and visual quality](https://doi.org/10.1109/TIP.2005.859378), 2006: IFC and VIF.
# - Mittal, Soundararajan and Bovik, [Making a "completely blind" image quality analyzer](https://doi.org/10.1109/LSP.2012.2227726), 2013: NIQE.
# - Gatys, Ecker and Bethge, [Texture synthesis using convolutional neural networks](https://arxiv.org/abs/1505.07376), 2015: Gram matrices. Johnson, Alahi and
#   Fei-Fei, [Perceptual losses](https://arxiv.org/abs/1603.08155), 2016: VGG distance.
# - Zhang et al., [The unreasonable effectiveness of deep features as a perceptual metric](https://arxiv.org/abs/1801.03924), 2018: LPIPS, a distance of
#   features, VGG's for one, fitted to human judgements.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018, and Blau et al.,
#   [The 2018 PIRM challenge on perceptual image super-resolution](https://arxiv.org/abs/1809.07517), 2018.
# - Haris, Shakhnarovich and Ukita, [Task-driven super resolution](https://arxiv.org/abs/1803.11316), 2018: training for a task.
