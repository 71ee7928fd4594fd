"""What the registry is measured by: jobs of many users, stages in little memory, faults, speed of decisions.

Over towers of a few kilobytes and a counted device, so that every byte is known.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.method import StopRequested
from studio.registry import Registry, WeightsError
from studio.registry.ledger import Candidate, choose_evictions
from studio.registry.options import Options
from tests.unit.studio.counting_device import CountingDevice
from tests.unit.studio.tiny_networks import TOKENS, save_tower, tower_recipe

SHAPES = {"text": (32, 8), "one": (32, 6), "two": (32, 5), "three": (24, 7), "vae": (16, 3)}
GENEROUS = 1 << 30


def registry_with(*arguments: Any, **more: Any) -> Any:
    """A registry whose pipelines are tests' own."""
    return Registry(*arguments, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    for seed, (name, shape) in enumerate(SHAPES.items()):
        save_tower(folder / name, seed, *shape)
    return folder


@pytest.fixture(scope="module")
def answers(folder) -> dict[str, torch.Tensor]:
    """What each network computes when nothing else is going on."""
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with registry.acquire(recipe(folder, "all", *SHAPES)) as pipeline:
        return {name: pipeline.compute(name).clone() for name in SHAPES}


@pytest.fixture(scope="module")
def sizes(folder) -> dict[str, int]:
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with registry.acquire(recipe(folder, "all", *SHAPES)):
        return {c["names"][0]: c["bytes"] for c in registry.status()["components"]}


def recipe(folder: Path, method: str, *names: str):
    """text encodes, vae decodes, everything else denoises."""
    stage_of = {"text": ("encode",), "vae": ("decode",)}
    return tower_recipe(
        method, "Holder", **{name: (folder / name, stage_of.get(name, ("denoise",))) for name in names}
    )


def correct(pipeline: Any, answers: dict[str, torch.Tensor], *names: str) -> bool:
    return all(torch.equal(pipeline.compute(name), answers[name]) for name in names)


@pytest.mark.parametrize("separate", [True, False])
def test_a_job_too_large_at_once_runs_stage_by_stage(folder, answers, sizes, separate):
    names = ("text", "one", "vae")
    budget = max(sizes[name] for name in names) + sizes["vae"] // 2
    device = CountingDevice(budget, separate=separate)
    registry = registry_with(hardware=device, options=Options(streaming=False))
    with registry.acquire(recipe(folder, "m", *names)) as pipeline:
        assert device.live == 0, "nothing before it is used"
        for name in names:
            assert correct(pipeline, answers, name)
            held = {c["names"][0] for c in registry.status()["components"] if c["leased"]}
            assert held == {name} and device.live <= budget
    registry.unload()
    assert device.live == device.host_live == 0


def test_a_network_that_is_not_there_yet_says_where_it_will_compute(folder, sizes):
    """Pipelines put their inputs where their networks are; in an early stage the later ones are not there."""
    device = CountingDevice(max(sizes.values()))
    device.torch_device = torch.device("meta")
    registry = registry_with(hardware=device, options=Options(streaming=False))
    with registry.acquire(recipe(folder, "m", "text", "one")) as pipeline:
        weight = pipeline.parts["one"].embed.weight
        assert (weight.device.type, weight.dtype, weight.shape) == ("meta", torch.float32, (4, 32))


def test_what_cannot_be_written_down_costs_no_job(folder, answers, tmp_path, monkeypatch, caplog):
    import tempfile

    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    registry = registry_with(cache_dir=tmp_path, hardware=CountingDevice(GENEROUS))
    with registry.acquire(recipe(folder, "m", "one")) as pipeline:
        assert correct(pipeline, answers, "one")
    assert "digests are not kept" in caplog.text


def test_a_network_larger_than_the_device_passes_through_it_block_by_block(folder, answers, sizes):
    budget = int(sizes["one"] * 0.6)
    device = CountingDevice(budget)
    registry = registry_with(hardware=device)
    with registry.acquire(recipe(folder, "m", "one")) as pipeline:
        for _ in range(3):
            assert correct(pipeline, answers, "one")
        assert registry.status()["components"][0]["place"] == "streamed"
        assert 0 < device.live <= budget and registry.status()["bytes"] == device.live + 32 * 4
    assert device.live == 0
    with pytest.raises(WeightsError, match="limit is"):
        registry_with(hardware=CountingDevice(sizes["one"] // 4)).acquire(recipe(folder, "m", "one")).__enter__()


def test_an_error_inside_a_streamed_block_leaves_nothing_on_the_device(folder, answers, sizes):
    device = CountingDevice(int(sizes["one"] * 0.6))
    registry = registry_with(hardware=device)
    with pytest.raises(RuntimeError), registry.acquire(recipe(folder, "m", "one")) as pipeline:
        pipeline.parts["one"](torch.tensor([[0.5]]))
    with registry.acquire(recipe(folder, "m", "one")) as pipeline:
        with pytest.raises(IndexError):
            pipeline.parts["one"](torch.tensor([[99]]))
        assert correct(pipeline, answers, "one")
    assert device.live == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_weights_at_rest_in_float8_take_a_quarter_and_compute_in_full(tmp_path, streamed):
    tower = save_tower(tmp_path / "big", 1, width=128, blocks=6)
    with torch.no_grad():
        expected = tower.decode(TOKENS)
    sizes = {}
    for small in (False, True):
        registry = registry_with(hardware=CountingDevice(GENEROUS), options=Options(small_weights=small))
        with registry.acquire(recipe(tmp_path, "m", "big")):
            sizes[small] = registry.status()["bytes"]
    device = CountingDevice(sizes[True] // 2 if streamed else GENEROUS)
    registry = registry_with(hardware=device, options=Options(small_weights=True))
    with registry.acquire(recipe(tmp_path, "m", "big")) as pipeline:
        first, again = pipeline.compute("big"), pipeline.compute("big")
        assert pipeline.parts["big"].blocks[0].weight.dtype == torch.float8_e4m3fn
    assert sizes[True] < 0.35 * sizes[False]
    assert first.dtype == torch.float32 and torch.equal(first, again)
    for name, parameter in tower.blocks.named_parameters():
        if name.endswith("weight"):
            parameter.data = parameter.data.to(torch.float8_e4m3fn).float()
    with torch.no_grad():
        assert torch.equal(first, tower.decode(TOKENS)) and not torch.equal(first, expected)


def test_the_second_job_reads_and_copies_no_weights(folder, answers):
    device = CountingDevice(GENEROUS)
    registry = registry_with(hardware=device)
    for _ in range(2):
        with registry.acquire(recipe(folder, "m", "text", "one")) as pipeline:
            assert correct(pipeline, answers, "text", "one")
        seen = registry.memory.fetches, device.uploaded, device.allocations
    assert seen == (2, device.uploaded, 4), "two readings, two copies, both by the first job"


def test_an_evicted_network_comes_back_from_this_machines_memory(folder, answers, sizes):
    device = CountingDevice(max(sizes["one"], sizes["two"]))
    registry = registry_with(hardware=device)
    for name in itertools.islice(itertools.cycle(["one", "two"]), 6):
        with registry.acquire(recipe(folder, name, name)) as pipeline:
            assert correct(pipeline, answers, name)
    assert registry.memory.fetches == 2, "read once each, copied six times"


def test_what_the_queue_needs_goes_last(folder, sizes):
    device = CountingDevice(sizes["one"] + sizes["two"] + 1)
    registry = registry_with(hardware=device)
    for name in ("one", "two"):
        with registry.acquire(recipe(folder, name, name)):
            pass
    registry.expect([recipe(folder, "one", "one")])  # the older one
    with registry.acquire(recipe(folder, "three", "three")):
        places = {c["names"][0]: c["place"] for c in registry.status()["components"]}
    assert places == {"one": "counting", "two": "ram", "three": "counting"}


def test_two_hundred_switches_end_where_they_began(folder, answers, sizes):
    device = CountingDevice(int(sum(sizes.values()) * 0.4) + sizes["text"])
    registry = registry_with(hardware=device)
    order = random.Random(0)
    resting: set[tuple[int, int]] = set()
    for switch in range(200):
        name = order.choice(["one", "two", "three"])
        with registry.acquire(recipe(folder, name, "text", name, "vae")) as pipeline:
            assert correct(pipeline, answers, name)
            assert device.live <= device.budget
        if switch % 20 == 19:
            registry.unload()
            resting.add((device.live, device.host_live))
    assert resting == {(0, 0)}


def test_sixteen_first_requests_read_once_and_are_all_right(folder, answers):
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    right, start = [], threading.Barrier(16)

    def ask() -> None:
        start.wait()
        with registry.acquire(recipe(folder, "m", "text", "one")) as pipeline:
            right.append(correct(pipeline, answers, "text", "one"))

    run_all([ask] * 16)
    assert right == [True] * 16 and registry.memory.fetches == 2


def test_a_cancelled_waiter_does_not_cancel_the_others(folder, answers, monkeypatch):
    from studio.registry import fetching

    hold, reading = threading.Event(), threading.Event()
    fill = fetching.fill

    def slow(*arguments: Any) -> None:
        reading.set()
        assert hold.wait(60)
        fill(*arguments)

    monkeypatch.setattr(fetching, "fill", slow)
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    right, gone = [], threading.Event()

    def patient() -> None:
        with registry.acquire(recipe(folder, "m", "one")) as pipeline:
            right.append(correct(pipeline, answers, "one"))

    def hasty() -> None:
        assert reading.wait(60)

        def stop(name: str, done: int, total: int) -> None:
            raise StopRequested

        with pytest.raises(StopRequested), registry.acquire(recipe(folder, "m", "one"), stop):
            pass
        gone.set()

    def release() -> None:
        assert gone.wait(60)
        hold.set()

    run_all([patient, hasty, release])
    assert right == [True] and registry.memory.fetches == 1


@pytest.mark.parametrize("separate", [True, False])
def test_eight_users_with_two_hundred_jobs_all_get_what_they_would_alone(folder, answers, sizes, separate):
    """A tenth of the jobs is cancelled, memory is short, users do not wait for each other."""
    device = CountingDevice(sizes["text"] + sizes["one"] + sizes["two"], separate=separate)
    registry = registry_with(hardware=device)
    outcomes: list[str] = []

    def user(seed: int) -> None:
        choice = random.Random(seed)
        for _ in range(25):
            names = ("text", choice.choice(["one", "two", "three"]), "vae")
            cancelled_at = choice.choice(names) if choice.random() < 0.1 else None
            try:
                with registry.acquire(recipe(folder, names[1], *names)) as pipeline:
                    for name in names:
                        if name == cancelled_at:
                            raise StopRequested
                        if not correct(pipeline, answers, name):
                            outcomes.append("wrong")
                outcomes.append("done")
            except StopRequested:
                outcomes.append("cancelled")

    run_all([lambda seed=seed: user(seed) for seed in range(8)])
    assert len(outcomes) == 200 and "wrong" not in outcomes and 5 < outcomes.count("cancelled") < 40
    registry.unload()
    assert (device.live, device.host_live, registry.memory.leases) == (0, 0, set())


def test_a_job_computes_the_same_while_other_methods_load(folder, answers):
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    end = threading.Event()

    def load() -> None:
        while not end.is_set():
            with registry.acquire(recipe(folder, "other", "one", "two", "three")):
                pass
            registry.unload()

    loader = threading.Thread(target=load)
    with registry.acquire(recipe(folder, "m", "text")) as pipeline:
        loader.start()
        right = [correct(pipeline, answers, "text") for _ in range(24)]
        end.set()
        loader.join()
    assert right == [True] * 24 and torch.get_default_dtype() == torch.float32


def test_reading_ahead_touches_no_module_and_serves_the_next_job(folder, answers):
    registry = registry_with(hardware=CountingDevice(GENEROUS))
    registry.prefetch(recipe(folder, "m", "one", "two"))
    assert registry.status()["components"] == [], "the first job starts everything"
    assert registry.memory.fetches == 0
    registry.prefetch(recipe(folder, "m", "one", "two"))
    assert registry.memory.fetches == 2
    with registry.acquire(recipe(folder, "m", "one", "two")) as pipeline:
        assert correct(pipeline, answers, "one", "two")
    assert registry.memory.fetches == 2


@pytest.mark.parametrize("separate", [True, False])
def test_reading_ahead_never_makes_room_and_gives_way(folder, answers, sizes, separate):
    device = CountingDevice(sizes["one"] + sizes["two"] + 1, sizes["one"] + sizes["two"] + 1, separate)
    registry = registry_with(hardware=device)
    assert registry.memory.fetches == 0
    registry.prefetch(recipe(folder, "m", "one", "two", "three"))
    with registry.acquire(recipe(folder, "n", "text")) as pipeline:
        assert correct(pipeline, answers, "text")
    registry.unload()
    assert device.live == device.host_live == 0


def test_a_file_that_is_cut_while_it_is_read_is_a_sentence_and_a_retry_works(tmp_path, monkeypatch):
    from studio.registry import fetching

    tower = save_tower(tmp_path / "one", 3)
    expected = tower.decode(TOKENS).detach()
    file = tmp_path / "one" / "diffusion_pytorch_model.safetensors"
    whole, fill = file.read_bytes(), fetching.fill

    def cut(*arguments: Any) -> None:
        with file.open("r+b") as stream:
            stream.truncate(len(whole) - 100)
        fill(*arguments)

    registry = registry_with(hardware=CountingDevice(GENEROUS))
    with monkeypatch.context() as patch:
        patch.setattr(fetching, "fill", cut)
        with (
            pytest.raises(WeightsError, match=r"became shorter|was changed"),
            registry.acquire(recipe(tmp_path, "m", "one")),
        ):
            pass
    assert registry.status()["components"] == [] and registry.memory.used() == 0
    file.write_bytes(whole)
    with registry.acquire(recipe(tmp_path, "m", "one")) as pipeline:
        assert torch.equal(pipeline.compute("one"), expected)


@pytest.mark.parametrize("at", range(1, 5))
def test_no_memory_at_any_allocation_leaves_the_state_as_it_was(folder, answers, at):
    device = CountingDevice(GENEROUS)
    registry = registry_with(hardware=device)
    with registry.acquire(recipe(folder, "m", "vae")):
        pass
    before = registry.status()
    device.fail_at, device.failures = device.allocations + at, 9
    with pytest.raises(torch.OutOfMemoryError), registry.acquire(recipe(folder, "m", "text", "one")):
        pass
    device.fail_at = 0
    after = registry.status()
    assert [c["source"] for c in after["components"]] == [c["source"] for c in before["components"]]
    assert after["reserved"] == 0 and device.live <= registry.memory.device.used
    with registry.acquire(recipe(folder, "m", "text", "one")) as pipeline:
        assert correct(pipeline, answers, "text", "one")


def test_one_allocation_that_fails_on_the_device_is_tried_again_with_all_the_room_there_is(folder, answers):
    device = CountingDevice(GENEROUS)
    registry = registry_with(hardware=device)
    with registry.acquire(recipe(folder, "m", "vae")):
        pass
    device.fail_at, device.failures = device.allocations + 2, 1  # the copy to the device
    with registry.acquire(recipe(folder, "m", "one")) as pipeline:
        assert correct(pipeline, answers, "one")
        assert {c["names"][0]: c["place"] for c in registry.status()["components"]} == {
            "vae": "ram",
            "one": "counting",
        }


def test_stopping_takes_effect_between_slices_of_a_vae(tmp_path):
    import diffusers

    config: dict[str, Any] = {
        "down_block_types": ("CogVideoXDownBlock3D",) * 2, "up_block_types": ("CogVideoXUpBlock3D",) * 2,
        "block_out_channels": (8, 8), "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 2,
        "temporal_compression_ratio": 1,
    }  # fmt: skip
    vae = diffusers.AutoencoderKLCogVideoX(**config)
    vae.save_pretrained(tmp_path / "vae")
    from models.method import Component, Recipe

    part = Component("vae", "diffusers:AutoencoderKLCogVideoX", str(tmp_path / "vae"), ("decode",))
    slices = 0

    def on_use() -> None:
        nonlocal slices
        slices += 1
        if slices > 2:
            raise StopRequested

    latents = torch.zeros(1, 4, 8, 4, 4)  # four slices of two latent frames
    registry = registry_with("cpu")
    holder = "tests.unit.studio.tiny_networks:Holder"
    with pytest.raises(StopRequested), registry.acquire(Recipe("m", holder, (part,)), on_use=on_use) as pipeline:
        pipeline.parts["vae"].decode(latents)
    with registry.acquire(Recipe("m", holder, (part,))) as pipeline, torch.no_grad():
        assert pipeline.parts["vae"].decode(latents).sample.shape[2] == 8


def test_measured_memory_is_remembered_and_decides_about_the_next_job(folder, answers, sizes, tmp_path):
    from dataclasses import dataclass

    @dataclass
    class Asked:
        num_frames: int = 10
        height: int = 10
        width: int = 10

    names = ("text", "one")
    budget = sum(sizes[name] for name in names) + 50_000
    device = CountingDevice(budget)
    registry = registry_with(cache_dir=tmp_path, hardware=device)
    with registry.acquire(recipe(folder, "m", *names), request=Asked()) as pipeline:
        for name in names:
            pipeline.compute(name)
            working = device.allocate(40_000)
            del working
    known = json.loads((tmp_path / "activations.json").read_text())
    assert known == {"m/denoise/counting": [[1000, 40_000]], "m/encode/counting": [[1000, 40_000]]}
    again = registry_with(cache_dir=tmp_path, hardware=CountingDevice(budget))
    with again.acquire(recipe(folder, "m", *names)):
        assert again.status()["reserved"] == 0, "a request of no size is no reason to reserve"
    with again.acquire(recipe(folder, "m", *names), request=Asked()):
        assert again.status()["reserved"] == 44_000
    with (
        pytest.raises(WeightsError, match="to compute with"),
        again.acquire(recipe(folder, "m", *names), request=Asked(num_frames=1000)),
    ):
        pass


def test_a_guess_is_no_reason_to_refuse(folder, sizes):
    class Asked:
        num_frames, height, width = 49, 480, 720

    registry = registry_with(hardware=CountingDevice(sizes["one"] + 1000))
    with registry.acquire(recipe(folder, "m", "one"), request=Asked()):
        assert registry.status()["reserved"] == 1000


def test_an_eviction_among_a_hundred_is_decided_within_a_millisecond():
    draw = random.Random(0)
    crowd = [
        Candidate(
            n, draw.randint(1, 1000), draw.random(), draw.choice([None, draw.randint(0, 9)]), draw.randint(0, 999)
        )
        for n in range(100)
    ]
    needed = sum(candidate.bytes for candidate in crowd) // 2
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        chosen = choose_evictions(crowd, needed)
        seconds.append(time.perf_counter() - start)
    assert chosen is not None and sum(c.bytes for c in crowd if c.name in chosen) >= needed
    assert min(seconds) <= 0.001


def test_evictions_prefer_what_no_one_needs_and_spare_what_need_not_go():
    old, new = Candidate("old", 10, 1.0, None, 1), Candidate("new", 10, 1.0, None, 9)
    soon, late = Candidate("soon", 10, 1.0, 0, 1), Candidate("late", 10, 1.0, 5, 1)
    assert choose_evictions([soon, late, new, old], 10) == ["old"]
    assert set(choose_evictions([soon, late, new, old], 30) or ()) == {"old", "new", "late"}
    small, large = Candidate("small", 1, 1.0, None, 1), Candidate("large", 100, 1.0, None, 2)
    assert choose_evictions([small, large], 50) == ["large"]
    assert choose_evictions([small], 50) is None and choose_evictions([], 0) == []


def run_all(work: list[Any]) -> None:
    """Every function in a thread of its own; the first error of any of them."""
    errors: list[BaseException] = []

    def guarded(function: Any) -> None:
        try:
            function()
        except BaseException as error:  # brought to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "someone waits for ever"
    if errors:
        raise errors[0]


def test_old_names_of_clip_and_of_stable_diffusions_vae_are_understood(tmp_path):
    import diffusers
    import transformers

    from models.method import Component, Recipe

    clip: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    networks = {
        "text": ("transformers:CLIPTextModel", transformers.CLIPTextModel(transformers.CLIPTextConfig(**clip))),
        "siglip": (
            "transformers:SiglipVisionModel",
            transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**clip, image_size=32)),
        ),
        "vae": ("diffusers:AutoencoderKL", diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=2)),
    }
    older = {
        "text": lambda name: f"text_model.{name}",
        "siglip": lambda name: f"vision_model.{name}",
        "vae": lambda name: name.replace("to_q", "query").replace("to_k", "key").replace("to_v", "value").replace(
            "to_out.0", "proj_attn"
        ),
    }  # fmt: skip
    extra: dict[str, dict[str, torch.Tensor]] = {
        "text": {"text_model.embeddings.position_ids": torch.arange(77)[None]},
        "siglip": {"text_model.head.weight": torch.zeros(2), "logit_scale": torch.zeros(1)},
        "vae": {},
    }
    for name, (_, network) in networks.items():
        network.save_pretrained(tmp_path / name)
        file = next((tmp_path / name).glob("*.safetensors"))
        renamed = {older[name](key): tensor for key, tensor in load_file(file).items()}
        save_file(renamed | extra[name], file)
    parts = tuple(Component(name, builder, str(tmp_path / name)) for name, (builder, _) in networks.items())
    with registry_with("cpu").acquire(Recipe("m", "tests.unit.studio.tiny_networks:Holder", parts)) as pipeline:
        for name, (_, network) in networks.items():
            ours, theirs = pipeline.parts[name].state_dict(), network.state_dict()
            assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)
