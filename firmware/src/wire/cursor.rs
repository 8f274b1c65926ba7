//! JSON, read piece by piece: as much of it as the wire needs, without recursion or panics.

use super::number::Decimal;

/// Why a line whose CRC fits is no message of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// Not JSON, or not what must stand at that place.
    Syntax,
    /// A number that does not fit its field.
    Number,
    /// A message, field or word that this version does not know.
    Unknown,
    /// A field that is missing.
    Missing,
    /// An array of more values than a board has joints.
    TooLong,
}

impl core::fmt::Display for JsonError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not the JSON expected here",
            Self::Number => "a number does not fit its field",
            Self::Unknown => "an unknown message, field or word",
            Self::Missing => "a field is missing",
            Self::TooLong => "an array is too long",
        })
    }
}

type Parsed<T> = Result<T, JsonError>;

/// What is still to be read of a line.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub const fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// The next character that is no white space, which stays.
    pub fn peek(&mut self) -> Option<u8> {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    /// Takes `byte`, white space before it included.
    pub fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.peek() == Some(byte) {
            self.take();
            Ok(())
        } else {
            Err(JsonError::Syntax)
        }
    }

    /// Nothing may be left but white space.
    pub fn end(&mut self) -> Parsed<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(JsonError::Syntax),
        }
    }

    /// What stands between two quotes, escapes as they are written.
    pub fn string(&mut self) -> Parsed<&'a [u8]> {
        self.expect(b'"')?;
        let text = self.rest;
        let mut escaped = false;
        for (length, byte) in text.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let (inside, rest) = text.split_at_checked(length).ok_or(JsonError::Syntax)?;
                    self.rest = rest;
                    self.take();
                    return Ok(inside);
                }
                _ => {}
            }
        }
        Err(JsonError::Syntax)
    }

    /// Hands each field of an object to `each`, with the cursor before its value.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&'a [u8], &mut Self) -> Parsed<()>,
    ) -> Parsed<()> {
        self.expect(b'{')?;
        self.items(b'}', |cursor| {
            let name = cursor.string()?;
            cursor.expect(b':')?;
            each(name, cursor)
        })
    }

    /// Calls `each` with the cursor before each value of an array.
    pub fn array(&mut self, each: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.expect(b'[')?;
        self.items(b']', each)
    }

    fn items(&mut self, end: u8, mut each: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        if self.peek() == Some(end) {
            self.take();
            return Ok(());
        }
        loop {
            each(self)?;
            match self.peek() {
                Some(b',') => self.take(),
                Some(byte) if byte == end => {
                    self.take();
                    return Ok(());
                }
                _ => return Err(JsonError::Syntax),
            }
        }
    }

    /// A whole number.
    pub fn u64(&mut self) -> Parsed<u64> {
        let first = self.peek().ok_or(JsonError::Syntax)?;
        if !first.is_ascii_digit() {
            return Err(if first == b'-' {
                JsonError::Number
            } else {
                JsonError::Syntax
            });
        }
        let mut value = 0_u64;
        while let Some(digit) = self.digit() {
            value = value
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(digit.into()))
                .ok_or(JsonError::Number)?;
        }
        match self.rest.first() {
            Some(b'.' | b'e' | b'E') => Err(JsonError::Number),
            _ => Ok(value),
        }
    }

    /// A whole number of a smaller type.
    pub fn whole<T: TryFrom<u64>>(&mut self) -> Parsed<T> {
        T::try_from(self.u64()?).map_err(|_| JsonError::Number)
    }

    /// `true` or `false`.
    pub fn bool(&mut self) -> Parsed<bool> {
        match self.peek() {
            Some(b't') => self.word(b"true").map(|()| true),
            _ => self.word(b"false").map(|()| false),
        }
    }

    /// Any number; `null` is NaN.
    pub fn f32(&mut self) -> Parsed<f32> {
        if self.peek() == Some(b'n') {
            self.word(b"null")?;
            return Ok(f32::NAN);
        }
        self.decimal().map(Decimal::to_f32)
    }

    fn decimal(&mut self) -> Parsed<Decimal> {
        let negative = self.peek() == Some(b'-');
        if negative {
            self.take();
        }
        let mut number = Decimal {
            negative,
            ..Decimal::default()
        };
        if !self.digits(&mut number, 0) {
            return Err(JsonError::Syntax);
        }
        if self.rest.first() == Some(&b'.') {
            self.take();
            if !self.digits(&mut number, -1) {
                return Err(JsonError::Syntax);
            }
        }
        if let Some(b'e' | b'E') = self.rest.first() {
            self.take();
            number.exponent = number.exponent.saturating_add(self.exponent()?);
        }
        Ok(number)
    }

    /// Appends digits to `number`, each moving the point by `step`; those beyond the 19th only move
    /// the point. Whether there were any.
    fn digits(&mut self, number: &mut Decimal, step: i32) -> bool {
        /// With one digit more, 64 bits still hold it.
        const ROOM: u64 = u64::MAX / 10 - 1;
        let mut any = false;
        while let Some(digit) = self.digit() {
            any = true;
            if number.digits <= ROOM {
                number.digits = number
                    .digits
                    .saturating_mul(10)
                    .saturating_add(digit.into());
                number.exponent = number.exponent.saturating_add(step);
            } else {
                number.exponent = number.exponent.saturating_add(step).saturating_add(1);
            }
        }
        any
    }

    fn exponent(&mut self) -> Parsed<i32> {
        let negative = match self.rest.first() {
            Some(sign @ (b'+' | b'-')) => {
                self.take();
                *sign == b'-'
            }
            _ => false,
        };
        let mut any = false;
        let mut value = 0_i32;
        while let Some(digit) = self.digit() {
            any = true;
            value = value.saturating_mul(10).saturating_add(digit.into());
        }
        if !any {
            return Err(JsonError::Syntax);
        }
        Ok(if negative {
            value.saturating_neg()
        } else {
            value
        })
    }

    /// Passes over a value of any kind. Brackets need not match by kind: the CRC says that a board
    /// wrote them.
    pub fn skip(&mut self) -> Parsed<()> {
        let mut depth = 0_u32;
        loop {
            match self.peek().ok_or(JsonError::Syntax)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    self.take();
                    depth = depth.saturating_add(1);
                    continue;
                }
                b'}' | b']' if depth > 0 => {
                    self.take();
                    depth = depth.saturating_sub(1);
                }
                b',' | b':' if depth > 0 => {
                    self.take();
                    continue;
                }
                _ => self.skip_word()?,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Passes over a number, `true`, `false` or `null`.
    fn skip_word(&mut self) -> Parsed<()> {
        let mut any = false;
        while let Some(b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E') = self.rest.first() {
            any = true;
            self.take();
        }
        if any { Ok(()) } else { Err(JsonError::Syntax) }
    }

    fn word(&mut self, word: &[u8]) -> Parsed<()> {
        self.rest = self.rest.strip_prefix(word).ok_or(JsonError::Syntax)?;
        Ok(())
    }

    fn digit(&mut self) -> Option<u8> {
        let byte = self.rest.first().filter(|byte| byte.is_ascii_digit())?;
        self.take();
        Some(byte.wrapping_sub(b'0'))
    }

    fn take(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_or_refused() {
        let whole: [(&str, Parsed<u64>); 9] = [
            ("0", Ok(0)),
            (" 42,", Ok(42)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073709551616", Err(JsonError::Number)),
            ("-1", Err(JsonError::Number)),
            ("1.0", Err(JsonError::Number)),
            ("1e3", Err(JsonError::Number)),
            ("\"1\"", Err(JsonError::Syntax)),
            ("", Err(JsonError::Syntax)),
        ];
        for (text, expected) in whole {
            assert_eq!(Cursor::new(text.as_bytes()).u64(), expected, "{text}");
        }
        assert_eq!(Cursor::new(b"256").whole::<u8>(), Err(JsonError::Number));
        let floats: [(&str, Parsed<f32>); 14] = [
            ("0", Ok(0.0)),
            ("-0.0", Ok(-0.0)),
            ("0.1", Ok(0.1)),
            ("-12.5e-1", Ok(-1.25)),
            ("1E+2", Ok(100.0)),
            ("0.30000000000000004440892098500626", Ok(0.3)),
            ("123456789012345678901234567890", Ok(1.234_567_9e29)),
            ("1e999", Ok(f32::INFINITY)),
            ("-1e99999999999", Ok(f32::NEG_INFINITY)),
            ("1e-99999999999", Ok(0.0)),
            ("--1", Err(JsonError::Syntax)),
            (".5", Err(JsonError::Syntax)),
            ("5.", Err(JsonError::Syntax)),
            ("1e", Err(JsonError::Syntax)),
        ];
        for (text, expected) in floats {
            assert_eq!(Cursor::new(text.as_bytes()).f32(), expected, "{text}");
        }
        assert!(Cursor::new(b"null").f32().is_ok_and(f32::is_nan));
        assert_eq!(Cursor::new(b"nul").f32(), Err(JsonError::Syntax));
    }

    #[test]
    fn any_value_is_passed_over() {
        for value in [
            "1",
            "-1.5e-3",
            "null",
            "true",
            r#""a \" b""#,
            "[]",
            "{}",
            r#"[1, {"a": [[[]]], "b": "]"}, 2]"#,
        ] {
            let text = std::format!(" {value} !");
            let mut cursor = Cursor::new(text.as_bytes());
            assert_eq!(cursor.skip(), Ok(()), "{value}");
            assert_eq!(cursor.expect(b'!'), Ok(()), "{value}");
        }
        for value in ["", "[", "{\"a", "]", ",", "["] {
            assert!(Cursor::new(value.as_bytes()).skip().is_err(), "{value}");
        }
    }

    #[test]
    fn objects_and_arrays_end_where_they_end() {
        let read = |text: &str| {
            let mut sum = 0;
            let mut cursor = Cursor::new(text.as_bytes());
            cursor.object(|name, cursor| {
                if name != b"a" {
                    return Err(JsonError::Unknown);
                }
                cursor.array(|cursor| {
                    sum += cursor.u64()?;
                    Ok(())
                })
            })?;
            cursor.end()?;
            Ok(sum)
        };
        let cases = [
            (r#"{}"#, Ok(0)),
            (r#"{ "a" : [ 1 , 2 ] , "a" : [] } "#, Ok(3)),
            (r#"{"b":[]}"#, Err(JsonError::Unknown)),
            (r#"{"a":[1,]}"#, Err(JsonError::Syntax)),
            (r#"{"a":[1}"#, Err(JsonError::Syntax)),
            (r#"{"a":[1]"#, Err(JsonError::Syntax)),
            (r#"{"a":[1]}}"#, Err(JsonError::Syntax)),
            (r#"{"a" [1]}"#, Err(JsonError::Syntax)),
            (r#"{a:[1]}"#, Err(JsonError::Syntax)),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
