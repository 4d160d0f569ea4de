"""A table for the page, from its json and csv: its cells, what they sort by, its notes."""

import base64
import math
import re
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pydantic import ValidationError

from diffenc.io.errors import UserError, make
from diffenc.io.schema import explain
from diffenc.reporting.tables.formatting import MINUS, Shown

# "< 0.001", "2.620 ± 0.004", "1,281,167", "-0.0213 [-0.03, -0.01]", "3.1e-5", "∞"; 8-2 or 3D are names
_NUMBER = re.compile(r"(?P<bound>[<>] ?)?(?P<value>[-+]?(?:∞|\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?))(?![\w-])")
_PARTS = re.compile(r"(\d+)")


class Cell(NamedTuple):
    """One cell for the page: whether the row above says the same, and its place when its column is sorted.

    Equal values share a `rank`; None, for what is missing or is no number among numbers, always comes last.
    """

    text: str
    bold: bool
    again: bool
    rank: int | None


class Head(NamedTuple):
    """A column's header, and how it is aligned."""

    text: str
    align: str


class Table(NamedTuple):
    """A table for the page; `csv` is its file as a data URI, byte for byte.

    The column `stays`, by its place, is the one that names a row: it stays while the others scroll.
    """

    name: str
    file: str
    anchor: str
    caption: str
    heads: list[Head]
    rows: list[list[Cell]]
    notes: list[str]
    csv: str
    stays: int

    def without(self, header: str) -> "Table":
        """The table without the first column, if that is its header and all its cells are the same."""
        if self.heads[0].text != header or len(self.heads) == 1 or len({row[0].text for row in self.rows}) > 1:
            return self
        return self._replace(heads=self.heads[1:], rows=[row[1:] for row in self.rows], stays=max(self.stays - 1, 0))


def read_table(stem: Path, file: str) -> Table:
    """The table that `formatting.write` wrote at `stem`; its csv is offered under the name `file`.

    Raises:
        UserError: stem.json or stem.csv is missing, damaged, or they are not of one table.
    """
    csv = stem.with_name(f"{stem.name}.csv")
    content = read_bytes(csv)
    shown = read_shown(stem)
    try:
        lines = len(pd.read_csv(BytesIO(content)))
    except ValueError as error:  # the parser's own errors derive from it
        raise UserError(f"{csv}: is not a table ({' '.join(str(error).split())}); {make(csv)}")
    if lines != len(shown.rows):
        raise UserError(f"{csv}: has {lines} rows, {stem.name}.json has {len(shown.rows)}; {make(csv)}")
    anchor = re.sub(r"\W+", "-", file.removesuffix(".csv"))
    heads = [Head(*head) for head in zip(shown.headers, shown.aligns, strict=True)]
    return Table(
        stem.name, file, anchor, shown.caption, heads, _cells(shown), shown.notes, csv_uri(content), shown.group
    )


def read_shown(stem: Path) -> Shown:
    """A table as it is read, from stem.json. Raises UserError if that is missing or damaged."""
    source = stem.with_name(f"{stem.name}.json")
    try:
        return Shown.model_validate_json(read_bytes(source))
    except ValidationError as error:
        raise UserError(f"{source}: is damaged, {explain(error)}; {make(source)}")


def _cells(shown: Shown) -> list[list[Cell]]:
    places = [ranks(list(column)) for column in zip(*shown.rows, strict=True)]
    return [
        [Cell(text, (i, shown.headers[j]) in shown.bold, j < said, places[j][i]) for j, text in enumerate(row)]
        for i, (row, said) in enumerate(zip(shown.rows, shown.said_above(), strict=True))
    ]


def read_bytes(path: Path) -> bytes:
    """A result's bytes; raises UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {make(path)}")


def csv_uri(content: bytes) -> str:
    """A csv as a data URI: a browser saves exactly these bytes."""
    return data_uri("text/csv;charset=utf-8", content)


def data_uri(kind: str, content: bytes) -> str:
    """Content of a MIME type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def ranks(texts: list[str]) -> list[int | None]:
    """Each cell's place in its column's order, equal values sharing one.

    Numbers go by the first value that is shown, `< p` just before p. Where a column has any number, text in it
    (n/a, exact, not published) has no place. A column of text goes by its words and the numbers in them, so that
    DiffEnc-8-2 comes before DiffEnc-32-4.
    """
    keys: list[tuple | None] = [_number(text) for text in texts]
    if not any(keys):
        keys = [_natural(text) for text in texts]
    order = {key: i for i, key in enumerate(sorted({key for key in keys if key is not None}))}
    return [None if key is None else order[key] for key in keys]


def _number(text: str) -> tuple[float, int] | None:
    if not (match := _NUMBER.match(text.strip().lstrip("[").replace(MINUS, "-"))):
        return None
    plain = match["value"].replace(",", "")
    side = {"<": -1, ">": 1}.get((match["bound"] or "")[:1], 0)
    return (float(plain.replace("∞", "inf")), side)


def _natural(text: str) -> tuple | None:
    parts = _PARTS.split(text.strip().casefold())
    return (
        tuple((int(part), "") if part.isdecimal() else (math.inf, part) for part in parts) if text.strip() else None
    )
