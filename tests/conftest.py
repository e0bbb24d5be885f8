"""Fixtures that several tests share."""

import os
import pathlib

import pytest


@pytest.fixture
def data_dir():
    """The folder of the real photos, which data/README.md describes."""
    path = os.environ.get("SR_KERAS_DATA")
    if not path:
        pytest.skip(
            "SR_KERAS_DATA is not set: it must name the folder that has `benchmark`,"
            " `bsds500` and `t91` in it, see data/README.md"
        )
    return pathlib.Path(path)
