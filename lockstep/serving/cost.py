"""How long a model takes for so many rows: time = a * rows + b, learnt from every micro-batch.

The fit is least squares with exponential forgetting: old batches count less and less, so it follows a machine that gets
slower. BentoML's dispatcher fits the same line (bentoml/_internal/marshal/dispatcher.py), over its last batches.
"""

from dataclasses import dataclass, field

# Weight of a batch against the one after it: the last hundred or so count.
MEMORY = 0.99
# A pause of the machine is no property of the model: a batch counts as at most so many times its prediction.
OUTLIER = 10.0
MIN_SPREAD = 1e-6


@dataclass
class Cost:
    """The learnt cost of one loaded model.

    Attributes:
        seconds_per_row: The slope a.
        seconds_per_batch: The intercept b.
        batches: Measured so far.
    """

    seconds_per_row: float = 0.0
    seconds_per_batch: float = 0.0
    batches: int = 0
    _sums: list[float] = field(default_factory=lambda: [0.0] * 5)

    def learn(self, rows: int, seconds: float) -> None:
        """Take in that a batch of `rows` rows took so many seconds."""
        if self.batches:
            seconds = min(seconds, OUTLIER * max(self.predict(rows), MIN_SPREAD))
        new = (1.0, rows, rows * rows, seconds, rows * seconds)
        self._sums = [MEMORY * old + more for old, more in zip(self._sums, new, strict=True)]
        self.batches += 1
        weight, n, nn, t, nt = self._sums
        spread = nn - n * n / weight
        slope = (nt - n * t / weight) / spread if spread > MIN_SPREAD * nn else self.seconds_per_row
        # Neither may be negative: of a flat or a proportional cost noise alone decides the sign.
        self.seconds_per_row = min(max(slope, 0.0), t / n) if n else 0.0
        self.seconds_per_batch = max((t - self.seconds_per_row * n) / weight, 0.0)

    def predict(self, rows: int) -> float:
        """Return the seconds that a batch of so many rows takes; 0 when nothing is known."""
        return self.seconds_per_row * rows + self.seconds_per_batch

    def rows_within(self, seconds: float, *, most: int) -> int:
        """Return how many rows fit into so many seconds, at least 0 and at most `most`."""
        left = seconds - self.seconds_per_batch
        if left <= 0:
            return 0
        if self.seconds_per_row * most <= left:
            return most
        return int(left / self.seconds_per_row)
