"""From the runs' files to what is shown: collect, compare, table, figure, page."""

from argparse import Namespace

from diffenc import contents, results, show
from diffenc.commands.common import part
from diffenc.errors import UserError
from diffenc.study import load_study


def collect(options: Namespace) -> None:
    """Evaluations -> runs.csv."""
    study = part(options)
    results.write_csv(results.collect(study, results.study_folder(study)), options.out)


def compare(options: Namespace) -> None:
    """runs.csv -> tests.csv; that of the whole study also corrects for the number of its tests."""
    from diffenc import inference, statistics

    tests = statistics.compare(part(options), results.read_runs(options.runs))
    results.write_csv(tests if options.dataset else inference.add_holm(tests), options.out)


def table(options: Namespace) -> None:
    """runs.csv, tests.csv and the runs' files -> one table."""
    from diffenc import inference, statistics

    study = part(options)
    if options.kind not in (*show.TABLES, *show.OF_THE_STUDY, *study.selections):
        known = ", ".join([*show.TABLES, *show.OF_THE_STUDY, *study.selections])
        raise UserError(f"{options.kind}: is no table of {options.study}; it has {known}")
    study, folder = show.part_of(options.kind, study), results.study_folder(study)
    if options.runs and options.tests:
        runs, tests = results.read_runs(options.runs), results.read_tests(options.tests)
    else:
        runs = results.collect(study, folder)
        tests = inference.add_holm(statistics.compare(study, runs))
    show.table(options.kind, study, runs, tests, folder, options.published, options.out)


def figure(options: Namespace) -> None:
    """A run's or a group's files -> one figure."""
    if options.file:
        if options.kind not in show.OF_A_RUN:
            raise UserError(f"--file: {options.kind} compares models; name them by --of and --study")
        show.figure_of_file(options.kind, options.file, options.out)
        return
    if not options.study:
        raise UserError("--of: names a part of a study; name its file by --study")
    study = load_study(options.study)
    show.figure(options.kind, options.of, study, results.study_folder(study), options.out)


def page(options: Namespace) -> None:
    """All that a study shows -> one page."""
    from diffenc.page import make_page

    study = load_study(options.study)
    folder = results.study_folder(study)
    tables = contents.tables_of_all(study) + [
        stem for name in study.datasets for stem in contents.tables_of(study, name)
    ]
    figures = [stem for name in study.datasets for stem in contents.figures_of(study, name)]
    stems = ([folder / stem for stem in group] for group in (tables, figures))
    make_page(study, options.study.read_text(), folder, folder.parent / "data", *stems, options.out)
