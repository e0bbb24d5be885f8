# %% [markdown]
# # 7. Perceptual loss: compare features, not pixels
#
# What VGG19 sees in a photo, how its features become a content loss and a texture loss, and what a network for x4 gains and
# loses when it is trained with them.
#
# ![Noise, a texture painted from it, and gravel](figures/07_goal.jpg)
#
# *Random pixels, changed until the features of VGG19 occur together as often and as strongly as they do in the photo of gravel. No
# network was trained for this.*
#
# **You will be able to**
#
# - build the first three blocks of VGG19, write content loss, Gram matrices and total variation by hand, and say what each of them
#   is blind to;
# - look at VGG's features, and choose a layer for a reason;
# - choose the weights of several losses by their gradients, and train a network with the sum;
# - report what was gained and what it cost, find a grid in a result, and explain why the new detail must not be trusted.
#
# **You need** lesson 1 (PSNR), lesson 3 (convolutions), lesson 4 (pixel shuffle), lesson 5 (gradient descent on pixels, `GradientTape`) and lesson 6
# (why a pixel loss keeps a network blurry).
#
# **Time:** about 70 minutes to read the core, 50 for the exercises; 5 minutes of computing on two CPU cores (measured), 2 minutes on a GPU in Colab (an estimate).
#
# **Optional** sections, 5 minutes more: *before or after the ReLU?*; *LPIPS, weights fitted to human ratings*. Everything else is core.
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/07_perceptual.ipynb) · [Student edition](student/07_perceptual.ipynb) · [Source](https://github.com/OWNER/sr_keras/blob/main/notebooks/source/07_perceptual.py) · Previous: [6. U-Net: restore a damaged photo](06_unet.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/06_unet.ipynb)) · Next: [8. EDSR: remove batch normalization, then train well](08_edsr.ipynb) ([in Colab](https://colab.research.google.com/github/OWNER/sr_keras/blob/main/notebooks/student/08_edsr.ipynb)) · [All lessons](README.md)

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
    minutes=(0.6, 5, 2),
    steps=(1, 120, 400),
    patch=(12, 24, 24),
    tries=(4, 70, 300),
    painted=(32, 64, 96),
    inversions=(1, 3, 3),
    shares=((0, 1), (0, 0.25, 0.5, 0.75, 1), (0, 0.25, 0.5, 0.75, 1)),
    tolerance=(10, 0, 0),  # how much worse a result may be than the text says
    eager=(True, False, False),  # a few steps take less time than tracing a graph
)

# %% [markdown]
# ## Equal errors, different pictures
#
# In lesson 6 we saw that a network trained to minimize pixel errors blurs whatever it is unsure of, because a blurry answer is the
# safest. Does blur also look better to us? We damage a photo in four ways, all with the same squared error:

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from scipy import ndimage
from skimage import data

height, width = 128, 160
photo = data.chelsea()[75 : 75 + height, 70 : 70 + width]  # the cat's eye
hr = sr.images.to_float(photo)
blurred = ndimage.gaussian_filter(hr, (1.6, 1.6, 0))
error = np.sqrt(np.mean((blurred - hr) ** 2))
close = (0, 0, height, width)  # the part that figures show

# %%
generator = np.random.default_rng(0)
directions = {
    "brighter": np.ones_like(hr),
    "blur": blurred - hr,
    "noise": generator.normal(size=hr.shape),
    "sharpened": hr - blurred,
}
spoiled = {}
for name, direction in directions.items():
    length = np.sqrt(np.mean(direction**2))
    spoiled[name] = (hr + error * direction / length).astype("float32")
    mse = sr.losses.l2(hr[None], spoiled[name][None])
    np.testing.assert_allclose(mse, error**2, rtol=1e-4)

# %%
psnr = -20 * np.log10(error)
sr.plotting.comparison(
    {**spoiled, "HR": hr},
    scores={name: f"{psnr:.2f} dB" for name in spoiled},
    crop=close,
    columns=3,
    whole=False,
    title="PSNR in RGB, no border cut",
)

# %% [markdown]
# The squared error rates them as equal. To our eyes, the brighter one is as good as the photo, and the blurred one has lost the
# structure of the fur. A better loss would have to know what fur looks like. A network that was trained to recognize images may
# know.
#
# ## What VGG19 sees
#
# VGG19 was trained to classify 1.3 million photos into a thousand categories (ImageNet). It has 16 convolutions of 3 x 3 in five
# blocks, and each block works at half the resolution of the previous one. `block3_conv3` is the third convolution of the third
# block. The 19 in the name includes three dense layers at the end, which we do not use. We look at its *features*, the maps inside
# the network.
#
# The first call looks for the weights, and downloads 80 MB if they are missing.

# %%
short_names = [
    "block1_conv1",
    "block2_conv1",
    "block3_conv3",
    "block4_conv4",
    "block5_conv4",
]
layer_names = [f"vgg19/{name}" for name in short_names]
try:
    sr.features.FeatureExtractor(layer_names[:1]).build()
    weights, vgg = "imagenet", "VGG19"
    print("VGG19 is available, trained on ImageNet.")
except OSError:
    weights, vgg = None, "UNTRAINED VGG19"
    print("VGG19's weights are not here and cannot be downloaded.")
    print("A VGG19 with random weights is used instead: all cells run, but what this")
    print("page says about features, textures and results does not hold for it.")
trained = weights is not None
extractor = sr.features.FeatureExtractor(layer_names, weights)

# %% [markdown]
# The extractor takes our photos, RGB in [0, 1], and converts them to what VGG19 was trained with: BGR from 0 to 255, minus the mean
# colour of ImageNet. Forgetting this conversion causes no error message, only bad features.
#
# **Predict:** the figure shows some maps of the first layer, of middle layers, and of the last one. In which of them will you still
# recognize the cat?

# %%
maps = [np.asarray(features)[0] for features in extractor(hr[None])]
fig, axes = plt.subplots(5, 5, figsize=(7.2, 5.8), layout="constrained")
for row, name, features in zip(axes, short_names, maps, strict=True):
    channels = np.argsort(-features.std(axis=(0, 1)))[:5]  # those that vary most
    for ax, channel in zip(row, channels, strict=True):
        ax.imshow(features[..., channel], cmap="magma", aspect="auto")
        ax.set(xticks=[], yticks=[], title=f"{channel} of {features.shape[2]}")
        ax.title.set_fontsize(8)
    size = f"{features.shape[0]} x {features.shape[1]}"
    row[0].set_ylabel(f"{name}\n{size}", fontsize=8)
fig.suptitle(
    f"The five maps that vary most, of five layers of {vgg} (bright is strong)",
    fontsize=11,
)
plt.show()

# %% [markdown]
# The first layer shows edges and colours, pixel by pixel. The second shows strokes of fur in one direction or another, and the third still has the outline of the eye. In the last two
# there are a few bright places. Each says that something is roughly here, but not what it looks like in detail.
#
# VGG19 is a plain stack of convolutions, ReLUs and pooling layers. These are its first three blocks in Keras layers, with the
# conversion of colours. The kind of pooling is an argument, because we shall change it below:


