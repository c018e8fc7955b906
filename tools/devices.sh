#!/usr/bin/env bash
# Gets what `verify --devices` runs models with: emulated processors, and other versions of onnxruntime.
#
#     tools/devices.sh [FOLDER, default $FER_EDGE_DEVICES or .devices]
#
# qemu 10 and an arm64 Python from Debian trixie (onnxruntime crashes under Debian 12's qemu 7), wheels from PyPI, and
# onnxruntime-web from npm. Nothing is installed on the system and root is not needed: apt works in FOLDER. About 350 MB are
# downloaded. What is there already is left alone; what cannot be had is said, and left out. Linux x86-64 with apt alone.
#
# PYTHON names the Python that has fer_edge, where it is not .venv/bin/python.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${FER_EDGE_DEVICES:-.devices}}
mkdir -p "$folder" && folder=$(cd "$folder" && pwd) || exit 1
python=${PYTHON:-.venv/bin/python}
if ! version=$("$python" -c "import onnxruntime; print(onnxruntime.__version__)"); then
    echo "expected a Python with onnxruntime, found none at $python; run 'make install', or name yours: PYTHON=python3 $0" >&2
    exit 1
fi
arm_python=3.13 # trixie's
missing=0

miss() {
    echo "not available: $*" >&2
    missing=1
}

wheels() { # FOLDER [PIP OPTION ...]: unpack wheels into it
    local target=$1
    shift
    [ "$(cat "$target/.complete" 2>/dev/null)" = "$*" ] && return 0 # these very versions
    rm -rf "$target"
    "$python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location --no-compile \
        --only-binary=:all: --target "$target" "$@" 2> >(grep -v "is ignored: it is neither" >&2) &&
        echo "$*" >"$target/.complete"
}

apt_folder=$folder/apt
mkdir -p "$apt_folder/lists/partial" "$apt_folder/cache/archives/partial"
touch "$apt_folder/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" \
    >"$apt_folder/sources.list"
cat >"$apt_folder/apt.conf" <<CONF
Dir::Etc::SourceList "$apt_folder/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt_folder/lists";
Dir::State::status "$apt_folder/status";
Dir::Cache "$apt_folder/cache";
APT::Architectures {"amd64"; "arm64";};
APT::Sandbox::User "";
CONF
export APT_CONFIG=$apt_folder/apt.conf
if [ ! -x "$folder/qemu-aarch64" ] || [ ! -e "$folder/arm64/.complete" ]; then
    command -v apt-get >/dev/null && apt-get -qq update || miss "Debian's package lists"
fi
if [ ! -x "$folder/qemu-x86_64" ] || [ ! -x "$folder/qemu-aarch64" ]; then
    rm -rf "$apt_folder/qemu" && mkdir -p "$apt_folder/qemu"
    if (cd "$apt_folder/qemu" && apt-get -qq download qemu-user && dpkg-deb -x qemu-user*.deb .); then
        mv "$apt_folder"/qemu/usr/bin/qemu-{x86_64,aarch64} "$folder/" && rm -rf "$apt_folder/qemu"
    else
        miss "qemu-user"
    fi
fi
if [ ! -e "$folder/arm64/.complete" ]; then
    rm -rf "$folder/arm64" && mkdir -p "$folder/arm64"
    if apt-get -qq install -y --download-only --no-install-recommends "python$arm_python:arm64" libstdc++6:arm64; then
        for package in "$apt_folder"/cache/archives/*_{arm64,all}.deb; do
            dpkg-deb -x "$package" "$folder/arm64"
        done
        ln -sfn usr/lib "$folder/arm64/lib"
        touch "$folder/arm64/.complete"
    else
        miss "an arm64 Python"
    fi
fi
platforms=(--platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64)
# All that the runtime needs, as pip resolves it there.
wheels "$folder/arm64-packages" --python-version "$arm_python" "${platforms[@]}" \
    "onnxruntime==$version" numpy pillow msgspec "typer>=0.26,<0.29" rich || miss "arm64 wheels of the runtime"
# LiteRT, for the loader that a Raspberry Pi runs (examples/litert).
wheels "$folder/arm64-litert" --python-version "$arm_python" "${platforms[@]}" \
    "ai-edge-litert==2.3.0" numpy pillow || miss "arm64 wheels of LiteRT"
for one in 1.15.1 1.20.1 1.25.1 1.31.1; do # the oldest that the files are for, between, and the newest
    numpy=$([ "${one%.*}" \< 1.19 ] && echo "numpy<2" || echo numpy)
    wheels "$folder/onnxruntime-$one" --no-deps "onnxruntime==$one" "$numpy" flatbuffers protobuf packaging coloredlogs \
        humanfriendly sympy mpmath || miss "onnxruntime $one"
done
# onnxruntime for WebAssembly, which Node.js runs: the version of the browser page.
web=$(sed -n 's/.*"onnxruntime-web": "\(.*\)".*/\1/p' "$here/../web/package.json")
if [ "$(cat "$folder/wasm/.complete" 2>/dev/null)" != "$web" ]; then
    rm -rf "$folder/wasm" && mkdir -p "$folder/wasm"
    if command -v npm >/dev/null && npm install --ignore-scripts --no-audit --no-fund --silent --prefix "$folder/wasm" \
        "onnxruntime-web@$web"; then
        echo "$web" >"$folder/wasm/.complete"
    else
        miss "onnxruntime-web (Node.js with npm is needed)"
    fi
fi
# A copy of this onnxruntime that believes to be on a lesser processor: AVX-512 without VNNI, which qemu cannot emulate.
if [ "$(cat "$folder/masked/.complete" 2>/dev/null)" != "$version" ]; then
    rm -rf "$folder/masked" && mkdir -p "$folder/masked"
    package=$("$python" -c "import onnxruntime; print(onnxruntime.__path__[0])")
    if gcc -shared -fPIC -O2 -o "$folder/masked/cpumask.so" "$here/cpumask/cpumask.c" &&
        cp -r "$package" "$folder/masked/onnxruntime" &&
        "$python" "$here/cpumask/mask.py" "$folder"/masked/onnxruntime/capi/onnxruntime_pybind11_state*.so; then
        echo "$version" >"$folder/masked/.complete"
    else
        miss "an onnxruntime that does not see VNNI (gcc and binutils are needed)"
    fi
fi
exit $missing
