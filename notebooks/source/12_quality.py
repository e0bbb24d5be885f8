# %% [markdown]
# # 12. Measuring quality
#
# What PSNR, SSIM, MS-SSIM, HFENN, IFC, VIF, NIQE, VGG distance, LPIPS and a Fréchet distance measure, what fools each of them, and
# how to evaluate with a task or with human raters instead.
#
# ![A face and eight damaged versions of it](figures/12_goal.jpg)
#
# *A photo (the first picture) and eight pictures with the same PSNR. Which of them would you accept?*
#
# **You will be able to**
#
# - say what each of ten metrics measures, and show a picture that fools it;
# - write MS-SSIM, HFENN, the core of NIQE, VGG distance, LPIPS and a Fréchet distance in a few lines;
# - say which metrics prefer a GAN to the network that it was trained from, and which do not;
# - evaluate with a task, and collect opinions blindly, with a confidence interval;
# - draw the perception-distortion plane, and explain why no method reaches its corner.
#
# **You need** lesson 1 (PSNR, SSIM, luma) and lesson 3 (convolutions). VGG is explained as far as it is needed here; lesson 7
# trains with it, and lesson 10 explains GANs. The lesson downloads VGG19 (80 MB). For LPIPS you have to fetch a file (its section
# says how).
#
# **Time:** about 80 minutes to read the core, 55 for the exercises; 2 minutes of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
#
# **Optional** sections, 5 minutes more: *IFC and VIF, how much information is left*; *the number of samples*. Everything else is core.
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

here = sr.course.start(
    minutes=(0.7, 2, 1),
    side=(192, 384, 384),
    num_photos=(1, 4, 4),
    keypoints=(300, 1500, 1500),
)

# %% [markdown]
# ## Equal PSNR, unequal appearance
#
# A metric answers one question about a picture. We begin with a photo, degrade it in eight ways, and ask whether PSNR answers the
# question that interests us. All scores in the first parts of this lesson are computed on a square of this photo, without cutting a
# border.

# %%
import keras
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
# PSNR is the ratio of the largest value (255 levels) to the root mean square error, in decibels. It depends only on the length of
# the error vector. The direction of the error, that is, which pixels change and with which sign, has no influence.


# %%
def psnr(image):
    error = sr.images.luma(image)[..., 0] - luma
    return -10 * np.log10(np.mean(error**2))


shifted = np.roll(hr, 1, axis=1)
package = sr.metrics.psnr(hr[None], shifted[None], luma=True)[0]
np.testing.assert_allclose(psnr(shifted), package, atol=1e-3)
print(f"shifted by one pixel: {psnr(shifted):.2f} dB (luma, no border cut)")

# %% [markdown]
# To a viewer, a photo shifted by one pixel is as good as the original. We take its PSNR as the target, and scale seven other errors,
# each with a direction of its own, to the length that gives the same PSNR.

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
# The last two are the same error with opposite signs. The scale is found by bisection, because the values are clipped at black and
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
# All eight pictures have the same PSNR (the brighter one misses it by 0.2 dB, because 8 bits change the brightness in whole
# levels). The shifted photo can only be distinguished from HR with the slider, whereas JPEG turns the face into a mosaic. (Its
# false colours cost nothing, because this PSNR is computed on luma.) PSNR does not reflect how visible an error is.
#
# ### Four results
#
# The eight pictures were made to be different. In practice, we compare results of super-resolution with each other. We reduce the
# photo by 4 and enlarge it with bicubic interpolation and three networks: SRCNN (lesson 3), EDSR (lesson 8), and the GAN that
# started from this EDSR (lesson 10) and was trained further with other losses on more photos, so the comparison is not of the
# losses alone. **Predict:** which of them has the highest PSNR? Which do you find best?

# %%
files = {
    "SRCNN": "srcnn-x4-bsds",
    "EDSR": "edsr-x4-bsds",
    "GAN": "edsr-x4-photos-srgan",
}
networks = {name: sr.models.load(file) for name, file in files.items()}
lr = sr.degradations.Downscale(4)(photo)
results = {"bicubic": sr.upscale(sr.models.bicubic(4), lr)}
results |= {name: sr.upscale(network, lr) for name, network in networks.items()}
pictures = {**degraded, **results}

# %%
sr.plotting.comparison(
    {"LR": lr, **results, "HR": photo},
    scores={
        name: f"{psnr(sr.images.to_float(image)):.2f} dB"
        for name, image in results.items()
    },
    crop=face,
    columns=3,
    title="x4, PSNR on luma, no border cut, 8 bits",
    whole=False,
)

# %% [markdown]
# EDSR has the highest PSNR. The GAN loses 0.8 dB, although its skin and hair look more like those of a photo. We will ask each metric
# about the eight damaged pictures and about these four results.
#
# ## SSIM at one scale and at several
#
# SSIM compares small windows. We write it with a Gaussian filter, for all positions at which the window fits into the picture. It
# is the product of a luminance term and a term for contrast and structure, *contrast* for short, which measures whether both
# images vary together and equally strongly.


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
for name, image in pictures.items():
    luminance, contrast = ssim_terms(as_luma(photo), as_luma(image))
    ssim_maps[name] = luminance * contrast
    pair = hr[None], sr.images.to_float(image)[None]
    package = sr.metrics.ssim(*pair, luma=True)[0]
    np.testing.assert_allclose(ssim_maps[name].mean(), package, atol=1e-4)

# %% [markdown]
# The mean of the map is the score. **Predict:** where will the map of the noisy picture be darkest: on the hair, in the face, or on
# the smooth background?

