"""A figure in words, against figures whose values are known."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from diffenc.reporting.figures import style
from diffenc.reporting.figures.description import describe


def two_panels():
    figure = Figure()
    above, below = figure.subplots(2, 1, sharex=True)
    x = np.array([0, 1, 2, 3])
    above.plot(x, [5, 9.25, 2, 1], label="A (2 seeds)", color="C0")
    above.plot(x, [4, 3, np.nan, np.nan], label="B (1 seed)", color="C1")
    above.plot(x, [100, 100, 100, 100], color="C0", linewidth=0.5)  # a seed
    above.set(title="total", ylabel=r"$\|x_t\,-\,{\rm d}x\|$ in" + "\nbits")
    below.plot(x, [-0.5, 0, 0, -1234.4], color="C1", linewidth=1.5)
    below.set(xlabel="training step")
    return figure


def test_curves_are_told_by_their_ends_and_turns():
    assert describe(two_panels()) == (
        "total, |x_t - dx| in bits, over training step: A (2 seeds) from 5 to 1, at most 9.25 at 1;"
        " B (1 seed) from 4 to 3. over training step from 0 to 3: B (1 seed) from -0.5 to -1,234."
    )


def test_of_many_curves_the_lowest_and_the_highest_are_told():
    figure = Figure()
    axes = figure.subplots()
    for i, (name, look) in enumerate(style.looks(f"M{i}" for i in range(12)).items()):
        axes.plot([0, 1], [0, i], label=name, **look._asdict())
    axes.set(xlabel="t")
    assert describe(figure) == "over t from 0 to 1: M0 at 0; M11 from 0 to 11."


def test_curves_that_the_panel_does_not_name_are_counted():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [3, 4.5])
    axes.plot([1, 2], [2, 2])
    axes.set(xlabel="T", ylabel="w")
    assert describe(figure) == "w, over T from 1 to 2: 2 curves between 2 and 4.5."


def test_images_are_counted_with_their_columns_and_colours():
    figure = Figure()
    axes = figure.subplots()
    for column in (0, 1):
        image = axes.imshow(np.eye(2), extent=(column, column + 1, 0, 1), vmin=-2.5, vmax=2.5)
    axes.set_xticks([0.5, 1.5], ["original", "t = 1"])
    style.colour_bar(figure, image, "change")
    assert describe(figure) == "2 images, named original, t = 1. Colours: change, from -2.5 to 2.5."


def test_both_files_say_it(tmp_path):
    with style.styled():
        style.save(figure := two_panels(), tmp_path / "a")
    said = describe(figure)
    assert f"<dc:description>{said}</dc:description>" in (tmp_path / "a.svg").read_text()
    assert Image.open(tmp_path / "a.png").text["Description"] == said
