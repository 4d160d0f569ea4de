"""claims.json of a run: which comparisons the study made when the run began to train, each by its sha256."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from diffenc.io.errors import UserError
from diffenc.io.files import write_json
from diffenc.results.records import Record
from diffenc.study.stages import CLAIMS
from diffenc.study.study import Comparison, Run, Study, run_folder


class Claims(Record):
    """What was claimed, and when it was written down."""

    date: str
    claims: dict[str, str]


def sha256_of(comparison: Comparison, margin: float) -> str:
    """Of what is claimed, whatever the order of its keys, and of the margin within which models are equal."""
    said = {key: getattr(comparison, key) for key in ("dataset", "schedule", "lower", "than")}
    content = json.dumps(said | {"margin": margin}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def stamp(study: Study, run: Run, folder: Path) -> None:
    """Write the comparisons that the run is in into its claims.json, as it begins to train."""
    mine = [one for one in study.comparisons if run.model in (one.lower, one.than) and run.dataset == one.dataset]
    found = {sha256_of(one, study.margin): f"{one.lower} < {one.than}, {one.schedule}" for one in mine}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / CLAIMS, {"date": now, "claims": found})


def stated(study: Study, comparison: Comparison, folder: Path) -> str:
    """When a comparison was written down, for all runs that it compares: before, after, or not known."""
    models = study.groups()[comparison.dataset, comparison.schedule]
    runs = [*models[comparison.lower], *models[comparison.than]]
    found = [_read(run_folder(folder, run) / CLAIMS) for run in runs if run in study.training]
    if None in found or not found:
        return "not on record"
    wanted = sha256_of(comparison, study.margin)
    return "before training" if all(wanted in one.claims for one in found) else "afterwards"


def begun(folder: Path) -> datetime | None:
    """When a run began to train, if that is on record. Raises UserError if the record is damaged."""
    found = _read(folder / CLAIMS)
    return datetime.fromisoformat(found.date) if found else None


def _read(path: Path) -> Claims | None:
    if not path.is_file():
        return None
    try:
        return Claims.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, OSError, UnicodeDecodeError):
        raise UserError(f"{path}: is damaged; delete it, and the comparisons count as not on record")
