"""What is decayed, and at which learning rate each schedule's parameters go."""

import pytest

from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.study.load import parse_study
from diffenc.study.settings import Training
from diffenc.training.step import optimizer_for
from diffenc.zoo.build import build

TRAINING = Training(steps=1, learning_rate=1e-3, weight_decay=0.02, schedule_learning_rate=0.05)
NET = dict.fromkeys(("net.l1", "net.l2", "net.bias", "net.l3"), (0.05, 0.0))
OF_SCHEDULE = {
    "fixed": {},
    "learned": {"w": (1e-3, 0.02), "b": (1e-3, 0.02)},  # as the authors do
    "monotone": NET,
    "monotone_learned": NET | {"gamma_0": (1e-3, 0.0), "gamma_1": (1e-3, 0.0)},
    # VDM's code decays kernels, and has one learning rate
    "monotone_vdm": {f"net.{name}": (1e-3, 0.02) for name in ("l1", "l2", "l3")}
    | {"net.bias": (1e-3, 0.0), "bias": (1e-3, 0.0)},
}


@pytest.mark.parametrize("schedule", OF_SCHEDULE)
def test_rates_and_decay(schedule):
    model = build("DiffEnc-2-1", DATASETS["digits"], schedule)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        names[id(parameter)]: (group["rate"], group["weight_decay"])
        for group in optimizer_for(model, TRAINING).param_groups
        for parameter in group["params"]
    }
    assert found.keys() == {*names.values()}
    own = {name.removeprefix("schedule."): how for name, how in found.items() if name.startswith("schedule.")}
    assert own == OF_SCHEDULE[schedule]
    for name, how in found.items():
        if not name.startswith("schedule."):
            assert how == (1e-3, 0.0 if name.endswith(".bias") else 0.02), name


@pytest.mark.parametrize("schedule", ["fixed", "learned", "monotone_vdm"])
def test_a_rate_for_a_schedule_without_a_shape_is_refused(schedule):
    group = {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "schedule": schedule}
    group["training"] = {"steps": 2, "schedule_learning_rate": 0.1}
    with pytest.raises(UserError, match=rf"schedule_learning_rate: a {schedule} schedule has no shape; take it out"):
        parse_study({"name": "a", "title": "b", "runs": [group]}, "a.yaml")
