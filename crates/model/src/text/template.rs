//! The checkpoint's chat template: messages as the one string that is tokenized.
//!
//! Rendered by minijinja with what `transformers` offers a template: `trim_blocks`,
//! `lstrip_blocks`, loop controls, Python's string and list methods, `tojson` in Python's spelling,
//! `raise_exception`, `strftime_now` (UTC), the tokenizer's special tokens by name. A template is
//! part of a download, so it runs on fuel: one that loops for ever is an error.
//!
//! Which file is used follows `transformers` 4.57 for a processor: `chat_template.json` (key
//! `chat_template`) before `chat_template.jinja`; then `tokenizer_config.json`. Of several named
//! templates it is the one named `default`.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use super::clock;
use super::tokenizer_files::{parse, read_if_there};
use crate::ModelError;

/// Steps one rendering may take; those of our fixtures take under 200.
const FUEL: u64 = 200_000;

/// A compiled chat template.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    source: PathBuf,
    special_names: Vec<(String, serde_json::Value)>,
}

/// One message of a conversation, its content a list of parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Message<'a> {
    /// Who speaks: `system`, `user`, `assistant`, or what the template knows.
    pub(crate) role: &'a str,
    /// What is said, in order.
    pub(crate) content: Vec<Content>,
}

/// One part of a message, as processors write it: `{"type": "text", "text": …}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Content {
    /// A clip. The template writes a placeholder for it.
    Audio {
        /// Stands for the clip; templates only ask whether it is there.
        audio: &'static str,
    },
    /// Words.
    Text {
        /// The words, verbatim.
        text: String,
    },
}

impl ChatTemplate {
    /// Reads the chat template of the checkpoint in `dir`. `special_names`: the tokenizer's special
    /// tokens by name, which a template may print.
    ///
    /// # Errors
    ///
    /// - [`ModelError::MissingFile`] where no file holds a template.
    /// - [`ModelError::Text`] with the line of a mistake in the template.
    pub(crate) fn load(
        dir: &Path,
        special_names: &[(String, serde_json::Value)],
    ) -> Result<Self, ModelError> {
        let (source, text) = find(dir)?;
        Self::compile(source, text, special_names)
    }

