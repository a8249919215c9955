//! The engine: search, embed, re-rank and caption a library of sounds
