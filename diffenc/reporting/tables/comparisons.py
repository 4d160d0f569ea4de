"""Table `comparisons`: Welch's tests across seeds, for each term of the loss."""

import pandas as pd

from diffenc.reporting.tables.common import titled
from diffenc.results.runs import PROVENANCE, check_runs
from diffenc.study.study import Study


def comparisons(study: Study, runs: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """The tests, a row per comparison and term: tests.csv's columns, and what data and protocol they rest on.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    check_runs(study, runs)
    facts = runs.drop_duplicates("dataset").set_index("dataset")[list(PROVENANCE)]
    return titled(tests.join(facts, on="dataset"), study)
