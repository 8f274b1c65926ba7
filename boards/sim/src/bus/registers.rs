//! What a servo of each model keeps where, from the manufacturers' memory tables.

use super::motor::Motor;
use super::servo::Motion;

/// A servo that this bus can pretend to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServoModel {
    /// Feetech STS3215, 12 V (SO-100, SO-101).
    Sts3215,
    /// Dynamixel XM430-W350 (WidowX 250S).
    Xm430W350,
    /// Dynamixel XL430-W250 (WidowX 250S: wrist rotation and gripper).
    Xl430W250,
    /// Dynamixel XL330-M288 (Koch follower).
    Xl330M288,
    /// Dynamixel XL330-M077 (Koch leader).
    Xl330M077,
}

/// Where what is kept. Multi-byte values have their low byte first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub size: usize,
    /// Registers below this address survive without power.
    pub eeprom: usize,
    pub model_number: u16,
    pub model_number_at: usize,
    pub id_at: usize,
    pub baud_at: usize,
    /// What is there when the servo leaves its maker.
    pub factory_baud: u8,
    pub return_delay_at: usize,
    pub torque_at: usize,
    pub goal_at: usize,
    pub goal_bytes: usize,
    pub limits_at: [usize; 2],
    pub homing_at: usize,
    pub homing_bytes: usize,
    pub read_only: &'static [(usize, usize)],
    pub initial: &'static [(usize, &'static [u8])],
}

const STS: Layout = Layout {
    size: 87,
    eeprom: 40,
    model_number: 777,
    model_number_at: 3,
    id_at: 5,
    baud_at: 6,
    factory_baud: 0,
    return_delay_at: 7,
    torque_at: 40,
    goal_at: 42,
    goal_bytes: 2,
    limits_at: [9, 11],
    homing_at: 31,
    homing_bytes: 2,
    read_only: &[(0, 5), (56, 71)],
    initial: &[
        (0, &[3, 10]),
        (8, &[1]),
        (11, &[0xff, 0x0f]),
        (13, &[70, 140, 40]),
        (
            16,
            &[
                0xe8, 0x03, 12, 44, 47, 32, 32, 0, 16, 0, 1, 1, 0xf4, 0x01, 1,
            ],
        ),
        (34, &[20, 200, 80, 10, 200, 10]),
        (48, &[0xe8, 0x03]),
        (55, &[1]),
    ],
};

const XM430: Layout = Layout {
    size: 662,
    eeprom: 64,
    model_number: 1020,
    model_number_at: 0,
    id_at: 7,
    baud_at: 8,
    // 57600 baud.
    factory_baud: 1,
    return_delay_at: 9,
    torque_at: 64,
    goal_at: 116,
    goal_bytes: 4,
    limits_at: [52, 48],
    homing_at: 20,
    homing_bytes: 4,
    read_only: &[(0, 7), (69, 71), (120, 147)],
    initial: &[
        (6, &[45]),
        (8, &[3, 0, 0, 3, 255, 2]),
        (24, &[10]),
        (31, &[80, 160, 0, 95, 0, 0x75, 0x03, 0xa9, 0x04, 0xff, 0x7f]),
        (44, &[0x5e, 0x01, 0, 0, 0xff, 0x0f]),
        (63, &[52]),
        (68, &[2]),
        (76, &[0x80, 0x07, 100]),
        (84, &[0x20, 0x03]),
        (100, &[0x75, 0x03, 0xa9, 0x04]),
    ],
};

const XL430: Layout = Layout {
    model_number: 1060,
    initial: &[
        (6, &[45]),
        (8, &[3, 0, 0, 3, 255, 2]),
        (24, &[10]),
        (31, &[72, 140, 0, 60, 0, 0x75, 0x03]),
        (44, &[0x09, 0x01, 0, 0, 0xff, 0x0f]),
        (63, &[52]),
        (68, &[2]),
        (76, &[0xe8, 0x03, 100]),
        (80, &[0xa0, 0x0f, 0, 0, 0x80, 0x02]),
        (100, &[0x75, 0x03]),
    ],
    ..XM430
};

const XL330: Layout = Layout {
    model_number: 1200,
    initial: &[
        (6, &[45]),
        (8, &[3, 0, 0, 3, 255, 2]),
        (24, &[10]),
        (31, &[70, 70, 0, 35, 0, 0x75, 0x03, 0xd6, 0x06]),
        (44, &[0xbd, 0x01, 0, 0, 0xff, 0x0f]),
        (63, &[53]),
        (68, &[2]),
        (76, &[0x40, 0x06, 180]),
        (84, &[0x90, 0x01]),
        (100, &[0x75, 0x03, 0xd6, 0x06]),
    ],
    ..XM430
};

const XL330_M077: Layout = Layout {
    model_number: 1190,
    ..XL330
};

impl ServoModel {
    /// Whether it speaks Dynamixel 2.0; else Feetech's protocol.
    pub(super) const fn is_dynamixel(self) -> bool {
        !matches!(self, Self::Sts3215)
    }

