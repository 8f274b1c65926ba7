//! A linear axis with round numbers on it.

/// From values to pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    values: [f64; 2],
    pixels: [f64; 2],
}

impl Scale {
    /// Covers all finite `values`, at least `least` of range.
    pub fn covering(values: impl IntoIterator<Item = f64>, least: f64, pixels: [f64; 2]) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (mut low, mut high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
        if low > high {
            (low, high) = (0.0, 0.0);
        }
        let missing = (least - (high - low)).max(0.0);
        Self {
            values: [low - missing / 2.0, high + missing / 2.0],
            pixels,
        }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let ([low, high], [from, to]) = (self.values, self.pixels);
        let range = (high - low).max(f64::MIN_POSITIVE);
        from + (to - from) * (value - low) / range
    }

    /// At most `most` round numbers within the axis, as words, with their pixels.
    pub fn ticks(&self, most: usize) -> Vec<(String, f64)> {
        let [low, high] = self.values;
        let rough = (high - low) / most.max(1) as f64;
        if rough <= 0.0 {
            return Vec::new();
        }
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough * (1.0 - 1e-9))
            .unwrap_or(10.0 * power);
        let digits = (-(step.log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize;
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|place| {
                // Without the sign of a zero.
                let value = place as f64 * step + 0.0;
                (format!("{value:.digits$}"), self.at(value))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_lie_on_the_axis() {
        for (values, most, wanted) in [
            ([0.0, 10.0], 5, vec!["0", "2", "4", "6", "8", "10"]),
            ([-0.13, 0.12], 3, vec!["-0.1", "0.0", "0.1"]),
            ([95.0, 205.0], 2, vec!["100", "200"]),
            ([0.001, 0.004], 4, vec!["0.001", "0.002", "0.003", "0.004"]),
        ] {
            let scale = Scale::covering(values, 0.0, [0.0, 100.0]);
            let ticks = scale.ticks(most);
            let words: Vec<&str> = ticks.iter().map(|(words, _)| words.as_str()).collect();
            assert_eq!(words, wanted);
            assert!(
                ticks
                    .iter()
                    .all(|(_, at)| (-1e-6..=100.0 + 1e-6).contains(at))
            );
        }
    }

    #[test]
    fn what_never_changes_gets_an_axis_too() {
        let scale = Scale::covering([3.0, 3.0], 1.0, [100.0, 0.0]);
        assert_eq!(scale.at(3.0), 50.0);
        let empty = Scale::covering([f64::NAN], 0.0, [0.0, 10.0]);
        assert!(empty.at(0.0).is_finite() && empty.ticks(4).is_empty());
    }
}
