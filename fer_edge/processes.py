"""Processes that end with the one that started them, and a process's own standard output.

A parent that is killed cannot tell its children to go: a child that runs this package calls ``end_with`` before
anything else; another program is started by the words of ``words_ending_here``. Stdlib only: what a child imports here
counts as its start.
"""

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Iterator, Sequence

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
"""Linux's prctl(2)."""
_SYNCHRONIZE = 0x00100000
"""Windows's right to wait for a process."""
_POLL_S = 0.5


def end_with(pid: int) -> None:
    """End this process, whatever it does, as soon as the process ``pid``, which started it, has ended.

    A thread waits for that. Only Linux also ends a process whose native code keeps the interpreter to itself, by
    asking the kernel, which takes the end of the *thread* that started this process for the end of its parent.
    """
    threading.Thread(target=_end_after, args=(pid,), name="end-with-parent", daemon=True).start()
    _ask_the_kernel()


def words_ending_here(words: Sequence[str]) -> list[str]:
    """``words``, the command of another program, such that it ends with the thread that starts it, killed or not.

    Under Linux only; elsewhere ``words`` as they are. The process keeps its id: killing it kills the program.
    """
    if sys.platform != "linux" or not sys.executable:
        return list(words)
    # Isolated and without site-packages: it starts in hundredths of a second, whatever the program's environment says.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *words]


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send to stderr what this process writes to stdout inside the block, libraries' native code too.

    For libraries that greet or complain on stdout, where ``--json`` is.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _end_after(pid: int) -> None:
    with contextlib.suppress(OSError):  # it is gone already
        _wait_for(pid)
    os._exit(1)


def _wait_for(pid: int) -> None:
    """Return when the process ``pid`` has ended. Raises OSError where there is none."""
    if sys.platform == "win32":
        import _winapi

        _winapi.WaitForSingleObject(_winapi.OpenProcess(_SYNCHRONIZE, False, pid), _winapi.INFINITE)
    elif sys.platform == "linux":
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            raise
        except (OSError, AttributeError):  # a kernel before 5.3, a sandbox, or a Python built without it
            parent = os.getppid()
            while os.getppid() == parent:
                time.sleep(_POLL_S)
        else:
            waiting = select.poll()
            waiting.register(process, select.POLLIN)
            waiting.poll()
    else:
        ended = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        select.kqueue().control([ended], 1)


def _ask_the_kernel() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(ImportError, OSError, AttributeError):  # the thread is enough for most
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def _become(pid: int, words: list[str]) -> None:
    """Turn into the program ``words``, unless the process ``pid`` has ended already."""
    _ask_the_kernel()
    try:
        os.kill(pid, 0)
        os.execvp(words[0], words)
    except OSError as error:
        print(f"{words[0]} cannot be run: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
