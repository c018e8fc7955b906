"""The claim that the files are those that were written: nothing changed, nothing missing, nothing beside."""

import msgspec

from fer_edge.evidence.archive import files_below
from fer_edge.evidence.claims import CLAIMS, Claim, Outcome, Result, converted, wrong_words
from fer_edge.evidence.contents import MANIFEST, SIGNATURE, Contents, file_entry
from fer_edge.evidence.kinds import Here
from fer_edge.text import listed, printable


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its figures."""

    model: str
    """SHA-256 of the model."""
    files: int
    """Files of the bundle, but for manifest, claims and signature."""

    @property
    def sentence(self) -> str:
        """The claim for people."""
        return f"The bundle holds {self.files} files as {MANIFEST} lists them; the model's SHA-256 is {self.model}."

    @property
    def short(self) -> str:
        """The claim in a few words."""
        return f"{self.files} files, model {self.model[:12]}"


def measure(model_sha256: str, num_files: int) -> Claim:
    """The claim of a bundle that holds ``num_files`` beside manifest, claims and signature."""
    value = Value(model_sha256, num_files)
    return Claim(
        id="integrity",
        kind="integrity",
        sentence=value.sentence,
        value=msgspec.to_builtins(value),
        allowed={},
        reason="copies are the same to the bit",
        measured="SHA-256 of every file",
        samples=MANIFEST,
    )


def recheck(claim: Claim, here: Here) -> Result:
    """Hash every file again. A hash says that nothing changed since it was written, not who wrote it."""
    value = converted(claim.value, Value, f"{CLAIMS}: {claim.id}")
    problems = differences(here.contents)
    model, expected = here.contents.manifest.model_sha256, value.model
    if model != expected:
        problems.append(f"expected the model {printable(expected)[:12]}, found {printable(model)[:12]} in {MANIFEST}")
    counted = sum(entry.path != CLAIMS for entry in here.contents.manifest.files)
    if counted != value.files:
        problems.append(f"expected {value.files} files, found {counted} in {MANIFEST}")
    if problem := wrong_words(claim, value.sentence):
        problems.append(problem)
    outcome: Outcome = "failed" if problems else "passed"
    found = f"{len(problems)} differ" if problems else "the same"
    return Result(claim.id, outcome, value.short, found, listed(problems, 3), {"problems": problems})


def differences(contents: Contents) -> list[str]:
    """How the files differ from the manifest, one text each."""
    expected = {entry.path: entry for entry in contents.manifest.files}
    there = [name for name in files_below(contents.folder) if name not in (MANIFEST, SIGNATURE)]
    problems = [f"{printable(name)[:100]} is missing" for name in expected if name not in there]
    for name in there:
        if name not in expected:
            problems.append(f"{printable(name)} is not listed")
        elif file_entry(contents.folder, name) != expected[name]:
            problems.append(f"{printable(name)} was changed")
    return problems
