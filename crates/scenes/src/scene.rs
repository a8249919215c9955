//! What happens in a clip, drawn from a seed.

use crate::dsp::dice::Dice;
use crate::families::{Course, Family, Register, families, position};
use crate::words::{Captions, NearMiss, captions, exact_caption, near_misses};

/// Silence kept before the first event and after the last, in seconds.
const MARGIN_S: f32 = 0.1;
/// Least silence between two groups that follow each other, in seconds.
const PAUSE_S: f32 = 0.12;

/// What scenes are like.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneConfig {
    /// Shortest clip in seconds, at least 0.5; default 3.0.
    pub min_s: f32,
    /// Longest clip in seconds, at least `min_s`; default 5.0.
    pub max_s: f32,
    /// Most groups of foreground events, at least 1; default 3. Short clips may hold fewer.
    pub max_events: usize,
    /// Probability of a background texture, `[0, 1]`; default 0.5.
    pub background: f32,
    /// Probability that two groups sound at once instead of one after the other, `[0, 1]`; default 0.3.
    pub together: f32,
    /// Probability of an audible room, `[0, 1]`; default 0.5.
    pub room: f32,
}

impl Default for SceneConfig {
    fn default() -> Self {
        Self {
            min_s: 3.0,
            max_s: 5.0,
            max_events: 3,
            background: 0.5,
            together: 0.3,
            room: 0.5,
        }
    }
}

impl SceneConfig {
    fn check(&self) {
        assert!(
            self.min_s >= 0.5,
            "`min_s` = {}: below 0.5 s nothing fits",
            self.min_s
        );
        assert!(
            self.max_s >= self.min_s,
            "`max_s` = {} is below `min_s` = {}",
            self.max_s,
            self.min_s
        );
        assert!(
            self.max_events >= 1,
            "`max_events` = 0: a scene has at least one"
        );
    }
}

/// How a group sounds among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Plain,
    Faint,
    Loud,
    Distant,
}

/// How groups lie in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// One after another, or alone.
    Sequence,
    /// Two at once.
    Together,
}

/// One source, heard once or several times.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Place in [`families`].
    pub(crate) family: usize,
    /// Starts of its events, ascending, in seconds. One for a texture.
    pub(crate) starts_s: Vec<f32>,
    /// How long each event lasts, in seconds.
    pub(crate) each_s: f32,
    pub(crate) manner: Manner,
    pub(crate) register: Register,
    /// Level against the other groups, the manner included.
    pub(crate) level_db: f32,
    /// What it is heard through; air swallows highs.
    pub(crate) dull_hz: f32,
    /// Share of the room in it.
    pub(crate) wet: f32,
    pub(crate) voice: u64,
}

impl Group {
    pub(crate) fn family(&self) -> &'static Family {
        &families()[self.family]
    }

    /// How often it is heard; 1 for a texture.
    pub(crate) fn count(&self) -> usize {
        self.starts_s.len()
    }

    pub(crate) fn end_s(&self) -> f32 {
        self.starts_s[self.starts_s.len() - 1] + self.each_s
    }
}

/// A texture under everything, from the first sample to the last.
#[derive(Debug, Clone)]
pub(crate) struct Background {
    pub(crate) family: usize,
    pub(crate) level_db: f32,
    pub(crate) voice: u64,
}

impl Background {
    pub(crate) fn family(&self) -> &'static Family {
        &families()[self.family]
    }
}

/// The room around a scene.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) size: f32,
    pub(crate) lasting: f32,
    pub(crate) dull_hz: f32,
}

/// What recorded the scene: recordings differ in their edges more than in anything else.
#[derive(Debug, Clone)]
pub(crate) struct Microphone {
    pub(crate) low_cut_hz: f32,
    /// Above half the sample rate there is none.
    pub(crate) high_cut_hz: f32,
    /// Level of its own noise.
    pub(crate) floor_db: f32,
}

/// What happens in one clip.
#[derive(Debug, Clone)]
pub struct Scene {
    seed: u64,
    pub(crate) duration_s: f32,
    pub(crate) arrangement: Arrangement,
    pub(crate) groups: Vec<Group>,
    pub(crate) background: Option<Background>,
    pub(crate) room: Option<Room>,
    pub(crate) microphone: Microphone,
    /// Greatest sample of the clip.
    pub(crate) peak: f32,
}

