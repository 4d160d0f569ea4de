# Original files -> uint8 arrays with a manifest, shared by all studies.
rule prepare:
    input:
        lambda wildcards: own_files(wildcards.dataset),
    output:
        train=f"{DATA}/train.npy",
        test=f"{DATA}/test.npy",
        manifest=f"{DATA}/manifest.json",
    log:
        f"{DATA}/prepare.log",
    conda:
        ENVIRONMENT
    params:
        folder=folder_of("manifest"),
        own=lambda wildcards: [arrays.levels for name, arrays in STUDY.own_data.items() if name == wildcards.dataset],
        version=versions.PREPARE,
    shell:
        'python -m diffenc prepare {wildcards.dataset} --files "$DIFFENC_FILES" --out {params.folder}' " > {log} 2>&1"
