# What is measured and drawn from one trained run.
rule evaluate:
    input:
        rules.train.output,
        rules.prepare.output,
    output:
        RUN + "/" + results.EVALUATION,
        RUN + "/" + results.PER_IMAGE,
    log:
        RUN + "/evaluate.log",
    resources:
        gpu=1,
    params:
        model=RUN,
        data=DATA,
        options=" ".join(
            f"--{name} {value}"
            for name, value in STUDY.evaluation.model_dump().items()
            if value is not None
        ),
        version=versions.EVALUATE,
    shell:
        "{DIFFENC} evaluate --model {params.model} --data {params.data}"
        " {params.options} --threads {threads} --out {output[0]} > {log} 2>&1"


rule sample:
    input:
        rules.train.output,
        rules.prepare.output,
    output:
        RUN + "/" + results.SAMPLES,
    log:
        RUN + "/sample.log",
    resources:
        gpu=1,
    params:
        model=RUN,
        data=DATA,
        options=" ".join(
            f"--{name} {value}" for name, value in STUDY.samples.model_dump().items()
        ),
        version=versions.SAMPLE,
    shell:
        "{DIFFENC} sample --model {params.model} --data {params.data}"
        " {params.options} --threads {threads} --out {output} > {log} 2>&1"


rule encode:
    input:
        rules.train.output,
        rules.prepare.output,
    output:
        RUN + "/" + results.ENCODINGS,
    log:
        RUN + "/encode.log",
    resources:
        gpu=1,
    params:
        model=RUN,
        data=DATA,
        version=versions.SAMPLE,
    shell:
        "{DIFFENC} encode --model {params.model} --data {params.data}"
        " --threads {threads} --out {output} > {log} 2>&1"
