//! Classes as captions: each phrase of a class in each template, so that wording varies and the sound
//! does not.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::super::DataError;
use super::super::config::LabelConfig;
use super::super::error::Place;
use super::super::row::not_empty;

/// The captions of each class, made once and shared by its rows.
#[derive(Debug)]
pub(super) struct Labels {
    phrases: Option<HashMap<String, Vec<String>>>,
    templates: Vec<String>,
    made: HashMap<String, Arc<[String]>>,
}

impl Labels {
    /// Reads the phrases.
    ///
    /// # Errors
    ///
    /// [`DataError::File`] and [`DataError::Row`] for phrases that cannot be read, or are empty;
    /// [`DataError::Setting`] for a template without `{phrase}`, or no templates.
    pub(super) fn new(config: &LabelConfig, folder: &Path) -> Result<Self, DataError> {
        for template in &config.templates {
            if !template.contains("{phrase}") {
                let reason = format!("`{template}` has no {{phrase}} in it");
                return Err(DataError::setting("templates", reason));
            }
        }
        if config.templates.is_empty() {
            return Err(DataError::setting("templates", "there is none"));
        }
        let phrases = config.phrases.as_ref();
        Ok(Self {
            phrases: phrases.map(|file| read(&folder.join(file))).transpose()?,
            templates: config.templates.clone(),
            made: HashMap::new(),
        })
    }

    /// The captions of `label`.
    ///
    /// # Errors
    ///
    /// [`DataError::Row`] for a class without phrases.
    pub(super) fn captions(
        &mut self,
        label: &str,
        place: &Place,
    ) -> Result<Arc<[String]>, DataError> {
        if let Some(made) = self.made.get(label) {
            return Ok(Arc::clone(made));
        }
        let phrases = match &self.phrases {
            None => vec![label.replace('_', " ")],
            Some(known) => known.get(label).cloned().ok_or_else(|| {
                DataError::row(place, format!("the class `{label}` has no phrases"))
            })?,
        };
        let templates = self.templates.iter();
        let made: Arc<[String]> = templates
            .flat_map(|template| phrases.iter().map(|p| template.replace("{phrase}", p)))
            .collect();
        self.made.insert(label.to_owned(), Arc::clone(&made));
        Ok(made)
    }
}

fn read(file: &Path) -> Result<HashMap<String, Vec<String>>, DataError> {
    let failed = |error: &dyn std::fmt::Display| DataError::file(file, error);
    let mut phrases: HashMap<String, Vec<String>> = HashMap::new();
    if file
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"))
    {
        let mut reader = csv::Reader::from_path(file).map_err(|e| failed(&e))?;
        for record in reader.deserialize() {
            let (label, phrase): (String, String) = record.map_err(|e| failed(&e))?;
            phrases.entry(label).or_default().push(phrase);
        }
    } else {
        let text = std::fs::read_to_string(file).map_err(|e| failed(&e))?;
        phrases = toml::from_str(&text).map_err(|e| failed(&e))?;
    }
    let place = Place::whole(file);
    for (label, phrases) in &mut phrases {
        if phrases.is_empty() {
            return Err(DataError::row(&place, format!("`{label}` has no phrase")));
        }
        for phrase in phrases {
            *phrase = not_empty(phrase, label, &place)?;
        }
    }
    Ok(phrases)
}
