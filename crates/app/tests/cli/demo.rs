//! `aurola demo`, and the model that comes along.

use std::fs;

use crate::*;

/// Without a model in the environment: with the one that comes along.
fn bare(world: &World, arguments: &[&str]) -> Run {
    Run::of(world.aurola(arguments).env_remove("AUROLA_MODEL"))
}

/// The unpacked model.
fn unpacked(world: &World) -> PathBuf {
    aurola_nano::folder(&world.folder.path().join("cache/aurola"))
}

#[test]
fn a_demo_makes_searches_and_compares() {
    let world = World::of_tones(&[]);
    let demo = |more: &[&str]| {
        let line = [&["demo", "--to", "demo", "--format", "json"], more].concat();
        bare(&world, &line).ends_with(0)
    };
    let first = demo(&[]);
    let told: Value = serde_json::from_str(first.out()).unwrap();
    assert_eq!(
        (&told["files"], &told["model"]),
        (&24.into(), &"nano".into())
    );
    let folder = world.folder.path().join("demo");
    let table = fs::read_to_string(folder.join("captions.csv")).unwrap();
    assert_eq!(table.lines().count(), 25);
    let queries = told["queries"].as_array().unwrap();
    assert_eq!(queries.len(), 3);
    for query in queries {
        assert_eq!(keys(query), ["query", "wanted", "rank", "hits"]);
        let words = query["query"].as_str().unwrap();
        assert!(!table.contains(words), "{words} is how a sound is listed");
        let wanted = query["wanted"].as_str().unwrap();
        assert!(folder.join(wanted).is_file());
        let rank = query["rank"].as_u64().unwrap();
        assert!((1..=24).contains(&rank));
        let hits = query["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 3);
        for (hit, place) in hits.iter().zip(1..) {
            assert_eq!(hit["rank"], place);
            assert_eq!(hit["right"], hit["file"] == wanted);
            assert_eq!(hit["right"], place == rank);
            let listed = format!("{},", hit["file"].as_str().unwrap());
            let line = table
                .lines()
                .find(|line| line.starts_with(&listed))
                .unwrap();
            let caption = line[listed.len()..].trim_matches('"');
            assert_eq!(hit["caption"], caption);
        }
    }
    let among = |most: u64| {
        let ranks = queries.iter().map(|query| query["rank"].as_u64().unwrap());
        ranks.filter(|rank| *rank <= most).count()
    };
    assert_eq!(told["found_first"], among(1));
    assert_eq!(told["found_in_first_3"], among(3));
    // Chance alone would find two of three once in 25 times; the model that ships finds them.
    assert!(among(3) >= 2, "{told}");
    assert!(
        !world.store().exists(),
        "the user's own store is not touched"
    );

    assert_eq!(demo(&[]).out, first.out, "the second time says the same");
    let other = bare(&world, &["demo", "--to", "demo", "--seed", "2"]).ends_with(2);
    assert!(other.err.contains("help: --to DIR"), "{}", other.err);
}

#[test]
fn a_demo_tells_people_the_truth_beside_every_hit_and_what_comes_next() {
    let world = World::of_tones(&[]);
    let run = bare(&world, &["demo", "--count", "4"]).ends_with(0);
    let lines: Vec<&str> = run.out().lines().collect();
    let place = world.folder.path().join("cache/aurola/demo-1-4");
    assert_eq!(
        lines[0],
        format!("4 generated sounds in {}", place.display())
    );
    let count = |begin: &str| lines.iter().filter(|line| line.starts_with(begin)).count();
    assert_eq!(count("looking for: "), 3);
    assert_eq!(count("  right: ") + count("  not first: "), 3);
    assert!(
        lines[lines.len() - 1].contains("aurola search "),
        "{}",
        run.out()
    );
    for (format, rows) in [("jsonl", 3), ("csv", 10)] {
        let run = bare(&world, &["demo", "--count", "4", "--format", format]).ends_with(0);
        assert_eq!(run.out().lines().count(), rows, "{format}");
    }
    bare(&world, &["demo", "--count", "2"]).ends_with(2);
}

#[test]
fn where_no_model_is_named_the_one_that_comes_along_serves_and_says_so() {
    let world = World::of_tones(&[200, 440]);
    let search = ["search", "rain", "sounds", "--format", "jsonl"];
    let silent = |more: &[&str]| bare(&world, &[&search[..], more].concat()).ends_with(0);
    let run = silent(&[]);
    assert_eq!(run.lines().len(), 2);
    let said: Vec<&str> = run
        .err
        .lines()
        .filter(|line| line.contains("aurola-nano"))
        .collect();
    assert_eq!(said.len(), 1, "{}", run.err);
    assert!(
        said[0].contains("small") && said[0].contains("--model"),
        "{}",
        run.err
    );
    assert!(unpacked(&world).join("config.json").is_file());
    let named = silent(&["--model", "nano"]);
    assert_eq!(named.out, run.out);
    assert!(!named.err.contains("aurola-nano"), "{}", named.err);
    assert_eq!(silent(&["-q"]).err, "");

    let judged = silent(&["--rerank", "2"]);
    assert!(judged.lines().iter().all(|line| line["p_yes"].is_number()));
    let by_name = silent(&["--rerank", "2", "--reranker", "nano"]);
    assert_eq!(by_name.out, judged.out);
    let alone = bare(
        &world,
        &[
            "rerank",
            "--direction",
            "text-to-audio",
            "--query",
            "rain",
            "--candidate",
            "sounds/440.wav",
            "--format",
            "jsonl",
        ],
    );
    let p_yes = alone.ends_with(0).lines()[0]["p_yes"].as_f64().unwrap();
    let lines = judged.lines();
    let same = lines
        .iter()
        .find(|line| line["path"] == "sounds/440.wav")
        .unwrap();
    assert!(
        (same["p_yes"].as_f64().unwrap() - p_yes).abs() < 1e-6,
        "one judge for both"
    );
    bare(&world, &["caption", "sounds/440.wav", "--max-tokens", "2"]).ends_with(0);
    bare(&world, &["embed", "--text", "rain"]).ends_with(0);
}

#[test]
fn the_model_that_comes_along_is_listed_described_and_checked() {
    let world = World::of_tones(&[]);
    let info = bare(&world, &["model", "info", "--json"]).ends_with(0);
    let info: Value = serde_json::from_slice(&info.out).unwrap();
    assert_eq!(info["name"], aurola_nano::NAME);
    assert_eq!(info["licence"], aurola_nano::LICENCE);
    assert_eq!(info["folder"]["path"].as_str(), unpacked(&world).to_str());
    let named = world.run(&["model", "info", "nano", "--json"]).ends_with(0);
    let named: Value = serde_json::from_slice(&named.out).unwrap();
    assert_eq!(named, info, "stronger than the variable");

    let list = bare(&world, &["model", "ls", "--json"]).ends_with(0);
    let list: Value = serde_json::from_slice(&list.out).unwrap();
    assert_eq!(list[0]["name"], "nano");
    assert_eq!(list[0]["path"].as_str(), unpacked(&world).to_str());
    let rm = bare(&world, &["model", "rm", "nano"]).ends_with(2);
    assert!(rm.err.contains("help: its unpacked copy"), "{}", rm.err);

    let doctor = bare(&world, &["doctor"]).ends_with(0);
    assert!(
        doctor.out().contains("aurola-nano, in "),
        "{}",
        doctor.out()
    );
}

#[test]
fn a_damaged_copy_is_put_right_and_a_place_that_cannot_be_made_is_named() {
    let world = World::of_tones(&[]);
    let embed = ["embed", "--text", "rain"];
    let first = bare(&world, &embed).ends_with(0).out;
    fs::write(unpacked(&world).join("config.json"), "{").unwrap();
    assert_eq!(bare(&world, &embed).ends_with(0).out, first);

    let file = world.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut command = world.aurola(&embed);
    command
        .env_remove("AUROLA_MODEL")
        .env("XDG_CACHE_HOME", &file);
    let run = Run::of(&mut command).ends_with(4);
    assert!(run.err.contains(&*file.to_string_lossy()), "{}", run.err);
    assert!(run.err.contains("XDG_CACHE_HOME"), "{}", run.err);
}
