"""Drives `ipgraft serve` on a repository that `ipgraft package triton` wrote: `triton_packaged.py URL TOKEN`.

It has one patched UNet twice, `plain` and `batched`, an image encoder and an image projection with the ensemble of both. Prints how many
checks held; the first that does not ends it.
"""

import sys

import numpy as np
import tritonclient.http as triton

URL, TOKEN = sys.argv[1:]
client = triton.InferenceServerClient(URL)
rng = np.random.default_rng(0)
checks = 0


def check(holds, what):
    global checks
    assert holds, what
    checks += 1


def infer(model, feeds):
    inputs = []
    for name, array in feeds.items():
        datatype = "INT64" if array.dtype == np.int64 else "FP32"
        tensor = triton.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return client.infer(model, inputs, headers={"Authorization": f"Bearer {TOKEN}"})


def numbers(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def settings(model):
    return client.get_model_config(model, headers={"Authorization": f"Bearer {TOKEN}"})


check(settings("plain")["max_batch_size"] == 0, "the plain one has no batch")
check(settings("batched")["max_batch_size"] == 4, "the batched one has")
timestep = next(each for each in settings("batched")["input"] if each["name"] == "timestep")
check(timestep["dims"] == [1] and timestep["reshape"] == {"shape": []}, "a row has one timestep")

# Two requests with steps of their own, as one batch.
common = {
    "sample": numbers(2, 4, 16, 16),
    "encoder_hidden_states": numbers(2, 7, 24),
    "ip_hidden_states": numbers(2, 4, 24),
}
steps, scales = [900, 10], [0.2, 1.5]
together = infer(
    "batched",
    {
        **common,
        "timestep": np.array([[step] for step in steps], np.int64),
        "ip_scale": np.array([[scale] for scale in scales], np.float32),
    },
).as_numpy("out_sample")
for row, (step, scale) in enumerate(zip(steps, scales)):
    alone = infer(
        "plain", {**common, "timestep": np.array([step], np.int64), "ip_scale": np.array([scale], np.float32)}
    ).as_numpy("out_sample")
    check(np.array_equal(together[row], alone[row]), f"row {row} is what it is alone")
check(not np.allclose(together[0], together[1]), "rows are not the same")

pixels = numbers(2, 3, 4, 4)
embeds = infer("image_encoder", {"pixel_values": pixels}).as_numpy("image_embeds")
tokens = infer("image_projection", {"image_embeds": embeds}).as_numpy("ip_hidden_states")
made = infer("image_projection_pipeline", {"pixel_values": pixels}).as_numpy("ip_hidden_states")
check(np.array_equal(made, tokens), "the ensemble gives what its models give")

print(f"{checks} checks held on a packaged repository")
