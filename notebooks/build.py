"""Builds both editions of the notebooks from the sources that are edited.

    python notebooks/build.py                  executes all and writes them
    python notebooks/build.py 01_pixels ...    executes these only
    python notebooks/build.py --text           executes nothing: writes links, times,
                                               the table of lessons, changed prose
    python notebooks/build.py --check          writes nothing: lists what is wrong

`source/NN_name.py`, in jupytext's percent format, becomes two notebooks:

- `NN_name.ipynb`, the teacher edition: executed, with folded solutions;
- `student/NN_name.ipynb`, the student edition: no solutions and no outputs. Its
  pictures are part of the file, because Colab opens it without the repository.

Solutions, and remarks that give one away, have the tag `solution` in the source. The
address of the project stands in `pyproject.toml`, and is written from there into every
lesson.
"""

import argparse
import base64
import hashlib
import io
import os
import pathlib
import re
import sys
import time
import tomllib

import jupytext
import nbclient
import nbformat
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent
LIMIT = 2_500_000  # bytes of a notebook
_ROOMY = 100_000  # bytes from which a picture may become a JPEG
_QUALITIES = (92, 85, 75, 65)  # of JPEGs

_CHATTER = ("cudart_stub", "absl::InitializeLog")  # of TensorFlow, on every start

_TIME = re.compile(r"(?ms)^# \*\*Time:\*\*.*?(?=\n\n# %%)")
_INSTALL = re.compile(r'git\+https?://[^\s"]+')
_MINUTES = re.compile(r"minutes=\(([\d.]+), ([\d.]+), ([\d.]+)\)")
_LESSONS = re.compile(r"(?s)(<!-- lessons[^\n]*-->\n).*?(<!-- end of lessons -->)")
_LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:href|src)=["']([^"']+)["']""")
_PICTURE = re.compile(r"!\[([^\]]*)\]\((figures/[^)\s]+)\)")
_HEADING = re.compile(r"(?m)^(#{1,3}) (.+)$")

_WORDS_A_MINUTE = 150  # of prose with formulas in it
_MINUTES_A_CELL = 1  # to read code, predict its result, and look at it
_MINUTES_OF_EXERCISES = (6, 15)  # with a checked number, and others
CORE_LIMIT = 90  # minutes of reading and running, without optional sections


# Lessons, and what stands in each of them


def names():
    """Returns the names of all lessons, in their order."""
    return sorted(path.stem for path in (FOLDER / "source").glob("[0-9][0-9]_*.py"))


def source_path(name):
    return FOLDER / "source" / f"{name}.py"


def notebook_path(name):
    return FOLDER / f"{name}.ipynb"


def student_path(name):
    return FOLDER / "student" / f"{name}.ipynb"


def address():
    """Returns the public address of the project, which pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["urls"]["Repository"].rstrip("/")


def colab(name):
    """Returns the address at which Colab opens a lesson."""
    path = address().removeprefix("https://github.com/")
    return (
        "https://colab.research.google.com/github/"
        f"{path}/blob/main/notebooks/student/{name}.ipynb"
    )


def title(name):
    """Returns the heading of a lesson."""
    return re.search(r"(?m)^# # (.+)$", source_path(name).read_text())[1]


def subject(name):
    """Returns the paragraph below the heading of a lesson, which says what it is on."""
    text = re.search(r"(?ms)^# # .+?\n#\n(.+?)\n#\n", source_path(name).read_text())[1]
    return " ".join(line.removeprefix("# ") for line in text.splitlines())


def minutes(name):
    """Returns how long a lesson takes: (FAST, CPU, GPU), as its first cell says."""
    found = _MINUTES.search(source_path(name).read_text())
    return tuple(float(value) for value in found.groups())


def _duration(value):
    unit = "minute" if value == 1 else "minutes"
    return "less than a minute" if value < 1 else f"{value:g} {unit}"


