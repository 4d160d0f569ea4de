import re
from pathlib import Path

import made_up_paper
import pytest

from diffenc.io.errors import UserError
from diffenc.reporting.tables import formatting
from diffenc.reporting.tables.since import since
from diffenc.results.tests import compare
from diffenc.study.published import load

PUBLISHED = load(Path(__file__).parents[2] / "config" / "published.yaml")
OLD = {"dataset": "imagenet32_old", "models": ["VDM-32"], "schedule": "learned", "seeds": [1, 2]}


def made(*groups, bpd=lambda run: 2.6 + 0.01 * run.seed):
    study = made_up_paper.study(*groups)
    runs = made_up_paper.runs(study, bpd)
    return since(study, runs, compare(study, runs), Path("nowhere"), PUBLISHED)


def read(sheet):
    """The rows as they are read: {header: cell} each."""
    return [{c.header: c.cell(row) for c in sheet.columns} for row in sheet.frame.to_dict("records")]


def test_every_published_value_stands_in_its_kind_and_release():
    sheet = made(made_up_paper.LARGE)
    rows = sheet.frame.to_dict("records")
    titles = {"new": "", "old": "_old", "unknown": "_unknown"}
    for one in PUBLISHED.since:
        [row] = [
            row
            for row in rows
            if (row["model"], row["source"], row["augmented"] != "no") == (one.model, one.source, bool(one.augmented))
            and (one.depth is None or row["depth"] == one.depth)
            and ("bound" in row["kind"]) == ("bound" in one.kind)
        ]
        assert ("k steps" in row["kind"]) == (one.kind == "k-step bound")
        assert (row["of"].startswith("dequantised")) == (one.dequantisation is not None)
        expected = {"mnist": one.mnist, "cifar10": one.cifar10}
        for name in ("imagenet32", "imagenet64"):
            expected |= {name + titles[release]: value for release, value in getattr(one, name).items()}
        for column, value in expected.items():
            assert value is None or row[column] == value
        assert sum(isinstance(row.get(c), float) and row[c] == row[c] for c in expected) == sum(
            value is not None for value in expected.values()
        )


def test_kinds_are_groups_and_k_is_one_too():
    rows = read(made(made_up_paper.LARGE))
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    assert kinds == ["bound", "bound in k steps", "ODE"]
    groups = [(row["kind"], row["of"]) for row in rows]
    assert len(list(dict.fromkeys(groups))) == sum(a != b for a, b in zip(groups, [None, *groups], strict=False))
    assert [row["of"] for row in rows if row["kind"] == "bound in k steps"] == [
        f"pixels, k = {k}" for k in (10, 100, 250, 500, 1000)
    ]
    assert {row["of"] for row in rows if row["kind"] == "ODE"} == {
        "dequantised, not on record",
        "dequantised, truncated normal",
    }


def test_what_is_read():
    sheet = made(made_up_paper.LARGE, made_up_paper.WIDE, OLD)
    rows = read(sheet)
    of = {(row["model"], row["kind"], row["source"]): row for row in rows}
    ode = of["i-DODE", "ODE", "README of thu-ml/i-DODE"]
    assert (ode["CIFAR-10"], ode["ImageNet32, new"], ode["ImageNet32, old"]) == ("2.56", "3.43", "3.69")
    ours = [row for row in rows if row["source"] == "this study"]
    assert {(row["kind"], row["of"]) for row in ours} == {("bound", "pixels")}
    assert [row["model"] for row in ours] == ["VDMv-32", "DiffEnc-32-4", "DiffEnc-32-8", "VDM-32, learned schedule"]
    assert ours[0]["CIFAR-10"] == "2.620 ± 0.006 (n = 3)"
    assert (ours[3]["ImageNet32, old"], ours[3]["ImageNet32, new"]) == ("2.615 ± 0.005 (n = 2)", "-")
    assert (ours[2]["ImageNet32, new"], ours[2]["ImageNet32, old"]) == ("2.615 ± 0.005 (n = 2)", "-")
    paper = of["VDMv-32", "bound", "DiffEnc paper"]
    assert (paper["CIFAR-10"], paper["ImageNet32, new"]) == ("2.641 ± 0.003 (n = 3)", "3.46 (n = 3)")
    assert paper["steps"] == "8,000,000 (CIFAR-10); 1,500,000 (ImageNet32, new)"
    assert all(cell for row in rows for cell in row.values())
    assert "ImageNet64, old" not in rows[0]


def test_what_is_not_sure_is_marked_and_said():
    sheet = made(made_up_paper.LARGE)
    values = [c.header for c in sheet.columns if c.header.startswith(("MNIST", "CIFAR", "ImageNet"))]
    for row in read(sheet):
        for header in values:
            assert row[header].endswith("*") == (row["sure"] == "low" and row[header] != "-"), row
    for one in PUBLISHED.since:
        assert not one.note or any(re.search(rf"\b{one.model}\b.*: {re.escape(one.note)}", n) for n in sheet.notes)
    mdm = [row for row in read(sheet) if row["model"].startswith("MDM")]
    assert len(mdm) == 5
    assert {(row["kind"], row["of"]) for row in mdm} == {("bound", "dequantised, uniform")}
    assert any("Monte Carlo error up to 0.07" in note for note in sheet.notes)


def test_the_lowest_is_bold_among_what_is_alike():
    sheet = made(
        made_up_paper.LARGE, made_up_paper.WIDE, OLD, bpd=lambda run: 2.3 if run.dataset == "cifar10" else 4.0
    )
    rows = read(sheet)
    bold = {(rows[i]["model"], rows[i]["source"], header) for i, header in sheet.bold}
    assert bold == {
        ("VDMv-32", "this study", "CIFAR-10"),
        ("DiffEnc-32-4", "this study", "CIFAR-10"),  # no other kind has one: each is alone in its column and group
        ("VDMv-32", "DiffEnc paper", "ImageNet32, new"),
        ("DiffEnc-32-8", "DiffEnc paper", "ImageNet32, new"),
        ("VDM", "README of google-research/vdm, released weights; ImageNet32: the paper", "ImageNet32, old"),
    }


def test_a_study_without_these_data_sets_says_so_and_missing_runs_are_refused(tmp_path):
    sheet = made({"dataset": "digits", "models": ["VDMv-2"], "seeds": [1]})
    assert sheet.notes[-1] == "None of these data sets is in this study, made_up."
    assert "this study" not in {row["source"] for row in read(sheet)}
    formatting.write(sheet, tmp_path / "since", "Since.")
    assert (tmp_path / "since.tex").read_text().isascii()
    study = made_up_paper.study(made_up_paper.LARGE)
    runs = made_up_paper.runs(study, lambda run: 2.6)
    with pytest.raises(UserError, match="seed2, term total, is missing"):
        since(study, runs[runs["seed"] != 2], compare(study, runs), tmp_path, PUBLISHED)
