//! A few numbers in the order of an arm's joints, without the heap.

use std::fmt;
use std::ops::{Deref, DerefMut};

use wink_firmware::MAX_JOINTS;

/// Up to [`MAX_JOINTS`] values in the order of an arm's joints; a slice of them by dereferencing.
#[derive(Clone, Copy)]
pub struct Row<T> {
    values: [T; MAX_JOINTS],
    len: usize,
}

/// One value per joint: rad of a revolute joint, m of the gripper. Either of the arm's joints alone, or of all joints on the
/// wire, where the gripper is last.
pub type JointValues = Row<f64>;

impl<T: Copy + Default> Row<T> {
    /// `len` values, at most [`MAX_JOINTS`], each by its index.
    pub fn from_fn(len: usize, value: impl FnMut(usize) -> T) -> Self {
        (0..len).map(value).collect()
    }

    /// `len` equal values.
    #[must_use]
    pub fn filled(value: T, len: usize) -> Self {
        Self::from_fn(len, |_| value)
    }

    /// These values and one more behind them, where there is room.
    #[must_use]
    pub fn and(mut self, value: T) -> Self {
        if let Some(slot) = self.values.get_mut(self.len) {
            *slot = value;
            self.len += 1;
        }
        self
    }
}

impl<T: Copy + Default> FromIterator<T> for Row<T> {
    /// Values past [`MAX_JOINTS`] are left out: no arm has them.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        values.into_iter().fold(Self::default(), Self::and)
    }
}

impl<T: Copy + Default> From<&[T]> for Row<T> {
    fn from(values: &[T]) -> Self {
        values.iter().copied().collect()
    }
}

impl<T: Copy + Default, const N: usize> From<[T; N]> for Row<T> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<T: Copy + Default> Default for Row<T> {
    /// No values.
    fn default() -> Self {
        Self {
            values: [T::default(); MAX_JOINTS],
            len: 0,
        }
    }
}

impl<T> Deref for Row<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.len]
    }
}

impl<T> DerefMut for Row<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.len]
    }
}

impl<T> IntoIterator for Row<T> {
    type Item = T;
    type IntoIter = std::iter::Take<std::array::IntoIter<T, MAX_JOINTS>>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter().take(self.len)
    }
}

impl<T: PartialEq> PartialEq for Row<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: PartialEq, const N: usize> PartialEq<[T; N]> for Row<T> {
    fn eq(&self, other: &[T; N]) -> bool {
        **self == other[..]
    }
}

impl<T: fmt::Debug> fmt::Debug for Row<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_what_it_was_given_up_to_its_capacity() {
        let row = JointValues::from_fn(3, |index| index as f64);
        assert_eq!(row, [0.0, 1.0, 2.0]);
        assert_eq!(row.and(9.0), [0.0, 1.0, 2.0, 9.0]);
        assert_eq!(JointValues::filled(1.0, 99).len(), MAX_JOINTS);
        assert_eq!(JointValues::default().len(), 0);
        // What lies behind the length is no part of the value.
        let mut shorter = JointValues::from([5.0, 6.0]);
        shorter.len = 1;
        assert_eq!(shorter, JointValues::from([5.0]));
        assert_eq!(format!("{shorter:?}"), "[5.0]");
    }
}
