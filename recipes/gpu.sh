#!/usr/bin/env bash
# Every shipped model on one GPU, in three stages of under ten minutes (times: recipes/README.md):
#
#     recipes/gpu.sh 1    three teachers, at once
#     recipes/gpu.sh 2    fer-resnet18, fer-tiny and ferplus-resnet18 learn from them, at once
#     recipes/gpu.sh 3    judge every run, write what is kept into $OUT
#
# A stage stops by itself, having saved; called again it goes on, and leaves alone what is finished (exit code 143:
# call it again). No package is installed: python3 has torch, torchvision, onnx, onnxruntime, filelock, rich, matplotlib.
set -euo pipefail
EPOCHS_TEACHER=${EPOCHS_TEACHER:-80}
EPOCHS_STUDENT=${EPOCHS_STUDENT:-150}
SECONDS_A_STAGE=${SECONDS_A_STAGE:-530}
DATA=${DATA:-/tmp/fer2013-original} # FER+'s layout; unpacked from $ARCHIVE where it is not there
RUNS=${RUNS:-/tmp/gpu-runs}
OUT=${OUT:-/tmp/gpu-out}
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH=$PWD OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}
if [ ! -d "$DATA" ] && [ -n "${ARCHIVE:-}" ]; then
    mkdir -p "$(dirname "$DATA")"
    tar xf "$ARCHIVE" -C "$(dirname "$DATA")"
fi
students="fer-resnet18 fer-tiny ferplus-resnet18"

case "${1:?expected the stage, 1, 2 or 3}" in
1)
    jobs=""
    for seed in 0 1 2; do jobs="$jobs teacher:teacher-$seed:$seed:$EPOCHS_TEACHER:1.$seed"; done
    exec "$python" recipes/gpu_train.py "$DATA" "$RUNS" "$SECONDS_A_STAGE" $jobs
    ;;
2)
    jobs=""
    for name in $students; do jobs="$jobs $name:$name:10:$EPOCHS_STUDENT"; done
    exec "$python" recipes/gpu_train.py "$DATA" "$RUNS" "$SECONDS_A_STAGE" $jobs
    ;;
3)
    mkdir -p "$OUT"
    "$python" recipes/gpu_judge.py "$DATA" "$OUT" "$RUNS"/teacher-[012] $(printf "$RUNS/%s " $students)
    for name in $students; do
        if [ "$(stat -c %s "$OUT/$name.pt")" -gt 15728640 ]; then
            split -b 15M "$OUT/$name.pt" "$OUT/$name.pt.part-" # cat NAME.pt.part-* > NAME.pt
            rm "$OUT/$name.pt"
        fi
    done
    (cd "$RUNS" && tar czf "$OUT/runs.tar.gz" *.log */config.json */history.csv */*.png)
    ls -l "$OUT"
    ;;
*)
    echo "expected the stage, 1, 2 or 3, found $1" >&2
    exit 2
    ;;
esac
