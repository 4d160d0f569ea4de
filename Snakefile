# The paper's tables and figures, from the data sets' files to the report. Start reading here:
# a study (config/*.yaml) names the runs, each file of workflow/rules is one stage.
from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/terminal.smk"
include: "workflow/rules/cluster.smk"


# Light, or in need of a network: with a cluster's profile these run where Snakemake runs, the others are jobs.
localrules:
    all,
    datasets,
    prepare,
    collect,
    collect_dataset,
    compare,
    compare_dataset,
    table,
    selection,
    table_of_all,
    inception,
    page,
    figure_of_run,
    figure_of_group,
    tables,
    figures,
    report,


rule all:
    input:
        study_targets(),
        PAGE,


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/fid.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/targets.smk"
