"""Published numbers, to stand beside ours: config/published.yaml, their only source."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from diffenc.data import catalog
from diffenc.io.errors import UserError
from diffenc.io.schema import Positive, Strict, explain
from diffenc.io.yaml import read_yaml
from diffenc.study.settings import Schedule

Bits = Annotated[float, Field(gt=0)]
Error = Annotated[float, Field(ge=0)]
Sure = Literal["high", "medium", "low"]
Reference = Literal["train", "test"]
Release = Literal["new", "old", "unknown"]
# of others' likelihoods, and what tables call them
KINDS = {
    "bound": "bound",
    "k-step bound": "bound in k steps",
    "ode": "ODE",
    "flow": "flow",
}
Kind = Literal[*KINDS]
PARTS = ("diffusion", "latent", "reconstruction")
SURE = {
    "high": "confirmed by several independent sources or the system's own repository",
    "medium": "by one secondary source",
    "low": "recalled and not confirmed, or contradicted",
}
NOT_ON_RECORD = "not on record"
NOTE = (
    "Published: the value of the DiffEnc paper, with its standard error if it was given, over n seeds; sure: how well"
    f" it was confirmed ({'; '.join(f'{level}: {meaning}' for level, meaning in SURE.items())});"
    f" {NOT_ON_RECORD}: config/published.yaml has no confirmed number."
)


class OnRecord(NamedTuple):
    """A data set and release that others have numbers on; `release` is None where there is but one."""

    name: str
    release: Release | None
    title: str


def _on_record(name: str) -> Iterator[tuple[str, OnRecord]]:
    title, several = catalog.DATASETS[name].title, catalog.releases(name)
    if not several:
        yield name, OnRecord(name, None, title)
        return
    for release, column in several.items():
        yield column, OnRecord(name, release, f"{title}, {release}")
    yield f"{name}_unknown", OnRecord(name, "unknown", f"{title}, ?")


_NAMES = ("mnist", "cifar10", "imagenet32", "imagenet64")
# by the catalogue's names, where it has the release
SINCE = dict(pair for name in _NAMES for pair in _on_record(name))


class Literature(Strict):
    """A model of others: bits per dimension on the test sets; `old`: on ImageNet32's older release."""

    model: str
    type: Literal["AR", "Diff", "Flow", "VAE"]
    cifar10: Bits | None
    imagenet32: Bits | None
    old: bool = False
    sure: Sure


class Fid(Strict):
    """FID of so many samples against a reference set, with its standard error over seeds if it was given."""

    samples: Positive
    reference: Reference
    value: Error
    se: Error | None = None


class Result(Strict):
    """The paper's own result: means over seeds in bits per dimension, with standard errors where they were given."""

    model: str
    dataset: Literal[*catalog.DATASETS]
    schedule: Schedule
    seeds: Positive
    total: Bits
    total_se: Error | None = None
    diffusion: Bits | None = None
    diffusion_se: Error | None = None
    latent: Bits | None = None
    latent_se: Error | None = None
    reconstruction: Bits | None = None
    reconstruction_se: Error | None = None
    steps: Positive | None = None
    fid: list[Fid] = Field(default_factory=list)
    sure: Sure

    @model_validator(mode="after")
    def _once(self) -> "Result":
        _refuse_repeated("fid", [f"{fid.samples} samples against {fid.reference}" for fid in self.fid])
        return self

    @model_validator(mode="after")
    def _adds_up(self) -> "Result":
        """All three parts make up the total, and fewer no more than it, but for half a last digit of each number."""
        parts = {name: value for name in PARTS if (value := getattr(self, name)) is not None}
        shared = decimals(self.total, self.total_se, self.diffusion)  # as they are shown
        places = [shared, *(shared if name == "diffusion" else decimals(value) for name, value in parts.items())]
        rounding = sum(0.5 * 10.0**-place for place in places) + 1e-9
        beyond = sum(parts.values()) - self.total
        if beyond > rounding or (len(parts) == len(PARTS) and beyond < -rounding):
            said = " + ".join(f"{name} {value:g}" for name, value in parts.items())
            raise ValueError(
                f"{self.model} on {self.dataset}: {said} is {sum(parts.values()):.6g}, its total is {self.total:g};"
                " look them up again"
            )
        return self


class Test(Strict):
    """A p-value of the paper's, for the claim that `a` has the lower loss than `b`."""

    dataset: str
    a: str
    b: str
    test: Literal["welch one-sided"]
    p: Annotated[float, Field(ge=0, le=1)]
    sure: Sure


