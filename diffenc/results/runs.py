"""runs.csv: every run and term of a study, collected from the runs' records, and checked."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from diffenc.io.errors import UserError, make
from diffenc.results.records import read_cost, read_evaluation
from diffenc.study.stages import COST, EVALUATION, RUNS, TERMS
from diffenc.study.study import Run, Study, run_folder

if TYPE_CHECKING:
    from pandas import DataFrame


IDENTITY = ("dataset", "model", "schedule", "seed")
PROVENANCE = ("release", "images", "passes", "protocol")
COST_COLUMNS = ("device", "device_hours", "peak_gib", "attempts")
RUN_COLUMNS = (
    *("dataset", "release", "model", "schedule", "seed", "term", "bpd", "mc_se", "images", "passes"),
    *("protocol", "steps", "parameters", "gamma_0", "gamma_1"),
    *COST_COLUMNS,
)
# for weights that were trained elsewhere
NOT_TRAINED_HERE = dict.fromkeys(COST_COLUMNS)


def collect(study: Study, folder: Path) -> "DataFrame":
    """Every run of the study, a row per run and term: the tidy runs.csv. `folder` is results/STUDY.

    Raises:
        UserError: an evaluation.json is missing, damaged or of another run than its place says.
    """
    import pandas as pd

    rows = []
    for run in study.all_runs:
        path = run_folder(folder, run) / EVALUATION
        remedy = make(f"results/{study.name}/runs/{run.path}/{EVALUATION}")
        if not path.is_file():
            raise UserError(f"{path}: is missing; {remedy}")
        found = read_evaluation(path)
        for key, value in _expected(study, run).items():
            if getattr(found, key) != value:
                raise UserError(
                    f"{path}: is of another run: {key} is {getattr(found, key)!r}, the study says {value!r}; {remedy}"
                )
        cost = read_cost(path.with_name(COST)).model_dump() if run in study.training else NOT_TRAINED_HERE
        for term in TERMS:
            bpd = getattr(found.bpd, term)
            values = found.model_dump() | cost | {"term": term, "bpd": bpd.mean, "mc_se": bpd.mc_se}
            rows.append({column: values[column] for column in RUN_COLUMNS})
    runs = pd.DataFrame(rows, columns=list(RUN_COLUMNS)).astype({"mc_se": float})
    check_runs(study, runs)
    return runs


def _expected(study: Study, run: Run) -> dict[str, object]:
    """What an evaluation of `run` must say of itself."""
    settings = study.evaluation_of(run.dataset)
    spec = study.spec(run.dataset)
    count = settings.images or spec.test
    if settings.protocol == "authors":
        count -= count % spec.batch
    training = study.training.get(run)
    protocol = {"steps": training.steps, "training": training.results()} if training else {"training": {}}
    return {
        "study": study.name,
        **run._asdict(),
        **protocol,
        "protocol": settings.protocol,
        "passes": settings.passes,
        "evaluation_seed": settings.seed,
        "images": count,
    }


def read_runs(path: Path) -> "DataFrame":
    """Read a runs.csv.

    Raises:
        UserError: the file is missing, is not a table or lacks a column.
    """
    return read_table(path, RUN_COLUMNS)


def check_runs(study: Study, runs: "DataFrame") -> None:
    """Refuse runs that are not exactly the study's: n is never quietly smaller or larger than the study says.

    Raises:
        UserError: a run or term is missing, given twice, not in the study, not a finite number, or the runs of
            a data set differ in its release, or those of a model in steps, parameters, protocol or passes.
    """
    remedy = make(f"results/{study.name}/{RUNS}")
    found = Counter(
        (Run(*identity), term) for *identity, term in runs[[*IDENTITY, "term"]].itertuples(index=False, name=None)
    )
    expected = dict.fromkeys((run, term) for run in study.all_runs for term in TERMS)
    faults = [(key, "is missing") for key in expected if key not in found]
    faults += [(key, "is given twice") for key, count in found.items() if count > 1]
    faults += [(key, "is not in the study") for key in found if key not in expected]
    if faults:
        ((run, term), fault), more = faults[0], len(faults) - 1
        raise UserError(
            f"{RUNS}: {run.path}, term {term}, {fault}{f' (and {more} more faults)' if more else ''}; {remedy}"
        )
    finite = runs["bpd"].abs() < float("inf")
    if not finite.all():
        bad = runs[~finite].iloc[0]
        raise UserError(f"{RUNS}: {bad['dataset']}/{bad['model']} seed {bad['seed']}: bpd is {bad['bpd']}; {remedy}")
    one_model = ["dataset", "model", "schedule"]
    of_a_model = ("steps", "parameters", "protocol", "passes", "images")
    alike = [(["dataset"], "release"), *((one_model, column) for column in of_a_model)]
    for group, column in alike:
        for name, values in runs.groupby(group)[column]:
            if values.nunique(dropna=False) > 1:
                both = " and ".join(map(repr, values.unique()[:2].tolist()))
                raise UserError(f"{RUNS}: {'/'.join(name)}: {column} is {both}, not comparable; {remedy}")


def read_table(path: Path, columns: tuple[str, ...]) -> "DataFrame":
    """A csv file with these columns. Raises UserError if it is missing, is no table or lacks one."""
    import pandas as pd

    try:
        frame = pd.read_csv(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {make(path)}")
    except ValueError as error:  # the parser's own errors derive from it
        raise UserError(
            f"{path}: is not a table ({' '.join(str(error).split())}); delete it, then `snakemake {path}`"
        )
    for column in columns:
        if column not in frame.columns:
            raise UserError(f"{path}: has no column {column}; {make(path)}")
    return frame
