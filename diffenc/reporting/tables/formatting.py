"""A table for reading: a frame's rows as cells, then as Markdown, HTML and LaTeX with booktabs."""

import html
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
from pydantic import Field, model_validator
from tabulate import tabulate

from diffenc.io.files import write_csv, write_file
from diffenc.io.schema import Strict

Row = dict[str, Any]
Cell = Callable[[Row], str]
MINUS = "\N{MINUS SIGN}"


class Column(NamedTuple):
    """A column for reading: its header, a row's text, how it is aligned."""

    header: str
    cell: Cell
    align: Literal["left", "right"] = "right"


class Table(NamedTuple):
    """A table: `frame` has all digits and goes into the csv, `columns` say what of it is read, `notes` what it means.

    The first `group` columns part the table into groups. `bold` has (row, header) of the cells to be marked.
    """

    frame: pd.DataFrame
    columns: list[Column]
    notes: list[str]
    group: int = 0
    bold: frozenset[tuple[int, str]] = frozenset()


class Shown(Strict):
    """A table as it is read: what each file of it has but the csv. As stem.json it is the page's source."""

    caption: str
    headers: list[str] = Field(min_length=1)
    aligns: list[Literal["left", "right"]]
    rows: list[list[str]]
    bold: list[tuple[int, str]]
    group: int
    notes: list[str]

    @model_validator(mode="after")
    def _even(self) -> "Shown":
        if any(len(row) != len(self.headers) for row in [self.aligns, *self.rows]):
            raise ValueError("is no table of even rows")
        return self

    def marked(self, mark: str, escape: Callable[[str], str]) -> list[list[str]]:
        """The rows, escaped, with the cells of `bold` in `mark`, and without the names that the row above says."""
        bold = {(i, self.headers.index(header)) for i, header in self.bold}
        return [
            [
                "" if j < said else mark.format(escape(cell)) if (i, j) in bold else escape(cell)
                for j, cell in enumerate(row)
            ]
            for i, (row, said) in enumerate(zip(self.rows, self.said_above(), strict=True))
        ]

    def said_above(self) -> list[int]:
        """How many of each row's first cells, its group's names and its own, the row above says already."""
        names = [row[: self.group + 1] for row in self.rows]
        same = [[a == b for a, b in zip(*both, strict=True)] for both in pairwise(names)]
        return [0, *(row.index(False) if False in row else len(row) for row in same)][: len(names)]


def write(table: Table, stem: Path, caption: str) -> None:
    """Write stem.csv (all digits) and, for reading, stem.json (`Shown`), .md (GitHub's Markdown), .html and .tex.

    LaTeX needs booktabs and graphicx; its label is tab:NAME, NAME that of the stem.
    """
    shown = Shown(
        caption=caption,
        headers=[column.header for column in table.columns],
        aligns=[column.align for column in table.columns],
        rows=[[column.cell(row) for column in table.columns] for row in table.frame.to_dict("records")],
        bold=sorted(table.bold),
        group=table.group,
        notes=table.notes,
    )
    texts = {
        "json": shown.model_dump_json(indent=1) + "\n",
        "html": _html(shown),
        "md": _markdown(shown),
        "tex": _latex(shown, stem.name),
    }
    write_csv(table.frame, stem.with_name(f"{stem.name}.csv"))
    for suffix, text in texts.items():
        write_file(stem.with_name(f"{stem.name}.{suffix}"), text)


def number(value: float, decimals: int = 3) -> str:
    """A number with so many decimals, never a negative zero; n/a if it is missing."""
    if pd.isna(value):
        return "n/a"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def p_value(p: float) -> str:
    """Three decimals, and no p-value of 0 or 1."""
    if p < 0.001:
        return "< 0.001"
    return "> 0.999" if p > 0.999 else f"{p:.3f}"


def mean_se(row: Row, name: str, decimals: int = 3) -> str:
    """Mean ± standard error, from the row's NAME and NAME_se."""
    return f"{number(row[name], decimals)} ± {number(row[f'{name}_se'], decimals)}"


