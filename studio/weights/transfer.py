"""One file over HTTP: continued where an earlier run stopped, checked against its published checksum, then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.registry.files import WeightsError

if TYPE_CHECKING:
    import httpx2

CHUNK_BYTES = 1 << 20
ATTEMPTS = 5  # that bring nothing, before the connection is called broken
CONNECT_SECONDS, STALL_SECONDS, LOCK_POLL_SECONDS = 10.0, 15.0, 0.2
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

OnBytes = Callable[[int], None]  # bytes of this file that are here; may go back to 0
Stop = Callable[[], bool]


class DownloadStopped(Exception):
    """The person stopped it; what has arrived stays and is continued next time."""


@dataclass(frozen=True)
class Checksum:
    """`kind` "sha256" of the content, or "git": sha1 as git names a blob, which the hub gives for small files."""

    kind: str
    value: str

    def start(self, size: int) -> Any:
        """A hash to be fed with the content; git's begins with the length."""
        if self.kind == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


@dataclass(frozen=True)
class RemoteFile:
    """A published file. `size` in bytes; None where the server alone knows. `checksum` None: nobody published one."""

    name: str
    url: str
    size: int | None
    checksum: Checksum | None
    headers: tuple[tuple[str, str], ...] = ()


def fetch(file: RemoteFile, partial: Path, target: Path, on_bytes: OnBytes, stop: Stop) -> None:
    """Bring `file` to `target`, gathering its bytes in `partial`.

    WeightsError when the connection stays broken or the disk is full (the bytes stay), or when the content is not the
    published one (they are removed). DownloadStopped when `stop` says so.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        _gather(file, partial, on_bytes, stop)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise WeightsError(
                f"The disk is full: {file.name} has {_size(partial):,} of {file.size or 0:,} bytes.",
                "Free some space and start again; it continues where it stopped.",
            ) from error
        raise
    if file.checksum and not matches(partial, file.checksum):
        partial.unlink()
        raise WeightsError(
            f"What arrived of {file.name} does not have the published checksum, and was removed.",
            "Download it again; if it fails again, the publisher's file has changed or is damaged.",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(target)


def matches(path: Path, checksum: Checksum) -> bool:
    return digest_of(path, checksum.kind) == checksum.value


def digest_of(path: Path, kind: str = "sha256") -> str:
    """The checksum of a file on this machine."""
    hashed = Checksum(kind, "").start(path.stat().st_size)
    with path.open("rb") as opened:
        while chunk := opened.read(8 * CHUNK_BYTES):
            hashed.update(chunk)
    return hashed.hexdigest()


@contextlib.contextmanager
def locked(path: Path, stop: Stop, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock between processes; `waiting` is called while another holds it."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=0o664)
    while True:
        try:
            lock.acquire(timeout=LOCK_POLL_SECONDS)
            break
        except Timeout:
            waiting()
            if stop():
                raise DownloadStopped from None
    try:
        yield
    finally:
        lock.release()


def _gather(file: RemoteFile, partial: Path, on_bytes: OnBytes, stop: Stop) -> None:
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    attempts = 0
    partial.touch()
    if file.size is not None and _size(partial) > file.size:
        partial.write_bytes(b"")
    while True:
        before = _size(partial)
        on_bytes(before)
        if before == file.size:
            return
        if stop():
            raise DownloadStopped
        try:
            if _continue(file, partial, on_bytes, stop):
                return
        except OfflineModeIsEnabled as error:
            raise offline_error(file.name) from error
        except httpx2.ConnectError as error:
            if before == 0:
                raise unreachable_error(file.name, error) from error
        except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError):
            pass
        attempts = 0 if _size(partial) > before else attempts + 1
        if attempts == ATTEMPTS:
            raise WeightsError(
                f"The connection broke while {file.name} was fetched, at {_size(partial):,} bytes.",
                "Start again; it continues where it stopped.",
            )
        time.sleep(min(2**attempts / 10, 4) if attempts else 0)


def _continue(file: RemoteFile, partial: Path, on_bytes: OnBytes, stop: Stop) -> bool:
    """One request for what is missing; True once everything is here."""
    import httpx2
    from huggingface_hub.utils import get_session

    have = _size(partial)
    headers = dict(file.headers) | {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout = httpx2.Timeout(STALL_SECONDS, connect=CONNECT_SECONDS)
    with get_session().stream("GET", file.url, headers=headers, follow_redirects=True, timeout=timeout) as response:
        if response.status_code == 416 and have:  # our bytes reach beyond the file's end: they are not of this file
            partial.write_bytes(b"")
            return False
        if response.status_code >= 500:
            return False
        if response.status_code >= 400:
            raise refused_error(file.name, response.status_code)
        if have and not _starts_at(response, have):  # the server begins anew whatever was asked
            partial.write_bytes(b"")
            have = 0
        with partial.open("ab") as out:
            for chunk in response.iter_bytes():  # as they come: a slow line must not delay a stop
                out.write(chunk)
                have += len(chunk)
                on_bytes(have)
                if stop():
                    raise DownloadStopped
            out.flush()
            os.fsync(out.fileno())
    return file.size is None or have >= file.size


def _starts_at(response: httpx2.Response, position: int) -> bool:
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {position}-")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def offline_error(name: str) -> WeightsError:
    return WeightsError(f"{name} cannot be fetched: this machine is set to be offline.", "Unset HF_HUB_OFFLINE.")


def unreachable_error(name: str, error: Exception) -> WeightsError:
    return WeightsError(f"{name} cannot be fetched: its server does not answer ({error}).", "Check the network.")


def refused_error(name: str, status: int) -> WeightsError:
    if status in (401, 403):
        return WeightsError(
            f"{name} is not given out to everyone ({status}).",
            "Accept its terms on its page, then sign in once with: hf auth login",
        )
    if status in (404, 410):
        return WeightsError(f"{name} is no longer at its address ({status}).", "Look for it on the publisher's page.")
    return WeightsError(f"The server does not give out {name} ({status}).", "Try again later.")
