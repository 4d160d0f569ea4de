import csv
from pathlib import Path

import made_up_paper
import pytest

from diffenc.io.errors import UserError
from diffenc.reporting.tables import formatting
from diffenc.reporting.tables.literature import literature
from diffenc.results.tests import compare
from diffenc.statistics.welch import summarise
from diffenc.study.published import load

PUBLISHED = load(Path(__file__).parents[2] / "config" / "published.yaml")
PAPER = ["VDMv-32", "DiffEnc-32-4", "DiffEnc-32-8"]


def made(*groups, bpd=lambda run: 2.6 + 0.01 * run.seed):
    study = made_up_paper.study(*groups)
    runs = made_up_paper.runs(study, bpd)
    return literature(study, runs, compare(study, runs), Path("nowhere"), PUBLISHED)


def read(sheet):
    """The rows as they are read: {header: cell} each."""
    return [{c.header: c.cell(row) for c in sheet.columns} for row in sheet.frame.to_dict("records")]


def test_table_1_in_its_order_and_ours_below():
    sheet = made(made_up_paper.LARGE, made_up_paper.WIDE, made_up_paper.SMALL)
    names = [one.model for one in PUBLISHED.literature]
    ours = ["VDMv-32", "DiffEnc-32-4", "VDMv-8", "DiffEnc-8-2", "DiffEnc-8-nt", "DiffEnc-32-8"]
    assert sheet.frame["model"].tolist() == names + PAPER + ours
    assert sheet.frame["source"].value_counts(sort=False).to_dict() == {
        "literature": 11,
        "DiffEnc paper": 3,
        "this study": 6,
    }
    # sorted by its values alone, the literature's part stays as it is
    of_others = sheet.frame[sheet.frame["source"] == "literature"]
    assert of_others.sort_values("cifar10", ascending=False, kind="stable").index.tolist() == of_others.index.tolist()
    for one, row in zip(PUBLISHED.literature, of_others.to_dict("records"), strict=True):
        assert row["cifar10"] == one.cifar10
        assert row["imagenet32"] == one.imagenet32 or (
            one.imagenet32 is None and row["imagenet32"] != row["imagenet32"]
        )


def test_what_is_read():
    rows = {(row["source"], row["model"]): row for row in read(made(made_up_paper.LARGE, made_up_paper.WIDE))}
    assert rows["literature", "Flow Matching OT"]["ImageNet32"] == "3.53 (new)"
    assert rows["literature", "Image Transformer"] == {
        **{"source": "literature", "model": "Image Transformer", "type": "AR"},
        **{"CIFAR-10": "2.90", "ImageNet32": "3.77 (old)", "sure": "high"},
    }
    assert rows["literature", "Sparse Transformer"]["ImageNet32"] == "none reported"
    assert rows["DiffEnc paper", "DiffEnc-32-4"]["CIFAR-10"] == "2.620 ± 0.006 (n = 3)"
    assert rows["DiffEnc paper", "DiffEnc-32-4"]["ImageNet32"] == "not on record"
    assert rows["DiffEnc paper", "VDMv-32"]["ImageNet32"] == "3.46 (n = 3, new)"
    mean, se, n = summarise([2.61, 2.62, 2.63])
    assert rows["this study", "VDMv-32"]["CIFAR-10"] == f"{mean:.3f} ± {se:.3f} (n = {n})"
    assert rows["this study", "VDMv-32"]["ImageNet32"] == "not in this study"
    assert rows["this study", "DiffEnc-32-8"]["ImageNet32"] == "2.615 ± 0.005 (n = 2, new)"
    assert all(cell for row in rows.values() for cell in row.values())