def interval(row: Row, middle: str, low: str, high: str, decimals: int = 4) -> str:
    """Middle [low, high], from the row's columns of those names."""
    values = [number(row[column], decimals) for column in (middle, low, high)]
    return f"{values[0]} [{values[1]}, {values[2]}]"


def _tabulated(shown: Shown, form: str, mark: str, escape: Callable[[str], str]) -> str:
    headers, aligns = map(escape, shown.headers), shown.aligns
    return tabulate(shown.marked(mark, escape), headers, form, colalign=aligns, disable_numparse=True)


def _markdown(shown: Shown) -> str:
    table = _tabulated(shown, "pipe", "**{}**", lambda cell: cell.replace("|", r"\|"))
    return "\n\n".join([shown.caption, table, *shown.notes]) + "\n"


_PAGE = """<!doctype html>
<meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.5em; color: #222 }}
table {{ border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; white-space: nowrap }}
th {{ border-bottom: 1px solid; font-weight: 600 }}
th, td {{ padding: .3em .8em; text-align: left }}
.table {{ overflow-x: auto }} p {{ max-width: 60em }}
</style>
<p><b>{title}</b></p>
<div class="table">
{table}
</div>
{notes}
"""


# made smaller where the page is too narrow, and only there
_LATEX_TABLE = r"""\begin{table}
\centering
\caption{%(caption)s}
\label{tab:%(name)s}
\vspace{4pt}
\footnotesize
\setlength{\tabcolsep}{3pt}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%%
\begin{tabular}{@{}%(columns)s@{}}
\toprule
%(headers)s \\
%(rows)s
\bottomrule
\end{tabular}}

\smallskip
\parbox{\linewidth}{\raggedright %(notes)s}
\end{table}
"""


def _html(shown: Shown) -> str:
    table = _tabulated(shown, "unsafehtml", "<b>{}</b>", html.escape)
    notes = "\n".join(f"<p>{html.escape(note)}</p>" for note in shown.notes)
    return _PAGE.format(title=html.escape(shown.caption), table=table, notes=notes)


def _latex(shown: Shown, name: str) -> str:
    return _LATEX_TABLE % {
        "caption": escape(shown.caption),
        "name": name,
        "columns": "".join(align[0] for align in shown.aligns[shown.group :]),
        "headers": " & ".join(map(escape, shown.headers[shown.group :])),
        "rows": "\n".join(_latex_rows(shown)),
        "notes": " ".join(map(escape, shown.notes)),
    }


def _latex_rows(shown: Shown) -> Iterator[str]:
    """The table's body; where a group begins, its names over the whole width."""
    first, width = shown.group, len(shown.headers) - shown.group
    several = any(above > first for above in shown.said_above())
    rows = shown.marked(r"\textbf{{{}}}", lambda cell: _stack(escape(cell)))
    for i, (row, names) in enumerate(zip(rows, shown.rows, strict=True)):
        if i == 0 or names[:first] != shown.rows[i - 1][:first]:
            yield r"\midrule"
            if first:
                title = ", ".join(map(_group_name, shown.headers[:first], map(escape, names)))
                yield rf"\multicolumn{{{width}}}{{l}}{{{title}}} \\"
                yield r"\addlinespace[2pt]"
        elif row[first] and several:
            yield r"\addlinespace"
        yield " & ".join(row[first:]) + r" \\"


def _group_name(header: str, cell: str) -> str:
    return f"{cell} schedule" if header == "schedule" else cell


def _stack(cell: str) -> str:
    """Several entries of one cell below each other: the page is narrower than Markdown's."""
    entries = cell.split("; ")
    if len(entries) == 1:
        return cell
    stacked = r" \\ ".join(entries)
    return rf"\begin{{tabular}}[t]{{@{{}}l@{{}}}}{stacked}\end{{tabular}}"


_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {c: f"${c}$" for c in "<>"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"±": r"$\pm$", MINUS: "$-$", "∞": r"$\infty$"}


def escape(text: str) -> str:
    """Text for LaTeX: its special characters, and the signs that tables use."""
    text = text.translate(str.maketrans(_LATEX))
    return text.replace("γ₀", r"$\gamma_0$").replace("γ₁", r"$\gamma_1$")
