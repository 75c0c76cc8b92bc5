//! Reading protobuf from the wire: fields one after another, borrowed from the message.
//!
//! Not by a derive, which builds every message whole before anything can be refused: of a message that is made to hurt,
//! two bytes on the wire become an empty label of 48 bytes in memory.

/// The bytes are no such message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the protobuf message is cut short or damaged")]
pub(super) struct Broken;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    /// 32 bits, which no message here has.
    Fixed32,
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Broken> {
        if let Value::Bytes(bytes) = self { Ok(bytes) } else { Err(Broken) }
    }

    pub(super) fn text(self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken)
    }

    pub(super) fn double(self) -> Result<f64, Broken> {
        if let Value::Fixed64(bytes) = self { Ok(f64::from_le_bytes(bytes)) } else { Err(Broken) }
    }

    pub(super) fn varint(self) -> Result<u64, Broken> {
        if let Value::Varint(number) = self { Ok(number) } else { Err(Broken) }
    }

    /// An int64, which is not zigzag.
    #[allow(clippy::cast_possible_wrap)]
    pub(super) fn signed(self) -> Result<i64, Broken> {
        self.varint().map(|number| number as i64)
    }
}

/// The fields of a message: number and value. Ends after the first error.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Fields(message)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Broken> {
        let key = varint(&mut self.0)?;
        let number = u32::try_from(key >> 3).map_err(|_| Broken)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.0)?),
            1 => Value::Fixed64(self.take(8)?.try_into().map_err(|_| Broken)?),
            2 => {
                let length = varint(&mut self.0)?;
                Value::Bytes(self.take(usize::try_from(length).map_err(|_| Broken)?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed32)?,
            _ => return Err(Broken), // groups, which nobody writes
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Takes a number off the front.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, Broken> {
    let mut number = 0u64;
    for at in 0..10 {
        let (&byte, rest) = bytes.split_first().ok_or(Broken)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Broken)
}