def study_minutes(name):
    """Estimates how long a lesson takes a reader, from the length of its text.

    Returns:
        A dict with the minutes for `core` and `optional` sections, which include
        reading code and looking at results, and for `exercises`.
    """
    spent = {"core": 0.0, "optional": 0.0, "exercises": 0.0}
    part = "core"
    for cell in to_notebook(source_path(name).read_text()).cells:
        tags = cell.metadata.get("tags", [])
        if "solution" in tags:
            continue
        if re.search(r"(?m)^## Summary", cell.source):
            part = "core"
        elif re.search(r"(?m)^## Exercises", cell.source):
            part = "exercises"
        elif part != "exercises":
            part = "optional" if "optional" in tags else "core"
        if part == "exercises":
            spent[part] += 15 * len(re.findall(r"\*\*Exercise \d+", cell.source))
            if cell.cell_type == "code" and "course.check(" in cell.source:
                easy, other = _MINUTES_OF_EXERCISES
                spent[part] += easy - other
        elif cell.cell_type == "markdown":
            prose = re.sub(r"\]\([^)]*\)|[^\w\s]", " ", cell.source)
            spent[part] += len(prose.split()) / _WORDS_A_MINUTE
        else:
            spent[part] += _MINUTES_A_CELL
    return {
        part: max(5 * round(value / 5), 5 * (value > 0))
        for part, value in spent.items()
    }


def optional_sections(name):
    """Returns the headings of the sections that may be left out."""
    text = source_path(name).read_text()
    return re.findall(r"(?m)^# #{2,3} Optional: (.+)$", text)


def navigation(name):
    """Returns the end of the title cell: how long it takes, and where to go."""
    _, cpu, gpu = minutes(name)
    links = [
        f"[Open in Colab]({colab(name)})",
        f"[Student edition](student/{name}.ipynb)",
        f"[Source]({address()}/blob/main/notebooks/source/{name}.py)",
    ]
    place = names().index(name)
    for word, other in (("Previous", place - 1), ("Next", place + 1)):
        if 0 <= other < len(names()):
            other = names()[other]
            link = f"[{title(other)}]({other}.ipynb) ([in Colab]({colab(other)}))"
            links.append(f"{word}: {link}")
    links.append("[All lessons](README.md)")
    study = study_minutes(name)
    optional = optional_sections(name)
    time = (
        f"**Time:** about {study['core']} minutes to read the core, "
        f"{study['exercises']} for the exercises; {_duration(cpu)} of computing on "
        f"two CPU cores (measured), {_duration(gpu)} on a GPU in Colab (an estimate)."
    )
    if optional:
        kind = "section" if len(optional) == 1 else "sections"
        listed = "; ".join(f"*{heading}*" for heading in optional)
        time += (
            f"\n\n**Optional** {kind}, {study['optional']} minutes more: {listed}. "
            "Everything else is core."
        )
    return time + "\n\n" + " · ".join(links)


def stamped(name):
    """Returns a lesson's source with its links and times as they should be."""
    text = source_path(name).read_text()
    lines = navigation(name).splitlines()
    block = "\n".join(f"# {line}".rstrip() for line in lines)
    text = _TIME.sub(lambda _: block, text, count=1)
    return _INSTALL.sub(f"git+{address()}", text)


def table():
    """Returns the table of lessons for the syllabus, in Markdown."""
    rows = [
        "| lesson | on | core, optional, exercises | CPU | |",
        "|---|---|---|---|---|",
    ]
    for name in names():
        study = study_minutes(name)
        rows.append(
            f"| [{title(name)}](student/{name}.ipynb) | {subject(name)} |"
            f" {study['core']}, {study['optional']}, {study['exercises']} |"
            f" {minutes(name)[1]:g} | [Colab]({colab(name)}),"
            f" [with outputs]({name}.ipynb) |"
        )
    return "\n".join(rows) + "\n"


# From source to notebook


def to_notebook(text):
    """Makes a notebook, not executed, of a source text."""
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    seen = set()
    optional_level = 0  # of the heading of the optional section, if in one
    for cell in notebook.cells:
        for marks, heading in _HEADING.findall(_prose(cell)):
            if heading.startswith("Optional: "):
                optional_level = len(marks)
            elif len(marks) <= optional_level:
                optional_level = 0
        if optional_level:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "optional"]
        if cell.cell_type == "code" and "solution" in cell.metadata.get("tags", []):
            # folds the source and the outputs, in Colab and in Jupyter
            cell.metadata["cellView"] = "form"
            cell.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
            cell.metadata["collapsed"] = True
        # an id that follows from the text, so that a rebuild changes nothing else
        identity = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        while identity in seen:
            identity += "x"
        seen.add(identity)
        cell["id"] = identity
    return notebook


def _prose(cell):
    return cell.source if cell.cell_type == "markdown" else ""


