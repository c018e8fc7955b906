"""The tables of formats, in the README and on the page of formats, are what the registry says."""

import re
from pathlib import Path

import pytest

from fer_edge.export.formats.registry import all_formats

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/deployment/formats.md"])
def test_each_format_has_its_row_with_its_files_and_precisions(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9]+)` \| (`\.[^|]*) \| ([^|]*) \|", text, re.MULTILINE)
    found = {
        name: (tuple(re.findall(r"`([^`]+)`", files)), tuple(precisions.split(", ")))
        for name, files, precisions in rows
    }
    models = {name: one for name, one in all_formats().items() if one.export is None}
    assert found == {name: (one.suffixes, one.precisions) for name, one in models.items()}
