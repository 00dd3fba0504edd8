"""``python -m foveal``: the command line."""

from foveal.cli import main

if __name__ == "__main__":
    main()
