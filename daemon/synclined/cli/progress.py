"""Show how far long work has come, when a terminal watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


LONG_CHANGES = 2000
"""Shorter work shows nothing."""


@contextmanager
def progress_bar(*, is_watched: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what to call with (what is going on, done, total)."""
    if not is_watched:
        yield lambda _title, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(title: str, done: int, total: int) -> None:
            if title not in tasks:
                if total < LONG_CHANGES:
                    return
                tasks[title] = bar.add_task(title)
            bar.update(tasks[title], completed=done, total=total)

        yield show
