"""The project's own tests: a generous time limit each, and the long ones (`full`) only when asked for by `-m full`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

SECONDS = 600


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))
    if not config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Run on one thread: models this small only lose time, and runs their exactness, to more."""
    import torch  # not all tests need it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
