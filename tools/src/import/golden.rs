//! Golden values of an imported package: what it is fed with, and what must come of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use wink_engine::{OnnxElement as Element, Value};
use wink_runtime::policy::manifest::{FileRecord, Manifest, MaskElement, TokenElement};

use super::options::Args;
use super::values::SAMPLE;
use crate::bad_input::{as_bad_input, bad_input};
use crate::values::npz;

/// The file of the package.
const FILE: &str = "golden.json";
/// Name of the numbers that a loop's noise is taken from.
const NOISE: &str = "noise";
/// Name of the whole action, in units.
const ACTION: &str = "action";
/// More numbers of an input lie in a file of their own.
const MOST_LISTED: usize = 1024;
/// Numbers of a value that are compared.
const MOST_COMPARED: usize = 4096;
/// From here on a number masks a score, and is no scale of the others.
const MASKING: f64 = 1e30;

/// Golden values that were read, and files that belong to them.
pub struct Golden {
    content: Json,
    files: BTreeMap<String, Vec<u8>>,
}

/// A value that the policy is fed with.
struct Feed {
    name: String,
    element: Element,
    shape: Vec<usize>,
}

/// What a tensor of `--golden` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    Feed(usize),
    Noise,
}

/// Reads `--golden` and `--expect` for this package; `None` where they are not given.
///
/// # Errors
/// Where a file cannot be read, or a tensor is missing, is none of the policy's, or has another type or shape.
pub fn read(args: &Args, manifest: &Manifest) -> Result<Option<Golden>> {
    let (Some(given), Some(expected)) = (&args.golden, &args.expect) else {
        return Ok(None);
    };
    if !(args.tolerance.is_finite() && args.tolerance > 0.0) {
        return Err(bad_input(format!(
            "--tolerance {}: must be above 0",
            args.tolerance
        )));
    }
    let mut golden = Golden {
        content: json!({"reference": format!("given by {}", file_name(expected))}),
        files: BTreeMap::new(),
    };
    let mut values = golden.read_inputs(given, args.instruction.as_deref(), manifest)?;
    let outputs = read_outputs(expected, args.tolerance, manifest)?;
    let action = outputs.get(ACTION).cloned();
    values.extend(outputs.into_iter().filter(|(name, _)| name != ACTION));
    let mut part = json!({"values": values});
    if let Some(action) = action {
        part[ACTION] = action;
    }
    golden.content["precisions"] = json!({args.precision.clone(): part});
    Ok(Some(golden))
}

impl Golden {
    /// Writes its files into the package and lists them.
    ///
    /// # Errors
    /// Where one cannot be written.
    pub fn add(mut self, manifest: &mut Manifest, out: &Path) -> Result<()> {
        let content = serde_json::to_string_pretty(&self.content)? + "\n";
        self.files.insert(FILE.to_owned(), content.into_bytes());
        for (name, bytes) in self.files {
            std::fs::write(out.join(&name), &bytes).with_context(|| name.clone())?;
            manifest.files.insert(name, FileRecord::of(&bytes));
        }
        manifest.golden = Some(FILE.to_owned());
        Ok(())
    }

