//! Says what was observed: meaning, unit, source, time.
#![forbid(unsafe_code)]
