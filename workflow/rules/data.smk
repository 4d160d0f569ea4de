# Original files -> uint8 arrays with a manifest, shared by all studies.
rule prepare:
    output:
        multiext(DATA + "/", "train.npy", "test.npy", "manifest.json"),
    log:
        DATA + "/prepare.log",
    params:
        files=STUDY.files,
        folder=DATA,
        version=versions.PREPARE,
    shell:
        "{DIFFENC} prepare {wildcards.dataset} --files {params.files:q} --out {params.folder} > {log} 2>&1"
