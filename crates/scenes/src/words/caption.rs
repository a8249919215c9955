//! Sentences about a whole scene.

use super::phrase::{Noun, Telling, background_act, background_noun, clause, doing, noun, remark};
use crate::dsp::dice::Dice;
use crate::scene::{Arrangement, Background, Group, Scene};

/// Three ways to say what is in a clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captions {
    /// Two or three sentences: order, counts, loudness, pitch, background.
    pub long: String,
    /// One sentence.
    pub short: String,
    /// Tags in any order, separated by commas.
    pub tag: String,
}

/// Captions of `scene` in the words that `wording_seed` chooses.
pub(crate) fn captions(scene: &Scene, wording_seed: u64) -> Captions {
    let mut dice = Dice::new(wording_seed, 10);
    let telling = Telling {
        vague: dice.chance(0.5),
        manner: dice.chance(0.35),
        register: dice.chance(0.2),
    };
    let background = scene.background.as_ref().filter(|_| dice.chance(0.85));
    let mut tags = scene.tags();
    let short = sentence(&with_background(scene, background, telling, &mut dice));
    let long = long(scene, &mut dice);
    dice.shuffle(&mut tags);
    Captions {
        long,
        short,
        tag: tags.join(", "),
    }
}

/// One sentence that says every count exactly, the order, and the background if there is one.
pub(crate) fn exact(scene: &Scene, dice: &mut Dice) -> String {
    sentence(&with_background(
        scene,
        scene.background.as_ref(),
        Telling::EXACT,
        dice,
    ))
}

/// Capital letter and full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let mut whole: String = first.chain(letters).collect();
    whole.push('.');
    whole
}

fn with_background(
    scene: &Scene,
    background: Option<&Background>,
    telling: Telling,
    dice: &mut Dice,
) -> String {
    let core = foreground(scene, telling, dice);
    let Some(background) = background else {
        return core;
    };
    let thing = background_noun(background, dice).text;
    let (does, doing) = background_act(background, dice);
    // "A, then B while C" would leave open whether C goes on during A.
    let (all, pause) = if scene.groups.len() > 1 {
        (", all while", ", all")
    } else {
        (" while", "")
    };
    match dice.below(9) {
        0 => format!("with {thing} in the background, {core}"),
        1 => format!("{core}, with {thing} in the background"),
        2 => format!("{core}{all} {does} in the background"),
        3 => format!("while {does} in the background, {core}"),
        4 => format!("{core}{pause} over a background of {thing}"),
        5 => format!("against a background of {thing}, {core}"),
        6 => format!("{core}, {doing} in the background"),
        7 => format!("as {does} in the background, {core}"),
        _ => format!("{core}; in the background, {does}"),
    }
}

fn foreground(scene: &Scene, telling: Telling, dice: &mut Dice) -> String {
    match (&scene.groups[..], scene.arrangement) {
        ([only], _) => alone(only, telling, dice),
        ([first, second], Arrangement::Together) => together(first, second, telling, dice),
        (groups, _) => sequence(groups, telling, dice),
    }
}

fn alone(group: &Group, telling: Telling, dice: &mut Dice) -> String {
    let Noun { text, plural } = noun(group, telling, dice);
    let is = if plural { "are" } else { "is" };
    match dice.below(9) {
        0..=2 => clause(group, telling, dice),
        3 | 4 => text,
        5 => doing(group, telling, dice),
        6 => format!("there {is} {text}"),
        7 => format!("{text} {is} heard"),
        _ => format!("{text} can be heard"),
    }
}

fn together(first: &Group, second: &Group, telling: Telling, dice: &mut Dice) -> String {
    let (a, b) = if dice.chance(0.5) {
        (first, second)
    } else {
        (second, first)
    };
    let thing = |group: &Group, dice: &mut Dice| noun(group, telling, dice).text;
    let does = |group: &Group, dice: &mut Dice| clause(group, telling, dice);
    match dice.below(9) {
        0 => format!("{} while {}", does(a, dice), does(b, dice)),
        1 => format!("{} as {}", does(a, dice), does(b, dice)),
        2 => format!("{} and {} at the same time", thing(a, dice), thing(b, dice)),
        3 => format!("{} together with {}", thing(a, dice), thing(b, dice)),
        4 => format!("as {}, {}", does(a, dice), does(b, dice)),
        5 => format!("{} while at the same time {}", does(a, dice), does(b, dice)),
        6 => format!(
            "{} and at the same moment {}",
            doing(a, telling, dice),
            doing(b, telling, dice)
        ),
        7 => format!("{} at once with {}", thing(a, dice), thing(b, dice)),
        _ => format!(
            "{} at the same time as {}",
            doing(a, telling, dice),
            thing(b, dice)
        ),
    }
}

