//! What is wrong with a field of `policy.json`.

/// The path of a field and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FieldFault {
    pub(crate) field: String,
    pub(crate) message: String,
}

impl FieldFault {
    /// The same fault seen from the section that holds the field.
    #[must_use]
    pub(crate) fn under(self, section: &str) -> Self {
        let field = match self.field.chars().next() {
            None => section.to_owned(),
            Some('[') => format!("{section}{}", self.field),
            Some(_) => format!("{section}.{}", self.field),
        };
        Self { field, ..self }
    }
}

/// A fault of a field; an empty path means the section itself.
pub(crate) fn fault(field: impl Into<String>, message: impl Into<String>) -> FieldFault {
    FieldFault {
        field: field.into(),
        message: message.into(),
    }
}

/// Faults where a count or size lies outside its limits.
pub(crate) fn check_range<T: Copy + PartialOrd + std::fmt::Display>(
    field: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), FieldFault> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let message = format!("is {value}, must lie between {least} and {most}");
    Err(fault(field, message))
}

/// Faults where a number is a NaN or an infinity, as JSON's 1e999 is.
pub(crate) fn check_finite(field: &str, values: &[f32]) -> Result<(), FieldFault> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(fault(format!("{field}[{index}]"), "is not finite")),
    }
}

/// A list as an error names it: the first few entries.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<String> = names
        .into_iter()
        .map(|name| name.escape_debug().to_string())
        .collect();
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
