//! The data section of recipes.

use aurola_train::data::{ClusterRule, Crop, DataConfig, Form, Policy};

use super::config;

const RECIPE: &str = r#"
max_s = 10.0
crop = "start"
pad_to_s = 2.0
cache_mib = 256
augment.gain = { db = [-6.0, 6.0] }
augment.mix = { probability = 0.3, snr_db = [-5.0, 5.0] }
augment.masks = { times = 2, most_frames = 40, bands = 2, most_bands = 16 }

# ESC-10 outside fold 4, which is the test set, as far as its licences are free.
[[sources]]
name = "esc10"
kind = "table"
weight = 2.0
clusters = "always"
file = "esc50/meta/clips.csv"
audio = ["esc50"]
columns = { id = "clip_id", file = "file", label = "category" }
labels = { phrases = "esc50_phrases.toml", templates = ["{phrase}", "the sound of {phrase}"] }
filter = [
    { column = "fold", is_not = ["4"] },
    { column = "esc10", is = ["True"] },
    { column = "clip_licence", is = ["CC0", "CC-BY"] },
]

[[sources]]
name = "mine"
kind = "folder"
weight = 1.0
missing = "skip"
unreadable = "skip"
folder = "my sounds"

[[sources]]
name = "scenes"
kind = "scenes"
weight = 5.0
count = 100000
seed = 1000000
captions = { tag = 0.5 }
"#;

#[test]
fn a_recipe_reads_as_written() {
    let config = config(RECIPE);
    assert!(config.check().is_ok());
    assert_eq!((config.max_s, config.crop), (10.0, Crop::Start));
    assert_eq!(config.clusters, ClusterRule::TagCaption);
    let [esc, mine, scenes] = config.sources.as_slice() else {
        panic!("{:?}", config.sources)
    };
    assert_eq!(esc.common.clusters, Some(ClusterRule::Always));
    assert_eq!(
        (mine.common.missing, mine.common.unreadable),
        (Policy::Skip, Policy::Skip)
    );
    assert_eq!(
        (scenes.common.captions.tag, scenes.common.captions.long),
        (0.5, 1.0)
    );
    assert!(matches!(&scenes.form, Form::Scenes(s) if s.count == 100_000));
    assert_eq!(config.augment.mix.unwrap().probability, 0.3);
    assert_eq!(config.augment.gain.unwrap().probability, 1.0);
}

#[test]
fn misspelt_keys_are_errors_that_name_them() {
    for (right, wrong) in [
        ("max_s", "max_sec"),
        ("weight", "wieght"),
        ("filter", "filters"),
        ("folder = ", "path = "),
        ("count", "rows"),
        ("templates", "template"),
        ("most_bands", "bands_most"),
        ("\"skip\"", "\"ignore\""),
        ("kind = \"scenes\"", "kind = \"scene\""),
    ] {
        let recipe = RECIPE.replacen(right, wrong, 1);
        let error = toml::from_str::<DataConfig>(&recipe)
            .unwrap_err()
            .to_string();
        let word = wrong.trim_end_matches(" = ").trim_matches('"');
        let word = word.rsplit('"').next().unwrap();
        assert!(error.contains(word), "{wrong}: {error}");
    }
}
