"""What every test may ask for; the engines live in tests/fixtures."""

pytest_plugins = ["tests.fixtures.engines", "tests.fixtures.store"]
