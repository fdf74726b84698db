"""Parses every config.pbtxt below the given folders as Triton does: `triton_config.py FOLDER...`, into the ModelConfig of tritonclient.

Prints how many there were; the first that Triton's own message does not take ends it, and so does a folder without one.
"""

import sys
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

count = 0
for folder in sys.argv[1:]:
    paths = sorted(Path(folder).glob("*/config.pbtxt"))
    assert paths, folder
    for path in paths:
        config = text_format.Parse(path.read_text(), ModelConfig())
        assert config.name == path.parent.name, path
        assert config.input and config.output, path
        if config.platform != "ensemble":
            assert config.backend == "onnxruntime", path
            assert all(list(tensor.dims) for tensor in [*config.input, *config.output]), path
            batched = config.max_batch_size > 0
            assert batched == config.HasField("dynamic_batching"), path
            for tensor in [*config.input, *config.output]:
                # Triton takes an empty reshape with a batch alone.
                assert not tensor.HasField("reshape") or (batched and not tensor.reshape.shape), path
            for sample in config.model_warmup:
                assert {tensor.name for tensor in config.input} == set(sample.inputs), path
        count += 1
print(f"{count} configurations are Triton's")
