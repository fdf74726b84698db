"""Drives a running `ipgraft serve` with NVIDIA's tritonclient over gRPC: `triton_grpc.py HOST:PORT TOKEN ADMIN_TOKEN PIXELS EMBEDS`. What the server has
is in `served.py`, all models loaded; PIXELS and EMBEDS are files of float32, what `encoder` reads and what ONNX Runtime itself makes of it.

Prints how many checks held; the first that does not hold ends it.
"""

import asyncio
import queue
import sys
import time

import grpc
import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from served import OTHERS, TYPES, check, refused, report, same
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

URL, TOKEN, ADMIN_TOKEN, PIXELS, EMBEDS = sys.argv[1:]
USER = {"authorization": f"Bearer {TOKEN}"}
ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}

# The typed field of each type; FP16 has none.
FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def tensor(values, datatype, name="x"):
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def steps(n):
    return [tensor(np.zeros(1, np.float32), "FP32"), tensor(np.array([n], np.int64), "INT64", "n")]


def every_type(client, stub):
    for model, datatype, values in TYPES:
        metadata = client.get_model_metadata(model, headers=USER, as_json=True)
        check([each["datatype"] for each in metadata["inputs"]] == [datatype], metadata)
        for coding in (None, "gzip", "deflate"):
            found = client.infer(
                model, [tensor(values, datatype)], request_id="an-id", compression_algorithm=coding, headers=USER
            )
            check(same(found.as_numpy("x_out"), values), f"{model} {coding}")
            check(found.get_response().id == "an-id", found.get_response())
        outputs = [triton.InferRequestedOutput("x_out")]
        found = client.infer(model, [tensor(values[:0], datatype)], outputs=outputs, headers=USER)
        check(found.as_numpy("x_out").shape == (0, 3), f"{model} empty")
        if datatype not in FIELDS:
            continue
        request = service_pb2.ModelInferRequest(model_name=model)
        typed = request.inputs.add(name="x", datatype=datatype, shape=values.shape)
        elements = [each.encode() for each in values.flat] if datatype == "BYTES" else values.flatten().tolist()
        getattr(typed.contents, FIELDS[datatype]).extend(elements)
        response = stub.ModelInfer(request, metadata=list(USER.items()))
        check(same(triton.InferResult(response).as_numpy("x_out"), values), f"{model} typed")
    brain = np.array([[1.5, -2.0, 3e38]], dtype=ml_dtypes.bfloat16)
    refused(lambda: client.infer("float", [tensor(brain, "BF16")], headers=USER), "INVALID_ARGUMENT", "BF16", "FP32")


def refusals(client):
    values = np.zeros((1, 3), np.float32)
    good = lambda: [tensor(values, "FP32")]
    for words, call in [
        (["NOT_FOUND", "unknown model: 'nothing'"], lambda: client.infer("nothing", good(), headers=USER)),
        (["NOT_FOUND", "version 7"], lambda: client.infer("float", good(), "7", headers=USER)),
        (["INVALID_ARGUMENT", "“x”", "FP64"], lambda: client.infer("float", [tensor(values.astype("d"), "FP64")], headers=USER)),
        (["INVALID_ARGUMENT", "“x”", "[1, 1, 3]"], lambda: client.infer("float", [tensor(values[None], "FP32")], headers=USER)),
        (["INVALID_ARGUMENT", "twice"], lambda: client.infer("float", good() * 2, headers=USER)),
        (["INVALID_ARGUMENT", "“y”"], lambda: client.infer("float", good(), outputs=[triton.InferRequestedOutput("y")], headers=USER)),
        (["INVALID_ARGUMENT", "sequence"], lambda: client.infer("float", good(), sequence_id=3, headers=USER)),
        (["UNAUTHENTICATED", "Bearer"], lambda: client.infer("float", good())),
        (["UNAUTHENTICATED", "token"], lambda: client.get_server_metadata(headers={"authorization": "Bearer wrong"})),
        (["PERMISSION_DENIED", "admin token"], lambda: client.load_model("float", headers=USER)),
        (["UNIMPLEMENTED", "no parameters"], lambda: client.load_model("float", config="{}", headers=ADMIN)),
        (["UNIMPLEMENTED"], lambda: client.get_system_shared_memory_status(headers=USER)),
        (["UNIMPLEMENTED"], lambda: client.update_log_settings({"log_file": "/tmp/log"}, headers=USER)),
        (["DEADLINE_EXCEEDED"], lambda: client.infer("slow", steps(10**12), timeout=300_000, headers=USER)),
        (["DEADLINE_EXCEEDED"], lambda: client.infer("slow", steps(10**12), client_timeout=0.3, headers=USER)),
    ]:
        refused(call, *words)
    check(client.infer("slow", steps(5), headers=USER).as_numpy("y").tolist() == [5.0], "after its deadline")


