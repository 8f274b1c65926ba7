//! The part of an arm's file that says what the firmware watches.

use serde::Deserialize;
use toml::Spanned;

use super::parse::{Checker, DEGREES, Field, PERCENT};
use super::{ArmError, Protection};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProtection {
    stall_load: Option<Spanned<f64>>,
    stall_current_a: Option<Spanned<f64>>,
    stall_error_rad: Option<Spanned<f64>>,
    stall_time_ms: Option<Spanned<u32>>,
    max_temperature_c: Option<Spanned<f64>>,
    min_voltage_v: Option<Spanned<f64>>,
    start_rad: Option<Spanned<f64>>,
    start_m: Option<Spanned<f64>>,
}

impl Checker<'_> {
    pub fn protection(&self, raw: &Spanned<RawProtection>) -> Result<Protection, ArmError> {
        let table = raw.get_ref();
        let field = |name, raw: &Option<Spanned<f64>>, otherwise, min, max, hint| match raw {
            Some(raw) => self.field("protection", name, raw).within(min, max, hint),
            None => Ok(otherwise),
        };
        let whole = table.stall_load.is_some() == table.stall_error_rad.is_some()
            && table.stall_load.is_some() == table.stall_time_ms.is_some()
            && (table.stall_load.is_some() || table.stall_current_a.is_none());
        if !whole {
            return Err(ArmError::StallInPart {
                line: self.line(raw),
            });
        }
        let off = Protection::OFF;
        let time = table.stall_time_ms.as_ref().map(|raw| {
            let value = f64::from(*raw.get_ref());
            let line = self.line(raw);
            Field {
                part: "protection",
                name: "stall_time_ms",
                value,
                line,
            }
            .within(1.0, 10_000.0, ": is it in microseconds?")
        });
        Ok(Protection {
            stall_load: field(
                "stall_load",
                &table.stall_load,
                off.stall_load,
                0.01,
                1.0,
                PERCENT,
            )?,
            stall_current_a: field(
                "stall_current_a",
                &table.stall_current_a,
                off.stall_current_a,
                0.01,
                100.0,
                ": is it in milliamperes?",
            )?,
            stall_error_rad: field(
                "stall_error_rad",
                &table.stall_error_rad,
                off.stall_error_rad,
                1e-3,
                std::f64::consts::PI,
                DEGREES,
            )?,
            stall_time_ms: time.transpose()?.map_or(off.stall_time_ms, |ms| ms as u32),
            max_temperature_c: field(
                "max_temperature_c",
                &table.max_temperature_c,
                off.max_temperature_c,
                20.0,
                150.0,
                "",
            )?,
            min_voltage_v: field(
                "min_voltage_v",
                &table.min_voltage_v,
                off.min_voltage_v,
                0.0,
                100.0,
                ": is it in millivolts?",
            )?,
            start_rad: field(
                "start_rad",
                &table.start_rad,
                off.start_rad,
                0.01,
                std::f64::consts::PI,
                DEGREES,
            )?,
            start_m: field(
                "start_m",
                &table.start_m,
                off.start_m,
                1e-3,
                1.0,
                ": is it in millimetres?",
            )?,
        })
    }
}