# %%
def vgg_by_hand(pooling=layers.MaxPooling2D):
    """Builds VGG19 up to block3_conv3; its outputs are those of four layers."""
    image = keras.Input((None, None, 3))
    mean_bgr = np.array([103.939, 116.779, 123.68], "float32")  # of ImageNet
    x = 255.0 * image[..., ::-1] - mean_bgr
    outputs = []
    for block, num_convs in ((1, 2), (2, 2), (3, 3)):
        if block > 1:
            x = pooling(2)(x)
        for i in range(1, num_convs + 1):
            filters = 64 * 2 ** (block - 1)
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            if i in (1, 3):
                outputs.append(x)  # three times conv1, and block3_conv3
    return keras.Model(image, outputs)


# %%
up_to_block3 = sr.features.FeatureExtractor(["vgg19/block3_conv3"], weights)
vgg_weights = up_to_block3.get_weights()
by_hand = vgg_by_hand()
by_hand.set_weights(vgg_weights)
package = up_to_block3(hr[None])[0]
np.testing.assert_allclose(by_hand(hr[None])[3], package, rtol=1e-3, atol=0.1)
print(f"{by_hand.count_params():,} of VGG19's weights; equal to the package's features")

# %% [markdown]
# ## Content loss by hand
#
# ![Pixel, content and texture losses](figures/07_losses.svg)
#
# Two pictures have the same content if their features agree. The content loss is the mean squared difference, as before, but of the
# features $\phi$ of one layer:
#
# $$L_\text{content}(x, y) = \mathrm{mean}\,\big(\phi(x) - \phi(y)\big)^2$$
#
# This is the whole *perceptual loss* with which Johnson and others (2016) trained for super-resolution. They took VGG16 and call it
# feature reconstruction loss. The features here are taken after the ReLU, as in SRGAN; ESRGAN (both in lesson 10) takes them before
# it (`"vgg19/block5_conv4/before_relu"` in the package).

# %%
middle = layer_names.index("vgg19/block3_conv3")
a, b = (extractor(image[None])[middle] for image in (hr, spoiled["blur"]))
content_by_hand = np.mean((np.asarray(a) - np.asarray(b)) ** 2)

content = sr.losses.Content("vgg19/block3_conv3", vgg_weights=weights)
package = content(hr[None], spoiled["blur"][None])
np.testing.assert_allclose(content_by_hand, package, rtol=1e-3)
print(f"content loss of the blur at block3_conv3: {content_by_hand:.0f}")

# %% [markdown]
# The number is large because the features are large, so only comparisons are meaningful. **Predict:** which of our four pictures
# will be closest to HR at the first layer, and which at the later ones?

# %%
distances = {}
for name, image in spoiled.items():
    found = [np.asarray(x)[0] for x in extractor(image[None])]
    distances[name] = [np.mean((x - y) ** 2) for x, y in zip(found, maps, strict=True)]
relative = {name: np.array(d) / distances["blur"] for name, d in distances.items()}
if trained:
    assert all(relative["brighter"] < 0.5) and all(relative["brighter"][1:] < 0.1)

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, values in relative.items():
    ax.semilogy(short_names, values, "o-", label=name)
ax.set(ylabel="content loss (blur = 1)")
ax.set_title(f"Four errors of {psnr:.2f} dB, compared by layers of {vgg}", fontsize=10)
ax.yaxis.set_major_formatter("{x:g}")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# For VGG19, the brighter photo is the closest, and from the second of these layers on, the change in brightness hardly counts.
# Blur, to which training with a pixel loss leads, is the worst at nearly every layer. Noise is penalized less.

# %% [markdown]
# ### Optional: before or after the ReLU?
#
# ESRGAN's authors give two reasons for comparing features before the ReLU: after it, most features of deep layers are zero, so that
# little is compared, and brightness is preserved worse. We can count the zeros and measure how the loss responds to brightness.
# **Predict:** at which layer are most features zero?

# %%
relu_names = [f"vgg19/{n}" for n in ("block2_conv2", "block3_conv3", "block5_conv4")]
both_sides = [f"{name}{end}" for name in relu_names for end in ("/before_relu", "")]
pre_and_post = sr.features.FeatureExtractor(both_sides, weights)
features_of = {
    name: [np.asarray(x) for x in pre_and_post(image[None])]
    for name, image in {"HR": hr, **spoiled}.items()
}
print(f"{'layer':31}  zeros  brighter  noise   (content loss; blur = 1)")
for i, name in enumerate(both_sides):
    zeros = np.mean(features_of["HR"][i] == 0)
    loss_of = {
        n: np.mean((f[i] - features_of["HR"][i]) ** 2) for n, f in features_of.items()
    }
    ratios = [loss_of[n] / loss_of["blur"] for n in ("brighter", "noise")]
    print(f"{name:31} {zeros:5.0%}  {ratios[0]:8.3f}  {ratios[1]:5.2f}")

# %% [markdown]
# The first reason is confirmed: after the ReLU, 89% of the features of `block5_conv4` are zero, far more than in the other two
# layers. The second is about trained networks, which this table cannot test, but the loss itself hardly responds to brightness on
# either side: relative to the blur, the brighter photo costs at most 1.6%. The two sides differ most in the deepest layer, where
# noise costs 0.18 before the ReLU and 0.27 after it.

# %% [markdown]
# ## Texture: Gram matrices
#
# Content loss compares features position by position. If grass is replaced by different blades of grass, nearly every position is
# wrong, although nobody would mind. For texture, it should be enough that the same features occur, and that they occur *together*.
#
# Take two features at four positions. Their *Gram matrix* contains, for each pair of features, the sum of their product over all
# positions:
#
# $$G_{k,l} = \sum_p \phi_k(p)\, \phi_l(p)$$

# %%
small = np.array([[1, 0], [2, 1], [0, 3], [1, 1]])  # four positions, two features
gram = small.T @ small
moved = small[[2, 0, 3, 1]]  # the same values at other positions
np.testing.assert_array_equal(gram, moved.T @ moved)
print(gram)

# %% [markdown]
# The diagonal shows how strong each feature is. The other entries show how often, and how strongly, both features respond at the
# same position. *Which* position this is no longer matters after the sum. For a batch of feature maps, with $\Phi$ as the matrix
# that has one row for each position, `einsum` computes the same, $\Phi^T \Phi$, in one line:


# %%
def gram_matrices(features):
    return np.einsum("byxk,byxl->bkl", features, features)


np.testing.assert_array_equal(gram_matrices(small.reshape(1, 2, 2, 2))[0], gram)

# %% [markdown]
# Here are two textures and four variants of the first. One is cut into tiles of 16 x 16 pixels that are then shuffled, one comes from another part of
# the photo, and one is blurred. Blur changes structure and contrast at the same time. The last variant is the blurred gravel after *unsharp masking*,
# which adds a multiple of its own fine detail until its fine contrast is that of the first gravel. It shows what contrast alone does to a loss.


# %%
def rgb(grey):
    return np.repeat(sr.images.to_float(grey)[..., None], 3, axis=-1)


side = 128
gravel, brick = (rgb(x()[:side, :side]) for x in (data.gravel, data.brick))
tiles = gravel.reshape(8, 16, 8, 16, 3).transpose(0, 2, 1, 3, 4).reshape(64, 16, 16, 3)
tiles = generator.permutation(tiles).reshape(8, 8, 16, 16, 3)
shuffled = tiles.transpose(0, 2, 1, 3, 4).reshape(side, side, 3)


