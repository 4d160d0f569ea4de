"""The texts of a published folder: its README.md, and a card beside each model's weights."""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from diffenc.data.dataset import Manifest
from diffenc.reporting.release.citation import Citation
from diffenc.reporting.release.contents import CODE, WEIGHTS, Weights
from diffenc.reporting.tables.formatting import number
from diffenc.results.records import read_evaluation
from diffenc.study.settings import NO_INCEPTION
from diffenc.study.stages import CONFIG, EVALUATION, TERMS
from diffenc.study.study import Run, Study, run_folder

README = "README.md"


def readme(study: Study, citation: Citation, weights: dict[Run, Weights], code: str) -> str:
    """What is in the folder, how to load it, and how to make it again; `code` says which version made it."""
    absent: dict[str, list[str]] = {}
    for run, one in weights.items():
        if not one.here:
            absent.setdefault(one.why, []).append(run.path)
    return _render(
        "README.md.j2",
        study=study,
        citation=citation,
        here=[run for run, one in weights.items() if one.here],
        absent=absent,
        outside=_outside(study),
        code=code,
    )


def card(study: Study, run: Run, citation: Citation, manifest: Manifest, out: Path) -> str:
    """The card of a run's model; its records are read in `out`. Raises UserError if one is damaged."""
    place = run_folder(out, run)
    found = read_evaluation(place / EVALUATION)
    config = yaml.safe_load((place / CONFIG).read_text(encoding="utf-8"))
    terms = {term: getattr(found.bpd, term) for term in TERMS}
    return _render(
        "card.md.j2",
        study=study,
        run=run,
        spec=study.spec(run.dataset),
        citation=citation,
        manifest=manifest,
        found=found,
        terms={name: (number(term.mean, 4), _error(term.mc_se)) for name, term in terms.items()},
        shape=yaml.safe_dump(config["shape"], sort_keys=False).rstrip(),
        training=yaml.safe_dump(config["training"], sort_keys=False).rstrip(),
        encoder=study.shape(run).encoder,
    )


def _error(value: float | None) -> str:
    return "not known, one pass" if value is None else number(value, 4)


def _outside(study: Study) -> list[str]:
    """Files that the study names and the folder does not have."""
    own = [file for one in study.own_data.values() for file in (one.train, one.test, one.noise) if file]
    others = [file for one in study.weights.values() for file in (one.path, one.config)]
    fid = [study.fid.weights] if study.fid and study.fid.weights not in (None, NO_INCEPTION) else []
    return list(dict.fromkeys([*own, *others, *fid]))


def _render(template: str, **content: Any) -> str:
    """A template of Markdown, which is not escaped."""
    environment = Environment(
        loader=PackageLoader("diffenc.reporting.release"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(content, WEIGHTS=WEIGHTS, CODE=CODE)
