import math
import re
import statistics
from pathlib import Path

import made_up
import made_up_paper
import pandas as pd
import pytest
import yaml

from diffenc.io.errors import UserError
from diffenc.reporting.tables import components, formatting, loss_columns
from diffenc.reporting.tables.comparisons import comparisons
from diffenc.reporting.tables.formatting import escape, number, p_value
from diffenc.reporting.tables.seeds import seeds
from diffenc.results.runs import collect
from diffenc.results.tests import compare
from diffenc.statistics.welch import welch
from diffenc.study.published import load
from diffenc.study.stages import TERMS

PUBLISHED = load(Path(__file__).parents[2] / "config" / "published.yaml")


def made(tmp_path, **options):
    study = made_up.study(**options)
    runs = collect(study, made_up.write_results(study, tmp_path / "small"))
    return study, runs, compare(study, runs)


def beside(**more):
    """Models that the paper has, ours 0.01 above its means."""
    totals = {"VDMv-32": 2.651, "DiffEnc-32-4": 2.630, "VDMv-8": 2.793, "DiffEnc-8-2": 2.793, "DiffEnc-8-nt": 2.8}
    claims = [{"dataset": "cifar10", "lower": "DiffEnc-32-4", "than": than} for than in ("VDMv-32", "VDMv-8")]
    study = made_up_paper.study(made_up_paper.LARGE, made_up_paper.SMALL, comparisons=claims, **more)
    runs = made_up_paper.runs(study, lambda run: totals[run.model] + 0.002 * (run.seed - 2))
    return study, runs, compare(study, runs), PUBLISHED


def written(frame, tmp_path, caption="A caption of digits_8, 100 %."):
    formatting.write(loss_columns.table(frame), tmp_path / "name", caption)
    return tuple((tmp_path / f"name.{kind}").read_text() for kind in ("csv", "md", "tex"))


