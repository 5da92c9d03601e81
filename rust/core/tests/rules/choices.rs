//! What happens next, drawn beforehand: a test case shrinks towards fewer and calmer events.

/// A sequence of choices; when it is used up, every further one is the first, which is the calmest.
#[derive(Debug)]
pub(crate) struct Choices {
    bytes: Vec<u8>,
    at: usize,
}

impl Choices {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    /// One of `0..count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte as usize % count
    }

    /// With a chance of one in `odds`.
    pub(crate) fn rarely(&mut self, odds: usize) -> bool {
        self.below(odds) == odds - 1
    }
}