def to_student(name):
    """Makes the student edition of a lesson: without solutions and outputs."""
    notebook = to_notebook(source_path(name).read_text())
    notebook.cells = [
        cell
        for cell in notebook.cells
        if "solution" not in cell.metadata.get("tags", [])
    ]
    teacher = f"[Teacher edition, with outputs and solutions](../{name}.ipynb)"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # a copy of the repository is one folder further up
            cell.source = cell.source.replace('"../sr_keras/', '"../../sr_keras/')
            cell.source = cell.source.replace('".." if local', '"../.." if local')
            continue
        text = _PICTURE.sub(_embedded, cell.source)
        text = re.sub(r"\[Student edition\]\([^)]*\)", teacher, text)
        cell.source = re.sub(r"\]\(([^)\s]+)\)", _moved, text)
    return notebook


def _embedded(match):
    """Makes a picture part of the notebook; of a drawing, the PNG beside it."""
    path = FOLDER / match[2]
    path = path.with_suffix(".png") if path.suffix == ".svg" else path
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    code = base64.b64encode(path.read_bytes()).decode()
    return f"![{match[1]}](data:image/{kind};base64,{code})"


def _moved(match):
    """Writes a link as it must be in the folder of the student edition."""
    link = match[1]
    stays = link.startswith(("http://", "https://", "mailto:", "data:", "#", "../"))
    if re.match(r"\d\d_\w+\.ipynb", link) or (stays and not link.startswith("../")):
        return match[0]
    if re.fullmatch(r"\.\./\d\d_\w+\.ipynb", link):  # the teacher edition
        return match[0]
    return f"](../{link})"


def student_text(name):
    return nbformat.writes(to_student(name)) + "\n"


