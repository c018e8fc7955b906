from fer_edge.runtime import machine


def test_the_processor_is_named_as_the_system_names_it(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9R14\nflags\t\t: fpu\n")
    monkeypatch.setattr(machine, "_CPUINFO", cpuinfo)
    assert machine.processor_name() == "AMD EPYC 9R14"
    assert machine.describe_machine("numpy").startswith("AMD EPYC 9R14, ")


def test_a_processor_that_the_system_does_not_name_has_at_least_its_architecture(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("Features\t: fp asimd\n")
    monkeypatch.setattr(machine, "_CPUINFO", cpuinfo)
    assert machine.processor_name()
