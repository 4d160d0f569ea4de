"""Images to a compressed file and back: compress, decompress."""

import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from diffenc.cli.execution import device
from diffenc.cli.options import Parsers, add_command, add_device, make_ready, positive
from diffenc.io.errors import UserError
from diffenc.io.files import write_file

if TYPE_CHECKING:
    import numpy as np
    import torch

    from diffenc.compression.codec import Way
    from diffenc.models.diffusion import Diffusion

MOST_FIT = 300  # training images, by default


def compress(options: Namespace) -> None:
    """Images -> a file that only the same model turns back."""
    from tqdm import tqdm

    from diffenc.compression.codec import compress
    from diffenc.data.pictures import read_images
    from diffenc.training.artifacts import load_model

    model, config = load_model(options.model)
    shape = config["images"]
    images = read_images(options.images, (shape["channels"], shape["side"], shape["side"]))
    make_ready(options.out.parent, options.out)
    here = device(options)
    model = model.to(here)
    options.batch = min(options.batch, len(images))
    way = _way(model, options, here)
    started = time.perf_counter()
    name = "/".join(str(config[key]) for key in ("dataset", "model", "schedule", "seed"))
    found = compress(model, name, images, way, lambda batches: tqdm(batches, "batches", disable=None))
    write_file(options.out, found.content)
    rate = len(images) / (time.perf_counter() - started)
    print(
        f"{options.out}: {len(images):,} images, {len(found.content):,} bytes, {rate:.3g} images/s; bits per"
        f" dimension: net {found.net:.4f}, gross {found.gross:.4f} (with borrowed bits and header)"
    )


def decompress(options: Namespace) -> None:
    """A compressed file -> its images, exactly."""
    from tqdm import tqdm

    from diffenc.compression import file
    from diffenc.compression.codec import decompress
    from diffenc.data.pictures import write_images
    from diffenc.training.artifacts import load_model

    try:
        content = options.file.read_bytes()
    except OSError as error:
        raise UserError(f"{options.file}: cannot be read ({error.strerror}); name a file of `diffenc compress`")
    header, _ = file.read(content, str(options.file))
    model, _ = load_model(options.model)
    options.threads = options.threads or header.machine.threads  # sums depend on it
    here = device(options)
    make_ready(options.out if options.out.suffix != ".npy" else options.out.parent)
    started = time.perf_counter()
    images = decompress(
        model.to(here), content, str(options.file), lambda batches: tqdm([*batches], "batches", disable=None)
    )
    write_images(options.out, images)
    rate = len(images) / (time.perf_counter() - started)
    print(f"{options.out}: {len(images):,} images, each with its checksum, {rate:.3g} images/s")


def _way(model: "Diffusion", options: Namespace, here: "torch.device") -> "Way":
    """The steps and their ratios: the best that training images show, or even ones with sigma_P = sigma_Q."""
    import numpy as np

    from diffenc.compression.codec import Way
    from diffenc.evaluation.best_steps import even, fit, fit_ratios
    from diffenc.models.finite_depth import Steps
    from diffenc.study.settings import MOST_STEPS

    best = options.ratio == "best" or (options.ratio is None and options.data is not None)
    grid = options.grid or "even"
    if (best or grid == "best") and options.data is None:
        raise UserError("--data: gives the training images that a best ratio or grid is fitted on; name it")
    if grid == "best" and options.steps > MOST_STEPS:
        raise UserError(f"--grid best: of more than {MOST_STEPS} --steps none is fitted; take fewer, or --grid even")
    gammas, ratios = even(model, options.steps), np.ones(options.steps)
    if grid == "best":
        gammas, ratios = fit(model, _training(options), 0, options.batch, here).of(options.steps, best)
    elif best:
        ratios = fit_ratios(model, _training(options), gammas, 0, options.batch, here)
    order = options.order or ("bit_swap" if model.encoder.is_identity else "top_down")
    return Way(Steps(gammas, ratios), options.bits, options.batch, order)


def _training(options: Namespace) -> "np.ndarray":
    from diffenc import data

    return data.load(options.data, "train")[: options.fit]


def add_commands(parsers: Parsers) -> None:
    """Add this module's commands to the command line."""
    one = add_command(parsers, "compress", compress, "Compress images without loss, with a trained run's model.")
    one.add_argument("images", type=Path, help="an .npy of (N, C, H, W) or (N, H, W[, C]) uint8, or a folder of PNG")
    one.add_argument("--model", type=Path, required=True, help="a trained run's folder")
    one.add_argument("--out", type=Path, required=True, help="the file, such as images.dfe")
    one.add_argument("--steps", type=positive, default=100, help="T: more code better and slower (default: 100)")
    one.add_argument("--bits", type=int, choices=range(9), default=3, metavar="B", help="of grids (default: 3)")
    one.add_argument("--batch", type=positive, default=100, help="images that go together (default: 100)")
    one.add_argument("--order", choices=["top_down", "bit_swap"], help="(default: bit_swap without an encoder)")
    one.add_argument("--ratio", choices=["best", "1"], help="sigma_Q^2 / sigma_P^2 (default: best, with --data)")
    one.add_argument("--grid", choices=["best", "even"], help="of the steps (default: even)")
    one.add_argument("--data", type=Path, help="the prepared data set, whose training images show what is best")
    one.add_argument("--fit", type=positive, default=MOST_FIT, help=f"so many of them (default: {MOST_FIT})")
    add_device(one)
    two = add_command(parsers, "decompress", decompress, "Turn a compressed file into its images, exactly.")
    two.add_argument("file", type=Path, help="what `compress` wrote")
    two.add_argument("--model", type=Path, required=True, help="the folder of the run that it was made with")
    two.add_argument("--out", type=Path, required=True, help="an .npy of (N, C, H, W) uint8, or a folder for PNG")
    add_device(two)
