"""Uncertainty: what a model's metadata say of when it should be silent (``ModelMetadata.uncertainty``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

LAC, APS = "lac", "aps"
METHODS = (LAC, APS)
"""Of prediction sets, see ``fer_edge.runtime.certainty``; the first is what ``Prediction.candidates`` are by."""

DEFAULT_MAX_RISK = 0.1
"""Of the answers that are called certain, unless somebody asks for another."""

CALIBRATED_PROBABILITIES, IS_CERTAIN, CANDIDATES = "calibrated_probabilities", "is_certain", "candidates"
CERTAINTY_OUTPUTS = (CALIBRATED_PROBABILITIES, IS_CERTAIN, CANDIDATES)
"""Names of the outputs by which a calibrated ONNX graph says it itself."""

Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
OpenShare = Annotated[float, Meta(gt=0, lt=1, description="a number between 0 and 1")]
Count = Annotated[int, Meta(ge=0, description="an integer of 0 or more")]
Temperature = Annotated[float, Meta(gt=0, le=1000, description="a number above 0")]
Score = Annotated[float, Meta(ge=0, le=2, description="a number from 0 to 2")]
Method = Annotated[str, Meta(pattern=rf"\A({'|'.join(METHODS)})\Z", description=f"one of {', '.join(METHODS)}")]
Words = Annotated[str, Meta(description="text")]


@dataclass(frozen=True)
class RiskThreshold:
    """From which confidence on at most ``max_risk`` of the answers are wrong."""

    max_risk: OpenShare
    threshold: Share | None
    """An answer is certain where its confidence at the temperature is above it. None where no threshold could be shown
    to keep the risk: then no answer is certain."""
    checked_answers: Count
    """How many of the faces that had no part in the choice are answered."""
    checked_mistakes: Count
    """How many of those answers are wrong."""


@dataclass(frozen=True)
class PredictionSets:
    """Which score a class may have at most to be a candidate."""

    method: Method
    coverage: OpenShare
    """How often the true class is among the candidates, on average over all faces."""
    threshold: Score
    checked_covered: Count
    """Of the faces that had no part in the choice: those whose class is among the candidates."""
    mean_size: Annotated[float, Meta(ge=0, description="a number of 0 or more")]
    """Mean number of candidates of these faces."""
    classes: Annotated[Mapping[str, tuple[Count, Count]], Meta(description="an object")]
    """The same by class: how many of these faces have it, and how many of them are covered."""


@dataclass(frozen=True)
class Uncertainty:
    """Fitted on one model file's own answers to labelled faces that it was not trained on."""

    temperature: Temperature
    """Divides the logits before the softmax."""
    confidence_level: OpenShare
    """Each ``max_risk`` holds in at least this share of all draws of the faces that its threshold was chosen on."""
    risks: Annotated[tuple[RiskThreshold, ...], Meta(min_length=1, description="a list of objects")]
    """Strictest first. Ask for one before you look: the level is that of each by itself."""
    sets: Annotated[tuple[PredictionSets, ...], Meta(min_length=1, description="a list of objects")]
    data_source: Words
    data_fingerprint: Words
    split: Words
    seed: Count
    """Decides which faces had which part."""
    temperature_faces: Count
    threshold_faces: Count
    checked_faces: Count
    calibration_error: Share
    """Of the checked faces, before the temperature."""
    calibration_error_at_temperature: Share
    created: Words
    """ISO 8601 date and time."""

    def risk(self, max_risk: float) -> RiskThreshold | None:
        """The loosest threshold that keeps ``max_risk``; None where there is none so strict."""
        kept = [one for one in self.risks if one.max_risk <= max_risk + 1e-9]
        return max(kept, key=lambda one: one.max_risk, default=None)
