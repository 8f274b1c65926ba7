//! `wink import`: a policy package from ONNX graphs that another program exported and LeRobot's files about them.
//!
//! `options` are the user's answers; `config`, `processors`, `statistics`, `dataset`, `tokenizer` and `graphs` read what is
//! given; `values` lists what graphs can be fed with, `wiring` connects it; `names`, `normalise`, `observed` and `stages`
//! say it in the package's terms, `golden` adds the values that it must give, and `package` writes and checks it.

mod config;
mod dataset;
mod external;
mod golden;
mod graphs;
mod json;
mod names;
mod normalise;
mod observed;
mod options;
mod package;
mod processors;
mod stages;
mod statistics;
#[cfg(test)]
mod tests;
mod tokenizer;
mod values;
mod wiring;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use wink_runtime::policy::manifest::{FORMAT, Manifest, PRECISIONS, TextSpec};

use crate::bad_input::bad_input;
use crate::inspect::wiring_of;
use crate::out_dir::OutDir;
use crate::progress;
use config::{Config, Family};
use dataset::Dataset;
use graphs::{StageGraph, Tensor};
use names::Names;
use normalise::Normalising;
use observed::Observed;
pub use options::Args;
use options::{Looping, Units, pairs};
use processors::Processors;
use stages::{Numbers, Stages};
use statistics::Statistics;
use tokenizer::Tokenizer;
use values::{MASK, NOISE, TOKENS, Value};
use wiring::Wiring;

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let out = OutDir::create(&args.out, args.force, "policy.json")?;
    let (mut manifest, files) = describe(args)?;
    let golden = golden::read(args, &manifest)?;
    manifest.files = package::copy(&files, out.path())?;
    if let Some(golden) = golden {
        golden.add(&mut manifest, out.path())?;
    }
    let checked = package::write(&manifest, &out)?;
    let path = out.publish()?;
    let mut stdout = io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(&manifest)?)?,
        false => {
            write!(stdout, "{}", wiring_of(&manifest))?;
            writeln!(stdout, "licence {}", manifest.licence)?;
            for value in checked.iter().flat_map(|report| &report.values) {
                writeln!(
                    stdout,
                    "golden {}: largest difference {:.3e} of {} numbers, allowed {:.3e}",
                    value.value, value.max_error, value.count, value.tolerance
                )?;
            }
            writeln!(stdout, "{}", path.display())?;
        }
    }
    Ok(())
}

/// The package but for the records of its files, and where these lie.
fn describe(args: &Args) -> Result<(Manifest, BTreeMap<String, PathBuf>)> {
    if !PRECISIONS.contains(&args.precision.as_str()) {
        return Err(bad_input(format!(
            "--precision {}: must be one of {}",
            args.precision.escape_debug(),
            PRECISIONS.join(", ")
        )));
    }
    let config = Config::read(&args.config)?;
    let processors = Processors::read(&args.config)?;
    let model = match &processors {
        Some(_) => None,
        None => Statistics::of_model(&args.config)?,
    };
    let dataset = args.dataset.as_deref().map(Dataset::read).transpose()?;
    let names = Names::new(args, &config, processors.as_ref(), dataset.as_ref())?;
    let named = pairs("--stage", &args.stage, false)?;
    let waiting = progress::waiting("reading the graphs");
    let graphs = graphs::read(&args.onnx, &named);
    waiting.finish_and_clear();
    let graphs = graphs?;
    let looped = args.whole_loop != Some(Looping::Inside);
    if let (false, Family::Act { .. }) = (looped, &config.family) {
        return Err(bad_input("--loop inside: act has no loop"));
    }
    let mut values = values::of(&config, names.robot(), looped);
    add_noise(&mut values, &graphs, &args.noise)?;
    let values = kept(values, &args.leave_out, dataset.as_ref())?;
    let wiring = wiring::wire(&graphs, &values, &pairs("--feed", &args.feed, true)?)?;
    let normalising = Normalising {
        config: &config,
        processors: processors.as_ref(),
        model: model.as_ref(),
        args,
    };
    let units = Units::read(&args.joint_units)?;
    let observed = Observed {
        config: &config,
        dataset: dataset.as_ref(),
        names: &names,
        units: &units,
        normalising: &normalising,
    };
    let mut files = graphs::files(&graphs)?;
    let mut observations = observed.build(&values, &wiring)?;
    observations.text = text(
        args,
        &config,
        processors.as_ref(),
        &values,
        &wiring,
        &mut files,
    )?;
    let stages = Stages {
        config: &config,
        graphs: &graphs,
        values: &values,
        wiring: &wiring,
    };
    let output = stages.output(args.output.as_deref())?;
    let numbers = numbers(args, &config, &names, &units, &normalising)?;
    let action = stages.action(output, numbers, args.execute)?;
    let states = observations.states.iter().map(|state| &state.names[..]);
    units.check(&states.chain([&action.names[..]]).collect::<Vec<_>>())?;
    let manifest = Manifest {
        format: FORMAT,
        name: name(args),
        version: args.package_version.clone(),
        licence: licence(args, &config)?,
        description: args.description.clone(),
        control_hz: rate(args, dataset.as_ref())?,
        observations,
        stages: stages.build(output)?,
        action,
        auxiliary: Vec::new(),
        default_precision: args.precision.clone(),
        precisions: BTreeMap::from([(args.precision.clone(), stage_files(&graphs))]),
        golden: None,
        files: BTreeMap::new(),
    };
    Ok((manifest, files))
}