    /// Takes in the tensors that the policy is fed with. Gives what is not fed but compared: the mask, where the tokenizer makes it.
    fn read_inputs(
        &mut self,
        path: &Path,
        instruction: Option<&str>,
        manifest: &Manifest,
    ) -> Result<BTreeMap<String, Json>> {
        let feeds = feeds(manifest);
        let looped = manifest.stages.iter().any(|stage| {
            let mut read = stage.inputs.values();
            read.any(|value| value == SAMPLE)
        });
        let wrong = |message: String| bad_input(format!("{}: {message}", path.display()));
        let text = manifest.observations.text.as_ref();
        let mask = text.and_then(|text| text.mask.as_ref());
        match (instruction, text) {
            (Some(_), None) => return Err(bad_input("--instruction: the policy reads no text")),
            (Some(instruction), Some(_)) => self.content["instruction"] = instruction.into(),
            (None, _) => {}
        }
        let mut found: Vec<(Meant, String)> = Vec::new();
        let mut compared = BTreeMap::new();
        for (name, value) in npz::read(path).map_err(as_bad_input)? {
            let meant = meaning(&name, manifest, &feeds, looped).ok_or_else(|| {
                let known = feeds.iter().map(|feed| feed.name.as_str());
                let known: Vec<&str> = known.chain(looped.then_some(NOISE)).collect();
                wrong(format!(
                    "\"{}\" is nothing that the policy is fed with; it is fed with {}",
                    name.escape_debug(),
                    known.join(", ")
                ))
            })?;
            if let Some((_, first)) = found.iter().find(|(known, _)| *known == meant) {
                return Err(wrong(format!("\"{first}\" and \"{name}\" are one value")));
            }
            found.push((meant, name.clone()));
            let Meant::Feed(index) = meant else {
                if value.element != Element::F32 {
                    return Err(wrong(format!("\"{name}\" is {}, not f32", value.element)));
                }
                self.content["noise"] = json!({"values": finite(path, &name, &value)?});
                continue;
            };
            let feed = &feeds[index];
            if (value.element, &value.shape) != (feed.element, &feed.shape) {
                return Err(wrong(format!(
                    "\"{}\" is {}{:?}, the policy takes {}{:?}",
                    name.escape_debug(),
                    value.element,
                    value.shape,
                    feed.element,
                    feed.shape
                )));
            }
            if text.is_some_and(|text| text.name == feed.name) {
                self.content["tokens"] = integers(&value).into();
            } else if instruction.is_some() && mask.is_some_and(|mask| mask.name == feed.name) {
                let whole = json!({"shape": feed.shape, "every": 1, "values": numbers(&value), "tolerance": 0.0});
                compared.insert(feed.name.clone(), whole);
            } else {
                let input = self.input(path, feed, &value)?;
                self.content["inputs"][&feed.name] = input;
            }
        }
        let given = |place: usize| found.iter().any(|(meant, _)| *meant == Meant::Feed(place));
        let of_text = |feed: &Feed| {
            text.is_some_and(|text| text.name == feed.name)
                || mask.is_some_and(|mask| mask.name == feed.name)
        };
        let missing = feeds
            .iter()
            .enumerate()
            .find(|(place, feed)| !(given(*place) || instruction.is_some() && of_text(feed)));
        if let Some((_, feed)) = missing {
            let advice = match of_text(feed) {
                true => "; give it, or --instruction",
                false => "",
            };
            return Err(wrong(format!(
                "lacks \"{}\" {}{:?}, which the policy is fed with{advice}",
                feed.name, feed.element, feed.shape
            )));
        }
        if looped && !found.iter().any(|(meant, _)| *meant == Meant::Noise) {
            return Err(wrong(format!(
                "lacks \"{NOISE}\", the numbers that the loop draws, in their order"
            )));
        }
        Ok(compared)
    }

    /// An input as the file holds it; one of many numbers goes to a file of its own.
    fn input(&mut self, path: &Path, feed: &Feed, value: &Value<'_>) -> Result<Json> {
        if value.element != Element::F32 {
            return Ok(json!({"shape": feed.shape, "values": numbers(value)}));
        }
        let values = finite(path, &feed.name, value)?;
        if values.len() <= MOST_LISTED {
            return Ok(json!({"shape": feed.shape, "values": values}));
        }
        let name = format!("golden-{}.bin", self.files.len());
        let bytes = values.iter().flat_map(|number| number.to_le_bytes());
        self.files.insert(name.clone(), bytes.collect());
        Ok(json!({"shape": feed.shape, "file": name}))
    }
}

/// What `--expect` holds, by the name that golden values have.
fn read_outputs(
    path: &Path,
    tolerance: f64,
    manifest: &Manifest,
) -> Result<BTreeMap<String, Json>> {
    let wrong = |message: String| bad_input(format!("{}: {message}", path.display()));
    let known = outputs(manifest);
    let mut values = BTreeMap::new();
    for (name, value) in npz::read(path).map_err(as_bad_input)? {
        let fitting = known
            .iter()
            .filter(|(whole, tensor)| *whole == name || *tensor == name);
        let names: Vec<&str> = fitting.map(|(whole, _)| whole.as_str()).collect();
        let whole = match names[..] {
            _ if name == ACTION => ACTION,
            [one] => one,
            [] => {
                let known: Vec<&str> = known.iter().map(|(whole, _)| whole.as_str()).collect();
                return Err(wrong(format!(
                    "\"{}\" is nothing that the policy computes; it computes {ACTION}, {}",
                    name.escape_debug(),
                    known.join(", ")
                )));
            }
            _ => {
                return Err(wrong(format!(
                    "\"{name}\" could be {}; name it in full",
                    names.join(" or ")
                )));
            }
        };
        if !value.element.is_float() {
            return Err(wrong(format!("\"{name}\" is {}, not f32", value.element)));
        }
        let mut shape = value.shape.clone();
        let numbers = finite(path, &name, &value)?;
        let scale = numbers.iter().map(|number| f64::from(number.abs()));
        let scale = scale.filter(|size| *size < MASKING).fold(1.0, f64::max);
        let every = match whole {
            ACTION => 1,
            _ => numbers.len().div_ceil(MOST_COMPARED).max(1),
        };
        let kept: Vec<f32> = numbers.into_iter().step_by(every).collect();
        let mut content = json!({"values": kept, "tolerance": tolerance * scale});
        if whole == ACTION {
            let action = &manifest.action;
            if let [1, steps, dim] = shape[..] {
                shape = vec![steps, dim];
            }
            if shape != [action.chunk, action.names.len()] {
                return Err(wrong(format!(
                    "\"{ACTION}\" has the shape {shape:?}, the policy gives {} steps of {} numbers",
                    action.chunk,
                    action.names.len()
                )));
            }
        } else {
            content["every"] = every.into();
        }
        content["shape"] = shape.into();
        values.insert(whole.to_owned(), content);
    }
    match values.is_empty() {
        true => Err(wrong("holds nothing to compare".to_owned())),
        false => Ok(values),
    }
}

