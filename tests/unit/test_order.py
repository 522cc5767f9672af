"""What an artifact may take."""

import pytest

from edgeconv.order import Limits


@pytest.mark.parametrize(
    ("limits", "broken"),
    [
        (Limits(), ()),
        (Limits(size_mb=4.0, latency_ms=8.0), ()),
        (Limits(size_mb=3.9), ("4.00 MB, more than the 3.9 MB allowed",)),
        (Limits(latency_ms=7.0), ("slower on this machine than the 7 ms allowed",)),
    ],
)
def test_a_limit_is_broken_by_what_is_beyond_it(limits: Limits, broken: tuple[str, ...]) -> None:
    assert limits.exceeded(4_000_000, 8.0) == broken
