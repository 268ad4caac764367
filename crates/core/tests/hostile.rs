//! Bytes from outside: whatever they are, an error with a kind, or a valid frame; never a panic, and after an error nothing changed.

mod common;

use common::{
    ADOPTING, PLAIN, delta, digest_of, id, journal_of, open, options, rows, seal, snapshot, state,
    version, whole_journal,
};
use lastwrite_core::{
    Dictionary, Error, ErrorKind, ExportOptions, JournalOptions, MergeOptions, Parts, Stamp, Value,
    compare_versions, decode_entries, encode_entries, scratch_merge,
};
use proptest::prelude::*;

const NOW: u64 = 5_000;

/// What decoding may say; and, of frames that are sound, what their content may be refused for.
fn is_expected(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::CorruptBytes
            | ErrorKind::UnsupportedFormat
            | ErrorKind::TooLarge
            | ErrorKind::ReceiverBelowHorizon
            | ErrorKind::SenderBelowHorizon
            | ErrorKind::ClockDrift
            | ErrorKind::InvalidArgument
    )
}

/// Frames of every kind, of a dictionary that has something for every field and column.
fn frames() -> Vec<Vec<u8>> {
    let (mut a, mut b) = (open(1), open(2));
    let canonical: [&[u8]; 8] = [
        &[1],
        &[4, 0x85, 1],
        &[5, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
        &[6, b't', b'e', b'x', b't'],
        &[7, 0, 0xd8],
        &[9, 0, 7],
        &[10, 3],
        &[12, 1, 6, 1, b'k', 11, 2, 1, 13, 4, 1, b't', 8, 0],
    ];
    for (index, canonical) in canonical.iter().enumerate() {
        let value = Value::from_canonical(canonical).expect("canonical");
        a.set(&format!("keys/of some length/{index}"), value, 1_000 + index as u64).expect("a key");
    }
    a.delete("keys/of some length/0", 1_020).expect("a key");
    common::pull(&mut b, &mut a, NOW);
    b.set("b", Value::text("from b"), 1_100).expect("a key");
    b.write_at(
        "c",
        Some(Value::text("imported")),
        Stamp { hlc: 1_050 << 16 | 3, replica: id(9) },
        NOW,
    )
    .expect("a stamp");
    let base = version(&b);
    b.set("d", Value::text("later"), 1_101).expect("a key");
    b.delete("keys/of some length/1", 1_102).expect("a key");
    b.delete_prefix("nothing/", 1_103).expect("a prefix");
    // An exception, as what lies before it is missing; and origins.
    let gap = delta(&mut b, Some(&base));
    a.merge(&gap, NOW, PLAIN).expect("a delta");
    a.set("own", Value::text("beside an exception"), 1_104).expect("a key");
    let mut parts = Parts::default();
    let other = {
        let mut c = open(3);
        c.set("c's", Value::text("kept"), 1_000).expect("a key");
        let whole = snapshot(&mut a);
        c.reread(&[&whole], NOW).expect("a snapshot");
        c
    };
    let mut c = other;
    let mut frames =
        vec![gap, delta(&mut a, None), delta(&mut c, None), snapshot(&mut a), snapshot(&mut c)];
    for part_bytes_max in [60, u64::MAX] {
        let export = ExportOptions { part_bytes_max, stamp_limit: 1_101 };
        a.delta(Some(&base), &export, &mut parts).expect("a version");
        frames.extend(parts.iter().map(<[u8]>::to_vec));
        c.snapshot(&export, &mut parts).expect("no transaction");
        frames.extend(parts.iter().map(<[u8]>::to_vec));
    }
    let mut out = Vec::new();
    c.changes_since(0, None, &ExportOptions::default(), &mut out).expect("a place");
    frames.push(out.clone());
    let mut columns = Vec::new();
    decode_entries(&out, &mut columns).expect("a frame");
    encode_entries(&columns, &mut out).expect("columns");
    frames.push(out.clone());
    frames.push(version(&a));
    frames.push(version(&c));
    // A whole journal in parts, and a difference with exceptions and attributes.
    frames.extend(journal_of(&mut a, b"", &JournalOptions { whole: true, part_bytes_max: 150 }));
    a.set("own", Value::text("after the journal"), 1_105).expect("a key");
    a.delete_prefix("nothing/", 1_106).expect("a prefix");
    frames.extend(journal_of(&mut a, b"\x01n\x02v", &JournalOptions::default()));
    // From here on frames carry a horizon, which only those may merge who have seen as much.
    a.collect_tombstones(&version(&a), NOW).expect("a version");
    frames.extend([delta(&mut a, None), snapshot(&mut a), whole_journal(&mut a)]);
    a.horizon(&mut out);
    frames.push(out.clone());
    // And who collects; differences to what is in part the same.
    c.frontier(&mut out);
    let since = out.clone();
    a.set_collector([7; 16], 1_107).expect("no transaction");
    a.frontier(&mut out);
    frames.extend([since.clone(), out.clone(), snapshot(&mut a), delta(&mut a, None)]);
    frames.extend(common::journal(&mut a));
    a.changes_since(0, Some(&since), &ExportOptions::default(), &mut out).expect("a place");
    frames.push(out.clone());
    let export = ExportOptions { part_bytes_max: 40, stamp_limit: 1_101 };
    a.changes_since(0, Some(&since), &export, &mut out).expect("a place");
    frames.push(out);
    frames
}

/// Whether these are changes that no more than their entries can be read of.
fn is_difference(bytes: &[u8]) -> bool {
    let merged = open(1).merge(bytes, NOW, PLAIN);
    bytes[3] == 4 && merged.is_err_and(|error| error.kind == ErrorKind::UnsupportedFormat)
}

/// Who is given the bytes, and whom no error may change.
struct Victim {
    dictionary: Dictionary,
    home: Vec<u8>,
    before: common::State,
}

impl Victim {
    fn new() -> Self {
        let mut home = open(1);
        home.set("keys/of some length/3", Value::text("held"), 1_003).expect("a key");
        home.set("own", Value::text("held"), 1_003).expect("a key");
        home.delete("own", 1_003).expect("a key");
        home.delete_prefix("nothing/", 1_000).expect("a prefix");
        let mut victim =
            Self { dictionary: open(1), home: snapshot(&mut home), before: state(&mut home) };
        victim.reset();
        victim
    }

    fn reset(&mut self) {
        self.dictionary = Dictionary::load(&options(1), &[&self.home]).expect("a snapshot");
        self.before = state(&mut self.dictionary);
    }

    /// Gives the bytes to every call that takes some. Answers what merging said to who answers for everything.
    fn take(&mut self, bytes: &[u8]) -> Result<(), ErrorKind> {
        let mut out = Vec::new();
        let mut parts = Parts::default();
        let everything = MergeOptions { adopt: true, repair: true, difference: true };
        let [alone, merged] = [ADOPTING, everything].map(|options| {
            let merged = self.dictionary.merge(bytes, NOW, options).map(|_| ());
            self.looked_at(merged.is_ok());
            merged
        });
        let export = ExportOptions::default();
        let told = self.dictionary.changes_since(0, Some(bytes), &export, &mut out).map(|_| ());
        self.looked_at(false);
        let reread = self.dictionary.reread(&[bytes], NOW);
        assert!(!reread.is_ok_and(|report| !report.complete));
        self.looked_at(reread.is_ok());
        let collected = self.dictionary.collect_tombstones(bytes, NOW);
        self.looked_at(collected.is_ok());
        let replayed = self.dictionary.replay(bytes);
        if replayed.is_ok() {
            put_back(&mut self.dictionary);
        }
        self.looked_at(replayed.is_ok());
        let mut empty = open(1);
        if empty.replay(bytes).is_ok() {
            put_back(&mut empty);
            sound(&mut empty);
        }
        let exported = self.dictionary.delta(Some(bytes), &ExportOptions::default(), &mut parts);
        self.looked_at(false);
        let errors = [
            reread.map(|_| ()).err(),
            collected.map(|_| ()).err(),
            replayed.err(),
            exported.err(),
            alone.err(),
            merged.err(),
            told.err(),
        ];
        for error in errors.into_iter().flatten() {
            assert!(is_expected(&error), "{error}");
        }
        if let Ok(mut loaded) = Dictionary::load(&options(1), &[bytes]) {
            sound(&mut loaded);
        }
        if decode_entries(bytes, &mut out).is_ok() {
            let mut again = Vec::new();
            encode_entries(&out, &mut again).expect("own columns");
            assert_eq!(rows(&again), rows(bytes), "columns hold all of a frame");
            let merged = scratch_merge(&again, bytes, NOW, 300_000, &mut out);
            let is_taken = bytes[3] != 6 && !is_difference(bytes);
            assert_eq!(merged.is_ok(), is_taken, "journals and differences are not merged");
        }
        if let Ok(order) = compare_versions(bytes, bytes) {
            assert_eq!(order, lastwrite_core::VersionOrder::Equal);
        }
        merged.map_err(|error| error.kind)
    }

    /// After an error nothing may have changed; after success everything has to be sound.
    fn looked_at(&mut self, is_changed: bool) {
        if is_changed {
            sound(&mut self.dictionary);
            self.reset();
        } else {
            assert_eq!(state(&mut self.dictionary), self.before);
        }
    }

    /// That the clock, too, is where it was.
    fn finish(mut self) {
        let mut control = Dictionary::load(&options(1), &[&self.home]).expect("a snapshot");
        for dictionary in [&mut self.dictionary, &mut control] {
            dictionary.set("next", Value::text("stamp"), 0).expect("a key");
        }
        assert_eq!(state(&mut self.dictionary), state(&mut control));
    }
}

/// That what was replayed can be told again, and is the same then.
fn put_back(dictionary: &mut Dictionary) {
    assert!(common::journal(dictionary).is_empty(), "the own storage has it");
    let whole = whole_journal(dictionary);
    let mut again = open(7);
    again.replay(&whole).expect("an own journal");
    assert_eq!(whole_journal(&mut again), whole);
}

/// That what a dictionary says of itself agrees.
fn sound(dictionary: &mut Dictionary) {
    let bytes = snapshot(dictionary);
    let rows = rows(&bytes);
    assert_eq!(digest_of(&rows), dictionary.digest());
    assert_eq!(rows.iter().filter(|row| (1..14).contains(&row.tag)).count(), dictionary.len());
    let loaded = Dictionary::load(&options(77), &[&bytes]).expect("an own snapshot");
    assert_eq!((loaded.digest(), version(&loaded)), (dictionary.digest(), version(dictionary)));
}

#[test]
fn every_truncation_is_refused_and_changes_nothing() {
    let mut victim = Victim::new();
    for frame in frames() {
        for length in 0..frame.len() {
            assert_eq!(victim.take(&frame[..length]), Err(ErrorKind::CorruptBytes));
            // With a checksum that fits: the rest is looked at.
            let mut sealed = frame[..length].to_vec();
            sealed.extend_from_slice(&[0; 4]);
            seal(&mut sealed);
            let _ = victim.take(&sealed);
        }
    }
    victim.finish();
}

#[test]
fn every_flipped_bit_is_refused_or_gives_a_valid_frame() {
    let mut victim = Victim::new();
    let mut taken = 0;
    for frame in frames() {
        for bit in 0..8 * frame.len() {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                victim.dictionary.merge(&flipped, NOW, ADOPTING).map_err(|error| error.kind),
                Err(ErrorKind::CorruptBytes)
            );
            seal(&mut flipped);
            taken += usize::from(victim.take(&flipped).is_ok());
        }
    }
    assert!(taken > 100, "only {taken} frames with another bit were valid: is the checksum right?");
    victim.finish();
}

