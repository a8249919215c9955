"""mteb's own audio tasks through our server: `pip install "mteb[openai,audio]"`, `aurola serve`, then

python3 tools/mteb_through_server.py http://127.0.0.1:8080 aurola-nano ClothoT2ARetrieval ClothoA2TRetrieval
"""
import sys

import mteb
from mteb.models.openai_wrappers import OpenAIAPIEncodeWrapper

endpoint, name, *tasks = sys.argv[1:]
model = OpenAIAPIEncodeWrapper(endpoint, name, modalities=["text", "audio"], target_sampling_rate=16_000)
for result in mteb.evaluate(model, mteb.get_tasks(tasks=tasks)).task_results:
    print(result.task_name, result.get_score())
