//! The values that graphs can be fed with, and in which forms.

use std::collections::BTreeMap;

use wink_runtime::policy::manifest::{
    Filter, Fit, Horizontal, Layout, Noise, Pad, Resize, Run, Scale, Size, Transform, Vertical,
};

use super::config::{Config, Diffusion, Family, Feature, Flow, Kind, Padding, Prompt};
use super::graphs::Tensor;

/// Name of the token tensor.
pub const TOKENS: &str = "tokens";
/// Name of the tensor that says where there are tokens.
pub const MASK: &str = "mask";
/// What a loop refines.
pub const SAMPLE: &str = "loop.sample";
/// What a graph that runs the whole loop itself refines.
pub const NOISE: &str = "noise";
/// Of LeRobot's policies that refine noise.
pub const STANDARD: Noise = Noise::Normal {
    mean: 0.0,
    std: 1.0,
};
/// The time of a loop's step.
pub const TIME: &str = "loop.time";

/// Something that graphs can be fed with.
#[derive(Debug, Clone)]
pub struct Value {
    /// Its name in the package.
    pub name: String,
    /// Name of the policy's feature behind it.
    pub feature: Option<String>,
    /// Tensors of these names (see [`plain`]) are fed with it.
    pub called: Vec<String>,
    /// How often it changes.
    pub changes: Run,
    /// What a tensor that is fed with it can look like.
    pub forms: Vec<Form>,
    /// Whether the prompt reads it, so that no graph needs to.
    pub in_prompt: bool,
}

/// A form of a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Shape of the tensor.
    pub shape: Vec<usize>,
    /// Element types that the tensor may have.
    pub elements: &'static [&'static str],
    /// How the value is made in this form.
    pub made: Made,
}

/// How a value is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// From a camera's frame.
    Image {
        /// Order of the axes.
        layout: Layout,
        /// What is done to the frame.
        transform: Vec<Transform>,
        /// The size that frames must have.
        frame: Option<Size>,
    },
    /// From measured numbers, filled up to a width where the graph takes more of them.
    Vector {
        /// The width.
        pad_to: Option<usize>,
    },
    /// From the instruction.
    Text,
    /// By the loop, the same for the whole chunk.
    Loop,
    /// By the loop, one time a step of the chunk.
    TimeOfChunk,
    /// Drawn once an observation.
    Noise(Noise),
}

impl Form {
    /// Whether a tensor can have this form.
    pub fn fits(&self, tensor: &Tensor) -> bool {
        let axes = self.shape.iter().zip(&tensor.shape);
        self.elements.contains(&tensor.element.as_str())
            && self.shape.len() == tensor.shape.len()
            && axes.fold(true, |fits, (size, axis)| {
                fits && axis.is_none_or(|axis| axis == *size)
            })
    }
}

impl Value {
    /// Its forms, for errors.
    pub fn told(&self) -> String {
        let forms = self.forms.iter();
        let forms: Vec<String> = forms
            .map(|form| format!("{}{:?}", form.elements.join("/"), form.shape))
            .collect();
        forms.join(" or ")
    }

    /// Whether an option means this value.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.feature.as_deref() == Some(name)
    }
}

/// A name as it is compared: exporters replace dots and slashes by underscores.
pub fn plain(name: &str) -> String {
    let kept: String = name
        .chars()
        .map(|c| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_lowercase(),
            false => '_',
        })
        .collect();
    let words: Vec<&str> = kept.split('_').filter(|word| !word.is_empty()).collect();
    words.join("_")
}

