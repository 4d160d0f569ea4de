# What all stages share: the study, where results lie, and what makes up a target.
import hashlib
import os
import shlex
import sys
import time

from diffenc.io.errors import UserError
from diffenc.io.files import write_file
from diffenc.reporting import targets
from diffenc.cli import fork_server
from diffenc.study import load, outputs, settings, stages, versions
from diffenc.study.study import study_folder

# of another workflow (docs/usage.md)
IS_MODULE = not workflow.modifier.is_main_snakefile()
# the checkout's; a module may be read from an address, where there is no folder: then the installed package's
CONFIG = os.path.join(os.path.dirname(workflow.snakefile), "../../config")
CONFIG = os.path.relpath(CONFIG if os.path.isdir(CONFIG) else load.CONFIG)


def study_file():
    """The file given by --configfile, alone; without one, the demo. A module's is the other workflow's, or `study`."""
    files = workflow.overwrite_configfiles
    if IS_MODULE:
        files = [config["study"]] if "study" in config else files or workflow.configfiles
        if not files:
            raise UserError('module: has no study; name its file: `config: {"study": "FILE.yaml"}`')
    elif workflow.config_settings.config:
        raise UserError("--config: a study is one file; copy it, change the copy, and name that by --configfile")
    files = files or [f"{CONFIG}/demo.yaml"]
    if len(files) > 1:
        raise UserError(f"--configfile: {len(files)} files given; a study is one file, name one")
    return os.path.relpath(files[0])


def frozen(study, source):
    """A copy of the study's file that later edits do not reach: jobs that start next week read what was planned."""
    content = open(source, "rb").read()
    copy = f".snakemake/diffenc/{study.name}-{hashlib.sha256(content).hexdigest()[:12]}.yaml"
    write_file(copy, content)
    return copy


try:
    # a job's own Snakemake process takes over the copy that the first one made
    STUDY_FILE = study_file() if workflow.is_main_process else os.getenv("DIFFENC_STUDY")
    STUDY = load.load_study(STUDY_FILE)
    RESULTS = str(study_folder(STUDY))
    if workflow.modifier.modify_path(RESULTS) != RESULTS:
        raise UserError(f"prefix: the commands write into {RESULTS}; take it out, or work in another --directory")
    if workflow.is_main_process:
        STUDY_FILE = frozen(STUDY, STUDY_FILE)
except UserError as error:
    # one line, where a WorkflowError would add where in this file it was raised
    sys.exit(f"diffenc: error: {error}")

ALL_RUNS = {run.path: run for run in STUDY.all_runs}
ALL_TRAINING, ALL_DEVICES = STUDY.training, STUDY.devices
PAGE = f"{RESULTS}/{stages.PAGE}"
ELSEWHERE = os.path.exists(f"{RESULTS}/{stages.CHECKSUMS}")  # the study was trained
DATA = "results/data/{dataset}"
RUN = f"{RESULTS}/runs/{{dataset}}/{{model}}/{{schedule}}/seed{{seed}}"
ENVIRONMENT = "../../envs/environment.yaml"
NOTHING = "(?!)"
os.environ.update(
    # Every command reads the study and the place of original files from here: as a parameter of the rules, a renamed
    # file would retrain everything.
    DIFFENC_STUDY=STUDY_FILE,
    DIFFENC_FILES=STUDY.files,
    # The interpreter that runs Snakemake has diffenc, also where its environment was not activated.
    PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]),
)
if not workflow.is_main_process:
    # a job of a cluster computes in the place that it was given, not in a fork of a process elsewhere
    os.environ.pop(fork_server.ADDRESS, None)


def files_of(runs, name):
    """The file `name` of each run."""
    return [f"{RESULTS}/runs/{run.path}/{name}" for run in runs]


def forced_runs():
    """The runs that --force, --forcerun or --forceall name: they alone are trained again although they are finished."""
    given = workflow.dag_settings
    names = set(given.forcerun) | (set(given.targets) if given.forcetargets else set())
    everything = given.forceall or "train" in names
    forced = {os.path.relpath(name) for name in names}
    return [run for run in STUDY.training if everything or forced & set(trained_files([run]))]


def name_forced_runs():
    """To the trainings, when they start: what is forced is not known while the rules are read."""
    # with the time: a run that was trained after it is not trained a second time if its job is repeated
    os.environ.update(DIFFENC_AGAIN=" ".join([str(time.time()), *(run.path for run in forced_runs())]))


def refuse_to_train_again():
    """A study that was trained elsewhere is not trained here because one of its small files is missing."""
    if not ELSEWHERE:
        return
    planned = [run_of(job.wildcards) for job in workflow.dag.needrun_jobs() if job.rule.name == "train"]
    if again := sorted(run.path for run in set(planned) - set(forced_runs())):
        gone = missing_small_files() or ["something that is asked for"]
        sys.exit(
            f"diffenc: error: {RESULTS}: was trained elsewhere, and {gone[0]} is not among its files; bring it from"
            f" there. `snakemake -n` says what would be made: {len(again)} runs trained again, {again[0]} first. To do"
            f" that, delete {RESULTS}/{stages.CHECKSUMS}"
        )


def missing_small_files():
    """Those of the runs that a study's tables and figures are made of, and that are not there."""
    names = [*(name for name in stages.TRAINED if name != stages.MODEL), stages.EVALUATION]
    files = [file for name in names for file in files_of(STUDY.training, name)]
    files += [f"{RESULTS}/{file}" for file in sorted(targets.files_shown(STUDY))]
    return [file for file in files if not os.path.exists(file)]


def trained_files(runs):
    """What training writes for each run."""
    return [file for name in stages.TRAINED for file in files_of(runs, name)]