def execute(notebook, fast=False, kernel="python3"):
    """Executes a notebook in place, with this Python and this working tree.

    Args:
        notebook: The notebook.
        fast: Whether to shorten the lesson as its test does.
        kernel: Name of the Jupyter kernel.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "SR_KERAS_FAST": "1" if fast else "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    client = nbclient.NotebookClient(
        notebook,
        timeout=3600,
        kernel_name=kernel,
        record_timing=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute(env=environment)


def clean(notebook):
    """Takes out what changes from run to run, and makes pictures small.

    Photos become JPEGs, of the highest quality at which the notebook keeps its limit.

    Returns:
        What stood on the error stream, which is taken out.
    """
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata.pop("widgets", None)
    errors = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        errors += [
            line
            for output in cell.outputs
            if output.get("name") == "stderr"
            for line in output.text.splitlines(keepends=True)
            if not any(word in line for word in _CHATTER)
        ]
        cell.outputs = _joined(o for o in cell.outputs if o.get("name") != "stderr")
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = _without_addresses(output.text)
            data = output.get("data", {})
            if "text/plain" in data:
                data["text/plain"] = _without_addresses(data["text/plain"])
    pictures = [
        (output.data, base64.b64decode(output.data.pop("image/png")))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    for quality in _QUALITIES:
        for data, png in pictures:
            data.pop("image/png", None), data.pop("image/jpeg", None)
            kind, code = _smaller(png, quality)
            data[kind] = base64.b64encode(code).decode()
        if len(nbformat.writes(notebook).encode()) < LIMIT:
            break
    return "".join(errors)


def _joined(outputs):
    """Joins texts that follow each other: where they are cut is a matter of time."""
    result = []
    for output in outputs:
        is_text = output.output_type == "stream"
        if is_text and result and result[-1].output_type == "stream":
            result[-1].text += output.text
        else:
            result.append(output)
    return result


def _without_addresses(text):
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _smaller(png, quality=92):
    """Returns the type and bytes of a picture that needs less room.

    Small pictures stay lossless. Of large ones, photos above all, a JPEG with full
    colour is taken if that is clearly smaller; at lower qualities, if it is smaller.
    """
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(ground, image).convert("RGB")
    lossless, lossy = io.BytesIO(), io.BytesIO()
    image.save(lossless, "png", optimize=True)
    image.save(lossy, "jpeg", quality=quality, subsampling=0)
    sizes = [buffer.getbuffer().nbytes for buffer in (lossless, lossy)]
    enough = 0.7 if quality == max(_QUALITIES) else 1.0
    if sizes[0] > _ROOMY and sizes[1] < enough * sizes[0]:
        return "image/jpeg", lossy.getvalue()
    return "image/png", lossless.getvalue()


def write(path, text):
    """Writes a text file, whole or not at all; leaves it alone if it is the same."""
    if path.exists() and path.read_text() == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(exist_ok=True)
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_everywhere():
    """Writes links, times, the table, and prose that changed; executes nothing.

    Returns:
        The names of the lessons whose code is not the notebook's.
    """
    stale = []
    for name in names():
        write(source_path(name), stamped(name))
        write(student_path(name), student_text(name))
        fresh = to_notebook(source_path(name).read_text())
        if not notebook_path(name).exists():
            stale.append(name)
            continue
        built = nbformat.read(notebook_path(name), 4)
        if _without_address(_code(fresh)) != _without_address(_code(built)):
            stale.append(name)
            continue
        outputs = [cell for cell in built.cells if cell.cell_type == "code"]
        for cell in fresh.cells:
            if cell.cell_type == "code":
                done = outputs.pop(0)
                cell.outputs, cell.execution_count = done.outputs, done.execution_count
        fresh.metadata["executed"] = built.metadata.get("executed")
        write(notebook_path(name), nbformat.writes(fresh) + "\n")
    readme = FOLDER / "README.md"
    text = _LESSONS.sub(
        lambda m: m[1] + "\n" + table() + "\n" + m[2], readme.read_text()
    )
    write(readme, text)
    return stale


def _code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def _without_address(sources):
    return [_INSTALL.sub("", source) for source in sources]


def digest(notebook):
    """Returns the hash of the code that was executed, to be kept beside its outputs."""
    code = "\n\n".join(_without_address(_code(notebook)))
    return hashlib.sha256(code.encode()).hexdigest()


def build(name):
    """Executes a lesson and writes its notebook; says how long it took."""
    notebook = to_notebook(stamped(name))
    start = time.perf_counter()
    execute(notebook)
    seconds = time.perf_counter() - start
    errors = clean(notebook)
    notebook.metadata["executed"] = digest(notebook)
    text = nbformat.writes(notebook) + "\n"
    write(notebook_path(name), text)
    print(f"{name}: executed in {seconds:.0f} s, {len(text.encode()) / 1e6:.2f} MB")
    if errors:
        print(f"left out of {name}, from its error stream:\n{errors}", file=sys.stderr)


# What can be wrong, as lists of sentences


def staleness(name):
    """Says where a lesson's source and its notebook disagree."""
    if source_path(name).read_text() != stamped(name):
        return [f"{name}: links or times in the source are not up to date"]
    if not notebook_path(name).exists():
        return [f"{name}: the notebook is missing"]
    fresh = to_notebook(source_path(name).read_text())
    built = nbformat.read(notebook_path(name), 4)
    texts = [
        [(cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]
        for notebook in (fresh, built)
    ]
    fresh.metadata["executed"] = digest(fresh)
    if texts[0] == texts[1] and fresh.metadata == built.metadata:
        student = student_path(name)
        if not student.exists() or student.read_text() != student_text(name):
            return [f"{name}: the student edition is not up to date"]
        return []
    if texts[0] == texts[1]:
        return [f"{name}: the outputs are not those of this code; execute it"]
    pairs = zip(*texts, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), len(texts[0]))
    return [f"{name}: source and notebook disagree from cell {place} on"]


def faults_of_outputs(name):
    """Says what a committed notebook lacks: pictures, executed cells, room."""
    path = notebook_path(name)
    if not path.exists():
        return [f"{name}: the notebook is missing"]
    faults = []
    if path.stat().st_size > LIMIT:
        faults.append(f"{name}: {path.stat().st_size} bytes are more than {LIMIT}")
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    if not kinds & {"image/png", "image/jpeg"}:
        faults.append(f"{name}: there is no picture in it")
    if any(output.output_type == "error" for output in outputs):
        faults.append(f"{name}: an error stands in it")
    for i, cell in enumerate(cells):
        if cell.execution_count is None:
            faults.append(f"{name}: code cell {i} was never executed")
    return faults


def misplaced_headings(name):
    """Says where an optional section begins or ends in the middle of a cell."""
    found, optional_level = [], 0
    for cell in to_notebook(source_path(name).read_text()).cells:
        for heading in _HEADING.finditer(_prose(cell)):
            ends = 0 < optional_level >= len(heading[1])
            begins = heading[2].startswith("Optional: ")
            if (begins or ends) and heading.start():
                found.append(f"{name}: a cell must begin with {heading[0]!r}")
            if begins:
                optional_level = len(heading[1])
            elif ends:
                optional_level = 0
    return found


