"""What comes next follows from what was, and from nothing else."""

import itertools

import pytest

from edgeconv.finetune.plan import best, next_step
from edgeconv.finetune.settings import FINE, HEAD, PATIENCE, Settings
from edgeconv.history import Epoch


def history(*phases: tuple[str, list[float]]) -> list[Epoch]:
    """Epochs with the given validation losses, phase by phase."""
    rows = [(phase, loss) for phase, losses in phases for loss in losses]
    return [
        Epoch(phase, number, 1e-3, 1.0, 0.5, loss, 0.5, 1.0)
        for number, (phase, loss) in enumerate(rows, 1)
    ]


def test_training_begins_with_the_head() -> None:
    step = next_step([], Settings(epochs=4))
    assert step is not None
    assert (step.phase, step.epoch, step.of_phase, step.learning_rate) == (HEAD, 1, 1, 1e-3)


def test_the_base_follows_ten_times_more_slowly() -> None:
    step = next_step(history((HEAD, [3, 2])), Settings(epochs=2))
    assert step is not None
    assert (step.phase, step.epoch, step.of_phase) == (FINE, 3, 1)
    assert step.learning_rate == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("settings", "phases"),
    [
        (Settings(), (HEAD, FINE)),
        (Settings(unfreeze=0), (HEAD,)),
        (Settings(scratch=True), (FINE,)),
        (Settings(scratch=True, unfreeze=0), (FINE,)),
    ],
)
def test_which_phases_there_are(settings: Settings, phases: tuple[str, ...]) -> None:
    assert settings.phases == phases


def test_from_nothing_all_learns_at_the_full_rate() -> None:
    settings = Settings(scratch=True, unfreeze=3)
    assert settings.peak_rate(FINE) == settings.learning_rate and settings.layers is None


def test_a_phase_ends_when_nothing_got_better() -> None:
    falling = [5, 4, 3, 2]
    settings = Settings(epochs=50)
    waiting = history((HEAD, falling + [2.5] * (PATIENCE - 1)))
    assert next_step(waiting, settings).phase == HEAD  # type: ignore[union-attr]
    ended = history((HEAD, falling + [2.5] * PATIENCE))
    assert next_step(ended, settings).phase == FINE  # type: ignore[union-attr]


def test_the_second_phase_is_given_its_own_patience() -> None:
    # The best epoch lies far back, in the first phase.
    epochs = history((HEAD, [1] + [2] * PATIENCE), (FINE, [3] * (PATIENCE - 1)))
    assert next_step(epochs, Settings(epochs=50)) is not None
    epochs = history((HEAD, [1] + [2] * PATIENCE), (FINE, [3] * PATIENCE))
    assert next_step(epochs, Settings(epochs=50)) is None


def test_the_rate_falls_from_epoch_to_epoch() -> None:
    settings = Settings(epochs=10, scratch=True)
    losses = [10.0 - number for number in range(10)]
    steps = [next_step(history((FINE, losses[:count])), settings) for count in range(10)]
    rates = [step.learning_rate for step in steps if step is not None]
    assert len(rates) == 10 and rates[-1] > 0
    assert all(later < earlier for earlier, later in itertools.pairwise(rates))


def test_training_ends_after_the_last_epoch() -> None:
    assert next_step(history((HEAD, [3, 2]), (FINE, [2, 1])), Settings(epochs=2)) is None


def test_the_earliest_of_equally_good_epochs_is_kept() -> None:
    assert best(history((HEAD, [3, 1, 2]), (FINE, [1, 4]))).epoch == 2
