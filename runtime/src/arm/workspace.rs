//! The part of an arm's file that says where its tool may be.

use std::fmt::Write as _;

use serde::Deserialize;
use toml::Spanned;
use wink_firmware::config::LinkGeometry;

use super::parse::{Checker, Field};
use super::{ArmDescription, ArmError};

const METRES: &str = ": is it in millimetres?";
/// Further than any table-top arm reaches.
const MOST_M: f64 = 10.0;

/// Where the tool may be, in the frame of the arm's base, and how fast it may be; infinite where the file does not say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workspace {
    /// Least coordinates, table and margin included, m.
    pub min_m: [f64; 3],
    /// Greatest coordinates, margin included, m.
    pub max_m: [f64; 3],
    /// Highest speed, m/s.
    pub tool_speed_m_s: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorkspace {
    /// Kept between the tool and every border.
    margin_m: Spanned<f64>,
    table_m: Option<Spanned<f64>>,
    min_m: Option<Spanned<[f64; 3]>>,
    max_m: Option<Spanned<[f64; 3]>>,
    tool_speed_m_s: Option<Spanned<f64>>,
}

impl Checker<'_> {
    pub fn workspace(&self, raw: &RawWorkspace) -> Result<Workspace, ArmError> {
        let part = "workspace";
        let margin = self
            .field(part, "margin_m", &raw.margin_m)
            .within(0.0, 0.5, METRES)?;
        let mut min_m = self.corner("min_m", raw.min_m.as_ref(), f64::NEG_INFINITY)?;
        let mut max_m = self.corner("max_m", raw.max_m.as_ref(), f64::INFINITY)?;
        if let Some(raw) = &raw.table_m {
            let table = self
                .field(part, "table_m", raw)
                .within(-MOST_M, MOST_M, METRES)?;
            min_m[2] = min_m[2].max(table);
        }
        min_m = min_m.map(|value| value + margin);
        max_m = max_m.map(|value| value - margin);
        for (min, max) in min_m.into_iter().zip(max_m) {
            if min >= max {
                return Err(ArmError::ReversedLimits {
                    line: self.line(&raw.margin_m),
                    part: part.to_owned(),
                    min_field: "min_m (or table_m) with its margin",
                    min,
                    max_field: "max_m with its margin",
                    max,
                });
            }
        }
        let tool_speed_m_s = raw
            .tool_speed_m_s
            .as_ref()
            .map_or(Ok(f64::INFINITY), |raw| {
                self.field(part, "tool_speed_m_s", raw)
                    .within(0.01, 10.0, ": is it in mm/s?")
            })?;
        Ok(Workspace {
            min_m,
            max_m,
            tool_speed_m_s,
        })
    }

    fn corner(
        &self,
        name: &'static str,
        raw: Option<&Spanned<[f64; 3]>>,
        otherwise: f64,
    ) -> Result<[f64; 3], ArmError> {
        let Some(raw) = raw else {
            return Ok([otherwise; 3]);
        };
        for &value in raw.get_ref() {
            let field = Field {
                part: "workspace",
                name,
                value,
                line: self.line(raw),
            };
            field.within(-MOST_M, MOST_M, METRES)?;
        }
        Ok(*raw.get_ref())
    }
}

impl ArmDescription {
    /// Where the tool may be; `None` for anywhere.
    #[must_use]
    pub const fn workspace(&self) -> Option<&Workspace> {
        self.workspace.as_ref()
    }

    /// The same for the firmware, with the joints between base and tool.
    pub(super) fn firmware_workspace(&self) -> Option<wink_firmware::config::Workspace> {
        let space = self.workspace?;
        let single = |values: [f64; 3]| values.map(|value| value as f32);
        let links = self.joints.iter().map(|joint| LinkGeometry {
            offset: single(joint.offset_m.into()),
            axis: single(joint.axis.into_inner().into()),
        });
        Some(wink_firmware::config::Workspace {
            links: links.collect(),
            tool: single(self.tool.translation.vector.into()),
            min: single(space.min_m),
            max: single(space.max_m),
            speed: space.tool_speed_m_s as f32,
        })
    }

    /// What `firmware_config` says of the workspace, as Rust source.
    pub(super) fn workspace_source(&self) -> String {
        let Some(space) = self.firmware_workspace() else {
            return "None".to_owned();
        };
        let triple = |values: [f32; 3]| {
            let [x, y, z] = values.map(super::firmware::number);
            format!("[{x}, {y}, {z}]")
        };
        let mut links = String::new();
        for link in &space.links {
            // Writing to a string does not fail.
            let _ = write!(
                links,
                "wink_firmware::config::LinkGeometry {{ offset: {}, axis: {} }}, ",
                triple(link.offset),
                triple(link.axis)
            );
        }
        format!(
            "Some(wink_firmware::config::Workspace {{ links: [{links}].into_iter().collect(), tool: {}, min: {}, max: {}, speed: {} }})",
            triple(space.tool),
            triple(space.min),
            triple(space.max),
            super::firmware::number(space.speed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SO101: &str = include_str!("../../../boards/arms/so101.toml");

    fn arm(table: &str) -> Result<ArmDescription, ArmError> {
        ArmDescription::from_toml(&format!("{SO101}\n[workspace]\n{table}"))
    }

    #[test]
    fn the_margin_narrows_table_and_box() {
        let arm = arm("margin_m = 0.01\ntable_m = -0.02\nmin_m = [-0.1, -0.3, -0.5]\nmax_m = [0.4, 0.3, 0.5]\ntool_speed_m_s = 0.5").unwrap();
        let space = arm.workspace().unwrap();
        let near = |found: [f64; 3], wanted: [f64; 3]| {
            found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12)
        };
        assert!(near(space.min_m, [-0.09, -0.29, -0.01]), "{space:?}");
        assert!(near(space.max_m, [0.39, 0.29, 0.49]), "{space:?}");
        let config = arm.firmware_config();
        config.check().unwrap();
        assert_eq!(config.workspace.unwrap().links.len(), 5);
        assert!(arm.firmware_source().contains("speed: 0.5 })"));
        assert_ne!(arm.hash(), ArmDescription::so101().hash());
    }

    #[test]
    fn what_makes_no_space_is_refused_with_its_line() {
        let cases = [
            ("table_m = 0.0", "margin_m"),
            ("margin_m = 12.0", "millimetres"),
            ("margin_m = 0.01\ntable_m = nan", "table_m"),
            (
                "margin_m = 0.2\ntable_m = 0.0\nmax_m = [1.0, 1.0, 0.3]",
                "not below",
            ),
            ("margin_m = 0.01\ntool_speed_m_s = 250.0", "mm/s"),
            ("margin_m = 0.01\nheight = 1.0", "height"),
        ];
        for (table, expected) in cases {
            let error = arm(table).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.starts_with("line "),
                "{table}: {error}"
            );
        }
    }
}
