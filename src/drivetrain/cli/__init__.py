"""The command line: the same things as the library, each a verb.

A command parses its arguments, calls the library, prints what came back; there is no other work in it.
`--help`, `--version` and mistakes in the arguments are answered without importing torch or numpy: every
heavy import stands inside the command that needs it.

Exit codes: 0 done; 2 the input or the arguments are wrong; 3 the system failed (disk, memory); 4 our
own bug; 130 stopped with Ctrl-C; 141 the reader of a pipe went away. But for 0 and 141, one line on
stderr says what happened, where, and what to do.

With `--json` stdout holds exactly one JSON document, the answer, and everything else is on stderr.
When a command fails there is no answer and stdout stays empty.
"""

from __future__ import annotations

from drivetrain.cli.program import main, program

__all__ = ["main", "program"]
