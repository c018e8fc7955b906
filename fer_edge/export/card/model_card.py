"""The model card for people: what a model is, how to call it, how good it is, and what it must not be used for.

Its sections follow Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from fer_edge.data.sample import is_sample
from fer_edge.export.card.contract import contract_table
from fer_edge.export.card.snippets import snippets
from fer_edge.export.card.tables import markdown_table, plain
from fer_edge.export.formats.registry import format_named
from fer_edge.export.parity.comparison import Parity
from fer_edge.export.quantization.report import QuantisationReport
from fer_edge.labels import BUILT_IN, FER2013
from fer_edge.metadata import FACES, NORMALISED, SATURATES, ModelMetadata
from fer_edge.runtime.saturation import FULL_PRECISION

_LIMITS = """\
* **An expression is not a feeling.** The model names what a face seems to show. People smile when they are
  embarrassed and scowl when they concentrate, and names of expressions fit some cultures and faces better than others
  (Barrett et al. 2019, "Emotional Expressions Reconsidered").
* **It expects one face**, upright, cropped to head and chin. It does not find faces, and gives
  probabilities for a photo of a teapot too.
* **Probabilities are not calibrated** for your camera and light. Choose thresholds on your own images."""

_PHOTOGRAPHED = """\
* **Its labels are opinions.** FER-2013's come from one quick judgement an image; people agree with them on about
  two images in three (Goodfellow et al. 2013). Classes that are rare in the training faces are those it is least
  sure of.
* **It has not been audited for bias.** The training images were collected by web search and carry no record of
  age, skin colour, or gender; expect uneven accuracy, worst for groups that are rare on the web. Measure on your
  own users first."""
"""Of models that are trained on FER-2013's photographs."""

_PHOTOGRAPHED_ELSEWHERE = """\
* **Its labels are opinions**, and only as good as the people who gave them. Classes that are rare in the training faces
  are those it is least sure of.
* **It has not been audited for bias.** Expect uneven accuracy, worst for groups that are rare in the training faces.
  Measure on your own users first."""

_MISUSE = """\
Do not use it to decide about people: hiring, grading, policing, border control, insurance, credit, medical or
psychiatric assessment, lie detection, or watching workers, pupils or customers without their informed consent. In
the European Union, inferring emotions at work and in education is prohibited (Regulation (EU) 2024/1689, Article
5(1)(f)), and other emotion recognition must be disclosed to the people it is used on (Article 50(3)). Good uses
let people see and switch off what is inferred: games, avatars, accessibility aids, art, teaching."""


