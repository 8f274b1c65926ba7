//! `report.json` as text: indented, but for its innermost lists, which would make up most of a stored report.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

/// Whatever lies deeper is written on one line.
const INDENTED: usize = 4;

/// The text, with a line end.
pub fn text(value: &impl Serialize) -> Result<String> {
    let mut bytes = Vec::new();
    let outline = Outline {
        depth: 0,
        pretty: PrettyFormatter::new(),
    };
    value.serialize(&mut Serializer::with_formatter(&mut bytes, outline))?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}

/// Indents the outer levels only.
struct Outline {
    depth: usize,
    pretty: PrettyFormatter<'static>,
}

impl Outline {
    fn enter(&mut self) -> bool {
        self.depth += 1;
        self.is_indented()
    }

    fn leave(&mut self) -> bool {
        self.depth -= 1;
        self.depth < INDENTED
    }

    fn is_indented(&self) -> bool {
        self.depth <= INDENTED
    }
}

/// Calls the pretty formatter's method where `$indented`, and the compact one's otherwise.
macro_rules! either {
    ($self:ident, $indented:expr, $method:ident($($argument:expr),*)) => {
        if $indented {
            $self.pretty.$method($($argument),*)
        } else {
            CompactFormatter.$method($($argument),*)
        }
    };
}

impl Formatter for Outline {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        either!(self, self.enter(), begin_array(writer))
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        either!(self, self.leave(), end_array(writer))
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        either!(self, self.is_indented(), begin_array_value(writer, first))
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        either!(self, self.is_indented(), end_array_value(writer))
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        either!(self, self.enter(), begin_object(writer))
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        either!(self, self.leave(), end_object(writer))
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        either!(self, self.is_indented(), begin_object_key(writer, first))
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        either!(self, self.is_indented(), begin_object_value(writer))
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        either!(self, self.is_indented(), end_object_value(writer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn outer_levels_are_indented_as_ever() {
        let shallow = json!({"a": [1, {"b": {"c": null}}], "d": {}, "e": []});
        let pretty = serde_json::to_string_pretty(&shallow).unwrap() + "\n";
        assert_eq!(text(&shallow).unwrap(), pretty);
    }

    #[test]
    fn inner_levels_are_on_one_line() {
        let deep = json!({"a": {"b": {"c": {"d": [1, {"e": 2}], "f": 3}}}});
        let told = text(&deep).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), deep);
        assert!(
            told.contains("\n        \"d\": [1,{\"e\":2}],\n        \"f\": 3\n"),
            "{told}"
        );
    }
}
