//! netwhy: names why the network of this Linux host misbehaves, with proof.
#![forbid(unsafe_code)]

fn main() {}
