//! JSON, written piece by piece into a buffer that may be too small.

/// Writes to the start of a buffer; what does not fit is remembered, not written.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
    full: bool,
}

impl<'a> Writer<'a> {
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self {
            out,
            length: 0,
            full: false,
        }
    }

    /// What was written so far; `None` when something did not fit.
    pub fn written(&self) -> Option<&[u8]> {
        self.out.get(..self.length).filter(|_| !self.full)
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        match self.out.get_mut(self.length..end) {
            Some(room) => {
                for (slot, byte) in room.iter_mut().zip(bytes) {
                    *slot = *byte;
                }
                self.length = end;
            }
            None => self.full = true,
        }
    }

    /// `,"name":`, or `"name":` right after an opening brace.
    pub fn key(&mut self, name: &str) {
        if self.last() != Some(b'{') {
            self.text(",");
        }
        self.text("\"");
        self.text(name);
        self.text("\":");
    }

    /// A string; characters that would need an escape are replaced.
    pub fn string(&mut self, text: &str) {
        self.text("\"");
        for byte in text.bytes() {
            let plain = !(byte.is_ascii_control() || matches!(byte, b'"' | b'\\'));
            self.bytes(&[if plain { byte } else { b'?' }]);
        }
        self.text("\"");
    }

    pub fn whole(&mut self, value: impl Into<u64>) {
        let mut value = value.into();
        let mut digits = [b'0'; 20];
        let mut count = 0_usize;
        for slot in digits.iter_mut().rev() {
            *slot = b'0'.wrapping_add((value % 10) as u8);
            value /= 10;
            count = count.saturating_add(1);
            if value == 0 {
                break;
            }
        }
        let first = digits.len().saturating_sub(count);
        self.bytes(digits.get(first..).unwrap_or_default());
    }

    /// The shortest text that is read as the same float; `null` for what is no finite number.
    pub fn float(&mut self, value: f32) {
        if value.is_finite() {
            self.text(ryu::Buffer::new().format_finite(value));
        } else {
            self.text("null");
        }
    }

    pub fn array<T>(&mut self, values: impl IntoIterator<Item = T>, each: impl Fn(&mut Self, T)) {
        self.text("[");
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.text(",");
            }
            each(self, value);
        }
        self.text("]");
    }

    pub fn floats(&mut self, values: &[f32]) {
        self.array(values, |writer, value| writer.float(*value));
    }

    fn last(&self) -> Option<u8> {
        self.out.get(self.length.checked_sub(1)?).copied()
    }
}
