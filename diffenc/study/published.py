"""Published numbers, to stand beside ours: config/published.yaml, their only source."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from diffenc.io.errors import UserError
from diffenc.io.schema import Positive, Strict, explain
from diffenc.io.yaml import read_yaml
from diffenc.study.settings import Schedule

Bits = Annotated[float, Field(gt=0)]
Error = Annotated[float, Field(ge=0)]
Sure = Literal["high", "medium", "low"]
Reference = Literal["train", "test"]

SURE = {
    "high": "confirmed by several independent sources or the system's own repository",
    "medium": "by one secondary source",
    "low": "recalled, not confirmed",
}
NOT_ON_RECORD = "not on record"
NOTE = (
    "Published: the value of the DiffEnc paper, with its standard error if it was given, over n seeds; sure: how well"
    f" it was confirmed ({'; '.join(f'{level}: {meaning}' for level, meaning in SURE.items())});"
    f" {NOT_ON_RECORD}: config/published.yaml has no confirmed number."
)


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
    dataset: str
    schedule: Schedule
    seeds: Positive
    total: Bits
    total_se: Error | None = None
    diffusion: Bits | None = None
    fid: list[Fid] = Field(default_factory=list)
    sure: Sure

    @model_validator(mode="after")
    def _once(self) -> "Result":
        _refuse_repeated("fid", [f"{fid.samples} samples against {fid.reference}" for fid in self.fid])
        return self


class Test(Strict):
    """A p-value of the paper's, for the claim that `a` has the lower loss than `b`."""

    dataset: str
    a: str
    b: str
    test: Literal["welch one-sided"]
    p: Annotated[float, Field(ge=0, le=1)]
    sure: Sure


class Published(Strict):
    """The whole file. Literature stands in Table 1's order: the highest loss on CIFAR-10 first."""

    literature: list[Literature]
    diffenc_paper: list[Result]
    tests: list[Test]

    @model_validator(mode="after")
    def _consistent(self) -> "Published":
        _refuse_repeated("literature", [one.model for one in self.literature])
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
        raise UserError(f"{path}: is a mapping of literature, diffenc_paper and tests, this is not")
    try:
        return Published.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}")
