"""``webcam``: the expression of every face a camera sees, live, or of those in a video file."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.named import MODEL_HELP, complete_model, model_named
from fer_edge.cli.stopping import signal_behind
from fer_edge.errors import Interrupted, UsageError, VideoError
from fer_edge.files import file_identity
from fer_edge.text import shown_name

if TYPE_CHECKING:
    from fer_edge.video.analysis import AnalysedFrame, VideoSummary
    from fer_edge.video.recording import TableFile, VideoFile
    from fer_edge.video.window import Window


def webcam(
    video: Annotated[
        str | None,
        typer.Argument(
            metavar="[VIDEO]",
            help="A video file, the address of a stream (rtsp://...), or /dev/videoN. [default: the camera]",
            show_default=False,
        ),
    ] = None,
    camera: Annotated[int, typer.Option(min=0, max=99, help="Which camera, where there are several.")] = 0,
    model: Annotated[
        Path | None,
        typer.Option(help=f"An .onnx or .ort model; {MODEL_HELP}", show_default=False, autocompletion=complete_model),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the annotated video to this .mp4 file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every face of every frame to this CSV file.")] = None,
    window: Annotated[
        bool | None,
        typer.Option(
            help="Show a window; q or Escape closes it. [default: yes, but not for a VIDEO with --out or --csv]",
            show_default=False,
        ),
    ] = None,
    smoothing: Annotated[
        float, typer.Option(min=0.0, max=0.99, help="How much of the last frame's box and answer is kept; 0: nothing.")
    ] = 0.5,
    frames: Annotated[int, typer.Option(min=0, help="Stop after so many frames; 0: at the end.")] = 0,
    reconnect: Annotated[
        float,
        typer.Option(min=0, max=86400, help="Try a lost camera or stream again for so many seconds; 0: end with it."),
    ] = 30.0,
    margin: Annotated[
        float, typer.Option(min=0.5, max=3.0, help="Side of a face's crop over the longer side of its box.")
    ] = 1.0,
    align: Annotated[bool, typer.Option("--align", help="Turn each found face until its eyes are level.")] = False,
    max_side: Annotated[
        int, typer.Option(min=32, max=4096, help="Search frames at this many pixels; more finds smaller faces.")
    ] = 320,
    min_score: Annotated[float, typer.Option(min=0.01, max=1.0, help="Leave out faces found less surely.")] = 0.7,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    threads: Annotated[int, typer.Option(min=0, max=256, help="Threads inside an operator; 0: as many as cores.")] = 0,
) -> None:
    """Name the expression of every face before the camera, in a stream or in a video file. Ctrl-C finishes the files.

    Needs the extra 'video' (PyAV).

    Example: `fer-edge webcam`

    Example: `fer-edge webcam rtsp://user:password@192.168.1.20/stream`

    Example: `fer-edge webcam party.mp4 --out result.mp4 --csv faces.csv`
    """
    from fer_edge.video.address import source_named

    chosen = camera if video is None else source_named(video)
    file = chosen if isinstance(chosen, Path) else None
    for name, path in (("--out", out), ("--csv", csv)):
        if path is not None and file is not None and file_identity(path) == file_identity(file):
            raise UsageError(f"{name} {path}: expected another file than the video itself; choose another name")
    if out is not None and csv is not None and file_identity(out) == file_identity(csv):
        raise UsageError(f"--out {out}: expected another file than that of --csv; choose another name")
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.crops import Framing
    from fer_edge.runtime.detector import FaceDetector
    from fer_edge.runtime.photos import DETECT, FaceSearch
    from fer_edge.video.analysis import VideoSummary, analyse
    from fer_edge.video.live import LiveSource
    from fer_edge.video.source import VideoSource
    from fer_edge.video.tracks import Tracker

    detector = FaceDetector(min_score=min_score, max_side=max_side, threads=threads)
    search = FaceSearch(DETECT, Framing(margin=margin, align=align), detector)
    classifier = Classifier.load(model_named(model), threads=threads)
    tracker = Tracker(smoothing, classifier.certainty)
    summary = VideoSummary(classifier.labels)
    opened = (
        VideoSource(chosen) if isinstance(chosen, Path) else LiveSource(chosen, reconnect_s=reconnect, note=output.note)
    )
    with opened as source, ExitStack() as stack:
        shows = window if window is not None else video is None or (out is None and csv is None)
        sound = None if file is None else (file, source.start_s)
        sinks = _Sinks(
            stack, source.name, source.frames_per_s, sound, out=out, csv=csv, labels=classifier.labels, shows=shows
        )
        output.note(f"model {shown_name(classifier.path)} on {source.name}; Ctrl-C ends it")
        stopped_by: int | None = None
        start = time.perf_counter()
        try:
            for analysed in analyse(source, classifier, search, tracker):
                summary.add(analysed)
                if not sinks.take(analysed) or summary.num_frames == frames:
                    break
        except KeyboardInterrupt as stop:
            stopped_by = signal_behind(stop)
        summary.seconds = time.perf_counter() - start
        written = sinks.finish() if summary.num_frames else []
    if as_json:
        told = {"source": source.name, "model": str(classifier.path), **summary.as_dict()}
        output.result_json(told | ({"problem": source.problem} if source.problem else {}))
    else:
        output.result(_told(source.name, summary))
    output.wrote(*written)
    if stopped_by is not None:
        raise Interrupted(f"interrupted after {summary.num_frames} frames; what was done is written", stopped_by)
    if source.problem is not None:
        raise VideoError(f"{source.name}: {source.problem}; what could be read is scored")


class _Sinks:
    """Where the frames go: window, video file, table, each only where asked for. What is not finished is discarded."""

    _window: "Window | None" = None
    _video: "VideoFile | None" = None
    _table: "TableFile | None" = None

    def __init__(
        self,
        stack: ExitStack,
        title: str,
        frames_per_s: float,
        sound: tuple[Path, float] | None,
        *,
        out: Path | None,
        csv: Path | None,
        labels: tuple[str, ...],
        shows: bool,
    ) -> None:
        if shows:
            from fer_edge.video.window import Window

            self._window = Window(title)
            stack.callback(self._window.close)
        if out is not None or csv is not None:
            from fer_edge.video.recording import TableFile, VideoFile

            if out is not None:
                self._video = VideoFile(out, frames_per_s, sound=sound)
                stack.callback(self._video.discard)
            if csv is not None:
                self._table = TableFile(csv, labels)
                stack.callback(self._table.discard)

    def take(self, analysed: "AnalysedFrame") -> bool:
        """Show and write one frame; False when the window was closed."""
        if self._table is not None:
            self._table.write(analysed.frame, analysed.tracks)
        if self._window is None and self._video is None:
            return True
        picture = analysed.picture()
        if self._video is not None:
            self._video.write(picture, analysed.frame.time_s)
        if self._window is not None:
            self._window.show(picture)
        return self._window is None or self._window.is_open

    def finish(self) -> list[Path]:
        """Put the files in their places; their paths."""
        files = [file for file in (self._video, self._table) if file is not None]
        for file in files:
            file.finish()
        return [file.path for file in files]


def _told(name: str, summary: "VideoSummary") -> str:
    total = sum(summary.label_counts.values())
    shares = ", ".join(f"{label} {count / total:.0%}" for label, count in summary.label_counts.most_common())
    faces = f"{summary.num_faces} face{'s' * (summary.num_faces != 1)}" if total else "no face found"
    return f"{name}: {summary.num_frames} frames, {summary.frames_per_s:.1f} frames/s, {faces}" + (
        f" in {summary.num_frames_with_face} frames: {shares}" if total else ""
    )
