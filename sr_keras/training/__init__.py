"""Training: recipes, exact resuming, GANs, a conditional VAE and diffusion models."""

from sr_keras.training.callbacks import TrainingRun
from sr_keras.training.diffusion import Diffusion
from sr_keras.training.gan import GAN, RelativisticGAN
from sr_keras.training.recipe import DiffusionRecipe, GANRecipe, Recipe, VAERecipe
from sr_keras.training.recipes import RECIPES
from sr_keras.training.run import train
from sr_keras.training.vae import VAE

__all__ = [
    "GAN",
    "RECIPES",
    "VAE",
    "Diffusion",
    "DiffusionRecipe",
    "GANRecipe",
    "Recipe",
    "RelativisticGAN",
    "TrainingRun",
    "VAERecipe",
    "train",
]
