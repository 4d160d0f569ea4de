"""A study of the paper's models and made-up results of it, for the tests of what stands beside the published ones."""

import pandas as pd

from diffenc.results.runs import NOT_TRAINED_HERE, RUN_COLUMNS, check_runs
from diffenc.study.load import parse_study
from diffenc.study.stages import TERMS
from diffenc.zoo.flops import parameters

SHARES = {"total": 1.0, "diffusion": 0.99, "latent": 0.002, "reconstruction": 0.008}
H100 = "NVIDIA H100 80GB HBM3"
LARGE = {"dataset": "cifar10", "models": ["VDMv-32", "DiffEnc-32-4"], "seeds": [1, 2, 3]}
SMALL = {"dataset": "cifar10", "models": ["VDMv-8", "DiffEnc-8-2", "DiffEnc-8-nt"], "seeds": [1, 2, 3]}
WIDE = {"dataset": "imagenet32", "models": ["DiffEnc-32-8"], "seeds": [1, 2]}


def study(*groups, comparisons=(), **more):
    """A study of these groups of runs, each trained for 1,000 steps unless it says otherwise."""
    trained = [group if "weights" in group else {"training": {"steps": 1000}} | group for group in groups]
    return parse_study(
        {"name": "made_up", "title": "Made up", "runs": trained, "comparisons": list(comparisons)} | more,
        "made_up.yaml",
    )


def runs(of, bpd, hours=lambda run: 2.0 + run.seed, device=lambda run: H100):
    """runs.csv of the study, with bpd(run) as a run's total."""
    rows = []
    for run in of.all_runs:
        spec, training = of.spec(run.dataset), of.training.get(run)
        cost = {"device": device(run), "device_hours": hours(run), "peak_gib": 10.0 + run.seed, "attempts": 1}
        known = {"release": spec.release, "mc_se": 0.001, "images": spec.test, "passes": 10, "protocol": "full"}
        known |= {"steps": training.steps if training else 12_000, "parameters": count(of, run)}
        known |= {"gamma_0": -13.3, "gamma_1": 5.0} | (cost if training else NOT_TRAINED_HERE)
        rows += [run._asdict() | known | {"term": term, "bpd": bpd(run) * SHARES[term]} for term in TERMS]
    frame = pd.DataFrame(rows)[list(RUN_COLUMNS)]
    check_runs(of, frame)
    return frame


def count(of, run):
    """The parameters of a run's model."""
    return parameters(of.shape(run), of.spec(run.dataset), run.schedule)
