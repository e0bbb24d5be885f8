# %% [markdown]
# # 16. Real photos
#
# Why a photo from a phone is not an LR image made by bicubic downscaling, how to imitate what happened to it, and how much a network trained in this way may invent.
#
# ![A face from a JPEG photo: bicubic interpolation and two networks](figures/16_goal.jpg)
#
# *A compressed photo, enlarged four times. EDSR enlarges the damage too; the network of this lesson has learned to expect it.*
#
# **You will be able to**
#
# - measure the noise, the JPEG blocks and the missing frequencies of a photo;
# - explain why a network trained on bicubic LR images draws the damage of a photo larger;
# - write a second-order degradation step by step, and read the package's;
# - blend two networks weight by weight, and choose how much may be invented;
# - say why LR-PSNR does not help when the LR image is itself damaged.
#
# **You need** lesson 1 (LR images, PSNR), lesson 2 (degradations) and lesson 10 (GANs). Lesson 13 says more about what was invented.
#
# **Time:** about 40 minutes to read the core, 55 for the exercises; 1 minute of computing on two CPU cores (measured), 1 minute on a GPU in Colab (an estimate).
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

here = sr.course.start(minutes=(0.7, 1, 1), num_blends=(3, 5, 5))

# %% [markdown]
# ## A photo as it comes
#
# The LR images of the earlier lessons were made from perfect photos by bicubic downscaling. Nobody has such images. A photo from a phone was blurred by a lens,
# sampled by a sensor with noise, and compressed to a JPEG file; a website may have resized and compressed it once more.
#
# We make two LR images of one photo: the clean one of the benchmarks, and one that resembles a photo from a phone. Its steps are a mean over
# 4 x 4 pixels, as a sensor takes it, noise, and JPEG.

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
# At first sight they are alike. **Predict:** EDSR was trained on clean LR images only. It enlarges the clean one better than bicubic interpolation. What will it
# do with the other one: will it be better, equal, or worse than bicubic?

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
# On the clean image EDSR gains almost three decibels. On the other one its advantage is gone, and the picture shows why: it takes the edges of the
# compression for edges of the scene, and draws them sharper. It does what it was trained for, on an image that it was not trained for.
#
# ## What is in it: three measurements
#
# ### Blocks
#
# JPEG stores an image in blocks of 8 x 8 pixels, each on its own. Neighbouring pixels therefore differ more where two blocks meet. To see it, we compute
# the difference of neighbouring columns, take the median over the rows, so that edges of the scene count little, and average it for each of the eight positions. Rows are treated alike.
#
# **Predict:** by how much is the difference larger at the border of a block? And will the blocks still be there after EDSR has enlarged the image?


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
# One number says how strong the blocks are: the step at the border, divided by the mean of the others. For an enlarged image we take every fourth row and column, so that the same
# function applies.


# %%
def blockiness(image):
    """Returns how much larger the step is at the border of a block than elsewhere."""
    if len(image) == len(hr):
        image = image[1::scale, 1::scale]
    steps = steps_by_position(image)
    return steps[7] / steps[:7].mean()


for name, image in {"clean": clean, "phone": phone, "HR": hr, **first}.items():
    print(f"{name:16} {blockiness(image):.2f}")

# %% [markdown]
# Without blocks the ratio is about 1. The blocks of the phone's photo survive the enlargement, with borders that are now 32 pixels apart, and EDSR makes them *stronger* than they were.
#
# ### Noise
#
# Noise can be estimated without the original. A kernel that is blind to flat areas, slopes and straight edges along rows and columns leaves mostly noise. For independent noise of the standard deviation
# $\sigma$, the sum of the squared weights of the kernel, 36, gives the factor 6 (Immerkær, 1996). The median is robust against what is left of edges:
#
# $$\hat{\sigma} = \frac{1}{6}\cdot\frac{\mathrm{median}\,\lvert x * k \rvert}{0.6745}, \qquad k = \begin{pmatrix}1&-2&1\\-2&4&-2\\1&-2&1\end{pmatrix}$$


