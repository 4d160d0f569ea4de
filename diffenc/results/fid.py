"""What fid.json says of a run: the scores that `diffenc.evaluation.fid` computes."""

from pathlib import Path

from pydantic import Field, FiniteFloat

from diffenc.results.records import Record, read_record

STANDARD_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
FEATURES = 2048  # of the Inception network


class Score(Record):
    """The distance of the first `samples` samples to all `images` images of the `reference` split."""

    samples: int
    reference: str
    images: int
    fid: FiniteFloat


class Scores(Record):
    """What fid.json says of a run."""

    implementation: str
    weights_sha256: str
    scores: list[Score] = Field(min_length=1)


def read(path: Path) -> Scores:
    """Read one fid.json.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_record(Scores, path)
