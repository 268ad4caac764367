//! Journals against the replica that they were taken from: whatever happened, what is replayed is the same to the last bit.

mod common;

use common::{
    PLAIN, delta, digest_of, id, journal, journal_of, open, options, rows, snapshot, version,
    whole_journal,
};
use lastwrite_core::{
    Dictionary, ErrorKind, ExportOptions, JournalOptions, Options, Parts, Stamp, Value,
};
use proptest::prelude::*;
use proptest::sample::select;

const KEYS: [&str; 9] = ["a", "b", "a/", "a/b", "a/c", "a/b/c", "é/x", "c", "d"];
const PREFIXES: [&str; 4] = ["", "a/", "a/b/", "é/"];

#[derive(Clone, Debug)]
enum Op {
    Set(&'static str, u32),
    Delete(&'static str),
    DeletePrefix(&'static str),
    WriteAt(&'static str, Option<u32>, u64),
    /// Sets one key so often that the log is packed.
    Churn(&'static str, u32),
    /// A transaction of a few sets and a prefix, which stays or not.
    Transaction(&'static str, &'static str, bool),
    /// Merges what a peer has; of its parts only some.
    Pull(usize, Vec<bool>),
    /// A peer writes, or removes below a prefix, or pulls.
    PeerSet(usize, &'static str, u32),
    PeerDeletePrefix(usize, &'static str),
    PeerPull(usize),
    /// All have seen the same, and one of them collects; 0 is the replica itself.
    Collect(usize),
    Reread(usize),
    /// The clock is far ahead for one write; maybe that is handed out.
    Ahead(&'static str, bool),
    Restamp,
    /// A copy of the storage is opened and writes, and comes back.
    Clone(&'static str),
    SetReplicaId(u8),
    /// The replica or a peer names the store that collects.
    SetCollector(usize, u8),
    Time(u64),
    /// A journal, whole if asked for or if it has to be.
    Journal(bool, u64),
    /// Goes on from what the own storage has.
    Reopen,
    Check,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || select(&KEYS[..]);
    let prefix = || select(&PREFIXES[..]);
    let peer = || 0_usize..2;
    prop_oneof![
        14 => (key(), any::<u32>()).prop_map(|(key, number)| Op::Set(key, number)),
        6 => key().prop_map(Op::Delete),
        2 => prefix().prop_map(Op::DeletePrefix),
        4 => (key(), prop::option::of(any::<u32>()), 0_u64..40)
            .prop_map(|(key, number, hlc)| Op::WriteAt(key, number, (1_000 + hlc / 4) << 16 | (hlc % 4))),
        2 => (key(), 1_u32..150).prop_map(|(key, times)| Op::Churn(key, times)),
        3 => (key(), prefix(), any::<bool>()).prop_map(|(key, prefix, stays)| Op::Transaction(key, prefix, stays)),
        6 => (peer(), prop::collection::vec(any::<bool>(), 1..4)).prop_map(|(peer, which)| Op::Pull(peer, which)),
        8 => (peer(), key(), any::<u32>()).prop_map(|(peer, key, number)| Op::PeerSet(peer, key, number)),
        1 => (peer(), prefix()).prop_map(|(peer, prefix)| Op::PeerDeletePrefix(peer, prefix)),
        3 => peer().prop_map(Op::PeerPull),
        3 => (0_usize..3).prop_map(Op::Collect),
        1 => peer().prop_map(Op::Reread),
        2 => (key(), any::<bool>()).prop_map(|(key, sent)| Op::Ahead(key, sent)),
        3 => Just(Op::Restamp),
        1 => key().prop_map(Op::Clone),
        1 => (20_u8..25).prop_map(Op::SetReplicaId),
        2 => (0_usize..3, 0_u8..3).prop_map(|(who, store)| Op::SetCollector(who, store)),
        3 => (0_u64..5).prop_map(Op::Time),
        14 => (prop::bool::weighted(0.15), select(&[1_u64, 40, 200, u64::MAX][..]))
            .prop_map(|(whole, part)| Op::Journal(whole, part)),
        2 => Just(Op::Reopen),
        6 => Just(Op::Check),
    ]
}

struct World {
    now: u64,
    replica: Dictionary,
    peers: Vec<Dictionary>,
    /// All journals since the last whole one.
    log: Vec<Vec<u8>>,
    /// The place of the mark, and whether it should be broken.
    mark: Option<u64>,
    broken: bool,
    /// For ids and spares that nobody had before.
    next: u8,
}

impl World {
    fn new() -> Self {
        Self {
            now: 1_000,
            replica: open(1),
            peers: vec![open(2), open(3)],
            log: Vec::new(),
            mark: None,
            broken: false,
            next: 30,
        }
    }

    fn play(&mut self, op: &Op) {
        let now = self.now;
        let mut number_bytes = [0; 8];
        match op {
            Op::Set(key, number) => {
                let value = common::integer(&mut number_bytes, *number);
                self.replica.set(key, value, now).expect("a key");
            }
            Op::Delete(key) => {
                self.replica.delete(key, now).expect("a key");
            }
            Op::DeletePrefix(prefix) => {
                self.replica.delete_prefix(prefix, now).expect("a prefix");
            }
            Op::WriteAt(key, number, hlc) => {
                let value = number.map(|number| common::integer(&mut number_bytes, number));
                let stamp = Stamp { hlc: *hlc, replica: id(9) };
                // Below the horizon is none of what is tested here.
                let _ = self.replica.write_at(key, value, stamp, now);
            }
            Op::Churn(key, times) => {
                for _ in 0..*times {
                    self.replica.set(key, Value::text("again and again"), now).expect("a key");
                }
            }
            Op::Transaction(key, prefix, stays) => {
                self.replica.begin().expect("none is open");
                self.replica.set(key, Value::text("inside"), now).expect("a key");
                self.replica.delete_prefix(prefix, now).expect("a prefix");
                self.replica.set("inside alone", Value::text(key), now).expect("a key");
                let refused =
                    self.replica.journal(&[], &JournalOptions::default(), &mut Parts::default());
                assert_eq!(refused.map_err(|error| error.kind), Err(ErrorKind::TransactionOpen));
                if *stays { self.replica.commit() } else { self.replica.rollback() }
                    .expect("one is open");
            }
            Op::Pull(peer, which) => self.pull(*peer, which),
            Op::PeerSet(peer, key, number) => {
                let value = common::integer(&mut number_bytes, *number);
                self.peers[*peer].set(key, value, now).expect("a key");
            }
            Op::PeerDeletePrefix(peer, prefix) => {
                self.peers[*peer].delete_prefix(prefix, now).expect("a prefix");
            }
            Op::PeerPull(peer) => self.peer_pull(*peer),
            Op::Collect(at) => self.collect(*at),
            Op::Reread(peer) => {
                let whole = snapshot(&mut self.peers[*peer]);
                if let Ok(report) = self.replica.reread(&[&whole], now) {
                    self.broken |= self.mark.is_some();
                    self.renew_spare(report.cloned);
                }
            }
            Op::Ahead(key, is_sent) => {
                self.replica.set(key, Value::text("ahead"), now + 10_000_000).expect("a key");
                if *is_sent {
                    delta(&mut self.replica, None);
                }
            }
            Op::Restamp => {
                let count = self.replica.restamp(now).expect("none is open");
                self.broken |= self.mark.is_some() && count > 0;
            }
            Op::Clone(key) => {
                let Some(mut copy) = self.replayed() else { return };
                copy.set(key, Value::text("by the copy"), now).expect("a key");
                let frame = delta(&mut copy, None);
                if let Ok(report) = self.replica.merge(&frame, now + 20_000_000, PLAIN) {
                    // Which of the dots the copy had is told by what happens: no model of it here.
                    self.broken = self.replica.is_journal_broken();
                    self.renew_spare(report.cloned);
                }
            }
            Op::SetReplicaId(number) => {
                self.replica.set_replica_id(id(*number)).expect("none is open");
            }
            Op::SetCollector(who, store) => {
                let named = match who.checked_sub(1) {
                    None => &mut self.replica,
                    Some(peer) => &mut self.peers[peer],
                };
                named.set_collector([*store; 16], now).expect("none is open");
            }
            Op::Time(by) => self.now += by,
            Op::Journal(whole, part_bytes_max) => self.journal(*whole, *part_bytes_max),
            Op::Reopen => {
                self.journal(false, u64::MAX);
                let mut replica = self.replayed().expect("there is a journal");
                self.next += 1;
                replica.set_spare_id(id(self.next));
                self.replica = replica;
                self.mark = Some(self.replica.head());
            }
            Op::Check => self.check(),
        }
        assert_eq!(self.replica.is_journal_broken(), self.broken, "after {op:?}");
    }

    fn renew_spare(&mut self, cloned: bool) {
        if cloned {
            self.next += 1;
            self.replica.set_spare_id(id(self.next));
        }
    }

    fn pull(&mut self, peer: usize, which: &[bool]) {
        let export = ExportOptions { part_bytes_max: 60, ..ExportOptions::default() };
        let mut parts = Parts::default();
        let base = version(&self.replica);
        self.peers[peer].delta(Some(&base), &export, &mut parts).expect("a version");
        for (at, part) in parts.iter().enumerate() {
            if which[at % which.len()] {
                self.merge(part);
            }
        }
    }

    /// Merges, and looks whether a collection that came with it breaks the journal.
    fn merge(&mut self, frame: &[u8]) {
        let since = self.since_mark();
        let horizon = horizon(&self.replica);
        let Ok(report) = self.replica.merge(frame, self.now, PLAIN) else { return };
        if report.cloned {
            self.broken = self.replica.is_journal_broken();
        } else if horizon != self::horizon(&self.replica) {
            self.broken |= self.drops_one_of(&since);
        }
        self.renew_spare(report.cloned);
    }

    fn peer_pull(&mut self, peer: usize) {
        let base = version(&self.peers[peer]);
        let frame = delta(&mut self.replica, Some(&base));
        // A peer below the horizon, or one whose clock is behind: as it may be.
        let _ = self.peers[peer].merge(&frame, self.now, PLAIN);
    }

    fn collect(&mut self, at: usize) {
        for _ in 0..2 {
            for peer in 0..self.peers.len() {
                self.peer_pull(peer);
                self.pull(peer, &[true]);
            }
        }
        let seen = version(&self.replica);
        let all = self.peers.iter().all(|peer| version(peer) == seen);
        if !all {
            return;
        }
        if at > 0 {
            self.peers[at - 1].collect_tombstones(&seen, self.now).expect("a version");
            return;
        }
        let since = self.since_mark();
        self.replica.collect_tombstones(&seen, self.now).expect("a version");
        self.broken |= self.drops_one_of(&since);
    }

    /// What stands at places from the mark's on. Counts as handed out, as any export does.
    fn since_mark(&mut self) -> Vec<common::Row> {
        let Some(mark) = self.mark else { return Vec::new() };
        let mut frame = Vec::new();
        let export = ExportOptions::default();
        self.replica.changes_since(mark, None, &export, &mut frame).expect("a place");
        rows(&frame)
    }

    /// Whether a tombstone of these is below the horizon now.
    fn drops_one_of(&self, since: &[common::Row]) -> bool {
        since.iter().any(|row| {
            let is_tombstone = matches!(row.tag, 0 | 14);
            is_tombstone && is_below(&horizon(&self.replica), row.dot)
        })
    }

    fn journal(&mut self, whole: bool, part_bytes_max: u64) {
        let mut parts = Parts::default();
        let refused = self.replica.journal(&[], &JournalOptions::default(), &mut parts);
        if self.broken {
            assert_eq!(refused.map_err(|error| error.kind), Err(ErrorKind::InvalidArgument));
        } else {
            refused.expect("not broken");
            self.log.extend(parts.iter().map(<[u8]>::to_vec));
        }
        if whole || self.broken {
            let options = JournalOptions { whole: true, part_bytes_max };
            self.log = journal_of(&mut self.replica, &[], &options);
        }
        self.broken = false;
        self.mark = Some(self.replica.head());
        assert!(journal(&mut self.replica).is_empty(), "nothing changed since");
    }

    /// Who replays all journals.
    fn replayed(&self) -> Option<Dictionary> {
        let mut replica = Dictionary::new(&Options { hash_seed: [5, 6], ..options(99) });
        for frame in &self.log {
            replica.replay(frame).expect("own journals");
        }
        (!self.log.is_empty()).then_some(replica)
    }

    fn check(&mut self) {
        self.journal(false, u64::MAX);
        let mut replayed = self.replayed().expect("there is a journal");
        assert!(journal(&mut replayed).is_empty(), "the mark is what was replayed");
        let whole = whole_journal(&mut self.replica);
        let again = whole_journal(&mut replayed);
        assert_eq!(
            common::hex(&again),
            common::hex(&whole),
            "own id, version, horizon, clock, order"
        );
        assert_eq!(replayed.replica_id(), self.replica.replica_id());
        assert_eq!(replayed.head(), self.replica.head());
        let changes = |replica: &mut Dictionary| {
            let mut frame = Vec::new();
            replica.changes_since(0, None, &ExportOptions::default(), &mut frame).expect("a place");
            frame
        };
        // Exports raise the floor, which only one of both may not do: so the copies of both are looked at.
        let [mut ours, mut theirs] = [whole, again].map(|whole| {
            let mut copy = open(98);
            copy.replay(&whole).expect("an own journal");
            copy
        });
        assert_eq!(changes(&mut ours), changes(&mut theirs));
        assert_eq!(changes(&mut replayed), changes(&mut theirs));
        assert_eq!(snapshot(&mut replayed), snapshot(&mut ours));
        assert_eq!(delta(&mut replayed, None), delta(&mut ours, None));
        let held = rows(&snapshot(&mut replayed));
        assert_eq!(digest_of(&held), self.replica.digest());
        assert_eq!(replayed.len(), self.replica.len());
        for key in KEYS {
            assert_eq!(replayed.get(key), self.replica.get(key));
            assert_eq!(replayed.stamp_of(key), self.replica.stamp_of(key));
        }
    }
}

fn horizon(dictionary: &Dictionary) -> Vec<u8> {
    let mut out = Vec::new();
    dictionary.horizon(&mut out);
    out
}

/// Whether a version frame without exceptions has a dot, read by the page: replicas of 16 bytes, then pairs of gap and counter.
fn is_below(version: &[u8], (replica, counter): ([u8; 16], u64)) -> bool {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (&byte, rest) = bytes.split_first().expect("a varint");
            *bytes = rest;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                break;
            }
        }
        value
    }
    let mut rest = &version[5..];
    let length = usize::try_from(varint(&mut rest)).expect("short");
    let (ids, mut rest) = rest.split_at(length);
    if rest[0] == 0 {
        return false;
    }
    rest = &rest[1..];
    varint(&mut rest);
    let mut index = 0;
    (0..varint(&mut rest)).any(|_| {
        index += usize::try_from(varint(&mut rest)).expect("small");
        let closed = varint(&mut rest);
        index += 1;
        ids[16 * (index - 1)..16 * index] == replica && counter <= closed
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_replayed_is_the_same_to_the_last_bit(ops in prop::collection::vec(op(), 1..100)) {
        let mut world = World::new();
        for op in &ops {
            world.play(op);
        }
        world.check();
    }
}
