#!/usr/bin/env bash
# Every run of recipes/history.csv in order, to the shipped models; about 10 hours on one CPU core.
# A run that is finished is not repeated, one that was interrupted is resumed:
#
#     recipes/train_all.sh
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
data=${DATA:-fer2013}

mkdir -p runs
for name in $("$python" recipes/history.py --names); do
    if [ -d "runs/$name" ]; then
        "$python" cli.py train --resume "runs/$name" --data "$data" 2>> "runs/$name.log"
    else
        command=$("$python" recipes/history.py --command "$name")
        eval "\"\$python\" ${command#python } --data \"\$data\"" 2> "runs/$name.log"
    fi
done
recipes/ship.sh runs/fer-resnet18
recipes/ship.sh runs/fer-tiny-fourth fer-tiny
