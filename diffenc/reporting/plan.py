"""What a study will cost, before anything is submitted: runs, parameters, training FLOPs, and hours of a device.

Hours are a run's images (steps x batch) over the images a second that a device trains on: from the FLOP/s that it
sustains, or as an earlier study measured them.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tabulate import tabulate

from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.reporting.targets import files_shown
from diffenc.results.records import read_evaluation
from diffenc.results.runs import read_runs
from diffenc.study.settings import GRID
from diffenc.study.stages import EVALUATION, FID, MEASUREMENTS, SAMPLES, Measurement
from diffenc.study.study import Run, Study, run_folder
from diffenc.zoo.configs import MODELS, model_config
from diffenc.zoo.flops import Flops, flops, parameters

if TYPE_CHECKING:
    from pandas import DataFrame

UNKNOWN = "give --tflops or --measured"


class Speed(NamedTuple):
    """Images a second of one device while training (nan if unknown), and where that is from."""

    images_per_s: float
    basis: str


class Sustained:
    """A device that sustains so many TFLOP/s (10^12 floating-point operations a second) on every model."""

    def __init__(self, tflops: float) -> None:
        self.tflops, self.device = tflops, "GPU"
        self.note = (
            f"Hours rest on {tflops:g} TFLOP/s sustained, for every model; small ones reach less of what a device"
            " can. --measured with the runs.csv of a short study is more certain."
        )

    def of(self, dataset: str, model: str, cost: Flops) -> Speed:
        """Of a model that needs `cost` an image."""
        return Speed(1e12 * self.tflops / cost.training, "given")


class Measured:
    """The device of an earlier study: the one on which it spent most hours.

    A model that it trained on the same data set is as fast as it was; another one sustains the FLOP/s of the model
    nearest to it in FLOPs an image.
    """

    def __init__(self, path: Path) -> None:
        hours = _trained(path)
        self.device = hours.groupby("device")["device_hours"].sum().idxmax()
        here = hours[hours["device"] == self.device].groupby(["dataset", "model"])[["images", "device_hours"]].sum()
        self.speeds = (here["images"] / (3600 * here["device_hours"])).to_dict()
        self.known = {
            key: flops(model_config(key[1], DATASETS[key[0]]), DATASETS[key[0]]).training
            for key in self.speeds
            if key[0] in DATASETS and key[1] in MODELS
        }
        self.note = (
            f"Hours rest on {path}, with {self.device}, restarts included. A model that was not trained there is"
            " taken to sustain the FLOP/s of the one nearest in FLOPs an image, which is named."
        )

    def of(self, dataset: str, model: str, cost: Flops) -> Speed:
        """Of a model that needs `cost` an image."""
        if (dataset, model) in self.speeds:
            return Speed(self.speeds[dataset, model], "measured")
        if not self.known:
            return Speed(math.nan, "not measured")
        nearest = min(self.known, key=lambda key: abs(math.log(self.known[key] / cost.training)))
        sustained = self.speeds[nearest] * self.known[nearest]
        return Speed(sustained / cost.training, f"{'/'.join(nearest)}, {sustained / 1e12:.3g} TFLOP/s")


def _trained(path: Path) -> "DataFrame":
    """The runs of a runs.csv that were trained there: data set, model, device, device_hours and images.

    Raises:
        UserError: there is none, or the runs' evaluations, which know the batch, do not lie beside the file.
    """
    totals = read_runs(path).query("term == 'total' and device_hours > 0")
    if totals.empty:
        raise UserError(f"{path}: has no run that was trained there; name another study's, or give --tflops")
    batches = []
    for identity in totals[["dataset", "model", "schedule", "seed"]].itertuples(index=False, name=None):
        file = run_folder(Path(path).parent, Run(*identity)) / EVALUATION
        if not file.is_file():
            raise UserError(
                f"{path}: the batch size is in {file}, which is missing; name results/STUDY/runs.csv itself"
            )
        batches.append(read_evaluation(file).training["batch"])
    return totals.assign(images=totals["steps"] * batches)


def frame(study: Study, speed: Sustained | Measured | None) -> "DataFrame":
    """A row per data set, model and schedule that is trained: what a run takes, and all its seeds together.

    Columns: dataset, model, schedule, runs, parameters, steps, batch, flop_per_run, images_per_s, basis,
    hours_per_run and hours (of one device; nan if unknown).
    """
    import pandas as pd

    return pd.DataFrame(list(_rows(study, speed)))


def _rows(study: Study, speed: Sustained | Measured | None) -> Iterator[dict[str, object]]:
    for (dataset, schedule), models in study.groups().items():
        for model, runs in models.items():
            if runs[0] not in study.training:
                continue
            training, shape, spec = study.training[runs[0]], study.shape(runs[0]), study.spec(dataset)
            cost = flops(shape, spec)
            images = training.steps * training.batch
            rate = speed.of(dataset, model, cost) if speed else Speed(math.nan, UNKNOWN)
            hours = images / rate.images_per_s / 3600
            yield {
                **{"dataset": dataset, "model": model, "schedule": schedule, "runs": len(runs)},
                **{
                    "parameters": parameters(shape, spec, schedule),
                    "steps": training.steps,
                    "batch": training.batch,
                },
                "flop_per_run": float(cost.training * images),
                **{"images_per_s": rate.images_per_s, "basis": rate.basis},
                **{"hours_per_run": hours, "hours": len(runs) * hours},
            }


def plan(study: Study, tflops: float | None = None, measured: Path | None = None) -> str:
    """The plan for people: a line per data set, model and schedule, totals, and on what the hours rest.

    Args:
        study: what to train.
        tflops: TFLOP/s that a device sustains.
        measured: the runs.csv of an earlier study, its runs' folders beside it; without either, hours are not known.

    Raises:
        UserError: `measured` is missing, damaged, or has no run that was trained.
    """
    speed = Sustained(tflops) if tflops else Measured(measured) if measured else None
    found = frame(study, speed)
    notes = [*_beside(study), speed.note if speed else f"Hours: {UNKNOWN} (the runs.csv of an earlier study)."]
    if found.empty:
        return "\n".join([f"{study.title}: nothing is trained here.", *notes[:-1]])
    return "\n".join([f"{study.title}: what training costs", "", _table(study, found, speed), "", *notes])


def _table(study: Study, found: "DataFrame", speed: Sustained | Measured | None) -> str:
    what = "device-hours" if speed is None or speed.device == "cpu" else "GPU-hours"
    rows = [
        {
            "data set": study.spec(row["dataset"]).title,
            **{name: row[name] for name in ("model", "schedule", "runs")},
            **{name: f"{row[name]:,}" for name in ("parameters", "steps")},
            "FLOP a run": f"{row['flop_per_run']:.2e}",
            **{f"{what} a run": _hours(row["hours_per_run"]), "in all": _hours(row["hours"])},
            "images/s from": row["basis"],
        }
        for row in found.to_dict("records")
    ]
    whole = found["hours"].sum(skipna=False)
    flop = (found["flop_per_run"] * found["runs"]).sum()
    total = {
        "data set": "total",
        "runs": found["runs"].sum(),
        "FLOP a run": f"all: {flop:.2e}",
        "in all": _hours(whole),
    }
    aligned = ["left"] * 3 + ["right"] * 6 + ["left"]
    return tabulate([*rows, total], headers="keys", disable_numparse=True, colalign=aligned)


def _hours(value: float) -> str:
    if math.isnan(value):
        return "not known"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _beside(study: Study) -> list[str]:
    """What is not in the hours: runs that are not trained, and what is measured and drawn of all runs."""
    notes = []
    if study.weights:
        notes.append(f"With weights that were trained elsewhere, so without cost: {len(study.weights)} more.")
    said = "; ".join(f"{flop:.2e} FLOP {what}" for what, flop in beside(study).items() if flop)
    notes.append(f"Beside training: {said}. Not counted: encodings of a few images, and Inception for FID.")
    return notes


def beside(study: Study) -> dict[str, int]:
    """{what for: FLOP of all runs beside training}, of those runs that the study's tables and figures ask it of."""
    shown, found = files_shown(study), dict.fromkeys(_BESIDE, 0)
    for run in study.all_runs:
        cost = flops(study.shape(run), study.spec(run.dataset))
        for what, (file, of_run) in _BESIDE.items():
            if file == EVALUATION or run_folder(Path(), run) / file in shown:
                found[what] += of_run(study, run, cost)
    return found


