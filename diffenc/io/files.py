"""Files that are there whole or not at all, and a lock that goes with its process."""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffenc.io.errors import UserError

if TYPE_CHECKING:
    from pandas import DataFrame

LOCK = ".lock"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """`write` to a temporary name beside `path`, then rename: a reader sees the old file or the new one.

    Raises:
        UserError: the file cannot be written, or what is there is no regular file; it is untouched then.
    """
    refuse_other_than_a_file(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with contextlib.suppress(OSError):  # some file systems know no modes
            temporary.chmod(0o666 & ~_umask())  # safetensors' 0600 would hide results from a group
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); free space, or name another folder")
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def refuse_other_than_a_file(path: Path) -> None:
    """Raise UserError if a folder, a device, a pipe, or a link to one is there, which a rename would replace."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is there and is no regular file; name another place")


def write_file(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing."""
    data = content.encode() if isinstance(content, str) else content
    write_atomically(Path(path), lambda temporary: temporary.write_bytes(data))


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write one value as JSON. Raises UserError, also if a number in it is not finite."""
    try:
        text = json.dumps(content, indent=indent, allow_nan=False)
    except ValueError:
        raise UserError(f"{path}: {_first_not_finite(content)} is not finite, so nothing is written")
    write_file(path, text + "\n")


def _first_not_finite(content: Any, key: str = "") -> str:
    """The place of the first number in nested lists and mappings that is not finite, such as bpd.total.mean."""
    if isinstance(content, float) and not math.isfinite(content):
        return key
    within = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return next(filter(None, (_first_not_finite(one, f"{key}.{name}".lstrip(".")) for name, one in within)), "")


def link(source: Path, target: Path) -> None:
    """Give a large file a second name, which takes no space; where no hard link can be, a copy. Raises OSError."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)  # modes are a courtesy that some file systems refuse


def sha256_of(path: Path) -> str:
    """A file's sha256, in hexadecimal. Raises OSError."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder for one job. The lock is the system's: it goes with the process, however that ends.

    Raises:
        UserError: another job holds it, on this machine or on one that shares the file system.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise UserError(f"{folder}: is being trained by {file.read() or 'another job'}; wait for it, or stop it")
        except OSError as error:
            print(
                f"diffenc: warning: {folder}: this file system has no locks ({error.strerror}); two jobs that train"
                " one run here would not notice each other",
                file=sys.stderr,
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def write_csv(frame: "DataFrame", path: Path) -> None:
    """Write a frame with all its digits, in one step; a missing value is an empty field."""
    write_file(path, frame.to_csv(index=False, lineterminator="\n"))