# %%
def fine_detail(images):
    """Returns what a Gaussian blur of one pixel would remove; any leading axes."""
    sigma = (0,) * (images.ndim - 3) + (1, 1, 0)
    return images - ndimage.gaussian_filter(images, sigma)


blurred_gravel = ndimage.gaussian_filter(gravel, (1.6, 1.6, 0))
wanted = fine_detail(gravel).std()
strength = 0.0
while (
    fine_detail(blurred_gravel + strength * fine_detail(blurred_gravel)).std() < wanted
):
    strength += 0.05
sharpened_gravel = blurred_gravel + strength * fine_detail(blurred_gravel)
print(f"unsharp masking with strength {strength:.2f} restores the fine contrast")

# %%
textures = {
    "gravel": gravel,
    "gravel, shuffled": shuffled,
    "gravel elsewhere": rgb(data.gravel()[200 : 200 + side, 250 : 250 + side]),
    "gravel, blurred": blurred_gravel,
    "blurred, then sharpened": sharpened_gravel,
    "brick": brick,
}
texture_layer = "vgg19/block2_conv1"
two_layers = sr.features.FeatureExtractor(
    [texture_layer, "vgg19/block3_conv3"], weights
)
seen = {n: [np.asarray(x) for x in two_layers(t[None])] for n, t in textures.items()}
grams = {name: gram_matrices(found[0])[0] for name, found in seen.items()}

# %%
strong = np.sort(np.argsort(-np.diag(grams["gravel"]))[:40])  # the 40 strongest
first = grams["gravel"][np.ix_(strong, strong)]
fig, axes = plt.subplots(1, 5, figsize=(11, 2.7), layout="constrained")
for ax, name in zip(axes, list(grams)[1:], strict=True):
    ratio = (grams[name][np.ix_(strong, strong)] + 1) / (first + 1)
    shown = ax.imshow(np.log2(ratio), cmap="RdBu_r", vmin=-3, vmax=3)
    ax.set(xticks=[], yticks=[])
    ax.set_title(name, fontsize=10)
fig.colorbar(shown, ax=axes, label="log2 of the ratio")
fig.suptitle(
    f"Gram matrices, divided by that of the first gravel ({vgg}, block2_conv1,"
    " its 40 strongest features)",
    fontsize=10,
)
plt.show()

# %% [markdown]
# White means the same entry as in the first gravel. The matrix is a fingerprint of the texture: samples of the same material have
# nearly the same matrix. Blur lowers almost every entry, and sharpening raises almost every entry above that of the first gravel.
# As a loss, we take the squared difference of the two matrices relative to the size of the true one. Too much contrast therefore
# costs more than too little: a matrix of zeros has a loss of 1, and one that is four times too large has a loss of 9.


# %%
def texture_distance(true, pred):
    return np.sum((true - pred) ** 2) / np.sum(true**2)


texture = sr.losses.Texture([texture_layer], vgg_weights=weights)
distance = texture_distance(grams["gravel"], grams["brick"])
np.testing.assert_allclose(distance, texture(gravel[None], brick[None]), rtol=1e-2)

# %% [markdown]
# **Predict:** which of the five is closest to the first gravel in content, and which in texture?

# %%
both_losses = {}
for name, found in seen.items():
    content_loss = np.mean((found[1] - seen["gravel"][1]) ** 2)
    texture_loss = texture_distance(grams["gravel"], grams[name])
    both_losses[name] = content_loss, texture_loss
if trained:
    assert both_losses["gravel, shuffled"][1] < 0.5 * both_losses["gravel, blurred"][1]
    assert both_losses["gravel, shuffled"][0] > both_losses["gravel, blurred"][0]
sr.plotting.comparison(
    textures,
    scores={
        name: f"content {content_loss:.0f}\ntexture {texture_loss:.4f}"
        for name, (content_loss, texture_loss) in both_losses.items()
    },
    crop=(0, 0, 128, 128),
    columns=2,
    whole=False,
    title=f"{vgg}: content at block3_conv3, texture at block2_conv1",
)

# %% [markdown]
# The two losses order these pictures differently. Blurred gravel is the closest in content, and shuffled gravel is nearly as far as
# a brick wall, because content compares positions. In texture, shuffled gravel and gravel from elsewhere are close, and the blur is
# almost as far as the wall.
#
# The texture loss ignores positions, but the entries of a Gram matrix grow with the strength of the features. The sharpened gravel
# shows how much this matters: it has the same stones in the same places and, by construction, the same fine contrast, but its
# contrast at coarser scales is exaggerated (the strength is 12.75), and its texture loss is the largest of all.
#
# ## A texture out of noise
#
# Which pictures does a loss favour? We start from noise and optimize the pixels themselves by gradient descent until the loss is
# low (`paint` below). No network is trained here.


# %%
def paint(loss, start, steps):
    """Minimizes `loss(picture)` over the pixels by gradient descent."""
    picture = keras.Variable(start)
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build([picture])

    def step():
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(picture.value))
        gradient = tape.gradient(value, picture.value)
        optimizer.apply([gradient], [picture])
        picture.assign(tf.clip_by_value(picture.value, 0.0, 1.0))
        return value

    if steps > 20:  # tracing a graph takes longer than a few eager steps
        step = tf.function(step)
    values = [float(step()) for _ in range(steps)]
    return picture.numpy(), values


# %% [markdown]
# We use the texture loss of three layers together, the package's default. (They are those of EnhanceNet, see exercise 4.)
# **Predict:** will the stones return to their positions? Will there be stones at all?

# %%
texture = sr.losses.Texture(vgg_weights=weights)
print(", ".join(texture.texture))
target = gravel[None, : here.painted, : here.painted]
noise = generator.uniform(0.3, 0.7, target.shape).astype("float32")


def texture_of_target(picture):
    return texture(target, picture)


painted, values = paint(texture_of_target, noise, here.tries)
print(f"texture loss from {values[0]:.3f} to {values[-1]:.3f} in {here.tries} steps")
assert values[-1] < values[0]

# %%
sr.plotting.comparison(
    {"start": noise[0], "painted by the texture loss": painted[0], "gravel": target[0]},
    crop=(0, 0, here.painted, here.painted),
    whole=False,
    title=f"Pixels painted by the texture loss alone ({vgg})",
)

# %% [markdown]
# There are stones, but not the stones of the photo, because the loss has no information about positions. They are covered by a
# coloured grain, although the texture loss is almost zero: the Gram matrices hardly respond to it.
#
# ### Where does the grain come from?
#
# There are two suspects. It may be what is left of the noise that we started from. Or it may come from max pooling, whose gradient
# reaches only the largest of four pixels. We test both: start from nearly uniform grey instead of noise, and take the network by
# hand with average pooling instead of max pooling, in the target's features as well. The grain is measured by a filter that
# responds only to the finest patterns: pixel minus the mean of its four neighbours.


