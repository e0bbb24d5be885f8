"""The notebooks: that they run, and that what is committed is whole and up to date."""

import importlib.util
import io
import pathlib

import nbformat
import numpy as np
import pytest
from PIL import Image

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
_spec = importlib.util.spec_from_file_location("notebooks_build", FOLDER / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

every = pytest.mark.parametrize("name", build.names())


@every
def test_lesson_runs_in_fast_mode(name):
    notebook = build.to_notebook(build.source_path(name).read_text())
    build.execute(notebook, fast=True)  # raises with the traceback of a failed cell
    assert "FAST is on" in str(notebook.cells[1].outputs)


@every
def test_source_and_notebook_agree(name):
    assert build.staleness(name) == [], f"Run: python notebooks/build.py {name}"


@every
def test_committed_notebook_is_executed_with_pictures_and_small(name):
    assert build.faults_of_outputs(name) == []


@pytest.mark.parametrize(
    "page", [str(page.relative_to(build.ROOT)) for page in build.pages()]
)
def test_links_lead_somewhere_and_agree_with_the_project_address(page):
    assert build.dead_links(build.ROOT / page) == []


def test_everything_is_in_place():
    assert build.faults() == [], "Run: python notebooks/build.py --text"


@every
def test_lesson_has_the_parts_that_the_course_has(name):
    cells = build.to_notebook(build.source_path(name).read_text()).cells
    title, setup = cells[0].source, cells[1].source
    for part in ("# ", "**You will be able to**", "**You need**", "**Time:**"):
        assert part in title
    # the same first cell in every lesson, but for the arguments of `start`
    first = build.to_notebook(build.source_path(build.names()[0]).read_text())
    same = first.cells[1].source.partition("sr.course.start(")[0]
    assert setup.partition("sr.course.start(")[0] == same
    for cell in cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 25, cell.source
    hidden = [cell for cell in cells if "cellView" in cell.metadata]
    assert 3 <= len(hidden) <= 5  # the solutions of the exercises
    for cell in hidden:
        assert cell.metadata.cellView == "form"
        assert cell.metadata.jupyter.source_hidden is True
        assert cell.source.startswith("# @title Solution")
    text = "\n".join(cell.source for cell in cells)
    for heading in ("Exercises", "Summary", "Further reading"):
        assert f"\n## {heading}" in f"\n{text}", f"There is no heading '{heading}'"


# The build itself, on lessons made for it

SOURCE = """# %% [markdown]
# # 1. One
#
# What it is on.
#
# **Time:**

# %%
install = "git+https://github.com/OTHER/sr_keras"
here = start(minutes=(0.5, 1, 2.5))

# %% cellView="form" jupyter={"source_hidden": true}
print(object())
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A project with two lessons, the first of them SOURCE."""
    folder = tmp_path / "notebooks"
    (folder / "source").mkdir(parents=True)
    (folder / "source" / "01_one.py").write_text(SOURCE)
    (folder / "source" / "02_two.py").write_text(SOURCE.replace("1. One", "2. Two"))
    (folder / "README.md").write_text("<!-- lessons -->\n<!-- end of lessons -->\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/ME/sr_keras"\n'
    )
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "FOLDER", folder)
    return folder


def as_executed(name, output=None):
    notebook = build.to_notebook(build.stamped(name))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = 1
    if output:
        notebook.cells[-1].outputs = [output]
    return notebook


