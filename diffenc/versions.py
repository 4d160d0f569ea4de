"""Versions of what each stage computes, by hand: raise one when a change in the code changes its numbers.

Snakemake reruns a stage whose version changed, and checkpoints of another version are refused. A hash of the
sources would retrain everything for a typo in a comment.
"""

PREPARE = 1
TRAIN = 3
EVALUATE = 1
SAMPLE = 2
ADOPT = 1
INSPECT = 1
DEPTH = 1
FID = 1
SHOW = 3
