"""The rules of the layout, executed: who imports whom, who may use which library, how long files
and functions may be, and that a class name stands for one thing.
Spans: server, train, clients, benchmarks"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("server", "train", "clients", "benchmarks")
OURS = ("redraft", "tests")

LONGEST_FILE, LONGEST_FUNCTION = 300, 60

# The server, from the ground up: what stands on a floor imports from the floors below it alone.
# The command names its programs and imports the one that is asked for.
FLOORS = (
    {"options", "jsonl", "retry"},
    {"engine"},
    {"refine", "config"},
    {"model", "admission", "telemetry"},
    {"build", "service"},
    {"api"},
    {"run", "cli"},
)
MOST_ROOMS = 14

# What the other packages may import of ours, by the longest prefix of the module's name.
CORE = (
    "redraft.child_process",
    *(f"redraft.server.{room}" for room in ("refine", "engine", "options", "jsonl", "retry")),
)
ALLOWED = {
    "redraft.train": ("redraft.train", *CORE),
    "redraft.train.workbench": ("redraft.train.workbench", "redraft.server.refine"),
    "redraft.clients": ("redraft.clients",),
    "redraft.benchmarks": (
        "redraft.benchmarks",
        "redraft.clients",
        "redraft.train.workbench",
        *CORE,
    ),
}
# library -> the only modules that may import it
RESERVED = {
    "vllm": ("redraft.server.engine.vllm_engine",),
    "trl": ("redraft.train.stages.sft", "redraft.train.stages.dpo"),
    "peft": (
        "redraft.train.trl_settings",
        "redraft.train.stages.dpo",
        "redraft.train.weights",
    ),
    "httpx": ("redraft.server.engine.http_engine", "redraft.clients"),
    "openai": ("redraft.clients.openai_sdk",),
}
WEB = ("fastapi", "starlette")
WEB_ONLY = ("redraft.server.api", "redraft.server.run")
SERVES = ("redraft.train.exact.app",)  # a small server of its own
# What the server may use without an extra, and what vLLM brings its own engine.
BARE = (
    "fastapi",
    "starlette",
    "pydantic",
    "pydantic_core",
    "typing_extensions",  # pydantic's: it takes no TypedDict of typing's before Python 3.12
    "prometheus_client",
    "uvicorn",
    "httpx",
)
WITH_VLLM = ("vllm", "torch", "psutil", "jinja2", "tokenizers")
# Modules that use a library where it is there, or that run with an extra only.
WITH_MORE = {
    "redraft.server.run": ("uvloop",),
    "redraft.server.options.values": ("yaml",),
    "redraft.server.build.aliases": ("gguf",),
    "redraft.server.build.at_hand": ("huggingface_hub",),
    "redraft.server.build.hub": ("huggingface_hub",),
    "redraft.server.build.progress_bar": ("huggingface_hub",),
    "redraft.server.cli.chat_template": ("transformers",),
    "redraft.server.build.gguf_weights": ("gguf", "safetensors", "tokenizers", "torch"),
}
# Class names that may stand more than once, and why.
TWICE = dict.fromkeys(
    ("Feedback", "RefineOptions", "Usage"), "the clients' own: they import nothing of the server"
)
NAMELESS = re.compile(r"(^|_)(util|utils|common|helper|helpers|misc)$")


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("redraft", *(parts[:-1] if parts[-1] == "__init__" else parts)))


@cache
def imports(path: Path, running: bool = False) -> tuple[str, ...]:
    """Every module the file imports, wherever in the file, and those imported by their name;
    when ``running``, without those that only a type checker sees."""
    tree = parsed(path)
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if running and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: list[str] = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; write the full name"
            assert node.module
            # "from package import module" imports a module, "from module import name" a name
            found += [
                f"{node.module}.{alias.name}"
                if (ROOT / node.module.replace(".", "/") / f"{alias.name}.py").exists()
                or (ROOT / node.module.replace(".", "/") / alias.name / "__init__.py").exists()
                else node.module
                for alias in node.names
            ]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("import_module", "importlib.import_module")
            and isinstance(node.args[0], ast.Constant)
        ):
            found.append(str(node.args[0].value))
    return tuple(found)


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def rule_for(module: str) -> tuple[str, ...]:
    longest = max((name for name in ALLOWED if within(module, (name,))), key=len)
    return ALLOWED[longest]


def room_of(module: str) -> str:
    """The server's file or folder that a module belongs to."""
    return module.split(".")[2] if module.startswith("redraft.server.") else ""


