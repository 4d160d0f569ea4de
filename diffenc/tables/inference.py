"""How sure the comparisons are: across seeds with corrections and several tests, their power, and over images."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from diffenc import inference
from diffenc import paired as over_images
from diffenc.errors import UserError
from diffenc.results import PER_IMAGE, TESTS, check_runs, make, run_folder
from diffenc.statistics import summarise, welch
from diffenc.study import Comparison, Run, Study
from diffenc.tables import caveats
from diffenc.typeset import Cell, Column, Row, Sheet, interval, number, p_value

EFFECTS = (0.01, 0.02, 0.05)  # bits per dimension
_GROUP = 2  # the first two columns, data set and schedule
_FAMILY = ["p_holm", "holm_tests"]
_CLAIM = ["dataset", "schedule", "lower", "than"]
_TESTED = [
    *("n_lower", "n_than", "bpd_lower", "bpd_than", "difference", "ci95_low", "ci95_high"),
    *("bootstrap95_low", "bootstrap95_high", "hedges_g", "p_less"),
    *("p_permutation", "p_permutation_smallest", "relabellings"),
]
_PLANNED = [
    *("n_lower", "n_than", "sd_lower", "sd_than"),
    *(f"power_to_see_{effect:g}" for effect in EFFECTS),
    *(f"seeds_to_see_{effect:g}{sd}" for effect in EFFECTS for sd in ("", "_upper_sd")),
]
_PAIRED = [
    *("seeds_lower", "seeds_than", "images", "difference", "ci95_low", "ci95_high", "se_over_images"),
    *("sd_over_pairs", "p_less", "first_better", "correlation", "narrowing"),
]


def statistics(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Sheet:
    """Every comparison of totals, with each seed's value, two intervals, effect size and three one-sided p-values.

    Holm's are those in `tests` (`inference.add_holm`), which knows the whole study's family; without them the family
    is the tests that are given.

    Raises:
        UserError: `runs` is not exactly the study's, or `tests` lacks one of its comparisons.
    """
    check_runs(study, runs)
    whole = set(_FAMILY) <= set(tests.columns)
    totals = (tests if whole else inference.add_holm(tests)).query("term == 'total'")
    frame = pd.DataFrame([_tested(*found) for found in _samples(study, runs)], columns=[*_CLAIM, *_TESTED])
    frame = frame.merge(totals[[*_CLAIM, *_FAMILY]], on=_CLAIM, how="left").astype({"holm_tests": "Int64"})
    if (untested := frame["p_holm"].isna()).any():
        claim = "{dataset}/{schedule}: {lower} < {than}".format(**frame[untested].iloc[0])
        raise UserError(f"{TESTS}: has no test of {claim}; {make(f'results/{study.name}/{TESTS}')}")
    columns = [
        *_claim(study),
        Column("n", _sizes),
        Column("first, by seed", lambda row: _each(row["bpd_lower"]), "left"),
        Column("second, by seed", lambda row: _each(row["bpd_than"]), "left"),
        Column("difference [Welch's 95 % CI]", _difference),
        Column("bootstrap 95 % CI", lambda row: _bracket(row["bootstrap95_low"], row["bootstrap95_high"])),
        Column("Hedges' g", lambda row: number(row["hedges_g"], 2)),
        Column("p, Welch", _test("p_less")),
        Column("p, Holm", _test("p_holm")),
        Column("p, permutation", _permutation),
    ]
    return Sheet(frame, columns, caveats.of_statistics(frame, whole) + caveats.sources(study, runs), _GROUP)


def _tested(comparison: Comparison, lower: list[float], than: list[float]) -> list[object]:
    """A row of `statistics`, in the order of its columns."""
    test, permuted = welch(lower, than), inference.permutation_p(lower, than)
    return [
        *_named(comparison).values(),
        *(len(lower), len(than), *("; ".join(map(repr, values)) for values in (lower, than))),
        *(test.difference, *test.ci95, *inference.bootstrap_ci(lower, than), test.hedges_g, test.p_less),
        *permuted,
    ]


def power(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Sheet:
    """For each comparison the spread over seeds, the chance that its test had to find EFFECTS, and the seeds needed.

    The columns seeds_to_see_X_upper_sd have both standard deviations at the upper end of their 90 % intervals.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    frame = pd.DataFrame([_planned(*found) for found in _samples(study, runs)], columns=[*_CLAIM, *_PLANNED])
    columns = [
        *_claim(study),
        Column("n", _sizes),
        Column("SD of first", _spread("sd_lower")),
        Column("SD of second", _spread("sd_than")),
        *(Column(f"power for {effect:g}", _power(effect)) for effect in EFFECTS),
        *(Column(f"seeds for {effect:g}", _seeds(effect)) for effect in EFFECTS),
    ]
    return Sheet(frame, columns, caveats.of_power(study, frame) + caveats.sources(study, runs), _GROUP)


def _planned(comparison: Comparison, lower: list[float], than: list[float]) -> list[object]:
    """A row of `power`, in the order of its columns."""
    sizes = len(lower), len(than)
    found = [summarise(values).se * n**0.5 for values, n in zip((lower, than), sizes, strict=True)]
    upper = [inference.sd_interval(sd, n)[1] for sd, n in zip(found, sizes, strict=True)]
    return [
        *_named(comparison).values(),
        *(*sizes, *found),
        *(inference.power(effect, *found, sizes) for effect in EFFECTS),
        *(inference.seeds_needed(effect, *sds) for effect in EFFECTS for sds in (found, upper)),
    ]


