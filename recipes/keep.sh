#!/usr/bin/env bash
# What is committed about a finished run, in recipes/NAME/: settings, history, log, curves, and how good it is.
#
#     python cli.py train --preset NAME --data fer2013 2> runs/NAME.log
#     recipes/keep.sh runs/NAME
#
# What is evaluated on PublicTest are the averaged weights after the last epoch, not those of the best.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
run=${1:?expected the run folder of a trained model, found none: recipes/keep.sh runs/NAME}
run=${run%/}
recipe=recipes/$(basename "$run")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir -p "$recipe"
cp "$run"/{config.json,history.csv,curves.png,learning_rate.png} "$recipe"
tr '\r' '\n' < "$run.log" | grep -v ' left$' > "$recipe/train.log" # all but the progress bar
"$python" cli.py evaluate --checkpoint "$run/checkpoints/last.pt" --data "${DATA:-fer2013}" --out "$scratch"
cp "$scratch/evaluation-validation.json" "$recipe/evaluation-fp32.json"
cp "$scratch"/{confusion,reliability}-validation.png "$recipe"
"$python" recipes/table.py
