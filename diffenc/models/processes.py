"""Linear multivariate processes as parts of a model: fixed ones, and ones that are learned with it."""

import math
from abc import ABC, abstractmethod

import torch
from torch import nn

from diffenc.models.mdm import LinearProcess, Table


class Process(nn.Module, ABC):
    """A `LinearProcess` that moves with its model from device to device; its parameters are trained, undecayed."""

    variables: int

    @abstractmethod
    def forward(self) -> LinearProcess:
        """The process as it is now, differentiable by what is trained of it."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw what is trained."""


class Fixed(Process):
    """One that stays; the run's configuration says which."""

    _MATRICES = ("Q", "D", "stationary", "init")

    def __init__(self, process: LinearProcess) -> None:
        super().__init__()
        self.variables = process.variables
        for name in self._MATRICES:
            self.register_buffer(name, getattr(process, name), persistent=False)
        for name, values in zip(Table._fields, process.table(), strict=True):
            self.register_buffer(f"table_{name}", values, persistent=False)

    def forward(self) -> LinearProcess:
        """The process, with its table of times."""
        matrices = (getattr(self, name).double() for name in self._MATRICES)
        return LinearProcess.unchecked(*matrices, Table(*(getattr(self, f"table_{name}") for name in Table._fields)))


class Learned(Process):
    """Q = q - q^T and D by d (`LinearProcess.learned`), for q (K, K) and d (K,); for a full D d is (K, K).

    They begin uniform in (-1, 1) / sqrt(K).

    Args:
        variables: K; with 1 what is learned is a scalar D, the control.
        full: whether D is.
        M: stationary variance of the auxiliary variables.
        init: c, their variance at tau = 0.
    """

    def __init__(self, variables: int, full: bool = False, M: float = 1.0, init: float = 0.01) -> None:
        super().__init__()
        self.variables, self.M, self.init = variables, M, init
        self.q = nn.Parameter(torch.zeros(variables, variables))
        self.d = nn.Parameter(torch.zeros(variables, variables) if full else torch.zeros(variables))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """q and d anew."""
        for one in (self.q, self.d):
            one.uniform_(-1, 1, generator=generator).div_(math.sqrt(self.variables))

    def forward(self) -> LinearProcess:
        """The process of q and d."""
        return LinearProcess.learned(self.q, self.d, self.M, self.init)