# %%
fig, axes = plt.subplots(3, 4, figsize=(10, 8), layout="constrained")
for ax, (name, values) in zip(axes.flat, ssim_maps.items(), strict=True):
    ax.imshow(values, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{name}: {values.mean():.3f}", fontsize=10)
    ax.set(xticks=[], yticks=[])
fig.suptitle("SSIM on luma, all windows: white is 1, black 0 or less", fontsize=11)
plt.show()

# %% [markdown]
# The map of the noise is darkest on the smooth background, where nothing hides the noise. On edges it is bright. The dark spot in the
# face is what everybody sees first, but in the map it is one small stain. On average, the picture with the spot has the best SSIM of
# the eight. Among the results, SSIM agrees with PSNR: EDSR is the best, and the GAN is below it.
#
# *MS-SSIM* compares at five scales. The contrast term is computed again after each halving of the size, and the complete SSIM at the
# last scale. The five means are raised to powers that were fitted to human observers, and multiplied.

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
by_scale = {n: five_scales(as_luma(photo), as_luma(x)) for n, x in pictures.items()}
for name, values in by_scale.items():
    pair = hr[None], sr.images.to_float(pictures[name])[None]
    package = sr.metrics.ms_ssim(*pair, luma=True)[0]
    np.testing.assert_allclose(np.prod(values**powers), package, atol=1e-3)

# %%
fig, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained", sharey=True)
for ax, group in zip(axes, (degraded, results), strict=True):
    for i, name in enumerate(group):
        total = np.prod(by_scale[name] ** powers)
        style = "-" if i < 4 else "--"
        ax.plot(by_scale[name], "o" + style, ms=4, label=f"{name}: {total:.3f}")
    ax.set_xticks(range(5), ["full size", "1/2", "1/4", "1/8", "1/16"])
    ax.legend(frameon=False, title="MS-SSIM")
axes[0].set(ylabel="mean term of SSIM", title="degraded; luma, no border cut")
axes[1].set_title("results, x4")
plt.show()

# %% [markdown]
# At smaller scales the noise averages out, and its term rises from 0.55 to nearly 1. The term of the spot falls, because the spot is
# large enough to remain. For all pictures but this one, the product is higher than SSIM. Noise and JPEG stay last. The four results
# differ at full size and at 1/2, and hardly at the coarser scales, which are in the LR image.
#
# ## HFENN: are the edges right?
#
# The *high-frequency error norm* (HFEN; when normalized by the norm of the filtered HR, HFENN) compares edges only. It filters
# both pictures with the Laplacian of a Gaussian, which gives zero in areas that are flat or change evenly, and large values at
# edges. Here is the kernel by hand, 15 x 15 pixels:

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


for name, image in pictures.items():
    by_hand = np.linalg.norm(edges(image) - edges(photo))
    by_hand /= np.linalg.norm(edges(photo))
    pair = hr[None], sr.images.to_float(image)[None]
    package = sr.metrics.hfenn(*pair, luma=True)[0]
    np.testing.assert_allclose(by_hand, package, atol=1e-3)
    print(f"{name:10} HFENN {by_hand:.3f} (luma, no border cut; 0 is best)")

# %%
shown = {"HR": photo, **{n: pictures[n] for n in ("noise", "blur", "GAN")}}
fig, axes = plt.subplots(2, 2, figsize=(8, 8.4), layout="constrained")
for ax, (name, image) in zip(axes.flat, shown.items(), strict=True):
    ax.imshow(edges(image), cmap="gray", vmin=-0.15, vmax=0.15)
    ax.set(title=name, xticks=[], yticks=[])
fig.suptitle("Luma after the kernel: grey is 0", fontsize=11)
plt.show()

# %% [markdown]
# The brighter picture has an error of only 0.03, because HFENN ignores brightness; the error comes from places where values were
# clipped at white. HFENN rates blur and its opposite, sharpening, as nearly equally bad, and prefers noise to both. In the
# picture, the edges of the GAN look nearly as strong as those of HR, but its error of 0.42, slightly more than EDSR's, suggests
# that they are not all in the right place.

# %% [markdown]
# ## Optional: IFC and VIF, how much information is left
#
# Both metrics ask how much of the original can still be read from the picture. They assume that each small window arrived through
# a channel, as `gain * original + noise`. (They do so in every band of a wavelet transform, which splits the picture by size and
# direction of detail.) Gain and noise come from a linear fit. To show the idea, we apply it to the pixels themselves:


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
for name, image in pictures.items():
    gain, noise = channel(as_luma(photo), as_luma(image))
    gain, noise = np.median(gain[has_detail]), np.median(noise[has_detail])
    print(f"{name:10} gain {gain:.2f}, noise {255 * noise:4.1f} grey levels")
print("(medians over windows with detail, luma, no border cut)")

# %% [markdown]
# The fit identifies the degradation. Blur has less than half of the gain, sharpening has more than 1, and noise has the full gain
# with 12.6 levels of noise. A shifted photo looks like a mixture of blur and noise. Of the results, bicubic interpolation has a gain
# of 0.58. EDSR raises it to 0.83 with a little less noise, and the GAN has the same gain with more noise, 6.9 grey levels.
#
# A channel with signal variance `s`, gain `g` and noise variance `v` transmits `log2(1 + g**2 * s / v) / 2` bits per sample. IFC
# adds these bits over all bands and divides by the number of pixels, by convention without the half. VIF models an observer whose
# eye adds noise to both pictures, and takes the ratio of the information in them: 1 means that nothing was lost, and more
# contrast can raise it above 1.

# %%
for name, image in {"HR itself": photo, **pictures}.items():
    ifc, vif = sr.quality.ifc(photo, image), sr.quality.vif(photo, image)
    print(f"{name:10} IFC {ifc:5.2f} bits per pixel, VIF {vif:.3f}")
print("(luma, no border cut; more is better)")
np.testing.assert_allclose(sr.quality.vif(photo, photo), 1)

# %% [markdown]
# Blur and sharpening are equally far from HR, and VIF strongly prefers the latter, because a gain counts as information. IFC has
# no natural upper limit. (HR itself gets a finite 73.59 only because the program adds a tiny noise.) So an unchanged pixel counts
# for dozens of bits, and the spot gets 21 times the IFC of the shifted photo. Neither tolerates a shift by a pixel. Both rank the
# four results as PSNR does: what the GAN adds was not in HR at this place, so it counts as noise.

# %% [markdown]
# ## NIQE: does it look like a photo?
#
# So far, every metric needed HR. NIQE does not. Subtract from a photo its local mean, and divide by its local standard deviation. The
# result has nearly the same bell-shaped histogram in every good photo.
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
fig, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")
good_photos = {"astronaut": photo, "cat": data.chelsea(), "coffee": data.coffee()}
damaged = {"HR": photo, **{n: degraded[n] for n in ("noise", "blur", "sharpened")}}
enlarged = {"HR": photo, **{n: results[n] for n in ("bicubic", "EDSR", "GAN")}}
groups = {"three photos": good_photos, "degraded": damaged, "results, x4": enlarged}
bins = np.linspace(-3, 3, 61)
for ax, (title, group) in zip(axes, groups.items(), strict=True):
    for name, image in group.items():
        values = normalized(image).ravel()
        ax.hist(values, bins, histtype="step", density=True, label=name)
    ax.legend(frameon=False, fontsize=8)
    ax.set(xlabel="normalized luma", yticks=[])
    ax.set_title(title, fontsize=10)
plt.show()

# %% [markdown]
# The three photos give bells of about the same width. Noise makes the bell wide and flat, and blur makes it narrow and high.
# Sharpening makes the bell wider, so it can repair the narrow bell of a blurred picture. Of the results, the bell of bicubic
# interpolation is too narrow, that of EDSR less so, and that of the GAN lies nearly on that of HR.
#
# NIQE describes patches of 96 x 96 pixels by 36 numbers, such as the width and the shape of the bell at two scales. From good
# photos, it takes the sharpest patches only. The score is the distance between the means $\mu$ of the two sets, measured in units
# of their covariances $\Sigma$: $\sqrt{(\mu_1 - \mu_2)^T ((\Sigma_1 + \Sigma_2) / 2)^{-1} (\mu_1 - \mu_2)}$. Here it is by hand,
# with two sets of pictures as "good" and "other":

# %%
training_photos = sr.datasets.samples(scale=4)  # only the HR images are used
good = sr.quality.fit_niqe(training_photos.hr(i) for i in range(len(training_photos)))
gravel = np.hstack([data.gravel()[:480, :480]] * 2)  # 50 patches, all of them sharp
other = sr.quality.fit_niqe([gravel])
difference = other["mean"] - good["mean"]
inverse = np.linalg.pinv((other["covariance"] + good["covariance"]) / 2)
by_hand = np.sqrt(difference @ inverse @ difference)
np.testing.assert_allclose(by_hand, sr.quality.niqe(gravel, model=good), rtol=1e-6)
print(f"gravel, compared with six photos: {by_hand:.2f}")

# %% [markdown]
# (7.99 has no meaning by itself: six photos give a rough covariance. The 25 patches of gravel are there twice, because `fit_niqe`
# refuses fewer than 37.)
#
# In the package, "good" was fitted to the training photos of BSDS500. EDSR and the GAN were trained on these photos, too, so NIQE
# is not independent of their training. From here on, NIQE means this model. **Predict:** how does sharpening change the score of
# the bicubic image, and how does a little noise? Can these tricks reach the GAN?

# %%
bicubic = sr.images.to_float(results["bicubic"])
softer = ndimage.gaussian_filter(bicubic, (3, 3, 0))
grain = rng.normal(size=(*luma.shape, 1))
tricks = {f"sharpened by {a}": bicubic + a * (bicubic - softer) for a in (1, 2, 5)}
tricks |= {f"noise {s:.0%}": bicubic + s * grain for s in (0.01, 0.05)}
tricks = {name: sr.images.to_integer(image) for name, image in tricks.items()}
tricks = {"bicubic": results["bicubic"], **tricks}
tricks |= {"EDSR": results["EDSR"], "GAN": results["GAN"], "HR": photo}

# %%
captions = {}
for name, image in tricks.items():
    captions[name] = f"NIQE {sr.quality.niqe(image):.2f}"
    if name != "HR":
        captions[name] += f", {psnr(sr.images.to_float(image)):.2f} dB"
sr.plotting.comparison(
    tricks,
    scores=captions,
    crop=face,
    columns=3,
    title="x4: NIQE (less is better) and PSNR, on luma, no border cut, 8 bits",
    whole=False,
)

# %% [markdown]
# The stronger the sharpening, the better NIQE gets, up to a mask-like face at 19.4 dB, which it rates better than plain bicubic
# interpolation by 2. One percent of noise helps too, and five percent does not. So NIQE can be fooled: the strongest sharpening
# closes two thirds of the gap to EDSR. But none of these tricks reaches EDSR. The GAN has the score of HR: for NIQE, its result
# is as natural as the photo. But compare its eyebrows and teeth with those of HR. A natural look does not mean that the details
# are right.
#
# ## VGG distance: are the features right?
#
# VGG19 was trained to classify photos. Its layers compute *features*: maps that respond to edges, in deeper layers to textures, and
# then to parts of objects. Two pictures are close if their features are. The first call looks for the weights of VGG19, and downloads
# 80 MB if they are missing.

# %%
layer_names = ["vgg19/block3_conv1", "vgg19/block4_conv4"]
try:
    sr.features.FeatureExtractor(layer_names).build()
    weights, vgg = "imagenet", "VGG19"
except OSError as error:
    weights, vgg = None, "UNTRAINED VGG19"
    print(error)
    print(
        "A VGG19 with random weights is used: what this page says of it is not valid."
    )
extract = sr.features.FeatureExtractor(layer_names, weights)
print(f"{vgg}: {', '.join(layer_names)}")

# %% [markdown]
# By hand, the distance is the mean squared difference. A Gram matrix instead contains, for each pair of features, the sum of their
# products over all positions. It tells which features occur together, but not where.


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
parts = [image[60:124, 66:130] for image in (photo, degraded["JPEG"])]
a, b = (features_of(part) for part in parts)
pair = tuple(sr.images.to_float(part)[None] for part in parts)
content = sr.losses.Content(layer_names[1], vgg_weights=weights)
texture = sr.losses.Texture(layer_names[:1], vgg_weights=weights)
np.testing.assert_allclose(vgg_distance(a[1], b[1]), content(*pair), rtol=1e-3)
np.testing.assert_allclose(gram_distance(a[0], b[0]), texture(*pair), rtol=1e-3)

# %% [markdown]
# **Predict:** the last picture is the photo with its left and right halves exchanged. Which of the two distances detects this?

# %%
hr_features = features_of(photo)
exchanged = np.roll(photo, here.side // 2, axis=1)
vgg_scores = {}
for name, image in {**pictures, "exchanged": exchanged}.items():
    features = features_of(image)
    vgg_scores[name] = vgg_distance(hr_features[1], features[1])
    same_texture = gram_distance(hr_features[0], features[0])
    print(f"{name:10} VGG {vgg_scores[name]:8.0f}, Gram {same_texture:.4f}")
print(f"({vgg}: {layer_names[1]} and {layer_names[0]}, RGB, no border cut; 0 is best)")

# %% [markdown]
# VGG distance rates the exchanged halves as worse than anything else. For the Gram matrix they are nearly the same picture,
# because it describes texture without positions. It reacts most to sharpening. VGG distance tolerates brightness and a shift, as
# a viewer does, but also the spot in the face, as no viewer would.
#
# Both distances prefer the GAN to EDSR. But the GAN was trained with a loss on features of VGG19 (the recipe
# `edsr-x4-photos-srgan` lists the layers). One of them is the layer of our VGG distance, and two are close to that of the Gram
# matrix, so neither distance is independent of the training.
#
# ## LPIPS: features, weighted by people
#
# Which features count for people? For *LPIPS* (learned perceptual image patch similarity), people saw a patch and two distorted
# versions of it, and said which version was closer. The weights $w_l$ of the features were fitted to their answers. LPIPS takes
# the features $\phi_l$ of the five convolutions of AlexNet, an older and smaller classifier than VGG19, divides them at each
# position $p$ by their length, and adds up the weighted squared differences:
#
# $$\mathrm{LPIPS}(x, y) = \sum_{l=1}^{5} \operatorname{mean}_p \sum_k w_{l,k} \left( \hat\phi_{l,k}(x)_p - \hat\phi_{l,k}(y)_p \right)^2$$
#
# The weights of AlexNet and of the features are in a file that is not part of the package. Where it is missing, the next cell says
# how to get it, and LPIPS is NaN from there on.

# %%
try:
    arrays = sr.lpips.Distance("alex").arrays
    print({name: array.shape for name, array in arrays.items() if name[:3] == "lin"})
except FileNotFoundError as error:
    arrays = None
    print(error)


# %%
def conv(x, name, strides, padding):
    x = keras.ops.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    x = keras.ops.conv(x, arrays[f"{name}/kernel"], strides)
    return keras.ops.relu(x + arrays[f"{name}/bias"])


def alexnet(image):
    """Returns the features of the five convolutions."""
    x = 2 * sr.images.to_float(image)[None] - 1
    x = (x - np.float32([-0.030, -0.088, -0.188])) / np.float32([0.458, 0.448, 0.450])
    features = [conv(x, "conv1", 4, 2)]
    features.append(conv(keras.ops.max_pool(features[-1], 3, 2), "conv2", 1, 2))
    features.append(conv(keras.ops.max_pool(features[-1], 3, 2), "conv3", 1, 1))
    for name in ("conv4", "conv5"):
        features.append(conv(features[-1], name, 1, 1))
    return features


def unit_length(features):
    return features / (keras.ops.norm(features, axis=-1, keepdims=True) + 1e-10)


# %%
def lpips(a, b):
    if arrays is None:
        return np.nan
    total = 0.0
    for i, (x, y) in enumerate(zip(alexnet(a), alexnet(b), strict=True)):
        squares = (unit_length(x) - unit_length(y)) ** 2
        total += float(keras.ops.mean(keras.ops.sum(squares * arrays[f"lin{i}"], -1)))
    return total


lpips_scores = {name: lpips(photo, image) for name, image in pictures.items()}
if arrays is not None:
    metric = sr.metrics.LPIPS()  # a Keras metric: the mean over images
    enlarged_batch = np.stack([sr.images.to_float(x) for x in results.values()])
    metric.update_state(np.stack([hr] * len(results)), enlarged_batch)
    by_hand = np.mean([lpips_scores[name] for name in results])
    np.testing.assert_allclose(by_hand, metric.result(), atol=1e-5)

# %% [markdown]
# **Predict:** which of the eight damaged pictures will be closest to HR, and in which order will the four results stand?

# %%
for name, value in sorted(lpips_scores.items(), key=lambda item: item[1]):
    print(f"{name:10} LPIPS {value:.3f}")
print("(AlexNet, v0.1, RGB, no border cut; 0 is best)")

# %% [markdown]
# As for VGG distance, the brighter picture is the closest. The noise, which changes the finest features everywhere, is the worst
# of all. LPIPS puts the GAN before EDSR, SRCNN and bicubic. AlexNet had no part in the training of the GAN, so this is better
# evidence. It is not independent, because AlexNet was trained on the same photos as VGG19. The spot is again among the best:
# LPIPS is an average over the picture, too.
#
# ## Eight metrics in one table
#
# The eight damaged pictures have equal PSNR. The table shows how the eight other metrics rank them, from blue (best) to red. NIQE
# sees each picture alone, and all others see HR too.


# %%
def float_score(metric, a, b):
    a, b = (sr.images.to_float(image)[None] for image in (a, b))
    return float(metric(a, b, luma=True)[0])


scores = {}
for name, image in pictures.items():
    scores[name] = {
        "PSNR": psnr(sr.images.to_float(image)),
        "SSIM": float_score(sr.metrics.ssim, photo, image),
        "MS-SSIM": float_score(sr.metrics.ms_ssim, photo, image),
        "HFENN": float_score(sr.metrics.hfenn, photo, image),
        "IFC": sr.quality.ifc(photo, image),
        "VIF": sr.quality.vif(photo, image),
        "NIQE": sr.quality.niqe(image),
        "VGG": vgg_scores[name],
        "LPIPS": lpips_scores[name],
    }

# %%
higher_is_better = {"PSNR", "SSIM", "MS-SSIM", "IFC", "VIF"}


def draw_ranks(names, metrics, title):
    """Draws a table of scores, coloured by their rank among the pictures."""
    values = np.array([[scores[name][metric] for name in names] for metric in metrics])
    signs = np.array([[-1 if metric in higher_is_better else 1] for metric in metrics])
    ranks = (signs * values).argsort(axis=1).argsort(axis=1) + 1
    size = (1.1 * len(names) + 1, 0.45 * len(metrics) + 0.6)
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    ax.imshow(ranks, cmap="RdYlBu_r", aspect="auto", alpha=0.7)
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:.0f}" if value > 100 else f"{value:.3g}"
        ax.text(j, i, f"{text}  (#{ranks[i, j]})", ha="center", va="center", fontsize=9)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(metrics)), metrics)
    ax.set_title(title, fontsize=10)
    plt.show()


