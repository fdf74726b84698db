"""What the server under test has, and how checks are counted: a model for each ONNX type, `float`, `int64`, … , which gives its input `x` back as
`x_out`, and `slow`, which adds 1 to `x` [1] `n` times; `encoder` and `tokens`, an image encoder and a projection, and `chain`, both as an ensemble.
"""

import numpy as np
from tritonclient.utils import InferenceServerException

# Model, the protocol's name of its type, elements at the edges of what it holds.
TYPES = [
    ("bool", "BOOL", np.array([[True, False, True]])),
    ("int8", "INT8", np.array([[-128, 127, 0]], np.int8)),
    ("int16", "INT16", np.array([[-32768, 32767, 0]], np.int16)),
    ("int32", "INT32", np.array([[-(2**31), 2**31 - 1, 0]], np.int32)),
    ("int64", "INT64", np.array([[-(2**63), 2**63 - 1, 0]], np.int64)),
    ("uint8", "UINT8", np.array([[255, 1, 0]], np.uint8)),
    ("uint16", "UINT16", np.array([[65535, 1, 0]], np.uint16)),
    ("uint32", "UINT32", np.array([[2**32 - 1, 1, 0]], np.uint32)),
    ("uint64", "UINT64", np.array([[2**64 - 1, 1, 0]], np.uint64)),
    ("float16", "FP16", np.array([[65504, -6e-8, np.nan]], np.float16)),
    ("float", "FP32", np.array([[3.4e38, -1e-45, np.inf]], np.float32)),
    ("double", "FP64", np.array([[1.7e308, -5e-324, -0.0]], np.float64)),
    ("string", "BYTES", np.array([["", "Größe", "a b"]], dtype=object)),
]

# Of these models `tokens_pipeline` is offered.
OTHERS = ["slow", "encoder", "tokens", "chain"]

held = 0


def check(holds, what):
    global held
    assert holds, what
    held += 1


def refused(call, *words):
    try:
        call()
    except InferenceServerException as error:
        missing = [word for word in words if word not in str(error)]
        check(not missing, f"{missing} not in {error}")
        return
    raise AssertionError(f"not refused: {words}")


def same(found, sent):
    if sent.dtype == object:
        texts = [each.decode() if isinstance(each, bytes) else each for each in found.flat]
        return found.shape == sent.shape and texts == list(sent.flat)
    return found.shape == sent.shape and found.dtype == sent.dtype and found.tobytes() == sent.tobytes()


def report():
    print(f"{held} checks held")
