//! Golden values of an imported package: what it is fed with, and what must come of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use wink_engine::{OnnxElement as Element, Value, tensor_of};
use wink_runtime::policy::manifest::{FileRecord, Manifest};
use wink_runtime::policy::{TensorSpec, observed};

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
    let mut values =
        golden.read_inputs(&Wanted::new(manifest, args.instruction.as_deref())?, given)?;
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
    fn read_inputs(&mut self, wanted: &Wanted<'_>, path: &Path) -> Result<BTreeMap<String, Json>> {
        let wrong = |message: String| bad_input(format!("{}: {message}", path.display()));
        if let Some(instruction) = wanted.instruction {
            self.content["instruction"] = instruction.into();
        }
        let mut found: Vec<(Meant, String)> = Vec::new();
        let mut compared = BTreeMap::new();
        for (name, value) in npz::read(path).map_err(as_bad_input)? {
            let meant = wanted.meaning(&name).ok_or_else(|| {
                wrong(format!(
                    "\"{}\" is nothing that the policy is fed with; it is fed with {}",
                    name.escape_debug(),
                    wanted.names().join(", ")
                ))
            })?;
            if let Some((_, first)) = found.iter().find(|(known, _)| *known == meant) {
                return Err(wrong(format!("\"{first}\" and \"{name}\" are one value")));
            }
            match meant {
                Meant::Feed(place) => {
                    let (feed, spec) = &wanted.feeds[place];
                    let tensor = tensor_of(&value).map_err(|e| wrong(e.to_string()))?;
                    if tensor.spec() != spec {
                        let found = tensor.spec();
                        return Err(wrong(format!(
                            "\"{name}\" is {found}, the policy takes {spec}"
                        )));
                    }
                    if wanted.is_tokens(feed) {
                        self.content["tokens"] = integers(&value).into();
                    } else if wanted.makes_text() && wanted.is_mask(feed) {
                        let whole = json!({"shape": spec.shape, "every": 1, "values": numbers(&value), "tolerance": 0.0});
                        compared.insert(feed.clone(), whole);
                    } else {
                        self.content["inputs"][feed] = self.input(path, feed, &value)?;
                    }
                }
                Meant::Noise if value.element == Element::F32 => {
                    self.content["noise"] = json!({"values": finite(path, &name, &value)?});
                }
                Meant::Noise => {
                    return Err(wrong(format!("\"{name}\" is {}, not f32", value.element)));
                }
            }
            found.push((meant, name));
        }
        let found: Vec<Meant> = found.into_iter().map(|(meant, _)| meant).collect();
        match wanted.missing(&found) {
            None => Ok(compared),
            Some(missing) => Err(wrong(format!("lacks {missing}"))),
        }
    }

    /// An input as the file holds it; one of many numbers goes to a file of its own.
    fn input(&mut self, path: &Path, name: &str, value: &Value<'_>) -> Result<Json> {
        if value.element != Element::F32 {
            return Ok(json!({"shape": value.shape, "values": numbers(value)}));
        }
        let values = finite(path, name, value)?;
        if values.len() <= MOST_LISTED {
            return Ok(json!({"shape": value.shape, "values": values}));
        }
        let file = format!("golden-{}.bin", self.files.len());
        let bytes = values.iter().flat_map(|number| number.to_le_bytes());
        self.files.insert(file.clone(), bytes.collect());
        Ok(json!({"shape": value.shape, "file": file}))
    }
}

/// What `--golden` must hold.
struct Wanted<'a> {
    manifest: &'a Manifest,
    /// Text that stands for the tokens.
    instruction: Option<&'a str>,
    /// Names and types of the values that the policy is fed with.
    feeds: Vec<(String, TensorSpec)>,
    /// Whether a loop draws noise.
    looped: bool,
}

impl<'a> Wanted<'a> {
    fn new(manifest: &'a Manifest, instruction: Option<&'a str>) -> Result<Self> {
        if instruction.is_some() && manifest.observations.text.is_none() {
            return Err(bad_input("--instruction: the policy reads no text"));
        }
        let mut read = manifest
            .stages
            .iter()
            .flat_map(|stage| stage.inputs.values());
        Ok(Self {
            manifest,
            instruction,
            feeds: observed(manifest),
            looped: read.any(|value| value == SAMPLE),
        })
    }

    fn names(&self) -> Vec<&str> {
        let feeds = self.feeds.iter().map(|(name, _)| name.as_str());
        feeds.chain(self.looped.then_some(NOISE)).collect()
    }

    fn is_tokens(&self, name: &str) -> bool {
        let text = &self.manifest.observations.text;
        text.as_ref().is_some_and(|text| text.name == name)
    }

    fn is_mask(&self, name: &str) -> bool {
        let text = self.manifest.observations.text.as_ref();
        let mask = text.and_then(|text| text.mask.as_ref());
        mask.is_some_and(|mask| mask.name == name)
    }

    /// Whether tokens and mask are made of the instruction.
    fn makes_text(&self) -> bool {
        self.instruction.is_some()
    }

    /// What a tensor is: a value by its own name, or by that of a graph's input that reads it.
    fn meaning(&self, name: &str) -> Option<Meant> {
        let of_value = |value: &str| {
            let place = self.feeds.iter().position(|(feed, _)| feed == value);
            let noise = self.looped && (value == NOISE || value == SAMPLE);
            place.map(Meant::Feed).or(noise.then_some(Meant::Noise))
        };
        let mut read = self.manifest.stages.iter().flat_map(|stage| {
            let named =
                move |tensor: &str| tensor == name || format!("{}.{tensor}", stage.name) == name;
            stage.inputs.iter().filter(move |(tensor, _)| named(tensor))
        });
        of_value(name).or_else(|| {
            let meant = read.next().and_then(|(_, value)| of_value(value))?;
            // Inputs of one name that read different values name neither.
            let same = read.all(|(_, value)| of_value(value) == Some(meant));
            same.then_some(meant)
        })
    }

    /// What was not found, and what helps.
    fn missing(&self, found: &[Meant]) -> Option<String> {
        let of_text = |name: &str| self.is_tokens(name) || self.is_mask(name);
        let mut feeds = self.feeds.iter().enumerate();
        let missing = feeds.find(|(place, (name, _))| {
            !(found.contains(&Meant::Feed(*place)) || self.makes_text() && of_text(name))
        });
        if let Some((_, (name, spec))) = missing {
            let advice = if of_text(name) {
                "; give it, or --instruction"
            } else {
                ""
            };
            return Some(format!(
                "\"{name}\" {spec}, which the policy is fed with{advice}"
            ));
        }
        let lacks_noise = self.looped && !found.contains(&Meant::Noise);
        lacks_noise.then(|| format!("\"{NOISE}\", the numbers that the loop draws, in their order"))
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