/// Adds the noise that options declare; it takes the place of the family's own.
fn add_noise(values: &mut Vec<Value>, graphs: &[StageGraph], answers: &[String]) -> Result<()> {
    for answer in answers {
        let (name, draw) = options::noise(answer)?;
        let name = name.as_str();
        let inputs = graphs.iter().flat_map(|graph| {
            let means = move |input: &&Tensor| wiring::names(name, graph, input);
            graph.inputs.iter().filter(means)
        });
        let inputs: Vec<&Tensor> = inputs.collect();
        let [input] = inputs[..] else {
            return Err(bad_input(format!(
                "--noise {answer}: {} inputs of the graphs are called so, must be one",
                inputs.len()
            )));
        };
        let shape: Option<Vec<usize>> = input.shape.iter().copied().collect();
        let Some(shape) = shape else {
            return Err(bad_input(format!(
                "--noise {answer}: {input} has open axes; fix them when exporting"
            )));
        };
        if input.element != "f32" {
            return Err(bad_input(format!("--noise {answer}: {input} is not f32")));
        }
        values.retain(|value| value.name != NOISE && value.name != input.name);
        values.push(values::noise_of(&input.name, shape, draw));
    }
    Ok(())
}

/// The values but for those that the graphs were exported without.
fn kept(values: Vec<Value>, left_out: &[String], dataset: Option<&Dataset>) -> Result<Vec<Value>> {
    for name in left_out {
        let of_dataset = dataset.is_some_and(|dataset| dataset.has(name));
        if !of_dataset && !values.iter().any(|value| value.is(name)) {
            let names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
            return Err(bad_input(format!(
                "--leave-out {name}: the policy takes no such value, it takes {}",
                names.join(", ")
            )));
        }
    }
    // A mask says nothing without its tokens.
    let tokens = left_out.iter().any(|name| name == TOKENS);
    let out = |value: &Value| {
        left_out.iter().any(|name| value.is(name)) || (tokens && value.name == MASK)
    };
    Ok(values.into_iter().filter(|value| !out(value)).collect())
}

fn text(
    args: &Args,
    config: &Config,
    processors: Option<&Processors>,
    values: &[Value],
    wiring: &Wiring,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<Option<TextSpec>> {
    let reads = values.iter().any(|value| value.name == TOKENS);
    let (flow, dir) = match (&config.family, &args.tokenizer) {
        (Family::Flow(flow), Some(dir)) if reads => (flow, dir),
        (Family::Flow(_), None) if reads => {
            return Err(bad_input(
                "the policy reads text, and its tokenizer is not in the checkpoint; give the folder with its tokenizer.json by --tokenizer DIR",
            ));
        }
        (_, Some(dir)) => {
            return Err(bad_input(format!(
                "--tokenizer {}: this policy reads no text",
                dir.display()
            )));
        }
        (_, None) => return Ok(None),
    };
    let tokenizer = Tokenizer::read(dir, args.pad_id)?;
    let text = observed::text(config, flow, processors, &tokenizer, values, wiring)?;
    files.insert(tokenizer::FILE.to_owned(), tokenizer.path);
    Ok(text)
}

fn numbers(
    args: &Args,
    config: &Config,
    names: &Names<'_>,
    units: &Units,
    normalising: &Normalising<'_>,
) -> Result<Numbers> {
    let (name, feature) = &config.action;
    let names = names.of(name, feature)?;
    let Some(space) = args.action_space else {
        return Err(bad_input(format!(
            "it is not known what {} are to the arm; say --action-space joint_position, joint_delta or ee_delta",
            names.join(", ")
        )));
    };
    Ok(Numbers {
        units: units.of(&names)?,
        names,
        normalisation: normalising.of(name, feature)?,
        space: space.space(),
    })
}

fn name(args: &Args) -> String {
    let folder = args.out.file_name().map(|name| name.to_string_lossy());
    let named = args.name.clone();
    named.unwrap_or_else(|| folder.unwrap_or_default().into_owned())
}

fn licence(args: &Args, config: &Config) -> Result<String> {
    let licence = args.licence.clone().or_else(|| config.licence.clone());
    licence.ok_or_else(|| {
        bad_input(
            "the licence of the weights is not known; say it by --licence SPDX, such as Apache-2.0",
        )
    })
}

fn rate(args: &Args, dataset: Option<&Dataset>) -> Result<f64> {
    match (args.control_hz, dataset) {
        (Some(rate), Some(dataset)) if rate != dataset.fps => Err(bad_input(format!(
            "--control-hz {rate}: the data set was recorded at {} frames a second",
            dataset.fps
        ))),
        (Some(rate), _) => Ok(rate),
        (None, Some(dataset)) => Ok(dataset.fps),
        (None, None) => Err(bad_input(
            "the rate of the control loop is not known; give the data set of the training with --dataset DIR, or --control-hz HZ",
        )),
    }
}

fn stage_files(graphs: &[StageGraph]) -> BTreeMap<String, String> {
    let file = |graph: &StageGraph| {
        let name = graph.file.file_name().map(|name| name.to_string_lossy());
        (graph.name.clone(), name.unwrap_or_default().into_owned())
    };
    graphs.iter().map(file).collect()
}
