# %% [markdown]
# # 12. Measuring quality
#
# What PSNR, SSIM, MS-SSIM, HFENN, IFC, VIF, NIQE and VGG distance measure, what fools each of them, and how to evaluate with a task or with human raters instead.
#
# ![A face and eight damaged versions of it](figures/12_goal.jpg)
#
# *A photo (the first picture) and eight pictures with the same PSNR. Which of them would you accept?*
#
# **You will be able to**
#
# - say what each of eight metrics measures, and show a picture that fools it;
# - write MS-SSIM, HFENN, the core of NIQE, VGG distance and Gram matrices in a few lines;
# - evaluate with a task, and collect opinions blindly, with a confidence interval;
# - draw the perception-distortion plane, and explain why no method reaches its corner.
#
# **You need** lesson 1 (PSNR, SSIM, luma). Convolutions and VGG are explained as far as they are needed here; lesson 7 trains with them.
#
# **Time:** about 70 minutes to read the core, 55 for the exercises; 1.5 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/12_quality.ipynb) · [Student edition](student/12_quality.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/12_quality.py) · Previous: [11. A VAE: many answers to one question](11_vae.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/11_vae.ipynb)) · Next: [13. Hallucination and bias](13_hallucination.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/13_hallucination.ipynb)) · [All lessons](README.md)

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
# ## Equal PSNR, unequal appearance
#
# A metric answers a question about a picture. We begin with a photo and degrade it in eight ways. All scores in this part are computed on a
# square of this photo, without cutting a border.

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
# PSNR depends only on the length of the error vector: it is the root mean square error in decibels. The direction of the error, that is which pixels change
# and with which sign, has no influence.


# %%
def psnr(image):
    error = sr.images.luma(image)[..., 0] - luma
    return -10 * np.log10(np.mean(error**2))


shifted = np.roll(hr, 1, axis=1)
package = sr.metrics.psnr(hr[None], shifted[None], luma=True)[0]
np.testing.assert_allclose(psnr(shifted), package, atol=1e-3)
print(f"shifted by one pixel: {psnr(shifted):.2f} dB (luma, no border cut)")

# %% [markdown]
# A photo shifted by one pixel is as good as the photo. We take its PSNR as the target: seven other errors, each with its own direction, are scaled to the
# length that gives the same PSNR.

# %%
rng = np.random.default_rng(0)
soft = ndimage.gaussian_filter(hr, (2.4, 2.4, 0))
spot = np.zeros_like(hr)
spot[100:140, 100:140] = -1
directions = {
    "shifted": shifted - hr,
    "brighter": np.ones_like(hr),
    "contrast": hr - hr.mean(),
    "noise": rng.normal(size=(*luma.shape, 1)),
    "JPEG": sr.images.to_float(sr.degradations.JPEG(3)(photo)) - hr,
    "spot": spot,
    "blur": soft - hr,
    "sharpened": hr - soft,
}

# %% [markdown]
# The last two are the same error with opposite signs. The scale is found by bisection, because values are clipped at black and
# white and rounded to 8 bits, as in files.


# %%
def with_psnr(target, direction):
    low, high = 0.0, 8.0
    for _ in range(16):
        middle = (low + high) / 2
        image = sr.images.to_integer(hr + middle * direction)
        if psnr(sr.images.to_float(image)) > target:
            low = middle
        else:
            high = middle
    return image


target = psnr(shifted)
degraded = {name: with_psnr(target, e) for name, e in directions.items()}

# %% [markdown]
# **Predict:** which of the eight would you call the best picture, and which the worst? Write down an order before you go on.

# %%
sr.plotting.comparison(
    {"HR": photo, **degraded},
    scores={
        name: f"{psnr(sr.images.to_float(image)):.2f} dB"
        for name, image in degraded.items()
    },
    crop=face,
    columns=3,
    title="PSNR on luma, no border cut, 8 bits",
    whole=False,
)

# %%
sr.plotting.slider(
    {"HR": photo, "shifted": degraded["shifted"]},
    crop=face,
    zoom=3,
    title=f"HR, and shifted by one pixel: {target:.2f} dB (luma, no border cut)",
)

# %% [markdown]
# All eight pictures have the same PSNR (the brighter one misses it by 0.2 dB, since 8 bits change brightness in whole levels). The shifted photo can only be distinguished from HR with the
# slider, while JPEG turns the face into a mosaic. PSNR penalizes errors that nobody sees, and does not reflect how visible an error is.
#
# ## SSIM at one scale and at several
#
# SSIM compares small windows. We write it with a Gaussian filter, for all positions at which the window fits. It has a luminance term and a contrast term, and the
# latter measures whether both images vary together.


# %%
def window_mean(x):
    return ndimage.gaussian_filter(x, 1.5, radius=5)[5:-5, 5:-5]


def ssim_terms(a, b):
    mean_a, mean_b = window_mean(a), window_mean(b)
    variances = window_mean(a * a) + window_mean(b * b) - mean_a**2 - mean_b**2
    covariance = window_mean(a * b) - mean_a * mean_b
    squares = mean_a**2 + mean_b**2
    luminance = (2 * mean_a * mean_b + 0.01**2) / (squares + 0.01**2)
    return luminance, (2 * covariance + 0.03**2) / (variances + 0.03**2)


# %%
def as_luma(image):
    return sr.images.luma(sr.images.to_float(image))[..., 0].astype("float64")


