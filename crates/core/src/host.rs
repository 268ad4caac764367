//! What both bindings share: dictionaries behind handles, and calls that take and answer numbers and bytes.
//!
//! A binding converts arguments, calls one function of [`Host`], and hands back what [`Host::conclude`] makes of its result: a
//! number from 0, or minus the number of an error. Longer answers lie on the [`Desk`], or wait in the host to be taken.

use crate::value::{FLOAT, INTEGER, NULL, TEXT, TRUE};
use crate::{
    Dictionary, Error, ErrorKind, ExportOptions, JournalOptions, KEY_BYTES_MAX, MILLIS_MAX,
    MergeOptions, MergeReport, Options, Parts, Range, ReplicaId, Result, Stamp, Value, Written,
    decode_number, encode_number,
};

/// Bits of how to merge: the fields of [`MergeOptions`].
const ADOPT: u64 = 1;
const REPAIR: u64 = 2;
const DIFFERENCE: u64 = 4;

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

const DONE: Answer = Answer::Number(0.0);

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
    fn wide(&self, index: usize) -> &'a [u8; 16] {
        &self.desk.head.as_chunks().0[index]
    }

    #[inline]
    fn key(&self) -> Result<&'a str> {
        key(self.input)
    }

    /// Key and value of a write: the numbers are the time, the length of the key, the form of the value, and a number.
    #[inline]
    fn entry<'b>(&self, buffer: &'b mut [u8; 8]) -> Result<(&'a str, Option<Value<'b>>)>
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
    fn parts(&self, parts: f64) -> Result<Vec<&'a [u8]>> {
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
    fn export_options(&self) -> Result<ExportOptions> {
        let [part_bytes_max, stamp_limit, ..] = self.desk.numbers;
        Ok(ExportOptions {
            part_bytes_max: whole(part_bytes_max)?,
            stamp_limit: whole(stamp_limit)?,
        })
    }
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

