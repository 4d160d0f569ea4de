#!/usr/bin/env bash
# All that is to be found out on a GPU, in one go. python3 needs torch, numpy, pandas, matplotlib, seaborn, tabulate,
# pydantic, pyyaml, ruamel.yaml, safetensors and tqdm.
#
#     benchmarks/gpu.sh FOLDER
#
# Leaves in FOLDER: bench.{md,csv,svg,png}, correctness.txt
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
mkdir -p "$out"
status=0
python3 benchmarks/gpu_correctness.py | tee "$out/correctness.txt" || status=1
python3 -m diffenc bench --models VDMv-8 DiffEnc-8-2 VDMv-32 DiffEnc-32-4 --steps 10 --out "$out/bench"
exit "$status"
