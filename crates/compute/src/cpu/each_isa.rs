//! Compiles one safe loop for several instruction sets.

/// Defines a function whose body is compiled once more for each wider instruction set, where the
/// compiler turns its loops into wider vectors. The body is IEEE arithmetic without contraction,
/// so every form gives the same bits.
macro_rules! each_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                plain($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                plain($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            match $crate::Isa::best() {
                $crate::Isa::Plain => {}
                // SAFETY: the machine has these instructions; `Isa` found them.
                $crate::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                // SAFETY: as above; the wider sets include AVX-512.
                _ => return unsafe { avx512($($arg),*) },
            }
            plain($($arg),*)
        }
    };
}

pub(crate) use each_isa;
