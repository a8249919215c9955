//! An index over HTTP: found, heard, drawn, collected, taken away.

use super::*;

fn names(answer: &Answer) -> Vec<String> {
    let results = answer.json["results"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer:?}"));
    results
        .iter()
        .map(|hit| hit["name"].as_str().unwrap().to_owned())
        .collect()
}

fn world() -> World {
    World::of_tones(&[("low.wav", 200.0), ("mid.wav", 900.0), ("high.wav", 4000.0)])
}

#[test]
fn words_sounds_clips_and_vectors_find() {
    let world = world();
    let by_words = world
        .post("/v1/search", json!({"query": "900 Hz", "mode": "meaning"}))
        .ok();
    assert_eq!(names(&by_words)[0], "mid.wav");
    let hit = &by_words.json["results"][0];
    assert_eq!(hit["duration"], 1.0);
    assert_eq!(
        (hit["format"].as_str(), hit["sample_rate"].as_u64()),
        (Some("wav"), Some(16_000))
    );
    assert!(hit["spans"][0]["end"].as_f64().unwrap() > 0.9);
    assert!(hit["modified"].as_str().unwrap().ends_with('Z'));
    let by_sound = world
        .post("/v1/search", json!({"like": {"audio": uri(4000.0, 0.5)}}))
        .ok();
    assert_eq!(names(&by_sound)[0], "high.wav");
    let id = world.id("low.wav");
    let by_clip = world.post("/v1/search", json!({"like": [{"id": id}]})).ok();
    assert_eq!(names(&by_clip)[0], "low.wav");
    let similar = world.get(&format!("/v1/clips/{id}/similar?limit=2")).ok();
    assert_eq!(names(&similar).len(), 2);
    assert!(!names(&similar).contains(&"low.wav".to_owned()));
    let path = world.sounds().join("low.wav");
    let by_path = world
        .post("/v1/search", json!({"like": {"path": path}}))
        .ok();
    assert_eq!(names(&by_path)[0], "low.wav");
    let vector = world.post("/embed", json!({"inputs": "200 Hz"})).ok().json[0].clone();
    let by_vector = world
        .post("/v1/search", json!({"like": {"vector": vector}}))
        .ok();
    assert_eq!(names(&by_vector)[0], "low.wav");
    let but_not = world
        .post(
            "/v1/search",
            json!({"like": {"vector": vector}, "not": ["200 Hz"],
        "weights": {"not": 5.0}}),
        )
        .ok();
    assert_ne!(names(&but_not)[0], "low.wav");
    let simple = world.get("/v1/search?q=4000%20Hz&limit=1").ok();
    assert_eq!(names(&simple).len(), 1);
    let by_name = world
        .post("/v1/search", json!({"query": "high", "mode": "words"}))
        .ok();
    assert_eq!(names(&by_name), ["high.wav"]);
}

#[test]
fn pages_filters_and_judges() {
    let world = world();
    let first = world
        .post("/v1/search", json!({"sort": "path", "limit": 2}))
        .ok();
    assert_eq!(names(&first), ["high.wav", "low.wav"]);
    assert_eq!(first.json["next"], 2);
    let second = world
        .post(
            "/v1/search",
            json!({"sort": "path", "limit": 2, "offset": 2}),
        )
        .ok();
    assert_eq!(names(&second), ["mid.wav"]);
    assert!(second.json["next"].is_null());
    let none = world
        .post("/v1/search", json!({"filter": {"duration": {"min": 2.0}}}))
        .ok();
    assert_eq!(names(&none).len(), 0);
    let judged = world
        .post(
            "/v1/search",
            json!({"query": "900 Hz", "rerank": 3, "explain": true}),
        )
        .ok();
    assert_eq!(names(&judged)[0], "mid.wav");
    assert!(judged.json["results"][0]["p_yes"].as_f64().unwrap() > 0.5);
    assert!(judged.json["results"][0]["heat"].is_array());
    let why = world
        .get(&format!("/v1/clips/{}/why?q=900%20Hz", world.id("mid.wav")))
        .ok();
    assert!(!why.json["heat"].as_array().unwrap().is_empty());
    let told = world
        .post("/v1/search", json!({"query": "rain without wind 3"}))
        .ok();
    assert_eq!(told.json["notes"].as_array().unwrap().len(), 1);
    for wrong in [
        json!({"query": "a", "mode": "magic"}),
        json!({"query": "a", "sort": "random"}),
        json!({"like": {"id": "xyz"}}),
        json!({"not": ["a"]}),
        json!({"query": "a", "rerank": 999}),
        json!({"like": {"audio": "x", "id": "y"}}),
        json!({"query": "a", "weights": {"query": -1}}),
        json!({"like": {"vector": [1, 2]}}),
        json!({"like": {"audio": uri(440.0, 0.1)}, "rerank": 2}),
        json!({"filter": {"modified": {"since": "yesterday"}}}),
    ] {
        let answer = world.post("/v1/search", wrong.clone());
        assert!(
            [400, 404].contains(&answer.status),
            "{wrong}: {} {:?}",
            answer.status,
            answer.json
        );
        assert!(answer.json["error"]["message"].is_string());
    }
}

