//! Draws, realised: what was drawn becomes a spectrogram and words.
//!
//! ```text
//! draw ─► samples (cache) ─► augment ─► log-mel ─► masks ─┐
//!     └─► caption, clusters of its tags ──────────────────┴─► EXAMPLE
//! ```

use std::path::Path;
use std::sync::Arc;

use aurola_audio::{LogMel, MelFilters, SAMPLE_RATE, log_mel};

use super::DataError;
use super::augment;
use super::cache::Cache;
use super::caption::{Kinds, both};
use super::clusters::Clusters;
use super::config::{ClusterRule, Crop, DataConfig, Policy};
use super::decode;
use super::manifest::Manifest;
use super::random::{Purpose, Random};
use super::rerank::{Negative, QuerySide, RerankDraw};
use super::row::{Audio, CaptionKind};
use super::sampler::Draw;
use crate::loss::ClusterSet;

/// A pair, ready for the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The row's id.
    pub id: String,
    /// Its source, in the order of the recipe.
    pub source: usize,
    /// Its sound; `None` in a source of pairs of texts.
    pub mel: Option<LogMel>,
    /// What is said of it.
    pub text: String,
    /// Which of the row's captions that is.
    pub caption: CaptionKind,
    /// In a source of pairs of texts, the other text.
    pub other_text: Option<String>,
    /// The clusters of its tags; `None` where the caption comes without.
    pub clusters: Option<ClusterSet>,
    /// Seconds of sound, silence put in included.
    pub audio_seconds: f64,
}

/// A query with a right and a wrong candidate, ready for the re-ranker.
#[derive(Debug, Clone, PartialEq)]
pub struct RerankExample {
    /// The id of the row that query and right candidate are of.
    pub id: String,
    /// Its source, in the order of the recipe.
    pub source: usize,
    /// Query and candidates.
    pub asked: Asked,
    /// Seconds of sound in all of it.
    pub audio_seconds: f64,
}

/// What a re-ranker is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// Whether captions are a sound's.
    Captions {
        /// Which of the two the prompt calls the query.
        query: QuerySide,
        /// The sound.
        sound: LogMel,
        /// Its caption.
        right: String,
        /// Others, at least one.
        wrong: Vec<String>,
    },
    /// Whether each of two sounds is a caption's, which is the query.
    Sounds {
        /// The caption.
        caption: String,
        /// Its sound.
        right: LogMel,
        /// Another.
        wrong: LogMel,
    },
}

/// Makes examples of draws. Shared by all workers of a loader.
#[derive(Debug)]
pub struct Examples {
    manifests: Arc<[Manifest]>,
    config: DataConfig,
    filters: MelFilters,
    clusters: Clusters,
    cache: Cache,
}

impl Examples {
    /// For the sources read by [`DataConfig::read`]; `folder` is the recipe's, `filters` the model's.
    ///
    /// # Errors
    ///
    /// A setting out of its range, or a vocabulary of tags that cannot be read.
    pub fn new(
        config: &DataConfig,
        manifests: Arc<[Manifest]>,
        filters: MelFilters,
        folder: &Path,
    ) -> Result<Self, DataError> {
        config.check()?;
        let clusters = match &config.tag_vocab {
            Some(file) => Clusters::read(&folder.join(file))?,
            None => Clusters::Each,
        };
        Ok(Self {
            manifests,
            config: config.clone(),
            filters,
            clusters,
            cache: Cache::new(config.cache_mib),
        })
    }

    /// What becomes of examples of `source` that cannot be made.
    pub fn unreadable(&self, source: usize) -> Policy {
        self.manifests[source].config.unreadable
    }

