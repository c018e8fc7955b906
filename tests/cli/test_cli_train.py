"""The commands as a user types them: output, exit codes, one-line errors."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace

import pytest
import typer
from forked_cli import CLI, ForkedCli, run_cli

from fer_edge.cli import app
from fer_edge.training.architectures import architecture_names
from fer_edge.training.config import AugmentConfig, TrainConfig

QUICK = ["--data", "sample:140", "--architecture", "tiny", "--weights", "none", "--batch-size", "32", "--threads", "1"]
QUICK += ["--precision", "fp32", "--device", "cpu"]


@pytest.fixture
def cli(tmp_path):
    """Runs ``cli.py`` in an empty folder."""
    return lambda *arguments: run_cli(list(map(str, arguments)), cwd=tmp_path)


def one_line(text):
    assert len(text.strip().splitlines()) == 1, text
    assert "Traceback" not in text
    return text


def test_train_then_evaluate_is_all_a_user_needs(cli, tmp_path):
    trained = cli("train", *QUICK, "--epochs", 2, "--name", "first")
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith("best validation accuracy 0.")
    assert "epoch 2/2  train loss" in trained.stderr
    assert "\x1b" not in trained.stderr  # plain lines when piped
    assert "wrote runs/first/checkpoints/best.pt" in trained.stderr
    assert f"next: python {CLI} evaluate --checkpoint runs/first" in trained.stderr

    evaluated = cli("evaluate", "--json")  # the only run there is
    assert evaluated.returncode == 0, evaluated.stderr
    figures = json.loads(evaluated.stdout)
    assert figures["split"] == "validation"
    assert figures["num_faces"] == sum(sum(row) for row in figures["confusion"])
    assert (tmp_path / "runs" / "first" / "confusion-validation.png").exists()

    table = cli("evaluate", "--checkpoint", "runs/first", "--augmentation", "flip", "--out", "elsewhere")
    assert "without leaked" in table.stdout
    assert "surprise" in table.stdout
    assert (tmp_path / "elsewhere" / "evaluation-validation.json").exists()


def test_train_as_json_is_one_object(cli):
    done = cli("train", *QUICK, "--epochs", 1, "--name", "first", "--json")
    assert len(json.loads(done.stdout)["rows"]) == 1


def test_without_data_train_says_what_to_do(cli):
    done = cli("train")
    assert done.returncode == 1
    assert "--data sample" in one_line(done.stderr)
    assert "data fetch" in done.stderr


def test_a_bad_setting_is_one_line_and_usage(cli):
    assert "found 0" in one_line(cli("train", *QUICK, "--epochs", 0).stderr)
    assert cli("train", *QUICK, "--epochs", 0).returncode == 2
    unknown = cli("train", *QUICK, "--stem", "huge")
    assert unknown.returncode == 2
    assert "huge" in unknown.stderr


def test_a_second_run_of_the_same_name_is_refused_and_resume_takes_no_settings(cli):
    cli("train", *QUICK, "--epochs", 1, "--name", "first")
    again = cli("train", *QUICK, "--epochs", 1, "--name", "first")
    assert again.returncode == 1
    assert f"go on with it: python {CLI} train --resume runs/first" in one_line(again.stderr)
    changed = cli("train", "--resume", "runs/first", "--max-lr", "0.1")
    assert changed.returncode == 2
    assert "leave out --max-lr" in one_line(changed.stderr)
    resumed = cli("train", "--resume", "runs/first")
    assert resumed.returncode == 0, resumed.stderr


def test_a_preset_gives_its_settings_and_typed_options_change_them(cli, tmp_path):
    from fer_edge.training.presets import PRESETS, TEACHERS

    small = ["--architecture", "tiny", "--epochs", 2, "--progression", "32:1", "--precision", "fp32", "--device", "cpu"]
    done = cli("train", "--preset", "teacher", "--heads", "labels", *small, "--data", "sample:140", "--erasing", 0)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "teacher"
    found = TrainConfig.from_dict(json.loads((run / "config.json").read_text())["config"])
    preset = PRESETS["teacher"]
    assert found.max_lr == preset.max_lr != TrainConfig().max_lr
    assert (found.architecture, found.epochs, found.progression) == ("tiny", 2, "32:1")
    assert found.augment == replace(preset.augment, erasing=0.0)
    for teacher in TEACHERS:
        run.parent.joinpath(teacher).symlink_to("teacher")
    again = cli("train", "--preset", "fer-tiny", "--heads", "labels", *small, "--data", "sample:140")
    assert again.returncode == 0, again.stderr
    assert "asking runs/teacher-2 (tiny) about" in again.stderr
    without = cli("train", "--preset", "teacher", "--name", "votes", *small, "--data", "sample:140")
    assert without.returncode == 1
    assert "--heads: expected faces with FER+ votes, found faces without; name their table with --votes" in one_line(
        without.stderr
    )
    early = cli("train", "--preset", "fer-tiny", "--data", "sample:140", "--runs", "elsewhere")
    assert early.returncode == 1
    assert "expected the run elsewhere/teacher-0, found none; train it first" in one_line(early.stderr)
    unknown = cli("train", "--preset", "nope")
    assert unknown.returncode == 2
    assert f"--preset: expected one of {', '.join(PRESETS)}, found 'nope'" in one_line(unknown.stderr)


def test_evaluate_judges_an_exported_model_and_writes_only_when_asked(cli, repository, tmp_path):
    model = repository / "tests" / "fixtures" / "tiny.onnx"
    judged = cli("evaluate", "--model", model, "--data", "sample:140", "--json")
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["model"] == str(model)
    assert list(tmp_path.iterdir()) == []
    kept = cli("evaluate", "--model", model, "--data", "sample:140", "--out", "kept")
    assert "on validation of sample:140" in kept.stdout
    assert (tmp_path / "kept" / "evaluation-validation.json").exists()
    both = cli("evaluate", "--model", model, "--checkpoint", "runs/x")
    assert both.returncode == 2
    assert "expected --checkpoint or --model, found both" in one_line(both.stderr)


def test_evaluate_without_a_run_says_so(cli):
    done = cli("evaluate")
    assert done.returncode == 1
    assert "expected a run in runs/, found none" in one_line(done.stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(tmp_path, number, code):
    process = ForkedCli(["train", *QUICK, "--epochs", "100000", "--name", "long"], cwd=tmp_path)
    while "epoch " not in (line := process.stderr.readline()) or "/100000" not in line:
        assert line, "the run ended by itself"
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == code
    last = [line for line in rest.splitlines() if line.startswith("stopped after")]
    assert len(last) == 1
    assert f"go on with: python {CLI} train --resume runs/long" in last[0]
    assert "Traceback" not in rest
    assert (tmp_path / "runs" / "long" / "checkpoints" / "last.pt").exists()


def test_help_answers_quickly_and_every_command_has_an_example(cli, repository):
    times = []
    for _ in range(3):
        started = time.perf_counter()
        shown = subprocess.run([sys.executable, repository / "cli.py", "--help"], capture_output=True, text=True)
        times.append(time.perf_counter() - started)
    assert shown.returncode == 0
    assert min(times) < 2.0  # the figure to hold is 0.4 s on an idle machine: benchmarks/startup.py measures it
    for command in ("train", "evaluate", "explain", "tune", "export", "verify", "predict", "info"):
        assert command in shown.stdout
        assert f"cli.py {command}" in " ".join(cli(command, "--help").stdout.split())


def test_help_imports_nothing_heavy(repository):
    heavy = ("torch", "onnxruntime", "numpy", "PIL", "matplotlib")
    code = f"import sys, fer_edge.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository)
    assert done.stdout.strip() == "[]"


def test_every_setting_is_an_option_with_its_own_default_and_help(cli):
    root = typer.main.get_command(app)
    searched = {"max_lr", "weight_decay", "batch_size", "augment_strength", "save_interval", "tensorboard", "augment"}
    for command, left_out in (("train", {"augment"}), ("tune", searched)):
        options = {option.name: option for option in root.commands[command].params}
        for setting in (*fields(TrainConfig), *fields(AugmentConfig)):
            assert (setting.name in options) != (setting.name in left_out), setting.name
            if setting.name in options and (command, setting.name) != ("tune", "epochs"):
                assert options[setting.name].default == setting.default
                assert options[setting.name].help.startswith(setting.metadata["help"])
    assert all(name in options["architecture"].help for name in architecture_names())


def test_a_former_name_of_an_architecture_is_accepted_with_a_note(cli):
    done = cli("train", *QUICK, "--architecture", "inception", "--image-size", "16", "--epochs", 1)
    assert "--architecture inception is now called googlenet, as in torchvision" in done.stderr
    assert TrainConfig(architecture="vgg").architecture == "vgg11_bn"  # as in checkpoints of before


def test_votes_can_be_joined_to_the_popular_folder_and_must_stay_the_same(cli, popular, tmp_path):
    options = [*QUICK[2:], "--data", "faces", "--heads", "votes"]
    assert "expected faces with FER+ votes, found faces without" in one_line(cli("train", *options).stderr)
    trained = cli("train", *options, "--votes", popular.name, "--epochs", 1, "--name", "voted")
    assert trained.returncode == 0, trained.stderr
    settings = json.loads((tmp_path / "runs" / "voted" / "config.json").read_text())
    assert settings["data"]["votes"] == str(popular)
    assert cli("train", "--resume", "runs/voted").returncode == 0
    popular.write_text(popular.read_text().replace(",0,8,2,", ",1,7,2,"))
    other = cli("train", "--resume", "runs/voted")
    assert other.returncode == 1
    assert "expected the votes with which the run began, found others" in one_line(other.stderr)
