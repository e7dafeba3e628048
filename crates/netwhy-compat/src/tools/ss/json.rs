//! `ss --json`: an array of objects, one a socket, with the fields that the flags ask for (docs/classic.md).

use std::io::{self, Write};

use netwhy_collect::socket::mem;
use netwhy_facts::socket::TcpInfo;
use netwhy_wire::inet_diag::{Answer, attribute};
use serde_json::{Map, Value, json};

use super::inet::Row;
use super::plan::{Db, Show};
use super::{Machine, names};

/// Objects on their way out.
pub(super) struct Array<'a> {
    out: &'a mut dyn Write,
    first: bool,
}

impl<'a> Array<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Array { out, first: true }
    }

    pub(super) fn push(&mut self, object: Map<String, Value>) -> io::Result<()> {
        self.out.write_all(if self.first { b"[" } else { b",\n" })?;
        self.first = false;
        serde_json::to_writer(&mut *self.out, &Value::Object(object)).map_err(io::Error::from)
    }

    pub(super) fn end(self) -> io::Result<()> {
        self.out.write_all(if self.first { b"[]\n" } else { b"]\n" })
    }
}

/// What every socket has.
pub(super) fn base(
    db: Db,
    state: u8,
    (rqueue, wqueue): (u32, u32),
    local: Value,
    peer: Value,
) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("netid".into(), db.netid().into());
    object.insert("state".into(), names::state(state).into());
    object.insert("recv_q".into(), rqueue.into());
    object.insert("send_q".into(), wqueue.into());
    object.insert("local".into(), local);
    object.insert("peer".into(), peer);
    object
}

/// An IP socket. `answer` is missing where `/proc/net` was read.
pub(super) fn inet(
    db: Db,
    row: &Row,
    answer: Option<&Answer<'_>>,
    show: &Show,
    machine: &Machine<'_>,
) -> Map<String, Value> {
    let mut local = json!({ "address": row.local.to_string(), "port": row.lport });
    if row.ifindex != 0 {
        local["device"] = machine.device_name(row.ifindex).into();
    }
    let peer = json!({ "address": row.remote.to_string(), "port": row.rport });
    let mut object = base(db, row.state, (row.rqueue, row.wqueue), local, peer);
    let mut put = |name: &str, value: Value| _ = object.insert(name.to_owned(), value);
    put("inode", row.inode.into());
    if let Some(users) = machine.users_json(row.inode) {
        put("users", users);
    }
    let Some(answer) = answer else { return object };
    put("uid", answer.uid().into());
    put("cookie", answer.cookie().into());
    if let Some(only) = row.v6only {
        put("v6only", only.into());
    }
    if answer.timer() != 0 {
        let name = match answer.timer() {
            1 => "on",
            2 => "keepalive",
            3 => "timewait",
            4 => "persist",
            _ => "unknown",
        };
        put("timer", json!({ "name": name, "expires_ms": answer.expires(), "count": answer.retransmits() }));
    }
    if let Some(mark) = answer.u32(attribute::MARK) {
        put("mark", mark.into());
    }
    if let Some(id) = answer.u64(attribute::CGROUP_ID) {
        put("cgroup_id", id.into());
        if show.cgroup || show.extended {
            put("cgroup", machine.cgroup_name(id).into());
        }
    }
    if let Some(closed) = answer.u8(attribute::SHUTDOWN) {
        put("shutdown", json!({ "receive": closed & 1 != 0, "send": closed & 2 != 0 }));
    }
    for (kind, name) in [(attribute::TOS, "tos"), (attribute::TCLASS, "tclass")] {
        if let Some(value) = answer.u8(kind) {
            put(name, value.into());
        }
    }
    if let Some(id) = answer.u32(attribute::CLASS_ID) {
        put("class_id", id.into());
    }
    if let Some(memory) = answer.structure(attribute::SKMEMINFO).and_then(mem) {
        put("skmem", serde_json::to_value(memory).unwrap_or_default());
    }
    if let Some(name) = answer.congestion() {
        put("congestion", String::from_utf8_lossy(name).into());
    }
    if db == Db::Tcp
        && let Some(info) = answer.get(attribute::INFO).and_then(TcpInfo::from_kernel)
    {
        put("tcp_info", serde_json::to_value(info).unwrap_or_default());
    }
    object
}
