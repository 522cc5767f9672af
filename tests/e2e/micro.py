"""One run of a model in TensorFlow Lite Micro: ``python micro.py MODEL INPUT.npy OUTPUT.npy``.

Prints the interpreter's own account of its arena.
"""

import sys

import numpy as np
from tflite_micro.python.tflite_micro import runtime

model, given, answer = sys.argv[1:]
interpreter = runtime.Interpreter.from_file(model, arena_size=8 << 20)
interpreter.set_input(np.load(given), 0)
interpreter.invoke()
np.save(answer, interpreter.get_output(0))
interpreter.print_allocations()
