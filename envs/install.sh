#!/bin/sh
# What a container gets (Dockerfile, apptainer.def): a compiler for torch.compile, the lock's packages, and diffenc.
set -eu
cd "$(dirname "$0")/.."
apt-get update -qq
apt-get install --yes -qq --no-install-recommends g++
rm -rf /var/lib/apt/lists/*
python -m pip install --quiet --no-cache-dir --root-user-action ignore "$(sed -n 's/^\(uv==[0-9.]*\).*/\1/p' envs/requirements.lock)"
uv pip sync --system --no-cache --quiet --compile-bytecode --require-hashes envs/requirements.lock
uv pip install --system --no-cache --quiet --compile-bytecode --no-deps --no-build-isolation .