/// The calls, in the order of ts/engine/contract.ts; the table of their numbers is in ts/engine/boundary.ts.
///
/// They fail as the functions of [`Dictionary`] that they are named after, and with [`ErrorKind::Closed`] when the handle is stale.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Host {
    /// Opens a dictionary, and answers its handle: an empty one where the number of parts is below 0, else one from the parts of a
    /// snapshot. The head has the replica id, the spare id, and the seed of the table's hash.
    pub fn create(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [drift_max, parts, ..] = request.desk.numbers;
        let (seed, _) = request.wide(2).as_chunks();
        let options = Options {
            replica_id: ReplicaId(*request.wide(0)),
            spare_id: ReplicaId(*request.wide(1)),
            drift_max: integer(drift_max),
            hash_seed: [u64::from_le_bytes(seed[0]), u64::from_le_bytes(seed[1])],
        };
        let dictionary = if parts < 0.0 {
            Dictionary::new(&options)
        } else {
            Dictionary::load(&options, &request.parts(parts)?)?
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < SLOTS_MAX => {
                self.slots.push(Slot { generation: 1, dictionary: None });
                self.slots.len() - 1
            }
            None => {
                return Err(Error::new(ErrorKind::TooLarge, "too many dictionaries; close some"));
            }
        };
        let slot = &mut self.slots[index];
        slot.dictionary = Some(Box::new(dictionary));
        Ok(number(index << GENERATION_BITS | slot.generation as usize))
    }

    /// Frees a dictionary; nothing when that was done already.
    pub fn close(&mut self, request: &Request<'_>) -> Result<Answer> {
        if let Some(slot) = slot(&mut self.slots, request.handle)
            && slot.dictionary.take().is_some()
        {
            slot.generation += 1;
            // A slot that used up its generations rests for ever: no stale handle ever names a new dictionary.
            if slot.generation < 1 << GENERATION_BITS {
                self.free.push(request.handle as usize >> GENERATION_BITS);
            }
        }
        Ok(DONE)
    }

    /// Reads the value of the key: the first number is its form, the second a number; else the payload or the canonical bytes are
    /// the answer.
    #[inline]
    pub fn get(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.begin_answer().clear();
        let value =
            open(&mut self.slots, request.handle)?.get(request.key()?).unwrap_or(Value::NONE);
        let bytes = &mut self.answer.bytes;
        self.numbers[0] = f64::from(match value.tag {
            INTEGER | FLOAT => {
                self.numbers[1] = decode_number(&value).unwrap_or(f64::NAN);
                NUMBER
            }
            TEXT => {
                bytes.extend_from_slice(value.payload);
                if value.payload.is_ascii() { ASCII } else { UTF8 }
            }
            tag if tag < INTEGER => tag,
            tag => {
                bytes.push(tag);
                bytes.extend_from_slice(value.payload);
                CANONICAL
            }
        });
        Ok(Answer::Bytes)
    }

    /// Answers 1 where the key has a value, else 0.
    #[inline]
    pub fn has(&mut self, request: &Request<'_>) -> Result<Answer> {
        Ok(flag(open(&mut self.slots, request.handle)?.has(request.key()?)))
    }

    /// Answers the bits of the contract. The input is the key, then the value if it has a payload.
    #[inline]
    pub fn set(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, ..] = request.desk.numbers;
        let mut buffer = [0; 8];
        let (key, value) = request.entry(&mut buffer)?;
        let value = value.ok_or(Error::new(ErrorKind::InvalidValue, "there is no value"))?;
        open(&mut self.slots, request.handle)?.set(key, value, integer(now)).map(written)
    }

    /// Answers as [`Host::set`].
    #[inline]
    pub fn delete(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, ..] = request.desk.numbers;
        open(&mut self.slots, request.handle)?.delete(request.key()?, integer(now)).map(written)
    }

    /// As [`Host::set`], with a stamp whose replica id is in the head, and maybe no value.
    pub fn write_at(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, _, _, _, millis, counter, ..] = request.desk.numbers;
        let (millis, counter) = (whole(millis)?, whole(counter)?);
        if millis > MILLIS_MAX || counter > u64::from(u16::MAX) {
            return Err(invalid("a stamp has 48 bits of milliseconds and 16 of counter"));
        }
        let stamp = Stamp { hlc: millis << 16 | counter, replica: ReplicaId(*request.wide(0)) };
        let mut buffer = [0; 8];
        let (key, value) = request.entry(&mut buffer)?;
        open(&mut self.slots, request.handle)?
            .write_at(key, value, stamp, integer(now))
            .map(written)
    }

    /// Answers how many values it removed.
    pub fn delete_prefix(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, ..] = request.desk.numbers;
        open(&mut self.slots, request.handle)?
            .delete_prefix(text(request.input)?, integer(now))
            .map(number)
    }

    /// Answers the number of keys with a value.
    pub fn size(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle).map(|dictionary| number(dictionary.len()))
    }

    /// Answers no bytes or 24: u64 HLC, replica id.
    pub fn stamp_of(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| {
            out.clear();
            if let Some(stamp) = dictionary.stamp_of(request.key()?) {
                out.extend_from_slice(&stamp.hlc.to_le_bytes());
                out.extend_from_slice(&stamp.replica.0);
            }
            Ok(())
        })
    }

    /// The input is prefix, from and to, and the numbers begin with their lengths; below 0: no bound.
    pub fn scan(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [prefix, from, to, reverse, limit, ..] = request.desk.numbers;
        let mut rest = request.input;
        let mut next = |length: f64| {
            if length < 0.0 {
                return Ok(None);
            }
            let (bytes, after) = halves(rest, integer(length))?;
            rest = after;
            text(bytes).map(Some)
        };
        let range = Range {
            prefix: next(prefix)?.unwrap_or_default(),
            from: next(from)?,
            to: next(to)?,
            reverse: reverse != 0.0,
            limit: usize::try_from(integer(limit)).unwrap_or(usize::MAX),
        };
        self.ask(request, |dictionary, out| {
            dictionary.scan(&range, out);
            Ok(())
        })
    }

    /// As [`Dictionary::begin`].
    pub fn begin(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)?.begin().map(|()| DONE)
    }

    /// As [`Dictionary::commit`].
    pub fn commit(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)?.commit().map(|()| DONE)
    }

    /// As [`Dictionary::rollback`].
    pub fn rollback(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)?.rollback().map(|()| DONE)
    }

    /// Answers three bits (complete, cloned, patched), and as numbers how many entries were applied, ignored, refused.
    #[inline]
    pub fn merge(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, how, ..] = request.desk.numbers;
        let how = integer(how);
        let options = MergeOptions {
            adopt: how & ADOPT != 0,
            repair: how & REPAIR != 0,
            difference: how & DIFFERENCE != 0,
        };
        let report =
            open(&mut self.slots, request.handle)?.merge(request.input, integer(now), options)?;
        Ok(self.reported(&report))
    }

    /// As [`Dictionary::refusals`].
    pub fn refusals(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| copied(out, dictionary.refusals()))
    }

    /// As [`Dictionary::patch`].
    pub fn patch(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| copied(out, dictionary.patch()))
    }

    /// The input is prefixes in parts.
    pub fn watch(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [parts, ..] = request.desk.numbers;
        let prefixes = request.parts(parts)?.into_iter().map(text).collect::<Result<Vec<_>>>()?;
        open(&mut self.slots, request.handle)?.watch(&prefixes);
        Ok(DONE)
    }

    /// As [`Dictionary::version`].
    #[inline]
    pub fn version(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| {
            dictionary.version(out);
            Ok(())
        })
    }

    /// As [`Dictionary::horizon`].
    pub fn horizon(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| {
            dictionary.horizon(out);
            Ok(())
        })
    }

    /// As [`Dictionary::frontier`].
    pub fn frontier(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| {
            dictionary.frontier(out);
            Ok(())
        })
    }

    /// Answers no bytes or 16.
    pub fn collector(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| {
            copied(out, dictionary.collector().as_ref().map_or(&[], |id| &id[..]))
        })
    }

    /// The id is in the head.
    pub fn set_collector(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, ..] = request.desk.numbers;
        open(&mut self.slots, request.handle)?
            .set_collector(*request.wide(0), integer(now))
            .map(|()| DONE)
    }

    /// As [`Dictionary::digest`].
    pub fn digest(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| copied(out, &dictionary.digest()))
    }

    /// As [`Dictionary::replica_id`].
    pub fn replica_id(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| copied(out, &dictionary.replica_id().0))
    }

    /// The id is in the head.
    pub fn set_spare_id(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)?.set_spare_id(ReplicaId(*request.wide(0)));
        Ok(DONE)
    }

    /// Answers the first part, and as a number how many there are. The input is the base, unless a number says that there is none.
    #[inline]
    pub fn delta(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [_, _, all, ..] = request.desk.numbers;
        let base = (all == 0.0).then_some(request.input);
        self.begin_answer();
        open(&mut self.slots, request.handle)?.delta(
            base,
            &request.export_options()?,
            &mut self.answer,
        )?;
        self.numbers[0] = count(self.answer.ends.len());
        Ok(Answer::Bytes)
    }

    /// Answers as [`Host::delta`].
    pub fn snapshot(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.begin_answer();
        open(&mut self.slots, request.handle)?
            .snapshot(&request.export_options()?, &mut self.answer)?;
        self.numbers[0] = count(self.answer.ends.len());
        Ok(Answer::Bytes)
    }

    /// Answers a frame, and as numbers the next place, and 1 at the head. The input is a frontier where a number says so.
    pub fn changes_since(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [_, _, seq, has_since, ..] = request.desk.numbers;
        self.begin_answer();
        let changes = open(&mut self.slots, request.handle)?.changes_since(
            whole(seq)?,
            (has_since != 0.0).then_some(request.input),
            &request.export_options()?,
            &mut self.answer.bytes,
        )?;
        self.numbers = [float(changes.next), f64::from(u8::from(changes.at_head)), 0.0, 0.0];
        Ok(Answer::Bytes)
    }

    /// As [`Dictionary::head`].
    pub fn head(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)
            .map(|dictionary| Answer::Number(float(dictionary.head())))
    }

    /// Answers as [`Host::delta`]; the number of parts may be 0. The numbers are the limit of a part, and 1 for all of the state; the
    /// input is attributes.
    pub fn journal(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [part_bytes_max, is_whole, ..] = request.desk.numbers;
        let options =
            JournalOptions { whole: is_whole != 0.0, part_bytes_max: self::whole(part_bytes_max)? };
        self.begin_answer();
        open(&mut self.slots, request.handle)?.journal(
            request.input,
            &options,
            &mut self.answer,
        )?;
        self.numbers[0] = count(self.answer.ends.len());
        Ok(Answer::Bytes)
    }

    /// Answers 1 when the next journal has to be whole, else 0.
    pub fn is_journal_broken(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle).map(|dictionary| flag(dictionary.is_journal_broken()))
    }

    /// As [`Dictionary::replay`].
    pub fn replay(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)?.replay(request.input).map(|()| DONE)
    }

    /// The id is in the head.
    pub fn set_replica_id(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)?
            .set_replica_id(ReplicaId(*request.wide(0)))
            .map(|()| DONE)
    }

    /// As [`Dictionary::collect_tombstones`].
    pub fn collect_tombstones(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, ..] = request.desk.numbers;
        open(&mut self.slots, request.handle)?
            .collect_tombstones(request.input, integer(now))
            .map(number)
    }

    /// As [`Dictionary::restamp`].
    pub fn restamp(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, ..] = request.desk.numbers;
        open(&mut self.slots, request.handle)?.restamp(integer(now)).map(number)
    }

    /// The input is a snapshot in parts; answers as [`Host::merge`].
    pub fn reread(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, parts, ..] = request.desk.numbers;
        let report =
            open(&mut self.slots, request.handle)?.reread(&request.parts(parts)?, integer(now))?;
        Ok(self.reported(&report))
    }

    /// The seed is in the head.
    pub fn fingerprints(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| {
            dictionary.fingerprints(request.wide(0), request.input, out)
        })
    }

    /// The seed is in the head.
    pub fn hashes(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.ask(request, |dictionary, out| dictionary.hashes(request.wide(0), request.input, out))
    }

    /// The seed is in the head.
    pub fn entries_by_hash(&mut self, request: &Request<'_>) -> Result<Answer> {
        let options = request.export_options()?;
        self.ask(request, |dictionary, out| {
            dictionary.entries_by_hash(request.wide(0), request.input, &options, out)
        })
    }

    /// As [`crate::decode_entries`].
    pub fn decode_entries(&mut self, request: &Request<'_>) -> Result<Answer> {
        crate::decode_entries(request.input, self.begin_answer())?;
        Ok(Answer::Bytes)
    }

    /// As [`crate::encode_entries`].
    pub fn encode_entries(&mut self, request: &Request<'_>) -> Result<Answer> {
        crate::encode_entries(request.input, self.begin_answer())?;
        Ok(Answer::Bytes)
    }

    /// The input is the held entries, then the frame. Answers the winners, and as a number how many entries were skipped; the
    /// difference of the digests is then in the head.
    pub fn scratch_merge(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [now, drift_max, held, ..] = request.desk.numbers;
        let (held, frame) = halves(request.input, integer(held))?;
        let scratch = crate::scratch_merge(
            held,
            frame,
            integer(now),
            integer(drift_max),
            self.begin_answer(),
        )?;
        self.numbers[0] = count(scratch.refused);
        self.digest = scratch.digest_difference;
        Ok(Answer::Bytes)
    }

    /// Answers another part of the last answer.
    pub fn part(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [index, ..] = request.desk.numbers;
        let index = usize::try_from(integer(index)).unwrap_or(usize::MAX);
        if index >= self.answer.ends.len() {
            return Err(invalid("there is no such part"));
        }
        self.part = index;
        Ok(Answer::Bytes)
    }

    /// Answers why the last call failed, for people.
    pub fn reason(&mut self, _: &Request<'_>) -> Result<Answer> {
        let reason = core::mem::take(&mut self.reason);
        copied(self.begin_answer(), reason.as_bytes())?;
        Ok(Answer::Bytes)
    }

    /// Frees the last answer if it is long.
    pub fn release(&mut self, _: &Request<'_>) -> Result<Answer> {
        if self.answer.bytes.capacity() > ANSWER_BYTES_KEPT {
            self.answer = Parts::default();
            self.part = 0;
        }
        Ok(DONE)
    }

    #[inline]
    fn reported(&mut self, report: &MergeReport) -> Answer {
        self.numbers = [count(report.applied), count(report.ignored), count(report.refused), 0.0];
        let bits = u8::from(report.complete)
            | u8::from(report.cloned) << 1
            | u8::from(report.patched) << 2;
        Answer::Number(f64::from(bits))
    }
}

