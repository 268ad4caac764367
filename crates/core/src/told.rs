//! What a header tells of the state beside its entries: all of it, or what is not as somebody knows it.

use crate::collector::Collector;
use crate::dictionary::Dictionary;
use crate::export::Table;
use crate::frame::Frame;
use crate::stamp::Stamp;
use crate::version::{NodeVector, Nodes, Seen};

/// The state beside the entries as somebody knows it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub seen: Seen,
    pub horizon: NodeVector,
    pub collected: Option<Stamp>,
    pub collector: Option<Collector>,
}

impl Known {
    /// What a frontier tells, as far as it is of replicas that are known here. Costs one pass over all of them.
    pub fn of(frame: &Frame<'_>, nodes: &Nodes) -> Self {
        let found = nodes.find_sorted(frame.replicas);
        let mut known = Self {
            collected: frame
                .collected
                .map(|(replica, hlc)| Stamp { hlc, replica: frame.replica(replica) }),
            collector: Collector::of(frame),
            ..Self::default()
        };
        for (replica, counter) in frame.vector.iter() {
            if let Some(node) = found[replica] {
                known.seen.raise(node, counter);
            }
        }
        for (replica, counter) in frame.horizon.iter() {
            if let Some(node) = found[replica] {
                known.horizon.raise(node, counter);
            }
        }
        frame.end.unwrap_or_default().for_each(|replica, first, last| {
            if let Some(node) = found[replica] {
                known.seen.except(node, first, last);
            }
        });
        known
    }

    /// Becomes what a dictionary has, in the memory that is there.
    pub fn copy(&mut self, dictionary: &Dictionary) {
        self.seen.copy(&dictionary.seen);
        self.horizon.copy(&dictionary.horizon);
        self.collected = dictionary.collected;
        self.collector = dictionary.collector;
    }
}

/// What a header has; lists of nodes ascend.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Writers whose closed counters it has.
    pub closed: Vec<u32>,
    /// Writers whose exceptions it has.
    pub excepted: Vec<u32>,
    /// Writers whose counters in the horizon it has.
    pub horizon: Vec<u32>,
    pub collected: Option<Stamp>,
    pub collector: Option<Collector>,
}

impl Told {
    /// What a dictionary has that is not as in `known`.
    pub fn since(dictionary: &Dictionary, known: &Known) -> Self {
        let Dictionary { seen, horizon, collected, collector, .. } = dictionary;
        let (mut closed, mut excepted) = seen.differences(&known.seen);
        closed.retain(|&node| seen.vector(node) > 0);
        excepted.retain(|&node| seen.exceptions(node).is_some());
        let mut collecting = Vec::new();
        horizon.differences(&known.horizon, |node| {
            if horizon.get(node) > 0 {
                collecting.push(node);
            }
        });
        let collected = collected.filter(|_| *collected != known.collected);
        let collector = collector.filter(|_| *collector != known.collector);
        Self { closed, excepted, horizon: collecting, collected, collector }
    }

    pub fn is_nothing(&self) -> bool {
        self.closed.is_empty()
            && self.excepted.is_empty()
            && self.horizon.is_empty()
            && self.collected.is_none()
            && self.collector.is_none()
    }

    /// Enters the writers that it names into the table of a frame, those with exceptions if they are written.
    pub fn use_nodes(&self, table: &mut Table, nodes: &Nodes, end: bool) {
        let excepted = if end { self.excepted.as_slice() } else { &[] };
        for &node in self.closed.iter().chain(excepted).chain(&self.horizon) {
            table.use_node(node);
        }
        table.use_stamps(self.collected, self.collector, nodes);
    }
}
