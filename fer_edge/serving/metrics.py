"""Prometheus metrics of a server, in a registry of their own."""

import time

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """What ``/metrics`` shows. Names end in their unit, as Prometheus asks
    (https://prometheus.io/docs/practices/naming/)."""

    def __init__(self, model: str) -> None:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

        self.media_type = CONTENT_TYPE_LATEST
        self._generate = generate_latest
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "fer_edge_requests", "Requests answered, by kind and status", ["kind", "code"], registry=registry
        )
        self._seconds = Histogram(
            "fer_edge_infer_seconds",
            "From an inference request's head to its answer",
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter("fer_edge_images", "Images scored", registry=registry)
        self._batches = Histogram("fer_edge_batch_images", "Images of a batch", buckets=_IMAGES, registry=registry)
        self._model_seconds = Histogram(
            "fer_edge_model_seconds", "The model's time for a batch", buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge("fer_edge_queue_images", "Images waiting or being scored", registry=registry)
        self._turned_away = Counter("fer_edge_busy", "Requests answered 503 because of a limit", registry=registry)
        info = Gauge("fer_edge_model_info", "1; the label is the model's name", ["model"], registry=registry)
        info.labels(model).set(1)
        self._counters: dict[tuple[str, int], Counter] = {}

    @staticmethod
    def now() -> float:
        """A clock in seconds."""
        return time.perf_counter()

    def answered(self, path: str, status: int, start: float) -> None:
        """A request to ``path`` that came at ``start`` was answered; ``status`` 0: its client went away before."""
        kind = "infer" if path.endswith("/infer") else "health" if path.startswith("/v2/health/") else "other"
        self._count(kind, status)
        if kind == "infer" and status == 200:
            self._seconds.observe(self.now() - start)

    def refused(self, status: int) -> None:
        """A request was refused before it was known what it asked for: malformed, too slow, one connection too many."""
        self._count("malformed", status)

    def _count(self, kind: str, status: int) -> None:
        counter = self._counters.get((kind, status))
        if counter is None:
            counter = self._counters[kind, status] = self._requests.labels(kind, str(status))
        counter.inc()

    def scored(self, images: int, seconds: float) -> None:
        """A batch was scored."""
        self._images.inc(images)
        self._batches.observe(images)
        self._model_seconds.observe(seconds)

    def waiting(self, images: int) -> None:
        """So many images are in the server."""
        self._waiting.set(images)

    def turned_away(self) -> None:
        """A request met a full server."""
        self._turned_away.inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        text: bytes = self._generate(self._registry)
        return text