fn sequence(groups: &[Group], telling: Telling, dice: &mut Dice) -> String {
    let things: Vec<Noun> = groups
        .iter()
        .map(|group| noun(group, telling, dice))
        .collect();
    let texts: Vec<&str> = things.iter().map(|thing| thing.text.as_str()).collect();
    let does: Vec<String> = groups
        .iter()
        .map(|group| clause(group, telling, dice))
        .collect();
    let last = groups.len() - 1;
    if groups.len() == 2 && dice.chance(0.5) {
        let (a, b) = (texts[0], texts[1]);
        return match dice.below(9) {
            0 => format!("{} and then {}", does[0], does[1]),
            1 => format!("{a} followed by {b}"),
            2 => format!("{a} {} followed by {b}", things[0].is()),
            3 => format!("{} after {a}", does[1]),
            4 => format!("{} before {}", does[0], does[1]),
            5 => format!("{a} and then {b}"),
            6 => format!("{} after {}", texts[1], texts[0]),
            7 => format!("{a} before {b}"),
            _ => format!("when {} over, {}", ended(&things[0]), does[1]),
        };
    }
    match dice.below(8) {
        0 => format!("{}, then {}", does[..last].join(", then "), does[last]),
        1 => format!("{}, followed by {}", texts[0], texts[1..].join(", then ")),
        2 => format!("after {}, {}", texts[0], does[1..].join(", then ")),
        3 => format!("first {}, then {}", does[0], finally(&does[1..])),
        4 => texts.join(", then "),
        5 => {
            let doings: Vec<String> = groups
                .iter()
                .map(|group| doing(group, telling, dice))
                .collect();
            doings.join(", then ")
        }
        6 => format!(
            "it starts with {} and ends with {}{}",
            texts[0],
            texts[last],
            between(&texts[1..last])
        ),
        _ => format!(
            "{} {} followed by {}",
            texts[0],
            things[0].is(),
            texts[1..].join(" and then ")
        ),
    }
}

fn ended(thing: &Noun) -> String {
    format!("{} {}", thing.text, thing.is())
}

fn finally(rest: &[String]) -> String {
    match rest {
        [only] => only.clone(),
        [middle @ .., last] => format!("{}, and finally {last}", middle.join(", then ")),
        [] => String::new(),
    }
}

fn between(middle: &[&str]) -> String {
    if middle.is_empty() {
        return String::new();
    }
    format!(", with {} in between", middle.join(" and then "))
}

fn long(scene: &Scene, dice: &mut Dice) -> String {
    let telling = Telling::EXACT;
    let mut sentences = opening(scene, telling, dice);
    for group in &scene.groups {
        if sentences.len() < 4 {
            sentences.extend(remark(group, dice));
        }
    }
    if let Some(background) = &scene.background {
        let thing = background_noun(background, dice);
        let (does, _) = background_act(background, dice);
        sentences.push(match dice.below(6) {
            0 => format!("in the background, {does}"),
            1 => format!("throughout the clip, {does}"),
            2 => format!(
                "{} {} heard in the background the whole time",
                thing.text,
                thing.is()
            ),
            3 => format!("behind it all, there {} {}", thing.is(), thing.text),
            4 => format!("{} can be heard in the background", thing.text),
            _ => format!("meanwhile, {does} in the background"),
        });
    } else if sentences.len() < 2 || dice.chance(0.25) {
        sentences.push(
            (dice.pick(&[
                "nothing else is heard",
                "there is no other sound",
                "it is quiet otherwise",
                "the background is quiet",
            ]))
            .to_owned(),
        );
    }
    let sentences: Vec<String> = sentences.iter().map(|text| sentence(text)).collect();
    sentences.join(" ")
}

/// The foreground of a long caption, in one sentence or one each.
fn opening(scene: &Scene, telling: Telling, dice: &mut Dice) -> Vec<String> {
    let groups = &scene.groups;
    if scene.arrangement == Arrangement::Together || groups.len() == 1 || dice.chance(0.4) {
        return vec![foreground(scene, telling, dice)];
    }
    let (first, rest) = (&groups[0], &groups[1..]);
    let thing = noun(first, telling, dice).text;
    let start = match dice.below(4) {
        0 => format!("the recording begins with {thing}"),
        1 => format!("first, {}", clause(first, telling, dice)),
        2 => format!("at the start, {}", clause(first, telling, dice)),
        _ => clause(first, telling, dice),
    };
    let (last, middle) = (&rest[rest.len() - 1], &rest[..rest.len() - 1]);
    let mut follow = String::new();
    for group in middle {
        let link = dice.pick(&["then", "after that,", "next,"]);
        follow.push_str(&format!("{link} {}, and ", clause(group, telling, dice)));
    }
    let link = if middle.is_empty() {
        dice.pick(&["then", "after that,", "next,", "a moment later,"])
    } else {
        dice.pick(&["finally", "at the end", "in the end"])
    };
    follow.push_str(&format!("{link} {}", clause(last, telling, dice)));
    vec![start, follow]
}
