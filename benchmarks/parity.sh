#!/usr/bin/env bash
# Every format made from the weights of a shipped model, and compared with them:
#
#     benchmarks/parity.sh NAME
#
# Reads exported/NAME.pt and exported/NAME-int8.onnx. Writes benchmarks/results/parity-*; takes some minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
name=${1:?expected the name of a shipped model, found none: benchmarks/parity.sh fer-resnet18}
weights=exported/$name.pt
results=benchmarks/results
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

rm -f "$results"/parity-{fp32,fp16,int8,ort,pt2,torchscript}.md "$results"/parity-{fp32,fp16,int8}.png # no command replaces others

verify() { # MODEL REPORT [OPTION ...]
    "$python" cli.py verify "$1" --checkpoint "$weights" --data "${DATA:-fer2013}" \
        --markdown "$results/parity-$2.md" "${@:3}"
}
for precision in fp32 fp16; do
    "$python" cli.py export --checkpoint "$weights" --precision "$precision" --folder "$scratch"
done
for format in ort pt2 torchscript; do
    "$python" cli.py export --checkpoint "$weights" --format "$format" --folder "$scratch"
done
verify "$scratch/$name.onnx" fp32 --skew --picture "$results/parity-fp32.png"
verify "$scratch/$name-fp16.onnx" fp16 --picture "$results/parity-fp16.png"
verify "exported/$name-int8.onnx" int8 --picture "$results/parity-int8.png"
verify "$scratch/$name-mobile.ort" ort
verify "$scratch/$name-export.pt2" pt2 --trust
verify "$scratch/$name-jit.torchscript" torchscript --trust
