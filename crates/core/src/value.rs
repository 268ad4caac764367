//! Values as the engine sees them: a tag and a payload, compared as bytes.

use crate::error::{Error, ErrorKind, Read, Result, corrupt};
use crate::wire::{Reader, put_svarint};

/// No value.
pub const TOMBSTONE: u8 = 0;
/// `null`.
pub const NULL: u8 = 1;
/// `false`.
pub const FALSE: u8 = 2;
/// `true`.
pub const TRUE: u8 = 3;
/// An integral number within ±2^53, but not −0.
pub const INTEGER: u8 = 4;
/// Every other number.
pub const FLOAT: u8 = 5;
/// Well-formed text, in UTF-8.
pub const TEXT: u8 = 6;
/// Text with a lone surrogate, in UTF-16.
pub const WIDE_TEXT: u8 = 7;
/// Bytes.
pub const BYTES: u8 = 8;
/// An integer of any size.
pub const BIGINT: u8 = 9;
/// Milliseconds since 1970.
pub const DATE: u8 = 10;
/// Items.
pub const ARRAY: u8 = 11;
/// Members: keys and items.
pub const OBJECT: u8 = 12;
/// A type name and a text or bytes.
pub const TAGGED: u8 = 13;
/// Covers what lies below its prefix.
pub const PREFIX: u8 = 14;

/// The longest canonical bytes of a value, its tag included.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 64;
/// The longest magnitude of a bigint.
pub const BIGINT_BYTES_MAX: usize = 8 * 1024;
/// The longest type name of a tagged value.
pub const TYPE_NAME_BYTES_MAX: usize = 16;

const DATE_MAX: u64 = 8_640_000_000_000_000;
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// A tag and a payload, as docs/format.md writes them.
///
/// They order as their canonical bytes do, which settles writes of equal stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value<'a> {
    /// What the payload is; see the constants of this module.
    pub tag: u8,
    /// What remains of the canonical bytes after the tag.
    pub payload: &'a [u8],
}

impl<'a> Value<'a> {
    /// No value.
    pub const NONE: Value<'static> = Value { tag: TOMBSTONE, payload: &[] };

    /// Reads canonical bytes of a value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] when they are not canonical, are longer than 1 MiB or nest deeper than 64.
    pub fn from_canonical(bytes: &'a [u8]) -> Result<Self> {
        let refused =
            Error::new(ErrorKind::InvalidValue, "the bytes of the value are not canonical");
        let (&tag, payload) = bytes.split_first().ok_or(refused)?;
        if !is_live(tag) || check(tag, payload).is_err() {
            return Err(refused);
        }
        Ok(Self { tag, payload })
    }

    /// Whether this is a value and no tombstone.
    #[must_use]
    pub const fn is_live(self) -> bool {
        is_live(self.tag)
    }

    /// The text as a value.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self { tag: TEXT, payload: text.as_bytes() }
    }
}

/// Whether `tag` is one of a value, not of a tombstone.
pub(crate) const fn is_live(tag: u8) -> bool {
    matches!(tag, NULL..=TAGGED)
}

/// Whether `tag` has its payload in the lengths and payloads columns.
pub(crate) const fn is_measured(tag: u8) -> bool {
    matches!(tag, TEXT..=BIGINT | ARRAY..=TAGGED)
}

/// Encodes a number into `buffer`, as an integer where it is one.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "integral and within ±2^53, as tested just above"
)]
pub fn encode_number(number: f64, buffer: &mut [u8; 8]) -> Value<'_> {
    if is_integer(number) {
        let length = put_svarint(buffer, number as i64);
        return Value { tag: INTEGER, payload: &buffer[..length] };
    }
    *buffer = (if number.is_nan() { f64::from_bits(NAN_BITS) } else { number }).to_le_bytes();
    Value { tag: FLOAT, payload: buffer }
}

/// The number that an integer or float holds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "integers lie within ±2^53")]
pub fn decode_number(value: &Value<'_>) -> Option<f64> {
    match value.tag {
        INTEGER => Reader::new(value.payload).svarint().ok().map(|integer| integer as f64),
        FLOAT => value.payload.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    }
}