all_metrics = list(scores["blur"])
CONDITIONS = "luma (VGG, LPIPS: RGB), no border cut; #1: best"
draw_ranks(list(degraded), all_metrics[1:], f"all near {target:.1f} dB; {CONDITIONS}")

# %% [markdown]
# No two rows are equal. All rank the brighter picture among the best three, and blur among the worst three. For noise the ranks
# range from 4th to last, and for the shifted photo from 2nd to 6th. The spot, which ruins the face, is never worse than 3rd: most
# metrics average over the picture. NIQE even prefers the face with the spot (3.95) to the undamaged photo (4.02).
#
# **Predict:** here is the same table for the four results. Which rows will have the GAN in the first place?

# %%
draw_ranks(list(results), all_metrics, CONDITIONS)

# %% [markdown]
# The metrics form two groups. PSNR, SSIM, MS-SSIM, HFENN, IFC and VIF compare values at the same place, and all of them put EDSR
# first. NIQE, VGG distance and LPIPS put the GAN first. VGG distance and LPIPS also compare position by position, but they compare
# features, which change little when fine detail moves by a pixel. NIQE compares no positions at all. All agree on the third and the
# fourth place. So where methods differ much, the metrics agree here. On this photo, the choice of the metric decides between EDSR
# and the GAN. Decide first what you want to know, then choose the metric.
#
# ## A Fréchet distance: compare sets of pictures
#
# All of these metrics score one picture at a time. But a set of pictures can be wrong although every picture in it is plausible, for
# instance if a generator draws the same texture everywhere. A *Fréchet distance* compares two sets: their features are treated as
# samples of two normal distributions with the means $\mu_1, \mu_2$ and the covariances $\Sigma_1, \Sigma_2$, and the distance of
# these distributions is
#
# $$d^2 = \lVert \mu_1 - \mu_2 \rVert^2 + \operatorname{tr}\left(\Sigma_1 + \Sigma_2 - 2\,(\Sigma_1 \Sigma_2)^{1/2}\right)$$
#
# For two normal distributions of one number, this is $(\mu_1 - \mu_2)^2 + (\sigma_1 - \sigma_2)^2$. The *FID* of the papers is this
# distance with features of the Inception network, one vector for each image, from up to 50,000 images. We have four photos, so our
# samples are patches of 16 x 16 pixels, and our features are those of an early layer of VGG19, averaged over the patch.
#
# We enlarge four photos with each method. Another network is added: the weights of *half GAN* are the means of those of EDSR and of
# the GAN (lesson 16 says more about such blends).

