"""Drives a running `ipgraft serve` with KServe's own clients, over HTTP and gRPC: `kserve_clients.py URL HOST:PORT TOKEN PIXELS EMBEDS`. What the server has is in
`served.py`, all models loaded; PIXELS and EMBEDS are files of float32, what `encoder` reads and what ONNX Runtime itself makes of it.

Prints how many checks held; the first that does not hold ends it.
"""

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from served import TYPES, check, report, same

URL, GRPC, TOKEN, PIXELS, EMBEDS = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
METADATA = [("authorization", f"Bearer {TOKEN}")]


def request(model, name, datatype, values, binary):
    made = InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    # Over gRPC answers are raw anyway.
    return InferRequest(model_name=model, infer_inputs=[made], parameters={"binary_data_output": True})


async def over_http(pixels, embeds):
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    check(await client.is_server_live(URL) and await client.is_server_ready(URL), "health")
    check(await client.is_model_ready(URL, "float"), "model ready")
    for model, datatype, values in TYPES:
        found = await client.infer(URL, request(model, "x", datatype, values, True), headers=HEADERS, model_name=model)
        check(same(found.outputs[0].as_numpy().reshape(values.shape), values), f"{model} over HTTP")
    found = await client.infer(
        URL, request("encoder", "pixel_values", "FP32", pixels, True), headers=HEADERS, model_name="encoder"
    )
    check(same(found.outputs[0].as_numpy().reshape(embeds.shape), embeds), "the encoder's numbers over HTTP")
    try:
        await client.infer(URL, request("nothing", "x", "FP32", pixels, True), headers=HEADERS, model_name="nothing")
    except Exception as error:
        check("unknown model: 'nothing'" in str(error), error)
    else:
        raise AssertionError("not refused")
    await client.close()


async def over_grpc(pixels, embeds):
    client = InferenceGRPCClient(GRPC)
    check(await client.is_server_live() and await client.is_server_ready(), "health")
    check(await client.is_model_ready("float"), "model ready")
    for model, datatype, values in TYPES:
        for binary in [True] if datatype == "FP16" else [True, False]:
            found = await client.infer(request(model, "x", datatype, values, binary), headers=METADATA)
            check(same(found.outputs[0].as_numpy().reshape(values.shape), values), f"{model} over gRPC, raw: {binary}")
    found = await client.infer(request("encoder", "pixel_values", "FP32", pixels, True), headers=METADATA)
    check(same(found.outputs[0].as_numpy().reshape(embeds.shape), embeds), "the encoder's numbers over gRPC")
    await client.close()


async def main():
    pixels = np.fromfile(PIXELS, np.float32).reshape(-1, 3, 4, 4)
    embeds = np.fromfile(EMBEDS, np.float32).reshape(len(pixels), -1)
    await over_http(pixels, embeds)
    await over_grpc(pixels, embeds)


asyncio.run(main())
report()
