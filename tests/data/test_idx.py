"""MNIST and Fashion-MNIST from made-up IDX files."""

import gzip
import hashlib
import http.server
import socket
import struct
import threading
from functools import partial

import numpy as np
import pytest
from torchvision.datasets import MNIST

from diffenc.data import download, load, manifest, prepare
from diffenc.io.errors import UserError

TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"
SIDE = 28


def idx(pixels, magic=2051):
    return struct.pack(">IIII", magic, len(pixels), SIDE, SIDE) + pixels.tobytes()


@pytest.fixture
def made_up(resize, random_pixels, monkeypatch):
    """Seven and three images: their pixels by split, their IDX files by name."""
    resize("mnist", 7, 3)
    pixels = {"train": random_pixels(7, SIDE * SIDE), "test": random_pixels(3, SIDE * SIDE)}
    contents = {TRAIN: idx(pixels["train"]), TEST: idx(pixels["test"])}
    pin(monkeypatch, contents)
    return pixels, contents


def pin(monkeypatch, contents):
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    monkeypatch.setitem(download.IDX_SHA256, "mnist", sums)


def put(folder, contents, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / (file + ".gz" * compress)).write_bytes(gzip.compress(content) if compress else content)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("place", ["mnist", "", "MNIST/raw", "mnist/raw"])
def test_pixels_arrive_wherever_the_files_lie(made_up, tmp_path, sha256_of, place, compress):
    pixels, contents = made_up
    put(tmp_path / "files" / place, contents, compress)
    prepare("mnist", tmp_path / "out", tmp_path / "files")
    for split in ("train", "test"):
        assert np.array_equal(load(tmp_path / "out", split), pixels[split].reshape(-1, 1, SIDE, SIDE))
    used = [tmp_path / "files" / place / (file + ".gz" * compress) for file in contents]
    assert manifest(tmp_path / "out")["originals"] == {path.name: sha256_of(path) for path in used}


def test_the_data_sets_own_folder_comes_first(made_up, tmp_path):
    pixels, contents = made_up
    put(tmp_path / "mnist", contents)
    put(tmp_path, dict.fromkeys(contents, b"of another data set"))
    prepare("mnist", tmp_path / "out", tmp_path)
    assert np.array_equal(load(tmp_path / "out", "test")[:, 0].reshape(3, -1), pixels["test"])


def test_one_changed_pixel_is_a_wrong_checksum(made_up, tmp_path, left_in):
    _, contents = made_up
    changed = bytearray(contents[TRAIN])
    changed[-1] ^= 1
    put(tmp_path, {**contents, TRAIN: bytes(changed)})
    with pytest.raises(UserError, match=f"{TRAIN}: wrong checksum"):
        prepare("mnist", tmp_path / "out", tmp_path)
    assert left_in(tmp_path / "out") == []


def test_real_checksums_refuse_fashion_as_mnist():
    """The two data sets share file names and layout: only the sums tell them apart."""
    assert not set(download.IDX_SHA256["mnist"].values()) & set(download.IDX_SHA256["fashion_mnist"].values())


@pytest.mark.parametrize("file", [TRAIN, TEST])
@pytest.mark.parametrize("keep", [0, 8, 200, -1])
def test_gz_cut_short_is_named(made_up, tmp_path, left_in, file, keep):
    put(tmp_path, made_up[1], compress=True)
    path = tmp_path / f"{file}.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=rf"{file}.gz: is (damaged or )?cut short") as error:
        prepare("mnist", tmp_path / "out", tmp_path)
    assert "\n" not in str(error.value)
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:10], "cut short, 10 bytes"),
        (lambda content: content[:-1], "2351 pixels, its header says 2352"),
        (lambda content: content + b"\0", "2353 pixels, its header says 2352"),
        (lambda content: struct.pack(">I", 2049) + content[4:], "magic number 2049, must be 2051"),
        (lambda content: content[:4] + struct.pack(">I", 4) + content[8:], r"\(4, 28, 28\), must be \(3, 28, 28\)"),
    ],
)
def test_structure_is_checked_beside_the_sum(made_up, tmp_path, monkeypatch, left_in, change, message):
    contents = made_up[1] | {TEST: change(made_up[1][TEST])}
    pin(monkeypatch, contents)
    put(tmp_path, contents)
    with pytest.raises(UserError, match=f"{TEST}: .*{message}"):
        prepare("mnist", tmp_path / "out", tmp_path)
    assert left_in(tmp_path / "out") == []


def test_a_failed_repeat_leaves_the_prepared_files(made_up, tmp_path):
    put(tmp_path, made_up[1])
    prepare("mnist", tmp_path / "out", tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / TRAIN).write_bytes(b"damaged")
    with pytest.raises(UserError):
        prepare("mnist", tmp_path / "out", tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_missing_file_without_network(made_up, offline, tmp_path, left_in):
    put(tmp_path / "files", {TRAIN: made_up[1][TRAIN]})
    message = rf"{TEST}.gz: is missing and cannot be downloaded \(.*no network.*\); put {TEST} .* into .*files/mnist"
    with pytest.raises(UserError, match=message) as error:
        prepare("mnist", tmp_path / "out", tmp_path / "files")
    assert "\n" not in str(error.value)
    assert left_in(tmp_path / "out") == left_in(tmp_path / "files" / "mnist") == []


@pytest.fixture
def mirror(made_up, tmp_path, monkeypatch):
    """A mirror at work, behind one that has no files."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    put(tmp_path / "www", made_up[1], compress=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(MNIST, "mirrors", [root + "gone/", root])
    sums = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in (tmp_path / "www").iterdir()]
    monkeypatch.setattr(MNIST, "resources", sums)
    yield
    server.shutdown()
    server.server_close()


def test_download_from_the_mirror_that_answers(mirror, made_up, tmp_path, left_in):
    prepare("mnist", tmp_path / "out", tmp_path / "files")
    assert np.array_equal(load(tmp_path / "out", "train").reshape(7, -1), made_up[0]["train"])
    assert left_in(tmp_path / "files" / "mnist") == [f"{TEST}.gz", f"{TRAIN}.gz"]


def test_damaged_download_is_not_kept(mirror, tmp_path, left_in):
    path = tmp_path / "www" / f"{TRAIN}.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{TRAIN}.gz: is missing and cannot be downloaded .*corrupted"):
        prepare("mnist", tmp_path / "out", tmp_path / "files")
    assert left_in(tmp_path / "files" / "mnist") == left_in(tmp_path / "out") == []


def test_a_server_that_says_nothing(made_up, monkeypatch, tmp_path, left_in):
    """It takes the connection, as a login node's firewall does, and that is all."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "SILENCE", 0.05)
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as server:
        end = threading.Timer(10, server.close)  # who waits longer is turned away, which is another error
        end.start()
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        with pytest.raises(UserError, match=r"is missing and cannot be downloaded \(.*timed out\); put"):
            prepare("mnist", tmp_path / "out", tmp_path / "files")
        end.cancel()
    assert left_in(tmp_path / "files" / "mnist") == []
    assert socket.getdefaulttimeout() == before