    pub(super) const fn layout(self) -> &'static Layout {
        match self {
            Self::Sts3215 => &STS,
            Self::Xm430W350 => &XM430,
            Self::Xl430W250 => &XL430,
            Self::Xl330M288 => &XL330,
            Self::Xl330M077 => &XL330_M077,
        }
    }

    /// The speed that a servo is set to, bits a second; `None` for a number that means none.
    pub(super) fn baud(self, memory: &[u8]) -> Option<u32> {
        const STS: [u32; 8] = [
            1_000_000, 500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400,
        ];
        const X_SERIES: [u32; 8] = [
            9_600, 57_600, 115_200, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 4_500_000,
        ];
        let speeds = if self.is_dynamixel() { X_SERIES } else { STS };
        speeds
            .get(usize::from(memory[self.layout().baud_at]))
            .copied()
    }

    /// Unit of the return delay register, microseconds.
    pub(super) const fn return_delay_unit_us(self) -> u64 {
        2
    }

    /// Puts what the servo measures into its registers.
    pub(super) fn measure(self, memory: &mut [u8], motion: &Motion) {
        match self {
            Self::Sts3215 => {
                put(memory, 56, &magnitude(motion.tick, 15).to_le_bytes());
                put(memory, 58, &magnitude(motion.ticks_per_s, 15).to_le_bytes());
                put(
                    memory,
                    60,
                    // Address 60 reports the duty cycle of the motor's voltage in units of 0.1 %, not the torque.
                    &magnitude(motion.effort.duty * 1000.0, 10).to_le_bytes(),
                );
                put(
                    memory,
                    62,
                    &[tenths(motion.voltage_v), motion.temperature_c],
                );
                put(memory, 65, &[motion.complaints, u8::from(motion.moving)]);
                put(
                    memory,
                    69,
                    &magnitude(motion.effort.current_a / 0.0065, 15).to_le_bytes(),
                );
            }
            Self::Xm430W350 | Self::Xl430W250 | Self::Xl330M288 | Self::Xl330M077 => {
                let load = match self {
                    Self::Xm430W350 => motion.effort.current_a / 0.002_69,
                    Self::Xl330M288 | Self::Xl330M077 => motion.effort.current_a / 0.001,
                    Self::Xl430W250 | Self::Sts3215 => motion.effort.torque * 1000.0,
                };
                put(memory, 70, &[motion.complaints]);
                put(memory, 122, &[u8::from(motion.moving)]);
                put(memory, 126, &(load.round() as i16).to_le_bytes());
                // 0.229 rev/min a unit.
                let velocity = motion.ticks_per_s * 60.0 / 4096.0 / 0.229;
                put(memory, 128, &(velocity.round() as i32).to_le_bytes());
                put(memory, 132, &(motion.tick.round() as i32).to_le_bytes());
                put(
                    memory,
                    144,
                    &[tenths(motion.voltage_v), 0, motion.temperature_c],
                );
            }
        }
    }

    /// The bits for too hot, too little voltage and too much load, in that order.
    pub(super) const fn complaint_bits(self) -> [u8; 3] {
        [1 << 2, 1, 1 << 5]
    }

    /// Lowest and highest supply that the servo does not complain of, tenths of a volt.
    pub(super) fn supply_limits_dv(self, memory: &[u8]) -> [u8; 2] {
        if self.is_dynamixel() {
            // Two bytes each, the higher of which is 0.
            [memory[34], memory[32]]
        } else {
            [memory[15], memory[14]]
        }
    }

    /// Whether positions are told within one turn, 0 to 4095, however far the servo has turned.
    pub(super) fn tells_one_turn(self, memory: &[u8]) -> bool {
        !self.is_dynamixel() && memory[18] & 1 << 4 == 0
    }

    /// Complaints for which this servo lets go of its load.
    pub(super) fn unloads_on(self, memory: &[u8]) -> u8 {
        memory[if self.is_dynamixel() { 63 } else { 19 }]
    }

    /// The motor behind an STS3215's registers. `None` for the Dynamixels: theirs say how far the drive's goal is away, as they
    /// always have, which the benchmark's arm is measured with.
    pub(super) const fn motor(self) -> Option<Motor> {
        match self {
            // Data sheet of the STS3215-C018 (12 V, 30 kg cm): 45 turns a minute without load.
            Self::Sts3215 => Some(Motor {
                no_load_rad_s: 45.0 / 60.0 * std::f64::consts::TAU,
                stall_current_a: self.stall_current_a(),
            }),
            Self::Xm430W350 | Self::Xl430W250 | Self::Xl330M288 | Self::Xl330M077 => None,
        }
    }

    /// Greatest current, A.
    pub(super) const fn stall_current_a(self) -> f64 {
        match self {
            Self::Sts3215 => 2.7,
            Self::Xm430W350 => 2.3,
            Self::Xl430W250 => 1.4,
            // At 5 V.
            Self::Xl330M288 => 1.47,
            Self::Xl330M077 => 1.47,
        }
    }
}

fn tenths(value: f64) -> u8 {
    (value * 10.0).round() as u8
}

/// Sign and magnitude, as Feetech has it: the sign in bit `sign`.
pub(super) fn magnitude(value: f64, sign: u32) -> u16 {
    let most = (1_u16 << sign) - 1;
    let size = (value.abs().round() as u16).min(most);
    size | if value.round() < 0.0 { 1 << sign } else { 0 }
}

/// The other way round.
pub(super) fn signed(raw: u16, sign: u32) -> f64 {
    let size = f64::from(raw & ((1 << sign) - 1));
    if raw & (1 << sign) == 0 { size } else { -size }
}

fn put(memory: &mut [u8], address: usize, bytes: &[u8]) {
    memory[address..address + bytes.len()].copy_from_slice(bytes);
}
