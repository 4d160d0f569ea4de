# From evaluations to tidy CSVs, Welch's tests and tables: for the whole study, and for each data set alone, so that
# one data set's tables wait for no other's runs.
PUBLISHED = f"{CONFIG}/published.yaml"
PART = f"{RESULTS}/tables/{{dataset}}"


rule collect:
    input:
        measured(STUDY),
    output:
        f"{RESULTS}/{stages.RUNS}",
    log:
        f"{RESULTS}/collect.log",
    conda:
        ENVIRONMENT
    params:
        part="",
        runs=[run.path for run in runs_on()],
        version=versions.SHOW,
    shell:
        "python -m diffenc collect {params.part} --out {output} > {log} 2>&1"


use rule collect as collect_dataset with:
    input:
        lambda wildcards: measured(STUDY.only(wildcards.dataset)),
    output:
        f"{PART}/{stages.RUNS}",
    log:
        f"{PART}/collect.log",
    conda:
        ENVIRONMENT
    params:
        part="--dataset {dataset}",
        runs=lambda wildcards: [run.path for run in runs_on(wildcards.dataset)],
        version=versions.SHOW,


rule compare:
    input:
        rules.collect.output,
    output:
        f"{RESULTS}/{stages.TESTS}",
    log:
        f"{RESULTS}/compare.log",
    conda:
        ENVIRONMENT
    params:
        part="",
        comparisons=[comparison.model_dump() for comparison in STUDY.comparisons],
        version=versions.SHOW,
    shell:
        "python -m diffenc compare {params.part} --runs {input} --out {output} > {log} 2>&1"


use rule compare as compare_dataset with:
    input:
        rules.collect_dataset.output,
    output:
        f"{PART}/{stages.TESTS}",
    log:
        f"{PART}/compare.log",
    conda:
        ENVIRONMENT
    params:
        part="--dataset {dataset}",
        comparisons=[comparison.model_dump() for comparison in STUDY.comparisons],
        version=versions.SHOW,


rule table:
    input:
        inputs_of_table,
        runs=rules.collect_dataset.output,
        tests=rules.compare_dataset.output,
        published=PUBLISHED,
    output:
        report(
            f"{PART}/{{table}}.html",
            category="Tables",
            subcategory=lambda wildcards: label(STUDY.spec(wildcards.dataset).title),
            caption="../report/caption.rst",
            labels=lambda wildcards: {"table": label(targets.caption(wildcards.table, STUDY))},
        ),
        multiext(f"{PART}/{{table}}", ".csv", ".json", ".md", ".tex"),
    log:
        f"{PART}/{{table}}.log",
    wildcard_constraints:
        table="|".join(outputs.TABLES),
    conda:
        ENVIRONMENT
    params:
        stem=lambda wildcards, output: os.path.splitext(output[0])[0],
        rest=lambda wildcards, input: f"--dataset {wildcards.dataset} --runs {input.runs} --tests {input.tests}",
        title=title_of,
        caption=lambda wildcards: targets.caption(wildcards.table, STUDY),
        depends=lambda wildcards: targets.depends_on(wildcards.table, STUDY),
        version=versions.SHOW,
    shell:
        "python -m diffenc table {wildcards.table} {params.rest}"
        " --published {input.published:q} --out {params.stem} > {log} 2>&1"


# A selection needs the runs of its own models only.
use rule table as selection with:
    input:
        lambda wildcards: measured(STUDY.selected(wildcards.table)),
        published=PUBLISHED,
    wildcard_constraints:
        table="|".join(STUDY.selections) or NOTHING,
    params:
        stem=lambda wildcards, output: os.path.splitext(output[0])[0],
        rest="",
        title=title_of,
        caption=lambda wildcards: targets.caption(wildcards.table, STUDY),
        depends=lambda wildcards: [
            comparison.model_dump() for comparison in STUDY.selected(wildcards.table).comparisons
        ],
        version=versions.SHOW,


use rule table as table_of_all with:
    input:
        lambda wildcards: measured(targets.part_of(wildcards.table, STUDY)),
        published=PUBLISHED,
    output:
        report(
            f"{RESULTS}/tables/{{table}}.html",
            category="Tables",
            subcategory="All data sets",
            caption="../report/caption.rst",
            labels=lambda wildcards: {"table": label(targets.caption(wildcards.table, STUDY))},
        ),
        multiext(f"{RESULTS}/tables/{{table}}", ".csv", ".json", ".md", ".tex"),
    log:
        f"{RESULTS}/tables/{{table}}.log",
    wildcard_constraints:
        table="|".join(outputs.OF_THE_STUDY),
    params:
        stem=lambda wildcards, output: os.path.splitext(output[0])[0],
        rest="",
        title=lambda wildcards: [STUDY.title, *(STUDY.spec(name).title for name in STUDY.datasets)],
        caption=lambda wildcards: targets.caption(wildcards.table, STUDY),
        depends=[comparison.model_dump() for comparison in STUDY.comparisons],
        version=versions.SHOW,
