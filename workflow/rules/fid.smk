# FID: many samples, and their distance to the data set's images. The network's weights are downloaded where Snakemake
# runs: the jobs need no network.
rule inception:
    output:
        f"results/data/inception/{settings.INCEPTION}",
    log:
        "results/data/inception/download.log",
    conda:
        ENVIRONMENT
    shell:
        "python -m diffenc inception --out {output} > {log} 2>&1"


if STUDY.fid:

    use rule sample as sample_for_fid with:
        output:
            f"{RUN}/{stages.FID_SAMPLES}/{{first}}.npz",
        log:
            f"{RUN}/{stages.FID_SAMPLES}/{{first}}.log",
        params:
            model=folder_of("model"),
            data=folder_of("manifest"),
            options=lambda wildcards: part_of_samples(int(wildcards.first)),
            version=versions.SAMPLE,

    rule fid:
        input:
            train=prepared("train.npy"),
            test=prepared("test.npy"),
            manifest=prepared("manifest.json"),
            samples=[f"{RUN}/{stages.FID_SAMPLES}/{first}.npz" for first in STUDY.fid.parts],
            weights=ancient(inception_weights()),
        output:
            f"{RUN}/{stages.FID}",
        log:
            f"{RUN}/fid.log",
        conda:
            ENVIRONMENT
        resources:
            gpu=1,
        params:
            data=folder_of("manifest"),
            options=stages.as_options(STUDY.fid.of_each_run),
            version=versions.FID,
        shell:
            "exec python -m diffenc fid --samples {input.samples} --data {params.data} --weights {input.weights:q}"
            " {params.options} --threads {threads} --out {output} > {log} 2>&1"
