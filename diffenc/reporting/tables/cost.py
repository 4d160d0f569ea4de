"""What training costs: parameters, FLOPs, speed, memory and hours of each model, and the encoder's share."""

import math
from pathlib import Path

import pandas as pd

from diffenc.reporting.tables.common import GROUP, model_columns
from diffenc.reporting.tables.formatting import MINUS, Cell, Column, Row, Table, mean_se, number
from diffenc.reporting.tables.notes import said
from diffenc.results.records import Use, read_cost
from diffenc.results.runs import check_runs
from diffenc.statistics.welch import summarise
from diffenc.study.stages import COST
from diffenc.study.study import Run, Study, run_folder
from diffenc.zoo.flops import flops

NOT_HERE, NOT_RECORDED, NO_LIMIT = "not trained here", "not recorded", "no limit"
NO_PLAIN, PLAIN = "no plain model beside it", "is a plain model"
_OVERHEADS = {"parameters": "parameters", "training_gflop": "FLOPs", "seconds_per_image": "time an image"}
_USES = {"memory_gib": "host GiB", "hours": "hours of a job", "cpus": "CPUs"}


def cost(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Table:
    """A row per data set, schedule and model, from its seeds' cost.json and `diffenc.zoo.flops`.

    Speed is steps x batch over the hours of all devices, restarts included: images a second and device. The columns
    NAME_overhead are a model's NAME over that of the plain model, with the same denoiser and no encoder, minus 1.
    Where jobs of SLURM's trained, NAME_used and NAME_given are those of the seed that used the most.

    Raises:
        UserError: `runs` is not exactly the study's, or a run's cost.json is missing or damaged.
    """
    check_runs(study, runs)
    totals = runs[runs["term"] == "total"].set_index(["dataset", "model", "schedule", "seed"])
    rows = []
    for dataset in study.datasets:
        for models in study.groups(dataset).values():
            group = {model: _row(study, seeds, totals.loc[seeds]) for model, seeds in models.items()}
            rows += [row | _overhead(study, row, models, group) for row in group.values()]
    used = _used(study, folder)
    if used:
        rows = [row | used.get((row["dataset"], row["model"], row["schedule"]), {}) for row in rows]
    frame = pd.DataFrame(rows)
    columns = [
        *model_columns(study),
        Column("n", lambda row: str(row["n"])),
        Column("parameters", lambda row: f"{row['parameters']:,}"),
        Column("forward GFLOP", _forward),
        Column("training GFLOP", lambda row: _rounded(row["training_gflop"])),
        Column("images/s", _trained("images_per_s")),
        Column("peak GiB", lambda row: NOT_HERE if _elsewhere(row) else _rounded(row["peak_gib"])),
        Column("device-hours", _trained("device_hours")),
        Column("in all", lambda row: NOT_HERE if _elsewhere(row) else _rounded(row["all_hours"])),
        Column("device", lambda row: row["device"], "left"),
        *(Column(header, _of_what_was_given(name)) for name, header in _USES.items() if used),
        Column("encoder's overhead", _overheads, "left"),
    ]
    return Table(frame, columns, _notes(frame), GROUP)


def _row(study: Study, seeds: list[Run], totals: pd.DataFrame) -> Row:
    """A model's own numbers; those of its training are missing if it was trained elsewhere."""
    first = seeds[0]
    pass_ = flops(study.shape(first), study.spec(first.dataset))
    row = {
        **{"dataset": first.dataset, "schedule": first.schedule, "model": first.model, "n": len(seeds)},
        "parameters": int(totals["parameters"].iloc[0]),
        "denoiser_gflop": pass_.denoiser / 1e9,
        "encoder_gflop": pass_.encoder / 1e9,
        "training_gflop": pass_.training / 1e9,
    }
    training = study.training.get(first)
    if training is None:
        names = ("images_per_s", "images_per_s_se", "device_hours", "device_hours_se", "all_hours", "peak_gib")
        return row | dict.fromkeys((*names, "seconds_per_image"), math.nan) | {"device": NOT_HERE}
    hours = totals["device_hours"].astype(float)
    images = training.steps * training.batch
    speed, taken = summarise(images / (3600 * hours.where(hours > 0))), summarise(hours)
    return row | {
        **{"images_per_s": speed.mean, "images_per_s_se": speed.se},
        **{"device_hours": taken.mean, "device_hours_se": taken.se, "all_hours": hours.sum()},
        "peak_gib": totals["peak_gib"].astype(float).max(),
        "seconds_per_image": 3600 * taken.mean / images,
        "device": " and ".join(totals["device"].unique()),
    }


def _used(study: Study, folder: Path) -> dict[tuple[str, str, str], Row]:
    """{(data set, model, schedule): what its training jobs used of what SLURM gave them}, where any did."""
    uses: dict[tuple[str, str, str], list[Use]] = {}
    for run in study.training:
        if use := read_cost(run_folder(folder, run) / COST).use:
            uses.setdefault((run.dataset, run.model, run.schedule), []).append(use)
    return {key: _most(of_model) for key, of_model in uses.items()}


def _most(uses: list[Use]) -> Row:
    """The most that a seed used of each thing, and what that one was given."""
    row = {}
    for name in _USES:
        most = max(uses, key=lambda use: getattr(use, name) or 0.0)
        row |= {f"{name}_used": getattr(most, name), f"{name}_given": getattr(most, f"{name}_given")}
    return row


def _overhead(study: Study, row: Row, models: dict[str, list[Run]], group: dict[str, Row]) -> Row:
    """By how much the row exceeds the plain model's, and that model's name; times of unlike devices are not compared.

    Of several plain models the first one that was trained here.
    """
    shapes = {model: study.shape(seeds[0]) for model, seeds in models.items()}
    mine = shapes[row["model"]]
    if mine.encoder == "identity":
        return {f"{name}_overhead": math.nan for name in _OVERHEADS} | {"over": PLAIN}
    plain = [
        group[model]
        for model, shape in shapes.items()
        if shape.encoder == "identity"
        and (shape.prediction, shape.layers, shape.width) == (mine.prediction, mine.layers, mine.width)
    ]
    if not plain:
        return {f"{name}_overhead": math.nan for name in _OVERHEADS} | {"over": NO_PLAIN}
    base = min(plain, key=_elsewhere)
    # a training of less than a clock's tick has no seconds
    found = {f"{name}_overhead": row[name] / base[name] - 1 if base[name] else math.nan for name in _OVERHEADS}
    if row["device"] != base["device"] or " and " in row["device"]:
        found["seconds_per_image_overhead"] = math.nan
    return found | {"over": base["model"]}


def _elsewhere(row: Row) -> bool:
    return row["device"] == NOT_HERE


def _rounded(value: float, digits: int = 3) -> str:
    """So many significant digits, and all those before the point."""
    if pd.isna(value) or value == 0:
        return "n/a" if pd.isna(value) else "0"
    return f"{value:,.{_decimals(value, digits)}f}"


def _decimals(value: float, digits: int = 3) -> int:
    return 0 if pd.isna(value) or value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))


