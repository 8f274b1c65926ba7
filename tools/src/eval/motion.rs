//! How smoothly the tool moves.

/// Positions that a jerk is made of.
const POINTS: usize = 4;

/// Jerk of the tool's path: third differences of its position from tick to tick.
#[derive(Debug, Clone, Copy, Default)]
pub struct Smoothness {
    last: [[f64; 3]; POINTS],
    seen: usize,
    squares: f64,
}

/// The jerk of an episode, so that several can be taken together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Jerk {
    /// Times that it was measured.
    pub n: u64,
    /// Root of its mean square, m/s^3.
    pub rms: f64,
}

impl Smoothness {
    /// Takes the position of the tool at a tick, in metres.
    pub fn add(&mut self, point: [f32; 3]) {
        self.last.rotate_left(1);
        self.last[POINTS - 1] = point.map(f64::from);
        self.seen += 1;
        if self.seen >= POINTS {
            let [a, b, c, d] = self.last;
            let third = |axis: usize| d[axis] - 3.0 * c[axis] + 3.0 * b[axis] - a[axis];
            self.squares += (0..3).map(third).map(|jerk| jerk * jerk).sum::<f64>();
        }
    }

    /// The jerk of all ticks, `period_us` apart.
    pub fn jerk(&self, period_us: u64) -> Jerk {
        let n = (self.seen + 1).saturating_sub(POINTS) as u64;
        if n == 0 {
            return Jerk::default();
        }
        let seconds = period_us as f64 * 1e-6;
        let rms = (self.squares / n as f64).sqrt() / (seconds * seconds * seconds);
        Jerk { n, rms }
    }
}

impl Jerk {
    /// That of several episodes together.
    pub fn of(parts: impl Iterator<Item = Self>) -> Self {
        let (mut n, mut squares) = (0, 0.0);
        for part in parts {
            n += part.n;
            squares += part.rms * part.rms * part.n as f64;
        }
        let rms = if n == 0 {
            0.0
        } else {
            (squares / n as f64).sqrt()
        };
        Self { n, rms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jerk_of_a_cubic_is_constant() {
        // x = 2 t^3 has the jerk 12 m/s^3, y = t^2 has none.
        let mut path = Smoothness::default();
        for tick in 0..20 {
            let t = f64::from(tick) * 0.05;
            path.add([(2.0 * t * t * t) as f32, (t * t) as f32, 0.0]);
        }
        let jerk = path.jerk(50_000);
        assert_eq!(jerk.n, 17);
        assert!((jerk.rms - 12.0).abs() < 0.02, "{jerk:?}");
        let none = Smoothness::default().jerk(50_000);
        assert_eq!(none, Jerk::default());
        let both = Jerk::of([jerk, Jerk { n: 17, rms: 0.0 }].into_iter());
        assert!((both.rms - jerk.rms / 2.0_f64.sqrt()).abs() < 1e-9);
    }
}
