"""Arrays on disk: what is read is checked before it takes memory, and nothing that is not finite is written."""

import io
import os
import zipfile

import numpy as np
import pytest

from diffenc.io.arrays import read_arrays, save_arrays
from diffenc.io.errors import UserError


def header(shape):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def test_a_header_that_lies(tmp_path):
    with zipfile.ZipFile(tmp_path / "lies.npz", "w") as archive:
        archive.writestr("x.npy", header((10**13, 8)) + bytes(64))
    with pytest.raises(UserError, match=r"lies.npz: x.npy would be 298,\d+ GiB, more than memory; make it"):
        read_arrays(tmp_path / "lies.npz", {"x": "NC"})
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
        archive.writestr("x.npy", header((1000, 3)) + bytes(64))
    with pytest.raises(UserError, match=r"short.npz: x.npy is cut short, \d+ bytes; make it"):
        read_arrays(tmp_path / "short.npz", {"x": "NC"})


def test_what_unpacks_to_more_than_memory(tmp_path, monkeypatch):
    save_arrays(tmp_path / "bomb.npz", {"x": np.zeros((1000, 3))})
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    with pytest.raises(UserError, match=r"bomb.npz: x.npy would be 0 GiB, more than memory"):
        read_arrays(tmp_path / "bomb.npz", {"x": "NC"})


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(UserError, match=r"pipe.npz: is no regular file; make it"):
        read_arrays(tmp_path / "pipe.npz", {"x": "NC"})


def test_nothing_is_written_that_is_not_finite(tmp_path):
    with pytest.raises(UserError, match=r"x.npz: b holds values that are not finite, so nothing is written"):
        save_arrays(tmp_path / "x.npz", {"a": np.ones(3), "b": np.array([1.0, np.inf])})
    assert list(tmp_path.iterdir()) == []


def test_a_deflated_stream_that_is_none(tmp_path):
    """Found by hypothesis: a distance too far back."""
    save_arrays(tmp_path / "x.npz", {"x": np.ones((3, 2), np.float32), "t": np.arange(3.0)})
    whole = (tmp_path / "x.npz").read_bytes()
    where = round(0.5 * len(whole))
    (tmp_path / "x.npz").write_bytes(whole[:where] + b"\x00\t\x00\x00\x00\x00" + whole[where + 6 :])
    with pytest.raises(UserError, match=r"x.npz: is damaged \("):
        read_arrays(tmp_path / "x.npz", {"x": "TC", "t": "T"})
