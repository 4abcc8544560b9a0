"""What every test may ask for; the engines live in tests/fixtures."""

from hypothesis import settings

pytest_plugins = ["tests.fixtures.engines", "tests.fixtures.store"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