/// All values of a policy; `robot` gives the robot's name of a feature where it differs from the policy's, `looped` says that the
/// package runs the loop, where there is one.
pub fn of(config: &Config, robot: &BTreeMap<String, String>, looped: bool) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    for (feature, shape) in &config.inputs.0 {
        let name = robot.get(feature).unwrap_or(feature);
        values.push(Value {
            name: name.clone(),
            feature: Some(feature.clone()),
            called: names_of(feature, name),
            changes: Run::Observation,
            forms: forms_of(config, shape),
            in_prompt: in_prompt(config, shape),
        });
    }
    if let Family::Flow(flow) = &config.family {
        values.extend(text_of(flow));
    }
    let width = config.action.1.shape[0];
    let (sample, times) = match &config.family {
        Family::Act { .. } => return values,
        Family::Diffusion(diffusion) => (
            vec![1, diffusion.horizon, width],
            vec![form(Made::Loop, vec![1], &["i64"])],
        ),
        Family::Flow(flow) => (
            vec![1, flow.chunk, flow.action_width],
            vec![
                form(Made::Loop, vec![1], &["f32"]),
                form(Made::TimeOfChunk, vec![1, flow.chunk], &["f32"]),
            ],
        ),
    };
    if looped {
        values.push(sample_of(
            SAMPLE,
            Run::Loop,
            form(Made::Loop, sample, &["f32"]),
        ));
        values.push(value(TIME, &TIMES, Run::Loop, times));
    } else {
        let drawn = form(Made::Noise(STANDARD), sample, &["f32"]);
        values.push(sample_of(NOISE, Run::Observation, drawn));
    }
    values
}

/// The noise that an input of this name and shape is fed with.
pub fn noise_of(tensor: &str, shape: Vec<usize>, draw: Noise) -> Value {
    let drawn = form(Made::Noise(draw), shape, &["f32"]);
    let mut noise = value(tensor, &[], Run::Observation, vec![drawn]);
    noise.called.push(plain(tensor));
    noise
}

