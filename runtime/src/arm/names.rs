//! Names of an arm and its joints: they are shown, sent over the wire and looked up by.

use toml::Spanned;

use super::parse::Checker;
use super::{ArmError, GRIPPER_NAME};

/// Longest name, characters.
const LONGEST: usize = 64;

impl Checker<'_> {
    /// Whether the name of `part` (`the arm` or `a joint`) can be shown on a line and typed.
    pub fn name(&self, part: &'static str, name: &Spanned<String>) -> Result<(), ArmError> {
        let line = self.line(name);
        let text = name.get_ref().as_str();
        if text.trim().is_empty() {
            return Err(ArmError::EmptyName { line, part });
        }
        let shown = |character: char| {
            character.is_alphanumeric()
                || character == ' '
                || character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '/')
        };
        let why = if text.chars().any(char::is_control) {
            "it holds control characters"
        } else if !text.chars().all(shown) || text.trim() != text {
            "use letters, digits and punctuation other than quotes and slashes"
        } else if text.chars().count() > LONGEST {
            "it is longer than 64 characters"
        } else if part == "a joint" && text == GRIPPER_NAME {
            "this is what the [gripper] is called among the joints"
        } else {
            return Ok(());
        };
        Err(ArmError::BadName {
            line,
            part,
            name: text.to_owned(),
            why,
        })
    }
}
