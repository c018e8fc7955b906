"""The hooks beside the frozen app of tests/test_bare_install.py: each package that imports by name has one."""

from pathlib import Path

import pytest

from fer_edge.__pyinstaller import get_hook_dirs

ROOT = Path(__file__).resolve().parent.parent


def test_each_package_with_lazy_names_has_a_hook() -> None:
    (folder,) = map(Path, get_hook_dirs())
    lazy = [path.parent for path in (ROOT / "fer_edge").glob("*/__init__.py") if "lazy_names(" in path.read_text()]
    assert len(lazy) > 5
    for package in lazy:
        # the runtime's modules are in the hook of fer_edge itself: every app needs them
        name = "fer_edge" if package.name == "runtime" else f"fer_edge.{package.name}"
        text = (folder / f"hook-{name}.py").read_text(encoding="utf-8")
        assert f'collect_submodules("fer_edge.{package.name}")' in text


def test_a_checkout_puts_its_models_where_a_wheel_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = pytest.importorskip("PyInstaller.utils.hooks", reason="PyInstaller is not installed here")
    monkeypatch.setattr(hooks, "collect_data_files", lambda _: [])
    monkeypatch.setattr(hooks, "collect_submodules", lambda _: [])
    found: dict[str, list[tuple[str, str]]] = {}
    exec((Path(get_hook_dirs()[0]) / "hook-fer_edge.py").read_text(encoding="utf-8"), found)
    names = {Path(source).name for source, folder in found["datas"] if folder == "fer_edge/models"}
    assert {"fer-tiny-int8.onnx", "fer-tiny-int8.json", "fer-tiny-int8.md"} <= names
