# From evaluations to tidy CSVs, Welch's tests and tables: for the whole study, and for each data set alone, so that
# one data set's tables wait for no other's runs.
PART = RESULTS + "/tables/{dataset}/"


rule collect:
    input:
        files_of(runs_on(), results.EVALUATION),
    output:
        RESULTS + "/" + results.RUNS,
    log:
        RESULTS + "/collect.log",
    params:
        part="",
        runs=[run.path for run in runs_on()],
        version=versions.SHOW,
    shell:
        "{DIFFENC} collect --study {STUDY_FILE:q} {params.part} --folder {RESULTS} --out {output} > {log} 2>&1"


use rule collect as collect_dataset with:
    input:
        lambda wildcards: files_of(runs_on(wildcards.dataset), results.EVALUATION),
    output:
        PART + results.RUNS,
    log:
        PART + "collect.log",
    params:
        part="--dataset {dataset}",
        runs=lambda wildcards: [run.path for run in runs_on(wildcards.dataset)],
        version=versions.SHOW,


rule compare:
    input:
        rules.collect.output,
    output:
        RESULTS + "/" + results.TESTS,
    log:
        RESULTS + "/compare.log",
    params:
        part="",
        comparisons=[comparison.model_dump() for comparison in STUDY.comparisons],
        version=versions.SHOW,
    shell:
        "{DIFFENC} compare --study {STUDY_FILE:q} {params.part} --runs {input} --out {output} > {log} 2>&1"


use rule compare as compare_dataset with:
    input:
        rules.collect_dataset.output,
    output:
        PART + results.TESTS,
    log:
        PART + "compare.log",
    params:
        part="--dataset {dataset}",
        comparisons=[comparison.model_dump() for comparison in STUDY.comparisons],
        version=versions.SHOW,


rule table:
    input:
        runs=rules.collect_dataset.output,
        tests=rules.compare_dataset.output,
    output:
        report(
            PART + "{table}.html",
            category="Tables",
            caption="../report/caption.rst",
            labels={"data set": "{dataset}", "table": "{table}"},
        ),
        multiext(PART + "{table}", ".csv", ".md", ".tex"),
    log:
        PART + "{table}.log",
    wildcard_constraints:
        table="|".join(STUDY.tables),
    params:
        stem=PART + "{table}",
        title=STUDY.title,
        caption=lambda wildcards: show.TABLE_CAPTIONS[wildcards.table],
        version=versions.SHOW,
    shell:
        "{DIFFENC} table {wildcards.table} --study {STUDY_FILE:q} --dataset {wildcards.dataset}"
        " --runs {input.runs} --tests {input.tests} --out {params.stem} > {log} 2>&1"
