//! Checks of a policy's chunks before anything of them is executed.

use super::ControlError;
use crate::policy::{ActionChunk, ChunkShape};

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
    use crate::control::{ACTION_DIM, ACTION_NAMES};

    const SHAPE: ChunkShape = ChunkShape {
        steps: 4,
        execute: 2,
        dim: ACTION_DIM,
    };

    fn names() -> Vec<String> {
        ACTION_NAMES.map(str::to_owned).to_vec()
    }

    fn chunk() -> ActionChunk {
        let mut chunk = ActionChunk::default();
        chunk.reset(SHAPE.steps, SHAPE.dim);
        chunk
    }

    #[test]
    fn bad_chunks_are_refused_by_name() {
        assert_eq!(check_chunk(&chunk(), SHAPE, &names()), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut chunk = chunk();
            chunk.data[3 * ACTION_DIM + 2] = bad;
            let error = check_chunk(&chunk, SHAPE, &names()).unwrap_err();
            let told = format!("dz of step 3 is {bad}");
            assert!(error.to_string().contains(&told), "{error}");
        }
        let mut short = chunk();
        short.data.pop();
        assert!(matches!(
            check_chunk(&short, SHAPE, &names()),
            Err(ControlError::ChunkSize { values: 27, .. })
        ));
    }

    #[test]
    fn shapes_that_cannot_be_executed_are_refused() {
        assert_eq!(check_shape(SHAPE, &names()), Ok(()));
        let error = check_shape(ChunkShape { dim: 6, ..SHAPE }, &names()).unwrap_err();
        assert!(
            matches!(error, ControlError::ActionDim { found: 6, .. }),
            "{error}"
        );
        for execute in [0, 5] {
            let error = check_shape(ChunkShape { execute, ..SHAPE }, &names()).unwrap_err();
            assert_eq!(error, ControlError::Execute { execute, steps: 4 });
        }
    }
}
