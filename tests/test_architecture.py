"""The rules of docs/architecture.md, held against the real imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.running import ROOT, environment

LIB = ROOT / "lib"
PACKAGE = LIB / "fivefold"
LIB_FILES = sorted(PACKAGE.rglob("*.py"))
FLOW_FILES = sorted(ROOT.glob("flows/**/*.py"))
FRONTEND_FILES = sorted(ROOT.glob("frontend/**/*.py"))
CODE = [*LIB_FILES, *FLOW_FILES, *FRONTEND_FILES]
FLOWS = ("train", "score", "monitor", "retrain")
HEAVY = {
    "sklearn",
    "xgboost",
    "lightgbm",
    "mlflow",
    "optuna",
    "altair",
    "scipy",
    "sqlalchemy",
    "skops",
    "dvc",
    "pandas",
}
LIGHT = {"fivefold.core.findings", "fivefold.core.settings"}
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def table_rows(header: str) -> list[list[str]]:
    """Cells of the Markdown table in docs/architecture.md that begins with `header`."""
    lines = ARCHITECTURE.partition(header)[2].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows, header
    return rows


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


PACKAGE_ROWS = table_rows("| package | holds | may import |")
HOLDS = {quoted(row[0])[0]: quoted(row[1]) for row in PACKAGE_ROWS}
MAY_IMPORT = {quoted(row[0])[0]: set(quoted(row[2])) for row in PACKAGE_ROWS}
HOMES = {quoted(row[0])[0]: quoted(row[1]) for row in table_rows("| library | only in |")}


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """Name by which the module is imported: the flows' folder is on the path, the root is too."""
    bases = {"lib": LIB, "flows": ROOT / "flows", "frontend": ROOT}
    base = bases[path.relative_to(ROOT).parts[0]]
    return ".".join(path.relative_to(base).with_suffix("").parts)


def _is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def running_nodes(tree: ast.AST, top_only: bool) -> Iterator[ast.AST]:
    """Nodes of code that runs; with `top_only`, only what runs when the module is imported."""
    for child in ast.iter_child_nodes(tree):
        if _is_for_types_only(child):
            continue
        if top_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from running_nodes(child, top_only)


@cache
def imports(path: Path, top_only: bool = False) -> frozenset[str]:
    """Dotted names that the file imports; `from a import b` gives `a` and `a.b`."""
    names: set[str] = set()
    for node in running_nodes(ast.parse(path.read_text(encoding="utf-8")), top_only):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{shown(path)}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def libraries(path: Path, top_only: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imports(path, top_only)}


def test_the_package_table_lists_every_module_and_no_other():
    listed = {f"{package}/{module}.py" for package, modules in HOLDS.items() for module in modules}
    real = {p.relative_to(PACKAGE).as_posix() for p in LIB_FILES if p.name != "__init__.py"}
    assert real - listed == set(), "missing from the table"
    assert listed - real == set(), "only in the table"


@pytest.mark.parametrize("package", HOLDS)
def test_a_package_imports_only_what_the_table_allows(package):
    allowed = {package, *MAY_IMPORT[package]}
    for path in (PACKAGE / package).rglob("*.py"):
        names = {name.split(".")[1] for name in imports(path) if name.startswith("fivefold.")}
        assert names & set(HOLDS) <= allowed, shown(path)


def test_the_package_table_points_down_only():
    seen: set[str] = set()
    for package, may_import in MAY_IMPORT.items():
        assert may_import <= seen, package
        seen.add(package)


