//! Which names a walk over a folder takes for sounds. What a file really is, its bytes decide.

use std::path::Path;

/// Extensions of files that may hold sound, lower case.
pub const AUDIO_EXTENSIONS: [&str; 35] = [
    "3g2", "3gp", "aac", "aif", "aifc", "aiff", "alac", "amr", "ape", "au", "bwf", "caf", "flac",
    "m4a", "m4b", "m4v", "mka", "mkv", "mov", "mp1", "mp2", "mp3", "mp4", "mpga", "oga", "ogg",
    "ogv", "opus", "rf64", "snd", "w64", "wav", "wave", "webm", "wv",
];

/// Whether `path` is named like a sound file. Case does not matter.
pub fn is_audio_path(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        AUDIO_EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_extension_in_any_case() {
        for sound in ["a.wav", "b/C.WAV", "x.tar.Opus", ".hidden.mp3"] {
            assert!(is_audio_path(Path::new(sound)), "{sound}");
        }
        for other in ["wav", "a.txt", ".wav", "a.wav.asd", ""] {
            assert!(!is_audio_path(Path::new(other)), "{other}");
        }
    }
}
