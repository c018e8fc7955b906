"""Modules of fer_edge.evidence are imported by name at first use, which PyInstaller cannot see."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("fer_edge.evidence")
