//! Pools whose figures are published: which one a set of clips is.
//!
//! Two splits can have one size (Clotho's evaluation and validation have 1,045 clips each), so a pool is known by
//! its clips and not by their number.

/// A pool by which others publish figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownPool {
    /// See [`crate::pool::fingerprint`].
    pub fingerprint: &'static str,
    /// Name.
    pub name: &'static str,
    /// How many clips.
    pub clips: usize,
    /// How many texts.
    pub texts: usize,
}

const fn known(
    fingerprint: &'static str,
    name: &'static str,
    clips: usize,
    texts: usize,
) -> KnownPool {
    KnownPool {
        fingerprint,
        name,
        clips,
        texts,
    }
}

/// Each from the authors' own file; `tests/eval/readers.rs` compares where these files are present.
pub(super) const KNOWN: [KnownPool; 12] = [
    known(
        "0006ee3deb4c0b0e",
        "AudioCaps test, 975 clips (AuroLA's pool)",
        975,
        4_875,
    ),
    known(
        "0d119bfd89369da5",
        "AudioCaps test, 957 clips (WavCaps' pool)",
        957,
        4_785,
    ),
    known("4165b8fa7c19fb71", "AudioCaps validation", 495, 2_475),
    known("1d22d11fcc19d89d", "Clotho v2.1 evaluation", 1_045, 5_225),
    known(
        "bf5798f6804d5d27",
        "Clotho v2.1 validation (MTEB's \"Clotho\")",
        1_045,
        5_225,
    ),
    known("6ce1f2e119616d35", "Auto-ACD test", 997, 997),
    known("79979c8d44b689a2", "VALOR-32K test", 3_491, 3_491),
    known(
        "302f760b6210cb1c",
        "VGGSounder 0.1.6 without background music",
        12_275,
        309,
    ),
    known(
        "9ce1de42bea82db3",
        "VGGSounder 0.1.6 with background music",
        15_229,
        309,
    ),
    known(
        "c40487e6af4902df",
        "VGGSounder 1.0 without background music",
        11_917,
        309,
    ),
    known(
        "6ae8312f9ecdb0d2",
        "VGGSounder 1.0 with background music",
        14_957,
        309,
    ),
    known("abcf0dcc81936bbf", "ESC-50 fold 4", 400, 50),
];

/// The pool of that fingerprint, if it is one that others use.
pub fn known_pool(fingerprint: &str) -> Option<KnownPool> {
    KNOWN
        .into_iter()
        .find(|pool| pool.fingerprint == fingerprint)
}
