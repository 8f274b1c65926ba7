//! Samples for a bare graph: arrays that stack many of them, in one file or several.

use std::collections::BTreeMap;

use anyhow::Result;
use wink_engine::{Tensor, TensorInfo, TensorSpec, View};
use wink_quantize::Sample;

use crate::bad_input::bad_input;

/// Cuts the arrays of a file into samples for the inputs of a graph.
///
/// An array has the shape of its input, or one axis more in front, or more rows along a first axis of size 1: then it stacks
/// samples. All arrays of a file stack the same number.
pub fn cut(inputs: &[TensorInfo], arrays: BTreeMap<String, Tensor>) -> Result<Vec<Sample>> {
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    if let Some(extra) = arrays.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(bad_input(format!(
            "holds \"{extra}\", which is no input; the inputs are {}",
            names.join(", ")
        )));
    }
    let mut count = None;
    let mut pieces: BTreeMap<&str, (TensorSpec, usize)> = BTreeMap::new();
    for input in inputs {
        let Some(array) = arrays.get(&input.name) else {
            return Err(bad_input(format!(
                "lacks \"{}\"; the inputs are {}",
                input.name,
                names.join(", ")
            )));
        };
        let spec = array.spec();
        if spec.element.name() != input.element {
            return Err(bad_input(format!(
                "\"{}\" is of {}, the input is of {}",
                input.name, spec.element, input.element
            )));
        }
        let Some((shape, samples)) = split(&input.shape, &spec.shape) else {
            return Err(bad_input(format!(
                "\"{}\" has the shape {:?}, which does not stack inputs of {input}",
                input.name, spec.shape
            )));
        };
        if *count.get_or_insert(samples) != samples {
            return Err(bad_input(format!(
                "\"{}\" stacks {samples} samples, other arrays {}",
                input.name,
                count.unwrap_or(0)
            )));
        }
        pieces.insert(&input.name, (TensorSpec::new(spec.element, &shape), samples));
    }
    (0..count.unwrap_or(0))
        .map(|index| {
            inputs
                .iter()
                .map(|input| {
                    let (spec, _) = &pieces[input.name.as_str()];
                    let bytes = spec.bytes().unwrap_or(0);
                    let all = arrays[&input.name].view().bytes();
                    let piece = &all[index * bytes..(index + 1) * bytes];
                    let view = View::new(spec.element, &spec.shape, piece)?;
                    Ok((input.name.clone(), Tensor::copy_of(view)?))
                })
                .collect()
        })
        .collect()
}

/// The shape of one sample and the number of samples in an array; `None` for axes that are open in the graph.
fn split(input: &[Option<u64>], array: &[usize]) -> Option<(Vec<usize>, usize)> {
    let fits = |shape: &[usize]| {
        shape.len() == input.len()
            && shape
                .iter()
                .zip(input)
                .all(|(found, wanted)| wanted.is_none_or(|wanted| wanted == *found as u64))
    };
    if fits(array) && !(input.first() == Some(&None) && array.first().is_some_and(|n| *n != 1)) {
        return Some((array.to_vec(), 1));
    }
    let (&count, rest) = array.split_first()?;
    if fits(rest) {
        return Some((rest.to_vec(), count));
    }
    let one: Vec<usize> = [&[1], rest].concat();
    fits(&one).then_some((one, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_stacked_along_the_first_axis_or_a_new_one() {
        let fixed = [Some(1), Some(3)];
        for (array, wanted) in [
            (&[1, 3][..], Some((vec![1, 3], 1))),
            (&[5, 3], Some((vec![1, 3], 5))),
            (&[5, 1, 3], Some((vec![1, 3], 5))),
            (&[5, 2, 3], None),
            (&[5, 4], None),
            (&[3], None),
        ] {
            assert_eq!(split(&fixed, array), wanted, "{array:?}");
        }
        // An open first axis is a batch: each row is a sample of its own.
        assert_eq!(split(&[None, Some(3)], &[5, 3]), Some((vec![1, 3], 5)));
        assert_eq!(split(&[Some(4)], &[7, 4]), Some((vec![4], 7)));
        assert_eq!(split(&[], &[7]), Some((vec![], 7)));
    }
}
