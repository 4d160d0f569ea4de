"""A run's checkpoints: all that it needs to go on as if it had never stopped; atomic, and checked when read."""

import contextlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from diffenc.io.about import load_metadata
from diffenc.io.errors import UserError
from diffenc.io.schema import first_difference
from diffenc.io.tensors import load_tensors, save_tensors
from diffenc.models.model import LossTerms
from diffenc.runtime.processes import Processes

PARTIAL_HISTORY = "checkpoint.history.jsonl"
KEPT = 2
_NAME = re.compile(r"checkpoint-\d+\.safetensors")
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class TrainingState:
    """Parameters and their average, AdamW's moments, buffers, step, history, and the sums since its last line.

    `others` by name are tensors that a step changes in place, beside the model.
    """

    def __init__(
        self,
        model: nn.Module,
        average: list[Tensor],
        optimizer: torch.optim.Optimizer,
        others: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self.average, self.optimizer, self.others = average, optimizer, others
        self.buffers = {name: one for name, one in model.state_dict().items() if name not in self.names}
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.sums = torch.zeros(len(LossTerms._fields), dtype=torch.float64, device=self.parameters[0].device)

    def tensors(self) -> dict[str, Tensor]:
        """Everything but the step and the history, by name."""
        tensors = {"sums": self.sums, **self.others, **{f"buffer/{name}": one for name, one in self.buffers.items()}}
        for name, parameter, average in zip(self.names, self.parameters, self.average, strict=True):
            tensors |= {f"parameter/{name}": parameter, f"ema/{name}": average}
            tensors |= {f"{moment}/{name}": self.optimizer.state[parameter][moment] for moment in _MOMENTS}
        return tensors

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], step: int, history: list[dict[str, Any]]) -> None:
        """Take over what `tensors` gave at that step."""
        for name, parameter, average in zip(self.names, self.parameters, self.average, strict=True):
            parameter.copy_(tensors[f"parameter/{name}"])
            average.copy_(tensors[f"ema/{name}"])
            self._set_moments(parameter, [tensors[f"{moment}/{name}"] for moment in _MOMENTS])
        for name, one in self.buffers.items():
            one.copy_(tensors[f"buffer/{name}"])
        for name, one in self.others.items():
            one.copy_(tensors[name])
        self.sums.copy_(tensors["sums"])
        self.step, self.history = step, history

    def copy_from_first(self, processes: Processes) -> None:
        """Take over the first process's state, on all others."""
        self.step, self.history = processes.from_first((self.step, self.history))
        if self.step and not processes.first:
            for parameter in self.parameters:
                self._set_moments(parameter, [torch.zeros(()), *[torch.zeros_like(parameter)] * 2])
        if self.step:
            processes.copy_from_first(self.tensors().values())

    def _set_moments(self, parameter: Tensor, moments: list[Tensor]) -> None:
        """AdamW's state of one parameter, laid out in memory as it is: the fused kernel walks through both."""
        step, *means = moments
        means = [torch.empty_like(parameter.detach()).copy_(mean) for mean in means]
        self.optimizer.state[parameter] = dict(zip(_MOMENTS, (step.to(parameter.device), *means), strict=True))


class Checkpoints:
    """The last checkpoints of one run, each stamped with the run's configuration."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder, self.config = folder, config

    def paths(self) -> list[Path]:
        """Those there are, the newest first; copies under other names are nobody's.

        Raises:
            UserError: something else has the name of one.
        """
        named = [path for path in self.folder.glob("checkpoint-*.safetensors") if _NAME.fullmatch(path.name)]
        if other := next((path for path in named if not path.is_file()), None):
            raise UserError(f"{other}: is no file; take it away")
        return sorted(named, key=_step_in_name, reverse=True)

    def save(self, state: TrainingState) -> None:
        """Write one, then remove those that are no longer among the last."""
        path = self.folder / f"checkpoint-{state.step}.safetensors"
        tensors = {name: tensor.detach().cpu() for name, tensor in state.tensors().items()}
        content = {"step": state.step, "config": self.config, "history": state.history}
        metadata = {name: json.dumps(value) for name, value in content.items()}
        save_tensors(path, tensors, metadata)
        # later ones were damaged, or the run would have gone on from them
        older = [other for other in self.paths() if _step_in_name(other) <= state.step]
        for stale in set(self.paths()) - set(older[:KEPT]):
            stale.unlink(missing_ok=True)

    def restore(self, state: TrainingState) -> None:
        """Load the newest one that is whole, if there is any; a damaged one is passed over with a warning.

        Raises:
            UserError: it is of another configuration, or none is whole.
        """
        complaints = []
        for unfinished in self.folder.glob(".checkpoint-*"):  # a kill while writing left it
            unfinished.unlink()
        for path in self.paths():
            try:
                tensors, metadata = _read(path)
            except UserError as error:
                complaints.append(str(error))
                continue
            content = {name: json.loads(value) for name, value in metadata.items()}
            self._check(path, content["config"])
            for complaint in complaints:
                print(f"diffenc: warning: {complaint}; going on from {path.name}", file=sys.stderr)
            state.load(tensors, content["step"], content["history"])
            return
        if complaints:
            raise UserError(f"{complaints[0]}, and no other is left; {self._remedy()}")

    def remove(self) -> None:
        """Delete them all: the run is done."""
        for path in self.paths():
            path.unlink(missing_ok=True)

    def remove_own(self) -> None:
        """Delete those of this configuration; another one's are not this run's to delete."""
        for path in self.paths():
            with contextlib.suppress(UserError):
                if json.loads(load_metadata(path).get("config", "null")) == self.config:
                    path.unlink(missing_ok=True)

    def _check(self, path: Path, config: dict[str, Any]) -> None:
        if difference := first_difference(config, self.config):
            raise UserError(
                f"{path}: belongs to another configuration: {difference}; restore it, or {self._remedy()}"
            )

    def _remedy(self) -> str:
        return f"delete {self.folder} to train this run from the start"


def _step_in_name(path: Path) -> int:
    return int(path.stem.removeprefix("checkpoint-"))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, metadata = load_tensors(path)
    if missing := {"step", "config", "history"} - metadata.keys():
        raise UserError(f"{path}: is damaged, {min(missing)} is missing in it")
    return tensors, metadata
