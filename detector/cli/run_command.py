"""How a command ends before its time: one sentence on stderr, and the exit code that goes with it.

Nobody reads on (``| head``), the disk is full, Ctrl-C, a wrong argument.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from detector.cli.options import BAD_USAGE, DONE, INTERRUPTED, UsageError


def run_command(
    program: str, run: Callable[[], int], faults: tuple[type[Exception], ...] = (UsageError,)
) -> int:
    """Run a command to its end; returns the exit code.

    Args:
        program: its name, which begins the sentence.
        run: the command.
        faults: what its errors are, beside those of the system. Others are ours, and pass.
    """
    try:
        return run()
    except BrokenPipeError:  # whoever read the results has enough
        _give_up_stdout()
        return DONE
    except (*faults, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        _give_up_stdout()
        return BAD_USAGE
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted.", file=sys.stderr)
        return INTERRUPTED


def _give_up_stdout() -> None:
    """Where stdout takes no more, what still waits for it must not be tried again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
