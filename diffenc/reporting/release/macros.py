r"""Every cell of a study's tables, and every number in it, as LaTeX: \diffenc{KEY}, the keys in docs/release.md."""

import re
from collections.abc import Iterator
from pathlib import Path

from diffenc.io.errors import UserError
from diffenc.reporting.html.tables import read_shown
from diffenc.reporting.tables.formatting import MINUS, Shown, escape
from diffenc.reporting.targets import tables_of, tables_of_all
from diffenc.study.study import Study

# the columns that tell rows of one model or claim apart: always in the key, also where there is one row
_ROWS = {
    "comparisons": ("term",),
    "seeds": ("seed",),
    "depth": ("T",),
    "encoder": ("t",),
    "paired": ("seeds",),
    "likelihood": ("dequantisation",),
    "compression": ("order", "T", "sigma_P"),
    "weightings": ("weighting",),
    "fid": ("samples",),
    "literature": ("type",),
    "since": ("model", "augmented"),
}
_DATASET = "data set"
_NUMBER = re.compile(rf"(?<![\w.{MINUS}-])[{MINUS}+-]?(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?(?:e-?\d+)?(?!\w|\.\d)")
_WORDS = {"γ₀": "gamma_0", "γ₁": "gamma_1", "∞": "inf", MINUS: "-", "'": "", "%": "percent", "<": "lt", "±": "pm"}
_HEAD = r"""% Every cell of the tables of {study}, and every number in them; `diffenc publish` wrote it.
% \input{{numbers}}, then \diffenc{{KEY}} is a cell as its table has it, \diffenc{{KEY/1}} its first number alone, in
% plain digits. KEY is TABLE/DATA SET/SCHEDULE/MODEL or CLAIM/[ROW/]COLUMN, each part's signs but letters, digits and
% . + - _ turned into -. All keys are in the lines below.
\newcommand{{\diffenc}}[1]{{\ifcsname diffenc:#1\endcsname\csname diffenc:#1\endcsname\else
  \PackageError{{diffenc}}{{No number #1}}{{numbers.tex has all keys.}}\fi}}
"""


def numbers(study: Study, folder: Path) -> str:
    """The LaTeX file of the study's tables, which are read in `folder`, results/STUDY.

    Raises:
        UserError: a table is missing or damaged, or two of its cells would have one key.
    """
    found: dict[str, str] = {}
    for stem in [*tables_of_all(study), *(stem for name in study.datasets for stem in tables_of(study, name))]:
        for key, text in _cells(study, stem.removeprefix("tables/"), read_shown(folder / stem)):
            if key in found:
                raise UserError(f"{folder / stem}.json: has two cells {key!r}; give its rows names that differ")
            found[key] = text
    lines = [rf"\expandafter\def\csname diffenc:{key}\endcsname{{{text}}}" for key, text in found.items()]
    return _HEAD.format(study=study.name) + "\n".join(lines) + "\n"


def _cells(study: Study, place: str, shown: Shown) -> Iterator[tuple[str, str]]:
    """(key, LaTeX) of a table's cells but those in the key, and of their numbers. `place` is [DATA SET/]TABLE."""
    *dataset, table = place.split("/")
    names = {*shown.headers[: shown.group + 1], *_ROWS.get(table, ())}
    titles = {study.spec(name).title: name for name in study.datasets}
    for row in shown.rows:
        cells = dict(zip(shown.headers, row, strict=True))
        said = [titles.get(cells[name], cells[name]) for name in cells if name in names and name != _DATASET]
        of = dataset or [titles.get(cells[_DATASET], cells[_DATASET])] if _DATASET in cells else dataset
        for header in [header for header in shown.headers if header not in names]:
            key = "/".join(map(_word, [table, *of, *said, header]))
            yield key, escape(cells[header])
            for i, number in enumerate(_NUMBER.findall(cells[header]), start=1):
                yield f"{key}/{i}", number.replace(",", "").replace(MINUS, "-").lstrip("+")


def _word(text: str) -> str:
    """A part of a key: letters, digits, and signs that LaTeX takes in a name."""
    for sign, word in _WORDS.items():
        text = text.replace(sign, word)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return re.sub(r"[^A-Za-z0-9.+_-]+", "-", text).strip("-")
