"""``python -m detector.training.audit``."""

import sys

from detector.training.audit.command import main

if __name__ == "__main__":
    sys.exit(main())
