"""``python -m shrinkage`` is the command line."""

from shrinkage.cli import main

if __name__ == "__main__":
    main()