# %%
def noise_of(image):
    """Returns the estimated standard deviation of the noise, white being 1."""
    line = np.array([1.0, -2.0, 1.0])
    luma = sr.images.luma(sr.images.to_float(image))[..., 0]
    rest = cv2.filter2D(luma.astype("float32"), -1, np.outer(line, line))
    return np.median(np.abs(rest)) / 0.6745 / 6


flat = np.full((200, 200, 1), 0.5) + rng.normal(0, 0.02, (200, 200, 1))
print(f"a flat area with noise of 0.02: {noise_of(flat.repeat(3, axis=2)):.4f}")
for name, lr in {"clean": clean, "before JPEG": noisy, "phone": phone}.items():
    print(f"{name:12} {noise_of(lr):.4f}")

# %% [markdown]
# The finest texture of a photo counts as noise, as the clean image shows, and the luma of a colour image averages three independent channels, so its noise is smaller than theirs. JPEG removes
# a part of the noise, because it rounds the weakest frequencies of a block to zero, together with the texture that is as weak.
#
# ### Frequencies
#
# The third measurement is the spectrum: how much power the image has at each frequency, averaged over all directions.


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


photos = {"mean of 4 x 4": sensor, "with noise": noisy, "phone": phone}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, lr in photos.items():
    ax.plot(np.linspace(0, 1, 40), spectrum(lr) - spectrum(clean), label=name)
ax.set(xlabel="frequency (1: the highest of an LR image)")
ax.set(ylabel="power relative to the clean LR image (dB)")
ax.legend()
plt.show()

# %% [markdown]
# A curve at 0 dB would be that of bicubic downscaling. The mean over 4 x 4 pixels is a little lower in the middle, so the image is softer, and higher at the end, because a mean removes aliases less well. Noise raises the
# end further, and JPEG lowers the frequencies that it rounds to zero. EDSR knows only the flat line.
#
# ## Damage, step by step
#
# If the damage can be imitated, a network can be trained on it. Real-ESRGAN (Wang and others, 2021) draws a chain of four steps for each patch, and applies it twice,
# because photos on the internet have usually been through two such chains. This is a *second-order degradation*:
#
# ![Blur, resizing, noise and JPEG, twice](figures/16_second_order.svg)
#
# We write the four steps by hand. The first is a blur with a Gaussian kernel, which is normalized so that the brightness stays.


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
# The second step resizes by a random factor, the third adds noise. Photons arrive independently, so their number in a pixel has a Poisson distribution, whose variance is its mean:
# bright areas are noisier, but less so relative to their brightness. The fourth step is the JPEG from above.


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
    noise = rng.poisson(sr.images.to_float(image) * 400) / 400
    print(f"{name}: standard deviation {noise.std():.4f}")

# %% [markdown]
# A quarter of the light has half of the noise. Now the chain, twice. **Predict:** after which of the eight steps will the pupils of the eyes be gone?

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
# Every step changes what the next one receives: the second blur smears the blocks of the first JPEG, the second resizing averages its noise, and the second JPEG has a grid
# of its own. This is why two passes produce mixtures that no single pass does.
#
# The package's `SecondOrder` is this chain with random settings: kernels that are round, long or with a flat top; resizing up and down by three methods; Gaussian and photon noise, coloured
# or grey; and a filter that rings, like the sharpening of cameras.

# %%
second_order = sr.degradations.SecondOrder(scale)
draws = {f"seed {seed}": second_order(hr, seed=seed) for seed in (1, 2, 3, 4, 5)}
sr.plotting.degradations(hr, draws, crop=(40, 88, 160, 160))

# %% [markdown]
# The five LR images have little in common. A network that is trained on all of them has to find out from the image what happened to it, and its answers for the worst
# of them are guesses. The networks of this lesson therefore saw such images in only half of their training. The other half was milder. The history in the
# weights file tells how:

