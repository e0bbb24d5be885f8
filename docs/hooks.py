"""Collects the pages of the site, each at its path in the repository.

So the relative links between them work on GitHub and on the site alike. Lessons become
pages too: their Markdown, code and outputs, from the executed notebooks. When the site
is built, all its links are followed, and nothing may be fetched from elsewhere.
"""

import base64
import html.parser
import logging
import pathlib
import re
import sys
import tomllib
import urllib.parse

import nbformat
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, InclusionLevel

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "notebooks"))
from formulas import draw, mark  # noqa: E402

log = logging.getLogger("mkdocs.hooks")
PATTERNS = (
    "*.md",
    "CITATION.cff",
    "assets/*",
    "benchmarks/*.md",
    "data/README.md",
    "docs/*.css",
    "docs/*.md",
    "docs/reference/*.md",
    "examples/*.py",
    "notebooks/*.md",
    "notebooks/*.py",
    "notebooks/*.ipynb",
    "notebooks/figures/*",
    "notebooks/source/*.py",
    "notebooks/student/*.ipynb",
    "notebooks/teaching/*.md",
    "notebooks/teaching/handin/*",
    "sr_keras/pretrained/README.md",
)
_LESSON = re.compile(r"\]\(((?:\.\./|notebooks/)*)(\d\d_\w+)\.ipynb(#[^)]*)?\)")
_ROW = re.compile(r"(?m)^(\| \[[^]]*)\]\(student/(\d\d_\w+)\.ipynb\)")
_ANSWERS = re.compile(r"\]\((?:\.\./|teaching/)?answers/([^)]*)\)")
_blocks = {}  # HTML of outputs, by the token that stands for it in Markdown


def on_config(config):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    config.repo_url = project["urls"]["Repository"]
    config.repo_name = config.repo_url.removeprefix("https://github.com/")
    config.site_description = project["description"]
    return config


@event_priority(100)  # before the plugins, so that they see these files too
def on_files(files, config):
    included = InclusionLevel.INCLUDED
    for file in files:  # `exclude_docs` would leave out the theme's files, too
        if file.src_dir != config.docs_dir:
            file.inclusion = included
    for pattern in PATTERNS:
        for path in sorted(ROOT.glob(pattern)):
            if not path.is_file():
                continue
            name = path.relative_to(ROOT).as_posix()
            target = config.site_dir, config.use_directory_urls
            files.append(File(name, str(ROOT), *target, inclusion=included))
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        text, pictures = to_markdown(nbformat.read(path, 4), path.stem)
        pages = {f"notebooks/{path.stem}.md": text, **pictures}
        for name, content in pages.items():
            file = File.generated(config, name, content=content, inclusion=included)
            files.append(file)
    return files


def to_markdown(notebook, name):
    """Returns the page of an executed lesson, and its pictures by their path."""
    parts, pictures = [], {}
    for i, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            part, title = cell.source, "Remark"
        else:
            part, title = f"```python\n{cell.source}\n```", cell.source.splitlines()[0]
            for k, output in enumerate(cell.outputs):
                path = f"notebooks/{name}_files/{i}_{k}"
                text, picture = _output(output, path)
                part += f"\n\n{text}"
                pictures |= picture
        if "solution" in tags or i == 1:
            title = "Set-up" if i == 1 else title.removeprefix("# @title ")
            lines = [f"    {line}" if line else "" for line in part.splitlines()]
            part = "\n".join([f'??? note "{title}"', "", *lines])
        parts.append(part)
    return "\n\n".join(parts) + "\n", pictures


def _output(output, path):
    """Returns Markdown for an output, and its picture, if it has one."""
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```", {}
    data = output.get("data", {})
    if "text/html" in data:
        token = f"xblock{len(_blocks)}x"
        _blocks[token] = _with_current_script(data["text/html"])
        return token, {}
    for kind, suffix in (("image/png", "png"), ("image/jpeg", "jpg")):
        if kind in data:
            folder, _, file = path.rpartition("/")
            link = f"{folder.rpartition('/')[2]}/{file}.{suffix}"
            return f"![Output]({link})", {
                f"{path}.{suffix}": base64.b64decode(data[kind])
            }
    text = data.get("text/plain", "")
    return (f"```text\n{text}\n```" if text else ""), {}


def _with_current_script(html):
    """Replaces the script of a slider, which is as old as the lesson's execution."""
    if not html.startswith('<div class="slider-'):
        return html
    script = (ROOT / "sr_keras" / "plotting" / "slider.js").read_text()
    return f"{html.partition('<script>')[0]}<script>\n{script}</script>"


def on_page_markdown(markdown, page, config, files):
    markdown = _LESSON.sub(r"](\1\2.md\3)", markdown)
    if page.file.src_uri == "notebooks/README.md":  # the table leads to the pages
        markdown = _ROW.sub(r"\1](\2.md)", markdown)
    # answers to questions and exercises are in the repository only
    base = f"{config.repo_url}/blob/main/notebooks/teaching/answers"
    return mark(_ANSWERS.sub(rf"]({base}/\1)", markdown))


def on_page_content(html, page, config, files):
    for token in re.findall(r"xblock\d+x", html):
        html = html.replace(f"<p>{token}</p>", _blocks[token])
    return draw(html)


def on_post_page(output, page, config):
    # at this mark, the theme's script asks GitHub for the stars of the repository
    return output.replace(' data-md-component="source"', "")


def on_post_template(output_content, template_name, config):
    return on_post_page(output_content, None, config)  # of 404.html


class _Links(html.parser.HTMLParser):
    """Collects what a page links to, what it loads, and its anchors."""

    def __init__(self):
        super().__init__()
        self.links, self.loaded, self.anchors = set(), set(), set()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes.get("id"), attributes.get("name")}
        if tag == "a" and attributes.get("href"):
            self.links.add(attributes["href"])
        elif tag == "link" and attributes.get("rel") not in ("canonical", "edit"):
            self.loaded.add(attributes.get("href", ""))
        elif tag in ("img", "script", "iframe") and attributes.get("src"):
            self.loaded.add(attributes["src"])


def on_post_build(config):
    """Follows all links inside of the site; `--strict` makes a dead one an error."""
    site = pathlib.Path(config.site_dir)
    found = {}
    for path in site.rglob("*.html"):
        found[path] = _Links()
        found[path].feed(path.read_text())
    for path, page in found.items():
        if path.name == "404.html":
            continue
        for link in page.links | page.loaded:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    log.warning(f"{path.relative_to(site)} loads {link}")
                continue
            target = path.parent / urllib.parse.unquote(parts.path)
            target = path if not parts.path else target.resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                log.warning(f"{path.relative_to(site)}: {link} leads nowhere")
            elif parts.fragment and target in found:
                if urllib.parse.unquote(parts.fragment) not in found[target].anchors:
                    log.warning(f"{path.relative_to(site)}: no anchor for {link}")
