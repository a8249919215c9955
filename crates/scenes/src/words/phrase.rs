//! Phrases about one group: *three faint dog barks*, *a dog barks faintly three times*.

use crate::dsp::dice::Dice;
use crate::families::{Family, Register};
use crate::scene::{Background, Group, Manner};

/// A noun phrase and whether its verb is plural.
#[derive(Debug, Clone)]
pub(crate) struct Noun {
    pub(crate) text: String,
    pub(crate) plural: bool,
}

impl Noun {
    pub(crate) fn is(&self) -> &'static str {
        if self.plural { "are" } else { "is" }
    }
}

/// What of a group is told besides family and count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling {
    /// Say *several* for four now and then.
    pub(crate) vague: bool,
    /// Say loud, faint, distant.
    pub(crate) manner: bool,
    /// Say high-pitched, low-pitched.
    pub(crate) register: bool,
}

impl Telling {
    /// Family and exact count alone.
    pub(crate) const EXACT: Self = Self {
        vague: false,
        manner: false,
        register: false,
    };
}

const NUMBERS: [&str; 6] = ["no", "one", "two", "three", "four", "five"];

/// A lexicon noun in the singular without notation.
pub(crate) fn bare(noun: &str) -> String {
    noun.trim_start_matches(['~', '+']).replace(['*', '^'], "")
}

/// A lexicon act as a phrase without a finite verb: `"a dog barking"`.
pub(crate) fn participle(act: &str) -> String {
    let (who, _, doing) = parts(act);
    format!("{who} {doing}")
}

fn parts(act: &str) -> (&str, &str, &str) {
    let mut parts = act.split('|');
    let mut next = || {
        parts
            .next()
            .unwrap_or_else(|| panic!("{act:?} is not `who|does|doing`"))
    };
    (next(), next(), next())
}

/// `phrase` with *a* or *an* before it.
pub(crate) fn with_article(phrase: &str) -> String {
    // No lexicon word has a silent h or an initial "yoo".
    let article = if phrase.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {phrase}")
}

fn adjectives(group: &Group, telling: Telling, dice: &mut Dice) -> String {
    let mut words = Vec::new();
    if telling.manner {
        words.extend(match group.manner {
            Manner::Plain => None,
            Manner::Faint => Some(dice.pick(&["faint", "quiet", "soft"])),
            Manner::Loud => Some(dice.pick(&["loud", "very loud"])),
            Manner::Distant => Some(dice.pick(&["distant", "faraway", "muffled"])),
        });
    }
    if telling.register {
        words.extend(match group.register {
            Register::Usual => None,
            Register::Low => Some(dice.pick(&["low-pitched", "deep"])),
            Register::High => Some(dice.pick(&["high-pitched", "high"])),
        });
    }
    words.join(" ")
}

/// The lexicon noun `form` of something heard `count` times.
fn inflect(form: &str, several: bool) -> String {
    if several {
        form.replace('*', "s").replace('^', "es")
    } else {
        bare(form)
    }
}

/// *three dog barks*, *a faint dog bark*, *rain*.
pub(crate) fn noun(group: &Group, telling: Telling, dice: &mut Dice) -> Noun {
    let adjectives = adjectives(group, telling, dice);
    let form = choose_form(group.family(), !adjectives.is_empty(), dice);
    let join = |words: &[&str]| {
        words
            .iter()
            .filter(|w| !w.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    };
    if group.family().is_texture() {
        return texture(form, &adjectives);
    }
    let count = group.count();
    let thing = inflect(form, count > 1);
    let text = if count > 1 {
        let number = match count {
            3 if telling.vague && dice.chance(0.3) => "a few",
            4.. if telling.vague && dice.chance(0.4) => "several",
            _ => NUMBERS[count],
        };
        join(&[number, &adjectives, &thing])
    } else if dice.chance(0.25) && !thing.starts_with("single") {
        join(&[dice.pick(&["a single", "one"]), &adjectives, &thing])
    } else {
        with_article(&join(&[&adjectives, &thing]))
    };
    Noun {
        text,
        plural: count > 1,
    }
}

/// An adjective goes before a bare noun only: *faint rain*, never *faint the sound of rain*.
fn choose_form(family: &Family, adjective: bool, dice: &mut Dice) -> &'static str {
    let takes = |form: &&&str| {
        let opens = |word: &str| form.starts_with(word);
        !["~a ", "~an ", "~the ", "~someone ", "~water ", "~liquid "]
            .into_iter()
            .any(opens)
    };
    let all = family.noun_forms();
    if adjective {
        let fit: Vec<&'static str> = all.iter().filter(takes).copied().collect();
        return dice.pick(&fit);
    }
    dice.pick(all)
}