# %%
file = sr.weights.find("span-x4-photos-real")
trained = sr.weights.history(file)["recipe"]
seen = sr.degradations.deserialize(trained["degradation"])
for odds, choice in zip(seen.odds, seen.choices, strict=True):
    print(f"{odds:.0%}: {choice}\n")

# %% [markdown]
# ## A network that expects damage
#
# The network is a SPAN, a design of 2023 for fast networks (lesson 17): a few plain convolutions, and an attention without weights. How large is it, beside the EDSR that
# failed above?

# %%
real = sr.models.load("span-x4-photos-real")
for name, model in (("EDSR", edsr), ("SPAN", real)):
    print(f"{name}: {model.count_params():,} weights")

# %% [markdown]
# **Predict** two things. Will the small network beat the large one on the phone's photo? And what about the clean LR image, for which EDSR was made?

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
by_photo = {}
for photo_name, whole in (("chelsea", data.chelsea()), ("coffee", data.coffee())):
    target = whole[:256, 96:352]
    small = cv2.resize(target, (64, 64), interpolation=cv2.INTER_AREA)
    for lr_name, lr in (
        ("clean", sr.degradations.Downscale(scale)(target)),
        ("JPEG 40", jpeg(small, 40)),
    ):
        for name, model in (("bicubic", bicubic), ("EDSR", edsr), ("real", real)):
            psnr = score(target, sr.upscale(model, lr), scale)["psnr_y"]
            by_photo.setdefault(f"{photo_name}, {lr_name}", {})[name] = psnr
for row, values in by_photo.items():
    print(f"{row:17}", "  ".join(f"{n} {v:.2f} dB" for n, v in values.items()))

# %% [markdown]
# On damaged images the small network is ahead of one that has more than three times as many weights. On clean images it is behind. It cannot know whether a faint dot is noise or a
# star, and its training has taught it that it is usually noise. A degradation in the training set is a prior, just as the photos are.
#
# Are its blocks weaker, too?

# %%
for name, image in second.items():
    print(f"{name:16} blocks {blockiness(image):.2f}")

# %% [markdown]
# ## A larger portrait
#
# The face has only 40 pixels here, too few for anybody. A more usual case is a photo of which more is left: the same portrait at half of its size, compressed, and enlarged to twice the size
# of the original. There is no HR image of that size, so there are no scores.

# %%
portrait = jpeg(resize(data.astronaut()[:256, 96:352], 0.5), 50)
everyone = {"bicubic": bicubic, "EDSR": edsr, "real": real}
results = {name: sr.upscale(model, phone) for name, model in everyone.items()}
goal = {name: sr.upscale(model, portrait) for name, model in everyone.items()}
sr.plotting.comparison(goal, crop=(60, 80, 320, 350), columns=3, whole=False)

# %%
sr.plotting.slider(
    {"EDSR": goal["EDSR"], "real": goal["real"]}, crop=(60, 80, 320, 350), zoom=2
)

# %% [markdown]
# EDSR draws the blocks around the hair and below the eye as lines, for in its training every such edge was part of a scene. The other network has removed most of them. It has not put anything in their place: it was trained
# on the absolute error, so it returns something like the median of all photos that fit (lessons 11 and 13), which is smooth.
#
# ## How much may be invented?
#
# A discriminator (lesson 10) leads to crisper pictures, by inventing what is lost. How much of that is wanted depends on the use, so the user should choose. ESRGAN's authors found a simple way (*network
# interpolation*): average the weights of the network and of the GAN that was trained from it.
#
# $$\theta = (1 - d)\,\theta_{L_1} + d\,\theta_\mathrm{GAN}, \qquad 0 \le d \le 1$$
#
# The pair of lesson 10 shows it, on the clean LR image of a cat. In Keras it takes three lines:

