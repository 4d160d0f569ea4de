"""Pickles that want to do more than hold pixels."""

import io
import os
import pickle

import numpy as np
import pytest

from diffenc.data import prepare
from diffenc.data.formats import read_pickle
from diffenc.io.errors import UserError


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("inside", [False, True])
def test_a_shell_command_is_not_run(tmp_path, left_in, resize, protocol, inside):
    marker = tmp_path / "marker"
    call = Call(os.system, f"touch {marker}")
    files = tmp_path / "files"
    files.mkdir()
    for name in ["val_data", *(f"train_data_batch_{i}" for i in range(1, 11))]:
        content = {"data": np.zeros((2, 3072), np.uint8), "labels": call} if inside else call
        (files / name).write_bytes(pickle.dumps(content, protocol))
    resize("imagenet32", 20, 2)
    with pytest.raises(UserError, match=r"val_data: refused, its pickle asks for \w+.system") as error:
        prepare("imagenet32", tmp_path / "out", files)
    assert "\n" not in str(error.value)
    assert left_in(tmp_path / "out") == []
    pickle.loads((files / "val_data").read_bytes())
    assert marker.exists()  # the same bytes do harm where nothing restricts them


@pytest.mark.parametrize(
    "call", [Call(eval, "1"), Call(getattr, "", "join"), Call(np.load, "x"), Call(np.frombuffer, b"x")]
)
def test_other_names_are_refused(call):
    with pytest.raises(UserError, match="batch: refused"):
        read_pickle(io.BytesIO(pickle.dumps({"data": call})), "batch", 3072)


def test_other_codecs_are_refused():
    content = b"c_codecs\nencode\n(Vabc\nVrot13\ntR."
    assert pickle.loads(content) == "nop"
    with pytest.raises(UserError, match=r"batch: is damaged .*rot13"):
        read_pickle(io.BytesIO(content), "batch", 3072)


def test_every_way_to_cut_a_batch_short_is_one_line():
    content = pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [1], "mean": np.zeros(2)}, 3)
    assert read_pickle(io.BytesIO(content), "batch", 3072).shape == (1, 3072)
    for length in [*range(200), *range(3000, len(content))]:
        with pytest.raises(UserError, match=r"^batch: is damaged or cut short") as error:
            read_pickle(io.BytesIO(content[:length]), "batch", 3072)
        assert "\n" not in str(error.value)


def test_a_shape_that_does_not_fit_its_bytes():
    content = pickle.dumps({"data": np.zeros((2, 3072), np.uint8)}, 3)
    changed = content.replace(b"K\x02M\x00\x0c", b"K\x03M\x00\x0c")
    assert changed != content
    with pytest.raises(UserError, match="batch: is damaged"):
        read_pickle(io.BytesIO(changed), "batch", 3072)
