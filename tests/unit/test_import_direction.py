"""app -> studio.ui -> studio.{presets,jobs,history,compare,outputs} -> models.method, and nothing the other way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "diffusers", "transformers"}
METHODS = {file.parent.name for file in ROOT.glob("models/*/__init__.py") if "METHOD = " in file.read_text("utf-8")}
SERVER = (
    "app",
    "studio.batch",
    "studio.cli",
    "studio.commands",
    "studio.compare",
    "studio.history",
    "studio.jobs",
    "studio.presets",
    "studio.settings",
    "studio.space",
    "studio.ui",
    "studio.weights",
)
SERVER += ("studio.executors.process",)


def modules() -> dict[str, Path]:
    files = [ROOT / "app.py", *ROOT.glob("studio/**/*.py"), *ROOT.glob("models/**/*.py")]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


MODULES = modules()


def imports(module: str, at_import_only: bool = False) -> set[str]:
    """Names of the modules that `module` imports; optionally only those that importing it would import."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if at_import_only and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _typing_only(node)
        ):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES}
        pending.extend(ast.iter_child_nodes(node))
    return found


def _typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _base(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def reached(module: str) -> dict[str, list[str]]:
    """Everything that importing `module` imports, however indirectly inside our code, with the way there."""
    ways = {module: [module]}
    pending = [module]
    while pending:
        current = pending.pop()
        parents = {current.rsplit(".", depth)[0] for depth in range(1, current.count(".") + 1)}
        for name in imports(current, at_import_only=True) | (parents & set(MODULES)) if current in MODULES else set():
            if name not in ways:
                ways[name] = [*ways[current], name]
                pending.append(name)
    return ways


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def test_models_never_import_the_studio():
    wrong = {module: imports(module) for module in MODULES if within(module, "models")}
    assert not {
        module: names for module, names in wrong.items() if any(within(name, "studio", "app") for name in names)
    }


def test_methods_never_import_each_other():
    for method in METHODS:
        others = [f"models.{other}" for other in METHODS - {method}]
        for module in MODULES:
            if within(module, f"models.{method}"):
                assert not [name for name in imports(module) if within(name, *others)], module


def test_what_methods_share_imports_no_method():
    methods = [f"models.{method}" for method in METHODS]
    for module in MODULES:
        if within(module, "models.common", "models.method"):
            assert not [name for name in imports(module) if within(name, *methods)], module


def test_only_the_registry_and_the_metrics_touch_torch():
    for module in MODULES:
        if within(module, "studio") and not within(module, "studio.registry", "studio.metrics"):
            assert not [name for name in imports(module) if name.split(".")[0] in HEAVY], module


def test_only_the_page_imports_gradio():
    # the commands open the page and write it offline; the trial of a Space draws it
    doors = ("studio.ui", "studio.cli", "studio.commands", "studio.space.trial")
    for module in MODULES:
        if within(module, "studio") and not within(module, *doors):
            assert not [name for name in imports(module) if within(name, "gradio", "studio.ui")], module


@pytest.mark.parametrize("module", sorted(name for name in MODULES if within(name, *SERVER)))
def test_the_server_process_never_imports_torch(module):
    ways = reached(module)
    heavy = {name: " -> ".join(way) for name, way in ways.items() if name.split(".")[0] in HEAVY}
    assert not heavy


@pytest.mark.parametrize("method", sorted(METHODS))
def test_describing_a_method_imports_no_torch(method):
    heavy = {
        name: " -> ".join(way) for name, way in reached(f"models.{method}").items() if name.split(".")[0] in HEAVY
    }
    assert not heavy
