//! Activations in the layout that a kernel reads.

use crate::Isa;
use crate::isa::Element;

/// Bytes past the last value that a kernel may read (and does not use).
const SLACK: usize = 64;

/// 8-bit values of a tensor, signed or unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes<'a> {
    /// Signed.
    Signed(&'a [i8]),
    /// Unsigned.
    Unsigned(&'a [u8]),
}

impl<'a> Bytes<'a> {
    /// The raw bytes, and what to exclusive-or them with to make them signed.
    pub(crate) fn raw(self) -> (&'a [u8], u8) {
        match self {
            // SAFETY: i8 and u8 have the same size and alignment, and every bit pattern is valid for both.
            Self::Signed(values) => (
                unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) },
                0,
            ),
            Self::Unsigned(values) => (values, 0x80),
        }
    }

    /// A range of them.
    #[must_use]
    pub fn part(self, at: std::ops::Range<usize>) -> Self {
        match self {
            Self::Signed(values) => Self::Signed(&values[at]),
            Self::Unsigned(values) => Self::Unsigned(&values[at]),
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Signed(values) => values.len(),
            Self::Unsigned(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A buffer of activations for one instruction set; its memory is kept from one filling to the next.
#[derive(Debug, Default)]
pub struct Activations {
    // u64 for its alignment.
    memory: Vec<u64>,
    bytes: usize,
}

impl Activations {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            memory: Vec::new(),
            bytes: 0,
        }
    }

    /// Makes room for `values` values and returns a writer over them. What was there stays where it is not written.
    pub fn writer(&mut self, isa: Isa, values: usize, zero_point: i32) -> Writer<'_> {
        self.bytes = values * isa.element_bytes();
        let words = (self.bytes + SLACK).div_ceil(8);
        if self.memory.len() < words {
            self.memory.resize(words, 0);
        }
        Writer {
            element: isa.element(),
            zero_point,
            values,
            bytes: self.all_mut(),
        }
    }

    /// Bytes that a kernel may read.
    pub(crate) fn readable(&self) -> &[u8] {
        // SAFETY: the words are initialised, and any byte of one is a valid u8.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast(), self.memory.len() * 8) }
    }

    fn all_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `readable`; the borrow is exclusive, and every byte pattern is a valid u64.
        unsafe {
            std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), self.memory.len() * 8)
        }
    }
}

/// Writes values into an [`Activations`] buffer in the instruction set's layout.
pub struct Writer<'a> {
    element: Element,
    zero_point: i32,
    values: usize,
    bytes: &'a mut [u8],
}

impl Writer<'_> {
    /// Writes signed or unsigned 8-bit values from value `at` on. The zero point of unsigned values counts from -128.
    ///
    /// # Panics
    /// When they do not fit in.
    #[inline]
    pub fn put(&mut self, at: usize, values: Bytes<'_>) {
        assert!(at + values.len() <= self.values);
        let (source, flip) = values.raw();
        match self.element {
            Element::I16 => {
                let out = &mut self.bytes[at * 2..(at + source.len()) * 2];
                for (to, &from) in out.as_chunks_mut::<2>().0.iter_mut().zip(source) {
                    *to = centred(from ^ flip, self.zero_point);
                }
            }
            Element::I8 | Element::U8 => {
                let flip = flip ^ self.sign();
                for (to, &from) in self.bytes[at..at + source.len()].iter_mut().zip(source) {
                    *to = from ^ flip;
                }
            }
        }
    }

    /// Writes `count` zeros, that is, values equal to the zero point.
    ///
    /// # Panics
    /// When they do not fit in.
    #[inline]
    pub fn zeros(&mut self, at: usize, count: usize) {
        assert!(at + count <= self.values);
        match self.element {
            Element::I16 => self.bytes[at * 2..(at + count) * 2].fill(0),
            Element::I8 | Element::U8 => {
                let value = self.zero_point.to_le_bytes()[0] ^ self.sign();
                self.bytes[at..at + count].fill(value);
            }
        }
    }

    /// What makes a signed byte the element.
    fn sign(&self) -> u8 {
        if self.element == Element::U8 { 0x80 } else { 0 }
    }
}

#[inline(always)]
fn centred(signed: u8, zero_point: i32) -> [u8; 2] {
    // Both lie in -128..=127, their difference in 16 bits.
    #[expect(clippy::cast_possible_truncation)]
    let value = i16::from(signed.cast_signed()) - zero_point as i16;
    value.to_ne_bytes()
}
