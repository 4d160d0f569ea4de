"""A table for reading: its frame's columns as cells, then as Markdown, HTML and LaTeX with booktabs."""

import html
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from diffenc.catalog import DATASETS
from diffenc.files import write_file
from diffenc.results import PROVENANCE, TERMS, write_csv

Row = dict[str, Any]
Cell = Callable[[Row], str]
VERSUS = "p_less_than_"
MINUS = "\N{MINUS SIGN}"
_GROUP = 2  # the first two columns, data set and schedule, part a table into groups
_OVER_SEEDS = ("mean", "SE")


def write(frame: pd.DataFrame, stem: Path, caption: str) -> None:
    """Write stem.csv (all digits), stem.md (GitHub's Markdown), stem.html and stem.tex (needs booktabs and graphicx).

    Those for reading show `mean ± standard error` to three decimals, the lowest mean total of each data set and
    schedule in bold, and notes on what the numbers are. Within LaTeX the label is tab:NAME, NAME that of the stem.
    """
    stem = Path(stem)
    headers, rows = _cells(frame)
    best = _best(frame)
    notes = _notes(frame)
    markdown = _markdown(headers, rows, best, [caption, *notes])
    latex = _latex(headers, rows, best, notes, caption, stem.name)
    page = _html(headers, rows, best, [caption, *notes])
    write_csv(frame, stem.with_name(f"{stem.name}.csv"))
    write_file(stem.with_name(f"{stem.name}.html"), page)
    write_file(stem.with_name(f"{stem.name}.md"), markdown)
    write_file(stem.with_name(f"{stem.name}.tex"), latex)


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


def _plain(column: str, decimals: int = 3) -> Cell:
    return lambda row: number(row[column], decimals)


def _mean_se(term: str) -> Cell:
    return lambda row: f"{number(row[term])} ± {number(row[f'{term}_se'])}"


def _difference(row: Row) -> str:
    # four decimals: models are evaluated under the same noise, so a difference is finer than its parts
    middle, low, high = (number(row[column], 4) for column in ("difference", "ci95_low", "ci95_high"))
    return f"{middle} [{low}, {high}]"


def _test(column: str) -> Cell:
    return lambda row: "exact" if _exact(row) else p_value(row[column])


def _exact(row: Row) -> bool:
    """Neither model's term varies over its seeds: the difference is known, and a p-value would be for show."""
    return row["ci95_low"] == row["ci95_high"]


def _versus(row: Row) -> str:
    found = {name.removeprefix(VERSUS): p for name, p in row.items() if name.startswith(VERSUS)}
    return "; ".join(f"{p_value(p)} ({than})" for than, p in found.items() if not pd.isna(p))


def _title(dataset: str) -> str:
    return DATASETS[dataset].title if dataset in DATASETS else dataset


# What a reader sees, in order: header, the columns it takes from the frame, a row's text, how it is aligned.
_VIEWS: list[tuple[str, tuple[str, ...], Cell, str]] = [
    ("data set", ("dataset",), lambda row: _title(row["dataset"]), "left"),
    ("schedule", ("schedule",), lambda row: row["schedule"], "left"),
    ("model", ("model",), lambda row: row["model"], "left"),
    ("claim", ("lower", "than"), lambda row: f"{row['lower']} < {row['than']}", "left"),
    ("seed", ("seed",), lambda row: row["seed"], "left"),
    ("term", ("term",), lambda row: row["term"], "left"),
    ("parameters", ("parameters",), lambda row: f"{row['parameters']:,}", "right"),
    ("steps", ("steps",), lambda row: f"{row['steps']:,}", "right"),
    ("n", ("n",), lambda row: "" if pd.isna(row["n"]) else str(row["n"]), "right"),
    ("n", ("n_lower", "n_than"), lambda row: f"{row['n_lower']}, {row['n_than']}", "right"),
    *((term, (term, f"{term}_se"), _mean_se(term), "right") for term in TERMS),
    *((term, (term,), _plain(term), "right") for term in TERMS),
    (
        "MC SE of total",
        ("total_mc_se",),
        lambda row: "" if row["seed"] in _OVER_SEEDS else number(row["total_mc_se"]),
        "right",
    ),
    ("difference [95 % CI]", ("difference", "ci95_low", "ci95_high"), _difference, "right"),
    ("p, one-sided", ("p_less",), _test("p_less"), "right"),
    ("p, two-sided", ("p_two_sided",), _test("p_two_sided"), "right"),
    ("Hedges' g", ("hedges_g",), _plain("hedges_g", 2), "right"),
    ("γ₀", ("gamma_0",), lambda row: "" if row["schedule"] == "fixed" else number(row["gamma_0"], 2), "right"),
    ("γ₁", ("gamma_1",), lambda row: "" if row["schedule"] == "fixed" else number(row["gamma_1"], 2), "right"),
]


def _cells(frame: pd.DataFrame) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """(header, alignment) of each column with something in it, and the rows' texts."""
    views, taken = [], set()
    for header, needs, cell, align in _VIEWS:
        present = all(name in frame and name not in taken for name in needs)
        if present and (header in TERMS or not frame[list(needs)].isna().all().any()):
            views.append((header, cell, align))
            taken |= set(needs)
    if any(name.startswith(VERSUS) for name in frame):
        views.append(("p (lower than)", _versus, "left"))
    rows = [[cell(row) for _, cell, _ in views] for row in frame.to_dict("records")]
    return [(header, align) for header, _, align in views], rows


