//! Captions that are wrong by exactly one thing.

use super::caption::exact;
use crate::dsp::dice::Dice;
use crate::families::{Family, Register, families};
use crate::scene::{Arrangement, Background, Scene};

/// What a near miss gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NearMissKind {
    /// Two neighbours in time are swapped.
    Order,
    /// Something is heard more or less often.
    Count,
    /// One foreground sound is another.
    Event,
    /// The background is another, or there is one where there was none.
    Background,
}

/// A caption that is wrong by one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// What is wrong.
    pub kind: NearMissKind,
    /// The sentence; all else in it is true.
    pub caption: String,
    /// [`Scene::outline`] of the scene that it would be true of.
    pub outline: String,
}

/// One near miss of each kind that `scene` has room for.
pub(crate) fn near_misses(scene: &Scene, wording_seed: u64) -> Vec<NearMiss> {
    let mut dice = Dice::new(wording_seed, 11);
    let altered = [
        (NearMissKind::Order, swap_order(scene, &mut dice)),
        (NearMissKind::Count, change_count(scene, &mut dice)),
        (NearMissKind::Event, change_event(scene, &mut dice)),
        (
            NearMissKind::Background,
            change_background(scene, &mut dice),
        ),
    ];
    altered
        .into_iter()
        .filter_map(|(kind, other)| {
            let other = other?;
            Some(NearMiss {
                kind,
                caption: exact(&other, &mut dice),
                outline: other.outline(),
            })
        })
        .collect()
}

/// A true caption in the style of near misses.
pub(crate) fn exact_caption(scene: &Scene, wording_seed: u64) -> String {
    exact(scene, &mut Dice::new(wording_seed, 12))
}

fn swap_order(scene: &Scene, dice: &mut Dice) -> Option<Scene> {
    if scene.arrangement == Arrangement::Together || scene.groups.len() < 2 {
        return None;
    }
    let mut other = scene.clone();
    let at = dice.below(scene.groups.len() - 1);
    other.groups.swap(at, at + 1);
    Some(other)
}

fn change_count(scene: &Scene, dice: &mut Dice) -> Option<Scene> {
    let countable: Vec<usize> = (0..scene.groups.len())
        .filter(|&i| !scene.groups[i].family().is_texture())
        .collect();
    if countable.is_empty() {
        return None;
    }
    let at = dice.pick(&countable);
    let count = scene.groups[at].count();
    // From three on, one more or less is a matter of attention; two is a matter of fact.
    let least = if count >= 3 { 2 } else { 1 };
    let others: Vec<usize> = (1..=5)
        .filter(|&n: &usize| n.abs_diff(count) >= least)
        .collect();
    let mut other = scene.clone();
    other.groups[at]
        .starts_s
        .resize(dice.pick(&others), scene.duration_s);
    Some(other)
}

/// A family that `scene` has nothing akin to.
fn stranger(scene: &Scene, dice: &mut Dice, wanted: impl Fn(&Family) -> bool) -> Option<usize> {
    let groups = scene.groups.iter().map(|group| group.family().kin_name());
    let background = scene
        .background
        .iter()
        .map(|background| background.family().kin_name());
    let kins: Vec<&str> = groups.chain(background).collect();
    let free: Vec<usize> = (0..families().len())
        .filter(|&i| wanted(&families()[i]) && !kins.contains(&families()[i].kin_name()))
        .collect();
    (!free.is_empty()).then(|| dice.pick(&free))
}

fn change_event(scene: &Scene, dice: &mut Dice) -> Option<Scene> {
    let at = dice.below(scene.groups.len());
    let texture = scene.groups[at].family().is_texture();
    let family = stranger(scene, dice, |family| family.is_texture() == texture)?;
    let mut other = scene.clone();
    other.groups[at].family = family;
    other.groups[at].register = Register::Usual;
    Some(other)
}

fn change_background(scene: &Scene, dice: &mut Dice) -> Option<Scene> {
    let family = stranger(scene, dice, Family::is_backdrop)?;
    let mut other = scene.clone();
    let (level_db, voice) = scene.background.as_ref().map_or((0.0, 0), |background| {
        (background.level_db, background.voice)
    });
    other.background = Some(Background {
        family,
        level_db,
        voice,
    });
    Some(other)
}