const NAN_BITS: u64 = 0x7ff8_0000_0000_0000;

#[expect(clippy::float_cmp, reason = "trunc leaves an integral number as it is")]
fn is_integer(number: f64) -> bool {
    number.abs() <= INTEGER_MAX
        && number.trunc() == number
        && !(number == 0.0 && number.is_sign_negative())
}

/// Checks the payload of a value of `tag` at the top level; tombstones have none.
pub(crate) fn check(tag: u8, payload: &[u8]) -> Read<()> {
    if payload.len() >= VALUE_BYTES_MAX {
        return Err(corrupt!("a value is longer than 1 MiB"));
    }
    check_payload(tag, payload, 1)
}

fn check_payload(tag: u8, payload: &[u8], depth: usize) -> Read<()> {
    let mut reader = Reader::new(payload);
    match tag {
        TOMBSTONE..=TRUE | PREFIX => {}
        INTEGER => {
            reader.svarint()?;
        }
        FLOAT => {
            let number = f64::from_bits(reader.u64()?);
            if is_integer(number) || (number.is_nan() && number.to_bits() != NAN_BITS) {
                return Err(corrupt!("a float is not canonical"));
            }
        }
        TEXT => {
            text(payload)?;
            reader.rest = &[];
        }
        WIDE_TEXT => {
            let (units, odd) = payload.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
            if !odd.is_empty() || char::decode_utf16(units).all(|char| char.is_ok()) {
                return Err(corrupt!("a wide text has no lone surrogate"));
            }
            reader.rest = &[];
        }
        BYTES => reader.rest = &[],
        BIGINT => {
            let sign = reader.byte()?;
            let magnitude = reader.rest;
            let zero = magnitude.is_empty();
            if sign > 1
                || (zero && sign == 1)
                || magnitude.last() == Some(&0)
                || magnitude.len() > BIGINT_BYTES_MAX
            {
                return Err(corrupt!("a bigint is not canonical"));
            }
            reader.rest = &[];
        }
        DATE => {
            if reader.svarint()?.unsigned_abs() > DATE_MAX {
                return Err(corrupt!("a date is out of range"));
            }
        }
        ARRAY => check_items(&mut reader, depth)?,
        OBJECT => check_members(&mut reader, depth)?,
        TAGGED => {
            let length = usize::from(reader.byte()?);
            if length == 0 || length > TYPE_NAME_BYTES_MAX {
                return Err(corrupt!("a type name has no 1 to 16 bytes"));
            }
            text(reader.take(length)?)?;
            let tag = reader.byte()?;
            if !(TEXT..=BYTES).contains(&tag) {
                return Err(corrupt!("a tagged value holds neither text nor bytes"));
            }
            check_payload(tag, reader.rest, depth)?;
            reader.rest = &[];
        }
        _ => return Err(corrupt!("a tag is unknown")),
    }
    if reader.is_empty() { Ok(()) } else { Err(corrupt!("a value has bytes too many")) }
}

/// The number of items, each of which takes a byte at least; refuses nesting that is too deep.
fn count(reader: &mut Reader<'_>, depth: usize) -> Read<usize> {
    if depth > DEPTH_MAX {
        return Err(corrupt!("a value is nested deeper than 64"));
    }
    reader.length()
}

fn check_item(reader: &mut Reader<'_>, depth: usize) -> Read<()> {
    let tag = reader.byte()?;
    match tag {
        NULL..=TRUE => Ok(()),
        INTEGER => reader.svarint().map(|_| ()),
        FLOAT => check_payload(tag, reader.take(8)?, depth),
        DATE => {
            let before = reader.rest;
            reader.svarint()?;
            check_payload(tag, &before[..before.len() - reader.rest.len()], depth)
        }
        TEXT..=BIGINT | TAGGED => {
            let length = reader.length()?;
            check_payload(tag, reader.take(length)?, depth)
        }
        ARRAY => check_items(reader, depth),
        OBJECT => check_members(reader, depth),
        _ => Err(corrupt!("a tag is unknown")),
    }
}

