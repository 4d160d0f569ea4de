"""Where results lie and what they are called: a run's files, a study's tables, their columns, the order of terms."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from diffenc.errors import UserError
from diffenc.files import write_file
from diffenc.settings import explain
from diffenc.study import Run, Study

if TYPE_CHECKING:
    from pandas import DataFrame

TERMS = ("total", "diffusion", "latent", "reconstruction")

MODEL = "model.safetensors"
CONFIG = "config.yaml"
HISTORY = "history.jsonl"
COST = "cost.json"
TRAINED = (HISTORY, COST, CONFIG, MODEL)
EVALUATION = "evaluation.json"
PER_IMAGE = "evaluation.npz"
ENCODINGS = "encodings.npz"
SAMPLES = "samples.npz"
INSPECTION = "inspection.npz"
DEPTH = "depth.json"
FID_SAMPLES = "fid_samples"
FID = "fid.json"
# the times that heat maps need, in steps of 0.1, and those at which encodings are shown
HEATMAP_TIMES = tuple(round(0.1 * i, 1) for i in range(11))
ENCODING_TIMES = (0.0, 0.7, 0.8, 0.9, 0.92, 0.94, 0.96, 0.98, 1.0)
RUNS = "runs.csv"
TESTS = "tests.csv"
# of a study that was trained elsewhere, as sha256sum writes them: the weights themselves stayed there
CHECKSUMS = "weights.sha256"

IDENTITY = ("dataset", "model", "schedule", "seed")
PROVENANCE = ("release", "images", "passes", "protocol")
RUN_COLUMNS = (
    *("dataset", "release", "model", "schedule", "seed", "term", "bpd", "mc_se", "images", "passes"),
    *("protocol", "steps", "parameters", "gamma_0", "gamma_1"),
    *("device", "device_hours", "peak_gib", "attempts"),
)
TEST_COLUMNS = (
    *("dataset", "schedule", "lower", "than", "term", "n_lower", "n_than", "mean_lower", "mean_than"),
    *("difference", "ci95_low", "ci95_high", "t", "df", "p_less", "p_two_sided", "hedges_g"),
)


class Record(BaseModel):
    """What a stage wrote as JSON; read strictly."""

    model_config = ConfigDict(strict=True, frozen=True)


Kind = TypeVar("Kind", bound=Record)


class Term(Record):
    """A term's mean over passes and images, and its Monte Carlo standard error (None with one pass)."""

    mean: FiniteFloat
    mc_se: FiniteFloat | None


class Terms(Record):
    """The terms of the negative ELBO, in bits per dimension."""

    total: Term
    diffusion: Term
    latent: Term
    reconstruction: Term


class TimeBin(Record):
    """The diffusion loss near time t, in bits per dimension per unit of t; a bin without draws is left out."""

    t: FiniteFloat
    diffusion: FiniteFloat | None
    se: FiniteFloat | None
    n: int


class Evaluated(Record):
    """What evaluation.json says of a run."""

    study: str
    dataset: str
    release: str
    model: str
    schedule: Literal["fixed", "learned"]
    seed: int
    protocol: str
    evaluation_seed: int
    passes: int
    images: int
    steps: int
    training: dict[str, int | float | str]
    parameters: int
    gamma_0: FiniteFloat
    gamma_1: FiniteFloat
    bpd: Terms
    loss_per_t: list[TimeBin]


class Cost(Record):
    """What a training took, over all its restarts: hours of all its devices, and the most memory in one of them."""

    device: str
    device_hours: FiniteFloat
    peak_gib: FiniteFloat
    attempts: int


# runs.csv's columns of cost for weights that were trained elsewhere
NOT_TRAINED_HERE = dict.fromkeys(Cost.model_fields)


def study_folder(study: Study) -> Path:
    """Where a study's results lie, below the working directory."""
    return Path("results") / study.name


def run_folder(folder: Path, run: Run) -> Path:
    """The folder of a run's files below the study's."""
    return Path(folder) / "runs" / run.path


def write_csv(frame: "DataFrame", path: Path) -> None:
    """Write a frame with all its digits, in one step; a missing value is an empty field."""
    write_file(path, frame.to_csv(index=False, lineterminator="\n"))


def read_evaluation(path: Path) -> Evaluated:
    """Read one evaluation.json.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_record(Evaluated, path)


def read_cost(path: Path) -> Cost:
    """Read one cost.json; raises UserError as `read_evaluation` does."""
    if not path.is_file():
        # not by --force: that would train again
        raise UserError(f"{path}: is missing; `snakemake {path} --cores 1` and the study's --configfile give it back")
    return read_record(Cost, path)


def read_record(kind: type[Kind], path: Path) -> Kind:
    """Read a file of that kind. Raises UserError if it is missing or damaged."""
    content = _json(path, _read(path))
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: is damaged, {explain(error)}; {make(path)}")


def read_history(path: Path) -> "DataFrame":
    """Read a history.jsonl: a row per logged step, in order of steps, terms in bits per dimension.

    Raises:
        UserError: the file is missing, empty, damaged or has a step twice.
    """
    import pandas as pd

    lines = [_json(path, line, f"line {i}: ") for i, line in enumerate(_read(path).splitlines(), start=1)]
    for i, line in enumerate(lines, start=1):
        for key in ("step", *TERMS):
            value = line.get(key) if isinstance(line, dict) else None
            if not isinstance(value, int | float):
                raise UserError(f"{path}: line {i}: {key} is not a number; {make(path)}")
    if not lines:
        raise UserError(f"{path}: is empty; {make(path)}")
    frame = pd.DataFrame(lines)
    if frame["step"].duplicated().any():
        step = frame["step"][frame["step"].duplicated()].iloc[0]
        raise UserError(f"{path}: step {step} is given twice; {make(path)}")
    return frame.sort_values("step", ignore_index=True)


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
    facts = study.facts(run.dataset)
    count = settings.images or facts.test
    if settings.protocol == "authors":
        count -= count % facts.batch
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


def make(path: Path | str) -> str:
    """The remedy for a result that is missing or damaged."""
    return f"make it with `snakemake --force {path} --cores 1`, and the study's --configfile"


def read_runs(path: Path) -> "DataFrame":
    """Read a runs.csv.

    Raises:
        UserError: the file is missing, is not a table or lacks a column.
    """
    return _read_table(path, RUN_COLUMNS)


def read_tests(path: Path) -> "DataFrame":
    """Read a tests.csv; raises UserError as `read_runs` does."""
    return _read_table(path, TEST_COLUMNS)


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


def _read_table(path: Path, columns: tuple[str, ...]) -> "DataFrame":
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


def _read(path: Path) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {make(path)}")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is damaged, not text; {make(path)}")


def _json(path: Path, text: str, place: str = "") -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: {place}is damaged, not JSON ({error.msg}); {make(path)}")
