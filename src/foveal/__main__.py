"""``python -m foveal``: the command line."""

from foveal.app.main import main

if __name__ == "__main__":
    main()
