//! Values that start at a cache line: a vector register of 64 bytes that straddles two lines is loaded at half the speed.

use std::fmt::Debug;

use crate::pages::{Pages, collapse};

/// What the values start at a multiple of.
const LINE: usize = 64;

/// Numbers of which all bits zero are 0, and any bits are a value.
///
/// # Safety
/// So it must be, and their alignment at most 64.
pub(crate) unsafe trait Number: Copy + PartialEq {}

// SAFETY: numbers of the machine are so.
unsafe impl Number for i8 {}
// SAFETY: as above.
unsafe impl Number for f32 {}

/// Memory that the caller allocated. It is freed when this value is dropped.
pub trait Lent<T>: Debug + Send + Sync {
    /// The values, always of the same length and at the same place.
    fn values(&self) -> &[T];
    /// The same to be written.
    fn values_mut(&mut self) -> &mut [T];
}

/// Numbers that start at a cache line.
#[derive(Debug)]
pub(crate) struct Aligned<T>(Memory<T>);

#[derive(Debug)]
enum Memory<T> {
    Own(Pages),
    Lent(Box<dyn Lent<T>>),
}

impl<T: Number> Aligned<T> {
    /// `len` zeros.
    ///
    /// # Panics
    /// When there is no memory for them.
    pub(crate) fn zeros(len: usize) -> Self {
        let bytes = len.checked_mul(size_of::<T>());
        let pages = bytes.and_then(Pages::shared);
        let pages = pages.unwrap_or_else(|| panic!("no memory for {len} weights"));
        Self(Memory::Own(pages))
    }

    /// Takes over the caller's memory if it starts at a cache line, else gives it back.
    pub(crate) fn lent(memory: Box<dyn Lent<T>>) -> Result<Self, Box<dyn Lent<T>>> {
        match memory.values().as_ptr().addr().is_multiple_of(LINE) {
            true => Ok(Self(Memory::Lent(memory))),
            false => Err(memory),
        }
    }

    /// Moves memory that was lent to huge pages, where the system can.
    pub(crate) fn collapse(&self) {
        if let Memory::Lent(memory) = &self.0 {
            collapse(memory.values());
        }
    }

    pub(crate) fn values(&self) -> &[T] {
        let bytes = match &self.0 {
            Memory::Own(pages) => pages.bytes(),
            Memory::Lent(memory) => return memory.values(),
        };
        // SAFETY: the bytes start at a cache line, and any are numbers.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
    }

    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        let bytes = match &mut self.0 {
            Memory::Own(pages) => pages.bytes_mut(),
            Memory::Lent(memory) => return memory.values_mut(),
        };
        let len = bytes.len() / size_of::<T>();
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), len) }
    }
}

/// Values before the first one at a cache line.
pub(crate) fn to_line<T>(values: &[T]) -> usize {
    // What the system declines to tell, or lies beyond the end, is right as well, only slower.
    match values.as_ptr().align_offset(LINE) {
        skipped if skipped < LINE && skipped <= values.len() => skipped,
        _ => 0,
    }
}

/// A copy lies elsewhere, and begins at a cache line there.
impl<T: Number> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.values().len());
        copy.values_mut().copy_from_slice(self.values());
        copy
    }
}

impl<T: Number> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.values() == other.values()
    }
}

impl<T: Number + Eq> Eq for Aligned<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_copies_start_at_a_line() {
        for len in [0, 1, 15, 16, 1000] {
            let mut values = Aligned::<f32>::zeros(len);
            values.values_mut().fill(2.5);
            let copy = values.clone();
            for found in [&values, &copy] {
                assert_eq!(found.values(), vec![2.5; len]);
                assert_eq!(found.values().as_ptr().addr() % 64, 0);
            }
            assert!(values == copy);
            copy.clone().values_mut().fill(0.0);
            assert_eq!(len == 0, values == Aligned::zeros(len));
        }
        assert_eq!(Aligned::<i8>::zeros(70).values().as_ptr().addr() % 64, 0);
    }
}