def test_no_two_modules_import_each_other():
    modules = {module_name(path): path for path in CODE if path.name != "__init__.py"}
    graph = {name: (imports(path) & set(modules)) - {name} for name, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("library", HOMES)
def test_each_outside_library_has_one_home(library):
    homes = {path for pattern in HOMES[library] for path in ROOT.glob(pattern)}
    users = {path for path in CODE if library in libraries(path)}
    assert {shown(path) for path in users - homes} == set()


def test_the_package_imports_no_flow_no_page_and_no_test():
    forbidden = {"flows", "frontend", "tests", "cards", *(path.stem for path in FLOW_FILES)}
    for path in LIB_FILES:
        assert libraries(path) & forbidden == set(), shown(path)


def test_flows_and_frontend_do_not_import_each_other():
    for path in FLOW_FILES:
        assert libraries(path) & {"frontend", "tests"} == set(), shown(path)
    flow_modules = {"flows", "cards", *(path.stem for path in ROOT.glob("flows/*.py"))}
    for path in FRONTEND_FILES:
        assert libraries(path) & {"tests", *flow_modules} == set(), shown(path)


@pytest.mark.parametrize("path", FLOW_FILES, ids=shown)
def test_nothing_heavy_at_the_top_of_a_flow_file(path):
    top = imports(path, top_only=True)
    assert {name.split(".")[0] for name in top} & (HEAVY | {"numpy"}) == set()
    ours = {".".join(name.split(".")[:3]) for name in top if name.startswith("fivefold.")}
    assert ours - {"fivefold.core"} <= LIGHT


@pytest.mark.parametrize("flow", FLOWS)
def test_a_bare_import_of_a_flow_loads_nothing_heavy(flow):
    code = f"import sys; sys.path.insert(0, 'flows'); import {flow}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & HEAVY == set()


@pytest.mark.parametrize("package", [*HOLDS, "data/reading", "data/synthetic"])
def test_the_docstring_of_a_package_names_its_front_door(package):
    tree = ast.parse((PACKAGE / package / "__init__.py").read_text(encoding="utf-8"))
    assert len(tree.body) == 1, "a docstring and nothing else"
    _, actual, rest = ast.get_docstring(tree).partition("Front door:")
    assert actual
    for module in quoted(rest):
        path = PACKAGE / package / module
        assert path.is_dir() or path.with_suffix(".py").exists(), module
    assert quoted(rest)


@pytest.mark.parametrize("path", [*FLOW_FILES, *FRONTEND_FILES], ids=shown)
def test_architecture_md_names_every_file_of_flows_and_frontend(path):
    name = path.relative_to(ROOT / path.relative_to(ROOT).parts[0]).as_posix()
    if path.name == "__init__.py":
        return
    shown_name = path.name if path.parent.name == "cards" else name
    assert shown_name in ARCHITECTURE


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`([\w/]+/\w+\.py)`", ARCHITECTURE))))
def test_every_file_named_in_architecture_md_exists(named):
    folders = (ROOT, PACKAGE, ROOT / "frontend")
    assert any((folder / named).exists() for folder in folders)


@pytest.mark.parametrize(
    "row", table_rows("| type | module | what it is |"), ids=lambda row: row[0]
)
def test_every_core_type_is_where_the_table_says(row):
    modules = quoted(row[1])
    code = "".join((PACKAGE / module).read_text(encoding="utf-8") for module in modules)
    for name in quoted(row[0]):
        assert re.search(rf"^class {name}\b", code, re.M), name


IMPORT_EVERYTHING = """
import importlib, pathlib, sys
folder = pathlib.Path.cwd()
names = []
for path in sorted(folder.glob("fivefold/**/*.py")):
    name = ".".join(path.relative_to(folder).with_suffix("").parts)
    names.append(name.removesuffix(".__init__"))
run_by_their_tool = {"fivefold.journal.migrations.env", "fivefold.tracking.mlflow_pyfunc"}
for name in [*names, sys.argv[1], "cards.live", "cards.monitor", "cards.score", "cards.train"]:
    if name not in run_by_their_tool:
        module = importlib.import_module(name)
        assert pathlib.Path(module.__file__).is_relative_to(folder), module.__file__
print(len(names))
"""


@pytest.mark.slow
@pytest.mark.parametrize("flow", FLOWS)
def test_the_code_package_of_a_flow_imports_on_a_machine_without_the_project(tmp_path, flow):
    store = tmp_path / "store"
    unpacked = tmp_path / "unpacked"
    store.mkdir()
    unpacked.mkdir()
    archive = tmp_path / "code.tgz"
    save = [sys.executable, str(ROOT / "flows" / f"{flow}.py"), "package", "save", str(archive)]
    subprocess.run(save, cwd=store, env=environment(store), check=True, capture_output=True)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(unpacked)], check=True)

    tracked = {p.relative_to(LIB).as_posix() for p in PACKAGE.rglob("*") if _is_shipped(p)}
    packed = {p.relative_to(unpacked).as_posix() for p in unpacked.glob("fivefold/**/*")}
    assert tracked - packed == set()

    # -S leaves out the editable installation, which is a .pth file; site-packages come by name
    site_packages = [folder for folder in sys.path if folder.endswith("site-packages")]
    env = {**environment(store), "PYTHONPATH": ":".join([str(unpacked), *site_packages])}
    done = subprocess.run(
        [sys.executable, "-S", "-c", IMPORT_EVERYTHING, flow],
        cwd=unpacked,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(LIB_FILES)


def _is_shipped(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and path.name != "py.typed"
