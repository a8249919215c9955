//! Every route does what the clients of its API expect.

use super::*;

fn floats(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap() as f32)
        .collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn embedding(answer: &Answer, n: usize) -> Vec<f32> {
    floats(&answer.json["data"][n]["embedding"])
}

#[test]
fn openai_embeddings_in_every_spelling() {
    let world = World::new();
    let one = world
        .post(
            "/v1/embeddings",
            json!({"model": "bands", "input": "440 Hz"}),
        )
        .ok();
    assert_eq!(one.json["object"], "list");
    assert_eq!(one.json["model"], "bands");
    assert_eq!(one.json["usage"]["prompt_tokens"], 2);
    let words = embedding(&one, 0);
    assert_eq!(words.len(), 128);
    assert!((cosine(&words, &words) - 1.0).abs() < 1e-5);

    let many = world
        .post("/v1/embeddings", json!({"input": ["440 Hz", "900 Hz"]}))
        .ok();
    assert_eq!(embedding(&many, 0), words, "alone and beside others");
    assert_eq!(many.json["data"][1]["index"], 1);

    let packed = world
        .post(
            "/v1/embeddings",
            json!({"input": "440 Hz", "encoding_format": "base64"}),
        )
        .ok();
    let bytes = STANDARD
        .decode(packed.json["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    let unpacked: Vec<f32> = bytes
        .chunks(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    assert_eq!(unpacked, words);

    let short = world
        .post(
            "/v1/embeddings",
            json!({"input": "440 Hz", "dimensions": 64}),
        )
        .ok();
    let short = embedding(&short, 0);
    assert_eq!(short.len(), 64);
    assert!((cosine(&short, &short) - 1.0).abs() < 1e-5);

    let uri = uri(440.0, 1.0);
    let spellings = [
        json!({"input": uri, "modality": "audio"}),
        json!({"input": [uri]}),
        json!({"input": [{"audio": uri}], "task": "retrieval.query"}),
        json!({"messages": [{"role": "user", "content": [
            {"type": "audio_url", "audio_url": {"url": uri}}]}]}),
        json!({"messages": [[{"role": "user", "content": [
            {"type": "audio_url", "audio_url": {"url": uri}}]}]], "encoding_format": "float"}),
        json!({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio":
            {"data": uri.split_once(',').unwrap().1, "format": "wav"}}]}]}),
    ];
    let heard = embedding(&world.post("/v1/embeddings", spellings[0].clone()).ok(), 0);
    assert!(cosine(&heard, &words) > 0.95);
    for spelling in spellings {
        let again = embedding(&world.post("/v1/embeddings", spelling.clone()).ok(), 0);
        assert_eq!(again, heard, "{spelling}");
    }
    let two = json!({"messages": [[{"role": "user", "content": "440 Hz"}],
        [{"role": "user", "content": [{"type": "text", "text": "900 Hz"}]}]]});
    assert_eq!(
        world.post("/v1/embeddings", two).ok().json["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_long_sound_is_the_mean_of_its_windows() {
    let world = World::new();
    let long = world
        .post("/v1/embeddings", json!({"input": uri(440.0, 70.0)}))
        .ok();
    let short = world
        .post("/v1/embeddings", json!({"input": uri(440.0, 5.0)}))
        .ok();
    assert!(cosine(&embedding(&long, 0), &embedding(&short, 0)) > 0.999);
    let longer = world.post("/v1/embeddings", json!({"input": uri(440.0, 601.0)}));
    assert_eq!(longer.status, 413, "{:?}", longer.json);
}

#[test]
fn models_are_listed_and_others_are_not_found() {
    let world = World::new();
    let models = world.get("/v1/models").ok().json;
    assert_eq!(models["object"], "list");
    assert_eq!(models["data"][0]["id"], "bands");
    assert_eq!(models["data"][0]["object"], "model");
    assert_eq!(models["data"][0]["max_model_len"], 4096);
    assert_eq!(
        world.get("/v1/models/also-bands").ok().json["root"],
        "bands"
    );
    world
        .post(
            "/v1/embeddings",
            json!({"model": "also-bands", "input": "a"}),
        )
        .ok();
    let other = world.post("/v1/embeddings", json!({"model": "gpt", "input": "a"}));
    assert_eq!(other.status, 404);
    assert_eq!(other.json["error"]["type"], "not_found_error");
}

#[test]
fn pairs_are_judged_in_every_spelling_with_sounds_on_either_side() {
    let world = World::new();
    let (low, high) = (uri(300.0, 0.5), uri(3000.0, 0.5));
    for path in ["/v1/rerank", "/v2/rerank", "/rerank"] {
        let answer = world.post(
            path,
            json!({"model": "bands", "query": "3000 Hz",
            "documents": [low, {"content": [{"type": "audio_url", "audio_url": {"url": high}}]}]}),
        );
        let results = answer.ok().json["results"].clone();
        assert_eq!(results[0]["index"], 1, "{path}: {results}");
        assert!(results[0]["relevance_score"].as_f64() > results[1]["relevance_score"].as_f64());
    }
    let by_sound = world
        .post(
            "/v1/rerank",
            json!({"query": {"content": [{"type": "input_audio",
        "input_audio": {"data": high.split_once(',').unwrap().1, "format": "wav"}}]},
        "documents": ["300 Hz", "3000 Hz"], "top_n": 1, "return_documents": true}),
        )
        .ok();
    assert_eq!(by_sound.json["results"].as_array().unwrap().len(), 1);
    assert_eq!(by_sound.json["results"][0]["document"]["text"], "3000 Hz");

    let tei = world
        .post("/rerank", json!({"query": "3000 Hz", "texts": [low, high]}))
        .ok();
    let ranks = tei.json.as_array().unwrap();
    assert_eq!(ranks[0]["index"], 1);
    let score = ranks[0]["score"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&score));
    assert!(tei.header("x-compute-tokens").parse::<usize>().unwrap() > 0);
    let raw = world
        .post(
            "/rerank",
            json!({"query": low, "texts": ["300 Hz"], "raw_scores": true, "return_text": true}),
        )
        .ok();
    assert_eq!(raw.json[0]["text"], "300 Hz");
    assert!(raw.json[0]["score"].as_f64().unwrap() > 1.0);

    let score = world
        .post("/score", json!({"text_1": "300 Hz", "text_2": [low, high]}))
        .ok();
    assert_eq!(score.json["data"][0]["object"], "score");
    assert!(score.json["data"][0]["score"].as_f64() > score.json["data"][1]["score"].as_f64());
    let pairwise = json!({"text_1": ["300 Hz", "3000 Hz"], "text_2": [low, high]});
    assert!(
        world.post("/score", pairwise).ok().json["data"][1]["score"]
            .as_f64()
            .unwrap()
            > 0.5
    );

    let alike = world.post("/v1/rerank", json!({"query": "a", "documents": ["b"]}));
    assert_eq!(alike.status, 422);
    assert!(
        alike.json["message"]
            .as_str()
            .unwrap()
            .contains("both texts"),
        "{:?}",
        alike.json
    );
    let alike = world.post("/rerank", json!({"query": "a", "texts": ["b"]}));
    assert_eq!(alike.json["error_type"], "Validation");
}

