"""What must fit together in a study; each complaint is a ValueError that names the key and the remedy."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.study.outputs import OF_A_GROUP, TABLES_BY_NAME
from diffenc.study.settings import EXACT_TRACE, NO_INCEPTION
from diffenc.study.stages import FILES, kinds_of
from diffenc.zoo import plugins
from diffenc.zoo.authors_config import read_config
from diffenc.zoo.configs import (
    DEQUANTISED,
    ENCODERS,
    FIXED_ENDS,
    KINDS,
    LINES,
    LOGITS,
    MODELS,
    OF_PROCESS,
    PROCESSES,
    UNETS,
    UNIVARIATE,
    WITHOUT_SHAPE,
    ModelConfig,
    model_config,
)

if TYPE_CHECKING:
    from diffenc.study.settings import Model, Training
    from diffenc.study.study import Run, RunGroup, Study

# the workflow's rules and the tables: a data set and a selection are targets of their own, beside these
RESERVED = (
    *("all", "datasets", "tables", "figures", "report", "page"),
    *("prepare", "train", *FILES, "inception", "sample_for_fid", "fid"),
    *("collect", "collect_dataset", "compare", "compare_dataset", "table", "selection", "table_of_all"),
    *("figure_of_run", "figure_of_group", *TABLES_BY_NAME),
)


def check_group(group: "RunGroup") -> None:
    """One entry of `runs`."""
    if group.gpus % group.nodes:
        raise ValueError(f"gpus: {group.gpus} in all cannot be shared equally by {group.nodes} nodes")
    if (group.training is None) == (group.weights is None):
        raise ValueError("training or weights: give one of them, to train the runs or to take their weights")
    if group.training:
        if group.training.batch % group.gpus:
            raise ValueError(f"training.batch: {group.training.batch} cannot be shared equally by {group.gpus} gpus")
        if group.training.schedule_learning_rate and group.schedule in WITHOUT_SHAPE:
            raise ValueError(
                f"training.schedule_learning_rate: a {group.schedule} schedule has no shape; take it out"
            )
        if group.training.objective and group.schedule not in FIXED_ENDS:
            # a weighted loss says nothing of where the noise should begin and end
            raise ValueError(f"objective: goes with schedules whose ends are fixed, {' or '.join(FIXED_ENDS)}")
        if group.training.times and group.schedule not in LINES:
            raise ValueError(
                f"training.times: adaptive ones are in the place of a schedule's shape; take {' or '.join(LINES)}"
            )
    else:
        _check_weights(group)


def _check_weights(group: "RunGroup") -> None:
    if len(group.models) > 1:
        raise ValueError("weights: are one model's; give each model an entry of its own in `runs`")
    if len(group.seeds) > 1 and "{seed}" not in group.weights.path:
        raise ValueError("weights.path: is the same for all seeds; put {seed} where they differ")
    for seed in group.seeds:
        if not group.weights.file(seed).is_file():
            raise ValueError(
                f"weights.path: {group.weights.file(seed)}: no such file; docs/usage.md says where it is"
            )
    try:
        _, _, schedule = read_config(group.weights.config)
    except UserError as error:
        raise ValueError(f"weights.config: {error}")
    if schedule != group.schedule:
        raise ValueError(f"schedule: {group.weights.config} has a {schedule} one; write schedule: {schedule}")


def check_study(study: "Study") -> None:
    """The study as a whole."""
    _check_models(study)
    _check_datasets(study)
    _check_multivariate(study)
    if (most := max(group.gpus for group in study.runs)) > study.samples.count:
        raise ValueError(f"samples.count: {study.samples.count} cannot be shared by {most} gpus; ask for more")
    if study.name == "data":
        raise ValueError("name: results/data holds the prepared data sets; name the study otherwise")
    _refuse_repeated("runs", [run.path for group in study.runs for run in group.runs])
    _refuse_repeated("tables", study.tables)
    _refuse_repeated("figures", study.figures)
    claims = [f"{c.lower} < {c.than} on {c.dataset}/{c.schedule}" for c in study.comparisons]
    _refuse_repeated("comparisons", claims)
    _check_protocols(study)
    _check_comparisons(study)
    _check_evaluation(study)
    _check_selections(study)
    _check_fid(study)
    _check_likelihood(study)


def _check_models(study: "Study") -> None:
    for name, model in study.models.items():
        if name in MODELS:
            raise ValueError(f"models.{name}: that is one of the zoo's; name yours otherwise")
        if model.encoder and ":" in model.encoder and not plugins.can_be_found(model.encoder):
            raise ValueError(f"models.{name}.encoder: no module {model.encoder.partition(':')[0]!r} here; install it")
        known = [*ENCODERS, *plugins.installed(plugins.ENCODERS)]
        if model.encoder and ":" not in model.encoder and model.encoder not in known:
            names = ", ".join(known)
            raise ValueError(
                f"models.{name}.encoder: unknown encoder {model.encoder!r}; known: {names}, module:Class"
            )
        if model.shape.encoder in UNETS and not model.shape.blocks:
            raise ValueError(f"models.{name}.blocks: how many blocks {model.shape.encoder} has; give it")
        if model.blocks and model.shape.encoder not in UNETS:
            raise ValueError(f"models.{name}.blocks: go with the encoders {' and '.join(UNETS)}; take it out")
        if model.shape.process and model.shape.encoder != "identity":
            raise ValueError(
                f"models.{name}.encoder: none goes with a multivariate process (docs/mdm.md); take it out"
            )
        _check_process(name, model, model.shape)
        if model.options and model.shape.has_formula:
            raise ValueError(f"models.{name}.options: go with an encoder from outside; take them out")
    for i, group in enumerate(study.runs):
        for model in group.models if group.training else ():
            if model not in MODELS and model not in study.models:
                raise ValueError(f"runs[{i}]: unknown model {model!r}; known: {', '.join([*MODELS, *study.models])}")


def _check_process(name: str, model: "Model", shape: ModelConfig) -> None:
    if not shape.process:
        for key in OF_PROCESS:
            if getattr(model, key) is not None:
                raise ValueError(f"models.{name}.{key}: goes with a multivariate process; take it out, or name one")
        return
    fewest, most = PROCESSES[shape.process]
    if not fewest <= shape.variables <= most:
        has = fewest if fewest == most else f"{fewest} to {most}"
        raise ValueError(f"models.{name}.variables: {shape.process} has {has}, not {shape.variables}; give that")
    if shape.process == "alda" and shape.time == "vp":
        raise ValueError(f"models.{name}.time: alda loses all digits in vp time; write matched")
    if shape.bound == LOGITS and shape.prediction != "epsilon":
        raise ValueError(f"models.{name}.bound: the paper's, on logits, goes with prediction: epsilon; change one")


def _check_multivariate(study: "Study") -> None:
    """What is asked of models that do not have it: a table that shows none, and samples in fitted steps."""
    shapes = {run.model: study.shape(run) for run in study.all_runs}
    for key, asked, known in (("tables", study.tables, TABLES_BY_NAME), ("figures", study.figures, OF_A_GROUP)):
        for name in asked:
            kinds = kinds_of(known[name].file) if name in known and known[name].which == "all" else KINDS
            if not any(shape.kind in kinds for shape in shapes.values()):
                raise ValueError(f"{key}: {name} is of {' and '.join(kinds)} models, here is none; take it out")
    for name, shape in shapes.items():
        if study.samples.fit and shape.kind == DEQUANTISED:
            raise ValueError(f"samples.fit: is not there for dequantised models ({name}); take it out, or them")
        if study.samples.sampler and shape.kind == UNIVARIATE:
            raise ValueError(f"samples.sampler: is there for multivariate models, {name} is none; take one out")


def _check_datasets(study: "Study") -> None:
    for name, arrays in study.own_data.items():
        if name in (*DATASETS, *RESERVED):
            raise ValueError(f"own_data.{name}: that name is taken; name yours otherwise")
        if arrays.noise and not Path(arrays.noise).is_file():
            raise ValueError(f"own_data.{name}.noise: {arrays.noise}: no such file; name it, or take the key out")
        if arrays.noise and study.evaluation.protocol == "authors":
            raise ValueError(
                f"evaluation.protocol: own_data.{name}.noise is in the place of any; write protocol: full"
            )
    for i, group in enumerate(study.runs):
        if group.dataset not in study.own_data and group.dataset not in DATASETS:
            known = ", ".join([*DATASETS, *study.own_data])
            raise ValueError(f"runs[{i}]: unknown data set {group.dataset!r}; known: {known}")
        try:
            spec = study.spec(group.dataset)
        except UserError as error:
            raise ValueError(f"own_data.{group.dataset}: {error}")
        if group.training and group.training.batch > max(10 * spec.train, 10_000):
            raise ValueError(
                f"runs[{i}].training.batch: {group.training.batch:,}, {group.dataset} has {spec.train:,} images to"
                " train on; take a smaller one"
            )
        if group.weights and group.models[0] in MODELS:
            named, found = model_config(group.models[0], spec), read_config(group.weights.config)[0]
            if named != found:
                raise ValueError(
                    f"runs[{i}]: {group.weights.config} is not a {group.models[0]} on {spec.title}; give the model"
                    " its own name, or its own config"
                )


def _refuse_repeated(key: str, values: list[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise ValueError(f"{key}: {value} is given twice; name each once")


def _check_protocols(study: "Study") -> None:
    protocols: dict[tuple[str, ...], tuple[Run, Training | None]] = {}
    for run, group in study.members.items():
        first, protocol = protocols.setdefault(run[:3], (run, group.training))
        if (protocol and protocol.results()) != (group.training and group.training.results()):
            raise ValueError(f"runs: {run.path} is trained otherwise than {first.path}; seeds share one protocol")


def _check_comparisons(study: "Study") -> None:
    for i, comparison in enumerate(study.comparisons):
        if comparison.lower == comparison.than:
            raise ValueError(f"comparisons[{i}]: compares {comparison.lower} with itself; name two models")
        for model in (comparison.lower, comparison.than):
            group = (comparison.dataset, model, comparison.schedule)
            seeds = sum(run[:3] == group for run in study.all_runs)
            if seeds < 2:
                raise ValueError(
                    f"comparisons[{i}]: {'/'.join(group)} has {seeds} seed(s) in `runs`; a test across seeds"
                    " needs at least two"
                )


def _check_evaluation(study: "Study") -> None:
    if study.evaluation.protocol == "given":
        raise ValueError("evaluation.protocol: given noise comes with a data set, as own_data.NAME.noise; write full")
    for name in study.datasets:
        spec = study.spec(name)
        count = study.evaluation_of(name).images or spec.test
        if count > spec.test:
            raise ValueError(f"evaluation.images: {count} asked for, {name} has {spec.test}; ask for fewer")
        if study.evaluation.protocol == "authors" and count < spec.batch:
            raise ValueError(
                f"evaluation.images: protocol authors drops the last partial batch of {spec.batch}, and leaves"
                f" none of {count}; take more, or protocol full"
            )


def _check_selections(study: "Study") -> None:
    for name, selection in study.selections.items():
        if name in (*RESERVED, *DATASETS, *study.own_data, *MODELS, *study.models):
            raise ValueError(f"selections.{name}: that name is taken; name the table otherwise")
        group = study.groups().get((selection.dataset, selection.schedule), {})
        for model in selection.models:
            if model not in group:
                raise ValueError(
                    f"selections.{name}: {selection.dataset}/{model}/{selection.schedule} is not in `runs`; add it"
                    " there, or take it out here"
                )


def _check_fid(study: "Study") -> None:
    weights = study.fid and study.fid.weights
    if weights and weights != NO_INCEPTION and not Path(weights).is_file():
        raise ValueError(f"fid.weights: {weights}: no such file; name Inception's, or {NO_INCEPTION}, or nothing")
    if (study.fid is None) == ("fid" in study.tables):
        raise ValueError("fid: the table and the key `fid` go together; give both or neither")
    for model in study.fid.models if study.fid else []:
        group = (study.fid.dataset, model, study.fid.schedule)
        if group not in [run[:3] for run in study.all_runs]:
            raise ValueError(f"fid: {'/'.join(group)} is not in `runs`; add it there, or take it out here")
    fewest = min(study.fid.parts.values()) if study.fid else 0
    if study.fid and fewest < (most := max(study.devices[run].gpus for run in study.fid_runs())):
        raise ValueError(f"fid.counts: a last part of {fewest} samples cannot be shared by {most} gpus; take others")


def _check_likelihood(study: "Study") -> None:
    if study.likelihood.probes or "likelihood" not in (*study.tables, *study.figures):
        return
    for name in study.datasets:
        spec = study.spec(name)
        if (dimensions := spec.channels * spec.side**2) > EXACT_TRACE:
            raise ValueError(
                f"likelihood.probes: an exact trace of {name}'s {dimensions:,} dimensions takes as many products an"
                f" evaluation, at most {EXACT_TRACE} are allowed; give the key, such as 8"
            )