/// One sounding event of a scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// The [`Family::name`] of what sounds.
    pub family: &'static str,
    /// Its start in seconds from the start of the clip.
    pub start_s: f32,
    /// Its end, the echo of a room not counted.
    pub end_s: f32,
    /// False for the background.
    pub foreground: bool,
}

impl Scene {
    /// The scene of `seed`: a pure function of its arguments.
    ///
    /// # Panics
    ///
    /// Where a field of `config` is outside the range it documents.
    pub fn draw(seed: u64, config: &SceneConfig) -> Self {
        config.check();
        let mut dice = Dice::new(seed, 0);
        let mut scene = Self::empty(seed, &mut dice, config);
        let room_for = ((scene.duration_s - 2.0 * MARGIN_S + PAUSE_S) / 0.6) as usize;
        let wanted = (dice.below(config.max_events) + 1).min(room_for.max(1));
        let mut kins = Vec::new();
        if wanted == 2 && scene.duration_s >= 2.0 && dice.chance(config.together) {
            scene.draw_together(&mut dice, &mut kins);
        } else {
            scene.draw_sequence(wanted, &mut dice, &mut kins);
        }
        scene.draw_manners(&mut dice);
        if dice.chance(config.background)
            && let Some(family) = choose(&mut dice, &mut kins, Family::is_backdrop)
        {
            scene.background = Some(Background {
                family,
                level_db: dice.range(-21.0, -12.0),
                voice: dice.seed(),
            });
        }
        scene
    }

    /// One group of one family, nothing else: an example of how it sounds. `None` where no family has
    /// that [`Family::name`].
    ///
    /// # Panics
    ///
    /// As [`Scene::draw`], and where the family's shortest event does not fit into `config.min_s`.
    pub fn single(family_name: &str, seed: u64, config: &SceneConfig) -> Option<Self> {
        config.check();
        let family = position(family_name)?;
        // A stream for each family, so that one seed does not put them all at the same moments.
        let mut dice = Dice::new(seed, 100 + family as u64);
        let mut scene = Self::empty(seed, &mut dice, config);
        let space = scene.duration_s - 2.0 * MARGIN_S;
        assert!(
            fits(&families()[family], space),
            "{family_name}: does not fit into {space:.2} s"
        );
        let mut group = draw_group(family, space, &mut dice);
        let late = MARGIN_S + dice.range(0.0, space - group.end_s());
        shift(&mut group, late);
        scene.groups.push(group);
        Some(scene)
    }

    fn empty(seed: u64, dice: &mut Dice, config: &SceneConfig) -> Self {
        let room = dice.chance(config.room).then(|| Room {
            size: dice.range(0.6, 1.5),
            lasting: dice.range(0.45, 0.8),
            dull_hz: dice.octaves(1_500.0, 5_000.0),
        });
        Self {
            seed,
            duration_s: dice.range(config.min_s, config.max_s),
            arrangement: Arrangement::Sequence,
            groups: Vec::new(),
            background: None,
            room,
            microphone: Microphone {
                low_cut_hz: dice.octaves(20.0, 160.0),
                high_cut_hz: dice.octaves(4_000.0, 30_000.0),
                floor_db: dice.range(-72.0, -52.0),
            },
            peak: dice.octaves(0.18, 0.98),
        }
    }

    fn draw_sequence(&mut self, wanted: usize, dice: &mut Dice, kins: &mut Vec<&'static str>) {
        let space = self.duration_s - 2.0 * MARGIN_S;
        let share = (space - (wanted - 1) as f32 * PAUSE_S) / wanted as f32;
        let mut left = space - (wanted - 1) as f32 * PAUSE_S;
        for _ in 0..wanted {
            if let Some(family) = choose(dice, kins, |family| fits(family, share)) {
                let group = draw_group(family, share, dice);
                left -= group.end_s();
                self.groups.push(group);
            }
        }
        // What is left over goes before, between and after, in random shares.
        let mut at = MARGIN_S;
        for group in &mut self.groups {
            let wait = left * dice.range(0.0, 0.6);
            left -= wait;
            let length = group.end_s();
            shift(group, at + wait);
            at += wait + length + PAUSE_S;
        }
    }

