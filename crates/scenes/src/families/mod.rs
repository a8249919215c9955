//! The kinds of sound there are: how each is made, and what people call it.
//!
//! Words are written in a small notation of their own, read by [`crate::words`]:
//!
//! - a noun of an event, `"bark* of a dog"`: `*` becomes `s`, and `^` `es`, where there are several;
//! - a noun of a texture, `"running engine"` (takes *a* or *an*), `"~rain"` (takes no article),
//!   `"+footsteps"` (no article, plural);
//! - an act, `"a dog|barks|barking"`: who, what it does, and the same as a participle.

mod animals;
mod household;
mod machines;
mod music;
mod people;
mod signals;
mod water;

use std::sync::LazyLock;

use crate::dsp::dice::Dice;

/// The chances one rendering draws from.
pub(crate) struct Take {
    /// Equal for all repetitions in a group: *this* dog.
    pub(crate) same: Dice,
    /// New for each repetition: this bark.
    pub(crate) each: Dice,
    /// Whether the scene says high or low.
    pub(crate) register: Register,
}

impl Take {
    /// A pitch for this source: in `[low, high)`, or wholly below or above that where the scene says so,
    /// so that *high-pitched* is never a matter of opinion.
    fn tuned(&mut self, low: f32, high: f32) -> f32 {
        match self.register {
            Register::Usual => self.same.octaves(low, high),
            Register::Low => self.same.octaves(low * 0.65, low * 0.9),
            Register::High => self.same.octaves(high * 1.1, high * 1.5),
        }
    }
}

/// How high a source is among its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Register {
    /// As they come.
    Usual,
    /// Low-pitched.
    Low,
    /// High-pitched.
    High,
}

/// Adds one event, or one stretch of a texture, to silence, filling it from end to end. The level is free:
/// the mix measures it.
pub(crate) type Sound = fn(&mut Take, &mut [f32]);

/// How a family takes up time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Course {
    /// It can be counted.
    Events {
        /// The greatest count.
        most: usize,
        /// Shortest and longest event, in seconds.
        length_s: (f32, f32),
        /// Shortest and longest silence between two, in seconds.
        gap_s: (f32, f32),
    },
    /// It goes on for as long as it is given.
    Texture {
        /// Below this many seconds nobody would recognise it.
        least_s: f32,
        /// Whether it may lie under a scene.
        backdrop: bool,
    },
}

/// One kind of sound.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    name: &'static str,
    tag: &'static str,
    kin: &'static str,
    course: Course,
    pitched: bool,
    nouns: &'static [&'static str],
    acts: &'static [&'static str],
    sound: Sound,
}

impl Family {
    const fn events(
        name: &'static str,
        tag: &'static str,
        sound: Sound,
        length_s: (f32, f32),
        most: usize,
    ) -> Self {
        let course = Course::Events {
            most,
            length_s,
            gap_s: (0.15, 0.55),
        };
        Self::new(name, tag, sound, course)
    }

    const fn texture(name: &'static str, tag: &'static str, sound: Sound, least_s: f32) -> Self {
        let course = Course::Texture {
            least_s,
            backdrop: false,
        };
        Self::new(name, tag, sound, course)
    }

    /// A texture that may also lie under a scene.
    const fn backdrop(name: &'static str, tag: &'static str, sound: Sound, least_s: f32) -> Self {
        let course = Course::Texture {
            least_s,
            backdrop: true,
        };
        Self::new(name, tag, sound, course)
    }

    const fn new(name: &'static str, tag: &'static str, sound: Sound, course: Course) -> Self {
        Self {
            name,
            tag,
            kin: name,
            course,
            pitched: false,
            nouns: &[],
            acts: &[],
            sound,
        }
    }

    /// Families of one kin share words or could be taken for one another: never in one scene, never a
    /// near miss of each other.
    const fn kin(mut self, kin: &'static str) -> Self {
        self.kin = kin;
        self
    }

    /// High and low ones can be told apart.
    const fn pitched(mut self) -> Self {
        self.pitched = true;
        self
    }

    const fn nouns(mut self, nouns: &'static [&'static str]) -> Self {
        self.nouns = nouns;
        self
    }

    const fn acts(mut self, acts: &'static [&'static str]) -> Self {
        self.acts = acts;
        self
    }

    /// Its identifier, one word or two joined by `_`: `"dog"`, `"car_horn"`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its tag, as a person would write one: `"dog bark"`.
    pub fn tag(&self) -> &'static str {
        self.tag
    }

    /// Whether it goes on (rain) instead of being counted (three barks).
    pub fn is_texture(&self) -> bool {
        matches!(self.course, Course::Texture { .. })
    }

    /// Every way a caption may name it, in the singular and without an article.
    pub fn synonyms(&self) -> Vec<String> {
        let nouns = self.nouns.iter().map(|noun| crate::words::bare(noun));
        let acts = self.acts.iter().map(|act| crate::words::participle(act));
        nouns.chain(acts).collect()
    }

    pub(crate) fn kin_name(&self) -> &'static str {
        self.kin
    }

    pub(crate) fn course(&self) -> Course {
        self.course
    }

    pub(crate) fn is_pitched(&self) -> bool {
        self.pitched
    }

    pub(crate) fn is_backdrop(&self) -> bool {
        matches!(self.course, Course::Texture { backdrop: true, .. })
    }

    pub(crate) fn noun_forms(&self) -> &'static [&'static str] {
        self.nouns
    }

    pub(crate) fn act_forms(&self) -> &'static [&'static str] {
        self.acts
    }

    pub(crate) fn sound(&self) -> Sound {
        self.sound
    }
}

static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    [
        water::FAMILIES,
        animals::FAMILIES,
        machines::FAMILIES,
        household::FAMILIES,
        people::FAMILIES,
        signals::FAMILIES,
        music::FAMILIES,
    ]
    .concat()
});

/// All kinds of sound, in a fixed order.
pub fn families() -> &'static [Family] {
    &FAMILIES
}

/// The place of the family called `name` in [`families`].
pub(crate) fn position(name: &str) -> Option<usize> {
    families().iter().position(|family| family.name == name)
}
