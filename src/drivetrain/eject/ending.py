"""How a script that answers ends where nobody reads its answers any more, as in `… | head`."""

from __future__ import annotations

from drivetrain.eject.modules import Import

RUN = '''
def run() -> int:
    """`main`; it ends quietly where nobody reads on, as in `... | head`."""
    try:
        return main()
    except BrokenPipeError:
        with open(os.devnull, "w") as nothing:  # else Python complains once more at its end
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE, what a shell gives a program that a closed pipe ended
'''
"""Written after `main`, which flushes what it prints and returns an exit code.

`open`, not `os.open`: methods of that name would be kept in the classes that are lifted.
"""

ENDING = "sys.exit(run())"
"""What running the file does."""

IMPORTS = (Import("os"), Import("sys"))
"""What `RUN` uses."""
