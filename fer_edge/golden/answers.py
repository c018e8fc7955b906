"""What an app in another language answered, compared with a kit by the same checker that the kit holds."""

import importlib.util
from importlib import resources
from pathlib import Path
from types import ModuleType

from fer_edge.errors import CheckFailed, DataError, ModelError


def check_answers(kit: Path, answers: Path) -> str:
    """Compare the JSON file ``answers`` of an app with the folder ``kit``; one line of figures.

    This package's checker does it, not the one in the kit: nothing in the folder is run. Raises ModelError where
    ``kit`` is none, DataError where ``answers`` is no file, and CheckFailed where an answer differs, is missing or is
    none; its line names the mistake where the kit knows it.
    """
    from fer_edge.golden.manifest import KIT_FORMAT, MANIFEST

    if not (kit / MANIFEST).is_file():
        raise ModelError(
            f"{kit}: expected a kit of golden vectors, found no {MANIFEST}; write one with 'fer-edge golden MODEL'"
        )
    if not answers.is_file():
        raise DataError(f"{answers}: expected what an app answered, as JSON (docs/golden.md), found no file")
    checker = _checker()
    try:
        return str(checker.check_answers(kit, answers))
    except checker.Differs as error:
        raise CheckFailed(str(error)) from error
    except (ValueError, KeyError, TypeError, IndexError, OSError, RecursionError, ZeroDivisionError) as error:
        raise ModelError(
            f"{kit / MANIFEST}: expected {KIT_FORMAT}, found something else; write the kit again"
        ) from error


def _checker() -> ModuleType:
    with resources.as_file(resources.files("fer_edge.golden") / "checkers" / "check.py") as path:
        spec = importlib.util.spec_from_file_location("fer_edge_golden_check", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
