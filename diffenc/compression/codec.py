"""Images to a compressed file and back: batches chained on one stack, checked on both sides."""

import hashlib
import os
import platform
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from diffenc.compression import file
from diffenc.compression.bits_back import ORDERS, Images, Order
from diffenc.compression.file import Header, Machine
from diffenc.compression.path import Path
from diffenc.compression.stack import Stack
from diffenc.io.errors import UserError
from diffenc.models.diffusion import Diffusion
from diffenc.models.finite_depth import Steps
from diffenc.runtime.device import exact_float32

Progress = Callable[[Iterable[int]], Iterable[int]]


class Way(NamedTuple):
    """How to compress: the steps, b, the batch, and the order of pops and pushes."""

    steps: Steps
    bits: int
    batch: int
    order: str


class Compressed(NamedTuple):
    """A file's content, and what it took, in bits per dimension.

    Attributes:
        content: the whole file.
        net: what the stack grew by.
        gross: all of the file.
        path: -log p + log q of the very paths taken, which `net` codes; its mean is the bound of T steps.
        path_se: its standard error over images.
    """

    content: bytes
    net: float
    gross: float
    path: float
    path_se: float


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """No gradients, and on a GPU algorithms that give the same numbers each time; a CPU's do."""
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the library is first used
    torch.use_deterministic_algorithms(before or device.type == "cuda")
    try:
        with torch.no_grad():
            yield
    finally:
        torch.use_deterministic_algorithms(before)


