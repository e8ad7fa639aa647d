"""The research notebook: it runs from top to bottom on phantoms, and is committed executed."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "Bone_Fracture_Classifier.ipynb"


def text_of(notebook: nbformat.NotebookNode) -> str:
    """Everything that the cells printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in outputs
    )


def pictures_in(notebook: nbformat.NotebookNode) -> int:
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells for output in cell.get("outputs", ())
    )


def test_it_is_committed_executed_on_phantoms() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    text = text_of(notebook)
    assert "phantoms (synthetic) from phantoms" in text and "weights written to" in text
    assert pictures_in(notebook) >= 8
    assert not re.search(r"/(tmp|root|home)/|Traceback", text)  # of no machine in particular


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_runs_on_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRACTURE_DATA", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    committed = pictures_in(notebook)
    client = NotebookClient(
        notebook, timeout=500, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()
    assert "phantoms (synthetic) from phantoms" in text_of(notebook)
    assert pictures_in(notebook) == committed
