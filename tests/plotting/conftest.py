"""Every figure of these tests must leave pyplot as it was."""

import matplotlib
import matplotlib.pyplot as plt
import pytest

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def unchanged_pyplot():
    backend = matplotlib.get_backend()
    yield
    assert matplotlib.get_backend() == backend
    assert plt.get_fignums() == []
