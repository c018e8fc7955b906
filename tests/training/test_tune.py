import builtins
import contextlib
import functools
import multiprocessing
import shlex
import shutil
import signal
import sqlite3
from dataclasses import replace

import optuna
import pytest

from fer_edge.data.load import load_faces
from fer_edge.errors import CheckpointError, Interrupted, MissingExtraError, StorageError, TrainingError
from fer_edge.training.config import AugmentConfig
from fer_edge.training.preparation import DataRequest
from fer_edge.training.study_file import held_study_file
from fer_edge.training.trainer import Trainer
from fer_edge.training.tune import BATCH_SIZES, LEARNING_RATES, Search, search

SEARCHED = ["max_lr", "weight_decay", "batch_size", "augment_strength"]


@pytest.fixture(scope="module")
def empty_storage(tmp_path_factory):
    """A file without any study: making its tables takes longer than all else here."""
    path = tmp_path_factory.mktemp("storage") / "empty.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def draw_once(monkeypatch):
    """Every search here reads the same few drawn faces."""
    monkeypatch.setattr(DataRequest, "load", lambda request, _config: cached_faces(request.source))


cached_faces = functools.cache(load_faces)


@pytest.fixture
def wanted(tiny_config, tmp_path, empty_storage) -> Search:
    """Two trials of one epoch."""
    storage = tmp_path / "tune.db"
    shutil.copyfile(empty_storage, storage)
    return Search(replace(tiny_config, epochs=1), DataRequest("sample:84"), storage, "study", trials=2)


@pytest.fixture
def lines() -> list[str]:
    return []


def run(wanted, lines=None):
    return search(wanted, (lines if lines is not None else []).append)


def test_a_resumed_search_counts_what_is_finished_and_draws_other_settings(wanted, lines):
    first = run(wanted, lines)
    assert [trial.number for trial in first.trials] == [1, 2]
    assert len(lines) == 2
    assert lines[1].startswith("trial 2 (2/2 finished)")

    more = run(replace(wanted, trials=4), lines)
    assert [trial.number for trial in more.trials] == [1, 2, 3, 4]
    assert more.trials[:2] == first.trials
    assert len({tuple(trial.settings.values()) for trial in more.trials}) == 4
    assert lines[3].startswith("trial 4 (4/4 finished)")

    again = run(wanted, lines)  # already there: nothing is trained
    assert again.trials == more.trials
    assert len(lines) == 4


def test_settings_are_in_range_and_the_same_seed_searches_the_same(wanted, tmp_path):
    result = run(wanted)
    low, high = LEARNING_RATES["sgd"]
    for trial in result.trials:
        assert list(trial.settings) == SEARCHED
        assert low <= trial.settings["max_lr"] <= high
        assert trial.settings["batch_size"] in BATCH_SIZES
        assert trial.settings["batch_size"] <= 56  # the training faces of sample:84
        assert 0 <= trial.settings["augment_strength"] <= 1.5
    other = run(replace(wanted, storage=tmp_path / "new" / "other.db"))
    assert [(t.settings, t.accuracy) for t in other.trials] == [(t.settings, t.accuracy) for t in result.trials]


def fake_training(monkeypatch, accuracies, on_run=None):
    """Replaces training by a history with the given validation accuracies for each trial; keeps the settings used."""
    used = []

    def fit(trainer):
        used.append(trainer.config)
        if on_run:
            on_run(len(used))
        rows = [
            {"epoch": epoch, "validation_accuracy": value} for epoch, value in enumerate(accuracies[len(used) - 1], 1)
        ]
        for row in rows:
            trainer.on_epoch_end(row)
        best = max(row["validation_accuracy"] for row in rows)
        return type("History", (), {"best_accuracy": best})

    monkeypatch.setattr(Trainer, "fit_one_cycle", fit)
    return used


def test_the_best_trial_becomes_a_train_command_with_the_settings_it_ran_with(wanted, monkeypatch):
    used = fake_training(monkeypatch, [[0.2], [0.5], [0.4]])
    result = run(replace(wanted, trials=3))
    assert result.best.number == 2
    assert result.best.accuracy == 0.5
    words = shlex.split(result.train_command)
    assert words[:4] == ["fer-edge", "train", "--data", "sample:84"]
    assert words[words.index("--architecture") + 1] == "tiny"
    assert float(words[words.index("--max-lr") + 1]) == pytest.approx(used[1].max_lr, rel=1e-3)
    assert int(words[words.index("--batch-size") + 1]) == used[1].batch_size
    strength = float(words[words.index("--augment-strength") + 1])
    assert used[1].augment.rotation == pytest.approx(AugmentConfig().rotation * strength, rel=1e-3)
    assert "--epochs" not in words


def test_a_trial_worse_than_the_median_is_pruned_and_never_the_best(wanted, monkeypatch):
    fake_training(monkeypatch, [[0.5, 0.5, 0.6]] * 5 + [[0.1, 0.1, 0.9]])
    result = run(replace(wanted, config=replace(wanted.config, epochs=3), trials=6))
    assert [trial.state for trial in result.trials] == ["complete"] * 5 + ["pruned"]
    assert result.trials[5].accuracy is None
    assert result.best.number == 1


