# Original files -> uint8 arrays with a manifest, shared by all studies.
rule prepare:
    output:
        train=f"{DATA}/train.npy",
        test=f"{DATA}/test.npy",
        manifest=f"{DATA}/manifest.json",
    log:
        f"{DATA}/prepare.log",
    conda:
        ENVIRONMENT
    params:
        files=STUDY.files,
        folder=folder_of("manifest"),
        version=versions.PREPARE,
    shell:
        "python -m diffenc prepare {wildcards.dataset} --files {params.files:q} --out {params.folder}" " > {log} 2>&1"
