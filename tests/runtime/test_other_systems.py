"""Windows and macOS, as far as Linux can play them: what only POSIX has is hidden, and what they do otherwise is done.

``os.name`` stays "posix", on which pathlib and numpy depend.
"""

import ast
import codecs
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from fer_edge import files
from fer_edge.benchmark import worker
from fer_edge.cli import output
from fer_edge.data.folders import list_entries
from fer_edge.data.problems import ProblemList
from fer_edge.data.sample import synthetic_face
from fer_edge.errors import ModelError, StorageError, UsageError

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
SOURCES = sorted([*(ROOT / "fer_edge").rglob("*.py"), ROOT / "cli.py", ROOT / "setup.py"])

_MODULES = "crypt fcntl grp nis ossaudiodev pty pwd readline resource spwd syslog termios tty _posixshmem"
MODULES = _MODULES.split()
"""Of the standard library; Windows has none of them."""

_OS = """
O_CLOEXEC O_DIRECTORY O_DSYNC O_NDELAY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_SYNC O_TMPFILE chown chroot confstr
ctermid fchdir fchmod fchown fork forkpty fpathconf fstatvfs getegid geteuid getgid getgroups getloadavg getpgid getpgrp
getpriority getresuid getsid getuid getxattr initgroups killpg lchown listxattr lockf major makedev memfd_create minor
mkfifo mknod nice openpty pathconf pipe2 posix_fadvise posix_fallocate posix_spawn posix_spawnp pread pwrite readv
register_at_fork sched_getaffinity sched_setaffinity sched_yield sendfile setegid seteuid setgid setpgid setpriority
setsid setuid setxattr statvfs sync sysconf sysconf_names tcgetpgrp tcsetpgrp ttyname wait wait3 wait4
"""
_SIGNAL = """
ITIMER_REAL SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGUSR1
SIGUSR2 SIGWINCH alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait
sigwait sigwaitinfo
"""
NAMES = {
    "os": ["uname", *_OS.split(), *(name for name in dir(os) if name.startswith("EX_"))],
    "signal": _SIGNAL.split(),
    "time": ["clock_gettime", "clock_settime", "pthread_getcpuclockid", "tzset"],
    "select": ["devpoll", "epoll", "kqueue", "poll"],
}
"""What Windows lacks."""

SITECUSTOMIZE = f"""
import os, select, signal, sys, time, warnings

sys.modules.update(dict.fromkeys({MODULES!r}))  # None: importing one raises ModuleNotFoundError
for module, names in (({NAMES!r})).items():
    for name in names:
        if hasattr(sys.modules[module], name) and name != "uname":  # which numpy calls where Linux is
            delattr(sys.modules[module], name)

def hide(path):
    if isinstance(path, (str, bytes, os.PathLike)):
        text = os.fsdecode(path)
        if text.startswith(("/proc/", "/sys/", "/dev/")) and text != os.devnull:
            raise FileNotFoundError(2, "hidden from this test", text)

sys.addaudithook(lambda event, arguments: hide(arguments[0]) if event == "open" else None)
stat = os.stat
def visible_stat(path, *arguments, **options):
    hide(path)
    return stat(path, *arguments, **options)
os.stat = visible_stat

warnings.filterwarnings("ignore", category=EncodingWarning)
warnings.filterwarnings("error", category=EncodingWarning, module=r"fer_edge(\\.|$)|__main__$")
"""

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Run:
    """Runs Python in a process of such a system, which ends well, its pipes in Western European letters as Windows's
    are; gives what it wrote to standard output and error."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "PYTHONIOENCODING": "cp1252",
        "PYTHONWARNDEFAULTENCODING": "1",
        "PYTHONUTF8": "0",
    }

    def run_there(*words: str | Path) -> str:
        done = subprocess.run([sys.executable, *words], capture_output=True, cwd=tmp_path, env=environment)
        shown = (done.stdout + done.stderr).decode("cp1252")
        assert done.returncode == 0, shown
        return shown

    return run_there


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in ("tiny.onnx", "tiny.json"):
        shutil.copy(FIXTURES / name, tmp_path)
    return tmp_path / "tiny.onnx"


def save_face(path: Path, index: int = 3) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(synthetic_face(index)).save(path)


def test_posix_is_hidden_there(run: Run) -> None:
    hidden = """
