#!/usr/bin/env bash
# Measures all that benchmarks/RESULTS.md and benchmarks/results/session_settings.json hold, on a quiet machine:
#
#     benchmarks/results.sh runs/NAME [MODEL ...]
#
# MODEL: exported models, by default all in exported/; those of the run runs/NAME are compared with its checkpoint in
# PyTorch, OpenVINO and onnxruntime (fp32 and fp16 files are exported on the way). Writes benchmarks/RESULTS.md, .json,
# .csv and -*.png. Takes about a quarter of an hour on 2 cores; half of it is torch.compile.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
run=${1:?expected the run folder of a trained model, found none: benchmarks/results.sh runs/NAME}
shift
models=("$@")
[ ${#models[@]} -gt 0 ] || models=(exported/*.onnx)

rm -f benchmarks/RESULTS.{json,csv,md} benchmarks/RESULTS-*.png # no command replaces a file that it did not write
"$python" cli.py benchmark "${models[@]}" --checkpoint "$run" --data "${DATA:-fer2013}" \
    --batch-sizes "${BATCH_SIZES:-1,8,32,64}" --out benchmarks --name RESULTS
"$python" benchmarks/session_settings.py "${models[@]}"
