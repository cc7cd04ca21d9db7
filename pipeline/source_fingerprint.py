"""Fingerprints of source code, for TFX's cache: its key does not see the code that a node runs."""

import ast
import hashlib
import pathlib
from collections.abc import Iterable

PACKAGE = "muwnet_fer"
ROOT = pathlib.Path(__file__).parents[1]


def compute(*modules: str, files: Iterable[pathlib.Path] = (), root: pathlib.Path = ROOT) -> str:
    """Returns a hash of the modules' source and of all modules of this package they import.

    Args:
      modules: dotted names within the package, such as `muwnet_fer.models.muwnet.trainer`.
      files: others that the modules read, such as templates.
      root: folder of the package.

    Raises:
      FileNotFoundError: for a module that is not there.
    """
    fingerprint = hashlib.sha256()
    for name, path in sorted(collect(*modules, root=root).items()):
        fingerprint.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    for path in sorted(files):
        fingerprint.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return fingerprint.hexdigest()[:16]


def collect(*modules: str, root: pathlib.Path = ROOT) -> dict[str, pathlib.Path]:
    """Returns the files of the modules and of what they import from this package, by name."""
    found: dict[str, pathlib.Path] = {}
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        path = _find(name, root)
        if path is None:
            raise FileNotFoundError(f"expected a module of {PACKAGE} under {root}, got {name}")
        found[name] = path
        pending += [imported for imported in list_imports(path) if _find(imported, root)]
    return found


def list_imports(path: pathlib.Path) -> set[str]:
    """Returns the dotted names that a file imports from this package, wherever in the file.

    `from muwnet_fer.data import fer2013` gives `muwnet_fer.data` and `muwnet_fer.data.fer2013`.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == PACKAGE}


def _find(name: str, root: pathlib.Path) -> pathlib.Path | None:
    base = root.joinpath(*name.split(".")[1:])
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)