fn check_items(reader: &mut Reader<'_>, depth: usize) -> Read<()> {
    (0..count(reader, depth)?).try_for_each(|_| check_item(reader, depth + 1))
}

fn check_members(reader: &mut Reader<'_>, depth: usize) -> Read<()> {
    for _ in 0..count(reader, depth)? {
        let tag = reader.byte()?;
        if tag != TEXT && tag != WIDE_TEXT {
            return Err(corrupt!("the key of a member is no text"));
        }
        let length = reader.length()?;
        check_payload(tag, reader.take(length)?, depth)?;
        check_item(reader, depth + 1)?;
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Read<&str> {
    core::str::from_utf8(bytes).map_err(|_| corrupt!("a text is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(depth: usize) -> Vec<u8> {
        let mut bytes = [ARRAY, 1].repeat(depth);
        *bytes.last_mut().unwrap() = 0;
        bytes
    }

    #[test]
    fn numbers_come_back_bit_by_bit() {
        for number in [
            0.0,
            -0.0,
            1.0,
            -1.5,
            INTEGER_MAX,
            -INTEGER_MAX,
            INTEGER_MAX * 2.0,
            f64::MAX,
            f64::INFINITY,
            5e-324,
        ] {
            let mut buffer = [0; 8];
            let value = encode_number(number, &mut buffer);
            assert_eq!(check(value.tag, value.payload), Ok(()));
            assert_eq!(decode_number(&value).unwrap().to_bits(), number.to_bits());
        }
        let mut buffer = [0; 8];
        assert_eq!(encode_number(-f64::NAN, &mut buffer).payload, NAN_BITS.to_le_bytes());
        assert_eq!(encode_number(-0.0, &mut buffer).tag, FLOAT);
        assert_eq!(decode_number(&Value::text("1")), None);
    }

    #[test]
    fn nesting_goes_to_64_and_no_further() {
        assert!(Value::from_canonical(&array(64)).is_ok());
        assert!(Value::from_canonical(&array(65)).is_err());
        assert!(Value::from_canonical(&array(500_000)).is_err());
    }

    #[test]
    fn only_canonical_bytes_are_taken() {
        let good: [&[u8]; 12] = [
            &[NULL],
            &[TRUE],
            &[INTEGER, 5],
            &[TEXT, 0xef, 0xbb, 0xbf],
            &[WIDE_TEXT, 0, 0xd8],
            &[BYTES],
            &[BIGINT, 0],
            &[BIGINT, 1, 7],
            &[DATE, 0x41],
            &[OBJECT, 1, TEXT, 1, b'a', ARRAY, 2, NULL, DATE, 1],
            &[TAGGED, 1, b't', TEXT, b'x'],
            &[ARRAY, 3, FLOAT, 0, 0, 0, 0, 0, 0, 0, 0x80, TAGGED, 3, 1, b't', BYTES, INTEGER, 1],
        ];
        for bytes in good {
            assert!(Value::from_canonical(bytes).is_ok(), "{bytes:?}");
        }
        let bad: [&[u8]; 17] = [
            &[],
            &[TOMBSTONE],
            &[PREFIX],
            &[15],
            &[NULL, 0],
            &[INTEGER],
            &[INTEGER, 1, 1],
            &[FLOAT, 0, 0, 0, 0, 0, 0, 0, 0],
            &[FLOAT, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f],
            &[TEXT, 0xff],
            &[WIDE_TEXT, b'a', 0],
            &[BIGINT, 1],
            &[BIGINT, 0, 1, 0],
            &[OBJECT, 1, NULL],
            &[TAGGED, 0, TEXT],
            &[TAGGED, 1, b't', NULL],
            &[ARRAY, 2, NULL],
        ];
        for bytes in bad {
            assert_eq!(
                Value::from_canonical(bytes).map_err(|error| error.kind),
                Err(ErrorKind::InvalidValue),
                "{bytes:?}"
            );
        }
    }
}