/// What exporters call a feature.
fn names_of(feature: &str, robot: &str) -> Vec<String> {
    let mut names = Vec::new();
    for name in [feature, robot] {
        let short = name.strip_prefix("observation.").unwrap_or(name);
        let last = short.strip_prefix("images.").unwrap_or(short);
        names.extend([plain(name), plain(short), plain(last)]);
        if last != short {
            names.push(format!("image_{}", plain(last)));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn in_prompt(config: &Config, feature: &Feature) -> bool {
    let family = &config.family;
    feature.kind == Kind::State
        && matches!(family, Family::Flow(flow) if flow.prompt == Prompt::TaskAndState)
}

fn forms_of(config: &Config, feature: &Feature) -> Vec<Form> {
    let history = config.history;
    if feature.kind == Kind::Visual {
        return images_of(config, feature);
    }
    let count = feature.shape[0];
    let mut widths = vec![None];
    if let (Family::Flow(flow), Kind::State) = (&config.family, feature.kind)
        && flow.state_width > count
    {
        widths.push(Some(flow.state_width));
    }
    let forms = widths.into_iter().map(|pad_to| Form {
        shape: with_history(history, &[pad_to.unwrap_or(count)]),
        elements: &["f32"],
        made: Made::Vector { pad_to },
    });
    forms.collect()
}

fn with_history(history: usize, shape: &[usize]) -> Vec<usize> {
    let mut full = vec![1];
    if history > 1 {
        full.push(history);
    }
    full.extend(shape);
    full
}

/// The sizes that an image can have when it enters the graph: before, between and after the policy's own transforms.
fn images_of(config: &Config, feature: &Feature) -> Vec<Form> {
    let side = |axis: usize| u32::try_from(feature.shape[axis]).unwrap_or(u32::MAX);
    let whole = Size {
        width: side(2),
        height: side(1),
    };
    let mut made = match &config.family {
        Family::Act { .. } => vec![(whole, Vec::new(), Some(whole))],
        Family::Diffusion(diffusion) => of_diffusion(diffusion, whole),
        Family::Flow(flow) => of_flow(flow, whole),
    };
    // A transform that leaves the size as it is does nothing.
    let mut seen = Vec::new();
    made.retain(|(size, ..)| {
        let new = !seen.contains(size);
        seen.push(*size);
        new
    });
    let mut forms = Vec::new();
    for (size, transform, frame) in made {
        let (height, width) = (size.height as usize, size.width as usize);
        for (layout, shape) in [
            (Layout::Nchw, [3, height, width]),
            (Layout::Nhwc, [height, width, 3]),
        ] {
            forms.push(Form {
                shape: with_history(config.history, &shape),
                elements: &["f32"],
                made: Made::Image {
                    layout,
                    transform: transform.clone(),
                    frame,
                },
            });
        }
    }
    forms
}

type Image = (Size, Vec<Transform>, Option<Size>);

fn of_diffusion(diffusion: &Diffusion, whole: Size) -> Vec<Image> {
    let mut images = vec![(whole, Vec::new(), Some(whole))];
    let mut transform = Vec::new();
    if let Some([height, width]) = diffusion.resize {
        // torchvision's Resize on floats.
        transform.push(Transform::Resize(Resize {
            width,
            height,
            fit: Fit::Stretch,
            filter: Filter::Bilinear,
            antialias: true,
            on: Scale::Floats,
            part: None,
            pad: None,
        }));
        images.push((Size { width, height }, transform.clone(), Some(whole)));
    }
    if let Some([height, width]) = diffusion.crop {
        let size = Size { width, height };
        transform.push(Transform::CentreCrop(size));
        images.push((size, transform, Some(whole)));
    }
    images
}

fn of_flow(flow: &Flow, whole: Size) -> Vec<Image> {
    let mut images = Vec::new();
    if let Some(([width, height], padding)) = flow.resize {
        let pad = match padding {
            Padding::LeftTop => Pad {
                horizontal: Horizontal::Left,
                vertical: Vertical::Top,
                value: 0.0,
            },
            Padding::Middle => Pad {
                horizontal: Horizontal::Both,
                vertical: Vertical::Both,
                value: -1.0,
            },
        };
        let resize = Transform::Resize(Resize {
            width,
            height,
            fit: Fit::Pad,
            filter: Filter::Bilinear,
            antialias: false,
            on: Scale::Floats,
            part: None,
            pad: Some(pad),
        });
        images.push((Size { width, height }, vec![resize], None));
    }
    images.push((whole, Vec::new(), Some(whole)));
    images
}

fn text_of(flow: &Flow) -> [Value; 2] {
    let changes = match flow.prompt {
        Prompt::Line => Run::Episode,
        Prompt::TaskAndState => Run::Observation,
    };
    let text = |name: &str, called: &[&str], elements| Value {
        name: name.to_owned(),
        feature: None,
        called: called.iter().map(|name| (*name).to_owned()).collect(),
        changes,
        forms: vec![form(Made::Text, vec![1, flow.max_tokens], elements)],
        in_prompt: false,
    };
    let tokens = ["tokens", "lang_tokens", "language_tokens", "input_ids"];
    let masks = ["mask", "lang_masks", "language_mask", "attention_mask"];
    let long = |names: [&'static str; 4], full| names.into_iter().chain([full]).collect::<Vec<_>>();
    [
        text(
            TOKENS,
            &long(tokens, "observation_language_tokens"),
            &["i64", "i32"],
        ),
        text(
            MASK,
            &long(masks, "observation_language_attention_mask"),
            &["bool", "i64", "i32", "f32"],
        ),
    ]
}

fn form(made: Made, shape: Vec<usize>, elements: &'static [&'static str]) -> Form {
    Form {
        shape,
        elements,
        made,
    }
}

/// What exporters call the time of a step.
const TIMES: [&str; 5] = ["loop_time", "time", "t", "timestep", "timesteps"];

fn sample_of(name: &str, changes: Run, form: Form) -> Value {
    let called = [
        "loop_sample",
        "sample",
        "x",
        "x_t",
        "noise",
        "noisy_actions",
        "noisy_action",
    ];
    value(name, &called, changes, vec![form])
}

fn value(name: &str, called: &[&str], changes: Run, forms: Vec<Form>) -> Value {
    Value {
        name: name.to_owned(),
        feature: None,
        called: called.iter().map(|name| (*name).to_owned()).collect(),
        changes,
        forms,
        in_prompt: false,
    }
}
