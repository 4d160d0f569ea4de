"""Reading and checking a study file."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from diffenc.io.errors import UserError
from diffenc.io.schema import explain
from diffenc.io.yaml import read_yaml
from diffenc.study.study import Study


def load_study(path: str | Path) -> Study:
    """Read and check a study file.

    Raises:
        UserError: the file is missing, is not YAML, has an unknown key, a wrong type or an inconsistency.
    """
    return parse_study(read_yaml(path, "name a study file, for example config/demo.yaml"), str(path))


def parse_study(content: Any, source: str) -> Study:
    """Check a study that was read already; `source` names it in messages. Raises UserError."""
    if not isinstance(content, dict):
        raise UserError(f"{source}: a study is a mapping of keys (name, title, runs, ...), this is not")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{source}: {explain(error)}")
