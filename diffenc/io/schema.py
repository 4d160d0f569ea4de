"""Strict settings (pydantic), and a validation error as one line."""

import os
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

MOST = 10**9  # of anything that is counted
Positive = Annotated[int, Field(gt=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]  # it becomes part of files' names


def _place(text: str) -> str:
    if "$" in text:
        raise ValueError(f"{text}: variables are not filled in; write the path itself, or ~ for the home")
    return os.path.expanduser(text)


Place = Annotated[str, AfterValidator(_place)]  # of a file or a folder


class Strict(BaseModel):
    """Unknown keys and wrong types are refused, never converted; so are infinity and not-a-number."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


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
