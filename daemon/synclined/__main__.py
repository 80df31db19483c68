"""The command `syncline`."""

from synclined.cli import main


if __name__ == "__main__":
    main()
