//! Judges facts and ranks root causes.
#![forbid(unsafe_code)]
