//! Values that start at a cache line: a vector register of 64 bytes that straddles two lines is loaded at half the speed.

use std::fmt::Debug;
use std::ops::Range;

/// What the values start at a multiple of.
const LINE: usize = 64;

/// Memory that the caller allocated. It is freed when this value is dropped.
pub trait Lent<T>: Debug + Send + Sync {
    /// The values, always of the same length and at the same place.
    fn values(&self) -> &[T];
    /// The same to be written.
    fn values_mut(&mut self) -> &mut [T];
}

/// Values of 1, 2, 4 or 8 bytes that start at a cache line.
#[derive(Debug)]
pub(crate) struct Aligned<T>(Memory<T>);

#[derive(Debug)]
enum Memory<T> {
    Own { all: Vec<T>, used: Range<usize> },
    Lent(Box<dyn Lent<T>>),
}

impl<T: Copy + Default> Aligned<T> {
    /// `len` zeros, of memory that the system clears when it is first touched.
    pub(crate) fn zeros(len: usize) -> Self {
        let all = vec![T::default(); len + LINE / size_of::<T>()];
        let start = to_line(&all);
        Self(Memory::Own {
            all,
            used: start..start + len,
        })
    }

    /// Takes over the caller's memory if it starts at a cache line, else gives it back.
    pub(crate) fn lent(memory: Box<dyn Lent<T>>) -> Result<Self, Box<dyn Lent<T>>> {
        match memory.values().as_ptr().addr().is_multiple_of(LINE) {
            true => Ok(Self(Memory::Lent(memory))),
            false => Err(memory),
        }
    }

    pub(crate) fn values(&self) -> &[T] {
        match &self.0 {
            Memory::Own { all, used } => &all[used.clone()],
            Memory::Lent(memory) => memory.values(),
        }
    }

    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Memory::Own { all, used } => &mut all[used.clone()],
            Memory::Lent(memory) => memory.values_mut(),
        }
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
impl<T: Copy + Default> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.values().len());
        copy.values_mut().copy_from_slice(self.values());
        copy
    }
}

impl<T: Copy + Default + PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.values() == other.values()
    }
}

impl<T: Copy + Default + Eq> Eq for Aligned<T> {}

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
                assert_eq!(found.values().as_ptr().addr() % LINE, 0);
            }
            assert!(values == copy);
            copy.clone().values_mut().fill(0.0);
            assert_eq!(len == 0, values == Aligned::zeros(len));
        }
        assert_eq!(Aligned::<i8>::zeros(70).values().as_ptr().addr() % LINE, 0);
    }
}
