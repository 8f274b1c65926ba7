//! The instruction sets that there are kernels for, and which of them this machine has.

/// An instruction set with a kernel of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust: the reference.
    Scalar,
    /// x86-64 AVX2: `vpmaddwd` on values widened to 16 bits. `vpmaddubsw` would saturate and, once split to be exact, is not faster.
    Avx2,
    /// x86-64 AVX-VNNI: `vpdpbusd` on 256 bits.
    AvxVnni,
    /// x86-64 AVX-512 VNNI: `vpdpbusd` on 512 bits.
    Avx512Vnni,
    /// x86-64 AMX: `tdpbusd` on tiles of 16 x 16 sums; AVX-512 VNNI for products of few rows, and for floats.
    Amx,
    /// aarch64 without extensions (Cortex-A72): `smlal` by element on values widened to 16 bits.
    Neon,
    /// aarch64 with the dot product (Cortex-A76, A78AE): `sdot` by element.
    Dotprod,
    /// aarch64 with the matrix product of 8-bit integers: `smmla`.
    I8mm,
}

/// How activations lie in memory for an instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// 16 bits, zero point subtracted.
    I16,
    /// Signed 8 bits, zero point not subtracted.
    I8,
    /// The signed value plus 128 as unsigned 8 bits.
    U8,
}

impl Isa {
    /// All of them, the slowest first.
    pub const ALL: [Self; 8] = [
        Self::Scalar,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Amx,
        Self::Neon,
        Self::Dotprod,
        Self::I8mm,
    ];

    /// The fastest one that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        Self::ALL
            .into_iter()
            .rev()
            .find(|isa| isa.available())
            .unwrap_or(Self::Scalar)
    }

    /// Whether this machine has it.
    #[must_use]
    pub fn available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Self::Avx2.available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx2.available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Amx => Self::Avx512Vnni.available() && crate::amx::available(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::Dotprod => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => {
                Self::Dotprod.available() && std::arch::is_aarch64_feature_detected!("i8mm")
            }
            _ => false,
        }
    }

    /// The one whose kernels for floats it uses.
    pub(crate) fn of_floats(self) -> Self {
        match self {
            Self::Amx => Self::Avx512Vnni,
            other => other,
        }
    }

    /// Name, as reports show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Amx => "amx",
            Self::Neon => "neon",
            Self::Dotprod => "dotprod",
            Self::I8mm => "i8mm",
        }
    }

    /// Consecutive values along K that one instruction takes of a column.
    #[must_use]
    pub fn group(self) -> usize {
        match self {
            Self::Scalar | Self::Neon => 1,
            Self::Avx2 => 2,
            Self::AvxVnni | Self::Avx512Vnni | Self::Amx | Self::Dotprod => 4,
            Self::I8mm => 8,
        }
    }

    pub(crate) fn element(self) -> Element {
        match self {
            Self::Scalar | Self::Avx2 | Self::Neon => Element::I16,
            Self::AvxVnni | Self::Avx512Vnni | Self::Amx => Element::U8,
            Self::Dotprod | Self::I8mm => Element::I8,
        }
    }

    /// Bytes of an activation in memory.
    #[must_use]
    pub fn element_bytes(self) -> usize {
        match self.element() {
            Element::I16 => 2,
            Element::I8 | Element::U8 => 1,
        }
    }

    /// What a sum must still be corrected by, in units of the column's sum of weights, where activations have this zero point.
    pub(crate) fn effective_zero_point(self, zero_point: i32) -> i32 {
        match self.element() {
            Element::I16 => 0,
            Element::I8 => zero_point,
            Element::U8 => zero_point + 128,
        }
    }

    /// Rows of the tallest tile.
    pub(crate) const fn tile_rows(self) -> usize {
        match self {
            Self::Scalar | Self::Neon | Self::Dotprod | Self::I8mm => 4,
            Self::Avx2 | Self::AvxVnni => 6,
            Self::Avx512Vnni => 10,
            Self::Amx => 16,
        }
    }
}
