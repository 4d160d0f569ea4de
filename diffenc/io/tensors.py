"""Tensors and text as safetensors files, with a checksum of both that every reader verifies."""

import errno
import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from diffenc.io.about import ABOUT, metadata_of, opened
from diffenc.io.errors import UserError
from diffenc.io.files import write_atomically


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Tensors and text as one safetensors file, their `digest` among the text."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    whole = {**(metadata or {}), "sha256": digest(tensors, metadata or {})}
    # in one entry: of several, safetensors writes now one first, now another
    metadata = {ABOUT: json.dumps(whole, sort_keys=True)}

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # its word for a full disk, among others
            raise OSError(errno.EIO, " ".join(str(error).split()))

    write_atomically(path, write)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `save_tensors` wrote.

    Raises:
        UserError: the file is missing, cannot be read as such, or is not as it was written. One without a checksum,
            which earlier versions wrote, is taken as it is.
    """
    with opened(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = metadata_of(path, file)
    written = metadata.pop("sha256", None)
    if written is not None and (found := digest(tensors, metadata)) != written:
        raise UserError(f"{path}: is damaged: its content's sha256 is {found}, when it was written {written}")
    return tensors, metadata


def digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """sha256 of names, types, shapes, values and text."""
    found = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update((tensor.view(torch.uint8) if tensor.dtype == torch.bfloat16 else tensor).numpy())
    return found.hexdigest()
