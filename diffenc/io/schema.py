"""Strict settings (pydantic), reading YAML, and a validation error as one line."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from diffenc.io.errors import UserError

Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Strict(BaseModel):
    """Unknown keys and wrong types are refused, never converted; so are infinity and not-a-number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def explain(error: ValidationError) -> str:
    """Pydantic's first complaint as one line: the key, what is wrong, what to do.

    An unknown key comes first: a misspelled one is missing under its right name as well.
    """
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    found = first.get("input")
    if first["type"] == "extra_forbidden":
        message = f"unknown key; remove it or correct its spelling (value: {found!r})"
    elif first["type"] == "missing":
        message = "is missing; add it"
    elif isinstance(found, str) and first["type"] == "float_type":
        message = f"{found!r} is text, not a number; write its digits, without quotes"
    elif isinstance(found, str) and first["type"] == "int_type":
        message = f"{found!r} is text, not a whole number; write its digits, without quotes"
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
    else:
        message = f"{first['msg']}; found {found!r}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{key}: {message}{more}" if key else message + more


def read_yaml(path: str | Path, remedy: str) -> Any:
    """The content of a YAML 1.2 file, in which 2e-4 is a number and no key is given twice.

    Raises:
        UserError: it is no such file, or, with the remedy, it cannot be read.
    """
    try:
        return YAML(typ="safe", pure=True).load(Path(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not valid YAML: {error}")
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path}: is not valid YAML: {line}{' '.join(str(error.problem).split())}")


def first_difference(theirs: dict[str, Any], ours: dict[str, Any], prefix: str = "") -> str | None:
    """The first key in which two configurations differ, in words; None if they are equal."""
    for key in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get(key), ours.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            if nested := first_difference(a, b, f"{prefix}{key}."):
                return nested
        elif a != b:
            return f"{prefix}{key} was {a!r} and is now {b!r}"
    return None