def model_card_markdown(
    metadata: ModelMetadata,
    file_name: str,
    size: int,
    sha256: str,
    parity: Parity,
    quantisation: QuantisationReport | None = None,
) -> str:
    """The text of ``NAME.md`` for the model ``file_name`` of ``size`` bytes."""
    sections = [
        f"# {metadata.name}",
        _summary(metadata, file_name, size),
        "## Input and output",
        contract_table(metadata),
        _input_note(metadata),
        *_processors(metadata),
        "## How to call it",
        *(f"### {title}\n\n```{language}\n{code}```" for title, language, code in snippets(metadata, file_name)),
        "## Trained on",
        _training(metadata),
        "## How good it is",
        _accuracy(metadata, parity, quantisation),
        "## Limits",
        _limits(metadata),
        "## Misuse",
        _MISUSE,
        "## The file",
        _file_facts(metadata, file_name, size, sha256),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(metadata: ModelMetadata, file_name: str, size: int) -> str:
    settings = "".join(f", {key} {value}" for key, value in metadata.settings.items())
    untried = format_named(metadata.format).untried
    return (
        f"`{file_name}` ({size / 1e6:.1f} MB, {metadata.precision}) looks at one face and says how probable each of "
        f"{len(metadata.labels)} classes is: {', '.join(map(plain, metadata.labels))}. It is a "
        f"{metadata.architecture} network{settings} for grey faces of "
        f"{metadata.image_size}x{metadata.image_size} pixels, exported by fer_edge {metadata.versions['fer_edge']}."
        f"{f' **{untried}**' if untried else ''}"
    )


def _processors(metadata: ModelMetadata) -> list[str]:
    """On which processors an 8-bit model answers right; nothing for others, which do on all."""
    if metadata.precision != "int8":
        return []
    if (metadata.quantisation or {}).get(SATURATES) is False:
        text = "Every processor: its runtime adds 8-bit products in 32 bits."
    elif not metadata.may_saturate:
        text = (
            "Every processor: its weights have 7 bits, so that sums of 8-bit products fit into 16 bits also on x86 "
            "without VNNI (most processors before 2020)."
        )
    else:
        meant_for = (metadata.quantisation or {}).get("meant_for", "processors with 8-bit dot products")
        text = (
            f"It is meant for {meant_for}. On x86 without VNNI (most processors before 2020) sums of 8-bit products "
            f'overflow and about one label in eight changes, unless the session option `{FULL_PRECISION}` is "1" '
            "(about half as fast). fer_edge's runtime measures and sets it; with plain onnxruntime you have to. "
            "`export --target portable` makes a file without this limit."
        )
    tried = (metadata.devices or {}).get("rows", [])
    if not tried:
        return ["## Processors", text]
    rows = [
        (
            plain(str(row["device"])),
            str(row["outcome"]),
            "" if row["max_logit_difference"] is None else f"{row['max_logit_difference']:.2g}",
            "" if row["labels_changed"] is None else f"{row['labels_changed']} of {row['images']}",
            str(row["onnxruntime"]),
        )
        for row in tried
    ]
    table = markdown_table(("golden answers on", "result", "logits differ by", "labels changed", "onnxruntime"), rows)
    return ["## Processors", text, table]


def _input_note(metadata: ModelMetadata) -> str:
    if metadata.input.kind == NORMALISED:
        return (
            "Prepare each face exactly as it was in training: grey = 0.299 R + 0.587 G + 0.114 B, resized to "
            f"{metadata.image_size}x{metadata.image_size} **with antialiasing**, then "
            f"`(grey / 255 - {metadata.mean!r}) / {metadata.std!r}`. A mistake here costs accuracy without an "
            "error; the same model without `--raw` does these steps itself."
        )
    if metadata.input.kind == FACES:
        return (
            "Hand over one channel of the face, 0-255: grey = 0.299 R + 0.587 G + 0.114 B, resized to "
            f"{metadata.image_size}x{metadata.image_size} **with antialiasing**, rounded to whole numbers. "
            f"Normalisation (mean {metadata.mean:.4f}, std {metadata.std:.4f}) is inside the model. A face "
            "resized without antialiasing costs accuracy without an error."
        )
    *others, last = (str(count) for count in metadata.input.channels)
    channels = f"{', '.join(others)} or {last}" if others else last
    largest = metadata.input.max_side
    sizes = "of any height and width" if largest is None else f"of 1 to {largest} rows and columns"
    return (
        f"Hand over raw pixels, 0-255, {sizes}, with {channels} channels. Grey conversion, antialiased "
        f"resize to {metadata.image_size}x{metadata.image_size} and normalisation (mean {metadata.mean:.4f}, "
        f"std {metadata.std:.4f}) are inside the model."
    )


def _training(metadata: ModelMetadata) -> str:
    data = metadata.training_data
    origin = f"{data.name}, read from " if data.name else ""
    source = f"The training faces were {origin}`{data.source}` (fingerprint `{data.fingerprint[:16]}...`)."
    if data.starting_weights:
        source += f" Starting weights: {plain(data.starting_weights)}."
    if _is_synthetic(metadata):
        source += (
            " **These faces are synthetic, drawn by code, not photographed: the model is a demonstration, not for real "
            "use.**"
        )
    if data.classes:
        rows = [(plain(name), f"{count:,}") for name, count in data.classes.items()]
        source += "\n\n" + markdown_table(("class", "training faces"), rows, right=(1,))
        unseen = [plain(name) for name, count in data.classes.items() if not count]
        if unseen:
            source += f"\n\n**Never seen in training: {', '.join(unseen)}.**"
    return source


def _is_synthetic(metadata: ModelMetadata) -> bool:
    return is_sample(metadata.training_data.source)


def _limits(metadata: ModelMetadata) -> str:
    if _is_synthetic(metadata):
        return _LIMITS
    data = metadata.training_data
    # Metadata from before the name was kept: models with a built-in label set were trained on FER-2013.
    is_fer2013 = data.name == FER2013.dataset if data.classes else metadata.label_set.name in BUILT_IN
    return f"{_LIMITS}\n{_PHOTOGRAPHED if is_fer2013 else _PHOTOGRAPHED_ELSEWHERE}"


def _accuracy(metadata: ModelMetadata, parity: Parity, quantisation: QuantisationReport | None) -> str:
    parts = []
    rows = [
        (split, name, _figure(value))
        for split, metrics in metadata.metrics.items()
        for name, value in metrics.items()
        if isinstance(value, int | float)
    ]
    if rows:
        parts.append(markdown_table(("split", "metric", "value"), rows, right=(2,)))
        notes = {metrics["measured_on"] for metrics in metadata.metrics.values() if "measured_on" in metrics}
        parts += [f"Measured on {note}." for note in sorted(notes)]
    else:
        parts.append("The checkpoint was not measured.")
    if parity.accuracy is not None:
        pair = parity.accuracy
        parts.append(
            f"On the {pair.faces} validation faces of `{pair.source}`: checkpoint {pair.checkpoint:.2%}, this file "
            f"{pair.model:.2%}; they name {pair.disagreement:.2%} of the faces differently."
        )
    if quantisation is not None:
        parts.append(quantisation.markdown())
    parts.append(
        f"Parity with its checkpoint, from image files on: largest difference of a probability "
        f"{parity.max_probability_difference:.2g} (allowed {parity.tolerance.max_probability_difference:g}), same "
        f"class for {parity.top1_agreement:.2%} of decided images, SQNR at least {parity.sqnr_db:.0f} dB."
    )
    return "\n\n".join(parts)


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _file_facts(metadata: ModelMetadata, file_name: str, size: int, sha256: str) -> str:
    rows = [
        ("file", f"`{file_name}`, {size} bytes"),
        ("SHA-256 of the file", f"`{sha256}`"),
        ("SHA-256 of its content", f"`{metadata.content_sha256}` (with the digits of this very entry zero)"),
        ("format", metadata.format),
        ("made", metadata.created),
        ("made with", ", ".join(f"{package} {release}" for package, release in metadata.versions.items())),
    ]
    if metadata.opset is not None:
        rows.insert(4, ("opset, IR version", f"{metadata.opset}, {metadata.ir_version}"))
        rows.insert(5, ("needs", f"onnxruntime {metadata.minimum_onnxruntime} or newer"))
    return markdown_table(("", ""), rows)
