"""The page "Prototype with it" runs as it stands."""

import pathlib
import re

import pytest

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "prototype.md"


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path, monkeypatch, capsys):
    from sr_keras import models

    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 9
    scope = {"__name__": "prototype"}
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), scope)
    finally:
        models.NETWORKS.pop("my_network", None)
    printed = capsys.readouterr().out
    assert "{'network': 'my_network', 'config': {'scale': 3, 'filters': 16" in printed
    assert "['my_network']" in printed
    assert {path.name for path in tmp_path.iterdir()} >= {"mine.keras", "runs"}