def cells(markdown):
    """The table of a Markdown file as lists of cells, without the line of dashes."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1, "columns are aligned"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[0], rows[2:]


def check_latex(text):
    """Braces and environments close, every row fills its columns, nothing is left unescaped."""
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert re.findall(r"\\begin\{(\w+)\}", text).count("tabular") == re.findall(r"\\end\{(\w+)\}", text).count(
        "tabular"
    )
    spec = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}\n", text)[1]
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    body = re.sub(r"\\begin\{tabular\}\[t\].*?\\end\{tabular\}", "stacked", body)
    for row in re.findall(r"^(?!\\).*\\\\$", body, flags=re.MULTILINE):
        assert row.count("&") - row.count(r"\&") == len(spec) - 1, row
    words = re.sub(r"\$[^$]*\$|\\resizebox.*", "", text)
    assert not re.search(r"(?<!\\)[_%#^~<>]", words), "special characters are escaped"
    assert text.isascii()


def test_components_by_hand(tmp_path):
    study, runs, tests = made(tmp_path)
    frame = components.components(study, runs, tests, PUBLISHED, {})
    assert list(frame["model"]) == ["VDMv-2", "DiffEnc-2-1", "DiffEnc-2-nt"]
    for row in frame.to_dict("records"):
        assert row["n"] == 3
        assert row["release"] == "scikit-learn's copy of the UCI test set"
        for term in TERMS:
            bpd = runs[(runs["model"] == row["model"]) & (runs["term"] == term)]["bpd"].tolist()
            assert row[term] == pytest.approx(statistics.mean(bpd), abs=1e-12)
            assert row[f"{term}_se"] == pytest.approx(statistics.stdev(bpd) / math.sqrt(3), abs=1e-12)
    p = tests.set_index(["lower", "than", "term"])["p_less"]
    columns = frame.set_index("model")
    assert columns["p_less_than_VDMv-2"]["DiffEnc-2-1"] == p["DiffEnc-2-1", "VDMv-2", "total"]
    assert columns["p_less_than_DiffEnc-2-nt"]["DiffEnc-2-1"] == p["DiffEnc-2-1", "DiffEnc-2-nt", "total"]
    assert math.isnan(columns["p_less_than_VDMv-2"]["VDMv-2"])


def test_components_written_three_ways_from_one_frame(tmp_path):
    frame = components.components(*made(tmp_path), PUBLISHED, {})
    csv, markdown, latex = written(frame, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "name.csv"), frame, check_exact=True, check_dtype=False)
    header, rows = cells(markdown)
    total, model = header.index("total"), header.index("model")
    for row, values in zip(rows, frame.to_dict("records"), strict=True):
        text = f"{values['total']:.3f} ± {values['total_se']:.3f}"
        assert row[total] == (f"**{text}**" if row[model] == "DiffEnc-2-1" else text)
    assert rows[1][header.index("p (lower than)")] == "< 0.001 (VDMv-2); < 0.001 (DiffEnc-2-nt)"
    assert "300 test images, 10 passes, protocol full" in markdown
    assert "γ₀" not in header  # no schedule is learned
    assert {row[header.index("published")] for row in rows} == {"not on record"}
    assert "ours - published" not in header
    assert all(cell for row in rows for cell in row[2:])  # what the row above says is not said again
    assert latex.count(r"\textbf{") == 1
    assert r"\textbf{2.620 $\pm$ 0.001}" in latex
    assert r"\caption{A caption of digits\_8, 100 \%.}" in latex
    assert r"\label{tab:name}" in latex
    assert "*" not in csv
    check_latex(latex)


def test_a_single_seed_has_no_standard_error(tmp_path):
    frame = components.components(*made(tmp_path, seeds=(1,), comparisons=False), PUBLISHED, {})
    csv, markdown, latex = written(frame, tmp_path)
    header, rows = cells(markdown)
    for row in rows:
        assert row[header.index("n")] == "1"
        for term in TERMS:
            assert row[header.index(term)].strip("*").endswith(" ± n/a")
    assert pd.read_csv(tmp_path / "name.csv")["total_se"].isna().all()
    assert ",0.0," not in csv
    check_latex(latex)


def test_learned_end_points_stand_beside_their_numbers(tmp_path):
    frame = components.components(*made(tmp_path, schedules=("fixed", "learned")), PUBLISHED, {})
    _, markdown, latex = written(frame, tmp_path)
    header, rows = cells(markdown)
    ends = [(row[header.index("γ₀")], row[header.index("γ₁")]) for row in rows]
    assert ends == [("fixed", "fixed")] * 3 + [("−13.50", "5.40")] * 3  # noqa: RUF001
    assert sum("**" in cell for row in rows for cell in row) == 2  # the best of each schedule
    assert r"\multicolumn{12}{l}{Digits, learned schedule}" in latex
    check_latex(latex)


def test_published_values_stand_beside_ours(tmp_path):
    study, runs, tests, published = beside()
    frame = components.components(study, runs, tests, published, {})
    _, markdown, latex = written(frame, tmp_path)
    header, rows = cells(markdown)
    shown = {row[header.index("model")]: dict(zip(header, row, strict=True)) for row in rows}
    assert {model: row["published"] for model, row in shown.items()} == {
        "VDMv-32": "2.641 ± 0.003 (n = 3, sure: high)",
        "DiffEnc-32-4": "2.620 ± 0.006 (n = 3, sure: high)",
        "VDMv-8": "2.783 (n = 5, sure: medium)",
        "DiffEnc-8-2": "2.783 (n = 5, sure: medium)",
        "DiffEnc-8-nt": "not on record",
    }
    assert [row["published diffusion"] for row in shown.values()] == [
        "2.629",
        "2.609",
        "2.772",
        "2.772",
        "not on record",
    ]
    p = welch((2.651, 0.002 / math.sqrt(3), 3), (2.641, 0.003, 3)).p_two_sided
    assert shown["VDMv-32"]["ours - published"] == f"0.010 (p = {p:.3f})"
    assert shown["VDMv-8"]["ours - published"] == "0.010"
    assert shown["DiffEnc-8-nt"]["ours - published"] == "not on record"
    assert shown["DiffEnc-32-4"]["p (lower than)"] == "< 0.001 (VDMv-32, published: 0.03); < 0.001 (VDMv-8)"
    assert shown["VDMv-32"]["p (lower than)"] == "no claim"
    assert "not on record: config/published.yaml has no confirmed number" in markdown
    values = frame.set_index("model")
    assert values["minus_published"]["VDMv-8"] == pytest.approx(0.01)
    assert values["published_n"].tolist() == [3, 3, 5, 5, pd.NA]
    assert values["published_sure"]["DiffEnc-8-nt"] == "not on record"
    check_latex(latex)


def test_a_single_seed_is_not_tested_against_the_published_value():
    study = made_up_paper.study({**made_up_paper.LARGE, "seeds": [1]})
    runs = made_up_paper.runs(study, lambda run: 2.6)
    frame = components.components(study, runs, compare(study, runs), PUBLISHED, {})
    assert frame["minus_published_p_two_sided"].isna().all()
    assert frame["minus_published"].tolist() == pytest.approx([2.6 - 2.641, 2.6 - 2.62])


def test_what_follows_from_data_and_ends_is_expected(tmp_path):
    study, runs, tests, published = beside()
    pixels = [1] * 256
    markdown = written(components.components(study, runs, tests, published, {"cifar10": pixels}), tmp_path)[1]
    header, rows = cells(markdown)
    shown = {row[header.index("model")]: row[header.index("expected")] for row in rows}
    # E x^2 = 1/3 for pixels that are all as frequent; tests/zoo/test_expected.py has the integral
    kl = 0.5 * (1 / (1 + math.exp(-5)) + 1 / (1 + math.exp(5)) / 3 - 1 + math.log1p(math.exp(-5))) / math.log(2)
    assert shown["VDMv-32"] == shown["VDMv-8"] == f"latent {kl:.4f}; reconstruction 0.0104"
    assert shown["DiffEnc-8-nt"] == "latent < 0.0001; reconstruction 0.0104"
    assert shown["DiffEnc-32-4"] == shown["DiffEnc-8-2"] == "no formula"
    assert "what terms come to by formula" in markdown
    assert "Nothing is expected" not in markdown
    uncounted = written(components.components(study, runs, tests, published, {"cifar10": None}), tmp_path)[1]
    assert "expected" not in cells(uncounted)[0]
    assert "Nothing is expected on CIFAR-10, whose manifest does not count pixels" in uncounted


def test_learned_ends_are_what_is_expected_of(tmp_path):
    study, runs, tests = made(tmp_path, schedules=("fixed", "learned"))
    pixels = [0] * 8 + [1] + [0] * 8
    frame = components.components(study, runs, tests, PUBLISHED, {"digits": pixels})
    found = frame[frame["model"] == "VDMv-2"].set_index("schedule")["expected_latent"]
    # x = 0: 1/2 (sigma^2 - 1 - log sigma^2), the mean over the seeds' ends
    ends = {"fixed": [5.0], "learned": [5.2, 5.4, 5.6]}
    for schedule, gammas in ends.items():
        variances = [1 / (1 + math.exp(-gamma)) for gamma in gammas]
        bits = [(v - 1 - math.log(v)) / 2 / math.log(2) for v in variances]
        assert found[schedule] == pytest.approx(statistics.mean(bits), rel=1e-9)


def test_published_parts_stand_beside_ours(tmp_path):
    study, runs, tests, published = beside()
    parts = {"latent": 0.0013, "latent_se": 3e-06, "reconstruction": 0.0105}
    first = published.diffenc_paper[0].model_copy(update=parts)
    published = published.model_copy(update={"diffenc_paper": [first, *published.diffenc_paper[1:]]})
    header, rows = cells(written(components.components(study, runs, tests, published, {}), tmp_path)[1])
    shown = [row[header.index(f"published {term}")] for term in ("latent", "reconstruction") for row in rows[:2]]
    assert shown == ["0.0013 ± 0.000003", "not on record", "0.0105", "not on record"]


def test_a_selection_is_a_part_of_the_whole(tmp_path):
    chosen = {"title": "Large models", "dataset": "cifar10", "models": ["DiffEnc-32-4", "VDMv-32"]}
    study, runs, tests, published = beside(selections={"table2": chosen})
    whole = components.components(study, runs, tests, published, {}).set_index("model")
    part = components.selected(study, runs, tests, published, {}, study.selections["table2"])
    assert part["model"].tolist() == chosen["models"]
    assert set(whole.columns) - set(part.columns) == {"p_less_than_VDMv-8", "published_p_less_than_VDMv-8"}
    pd.testing.assert_frame_equal(part.set_index("model"), whole.loc[chosen["models"], part.columns.drop("model")])
    _, markdown, latex = written(part, tmp_path)
    header, rows = cells(markdown)
    assert rows[0][header.index("p (lower than)")] == "< 0.001 (VDMv-32, published: 0.03)"
    assert rows[0][header.index("total")].startswith("**2.630")
    check_latex(latex)
    fewer = runs[(runs["model"] != "VDMv-8") | (runs["seed"] != 1)]
    with pytest.raises(UserError, match="VDMv-8/fixed/seed1, term total, is missing"):
        components.selected(study, fewer, tests, published, {}, study.selections["table2"])


def test_the_authors_own_weights_are_named(tmp_path):
    parity = Path(__file__).parents[1] / "parity"
    weights = {"format": "authors", "path": str(parity / "vdmv_12000.gz"), "config": str(parity / "vdmv.json")}
    group = {"dataset": "cifar10", "models": ["theirs"], "seeds": [1], "weights": weights}
    study = made_up_paper.study(made_up_paper.LARGE, group)
    runs = made_up_paper.runs(study, lambda run: 2.6)
    frame = components.components(study, runs, compare(study, runs), PUBLISHED, {})
    assert frame["trained"].tolist() == ["here", "here", "by the authors"]
    assert "evaluated from the authors' checkpoints: theirs." in written(frame, tmp_path)[1]


def test_equal_to_the_decimals_shown_is_equally_best(tmp_path):
    frame = components.components(*made(tmp_path), PUBLISHED, {})
    frame.loc[:1, "total"] = [2.6201, 2.6199]
    _, _, latex = written(frame, tmp_path)
    assert latex.count(r"\textbf{2.620") == 2


def test_seeds_lists_every_run_then_mean_and_standard_error(tmp_path):
    study, runs, _ = made(tmp_path, schedules=("fixed", "learned"))
    frame = seeds(study, runs)
    assert list(frame["seed"][:5]) == ["1", "2", "3", "mean", "SE"]
    assert len(frame) == 2 * 3 * 5
    totals = runs[(runs["model"] == "VDMv-2") & (runs["schedule"] == "fixed") & (runs["term"] == "total")]["bpd"]
    assert frame["total"][:3].tolist() == totals.tolist()
    assert frame["total"][3] == pytest.approx(totals.mean())
    assert frame["total"][4] == pytest.approx(statistics.stdev(totals) / math.sqrt(3))
    assert frame["total_mc_se"][0] == 0.002
    _, markdown, latex = written(frame, tmp_path)
    header, rows = cells(markdown)
    assert [row[header.index("n")] for row in rows[:5]] == ["-", "-", "-", "3", "3"]
    assert rows[-2][header.index("γ₁")] == "5.40"
    check_latex(latex)


def test_comparisons_show_interval_p_values_and_effect(tmp_path):
    study, runs, tests = made(tmp_path)
    frame = comparisons(study, runs, tests)
    assert len(frame) == 3 * 4
    csv, markdown, latex = written(frame, tmp_path)
    header, rows = cells(markdown)
    assert rows[0][header.index("claim")] == "DiffEnc-2-1 < VDMv-2"
    assert rows[0][header.index("p, one-sided")] == "< 0.001"
    test = tests.loc[3]
    found = [
        float(x.replace("\N{MINUS SIGN}", "-"))
        for x in re.findall(r"[^\s\[\],]+", rows[3][header.index("difference [95 % CI]")])
    ]
    assert found == pytest.approx([test["difference"], test["ci95_low"], test["ci95_high"]], abs=5e-5)
    assert rows[3][header.index("p, two-sided")] == f"{test['p_two_sided']:.3f}"
    # VDM's and the non-trainable encoder's latent terms do not vary: no p-value is shown for them
    assert rows[6][header.index("p, one-sided")] == "exact"
    assert "exact:" in markdown
    assert "exact" not in csv
    check_latex(latex)


def test_tables_refuse_a_missing_seed(tmp_path):
    study, runs, tests = made(tmp_path)
    fewer = runs[runs["seed"] != 2]
    for make in (lambda: components.components(study, fewer, tests, PUBLISHED, {}), lambda: seeds(study, fewer)):
        with pytest.raises(UserError, match="seed2, term total, is missing"):
            make()


def test_numbers_as_they_are_printed():
    assert number(-0.0004) == "0.000"
    assert number(-0.0214) == "\N{MINUS SIGN}0.021"
    assert number(math.nan) == "n/a"
    assert [p_value(p) for p in (0, 0.0009, 0.0267, 0.5, 1)] == ["< 0.001", "< 0.001", "0.027", "0.500", "> 0.999"]


def test_escape_leaves_nothing_special():
    assert escape("a_b & 5 % < {x} #1 $ γ₀ ± 1") == r"a\_b \& 5 \% $<$ \{x\} \#1 \$ $\gamma_0$ $\pm$ 1"


def test_every_sentence_below_a_table_is_said_somewhere():
    folder = Path(formatting.__file__).parent
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    names = {"full", "authors", "given"}  # by the evaluation's protocol
    for table, sentences in yaml.safe_load((folder / "notes.yaml").read_text()).items():
        assert f'said("{table}"' in re.sub(r"\(\s+", "(", code), table
        assert all(f'"{name}"' in code or name in names for name in sentences), table
