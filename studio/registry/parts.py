"""What a job gets to work with: its own module over shared weights, its own tokenizer, a scheduler made for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from models.method import Component
from studio.registry.files import WeightsError, find_folder, import_object, shown
from studio.registry.names import match_names
from studio.registry.options import Options
from studio.registry.sources import Source

if TYPE_CHECKING:
    from studio.registry.lease import Lease, Part
    from studio.registry.memory import Memory
    from studio.registry.residents import Resident
    from studio.registry.shells import Shell

logger = logging.getLogger(__name__)


class Workshop:
    """Makes modules, lends each to one job at a time, and keeps them for the next."""

    def __init__(self, memory: Memory, options: Options) -> None:
        self._memory = memory
        self._options = options
        self._tools: dict[tuple[str, str], list[Any]] = {}  # at rest

    def take_shell(self, residents: tuple[Resident, ...], sources: Sequence[Source], method: str) -> Shell:
        """The method's own module, at rest or new, over the tensors of `residents`, which are those of `sources`."""
        resident, source = residents[0], sources[0]
        for one in residents:
            one.names.add((method, source.component.name))
        resting = resident.idle.get((method, source.component.name, source.network), [])
        while resting:
            shell = resting.pop()
            if shell.bound_to == residents:
                return shell
            self._let_go(resident, shell)  # its base has left memory since and is another one now
        from studio.registry import shells
        from studio.registry.tuning import tune

        module = self._built(source)
        dtype = shells.torch_dtype(source.compute)
        hardware = self._memory.hardware
        tensors = {}
        for one, names in zip(residents, _checked_names(module, sources), strict=True):
            tensors |= one.shared_tensors(module, names, hardware.torch_device)
        shells.attach(module, tensors)
        tune(module, source.component, dtype, self._options)
        shell = shells.Shell(module, shells.buffer_bytes(module, dtype), bound_to=residents)
        self._memory.grow(resident, shell.buffer_bytes)
        resident.shells.append(shell)
        where = hardware.torch_device if self._memory.present(resident) else "cpu"
        shells.place_buffers(module, where, dtype)
        shell.form = shells.form_of(module)
        return shell

    def return_shell(self, part: Part) -> None:
        """Keep it if it is what it was, and if the method has no other at rest."""
        from studio.registry.shells import restore

        resident, shell = part.residents[0], part.shell
        idle = resident.idle.setdefault((part.method, part.component.name, part.network), [])
        if restore(shell) and not idle:
            idle.append(shell)
        else:
            self._let_go(resident, shell)

    def take_tool(self, lease: Lease, component: Component) -> Any:
        """A tokenizer that no other job has, or a scheduler, new for each: its state belongs to one job.

        `from_pretrained` is harmless for these: it builds no module and reads no weights.
        """
        name = (component.builder, component.source)
        with self._memory.changed:
            resting = self._tools.get(name, [])
            tool = resting.pop() if resting else None
        if tool is None:
            folder = find_folder(component.source)
            try:
                tool = import_object(component.builder).from_pretrained(folder)
            except (OSError, ValueError, TypeError, KeyError) as error:
                logger.exception("cannot load %s from %s", component.name, folder)
                raise WeightsError(
                    f"The {component.name} in {shown(folder)} cannot be read.", "Copy or download the folder again."
                ) from error
        lease.tools.append((name, tool))
        return type(tool).from_config(tool.config) if hasattr(tool, "from_config") else tool

    def return_tools(self, lease: Lease) -> None:
        for name, tool in lease.tools:
            self._tools.setdefault(name, []).append(tool)
        lease.tools.clear()

    def clear(self) -> None:
        """Forget tools at rest."""
        self._tools.clear()

    def _let_go(self, resident: Resident, shell: Shell) -> None:
        if shell in resident.shells:
            resident.shells.remove(shell)
            self._memory.shrink(resident, shell.buffer_bytes)

    def _built(self, source: Source) -> Any:
        from studio.registry.shells import build_module

        try:
            return build_module(source.component.builder, source.config)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            logger.exception("cannot build %s", source.component.builder)
            name, reason = source.component.builder.partition(":")[2], str(error).partition("\n")[0]
            raise WeightsError(
                f"{shown(source.folder / 'config.json')} does not describe a {name}: {reason}.",
                "The weights belong to another network or version.",
            ) from error


def _checked_names(module: Any, sources: Sequence[Source]) -> list[dict[str, str]]:
    """Network's name -> name in the files, for each source; the first that has a tensor gives it.

    WeightsError unless all of them together fit in names and shapes, before a byte is read.
    """
    from studio.registry import shells

    own = [rf"(^|\.){name}$" for _, name, _ in shells.own_buffers(module)]  # older versions saved these too
    ignored = [*(getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ()), *own]
    held = [{name: entry for file in source.files for name, entry in file.entries.items()} for source in sources]
    entries = {name: entry for entries in reversed(held) for name, entry in entries.items()}
    names, missing, unknown = match_names(list(module.state_dict()), shells.tied_names(module), entries, ignored)
    shapes = {name: entries[stored].shape for name, stored in names.items()}
    place = " with ".join(shown(source.folder) for source in sources)
    shells.check_shapes(module, shapes, missing, unknown, place)
    giver = {name: index for index, entries in reversed(list(enumerate(held))) for name in entries}
    return [
        {name: stored for name, stored in names.items() if giver[stored] == index} for index in range(len(sources))
    ]
