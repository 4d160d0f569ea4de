# Figures of one run, and figures that compare the models of one data set and schedule.
rule figure_of_run:
    input:
        lambda wildcards: f"{RUN}/{show.OF_A_RUN[wildcards.figure].file}",
    output:
        report(
            RESULTS + "/figures/{figure}/{dataset}/{model}/{schedule}/seed{seed}.svg",
            category="Encoder",
            subcategory="{figure}",
            caption="../report/caption.rst",
            labels={
                "data set": "{dataset}",
                "model": "{model}",
                "schedule": "{schedule}",
                "seed": "{seed}",
            },
        ),
        RESULTS + "/figures/{figure}/{dataset}/{model}/{schedule}/seed{seed}.png",
    log:
        RESULTS + "/figures/{figure}/{dataset}/{model}/{schedule}/seed{seed}.log",
    wildcard_constraints:
        figure="|".join(show.OF_A_RUN),
    params:
        of=lambda wildcards: run_of(wildcards).path,
        stem=RESULTS + "/figures/{figure}/{dataset}/{model}/{schedule}/seed{seed}",
        caption=lambda wildcards: show.FIGURE_CAPTIONS[wildcards.figure],
        version=versions.SHOW,
    shell:
        "{DIFFENC} figure {wildcards.figure} --study {STUDY_FILE:q} --folder {RESULTS} --of {params.of}"
        " --out {params.stem} > {log} 2>&1"


def group_inputs(wildcards):
    """The files of the runs that a comparing figure shows."""
    group = STUDY.groups()[wildcards.dataset, wildcards.schedule]
    return [
        str(file)
        for files in show.group_files(wildcards.figure, group, RESULTS).values()
        for file in files
    ]


use rule figure_of_run as figure_of_group with:
    input:
        group_inputs,
    output:
        report(
            RESULTS + "/figures/{figure}/{dataset}/{schedule}.svg",
            category="Models side by side",
            subcategory="{figure}",
            caption="../report/caption.rst",
            labels={"data set": "{dataset}", "schedule": "{schedule}"},
        ),
        RESULTS + "/figures/{figure}/{dataset}/{schedule}.png",
    log:
        RESULTS + "/figures/{figure}/{dataset}/{schedule}.log",
    wildcard_constraints:
        figure="|".join(show.OF_A_GROUP),
    params:
        of="{dataset}/{schedule}",
        stem=RESULTS + "/figures/{figure}/{dataset}/{schedule}",
        caption=lambda wildcards: show.FIGURE_CAPTIONS[wildcards.figure],
        version=versions.SHOW,