class Since(Strict):
    """A likelihood that is newer than Table 1 or missing in it: bits per dimension on the test sets.

    Attributes:
        imagenet32, imagenet64: by release, where a paper has both or does not say which.
        kind: of KINDS; numbers of two kinds are not of the same quantity.
        depth: the k of a bound in k steps.
        dequantisation: the noise added to pixels, where the likelihood is of such data and not of pixels.
        augmented: whether the training data was, or how, in words.
        steps, seeds: of training, where the source says so.
        note: what a reader of the number must know; of one that is not sure, why.
    """

    model: str
    year: Annotated[int, Field(ge=2000, le=2100)]
    mnist: Bits | None = None
    cifar10: Bits | None = None
    imagenet32: dict[Release, Bits] = {}
    imagenet64: dict[Release, Bits] = {}
    kind: Kind
    depth: Positive | None = None
    dequantisation: str | None = None
    augmented: bool | str = False
    steps: Positive | None = None
    seeds: Positive | None = None
    source: str
    sure: Sure
    note: str | None = None

    @property
    def values(self) -> dict[str, float]:
        """{column of SINCE: bits per dimension}, each of one data set and release."""
        given = {column: self._given(one.name, one.release) for column, one in SINCE.items()}
        return {column: value for column, value in given.items() if value is not None}

    def _given(self, name: str, release: Release | None) -> float | None:
        found = getattr(self, name)
        return found.get(release) if release else found

    @model_validator(mode="after")
    def _consistent(self) -> "Since":
        if not self.values:
            raise ValueError(f"{self.model}: has no value; give it one of {', '.join(_NAMES)}")
        if (self.kind == "k-step bound") != (self.depth is not None):
            raise ValueError(f"{self.model}: `depth` is the k of a k-step bound, and of no other kind")
        if self.kind in ("ode", "flow") and not self.dequantisation:
            raise ValueError(f"{self.model}: {self.kind} has densities; say by what noise: dequantisation")
        if self.sure == "low" and not self.note:
            raise ValueError(f"{self.model}: is not sure; say why: note")
        return self


class Published(Strict):
    """The whole file. Literature stands in Table 1's order: the highest loss on CIFAR-10 first."""

    literature: list[Literature]
    since: list[Since]
    diffenc_paper: list[Result]
    tests: list[Test]

    @model_validator(mode="after")
    def _consistent(self) -> "Published":
        _refuse_repeated("literature", [one.model for one in self.literature])
        names = [f"{one.model}, {one.kind}{f' in {one.depth} steps' if one.depth else ''}" for one in self.since]
        _refuse_repeated("since", names)
        _refuse_repeated("diffenc_paper", [f"{r.dataset}/{r.model}/{r.schedule}" for r in self.diffenc_paper])
        _refuse_repeated("tests", [f"{test.a} < {test.b} on {test.dataset}" for test in self.tests])
        return self

    def result(self, dataset: str, model: str, schedule: str) -> Result | None:
        """The paper's result of a model, if it is on record."""
        key = (dataset, model, schedule)
        return next((r for r in self.diffenc_paper if (r.dataset, r.model, r.schedule) == key), None)

    def fid(
        self, dataset: str, model: str, samples: int, reference: Reference, schedule: Schedule = "fixed"
    ) -> Fid | None:
        """The paper's FID of a model, of so many samples against that reference, if it is on record."""
        result = self.result(dataset, model, schedule)
        found = result.fid if result else []
        return next((fid for fid in found if (fid.samples, fid.reference) == (samples, reference)), None)

    def p_value(self, dataset: str, lower: str, than: str, schedule: str = "fixed") -> float | None:
        """The paper's one-sided p-value, that `lower` has the lower loss, if it is on record; all are of fixed
        schedules."""
        key = (dataset, lower, than, "fixed")
        return next((test.p for test in self.tests if (test.dataset, test.a, test.b, schedule) == key), None)


def decimals(*values: float | None) -> int:
    """With how many decimals numbers of one source are shown: those of the most precise one, at least two.

    YAML keeps 2.620 as 2.62; the standard error beside it, 0.006, says that there were three.
    """
    exponents = [Decimal(repr(float(value))).as_tuple().exponent for value in values if value is not None]
    return max([2, *(-exponent for exponent in exponents if isinstance(exponent, int))])


def _refuse_repeated(key: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{key}: {name} is given twice; keep one")


def load(path: str | Path) -> Published:
    """Read and check the file of published numbers.

    Raises:
        UserError: the file is missing, is not YAML, has an unknown key, a wrong type, or something twice.
    """
    content = read_yaml(path, "name the file of published numbers, config/published.yaml")
    if not isinstance(content, dict):
        raise UserError(f"{path}: is a mapping of literature, since, diffenc_paper and tests, this is not")
    try:
        return Published.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}")
