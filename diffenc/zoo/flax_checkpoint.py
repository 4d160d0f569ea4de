"""The authors' released checkpoints: flax msgpack, gzipped or not, decoded as data and never evaluated."""

import gzip
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import msgpack
import numpy as np
import torch
from torch import Tensor

from diffenc.data.catalog import DatasetSpec
from diffenc.io.errors import UserError
from diffenc.models.diffusion import Diffusion
from diffenc.zoo.authors_config import read_config
from diffenc.zoo.build import assemble
from diffenc.zoo.configs import ModelConfig

_NDARRAY, _SCALAR = 1, 3

# flax's path of a leaf -> ours; what is not named here stays as it is
_RENAME = [
    (r"^gamma/", "schedule/"),
    (r"^score_model/TimeEmbedding_0/", "denoiser/time_embedding/"),
    (r"^score_model/GroupNorm_0/", "denoiser/norm_out/"),
    (r"^score_model/VDMUNet_0/(down|up)\.block_(\d+)/", r"denoiser/\1/\2/"),
    (r"^score_model/VDMUNet_0/mid\.block_(\d)/", r"denoiser/mid_\1/"),
    (r"^score_model/VDMUNet_0/mid\.attn_1/", "denoiser/attention/"),
    (r"^score_model/", "denoiser/"),
    (r"^encdec/inner_encoder/GroupNorm_0/", "encoder/net/norm_out/"),
    (r"^encdec/inner_encoder/", "encoder/net/"),
    (r"/enc_model/(down|up)_blocks_(\d+)/\w+_resnet_block(\d*)/", r"/\1/\2/<\3>/"),
    (r"/<>/", "/0/"),
    (r"/<(\d+)>/", r"/\1/"),
    (r"/enc_model/up_blocks_(\d+)/conv_trans/", r"/up_conv/\1/"),
    (r"/enc_model/mid_resnet_(\d)/", r"/mid_\1/"),
    (r"/enc_model/mid_attn_1/", "/attention/"),
    (r"attention/GroupNorm_0/", "attention/norm/"),
    (r"/GroupNorm_0/", "/norm1/"),
    (r"/GroupNorm_1/", "/norm2/"),
    (r"/nin_shortcut/", "/shortcut/"),
    (r"/(kernel|scale)$", "/weight"),
]


def parameter_name(leaf: str) -> str:
    """A flax leaf such as `score_model/conv_in/kernel` -> our parameter's name, `denoiser.conv_in.weight`."""
    for pattern, replacement in _RENAME:
        leaf = re.sub(pattern, replacement, leaf)
    return leaf.replace("/", ".")


def from_flax(leaf: str, array: np.ndarray, shape: torch.Size) -> Tensor:
    """A flax leaf's values in our layout: convolutions (H, W, in, out) -> (out, in, H, W), dense (in, out) ->
    (out, in). flax's transposed convolution is torch's with the kernel flipped in both directions."""
    values = torch.tensor(np.asarray(array, dtype=np.float32))
    if "conv_trans/kernel" in leaf:
        values = values.flip(0, 1).permute(2, 3, 0, 1)
    elif values.ndim == 4:
        values = values.permute(3, 2, 0, 1)
    elif values.ndim == 2:
        values = values.T
    return values.reshape(shape).contiguous()


def flax_shape(leaf: str, shape: torch.Size, axes: int) -> tuple[int, ...]:
    """The shape that a flax leaf of so many axes has for our parameter's: `from_flax` the other way round."""
    if axes == 4 and len(shape) == 4:
        return tuple(shape[i] for i in ((2, 3, 0, 1) if "conv_trans/kernel" in leaf else (2, 3, 1, 0)))
    if axes == 2 and len(shape) == 4:  # a dense layer where ours is a convolution of one pixel
        return shape[1], shape[0]
    return tuple(reversed(shape))


def leaves(tree: dict, prefix: str = "") -> dict[str, Any]:
    """A nested mapping as {path: leaf}, the path's parts joined by slashes."""
    flat = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        flat.update(leaves(value, path + "/") if isinstance(value, dict) else {path: value})
    return flat


