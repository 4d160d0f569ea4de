"""A study in sentences, written from its data: what was run, the main comparison, what a test says and does not."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from diffenc.inference import holm
from diffenc.results import PROVENANCE
from diffenc.study import Study
from diffenc.typeset import interval, number, p_value

if TYPE_CHECKING:
    from pandas import DataFrame

LEVEL = 0.05  # the usual one; the page names it where it is used


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
    """3 seeds; 3 to 5 seeds."""
    low, high = min(counts := list(counts)), max(counts)
    return counted(low, noun) if low == high else f"{low:,} to {counted(high, noun)}"


def summary(study: Study, runs: "DataFrame", tests: "DataFrame | None") -> list[str]:
    """The study in a few sentences a paragraph: what was run, how it is measured, the main comparison."""
    return [_what(study), _measured(study, runs), *_main(study, tests)]


def claims(study: Study, tests: "DataFrame") -> list[Claim]:
    """Every comparison of the study, by its test of the total; Holm's correction is over all of them."""
    rows = totals(tests)
    adjusted = holm([row["p_less"] for row in rows])
    return [
        Claim(
            claim=f"{row['lower']} < {row['than']}",
            of=where(study, row["dataset"], row["schedule"]),
            n=f"{row['n_lower']}, {row['n_than']}",
            difference=interval(row, "difference", "ci95_low", "ci95_high"),
            p="exact" if exact(row) else p_value(row["p_less"]),
            holm="exact" if exact(row) else p_value(p),
            reading=reading(row, p),
        )
        for row, p in zip(rows, adjusted, strict=True)
    ]


def totals(tests: "DataFrame") -> list[dict[str, Any]]:
    """The tests of the total loss, a row per comparison."""
    return tests[tests["term"] == "total"].to_dict("records")


def exact(row: dict[str, Any]) -> bool:
    """Whether neither model's loss varies over its seeds: the difference is known, and there is nothing to test."""
    return row["ci95_low"] == row["ci95_high"]


def reading(row: dict[str, Any], p_holm: float) -> str:
    """What a test says of its claim, and no more."""
    lower, than, low, high = row["lower"], row["than"], row["ci95_low"], row["ci95_high"]
    if exact(row):
        return f"No seed differs from another: {_compared(row)}, and there is nothing to test."
    if low > 0:
        return f"Speaks against the claim: {lower} is higher, by more than the spread over seeds explains."
    if row["p_less"] >= LEVEL:
        return "Undecided: a difference like this is within what the seeds alone bring about."
    still = "and still does" if p_holm < LEVEL else "but no longer does"
    caution = "" if high < 0 else " The two-sided interval still reaches 0."
    return (
        f"Supports that {lower} is lower than {than}: passes the 5 % level alone, {still} after Holm's correction."
        + caution
    )


def where(study: Study, dataset: str, schedule: str) -> str:
    """Digits, fixed schedule."""
    return f"{study.facts(dataset).title}, {schedule} schedule"


def _compared(row: dict[str, Any]) -> str:
    difference = row["difference"]
    if difference == 0:
        return f"{row['lower']} and {row['than']} are equal"
    return f"{row['lower']} is {'lower' if difference < 0 else 'higher'} by {number(abs(difference), 4)}"


def _what(study: Study) -> str:
    sentences = [_each(study, dataset) for dataset in study.datasets]
    trained, taken = len(study.training), len(study.weights)
    if trained and taken:
        sentences.append(
            f"Of the {counted(trained + taken, 'run')}, {trained:,} {_were(trained)} trained here; the weights of the"
            f" other {taken:,} are the authors' own."
        )
    elif taken:
        sentences.append(f"Nothing was trained here: {_all(taken, 'run')} evaluated with the authors' own weights.")
    else:
        sentences.append(f"That makes {counted(trained, 'training')} in all.")
    return " ".join(sentences)


def _all(count: int, noun: str) -> str:
    return f"the one {noun} is" if count == 1 else f"all {count:,} {noun}s are"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _each(study: Study, dataset: str) -> str:
    """On Digits: VDMv-2 and DiffEnc-2-1, with fixed and learned schedules, 3 seeds each, 600 steps a training."""
    groups = study.groups(dataset)
    models = list(dict.fromkeys(model for group in groups.values() for model in group))
    schedules = list(dict.fromkeys(schedule for _, schedule in groups))
    seeds = [len(runs) for group in groups.values() for runs in group.values()]
    steps = [training.steps for run, training in study.training.items() if run.dataset == dataset]
    kinds = f"{listed(schedules)} noise schedule{'s' if len(schedules) > 1 else ''}"
    each = " each" if len(seeds) > 1 else ""
    length = f", {ranged(steps, 'step')} a training" if steps else ""
    with_a = "with a" if len(schedules) == 1 else "with"
    return (
        f"On {study.facts(dataset).title}: {listed(models)}, {with_a} {kinds}, {ranged(seeds, 'seed')}{each}{length}."
    )


def _measured(study: Study, runs: "DataFrame") -> str:
    """What the numbers are; said once where the data sets agree."""
    facts = runs.drop_duplicates("dataset").set_index("dataset")
    images = listed(f"{facts['images'][name]:,} of {study.facts(name).title}" for name in study.datasets)
    passes, protocol = (runs[column].iloc[0] for column in PROVENANCE[2:])
    noise = (
        "fresh noise that is the same for every model"
        if protocol == "full"
        else "noise as the authors' code draws it"
    )
    return (
        "Every number is the variational bound on the negative log likelihood of test images, in bits per dimension:"
        f" lower is better. It is averaged over {counted(passes, 'pass', 'passes')} with {noise}"
        f" (test images: {images})."
    )


def _main(study: Study, tests: "DataFrame | None") -> list[str]:
    if tests is None:
        return [
            "The study names no comparison, so nothing is tested: differences between the models below may be due to"
            " their seeds."
        ]
    first, *others = totals(tests)
    p_holm, *_ = holm([row["p_less"] for row in [first, *others]])
    sentences = [
        f"The main comparison, the first that the study names, claims that {first['lower']} has a lower loss than"
        f" {first['than']} on {where(study, first['dataset'], first['schedule'])}.",
        _found(first),
        reading(first, p_holm),
        "This is about the expected loss of these models when they are trained in this way on these data, as"
        f" {_seeds(first)} show it; it says nothing of other data, longer training, or the look of samples.",
    ]
    if others:
        below = sum(p < LEVEL for p in holm([row["p_less"] for row in [first, *others]]))
        count = len(others) + 1
        sentences.append(
            f"Of all {count} claims that the study tests, {below or 'none'} {'passes' if below < 2 else 'pass'} the"
            " 5 % level after Holm's correction."
        )
    return [" ".join(sentences)]


def _found(row: dict[str, Any]) -> str:
    means = f"{number(row['mean_lower'], 4)} against {number(row['mean_than'], 4)} bits per dimension"
    if exact(row):
        return f"Found: {means}."
    size, low, high = (number(row[name], 4) for name in ("difference", "ci95_low", "ci95_high"))
    p = p_value(row["p_less"])
    return (
        f"Found: {means}, a difference of {size} (95 % interval {low} to {high}); one-sided p"
        f" {p if p[0] in '<>' else f'= {p}'} by Welch's test."
    )


def _seeds(row: dict[str, Any]) -> str:
    lower, than = row["n_lower"], row["n_than"]
    return f"{counted(lower, 'seed')} each" if lower == than else f"{lower} and {counted(than, 'seed')}"
