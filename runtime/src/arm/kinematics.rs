//! Where the links are: forward kinematics and its derivative.

use nalgebra::{Isometry3, SMatrix, Translation3, UnitQuaternion, Vector3};
use wink_firmware::MAX_JOINTS;

use super::{ArmDescription, MOST_JOINTS};

/// Frames of the base and of each joint after its rotation, from the base outwards.
pub type LinkPoses = heapless::Vec<Isometry3<f64>, MAX_JOINTS>;

/// Derivative of the tool's pose: rows are linear (m/rad) then angular (rad/rad) velocity in base axes, one column a joint.
/// Columns past the arm's joints are zero.
pub type Jacobian = SMatrix<f64, 6, MOST_JOINTS>;

impl ArmDescription {
    /// The tool (the point between the fingertips, x along the gripper) in the base, at joint
    /// angles `angles` (rad), one for each of the arm's joints.
    #[must_use]
    pub fn forward(&self, angles: &[f64]) -> Isometry3<f64> {
        self.joints()
            .iter()
            .zip(angles)
            .fold(Isometry3::identity(), |pose, (joint, angle)| {
                pose * Translation3::from(joint.offset_m)
                    * UnitQuaternion::from_axis_angle(&joint.axis, *angle)
            })
            * self.tool()
    }

    /// The frames of all links in the base, at joint angles `angles` (rad): the base itself
    /// (identity), then each joint's frame after its rotation.
    #[must_use]
    pub fn link_poses(&self, angles: &[f64]) -> LinkPoses {
        let base = Isometry3::identity();
        let outwards = self.joints().iter().zip(angles);
        let links = outwards.scan(base, |pose, (joint, angle)| {
            *pose = *pose
                * Translation3::from(joint.offset_m)
                * UnitQuaternion::from_axis_angle(&joint.axis, *angle);
            Some(*pose)
        });
        std::iter::once(base).chain(links).collect()
    }

    /// The tool in the base and the geometric [`Jacobian`] there.
    #[must_use]
    pub fn forward_and_jacobian(&self, angles: &[f64]) -> (Isometry3<f64>, Jacobian) {
        let links = self.link_poses(angles);
        let tool = links.last().copied().unwrap_or_default() * self.tool();
        let mut jacobian = Jacobian::zeros();
        for (index, (joint, link)) in self.joints().iter().zip(links.iter().skip(1)).enumerate() {
            let axis: Vector3<f64> = link.rotation * joint.axis.into_inner();
            let lever = tool.translation.vector - link.translation.vector;
            jacobian
                .fixed_view_mut::<3, 1>(0, index)
                .copy_from(&axis.cross(&lever));
            jacobian.fixed_view_mut::<3, 1>(3, index).copy_from(&axis);
        }
        (tool, jacobian)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use super::*;

    #[test]
    fn home_points_the_gripper_down_where_the_manufacturers_model_has_it() {
        let arm = ArmDescription::wx250s();
        let tool = arm.forward(&[0.0, 0.0, 0.0, 0.0, FRAC_PI_2, 0.0]);
        // With the base 0.1 m above the table this is 0.302 m above the table.
        let expected = Vector3::new(0.299_75, 0.0, 0.202_075);
        assert!(
            (tool.translation.vector - expected).norm() < 1e-12,
            "{tool}"
        );
        assert!(
            (tool.rotation * Vector3::x() + Vector3::z()).norm() < 1e-12,
            "{tool}"
        );
        assert_eq!(arm.home(), [0.0, 0.0, 0.0, 0.0, FRAC_PI_2, 0.0]);
    }

    #[test]
    fn straight_ahead_adds_up_the_offsets() {
        let tool = ArmDescription::wx250s().forward(&[0.0; 6]);
        let expected = Vector3::new(
            0.04975 + 0.175 + 0.075 + 0.065 + 0.093_575,
            0.0,
            0.072 + 0.03865 + 0.25,
        );
        assert!(
            (tool.translation.vector - expected).norm() < 1e-12,
            "{tool}"
        );
        assert!(tool.rotation.angle() < 1e-12);
    }

    #[test]
    fn the_waist_turns_the_arm_to_the_left() {
        let tool = ArmDescription::wx250s().forward(&[FRAC_PI_2, 0.0, 0.0, 0.0, FRAC_PI_2, 0.0]);
        assert!(
            (tool.translation.vector - Vector3::new(0.0, 0.299_75, 0.202_075)).norm() < 1e-12,
            "{tool}"
        );
    }

    #[test]
    fn link_poses_start_at_the_base_and_end_before_the_tool() {
        let arm = ArmDescription::wx250s();
        let angles = [0.3, -0.4, 0.5, 0.6, -0.7, 0.8];
        let links = arm.link_poses(&angles);
        assert_eq!(links[0], Isometry3::identity());
        assert!((links[1].translation.vector - Vector3::new(0.0, 0.0, 0.072)).norm() < 1e-12);
        let tool = links[6] * arm.tool();
        assert!((tool.translation.vector - arm.forward(&angles).translation.vector).norm() < 1e-12);
        assert!(tool.rotation.angle_to(&arm.forward(&angles).rotation) < 1e-7);
    }

    #[test]
    fn the_jacobian_is_the_derivative_of_the_pose() {
        const STEP: f64 = 1e-6;
        let arm = ArmDescription::wx250s();
        let angles = [0.3, -0.4, 0.5, 0.6, -0.7, 0.8];
        let (_, jacobian) = arm.forward_and_jacobian(&angles);
        for joint in 0..6 {
            let (mut low, mut high) = (angles, angles);
            low[joint] -= STEP;
            high[joint] += STEP;
            let (low, high) = (arm.forward(&low), arm.forward(&high));
            let linear = (high.translation.vector - low.translation.vector) / (2.0 * STEP);
            let angular = (high.rotation * low.rotation.inverse()).scaled_axis() / (2.0 * STEP);
            let column = jacobian.column(joint);
            assert!(
                (column.fixed_rows::<3>(0) - linear).norm() < 1e-8,
                "joint {joint}"
            );
            assert!(
                (column.fixed_rows::<3>(3) - angular).norm() < 1e-8,
                "joint {joint}"
            );
        }
    }
}