# %%
gan = sr.models.load("edsr-x4-photos-srgan")
between = keras.models.clone_model(edsr)
pairs = zip(edsr.get_weights(), gan.get_weights(), strict=True)
between.set_weights([0.5 * a + 0.5 * b for a, b in pairs])

package_blend = sr.models.blend(edsr, gan, 0.5)
cat = data.chelsea()[20:276, 80:336]
cat_lr = sr.degradations.Downscale(scale)(cat)
x = sr.images.to_float(cat_lr)[None]
np.testing.assert_allclose(between(x), package_blend(x), atol=1e-5)

# %% [markdown]
# The package finds the partner by itself: the history in the GAN's file names the weights that its training began from. `sr.models.load(name, detail=0.5)` is the same network, and so is
# `upscale --detail 0.5` on the command line.
#
# **Predict:** is this the same as averaging the two *pictures*?

# %%
loaded = sr.models.load("edsr-x4-photos-srgan", detail=0.5)
np.testing.assert_allclose(loaded(x), between(x), atol=1e-5)
mean_picture = (edsr(x) + gan(x)) / 2
difference = 255 * np.abs(np.asarray(between(x) - mean_picture))
apart = 255 * np.abs(np.asarray(edsr(x) - gan(x)))
print(f"both networks differ by {apart.mean():.2f} grey levels on average,")
print(f"the blend from the mean of their pictures by {difference.mean():.2f}")

# %% [markdown]
# It is not the same, because the network is not linear in its weights. The blend costs one network's time, and the mean of the pictures costs two.

# %%
amounts = np.linspace(0, 1, here.num_blends)
strip = {
    f"detail {d:g}": sr.upscale(sr.models.blend(edsr, gan, d), cat_lr) for d in amounts
}
sr.plotting.comparison(strip, crop=(60, 60, 130, 130), columns=3, whole=False)

# %%
niqe_of = {name: sr.quality.niqe(image, border=4) for name, image in strip.items()}
psnr_of = {name: score(cat, image, scale)["psnr_y"] for name, image in strip.items()}
for name in strip:
    print(f"{name:11} PSNR {psnr_of[name]:.2f} dB, NIQE {niqe_of[name]:.2f}")

# %%
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(list(psnr_of.values()), list(niqe_of.values()), "o-")
for d, name in zip(amounts, strip, strict=True):
    ax.annotate(
        f"{d:g}", (psnr_of[name], niqe_of[name]), (5, 5), textcoords="offset points"
    )
ax.set(xlabel="PSNR (dB): closer to HR", ylabel="NIQE: lower looks more natural")
plt.show()

# %% [markdown]
# The blends form a curve in the plane of lesson 12, from the faithful end to the natural one. Each point is a usable network, and no training was needed for those in between.
#
# It works because one network was trained from the other, so that their filters correspond. Exercise 4 shows what happens if they do not.
#
# ## Optional: a published network, and a small one that learned from it
#
# Real-ESRGAN's own network has 16.7 million weights, and was trained on many more photos for much longer. Its file is not part of the package. If you put `RealESRGAN_x4plus.pth` beside this notebook, or into
# the folder `official` of your data, `sr.models.load` reads it without executing anything in it.
#
# A small network can learn from a large one (*knowledge distillation*; Hinton and others, 2015). The large network, the *teacher*, upscales many damaged patches, and its outputs take the place of the HR patches. In this way, 2,388 outputs
# of Real-ESRGAN's network were made for `span-x4-photos-distilled` (`examples/distill.py`), which has the size of the small network above and started from its weights. **Predict:** the teacher's output is fully
# determined by the LR patch. Will the small network draw the teacher's texture, although it was trained with a pixel loss?

# %%
import pathlib

data_folder = pathlib.Path(os.environ.get("SR_KERAS_DATA") or "../data")
published = [
    *pathlib.Path().glob("RealESRGAN_x4plus*"),
    *(data_folder / "official").glob("RealESRGAN_x4plus*"),
]
others = {"real": real, "distilled": sr.models.load("span-x4-photos-distilled")}
if published:
    others[published[0].stem] = sr.models.load(published[0])