ssim_maps = {}
for name, image in degraded.items():
    luminance, contrast = ssim_terms(as_luma(photo), as_luma(image))
    ssim_maps[name] = luminance * contrast
    pair = hr[None], sr.images.to_float(image)[None]
    package = sr.metrics.ssim(*pair, luma=True)[0]
    np.testing.assert_allclose(ssim_maps[name].mean(), package, atol=1e-4)

# %% [markdown]
# The mean of the map is the score. **Predict:** where will the map of the noisy picture be darkest, on the hair, in the face, or on the smooth
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
# The map of the noise is darkest on the smooth background, where nothing hides the noise. On edges it is bright. The dark spot in the face, which everybody
# sees first, is one small stain in a white map. On average it has the best SSIM of the eight.
#
# *MS-SSIM* compares at five scales: the contrast term is computed again after each halving of the size, and the complete SSIM at the last scale. The
# five means are raised to powers that were fitted to human observers, and multiplied.

# %%
powers = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def halve(x):
    return x.reshape(len(x) // 2, 2, -1, 2).mean(axis=(1, 3))


def five_scales(a, b):
    values = []
    for i in range(5):
        luminance, contrast = ssim_terms(a, b)
        values.append(contrast.mean())
        if i < 4:
            a, b = halve(a), halve(b)
    values[-1] = (luminance * contrast).mean()
    return np.array(values)


# %%
curves = {n: five_scales(as_luma(photo), as_luma(x)) for n, x in degraded.items()}
for name, values in curves.items():
    pair = hr[None], sr.images.to_float(degraded[name])[None]
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
# At smaller scales noise averages out, and its term rises from 0.55 to nearly 1. The term of the spot falls, because it is large enough to remain visible. The
# product is higher than SSIM for all but the spot. Noise and JPEG stay last.
#
# ## HFENN: are the edges right?
#
# The *high-frequency error norm* compares edges only. A Laplacian of a Gaussian is zero in areas that are flat or change evenly, and
# large at edges. Here is the kernel by hand, 15 x 15 pixels:

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


for name, image in degraded.items():
    by_hand = np.linalg.norm(edges(image) - edges(photo))
    by_hand /= np.linalg.norm(edges(photo))
    pair = hr[None], sr.images.to_float(image)[None]
    package = sr.metrics.hfenn(*pair, luma=True)[0]
    np.testing.assert_allclose(by_hand, package, atol=1e-3)
    print(f"{name:10} HFENN {by_hand:.3f} (luma, no border cut; 0 is best)")

# %%
shown = {"HR": photo, **{n: degraded[n] for n in ("brighter", "blur", "noise")}}
fig, axes = plt.subplots(2, 2, figsize=(8, 8.4), layout="constrained")
for ax, (name, image) in zip(axes.flat, shown.items(), strict=True):
    ax.imshow(edges(image), cmap="gray", vmin=-0.15, vmax=0.15)
    ax.set(title=name, xticks=[], yticks=[])
fig.suptitle("Luma after the kernel: grey is 0", fontsize=11)
plt.show()

# %% [markdown]
# Brightening costs 0.03, and only where values were clipped at white, because HFENN ignores brightness. It rates blur and its opposite as equally bad,
# and prefers noise to both. Keep this in mind if you train for edges.
#
# ## IFC and VIF: how much information is left?
#
# Both treat the degradation as a transmission channel. In every small window of every band of a wavelet transform (which splits the picture
# by size and direction of detail), the picture arrives as `gain * original + noise`. Gain and noise come from a linear fit. We apply it to
# plain pixels to show the idea:


# %%
def channel(a, b):
    """Fits b = gain * a + noise in each window of 11 x 11 pixels."""
    mean_a, mean_b = window_mean(a), window_mean(b)
    variance = np.maximum(window_mean(a * a) - mean_a**2, 1e-6)
    gain = (window_mean(a * b) - mean_a * mean_b) / variance
    noise = window_mean(b * b) - mean_b**2 - gain**2 * variance
    return gain, np.sqrt(np.maximum(noise, 0))


# %%
window_variance = window_mean(as_luma(photo) ** 2) - window_mean(as_luma(photo)) ** 2
has_detail = window_variance > 0.03**2
for name, image in degraded.items():
    gain, noise = channel(as_luma(photo), as_luma(image))
    gain, noise = np.median(gain[has_detail]), np.median(noise[has_detail])
    print(f"{name:10} gain {gain:.2f}, noise {255 * noise:4.1f} grey levels")
print("(medians over windows with detail, luma, no border cut)")

# %% [markdown]
# The fit identifies the degradation. Blur has less than half of the gain, sharpening more than 1, and noise the full gain with 12.6 levels of
# noise. A shifted photo looks like a mixture of blur and noise.
#
# A channel with signal variance `s`, gain `g` and noise variance `v` transmits `log2(1 + g**2 * s / v) / 2` bits per sample. IFC is the sum of these
# bits, by convention without the half. VIF models an observer whose eye adds noise to both pictures, and takes the ratio of the information in them: 1 means that nothing was lost.

# %%
for name, image in {"HR itself": photo, **degraded}.items():
    ifc, vif = sr.quality.ifc(photo, image), sr.quality.vif(photo, image)
    print(f"{name:10} IFC {ifc:5.2f} bits per pixel, VIF {vif:.3f}")
print("(luma, no border cut; more is better)")
np.testing.assert_allclose(sr.quality.vif(photo, photo), 1)

# %% [markdown]
# Blur and sharpening are equally far from HR, and VIF strongly prefers the latter, because a gain counts as information. IFC has no upper limit, so an unchanged
# pixel counts for dozens of bits, and the spot gets 21 times the IFC of the shifted photo. Neither tolerates a shift by a pixel.
#
# ## NIQE: does it look like a photo?
#
# So far every metric needed HR. NIQE does not. Subtract from a photo its local mean, and divide by its local contrast. The result has nearly
# the same bell-shaped histogram in every good photo.
#
# With the local mean $\mu$ and the local standard deviation $\sigma$ of the luma $I$ from 0 to 255:
#
# $$\hat{I} = \frac{I - \mu}{\sigma + 1}$$


# %%
def normalized(image):
    x = 255 * as_luma(image)
    mean = ndimage.gaussian_filter(x, 7 / 6, radius=3)
    mean_square = ndimage.gaussian_filter(x**2, 7 / 6, radius=3)
    std = np.sqrt(np.abs(mean_square - mean**2))
    return (x - mean) / (std + 1)


# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
good_photos = {"astronaut": photo, "cat": data.chelsea(), "coffee": data.coffee()}
changed = {"HR": photo, **{n: degraded[n] for n in ("noise", "blur", "sharpened")}}
bins = np.linspace(-3, 3, 61)
for ax, pictures in zip(axes, (good_photos, changed), strict=True):
    for name, image in pictures.items():
        values = normalized(image).ravel()
        ax.hist(values, bins, histtype="step", density=True, label=name)
    ax.legend(frameon=False, fontsize=8)
    ax.set(xlabel="normalized luma", yticks=[])
axes[0].set_title("three photos", fontsize=10)
axes[1].set_title("one photo, degraded", fontsize=10)
plt.show()

# %% [markdown]
# The three photos give three bells of about the same width. Noise makes the bell wide and flat, and blur makes it narrow and high. The bell of the sharpened photo is
# close to that of HR, which will matter when NIQE rates sharpening.
#
# NIQE describes patches of 96 x 96 pixels by 36 numbers fitted to such distributions, then computes how far their mean is from that of good
# photos. Here is the distance by hand, with two sets of pictures as "good" and "other":

# %%
photos = sr.datasets.samples(scale=4)  # only the HR images are used
good = sr.quality.fit_niqe(photos.hr(i) for i in range(len(photos)))
gravel = np.hstack([data.gravel()[:480, :480]] * 2)  # 50 patches, all of them sharp
other = sr.quality.fit_niqe([gravel])
difference = other["mean"] - good["mean"]
inverse = np.linalg.pinv((other["covariance"] + good["covariance"]) / 2)
by_hand = np.sqrt(difference @ inverse @ difference)
np.testing.assert_allclose(by_hand, sr.quality.niqe(gravel, model=good), rtol=1e-6)
print(f"gravel, compared with six photos: {by_hand:.2f}")

# %% [markdown]
# In the package, "good" was fitted to the training photos of BSDS500. From here on NIQE means this model. **Predict:** how does sharpening change the
# score of a bicubic image, and how does a little noise?

# %%
whole = data.astronaut()
lr = sr.degradations.Downscale(4)(whole)
bicubic = sr.images.to_float(sr.upscale(sr.models.bicubic(4), lr))
softer = ndimage.gaussian_filter(bicubic, (3, 3, 0))
grain = rng.normal(size=(*whole.shape[:2], 1))
tricks = {f"sharpened by {a}": bicubic + a * (bicubic - softer) for a in (1, 2, 5)}
tricks |= {f"noise {s:.0%}": bicubic + s * grain for s in (0.01, 0.02, 0.05)}
tricks = {"bicubic": bicubic, **tricks}
tricks = {name: sr.images.to_integer(image) for name, image in tricks.items()}
tricks["HR"] = whole

# %%
captions = {}
for name, image in tricks.items():
    niqe = sr.quality.niqe(image, border=4)
    captions[name] = f"NIQE {niqe:.2f}"
    if name != "HR":
        score = sr.evaluation.score(whole, image, border=4)
        captions[name] += f", {score['psnr_y']:.2f} dB"
sr.plotting.comparison(
    tricks,
    scores=captions,
    crop=(60, 166, 104, 104),
    title="Astronaut x4: NIQE (less is better) and PSNR on luma, 4 pixels cut, 8 bits",
    whole=False,
)

# %% [markdown]
# The stronger the sharpening, the better NIQE gets, up to a mask-like face at 19.75 dB, which it rates better than plain bicubic by 1.5. One percent of
# noise helps too, and more is harmful. NIQE can be fooled, but not completely: no trick comes near the 3.76 of HR.
#
# ## VGG distance: are the features right?
#
# VGG19 was trained to classify photos. Its layers compute *features*: maps that respond to edges, in deeper layers to textures, and then to parts of
# objects. Two pictures are close if their features are.

# %%
layers = ["vgg19/block3_conv1", "vgg19/block4_conv4"]
extract = sr.features.FeatureExtractor(layers)
try:
    extract(hr[None, :32, :32])
    has_vgg = True
except OSError:
    has_vgg = False
    print("VGG19's weights cannot be downloaded: the cells that need them are skipped.")

# %% [markdown]
# By hand the distance is the mean squared difference. A Gram matrix instead sums, over all positions, the product of each pair of features. It contains which
# features occur together, but not where.


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
    hr_part, jpeg_part = photo[60:124, 66:130], degraded["JPEG"][60:124, 66:130]
    a, b = features_of(hr_part), features_of(jpeg_part)
    pair = [sr.images.to_float(image)[None] for image in (hr_part, jpeg_part)]
    content, texture = sr.losses.Content(layers[1]), sr.losses.Texture(layers[:1])
    np.testing.assert_allclose(vgg_distance(a[1], b[1]), content(*pair), rtol=1e-3)
    np.testing.assert_allclose(gram_distance(a[0], b[0]), texture(*pair), rtol=1e-3)
    print("equal to sr.losses.Content and sr.losses.Texture")

# %% [markdown]
# **Predict:** the last picture is the photo with its left and right halves exchanged. Which of the two distances detects this?

# %%
vgg_scores = {}
if has_vgg:
    hr_features = features_of(photo)
    exchanged = np.roll(photo, here.side // 2, axis=1)
    for name, image in {**degraded, "exchanged": exchanged}.items():
        features = features_of(image)
        vgg_scores[name] = vgg_distance(hr_features[1], features[1])
        texture = gram_distance(hr_features[0], features[0])
        print(f"{name:10} VGG {vgg_scores[name]:8.0f}, Gram {texture:.4f}")
    print(f"({layers[1]} and {layers[0]}, RGB, no border cut; 0 is best)")

# %% [markdown]
# VGG distance rates the exchanged halves as worse than anything else. For the Gram matrix they are nearly the same picture, because it describes
# texture without positions. It reacts most to sharpening. VGG distance is low for brighter and shifted photos, and for the spot in
# the face.
#
# ## Eight metrics in one table
#
# The eight pictures have equal PSNR. The table shows how the seven other metrics rank them. NIQE sees each picture alone, and all others see HR too.


# %%
def float_score(metric, a, b):
    a, b = (sr.images.to_float(image)[None] for image in (a, b))
    return float(metric(a, b, luma=True)[0])


measured = {}
for name, image in degraded.items():
    measured[name] = {
        "SSIM": float_score(sr.metrics.ssim, photo, image),
        "MS-SSIM": float_score(sr.metrics.ms_ssim, photo, image),
        "HFENN": float_score(sr.metrics.hfenn, photo, image),
        "IFC": sr.quality.ifc(photo, image),
        "VIF": sr.quality.vif(photo, image),
        "NIQE": sr.quality.niqe(image),
    }
    if has_vgg:
        measured[name]["VGG"] = vgg_scores[name]

# %%
higher_is_better = {"SSIM", "MS-SSIM", "IFC", "VIF"}
metric_names = list(measured["blur"])
values = np.array([[row[m] for row in measured.values()] for m in metric_names])
ranks = np.empty(values.shape, int)
for i, metric in enumerate(metric_names):
    order = np.argsort(values[i])
    if metric in higher_is_better:
        order = order[::-1]
    ranks[i, order] = np.arange(1, len(degraded) + 1)

# %%
fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
ax.imshow(ranks, cmap="RdYlBu_r", aspect="auto", alpha=0.7)
for (i, j), value in np.ndenumerate(values):
    number = f"{value:.0f}" if value > 100 else f"{value:.3g}"
    ax.text(j, i, f"{number}\n#{ranks[i, j]}", ha="center", va="center", fontsize=9)
ax.set_xticks(range(len(degraded)), degraded)
ax.set_yticks(range(len(metric_names)), metric_names)
ax.set_title(
    f"all near {target:.1f} dB; luma (VGG: RGB), no border cut; #1: best", fontsize=10
)
plt.show()

# %% [markdown]
# No two rows are equal. All rank the brighter picture among the best three, and blur among the worst three. For noise the ranks range from 4th to
# last, and for the shifted photo from 2nd to 6th. The spot, which ruins the face, is never worse than 3rd, because all metrics average over the picture.
# So decide first what you want to know, then choose the metric.
#
# ## Task-based evaluation
#
# If photos are upscaled in order to find something in them, measure how well it is found. Our task is to match points of the left photo of a stereo
# pair with the right one. For these two photos the true shift of almost every pixel was measured as well.

# %%
from skimage import feature

left, right, disparity = data.stereo_motorcycle()  # pixels to the left, in `right`
rows, columns = slice(500), slice(740)
if here.fast:
    rows, columns = slice(100, 300), slice(200, 500)
left, disparity = left[rows, columns], disparity[rows, columns]
right = right[rows, columns]
print(left.shape, f"shift known for {np.isfinite(disparity).mean():.0%} of the pixels")

# %% [markdown]
# ORB detects corners and describes each by 256 bits. Two points match if each is the nearest to the other. A match is correct if it is
# within 3 pixels of the true position.


# %%
def keypoints(image):
    orb = feature.ORB(n_keypoints=500, fast_threshold=0.05)
    orb.detect_and_extract(as_luma(image))
    return orb.keypoints, orb.descriptors


def matches(image, right_points, right_bits):
    """Returns how many matches can be checked, and how many of them are correct."""
    points, bits = keypoints(image)
    pairs = feature.match_descriptors(bits, right_bits, cross_check=True)
    points, right_points = points[pairs[:, 0]], right_points[pairs[:, 1]]
    shift = disparity[tuple(points.astype(int).T)]
    down = points[:, 0] - right_points[:, 0]
    across = points[:, 1] - shift - right_points[:, 1]
    error = np.hypot(down, across)
    return np.isfinite(shift).sum(), (error < 3).sum()


# %% [markdown]
# The left photo is upscaled from its LR image, and the right one stays HR. Besides the interpolations of lesson 1 we take two networks that come with the package: EDSR (lesson 8), trained for small errors, and the same network after adversarial training (SRGAN, lesson 10). **Predict:** which of them gives most correct matches? Is
# it the one with the highest PSNR?

# %%
lr = sr.degradations.Downscale(4)(left)
upscaled = {
    name: sr.upscale(builder(4), lr)
    for name, builder in sr.models.INTERPOLATIONS.items()
}
bicubic = sr.images.to_float(upscaled["bicubic"])
sharp = bicubic + 2 * (bicubic - ndimage.gaussian_filter(bicubic, (3, 3, 0)))
upscaled["bicubic, sharpened"] = sr.images.to_integer(sharp)
upscaled["EDSR"] = sr.upscale(sr.models.load("edsr-x4-bsds-small"), lr)
upscaled["SRGAN"] = sr.upscale(sr.models.load("edsr-x4-bsds-srgan"), lr)

# %%
right_points, right_bits = keypoints(right)
for name, image in {**upscaled, "HR": left}.items():
    checked, correct = matches(image, right_points, right_bits)
    decibel = ""
    if name != "HR":
        decibel = f", {sr.evaluation.score(left, image, border=4)['psnr_y']:.2f} dB"
    print(f"{name:18} {correct:3} of {checked} matches correct{decibel}")
print("(motorcycle x4, PSNR on luma, 4 pixels cut, 8 bits; correct: within 3 pixels)")

# %% [markdown]
# The two networks give more than twice as many correct matches as bicubic, and about half of those of HR. SRGAN is as good as EDSR at a lower PSNR. Among the others, sharpening helps most, at the lowest PSNR of all,
# because corners need contrast. So PSNR did not predict the order. But this is one pair of photos, one detector and some dozens of
# matches: differences as small as those among nearest, bilinear and bicubic mean little.
#
# A classifier can be asked as well. The next cell downloads one of 14 MB, trained on ImageNet, and prints what it recognizes. Without internet access it
# says so and continues.

# %%
import contextlib
import io

import keras


def top_classes(classifier, image):
    x = keras.ops.image.resize(sr.images.to_float(image), (224, 224), antialias=True)
    scores = classifier.predict(2 * x[None] - 1, verbose=0)
    return keras.applications.imagenet_utils.decode_predictions(scores, top=2)[0]


try:
    with contextlib.redirect_stdout(io.StringIO()):  # no progress bars
        classifier = keras.applications.MobileNetV2(weights="imagenet")
    cat = data.chelsea()[:, 75:375][:296, :296]
    for scale in (1, 4, 8):
        lr = sr.degradations.Downscale(scale)(cat)
        image = cat if scale == 1 else sr.upscale(sr.models.bicubic(scale), lr)
        for _, name, share in top_classes(classifier, image):
            print(f"cat, bicubic x{scale}: {name} {share:.0%}")
except Exception as error:  # Keras raises a bare Exception for a failed download
    print(f"Skipped: the classifier could not be downloaded. {str(error)[:60]}...")

# %% [markdown]
# ## Human raters: mean opinion scores
#
# In the end, pictures are made for people. A *mean opinion score* (MOS) is the mean grade from 1 (bad) to 5 (excellent). It is only meaningful
# if the raters do not know what they see, so names are hidden and the order is shuffled.

# %%
cat = data.chelsea()[40:232, 100:292]
lr = sr.degradations.Downscale(4)(cat)
candidates = {n: sr.upscale(b(4), lr) for n, b in sr.models.INTERPOLATIONS.items()}
x = sr.images.to_float(candidates["bicubic"])
sharp = x + 2 * (x - ndimage.gaussian_filter(x, (3, 3, 0)))
candidates["sharpened"] = sr.images.to_integer(sharp)
candidates["HR"] = cat

# %%
order = rng.permutation(list(candidates))
letters = dict(zip("ABCDE", order, strict=True))
sr.plotting.comparison(
    {letter: candidates[name] for letter, name in letters.items()},
    crop=(32, 60, 96, 96),
    columns=3,
    title="Give each a grade from 1 (bad) to 5 (excellent)",
    whole=False,
)

# %% [markdown]
# Write down your five grades. The widget below does it properly: it shows one picture at a time, in a new order for each rater, and writes each grade to a file.
# It needs `ipywidgets`, which Colab has.

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
    order = list(np.random.default_rng().permutation(list(pictures)))  # random seed
    view = widgets.Image(width=384, height=384)
    buttons = widgets.ToggleButtons(options=[1, 2, 3, 4, 5], value=None)

    def show():
        view.value = as_png(pictures[order[0]])

    def save(change):
        if change["new"] is None or not order:
            return
        with open(file, "a") as table:
            table.write(f"{rater},{order.pop(0)},{change['new']}\n")
        buttons.value = None
        if order:
            show()
        else:
            view.layout.display = buttons.layout.display = "none"

    buttons.observe(save, "value")
    show()
    return widgets.VBox([view, buttons])


# %%
from IPython.display import display

try:
    import ipywidgets

    display(rating_widget(candidates, "ratings.csv", "rater-1", ipywidgets))
except ImportError:
    print(
        "For the widget, `pip install ipywidgets` and restart. The rest runs without."
    )

# %% [markdown]
# Rate first. The next cell reveals which letter was which, and prints the means of the grades in the file. For another rater, run the cell above with
# another name.

# %%
import csv
import os

print("Names of the letters:", ", ".join(f"{k}: {n}" for k, n in letters.items()))
if os.path.exists("ratings.csv"):
    with open("ratings.csv") as file:
        table = list(csv.reader(file))
    for name in candidates:
        ratings = [int(grade) for _, picture, grade in table if picture == name]
        mean = f", mean {np.mean(ratings):.2f}" if ratings else ""
        print(f"{name:10} {len(ratings)} grades{mean}")
else:
    print("No ratings were collected yet: there is no file ratings.csv.")

# %% [markdown]
# Nobody has rated these pictures for this page, so there is no MOS to report. How many raters are needed can be learned from **simulated** ones.
# Their grades say nothing about any picture, because their opinions are invented.


# %%
def simulated_grades(raters, rng):
    """Grades of raters who do not exist, for three versions that do not exist."""
    opinion = np.array([2.6, 3.0, 3.5])  # invented
    strictness = rng.normal(0, 0.8, (raters, 1))  # the same for all versions
    chance = rng.normal(0, 0.5, (raters, 3))
    return np.clip(np.round(opinion + strictness + chance), 1, 5)


raters_rng = np.random.default_rng(1)
grades = simulated_grades(26, raters_rng)
print("SIMULATED grades of the first four raters:\n", grades[:4].astype(int))

# %% [markdown]
# The mean of 26 grades (SRGAN's paper asked 26 people) is not the mean of the whole population. With the sample standard deviation `s`, the interval `mean ± t * s / sqrt(n)` contains the true mean
# in 95% of such studies, where `t` comes from Student's distribution.

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
# Do 95% of the intervals contain the true mean? With people this cannot be checked. With simulated raters, we can ask a hundred
# thousand of them for the true mean, and repeat the study.

# %%
truth = simulated_grades(100_000, raters_rng)[:, 0].mean()
studies = [interval(simulated_grades(26, raters_rng)[:, 0]) for _ in range(1000)]
means, halves = np.transpose(studies)
inside = np.abs(means - truth) <= halves
print(
    f"SIMULATED: {inside.mean():.1%} of 1000 intervals contain the true mean {truth:.2f}"
)

fig, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
colors = np.where(inside[:60], "#0072B2", "#D55E00")
ax.errorbar(range(60), means[:60], halves[:60], fmt="none", ecolor=colors, lw=2)
ax.axhline(truth, color="0.4", ls="--", lw=1)
ax.set(xlabel="study", ylabel="MOS", title="SIMULATED: 60 studies of 26 raters each")
plt.show()

# %% [markdown]
# Four of the 60 intervals (orange) do not contain the true mean, and 5 to 6% of the thousand. That is the meaning of 95%. The interval of 26 raters is wide:
# two methods that differ by 0.3 can hardly be distinguished with it.
#
# **Predict:** are versions 2 and 3 different? Compare the intervals of the two, and then the interval of the difference of each rater, in
# which strictness cancels.

# %%
for version in (1, 2):
    mean, half = interval(grades[:, version])
    print(f"SIMULATED version {version + 1}: {mean - half:.2f} to {mean + half:.2f}")
mean, half = interval(grades[:, 2] - grades[:, 1])
print(f"SIMULATED difference per rater: {mean - half:.2f} to {mean + half:.2f}")

# %% [markdown]
# The two intervals overlap and prove nothing. The interval of the differences does not contain 0, so these raters prefer version 3. Let every rater
# grade every version, and compare per rater.
#
# ## The perception-distortion plane
#
# There are two questions: how close is a picture to the truth, and how natural does it look? Blau and Michaeli proved a trade-off between them. For them, *perceptual quality* is a divergence between the distribution of the outputs and that of real images.
# Below a certain distortion, this divergence can only be reduced by more distortion. The smallest case is a single number `x`, observed with noise as large as itself.
#
# Their function of the distortion $D$, with a divergence $d$ between distributions and an error $\Delta$:
#
# $$P(D) = \min_{p(\hat{x} \mid y)} d\big(p_X, p_{\hat{X}}\big) \quad \text{subject to} \quad \mathbb{E}\, \Delta(X, \hat{X}) \le D$$

# %%
x = rng.normal(size=200_000)
y = x + rng.normal(size=x.size)
mean_estimate = y / 2  # the mean of all x that fit y: the least squared error
sample = mean_estimate + np.sqrt(0.5) * rng.normal(size=x.size)  # one x that fits y
for name, estimate in (("posterior mean", mean_estimate), ("sample", sample)):
    mse = np.mean((estimate - x) ** 2)
    print(f"{name:14} squared error {mse:.3f}, standard deviation {estimate.std():.3f}")
print(f"{'x itself':14} {'':20} standard deviation {x.std():.3f}")

# %% [markdown]
# The posterior mean has too small a standard deviation, as a blurred picture has too little contrast. A sample from the posterior has the right standard deviation,
# at twice the squared error, which is 3 dB. Between the two, we multiply the posterior mean by a factor above 1:

# %%
factors = np.linspace(1, np.sqrt(2), 20)
distortion = [np.mean((f * mean_estimate - x) ** 2) for f in factors]
unnatural = [abs((f * mean_estimate).std() - 1) for f in factors]
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(distortion, unnatural, "o-", ms=3, label="posterior mean times 1 to 1.41")
ax.plot(np.mean((sample - x) ** 2), abs(sample.std() - 1), "s", label="sample")
ax.plot(np.mean((y - x) ** 2), abs(y.std() - 1), "^", label="observation")
ax.set(xlabel="distortion: squared error")
ax.set(ylabel="error of the standard deviation")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The posterior mean can be given the right standard deviation, 0 at the lower end of the curve, for a squared error of about 0.59 instead of 0.5. No estimate lies
# to the left of the start of the curve. Estimates that are bad in both ways, like the observation, are easy to find. (For normal distributions the right mean and standard deviation make the divergence 0.)
#
# Now we do this with pictures. The PIRM challenge of 2018 drew the root mean squared error of luma, in grey levels, on the horizontal axis, and a *perceptual index* on the vertical one: the
# mean of NIQE and of 10 minus the score of Ma and others, neither of which needs HR. We take NIQE alone. It is a practical substitute for the divergence of the theorem, which does not apply to it directly.


# %%
def versions(lr, rng):
    result = {n: sr.upscale(b(4), lr) for n, b in sr.models.INTERPOLATIONS.items()}
    x = sr.images.to_float(result["bicubic"])
    detail = x - ndimage.gaussian_filter(x, (3, 3, 0))
    noise = rng.normal(size=(*x.shape[:2], 1))
    for amount in (0.5, 1, 2):
        result[f"sharpened {amount}"] = sr.images.to_integer(x + amount * detail)
    for std in (0.01, 0.02):
        result[f"noise {std:.0%}"] = sr.images.to_integer(x + std * noise)
    for name, network in networks.items():
        result[name] = sr.upscale(network, lr)
    return result


# %% [markdown]
# Four networks of the package are added. SRCNN (lesson 3) and EDSR (lesson 8) were trained for small errors, and the other two
# adversarially, against a discriminator (lesson 10):

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
    for name, image in {**versions(lr, rng), "HR": true}.items():
        error = (as_luma(image) - as_luma(true))[4:-4, 4:-4]
        mses.setdefault(name, []).append(np.mean((255 * error) ** 2))
        niqes.setdefault(name, []).append(sr.quality.niqe(image, border=4))
rmse = {name: np.sqrt(np.mean(values)) for name, values in mses.items()}
niqe = {name: np.mean(values) for name, values in niqes.items()}
conditions = f"x4, {', '.join(pairs.names[: here.photos])}, luma, 4 pixels cut, 8 bits"

# %%
fig, ax = plt.subplots(figsize=(10, 5.5), layout="constrained")
left_end = min(10, min(rmse[n] for n in rmse if n != "HR")) - 1
for low, high, region in ((0, 11.5, 1), (11.5, 12.5, 2), (12.5, 16, 3)):
    ax.axvspan(low, high, color=("0.96", "0.92", "0.88")[region - 1], zorder=0)
    middle = (max(low, left_end) + high) / 2
    transform = ax.get_xaxis_transform()  # y from 0 to 1
    ax.text(middle, 0.2, f"region {region}", ha="center", transform=transform)
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
ax.set(xlim=(left_end, 16.5), xlabel="RMSE in grey levels", ylabel="NIQE")
ax.margins(y=0.1)
ax.set_title(conditions)
plt.show()

# %% [markdown]
# A little sharpening improves on bicubic in both ways. Stronger sharpening lowers NIQE at the cost of RMSE, and a little noise does the same. The networks
# (orange) get further to the left than any of these. The two adversarial ones are lowest, and to the right of EDSR, whose RMSE is the smallest.
# This has the shape of the trade-off, with NIQE in place of the divergence. The line of HR stays far below all. The regions in which entries competed were defined for the photos of the challenge;
# here they only illustrate the idea.
#
# The package draws the plane with PSNR, reversed, so that the better methods are again at the lower left:

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
# Such a plane is only as reliable as its axes. Sharpening fooled NIQE above, and would fool a ranking by it. PIRM asked human raters as well.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** Every value of an RGB picture is too high by 10 of 255 levels. What is its PSNR on RGB? Pencil, paper and a logarithm are enough.

# %%
answer = None  # your number, in dB

sr.course.check(answer, 28.13, tolerance=0.05)

# %% tags=["solution"]
# @title Solution 1
answer = 20 * np.log10(255 / 10)
sr.course.check(answer, 28.13, tolerance=0.05)
grey = np.full((1, 16, 16, 3), 0.5, "float32")
package = float(sr.metrics.psnr(grey, grey + 10 / 255)[0])
np.testing.assert_allclose(answer, package, atol=1e-3)
on_luma = float(sr.metrics.psnr(grey, grey + 10 / 255, luma=True)[0])
print(f"{answer:.2f} dB on RGB; on luma, which has 219 levels, {on_luma:.2f} dB")

# %% [markdown]
# **Exercise 2.** Grades have a standard deviation of 0.9. How many raters are needed for a 95% interval of `± 0.2`, if `t` is taken as 2?

# %%
answer = None  # your number of raters

sr.course.check(answer, 81, tolerance=0.5)

# %% tags=["solution"]
# @title Solution 2
# t * s / sqrt(n) = 0.2, so n = (2 * 0.9 / 0.2)**2; half the width needs four times as many
answer = (2 * 0.9 / 0.2) ** 2
sr.course.check(answer, 81, tolerance=0.5)
print(f"{answer:.0f} raters")

# %% [markdown]
# **Exercise 3.** Fool PSNR the other way: change `photo` so that everybody sees the damage at once, at more than 30 dB on luma. Does the mean
# of the SSIM map reveal it? Does its minimum?

# %%
prank = photo.copy()  # paint into it

value = sr.metrics.psnr(hr[None], sr.images.to_float(prank)[None], luma=True)[0]
print(f"{value:.1f} dB on luma (100: nothing was changed)")

# %% tags=["solution"]
# @title Solution 3
y, x = np.indices(luma.shape)
prank = photo.copy()
prank[(y - 127) ** 2 + (x - 122) ** 2 < 36] = (220, 0, 0)  # a nose of radius 6
luminance, contrast = ssim_terms(as_luma(photo), as_luma(prank))
ssim = luminance * contrast
score = f"{psnr(sr.images.to_float(prank)):.1f} dB (luma)"
print(f"SSIM: mean {ssim.mean():.3f}, minimum {ssim.min():.3f} (luma)")
sr.plotting.comparison(
    {"prank": prank, "HR": photo}, scores={"prank": score}, crop=face, whole=False
)

# %% [markdown]
# **Exercise 4.** Here is another task: scikit-image's face detector, `detector.detect_multi_scale(img=..., scale_factor=1.2, step_ratio=1,
# min_size=(60, 60), max_size=(160, 160))`. Scale `data.astronaut()` down by 2, 4, 6, 8, 10 and 12, and upscale it with nearest and bicubic. Up to
# which factor is the face found, near row 66, column 174? Are there false alarms?

# %%
detector = feature.Cascade(data.lbp_frontal_face_cascade_filename())

# %% tags=["solution"]
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
        correct = [b for b in boxes if abs(b["r"] - 66) + abs(b["c"] - 174) < 40]
        num_false = len(boxes) - len(correct)
        results.append(f"{name} {'found' if correct else 'lost'}, {num_false} false")
    print(f"x{scale}: {'; '.join(results)}")

# %% [markdown]
# **Exercise 5.** What counts as natural depends on the reference photos. Fit NIQE with `sr.quality.fit_niqe` to bricks, grass and gravel (`data.brick()` and so on, the upper 384 rows). How does
# this model rate the rest of the gravel, and the astronaut? Compare with the model of the package.

# %%
textures_model = None  # your model

# %% tags=["solution"]
# @title Solution 5
textures_model = sr.quality.fit_niqe(
    picture()[:384] for picture in (data.brick, data.grass, data.gravel)
)
for name, image in (("gravel", data.gravel()[384:]), ("astronaut", data.astronaut())):
    by_textures = sr.quality.niqe(image, model=textures_model)
    by_package = sr.quality.niqe(image)
    print(
        f"{name:10} NIQE by textures {by_textures:6.2f}, by BSDS500 {by_package:5.2f}"
    )
print("(luma, no border cut; gravel: the lower 128 rows)")

# %% [markdown]
# ## Summary
#
# - PSNR measures the length of the error and nothing else: blur, noise, a spot and a shift by one pixel can have the same PSNR.
# - SSIM, MS-SSIM, HFENN, IFC and VIF measure structure, structure at several scales, edges, and information. All require each pixel in its place, and all are
#   averages, so a ruined detail in a good picture costs little.
# - NIQE needs no HR, and rewards sharpening, which adds no information. What it considers natural depends on the photos that it was fitted to.
# - VGG distance compares features, and Gram matrices compare texture without positions.
# - If pictures serve a task, measure the task. If they are made for people, ask people, blindly, each about every version, and report the interval.
# - Beyond some point, less distortion and a more natural appearance exclude each other. Report both, with their conditions.
#
# ## Further reading
#
# - Wang, Simoncelli and Bovik, [Multiscale structural similarity for image quality assessment](https://doi.org/10.1109/ACSSC.2003.1292216), 2003: MS-SSIM.
# - Ravishankar and Bresler, [MR image reconstruction from highly undersampled k-space data by dictionary
#   learning](https://doi.org/10.1109/TMI.2010.2090538), 2011: the origin of HFENN.
# - Sheikh, Bovik and de Veciana, [An information fidelity criterion](https://doi.org/10.1109/TIP.2005.859389), 2005, and Sheikh and Bovik,
#   [Image information and visual quality](https://doi.org/10.1109/TIP.2005.859378), 2006: IFC and VIF.
# - Mittal, Soundararajan and Bovik, [Making a "completely blind" image quality analyzer](https://doi.org/10.1109/LSP.2012.2227726), 2013: NIQE.
# - Gatys, Ecker and Bethge, [Texture synthesis using convolutional neural networks](https://arxiv.org/abs/1505.07376), 2015: Gram matrices. Johnson, Alahi and
#   Fei-Fei, [Perceptual losses](https://arxiv.org/abs/1603.08155), 2016: VGG distance.
# - Zhang et al., [The unreasonable effectiveness of deep features as a perceptual metric](https://arxiv.org/abs/1801.03924), 2018: LPIPS, a distance between
#   features of VGG or other networks, fitted to human ratings. `sr.lpips.Distance` computes it from weights that you provide.
# - Heusel and others, [GANs trained by a two time-scale update rule](https://arxiv.org/abs/1706.08500), 2017: the Fréchet inception distance (FID), which
#   compares the distributions of two sets of images.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018, and Blau et al.,
#   [The 2018 PIRM challenge on perceptual image super-resolution](https://arxiv.org/abs/1809.07517), 2018.
# - Haris, Shakhnarovich and Ukita, [Task-driven super resolution](https://arxiv.org/abs/1803.11316), 2018: training for a task.
