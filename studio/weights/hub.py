"""What a repository of the model hub holds at a revision: names, sizes, checksums, and the commit behind it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import quote

from studio.registry.files import WeightsError
from studio.weights.hub_cache import MIRRORS, HubSource
from studio.weights.transfer import (
    CONNECT_SECONDS,
    Checksum,
    RemoteFile,
    offline_error,
    refused_error,
    unreachable_error,
)

STEMS = ("diffusion_pytorch_model", "model")  # diffusers' and transformers' names; variants such as .fp16 have others


@dataclass(frozen=True)
class HubFile:
    """A file in a repository. `checksum.value` is also the name of its blob in the cache."""

    path: str
    size: int
    checksum: Checksum


@dataclass(frozen=True)
class Listing:
    """A repository at a commit. `repository` is who answered: the one asked for, or a mirror of it."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    def matching(self, patterns: tuple[str, ...]) -> tuple[HubFile, ...]:
        return tuple(f for f in self.files if any(fnmatchcase(f.path, pattern) for pattern in patterns))

    def remote(self, file: HubFile) -> RemoteFile:
        """How to fetch it: at its commit, with this person's token if there is one."""
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers

        url = f"{constants.ENDPOINT}/{self.repository}/resolve/{self.commit}/{quote(file.path)}"
        return RemoteFile(file.path, url, file.size, file.checksum, tuple(build_hf_headers().items()))


def module_patterns(folder: str) -> tuple[str, ...]:
    """The files of a network: its config and its safetensors, whole or in shards, in the usual precision only."""
    prefix = f"{folder}/" if folder else ""
    files = [f"{prefix}config.json"]
    for stem in STEMS:
        files += [f"{prefix}{stem}.safetensors", f"{prefix}{stem}.safetensors.index.json"]
        files += [f"{prefix}{stem}-[0-9]*-of-[0-9]*.safetensors"]
    return tuple(files)


def settings_patterns(folder: str) -> tuple[str, ...]:
    """The files of a tokenizer or a scheduler: words and settings, no tensors."""
    prefix = f"{folder}/" if folder else ""
    return tuple(f"{prefix}*.{suffix}" for suffix in ("json", "txt", "model", "jinja"))


def list_repository(source: HubSource) -> Listing:
    """Ask the hub once, then the mirrors. WeightsError at once when offline or unreachable."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    refusal: WeightsError | None = None
    for repository in (source.repository, *MIRRORS.get(source.repository, ())):
        try:
            info = HfApi().model_info(
                repository, revision=source.revision, files_metadata=True, timeout=CONNECT_SECONDS
            )
        except OfflineModeIsEnabled as error:
            raise offline_error(repository) from error
        except (httpx2.ConnectError, httpx2.TimeoutException) as error:
            raise unreachable_error(repository, error) from error
        except HfHubHTTPError as error:  # absent, renamed, gated or out of order: perhaps a mirror has it
            status = 404 if type(error) is RepositoryNotFoundError else error.response.status_code
            refusal = refusal or refused_error(f"{repository} at {source.revision}", status)
            continue
        files = []
        for sibling in info.siblings or ():
            name, lfs = sibling.rfilename, sibling.lfs
            if name.startswith("/") or ".." in name.split("/"):
                raise WeightsError(f"{repository} names a file outside of it: {name!r}.", "Do not use it.")
            checksum = Checksum("sha256", lfs.sha256) if lfs else Checksum("git", sibling.blob_id or "")
            files.append(HubFile(name, (lfs.size if lfs else sibling.size) or 0, checksum))
        return Listing(repository, info.sha or source.revision, tuple(files))
    assert refusal is not None
    raise refusal
