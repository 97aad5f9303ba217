"""The program `drivetrain`: finds the command, runs it, and turns every ending into an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

import click

from drivetrain._registry import did_you_mean
from drivetrain.cli import anew, exits

COMMANDS: dict[str, str] = {
    "train": "Train a model on pictures, texts, a table, ratings, or a sample.",
    "predict": "Say what is on pictures or in texts, or predict rows or ratings.",
    "evaluate": "Measure a model on labelled pictures, rows, texts or ratings.",
    "test": "Open the sealed test part, and count the look.",
    "ensemble": "Average several runs: measure them as one, or predict.",
    "recommend": "Say what a user may like, and why; or write it for everybody.",
    "check": "Look for leaks, repeats and conflicts before training.",
    "clean": "Look at doubtful labels, correct them, and write a patch.",
    "describe": "Look at a table: figures, histograms, and what may go wrong.",
    "explain": "Ask a model why: rows of a table, words of a text, axes of taste.",
    "tune": "Search for a model's settings on a table, and say if it helped.",
    "sweep": "Try many models and sizes, and put them side by side.",
    "levers": "Find the best settings, or whom to treat, from a problem file.",
    "look": "Show pictures as a model sees them: resized, varied, in a batch.",
    "map": "Draw what a model takes for alike: a dot an item.",
    "report": "Write a run as a page: what it reached, where it errs.",
    "why": "Say why a run is as it is: each choice, its reason.",
    "eject": "Write a run as a plain script with the same weights.",
    "export": "Write a run as a bundle: it predicts, and proves itself.",
    "verify": "Prove a bundle: its files, and its answers.",
    "resume": "Continue a training that was stopped.",
    "show": "Work out any number of a run: layer, loss, metric, step.",
    "summary": "Show a model layer by layer: activations and parameters.",
    "page": "Write a page with sliders: a fit, a rate, a kernel.",
    "sheet": "Write a workbook that learns in its cells, or of a run.",
    "advise": "Say what to try next, in the course's order; or try it.",
    "diff": "Compare two runs: what was set, and what came of it.",
    "resize": "Copy a folder of pictures at a small size.",
    "docs": "Say what a name is: signature, explanation, source.",
    "samples": "List the embedded data sets, or write one as a folder.",
}
"""Command -> its line in the help; the command itself is `drivetrain.cli.<name>.command`."""


class Program(click.Group):
    """A group that imports a command when it is called, and reports every error in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table: as they are used, not by the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"drivetrain.cli.{cmd_name}").command
        for option in command.params:
            kind = option.type
            if isinstance(kind, click.IntRange | click.FloatRange) and kind.name.endswith("range"):
                kind.name = "number"  # click says "integer range"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with an answer to a typing slip."""
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing:
            known = ", ".join(COMMANDS)
            ctx.fail(f"There is no command '{name}'.{did_you_mean(name, COMMANDS)} Known: {known}.")
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, then end the process with the exit code; a caller who wants exceptions turns that off."""
        name = prog_name or "drivetrain"
        if not standalone_mode:
            return super().main(args, name, complete_var, standalone_mode=False, **extra)
        words = list(sys.argv[1:] if args is None else args)
        run = partial(super().main, args, name, complete_var, standalone_mode=False, **extra)
        sys.exit(exits.code_of(run, words=words))

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the arguments; `--help` and `--version` are answered here."""
        words = list(extra.get("args", args[1] if len(args) > 1 else ()))  # reading takes them away
        with _told_to_exits():
            context = super().make_context(*args, **extra)
        context.meta[anew.WORDS] = words
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _told_to_exits():
            return super().invoke(ctx)


@contextlib.contextmanager
def _told_to_exits() -> Iterator[None]:
    """Turn Ctrl-C and a closed pipe into errors of ours: click has its own answers to those."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise exits.StoppedError("Stopped.") from error
    except BrokenPipeError as error:
        raise exits.ReaderGoneError from error


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from drivetrain import __version__

        click.echo(f"drivetrain {__version__}")
        ctx.exit()


@click.command(
    "drivetrain",
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: drivetrain train. It trains on an embedded sample and says what comes next.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version.",
)
@click.pass_context
def program(ctx: click.Context) -> None:
    """Train a strong model on your own data, and see what it did and why."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """The entry point of the command `drivetrain`."""
    program.main()
    raise AssertionError("standalone mode ends the process")