# %%
networks["half GAN"] = sr.models.load("edsr-x4-photos-srgan", detail=0.5)


def versions(true):
    """Returns results at x4 for one photo, by the name of the method."""
    lr = sr.degradations.Downscale(4)(true)
    images = {"bicubic": sr.upscale(sr.models.bicubic(4), lr)}
    x = sr.images.to_float(images["bicubic"])
    detail = x - ndimage.gaussian_filter(x, (3, 3, 0))
    for amount in (1, 2):
        images[f"sharpened {amount}"] = sr.images.to_integer(x + amount * detail)
    noise = rng.normal(size=(*x.shape[:2], 1))
    images["noise 2%"] = sr.images.to_integer(x + 0.02 * noise)
    for name, network in networks.items():
        images[name] = sr.upscale(network, lr)
    return {**images, "HR": true}


# %%
cat, motorcycle = data.chelsea()[:296, :448], data.stereo_motorcycle()[0][:, :740]
motifs = [cat, motorcycle, data.coffee(), data.astronaut()][: here.num_photos]
sets = {}
for motif in motifs:
    for name, image in versions(motif).items():
        sets.setdefault(name, []).append(image)
print(len(motifs), "photos:", ", ".join(sets))

# %%
early_layer = sr.features.FeatureExtractor(["vgg19/block2_conv2"], weights)