    /// Makes the example of a draw: the same one for the same draw.
    ///
    /// # Errors
    ///
    /// [`DataError::Unreadable`], naming source, id, place and file.
    pub fn realise(&self, draw: &Draw) -> Result<Example, DataError> {
        let manifest = &self.manifests[draw.source];
        let row = &manifest.rows[draw.row];
        let rule = manifest.config.clusters.unwrap_or(self.config.clusters);
        let mut text = self.told(draw);
        let mut tags = match rule {
            ClusterRule::TagCaption if draw.caption != CaptionKind::Tag => None,
            _ => Some(manifest.tags(draw.row).into_owned()),
        };
        let mut mel = None;
        let mut audio_seconds = 0.0;
        if !matches!(row.audio, Audio::None) {
            let partner = self.partner(draw);
            if let Some(partner) = &partner {
                text = both(&text, &self.told(partner), draw.caption);
                if let Some(tags) = &mut tags {
                    tags.extend(manifest.tags(partner.row).iter().cloned());
                }
            }
            let (heard, seconds) = self.heard(draw, partner.as_ref())?;
            (mel, audio_seconds) = (Some(heard), seconds);
        }
        let tags = tags.filter(|tags| rule == ClusterRule::TagCaption || !tags.is_empty());
        Ok(Example {
            id: row.id.clone(),
            source: draw.source,
            mel,
            text,
            caption: draw.caption,
            other_text: row.pair.clone(),
            clusters: tags.map(|tags| self.clusters.of(tags.iter().map(String::as_str))),
            audio_seconds,
        })
    }

    /// Makes the sample of a re-ranker draw. Sounds are not mixed here: a wrong caption of one sound
    /// beside a right one of two would give the answer away.
    ///
    /// # Errors
    ///
    /// [`DataError::Unreadable`], naming source, id, place and file.
    pub fn realise_rerank(&self, draw: &RerankDraw) -> Result<RerankExample, DataError> {
        let positive = &draw.positive;
        let manifest = &self.manifests[positive.source];
        let row = &manifest.rows[positive.row];
        let (own, mut audio_seconds) = self.heard(positive, None)?;
        let query = draw.query;
        let asked = match (query, &draw.negative) {
            (_, Negative::NearMisses { which, most }) => {
                let (right, wrong) = self.near_misses(positive, *which, *most)?;
                Asked::Captions {
                    query,
                    sound: own,
                    right,
                    wrong,
                }
            }
            (QuerySide::Audio, Negative::Rows(others)) => Asked::Captions {
                query,
                sound: own,
                right: self.told(positive),
                wrong: others.iter().map(|other| self.told(other)).collect(),
            },
            (QuerySide::Audio, Negative::Words(words)) => Asked::Captions {
                query,
                sound: own,
                right: self.told(positive),
                wrong: words.clone(),
            },
            (QuerySide::Text, Negative::Rows(others)) => {
                let other = others.first().expect("a wrong candidate");
                let (wrong, seconds) = self.heard(other, None)?;
                audio_seconds += seconds;
                Asked::Sounds {
                    caption: self.told(positive),
                    right: own,
                    wrong,
                }
            }
            (QuerySide::Text, Negative::Words(_)) => {
                let reason = "the wrong candidate for a caption is no sound".into();
                return Err(self.unreadable_row(positive, reason));
            }
        };
        Ok(RerankExample {
            id: row.id.clone(),
            source: positive.source,
            asked,
            audio_seconds,
        })
    }

    /// What is said of a draw's row.
    pub(crate) fn told(&self, draw: &Draw) -> String {
        let manifest = &self.manifests[draw.source];
        let row = &manifest.rows[draw.row];
        let text = match (&row.audio, &manifest.generator) {
            (Audio::Scene { seed }, Some(generator)) => {
                let captions = generator.captions(*seed, wording(draw));
                captions.get(draw.caption).map(str::to_owned)
            }
            _ => row.captions.get(draw.caption).map(str::to_owned),
        };
        text.expect("a sampler draws captions that are there")
    }

    /// A true sentence about a scene, and up to `most` that are wrong by one thing.
    fn near_misses(
        &self,
        draw: &Draw,
        which: u64,
        most: usize,
    ) -> Result<(String, Vec<String>), DataError> {
        let manifest = &self.manifests[draw.source];
        let (Audio::Scene { seed }, Some(generator)) =
            (&manifest.rows[draw.row].audio, &manifest.generator)
        else {
            return Err(self.unreadable_row(draw, "only scenes have near misses".into()));
        };
        let mut misses = generator.near_misses(*seed, wording(draw));
        let Some(first) = which.checked_rem(misses.len() as u64) else {
            return Err(self.unreadable_row(draw, "it has no near misses".into()));
        };
        let right = generator.sentence(*seed, wording(draw));
        misses.rotate_left(first as usize);
        misses.truncate(most);
        Ok((right, misses))
    }

