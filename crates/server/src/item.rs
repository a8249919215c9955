//! One thing to embed or to judge, in any of the spellings that clients have for it.
//!
//! | spelling | whose |
//! |---|---|
//! | `"words"` | all |
//! | `"data:audio/wav;base64,…"` | Infinity, and ours for TEI's routes |
//! | `{"text":…}`, `{"audio":…}`, both | Jina |
//! | `{"content":"words"}`, `{"content":[parts]}` | vLLM, Cohere |
//! | `[{"role":"user","content":[parts]}]`, a conversation | vLLM, mteb |
//!
//! A part is `text`, `audio_url`, `input_audio` or `audio`. A sound is a data URI, bare base64 where
//! nothing else can be meant, or an https address.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use serde_json::{Map, Value};

use crate::fault::Fault;

/// Words, a sound, or a sound with words about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) text: Option<String>,
    pub(crate) sound: Option<Sound>,
}

/// A sound that came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sound {
    /// Its file.
    Bytes(Bytes),
    /// Where it is.
    At(String),
}

/// What a bare string is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bare {
    /// Words, unless it is a data URI of a sound.
    #[default]
    Words,
    /// A sound.
    Sound,
}

impl Item {
    pub(crate) fn words(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            sound: None,
        }
    }

    /// Reads one. `at` names its place in the request, for errors.
    pub(crate) fn read(value: Value, at: &str, bare: Bare) -> Result<Self, Fault> {
        let mut item = Self::default();
        match value {
            Value::String(text) if bare == Bare::Sound => item.hear(Sound::read(text, at)?, at)?,
            Value::String(text) => item.string(text, at)?,
            Value::Object(object) => item.object(object, at)?,
            other => return Err(wrong(at, "a text, or an object with a sound in it", &other)),
        }
        item.checked(at)
    }

    /// Reads a conversation. The prompts around it are the model's own, so all it may hold is what
    /// the user says.
    pub(crate) fn conversation(messages: Vec<Value>, at: &str) -> Result<Self, Fault> {
        let mut item = Self::default();
        for (n, message) in messages.into_iter().enumerate() {
            let at = format!("{at}[{n}]");
            let Value::Object(mut message) = message else {
                return Err(wrong(&at, "a message with role and content", &message));
            };
            match message.get("role").and_then(Value::as_str) {
                Some("user") | None => {}
                Some(role) => {
                    return Err(Fault::bad(format!("{at}: a message of the role {role:?}"))
                        .help("the model's own prompt is used; send messages of the user only"));
                }
            }
            let content = message.remove("content").unwrap_or(Value::Null);
            item.content(content, &at)?;
        }
        item.checked(at)
    }

    fn checked(self, at: &str) -> Result<Self, Fault> {
        match (&self.text, &self.sound) {
            (Some(text), None) if text.is_empty() => Err(Fault::bad(format!("{at}: empty text"))),
            (None, None) => Err(Fault::bad(format!("{at}: neither text nor sound"))),
            // A sound beside no words is just a sound.
            (Some(text), Some(_)) if text.is_empty() => Ok(Self { text: None, ..self }),
            _ => Ok(self),
        }
    }

    fn say(&mut self, text: String) {
        match &mut self.text {
            Some(said) if !said.is_empty() => {
                said.push('\n');
                said.push_str(&text);
            }
            said => *said = Some(text),
        }
    }

    fn hear(&mut self, sound: Sound, at: &str) -> Result<(), Fault> {
        match self.sound.replace(sound) {
            None => Ok(()),
            Some(_) => Err(
                Fault::bad(format!("{at}: more than one sound in one input"))
                    .help("send each as an input of its own"),
            ),
        }
    }

    fn string(&mut self, text: String, at: &str) -> Result<(), Fault> {
        if is_sound_uri(&text) {
            return self.hear(Sound::read(text, at)?, at);
        }
        self.say(text);
        Ok(())
    }

    fn object(&mut self, mut object: Map<String, Value>, at: &str) -> Result<(), Fault> {
        if object.contains_key("type") {
            return self.part(object, at);
        }
        if let Some(content) = object.remove("content") {
            return self.content(content, at);
        }
        let mut found = false;
        if let Some(audio) = object.remove("audio") {
            self.hear(Sound::of(audio, &format!("{at}.audio"))?, at)?;
            found = true;
        }
        match object.remove("text") {
            Some(Value::String(text)) => {
                self.say(text);
                found = true;
            }
            Some(Value::Null) | None => {}
            Some(other) => return Err(wrong(&format!("{at}.text"), "a text", &other)),
        }
        if let Some(other) = ["image", "video", "image_url"]
            .into_iter()
            .find(|name| object.contains_key(*name))
        {
            return Err(Fault::bad(format!(
                "{at}: {other} is neither sound nor words"
            )));
        }
        match found {
            true => Ok(()),
            false => Err(Fault::bad(format!("{at}: none of text, audio and content"))),
        }
    }

    fn content(&mut self, content: Value, at: &str) -> Result<(), Fault> {
        match content {
            Value::String(text) => self.string(text, at),
            Value::Array(parts) => {
                for (n, part) in parts.into_iter().enumerate() {
                    let at = format!("{at}.content[{n}]");
                    match part {
                        Value::String(text) => self.string(text, &at)?,
                        Value::Object(part) => self.part(part, &at)?,
                        other => return Err(wrong(&at, "a part with a type", &other)),
                    }
                }
                Ok(())
            }
            Value::Object(part) => self.part(part, at),
            other => Err(wrong(&format!("{at}.content"), "text or parts", &other)),
        }
    }

    fn part(&mut self, mut part: Map<String, Value>, at: &str) -> Result<(), Fault> {
        let kind = match part.remove("type") {
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(wrong(&format!("{at}.type"), "a name", &other)),
            None => return self.object(part, at),
        };
        let mut take = |name: &str| {
            part.remove(name)
                .ok_or_else(|| Fault::bad(format!("{at}: a part of type {kind} without {name}")))
        };
        match kind.as_str() {
            "text" | "input_text" => match take("text")? {
                Value::String(text) => {
                    self.say(text);
                    Ok(())
                }
                other => Err(wrong(&format!("{at}.text"), "a text", &other)),
            },
            "audio_url" | "input_audio" | "audio" => {
                let sound = Sound::of(take(&kind)?, &format!("{at}.{kind}"))?;
                self.hear(sound, at)
            }
            other => Err(
                Fault::bad(format!("{at}: parts of type {other:?} are not understood"))
                    .help("text, audio_url and input_audio are"),
            ),
        }
    }
}

