# Figures of one run, and figures that compare the models of one data set and schedule.
OF_RUN = f"{RESULTS}/figures/{{figure}}/{{dataset}}/{{model}}/{{schedule}}/seed{{seed}}"
OF_GROUP = f"{RESULTS}/figures/{{figure}}/{{dataset}}/{{schedule}}"


rule figure_of_run:
    input:
        file_of_figure,
    output:
        report(
            f"{OF_RUN}.svg",
            category="One model at a time",
            subcategory=lambda wildcards: outputs.FIGURES_BY_NAME[wildcards.figure].title,
            caption="../report/caption.rst",
            labels=lambda wildcards: {
                "data set": label(STUDY.spec(wildcards.dataset).title),
                "model": "{model}",
                "schedule": "{schedule}",
                "seed": "{seed}",
            },
        ),
        f"{OF_RUN}.png",
    log:
        f"{OF_RUN}.log",
    wildcard_constraints:
        figure="|".join(outputs.OF_A_RUN),
    conda:
        ENVIRONMENT
    params:
        of=lambda wildcards: run_of(wildcards).path,
        stem=lambda wildcards, output: os.path.splitext(output[0])[0],
        title=lambda wildcards: STUDY.spec(wildcards.dataset).title,
        caption=lambda wildcards: outputs.FIGURE_CAPTIONS[wildcards.figure],
        version=versions.SHOW,
    shell:
        "python -m diffenc figure {wildcards.figure} --of {params.of}" " --out {params.stem} > {log} 2>&1"


use rule figure_of_run as figure_of_group with:
    input:
        inputs_of_group,
    output:
        report(
            f"{OF_GROUP}.svg",
            category="Models side by side",
            subcategory=lambda wildcards: outputs.FIGURES_BY_NAME[wildcards.figure].title,
            caption="../report/caption.rst",
            labels=lambda wildcards: {
                "data set": label(STUDY.spec(wildcards.dataset).title),
                "schedule": "{schedule}",
            },
        ),
        f"{OF_GROUP}.png",
    log:
        f"{OF_GROUP}.log",
    wildcard_constraints:
        figure="|".join(outputs.OF_A_GROUP),
    conda:
        ENVIRONMENT
    params:
        of="{dataset}/{schedule}",
        order=STUDY.model_names,
        stem=lambda wildcards, output: os.path.splitext(output[0])[0],
        title=lambda wildcards: STUDY.spec(wildcards.dataset).title,
        caption=lambda wildcards: outputs.FIGURE_CAPTIONS[wildcards.figure],
        version=versions.SHOW,
