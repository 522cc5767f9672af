"""The class that lost most, among many that lost by luck."""

import numpy as np
import pytest

from edgeconv.verify.classes import ClassMeter
from edgeconv.verify.paired import paired_drop


def meter_of(counts):
    """Counts: class -> (reference alone right, candidate alone right, both right)."""
    meter = ClassMeter(max(counts) + 1)
    for index, (b, c, both) in counts.items():
        ours = np.array([True] * b + [False] * c + [True] * both)
        theirs = np.array([False] * b + [True] * c + [True] * both)
        meter.add(np.full(len(ours), index), ours, theirs)
    return meter


def test_a_broken_class_is_found_among_sound_ones():
    worst = meter_of({0: (2, 1, 47), 3: (30, 0, 20), 7: (1, 3, 46)}).worst()
    assert (worst.index, worst.samples) == (3, 50)
    assert worst.drop.estimate == pytest.approx(60.0)
    assert worst.drop.lower95 > 40


def test_one_class_alone_has_tango_s_interval():
    worst = meter_of({0: (8, 3, 40)}).worst()
    alone = paired_drop(8, 3, 51)
    assert worst.drop.ci95 == pytest.approx(alone.ci95)
    assert (worst.drop.lower95, worst.drop.upper95) == pytest.approx((alone.lower95, alone.upper95))


def test_what_is_proved_counts_and_not_the_largest_estimate():
    # Three of five lost is a larger share, but 40 of 100 is more than luck.
    worst = meter_of({1: (3, 0, 2), 2: (40, 0, 60)}).worst()
    assert worst.index == 2


def test_classes_of_fewer_than_five_items_are_not_ranked():
    assert meter_of({0: (1, 0, 0), 1: (4, 0, 0)}).worst() is None
    assert meter_of({0: (4, 0, 0), 1: (0, 0, 5)}).worst().index == 1


def test_of_equals_the_lowest_index_is_named():
    assert meter_of({2: (3, 1, 20), 5: (3, 1, 20), 4: (0, 0, 24)}).worst().index == 2


def test_the_lower_bound_holds_over_all_classes_at_once():
    """Of 100 classes that lost nothing, one is accused in at most 5% of the exports."""
    r = np.random.default_rng(0)
    accused = 0
    for _ in range(200):
        meter = ClassMeter(100)
        y = np.repeat(np.arange(100), 20)
        kind = r.choice(3, len(y), p=[0.1, 0.1, 0.8])
        meter.add(y, kind != 1, kind != 0)
        accused += meter.worst().drop.lower95 > 0
    assert accused <= 20  # 5% of 200 is 10; binomial, once in a thousand


def test_the_upper_bound_covers_the_class_that_has_the_largest_drop():
    r = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        meter = ClassMeter(10)
        y = np.repeat(np.arange(10), 40)
        lost = r.uniform(size=len(y)) < np.where(y == 4, 0.3, 0.02)
        meter.add(y, np.ones(len(y), dtype=bool), ~lost)
        covered += meter.worst().drop.upper95 >= 30
    assert covered >= 180
