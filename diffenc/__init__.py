"""Variational diffusion with a learned encoder: models, training, evaluation, tables and figures."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffenc.library import load

try:
    __version__ = version("diffenc")
except PackageNotFoundError:  # a checkout in which nothing was installed (docs/usage.md)
    __version__ = "of a checkout that is not installed"
__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # torch is imported by who loads a model, not by who asks for a version
    if name == "load":
        from diffenc.library import load

        return load
    raise AttributeError(f"module 'diffenc' has no attribute {name!r}")
