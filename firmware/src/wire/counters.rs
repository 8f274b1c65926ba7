//! What happened since the board started, counted by reason.

/// Counts since the board started; each stops at its largest value rather than wrapping.
///
/// On the wire an array of numbers in the order of the fields, since names would be most of the
/// telemetry line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Setpoints accepted.
    pub accepted: u32,
    /// Lines (or garbage between them) that were no message: CRC, JSON, length.
    pub bad_lines: u32,
    /// Messages with a sequence number not after the last one.
    pub repeated: u32,
    /// Sequence numbers that never came.
    pub lost: u32,
    /// Setpoints with another number of joints than the arm's.
    pub joint_count: u32,
    /// Setpoints with NaN or infinity.
    pub not_finite: u32,
    /// Setpoints outside a joint's limits.
    pub out_of_range: u32,
    /// Setpoints read after their deadline.
    pub stale: u32,
    /// Setpoints with a deadline too far ahead.
    pub too_far_ahead: u32,
    /// Setpoints for which there was no room among those waiting for their time.
    pub queue_full: u32,
    /// Setpoints while the board was not to follow any.
    pub not_armed: u32,
    /// Commands refused: arming in a fault, clearing a fault that persists.
    pub refused: u32,
    /// Holds because setpoints stopped coming.
    pub starved: u32,
    /// Failed servo reads.
    pub servo_reads_failed: u32,
    /// Failed servo writes and torque switches.
    pub servo_writes_failed: u32,
    /// Accepted setpoints that repeated the target before, for want of an action.
    pub held: u32,
    /// Holds because setpoints repeated one target for too long.
    pub policy_late: u32,
    /// Accepted setpoints far from the arm at a start, approached slowly.
    pub far_starts: u32,
    /// Accepted setpoints with the tool outside of the workspace; the arm stops at its border.
    pub outside_workspace: u32,
    /// Times that the stop input became active.
    pub stops: u32,
}

impl Counters {
    /// Setpoints that were read whole and refused, all reasons together.
    #[must_use]
    pub fn rejected(&self) -> u32 {
        [
            self.joint_count,
            self.not_finite,
            self.out_of_range,
            self.stale,
            self.too_far_ahead,
            self.queue_full,
            self.not_armed,
        ]
        .into_iter()
        .fold(0, u32::saturating_add)
    }
}

impl Counters {
    /// How many there are.
    pub const COUNT: usize = 20;

    /// In the order of the wire.
    #[must_use]
    pub const fn to_array(self) -> [u32; Self::COUNT] {
        let c = self;
        [
            c.accepted,
            c.bad_lines,
            c.repeated,
            c.lost,
            c.joint_count,
            c.not_finite,
            c.out_of_range,
            c.stale,
            c.too_far_ahead,
            c.queue_full,
            c.not_armed,
            c.refused,
            c.starved,
            c.servo_reads_failed,
            c.servo_writes_failed,
            c.held,
            c.policy_late,
            c.far_starts,
            c.outside_workspace,
            c.stops,
        ]
    }

    /// From the order of the wire.
    #[must_use]
    pub const fn from_array(values: [u32; Self::COUNT]) -> Self {
        let [
            accepted,
            bad_lines,
            repeated,
            lost,
            joint_count,
            not_finite,
            out_of_range,
            stale,
            too_far_ahead,
            queue_full,
            not_armed,
            refused,
            starved,
            servo_reads_failed,
            servo_writes_failed,
            held,
            policy_late,
            far_starts,
            outside_workspace,
            stops,
        ] = values;
        Self {
            accepted,
            bad_lines,
            repeated,
            lost,
            joint_count,
            not_finite,
            out_of_range,
            stale,
            too_far_ahead,
            queue_full,
            not_armed,
            refused,
            starved,
            servo_reads_failed,
            servo_writes_failed,
            held,
            policy_late,
            far_starts,
            outside_workspace,
            stops,
        }
    }
}
