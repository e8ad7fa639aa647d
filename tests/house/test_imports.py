"""The house's walls: which room may import which, no cycle, and no extra at a module's top.

DESIGN.md names the rooms. An arrow that is missing here is a decision about the house: add it only
where the importing room lies further along the line.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READS = {"errors", "io", "model", "engines", "explain", "prediction", "predictor", "report",
         "detector"}  # fmt: skip
# Room -> the rooms that it may import. ``detector`` is the public face, ``detector/__init__.py``.
ALLOWED = {
    "errors": set(),
    "io": {"errors"},
    "model": {"errors", "io"},
    "engines": {"errors", "io", "model"},
    "explain": {"errors", "io", "model"},
    "prediction": {"errors", "io", "model", "explain"},
    "report": {"errors", "io", "model", "explain", "prediction"},
    "predictor": {"errors", "io", "model", "engines", "explain", "prediction"},
    "detector": {"errors", "io", "model", "prediction", "predictor"},
    "cli": READS,
    "phantom": set(),
    "bulk": READS | {"cli"},
    "pacs.objects": READS,
    "pacs.node": READS | {"pacs.objects"},
    "pacs.monitor": READS | {"pacs.node"},
    "training.config": set(),
    "training.data": READS | {"training.config", "phantom"},
    "training.audit": READS | {"training.data"},
    "training.card": READS | {"training.data"},
    "training.evaluation": READS | {"phantom", "training.config", "training.data",
                                    "training.card"},
    "training.calibrate": READS | {"training.evaluation"},
    "training.heads": READS | {"training.data", "training.calibrate"},
    "training": READS | {"phantom", "training.config", "training.data", "training.audit",
                         "training.evaluation", "training.card", "training.calibrate",
                         "training.heads"},
    "training.adapt": READS | {"training", "training.data", "training.audit", "training.card",
                               "training.calibrate", "training.heads"},
    "demo": READS | {"cli", "phantom", "pacs.objects"},
    "browser": READS | {"demo"},  # its builder reads the weights and writes them for the page
    "train": READS | {"training", "training.config", "training.data"},
    "main": READS | {"cli"},
}  # fmt: skip
# What only an extra installs, and the files and folders that may import it at a module's top.
EXTRAS = {
    "gradio": (),
    "filelock": (),
    **dict.fromkeys(
        ("arabic_reshaper", "bidi", "reportlab"),
        ("detector/report/pdf.py", "detector/report/letters.py"),
    ),
    "openvino": ("detector/engines/openvino.py",),
    **dict.fromkeys(("highdicom", "pynetdicom"), ("detector/pacs/",)),
    **dict.fromkeys(("fsspec", "pyarrow", "ray"), ("detector/bulk/",)),
    **dict.fromkeys(("accelerate", "matplotlib", "sklearn", "tqdm"), ("detector/training/",)),
    "scipy": ("detector/pacs/", "detector/training/"),
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Name -> file of every module of the program."""
    files = [path for folder in ("detector", "demo", "browser")
             for path in sorted((ROOT / folder).rglob("*.py"))]  # fmt: skip
    return {name_of(path): path for path in [*files, ROOT / "train.py", ROOT / "main.py"]}


def room_of(module: str) -> str:
    first, *rest = module.split(".")
    if first != "detector" or not rest:
        return first
    folder = ROOT / "detector" / rest[0]
    if rest[0] in ("training", "pacs") and len(rest) > 1:
        inner = f"{rest[0]}.{rest[1]}"
        return inner if (folder / rest[1]).is_dir() or inner in ALLOWED else rest[0]
    return rest[0]


def imports_of(path: Path, *, top_only: bool = False) -> Iterator[str]:
    """The modules that a file imports, those for type checking alone left out."""
    nodes = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else str(node.module)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            nodes += node.orelse
        elif not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            nodes += ast.iter_child_nodes(node)


def test_every_arrow_between_rooms_is_one_of_the_design() -> None:
    arrows = {
        f"{module} imports {imported}"
        for module, path in modules().items()
        for imported in imports_of(path)
        if imported in modules() and (room := room_of(module)) != (other := room_of(imported))
        and other not in ALLOWED.get(room, set())
    }
    assert not arrows, "\n".join(sorted(arrows))


def test_no_two_rooms_import_each_other() -> None:
    """The table itself: whatever it allows, it allows in one direction."""
    assert list(TopologicalSorter(ALLOWED).static_order())


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {
        module: {i for i in imports_of(path, top_only=True) if i in modules() and i != module}
        for module, path in modules().items()
    }
    try:
        assert list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_the_library_imports_no_extra_where_it_may_be_missing() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {imported}"
        for module, path in modules().items() if module.startswith("detector")
        for imported in imports_of(path, top_only=True)
        if (extra := imported.partition(".")[0]) in EXTRAS
        and not path.relative_to(ROOT).as_posix().startswith(EXTRAS[extra])
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_pacs_objects_are_made_without_the_network() -> None:
    """A report or a mask is written where no DICOM network library is installed."""
    for module, path in modules().items():
        if room_of(module) == "pacs.objects":
            assert not any(name.startswith("pynetdicom") for name in imports_of(path)), module