# %%
def texture_by_hand(network, target):
    """Returns the texture loss of three layers as a function of the picture."""

    def grams_of(picture):
        features = network(tf.convert_to_tensor(picture))[:3]
        return [tf.einsum("byxk,byxl->bkl", f, f) for f in features]

    goals = grams_of(tf.constant(target))

    def loss(picture):
        pairs = zip(goals, grams_of(picture), strict=True)
        return tf.add_n(
            [tf.reduce_sum((a - b) ** 2) / tf.reduce_sum(a**2) for a, b in pairs]
        )

    return loss


def grain(picture):
    """Returns the standard deviation of a pixel minus its four neighbours' mean."""
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]) / 4
    return ndimage.convolve(picture, kernel[..., None]).std()


# %%
average_vgg = vgg_by_hand(layers.AveragePooling2D)
average_vgg.set_weights(vgg_weights)
nearly_grey = generator.uniform(0.49, 0.51, target.shape).astype("float32")
tests_of_grain = {
    "noise, max pooling": (noise, by_hand),
    "noise, average pooling": (noise, average_vgg),
    "grey, max pooling": (nearly_grey, by_hand),
    "grey, average pooling": (nearly_grey, average_vgg),
}
grains = {"gravel": target[0]}
for name, (begin, network) in tests_of_grain.items():
    grains[name] = paint(texture_by_hand(network, target), begin, here.tries)[0][0]
sr.plotting.comparison(
    grains,
    scores={name: f"grain {grain(image):.3f}" for name, image in grains.items()},
    crop=(0, 0, here.painted, here.painted),
    columns=3,
    whole=False,
    title="Where the painting starts, and how the network pools",
)

# %% [markdown]
# Most of the grain is what is left of the noise: from grey instead of noise, it falls from 0.124 to 0.066. The gravel itself has 0.039. The pooling matters less. From grey, average
# pooling lowers the grain from 0.066 to 0.051, and from noise it changes nothing. In the following we start from noise nevertheless, and add a loss against grain.
#
# ## Total variation
#
# A well-known remedy against grain asks neighbouring pixels to be similar. *Total variation* (TV) is the mean absolute difference
# to the pixel below plus that to the pixel on the right. (As a loss, the package's version takes the true image first, but it
# ignores it.)


# %%
def variation(image):
    down = np.abs(image[1:] - image[:-1])
    across = np.abs(image[:, 1:] - image[:, :-1])
    return down.mean() + across.mean()


for name, image in {"HR": hr, **spoiled}.items():
    package = sr.losses.total_variation(hr[None], image[None])[0]
    np.testing.assert_allclose(variation(image), package, rtol=1e-4)
    print(f"TV {variation(image):.4f} {name}")

# %% [markdown]
# Noise and sharpening have a much higher TV than HR, and blur has a much lower one. TV alone would therefore favour blur, so it
# must be combined with a loss that keeps the result close to the photo. **Predict:** we minimize the sum for a noisy photo of the
# cat, with more and more weight on TV. What will the result with the largest weight look like?

# %%
noisy = hr + generator.normal(0, 0.08, hr.shape).astype("float32")
tv_weights = [0.01, 0.03, 0.1, 0.3]
cleaned = {}
for weight in tv_weights:

    def both(x, weight=weight):
        return sr.losses.l2(noisy[None], x) + weight * sr.losses.total_variation(x, x)

    cleaned[weight] = paint(both, np.clip(noisy, 0, 1)[None], 50)[0][0]


# %%
def psnr_of(image):
    return float(sr.metrics.psnr(hr[None], np.clip(image, 0, 1)[None], luma=True)[0])


pictures = {"noisy": noisy, **{f"TV {w:g}": c for w, c in cleaned.items()}}
scores = {name: psnr_of(image) for name, image in pictures.items()}
assert max(scores.values()) > scores["noisy"] + 1
sr.plotting.comparison(
    pictures,
    scores=scores,
    crop=close,
    columns=3,
    whole=False,
    title="Squared error plus weighted TV: PSNR on luma, no border cut",
)

# %% [markdown]
# The PSNR rises and then falls again. A little TV removes the noise together with some of the fur; more TV removes the fur and
# leaves flat areas. TV cannot tell texture from noise, so it is useful only with a small weight.
#
# ## Feature inversion: what a layer keeps
#
# Which layer should a content loss use? We minimize the content loss over the pixels, from noise, with a little TV against the
# grain. What does not come back in these few steps is kept weakly or not at all. **Predict:** which of `block2`, `block3` and
# `block5` brings back the colours?

# %%
eye = hr[None, 40:104, 38:102]  # 64 x 64 pixels
start = generator.uniform(0.3, 0.7, eye.shape).astype("float32")
inverted, reached = {}, {}
tried = ["block2_conv1", "block5_conv1", "block3_conv3"][: here.inversions]
for name in sorted(tried):
    content_loss = sr.losses.Content(f"vgg19/{name}", vgg_weights=weights)
    size = float(content_loss(np.full_like(eye, 0.5), eye))  # so that all start at 1

    def objective(x, loss=content_loss, size=size):
        return loss(eye, x) / size + 0.1 * sr.losses.total_variation(x, x)

    inverted[name] = paint(objective, start, here.tries)[0][0]
    reached[name] = float(content_loss(eye, inverted[name][None])) / size

# %%
sr.plotting.comparison(
    {"start": start[0], **inverted, "HR": eye[0]},
    scores={name: f"content {value:.3f} (grey: 1)" for name, value in reached.items()},
    crop=(0, 0, *eye.shape[1:3]),
    whole=False,
    title=f"Painted by the content loss of one layer of {vgg}, {here.tries} steps",
)

# %% [markdown]
# The early layer brings back almost every pixel. `block3_conv3` keeps edges, colours and strokes of fur. `block5_conv1` brings back
# stripes and arcs but not the colours, although its loss has fallen to 2% of that of a grey picture: the colours hardly count for it.
# An early layer would be close to a pixel loss, and a late one would leave the colours free, so we choose one in the middle.
#
# ## A network to fine-tune
#
# We take a network that upscales by 4 and was trained with the mean absolute error: the shipped EDSR, a chain of residual blocks with
# two pixel shuffles, which lesson 8 builds. It gets four photos that it has never seen. Two of them are pure texture.

# %%
scale = 4
motorcycle = data.stereo_motorcycle()[0]
crops = {
    "cat": photo,
    "motorcycle": motorcycle[260 : 260 + height, 360 : 360 + width],
    "grass": sr.images.to_integer(
        rgb(data.grass()[300 : 300 + height, 100 : 100 + width])
    ),
    "gravel": sr.images.to_integer(
        rgb(data.gravel()[100 : 100 + height, 100 : 100 + width])
    ),
}
originals = np.stack(list(crops.values()))
shrunk = sr.degradations.Downscale(scale)(originals)
inputs, targets = sr.images.to_float(shrunk), sr.images.to_float(originals)
print("LR", inputs.shape, "HR", targets.shape)


# %%
def upscaled(model, images):
    return keras.ops.convert_to_numpy(model(images))


edsr = sr.models.load("edsr-x4-bsds")
bicubic = sr.models.bicubic(scale)
results = {"bicubic": upscaled(bicubic, inputs), "start": upscaled(edsr, inputs)}

# %% [markdown]
# ## Weights: look at gradients
#
# How much weight should pixels, content and texture get? The values of the losses do not help: here the content loss is 100,000
# and L1 is 0.07. A network is changed by the *gradients*, here the gradient of each loss with respect to the
# pixels of the result. **Predict:** what will each loss change in the grass?

