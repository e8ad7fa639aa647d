"""``python -m detector.cli``: the console script without an installation."""

import sys

from detector.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
