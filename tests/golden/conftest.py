"""Kits of the committed models of a few KB, and the languages that can be had on this machine.

What a language needs from npm is installed into pytest's cache, pinned by lock files and hashes. Where node, a compiler
or the network is missing, the tests of that language are skipped with the reason.
"""

import base64
import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import csharp
import filelock
import pytest
from languages import FIXTURES, INSTALL_TIMEOUT_S, need, npm, run

from fer_edge.golden.kit import write_kit
from fer_edge.runtime.shipped import default_model

BROWSER_PROJECT = Path(__file__).parent / "browser"

# The one package of the npm registry that holds onnxruntime's C++ headers and C# sources, with a library of the same
# version: made for Unity, so the headers lie in the iOS framework.
NATIVE_PACKAGE = "com.github.asus4.onnxruntime@0.4.9"
NATIVE_SHA512 = "BkzxduSZ9IkeDP6Q8lz2TFU2ie7hSSvS7ZIfzMooExoq0CNzJnuuGaUJ7IsojBgqO4ouD1jXah8OYyJbCN29Fg=="
CPP_HEADERS = "package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers/"
CSHARP_SOURCES = re.compile(r"package/Runtime/(Tensors/)?\w+\.shared\.cs")
NATIVE_LIBRARY = "package/Plugins/Linux/x64/libonnxruntime.so"


@pytest.fixture(scope="session")
def tiny_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit of tests/fixtures/tiny.onnx; do not write into it."""
    return write_kit(FIXTURES / "tiny.onnx", tmp_path_factory.mktemp("kits") / "tiny-golden").folder


@pytest.fixture(scope="session")
def tiny_raw_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit of tests/fixtures/tiny_raw.onnx, which takes normalised faces; do not write into it."""
    return write_kit(FIXTURES / "tiny_raw.onnx", tmp_path_factory.mktemp("kits") / "raw-golden").folder


@pytest.fixture(scope="session")
def shipped_model(repository: Path) -> Path:
    """The model that comes with the package."""
    return default_model()


@pytest.fixture(scope="session")
def shipped_kit(shipped_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model's kit."""
    return write_kit(shipped_model, tmp_path_factory.mktemp("kits") / "shipped-golden").folder


@pytest.fixture(scope="session")
def cached(pytestconfig: pytest.Config) -> Callable[[str, Callable[[Path], None]], Path]:
    """``cached(name, make)``: the folder ``name`` in pytest's cache, which ``make`` fills once for all workers."""

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        cache = pytestconfig.cache
        assert cache is not None
        place = cache.mkdir("golden") / name
        with filelock.FileLock(f"{place}.lock"):
            if not (place / "complete").exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                make(place)
                (place / "complete").touch()
        return place

    return folder


@pytest.fixture(scope="session")
def npm_project(cached) -> Callable[[Path], Path]:
    """``npm_project(source)``: a copy of the folder ``source`` with what its package-lock.json pins installed."""

    def install(source: Path) -> Path:
        need("node", "npm")

        def make(place: Path) -> None:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, place)
            # without install scripts: onnxruntime-node's would fetch CUDA libraries from elsewhere
            npm("ci", "--ignore-scripts", folder=place)

        digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
        place = cached(f"npm-{source.name}-{digest[:12]}", make)
        for script in source.glob("*.mjs"):
            shutil.copy(script, place)
        return place

    return install


@pytest.fixture(scope="session")
def node_project(npm_project, repository) -> Path:
    """examples/node, installed."""
    return npm_project(repository / "examples" / "node")


@pytest.fixture(scope="session")
def browser_project(npm_project) -> Path:
    """A folder with onnxruntime-web, installed."""
    return npm_project(BROWSER_PROJECT)


@pytest.fixture(scope="session")
def native_onnxruntime(cached) -> Path:
    """A folder with ``include/``, ``csharp/`` and ``lib/`` of onnxruntime."""
    need("npm")
    if os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        pytest.skip("the C++ library can be had from a package for Linux x64 alone")

    def folder_of(name: str) -> str | None:
        if name == NATIVE_LIBRARY:
            return "lib"
        if name.startswith(CPP_HEADERS) and "/" not in name.removeprefix(CPP_HEADERS):
            return "include"
        return "csharp" if CSHARP_SOURCES.fullmatch(name) else None

    def make(place: Path) -> None:
        npm("pack", "--silent", NATIVE_PACKAGE, folder=place)
        (archive,) = place.glob("*.tgz")
        assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == NATIVE_SHA512
        with tarfile.open(archive) as package:
            for member in package:
                folder = folder_of(member.name)
                source = package.extractfile(member) if folder is not None else None
                if source is not None:
                    target = place / str(folder) / Path(member.name).name
                    target.parent.mkdir(exist_ok=True)
                    target.write_bytes(source.read())
        archive.unlink()
        (place / "lib" / "libonnxruntime.so.1").symlink_to("libonnxruntime.so")  # the name that programs ask for

    return cached(f"onnxruntime-native-{NATIVE_PACKAGE.rpartition('@')[2]}", make)


@pytest.fixture(scope="session")
def csharp_build(native_onnxruntime, repository, tmp_path_factory) -> Path:
    """examples/csharp, compiled; mono runs it."""
    return csharp.build(native_onnxruntime, repository / "examples" / "csharp", tmp_path_factory.mktemp("csharp"))


@pytest.fixture(scope="session")
def cpp_build(native_onnxruntime, tiny_kit, repository, tmp_path_factory) -> Path:
    """examples/cpp and a kit's checker, compiled by examples/cpp/CMakeLists.txt."""
    need("cmake", "c++")
    build = tmp_path_factory.mktemp("cpp")
    source = repository / "examples" / "cpp"
    settings = (f"-DONNXRUNTIME={native_onnxruntime}", f"-DKIT={tiny_kit}", "-DCMAKE_CXX_FLAGS=-Werror")
    for command in (["cmake", "-S", source, "-B", build, *settings], ["cmake", "--build", build]):
        done = run(*command, folder=build, timeout=INSTALL_TIMEOUT_S)
        assert done.returncode == 0, done.stdout + done.stderr
    return build