# %%
texture_layers = ["vgg19/block1_conv1", "vgg19/block2_conv1", "vgg19/block3_conv1"]
losses = {
    "L1": (1.0, sr.losses.L1()),
    "content": (3e-6, content),
    "texture": (0.3, sr.losses.Texture(texture_layers, vgg_weights=weights)),
    "TV": (0.01, sr.losses.TotalVariation()),
}


def descent_direction(loss, true, pred):
    """Returns the value of a loss and its negative gradient."""
    pred = tf.constant(pred)
    with tf.GradientTape() as tape:
        tape.watch(pred)
        value = loss(true, pred)
    return float(value), -tape.gradient(value, pred).numpy()


# %%
part = np.s_[2:3, :96, :96]
changes, lengths = {}, {}
for name, (weight, loss) in losses.items():
    value, change = descent_direction(loss, targets[part], results["start"][part])
    changes[name] = change[0]
    lengths[name] = length = weight * np.linalg.norm(change)
    print(f"{name:8} value {value:9.4f}, weight {weight:g}: gradient {length:.5f}")
if trained:
    assert min(lengths["content"], lengths["texture"]) > 2 * lengths["L1"]

# %%
fig, axes = plt.subplots(2, 3, figsize=(11, 7.8), layout="constrained")
axes.flat[0].imshow(targets[part][0])
axes.flat[1].imshow(np.clip(results["start"][part][0], 0, 1))
for ax, change in zip(axes.flat[2:], changes.values(), strict=True):
    limit = np.quantile(np.abs(change.mean(axis=-1)), 0.99)
    ax.imshow(change.mean(axis=-1), cmap="gray", vmin=-limit, vmax=limit)
for ax, name in zip(axes.flat, ("HR", "start", *changes), strict=True):
    ax.set(xticks=[], yticks=[])
    ax.set_title(name, fontsize=10)
fig.suptitle(
    "Negative gradients: brighter where it is white (each scaled to its own range)",
    fontsize=10,
)
plt.show()

# %% [markdown]
# In *start*, the grass looks like felt: where the detail was uncertain, the network returned something close to the mean.
#
# The gradient of L1 consists of signs: it asks for brighter here and darker there, everywhere with the same force. Content asks for
# changes at the scale of a few pixels nearly everywhere. Texture asks above all for darker spots with brighter rims, where there
# are dark spots already. TV makes neighbouring pixels more alike.
#
# The printed gradients include the weights. Without them, the gradient of the content loss would be millions of times as large as that of L1. We
# chose the weights so that the gradients of content and texture are about ten times as large as that of L1. (We look at a test photo here only to
# have one example throughout the lesson. In a project of your own, use a validation photo.) L1 mainly has to preserve brightness, because the
# features hardly respond to a shift of it, as the brighter cat showed. We leave out TV, to keep the experiment to two new terms. All in one loss:
#
# $$L = L_1 + 3 \cdot 10^{-6}\, L_\text{content} + 0.3\, L_\text{texture}$$

# %%
weighted_sum = sr.losses.WeightedSum(
    [
        (1.0, "l1"),
        (
            1.0,
            sr.losses.Perceptual(
                content={"vgg19/block3_conv3": 3e-6},
                texture=dict.fromkeys(texture_layers, 0.3),
                vgg_weights=weights,
            ),
        ),
    ]
)
_, change = descent_direction(weighted_sum, targets[part], results["start"][part])
summed = sum(losses[name][0] * changes[name] for name in ("L1", "content", "texture"))
assert np.linalg.norm(change[0] - summed) < 0.01 * np.linalg.norm(summed)

# %% [markdown]
# ## Two fine-tuned copies
#
# A fair experiment changes one thing only. We continue training two copies of this network. Both see the same patches of four photos
# (none of which is a test photo) for the same number of steps. One uses L1 alone, the other the sum.

# %%
photos = {
    "astronaut": data.astronaut(),
    "coffee": data.coffee(),
    "tissue": data.immunohistochemistry(),
    "brick": sr.images.to_integer(rgb(data.brick())),
}
train = sr.datasets.Pairs(list(photos), scale, lambda i: list(photos.values())[i])
batches = sr.pipeline.training_batches(
    train, lr_patch_size=here.patch, batch_size=4, min_contrast=0.05
)
batches = [(np.asarray(x), np.asarray(y)) for x, y in batches.take(here.steps)]
patches_in = np.concatenate([x for x, _ in batches])
patches_out = np.concatenate([y for _, y in batches])
print(patches_in.shape, "->", patches_out.shape)

# %%
ours = {}
for name, loss in (("ours, L1", sr.losses.L1()), ("ours, perceptual", weighted_sum)):
    model = sr.models.edsr(scale, weights="bsds")
    schedule = keras.optimizers.schedules.CosineDecay(2e-4, here.steps)
    model.compile(keras.optimizers.Adam(schedule), loss, run_eagerly=here.eager)
    model.fit(patches_in, patches_out, batch_size=4, shuffle=False, verbose=0)
    ours[name] = model
    results[name] = upscaled(model, inputs)

# %% [markdown]
# The package also ships such a network. It started from the same weights and was trained for more steps, on 1,074 photos, with a content loss on four
# layers before the ReLU (the mean absolute difference, so its weights cannot be compared with ours), no texture loss, and one more term, which is
# explained below. Its file records how:

# %%
import pprint

shipped = sr.models.load("edsr-x4-photos-perceptual")
results["shipped"] = upscaled(shipped, inputs)
history = sr.weights.history(sr.weights.find("edsr-x4-photos-perceptual"))
recipe = history["recipe"]
print(f"{recipe['steps']} steps of {recipe['batch_size']} patches,", end=" ")
print(
    f"{recipe['lr_patch_size']} LR pixels wide, {history['seconds'] / 60:.0f} minutes"
)
print("weights and losses:")
pprint.pp(recipe["loss"])

# %% [markdown]
# We measure four things for each result. The first is PSNR. The second and third are the content loss at `block4_conv4` and the
# texture loss at `block2_conv2`. The training of *ours, perceptual* did not use these layers, but they belong to the same VGG19,
# so they are not independent evidence, and *shipped* was trained on the features of these very two layers, before the ReLU. The fourth is independent of VGG: how much fine contrast the result has compared with HR.
#
# Contrast alone can lower the texture loss. We therefore add two controls with unsharp masking, which adds contrast but no new
# structure. *ours, L1, sharpened* has the fine contrast of *ours, perceptual*, and *start, sharpened* has that of *shipped*.
# **Predict:** which of the seven rows will have the lowest texture loss, and will the controls come close?

# %%
evaluation = sr.features.FeatureExtractor(
    ["vgg19/block4_conv4", "vgg19/block2_conv2"], weights
)
deep, shallow = (np.asarray(x) for x in evaluation(targets))


def fine_contrast(images):
    """Returns the standard deviation of the fine detail of each image's luma."""
    images = sr.images.to_float(sr.images.to_integer(images))
    return fine_detail(sr.images.luma(images)).std(axis=(1, 2, 3))


# %%
strengths = {}


