"""Reading and checking a study file."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

import diffenc
from diffenc.io.errors import UserError
from diffenc.io.schema import explain
from diffenc.io.yaml import read_yaml
from diffenc.study.study import Study

_PACKAGE = Path(diffenc.__file__).parent
# what comes with the package: in a wheel's it lies within, in a checkout beside
CONFIG = (_PACKAGE if (_PACKAGE / "config").is_dir() else _PACKAGE.parent) / "config"


def study_file(given: str) -> Path:
    """A study's file by its path; or by name one that comes with the package, such as demo."""
    included = CONFIG / f"{given}.yaml"
    return included if Path(given).name == given and included.is_file() and not Path(given).is_file() else Path(given)


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
