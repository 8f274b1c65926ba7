//! What is wrong with a TOML file, in one line: where, what, and which known key is nearest to an unknown one.

/// How alike two keys must be (Jaro-Winkler similarity, 1 for equal ones) for one to be taken for a slip of the other.
const ALIKE: f64 = 0.75;

/// Line, counted from 1, and message of an error.
#[must_use]
pub fn complaint(text: &str, error: &toml::de::Error) -> (usize, String) {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    match nearest(&message) {
        Some(key) => (line, format!("{message}; did you mean `{key}`?")),
        None => (line, message),
    }
}

/// The line, counted from 1, of a byte offset.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
        + 1
}

/// The key that an unknown one was meant to be. serde lists the known ones behind it.
fn nearest(message: &str) -> Option<&str> {
    let listed = message
        .strip_prefix("unknown field ")
        .or_else(|| message.strip_prefix("unknown variant "))?;
    let mut names = listed.split('`').skip(1).step_by(2);
    let found = names.next()?;
    nearest_of(found, names)
}

/// The name that is most like `word`, where one is like it at all.
pub fn nearest_of<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(word, name), name));
    let (alike, name) = alike.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (alike >= ALIKE).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its fields' names are of interest")]
    struct Table {
        velocity_rad_s: f64,
        servo_ids: Vec<u8>,
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_known_one() {
        for (text, line, expected) in [
            (
                "servo_ids = [1]\nvelocity_rads = 1.0",
                2,
                "unknown field `velocity_rads`, expected `velocity_rad_s` or `servo_ids`; did you mean `velocity_rad_s`?",
            ),
            ("\nservoids = [1]", 2, "did you mean `servo_ids`?"),
        ] {
            let error = toml::from_str::<Table>(text).unwrap_err();
            let (found_line, message) = complaint(text, &error);
            assert_eq!(found_line, line, "{message}");
            assert!(message.ends_with(expected), "{message}");
        }
        let text = "colour = 1";
        let (_, message) = complaint(text, &toml::from_str::<Table>(text).unwrap_err());
        assert!(!message.contains("did you mean"), "{message}");
    }

    #[test]
    fn a_typo_finds_its_name_and_nonsense_finds_none() {
        let names = ["width", "height", "fps", "auto_exposure"];
        assert_eq!(nearest_of("widht", names), Some("width"));
        assert_eq!(nearest_of("autoexposure", names), Some("auto_exposure"));
        assert_eq!(nearest_of("colour", names), None);
        assert_eq!(nearest_of("fps", []), None);
    }

    #[test]
    fn a_message_is_one_line() {
        for text in [
            "servo_ids = [1",
            "servo_ids = \"1",
            "= 1",
            "servo_ids = 1 2",
        ] {
            let (line, message) = complaint(text, &toml::from_str::<Table>(text).unwrap_err());
            assert_eq!((line, message.lines().count()), (1, 1), "{message}");
        }
    }
}
