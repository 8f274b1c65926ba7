//! Chunks of actions in, joint targets out.

use super::ControlError;
use super::action_space::{ActionSpace, Step};
use crate::policy::{ActionChunk, ChunkShape};

/// Executes chunks: the action that is due, as its action space understands it.
#[derive(Debug, Clone)]
pub struct Controller {
    space: Box<dyn ActionSpace>,
    shape: ChunkShape,
    chunk: ActionChunk,
    /// The next action of the chunk; `None` where a new chunk is needed.
    next: Option<usize>,
}

impl Controller {
    /// Starts an episode with an arm that is `measured` on the wire (rad, m of one finger): chunks of `shape` are expected.
    /// Room for them is made here.
    ///
    /// # Errors
    /// When actions have not as many values as their space, or `execute` is not between 1 and `steps`.
    pub fn begin(
        mut space: Box<dyn ActionSpace>,
        measured: &[f64],
        shape: ChunkShape,
    ) -> Result<Self, ControlError> {
        check_shape(shape, space.names())?;
        space.begin(measured);
        let mut chunk = ActionChunk::default();
        chunk.reset(shape.steps, shape.dim);
        Ok(Self {
            space,
            shape,
            chunk,
            next: None,
        })
    }

    /// Whether the chunk is executed as far as it shall be.
    #[must_use]
    pub fn needs_chunk(&self) -> bool {
        self.next.is_none()
    }

    /// Where the policy writes its next chunk. What was in there is not executed any more.
    pub fn chunk_mut(&mut self) -> &mut ActionChunk {
        self.next = None;
        &mut self.chunk
    }

    /// Checks the chunk that was written and makes it the one to execute. It was made for the joints `observed` on the wire.
    ///
    /// # Errors
    /// When its size is not the announced one, or any of its values is not finite.
    pub fn accept_chunk(&mut self, observed: &[f64]) -> Result<(), ControlError> {
        self.next = None;
        check_chunk(&self.chunk, self.shape, self.space.names())?;
        self.space.ground(observed, &mut self.chunk.data);
        self.next = Some(0);
        Ok(())
    }

    /// Executes the next action of the chunk.
    ///
    /// # Errors
    /// When there is none.
    pub fn step(&mut self) -> Result<Step, ControlError> {
        let index = self.next.ok_or(ControlError::NoAction)?;
        let action = self.chunk.step(index).ok_or(ControlError::NoAction)?;
        self.next = Some(index + 1).filter(|&next| next < self.shape.execute);
        self.space.act(action)
    }

    /// What actions mean, with the targets that the last one led to.
    #[must_use]
    pub fn space(&self) -> &dyn ActionSpace {
        &*self.space
    }
}

/// Checks that chunks of this shape can be executed as actions of these names.
///
/// # Errors
/// When actions have not as many values, or `execute` is not between 1 and `steps`.
pub fn check_shape(shape: ChunkShape, names: &[String]) -> Result<(), ControlError> {
    if shape.dim != names.len() {
        return Err(ControlError::ActionDim {
            found: shape.dim,
            names: names.to_vec(),
        });
    }
    if shape.execute == 0 || shape.execute > shape.steps {
        return Err(ControlError::Execute {
            execute: shape.execute,
            steps: shape.steps,
        });
    }
    Ok(())
}

/// Checks a chunk that was written.
///
/// # Errors
/// When its size is not the announced one, or any of its values is not finite.
pub fn check_chunk(
    chunk: &ActionChunk,
    shape: ChunkShape,
    names: &[String],
) -> Result<(), ControlError> {
    let ActionChunk { steps, dim, data } = chunk;
    if (*steps, *dim, data.len()) != (shape.steps, shape.dim, shape.steps * shape.dim) {
        return Err(ControlError::ChunkSize {
            values: data.len(),
            steps: *steps,
            dim: *dim,
            expected_steps: shape.steps,
            expected_dim: shape.dim,
        });
    }
    match data.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(ControlError::NotFinite {
            step: Some(index / shape.dim),
            name: names[index % shape.dim].clone(),
            value: data[index],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::ArmDescription;
    use crate::control::{ACTION_DIM, EeDelta, on_a_table};

    const SHAPE: ChunkShape = ChunkShape {
        steps: 4,
        execute: 2,
        dim: ACTION_DIM,
    };

    fn begun(shape: ChunkShape) -> Result<Controller, ControlError> {
        let arm = ArmDescription::wx250s();
        let space = Box::new(EeDelta::new(&arm, &on_a_table()));
        Controller::begin(space, &arm.wire_home(), shape)
    }

    #[test]
    fn of_a_chunk_as_many_actions_are_executed_as_the_policy_says() {
        let mut controller = begun(SHAPE).unwrap();
        assert_eq!(controller.step(), Err(ControlError::NoAction));
        for _ in 0..3 {
            assert!(controller.needs_chunk());
            for (index, value) in controller.chunk_mut().data.iter_mut().enumerate() {
                *value = index as f32 / 100.0;
            }
            controller.accept_chunk(&[]).unwrap();
            for step in 0..2 {
                assert!(!controller.needs_chunk());
                let action = controller.step().unwrap().action;
                let expected: [f32; ACTION_DIM] =
                    std::array::from_fn(|index| (step * ACTION_DIM + index) as f32 / 100.0);
                assert_eq!(action, expected);
            }
        }
        assert!(controller.needs_chunk());
        assert_eq!(controller.step(), Err(ControlError::NoAction));
    }

    #[test]
    fn bad_chunks_are_refused_by_name_and_nothing_of_them_is_executed() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut controller = begun(SHAPE).unwrap();
            let before = *controller.space().targets();
            controller.chunk_mut().data[3 * ACTION_DIM + 2] = bad;
            let error = controller.accept_chunk(&[]).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&format!("dz of step 3 is {bad}")),
                "{error}"
            );
            assert_eq!(controller.step(), Err(ControlError::NoAction));
            assert_eq!(*controller.space().targets(), before);
        }
        let mut controller = begun(SHAPE).unwrap();
        controller.chunk_mut().data.pop();
        assert!(matches!(
            controller.accept_chunk(&[]),
            Err(ControlError::ChunkSize { values: 27, .. })
        ));
    }

    #[test]
    fn shapes_that_cannot_be_executed_are_refused() {
        let error = begun(ChunkShape { dim: 6, ..SHAPE }).unwrap_err();
        assert!(
            matches!(error, ControlError::ActionDim { found: 6, .. }),
            "{error}"
        );
        for execute in [0, 5] {
            let error = begun(ChunkShape { execute, ..SHAPE }).unwrap_err();
            assert_eq!(error, ControlError::Execute { execute, steps: 4 });
        }
    }
}
