//! What the person at the table does, as lines of text.

use super::Kit;

/// Time that a hand takes for one way, seconds.
const HAND_S: f64 = 1.0;
/// Time that a hand stays at a stop, seconds.
const STOP_S: f64 = 0.15;

/// Why a command says nothing to a kit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KitError {
    /// There is no such command.
    #[error("\"{0}\" is no command of a kit")]
    Unknown(String),
    /// There is no such joint.
    #[error("the kit has no joint \"{0}\"")]
    Joint(String),
    /// A word is missing.
    #[error("\"{0}\" needs more words")]
    Short(String),
    /// A word is no number, or none that fits.
    #[error("\"{0}\" is no number that fits here")]
    Number(String),
}

impl Kit {
    /// Does what a line says:
    ///
    /// ```text
    /// plug JOINT|all                      plugs servos in
    /// unplug JOINT|all                    pulls their plugs
    /// id JOINT N                          gives a servo an id
    /// register JOINT ADDRESS BYTE...      sets registers of a servo
    /// supply VOLTS [JOINT|all]            changes the supply
    /// power                               takes the supply away and back
    /// mount JOINT TICK                    where a servo's encoder stands when its joint is at zero
    /// stops JOINT LOW HIGH                where a joint's stops are, rad or m
    /// hand JOINT POSITION [SECONDS]       moves a joint by hand
    /// sweep JOINT|all [LOW HIGH]          moves joints by hand from stop to stop, or so far, and back
    /// latency MS                          keeps answers back for so long
    /// ```
    ///
    /// # Errors
    /// Names the word that says nothing.
    pub fn obey(&mut self, line: &str) -> Result<(), KitError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |index: usize| {
            words
                .get(index)
                .copied()
                .ok_or_else(|| KitError::Short(line.to_owned()))
        };
        match word(0)? {
            "plug" => self.plug(word(1)?, true)?,
            "unplug" => self.plug(word(1)?, false)?,
            "id" => {
                let joint = self.joint(word(1)?)?;
                let id = number(word(2)?)?;
                self.servo(joint)?.set_id(id);
            }
            "register" => {
                let joint = self.joint(word(1)?)?;
                let address: u8 = number(word(2)?)?;
                word(3)?;
                for (offset, byte) in words.iter().skip(3).enumerate() {
                    let byte = number(byte)?;
                    let address = usize::from(address) + offset;
                    if address >= self.servo(joint)?.registers().len() {
                        return Err(KitError::Number(address.to_string()));
                    }
                    self.servo(joint)?.set(address, &[byte]);
                }
            }
            "supply" => {
                let volts: f64 = number(word(1)?)?;
                if !(0.0..=25.5).contains(&volts) {
                    return Err(KitError::Number(volts.to_string()));
                }
                for joint in self.joints_of(word(2).unwrap_or("all"))? {
                    self.servo(joint)?.faults_mut().supply_dv = Some((volts * 10.0).round() as u8);
                }
            }
            "power" => self.bus.power_cycle(),
            "mount" => {
                let joint = self.joint(word(1)?)?;
                let tick = number(word(2)?)?;
                self.servo(joint)?.mount(tick);
            }
            "stops" => {
                let joint = self.joint(word(1)?)?;
                let [low, high]: [f64; 2] = [number(word(2)?)?, number(word(3)?)?];
                if low.is_nan() || high.is_nan() || low >= high {
                    return Err(KitError::Number(words[2..].join(" ")));
                }
                self.joints.set_stops(joint, [low, high]);
            }
            "hand" => {
                let joint = self.joint(word(1)?)?;
                let to = number(word(2)?)?;
                let seconds = word(3).map_or(Ok(HAND_S), number)?;
                self.hands[joint].go(to, (seconds * 1e6) as u64);
            }
            "sweep" => {
                let joints = self.joints_of(word(1)?)?;
                let range = match (word(2), word(3)) {
                    (Ok(low), Ok(high)) => Some([number(low)?, number(high)?]),
                    _ => None,
                };
                for joint in joints {
                    let [low, high] = range.unwrap_or(self.joints.stops(joint));
                    let back = self.joints.position(joint);
                    for to in [low, high, back] {
                        self.hands[joint].go(to, (HAND_S * 1e6) as u64);
                        self.hands[joint].go(to, (STOP_S * 1e6) as u64);
                    }
                }
            }
            "latency" => {
                let ms: f64 = number(word(1)?)?;
                self.latency_us = (ms * 1000.0) as u64;
            }
            other => return Err(KitError::Unknown(other.to_owned())),
        }
        Ok(())
    }

    fn plug(&mut self, which: &str, plugged: bool) -> Result<(), KitError> {
        for joint in self.joints_of(which)? {
            if plugged && !self.servo(joint)?.is_plugged() {
                // Its plug carries the supply, too.
                self.servo(joint)?.power_cycle();
            }
            self.servo(joint)?.faults_mut().unplugged = !plugged;
        }
        Ok(())
    }

    fn joint(&self, name: &str) -> Result<usize, KitError> {
        self.names
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| KitError::Joint(name.to_owned()))
    }

    fn joints_of(&self, which: &str) -> Result<Vec<usize>, KitError> {
        if which == "all" {
            Ok((0..self.names.len()).collect())
        } else {
            self.joint(which).map(|joint| vec![joint])
        }
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, KitError> {
    word.parse().map_err(|_| KitError::Number(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::SO101;

    /// What the servo of this id says to a read of its position.
    fn position(kit: &mut Kit, now_us: u64, id: u8) -> Vec<u8> {
        let mut packet = vec![0xff, 0xff, id, 4, 2, 56, 2];
        let sum = packet[2..]
            .iter()
            .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        packet.push(!sum);
        kit.receive(now_us, &packet);
        let mut said = vec![];
        kit.send(u64::MAX, &mut said);
        said
    }

    #[test]
    fn servos_of_a_new_kit_answer_to_one_id_and_together_they_say_nothing() {
        let arm = SO101.arm();
        let mut kit = Kit::fresh(&SO101, &arm).unwrap();
        assert!(position(&mut kit, 0, 1).is_empty());
        kit.obey("plug gripper").unwrap();
        kit.pass(20_000);
        let alone = position(&mut kit, 30_000, 1);
        assert_eq!(alone.len(), 8);
        kit.obey("plug wrist_roll").unwrap();
        kit.pass(50_000);
        let both = position(&mut kit, 60_000, 1);
        assert_eq!(both.len(), 8);
        let sum = |bytes: &[u8]| {
            !bytes[2..7]
                .iter()
                .fold(0_u8, |sum, byte| sum.wrapping_add(*byte))
        };
        assert_eq!(sum(&alone), alone[7]);
        assert_ne!(sum(&both), both[7], "{both:x?}");
        kit.obey("id gripper 6").unwrap();
        assert_eq!(position(&mut kit, 90_000, 6).len(), 8);
    }

    #[test]
    fn a_hand_moves_a_joint_through_the_seam_and_positions_stay_in_one_turn() {
        let mut kit = Kit::assembled(&SO101, &SO101.arm()).unwrap();
        kit.obey("sweep shoulder_pan").unwrap();
        let (mut now_us, mut ticks) = (0, vec![]);
        while kit.is_handled() {
            now_us += 10_000;
            kit.pass(now_us);
            let said = position(&mut kit, now_us, 1);
            ticks.push(u16::from_le_bytes([said[5], said[6]]));
        }
        assert!(ticks.iter().all(|tick| *tick < 4096));
        assert!(ticks.iter().any(|tick| *tick < 200) && ticks.iter().any(|tick| *tick > 3900));
        // Counting turns, it leaves its turn.
        kit.obey("register shoulder_pan 18 28").unwrap();
        kit.obey("hand shoulder_pan 1.5").unwrap();
        while kit.is_handled() {
            now_us += 10_000;
            kit.pass(now_us);
        }
        let said = position(&mut kit, now_us, 1);
        assert!(u16::from_le_bytes([said[5], said[6]]) > 4096);
    }

    #[test]
    fn what_says_nothing_is_told() {
        let mut kit = Kit::assembled(&SO101, &SO101.arm()).unwrap();
        for (line, expected) in [
            ("dance", KitError::Unknown("dance".to_owned())),
            ("plug knee", KitError::Joint("knee".to_owned())),
            ("id gripper", KitError::Short("id gripper".to_owned())),
            ("id gripper six", KitError::Number("six".to_owned())),
            ("supply 99", KitError::Number("99".to_owned())),
            ("register gripper 250 1", KitError::Number("250".to_owned())),
        ] {
            assert_eq!(kit.obey(line), Err(expected));
        }
    }
}