def dead_links(path):
    """Says which links in a Markdown file or a notebook lead nowhere.

    Links to files must name files that exist, links into the project (and those of
    Colab) must begin with the address in pyproject.toml. Others are not followed.
    """
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, 4).cells
        prose = "\n".join(c.source for c in cells if c.cell_type == "markdown")
        text = prose + "\n" + "\n".join(_INSTALL.findall("\n".join(_code_of(cells))))
    else:
        prose = text = path.read_text()
    prose = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", prose)
    links = [first or second for first, second in _LINK.findall(prose)]
    faults = [fault for link in links if (fault := _dead(link, path, prose))]
    for link in _INSTALL.findall(text):
        if link != f"git+{address()}":
            faults.append(f"{path.name}: {link} is not at {address()}")
    return faults


def _code_of(cells):
    return [cell.source for cell in cells if cell.cell_type == "code"]


def _dead(link, path, prose):
    if link.startswith(("http://", "https://")):
        project = address().rsplit("/", 1)[1]
        is_ours = "colab.research.google.com" in link or f"/{project}" in link
        if not is_ours:
            return None
        owner = address().removeprefix("https://github.com/")
        starts = (address(), f"https://colab.research.google.com/github/{owner}")
        for start in starts:
            rest = link.removeprefix(start)
            if rest != link and re.fullmatch(r"/?|/(blob|tree)/main/.+", rest):
                file = rest.partition("/main/")[2]
                if (ROOT / file).exists():
                    return None
        return f"{path.name}: {link} leads nowhere in {address()}"
    if link.startswith(("mailto:", "data:")):
        return None
    file, _, anchor = link.partition("#")
    target = path.parent / file if file else path
    if not target.exists():
        return f"{path.name}: there is no {link}"
    if anchor and target.suffix == ".md":
        prose = target.read_text()
    if anchor and anchor not in _anchors(prose):
        return f"{path.name}: there is no heading for {link}"
    return None


def _anchors(prose):
    headings = re.findall(r"(?m)^#+ (.+)$", prose)
    return {
        re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings
    }


def pages():
    """Returns all notebooks and all Markdown files whose links are checked."""
    folders = ("", "docs", "notebooks", "notebooks/teaching")
    folders += ("notebooks/teaching/handin",)
    folders += ("notebooks/teaching/answers", "data", "benchmarks", "examples")
    folders += ("sr_keras/pretrained",)
    found = [path for folder in folders for path in (ROOT / folder).glob("*.md")]
    notebooks = [path(n) for n in names() for path in (notebook_path, student_path)]
    return sorted(found) + [path for path in notebooks if path.exists()]


def faults():
    """Says all that is wrong, but for what only an execution shows."""
    found = []
    for name in names():
        found += staleness(name) + faults_of_outputs(name)
        found += misplaced_headings(name)
    found += [
        f"{name}: the core takes {study_minutes(name)['core']} minutes to read, more "
        f"than {CORE_LIMIT}; split the lesson, or mark sections as optional"
        for name in names()
        if study_minutes(name)["core"] > CORE_LIMIT
    ]
    everything = [*FOLDER.glob("*.ipynb"), *FOLDER.glob("student/*.ipynb")]
    extra = {path.stem for path in everything} - set(names())
    found += [f"{name}: this notebook has no source" for name in sorted(extra)]
    if f"\n{table()}\n" not in (FOLDER / "README.md").read_text():
        found.append("README.md: the table of lessons is not up to date")
    for page in pages():
        found += dead_links(page)
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="lessons to execute")
    parser.add_argument("--text", action="store_true", help="execute nothing")
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    wanted = [pathlib.Path(name).stem for name in arguments.names]
    unknown = set(wanted) - set(names())
    if unknown:
        parser.error(
            f"no such lesson: {', '.join(sorted(unknown))}; see {FOLDER}/source"
        )

    if not arguments.check:
        try:
            for name in [] if arguments.text else wanted or names():
                build(name)
        except nbclient.exceptions.CellExecutionError as error:
            text = re.sub(r"\x1b\[[\d;]*m", "", str(error))  # colours of terminals
            sys.exit(f"{name} was not written, because a cell failed:\n{text}")
        write_text_everywhere()
    found = faults()
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