/// What the tests of the bindings reach.
#[cfg(feature = "test-hooks")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::missing_errors_doc,
    reason = "tests ask for small numbers; errors are as for every call"
)]
impl Host {
    /// Begins every call, and panics when it was told to.
    ///
    /// # Panics
    ///
    /// In the call that [`Host::inject_panic`] named.
    pub fn trip(&mut self) {
        self.calls_until_panic = self.calls_until_panic.saturating_sub(1);
        assert!(self.calls_until_panic != 1, "injected");
    }

    /// Makes the n-th call from now panic.
    pub fn inject_panic(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [calls, ..] = request.desk.numbers;
        self.calls_until_panic = integer(calls) + 1;
        Ok(DONE)
    }

    /// As [`Dictionary::probes`].
    pub fn probes(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)
            .map(|dictionary| Answer::Number(float(dictionary.probes())))
    }

    /// Answers so many keys of 8 letters whose hashes under seed 0 have so many zero bits at the end where the table looks.
    pub fn craft_keys(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [keys, bits, ..] = request.desk.numbers;
        let letter = |nonce: u64, at: usize| b'a' + (nonce >> (4 * at) & 15) as u8;
        let keys = (0_u64..)
            .map(|nonce| core::array::from_fn::<u8, 8, _>(|at| letter(nonce, at)))
            .filter(|key| crate::hash::table_hash([0, 0], key).leading_zeros() >= bits as u32)
            .take(keys as usize);
        let out = self.begin_answer();
        out.clear();
        out.extend(keys.flatten());
        Ok(Answer::Bytes)
    }
}

#[inline]
fn halves(input: &[u8], length: u64) -> Result<(&[u8], &[u8])> {
    usize::try_from(length)
        .ok()
        .and_then(|length| input.split_at_checked(length))
        .ok_or(invalid("the argument is shorter than it says"))
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
fn text(bytes: &[u8]) -> Result<&str> {
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

fn invalid(reason: &'static str) -> Error {
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
fn whole(number: f64) -> Result<u64> {
    if number >= 0.0 && (number.fract() == 0.0 || number.is_infinite()) {
        return Ok(integer(number));
    }
    Err(invalid("a number is negative or not whole"))
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

#[inline]
fn number(length: usize) -> Answer {
    Answer::Number(count(length))
}

#[inline]
fn flag(flag: bool) -> Answer {
    Answer::Number(f64::from(u8::from(flag)))
}

/// The bits WON and `CLOCK_AHEAD` of the contract.
#[inline]
#[must_use]
pub fn written(written: Written) -> Answer {
    Answer::Number(f64::from(u8::from(written.won) | u8::from(written.clock_ahead) << 1))
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of what `Host::ask` is given")]
fn copied(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    out.clear();
    out.extend_from_slice(bytes);
    Ok(())
}
