//! What the operator sees.

use wink_runtime::arm::ArmDescription;

use crate::arm::joints;

/// How things stand, as the loop wrote it last.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// In a word: running, held, a person, parking.
    pub state: &'static str,
    /// Why it is held, or what was said last.
    pub notice: String,
    /// What the policy was told.
    pub instruction: String,
    /// Speed scale.
    pub speed: f64,
    /// Ticks a second: now, mean wanted, worst.
    pub hz: [f64; 3],
    /// Part of the deadlines that were met.
    pub met: f64,
    /// Longest time between two ticks, ms.
    pub longest_gap_ms: f64,
    /// Measure, capture, policy, control, link: ms, of the last tick at which each happened.
    pub stages_ms: [f64; 5],
    /// Of the oldest frame that the policy saw last, ms.
    pub frame_age_ms: Option<f64>,
    /// The link's mean round trip, ms.
    pub round_trip_ms: Option<f64>,
    /// Late ticks in words.
    pub late: String,
    /// Joint, unit, position, target, lowest, highest.
    pub joints: Vec<JointLine>,
    /// The recording, and what is wrong with it.
    pub recording: String,
}

/// A joint as the operator sees it.
#[derive(Debug, Clone, Default)]
pub struct JointLine {
    pub name: String,
    pub unit: &'static str,
    pub position: f64,
    pub target: f64,
    pub min: f64,
    pub max: f64,
}

/// A line for each joint of an arm.
pub fn joint_lines(arm: &ArmDescription) -> Vec<JointLine> {
    let all = joints(arm);
    let lines = all.iter().map(|joint| JointLine {
        name: joint.name.to_owned(),
        unit: joint.unit,
        min: joint.min,
        max: joint.max,
        ..JointLine::default()
    });
    lines.collect()
}

const WIDTH: usize = 24;

impl Status {
    /// Lines of text.
    pub fn lines(&self) -> Vec<String> {
        let [now, wanted, worst] = self.hz;
        let mut lines = vec![
            format!("{:<10} \"{}\"", self.state.to_uppercase(), self.instruction),
            self.notice.clone(),
            format!(
                "{now:5.1} Hz of {wanted:.1}, worst {worst:.1}   deadlines met {:.2}%   longest gap {:.0} ms   speed {:.0}%",
                self.met * 100.0,
                self.longest_gap_ms,
                self.speed * 100.0
            ),
            {
                let [measure, capture, policy, control, link] = self.stages_ms;
                format!(
                    "ms: measure {measure:.1}  capture {capture:.1}  policy {policy:.1}  control {control:.1}  link {link:.1}   frame age {}   round trip {}",
                    or_dash(self.frame_age_ms),
                    or_dash(self.round_trip_ms)
                )
            },
            format!("late ticks: {}", self.late),
            String::new(),
        ];
        for joint in &self.joints {
            lines.push(format!(
                "  {:<14}{:>9.3} -> {:>8.3} {:<4}[{}] {:>7.3} .. {:.3}",
                joint.name,
                joint.position,
                joint.target,
                joint.unit,
                bar(joint),
                joint.min,
                joint.max
            ));
        }
        lines.push(String::new());
        lines.push(self.recording.clone());
        lines
    }
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

/// Where a joint is within its limits.
fn bar(joint: &JointLine) -> String {
    let part = (joint.position - joint.min) / (joint.max - joint.min);
    let place = (part.clamp(0.0, 1.0) * (WIDTH - 1) as f64).round() as usize;
    (0..WIDTH)
        .map(|at| if at == place { '#' } else { '.' })
        .collect()
}
