"""A made-up study on two data sets with all that its page shows."""

import hashlib
import json
import math

import made_up
import pandas as pd

from diffenc.io.files import write_csv
from diffenc.reporting.figures.curves import curves
from diffenc.reporting.figures.heatmaps import heatmap
from diffenc.reporting.html.page import make_page
from diffenc.reporting.tables import formatting
from diffenc.reporting.tables.comparisons import comparisons
from diffenc.reporting.tables.loss_columns import table
from diffenc.reporting.tables.seeds import seeds
from diffenc.results.runs import collect
from diffenc.results.tests import add_holm, compare
from diffenc.study.load import load_study
from diffenc.study.stages import ENCODINGS, HISTORY, MODEL, RUNS, TESTS
from diffenc.study.study import run_folder

SOURCE = """\
# Made up: <b>not bold</b> & "quoted"
name: small
title: Two data sets & <three> models
runs:
  - {dataset: digits, models: [VDMv-2, DiffEnc-2-1, DiffEnc-2-nt], seeds: [1, 2, 3], training: {steps: 100}}
  - {dataset: digits, models: [VDMv-2, DiffEnc-2-1], schedule: learned, seeds: [1, 2], training: {steps: 100}}
  - {dataset: mnist, models: [VDMv-2, DiffEnc-2-1], seeds: [1, 2, 3], training: {steps: 100}}
comparisons:
  - {dataset: digits, lower: DiffEnc-2-1, than: VDMv-2}
  - {dataset: digits, lower: DiffEnc-2-nt, than: VDMv-2}
  - {dataset: mnist, lower: DiffEnc-2-1, than: VDMv-2}
evaluation: {images: 300}
"""
CHECKED = "All was checked, and fits."


class Made:
    """The arguments of `make_page`, and where the results lie."""

    def __init__(self, place, source=SOURCE):
        self.place, self.source = place, source
        place.mkdir(parents=True, exist_ok=True)
        (place / "small.yaml").write_text(source)
        self.study = load_study(place / "small.yaml")
        self.folder, self.data = place / "results" / "small", place / "results" / "data"
        self.out = self.folder / "index.html"
        self.tables, self.figures = [], []

    def page(self):
        """Make the page, and give its text."""
        make_page(self.study, self.source, self.folder, self.data, self.tables, self.figures, self.out, CHECKED)
        return self.out.read_text()

    def results(self):
        """Evaluations, costs, weights, manifests, runs.csv and tests.csv."""
        made_up.write_results(self.study, self.folder)
        for run in self.study.all_runs:
            (run_folder(self.folder, run) / MODEL).write_bytes(run.path.encode())
        for name in self.study.datasets:
            write_manifest(self.data / name, self.study.spec(name), name)
        self.runs = collect(self.study, self.folder)
        write_csv(self.runs, self.folder / RUNS)
        if self.study.comparisons:
            self.tests = add_holm(compare(self.study, self.runs))
            write_csv(self.tests, self.folder / TESTS)
        return self

    def shown(self):
        """The tables and figures."""
        self.table("literature", awkward(), f"{self.study.title}. A table of the whole study.")
        for dataset in self.study.datasets:
            part = self.study.only(dataset)
            runs = self.runs[self.runs["dataset"] == dataset]
            self.table(f"{dataset}/seeds", table(seeds(part, runs)), "Every seed.")
            tested = comparisons(part, runs, compare(part, runs))
            self.table(f"{dataset}/comparisons", table(tested), "Every test.")
        for seed in (1, 2):
            of = self.folder / "runs" / f"digits/DiffEnc-2-1/fixed/seed{seed}"
            file = made_up.write_encodings(of / ENCODINGS, *made_up.digits())
            heatmap(file, self.figure(f"heatmaps/digits/DiffEnc-2-1/fixed/seed{seed}"), "Heat maps")
        for (dataset, schedule), models in self.study.groups().items():
            files = {
                model: [run_folder(self.folder, run) / HISTORY for run in runs] for model, runs in models.items()
            }
            curves(files, self.figure(f"curves/{dataset}/{schedule}"), "Curves", self.study.model_names)
        return self

    def table(self, name, shown, caption):
        """Write a table, to be shown."""
        self.tables.append(self.folder / "tables" / name)
        formatting.write(shown, self.tables[-1], caption)

    def figure(self, name):
        """The stem of a figure that is to be shown."""
        self.figures.append(self.folder / "figures" / name)
        return self.figures[-1]


def awkward():
    """A table of all that a cell may be: bounds, signs, thousands, text in place of a number, names with numbers."""
    frame = pd.DataFrame(
        {
            "data set": ["Digits"] * 4 + ["MNIST"] * 2,
            "model": ["VDM-32", "VDM-8", "A <b>", "VDM-8-2", "VDM-32", "a|b & c"],
            "bpd": [2.64, 2.6, math.nan, 12.5, -0.5, 2.6],
            "p": [0.0001, 0.03, 0.9999, math.nan, 0.001, 0.5],
            "parameters": [1_281_167, 99_999, 20, 3_000, 3_000_000, 7],
        }
    )
    columns = [
        formatting.Column("data set", lambda row: row["data set"], "left"),
        formatting.Column("model", lambda row: row["model"], "left"),
        formatting.Column("bpd", lambda row: number_or(row["bpd"], "not published")),
        formatting.Column("p", lambda row: "exact" if math.isnan(row["p"]) else formatting.p_value(row["p"])),
        formatting.Column("parameters", lambda row: f"{row['parameters']:,}"),
    ]
    notes = ["A note with <script>alert(1)</script> & a sign.", "A second note."]
    return formatting.Table(frame, columns, notes, group=1, bold=frozenset({(1, "bpd")}))


def number_or(value, missing):
    """A number ± something, or why there is none."""
    return missing if math.isnan(value) else f"{formatting.number(value)} ± 0.001"


def write_manifest(folder, spec, name):
    """A manifest.json with made-up checksums."""
    folder.mkdir(parents=True)
    splits = {
        split: {"count": getattr(spec, split), "sha256": hashlib.sha256(f"{name}{split}".encode()).hexdigest()}
        for split in ("train", "test")
    }
    content = {"dataset": name, "release": spec.release, "shape": list(spec.shape), "levels": spec.levels}
    content |= splits | {"originals": {"original.gz": hashlib.sha256(name.encode()).hexdigest()}}
    (folder / "manifest.json").write_text(json.dumps(content))
