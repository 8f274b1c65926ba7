//! Pieces of HTML.

use std::fmt::Write;

/// A table's first row.
pub fn head(names: &[&str]) -> String {
    let cells: String = names
        .iter()
        .map(|name| format!("<th>{}</th>", escape(name)))
        .collect();
    format!("<tr>{cells}</tr>\n")
}

/// A row whose first cell is its heading.
pub fn row(html: &mut String, name: &str, cells: impl IntoIterator<Item = String>) {
    let _ = write!(html, "<tr><th>{}</th>", escape(name));
    for cell in cells {
        let _ = write!(html, "<td>{}</td>", escape(&cell));
    }
    html.push_str("</tr>\n");
}

/// Choices of a drop-down list, each once, in the order in which they first come.
pub fn options(keys: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for key in keys {
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    seen.iter()
        .map(|key| format!("<option value=\"{key}\">{}</option>", key.replace('_', " ")))
        .collect()
}

/// Text that cannot become markup.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<script>\"'&"), "&lt;script&gt;&quot;&#39;&amp;");
    }
}
