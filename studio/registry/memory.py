"""Who is in memory: admission before a byte moves, room made for what is needed next, one reading per component.

All changes happen under `changed`, in threads that run jobs; background threads only read bytes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from studio.registry.files import WeightsError
from studio.registry.layout import Key
from studio.registry.ledger import Candidate, Ledger, choose_evictions
from studio.registry.sources import Origin, Source

if TYPE_CHECKING:
    from studio.registry.devices import Device
    from studio.registry.lease import Lease
    from studio.registry.residents import Resident
    from studio.registry.streaming import StreamPlan

GIB = 1 << 30
POLL_SECONDS = 0.05  # between two words about a load, and two looks for a stop
UPLOAD_SPEED, DISK_SPEED = 20e9, 2e9  # bytes a second, for weighing what a return would cost
WAITING = "Waiting for memory"


class Memory:
    """`device` is where computing happens; `host` is this machine's memory, the same where that is not separate."""

    def __init__(self, hardware: Device, limit: int) -> None:
        self.hardware = hardware
        self.device = Ledger(limit or hardware.compute_budget())
        self.host = Ledger(hardware.host_budget()) if hardware.separate else self.device
        self.changed = threading.Condition(threading.RLock())
        self.residents: dict[Key, Resident] = {}
        self.leases: set[Lease] = set()
        self.expected: Sequence[set[Origin]] = ()
        self.fetches = 0  # readings begun, ever
        self._threads: dict[Lease, int] = {}  # who holds memory, so that no one waits for himself
        self._uses = 0

    # What is where

    def resident(self, key: Key, source: Source) -> Resident:
        """The component with this content, known or new."""
        from studio.registry.residents import Resident

        if key not in self.residents:
            self.residents[key] = Resident(key, source.component.source, source.files, source.layout, source.compute)
        self.residents[key].origins.add(source.origin)
        return self.residents[key]

    def present(self, resident: Resident) -> bool:
        """Whether all of it is where computing happens."""
        return (resident.device if self.hardware.separate else resident.host) is not None

    def place(self, resident: Resident) -> str:
        """In a word: cpu, cuda, streamed, loading, ram or disk."""
        if self.present(resident):
            return self.hardware.name
        if resident.stream is not None:
            return "streamed"
        if resident.fetch is not None:
            return "loading"
        return "ram" if resident.host is not None else "disk"

    def used(self) -> int:
        """Bytes in both kinds of memory."""
        return self.device.used + (self.host.used if self.hardware.separate else 0)

    # Holding

    def hold(self, lease: Lease, residents: Sequence[Resident], reserve: int, streams: Collection[StreamPlan]) -> None:
        """Lease all of `residents` at once and bring in what is missing; nothing is held when that fails."""
        with self.changed:
            self._admit(lease, residents, reserve, {stream.resident: stream for stream in streams})
            for resident in residents:
                if not self.present(resident) and resident.host is None and resident.fetch is None:
                    self._begin_fetch(resident)
            waited = [(resident, resident.fetch) for resident in residents if resident.fetch is not None]
            for _, fetch in waited:
                fetch.waiters += 1
        try:
            self._await(lease, waited)
            with self.changed:
                for resident in residents:
                    self._settle(resident, next((plan for plan in streams if plan.resident is resident), None))
        except BaseException:
            self._leave_fetches(waited)
            with self.changed:
                self.let_go(lease)
            raise
        self._leave_fetches(waited)

    def let_go(self, lease: Lease) -> None:
        """Everything this lease holds may move again."""
        self.device.give_back(lease)
        for resident in lease.held:
            resident.leases -= 1
            if resident.stream is not None and not resident.leases:
                resident.stream.stop()
                resident.stream = None
            self.tidy(resident)
        lease.held = []
        self._threads.pop(lease, None)
        self.changed.notify_all()

    def _admit(
        self, lease: Lease, residents: Sequence[Resident], reserve: int, streams: dict[Resident, StreamPlan]
    ) -> None:
        """Decide before a byte moves: make room, wait for it, or say why there is none. Takes the bytes."""
        keep = set(residents)
        while True:
            self._publish_read_ahead()
            missing = [resident for resident in residents if not self.device.held(resident.key)]
            sizes = {r: streams[r].bytes if r in streams else r.bytes for r in missing}
            unread = [r for r in missing if r.host is None and not self.host.held(r.key)]
            need = sum(sizes.values()) + reserve
            copies = sum(resident.layout.bytes for resident in unread) if self.hardware.separate else 0
            streamed_elsewhere = any(resident.stream is not None for resident in residents)
            if not streamed_elsewhere and self._has_room(need, copies, keep):
                break
            if self.end_reading_ahead(keep):
                continue
            if not self._others_hold(lease):
                raise _no_room(need, copies, self.device, self.host)
            lease.on_loading(WAITING, 0, 0)
            self.changed.wait(POLL_SECONDS)
        for resident, size in sizes.items():
            self.device.take(resident.key, size)
        if self.hardware.separate:
            for resident in unread:
                self.host.take(resident.key, resident.layout.bytes)
        self.device.take(lease, reserve)
        self._uses += 1
        for resident in residents:
            resident.leases += 1
            resident.last_use = self._uses
        lease.held = list(residents)
        self._threads[lease] = threading.get_ident()

    def _has_room(self, need: int, copies: int, keep: Collection[Resident]) -> bool:
        if copies and not self._make_room(self.host, copies, self._droppable(keep), self._drop_host):
            return False
        return self._make_room(self.device, need, self._evictable(keep), self.evict)

    def _make_room(
        self, ledger: Ledger, need: int, candidates: list[Resident], drop: Callable[[Resident], None]
    ) -> bool:
        """Drop until `need` bytes are free; nothing is touched when that cannot be."""
        chosen = choose_evictions([self._candidate(ledger, r) for r in candidates], need - ledger.free)
        for key in chosen or ():
            resident = self.residents[key]
            drop(resident)
            self.forget_unused(resident)
        return chosen is not None

    def _evictable(self, keep: Collection[Resident] = ()) -> list[Resident]:
        return [r for r in self.residents.values() if not r.leases and self.present(r) and r not in keep]

    def _droppable(self, keep: Collection[Resident]) -> list[Resident]:
        """Copies in this machine's memory that no one reads from."""
        copies = [r for r in self.residents.values() if r.host is not None and r not in keep]
        return [r for r in copies if self.present(r) or not r.leases]

    def _candidate(self, ledger: Ledger, resident: Resident) -> Candidate[Key]:
        size = ledger.held(resident.key)
        near = resident.host is not None and self.hardware.separate and ledger is self.device
        queue = enumerate(self.expected)
        next_use = next((place for place, origins in queue if origins & resident.origins), None)
        if any(resident in lease.upcoming for lease in self.leases if not lease.whole):
            next_use = -1  # sooner than any job that waits
        seconds = size / (UPLOAD_SPEED if near else DISK_SPEED)
        return Candidate(resident.key, size, seconds, next_use, resident.last_use)

    def _others_hold(self, lease: Lease) -> bool:
        """Whether another thread has memory that it will give back."""
        me = threading.get_ident()
        return any(thread != me for holder, thread in self._threads.items() if holder is not lease)

    # Bringing in

    def read_ahead(self, key: Key, source: Source) -> bool:
        """Begin to read into free memory; False where there is none. Never makes room."""
        with self.changed:
            resident = self.resident(key, source)
            if self.present(resident) or resident.host is not None or resident.fetch or self.host.held(key):
                return True
            size = resident.layout.bytes if self.hardware.separate else resident.bytes
            if size > self.host.free:
                self.forget_unused(resident)
                return False
            self.host.take(key, size)
            self._begin_fetch(resident)
            return True

    def place_all(self, wanted: Mapping[Key, Source]) -> None:
        """Read these and bring them to the device; the copies they came from are dropped. There is room."""
        with self.changed:
            for key, source in wanted.items():
                resident = self.resident(key, source)
                if self.present(resident):
                    continue
                self.device.take(key, resident.layout.bytes)
                try:
                    self._begin_fetch(resident)
                    assert resident.fetch is not None
                    resident.fetch.finished.wait()
                    if resident.fetch.error is not None:
                        raise resident.fetch.error
                    host = resident.fetch.take_buffer()
                    assert host is not None
                    if self.hardware.separate:
                        resident.device = self.hardware.moved(host)
                    else:
                        resident.host = host
                finally:
                    resident.fetch = None
                    self.tidy(resident)

    def end_reading_ahead(self, keep: Collection[Resident] = ()) -> bool:
        """Give up reading that no job waits for; whether there was any."""
        idle = [r for r in self.residents.values() if r.fetch is not None and not r.fetch.waiters and r not in keep]
        for resident in idle:
            assert resident.fetch is not None
            resident.fetch.give_up()
            resident.fetch.finished.wait()
        self._publish_read_ahead()
        return bool(idle)

    def _publish_read_ahead(self) -> None:
        """What was read with no one waiting is in memory like the rest."""
        for resident in list(self.residents.values()):
            fetch = resident.fetch
            if fetch is not None and not fetch.waiters and fetch.finished.is_set():
                resident.host, resident.fetch = fetch.take_buffer(), None
                self.tidy(resident)

    def _begin_fetch(self, resident: Resident) -> None:
        from studio.registry.fetching import Fetch

        self.fetches += 1
        resident.fetch = Fetch(self.hardware.allocate_host, resident.layout, resident.files)

    def _await(self, lease: Lease, waited: list[tuple[Resident, Any]]) -> None:
        total = sum(fetch.total for _, fetch in waited)

        def say(resident: Resident) -> None:
            name = next(part.component.name for part in lease.parts if resident in part.residents)
            lease.on_loading(name, min(sum(fetch.done for _, fetch in waited), total), total)

        for resident, fetch in waited:
            while not fetch.finished.wait(POLL_SECONDS):
                say(resident)
            if fetch.error is not None:
                raise fetch.error
            say(resident)

    def _leave_fetches(self, waited: list[tuple[Resident, Any]]) -> None:
        """Whoever leaves last ends the reading; a cancelled waiter does not cancel the others."""
        for resident, fetch in waited:
            with self.changed:
                fetch.waiters -= 1
                if fetch.waiters or resident.fetch is not fetch:
                    continue
            fetch.give_up()
            fetch.finished.wait()
            with self.changed:
                if resident.fetch is fetch and not fetch.waiters:
                    fetch.take_buffer()
                    resident.fetch = None
                    self.tidy(resident)

    def _settle(self, resident: Resident, plan: StreamPlan | None) -> None:
        """Publish what was read, bring it to the device, let the modules see it."""
        if resident.fetch is not None:
            resident.host, resident.fetch = resident.fetch.take_buffer(), None
        if plan is not None and not self.present(resident):
            from studio.registry.streaming import Stream

            resident.stream = self._with_a_second_try(lambda: Stream(plan, self.hardware))
            return
        if self.hardware.separate and resident.device is None:
            resident.device = self._with_a_second_try(lambda: self._uploaded(resident))
        buffer = resident.device if self.hardware.separate else resident.host
        assert buffer is not None, "admitted and read"
        resident.bind(buffer, self.hardware.torch_device)

    def _uploaded(self, resident: Resident) -> Any:
        assert resident.host is not None
        buffer = self.hardware.allocate(resident.layout.bytes)
        self.hardware.upload(resident.host, buffer)
        return buffer

    def _with_a_second_try(self, bring: Callable[[], Any]) -> Any:
        """Another process, or fragments, can take memory that was counted: once more with all the room there is."""
        import torch

        with contextlib.suppress(torch.OutOfMemoryError):
            return bring()
        for idle in self._evictable():  # after the error is gone, whose frames may hold memory themselves
            self.evict(idle)
        self.hardware.give_back_cached()
        return bring()

    # Letting go

    def evict(self, resident: Resident) -> None:
        """Out of the device's memory; a copy in this machine's stays. Weights never change: nothing to copy back."""
        assert not resident.leases, "leased weights do not move"
        if not self.present(resident):
            return
        resident.unbind(self.hardware.torch_device)
        if self.hardware.separate:
            resident.device = None
        else:
            resident.host = None
        self.device.give_back(resident.key)

    def drop(self, resident: Resident) -> None:
        """Out of all memory, unless someone needs it."""
        if not resident.leases and resident.fetch is None:
            self.evict(resident)
            self._drop_host(resident)
            self.forget_unused(resident)

    def tidy(self, resident: Resident) -> None:
        """Give back bytes that were taken for what did not come."""
        if resident.leases or resident.fetch is not None:
            return
        if not self.present(resident):
            self.device.give_back(resident.key)
        if self.hardware.separate and resident.host is None:
            self.host.give_back(resident.key)
        self.forget_unused(resident)

    def forget_unused(self, resident: Resident) -> None:
        """Of a component that is nowhere and that no pipeline has, nothing remains."""
        nowhere = not self.present(resident) and resident.host is None and resident.fetch is None
        if nowhere and not resident.users and self.residents.get(resident.key) is resident:
            del self.residents[resident.key]
            resident.shells.clear()
            resident.idle.clear()

    def grow(self, resident: Resident, size: int) -> None:
        """Room for what a new module of this component keeps for itself."""
        if self.device.held(resident.key) and size:
            if not self._make_room(self.device, size, self._evictable({resident}), self.evict):
                raise _no_room(size, 0, self.device, self.host)
            self.device.take(resident.key, size)

    def shrink(self, resident: Resident, size: int) -> None:
        """Such a module is gone."""
        if self.device.held(resident.key):
            self.device.give_back(resident.key, size)

    def _drop_host(self, resident: Resident) -> None:
        if self.hardware.separate and resident.host is not None:
            resident.host = None
            self.host.give_back(resident.key)


def _no_room(need: int, copies: int, device: Ledger, host: Ledger) -> WeightsError:
    short = host if copies > host.free and host is not device else device
    kind = "of this machine's memory" if short is host and host is not device else "of memory"
    asked = copies if short is host and host is not device else need
    return WeightsError(
        f"This needs {asked / GIB:.2f} GiB {kind} more; {short.used / GIB:.2f} of {short.budget / GIB:.2f} GiB "
        "are in use by jobs.",
        "Wait until other jobs are done, or choose a smaller preset.",
    )
