//! Which store collects tombstones: a field of the state that the last write wins. It has no dot, and is not in the digest.

use crate::dictionary::Dictionary;
use crate::error::Result;
use crate::frame::Frame;
use crate::stamp::{Stamp, tick};

/// The store that collects; the greatest stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Collector {
    /// When it was named, and by whom.
    pub stamp: Stamp,
    pub store_id: [u8; 16],
}

impl Collector {
    pub fn of(frame: &Frame<'_>) -> Option<Self> {
        frame.collector.map(|(replica, hlc, &store_id)| Self {
            stamp: Stamp { hlc, replica: frame.replica(replica) },
            store_id,
        })
    }
}

impl Dictionary {
    /// The id of the store that is named to collect tombstones.
    #[must_use]
    pub fn collector(&self) -> Option<[u8; 16]> {
        self.collector.map(|collector| collector.store_id)
    }

    /// Names the store that collects tombstones, for all replicas, under the next stamp of the clock.
    ///
    /// The stamp counts as handed out: [`Self::restamp`] does not go below it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TransactionOpen`](crate::ErrorKind::TransactionOpen).
    pub fn set_collector(&mut self, store_id: [u8; 16], now: u64) -> Result<()> {
        self.no_transaction()?;
        self.clock = tick(self.clock, now);
        self.floor = self.floor.max(self.clock);
        let stamp = Stamp { hlc: self.clock, replica: self.replica_id() };
        self.collector = Some(Collector { stamp, store_id });
        Ok(())
    }

    pub(crate) fn join_collector(&mut self, collector: Option<Collector>) {
        let Some(Collector { stamp: Stamp { hlc, replica }, .. }) = collector else { return };
        // Frames name its replica by its node.
        self.nodes.intern(replica);
        self.collector = self.collector.max(collector);
        self.clock = self.clock.max(hlc);
        self.floor = self.floor.max(hlc);
    }
}
