//! The scheduler of `cnstra`, generic over what a signal carries and without any knowledge of Python.
//!
//! A caller compiles a graph once, feeds runs on it, takes activations out of their queues, calls the handlers itself
//! and reports how they ended. Nothing here calls back, blocks or allocates per hop beyond a queue slot.
#![forbid(unsafe_code)]
