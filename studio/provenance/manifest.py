"""C2PA: a signed statement inside the file that it was generated, by whom it was signed, and a hash of its content."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.provenance import certificate
from studio.provenance.xmp import TRAINED

ACTION = {"action": "c2pa.created", "digitalSourceType": TRAINED, "softwareAgent": {"name": "Quintet"}}
# A file may name an address to ask for its manifest or for revoked certificates; a stranger's file sends us nowhere.
OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manifest:
    """`state` is Valid, Trusted or Invalid; `generated` that the file says it was made by a trained algorithm;
    `own` that this installation's certificate signed it."""

    state: str
    signer: str
    generated: bool
    own: bool
    problems: tuple[str, ...] = ()


def sign(path: Path, folder: Path) -> bool:
    """Sign an mp4 in place with the certificate of `folder`. False, with a line in the log, where c2pa cannot run.

    The statement names no prompt, no setting and no person.
    """
    try:
        import c2pa

        found = certificate.load_or_make(folder)
        signer = c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, found.chain, found.key, None)  # pyright: ignore
        )
        statement = {
            "claim_generator_info": [{"name": "Quintet"}],
            "title": "Quintet video",
            "format": "video/mp4",
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [ACTION]}}],
        }
        signed = path.with_name(path.name + ".signed")
        try:
            with path.open("rb") as source, signed.open("w+b") as target:
                c2pa.Builder(statement).sign(signer, "video/mp4", source, target)
            signed.replace(path)
        finally:
            signed.unlink(missing_ok=True)
        return True
    except (ImportError, OSError, ValueError, c2pa_error()) as error:
        logger.warning("no C2PA manifest was written: %s", error)
        return False


def read(path: Path, folder: Path) -> Manifest | None:
    """None where there is no manifest or c2pa cannot run."""
    try:
        import c2pa

        context = c2pa.Context(c2pa.Settings.from_dict(OFFLINE))
        with path.open("rb") as file:  # the library finds the kind by content; the name is the visitor's word
            reader = c2pa.Reader.try_create(file, context=context)
            if reader is None:
                return None
            content, state = json.loads(reader.json()), str(reader.get_validation_state())
    except (ImportError, OSError, ValueError, RecursionError, c2pa_error()):
        return None
    active = content.get("manifests", {}).get(str(content.get("active_manifest")), {})
    signature = active.get("signature_info") or {}
    problems = tuple(str(problem.get("code")) for problem in content.get("validation_status", []))
    serial = certificate.own_serial(folder)
    own = serial is not None and str(signature.get("cert_serial_number")) == serial
    return Manifest(state, str(signature.get("common_name", "")), _says_generated(active), own, problems)


def _says_generated(manifest: dict[str, Any]) -> bool:
    """The library has checked the manifest's form, but an assertion's data are whatever its maker wrote."""
    assertions = [one for one in manifest.get("assertions", []) if str(one.get("label")).startswith("c2pa.actions")]
    data = [one.get("data") for one in assertions]
    actions = [one.get("actions") for one in data if isinstance(one, dict)]
    said = [action for listed in actions if isinstance(listed, list) for action in listed]
    return any(isinstance(action, dict) and action.get("digitalSourceType") == TRAINED for action in said)


def c2pa_error() -> type[Exception]:
    """The library's own error, or one that never comes where the library is missing."""
    try:
        from c2pa import C2paError
    except ImportError:
        return ImportError
    return C2paError
