"""The page of a study: one HTML file with its tables, figures, tests, costs and provenance, to be read anywhere."""

import re
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from diffenc.io.errors import UserError, make
from diffenc.io.files import write_file
from diffenc.reporting.html import figures as pictures
from diffenc.reporting.html import provenance, seeds, summary
from diffenc.reporting.html import tables as page_tables
from diffenc.reporting.html.costs import costs
from diffenc.results.custody import sealed_page
from diffenc.results.runs import check_runs, read_runs
from diffenc.results.tests import read_tests
from diffenc.study.stages import RUNS, TERMS, TESTS
from diffenc.study.study import Comparison, Study

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["make_page"]

_ALL = "All data sets"


class Download(NamedTuple):
    """A csv of the whole study: its name, what it has, its content as a data URI."""

    file: str
    what: str
    csv: str


def make_page(
    study: Study,
    source: str,
    folder: Path,
    data: Path,
    tables: list[Path],
    figures: list[Path],
    out: Path,
    checked: str,
) -> None:
    """Write the study's page to `out`: one file that needs no other, and no network. Equal inputs give equal bytes.

    `source` is the study file's text, `folder` results/STUDY, `data` results/data. `tables` and `figures` are the
    stems of what is shown (without suffix, below `folder`/tables and `folder`/figures), and nothing else is.
    `checked` says whether it all fits together.

    Raises:
        UserError: a table, a figure, runs.csv, tests.csv or a data set's manifest are missing or damaged, or are not
            this study's.
    """
    folder, data = Path(folder), Path(data)
    runs = read_runs(folder / RUNS)
    check_runs(study, runs)
    tests = _tests(study, folder / TESTS)
    spent, hours = costs(study, runs)
    content = {
        "study": study,
        "summary": summary.summary(study, runs, tests),
        "groups": seeds.groups(study, runs, tests),
        "margin": study.margin,
        "claims": summary.claims(study, tests) if tests is not None else [],
        "tables": _tables(study, [Path(stem) for stem in tables], folder / "tables"),
        "kinds": pictures.read_figures(study, [Path(stem) for stem in figures], folder / "figures"),
        "costs": spent,
        "hours": hours,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "datasets": provenance.datasets(study, folder, data),
        "weights": provenance.weights(study, folder),
        "source": source,
        "checked": checked,
        "downloads": _downloads(folder, tests is not None),
    }
    write_file(Path(out), sealed_page(_render(content)))


def _render(content: dict[str, Any]) -> str:
    """The page; everything but the package's own style and script is escaped."""
    loader = PackageLoader("diffenc.reporting.html")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    names = [str(environment.filters["escape"](name)) for name in content["study"].model_names]
    environment.filters["unbroken"] = partial(_unbroken, names)
    templates = files("diffenc.reporting.html") / "templates"
    own = {
        name: (templates / file).read_text(encoding="utf-8")
        for name, file in (("style", "style.css"), ("script", "page.js"))
    }
    return environment.get_template("index.html.j2").render(content, **own)


def _unbroken(names: list[str], sentence: str) -> str:
    """A filter for escaped sentences: no line ends within a model's name, 5 % or p < 0.001."""
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    marked = re.sub(pattern, r'<span class="model">\g<0></span>', str(sentence))
    return re.sub(r"\bp (&[lg]t;|=) ", "p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", marked).replace(
        " %", "\N{NO-BREAK SPACE}%"
    )


def _tests(study: Study, path: Path) -> "DataFrame | None":
    """tests.csv if the study has comparisons; it must be of exactly those."""
    if not study.comparisons:
        return None
    tests = read_tests(path)
    if "p_holm" not in tests:
        raise UserError(f"{path}: has no column p_holm; {make(path)}")
    names = [*Comparison.model_fields, "term"]
    found = list(tests[names].itertuples(index=False, name=None))
    if found != [(*comparison.model_dump().values(), term) for comparison in study.comparisons for term in TERMS]:
        raise UserError(f"{path}: is not of the study's comparisons; {make(path)}")
    return tests


def _tables(study: Study, stems: list[Path], folder: Path) -> dict[str, list[page_tables.Table]]:
    """{title of the data set: its tables}: those of the whole study first, then in the study's order."""
    titles = {(): _ALL} | {(name,): study.spec(name).title for name in study.datasets}
    found: dict[str, list[page_tables.Table]] = {title: [] for title in titles.values()}
    for stem in stems:
        *place, name = pictures.below(stem, folder)
        if tuple(place) not in titles:
            raise UserError(f"{stem}: is of no data set of {study.name}; it has {', '.join(study.datasets)}")
        table = page_tables.read_table(stem, "-".join([*place, name]) + ".csv")
        table = table.without("data set") if place else table  # its heading says it
        caption = table.caption.removeprefix(f"{study.title}. ").rstrip(".")
        found[titles[tuple(place)]].append(table._replace(caption=caption))
    return {title: of for title, of in found.items() if of}


def _downloads(folder: Path, tested: bool) -> list[Download]:
    what = {RUNS: "every run and term of the loss, with what the run cost"}
    if tested:
        what[TESTS] = "every test of every comparison and term"
    return [
        Download(name, text, page_tables.csv_uri(page_tables.read_bytes(folder / name)))
        for name, text in what.items()
    ]
