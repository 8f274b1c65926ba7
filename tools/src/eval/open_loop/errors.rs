//! How far predicted actions are from recorded ones, by number and by step of the chunk.

use std::ops::Range;

use serde::Serialize;

/// Errors of one number, in its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Error {
    /// Mean of the absolute errors.
    pub mae: f64,
    /// Root of the mean of their squares.
    pub rms: f64,
    /// The largest absolute error.
    pub max: f64,
    /// How many there are.
    pub n: u64,
}

/// Sums of errors.
#[derive(Debug, Clone)]
pub struct Errors {
    numbers: usize,
    /// Row for each step of the chunk.
    sums: Vec<Sum>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    absolute: f64,
    squares: f64,
    max: f64,
    n: u64,
}

impl Errors {
    /// For chunks of `steps` actions of `numbers` numbers.
    pub fn new(steps: usize, numbers: usize) -> Self {
        Self {
            numbers,
            sums: vec![Sum::default(); steps * numbers],
        }
    }

    /// Counts one predicted action, the chunk's step `step`.
    pub fn add(&mut self, step: usize, predicted: &[f32], recorded: &[f32]) {
        let sums = &mut self.sums[step * self.numbers..][..self.numbers];
        for ((sum, a), b) in sums.iter_mut().zip(predicted).zip(recorded) {
            let error = (f64::from(*a) - f64::from(*b)).abs();
            sum.absolute += error;
            sum.squares += error * error;
            sum.max = sum.max.max(error);
            sum.n += 1;
        }
    }

    /// The errors of a number over some steps of the chunk.
    pub fn of(&self, number: usize, steps: Range<usize>) -> Error {
        let mut all = Sum::default();
        for step in steps {
            let sum = self.sums[step * self.numbers + number];
            all.absolute += sum.absolute;
            all.squares += sum.squares;
            all.max = all.max.max(sum.max);
            all.n += sum.n;
        }
        let count = all.n.max(1) as f64;
        Error {
            mae: all.absolute / count,
            rms: (all.squares / count).sqrt(),
            max: all.max,
            n: all.n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_numbers_are_kept_apart() {
        let mut errors = Errors::new(2, 2);
        errors.add(0, &[1.0, 5.0], &[0.0, 5.0]);
        errors.add(0, &[-3.0, 5.0], &[0.0, 5.0]);
        errors.add(1, &[0.0, 1.0], &[0.0, 3.0]);
        let first = errors.of(0, 0..1);
        assert_eq!((first.mae, first.max, first.n), (2.0, 3.0, 2));
        assert!((first.rms - 5.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(errors.of(1, 0..1).max, 0.0);
        let all = errors.of(1, 0..2);
        assert_eq!((all.max, all.n), (2.0, 3));
        assert!((all.mae - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(Errors::new(1, 1).of(0, 0..1), Error::default());
    }
}
