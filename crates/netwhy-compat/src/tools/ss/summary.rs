//! `ss -s`: counts from the kernel's own, without listing a socket.

use netwhy_facts::Reading;

use super::Machine;
use crate::session::{Session, ToolError};

pub(super) fn write(
    session: &mut Session<'_>,
    machine: &Machine<'_>,
    as_json: bool,
) -> Result<(), ToolError> {
    let stats = match machine.collector.sockstat() {
        Reading::Known { value, .. } => value.0,
        absent => return Err(missing(absent.absence())),
    };
    let counters = match machine.collector.mib() {
        Reading::Known { value, .. } => value.0,
        absent => return Err(missing(absent.absence())),
    };
    let get = |name: &str| stats.get(name).copied().unwrap_or(0);
    let established = counters.get("Tcp.CurrEstab").copied().unwrap_or(0);
    let (tcp, tcp6) = (get("TCP.inuse"), get("TCP6.inuse"));
    let total = get("TCP.alloc");
    let closed = total.saturating_sub(tcp + tcp6);
    let rows: Vec<(&str, u64, u64)> = [("RAW", "RAW"), ("UDP", "UDP"), ("TCP", "TCP")]
        .iter()
        .map(|(name, key)| (*name, get(&format!("{key}.inuse")), get(&format!("{key}6.inuse"))))
        .collect();
    let sum = |pick: fn(&(&str, u64, u64)) -> u64| rows.iter().map(pick).sum::<u64>();
    let inet = ("INET", sum(|row| row.1), sum(|row| row.2));
    let frag = ("FRAG", get("FRAG.inuse"), get("FRAG6.inuse"));
    if as_json {
        let transports: serde_json::Map<String, serde_json::Value> = rows
            .iter()
            .chain([&inet, &frag])
            .map(|row| (row.0.to_lowercase(), serde_json::json!({ "ip": row.1, "ipv6": row.2 })))
            .collect();
        let object = serde_json::json!({
            "total": get("sockets.used"),
            "tcp": {
                "total": total, "estab": established, "closed": closed,
                "orphaned": get("TCP.orphan"), "timewait": get("TCP.tw"),
            },
            "transports": transports,
        });
        writeln!(session.out, "{object}")?;
        return Ok(());
    }
    writeln!(session.out, "Total: {}", get("sockets.used"))?;
    writeln!(
        session.out,
        "TCP:   {total} (estab {established}, closed {closed}, orphaned {}, timewait {})\n",
        get("TCP.orphan"),
        get("TCP.tw")
    )?;
    writeln!(session.out, "Transport Total     IP        IPv6")?;
    for (name, four, six) in rows.iter().chain([&inet, &frag]) {
        writeln!(session.out, "{name}\t  {:<9} {four:<9} {six:<9}", four + six)?;
    }
    writeln!(session.out)?;
    Ok(())
}

fn missing(why: Option<netwhy_facts::reading::Absence>) -> ToolError {
    ToolError::failed(format!("ss: {}", why.map(|why| why.to_string()).unwrap_or_default()), 1)
}