def _best(frame: pd.DataFrame) -> set[int]:
    """The rows whose mean total is the lowest of their data set and schedule, to the decimals shown."""
    if "total" not in frame:
        return set()
    means = frame[frame["seed"] == "mean"] if "seed" in frame else frame
    shown = means["total"].round(3)
    groups = shown.groupby([means["dataset"], means["schedule"]])
    best = (shown == groups.transform("min")) & (groups.transform("size") > 1)
    return {frame.index.get_loc(i) for i in best.index[best]}


def _notes(frame: pd.DataFrame) -> list[str]:
    """What the numbers are, and for each data set where they come from."""
    notes = []
    if "difference" in frame:
        notes.append(
            "Welch's test across n seeds of each model. Difference: the first model's mean minus the second's, in"
            " bits per dimension, with its 95 % confidence interval; one-sided p: that the first is lower."
        )
        if (frame["ci95_low"] == frame["ci95_high"]).any():
            notes.append("exact: the term varies over the seeds of neither model, the difference needs no test.")
    elif "seed" in frame:
        notes.append(
            "Bits per dimension; SE: standard error over the n seeds; MC SE: Monte Carlo standard error of one run's"
            " evaluation; bold: the lowest mean total."
        )
    else:
        notes.append("Bits per dimension, mean ± standard error over n seeds; bold: the lowest mean total.")
    if any(name.startswith(VERSUS) for name in frame):
        notes.append("p: one-sided Welch test across seeds, total lower than that of the model in brackets.")
    for dataset, group in frame.groupby("dataset", sort=False):
        release, images, passes, protocol = (
            " or ".join(f"{value:,}" if column == "images" else str(value) for value in group[column].unique())
            for column in PROVENANCE
        )
        notes.append(f"{_title(dataset)}: {release}; {images} test images, {passes} passes, protocol {protocol}.")
    return notes


def _markdown(headers: list[tuple[str, str]], rows: list[list[str]], best: set[int], notes: list[str]) -> str:
    shown = _marked(headers, rows, best, "**{}**")
    table = tabulate(
        [[cell.replace("|", r"\|") for cell in row] for row in _once(shown)],
        [header for header, _ in headers],
        tablefmt="pipe",
        colalign=[align for _, align in headers],
        disable_numparse=True,
    )
    caption, *rest = notes
    return "\n\n".join([caption, table, *rest]) + "\n"


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


def _html(headers: list[tuple[str, str]], rows: list[list[str]], best: set[int], notes: list[str]) -> str:
    aligns = [align for _, align in headers]
    escaped = [[html.escape(cell) for cell in row] for row in rows]
    body = [_html_row("td", aligns, row) for row in _once(_marked(headers, escaped, best, "<b>{}</b>"))]
    head = _html_row("th", aligns, [html.escape(header) for header, _ in headers])
    title, *rest = (html.escape(note) for note in notes)
    return _PAGE.format(
        title=title, rows="\n".join([head, *body]), notes="\n".join(f"<p>{note}</p>" for note in rest)
    )


def _html_row(tag: str, aligns: list[str], cells: list[str]) -> str:
    return "<tr>" + "".join(f'<{tag} class="{a}">{c}</{tag}>' for a, c in zip(aligns, cells, strict=True)) + "</tr>"


def _latex(
    headers: list[tuple[str, str]], rows: list[list[str]], best: set[int], notes: list[str], caption: str, name: str
) -> str:
    escaped = [[_stack(escape(cell)) for cell in row] for row in rows]
    inner = headers[_GROUP:]
    lines, group = [], None
    for row, full in zip(_once(_marked(headers, escaped, best, r"\textbf{{{}}}")), escaped, strict=True):
        if full[:_GROUP] != group:
            group = full[:_GROUP]
            lines += [
                r"\midrule",
                rf"\multicolumn{{{len(inner)}}}{{l}}{{{group[0]}, {group[1]} schedule}} \\",
                r"\addlinespace[2pt]",
            ]
        elif row[_GROUP] and len({full[_GROUP] for full in escaped}) < len(escaped):
            lines.append(r"\addlinespace")
        lines.append(" & ".join(row[_GROUP:]) + r" \\")
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
            rf"\begin{{tabular}}{{@{{}}{''.join(align[0] for _, align in inner)}@{{}}}}",
            r"\toprule",
            " & ".join(escape(header) for header, _ in inner) + r" \\",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            "",
            r"\smallskip",
            rf"\parbox{{\linewidth}}{{\raggedright {' '.join(escape(note) for note in notes)}}}",
            r"\end{table}",
            "",
        ]
    )


def _stack(cell: str) -> str:
    """Several entries of one cell below each other: the page is narrower than Markdown's."""
    entries = cell.split("; ")
    if len(entries) == 1:
        return cell
    stacked = r" \\ ".join(entries)
    return rf"\begin{{tabular}}[t]{{@{{}}l@{{}}}}{stacked}\end{{tabular}}"


def _marked(headers: list[tuple[str, str]], rows: list[list[str]], best: set[int], mark: str) -> list[list[str]]:
    """The rows with the best totals marked."""
    at = [i for i, (header, _) in enumerate(headers) if header == "total"]
    return [[mark.format(c) if i in best and j in at else c for j, c in enumerate(row)] for i, row in enumerate(rows)]


def _once(rows: list[list[str]]) -> list[list[str]]:
    """The rows without the names (data set, schedule, model or claim) that the row above already says."""
    shown = [list(row) for row in rows]
    for before, row, cells in zip(rows, rows[1:], shown[1:], strict=False):
        for j in range(_GROUP + 1):
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
