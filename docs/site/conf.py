"""Settings of the documentation's site: Sphinx over the Markdown pages of the repository.

``make docs`` builds it: sphinx-build -W -c docs/site . build/site. The source folder is the root,
so that links between docs/, README.md and CONTRIBUTING.md are the same here and on GitHub.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

import kaniwa

ROOT = Path(__file__).resolve().parents[2]

project = "kaniwa"
author = "The kaniwa authors"
project_copyright = author
version = release = kaniwa.__version__
root_doc = "docs/index"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
include_patterns = ["docs/**.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
                    "models/README.md"]
exclude_patterns = [".venv", ".dev", ".git", "build", "**/.*"]

nitpicky = True
# Types of other packages, and of modules that the reference does not show.
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|np|pathlib|os|collections|concurrent|typing|fractions|argparse)\..*"),
    ("py:.*", r"kaniwa\.(graph|driver|program|isa|units|config|golden)\..*"),
    ("py:.*", r"(Path|PathLike|Any|Self|Iterable|Iterator|Callable|Mapping|Sequence|Future|Graph"
              r"|Fraction|Target|Arrays|Outputs|optional|ndarray)"),
]

myst_heading_anchors = 4
highlight_language = "none"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = "kaniwa"
html_logo = "../pictures/logo.svg"
html_favicon = "../pictures/logo.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
templates_path = ["templates"]
html_additional_pages = {"index": "start.html"}
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False   # a page opened as a file may not read other files
html_last_updated_fmt = None


def link_to_pages_of_folders(app: Sphinx, page: str, text: list[str]) -> None:
    """Let a link to a folder lead to its README.md, as on GitHub; else its text stays."""
    here = (ROOT / page).parent

    def target(found: re.Match[str]) -> str:
        folder = here / found[2]
        if not folder.is_dir():
            return found[0]
        start = f"{found[2].rstrip('/')}/README.md"
        return f"[{found[1]}]({start})" if (here / start).exists() else found[1]

    text[0] = re.sub(r"\[([^\]]*)\]\(([\w./-]+)\)", target, text[0])


def list_pages(app: Sphinx, page: str, text: list[str]) -> None:
    """Put a folder's pages below its README.md, and pages that the index does not name last."""
    folder = (ROOT / page).parent
    if page == root_doc:
        names = sorted(path.stem for path in folder.glob("*.md"))
        rest = [name for name in names if f"\n{name}\n" not in text[0] and name != "index"]
        if rest:
            text[0] += _toctree("More", rest)
    elif page.startswith("docs/") and page.endswith("/README"):
        names = sorted(path.stem for path in folder.glob("*.md") if path.stem != "README")
        text[0] += _toctree("", names)


def list_addresses(app: Sphinx, error: Exception | None) -> None:
    """Write links.txt: each address outside of the site, and the page that links to it."""
    found = {f"{address} {page}" for page in app.env.found_docs
             for address in re.findall(r"\]\((https?://[^)\s]+)\)",
                                       Path(app.env.doc2path(page)).read_text())}
    (Path(app.outdir) / "links.txt").write_text("\n".join(sorted(found)) + "\n")


def _toctree(caption: str, names: list[str]) -> str:
    lines = ["", "```{toctree}", ":hidden:", f":caption: {caption}" if caption else ":maxdepth: 1",
             "", *names, "```", ""]
    return "\n".join(lines)


def setup(app: Sphinx) -> None:
    """Register the hooks that let plain Markdown be a site."""
    app.connect("source-read", link_to_pages_of_folders)
    app.connect("source-read", list_pages)
    app.connect("build-finished", list_addresses)
