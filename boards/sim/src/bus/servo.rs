//! One servo on the bus: its registers, and what instructions do to them.

use super::coupling::{Coupling, TICKS_PER_TURN};
use super::faults::ServoFaults;
use super::instruction::{Action, BROADCAST};
use super::motor::{Effort, Motor};
use super::registers::{Layout, ServoModel, magnitude, signed};

/// What a servo measures, in its own units where it says so.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Motion {
    /// Position after homing offset and direction.
    pub tick: f64,
    pub ticks_per_s: f64,
    pub effort: Effort,
    pub voltage_v: f64,
    pub temperature_c: u8,
    pub moving: bool,
    pub complaints: u8,
}

/// Error numbers of Dynamixel protocol 2.0.
const DATA_RANGE: u8 = 4;
const DATA_LIMIT: u8 = 6;
const ACCESS: u8 = 7;
const INSTRUCTION: u8 = 2;
/// Above the error number: look at the hardware error status.
const ALERT: u8 = 0x80;

/// A simulated servo. Until it is put on a joint it stands still at its middle.
#[derive(Debug, Clone)]
pub struct BusServo {
    pub(super) model: ServoModel,
    pub(super) memory: Vec<u8>,
    /// What is there when power comes back.
    saved: Vec<u8>,
    registered: Option<(usize, Vec<u8>)>,
    pub(super) coupling: Option<Coupling>,
    pub(super) faults: ServoFaults,
    /// Complaints that stay until the servo is rebooted.
    latched: u8,
    /// What the encoder said last, in the servo's own direction; turns are counted.
    turned: f64,
}

impl BusServo {
    /// A servo as it leaves the factory but for its id and its bus speed.
    #[must_use]
    pub fn new(id: u8, model: ServoModel) -> Self {
        let layout = model.layout();
        let mut memory = vec![0; layout.size];
        for (address, bytes) in layout.initial {
            memory[*address..address + bytes.len()].copy_from_slice(bytes);
        }
        memory[layout.model_number_at..layout.model_number_at + 2]
            .copy_from_slice(&layout.model_number.to_le_bytes());
        memory[layout.id_at] = id;
        let mut servo = Self {
            model,
            saved: memory.clone(),
            memory,
            registered: None,
            coupling: None,
            faults: ServoFaults::default(),
            latched: 0,
            turned: 0.0,
        };
        servo.feel(TICKS_PER_TURN / 2.0, 0.0, Effort::default());
        servo.hold_here();
        servo
    }

    /// The same servo, built into an arm.
    #[must_use]
    pub fn on(mut self, coupling: Coupling) -> Self {
        self.coupling = Some(coupling);
        self
    }