def sharpened(images, strength):
    return images + strength * fine_detail(images)


for name, model_name in (("ours, L1", "ours, perceptual"), ("start", "shipped")):
    goal = fine_contrast(results[model_name]).mean()
    tried = np.linspace(0, 3, 121)
    contrasts = [fine_contrast(sharpened(results[name], s)).mean() for s in tried]
    strengths[name] = tried[np.argmin(np.abs(np.array(contrasts) - goal))]
controls = {
    f"{name}, sharpened": sharpened(results[name], strength)
    for name, strength in strengths.items()
}
print({name: round(float(strength), 3) for name, strength in strengths.items()})


# %%
def scores_of(images):
    """Returns PSNR (dB), content, texture and relative fine contrast of each image."""
    images = sr.images.to_float(sr.images.to_integer(images))
    psnrs = np.asarray(sr.metrics.psnr(targets, images, luma=True, border=scale))
    found = [np.asarray(x) for x in evaluation(images)]
    contents = np.mean((found[0] - deep) ** 2, axis=(1, 2, 3))
    textures = [
        texture_distance(gram_matrices(a[None]), gram_matrices(b[None]))
        for a, b in zip(shallow, found[1], strict=True)
    ]
    contrasts = fine_contrast(images) / fine_contrast(targets)
    return np.stack([psnrs, contents, textures, contrasts], axis=1)


# %%
compared = {**results, **controls}
table = {name: scores_of(images) for name, images in compared.items()}
means = {name: rows.mean(axis=0) for name, rows in table.items()}
print(f"{'mean of four':20} PSNR (dB)  content  texture  fine contrast")
for name, row in means.items():
    print("{:20} {:8.2f} {:9.0f} {:8.3f} {:10.0%}".format(name, *row))
print(f"(PSNR on luma, {scale} pixels cut, 8 bits; {vgg} on RGB, no border cut)")
assert means["start"][0] > means["bicubic"][0] + 0.2
if trained:
    assert means["ours, L1"][2] > means["ours, perceptual"][2] - here.tolerance
    assert means["ours, L1"][3] < means["ours, perceptual"][3] + here.tolerance

# %% [markdown]
# The two losses lead in opposite directions. L1 raised the PSNR a little, from 25.76 to 25.83 dB, and made the results smoother: the
# texture loss rose from 0.228 to 0.265. The sum lowered the texture loss to 0.142 and the content loss with it, raised the fine contrast
# from 42% to 64% of that of HR, and cost 0.9 dB. All of this comes from one training run of each, measured on four small photos.
#
# How much of this is contrast alone? Unsharp masking takes the texture loss of the L1 network from 0.265 to 0.222, so it explains about
# a third of the gain, and it raises the content loss. For the shipped network, contrast explains more, about 70%: *start,
# sharpened* has the same PSNR and a texture loss of 0.180 instead of 0.159, but a higher content loss than without sharpening. A lower texture loss alone does not prove better texture:
# always compare with a sharpened image of the same contrast.
#
# **Predict:** where will you see the difference first, in the grass or on the motorcycle?


# %%
def show(index):
    shown = {name: images[index] for name, images in results.items()}
    captions = {}
    for name in shown:
        psnr_y, _, texture_loss, _ = table[name][index]
        captions[name] = f"{psnr_y:.2f} dB, texture {texture_loss:.3f}"
    title = f"{list(crops)[index]}: PSNR on luma, 4 pixels cut; texture at block2_conv2"
    return sr.plotting.comparison(
        {**shown, "HR": targets[index]},
        captions,
        close,
        columns=2,
        whole=False,
        title=title,
    )


show(2)

# %%
show(1)

# %% [markdown]
# On the motorcycle, because nothing hides the change on smooth metal. *start* and *ours, L1* can hardly be told apart. *ours, perceptual* has more
# contrast, and dots four pixels apart, which are strong on bright surfaces: the engine looks perforated. *shipped* has narrower edges than *start*
# and a fine grain in the grass. Of the dots, a faint lattice is left, along the bright tube, as stripes on the pale wall behind it, and in the grass.
# The blades of HR do not come back, because they are not in the LR image.
#
# Where do the dots come from? A likely cause is the two pixel shuffles near the end of the network (lesson 4): the convolutions before them compute
# each of the 16 pixels of a cell of 4 x 4 with different kernels, so one of them can become brighter or darker in every cell. (VGG's two poolings
# before block 3 have the same period and may contribute. We do not separate the two.) Such a pattern needs no knowledge of the photo, and it raises
# the features of fine texture. Which part of the change is a pattern that repeats from cell to cell? We take the mean of the change over all cells,
# for each of the 16 positions, and divide the variance of these means by that of the change. **Predict:** how large is this share for the three
# networks?

# %%
for name in ("ours, L1", "ours, perceptual", "shipped"):
    change = np.asarray(
        sr.images.luma(results[name]) - sr.images.luma(results["start"])
    )
    shares = [sr.quality.grid_energy(x, [scale])[scale] for x in change]
    print(
        f"{name:17}",
        ", ".join(f"{k} {v:.1%}" for k, v in zip(crops, shares, strict=True)),
    )

# %% [markdown]
# Of what *ours, perceptual* changed, 35% to 58% of the variance is the pattern. *shipped* was trained with a term against it, `"grid"`. It takes the
# difference from HR in windows of 24 x 24 pixels, subtracts the mean of the window, averages over all cells for each of the 16 positions, and returns
# the mean square of these 16 averages. Whatever does not repeat cancels out in the means, so the term removes the pattern and leaves other detail
# free. The shares of the other two are at most 0.4%. (The faint lattice of *shipped* cancels out in a mean over the whole picture.) Now look at the
# table again: the picture with the dots has the lowest texture loss of all, and the sharpened control does not detect this, because the dots are not
# contrast of the photo. Always look at the picture, too.

# %% [markdown]
# ## Optional: LPIPS, weights fitted to human ratings
#
# The metric *LPIPS* compares features, too. It takes five layers of a smaller network (AlexNet), divides the features at each position by their length, and adds up
# the squared differences with weights $w_l$ that were fitted to the answers of human raters:
#
# $$\mathrm{LPIPS}(x, y) = \sum_l \mathrm{mean}_{p} \sum_k w_{l,k} \big(\hat\phi_{l,k}(x)_p - \hat\phi_{l,k}(y)_p\big)^2$$
#
# A smaller value means more alike. Its weights are a file of their own; `help(sr.metrics.LPIPS)` says where it is looked for.
# Without this file, the cell prints nan. **Predict:** how does it order the four errors of the first figure, and which upscaled
# photos does it prefer?

# %%
lpips = sr.metrics.LPIPS()


def lpips_of(true, pred):
    """Returns LPIPS, or NaN where its weights are not installed."""
    lpips.reset_state()
    try:
        lpips.update_state(true, np.clip(pred, 0, 1))
    except FileNotFoundError:
        return np.nan
    return float(lpips.result())


print("LPIPS of the four errors, and of the four upscaled photos (mean):")
for name, image in spoiled.items():
    print(f"{name:20} {lpips_of(hr[None], image[None]):.3f}")
for name, images in compared.items():
    print(f"{name:20} {lpips_of(targets, images):.3f}")

