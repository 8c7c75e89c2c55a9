"""What all tests share."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[variable] = "1"  # tests run side by side: small work on many threads only waits

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.load_profile("fixed")

with suppress(ImportError):  # Hypothesis of before draws no constants
    from hypothesis.internal.conjecture import providers

    # Hypothesis draws constants out of the modules of ours that happen to be imported, also when it
    # is told to be deterministic: a test would see other examples beside other tests than alone.
    if hasattr(providers, "_get_local_constants"):
        providers._get_local_constants = lambda: providers._local_constants  # none, unless filled


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Also where the environment was read before."""
    torch.set_num_threads(1)


LONG = ("test_path_interrupts", "test_interrupts", "test_examples", "test_contrast",
        "test_report_browser", "test_polishing", "test_metrics", "test_lost_points")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_collectstart(collector: pytest.Collector) -> None:
    """What a module draws when it is imported does not depend on those before it."""
    if isinstance(collector, pytest.Module):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """What a test draws does not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; left out where there is none, which under CI is a failure."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no chromium on this machine")
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=arguments)
        yield running
        running.close()
