"""Verification: a candidate against a reference on the same items, as a gate."""

from edgeconv.verification.job import verify
from edgeconv.verification.order import Blame, Verification, VerifyRequest

__all__ = ["Blame", "Verification", "VerifyRequest", "verify"]
