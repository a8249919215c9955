//! Clips with class names: VGGSounder, ESC-50, a table of one's own.

use std::path::Path;

use super::table::{Places, Table};
use super::{Clip, Kind, Task, Text, stem, without_extension};
use crate::error::{EvalError, Place};

/// Puts clip and class together, each as often as the file does, once.
#[derive(Default)]
pub(super) struct Labelled {
    clips: Places,
    classes: Places,
}

impl Labelled {
    /// The class of that name, which may be new.
    fn class(&mut self, task: &mut Task, name: &str) -> usize {
        let (class, is_new) = self.classes.of(name);
        if is_new {
            task.texts.push(Text {
                id: None,
                text: name.to_owned(),
                clips: Vec::new(),
            });
        }
        class
    }

    /// `false` where clip and class were together already.
    pub(super) fn add(&mut self, task: &mut Task, clip: Clip, class: &str) -> bool {
        let class = self.class(task, class);
        let (place, is_new) = self.clips.of(&clip.id);
        if is_new {
            task.clips.push(clip);
        }
        let clips = &mut task.texts[class].clips;
        match clips.binary_search(&place) {
            Ok(_) => false,
            Err(at) => {
                clips.insert(at, place);
                true
            }
        }
    }
}

/// Rows `video_id,label,modality,background_music,…`: a label counts where its modality has an `A`.
pub(super) fn vggsounder(path: &Path, music: bool) -> Result<Task, EvalError> {
    let table = Table::read(path)?;
    let video = table.needed(path, &["video_id"])?;
    let label = table.needed(path, &["label"])?;
    let modality = table.needed(path, &["modality"])?;
    let background = table.needed(path, &["background_music"])?;
    let mut task = Task::empty(Kind::Labels, path);
    let mut labelled = Labelled::default();
    let (mut unheard, mut with_music) = (0, 0);
    for row in table.rows() {
        let fields = match row.fields {
            Ok(fields) => fields,
            Err(what) => {
                task.leave_out(row.line, what);
                continue;
            }
        };
        let (video, label) = (fields[video].trim(), fields[label].trim());
        let heard = match fields[modality].trim() {
            "A" | "AV" => true,
            "V" => false,
            other => {
                task.leave_out(row.line, format!("modality is `{other}`, not A, V or AV"));
                continue;
            }
        };
        let is_music = match fields[background].trim() {
            "True" | "true" => true,
            "False" | "false" => false,
            other => {
                task.leave_out(
                    row.line,
                    format!("background_music is `{other}`, not True or False"),
                );
                continue;
            }
        };
        if video.is_empty() || label.is_empty() {
            task.leave_out(row.line, "has an empty video_id or label");
            continue;
        }
        with_music += usize::from(is_music);
        if !heard {
            unheard += 1;
        } else if music || !is_music {
            let clip = Clip::called(video);
            if !labelled.add(&mut task, clip, label) {
                task.leave_out(row.line, format!("`{video}` has `{label}` a second time"));
            }
        }
    }
    if music && with_music == 0 {
        return Err(EvalError::input(
            path,
            Place::Whole,
            "no row has background music",
            "this is the file without it: take vggsounder+background-music.csv, or the benchmark vggsounder",
        ));
    }
    task.notes.push(format!(
        "{unheard} labels are seen and not heard; they are left out"
    ));
    if with_music > 0 && !music {
        task.notes.push(format!(
            "{with_music} labels of clips with background music are left out"
        ));
    }
    Ok(task)
}

/// `filename` or `file`, `fold`, `category`.
pub(super) fn esc50(path: &Path) -> Result<Task, EvalError> {
    let table = Table::read(path)?;
    let file = table.needed(path, &["filename", "file"])?;
    let fold = table.needed(path, &["fold"])?;
    let category = table.needed(path, &["category"])?;
    let mut task = Task::empty(Kind::Labels, path);
    let mut labelled = Labelled::default();
    for row in table.rows() {
        let fields = match row.fields {
            Ok(fields) => fields,
            Err(what) => {
                task.leave_out(row.line, what);
                continue;
            }
        };
        let name = stem(fields[file].trim());
        let fold = fields[fold].trim().parse().ok();
        if name.is_empty() || fields[category].trim().is_empty() || fold.is_none() {
            task.leave_out(
                row.line,
                "needs a file name, a fold from 1 to 5 and a category",
            );
            continue;
        }
        let clip = Clip {
            fold,
            ..Clip::called(name)
        };
        // Class names as one reads them.
        let class = fields[category].trim().replace('_', " ");
        if !labelled.add(&mut task, clip, &class) {
            task.leave_out(row.line, format!("`{name}` comes a second time"));
        }
    }
    Ok(task)
}

/// `file` (or `path`, `file_name`, `filename`, `audio`) with `caption` (or `text`, `description`) or `caption_1`, `caption_2`…, or
/// with `label` (several parted by `;`). A file may come on several rows.
pub(super) fn own(path: &Path) -> Result<Task, EvalError> {
    let table = Table::read(path)?;
    let file = table.needed(path, &["file", "path", "file_name", "filename", "audio"])?;
    let numbered = table.numbered("caption_");
    let caption = table.column(&["caption", "text", "description"]);
    let label = table.column(&["label", "category", "class"]);
    let (kind, columns) = match (caption, label) {
        (Some(caption), _) => (Kind::Captions, vec![caption]),
        (None, _) if !numbered.is_empty() => (Kind::Captions, numbered),
        (None, Some(label)) => (Kind::Labels, vec![label]),
        (None, None) => (
            Kind::Captions,
            vec![table.needed(path, &["caption", "text", "description", "label"])?],
        ),
    };
    let mut task = Task::empty(kind, path);
    let mut labelled = Labelled::default();
    let mut places = Places::default();
    for row in table.rows() {
        let fields = match row.fields {
            Ok(fields) => fields,
            Err(what) => {
                task.leave_out(row.line, what);
                continue;
            }
        };
        let name = without_extension(fields[file].trim()).replace('\\', "/");
        if name.is_empty() {
            task.leave_out(row.line, "has no file name");
            continue;
        }
        let clip = Clip::called(&name);
        for column in &columns {
            let text = fields[*column].trim();
            if text.is_empty() {
                task.leave_out(row.line, format!("`{name}` has an empty text"));
            } else if kind == Kind::Labels {
                for class in text
                    .split(';')
                    .map(str::trim)
                    .filter(|class| !class.is_empty())
                {
                    labelled.add(&mut task, clip.clone(), class);
                }
            } else {
                let (place, is_new) = places.of(&name);
                if is_new {
                    task.clips.push(clip.clone());
                }
                task.texts.push(Text {
                    id: None,
                    text: text.to_owned(),
                    clips: vec![place],
                });
            }
        }
    }
    Ok(task)
}