#[test]
fn tei_routes_answer_as_tei_does() {
    let world = World::new();
    let one = world.post("/embed", json!({"inputs": "440 Hz"})).ok();
    assert_eq!(floats(&one.json[0]).len(), 128);
    for name in [
        "x-compute-type",
        "x-compute-time",
        "x-compute-tokens",
        "x-total-time",
        "x-tokenization-time",
        "x-queue-time",
        "x-inference-time",
        "x-compute-characters",
    ] {
        assert_ne!(one.header(name), "", "{name}");
    }
    let many = world
        .post("/embed", json!({"inputs": ["440 Hz", uri(440.0, 1.0)]}))
        .ok();
    assert!(cosine(&floats(&many.json[0]), &floats(&many.json[1])) > 0.95);
    let similar = world
        .post(
            "/similarity",
            json!({"inputs": {"source_sentence": uri(440.0, 1.0),
        "sentences": ["440 Hz", "4000 Hz"]}}),
        )
        .ok();
    let cosines = floats(&similar.json);
    assert!(cosines[0] > cosines[1], "{cosines:?}");
    let tokens = world
        .post("/tokenize", json!({"inputs": "rain on tin"}))
        .ok();
    assert_eq!(tokens.json[0][1]["text"], "on");
    assert_eq!(
        world.post("/decode", json!({"ids": [1, 2]})).ok().json[0],
        "w1 w2"
    );
    let info = world.get("/info").ok().json;
    assert_eq!(info["model_id"], "bands");
    assert_eq!(info["max_concurrent_requests"], 512);
    assert_eq!(info["max_batch_tokens"], 16_384);
    for path in ["/health", "/ping", "/livez", "/readyz", "/healthz"] {
        world.get(path).ok();
    }
    let long = "word ".repeat(5_000);
    let refused = world.post("/embed", json!({"inputs": long}));
    assert_eq!(
        (refused.status, &refused.json["error_type"]),
        (422, &json!("Validation"))
    );
    world
        .post("/embed", json!({"inputs": long, "truncate": true}))
        .ok();
    let empty = world.post("/embed", json!({"inputs": []}));
    assert_eq!(empty.status, 422);
    let text = String::from_utf8(world.get("/metrics").ok().bytes).unwrap();
    for name in [
        "te_request_count",
        "te_request_duration_bucket",
        "te_embed_count",
        "te_queue_size",
        "te_batch_next_tokens_sum",
        "aurola_build_info",
        "aurola_http_requests_total",
        "te_request_failure",
    ] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
}

