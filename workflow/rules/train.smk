# One job a run. Its checkpoint lies beside the outputs, undeclared: Snakemake deletes what a failed job declared,
# and the next attempt goes on from there.
rule train:
    input:
        rules.prepare.output,
    output:
        multiext(RUN + "/", "model.safetensors", "config.yaml", "history.jsonl"),
    log:
        RUN + "/train.log",
    resources:
        gpu=1,
    params:
        protocol=lambda wildcards: STUDY.training[run_of(wildcards)].model_dump(),
        run=lambda wildcards: run_of(wildcards).path,
        folder=RUN,
        data=DATA,
        version=versions.TRAIN,
    shell:
        "{DIFFENC} train --study {STUDY_FILE:q} --run {params.run} --data {params.data}"
        " --out {params.folder} --threads {threads} > {log} 2>&1"
