"""Benchmark: how fast a bundle is, here or on a device.

request   what is to be measured: bundles x engines x threads x batches
places    a fresh process for each measurement: here, or there through a transport
rounds    every case once a round, so that a noisy minute favours none
operators the engine's own profile, by Keras layer
findings  sentences: what int8 gains, and which operators are to blame where it doesn't
plot      an SVG of bars, or of throughput over batch sizes
"""

from edgeconv.device.benchmark.plot import plot
from edgeconv.device.benchmark.request import BenchRequest
from edgeconv.device.benchmark.run import benchmark

__all__ = ["BenchRequest", "benchmark", "plot"]
