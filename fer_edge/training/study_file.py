"""The SQLite file that keeps searches: held by one process, never a file of another program, errors in one line."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from fer_edge.errors import CheckpointError, FerEdgeError, StorageError
from fer_edge.files import make_folder, storage_errors

if TYPE_CHECKING:
    import optuna

_IDENTITY = "identity"
_CANNOT_WRITE = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "it is read-only; choose another --storage or change its permissions",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; choose another --storage or change its permissions",
    sqlite3.SQLITE_PERM: "permission denied; choose another --storage or change its permissions",
    sqlite3.SQLITE_IOERR: "the disk does not answer; choose another --storage",
    sqlite3.SQLITE_BUSY: "another program is writing to it; wait for that, or choose another --storage",
}


@contextmanager
def held_study_file(path: Path) -> Iterator[None]:
    """Hold ``path`` against other searches, so that a trial still marked as running is known to be dead.

    While it is held, what SQLite and optuna raise about the file comes out as CheckpointError (in use, damaged, of
    another kind or version) or StorageError (cannot be written).
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: expected an SQLite file of searches, found a folder; name a file in it")
    make_folder(path.parent)
    lock = FileLock(path.with_name(path.name + ".lock"))
    with storage_errors(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise CheckpointError(
                f"{path}: expected a file nobody is using, found another search in it; "
                "wait for it, stop it, or choose another --storage"
            ) from None
    try:
        with _one_line_errors(path):
            yield
    finally:
        lock.release()


def open_study(path: Path, name: str, identity: Mapping[str, Any], settings: Collection[str]) -> "optuna.Study":
    """The study called ``name`` in the held file ``path``, new or gone on with; higher values are better.

    ``identity``, of plain types, is what all its trials share; ``settings`` are those that each of them tries. Raises
    CheckpointError when the study began with others, when its trials cannot be read as such, or when the file is whole
    but of another program, which is then left as it was.
    """
    import optuna
    from sqlalchemy import URL

    _refuse_foreign_file(path)
    url = URL.create("sqlite", database=str(path)).render_as_string()  # quotes what a URL would read otherwise
    storage = optuna.storages.RDBStorage(url)
    with _readable(path):
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        trials = study.get_trials(deepcopy=False)
        if _IDENTITY not in study.user_attrs and not trials:
            study.set_user_attr(_IDENTITY, dict(identity))
        known = study.user_attrs[_IDENTITY]
        if not isinstance(known, dict) or study.direction.name != "MAXIMIZE":
            raise ValueError("no study of fer_edge")
        if [trial.number for trial in trials] != list(range(len(trials))):
            raise ValueError("trials of other numbers")
        for trial in trials:
            _check_trial(trial, settings)
    differing = [key for key, value in identity.items() if known.get(key) != value]
    if differing:
        began, found = (", ".join(f"{key} {_short(of.get(key))}" for key in differing) for of in (known, identity))
        raise CheckpointError(
            f"study '{name}' in {path}: expected what it began with ({began}), found {found}; "
            "accuracies could not be compared, so choose another --study"
        )
    return study


def _check_trial(trial: "optuna.trial.FrozenTrial", settings: Collection[str]) -> None:
    """Raises ValueError for a trial that no search here leaves, and what optuna raises for one it cannot read."""
    is_complete = trial.state.name == "COMPLETE"
    if is_complete and not (trial.value is not None and 0 <= trial.value <= 1):
        raise ValueError(f"accuracy {trial.value} in trial {trial.number}")
    if not (set(trial.params) == set(settings) if is_complete else set(trial.params) <= set(settings)):
        raise ValueError(f"other settings in trial {trial.number}")
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        choices = getattr(distribution, "choices", None)
        is_in = value in choices if choices is not None else distribution.low <= value <= distribution.high
        if not is_in:
            raise ValueError(f"{name} out of its range in trial {trial.number}")
    _ = trial.duration  # which subtracts the times


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what a damaged value raises into a CheckpointError; SQLite's errors have their own words."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (FerEdgeError, sqlite3.Error, SQLAlchemyError, StorageInternalError):
        raise
    except Exception as error:  # enums, JSON, dates, numbers: each raises kinds of its own
        if isinstance(error, RuntimeError) and "optuna" in str(error):  # its word for a file of another version
            raise
        raise _not_a_study_file(path, f"one with damaged trials ({' '.join(str(error).split())[:200]})") from error


def _refuse_foreign_file(path: Path) -> None:
    if not path.exists():
        return
    # Not read-only: after a kill SQLite must be able to undo the half-written transaction before it can read.
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if answer != "ok":
        raise _not_a_study_file(path, f"a damaged one ({' '.join(answer.split())})")
    if tables and "studies" not in tables:
        raise _not_a_study_file(path, f"one of another program (its tables: {', '.join(sorted(tables)[:5])})")


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (sqlite3.Error, SQLAlchemyError, StorageInternalError) as error:
        cause = _sqlite_error(error)
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the rest of the bits tells variants of one error apart
        if code in _CANNOT_WRITE:
            raise StorageError(f"{path}: cannot be written: {_CANNOT_WRITE[code]}") from error
        raise _not_a_study_file(path, f"one that cannot be used ({' '.join(str(cause).split())[:200]})") from error
    except RuntimeError as error:
        if "optuna" not in str(error):  # optuna's own word for a file that another version of it wrote
            raise
        raise _not_a_study_file(path, f"one of another version ({' '.join(str(error).split())[:200]})") from error


def _sqlite_error(error: BaseException) -> BaseException:
    """The sqlite3.Error behind what SQLAlchemy and optuna made of it, or ``error`` itself."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, sqlite3.Error):
        seen = seen.__cause__ or seen.__context__
    return seen or error


def _not_a_study_file(path: Path, found: str) -> CheckpointError:
    return CheckpointError(f"{path}: expected an SQLite file of searches, found {found}; choose another --storage")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:12] + "…"
