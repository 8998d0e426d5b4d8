"""What `python -m engine.cli` runs."""

from engine.cli.main import main

if __name__ == "__main__":
    main()
