"""Every figure and table that a study can have, each declared once: here, and in the file that draws it.

A table NAME is made by NAME(...) of reporting/tables/NAME.py, a figure by NAME(...) of reporting/figures/NAME.py, or
by what `made_by` says. They take what they name of what there is (`diffenc.reporting.render`). Names, defaults,
targets, captions and what is taken as a target's name follow from these entries.
"""

from typing import Literal, NamedTuple

from diffenc.study.stages import (
    COMPRESSION,
    DEPTH,
    ENCODINGS,
    EVALUATION,
    FID,
    HISTORY,
    INSPECTION,
    LIKELIHOOD,
    NOISE_LEVELS,
    PER_IMAGE,
    PROCESS,
    SAMPLES,
)

Which = Literal["all", "encoder", "trained"]


class RunFigure(NamedTuple):
    """A figure of one run: the run's file that it shows, what it answers, and of which runs.

    A study asks for it by its own name, or by that of the figure that it belongs to, `with_`.
    """

    file: str
    title: str
    caption: str
    which: Which = "encoder"
    with_: str | None = None
    made_by: str | None = None


class GroupFigure(NamedTuple):
    """A figure that compares the models of one data set and schedule: of all their seeds, or of the first.

    It is there unless a study lists others, if it is a usual one.
    """

    file: str
    title: str
    caption: str
    which: Which = "all"
    all_seeds: bool = True
    made_by: str | None = None
    usual: bool = True


class Table(NamedTuple):
    """A table, and the file of each run that it reads beside runs.csv and tests.csv, if any.

    It is of one data set, or of the whole study; of comparisons, or of runs; and there unless a study lists others.
    """

    caption: str
    file: str | None = None
    which: Which = "all"
    of_the_study: bool = False
    of_comparisons: bool = False
    usual: bool = True


