"""The table of a model card that says what goes in and what comes out."""

from fer_edge.export.card.tables import markdown_table
from fer_edge.metadata import ModelMetadata, TensorContract
from fer_edge.runtime.certainty import Certainty
from fer_edge.uncertainty import CALIBRATED_PROBABILITIES, CANDIDATES, IS_CERTAIN


def contract_table(metadata: ModelMetadata) -> str:
    """One row a tensor, in Markdown."""

    def row(role: str, tensor: TensorContract, meaning: str) -> tuple[str, ...]:
        shape = ", ".join(str(dimension) for dimension in tensor.shape)
        return role, f"`{tensor.name}`", tensor.dtype, f"({shape})", meaning

    order = "one a label, in the order above"
    meanings = {"probabilities": f"sum to 1; {order}", "logits": f"before the softmax; {order}"}
    if metadata.answers != metadata.outputs:
        assert metadata.uncertainty is not None  # nothing else adds outputs
        max_risk = Certainty.of(metadata.uncertainty).max_risk
        meanings |= {
            CALIBRATED_PROBABILITIES: f"at the temperature of the calibration; {order}",
            IS_CERTAIN: f"whether the answer is one of those of which at most {max_risk:.0%} are wrong",
            CANDIDATES: f"whether the label may be the right one; {order}",
        }
    rows = [row("input", metadata.input, metadata.input.colour)]
    rows += [row("output", tensor, meanings[tensor.name]) for tensor in metadata.outputs]
    return markdown_table(("", "name", "type", "shape", "meaning"), rows)