# %% [markdown]
# LPIPS orders the four errors as the deep layers of VGG19 did: the brighter photo is the closest, noise and sharpening are similar,
# and blur is by far the worst. Of the upscaled photos it prefers *shipped* (0.191), and then *ours, perceptual* (0.233), in spite of its
# dots. Sharpening gains much less: from 0.335 to 0.301, and from 0.302 to 0.284. So the gain of these two networks is not only
# contrast, and not only in the eyes of the network that they were trained with.

# %% [markdown]
# ## Network interpolation
#
# The shipped perceptual network has the same layers as *start* and started from its weights. Their weights can therefore
# be interpolated, number by number, without any training. **Predict:** what will a mixture of half and half do?


# %%
blend = sr.models.edsr(scale)


def mixture(share):
    pairs = zip(edsr.get_weights(), shipped.get_weights(), strict=True)
    blend.set_weights([(1 - share) * a + share * b for a, b in pairs])
    return upscaled(blend, inputs)


dial = {share: scores_of(mixture(share)).mean(axis=0) for share in here.shares}
np.testing.assert_allclose(dial[1][0], means["shipped"][0], atol=0.01)

# %%
points = np.array(list(dial.values()))
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
labels = {2: f"texture loss ({vgg}, block2_conv2)", 3: "fine contrast (HR = 1)"}
for ax, (column, label) in zip(axes, labels.items(), strict=True):
    ax.plot(points[:, 0], points[:, column], "o-", color="#0072B2")
    for share, point in dial.items():
        ax.annotate(f"  {share:.0%}", (point[0], point[column]), fontsize=9)
    ax.set(xlabel="PSNR (dB)", ylabel=label)
    ax.xaxis.set_major_locator(plt.MaxNLocator(5))
    ax.margins(0.15)
fig.suptitle(
    "Share of the perceptual weights; mean of four photos, luma, 4 pixels cut",
    fontsize=11,
)
plt.show()

# %% [markdown]
# Every point on the path between the two is a usable network. In our run, the first half of the path brings a quarter of the gain in texture and
# costs less than a sixth of the PSNR that the whole path costs. Where to stop depends on the purpose: whether appearance or fidelity matters more.
#
# ## Detail that depends on the noise
#
# Is the new detail real? To test this, we make four copies of one LR photo and add different noise to each. Its standard deviation is
# 0.01, or 2.55 grey levels in each channel, which is hardly visible. What was in the photo should come back the same each time. **Predict:** for which
# loss will the results differ more?

# %%
four_cats = np.repeat(shrunk[:1], 4, axis=0)
draws = sr.images.to_float(sr.degradations.GaussianNoise(0.01)(four_cats, seed=7))
models = {"bicubic": bicubic, "start": edsr, **ours, "shipped": shipped}
redrawn = {name: upscaled(model, draws) for name, model in models.items()}
for name, strength in strengths.items():
    redrawn[f"{name}, sharpened"] = sharpened(redrawn[name], strength)
deviations = {}
for name, images in redrawn.items():
    luma = sr.images.luma(np.clip(images, 0, 1))
    deviations[name] = 255 * luma.std(axis=0)[..., 0]
    print(f"{name:20} results differ by {deviations[name].mean():.2f} grey levels")
print("(standard deviation over four draws of the noise, luma, mean over pixels)")
if trained:
    increase = deviations["ours, perceptual"].mean() - deviations["ours, L1"].mean()
    assert increase > -here.tolerance

# %%
top, left, crop_height, crop_width = close
window = np.s_[top : top + crop_height, left : left + crop_width]
fig, axes = plt.subplots(2, 2, figsize=(9.4, 7), layout="constrained")
axes.flat[0].imshow(hr[window])
axes.flat[0].set_title("HR", fontsize=10)
drawn = ("ours, L1", "ours, perceptual", "shipped")
limit = max(np.quantile(deviations[name], 0.99) for name in drawn)
for ax, name in zip(axes.flat[1:], drawn, strict=True):
    image = ax.imshow(deviations[name][window], cmap="magma", vmin=0, vmax=limit)
    ax.set_title(name, fontsize=10)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
fig.colorbar(image, ax=axes, label="standard deviation")
plt.show()

# %% [markdown]
# Where the maps are bright, the result depends on the noise. In luma, the LR copies themselves differ by about 1.2 grey levels (2.55 in each channel
# are 1.46 in luma, and the standard deviation of only four values is a fifth too small on average), which bicubic interpolation lowers to 0.96.
# *start* raises it to 1.75, and *ours, perceptual* to 2.68: a network that adds detail amplifies noise with it, most of all along edges and at the
# rim of the pupil. Sharpening does the same, and explains almost all of the increase from *ours, L1* to *ours, perceptual* and five sixths of that
# from *start* to *shipped*. So this test measures how much contrast amplifies noise, and cannot tell invented detail from amplified detail. That the
# detail is not the photo's follows from other results: PSNR falls, and the blades of HR do not come back. In the map of *shipped* there is still a
# grid: in its results no position of a cell is brighter than the others on average, but some positions respond to the noise more strongly. Pictures
# like these are for viewing. Do not use their detail for measurements, diagnoses or evidence.
#
# ## Exercises
#
# Try each exercise before you look at its solution, which is folded in the teacher edition.
#
# **Exercise 1.** Three positions, two features: (1, 2), (0, 1), (3, 0). Compute the Gram matrix on paper. Then swap the first and
# the last position, and compute it again.

# %%
answer = None  # [[?, ?], [?, ?]]

sr.course.check(answer, "07.1")

# %% tags=["solution"]
# @title Solution 1
# 1 + 0 + 9 = 10, 4 + 1 + 0 = 5, and together 2 + 0 + 0; the order does not matter.
answer = [[10, 2], [2, 5]]
sr.course.check(answer, "07.1")
three = np.array([[1, 2], [0, 1], [3, 0]])
np.testing.assert_array_equal(three.T @ three, answer)
print(gram_matrices(three[[2, 1, 0]].reshape(1, 1, 3, 2))[0])

# %% [markdown]
# **Exercise 2.** Two pictures of 8 x 8 pixels are half black (0) and half white (1). One is split into a left and a right half, and
# the other is a chessboard of single pixels. What is the TV of each? What does this mean for fine texture under TV? And which
# weight would make the gradient of TV, printed above, as long as that of L1?

# %%
answer = None  # (of the halves, of the chessboard)

sr.course.check(answer, "07.2")

# %% tags=["solution"]
# @title Solution 2
# Halves: no difference down, and across one of seven. Chessboard: all differ by 1.
# The same pixels have 14 times the TV, so TV penalizes fine texture.
answer = [1 / 7, 2]
sr.course.check(answer, "07.2")
halves = np.tile(np.arange(8) >= 4, (8, 1)).astype(float)
chessboard = np.indices((8, 8)).sum(axis=0) % 2 * 1.0
np.testing.assert_allclose([variation(halves), variation(chessboard)], answer)

# %% [markdown] tags=["solution"]
# The weight of TV would have to be about 0.75, which is 0.01 x 0.00601 / 0.00008.

