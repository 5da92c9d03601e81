//! A lock that costs nothing where the interpreter has one of its own.
//!
//! What changes in a run is touched by attached threads alone, in single steps that never call into Python. With a
//! global interpreter lock that lock is enough, and this is a cell that only watches that no step is begun inside
//! another. Without one it is a mutex. (Why: docs/decisions/2026-11-24-hot-path.md.)
#![allow(unsafe_code, reason = "a cell that is guarded by the interpreter's lock is no cell that Rust knows")]

use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

#[cfg(Py_GIL_DISABLED)]
use std::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(not(Py_GIL_DISABLED))]
use std::{
    cell::{Cell, UnsafeCell},
    ptr::NonNull,
};

/// Something that attached threads share.
#[cfg(not(Py_GIL_DISABLED))]
pub(crate) struct Guarded<T> {
    taken: Cell<bool>,
    value: UnsafeCell<T>,
}

/// Something that attached threads share.
#[cfg(Py_GIL_DISABLED)]
pub(crate) struct Guarded<T>(Mutex<T>);

// SAFETY: both cells are touched only in `lock` and `look`, and by the guard that they return. These need proof that the
// thread holds the interpreter's lock, and the guard cannot be sent to another; a thread that lets go of the lock in
// between finds `taken` set by whoever got it meanwhile, or leaves it set for them.
#[cfg(not(Py_GIL_DISABLED))]
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T: Default> Default for Guarded<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Access to it, for one step.
pub(crate) struct Guard<'a, 'py, T> {
    #[cfg(not(Py_GIL_DISABLED))]
    value: NonNull<T>,
    #[cfg(not(Py_GIL_DISABLED))]
    taken: &'a Cell<bool>,
    #[cfg(Py_GIL_DISABLED)]
    guard: MutexGuard<'a, T>,
    attached: PhantomData<(Python<'py>, &'a mut T)>,
}

impl<T> Guarded<T> {
    #[cfg(not(Py_GIL_DISABLED))]
    pub(crate) const fn new(value: T) -> Self {
        Self { taken: Cell::new(false), value: UnsafeCell::new(value) }
    }

    #[cfg(Py_GIL_DISABLED)]
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Take it. Whoever has it may neither call into Python nor take it again.
    #[inline]
    pub(crate) fn lock<'py>(&self, _py: Python<'py>) -> Guard<'_, 'py, T> {
        #[cfg(not(Py_GIL_DISABLED))]
        return self.take().unwrap_or_else(|| taken_twice());
        // A panic leaves nothing half done: every critical section is a step on plain data.
        #[cfg(Py_GIL_DISABLED)]
        return Guard { guard: self.0.lock().unwrap_or_else(PoisonError::into_inner), attached: PhantomData };
    }

    /// Whoever has it for itself needs no lock.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        #[cfg(not(Py_GIL_DISABLED))]
        return self.value.get_mut();
        #[cfg(Py_GIL_DISABLED)]
        return self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
    }

    /// Take it for the garbage collector, which runs on an attached thread; `None` if a step is going on.
    pub(crate) fn look<'a>(&'a self, _visit: &PyVisit<'a>) -> Option<Guard<'a, 'a, T>> {
        #[cfg(not(Py_GIL_DISABLED))]
        return self.take();
        #[cfg(Py_GIL_DISABLED)]
        return self.0.try_lock().ok().map(|guard| Guard { guard, attached: PhantomData });
    }

    #[cfg(not(Py_GIL_DISABLED))]
    #[inline]
    fn take<'py>(&self) -> Option<Guard<'_, 'py, T>> {
        if self.taken.replace(true) {
            return None;
        }
        // SAFETY: the pointer of a cell is not null.
        let value = unsafe { NonNull::new_unchecked(self.value.get()) };
        Some(Guard { value, taken: &self.taken, attached: PhantomData })
    }
}

#[cfg(not(Py_GIL_DISABLED))]
#[cold]
fn taken_twice() -> ! {
    panic!("a step on shared state was begun inside another");
}

impl<T> Deref for Guard<'_, '_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `taken` says that nobody else has it, for as long as this lives.
        #[cfg(not(Py_GIL_DISABLED))]
        return unsafe { self.value.as_ref() };
        #[cfg(Py_GIL_DISABLED)]
        return &self.guard;
    }
}

impl<T> DerefMut for Guard<'_, '_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        #[cfg(not(Py_GIL_DISABLED))]
        return unsafe { self.value.as_mut() };
        #[cfg(Py_GIL_DISABLED)]
        return &mut self.guard;
    }
}

#[cfg(not(Py_GIL_DISABLED))]
impl<T> Drop for Guard<'_, '_, T> {
    #[inline]
    fn drop(&mut self) {
        self.taken.set(false);
    }
}
