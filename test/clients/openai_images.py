"""Drives a running `ipgraft serve` of a pipeline with OpenAI's client: `openai_images.py URL TOKEN IMAGE`.

Prints how many checks held; the first that does not hold ends it.
"""

import base64
import sys

import openai
from served import check, report

URL, TOKEN, IMAGE = sys.argv[1:]
PNG = b"\x89PNG"
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=TOKEN, max_retries=0)
fox = {"model": "fox", "prompt": "a fox in the snow"}
quick = {"steps": 2, "seed": 5}


def pictures():
    [model] = client.models.list().data
    check(model.id == "fox" and model.owned_by == "ipgraft", model)
    with open(IMAGE, "rb") as file:
        image = base64.b64encode(file.read()).decode()
    extra = {**quick, "image_prompts": [image], "scale": 0.7, "scheduler": "euler"}
    made = client.images.generate(**fox, n=2, size="48x32", response_format="b64_json", extra_body=extra)
    check(len(made.data) == 2 and made.size == "48x32" and made.output_format == "png", made)
    check(all(base64.b64decode(each.b64_json).startswith(PNG) for each in made.data), "PNG")
    check([each.seed for each in made.data] == [5, 6], made.data)
    check(made.data[0].b64_json != made.data[1].b64_json, "two pictures")
    plain = client.images.generate(**fox, n=2, size="48x32", extra_body={**quick, "scheduler": "euler"})
    check(plain.data[0].b64_json != made.data[0].b64_json, "the image counts")
    jpeg = client.images.generate(**fox, output_format="jpeg", output_compression=80, quality="high", user="me", extra_body=quick)
    check(base64.b64decode(jpeg.data[0].b64_json).startswith(b"\xff\xd8"), "JPEG")


def streams():
    events = list(client.images.generate(**fox, stream=True, partial_images=1, extra_body=quick))
    kinds = [event.type for event in events]
    check(kinds.count("image_generation.partial_image") == 1, kinds)
    check(kinds[-1] == "image_generation.completed", kinds)
    partial = next(event for event in events if event.type == "image_generation.partial_image")
    check(partial.partial_image_index == 0 and base64.b64decode(partial.b64_json).startswith(PNG), partial.type)
    alone = client.images.generate(**fox, extra_body=quick)
    check(events[-1].b64_json == alone.data[0].b64_json, "the same picture")


def refused(kind, param, words, call):
    try:
        call()
    except kind as error:
        check(error.param == param and words in error.message, error)
        return
    raise AssertionError(f"not refused: {words}")


def refusals():
    generate = client.images.generate
    refused(openai.BadRequestError, "steps", "150 at most", lambda: generate(**fox, extra_body={"steps": 1000}))
    refused(openai.BadRequestError, "response_format", "b64_json", lambda: generate(**fox, response_format="url"))
    refused(openai.NotFoundError, "model", "sought fox", lambda: generate(model="dall-e-3", prompt="a fox"))
    other = client.with_options(api_key="wrong")
    refused(openai.AuthenticationError, None, "token", lambda: other.images.generate(**fox))
    # Of a stream that has not begun.
    refused(openai.BadRequestError, "n", "4 at most", lambda: generate(**fox, n=9, stream=True))


pictures()
streams()
refusals()
report()
