"""obstore asks S3 itself, so that moto's stand-in for boto3, or a data bucket in memory, would not be asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from shared.datasets import objects

_quick_tail = objects.quick_tail


_quick_blocks = objects.quick_blocks


def _blocks(version: objects.Version, start: int, end: int) -> bytes:
    return b"".join(objects.blocks(version, start, end))


async def _tail(version: objects.Version, size: int) -> objects.Answer:
    return await asyncio.to_thread(objects.tail, version, size)


@contextlib.contextmanager
def closed() -> Iterator[None]:
    """Sources ask boto3 alone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(objects, "quick_tail", _tail)
        patched.setattr(objects, "quick_blocks", _blocks)
        yield


@contextlib.contextmanager
def opened() -> Iterator[None]:
    """Sources ask as they do when deployed: there is an S3 to ask over HTTP."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(objects, "quick_tail", _quick_tail)
        patched.setattr(objects, "quick_blocks", _quick_blocks)
        objects.store.cache_clear()
        yield
        objects.store.cache_clear()