#[test]
fn a_sound_is_served_whole_and_in_ranges() {
    let world = world();
    let id = world.id("low.wav");
    let file = std::fs::read(world.sounds().join("low.wav")).unwrap();
    let path = format!("/audio/{id}");
    let whole = world.get(&path).ok();
    assert_eq!(whole.bytes, file);
    assert_eq!(whole.header("content-type"), "audio/wav");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert!(whole.header("content-disposition").starts_with("inline"));
    let range = |range: &str| world.get_with(&path, &[("range", range)]);
    let part = range("bytes=10-19");
    assert_eq!((part.status, &part.bytes[..]), (206, &file[10..20]));
    assert_eq!(
        part.header("content-range"),
        format!("bytes 10-19/{}", file.len())
    );
    assert_eq!(range("bytes=-4").bytes, &file[file.len() - 4..]);
    assert_eq!(range("bytes=32000-").bytes, &file[32_000..]);
    let outside = range("bytes=999999-");
    assert_eq!(outside.status, 416);
    assert_eq!(
        outside.header("content-range"),
        format!("bytes */{}", file.len())
    );
    assert_eq!(range("bytes=0-1,4-5").status, 200);
    let tag = whole.header("etag").to_owned();
    assert_eq!(
        world.get_with(&path, &[("if-none-match", &tag)]).status,
        304
    );
    let stale = world.get_with(&path, &[("range", "bytes=0-1"), ("if-range", "\"other\"")]);
    assert_eq!(stale.status, 200);
    assert_eq!(world.get("/audio/00000000000fffff").status, 404);
}

