"""What likelihood.json says of a run: the ODE's log likelihood that `diffenc.evaluation.likelihood` measures."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, FiniteFloat

from diffenc.io.errors import UserError, make
from diffenc.results.records import Record, Term, read_record

_SETTINGS = ("images", "draws", "probes", "tolerance", "steps", "precision", "passes", "seed")


class Way(Record):
    """A bound on the ODE's -log p(x), in bits per dimension.

    Attributes:
        dequantisation: how z_0 is drawn.
        ode: the bound.
        weighted: the importance-weighted one of all draws; None of one draw, or with probes.
        dequantisation_se, probes_se: standard errors over draws and probes; None of one, or with an exact trace.
        solver: mean over images of the absolute difference to a finer solution.
        evaluations: of the network for a solution, the mean.
        gap: the model's bound less `ode`.
        gap_se: its standard error, by passes, draws and probes.
    """

    dequantisation: str
    ode: FiniteFloat
    weighted: FiniteFloat | None
    dequantisation_se: FiniteFloat | None
    probes_se: FiniteFloat | None
    solver: FiniteFloat
    evaluations: FiniteFloat
    gap: FiniteFloat
    gap_se: FiniteFloat | None


class AtTime(Record):
    """At t, E log q(z_t | x) - log p(z_t) in bits per dimension, by the bound and by the ODE, of so many images."""

    t: FiniteFloat
    bound: FiniteFloat
    ode: FiniteFloat
    images: int


class Likelihoods(Record):
    """What likelihood.json says of a run; `bound` is the negative ELBO of the same images."""

    images: int
    draws: int
    probes: int | None
    tolerance: float
    steps: int | None
    precision: str
    passes: int
    seed: int
    bound: Term
    ways: list[Way] = Field(min_length=1)
    over_t: list[AtTime]


def read_alike(paths: Iterable[Path]) -> list[Likelihoods]:
    """Read several likelihood.json that are to stand side by side.

    Raises:
        UserError: a file is missing or damaged, or was made with other settings than the first.
    """
    records = [(path, read_record(Likelihoods, path)) for path in paths]
    first, of_first = records[0]
    for path, record in records[1:]:
        for key, found, expected in zip(
            (*_SETTINGS, "dequantisation"), _settings(record), _settings(of_first), strict=True
        ):
            if found != expected:
                raise UserError(f"{path}: {key} is {found}, in {first} it is {expected}; {make(path)}")
    return [record for _, record in records]


def _settings(record: Likelihoods) -> tuple[object, ...]:
    return *(getattr(record, name) for name in _SETTINGS), [way.dequantisation for way in record.ways]
