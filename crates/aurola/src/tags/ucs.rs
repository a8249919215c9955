//! Names after the Universal Category System, 8.2: `CatID_FXName_CreatorID_SourceID`.
//!
//! A CatID is a category in capitals and a subcategory, as in `RAINMetl`; `-` may set a user's own
//! category off from it. Names that do not begin with a known category in that shape are no UCS names.

use std::path::Path;

use super::{Pairs, put};

/// Categories by their short form.
const CATEGORIES: [(&str, &str); 80] = [
    ("AERO", "aircraft"),
    ("AIR", "air"),
    ("ALRM", "alarms"),
    ("AMB", "ambience"),
    ("ANML", "animals"),
    ("ARCH", "archived"),
    ("BEEP", "beeps"),
    ("BELL", "bells"),
    ("BIRD", "birds"),
    ("BLLT", "bullets"),
    ("BOAT", "boats"),
    ("CERM", "ceramics"),
    ("CHAIN", "chains"),
    ("CHEM", "chemicals"),
    ("CLOCK", "clocks"),
    ("CLOTH", "cloth"),
    ("CMPT", "computers"),
    ("COM", "communications"),
    ("CREA", "creatures"),
    ("CRWD", "crowds"),
    ("DESTR", "destruction"),
    ("DIRT", "dirt and sand"),
    ("DOOR", "doors"),
    ("DRWR", "drawers"),
    ("DSGN", "designed"),
    ("ELEC", "electricity"),
    ("EQUIP", "equipment"),
    ("EXPL", "explosions"),
    ("FART", "farts"),
    ("FEET", "footsteps"),
    ("FGHT", "fight"),
    ("FIRE", "fire"),
    ("FOLY", "foley"),
    ("FOOD", "food and drink"),
    ("FRWK", "fireworks"),
    ("GAME", "games"),
    ("GEO", "geothermal"),
    ("GLAS", "glass"),
    ("GORE", "gore"),
    ("GUN", "guns"),
    ("HMN", "human"),
    ("HORN", "horns"),
    ("ICE", "ice"),
    ("LASR", "lasers"),
    ("LETHR", "leather"),
    ("LIQ", "liquid and mud"),
    ("MACH", "machines"),
    ("MAG", "magic"),
    ("MECH", "mechanical"),
    ("METL", "metal"),
    ("MOTR", "motors"),
    ("MOVE", "movement"),
    ("MUSC", "musical"),
    ("NATD", "natural disaster"),
    ("OBJ", "objects"),
    ("PAPR", "paper"),
    ("PLAS", "plastic"),
    ("RAIN", "rain"),
    ("ROBT", "robots"),
    ("ROCK", "rocks"),
    ("ROPE", "rope"),
    ("RUBR", "rubber"),
    ("SCI", "science fiction"),
    ("SNOW", "snow"),
    ("SPRT", "sports"),
    ("SWSH", "swooshes"),
    ("TOOL", "tools"),
    ("TOON", "cartoon"),
    ("TOY", "toys"),
    ("TRN", "trains"),
    ("UI", "user interface"),
    ("VEGE", "vegetation"),
    ("VEH", "vehicles"),
    ("VOX", "voices"),
    ("WATR", "water"),
    ("WEAP", "weapons"),
    ("WHSTL", "whistles"),
    ("WIND", "wind"),
    ("WING", "wings"),
    ("WOOD", "wood"),
];

/// Short forms of subcategories that are common to many categories. Others are kept as they are.
const SUBCATEGORIES: [(&str, &str); 34] = [
    ("Amus", "amusement"),
    ("Antq", "antique"),
    ("Appl", "appliance"),
    ("Brk", "break"),
    ("Brst", "burst"),
    ("Clth", "cloth"),
    ("Clik", "click"),
    ("Cnst", "construction"),
    ("Conc", "concrete"),
    ("Crkl", "crackle"),
    ("Crsh", "crash"),
    ("Dsgn", "designed"),
    ("Elec", "electric"),
    ("Forst", "forest"),
    ("Fric", "friction"),
    ("Glas", "glass"),
    ("Heli", "helicopter"),
    ("Hors", "horse"),
    ("Impt", "impact"),
    ("Insc", "insect"),
    ("Laff", "laughter"),
    ("Mech", "mechanism"),
    ("Metl", "metal"),
    ("Misc", "general"),
    ("Mvmt", "movement"),
    ("Plas", "plastic"),
    ("Sirn", "siren"),
    ("Slid", "sliding"),
    ("Synth", "synthetic"),
    ("Tonl", "tonal"),
    ("Traf", "traffic"),
    ("Urbn", "urban"),
    ("Vege", "vegetation"),
    ("Watr", "water"),
];

/// Adds what the name of `path` says.
pub(super) fn read(path: &Path, pairs: &mut Pairs) -> Option<()> {
    let name = path.file_stem()?.to_str()?;
    let mut fields = name.split('_');
    let id = fields.next()?.split('-').next()?;
    let title = fields.next()?;
    let (short, sub) = parts(id)?;
    let (_, category) = CATEGORIES.iter().find(|(known, _)| *known == short)?;
    put(pairs, "catid", id);
    put(pairs, "category", category);
    if !sub.is_empty() {
        let known = SUBCATEGORIES.iter().find(|(known, _)| *known == sub);
        put(pairs, "subcategory", known.map_or(sub, |(_, spelt)| spelt));
    }
    put(pairs, "title", title);
    if let Some(creator) = fields.next() {
        put(pairs, "creator", creator);
    }
    if let Some(source) = fields.next() {
        put(pairs, "library", source);
    }
    Some(())
}

/// Capitals, and a capital with small letters behind.
fn parts(id: &str) -> Option<(&str, &str)> {
    if !id.is_ascii() {
        return None;
    }
    let capitals = id.bytes().take_while(u8::is_ascii_uppercase).count();
    if capitals == id.len() {
        return (capitals >= 2).then_some((id, ""));
    }
    let (short, sub) = id.split_at(capitals.checked_sub(1)?);
    let small = &sub[1..];
    let fits =
        short.len() >= 2 && small.len() >= 2 && small.bytes().all(|b| b.is_ascii_lowercase());
    fits.then_some((short, sub))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Vec<(String, String)> {
        let mut pairs = Pairs::new();
        read(Path::new(name), &mut pairs);
        pairs.into_iter().collect()
    }

    #[test]
    fn a_ucs_name_says_what_it_is() {
        let found = of("/x/RAINMetl-Roof_Shed Roof Heavy_XY_STORM.wav");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            found,
            [
                pair("category", "rain"),
                pair("catid", "RAINMetl"),
                pair("creator", "XY"),
                pair("library", "STORM"),
                pair("subcategory", "metal"),
                pair("title", "Shed Roof Heavy"),
            ]
        );
    }

    #[test]
    fn other_names_are_no_ucs_names() {
        for name in [
            "rain_roof.wav",
            "RAINMetl.wav",
            "ZOOM0017_x.wav",
            "DSCNOne_x.wav",
            "A_b.wav",
        ] {
            assert!(of(name).is_empty(), "{name}");
        }
        let sorted = CATEGORIES.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(sorted, "each is there once");
    }
}
