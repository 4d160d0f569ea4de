# What is measured and drawn from one trained run.
rule evaluate:
    input:
        model=rules.train.output.model,
        test=ancient(rules.prepare.output.test),
        manifest=ancient(rules.prepare.output.manifest),
    output:
        summary=f"{RUN}/{results.EVALUATION}",
        per_image=f"{RUN}/{results.PER_IMAGE}",
    log:
        f"{RUN}/evaluate.log",
    conda:
        ENVIRONMENT
    resources:
        **DEVICES,
    params:
        model=folder_of("model"),
        data=folder_of("manifest"),
        options=as_options(STUDY.evaluation),
        version=versions.EVALUATE,
    shell:
        "exec python -m diffenc evaluate --model {params.model} --data {params.data} {params.options}"
        " --threads {threads} --processes {resources.gpu} --nodes {resources.nodes} --out {output.summary} > {log} 2>&1"


rule sample:
    input:
        model=rules.train.output.model,
        test=ancient(rules.prepare.output.test),
        manifest=ancient(rules.prepare.output.manifest),
    output:
        f"{RUN}/{results.SAMPLES}",
    log:
        f"{RUN}/sample.log",
    conda:
        ENVIRONMENT
    resources:
        **DEVICES,
    params:
        model=folder_of("model"),
        data=folder_of("manifest"),
        options=as_options(STUDY.samples),
        version=versions.SAMPLE,
    shell:
        "exec python -m diffenc sample --model {params.model} --data {params.data} {params.options}"
        " --threads {threads} --processes {resources.gpu} --nodes {resources.nodes} --out {output} > {log} 2>&1"


rule encode:
    input:
        model=rules.train.output.model,
        test=ancient(rules.prepare.output.test),
        manifest=ancient(rules.prepare.output.manifest),
    output:
        f"{RUN}/{results.ENCODINGS}",
    log:
        f"{RUN}/encode.log",
    conda:
        ENVIRONMENT
    resources:
        gpu=1,
    params:
        model=folder_of("model"),
        data=folder_of("manifest"),
        version=versions.SAMPLE,
    shell:
        "exec python -m diffenc encode --model {params.model} --data {params.data}"
        " --threads {threads} --out {output} > {log} 2>&1"
