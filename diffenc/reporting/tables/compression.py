"""Table `compression`: real bits, beside the bound that they code and beside other compressors."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import GROUP, left_out, model_columns, models_of, over_seeds, releases_of
from diffenc.reporting.tables.formatting import Cell, Column, Row, Table, mean_se, number
from diffenc.reporting.tables.notes import said
from diffenc.results.compression import Compressions, Other, Rate, read_alike
from diffenc.results.finite_depth import BEST, EQUAL
from diffenc.results.runs import check_runs
from diffenc.study.stages import COMPRESSION
from diffenc.study.study import Run, Study, run_folder

_RATIOS = {EQUAL: "sigma_Q", BEST: "best"}


def compression(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """A row per model, order, T and sigma_P, and one per other compressor: bits per dimension, means over seeds.

    Columns net, gross, path and bound with _se over seeds; over_path, 100 (net / path - 1) %; encode_s and decode_s.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's compression.json is missing, damaged or of other
            settings.
    """
    check_runs(study, runs)
    rows = [row for group in models_of(study, COMPRESSION) for row in _rows(*group, folder)]
    frame = pd.DataFrame(rows).astype({"T": "Int64"})
    columns = [
        *model_columns(study),
        Column("order", lambda row: row["order"], "left"),
        Column("T", lambda row: "n/a" if pd.isna(row["T"]) else f"{row['T']:,}"),
        Column("sigma_P", lambda row: row["sigma_P"], "left"),
        Column("net", _rate("net")),
        Column("bound", _rate("bound")),
        Column("of its path", _rate("path")),
        Column(
            "over its path", lambda row: "n/a" if pd.isna(row["over_path"]) else f"{number(row['over_path'], 2)} %"
        ),
        Column("gross", _rate("gross")),
        Column("encode, decode", _seconds),
    ]
    facts = frame.dropna(subset=["net"]).groupby("dataset").first()
    images = {
        dataset: f"{int(row['images']):,} test images in batches of {int(row['together'])}"
        for dataset, row in facts.iterrows()
    }
    notes = said("compression", "net", "path", "others", bits=int(facts["bits"].iloc[0]))
    return Table(frame, columns, notes + left_out(study, COMPRESSION) + releases_of(study, runs, images), GROUP)


def _rows(dataset: str, schedule: str, models: dict[str, list[Run]], folder: Path) -> Iterator[Row]:
    others: dict[str, Other] = {}
    for model, seeds in models.items():
        found = read_alike(run_folder(folder, run) / COMPRESSION for run in seeds)
        key = {"dataset": dataset, "schedule": schedule, "model": model}
        for same in zip(*(one.rates for one in found), strict=True):
            yield key | _of(found[0], same)
        others = found[0].others
    for name, one in others.items():
        key = {"dataset": dataset, "schedule": schedule, "model": name, "order": "n/a", "sigma_P": "n/a"}
        yield key | {"T": pd.NA, "gross": one.rate, "encode_s": one.encode_s}


def _of(record: Compressions, same: tuple[Rate, ...]) -> Row:
    first = same[0]
    row = {"order": first.order.replace("_", " "), "T": first.T, "sigma_P": _RATIOS[first.ratio], "n": len(same)}
    row |= {"images": record.images, "together": record.together, "bits": record.bits}
    for name in ("net", "gross", "path"):
        row |= over_seeds(name, [getattr(one, name) for one in same])
    row |= over_seeds("bound", [one.bound.mean for one in same])
    row["over_path"] = 100 * (row["net"] / row["path"] - 1)
    return row | {name: sum(getattr(one, name) for one in same) / len(same) for name in ("encode_s", "decode_s")}


def _rate(name: str) -> Cell:
    def cell(row: Row) -> str:
        if pd.isna(row[name]):
            return "n/a"
        return number(row[name]) if pd.isna(row[f"{name}_se"]) else mean_se(row, name)

    return cell


def _seconds(row: Row) -> str:
    if pd.isna(row["decode_s"]):
        return f"{number(row['encode_s'], 1)} s, n/a"
    return f"{number(row['encode_s'], 1)} s, {number(row['decode_s'], 1)} s"
