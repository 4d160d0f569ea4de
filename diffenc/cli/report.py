"""From the runs' files to what is shown: collect, compare, table, figure, page; and whether all fits: verify."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from diffenc.cli.options import Parsers, add_command, add_part, add_study, part
from diffenc.io.errors import UserError
from diffenc.io.files import write_csv, write_file
from diffenc.reporting import render, targets
from diffenc.reporting.targets import part_of
from diffenc.results.runs import collect as collect_runs
from diffenc.results.runs import read_runs
from diffenc.study.load import CONFIG, load_study, study_file
from diffenc.study.outputs import OF_A_GROUP, OF_A_RUN, TABLES_BY_NAME
from diffenc.study.stages import STUDY
from diffenc.study.study import study_folder


def collect(options: Namespace) -> None:
    """Evaluations -> runs.csv."""
    study = part(options)
    write_csv(collect_runs(study, study_folder(study)), options.out)


def compare(options: Namespace) -> None:
    """runs.csv -> tests.csv; that of the whole study also corrects for the number of its tests."""
    from diffenc.results.tests import add_holm, compare

    tests = compare(part(options), read_runs(options.runs))
    write_csv(tests if options.dataset else add_holm(tests), options.out)


def table(options: Namespace) -> None:
    """runs.csv, tests.csv and the runs' files -> one table."""
    from diffenc.results.tests import add_holm, compare, read_tests

    study = part(options)
    if options.kind not in (*TABLES_BY_NAME, *study.selections):
        known = ", ".join([*TABLES_BY_NAME, *study.selections])
        raise UserError(f"{options.kind}: is no table of {options.study}; it has {known}")
    study, folder = part_of(options.kind, study), study_folder(study)
    if options.runs and options.tests:
        runs, tests = read_runs(options.runs), read_tests(options.tests)
    else:
        runs = collect_runs(study, folder)
        tests = add_holm(compare(study, runs))
    render.table(options.kind, study, runs, tests, folder, folder.parent / "data", options.published, options.out)


def figure(options: Namespace) -> None:
    """A run's or a group's files -> one figure."""
    if options.file:
        if options.kind not in OF_A_RUN:
            raise UserError(f"--file: {options.kind} compares models; name them by --of and --study")
        render.figure_of_file(options.kind, options.file, options.out)
        return
    if not options.study:
        raise UserError("--of: names a part of a study; name its file by --study")
    study = load_study(options.study)
    render.figure(options.kind, options.of, study, study_folder(study), options.out)


def page(options: Namespace) -> None:
    """All that a study shows -> one page."""
    from diffenc.reporting.html.page import make_page
    from diffenc.reporting.verify import before_the_page

    study = load_study(options.study)
    folder, source = study_folder(study), options.study.read_text(encoding="utf-8")
    tables = targets.tables_of_all(study) + [
        stem for name in study.datasets for stem in targets.tables_of(study, name)
    ]
    figures = [stem for name in study.datasets for stem in targets.figures_of(study, name)]
    stems = ([folder / stem for stem in group] for group in (tables, figures))
    prepared = folder.parent / "data"
    found = list(dict.fromkeys(before_the_page(study, folder, prepared, options.published)))
    checked = "Weights, data, results and tables were checked against each other when this page was made: "
    checked += f"{len(found)} did not fit, the first: {found[0]}" if found else "all fit."
    make_page(study, source, folder, prepared, *stems, options.out, checked)
    write_file(folder / STUDY, source)


def verify(options: Namespace) -> None:
    """A study's results -> what does not fit in them, or that all does."""
    from diffenc.reporting.verify import complaints

    path = options.study or options.folder / STUDY
    if not path.is_file():
        raise UserError(f"{path}: is missing; make the study's page, which writes it, or name the study by --study")
    study = load_study(path)
    prepared = options.data or options.folder.parent / "data"
    found = dict.fromkeys(complaints(study, options.folder, prepared, options.published))
    for complaint in found:
        print(complaint)
    if found:
        raise UserError(f"{options.folder}: {len(found)} {'thing does' if len(found) == 1 else 'things do'} not fit")
    print(f"{options.folder}: weights, data, results, tables and page fit")


def publish(options: Namespace) -> None:
    """A study's results -> a folder to be uploaded by hand."""
    from diffenc.reporting.release.publish import publish

    study = load_study(_study_of(options.folder))
    for line in publish(study, options.folder, options.published, options.out):
        print(line)


def _study_of(folder: Path) -> Path:
    """The study's file as its page has it. Raises UserError if it is missing."""
    if not (path := folder / STUDY).is_file():
        raise UserError(f"{path}: is missing; make the study's page, which writes it")
    return path


def add_commands(parsers: Parsers) -> None:
    """Add this module's commands to the command line."""
    for add in (_collect, _compare, _table, _figure, _page, _verify, _publish):
        add(parsers)


def _collect(parsers: Parsers) -> None:
    one = add_command(parsers, "collect", collect, "Gather a study's evaluations into one tidy CSV.")
    add_study(one)
    add_part(one)
    one.add_argument("--out", type=Path, required=True)


def _compare(parsers: Parsers) -> None:
    one = add_command(parsers, "compare", compare, "Welch's tests of a study's comparisons, for every term.")
    add_study(one)
    add_part(one)
    one.add_argument("--runs", type=Path, required=True, help="what `collect` wrote")
    one.add_argument("--out", type=Path, required=True)


def _table(parsers: Parsers) -> None:
    one = add_command(parsers, "table", table, "Write one table as CSV, Markdown and LaTeX.")
    one.add_argument("kind", help="such as components, or one of the study's selections")
    add_study(one)
    add_part(one)
    _add_published(one)
    one.add_argument("--runs", type=Path, help="what `collect` wrote (default: collected now)")
    one.add_argument("--tests", type=Path, help="what `compare` wrote (default: compared now)")
    one.add_argument("--out", type=Path, required=True, help="without the suffix")


def _figure(parsers: Parsers) -> None:
    one = add_command(parsers, "figure", figure, "Draw one figure as SVG and PNG.")
    one.add_argument("kind", choices=[*OF_A_RUN, *OF_A_GROUP])
    add_study(one, required=False)
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("--of", help="a run of the study, or DATASET/SCHEDULE for figures that compare models")
    what.add_argument("--file", type=Path, help="what `encode` or `sample` wrote, of any model")
    one.add_argument("--out", type=Path, required=True, help="without the suffix")


def _page(parsers: Parsers) -> None:
    one = add_command(parsers, "page", page, "Write the study's page, one file with all that it shows.")
    add_study(one)
    _add_published(one)
    one.add_argument("--out", type=Path, required=True, help="the .html")


def _verify(parsers: Parsers) -> None:
    one = add_command(parsers, "verify", verify, "Check a study's weights, data, results, tables and page.")
    one.add_argument("folder", type=Path, help="results/STUDY")
    one.add_argument("--study", type=study_file, help=f"the study's file (default: {STUDY} in the folder)")
    one.add_argument("--data", type=Path, help="the prepared data sets (default: data, beside the folder)")
    _add_published(one)


def _publish(parsers: Parsers) -> None:
    text = "Write a study as a folder to be uploaded by hand."
    one = add_command(parsers, "publish", publish, text)
    one.add_argument("folder", type=Path, help="results/STUDY")
    _add_published(one)
    one.add_argument("--out", type=Path, required=True, help="the new folder")


def _add_published(one: ArgumentParser) -> None:
    here = Path("config/published.yaml")
    text = f"(default: {here}, or without one what comes with diffenc)"
    one.add_argument("--published", type=Path, default=here if here.exists() else CONFIG / here.name, help=text)
