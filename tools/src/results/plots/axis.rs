//! From rates to pixels.

/// Chance of recognition.
pub const CHANCE: f64 = 1.0 / 3.0;

/// An axis of rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    /// Lowest rate shown.
    low: f64,
    /// Pixel of the lowest rate and of 100%.
    pixels: [f64; 2],
}

impl Axis {
    /// Up to 100%, and down as far as the lowest of `lows` needs.
    pub fn covering(lows: impl Iterator<Item = f64>, pixels: [f64; 2]) -> Self {
        let low = lows.fold(0.8, f64::min).clamp(0.0, 0.8);
        Self {
            low: (10.0 * low + 1e-9).floor() / 10.0,
            pixels,
        }
    }

    /// The pixel of a rate.
    pub fn at(&self, rate: f64) -> f64 {
        let [from, to] = self.pixels;
        from + (to - from) * (rate - self.low) / (1.0 - self.low)
    }

    /// Rates to write at the axis, as percentages, and their pixels.
    pub fn ticks(&self) -> Vec<(String, f64)> {
        let step = if self.low >= 0.6 { 5 } else { 10 };
        let low = (100.0 * self.low).round() as usize;
        (low..=100)
            .filter(|percent| percent % step == 0)
            .map(|percent| (percent.to_string(), self.at(percent as f64 / 100.0)))
            .collect()
    }
}

/// Moves places on a line apart until neighbours have `gap` between them, all of them within `low` and `high` where they fit.
pub fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut places = wanted.to_vec();
    let mut next = low;
    for &index in &order {
        places[index] = places[index].max(next);
        next = places[index] + gap;
    }
    let mut last = high;
    for &index in order.iter().rev() {
        places[index] = places[index].min(last);
        last = places[index] - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_overlap_and_stay_in_sight() {
        let places = spread(&[50.0, 51.0, 10.0, 99.0, 99.0, 98.0], 5.0, 0.0, 100.0);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(
            sorted
                .windows(2)
                .all(|pair| pair[1] - pair[0] >= 5.0 - 1e-9)
        );
        assert!(sorted[0] >= 0.0 && sorted[5] <= 100.0);
        assert_eq!(places[2], 10.0);
        assert!(places[0] < places[1] && places[5] < places[3]);
    }

    #[test]
    fn the_axis_begins_at_a_round_rate() {
        let axis = Axis::covering([0.93, 0.55].into_iter(), [0.0, 100.0]);
        assert_eq!(axis.at(0.5), 0.0);
        assert_eq!(axis.at(1.0), 100.0);
        assert_eq!(axis.ticks().first().unwrap().0, "50");
        let high = Axis::covering([0.99].into_iter(), [100.0, 0.0]);
        assert_eq!(high.at(0.8), 100.0);
        assert_eq!(high.ticks().len(), 5);
    }
}
