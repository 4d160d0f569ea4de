"""A study's figures for the page: by kind, named by what they answer, with the smaller of their two files inlined."""

import html
import re
import struct
from pathlib import Path
from typing import NamedTuple

from diffenc.io.errors import UserError
from diffenc.reporting.html.tables import data_uri, read_bytes
from diffenc.study.outputs import FIGURES_BY_NAME, GroupFigure, RunFigure
from diffenc.study.study import Study

_DESCRIPTION = re.compile("<dc:description>(.*?)</dc:description>", re.DOTALL)
_MIME = {"svg": "image/svg+xml", "png": "image/png"}
_SIGNATURE = {"svg": b"<svg", "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"}


class Picture(NamedTuple):
    """One figure: what it is of and shows, its file's name for saving, the image as a data URI, width over height."""

    of: str
    seen: str
    file: str
    uri: str
    aspect: float


class Kind(NamedTuple):
    """All figures of one kind, with the caption they share."""

    name: str
    title: str
    caption: str
    pictures: list[Picture]


def read_figures(study: Study, figures: list[Path], folder: Path) -> list[Kind]:
    """The figures at these stems below `folder`, by kind, in the order given.

    Raises:
        UserError: a figure lies elsewhere, is of an unknown kind, is missing or is damaged.
    """
    kinds: dict[str, list[Picture]] = {}
    for stem in figures:
        name, *of = below(stem, folder)
        kinds.setdefault(name, []).append(_picture(stem, "-".join([name, *of]), _of(study, of)))
    return [Kind(name, _known(name).title, _known(name).caption, found) for name, found in kinds.items()]


def below(stem: Path, folder: Path) -> tuple[str, ...]:
    """The parts of a stem's path below a folder; raises UserError if it lies elsewhere."""
    try:
        return stem.relative_to(folder).parts
    except ValueError:
        raise UserError(f"{stem}: lies outside {folder}; the page shows what lies there, name such a file")


def _known(name: str) -> RunFigure | GroupFigure:
    if name not in FIGURES_BY_NAME:
        raise UserError(f"figures/{name}: is no kind of figure; known: {', '.join(FIGURES_BY_NAME)}")
    return FIGURES_BY_NAME[name]


def _of(study: Study, parts: list[str]) -> str:
    """What a figure is of, from where it lies: nothing, DATASET, DATASET/SCHEDULE or DATASET/MODEL/SCHEDULE/seedN."""
    if not parts:
        return study.title
    dataset, *rest = parts
    title = study.spec(dataset).title if dataset in study.datasets else dataset
    if len(rest) == 3:
        model, schedule, seed = rest
        return f"{model} on {title}, {schedule} schedule, {seed.replace('seed', 'seed ')}"
    if len(rest) == 1:
        return f"{title}, {rest[0]} schedule"
    return ", ".join([title, *rest])


def _picture(stem: Path, name: str, of: str) -> Picture:
    """The svg, unless the png is smaller: an svg of many photographs is larger than its pixels."""
    contents = {}
    for kind, signature in _SIGNATURE.items():
        path = stem.with_name(f"{stem.name}.{kind}")
        contents[kind] = read_bytes(path)
        if signature not in contents[kind][:2000]:
            raise UserError(f"{path}: is damaged, not a picture; make it again with `snakemake --force {path}`")
    kind = min(contents, key=lambda kind: len(contents[kind]))
    width, height = struct.unpack(">II", contents["png"][16:24])  # the header's first two numbers
    seen = _DESCRIPTION.search(contents["svg"].decode(errors="replace"))
    said = html.unescape(seen[1]) if seen else ""
    return Picture(of, said, f"{name}.{kind}", data_uri(_MIME[kind], contents[kind]), round(width / height, 4))