# %% [markdown]
# **Exercise 3.** Suppose somebody gives VGG photos in [0, 1] where it expects 0 to 255. `content(hr[None] / 255, ...)` has the same
# effect on our photos. By what factor does the content loss of the blur shrink at `block3_conv3`? (Guess first, then compute it
# with the trained VGG19. If it were linear, the factor would be 255 x 255.) What would this do to a training with the weights
# above?

# %%
answer = None  # the factor

sr.course.check(answer, "07.3")  # with the trained VGG19


# %% tags=["solution"]
# @title Solution 3
wrong = float(content(hr[None] / 255, spoiled["blur"][None] / 255))
right = float(content(hr[None], spoiled["blur"][None]))
answer = right / wrong
sr.course.check(answer, "07.3")  # with the trained VGG19
print(f"{answer:.0f} times smaller: with this weight the loss would hardly count")
for divisor, blur in ((1, right), (255, wrong)):
    image = spoiled["sharpened"][None]
    other = float(content(hr[None] / divisor, image / divisor))
    print(f"divided by {divisor:3}: sharpened {other / blur:.2f} of blur")
# There is no error message, but the order changes: all photos look nearly black to VGG.

# %% [markdown] tags=["solution"]
# The factor is less than 65,025 because neither the mean colour that VGG subtracts nor its biases shrink with the photo. Together they decide which
# ReLUs are open.

# %% [markdown]
# **Exercise 4.** The Gram matrix of a whole image contains no positions at all. EnhanceNet computes it for patches of 16 x 16 pixels. Write this for
# the features of one image at `block1_conv1` (the first output of `extractor`), as the mean of the relative distances over all patches. Compare both
# versions for a picture of gravel next to brick, and the same picture with its halves swapped. You should get about 0.0001 for the whole image and
# about 6 for the patches.

# %%
beside = np.concatenate([gravel[:, :64], brick[:, :64]], axis=1)
swapped = np.roll(beside, 64, axis=1)


def patch_texture(true, pred): ...  # features, (1, height, width, channels)


# %% tags=["solution"]
# @title Solution 4
def patches(features, size=16):
    _, rows, columns, depth = features.shape
    x = features.reshape(rows // size, size, columns // size, size, depth)
    return x.transpose(0, 2, 1, 3, 4).reshape(-1, size, size, depth)


def patch_texture(true, pred):
    true, pred = (gram_matrices(patches(x)) for x in (true, pred))
    squares = ((true - pred) ** 2).sum(axis=(1, 2))
    return np.mean(squares / (true**2).sum(axis=(1, 2)))


a, b = (np.asarray(extractor(x[None])[0]) for x in (beside, swapped))
whole = texture_distance(gram_matrices(a), gram_matrices(b))
print(f"halves swapped, at block1_conv1: whole image {whole:.4f},", end=" ")
print(f"patches {patch_texture(a, b):.4f}")
assert patch_texture(a, b) > 10 * whole

# %% [markdown]
# **Exercise 5.** Combining the content of one picture with the texture of another is called *style transfer* (Gatys and others). Let `paint` find a
# picture with the content of the cat and the texture of `style`, a stained tissue, starting from the cat. Use average pooling and a little TV against
# the grain. Divide the content loss by the mean square of the cat's features, and try a small and a large weight of the texture (0.1 and 3). (Cut
# both pictures to 96 x 96 pixels, because `texture_by_hand` adds up over positions. A weight of 0.3 for TV is enough.) What changes first, and is the
# eye still there?

# %%
style = sr.images.to_float(data.immunohistochemistry()[100:228, 100:228])[None]
picture = None  # your picture

# %% tags=["solution"]
# @title Solution 5
side_of_cat = min(96, height)
cat = hr[None, :side_of_cat, -side_of_cat:]
style_texture = texture_by_hand(average_vgg, style[:, :side_of_cat, :side_of_cat])
features_of_cat = average_vgg(cat)[3]
scale_of_content = float(tf.reduce_mean(features_of_cat**2))
stylized = {"content": cat[0], "texture": style[0, :side_of_cat, :side_of_cat]}
for weight in (0.1, 3.0):  # a little: the colours; a lot: streaks of tissue

    def objective(x, weight=weight):
        error = tf.reduce_mean((average_vgg(x)[3] - features_of_cat) ** 2)
        smooth = 0.3 * sr.losses.total_variation(x, x)
        return error / scale_of_content + weight * style_texture(x) + smooth

    stylized[f"texture x {weight:g}"] = paint(objective, cat, here.tries)[0][0]
sr.plotting.comparison(
    stylized, crop=(0, 0, side_of_cat, side_of_cat), columns=2, whole=False
)

# %% [markdown] tags=["solution"]
# The colours change first. With the weight of 3, streaks of tissue cover the fur, but the eye is still recognizable.

# %% [markdown]
# ## Summary
#
# - A content loss compares the features of a trained network, position by position. It ignores what its layer does not see, such as
#   brightness.
# - A Gram matrix says which features occur together. A texture loss ignores positions, so shuffled tiles are almost the same image
#   to it. It depends on contrast, so compare it with a sharpened control.
# - Total variation favours flat pictures. With a small weight it removes grain, and with a large one it removes texture.
# - Losses are balanced by their gradients, not by their values. A small L1 term preserves brightness and colours.
# - A network fine-tuned with these losses has more fine contrast and features closer to those of the photo, at a lower PSNR. A part of
#   this is contrast alone, as a sharpened control shows.
# - Such a loss rewards a fixed pattern, such as dots four pixels apart. Look for it, measure it, and add a term against it.
# - The new detail costs PSNR, does not match HR and amplifies noise, so nothing should be measured in it.
#
# Lesson 10 goes one step further: a second network, trained at the same time, decides whether a picture looks real.
#
# ## Further reading
#
# - Simonyan and Zisserman, [Very deep convolutional networks for large-scale image recognition](https://arxiv.org/abs/1409.1556),
#   2014: VGG.
# - Gatys, Ecker and Bethge, [Texture synthesis using convolutional neural networks](https://arxiv.org/abs/1505.07376), 2015, and [A
#   neural algorithm of artistic style](https://arxiv.org/abs/1508.06576), 2015: Gram matrices, and style transfer.
# - Johnson, Alahi and Fei-Fei, [Perceptual losses for real-time style transfer and
#   super-resolution](https://arxiv.org/abs/1603.08155), 2016.
# - Mahendran and Vedaldi, [Understanding deep image representations by inverting them](https://arxiv.org/abs/1412.0035), 2014:
#   feature inversion.
# - Sajjadi, Schölkopf and Hirsch, [EnhanceNet](https://arxiv.org/abs/1612.07919), 2016: texture losses for super-resolution.
# - Rudin, Osher and Fatemi, [Nonlinear total variation based noise removal
#   algorithms](https://doi.org/10.1016/0167-2789(92)90242-F), 1992.
# - Wang and others, [ESRGAN](https://arxiv.org/abs/1809.00219), 2018: features before the ReLU, and interpolation between the
#   weights of two networks.
# - Zhang and others, [The unreasonable effectiveness of deep features as a perceptual metric](https://arxiv.org/abs/1801.03924),
#   2018: LPIPS.
# - Blau and Michaeli, [The perception-distortion tradeoff](https://arxiv.org/abs/1711.06077), 2018: why perceptual quality and PSNR
#   cannot both be pushed to their optimum.