import os, select, signal, time
from pathlib import Path
for name in ("fcntl", "resource", "termios"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(name)
assert not hasattr(os, "O_NOFOLLOW") and not hasattr(signal, "SIGKILL") and not hasattr(select, "poll")
assert not hasattr(time, "tzset") and not Path("/proc/cpuinfo").exists()
for path in ("/proc/cpuinfo", "notes.txt"):
    try:
        exec("open(path, 'a')", {"path": path, "__name__": "fer_edge.somewhere"})
    except (FileNotFoundError, EncodingWarning) as error:
        print(type(error).__name__)
"""
    assert run("-c", hidden).split() == ["FileNotFoundError", "EncodingWarning"]


def test_the_package_and_its_runtime_import(run: Run) -> None:
    assert run("-c", "import fer_edge; from fer_edge import Classifier; import fer_edge.runtime.photos") == ""


def test_every_command_answers_help_in_letters_that_the_pipe_has(run: Run) -> None:
    every = """
import sys
from fer_edge.__main__ import main
from fer_edge.cli import app
commands = [[one.name or one.callback.__name__] for one in app.registered_commands]
for group in app.registered_groups:
    own = [one.callback.__name__ for one in group.typer_instance.registered_commands]
    commands += [[group.name], *([group.name, name] for name in own)]
for words in [[], *commands]:
    sys.argv = ["fer-edge", *words, "--help"]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, words
"""
    shown = run("-c", every)
    for command in ("predict", "info", "golden", "evaluate", "data inspect", "train", "benchmark"):
        assert f"Usage: fer-edge {command} [OPTIONS]" in shown
    assert "\\u" not in shown


def test_predict_and_info_run(run: Run, model: Path, tmp_path: Path) -> None:
    save_face(tmp_path / "Gesicht über 笑.png")
    shown = run(ROOT / "cli.py", "predict", "Gesicht über 笑.png", "--model", model.name, "--out", "marked.jpg")
    assert "Gesicht über \\u7b11.png: surprise" in shown
    assert Image.open(tmp_path / "marked.jpg").format == "JPEG"
    assert "intact" in run(ROOT / "cli.py", "info", model.name)
    table = run(ROOT / "cli.py", "predict", "Gesicht über 笑.png", "--model", model.name, "--csv")
    assert len([line for line in table.splitlines() if line.startswith(("source,", "Gesicht"))]) == 2


def test_golden_vectors_are_written_and_hold(run: Run, model: Path, tmp_path: Path) -> None:
    assert "14 vectors" in run(ROOT / "cli.py", "golden", model.name)
    assert run(tmp_path / "tiny-golden" / "check.py").startswith("ok: 14 vectors")
    manifest = json.loads((tmp_path / "tiny-golden" / "manifest.json").read_bytes())
    assert all("\\" not in vector["file"] for vector in manifest["vectors"])
    assert b"\r" not in (tmp_path / "tiny-golden" / "manifest.txt").read_bytes()


def test_faces_are_inspected_and_a_model_is_evaluated(run: Run, model: Path, tmp_path: Path) -> None:
    assert "42 faces" in run(ROOT / "cli.py", "data", "inspect", "--data", "sample:42")
    assert Image.open(tmp_path / "inspect.png").format == "PNG"
    shown = run(ROOT / "cli.py", "evaluate", "--model", model.name, "--data", "sample:42")
    assert "accuracy" in shown
    assert "\\u" not in shown


def test_pictures_of_images_whose_names_differ_in_case_are_two(run: Run, model: Path, tmp_path: Path) -> None:
    save_face(tmp_path / "one" / "Anna.png")
    save_face(tmp_path / "two" / "anna.png")
    run(ROOT / "cli.py", "predict", "one", "two", "--model", model.name, "--out", "marked")
    assert {path.name for path in (tmp_path / "marked").glob("*.jpg")} == {"Anna-faces.jpg", "anna-faces-2.jpg"}


def test_names_of_one_file_have_one_identity(tmp_path: Path) -> None:
    one, other, missing = tmp_path / "one", tmp_path / "other", tmp_path / "missing"
    one.touch()
    other.touch()
    (tmp_path / "hard").hardlink_to(one)
    (tmp_path / "soft").symlink_to(one)
    assert files.file_identity(tmp_path / "hard") == files.file_identity(tmp_path / "soft") == files.file_identity(one)
    assert len({files.file_identity(path) for path in (one, other, missing)}) == 3
    assert files.file_identity(tmp_path / "." / "missing") == files.file_identity(missing)


def without_numbers(path: os.PathLike[str] | str, **options: bool) -> os.stat_result:
    """As a network drive without numbers of files tells it."""
    return os.stat_result([0 if at == 1 else value for at, value in enumerate(os.lstat(path))])


def test_files_without_numbers_are_told_apart_by_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faces" / "happy").mkdir(parents=True)
    folder = tmp_path / "faces"
    monkeypatch.setattr(files.os, "stat", without_numbers)
    assert files.file_identity(folder) != files.file_identity(folder / "happy")
    monkeypatch.setattr(Path, "stat", without_numbers)
    above = frozenset([(without_numbers(folder).st_dev, 0)])
    problems = ProblemList("faces")
    assert [entry.path.name for entry in list_entries(folder, problems, above)] == ["happy"]
    assert problems.found == []


@pytest.mark.parametrize("name", ["nul", "CON", "aux.json", "com1.onnx", "LPT9.tar.gz"])
def test_names_of_devices_are_reserved(name: str) -> None:
    from fer_edge.export.publish import check_name

    assert files.is_reserved_name(name)
    with pytest.raises(UsageError, match="a device on Windows"):
        check_name(name)


@pytest.mark.parametrize("name", ["null", "console.onnx", "my-nul", "com10", "lpt"])
def test_other_names_are_not(name: str) -> None:
    assert not files.is_reserved_name(name)


def test_a_file_that_a_program_has_open_is_told_as_such(tmp_path: Path) -> None:
    table = tmp_path / "faces.csv"
    refused = PermissionError(errno.EACCES, "Access is denied")
    refused.winerror = 5  # type: ignore[attr-defined,unused-ignore]  # as Windows has it
    assert "choose another folder" in str(files.storage_error(table, refused))
    table.touch()
    assert "a program may have it open" in str(files.storage_error(table, refused))


def test_a_file_left_open_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "The process cannot access the file")

    def fail() -> None:
        with files.temporary_folder() as folder:
            left.append(Path(folder) / "model.onnx")
            left[0].touch()
            monkeypatch.setattr(os, "unlink", refuse)
            raise ModelError("the reason")

    left: list[Path] = []
    with pytest.raises(ModelError, match="the reason"):
        fail()
    monkeypatch.undo()
    assert left[0].exists()
    shutil.rmtree(left[0].parent)


def test_a_reader_that_is_gone_is_no_error_on_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch, (tmp_path / "stdout").open("w") as stdout:
        patch.setattr(sys, "stdout", stdout)
        output.expect_reader()
        with pytest.raises(StorageError, match="Invalid argument"), output.stdout_errors():
            raise OSError(errno.EINVAL, "Invalid argument")
        patch.setattr(os, "name", "nt")
        with output.stdout_errors():
            raise OSError(errno.EINVAL, "Invalid argument")
    assert output.reader_is_gone()
    output.expect_reader()


def test_letters_that_a_pipe_lacks_become_their_like() -> None:
    output.register_plain()
    assert "happy → sad, 1–2 …".encode("ascii", output.PLAIN) == b"happy -> sad, 1-2 ..."
    assert "→笑→\udce4".encode("cp1252", output.PLAIN) == b"->\\u7b11->\\udce4"
    with pytest.raises(UnicodeDecodeError):
        codecs.decode(b"\xff", "utf-8", output.PLAIN)


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_status_bytes", lambda _: None)
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(sys, "platform", "win32")
    assert worker.peak_bytes() is None


# What the sources may not say. Each rule is tried on sentences of its own first.


def nodes_with_parents(tree: ast.AST) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    """Every node, and those it is in, innermost last."""
    queue: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(tree, ())]
    while queue:
        node, above = queue.pop()
        yield node, above
        queue += [(child, (*above, node)) for child in ast.iter_child_nodes(node)]


def is_guarded(above: tuple[ast.AST, ...], asked: str) -> bool:
    """Whether the innermost function around a node asks ``asked``, or which system it is on."""
    scopes = [one for one in above if isinstance(one, ast.FunctionDef)] or [above[0]]
    text = ast.unparse(scopes[-1])
    return asked in text or "sys.platform == 'win32'" in text


def posix_imports(tree: ast.AST) -> list[str]:
    """Modules that only POSIX has, where the import is no attempt, and their names imported by themselves."""
    found = []
    for node, above in nodes_with_parents(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = [node.module]
        elif isinstance(node, ast.ImportFrom) and node.module in NAMES:
            names = [f"{node.module}.{one.name}" for one in node.names if one.name in NAMES[node.module]]
        else:
            continue
        found += [] if is_guarded(above, "except ImportError") else names
    return found


def posix_names(tree: ast.AST) -> list[str]:
    """Names that only POSIX has, where nobody asks ``hasattr`` for them."""
    return [
        ast.unparse(node)
        for node, above in nodes_with_parents(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in NAMES.get(ast.unparse(node.value), ())
        and not is_guarded(above, f"hasattr({ast.unparse(node.value)}, '{node.attr}')")
    ]


ENCODING_AT = {"read_text": 0, "write_text": 1, "TextIOWrapper": 1}
"""Methods and functions of text, and the place of their argument ``encoding``."""
NOT_TEXT = ("Image.open", "tarfile.open", "zipfile.open", "os.open")
PROCESSES = ("run", "Popen", "check_output")


def texts_without_encoding(tree: ast.AST) -> list[str]:
    """Calls that read or write text in whatever encoding the system prefers."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if is_text_without_encoding(call)]


def is_text_without_encoding(call: ast.Call) -> bool:
    name, given = ast.unparse(call.func), {one.arg: one.value for one in call.keywords}
    last = name.rpartition(".")[2]
    if "encoding" in given or name in NOT_TEXT or name.endswith(("av.open", "archive.open")):  # media, entries of a zip
        return False
    if last in ENCODING_AT:  # write_text(path, text) of fer_edge.files passes, too, as it should
        return len(call.args) <= ENCODING_AT[last]
    if last in ("open", "fdopen"):
        at = 1 if name == "open" or last == "fdopen" else 0  # path.open(mode) has no path before it
        mode = given.get("mode", call.args[at] if len(call.args) > at else None)
        return not (isinstance(mode, ast.Constant) and "b" in str(mode.value))
    return name.startswith("subprocess.") and last in PROCESSES and bool({"text", "universal_newlines"} & set(given))


@pytest.mark.parametrize(
    ("rule", "wrong", "right"),
    [
        (posix_imports, "import fcntl", "try:\n    import fcntl\nexcept ImportError:\n    fcntl = None"),
        (posix_imports, "def f():\n    from resource import getrusage", "import json, signal"),
        (posix_imports, "from os import fork", "from os import replace"),
        (
            posix_names,
            "def f():\n    return os.sched_getaffinity(0)",
            "def f():\n    return os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity') else 1",
        ),
        (posix_names, "STOP = signal.SIGKILL", "STOP = signal.SIGTERM"),
        (texts_without_encoding, "open(path)", "open(path, 'rb')"),
        (texts_without_encoding, "path.open('w')", "path.open('wb')"),
        (texts_without_encoding, "os.fdopen(1, 'w')", "os.fdopen(1, 'w', encoding='utf-8')"),
        (texts_without_encoding, "path.read_text()", "path.read_text(encoding='utf-8')"),
        (texts_without_encoding, "path.write_text(text)", "write_text(path, text)"),
        (texts_without_encoding, "subprocess.run(words, text=True)", "subprocess.run(words, encoding='utf-8')"),
    ],
)
def test_rules_find_what_they_are_for(rule: Callable[[ast.AST], list[str]], wrong: str, right: str) -> None:
    assert len(rule(ast.parse(wrong))) == 1
    assert rule(ast.parse(right)) == []


@pytest.mark.parametrize("rule", [posix_imports, posix_names, texts_without_encoding])
def test_the_sources_need_no_posix_and_say_their_encoding(rule: Callable[[ast.AST], list[str]]) -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), one)
        for path in SOURCES
        for one in rule(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()
