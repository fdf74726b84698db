"""Drives a running `ipgraft serve` with NVIDIA's tritonclient over HTTP: `triton_http.py URL TOKEN ADMIN_TOKEN`. What the server has is in `served.py`.

Prints how many checks held; the first that does not hold ends it.
"""

import asyncio
import sys

import ml_dtypes
import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from served import OTHERS, TYPES, check, refused, report, same
from tritonclient.utils import InferenceServerException

URL, TOKEN, ADMIN_TOKEN = sys.argv[1:]

# New ones each time: tritonclient writes the length of its JSON into the dictionary that it is given, and a request that has none would
# say another's.
def user():
    return {"Authorization": f"Bearer {TOKEN}"}


def admin():
    return {"Authorization": f"Bearer {ADMIN_TOKEN}"}


def tensor(values, datatype, binary=True):
    made = triton.InferInput("x", list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def every_type(client):
    for model, datatype, values in TYPES:
        metadata = client.get_model_metadata(model, headers=user())
        check(metadata["inputs"] == [{"name": "x", "datatype": datatype, "shape": [-1, -1]}], metadata)
        binary = client.infer(model, [tensor(values, datatype)], headers=user())
        check(same(binary.as_numpy("x_out"), values), f"{model} binary")
        check(binary.get_output("x_out")["parameters"]["binary_data_size"] > 0, model)
        mixed = client.infer(
            model,
            [tensor(values, datatype)],
            outputs=[triton.InferRequestedOutput("x_out", binary_data=True)],
            request_id="an-id",
            headers=user(),
        )
        check(same(mixed.as_numpy("x_out"), values), f"{model} binary output")
        check(mixed.get_response()["id"] == "an-id", mixed.get_response())
        empty = values[:0]
        found = client.infer(model, [tensor(empty, datatype)], headers=user()).as_numpy("x_out")
        check(found.shape == empty.shape, f"{model} empty: {found.shape}")
        if datatype == "FP16":
            continue
        # What JSON has a form for.
        plain = values[:, 1:2] if datatype != "FP32" else np.array([[0.1, -2.5e-8]], np.float32)
        if datatype in ("INT64", "UINT64"):
            plain = np.array([[2**53 - 1, 7]], values.dtype)
        json = [triton.InferRequestedOutput("x_out", binary_data=False)]
        found = client.infer(model, [tensor(plain, datatype, False)], outputs=json, headers=user())
        check(same(found.as_numpy("x_out"), plain), f"{model} JSON")
        check("data" in found.get_output("x_out"), model)
        found = client.infer(model, [tensor(plain, datatype, False)], headers=user())
        check(same(found.as_numpy("x_out"), plain), f"{model} JSON in, binary out")
    brain = np.array([[1.5, -2.0, 3e38]], dtype=ml_dtypes.bfloat16)
    refused(lambda: client.infer("float", [tensor(brain, "BF16")], headers=user()), "“x”", "BF16", "FP32")


def refusals(client):
    values = np.zeros((1, 3), np.float32)
    infinite = np.array([[np.nan]], np.float32)
    json = [triton.InferRequestedOutput("x_out", binary_data=False)]
    half = np.zeros((1, 1), np.float16)
    for words, call in [
        (["404", "unknown model: 'nothing'"], lambda: client.infer("nothing", [tensor(values, "FP32")], headers=user())),
        (["404", "version 7"], lambda: client.infer("float", [tensor(values, "FP32")], "7", headers=user())),
        (["400", "“x”", "FP64", "FP32"], lambda: client.infer("float", [tensor(values.astype("d"), "FP64")], headers=user())),
        (["400", "“x”", "[1, 1, 3]"], lambda: client.infer("float", [tensor(values[None], "FP32")], headers=user())),
        (["400", "NaN", "binary"], lambda: client.infer("float", [tensor(infinite, "FP32", False)], headers=user())),
        (["400", "NaN", "binary_data"], lambda: client.infer("float", [tensor(infinite, "FP32")], outputs=json, headers=user())),
        (["400", "FP16", "binary_data"], lambda: client.infer("float16", [tensor(half, "FP16")], outputs=json, headers=user())),
        (["400", "twice"], lambda: client.infer("float", [tensor(values, "FP32")] * 2, headers=user())),
        (["400", "“y”"], lambda: client.infer("float", [tensor(values, "FP32")], outputs=[triton.InferRequestedOutput("y")], headers=user())),
        (["400", "sequence"], lambda: client.infer("float", [tensor(values, "FP32")], sequence_id=3, headers=user())),
        (["400", "no model's name"], lambda: client.get_model_metadata("b c", headers=user())),
        (["401", "Bearer"], lambda: client.infer("float", [tensor(values, "FP32")])),
        (["401", "token"], lambda: client.get_server_metadata(headers={"Authorization": "Bearer wrong"})),
        (["501", "shared memory"], lambda: client.get_system_shared_memory_status(headers=user())),
        (["501"], lambda: client.update_log_settings({"log_file": "/tmp/log"}, headers=user())),
        (["501"], lambda: client.update_trace_settings(settings={"trace_file": "/tmp/trace"}, headers=user())),
        (["504"], lambda: client.infer("slow", steps(10**9), timeout=300_000, headers=user())),
    ]:
        refused(call, *words)


def steps(n):
    x = tensor(np.zeros(1, np.float32), "FP32")
    count = triton.InferInput("n", [1], "INT64")
    count.set_data_from_numpy(np.array([n], np.int64))
    return [x, count]


def everything_else(client):
    check(client.is_server_live(), "live")
    check(client.is_server_ready(), "ready")
    check(client.is_model_ready("float") and not client.is_model_ready("nothing"), "model ready")
    check("statistics" in client.get_server_metadata(headers=user())["extensions"], "extensions")
    config = client.get_model_config("float", headers=user())
    check(config["max_batch_size"] == 0 and config["input"][0]["data_type"] == "TYPE_FP32", config)
    check(client.get_trace_settings(headers=user())["trace_level"] == ["OFF"], "trace")
    check(client.get_log_settings(headers=user())["log_file"] == "", "logging")
    values = np.random.default_rng(0).standard_normal((64, 257)).astype(np.float32)
    count = lambda: client.get_inference_statistics("float", headers=user())["model_stats"][0]["inference_stats"]
    before = count()
    for coding in (None, "gzip", "deflate"):
        for wanted in (None, "gzip", "deflate"):
            found = client.infer(
                "float",
                [tensor(values, "FP32")],
                request_compression_algorithm=coding,
                response_compression_algorithm=wanted,
                headers=user(),
            )
            check(same(found.as_numpy("x_out"), values), f"{coding} there, {wanted} back")
    after = count()
    check(after["success"]["count"] - before["success"]["count"] == 9, (before, after))
    check(after["compute_infer"]["ns"] > before["compute_infer"]["ns"], after)
    pending = [client.async_infer("float", [tensor(values, "FP32")], headers=user()) for _ in range(8)]
    check(all(same(each.get_result().as_numpy("x_out"), values) for each in pending), "async")
    counted = client.infer("slow", steps(5), headers=user()).as_numpy("y")
    check(counted.tolist() == [5.0], counted)


def images(client):
    pixels = np.random.default_rng(1).standard_normal((2, 3, 4, 4)).astype(np.float32)

    def ask(model, name, values):
        made = triton.InferInput(name, list(values.shape), "FP32")
        made.set_data_from_numpy(values)
        return client.infer(model, [made], headers=user())

    def count(model):
        stats = client.get_inference_statistics(model, headers=user())["model_stats"][0]
        cached = [stats["inference_stats"][each]["count"] for each in ("cache_hit", "cache_miss")]
        return cached + [stats["execution_count"]]

    embeds = ask("encoder", "pixel_values", pixels).as_numpy("image_embeds")
    tokens = ask("tokens", "image_embeds", embeds).as_numpy("ip_hidden_states")
    check(tokens.shape == (2, 4, 24) and np.abs(tokens).max() > 0, tokens)
    for _ in range(2):
        check(same(ask("chain", "image", pixels).as_numpy("made"), tokens), "chain")
        check(same(ask("tokens_pipeline", "pixel_values", pixels).as_numpy("ip_hidden_states"), tokens), "offered")
    check(count("encoder") == [4, 1, 1] and count("tokens") == [4, 1, 1], (count("encoder"), count("tokens")))
    check(count("chain") == [0, 0, 2], count("chain"))
    ask("chain", "image", -pixels)
    check(count("tokens") == [4, 2, 2], count("tokens"))
    config = client.get_model_config("tokens_pipeline", headers=user())
    steps = [step["model_name"] for step in config["ensemble_scheduling"]["step"]]
    check(config["platform"] == "ensemble" and steps == ["encoder", "tokens"], config)
    client.unload_model("encoder", headers=admin())
    check(not client.is_model_ready("chain") and not client.is_model_ready("tokens_pipeline"), "without the encoder")
    refused(lambda: ask("chain", "image", pixels), "503", "not available: encoder")
    client.load_model("chain", headers=admin())
    check(same(ask("chain", "image", pixels).as_numpy("made"), tokens), "loaded again")
    check(client.is_model_ready("tokens_pipeline"), "offered again")
    client.unload_model("chain", unload_dependents=True, headers=admin())
    check(not client.is_model_ready("encoder") and not client.is_model_ready("tokens"), "dependents")
    client.load_model("chain", headers=admin())


def load_and_unload(client):
    states = lambda: {row["name"]: row["state"] for row in client.get_model_repository_index(headers=user())}
    check(states() == {name: "UNAVAILABLE" for name in [name for name, _, _ in TYPES] + OTHERS}, states())
    check(not client.is_model_ready("float"), "not loaded yet")
    refused(lambda: client.load_model("float", headers=user()), "403", "admin token")
    refused(lambda: client.load_model("float"), "401")
    refused(lambda: client.load_model("nothing", headers=admin()), "404", "unknown model")
    refused(lambda: client.load_model("float", config="{}", headers=admin()), "501")
    for name in states():
        client.load_model(name, headers=admin())
    check(set(states().values()) == {"READY"}, states())
    client.unload_model("int8", headers=admin())
    check(states()["int8"] == "UNAVAILABLE" and not client.is_model_ready("int8"), states())
    refused(lambda: client.infer("int8", [tensor(TYPES[1][2], "INT8")], headers=user()), "503", "not ready")
    client.load_model("int8", headers=admin())


async def the_aio_client():
    """Says application/octet-stream of every body, and asks for br in every request."""
    async with triton_aio.InferenceServerClient(URL) as client:
        check(await client.is_server_live() and await client.is_server_ready(), "aio health")
        check((await client.get_model_metadata("float", headers=user()))["name"] == "float", "aio metadata")
        check(len(await client.get_model_repository_index(headers=user())) == len(TYPES) + len(OTHERS) + 1, "aio index")
        for model, datatype, values in TYPES:
            for coding in (None, "gzip", "deflate"):
                found = await client.infer(
                    model, [tensor(values, datatype)], request_compression_algorithm=coding, headers=user()
                )
                check(same(found.as_numpy("x_out"), values), f"aio {model} {coding}")
        many = [client.infer("float", [tensor(TYPES[10][2], "FP32")], headers=user()) for _ in range(20)]
        check(len(await asyncio.gather(*many)) == 20, "aio, many at once")
        try:
            await client.infer("nothing", [tensor(TYPES[10][2], "FP32")], headers=user())
        except InferenceServerException as error:
            check("unknown model" in str(error), error)
        else:
            raise AssertionError("aio: not refused")


with triton.InferenceServerClient(URL, concurrency=8) as synchronous:
    load_and_unload(synchronous)
    every_type(synchronous)
    everything_else(synchronous)
    refusals(synchronous)
    images(synchronous)
    asyncio.run(the_aio_client())
report()
