"""Versions of what each stage computes, by hand: raise one when a change in the code changes its numbers.

Snakemake reruns a stage whose version changed, and checkpoints of another version are refused. A hash of the
sources would retrain everything for a typo in a comment. Those of MEASUREMENTS stand there (`diffenc.study.stages`).
"""

PREPARE = 1
TRAIN = 3
EVALUATE = 2
SAMPLE = 3
ADOPT = 1
FID = 2
SHOW = 6
