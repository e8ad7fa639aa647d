"""Nothing of an upload stays behind but the film itself, which Gradio deletes in its time.

Gradio (6.31) deletes the uploads that arrived, and those that it refuses. What it wrote of one that
its sender broke off stays in its folder until the page stops: part of a film that nobody knows of.
And each time it hands a film's path over it leaves an empty file there.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData
from gradio.route_utils import GradioMultiPartParser, MultiPartException
from gradio.utils import NamedString
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect

_parse = GradioMultiPartParser.parse


async def parse(parser: GradioMultiPartParser) -> FormData:
    """Read one request with uploads; delete what was written of it if that fails."""
    try:
        return await _parse(parser)
    except BaseException as error:
        for file in parser._files_to_close_on_error:
            file.close()
            Path(file.name).unlink(missing_ok=True)
        if isinstance(error, ClientDisconnect):  # not the page's fault: no traceback
            raise MultiPartException("The upload broke off.") from None
        raise


def hand_over(component: gr.File | gr.UploadButton, file: FileData) -> NamedString:
    """The path of a film that was uploaded; Gradio has checked that it was."""
    return NamedString(file.path)


def leave_nothing() -> None:
    """Let Gradio read uploads, and hand them over, this way."""
    GradioMultiPartParser.parse = parse
    gr.File._process_single_file = gr.UploadButton._process_single_file = hand_over
