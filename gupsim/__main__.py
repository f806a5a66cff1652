"""`python -m gupsim`: the same as the command `gupsim`."""

from gupsim.cli.main import main

if __name__ == "__main__":
    main()
