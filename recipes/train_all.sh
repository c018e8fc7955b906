#!/usr/bin/env bash
# Every preset in the order in which they build on each other, to the shipped models; about 10 hours on one CPU core.
# What an earlier call finished is not done again, what it began goes on:
#
#     recipes/train_all.sh
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
data=${DATA:-fer2013}

for name in $("$python" -c 'from fer_edge.training.presets import PRESETS; print(*PRESETS)'); do
    if [ -d "runs/$name" ]; then
        "$python" cli.py train --resume "runs/$name" --data "$data" 2>> "runs/$name.log"
    else
        mkdir -p runs
        "$python" cli.py train --preset "$name" --data "$data" 2> "runs/$name.log"
    fi
done
recipes/ship.sh runs/fer-resnet18
recipes/ship.sh runs/fer-tiny-fourth fer-tiny
