"""A study in sentences, written from its data: what was run, the main comparison, what a test says and does not."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from diffenc.reporting.html.costs import hours
from diffenc.reporting.tables.common import samples_of, weighted
from diffenc.reporting.tables.formatting import interval, number, p_value
from diffenc.statistics.equivalence import tost
from diffenc.statistics.power import seeds_needed
from diffenc.statistics.welch import summarise
from diffenc.study.study import Study

if TYPE_CHECKING:
    from pandas import DataFrame

LEVEL = 0.05  # the usual one, itself included; the page names it where it is used
_NOISE = {
    "full": "fresh noise that is the same for every model",
    "authors": "noise as the authors' code draws it",
    "given": "the noise given with the data set, the same for every model",
}


class Summary(NamedTuple):
    """A study as a question, its answer, its size in a line each, and in three paragraphs."""

    question: str
    verdict: str
    size: str
    what: str
    finding: str
    measured: str


class Claim(NamedTuple):
    """One comparison's test of the total, in words and as the page's cells."""

    claim: str
    of: str
    n: str
    difference: str
    p: str
    holm: str
    reading: str


def listed(words: Iterable[str]) -> str:
    """a, b and c."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 seed, 3 seeds, 2,000,000 steps."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def ranged(counts: Iterable[int], noun: str) -> str:
    """3 seeds; 2 or 3 seeds; 3 to 5 seeds."""
    low, high = min(counts := list(counts)), max(counts)
    if low == high:
        return counted(low, noun)
    return f"{low:,} {'or' if high == low + 1 else 'to'} {counted(high, noun)}"


def summary(study: Study, runs: "DataFrame", tests: "DataFrame | None") -> Summary:
    """The study in a few words each: what is asked, answered and was run, the main comparison, how it is measured."""
    return Summary(
        question(study),
        verdict(study, runs, tests),
        size(study, runs),
        _what(study),
        _finding(study, tests),
        _measured(study, runs),
    )


def question(study: Study) -> str:
    """What the study asks: its first comparison."""
    titles = listed(study.spec(name).title for name in study.datasets)
    if study.comparisons:
        first = study.comparisons[0]
        title = study.spec(first.dataset).title
        return f"Is {first.lower} better than {first.than} on {title}, with the {first.schedule} noise schedule?"
    if len(study.model_names) > 1:
        return f"How do {len(study.model_names)} models compare on {titles}?"
    return f"How good is {study.model_names[0]} on {titles}?"


def size(study: Study, runs: "DataFrame") -> str:
    """How much was run: 9 runs: 3 models on Digits, 3 seeds each, 390 steps; 300 test images; 0.0123 device-hours."""
    titles = listed(study.spec(name).title for name in study.datasets)
    seeds = [len(of) for name in study.datasets for group in study.groups(name).values() for of in group.values()]
    steps = [training.steps for training in study.training.values()]
    parts = [f"{counted(len(study.model_names), 'model')} on {titles}", f"{ranged(seeds, 'seed')} each"]
    parts += [ranged(steps, "step")] if steps else []
    images = ranged(runs["images"].unique().tolist(), "test image")
    took = f"; {hours(float(runs.loc[runs['term'] == 'total', 'device_hours'].sum()))} device-hours" if steps else ""
    return f"{counted(len(study.all_runs), 'run')}: {', '.join(parts)}; measured on {images}{took}."