    /// The same servo with some of its registers set, as a set-up program would have.
    ///
    /// # Panics
    /// When the servo has no such registers.
    #[must_use]
    pub fn with(mut self, address: usize, bytes: &[u8]) -> Self {
        self.set(address, bytes);
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u8 {
        self.memory[self.layout().id_at]
    }

    /// Puts it into its arm so that its encoder stands at a tick when its joint is at zero. Nothing for a servo on no joint.
    pub fn mount(&mut self, zero_tick: f64) {
        if let Some(coupling) = &mut self.coupling {
            coupling.zero_tick = zero_tick;
        }
    }

    /// Whether it is plugged in.
    #[must_use]
    pub const fn is_plugged(&self) -> bool {
        !self.faults.unplugged
    }

    /// The offset that it takes off what its encoder says, ticks.
    #[must_use]
    pub fn homing_offset(&self) -> i32 {
        -self.homing() as i32
    }

    /// What is wrong with it, to be changed.
    pub const fn faults_mut(&mut self) -> &mut ServoFaults {
        &mut self.faults
    }

    /// Sets registers as a set-up program would have.
    ///
    /// # Panics
    /// When the servo has no such registers.
    pub fn set(&mut self, address: usize, bytes: &[u8]) {
        self.memory[address..address + bytes.len()].copy_from_slice(bytes);
        if address < self.layout().eeprom {
            self.saved[address..address + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Its registers as they are.
    #[must_use]
    pub fn registers(&self) -> &[u8] {
        &self.memory
    }

    /// Whether it holds or drives its load.
    #[must_use]
    pub fn has_torque(&self) -> bool {
        self.memory[self.layout().torque_at] == 1 && !self.faults.unplugged
    }

    /// Whether it is plugged in and set to a line's speed, bits a second.
    pub(super) fn hears(&self, baud: u32) -> bool {
        self.is_plugged() && self.model.baud(&self.memory) == Some(baud)
    }

    /// Gives it an id, as a set-up program would have.
    pub fn set_id(&mut self, id: u8) {
        self.set(self.layout().id_at, &[id]);
    }

    /// Sets it as its maker ships it: the id 1, and the speed of its make.
    pub fn unpack(&mut self) {
        self.set_id(1);
        let layout = self.layout();
        self.set(layout.baud_at, &[layout.factory_baud]);
    }

    fn layout(&self) -> &'static Layout {
        self.model.layout()
    }

    pub(super) fn return_delay_us(&self) -> u64 {
        u64::from(self.memory[self.layout().return_delay_at]) * self.model.return_delay_unit_us()
    }

    /// Power gone and back: torque off, everything that is not in the EEPROM forgotten.
    pub fn power_cycle(&mut self) {
        let position = self.position_tick();
        self.memory = self.saved.clone();
        self.registered = None;
        self.latched = 0;
        self.feel_tick(position);
        self.hold_here();
    }

    fn position_tick(&self) -> f64 {
        let layout = self.layout();
        if layout.goal_bytes == 2 {
            signed(self.word(56), 15)
        } else {
            f64::from(self.double(132))
        }
    }

    fn feel_tick(&mut self, tick: f64) {
        let motion = self.motion(tick, 0.0, Effort::default());
        self.model.measure(&mut self.memory, &motion);
    }

    /// The goal is where the servo is.
    fn hold_here(&mut self) {
        let tick = self.position_tick();
        self.put_goal(tick);
    }

    fn put_goal(&mut self, tick: f64) {
        let layout = self.layout();
        let bytes = if layout.goal_bytes == 2 {
            u32::from(magnitude(tick, 15)).to_le_bytes()
        } else {
            (tick.round() as i32).to_le_bytes()
        };
        self.memory[layout.goal_at..layout.goal_at + layout.goal_bytes]
            .copy_from_slice(&bytes[..layout.goal_bytes]);
    }

    fn word(&self, address: usize) -> u16 {
        u16::from_le_bytes([self.memory[address], self.memory[address + 1]])
    }

    fn double(&self, address: usize) -> i32 {
        i32::from_le_bytes(std::array::from_fn(|index| self.memory[address + index]))
    }

    // The servo's own frame: encoder, direction, homing offset.

    fn homing(&self) -> f64 {
        if self.layout().homing_bytes == 2 {
            // Present position = encoder - offset (Feetech).
            -signed(self.word(self.layout().homing_at), 11)
        } else {
            // Present position = encoder + offset (Dynamixel).
            f64::from(self.double(self.layout().homing_at))
        }
    }

    /// Stores an offset, in ticks, that is taken off what the encoder says.
    pub(super) fn set_homing_offset(&mut self, ticks: f64) {
        let layout = self.layout();
        if layout.homing_bytes == 2 {
            self.set(layout.homing_at, &magnitude(ticks, 11).to_le_bytes());
        } else {
            self.set(layout.homing_at, &(-ticks as i32).to_le_bytes());
        }
    }

    fn backwards(&self) -> bool {
        self.model.is_dynamixel() && self.memory[10] & 1 == 1
    }

    fn turned(&self, encoder: f64) -> f64 {
        if self.backwards() {
            TICKS_PER_TURN - encoder
        } else {
            encoder
        }
    }

    /// Ticks of the whole turns that the servo leaves out of its positions.
    fn turns_left_out(&self) -> f64 {
        if self.model.tells_one_turn(&self.memory) {
            ((self.turned + self.homing()) / TICKS_PER_TURN).floor() * TICKS_PER_TURN
        } else {
            0.0
        }
    }

    /// Where the goal is on the encoder.
    pub(super) fn goal_encoder(&self) -> f64 {
        let layout = self.layout();
        let goal = if layout.goal_bytes == 2 {
            signed(self.word(layout.goal_at), 15)
        } else {
            f64::from(self.double(layout.goal_at))
        };
        let turned = goal - self.homing() + self.turns_left_out();
        if self.backwards() {
            TICKS_PER_TURN - turned
        } else {
            turned
        }
    }

    /// What the motor does, in the encoder's direction. Where something holds the horn back, `gap_ticks` is what is left of the way
    /// to the goal.
    pub(super) fn exert(&self, motor: Motor, ticks_per_s: f64, gap_ticks: Option<f64>) -> Effort {
        const RAD: f64 = std::f64::consts::TAU / TICKS_PER_TURN;
        let limit = f64::from(self.word(48)).min(1000.0) / 1000.0;
        motor.effort(ticks_per_s * RAD, gap_ticks.map(|gap| gap * RAD), limit)
    }

    /// The effort of a motor that exerts this share of its greatest torque.
    pub(super) fn strain(&self, torque: f64) -> Effort {
        Effort {
            duty: torque,
            torque,
            current_a: torque * self.model.stall_current_a(),
        }
    }

    /// Notes what the encoder and the motor say; the effort in the encoder's direction.
    pub(super) fn feel(&mut self, encoder: f64, ticks_per_s: f64, effort: Effort) {
        let sign = if self.backwards() { -1.0 } else { 1.0 };
        self.turned = self.turned(encoder.round());
        let tick = self.turned + self.homing() - self.turns_left_out();
        let effort = Effort {
            duty: effort.duty * sign,
            torque: effort.torque * sign,
            current_a: effort.current_a * sign,
        };
        let motion = self.motion(tick, ticks_per_s * sign, effort);
        self.model.measure(&mut self.memory, &motion);
        let complaints = motion.complaints & self.model.unloads_on(&self.memory);
        if complaints != 0 {
            let torque_at = self.layout().torque_at;
            self.memory[torque_at] = 0;
        }
        if self.model.is_dynamixel() {
            self.latched |= motion.complaints;
        }
    }

    fn motion(&self, tick: f64, ticks_per_s: f64, effort: Effort) -> Motion {
        let faults = &self.faults;
        let [heat, voltage, overload] = self.model.complaint_bits();
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let [lowest_dv, highest_dv] = self.model.supply_limits_dv(&self.memory);
        let unfit_supply = faults
            .supply_dv
            .is_some_and(|supply_dv| !(lowest_dv..=highest_dv).contains(&supply_dv));
        let voltage_v = match faults.supply_dv {
            _ if faults.undervoltage => 3.9,
            Some(supply_dv) => f64::from(supply_dv) / 10.0,
            None => 12.0,
        };
        Motion {
            tick,
            ticks_per_s,
            effort,
            voltage_v,
            temperature_c: if faults.overheating { 85 } else { 35 },
            moving: ticks_per_s.abs() > 1.0,
            complaints: bit(faults.overheating, heat)
                | bit(faults.undervoltage || unfit_supply, voltage)
                | bit(faults.overload, overload)
                | self.latched,
        }
    }

    // Instructions.

    /// What goes into the status byte besides an error number.
    fn status_bits(&self) -> u8 {
        let complaints = self.memory[if self.model.is_dynamixel() { 70 } else { 65 }];
        match (self.model.is_dynamixel(), complaints) {
            (false, complaints) => complaints,
            (true, 0) => 0,
            (true, _) => ALERT,
        }
    }

    /// Whether an instruction for `id` is for this servo, and whether it may answer it.
    pub(super) fn is_meant(&self, id: u8) -> Option<bool> {
        let secondary = self.model.is_dynamixel() && self.memory[12] == id && id < 253;
        if id == self.id() {
            Some(true)
        } else if id == BROADCAST || secondary {
            Some(false)
        } else {
            None
        }
    }

    /// Does what it is told and returns the status byte and the data of its answer.
    pub(super) fn obey(&mut self, action: &Action) -> (u8, Vec<u8>) {
        let (error, data) = match action {
            Action::Ping if self.model.is_dynamixel() => {
                let [low, high] = self.word(0).to_le_bytes();
                (0, vec![low, high, self.memory[6]])
            }
            Action::Ping => (0, vec![]),
            Action::Read { address, length } => self.read(*address, *length),
            Action::Write { address, data } => (self.write(*address, data), vec![]),
            Action::Register { address, data } => {
                self.registered = Some((*address, data.clone()));
                (0, vec![])
            }
            Action::Execute => match self.registered.take() {
                Some((address, data)) => (self.write(address, &data), vec![]),
                None => (INSTRUCTION, vec![]),
            },
            Action::Reboot => {
                self.power_cycle();
                (0, vec![])
            }
            Action::SyncRead { .. } | Action::SyncWrite { .. } | Action::Unknown => {
                (INSTRUCTION, vec![])
            }
        };
        // Feetech's status has no error numbers, only complaints.
        let error = if self.model.is_dynamixel() { error } else { 0 };
        (error | self.status_bits(), data)
    }

    pub(super) fn read(&self, address: usize, length: usize) -> (u8, Vec<u8>) {
        match self.memory.get(address..address + length) {
            Some(data) if length > 0 => (0, data.to_vec()),
            _ => (ACCESS, vec![]),
        }
    }

    pub(super) fn write(&mut self, address: usize, data: &[u8]) -> u8 {
        let layout = self.layout();
        let end = address + data.len();
        let touches = |start: usize, stop: usize| address < stop && start < end;
        if end > layout.size || layout.read_only.iter().any(|(a, b)| touches(*a, *b)) {
            return ACCESS;
        }
        let eeprom = address < layout.eeprom;
        if self.model.is_dynamixel() {
            if eeprom && self.memory[layout.torque_at] == 1 {
                return ACCESS;
            }
            if touches(layout.torque_at, layout.torque_at + 1) && self.must_stay_off() {
                return DATA_RANGE;
            }
        }
        let before = self.goal_raw();
        self.memory[address..end].copy_from_slice(data);
        if touches(layout.goal_at, layout.goal_at + layout.goal_bytes) {
            let [low, high] = layout.limits_at.map(|at| f64::from(self.word(at)));
            let goal = self.goal_raw();
            if self.model.is_dynamixel() && !(low..=high).contains(&goal) {
                self.put_goal(before);
                return DATA_LIMIT;
            }
            if !self.model.is_dynamixel() && low < high {
                self.put_goal(goal.clamp(low, high));
            }
        }
        // Feetech keeps EEPROM values only while the lock is open.
        if eeprom && (self.model.is_dynamixel() || self.memory[55] == 0) {
            self.saved[address..end].copy_from_slice(data);
        }
        0
    }

    fn goal_raw(&self) -> f64 {
        let layout = self.layout();
        if layout.goal_bytes == 2 {
            signed(self.word(layout.goal_at), 15)
        } else {
            f64::from(self.double(layout.goal_at))
        }
    }

    /// Whether a Dynamixel has shut itself down and waits for a reboot.
    fn must_stay_off(&self) -> bool {
        self.memory[70] & self.model.unloads_on(&self.memory) != 0
    }

    /// The part of a sync write that is for this servo.
    pub(super) fn sync_part<'a>(&self, parts: &'a [(u8, Vec<u8>)]) -> Option<&'a [u8]> {
        let own = parts.iter().find(|(id, _)| *id == self.id());
        own.or_else(|| parts.iter().find(|(id, _)| self.is_meant(*id).is_some()))
            .filter(|_| !self.faults.unplugged)
            .map(|(_, data)| data.as_slice())
    }

    pub(super) fn sync_read(&self, address: usize, length: usize) -> (u8, Vec<u8>) {
        let (error, data) = self.read(address, length);
        let error = if self.model.is_dynamixel() { error } else { 0 };
        (error | self.status_bits(), data)
    }
}
