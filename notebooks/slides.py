"""Makes slides of the lessons, with nbconvert and reveal.js.

    python notebooks/slides.py                 all, to build/slides/NN_name.html
    python notebooks/slides.py 03_srcnn        this one
    python notebooks/slides.py --reveal PATH   with a local copy of reveal.js

The slides come from the executed notebooks. Each section of a lesson is a column of
slides: its heading with formulas, diagrams and the first question; then its pictures
and short cells; every question to predict has a slide before its answer. The prose
becomes speaker notes (press S). Solutions and further reading are left out.
"""

import argparse
import pathlib
import re
import sys

import nbformat
from formulas import draw, mark
from nbconvert import SlidesExporter
from traitlets.config import Config

FOLDER = pathlib.Path(__file__).resolve().parent
TARGET = FOLDER.parent / "build" / "slides"
REVEAL = "https://unpkg.com/reveal.js@4.6.1"
LONGEST = 14  # lines of a cell whose code is shown

_SHOWN = re.compile(r"(?m)^(!\[.*\]\(.*\)|\$\$.*\$\$)$")
_STYLE = """<style>
.reveal .slides { font-size: 26px; text-align: left; }
.reveal .slides img { max-height: 480px; max-width: 100%; width: auto; }
.reveal h1, .reveal h2, .reveal h3 { text-transform: none; }
.reveal pre, .jp-CodeCell pre { font-size: 20px; }
.jp-InputPrompt, .jp-OutputPrompt { display: none; }
body, .reveal, .jp-Notebook { background: white; }
.reveal math[display="block"] { margin: 0.6em 0; font-size: 1.1em; }
</style>"""

# nbconvert's page loads reveal.js by require.js, and scripts for formulas and charts
# that the lessons do not need. This is all that remains.
_SCRIPT = """<script src="{reveal}/dist/reveal.js"></script>
<script src="{reveal}/plugin/notes/notes.js"></script>
<script>
Reveal.initialize({{
  hash: true, slideNumber: "c/t", width: 1200, height: 700, margin: 0.03,
  center: false, plugins: [RevealNotes]
}});
const fit = () => {{
  for (const slide of document.querySelectorAll("section.present:not(.stack)"))
    if (slide.scrollHeight > 700)
      slide.style.cssText += "max-height:700px;overflow-y:auto;";
}};
Reveal.on("ready", fit);
Reveal.on("slidechanged", fit);
</script>
</html>"""


def to_slides(notebook):
    """Returns a notebook with the slides of an executed lesson, and their types."""
    cells = [_markdown(_STYLE, "skip")]
    cells[0].metadata["slideshow"]["slide_type"] = "-"
    part = "lesson"
    for cell in notebook.cells:
        if "solution" in cell.metadata.get("tags", []):
            continue
        if cell.cell_type == "code":
            if part == "lesson":
                cells += _code(cell)
            continue
        for text in re.split(r"(?m)^(?=#{1,3} )", cell.source):
            heading = re.match(r"#+ (.+)", text)
            if heading:
                part = {
                    "Exercises": "exercises",
                    "Summary": "summary",
                    "Further reading": "end",
                }.get(heading[1], "lesson")
            cells += _prose(text.strip(), part, heading)
    cells.append(cells.pop(0))  # the style, on the last slide
    result = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
    return result


def _markdown(text, kind):
    cell = nbformat.v4.new_markdown_cell(mark(text))
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def _prose(text, part, heading):
    """Makes slides and notes of a piece of Markdown that has at most one heading."""
    if not text or part == "end":
        return []
    if part == "exercises":
        exercises = re.split(r"(?m)^(?=\*\*Exercise \d)", text)
        kinds = ["slide" if heading else "subslide"] + ["subslide"] * len(exercises)
        return [
            _markdown(piece.strip(), kind)
            for piece, kind in zip(exercises, kinds, strict=False)
            if piece.strip()
        ]
    if part == "summary":
        return [_markdown(text, "slide")]
    if text.startswith("# "):  # the first screen
        time = text.find("**Time:**")
        goals = text.find("**You will be able to**")
        return [
            _markdown(text[:goals], "slide"),
            _markdown(text[goals:time], "subslide"),
            _markdown(text[time:], "notes"),
        ]
    shown = [heading[0]] if heading else []
    shown += [match[0] for match in _SHOWN.finditer(text)]
    paragraphs = [part for part in text.split("\n\n") if not part.startswith("#")]
    shown += [part for part in paragraphs if "**Predict" in part]
    if heading and len(shown) == 1 and paragraphs:
        shown.append(paragraphs[0])
    cells = []
    if shown:
        kind = "slide" if text.startswith("## ") else "subslide"
        cells.append(_markdown("\n\n".join(shown), kind))
    cells.append(_markdown(text, "notes"))
    return cells


def _code(cell):
    """Makes a slide of a cell that shows a picture or is short."""
    cell = nbformat.from_dict(cell)
    kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
    pictures = {"image/png", "image/jpeg", "text/html"} & kinds
    is_short = len(cell.source.splitlines()) <= LONGEST and "start(" not in cell.source
    if not pictures and not (is_short and cell.outputs):
        return []
    cell.metadata["slideshow"] = {"slide_type": "subslide"}
    if pictures:
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
    for output in cell.outputs:  # of a slider, only what moves
        if "text/html" in output.get("data", {}):
            output.data.pop("image/png", None)
            output.data.pop("image/jpeg", None)
    return [cell]


def write(name, reveal=REVEAL):
    """Writes the slides of a lesson; returns the path."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    config = Config()
    config.SlidesExporter.reveal_scroll = True
    config.SlidesExporter.reveal_theme = "white"
    config.SlidesExporter.embed_images = True
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_input_tags = ("hide-input",)
    config.SlidesExporter.reveal_url_prefix = reveal
    resources = {"metadata": {"name": name, "path": str(FOLDER)}}
    exporter = SlidesExporter(config=config)
    text, _ = exporter.from_notebook_node(to_slides(notebook), resources)
    body, end = text[: text.rindex("</body>") + 7], _SCRIPT.format(reveal=reveal)
    body = re.sub(r"(?s)<script[^>]*https?://.*?</script>", "", body)
    body = re.sub(r"(?s)<script type=\"(module|text/x-mathjax).*?</script>", "", body)
    text = f"{draw(body)}\n{end}\n"
    TARGET.mkdir(parents=True, exist_ok=True)
    path = TARGET / f"{name}.html"
    path.write_text(text)
    return path


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="lessons")
    parser.add_argument("--reveal", default=REVEAL, help="folder or address of it")
    arguments = parser.parse_args()
    every = sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.ipynb"))
    wanted = [pathlib.Path(name).stem for name in arguments.names] or every
    if unknown := set(wanted) - set(every):
        sys.exit(f"no such lesson: {', '.join(sorted(unknown))}")
    for name in wanted:
        print(write(name, arguments.reveal).relative_to(FOLDER.parent))


if __name__ == "__main__":
    main()
