"""Recall@1 of embeddings: against a plain search, in bounded memory."""

import tracemalloc

import numpy as np
import pytest

from edgeconv.verify.neighbours import NeighbourMeter


def recall(a, b, batch=64):
    meter = NeighbourMeter(a.shape[1])
    for start in range(0, len(a), batch):
        meter.add(a[start : start + batch], b[start : start + batch])
    return meter.recall()


def embeddings(n=300, units=16, noise=0.3, seed=0):
    r = np.random.default_rng(seed)
    a = r.normal(size=(n, units))
    return a, a + noise * r.normal(size=a.shape)


def plain(a, b):
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    hits = 0
    for i in range(len(a)):
        others = [j for j in range(len(a)) if j != i]
        ours = max(others, key=lambda j: a[i] @ a[j])
        theirs = max(others, key=lambda j: b[i] @ a[j])
        hits += ours == theirs
    return 100 * hits / len(a)


def test_recall_is_that_of_a_plain_search():
    a, b = embeddings()
    assert recall(a, b).estimate == pytest.approx(plain(a, b))


def test_the_same_embeddings_find_the_same_neighbours():
    a, _ = embeddings()
    assert recall(a, 3 * a).estimate == 100.0
    assert recall(a, a).lower95 < 100.0


def test_more_noise_finds_fewer():
    found = [recall(*embeddings(noise=noise)).estimate for noise in (0.01, 0.2, 2.0)]
    assert found == sorted(found, reverse=True) and found[0] > 90 > 20 > found[-1]


def test_a_picture_that_is_there_twice_is_either_of_the_two():
    a, _ = embeddings(n=40)
    twice = np.concatenate([a, a, a])
    assert (
        recall(twice, twice + 1e-5 * np.random.default_rng(0).normal(size=twice.shape)).estimate
        == 100.0
    )


def test_a_sample_stands_for_a_long_series():
    a, b = embeddings(n=4000, units=8, noise=0.02)
    found = recall(a, b)
    a, b = a[:1000], b[:1000]
    assert found.estimate == pytest.approx(plain(a[:400], b[:400]), abs=12)
    assert recall(*embeddings(n=4000, units=8, noise=0.02)) == found


def test_the_batch_size_changes_nothing():
    a, b = embeddings(n=1500, units=4)
    assert recall(a, b, batch=1) == recall(a, b, batch=500)


def test_ten_times_the_items_take_no_more_memory():
    def peak(n):
        tracemalloc.start()
        recall(*embeddings(n=200, units=64))
        meter = NeighbourMeter(64)
        part = embeddings(n=200, units=64)
        for _ in range(n // 200):
            meter.add(*part)
        meter.recall()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(10_000) < 1.02 * peak(1000)


def test_long_embeddings_are_held_in_fewer_items():
    meter = NeighbourMeter(2_000_000)
    for row in range(4):
        one = np.zeros((1, 2_000_000))
        one[0, row] = 1.0
        meter.add(one, one)
    assert meter.recall() is None  # Two are held, of which either is the other's only neighbour.


def test_zero_vectors_harm_nothing():
    a, b = embeddings(n=20)
    b[3] = a[5] = 0.0
    assert 0.0 <= recall(a, b).estimate <= 100.0
