"""A table for reading: a frame's rows as cells, then as Markdown, HTML and LaTeX with booktabs."""

import html
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
from tabulate import tabulate

from diffenc.io.files import write_csv, write_file

Row = dict[str, Any]
Cell = Callable[[Row], str]
MINUS = "\N{MINUS SIGN}"


class Column(NamedTuple):
    """A column for reading: its header, a row's text, how it is aligned."""

    header: str
    cell: Cell
    align: Literal["left", "right"] = "right"


class Sheet(NamedTuple):
    """A table: `frame` has all digits and goes into the csv, `columns` say what of it is read, `notes` what it means.

    The first `group` columns part the table into groups. `bold` has (row, header) of the cells to be marked.
    """

    frame: pd.DataFrame
    columns: list[Column]
    notes: list[str]
    group: int = 0
    bold: frozenset[tuple[int, str]] = frozenset()


def write(sheet: Sheet, stem: Path, caption: str) -> None:
    """Write stem.csv (all digits), stem.md (GitHub's Markdown), stem.html and stem.tex (needs booktabs and graphicx).

    Within LaTeX the label is tab:NAME, NAME that of the stem.
    """
    stem = Path(stem)
    rows = [[column.cell(row) for column in sheet.columns] for row in sheet.frame.to_dict("records")]
    texts = {
        "html": _html(sheet, rows, caption),
        "md": _markdown(sheet, rows, caption),
        "tex": _latex(sheet, rows, caption, stem.name),
    }
    write_csv(sheet.frame, stem.with_name(f"{stem.name}.csv"))
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


def _markdown(sheet: Sheet, rows: list[list[str]], caption: str) -> str:
    table = tabulate(
        [[cell.replace("|", r"\|") for cell in row] for row in _once(sheet, _marked(sheet, rows, "**{}**"))],
        [column.header for column in sheet.columns],
        tablefmt="pipe",
        colalign=[column.align for column in sheet.columns],
        disable_numparse=True,
    )
    return "\n\n".join([caption, table, *sheet.notes]) + "\n"


_PAGE = """<!doctype html>
<meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.5em; color: #222 }}
table {{ border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; white-space: nowrap }}
th {{ border-bottom: 1px solid; font-weight: 600 }}
th, td {{ padding: .3em .8em; text-align: right }} .left {{ text-align: left }}
.table {{ overflow-x: auto }} p {{ max-width: 60em }}
</style>
<p><b>{title}</b></p>
<div class="table"><table>
{rows}
</table></div>
{notes}
"""


def _html(sheet: Sheet, rows: list[list[str]], caption: str) -> str:
    aligns = [column.align for column in sheet.columns]
    escaped = [[html.escape(cell) for cell in row] for row in rows]
    body = [_html_row("td", aligns, row) for row in _once(sheet, _marked(sheet, escaped, "<b>{}</b>"))]
    head = _html_row("th", aligns, [html.escape(column.header) for column in sheet.columns])
    notes = "\n".join(f"<p>{html.escape(note)}</p>" for note in sheet.notes)
    return _PAGE.format(title=html.escape(caption), rows="\n".join([head, *body]), notes=notes)


def _html_row(tag: str, aligns: list[str], cells: list[str]) -> str:
    return "<tr>" + "".join(f'<{tag} class="{a}">{c}</{tag}>' for a, c in zip(aligns, cells, strict=True)) + "</tr>"


def _latex(sheet: Sheet, rows: list[list[str]], caption: str, name: str) -> str:
    inner = sheet.columns[sheet.group :]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{tab:{name}}}",
            r"\vspace{4pt}",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{3pt}",
            # made smaller where the page is too narrow, and only there
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{@{{}}{''.join(column.align[0] for column in inner)}@{{}}}}",
            r"\toprule",
            " & ".join(escape(column.header) for column in inner) + r" \\",
            *_latex_rows(sheet, rows),
            r"\bottomrule",
            r"\end{tabular}}",
            "",
            r"\smallskip",
            rf"\parbox{{\linewidth}}{{\raggedright {' '.join(escape(note) for note in sheet.notes)}}}",
            r"\end{table}",
            "",
        ]
    )


def _latex_rows(sheet: Sheet, rows: list[list[str]]) -> list[str]:
    """The table's body; where a group begins, its names over the whole width."""
    escaped = [[_stack(escape(cell)) for cell in row] for row in rows]
    first, width = sheet.group, len(sheet.columns) - sheet.group
    several = len({tuple(full[: first + 1]) for full in escaped}) < len(escaped)
    lines, group = [], None
    for row, full in zip(_once(sheet, _marked(sheet, escaped, r"\textbf{{{}}}")), escaped, strict=True):
        if full[:first] != group:
            group = full[:first]
            lines.append(r"\midrule")
            if group:
                title = ", ".join(_group_name(*part) for part in zip(sheet.columns, group, strict=False))
                lines += [rf"\multicolumn{{{width}}}{{l}}{{{title}}} \\", r"\addlinespace[2pt]"]
        elif row[first] and several:
            lines.append(r"\addlinespace")
        lines.append(" & ".join(row[first:]) + r" \\")
    return lines


def _group_name(column: Column, cell: str) -> str:
    return f"{cell} schedule" if column.header == "schedule" else cell


def _stack(cell: str) -> str:
    """Several entries of one cell below each other: the page is narrower than Markdown's."""
    entries = cell.split("; ")
    if len(entries) == 1:
        return cell
    stacked = r" \\ ".join(entries)
    return rf"\begin{{tabular}}[t]{{@{{}}l@{{}}}}{stacked}\end{{tabular}}"


def _marked(sheet: Sheet, rows: list[list[str]], mark: str) -> list[list[str]]:
    """The rows with the cells of `sheet.bold` marked."""
    headers = [column.header for column in sheet.columns]
    return [
        [mark.format(cell) if (i, header) in sheet.bold else cell for header, cell in zip(headers, row, strict=True)]
        for i, row in enumerate(rows)
    ]


def _once(sheet: Sheet, rows: list[list[str]]) -> list[list[str]]:
    """The rows without the names (data set, schedule, model or claim) that the row above already says."""
    shown = [list(row) for row in rows]
    for before, row, cells in zip(rows, rows[1:], shown[1:], strict=False):
        for j in range(sheet.group + 1):
            if row[: j + 1] != before[: j + 1]:
                break
            cells[j] = ""
    return shown


_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {c: f"${c}$" for c in "<>"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"±": r"$\pm$", MINUS: "$-$", "∞": r"$\infty$"}


def escape(text: str) -> str:
    """Text for LaTeX: its special characters, and the signs that tables use."""
    text = text.translate(str.maketrans(_LATEX))
    return text.replace("γ₀", r"$\gamma_0$").replace("γ₁", r"$\gamma_1$")
