//! The whole wiring of a policy: camera to tensor, tensor to joint, stage by stage, for a person to check.

use serde::Serialize;
use wink_runtime::policy::StageReport;
use wink_runtime::policy::manifest::{
    CameraSpec, Channels, DctFit, Decode, FirstToken, Fit, Layout, Manifest, Method, Noise,
    Normalisation, Resize, Sampler, StageSpec, StateSpec, TextSpec, TokensSpec, Transform,
};

/// One step of the wiring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wire {
    /// What is given.
    pub from: String,
    /// What is done to it.
    pub through: Vec<String>,
    /// What it becomes.
    pub to: String,
}

/// All wires, in the order in which values flow. `stages` gives the types; without it names stand alone.
pub fn wires(manifest: &Manifest, stages: &[StageReport]) -> Vec<Wire> {
    let observations = &manifest.observations;
    let mut wires: Vec<Wire> = observations.cameras.iter().map(camera).collect();
    wires.extend(observations.states.iter().map(state));
    wires.extend(observations.text.as_ref().map(text));
    wires.extend(observations.noise.iter().map(|noise| Wire {
        from: "noise, once an observation".to_owned(),
        through: vec![drawn(&noise.draw)],
        to: format!("{} f32{:?}", noise.name, noise.shape),
    }));
    for spec in &manifest.stages {
        let report = stages.iter().find(|report| report.stage == spec.name);
        wires.push(stage(spec, report));
    }
    wires.extend(action(manifest));
    for auxiliary in &manifest.auxiliary {
        let grid = auxiliary.grid.map(|[x, y]| format!("grid {x} x {y}"));
        wires.push(Wire {
            from: auxiliary.from.clone(),
            through: grid.into_iter().collect(),
            to: format!("auxiliary {} ({:?})", auxiliary.name, auxiliary.meaning),
        });
    }
    wires
}

fn camera(spec: &CameraSpec) -> Wire {
    let mut through: Vec<String> = spec.transform.iter().map(transform).collect();
    let channels = match spec.channels {
        Channels::Rgb => "RGB",
        Channels::Bgr => "BGR",
    };
    let layout = match spec.layout {
        Layout::Nchw => "NCHW",
        Layout::Nhwc => "NHWC",
    };
    through.push(format!("{channels} {layout}"));
    through.extend(normalisation(&spec.normalisation, None));
    through.extend(history(spec.history));
    let frame = match spec.frame {
        Some(size) => format!("{size} only"),
        None => "any size".to_owned(),
    };
    Wire {
        from: format!("camera {} ({frame})", spec.name),
        through,
        to: format!("{} f32{:?}", spec.name, spec.shape()),
    }
}

fn transform(transform: &Transform) -> String {
    let percent = |value: f64| format!("{:.1}%", 100.0 * value);
    match transform {
        Transform::Crop(part) => format!(
            "crop {} x {} at {}, {}",
            percent(part.width),
            percent(part.height),
            percent(part.left),
            percent(part.top)
        ),
        Transform::CentreCrop(size) => format!("centre crop {size}"),
        Transform::Resize(resize) => resized(resize),
    }
}

fn resized(resize: &Resize) -> String {
    let mut text = format!(
        "resize to {} x {} ({}, {:?}{}, on {})",
        resize.width,
        resize.height,
        match resize.fit {
            Fit::Stretch => "stretch",
            Fit::Pad => "pad",
            Fit::Cover => "cover",
        },
        resize.filter,
        if resize.antialias { " antialiased" } else { "" },
        format!("{:?}", resize.on).to_lowercase()
    );
    if let Some(part) = &resize.part {
        text.push_str(&format!(
            " of the part {:.1}% x {:.1}% at {:.1}%, {:.1}%",
            100.0 * part.width,
            100.0 * part.height,
            100.0 * part.left,
            100.0 * part.top
        ));
    }
    if let Some(pad) = &resize.pad {
        text.push_str(&format!(
            ", filled {:?} and {:?} with {}",
            pad.horizontal, pad.vertical, pad.value
        ));
    }
    text
}

