//! Compares values with the golden ones.

use wink_engine::{Element, View};

use super::file::Expected;
use super::{GoldenReport, GoldenValue};
use crate::policy::ActionChunk;

/// Differences found so far.
pub(super) struct Compared<'a> {
    expected: &'a Expected,
    rows: Vec<GoldenValue>,
    fault: Option<String>,
}

impl<'a> Compared<'a> {
    pub(super) fn new(expected: &'a Expected) -> Self {
        Self {
            expected,
            rows: Vec::new(),
            fault: None,
        }
    }

    pub(super) fn see(&mut self, name: &str, view: &View<'_>) {
        let Some(sampled) = self.expected.values.get(name) else {
            return;
        };
        let count: usize = view.shape().iter().product();
        let fits = sampled.every > 0
            && sampled.shape == view.shape()
            && sampled.values.len() == count.div_ceil(sampled.every);
        if !fits {
            self.fault = Some(format!(
                "the golden value \"{name}\" has the shape {:?} and {} numbers, one in {}; the value has {:?}",
                sampled.shape,
                sampled.values.len(),
                sampled.every,
                view.shape()
            ));
            return;
        }
        let found = (0..count).step_by(sampled.every);
        let found = found.map(|index| number(view, index).unwrap_or(f64::NAN));
        let single = view.element() == Some(Element::F32);
        self.push(name, found, &sampled.values, sampled.tolerance, single);
    }

    pub(super) fn action(&mut self, chunk: &ActionChunk) {
        let Some(whole) = &self.expected.action else {
            return;
        };
        if whole.shape != [chunk.steps, chunk.dim] || whole.values.len() != chunk.data.len() {
            self.fault = Some(format!(
                "the golden `action` has the shape {:?}, the chunk {:?}",
                whole.shape,
                [chunk.steps, chunk.dim]
            ));
            return;
        }
        let found = chunk.data.iter().map(|value| f64::from(*value));
        self.push("action", found, &whole.values, whole.tolerance, true);
    }

    /// `single`: the values are f32, and the decimal numbers of the file stand for f32. A mask of -2e38 is then met exactly; as
    /// f64 its few digits would be off by 1e30.
    fn push(
        &mut self,
        name: &str,
        found: impl Iterator<Item = f64>,
        expected: &[f64],
        tolerance: f64,
        single: bool,
    ) {
        let (mut max_error, mut sum) = (0.0_f64, 0.0);
        for (found, &expected) in found.zip(expected) {
            let expected = if single {
                f64::from(expected as f32)
            } else {
                expected
            };
            let error = (found - expected).abs();
            let error = if error.is_nan() { f64::INFINITY } else { error };
            max_error = max_error.max(error);
            sum += error * error;
        }
        self.rows.push(GoldenValue {
            value: name.to_owned(),
            max_error,
            rms_error: (sum / expected.len().max(1) as f64).sqrt(),
            count: expected.len(),
            tolerance,
        });
    }

    pub(super) fn report(self, reference: String) -> Result<GoldenReport, String> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let seen = |name: &String| self.rows.iter().any(|row| row.value == *name);
        if let Some(name) = self.expected.values.keys().find(|name| !seen(name)) {
            return Err(format!(
                "the golden value \"{name}\" is no value of the policy"
            ));
        }
        if self.rows.is_empty() {
            return Err("holds nothing to compare".to_owned());
        }
        Ok(GoldenReport {
            reference,
            values: self.rows,
        })
    }
}

/// An element of a tensor of any type.
pub(super) fn number(view: &View<'_>, index: usize) -> Option<f64> {
    fn at<T: wink_engine::Number>(view: &View<'_>, index: usize) -> Option<T> {
        view.values::<T>().ok()?.get(index).copied()
    }
    match view.element()? {
        Element::F32 => at::<f32>(view, index).map(f64::from),
        Element::F64 => at::<f64>(view, index),
        Element::I64 => at::<i64>(view, index).map(|value| value as f64),
        Element::I32 => at::<i32>(view, index).map(f64::from),
        Element::Bool | Element::U8 => view.bytes().get(index).map(|byte| f64::from(*byte)),
        _ => None,
    }
}
