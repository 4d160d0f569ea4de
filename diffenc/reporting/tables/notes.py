"""What the tables of inference say and what they cannot: their notes."""

import pandas as pd

from diffenc.statistics.resampling import RELABELLINGS
from diffenc.study.study import Study

# by protocol, what the standard error over images leaves out or adds
_OVER_IMAGES = {
    "full": "Under protocol full the times of a pass are spread evenly over the images, which are thus not quite"
    " independent: the mean errs less than it would with independent ones, and the SE over images is conservative.",
    "authors": "Under protocol authors all batches have the same times and noise: what these add to the error of the"
    " mean is common to all batches, and the SE over images leaves it out.",
    "given": "Under given noise the SE over images takes the images' times and noise to be independent of each other;"
    " whether they are is up to who gave them.",
}


def of_statistics(frame: pd.DataFrame, whole: bool) -> list[str]:
    """Of the tests across seeds; `whole`: Holm's family is the whole study's, not only this table's."""
    count = 0 if frame.empty else frame["holm_tests"].iloc[0]
    notes = [
        "Totals in bits per dimension, a value a seed. Difference: the first model's mean minus the second's,"
        " negative where the claim holds; Hedges' g: that over the pooled standard deviation, corrected for small"
        " samples. These are claims about new trainings of the models.",
        "p: one-sided, that the first is lower. p, Holm: Welch's, corrected for a family of"
        f" {count} test{'' if count == 1 else 's'}, all one-sided tests of totals"
        f" {'in the whole study' if whole else 'in this table'}; claiming those at most 0.05, the chance of any false"
        " claim in the family is at most 5 %.",
        "p, permutation: exact, the share of all relabellings of the seeds whose difference is as low; in brackets"
        " the least that these seeds allow, reached when every seed of the first model is below every seed of the"
        " second. With three seeds of each model it is 0.05: such a p-value is then no sign of a small effect.",
        "Bootstrap: percentile interval over resamples of the seeds. With few seeds it is too narrow: with three of"
        " each model, normally distributed, it covers the true difference in about 80 % of cases instead of 95; rely"
        " on Welch's.",
    ]
    if frame["p_permutation"].isna().any():
        notes.append(f"n/a: more than {RELABELLINGS:,} relabellings are not enumerated.")
    if (frame["ci95_low"] == frame["ci95_high"]).any():
        notes.append("exact: the total varies over the seeds of neither model, the difference needs no test.")
    return notes + _none(frame)


def of_power(study: Study, frame: pd.DataFrame) -> list[str]:
    """Of power and the seeds needed."""
    notes = [
        "Power: the chance that Welch's one-sided test at 5 % finds a true difference of so many bits per dimension"
        " with the n seeds there are, if the standard deviations (SD) over seeds are those found. Seeds: the fewest"
        " of each model for a power of 80 %. Exact for normal values: averaged over both variances' chi-square"
        " distributions. A test that is one of a family, and corrected, needs more.",
        "In brackets: the seeds needed if both SD are at the upper end of their 90 % intervals (chi-square). The SD"
        " may be from 0.6 to 4.4 times what three seeds show, from 0.6 to 2.4 times what five show: power and seeds"
        " are as uncertain.",
    ]
    if (frame[["sd_lower", "sd_than"]] == 0).any(axis=None):
        notes.append("no spread: all seeds have the same value; where neither model varies, two seeds show it all.")
    lone = [runs[0].path for group in study.groups().values() for runs in group.values() if len(runs) == 1]
    if lone:
        notes.append(f"Not planned with, as a spread needs two seeds: {', '.join(lone)}.")
    return notes + _none(frame)


def of_paired(study: Study, runs: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """Of the comparison over test images."""
    notes = [
        "Each test image's total in bits per dimension, averaged over passes and, in the rows of all, over seeds;"
        " both models had the same times and noise for it. Difference: the mean over images of the first model's"
        " minus the second's, with its paired t-test, one-sided: that the first is lower; narrowing: the standard"
        " error (SE) without pairing over that with it; correlation: of the two models' totals.",
        "What this claims: that THESE trained networks differ on new images. It does not claim that new trainings"
        " would: how the difference changes from one pair of trainings to the next is what the rows of pairs and"
        " their SD show, and where that SD is not far below the difference, a tiny p here is no evidence for the"
        " model. The claim about new trainings is the test across seeds. The p-values here are outside its family,"
        " and uncorrected.",
    ]
    notes += [_OVER_IMAGES[protocol] for protocol in dict.fromkeys(runs["protocol"])]
    return notes + _uneven(study) + _none(frame)


def _uneven(study: Study) -> list[str]:
    """Of which comparisons' models one has more seeds."""
    uneven = [
        f"{c.lower} < {c.than} ({c.dataset}, {c.schedule})"
        for c in study.comparisons
        if len({len(study.groups()[c.dataset, c.schedule][model]) for model in (c.lower, c.than)}) > 1
    ]
    return [f"One model has more seeds, the pairs are of its first ones: {', '.join(uneven)}."] if uneven else []


def _none(frame: pd.DataFrame) -> list[str]:
    return ["The study names no comparison here."] if frame.empty else []