def test_a_diverging_trial_counts_and_the_search_goes_on(wanted, monkeypatch):
    def diverge(number):
        if number == 1:
            raise TrainingError("expected a finite loss, found nan")

    fake_training(monkeypatch, [[0.1], [0.3]], on_run=diverge)
    result = run(wanted)
    assert [trial.state for trial in result.trials] == ["diverged", "complete"]
    assert result.best.number == 2


def test_without_a_completed_trial_there_is_no_best(wanted, monkeypatch):
    def diverge(number):
        raise TrainingError("expected a finite loss, found nan")

    fake_training(monkeypatch, [], on_run=diverge)
    result = run(wanted)
    assert result.best is None
    assert result.train_command is None


@pytest.mark.parametrize(
    ("stop", "code"),
    [(Interrupted("stopped after step 3", 15), 143), (KeyboardInterrupt(), 130)],
)
def test_an_interrupted_search_keeps_what_is_finished_and_says_how_to_go_on(wanted, monkeypatch, stop, code):
    def interrupt(number):
        if number == 2:
            raise stop

    used = fake_training(monkeypatch, [[0.1], [0.2], [0.3]], on_run=interrupt)
    with pytest.raises(Interrupted, match=r"1 of 2 trials are kept in .*tune\.db; .* --study study goes on") as raised:
        run(wanted)
    assert raised.value.exit_code == code
    result = run(wanted)
    assert [trial.state for trial in result.trials] == ["complete", "failed", "complete"]
    assert len(used) == 3


def test_a_trial_whose_process_was_killed_does_not_block_or_count(wanted):
    run(replace(wanted, trials=1))
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{wanted.storage}")
    study.ask()  # begins a trial, as a process does that is killed before its end
    result = run(wanted)
    assert [trial.state for trial in result.trials] == ["complete", "failed", "complete"]
    assert result.trials[1].settings == {}


def test_a_study_of_other_data_or_settings_is_refused(wanted):
    run(replace(wanted, trials=1))
    with pytest.raises(CheckpointError, match=r"expected what it began with \(data \w{12}….*choose another --study"):
        run(replace(wanted, data=DataRequest("sample:126")))
    with pytest.raises(CheckpointError, match=r"expected what it began with \(epochs 1\), found epochs 2;"):
        run(replace(wanted, config=replace(wanted.config, epochs=2)))
    assert len(run(replace(wanted, study="second", data=DataRequest("sample:126"), trials=1)).trials) == 1


def test_a_file_in_use_is_refused(wanted):
    with held_study_file(wanted.storage), pytest.raises(CheckpointError, match="found another search in it"):
        run(wanted)


def test_a_file_that_is_no_study_is_refused_and_left_alone(wanted):
    wanted.storage.write_bytes(b"precious" * 200)
    with pytest.raises(CheckpointError, match="expected an SQLite file of searches"):
        run(wanted)
    assert wanted.storage.read_bytes() == b"precious" * 200


def test_a_database_of_another_program_is_refused_and_left_alone(wanted):
    wanted.storage.unlink()
    with sqlite3.connect(wanted.storage) as other:
        other.execute("CREATE TABLE customers (name TEXT)")
    other.close()
    before = wanted.storage.read_bytes()
    with pytest.raises(CheckpointError, match=r"found one of another program \(its tables: customers\)"):
        run(wanted)
    assert wanted.storage.read_bytes() == before


def test_a_damaged_file_is_refused_in_one_line(wanted):
    whole = wanted.storage.read_bytes()
    wanted.storage.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"tune\.db: expected an SQLite file of searches, found") as raised:
        run(wanted)
    assert "\n" not in str(raised.value)


DAMAGE = {
    "identity that is no JSON": "UPDATE study_user_attributes SET value_json = '{'",
    "identity that is a list": "UPDATE study_user_attributes SET value_json = '[1]'",
    "no identity": "DELETE FROM study_user_attributes",
    "a state of no kind": "UPDATE trials SET state = 'DONE'",
    "numbers that are text": "UPDATE trials SET number = 'one'",
    "numbers with a gap": "UPDATE trials SET number = number + 1",
    "times that are text": "UPDATE trials SET datetime_start = 'soon'",
    "an accuracy that is text": "UPDATE trial_values SET value = 'high'",
    "an accuracy beyond 1": "UPDATE trial_values SET value = 70",
    "an infinite accuracy": "UPDATE trial_values SET value_type = 'INF_POS', value = NULL",
    "a range that is no JSON": "UPDATE trial_params SET distribution_json = '{'",
    "a value out of its range": "UPDATE trial_params SET param_value = 1e9",
    "a setting of another name": "UPDATE trial_params SET param_name = 'colour' WHERE param_name = 'max_lr'",
    "no settings": "DELETE FROM trial_params",
    "the other direction": "UPDATE study_directions SET direction = 'MINIMIZE'",
    "no direction": "DELETE FROM study_directions",
}


