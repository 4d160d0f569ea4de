# Names for parts of the study: `snakemake datasets`, `tables`, `figures`, `page`, `report`, a data set such as `cifar10`, a
# table over all of them such as `literature`, a selection such as `table2`.
rule datasets:
    input:
        [f"{DATA.format(dataset=name)}/manifest.json" for name in STUDY.datasets],


rule tables:
    input:
        tables_of_all(),
        [table for name in STUDY.datasets for table in tables_of(name)],


rule figures:
    input:
        [figure for name in STUDY.datasets for figure in figures_of(name)],


for name in STUDY.datasets:

    rule:
        name:
            name
        input:
            dataset_targets(name),


for stem in targets.tables_of_all(STUDY):

    rule:
        name:
            os.path.basename(stem)
        input:
            files_with([stem], outputs.TABLE_FILES),


for name, selection in STUDY.selections.items():

    rule:
        name:
            name
        input:
            files_with([f"tables/{selection.dataset}/{name}"], outputs.TABLE_FILES),


rule page:
    input:
        study_targets(),
    output:
        PAGE,
    log:
        f"{RESULTS}/page.log",
    conda:
        ENVIRONMENT
    params:
        published=PUBLISHED,
        study=STUDY.model_dump(exclude=None if STUDY.models else {"models"}),
        version=versions.SHOW,
    shell:
        "python -m diffenc page --published {params.published:q} --out {output} > {log} 2>&1"


rule report:
    input:
        study_targets(),
        page=PAGE,
    output:
        f"{RESULTS}/report.zip",
    log:
        f"{RESULTS}/report.log",
    conda:
        ENVIRONMENT
    params:
        snakefile=workflow.main_snakefile,
        # a module's study is what the other workflow is called with
        study=(
            shlex.join(f"--configfile={file}" for file in workflow.overwrite_configfiles)
            if IS_MODULE
            else '--configfile="$DIFFENC_STUDY"'
        ),
    shell:
        "python -m snakemake --snakefile {params.snakefile:q} {params.study} --nolock"
        " --report {output} {input.page} > {log} 2>&1"
