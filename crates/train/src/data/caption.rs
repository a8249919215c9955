//! Which caption of a row is told: uniform over long, short and, if any, tag caption, unless the recipe
//! weighs them.

use super::config::CaptionWeights;
use super::manifest::Manifest;
use super::random::Random;
use super::row::{Audio, CaptionKind};

/// The kinds of caption that a row has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kinds {
    long: bool,
    short: bool,
    tag: bool,
    plain: usize,
}

impl Kinds {
    /// Those of row `row`.
    pub(super) fn of(manifest: &Manifest, row: usize) -> Self {
        let row = &manifest.rows[row];
        if let Audio::Scene { .. } = row.audio {
            return Self {
                long: true,
                short: true,
                tag: true,
                plain: 0,
            };
        }
        let captions = &row.captions;
        Self {
            long: captions.long.is_some(),
            short: captions.short.is_some(),
            tag: captions.tag.is_some(),
            plain: captions.plain.len(),
        }
    }

    /// Those of one style only.
    pub(super) fn only(self, kind: CaptionKind) -> Self {
        Self {
            long: self.long && kind == CaptionKind::Long,
            short: self.short && kind == CaptionKind::Short,
            tag: self.tag && kind == CaptionKind::Tag,
            plain: match kind {
                CaptionKind::Plain(_) => self.plain,
                _ => 0,
            },
        }
    }

    /// The styles that `other` has too.
    pub(super) fn shared_with(self, other: Self) -> Self {
        Self {
            long: self.long && other.long,
            short: self.short && other.short,
            tag: self.tag && other.tag,
            plain: if other.plain > 0 { self.plain } else { 0 },
        }
    }

    /// Those in sentences.
    pub(super) fn without_tag(self) -> Self {
        Self { tag: false, ..self }
    }

    /// Draws one; `None` where what there is weighs nothing.
    pub(super) fn draw(self, weights: &CaptionWeights, random: &mut Random) -> Option<CaptionKind> {
        let there = [self.long, self.short, self.tag, self.plain > 0];
        let weights = weights.all();
        let of = |at: usize| if there[at] { weights[at] } else { 0.0 };
        Some(match random.weighted(&[of(0), of(1), of(2), of(3)])? {
            0 => CaptionKind::Long,
            1 => CaptionKind::Short,
            2 => CaptionKind::Tag,
            _ => CaptionKind::Plain(random.below(self.plain as u64) as usize),
        })
    }
}

/// Two captions of one style as the caption of both sounds at once.
///
/// Tags are united; sentences are joined by "and", the second no longer beginning one.
pub(super) fn both(first: &str, second: &str, kind: CaptionKind) -> String {
    if kind == CaptionKind::Tag {
        let mut tags = super::row::split_tags(first);
        for tag in super::row::split_tags(second) {
            if !tags.iter().any(|known| known.eq_ignore_ascii_case(&tag)) {
                tags.push(tag);
            }
        }
        return tags.join(", ");
    }
    let first = first.trim_end().trim_end_matches(['.', ',', ';']);
    let mut letters = second.chars();
    let second = match (letters.next(), letters.clone().next()) {
        // "TV noise" and "I hear" keep their capital.
        (Some(head), Some(next)) if head.is_uppercase() && next.is_lowercase() => {
            head.to_lowercase().chain(letters).collect()
        }
        (Some('A'), Some(' ')) => format!("a{}", letters.as_str()),
        _ => second.to_owned(),
    };
    format!("{first} and {second}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_captions_become_one() {
        let long = |a, b| both(a, b, CaptionKind::Long);
        assert_eq!(
            long("A dog barks.", "Rain falls."),
            "A dog barks and rain falls."
        );
        assert_eq!(long("a dog", "A car passes"), "a dog and a car passes");
        assert_eq!(long("Wind.", "TV noise"), "Wind and TV noise");
        assert_eq!(
            both("dog, bark", "Bark, rain", CaptionKind::Tag),
            "dog, bark, rain"
        );
    }
}
