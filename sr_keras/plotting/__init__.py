"""Figures for notebooks, lectures and READMEs.

Every function but `slider` returns a matplotlib Figure. A notebook shows it if it is
the last expression of a cell, and `fig.savefig("name.png")` writes it. The figures are
already closed for pyplot, because a notebook would otherwise show them twice, and a
callback that draws one per epoch would fill the memory.
"""

from sr_keras.plotting.charts import (
    history,
    quality_against_cost,
    quality_against_perception,
)
from sr_keras.plotting.comparison import comparison, degradations
from sr_keras.plotting.diagram import diagram
from sr_keras.plotting.slider import slider

__all__ = [
    "comparison",
    "degradations",
    "diagram",
    "history",
    "quality_against_cost",
    "quality_against_perception",
    "slider",
]