for name, model in others.items():
    print(f"{name}: {model.count_params():,} weights")

# %%
cat = data.chelsea()[60:220, 90:250]
cat_lr = jpeg(cv2.resize(cat, (80, 80), interpolation=cv2.INTER_AREA), 50)
cats = {name: sr.upscale(model, cat_lr, tile=None) for name, model in others.items()}
sr.plotting.comparison(
    {"JPEG": cat_lr, **cats},
    crop=(60, 40, 200, 200),
    columns=3,
    whole=False,
    title="Chelsea at half of the size, then x4",
)

# %% [markdown]
# Here the LR image is the photo at half of its size, enlarged to twice the size of the original, so there is no HR image and no PSNR. Only the impression counts, and it should be that of
# several people who do not know which picture is whose (lesson 12).
#
# The outlines of the distilled network are a little crisper than before, but it draws none of the teacher's fur. A single answer exists for each LR patch, but 426,288 weights are not enough to compute it. Where the network cannot tell what the teacher
# would draw, the pixel loss again asks for the average.
#
# ## Optional: pairs from a camera
#
# All degradations on this page were made by programs. For City100 (Chen and others, 2019) one scene was photographed twice, with a long and a short focal length. The authors enlarged the wide photo to
# the size of the other one and aligned both. If your data folder has `city100`, we compare the spectra, as above.

# %%
names = sorted(path.name for path in (data_folder / "city100" / "HR").glob("*.png"))[
    3:6
]
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
# The printed numbers are the power of the wide photo relative to the long one at 0, 0.2, 0.4, 0.6 and 0.8 of the highest frequency. Above half of it next to nothing is left. So half the size loses
# nothing, and the wide photo becomes an LR image that a camera made: we halve it, enlarge it by 4, halve it again, and compare it with the long one.

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
if cameras:
    camera_figure = sr.plotting.comparison(
        {**by_network, "HR": target}, crop=(60, 60, 160, 160), columns=3, whole=False
    )

# %% [markdown]
# No program of ours made these LR images. They are soft rather than compressed, so all networks have little to repair, and what they add is small. A network for one camera is better trained on
# pairs from that camera.
#
# ## What may be concluded
#
# Lesson 13 used LR-PSNR: a result that does not become the LR image again when it is scaled down has changed what was seen. **Predict:** which of the three results for the phone's photo has the
# highest LR-PSNR, and is it the best one?

# %%
for name, image in results.items():
    fit, psnr = sr.quality.lr_psnr(phone, image), scores_of({name: image})[name][0]
    print(f"{name:10} LR-PSNR {fit:.1f} dB, PSNR against HR {psnr:.2f} dB")
print(f"{'HR itself':10} LR-PSNR {sr.quality.lr_psnr(phone, hr):.1f} dB")

# %% [markdown]
# The HR photo itself does not fit the LR image well, because that image is damaged. A network that removes noise and blocks *must* disagree with it. So LR-PSNR can no longer refute a
# result, and one check of lesson 13 is lost: for a damaged photo nobody can tell, from the LR image, a repaired detail from an invented one.
#
# Text shows it best, because we can read it.

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
# Compare letter by letter: where do the strokes of the network differ from those of the original? A reader who has only the network's picture would take every stroke for what was printed. A crisp picture of a
# damaged photo is an illustration, not evidence.
#
# ## Exercises
#
# **Exercise 1.** A photo with independent noise of the standard deviation 0.04 in every pixel is resized to half of its size by means of 2 x 2 pixels. What is the standard deviation of its
# noise then?

# %%
answer = None  # your number

sr.course.check(answer, 0.02)

# %% tags=["solution"]
# @title Solution 1
answer = 0.04 / np.sqrt(4)  # the mean of 4 independent values
many = rng.normal(0, 0.04, (500, 2, 500, 2)).mean(axis=(1, 3))
print(f"by trying: {many.std():.4f}")
sr.course.check(answer, 0.02)

