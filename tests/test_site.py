"""The hooks that make the site: lessons as pages, and links that are followed."""

import functools
import http.server
import importlib.util
import logging
import os
import pathlib
import subprocess
import sys
import threading
import types

import nbformat
import pytest
from chromium import start_chromium
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


def test_a_slider_gets_the_current_script(hooks):
    script = (ROOT / "sr_keras" / "plotting" / "slider.js").read_text()
    old = '<div class="slider-1"><img></div>\n<script>\nold()\n</script>'
    data = {"text/html": old}
    text, _ = hooks._output(v4.new_output("display_data", data), "x")
    page = hooks.on_page_content(f"<p>{text}</p>", None, None, None)
    assert page == old.replace("old()\n", script)


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


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site, and its address."""
    pytest.importorskip("material", reason='pip install ".[docs]"')
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=env, check=True)
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def phone(site):
    """A tab as wide as a phone, in which fingers can be moved."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is missing: pip install playwright"
    )
    size = {"width": 390, "height": 844}
    with sync_api.sync_playwright() as playwright:
        browser = start_chromium(playwright)
        yield browser.new_page(viewport=size, has_touch=True, is_mobile=True)
        browser.close()


@pytest.mark.slow
def test_pages_fit_a_phone_and_load_nothing_from_elsewhere(site, phone):
    folder, address = site
    wrong = []
    phone.on("request", lambda request: asked.append(request.url))
    phone.on("console", lambda message: said.append((message.type, message.text)))
    phone.on("pageerror", lambda error: said.append(("error", str(error))))
    for path in sorted(folder.rglob("*.html")):
        asked, said = [], []
        name = path.relative_to(folder).as_posix().removesuffix("index.html")
        phone.goto(address + name)
        widths = "[document.documentElement.scrollWidth, innerWidth]"
        if phone.evaluate(widths) != [390, 390]:
            wrong.append(f"{name or 'home'} scrolls sideways")
        wrong += [url for url in asked if not url.startswith((address, "data:"))]
        wrong += [f"{name}: {text}" for kind, text in said if kind == "error"]
    assert wrong == []


@pytest.mark.slow
def test_a_finger_moves_a_slider_of_a_lesson_and_scrolls_the_page(site, phone):
    phone.goto(f"{site[1]}notebooks/08_edsr/")
    stage = phone.locator("[class^=slider-] > div").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box["x"] + box["width"] <= 390
    for image in stage.locator("img").all():  # wholly visible
        assert image.bounding_box() == pytest.approx(box, abs=1)
    session = phone.context.new_cdp_session(phone)

    def drag(dx, dy):
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for i in range(11):
            kind = "touchMove" if i else "touchStart"
            point = {"x": x + i * dx / 10, "y": y + i * dy / 10}
            session.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]}
            )
        session.send(
            "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
        )
        phone.wait_for_timeout(300)

    line, before = stage.locator("> div"), phone.evaluate("scrollY")
    drag(100, 0)
    right = line.bounding_box()["x"] - box["x"]
    assert right == pytest.approx(box["width"] / 2 + 100, abs=15)
    assert phone.evaluate("scrollY") == before
    drag(0, -150)
    assert phone.evaluate("scrollY") > before + 50
