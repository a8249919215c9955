//! Which vector instructions this machine has.

use std::fmt;
use std::sync::OnceLock;

/// An instruction set that the products have a form for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Isa {
    /// Any machine: the definition, in safe Rust.
    Plain,
    /// x86-64 with AVX2, FMA and F16C (2013 and later).
    Avx2,
    /// x86-64 with AVX-512 F, BW and VL.
    Avx512,
    /// The same with AVX-512-BF16: two bf16 products and a sum per lane and instruction.
    Avx512Bf16,
    /// The same with AMX: a unit that multiplies tiles of bf16. Everything but products of bf16 is
    /// done as by [`Isa::Avx512Bf16`].
    Amx,
}

impl Isa {
    /// All that this machine can run, plainest first.
    pub fn available() -> &'static [Isa] {
        static FOUND: OnceLock<Vec<Isa>> = OnceLock::new();
        FOUND.get_or_init(|| {
            #[allow(unused_mut)] // only x86-64 has more
            let mut found = vec![Isa::Plain];
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
                {
                    found.push(Isa::Avx2);
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                {
                    found.push(Isa::Avx512);
                    if is_x86_feature_detected!("avx512bf16") {
                        found.push(Isa::Avx512Bf16);
                        if crate::cpu::amx::is_available() {
                            found.push(Isa::Amx);
                        }
                    }
                }
            }
            found
        })
    }

    /// The fastest of [`Isa::available`].
    pub fn best() -> Isa {
        *Self::available().last().expect("the plain form always is")
    }

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        Self::available().contains(&self)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Isa::Plain => "plain",
            Isa::Avx2 => "AVX2+FMA",
            Isa::Avx512 => "AVX-512",
            Isa::Avx512Bf16 => "AVX-512+BF16",
            Isa::Amx => "AMX",
        })
    }
}