def floor_of(room: str) -> int:
    (floor,) = (number for number, rooms in enumerate(FLOORS) if room in rooms)
    return floor


def test_the_server_has_few_rooms_and_every_one_stands_on_a_floor() -> None:
    names = {module_name(path) for path in sources()}
    rooms = {room_of(name) for name in names} - {"", "__main__"}
    assert rooms == set().union(*FLOORS)
    assert len(rooms) <= MOST_ROOMS
    assert len(FLOORS) <= 7


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_a_module_imports_only_in_the_allowed_direction(path: Path) -> None:
    module = module_name(path)
    room = room_of(module)
    for imported in imports(path):
        # "redraft" alone is the version.
        if not within(imported, OURS) or imported in ("redraft", "redraft.child_process"):
            continue
        if module in ("redraft", "redraft.server", "redraft.server.__main__"):
            continue
        if not room:
            assert within(imported, rule_for(module)), f"{module} imports {imported}"
        elif room_of(imported) != room:
            assert room_of(imported), f"{module} imports {imported}"
            assert floor_of(room_of(imported)) < floor_of(room), f"{module} imports {imported}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports within a function count, too; those for type checkers alone do not."""
    names = {module_name(path): path for path in sources()}
    graph = {
        module: {name for name in imports(path, running=True) if name in names} - {module}
        for module, path in names.items()
    }
    while free := [module for module, below in graph.items() if not below & graph.keys()]:
        for module in free:
            del graph[module]
    assert not graph, f"in a circle, or above one: {', '.join(sorted(graph))}"


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_a_reserved_library_is_imported_only_where_it_belongs(path: Path) -> None:
    module = module_name(path)
    for imported in imports(path):
        for library, allowed in RESERVED.items():
            if within(imported, (library,)):
                assert within(module, allowed), f"{module} imports {imported}"
        if within(imported, WEB) and module not in SERVES:
            assert within(module, WEB_ONLY), f"{module} imports {imported}"


# What refine takes from engine: its records, nothing that generates.
ENGINE_RECORDS = tuple(
    f"redraft.server.engine.{name}"
    for name in ("aligned_draft", "base", "overflow", "stop_strings", "strict_json", "tool_calls")
)


def test_the_refine_core_needs_the_standard_library_only() -> None:
    for path in (ROOT / "server" / "refine").rglob("*.py"):
        for imported in imports(path):
            known = imported.partition(".")[0] in sys.stdlib_module_names
            ours = within(imported, ("redraft.server.refine", *ENGINE_RECORDS))
            assert known or ours, f"{path} imports {imported}"


def test_the_server_needs_no_more_than_the_bare_install_but_for_vllm() -> None:
    for path in (ROOT / "server").rglob("*.py"):
        in_vllm = within(module_name(path), ("redraft.server.engine.vllm_engine",))
        allowed = BARE + (WITH_VLLM if in_vllm else ()) + WITH_MORE.get(module_name(path), ())
        for imported in imports(path):
            library = imported.partition(".")[0]
            known = library in sys.stdlib_module_names or library in (*OURS, *allowed)
            assert known, f"{path} imports {imported}"


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_a_file_and_its_functions_are_short_enough_to_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE, f"{path} owns more than one concept"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{path}:{node.lineno} {node.name}: {lines} lines"


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_a_module_says_what_it_owns_and_is_named_for_it(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), f"{path}: no docstring"
    assert not NAMELESS.search(path.stem), f"{path} is named for nothing"


def test_a_class_name_stands_for_one_thing() -> None:
    where: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    twice = {name: files for name, files in where.items() if len(files) > 1}
    assert {name: twice[name] for name in twice.keys() - TWICE.keys()} == {}
    assert twice.keys() >= TWICE.keys(), "an exception that nothing needs any more"


def test_the_light_parts_load_nothing_heavy() -> None:
    """In a process of its own: what other tests imported must not count."""
    heavy = ("torch", "transformers", "vllm", "trl", "peft", "datasets")
    code = (
        "import sys, redraft.clients.client, redraft.server.cli, redraft.server.config; "
        "import redraft.server.refine.loop; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
