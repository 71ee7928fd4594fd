"""The shared model registry: tensors are shared between methods, modules are not. The only code that moves weights."""

from studio.registry.files import WeightsError
from studio.registry.registry import Registry

__all__ = ["Registry", "WeightsError"]
