"""`python -m lockstep`: the same command line as the `lockstep` console script."""

from lockstep.cli.main import main

if __name__ == "__main__":
    main()