/// One line for all values, or one for each name.
fn normalisation(spec: &Normalisation, names: Option<&[String]>) -> Vec<String> {
    let columns: Vec<(&str, &[f32])> = match spec {
        Normalisation::Identity {} => Vec::new(),
        Normalisation::MeanStd { mean, std, .. } => vec![("mean", mean), ("std", std)],
        Normalisation::MinMax { min, max, .. } => vec![("min", min), ("max", max)],
        Normalisation::Quantiles { low, high, .. } => vec![("low", low), ("high", high)],
        Normalisation::Affine { scale, offset } => vec![("scale", scale), ("offset", offset)],
    };
    let epsilon = match spec {
        Normalisation::MeanStd { epsilon, .. }
        | Normalisation::MinMax { epsilon, .. }
        | Normalisation::Quantiles { epsilon, .. } => format!(", epsilon {epsilon:e}"),
        Normalisation::Identity {} | Normalisation::Affine { .. } => String::new(),
    };
    let list = |values: &[f32]| {
        let texts: Vec<String> = values.iter().map(|value| format!("{value}")).collect();
        texts.join(", ")
    };
    match names {
        None => {
            let parts: Vec<String> = columns
                .iter()
                .map(|(name, values)| format!("{name} {}", list(values)))
                .collect();
            let parts = parts.join("; ");
            let space = if parts.is_empty() { "" } else { " " };
            vec![format!("{}{space}{parts}{epsilon}", spec.mode())]
        }
        Some(names) => {
            let mut lines = vec![format!("{}{epsilon}", spec.mode())];
            for (index, name) in names.iter().enumerate() {
                let parts: Vec<String> = columns
                    .iter()
                    .filter_map(|(column, values)| Some(format!("{column} {}", values.get(index)?)))
                    .collect();
                if !parts.is_empty() {
                    lines.push(format!("  {name}: {}", parts.join(", ")));
                }
            }
            lines
        }
    }
}

fn history(count: usize) -> Option<String> {
    (count > 1).then(|| format!("history of {count} observations, the oldest first"))
}

fn state(spec: &StateSpec) -> Wire {
    let named: Vec<String> = spec
        .names
        .iter()
        .zip(&spec.units)
        .map(|(name, unit)| format!("{name} [{unit}]"))
        .collect();
    let mut through = normalisation(&spec.normalisation, Some(&spec.names));
    through.extend(
        spec.pad_to
            .map(|width| format!("filled up with 0 to {width}")),
    );
    through.extend(history(spec.history));
    Wire {
        from: format!("state {}: {}", spec.name, named.join(", ")),
        through,
        to: format!("{} f32{:?}", spec.name, spec.shape()),
    }
}

fn text(spec: &TextSpec) -> Wire {
    let mut through = Vec::new();
    if !spec.clean.is_empty() {
        let steps: Vec<String> = spec.clean.iter().map(|step| format!("{step:?}")).collect();
        through.push(format!("clean {}", steps.join(", ")));
    }
    through.push(format!("template {:?}", spec.template));
    if let Some(state) = &spec.state {
        through.push(format!(
            "{{state}} is {} in {} bins from {} to {}",
            state.name, state.bins, state.low, state.high
        ));
    }
    let special = if spec.special_tokens {
        "with"
    } else {
        "without"
    };
    through.push(format!("{} {special} special tokens", spec.tokenizer));
    through.push(format!(
        "padded {:?} with {} to {}",
        spec.padding, spec.pad_id, spec.max_tokens
    ));
    let mut to = format!(
        "{} {}[1, {}]",
        spec.name,
        format!("{:?}", spec.element).to_lowercase(),
        spec.max_tokens
    );
    if let Some(mask) = &spec.mask {
        let element = format!("{:?}", mask.element).to_lowercase();
        to.push_str(&format!(
            ", {} {element}[1, {}]",
            mask.name, spec.max_tokens
        ));
    }
    Wire {
        from: "instruction".to_owned(),
        through,
        to,
    }
}

fn stage(spec: &StageSpec, report: Option<&StageReport>) -> Wire {
    let typed = |list: Option<&[(String, wink_runtime::policy::TensorSpec)]>, tensor: &str| {
        let mut list = list.unwrap_or_default().iter();
        let found = list.find(|(name, _)| name == tensor);
        found.map_or_else(String::new, |(_, spec)| format!(" {spec}"))
    };
    let inputs = report.map(|report| &report.inputs[..]);
    let outputs = report.map(|report| &report.outputs[..]);
    let mut through: Vec<String> = spec
        .inputs
        .iter()
        .map(|(tensor, value)| format!("{value} -> {tensor}{}", typed(inputs, tensor)))
        .collect();
    through.extend(spec.method().map(method));
    let outputs: Vec<String> = spec
        .outputs
        .iter()
        .map(|tensor| format!("{}.{tensor}{}", spec.name, typed(outputs, tensor)))
        .collect();
    let file = report.map_or_else(String::new, |report| format!(", {}", report.file));
    Wire {
        from: format!("stage {} (per {}{file})", spec.name, spec.run.name()),
        through,
        to: outputs.join(", "),
    }
}

