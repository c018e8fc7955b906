#!/usr/bin/env bash
# From a finished run to the model that it becomes:
#
#     recipes/ship.sh runs/RUN [NAME]
#
# NAME is the model's, by default the run's. Beside what recipes/keep.sh keeps: exported/NAME.pt (float16 weights, from
# which everything below is made), exported/NAME-int8.onnx with its cards, and the evaluations of the INT8 model on
# PublicTest.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
data=${DATA:-fer2013}
run=${1:?expected the run folder of a trained model, found none: recipes/ship.sh runs/RUN [NAME]}
run=${run%/}
recipe=recipes/$(basename "$run")
name=${2:-$(basename "$run")}
weights=exported/$name.pt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" cli.py export --checkpoint "$run/checkpoints/last.pt" --name "$name" --format weights --data "$data"
"$python" cli.py export --checkpoint "$weights" --precision int8 --data "$data"
mkdir -p "$recipe"
for views in none flip ten-crop; do
    "$python" cli.py evaluate --model "exported/$name-int8.onnx" --augmentation "$views" --data "$data" --out "$scratch"
    cp "$scratch/evaluation-validation.json" "$recipe/evaluation-int8-$views.json"
done
recipes/keep.sh "$run"
