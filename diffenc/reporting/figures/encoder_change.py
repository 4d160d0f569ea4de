"""Figure `encoder_change`: how far the encoder moves an image, and the size of y, over t."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from diffenc.reporting.figures import style
from diffenc.reporting.figures.counterterm import read_inspections
from diffenc.reporting.figures.style import Seeds, curve, spread
from diffenc.results.encoder_analysis import over_images

CHANGE = r"change $\|x_t - x\|/\sqrt{d}$"
Y = r"network's output $\|y\|/\sqrt{d}$"
IMAGE = r"the images: $\|x\|/\sqrt{d}$"


def encoder_change(files: dict[str, list[Path]], stem: Path, title: str, order: Sequence[str]) -> None:
    """Draw how far x_t is from x over t, and the size of y where an encoder has one; otherwise as `counterterm`."""
    models = read_inspections(files)
    with style.styled():
        style.save(draw_change(models, title, order), stem)


def draw_change(models: Mapping[str, Seeds], title: str, order: Sequence[str]) -> Figure:
    """The figure of {name: its seeds' arrays}; `order` gives the colours. Without any y there is one panel."""
    looks = style.looks(order)
    with_y = {name: seeds for name, seeds in models.items() if "y" in seeds[0]}
    figure = style.titled(style.WIDTH, style.panels_height(len(models)) - 1.8, title)
    change, *others = figure.subplots(1, 2 if with_y else 1, squeeze=False, sharey=True)[0]
    image = over_images(next(iter(models.values()))[0]["image"])
    shown = [(change, models, "change", CHANGE), *((axes, with_y, "y", Y) for axes in others)]
    for axes, drawn, norm, text in shown:
        for name, seeds in drawn.items():
            label = style.with_n(name, len(seeds))
            curve(axes, seeds, lambda arrays, norm=norm: over_images(arrays[norm]), looks[name], label)
        axes.axhline(image, color="0.4", linewidth=0.8, linestyle=":", label=IMAGE)
        axes.set(title=text, xlabel="t", xlim=(0, 1))
    change.set_ylim(0, 1.05 * max(axes.dataLim.ymax for axes, *_ in shown))
    style.legend_below(figure, change, *spread(models))
    return figure