def early_features(image):
    return early_layer(sr.images.to_float(image)[None])[0]  # at half of the size


def patch_features(images, features, side):
    """Returns the mean of `side` x `side` features, one patch of the images a row."""
    rows = []
    for image in images:
        x = keras.ops.average_pool(features(image), side, side)
        rows.append(np.reshape(x, (-1, x.shape[-1])).astype("float64"))
    return np.concatenate(rows)


by_patch = {
    name: patch_features(images, early_features, 8) for name, images in sets.items()
}
hr_patches = by_patch["HR"]
print(hr_patches.shape, "patches and features")

# %% [markdown]
# The trace of the root of a product of matrices is the sum of the roots of its eigenvalues. We divide the distance by the total
# variance of the HR patches, which makes it independent of the scale of the features.


# %%
from scipy import linalg


def frechet(a, b):
    """Returns the distance of two sets, divided by the total variance of `b`."""
    difference = a.mean(axis=0) - b.mean(axis=0)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0)).sum()
    squared = difference @ difference + np.trace(cov_a + cov_b) - 2 * roots
    return max(squared, 0) / np.trace(cov_b)


a, b = by_patch["bicubic"], hr_patches
product = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
expected = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
expected += np.trace(np.cov(a.T) + np.cov(b.T) - 2 * product.real)
expected /= np.trace(np.cov(b.T))
np.testing.assert_allclose(frechet(a, b), expected, rtol=1e-3)

# %% [markdown]
# **Predict:** NIQE was fooled by sharpening. Will this distance be fooled, too? And will the GAN be ahead of EDSR?

# %%
distances = {name: frechet(rows, hr_patches) for name, rows in by_patch.items()}
for name, value in sorted(distances.items(), key=lambda item: -item[1]):
    print(f"{name:12} Fréchet distance {value:.3f}")
print(f"(x4, {len(hr_patches)} patches; {vgg}, block2_conv2)")

# %% [markdown]
# Sharpening is rewarded a little, but it stays far behind SRCNN. The distance of the GAN is less than a third of EDSR's, and half GAN
# lies between the two.
#
# Again, this layer was part of the GAN's training. Is it still ahead with features of another network? We repeat the measurement
# with the second convolution of AlexNet, at an eighth of the size:


# %%
def alexnet_features(image):
    return alexnet(image)[1]


if arrays is not None:
    control = {
        name: patch_features(images, alexnet_features, 2)
        for name, images in sets.items()
    }
    for name, rows in control.items():
        print(f"{name:12} Fréchet distance {frechet(rows, control['HR']):.3f}")
    print(f"(x4, {len(control['HR'])} patches; AlexNet, conv2)")

# %% [markdown]
# The values differ, as the features do, but the order of the networks is the same. But stronger sharpening is now worse than
# bicubic interpolation: whether a trick works depends on the features.

# %% [markdown]
# ### Optional: the number of samples
#
# Means and covariances are estimated from samples. **Predict:** we draw two sets of HR patches at random, without a patch in both.
# What is their distance with 1900 patches in each set, and what is it with 100?

# %%
numbers = np.geomspace(60, len(hr_patches) // 2, 7).astype(int)
by_number = {name: [] for name in ("HR", "GAN", "EDSR", "bicubic")}
for n in numbers:
    orders = [rng.permutation(len(hr_patches)) for _ in range(5)]
    for name, row in by_number.items():
        d = [frechet(by_patch[name][o[:n]], hr_patches[o[-n:]]) for o in orders]
        row.append(np.mean(d))

fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
for name, row in by_number.items():
    label = "HR, other patches" if name == "HR" else name
    (line,) = ax.loglog(numbers, row, "o-", ms=4, label=label)
    if name != "HR":
        ax.axhline(distances[name], color=line.get_color(), ls=":", lw=1)
ax.minorticks_off()
ax.set_xticks(numbers, numbers)
ax.set_yticks(
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5], ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]
)
ax.set(xlabel="patches in each set", ylabel="Fréchet distance to HR patches")
ax.set_title("mean of 5 draws; dotted: all patches", fontsize=10)
ax.legend(frameon=False)
plt.show()
for n, value in zip(numbers, by_number["HR"], strict=True):
    print(f"HR, two sets of {n:4} patches: {value:.3f}")

