"""compress and decompress from the command line: arrays and folders of PNG, and a line for each mistake."""

import numpy as np
import pytest
from PIL import Image
from short_training import train

from diffenc import data
from diffenc.cli.main import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the prepared digits, two runs and some images."""
    folder = tmp_path_factory.mktemp("compress")
    data.prepare("digits", folder / "digits", folder)
    for model in ("VDMv-2", "DiffEnc-2-1"):
        train(folder / "digits", folder / model, model, steps=2)
    np.save(folder / "some.npy", data.load(folder / "digits", "test")[:7])
    return folder


def run(place, *words):
    main([str(place / word) if (place / word).exists() or word.startswith("out") else word for word in words])


def test_an_array_there_and_back(place, capsys):
    run(
        place,
        *("compress", "some.npy", "--model", "VDMv-2", "--out", "out.dfe", "--steps", "5", "--data", "digits"),
        *("--fit", "20", "--batch", "4"),
    )
    said = capsys.readouterr().out
    assert "7 images" in said
    assert "net " in said
    run(place, "decompress", "out.dfe", "--model", "VDMv-2", "--out", "out.npy")
    assert "7 images, each with its checksum" in capsys.readouterr().out
    assert np.array_equal(np.load(place / "out.npy"), np.load(place / "some.npy"))


def test_a_folder_of_png_there_and_back(place):
    folder = place / "png"
    folder.mkdir()
    images = np.load(place / "some.npy")
    for name, image in zip("gcaebfd", images, strict=True):
        Image.fromarray(image[0]).save(folder / f"{name}.png")
    run(
        place,
        *("compress", "png", "--model", "DiffEnc-2-1", "--out", "out2.dfe", "--steps", "3", "--grid", "best"),
        *("--data", "digits", "--fit", "5"),
    )
    run(place, "decompress", "out2.dfe", "--model", "DiffEnc-2-1", "--out", "out-png")
    back = [np.asarray(Image.open(file)) for file in sorted((place / "out-png").iterdir())]
    assert [file.name for file in sorted((place / "out-png").iterdir())] == [f"{i}.png" for i in range(7)]
    assert np.array_equal(np.stack(back), images[np.argsort(list("gcaebfd"))][:, 0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("compress none.npy --model VDMv-2 --out out", "none.npy: no such file or folder; name an .npy of images"),
        (
            "compress wide.npy --model VDMv-2 --out out",
            "wide.npy: has uint8 (2, 1, 8, 9); the model takes uint8 images",
        ),
        ("compress bright.npy --model VDMv-2 --out out", "a pixel of 99: the model has 17 levels"),
        ("compress many.npz --model VDMv-2 --out out", "many.npz: is an archive of arrays; name an .npy of images"),
        ("compress some.npy --model VDMv-2 --out out --bits 9", "argument --bits: invalid choice: 9"),
        ("compress digits --model VDMv-2 --out out", "digits: has no *.png; name a folder of PNG files"),
        ("compress some.npy --model nowhere --out out", "nowhere/config.yaml: cannot be read"),
        ("compress some.npy --model VDMv-2 --out out --ratio best", "--data: gives the training images"),
        ("compress some.npy --model VDMv-2 --out out --grid best --data digits", "of more than 60 --steps none is"),
        ("compress some.npy --model DiffEnc-2-1 --out out --order bit_swap", "bit_swap: needs a model without an"),
        ("decompress none.dfe --model VDMv-2 --out out", "none.dfe: cannot be read (No such file or directory)"),
        ("decompress some.npy --model VDMv-2 --out out", "some.npy: is not a file of `diffenc compress`"),
    ],
)
def test_a_mistake_is_one_line(place, capsys, words, said):
    np.save(place / "wide.npy", np.zeros((2, 1, 8, 9), np.uint8))
    np.save(place / "bright.npy", np.full((2, 1, 8, 8), 99, np.uint8))
    np.savez(place / "many.npz", images=np.zeros((2, 1, 8, 8), np.uint8))
    with pytest.raises(SystemExit) as ended:
        run(place, *words.split())
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
