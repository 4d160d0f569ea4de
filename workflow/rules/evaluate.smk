# What is measured and drawn from one trained run.
rule evaluate:
    input:
        model=rules.train.output.model,
        test=prepared("test.npy"),
        manifest=prepared("manifest.json"),
        noise=given_noise,
    output:
        summary=f"{RUN}/{stages.EVALUATION}",
        per_image=f"{RUN}/{stages.PER_IMAGE}",
    log:
        f"{RUN}/evaluate.log",
    conda:
        ENVIRONMENT
    resources:
        **DEVICES,
    params:
        model=folder_of("model"),
        data=folder_of("manifest"),
        options=options_of("evaluate"),
        noise=lambda wildcards, input: f"--noise {shlex.join(input.noise)}" if input.noise else "",
        version=versions.EVALUATE,
    shell:
        "exec python -m diffenc evaluate --model {params.model} --data {params.data} {params.options} {params.noise}"
        " --threads {threads} --processes {resources.gpu} --nodes {resources.nodes} --out {output.summary} > {log} 2>&1"


rule sample:
    input:
        model=rules.train.output.model,
        test=prepared("test.npy"),
        manifest=prepared("manifest.json"),
    output:
        f"{RUN}/{stages.SAMPLES}",
    log:
        f"{RUN}/sample.log",
    conda:
        ENVIRONMENT
    resources:
        **DEVICES,
    params:
        model=folder_of("model"),
        data=folder_of("manifest"),
        options=options_of("sample"),
        version=versions.SAMPLE,
    shell:
        "exec python -m diffenc sample --model {params.model} --data {params.data} {params.options}"
        " --threads {threads} --processes {resources.gpu} --nodes {resources.nodes} --out {output} > {log} 2>&1"


# What one device measures of one run.
for measurement, declared in stages.MEASUREMENTS.items():

    rule:
        name:
            measurement
        input:
            model=rules.train.output.model,
            test=prepared("test.npy"),
            manifest=prepared("manifest.json"),
        output:
            f"{RUN}/{declared.file}",
        log:
            f"{RUN}/{measurement}.log",
        conda:
            ENVIRONMENT
        resources:
            gpu=1,
        params:
            command=measurement,
            model=folder_of("model"),
            data=folder_of("manifest"),
            options=options_of(measurement),
            version=declared.version,
        shell:
            "exec python -m diffenc {params.command} --model {params.model} --data {params.data} {params.options}"
            " --threads {threads} --out {output} > {log} 2>&1"
