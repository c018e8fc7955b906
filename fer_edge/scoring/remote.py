"""Files behind addresses such as s3://, gs:// and memory://, by fsspec's file systems, as pandas and Ray take them."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fer_edge.errors import FerEdgeError, ImageError, MissingExtraError, UsageError
from fer_edge.scoring.items import Item
from fer_edge.text import printable, shown_name

if TYPE_CHECKING:
    from fer_edge.scoring.local_images import PassedOver

PROTOCOLS = ("abfs", "abfss", "az", "file", "gcs", "gs", "hdfs", "local", "memory", "s3", "s3a")
"""That are opened: storage. A table of somebody else must not make this machine ask web servers (http) or unpack
archives (zip::)."""

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*(?:::[a-z0-9+.-]*)?)://", re.IGNORECASE)
_FILE = "file://"


class RemoteError(FerEdgeError):
    """A storage address that cannot be listed, read or written."""


def is_address(path: str) -> bool:
    """Whether ``path`` is an address (``s3://bucket/key``), not a path of this machine; ``file://`` is a path."""
    return _ADDRESS.match(path) is not None and not path.startswith(_FILE)


def as_local(path: str) -> str:
    """``file:///photos`` as ``/photos``; every other path or address as it is."""
    return path[len(_FILE) :] if path.startswith(_FILE) else path


def file_system(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it. Raises UsageError, and MissingExtraError's like where
    its package (s3fs, gcsfs) is not installed."""
    import fsspec
    from fsspec.registry import known_implementations

    found = _ADDRESS.match(address)
    protocol = found[1].lower() if found else ""
    if protocol not in PROTOCOLS:
        raise UsageError(
            f"{shown_name(address)}: expected a path or an address of {', '.join(PROTOCOLS)}, found {protocol!r}"
        )
    try:
        # A listing is asked for once: kept, it would grow with the number of files.
        return fsspec.core.url_to_fs(address, use_listings_cache=False)  # type: ignore[no-any-return]
    except ImportError as error:
        package = known_implementations.get(protocol, {}).get("class", "").split(".")[0] or protocol
        raise _missing(address, package) from error
    except Exception as error:  # each file system has errors of its own
        raise remote_error(address, error) from error


def _missing(address: str, package: str) -> FerEdgeError:
    error = MissingExtraError.__new__(MissingExtraError)  # not of our extras: each storage has a package of its own
    command = "pip install pyarrow" if package == "fsspec" else f"pip install {package}"
    error.args = (f"{shown_name(address)}: expected the package '{package}', found none; run: {command}",)
    return error


def remote_error(address: str, error: Exception) -> RemoteError:
    """One line that names the address."""
    reason = printable(" ".join(str(error).split()))[:300] or type(error).__name__
    return RemoteError(f"{shown_name(address)}: cannot be used: {reason}")


def remote_images(address: str, out: str | None, unreadable: "PassedOver") -> Iterator[Item]:
    """As ``local_images``. A folder's names are held at a time, those of folders on the way to it too."""
    from fer_edge.scoring.local_images import is_image_name

    system, root = file_system(address)
    left_out = path_within(address, out)
    pending: list[Iterator[str]] = [iter((root,))]
    while pending:
        folder = next(pending[-1], None)
        if folder is None:
            pending.pop()
            continue
        if folder == left_out:
            continue
        try:
            entries = sorted(system.ls(folder, detail=True), key=lambda one: str(one["name"]))
        except Exception as error:
            unreadable.add(whole_address(address, root, folder), remote_error(folder, error))
            continue
        folders = []
        for entry in entries:
            name = str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]
            if entry.get("type") == "directory":
                if not name.startswith(".") and not entry.get("islink"):
                    folders.append(str(entry["name"]))
            elif is_image_name(name):
                whole = whole_address(address, root, str(entry["name"]))
                yield Item(whole, whole, _stamp(entry))
            else:
                unreadable.add_file(name)
        pending.append(iter(folders))


def whole_address(address: str, root: str, path: str) -> str:
    """The address of ``path``, which a listing of ``address`` (``root`` in its file system) gave: with the protocol and
    host that somebody typed."""
    return address.rstrip("/") + path[len(root.rstrip("/")) :]


def path_within(address: str, out: str | None) -> str | None:
    """The path of the folder ``out`` in the file system of ``address``; None where it is in another one."""
    if out is None or not is_address(out) or out.split("://")[0] != address.split("://")[0]:
        return None
    return file_system(out)[1].rstrip("/")


def _stamp(entry: dict[str, Any]) -> str:
    """Size, and what the storage has of a checksum and time."""
    times = [entry.get(key) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "updated", "created")]
    return " ".join(str(value) for value in (entry.get("size"), *times) if value is not None)


def read_images(addresses: Sequence[str]) -> list[bytes | ImageError]:
    """The files behind ``addresses``, together where their storage can do that. An error comes as a value."""
    from fer_edge.runtime.images import MAX_FILE_BYTES

    found: dict[str, bytes | ImageError] = {}
    groups: dict[str, list[str]] = {}
    for address in addresses:
        groups.setdefault(address.split("://", 1)[0], []).append(address)
    for group in groups.values():
        try:
            system, _ = file_system(group[0])
        except FerEdgeError as error:
            found |= {address: ImageError(str(error)) for address in group}
            continue
        paths = {address: str(system._strip_protocol(address)) for address in group}
        wanted = []
        for address, path in paths.items():
            try:
                size = system.size(path)
            except Exception as error:
                found[address] = ImageError(str(remote_error(address, error)))
                continue
            if size is not None and size > MAX_FILE_BYTES:
                found[address] = ImageError(
                    f"{shown_name(address)}: expected at most {MAX_FILE_BYTES} bytes, found {size}"
                )
            else:
                wanted.append(address)
        read = system.cat([paths[address] for address in wanted], on_error="return") if wanted else {}
        for address in wanted:
            # A single path without wildcards gives bytes in some versions, a dict in others.
            value = read.get(paths[address]) if isinstance(read, dict) else read
            if isinstance(value, bytes):
                found[address] = value
            else:
                fault = value if isinstance(value, Exception) else FileNotFoundError("nothing was read")
                found[address] = ImageError(str(remote_error(address, fault)))
    return [found[address] for address in addresses]
