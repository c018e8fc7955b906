#!/usr/bin/env bash
# From the weights that recipes/gpu.sh brought back (exported/NAME.pt) to the INT8 models that are shipped:
#
#     ORIGINAL=/tmp/fer2013-original POPULAR=/tmp/fer2013 recipes/ship.sh
#
# ORIGINAL is FER-2013 in FER+'s layout, its own pixels with the votes; POPULAR is the folder of equalised JPEG files that
# most people download. Weights keep to 7 bits (--target portable, tried on the devices that tools/devices.sh got).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
original=${ORIGINAL:?expected FER-2013 in the layout of FER+, found none: ORIGINAL=PATH recipes/ship.sh}

for name in fer-resnet18 fer-tiny ferplus-resnet18; do
    model=exported/$name-int8.onnx
    "$python" cli.py export --checkpoint "exported/$name.pt" --name "$name-int8" --precision int8 --target portable --data "$original"
    "$python" cli.py evaluate --model "$model" --data "$original" --json > "recipes/$name/evaluation-int8-original.json"
    if [ -n "${POPULAR:-}" ] && [ "$name" != ferplus-resnet18 ]; then
        "$python" cli.py evaluate --model "$model" --data "$POPULAR" --json > "recipes/$name/evaluation-int8-equalised.json"
    fi
done
