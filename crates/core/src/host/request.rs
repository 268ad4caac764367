//! The arguments of a call, as they lie on the desk.

use super::{CANONICAL, Desk, NO_VALUE, NUMBER, UTF8};
use crate::value::{NULL, TEXT, TRUE};
use crate::{Error, ErrorKind, ExportOptions, KEY_BYTES_MAX, Result, Value, encode_number};
/// The arguments of a call.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Names a dictionary; calls that need none look away.
    pub handle: u32,
    /// The numbers, and what has a fixed width.
    pub desk: &'a Desk,
    /// The bytes.
    pub input: &'a [u8],
}

impl<'a> Request<'a> {
    /// The `index`-th 16 bytes of the head.
    pub(super) fn wide(&self, index: usize) -> &'a [u8; 16] {
        &self.desk.head.as_chunks().0[index]
    }

    #[inline]
    pub(super) fn key(&self) -> Result<&'a str> {
        key(self.input)
    }

    /// Key and value of a write: the numbers are the time, the length of the key, the form of the value, and a number.
    #[inline]
    pub(super) fn entry<'b>(&self, buffer: &'b mut [u8; 8]) -> Result<(&'a str, Option<Value<'b>>)>
    where
        'a: 'b,
    {
        let [_, key_length, form, number, ..] = self.desk.numbers;
        let (key, bytes) = halves(self.input, integer(key_length))?;
        let key = self::key(key)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "forms are small"
        )]
        let value = match form as u8 {
            NO_VALUE => None,
            NUMBER => Some(encode_number(number, buffer)),
            // JavaScript's encoder wrote it.
            UTF8 => Some(Value { tag: TEXT, payload: bytes }),
            CANONICAL => Some(Value::from_canonical(bytes)?),
            NULL..=TRUE => Some(Value { tag: form as u8, payload: &[] }),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    "there is no such form of a value",
                ));
            }
        };
        Ok((key, value))
    }

    /// The input as parts: one part is all of it; of more, the u32 lengths come first.
    pub(super) fn parts(&self, parts: f64) -> Result<Vec<&'a [u8]>> {
        let parts = integer(parts);
        if parts == 1 {
            return Ok(vec![self.input]);
        }
        let (lengths, mut rest) = halves(self.input, parts.saturating_mul(4))?;
        let next = |length: &[u8; 4]| {
            let (part, after) = halves(rest, u64::from(u32::from_le_bytes(*length)))?;
            rest = after;
            Ok(part)
        };
        lengths.as_chunks().0.iter().map(next).collect()
    }

    /// The limits of an export, which its numbers begin with; infinity is no limit.
    #[inline]
    pub(super) fn export_options(&self) -> Result<ExportOptions> {
        let [part_bytes_max, stamp_limit, ..] = self.desk.numbers;
        Ok(ExportOptions {
            part_bytes_max: whole(part_bytes_max)?,
            stamp_limit: whole(stamp_limit)?,
        })
    }
}

#[inline]
pub(super) fn halves(input: &[u8], length: u64) -> Result<(&[u8], &[u8])> {
    usize::try_from(length)
        .ok()
        .and_then(|length| input.split_at_checked(length))
        .ok_or(invalid("the argument is shorter than it says"))
}

#[inline]
pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    core::str::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::InvalidKey, "a key is not well-formed"))
}

/// A key, whose length is looked at by calls that do not write, too.
///
/// # Errors
///
/// [`ErrorKind::InvalidKey`].
#[inline]
pub fn key(bytes: &[u8]) -> Result<&str> {
    if bytes.is_empty() || bytes.len() > KEY_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::InvalidKey,
            "a key has 1 to 1,024 bytes of UTF-8; choose another one",
        ));
    }
    text(bytes)
}

pub(super) fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, reason)
}

/// Milliseconds, limits and places, which JavaScript has as doubles: below 0 is 0, infinity the greatest.
#[inline]
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is meant to saturate"
)]
pub fn integer(number: f64) -> u64 {
    number as u64
}

/// A number that has to be whole; infinity is the greatest.
#[inline]
pub(super) fn whole(number: f64) -> Result<u64> {
    if number >= 0.0 && (number.fract() == 0.0 || number.is_infinite()) {
        return Ok(integer(number));
    }
    Err(invalid("a number is negative or not whole"))
}
