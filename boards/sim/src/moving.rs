//! Cards that slide to and fro, all three together, each on an arc around the arm's base: a table on which an action that was
//! chosen from an old picture misses. They do not turn.

use std::str::FromStr;

use crate::scene::Draw;
use crate::table::Table;

/// Keeps where the cards start apart from every other draw.
const STREAM: u64 = 102;

/// How fast the cards slide on their arcs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CardSpeed {
    m_s: f64,
}

/// A speed that no table of cards has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no speed such as 50mm/s, 5cm/s or 0.05m/s, from 0 to {} m/s", .0.escape_debug(), CardSpeed::MOST_M_S)]
pub struct CardSpeedError(pub String);

impl CardSpeed {
    /// Metres per second; a substep then is a few millimetres.
    pub const MOST_M_S: f64 = 0.5;
    /// Cards that stand.
    pub const STANDING: Self = Self { m_s: 0.0 };

    /// Metres per second.
    #[must_use]
    pub const fn m_s(self) -> f64 {
        self.m_s
    }

    /// Whether the cards stand.
    #[must_use]
    pub fn is_standing(&self) -> bool {
        self.m_s == 0.0
    }
}

impl TryFrom<f64> for CardSpeed {
    type Error = CardSpeedError;

    /// From metres per second.
    fn try_from(m_s: f64) -> Result<Self, CardSpeedError> {
        if (0.0..=Self::MOST_M_S).contains(&m_s) {
            Ok(Self { m_s })
        } else {
            Err(CardSpeedError(format!("{m_s}m/s")))
        }
    }
}

impl FromStr for CardSpeed {
    type Err = CardSpeedError;

    fn from_str(text: &str) -> Result<Self, CardSpeedError> {
        let units = [("mm/s", 1e-3), ("cm/s", 1e-2), ("m/s", 1.0)];
        let read = units.iter().find_map(|(unit, m_s)| {
            let number = text.strip_suffix(unit)?;
            Some(number.trim_end().parse::<f64>().ok()? * m_s)
        });
        let fault = || CardSpeedError(text.chars().take(40).collect());
        Self::try_from(read.ok_or_else(fault)?).map_err(|_| fault())
    }
}

/// The cards' way: at one speed from one end to the other and back.
#[derive(Debug, Clone)]
pub(crate) struct Slide {
    /// The arm's base.
    base_xy: [f64; 2],
    /// From there to where the cards were laid, metres.
    laid_m: [[f64; 2]; 3],
    /// To either side of there.
    swing_m: f64,
    /// In a substep.
    step_m: f64,
    /// Along the way there and back, 0 to four times the swing.
    way_m: f64,
}

impl Slide {
    /// `None` where the cards stand. The seed of the table decides where on their way they start.
    pub(crate) fn new(table: &Table, speed: CardSpeed) -> Option<Self> {
        let [base_x, base_y, _] = table.setup.base_in_world_m;
        let swing_m = table.setup.layout.card_swing_m;
        let way_m = 4.0 * swing_m * Draw::from_stream(table.seed, STREAM).unit();
        (!speed.is_standing()).then(|| Self {
            base_xy: [base_x, base_y],
            laid_m: table
                .cards
                .map(|card| [card.centre_xy[0] - base_x, card.centre_xy[1] - base_y]),
            swing_m,
            step_m: speed.m_s * table.setup.substep_s(),
            way_m,
        })
    }

    /// From where they were laid, metres along their arcs, positive to the left.
    pub(crate) fn offset_m(&self) -> f64 {
        let (way_m, swing_m) = (self.way_m, self.swing_m);
        if way_m < 2.0 * swing_m {
            way_m - swing_m
        } else {
            3.0 * swing_m - way_m
        }
    }

    /// Lets a substep pass.
    pub(crate) fn advance(&mut self) {
        self.way_m = (self.way_m + self.step_m) % (4.0 * self.swing_m);
    }

    /// Puts a table's cards where they are now.
    pub(crate) fn place(&self, table: &mut Table) {
        let offset_m = self.offset_m();
        let [base_x, base_y] = self.base_xy;
        for (card, [x, y]) in table.cards.iter_mut().zip(self.laid_m) {
            let angle_rad = offset_m / libm::hypot(x, y);
            let (sine, cosine) = (libm::sin(angle_rad), libm::cos(angle_rad));
            card.centre_xy = [
                base_x + cosine * x - sine * y,
                base_y + sine * x + cosine * y,
            ];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{Scene, Split};
    use crate::setup::ALL;
    use crate::table::FlatCard;

    #[test]
    fn speeds_have_a_unit_and_an_end() {
        for (text, m_s) in [
            ("50mm/s", 0.05),
            ("5 cm/s", 0.05),
            ("0.05m/s", 0.05),
            ("0m/s", 0.0),
        ] {
            let speed: CardSpeed = text.parse().unwrap();
            assert!((speed.m_s() - m_s).abs() < 1e-12, "{text}");
        }
        for text in [
            "0.05", "50", "-5cm/s", "0.6m/s", "nanm/s", "infmm/s", "", "m/s", "5km/s",
        ] {
            let told = text.parse::<CardSpeed>().unwrap_err().to_string();
            assert!(told.contains(text) && told.contains("50mm/s"), "{told}");
        }
    }

    #[test]
    fn the_cards_go_to_and_fro_at_one_speed_and_come_back() {
        for setup in ALL {
            let table = Table::from(&Scene::on(setup, Split::Val, 3));
            let speed = CardSpeed::try_from(0.1).unwrap();
            let mut slide = Slide::new(&table, speed).unwrap();
            let swing_m = setup.layout.card_swing_m;
            let step_m = 0.1 * setup.substep_s();
            let round = (4.0 * swing_m / step_m).ceil() as usize;
            let first_m = slide.offset_m();
            let (mut least_m, mut most_m) = (f64::MAX, f64::MIN);
            for _ in 0..round {
                let before_m = slide.offset_m();
                slide.advance();
                let offset_m = slide.offset_m();
                // At an end it turns within the step.
                assert!((offset_m - before_m).abs() < step_m + 1e-9);
                least_m = least_m.min(offset_m);
                most_m = most_m.max(offset_m);
            }
            assert!((slide.offset_m() - first_m).abs() < 2.0 * step_m);
            assert!(
                least_m >= -swing_m && least_m < step_m - swing_m,
                "{least_m}"
            );
            assert!(most_m <= swing_m && most_m > swing_m - step_m, "{most_m}");
            let mut moved = table.clone();
            slide.place(&mut moved);
            for (card, laid) in moved.cards.iter().zip(table.cards) {
                let [x, y, _] = setup.base_in_world_m;
                let from_base = |card: &FlatCard| [card.centre_xy[0] - x, card.centre_xy[1] - y];
                let ([x, y], [laid_x, laid_y]) = (from_base(card), from_base(&laid));
                let radius_m = laid_x.hypot(laid_y);
                assert!((x.hypot(y) - radius_m).abs() < 1e-12);
                let turned_rad = y.atan2(x) - laid_y.atan2(laid_x);
                assert!((turned_rad * radius_m - slide.offset_m()).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_seed_decides_where_they_start() {
        let speed = CardSpeed::try_from(0.1).unwrap();
        let start = |seed| {
            let table = Table::from(&Scene::new(Split::Val, seed));
            Slide::new(&table, speed).unwrap().offset_m()
        };
        assert_eq!(start(5), start(5));
        assert_ne!(start(5), start(6));
        let table = Table::from(&Scene::new(Split::Val, 5));
        assert!(Slide::new(&table, CardSpeed::STANDING).is_none());
    }
}
