"""Blame: which layer of a converted file is at fault, by how much, and why.

``blame`` compares any file of a model with the model's float graph in the same
format, tensor by tensor, and returns one mapping a layer, the worst first:

    name            Keras layer; ``add#2`` where a layer makes more than one tensor
    op              its main operator, such as CONV_2D; INPUT for an input
    order           position in the graph, from 0
    sqnr_db         cumulative: the float model's output of this layer against the
                    candidate's; None where there is no error
    local_sqnr_db   of this layer alone: the candidate's layer against its float form,
                    both on the float model's values in the candidate's form
    share           percent of the error at the model's outputs that this layer adds
    jump            true for the first layer where the error jumps by 10 dB
    reason          one sentence, or "" where nothing stands out
    weights         low, high, outlier_channel, ratio (of its largest weight to that of
                    the median channel); only where the layer has a kernel
    activation      low, high (seen in float), representable ([low, high] or None),
                    clipped (percent of the float values beyond it)
    histograms      of the three worst: weights and activation, each with low, high,
                    counts and candidate_counts (48 bins; None where there are none)
"""

from edgeconv.verify.blame.layers import blame, opened

__all__ = ["blame", "opened"]
