//! Stamps decide which write wins; dots name writes for causality.

use core::fmt;

/// The furthest that milliseconds go: 48 bits.
pub const MILLIS_MAX: u64 = (1 << 48) - 1;

/// The greatest counter of a dot: 40 bits.
pub const COUNTER_MAX: u64 = (1 << 40) - 1;

/// 128 bits that name the writes of one replica, and of no other incarnation of it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub [u8; 16]);

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// When and by whom a value was written: decides which write wins, and nothing else decides it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Hybrid logical clock: milliseconds since 1970 << 16 | counter.
    pub hlc: u64,
    /// The replica that wrote.
    pub replica: ReplicaId,
}

/// The name of a write: `counter` is 1, 2, 3… for each replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The replica that gave the dot.
    pub replica: ReplicaId,
    /// 1 to [`COUNTER_MAX`].
    pub counter: u64,
}

/// Milliseconds of an HLC.
pub(crate) const fn millis_of(hlc: u64) -> u64 {
    hlc >> 16
}

/// The next HLC after `clock` at `now` milliseconds; its counter carries into the milliseconds.
pub(crate) fn tick(clock: u64, now: u64) -> u64 {
    (clock.saturating_add(1)).max(now.min(MILLIS_MAX) << 16)
}
