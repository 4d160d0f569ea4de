# What a SLURM cluster does to jobs, where Snakemake and its executor plugin leave a gap. Each has its test in
# tests/slurm.
import asyncio
import contextlib
import re
import signal
import subprocess
import time

if not workflow.is_main_process:
    # SLURM's warning before a time limit reaches all of a job's processes: it is meant for the training alone, which
    # handles it; Snakemake would die of it and take the training along.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def queued():
    """The user's jobs that wait, run, or will run again: {job: (name, folder, comment)}."""
    command = ["squeue", "--noheader", "--me", "--format=%i|%j|%Z|%k"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = (line.split("|", 3) for line in ended.stdout.splitlines())
    return {job: tuple(rest) for job, *rest in lines}


def with_plain_states(query):
    """The plugin's query for its jobs' states, in words that it does not wait on for ever.

    sacct writes "CANCELLED by 1000"; a preempted job, or one whose node failed, may or may not be queued again, and
    of the latter the plugin would exclude the node "None assigned" from then on.
    """

    async def states(command, logger):
        found, seconds = await query(command, logger)
        if found:
            found = {job: state.split()[0] for job, state in found.items() if state}
            in_doubt = {job for job, state in found.items() if state in ("PREEMPTED", "NODE_FAIL")}
            if in_doubt:
                alive = in_doubt
                # without an answer they may be alive
                with contextlib.suppress(OSError, subprocess.CalledProcessError):
                    alive = await asyncio.to_thread(queued)
                found |= {job: "PENDING" if job in alive else "CANCELLED" for job in in_doubt}
        return found, seconds

    return states


def left_running(plugin):
    """SLURM's jobs for what is to be made now, of a Snakemake that was killed: a living one would hold the lock."""
    wanted = {
        f"rule_{job.name}_wildcards_{plugin.utils.get_job_wildcards(job)}" for job in workflow.dag.needrun_jobs()
    }
    return [
        job
        for job, (its_name, folder, comment) in queued().items()
        if its_name.startswith(f"{STUDY.name}.") and folder == workflow.workdir_init and comment in wanted
    ]


def stop(jobs):
    """Cancel SLURM's jobs and wait until they are gone; a training writes its checkpoint first."""
    logger.warning(f"Stopping SLURM jobs {', '.join(jobs)}, left by a Snakemake that was killed.")
    subprocess.run(["scancel", *jobs])
    left = set(jobs)
    while left:
        time.sleep(2)
        with contextlib.suppress(subprocess.CalledProcessError):
            left &= queued().keys()


# in a job's log: of the kernel's control group, or of SLURM's own watch, whose state for the job is FAILED
KILLED_FOR_MEMORY = re.compile(r"oom[-_ ]kill|exceeded memory limit", re.IGNORECASE)
MEMORY = ("mem_mb_per_cpu", "mem_mb")
SHORT_OF_MEMORY = []


def with_a_word_on_memory(own):
    """The executor's report of a failed job; one that was killed for memory is tried again while that gives it more."""

    def report_job_error(info, msg=None, **more):
        if was_killed_for_memory(msg, info.aux.get("slurm_logfile")):
            msg = f"{about_memory(info.job, info.external_jobid)}. "
        own(info, msg=msg, **more)

    return report_job_error


def was_killed_for_memory(said, log):
    """Whether SLURM says so, in the job's state or in its log."""
    if "OUT_OF_MEMORY" in (said or ""):
        return True
    try:
        return bool(KILLED_FOR_MEMORY.search(log.read_text(errors="replace")))
    except (OSError, AttributeError):  # gone, or never there
        return False


def about_memory(job, slurm_job):
    """One line on a job that was killed for memory; it fails for good if the next attempt would have no more of it."""
    key = next((name for name in MEMORY if job.resources.get(name)), MEMORY[0])
    had, attempt = job.resources.get(key), job.attempt
    job.attempt += 1
    next_has = job.resources.get(key)
    what = f"{job.output[0]}: SLURM killed job {slurm_job} for memory, with {key} {had}"
    if attempt <= job.restart_times and had and next_has > had:
        job.attempt = attempt  # Snakemake counts it up
        return f"{what}; it is tried again with {next_has}"
    job.attempt = job.restart_times + 1  # the last
    what += (
        f"; raise {key} in the profile's config.yaml, in default-resources, or for {job.rule.name} in set-resources"
    )
    SHORT_OF_MEMORY.append(what)
    return what


onerror:
    for line in SHORT_OF_MEMORY:  # again: other jobs went on, and this is what is to be done
        logger.error(f"diffenc: error: {line}")


def start():
    """What goes before the jobs, as far as it is known only then."""
    if workflow.is_main_process:
        name_forced_runs()
        refuse_to_train_again()
        fork_server.start()
    if workflow.executor_plugin.name == "slurm":
        import snakemake_executor_plugin_slurm as plugin

        plugin.query_job_status = with_plain_states(plugin.query_job_status)
        # the jobs' name: people see in the queue what it is about, and we which are ours
        executor = workflow.scheduler._executor
        executor.run_uuid = f"{STUDY.name}.{executor.run_uuid}"
        executor.report_job_error = with_a_word_on_memory(executor.report_job_error)
        try:
            if orphans := left_running(plugin):
                stop(orphans)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = " ".join(str(getattr(error, "stderr", "") or error).split())
            sys.exit(f"diffenc: error: SLURM does not answer ({reason}); run this on a login node of its cluster")


onstart:
    start()


if IS_MODULE:
    # Snakemake calls the handlers of the other workflow alone
    theirs = workflow._onstart
    workflow._onstart = lambda log: (start(), theirs(log))
