# Names for parts of the study: `snakemake datasets`, `tables`, `figures`, `report`, or a data set such as `cifar10`.
rule datasets:
    input:
        [f"{DATA.format(dataset=name)}/manifest.json" for name in STUDY.datasets],


rule tables:
    input:
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


rule report:
    input:
        study_targets(),
    output:
        f"{RESULTS}/report.zip",
    log:
        f"{RESULTS}/report.log",
    conda:
        ENVIRONMENT
    params:
        snakefile=workflow.main_snakefile,
    shell:
        'python -m snakemake --snakefile {params.snakefile:q} --configfile "$DIFFENC_STUDY" --nolock'
        " --report {output} all > {log} 2>&1"