def _evaluating(study: Study, run: Run, cost: Flops) -> int:
    settings = study.evaluation_of(run.dataset)
    return settings.passes * _images(study, run, settings.images) * cost.bound


def _sampling(study: Study, run: Run, cost: Flops) -> int:
    fitting = (study.samples.fit or 0) * GRID * (cost.denoiser + cost.encoder)
    return study.samples.count * study.samples.steps * cost.denoiser + fitting


def _sampling_for_fid(study: Study, run: Run, cost: Flops) -> int:
    return max(study.fid.counts) * study.fid.steps * cost.denoiser


def _images(study: Study, run: Run, asked: int | None) -> int:
    """How many test images are looked at; None: all."""
    test = study.spec(run.dataset).test
    return min(asked or test, test)


def _of_measurement(one: Measurement) -> Callable[[Study, Run, Flops], int]:
    def of_run(study: Study, run: Run, cost: Flops) -> int:
        settings = getattr(study, one.key)
        return one.flop(settings, _images(study, run, settings.images), cost)

    return of_run


# what for: the run's file that it makes, and its FLOP
_BESIDE = {
    "to evaluate": (EVALUATION, _evaluating),
    "to draw samples": (SAMPLES, _sampling),
    "to draw samples for FID": (FID, _sampling_for_fid),
    **{one.what_for: (one.file, _of_measurement(one)) for one in MEASUREMENTS.values() if one.flop},
}