#[test]
fn frames_of_every_kind_are_valid_before_they_are_damaged() {
    let mut kinds = std::collections::BTreeSet::new();
    let mut victim = Victim::new();
    for frame in frames() {
        kinds.insert(frame[3]);
        let mut resealed = frame.clone();
        seal(&mut resealed);
        assert_eq!(resealed, frame, "two readings of XXH32 agree");
        if matches!(frame[3], 1 | 2 | 4) {
            let outcome = victim.take(&frame);
            assert!(
                outcome.is_ok() || outcome == Err(ErrorKind::ReceiverBelowHorizon),
                "{outcome:?}"
            );
        } else {
            assert_eq!(victim.take(&frame), Err(ErrorKind::UnsupportedFormat));
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
}

/// A block of one delta whose columns are given; those of the other entries are as they have to be.
fn delta_of(entries: &[u8], columns: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut frame = b"LW\x01\x01\x01\x10".to_vec();
    frame.extend_from_slice(&id(5).0);
    frame.extend_from_slice(&[3, 2, 0, 0, 6, 1, 0, 0]);
    frame.extend_from_slice(entries);
    for (column, bytes) in columns {
        frame.push(*column);
        frame.extend_from_slice(&varint(bytes.len() as u64));
        frame.extend_from_slice(bytes);
    }
    frame.extend_from_slice(&[0; 5]);
    seal(&mut frame);
    frame
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
    bytes
}

/// One text `value` under the key k.
fn text_entry(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut columns = vec![
        (1, vec![1]),
        (2, b"k".to_vec()),
        (3, vec![tag]),
        (4, vec![0, 0]),
        (5, vec![0]),
        (6, vec![6]),
    ];
    columns.extend([(11, varint(value.len() as u64)), (12, value.to_vec())]);
    delta_of(&[1], &columns)
}

#[test]
fn nesting_is_taken_to_64_and_refused_beyond() {
    for (depth, expected) in [(63, true), (64, true), (65, false), (66, false), (500_000, false)] {
        let mut payload = [1, 11].repeat(depth - 1);
        payload.push(0);
        assert_eq!(
            open(1).merge(&text_entry(11, &payload), NOW, PLAIN).is_ok(),
            expected,
            "{depth} arrays"
        );
    }
    // A million deep does not fit a value: refused for its length, and not followed either.
    let payload = [1, 11].repeat(1_000_000);
    assert_eq!(
        open(1).merge(&text_entry(11, &payload), NOW, PLAIN).map_err(|error| error.kind),
        Err(ErrorKind::CorruptBytes)
    );
}

#[test]
fn values_are_taken_to_a_mebibyte_and_refused_beyond() {
    let longest = vec![b'v'; (1 << 20) - 1];
    assert!(open(1).merge(&text_entry(6, &longest), NOW, PLAIN).is_ok());
    let longer = vec![b'v'; 1 << 20];
    assert_eq!(
        open(1).merge(&text_entry(6, &longer), NOW, PLAIN).map_err(|error| error.kind),
        Err(ErrorKind::CorruptBytes)
    );
    let mut dictionary = open(1);
    dictionary.merge(&text_entry(6, &longest), NOW, PLAIN).expect("sound");
    assert_eq!(rows(&snapshot(&mut dictionary))[0].payload.len(), longest.len());
}

#[test]
fn a_block_that_is_not_full_is_the_last_one() {
    let one = text_entry(6, b"v");
    let block = &one[6 + 16 + 8..one.len() - 4];
    let mut two = one[..one.len() - 4].to_vec();
    two.extend_from_slice(block);
    two.extend_from_slice(&[0; 4]);
    seal(&mut two);
    assert_eq!(
        open(1).merge(&two, NOW, PLAIN).map_err(|error| error.kind),
        Err(ErrorKind::CorruptBytes)
    );
}

#[test]
fn own_frames_are_never_refused() {
    // The worst for front coding: keys of 1,024 bytes that share all but the last ones.
    let mut dictionary = open(1);
    for number in 0..9_000_u32 {
        let key = format!("{}{number:04}", "k".repeat(1_020));
        dictionary.set(&key, Value { tag: 1, payload: &[] }, 1_000).expect("a key");
    }
    let whole = snapshot(&mut dictionary);
    assert!(whole.len() < 9_000 * 60, "keys share what they may: {}", whole.len());
    let mut other = open(2);
    other.merge(&whole, NOW, PLAIN).expect("an own snapshot");
    other.merge(&delta(&mut dictionary, None), NOW, PLAIN).expect("an own delta");
    assert_eq!(snapshot(&mut other), whole);

    let mut many = open(3);
    for number in 0..100_000_u32 {
        many.set(
            &format!("user:{number:06}:field{}", number % 10),
            Value { tag: 1, payload: &[] },
            1_000,
        )
        .expect("a key");
    }
    many.delete_prefix("a/", 1_000).expect("a prefix");
    let mut out = Vec::new();
    let whole = snapshot(&mut many);
    assert!(whole.len() < 100_000 * 20);
    other = Dictionary::load(&options(2), &[&whole]).expect("an own snapshot");
    assert_eq!(other.digest(), many.digest());
    decode_entries(&whole, &mut out).expect("an own snapshot");
    let mut entries = Vec::new();
    encode_entries(&out, &mut entries).expect("own columns");
    decode_entries(&entries, &mut out).expect("an own frame of entries");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut victim = Victim::new();
        prop_assert_eq!(victim.take(&bytes), Err(ErrorKind::CorruptBytes));
        let mut columns = Vec::new();
        prop_assert!(encode_entries(&bytes, &mut columns).is_err());
        let mut framed = [b"LW\x01".as_slice(), &[bytes.first().map_or(1, |byte| byte % 7)], &bytes].concat();
        seal(&mut framed);
        let _ = victim.take(&framed);
        victim.finish();
    }

    #[test]
    fn frames_with_several_bytes_changed_are_refused_or_valid(
        frame in prop::sample::select(frames()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        let mut bytes = frame;
        for (at, byte, how) in changes {
            let at = 4 + at.index(bytes.len().saturating_sub(8).max(1));
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] = bytes[at].wrapping_add(byte % 3).wrapping_sub(1),
            }
        }
        seal(&mut bytes);
        let mut victim = Victim::new();
        let _ = victim.take(&bytes);
        victim.finish();
    }

    #[test]
    fn columns_with_bytes_changed_are_refused_or_valid(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..4),
    ) {
        let mut columns = Vec::new();
        decode_entries(&frames()[2], &mut columns).expect("a frame");
        for (at, byte, how) in changes {
            let at = at.index(columns.len());
            match how {
                0 => columns[at] = byte,
                1 => columns[at] ^= 1 << (byte % 8),
                _ => columns.truncate(at.max(24)),
            }
        }
        let mut entries = Vec::new();
        match encode_entries(&columns, &mut entries) {
            Ok(()) => prop_assert!(decode_entries(&entries, &mut columns).is_ok()),
            Err(error) => prop_assert_eq!(error.kind, ErrorKind::CorruptBytes),
        }
    }
}
