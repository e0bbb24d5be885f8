"""Your hand-in. Fill in the functions of your lessons, and leave the others.

Arrays are NumPy arrays. Images are floats in [0, 1] of shape (height, width, channels).
"""

import numpy as np  # noqa: F401

# What your own experiment used. The graders need every line.
CONDITIONS = {
    "data": "",
    "split": "",
    "scale": "",
    "channel": "",  # luma or RGB
    "border": "",  # pixels cut
    "steps": "",
    "seed": "",
}
# What an AI assistant made, in a line; "nothing" is an answer, too.
GENERATED = ""


def undetermined(scale):  # lesson 0
    """Returns which fraction of HR's numbers LR leaves open, by counting alone."""
    raise NotImplementedError


def lr_psnr(lr, image, downscale):  # lesson 0
    """Returns the PSNR in dB of an enlarged image that is scaled down again."""
    raise NotImplementedError


def psnr(a, b):  # lesson 1
    """Returns the PSNR of two images in dB."""
    raise NotImplementedError


def bilinear_weights(position):  # lesson 1
    """Returns {LR pixel: weight} for a position in LR pixels, without weights of 0."""
    raise NotImplementedError


def cut_pair(lr, hr, scale, top, left, size):  # lesson 2
    """Returns the LR patch at (top, left) of size x size, and its HR patch."""
    raise NotImplementedError


def num_weights(kernel_sizes, filters, channels):  # lesson 3
    """Returns the number of weights of a stack of convolutions, with biases.

    `filters` are the outputs of each convolution, `channels` those of the input.
    """
    raise NotImplementedError


def pixel_shuffle(x, scale):  # lesson 4
    """Returns (h, w, s * s * c) as (s * h, s * w, c), with the colour as last index."""
    raise NotImplementedError


def receptive_field(kernel_sizes, dilations):  # lesson 5
    """Returns the width of what one output pixel of a stack of convolutions sees."""
    raise NotImplementedError


def best_answers(values):  # lesson 6
    """Returns the numbers with the least expected squared and absolute error."""
    raise NotImplementedError


def gram_matrix(features):  # lesson 7
    """Returns the Gram matrix of (height, width, channels), without division."""
    raise NotImplementedError


def fold_batch_norm(kernel, bias, gamma, beta, mean, variance, epsilon):  # lesson 8
    """Returns kernel and bias of one convolution that equals convolution and BN.

    The shapes are those of Keras: (height, width, inputs, outputs), and (outputs,).
    """
    raise NotImplementedError


def back_project(image, lr, downscale, upscale):  # lesson 9
    """Returns the image after one step of back-projection."""
    raise NotImplementedError


def discriminator_loss(real_logits, fake_logits):  # lesson 10
    """Returns the mean cross-entropy of both kinds, added, for logits of any size."""
    raise NotImplementedError


def kl_divergence(mean, log_variance):  # lesson 11
    """Returns the KL divergence to the standard normal prior in nats, summed."""
    raise NotImplementedError


def interval(grades, t):  # lesson 12
    """Returns the mean of the grades, and half the width of its interval."""
    raise NotImplementedError


def posterior_of_b(likelihood_8, likelihood_b, share_of_b):  # lesson 13
    """Returns the probability of a B, given the likelihoods of an LR image."""
    raise NotImplementedError


def num_patches(height, width, size, views):  # lesson 14
    """Returns how many patches of size x size a photo and its views contain."""
    raise NotImplementedError


def overhead(tile, halo):  # lesson 15
    """Returns how many times the pixels of a large photo a network computes."""
    raise NotImplementedError


def blend(weights, gan_weights, detail):  # lesson 16
    """Returns the weights of a network between two: `detail` 1 is the GAN.

    Both are lists of arrays, as `get_weights` of Keras returns them.
    """
    raise NotImplementedError


def photon_noise_std(value, photons):  # lesson 16
    """Returns the standard deviation of a pixel that counts photons.

    `value` is the mean of the pixel; white, which is 1, counts `photons` on average.
    """
    raise NotImplementedError


def attention(query, key, value):  # lesson 17
    """Returns softmax(Q K^T / sqrt(d)) V for (pixels, d), (pixels, d), (pixels, c)."""
    raise NotImplementedError


def fold_branches(kernel, bias, kernel_of_one, bias_of_one):  # lesson 17
    """Returns kernel and bias of one 3x3 convolution that equals the sum of two.

    The two are a 3x3 convolution, with a kernel (3, 3, inputs, outputs), and a 1x1
    convolution, with a kernel (1, 1, inputs, outputs), of the same input.
    """
    raise NotImplementedError


def image_from_velocity(x, velocity, time):  # lesson 18
    """Returns the clean image that a predicted velocity implies at a time from 0 to 1.

    The schedule is that of the lesson: cos(pi t / 2) and sin(pi t / 2).
    """
    raise NotImplementedError


def ddim_step(x, image, time, earlier):  # lesson 18
    """Returns the noisy image at an earlier time, from the estimate of the image."""
    raise NotImplementedError


def winners(entries):  # lesson 19
    """Returns the names of the two winners of the challenge.

    `entries` is a dict of name to {"psnr_y": ..., "niqe": ...}, with "bicubic" among
    the names, which cannot win.
    """
    raise NotImplementedError
