"""Every exception that Drivetrain raises on purpose.

    DrivetrainError                      anything below; catch this to catch us
    ├── InputError (ValueError)          data or arguments are wrong                      exit 2
    │   ├── ShapeError                   a tensor has the wrong shape or dtype
    │   ├── DataError                    files, folders or tables that cannot be used
    │   └── ConfigError                  a setting is unknown, out of range, contradictory
    ├── UnknownNameError (LookupError)   a name that no table holds                       exit 2
    ├── MissingPackageError (ImportError) an optional package is not installed            exit 2
    ├── RunError                         a run folder that cannot be read or continued    exit 2
    ├── BundleError (ValueError)         a bundle, or a stranger's folder, is not sound    exit 2
    ├── ConflictError                    somebody else has decided since                  exit 2
    ├── EjectError (ValueError)          a part of a run that is not plain source         exit 2
    ├── NonFiniteError (ArithmeticError) training or a model's scores met NaN or infinity exit 2
    ├── CheckError (AssertionError)      a Learner breaks a promise; in drivetrain.testing        exit 2
    └── StorageError (OSError)           the disk refused                                 exit 3

    Interrupted (KeyboardInterrupt)      Ctrl-C or SIGTERM ended a fit that can go on   exit 130, 143

A message says what happened, where, and what to do. `exit_code` is what the command line ends with;
an exception outside this tree is our own bug and ends with 4.
"""


class DrivetrainError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 2


class InputError(DrivetrainError, ValueError):
    """The data or the arguments are wrong."""


class ShapeError(InputError):
    """A tensor has another shape or dtype than the contract says."""


class DataError(InputError):
    """Files, folders or tables that cannot be used as they are."""


class ConfigError(InputError):
    """A setting is unknown, out of range, or contradicts another."""


class UnknownNameError(DrivetrainError, LookupError):
    """A name that the table it was looked up in does not hold.

    A `LookupError` and not a `KeyError`, because `KeyError` prints its text in quotes.
    """


class MissingPackageError(DrivetrainError, ImportError):
    """An optional package is needed and not installed."""


class RunError(DrivetrainError):
    """A run folder that cannot be read, or cannot be continued."""


class BundleError(DrivetrainError, ValueError):
    """A bundle, or any folder that may come from a stranger, is not what it has to be."""


class ConflictError(DrivetrainError):
    """A decision that was made looking at an older one: somebody has decided since."""


class EjectError(DrivetrainError, ValueError):
    """A part of a run that cannot be written as plain source, such as a lambda."""


class NonFiniteError(DrivetrainError, ArithmeticError):
    """A number is NaN or infinite: training stopped before it got into the weights, or a model gave it.

    Args:
        message: what it was, where, in which items and layer, and what to do.
        step: the step that was not made, counted from 1 over the Learner's life.
        items: ids of the items that it comes from, or where that cannot be told of all in the batch.
        layer: the first layer whose output or gradient it is in; empty where none is.
    """

    def __init__(
        self, message: str, *, step: int = 0, items: tuple[str, ...] = (), layer: str = ""
    ) -> None:
        super().__init__(message)
        self.step = step
        self.items = items
        self.layer = layer


class StorageError(DrivetrainError, OSError):
    """The disk refused a write or a read."""

    exit_code = 3


class Interrupted(KeyboardInterrupt):
    """A signal ended a fit after a whole batch; everything is kept. The message says how to go on.

    Args:
        message: where it stopped, and how to go on.
        signal: the signal's number.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
        self.exit_code = 128 + signal
