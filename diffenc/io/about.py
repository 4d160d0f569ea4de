"""The text in a safetensors file, read without its tensors and without torch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from diffenc.io.errors import UserError

ABOUT = "about"


def load_metadata(path: Path) -> dict[str, str]:
    """The text of a file that `diffenc.io.tensors.save_tensors` wrote.

    Raises:
        UserError: the file is missing, or cannot be read as such.
    """
    with opened(path, "np") as file:
        return metadata_of(path, file)


@contextmanager
def opened(path: Path, framework: str) -> Iterator[Any]:
    """The file, open; its tensors will be those of the framework, "np" or "pt". Raises UserError as above."""
    try:
        with safe_open(path, framework) as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: is damaged or truncated ({' '.join(str(error).split())})")


def metadata_of(path: Path, file: Any) -> dict[str, str]:
    """The text of an open file; earlier versions wrote it as entries of its own. Raises UserError as above."""
    entries = file.metadata()
    if not entries or ABOUT not in entries:
        return dict(entries or {})
    try:
        found = json.loads(entries[ABOUT])
    except ValueError as error:
        raise UserError(f"{path}: is damaged (its text: {error})")
    if not isinstance(found, dict):
        raise UserError(f"{path}: is damaged (its text is a {type(found).__name__})")
    return found