/// The values that observations, instructions and noise give.
fn feeds(manifest: &Manifest) -> Vec<Feed> {
    let observations = &manifest.observations;
    let feed = |name: &str, element, shape: &[usize]| Feed {
        name: name.to_owned(),
        element,
        shape: shape.to_vec(),
    };
    let mut feeds = Vec::new();
    for camera in &observations.cameras {
        feeds.push(feed(&camera.name, Element::F32, &camera.shape()));
    }
    for state in &observations.states {
        feeds.push(feed(&state.name, Element::F32, &state.shape()));
    }
    if let Some(text) = &observations.text {
        let shape = [1, text.max_tokens];
        let element = match text.element {
            TokenElement::I64 => Element::I64,
            TokenElement::I32 => Element::I32,
        };
        feeds.push(feed(&text.name, element, &shape));
        if let Some(mask) = &text.mask {
            let element = match mask.element {
                MaskElement::Bool => Element::Bool,
                MaskElement::I64 => Element::I64,
                MaskElement::I32 => Element::I32,
                MaskElement::F32 => Element::F32,
            };
            feeds.push(feed(&mask.name, element, &shape));
        }
    }
    for noise in &observations.noise {
        feeds.push(feed(&noise.name, Element::F32, &noise.shape));
    }
    feeds
}

/// What a tensor of `--golden` means: a value by its own name, or by that of a graph's input that reads it.
fn meaning(name: &str, manifest: &Manifest, feeds: &[Feed], looped: bool) -> Option<Meant> {
    let of_value = |value: &str| {
        let place = feeds.iter().position(|feed| feed.name == value);
        let noise = looped && (value == NOISE || value == SAMPLE);
        place.map(Meant::Feed).or(noise.then_some(Meant::Noise))
    };
    let mut read = manifest.stages.iter().flat_map(|stage| {
        let named = |tensor: &str| tensor == name || format!("{}.{tensor}", stage.name) == name;
        stage.inputs.iter().filter(move |(tensor, _)| named(tensor))
    });
    of_value(name).or_else(|| {
        let meant = read.next().and_then(|(_, value)| of_value(value))?;
        // Inputs of one name that read different values name neither.
        read.all(|(_, value)| of_value(value) == Some(meant))
            .then_some(meant)
    })
}

/// What stages give: the whole name, and that of the tensor.
fn outputs(manifest: &Manifest) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for stage in &manifest.stages {
        for output in &stage.outputs {
            names.push((format!("{}.{output}", stage.name), output.clone()));
        }
        if stage.repeat.is_some() {
            names.push((format!("{}.sample", stage.name), String::new()));
        }
    }
    names
}

/// The numbers of a float tensor as f32, all of them finite.
fn finite(path: &Path, name: &str, value: &Value<'_>) -> Result<Vec<f32>> {
    let numbers: Vec<f32> = value
        .floats()
        .into_iter()
        .map(|number| number as f32)
        .collect();
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(numbers),
        Some(place) => Err(bad_input(format!(
            "{}: \"{}\" has {} at {place}",
            path.display(),
            name.escape_debug(),
            numbers[place]
        ))),
    }
}

fn integers(value: &Value<'_>) -> Vec<i64> {
    let numbers = value.ints().into_iter();
    numbers
        .map(|number| i64::try_from(number).unwrap_or(i64::MAX))
        .collect()
}

fn numbers(value: &Value<'_>) -> Json {
    match value.element.is_float() {
        true => value.floats().into_iter().collect::<Vec<f64>>().into(),
        false => integers(value).into(),
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
