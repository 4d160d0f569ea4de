"""Table `seeds`: every seed's loss on the test set."""

import math

import pandas as pd

from diffenc.reporting.tables.common import first_of, groups_of, titled
from diffenc.reporting.tables.components import ENDS
from diffenc.results.runs import PROVENANCE
from diffenc.statistics.welch import summarise
from diffenc.study.stages import TERMS
from diffenc.study.study import Study
from diffenc.zoo.configs import FIXED_ENDS


def seeds(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Every run, a row per seed, then a row `mean` and a row `SE` (over seeds) for each model.

    Terms are in bits per dimension; total_mc_se is the Monte Carlo standard error of one run's total; gamma_0
    and gamma_1 are given where they are learned only.

    Raises:
        UserError: `runs` is not exactly the study's.
    """
    rows = []
    for key, group in groups_of(study, runs):
        wide = group.pivot(index="seed", columns="term", values="bpd").loc[group["seed"].unique(), list(TERMS)]
        totals = group[group["term"] == "total"].set_index("seed")
        for end in ENDS:
            wide[end] = math.nan if key["schedule"] in FIXED_ENDS else totals[end]
        facts = first_of(group, *PROVENANCE)
        for seed, values in wide.iterrows():
            rows.append(key | {"seed": str(seed), "total_mc_se": totals["mc_se"][seed]} | dict(values) | facts)
        over_seeds = {column: summarise(wide[column]) for column in wide}
        for name, part in (("mean", "mean"), ("SE", "se")):
            values = {column: getattr(summary, part) for column, summary in over_seeds.items()}
            rows.append(key | {"seed": name, "n": len(wide)} | values | facts)
    order = ["dataset", "schedule", "model", "seed", "n", *TERMS, "total_mc_se", *ENDS, *PROVENANCE]
    return titled(pd.DataFrame(rows)[order].astype({"n": "Int64"}), study)
