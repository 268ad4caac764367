//! What single calls do, beyond the vectors: long runs, packing, limits of what is remembered, and the corners of each call.

mod common;

use common::oracle::Oracle;
use common::{
    ADOPTING, PLAIN, delta, digest_of, id, integer, open, options, pull, rows, snapshot, state,
    version,
};
use lastwrite_core::{
    COUNTER_MAX, Dictionary, Dot, Error, ErrorKind, ExportOptions, MILLIS_MAX, Options, Parts,
    Range, Stamp, Value, VersionOrder, compare_versions, decode_entries, encode_entries,
    scratch_merge,
};

const NOW: u64 = 5_000;
const NULL: Value<'static> = Value { tag: 1, payload: &[] };
const EVERYTHING: Range<'static> =
    Range { prefix: "", from: None, to: None, reverse: false, limit: usize::MAX };

/// The same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

fn scanned(dictionary: &mut Dictionary, range: &Range<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    dictionary.scan(range, &mut out);
    out
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

/// Writes, removes and drops by prefix, with keys and values of all lengths, until log, heap and arena were packed many times.
fn long_run(seed: u64, scans_from: u64) {
    let mut random = Random(seed);
    let (mut dictionary, mut oracle) = (open(1), Oracle::default());
    let (mut follower, mut place) = (open(2), 0);
    let own = id(1).0;
    for step in 0..40_000_u64 {
        let now = 1_000 + step / 8;
        let directory = random.below(12);
        let key = format!(
            "{directory}/{}{}",
            random.below(60),
            "k".repeat(usize::try_from(random.below(50)).expect("small"))
        );
        match random.below(100) {
            0..70 => {
                let text = "v".repeat(usize::try_from(random.below(120)).expect("small"));
                dictionary.set(&key, Value::text(&text), now).expect("a key");
                let hlc = oracle.tick(now);
                oracle.put(&key, (hlc, own, [&[6], text.as_bytes()].concat()));
            }
            70..94 => {
                if dictionary.delete(&key, now).expect("a key").won {
                    let hlc = oracle.tick(now);
                    oracle.put(&key, (hlc, own, vec![0]));
                }
            }
            94..98 => {
                let prefix = format!("{directory}/");
                dictionary.delete_prefix(&prefix, now).expect("a prefix");
                let hlc = oracle.tick(now);
                oracle.put_prefix(&prefix, (hlc, own, vec![14]));
            }
            98 if random.below(20) == 0 => {
                dictionary.delete_prefix("", now).expect("a prefix");
                let hlc = oracle.tick(now);
                oracle.put_prefix("", (hlc, own, vec![14]));
            }
            98 => {
                // A transaction that comes to nothing, while packing would be due.
                let before = state(&mut dictionary);
                dictionary.begin().expect("none is open");
                for at in 0..random.below(40) {
                    dictionary
                        .set(
                            &format!("{directory}/{at}"),
                            Value::text("longer than what lies inline"),
                            now,
                        )
                        .expect("a key");
                }
                dictionary.delete_prefix(&format!("{directory}/"), now).expect("a prefix");
                dictionary.set(&key, NULL, now).expect("a key");
                dictionary.rollback().expect("one is open");
                assert_eq!(state(&mut dictionary), before);
            }
            _ => {
                let export = ExportOptions { part_bytes_max: 4_000, ..ExportOptions::default() };
                let mut frame = Vec::new();
                let changes =
                    dictionary.changes_since(place, None, &export, &mut frame).expect("a place");
                follower.merge(&frame, now, ADOPTING).expect("changes");
                place = changes.next;
            }
        }
        if step % 97 == 0 && step >= scans_from {
            let reverse = step % 2 == 0;
            let prefix = format!("{directory}/");
            let columns =
                scanned(&mut dictionary, &Range { prefix: &prefix, reverse, ..EVERYTHING });
            let count = u32::from_le_bytes(columns[..4].try_into().expect("a count"));
            assert_eq!(
                count as usize,
                oracle.live().filter(|(key, _)| key.starts_with(&prefix)).count()
            );
        }
        assert_eq!(
            dictionary.get(&key).map(|value| [&[value.tag], value.payload].concat()).as_deref(),
            oracle.value(&key)
        );
    }
    let bytes = snapshot(&mut dictionary);
    let held = rows(&bytes);
    assert_eq!(held.len(), oracle.entries.len() + oracle.prefixes.len());
    assert_eq!(digest_of(&held), dictionary.digest());
    assert_eq!(dictionary.len(), oracle.live().count());
    loop {
        let mut frame = Vec::new();
        let changes = dictionary
            .changes_since(place, None, &ExportOptions::default(), &mut frame)
            .expect("a place");
        follower.merge(&frame, NOW, ADOPTING).expect("changes");
        place = changes.next;
        if changes.at_head {
            break;
        }
    }
    assert_eq!(
        snapshot(&mut follower),
        bytes,
        "a cursor misses nothing, however often the log was packed"
    );
}

#[test]
fn long_runs_without_an_order_hold_what_the_rules_say() {
    long_run(1, u64::MAX);
    long_run(2, 39_000);
}

#[test]
fn long_runs_with_an_order_hold_what_the_rules_say() {
    long_run(3, 0);
    long_run(4, 5_000);
}

#[test]
fn many_new_keys_join_an_order_that_was_made() {
    let mut dictionary = open(1);
    let key = |number: u32| format!("{:08x}", number.wrapping_mul(0x9e37_79b1));
    let mut keys = std::collections::BTreeSet::new();
    for number in 0..12_000_u32 {
        dictionary.set(&key(number), NULL, 1_000).expect("a key");
        keys.insert(key(number));
        if number % 3 == 0 {
            dictionary.delete_prefix("", 999).expect("a prefix that covers nothing newer");
        }
        if [10, 1_500, 4_000, 11_999].contains(&number) {
            let first = scanned(&mut dictionary, &Range { limit: 3, ..EVERYTHING });
            let last = scanned(&mut dictionary, &Range { limit: 3, reverse: true, ..EVERYTHING });
            for (columns, expected) in
                [(first, keys.iter().next()), (last, keys.iter().next_back())]
            {
                let text = expected.expect("a key").as_bytes();
                assert!(keys.len() < 4 || columns.windows(text.len()).any(|window| window == text));
            }
        }
        // The prefix tombstone has taken the tick of its own: what came before it is covered.
        if number % 3 == 0 {
            keys.clear();
        }
    }
}

#[test]
fn a_clock_that_stands_still_serves_a_million_writes() {
    let mut dictionary = open(1);
    let mut last = Stamp::default();
    for number in 0..1_000_000_u32 {
        let written =
            dictionary.set("key", integer(&mut [0; 8], number % 60), 1_000).expect("a key");
        assert!(written.won && !written.clock_ahead);
        if number % 1_000 == 0 {
            let stamp = dictionary.stamp_of("key").expect("an entry");
            assert!(stamp > last);
            last = stamp;
        }
    }
    let stamp = dictionary.stamp_of("key").expect("an entry");
    assert_eq!(stamp.hlc, (1_000 << 16) + 999_999, "the counter carries into the milliseconds");
    assert_eq!(rows(&snapshot(&mut dictionary))[0].dot.1, 1_000_000);
    assert!(dictionary.head() == 1_000_000);
}

#[test]
fn a_clock_at_its_end_stays_there() {
    let mut dictionary = Dictionary::new(&Options { drift_max: u64::MAX, ..options(1) });
    let end = Stamp { hlc: u64::MAX, replica: id(0) };
    dictionary.write_at("key", Some(NULL), end, MILLIS_MAX).expect("the last stamp");
    dictionary.set("other", NULL, MILLIS_MAX).expect("a key");
    assert_eq!(dictionary.stamp_of("other").map(|stamp| stamp.hlc), Some(u64::MAX));
    let mut other = open(2);
    other.merge(&delta(&mut dictionary, None), MILLIS_MAX, PLAIN).expect("the last stamps");
    assert_eq!(other.digest(), dictionary.digest());
}

#[test]
fn merges_of_many_entries_are_looked_up_in_batches() {
    // More than 32,768 entries: beyond that, entries are looked up side by side.
    let mut dictionary = open(1);
    for number in 0..40_000_u32 {
        dictionary
            .set(&format!("key {number}"), integer(&mut [0; 8], number), 1_000)
            .expect("a key");
    }
    let mut other = open(2);
    pull(&mut other, &mut dictionary, NOW);
    for number in 0..100_u32 {
        dictionary
            .set(&format!("key {}", number * 399), Value::text("changed"), 2_000)
            .expect("a key");
        dictionary.set(&format!("new {number}"), Value::text("new"), 2_000).expect("a key");
    }
    other.watch(&["key 399"]);
    let report = pull(&mut other, &mut dictionary, NOW);
    assert_eq!((report.applied, report.ignored, report.patched), (200, 0, true));
    let whole = snapshot(&mut dictionary);
    assert_eq!(other.merge(&whole, NOW, PLAIN).expect("a snapshot").ignored, 40_100);
    assert_eq!(snapshot(&mut other), whole);
}

#[test]
fn sixty_four_incomplete_deltas_are_remembered_and_the_oldest_is_forgotten() {
    let mut receiver = open(99);
    let mut all = Vec::new();
    for number in 1..=66 {
        let mut sender = open(number);
        for key in ["x", "y"] {
            sender.set(&format!("{key}{number}"), NULL, 1_000).expect("a key");
        }
        let mut parts = Parts::default();
        let export = ExportOptions { part_bytes_max: 1, ..ExportOptions::default() };
        sender.delta(None, &export, &mut parts).expect("no base");
        assert_eq!(parts.iter().count(), 2);
        assert_eq!(parts.clone().iter().map(<[u8]>::len).sum::<usize>(), parts.bytes.len());
        receiver.merge(parts.iter().next().expect("a part"), NOW, PLAIN).expect("a part");
        all.push(parts);
    }
    // Of 1 and 2 the first part was forgotten, so the last one does not complete them; of 66 it does.
    for (at, is_adopted) in [(0, false), (65, true)] {
        let last = all[at].iter().last().expect("a part").to_vec();
        let report = receiver.merge(&last, NOW, PLAIN).expect("a part");
        assert!(report.complete, "both dots are there, as exceptions or in the vector");
        let number = u8::try_from(at + 1).expect("small");
        let mut names_both = open(number);
        for key in ["x", "y"] {
            names_both.set(key, NULL, 1_000).expect("a key");
        }
        // A collection only goes as far as the vector, so it tells the two apart.
        receiver.collect_tombstones(&version(&names_both), NOW).expect("a version");
        let mut horizon = Vec::new();
        receiver.horizon(&mut horizon);
        let names = horizon.windows(16).any(|window| window == id(number).0);
        assert_eq!(names, is_adopted, "delta {}", at + 1);
    }
}

#[test]
fn a_part_that_would_make_too_many_runs_is_not_remembered() {
    let mut sender = open(1);
    for number in 0..2_100_u32 {
        sender.set(&format!("{number:04}"), NULL, 1_000).expect("a key");
    }
    let mut parts = Parts::default();
    let export = ExportOptions { part_bytes_max: 1, ..ExportOptions::default() };
    sender.delta(None, &export, &mut parts).expect("no base");
    let parts: Vec<Vec<u8>> = parts.iter().map(<[u8]>::to_vec).collect();
    let mut receiver = open(2);
    // 1,050 parts that do not touch: the last 26 of them are not remembered.
    for part in parts.iter().step_by(2).chain(parts.iter().skip(1).step_by(2)) {
        receiver.merge(part, NOW, PLAIN).expect("a part");
    }
    assert_eq!(receiver.digest(), sender.digest(), "all entries are there");
    receiver.collect_tombstones(&version(&sender), NOW).expect("a version");
    let mut horizon = Vec::new();
    receiver.horizon(&mut horizon);
    assert_eq!(
        horizon.len(),
        11,
        "but the sender's vector was not adopted, so no horizon is raised"
    );
    for part in &parts {
        receiver.merge(part, NOW, PLAIN).expect("a part");
    }
    receiver.collect_tombstones(&version(&sender), NOW).expect("a version");
    receiver.horizon(&mut horizon);
    assert!(horizon.len() > 11, "sent again in order, they complete it");
}

#[test]
fn a_refused_part_forgets_its_delta() {
    let (mut sender, mut receiver) = (open(1), open(2));
    sender.set("x", NULL, 1_000).expect("a key");
    sender.delete("x", 1_000).expect("a key");
    sender.set("y", NULL, 1_000).expect("a key");
    sender.set("z", NULL, 1_000).expect("a key");
    sender.collect_tombstones(&version(&sender), NOW).expect("a version");
    let mut parts = Parts::default();
    let export = ExportOptions { part_bytes_max: 1, ..ExportOptions::default() };
    sender.delta(None, &export, &mut parts).expect("no base");
    for part in parts.iter() {
        assert_eq!(kind(receiver.merge(part, NOW, PLAIN)), Some(ErrorKind::ReceiverBelowHorizon));
    }
    assert_eq!(state(&mut receiver), state(&mut open(2)));
}

#[test]
fn restamping_keeps_the_order_and_spares_what_was_sent() {
    let mut dictionary = open(1);
    let ahead = 10_000_000;
    dictionary.set("sent", NULL, ahead).expect("a key");
    let sent = delta(&mut dictionary, None);
    dictionary.set("first", NULL, ahead).expect("a key");
    dictionary.delete_prefix("p/", ahead).expect("a prefix");
    dictionary.set("second", NULL, ahead).expect("a key");
    assert_eq!(
        dictionary.restamp(ahead).expect("none is open"),
        0,
        "the clock is not ahead of that"
    );
    assert_eq!(dictionary.restamp(1_000).expect("none is open"), 3);
    let floor = rows(&sent)[0].hlc;
    let stamps: Vec<u64> = ["first", "p/", "second"]
        .map(|key| dictionary.stamp_of(key).expect("an entry").hlc)
        .to_vec();
    assert_eq!(stamps, [floor + 1, floor + 2, floor + 3]);
    assert_eq!(digest_of(&rows(&snapshot(&mut dictionary))), dictionary.digest());

    let mut kept = open(2);
    kept.set("key", Value::text("kept in own storage only"), ahead).expect("a key");
    let mut reopened = open(3);
    reopened.replay(&common::whole_journal(&mut kept)).expect("a journal");
    for dictionary in [&mut kept, &mut reopened] {
        assert_eq!(dictionary.restamp(1_000).expect("none is open"), 1);
        let stamp = dictionary.stamp_of("key").expect("an entry");
        assert_eq!(stamp, Stamp { hlc: (1_000 << 16) + 1, replica: id(2) });
    }
}

#[test]
fn rereading_tells_the_patch_and_counts_what_lost() {
    let (mut a, mut b) = (open(1), open(2));
    a.set("both", Value::text("newer"), 2_000).expect("a key");
    a.set("a's", Value::text("a's"), 2_000).expect("a key");
    b.set("both", Value::text("older"), 1_000).expect("a key");
    b.set("b's", Value::text("b's"), 1_000).expect("a key");
    b.set("unwatched", Value::text("b's"), 1_000).expect("a key");
    b.watch(&["a", "b"]);
    let report = b.reread(&[&snapshot(&mut a)], NOW).expect("a snapshot");
    assert_eq!((report.applied, report.ignored, report.refused), (2, 1, 0));
    assert!(report.complete && report.patched && !report.cloned);
    let rows_told = u32::from_le_bytes(b.patch()[..4].try_into().expect("a count"));
    assert_eq!(rows_told, 2, "a's is new, both is another; b's was kept");
    assert_eq!(b.refusals().len(), 24);
    let kept =
        rows(&snapshot(&mut b)).into_iter().find(|row| row.key == b"b's").expect("what was kept");
    assert_eq!((kept.dot, kept.origin), ((id(2).0, 4), Some((id(2).0, 2))));
    pull(&mut a, &mut b, NOW);
    assert_eq!(a.digest(), b.digest());
    b.watch(&[]);
    assert!(!b.reread(&[&snapshot(&mut a)], NOW).expect("a snapshot").patched);
}

#[test]
fn errors_say_what_they_are() {
    let mut dictionary = open(1);
    dictionary.begin().expect("none is open");
    let mut out = Vec::new();
    let mut parts = Parts::default();
    let export = ExportOptions::default();
    let all = [
        kind(dictionary.begin()),
        kind(dictionary.merge(&[], NOW, PLAIN)),
        kind(dictionary.reread(&[], NOW)),
        kind(dictionary.delta(None, &export, &mut parts)),
        kind(dictionary.snapshot(&export, &mut parts)),
        kind(dictionary.changes_since(0, None, &export, &mut out)),
        kind(dictionary.collect_tombstones(&[], NOW)),
        kind(dictionary.restamp(NOW)),
        kind(dictionary.entries_by_hash(&[0; 16], &[], &export, &mut out)),
    ];
    assert_eq!(all, [Some(ErrorKind::TransactionOpen); 9]);
    dictionary.rollback().expect("one is open");

    let kinds = [
        (ErrorKind::InvalidArgument, "invalid-argument"),
        (ErrorKind::InvalidKey, "invalid-key"),
        (ErrorKind::InvalidPrefix, "invalid-prefix"),
        (ErrorKind::InvalidValue, "invalid-value"),
        (ErrorKind::CorruptBytes, "corrupt-bytes"),
        (ErrorKind::UnsupportedFormat, "unsupported-format"),
        (ErrorKind::TooLarge, "too-large"),
        (ErrorKind::ClockDrift, "clock-drift"),
        (ErrorKind::BelowHorizon, "below-horizon"),
        (ErrorKind::ReceiverBelowHorizon, "below-horizon"),
        (ErrorKind::SenderBelowHorizon, "below-horizon"),
        (ErrorKind::TransactionOpen, "transaction-open"),
        (ErrorKind::Closed, "closed"),
    ];
    for (number, (kind, code)) in (1..).zip(kinds) {
        assert_eq!((kind.number(), kind.code()), (number, code));
    }
    let error = dictionary.merge(&[], NOW, PLAIN).expect_err("no frame");
    assert!(error.to_string().starts_with("corrupt-bytes: "), "{error}");
    let _: &dyn std::error::Error = &error;
    assert_eq!(format!("{:?}", id(0xab)), format!("{}ab", "00".repeat(15)));
    assert!(Dot { replica: id(1), counter: COUNTER_MAX } > Dot { replica: id(1), counter: 1 });
}

#[test]
fn versions_compare_as_sets_of_dots() {
    let (mut a, mut b) = (open(1), open(2));
    a.set("x", NULL, 1_000).expect("a key");
    let first = version(&a);
    a.set("y", NULL, 1_000).expect("a key");
    let second = version(&a);
    let gap = delta(&mut a, Some(&first));
    b.merge(&gap, NOW, PLAIN).expect("a delta");
    let exception = version(&b);
    let order = |a: &[u8], b: &[u8]| compare_versions(a, b).expect("versions");
    assert_eq!(order(&first, &second), VersionOrder::Before);
    assert_eq!(order(&second, &first), VersionOrder::After);
    assert_eq!(order(&first, &exception), VersionOrder::Concurrent);
    assert_eq!(order(&exception, &second), VersionOrder::Before);
    assert_eq!(order(&second, &second), VersionOrder::Equal);
    assert_eq!(kind(compare_versions(&first, &gap)), Some(ErrorKind::UnsupportedFormat));
    assert_eq!(kind(compare_versions(&[], &first)), Some(ErrorKind::CorruptBytes));
}

#[test]
fn exports_withhold_stamps_beyond_the_limit_in_every_call() {
    let mut dictionary = open(1);
    dictionary.set("now", NULL, 1_000).expect("a key");
    dictionary.set("later", NULL, 2_000).expect("a key");
    let export = ExportOptions { stamp_limit: 1_500, ..ExportOptions::default() };
    let mut out = Vec::new();
    let mut hashes = Vec::new();
    dictionary.hashes(&[1; 16], &[0; 9], &mut hashes).expect("a range");
    let wanted: Vec<u8> = hashes[4..].chunks(16).flat_map(|item| item[..8].to_vec()).collect();
    dictionary.entries_by_hash(&[1; 16], &wanted, &export, &mut out).expect("hashes");
    assert_eq!(rows(&out).len(), 1);
    let mut other = open(2);
    let report = other.merge(&out, NOW, ADOPTING).expect("changes");
    assert_eq!((report.applied, report.complete), (1, false));
    dictionary
        .entries_by_hash(&[1; 16], &wanted, &ExportOptions::default(), &mut out)
        .expect("hashes");
    assert_eq!(rows(&out).len(), 2);
    dictionary.changes_since(0, None, &export, &mut out).expect("a place");
    assert_eq!(rows(&out).len(), 1);
}

#[test]
fn fingerprints_and_hashes_tell_the_same_entries() {
    let mut dictionary = open(1);
    for number in 0..300_u32 {
        dictionary
            .set(&format!("key {number}"), integer(&mut [0; 8], number), 1_000)
            .expect("a key");
    }
    dictionary.delete_prefix("p/", 1_000).expect("a prefix");
    let (mut sums, mut hashes) = (Vec::new(), Vec::new());
    dictionary.fingerprints(&[9; 16], &[0; 9], &mut sums).expect("a range");
    dictionary.hashes(&[9; 16], &[0; 9], &mut hashes).expect("a range");
    assert_eq!(u32::from_le_bytes(hashes[..4].try_into().expect("a count")), 301);
    let long = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let mut expected = [(0_u64, 0_u32); 16];
    for item in hashes[4..].chunks(16) {
        let child = &mut expected[usize::try_from(long(&item[..8]) >> 60).expect("a nibble")];
        *child = (child.0.wrapping_add(long(&item[8..])), child.1 + 1);
    }
    let told: Vec<(u64, u32)> = sums
        .chunks(12)
        .map(|sum| (long(&sum[..8]), u32::from_le_bytes(sum[8..].try_into().expect("a count"))))
        .collect();
    assert_eq!(told, expected);
    // The ranges one nibble deeper add up to the one above them.
    for nibble in 0..16_u64 {
        let range = [&[1], (nibble << 60).to_le_bytes().as_slice()].concat();
        dictionary.fingerprints(&[9; 16], &range, &mut sums).expect("a range");
        let sum = sums.chunks(12).fold(0_u64, |sum, child| sum.wrapping_add(long(&child[..8])));
        assert_eq!(sum, expected[usize::try_from(nibble).expect("a nibble")].0);
    }
}

#[test]
fn scratch_merges_agree_with_dictionaries() {
    let (mut a, mut b) = (open(1), open(2));
    for number in 0..50_u32 {
        a.set(&format!("{}/{number}", number % 3), integer(&mut [0; 8], number), 1_000)
            .expect("a key");
        b.set(&format!("{}/{}", number % 3, number + 20), integer(&mut [0; 8], number), 1_001)
            .expect("a key");
    }
    b.delete_prefix("1/", 1_002).expect("a prefix");
    b.set("far", NULL, 900_000).expect("a key");
    let frame = delta(&mut b, None);
    let (mut columns, mut held, mut winners) = (Vec::new(), Vec::new(), Vec::new());
    decode_entries(&snapshot(&mut a), &mut columns).expect("a frame");
    encode_entries(&columns, &mut held).expect("columns");
    let scratch =
        scratch_merge(&held, &frame, NOW, common::DRIFT_MAX, &mut winners).expect("frames");
    let before = a.digest();
    let report = a.merge(&frame, NOW, PLAIN).expect("a delta");
    assert_eq!((scratch.refused, report.refused), (1, 1));
    assert_eq!(
        u32::from_le_bytes(winners[..4].try_into().expect("a count")) as usize,
        report.applied
    );
    let lane = |digest: &[u8; 16], at: usize| {
        u32::from_be_bytes(digest[at..at + 4].try_into().expect("a lane"))
    };
    for at in [0, 4, 8, 12] {
        assert_eq!(
            lane(&scratch.digest_difference, at),
            lane(&a.digest(), at).wrapping_sub(lane(&before, at))
        );
    }
}