#[test]
fn cohere_embeds_by_type() {
    let world = World::new();
    let answer = world
        .post(
            "/v2/embed",
            json!({"model": "bands", "input_type": "search_query",
        "texts": ["440 Hz"], "embedding_types": ["float", "base64"], "output_dimension": 16}),
        )
        .ok();
    assert_eq!(answer.json["response_type"], "embeddings_by_type");
    assert_eq!(floats(&answer.json["embeddings"]["float"][0]).len(), 16);
    assert!(answer.json["embeddings"]["base64"][0].is_string());
    let sound = world
        .post(
            "/v2/embed",
            json!({"inputs": [{"content": [
        {"type": "audio_url", "audio_url": {"url": uri(440.0, 0.5)}}]}]}),
        )
        .ok();
    assert_eq!(floats(&sound.json["embeddings"]["float"][0]).len(), 128);
    let other = world.post(
        "/v2/embed",
        json!({"texts": ["a"], "embedding_types": ["int8"]}),
    );
    assert_eq!(other.status, 400);
    assert!(other.json["message"].as_str().unwrap().contains("int8"));
}

#[test]
fn one_bad_input_is_its_own_request_alone() {
    let world = World::new();
    std::thread::scope(|threads| {
        for n in 0..16 {
            let world = &world;
            threads.spawn(move || {
                let (input, status) = match n % 4 {
                    0 => ("refused", 422),
                    _ => ("440 Hz", 200),
                };
                let answer = world.post("/v1/embeddings", json!({"input": input}));
                assert_eq!(answer.status, status, "{:?}", answer.json);
            });
        }
    });
    // A model that panics is that request's error, and the next one is answered.
    assert_eq!(
        world
            .post("/v1/embeddings", json!({"input": "panic"}))
            .status,
        500
    );
    world
        .post("/v1/embeddings", json!({"input": "440 Hz"}))
        .ok();
}

#[test]
fn errors_are_in_the_form_of_each_api_and_say_what_would_help() {
    let world = World::new();
    let openai = world.post("/v1/embeddings", json!({"input": [1, 2, 3]}));
    assert_eq!(openai.status, 400);
    assert_eq!(openai.json["error"]["type"], "invalid_request_error");
    assert!(
        openai.json["error"]["message"]
            .as_str()
            .unwrap()
            .contains("send the text")
    );
    let ours = world.post("/v1/search", json!({"query": "a", "limt": 3}));
    assert_eq!(ours.status, 400);
    assert!(
        ours.json["error"]["message"]
            .as_str()
            .unwrap()
            .contains("limt"),
        "{:?}",
        ours.json
    );
    assert_eq!(world.get("/v1/embeddings").status, 405);
    assert_eq!(world.get("/nowhere").json["error"]["code"], "not_found");
    let remote = world.post(
        "/v1/embeddings",
        json!({"input": [{"audio": "https://sounds.example/a.wav"}]}),
    );
    assert_eq!(remote.status, 403);
    let garbage = format!("data:audio/wav;base64,{}", STANDARD.encode(b"not a sound"));
    assert_eq!(
        world
            .post("/v1/embeddings", json!({ "input": garbage }))
            .status,
        422
    );
}

