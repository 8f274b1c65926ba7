//! One piece of plain Rust, compiled for each instruction set that makes a difference to its loops.

/// Defines `fn name(isa, ...)` that runs an `#[inline(always)]` function of the same arguments, compiled with the features of
/// `isa`. (A closure would not do: it keeps the features of the place where it is written.)
macro_rules! compiled_for {
    (fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? = $plain:path) => {
        #[expect(clippy::allow_attributes, reason = "how many arguments there are depends on the function")]
        #[allow(clippy::too_many_arguments)]
        fn $name(isa: $crate::Isa, $($arg: $type),*) $(-> $ret)? {
            match isa {
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx512Vnni | $crate::Isa::Amx if isa.available() => {
                    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
                    fn with_avx512($($arg: $type),*) $(-> $ret)? {
                        $plain($($arg),*)
                    }
                    // SAFETY: these were detected.
                    unsafe { with_avx512($($arg),*) }
                }
                #[cfg(target_arch = "x86_64")]
                $crate::Isa::Avx2 | $crate::Isa::AvxVnni if isa.available() => {
                    #[target_feature(enable = "avx2,fma")]
                    fn with_avx2($($arg: $type),*) $(-> $ret)? {
                        $plain($($arg),*)
                    }
                    // SAFETY: both need AVX2 and FMA, which were detected.
                    unsafe { with_avx2($($arg),*) }
                }
                _ => $plain($($arg),*),
            }
        }
    };
}

pub(crate) use compiled_for;