# %% [markdown]
# The distance of two sets of real photos is 0.34 with 60 patches and 0.013 with 1939: it falls nearly in inverse proportion to the
# number of patches. The reason is that the covariance of 128 features consists of 8256 numbers, and few patches determine them
# badly. With 191 patches, real photos (0.13) would be rated worse than EDSR with all patches (0.087), and with 107 patches, the GAN
# cannot be told from HR. (The values for the methods compare the same patches before and after, which removes most of this error.
# FID is normally computed on different images. And the patches of four photos are not independent.) So a Fréchet distance can only
# be compared with one that was computed from the same number of samples, with the same features.

# %% [markdown]
# ## Task-based evaluation
#
# If photos are upscaled in order to find something in them, measure how well it is found. Our task is to match points of the left
# photo of a stereo pair with points of the right one. For these two photos, the true shift of almost every pixel was measured as
# well.

# %%
from skimage import feature

left, right, disparity = data.stereo_motorcycle()  # pixels to the left, in `right`
left, right, disparity = (image[:, :740] for image in (left, right, disparity))
print(left.shape, f"shift known for {np.isfinite(disparity).mean():.0%} of the pixels")

# %% [markdown]
# ORB detects corners and describes each of them by 256 bits. Two points match if each is the nearest to the other. A match is correct
# if it is within 3 pixels of the true position.


# %%
def keypoints(image):
    orb = feature.ORB(n_keypoints=here.keypoints, fast_threshold=0.05)
    orb.detect_and_extract(as_luma(image))
    return orb.keypoints, orb.descriptors


def matches(image, right_points, right_bits):
    """Returns how many matches can be checked, and how many of them are correct."""
    points, bits = keypoints(image)
    matched = feature.match_descriptors(bits, right_bits, cross_check=True)
    points, right_points = points[matched[:, 0]], right_points[matched[:, 1]]
    shift = disparity[tuple(points.astype(int).T)]
    down = points[:, 0] - right_points[:, 0]
    across = points[:, 1] - shift - right_points[:, 1]
    error = np.hypot(down, across)
    return np.isfinite(shift).sum(), (error < 3).sum()


# %% [markdown]
# The left photo is upscaled from its LR image, and the right one stays HR. **Predict:** which method gives the most correct
# matches? Is it the one with the highest PSNR?

# %%
left_versions = versions(left)
right_points, right_bits = keypoints(right)
for name, image in left_versions.items():
    checked, correct = matches(image, right_points, right_bits)
    decibel = ""
    if name != "HR":
        decibel = f", {sr.evaluation.score(left, image, border=4)['psnr_y']:.2f} dB"
    print(f"{name:12} {correct:3} of {checked} matches correct{decibel}")
print("(motorcycle x4, PSNR on luma, 4 pixels cut, 8 bits; correct: within 3 pixels)")

# %% [markdown]
# The networks give 224 to 263 correct matches, bicubic interpolation 160, and HR 421. EDSR has the highest PSNR and the most
# matches. But sharpening lowers PSNR and gives over 40 correct matches more, because corners need contrast.
#
# But this is one pair of photos and one detector. Counts vary by chance by about their square root, which is 16 here, and
# differences by more. (This is a rough guide, because the same points are tested with every method.) So this experiment cannot rank
# the networks, but they do beat bicubic interpolation.
#
# ## Human raters: mean opinion scores
#
# In the end, pictures are made for people. A *mean opinion score* (MOS) is the mean grade from 1 (bad) to 5 (excellent). It is only
# meaningful if the raters do not know which method they see, so the names are hidden and the order is shuffled.

# %%
fur = data.chelsea()[40:232, 100:292]
candidates = versions(fur)
candidates = {n: candidates[n] for n in ("bicubic", "sharpened 1", "EDSR", "GAN", "HR")}
order = rng.permutation(list(candidates))
letters = dict(zip("ABCDE", order, strict=True))
sr.plotting.comparison(
    {letter: candidates[name] for letter, name in letters.items()},
    crop=(32, 60, 120, 120),
    columns=3,
    title="Give each a grade from 1 (bad) to 5 (excellent)",
    whole=False,
)

# %% [markdown]
# Write your five grades into the next cell, and ask others for theirs, before you run the cell after it. (A real study shows one
# picture at a time, and in a new order for each rater.)

# %%
# One line for each rater: five grades for A, B, C, D and E, as in "3 2 5 4 1".
ratings = """
"""

# %% [markdown]
# The next cell reveals which letter was which, with the mean of the grades.

# %%
table = [[int(x) for x in line.split()] for line in ratings.splitlines() if line]
for i, (letter, name) in enumerate(letters.items()):
    opinions = [row[i] for row in table]
    mean = f", mean {np.mean(opinions):.2f}" if opinions else ""
    print(f"{letter} is {name}: {len(opinions)} grades{mean}")

# %% [markdown]
# Nobody has rated these pictures for this page, so there is no MOS to report. How many raters are needed? This can be learned from
# **simulated** raters. Their grades say nothing about any picture, because their opinions are invented.


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
# The mean of 26 grades (SRGAN's paper asked 26 people) is not the mean of everybody. With the sample standard deviation $s$ of $n$
# grades, the interval
#
# $$\bar{x} \pm t\, \frac{s}{\sqrt{n}}$$
#
# contains the true mean in 95% of such studies, where $t$ comes from Student's distribution.

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
# Is it true that 95% of the intervals contain the true mean? With people this cannot be checked. With simulated raters, we can ask a
# hundred thousand of them for the true mean, and repeat the study a thousand times.

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
# Four of the 60 intervals (orange) do not contain the true mean, and 5.5% of the thousand. That is the meaning of 95%. The
# interval of 26 raters is wide: two methods whose means differ by 0.3 can hardly be distinguished by their two intervals.
#
# **Predict:** are versions 2 and 3 different? Compare the intervals of the two. Then compare the interval of the differences: the
# strictness of a rater cancels if we subtract two grades of the same rater.

# %%
for version in (1, 2):
    mean, half = interval(grades[:, version])
    print(f"SIMULATED version {version + 1}: {mean - half:.2f} to {mean + half:.2f}")
