//! What both bindings share: dictionaries behind handles, and calls that take and answer numbers and bytes.
//!
//! A binding converts arguments, calls one function of [`Host`], and hands back what [`Host::conclude`] makes of its result: a
//! number from 0, or minus the number of an error. Longer answers lie on the [`Desk`], or wait in the host to be taken.

mod calls;
#[cfg(feature = "test-hooks")]
mod hooks;
mod request;

pub use calls::written;
pub use request::{Request, integer, key};

use crate::{Dictionary, Error, ErrorKind, Parts, Result};

/// Bytes that the body of a [`Desk`] holds.
pub const BODY_BYTES: usize = 64 * 1024;

/// What stands for an error number when a call panicked, beyond those of [`ErrorKind`].
pub const PANICKED: u32 = 255;

/// A form of a value, beside the tags of null, false and true: none.
pub const NO_VALUE: u8 = 0;
/// A form of a value: a number.
pub const NUMBER: u8 = 4;
/// A form of a value: UTF-8.
pub const UTF8: u8 = 6;
/// A form of a value: canonical bytes.
pub const CANONICAL: u8 = 7;
/// A form of a value that is read: UTF-8, all of it ASCII.
pub const ASCII: u8 = 8;

/// Answers longer than this are not kept once they were taken.
const ANSWER_BYTES_KEPT: usize = 1 << 20;

/// A handle is a slot above so many bits of generation: 31 bits in all, a small integer in JavaScript.
const GENERATION_BITS: u32 = 11;
const SLOTS_MAX: usize = 1 << (31 - GENERATION_BITS);

/// Memory that JavaScript and the engine both see; ts/engine/boundary.ts knows its layout.
#[repr(C)]
pub struct Desk {
    /// Ids, seeds and digests: what has a fixed width.
    pub head: [u8; 64],
    /// Numbers of an answer.
    pub numbers: [f64; 8],
    /// Bytes of the arguments, then of the answer.
    pub body: [u8; BODY_BYTES],
}

impl Desk {
    /// All zero.
    #[expect(clippy::large_stack_arrays, reason = "made at compile time, for a static")]
    pub const BLANK: Self = Self { head: [0; 64], numbers: [0.0; 8], body: [0; BODY_BYTES] };
}

/// What a call answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// A number from 0.
    Number(f64),
    /// The bytes that the host holds; their length is the number.
    Bytes,
}

/// Dictionaries behind handles, and the last answer.
#[derive(Default)]
pub struct Host {
    slots: Vec<Slot>,
    free: Vec<usize>,
    answer: Parts,
    part: usize,
    numbers: [f64; 4],
    digest: [u8; 16],
    reason: String,
    #[cfg(feature = "test-hooks")]
    calls_until_panic: u64,
}

struct Slot {
    /// From 1, so that 0 is no handle.
    generation: u32,
    dictionary: Option<Box<Dictionary>>,
}

impl Host {
    /// The dictionary that `handle` names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] when there is none any more.
    #[inline]
    pub fn dictionary(&mut self, handle: u32) -> Result<&mut Dictionary> {
        open(&mut self.slots, handle)
    }

    /// Turns the result of a call into the number that crosses the boundary, and lays what belongs to it on the desk; bytes only
    /// where they fit.
    #[inline]
    pub fn conclude(&mut self, result: Result<Answer>, desk: &mut Desk) -> f64 {
        match result {
            Ok(answer) => {
                desk.numbers[..4].copy_from_slice(&self.numbers);
                desk.head[..16].copy_from_slice(&self.digest);
                if let Answer::Number(number) = answer {
                    return number;
                }
                let bytes = self.bytes();
                if let Some(body) = desk.body.get_mut(..bytes.len()) {
                    body.copy_from_slice(bytes);
                }
                count(bytes.len())
            }
            Err(error) => self.fail(error),
        }
    }

    /// Keeps the reason of an error, and answers its number.
    #[cold]
    pub fn fail(&mut self, error: Error) -> f64 {
        error.reason.clone_into(&mut self.reason);
        -f64::from(error.kind.number())
    }

    /// Gives up the dictionary whose call panicked: it may be half changed, so it is neither used nor dropped.
    #[cold]
    pub fn abandon(&mut self, handle: u32, message: &str) -> f64 {
        if let Some(slot) = slot(&mut self.slots, handle) {
            core::mem::forget(slot.dictionary.take());
        }
        message.clone_into(&mut self.reason);
        -f64::from(PANICKED)
    }

    /// The bytes of the last answer, or of the part of it that was chosen.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let Parts { bytes, ends } = &self.answer;
        let start = self.part.checked_sub(1).map_or(0, |before| ends[before]);
        &bytes[start..ends.get(self.part).copied().unwrap_or(bytes.len())]
    }

    #[inline]
    fn begin_answer(&mut self) -> &mut Vec<u8> {
        self.answer.ends.clear();
        self.part = 0;
        &mut self.answer.bytes
    }

    /// Answers what `ask` asks a dictionary for.
    #[inline]
    fn ask(
        &mut self,
        request: &Request<'_>,
        ask: impl FnOnce(&mut Dictionary, &mut Vec<u8>) -> Result<()>,
    ) -> Result<Answer> {
        self.begin_answer();
        ask(open(&mut self.slots, request.handle)?, &mut self.answer.bytes)?;
        Ok(Answer::Bytes)
    }
}

#[inline]
fn slot(slots: &mut [Slot], handle: u32) -> Option<&mut Slot> {
    let generation = handle & ((1 << GENERATION_BITS) - 1);
    slots.get_mut(handle as usize >> GENERATION_BITS).filter(|slot| slot.generation == generation)
}

#[inline]
fn open(slots: &mut [Slot], handle: u32) -> Result<&mut Dictionary> {
    slot(slots, handle)
        .and_then(|slot| slot.dictionary.as_deref_mut())
        .ok_or(Error::new(ErrorKind::Closed, "the dictionary is closed; create a new one"))
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

#[inline]
fn count(length: usize) -> f64 {
    float(length as u64)
}
