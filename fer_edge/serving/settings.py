"""What a server allows its clients: sizes, numbers, seconds."""

from dataclasses import dataclass, field

from fer_edge.errors import UsageError

MIN_TOKEN = 16
"""Characters of a token; a shorter one can be guessed."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Limits of a server. Raises UsageError for values that cannot be."""

    batch: int = 32
    """Images of one size that are scored together, at the most."""
    batch_deadline_ms: float = 0.0
    """How long an image waits for others to be scored with while the model is free. While it is busy they gather
    anyway."""
    queue: int = 256
    """Images that may be in the server, waiting or being scored; a request beyond them is answered 503."""
    max_body_bytes: int = 8 * 2**20
    """Of one request; above it 413."""
    max_held_bytes: int = 256 * 2**20
    """Of all bodies and pixels together that are held in memory; a request beyond them is answered 503."""
    max_pixels: int = 2**22
    """Of one image. A file or tensor of more is answered 400: its face would be a few pixels, or a cut was missed."""
    max_connections: int = 256
    """Open at a time; for one more, the one that has gone longest without a request is closed."""
    client_timeout_s: float = 10.0
    """For a client to send its whole request, to take the answer, or to send the next one."""
    shutdown_timeout_s: float = 30.0
    """After SIGTERM: what is under way then is cut off."""
    token: str | None = field(default=None, repr=False)
    """What clients send as ``Authorization: Bearer TOKEN``; None: anybody who reaches the port may ask."""

    def __post_init__(self) -> None:
        for name in ("batch", "queue", "max_body_bytes", "max_held_bytes", "max_pixels", "max_connections"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        for name in ("client_timeout_s", "shutdown_timeout_s"):
            if not 0 < getattr(self, name) <= 3600:
                raise UsageError(f"{name}: expected seconds above 0, up to 3600, found {getattr(self, name)}")
        if not 0 <= self.batch_deadline_ms <= 10_000:
            raise UsageError(f"batch_deadline_ms: expected 0 to 10000, found {self.batch_deadline_ms}")
        if self.token is not None and (len(self.token) < MIN_TOKEN or not self.token.isprintable()):
            raise UsageError(f"token: expected {MIN_TOKEN} or more printable characters, found another one")
        if self.token is not None and (not self.token.isascii() or " " in self.token):
            raise UsageError("token: expected ASCII without spaces, as an HTTP header holds it, found another one")
