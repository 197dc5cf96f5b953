"""The moment at which the store tests happen, and a clock that shows it."""

NOW = 1_790_000_000.0


class StillClock:
    """Stands still until it is moved."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at

    def now(self) -> float:
        return self.at
