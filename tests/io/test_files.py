import errno
import os
import stat

import pytest

from diffenc.io import files
from diffenc.io.errors import UserError


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    files.write_file(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(UserError, match=r"file: cannot be written \(No space left"):
        files.write_file(path, "new")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_group_can_read_what_its_umask_lets_it(tmp_path):
    path = tmp_path / "file"

    def private(temporary):
        temporary.write_text("weights")
        temporary.chmod(0o600)

    before = files.os.umask(0o027)
    try:
        files.write_atomically(path, private)
    finally:
        files.os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder"):
        with pytest.raises(UserError, match=f"{name}: is there and is no regular file; name another place"):
            files.write_file(tmp_path / name, "x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_file_system_without_modes(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files.Path, "chmod", refuse)
    files.write_file(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.fcntl, "lockf", refuse)
    with files.locked(tmp_path / "run"):
        pass
    said = capsys.readouterr().err
    assert "this file system has no locks" in said
    assert said.count("\n") == 1


def test_json_that_is_not_finite_is_named(tmp_path):
    with pytest.raises(UserError, match=r"x.json: bpd.total.1.mean is not finite, so nothing is written"):
        files.write_json(tmp_path / "x.json", {"a": 1.0, "bpd": {"total": [{"mean": 1.0}, {"mean": float("nan")}]}})
    assert list(tmp_path.iterdir()) == []
