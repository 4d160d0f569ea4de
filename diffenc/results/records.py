"""Records of a run as JSON: evaluation.json, cost.json, history.jsonl, read strictly."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from diffenc.io.errors import UserError, make
from diffenc.io.schema import explain
from diffenc.results.custody import unsealed
from diffenc.study.stages import TERMS

if TYPE_CHECKING:
    from pandas import DataFrame


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
    schedule: str
    seed: int
    protocol: str
    evaluation_seed: int
    passes: int
    images: int
    steps: int
    training: dict[str, int | float | str | dict[str, bool | float | str]]
    parameters: int
    gamma_0: FiniteFloat
    gamma_1: FiniteFloat
    bpd: Terms
    loss_per_t: list[TimeBin]


class Use(Record):
    """What one process of a training used of its share of what SLURM gave the job.

    Memory of its host and hours: the most of any attempt; CPUs: the mean over all. Given: to the last attempt; None:
    as much as it likes.
    """

    memory_gib: FiniteFloat
    memory_gib_given: FiniteFloat | None
    hours: FiniteFloat
    hours_given: FiniteFloat | None
    cpus: FiniteFloat | None
    cpus_given: FiniteFloat | None


class Cost(Record):
    """What a training took, over all its restarts: hours of all its devices, and the most memory in one of them.

    `use`: of a job of SLURM's; earlier versions did not write it.
    """

    device: str
    device_hours: FiniteFloat
    peak_gib: FiniteFloat
    attempts: int
    use: Use | None = None


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
    content = unsealed(Path(path), _json(path, _read(path)))
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


def _read(path: Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {make(path)}")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is damaged, not text; {make(path)}")


def _json(path: Path, text: str, place: str = "") -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: {place}is damaged, not JSON ({error.msg}); {make(path)}")
