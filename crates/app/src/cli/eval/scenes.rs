//! The benchmark `scenes`: generated sounds and sentences that are true of them, as files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aurola_scenes::{Scene, SceneConfig};

use crate::exit::AppError;
use crate::present::csv_field;
use crate::wav::wav;

/// Seeds of scenes that are measured, and of those a re-ranker's weight is chosen on; recipes and demonstration use
/// others.
pub(super) const TEST_SEEDS: u64 = 90_000_000;
pub(super) const VALIDATION_SEEDS: u64 = 80_000_000;

/// Makes `folder` hold `count` scenes from `first_seed` on, no two of one make, and `scenes.csv` with a caption of each, long or
/// short. What is there already is left.
pub(super) fn write(
    folder: &Path,
    first_seed: u64,
    count: usize,
    long: bool,
) -> Result<(), AppError> {
    let failed = |source| AppError::Path {
        path: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let (config, mut known) = (SceneConfig::default(), BTreeSet::new());
    let scenes = (first_seed..)
        .map(|seed| Scene::draw(seed, &config))
        .filter(|scene| known.insert(scene.key()))
        .take(count);
    let mut table = "file,caption\n".to_owned();
    for scene in scenes {
        let name = format!("scene-{}.wav", scene.seed());
        let captions = scene.captions(scene.seed() ^ 0x5eed);
        let caption = if long { captions.long } else { captions.short };
        table += &format!("{name},{}\n", csv_field(&caption));
        let path = folder.join(&name);
        if path.exists() {
            continue;
        }
        let samples: Vec<i16> = (scene.render().iter())
            .map(|s| (s * 32_767.0).round() as i16)
            .collect();
        // Whole or not at all, so that a run that is killed leaves no half of a sound.
        let beside = folder.join(format!("{name}.part"));
        fs::write(&beside, wav(&samples))
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(failed)?;
    }
    fs::write(folder.join("scenes.csv"), table).map_err(failed)
}
