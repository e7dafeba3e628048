//! `ip` and `bridge`: links of every kind this kernel makes, addresses, 200 routes, rules, neighbours, nexthops,
//! namespaces, tunnels' security associations.

use crate::line::{Group, Line, State, manual, seed};
use crate::run::shell;

/// The lines of `ip(8)` and its companions, and of `bridge(8)`.
pub(crate) fn group() -> Group {
    Group { name: "ip", state, normalise, lines: LINES.to_vec() }
}

fn state() -> Result<State, String> {
    shell(include_str!("ip.sh"))?;
    Ok(Box::new(()))
}

/// Seconds that pass and counters that grow.
fn normalise(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let mut words = Vec::new();
        let mut before = "";
        for word in line.split(' ') {
            let volatile = matches!(
                before,
                "expires" | "used" | "valid_lft" | "preferred_lft" | "age" | "users" | "updated"
            ) || before.ends_with("_timer");
            let digits = word.starts_with(|letter: char| letter.is_ascii_digit());
            words.push(if volatile && digits {
                word.chars().map(|letter| if letter.is_ascii_digit() { '#' } else { letter }).collect()
            } else {
                word.to_owned()
            });
            if !word.is_empty() {
                before = word;
            }
        }
        out.push_str(&words.join(" "));
    }
    hide_json(&out)
}

/// The same in JSON: numbers behind these keys.
fn hide_json(text: &str) -> String {
    const KEYS: [&str; 14] = [
        "expires",
        "used",
        "confirmed",
        "updated",
        "valid_life_time",
        "preferred_life_time",
        "users",
        "age",
        "hello_timer",
        "tcn_timer",
        "topology_change_timer",
        "gc_timer",
        "hold_timer",
        "message_age_timer",
    ];
    let mut out = text.to_owned();
    for key in KEYS {
        let pattern = format!("\"{key}\":");
        let mut rest = out.as_str();
        let mut new = String::new();
        while let Some(at) = rest.find(&pattern) {
            let (head, tail) = rest.split_at(at + pattern.len());
            new.push_str(head);
            let end = tail.find([',', '}', '\n']).unwrap_or(tail.len());
            new.push('#');
            rest = tail.get(end..).unwrap_or_default();
        }
        new.push_str(rest);
        out = new;
    }
    out
}

#[rustfmt::skip]
const LINES: &[Line] = &[
    seed("ip link show"), seed("ip addr show"), seed("ip route show"), seed("ip route get 8.8.8.8"), seed("ip neigh show"),
    seed("ip -s link"), seed("ip rule show"), seed("ip route show table 100"), seed("ip netns list"),
    seed("ip netns exec ns1 true"), seed("ip route get 192.168.1.2"), seed("ip -s link show eth0"), seed("ip -s link show"),
    seed("ip netns exec ns1 ip route"), seed("ip netns exec ns1 ip link"), seed("ip netns identify $$"), seed("ip link show eth0"),
    seed("ip netns exec ns1 ping -c 1 -W 1 192.168.1.2 | head -1"),
    seed("ip link set dev eth0 xdp off").changes("ip link show eth0", "true"),
    seed("ip monitor route").watching("ip route add 10.200.0.0/16 dev eth0; ip route del 10.200.0.0/16", "Deleted 10.200"),
    seed("ip monitor neigh").watching("ip neigh add 192.168.1.77 lladdr 02:dd:00:00:00:01 dev eth0; ip neigh del 192.168.1.77 dev eth0", "Deleted"),
    manual("ip -br link"), manual("ip -4 addr"), manual("ip -j addr show"),
];