#[test]
fn every_answer_is_named_and_hardened() {
    let world = World::new();
    let answer = world.get_with("/v1/models", &[("x-request-id", "mine-1")]);
    assert_eq!(answer.header("x-request-id"), "mine-1");
    let odd = world.get_with("/v1/models", &[("x-request-id", "a b")]);
    assert!(!odd.header("x-request-id").is_empty() && odd.header("x-request-id") != "a b");
    for path in [
        "/",
        "/docs",
        "/v1/models",
        "/nowhere",
        "/health",
        "/openapi.json",
    ] {
        let answer = world.get(path);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'"),
            "{path}"
        );
        assert!(
            !answer.header("content-security-policy").contains("unsafe"),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    let docs = String::from_utf8(world.get("/docs").ok().bytes).unwrap();
    assert!(docs.contains("/v1/search") && !docs.contains("<script") && !docs.contains("https://"));
    assert!(
        String::from_utf8(world.get("/llms.txt").ok().bytes)
            .unwrap()
            .contains("/v1/search")
    );
}

#[test]
fn keys_open_what_they_are_for() {
    use aurola_server::Keys;
    let settings = Settings {
        keys: Keys::new(Some("all"), Some("some")),
        ..Settings::default()
    };
    let mut world = World::with(settings, Duration::ZERO);
    let refused = world.get("/v1/models");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, "Bearer")
    );
    assert_eq!(world.get("/metrics").status, 401);
    world.get("/health").ok();
    let sign_in = |key: &str| world.post("/v1/session", json!({ "key": key }));
    assert_eq!(sign_in("wrong").status, 401);
    let signed_in = sign_in("some");
    let cookie = signed_in
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert!(
        signed_in
            .header("set-cookie")
            .contains("HttpOnly; SameSite=Strict")
    );
    world.get_with("/v1/models", &[("cookie", &cookie)]).ok();
    world.key = Some("some");
    world.get("/v1/models").ok();
    assert_eq!(world.post("/v1/index", json!({})).status, 403);
    assert_eq!(
        world
            .send("PUT", "/v1/collections/a", Some(json!({})))
            .status,
        403
    );
    world.key = Some("all");
    assert_eq!(
        world
            .send("PUT", "/v1/collections/a", Some(json!({})))
            .status,
        201
    );
}

#[test]
fn the_examples_of_the_document_are_answered_as_it_says() {
    let world = World::of_tones(&[("rain.wav", 440.0), ("bell.wav", 900.0)]);
    world
        .send("PUT", "/v1/collections/my-rain", Some(json!({})))
        .headers
        .len();
    let document = world.get("/openapi.json").ok().json;
    let id = world.id("rain.wav");
    let uri = uri(440.0, 0.2);
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let wanted = operation["responses"]
                .as_object()
                .unwrap()
                .keys()
                .next()
                .unwrap();
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            // What an example cannot know: ids, paths of this machine, a whole sound.
            let body = example
                .to_string()
                .replace("3f2a000000000001", &id)
                .replace("data:audio/wav;base64,UklGRg==", &uri)
                .replace("/media/sounds", world.sounds().to_str().unwrap());
            let mut path = path.replace("{name}", "my-rain");
            path = match path.starts_with("/v1/models") {
                true => path.replace("{id}", "bands"),
                false if path.starts_with("/v1/jobs") => path.replace("{id}", "j1"),
                false => path.replace("{id}", &id),
            };
            if let Some(query) = operation["x-query"].as_str() {
                path = format!("{path}?{query}");
            }
            if operation["x-last"].as_bool() == Some(true) {
                continue; // takes away what the others need
            }
            let body = (!example.is_null()).then(|| serde_json::from_str(&body).unwrap());
            let answer = world.send(&method.to_uppercase(), &path, body);
            assert_eq!(
                answer.status.to_string(),
                *wanted,
                "{method} {path}: {}",
                String::from_utf8_lossy(&answer.bytes[..answer.bytes.len().min(500)])
            );
            tried += 1;
        }
    }
    assert!(tried > 35, "{tried}");
}