wildcard_constraints:
    dataset="|".join(STUDY.datasets),
    model="|".join(STUDY.model_names),
    schedule="|".join(STUDY.schedules),
    seed=r"\d+",
    first=r"\d+",


def devices_of(wildcards):
    """On how much the run trains, and is evaluated and sampled."""
    return ALL_DEVICES[run_of(wildcards)]


# GPUs and nodes of a run. On several nodes one task each starts that node's processes, and `mpi` tells SLURM's executor
# plugin that the command calls srun itself.
DEVICES = {
    "gpu": lambda wildcards: devices_of(wildcards).gpus,
    "nodes": lambda wildcards: devices_of(wildcards).nodes,
    "tasks": lambda wildcards: devices_of(wildcards).nodes,
    "tasks_per_gpu": 0,
    "mpi": lambda wildcards: "srun" if devices_of(wildcards).nodes > 1 else None,
}


def folder_of(name):
    """The folder of the rule's input or output of that name, as a parameter."""

    def folder(wildcards, input, output):
        return os.path.dirname(str(input.get(name) or output.get(name)))

    return folder


def options_of(command):
    """The options of a command that measures a run, as a parameter."""
    return lambda wildcards: targets.options_of(command, STUDY, wildcards.dataset)


def run_of(wildcards):
    """The run that the wildcards name."""
    path = "{0.dataset}/{0.model}/{0.schedule}/seed{0.seed}".format(wildcards)
    if path not in ALL_RUNS:
        sys.exit(f"diffenc: error: {STUDY.name}: has no run {path!r}; its first is {next(iter(ALL_RUNS))}")
    return ALL_RUNS[path]


def runs_on(dataset=None):
    """The study's runs, or those on one data set."""
    return [run for run in STUDY.all_runs if dataset in (None, run.dataset)]


def files_with(stems, suffixes):
    """Those below the study's results, each with every suffix."""
    return [f"{RESULTS}/{stem}.{suffix}" for stem in stems for suffix in suffixes]


def tables_of(dataset):
    """The study's tables for one data set."""
    return files_with(targets.tables_of(STUDY, dataset), outputs.TABLE_FILES)


def tables_of_all():
    """The study's tables over all data sets."""
    return files_with(targets.tables_of_all(STUDY), outputs.TABLE_FILES)


def figures_of(dataset):
    """The study's figures for one data set: of single runs, then of groups of models."""
    return files_with(targets.figures_of(STUDY, dataset), ("svg", "png"))


def file_of_figure(wildcards):
    """The file of the run that a figure shows."""
    run, figure = run_of(wildcards), outputs.OF_A_RUN[wildcards.figure]
    if not targets.belongs(figure, STUDY, run):
        sys.exit(
            f"diffenc: error: {run.path}: has no encoder, x_t = x; {wildcards.figure} is of models that have one"
        )
    return f"{RESULTS}/runs/{run.path}/{figure.file}"


def inputs_of_group(wildcards):
    """The files of the runs that a comparing figure shows."""
    group = (wildcards.dataset, wildcards.schedule)
    files = targets.group_files(wildcards.figure, STUDY, *group, RESULTS)
    return [str(file) for of_model in files.values() for file in of_model]


def inputs_of_table(wildcards):
    """The files of the runs that a table reads, beside runs.csv and tests.csv."""
    part = STUDY.only(wildcards.dataset)
    return [str(file) for file in targets.table_files(wildcards.table, part, RESULTS)]


def given(path):
    """A file of the user's own, which may change; of a study that was trained elsewhere its time says nothing."""
    return ancient(path) if ELSEWHERE else path


def prepared(name):
    """The data set's file of that name. The catalogue's are the same whenever they are prepared, one's own may not be."""

    def file(wildcards):
        path = f"{DATA.format(dataset=wildcards.dataset)}/{name}"
        return given(path) if wildcards.dataset in STUDY.own_data else ancient(path)

    return file


def title_of(wildcards):
    """What tables and figures call the study and the data set."""
    return [STUDY.title, STUDY.spec(wildcards.dataset).title]


def label(text):
    """A text as a label of the report, where Snakemake takes what stands in braces for a wildcard."""
    return text.replace("{", "(").replace("}", ")")


def own_files(dataset):
    """The arrays of a data set of the user's own."""
    arrays = STUDY.own_data.get(dataset)
    return [given(arrays.train), given(arrays.test)] if arrays else []


def given_noise(wildcards):
    """The noise that comes with a data set of the user's own, if any."""
    arrays = STUDY.own_data.get(wildcards.dataset)
    return [given(arrays.noise)] if arrays and arrays.noise else []


def part_of_samples(first):
    """Which of the samples that FID needs, as command line options."""
    fid = STUDY.fid
    part = settings.Samples(count=fid.parts[first], steps=fid.steps, seed=fid.seed, precision=fid.precision)
    return f"--first {first} {stages.as_options(part)}"


def inception_weights():
    """The network's weights: the study's file, or the one that `inception` downloads."""
    given = STUDY.fid and STUDY.fid.weights
    return given or f"results/data/inception/{settings.INCEPTION}"


def measured(part):
    """What the numbers of a part of the study are collected from."""
    return files_of(part.all_runs, stages.EVALUATION) + files_of(part.training, stages.COST)


def dataset_targets(dataset):
    """All that concerns one data set."""
    return files_of(runs_on(dataset), stages.EVALUATION) + tables_of(dataset) + figures_of(dataset)


def study_targets():
    """All that the study yields, but for the report."""
    tests = [f"{RESULTS}/{stages.TESTS}"] if STUDY.comparisons else []
    return [
        f"{RESULTS}/{stages.RUNS}",
        *tests,
        *tables_of_all(),
        *(file for name in STUDY.datasets for file in dataset_targets(name)),
    ]
