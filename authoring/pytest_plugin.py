"""Loads the output lock into pytest; pyproject.toml names this module.

It waits until pytest is configured: of what is imported earlier, coverage sees nothing.
"""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the output lock."""
    config.pluginmanager.import_plugin("authoring.locks.outputs_plugin")
