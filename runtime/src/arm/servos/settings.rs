//! Registers that an arm's file asks for.

use wink_firmware::servo::serial::{ServoModel, Setting};
use wink_firmware::servo::{dynamixel, feetech};

use super::{Part, RawServo, RawServos};
use crate::arm::ArmError;
use crate::arm::parse::Checker;

impl Checker<'_> {
    pub(super) fn settings(
        &self,
        all: &RawServos,
        part: &Part,
        raw: &RawServo,
        model: ServoModel,
    ) -> Result<Vec<Setting>, ArmError> {
        let mut settings = Vec::new();
        let mut set = |address: u16, bytes: u8, value: u32| {
            settings.push(Setting {
                address,
                bytes,
                value,
            });
        };
        let most_gain = if model.is_dynamixel() {
            16_383.0
        } else {
            254.0
        };
        for (name, gain, feetech_at, dynamixel_at) in [
            ("p_gain", &all.p_gain, feetech::P_GAIN, dynamixel::P_GAIN),
            (
                "d_gain",
                &all.d_gain,
                feetech::P_GAIN + 1,
                dynamixel::P_GAIN - 4,
            ),
            (
                "i_gain",
                &all.i_gain,
                feetech::P_GAIN + 2,
                dynamixel::P_GAIN - 2,
            ),
        ] {
            let Some(gain) = gain else { continue };
            let value = self.field("servos", name, gain).whole(0.0, most_gain, "")? as u32;
            if model.is_dynamixel() {
                set(dynamixel_at, 2, value);
            } else {
                set(feetech_at, 1, value);
            }
        }
        if let Some(offset) = &raw.homing_offset {
            let most = if model.is_dynamixel() {
                1_044_479.0
            } else {
                2_047.0
            };
            let field = self.field(&part.name, "homing_offset", offset);
            let ticks = field.whole(-most, most, "")?;
            if model.is_dynamixel() {
                set(dynamixel::HOMING_OFFSET, 4, (ticks as i32).cast_unsigned());
            } else {
                let register = feetech::homing_offset(ticks as i16);
                set(feetech::HOMING_OFFSET, 2, register.into());
            }
        }
        for (name, feetech_at, dynamixel_at, raw) in [
            (
                "min_tick",
                feetech::MIN_POSITION,
                dynamixel::MAX_POSITION + 4,
                &raw.min_tick,
            ),
            (
                "max_tick",
                feetech::MIN_POSITION + 2,
                dynamixel::MAX_POSITION,
                &raw.max_tick,
            ),
        ] {
            let Some(raw) = raw else { continue };
            let tick = self.field(&part.name, name, raw).finite()? as u32;
            if model.is_dynamixel() {
                set(dynamixel_at, 4, tick);
            } else {
                set(feetech_at, 2, tick);
            }
        }
        for (name, raw, bounds, address, bytes, units) in [
            (
                "protection_current_a",
                &raw.protection_current_a,
                [0.1, 3.25],
                feetech::PROTECTION_CURRENT,
                2,
                1.0 / 0.0065,
            ),
            (
                "overload_torque",
                &raw.overload_torque,
                [0.01, 1.0],
                feetech::OVERLOAD_TORQUE,
                1,
                100.0,
            ),
        ] {
            let Some(raw) = raw else { continue };
            if model.is_dynamixel() {
                let message = format!(
                    "{name} is for Feetech's servos (feetech_sts3215), a Dynamixel does not have it: leave it out"
                );
                return Err(part.wrong(self.line(raw), &message));
            }
            let [min, max] = bounds;
            let value = self.field(&part.name, name, raw).within(min, max, "")?;
            set(address, bytes, (value * units).round() as u32);
        }
        Ok(settings)
    }
}
