"""What a job gets for as long as it runs, and what is left when it ended, however that was."""

from __future__ import annotations

import hashlib
import weakref

import pytest

from models.method import StopRequested
from tests.unit.studio.saved_networks import HERE, weights_in


def test_a_second_job_reads_no_byte_and_gets_the_same_module(registry, recipe):
    loading = []
    with registry.acquire(recipe("vae"), lambda *event: loading.append(event)) as first:
        module = first.vae
    assert loading[-1][1] == loading[-1][2] > 0 and {name for name, *_ in loading} == {"vae"}
    loading.clear()
    with registry.acquire(recipe("vae"), lambda *event: loading.append(event)) as second:
        assert second.vae is module and loading == []


def test_a_scheduler_is_new_for_each_job(registry, recipe):
    with registry.acquire(recipe("scheduler")) as one, registry.acquire(recipe("scheduler")) as two:
        one.scheduler.set_timesteps(7)
        assert one.scheduler is not two.scheduler and two.scheduler.num_inference_steps is None


def test_a_leased_pipeline_is_described_by_digests(registry, recipe, saved):
    with registry.acquire(recipe("vae", "scheduler")) as parts:
        described = registry.describe(parts)
    digest = hashlib.sha256(weights_in(saved / "vae").read_bytes()).hexdigest()
    assert described == {"vae": {"source": str(saved / "vae"), "sha256": digest, "dtype": "float32"}}


def test_leased_weights_stay_and_unload_says_what_it_freed(registry, recipe):
    with registry.acquire(recipe("vae", "transformer")) as parts:
        assert registry.unload() == 0
        least = sum(t.nbytes for m in (parts.vae, parts.transformer) for t in [*m.parameters(), *m.buffers()])
        tensors = sum(len(m.state_dict()) for m in (parts.vae, parts.transformer))
    assert {component["leased"] for component in registry.status()["components"]} == {False}
    assert least <= registry.status()["bytes"] <= least + 256 * tensors, "each tensor begins at a multiple of 256"
    assert registry.status()["bytes"] == registry.unload()
    assert registry.status()["components"] == []


def test_unloaded_weights_leave_memory(registry, recipe):
    with registry.acquire(recipe("vae")) as parts:
        watched = weakref.ref(parts.vae)
        del parts
    registry.unload()
    assert watched() is None


def test_an_error_in_a_job_ends_its_lease(registry, recipe):
    with pytest.raises(StopRequested), registry.acquire(recipe("vae")):
        raise StopRequested
    assert registry.unload() > 0


def test_a_pipeline_that_cannot_be_made_leaves_what_was_there(registry, recipe):
    with registry.acquire(recipe("vae")):
        pass
    before = registry.status()
    broken = recipe("vae", "transformer", method="two", pipeline=f"{HERE}:Broken")
    with pytest.raises(RuntimeError, match="constructor"), registry.acquire(broken):
        pass
    after = registry.status()
    assert [c["source"] for c in after["components"]] == [c["source"] for c in before["components"]]
    assert not any(c["leased"] for c in after["components"])


def test_a_load_can_be_stopped_and_leaves_what_was_there(registry, recipe):
    def stop(stage: str, done: int, total: int) -> None:
        raise StopRequested

    with pytest.raises(StopRequested), registry.acquire(recipe("vae"), stop):
        pass
    assert registry.status()["components"] == []
    with registry.acquire(recipe("vae")):
        pass
