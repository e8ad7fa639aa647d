"""``python -m detector.training.card``."""

import sys

from detector.training.card.command import main

if __name__ == "__main__":
    sys.exit(main())
