"""Weights on disk that are absent, damaged, replaced or of another network: a sentence, and nothing changed."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace

import pytest
import torch

from studio.registry import Registry, WeightsError
from studio.registry.files import find_folder
from tests.unit.studio.saved_networks import edit, weights_in


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "is cut short"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "is cut short"),
        (lambda path: path.write_bytes(b""), "is cut short"),
        (lambda path: path.write_bytes(b"<html>not found</html>" * 50), "is not a safetensors file"),
        (lambda path: (path.parent / "config.json").unlink(), "config.json is missing"),
        (lambda path: (path.parent / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda path: shutil.rmtree(path.parent), "does not exist"),
    ],
)
def test_damaged_weights_are_one_sentence_and_change_nothing(registry, recipe, copies, damage, words, caplog):
    with registry.acquire(recipe("text_encoder", folder=copies)):
        pass
    before, dtype = registry.status(), torch.get_default_dtype()
    damage(weights_in(copies / "vae"))
    broken = recipe("transformer", "vae", folder=copies)
    with pytest.raises(WeightsError, match=words) as caught, registry.acquire(broken):
        pass
    assert "vae" in caught.value.message and caught.value.advice and "\n" not in str(caught.value)
    assert registry.status() == before and torch.get_default_dtype() == dtype


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("encoder.conv_in.conv.bias"), r"lack 1 of .*'encoder.conv_in.conv.bias'"),
        (lambda tensors: tensors.update(extra=torch.zeros(3)), r"have unknown 1 of .*'extra'"),
        (
            lambda tensors: tensors.update({"encoder.conv_in.conv.bias": torch.zeros(3)}),
            r"differently shaped 1 of .*'encoder.conv_in.conv.bias'",
        ),
    ],
)
def test_weights_of_another_network_are_refused_by_name(registry, recipe, copies, change, words):
    edit(weights_in(copies / "vae"), change)
    with pytest.raises(WeightsError, match=words), registry.acquire(recipe("transformer", "vae", folder=copies)):
        pass
    assert registry.status()["components"] == [] and registry.memory.fetches == 0, "refused before a byte was read"
    with registry.acquire(recipe("vae")):
        pass


def test_a_config_of_another_network_is_refused(registry, recipe, copies, caplog):
    config = copies / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"down_block_types": ["Nonsense"]}))
    with (
        caplog.at_level(logging.CRITICAL),
        pytest.raises(WeightsError, match="does not describe a AutoencoderKLCogVideoX"),
        registry.acquire(recipe("vae", folder=copies)),
    ):
        pass


def test_a_tokenizer_that_cannot_be_read_is_a_sentence(registry, recipe, copies, caplog):
    (copies / "scheduler" / "scheduler_config.json").write_text("{")
    broken = replace(recipe("scheduler", folder=copies))
    with caplog.at_level(logging.CRITICAL), pytest.raises(WeightsError, match=r"scheduler in .* cannot be read"):
        registry.acquire(broken).__enter__()


def test_replaced_weights_are_noticed(registry, recipe, copies):
    with registry.acquire(recipe("vae", folder=copies)) as parts:
        old = parts.vae.encoder.conv_in.conv.bias.clone()
        edit(weights_in(copies / "vae"), lambda tensors: tensors["encoder.conv_in.conv.bias"].add_(1))
        assert torch.equal(parts.vae.encoder.conv_in.conv.bias, old), "a running job keeps what it has"
    with registry.acquire(recipe("vae", folder=copies)) as parts:
        assert torch.equal(parts.vae.encoder.conv_in.conv.bias, old + 1)


def test_digests_are_kept_between_runs_and_a_damaged_cache_is_ignored(recipe, tmp_path):
    cache = tmp_path / "cache"
    with Registry("cpu", cache_dir=cache).acquire(recipe("vae")):
        pass
    kept = json.loads((cache / "digests.json").read_text())
    assert len(kept) == 1 and all(len(digest) == 64 for digest in kept.values())
    (cache / "digests.json").write_text("[1, 2")
    with Registry("cpu", cache_dir=cache).acquire(recipe("vae")):
        pass
    assert json.loads((cache / "digests.json").read_text()) == kept


def test_sources_outside_the_machine_are_refused_with_the_command_that_gets_them():
    with pytest.raises(WeightsError) as caught:
        find_folder("hub:quintet/nowhere@abc:vae")
    assert "quintet/nowhere (vae)" in caught.value.message
    assert "python -m studio weights get" in caught.value.advice
    with pytest.raises(WeightsError, match="hub:owner/name"):
        find_folder("hub:not a name")
