//! Generated scenes as rows: their sound and their words are made when they are asked for, each time in
//! other words.

use std::path::Path;
use std::sync::Arc;

use aurola_scenes::{Scene, SceneConfig};

use super::super::DataError;
use super::super::config::{CommonConfig, ScenesConfig};
use super::super::error::Place;
use super::super::row::{Audio, Captions, Row};
use super::Manifest;

/// Draws the scenes of a source.
#[derive(Debug, Clone)]
pub(in super::super) struct Generator {
    config: SceneConfig,
}

/// The rows of a source of scenes: their seeds, and nothing else.
pub(super) fn rows(config: &ScenesConfig, common: &CommonConfig) -> Result<Manifest, DataError> {
    let file: Arc<Path> = Path::new(&common.name).into();
    let row = |number: u64| {
        let seed = config.seed.checked_add(number).ok_or_else(|| {
            let reason = format!(
                "{} and {} rows are beyond 64 bits",
                config.seed, config.count
            );
            DataError::setting("seed", reason)
        })?;
        Ok(Row {
            id: format!("scene-{seed}"),
            audio: Audio::Scene { seed },
            captions: Captions::default(),
            tags: Vec::new(),
            pair: None,
            hard_audio: Vec::new(),
            hard_text: Vec::new(),
            place: Place::record(&file, number),
        })
    };
    let default = SceneConfig::default();
    Ok(Manifest {
        config: common.clone(),
        rows: (0..config.count as u64)
            .map(row)
            .collect::<Result<_, _>>()?,
        skipped: Vec::new(),
        filtered: 0,
        lost_negatives: 0,
        generator: Some(Generator {
            config: SceneConfig {
                min_s: config.min_s,
                max_s: config.max_s,
                max_events: config.max_events,
                background: config.background.unwrap_or(default.background),
                together: config.together.unwrap_or(default.together),
                room: config.room.unwrap_or(default.room),
            },
        }),
    })
}

impl Generator {
    fn scene(&self, seed: u64) -> Scene {
        Scene::draw(seed, &self.config)
    }

    /// The sound of scene `seed`, mono, 16 kHz.
    pub(in super::super) fn samples(&self, seed: u64) -> Vec<f32> {
        self.scene(seed).render()
    }

    /// Its captions, in the words that `wording` chooses.
    pub(in super::super) fn captions(&self, seed: u64, wording: u64) -> Captions {
        let told = self.scene(seed).captions(wording);
        Captions {
            long: Some(told.long),
            short: Some(told.short),
            tag: Some(told.tag),
            ..Captions::default()
        }
    }

    /// One true sentence about it, in the style of near misses.
    pub(in super::super) fn sentence(&self, seed: u64, wording: u64) -> String {
        self.scene(seed).exact_caption(wording)
    }

    /// What sentences about it tell apart, loosely: scenes of which a sentence about one may be true of the
    /// other have the same. From three on, an event is heard "several times".
    pub(in super::super) fn told_apart(&self, seed: u64) -> String {
        let outline = self.scene(seed).outline();
        outline.replace("*4", "*3").replace("*5", "*3")
    }

    /// Its tags.
    pub(in super::super) fn tags(&self, seed: u64) -> Vec<String> {
        let tags = self.scene(seed).tags();
        tags.into_iter().map(str::to_owned).collect()
    }

    /// Captions that are wrong by one thing, in one sentence each.
    pub(in super::super) fn near_misses(&self, seed: u64, wording: u64) -> Vec<String> {
        let misses = self.scene(seed).near_misses(wording);
        misses.into_iter().map(|miss| miss.caption).collect()
    }
}