    fn compile(
        source: PathBuf,
        text: String,
        special_names: &[(String, serde_json::Value)],
    ) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|e| describe(&source, &e))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("tojson", tojson);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<Value, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.add_function("strftime_now", |format: String| clock::utc_now(&format));
        environment
            .add_template_owned("chat_template", text)
            .map_err(|e| describe(&source, &e))?;
        Ok(Self {
            environment,
            source,
            special_names: special_names.to_vec(),
        })
    }

    /// The prompt that `messages` stand for. `arguments`: further variables the template may read.
    ///
    /// # Errors
    ///
    /// [`ModelError::Text`] with the template's line where it fails or objects.
    pub(crate) fn render(
        &self,
        messages: &[Message<'_>],
        generation_prompt: bool,
        arguments: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, ModelError> {
        let named = self
            .special_names
            .iter()
            .map(|(k, v)| (k.clone(), Value::from(Serde(v))));
        let given = arguments
            .iter()
            .map(|(k, v)| (k.clone(), Value::from(Serde(v))));
        let own = [
            ("messages", Value::from(Serde(messages))),
            ("add_generation_prompt", Value::from(generation_prompt)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
        ];
        let own = own.map(|(k, v)| (k.to_owned(), v));
        let context = Value::from_pairs(named.chain(given).chain(own));
        let template = self.environment.get_template("chat_template");
        template
            .and_then(|t| t.render(context))
            .map_err(|e| describe(&self.source, &e))
    }

    /// The file it was read from.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }
}

/// The file that holds the template, and the template.
fn find(dir: &Path) -> Result<(PathBuf, String), ModelError> {
    for name in [
        "chat_template.json",
        "chat_template.jinja",
        "tokenizer_config.json",
    ] {
        let Some((path, bytes)) = read_if_there(dir, name)? else {
            continue;
        };
        if name.ends_with(".jinja") {
            return match String::from_utf8(bytes) {
                Ok(text) => Ok((path, text)),
                Err(e) => Err(ModelError::Text {
                    path,
                    reason: format!("not UTF-8: {e}"),
                }),
            };
        }
        match parse(&path, &bytes)?.get("chat_template") {
            None | Some(serde_json::Value::Null) => continue,
            Some(value) => match default_template(value) {
                Some(text) => return Ok((path, text.to_owned())),
                None => {
                    let reason = "chat_template: neither a template nor a list with one named \
                                  \"default\""
                        .to_owned();
                    return Err(ModelError::Json { path, reason });
                }
            },
        }
    }
    Err(ModelError::MissingFile {
        dir: dir.to_owned(),
        name: "chat_template.jinja or chat_template.json".to_owned(),
        help: "copy it from the model that this checkpoint was trained from".to_owned(),
    })
}

/// A template alone, or the one named `default` of a list `[{"name", "template"}]`.
fn default_template(value: &serde_json::Value) -> Option<&str> {
    if let Some(text) = value.as_str() {
        return Some(text);
    }
    let named = value.as_array()?.iter().find(|t| t["name"] == "default")?;
    named["template"].as_str()
}

fn describe(path: &Path, error: &Error) -> ModelError {
    let place = error
        .line()
        .map_or(String::new(), |line| format!("template line {line}: "));
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    ModelError::Text {
        path: path.to_owned(),
        reason: format!("{place}{what}"),
    }
}

/// `tojson` as `transformers` defines it: `json.dumps` with `ensure_ascii=False`, so spaces follow
/// commas and colons and nothing is escaped for HTML, unlike Jinja's own filter.
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let _ensure_ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    if deeper_than(value, 100) {
        let reason = "tojson: nested more than 100 deep";
        return Err(Error::new(ErrorKind::BadSerialization, reason));
    }
    let value = serde_json::to_value(value)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    let mut out = String::new();
    write_json(&value, indent, 0, &mut out);
    Ok(out)
}

/// Whether lists and maps nest in `value` beyond `depth`: writing recurses, and a stack is finite.
fn deeper_than(value: &Value, depth: usize) -> bool {
    if !matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable
    ) {
        return false;
    }
    let is_map = value.kind() == ValueKind::Map;
    let mut items = value.try_iter().into_iter().flatten();
    depth == 0
        || items.any(|item| match is_map {
            true => value
                .get_item(&item)
                .is_ok_and(|inner| deeper_than(&inner, depth - 1)),
            false => deeper_than(&item, depth - 1),
        })
}

