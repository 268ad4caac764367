//! The calls: each takes its arguments off the desk, calls one function of the core, and lays the answer where the binding takes it.

use super::request::{Request, halves, integer, invalid, text, whole};
use super::{
    ANSWER_BYTES_KEPT, ASCII, Answer, CANONICAL, GENERATION_BITS, Host, NUMBER, SLOTS_MAX, Slot,
    UTF8, count, float, open, slot,
};
use crate::value::{FLOAT, INTEGER, TEXT};
use crate::{
    Dictionary, Error, ErrorKind, JournalOptions, MILLIS_MAX, MergeOptions, MergeReport, Options,
    Parts, Range, ReplicaId, Result, Stamp, Value, Written, decode_number,
};

/// Bits of how to merge: the fields of [`MergeOptions`].
const ADOPT: u64 = 1;
const REPAIR: u64 = 2;
const DIFFERENCE: u64 = 4;

const DONE: Answer = Answer::Number(0.0);

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
