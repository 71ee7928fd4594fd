"""Findings in words: what each mark says, what it proves and what it does not."""

from __future__ import annotations

from studio.provenance import Findings, xmp

PROBLEMS = {
    "signingCredential.untrusted": "the signer is known to no public list, as is usual for certificates made locally",
    "assertion.bmffHash.mismatch": "the file was changed after it was signed",
    "claimSignature.mismatch": "the signature is not the signer's",
}
TOLD = {"seed": "seed", "num_inference_steps": "steps"}
LONGEST = 2000  # characters of a file's settings that are told
PROVES = {
    "label": "Anyone can add or remove it; copying keeps it, most web sites and every new encoding drop it.",
    "manifest": "A valid one shows that nothing changed since it was signed; it does not show who holds the key.",
    "watermark": "It outlives new encodings, half the size and small crops. Its key is public: finding it is a strong "
    "sign, not proof, and not finding it proves nothing.",
    "settings": "They say what was asked for; anyone can change them unless the manifest is valid.",
}


def summary(findings: Findings) -> str:
    """One sentence."""
    if not findings.generated:
        return "No mark was found. That does not show that it was not generated."
    if findings.watermark is not None and findings.watermark.found:
        return "This was generated, by Quintet or by something that writes its mark."
    return "This says of itself that it was generated."


def lines(findings: Findings) -> list[tuple[str, str, str]]:
    """(what was looked for, what was found, what it proves) for each mark."""
    return [
        ("Label (IPTC in XMP)", _label(findings), PROVES["label"]),
        ("Signed statement (C2PA)", _manifest(findings), PROVES["manifest"]),
        ("Invisible watermark", _watermark(findings), PROVES["watermark"]),
        ("Settings", _settings(findings), PROVES["settings"]),
    ]


def _label(findings: Findings) -> str:
    if findings.source_type is None:
        return "None."
    if findings.source_type == xmp.TRAINED:
        return "Made by a trained algorithm."
    return f"Source: {findings.source_type.rpartition('/')[2]}."


def _manifest(findings: Findings) -> str:
    found = findings.manifest
    if found is None:
        return "None."
    said = "says it was made by a trained algorithm" if found.generated else "does not say how it was made"
    who = "this installation" if found.own else f"“{found.signer}”" if found.signer else "someone unnamed"
    problems = "; ".join(PROBLEMS.get(code, code) for code in found.problems)
    return f"{found.state}, signed by {who}, {said}" + (f" ({problems})." if problems else ".")


def _watermark(findings: Findings) -> str:
    found = findings.watermark
    if found is None:
        return "No picture could be read."
    where = ", in a cropped picture" if found.cropped else ""
    return f"{'Found' if found.found else 'Not found'}{where} ({found.strength:.1f} standard deviations from chance)."


def _settings(findings: Findings) -> str:
    settings = findings.settings
    if settings is None:
        return "None, or removed."
    request = settings.get("request")
    request = request if isinstance(request, dict) else {}
    told = ", ".join(f"{word} {request[name]}" for name, word in TOLD.items() if name in request)
    prompt = f" “{request['prompt']}”" if request.get("prompt") else ""
    return f"{settings.get('method', 'unknown method')}, {told}.{prompt}"[:LONGEST]