FIGURES_BY_NAME: dict[str, RunFigure | GroupFigure] = {
    "heatmaps": RunFigure(
        ENCODINGS,
        "What the encoder changes over time",
        "How the encoding changes with time: (x_t - x_s) / (t - s) for s = t - 0.1, summed over channels, beside the"
        " original image. All maps share one scale.",
        made_by="heatmaps.heatmap",
    ),
    "heatmaps_full": RunFigure(
        ENCODINGS,
        "What the encoder changes, at every time",
        "How the encoding changes with time, at every t from 0.1 to 1.0.",
        with_="heatmaps",
        made_by="heatmaps.full_heatmap",
    ),
    "encodings": RunFigure(
        ENCODINGS,
        "What the encoder makes of images",
        "The encoder's mean x_t of test images, from t = 0 (the image) to t = 1.",
    ),
    "process": RunFigure(
        ENCODINGS,
        "Diffusion with the encoder and without",
        "The diffusion process without an encoder, and with this one: z_t = alpha_t x_t + sigma_t eps, with the same"
        " noise.",
    ),
    "samples": GroupFigure(
        SAMPLES,
        "What the models draw, side by side",
        "Ancestral samples of each model, drawn with the same noise.",
        all_seeds=False,
    ),
    "sample_page": RunFigure(SAMPLES, "What each model draws", "Ancestral samples, one after the other.", "all"),
    "curves": GroupFigure(
        HISTORY,
        "How training went",
        "Training loss and its terms over the steps, in bits per dimension: the mean over seeds, each seed, and their"
        " range.",
        "trained",
    ),
    "loss_per_t": GroupFigure(
        EVALUATION,
        "Where in time a model loses its bits",
        "The diffusion loss by time t, in bits per dimension per unit of t, and below its difference to the first"
        " model's, with the spread over seeds.",
    ),
    "counterterm": GroupFigure(
        INSPECTION,
        "What the counterterm leaves",
        "What the counterterm -sigma^2 x_hat leaves of the encoder's motion dx_t/dgamma, over t.",
        "encoder",
    ),
    "encoder_change": GroupFigure(
        INSPECTION,
        "How far the encoder moves images",
        "How far the encoder moves an image, and the size of its output y, over t.",
        "encoder",
    ),
    "spectra": GroupFigure(
        INSPECTION,
        "Which frequencies the encoder changes",
        "Power over spatial frequency of test images and of their encodings.",
        "encoder",
    ),
    "depth": GroupFigure(
        DEPTH,
        "What few steps cost",
        "Finite depth T: by how much each bound exceeds the continuous one, and the best variance ratio over t.",
    ),
    "noise_levels": GroupFigure(
        NOISE_LEVELS,
        "Schedules, noise levels and weightings",
        "The schedules as log SNR over t, the diffusion loss in bits per dimension per unit of log SNR, and the"
        " weightings over log SNR with their slopes by gamma, each over its largest value.",
        usual=False,
    ),
    "processes": GroupFigure(
        PROCESS,
        "How diffusion processes differ",
        "Diffusion processes: log SNR over t, the weight that the diffusion term puts on each direction of a state's"
        " noise, the diffusion loss in bits per dimension per unit of log SNR, and what of it is the network's own"
        " error, over t.",
        usual=False,
    ),
    "compression": GroupFigure(
        COMPRESSION,
        "What real files take",
        "Test images compressed with each model: what the code takes net, top-down, and the whole file with the best"
        " sigma_P; dotted: other compressors on the same images.",
        usual=False,
    ),
    "likelihood": GroupFigure(
        LIKELIHOOD,
        "The ODE beside the bound",
        "How far the model's z_t are from the image's, E log q(z_t | x) - log p(z_t), by the bound and by the"
        " probability-flow ODE, and the difference of both: the part of the gap that comes from between t and 1. At 0"
        " all images are measured, at each of the other times some of them.",
        usual=False,
    ),
}
TABLES_BY_NAME = {
    "components": Table("The loss on the test set and its three terms"),
    "seeds": Table("Every seed's loss on the test set"),
    "comparisons": Table("Welch's tests across seeds, for each term of the loss", of_comparisons=True),
    "statistics": Table("Every comparison's statistics", of_the_study=True, of_comparisons=True),
    "power": Table("How many seeds it takes to see a difference", of_comparisons=True),
    "equivalence": Table("Whether models are the same within the study's margin", of_comparisons=True),
    "by_seed": Table(
        "Seeds in common: models paired by them, and one interval for new trainings on new images",
        PER_IMAGE,
        of_comparisons=True,
    ),
    "paired": Table(
        "The same test images under the same noise: trained models compared", PER_IMAGE, of_comparisons=True
    ),
    "cost": Table("What training costs, and the encoder's share of it"),
    "encoder": Table("What the encoder does", INSPECTION, "encoder"),
    "endpoints": Table("The end points of the noise schedule"),
    "depth": Table("Bounds of finite depth T, by the variance ratio of the generative model", DEPTH),
    "schedules": Table(
        "The variance of the diffusion term under schedules with the same ends", NOISE_LEVELS, usual=False
    ),
    "weightings": Table("Weighted losses, and the same as bounds of noised data", NOISE_LEVELS, usual=False),
    "process": Table("The diffusion process, and what of a difference is its noise range", PROCESS, usual=False),
    "compression": Table("Real bits: test images compressed and back", COMPRESSION, usual=False),
    "likelihood": Table("The bound, and the log likelihood by the probability-flow ODE", LIKELIHOOD, usual=False),
    "objectives": Table("What the models descended, and what came of it", FID, usual=False),
    "fid": Table("FID", FID, usual=False),
    "literature": Table(
        "The literature, the paper and this study: bits per dimension on the test set", of_the_study=True, usual=False
    ),
    "since": Table(
        "Likelihoods newer than the paper's Table 1 or missing in it, by what they are: bits per dimension on the"
        " test set",
        of_the_study=True,
        usual=False,
    ),
}
OF_A_RUN = {name: one for name, one in FIGURES_BY_NAME.items() if isinstance(one, RunFigure)}
OF_A_GROUP = {name: one for name, one in FIGURES_BY_NAME.items() if isinstance(one, GroupFigure)}
TABLES = {name: one for name, one in TABLES_BY_NAME.items() if not one.of_the_study}
OF_THE_STUDY = {name: one for name, one in TABLES_BY_NAME.items() if one.of_the_study}
FIGURE_CAPTIONS = {name: figure.caption for name, figure in (OF_A_RUN | OF_A_GROUP).items()}
# what a study may name
FIGURES = tuple(name for name, one in FIGURES_BY_NAME.items() if not (isinstance(one, RunFigure) and one.with_))
USUAL_FIGURES = tuple(name for name in FIGURES if getattr(FIGURES_BY_NAME[name], "usual", True))
USUAL_TABLES = tuple(name for name, table in TABLES_BY_NAME.items() if table.usual)
TABLE_FILES = ("md", "html", "csv", "json", "tex")