def everything_else(client, stub):
    check(client.is_server_live() and client.is_server_ready(), "health")
    check(client.is_model_ready("float") and not client.is_model_ready("nothing"), "model ready")
    check("statistics" in client.get_server_metadata(headers=USER).extensions, "extensions")
    config = client.get_model_config("chain", headers=USER).config
    check(config.platform == "ensemble", config)
    check([step.model_name for step in config.ensemble_scheduling.step] == ["encoder", "tokens"], config)
    config = client.get_model_config("float", headers=USER).config
    check(config.input[0].data_type == 11 and list(config.input[0].dims) == [-1, -1], config)
    count = lambda: client.get_inference_statistics("float", headers=USER).model_stats[0].inference_stats
    before = count()
    values = np.random.default_rng(0).standard_normal((1024, 2048)).astype(np.float32)
    # 8 MiB: twice what gRPC's own limit is.
    check(same(client.infer("float", [tensor(values, "FP32")], headers=USER).as_numpy("x_out"), values), "8 MiB")
    after = count()
    check(after.success.count - before.success.count == 1 and after.compute_infer.ns > before.compute_infer.ns, after)
    answers = queue.Queue()
    tell = lambda result, error: answers.put((result, error))
    for _ in range(8):
        client.async_infer("float", [tensor(values[:1], "FP32")], tell, headers=USER)
    for _ in range(8):
        result, error = answers.get(timeout=60)
        check(error is None and same(result.as_numpy("x_out"), values[:1]), error)
    running = client.async_infer("slow", steps(10**12), tell, headers=USER)
    time.sleep(0.3)
    running.cancel()
    check("CANCELLED" in str(answers.get(timeout=60)[1]), "cancelled")
    check(client.infer("slow", steps(7), headers=USER).as_numpy("y").tolist() == [7.0], "after it was cancelled")
    response, call = stub.ServerLive.with_call(service_pb2.ServerLiveRequest(), metadata=[("x-request-id", "mine")])
    check(response.live and dict(call.trailing_metadata())["x-request-id"] == "mine", call)


def streaming(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=USER)
    for model, datatype, values in TYPES:
        client.async_stream_infer(model, [tensor(values, datatype)], request_id=model)
    client.async_stream_infer("nothing", [tensor(TYPES[10][2], "FP32")], request_id="bad")
    client.async_stream_infer("float", [tensor(TYPES[10][2], "FP32")], request_id="final", enable_empty_final_response=True)
    for model, _, values in TYPES:
        result, error = answers.get(timeout=60)
        check(error is None and result.get_response().id == model, error)
        check(same(result.as_numpy("x_out"), values), f"{model} streamed")
    result, error = answers.get(timeout=60)
    check(result is None and "unknown model: 'nothing'" in str(error), error)
    result, error = answers.get(timeout=60)
    check(error is None and result.get_response().parameters["triton_final_response"].bool_param, error)
    client.stop_stream()


def numbers(client):
    pixels = np.fromfile(PIXELS, np.float32).reshape(-1, 3, 4, 4)
    embeds = np.fromfile(EMBEDS, np.float32).reshape(len(pixels), -1)
    found = client.infer("encoder", [tensor(pixels, "FP32", "pixel_values")], headers=USER).as_numpy("image_embeds")
    check(same(found, embeds), "the encoder's numbers")


def load_and_unload(client):
    index = lambda: {row.name: row.state for row in client.get_model_repository_index(headers=USER).models}
    names = [name for name, _, _ in TYPES] + OTHERS + ["tokens_pipeline"]
    check(index() == {name: "READY" for name in names}, index())
    client.unload_model("int8", headers=ADMIN)
    check(index()["int8"] == "UNAVAILABLE" and not client.is_model_ready("int8"), index())
    refused(lambda: client.infer("int8", [tensor(TYPES[1][2], "INT8")], headers=USER), "UNAVAILABLE", "not ready")
    refused(lambda: client.load_model("nothing", headers=ADMIN), "NOT_FOUND", "unknown model")
    client.load_model("int8", headers=ADMIN)
    client.unload_model("chain", unload_dependents=True, headers=ADMIN)
    check(not client.is_model_ready("encoder") and not client.is_model_ready("tokens"), "dependents")
    client.load_model("chain", headers=ADMIN)
    check(client.is_model_ready("encoder") and client.is_model_ready("chain"), "loaded again")


async def the_aio_client():
    async with triton_aio.InferenceServerClient(URL) as client:
        check(await client.is_server_live() and await client.is_server_ready(), "aio health")
        for model, datatype, values in TYPES:
            found = await client.infer(model, [tensor(values, datatype)], headers=USER)
            check(same(found.as_numpy("x_out"), values), f"aio {model}")
        many = [client.infer("float", [tensor(TYPES[10][2], "FP32")], headers=USER) for _ in range(20)]
        check(len(await asyncio.gather(*many)) == 20, "aio, many at once")

        async def requests():
            for n in range(20):
                yield {"model_name": "slow", "inputs": steps(n), "request_id": str(n)}

        answered = [result async for result, error in client.stream_infer(requests(), headers=USER) if error is None]
        check([each.as_numpy("y").tolist() for each in answered] == [[float(n)] for n in range(20)], "aio stream")
        try:
            await client.infer("nothing", [tensor(TYPES[10][2], "FP32")], headers=USER)
        except InferenceServerException as error:
            check("unknown model" in str(error), error)
        else:
            raise AssertionError("aio: not refused")


with grpc.insecure_channel(URL) as channel, triton.InferenceServerClient(URL) as synchronous:
    inference = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    every_type(synchronous, inference)
    everything_else(synchronous, inference)
    streaming(synchronous)
    refusals(synchronous)
    numbers(synchronous)
    load_and_unload(synchronous)
    asyncio.run(the_aio_client())
report()
