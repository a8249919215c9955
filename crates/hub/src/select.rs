//! Which of a repository's files a model needs. Everything else stays where it is: pickled
//! weights, which run code when they are opened, before all.

/// Whether to fetch `path`, a file's path within the repository.
///
/// Weights are safetensors; the rest is configuration, tokenizer and prompts. Folders are left
/// out, but for the numbered ones of sentence-transformers (`1_Pooling/config.json`).
pub(crate) fn is_needed(path: &str) -> bool {
    match path.split_once('/') {
        None => is_plain(path) && has_needed_extension(path),
        Some((folder, "config.json")) => {
            is_plain(folder)
                && folder
                    .split_once('_')
                    .is_some_and(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        }
        Some(_) => false,
    }
}

/// Why the chosen files make no model; none where they make one.
pub(crate) fn lack<'a>(chosen: &[&'a str], all: &[&'a str]) -> Option<String> {
    let has = |name: &str| chosen.contains(&name);
    if !has("config.json") && !has("adapter_config.json") {
        return Some("it holds no config.json, so it is not a model's repository".to_owned());
    }
    if chosen.iter().any(|name| name.ends_with(".safetensors")) {
        return None;
    }
    let pickled = [".bin", ".pt", ".pth", ".ckpt", ".pkl"];
    let found = all
        .iter()
        .find(|name| pickled.iter().any(|end| name.ends_with(end)));
    Some(match found {
        Some(name) => format!(
            "its weights are pickled ({name}), and pickles are never loaded; ask its authors for \
             safetensors, or convert a copy"
        ),
        None => "it holds no weights in safetensors form".to_owned(),
    })
}

/// A single, visible part of a path, whatever system it is written on.
fn is_plain(part: &str) -> bool {
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '|');
    !part.is_empty() && part.len() <= 200 && !part.starts_with('.') && !part.contains(odd)
}

fn has_needed_extension(name: &str) -> bool {
    const NEEDED: [&str; 4] = ["safetensors", "json", "jinja", "txt"];
    name.rsplit_once('.')
        .is_some_and(|(stem, extension)| !stem.is_empty() && NEEDED.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_needs_weights_configuration_tokenizer_and_prompts() {
        for name in [
            "config.json",
            "model.safetensors",
            "model-00001-of-00003.safetensors",
            "model.safetensors.index.json",
            "adapter_model.safetensors",
            "tokenizer.json",
            "merges.txt",
            "chat_template.jinja",
            "1_Pooling/config.json",
            "12_Normalize/config.json",
        ] {
            assert!(is_needed(name), "{name} was left out");
        }
    }

    #[test]
    fn pickles_other_formats_and_paths_that_climb_are_left_out() {
        for name in [
            "pytorch_model.bin",
            "spk_dict.pt",
            "model.gguf",
            "README.md",
            ".gitattributes",
            ".json",
            "onnx/config.json",
            "_x/config.json",
            "1_Pooling/model.safetensors",
            "../config.json",
            "../1_x/config.json",
            "/config.json",
            "a\\b.json",
            "C:x.json",
            "1_a/../config.json",
            "line\nbreak.json",
            "",
        ] {
            assert!(!is_needed(name), "{name:?} was taken");
        }
    }

    #[test]
    fn what_makes_no_model_says_why() {
        let all = ["config.json", "pytorch_model.bin"];
        let reason = lack(&["config.json"], &all).unwrap();
        assert!(reason.contains("pytorch_model.bin"), "{reason}");
        assert!(lack(&["tokenizer.json"], &["tokenizer.json"]).is_some());
        assert!(lack(&["config.json"], &["config.json"]).is_some());
        let whole = ["config.json", "model.safetensors"];
        assert_eq!(lack(&whole, &whole), None);
    }
}
