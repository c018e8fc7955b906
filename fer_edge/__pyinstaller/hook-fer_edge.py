"""What every app needs: the runtime's modules, which are imported by name at first use, models, and assets."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

from fer_edge.runtime.shipped import shipped_models

hiddenimports = ["fer_edge.metadata", *collect_submodules("fer_edge.runtime")]
datas = collect_data_files("fer_edge")
# A wheel has the models inside the package; those of a checkout lie beside it and go where a wheel's would be.
datas += [
    (str(path.with_suffix(suffix)), "fer_edge/models")
    for path in shipped_models()
    if path.parent.name != "models"
    for suffix in (".onnx", ".json", ".md")
]
