"""What depth.json says of a run: the bounds of finite depth T that `diffenc.evaluation.finite_depth` measures."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, FiniteFloat

from diffenc.io.errors import UserError, make
from diffenc.results.records import Record, Term, Terms, read_record

EQUAL, BEST = "sigma_Q", "best"
# in the best steps, with sigma_Q and with the best sigma_P
STEPS, BOTH = "best_steps", "best_steps_and_sigma_P"

_SETTINGS = ("images", "passes", "seed", "fitted_on", "depths", "bounds")


class Bound(Record):
    """A bound in bits per dimension; `diffusion` is the sum of KLs, `excess` the total less the continuous one."""

    total: Term
    diffusion: Term
    excess: Term


class Ratio(Record):
    """The best w of steps near t, fitted on n draws."""

    t: FiniteFloat
    w: FiniteFloat
    n: int


class AtDepth(Record):
    """One T: its bounds by the choice of w (sigma_Q is w = 1), and the best w over t.

    `gammas`: those between which the best steps lead, (T + 1,), by bound.
    """

    T: int
    bounds: dict[str, Bound]
    ratio: list[Ratio]
    gammas: dict[str, list[FiniteFloat]] = Field(default_factory=dict)


class FiniteDepth(Record):
    """What depth.json says of a run; every bound has the continuous one's latent and reconstruction.

    `fitted_on`: so many training images gave the best steps.
    """

    images: int
    passes: int
    seed: int
    fitted_on: int = 0
    continuous: Terms
    depths: list[AtDepth]


def name_of(ratio: float) -> str:
    """What the bound of a fixed w is called."""
    return f"w={ratio:g}"


def read(path: Path) -> FiniteDepth:
    """Read one depth.json.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_record(FiniteDepth, path)


def read_alike(paths: Iterable[Path]) -> list[FiniteDepth]:
    """Read several depth.json that are to stand side by side.

    Raises:
        UserError: a file is missing or damaged, or was made with other settings than the first.
    """
    records = [(path, read(path)) for path in paths]
    first, of_first = records[0]
    for path, record in records[1:]:
        for key, found, expected in zip(_SETTINGS, _settings(record), _settings(of_first), strict=True):
            if found != expected:
                raise UserError(f"{path}: {key} is {found}, in {first} it is {expected}; {make(path)}")
    return [record for _, record in records]


def _settings(record: FiniteDepth) -> tuple[object, ...]:
    bounds = [list(at.bounds) for at in record.depths]
    return record.images, record.passes, record.seed, record.fitted_on, [at.T for at in record.depths], bounds
