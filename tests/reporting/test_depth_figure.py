import made_up
import made_up_depth
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from diffenc.io.errors import UserError
from diffenc.reporting.figures import depth, style
from diffenc.results.finite_depth import FiniteDepth


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    study = made_up.study()
    folder = made_up.write_results(study, tmp_path_factory.mktemp("made-up") / "small")
    return made_up_depth.write(study, folder)["digits", "fixed"]


def records(seeds=3, **options):
    """{model: its seeds' records}."""
    found = {}
    for run in made_up.study(seeds=range(1, seeds + 1), comparisons=False).training:
        record = FiniteDepth.model_validate(made_up_depth.record(run, **options))
        found.setdefault(run.model, []).append(record)
    return found


def drawn(models, order=tuple(made_up.BASE)):
    with style.styled():
        return depth.draw(models, "Title", order)


def test_the_files_have_their_texts_and_the_same_bytes_twice(files, tmp_path):
    for stem in ("one", "two"):
        depth.depth(files, tmp_path / stem, "Finite depth", list(files))
    for ending in ("svg", "png"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
    svg = (tmp_path / "one.svg").read_text()
    texts = [*(f"{name} (3 seeds)" for name in made_up.BASE), "w = 0.5", "w = 1.1", "T = 1,000", "range over seeds"]
    for text in [*texts, "Finite depth", "bits per dimension above"]:
        assert f">{text}</t" in svg, text


def test_the_best_steps_are_drawn_where_they_were_fitted():
    above = drawn(records(fitted=True)).axes[0]
    steps, both = above.lines[2:4]
    assert (steps.get_xdata().tolist(), both.get_xdata().tolist()) == ([10], [10])
    assert both.get_ydata() == pytest.approx([0.4])


def test_lines_are_means_over_seeds_with_their_range():
    models = records()
    above, below = (drawn(models).axes[i] for i in (1, 4))
    seeds = models["DiffEnc-2-1"]
    for line, bound in zip(above.lines, ("sigma_Q", "best", "w=0.5", "w=1.1"), strict=True):
        values = [[at.bounds[bound].excess.mean for at in seed.depths] for seed in seeds]
        np.testing.assert_array_equal(line.get_xdata(), made_up_depth.DEPTHS)
        np.testing.assert_allclose(line.get_ydata(), np.mean(values, axis=0))
        assert to_rgb(line.get_color()) == to_rgb(style.looks(made_up.BASE)["DiffEnc-2-1"].color)
    corners = above.collections[0].get_paths()[0].vertices[:, 1]
    values = [at.bounds["sigma_Q"].excess.mean for seed in seeds for at in seed.depths]
    assert (corners.min(), corners.max()) == pytest.approx((min(values), max(values)))
    for line, i in zip(below.lines, range(3), strict=True):
        values = [[ratio.w for ratio in seed.depths[i].ratio] for seed in seeds]
        np.testing.assert_allclose(line.get_ydata(), np.mean(values, axis=0))
    darkness = [sum(to_rgb(line.get_color())) for line in below.lines]
    assert darkness == sorted(darkness, reverse=True)


def test_all_panels_share_scales_which_hold_everything():
    for below, scale in (((), "log"), ((100,), "symlog")):
        figure = drawn(records(below=below))
        upper, lower = figure.axes[:3], figure.axes[3:6]
        assert {axes.get_yscale() for axes in upper} == {scale}
        for panels in (upper, lower):
            assert len({axes.get_ylim() for axes in panels}) == 1
            low, high = panels[0].get_ylim()
            values = np.concatenate([line.get_ydata() for axes in panels for line in axes.lines])
            assert low < values.min()
            assert values.max() < high


@pytest.mark.parametrize(("count", "panels"), [(1, 2), (2, 4), (4, 8), (6, 12)])
def test_three_models_stand_abreast(count, panels):
    one = next(iter(records(seeds=1).values()))
    names = [f"model {i}" for i in range(count)]
    figure = drawn(dict.fromkeys(names, one), names)
    assert len(figure.axes) == panels
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [f"{name} (1 seed)" for name in names]
    legend = [text.get_text() for text in figure.legends[0].texts]
    assert "range over seeds" not in legend


def test_of_many_depths_some_are_shown_to_the_last():
    many = records(depths=tuple(range(10, 100, 10)))
    assert [len(axes.lines) for axes in drawn(many).axes[3:6]] == [5] * 3
    assert list(depth._shown(many["VDMv-2"][0])) == [10, 30, 50, 70, 90]
    assert depth._shown(records(depths=(7,))["VDMv-2"][0]) == {7: 1.0}


def test_missing_and_other_files_are_named(files, tmp_path):
    missing = tmp_path / "gone.json"
    with pytest.raises(UserError, match=r"gone.json: cannot be read .*make it with `snakemake --force"):
        depth.depth({"one": [*files["VDMv-2"], missing]}, tmp_path / "f", "Title", ["one"])
    other = tmp_path / "other.json"
    other.write_text(files["VDMv-2"][0].read_text().replace('"images": 300', '"images": 30'))
    with pytest.raises(UserError, match=r"other.json: images is 30, in .* it is 300"):
        depth.depth({"one": [files["VDMv-2"][0], other]}, tmp_path / "f", "Title", ["one"])
    assert not list(tmp_path.glob("f*"))
