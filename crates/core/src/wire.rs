//! Numbers as docs/format.md writes them, read with every length checked.

use crate::error::{Error, Read, corrupt};

/// The greatest varint: what JavaScript holds exactly.
pub(crate) const VARINT_MAX: u64 = (1 << 53) - 1;

const SHORT: &Error = corrupt!("the bytes end too early");

/// The unread rest of a byte string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub fn byte(&mut self) -> Read<u8> {
        let (&byte, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Read<&'a [u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn u64(&mut self) -> Read<u64> {
        self.array::<8>().map(|bytes| u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub fn varint(&mut self) -> Read<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            Ok(u64::from(first))
        } else {
            self.varint_rest(u64::from(first & 0x7f), 7)
        }
    }

    /// A varint that counts or measures bytes that have to follow.
    pub fn length(&mut self) -> Read<usize> {
        let length = self.varint()?;
        usize::try_from(length).ok().filter(|&length| length <= self.rest.len()).ok_or(SHORT)
    }

    fn varint_rest(&mut self, mut value: u64, mut shift: u32) -> Read<u64> {
        loop {
            let byte = self.byte()?;
            if shift > 49 {
                return Err(corrupt!("a varint is too long"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 {
                    return Err(corrupt!("a varint is not in its shortest form"));
                }
                if value > VARINT_MAX {
                    return Err(corrupt!("a varint exceeds 2^53 - 1"));
                }
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// A signed varint within ±2^53.
    pub fn svarint(&mut self) -> Read<i64> {
        let first = self.byte()?;
        let negative = first & 0x40 != 0;
        let mut magnitude = u64::from(first & 0x3f);
        if first >= 0x80 {
            let mut shift = 6;
            loop {
                let byte = self.byte()?;
                if shift > 48 {
                    return Err(corrupt!("a signed varint is too long"));
                }
                magnitude |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    if byte == 0 {
                        return Err(corrupt!("a signed varint is not in its shortest form"));
                    }
                    break;
                }
                shift += 7;
            }
        }
        if magnitude > (1 << 53) - u64::from(negative) {
            return Err(corrupt!("an integer lies beyond 2^53"));
        }
        let magnitude = magnitude.cast_signed();
        Ok(if negative { -1 - magnitude } else { magnitude })
    }
}

#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    debug_assert!(value <= VARINT_MAX);
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

/// Puts a varint before what was written from `start` on: the length or number of something that had to be written to be known.
pub(crate) fn put_varint_before(out: &mut Vec<u8>, start: usize, value: u64) {
    let end = out.len();
    put_varint(out, value);
    let length = out.len() - end;
    if end - start == 0 {
        return;
    }
    let mut varint = [0; 8];
    varint[..length].copy_from_slice(&out[end..]);
    out.copy_within(start..end, start + length);
    out[start..start + length].copy_from_slice(&varint[..length]);
}

/// Writes `value` into `out` and returns how many bytes that took: at most 8 for ±2^53.
pub(crate) fn put_svarint(out: &mut [u8; 8], value: i64) -> usize {
    let negative = value < 0;
    let mut rest = (if negative { -1 - value } else { value }).cast_unsigned();
    out[0] = low_byte(rest & 0x3f) | if negative { 0x40 } else { 0 };
    rest >>= 6;
    let mut length = 1;
    while rest > 0 {
        out[length - 1] |= 0x80;
        out[length] = low_byte(rest & 0x7f);
        rest >>= 7;
        length += 1;
    }
    length
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[expect(clippy::cast_possible_truncation, reason = "the low byte is what is wanted")]
const fn low_byte(value: u64) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_and_are_shortest() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 1 << 40, VARINT_MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.varint(), Ok(value));
            assert!(reader.is_empty());
        }
        for bytes in [
            &[0x80, 0][..],
            &[0x80],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f],
            &[0xff; 12],
        ] {
            assert!(Reader::new(bytes).varint().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn signed_varints_come_back_within_two_to_the_53() {
        let limit = 1_i64 << 53;
        for value in [0, -1, 1, 63, 64, -64, -65, 8_191, 8_192, limit - 1, limit, 1 - limit, -limit]
        {
            let mut bytes = [0; 8];
            let length = put_svarint(&mut bytes, value);
            let mut reader = Reader::new(&bytes[..length]);
            assert_eq!(reader.svarint(), Ok(value));
            assert!(reader.is_empty());
        }
        assert!(Reader::new(&[0x80, 0x00]).svarint().is_err());
        assert!(Reader::new(&[0xff; 8]).svarint().is_err());
        let mut bytes = [0; 8];
        let length = put_svarint(&mut bytes, limit + 1);
        assert!(Reader::new(&bytes[..length]).svarint().is_err());
    }

    #[test]
    fn zigzag_interleaves_signs() {
        for value in [0, -1, 1, -2, 2, (1 << 48), -(1 << 48)] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    }
}
