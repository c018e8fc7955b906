import pytest
from made_results import ENVIRONMENT

from fer_edge.benchmark import machine
from fer_edge.benchmark.machine import cpu_flags, describe_environment, noise_in

X86 = "processor\t: 0\nmodel name\t: AMD EPYC 9R14\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd asimddp i8mm\n"


def test_flags_are_read_from_cpuinfo_of_both_kinds():
    assert {"avx2", "avx512_vnni"} <= cpu_flags(X86)
    assert cpu_flags(ARM) == {"fp", "asimd", "asimddp", "i8mm"}
    assert cpu_flags("") == frozenset()


def test_the_environment_names_what_figures_depend_on():
    found = describe_environment()
    assert found["cpu"]
    assert found["cores_available"] >= 1
    assert {"numpy", "onnxruntime", "pillow"} <= set(found["packages"])
    assert found["python"].startswith("3.")
    assert found.keys() == ENVIRONMENT.keys()


def test_the_environment_is_described_where_the_system_tells_nothing(monkeypatch):
    monkeypatch.setattr(machine, "_text", lambda path: "")
    monkeypatch.setattr(machine, "_output", lambda *command: None)
    found = describe_environment("cuda")
    assert (found["memory_bytes"], found["busy_cores"], found["governor"], found["git_commit"]) == (None,) * 4
    assert found["cpu"]
    assert not noise_in({**found, "load_average": None})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"busy_cores": 1.5}, ["noisy machine: other processes kept 1.5 of 2 cores busy at the start"]),
        ({"load_average": [3.0, 1, 1]}, ["noisy machine: the load average at the start was 3.0 on 2 cores"]),
        (
            {"governor": "powersave"},
            ["the CPU governor is 'powersave': its clock follows the load; 'performance' is steadier"],
        ),
        ({"busy_cores": None, "load_average": None, "governor": None}, []),
    ],
)
def test_noise_is_said_with_its_figure(change, said):
    assert noise_in({**ENVIRONMENT, **change}) == said
