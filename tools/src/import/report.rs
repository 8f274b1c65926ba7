//! What was written, for a person to check: every wire, and where each number comes from.

use wink_runtime::policy::manifest::{CameraSpec, Manifest, Normalisation, StateSpec, Transform};

/// The observations, stages and actions of a package.
pub fn table(manifest: &Manifest) -> String {
    let mut lines = String::new();
    let mut add = |kind: &str, name: &str, told: &str| {
        lines.push_str(&format!("{kind:<7} {name}: {told}\n"));
    };
    for camera in &manifest.observations.cameras {
        add("camera", &camera.name, &of_camera(camera));
    }
    for state in &manifest.observations.states {
        add("state", &state.name, &of_state(state));
    }
    if let Some(text) = &manifest.observations.text {
        let told = format!(
            "{:?}, {} tokens, filled up with {}",
            text.template, text.max_tokens, text.pad_id
        );
        add("text", &text.name, &told);
    }
    for stage in &manifest.stages {
        let inputs = stage.inputs.iter();
        let inputs: Vec<String> = inputs
            .map(|(tensor, value)| format!("{tensor} <- {value}"))
            .collect();
        let told = format!("once per {}: {}", stage.run.name(), inputs.join(", "));
        add("stage", &stage.name, &told);
    }
    let action = &manifest.action;
    let told = format!(
        "{} of {} steps, {} executed, {}, {}",
        action.chunk,
        action.from,
        action.execute,
        numbers(&action.names, &action.units),
        of_normalisation(&action.normalisation)
    );
    add("action", action.space.name(), &told);
    let told = format!("{} Hz, licence {}", manifest.control_hz, manifest.licence);
    add("policy", &manifest.name, &told);
    lines
}

fn of_camera(camera: &CameraSpec) -> String {
    let mut steps = Vec::new();
    if let Some(frame) = camera.frame {
        steps.push(format!("frames of {frame}"));
    }
    for transform in &camera.transform {
        steps.push(match transform {
            Transform::Crop(_) => "crop".to_owned(),
            Transform::CentreCrop(size) => format!("middle {size}"),
            Transform::Resize(resize) => {
                format!(
                    "resize to {} x {} ({:?})",
                    resize.width, resize.height, resize.fit
                )
            }
        });
    }
    steps.push(of_normalisation(&camera.normalisation));
    with_history(steps.join(", "), camera.history)
}

fn of_state(state: &StateSpec) -> String {
    let told = format!(
        "{}, {}",
        numbers(&state.names, &state.units),
        of_normalisation(&state.normalisation)
    );
    let told = match state.pad_to {
        Some(width) => format!("{told}, filled up to {width}"),
        None => told,
    };
    with_history(told, state.history)
}

fn with_history(told: String, history: usize) -> String {
    match history {
        1 => told,
        history => format!("{told}, {history} observations"),
    }
}

fn numbers(names: &[String], units: &[wink_runtime::policy::manifest::Unit]) -> String {
    let each = names.iter().zip(units);
    let each: Vec<String> = each
        .map(|(name, unit)| format!("{name} ({unit})"))
        .collect();
    each.join(" ")
}

fn of_normalisation(normalisation: &Normalisation) -> String {
    match normalisation {
        Normalisation::Identity {} => "as they are".to_owned(),
        other => other.mode().to_owned(),
    }
}
