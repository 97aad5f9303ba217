"""Every exception that Drivetrain raises on purpose.

    DrivetrainError                      anything below; catch this to catch us
    ├── InputError (ValueError)          data or arguments are wrong                      exit 2
    │   ├── ShapeError                   a tensor has the wrong shape or dtype
    │   ├── DataError                    files, folders or tables that cannot be used
    │   └── ConfigError                  a setting is unknown, out of range, contradictory
    ├── UnknownNameError (LookupError)   a name that no table holds                       exit 2
    ├── MissingPackageError (ImportError) an optional package is not installed            exit 2
    ├── RunError                         a run folder that cannot be read or continued    exit 2
    └── StorageError (OSError)           the disk refused                                 exit 3

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


class StorageError(DrivetrainError, OSError):
    """The disk refused a write or a read."""

    exit_code = 3
