//! Random histories of three replicas against the rules alone.

mod common;

use std::collections::BTreeSet;

use common::oracle::{Oracle, Write};
use common::{
    FOLLOWING, PLAIN, State, delta, digest_of, open, options, pull, rows, snapshot, state, version,
};
use lastwrite_core::{Dictionary, ExportOptions, Range, ReplicaId, Stamp, Value};
use proptest::prelude::*;
use proptest::sample::{Index, select};

const REPLICAS: usize = 3;
const KEYS: [&str; 14] = [
    "a",
    "b",
    "a/",
    "a/b",
    "a/c",
    "a/b/",
    "a/b/c",
    "a/b/d",
    "a/bc",
    "é",
    "é/x",
    "\u{ff5e}",
    "\u{10000}",
    "a rather long key, shared in part",
];
const PREFIXES: [&str; 6] = ["", "a/", "a/b/", "a/b/c/", "é/", "nothing/"];

#[derive(Clone, Debug)]
enum Op {
    Set(&'static str, Vec<u8>),
    Delete(&'static str),
    DeletePrefix(&'static str),
    WriteAt(&'static str, Option<Vec<u8>>, u64, u8),
    Pull(usize),
    Begin,
    Commit,
    Rollback,
    Scan(&'static str, Option<&'static str>, Option<&'static str>, bool, usize),
    Time(u64),
    /// Follows the log of the replica from where it was left.
    Follow,
    /// Remembers the version, for a delta later.
    Remember,
    Delta(Index),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(vec![1]),
        (0_u8..64).prop_map(|number| vec![4, number]),
        ".{0,40}".prop_map(|text| [&[6], text.as_bytes()].concat()),
        prop::collection::vec(any::<u8>(), 0..60)
            .prop_map(|bytes| [&[8], bytes.as_slice()].concat()),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let key = || select(&KEYS[..]);
    let bound = || prop::option::of(select(&KEYS[..]));
    prop_oneof![
        12 => (key(), value()).prop_map(|(key, value)| Op::Set(key, value)),
        6 => key().prop_map(Op::Delete),
        2 => select(&PREFIXES[..]).prop_map(Op::DeletePrefix),
        6 => (key(), prop::option::of(value()), 0_u64..40, 0_u8..3)
            .prop_map(|(key, value, hlc, replica)| Op::WriteAt(key, value, ((1_000 + hlc / 4) << 16) | (hlc % 4), replica)),
        8 => (0..REPLICAS).prop_map(Op::Pull),
        2 => Just(Op::Begin),
        2 => Just(Op::Commit),
        2 => Just(Op::Rollback),
        4 => (select(&PREFIXES[..]), bound(), bound(), any::<bool>(), 0_usize..20)
            .prop_map(|(prefix, from, to, reverse, limit)| Op::Scan(prefix, from, to, reverse, limit)),
        3 => (0_u64..5).prop_map(Op::Time),
        4 => Just(Op::Follow),
        2 => Just(Op::Remember),
        3 => any::<Index>().prop_map(Op::Delta),
    ]
}

struct World {
    now: u64,
    replicas: Vec<Replica>,
}

struct Replica {
    dictionary: Dictionary,
    oracle: Oracle,
    /// What a transaction goes back to: the rules' state, and all bytes.
    before: Option<(Oracle, State)>,
    /// One who reads the log, and where he is.
    follower: Dictionary,
    /// What the follower adopted last.
    frontier: Option<Vec<u8>>,
    place: u64,
    /// Versions with the snapshots of then.
    remembered: Vec<(Vec<u8>, Vec<u8>)>,
}

impl World {
    fn new() -> Self {
        let replica = |number| Replica {
            dictionary: open(number),
            oracle: Oracle::default(),
            before: None,
            follower: open(number + 50),
            frontier: None,
            place: 0,
            remembered: Vec::new(),
        };
        Self { now: 1_000, replicas: (1..).take(REPLICAS).map(replica).collect() }
    }

    fn play(&mut self, at: usize, op: &Op) {
        let now = self.now;
        let replica = &mut self.replicas[at];
        let id = replica.dictionary.replica_id().0;
        match op {
            Op::Set(key, canonical) => {
                let value = Value::from_canonical(canonical).expect("canonical");
                assert!(replica.dictionary.set(key, value, now).expect("a key").won);
                let hlc = replica.oracle.tick(now);
                replica.oracle.put(key, (hlc, id, canonical.clone()));
            }
            Op::Delete(key) => {
                let won = replica.dictionary.delete(key, now).expect("a key").won;
                assert_eq!(won, replica.oracle.value(key).is_some());
                if won {
                    let hlc = replica.oracle.tick(now);
                    replica.oracle.put(key, (hlc, id, vec![0]));
                }
            }
            Op::DeletePrefix(prefix) => {
                let live = replica.oracle.live().count();
                let hlc = replica.oracle.tick(now);
                replica.oracle.put_prefix(prefix, (hlc, id, vec![14]));
                let removed = replica.dictionary.delete_prefix(prefix, now).expect("a prefix");
                assert_eq!(removed, live - replica.oracle.live().count());
            }
            Op::WriteAt(key, canonical, hlc, stamp_replica) => {
                let stamp_id = common::id(*stamp_replica).0;
                let value = canonical
                    .as_ref()
                    .map(|canonical| Value::from_canonical(canonical).expect("canonical"));
                let stamp = Stamp { hlc: *hlc, replica: ReplicaId(stamp_id) };
                let before = replica.oracle.clone();
                if canonical.is_some() || replica.oracle.value(key).is_some() {
                    replica.oracle.put(key, (*hlc, stamp_id, canonical.clone().unwrap_or(vec![0])));
                }
                let won = replica
                    .dictionary
                    .write_at(key, value, stamp, now)
                    .expect("an allowed stamp")
                    .won;
                assert_eq!(won, before != replica.oracle);
                if won {
                    replica.oracle.clock = replica.oracle.clock.max(*hlc);
                }
            }
            Op::Pull(from) => self.pull(at, *from),
            Op::Begin => {
                if replica.before.is_none() {
                    replica.before = Some((replica.oracle.clone(), state(&mut replica.dictionary)));
                    replica.dictionary.begin().expect("none is open");
                    assert!(replica.dictionary.begin().is_err());
                }
            }
            Op::Commit => {
                assert_eq!(replica.dictionary.commit().is_ok(), replica.before.take().is_some());
            }
            Op::Rollback => {
                let before = replica.before.take();
                assert_eq!(replica.dictionary.rollback().is_ok(), before.is_some());
                if let Some((oracle, bytes)) = before {
                    replica.oracle = oracle;
                    assert_eq!(state(&mut replica.dictionary), bytes);
                }
            }
            Op::Scan(prefix, from, to, reverse, limit) => {
                let range =
                    Range { prefix, from: *from, to: *to, reverse: *reverse, limit: *limit };
                replica.scan(&range);
            }
            Op::Time(by) => self.now += by,
            Op::Follow => replica.follow(now),
            Op::Remember => {
                if replica.before.is_none() {
                    replica
                        .remembered
                        .push((version(&replica.dictionary), snapshot(&mut replica.dictionary)));
                }
            }
            Op::Delta(index) => replica.delta_since(*index, now),
        }
    }

    fn pull(&mut self, to: usize, from: usize) {
        if to == from || [to, from].iter().any(|&at| self.replicas[at].before.is_some()) {
            return;
        }
        let source = &mut self.replicas[from];
        let oracle = source.oracle.clone();
        let base = version(&self.replicas[to].dictionary);
        let frame = delta(&mut self.replicas[from].dictionary, Some(&base));
        let target = &mut self.replicas[to];
        let report = target.dictionary.merge(&frame, self.now, PLAIN).expect("a delta");
        assert!(report.complete && !report.cloned);
        target.oracle.join(&oracle);
        assert_eq!(
            target.dictionary.merge(&frame, self.now, PLAIN).expect("again").applied,
            0,
            "merging is idempotent"
        );
    }
}

impl Replica {
    fn check(&mut self) {
        for key in KEYS {
            let canonical =
                self.dictionary.get(key).map(|value| [&[value.tag], value.payload].concat());
            assert_eq!(canonical.as_deref(), self.oracle.value(key), "the value of {key}");
            assert_eq!(self.dictionary.has(key), canonical.is_some());
            let over = || {
                self.oracle.prefixes.iter().filter(|(prefix, _)| key.starts_with(prefix.as_str()))
            };
            let stamp = |write: &Write| (write.0, write.1);
            let expected = self.oracle.entries.get(key).map_or_else(
                || over().map(|(_, write)| stamp(write)).max(),
                |write| Some(stamp(write)),
            );
            assert_eq!(
                self.dictionary.stamp_of(key).map(|stamp| (stamp.hlc, stamp.replica.0)),
                expected
            );
        }
        assert_eq!(self.dictionary.len(), self.oracle.live().count());
        assert_eq!(self.dictionary.is_empty(), self.oracle.live().next().is_none());
    }

    fn check_bytes(&mut self) {
        let bytes = snapshot(&mut self.dictionary);
        let rows = rows(&bytes);
        assert_eq!(digest_of(&rows), self.dictionary.digest());
        assert_eq!(rows.len(), self.oracle.entries.len() + self.oracle.prefixes.len());
        for row in &rows {
            let key = std::str::from_utf8(&row.key).expect("UTF-8");
            let map = if row.tag == 14 { &self.oracle.prefixes } else { &self.oracle.entries };
            let canonical = [&[row.tag], row.payload.as_slice()].concat();
            assert_eq!(map.get(key), Some(&(row.hlc, row.stamp_replica, canonical)));
        }
        let loaded = Dictionary::load(&options(99), &[&bytes]).expect("a snapshot");
        assert_eq!(loaded.digest(), self.dictionary.digest());
    }

    fn scan(&mut self, range: &Range<'_>) {
        let mut out = Vec::new();
        self.dictionary.scan(range, &mut out);
        let within = |key: &str| {
            key.starts_with(range.prefix)
                && range.from.is_none_or(|from| key.as_bytes() >= from.as_bytes())
                && range.to.is_none_or(|to| key.as_bytes() < to.as_bytes())
        };
        let mut expected: Vec<&str> =
            self.oracle.live().map(|(key, _)| key).filter(|key| within(key)).collect();
        if range.reverse {
            expected.reverse();
        }
        expected.truncate(range.limit);
        assert_eq!(keys_of(&out), expected, "{range:?}");
    }

    fn follow(&mut self, now: u64) {
        if self.before.is_some() {
            return;
        }
        let options = ExportOptions { part_bytes_max: 60, ..ExportOptions::default() };
        loop {
            let mut frame = Vec::new();
            let changes = self
                .dictionary
                .changes_since(self.place, self.frontier.as_deref(), &options, &mut frame)
                .expect("a place of the log");
            self.follower.merge(&frame, now, FOLLOWING).expect("changes");
            assert!(changes.next > self.place || changes.at_head);
            self.place = changes.next;
            if changes.at_head {
                break;
            }
        }
        assert_eq!(
            self.follower.digest(),
            self.dictionary.digest(),
            "a follower of the log misses nothing"
        );
        assert_eq!(self.place, self.dictionary.head());
        assert_eq!(version(&self.follower), version(&self.dictionary));
        let frontier = self.frontier.get_or_insert_default();
        self.dictionary.frontier(frontier);
        let mut followed = Vec::new();
        self.follower.frontier(&mut followed);
        assert_eq!(&followed, frontier, "all that is no entry came along");
    }

    fn delta_since(&mut self, index: Index, now: u64) {
        if self.before.is_some() || self.remembered.is_empty() {
            return;
        }
        let (base, then) = index.get(&self.remembered);
        let frame = delta(&mut self.dictionary, Some(base));
        let seen: BTreeSet<(Vec<u8>, _)> =
            rows(then).into_iter().map(|row| (row.key, row.dot)).collect();
        for row in rows(&frame) {
            assert!(
                !seen.contains(&(row.key, row.dot)),
                "a delta has nothing that the base has seen"
            );
        }
        let mut behind = Dictionary::load(&options(98), &[then]).expect("a snapshot");
        behind.merge(&frame, now, PLAIN).expect("a delta");
        assert_eq!(
            behind.digest(),
            self.dictionary.digest(),
            "a delta has all that the base has not seen"
        );
        assert_eq!(version(&behind), version(&self.dictionary));
    }
}

/// The keys of columns of values.
fn keys_of(columns: &[u8]) -> Vec<&str> {
    let word = |at: usize| {
        u32::from_le_bytes(columns[at..at + 4].try_into().expect("four bytes")) as usize
    };
    let (count, key_bytes, value_bytes) = (word(0), word(12), word(16));
    let values = if value_bytes == 0 { 0 } else { value_bytes };
    let end = columns.len() - values;
    let ends_bytes = (4 * count).next_multiple_of(8);
    let start = (24 + 2 * ends_bytes + count).next_multiple_of(8);
    assert!(start + key_bytes <= end);
    let ends: Vec<usize> = (0..count).map(|index| word(24 + 4 * index)).collect();
    let mut before = 0;
    ends.into_iter()
        .map(|end| {
            let key = &columns[start + before..start + end];
            before = end;
            std::str::from_utf8(key).expect("UTF-8")
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replicas_hold_what_the_rules_say_and_end_equal(ops in prop::collection::vec((0..REPLICAS, op()), 1..120)) {
        let mut world = World::new();
        for (at, op) in &ops {
            world.play(*at, op);
            world.replicas[*at].check();
        }
        for replica in &mut world.replicas {
            if replica.before.take().is_some() {
                replica.dictionary.commit().expect("one is open");
            }
            replica.check_bytes();
        }
        for (to, from) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
            world.pull(to, from);
        }
        let equal = world.replicas[0].dictionary.digest();
        for replica in &mut world.replicas {
            replica.check();
            replica.check_bytes();
            replica.follow(world.now);
            prop_assert_eq!(replica.dictionary.digest(), equal);
            prop_assert_eq!(version(&replica.dictionary), version(&replica.follower));
        }
    }

    #[test]
    fn merging_gives_the_same_in_every_order(
        writes in prop::collection::vec((0_u8..3, select(&KEYS[..6]), prop::option::of(value()), 0_u64..3, 0_u8..2), 1..6),
        order in Just((0..3_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut sources: Vec<Dictionary> = (1..=3).map(open).collect();
        for (at, key, canonical, hlc, replica) in &writes {
            let value = canonical.as_ref().map(|canonical| Value::from_canonical(canonical).expect("canonical"));
            let stamp = Stamp { hlc: 1_000 << 16 | hlc, replica: common::id(*replica) };
            sources[usize::from(*at)].write_at(key, value, stamp, 1_000).expect("an allowed stamp");
        }
        let frames: Vec<Vec<u8>> = sources.iter_mut().map(|source| delta(source, None)).collect();
        let (mut forward, mut shuffled) = (open(8), open(9));
        for frame in &frames {
            forward.merge(frame, 1_000, PLAIN).expect("a delta");
        }
        for at in order.iter().chain(&order) {
            shuffled.merge(&frames[*at], 1_000, PLAIN).expect("a delta");
        }
        prop_assert_eq!(snapshot(&mut forward), snapshot(&mut shuffled));
        let mut joined = open(10);
        pull(&mut joined, &mut shuffled, 1_000);
        prop_assert_eq!(snapshot(&mut joined), snapshot(&mut forward), "a delta has what the state has");
    }
}
