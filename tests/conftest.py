"""What every test shares: how long the property tests search, and an end for the servers that were started."""

from hypothesis import HealthCheck, settings

from tests import servers

# No deadline: two shared cores make any time a single example takes mean nothing.
settings.register_profile("full", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# For `make check`: what is plainly wrong. `make test` searches the whole length, 100 examples.
settings.register_profile("quick", settings.get_profile("full"), max_examples=15)
settings.load_profile("full")


def pytest_unconfigure() -> None:
    servers.KEPT.close()
