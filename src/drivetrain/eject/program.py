"""The pieces of a script together: what is only known once all of them are there.

`settle` looks at every call of every lifted function: what all of them give alike, or leave at its
default, becomes a constant inside, and the parameter goes. That decides further branches, which makes
further functions needless, and so on until nothing changes. A function that says one thing and is
called once is written where it is called. What nobody reads goes.
"""

from __future__ import annotations

from collections.abc import Iterable

from drivetrain.eject.finishing import close_up, drop_annotations, make_public
from drivetrain.eject.lift import Lifter, Piece
from drivetrain.eject.parameters import (
    put_in_known,
    specialise,
    without_unread_answers,
    without_usual_arguments,
)
from drivetrain.eject.pieces import Pieces
from drivetrain.eject.placing import write_expressions, write_layers, write_statements
from drivetrain.eject.signatures import function_of
from drivetrain.eject.unread import (
    drop_attributes,
    drop_identities,
    drop_unread,
    records_as_tuples,
)

ROUNDS = 12


def settle(lifter: Lifter, written: Iterable[Piece], *, pinned: Iterable[str] = ()) -> Pieces:
    """Make of the pieces what this run needs.

    Args:
        lifter, written, pinned: see `Pieces`.
    """
    pieces = Pieces(lifter, written, pinned=pinned)
    for _ in range(ROUNDS):
        before = pieces.told()
        fold(pieces)
        while lifter.add_called_methods():
            pass
        drop_unread(pieces)
        specialise(pieces)
        fold(pieces)
        without_usual_arguments(pieces)
        without_unread_answers(pieces)
        write_expressions(pieces)
        write_statements(pieces)
        drop_unread(pieces)
        drop_attributes(pieces)
        drop_identities(pieces)
        records_as_tuples(pieces)
        close_up(pieces)
        write_layers(pieces)
        if pieces.told() == before:
            break
    drop_annotations(pieces)
    make_public(pieces)
    return pieces


def fold(pieces: Pieces) -> None:
    """Put in what is known, in all that may be changed."""
    for piece in pieces.changeable:
        folder = pieces.lifter.script_folder(piece)
        function = function_of(piece)
        if function is not None and piece.known:
            put_in_known(pieces, function, piece)
        body = [piece.node]
        folder.fold(body)
