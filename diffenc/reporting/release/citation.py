"""Who made it, and how to cite it: CITATION.cff and .zenodo.json, from the checkout's own CITATION.cff."""

import json
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from diffenc.io.errors import UserError
from diffenc.io.yaml import read_yaml

ZENODO = ".zenodo.json"


class Citation(NamedTuple):
    """What a release says of itself. `authors` are as CITATION.cff has them, `paper` is its preferred citation."""

    title: str
    description: str
    authors: list[dict[str, Any]]
    licence: str
    paper: dict[str, Any] | None
    released: date


def read_citation(path: Path, title: str, description: str) -> Citation:
    """That of a release with this title, its authors and licence from a CITATION.cff.

    Raises:
        UserError: the file is missing or damaged, or has no authors or no licence.
    """
    found = read_yaml(path, "write one, with the authors of the study and its licence")
    if not isinstance(found, dict) or not isinstance(found.get("license"), str):
        raise UserError(f"{path}: license: is missing; name the release's licence, for example Apache-2.0")
    authors = found.get("authors")
    if not isinstance(authors, list) or not authors or not all(isinstance(one, dict) for one in authors):
        raise UserError(f"{path}: authors: are missing; name those of the study")
    for one in authors:
        if not name_of(one):
            raise UserError(f"{path}: authors: one has no name; give it family-names, or name")
    return Citation(title, description, authors, found["license"], found.get("preferred-citation"), date.today())


def name_of(author: dict[str, Any]) -> str:
    """A person's name as "Family, Given", or an organisation's."""
    person = [str(author[key]) for key in ("family-names", "given-names") if author.get(key)]
    return ", ".join(person) or str(author.get("name") or "")


def cff(citation: Citation) -> str:
    """The release's CITATION.cff."""
    content = {
        "cff-version": "1.2.0",
        "message": "If you use these results, please cite them, and the paper that they reproduce.",
        "type": "dataset",
        "title": citation.title,
        "abstract": citation.description,
        "authors": citation.authors,
        "license": citation.licence,
        "date-released": citation.released,
    }
    references = {"references": [citation.paper]} if citation.paper else {}
    return yaml.safe_dump(content | references, sort_keys=False, allow_unicode=True, width=110)


def zenodo(citation: Citation) -> str:
    """The release's .zenodo.json: the metadata of a deposit."""
    paper = citation.paper and citation.paper.get("url")
    content = {
        "title": citation.title,
        "description": citation.description,
        "upload_type": "dataset",
        "access_right": "open",
        "creators": [_creator(one) for one in citation.authors],
        "license": citation.licence.lower(),
        "publication_date": citation.released.isoformat(),
        "keywords": ["diffusion models", "likelihood", "reproducibility", "RO-Crate"],
        "related_identifiers": [{"identifier": paper, "relation": "references"}] if paper else [],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _creator(author: dict[str, Any]) -> dict[str, str]:
    orcid = str(author.get("orcid", "")).rpartition("/")[2]
    found = {"name": name_of(author), "affiliation": author.get("affiliation"), "orcid": orcid}
    return {key: str(value) for key, value in found.items() if value}
