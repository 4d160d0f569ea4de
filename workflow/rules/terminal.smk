# What a person sees of a run: a line for each job that ended, bars of those that run, warnings and errors whole
# (diffenc/cli/display.py). Snakemake's own account goes to .snakemake/log as ever, and to the terminal if one of its
# options asks for that: --dry-run, --printshellcmds, --verbose, --quiet, --logger.
import logging
from pathlib import Path

from diffenc.cli.display import Display
from snakemake_interface_logger_plugins.common import LogEvent

# what Snakemake says beside its events, and nobody needs to know
NOISE = (
    *("Building DAG", "Using shell", "Provided ", "Rules claiming", "Conda environments", "host:", "Config file"),
    *("Assuming unrestricted", "Number of jobs", "Select jobs", "Execute ", "Complete log"),
)


class ForPeople(logging.Handler):
    """Snakemake's records, shown by a `Display`; it takes the place of Snakemake's own handler."""

    def __init__(self, own):
        super().__init__(logging.INFO)
        own.formatter.show_failed_logs = True  # the one line that says what is wrong is there
        self.setFormatter(own.formatter)
        self.display = Display(STUDY.name, own.stream)
        self.shown = {
            LogEvent.RUN_INFO: lambda record: self.display.plan(counts_of(record.stats)),
            LogEvent.JOB_INFO: self.start,
            LogEvent.JOB_FINISHED: lambda record: self.display.end(record.job_id),
            LogEvent.JOB_ERROR: lambda record: self.display.fail(record.jobid, self.format(record)),
        }

    def emit(self, record):
        try:
            self.show(record)
        except Exception:
            self.handleError(record)  # said, and the study goes on

    def show(self, record):
        event = getattr(record, "event", None)
        if event in self.shown:
            self.shown[event](record)
        elif record.levelno >= logging.WARNING:
            self.display.say(self.format(record), "red" if record.levelno >= logging.ERROR else "yellow")
        elif event is None and not str(record.msg).startswith(NOISE):
            self.display.say(self.format(record))

    def start(self, record):
        wildcards = dict(record.wildcards)
        order = ("table", "figure", "dataset", "model", "schedule", "seed", "first")
        known = [
            f"seed{wildcards[name]}" if name == "seed" else str(wildcards[name])
            for name in order
            if name in wildcards
        ]
        folder = Path(record.output[0]).parent if record.rule_name == "train" else None
        self.display.start(record.jobid, record.rule_name, "/".join(known), folder)

    def close(self):
        self.display.close()
        super().close()


def counts_of(stats):
    """{rule: how many jobs}, of Snakemake's own table."""
    return {rule: count for rule, count in stats.items() if rule != "total"}


def show_for_people():
    """Take the place of Snakemake's own handler, if nothing else was asked for."""
    asked = workflow.output_settings
    if asked.dryrun or asked.printshellcmds or asked.verbose or asked.debug_dag or asked.quiet:
        return
    for own in [handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"]:
        logger.removeHandler(own)
        logger.addHandler(ForPeople(own))


onsuccess:
    if workflow.is_main_process and any(job.rule.name == "page" for job in workflow.dag.finished_jobs):
        logger.info(f"page: {PAGE}")


if workflow.is_main_process and not IS_MODULE:
    show_for_people()
