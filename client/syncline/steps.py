"""Work in steps: a large job on the event loop, which takes a turn between them."""

import asyncio
from collections.abc import Generator
from typing import TypeVar


_T = TypeVar("_T")

Steps = Generator[None, None, _T]
"""Yields wherever others may take a turn; returns what comes of it."""


def at_once(steps: Steps[_T]) -> _T:
    """Take all steps without a pause."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        answer: _T = end.value
        return answer


async def in_turns(steps: Steps[_T]) -> _T:
    """Take the steps one by one, and give the loop a turn after each."""
    try:
        while True:
            next(steps)
            await asyncio.sleep(0)
    except StopIteration as end:
        answer: _T = end.value
        return answer
