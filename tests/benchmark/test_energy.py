"""RAPL counters, as Linux shows them, in a folder of the test."""

import pytest

from fer_edge.benchmark.energy import EnergyMeter, package_counters, used_uj


def domain(root, folder, name, energy, most=1000):
    made = root / folder
    made.mkdir(parents=True)
    (made / "name").write_text(f"{name}\n")
    (made / "energy_uj").write_text(f"{energy}\n")
    (made / "max_energy_range_uj").write_text(f"{most}\n")
    return made


def test_packages_count_once_and_a_counter_that_starts_again_is_followed(tmp_path):
    """Package 0 goes from 900 over 1000 to 300, package 1 from 50 to 250: 400 + 200 µJ for 3 images."""
    first = domain(tmp_path, "intel-rapl:0", "package-0", 900)
    core = domain(tmp_path, "intel-rapl:0:0", "core", 1)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 50)
    platform = domain(tmp_path, "intel-rapl:2", "psys", 7)
    again = domain(tmp_path, "intel-rapl-mmio:0", "package-0", 5)
    meter = EnergyMeter(tmp_path)
    meter.start()
    for counter, energy in ((first, 300), (core, 800), (second, 250), (platform, 900), (again, 999)):
        (counter / "energy_uj").write_text(str(energy))
    energy = meter.stop(3)
    assert energy.joules_per_image == pytest.approx(600e-6 / 3)
    assert energy.in_words() == "0.0002 J an image (whole package)"
    assert energy.to_dict()["energy_not_measured"] is None


def test_used_energy():
    assert used_uj(10, 30, 1000) == 20
    assert used_uj(990, 5, 1000) == 15


def test_without_counters_it_says_so_and_never_zero(tmp_path):
    meter = EnergyMeter(tmp_path / "powercap")
    meter.start()
    energy = meter.stop(10)
    assert energy.joules_per_image is None
    assert energy.in_words() == f"not measured: no RAPL counter of a package in {tmp_path / 'powercap'}"


def test_without_permission_it_says_so(tmp_path, monkeypatch):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 900)
    monkeypatch.setattr(
        "fer_edge.benchmark.energy.Counter.read_uj",
        lambda one: (_ for _ in ()).throw(PermissionError(13, "Permission denied", str(one.folder / "energy_uj"))),
    )
    meter = EnergyMeter(tmp_path)
    meter.start()
    told = meter.stop(1).in_words()
    assert told.startswith(f"not measured: no permission to read {counter / 'energy_uj'} (Linux lets only root")


def test_counter_that_stands_still_or_breaks_is_no_zero(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", 900)
    meter = EnergyMeter(tmp_path)
    meter.start()
    assert meter.stop(5).in_words() == "not measured: the counters stood still"
    (counter / "energy_uj").write_text("nonsense")
    assert meter.stop(5).in_words().startswith("not measured: its counters cannot be read")
    (counter / "max_energy_range_uj").unlink()
    with pytest.raises(FileNotFoundError):
        package_counters(tmp_path)
    assert EnergyMeter(tmp_path).reason