# %% [markdown]
# **Exercise 2.** In the training of `span-x4-photos-real`, half of the patches got `SecondOrder`, which always compresses twice, and half got a mild degradation in which JPEG has a probability of 80%. How many
# patches of a hundred were never compressed?

# %%
answer = None  # your number

sr.course.check(answer, 10)

# %% tags=["solution"]
# @title Solution 2
answer = 100 * 0.5 * (1 - 0.8)
sr.course.check(answer, 10)

# %% [markdown]
# **Exercise 3.** In which order do noise and blur damage a photo more? Apply `blur(..., 1.5)` and `photon_noise(..., 100)` to `hr` in both orders, and measure PSNR and `noise_of`. Which order is that of a
# camera?

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
# **Exercise 4.** Load `edsr-x4-bsds-small` twice. In one of them, exchange the 32 filters of the layer `block_0_conv1` (reverse their order), and reverse the input channels of `block_0_conv2`. Do this
# in all blocks. Show that the network computes the same as before. What does the blend of both compute, half and half?

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
# Both are the same function, and the network half-way between them is far worse: the filters at the same place do different things. Two networks that were trained independently are at
# best equal up to such an exchange, so they cannot be blended.

# %% [markdown]
# **Exercise 5.** Make the network of the blend useful for a film: which amount of detail would you choose for a face in the news, for a texture in a game, for an old family photo? Write one sentence of
# reasons for each, and show the picture that made you decide.

# %%
choices = None  # your amounts

# %% tags=["solution"]
# @title Solution 5
# There is no single answer. In the news nothing may be invented (0). A texture only has
# to look right (1). For a family photo it is a question of taste, and of whether the
# viewers know that the skin and the hair are an illustration (about a half).
choices = {"news": 0.0, "game": 1.0, "family": 0.5}
family = cv2.resize(data.astronaut()[30:190, 150:310], (80, 80))
sr.plotting.comparison(
    {
        name: sr.upscale(sr.models.blend(edsr, gan, d), family)
        for name, d in choices.items()
    },
    crop=(40, 60, 200, 200),
    columns=3,
    whole=False,
)

# %% [markdown]
# ## Summary
#
# - An LR image from a camera is blurred, noisy and compressed. Blocks, noise and missing frequencies can be measured without the original.
# - A network trained on bicubic LR images enlarges damage like detail. A network trained on imitated damage removes it, and is worse on clean images: the degradation is a prior.
# - Second-order degradation applies a random chain of blur, resizing, noise and JPEG twice. Half of the training here was milder, so that mild photos stay sharp.
# - The weights of a network and of a GAN that was trained from it can be averaged. The amount is a choice of the user, between faithful and natural.
# - LR-PSNR does not judge results for damaged images. What was repaired and what was invented cannot be told apart without the original.
#
# ## Further reading
#
# - Wang, Xie, Dong and Shan, [Real-ESRGAN](https://arxiv.org/abs/2107.10833), 2021: second-order degradation.
# - Zhang, Liang, Van Gool and Timofte, [Designing a practical degradation model](https://arxiv.org/abs/2103.14006), 2021 (BSRGAN): a random order instead.
# - Wang and others, [ESRGAN](https://arxiv.org/abs/1809.00219), 2018, and [Deep network interpolation](https://arxiv.org/abs/1811.10515), 2019: blending weights.
# - Wan and others, [Swift parameter-free attention network](https://arxiv.org/abs/2311.12770), 2023: SPAN.
# - Chen and others, [Camera lens super-resolution](https://arxiv.org/abs/1904.03378), 2019: City100.
# - Immerkær, [Fast noise variance estimation](https://doi.org/10.1006/cviu.1996.0060), 1996.
# - Entezari and others, [The role of permutation invariance in linear mode connectivity](https://arxiv.org/abs/2110.06296), 2022: when networks can be blended.
