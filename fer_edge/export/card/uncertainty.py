"""The section of a model card that says when the model is silent."""

import re

from fer_edge.export.card.tables import markdown_table, plain
from fer_edge.uncertainty import Uncertainty

TITLE = "## When it is silent"
_BEFORE = "## Limits"


def with_uncertainty(card: str, uncertainty: Uncertainty) -> str:
    """The text of a card with this section in the place of an earlier one, or before its limits."""
    card = re.sub(rf"^{TITLE}\n.*?(?=^## |\Z)", "", card, flags=re.MULTILINE | re.DOTALL)
    start, limits, rest = card.partition(f"\n{_BEFORE}\n")
    section = f"{TITLE}\n\n{_text(uncertainty)}\n"
    return f"{start}\n{section}{limits}{rest}" if limits else f"{card.rstrip()}\n\n{section}"


def _text(uncertainty: Uncertainty) -> str:
    faces = uncertainty.checked_faces
    risks = [
        (
            f"{one.max_risk:.0%}",
            "none found: never certain" if one.threshold is None else f"{one.threshold:.3f}",
            f"{one.checked_answers / faces:.1%}",
            f"{one.checked_mistakes / one.checked_answers:.1%}" if one.checked_answers else "",
        )
        for one in uncertainty.risks
    ]
    sets = [
        (
            one.method.upper(),
            f"{one.coverage:.0%}",
            f"{one.checked_covered / faces:.1%}",
            f"{one.mean_size:.2f}",
            ", ".join(
                f"{plain(name)} {covered / number:.0%}" for name, (number, covered) in one.classes.items() if number
            ),
        )
        for one in uncertainty.sets
    ]
    return "\n\n".join(
        [
            f"Calibrated on {uncertainty.temperature_faces + uncertainty.threshold_faces} faces of "
            f"{plain(uncertainty.data_source)} ({uncertainty.split}) and measured on {faces} others of them, by this "
            f"very file's answers. Temperature {uncertainty.temperature:.3f}; calibration error "
            f"{uncertainty.calibration_error:.4f} before it, {uncertainty.calibration_error_at_temperature:.4f} after.",
            f"Certain answers: each risk is kept with a confidence of {uncertainty.confidence_level:.0%}, for faces "
            "like those.",
            markdown_table(
                ("at most wrong", "confidence above", "of the faces answered", "of these wrong"), risks, range(4)
            ),
            "Candidates: the labels among which the right one is.",
            markdown_table(("sets", "asked", "found", "mean size", "found by class"), sets, (1, 2, 3)),
        ]
    )
