"""`python -m drivetrain` is the command `drivetrain`."""

from drivetrain.cli import main

if __name__ == "__main__":
    main()