def verdict(study: Study, runs: "DataFrame", tests: "DataFrame | None") -> str:
    """The main comparison's answer in at most 25 words: lower, the same within the margin, higher, or how many seeds
    would tell."""
    if tests is None:
        return "No comparison is named, so nothing is claimed."
    row, (_, lower, than) = totals(tests)[0], next(samples_of(study, runs))
    size, margin = f"{number(abs(row['difference']), 3)} bits per dimension", f"{study.margin:g}"
    test = tost(lower, than, study.margin)
    if test.p < LEVEL:
        return (
            f"{row['lower']} and {row['than']} are the same within {margin} bits per dimension, the study's margin."
        )
    if row["ci95_low"] > 0:
        return f"{row['lower']} is worse than {row['than']}, by {size}."
    if row["p_less"] <= LEVEL:
        return f"{row['lower']} is better than {row['than']}, by {size}."
    spreads = [summarise(values).se * len(values) ** 0.5 for values in (lower, than)]
    # power 0.9 at the margin: where the models are equal, both of TOST's tests pass in 80 of 100 studies then
    seeds = max(seeds_needed(study.margin, *spreads, power=0.9), 1 + min(len(lower), len(than)))
    return (
        f"Whether {row['lower']} is better than {row['than']} cannot be told: about {seeds:,} seeds each would tell a"
        f" difference of {margin} bits per dimension from none."
    )


def claims(study: Study, tests: "DataFrame") -> list[Claim]:
    """Every comparison of the study, by its test of the total; `tests` has Holm's correction over all of them."""
    rows = totals(tests)
    return [
        Claim(
            claim=f"{row['lower']} < {row['than']}",
            of=where(study, row["dataset"], row["schedule"]),
            n=f"{row['n_lower']}, {row['n_than']}",
            difference=interval(row, "difference", "ci95_low", "ci95_high"),
            p="exact" if exact(row) else p_value(row["p_less"]),
            holm="exact" if exact(row) else p_value(row["p_holm"]),
            reading=said[0].upper() + said[1:],
        )
        for row in rows
        for said in [reading(row, len(rows))]
    ]


def totals(tests: "DataFrame") -> list[dict[str, Any]]:
    """The tests of the total loss, a row per comparison."""
    return tests[tests["term"] == "total"].to_dict("records")


def exact(row: dict[str, Any]) -> bool:
    """Whether neither model's loss varies over its seeds: the difference is known, and there is nothing to test."""
    return row["ci95_low"] == row["ci95_high"]


def reading(row: dict[str, Any], tests: int) -> str:
    """What one of so many tests says of its claim, and no more; goes on from "The test"."""
    if exact(row):
        return f"is not needed: no seed's loss differs from another's, and {_compared(row)}."
    if row["ci95_low"] > 0:
        return f"speaks against the claim: {row['lower']} is higher, by more than the choice of seeds explains."
    if row["p_less"] > LEVEL:
        return "decides nothing: the choice of seeds alone brings about differences like this."
    corrected = f", {'also' if row['p_holm'] <= LEVEL else 'but not'} after Holm's correction" if tests > 1 else ""
    caution = "" if row["ci95_high"] < 0 else " The two-sided interval still reaches 0."
    return f"speaks for the claim{corrected}.{caution}"


def where(study: Study, dataset: str, schedule: str) -> str:
    """Digits, fixed schedule."""
    return f"{study.spec(dataset).title}, {schedule} schedule"


def _compared(row: dict[str, Any]) -> str:
    difference = row["difference"]
    if difference == 0:
        return f"{row['lower']} and {row['than']} are equal"
    return f"{row['lower']} is {'lower' if difference < 0 else 'higher'} by {number(abs(difference), 4)}"


def _what(study: Study) -> str:
    models = (
        f"{len(study.model_names)} models" if len(study.model_names) > 1 else f"one model, {study.model_names[0]},"
    )
    begin = "compares" if len(study.model_names) > 1 else "is of"
    titles = listed(study.spec(name).title for name in study.datasets)
    sentences = [f"This study {begin} {models} on {titles}.", *(_each(study, name) for name in study.datasets)]
    trained, taken = len(study.training), len(study.weights)
    if not taken:
        sentences.append(f"That makes {counted(trained, 'training')} in all.")
    elif not trained:
        sentences.append("Nothing was trained here: all weights are the authors' own.")
    else:
        were = "was" if trained == 1 else "were"
        sentences.append(
            f"Of {trained + taken:,} runs, {trained:,} {were} trained here; the others' weights are the authors'."
        )
    return " ".join([*sentences, *weighted(study)])


