//! What is done to sounds before they are listened to, so that no clip is heard twice alike.
//!
//! ```text
//! samples ─► speed ─► crop ─► mix ─► shift ─► tilt ─► low-pass ─► gain ─► noise ─► log-mel ─► masks
//! ```
//!
//! Nothing here is on by default. Each has its own stream of chance, so switching one off changes none of
//! the others.

mod config;
mod masks;
mod wave;

pub use config::{
    AugmentConfig, GainConfig, LowPassConfig, MasksConfig, MixConfig, NoiseConfig, ShiftConfig,
    SpeedConfig, TiltConfig,
};
pub(super) use masks::mask;
pub(super) use wave::{crop, gain, low_pass, mix, noise, shift, speed, tilt};