def compress(model: Diffusion, name: str, images: Images, way: Way, progress: Progress = iter) -> Compressed:
    """Images (N, C, H, W) uint8 of the model's size and levels -> a file for the receiver that has the same model.

    Raises:
        UserError: the order is not one for this model, or a pixel is not one of its levels.
    """
    order = _ready(model, way)
    if (highest := images.max(initial=0)) >= model.levels:
        raise UserError(f"a pixel of {highest}: the model has {model.levels} levels; give images like its own")
    stack, costs = Stack(), []
    with exactly(order.path.device):
        for start in progress(range(0, len(images), way.batch)):
            part = np.ascontiguousarray(images[start : start + way.batch])
            costs.append(order.encode(part, stack, start // way.batch))
        sign = canary(order, images.shape[1:])
    words = stack.words()
    header = Header(
        model=fingerprint(model),
        name=name,
        order=way.order,
        bits=way.bits,
        gammas=way.steps.gammas.tolist(),
        ratios=way.steps.ratios.tolist(),
        batch=way.batch,
        shape=list(images.shape),
        levels=model.levels,
        crc=_checksums(images),
        borrowed=stack.borrowed,
        words=len(words),
        sha256=hashlib.sha256(file.as_bytes(words)).hexdigest(),
        canary=sign,
        machine=machine(order.path.device),
    )
    content = file.write(header, words)
    dimensions, bits = images[0].size, np.concatenate(costs) / np.log(2)
    net = (stack.bits() - 32 * stack.borrowed) / images.size
    error = bits.std(ddof=1) / np.sqrt(len(bits)) / dimensions if len(bits) > 1 else np.nan
    return Compressed(content, net, 8 * len(content) / images.size, float(bits.mean() / dimensions), float(error))


def decompress(model: Diffusion, content: bytes, source: str, progress: Progress = iter) -> Images:
    """The images (N, C, H, W) uint8 of a file's content, exactly.

    Raises:
        UserError: the file is damaged, the model another one, this machine does not compute as the sender's did, or
            an image does not have its checksum. Never a wrong image.
    """
    header, words = file.read(content, source)
    if (found := fingerprint(model)) != header.model:
        raise UserError(
            f"{source}: was made with the model {header.name} (weights {header.model[:12]}), this one's weights are"
            f" {found[:12]}; name the run that it was made with"
        )
    steps = Steps(np.array(header.gammas), np.array(header.ratios))
    order = _ready(model, Way(steps, header.bits, header.batch, header.order))
    count, *shape = header.shape
    if (channels := model.denoiser.conv_out.out_channels) != shape[0] or model.levels != header.levels:
        raise UserError(f"{source}: is of {shape[0]} channels, the model has {channels}; take another copy")
    stack, parts = Stack(words), []
    with exactly(order.path.device):
        _check_arithmetic(order, header, source)
        for start in progress(range(header.batch * ((count - 1) // header.batch), -1, -header.batch)):
            size = min(header.batch, count - start)
            try:
                parts.append(order.decode((size, *shape), stack, start // header.batch))
            except (KeyError, ValueError, OverflowError) as error:  # symbols that the coder has never seen
                raise UserError(
                    f"{source}: the bits do not go back ({error}): {_differs(header, order)}; decode it where it was"
                    " made"
                )
            _check_images(parts[-1], start, order, header, source)
    if not stack.ends_as_borrowed(header.borrowed):
        raise UserError(f"{source}: its borrowed bits are not left at the end; decode it where it was made")
    return np.concatenate(parts[::-1])


def fingerprint(model: Diffusion) -> str:
    """sha256 of all weights, and of what else the numbers depend on."""
    found = hashlib.sha256(f"{model.levels} {type(model.parameterization).__name__}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def canary(order: Order, shape: tuple[int, ...]) -> str:
    """sha256 of a step's numbers, networks included, at both ends and in the middle, for an input that is fixed."""
    path, found = order.path, hashlib.sha256()
    numbers = np.arange(path.batch * int(np.prod(shape)))
    images = (numbers * 2654435761 % path.model.levels).astype(np.uint8).reshape(path.batch, *shape)
    x = path.scale(images)
    z = torch.from_numpy(np.sin(numbers * 0.37).reshape(images.shape)).to(path.device)
    for i in sorted({1, (path.depth + 1) // 2, path.depth}):
        below, above, x_hat = path.encoded(x, i - 1, path.batch), path.encoded(x, i, path.batch), path.x_hat(z, i)
        for one in (path.mean(z, x_hat, i), path.shift(below, above, x_hat, i)):
            found.update(one.cpu().contiguous().numpy().tobytes())
    found.update(path.probabilities(z).tobytes())
    return found.hexdigest()


def machine(device: torch.device) -> Machine:
    """On what is computed here."""
    cuda = device.type == "cuda"
    return Machine(
        device=torch.cuda.get_device_name(device) if cuda else f"cpu {torch.backends.cpu.get_cpu_capability()}",
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        constriction=version("constriction"),
        numpy=np.__version__,
        system=f"{platform.system()} {platform.machine()}",
    )


def _ready(model: Diffusion, way: Way) -> Order:
    if not isinstance(model, Diffusion):
        raise UserError("multivariate models do not compress; take another run")
    if way.order == "bit_swap" and not model.encoder.is_identity:
        raise UserError("the order bit_swap: needs a model without an encoder; take top_down")
    exact_float32()
    return ORDERS[way.order](Path(model.eval(), way.steps, way.batch), way.bits)


def _check_arithmetic(order: Order, header: Header, source: str) -> None:
    if canary(order, tuple(header.shape[1:])) != header.canary:
        raise UserError(
            f"{source}: the networks give other numbers here than where it was made: {_differs(header, order)};"
            " decode it where it was made"
        )


def _check_images(images: Images, start: int, order: Order, header: Header, source: str) -> None:
    for i, (found, expected) in enumerate(zip(_checksums(images), header.crc[start:], strict=False), start):
        if found != expected:
            raise UserError(
                f"{source}: image {i} does not have its checksum: {_differs(header, order)}; decode it where it was"
                " made"
            )


def _differs(header: Header, order: Order) -> str:
    there, here = header.machine.model_dump(), machine(order.path.device).model_dump()
    found = [f"{key} {there[key]} there, {here[key]} here" for key in there if there[key] != here[key]]
    return ", ".join(found) or "what, cannot be told: versions, device and threads are the same"


def _checksums(images: NDArray[np.uint8]) -> list[int]:
    return [zlib.crc32(np.ascontiguousarray(image)) for image in images]