    /// Another row to mix in, where the augmentation has it so: told in the same style.
    fn partner(&self, draw: &Draw) -> Option<Draw> {
        let mix = self.config.augment.mix.as_ref()?;
        let manifest = &self.manifests[draw.source];
        let mut random = Random::at(draw.variation, Purpose::Mix, 0, 0);
        let others = manifest.rows.len() as u64 - 1;
        if !random.happens(mix.probability) || others == 0 {
            return None;
        }
        let row = (draw.row + 1 + random.below(others) as usize) % manifest.rows.len();
        let kinds = Kinds::of(manifest, row).only(draw.caption);
        // A row without a caption of that style has none that could be joined.
        let caption = kinds.draw(&manifest.config.captions, &mut random)?;
        Some(Draw {
            row,
            caption,
            variation: random.bits(),
            ..*draw
        })
    }

    /// The spectrogram of a draw, and its seconds.
    fn heard(&self, draw: &Draw, partner: Option<&Draw>) -> Result<(LogMel, f64), DataError> {
        let augment = &self.config.augment;
        let random = |purpose| Random::at(draw.variation, purpose, 0, 0);
        let most = (self.config.max_s * f64::from(SAMPLE_RATE)).round() as usize;
        let mut samples = self.stretch(draw, most)?;
        if let (Some(partner), Some(mix)) = (partner, &augment.mix) {
            let other = self.stretch(partner, most)?;
            let mut random = Random::at(draw.variation, Purpose::Mix, 1, 0);
            augment::mix(&mut samples, &other, mix, &mut random);
        }
        if let Some(config) = &augment.shift {
            augment::shift(&mut samples, most, config, &mut random(Purpose::Shift));
        }
        if let Some(config) = &augment.tilt {
            augment::tilt(&mut samples, config, &mut random(Purpose::Tilt));
        }
        if let Some(config) = &augment.low_pass {
            augment::low_pass(&mut samples, config, &mut random(Purpose::LowPass));
        }
        if let Some(config) = &augment.gain {
            augment::gain(&mut samples, config, &mut random(Purpose::Gain));
        }
        if let Some(config) = &augment.noise {
            augment::noise(&mut samples, config, &mut random(Purpose::Noise));
        }
        let least = (self.config.pad_to_s * f64::from(SAMPLE_RATE)).round() as usize;
        if samples.len() < least {
            samples.resize(least, 0.0);
        }
        let mel = log_mel(&samples, &self.filters);
        let mut mel = mel.map_err(|error| {
            let row = &self.manifests[draw.source].rows[draw.row];
            self.unreadable_row(draw, format!("{}: {error}", row.audio.shown()))
        })?;
        if let Some(config) = &augment.masks {
            augment::mask(&mut mel, config, &mut random(Purpose::Masks));
        }
        Ok((mel, samples.len() as f64 / f64::from(SAMPLE_RATE)))
    }

    /// What of a row's sound is heard: at most `most` samples.
    fn stretch(&self, draw: &Draw, most: usize) -> Result<Vec<f32>, DataError> {
        let manifest = &self.manifests[draw.source];
        let decode = || decode::samples(manifest, draw.row, self.config.longest_s);
        let samples = self.cache.samples(draw.source, draw.row, decode);
        let mut samples = samples.map_err(|reason| self.unreadable_row(draw, reason))?;
        let random = |purpose| Random::at(draw.variation, purpose, 0, 0);
        if let Some(config) = &self.config.augment.speed {
            augment::speed(&mut samples, config, &mut random(Purpose::Speed));
        }
        let mut place = random(Purpose::Crop);
        let place = (self.config.crop == Crop::Random).then_some(&mut place);
        augment::crop(&mut samples, most, place);
        Ok(samples)
    }

    fn unreadable_row(&self, draw: &Draw, reason: String) -> DataError {
        let manifest = &self.manifests[draw.source];
        let row = &manifest.rows[draw.row];
        DataError::Unreadable {
            name: manifest.config.name.clone(),
            id: row.id.clone(),
            place: row.place.clone(),
            reason,
        }
    }
}

/// What a scene's wording is drawn from.
fn wording(draw: &Draw) -> u64 {
    Random::at(draw.variation, Purpose::Wording, 0, 0).bits()
}
