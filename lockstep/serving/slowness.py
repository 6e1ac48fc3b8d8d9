"""How much longer requests wait than the model needs for those ahead, learnt: a process has other work, too."""

from dataclasses import dataclass

# Learnt from the last twenty waits or so. Even if all seem to take the most, some that long are taken, and it is found
# out when they no longer do.
LEARNT_SHARE, MOST = 0.05, 10.0
# A wait is taken for as long as its mean and so many mean deviations.
DEVIATIONS = 3.0


@dataclass
class Slowness:
    """How many times longer waits are than the model needs: their mean, and their mean deviation from it."""

    mean: float = 1.0
    deviation: float = 0.0

    @property
    def factor(self) -> float:
        """By what to multiply what the model needs."""
        return self.mean + DEVIATIONS * self.deviation

    def learn(self, waited_s: float, expected_s: float) -> None:
        """Compare a wait, until the answer, with what the model was to need for those ahead."""
        off = min(max(waited_s / expected_s, 1.0), MOST) - self.mean
        self.mean += LEARNT_SHARE * off
        self.deviation += LEARNT_SHARE * (abs(off) - self.deviation)
