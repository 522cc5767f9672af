"""Runtime: what ships. NumPy, Pillow and one engine; never TensorFlow.

from edgeconv.runtime import Session

session = Session.open("mobilenetv2-int8")
for answer in session.run(["cat.jpg"]):
print(session.top(answer, 5))
"""

from edgeconv.runtime.answers import Answer, Prediction
from edgeconv.runtime.engines import ENGINES, Model, installed_engines, open_model
from edgeconv.runtime.session import Session

__all__ = [
    "ENGINES",
    "Answer",
    "Model",
    "Prediction",
    "Session",
    "installed_engines",
    "open_model",
]