impl Sound {
    /// A sound as a string, or wrapped: `{"url":…}`, `{"data":…,"format":…}`.
    pub(crate) fn of(value: Value, at: &str) -> Result<Self, Fault> {
        match value {
            Value::String(text) => Self::read(text, at),
            Value::Object(mut object) => {
                match object.remove("url").or_else(|| object.remove("data")) {
                    Some(Value::String(text)) => Self::read(text, at),
                    Some(other) => Err(wrong(at, "a sound as a text", &other)),
                    None => Err(Fault::bad(format!("{at}: neither url nor data"))),
                }
            }
            other => Err(wrong(
                at,
                "a sound as a data URI, base64 or an address",
                &other,
            )),
        }
    }

    fn read(text: String, at: &str) -> Result<Self, Fault> {
        if starts_with(&text, "data:") {
            let Some((head, data)) = text.split_once(',') else {
                return Err(Fault::bad(format!("{at}: a data URI without a comma")));
            };
            if !head.to_ascii_lowercase().ends_with(";base64") {
                return Err(Fault::bad(format!("{at}: a data URI that is not base64")));
            }
            return Self::decode(data, at);
        }
        if text.contains("://") {
            return Ok(Self::At(text));
        }
        Self::decode(&text, at)
    }

    fn decode(data: &str, at: &str) -> Result<Self, Fault> {
        let bytes = STANDARD_PAD_INDIFFERENT
            .decode(data.trim())
            .map_err(|error| {
                Fault::bad(format!("{at}: not base64: {error}"))
                    .help("a sound is a data URI, base64, or an https address")
            })?;
        match bytes.is_empty() {
            true => Err(Fault::bad(format!("{at}: a sound of no bytes"))),
            false => Ok(Self::Bytes(bytes.into())),
        }
    }
}

