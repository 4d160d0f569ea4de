"""What a result was made from: checksums of the weights' file and of the images, beside the result itself."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import TypeAdapter, ValidationError

from diffenc.io.about import load_metadata
from diffenc.io.arrays import save_arrays
from diffenc.io.errors import UserError, make
from diffenc.io.files import write_json

MADE_FROM = "made_from"
CONFIG_SHA256 = "config_sha256"
_SEAL = "sha256"
_PAGES_SEAL = re.compile(rb"\n<!-- sha256 of the above: ([0-9a-f]{64}) -->\n$")


def save_json(path: Path, content: Mapping[str, Any], made_from: Mapping[str, str]) -> None:
    """One record, its sources' checksums {what: sha256}, and its own. Raises UserError as `write_json` does."""
    whole = {**content, MADE_FROM: dict(made_from)}
    write_json(path, {**whole, _SEAL: checksum(whole)}, indent=1)


def save_npz(path: Path, arrays: Mapping[str, np.ndarray], made_from: Mapping[str, str]) -> None:
    """Arrays and their sources' checksums; a zip has its own."""
    save_arrays(path, {**arrays, MADE_FROM: np.array(json.dumps(dict(made_from)))})


def unsealed(path: Path, content: Any) -> Any:
    """A record as it was read, without its checksum; one of an earlier version has none.

    Raises:
        UserError: it is not as it was written.
    """
    if not isinstance(content, dict) or _SEAL not in content:
        return content
    rest = {name: value for name, value in content.items() if name != _SEAL}
    if (found := checksum(rest)) != content[_SEAL]:
        raise UserError(
            f"{path}: was changed: its content's sha256 is {found}, when it was written {content[_SEAL]};"
            f" {make(path)}"
        )
    return rest


def made_from(path: Path) -> dict[str, str]:
    """{what: sha256} that a result, .json or .npz, was made from; empty for one of an earlier version.

    Raises:
        UserError: it is damaged.
    """
    try:
        if path.suffix == ".json":
            found = unsealed(path, json.loads(path.read_text(encoding="utf-8"))).get(MADE_FROM, {})
        else:
            with np.load(path, allow_pickle=False) as file:
                for name in file.files:  # each has its CRC-32
                    if np.issubdtype((array := file[name]).dtype, np.floating) and not np.isfinite(array).all():
                        raise UserError(f"{path}: {name} holds values that are not finite; {make(path)}")
                found = json.loads(str(file[MADE_FROM])) if MADE_FROM in file.files else {}
        return TypeAdapter(dict[str, str]).validate_python(found)
    except UserError:
        raise
    except (Exception, ValidationError) as error:  # decoders of damaged bytes raise nearly anything
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())[:200]}); {make(path)}")


def config_of(weights: Path) -> str | None:
    """The configuration's sha256 as the weights' file has it; None if it has none, or cannot be read."""
    try:
        return load_metadata(weights).get(CONFIG_SHA256)
    except UserError:
        return None


def config_sha256(path: Path) -> str | None:
    """That of a configuration's file; None if it cannot be read."""
    try:
        return checksum(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError, TypeError):
        return None


def checksum(content: Any) -> str:
    """sha256 of a value that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed_page(page: str) -> str:
    """An HTML page with the checksum of itself at its end."""
    return f"{page}\n<!-- sha256 of the above: {hashlib.sha256(page.encode()).hexdigest()} -->\n"


def is_whole_page(content: bytes) -> bool:
    """Whether a page is as it was written."""
    seal = _PAGES_SEAL.search(content)
    return seal is not None and hashlib.sha256(content[: seal.start()]).hexdigest() == seal[1].decode()
