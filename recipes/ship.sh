#!/usr/bin/env bash
# From a finished run to the model that it becomes:
#
#     recipes/ship.sh runs/NAME [reports]
#
# Beside what recipes/keep.sh keeps: exported/NAME.pt (float16 weights, from which everything below is made),
# exported/NAME-int8.onnx with its cards, and the evaluations of the INT8 model on PublicTest. With 'reports', also
# benchmarks/results/parity-*: every format made from the same weights and compared with them.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
data=${DATA:-fer2013}
run=${1:?expected the run folder of a trained model, found none: recipes/ship.sh runs/NAME}
run=${run%/}
name=$(basename "$run")
weights=exported/$name.pt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" cli.py export --checkpoint "$run/checkpoints/last.pt" --name "$name" --format weights --data "$data"
"$python" cli.py export --checkpoint "$weights" --precision int8 --data "$data"
mkdir -p "recipes/$name"
for views in none flip ten-crop; do
    "$python" cli.py evaluate --model "exported/$name-int8.onnx" --augmentation "$views" --data "$data" --out "$scratch"
    cp "$scratch/evaluation-validation.json" "recipes/$name/evaluation-int8-$views.json"
done
recipes/keep.sh "$run"
[ "${2:-}" = reports ] || exit 0

results=benchmarks/results
verify() { # MODEL REPORT [OPTION ...]
    "$python" cli.py verify "$1" --checkpoint "$weights" --data "$data" --markdown "$results/parity-$2.md" "${@:3}"
}
for precision in fp32 fp16; do
    "$python" cli.py export --checkpoint "$weights" --precision "$precision" --folder "$scratch"
done
for format in ort pt2 torchscript; do
    "$python" cli.py export --checkpoint "$weights" --format "$format" --folder "$scratch"
done
verify "$scratch/$name.onnx" fp32 --drift --picture "$results/parity-fp32.png"
verify "$scratch/$name-fp16.onnx" fp16 --picture "$results/parity-fp16.png"
verify "exported/$name-int8.onnx" int8 --picture "$results/parity-int8.png"
verify "$scratch/$name-ort.ort" ort
verify "$scratch/$name-pt2.pt2" pt2 --trust
verify "$scratch/$name-torchscript.torchscript" torchscript --trust
