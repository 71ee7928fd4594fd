"""What a job gets to work with: its own module over shared weights, its own tokenizer, a scheduler made for it."""

from __future__ import annotations

import logging
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

    def take_shell(self, resident: Resident, source: Source, method: str) -> Shell:
        """The method's own module, at rest or new."""
        name = (method, source.component.name)
        resident.names.add(name)
        if resident.idle.get(name):
            return resident.idle[name].pop()
        from studio.registry import shells
        from studio.registry.tuning import tune

        module = self._built(source)
        dtype = shells.torch_dtype(source.compute)
        sources = _checked_names(module, source)
        hardware = self._memory.hardware
        resident.attach(module, sources, hardware.torch_device)
        tune(module, source.component, dtype, self._options)
        shell = shells.Shell(module, shells.buffer_bytes(module, dtype))
        self._memory.grow(resident, shell.buffer_bytes)
        resident.shells.append(shell)
        where = hardware.torch_device if self._memory.present(resident) else "cpu"
        shells.place_buffers(module, where, dtype)
        shell.form = shells.form_of(module)
        return shell

    def return_shell(self, part: Part) -> None:
        """Keep it if it is what it was, and if the method has no other at rest."""
        from studio.registry.shells import restore

        resident, shell = part.resident, part.shell
        idle = resident.idle.setdefault((part.method, part.component.name), [])
        if restore(shell) and not idle:
            idle.append(shell)
        elif shell in resident.shells:
            resident.shells.remove(shell)
            self._memory.shrink(resident, shell.buffer_bytes)

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


def _checked_names(module: Any, source: Source) -> dict[str, str]:
    """Network's name -> name in the files. WeightsError unless names and shapes fit, before a byte is read."""
    from studio.registry import shells

    own = [rf"(^|\.){name}$" for _, name, _ in shells.own_buffers(module)]  # older versions saved these too
    ignored = [*(getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ()), *own]
    entries = {name: entry for file in source.files for name, entry in file.entries.items()}
    sources, missing, unknown = match_names(list(module.state_dict()), shells.tied_names(module), entries, ignored)
    shapes = {name: entries[stored].shape for name, stored in sources.items()}
    shells.check_shapes(module, shapes, missing, unknown, shown(source.folder))
    return sources
