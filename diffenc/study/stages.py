"""Files of a run and of a study, in the order in which stages make them."""

from diffenc.io.schema import Strict


def as_options(settings: Strict) -> str:
    """A part of a study as command line options."""
    given = {name: value for name, value in settings.model_dump().items() if value is not None}
    words = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return " ".join(f"--{name} {' '.join(map(str, values))}" for name, values in words.items())


TERMS = ("total", "diffusion", "latent", "reconstruction")
MODEL = "model.safetensors"
CONFIG = "config.yaml"
HISTORY = "history.jsonl"
COST = "cost.json"
TRAINED = (HISTORY, COST, CONFIG, MODEL)
EVALUATION = "evaluation.json"
PER_IMAGE = "evaluation.npz"
ENCODINGS = "encodings.npz"
SAMPLES = "samples.npz"
INSPECTION = "inspection.npz"
DEPTH = "depth.json"
# the command and the file that it writes; FID goes by samples and is apart
FILES = {
    "evaluate": EVALUATION,
    "sample": SAMPLES,
    "encode": ENCODINGS,
    "inspect": INSPECTION,
    "depth": DEPTH,
}
FID_SAMPLES = "fid_samples"
FID = "fid.json"
# the times that heat maps need, in steps of 0.1, and those at which encodings are shown
HEATMAP_TIMES = tuple(round(0.1 * i, 1) for i in range(11))
ENCODING_TIMES = (0.0, 0.7, 0.8, 0.9, 0.92, 0.94, 0.96, 0.98, 1.0)
RUNS = "runs.csv"
TESTS = "tests.csv"
# of a study that was trained elsewhere, as sha256sum writes them: the weights themselves stayed there
CHECKSUMS = "weights.sha256"
