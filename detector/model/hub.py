"""Where weights come from and go to: the shipped folder, any folder, the Hugging Face Hub."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

from detector.model.heads import HEADS_FILE
from detector.model.weights import CONFIG_FILE, MODEL_FILE, WeightsError

CARD_FILE = "README.md"
_FILES = [MODEL_FILE, HEADS_FILE, CONFIG_FILE, CARD_FILE]
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")  # a path may begin with a dot, an id not


def shipped_weights() -> Path:
    """The weights that came with the package: beside it in a checkout, in the environment's
    data folder when it was installed from a wheel."""
    beside = Path(__file__).resolve().parents[2] / "weights"
    if (beside / CONFIG_FILE).is_file():
        return beside
    return Path(sysconfig.get_path("data"), "share", "fracture-detector", "weights")


def resolve_weights(weights: str | Path | None) -> Path:
    """A folder that holds the weights: the shipped ones (None), a folder, or a Hub id's download.

    Raises:
        WeightsError: there is no such folder, and the Hub has no such model or is out of reach.
    """
    if weights is None:
        return shipped_weights()
    folder = Path(weights)
    if folder.is_dir() or isinstance(weights, Path) or not _HUB_ID.fullmatch(weights):
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(weights, allow_patterns=_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise WeightsError(
            f"{weights} is no folder here, and could not be had from the Hugging Face Hub: "
            f"{_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        return "there is no such model, or it is private and no token with access to it is set."
    if status:
        return f"the Hub answered with an error ({status}). Try again later."
    return "the Hub cannot be reached. Check the connection, or give a folder."


def push_to_hub(folder: str | Path, hub_id: str, *, private: bool = False) -> str:
    """Upload a weights folder with its model card; returns the commit's address.

    The token is the one that ``hf auth login`` or ``HF_TOKEN`` gives.

    Raises:
        WeightsError: the folder holds no usable weights.
        huggingface_hub.errors.HfHubHTTPError: the Hub refuses.
    """
    from huggingface_hub import HfApi

    from detector.model.weights import read_weights

    read_weights(folder)
    api = HfApi()
    api.create_repo(hub_id, private=private, exist_ok=True)
    done = api.upload_folder(
        repo_id=hub_id, folder_path=folder,
        allow_patterns=[*_FILES, "*.svg", "*.png", "saliency.json"],
        commit_message="Weights with their configuration and model card",
    )
    return done.commit_url