fn texture(form: &str, adjectives: &str) -> Noun {
    let thing = bare(form);
    let whole = if adjectives.is_empty() {
        thing
    } else {
        format!("{adjectives} {thing}")
    };
    let (mass, plural) = (form.starts_with('~'), form.starts_with('+'));
    Noun {
        text: if mass || plural {
            whole
        } else {
            with_article(&whole)
        },
        plural,
    }
}

/// The noun of a background.
pub(crate) fn background_noun(background: &Background, dice: &mut Dice) -> Noun {
    let form = dice.pick(background.family().noun_forms());
    texture(form, "")
}

/// What goes on in a background: *rain falls* and *rain falling*.
pub(crate) fn background_act(background: &Background, dice: &mut Dice) -> (String, String) {
    let act = dice.pick(background.family().act_forms());
    let (who, does, doing) = parts(act);
    (format!("{who} {does}"), format!("{who} {doing}"))
}

fn tail(group: &Group, telling: Telling, dice: &mut Dice) -> String {
    let (mut adverb, mut place) = ("", "");
    if telling.manner {
        match group.manner {
            Manner::Plain => {}
            Manner::Faint => adverb = dice.pick(&[" faintly", " quietly", " softly"]),
            Manner::Loud => adverb = " loudly",
            Manner::Distant => place = dice.pick(&[" in the distance", " far away", " from afar"]),
        }
    }
    let times = if group.family().is_texture() {
        ""
    } else {
        match group.count() {
            1 => dice.pick(&["", " once", ""]),
            2 => dice.pick(&[" twice", " twice", " two times"]),
            3 if telling.vague && dice.chance(0.3) => " a few times",
            3 => " three times",
            _ if telling.vague && dice.chance(0.4) => " several times",
            4 => " four times",
            _ => " five times",
        }
    };
    format!("{adverb}{times}{place}")
}

/// *a dog barks faintly three times*.
pub(crate) fn clause(group: &Group, telling: Telling, dice: &mut Dice) -> String {
    let (who, does, _) = parts(dice.pick(group.family().act_forms()));
    format!("{who} {does}{}", tail(group, telling, dice))
}

/// *a dog barking faintly three times*.
pub(crate) fn doing(group: &Group, telling: Telling, dice: &mut Dice) -> String {
    let (who, _, doing) = parts(dice.pick(group.family().act_forms()));
    format!("{who} {doing}{}", tail(group, telling, dice))
}

/// A sentence about how a group sounds, where there is something to say: *The barks are faint.*
pub(crate) fn remark(group: &Group, dice: &mut Dice) -> Option<String> {
    let telling = Telling {
        vague: false,
        manner: true,
        register: true,
    };
    let adjectives = adjectives(group, telling, dice);
    if adjectives.is_empty() {
        return None;
    }
    let adjectives = match (group.manner, group.register) {
        (Manner::Plain, _) | (_, Register::Usual) => adjectives,
        _ => {
            let (manner, register) = adjectives.rsplit_once(' ')?;
            format!("{manner} and {register}")
        }
    };
    let form = group.family().noun_forms()[0];
    let several = group.count() > 1;
    let plural = several || form.starts_with('+');
    let verb = match (plural, dice.chance(0.6)) {
        (true, true) => "are",
        (true, false) => "sound",
        (false, true) => "is",
        (false, false) => "sounds",
    };
    Some(format!(
        "the {} {verb} {adjectives}",
        inflect(form, several)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notation_by_hand() {
        assert_eq!(bare("bark* of a dog"), "bark of a dog");
        assert_eq!(inflect("bark* of a dog", true), "barks of a dog");
        assert_eq!(inflect("glass crash^", true), "glass crashes");
        assert_eq!(participle("a dog|barks|barking"), "a dog barking");
        assert_eq!(with_article("owl hoot"), "an owl hoot");
        assert_eq!(with_article("faint owl hoot"), "a faint owl hoot");
    }

    #[test]
    fn textures_take_the_article_their_mark_says() {
        let told = |form, adjectives| {
            let noun = texture(form, adjectives);
            (noun.text, noun.plural)
        };
        assert_eq!(told("~rain", "faint"), ("faint rain".to_owned(), false));
        assert_eq!(told("+footsteps", ""), ("footsteps".to_owned(), true));
        assert_eq!(
            told("idling engine", ""),
            ("an idling engine".to_owned(), false)
        );
        assert_eq!(
            told("idling engine", "loud"),
            ("a loud idling engine".to_owned(), false)
        );
    }
}
