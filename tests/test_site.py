"""The hooks that make the site: lessons as pages, and links that are followed."""

import importlib.util
import logging
import pathlib
import types

import nbformat
import pytest
from nbformat import v4

pytest.importorskip("mkdocs")
pytest.importorskip("latex2mathml")

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lesson():
    setup = v4.new_code_cell("import sr_keras as sr")
    shown = v4.new_code_cell("show()")
    shown.outputs = [
        v4.new_output("stream", name="stdout", text="3.5 dB\n"),
        v4.new_output("display_data", {"image/png": "aGVsbG8=", "text/plain": "fig"}),
        v4.new_output("display_data", {"text/html": "<b>slider</b>", "image/png": ""}),
    ]
    solution = v4.new_code_cell("# @title Solution 1\nanswer = 1")
    solution.metadata["tags"] = ["solution"]
    title = v4.new_markdown_cell("# 1. One")
    return v4.new_notebook(cells=[title, setup, shown, solution])


def test_a_lesson_becomes_a_page_with_folded_solutions(hooks):
    text, pictures = hooks.to_markdown(lesson(), "01_one")
    assert pictures == {"notebooks/01_one_files/2_1.png": b"hello"}
    assert "# 1. One" in text and "```text\n3.5 dB\n```" in text
    assert "![Output](01_one_files/2_1.png)" in text
    assert '??? note "Set-up"' in text and '??? note "Solution 1"' in text
    assert "\n    answer = 1\n" in text
    page = hooks.on_page_content("<p>xblock0x</p>", None, None, None)
    assert page == "<b>slider</b>"


def test_links_to_lessons_lead_to_their_pages_and_answers_to_the_repository(hooks):
    config = types.SimpleNamespace(repo_url="https://github.com/ME/sr_keras")
    text = (
        "[a](01_one.ipynb) [b](../notebooks/01_one.ipynb#x) [c](student/01_one.ipynb) "
        "[d](answers/questions.md) [e](teaching/answers/exercises.md)"
    )
    text += "\n\n| [1. One](student/01_one.ipynb) | What it is on. |\n"
    file = types.SimpleNamespace(src_uri="notebooks/README.md")
    page = types.SimpleNamespace(file=file)
    found = hooks.on_page_markdown(text, page, config, None)
    assert "\n| [1. One](01_one.md) |" in found
    assert "[a](01_one.md) [b](../notebooks/01_one.md#x)" in found
    assert "[c](student/01_one.ipynb)" in found
    answers = "https://github.com/ME/sr_keras/blob/main/notebooks/teaching/answers"
    assert f"[d]({answers}/questions.md) [e]({answers}/exercises.md)" in found


@pytest.mark.parametrize(
    "html, warning",
    [
        ('<a href="other/">x</a>', None),
        ('<a href="other/#there">x</a>', None),
        ('<a href="https://arxiv.org/abs/1501.00092">x</a>', None),
        ('<a href="absent/">x</a>', "absent/ leads nowhere"),
        ('<a href="other/#absent">x</a>', "no anchor for other/#absent"),
        ('<img src="absent.png">', "absent.png leads nowhere"),
        ('<script src="https://example.org/a.js"></script>', "loads https://example"),
    ],
)
def test_dead_links_of_the_site_are_found(hooks, tmp_path, caplog, html, warning):
    (tmp_path / "index.html").write_text(html)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h1 id="there">Other</h1>')
    with caplog.at_level(logging.WARNING):
        hooks.on_post_build(types.SimpleNamespace(site_dir=str(tmp_path)))
    messages = [record.getMessage() for record in caplog.records]
    if warning is None:
        assert messages == []
    else:
        assert len(messages) == 1 and warning in messages[0]


def test_every_lesson_and_its_goal_are_in_the_navigation_and_the_gallery():
    navigation = (ROOT / "mkdocs.yml").read_text()
    gallery = (ROOT / "docs" / "gallery.md").read_text()
    for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"):
        assert f"notebooks/{path.stem}.md" in navigation
        title = nbformat.read(path, 4).cells[0].source.splitlines()[0]
        assert f"### [{title.removeprefix('# ')}](../notebooks/{path.name})" in gallery
        assert f"notebooks/figures/{path.name[:2]}_goal.jpg" in gallery