/// Whether a string can only be meant as a sound.
fn is_sound_uri(text: &str) -> bool {
    [
        "data:audio/",
        "data:video/",
        "data:application/octet-stream;base64,",
    ]
    .iter()
    .any(|prefix| starts_with(text, prefix))
}

fn starts_with(text: &str, prefix: &str) -> bool {
    (text.get(..prefix.len())).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn wrong(at: &str, wanted: &str, found: &Value) -> Fault {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fault::bad(format!("{at}: {found} where {wanted} is expected"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sound() -> Option<Sound> {
        Some(Sound::Bytes(Bytes::from_static(b"RIFF")))
    }

    #[test]
    fn every_spelling_is_read() {
        let uri = "data:audio/wav;base64,UklGRg==";
        let words = Item::words("rain");
        let heard = Item {
            text: None,
            sound: sound(),
        };
        let both = Item {
            text: Some("rain".into()),
            sound: sound(),
        };
        for (value, item) in [
            (json!("rain"), &words),
            (json!({"text": "rain"}), &words),
            (json!({"content": "rain"}), &words),
            (
                json!({"content": [{"type": "text", "text": "rain"}]}),
                &words,
            ),
            (json!({"type": "text", "text": "rain"}), &words),
            (json!(uri), &heard),
            (json!("DATA:Audio/wav;BASE64,UklGRg"), &heard),
            (json!({"audio": uri}), &heard),
            (json!({"audio": "UklGRg"}), &heard),
            (json!({"audio": {"url": uri}}), &heard),
            (
                json!({"content": [{"type": "audio_url", "audio_url": {"url": uri}}]}),
                &heard,
            ),
            (
                json!({"content": [{"type": "audio_url", "audio_url": uri}]}),
                &heard,
            ),
            (
                json!({"content": [{"type": "input_audio",
                    "input_audio": {"data": "UklGRg==", "format": "wav"}}]}),
                &heard,
            ),
            (json!({"audio": uri, "text": "rain"}), &both),
            (
                json!({"content": [{"type": "audio_url", "audio_url": {"url": uri}},
                    {"type": "text", "text": "rain"}]}),
                &both,
            ),
        ] {
            let read = Item::read(value.clone(), "input[0]", Bare::Words);
            assert_eq!(read.as_ref().ok(), Some(item), "{value}: {read:?}");
        }
        let read = Item::read(json!("UklGRg"), "input", Bare::Sound).unwrap();
        assert_eq!(read, heard);
        let at = Item::read(json!({"audio": "https://a.example/b"}), "i", Bare::Words).unwrap();
        assert_eq!(at.sound, Some(Sound::At("https://a.example/b".into())));
        let said = vec![
            json!({"role": "user", "content": "a"}),
            json!({"role": "user", "content": "b"}),
        ];
        assert_eq!(
            Item::conversation(said, "messages").unwrap(),
            Item::words("a\nb")
        );
    }

    #[test]
    fn what_cannot_be_meant_names_its_place() {
        for value in [
            json!(null),
            json!(1),
            json!([]),
            json!({}),
            json!(""),
            json!({"text": 1}),
            json!({"content": []}),
            json!({"content": [1]}),
            json!({"audio": null}),
            json!({"audio": "data:audio/wav,abc"}),
            json!({"audio": "data:audio/wav;base64"}),
            json!({"audio": "§"}),
            json!({"audio": ""}),
            json!({"image": "x"}),
            json!({"type": "image_url", "image_url": "x"}),
            json!({"type": "audio_url"}),
            json!({"content": [{"type": "audio", "audio": "UklGRg"}, {"type": "audio", "audio": "UklGRg"}]}),
        ] {
            let fault = Item::read(value.clone(), "input[3]", Bare::Words).unwrap_err();
            assert!(fault.message().contains("input[3]"), "{value}: {fault:?}");
        }
        let system = vec![json!({"role": "system", "content": "be nice"})];
        assert!(Item::conversation(system, "messages").is_err());
    }
}