def picture(size, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    data = {"image/png": build.base64.b64encode(file.getvalue()).decode()}
    return nbformat.v4.new_output("display_data", data)


def save(notebook, name):
    build.write(build.notebook_path(name), nbformat.writes(notebook) + "\n")


def test_links_and_times_are_written_from_one_place(course):
    text = build.stamped("01_one")
    assert '"git+https://github.com/ME/sr_keras"' in text
    assert "1 minute of computing on two CPU cores" in text
    assert "2.5 minutes on a GPU in Colab (an estimate)" in text
    colab = "https://colab.research.google.com/github/ME/sr_keras/blob/main/notebooks"
    assert f"[Open in Colab]({colab}/01_one.ipynb)" in text
    assert f"Next: [2. Two](02_two.ipynb) ([in Colab]({colab}/02_two.ipynb))" in text
    assert "Previous" not in text and "Previous" in build.stamped("02_two")


def test_text_mode_keeps_outputs_and_names_lessons_to_execute(course):
    for name in build.names():
        save(as_executed(name, picture(8)), name)
    assert build.write_text_everywhere() == []
    assert build.faults() == []
    assert "| [1. One](01_one.ipynb) | What it is on. | 1 |" in (
        (course / "README.md").read_text()
    )

    source = build.source_path("01_one")
    source.write_text(source.read_text().replace("What it is on", "New prose"))
    (course.parent / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/YOU/sr_keras"\n'
    )
    assert build.faults() != []
    assert build.write_text_everywhere() == []
    assert build.faults() == []
    cells = nbformat.read(build.notebook_path("01_one"), 4).cells
    assert "New prose" in cells[0].source and "YOU" in cells[1].source
    assert cells[2].outputs and cells[2].execution_count == 1

    source.write_text(source.read_text().replace("object()", "1"))
    assert build.write_text_everywhere() == ["01_one"]
    assert build.staleness("01_one") == [
        "01_one: source and notebook disagree from cell 2 on"
    ]


def test_faults_of_outputs_are_found(course, monkeypatch):
    save(as_executed("01_one"), "01_one")
    assert build.faults_of_outputs("01_one") == ["01_one: there is no picture in it"]
    notebook = as_executed("01_one", picture(8))
    notebook.cells[1].execution_count = None
    save(notebook, "01_one")
    assert build.faults_of_outputs("01_one") == [
        "01_one: code cell 0 was never executed"
    ]
    save(as_executed("01_one", picture(64)), "01_one")
    monkeypatch.setattr(build, "LIMIT", 10_000)
    (fault,) = build.faults_of_outputs("01_one")
    assert "more than 10000" in fault
    assert build.faults_of_outputs("02_two") == ["02_two: the notebook is missing"]


@pytest.mark.parametrize(
    "link, fault",
    [
        ("01_one.ipynb", "no 01_one.ipynb"),
        ("source/01_one.py", None),
        ("#a-heading", None),
        ("#no-heading", "no heading for #no-heading"),
        ("https://arxiv.org/abs/1609.05158", None),
        ("https://github.com/ME/sr_keras", None),
        ("https://github.com/ME/sr_keras/blob/main/pyproject.toml", None),
        ("https://github.com/ME/sr_keras/blob/main/absent.py", "leads nowhere"),
        ("https://github.com/OTHER/sr_keras", "leads nowhere"),
        ("https://colab.research.google.com/github/A/b/blob/main/c.ipynb", "nowhere"),
    ],
)
def test_dead_links_are_found(course, link, fault):
    page = course / "page.md"
    page.write_text(f"# A heading\n\nA [link]({link}), and `[code](no.md)`.\n")
    found = build.dead_links(page)
    assert (fault in found[0]) if fault else (found == [])


def test_an_address_in_code_is_held_to_the_project_too(course):
    save(build.to_notebook(SOURCE), "01_one")
    (fault,) = build.dead_links(build.notebook_path("01_one"))
    assert "git+https://github.com/OTHER/sr_keras is not at" in fault


def test_clean_takes_out_what_changes_from_run_to_run():
    notebook = build.to_notebook(SOURCE)
    cell = notebook.cells[-1]
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="<object at 0x7f12ab>\n"),
        nbformat.v4.new_output("stream", name="stderr", text="a warning\n"),
        picture(16),
        picture(400),
    ]
    assert build.clean(notebook) == "a warning\n"
    text, small, large = cell.outputs
    assert text.text == "<object>\n"
    code = build.base64.b64decode(small.data["image/png"])
    expected = np.random.default_rng(0).integers(0, 256, (16, 16, 3), "uint8")
    np.testing.assert_array_equal(Image.open(io.BytesIO(code)), expected)
    assert "image/png" in large.data or "image/jpeg" in large.data


def test_large_photos_become_jpegs_and_large_charts_stay():
    y, x = np.mgrid[:600, :600]
    noise = np.random.default_rng(0).normal(0, 3, (600, 600))
    photo = np.clip(128 + 60 * np.sin(x / 40) + 40 * np.cos(y / 30) + noise, 0, 255)
    for pixels, kind in ((photo, "image/jpeg"), (128 + 0 * photo, "image/png")):
        file = io.BytesIO()
        Image.fromarray(pixels.astype("uint8")).save(file, "png")
        found, code = build._smaller(file.getvalue())
        assert found == kind
        difference = np.asarray(Image.open(io.BytesIO(code)), float)[..., 0] - pixels
        assert np.abs(difference).mean() < 2


def test_ids_of_cells_follow_from_their_text():
    first, again = build.to_notebook(SOURCE), build.to_notebook(SOURCE)
    ids = [cell.id for cell in first.cells]
    assert ids == [cell.id for cell in again.cells] and len(set(ids)) == 3
    moved = build.to_notebook("# %%\n1\n\n" + SOURCE)
    assert [cell.id for cell in moved.cells[1:]] == ids
