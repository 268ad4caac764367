//! What calls take in memory, counted: bounds for bytes that are refused, and for histories that go on for ever.
#![allow(unsafe_code, reason = "a counting allocator can be written in no other way")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{
    ADOPTING, PLAIN, delta, id, integer, open, options, pull, rows, seal, snapshot, version,
};
use lastwrite_core::{
    Dictionary, ErrorKind, ExportOptions, Options, Parts, Value, decode_entries, encode_entries,
    scratch_merge,
};

/// Counts what the thread holds, and the most that it held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is the system's allocator's; counting takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grew(size);
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn grew(by: usize) {
    HELD.set(HELD.get().wrapping_add(by));
    MOST.set(MOST.get().max(HELD.get()));
}

#[global_allocator]
static COUNTING: Counting = Counting;

const NOW: u64 = 5_000;
const MIB: usize = 1 << 20;

/// The most that `call` held beyond what was held before it.
fn extra<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let answer = call();
    (answer, MOST.get() - before)
}

/// Gives bytes to every call that takes some, and holds each one to the bound if it refuses them.
fn assert_bounded(bytes: &[u8]) {
    let bound = 4 * bytes.len() + MIB;
    let mut dictionary = open(1);
    dictionary.set("k", Value::text("held"), 1_000).expect("a key");
    let (mut out, mut parts) = (Vec::new(), Parts::default());
    let check = |name: &str, (is_refused, extra): (bool, usize)| {
        assert!(
            !is_refused || extra <= bound,
            "{name} took {extra} bytes for {} that it refused",
            bytes.len()
        );
    };
    check("merge", extra(|| dictionary.merge(bytes, NOW, ADOPTING).is_err()));
    check("reread", extra(|| dictionary.reread(&[bytes], NOW).is_err()));
    check("collect", extra(|| dictionary.collect_tombstones(bytes, NOW).is_err()));
    check(
        "delta",
        extra(|| dictionary.delta(Some(bytes), &ExportOptions::default(), &mut parts).is_err()),
    );
    check("replay", extra(|| dictionary.replay(bytes).is_err()));
    check("load", extra(|| Dictionary::load(&options(2), &[bytes]).is_err()));
    check("decode_entries", extra(|| decode_entries(bytes, &mut out).is_err()));
    check("encode_entries", extra(|| encode_entries(bytes, &mut out).is_err()));
    check("scratch_merge", extra(|| scratch_merge(bytes, bytes, NOW, 0, &mut out).is_err()));
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

/// A frame of `kind` with these bytes after the table of one replica; the checksum is right.
fn frame(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![b'L', b'W', 1, kind, 1, 16];
    frame.extend_from_slice(&id(5).0);
    frame.extend_from_slice(rest);
    frame.extend_from_slice(&[0; 4]);
    seal(&mut frame);
    frame
}

#[test]
fn lengths_and_counts_that_promise_too_much_take_no_memory() {
    let huge = [1 << 16, 1 << 24, 1 << 31, 1 << 40, (1 << 53) - 1];
    for number in huge {
        let number = varint(number);
        // The length of a field; a count of writers; of runs; of entries; the length of a column; of a key; of a value.
        let field = |id: u8, content: &[u8]| {
            [&[id], varint(content.len() as u64).as_slice(), content].concat()
        };
        assert_bounded(&frame(2, &[&[9], number.as_slice()].concat()));
        assert_bounded(&frame(3, &[field(4, &number), vec![0]].concat()));
        assert_bounded(&frame(3, &[field(6, &number), vec![0]].concat()));
        assert_bounded(&frame(
            3,
            &[field(6, &[&[1, 0], number.as_slice()].concat()), vec![0]].concat(),
        ));
        assert_bounded(&frame(2, &[&[6, 1, 0, 0], number.as_slice()].concat()));
        assert_bounded(&frame(2, &[&[6, 1, 0, 0, 1, 1], number.as_slice()].concat()));
        assert_bounded(&frame(
            2,
            &[&[6, 1, 0, 0, 1], field(1, &[&[0x0f], number.as_slice()].concat()).as_slice()]
                .concat(),
        ));
        let columns = [
            field(1, &[1]),
            field(2, b"k"),
            field(3, &[6]),
            field(4, &[0, 0]),
            field(5, &[0]),
            field(6, &[6]),
        ]
        .concat();
        let value = [columns.clone(), field(11, &number), field(12, b"v"), vec![0]].concat();
        assert_bounded(&frame(2, &[&[6, 1, 0, 0, 1], value.as_slice()].concat()));
        let items = [&[11], number.as_slice()].concat();
        let value = [
            columns,
            field(11, &[u8::try_from(items.len()).expect("short")]),
            field(12, &items),
            vec![0],
        ]
        .concat();
        assert_bounded(&frame(2, &[&[6, 1, 0, 0, 1], value.as_slice()].concat()));
    }
    let header = |words: [u32; 6]| words.map(u32::to_le_bytes).concat();
    assert_bounded(&header([u32::MAX, 5, 0, 0, 0, 0]));
    assert_bounded(&header([1, 5, u32::MAX, 0, 0, 0]));
    assert_bounded(&header([0, 5, 0, u32::MAX, u32::MAX, 0]));
    assert_bounded(&[header([4, 5, 1, 4, 4, 0]), vec![0; 400]].concat());
}

#[test]
fn places_far_ahead_take_no_memory() {
    // Clock and floor of zeros; then the place of no entries, from just before the log is packed to the greatest one.
    let mut dictionary = open(1);
    for number in 0..1_000_u32 {
        let mut bytes = [0; 8];
        dictionary.set(&number.to_string(), integer(&mut bytes, number), 1_000).expect("a key");
    }
    let mut held = 0;
    for place in (1..40).map(|at| 1_000 + at * 1_064).chain([1 << 32, 1 << 40, (1 << 48) - 1]) {
        let place = [&[0], varint(place).as_slice()].concat();
        let length = u8::try_from(place.len()).expect("short");
        let rest = [&[8, 16], [0; 16].as_slice(), &[9, length], &place, &[0]].concat();
        let (replayed, extra) = extra(|| dictionary.replay(&frame(6, &rest)));
        replayed.expect("a journal without entries");
        held = held.max(extra);
    }
    assert!(held <= 64 * 1_024, "{held} bytes");
    assert_eq!((dictionary.head(), dictionary.len()), ((1 << 48) - 1, 1_000));
    assert_eq!(rows(&snapshot(&mut dictionary)).len(), 1_000);
}

#[test]
fn large_frames_that_end_in_an_error_take_at_most_four_times_their_bytes() {
    let mut dictionary = open(3);
    for number in 0..30_000_u32 {
        dictionary
            .set(&format!("user:{number:06}:field"), integer(&mut [0; 8], number), 1_000)
            .expect("a key");
    }
    let whole = snapshot(&mut dictionary);
    // Damage at the very end, where most was read already, and in the middle; then a checksum that fits.
    for at in [whole.len() - 5, whole.len() - 40, whole.len() / 2, whole.len() / 3] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        assert_bounded(&damaged);
        seal(&mut damaged);
        assert_bounded(&damaged);
    }
    let mut cut = whole[..whole.len() - 100].to_vec();
    seal(&mut cut);
    assert_bounded(&cut);
    // Refused for what it says, not for its form.
    let mut receiver = open(4);
    dictionary.collect_tombstones(&version(&dictionary), NOW).expect("a version");
    let below = snapshot(&mut dictionary);
    let (refused, extra) = extra(|| receiver.merge(&below, NOW, PLAIN).map_err(|error| error.kind));
    assert_eq!(refused, Err(ErrorKind::ReceiverBelowHorizon));
    assert!(extra <= 4 * below.len() + MIB);
}