    fn draw_together(&mut self, dice: &mut Dice, kins: &mut Vec<&'static str>) {
        let space = self.duration_s - 2.0 * MARGIN_S;
        // One goes on, and is no backdrop: a dog *while* a drill runs is not a dog *over* rain.
        let goes_on = |family: &Family| family.is_texture() && !family.is_backdrop();
        let long = choose(dice, kins, |family| {
            goes_on(family) && fits(family, space * 0.8)
        });
        let other = choose(dice, kins, |family| fits(family, space * 0.85));
        for (family, least) in [(other, 0.0), (long, 0.85)] {
            let Some(family) = family else { continue };
            let mut group = draw_group(family, space * 0.85, dice);
            if least > 0.0 {
                group.each_s = space * dice.range(least, 1.0);
            }
            let late = MARGIN_S + dice.range(0.0, space - group.end_s());
            shift(&mut group, late);
            self.groups.push(group);
        }
        if self.groups.len() == 2 {
            self.arrangement = Arrangement::Together;
        }
    }

    fn draw_manners(&mut self, dice: &mut Dice) {
        // Loud and faint mean something only beside others, and at most one of a scene is either.
        let odd =
            (self.groups.len() > 1 && dice.chance(0.35)).then(|| dice.below(self.groups.len()));
        for (i, group) in self.groups.iter_mut().enumerate() {
            if odd == Some(i) {
                let loud = dice.chance(0.4);
                group.manner = if loud { Manner::Loud } else { Manner::Faint };
                group.level_db += if loud { 8.0 } else { -13.0 };
            } else if dice.chance(0.12) {
                group.manner = Manner::Distant;
                group.level_db -= 8.0;
                group.dull_hz = dice.octaves(700.0, 1_300.0);
                group.wet = dice.range(0.6, 0.9);
                self.room.get_or_insert(Room {
                    size: 1.4,
                    lasting: 0.78,
                    dull_hz: 2_000.0,
                });
            }
        }
    }

    /// The seed it was drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Length of the clip in seconds.
    pub fn duration_s(&self) -> f32 {
        self.duration_s
    }

    /// The clip: mono, [`SAMPLE_RATE`](crate::SAMPLE_RATE), finite, no sample beyond ±0.99.
    ///
    /// A pure function of the scene, the same bits on every machine.
    pub fn render(&self) -> Vec<f32> {
        crate::render::render(self)
    }

    /// What a listener could tell apart: families, counts, order or overlap, background, and whatever is
    /// marked as loud, faint, distant, high or low. Captions of scenes with equal keys are interchangeable.
    ///
    /// `"dog*3[faint] > car_horn*1 / rain"`: `>` before, `&` at once, `/` over.
    pub fn key(&self) -> String {
        self.spell(true)
    }

    /// [`Scene::key`] without loudness, distance and pitch: what tags and most short captions tell.
    pub fn outline(&self) -> String {
        self.spell(false)
    }

    fn spell(&self, marks: bool) -> String {
        let mut parts: Vec<String> = self
            .groups
            .iter()
            .map(|group| spell_group(group, marks))
            .collect();
        let joint = match self.arrangement {
            Arrangement::Sequence => " > ",
            Arrangement::Together => {
                parts.sort_unstable();
                " & "
            }
        };
        let mut key = parts.join(joint);
        if let Some(background) = &self.background {
            key.push_str(" / ");
            key.push_str(background.family().name());
        }
        key
    }

    /// Everything that sounds, the background last.
    pub fn timeline(&self) -> Vec<Moment> {
        let mut moments = Vec::new();
        for group in &self.groups {
            moments.extend(group.starts_s.iter().map(|&start_s| Moment {
                family: group.family().name(),
                start_s,
                end_s: start_s + group.each_s,
                foreground: true,
            }));
        }
        moments.extend(self.background.iter().map(|background| Moment {
            family: background.family().name(),
            start_s: 0.0,
            end_s: self.duration_s,
            foreground: false,
        }));
        moments
    }