def _forward(row: Row) -> str:
    return f"{_rounded(row['denoiser_gflop'])} + {_rounded(row['encoder_gflop'])}"


def _trained(name: str) -> Cell:
    """Mean ± standard error over seeds."""
    return lambda row: NOT_HERE if _elsewhere(row) else mean_se(row, name, _decimals(row[name]))


def _of_what_was_given(name: str) -> Cell:
    """Such as 3.21 of 15.6."""

    def cell(row: Row) -> str:
        used, given = row[f"{name}_used"], row[f"{name}_given"]
        if pd.isna(used) and pd.isna(given):
            return NOT_HERE if _elsewhere(row) else NOT_RECORDED
        return f"{_rounded(used)} of {NO_LIMIT if pd.isna(given) else _rounded(given)}"

    return cell


def _overheads(row: Row) -> str:
    """Such as +21 % parameters; +17 % FLOPs; +30 % time an image (over VDMv-8)."""
    if row["over"] in (PLAIN, NO_PLAIN):
        return row["over"]
    texts = []
    for name, what in _OVERHEADS.items():
        value = row[f"{name}_overhead"]
        missing = f"{what}: {NOT_HERE}" if _elsewhere(row) else f"{what}: not on one device, or too short"
        texts.append(missing if pd.isna(value) else f"{_percent(value)} {what}")
    return "; ".join(texts) + f" (over {row['over']})"


def _percent(share: float) -> str:
    text = number(100 * share, 1)
    return f"{text if text.startswith(MINUS) else f'+{text}'} %"


def _notes(frame: pd.DataFrame) -> list[str]:
    return said(
        "cost",
        *("gflop", "hours", "overhead"),
        "cpu" in " ".join(frame["device"]) and "cpu",
        frame["device"].str.contains(" and ").any() and "mixture",
        (frame["device"] == NOT_HERE).any() and "elsewhere",
        "memory_gib_used" in frame and "slurm",
        not_here=NOT_HERE,
    )
