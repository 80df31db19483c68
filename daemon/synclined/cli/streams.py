"""Standard streams that a program may rely on, also where it was started without them."""

import os
import sys


STANDARD = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_missing_streams() -> None:
    """
    Put the null device in the place of standard streams that are closed.

    A service manager, or ``2>&-``, may start a program without them; Python then has None there.
    Their numbers are free as well: the next file opened would be taken for standard error by
    whatever writes to number 2, and that file may be the database.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < len(STANDARD):
        os.set_inheritable(number, True)
    os.close(number)
    for number, (name, mode) in enumerate(STANDARD):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
