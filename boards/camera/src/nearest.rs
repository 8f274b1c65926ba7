//! What a misspelt name was meant to be.

/// The name that is most like `word`, where one is like it at all.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.6;
    let scored = names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(word, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_nonsense_finds_none() {
        let names = ["width", "height", "fps", "auto_exposure"];
        assert_eq!(nearest("widht", names), Some("width"));
        assert_eq!(nearest("autoexposure", names), Some("auto_exposure"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("fps", []), None);
    }
}
