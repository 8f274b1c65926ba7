//! All stages of a precision.

use wink_engine::{Element, Execution, TensorSpec};

use super::super::{Package, PackageError, PolicyError};
use super::load::Stage;
use super::values::{Known, ValueRef, observed};

/// The loaded stages, shared by the threads that run them.
#[derive(Debug, Clone)]
pub(in super::super) struct Network {
    pub(in super::super) stages: Vec<Stage>,
    /// Names and types of the observed values: cameras, states, tokens, mask, noise.
    pub(in super::super) observed: Vec<(String, TensorSpec)>,
    /// Where the chunk comes from, and its type.
    pub(in super::super) action: (ValueRef, TensorSpec),
    /// The auxiliary values, in the order of `policy.json`.
    pub(in super::super) auxiliary: Vec<(ValueRef, TensorSpec)>,
}

impl Network {
    /// Loads the graphs of a precision; their wiring was checked.
    pub(in super::super) fn load(
        package: &Package,
        precision: &str,
        execution: Execution,
    ) -> Result<Self, PolicyError> {
        let manifest = package.manifest();
        let observed = observed(manifest);
        let mut stages: Vec<Stage> = Vec::new();
        for (spec, file) in manifest.stage_files(precision) {
            let known = Known {
                observed: &observed,
                stages: &stages,
            };
            let stage = Stage::load(package, spec, file, execution, &known)?;
            stages.push(stage);
        }
        let known = Known {
            observed: &observed,
            stages: &stages,
        };
        let find = |field: &str, name: &str| {
            known.find(name).ok_or_else(|| PackageError::Field {
                file: package.path("policy.json"),
                field: field.to_owned(),
                message: format!("is \"{}\", which is no value", name.escape_debug()),
            })
        };
        let action = find("action.from", &manifest.action.from)?;
        let mut auxiliary = Vec::new();
        for (index, spec) in manifest.auxiliary.iter().enumerate() {
            auxiliary.push(find(&format!("auxiliary[{index}].from"), &spec.from)?);
        }
        let network = Self {
            action,
            auxiliary,
            stages,
            observed,
        };
        network.check(package)?;
        Ok(network)
    }

    /// The place of a stage.
    pub(in super::super) fn stage(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.spec.name == name)
    }

    /// Whether the chunk and the auxiliary values have the type and shape that `policy.json` says.
    fn check(&self, package: &Package) -> Result<(), PolicyError> {
        let manifest = package.manifest();
        let action = &manifest.action;
        let refused = |field: String, message: String| PackageError::Field {
            file: package.path("policy.json"),
            field,
            message,
        };
        let spec = &self.action.1;
        let steps = match spec.shape[..] {
            [1, steps, width] if spec.element == Element::F32 && width == action.width => steps,
            _ => {
                let message = format!(
                    "is \"{}\", which is {spec}, must be f32[1, steps, {}]",
                    action.from, action.width
                );
                return Err(refused("action.from".to_owned(), message).into());
            }
        };
        if action.first + action.chunk > steps {
            let message = format!(
                "is {}, and with `first` {} goes past the {steps} steps of \"{}\"",
                action.chunk, action.first, action.from
            );
            return Err(refused("action.chunk".to_owned(), message).into());
        }
        for (index, (spec, (_, tensor))) in
            manifest.auxiliary.iter().zip(&self.auxiliary).enumerate()
        {
            let cells = spec.grid.map(|[columns, rows]| columns * rows);
            let fits = tensor.element == Element::F32
                && cells.is_none_or(|cells| tensor.elements() == Some(cells));
            if !fits {
                let message = format!(
                    "is \"{}\", which is {tensor}, must be f32{}",
                    spec.from,
                    cells.map_or_else(String::new, |cells| format!(" with {cells} values"))
                );
                return Err(refused(format!("auxiliary[{index}].from"), message).into());
            }
        }
        Ok(())
    }
}
