"""Clients that people already have, against a running `aurola serve`: exits with 1 at the first surprise.

The official OpenAI client, huggingface_hub's client for text-embeddings-inference, and, where it is
installed, mteb's OpenAI wrapper with sounds.

    aurola serve --port 0 --model nano            # prints the address
    python tools/serve_clients.py http://127.0.0.1:PORT
"""

import base64
import io
import json
import math
import struct
import sys
import urllib.request
import wave


def tone(hertz, seconds=1.0, rate=16_000):
    """A sine at half of full scale, as the bytes of a WAV file."""
    samples = (int(16_384 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(int(seconds * rate)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def uri(hertz):
    return "data:audio/wav;base64," + base64.b64encode(tone(hertz)).decode()


def unit(vector):
    assert abs(sum(x * x for x in vector) - 1.0) < 1e-4, "not of unit length"


def openai_client(url, model):
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    assert model in [entry.id for entry in client.models.list()]
    packed = client.embeddings.create(model=model, input=["a dog barks", "rain"])
    plain = client.embeddings.create(model=model, input=["a dog barks", "rain"], encoding_format="float")
    assert [entry.index for entry in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data):
        unit(one.embedding)
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding)) < 1e-6
    short = client.embeddings.create(model=model, input="rain", dimensions=16)
    assert len(short.data[0].embedding) == 16
    heard = client.embeddings.create(
        model=model,
        input="",
        extra_body={"input": None, "messages": [{"role": "user", "content": [
            {"type": "audio_url", "audio_url": {"url": uri(440)}}]}]},
    )
    unit(heard.data[0].embedding)
    try:
        client.embeddings.create(model="another", input="rain")
    except openai.NotFoundError as error:
        assert "another" in str(error)
    else:
        raise AssertionError("another model was served")


def tei_client(url):
    from huggingface_hub import InferenceClient

    client = InferenceClient(model=url)
    vectors = client.feature_extraction(["a dog barks", "rain"])
    assert vectors.shape[0] == 2
    for vector in vectors:
        unit(vector.tolist())
    cosines = client.sentence_similarity("rain", other_sentences=["rain", "a dog barks"])
    assert abs(cosines[0] - 1.0) < 1e-4 and cosines[1] < cosines[0]


def plain_tei(url):
    def post(path, body):
        request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    ranks = post("/rerank", {"query": "a low hum", "texts": [uri(100), uri(4_000)], "raw_scores": False})
    assert sorted(rank["index"] for rank in ranks) == [0, 1]
    assert ranks[0]["score"] >= ranks[1]["score"]
    scores = post("/v1/rerank", {"query": "a low hum", "documents": [uri(100)], "top_n": 1})
    assert 0.0 <= scores["results"][0]["relevance_score"] <= 1.0


def mteb_client(url, model):
    try:
        from mteb.models.openai_wrappers import OpenAIAPIEncodeWrapper
    except ImportError:
        print("mteb: not run (not installed)")
        return
    wrapper = OpenAIAPIEncodeWrapper(endpoint_url=url, model_name=model)
    # What the wrapper sends for a batch with sounds; making it from arrays needs torchcodec.
    answer = wrapper._make_request("/v1/embeddings", {
        "model": model,
        "messages": [[{"role": "user", "content": [{"type": "audio_url", "audio_url": {"url": uri(hertz)}}]}]
                     for hertz in (200, 2_000)],
        "encoding_format": "float",
    })
    assert [entry["index"] for entry in answer["data"]] == [0, 1]
    texts = wrapper._get_embeddings(["a dog barks", "rain"])
    assert texts.shape[0] == 2
    print("mteb: done")


def main():
    url = sys.argv[1].rstrip("/")
    with urllib.request.urlopen(f"{url}/v1/models") as answer:
        model = json.load(answer)["data"][0]["id"]
    openai_client(url, model)
    print("openai: done")
    tei_client(url)
    print("huggingface_hub: done")
    plain_tei(url)
    print("re-ranking: done")
    mteb_client(url, model)


if __name__ == "__main__":
    main()
