//! The rules of the scheduler (S1–S25), each in a file that is named for it.
//!
//! - `plan`: random graphs, and what brute force says of them
//! - `model`: a naive run, to compare with after every step
//! - `world`: drives runs as an engine would: turns, handlers that suspend, listeners, slots, aborts

mod components;
mod plan;
mod s01_compile;
mod s12_slots;
