//! Predicts the path of a packet through this host from facts.
#![forbid(unsafe_code)]
