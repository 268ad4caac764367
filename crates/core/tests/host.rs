//! The face of the core that both bindings call: handles, the desk, and numbers from JavaScript.
#![allow(clippy::float_cmp, reason = "numbers that cross come out as they went in, to the bit")]

mod common;

use common::{id, options};
use lastwrite_core::host::{
    self, Answer, BODY_BYTES, CANONICAL, Desk, Host, NO_VALUE, NUMBER, PANICKED, Request, UTF8,
};
use lastwrite_core::{Dictionary, Error, ErrorKind, Result};

type Call = fn(&mut Host, &Request<'_>) -> Result<Answer>;

/// A host, its desk, and one dictionary.
struct Side {
    host: Host,
    desk: Box<Desk>,
    handle: u32,
}

impl Side {
    fn new() -> Self {
        let mut side = Self { host: Host::default(), desk: Box::new(Desk::BLANK), handle: 0 };
        side.handle = side.create(1, -1.0, &[]);
        side
    }

    fn create(&mut self, number: u8, parts: f64, input: &[u8]) -> u32 {
        self.desk.head[..16].copy_from_slice(&id(number).0);
        self.desk.head[16..32].copy_from_slice(&id(number + 100).0);
        let handle = self.number(Host::create, &[300_000.0, parts], input);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "handles have 31 bits"
        )]
        let handle = handle as u32;
        handle
    }

    fn call(&mut self, call: Call, numbers: &[f64], input: &[u8]) -> Result<Answer> {
        self.desk.numbers = [0.0; 8];
        self.desk.numbers[..numbers.len()].copy_from_slice(numbers);
        call(&mut self.host, &Request { handle: self.handle, desk: &self.desk, input })
    }

    /// What crosses the boundary: below 0 is an error.
    fn number(&mut self, call: Call, numbers: &[f64], input: &[u8]) -> f64 {
        let result = self.call(call, numbers, input);
        self.host.conclude(result, &mut self.desk)
    }

    fn bytes(&mut self, call: Call, numbers: &[f64], input: &[u8]) -> Vec<u8> {
        let length = self.number(call, numbers, input);
        assert!(length >= 0.0, "{length}");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
        let length = length as usize;
        let bytes = self.host.bytes().to_vec();
        assert_eq!(bytes.len(), length);
        if length <= BODY_BYTES {
            assert_eq!(self.desk.body[..length], bytes);
        }
        bytes
    }

    fn error(&mut self, call: Call, numbers: &[f64], input: &[u8]) -> ErrorKind {
        self.call(call, numbers, input).expect_err("should be refused").kind
    }

    fn set(&mut self, key: &str, value: &str) {
        let input = [key.as_bytes(), value.as_bytes()].concat();
        let numbers = [1_000.0, float(key.len()), f64::from(UTF8), 0.0];
        assert_eq!(self.number(Host::set, &numbers, &input), 1.0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths are small")]
fn float(length: usize) -> f64 {
    length as f64
}

#[test]
fn values_cross_in_the_form_that_javascript_has_for_them() {
    // Form, number and bytes as written, then as read.
    type Form<'a> = (f64, f64, &'a [u8], f64, f64, &'a [u8]);
    let mut side = Side::new();
    let forms: [Form<'_>; 8] = [
        (1.0, 0.0, b"", 1.0, 0.0, b""),
        (2.0, 0.0, b"", 2.0, 0.0, b""),
        (3.0, 0.0, b"", 3.0, 0.0, b""),
        (f64::from(NUMBER), -7.0, b"", f64::from(NUMBER), -7.0, b""),
        (f64::from(NUMBER), 0.5, b"", f64::from(NUMBER), 0.5, b""),
        (f64::from(UTF8), 0.0, b"text", f64::from(host::ASCII), 0.0, b"text"),
        (f64::from(UTF8), 0.0, "é".as_bytes(), f64::from(UTF8), 0.0, "é".as_bytes()),
        (f64::from(CANONICAL), 0.0, &[8, 1, 2], f64::from(CANONICAL), 0.0, &[8, 1, 2]),
    ];
    for (form, number, bytes, read_form, read_number, read_bytes) in forms {
        let input = [b"key".as_slice(), bytes].concat();
        assert_eq!(side.number(Host::set, &[1_000.0, 3.0, form, number], &input), 1.0);
        let answer = side.bytes(Host::get, &[], b"key");
        assert_eq!((side.desk.numbers[0], answer.as_slice()), (read_form, read_bytes));
        if read_form == f64::from(NUMBER) {
            assert_eq!(side.desk.numbers[1], read_number);
        }
        assert_eq!(side.number(Host::has, &[], b"key"), 1.0);
    }
    assert_eq!(side.bytes(Host::get, &[], b"absent"), b"");
    assert_eq!(side.desk.numbers[0], f64::from(NO_VALUE));
    assert_eq!(
        side.error(Host::set, &[1_000.0, 3.0, f64::from(NO_VALUE)], b"key"),
        ErrorKind::InvalidValue
    );
    assert_eq!(side.error(Host::set, &[1_000.0, 3.0, 99.0], b"key"), ErrorKind::InvalidValue);
    assert_eq!(
        side.error(Host::set, &[1_000.0, 3.0, f64::from(CANONICAL)], b"key\x0f"),
        ErrorKind::InvalidValue
    );
    assert_eq!(side.error(Host::set, &[1_000.0, 9.0, 1.0], b"key"), ErrorKind::InvalidArgument);
}

#[test]
fn keys_are_looked_at_by_every_call_that_takes_one() {
    let mut side = Side::new();
    let long = vec![b'k'; 1_025];
    for key in [b"".as_slice(), b"\xff", &long] {
        for call in [Host::get, Host::has, Host::delete, Host::stamp_of] as [Call; 4] {
            assert_eq!(side.error(call, &[1_000.0], key), ErrorKind::InvalidKey);
        }
        for call in [Host::set, Host::write_at] as [Call; 2] {
            assert_eq!(
                side.error(call, &[1_000.0, float(key.len()), 1.0], key),
                ErrorKind::InvalidKey
            );
        }
    }
    assert_eq!(side.error(Host::delete_prefix, &[1_000.0], b"no slash"), ErrorKind::InvalidPrefix);
    assert_eq!(side.error(Host::delete_prefix, &[1_000.0], b"\xff/"), ErrorKind::InvalidKey);
}

#[test]
fn writes_answer_bits_and_counts() {
    let mut side = Side::new();
    side.set("d/a", "one");
    side.set("d/b", "two");
    side.set("e", "three");
    assert_eq!(side.number(Host::size, &[], b""), 3.0);
    assert_eq!(side.number(Host::delete, &[1_000.0], b"e"), 1.0);
    assert_eq!(side.number(Host::delete, &[1_000.0], b"e"), 0.0);
    assert_eq!(side.number(Host::delete_prefix, &[1_000.0], b"d/"), 2.0);
    side.desk.head[..16].copy_from_slice(&id(9).0);
    let at = |millis: f64, counter: f64| [1_000.0, 1.0, 1.0, 0.0, millis, counter];
    assert_eq!(side.number(Host::write_at, &at(301_000.0, 5.0), b"x"), 1.0);
    let stamp = side.bytes(Host::stamp_of, &[], b"x");
    assert_eq!(stamp, [&(301_000_u64 << 16 | 5).to_le_bytes()[..], &id(9).0].concat());
    assert_eq!(side.bytes(Host::stamp_of, &[], b"nowhere"), b"");
    assert_eq!(side.error(Host::write_at, &at(301_001.0, 0.0), b"x"), ErrorKind::ClockDrift);
    for (millis, counter) in [
        (-1.0, 0.0),
        (0.5, 0.0),
        (f64::NAN, 0.0),
        (281_474_976_710_656.0, 0.0),
        (0.0, 65_536.0),
        (f64::INFINITY, 0.0),
    ] {
        assert_eq!(
            side.error(Host::write_at, &at(millis, counter), b"x"),
            ErrorKind::InvalidArgument
        );
    }
    // The clock is ahead of an earlier now: bit 2.
    assert_eq!(side.number(Host::set, &[999.0, 1.0, 1.0], b"y"), 3.0);
}

#[test]
fn scans_take_bounds_by_their_lengths() {
    let mut side = Side::new();
    for key in ["a/1", "a/2", "b"] {
        side.set(key, "v");
    }
    let all = side.bytes(Host::scan, &[-1.0, -1.0, -1.0, 0.0, f64::INFINITY], b"");
    assert_eq!(all[0], 3);
    let some = side.bytes(Host::scan, &[2.0, 3.0, 1.0, 1.0, 10.0], b"a/a/2b");
    assert_eq!(some[0], 1);
    assert_eq!(
        side.error(Host::scan, &[9.0, -1.0, -1.0, 0.0, 1.0], b"a"),
        ErrorKind::InvalidArgument
    );
    assert_eq!(
        side.error(Host::scan, &[1.0, -1.0, -1.0, 0.0, 1.0], b"\xff"),
        ErrorKind::InvalidKey
    );
}

#[test]
fn exports_and_merges_cross_in_parts() {
    let mut side = Side::new();
    side.set("x", "a text of some length");
    side.set("y", "a text of some length");
    let other = side.create(2, -1.0, &[]);
    let first = side.bytes(Host::delta, &[20.0, f64::INFINITY, 1.0], b"");
    assert_eq!(side.desk.numbers[0], 2.0);
    let second = side.bytes(Host::part, &[1.0], b"");
    assert_eq!(side.bytes(Host::part, &[0.0], b""), first);
    assert_eq!(side.error(Host::part, &[2.0], b""), ErrorKind::InvalidArgument);
    assert_eq!(side.error(Host::part, &[f64::INFINITY], b""), ErrorKind::InvalidArgument);
    let whole = side.bytes(Host::snapshot, &[f64::INFINITY, f64::INFINITY], b"");
    for numbers in [[0.0, 1.0], [0.5, 1.0], [1.0, -1.0], [f64::NAN, 1.0]] {
        assert_eq!(side.error(Host::snapshot, &numbers, b""), ErrorKind::InvalidArgument);
    }
    let version = side.bytes(Host::version, &[], b"");
    let digest = side.bytes(Host::digest, &[], b"");
    let changes = side.bytes(Host::changes_since, &[f64::INFINITY, f64::INFINITY, 0.0], b"");
    assert_eq!(side.desk.numbers[..2], [2.0, 1.0]);
    assert_eq!(side.number(Host::head, &[], b""), 2.0);
    let nothing = side.bytes(Host::delta, &[f64::INFINITY, f64::INFINITY, 0.0], &version);
    assert!(common::rows(&nothing).is_empty(), "a delta since the own version");

    side.handle = other;
    side.number(Host::watch, &[1.0], b"x");
    assert_eq!(side.number(Host::merge, &[2_000.0, 0.0], &second), 0.0);
    assert_eq!(
        side.number(Host::merge, &[2_000.0, 0.0], &first),
        5.0,
        "complete, and x was watched"
    );
    assert_eq!(side.desk.numbers[..3], [1.0, 0.0, 0.0]);
    assert_eq!(side.bytes(Host::patch, &[], b"")[0], 1);
    assert_eq!(side.bytes(Host::refusals, &[], b"").len(), 24);
    assert_eq!(side.bytes(Host::digest, &[], b""), digest);
    assert_eq!(side.number(Host::merge, &[2_000.0, 1.0], &changes), 1.0);
    assert_eq!(side.error(Host::merge, &[2_000.0, 0.0], b"LW"), ErrorKind::CorruptBytes);
    assert_eq!(side.bytes(Host::horizon, &[], b"").len(), 11);
    assert_eq!(side.number(Host::collect_tombstones, &[2_000.0], &version), 0.0);
    assert_eq!(side.number(Host::restamp, &[2_000.0], b""), 0.0);
    assert_eq!(side.bytes(Host::replica_id, &[], b""), id(2).0);
    side.desk.head[..16].copy_from_slice(&id(3).0);
    assert_eq!(side.number(Host::set_spare_id, &[], b""), 0.0);

    assert_eq!(side.number(Host::reread, &[2_000.0, 1.0], &whole), 1.0);
    let lengths = |parts: &[&[u8]]| -> Vec<u8> {
        parts
            .iter()
            .flat_map(|part| u32::try_from(part.len()).expect("short").to_le_bytes())
            .collect()
    };
    let loaded = side.create(4, 1.0, &whole);
    side.handle = loaded;
    assert_eq!(side.bytes(Host::digest, &[], b""), digest);
    let first = side.bytes(Host::snapshot, &[20.0, f64::INFINITY], b"");
    let second = side.bytes(Host::part, &[1.0], b"");
    let parts = [lengths(&[&second, &first]), second.clone(), first.clone()].concat();
    assert_eq!(side.number(Host::reread, &[2_000.0, 2.0], &parts), 1.0);
    assert_eq!(side.error(Host::reread, &[2_000.0, 3.0], &parts), ErrorKind::InvalidArgument);
    assert_eq!(side.error(Host::reread, &[2_000.0, 1e15], &parts), ErrorKind::InvalidArgument);
    assert_eq!(side.error(Host::reread, &[2_000.0, 0.0], b""), ErrorKind::InvalidArgument);
    let prefixes = [lengths(&[b"a/", b"b"]), b"a/b".to_vec()].concat();
    assert_eq!(side.number(Host::watch, &[2.0], &prefixes), 0.0);
    assert_eq!(side.error(Host::watch, &[1.0], b"\xff"), ErrorKind::InvalidKey);
}

#[test]
fn journals_cross_in_parts_or_as_none() {
    let mut side = Side::new();
    side.set("x", "a text of some length");
    let difference = side.bytes(Host::journal, &[f64::INFINITY, 0.0], b"\x01a\x00");
    assert_eq!(side.desk.numbers[0], 1.0);
    assert_eq!(side.bytes(Host::journal, &[f64::INFINITY, 0.0], b""), b"");
    assert_eq!(side.desk.numbers[0], 0.0, "no part");
    assert_eq!(side.error(Host::part, &[0.0], b""), ErrorKind::InvalidArgument);
    side.set("y", "a text of some length");
    let first = side.bytes(Host::journal, &[20.0, 1.0], b"");
    assert_eq!(side.desk.numbers[0], 2.0);
    let second = side.bytes(Host::part, &[1.0], b"");
    for limit in [0.0, 0.5, -1.0, f64::NAN] {
        assert_eq!(side.error(Host::journal, &[limit, 0.0], b""), ErrorKind::InvalidArgument);
    }
    assert_eq!(side.number(Host::is_journal_broken, &[], b""), 0.0);
    let digest = side.bytes(Host::digest, &[], b"");
    side.handle = side.create(2, -1.0, &[]);
    for frame in [&first, &second] {
        assert_eq!(side.number(Host::replay, &[], frame), 0.0);
    }
    assert_eq!(side.bytes(Host::digest, &[], b""), digest);
    assert_eq!(side.bytes(Host::replica_id, &[], b""), id(1).0);
    assert_eq!(side.error(Host::replay, &[], &difference), ErrorKind::InvalidArgument);
    assert_eq!(side.error(Host::replay, &[], b"LW"), ErrorKind::CorruptBytes);
    let whole = side.bytes(Host::snapshot, &[f64::INFINITY, f64::INFINITY], b"");
    assert_eq!(side.number(Host::reread, &[2_000.0, 1.0], &whole), 1.0);
    assert_eq!(side.number(Host::is_journal_broken, &[], b""), 1.0);
    side.desk.head[..16].copy_from_slice(&id(3).0);
    assert_eq!(side.number(Host::set_replica_id, &[], b""), 0.0);
    assert_eq!(side.bytes(Host::replica_id, &[], b""), id(3).0);
}

#[test]
fn entries_cross_as_columns() {
    let mut side = Side::new();
    side.set("x", "v");
    let frame = side.bytes(Host::delta, &[f64::INFINITY, f64::INFINITY, 1.0], b"");
    let columns = side.bytes(Host::decode_entries, &[], &frame);
    let entries = side.bytes(Host::encode_entries, &[], &columns);
    assert_eq!(side.bytes(Host::decode_entries, &[], &entries), columns);
    let input = [entries.as_slice(), &frame].concat();
    let winners = side.bytes(Host::scratch_merge, &[2_000.0, 0.0, float(entries.len())], &input);
    assert_eq!(
        (winners[0], side.desk.numbers[0], &side.desk.head[..16]),
        (0, 0.0, [0; 16].as_slice())
    );
    assert_eq!(
        side.error(Host::scratch_merge, &[2_000.0, 0.0, 1e9], &input),
        ErrorKind::InvalidArgument
    );
    side.desk.head[..16].copy_from_slice(&[7; 16]);
    let hashes = side.bytes(Host::hashes, &[], &[0; 9]);
    side.desk.head[..16].copy_from_slice(&[7; 16]);
    assert_eq!(side.bytes(Host::fingerprints, &[], &[0; 9]).len(), 192);
    side.desk.head[..16].copy_from_slice(&[7; 16]);
    let changes =
        side.bytes(Host::entries_by_hash, &[f64::INFINITY, f64::INFINITY], &hashes[4..12]);
    assert_eq!(common::rows(&changes).len(), 1);
}

#[test]
fn transactions_cross() {
    let mut side = Side::new();
    assert_eq!(side.number(Host::begin, &[], b""), 0.0);
    side.set("x", "v");
    assert_eq!(side.error(Host::begin, &[], b""), ErrorKind::TransactionOpen);
    assert_eq!(side.number(Host::rollback, &[], b""), 0.0);
    assert_eq!(side.number(Host::size, &[], b""), 0.0);
    assert_eq!(
        side.number(Host::commit, &[], b""),
        -f64::from(ErrorKind::TransactionOpen.number())
    );
    let reason = side.bytes(Host::reason, &[], b"");
    assert!(std::str::from_utf8(&reason).expect("UTF-8").contains("no transaction"));
    assert_eq!(side.bytes(Host::reason, &[], b""), b"", "a reason is told once");
    side.number(Host::begin, &[], b"");
    assert_eq!(side.number(Host::commit, &[], b""), 0.0);
}

#[test]
fn a_closed_handle_never_names_another_dictionary() {
    let mut side = Side::new();
    let first = side.handle;
    assert_eq!(side.number(Host::close, &[], b""), 0.0);
    assert_eq!(side.number(Host::close, &[], b""), 0.0, "twice is harmless");
    assert_eq!(side.error(Host::size, &[], b""), ErrorKind::Closed);
    // A slot is used again until its generations are used up.
    for _ in 0..3_000 {
        side.handle = side.create(1, -1.0, &[]);
        assert_ne!(side.handle, first);
        side.number(Host::close, &[], b"");
    }
    side.handle = first;
    assert_eq!(side.error(Host::size, &[], b""), ErrorKind::Closed);
    side.handle = 0;
    assert_eq!(side.error(Host::size, &[], b""), ErrorKind::Closed);
    side.handle = u32::MAX;
    assert_eq!(side.error(Host::size, &[], b""), ErrorKind::Closed);
    assert_eq!(side.number(Host::close, &[], b""), 0.0);
}

#[test]
fn a_dictionary_whose_call_panicked_is_given_up() {
    let mut side = Side::new();
    let other = side.create(2, -1.0, &[]);
    assert_eq!(side.host.abandon(side.handle, "what the panic said"), -f64::from(PANICKED));
    assert_eq!(side.bytes(Host::reason, &[], b""), b"what the panic said");
    assert_eq!(side.error(Host::size, &[], b""), ErrorKind::Closed);
    assert_eq!(side.host.abandon(u32::MAX, "nobody's"), -f64::from(PANICKED));
    side.handle = other;
    assert_eq!(side.number(Host::size, &[], b""), 0.0, "others go on");
    let error = Error { kind: ErrorKind::InvalidKey, reason: "said by the binding" };
    assert_eq!(side.host.fail(error), -2.0);
    assert!(side.host.dictionary(other).is_ok_and(|dictionary| dictionary.is_empty()));
}

#[test]
fn long_answers_are_read_from_the_host_and_then_freed() {
    let mut side = Side::new();
    let text = "v".repeat(3 << 18);
    side.set("x", &text);
    side.set("y", &text);
    let snapshot = side.bytes(Host::snapshot, &[f64::INFINITY, f64::INFINITY], b"");
    assert!(snapshot.len() > BODY_BYTES);
    side.number(Host::release, &[], b"");
    assert_eq!(side.host.bytes(), b"");
    side.bytes(Host::version, &[], b"");
    side.number(Host::release, &[], b"");
    assert!(!side.host.bytes().is_empty(), "short answers are kept for their memory");
}

#[test]
fn the_desk_begins_empty() {
    let desk = Desk::BLANK;
    assert!(desk.body.iter().chain(&desk.head).all(|&byte| byte == 0) && desk.numbers == [0.0; 8]);
    assert!(Dictionary::new(&options(1)).is_empty());
}

#[cfg(feature = "test-hooks")]
#[test]
fn hooks_count_probes_craft_keys_and_panic_when_told() {
    let mut side = Side::new();
    side.set("x", "v");
    side.bytes(Host::get, &[], b"x");
    assert!(side.number(Host::probes, &[], b"") >= 2.0);
    assert_eq!(side.bytes(Host::craft_keys, &[3.0, 4.0], b"").len(), 24);
    side.number(Host::inject_panic, &[2.0], b"");
    side.host.trip();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| side.host.trip()));
    assert!(panicked.is_err());
    side.host.trip();
}
