"""A format of two files and a backend that opens it, as another package would add them: importing this is all."""

from pathlib import Path

from fer_edge.backends import registry as backend_registry
from fer_edge.backends.contract import ModelBackend
from fer_edge.export.formats import registry as format_registry
from fer_edge.runtime.graph_session import graph_session
from fer_edge.runtime.model_file import read_any


class ToyBackend(ModelBackend):
    def __init__(self, model, session) -> None:
        super().__init__(model.path, model.metadata, model.sha256)
        self._session = session

    def execute(self, feed):
        names = [output.name for output in self.metadata.outputs]
        return dict(zip(names, self._session.run(names, {self.metadata.input.name: feed}), strict=True))

    def download(self, answer):
        return self.outputs_of(answer)


def load(path, *, threads=0, provider="cpu", precision=None, shape=None, trust=False) -> ToyBackend:
    model = read_any(path)
    return ToyBackend(model, graph_session(Path(path).with_suffix(".toybin").read_bytes(), threads=threads))


def write(source, metadata) -> dict[str, bytes]:
    return {".toy": b"toy 1\n", ".toybin": source.graph.SerializeToString()}


BACKEND = backend_registry.BackendEntry(
    name="toy-runtime", formats=("toy",), load=load, suffixes={"toy": ".toy"}, colour="#123456"
)
FORMAT = format_registry.ModelFormat(
    name="toy",
    summary="toy (for tests)",
    suffixes=(".toy", ".toybin"),
    write=write,
    precisions=("fp32", "fp16"),
    from_graph=True,
    embeds_metadata=False,
)

backend_registry.register(BACKEND)
format_registry.register(FORMAT)
