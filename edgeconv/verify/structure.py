"""Structure: is an int8 model really int8?"""

from __future__ import annotations

from edgeconv.types import Artifact

__all__ = ["describe"]

#: Beyond these the sentence says how many more there are.
_NAMED = 6


def describe(artifact: Artifact) -> str | None:
    """The operators of an integer model that compute in float, in one sentence.

    Args:
        artifact: Of any precision; only int8 and int16x8 promise integers.

    Returns:
        None where there is nothing to report.
    """
    left = artifact.float_operators
    if artifact.precision not in ("int8", "int16x8") or not left:
        return None
    # Most frequent first, then by name: the same sentence every time.
    ranked = sorted(left.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{count} {name}" for name, count in ranked[:_NAMED])
    if len(ranked) > _NAMED:
        named += f" and {len(ranked) - _NAMED} more kinds"
    total, every = sum(left.values()), sum(artifact.operators.values())
    verb = "computes" if total == 1 else "compute"
    return (
        f"{artifact.path.name} is {artifact.precision}, but {total} of its {every} "
        f"operators {verb} in float: {named}."
    )