def test_the_best_are_bold_each_release_by_itself():
    sheet = made(made_up_paper.LARGE, made_up_paper.WIDE, bpd=lambda run: 3.0)
    rows = read(sheet)
    bold = {(rows[i]["source"], rows[i]["model"], header) for i, header in sheet.bold}
    assert bold == {
        ("literature", "Flow Matching TN", "CIFAR-10"),
        ("literature", "Stochastic Interpolants", "ImageNet32"),  # of the old release
        ("this study", "DiffEnc-32-8", "ImageNet32"),
    }
    sheet = made(made_up_paper.LARGE, bpd=lambda run: 2.601 if run.model == "VDMv-32" else 2.7)
    best = {sheet.frame["model"][i] for i, header in sheet.bold if header == "CIFAR-10"}
    assert best == {"Flow Matching TN", "VDMv-32"}, "equal to two decimals"


DIGITS = {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1]}
LEARNED = {**made_up_paper.LARGE, "schedule": "learned"}


def test_a_study_without_these_data_sets_says_so():
    sheet = made(DIGITS, {**DIGITS, "schedule": "learned"})
    assert [row for row in read(sheet) if row["source"] == "this study"] == [
        {
            **{"source": "this study", "model": "no model", "type": "Diff"},
            **dict.fromkeys(("CIFAR-10", "ImageNet32", "sure"), "not in this study"),
        }
    ]
    assert "CIFAR-10: not in this study, made_up." in sheet.notes
    assert not any("schedule is learned" in note for note in sheet.notes)


def test_a_study_with_learned_schedules_only_has_these_data_sets_and_says_so():
    sheet = made(DIGITS, LEARNED)
    assert [row for row in read(sheet) if row["source"] == "this study"] == [
        {
            **{"source": "this study", "model": "no model", "type": "Diff", "ImageNet32": "not in this study"},
            **dict.fromkeys(("CIFAR-10", "sure"), "no run with a fixed schedule"),
        }
    ]
    assert "CIFAR-10: no run with a fixed schedule in this study, made_up." in sheet.notes
    assert "ImageNet32: not in this study, made_up." in sheet.notes
    assert sheet.notes[-1] == "Not shown, as their schedule is not the fixed one: CIFAR-10: VDMv-32, DiffEnc-32-4."


def test_a_model_with_a_learned_schedule_there_and_a_fixed_one_here():
    wide = {**made_up_paper.WIDE, "models": ["VDMv-32", "DiffEnc-32-8"]}
    rows = {row["model"]: row for row in read(made(LEARNED, wide)) if row["source"] == "this study"}
    assert rows["VDMv-32"]["CIFAR-10"] == "no run with a fixed schedule"
    assert rows["DiffEnc-32-8"]["CIFAR-10"] == "not in this study"
    assert rows["DiffEnc-32-8"]["ImageNet32"].endswith("(n = 2, new)")


def test_the_authors_weights_are_said_to_be_theirs():
    parity = Path(__file__).parents[1] / "parity"
    weights = {"format": "authors", "path": str(parity / "vdmv_12000.gz"), "config": str(parity / "vdmv.json")}
    theirs = {"dataset": "cifar10", "models": ["theirs"], "seeds": [1], "weights": weights}
    rows = read(made(theirs))
    assert rows[-1]["sure"] == "authors' weights"
    assert rows[-1]["CIFAR-10"] == "2.610 ± n/a (n = 1)"


def test_ours_bring_their_protocol_and_missing_runs_are_refused(tmp_path):
    study = made_up_paper.study(made_up_paper.LARGE)
    runs = made_up_paper.runs(study, lambda run: 2.6)
    sheet = literature(study, runs, compare(study, runs), tmp_path, PUBLISHED)
    assert any("10,000 test images, 10 passes, protocol full; steps: VDMv-32 1,000;" in note for note in sheet.notes)
    formatting.write(sheet, tmp_path / "literature", "Table 1.")
    with (tmp_path / "literature.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["cifar10"]) == pytest.approx(2.6)
    assert rows[-1]["cifar10_steps"] == "1000"
    with pytest.raises(UserError, match="seed2, term total, is missing"):
        literature(study, runs[runs["seed"] != 2], compare(study, runs), tmp_path, PUBLISHED)
