//! Readings of the routing side (links to BPF programs) in namespaces made for it, held against the classical
//! tools.

mod bpf;
mod cost;
mod events;
mod host;
mod links;
mod programs;
mod record;
mod routes;
mod scope;
mod settings;
mod space;
mod tc;
