# One job a run. Its checkpoint lies beside the outputs, undeclared: Snakemake deletes what a failed job declared,
# and the next attempt goes on from there.
rule train:
    input:
        # prepared again, the data are the same: another checksum is refused, and a new version is a parameter
        **{name: ancient(file) for name, file in rules.prepare.output.items()},
    output:
        model=f"{RUN}/model.safetensors",
        config=f"{RUN}/config.yaml",
        history=f"{RUN}/{results.HISTORY}",
    log:
        f"{RUN}/train.log",
    conda:
        ENVIRONMENT
    resources:
        gpu=1,
    params:
        run=lambda wildcards: run_of(wildcards).path,
        protocol=lambda wildcards: STUDY.training[run_of(wildcards)].results(),
        data=folder_of("manifest"),
        folder=folder_of("model"),
        version=[versions.PREPARE, versions.TRAIN],
    shell:
        "python -m diffenc train --run {params.run} --data {params.data} --out {params.folder}"
        " --threads {threads} > {log} 2>&1"
