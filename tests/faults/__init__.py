"""The catalogue of faults: good bundles, broken one idea at a time, and what the gate says.

draft.py          a bundle in memory: changed, re-signed, written
parts.py          one layer of a model file: kernel, scales, bias, output range
tflite_parts.py   ... read from and written to TFLite
onnx_parts.py     ... and ONNX
layer_faults.py   what can go wrong in a layer, as functions Parts -> Parts
skew_faults.py    what can go wrong around a model: preprocessing, labels
head_faults.py    ... and at its two ends: input, softmax, dequantization
catalogue.py      all of them
good.py           the good bundles that they are built from
run.py, table.py  verdicts, and the table of them (``python -m tests.faults``)
"""
