"""Training where `compile` and `fit` alone are not enough."""

from sr_keras.training.callbacks import TrainingRun
from sr_keras.training.precision import choose_precision
from sr_keras.training.recipes import RECIPES, Recipe, train
from sr_keras.training.soap import SOAP

__all__ = ["RECIPES", "SOAP", "Recipe", "TrainingRun", "choose_precision", "train"]