/// So many keys of 1,024 bytes, each sharing all of the one before it.
fn expanding(entries: u64) -> Vec<u8> {
    let mut rest = vec![6, 1, 0, 0];
    rest.extend_from_slice(&varint(entries));
    let count = usize::try_from(entries).expect("few");
    let lengths = [&[0x0f, 0xf1, 0x07], [0xf0, 0xf1, 0x07].repeat(count - 1).as_slice()].concat();
    let columns = [
        (1, lengths),
        (2, vec![b'k'; 1_024]),
        (3, vec![0; count.div_ceil(2)]),
        (4, [vec![0], varint(entries - 1)].concat()),
        (5, varint(2 * (entries - 1))),
        (6, varint(4 * (entries - 1))),
    ];
    for (column, bytes) in columns {
        rest.push(column);
        rest.extend_from_slice(&varint(bytes.len() as u64));
        rest.extend_from_slice(&bytes);
    }
    rest.push(0);
    frame(4, &rest)
}

#[test]
fn frames_that_expand_above_64_times_their_bytes_are_too_large() {
    let largest = (2..4_096)
        .take_while(|&entries| 64 * expanding(entries).len() as u64 >= entries * (1_024 + 40))
        .last();
    let largest = largest.expect("some are allowed");
    let mut out = Vec::new();
    decode_entries(&expanding(largest), &mut out).expect("just small enough");
    for entries in [largest + 1, 4_096] {
        let bytes = expanding(entries);
        let (refused, extra) =
            extra(|| open(1).merge(&bytes, NOW, PLAIN).map_err(|error| error.kind));
        assert_eq!(refused, Err(ErrorKind::TooLarge));
        assert!(extra <= 4 * bytes.len() + MIB);
        assert_bounded(&bytes);
    }
}

