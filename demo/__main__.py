"""Open the page:  python -m demo [--host H] [--port P] [--allow-host N] [--model M] [--mcp]

With FRACTURE_USER and FRACTURE_PASSWORD in the environment the page asks for them.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from demo.upload_deletion import own_folder
from detector.cli.options import UsageError, add_model_options, load_detector

logger = logging.getLogger("demo")
GRACE = 3  # seconds that running answers get after SIGTERM; then their connections are closed


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Raises SystemExit (2) for a wrong one."""
    parser = argparse.ArgumentParser(
        prog=_program(), description="Open the page: a film in, a verdict and a heatmap out.",
        epilog="FRACTURE_USER and FRACTURE_PASSWORD in the environment put a login before it.",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port (%(default)s)")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                        help="a name under which the page answers, beside this machine's own and "
                        "its addresses; may be given several times")
    parser.add_argument("--root-path", default="", metavar="/PATH",
                        help="where a proxy shows the page, if not at the top of its address")
    add_model_options(parser)
    parser.add_argument("--mcp", action="store_true", help="also serve the tools over MCP")
    chosen = parser.parse_args(arguments)
    if chosen.mcp and os.environ.get("FRACTURE_USER"):
        parser.error(
            "--mcp cannot stand behind the login: MCP programs cannot log in here. Leave one of "
            "the two out, or put a proxy that asks for a password before a page without login"
        )
    if bool(os.environ.get("FRACTURE_USER")) != bool(os.environ.get("FRACTURE_PASSWORD")):
        parser.error("set both FRACTURE_USER and FRACTURE_PASSWORD, or neither")
    return chosen


def address(host: str) -> str:
    """The host as it stands in an address: an IPv6 one in brackets."""
    return f"[{host}]" if ":" in host else host


def _program() -> str:
    """How this was started: `python -m demo`, `fracture-detector serve`, the Space's `app.py`."""
    name = Path(sys.argv[0]).name
    return "python -m demo" if name == Path(__file__).name else name


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. 0 after a clean stop, 1 if it could not start."""
    chosen = parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(own_folder(os.environ.get("GRADIO_TEMP_DIR")))
        except OSError as error:
            return cannot_start(f"there is no place for uploads: {error.strerror}")
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        return serve(chosen, folder)


def cannot_start(why: object) -> int:
    """Say why there is no page; the exit status."""
    print(f"The page cannot start: {why}", file=sys.stderr)
    return 1


def serve(chosen: argparse.Namespace, folder: Path) -> int:
    """Load the model, build the page, serve it until told to stop."""
    from detector import WeightsError
    from detector.model.hub import resolve_weights

    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        chosen.model = resolve_weights(chosen.model)
        detector = load_detector(chosen)
    except (WeightsError, UsageError) as error:
        return cannot_start(error)
    # From here on nobody outside is called. Gradio asks itself whether it is there, and MCP's tools
    # ask the page: a proxy would not find it.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    from demo.examples import draw_examples, real_examples
    from demo.gradio_patches import LOG_FORMAT, WithoutMessages
    from demo.page import build_page, launch_settings

    for handler in logging.getLogger().handlers:
        handler.setFormatter(WithoutMessages(LOG_FORMAT))
    examples = real_examples() or draw_examples(folder)
    detector.warm_up()  # the first visitor waits no longer than the others
    page = build_page(detector, examples, chosen.model)
    user = os.environ.get("FRACTURE_USER")
    try:
        page.launch(
            server_name=address(chosen.host), server_port=chosen.port, prevent_thread_lock=True,
            auth=(user, os.environ["FRACTURE_PASSWORD"]) if user else None,
            mcp_server=chosen.mcp, root_path=chosen.root_path, **launch_settings(chosen.allow_host),
        )
    except (OSError, ValueError) as error:  # Gradio's ValueError: its own address does not answer
        return cannot_start(error)
    print(f"The page is open on http://{address(chosen.host)}:{chosen.port}", flush=True)
    stop.wait()
    page.server.config.timeout_graceful_shutdown = GRACE
    page.close(verbose=False)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # A reading that still runs in a thread would keep the process; the server is closed by now.
    os._exit(code)
