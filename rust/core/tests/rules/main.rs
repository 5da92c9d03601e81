//! The rules of the scheduler (S1–S25), each in a file that is named for it.
//!
//! - `plan`: random graphs, and what brute force says of them
//! - `model`: a naive run, to compare with after every step
//! - `choices`: what happens when, drawn beforehand
//! - `world`: drives runs as an engine would: turns, handlers that suspend, listeners, slots, aborts

mod choices;
mod components;
mod drops;
mod emissions;
mod every_step;
mod model;
mod plan;
mod s01_compile;
mod s03_order;
mod s06_barriers;
mod s12_slots;
mod s17_frontier;
mod s17_resume;
mod s21_threads;
mod s22_scale;
mod s25_joins;
mod world;
