"""Weights on disk: every flipped byte of the values is found, by both checksums."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffenc.io.errors import UserError
from diffenc.io.tensors import digest, load_tensors, save_tensors


def test_every_flipped_byte_is_found(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = {"a": torch.arange(6.0), "b": torch.ones(2, 3, dtype=torch.int64), "c": torch.ones(3).bfloat16()}
    save_tensors(path, tensors, {"kind": "test"})
    found, text = load_tensors(path)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert text == {"kind": "test"}
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for where in range(start, len(whole)):
        path.write_bytes(whole[:where] + bytes([whole[where] ^ 1]) + whole[where + 1 :])
        with pytest.raises(
            UserError, match=r"is damaged: its content's sha256 is \w{64}, when it was written \w{64}"
        ):
            load_tensors(path)
    for where in np.random.default_rng(0).integers(0, start, 60):
        path.write_bytes(whole[:where] + bytes([whole[where] ^ 1]) + whole[where + 1 :])
        try:
            again, _ = load_tensors(path)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        # only the checksum's own name
        assert all(torch.equal(again[name], tensors[name]) for name in tensors)


def test_the_same_bytes_every_time(tmp_path):
    for i in range(8):
        save_tensors(
            tmp_path / str(i), {"a": torch.ones(2), "b": torch.ones(3)}, {"one": "1", "two": "2", "three": "3"}
        )
    assert len({(tmp_path / str(i)).read_bytes() for i in range(8)}) == 1
    assert load_tensors(tmp_path / "0")[1] == {"one": "1", "two": "2", "three": "3"}


def test_a_file_of_an_earlier_version(tmp_path):
    """Its checksum, if there is one, stood beside the other text."""
    tensors = {"a": torch.ones(2)}
    save_file(tensors, tmp_path / "plain")
    save_file(tensors, tmp_path / "sealed", {"step": "3", "sha256": digest(tensors, {"step": "3"})})
    save_file(tensors, tmp_path / "wrong", {"step": "4", "sha256": digest(tensors, {"step": "3"})})
    assert load_tensors(tmp_path / "plain")[1] == {}
    assert load_tensors(tmp_path / "sealed")[1] == {"step": "3"}
    with pytest.raises(UserError, match="is damaged: its content's sha256"):
        load_tensors(tmp_path / "wrong")