#[test]
fn a_sound_is_drawn() {
    let world = world();
    let id = world.id("low.wav");
    for _ in 0..2 {
        // Made, and then kept.
        let wave = world.get(&format!("/waveform/{id}?points=100")).ok().json;
        assert_eq!(
            (wave["version"].as_u64(), wave["bits"].as_u64()),
            (Some(2), Some(8))
        );
        assert_eq!(wave["length"], 100);
        let data: Vec<i64> = wave["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_i64().unwrap())
            .collect();
        assert_eq!(data.len(), 200);
        assert!(data[0] < -60 && data[1] > 60, "half of full scale: {data:?}");
        assert!(data.iter().all(|value| value.abs() <= 65));
    }
    let picture = world.get(&format!("/spectrogram/{id}.webp?width=50")).ok();
    assert_eq!(picture.header("content-type"), "image/webp");
    assert_eq!(
        (&picture.bytes[..4], &picture.bytes[8..12]),
        (&b"RIFF"[..], &b"WEBP"[..])
    );
    assert_eq!(world.get(&format!("/waveform/{id}?points=0")).status, 400);
    assert_eq!(
        world.get(&format!("/spectrogram/{id}?width=99999")).status,
        400
    );
}

#[test]
fn tags_and_collections_are_kept_and_taken_away() {
    let world = world();
    let id = world.id("low.wav");
    let tagged = world
        .send(
            "PUT",
            &format!("/v1/clips/{id}/tags"),
            Some(json!({"add": ["=cmd", "<script>alert(1)</script>"], "note": "hum"})),
        )
        .ok();
    assert!(
        tagged.json["own_tags"]
            .as_array()
            .unwrap()
            .contains(&json!("=cmd")),
        "{tagged:?}"
    );
    let found = world
        .post("/v1/search", json!({"filter": {"tags": ["=cmd"]}}))
        .ok();
    assert_eq!(names(&found), ["low.wav"]);
    assert_eq!(
        world
            .send(
                "PUT",
                "/v1/collections/hums",
                Some(json!({"title": "Hums"}))
            )
            .status,
        201
    );
    assert_eq!(
        world
            .send("PUT", &format!("/v1/collections/hums/clips/{id}"), None)
            .status,
        204
    );
    let hums = world.get("/v1/collections/hums").ok().json;
    assert_eq!(
        (hums["title"].as_str(), hums["clips"][0]["name"].as_str()),
        (Some("Hums"), Some("low.wav"))
    );
    let within = world
        .post("/v1/search", json!({"filter": {"collection": "hums"}}))
        .ok();
    assert_eq!(names(&within), ["low.wav"]);
    let export = |form: &str| {
        world
            .get(&format!("/v1/collections/hums/export?format={form}"))
            .ok()
    };
    let table = String::from_utf8(export("csv").bytes).unwrap();
    assert!(table.contains("low.wav") && table.contains("=cmd"), "{table}");
    let list = String::from_utf8(export("m3u8").bytes).unwrap();
    assert!(list.starts_with("#EXTM3U\n#EXTINF:1,low\n"), "{list}");
    let archive = export("zip");
    assert!(
        archive
            .header("content-disposition")
            .contains("attachment; filename*=UTF-8''hums.zip")
    );
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive.bytes)).unwrap();
    let mut sound = Vec::new();
    archive
        .by_name("low.wav")
        .unwrap()
        .read_to_end(&mut sound)
        .unwrap();
    assert_eq!(
        sound,
        std::fs::read(world.sounds().join("low.wav")).unwrap()
    );
    assert!(
        archive.by_name("ATTRIBUTION.txt").is_ok() && archive.by_name("collection.csv").is_ok()
    );
    assert_eq!(
        world.send("DELETE", "/v1/collections/hums", None).status,
        204
    );
    assert_eq!(world.get("/v1/collections/hums").status, 404);
}

#[test]
fn indexing_is_watched_as_it_happens_and_bad_files_are_told() {
    let world = world();
    std::fs::write(world.sounds().join("bad.wav"), b"no sound at all").unwrap();
    for n in 0..10 {
        write_wav(
            &world.sounds().join(format!("more-{n}.wav")),
            &tone(300.0 + 50.0 * n as f32, 1.0),
        );
    }
    let job = world.post("/v1/index", json!({}));
    assert_eq!(job.status, 202);
    let id = job.json["id"].as_str().unwrap();
    assert_eq!(job.header("location"), format!("/v1/jobs/{id}"));
    let events = world
        .get_with(
            &format!("/v1/jobs/{id}"),
            &[("accept", "text/event-stream")],
        )
        .ok();
    assert_eq!(events.header("content-type"), "text/event-stream");
    let text = String::from_utf8(events.bytes).unwrap();
    assert!(
        text.contains("event: skipped") && text.contains("bad.wav"),
        "{text}"
    );
    let last = text.rsplit("event: end\ndata: ").next().unwrap();
    let last: Value = serde_json::from_str(last.trim()).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(last["state"], "done", "{last}");
    assert_eq!(last["result"]["embedded"], 10);
    let status = world.get("/v1/status").ok().json;
    assert_eq!(status["writable"], true);
    assert_eq!(
        status["index"]["roots"][0]["path"],
        world.sounds().to_str().unwrap()
    );
    let failures = world.get("/v1/index").ok().json["failures"].clone();
    assert!(failures.to_string().contains("bad.wav"), "{failures}");
    let gone = world
        .post("/v1/index", json!({"paths": ["/no/such/folder"]}))
        .json;
    let gone = world.get_with(
        &format!("/v1/jobs/{}", gone["id"].as_str().unwrap()),
        &[("accept", "text/event-stream")],
    );
    assert!(
        String::from_utf8(gone.bytes)
            .unwrap()
            .contains("\"state\":\"failed\"")
    );
    assert_eq!(
        world
            .post("/v1/index", json!({"paths": ["relative"]}))
            .status,
        400
    );
}
