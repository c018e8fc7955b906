"""Commands import their work when they run; what their packages import by name, their own hooks say."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("fer_edge.cli")