fn drawn(noise: &Noise) -> String {
    match noise {
        Noise::Normal { mean, std } => format!("N({mean}, {std})"),
        Noise::Uniform { low, high } => format!("U[{low}, {high})"),
    }
}

fn method(method: Method<'_>) -> String {
    match method {
        Method::Flow(flow, sample) => {
            let times = flow.times();
            format!(
                "loop: flow, {} Euler steps, t from {} to {}, sample {:?} from {}, velocity {}",
                times.len().saturating_sub(1),
                times.first().copied().unwrap_or_default(),
                times.last().copied().unwrap_or_default(),
                sample.shape,
                drawn(&sample.noise),
                flow.velocity
            )
        }
        Method::Diffusion(diffusion, sample) => format!(
            "loop: {} in {} of {} steps, betas {}, predicts {}{}, sample {:?} from {}, output {}",
            match diffusion.sampler {
                Sampler::Ddpm => "DDPM",
                Sampler::Ddim => "DDIM",
            },
            diffusion.steps,
            diffusion.train_steps,
            match &diffusion.betas {
                wink_runtime::policy::manifest::Betas::Squaredcos {} => "squaredcos".to_owned(),
                wink_runtime::policy::manifest::Betas::Linear { start, end } =>
                    format!("linear {start} to {end}"),
                wink_runtime::policy::manifest::Betas::List(_) => "listed".to_owned(),
            },
            format!("{:?}", diffusion.prediction).to_lowercase(),
            diffusion
                .clip
                .map_or_else(String::new, |clip| format!(", clipped to {clip}")),
            sample.shape,
            drawn(&sample.noise),
            diffusion.output
        ),
        Method::Tokens(spec) => tokens(spec),
    }
}

fn tokens(spec: &TokensSpec) -> String {
    let first = match &spec.first {
        FirstToken::Logits(value) => format!("the largest of {value}"),
        FirstToken::Token(token) => format!("token {token}"),
    };
    let end = match (spec.end, spec.open_end) {
        (Some(end), true) => format!(" or token {end}"),
        (Some(end), false) => format!(", token {end} among or after them"),
        (None, _) => String::new(),
    };
    let starts = match &spec.starts_with[..] {
        [] => String::new(),
        tokens => format!(", which begin with {tokens:?}"),
    };
    let removed = match &spec.remove[..] {
        [] => String::new(),
        tokens => format!(", without {tokens:?}"),
    };
    let [steps, dim] = spec.decode.shape();
    let decode = match &spec.decode {
        Decode::Bins {
            bins, low, high, ..
        } => {
            format!("{bins} bins from {low} to {high}")
        }
        Decode::Dct {
            scale,
            table,
            utf8,
            fit,
            ..
        } => {
            let text = utf8.map_or_else(String::new, |text| {
                format!(" as characters, code point {:+},", text.offset)
            });
            let fit = match fit {
                DctFit::Exact => "",
                DctFit::Fill => ", filled up or cut",
            };
            format!("DCT of {table}{text} / {scale}{fit}")
        }
    };
    format!(
        "loop: greedy tokens from {first} until {} tokens{end}{starts}{removed}; {decode}, {steps} x {dim}",
        spec.max_tokens
    )
}

fn action(manifest: &Manifest) -> Vec<Wire> {
    let action = &manifest.action;
    let mut through = vec![format!(
        "steps {} to {} of each chunk, the first {} of {} numbers",
        action.first,
        action.first + action.chunk - 1,
        action.names.len(),
        action.width
    )];
    through.push("back to units:".to_owned());
    through.extend(normalisation(&action.normalisation, Some(&action.names)));
    for (name, threshold) in &action.threshold {
        through.push(format!("{name} becomes 1 above {threshold}, else 0"));
    }
    let named: Vec<String> = action
        .names
        .iter()
        .zip(&action.units)
        .map(|(name, unit)| format!("{name} [{unit}]"))
        .collect();
    vec![Wire {
        from: action.from.clone(),
        through,
        to: format!(
            "action {} ({:?}), chunk of {}, {} executed at {} Hz: {}",
            action.space.name(),
            action.reference,
            action.chunk,
            action.execute,
            manifest.control_hz,
            named.join(", ")
        ),
    }]
}
