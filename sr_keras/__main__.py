"""Runs the command line: `python -m sr_keras`."""

from sr_keras.cli import main

if __name__ == "__main__":
    main()
