# One job a run. Its checkpoint lies beside the outputs, undeclared: Snakemake deletes what a failed job declared,
# and the next attempt goes on from there.
rule train:
    input:
        # the catalogue's data, prepared again, are the same: another checksum is refused, a new version is a parameter
        train=prepared("train.npy"),
        test=prepared("test.npy"),
        manifest=prepared("manifest.json"),
    output:
        model=f"{RUN}/{stages.MODEL}",
        config=f"{RUN}/{stages.CONFIG}",
        history=f"{RUN}/{stages.HISTORY}",
        cost=f"{RUN}/{stages.COST}",
    log:
        f"{RUN}/train.log",
    conda:
        ENVIRONMENT
    resources:
        **DEVICES,
    params:
        run=lambda wildcards: run_of(wildcards).path,
        protocol=lambda wildcards: ALL_TRAINING[run_of(wildcards)].results(),
        data=folder_of("manifest"),
        folder=folder_of("model"),
        version=[versions.PREPARE, versions.TRAIN],
    shell:
        "exec python -m diffenc train --run {params.run} --data {params.data} --out {params.folder}"
        " --threads {threads} --processes {resources.gpu} --nodes {resources.nodes} > {log} 2>&1"


# Weights that were trained elsewhere, in the place of a training's. A rule for each run: without wildcards it goes before
# `train`, which could make the same files.
for i, run in enumerate(STUDY.weights, start=1):

    rule:
        name:
            f"adopt_{i}"
        input:
            manifest=given(f"{DATA.format(dataset=run.dataset)}/manifest.json"),
            weights=given(STUDY.weights[run].file(run.seed)),
            shape=given(STUDY.weights[run].config),
        output:
            model=files_of([run], stages.MODEL),
            config=files_of([run], stages.CONFIG),
        log:
            files_of([run], "adopt.log"),
        # a file is written in another format: it needs no job of its own
        localrule: True
        conda:
            ENVIRONMENT
        params:
            run=run.path,
            data=folder_of("manifest"),
            folder=folder_of("model"),
            version=[versions.PREPARE, versions.ADOPT],
        shell:
            "python -m diffenc adopt --run {params.run} --data {params.data} --out {params.folder} > {log} 2>&1"