def load_checkpoint(
    path: str | Path, config_json: str | Path, weights: Literal["params", "ema_params"] = "ema_params"
) -> Diffusion:
    """The model of one of the authors' checkpoints, on the CPU, in float32.

    Args:
        path: flax's msgpack of {step, params, ema_params, opt_state}, gzipped or not.
        config_json: the model's configuration in the authors' format.
        weights: which of the two sets of weights.

    Raises:
        UserError: a file is missing, damaged, the two do not belong together, or a weight is not finite.
    """
    state = read_msgpack(path)
    if weights not in state:
        raise UserError(f"{path}: has no {weights!r}; it holds {', '.join(map(str, state))}")
    flat = leaves(state[weights])
    config, levels, schedule = read_config(config_json)
    # the side of the images is not on record: the encoder's resolutions are counted
    model = assemble(config, _channels(path, flat), levels, 0, schedule, spread=_spread(config, flat))
    ours = {parameter_name(leaf): leaf for leaf in flat}
    expected = dict(model.named_parameters())
    if ours.keys() != expected.keys():
        odd = sorted(ours.keys() ^ expected.keys())[0]
        raise UserError(f"{path}: is not a checkpoint of {config_json} (they disagree on {odd}); name its own config")
    for name, parameter in expected.items():
        array = flat[ours[name]]
        if np.shape(array) != (asked := flax_shape(ours[name], parameter.shape, np.ndim(array))):
            raise UserError(
                f"{path}: {ours[name]} has shape {np.shape(array)}, but {config_json} asks for {asked}; name the"
                " checkpoint's own config, or take the authors' own file"
            )
        parameter.data = from_flax(ours[name], array, parameter.shape)
        if not parameter.isfinite().all():
            raise UserError(f"{path}: {ours[name]} has values that are not finite; fetch it again")
    return model


def check_images(path: str | Path, model: Diffusion, spec: DatasetSpec) -> None:
    """Raise UserError unless the checkpoint's model is of such images as the data set's."""
    channels = model.denoiser.conv_out.out_channels
    if (channels, model.levels) != (spec.channels, spec.levels):
        raise UserError(
            f"{path}: models {channels} channel(s) of {model.levels} levels, {spec.title} has {spec.channels} of"
            f" {spec.levels}; name the data that it was trained on"
        )


def _channels(path: str | Path, flat: dict[str, np.ndarray]) -> int:
    if "score_model/conv_out/bias" not in flat:
        raise UserError(f"{path}: holds no score_model; is it a DiffEnc checkpoint?")
    return len(flat["score_model/conv_out/bias"])


def _spread(config: ModelConfig, flat: dict[str, np.ndarray]) -> tuple[int, int]:
    """The encoder's resolutions and blocks a resolution, counted: they depend on the images' side."""
    found = Counter(
        match[1] for leaf in flat if (match := re.search(r"/down_blocks_(\d+)/\w+_resnet_block\d*/conv1/bias$", leaf))
    )
    return len(found) or config.blocks, max(found.values(), default=1)


def read_msgpack(path: str | Path) -> dict:
    """A flax checkpoint as nested dicts of numpy arrays. Raises UserError on a missing or damaged file."""
    try:
        content = Path(path).read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        state = msgpack.unpackb(content, ext_hook=_extension, strict_map_key=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; name a file of the authors' release")
    except (OSError, EOFError, ValueError, TypeError, MemoryError, zlib.error, msgpack.UnpackException) as error:
        raise UserError(f"{path}: is damaged or not a flax checkpoint ({error}); fetch it again")
    if not isinstance(state, dict):
        raise UserError(f"{path}: is not a flax checkpoint (it holds a {type(state).__name__}); fetch it again")
    return state


def _extension(code: int, data: bytes) -> np.ndarray:
    """flax's extension types: an array, or a numpy scalar, as (shape, dtype, bytes)."""
    if code not in (_NDARRAY, _SCALAR):
        raise ValueError(f"extension type {code} is not an array")
    shape, dtype, raw = msgpack.unpackb(data)
    return np.frombuffer(raw, dtype=np.dtype(dtype)).reshape(shape)