mean, half = interval(grades[:, 2] - grades[:, 1])
print(f"SIMULATED difference per rater: {mean - half:.2f} to {mean + half:.2f}")

# %% [markdown]
# The two intervals overlap and decide nothing. The interval of the differences does not contain 0, so these simulated raters prefer
# version 3. Let every rater grade every version, and compare rater by rater. A claim about a method also needs several pictures,
# because a method can win on one and lose on another.
#
# ## The perception-distortion plane
#
# There are two questions: how close is a picture to the truth, and how natural does it look? Blau and Michaeli proved that there
# is a trade-off between the two. For them, *perceptual quality* is a divergence (a measure of difference, 0 if both are equal)
# between the distribution of the outputs and that of real images. Below a certain distortion, this divergence can only be reduced
# by more distortion.
#
# With HR images $X$, LR images $y$, outputs $\hat{X}$, a divergence $d$ and an error $\Delta$, the best that any method can reach
# at the distortion $D$ is:
#
# $$P(D) = \min_{p(\hat{x} \mid y)} d\big(p_X, p_{\hat{X}}\big) \quad \text{subject to} \quad \mathbb{E}\, \Delta(X, \hat{X}) \le D$$
#
# The smallest case is a single number `x`, observed with noise that is as large as itself. The distribution of all `x` that fit
# an observed `y` is called the *posterior*.

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
# The posterior mean has too small a standard deviation, just as a blurred picture has too little contrast. A sample from the
# posterior has the right standard deviation, at twice the squared error, which is 3 dB. Between the two, we multiply the posterior
# mean by a factor above 1:

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
# The posterior mean can be given the right standard deviation, which is an error of 0 at the lower end of the curve, for a squared
# error of about 0.59 instead of 0.5. No estimate lies to the left of the start of the curve. Estimates that are bad in both ways,
# like the observation, are easy to find. The vertical axis is a divergence in the sense of the theorem: all these distributions are
# normal with a mean of 0, so it is the root of their Fréchet distance.
#
# Now we do this with pictures. The PIRM challenge of 2018 drew the root mean squared error of luma on the horizontal axis, and a
# *perceptual index* on the vertical one: the mean of NIQE and of 10 minus the score of [Ma and
# others](https://arxiv.org/abs/1612.05890), which was learned from people's grades. Neither needs HR. NIQE is a practical
# substitute for the divergence, to which the theorem does not apply. (LPIPS would be no substitute: it needs HR, so it is a
# distortion.)
#
# The package draws the plane with PSNR, reversed, so that the better methods are at the lower left. **Predict:** where on this
# plane will half GAN be: on the straight line between EDSR and GAN, above it or below it?

# %%
rows = []
for name, images in sets.items():
    if name != "HR":
        both = zip(sets["HR"], images, strict=True)
        psnr_y = np.mean([sr.evaluation.score(*two, 4)["psnr_y"] for two in both])
        niqe = np.mean([sr.quality.niqe(image, border=4) for image in images])
        rows.append({"model": name, "psnr_y": psnr_y, "niqe": niqe})
hr_niqe = np.mean([sr.quality.niqe(image, border=4) for image in sets["HR"]])
title = f"x4, {len(motifs)} photos, luma, 4 pixels cut, 8 bits"
sr.plotting.quality_against_perception(rows, baselines={"HR": hr_niqe}, title=title)

# %% [markdown]
# The Fréchet distance of the patches is a divergence between two distributions, if only between two normal distributions of features.
# So we draw the plane with it as well:

# %%
fig, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
psnrs = {row["model"]: row["psnr_y"] for row in rows}
path = ["EDSR", "half GAN", "GAN"]
ax.plot([psnrs[n] for n in path], [distances[n] for n in path], "-", color="0.7")
for name, psnr_y in psnrs.items():
    is_network = name in networks
    ax.plot(psnr_y, distances[name], "o", color="#D55E00" if is_network else "#0072B2")
    ax.annotate(name, (psnr_y, distances[name]), (6, 5), textcoords="offset points")
ax.invert_xaxis()
ax.set(xlabel="PSNR on luma (dB), axis reversed", ylabel="Fréchet distance of patches")
ax.set_title(f"{title}; orange: networks", fontsize=10)
ax.margins(x=0.25, y=0.1)
plt.show()

# %% [markdown]
# On both planes, the networks are to the lower left of the tricks, except that NIQE puts strong sharpening level with SRCNN. EDSR,
# half GAN and the GAN show the shape of the trade-off: every step down costs PSNR, and no method is in the corner. Half GAN lies
# below the straight line between the other two, so the grey line bends there. It gives up about 0.1 dB, and gains more than a third
# of the way to the GAN on both vertical axes.
#
# Such a plane is only as reliable as its axes. Sharpening fooled NIQE above, and the Fréchet distance depends on the features. The
# PIRM challenge asked human raters as well.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** Every value of an RGB picture is too high by 10 of 255 levels. What is its PSNR on RGB? Pencil, paper and a
# logarithm are enough.

# %%
answer = None  # your number, in dB

sr.course.check(answer, "12.1")

# %% tags=["solution"]
# @title Solution 1
answer = 20 * np.log10(255 / 10)
sr.course.check(answer, "12.1")
grey = np.full((1, 16, 16, 3), 0.5, "float32")
package = float(sr.metrics.psnr(grey, grey + 10 / 255)[0])
np.testing.assert_allclose(answer, package, atol=1e-3)
on_luma = float(sr.metrics.psnr(grey, grey + 10 / 255, luma=True)[0])
print(f"{answer:.2f} dB on RGB; on luma, which has 219 levels, {on_luma:.2f} dB")

# %% [markdown]
# **Exercise 2.** Grades have a standard deviation of 0.9. How many raters are needed for a 95% interval of `± 0.2`, if `t` is taken
# as 2?

# %%
answer = None  # your number of raters

sr.course.check(answer, "12.2")

# %% tags=["solution"]
# @title Solution 2
# t * s / sqrt(n) = 0.2, so n = (2 * 0.9 / 0.2)**2; half the width needs four times as many
answer = (2 * 0.9 / 0.2) ** 2
sr.course.check(answer, "12.2")
print(f"{answer:.0f} raters")

# %% [markdown]
# **Exercise 3.** Fool PSNR in the other direction: change `photo` so that everybody sees the damage at once, but PSNR stays above
# 30 dB on luma. Does the mean of the SSIM map reveal it? Does its minimum? Does LPIPS? (`ssim_terms` and `lpips` stand above.)

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
print(f"LPIPS: {lpips(photo, prank):.3f} (RGB)")
sr.plotting.comparison(
    {"prank": prank, "HR": photo}, scores={"prank": score}, crop=face, whole=False
)

