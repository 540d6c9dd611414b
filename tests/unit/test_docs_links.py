"""What the documents name exists: linked files and headings, paths, names in the code; and their example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
PICTURE = PROJECT / "docs" / "images" / "data-path.svg"

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(
    r"\b(?:backend|benchmarks|docs|mento_gui|resources|tests|widgets)/[\w/*.-]*\.(?:md|png|py|svg|toml)\b"
)
_NAMES_IN_FILE = re.compile(r"((?:`\w+`(?:, | and )?)+) in `([\w/]+\.py)`")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors_of(document: Path) -> set[str]:
    """Headings of a document as they stand in links."""
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for target in _LINK.findall(_FENCED.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors_of(linked), f"{target}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_paths_and_names_are_those_of_the_code(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for path in _PATH.findall(text):
        assert list(PROJECT.glob(path)), f"{path} does not exist"
    for names, path in _NAMES_IN_FILE.findall(text):
        code = (PROJECT / path).read_text(encoding="utf-8")
        for name in re.findall(r"\w+", names):
            assert re.search(rf"\b{name}\b", code), f"{path} does not have {name}"


def test_the_picture_names_files_of_the_engine() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    named = set(re.findall(r"\b\w+\.py\b", text))
    assert len(named) > 10
    assert named <= {path.name for path in (PROJECT / "backend").rglob("*.py")}


def test_every_kernel_file_of_the_engine_is_explained() -> None:
    """A developer who looks for a file of the data path in the page finds it."""
    text = (PROJECT / "docs" / "engine.md").read_text(encoding="utf-8")
    folders = (PROJECT / "backend", PROJECT / "backend" / "detector", PROJECT / "backend" / "correlation")
    kernels = [
        path for folder in folders for path in folder.glob("*.py") if "@numba.njit" in path.read_text("utf-8")
    ]
    assert kernels
    assert [path.name for path in kernels if path.name not in text] == []


def test_the_example_of_the_engine_page_is_true() -> None:
    text = (PROJECT / "docs" / "engine.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(compile(example, "docs/engine.md", "exec"), {})
