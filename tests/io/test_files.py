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
