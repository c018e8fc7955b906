"""A run killed at random moments, again and again, ends with the very weights of one that was left alone."""

import subprocess
import sys

import pytest

NUM_KILLS = 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_at_random_moments_do_not_change_the_final_weights(repository, tmp_path):
    script = repository / "benchmarks" / "kill_and_resume.py"
    done = subprocess.run(
        [sys.executable, script, "--kills", str(NUM_KILLS), "--seed", "1", "--folder", tmp_path],
        capture_output=True,
        text=True,
        cwd=repository,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{NUM_KILLS} kills: final weights bit-identical" in done.stdout
