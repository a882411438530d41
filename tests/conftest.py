"""What every test shares: marked tests are skipped, with the reason, where they cannot run."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports torch: threads that wait for each other on busy cores are far slower
# than one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run, however fast the machine is: a run that fails fails again. To
# look for new ones: pytest --hypothesis-profile=default.
settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# A fifth of them, for make check.
settings.register_profile("quick", settings.get_profile("same"), max_examples=20)
settings.load_profile("same")

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        if (found := shutil.which(name))
    ),
    None,
)
# marker -> why its tests cannot run here; empty when they can
MISSING = {
    "vllm": "" if importlib.util.find_spec("vllm") else "vllm is not installed",
    "train": "" if importlib.util.find_spec("trl") else "trl is not installed",
    "browser": "" if CHROMIUM else "no Chromium or Chrome on PATH",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "attack" not in config.option.markexpr:  # minutes and hours, only when asked for
        attacks = [item for item in items if item.get_closest_marker("attack")]
        items[:] = [item for item in items if item not in attacks]
        config.hook.pytest_deselected(items=attacks)
    for item in items:
        for marker, reason in MISSING.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def chromium() -> str:
    assert CHROMIUM
    return CHROMIUM