def _each(study: Study, dataset: str) -> str:
    """On Digits, VDMv-2 and DiffEnc-2-1 with the fixed noise schedule were trained for 600 steps, 3 seeds each."""
    groups = {schedule: list(models) for (_, schedule), models in study.groups(dataset).items()}
    if len({tuple(models) for models in groups.values()}) == 1:
        plural = "s" if len(groups) > 1 else ""
        what = f"{listed(next(iter(groups.values())))} with the {listed(groups)} noise schedule{plural}"
    else:
        what = "; ".join(
            f"{listed(models)} with the {schedule} noise schedule" for schedule, models in groups.items()
        )
    seeds = [len(runs) for models in study.groups(dataset).values() for runs in models.values()]
    steps = [training.steps for run, training in study.training.items() if run.dataset == dataset]
    done = [f"trained for {ranged(steps, 'step')}"] if steps else []
    done += ["taken from the authors"] if any(run.dataset == dataset for run in study.weights) else []
    were, each = ("was", "") if len(seeds) == 1 else ("were", " each")
    title = study.spec(dataset).title
    return f"On {title}, {what} {were} {' or '.join(done)}, with {ranged(seeds, 'seed')}{each}."


def _measured(study: Study, runs: "DataFrame") -> str:
    """What the numbers are: a sentence for each way in which data sets are measured."""
    facts = runs.drop_duplicates("dataset").set_index("dataset")
    ways: dict[tuple[int, str], list[str]] = {}
    for name in study.datasets:
        ways.setdefault(tuple(facts.loc[name, ["passes", "protocol"]]), []).append(name)
    sentences = [
        "Every number is the variational bound on the negative log likelihood of test images, in bits per dimension:"
        " lower is better."
    ]
    for (passes, protocol), names in ways.items():
        on = f"On {listed(study.spec(name).title for name in names)} it" if len(ways) > 1 else "It"
        images = listed(f"{facts['images'][name]:,} of {study.spec(name).title}" for name in names)
        how = f"is averaged over {passes:,} passes" if passes > 1 else "is of 1 pass"
        sentences.append(f"{on} {how} with {_NOISE[protocol]} (test images: {images}).")
    return " ".join(sentences)


def _finding(study: Study, tests: "DataFrame | None") -> str:
    if tests is None:
        return (
            "The study names no comparison, so nothing is tested: differences between the models below may be due to"
            " the choice of seeds."
        )
    rows = totals(tests)
    first = rows[0]
    title = study.spec(first["dataset"]).title
    said = reading(first, len(rows))
    sentences = [
        f"The main comparison, the study's first, is whether {first['lower']} has a lower loss than {first['than']}"
        f" on {title} with the {first['schedule']} schedule. {_found(first)} The test {said}"
    ]
    if len(rows) > 1:
        passed = sum(row["p_holm"] <= LEVEL for row in rows)
        sentences.append(
            f"Of the study's {len(rows)} claims, {passed or 'none'} {'passes' if passed < 2 else 'pass'} the 5 %"
            " level after Holm's correction."
        )
    sentences.append(
        "This is about the expected loss of these models, trained in this way on these data; it says nothing of other"
        " data, longer training or the look of samples."
    )
    return " ".join(sentences)


def _found(row: dict[str, Any]) -> str:
    mean_lower, mean_than, size, low, high = (
        number(row[name], 4) for name in ("mean_lower", "mean_than", "difference", "ci95_low", "ci95_high")
    )
    means = f"Over {_seeds(row)} the means are {mean_lower} and {mean_than} bits per dimension"
    if exact(row):
        return f"{means}."
    p = p_value(row["p_less"])
    return (
        f"{means}: a difference of {size}, with a 95 % interval from {low} to {high}, and a one-sided"
        f" p {p if p[0] in '<>' else f'= {p}'} by Welch's test."
    )


def _seeds(row: dict[str, Any]) -> str:
    lower, than = row["n_lower"], row["n_than"]
    return f"{counted(lower, 'seed')} each" if lower == than else f"{lower} and {counted(than, 'seed')}"