#[test]
fn memory_stays_flat_over_two_hundred_thousand_overwrites_of_one_key() {
    let mut dictionary = open(1);
    let mut held = Vec::new();
    for number in 0..200_000_u32 {
        let text = "v".repeat(9 + (number % 40) as usize);
        dictionary.set("key", Value::text(&text), 1_000 + u64::from(number)).expect("a key");
        if number % 50_000 == 49_999 {
            held.push(HELD.get());
        }
    }
    let (first, last) = (held[0], held[3]);
    assert!(last <= first + 64 * 1_024, "held at each quarter: {held:?}");
}

#[test]
fn memory_stays_flat_over_drops_and_inserts() {
    let mut dictionary = open(1);
    let mut held = Vec::new();
    for round in 0..200_u64 {
        for number in 0..500_u32 {
            let text = format!("a value that lies in the heap {round}");
            dictionary
                .set(&format!("dir/{round}/{number}"), Value::text(&text), 1_000 + round)
                .expect("a key");
        }
        dictionary.delete_prefix("dir/", 1_000 + round).expect("a prefix");
        if round % 50 == 49 {
            held.push(HELD.get());
        }
    }
    assert_eq!((dictionary.len(), common::rows(&snapshot(&mut dictionary)).len()), (0, 1));
    assert!(held[3] <= held[0] + 512 * 1_024, "held at each quarter: {held:?}");
}

#[test]
fn ten_thousand_writers_cost_at_most_24_bytes_of_version_each() {
    let mut dictionary = open(1);
    for number in 0..10_000_u32 {
        let mut writer = [7; 16];
        writer[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
        let mut replica = Dictionary::new(&Options {
            replica_id: lastwrite_core::ReplicaId(writer),
            ..options(2)
        });
        for at in 0..=number % 3 {
            replica
                .set(&format!("key {number} {at}"), Value { tag: 1, payload: &[] }, 1_000)
                .expect("a key");
        }
        let frame = delta(&mut replica, None);
        assert!(dictionary.merge(&frame, NOW, PLAIN).expect("a delta").complete);
    }
    let bytes = version(&dictionary).len();
    assert!(bytes <= 24 * 10_000, "{bytes} bytes of version");
    let mut other = open(3);
    pull(&mut other, &mut dictionary, NOW);
    assert_eq!(version(&other), version(&dictionary));
}