# %% [markdown] tags=["solution"]
# The mean of the SSIM map (0.998) and LPIPS (0.010) hide the red nose. The minimum is low, but so is that of other harmless changes,
# such as a shift by one pixel, so it does not reveal the prank either. Only the map does, which says where something is wrong.

# %% [markdown]
# **Exercise 4.** Here is another task: scikit-image's face detector, `detector.detect_multi_scale(img=..., scale_factor=1.2,
# step_ratio=1, min_size=(60, 60), max_size=(160, 160))`. Scale `data.astronaut()`, cropped to a multiple of the factor, down by 4,
# 6, 8, 10 and 12. Upscale it with bicubic interpolation, and with the networks by 4, and bring all results to the original size
# with `cv2.resize`. The detector returns a list of boxes, and `box["r"]` and `box["c"]` are the upper left corner. Up to which
# factor is the face found, near row 66, column 174? Are there false alarms? (Count a box as correct if the errors of its row and
# its column add up to less than 40.) At factor 12 the face is 9 pixels across in LR. If a detector finds a face there, what does it
# prove?

# %%
import cv2

detector = feature.Cascade(data.lbp_frontal_face_cascade_filename())

# %% tags=["solution"]
# @title Solution 4
limits = {"scale_factor": 1.2, "step_ratio": 1, "min_size": (60, 60)}
methods = {"bicubic": sr.models.bicubic(4), **networks}
del methods["half GAN"]
for factor in (4, 6, 8, 10, 12):
    side = 512 // factor * factor
    small = sr.degradations.Downscale(factor)(data.astronaut()[:side, :side])
    found = []
    for name, model in methods.items():
        image = sr.upscale(model, small)
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        boxes = detector.detect_multi_scale(img=image, max_size=(160, 160), **limits)
        correct = [b for b in boxes if abs(b["r"] - 66) + abs(b["c"] - 174) < 40]
        num_false = len(boxes) - len(correct)
        found.append(f"{name} {'found' if correct else 'lost'}, {num_false} false")
    print(f"x{factor}: {'; '.join(found)}")

# %% [markdown] tags=["solution"]
# Up to factor 8, the face is found in all results. At 10 and 12, only the GAN's face is found every time. At factor 12, this proves
# that the GAN draws something that the detector takes for a face. It does not prove that a face was there, and less still whose it
# was (lesson 13). And a single photo proves little: at factor 10, bicubic interpolation passes where EDSR fails.

# %% [markdown]
# **Exercise 5.** What counts as natural depends on the reference photos. Fit NIQE with `sr.quality.fit_niqe` to bricks, grass and
# gravel (`data.brick()` and so on, the upper 384 rows). How does this model rate the rest of the gravel, and the astronaut? Compare
# with the model of the package.

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

# %% [markdown] tags=["solution"]
# For the model of textures, gravel is natural and a portrait is not. For the model of the package, which was fitted to the photos
# of BSDS500, both are about equally natural. Compare within a model only: five patches of gravel are too few for a reliable score,
# and the model of BSDS500 rates this gravel even lower, that is better, than the model that was fitted to gravel.

# %% [markdown]
# ## Summary
#
# - PSNR measures the length of the error and nothing else: blur, noise, a spot and a shift by one pixel can have the same PSNR.
# - SSIM, MS-SSIM, HFENN, IFC and VIF measure structure, structure at several scales, edges, and information. All of them compare
#   values at the same place, and here they rank the four results exactly as PSNR does.
# - All scores of a picture are averages, so a small spot that ruins it costs little.
# - NIQE needs no HR, and rewards sharpening a blurred picture, which adds no information. What it considers natural depends on the
#   photos that it was fitted to.
# - VGG distance and LPIPS compare features, and Gram matrices compare texture without positions. Here they put the GAN first, and so
#   does NIQE.
# - A Fréchet distance compares two sets by the means and covariances of their features. It depends on the number of samples, so
#   compare only values with equal numbers.
# - If pictures serve a task, measure the task. If they are made for people, ask people, blindly, each about every version, and report
#   the interval.
# - Below a certain distortion, a method can only become more natural at the cost of more distortion. Report both, with their
#   conditions.
#
# ## Further reading
#
# - Wang, Simoncelli and Bovik, [Multiscale structural similarity for image quality
#   assessment](https://doi.org/10.1109/ACSSC.2003.1292216), 2003: MS-SSIM.
# - Ravishankar and Bresler, [MR image reconstruction from highly undersampled k-space data by dictionary
#   learning](https://doi.org/10.1109/TMI.2010.2090538), 2011: the origin of HFENN.
# - Sheikh, Bovik and de Veciana, [An information fidelity criterion](https://doi.org/10.1109/TIP.2005.859389), 2005, and Sheikh and
#   Bovik, [Image information and visual quality](https://doi.org/10.1109/TIP.2005.859378), 2006: IFC and VIF.
# - Mittal, Soundararajan and Bovik, [Making a "completely blind" image quality analyzer](https://doi.org/10.1109/LSP.2012.2227726),
#   2013: NIQE.
# - Gatys, Ecker and Bethge, [Texture synthesis using convolutional neural networks](https://arxiv.org/abs/1505.07376), 2015: Gram
#   matrices. Johnson, Alahi and Fei-Fei, [Perceptual losses](https://arxiv.org/abs/1603.08155), 2016: VGG distance.
# - Zhang et al., [The unreasonable effectiveness of deep features as a perceptual metric](https://arxiv.org/abs/1801.03924), 2018:
#   LPIPS.
# - [DISTS](https://arxiv.org/abs/2004.07728), 2020, [MUSIQ](https://arxiv.org/abs/2108.05997), 2021, and
#   [CLIP-IQA](https://arxiv.org/abs/2207.12396), 2023: metrics of recent papers. The last two need no HR.
# - Heusel and others, [GANs trained by a two time-scale update rule](https://arxiv.org/abs/1706.08500), 2017: the
#   Fréchet inception distance (FID).
# - Chong and Forsyth, [Effectively unbiased FID and Inception score and where to find them](https://arxiv.org/abs/1911.07023), 2020:
#   what the number of samples does to FID.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018, and Blau et al., [The 2018 PIRM
#   challenge on perceptual image super-resolution](https://arxiv.org/abs/1809.07517), 2018.
# - Haris, Shakhnarovich and Ukita, [Task-driven super resolution](https://arxiv.org/abs/1803.11316), 2018: training for a task.
