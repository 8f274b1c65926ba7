//! Stages: graphs, when they run and which values they read. What every value is called and how often it changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Manifest;
use super::fault::{FieldFault, fault, listed};
use super::loops::{FirstToken, LoopSpec, Method};

const MAX_STAGES: usize = 16;
const MAX_TENSORS: usize = 64;

/// One graph of the policy.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// When it runs.
    pub run: Run,
    /// The value that each input tensor of the file reads.
    pub inputs: BTreeMap<String, String>,
    /// Output tensors of the file that are kept.
    pub outputs: Vec<String>,
    /// How a stage that runs in a loop does.
    #[serde(rename = "loop", default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<LoopSpec>,
}

/// How often something happens; what is earlier happens less often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// Once an episode.
    Episode,
    /// Once an observation.
    Observation,
    /// Several times an observation.
    Loop,
}

impl Run {
    /// The name in `policy.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Episode => "episode",
            Self::Observation => "observation",
            Self::Loop => "loop",
        }
    }
}

impl StageSpec {
    /// The method of its loop, where it has one.
    #[must_use]
    pub fn method(&self) -> Option<Method<'_>> {
        self.repeat.as_ref()?.method()
    }

    /// The values it reads, each with the field that names it.
    pub(crate) fn reads(&self) -> Vec<(String, &str)> {
        let mut reads: Vec<(String, &str)> = self
            .inputs
            .iter()
            .map(|(tensor, value)| {
                let field = format!("inputs.{}", tensor.escape_debug());
                (field, value.as_str())
            })
            .collect();
        if let Some(Method::Tokens(tokens)) = self.method() {
            if let FirstToken::Logits(value) = &tokens.first {
                reads.push(("loop.tokens.first.logits".to_owned(), value));
            }
            for (name, cache) in &tokens.cache {
                if let Some(value) = &cache.from {
                    let field = format!("loop.tokens.cache.{}.from", name.escape_debug());
                    reads.push((field, value));
                }
            }
        }
        reads
    }

    /// The output tensors that its loop takes, each with the field that names it.
    fn taken(&self) -> Vec<(String, &str)> {
        match self.method() {
            None => Vec::new(),
            Some(Method::Flow(flow, _)) => {
                vec![("loop.flow.velocity".to_owned(), &flow.velocity)]
            }
            Some(Method::Diffusion(diffusion, _)) => {
                vec![("loop.diffusion.output".to_owned(), &diffusion.output)]
            }
            Some(Method::Tokens(tokens)) => {
                let mut taken = vec![("loop.tokens.logits".to_owned(), tokens.logits.as_str())];
                for (name, cache) in &tokens.cache {
                    let field = format!("loop.tokens.cache.{}.output", name.escape_debug());
                    taken.push((field, &cache.output));
                }
                taken
            }
        }
    }

    /// Names of the values that its loop hands to its graph, and whether the graph must read them.
    fn loop_values(&self) -> Vec<(String, bool)> {
        let named = |name: &str, must| (format!("loop.{name}"), must);
        match self.method() {
            None => Vec::new(),
            Some(Method::Flow(..) | Method::Diffusion(..)) => {
                vec![named("sample", true), named("time", true)]
            }
            Some(Method::Tokens(tokens)) => {
                let caches = tokens.cache.keys().map(|name| named(name, true));
                [named("token", true), named("index", false)]
                    .into_iter()
                    .chain(caches)
                    .collect()
            }
        }
    }

    fn check(&self) -> Result<(), FieldFault> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.name.is_empty() || !self.name.chars().all(plain) || self.name == "loop" {
            let name = self.name.escape_debug();
            let message =
                format!("is \"{name}\", must be of letters, digits, _ and -, not \"loop\"");
            return Err(fault("name", message));
        }
        for (field, count) in [
            ("inputs", self.inputs.len()),
            ("outputs", self.outputs.len()),
        ] {
            if !(1..=MAX_TENSORS).contains(&count) {
                let message = format!("has {count} entries, must have 1 to {MAX_TENSORS}");
                return Err(fault(field, message));
            }
        }
        let kept: BTreeSet<&String> = self.outputs.iter().collect();
        if kept.len() != self.outputs.len() {
            return Err(fault("outputs", "names a tensor twice"));
        }
        match (self.run, &self.repeat) {
            (Run::Loop, Some(repeat)) => repeat.check().map_err(|fault| fault.under("loop"))?,
            (Run::Loop, None) => return Err(fault("loop", "is missing, and `run` is loop")),
            (_, Some(_)) => return Err(fault("loop", "is given, and `run` is not loop")),
            (_, None) => {}
        }
        for (field, tensor) in self.taken() {
            if !self.outputs.iter().any(|output| output == tensor) {
                let message = format!(
                    "is \"{}\", which `outputs` does not hold",
                    tensor.escape_debug()
                );
                return Err(fault(field, message));
            }
        }
        Ok(())
    }
}

/// A value that stages can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueUse {
    /// How often it changes.
    pub(crate) changes: Run,
    /// Whether something reads it.
    read: bool,
    /// Whether it may stay unread.
    optional: bool,
}

/// All values of a policy by name.
#[derive(Debug, Default)]
struct Values(BTreeMap<String, ValueUse>);

