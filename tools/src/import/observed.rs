//! The package's observations: cameras, states and text as the graphs take them.

use anyhow::{Context, Result};
use wink_runtime::policy::manifest::{
    CameraSpec, Channels, Clean, MaskElement, MaskSpec, NoiseSpec, Observations, Padding, Size,
    StateSpec, StateText, TextSpec, TokenElement,
};

use super::config::{Config, Feature, Flow, Kind, Prompt};
use super::dataset::Dataset;
use super::names::Names;
use super::normalise::Normalising;
use super::options::Units;
use super::processors::{BEFORE, Processors};
use super::tokenizer::{self, Tokenizer};
use super::values::{MASK, Made, TOKENS, Value};
use super::wiring::{Taken, Wiring};
use crate::bad_input::bad_input;

/// Bins of the state in a prompt, as openpi's tokenizer.
const BINS: u32 = 256;

/// What observations are built from.
pub struct Observed<'a> {
    /// `config.json`.
    pub config: &'a Config,
    /// The data set of the training.
    pub dataset: Option<&'a Dataset>,
    /// What the robot calls things.
    pub names: &'a Names<'a>,
    /// Units by name.
    pub units: &'a Units,
    /// How features are normalised.
    pub normalising: &'a Normalising<'a>,
}

impl Observed<'_> {
    /// All observations but the text.
    ///
    /// # Errors
    /// Where a name, a unit or a statistic is not known, or frames of the data set have another size.
    pub fn build(&self, values: &[Value], wiring: &Wiring) -> Result<Observations> {
        let mut observations = Observations {
            cameras: Vec::new(),
            states: Vec::new(),
            text: None,
            noise: Vec::new(),
        };
        for (value, taken) in values.iter().zip(&wiring.taken) {
            if let Some(Taken { form, .. }) = taken
                && let Made::Noise(draw) = form.made
            {
                observations.noise.push(NoiseSpec {
                    name: value.name.clone(),
                    shape: form.shape.clone(),
                    draw,
                });
            }
            let Some(name) = &value.feature else {
                continue;
            };
            let feature = self.config.inputs.get(name).context("a feature is lost")?;
            let made = match taken {
                Some(Taken { form, .. }) => &form.made,
                // The prompt reads it filled up.
                None => &value.forms.last().context("a value has no form")?.made,
            };
            match made {
                Made::Image {
                    layout,
                    transform,
                    frame,
                } => {
                    self.check_frame(value, *frame)?;
                    observations.cameras.push(CameraSpec {
                        name: value.name.clone(),
                        frame: *frame,
                        transform: transform.clone(),
                        channels: Channels::Rgb,
                        layout: *layout,
                        history: self.config.history,
                        normalisation: self.normalising.of(name, feature)?,
                    });
                }
                Made::Vector { pad_to } => {
                    let state = self.state(value, name, feature, *pad_to)?;
                    observations.states.push(state);
                }
                Made::Text | Made::Loop | Made::TimeOfChunk | Made::Noise(_) => {}
            }
        }
        Ok(observations)
    }

    fn state(
        &self,
        value: &Value,
        name: &str,
        feature: &Feature,
        pad_to: Option<usize>,
    ) -> Result<StateSpec> {
        let names = self.names.of(name, feature)?;
        Ok(StateSpec {
            name: value.name.clone(),
            units: self.units.of(&names)?,
            names,
            history: self.config.history,
            pad_to,
            normalisation: self.normalising.of(name, feature)?,
        })
    }

    fn check_frame(&self, value: &Value, frame: Option<Size>) -> Result<()> {
        let Some(dataset) = self.dataset else {
            return Ok(());
        };
        let [width, height] = dataset.image(&value.name)?;
        match frame {
            Some(frame) if (frame.width as usize, frame.height as usize) != (width, height) => {
                Err(bad_input(format!(
                    "camera {}: frames of the data set have {width} x {height} pixels, the policy takes {frame}; how they were resized is not known",
                    value.name
                )))
            }
            _ => Ok(()),
        }
    }
}

/// How the instruction becomes tokens, where a graph reads them.
///
/// # Errors
/// Where the processors prepare the prompt in another way than policies of this type do.
pub fn text(
    config: &Config,
    flow: &Flow,
    processors: Option<&Processors>,
    tokenizer: &Tokenizer,
    values: &[Value],
    wiring: &Wiring,
) -> Result<Option<TextSpec>> {
    let taken = |name: &str| {
        let place = values.iter().position(|value| value.name == name)?;
        wiring.taken[place].as_ref()
    };
    let Some(tokens) = taken(TOKENS) else {
        return Ok(None);
    };
    if let Some(processors) = processors {
        check_steps(config, flow, processors)?;
    }
    let state = values.iter().find(|value| value.in_prompt);
    let (template, clean, state) = match (flow.prompt, state) {
        (Prompt::Line, _) => ("{instruction}\n", vec![Clean::StripFinalNewline], None),
        (Prompt::TaskAndState, Some(state)) => (
            "Task: {instruction}, State: {state};\nAction: ",
            vec![
                Clean::Strip,
                Clean::UnderscoresToSpaces,
                Clean::NewlinesToSpaces,
            ],
            Some(StateText {
                name: state.name.clone(),
                bins: BINS,
                low: -1.0,
                high: 1.0,
            }),
        ),
        (Prompt::TaskAndState, None) => {
            return Err(config.wrong(format!(
                "{} writes the state into its prompt, but has no feature of type {}",
                config.name,
                Kind::State.name()
            )));
        }
    };
    let mask = taken(MASK).map(|mask| MaskSpec {
        name: MASK.to_owned(),
        element: match mask.element.as_str() {
            "bool" => MaskElement::Bool,
            "i32" => MaskElement::I32,
            "f32" => MaskElement::F32,
            _ => MaskElement::I64,
        },
    });
    Ok(Some(TextSpec {
        name: TOKENS.to_owned(),
        tokenizer: tokenizer::FILE.to_owned(),
        template: template.to_owned(),
        state,
        clean,
        special_tokens: true,
        max_tokens: flow.max_tokens,
        padding: Padding::Right,
        pad_id: tokenizer.pad_id,
        element: match tokens.element.as_str() {
            "i32" => TokenElement::I32,
            _ => TokenElement::I64,
        },
        mask,
    }))
}

fn check_steps(config: &Config, flow: &Flow, processors: &Processors) -> Result<()> {
    let wrong = |message: String| {
        let path = config.path.with_file_name(BEFORE);
        bad_input(format!("{}: {message}", path.display()))
    };
    if processors.prompt != Some(flow.prompt) {
        return Err(wrong(format!(
            "does not prepare the prompt as policies of type {} do",
            config.name
        )));
    }
    let Some(tokenizer) = &processors.tokenizer else {
        return Err(wrong("has no tokenizer_processor".to_owned()));
    };
    if tokenizer.padding_side != "right" {
        return Err(wrong(format!(
            "fills up tokens on the side \"{}\", policies of type {} on the right",
            tokenizer.padding_side.escape_debug(),
            config.name
        )));
    }
    if tokenizer.max_length != flow.max_tokens {
        return Err(wrong(format!(
            "makes {} tokens, config.json says {}",
            tokenizer.max_length, flow.max_tokens
        )));
    }
    Ok(())
}