@pytest.fixture(scope="module")
def searched(tiny_config, tmp_path_factory, empty_storage):
    """The bytes of a file with two finished trials."""
    path = tmp_path_factory.mktemp("searched") / "tune.db"
    shutil.copyfile(empty_storage, path)
    config = replace(tiny_config, epochs=1)
    search(Search(config, DataRequest("sample:84"), path, "study", trials=2), lambda _line: None)
    return path.read_bytes()


@pytest.mark.parametrize("kind", DAMAGE)
def test_trials_that_no_search_left_are_refused_in_one_line(wanted, searched, kind):
    wanted.storage.write_bytes(searched)
    with contextlib.closing(sqlite3.connect(wanted.storage)) as connection:
        connection.execute(DAMAGE[kind])
        connection.commit()
    with pytest.raises(CheckpointError, match=r"tune\.db: expected an SQLite file of searches, found one") as raised:
        run(wanted)
    assert len(str(raised.value).splitlines()) == 1


def test_a_folder_in_place_of_the_file_is_refused(wanted, tmp_path):
    with pytest.raises(CheckpointError, match="expected an SQLite file of searches, found a folder"):
        run(replace(wanted, storage=tmp_path))


def test_a_file_that_cannot_be_written_any_more_is_said_so(wanted, monkeypatch):
    def fill_disk(_number):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise optuna.exceptions.StorageInternalError("An exception is raised during the commit.") from error

    fake_training(monkeypatch, [[0.1]], on_run=fill_disk)
    with pytest.raises(StorageError, match=r"tune\.db: cannot be written: the disk is full"):
        run(wanted)


def test_a_file_name_is_taken_as_it_is(wanted, tmp_path):
    odd = tmp_path / "a?b %20#.db"
    wanted.storage.rename(odd)
    run(replace(wanted, storage=odd, trials=1))
    assert {path.name for path in tmp_path.iterdir()} == {odd.name, f"{odd.name}.lock"}


class _Poison:
    """A test split that must not be looked at."""

    def __getattribute__(self, name):
        raise AssertionError(f"the search looked at the test split ({name})")


def test_the_test_split_is_never_looked_at(wanted, monkeypatch):
    poisoned = replace(cached_faces("sample:84"), test=_Poison())
    monkeypatch.setattr(DataRequest, "load", lambda _request, _config: poisoned)
    assert len(run(wanted).trials) == 2


def stopped(searching, *arguments):
    """How the search that ``searching`` starts and signals was stopped: what it said, its exit code. In a process of
    its own: a signal to the tests' own, which may have run others' handlers before, has ended it."""
    own = multiprocessing.get_context("spawn")
    said = own.Queue()
    process = own.Process(target=searching, args=(*arguments, said))
    process.start()
    try:
        return said.get(timeout=120)
    finally:
        process.kill()
        process.join()


def tell_how_it_stops(said, *arguments):
    try:
        search(*arguments)
    except Interrupted as stop:
        said.put((str(stop), stop.exit_code))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("epochs", "kept"), [(1, 1), (10_000, 0)])
def test_a_signal_in_the_last_validation_or_while_training_ends_the_search(wanted, number, epochs, kept):
    long = replace(wanted, config=replace(wanted.config, epochs=epochs))
    text, exit_code = stopped(signal_in_the_first_validation, long, number)
    assert f"{kept} of 2 trials are kept" in text
    assert exit_code == 128 + number


def signal_in_the_first_validation(wanted, number, said):
    """Of trials of one epoch it is the last, too: training itself looks no more for signals."""
    validate = Trainer.validate_heads

    def validate_then_signal(trainer):
        Trainer.validate_heads = validate  # a second SIGINT is a person who will not wait
        signal.raise_signal(number)
        return validate(trainer)

    Trainer.validate_heads = validate_then_signal
    tell_how_it_stops(said, wanted, [].append)


def test_a_signal_between_two_trials_ends_the_search(wanted):
    text, exit_code = stopped(signal_between_two_trials, wanted)
    assert "1 of 2 trials are kept" in text
    assert exit_code == 143
    assert len(run(wanted).trials) == 2


def signal_between_two_trials(wanted, said):
    """SIGTERM once, when the first trial is told of."""
    signals = [signal.SIGTERM]

    def signal_once(_line):
        if signals:
            signal.raise_signal(signals.pop())

    tell_how_it_stops(said, wanted, signal_once)


def test_weights_that_depend_on_the_machine_are_settled_once(wanted, lines):
    result = run(replace(wanted, config=replace(wanted.config, weights="auto")), lines)
    assert lines[0].startswith("starting weights of every trial: from scratch")
    assert "--weights none" in result.train_command
    assert len(run(wanted).trials) == 2  # the same study: --weights none


def test_no_trial_begins_after_the_timeout(wanted):
    assert run(replace(wanted, timeout_minutes=0)).trials == ()


def test_without_optuna_the_extra_is_named(wanted, monkeypatch):
    real_import = builtins.__import__

    def no_optuna(name, *arguments, **options):
        if name.startswith("optuna"):
            raise ImportError(name)
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_optuna)
    with pytest.raises(MissingExtraError, match=r"pip install 'fer-edge\[tune\]'"):
        run(wanted)
