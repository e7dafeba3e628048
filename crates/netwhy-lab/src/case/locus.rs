//! What a locus must say, written as short as cases need it.

use serde_json::{Value, json};

use netwhy_change::nft::Table;

/// One nftables rule.
#[must_use]
pub fn nft_rule(table: Table, name: &str, chain: &str, handle: u64) -> Value {
    json!({"kind": "nft-rule", "family": table.word(), "table": name, "chain": chain, "handle": handle})
}

/// An element of a set.
#[must_use]
pub fn nft_element(table: Table, name: &str, set: &str, element: &str) -> Value {
    json!({"kind": "nft-set", "family": table.word(), "table": name, "set": set, "element": element})
}

/// The policy of a base chain.
#[must_use]
pub fn nft_chain(table: Table, name: &str, chain: &str) -> Value {
    json!({"kind": "nft-chain", "family": table.word(), "table": name, "chain": chain})
}

/// A legacy rule by its place in the chain.
#[must_use]
pub fn ipt_rule(command: &str, table: &str, chain: &str, number: u32) -> Value {
    json!({"kind": "ipt-rule", "command": command, "table": table, "chain": chain, "number": number})
}

/// The policy of a legacy chain.
#[must_use]
pub fn ipt_chain(command: &str, table: &str, chain: &str) -> Value {
    json!({"kind": "ipt-chain", "command": command, "table": table, "chain": chain})
}

/// A route by its prefix and type.
#[must_use]
pub fn route(address: &str, length: u8, kind: &str) -> Value {
    json!({"kind": "route", "dst": {"addr": address, "len": length}, "route_type": kind})
}

/// A route that is not there.
#[must_use]
pub fn missing_route(dst: &str) -> Value {
    json!({"kind": "missing-route", "dst": dst})
}

/// A policy rule.
#[must_use]
pub fn rule(priority: u32) -> Value {
    json!({"kind": "rule", "priority": priority})
}

/// A neighbour entry.
#[must_use]
pub fn neighbour(dev: &str, address: &str) -> Value {
    json!({"kind": "neighbour", "dev": dev, "address": address})
}

/// A device.
#[must_use]
pub fn link(dev: &str) -> Value {
    json!({"kind": "link", "dev": dev})
}

/// A setting.
#[must_use]
pub fn sysctl(name: &str) -> Value {
    json!({"kind": "sysctl", "name": name})
}

/// A process.
#[must_use]
pub fn process(pid: u32) -> Value {
    json!({"kind": "process", "pid": pid})
}

/// A socket of a process.
#[must_use]
pub fn socket(local: &str, pid: u32) -> Value {
    json!({"kind": "socket", "local": local, "pid": pid})
}

/// No listener where one ought to be.
#[must_use]
pub fn missing_listener(proto: &str, port: u16) -> Value {
    json!({"kind": "missing-listener", "proto": proto, "port": port})
}

/// An address that ought to be here.
#[must_use]
pub fn missing_address(address: &str) -> Value {
    json!({"kind": "missing-address", "address": address})
}

/// A BPF program at a hook of a device.
#[must_use]
pub fn bpf(dev: &str) -> Value {
    json!({"kind": "bpf", "dev": dev})
}
