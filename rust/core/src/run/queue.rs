//! The queue of a run: first in, first out.

use super::{Activation, Emission};
use std::collections::VecDeque;

/// An entry of the queue.
#[derive(Debug)]
pub(super) enum Queued<S> {
    /// Every subscriber of a signal that has not been taken yet.
    Emission(Emission<S>),
    /// A task, or a join's: neither is one of a row.
    Activation(Activation<S>),
}

/// Entries, oldest first. The first one has a place of its own, since most runs never have a second: a chain, or a run
/// of one, allocates nothing.
#[derive(Debug)]
pub(super) struct Queue<S> {
    first: Option<Queued<S>>,
    /// Empty if there is no first one. Boxed, and only when needed, to keep a run small.
    #[allow(clippy::box_collection, reason = "a pointer, since hardly any run has more than one entry at a time")]
    rest: Option<Box<VecDeque<Queued<S>>>>,
}

impl<S> Queue<S> {
    pub(super) fn new() -> Self {
        Self { first: None, rest: None }
    }

    // Inlined, so that an entry is written where it belongs and not copied there.
    #[inline(always)]
    pub(super) fn push(&mut self, queued: Queued<S>) {
        if self.first.is_none() {
            self.first = Some(queued);
        } else {
            self.push_rest(queued);
        }
    }

    pub(super) fn reserve(&mut self, more: usize) {
        // One has a place of its own.
        if more > 1 {
            self.rest.get_or_insert_default().reserve(more);
        }
    }

    #[inline]
    fn push_rest(&mut self, queued: Queued<S>) {
        self.rest.get_or_insert_default().push_back(queued);
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(super) fn first_mut(&mut self) -> Option<&mut Queued<S>> {
        self.first.as_mut()
    }

    /// Let go of the first one, which must have nothing of the caller's in it any more.
    #[inline]
    pub(super) fn advance(&mut self) {
        match &mut self.rest {
            None => self.first = None,
            Some(rest) => self.first = rest.pop_front(),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Queued<S>> {
        let popped = self.first.take();
        self.advance();
        popped
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Queued<S>> {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Queued<S>> {
        self.first.take().into_iter().chain(self.rest.iter_mut().flat_map(|rest| rest.drain(..)))
    }
}
