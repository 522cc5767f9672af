"""Runtime: what ships. NumPy, Pillow and one engine; never TensorFlow.

    from edgeconv.runtime import Session

    session = Session.open("mobilenetv2-int8")
    for answer in session.run(["cat.jpg"]):
        print(session.top(answer, 5))

A session may be shared by threads. See docs/runtime.md for devices and errors.
"""

from edgeconv.runtime.answers import Answer, Prediction
from edgeconv.runtime.engines import ENGINES, Model, installed_engines, open_model
from edgeconv.runtime.providers import DEVICES
from edgeconv.runtime.session import Session

__all__ = [
    "DEVICES",
    "ENGINES",
    "Answer",
    "Model",
    "Prediction",
    "Session",
    "installed_engines",
    "open_model",
]