impl Values {
    fn add(
        &mut self,
        field: &str,
        name: &str,
        changes: Run,
        optional: bool,
    ) -> Result<(), FieldFault> {
        if name.trim().is_empty() {
            return Err(fault(field, "is empty"));
        }
        if name.starts_with("loop.") {
            let name = name.escape_debug();
            let message =
                format!("is \"{name}\"; names that begin with \"loop.\" are the loops' own");
            return Err(fault(field, message));
        }
        let value = ValueUse {
            changes,
            read: false,
            optional,
        };
        match self.0.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(fault(
                field,
                format!("\"{}\" is already the name of a value", name.escape_debug()),
            )),
        }
    }

    /// Marks a value as read.
    fn read(&mut self, field: &str, name: &str, most: Run) -> Result<(), FieldFault> {
        let Some(value) = self.0.get_mut(name) else {
            let held = listed(self.0.keys().map(String::as_str));
            let name = name.escape_debug();
            let message = format!("is \"{name}\", which is no value here; there is {held}");
            return Err(fault(field, message));
        };
        if value.changes > most {
            let message = format!(
                "is \"{}\", which changes once per {}, more often than once per {}",
                name.escape_debug(),
                value.changes.name(),
                most.name()
            );
            return Err(fault(field, message));
        }
        value.read = true;
        Ok(())
    }
}

impl Manifest {
    /// Every value that is read exists and changes seldom enough; every value that exists is read.
    pub(super) fn check_wiring(&self) -> Result<(), FieldFault> {
        if !(1..=MAX_STAGES).contains(&self.stages.len()) {
            let message = format!(
                "has {} entries, must have 1 to {MAX_STAGES}",
                self.stages.len()
            );
            return Err(fault("stages", message));
        }
        let mut values = self.observed_values()?;
        let mut names = BTreeSet::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let at = format!("stages[{index}]");
            stage.check().map_err(|fault| fault.under(&at))?;
            if !names.insert(&stage.name) {
                let message = format!("\"{}\" is already the name of a stage", stage.name);
                return Err(fault(format!("{at}.name"), message));
            }
            wire(stage, &mut values).map_err(|fault| fault.under(&at))?;
        }
        values.read("action.from", &self.action.from, Run::Observation)?;
        let mut names = BTreeSet::new();
        for (index, auxiliary) in self.auxiliary.iter().enumerate() {
            let at = format!("auxiliary[{index}]");
            if auxiliary.name.trim().is_empty() || !names.insert(&auxiliary.name) {
                let message = "is empty, or the name of another one";
                return Err(fault(format!("{at}.name"), message));
            }
            values.read(&format!("{at}.from"), &auxiliary.from, Run::Observation)?;
        }
        match values
            .0
            .iter()
            .find(|(_, value)| !value.read && !value.optional)
        {
            None => Ok(()),
            Some((name, _)) => Err(fault(
                "stages",
                format!(
                    "do not read \"{}\"; remove the value, or name it in `auxiliary`",
                    name.escape_debug()
                ),
            )),
        }
    }

    /// The values that observations and instructions give.
    fn observed_values(&self) -> Result<Values, FieldFault> {
        let mut values = Values::default();
        for (index, camera) in self.observations.cameras.iter().enumerate() {
            let field = format!("observations.cameras[{index}].name");
            values.add(&field, &camera.name, Run::Observation, false)?;
        }
        for (index, state) in self.observations.states.iter().enumerate() {
            let field = format!("observations.states[{index}].name");
            values.add(&field, &state.name, Run::Observation, false)?;
        }
        if let Some(text) = &self.observations.text {
            let changes = if text.holds_state() {
                Run::Observation
            } else {
                Run::Episode
            };
            if let Some(state) = &text.state {
                let known = |state_name: &str| {
                    let mut states = self.observations.states.iter();
                    states.any(|state| state.name == state_name)
                };
                if !known(&state.name) {
                    let message = format!(
                        "is \"{}\", which is no name of observations.states",
                        state.name.escape_debug()
                    );
                    return Err(fault("observations.text.state.name", message));
                }
                values.read(
                    "observations.text.state.name",
                    &state.name,
                    Run::Observation,
                )?;
            }
            values.add("observations.text.name", &text.name, changes, false)?;
            if let Some(mask) = &text.mask {
                values.add("observations.text.mask.name", &mask.name, changes, false)?;
            }
        }
        for (index, noise) in self.observations.noise.iter().enumerate() {
            let field = format!("observations.noise[{index}].name");
            values.add(&field, &noise.name, Run::Observation, false)?;
        }
        Ok(values)
    }
}

/// Reads what a stage reads, and adds what it makes.
fn wire(stage: &StageSpec, values: &mut Values) -> Result<(), FieldFault> {
    let own = stage.loop_values();
    for (field, name) in stage.reads() {
        if field.starts_with("inputs.") && own.iter().any(|(value, _)| value == name) {
            continue;
        }
        if name.starts_with("loop.") {
            let held = listed(own.iter().map(|(value, _)| value.as_str()));
            let message = match stage.run {
                Run::Loop => format!(
                    "is \"{}\", which this loop does not make; it makes {held}",
                    name.escape_debug()
                ),
                _ => format!("is \"{}\", and `run` is not loop", name.escape_debug()),
            };
            return Err(fault(field, message));
        }
        values.read(&field, name, stage.run)?;
    }
    for (value, must) in &own {
        if *must && !stage.inputs.values().any(|read| read == value) {
            let message = format!("do not read \"{value}\", which the loop makes");
            return Err(fault("inputs", message));
        }
    }
    if stage.run == Run::Loop {
        for output in &stage.outputs {
            if !stage.taken().iter().any(|(_, tensor)| tensor == output) {
                let message = format!(
                    "holds \"{}\", which the loop does not take",
                    output.escape_debug()
                );
                return Err(fault("outputs", message));
            }
        }
        let result = format!("{}.sample", stage.name);
        return values.add("name", &result, Run::Observation, false);
    }
    for output in &stage.outputs {
        let name = format!("{}.{output}", stage.name);
        values.add("outputs", &name, stage.run, false)?;
    }
    Ok(())
}
