//! What the tests of the bindings reach.

use super::request::{Request, integer};
use super::{Answer, Host, float, open};
use crate::Result;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::missing_errors_doc,
    reason = "tests ask for small numbers; errors are as for every call"
)]
impl Host {
    /// Begins every call, and panics when it was told to.
    ///
    /// # Panics
    ///
    /// In the call that [`Host::inject_panic`] named.
    pub fn trip(&mut self) {
        self.calls_until_panic = self.calls_until_panic.saturating_sub(1);
        assert!(self.calls_until_panic != 1, "injected");
    }

    /// Makes the n-th call from now panic.
    pub fn inject_panic(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [calls, ..] = request.desk.numbers;
        self.calls_until_panic = integer(calls) + 1;
        Ok(Answer::Number(0.0))
    }

    /// As [`Dictionary::probes`].
    pub fn probes(&mut self, request: &Request<'_>) -> Result<Answer> {
        open(&mut self.slots, request.handle)
            .map(|dictionary| Answer::Number(float(dictionary.probes())))
    }

    /// Answers so many keys of 8 letters whose hashes under seed 0 have so many zero bits at the end where the table looks.
    pub fn craft_keys(&mut self, request: &Request<'_>) -> Result<Answer> {
        let [keys, bits, ..] = request.desk.numbers;
        let letter = |nonce: u64, at: usize| b'a' + (nonce >> (4 * at) & 15) as u8;
        let keys = (0_u64..)
            .map(|nonce| core::array::from_fn::<u8, 8, _>(|at| letter(nonce, at)))
            .filter(|key| crate::hash::table_hash([0, 0], key).leading_zeros() >= bits as u32)
            .take(keys as usize);
        let out = self.begin_answer();
        out.clear();
        out.extend(keys.flatten());
        Ok(Answer::Bytes)
    }
}