def paired(study: Study, runs: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> Sheet:
    """For each comparison the models' difference over test images: of all their seeds together, then pair by pair.

    Raises:
        UserError: `runs` is not exactly the study's, a run's evaluation.npz is missing or damaged, or those of a
            comparison did not draw the same noise.
    """
    check_runs(study, runs)
    rows = [row for comparison in study.comparisons for row in _on_images(study, comparison, Path(folder))]
    frame = pd.DataFrame(rows, columns=[*_CLAIM, *_PAIRED])
    columns = [
        *_claim(study),
        Column("seeds", _pair, "left"),
        Column("images", lambda row: f"{row['images']:,}"),
        Column("difference [95 % CI]", _difference),
        Column("SE over images", lambda row: number(row["se_over_images"], 5)),
        Column("SD over pairs", lambda row: "one pair" if pd.isna(sd := row["sd_over_pairs"]) else number(sd, 5)),
        Column("p, one-sided", _test("p_less")),
        Column("first better", lambda row: f"{100 * row['first_better']:.1f} %"),
        Column("correlation", lambda row: number(row["correlation"], 4)),
        Column("narrowing", lambda row: number(row["narrowing"], 1)),
    ]
    return Sheet(frame, columns, caveats.of_paired(study, runs, frame) + caveats.sources(study, runs), _GROUP)


def _on_images(study: Study, comparison: Comparison, folder: Path) -> Iterator[Row]:
    """The rows of one comparison: all seeds' mean, then the first seeds of both models, the second ones, ..."""
    group = study.groups()[comparison.dataset, comparison.schedule]
    lower, than = ({run.seed: _totals(folder, run) for run in group[m]} for m in (comparison.lower, comparison.than))
    over_images.check_noise([*lower.values(), *than.values()])
    pairs = [
        (str(a), str(b), over_images.compare_images(*(over_images.per_image([t]) for t in (lower[a], than[b]))))
        for a, b in zip(lower, than, strict=False)
    ]
    together = over_images.compare_images(*(over_images.per_image(list(runs.values())) for runs in (lower, than)))
    spread = float(np.std([found.difference for _, _, found in pairs], ddof=1))
    for of_lower, of_than, found in [("all", "all", together), *pairs]:
        values = found._asdict()
        values["ci95_low"], values["ci95_high"] = values.pop("ci95")
        values["se_over_images"] = values.pop("se")
        values["sd_over_pairs"] = spread if found is together else np.nan
        yield _named(comparison) | {"seeds_lower": of_lower, "seeds_than": of_than} | values


def _totals(folder: Path, run: Run) -> over_images.Totals:
    totals = over_images.read_totals(run_folder(folder, run) / PER_IMAGE)
    if totals.t.shape[1] < 2:
        raise UserError(f"{totals.file}: holds one image, a paired comparison needs two; raise evaluation.images")
    return totals


def _named(comparison: Comparison) -> Row:
    return {name: getattr(comparison, name) for name in _CLAIM}


def _samples(study: Study, runs: pd.DataFrame) -> Iterator[tuple[Comparison, list[float], list[float]]]:
    """Every comparison with both models' totals, a value a seed, in the study's order."""
    totals = runs[runs["term"] == "total"].set_index(["dataset", "model", "schedule", "seed"])["bpd"]
    for comparison in study.comparisons:
        group = study.groups()[comparison.dataset, comparison.schedule]
        yield comparison, *([float(totals[run]) for run in group[m]] for m in (comparison.lower, comparison.than))


def _claim(study: Study) -> list[Column]:
    return [
        Column("data set", lambda row: study.facts(row["dataset"]).title, "left"),
        Column("schedule", lambda row: row["schedule"], "left"),
        Column("claim", lambda row: f"{row['lower']} < {row['than']}", "left"),
    ]


def _sizes(row: Row) -> str:
    return f"{row['n_lower']}, {row['n_than']}"


def _pair(row: Row) -> str:
    return "all" if row["seeds_lower"] == "all" else f"{row['seeds_lower']}, {row['seeds_than']}"


def _each(values: str) -> str:
    return "; ".join(number(float(value), 4) for value in values.split("; "))


def _bracket(low: float, high: float) -> str:
    return f"[{number(low, 4)}, {number(high, 4)}]"


def _difference(row: Row) -> str:
    return interval(row, "difference", "ci95_low", "ci95_high")


def _test(column: str) -> Cell:
    """A p-value, unless nothing varies: the difference is then known, and a p-value would be for show."""
    return lambda row: "exact" if row["ci95_low"] == row["ci95_high"] else p_value(row[column])


def _permutation(row: Row) -> str:
    p = row["p_permutation"]
    return f"{'n/a' if pd.isna(p) else p_value(p)} (least {p_value(row['p_permutation_smallest'])})"


def _spread(column: str) -> Cell:
    return lambda row: number(row[column], 4) if row[column] else "no spread"


def _power(effect: float) -> Cell:
    def cell(row: Row) -> str:
        if row["sd_lower"] == row["sd_than"] == 0:
            return "no spread"
        chance = row[f"power_to_see_{effect:g}"]
        return "> 0.99" if chance > 0.99 else number(chance, 2)

    return cell


def _seeds(effect: float) -> Cell:
    def cell(row: Row) -> str:
        if row["sd_lower"] == row["sd_than"] == 0:
            return "no spread"
        name = f"seeds_to_see_{effect:g}"
        return f"{row[name]:,} (up to {row[f'{name}_upper_sd']:,})"

    return cell
