"""How Sphinx makes one site of the Markdown of this repository: `make docs`, into site/.

Its sources lie where people read them, so the source folder is the repository's root.
"""

import inspect
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

import diffenc

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "results/demo/index.html"
# what a reader looks for, and where it is written
NAVIGATION = {
    "Use": {
        "Start": "self",
        "Using it: targets, data, checkpoints": "docs/usage",
        "On a SLURM cluster": "docs/cluster",
        "What comes out, and what it costs": "docs/results",
        "The files of a study": "results/README",
        "A release: weights, tables, RO-Crate": "docs/release",
        "The demo's page": "docs/site/demo",
    },
    "Trust": {
        "A study on two cores": "docs/fashion8",
        "How it is verified": "docs/verification",
        "How the tests are made": "docs/testing",
        "The authors' code, recorded": "tests/parity/README",
    },
    "Go further": {
        "Lossless compression": "docs/compression",
        "Multivariate diffusions": "docs/mdm",
        "Your own encoder, model or table": "docs/extending",
    },
    "Look up": {
        "The mathematics": "docs/MATH",
        "Where each equation is": "docs/equations",
        "Every key of a study": "config/README",
        "Speed": "benchmarks/README",
        "How long demo and tests take": "benchmarks/quick",
        "Python": "docs/site/api/index",
        "Changes": "CHANGELOG",
    },
}

project, version, release = "diffenc", diffenc.__version__, diffenc.__version__
root_doc = "README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "docs/**",
    "benchmarks/quick.md",
    *(f"{folder}/README.md" for folder in ("config", "benchmarks", "results", "tests/parity")),
]
exclude_patterns = [".*", "site", "data", "results/*/**"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

# as the repository's own pages show them: CommonMark with tables, and what is indented is no program
myst_disable_syntax = ["myst_role", "myst_target", "myst_block_break", "myst_line_comment"]
myst_heading_anchors = 3
highlight_language = "none"
smartquotes = False  # of gamma' and --options

html_theme = "furo"
html_title = "diffenc"
html_static_path = ["static"]
html_css_files = ["site.css", ("paper.css", {"media": "print"})]
html_copy_source = False
html_show_copyright = False
html_show_search_summary = False  # it is fetched, which a page that is opened as a file may not do

autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
napoleon_use_ivar = True
maximum_signature_line_length = 100


def with_navigation(app: Sphinx, name: str, source: list[str]) -> None:
    """The start page, with what the navigation says, which the repository's own page need not have."""
    if name == "README":
        for caption, pages in NAVIGATION.items():
            entries = "\n".join(f"{title} <{page}>" for title, page in pages.items())
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"


def as_text(docstring: str) -> list[str]:
    """Lines in which backticks are code, what is indented a formula, and nothing markup of reStructuredText."""
    return "\n\n".join(map(_as_text, docstring.split("\n\n"))).split("\n")


def _as_text(paragraph: str) -> str:
    if paragraph.startswith("    "):
        return f"::\n\n{paragraph}"
    parts = re.split(r"(`[^`]+`)", paragraph)
    return "".join(f"``{p[1:-1]}``" if i % 2 else re.sub(r"([\\*|_])", r"\\\1", p) for i, p in enumerate(parts))


def docstring(app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]) -> None:
    """Before napoleon reads "Raises:"; several names before one colon would be a name and its type."""
    several = re.compile(r"^ +\w+(, \w+)+(?=: )")
    joined = [several.sub(lambda names: names[0].replace(", ", ",\u200b"), line) for line in lines]
    lines[:] = as_text("\n".join(joined))


def property_docstring(app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]) -> None:
    """After napoleon, which takes what is before a property's first colon for its type."""
    if what == "property":
        lines[:] = as_text(inspect.cleandoc(found.__doc__))


def signature(app: Sphinx, what: str, name: str, found: object, options: object, *shown: str) -> tuple | None:
    """With what pydantic checks of a number, but not how it keeps that; None leaves it as it is."""
    kept = r"FieldInfo\(annotation=NoneType, required=True, metadata=\[([^]]*)\]\)"
    return (re.sub(kept, r"\1", shown[0]), shown[1]) if shown[0] else None


def plain(app: Sphinx, page: nodes.document) -> None:
    """Take away a key's type as pydantic keeps it: the signature of its class has it in short."""
    for shown in list(page.findall(addnodes.desc_annotation)):
        if "FieldInfo(" in shown.astext():
            shown.parent.remove(shown)


def says_nothing(app: Sphinx, what: str, name: str, found: object, skip: bool, options: object) -> bool | None:
    """Whether it is a field of a NamedTuple, whose signature has it; None leaves it to autodoc."""
    return True if (found.__doc__ or "").startswith("Alias for field number") else None


def beside(app: Sphinx, error: Exception | None) -> None:
    """The demo's page, if there is one, and what a browser opens first."""
    if error is None:
        out = Path(app.outdir)
        (out / "index.html").write_text('<!doctype html><meta http-equiv="refresh" content="0; url=README.html">\n')
        if DEMO.exists():
            (out / "demo").mkdir(exist_ok=True)
            shutil.copy(DEMO, out / "demo/index.html")


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the above."""
    if DEMO.exists():
        app.tags.add("demo")
    app.connect("source-read", with_navigation)
    app.connect("autodoc-process-docstring", docstring, priority=100)
    app.connect("autodoc-process-docstring", property_docstring, priority=900)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", says_nothing)
    app.connect("doctree-read", plain)
    app.connect("build-finished", beside)
