"""``fracture-detector listen``: films in by C-STORE, answers back to the archive.

    fracture-detector listen --spool spool/ --destination ARCHIVE@10.1.2.3:104 --host 0.0.0.0
    fracture-detector listen --config node.toml

SIGTERM or Ctrl-C ends it: what is in work is finished, the rest waits in the spool for the next
start. Exit code: 0 ended by a signal, 1 by a fault (start it again), 2 wrong settings. Not a
medical device.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from functools import partial

from detector import FractureDetector
from detector.io.log_filter import hide_thread_errors
from detector.pacs.node.node import Node
from detector.pacs.node.settings import read_settings
from detector.pacs.objects.make import make_objects

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the node until a signal ends it. ValueError or OSError when a setting is wrong."""
    settings = read_settings(sys.argv[1:] if argv is None else argv, __doc__ or "")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("detector").setLevel(logging.INFO)
    hide_thread_errors()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not set in the handler itself: that may interrupt `wait` while it holds the event's lock.
        signal.signal(number, lambda *_: threading.Thread(target=stopping.set).start())
    detector = FractureDetector.from_pretrained(settings.model)
    detector.warm_up()
    node = Node(settings, detector.predict, partial(make_objects, kinds=settings.objects))
    logger.info("spool: %s", ", ".join(f"{n} {name}" for name, n in node.spool.counts().items()))
    return 0 if node.run(stopping) else 1


if __name__ == "__main__":
    sys.exit(main())