    /// Captions of this scene. `wording_seed` chooses words, never facts.
    pub fn captions(&self, wording_seed: u64) -> Captions {
        captions(self, wording_seed)
    }

    /// Tags of the families heard, the background last: `["dog bark", "rain"]`.
    pub fn tags(&self) -> Vec<&'static str> {
        let groups = self.groups.iter().map(|group| group.family().tag());
        groups
            .chain(
                self.background
                    .iter()
                    .map(|background| background.family().tag()),
            )
            .collect()
    }

    /// One sentence that says every count exactly, as [`Scene::near_misses`] do: what to put beside them,
    /// since looser wording would tell true from false.
    pub fn exact_caption(&self, wording_seed: u64) -> String {
        exact_caption(self, wording_seed)
    }

    /// Captions that are wrong by one thing: at most one of each kind, and only kinds that this scene
    /// can be wrong about.
    pub fn near_misses(&self, wording_seed: u64) -> Vec<NearMiss> {
        near_misses(self, wording_seed)
    }
}

fn spell_group(group: &Group, marks: bool) -> String {
    let family = group.family();
    let mut text = family.name().to_owned();
    if !family.is_texture() {
        text.push_str(&format!("*{}", group.count()));
    }
    if marks {
        text.push_str(match group.manner {
            Manner::Plain => "",
            Manner::Faint => "[faint]",
            Manner::Loud => "[loud]",
            Manner::Distant => "[distant]",
        });
        text.push_str(match group.register {
            Register::Usual => "",
            Register::Low => "[low]",
            Register::High => "[high]",
        });
    }
    text
}

/// Whether one event, or a recognisable stretch, of `family` fits into `seconds`.
fn fits(family: &Family, seconds: f32) -> bool {
    match family.course() {
        Course::Events { length_s, .. } => length_s.0 <= seconds,
        Course::Texture { least_s, .. } => least_s <= seconds,
    }
}

/// A family that `wanted` accepts and that is no kin of those before; notes its kin.
fn choose(
    dice: &mut Dice,
    kins: &mut Vec<&'static str>,
    wanted: impl Fn(&Family) -> bool,
) -> Option<usize> {
    let free: Vec<usize> = (0..families().len())
        .filter(|&i| wanted(&families()[i]) && !kins.contains(&families()[i].kin_name()))
        .collect();
    if free.is_empty() {
        return None;
    }
    let family = dice.pick(&free);
    kins.push(families()[family].kin_name());
    Some(family)
}

/// A group that starts at zero and ends within `space` seconds.
fn draw_group(family: usize, space: f32, dice: &mut Dice) -> Group {
    let kind = &families()[family];
    let (starts_s, each_s) = match kind.course() {
        Course::Events {
            most,
            length_s,
            gap_s,
        } => {
            let wanted = dice.below(most) + 1;
            // The longest event with which the wanted count still fits, or fewer of the shortest.
            let fitting = |length: f32| ((space + gap_s.0) / (length + gap_s.0)) as usize;
            let count = wanted.min(fitting(length_s.0)).max(1);
            let longest =
                ((space + gap_s.0) / count as f32 - gap_s.0).clamp(length_s.0, length_s.1);
            let each_s = dice.range(length_s.0, longest).min(space);
            let spare = (space - count as f32 * each_s).max(0.0) / (count as f32 - 1.0).max(1.0);
            let step = each_s + dice.range(gap_s.0, gap_s.1.max(gap_s.0)).min(spare);
            ((0..count).map(|i| i as f32 * step).collect(), each_s)
        }
        Course::Texture { least_s, .. } => (
            vec![0.0],
            dice.range(least_s.max(space * 0.6).min(space), space),
        ),
    };
    let register = if kind.is_pitched() && dice.chance(0.3) {
        dice.pick(&[Register::Low, Register::High])
    } else {
        Register::Usual
    };
    Group {
        family,
        starts_s,
        each_s,
        manner: Manner::Plain,
        register,
        level_db: dice.range(-2.0, 2.0),
        dull_hz: dice.octaves(3_500.0, 12_000.0),
        wet: dice.range(0.05, 0.4),
        voice: dice.seed(),
    }
}

fn shift(group: &mut Group, by: f32) {
    for start in &mut group.starts_s {
        *start += by;
    }
}
