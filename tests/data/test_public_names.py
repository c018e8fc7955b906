import subprocess
import sys

import pytest

import fer_edge.data
import fer_edge.evaluation


@pytest.mark.parametrize("package", [fer_edge.data, fer_edge.evaluation], ids=["data", "evaluation"])
def test_every_public_name_is_there_and_others_are_refused(package):
    assert list(package.__all__) == sorted(
        package.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_importing_the_packages_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys; import fer_edge.data as data, fer_edge.evaluation as evaluation\n"
        "assert 'numpy' not in sys.modules\n"
        "data.load_faces, evaluation.evaluate_split\n"
        "sys.exit(not {'torch', 'matplotlib'}.isdisjoint(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
