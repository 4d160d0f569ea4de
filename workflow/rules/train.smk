# One job a run. Its checkpoint lies beside the outputs, undeclared: Snakemake deletes what a failed job declared,
# and the next attempt goes on from there.
rule train:
    input:
        data=rules.prepare.output.manifest,
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
        protocol=lambda wildcards: STUDY.training[run_of(wildcards)].model_dump(),
        data=folder_of("data"),
        folder=folder_of("model"),
        version=versions.TRAIN,
    shell:
        "python -m diffenc train --run {params.run} --data {params.data} --out {params.folder}"
        " --threads {threads} > {log} 2>&1"
