"""Every figure and table: its name, the file that it shows, who draws it, its caption."""

from typing import Literal, NamedTuple

from diffenc.study.stages import DEPTH, ENCODINGS, EVALUATION, FID, HISTORY, INSPECTION, PER_IMAGE, SAMPLES

Which = Literal["all", "encoder", "trained"]


class RunFigure(NamedTuple):
    """A figure of one run: the study's name for it, the run's file that it shows, who draws it, and of which runs."""

    asked_for: str
    file: str
    draw: str
    caption: str
    which: Which = "encoder"


class GroupFigure(NamedTuple):
    """A figure that compares the models of one data set and schedule."""

    file: str
    draw: str
    caption: str
    which: Which = "all"
    all_seeds: bool = True


class Table(NamedTuple):
    """A table, who makes it, and the file of each run that it reads beside runs.csv and tests.csv, if any."""

    make: str
    caption: str
    file: str | None = None
    which: Which = "all"


OF_A_RUN = {
    "heatmaps": RunFigure(
        "heatmaps",
        ENCODINGS,
        "heatmaps.heatmap",
        "How the encoding changes with time: (x_t - x_s) / (t - s) for s = t - 0.1, summed over channels, beside the"
        " original image. All maps share one scale.",
    ),
    "heatmaps_full": RunFigure(
        "heatmaps",
        ENCODINGS,
        "heatmaps.full_heatmap",
        "How the encoding changes with time, at every t from 0.1 to 1.0.",
    ),
    "encodings": RunFigure(
        "encodings",
        ENCODINGS,
        "encodings.encodings",
        "The encoder's mean x_t of test images, from t = 0 (the image) to t = 1.",
    ),
    "process": RunFigure(
        "process",
        ENCODINGS,
        "process.process",
        "The diffusion process without an encoder, and with this one: z_t = alpha_t x_t + sigma_t eps, with the same"
        " noise.",
    ),
    "sample_page": RunFigure(
        "sample_page", SAMPLES, "sample_page.sample_page", "Ancestral samples, one after the other.", "all"
    ),
}
OF_A_GROUP = {
    "samples": GroupFigure(
        SAMPLES,
        "samples.samples",
        "Ancestral samples of each model, drawn with the same noise.",
        all_seeds=False,
    ),
    "curves": GroupFigure(
        HISTORY,
        "curves.curves",
        "Training loss and its terms over the steps, in bits per dimension: the mean over seeds, each seed, and their"
        " range.",
        "trained",
    ),
    "loss_per_t": GroupFigure(
        EVALUATION,
        "loss_per_t.loss_per_t",
        "The diffusion loss by time t, in bits per dimension per unit of t, and below its difference to the first"
        " model's, with the spread over seeds.",
    ),
    "counterterm": GroupFigure(
        INSPECTION,
        "counterterm.counterterm",
        "What the counterterm -sigma^2 x_hat leaves of the encoder's motion dx_t/dgamma, over t.",
        "encoder",
    ),
    "encoder_change": GroupFigure(
        INSPECTION,
        "encoder_change.encoder_change",
        "How far the encoder moves an image, and the size of its output y, over t.",
        "encoder",
    ),
    "spectra": GroupFigure(
        INSPECTION,
        "spectra.spectra",
        "Power over spatial frequency of test images and of their encodings.",
        "encoder",
    ),
    "depth": GroupFigure(
        DEPTH,
        "depth.depth",
        "Finite depth T: by how much each bound exceeds the continuous one, and the best variance ratio over t.",
    ),
}
TABLES = {
    "components": Table("components.components", "The loss on the test set and its three terms"),
    "seeds": Table("seeds.seeds", "Every seed's loss on the test set"),
    "comparisons": Table("comparisons.comparisons", "Welch's tests across seeds, for each term of the loss"),
    "power": Table("power.power", "How many seeds it takes to see a difference"),
    "paired": Table("paired.paired", "The same test images under the same noise: trained models compared", PER_IMAGE),
    "cost": Table("cost.cost", "What training costs, and the encoder's share of it"),
    "encoder": Table("encoder.encoder", "What the encoder does", INSPECTION, "encoder"),
    "endpoints": Table("endpoints.endpoints", "The end points of the noise schedule"),
    "depth": Table("depth.depth", "Bounds of finite depth T, by the variance ratio of the generative model", DEPTH),
    "fid": Table("fid.fid", "FID", FID),
}
OF_THE_STUDY = {
    "statistics": Table("statistics.statistics", "Every comparison's statistics"),
    "literature": Table(
        "literature.literature", "The literature, the paper and this study: bits per dimension on the test set"
    ),
}
FIGURE_CAPTIONS = {kind: figure.caption for kind, figure in (OF_A_RUN | OF_A_GROUP).items()}
TABLE_FILES = ("md", "html", "csv", "tex")
LOSS_TABLES = ("components", "seeds", "comparisons")
ANALYSES = ("statistics", "power", "paired", "cost", "encoder", "endpoints", "depth")
FIGURES = (
    *("heatmaps", "encodings", "process", "samples", "sample_page", "curves", "loss_per_t"),
    *("counterterm", "encoder_change", "spectra", "depth"),
)
