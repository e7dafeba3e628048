//! Readings of the routing side (links to BPF programs) in namespaces made for it, held against the classical
//! tools.

mod bpf;
mod host;
mod links;
mod programs;
mod record;
mod routes;
mod space;
mod tc;