fn write_json(value: &serde_json::Value, indent: Option<usize>, depth: usize, out: &mut String) {
    use serde_json::Value as Json;
    let (brackets, items): (_, Vec<(Option<&String>, &Json)>) = match value {
        Json::Array(list) => (['[', ']'], list.iter().map(|item| (None, item)).collect()),
        Json::Object(map) => (['{', '}'], map.iter().map(|(k, v)| (Some(k), v)).collect()),
        scalar => return out.push_str(&scalar.to_string()),
    };
    let line = |depth: usize| indent.map(|n| format!("\n{}", " ".repeat((n * depth).min(1024))));
    out.push(brackets[0]);
    for (i, (key, item)) in items.iter().enumerate() {
        match line(depth + 1) {
            Some(line) => out.push_str(&format!("{}{line}", if i > 0 { "," } else { "" })),
            None if i > 0 => out.push_str(", "),
            None => {}
        }
        if let Some(key) = key {
            out.push_str(&format!("{}: ", Json::String((*key).clone())));
        }
        write_json(item, indent, depth + 1, out);
    }
    if let Some(line) = line(depth).filter(|_| !items.is_empty()) {
        out.push_str(&line);
    }
    out.push(brackets[1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<ChatTemplate, ModelError> {
        ChatTemplate::compile(PathBuf::from("t.jinja"), text.to_owned(), &[])
    }

    fn rendered(text: &str, messages: &[Message<'_>]) -> Result<String, ModelError> {
        template(text)?.render(messages, true, &serde_json::Map::new())
    }

    fn says(role: &'static str, text: &str) -> Message<'static> {
        Message {
            role,
            content: vec![Content::Text {
                text: text.to_owned(),
            }],
        }
    }

    #[test]
    fn block_lines_leave_no_trace_as_with_trim_and_lstrip_blocks() {
        // The line breaks after each block and the spaces before it are gone; the one after `}}` stays.
        let text = "{% for m in messages %}\n  {% if m.role == 'user' %}\n{{ m.content[0].text }}\n  {% endif %}\n{% endfor %}\n.\n";
        assert_eq!(
            rendered(text, &[says("user", "hm"), says("x", "no")]).unwrap(),
            "hm\n."
        );
    }

    #[test]
    fn parts_are_told_apart_by_type_and_by_key() {
        let text = "{% for c in messages[0]['content'] %}{% if 'audio' in c %}A{% elif c['type'] == 'text' %}{{ c['text'] }}{% endif %}{% if messages[0]['content'] is string %}!{% endif %}{% endfor %}";
        let content = vec![
            Content::Audio { audio: "clip" },
            Content::Text { text: "t".into() },
        ];
        assert_eq!(
            rendered(
                text,
                &[Message {
                    role: "user",
                    content
                }]
            )
            .unwrap(),
            "At"
        );
    }

    #[test]
    fn loop_controls_namespaces_and_python_methods_work() {
        let text = "{% set n = namespace(seen=0) %}{% for m in messages %}{% set n.seen = n.seen + 1 %}{% if n.seen == 2 %}{% break %}{% endif %}{{ m.role.upper() }}{{ m.get('none', '-') }}{% endfor %}{{ n.seen }}";
        assert_eq!(
            rendered(text, &[says("a", ""), says("b", "")]).unwrap(),
            "A-2"
        );
    }

    #[test]
    fn nothing_is_escaped() {
        let text = "{{ messages[0].content[0].text }}";
        assert_eq!(
            rendered(text, &[says("user", "<b> & \"c\"")]).unwrap(),
            "<b> & \"c\""
        );
    }

    #[test]
    fn tojson_writes_what_python_writes() {
        let text = "{{ {'b': [1, 2.5, none], 'a': '<é>', 'e': {}} | tojson }}";
        assert_eq!(
            rendered(text, &[]).unwrap(),
            r#"{"b": [1, 2.5, null], "a": "<é>", "e": {}}"#
        );
        let text = "{{ {'b': [1]} | tojson(indent=2) }}";
        assert_eq!(rendered(text, &[]).unwrap(), "{\n  \"b\": [\n    1\n  ]\n}");
    }

    #[test]
    fn tojson_stops_at_what_would_take_the_stack_with_it() {
        let text = "{% set n = namespace(v=[]) %}{% for i in range(9000) %}{% set n.v = [n.v] %}{% endfor %}{{ n.v | tojson }}";
        let error = rendered(text, &[]).unwrap_err().to_string();
        assert!(error.contains("100 deep"), "{error}");
    }

    #[test]
    fn an_objection_and_a_mistake_name_the_file_and_the_line() {
        let error = rendered("one\n{{ raise_exception('no such role') }}", &[]).unwrap_err();
        assert_eq!(error.to_string(), "t.jinja: template line 2: no such role");
        let error = template("one\ntwo {% if %}").unwrap_err().to_string();
        assert!(error.starts_with("t.jinja: template line 2: "), "{error}");
    }

    #[test]
    fn a_template_without_end_is_stopped() {
        let text = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        let error = rendered(text, &[]).unwrap_err().to_string();
        assert!(error.contains("fuel"), "{error}");
    }

    #[test]
    fn files_are_tried_in_the_order_of_transformers() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let used = || {
            let template = ChatTemplate::load(dir.path(), &[])?;
            template.render(&[], false, &serde_json::Map::new())
        };

        let error = used().unwrap_err().to_string();
        assert!(
            error.contains("no chat_template.jinja") && error.contains("copy it"),
            "{error}"
        );
        put(
            "tokenizer_config.json",
            r#"{"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "config"}]}"#,
        );
        assert_eq!(used().unwrap(), "config");
        put("chat_template.jinja", "jinja");
        assert_eq!(used().unwrap(), "jinja");
        put("chat_template.json", r#"{"chat_template": "json"}"#);
        assert_eq!(used().unwrap(), "json");
        put("chat_template.json", r#"{"chat_template": 3}"#);
        assert!(matches!(used(), Err(ModelError::Json { .. })));
    }
}
